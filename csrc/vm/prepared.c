/* See prepared.h. What becomes an image is decided in wasm/images.c. */
#include "vm/prepared.h"

#include <stdlib.h>
#include <string.h>

#include "os/pages.h"

#define BLOCK_ALIGNMENT 64
#define BLOCK_ROUND(bytes) (((bytes) + BLOCK_ALIGNMENT - 1) & ~(size_t)(BLOCK_ALIGNMENT - 1))
/* Elements of tables that nobody else would keep for the next instance, or that would have pages of their own for next to nothing. */
#define PLACE_SMALL_ELEMENTS 64u

/* ---- layout --------------------------------------------------------------------------------------------------------------- */

static size_t prepared_take(size_t *end, size_t count, size_t size, size_t alignment)
{
    size_t at = (*end + alignment - 1) & ~(alignment - 1);
    *end = at + count * size;
    return at;
}

/* Counts are below the limits table's (the decoder's and the loader's business), so that no sum here comes near overflow. */
static void prepared_layout(const WasmModule *module, VmInstanceLayout *out)
{
    size_t end = sizeof(WrInstance);
    wr_vm_offsets(module, &out->offsets);
    out->memories = prepared_take(&end, module->num_memories, sizeof(WrMemory *), 8);
    out->tables = prepared_take(&end, module->num_tables, sizeof(WrTable *), 8);
    out->globals = prepared_take(&end, module->num_globals, sizeof(WrGlobal *), 8);
    out->tags = prepared_take(&end, module->num_tags, sizeof(WrTag *), 8);
    out->own_tables = prepared_take(&end, module->num_tables - module->num_imported_tables, sizeof(WrTable), 16);
    out->own_globals = prepared_take(&end, module->num_globals - module->num_imported_globals, sizeof(WrGlobal), 16);
    out->own_tags = prepared_take(&end, module->num_tags - module->num_imported_tags, sizeof(WrTag), 8);
    out->elems = prepared_take(&end, (module->num_elems + 63u) / 64, 8, 8);
    out->datas = prepared_take(&end, (module->num_datas + 63u) / 64, 8, 8);
    out->vmctx = prepared_take(&end, out->offsets.size, 1, 64);
    out->kept = out->vmctx + out->offsets.func_refs;
    out->kept_elements = prepared_take(&end, module->num_tables - module->num_imported_tables, sizeof(void **), 8);
    const bool one_chunk = module->num_escaped_funcs <= VM_CHUNK_FUNC_REFS;
    if (one_chunk) out->func_refs = prepared_take(&end, module->num_escaped_funcs, sizeof(VMFuncRef), 8);
    out->bytes = BLOCK_ROUND(end);
    for (uint32_t i = module->num_imported_tables; i < module->num_tables; i++)
        if (module->tables[i].limits.min <= PLACE_SMALL_ELEMENTS) end += (size_t)module->tables[i].limits.min * sizeof(void *);
    out->block_bytes = out->whole_bytes = BLOCK_ROUND(end);
    if (one_chunk) return;
    out->func_refs = prepared_take(&end, module->num_escaped_funcs, sizeof(VMFuncRef), 64);
    out->bytes = out->whole_bytes = BLOCK_ROUND(end);
}

/* ---- blocks --------------------------------------------------------------------------------------------------------------- */

/* From here on blocks are mapped: what nobody touches of many functions and elements then costs nothing. */
#define BLOCK_MAPPED_BYTES ((size_t)64 << 10)
/* Up to here clearing is cheaper than asking the system for zeros. */
#define BLOCK_CLEARED_BYTES ((size_t)16 << 10)

void *vm_block_new(size_t bytes)
{
    if (bytes >= BLOCK_MAPPED_BYTES) return wr_os_alloc(wr_os_round_to_pages(bytes));
    void *block = aligned_alloc(BLOCK_ALIGNMENT, bytes);
    if (block != NULL) memset(block, 0, bytes);
    return block;
}

void vm_block_free(void *block, size_t bytes)
{
    if (bytes >= BLOCK_MAPPED_BYTES) wr_os_release(block, wr_os_round_to_pages(bytes));
    else free(block);
}

VMFuncRef *vm_chunk_new(WrInstance *instance, uint32_t chunk)
{
    const uint32_t first = chunk * VM_CHUNK_FUNC_REFS, left = instance->module->num_escaped_funcs - first, count = left < VM_CHUNK_FUNC_REFS ? left : VM_CHUNK_FUNC_REFS;
    VMFuncRef **place = &VM_ARRAY(instance, VMFuncRef *, func_refs)[chunk], *none = NULL;
    VMFuncRef *made = instance->pool != NULL ? (VMFuncRef *)(void *)((uint8_t *)instance + instance->prepared->layout.func_refs) + first : calloc(count, sizeof *made);
    if (made == NULL) return NULL;
    /* who looks at an export while another thread runs the store may be second */
    if (!__atomic_compare_exchange_n(place, &none, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        if (instance->pool == NULL) free(made);
        return none;
    }
    if (instance->pool == NULL) __atomic_fetch_add(&instance->held_bytes, count * sizeof *made, __ATOMIC_RELAXED);
    return made;
}

void vm_block_free_whole(const VmPrepared *prepared, WrInstance *block)
{
    const WasmModule *module = prepared->module;
    const uint32_t num_chunks = vm_num_chunks(module->num_escaped_funcs);
    VMFuncRef **chunks = (VMFuncRef **)(void *)((uint8_t *)block + prepared->layout.kept);
    void ***elements = (void ***)(void *)((uint8_t *)block + prepared->layout.kept_elements);
    for (uint32_t i = 0; num_chunks > 1 && i < num_chunks; i++) free(chunks[i]);
    for (uint32_t i = 0; i < module->num_tables - module->num_imported_tables; i++)
        if (elements[i] != NULL) vm_block_free(elements[i], vm_table_kept_bytes(module->tables[module->num_imported_tables + i].limits.min));
    vm_block_free(block, prepared->layout.block_bytes);
}

void vm_block_clear(void *start, size_t bytes)
{
    uintptr_t page = wr_os_page_size(), from = (uintptr_t)start, end = from + bytes;
    uintptr_t first = (from + page - 1) & ~(page - 1), last = end & ~(page - 1);
    if (bytes <= BLOCK_CLEARED_BYTES || !wr_os_discard((void *)first, last - first)) {
        memset(start, 0, bytes);
        return;
    }
    memset(start, 0, first - from);
    memset((void *)last, 0, end - last);
}

/* ---- elements ------------------------------------------------------------------------------------------------------------- */

static void prepared_places(VmPrepared *prepared)
{
    const WasmModule *module = prepared->module;
    const VmInstanceLayout *layout = &prepared->layout;
    const bool one_chunk = module->num_escaped_funcs <= VM_CHUNK_FUNC_REFS;
    size_t small = one_chunk ? layout->func_refs + module->num_escaped_funcs * sizeof(VMFuncRef)
                             : layout->kept_elements + (module->num_tables - module->num_imported_tables) * sizeof(void **);
    size_t end = layout->whole_bytes;
    for (uint32_t i = 0; i < module->num_tables - module->num_imported_tables; i++) {
        uint64_t min = module->tables[module->num_imported_tables + i].limits.min;
        prepared->is_late[i] = min > PLACE_SMALL_ELEMENTS && prepared->elems.ranges[i].num_runs != 0 && min <= WR_LIMIT_TABLE_ELEMENTS;
        prepared->places[i] = min <= PLACE_SMALL_ELEMENTS ? prepared_take(&small, (size_t)min, sizeof(void *), sizeof(void *))
                              : prepared->is_late[i]      ? prepared_take(&end, (size_t)min, sizeof(void *), BLOCK_ALIGNMENT)
                                                          : VM_NO_PLACE;
    }
    prepared->layout.whole_bytes = BLOCK_ROUND(end);
}

static void prepared_dropped(VmPrepared *prepared)
{
    for (uint32_t i = 0; i < prepared->elems.num_elems; i++)
        if (prepared->module->elems[i].mode != WASM_SEGMENT_PASSIVE) vm_set_bit(prepared->elems_dropped, i);
}

/* ---- data ----------------------------------------------------------------------------------------------------------------- */

/* Whether a range of IMAGES is what the segments say, which only an artifact that lies about its layout can make untrue: then it is not mapped. */
static bool prepared_lies_in_file(const VmPrepared *prepared, uint32_t own_memory)
{
    const WasmModule *module = prepared->module;
    WasmImageRange range = prepared->images_of.ranges[own_memory];
    uint64_t offset;
    if (range.image_offset > module->num_data_bytes || range.bytes > module->num_data_bytes - range.image_offset) return false;
    for (uint32_t i = 0; i < prepared->images_of.num_datas; i++) {
        const WasmData *data = &module->datas[i];
        if (data->mode != WASM_SEGMENT_ACTIVE || data->memory - module->num_imported_memories != own_memory || data->bytes.length == 0) continue;
        if (!wr_images_segment(module, data, &offset) || data->bytes.offset != range.image_offset + (offset - range.memory_offset)) return false;
    }
    return true;
}

/* The pages of the artifact's file. */
static bool prepared_file_image(const VmPrepared *prepared, uint32_t own_memory, VmMemoryImage *image)
{
    int file;
    uint64_t start;
    if (!wr_code_images(prepared->code, prepared->module_index, &file, &start) || !prepared_lies_in_file(prepared, own_memory)) return false;
    image->contents = wr_os_contents_of(file);
    image->contents_offset = start + prepared->images_of.ranges[own_memory].image_offset;
    return image->contents >= 0;
}

static VmMemoryImage *prepared_image(const VmPrepared *prepared, uint32_t own_memory)
{
    const WasmModule *module = prepared->module;
    WasmImageRange dense = prepared->images_of.ranges[own_memory];
    VmMemoryImage *image = malloc(sizeof *image);
    if (image == NULL) return NULL;
    *image = (VmMemoryImage){ .memory_offset = dense.memory_offset, .bytes = (size_t)dense.bytes };
    atomic_init(&image->references, 1);
    if (prepared_file_image(prepared, own_memory, image)) return image;
    image->contents_offset = 0;
    image->contents = wr_os_contents_new((size_t)dense.bytes);
    bool ok = image->contents >= 0;
    for (uint32_t i = 0; i < prepared->images_of.num_datas && ok; i++) {
        const WasmData *data = &module->datas[i];
        uint64_t offset;
        if (data->mode != WASM_SEGMENT_ACTIVE || data->memory - module->num_imported_memories != own_memory || data->bytes.length == 0) continue;
        if (!wr_images_segment(module, data, &offset)) continue;
        ok = wr_os_contents_write(image->contents, module->data_bytes + data->bytes.offset, data->bytes.length, offset - dense.memory_offset);
    }
    if (!ok) {
        vm_memory_image_release(image);
        return NULL;
    }
    wr_os_contents_seal(image->contents);
    return image;
}

void vm_prepare_images(VmPrepared *prepared, bool small_too)
{
    uint32_t wanted = small_too ? VM_IMAGES_ALL : VM_IMAGES_LARGE;
    if (atomic_load_explicit(&prepared->images_made, memory_order_acquire) >= wanted) return;
    uint32_t own = prepared->module->num_memories - prepared->module->num_imported_memories;
    for (uint32_t i = 0; i < own; i++) {
        if (prepared->images_of.ranges[i].bytes == 0 || (prepared->images_of.ranges[i].is_small && !small_too) || atomic_load(&prepared->images[i]) != NULL) continue;
        VmMemoryImage *none = NULL, *made = prepared_image(prepared, i);
        if (made != NULL && !atomic_compare_exchange_strong(&prepared->images[i], &none, made)) vm_memory_image_release(made); /* another thread was first */
    }
    atomic_store_explicit(&prepared->images_made, wanted, memory_order_release);
}

VmMemoryImage *vm_prepared_image(const VmPrepared *prepared, uint32_t own_memory, bool small_too)
{
    if (prepared->images_of.ranges[own_memory].is_small && !small_too) return NULL;
    return atomic_load_explicit(&prepared->images[own_memory], memory_order_acquire);
}

void vm_memory_image_retain(VmMemoryImage *image) { atomic_fetch_add_explicit(&image->references, 1, memory_order_relaxed); }

void vm_memory_image_release(VmMemoryImage *image)
{
    if (image == NULL || atomic_fetch_sub_explicit(&image->references, 1, memory_order_acq_rel) != 1) return;
    wr_os_contents_close(image->contents);
    free(image);
}

/* ---- life ----------------------------------------------------------------------------------------------------------------- */

typedef struct PreparedImage {
    uint32_t count;
    _Atomic(VmPrepared *) modules[];
} PreparedImage;

static void prepared_free(VmPrepared *prepared)
{
    if (prepared == NULL) return;
    uint32_t own = prepared->module->num_memories - prepared->module->num_imported_memories;
    for (uint32_t i = 0; prepared->images != NULL && i < own; i++) vm_memory_image_release(atomic_load(&prepared->images[i]));
    while (prepared->warm != NULL) {
        WrInstance *block = prepared->warm;
        prepared->warm = block->next;
        vm_block_free_whole(prepared, block);
    }
    wr_elems_free(&prepared->elems);
    free(prepared->elems_dropped);
    free(prepared->places);
    free(prepared->is_late);
    wr_images_free(&prepared->images_of);
    free(prepared->images);
    free(prepared);
}

static void prepared_free_all(void *attached)
{
    PreparedImage *all = attached;
    for (uint32_t i = 0; i < all->count; i++) prepared_free(atomic_load(&all->modules[i]));
    free(all);
}

static VmPrepared *prepared_new(CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, WrError *error)
{
    static _Atomic uint64_t next_id = 1;
    const WasmModule *module = wr_code_module(code, module_index, error);
    if (module == NULL) return NULL;
    uint32_t own = module->num_memories - module->num_imported_memories, own_tables = module->num_tables - module->num_imported_tables;
    VmPrepared *prepared = calloc(1, sizeof *prepared);
    if (prepared == NULL) goto no_memory;
    *prepared = (VmPrepared){ .id = atomic_fetch_add(&next_id, 1), .code = code, .module_index = module_index, .module = module, .type_ids = type_ids };
    prepared->elems_dropped = calloc(module->num_elems / 64 + 1, sizeof *prepared->elems_dropped);
    prepared->places = calloc((size_t)own_tables + 1, sizeof *prepared->places);
    prepared->images = calloc((size_t)own + 1, sizeof *prepared->images);
    prepared->is_late = calloc((size_t)own_tables + 1, sizeof *prepared->is_late);
    if (prepared->elems_dropped == NULL || prepared->places == NULL || prepared->is_late == NULL || prepared->images == NULL) goto no_memory;
    if (!wr_images_find(module, &prepared->images_of) || !wr_elems_find(module, &prepared->elems)) goto no_memory;
    prepared_layout(module, &prepared->layout);
    prepared_places(prepared);
    prepared_dropped(prepared);
    return prepared;
no_memory:
    prepared_free(prepared);
    wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for what a module's instances share");
    return NULL;
}

VmPrepared *vm_prepare(CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, WrError *error)
{
    PreparedImage *all = wr_code_attached(code);
    if (all == NULL) {
        uint32_t count = wr_code_num_modules(code);
        PreparedImage *made = calloc(1, sizeof *made + count * sizeof made->modules[0]);
        if (made == NULL) {
            wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for what instances share");
            return NULL;
        }
        made->count = count;
        all = wr_code_attach(code, made, prepared_free_all);
        if (all != made) free(made);
    }
    VmPrepared *prepared = atomic_load_explicit(&all->modules[module_index], memory_order_acquire), *none = NULL;
    if (prepared != NULL && !wr_code_is_broken(code)) return prepared;
    const WasmModule *module = wr_code_module(code, module_index, error);
    if (module == NULL) return NULL;
    if (module->num_imported_funcs > module->num_funcs || module->num_imported_tables > module->num_tables || module->num_imported_memories > module->num_memories ||
        module->num_imported_globals > module->num_globals || module->num_imported_tags > module->num_tags) {
        wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "malformed module: import counts");
        return NULL;
    }
    prepared = prepared_new(code, module_index, type_ids, error);
    if (prepared == NULL || atomic_compare_exchange_strong(&all->modules[module_index], &none, prepared)) return prepared;
    prepared_free(prepared);
    return none;
}

bool wr_code_prepare_images(CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, bool for_pool, WrError *error)
{
    VmPrepared *prepared = vm_prepare(code, module_index, type_ids, error);
    if (prepared == NULL) return false;
    vm_prepare_images(prepared, for_pool);
    return true;
}

bool wr_code_static_data(CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, bool *out_static, WrError *error)
{
    const VmPrepared *prepared = vm_prepare(code, module_index, type_ids, error);
    if (prepared != NULL) *out_static = prepared->images_of.is_static;
    return prepared != NULL;
}

void wr_code_instance_bytes(const WasmModule *module, size_t *out_bytes)
{
    VmInstanceLayout layout;
    prepared_layout(module, &layout);
    *out_bytes = layout.bytes;
}
