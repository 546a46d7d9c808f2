/* Pages with failure injection, stack bounds, waiting. */
#include "check.h"

#include <errno.h>
#include <stdatomic.h>

#include <string.h>

#include "os/pages.h"
#include "os/random.h"
#include "os/thread.h"

static void pages(void)
{
    size_t page = wr_os_page_size();
    CHECK_EQ(wr_os_round_to_pages(1), page);
    CHECK_EQ(wr_os_round_to_pages(page), page);
    CHECK_EQ(wr_os_round_to_pages(0), 0);
    CHECK_EQ(wr_os_round_to_pages(SIZE_MAX), 0);
    uint8_t *start = wr_os_reserve(16 * page);
    REQUIRE(start != NULL);
    CHECK(wr_os_protect(start, 2 * page, WR_OS_READ_WRITE));
    start[2 * page - 1] = 7;
    CHECK(wr_os_discard(start, 2 * page));
    CHECK_EQ(start[2 * page - 1], 0);
    wr_os_release(start, 16 * page);
    wr_os_release(NULL, 0);
    CHECK(wr_os_reserve(0) == NULL);
    CHECK(wr_os_reserve((size_t)1 << 62) == NULL);
    CHECK_EQ(errno, ENOMEM);
}

static void injection(void)
{
    size_t page = wr_os_page_size();
    WrError error = { 0 };
    wr_os_inject_failure(WR_OS_CALL_MAP, 1);
    void *start = wr_os_alloc(page);
    CHECK(start != NULL);
    CHECK(wr_os_alloc(page) == NULL);
    CHECK_EQ(errno, ENOMEM);
    CHECK(!wr_os_memory_error(&error, "a test", (uint64_t)4 << 30));
    CHECK_CONTAINS(error.message, "cannot allocate 4.0 GiB for a test: out of memory");
    CHECK_EQ(error.kind, WR_ERROR_LIMIT);
    CHECK(wr_os_reserve(page) == NULL);
    wr_os_inject_failure(WR_OS_CALL_MAP, -1);
    wr_os_inject_failure(WR_OS_CALL_PROTECT, 0);
    CHECK(!wr_os_protect(start, page, WR_OS_READ));
    wr_os_inject_failure(WR_OS_CALL_PROTECT, -1);
    CHECK(wr_os_protect(start, page, WR_OS_READ));
    wr_os_release(start, page);
}

/* Large pages or not, it is zeroed, as long as asked, and given back whole; what is small is pages as ever. */
static void dense_pages(void)
{
    size_t page = wr_os_page_size(), sizes[] = { page, WR_OS_LARGE_PAGE - page, WR_OS_LARGE_PAGE, 2 * (size_t)WR_OS_LARGE_PAGE + 3 * page };
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *start = wr_os_alloc_dense(sizes[i]);
        REQUIRE(start != NULL);
        CHECK(sizes[i] < WR_OS_LARGE_PAGE || (uintptr_t)start % WR_OS_LARGE_PAGE == 0);
        for (size_t at = 0; at < sizes[i]; at += page) {
            CHECK_EQ(start[at], 0);
            start[at] = 1;
        }
        CHECK(wr_os_protect(start, page, WR_OS_READ));
        wr_os_release(start, sizes[i]);
    }
    CHECK(wr_os_alloc_dense(SIZE_MAX & ~(page - 1)) == NULL);
    wr_os_inject_failure(WR_OS_CALL_MAP, 0);
    CHECK(wr_os_alloc_dense(WR_OS_LARGE_PAGE) == NULL);
    wr_os_inject_failure(WR_OS_CALL_MAP, -1);
}

static void stack_is_inside_its_bounds(void)
{
    uintptr_t low, high, here = (uintptr_t)__builtin_frame_address(0);
    REQUIRE(wr_os_stack_bounds(&low, &high));
    CHECK(low < here && here < high);
    /* all of it can be touched */
    CHECK(high - low >= (size_t)128 << 10);
}

static _Atomic uint32_t word;

static void *other_thread(void *argument)
{
    uintptr_t low, high, here = (uintptr_t)__builtin_frame_address(0);
    *(bool *)argument = wr_os_stack_bounds(&low, &high) && low < here && here < high && high - low >= (size_t)100 << 10 && high - low <= (size_t)260 << 10 &&
                        !wr_os_on_main_thread();
    atomic_store(&word, 1);
    wr_os_wake((const uint32_t *)(const void *)&word, 1);
    return NULL;
}

static void threads(void)
{
    pthread_t thread;
    bool fine = false;
    REQUIRE(wr_os_thread_start(&thread, other_thread, &fine, (size_t)256 << 10));
    while (atomic_load(&word) == 0) wr_os_wait((const uint32_t *)(const void *)&word, 0);
    wr_os_thread_join(thread);
    CHECK(fine);
    wr_os_inject_failure(WR_OS_CALL_THREAD, 0);
    CHECK(!wr_os_thread_start(&thread, other_thread, &fine, 0));
    wr_os_inject_failure(WR_OS_CALL_THREAD, -1);
    CHECK(wr_os_cpu_count() >= 1);
    CHECK(wr_os_on_main_thread());
    uint64_t before = wr_os_monotonic_ns();
    wr_os_sleep_ns(2000000);
    CHECK(wr_os_monotonic_ns() - before >= 2000000);
}

static void random_bytes(void)
{
    uint8_t seen[64][16], large[1000] = { 0 }, zeroes = 0;
    for (size_t i = 0; i < 64; i++) {
        REQUIRE(wr_os_random(seen[i], sizeof seen[i]));
        for (size_t j = 0; j < i; j++) CHECK(memcmp(seen[i], seen[j], sizeof seen[i]) != 0);
    }
    CHECK(wr_os_random(large, 65) && wr_os_random(large, 64) && wr_os_random(large, sizeof large) && wr_os_random(large, 0));
    for (size_t i = 0; i < sizeof large; i++) zeroes = (uint8_t)(zeroes + (large[i] == 0));
    CHECK(zeroes < 50);
}

static void clocks(void)
{
    for (WrOsClock clock = WR_OS_CLOCK_REALTIME; clock < WR_OS_NUM_CLOCKS; clock++) {
        uint64_t before = 0, after = 0;
        CHECK(wr_os_clock_ns(clock, &before) && wr_os_clock_ns(clock, &after));
        CHECK(before != 0 && before <= after);
    }
}

int main(void)
{
    RUN(pages);
    RUN(random_bytes);
    RUN(clocks);
    RUN(injection);
    RUN(dense_pages);
    RUN(stack_is_inside_its_bounds);
    RUN(threads);
    return check_result();
}
