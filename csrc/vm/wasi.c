/* The calls of WASI 0.1 that programs make in loops: clock, random numbers, yield; and reading, writing and seeking open files.
 *
 * VMArrayCalls of host contexts without Python; `wasmrt/wasi/preview1.py` has all the others and links these. They answer with an errno of
 * wasi_snapshot_preview1, EFAULT for what lies outside of the memory that the calling instance exports as `memory`.
 *
 * What a descriptor is, Python decides (`preview1_descriptors.py`): for plain files it leaves a row in the store, and takes it back before it closes them.
 * Only what goes well is done here. Whatever is not plain (no row, an address outside, many vectors, an error of the system, which has had no effect)
 * is done again from the start by the slow call, so there is one place that knows errors. */
#include <stdlib.h>
#include <string.h>

#include "os/files.h"
#include "os/random.h"
#include "vm/objects.h"
#include "vm/store.h"

enum { WASI_OK = 0, WASI_FAULT = 21, WASI_INVAL = 28, WASI_IO = 29 };
enum { WASI_MAX_FILES = 1 << 16, WASI_MAX_VECTORS = 16 };
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

/* ---- files ---------------------------------------------------------------------------------------------------------------------------------- */

static VMArrayCall wasi_slow; /* set once, when the embedder starts */

void wr_wasi_set_slow(VMArrayCall slow) { wasi_slow = slow; }

bool wr_wasi_set_file(WrStore *store, uint32_t descriptor, int32_t file, uint32_t rights)
{
    if (descriptor >= WASI_MAX_FILES) return true; /* slow, and right */
    if (descriptor >= store->num_wasi_files) {
        if (rights == 0) return true;
        uint32_t room = (descriptor + 8u) & ~7u; /* more than `descriptor` */
        WrWasiFile *files = realloc(store->wasi_files, room * sizeof *files);
        if (files == NULL) return false;
        memset(files + store->num_wasi_files, 0, (room - store->num_wasi_files) * sizeof *files);
        store->wasi_files = files;
        store->num_wasi_files = room;
    }
    store->wasi_files[descriptor] = (WrWasiFile){ file, rights };
    return true;
}

void wr_wasi_forget(WrStore *store)
{
    free(store->wasi_files);
    store->wasi_files = NULL;
    store->num_wasi_files = 0;
}

/* The file of a descriptor that may do this; -1: it is the slow call's. */
static int wasi_file(const WrStore *store, uint32_t descriptor, uint32_t right)
{
    if (descriptor >= store->num_wasi_files || (store->wasi_files[descriptor].rights & right) == 0) return -1;
    return store->wasi_files[descriptor].file;
}

/* The guest's vectors, looked at once; how many, -1: it is the slow call's. */
static int wasi_vectors(const VMMemoryDef *memory, uint32_t address, uint32_t count, WrOsVector *out)
{
    if (count == 0 || count > WASI_MAX_VECTORS || !wasi_fits(memory, address, (uint64_t)count * 8)) return -1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t pair[2];
        memcpy(pair, memory->base + address + i * sizeof pair, sizeof pair);
        if (!wasi_fits(memory, pair[0], pair[1])) return -1;
        out[i] = (WrOsVector){ memory->base + pair[0], pair[1] };
    }
    return (int)count;
}

static bool wasi_transfer(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity, uint32_t right, int64_t (*transfer)(int, const WrOsVector *, int))
{
    WrOsVector vectors[WASI_MAX_VECTORS];
    VMMemoryDef *memory;
    VMStoreContext *context = vm_header(callee)->store;
    uint32_t out = (uint32_t)values[3].i32;
    int file = wasi_file(vm_store_of(context), (uint32_t)values[0].i32, right);
    if (file >= 0) {
        if (!wasi_memory(callee, caller, &memory)) return false;
        int count = wasi_vectors(memory, (uint32_t)values[1].i32, (uint32_t)values[2].i32, vectors);
        if (count > 0 && wasi_fits(memory, out, sizeof(uint32_t))) {
            /* a disk or a pipe may take its time */
            if (vm_hooks()->before_block != NULL) vm_hooks()->before_block(vm_store_of(context), context->host);
            int64_t done = transfer(file, vectors, count);
            if (done >= 0) {
                uint32_t number = (uint32_t)done;
                memcpy(memory->base + out, &number, sizeof number);
                return wasi_return(values, WASI_OK);
            }
        }
    }
    return wasi_slow(callee, caller, values, capacity);
}

bool wr_wasi_fd_read(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    return wasi_transfer(callee, caller, values, capacity, WR_WASI_READ, wr_os_file_readv);
}

bool wr_wasi_fd_write(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    return wasi_transfer(callee, caller, values, capacity, WR_WASI_WRITE, wr_os_file_writev);
}

bool wr_wasi_fd_seek(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    VMMemoryDef *memory;
    uint32_t whence = (uint32_t)values[2].i32, out = (uint32_t)values[3].i32;
    int file = wasi_file(vm_store_of(vm_header(callee)->store), (uint32_t)values[0].i32, WR_WASI_SEEK);
    if (file >= 0 && whence <= 2) {
        if (!wasi_memory(callee, caller, &memory)) return false;
        int64_t position = wasi_fits(memory, out, sizeof position) ? wr_os_file_seek(file, values[1].i64, (int)whence) : -1;
        if (position >= 0) {
            memcpy(memory->base + out, &position, sizeof position);
            return wasi_return(values, WASI_OK);
        }
    }
    return wasi_slow(callee, caller, values, capacity);
}
