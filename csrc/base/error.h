/* One error per failed call: what went wrong and where. Rooms fill it with wr_error_set and return false or NULL; nothing carries on after one. */
#ifndef WR_BASE_ERROR_H
#define WR_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum WrErrorKind {
    WR_ERROR_NONE,
    WR_ERROR_DECODE,      /* the bytes are not a module */
    WR_ERROR_VALIDATION,  /* they are, but not a valid one */
    WR_ERROR_LIMIT,       /* an implementation limit; the message names it */
    WR_ERROR_UNSUPPORTED, /* valid, but this engine does not have the feature yet (one that Config has off is VALIDATION) */
    WR_ERROR_LINK,        /* imports do not match */
    WR_ERROR_ARTIFACT,    /* an image that cannot be used */
    WR_ERROR_MEMORY,      /* the system refused memory */
    WR_ERROR_TRAP         /* instantiation trapped: the store says why */
} WrErrorKind;

#define WR_NO_FUNC UINT32_MAX
#define WR_NO_OFFSET UINT64_MAX

typedef struct WrError {
    WrErrorKind kind;
    uint32_t func_index; /* WR_NO_FUNC */
    uint64_t offset;     /* in the module's bytes; WR_NO_OFFSET */
    char message[256];   /* what, and what was expected; no place in it */
} WrError;

/* Always returns false, so that callers can `return wr_error_set(...)`. Keeps the first error. */
bool wr_error_set(WrError *error, WrErrorKind kind, uint64_t offset, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
