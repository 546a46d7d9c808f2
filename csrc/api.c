/* The C API of include/wasmrt.h: a thin layer over the rooms, without Python. Its objects are theirs by other names where nothing has to be added:
 * a wasmrt_store is a WrStore, an instance a WrInstance, a func a VMFuncRef, a caller a VMHostContext, a context a VMContext, a value a ValRaw. */
#include "wasmrt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/objects.h"

#define API_MAX_WASM_STACK ((size_t)512 << 10)
#define API_MAX_FILE_BYTES ((long)1 << 30)
#define API_MAX_VALUES 1000u

_Static_assert(sizeof(wasmrt_value) == sizeof(ValRaw), "values are passed as they are");

struct wasmrt_engine {
    WrTypeRegistry *registry;
};

struct wasmrt_module {
    WrTypeRegistry *registry; /* retained: type_ids lives in it */
    CodeMemory *code;
    const uint32_t *type_ids;
};

static void api_say(wasmrt_error *error, const char *text)
{
    if (error != NULL) snprintf(error->message, sizeof error->message, "%s", text);
}

static WrStore *api_store(wasmrt_store *store) { return (WrStore *)(void *)store; }
static VMFuncRef *api_func(wasmrt_func *func) { return (VMFuncRef *)(void *)func; }

wasmrt_engine *wasmrt_engine_new(wasmrt_error *error)
{
    WrError reason = { 0 };
    wasmrt_engine *engine = malloc(sizeof *engine);
    if (engine != NULL && wr_signals_install(&reason) && (engine->registry = wr_types_new()) != NULL) return engine;
    free(engine);
    api_say(error, reason.message[0] ? reason.message : "out of memory for an engine");
    return NULL;
}

void wasmrt_engine_delete(wasmrt_engine *engine)
{
    if (engine == NULL) return;
    wr_types_release(engine->registry);
    free(engine);
}

/* ---- modules -------------------------------------------------------------------------------------------------------------- */

wasmrt_module *wasmrt_module_load(wasmrt_engine *engine, const void *bytes, size_t num_bytes, wasmrt_error *error)
{
    WrError reason = { 0 };
    wasmrt_module loaded = { .registry = engine->registry };
    const WasmModule *wasm;
    if (!wr_image_load(bytes, num_bytes, true, NULL, NULL, &loaded.code, &reason)) {
        api_say(error, reason.message);
        return NULL;
    }
    wasmrt_module *module = malloc(sizeof *module);
    if (module == NULL)
        api_say(error, "out of memory for a module");
    else if (wr_code_kind(loaded.code) != WR_IMAGE_MODULE)
        api_say(error, "the artifact is a component, which only Python can instantiate");
    else if ((wasm = wr_code_module(loaded.code, 0, &reason)) == NULL || !wr_types_register_module(engine->registry, wasm, &loaded.type_ids, &reason))
        api_say(error, reason.message);
    else {
        wr_types_retain(engine->registry);
        *module = loaded;
        return module;
    }
    free(module);
    wr_code_release(loaded.code);
    return NULL;
}

wasmrt_module *wasmrt_module_load_file(wasmrt_engine *engine, const char *path, wasmrt_error *error)
{
    wasmrt_module *module = NULL;
    uint8_t *bytes = NULL;
    long size = -1;
    FILE *file = fopen(path, "rb");
    if (file != NULL && fseek(file, 0, SEEK_END) == 0) size = ftell(file);
    if (size >= 0 && size <= API_MAX_FILE_BYTES && fseek(file, 0, SEEK_SET) == 0 && (bytes = malloc((size_t)size + 1)) != NULL &&
        fread(bytes, 1, (size_t)size, file) == (size_t)size)
        module = wasmrt_module_load(engine, bytes, (size_t)size, error);
    else
        api_say(error, file == NULL ? "the file cannot be opened" : "the file cannot be read");
    free(bytes);
    if (file != NULL) fclose(file);
    return module;
}

void wasmrt_module_delete(wasmrt_module *module)
{
    if (module == NULL) return;
    wr_code_release(module->code);
    wr_types_release(module->registry);
    free(module);
}

/* ---- stores, instances ---------------------------------------------------------------------------------------------------- */

wasmrt_store *wasmrt_store_new(wasmrt_engine *engine, wasmrt_error *error)
{
    WrError reason = { 0 };
    WrStore *store = wr_store_new(engine->registry, API_MAX_WASM_STACK, NULL, &reason);
    if (store == NULL) api_say(error, reason.message);
    return (wasmrt_store *)(void *)store;
}

void wasmrt_store_delete(wasmrt_store *store) { wr_store_free(api_store(store)); }

void wasmrt_store_limit_memory(wasmrt_store *store, uint64_t max_bytes)
{
    WrLimits limits;
    memset(&limits, 0xff, sizeof limits);
    limits.memory_bytes = max_bytes;
    wr_store_set_limits(api_store(store), &limits);
}

static bool api_read_types(const char *letters, const char *end, ValType *out, uint32_t *out_count)
{
    uint32_t count = 0;
    for (; letters != end; letters++) {
        ValType type = *letters == 'i' ? WR_VALTYPE_I32 : *letters == 'I' ? WR_VALTYPE_I64 : *letters == 'f' ? WR_VALTYPE_F32 : *letters == 'F' ? WR_VALTYPE_F64 :
                       *letters == 'v' ? (ValType)WR_KIND_V128 : WR_VALTYPE_BOTTOM;
        if (type == WR_VALTYPE_BOTTOM || count == API_MAX_VALUES) return false;
        out[count++] = type;
    }
    *out_count = count;
    return true;
}

static bool api_host_func(WrStore *store, const wasmrt_import *given, WrHostFunc *out, WrError *reason)
{
    ValType params[API_MAX_VALUES], results[API_MAX_VALUES];
    uint32_t num_params = 0, num_results = 0;
    const char *colon = given->signature == NULL ? NULL : strchr(given->signature, ':');
    if (colon == NULL || !api_read_types(given->signature, colon, params, &num_params) ||
        !api_read_types(colon + 1, colon + strlen(colon), results, &num_results))
        return wr_error_set(reason, WR_ERROR_LINK, WR_NO_OFFSET, "the signature of import `%s`.`%s` is not of the form \"ii:i\"", given->module, given->name);
    *out = (WrHostFunc){ .magic = WR_VMCTX_MAGIC_HOST, .call = (VMArrayCall)(void (*)(void))given->call, .data = given->data };
    return wr_types_register_func(store->registry, params, num_params, results, num_results, &out->type_id, reason) &&
           wr_types_host_call(store->registry, out->type_id, &out->wasm_call, reason);
}

static bool api_same(const char *text, const WasmModule *module, WasmSpan span)
{
    return span.offset <= module->num_bytes && span.length <= module->num_bytes - span.offset && strlen(text) == span.length &&
           memcmp(text, module->bytes + span.offset, span.length) == 0;
}

/* The externs of a module's imports, in its order; what is not given stays NULL, which instantiation names. */
static bool api_link(WrStore *store, const WasmModule *module, const wasmrt_import *imports, size_t num_imports, WrExtern *externs, WrHostFunc *funcs, WrError *reason)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < module->num_imports; i++) {
        for (size_t k = 0; k < num_imports && externs[i].func == NULL; k++) {
            if (!api_same(imports[k].module, module, module->imports[i].module) || !api_same(imports[k].name, module, module->imports[i].name)) continue;
            if (!api_host_func(store, &imports[k], &funcs[count], reason)) return false;
            /* one block a function: few are wanted, and each is freed with the store */
            VMFuncRef *made = wr_host_funcs_new(store, &funcs[count], 1, reason);
            if (made == NULL) return false;
            externs[i] = (WrExtern){ .kind = WASM_EXTERN_FUNC, .func = made };
            count++;
        }
    }
    return true;
}

static void api_say_trap(WrStore *store, uint32_t trap_code, wasmrt_error *error)
{
    const char *text = trap_code == TRAP_HOST ? wr_store_trap_text(store) : wr_trap_message(trap_code);
    if (error != NULL) snprintf(error->message, sizeof error->message, "wasm trap: %s", text != NULL && text[0] ? text : "a host function failed");
}

static bool api_run(WrStore *store, VMFuncRef *func, ValRaw *values, size_t capacity, wasmrt_error *error)
{
    WrEntry entry;
    WrEnterResult entered = wr_store_enter(store, &entry);
    if (entered != WR_ENTER_OK) {
        api_say(error, entered == WR_ENTER_NO_STACK ? "wasm trap: call stack exhausted" : "the store is in use by another thread");
        return false;
    }
    bool ok = func->array_call(func->vmctx, func->vmctx, values, capacity);
    if (!ok) api_say_trap(store, store->context.trap_code, error);
    wr_store_leave(store, &entry);
    return ok;
}

wasmrt_instance *wasmrt_instance_new(wasmrt_store *c_store, wasmrt_module *module, const wasmrt_import *imports, size_t num_imports, wasmrt_error *error)
{
    WrStore *store = api_store(c_store);
    WrError reason = { 0 };
    WrInstance *instance = NULL;
    const WasmModule *wasm = wr_code_module(module->code, 0, &reason); /* loading the module looked at it */
    WrExtern *externs = calloc((size_t)wasm->num_imports + 1, sizeof *externs);
    WrHostFunc *funcs = calloc((size_t)wasm->num_imports + 1, sizeof *funcs);
    bool ok = externs != NULL && funcs != NULL;
    if (module->registry != store->registry) {
        ok = wr_error_set(&reason, WR_ERROR_LINK, WR_NO_OFFSET, "the module and the store are of two engines");
    } else if (ok) {
        for (uint32_t i = 0; i < wasm->num_imports; i++) externs[i].kind = wasm->imports[i].kind;
        ok = api_link(store, wasm, imports, num_imports, externs, funcs, &reason) &&
             wr_instance_new(store, module->code, 0, module->type_ids, externs, wasm->num_imports, &instance, &reason);
    }
    free(externs);
    free(funcs);
    if (!ok) {
        api_say(error, reason.message[0] ? reason.message : "out of memory for an instance");
        return NULL;
    }
    ValRaw unused;
    VMFuncRef *start = wr_instance_start(instance);
    return start == NULL || api_run(store, start, &unused, 1, error) ? (wasmrt_instance *)(void *)instance : NULL;
}

static bool api_export(wasmrt_instance *instance, const char *name, uint32_t kind, WrExtern *out)
{
    return wr_instance_export((WrInstance *)(void *)instance, name, strlen(name), out) && out->kind == kind;
}

wasmrt_func *wasmrt_instance_func(wasmrt_instance *instance, const char *name)
{
    WrExtern found;
    return api_export(instance, name, WASM_EXTERN_FUNC, &found) ? (wasmrt_func *)(void *)found.func : NULL;
}

bool wasmrt_instance_memory(wasmrt_instance *instance, const char *name, uint8_t **out_base, size_t *out_num_bytes)
{
    WrExtern found;
    if (!api_export(instance, name, WASM_EXTERN_MEMORY, &found)) return false;
    *out_base = found.memory->def.base;
    *out_num_bytes = found.memory->def.length_bytes;
    return true;
}

/* ---- calls ---------------------------------------------------------------------------------------------------------------- */

bool wasmrt_call(wasmrt_store *store, wasmrt_func *func, wasmrt_value *values, size_t capacity, wasmrt_error *error)
{
    const ValType *params, *results;
    uint32_t num_params, num_results;
    if (func == NULL || !wr_types_func(api_store(store)->registry, api_func(func)->type_index, &params, &num_params, &results, &num_results)) {
        api_say(error, "no function was given");
        return false;
    }
    if (capacity < num_params || capacity < num_results) {
        if (error != NULL)
            snprintf(error->message, sizeof error->message, "the function has %u parameters and %u results, but there is room for %zu values", num_params, num_results, capacity);
        return false;
    }
    return api_run(api_store(store), api_func(func), (ValRaw *)(void *)values, capacity, error);
}

static char api_letter(ValType type)
{
    switch (wr_vt_kind(type)) {
    case WR_KIND_I32: return 'i';
    case WR_KIND_I64: return 'I';
    case WR_KIND_F32: return 'f';
    case WR_KIND_F64: return 'F';
    case WR_KIND_V128: return 'v';
    default: return 'r';
    }
}

size_t wasmrt_func_signature(wasmrt_store *store, wasmrt_func *func, char *out, size_t size)
{
    const ValType *params, *results;
    uint32_t num_params, num_results;
    if (!wr_types_func(api_store(store)->registry, api_func(func)->type_index, &params, &num_params, &results, &num_results)) return 0;
    size_t length = (size_t)num_params + 1 + num_results;
    for (size_t i = 0; i < length && i + 1 < size; i++)
        out[i] = i < num_params ? api_letter(params[i]) : i == num_params ? ':' : api_letter(results[i - num_params - 1]);
    if (size) out[length < size ? length : size - 1] = 0;
    return length;
}

/* ---- callbacks ------------------------------------------------------------------------------------------------------------ */

void *wasmrt_caller_data(wasmrt_caller *caller) { return ((VMHostContext *)(void *)caller)->data; }

bool wasmrt_trap(wasmrt_caller *caller, const char *message)
{
    wr_store_trap_because(vm_store_of(((VMHostContext *)(void *)caller)->header.store), message);
    return false;
}

bool wasmrt_context_memory(wasmrt_context *context, uint8_t **out_base, size_t *out_num_bytes)
{
    VMContextHeader *header = (VMContextHeader *)(void *)context;
    if (header == NULL || header->magic != WR_VMCTX_MAGIC_CORE) return false;
    WrInstance *instance = header->instance;
    if (instance->module->num_memories == 0) return false;
    *out_base = instance->memories[0]->def.base;
    *out_num_bytes = instance->memories[0]->def.length_bytes;
    return true;
}
