#include "os/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* Remaining calls that succeed; negative: no injection. */
static _Atomic int64_t os_failures[WR_OS_CALL_COUNT] = { -1, -1, -1 };

void wr_os_inject_failure(WrOsCall call, int64_t after)
{
    atomic_store(&os_failures[call], after < 0 ? -1 : after);
}

bool wr_os_call_fails(WrOsCall call)
{
    int64_t left = atomic_load_explicit(&os_failures[call], memory_order_relaxed);
    if (left < 0) return false;
    while (left > 0) {
        if (atomic_compare_exchange_weak(&os_failures[call], &left, left - 1)) return false;
        if (left < 0) return false;
    }
    errno = ENOMEM;
    return true;
}

size_t wr_os_page_size(void)
{
    static _Atomic size_t cached;
    size_t size = atomic_load_explicit(&cached, memory_order_relaxed);
    if (size == 0) {
        long asked = sysconf(_SC_PAGESIZE);
        size = asked > 0 ? (size_t)asked : 4096;
        atomic_store_explicit(&cached, size, memory_order_relaxed);
    }
    return size;
}

size_t wr_os_round_to_pages(size_t bytes)
{
    size_t mask = wr_os_page_size() - 1;
    if (bytes > SIZE_MAX - mask) return 0;
    return (bytes + mask) & ~mask;
}

static void *os_map(size_t bytes, int protection, int flags)
{
    if (bytes == 0) {
        errno = EINVAL;
        return NULL;
    }
    if (wr_os_call_fails(WR_OS_CALL_MAP)) return NULL;
    void *start = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return start == MAP_FAILED ? NULL : start;
}

void *wr_os_reserve(size_t bytes)
{
    return os_map(bytes, PROT_NONE, MAP_NORESERVE);
}

void *wr_os_alloc(size_t bytes)
{
    return os_map(bytes, PROT_READ | PROT_WRITE, 0);
}

/* Mapped with a large page too much, which is cut off around the first multiple of one. */
void *wr_os_alloc_dense(size_t bytes)
{
    if (bytes < WR_OS_LARGE_PAGE || bytes > SIZE_MAX - WR_OS_LARGE_PAGE) return wr_os_alloc(bytes);
    uint8_t *start = wr_os_alloc(bytes + WR_OS_LARGE_PAGE);
    if (start == NULL) return wr_os_alloc(bytes);
    size_t before = (size_t)-(uintptr_t)start & (WR_OS_LARGE_PAGE - 1);
    wr_os_release(start, before);
    wr_os_release(start + before + bytes, WR_OS_LARGE_PAGE - before);
    (void)madvise(start + before, bytes & ~(size_t)(WR_OS_LARGE_PAGE - 1), MADV_HUGEPAGE); /* refused: 4 KiB it is */
    return start + before;
}

bool wr_os_protect(void *start, size_t bytes, WrOsAccess access)
{
    static const int protections[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC };
    if (bytes == 0) return true;
    if (wr_os_call_fails(WR_OS_CALL_PROTECT)) return false;
    return mprotect(start, bytes, protections[access]) == 0;
}

bool wr_os_discard(void *start, size_t bytes)
{
    return bytes == 0 || madvise(start, bytes, MADV_DONTNEED) == 0;
}

void wr_os_release(void *start, size_t bytes)
{
    if (start != NULL && bytes != 0) (void)munmap(start, bytes);
}

int wr_os_contents_new(size_t num_bytes)
{
    if (wr_os_call_fails(WR_OS_CALL_MAP)) return -1;
    int contents = memfd_create("wasmrt-memory-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (contents >= 0 && ftruncate(contents, (off_t)num_bytes) != 0) {
        wr_os_contents_close(contents);
        return -1;
    }
    return contents;
}

bool wr_os_contents_write(int contents, const void *bytes, size_t num_bytes, uint64_t offset)
{
    const char *at = bytes;
    while (num_bytes != 0) {
        ssize_t written = pwrite(contents, at, num_bytes, (off_t)offset);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        at += written;
        num_bytes -= (size_t)written;
        offset += (uint64_t)written;
    }
    return true;
}

/* Sealing only guards against ourselves: where it is refused, nothing is lost. */
void wr_os_contents_seal(int contents)
{
    (void)fcntl(contents, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

int wr_os_contents_of(int file) { return wr_os_call_fails(WR_OS_CALL_MAP) ? -1 : fcntl(file, F_DUPFD_CLOEXEC, 0); }

void wr_os_contents_close(int contents)
{
    if (contents >= 0) (void)close(contents);
}

bool wr_os_map_contents(void *start, size_t bytes, int contents, uint64_t offset)
{
    if (wr_os_call_fails(WR_OS_CALL_MAP)) return false;
    return mmap(start, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, contents, (off_t)offset) != MAP_FAILED;
}

bool wr_os_map_zeros(void *start, size_t bytes)
{
    if (wr_os_call_fails(WR_OS_CALL_MAP)) return false;
    return mmap(start, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

bool wr_os_map_missing(void *start, size_t bytes)
{
    return mmap(start, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

/* Like 4.0 GiB; integer arithmetic, since errors are also made where floating point state is a guest's. */
static void os_size_text(char *out, size_t capacity, uint64_t bytes)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    uint64_t whole = bytes, tenths = 0;
    unsigned unit = 0;
    while (whole >= 1024 && unit < 4) {
        tenths = (whole % 1024) * 10 / 1024;
        whole /= 1024;
        unit++;
    }
    if (unit == 0)
        snprintf(out, capacity, "%llu bytes", (unsigned long long)whole);
    else
        snprintf(out, capacity, "%llu.%llu %s", (unsigned long long)whole, (unsigned long long)tenths, units[unit]);
}

bool wr_os_memory_error(WrError *error, const char *what, uint64_t bytes)
{
    int code = errno;
    char size[32], limit[64] = "";
    struct rlimit address_space;
    os_size_text(size, sizeof size, bytes);
    if (code == ENOMEM) {
        if (getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur != RLIM_INFINITY) {
            char bound[32];
            os_size_text(bound, sizeof bound, address_space.rlim_cur);
            snprintf(limit, sizeof limit, " (RLIMIT_AS is %s)", bound);
        } else {
            snprintf(limit, sizeof limit, " (see vm.max_map_count, vm.overcommit_memory)");
        }
    }
    return wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "cannot allocate %s for %s: %s%s", size, what,
                        code == ENOMEM ? "out of memory" : strerror(code), limit);
}
