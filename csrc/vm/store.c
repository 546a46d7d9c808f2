/* Stores, and the way in and out of guest code.
 *
 * An outermost entry is a store of the owner (a compare-and-swap where no lock of the caller's keeps others out), a few of limits and a load of the
 * ticker's state; a nested one a compare and an increment. Nothing is allocated and no system call is made, except at the first entry of a thread and
 * when the ticker sleeps. */
#include "vm/store.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "os/thread.h"
#include "vm/objects.h"
#include "vm/pool.h"

__thread WrThread *vm_thread;

static pthread_mutex_t store_mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(WrThread *) store_threads;
static WrStore *store_free_list;
static pthread_once_t store_once = PTHREAD_ONCE_INIT;
static pthread_key_t store_thread_key;
static bool store_has_key;
static WrHooks store_hooks;

static void store_init(void);
/* the first use installs the fork handlers: without them, a child of a fork while another thread holds the lock would wait for ever */
void vm_lock(void)
{
    pthread_once(&store_once, store_init);
    pthread_mutex_lock(&store_mutex);
}
void vm_unlock(void) { pthread_mutex_unlock(&store_mutex); }
WrThread *vm_threads(void) { return atomic_load_explicit(&store_threads, memory_order_acquire); }
const WrHooks *vm_hooks(void) { return &store_hooks; }

void wr_set_hooks(const WrHooks *hooks)
{
    store_hooks = *hooks;
}

/* ---- threads -------------------------------------------------------------------------------------------------------------- */

static void store_thread_ended(void *ended)
{
    WrThread *thread = ended;
    vm_lock();
    /* one that ended in the middle of a call (pthread_exit in a host function) leaves stores claimed for ever: its record must not become another's */
    if (atomic_load(&thread->running) == NULL) thread->is_free = true;
    atomic_store(&thread->running, NULL);
    vm_unlock();
    vm_thread = NULL;
}

/* In the child only the forking thread lives: the others' entries are gone, and their stores stay claimed, since they stopped in the middle. */
static void store_after_fork(void)
{
    for (WrThread *thread = vm_threads(); thread != NULL; thread = thread->next) {
        if (thread == vm_thread) continue;
        atomic_store(&thread->running, NULL);
        /* the stores it ran are its for ever: reusing it would make them look like the new thread's */
        if (!thread->is_free) thread->is_lost = true;
    }
    vm_ticker_after_fork();
    vm_unlock();
}

static void store_init(void)
{
    store_has_key = pthread_key_create(&store_thread_key, store_thread_ended) == 0;
    (void)pthread_atfork(vm_lock, vm_unlock, store_after_fork);
}

static bool store_read_bounds(WrThread *thread)
{
    thread->stack_rlimit = wr_os_on_main_thread() ? wr_os_stack_rlimit() : 0;
    if (!wr_os_stack_bounds(&thread->stack_low, &thread->stack_high)) return false;
    thread->entry_low = thread->stack_low + VM_STACK_RESERVE_BYTES + VM_STACK_MIN_BYTES;
    thread->entry_span = thread->entry_low < thread->stack_high ? thread->stack_high - thread->entry_low : 0;
    return true;
}

WrThread *vm_thread_attach(void)
{
    if (vm_thread != NULL) return vm_thread;
    vm_lock();
    WrThread *thread = vm_threads();
    while (thread != NULL && !thread->is_free) thread = thread->next;
    if (thread != NULL) thread->is_free = false;
    vm_unlock();
    if (thread == NULL) {
        thread = calloc(1, sizeof *thread);
        if (thread == NULL) return NULL;
        vm_lock();
        thread->next = vm_threads();
        atomic_store_explicit(&store_threads, thread, memory_order_release);
        vm_unlock();
    }
    if (!store_read_bounds(thread) || (store_has_key && pthread_setspecific(store_thread_key, thread) != 0)) {
        vm_lock();
        thread->is_free = true;
        vm_unlock();
        return NULL;
    }
    vm_thread = thread;
    return thread;
}

/* ---- life ----------------------------------------------------------------------------------------------------------------- */

/* What others of this process may have changed, at a system call each: not more often than every few milliseconds, for who makes many stores. */
static void store_look_around(void)
{
    static _Atomic uint64_t looked_ns;
    WrThread *thread = vm_thread;
    uint64_t now = wr_os_coarse_ns();
    if (atomic_exchange_explicit(&looked_ns, now, memory_order_relaxed) == now) return;
    /* setrlimit moved the end of the main thread's stack */
    if (thread != NULL && thread->stack_rlimit != 0 && thread->stack_rlimit != wr_os_stack_rlimit()) (void)store_read_bounds(thread);
    vm_signals_refresh();
}

WrStore *wr_store_new(WrTypeRegistry *registry, size_t max_wasm_stack, void *host, WrError *error)
{
    store_look_around();
    vm_lock();
    WrStore *store = store_free_list;
    if (store != NULL) store_free_list = store->next_free;
    vm_unlock();
    if (store != NULL) {
        memset(store, 0, offsetof(WrStore, heap)); /* the heap was left empty, and text and frames behind it count as far as these say */
        store->trap_text[0] = 0;
        store->num_trap_frames = 0;
        store->next_free = NULL;
    } else if ((store = calloc(1, sizeof *store)) == NULL) {
        wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for a store");
        return NULL;
    }
    wr_types_retain(registry);
    store->registry = registry;
    store->max_wasm_stack = max_wasm_stack;
    store->context.host = host;
    store->context.fuel = 0;
    memset(&store->limits, 0xff, sizeof store->limits);
    return store;
}

void wr_store_free(WrStore *store)
{
    if (store == NULL) return;
    if (wr_store_running(store)) return; /* its frames are on somebody's stack: better kept than freed under them */
    vm_instances_free(store);
    vm_tables_free(store);
    vm_memories_free(store);
    vm_globals_free(store);
    vm_host_funcs_free(store);
    vm_externrefs_free(store);
    vm_exceptions_free(store);
    wr_wasi_forget(store);
    vm_fibers_free(store);
    vm_heap_free(store);
    if (store->pool != NULL) {
        if (store->num_components != 0) vm_pool_give_components(store->pool, store->num_components);
        wr_pool_release(store->pool);
    }
    wr_types_release(store->registry);
    vm_lock();
    store->next_free = store_free_list;
    store_free_list = store;
    vm_unlock();
}

void wr_store_set_limits(WrStore *store, const WrLimits *limits)
{
    store->limits = *limits;
}

void wr_store_set_allocation(WrStore *store, WrPool *pool, bool use_images)
{
    if (pool != NULL) wr_pool_retain(pool);
    store->pool = pool;
    store->use_images = use_images;
}

bool wr_store_add_component(WrStore *store, WrError *error)
{
    if (store->pool == NULL) return true;
    if (!vm_pool_take_component(store->pool, error)) return false;
    store->num_components++;
    return true;
}

VMStoreContext *wr_store_context(WrStore *store)
{
    return &store->context;
}

/* ---- in and out ----------------------------------------------------------------------------------------------------------- */

bool wr_store_running(const WrStore *store)
{
    return atomic_load_explicit(&((WrStore *)(uintptr_t)store)->owner, memory_order_acquire) != NULL;
}

WrEnterResult wr_store_owned(const WrStore *store)
{
    const WrThread *owner = atomic_load_explicit(&((WrStore *)(uintptr_t)store)->owner, memory_order_acquire);
    if (owner == NULL || owner == vm_thread) return WR_ENTER_OK;
    return owner->is_lost ? WR_ENTER_LOST : WR_ENTER_BUSY;
}

/* Whether an entry whose frame is at `sp` has enough stack. Addresses outside the thread's known stack belong to a stack that somebody switched to, whose
 * end nobody told us. */
static inline bool store_has_room(const WrThread *thread, uintptr_t sp)
{
    return sp - thread->entry_low < thread->entry_span;
}

/* The store is this thread's from here on; it is shown to the ticker, and its stack limit is set. */
static inline void store_begin(WrStore *store, WrThread *thread, uintptr_t sp)
{
    uintptr_t room = sp - (thread->entry_low - VM_STACK_MIN_BYTES);
    uintptr_t limit = sp - (room < store->max_wasm_stack ? room : store->max_wasm_stack);
    uint32_t entries = atomic_load_explicit(&thread->entries, memory_order_relaxed);
    atomic_store_explicit(&thread->entries, entries + 1, memory_order_relaxed);
    store->depth = 1;
    store->context.real_stack_limit = limit;
    vm_set_stack_limit(&store->context, limit);
    /* a ticker that falls asleep looks once more when this load, or the store of `running` before it, has long been seen (ticker.c) */
    atomic_signal_fence(memory_order_seq_cst);
    if (__builtin_expect(atomic_load_explicit(&vm_ticker_state, memory_order_relaxed) != 0, 0)) vm_ticker_wake();
}

static inline WrEnterResult store_enter(WrStore *store, WrEntry *entry, uintptr_t sp, bool is_held)
{
    WrThread *thread = vm_thread, *nobody = NULL;
    if (__builtin_expect(thread == NULL, 0) && (thread = vm_thread_attach()) == NULL) return WR_ENTER_NO_STACK;
    VMStoreContext *previous = atomic_load_explicit(&thread->running, memory_order_relaxed);
    WrThread *owner = atomic_load_explicit(&store->owner, memory_order_relaxed);
    entry->previous = previous;
    if (owner == thread) {
        /* its limit is for another stack: of this one nothing would find the end (fiber.c) */
        if (__builtin_expect(store->context.real_stack_limit - thread->stack_low >= thread->stack_high - thread->stack_low, 0)) {
            store->num_trap_frames = 0;
            return WR_ENTER_NO_STACK;
        }
        /* a stale interrupt is served by the next check in the guest; entry trampolines compare with real_stack_limit */
        atomic_store_explicit(&thread->running, &store->context, memory_order_release);
        entry->depth = ++store->depth;
        return WR_ENTER_OK;
    }
    if (owner != NULL) return owner->is_lost ? WR_ENTER_LOST : WR_ENTER_BUSY;
    if (!store_has_room(thread, sp)) {
        store->num_trap_frames = 0;
        return WR_ENTER_NO_STACK;
    }
    if (is_held)
        atomic_store_explicit(&store->owner, thread, memory_order_relaxed);
    else if (!atomic_compare_exchange_strong(&store->owner, &nobody, thread))
        return WR_ENTER_BUSY;
    atomic_store_explicit(&thread->running, &store->context, memory_order_release);
    entry->depth = 1;
    store_begin(store, thread, sp);
    return WR_ENTER_OK;
}

WrEnterResult wr_store_enter(WrStore *store, WrEntry *entry)
{
    return store_enter(store, entry, (uintptr_t)__builtin_frame_address(0), false);
}

WrEnterResult wr_store_enter_held(WrStore *store, WrEntry *entry)
{
    return store_enter(store, entry, (uintptr_t)__builtin_frame_address(0), true);
}

/* `thread` runs the store, whose outermost entry is over. */
static inline void store_end(WrStore *store, WrThread *thread, VMStoreContext *previous)
{
    if (__builtin_expect(store->exceptions.num_live > VM_EXCEPTIONS_LEAVE + 2 * store->exceptions.kept, 0)) vm_exceptions_leave(store);
    atomic_store_explicit(&thread->running, previous, memory_order_release);
    atomic_store_explicit(&store->owner, NULL, memory_order_release);
}

WrCallResult wr_store_call_held(WrStore *store, const VMFuncRef *func, ValRaw *values, size_t capacity, WrEntry *entry)
{
    WrThread *thread = vm_thread;
    uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
    const WrHost *host = store->context.host;
    if (thread == NULL || atomic_load_explicit(&store->owner, memory_order_relaxed) != NULL || !store_has_room(thread, sp)) return WR_CALL_DECLINED;
    VMStoreContext *previous = atomic_load_explicit(&thread->running, memory_order_relaxed);
    atomic_store_explicit(&store->owner, thread, memory_order_relaxed);
    atomic_store_explicit(&thread->running, &store->context, memory_order_release);
    entry->previous = previous;
    entry->depth = 1;
    store_begin(store, thread, sp);
    if (!func->array_call(func->vmctx, func->vmctx, values, capacity)) return WR_CALL_FAILED;
    if (__builtin_expect(host->away != NULL || host->attention != 0, 0)) return WR_CALL_STAYED;
    store->depth = 0;
    store_end(store, thread, previous);
    return WR_CALL_DONE;
}

void wr_store_leave(WrStore *store, WrEntry *entry)
{
    WrThread *thread = atomic_load_explicit(&store->owner, memory_order_relaxed);
    if (thread == NULL) return;
    if (--store->depth == 0)
        store_end(store, thread, entry->previous);
    else
        atomic_store_explicit(&thread->running, entry->previous, memory_order_release);
}

void wr_interrupt_all(void)
{
    for (WrThread *thread = vm_threads(); thread != NULL; thread = thread->next) {
        VMStoreContext *context = atomic_load_explicit(&thread->running, memory_order_acquire);
        if (context != NULL) vm_set_stack_limit(context, WR_INTERRUPTED);
    }
}
