/* The trampolines of one core module: an array_call for each function that escapes, a host call for each type that an imported function has. */
#include <stdlib.h>

#include "tramp/bodies.h"
#include "tramp/tramp.h"

#define TRAMP_NO_BODY UINT32_MAX

static WrSignature module_signature(const WasmModule *module, uint32_t type_index)
{
    const WasmFuncType *type = &module->types[type_index].func;
    return (WrSignature){module->valtypes + type->params, type->num_params, module->valtypes + type->results, type->num_results};
}

static FunctionLoc module_emitted(const Asm *as, uint32_t text_offset)
{
    return (FunctionLoc){text_offset + as->function_offset, x64_offset(as) - as->function_offset};
}

static bool module_emit_array_calls(Asm *as, const WasmModule *module, const FunctionLoc *funcs, uint32_t text_offset, TrampBodies *bodies, uint32_t *starts, FunctionLoc *array_calls)
{
    for (uint32_t i = module->num_imported_funcs; i < module->num_funcs; i++) {
        const WasmFunc *func = &module->funcs[i];
        if (func->escape_index == UINT32_MAX) continue;
        WrSignature signature = module_signature(module, func->type_index);
        uint32_t known = bodies->count, body = wr_tramp_bodies_number(bodies, &signature);
        if (body == known) {
            if (!wr_tramp_emit_entry(as, &signature)) return false;
            starts[body] = as->function_offset;
        }
        wr_x64_room(as, CODE_MARK_BYTES);
        if (!wr_tramp_emit_entry_stub(as, starts[body], funcs[i - module->num_imported_funcs].start - text_offset)) return false;
        array_calls[func->escape_index] = module_emitted(as, text_offset);
    }
    return true;
}

static bool module_emit_host_calls(Asm *as, const WasmModule *module, uint32_t text_offset, TrampBodies *bodies, FunctionLoc *locs, FunctionLoc *host_calls)
{
    for (uint32_t i = 0; i < module->num_imported_funcs; i++) {
        uint32_t type_index = module->funcs[i].type_index;
        if (host_calls[type_index].length) continue;
        WrSignature signature = module_signature(module, type_index);
        uint32_t known = bodies->count, body = wr_tramp_bodies_number(bodies, &signature);
        if (body == known) {
            wr_x64_room(as, CODE_MARK_BYTES);
            if (!wr_tramp_emit_host_call(as, &signature)) return false;
            locs[body] = module_emitted(as, text_offset);
        }
        host_calls[type_index] = locs[body];
    }
    return true;
}

bool wr_tramp_emit_module(Asm *as, const WasmModule *module, const FunctionLoc *funcs, uint32_t text_offset, FunctionLoc *array_calls, FunctionLoc *host_calls)
{
    TrampBodies entries, hosts;
    uint32_t *starts = calloc((size_t)module->num_types + 1, sizeof *starts);
    FunctionLoc *locs = calloc((size_t)module->num_types + 1, sizeof *locs);
    bool has_entries = wr_tramp_bodies_init(&entries, module->num_types), has_hosts = wr_tramp_bodies_init(&hosts, module->num_types);
    bool ok = starts && locs && has_entries && has_hosts;
    if (!ok) wr_x64_fail(as, X64_OUT_OF_MEMORY);
    for (uint32_t i = 0; i < module->num_types; i++) host_calls[i] = (FunctionLoc){0, 0};
    ok = ok && module_emit_array_calls(as, module, funcs, text_offset, &entries, starts, array_calls) &&
         module_emit_host_calls(as, module, text_offset, &hosts, locs, host_calls);
    if (has_entries) wr_tramp_bodies_free(&entries);
    if (has_hosts) wr_tramp_bodies_free(&hosts);
    free(starts);
    free(locs);
    return ok;
}
