/* pages.h: memory between pages that nobody may touch; for each operating system a file of its own. */
#ifndef CHECKASM_PAGES_H
#define CHECKASM_PAGES_H

#include <stddef.h>

size_t page_size(void);

/* Memory of `size` bytes, a multiple of the page size, with an untouchable page before and one
 * behind it; NULL: there is none. */
void *pages_new(size_t size);
void pages_free(void *pages, size_t size);

#endif
