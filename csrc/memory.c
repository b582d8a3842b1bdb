/* memory.c: aligned memory for weights and arenas. */
#define _GNU_SOURCE
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "net.h"

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

void *xn_alloc(size_t bytes)
{
    void *p;
    /* Blocks of several megabytes are walked from end to end by every run: with huge
     * pages the address translations fit into the TLB. */
    size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
    if (posix_memalign(&p, alignment, bytes ? bytes : 1))
        return NULL;
#ifdef MADV_HUGEPAGE
    if (alignment == HUGE_PAGE)
        madvise(p, bytes & ~(size_t)(HUGE_PAGE - 1), MADV_HUGEPAGE);
#endif
    return p;
}

void xn_free(void *p)
{
    free(p);
}
