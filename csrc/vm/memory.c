/* Linear memories: address space reserved once, committed as they grow, never moved.
 *
 * Guarded: 4 GiB (or the reservation of the tunables, if larger) and a guard, so that a 32-bit address plus a folded offset below the guard's size
 * lands inside; what is not committed faults. Checked (64-bit memories, small pages, tunables): code compares with the length, so only what growth
 * may use is reserved. Growth is one mprotect; anything refused by the system makes memory.grow return -1.
 *
 * Freed guarded reservations wait in a small pool, emptied of their pages: the next memory of that size then needs no system call at all. A memory
 * with exported buffers is not freed, and so not reused, before the last of them is released. */
#include "vm/objects.h"

#include <stdlib.h>
#include <string.h>

#include "os/pages.h"
#include "wasm/limits.h"

#define MEMORY_BLOCK_BYTES ((uint64_t)1 << 20) /* bulk operations above it may let others run */
#define MEMORY_GUARDED_BYTES ((uint64_t)4 << 30)
#define MEMORY_POOL_SLOTS 16u

/* The largest length in bytes that a memory of this type can have, by its declaration and index type. */
static uint64_t memory_max_bytes(const WasmLimits *limits)
{
    unsigned shift = limits->page_size_log2;
    uint64_t most = (limits->flags & WASM_LIMITS_64) ? (uint64_t)WR_LIMIT_MEMORY64_PAGES << 16 : (uint64_t)WR_LIMIT_MEMORY32_PAGES << 16;
    if ((limits->flags & WASM_LIMITS_HAS_MAX) && limits->max < most >> shift) return limits->max << shift;
    return most >> shift << shift;
}

bool vm_memory_owns_address(const WrStore *store, uintptr_t address)
{
    for (const WrMemory *memory = store->memories; memory != NULL; memory = memory->next)
        if (address - (uintptr_t)memory->reservation < memory->reservation_bytes) return true;
    return false;
}

/* ---- the pool ------------------------------------------------------------------------------------------------------------- */

typedef struct MemorySlot {
    uint8_t *reservation;
    size_t bytes, committed_bytes;
} MemorySlot;

static MemorySlot memory_pool[MEMORY_POOL_SLOTS]; /* under vm_lock */
static uint32_t memory_num_pooled;

/* The pooled reservation that fits best: of that size, and if possible with as much committed. */
static bool memory_pool_take(size_t bytes, size_t committed_bytes, MemorySlot *out_slot)
{
    uint32_t best = UINT32_MAX;
    vm_lock();
    for (uint32_t i = 0; i < memory_num_pooled; i++) {
        if (memory_pool[i].bytes != bytes) continue;
        best = i;
        if (memory_pool[i].committed_bytes == committed_bytes) break;
    }
    if (best != UINT32_MAX) {
        *out_slot = memory_pool[best];
        memory_pool[best] = memory_pool[--memory_num_pooled];
    }
    vm_unlock();
    return best != UINT32_MAX;
}

/* False: it stays the caller's. */
static bool memory_pool_give(MemorySlot slot)
{
    vm_lock();
    bool room = memory_num_pooled < MEMORY_POOL_SLOTS;
    vm_unlock();
    if (!room || !wr_os_discard(slot.reservation, slot.committed_bytes)) return false;
    vm_lock();
    room = memory_num_pooled < MEMORY_POOL_SLOTS;
    if (room) memory_pool[memory_num_pooled++] = slot;
    vm_unlock();
    return room;
}

bool vm_memory_pool_drain(void)
{
    MemorySlot slot;
    bool any = false;
    for (;;) {
        vm_lock();
        bool found = memory_num_pooled != 0;
        if (found) slot = memory_pool[--memory_num_pooled];
        vm_unlock();
        if (!found) return any;
        wr_os_release(slot.reservation, slot.bytes);
        any = true;
    }
}

/* ---- life ----------------------------------------------------------------------------------------------------------------- */

/* Reservation with its first bytes accessible and zero; errno says why not. */
static bool memory_map(WrMemory *memory, size_t committed_bytes)
{
    MemorySlot slot = { 0 };
    if (!memory->guarded || !memory_pool_take(memory->reservation_bytes, committed_bytes, &slot)) {
        slot.reservation = wr_os_reserve(memory->reservation_bytes);
        /* what waits in the pool counts against the same limits */
        if (slot.reservation == NULL && vm_memory_pool_drain()) slot.reservation = wr_os_reserve(memory->reservation_bytes);
        if (slot.reservation == NULL) return false;
    }
    bool ok = committed_bytes >= slot.committed_bytes
                  ? wr_os_protect(slot.reservation + slot.committed_bytes, committed_bytes - slot.committed_bytes, WR_OS_READ_WRITE)
                  : wr_os_protect(slot.reservation + committed_bytes, slot.committed_bytes - committed_bytes, WR_OS_NO_ACCESS);
    if (!ok) {
        wr_os_release(slot.reservation, memory->reservation_bytes);
        return false;
    }
    memory->reservation = slot.reservation;
    memory->committed_bytes = committed_bytes;
    return true;
}

static bool memory_reserve(WrMemory *memory, const WrTunables *tunables, uint64_t min_bytes, WrError *error)
{
    uint64_t max_bytes = memory_max_bytes(&memory->type), capacity, guard = 0;
    memory->guarded = wr_memory_guarded(tunables, &memory->type);
    if (memory->guarded) {
        capacity = tunables->memory_reservation > MEMORY_GUARDED_BYTES ? tunables->memory_reservation : MEMORY_GUARDED_BYTES;
        guard = tunables->memory_guard_bytes;
    } else {
        capacity = tunables->memory_reservation < max_bytes ? tunables->memory_reservation : max_bytes;
        if (capacity < min_bytes) capacity = min_bytes;
        if (capacity == 0) capacity = 1;
    }
    /* a page size or guard that nobody could mean must not wrap around */
    if (capacity > (uint64_t)1 << 46 || guard > (uint64_t)1 << 46)
        return wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "memory_reservation or memory_guard_size is too large");
    memory->capacity_bytes = wr_os_round_to_pages((size_t)capacity);
    memory->guard_bytes = wr_os_round_to_pages((size_t)guard);
    memory->reservation_bytes = memory->capacity_bytes + memory->guard_bytes;
    if (!memory_map(memory, wr_os_round_to_pages((size_t)min_bytes)))
        return wr_os_memory_error(error, "the address space of a linear memory", memory->reservation_bytes);
    memory->def.base = memory->reservation;
    memory->def.length_bytes = (size_t)min_bytes;
    return true;
}

WrMemory *wr_memory_new(WrStore *store, const WasmLimits *limits, const WrTunables *tunables, WrError *error)
{
    uint64_t max_bytes = memory_max_bytes(limits);
    if (limits->page_size_log2 > 16 || limits->min > max_bytes >> limits->page_size_log2) {
        wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "a memory of %llu pages exceeds the limit of %llu", (unsigned long long)limits->min,
                     (unsigned long long)(limits->page_size_log2 > 16 ? 0 : max_bytes >> limits->page_size_log2));
        return NULL;
    }
    uint64_t min_bytes = limits->min << limits->page_size_log2;
    if (min_bytes > store->limits.memory_bytes) {
        wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "a memory of %llu bytes exceeds the store's limit memory_size of %llu", (unsigned long long)min_bytes,
                     (unsigned long long)store->limits.memory_bytes);
        return NULL;
    }
    if (store->num_memories >= store->limits.memories) {
        wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "the store's limit of %u memories is reached", store->limits.memories);
        return NULL;
    }
    WrMemory *memory = calloc(1, sizeof *memory);
    if (memory == NULL) {
        wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for a linear memory");
        return NULL;
    }
    memory->type = *limits;
    atomic_init(&memory->references, 1);
    if (!memory_reserve(memory, tunables, min_bytes, error)) {
        wr_memory_release(memory);
        return NULL;
    }
    memory->store = store;
    memory->next = store->memories;
    store->num_memories++;
    store->memories = memory;
    return memory;
}

void vm_memory_remove(WrMemory *memory)
{
    WrStore *store = memory->store;
    store->memories = memory->next;
    store->num_memories--;
    memory->store = NULL;
    wr_memory_release(memory);
}

void vm_memories_free(WrStore *store)
{
    while (store->memories != NULL) vm_memory_remove(store->memories);
}

WrMemory *wr_memory_of_def(VMMemoryDef *def) { return (WrMemory *)(void *)def; }

void wr_memory_retain(WrMemory *memory)
{
    atomic_fetch_add_explicit(&memory->references, 1, memory_order_relaxed);
}

void wr_memory_release(WrMemory *memory)
{
    if (atomic_fetch_sub_explicit(&memory->references, 1, memory_order_acq_rel) != 1) return;
    MemorySlot slot = { memory->reservation, memory->reservation_bytes, memory->committed_bytes };
    if (!memory->guarded || slot.reservation == NULL || !memory_pool_give(slot)) wr_os_release(slot.reservation, slot.bytes);
    free(memory);
}

VMMemoryDef *wr_memory_def(WrMemory *memory) { return &memory->def; }
const WasmLimits *wr_memory_type(const WrMemory *memory) { return &memory->type; }

int64_t wr_memory_grow(WrMemory *memory, uint64_t delta_pages)
{
    unsigned shift = memory->type.page_size_log2;
    uint64_t length = vm_memory_length(memory), old_pages = length >> shift, max_bytes = memory_max_bytes(&memory->type);
    if (delta_pages > (max_bytes >> shift) - old_pages) return -1;
    uint64_t new_length = (old_pages + delta_pages) << shift;
    if (new_length > memory->capacity_bytes) return -1;
    if (delta_pages != 0 && memory->store != NULL && new_length > memory->store->limits.memory_bytes) return -1;
    size_t committed = wr_os_round_to_pages((size_t)new_length);
    if (committed > memory->committed_bytes) {
        if (!wr_os_protect(memory->reservation + memory->committed_bytes, committed - memory->committed_bytes, WR_OS_READ_WRITE)) return -1;
        memory->committed_bytes = committed;
    }
    __atomic_store_n(&memory->def.length_bytes, (size_t)new_length, __ATOMIC_SEQ_CST);
    return (int64_t)old_pages;
}

/* ---- bulk operations ------------------------------------------------------------------------------------------------------ */

static bool memory_in_bounds(uint64_t start, uint64_t length, uint64_t available)
{
    return start <= available && length <= available - start;
}

static void memory_before(WrStore *store, uint64_t length)
{
    if (length > MEMORY_BLOCK_BYTES && vm_hooks()->before_block != NULL) vm_hooks()->before_block(store, store->context.host);
}

static void memory_after(WrStore *store, uint64_t length)
{
    if (length > MEMORY_BLOCK_BYTES && vm_hooks()->after_block != NULL) vm_hooks()->after_block(store, store->context.host);
}

bool vm_memory_copy(WrStore *store, WrMemory *dst_memory, WrMemory *src_memory, uint64_t dst, uint64_t src, uint64_t length)
{
    if (!memory_in_bounds(dst, length, vm_memory_length(dst_memory)) || !memory_in_bounds(src, length, vm_memory_length(src_memory))) return false;
    memory_before(store, length);
    memmove(dst_memory->def.base + dst, src_memory->def.base + src, (size_t)length);
    memory_after(store, length);
    return true;
}

bool vm_memory_fill(WrStore *store, WrMemory *memory, uint64_t dst, uint8_t value, uint64_t length)
{
    if (!memory_in_bounds(dst, length, vm_memory_length(memory))) return false;
    memory_before(store, length);
    memset(memory->def.base + dst, value, (size_t)length);
    memory_after(store, length);
    return true;
}

bool vm_memory_init(WrStore *store, WrMemory *memory, uint64_t dst, const uint8_t *bytes, uint64_t num_bytes, uint64_t src, uint64_t length)
{
    if (!memory_in_bounds(src, length, num_bytes) || !memory_in_bounds(dst, length, vm_memory_length(memory))) return false;
    if (length == 0) return true;
    memory_before(store, length);
    memcpy(memory->def.base + dst, bytes + src, (size_t)length);
    memory_after(store, length);
    return true;
}
