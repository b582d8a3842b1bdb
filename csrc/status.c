/* status.c: the one sentence that goes with a failure. */
#include <stdarg.h>
#include <stdio.h>

#include "xcos.h"

xcos_status xcos_fail(xcos_error *err, xcos_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}
