/* Validation of one function body, which is also the compiler's first pass.
 *
 * The module's index spaces were checked by wr_module_decode. Bodies are independent: threads validate different functions of one module, each with its own
 * scratch (operand and control stacks, reused from function to function) and its own WasmFuncInfo. Features that are on pass, whether or not the
 * compilers take them (WASM_FEATURES_COMPILED). */
#ifndef WR_WASM_VALIDATE_H
#define WR_WASM_VALIDATE_H

#include "wasm/gather.h"
#include "wasm/module.h"

typedef struct WasmValidateScratch WasmValidateScratch;

WasmValidateScratch *wr_validate_scratch_new(void); /* NULL: no memory */
void wr_validate_scratch_free(WasmValidateScratch *scratch);

/* `func_index` is a defined function's index in the function space. With an `info` its hooks are called and its fields set (gather.h), among them
 * local_types, num_locals, num_params, code_start, max_stack and max_depth. An error has the function's index and an offset in the module. */
bool wr_func_validate(const WasmModule *module, uint32_t func_index, WasmFuncInfo *info, WasmValidateScratch *scratch, WrError *error);

#endif
