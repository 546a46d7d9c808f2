/* Globals and tags that the host makes, functions that the host implements, and references to objects of the host. */
#include "vm/objects.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* ---- globals -------------------------------------------------------------------------------------------------------------- */

WrGlobal *wr_global_new(WrStore *store, ValType type, bool is_mutable, const ValRaw *value, WrError *error)
{
    WrGlobal *global = aligned_alloc(16, (sizeof *global + 15) & ~(size_t)15);
    if (global == NULL) {
        wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for a global");
        return NULL;
    }
    *global = (WrGlobal){ .own.value = *value, .type = type, .is_mutable = is_mutable, .store = store, .next = store->globals };
    global->def = &global->own;
    store->globals = global;
    return global;
}

VMGlobalDef *wr_global_def(WrGlobal *global) { return global->def; }

void wr_global_type(const WrGlobal *global, ValType *out_type, bool *out_mutable)
{
    *out_type = global->type;
    *out_mutable = global->is_mutable;
}

bool vm_tag_init(WrTag *tag, WrStore *store, uint32_t type_id)
{
    const ValType *results;
    uint32_t num_results;
    *tag = (WrTag){ .type_id = type_id, .store = store };
    return wr_types_func(store->registry, type_id, &tag->params, &tag->num_params, &results, &num_results) && num_results == 0;
}

WrTag *wr_tag_new(WrStore *store, uint32_t type_id, WrError *error)
{
    WrTag *tag = malloc(sizeof *tag);
    if (tag == NULL) {
        wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for a tag");
        return NULL;
    }
    if (!vm_tag_init(tag, store, type_id)) {
        free(tag);
        wr_error_set(error, WR_ERROR_VALIDATION, WR_NO_OFFSET, "the type of a tag is a function type without results");
        return NULL;
    }
    tag->next = store->tags;
    store->tags = tag;
    return tag;
}

uint32_t wr_tag_type(const WrTag *tag) { return tag->type_id; }

void vm_globals_free(WrStore *store)
{
    while (store->globals != NULL) {
        WrGlobal *global = store->globals;
        store->globals = global->next;
        free(global);
    }
    while (store->tags != NULL) {
        WrTag *tag = store->tags;
        store->tags = tag->next;
        free(tag);
    }
}

/* ---- host functions ------------------------------------------------------------------------------------------------------- */

/* A block of functions made together: contexts, then their VMFuncRefs. */
struct VmHostFunc {
    VmHostFunc *next;
    uint64_t count;
    VMHostContext contexts[];
};

VMFuncRef *wr_host_funcs_new(WrStore *store, const WrHostFunc *funcs, uint32_t count, WrError *error)
{
    VmHostFunc *block = malloc(sizeof *block + (size_t)count * (sizeof(VMHostContext) + sizeof(VMFuncRef)));
    if (block == NULL) {
        wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for %u host functions", count);
        return NULL;
    }
    VMFuncRef *refs = (VMFuncRef *)(void *)(block->contexts + count);
    for (uint32_t i = 0; i < count; i++) {
        VMHostContext *context = &block->contexts[i];
        *context = (VMHostContext){
            .header = { .magic = funcs[i].magic, .store = &store->context, .builtins = vm_builtins },
            .call = funcs[i].call, .data = funcs[i].data, .data2 = funcs[i].data2, .index = funcs[i].index,
        };
        /* the context is the callee that `call` wants, so it is its own array call */
        refs[i] = (VMFuncRef){ funcs[i].call, funcs[i].wasm_call, funcs[i].type_id, 0, (VMContext *)(void *)context };
    }
    block->count = count;
    block->next = store->host_funcs;
    store->host_funcs = block;
    return refs;
}

VMFuncRef *wr_host_func_new(WrStore *store, uint32_t type_id, VMArrayCall call, void *data, WrError *error)
{
    WrHostFunc func = { .type_id = type_id, .magic = WR_VMCTX_MAGIC_HOST, .call = call, .data = data };
    if (!wr_types_host_call(store->registry, type_id, &func.wasm_call, error)) return NULL;
    return wr_host_funcs_new(store, &func, 1, error);
}

void vm_host_funcs_free(WrStore *store)
{
    while (store->host_funcs != NULL) {
        VmHostFunc *block = store->host_funcs;
        store->host_funcs = block->next;
        free(block);
    }
}

/* ---- externrefs ----------------------------------------------------------------------------------------------------------- */

static uint32_t externref_slot(const VmExternRefs *refs, const void *object)
{
    uint32_t mask = refs->num_slots - 1;
    uint32_t slot = (uint32_t)wr_hash_mix(0, (uint64_t)(uintptr_t)object) & mask;
    while (refs->slots[slot] != 0 && refs->objects[refs->slots[slot] - 1] != object) slot = (slot + 1) & mask;
    return slot;
}

static bool externref_grow(VmExternRefs *refs)
{
    uint32_t capacity = refs->capacity ? 2 * refs->capacity : 16;
    if (capacity > UINT32_MAX / 4) return false;
    void **objects = realloc(refs->objects, (size_t)capacity * sizeof *objects);
    if (objects == NULL) return false;
    refs->objects = objects;
    uint32_t *slots = calloc((size_t)capacity * 2, sizeof *slots);
    if (slots == NULL) return false;
    free(refs->slots);
    refs->slots = slots;
    refs->num_slots = 2 * capacity;
    refs->capacity = capacity;
    for (uint32_t number = 1; number <= refs->count; number++) refs->slots[externref_slot(refs, refs->objects[number - 1])] = number;
    return true;
}

static uint64_t externref_word(uint32_t number) { return (uint64_t)number << 2 | VM_REF_HOST_BITS; } /* an anyref too: see VMObject */

uint64_t wr_externref_new(WrStore *store, void *object, bool *out_is_new)
{
    VmExternRefs *refs = &store->externrefs;
    *out_is_new = false;
    if (object == NULL) return 0;
    if (refs->num_slots != 0) {
        uint32_t number = refs->slots[externref_slot(refs, object)];
        if (number != 0) return externref_word(number);
    }
    if (refs->count == refs->capacity && !externref_grow(refs)) return 0;
    refs->objects[refs->count++] = object;
    refs->slots[externref_slot(refs, object)] = refs->count;
    *out_is_new = true;
    return externref_word(refs->count);
}

void *wr_externref_get(WrStore *store, uint64_t word)
{
    uint64_t number = word >> 2;
    return number == 0 || number > store->externrefs.count || (word & VM_REF_TAG_MASK) != VM_REF_HOST_BITS ? NULL : store->externrefs.objects[number - 1];
}

void vm_externrefs_free(WrStore *store)
{
    free(store->externrefs.objects);
    free(store->externrefs.slots);
    store->externrefs = (VmExternRefs){ 0 };
}
