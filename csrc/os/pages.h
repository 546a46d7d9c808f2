/* Pages from the system: address space reserved without access, committed, protected, released.
 *
 * Why here: every system call of the library lives in this room, so that running out of memory has one place to be injected and one place that says
 * which limit was hit. Sizes are rounded up to pages by the callers' contract: pointers and lengths are multiples of wr_os_page_size(). No page is
 * ever writable and executable at once: there is no mode for it. Failures return false or NULL with errno set; nothing here ends the process. */
#ifndef WR_OS_PAGES_H
#define WR_OS_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef enum WrOsAccess { WR_OS_NO_ACCESS, WR_OS_READ, WR_OS_READ_WRITE, WR_OS_READ_EXECUTE } WrOsAccess;

enum { WR_OS_LARGE_PAGE = 2 << 20 };

size_t wr_os_page_size(void);
/* `bytes` rounded up to pages; 0 when that overflows (and for 0). */
size_t wr_os_round_to_pages(size_t bytes);

/* Address space without access and without a claim on memory. */
void *wr_os_reserve(size_t bytes);
/* Zeroed private pages to read and write. */
void *wr_os_alloc(size_t bytes);
/* The same for what will be written from end to end: whole WR_OS_LARGE_PAGEs of it are large pages where the system gives them to who asks, a fault each
 * instead of one every 4 KiB. */
void *wr_os_alloc_dense(size_t bytes);
bool wr_os_protect(void *start, size_t bytes, WrOsAccess access);
/* Private anonymous pages become zero, their memory goes back to the system; access stays as it is. */
bool wr_os_discard(void *start, size_t bytes);
/* Unmaps. NULL is fine. */
void wr_os_release(void *start, size_t bytes);

/* Contents that many mappings start from: an anonymous file of `num_bytes` (a multiple of pages), of which `bytes` are written at their offset by
 * wr_os_contents_write and then sealed. -1: the system refused; errno says why. */
int wr_os_contents_new(size_t num_bytes);
bool wr_os_contents_write(int contents, const void *bytes, size_t num_bytes, uint64_t offset);
void wr_os_contents_seal(int contents);
/* Another descriptor of a file whose contents are mapped: -1 with errno set. */
int wr_os_contents_of(int file);
void wr_os_contents_close(int contents);
/* Replaces pages by a private, writable mapping of a file: what is written there stays there, wr_os_discard brings the file's contents back. */
bool wr_os_map_contents(void *start, size_t bytes, int contents, uint64_t offset);
/* Replaces pages by zeroed private ones to read and write. */
bool wr_os_map_zeros(void *start, size_t bytes);
/* The same to read only; for signal handlers. */
bool wr_os_map_missing(void *start, size_t bytes);

/* Fills `error` with what the system refused and the limit that is to blame, as far as it can be told (RLIMIT_AS, vm.max_map_count). Returns false. */
bool wr_os_memory_error(WrError *error, const char *what, uint64_t bytes);

/* Failure injection, for tests: of the calls of that kind made from now on, in any thread, the `after`-th (from 0) and all later ones fail with
 * ENOMEM; a negative `after` ends it. */
typedef enum WrOsCall { WR_OS_CALL_MAP, WR_OS_CALL_PROTECT, WR_OS_CALL_THREAD, WR_OS_CALL_COUNT } WrOsCall;
void wr_os_inject_failure(WrOsCall call, int64_t after);
bool wr_os_call_fails(WrOsCall call); /* asked by the wrappers of this room; sets errno */

#endif
