/* Inside the vm room: where memories, tables and instance blocks come from.
 *
 * On demand (store->pool NULL): memories from the system, through a small cache of freed reservations; tables from malloc; instances from malloc, through
 * their module's list of warm blocks. Pooling: from slots that were reserved when the engine was made; none is bound to a store, and running out of any
 * is an error that names the limit. Under vm_lock in short sections; a slot belongs to whoever took it until it is given back, clean. */
#ifndef WR_VM_POOL_H
#define WR_VM_POOL_H

#include "vm/prepared.h"

/* An address range for a memory: its reservation with what is left of earlier uses: pages that are accessible (and zero), an image that is mapped. */
typedef struct VmMemorySlot {
    uint8_t *reservation;
    size_t committed_bytes;
    VmMemoryImage *image;  /* retained; its range has the image's contents */
    uint32_t index;        /* of a pool */
} VmMemorySlot;

size_t vm_pool_memory_capacity(const WrPool *pool); /* without the guard */
size_t vm_pool_memory_bytes(const WrPool *pool);    /* with it */
/* `image` (may be NULL) and `committed_bytes` are wished for: what the slot has may differ. */
bool vm_pool_take_memory(WrPool *pool, const VmMemoryImage *image, size_t committed_bytes, VmMemorySlot *out_slot, WrError *error);
/* Empties the slot. One that cannot be emptied is given up for good. */
void vm_pool_give_memory(WrPool *pool, VmMemorySlot slot);

bool vm_pool_take_table(WrPool *pool, uint64_t min_elements, void ***out_elements, uint32_t *out_slot, uint64_t *out_capacity, WrError *error);
void **vm_pool_table(const WrPool *pool, uint32_t slot, uint64_t *out_capacity);
uint64_t vm_pool_table_capacity(const WrPool *pool);
void vm_pool_give_table(WrPool *pool, uint32_t slot, uint64_t used_elements);

/* What a block holds behind prepared->layout.kept: zeros, anything, or (VM_BLOCK_WARM) what an instance of the same module left there for the next. */
typedef enum VmBlockState { VM_BLOCK_ZERO, VM_BLOCK_DIRTY, VM_BLOCK_WARM } VmBlockState;
/* A block of prepared->layout.bytes at least. Before layout.kept it holds anything. */
WrInstance *vm_pool_take_instance(WrPool *pool, const VmPrepared *prepared, uint32_t *out_slot, VmBlockState *out_state, size_t *out_room, WrError *error);
/* `warm`: it may be VM_BLOCK_WARM for the module's next instance. */
void vm_pool_give_instance(WrPool *pool, const VmPrepared *prepared, uint32_t slot, bool warm);

/* A component instance of a store; given back when the store is freed. */
bool vm_pool_take_component(WrPool *pool, WrError *error);
void vm_pool_give_components(WrPool *pool, uint32_t count);

/* Empties a range of which [0, committed) is accessible; what an image covers gets the image's contents back. `keep_bytes` from `keep_from`, whole pages, are
 * zeroed in place, which keeps them, unless there is an image. */
bool vm_slot_reset(const VmMemorySlot *slot, size_t keep_from, size_t keep_bytes);
/* Takes the image out of a slot: zeros in its place. */
bool vm_slot_remove_image(VmMemorySlot *slot);

#endif
