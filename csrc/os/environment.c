/* environment.c: the only file that calls getenv. */
#include "environment.h"

#include <stdlib.h>
#include <string.h>

/* A value longer than this is none that we know: what is cut off would be refused too. */
enum { LONGEST = 127 };

static const char *copy(const char *name, char *to)
{
    const char *value = getenv(name);
    strncpy(to, value ? value : "", LONGEST);
    return to;
}

xo_environment xo_read_environment(void)
{
    static char threads[LONGEST + 1], cpu[LONGEST + 1];
    return (xo_environment){copy("XCOS_NUM_THREADS", threads), copy("XCOS_DISABLE_CPU", cpu)};
}
