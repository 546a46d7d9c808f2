/* Structs and arrays: where they come from, and how those that nothing refers to are found and used again.
 *
 * A store reserves a range of addresses when it makes its first object, and commits it in blocks of 32 KiB. A block holds objects of one size class, or a
 * large object takes whole blocks. Objects never move, so code may keep references wherever it likes and no compiler writes stack maps: the
 * machine stack is scanned word by word (what is the address of an object keeps it), tables, globals, element segments, exceptions and fields of
 * objects by their types. Code that is switched away to other stacks is not seen: nothing is collected then, and objects only add up to the limit.
 *
 * Free cells are not linked. A block has one bit for each object that the last collection left; allocation goes through a block in order of address
 * and hands out runs of cells without a bit, as [cursor, limit) in VMStoreContext.allocs, from which code takes objects without a call. A cell
 * behind the cursor is an object; a word that points at any other cell is just a number. So nothing is touched between the marking of one
 * collection and the next use of a cell, and what a collection costs beside marking is one look at each block's bits.
 *
 * A collection comes when as much was handed out as the last one left (HEAP_THRESHOLD_BYTES at least), so its work is paid for by allocation. Marking
 * has a stack of its own; arrays are looked at in pieces, which bounds it by what is deep, not by what is wide. Objects and exceptions
 * (csrc/vm/exceptions.c) may refer to each other and are collected together. */
#include <stdlib.h>
#include <string.h>

#include "os/pages.h"
#include "vm/objects.h"
#include "wasm/fields.h"
#include "wasm/limits.h"

enum { BLOCK_SHIFT = 15, BLOCK_BYTES = 1 << BLOCK_SHIFT, BLOCK_GRANULE_SHIFT = 4, BLOCK_WORDS = (BLOCK_BYTES >> BLOCK_GRANULE_SHIFT) / 64 };
enum { BLOCK_FREE, BLOCK_SMALL, BLOCK_LARGE, BLOCK_REST /* of a large object */ };
enum { SMALL_PENDING /* no run was handed out since the last collection */, SMALL_CURRENT, SMALL_FULL };
#define HEAP_SMALL_BYTES ((size_t)BLOCK_BYTES / 2)
#define HEAP_THRESHOLD_BYTES ((size_t)4 << 20)
#define HEAP_DISCARD_BLOCKS 32u /* freed objects of that size go back to the system */
#define HEAP_SCAN_ITEMS 128u
#define HEAP_MARKS_BETWEEN_LOOKS 1024u
#define HEAP_LONG_BYTES ((size_t)16 << 20) /* that live: others may run while they are marked */

struct VmHeapBlock {
    uint8_t kind, state;
    bool is_zero;        /* FREE: nothing was ever written */
    uint8_t class_index; /* SMALL */
    uint32_t cell_bytes; /* SMALL */
    uint32_t span;       /* LARGE: blocks */
    uint32_t next;       /* SMALL, PENDING: the next of its class, + 1 */
    uint32_t cell;       /* SMALL, CURRENT: first cell behind the run that is handed out */
    /* by address / 16 in the block; cells are no smaller */
    uint64_t used[BLOCK_WORDS]; /* what the last collection left; SMALL */
    uint64_t marked[BLOCK_WORDS];
};

struct VmHeapMark {
    const VMObject *object;
    uint32_t next; /* item of an array */
};

/* ---- size classes ------------------------------------------------------------------------------------------------------------ */

/* Multiples of 8 up to 128, then four to each doubling. */
static uint32_t heap_class(size_t bytes, uint32_t *out_cell_bytes)
{
    uint32_t size = (uint32_t)bytes;
    if (size <= VM_ALLOC_MAX_BYTES) {
        uint32_t index = size <= VM_ALLOC_MIN_BYTES ? 0 : (size + 7) / 8 - VM_ALLOC_MIN_BYTES / 8;
        *out_cell_bytes = VM_ALLOC_MIN_BYTES + 8 * index;
        return index;
    }
    uint32_t log2 = 31 - (uint32_t)__builtin_clz(size - 1), step = 1u << (log2 - 2), index = (size - 1 - (1u << log2)) / step;
    *out_cell_bytes = (1u << log2) + (index + 1) * step;
    return VM_ALLOC_CLASSES + (log2 - 7) * 4 + index;
}

static VMAlloc *heap_alloc_of(WrStore *store, uint32_t class_index)
{
    return class_index < VM_ALLOC_CLASSES ? &store->context.allocs[class_index] : &store->heap.allocs[class_index - VM_ALLOC_CLASSES];
}

static uint8_t *heap_address(const VmHeap *heap, uint32_t block) { return heap->base + ((size_t)block << BLOCK_SHIFT); }
static bool block_bit(const uint64_t *bits, uint32_t offset) { return bits[offset >> (BLOCK_GRANULE_SHIFT + 6)] >> (offset >> BLOCK_GRANULE_SHIFT & 63u) & 1; }

/* ---- blocks ------------------------------------------------------------------------------------------------------------------- */

static bool heap_reserve(VmHeap *heap)
{
    size_t bytes = WR_LIMIT_OBJECT_HEAP_BYTES;
    bytes &= ~((size_t)BLOCK_BYTES - 1);
    while ((heap->base = wr_os_reserve(bytes)) == NULL && bytes > (size_t)64 * BLOCK_BYTES) bytes = bytes / 2 & ~((size_t)BLOCK_BYTES - 1);
    if (heap->base == NULL) return false;
    heap->reserved_blocks = (uint32_t)(bytes >> BLOCK_SHIFT);
    return true;
}

/* At least `count` more blocks. */
static bool heap_grow(WrStore *store, uint32_t count)
{
    VmHeap *heap = &store->heap;
    if (heap->base == NULL && !heap_reserve(heap)) return false;
    uint64_t most = store->limits.memory_bytes >> BLOCK_SHIFT;
    if (most > heap->reserved_blocks) most = heap->reserved_blocks;
    if (heap->num_blocks >= most || count > most - heap->num_blocks) return false;
    uint32_t wanted = heap->num_blocks / 4 + 8;
    if (wanted < count) wanted = count;
    if (wanted > most - heap->num_blocks) wanted = (uint32_t)most - heap->num_blocks;
    uint32_t total = heap->num_blocks + wanted;
    if (total > heap->capacity_blocks) {
        VmHeapBlock *blocks = realloc(heap->blocks, total * sizeof *blocks);
        if (blocks == NULL) return false;
        heap->blocks = blocks;
        heap->capacity_blocks = total;
    }
    if (!wr_os_protect(heap_address(heap, heap->num_blocks), (size_t)wanted << BLOCK_SHIFT, WR_OS_READ_WRITE)) return false;
    memset(heap->blocks + heap->num_blocks, 0, wanted * sizeof *heap->blocks);
    for (uint32_t i = heap->num_blocks; i < total; i++) heap->blocks[i].is_zero = true;
    heap->num_blocks = total;
    return true;
}

/* The first of `count` free blocks in a row; UINT32_MAX: there is no room. Blocks that were passed by are looked at again after a collection. */
static uint32_t heap_take_blocks(WrStore *store, uint32_t count)
{
    VmHeap *heap = &store->heap;
    uint32_t *next = count == 1 ? &heap->next_single : &heap->next_span, run = 0;
    for (;;) {
        for (; *next < heap->num_blocks; ++*next) {
            run = heap->blocks[*next].kind == BLOCK_FREE ? run + 1 : 0;
            if (run == count) return ++*next - count;
        }
        if (!heap_grow(store, count - run)) {
            *next -= run;
            return UINT32_MAX;
        }
    }
}

/* ---- handing out cells --------------------------------------------------------------------------------------------------------- */

/* The next cells without a bit, in a row, of the block that the class is at; false: no more. */
static bool heap_run_in(const VmHeap *heap, uint32_t index, VMAlloc *alloc, bool one)
{
    VmHeapBlock *block = &heap->blocks[index];
    uint32_t size = block->cell_bytes, count = BLOCK_BYTES / size, cell = block->cell;
    while (cell < count && block_bit(block->used, cell * size)) cell++;
    uint32_t first = cell;
    while (cell < count && !(one && cell > first) && !block_bit(block->used, cell * size)) cell++;
    block->cell = cell;
    alloc->cursor = (uintptr_t)heap_address(heap, index) + (size_t)first * size;
    alloc->limit = (uintptr_t)heap_address(heap, index) + (size_t)cell * size;
    return cell > first;
}

static bool heap_next_run(WrStore *store, uint32_t class_index, uint32_t cell_bytes)
{
    VmHeap *heap = &store->heap;
    VMAlloc *alloc = heap_alloc_of(store, class_index);
    for (;;) {
        if (heap->current[class_index] != 0) {
            if (heap_run_in(heap, heap->current[class_index] - 1, alloc, heap->is_stressed)) {
                heap->allocated += alloc->limit - alloc->cursor;
                return true;
            }
            heap->blocks[heap->current[class_index] - 1].state = SMALL_FULL;
            heap->current[class_index] = 0;
            *alloc = (VMAlloc){ 0, 0 };
        }
        uint32_t index = heap->pending[class_index];
        if (index != 0) {
            heap->pending[class_index] = heap->blocks[index - 1].next;
        } else {
            index = heap_take_blocks(store, 1) + 1;
            if (index == 0) return false;
            VmHeapBlock *fresh = &heap->blocks[index - 1];
            *fresh = (VmHeapBlock){ .kind = BLOCK_SMALL, .class_index = (uint8_t)class_index, .cell_bytes = cell_bytes };
        }
        heap->blocks[index - 1].state = SMALL_CURRENT;
        heap->blocks[index - 1].cell = 0;
        heap->current[class_index] = index;
    }
}

static bool heap_is_due(const VmHeap *heap)
{
    size_t threshold = heap->threshold != 0 ? heap->threshold : HEAP_THRESHOLD_BYTES;
    return heap->hold == 0 && (heap->is_stressed || heap->allocated >= threshold);
}

bool vm_heap_is_long(const WrStore *store) { return store->heap.live >= HEAP_LONG_BYTES && heap_is_due(&store->heap); }

static void *heap_new_small(WrStore *store, size_t bytes)
{
    VmHeap *heap = &store->heap;
    uint32_t cell_bytes, class_index = heap_class(bytes, &cell_bytes);
    VMAlloc *alloc = heap_alloc_of(store, class_index);
    if (alloc->cursor == alloc->limit) {
        if (heap_is_due(heap)) (void)vm_collect(store, true);
        if (!heap_next_run(store, class_index, cell_bytes)) {
            if (!vm_collect(store, true) || !heap_next_run(store, class_index, cell_bytes)) return NULL;
        }
    }
    void *object = (void *)alloc->cursor;
    alloc->cursor += cell_bytes;
    return object;
}

static void *heap_new_large(WrStore *store, size_t bytes)
{
    VmHeap *heap = &store->heap;
    size_t wanted = (bytes + BLOCK_BYTES - 1) >> BLOCK_SHIFT;
    if (wanted > WR_LIMIT_OBJECT_HEAP_BYTES >> BLOCK_SHIFT) return NULL;
    uint32_t span = (uint32_t)wanted, first;
    heap->allocated += wanted << BLOCK_SHIFT;
    bool collected = heap_is_due(heap) && vm_collect(store, true);
    while ((first = heap_take_blocks(store, span)) == UINT32_MAX) {
        if (collected || !vm_collect(store, true)) return NULL;
        collected = true;
    }
    bool is_zero = true;
    for (uint32_t i = 0; i < span; i++) {
        VmHeapBlock *block = &heap->blocks[first + i];
        is_zero = is_zero && block->is_zero;
        *block = (VmHeapBlock){ .kind = i == 0 ? BLOCK_LARGE : BLOCK_REST, .span = span };
    }
    uint8_t *object = heap_address(heap, first);
    if (!is_zero) memset(object, 0, bytes);
    return object;
}

VMObject *vm_object_alloc(WrStore *store, size_t bytes) { return heap_new_small(store, bytes); }

VMObject *vm_object_new(WrStore *store, uint32_t type_id, size_t bytes, uint32_t length)
{
    VMObject *object;
    if (bytes <= HEAP_SMALL_BYTES) {
        if ((object = heap_new_small(store, bytes)) == NULL) return NULL;
        memset(object, 0, bytes);
    } else if ((object = heap_new_large(store, bytes)) == NULL) {
        return NULL;
    }
    *object = (VMObject){ type_id, length };
    return object;
}

/* ---- marking ------------------------------------------------------------------------------------------------------------------- */

static void heap_push(VmHeap *heap, const VMObject *object, uint32_t next)
{
    if (heap->num_marks == heap->capacity_marks) {
        size_t capacity = heap->capacity_marks ? 2 * (size_t)heap->capacity_marks : 1024;
        VmHeapMark *marks = capacity > UINT32_MAX ? NULL : realloc(heap->marks, capacity * sizeof *marks);
        if (marks == NULL) {
            heap->has_failed = true; /* what is marked so far is not all that lives: this collection frees nothing */
            return;
        }
        heap->marks = marks;
        heap->capacity_marks = (uint32_t)capacity;
    }
    heap->marks[heap->num_marks++] = (VmHeapMark){ object, next };
}

/* The address of an object. */
static void heap_mark(VmHeap *heap, uintptr_t address)
{
    uintptr_t offset = address - (uintptr_t)heap->base; /* the range starts at any page */
    VmHeapBlock *block = &heap->blocks[offset >> BLOCK_SHIFT];
    uint32_t bit = ((uint32_t)offset & (BLOCK_BYTES - 1)) >> BLOCK_GRANULE_SHIFT;
    uint64_t mask = UINT64_C(1) << (bit & 63u);
    if (block->marked[bit / 64] & mask) return;
    block->marked[bit / 64] |= mask;
    heap_push(heap, (const VMObject *)address, 0);
}

void vm_object_mark_word(WrStore *store, uintptr_t word)
{
    VmHeap *heap = &store->heap;
    uintptr_t offset = word - (uintptr_t)heap->base;
    if (offset >= (uintptr_t)heap->num_blocks << BLOCK_SHIFT || (word & 7u) != 0) return;
    uint32_t in_block = (uint32_t)offset & (BLOCK_BYTES - 1);
    const VmHeapBlock *block = &heap->blocks[offset >> BLOCK_SHIFT];
    if (block->kind == BLOCK_LARGE) {
        if (in_block != 0) return;
    } else if (block->kind == BLOCK_SMALL) {
        uint32_t cell = in_block / block->cell_bytes;
        if (cell * block->cell_bytes != in_block || cell >= BLOCK_BYTES / block->cell_bytes) return;
        if (block->state == SMALL_PENDING || (block->state == SMALL_CURRENT && cell >= block->cell)) {
            if (!block_bit(block->used, in_block)) return;
        } else if (block->state == SMALL_CURRENT) {
            const VMAlloc *alloc = heap_alloc_of(store, block->class_index);
            if (word >= alloc->cursor && word < alloc->limit) return;
        }
    } else {
        return;
    }
    heap_mark(heap, word);
}

void vm_object_mark_value(WrStore *store, ValType type, uintptr_t word)
{
    if (!wr_vt_is_ref(type) || word == 0) return;
    uint32_t heap_type = wr_vt_heap(type);
    if (wr_vt_concrete(type)) vm_object_mark_word(store, word);
    else if (heap_type == WR_HEAP_EXN || heap_type == WR_HEAP_NOEXN) vm_exception_mark(store, word);
    else if (heap_type != WR_HEAP_FUNC && heap_type != WR_HEAP_NOFUNC) vm_object_mark_word(store, word);
}

static void heap_mark_field(WrStore *store, uint32_t what, const uint8_t *place)
{
    uintptr_t word;
    memcpy(&word, place, sizeof word);
    if (word == 0) return;
    if (what == VM_FIELD_EXCEPTION) vm_exception_mark(store, word);
    else if ((word & VM_REF_TAG_MASK) == 0) heap_mark(&store->heap, word);
}

static void heap_scan(WrStore *store, VmHeapMark mark)
{
    const VMObject *object = mark.object;
    const VmTypeLayout *layout = vm_type_layout(store->registry, object->type_id);
    const uint8_t *bytes = (const uint8_t *)object;
    if (layout->kind == WASM_TYPE_STRUCT) {
        for (uint32_t i = 0; i < layout->num_refs; i++) heap_mark_field(store, layout->refs[i] & VM_FIELD_MASK, bytes + (layout->refs[i] & ~VM_FIELD_MASK));
        return;
    }
    if (layout->item == VM_FIELD_PLAIN) return;
    uint32_t end = object->length;
    if (end - mark.next > HEAP_SCAN_ITEMS) {
        end = mark.next + HEAP_SCAN_ITEMS;
        heap_push(&store->heap, object, end);
    }
    for (uint32_t i = mark.next; i < end; i++) heap_mark_field(store, layout->item, bytes + sizeof *object + (size_t)i * sizeof(void *));
}

/* Reads frames of others, word by word. */
__attribute__((noinline, no_sanitize("address"))) static void heap_mark_stack(WrStore *store, uintptr_t end)
{
    for (const uintptr_t *word = __builtin_frame_address(0); (uintptr_t)word < end; word++) {
        vm_exception_mark(store, *word);
        vm_object_mark_word(store, *word);
    }
}

/* Whether all entries lie on this thread's stack, each above the one before. */
static bool heap_stack_is_whole(const WrStore *store)
{
    uintptr_t below = (uintptr_t)__builtin_frame_address(0);
    if (vm_thread_attach() == NULL || below < vm_thread->stack_low || below >= vm_thread->stack_high) return false;
    for (const VMEntryRecord *record = store->context.last_entry; record != NULL; record = record->prev) {
        uintptr_t fp = (uintptr_t)record->entry_fp;
        if (fp <= below || fp >= vm_thread->stack_high) return false;
        below = fp;
    }
    return true;
}

static void heap_mark_table(WrStore *store, const WrTable *table)
{
    if (table->element == WR_VALTYPE_FUNCREF) return; /* the many */
    for (uint64_t i = 0; i < table->def.length; i++) vm_object_mark_value(store, table->element, (uintptr_t)table->def.elements[i]);
}

static void heap_mark_global(WrStore *store, const WrGlobal *global)
{
    if (global->def != NULL) vm_object_mark_value(store, global->type, (uintptr_t)global->def->value.ref);
}

static void heap_mark_roots(WrStore *store)
{
    for (const WrTable *table = store->tables; table != NULL; table = table->next) heap_mark_table(store, table);
    for (const WrGlobal *global = store->globals; global != NULL; global = global->next) heap_mark_global(store, global);
    for (const WrInstance *instance = store->instances; instance != NULL; instance = instance->next) {
        const WasmModule *module = instance->module;
        for (uint32_t i = 0; i < instance->num_own_tables; i++) heap_mark_table(store, &instance->own_tables[i]);
        for (uint32_t i = 0; i < module->num_globals - module->num_imported_globals; i++) heap_mark_global(store, &instance->own_globals[i]);
        for (uint32_t i = 0; instance->elem_values != NULL && i < module->num_elem_exprs; i++) vm_object_mark_word(store, (uintptr_t)instance->elem_values[i]);
    }
    const VmHeap *heap = &store->heap;
    for (uint32_t i = 0; i < heap->num_kept; i++) vm_object_mark_word(store, __atomic_load_n(&heap->kept[i], __ATOMIC_RELAXED));
}

/* ---- sweeping ------------------------------------------------------------------------------------------------------------------ */

static uint32_t block_count(const VmHeapBlock *block)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < BLOCK_WORDS; i++) count += (uint32_t)__builtin_popcountll(block->marked[i]);
    return count;
}

static void heap_free_large(VmHeap *heap, uint32_t first)
{
    uint32_t span = heap->blocks[first].span;
    bool is_zero = span >= HEAP_DISCARD_BLOCKS && wr_os_discard(heap_address(heap, first), (size_t)span << BLOCK_SHIFT);
    for (uint32_t i = 0; i < span; i++) heap->blocks[first + i] = (VmHeapBlock){ .kind = BLOCK_FREE, .is_zero = is_zero };
}

/* Under stress nothing is left in cells that are free: who still has one finds no type and zeros. */
static void heap_forget(const VmHeap *heap, uint32_t index)
{
    const VmHeapBlock *block = &heap->blocks[index];
    for (uint32_t at = 0; at + block->cell_bytes <= BLOCK_BYTES; at += block->cell_bytes)
        if (!block_bit(block->marked, at)) memset(heap_address(heap, index) + at, 0, block->cell_bytes);
}

static void heap_sweep(WrStore *store)
{
    VmHeap *heap = &store->heap;
    size_t live = 0;
    for (uint32_t i = 0; i < VM_HEAP_CLASSES; i++) {
        *heap_alloc_of(store, i) = (VMAlloc){ 0, 0 };
        heap->current[i] = heap->pending[i] = 0;
    }
    for (uint32_t i = heap->num_blocks; i--;) {
        VmHeapBlock *block = &heap->blocks[i];
        if (block->kind == BLOCK_LARGE) {
            if (block->marked[0] != 0) live += (size_t)block->span << BLOCK_SHIFT;
            else heap_free_large(heap, i);
            block->marked[0] = 0;
        } else if (block->kind == BLOCK_SMALL) {
            uint32_t count = block_count(block);
            if (heap->is_stressed) heap_forget(heap, i);
            if (count == 0) {
                block->kind = BLOCK_FREE;
                block->is_zero = false;
                continue;
            }
            live += (size_t)count * block->cell_bytes;
            memcpy(block->used, block->marked, sizeof block->used);
            memset(block->marked, 0, sizeof block->marked);
            block->state = SMALL_FULL;
            if (count == BLOCK_BYTES / block->cell_bytes) continue;
            block->state = SMALL_PENDING;
            block->next = heap->pending[block->class_index];
            heap->pending[block->class_index] = i + 1;
        }
    }
    heap->next_single = heap->next_span = 0;
    heap->live = live;
}

/* Whether the guest's time is up: then marking is not worth its end. The guest is told at its next check, or when there is no room for what it wants. */
static bool heap_is_over(WrStore *store)
{
    return vm_stack_limit(&store->context) == WR_INTERRUPTED && vm_hooks()->is_over != NULL && vm_hooks()->is_over(store, store->context.host);
}

/* noinline: registers that callers keep values in are pushed in this frame, above that of heap_mark_stack. */
__attribute__((noinline)) bool vm_collect(WrStore *store, bool with_stack)
{
    VmHeap *heap = &store->heap;
    __builtin_unwind_init(); /* pushes them all */
    vm_exceptions_begin(store);
    if (heap->hold != 0) return false;
    heap->allocated = 0;
    heap->has_failed = false;
    if (heap->threshold < HEAP_THRESHOLD_BYTES) heap->threshold = HEAP_THRESHOLD_BYTES;
    if (with_stack) {
        if (!heap_stack_is_whole(store)) return false;
        heap_mark_stack(store, vm_thread->stack_high);
    }
    heap_mark_roots(store);
    do {
        for (uint32_t count = 1; heap->num_marks != 0; count++) {
            VmHeapMark mark = heap->marks[--heap->num_marks];
            heap_scan(store, mark);
            if (count % HEAP_MARKS_BETWEEN_LOOKS == 0 && heap_is_over(store)) heap->num_marks = 0, heap->has_failed = true;
        }
    } while (vm_exceptions_scan(store));
    if (heap->has_failed) {
        for (uint32_t i = 0; i < heap->num_blocks; i++) memset(heap->blocks[i].marked, 0, sizeof heap->blocks[i].marked);
        vm_exceptions_abandon(store);
        return false;
    }
    heap_sweep(store);
    vm_exceptions_sweep(store);
    heap->threshold = heap->live > HEAP_THRESHOLD_BYTES ? heap->live : HEAP_THRESHOLD_BYTES;
    if (heap->capacity_marks > 65536) {
        free(heap->marks);
        heap->marks = NULL;
        heap->capacity_marks = 0;
    }
    heap->num_collections++;
    return true;
}

/* ---- the host ------------------------------------------------------------------------------------------------------------------- */

bool wr_store_gc(WrStore *store)
{
    return wr_store_owned(store) == WR_ENTER_OK && vm_collect(store, true);
}

void wr_store_gc_hold(WrStore *store, bool is_held) { store->heap.hold += is_held ? 1u : UINT32_MAX; }

void wr_store_set_gc_stress(WrStore *store, bool is_stressed) { store->heap.is_stressed = is_stressed; }

void wr_store_gc_stats(const WrStore *store, WrGcStats *out_stats)
{
    *out_stats = (WrGcStats){ (uint64_t)store->heap.num_blocks << BLOCK_SHIFT, store->heap.live, store->heap.num_collections };
}

/* Slots are freed by whoever holds the host's lock, while this store may run and be collected in another thread: so they become zero, and are looked for
 * when a new one is wanted, which no other thread's guest can be running by. */
uint32_t wr_ref_keep(WrStore *store, void *ref)
{
    VmHeap *heap = &store->heap;
    for (; heap->next_kept < heap->num_kept; heap->next_kept++)
        if (__atomic_load_n(&heap->kept[heap->next_kept], __ATOMIC_RELAXED) == 0) break;
    if (heap->next_kept == heap->num_kept && heap->num_kept == heap->capacity_kept) {
        uint32_t free_slots = 0;
        for (uint32_t i = 0; i < heap->num_kept; i++) free_slots += heap->kept[i] == 0;
        if (free_slots > heap->num_kept / 2) {
            heap->next_kept = 0;
            return wr_ref_keep(store, ref);
        }
        uint32_t capacity = heap->capacity_kept ? 2 * heap->capacity_kept : 16;
        uintptr_t *kept = capacity > UINT32_MAX / 16 ? NULL : realloc(heap->kept, capacity * sizeof *kept);
        if (kept == NULL) return 0;
        heap->kept = kept;
        heap->capacity_kept = capacity;
    }
    __atomic_store_n(&heap->kept[heap->next_kept], (uintptr_t)ref, __ATOMIC_RELAXED);
    if (heap->next_kept == heap->num_kept) heap->num_kept++;
    return ++heap->next_kept;
}

void wr_ref_drop(WrStore *store, uint32_t kept)
{
    if (kept != 0 && kept <= store->heap.num_kept) __atomic_store_n(&store->heap.kept[kept - 1], 0, __ATOMIC_RELAXED);
}

WrRefKind wr_ref_kind(const void *ref)
{
    uintptr_t word = (uintptr_t)ref;
    if (word == 0) return WR_REF_NULL;
    if (word & VM_REF_I31_BIT) return WR_REF_I31;
    if (word & VM_REF_HOST_BITS) return WR_REF_HOST;
    return ((const VMObject *)ref)->length == VM_OBJECT_IS_STRUCT ? WR_REF_STRUCT : WR_REF_ARRAY;
}

uint32_t wr_object_length(const void *object) { return ((const VMObject *)object)->length; }

bool wr_ref_matches(WrStore *store, ValType type, const void *ref)
{
    static const uint32_t heaps[] = { WR_HEAP_NONE, WR_HEAP_I31, WR_HEAP_ANY };
    WrRefKind kind = wr_ref_kind(ref);
    if (kind == WR_REF_NULL) return wr_vt_nullable(type);
    if (!wr_vt_concrete(type) && wr_vt_heap(type) == WR_HEAP_EXTERN) return true;
    ValType found = kind <= WR_REF_HOST ? WR_VT_REF(false, heaps[kind]) : WR_VT_REF_INDEX(false, ((const VMObject *)ref)->type_id);
    return vm_type_matches(store->registry, found, type);
}

bool wr_func_matches(WrStore *store, ValType type, const VMFuncRef *func)
{
    if (func == NULL) return wr_vt_nullable(type);
    return vm_type_matches(store->registry, WR_VT_REF_INDEX(false, func->type_index), type);
}

void vm_heap_free(WrStore *store)
{
    VmHeap *heap = &store->heap;
    if (heap->base == NULL && heap->blocks == NULL && heap->kept == NULL && heap->marks == NULL && heap->num_collections == 0 && heap->hold == 0 && !heap->is_stressed)
        return; /* as most stores: it is all zeros, and too large to be cleared for nothing */
    if (heap->base != NULL) wr_os_release(heap->base, (size_t)heap->reserved_blocks << BLOCK_SHIFT);
    free(heap->blocks);
    free(heap->marks);
    free(heap->kept);
    *heap = (VmHeap){ 0 };
}
