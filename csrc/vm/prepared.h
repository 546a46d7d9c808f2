/* What instantiating a module needs, worked out once for an image and shared by all instances: the layout of an instance, its functions' references as a
 * flat array to copy, the items of element segments as offsets into that array, and which data segments make up images of memories.
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
    size_t memories, tables, globals, tags, own_tables, own_globals, own_tags, elems, datas, vmctx, bytes;
} VmInstanceLayout;

#define VM_ITEM_OTHER UINT32_MAX /* an import, null, global or expression */

typedef struct VmPrepared {
    uint64_t id;                /* unique in the process: what a warm block or slot was last used for */
    CodeMemory *code;           /* borrowed: it owns this */
    uint32_t module_index;
    const WasmModule *module;
    const uint32_t *type_ids;   /* that func_refs was made for; another engine's differ */
    VmInstanceLayout layout;
    VMFuncRef *func_refs;       /* num_escaped_funcs, without vmctx */
    uint32_t *item_offsets;     /* per elem_item: bytes into the func_refs, or VM_ITEM_OTHER */
    uint64_t *flat_elems;       /* bitmap of element segments without VM_ITEM_OTHER */
    WasmImages images_of;       /* which pages of memories are known in advance; small ranges have an image in pools only */
    _Atomic(VmMemoryImage *) *images; /* per memory that the module defines; NULL: not made yet, or none */
    _Atomic uint32_t images_made; /* VM_IMAGES_* */
    WrInstance *warm;           /* blocks of freed instances whose func_refs are filled in: under vm_lock */
    uint32_t num_warm;
} VmPrepared;

/* NULL: no memory, or the module is malformed, which only an artifact can be. */
VmPrepared *vm_prepare(CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, WrError *error);
/* References of a module's own functions by escape index, without vmctx. False: malformed. */
bool vm_fill_func_refs(CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, VMFuncRef *out_refs);
/* Makes the images; where the system refuses, segments are copied instead. */
void vm_prepare_images(VmPrepared *prepared, bool small_too);
VmMemoryImage *vm_prepared_image(const VmPrepared *prepared, uint32_t own_memory, bool small_too); /* borrowed; NULL: none */
void vm_memory_image_retain(VmMemoryImage *image);
void vm_memory_image_release(VmMemoryImage *image); /* NULL is fine */

#endif
