/* Trampolines: the code between array calls, wasm calls and host functions, one body per signature. abi.h has the convention they meet.
 *
 * Entry (array to wasm): a VMArrayCall with its wasm_call target in r10: checks the stack, saves the callee-saved registers, links a VMEntryRecord,
 * loads arguments from `values`, calls, stores results, unlinks, returns true; its landing pad unlinks and returns false. A stub per escaped function
 * (`lea r10, [function]; jmp body`) makes the array_call of a function, so bodies are shared and no pointer is needed at run time.
 * Host call (wasm to array): a wasm_call whose callee_vmctx is a VMHostContext: spills arguments to ValRaws on its frame, sets VMStoreContext.exit_fp,
 * calls VMHostContext.call(callee, caller, values, capacity), and either loads the results or unwinds to the last entry's landing pad.
 * Host array call: the array_call of a VMHostContext, of any signature: jumps to VMHostContext.call. A host function thus needs no entry body.
 *
 * Each emitter makes one X64 function (wr_x64_function_begin .. end) and returns false when the assembler failed: as->status says why. The code is
 * [as->function_offset, x64_offset(as)); offsets given in and out count from the start of the code buffer. All of it is position independent. */
#ifndef WR_TRAMP_TRAMP_H
#define WR_TRAMP_TRAMP_H

#include "tramp/abi.h"
#include "wasm/module.h"
#include "wasmrt/vm.h"
#include "x64/asm.h"

/* The body behind entry stubs; takes its target in r10. */
bool wr_tramp_emit_entry(Asm *as, const WrSignature *signature);
/* Offsets may lie outside this code buffer (then modulo 2^32, negative ones too) as long as all end up in the same text at that distance. */
bool wr_tramp_emit_entry_stub(Asm *as, uint32_t entry_body_offset, uint32_t target_offset);
bool wr_tramp_emit_host_call(Asm *as, const WrSignature *signature);
bool wr_tramp_emit_host_array_call(Asm *as);

/* A wasm_call whose callee_vmctx is a VMHostContext with a WrNativeFunc for data: calls its function with the arguments in registers, without an array. For
 * signatures that fit: numbers only, at most 4 integers, 8 floats and one result. may_leave: data2 is a component instance's int32_t *const *, and
 * while that is 0 the call is left to VMHostContext.call, which refuses it. What the function does to `last_entry` is compared as in a host call: C
 * functions that take the GIL by themselves run Python, which can switch stacks. */
bool wr_tramp_native_fits(const WrSignature *signature);
bool wr_tramp_emit_native_call(Asm *as, const WrSignature *signature, bool may_leave);

/* All trampolines of a core module, one body a signature: array_calls[num_escaped_funcs] for the functions that escape, host_calls[num_types] for the
 * types of imported functions (length 0 for the others). `funcs` are its defined functions; these, and what is given out, count from the start of the
 * module's text, of which the code buffer will be the part at text_offset, a multiple of 16. */
bool wr_tramp_emit_module(Asm *as, const WasmModule *module, const FunctionLoc *funcs, uint32_t text_offset, FunctionLoc *array_calls, FunctionLoc *host_calls);

#endif
