/* memory.c: aligned memory (POSIX; huge pages on Linux). */
#define _GNU_SOURCE
#include "os/memory.h"

#include <stdint.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

enum { LINE = 64, HUGE_PAGE = 2 << 20 };

void *xo_alloc(size_t bytes)
{
    void *p;
    /* Large blocks are walked from end to end by every run: with huge pages, the last one
     * filled up, the address translations fit into the TLB (a third off a layer's time). */
    const size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : LINE;
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + alignment - 1) / alignment * alignment;
    if (posix_memalign(&p, alignment, bytes ? bytes : alignment))
        return NULL;
#ifdef MADV_HUGEPAGE
    if (alignment == HUGE_PAGE)
        madvise(p, bytes, MADV_HUGEPAGE);
#endif
    return p;
}

void xo_free(void *p)
{
    free(p);
}
