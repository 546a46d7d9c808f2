#include "os/thread.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/pages.h"

#define OS_DEFAULT_STACK_BYTES ((size_t)8 << 20)
/* Below a main-thread stack without a limit, the kernel keeps this gap to the next mapping (stack_guard_gap). */
#define OS_STACK_GAP_BYTES ((uintptr_t)1 << 20)

/* Blocked, they would end the process without a word. */
static const int os_fault_signals[] = { SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGTRAP, SIGABRT, SIGSYS };

bool wr_os_thread_start(pthread_t *out_thread, void *(*run)(void *argument), void *argument, size_t stack_bytes)
{
    if (wr_os_call_fails(WR_OS_CALL_THREAD)) return false;
    pthread_attr_t attributes;
    int code = pthread_attr_init(&attributes);
    if (code != 0) {
        errno = code;
        return false;
    }
    /* too small a size is refused, in which case the default stands */
    (void)pthread_attr_setstacksize(&attributes, stack_bytes ? stack_bytes : OS_DEFAULT_STACK_BYTES);
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof os_fault_signals / sizeof os_fault_signals[0]; i++) sigdelset(&all, os_fault_signals[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(out_thread, &attributes, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    errno = code;
    return code == 0;
}

void wr_os_thread_join(pthread_t thread)
{
    (void)pthread_join(thread, NULL);
}

void wr_os_thread_detach(pthread_t thread)
{
    (void)pthread_detach(thread);
}

bool wr_os_on_main_thread(void)
{
    return getpid() == (pid_t)syscall(SYS_gettid);
}

bool wr_os_stack_bounds(uintptr_t *out_low, uintptr_t *out_high)
{
    pthread_attr_t attributes;
    void *start = NULL;
    size_t bytes = 0, guard = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return false;
    int code = pthread_attr_getstack(&attributes, &start, &bytes);
    if (pthread_attr_getguardsize(&attributes, &guard) != 0) guard = 0;
    pthread_attr_destroy(&attributes);
    if (code != 0 || bytes <= guard || (uintptr_t)start > UINTPTR_MAX - bytes) return false;
    uintptr_t low = (uintptr_t)start, high = low + bytes;
    if (wr_os_on_main_thread()) {
        /* without a soft limit the C library reports everything down to the next mapping */
        if (wr_os_stack_rlimit() == UINT64_MAX && bytes > 2 * OS_STACK_GAP_BYTES) low += OS_STACK_GAP_BYTES;
    } else {
        low += guard; /* C libraries differ in whether `start` includes it */
    }
    *out_low = low;
    *out_high = high;
    return true;
}

uint64_t wr_os_stack_rlimit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    return limit.rlim_cur;
}

uint32_t wr_os_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        int count = CPU_COUNT(&set);
        if (count > 0) return (uint32_t)count;
    }
    /* more processors than a cpu_set_t holds */
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online < INT_MAX ? (uint32_t)online : 1;
}

uint64_t wr_os_coarse_ns(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) != 0) return wr_os_monotonic_ns();
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t wr_os_monotonic_ns(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void wr_os_sleep_ns(uint64_t duration_ns)
{
    struct timespec left = { (time_t)(duration_ns / 1000000000u), (long)(duration_ns % 1000000000u) };
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

void wr_os_wait(const uint32_t *word, uint32_t expected)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

void wr_os_wake(const uint32_t *word, int count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

void wr_os_yield(void)
{
    (void)sched_yield();
}
