/* dtype.h: what numbers a block of memory holds. Buffers and packed weights count bytes, and say
 * this of themselves, so that another type is a row here and not a change to all that lays out. */
#ifndef XCOS_DTYPE_H
#define XCOS_DTYPE_H

#include <stddef.h>
#include <stdint.h>

typedef enum { XC_F32, XC_U32 } xc_dtype;

static inline size_t xc_bytes(xc_dtype dtype, int64_t count)
{
    static const size_t sizes[] = {[XC_F32] = sizeof(float), [XC_U32] = sizeof(uint32_t)};
    return (size_t)count * sizes[dtype];
}

#endif
