/* A store that C makes in a process whose hooks are Python's: loaded by tests/unit/test_c_store.py, which calls plain_store_run.
 *
 * The hooks are the process's and get the host of the store they are about, NULL here. */
#include "wasmrt/wasmrt.h"

#include <string.h>

__attribute__((visibility("default"))) int plain_store_run(const uint8_t *bytes, size_t num_bytes, char *out_message, int32_t *out_value);

/* Runs the export "run", () -> i32, with a tick waiting at its entry. 0: it returned. */
int plain_store_run(const uint8_t *bytes, size_t num_bytes, char *out_message, int32_t *out_value)
{
    WrError error = {0};
    WasmModule *module = NULL;
    CompiledModule *compiled = NULL;
    CodeMemory *code = NULL;
    WrInstance *instance = NULL;
    const uint32_t *type_ids;
    WrExtern run;
    WrEntry entry;
    ValRaw values[1] = {{0}};
    uint64_t host, baseline;
    WrTypeRegistry *registry = wr_types_new();
    WrStore *store = wr_store_new(registry, 1 << 19, NULL, &error);
    bool done = store && wr_cpu_features(&host, &baseline) && wr_signals_install(&error);
    const WrTunables tunables = {.cpu_features = baseline, .memory_reservation = UINT64_C(1) << 32, .memory_guard_bytes = UINT64_C(1) << 25, .guarded_memories = 1,
                                 .signals_based_traps = 1, .interruptible = 1};
    done = done && wr_module_decode(bytes, num_bytes, WASM_FEATURES_DEFAULT, &module, &error) && wr_compile_module(module, &tunables, 1, &compiled, &error);
    if (done) {
        const WasmModule *modules[] = {module};
        const CompiledModule *objects[] = {compiled};
        const WrImageInput input = {.kind = WR_IMAGE_MODULE, .tunables = &tunables, .wasm_features = WASM_FEATURES_DEFAULT, .modules = modules, .compiled = objects, .num_modules = 1};
        done = wr_image_build(&input, &code, &error);
    }
    done = done && wr_types_register_module(registry, wr_code_module(code, 0, &error), &type_ids, &error) && wr_instance_new(store, code, 0, type_ids, NULL, 0, &instance, &error) &&
           wr_instance_export(instance, "run", 3, &run) && wr_store_enter(store, &entry) == WR_ENTER_OK;
    if (done) {
        wr_interrupt_all();
        done = run.func->array_call(run.func->vmctx, NULL, values, 1);
        wr_store_leave(store, &entry);
        *out_value = values[0].i32;
    }
    memcpy(out_message, error.message, sizeof error.message);
    if (compiled) wr_compiled_module_free(compiled);
    if (module) wr_module_free(module);
    if (store) wr_store_free(store);
    if (code) wr_code_release(code);
    wr_types_release(registry);
    return done ? 0 : 1;
}
