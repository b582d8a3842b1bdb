/* pages.c: memory between untouchable pages (POSIX). */
#include "../pages.h"

#include <sys/mman.h>
#include <unistd.h>

size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

void *pages_new(size_t size)
{
    const size_t page = page_size();
    char *at = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || mprotect(at + page, size, PROT_READ | PROT_WRITE) != 0)
        return NULL;
    return at + page;
}

void pages_free(void *pages, size_t size)
{
    const size_t page = page_size();
    munmap((char *)pages - page, size + 2 * page);
}
