/* memory.h: aligned memory for weights, arenas and records. */
#ifndef XCOS_OS_MEMORY_H
#define XCOS_OS_MEMORY_H

#include <stddef.h>

/* Uninitialised memory that begins at a cache line (64 bytes), large blocks at a huge page;
 * NULL when there is none. */
void *xo_alloc(size_t bytes);
void xo_free(void *p);

#endif
