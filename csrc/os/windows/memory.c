/* memory.c: aligned memory (Windows). Its large pages are for processes with a privilege that
 * users lack: large blocks are like small ones. */
#include "os/memory.h"

#include <malloc.h>
#include <stdint.h>

enum { LINE = 64 };

void *xo_alloc(size_t bytes)
{
    return bytes > SIZE_MAX / 2 ? NULL : _aligned_malloc(bytes ? bytes : 1, LINE);
}

void xo_free(void *p)
{
    _aligned_free(p);
}
