/* Linear memories: address space reserved once, committed as they grow, never moved.
 *
 * Guarded: 4 GiB (or the reservation of the tunables, if larger) and a guard, so that a 32-bit address plus a folded offset below the guard's size
 * lands inside; what is not committed faults. Checked (64-bit memories, small pages, tunables): code compares with the length, so only what growth
 * may use is reserved. Growth is one mprotect; anything refused by the system makes memory.grow return -1.
 *
 * Without a pool (pool.h), freed guarded reservations wait in a small cache, emptied of their pages: the next memory of that size then needs no system
 * call at all, nor the next with the same image (prepared.h), which stays mapped. A memory with exported buffers is not freed, and so not reused, before
 * the last of them is released. Mappings are private, always: a fork never shares what a guest wrote. */
#include "vm/pool.h"

#include <stdlib.h>
#include <string.h>

#include "os/files.h"
#include "os/pages.h"
#include "wasm/limits.h"

#define MEMORY_GUARDED_BYTES ((uint64_t)4 << 30)
#define MEMORY_CACHE_SLOTS 16u

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

/* ---- reservations that wait ------------------------------------------------------------------------------------------------ */

typedef struct MemoryCached {
    VmMemorySlot slot;
    size_t bytes;
} MemoryCached;

static MemoryCached memory_cache[MEMORY_CACHE_SLOTS]; /* under vm_lock */
static uint32_t memory_num_cached;

/* The cached reservation that fits best: of that size, with the same image or none, and if possible with as much committed. */
static bool memory_cache_take(size_t bytes, const VmMemoryImage *image, size_t committed_bytes, VmMemorySlot *out_slot)
{
    uint32_t best = UINT32_MAX, best_score = 0;
    vm_lock();
    for (uint32_t i = 0; i < memory_num_cached; i++) {
        const VmMemorySlot *slot = &memory_cache[i].slot;
        if (memory_cache[i].bytes != bytes) continue;
        uint32_t score = 1 + 4u * (slot->image == image) + 2u * (slot->image == NULL) + (slot->committed_bytes == committed_bytes);
        if (score <= best_score) continue;
        best = i;
        best_score = score;
    }
    if (best != UINT32_MAX) {
        *out_slot = memory_cache[best].slot;
        memory_cache[best] = memory_cache[--memory_num_cached];
    }
    vm_unlock();
    return best != UINT32_MAX;
}

/* False: it stays the caller's. */
static bool memory_cache_give(VmMemorySlot slot, size_t bytes, size_t keep_from, size_t keep_bytes)
{
    vm_lock();
    bool room = memory_num_cached < MEMORY_CACHE_SLOTS;
    vm_unlock();
    if (!room || !vm_slot_reset(&slot, keep_from, keep_bytes)) return false;
    vm_lock();
    room = memory_num_cached < MEMORY_CACHE_SLOTS;
    if (room) memory_cache[memory_num_cached++] = (MemoryCached){ slot, bytes };
    vm_unlock();
    return room;
}

bool vm_memory_pool_drain(void)
{
    MemoryCached cached;
    bool any = false;
    for (;;) {
        vm_lock();
        bool found = memory_num_cached != 0;
        if (found) cached = memory_cache[--memory_num_cached];
        vm_unlock();
        if (!found) return any;
        wr_os_release(cached.slot.reservation, cached.bytes);
        vm_memory_image_release(cached.slot.image);
        any = true;
    }
}

/* ---- life ----------------------------------------------------------------------------------------------------------------- */

/* Makes a slot what a memory starts from: `committed_bytes` accessible, the image in its place, all else zero. errno says why not. */
static bool memory_set_up(VmMemorySlot *slot, size_t committed_bytes, VmMemoryImage *image)
{
    if (slot->image != image && !vm_slot_remove_image(slot)) return false;
    bool ok = committed_bytes >= slot->committed_bytes
                  ? wr_os_protect(slot->reservation + slot->committed_bytes, committed_bytes - slot->committed_bytes, WR_OS_READ_WRITE)
                  : wr_os_protect(slot->reservation + committed_bytes, slot->committed_bytes - committed_bytes, WR_OS_NO_ACCESS);
    if (!ok) return false;
    slot->committed_bytes = committed_bytes;
    if (image == NULL || slot->image == image) return true;
    if (!wr_os_map_contents(slot->reservation + image->memory_offset, image->bytes, image->contents, image->contents_offset)) return false;
    vm_memory_image_retain(image);
    slot->image = image;
    return true;
}

static bool memory_own_slot(size_t bytes, bool guarded, const VmMemoryImage *image, size_t committed_bytes, VmMemorySlot *out_slot)
{
    if (guarded && memory_cache_take(bytes, image, committed_bytes, out_slot)) return true;
    *out_slot = (VmMemorySlot){ .reservation = wr_os_reserve(bytes) };
    /* what waits in the cache counts against the same limits */
    if (out_slot->reservation == NULL && vm_memory_pool_drain()) out_slot->reservation = wr_os_reserve(bytes);
    return out_slot->reservation != NULL;
}

static void memory_give_slot(const WrMemory *memory, VmMemorySlot slot)
{
    if (memory->pool != NULL) {
        vm_pool_give_memory(memory->pool, slot);
    } else if (!memory->guarded || !memory_cache_give(slot, memory->reservation_bytes, memory->keep_from, memory->keep_bytes)) {
        wr_os_release(slot.reservation, memory->reservation_bytes);
        vm_memory_image_release(slot.image);
    }
}

/* How much address space the memory takes, and how much of it the memory can grow to. */
static bool memory_sizes(WrMemory *memory, const WrTunables *tunables, uint64_t min_bytes, WrError *error)
{
    uint64_t max_bytes = memory_max_bytes(&memory->type), capacity, guard = 0;
    memory->guarded = wr_memory_guarded(tunables, &memory->type);
    if (memory->pool != NULL) {
        uint64_t most = vm_pool_memory_capacity(memory->pool);
        if (min_bytes > most)
            return wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "a memory of %llu bytes exceeds the pool's limit max_memory_size of %llu", (unsigned long long)min_bytes,
                                (unsigned long long)most);
        memory->capacity_bytes = (size_t)most;
        memory->guard_bytes = memory->guarded ? wr_os_round_to_pages((size_t)tunables->memory_guard_bytes) : 0;
        memory->reservation_bytes = vm_pool_memory_bytes(memory->pool);
        return true;
    }
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
    return true;
}

static bool memory_reserve(WrMemory *memory, const WrTunables *tunables, uint64_t min_bytes, VmMemoryImage *image, WrError *error)
{
    VmMemorySlot slot;
    size_t committed = wr_os_round_to_pages((size_t)min_bytes);
    if (!memory_sizes(memory, tunables, min_bytes, error)) return false;
    if (memory->pool != NULL) {
        if (!vm_pool_take_memory(memory->pool, image, committed, &slot, error)) return false;
    } else if (!memory_own_slot(memory->reservation_bytes, memory->guarded, image, committed, &slot)) {
        return wr_os_memory_error(error, "the address space of a linear memory", memory->reservation_bytes);
    }
    if (!memory_set_up(&slot, committed, image)) {
        wr_os_memory_error(error, "a linear memory", committed);
        memory_give_slot(memory, slot);
        return false;
    }
    memory->def.base = memory->reservation = slot.reservation;
    memory->def.length_bytes = (size_t)min_bytes;
    memory->committed_bytes = committed;
    memory->image = slot.image;
    memory->slot = slot.index;
    return true;
}

WrMemory *wr_memory_new(WrStore *store, const WasmLimits *limits, const WrTunables *tunables, WrError *error)
{
    return vm_memory_create(store, limits, tunables, NULL, NULL, error);
}

WrMemory *vm_memory_create(WrStore *store, const WasmLimits *limits, const WrTunables *tunables, WrPool *pool, VmMemoryImage *image, WrError *error)
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
    memory->pool = pool;
    if (pool != NULL) wr_pool_retain(pool);
    if (!memory_reserve(memory, tunables, min_bytes, image, error)) {
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
    VmMemorySlot slot = { memory->reservation, memory->committed_bytes, memory->image, memory->slot };
    if (slot.reservation != NULL) memory_give_slot(memory, slot);
    wr_pool_release(memory->pool);
    free(memory);
}

VMMemoryDef *wr_memory_def(WrMemory *memory) { return &memory->def; }

bool wr_memory_is_lost(const WrMemory *memory)
{
    const VmMemoryImage *image = memory->image;
    return vm_signals_have_filled() && image != NULL && wr_os_file_is_shorter(image->contents, image->contents_offset + image->bytes);
}

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

bool vm_memory_copy(WrMemory *dst_memory, WrMemory *src_memory, uint64_t dst, uint64_t src, uint64_t length)
{
    if (!vm_in_bounds(dst, length, vm_memory_length(dst_memory)) || !vm_in_bounds(src, length, vm_memory_length(src_memory))) return false;
    memmove(dst_memory->def.base + dst, src_memory->def.base + src, (size_t)length);
    return true;
}

bool vm_memory_fill(WrMemory *memory, uint64_t dst, uint8_t value, uint64_t length)
{
    if (!vm_in_bounds(dst, length, vm_memory_length(memory))) return false;
    memset(memory->def.base + dst, value, (size_t)length);
    return true;
}

bool vm_memory_init(WrMemory *memory, uint64_t dst, const uint8_t *bytes, uint64_t num_bytes, uint64_t src, uint64_t length)
{
    if (!vm_in_bounds(src, length, num_bytes) || !vm_in_bounds(dst, length, vm_memory_length(memory))) return false;
    if (length != 0) memcpy(memory->def.base + dst, bytes + src, (size_t)length);
    return true;
}
