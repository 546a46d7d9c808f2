/* What the guest was doing: frames at a trap, or under a host function that runs.
 *
 * Frames of machine code are linked by rbp. A stretch of them starts where wasm was left (a trap, or exit_fp of the host-call trampoline) and ends at
 * the rbp of an entry trampoline; its record leads to the stretch before. Pcs are recorded when the trap happens, since the frames are gone when the
 * array call has returned, and looked up when somebody asks. The walk reads the stack only, so signal handlers may do it. */
#include <stdio.h>

#include "vm/store.h"

typedef struct BacktraceFrame { /* as rbp points at it */
    const struct BacktraceFrame *caller;
    uintptr_t return_address;
} BacktraceFrame;

/* Frames are linked upwards and stay below their entry's: anything else is not a frame of ours. */
static bool backtrace_follows(const BacktraceFrame *from, const BacktraceFrame *to, const VMEntryRecord *record)
{
    return (uintptr_t)to > (uintptr_t)from && ((uintptr_t)to & 7) == 0 && (uintptr_t)to < (uintptr_t)record->entry_fp;
}

/* From a pc in the frame `fp`, in the innermost stretch of `record`. */
static uint32_t backtrace_walk(const VMEntryRecord *record, uintptr_t pc, const BacktraceFrame *fp, uintptr_t *out_pcs, uint32_t capacity)
{
    uint32_t count = 0;
    while (record != NULL && fp != NULL && count < capacity) {
        out_pcs[count++] = pc;
        while (count < capacity && (uintptr_t)fp < (uintptr_t)record->entry_fp && backtrace_follows(fp, fp->caller, record)) {
            out_pcs[count++] = fp->return_address - 1;
            fp = fp->caller;
        }
        const BacktraceFrame *exit = record->prev_exit_fp;
        record = record->prev;
        if (record == NULL || exit == NULL) break;
        pc = exit->return_address - 1;
        fp = exit->caller;
    }
    return count;
}

static uint32_t backtrace_from_host(const VMStoreContext *context, uintptr_t *out_pcs, uint32_t capacity)
{
    const BacktraceFrame *exit = context->exit_fp;
    if (context->last_entry == NULL || exit == NULL) return 0;
    return backtrace_walk(context->last_entry, exit->return_address - 1, exit->caller, out_pcs, capacity);
}

void vm_trap_record(VMStoreContext *context, uint32_t trap_code, uintptr_t pc, uintptr_t fp)
{
    WrStore *store = vm_store_of(context);
    if (store->lost_trap) trap_code = store->lost_trap;
    store->lost_trap = 0;
    context->trap_code = trap_code;
    context->trap_pc = pc;
    context->trap_fp = fp;
    context->trap_address = 0;
    store->num_trap_frames = pc == 0 ? backtrace_from_host(context, store->trap_frames, VM_MAX_TRAP_FRAMES)
                                     : backtrace_walk(context->last_entry, pc, (const BacktraceFrame *)fp, store->trap_frames, VM_MAX_TRAP_FRAMES);
}

const char *wr_store_trap_text(WrStore *store) { return store->trap_text; }

void wr_store_trap_because(WrStore *store, const char *text)
{
    wr_store_trap(store, TRAP_HOST);
    snprintf(store->trap_text, sizeof store->trap_text, "%s", text);
}

void wr_store_trap(WrStore *store, uint32_t trap_code)
{
    store->trap_text[0] = 0;
    vm_trap_record(&store->context, trap_code, 0, 0);
}

static size_t backtrace_look_up(const uintptr_t *pcs, uint32_t num_pcs, WrFrame *out_frames, size_t capacity)
{
    size_t count = 0;
    for (uint32_t i = 0; i < num_pcs && count < capacity; i++) {
        out_frames[count].pc = pcs[i];
        /* trampolines and stubs have frames, but are nobody's function */
        if (wr_code_find(pcs[i], &out_frames[count].place) && out_frames[count].place.func_index != UINT32_MAX) count++;
    }
    return count;
}

size_t wr_store_backtrace(WrStore *store, WrFrame *out_frames, size_t capacity)
{
    return backtrace_look_up(store->trap_frames, store->num_trap_frames, out_frames, capacity);
}

size_t wr_store_callers(WrStore *store, WrFrame *out_frames, size_t capacity)
{
    uintptr_t pcs[VM_MAX_TRAP_FRAMES];
    uint32_t count = backtrace_from_host(&store->context, pcs, VM_MAX_TRAP_FRAMES);
    return backtrace_look_up(pcs, count, out_frames, capacity);
}

const char *wr_trap_message(uint32_t trap_code)
{
    switch (trap_code) {
#define TRAP(name, number, message) case number: return message;
#include "wasmrt/traps.def"
#undef TRAP
    default: return NULL;
    }
}
