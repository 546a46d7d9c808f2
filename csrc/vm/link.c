/* Whether what is given for a module's imports has the types that it wants; and how to say what it wanted and what it got. */
#include <stdio.h>
#include <string.h>

#include "vm/objects.h"

typedef struct LinkText {
    char text[96];
    size_t length;
} LinkText;

static void link_append(LinkText *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void link_append(LinkText *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(out->text + out->length, sizeof out->text - out->length, format, arguments);
    va_end(arguments);
    if (count > 0) out->length += (size_t)count;
    if (out->length >= sizeof out->text) {
        out->length = sizeof out->text - 1;
        memcpy(out->text + out->length - 3, "...", 3);
    }
}

static void link_values(LinkText *out, const ValType *types, uint32_t count)
{
    WrVtText text;
    link_append(out, "(");
    for (uint32_t i = 0; i < count && out->length < sizeof out->text - 1; i++) link_append(out, "%s%s", i ? ", " : "", wr_vt_text(types[i], &text));
    link_append(out, ")");
}

static void link_func(LinkText *out, WrTypeRegistry *registry, uint32_t type_id)
{
    const ValType *params, *results;
    uint32_t num_params, num_results;
    if (!wr_types_func(registry, type_id, &params, &num_params, &results, &num_results)) {
        link_append(out, "func of unknown type");
        return;
    }
    link_append(out, "func ");
    link_values(out, params, num_params);
    link_append(out, " -> ");
    link_values(out, results, num_results);
}

static void link_limits(LinkText *out, const char *what, const WasmLimits *limits, uint64_t min)
{
    link_append(out, "%s%s%s min %llu", limits->flags & WASM_LIMITS_SHARED ? "shared " : "", what, limits->flags & WASM_LIMITS_64 ? " i64" : "", (unsigned long long)min);
    if (limits->flags & WASM_LIMITS_HAS_MAX) link_append(out, " max %llu", (unsigned long long)limits->max);
}

static void link_global(LinkText *out, ValType type, bool is_mutable)
{
    WrVtText text;
    link_append(out, "%sglobal %s", is_mutable ? "mutable " : "", wr_vt_text(type, &text));
}

static void link_table(LinkText *out, ValType element, const WasmLimits *limits, uint64_t min)
{
    WrVtText text;
    link_limits(out, "table", limits, min);
    link_append(out, " of %s", wr_vt_text(element, &text));
}

static uint64_t link_pages(const WrMemory *memory) { return vm_memory_length(memory) >> memory->type.page_size_log2; }

static void link_memory(LinkText *out, const WasmLimits *limits, uint64_t min)
{
    link_limits(out, "memory", limits, min);
    if (limits->page_size_log2 != 16) link_append(out, " page size %llu", 1ull << limits->page_size_log2);
}

static void link_found(LinkText *out, WrTypeRegistry *registry, const WrExtern *given)
{
    switch (given->kind) {
    case WASM_EXTERN_FUNC: link_func(out, registry, given->func->type_index); break;
    case WASM_EXTERN_TABLE: link_table(out, given->table->element, &given->table->type, given->table->def.length); break;
    case WASM_EXTERN_MEMORY: link_memory(out, &given->memory->type, link_pages(given->memory)); break;
    case WASM_EXTERN_GLOBAL: link_global(out, given->global->type, given->global->is_mutable); break;
    case WASM_EXTERN_TAG: link_append(out, "tag: "), link_func(out, registry, given->tag->type_id); break;
    default: link_append(out, "nothing"); break;
    }
}

/* The index of an import in its index space, UINT32_MAX if an artifact lies about it. */
static bool link_index_ok(const WasmModule *module, const WasmImport *import)
{
    const uint32_t counts[] = { module->num_imported_funcs, module->num_imported_tables, module->num_imported_memories, module->num_imported_globals,
                                module->num_imported_tags };
    return import->kind < sizeof counts / sizeof counts[0] && import->index < counts[import->kind];
}

static void link_expected(LinkText *out, WrTypeRegistry *registry, const WasmModule *module, const uint32_t *type_ids, const WasmImport *import)
{
    uint32_t i = import->index;
    switch (import->kind) {
    case WASM_EXTERN_FUNC: link_func(out, registry, type_ids[module->funcs[i].type_index]); break;
    case WASM_EXTERN_TABLE: link_table(out, vm_engine_type(module->tables[i].element, type_ids), &module->tables[i].limits, module->tables[i].limits.min); break;
    case WASM_EXTERN_MEMORY: link_memory(out, &module->memories[i].limits, module->memories[i].limits.min); break;
    case WASM_EXTERN_GLOBAL: link_global(out, vm_engine_type(module->globals[i].type, type_ids), module->globals[i].is_mutable); break;
    default: link_append(out, "tag: "), link_func(out, registry, type_ids[module->tags[i].type_index]); break;
    }
}

/* ---- checks --------------------------------------------------------------------------------------------------------------- */

static bool link_limits_match(const WasmLimits *wanted, const WasmLimits *given, uint64_t current)
{
    if ((wanted->flags ^ given->flags) & (WASM_LIMITS_64 | WASM_LIMITS_SHARED)) return false;
    if (current < wanted->min) return false;
    return !(wanted->flags & WASM_LIMITS_HAS_MAX) || ((given->flags & WASM_LIMITS_HAS_MAX) && given->max <= wanted->max);
}

static WrStore *link_store(const WrExtern *given)
{
    switch (given->kind) {
    case WASM_EXTERN_FUNC: return vm_store_of(vm_header(given->func->vmctx)->store);
    case WASM_EXTERN_TABLE: return given->table->store;
    case WASM_EXTERN_MEMORY: return given->memory->store;
    case WASM_EXTERN_GLOBAL: return given->global->store;
    default: return given->tag->store;
    }
}

static bool link_matches(WrTypeRegistry *registry, const WasmModule *module, const uint32_t *type_ids, const WasmImport *import, const WrExtern *given)
{
    uint32_t i = import->index;
    if (given->kind != import->kind) return false;
    switch (import->kind) {
    case WASM_EXTERN_FUNC: return wr_types_is_subtype(registry, given->func->type_index, type_ids[module->funcs[i].type_index]);
    case WASM_EXTERN_TABLE:
        return given->table->element == vm_engine_type(module->tables[i].element, type_ids) &&
               link_limits_match(&module->tables[i].limits, &given->table->type, given->table->def.length);
    case WASM_EXTERN_MEMORY:
        return given->memory->type.page_size_log2 == module->memories[i].limits.page_size_log2 &&
               link_limits_match(&module->memories[i].limits, &given->memory->type, link_pages(given->memory));
    case WASM_EXTERN_GLOBAL: {
        ValType wanted = vm_engine_type(module->globals[i].type, type_ids), found = given->global->type;
        if (given->global->is_mutable != (module->globals[i].is_mutable != 0)) return false;
        return given->global->is_mutable ? found == wanted : vm_type_matches(registry, found, wanted);
    }
    default: return given->tag->type_id == type_ids[module->tags[i].type_index];
    }
}

/* Code that trusts the guard must not run on a memory without one. */
static bool link_memory_suits(const WrMemory *memory, const WrTunables *tunables)
{
    return !wr_memory_guarded(tunables, &memory->type) || (memory->guarded && memory->guard_bytes >= tunables->memory_guard_bytes);
}

static int link_name(const WasmModule *module, WasmSpan name, const char **out_start)
{
    bool ok = name.offset <= module->num_bytes && name.length <= module->num_bytes - name.offset;
    *out_start = ok ? (const char *)module->bytes + name.offset : "?";
    return ok ? (int)(name.length < 48 ? name.length : 48) : 1;
}

bool vm_link_check(WrStore *store, CodeMemory *code, const WasmModule *module, const uint32_t *type_ids, const WrExtern *imports, size_t num_imports, WrError *error)
{
    if (num_imports != module->num_imports)
        return wr_error_set(error, WR_ERROR_LINK, WR_NO_OFFSET, "expected %u imports, got %zu", module->num_imports, num_imports);
    for (uint32_t i = 0; i < module->num_imports; i++) {
        const WasmImport *import = &module->imports[i];
        const WrExtern *given = &imports[i];
        const char *module_name, *name;
        if (!link_index_ok(module, import)) return wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "malformed import %u", i);
        int module_length = link_name(module, import->module, &module_name), name_length = link_name(module, import->name, &name);
        if (given->func == NULL)
            return wr_error_set(error, WR_ERROR_LINK, WR_NO_OFFSET, "unknown import: `%.*s`.`%.*s` has not been defined", module_length, module_name, name_length, name);
        if (!link_matches(store->registry, module, type_ids, import, given)) {
            LinkText expected = { 0 }, found = { 0 };
            link_expected(&expected, store->registry, module, type_ids, import);
            link_found(&found, store->registry, given);
            return wr_error_set(error, WR_ERROR_LINK, WR_NO_OFFSET, "incompatible import type for `%.*s`.`%.*s`: expected %s, found %s", module_length, module_name,
                                name_length, name, expected.text, found.text);
        }
        if (link_store(given) != store)
            return wr_error_set(error, WR_ERROR_LINK, WR_NO_OFFSET, "import `%.*s`.`%.*s` belongs to another store", module_length, module_name, name_length, name);
        if (import->kind == WASM_EXTERN_MEMORY && !link_memory_suits(given->memory, &wr_code_header(code)->tunables))
            return wr_error_set(error, WR_ERROR_LINK, WR_NO_OFFSET, "memory `%.*s`.`%.*s` was made with other settings (guard) than the module was compiled for", module_length,
                                module_name, name_length, name);
    }
    return true;
}
