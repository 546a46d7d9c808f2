/* The ticker: one thread that makes long-running guests look up now and then.
 *
 * Every period it looks at each thread: an entry that was there at the last tick too gets its interrupt word set; so an entry shorter than a period
 * never pays, and the slow path runs about a thousand times a second. After some periods without any entry it sleeps until one wakes it. A forked
 * child has no ticker: the fork handler says so, and starts one if the fork happened inside an entry.
 *
 * Entries publish themselves and look at the ticker's state without a barrier between, so that a store of `running` may still wait in its CPU's buffer
 * when the state is loaded. So the ticker says that it sleeps, waits a period, which no buffered store outlives, and looks again: an entry that did not
 * see the state is seen by then. */
#include "os/thread.h"
#include "vm/store.h"

#define TICKER_PERIOD_NS 1000000u
#define TICKER_IDLE_PERIODS 20u
#define TICKER_STACK_BYTES ((size_t)64 << 10)

enum { TICKER_TICKS, TICKER_SLEEPS, TICKER_ABSENT };

_Atomic uint32_t vm_ticker_state = TICKER_ABSENT;

static const uint32_t *ticker_word(void) { return (const uint32_t *)(const void *)&vm_ticker_state; }

/* Whether any thread is, or has been since the last tick, in guest code. */
static bool ticker_tick(void)
{
    bool active = false;
    for (WrThread *thread = vm_threads(); thread != NULL; thread = thread->next) {
        VMStoreContext *context = atomic_load_explicit(&thread->running, memory_order_acquire);
        uint32_t entries = atomic_load_explicit(&thread->entries, memory_order_relaxed);
        if (entries != thread->seen_entries) {
            thread->seen_entries = entries;
            active = true;
        } else if (context != NULL) {
            vm_set_stack_limit(context, WR_INTERRUPTED);
            active = true;
        }
    }
    return active;
}

static void *ticker_run(void *argument)
{
    unsigned idle = 0;
    (void)argument;
    for (;;) {
        wr_os_sleep_ns(TICKER_PERIOD_NS);
        if (ticker_tick()) {
            idle = 0;
            continue;
        }
        if (++idle < TICKER_IDLE_PERIODS) continue;
        idle = 0;
        atomic_store(&vm_ticker_state, TICKER_SLEEPS);
        wr_os_sleep_ns(TICKER_PERIOD_NS);
        if (ticker_tick()) {
            uint32_t state = TICKER_SLEEPS;
            (void)atomic_compare_exchange_strong(&vm_ticker_state, &state, TICKER_TICKS);
            continue;
        }
        while (atomic_load(&vm_ticker_state) == TICKER_SLEEPS) wr_os_wait(ticker_word(), TICKER_SLEEPS);
    }
    return NULL;
}

/* Under vm_lock, or alone in a forked child. If the system refuses a thread, the next entry tries again: guests run, but cannot be interrupted. */
static void ticker_start(void)
{
    pthread_t thread;
    atomic_store(&vm_ticker_state, TICKER_TICKS);
    if (wr_os_thread_start(&thread, ticker_run, NULL, TICKER_STACK_BYTES))
        wr_os_thread_detach(thread);
    else
        atomic_store(&vm_ticker_state, TICKER_ABSENT);
}

void vm_ticker_wake(void)
{
    uint32_t state = TICKER_SLEEPS;
    if (atomic_compare_exchange_strong(&vm_ticker_state, &state, TICKER_TICKS)) {
        wr_os_wake(ticker_word(), 1);
        return;
    }
    if (state != TICKER_ABSENT) return;
    vm_lock();
    if (atomic_load(&vm_ticker_state) == TICKER_ABSENT) ticker_start();
    vm_unlock();
}

void vm_ticker_after_fork(void)
{
    atomic_store(&vm_ticker_state, TICKER_ABSENT);
    if (vm_thread != NULL && atomic_load(&vm_thread->running) != NULL) ticker_start();
}
