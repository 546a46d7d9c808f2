/* Fibers: calls that are left in the middle, resumed elsewhere, dropped, nested. Functions of the host's stand for guests: what blocks is one. */
#include "check.h"

#include "vm/store.h"

static WrStore *store;
static WrFiber *running;
static int steps;

static bool blocks_twice(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    (void)callee, (void)caller, (void)capacity;
    WrFiber *fiber = running;
    volatile char room[4096];
    for (size_t i = 0; i < sizeof room; i++) room[i] = (char)values[0].i32;
    steps++;
    wr_fiber_suspend(fiber);
    steps++;
    wr_fiber_suspend(fiber);
    bool same = true;
    for (size_t i = 0; i < sizeof room; i++) same &= room[i] == (char)values[0].i32;
    values[0].i32 = same ? values[0].i32 + 1 : -1;
    return true;
}

static bool fails(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    (void)callee, (void)caller, (void)values, (void)capacity;
    return false;
}

static bool nests(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    (void)callee, (void)caller, (void)capacity;
    WrError error = {0};
    WrFiber *inner = wr_fiber_new(store, &error);
    VMFuncRef func = {.array_call = blocks_twice};
    wr_fiber_values(inner)[0].i32 = 7;
    running = inner;
    CHECK(wr_fiber_call(inner, &func) == WR_FIBER_SUSPENDED);
    CHECK(wr_fiber_resume(inner) == WR_FIBER_SUSPENDED);
    CHECK(wr_fiber_resume(inner) == WR_FIBER_DONE);
    values[0] = wr_fiber_values(inner)[0];
    wr_fiber_free(inner);
    return true;
}

int main(void)
{
    WrError error = {0};
    WrTypeRegistry *registry = wr_types_new();
    WrEntry entry;
    store = wr_store_new(registry, 512 << 10, NULL, &error);
    CHECK(store != NULL);
    CHECK(wr_store_enter(store, &entry) == WR_ENTER_OK);
    uintptr_t limit = store->context.real_stack_limit;
    WrFiber *fibers[40];
    VMFuncRef func = {.array_call = blocks_twice};

    for (int i = 0; i < 40; i++) { /* all of them in the middle of a call */
        fibers[i] = wr_fiber_new(store, &error);
        CHECK(fibers[i] != NULL);
        wr_fiber_values(fibers[i])[0].i32 = i;
        running = fibers[i];
        CHECK(wr_fiber_call(fibers[i], &func) == WR_FIBER_SUSPENDED);
        CHECK(store->context.real_stack_limit == limit);
    }
    CHECK(steps == 40 && store->heap.hold == 40);
    for (int i = 39; i >= 0; i -= 2) { /* half of them end, in another order than they began */
        CHECK(wr_fiber_resume(fibers[i]) == WR_FIBER_SUSPENDED);
        CHECK(wr_fiber_resume(fibers[i]) == WR_FIBER_DONE);
        CHECK(wr_fiber_values(fibers[i])[0].i32 == i + 1);
        wr_fiber_free(fibers[i]);
    }
    CHECK(store->heap.hold == 20 && store->num_fibers == WR_FIBERS_KEPT);
    for (int i = 0; i < 40; i += 2) wr_fiber_free(fibers[i]); /* the others are dropped with their frames */
    CHECK(store->heap.hold == 0);

    WrFiber *fiber = wr_fiber_new(store, &error);
    VMFuncRef failing = {.array_call = fails}, nesting = {.array_call = nests};
    CHECK(wr_fiber_call(fiber, &nesting) == WR_FIBER_DONE);
    CHECK(wr_fiber_values(fiber)[0].i32 == 8);
    CHECK(wr_fiber_call(fiber, &failing) == WR_FIBER_FAILED);
    wr_fiber_free(fiber);
    CHECK(store->context.real_stack_limit == limit);

    fiber = wr_fiber_new(store, &error); /* left to its store */
    running = fiber;
    CHECK(wr_fiber_call(fiber, &func) == WR_FIBER_SUSPENDED);
    wr_store_leave(store, &entry);
    wr_store_free(store);
    wr_types_release(registry);
    return check_result();
}
