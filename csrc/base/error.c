/* The one way to report an error: the first one stays. */
#include "base/error.h"

#include <stdio.h>

bool wr_error_set(WrError *error, WrErrorKind kind, uint64_t offset, const char *format, ...)
{
    if (error && error->kind == WR_ERROR_NONE) {
        error->kind = kind;
        error->func_index = WR_NO_FUNC;
        error->offset = offset;
        va_list args;
        va_start(args, format);
        vsnprintf(error->message, sizeof error->message, format, args);
        va_end(args);
    }
    return false;
}
