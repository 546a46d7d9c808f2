/* Inside the vm room: memories, tables, globals, tags, host functions and instances, all owned by one store.
 *
 * Machine code reads the VM*Def at the start of each through pointers in the VMContext of every instance that defines or imports it; so none of them
 * ever moves. What an instance defines lies in the instance's own block, except memories, which buffers may keep longer than the store. */
#ifndef WR_VM_OBJECTS_H
#define WR_VM_OBJECTS_H

#include "vm/store.h"
#include "wasm/elems.h"

typedef struct VmMemoryImage VmMemoryImage;

struct WrMemory {
    VMMemoryDef def;
    uint8_t *reservation;       /* starts at def.base */
    size_t reservation_bytes;   /* with the guard */
    size_t capacity_bytes;      /* what length may grow to without moving */
    size_t committed_bytes;     /* readable and writable: length rounded up to pages */
    uint64_t guard_bytes;       /* never accessible, after the capacity; 0 unless guarded */
    bool guarded;               /* 4 GiB and guard: code need not compare addresses with the length */
    WasmLimits type;            /* as declared: min stays what it was */
    WrStore *store;             /* NULL once the store was freed */
    WrPool *pool;               /* retained: whose slot it is; NULL: a reservation of its own */
    uint32_t slot;
    _Atomic uint32_t references;
    VmMemoryImage *image;       /* retained: mapped in its range; NULL: none */
    size_t keep_from, keep_bytes; /* pages that every instance of its module writes to: zeroed in place when it is freed (on demand) */
    struct WrMemory *next;
};

/* What a table starts with that an instance defines. */
typedef struct VmTableStart {
    WrInstance *instance;
    const WasmElemRange *lazy;  /* borrowed from `instance->prepared`; NULL: none */
    void **place;               /* zeroed room for its first elements, which outlives the table; NULL: none */
    void ***kept;               /* of a large lazy table: its elements, once it has any, for the next life of the block; NULL: others */
    void **room;                /* where those come to lie; NULL: wherever there is memory */
} VmTableStart;

struct WrTable {
    VMTableDef def;
    uint64_t capacity;          /* elements allocated */
    WrPool *pool;               /* of whose slots it has one */
    uint32_t slot;
    uint32_t num_lazy;          /* of the first elements null stands for what start.lazy says */
    VmTableStart start;         /* zeros: the host made it */
    uint32_t num_lookups;       /* while is_shared */
    bool is_shared;             /* elements are the nulls of all tables that have not met any */
    bool is_written;            /* something was stored that is not the module's to find */
    bool owns_elements;         /* from malloc */
    ValType element;            /* concrete types by engine-wide id */
    WasmLimits type;
    WrStore *store;
    struct WrTable *next;       /* made by the host */
};

struct WrGlobal {
    VMGlobalDef own;            /* of a global that the host made */
    VMGlobalDef *def;           /* &own, or in a VMContext */
    ValType type;               /* concrete types by engine-wide id */
    bool is_mutable;
    WrStore *store;
    struct WrGlobal *next;
};

struct WrTag {
    uint32_t type_id;
    uint32_t num_params;
    const ValType *params;      /* the registry's */
    WrStore *store;
    struct WrTag *next;
};

struct WrInstance {
    WrStore *store;
    WrInstance *next;
    CodeMemory *code;           /* retained */
    const WasmModule *module;   /* of `code` */
    uint32_t module_index;
    const uint32_t *type_ids;
    VMOffsets offsets;
    VMContext *vmctx;
    WrMemory **memories;        /* whole index spaces: imported first */
    WrTable **tables;
    WrGlobal **globals;
    WrTag **tags;
    WrTable *own_tables;
    WrGlobal *own_globals;
    WrTag *own_tags;
    uint32_t num_own_tables;    /* made so far */
    struct VmPrepared *prepared; /* of `code` */
    WrPool *pool;               /* whose slot the block is; NULL: from malloc */
    uint32_t slot;
    bool is_own_types;          /* type_ids are those of `prepared`, not another engine's: the block may be kept for the next instance */
    size_t room;                /* bytes of the block: places of tables that end behind it are not there */
    size_t held_bytes;          /* of the block and what is kept with it (VmInstanceLayout.kept) */
    void **elem_values;         /* by elem_expr of the module: objects are made once; NULL: it has none */
    uint64_t *dropped_elems;    /* bitmaps: these segments count as empty */
    uint64_t *dropped_datas;
};

static inline WrInstance *vm_instance_of(VMContext *vmctx) { return vm_header(vmctx)->instance; }
/* One of the VMContext's arrays, of which VMOffsets tells where each starts. */
#define VM_ARRAY(instance, type, field) ((type *)(void *)((uint8_t *)(instance)->vmctx + (instance)->offsets.field))
static inline bool vm_bit(const uint64_t *bits, uint32_t index) { return (bits[index / 64] >> (index % 64) & 1) != 0; }
static inline void vm_set_bit(uint64_t *bits, uint32_t index) { bits[index / 64] |= UINT64_C(1) << (index % 64); }
static inline bool vm_in_bounds(uint64_t start, uint64_t length, uint64_t size) { return start <= size && length <= size - start; }

/* memory.c */
bool vm_memory_owns_address(const WrStore *store, uintptr_t address);
static inline size_t vm_memory_length(const WrMemory *memory) { return __atomic_load_n(&memory->def.length_bytes, __ATOMIC_RELAXED); }
/* wr_memory_new for an instance: from the store's pool, if it has one, with an image (NULL: none) in its range. */
WrMemory *vm_memory_create(WrStore *store, const WasmLimits *limits, const WrTunables *tunables, WrPool *pool, VmMemoryImage *image, WrError *error);
void vm_memory_remove(WrMemory *memory); /* the newest of its store: undoes wr_memory_new */
void vm_memories_free(WrStore *store);
bool vm_memory_pool_drain(void); /* whether there was anything in it */
/* False: out of bounds, nothing was written. */
bool vm_memory_copy(WrMemory *dst_memory, WrMemory *src_memory, uint64_t dst, uint64_t src, uint64_t length);
bool vm_memory_fill(WrMemory *memory, uint64_t dst, uint8_t value, uint64_t length);
bool vm_memory_init(WrMemory *memory, uint64_t dst, const uint8_t *bytes, uint64_t num_bytes, uint64_t src, uint64_t length);

/* table.c */
/* `start`: NULL for all zeros. */
bool vm_table_create(WrTable *table, WrStore *store, WrPool *pool, ValType element, const WasmLimits *limits, const VmTableStart *start, void *init, WrError *error);
/* False of the following: no memory. The element at an index that is in bounds, looked up if it has to be. */
bool vm_table_element(WrTable *table, uint64_t index, void **out_element);
/* Looks up all elements, so that null is null from then on. */
bool vm_table_settle(WrTable *table);
/* Before elements are stored at `start`, which are at `values` (NULL: `length` nulls). */
bool vm_table_before_write(WrTable *table, uint64_t start, uint64_t length, void *const *values);
/* Of elements that are kept for the next life of a block, from vm_block_new. */
static inline size_t vm_table_kept_bytes(uint64_t num_elements) { return ((size_t)num_elements * sizeof(void *) + 63) & ~(size_t)63; }
void vm_table_destroy(WrTable *table);
void vm_tables_free(WrStore *store);
/* False: out of bounds, nothing was written; or no memory. */
bool vm_table_copy(WrTable *dst_table, WrTable *src_table, uint64_t dst, uint64_t src, uint64_t length);
bool vm_table_fill(WrTable *table, uint64_t dst, void *value, uint64_t length);

/* prepared.c. From the system or malloc: zeroed, at a multiple of 64; NULL: no memory. */
void *vm_block_new(size_t bytes);
void vm_block_free(void *block, size_t bytes);

/* global.c */
bool vm_tag_init(WrTag *tag, WrStore *store, uint32_t type_id); /* false: no type of functions */
void vm_globals_free(WrStore *store); /* and tags */
void vm_host_funcs_free(WrStore *store);
void vm_externrefs_free(WrStore *store);

/* exceptions.c */
VMResume vm_throw(VMContext *vmctx, uint32_t tag, const ValRaw *values, uintptr_t return_address, uintptr_t fp);
VMResume vm_throw_ref(VMContext *vmctx, VMException *exception, uintptr_t return_address, uintptr_t fp);
void vm_exceptions_free(WrStore *store);
void vm_exceptions_begin(WrStore *store);
void vm_exception_mark(WrStore *store, uintptr_t word); /* if it is the address of one */
bool vm_exceptions_scan(WrStore *store);                /* what they hold; whether there were any to look at */
void vm_exceptions_sweep(WrStore *store);
void vm_exceptions_abandon(WrStore *store);             /* forgets the marks */

/* gc.c. NULL: no room, even after a collection */
VMObject *vm_object_new(WrStore *store, uint32_t type_id, size_t bytes, uint32_t length); /* zeroed */
VMObject *vm_object_alloc(WrStore *store, size_t bytes); /* small; contents undefined */
bool vm_heap_is_long(const WrStore *store); /* whether making an object may start a collection that takes long */
void vm_object_mark_word(WrStore *store, uintptr_t word);  /* if it is the address of one */
void vm_object_mark_value(WrStore *store, ValType type, uintptr_t word);

/* objects.c: by type index of the instance's module, which has such a type. NULL: no room */
VMObject *vm_struct_new(WrInstance *instance, uint32_t type_index);
VMObject *vm_array_new(WrInstance *instance, uint32_t type_index, uint64_t length);
void vm_object_set(VMObject *object, uint32_t offset, ValType storage, const ValRaw *value);
void vm_array_set_all(VMObject *array, uint32_t item_bytes, uint64_t start, uint64_t length, const ValRaw *value);
/* Items [src, src + length) of a segment to `elements`; false: out of bounds, nothing was written. */
bool vm_elem_copy(WrInstance *instance, uint32_t segment, uint64_t src, uint64_t length, void **elements);
/* The code of the trap, or VM_NO_TRAP. */
#define VM_NO_TRAP UINT32_MAX
uint32_t vm_array_new_data(WrInstance *instance, uint32_t type_index, uint32_t segment, uint64_t src, uint64_t length, VMObject **out_array);
uint32_t vm_array_new_elem(WrInstance *instance, uint32_t type_index, uint32_t segment, uint64_t src, uint64_t length, VMObject **out_array);
uint32_t vm_array_fill(WrInstance *instance, VMObject *array, uint64_t dst, const ValRaw *value, uint64_t length);
uint32_t vm_array_copy(WrInstance *instance, VMObject *dst_array, uint64_t dst, VMObject *src_array, uint64_t src, uint64_t length);
uint32_t vm_array_init_data(WrInstance *instance, uint32_t segment, VMObject *array, uint64_t dst, uint64_t src, uint64_t length);
uint32_t vm_array_init_elem(WrInstance *instance, uint32_t segment, VMObject *array, uint64_t dst, uint64_t src, uint64_t length);

/* const_expr.c: false: malformed, which only an artifact can be, or no room for an object (*out_full). */
bool vm_const_eval(WrInstance *instance, const WasmConst *constant, ValRaw *out_value, bool *out_full);
/* instance.c: made if it was not yet; NULL: malformed */
VMFuncRef *vm_instance_func(WrInstance *instance, uint32_t func_index);
void *vm_elem_item(WrInstance *instance, const WasmElemItem *item); /* a malformed one, which the decoder lets nobody have, is null */
/* Items [src, src + length) of an element segment into a table; false: out of bounds, nothing was written; or no memory. */
bool vm_table_init(WrInstance *instance, WrTable *table, uint32_t segment, uint64_t dst, uint64_t src, uint64_t length);
bool vm_data_init(WrInstance *instance, WrMemory *memory, uint32_t segment, uint64_t dst, uint64_t src, uint64_t length);
void vm_instances_free(WrStore *store);

/* link.c: checks what is given for imports; the error names the import, what was expected and what was found. */
bool vm_link_check(WrStore *store, CodeMemory *code, const WasmModule *module, const uint32_t *type_ids, const WrExtern *imports, size_t num_imports, WrError *error);

/* types.c */
/* What a collection has to know of a type. */
enum { VM_FIELD_PLAIN, VM_FIELD_OBJECT, VM_FIELD_EXCEPTION };
#define VM_FIELD_MASK 3u
typedef struct VmTypeLayout {
    uint8_t kind;       /* WasmTypeKind */
    uint8_t item;       /* arrays: VM_FIELD_* */
    uint16_t item_bytes;
    uint32_t bytes;     /* structs */
    uint32_t num_refs;  /* structs: fields that refer to objects or exceptions */
    uint32_t refs[];    /* offset | VM_FIELD_* */
} VmTypeLayout;
const VmTypeLayout *vm_type_layout(const WrTypeRegistry *registry, uint32_t id); /* of a struct or array that exists; without a lock */
const uint32_t *vm_type_supertypes(const WrTypeRegistry *registry);
/* Subtyping of value types with engine-wide ids. */
bool vm_type_matches(WrTypeRegistry *registry, ValType sub, ValType super);
/* A value type of a module with engine-wide ids for its indices. */
static inline ValType vm_engine_type(ValType type, const uint32_t *type_ids)
{
    if (!wr_vt_is_ref(type) || !wr_vt_concrete(type)) return type;
    return (type & ~(0x7fffffu << 8)) | (type_ids[wr_vt_heap(type)] & 0x7fffffu) << 8;
}

#endif
