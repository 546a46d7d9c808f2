/* The pooling allocator: ranges of address space for memories, tables and instances, cut into equal slots, and free lists of their indices. An instance's slot
 * is one of two places, in a range for large blocks and in one for small blocks, of which several share a page.
 *
 * Free slots are taken newest first, since their pages are likeliest to be at hand. Memory slots keep the image that is mapped in them and instance slots
 * the functions of their module: the next instance of the same module then needs no system call to begin. The search for such a slot looks at a
 * bounded number of free ones, so taking a slot does not grow with the pool.
 *
 * Memories and tables are emptied when they are given back: nothing of a guest stays behind longer than its store (or the last buffer on its memory),
 * and memory that idle slots do not need goes back to the system. Instance blocks are zeroed when taken, but for the functions. */
#include "vm/pool.h"

#include <stdlib.h>
#include <string.h>

#include "os/pages.h"
#include "wasm/limits.h"

#define POOL_SMALL_BYTES ((size_t)1024) /* of an instance's block */
#define POOL_UNUSED UINT64_MAX
#define POOL_SEARCHED 64u             /* free slots that are looked at for a better one */
#define POOL_GUARDED_BYTES (UINT64_C(4) << 30)
#define POOL_MAX_BYTES (UINT64_C(1) << 46)

typedef struct PoolList {
    uint32_t *free; /* indices, newest last */
    uint32_t num_free, total;
} PoolList;

typedef struct PoolMemory { size_t committed_bytes; VmMemoryImage *image; } PoolMemory;

struct WrPool {
    _Atomic uint32_t references;
    WrPoolConfig config;
    size_t memory_capacity, memory_bytes, table_bytes, instance_bytes; /* of one slot */
    uint8_t *memories, *tables, *instances, *small_instances;          /* the ranges */
    PoolList free_memories, free_tables, free_instances;
    PoolMemory *memory_slots;
    uint64_t *instance_ids;    /* VmPrepared.id of the last use of both places of a slot, large and small; 0: unknown, POOL_UNUSED: zeros */
    uint32_t num_components;
    uint32_t num_warm;         /* free memory slots with an image */
};

/* ---- making --------------------------------------------------------------------------------------------------------------- */

static bool pool_list_new(PoolList *list, uint32_t total)
{
    list->free = malloc(((size_t)total + 1) * sizeof *list->free);
    if (list->free == NULL) return false;
    list->total = list->num_free = total;
    for (uint32_t i = 0; i < total; i++) list->free[i] = total - 1 - i;
    return true;
}

/* Address space for `count` slots of `bytes`. */
static bool pool_reserve(uint8_t **out, uint32_t count, size_t bytes, bool accessible, const char *what, WrError *error)
{
    uint64_t total;
    if (count == 0 || bytes == 0) return true;
    if (__builtin_mul_overflow((uint64_t)count, (uint64_t)bytes, &total) || total > POOL_MAX_BYTES)
        return wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "a pool of %u %s of %zu bytes is larger than the address space", count, what, bytes);
    total = wr_os_round_to_pages((size_t)total);
    *out = wr_os_reserve((size_t)total);
    if (*out == NULL || (accessible && !wr_os_protect(*out, (size_t)total, WR_OS_READ_WRITE))) return wr_os_memory_error(error, what, total);
    return true;
}

WrPool *wr_pool_new(const WrPoolConfig *config, const WrTunables *tunables, WrError *error)
{
    WrPool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for a pool");
        return NULL;
    }
    pool->config = *config;
    atomic_init(&pool->references, 1);
    uint64_t capacity = config->max_memory_bytes, guard = 0;
    if (tunables->guarded_memories) {
        uint64_t guarded = tunables->memory_reservation > POOL_GUARDED_BYTES ? tunables->memory_reservation : POOL_GUARDED_BYTES;
        if (capacity < guarded) capacity = guarded;
        guard = tunables->memory_guard_bytes;
    }
    bool ok = (capacity <= POOL_MAX_BYTES && guard <= POOL_MAX_BYTES && config->table_elements <= WR_LIMIT_TABLE_ELEMENTS && config->max_core_instance_bytes <= POOL_MAX_BYTES) ||
              wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "a size in the pool's configuration is larger than any program may use");
    if (ok) {
        pool->memory_capacity = wr_os_round_to_pages((size_t)capacity);
        pool->memory_bytes = pool->memory_capacity + wr_os_round_to_pages((size_t)guard);
        pool->table_bytes = wr_os_round_to_pages((size_t)config->table_elements * sizeof(void *));
        pool->instance_bytes = wr_os_round_to_pages((size_t)config->max_core_instance_bytes);
    }
    ok = ok && pool_reserve(&pool->memories, config->total_memories, pool->memory_bytes, false, "memories", error) &&
         pool_reserve(&pool->tables, config->total_tables, pool->table_bytes, true, "tables", error) &&
         pool_reserve(&pool->instances, config->total_core_instances, pool->instance_bytes, true, "instances", error) &&
         pool_reserve(&pool->small_instances, config->total_core_instances, POOL_SMALL_BYTES, true, "small instances", error);
    if (ok) {
        pool->memory_slots = calloc((size_t)config->total_memories + 1, sizeof *pool->memory_slots);
        pool->instance_ids = malloc(2 * ((size_t)config->total_core_instances + 1) * sizeof *pool->instance_ids);
        if (pool->instance_ids != NULL) memset(pool->instance_ids, 0xff, 2 * (size_t)config->total_core_instances * sizeof *pool->instance_ids); /* POOL_UNUSED */
        ok = (pool->memory_slots != NULL && pool->instance_ids != NULL && pool_list_new(&pool->free_memories, config->total_memories) &&
              pool_list_new(&pool->free_tables, config->total_tables) && pool_list_new(&pool->free_instances, config->total_core_instances)) ||
             wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for the lists of a pool");
    }
    if (ok) return pool;
    wr_pool_release(pool);
    return NULL;
}

void wr_pool_retain(WrPool *pool) { atomic_fetch_add_explicit(&pool->references, 1, memory_order_relaxed); }

void wr_pool_release(WrPool *pool)
{
    if (pool == NULL || atomic_fetch_sub_explicit(&pool->references, 1, memory_order_acq_rel) != 1) return;
    const WrPoolConfig *config = &pool->config;
    for (uint32_t i = 0; pool->memory_slots != NULL && i < config->total_memories; i++) vm_memory_image_release(pool->memory_slots[i].image);
    /* ranges that were never reserved are NULL */
    wr_os_release(pool->memories, config->total_memories * pool->memory_bytes);
    wr_os_release(pool->tables, config->total_tables * pool->table_bytes);
    wr_os_release(pool->instances, config->total_core_instances * pool->instance_bytes);
    wr_os_release(pool->small_instances, wr_os_round_to_pages(config->total_core_instances * POOL_SMALL_BYTES));
    free(pool->memory_slots);
    free(pool->instance_ids);
    free(pool->free_memories.free);
    free(pool->free_tables.free);
    free(pool->free_instances.free);
    free(pool);
}

void wr_pool_usage(WrPool *pool, WrPoolUsage *out_usage)
{
    vm_lock();
    *out_usage = (WrPoolUsage){
        .component_instances = pool->num_components,
        .core_instances = pool->free_instances.total - pool->free_instances.num_free,
        .memories = pool->free_memories.total - pool->free_memories.num_free,
        .tables = pool->free_tables.total - pool->free_tables.num_free,
        .warm_memories = pool->num_warm,
    };
    vm_unlock();
}

/* ---- slots ---------------------------------------------------------------------------------------------------------------- */

static bool pool_exhausted(WrError *error, const char *limit, uint32_t total)
{
    return wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "the pool's limit %s of %u is reached", limit, total);
}

/* Takes the free index at `position`, the newest stepping into its place. Under vm_lock. */
static uint32_t pool_take_at(PoolList *list, uint32_t position)
{
    uint32_t index = list->free[position];
    list->free[position] = list->free[--list->num_free];
    return index;
}

bool vm_slot_remove_image(VmMemorySlot *slot)
{
    if (slot->image == NULL) return true;
    if (!wr_os_map_zeros(slot->reservation + slot->image->memory_offset, slot->image->bytes)) return false;
    vm_memory_image_release(slot->image);
    slot->image = NULL;
    return true;
}

bool vm_slot_reset(const VmMemorySlot *slot, size_t keep_from, size_t keep_bytes)
{
    size_t committed = slot->committed_bytes, kept = 0;
    if (keep_from > committed || slot->image != NULL) keep_from = keep_bytes = 0;
    if (keep_bytes != 0) {
        kept = wr_os_round_to_pages(keep_bytes < committed - keep_from ? keep_bytes : committed - keep_from);
        if (kept == 0 || kept > committed - keep_from) kept = committed - keep_from;
        memset(slot->reservation + keep_from, 0, kept);
    }
    return (keep_from == 0 || wr_os_discard(slot->reservation, keep_from)) && wr_os_discard(slot->reservation + keep_from + kept, committed - keep_from - kept);
}

size_t vm_pool_memory_capacity(const WrPool *pool)
{
    size_t most = (size_t)pool->config.max_memory_bytes;
    return most < pool->memory_capacity ? most : pool->memory_capacity;
}

size_t vm_pool_memory_bytes(const WrPool *pool) { return pool->memory_bytes; }

/* With the image if there is such a slot near; else one without any image, or one that has as much committed. Under vm_lock. */
static uint32_t pool_best_memory(const WrPool *pool, const VmMemoryImage *image, size_t committed_bytes)
{
    const PoolList *list = &pool->free_memories;
    uint32_t best = list->num_free - 1, best_score = 0;
    for (uint32_t i = 0; i < POOL_SEARCHED && i < list->num_free; i++) {
        uint32_t position = list->num_free - 1 - i;
        const PoolMemory *slot = &pool->memory_slots[list->free[position]];
        uint32_t score = 4u * (slot->image == image) + 2u * (slot->image == NULL) + (slot->committed_bytes == committed_bytes);
        if (score > best_score) {
            best_score = score;
            best = position;
            if (slot->image == image && slot->committed_bytes == committed_bytes) break;
        }
    }
    return best;
}

bool vm_pool_take_memory(WrPool *pool, const VmMemoryImage *image, size_t committed_bytes, VmMemorySlot *out_slot, WrError *error)
{
    vm_lock();
    bool found = pool->free_memories.num_free != 0;
    if (found) {
        uint32_t index = pool_take_at(&pool->free_memories, pool_best_memory(pool, image, committed_bytes));
        PoolMemory *slot = &pool->memory_slots[index];
        *out_slot = (VmMemorySlot){ pool->memories + index * pool->memory_bytes, slot->committed_bytes, slot->image, index };
        pool->num_warm -= slot->image != NULL;
        *slot = (PoolMemory){ 0 };
    }
    vm_unlock();
    return found || pool_exhausted(error, "total_memories", pool->config.total_memories);
}

void vm_pool_give_memory(WrPool *pool, VmMemorySlot slot)
{
    bool clean = vm_slot_reset(&slot, 0, (size_t)pool->config.memory_keep_resident_bytes);
    vm_lock();
    bool keep_image = pool->num_warm < pool->config.max_unused_warm_slots;
    vm_unlock();
    /* mapping over it empties it too */
    if (clean && slot.image != NULL && !keep_image) clean = vm_slot_remove_image(&slot);
    if (!clean) {
        /* without access nothing of it can be seen; its pages are the price of a system that refuses even this */
        (void)wr_os_protect(slot.reservation, slot.committed_bytes, WR_OS_NO_ACCESS);
        vm_memory_image_release(slot.image);
        return;
    }
    vm_lock();
    pool->memory_slots[slot.index] = (PoolMemory){ slot.committed_bytes, slot.image };
    pool->num_warm += slot.image != NULL;
    pool->free_memories.free[pool->free_memories.num_free++] = slot.index;
    vm_unlock();
}

bool vm_pool_take_table(WrPool *pool, uint64_t min_elements, void ***out_elements, uint32_t *out_slot, uint64_t *out_capacity, WrError *error)
{
    if (min_elements > pool->config.table_elements)
        return wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "a table of %llu elements exceeds the pool's limit table_elements of %llu", (unsigned long long)min_elements,
                            (unsigned long long)pool->config.table_elements);
    vm_lock();
    bool found = pool->free_tables.num_free != 0;
    if (found) *out_slot = pool_take_at(&pool->free_tables, pool->free_tables.num_free - 1);
    vm_unlock();
    if (!found) return pool_exhausted(error, "total_tables", pool->config.total_tables);
    *out_elements = vm_pool_table(pool, *out_slot, out_capacity);
    return true;
}

uint64_t vm_pool_table_capacity(const WrPool *pool) { return pool->config.table_elements; }

void **vm_pool_table(const WrPool *pool, uint32_t slot, uint64_t *out_capacity)
{
    *out_capacity = pool->config.table_elements;
    return pool->tables == NULL ? NULL : (void **)(void *)(pool->tables + slot * pool->table_bytes);
}

/* A page or less is zeroed in place: that is cheaper than asking the system. */
void vm_pool_give_table(WrPool *pool, uint32_t slot, uint64_t used_elements)
{
    size_t used = (size_t)used_elements * sizeof(void *), kept = (size_t)pool->config.table_keep_resident_bytes;
    uint8_t *start = pool->tables + slot * pool->table_bytes;
    if (kept < wr_os_page_size()) kept = wr_os_page_size();
    if (used != 0 && (used <= kept || !wr_os_discard(start, wr_os_round_to_pages(used)))) memset(start, 0, used);
    vm_lock();
    pool->free_tables.free[pool->free_tables.num_free++] = slot;
    vm_unlock();
}

static bool pool_is_small(const VmPrepared *prepared) { return prepared->layout.whole_bytes <= POOL_SMALL_BYTES; }

WrInstance *vm_pool_take_instance(WrPool *pool, const VmPrepared *prepared, uint32_t *out_slot, VmBlockState *out_state, size_t *out_room, WrError *error)
{
    const bool small = pool_is_small(prepared);
    if (prepared->layout.bytes > pool->config.max_core_instance_bytes) {
        wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "an instance of %zu bytes exceeds the pool's limit max_core_instance_size of %llu", prepared->layout.bytes,
                     (unsigned long long)pool->config.max_core_instance_bytes);
        return NULL;
    }
    PoolList *list = &pool->free_instances;
    vm_lock();
    bool found = list->num_free != 0;
    if (found) {
        uint32_t best = list->num_free - 1;
        for (uint32_t i = 0; i < POOL_SEARCHED && i < list->num_free; i++) {
            if (pool->instance_ids[2 * list->free[list->num_free - 1 - i] + small] != prepared->id) continue;
            best = list->num_free - 1 - i;
            break;
        }
        *out_slot = pool_take_at(list, best);
        uint64_t *id = &pool->instance_ids[2 * *out_slot + small];
        *out_state = *id == prepared->id ? VM_BLOCK_WARM : *id == POOL_UNUSED ? VM_BLOCK_ZERO : VM_BLOCK_DIRTY;
        *id = 0;
    }
    vm_unlock();
    if (!found) {
        pool_exhausted(error, "total_core_instances", pool->config.total_core_instances);
        return NULL;
    }
    *out_room = small ? POOL_SMALL_BYTES : pool->instance_bytes;
    return (WrInstance *)(void *)(small ? pool->small_instances + *out_slot * POOL_SMALL_BYTES : pool->instances + *out_slot * pool->instance_bytes);
}

void vm_pool_give_instance(WrPool *pool, const VmPrepared *prepared, uint32_t slot, bool warm)
{
    vm_lock();
    pool->instance_ids[2 * slot + pool_is_small(prepared)] = warm ? prepared->id : 0;
    pool->free_instances.free[pool->free_instances.num_free++] = slot;
    vm_unlock();
}

bool vm_pool_take_component(WrPool *pool, WrError *error)
{
    vm_lock();
    bool room = pool->num_components < pool->config.total_component_instances;
    pool->num_components += room;
    vm_unlock();
    return room || pool_exhausted(error, "total_component_instances", pool->config.total_component_instances);
}

void vm_pool_give_components(WrPool *pool, uint32_t count)
{
    vm_lock();
    pool->num_components -= count;
    vm_unlock();
}
