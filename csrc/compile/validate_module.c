/* Validating a module without compiling it: the first pass alone. */
#include "compile/compile.h"
#include "wasm/validate.h"

bool wr_validate_module(const WasmModule *module, WrError *error)
{
    WasmValidateScratch *scratch = wr_validate_scratch_new();
    if (!scratch) return wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "no memory for validating a module");
    bool valid = true;
    for (uint32_t i = module->num_imported_funcs; valid && i < module->num_funcs; i++) valid = wr_func_validate(module, i, NULL, scratch, error);
    wr_validate_scratch_free(scratch);
    return valid;
}
