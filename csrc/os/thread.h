/* Threads, stacks, time and processors, as the system gives them.
 *
 * Threads that we start run with all signals but faults blocked, so that the program's handlers (and Python's) never run on them. */
#ifndef WR_OS_THREAD_H
#define WR_OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Starts a joinable thread with a stack of `stack_bytes` (0: 8 MiB). False: the system refused; errno says why. */
bool wr_os_thread_start(pthread_t *out_thread, void *(*run)(void *argument), void *argument, size_t stack_bytes);
void wr_os_thread_join(pthread_t thread);
void wr_os_thread_detach(pthread_t thread);

/* Addresses between which the stack of the calling thread may be used; the guard is outside. False: cannot be told. Slow (reads /proc on the main
 * thread): ask once a thread. */
bool wr_os_stack_bounds(uintptr_t *out_low, uintptr_t *out_high);
/* The soft limit on the main thread's stack: when it changes, cached bounds of that thread are out of date. */
uint64_t wr_os_stack_rlimit(void);
bool wr_os_on_main_thread(void);

/* Processors that this process may run on, at least 1. */
uint32_t wr_os_cpu_count(void);
uint64_t wr_os_monotonic_ns(void);
uint64_t wr_os_coarse_ns(void); /* moves on every few milliseconds, and costs no system call */
void wr_os_sleep_ns(uint64_t duration_ns);
void wr_os_yield(void);

/* Sleeps while *word == expected, until woken; may wake without cause. */
void wr_os_wait(const uint32_t *word, uint32_t expected);
void wr_os_wake(const uint32_t *word, int count);

#endif
