/* Code that the functions of a module share.
 *
 * The interrupt stubs are what a stack or interrupt check calls when it fails: they keep every register that compiled code may hold values in, so that
 * the functions themselves need a call and a jump only. They have a frame of their own, so that frame walks pass through them; a nonzero status
 * means the builtin recorded a trap (or a pending exception): the code unwinds to the last entry's landing pad.
 *
 * The stub of lazy elements keeps the same registers, since arguments are in place when a call finds one: index in r11 and table on the stack, which it pops;
 * the result is in r11, the zero flag says whether it is null. So does the stub that makes an object: its size comes in r11, the object goes back in r11,
 * null is a trap; a collection finds the registers in its frame. */
#include "compile/state.h"

static const uint8_t stub_saved[] = {RAX, RCX, RDX, RSI, RDI, R8, R9, R10}; /* r11 is scratch at every check */

enum { GPRS = sizeof stub_saved, XMMS = 15, BYTES = GPRS * 8 + XMMS * 16 + 16 };

static void stub_save(Asm *as)
{
    x64_pushq_r(as, RBP);
    x64_movq_rr(as, RBP, RSP);
    x64_andq_ri(as, RSP, -16);
    x64_subq_ri(as, RSP, (BYTES + 15) & ~15);
    for (int i = 0; i < GPRS; i++) x64_movq_mr(as, x64_mem_b(RSP, i * 8), (X64Gpr)stub_saved[i]);
    for (int i = 0; i < XMMS; i++) x64_movups_mx(as, x64_mem_b(RSP, GPRS * 8 + i * 16), (X64Xmm)i);
}

static void stub_restore(Asm *as)
{
    for (int i = 0; i < XMMS; i++) x64_movups_xm(as, (X64Xmm)i, x64_mem_b(RSP, GPRS * 8 + i * 16));
    for (int i = 0; i < GPRS; i++) x64_movq_rm(as, (X64Gpr)stub_saved[i], x64_mem_b(RSP, i * 8));
    x64_leave(as);
}

/* A trap is recorded; r11 = vmctx. */
static void stub_unwind(Asm *as, X64Label unwind)
{
    x64_label_bind(as, unwind);
    x64_movq_rm(as, REG_SCRATCH, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMContextHeader, store)));
    x64_movq_rm(as, RSP, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMStoreContext, last_entry)));
    x64_jmp_m(as, x64_mem_b(RSP, WR_OFFSET(VMEntryRecord, landing_pc)));
}

static void stub_lazy(Asm *as)
{
    stub_save(as);
    x64_movq_rr(as, RDI, REG_VMCTX);
    x64_movl_rm(as, RSI, x64_mem_b(RBP, 16));
    x64_movq_rr(as, RDX, REG_SCRATCH);
    x64_movq_rm(as, RAX, x64_mem_b(RDI, WR_OFFSET(VMContextHeader, builtins)));
    x64_call_m(as, x64_mem_b(RAX, (int32_t)(WR_BUILTIN_LAZY * sizeof(void *))));
    x64_movq_rr(as, REG_SCRATCH, REG_VMCTX);
    X64Label unwind = x64_label_new(as);
    x64_cmpq_ri(as, RAX, (int32_t)(intptr_t)WR_LAZY_TRAPPED);
    x64_jcc(as, X64_CC_E, unwind);
    x64_movq_rr(as, REG_SCRATCH, RAX);
    stub_restore(as);
    x64_testq_rr(as, REG_SCRATCH, REG_SCRATCH);
    x64_ret_i(as, 8);
    stub_unwind(as, unwind);
}

void cg_emit_stub(Asm *as, uint32_t stub)
{
    if (stub == STUB_LAZY) {
        stub_lazy(as);
        return;
    }
    X64Gpr vmctx = stub == STUB_INTERRUPT_ENTRY ? RDI : REG_VMCTX;
    bool is_alloc = stub == STUB_ALLOC;
    uint32_t builtin = is_alloc ? WR_BUILTIN_ALLOC : WR_BUILTIN_INTERRUPT;
    stub_save(as);
    x64_movq_mr(as, x64_mem_b(RSP, GPRS * 8 + XMMS * 16), vmctx);
    if (vmctx != RDI) x64_movq_rr(as, RDI, vmctx);
    if (is_alloc) x64_movl_rr(as, RSI, REG_SCRATCH);
    x64_movq_rm(as, RAX, x64_mem_b(RDI, WR_OFFSET(VMContextHeader, builtins)));
    x64_call_m(as, x64_mem_b(RAX, (int32_t)(builtin * sizeof(void *))));
    x64_movq_rm(as, REG_SCRATCH, x64_mem_b(RSP, GPRS * 8 + XMMS * 16));
    X64Label unwind = x64_label_new(as);
    if (is_alloc) x64_testq_rr(as, RAX, RAX);
    else x64_testl_rr(as, RAX, RAX);
    x64_jcc(as, is_alloc ? X64_CC_E : X64_CC_NE, unwind);
    if (is_alloc) x64_movq_rr(as, REG_SCRATCH, RAX);
    stub_restore(as);
    x64_ret(as);
    stub_unwind(as, unwind);
}
