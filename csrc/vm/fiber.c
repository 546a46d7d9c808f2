/* Fibers: stacks that guest code runs on and can be left in the middle of.
 *
 * A thread of a component's asynchronous ABI blocks inside a host function that its guest called. wr_fiber_suspend, called there, goes back to whoever
 * called wr_fiber_call or wr_fiber_resume, who later comes back to the same place. Only frames of guest code and of C that holds nothing may lie on a
 * fiber that is suspended: no Python frame, since an interpreter keeps its own chain of them.
 *
 * What belongs to a stack in the VMStoreContext is exchanged at each switch: the stack limits, the chain of entries and the exit frame. A fiber's own chain
 * ends at its first entry, so that walks over frames never leave the stack they began on. While a fiber has frames, nothing is collected: no collection
 * looks at its stack (gc.c). Stacks are mapped, with a page without access below them; a few empty ones are kept by each store. */
#include <stdlib.h>
#include <string.h>

#include "os/pages.h"
#include "vm/store.h"
#include "wasm/limits.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define FIBER_ASAN 1
#else
#define FIBER_ASAN 0
#endif

/* Below what guests may use: host functions, and what they call, run there. Pages that nobody touches take no memory. */
#define FIBER_HOST_BYTES ((size_t)8 << 20)

struct WrFiber {
    WrStore *store;
    uint8_t *mapping;
    size_t mapping_bytes;
    void *sp;                 /* where it goes on; of a fiber that runs: where its resumer does */
    WrFiberState state;
    bool is_running;
    const VMFuncRef *func;    /* what the call that begins calls */
    ValRaw values[WR_FIBER_VALUES];
    size_t capacity;
    /* the other side's, while it is not running there */
    VMEntryRecord *last_entry;
    void *exit_fp;
    uintptr_t limit;
    WrFiber *next_free;
    WrFiber *next, **link;    /* of the store's, idle or not; what points here */
#if FIBER_ASAN
    void *fake_stack, *resumer_fake_stack;
    const void *resumer_bottom;
    size_t resumer_bytes;
#endif
};

/* void fiber_switch(void **out_sp rdi, void *sp rsi): callee-saved registers are on the stacks that are left and gone to. */
void fiber_switch(void **out_sp, void *sp) __attribute__((visibility("hidden")));
void fiber_start(void) __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".p2align 4\n"
        ".hidden fiber_switch\n"
        ".globl fiber_switch\n"
        ".type fiber_switch, @function\n"
        "fiber_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size fiber_switch, . - fiber_switch\n"
        ".p2align 4\n"
        ".hidden fiber_start\n"
        ".globl fiber_start\n"
        ".type fiber_start, @function\n"
        "fiber_start:\n" /* the first switch to a stack returns here, with the fiber in rbx and rsp at a multiple of 16 */
        "    movq %rbx, %rdi\n"
        "    call fiber_run\n"
        "    ud2\n"
        ".size fiber_start, . - fiber_start\n");

void fiber_run(WrFiber *fiber) __attribute__((visibility("hidden"), noreturn, used));

static uintptr_t fiber_top(const WrFiber *fiber) { return (uintptr_t)fiber->mapping + fiber->mapping_bytes; }

/* The two sides exchange what the VMStoreContext holds of their stacks. */
static void fiber_exchange(WrFiber *fiber)
{
    VMStoreContext *context = &fiber->store->context;
    VMEntryRecord *last_entry = context->last_entry;
    void *exit_fp = context->exit_fp;
    uintptr_t limit = context->real_stack_limit;
    context->last_entry = fiber->last_entry;
    context->exit_fp = fiber->exit_fp;
    context->real_stack_limit = fiber->limit;
    vm_set_stack_limit(context, fiber->limit);
    fiber->last_entry = last_entry;
    fiber->exit_fp = exit_fp;
    fiber->limit = limit;
}

static WrFiberState fiber_enter(WrFiber *fiber)
{
    /* who enters another store meanwhile does so on this stack */
    WrThread *thread = vm_thread;
    const uintptr_t low = thread->stack_low, high = thread->stack_high, entry_low = thread->entry_low, entry_span = thread->entry_span;
    thread->stack_low = (uintptr_t)fiber->mapping + wr_os_page_size();
    thread->stack_high = fiber_top(fiber);
    thread->entry_low = thread->stack_low + VM_STACK_RESERVE_BYTES + VM_STACK_MIN_BYTES;
    thread->entry_span = thread->stack_high - thread->entry_low;
    fiber_exchange(fiber);
    fiber->is_running = true;
#if FIBER_ASAN
    __sanitizer_start_switch_fiber(&fiber->resumer_fake_stack, fiber->mapping, fiber->mapping_bytes);
#endif
    fiber_switch(&fiber->sp, fiber->sp);
#if FIBER_ASAN
    __sanitizer_finish_switch_fiber(fiber->resumer_fake_stack, NULL, NULL);
#endif
    fiber->is_running = false;
    fiber_exchange(fiber);
    thread->stack_low = low;
    thread->stack_high = high;
    thread->entry_low = entry_low;
    thread->entry_span = entry_span;
    return fiber->state;
}

static void fiber_leave(WrFiber *fiber)
{
#if FIBER_ASAN
    __sanitizer_start_switch_fiber(&fiber->fake_stack, fiber->resumer_bottom, fiber->resumer_bytes);
#endif
    fiber_switch(&fiber->sp, fiber->sp);
#if FIBER_ASAN
    __sanitizer_finish_switch_fiber(fiber->fake_stack, &fiber->resumer_bottom, &fiber->resumer_bytes);
#endif
}

/* The bottom of every fiber: one call after the other. */
void fiber_run(WrFiber *fiber)
{
#if FIBER_ASAN
    __sanitizer_finish_switch_fiber(NULL, &fiber->resumer_bottom, &fiber->resumer_bytes);
#endif
    for (;;) {
        bool ok = fiber->func->array_call(fiber->func->vmctx, fiber->func->vmctx, fiber->values, fiber->capacity);
        wr_store_gc_hold(fiber->store, false);
        fiber->state = ok ? WR_FIBER_DONE : WR_FIBER_FAILED;
        fiber_leave(fiber);
    }
}

WrFiber *wr_fiber_new(WrStore *store, WrError *error)
{
    WrFiber *fiber = store->fibers;
    if (fiber != NULL) {
        store->fibers = fiber->next_free;
        store->num_fibers--;
        return fiber;
    }
    if (store->num_all_fibers >= WR_LIMIT_TASK_STACKS) {
        wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "more than %u stacks of asynchronous tasks: the limit TASK_STACKS", WR_LIMIT_TASK_STACKS);
        return NULL;
    }
    size_t page = wr_os_page_size();
    size_t bytes = wr_os_round_to_pages(store->max_wasm_stack + FIBER_HOST_BYTES) + page;
    fiber = calloc(1, sizeof *fiber);
    if (fiber == NULL || (fiber->mapping = wr_os_reserve(bytes)) == NULL || !wr_os_protect(fiber->mapping + page, bytes - page, WR_OS_READ_WRITE)) {
        if (fiber != NULL) wr_os_release(fiber->mapping, bytes);
        free(fiber);
        wr_os_memory_error(error, "a stack for an asynchronous task", bytes);
        return NULL;
    }
    fiber->store = store;
    fiber->link = &store->all_fibers;
    fiber->next = store->all_fibers;
    if (fiber->next != NULL) fiber->next->link = &fiber->next;
    store->all_fibers = fiber;
    store->num_all_fibers++;
    fiber->mapping_bytes = bytes;
    fiber->limit = fiber_top(fiber) - store->max_wasm_stack;
    fiber->state = WR_FIBER_DONE;
    /* what fiber_switch pops (r15, r14, r13, r12, rbx, rbp), then where it returns to, then an end for whoever walks frames; 7 + 4: aligned there */
    uintptr_t *sp = (uintptr_t *)fiber_top(fiber) - 11;
    memset(sp, 0, 11 * sizeof *sp);
    sp[4] = (uintptr_t)fiber;
    sp[6] = (uintptr_t)fiber_start;
    fiber->sp = sp;
    return fiber;
}

static void fiber_unmap(WrFiber *fiber)
{
    fiber->store->num_all_fibers--;
    *fiber->link = fiber->next;
    if (fiber->next != NULL) fiber->next->link = fiber->link;
    wr_os_release(fiber->mapping, fiber->mapping_bytes);
    free(fiber);
}

void wr_fiber_free(WrFiber *fiber)
{
    if (fiber == NULL || fiber->is_running) return;
    WrStore *store = fiber->store;
    if (fiber->state == WR_FIBER_SUSPENDED) wr_store_gc_hold(store, false); /* its frames go */
    if (fiber->state != WR_FIBER_DONE || store->num_fibers >= WR_FIBERS_KEPT) {
        fiber_unmap(fiber);
        return;
    }
    fiber->next_free = store->fibers;
    store->fibers = fiber;
    store->num_fibers++;
}

void vm_fibers_free(WrStore *store)
{
    while (store->all_fibers != NULL) fiber_unmap(store->all_fibers);
    store->fibers = NULL;
    store->num_fibers = 0;
}

ValRaw *wr_fiber_values(WrFiber *fiber) { return fiber->values; }

WrFiberState wr_fiber_call(WrFiber *fiber, const VMFuncRef *func)
{
    fiber->func = func;
    fiber->capacity = WR_FIBER_VALUES;
    fiber->last_entry = NULL;
    fiber->exit_fp = NULL;
    wr_store_gc_hold(fiber->store, true);
    return fiber_enter(fiber);
}

WrFiberState wr_fiber_resume(WrFiber *fiber)
{
    return fiber_enter(fiber);
}

void wr_fiber_suspend(WrFiber *fiber)
{
    fiber->state = WR_FIBER_SUSPENDED;
    fiber_leave(fiber);
}
