/* Entering and leaving stores, the ticker, fork, and what a store owns without instances. No machine code runs here. */
#include "check.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/thread.h"
#include "vm/store.h"

#define MIB ((size_t)1 << 20)

static WrTypeRegistry *registry;

static WrStore *new_store(void)
{
    WrError error = { 0 };
    WrStore *store = wr_store_new(registry, MIB, NULL, &error);
    REQUIRE(store != NULL);
    return store;
}

static void enter_sets_the_limit(void)
{
    WrStore *store = new_store();
    WrEntry outer, inner;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    CHECK(!wr_store_running(store));
    CHECK_EQ(wr_store_enter(store, &outer), WR_ENTER_OK);
    CHECK(wr_store_running(store));
    uintptr_t limit = wr_store_context(store)->real_stack_limit;
    CHECK(limit < here && here - limit < MIB + 4096);
    CHECK(limit >= vm_thread->stack_low + VM_STACK_RESERVE_BYTES);
    CHECK_EQ(wr_store_enter(store, &inner), WR_ENTER_OK);
    CHECK_EQ(wr_store_context(store)->real_stack_limit, limit);
    wr_store_free(store); /* refused: it runs */
    wr_store_leave(store, &inner);
    CHECK(wr_store_running(store));
    wr_store_leave(store, &outer);
    CHECK(!wr_store_running(store));
    CHECK(vm_thread->running == NULL);
    wr_store_free(store);
}

static void stores_nest(void)
{
    WrStore *a = new_store(), *b = new_store();
    WrEntry entries[3];
    CHECK_EQ(wr_store_enter(a, &entries[0]), WR_ENTER_OK);
    CHECK_EQ(wr_store_enter(b, &entries[1]), WR_ENTER_OK);
    CHECK(vm_thread->running == &b->context);
    CHECK_EQ(wr_store_enter(a, &entries[2]), WR_ENTER_OK);
    CHECK(vm_thread->running == &a->context);
    wr_store_leave(a, &entries[2]);
    CHECK(vm_thread->running == &b->context);
    wr_store_leave(b, &entries[1]);
    CHECK(vm_thread->running == &a->context);
    wr_store_leave(a, &entries[0]);
    wr_store_free(a);
    wr_store_free(b);
}

static void *enter_elsewhere(void *argument)
{
    WrEntry entry;
    return (void *)(uintptr_t)wr_store_enter(argument, &entry);
}

static void a_second_thread_is_told(void)
{
    WrStore *store = new_store();
    WrEntry entry;
    pthread_t thread;
    void *result;
    CHECK_EQ(wr_store_enter(store, &entry), WR_ENTER_OK);
    REQUIRE(pthread_create(&thread, NULL, enter_elsewhere, store) == 0);
    pthread_join(thread, &result);
    CHECK_EQ(result, WR_ENTER_BUSY);
    wr_store_leave(store, &entry);
    wr_store_free(store);
}

static WrEnterResult enter_deep(WrStore *store, uintptr_t stop)
{
    volatile char frame[4096];
    frame[0] = 0;
    if ((uintptr_t)__builtin_frame_address(0) > stop) return enter_deep(store, stop + (uintptr_t)frame[0]);
    WrEntry entry;
    WrEnterResult result = wr_store_enter(store, &entry);
    if (result == WR_ENTER_OK) wr_store_leave(store, &entry);
    return result;
}

static void no_entry_at_the_end_of_the_stack(void)
{
    WrStore *store = new_store();
    CHECK_EQ(enter_deep(store, vm_thread->stack_low + VM_STACK_RESERVE_BYTES + VM_STACK_MIN_BYTES / 2), WR_ENTER_NO_STACK);
    CHECK_EQ(enter_deep(store, vm_thread->stack_low + VM_STACK_RESERVE_BYTES + 64 * 1024), WR_ENTER_OK);
    CHECK(!wr_store_running(store));
    wr_store_free(store);
}

static bool interrupted_within(WrStore *store, uint64_t milliseconds)
{
    uint64_t end = wr_os_monotonic_ns() + milliseconds * 1000000;
    while (wr_os_monotonic_ns() < end) {
        if (vm_stack_limit(&store->context) == WR_INTERRUPTED) return true;
        wr_os_sleep_ns(200000);
    }
    return false;
}

static void long_entries_are_interrupted(void)
{
    WrStore *store = new_store();
    WrEntry entry;
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(wr_store_enter(store, &entry), WR_ENTER_OK);
        CHECK(interrupted_within(store, 2000));
        /* and again after it was served */
        vm_set_stack_limit(&store->context, store->context.real_stack_limit);
        CHECK(interrupted_within(store, 2000));
        wr_store_leave(store, &entry);
        if (round == 1) { /* let it fall asleep */
            uint64_t end = wr_os_monotonic_ns() + 2000000000u;
            while (atomic_load(&vm_ticker_state) == 0 && wr_os_monotonic_ns() < end) wr_os_sleep_ns(1000000);
            CHECK(atomic_load(&vm_ticker_state) != 0);
        }
    }
    wr_store_free(store);
}

static void short_entries_are_not(void)
{
    WrStore *store = new_store();
    WrEntry entry;
    uint32_t interrupted = 0, rounds = 0;
    uint64_t end = wr_os_monotonic_ns() + 50000000;
    while (wr_os_monotonic_ns() < end) {
        CHECK_EQ(wr_store_enter(store, &entry), WR_ENTER_OK);
        interrupted += vm_stack_limit(&store->context) == WR_INTERRUPTED;
        wr_store_leave(store, &entry);
        rounds++;
    }
    CHECK(rounds > 100);
    CHECK(interrupted <= 2); /* a thread that is not scheduled for two ticks looks like a long entry */
    wr_store_free(store);
}

static void everyone_can_be_interrupted(void)
{
    WrStore *store = new_store();
    WrEntry entry;
    CHECK_EQ(wr_store_enter(store, &entry), WR_ENTER_OK);
    wr_interrupt_all();
    CHECK_EQ(vm_stack_limit(&store->context), WR_INTERRUPTED);
    wr_store_leave(store, &entry);
    wr_store_free(store);
}

static int exit_code(pid_t child)
{
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void a_child_has_its_ticker(void)
{
    WrStore *store = new_store();
    WrEntry entry;
    CHECK_EQ(wr_store_enter(store, &entry), WR_ENTER_OK);
    pid_t child = fork();
    if (child == 0) { /* inside an entry */
        vm_set_stack_limit(&store->context, store->context.real_stack_limit);
        if (!interrupted_within(store, 2000)) _exit(1);
        wr_store_leave(store, &entry);
        if (wr_store_enter(store, &entry) != WR_ENTER_OK) _exit(2);
        _exit(interrupted_within(store, 2000) ? 0 : 3);
    }
    CHECK_EQ(exit_code(child), 0);
    wr_store_leave(store, &entry);
    child = fork();
    if (child == 0) { /* outside */
        if (wr_store_enter(store, &entry) != WR_ENTER_OK) _exit(2);
        _exit(interrupted_within(store, 2000) ? 0 : 3);
    }
    CHECK_EQ(exit_code(child), 0);
    wr_store_free(store);
}

static void *enter_and_wait(void *argument)
{
    void **shared = argument;
    WrEntry entry;
    bool ok = wr_store_enter(shared[0], &entry) == WR_ENTER_OK;
    __atomic_store_n(&shared[1], ok ? shared : NULL, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&shared[2], __ATOMIC_SEQ_CST) == NULL) wr_os_sleep_ns(1000000);
    if (ok) wr_store_leave(shared[0], &entry);
    return NULL;
}

/* What another thread of the parent ran stays claimed in the child, says so, and is not freed; the rest goes on. */
static void a_store_that_another_thread_ran_is_lost(void)
{
    WrStore *store = new_store(), *idle = new_store();
    void *shared[3] = { store, NULL, NULL };
    WrEntry entry;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, enter_and_wait, shared) == 0);
    while (__atomic_load_n(&shared[1], __ATOMIC_SEQ_CST) == NULL) wr_os_sleep_ns(1000000);
    CHECK_EQ(wr_store_enter(store, &entry), WR_ENTER_BUSY);
    pid_t child = fork();
    if (child == 0) {
        if (wr_store_enter(store, &entry) != WR_ENTER_LOST) _exit(1);
        if (!wr_store_running(store)) _exit(2);
        wr_store_free(store);
        if (wr_store_enter(store, &entry) != WR_ENTER_LOST) _exit(3);
        if (wr_store_enter(idle, &entry) != WR_ENTER_OK) _exit(4);
        wr_store_leave(idle, &entry);
        _exit(0);
    }
    CHECK_EQ(exit_code(child), 0);
    __atomic_store_n(&shared[2], shared, __ATOMIC_SEQ_CST);
    pthread_join(thread, NULL);
    CHECK_EQ(wr_store_enter(store, &entry), WR_ENTER_OK);
    wr_store_leave(store, &entry);
    wr_store_free(store);
    wr_store_free(idle);
}

static void *run_and_end(void *argument)
{
    WrEntry entry;
    if (wr_store_enter(argument, &entry) == WR_ENTER_OK) wr_store_leave(argument, &entry);
    return vm_thread;
}

static void threads_are_reused(void)
{
    WrStore *store = new_store();
    pthread_t thread;
    void *first, *second;
    REQUIRE(pthread_create(&thread, NULL, run_and_end, store) == 0);
    pthread_join(thread, &first);
    REQUIRE(pthread_create(&thread, NULL, run_and_end, store) == 0);
    pthread_join(thread, &second);
    CHECK(first == second && first != NULL && first != (void *)vm_thread);
    wr_store_free(store);
}

static void traps_without_frames(void)
{
    WrStore *store = new_store();
    WrFrame frames[4];
    wr_store_trap(store, TRAP_UNREACHABLE);
    CHECK_EQ(wr_store_context(store)->trap_code, TRAP_UNREACHABLE);
    CHECK_EQ(wr_store_backtrace(store, frames, 4), 0);
    CHECK_EQ(wr_store_callers(store, frames, 4), 0);
    CHECK_STR(wr_trap_message(TRAP_UNREACHABLE), "wasm `unreachable` instruction executed");
    CHECK(wr_trap_message(99999) == NULL);
    wr_store_free(store);
}

static void externrefs(void)
{
    WrStore *store = new_store();
    static char objects[1000];
    bool is_new;
    CHECK_EQ(wr_externref_new(store, NULL, &is_new), 0);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(wr_externref_new(store, &objects[i], &is_new), (uint64_t)(i + 1) << 2 | VM_REF_HOST_BITS);
        CHECK(is_new);
    }
    CHECK_EQ(wr_externref_new(store, &objects[7], &is_new), 8 << 2 | VM_REF_HOST_BITS);
    CHECK(!is_new);
    CHECK(wr_externref_get(store, 8 << 2 | VM_REF_HOST_BITS) == &objects[7]);
    CHECK(wr_externref_get(store, 8) == NULL);
    CHECK(wr_externref_get(store, 0) == NULL);
    CHECK(wr_externref_get(store, 1001 << 2 | VM_REF_HOST_BITS) == NULL);
    CHECK(wr_externref_get(store, UINT64_MAX) == NULL);
    wr_store_free(store);
}

static void handles(void)
{
    WrHandleTable *table = wr_handles_new();
    WrHandle handle = { .kind = WR_HANDLE_OWN, .rep = 42 };
    CHECK(wr_handles_get(table, 0) == NULL);
    CHECK(wr_handles_get(table, 1) == NULL);
    for (uint32_t i = 1; i <= 100; i++) CHECK_EQ(wr_handles_add(table, &handle), i);
    CHECK(wr_handles_remove(table, 3));
    CHECK(!wr_handles_remove(table, 3));
    CHECK(wr_handles_remove(table, 50));
    CHECK(wr_handles_get(table, 50) == NULL);
    CHECK_EQ(wr_handles_count(table), 98);
    /* last in, first out */
    CHECK_EQ(wr_handles_add(table, &handle), 50);
    CHECK_EQ(wr_handles_add(table, wr_handles_get(table, 1)), 3);
    CHECK_EQ(wr_handles_add(table, &handle), 101);
    CHECK_EQ(wr_handles_get(table, 3)->rep, 42);
    CHECK(wr_handles_get(table, UINT32_MAX) == NULL);
    CHECK(!wr_handles_remove(table, 0));
    wr_handles_free(table);
    wr_handles_free(NULL);
}

/* Freed stores wait for their next life, since the ticker may still write to them. */
static void store_memory_is_reused(void)
{
    WrStore *first = new_store();
    wr_store_free(first);
    WrStore *second = new_store();
    CHECK(first == second);
    CHECK_EQ(second->context.trap_code, 0);
    wr_store_free(second);
}

int main(void)
{
    registry = wr_types_new();
    REQUIRE(registry != NULL);
    RUN(enter_sets_the_limit);
    RUN(stores_nest);
    RUN(a_second_thread_is_told);
    RUN(no_entry_at_the_end_of_the_stack);
    RUN(long_entries_are_interrupted);
    RUN(short_entries_are_not);
    RUN(everyone_can_be_interrupted);
    RUN(a_child_has_its_ticker);
    RUN(a_store_that_another_thread_ran_is_lost);
    RUN(threads_are_reused);
    RUN(traps_without_frames);
    RUN(externrefs);
    RUN(handles);
    RUN(store_memory_is_reused);
    wr_types_release(registry);
    return check_result();
}
