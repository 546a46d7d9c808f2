/* Trampolines: the code between array calls, wasm calls and host functions, one body per signature.
 *
 * Entry (array to wasm): VMArrayCall with r10 = wasm_call target: checks the stack limit, saves callee-saved registers, links a VMEntryRecord, loads
 * arguments from `values`, calls, stores results, unlinks, returns true; its landing pad does the same and returns false. A stub per escaped
 * function (`lea r10, [rip+func]; jmp body`) makes it an array_call. Engine-wide entries, for calling a wasm_call that the host holds, load the target
 * from VMFuncRef instead.
 * Host call (wasm to array): a wasm_call whose vmctx is a VMHostContext: spills arguments to ValRaws on its frame, sets VMStoreContext.exit_fp,
 * calls VMHostContext.call(callee, caller, values, capacity) and either loads the results or unwinds to the last entry's landing pad.
 * All are position independent. Signatures are (param ValTypes, result ValTypes). */
#ifndef WR_TRAMP_TRAMP_H
#define WR_TRAMP_TRAMP_H

#include "wasm/types.h"
#include "wasmrt/vm.h"
#include "x64/asm.h"

typedef struct WrSignature { const ValType *params; uint32_t num_params; const ValType *results; uint32_t num_results; } WrSignature;

/* Where each parameter and result of a signature lives in a wasm_call: the one definition of the calling convention (ARCHITECTURE 4). */
typedef struct AbiSlot { uint8_t kind; /* ABI_GPR, ABI_XMM, ABI_STACK (offset from the callee's rsp at entry + 8), ABI_AREA (offset into the result area) */ uint8_t reg; uint16_t reserved; int32_t offset; } AbiSlot;
enum { ABI_GPR, ABI_XMM, ABI_STACK, ABI_AREA };
typedef struct AbiLayout {
    uint32_t stack_arg_bytes; /* rounded up to 16; the callee pops them */
    uint32_t result_area_bytes; /* 0: no result area parameter; else its pointer is in rdx, before the first integer parameter */
    AbiSlot *params, *results; /* caller-provided arrays of num_params, num_results */
} AbiLayout;
void wr_abi_layout(const WrSignature *signature, AbiLayout *layout);

bool wr_tramp_emit_entry(Asm *as, const WrSignature *signature);     /* body: target in r10 */
bool wr_tramp_emit_entry_stub(Asm *as, uint32_t entry_body_offset, uint32_t target_offset); /* offsets in the same text */
bool wr_tramp_emit_host_call(Asm *as, const WrSignature *signature);
/* array_call of a VMHostContext: jumps to VMHostContext.call */
bool wr_tramp_emit_host_array_call(Asm *as);

#endif
