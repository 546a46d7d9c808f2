/* Random bytes of the operating system's generator, and the time of its clocks as guests ask for it. */
#ifndef WR_OS_RANDOM_H
#define WR_OS_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fit for keys. A few bytes come from a buffer of this thread, which no forked child shares with its parent. False with errno set. */
bool wr_os_random(void *out, size_t num_bytes);

typedef enum WrOsClock { WR_OS_CLOCK_REALTIME, WR_OS_CLOCK_MONOTONIC, WR_OS_CLOCK_PROCESS, WR_OS_CLOCK_THREAD, WR_OS_NUM_CLOCKS } WrOsClock;
/* Nanoseconds; 0 before 1970. False with errno set. */
bool wr_os_clock_ns(WrOsClock clock, uint64_t *out_ns);

#endif
