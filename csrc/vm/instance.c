/* Core instances: one block with the record, what it defines and the VMContext; filled in by loops over the module's flat arrays, and by what
 * prepared.h has worked out for all instances of the module. Functions and elements of tables are made when they are first met (table.c).
 *
 * Order as in the specification: check imports, allocate, globals and table initial values, element segments, data segments. An instance whose
 * segments trap stays in its store, since others may hold its functions by then. Indices of the module are checked where they are used, for a module
 * may come from an artifact; what the decoder made is in range by construction. */
#include "vm/pool.h"

#include <stdlib.h>
#include <string.h>

static bool instance_malformed(WrError *error, const char *what)
{
    return wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "malformed module: %s", what);
}

static void instance_free(WrInstance *instance);

static bool instance_evaluate(WrInstance *instance, const WasmConst *constant, ValRaw *out_value, const char *what, WrError *error)
{
    bool is_full;
    if (vm_const_eval(instance, constant, out_value, &is_full)) return true;
    if (is_full) return wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "no room for the objects of a constant expression (%s): the limit OBJECT_HEAP_BYTES, or the store's limit memory_size", what);
    return instance_malformed(error, what);
}

/* ---- allocation ----------------------------------------------------------------------------------------------------------- */

/* Blocks of freed instances that a module keeps, with the func_refs that were made and the elements that were looked up. One always, unless it is enormous. */
#define INSTANCE_WARM_BYTES ((size_t)2 << 20)
#define INSTANCE_ONE_WARM_BYTES ((size_t)8 << 20)
#define INSTANCE_MAX_WARM 16u
#define INSTANCE_LONG_BYTES ((uint64_t)1 << 20) /* of a data segment: others may run while it is copied */

static WrInstance *instance_warm_block(VmPrepared *prepared)
{
    vm_lock();
    WrInstance *block = prepared->warm;
    if (block != NULL) {
        prepared->warm = block->next;
        prepared->num_warm--;
        prepared->warm_bytes -= block->held_bytes;
    }
    vm_unlock();
    return block;
}

static bool instance_keep_warm(VmPrepared *prepared, WrInstance *block)
{
    vm_lock();
    bool room = prepared->num_warm < INSTANCE_MAX_WARM &&
                prepared->warm_bytes + block->held_bytes <= (prepared->num_warm == 0 ? INSTANCE_ONE_WARM_BYTES : INSTANCE_WARM_BYTES);
    if (room) {
        block->next = prepared->warm;
        prepared->warm = block;
        prepared->num_warm++;
        prepared->warm_bytes += block->held_bytes;
    }
    vm_unlock();
    return room;
}

static WrInstance *instance_allocate(WrStore *store, VmPrepared *prepared, const uint32_t *type_ids, WrError *error)
{
    const VmInstanceLayout *layout = &prepared->layout;
    size_t room = layout->block_bytes, held = layout->block_bytes;
    uint32_t slot = 0;
    WrInstance *instance;
    if (store->pool != NULL) {
        VmBlockState state;
        instance = vm_pool_take_instance(store->pool, prepared, &slot, &state, &room, error);
        if (instance == NULL) return NULL;
        size_t end = room < layout->whole_bytes ? room : layout->whole_bytes;
        if (state == VM_BLOCK_DIRTY || (state == VM_BLOCK_WARM && type_ids != prepared->type_ids)) vm_block_clear((uint8_t *)instance + layout->kept, end - layout->kept);
    } else {
        instance = type_ids == prepared->type_ids ? instance_warm_block(prepared) : NULL;
        if (instance != NULL) held = instance->held_bytes;
        else instance = vm_block_new(layout->block_bytes);
        if (instance == NULL) {
            wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for an instance");
            return NULL;
        }
    }
    uint8_t *block = (uint8_t *)instance;
    memset(block, 0, layout->kept);
    instance->store = store;
    instance->code = prepared->code;
    instance->module = prepared->module;
    instance->module_index = prepared->module_index;
    instance->type_ids = type_ids;
    instance->prepared = prepared;
    instance->pool = store->pool;
    instance->slot = slot;
    instance->is_own_types = type_ids == prepared->type_ids;
    instance->room = room;
    instance->held_bytes = held;
    instance->offsets = layout->offsets;
    instance->memories = (WrMemory **)(void *)(block + layout->memories);
    instance->tables = (WrTable **)(void *)(block + layout->tables);
    instance->globals = (WrGlobal **)(void *)(block + layout->globals);
    instance->tags = (WrTag **)(void *)(block + layout->tags);
    instance->own_tables = (WrTable *)(void *)(block + layout->own_tables);
    instance->own_globals = (WrGlobal *)(void *)(block + layout->own_globals);
    instance->own_tags = (WrTag *)(void *)(block + layout->own_tags);
    instance->dropped_elems = (uint64_t *)(void *)(block + layout->elems);
    instance->dropped_datas = (uint64_t *)(void *)(block + layout->datas);
    instance->vmctx = (VMContext *)(void *)(block + layout->vmctx);
    if (vm_num_chunks(prepared->module->num_escaped_funcs) == 1) VM_ARRAY(instance, VMFuncRef *, func_refs)[0] = (VMFuncRef *)(void *)(block + layout->func_refs);
    wr_code_retain(instance->code);
    return instance;
}

/* What was written to elements that stay with the block; lazy ones that only their own instance looked up are right for the next one too. */
static void instance_clear_places(const WrInstance *instance)
{
    for (uint32_t i = 0; i < instance->num_own_tables; i++) {
        const WrTable *table = &instance->own_tables[i];
        void **elements = table->start.kept != NULL ? *table->start.kept : table->start.place;
        if (elements != NULL && (table->is_written || table->start.lazy == NULL)) vm_block_clear(elements, (size_t)table->type.min * sizeof *elements);
    }
}

/* Frees the block and what it owns; memories are the store's. */
static void instance_free(WrInstance *instance)
{
    CodeMemory *code = instance->code;
    if (instance->is_own_types) instance_clear_places(instance);
    free(instance->elem_values);
    for (uint32_t i = 0; i < instance->num_own_tables; i++) vm_table_destroy(&instance->own_tables[i]);
    if (instance->pool != NULL)
        vm_pool_give_instance(instance->pool, instance->prepared, instance->slot, instance->is_own_types);
    else if (!instance->is_own_types || !instance_keep_warm(instance->prepared, instance))
        vm_block_free_whole(instance->prepared, instance);
    wr_code_release(code);
}

void vm_instances_free(WrStore *store)
{
    while (store->instances != NULL) {
        WrInstance *instance = store->instances;
        store->instances = instance->next;
        instance_free(instance);
    }
    store->num_instances = 0;
}

/* ---- imports and definitions ---------------------------------------------------------------------------------------------- */

static bool instance_import_func(WrInstance *instance, const WasmImport *import, VMFuncRef *func, WrError *error)
{
    const void *wasm_call = func->wasm_call;
    if (wasm_call == NULL && vm_header(func->vmctx)->magic != WR_VMCTX_MAGIC_CORE)
        wasm_call = wr_code_host_call(instance->code, instance->module_index, instance->module->funcs[import->index].type_index);
    if (wasm_call == NULL) return wr_error_set(error, WR_ERROR_LINK, WR_NO_OFFSET, "an imported function cannot be called from compiled code");
    VM_ARRAY(instance, VMFuncImport, func_imports)[import->index] = (VMFuncImport){ wasm_call, func->vmctx, func };
    return true;
}

static bool instance_take_imports(WrInstance *instance, const WrExtern *imports, WrError *error)
{
    const WasmModule *module = instance->module;
    for (uint32_t i = 0; i < module->num_imports; i++) {
        uint32_t index = module->imports[i].index;
        switch (imports[i].kind) {
        case WASM_EXTERN_FUNC:
            if (!instance_import_func(instance, &module->imports[i], imports[i].func, error)) return false;
            break;
        case WASM_EXTERN_TABLE: instance->tables[index] = imports[i].table; break;
        case WASM_EXTERN_MEMORY: instance->memories[index] = imports[i].memory; break;
        case WASM_EXTERN_GLOBAL:
            instance->globals[index] = imports[i].global;
            VM_ARRAY(instance, VMGlobalDef *, imported_globals)[index] = imports[i].global->def;
            break;
        default: instance->tags[index] = imports[i].tag; break;
        }
    }
    /* the decoder numbers imports without gaps; nothing says that an artifact does */
    for (uint32_t i = 0; i < module->num_imported_funcs; i++)
        if (VM_ARRAY(instance, VMFuncImport, func_imports)[i].func_ref == NULL) return instance_malformed(error, "imports");
    for (uint32_t i = 0; i < module->num_imported_tables; i++)
        if (instance->tables[i] == NULL) return instance_malformed(error, "imports");
    for (uint32_t i = 0; i < module->num_imported_memories; i++)
        if (instance->memories[i] == NULL) return instance_malformed(error, "imports");
    for (uint32_t i = 0; i < module->num_imported_globals; i++)
        if (instance->globals[i] == NULL) return instance_malformed(error, "imports");
    for (uint32_t i = 0; i < module->num_imported_tags; i++)
        if (instance->tags[i] == NULL) return instance_malformed(error, "imports");
    return true;
}

static bool instance_make_memories(WrInstance *instance, WrError *error)
{
    const WasmModule *module = instance->module;
    const WrTunables *tunables = &wr_code_header(instance->code)->tunables;
    VMMemoryImport *defs = VM_ARRAY(instance, VMMemoryImport, memories);
    WrStore *store = instance->store;
    bool small_too = store->pool != NULL;
    if (store->use_images) vm_prepare_images(instance->prepared, small_too);
    for (uint32_t i = 0; i < module->num_memories; i++) {
        if (i >= module->num_imported_memories) {
            VmMemoryImage *image = store->use_images ? vm_prepared_image(instance->prepared, i - module->num_imported_memories, small_too) : NULL;
            instance->memories[i] = vm_memory_create(store, &module->memories[i].limits, tunables, store->pool, image, error);
            if (instance->memories[i] == NULL) return false;
            const WasmImageRange *known = &instance->prepared->images_of.ranges[i - module->num_imported_memories];
            if (known->is_small) {
                instance->memories[i]->keep_from = (size_t)known->memory_offset;
                instance->memories[i]->keep_bytes = (size_t)known->bytes;
            }
        }
        defs[i] = (VMMemoryImport){ instance->memories[i]->def.base, &instance->memories[i]->def };
    }
    return true;
}

static bool instance_make_globals(WrInstance *instance, WrError *error)
{
    const WasmModule *module = instance->module;
    VMGlobalDef *values = VM_ARRAY(instance, VMGlobalDef, globals);
    for (uint32_t i = module->num_imported_globals; i < module->num_globals; i++) {
        const WasmGlobal *declared = &module->globals[i];
        WrGlobal *global = &instance->own_globals[i - module->num_imported_globals];
        /* `def` stays NULL until it has its value: an initial value may only read globals before it */
        instance->globals[i] = global;
        VMGlobalDef *value = &values[i - module->num_imported_globals];
        if (!instance_evaluate(instance, &declared->init, &value->value, "initial value of a global", error)) return false;
        *global = (WrGlobal){ .def = value, .type = vm_engine_type(declared->type, instance->type_ids), .is_mutable = declared->is_mutable != 0, .store = instance->store };
    }
    for (uint32_t i = module->num_imported_tags; i < module->num_tags; i++) {
        WrTag *tag = &instance->own_tags[i - module->num_imported_tags];
        if (module->tags[i].type_index >= module->num_types || !vm_tag_init(tag, instance->store, instance->type_ids[module->tags[i].type_index]))
            return instance_malformed(error, "tag");
        instance->tags[i] = tag;
    }
    return true;
}

static VmTableStart instance_table_start(WrInstance *instance, uint32_t own)
{
    const VmPrepared *prepared = instance->prepared;
    const size_t place = prepared->places[own], bytes = (size_t)instance->module->tables[instance->module->num_imported_tables + own].limits.min * sizeof(void *);
    uint8_t *block = (uint8_t *)instance;
    void **at = place < instance->room && bytes <= instance->room - place ? (void **)(void *)(block + place) : NULL;
    VmTableStart start = { .instance = instance, .lazy = prepared->elems.ranges[own].num_runs != 0 ? &prepared->elems.ranges[own] : NULL };
    if (prepared->is_late[own]) {
        start.kept = (void ***)(void *)(block + prepared->layout.kept_elements) + own;
        start.room = at;
    } else {
        start.place = at;
    }
    return start;
}

static bool instance_make_tables(WrInstance *instance, WrError *error)
{
    const WasmModule *module = instance->module;
    VMTableDef **defs = VM_ARRAY(instance, VMTableDef *, tables);
    for (uint32_t i = 0; i < module->num_tables; i++) {
        const WasmTable *declared = &module->tables[i];
        if (i >= module->num_imported_tables) {
            ValRaw init = { 0 };
            WrTable *table = &instance->own_tables[i - module->num_imported_tables];
            if (declared->has_init && !instance_evaluate(instance, &declared->init, &init, "initial value of a table", error)) return false;
            const VmTableStart start = instance_table_start(instance, i - module->num_imported_tables);
            if (!vm_table_create(table, instance->store, instance->store->pool, vm_engine_type(declared->element, instance->type_ids), &declared->limits, &start, init.ref, error)) return false;
            instance->num_own_tables++;
            instance->tables[i] = table;
        }
        defs[i] = &instance->tables[i]->def;
    }
    return true;
}

/* ---- segments ------------------------------------------------------------------------------------------------------------- */

static bool instance_make_func_ref(WrInstance *instance, uint32_t func_index, VMFuncRef *ref)
{
    const WasmFunc *func = &instance->module->funcs[func_index];
    const void *wasm_call = wr_code_func(instance->code, instance->module_index, func_index);
    VMArrayCall array_call = wr_code_array_call(instance->code, instance->module_index, func->escape_index);
    if (wasm_call == NULL || array_call == NULL || func->type_index >= instance->module->num_types) return false;
    ref->array_call = array_call;
    ref->wasm_call = wasm_call;
    ref->type_index = instance->type_ids[func->type_index];
    __atomic_store_n(&ref->vmctx, instance->vmctx, __ATOMIC_RELEASE);
    return true;
}

/* Code that asked takes it for null, and has no way to trap: it does when it traps over that, or at its next check for interrupts. */
static VMFuncRef *instance_lost_func(const WrInstance *instance, uint32_t trap_code)
{
    WrStore *store = instance->store;
    store->lost_trap = trap_code;
    if (store->context.last_entry != NULL) vm_set_stack_limit(&store->context, WR_INTERRUPTED);
    return NULL;
}

const char *wr_store_lost(WrStore *store)
{
    const char *text = store->lost_trap ? wr_trap_message(store->lost_trap) : NULL;
    store->lost_trap = 0;
    return text;
}

VMFuncRef *vm_instance_func(WrInstance *instance, uint32_t func_index)
{
    const WasmModule *module = instance->module;
    if (func_index < module->num_imported_funcs) return VM_ARRAY(instance, VMFuncImport, func_imports)[func_index].func_ref;
    uint32_t escape = module->funcs[func_index].escape_index;
    if (escape >= module->num_escaped_funcs) return instance_lost_func(instance, wr_code_broken_trap(instance->code));
    VMFuncRef *chunk = __atomic_load_n(&VM_ARRAY(instance, VMFuncRef *, func_refs)[escape / VM_CHUNK_FUNC_REFS], __ATOMIC_ACQUIRE);
    if (chunk == NULL && (chunk = vm_chunk_new(instance, escape / VM_CHUNK_FUNC_REFS)) == NULL) return instance_lost_func(instance, TRAP_ALLOCATION_TOO_LARGE);
    VMFuncRef *ref = &chunk[escape % VM_CHUNK_FUNC_REFS];
    /* vmctx is written last: who looks at an export while another thread runs the store finds all or nothing */
    return __atomic_load_n(&ref->vmctx, __ATOMIC_ACQUIRE) != NULL || instance_make_func_ref(instance, func_index, ref) ? ref : instance_lost_func(instance, wr_code_broken_trap(instance->code));
}

/* What segments hold beyond functions, globals and null: evaluated once, since each evaluation would make other objects. */
static bool instance_make_elem_values(WrInstance *instance, WrError *error)
{
    const WasmModule *module = instance->module;
    if (module->num_elem_exprs == 0) return true;
    instance->elem_values = calloc(module->num_elem_exprs, sizeof *instance->elem_values);
    if (instance->elem_values == NULL) return wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for element segments");
    for (uint32_t i = 0; i < module->num_elem_exprs; i++) {
        ValRaw value;
        if (!instance_evaluate(instance, &module->elem_exprs[i], &value, "element segment", error)) return false;
        instance->elem_values[i] = value.ref;
    }
    return true;
}

void *vm_elem_item(WrInstance *instance, const WasmElemItem *item)
{
    const WasmModule *module = instance->module;
    switch (item->kind) {
    case WASM_CONST_REF_FUNC: return item->index < module->num_funcs ? vm_instance_func(instance, item->index) : NULL;
    case WASM_CONST_GLOBAL: return item->index < module->num_globals ? instance->globals[item->index]->def->value.ref : NULL;
    case WASM_CONST_EXPR: return item->index < module->num_elem_exprs ? instance->elem_values[item->index] : NULL;
    default: return NULL;
    }
}

bool vm_table_init(WrInstance *instance, WrTable *table, uint32_t segment, uint64_t dst, uint64_t src, uint64_t length)
{
    const WasmModule *module = instance->module;
    const WasmElem *elem = &module->elems[segment];
    uint64_t available = vm_bit(instance->dropped_elems, segment) ? 0 : elem->num_items;
    if (elem->first_item > module->num_elem_items || available > module->num_elem_items - elem->first_item) available = 0;
    if (!vm_in_bounds(src, length, available) || !vm_in_bounds(dst, length, table->def.length)) return false;
    const WasmElemItem *items = module->elem_items + elem->first_item + src;
    for (uint64_t i = 0; i < length; i++) {
        void *item = vm_elem_item(instance, &items[i]);
        if ((item == NULL || i == 0) && !vm_table_before_write(table, dst + i, 1, &item)) return false;
        table->def.elements[dst + i] = item;
    }
    return true;
}

bool vm_data_init(WrInstance *instance, WrMemory *memory, uint32_t segment, uint64_t dst, uint64_t src, uint64_t length)
{
    const WasmModule *module = instance->module;
    WasmSpan span = module->datas[segment].bytes;
    if (vm_bit(instance->dropped_datas, segment) || span.offset > module->num_data_bytes || span.length > module->num_data_bytes - span.offset) span = (WasmSpan){ 0, 0 };
    return vm_memory_init(memory, dst, module->data_bytes + span.offset, span.length, src, length);
}

/* The offset of an active segment: an i32 counts without sign, whatever the upper half holds. */
static bool instance_segment_offset(WrInstance *instance, const WasmConst *offset, bool is_64, uint64_t *out_offset, WrError *error)
{
    ValRaw value;
    if (!instance_evaluate(instance, offset, &value, "offset of a segment", error)) return false;
    *out_offset = is_64 ? (uint64_t)value.i64 : (uint32_t)value.i32;
    return true;
}

static bool instance_trap(WrInstance *instance, uint32_t trap_code, const char *what, uint32_t segment, WrError *error)
{
    wr_store_trap(instance->store, trap_code);
    return wr_error_set(error, WR_ERROR_TRAP, WR_NO_OFFSET, "%s (%s segment %u)", wr_trap_message(trap_code), what, segment);
}

static bool instance_apply_elems(WrInstance *instance, WrError *error)
{
    const WasmModule *module = instance->module;
    const WasmElems *known = &instance->prepared->elems;
    if (known->num_elems != 0) memcpy(instance->dropped_elems, instance->prepared->elems_dropped, (known->num_elems + 63u) / 64 * sizeof(uint64_t));
    for (uint32_t i = known->all ? known->num_elems : 0; i < module->num_elems; i++) {
        const WasmElem *elem = &module->elems[i];
        uint64_t offset = 0;
        if (elem->mode == WASM_SEGMENT_PASSIVE) continue;
        if (elem->mode == WASM_SEGMENT_ACTIVE) {
            if (i < known->num_elems && known->ranges[elem->table - module->num_imported_tables].num_runs != 0) continue;
            instance->dropped_elems[i / 64] &= ~(UINT64_C(1) << (i % 64));
            if (elem->table >= module->num_tables) return instance_malformed(error, "element segment");
            WrTable *table = instance->tables[elem->table];
            if (!instance_segment_offset(instance, &elem->offset, (table->type.flags & WASM_LIMITS_64) != 0, &offset, error)) return false;
            if (!vm_table_init(instance, table, i, offset, 0, elem->num_items)) return instance_trap(instance, TRAP_TABLE_OUT_OF_BOUNDS, "element", i, error);
        }
        vm_set_bit(instance->dropped_elems, i);
    }
    return true;
}

static bool instance_apply_datas(WrInstance *instance, WrError *error)
{
    const WasmModule *module = instance->module;
    for (uint32_t i = 0; i < module->num_datas; i++) {
        const WasmData *data = &module->datas[i];
        uint64_t offset = 0;
        if (data->mode != WASM_SEGMENT_ACTIVE) continue;
        if (data->memory >= module->num_memories) return instance_malformed(error, "data segment");
        WrMemory *memory = instance->memories[data->memory];
        if (i < instance->prepared->images_of.num_datas && memory->image != NULL) {
            vm_set_bit(instance->dropped_datas, i);
            continue;
        }
        if (!instance_segment_offset(instance, &data->offset, (memory->type.flags & WASM_LIMITS_64) != 0, &offset, error)) return false;
        if (data->bytes.length > INSTANCE_LONG_BYTES && vm_hooks()->before_block != NULL) vm_hooks()->before_block(instance->store, instance->store->context.host);
        if (!vm_data_init(instance, memory, i, offset, 0, data->bytes.length)) return instance_trap(instance, TRAP_MEMORY_OUT_OF_BOUNDS, "data", i, error);
        vm_set_bit(instance->dropped_datas, i);
    }
    return true;
}

static void instance_forget_images(WrInstance *instance)
{
    for (uint32_t i = instance->module->num_imported_memories; i < instance->module->num_memories; i++) {
        const WrMemory *memory = instance->memories[i];
        if (memory->image != NULL) memset(memory->reservation + memory->image->memory_offset, 0, memory->image->bytes);
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------ */

static bool instance_define(WrInstance *instance, const WrExtern *imports, WrError *error)
{
    return instance_take_imports(instance, imports, error) && instance_make_globals(instance, error) &&
           instance_make_tables(instance, error) && instance_make_elem_values(instance, error) && instance_make_memories(instance, error);
}

bool wr_instance_new(WrStore *store, CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, const WrExtern *imports, size_t num_imports, WrInstance **out_instance, WrError *error)
{
    VmPrepared *prepared = vm_prepare(code, module_index, type_ids, error);
    const WasmModule *module = prepared != NULL ? prepared->module : NULL;
    if (prepared == NULL || !vm_link_check(store, code, prepared->module, type_ids, imports, num_imports, error)) return false;
    if (store->num_instances >= store->limits.instances)
        return wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "the store's limit of %u instances is reached", store->limits.instances);
    WrInstance *instance = instance_allocate(store, prepared, type_ids, error);
    if (instance == NULL) return false;
    *vm_header(instance->vmctx) =
        (VMContextHeader){ .magic = WR_VMCTX_MAGIC_CORE, .store = &store->context, .builtins = vm_builtins, .type_ids = type_ids, .instance = instance,
                           .supertypes = vm_type_supertypes(store->registry) };
    WrMemory *newest = store->memories;
    store->lost_trap = 0;
    if (!instance_define(instance, imports, error)) {
        while (store->memories != newest) vm_memory_remove(store->memories);
        instance_free(instance);
        return false;
    }
    instance->next = store->instances;
    store->instances = instance;
    store->num_instances++;
    if (!instance_apply_elems(instance, error)) {
        /* functions of this instance may be in tables of others by now, and its data segments were never reached */
        instance_forget_images(instance);
        return false;
    }
    if (!instance_apply_datas(instance, error)) return false;
    const bool has_start = module->start_func == UINT32_MAX || wr_instance_start(instance) != NULL;
    store->lost_trap = 0;
    if (wr_code_is_broken(code) || !has_start) return wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "module %u: %s", module_index, wr_code_broken_text(code));
    *out_instance = instance;
    return true;
}

VMFuncRef *wr_instance_start(WrInstance *instance)
{
    uint32_t start = instance->module->start_func;
    return start < instance->module->num_funcs ? vm_instance_func(instance, start) : NULL;
}

VMContext *wr_instance_vmctx(WrInstance *instance) { return instance->vmctx; }

bool wr_instance_item(WrInstance *instance, uint32_t kind, uint32_t index, WrExtern *out_extern)
{
    const WasmModule *module = instance->module;
    *out_extern = (WrExtern){ .kind = kind };
    switch (kind) {
    case WASM_EXTERN_FUNC: out_extern->func = index < module->num_funcs ? vm_instance_func(instance, index) : NULL; break;
    case WASM_EXTERN_TABLE: out_extern->table = index < module->num_tables ? instance->tables[index] : NULL; break;
    case WASM_EXTERN_MEMORY: out_extern->memory = index < module->num_memories ? instance->memories[index] : NULL; break;
    case WASM_EXTERN_GLOBAL: out_extern->global = index < module->num_globals ? instance->globals[index] : NULL; break;
    case WASM_EXTERN_TAG: out_extern->tag = index < module->num_tags ? instance->tags[index] : NULL; break;
    default: break;
    }
    return out_extern->func != NULL;
}

bool wr_instance_export_by_index(WrInstance *instance, uint32_t export_index, WrExtern *out_extern)
{
    const WasmModule *module = instance->module;
    return export_index < module->num_exports && wr_instance_item(instance, module->exports[export_index].kind, module->exports[export_index].index, out_extern);
}

bool wr_instance_export(WrInstance *instance, const char *name, size_t name_length, WrExtern *out_extern)
{
    const WasmModule *module = instance->module;
    for (uint32_t i = 0; i < module->num_exports; i++) {
        WasmSpan span = module->exports[i].name;
        if (span.length != name_length || span.offset > module->num_bytes || span.length > module->num_bytes - span.offset) continue;
        if (name_length == 0 || memcmp(module->bytes + span.offset, name, name_length) == 0) return wr_instance_export_by_index(instance, i, out_extern);
    }
    return false;
}
