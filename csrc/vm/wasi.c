/* The calls of WASI 0.1 that programs make in loops and that need nothing of their host's state: clock, random numbers, yield.
 *
 * VMArrayCalls of host contexts without Python; `wasmrt/wasi/preview1.py` has all the others and links these. They answer with an errno of
 * wasi_snapshot_preview1, EFAULT for what lies outside of the memory that the calling instance exports as `memory`. */
#include <string.h>

#include "os/random.h"
#include "vm/objects.h"
#include "vm/store.h"

enum { WASI_OK = 0, WASI_FAULT = 21, WASI_INVAL = 28, WASI_IO = 29 };
#define WASI_RANDOM_CHUNK_BYTES ((size_t)64 << 10) /* between looks at the interrupt word */

/* False: it trapped. */
static bool wasi_memory(VMContext *callee, VMContext *caller, VMMemoryDef **out_memory)
{
    WrExtern found;
    VMContextHeader *header = vm_header(caller);
    if (header->magic != WR_VMCTX_MAGIC_CORE || !wr_instance_export(header->instance, "memory", 6, &found) || found.kind != WASM_EXTERN_MEMORY) {
        wr_store_trap_because(vm_store_of(vm_header(callee)->store), "missing required memory export: WASI finds a guest's memory by the name `memory`");
        return false;
    }
    *out_memory = wr_memory_def(found.memory);
    return true;
}

static bool wasi_fits(const VMMemoryDef *memory, uint32_t address, uint64_t num_bytes)
{
    return num_bytes <= memory->length_bytes && address <= memory->length_bytes - num_bytes;
}

static bool wasi_return(ValRaw *values, uint32_t code)
{
    values[0].i64 = code;
    return true;
}

bool wr_wasi_clock_time_get(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    (void)capacity;
    VMMemoryDef *memory;
    uint32_t clock = (uint32_t)values[0].i32, out = (uint32_t)values[2].i32;
    uint64_t now = 0;
    if (!wasi_memory(callee, caller, &memory)) return false;
    if (clock >= WR_OS_NUM_CLOCKS) return wasi_return(values, WASI_INVAL);
    if (!wasi_fits(memory, out, sizeof now)) return wasi_return(values, WASI_FAULT);
    if (!wr_os_clock_ns((WrOsClock)clock, &now)) return wasi_return(values, WASI_INVAL);
    memcpy(memory->base + out, &now, sizeof now);
    return wasi_return(values, WASI_OK);
}

/* As machine code does between its loops. False: it trapped. */
static bool wasi_may_go_on(VMStoreContext *context)
{
    if (vm_stack_limit(context) != WR_INTERRUPTED) return true;
    vm_set_stack_limit(context, context->real_stack_limit);
    return vm_hooks()->interrupt == NULL || vm_hooks()->interrupt(vm_store_of(context), context->host) == 0;
}

bool wr_wasi_random_get(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    (void)capacity;
    VMMemoryDef *memory;
    uint32_t out = (uint32_t)values[0].i32;
    size_t left = (uint32_t)values[1].i32;
    if (!wasi_memory(callee, caller, &memory)) return false;
    if (!wasi_fits(memory, out, left)) return wasi_return(values, WASI_FAULT);
    for (uint8_t *to = memory->base + out; left != 0;) {
        size_t chunk = left < WASI_RANDOM_CHUNK_BYTES ? left : WASI_RANDOM_CHUNK_BYTES;
        if (!wr_os_random(to, chunk)) return wasi_return(values, WASI_IO);
        to += chunk;
        left -= chunk;
        if (left != 0 && !wasi_may_go_on(vm_header(callee)->store)) return false;
    }
    return wasi_return(values, WASI_OK);
}

bool wr_wasi_sched_yield(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    (void)callee;
    (void)caller;
    (void)capacity;
    return wasi_return(values, WASI_OK);
}
