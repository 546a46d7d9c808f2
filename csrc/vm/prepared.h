/* What instantiating a module needs, worked out once for an image and shared by all instances: the layout of an instance, which elements its tables start with,
 * and which data segments make up images of memories.
 *
 * Made at the first instantiation (or by wr_code_prepare_images), hung on the CodeMemory, freed with it. Immutable but for the images, which are made when
 * first wanted, and for the list of warm blocks. */
#ifndef WR_VM_PREPARED_H
#define WR_VM_PREPARED_H

#include "vm/objects.h"
#include "wasm/images.h"

/* Initial contents of [memory_offset, memory_offset + bytes) of a memory, whole pages, to map privately. */
struct VmMemoryImage {
    _Atomic uint32_t references;
    int contents;              /* descriptor; its own */
    uint64_t contents_offset;
    uint64_t memory_offset;
    size_t bytes;
};

enum { VM_IMAGES_NONE, VM_IMAGES_LARGE, VM_IMAGES_ALL };

typedef struct VmInstanceLayout {
    VMOffsets offsets;
    size_t memories, tables, globals, tags, own_tables, own_globals, own_tags, elems, datas, vmctx;
    size_t kept;        /* from here on a freed block keeps its contents for the next instance: chunks of func_refs, kept elements, places of tables */
    size_t kept_elements; /* void **, by table that the module defines: of large lazy ones, once they have any */
    size_t func_refs;   /* VMFuncRef[num_escaped_funcs]: one chunk lies in every block, more only in slots of pools */
    size_t block_bytes; /* on demand: up to one chunk, small tables */
    size_t bytes;       /* what a slot must have room for: all functions */
    size_t whole_bytes; /* and all lazy tables */
} VmInstanceLayout;

#define VM_NO_PLACE SIZE_MAX

typedef struct VmPrepared {
    uint64_t id;                /* unique in the process: what a warm block or slot was last used for */
    CodeMemory *code;           /* borrowed: it owns this */
    uint32_t module_index;
    const WasmModule *module;
    const uint32_t *type_ids;   /* that kept func_refs were made for; another engine's differ */
    VmInstanceLayout layout;
    WasmElems elems;            /* what tables start with */
    uint64_t *elems_dropped;    /* bitmap: of the first elems.num_elems segments those that count as empty from the start */
    size_t *places;             /* per table that the module defines: where in the block its elements lie while it has not grown, or VM_NO_PLACE */
    bool *is_late;              /* a large lazy table's place: used once it has elements, and only in slots of pools */
    WasmImages images_of;       /* which pages of memories are known in advance; small ranges have an image in pools only */
    _Atomic(VmMemoryImage *) *images; /* per memory that the module defines; NULL: not made yet, or none */
    _Atomic uint32_t images_made; /* VM_IMAGES_* */
    WrInstance *warm;           /* blocks of freed instances, under vm_lock */
    uint32_t num_warm;
    size_t warm_bytes;          /* that they hold */
} VmPrepared;

/* NULL: no memory, or the module is malformed, which only an artifact can be. */
VmPrepared *vm_prepare(CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, WrError *error);
/* A chunk of an instance's func_refs, zeroed; NULL: no memory. */
VMFuncRef *vm_chunk_new(WrInstance *instance, uint32_t chunk);
/* Frees an instance's block that came from vm_block_new, and what is kept with it. */
void vm_block_free_whole(const VmPrepared *prepared, WrInstance *block);
/* Zeros in a range of a block, whose pages go back to the system where they are many. */
void vm_block_clear(void *start, size_t bytes);
/* Makes the images; where the system refuses, segments are copied instead. */
void vm_prepare_images(VmPrepared *prepared, bool small_too);
VmMemoryImage *vm_prepared_image(const VmPrepared *prepared, uint32_t own_memory, bool small_too); /* borrowed; NULL: none */
void vm_memory_image_retain(VmMemoryImage *image);
void vm_memory_image_release(VmMemoryImage *image); /* NULL is fine */

#endif
