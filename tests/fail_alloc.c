/* fail_alloc.c: lets the n-th allocation that xcos._core asks for fail (tests/test_memory.py).
 *
 * Loaded with LD_PRELOAD. Allocations of other libraries pass through: the caller's address
 * tells them apart. Without dlopen's lock, so that any thread may allocate. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uintptr_t first, last; /* the code of xcos._core */
static long countdown = -1;

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

/* Watches callers in [begin, end) and fails their n-th allocation from now on; 0: none. */
void fail_nth(uintptr_t begin, uintptr_t end, long n)
{
    first = begin;
    last = end;
    __atomic_store_n(&countdown, n ? n : -1, __ATOMIC_SEQ_CST);
}

/* Whether the chosen allocation came. */
int has_failed(void)
{
    return __atomic_load_n(&countdown, __ATOMIC_SEQ_CST) == 0;
}

static int fails(void *caller)
{
    const uintptr_t from = (uintptr_t)caller;
    if (from < first || from >= last || __atomic_load_n(&countdown, __ATOMIC_SEQ_CST) <= 0)
        return 0;
    return __atomic_sub_fetch(&countdown, 1, __ATOMIC_SEQ_CST) == 0;
}

#define FAILS fails(__builtin_return_address(0))

void *malloc(size_t size)
{
    return FAILS ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return FAILS ? NULL : __libc_calloc(count, size);
}

void *realloc(void *p, size_t size)
{
    return FAILS ? NULL : __libc_realloc(p, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return FAILS ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **p, size_t alignment, size_t size)
{
    if (FAILS)
        return ENOMEM;
    *p = __libc_memalign(alignment, size);
    return *p ? 0 : ENOMEM;
}

char *strdup(const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = FAILS ? NULL : __libc_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}
