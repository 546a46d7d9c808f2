/* Faults of guest code become traps; all other signals go where they went before.
 *
 * A fault is ours when its pc is in a trap table (in an image that was loaded: in its text, for its table may be damaged), this thread runs a store, and, for
 * memory faults, the address lies in a memory of that store. Then
 * the reason is recorded and the thread goes on at the landing pad of the innermost entry: only registers are edited, no frame of C is skipped.
 * The handler takes no lock, allocates nothing and reads only what its own thread or nobody changes.
 *
 * Handlers before ours are called from ours. Whoever installs one later usually calls ours from theirs; faulthandler instead prints, puts ours back
 * and raises the signal anew. New stores put ours in front again (vm_signals_refresh), so up to TRAPS_MAX_PREVIOUS handlers of others are kept. A
 * handler that we call may raise the signal again: each deeper round gets the handler before, the last one the default action. */
#include <errno.h>
#include <stddef.h>

#include "os/pages.h"
#include "os/signals.h"
#include "vm/objects.h"

#define TRAPS_MAX_PREVIOUS 4u
enum { TRAPS_SIGILL, TRAPS_SIGSEGV, TRAPS_SIGBUS, TRAPS_SIGFPE, TRAPS_NUM_SIGNALS };

static const int traps_signals[TRAPS_NUM_SIGNALS] = { SIGILL, SIGSEGV, SIGBUS, SIGFPE };
static struct sigaction traps_previous[TRAPS_NUM_SIGNALS][TRAPS_MAX_PREVIOUS]; /* oldest first */
static _Atomic uint32_t traps_num_previous[TRAPS_NUM_SIGNALS];
static _Atomic bool traps_installed;

/* How deep this thread is in handlers that ours called, and the frame of the outermost of those calls: at or above it, they were jumped out of. */
static __thread uint32_t traps_depth __attribute__((tls_model("initial-exec")));
static __thread uintptr_t traps_outer_frame __attribute__((tls_model("initial-exec")));

static unsigned traps_index(int signal)
{
    unsigned i = 0;
    while (i < TRAPS_NUM_SIGNALS - 1 && traps_signals[i] != signal) i++;
    return i;
}

/* The running store's context while guest frames are on this thread. */
static VMStoreContext *traps_running(void)
{
    if (vm_thread == NULL) return NULL;
    VMStoreContext *context = atomic_load_explicit(&vm_thread->running, memory_order_relaxed);
    return context != NULL && context->last_entry != NULL ? context : NULL;
}

/* Whether pc belongs to the innermost entry: then its frame is linked and every frame up to it is ours. Before that, in an entry stub, the caller's frame is
 * still the innermost one. Frames below `entry` are those of this thread's stack, so the walk reads nothing else. */
static bool traps_is_linked(const VMEntryRecord *entry, WrOsRegisters registers)
{
    uintptr_t fp = registers.fp, end = (uintptr_t)entry->entry_fp;
    for (uint32_t i = 0; i < 1000000 && fp >= registers.sp && fp <= end && fp % 8 == 0; i++) {
        if (fp == end) return true;
        fp = *(const uintptr_t *)fp;
    }
    return false;
}

/* A page of a mapped image is gone, since its file was truncated. Neither its tables nor the landing pad can be relied upon: what the landing pad would do
 * is done to the registers here, and the array call returns false. At the first instruction of an entry stub there is only the return address to go to; whoever
 * comes to a landing pad has said why. */
static bool traps_claim_truncated(VMStoreContext *context, const siginfo_t *info, WrOsRegisters registers, void *machine_context)
{
    if (!wr_code_break(registers.pc, (uintptr_t)info->si_addr, info->si_signo == SIGBUS)) return false;
    VMEntryRecord *entry = context->last_entry;
    const bool is_landing = entry != NULL && registers.pc == (uintptr_t)entry->landing_pc && registers.sp == (uintptr_t)entry;
    if (is_landing || (entry != NULL && traps_is_linked(entry, registers))) {
        const uintptr_t *fp = entry->entry_fp;
        uintptr_t saved[] = {fp[-1], fp[-2], fp[-3], fp[-4], fp[-5]};
        if (!is_landing) vm_trap_record(context, TRAP_BUS_ERROR, registers.pc, registers.fp);
        context->last_entry = entry->prev;
        context->exit_fp = entry->prev_exit_fp;
        wr_os_return_false(machine_context, fp[1], (uintptr_t)(fp + 2), fp[0], saved);
    } else {
        vm_trap_record(context, TRAP_BUS_ERROR, 0, 0);
        wr_os_return_false(machine_context, *(const uintptr_t *)registers.sp, registers.sp + 8, registers.fp, NULL);
    }
    context->trap_address = (uintptr_t)info->si_addr;
    return true;
}

static _Atomic bool traps_have_filled; /* a memory has lost pages, some time */

bool vm_signals_have_filled(void) { return atomic_load_explicit(&traps_have_filled, memory_order_relaxed); }

/* What reads a truncated file elsewhere than in guest code goes on with zeros. A reader of an image finds it broken when it is done; so does who reads a
 * memory which starts from an image of the file (wr_memory_is_lost). Guest code of such a memory is gone too: text lies behind the images. */
static bool traps_fill_missing(uintptr_t address)
{
    if (wr_code_fill_missing(address)) return true;
    bool filled = wr_code_fill_memory(address);
    VMStoreContext *entered = vm_thread != NULL ? atomic_load_explicit(&vm_thread->running, memory_order_relaxed) : NULL;
    if (!filled && entered != NULL && vm_memory_owns_address(vm_store_of(entered), address))
        filled = wr_os_map_zeros((void *)(address & ~(uintptr_t)(wr_os_page_size() - 1)), wr_os_page_size());
    if (filled) atomic_store(&traps_have_filled, true);
    return filled;
}

static bool traps_claim(int signal, const siginfo_t *info, void *machine_context)
{
    WrOsRegisters registers = wr_os_registers(machine_context);
    if ((signal == SIGBUS || signal == SIGSEGV) && wr_os_signal_is_fault(info) && vm_thread != NULL) {
        VMStoreContext *entered = atomic_load_explicit(&vm_thread->running, memory_order_relaxed);
        if (entered != NULL && traps_claim_truncated(entered, info, registers, machine_context)) return true;
    }
    VMStoreContext *context = traps_running();
    if (context == NULL || !wr_os_signal_is_fault(info)) return false;
    int32_t code = wr_code_trap_at(registers.pc);
    if (code < 0) return false;
    if (wr_trap_message((uint32_t)code) == NULL || code == TRAP_HOST) code = TRAP_ARTIFACT_DAMAGED; /* rows of a file can say anything */
    uintptr_t address = 0;
    if (signal == SIGSEGV || signal == SIGBUS) {
        address = (uintptr_t)info->si_addr;
        if (!vm_memory_owns_address(vm_store_of(context), address)) return false;
        if (signal == SIGBUS) code = TRAP_BUS_ERROR;
    }
    vm_trap_record(context, (uint32_t)code, registers.pc, registers.fp);
    context->trap_address = address;
    wr_os_resume_at(machine_context, (uintptr_t)context->last_entry->landing_pc, (uintptr_t)context->last_entry);
    return true;
}

/* `frame` is the handler's. */
static bool traps_in_chain(uintptr_t frame)
{
    if (traps_depth != 0 && frame >= traps_outer_frame) traps_depth = 0;
    return traps_depth != 0;
}

static void traps_chain(int signal, siginfo_t *info, void *machine_context, uintptr_t frame)
{
    unsigned index = traps_index(signal);
    if (!traps_in_chain(frame)) traps_outer_frame = frame;
    uint32_t count = atomic_load_explicit(&traps_num_previous[index], memory_order_acquire), depth = traps_depth;
    const struct sigaction *previous = depth < count ? &traps_previous[index][count - 1 - depth] : NULL;
    if (previous != NULL && (previous->sa_flags & SA_SIGINFO) == 0) {
        if (previous->sa_handler == SIG_IGN && !wr_os_signal_is_fault(info)) return;
        /* ignoring a fault would run the same instruction for ever */
        if (previous->sa_handler == SIG_IGN || previous->sa_handler == SIG_DFL) previous = NULL;
    }
    if (previous == NULL) {
        wr_os_signal_default(signal, info);
        return;
    }
    traps_depth++;
    if (previous->sa_flags & SA_SIGINFO)
        previous->sa_sigaction(signal, info, machine_context);
    else
        previous->sa_handler(signal);
    if (traps_depth > depth) traps_depth = depth;
}

static void traps_handle(int signal, siginfo_t *info, void *machine_context)
{
    int saved_errno = errno;
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    bool ours = traps_claim(signal, info, machine_context);
    if (!ours && signal == SIGBUS && wr_os_signal_is_fault(info)) ours = traps_fill_missing((uintptr_t)info->si_addr);
    /* A fault of the guest that met faulthandler first comes back as a raised signal: once everyone has returned, the instruction faults again and
     * then comes to us. Raised by a handler that we called, it goes on down the chain. */
    if (!ours && wr_os_signal_was_raised(info) && traps_running() != NULL && !traps_in_chain(frame)) ours = true;
    if (!ours) traps_chain(signal, info, machine_context, frame);
    errno = saved_errno;
}

static bool traps_same(const struct sigaction *a, const struct sigaction *b)
{
    return ((a->sa_flags ^ b->sa_flags) & SA_SIGINFO) == 0 &&
           (a->sa_flags & SA_SIGINFO ? a->sa_sigaction == b->sa_sigaction : a->sa_handler == b->sa_handler);
}

/* Under vm_lock. The handler before is written down first: a signal may come at once. */
static bool traps_install(unsigned index)
{
    struct sigaction previous;
    bool is_ours, is_known = false;
    if (!wr_os_signal_current(traps_signals[index], traps_handle, &previous, &is_ours)) return false;
    if (is_ours) return true;
    uint32_t count = atomic_load(&traps_num_previous[index]);
    for (uint32_t i = 0; i < count; i++) is_known |= traps_same(&traps_previous[index][i], &previous);
    if (!is_known && count < TRAPS_MAX_PREVIOUS) {
        traps_previous[index][count] = previous;
        atomic_store_explicit(&traps_num_previous[index], count + 1, memory_order_release);
    }
    return wr_os_signal_install(traps_signals[index], traps_handle);
}

bool wr_signals_install(WrError *error)
{
    bool ok = true;
    vm_lock();
    for (unsigned i = 0; i < TRAPS_NUM_SIGNALS && ok; i++) ok = traps_install(i);
    if (ok) atomic_store(&traps_installed, true);
    vm_unlock();
    return ok || wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "cannot install signal handlers: error %d", errno);
}

/* Whoever puts handlers of their own in front does so for SIGSEGV too: one system call tells. */
void vm_signals_refresh(void)
{
    struct sigaction current;
    bool is_ours = false;
    WrError ignored = { 0 };
    if (!atomic_load_explicit(&traps_installed, memory_order_relaxed)) return;
    if (wr_os_signal_current(SIGSEGV, traps_handle, &current, &is_ours) && !is_ours) (void)wr_signals_install(&ignored);
}
