/* The calling convention as a function of the signature; abi.h says what it is. */
#include "tramp/abi.h"

#include <assert.h>

enum { RAX_RESULT = 0, XMM0_RESULT = 0, NUM_XMM_PARAMS = 8 };

enum {
#define LIMIT(name, value, doc) ABI_LIMIT_##name = (value),
#include "wasmrt/limits.def"
#undef LIMIT
};
_Static_assert((int)ABI_LIMIT_FUNCTION_PARAMS <= (int)ABI_MAX_VALUES, "trampolines have room for every parameter");
_Static_assert((int)ABI_LIMIT_FUNCTION_RESULTS <= (int)ABI_MAX_VALUES, "trampolines have room for every result");
_Static_assert(ABI_MAX_VALUES * 16 < 1 << 16, "`ret n` has 16 bits");

static bool abi_in_gpr(ValType type)
{
    uint32_t kind = wr_vt_kind(type);
    return kind == WR_KIND_I32 || kind == WR_KIND_I64 || kind == WR_KIND_REF;
}

static AbiSlot abi_slot(AbiSlotKind kind, uint32_t reg, uint32_t offset)
{
    return (AbiSlot){.kind = (uint8_t)kind, .reg = (uint8_t)reg, .offset = (int32_t)offset};
}

void wr_abi_layout(const WrSignature *signature, AbiLayout *layout)
{
    static const uint8_t gpr_params[] = {2, 1, 8, 9}; /* rdx rcx r8 r9 */
    assert(signature->num_params <= ABI_MAX_VALUES && signature->num_results <= ABI_MAX_VALUES);

    uint32_t area = 0;
    bool rax_taken = false, xmm0_taken = false;
    for (uint32_t i = 0; i < signature->num_results; i++) {
        bool gpr = abi_in_gpr(signature->results[i]);
        bool *taken = gpr ? &rax_taken : &xmm0_taken;
        if (*taken) {
            layout->results[i] = abi_slot(ABI_AREA, 0, area);
            area += ABI_AREA_SLOT_BYTES;
        } else {
            layout->results[i] = gpr ? abi_slot(ABI_GPR, RAX_RESULT, 0) : abi_slot(ABI_XMM, XMM0_RESULT, 0);
            *taken = true;
        }
    }
    layout->result_area_bytes = area;

    uint32_t gpr = area ? 1 : 0, xmm = 0, stack = 0;
    for (uint32_t i = 0; i < signature->num_params; i++) {
        ValType type = signature->params[i];
        bool in_gpr = abi_in_gpr(type);
        if (in_gpr && gpr < sizeof gpr_params) {
            layout->params[i] = abi_slot(ABI_GPR, gpr_params[gpr++], 0);
        } else if (!in_gpr && xmm < NUM_XMM_PARAMS) {
            layout->params[i] = abi_slot(ABI_XMM, xmm++, 0);
        } else {
            uint32_t bytes = wr_vt_kind(type) == WR_KIND_V128 ? 16 : 8;
            stack = (stack + bytes - 1) & ~(bytes - 1);
            layout->params[i] = abi_slot(ABI_STACK, 0, stack);
            stack += bytes;
        }
    }
    layout->stack_arg_bytes = (stack + 15) & ~15u;
}
