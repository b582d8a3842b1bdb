/* pages.c: memory between untouchable pages (Windows). */
#include "../pages.h"

#include <windows.h>

size_t page_size(void)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwPageSize;
}

void *pages_new(size_t size)
{
    const size_t page = page_size();
    char *at = VirtualAlloc(NULL, size + 2 * page, MEM_RESERVE, PAGE_NOACCESS);
    return at ? VirtualAlloc(at + page, size, MEM_COMMIT, PAGE_READWRITE) : NULL;
}

void pages_free(void *pages, size_t size)
{
    (void)size;
    VirtualFree((char *)pages - page_size(), 0, MEM_RELEASE);
}
