/* Where each parameter and result of a signature lives in a wasm_call: the one definition of the calling convention.
 *
 * Registers as in SysV: callee_vmctx rdi, caller_vmctx rsi; then, if some result does not fit a register, the pointer of the result area (rdx); then
 * integers and references in what is left of rdx rcx r8 r9, floats and vectors in xmm0-7, and all others in stack slots in order of the parameters:
 * 8 bytes, a v128 16 bytes at a multiple of 16. The first slot lies right above the return address. The callee pops the stack arguments, rounded up
 * to 16, with `ret n`; a function without any is byte-compatible with C.
 * The first integer or reference result is in rax, the first float or vector in xmm0; each other one has 16 bytes of the caller's result area, in
 * order. Bits above a value's type are undefined everywhere. rbx rbp r12-r15 survive a call, nothing else; rsp and rbp are 16-byte aligned in a frame. */
#ifndef WR_TRAMP_ABI_H
#define WR_TRAMP_ABI_H

#include "wasm/types.h"

typedef struct WrSignature {
    const ValType *params;
    uint32_t num_params;
    const ValType *results;
    uint32_t num_results;
} WrSignature;

typedef enum AbiSlotKind {
    ABI_GPR,   /* reg: X64Gpr */
    ABI_XMM,   /* reg: X64Xmm */
    ABI_STACK, /* at rsp + 8 + offset when the callee starts, rbp + 16 + offset in its frame, rsp + offset before the call */
    ABI_AREA   /* at result area + offset */
} AbiSlotKind;

typedef struct AbiSlot {
    uint8_t kind; /* AbiSlotKind */
    uint8_t reg;
    uint16_t reserved;
    int32_t offset;
} AbiSlot;

typedef struct AbiLayout {
    uint32_t stack_arg_bytes;   /* rounded up to 16; the callee pops them */
    uint32_t result_area_bytes; /* a multiple of 16; 0: no result area parameter */
    AbiSlot *params, *results;  /* the caller's arrays of num_params and num_results */
} AbiLayout;

enum {
    ABI_CALLEE_VMCTX = 7, /* rdi */
    ABI_CALLER_VMCTX = 6, /* rsi */
    ABI_RESULT_AREA = 2,  /* rdx, where result_area_bytes is not 0 */
    ABI_AREA_SLOT_BYTES = 16,
    ABI_MAX_VALUES = 1000 /* parameters, or results: what `ret n` and the frames of trampolines allow; LIMIT rows are not larger */
};

/* Machine code of a function, relative to the text of its object. */
typedef struct FunctionLoc { uint32_t start, length; } FunctionLoc;

/* Before each place in the text of an image that a table leads to: what starts there (code/marks.h). */
enum { CODE_MARK_BYTES = 4 };

/* Fills layout->params and layout->results, which the caller provides, and the sizes. At most ABI_MAX_VALUES each. */
void wr_abi_layout(const WrSignature *signature, AbiLayout *layout);

#endif
