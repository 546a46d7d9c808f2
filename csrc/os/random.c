#include "os/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { RANDOM_BUFFER_BYTES = 512, RANDOM_BUFFERED_BYTES = 64 };

typedef struct RandomBuffer {
    uint32_t generation;    /* of forks, when it was filled; 0: never */
    uint32_t left;
    uint8_t bytes[RANDOM_BUFFER_BYTES];
} RandomBuffer;

static _Thread_local RandomBuffer random_buffer;
static _Atomic uint32_t random_generation = 1;
static pthread_once_t random_once = PTHREAD_ONCE_INIT;

static void random_forked(void) { atomic_fetch_add(&random_generation, 1); }
static void random_init(void) { (void)pthread_atfork(NULL, NULL, random_forked); }

static bool random_fill(uint8_t *out, size_t num_bytes)
{
    while (num_bytes != 0) {
        ssize_t got = getrandom(out, num_bytes, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        out += got;
        num_bytes -= (size_t)got;
    }
    return true;
}

bool wr_os_random(void *out, size_t num_bytes)
{
    RandomBuffer *buffer = &random_buffer;
    if (num_bytes > RANDOM_BUFFERED_BYTES) return random_fill(out, num_bytes);
    pthread_once(&random_once, random_init);
    uint32_t generation = atomic_load_explicit(&random_generation, memory_order_relaxed);
    if (buffer->generation != generation || buffer->left < num_bytes) {
        if (!random_fill(buffer->bytes, sizeof buffer->bytes)) return false;
        buffer->generation = generation;
        buffer->left = RANDOM_BUFFER_BYTES;
    }
    buffer->left -= (uint32_t)num_bytes;
    uint8_t *from = buffer->bytes + buffer->left;
    memcpy(out, from, num_bytes);
    memset(from, 0, num_bytes); /* what was given out stays nowhere */
    return true;
}

bool wr_os_clock_ns(WrOsClock clock, uint64_t *out_ns)
{
    static const clockid_t ids[WR_OS_NUM_CLOCKS] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID };
    struct timespec now;
    if (clock_gettime(ids[clock], &now) != 0) return false;
    *out_ns = now.tv_sec < 0 ? 0 : (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return true;
}
