/* Emits the trampolines; tramp.h says what they are for, abi.h where arguments live.
 *
 * Every one keeps the frame pointer chain, so that a walk over rbp passes through it, and reads nothing but its arguments, its frame, the vmctx and
 * the VMStoreContext. Straight-line code a value, so a body is as long as its signature: at most some 20 KiB. */
#include "tramp/tramp.h"

_Static_assert((int)ABI_CALLEE_VMCTX == (int)RDI && (int)ABI_CALLER_VMCTX == (int)RSI && (int)ABI_RESULT_AREA == (int)RDX, "abi.h names registers by number");
_Static_assert(offsetof(VMEntryRecord, landing_pc) == 0, "unwinding jumps to [rsp]");

static const X64Xmm FLOAT_SCRATCH = XMM15; /* no parameter or result register */

/* ---- values ----------------------------------------------------------------------------------------------------------------- */

static X64Mem tramp_value(X64Gpr values, uint32_t index)
{
    return x64_mem_b(values, (int32_t)(index * sizeof(ValRaw)));
}

static void tramp_load_xmm(Asm *as, ValType type, X64Xmm dst, X64Mem src)
{
    switch (wr_vt_kind(type)) {
    case WR_KIND_F32: x64_movss_xm(as, dst, src); break;
    case WR_KIND_F64: x64_movsd_xm(as, dst, src); break;
    default: x64_movups_xm(as, dst, src); break;
    }
}

static void tramp_store_xmm(Asm *as, ValType type, X64Mem dst, X64Xmm src)
{
    switch (wr_vt_kind(type)) {
    case WR_KIND_F32: x64_movss_mx(as, dst, src); break;
    case WR_KIND_F64: x64_movsd_mx(as, dst, src); break;
    default: x64_movups_mx(as, dst, src); break;
    }
}

static void tramp_load_gpr(Asm *as, ValType type, X64Gpr dst, X64Mem src)
{
    if (wr_vt_kind(type) == WR_KIND_I32) {
        x64_movl_rm(as, dst, src);
    } else {
        x64_movq_rm(as, dst, src);
    }
}

/* Memory to memory: eight bytes of anything narrower than a vector, since bits above a value are undefined. `scratch` is overwritten. */
static void tramp_copy(Asm *as, ValType type, X64Mem dst, X64Mem src, X64Gpr scratch)
{
    if (wr_vt_kind(type) == WR_KIND_V128) {
        x64_movups_xm(as, FLOAT_SCRATCH, src);
        x64_movups_mx(as, dst, FLOAT_SCRATCH);
    } else {
        x64_movq_rm(as, scratch, src);
        x64_movq_mr(as, dst, scratch);
    }
}

static bool tramp_begin(Asm *as, const WrSignature *signature)
{
    if (signature->num_params > ABI_MAX_VALUES || signature->num_results > ABI_MAX_VALUES) {
        wr_x64_fail(as, X64_TOO_LARGE);
        return false;
    }
    wr_x64_function_begin(as);
    return !x64_failed(as);
}

/* ---- entry ------------------------------------------------------------------------------------------------------------------ */

/* Frame, from rbp down: the callee-saved registers (vm/traps.c restores them where a landing pad is gone), the VMEntryRecord, the result area, outgoing stack arguments. */
static const X64Gpr ENTRY_SAVED[] = {RBX, R12, R13, R14, R15};
enum {
    ENTRY_NUM_SAVED = sizeof ENTRY_SAVED / sizeof ENTRY_SAVED[0],
    ENTRY_NUM_USED = 2, /* of them, by the trampoline itself */
    ENTRY_RECORD = -(8 * ENTRY_NUM_SAVED + (int)sizeof(VMEntryRecord)), /* from rbp */
    ENTRY_FIXED_BYTES = (-ENTRY_RECORD + 15) & ~15,
};

#define ENTRY_RECORD_FIELD(field) x64_mem_b(RBP, ENTRY_RECORD + WR_OFFSET(VMEntryRecord, field))
#define STORE_FIELD(reg, field) x64_mem_b(reg, WR_OFFSET(VMStoreContext, field))

static void tramp_call_builtin(Asm *as, int builtin)
{
    x64_movq_rm(as, RAX, x64_mem_b(RDI, WR_OFFSET(VMContextHeader, builtins)));
    x64_call_m(as, x64_mem_b(RAX, 8 * builtin));
}

/* bool entry(VMContext *callee rdi, VMContext *caller rsi, ValRaw *values rdx, size_t capacity rcx, wasm_call r10)
 *   r11 the VMStoreContext, then scratch for stack arguments; rbx the values and r12 the VMStoreContext across the call, which keeps callee-saved registers
 *   unless it traps: only the landing pad restores the others */
bool wr_tramp_emit_entry(Asm *as, const WrSignature *signature)
{
    AbiSlot params[ABI_MAX_VALUES], results[ABI_MAX_VALUES];
    AbiLayout layout = {.params = params, .results = results};
    if (!tramp_begin(as, signature)) {
        return false;
    }
    wr_abi_layout(signature, &layout);
    const int32_t area = -ENTRY_FIXED_BYTES - (int32_t)layout.result_area_bytes; /* from rbp */
    const int32_t frame_bytes = (int32_t)layout.stack_arg_bytes - area;
    X64Label landing = x64_label_new(as), overflow = x64_label_new(as), leave = x64_label_new(as);

    x64_pushq_r(as, RBP);
    x64_movq_rr(as, RBP, RSP);
    x64_movq_rm(as, R11, x64_mem_b(RDI, WR_OFFSET(VMContextHeader, store)));
    x64_leaq_rm(as, RAX, x64_mem_b(RSP, -frame_bytes));
    x64_cmpq_rm(as, RAX, STORE_FIELD(R11, real_stack_limit)); /* a pending interrupt waits for the callee's own check */
    x64_jcc(as, X64_CC_B, overflow);
    x64_movq_rr(as, RSP, RAX);

    for (int i = 0; i < ENTRY_NUM_SAVED; i++) {
        x64_movq_mr(as, x64_mem_b(RBP, -8 * (i + 1)), ENTRY_SAVED[i]);
    }
    x64_leaq_rm(as, RAX, x64_mem_label(landing));
    x64_movq_mr(as, ENTRY_RECORD_FIELD(landing_pc), RAX);
    x64_movq_rm(as, RAX, STORE_FIELD(R11, last_entry));
    x64_movq_mr(as, ENTRY_RECORD_FIELD(prev), RAX);
    x64_movq_rm(as, RAX, STORE_FIELD(R11, exit_fp));
    x64_movq_mr(as, ENTRY_RECORD_FIELD(prev_exit_fp), RAX);
    x64_movq_mr(as, ENTRY_RECORD_FIELD(entry_fp), RBP);
    x64_movq_mr(as, ENTRY_RECORD_FIELD(store), R11);
    x64_leaq_rm(as, RAX, x64_mem_b(RBP, ENTRY_RECORD));
    x64_movq_mr(as, STORE_FIELD(R11, last_entry), RAX);

    x64_movq_rr(as, RBX, RDX);
    x64_movq_rr(as, R12, R11);
    for (uint32_t i = 0; i < signature->num_params; i++) {
        ValType type = signature->params[i];
        switch (params[i].kind) {
        case ABI_GPR: tramp_load_gpr(as, type, (X64Gpr)params[i].reg, tramp_value(RBX, i)); break;
        case ABI_XMM: tramp_load_xmm(as, type, (X64Xmm)params[i].reg, tramp_value(RBX, i)); break;
        default: tramp_copy(as, type, x64_mem_b(RSP, params[i].offset), tramp_value(RBX, i), R11); break;
        }
    }
    if (layout.result_area_bytes) {
        x64_leaq_rm(as, RDX, x64_mem_b(RBP, area));
    }
    x64_call_r(as, R10); /* pops its stack arguments */

    for (uint32_t i = 0; i < signature->num_results; i++) { /* those in registers first: rax becomes the scratch of the others */
        if (results[i].kind == ABI_GPR) {
            x64_movq_mr(as, tramp_value(RBX, i), RAX);
        } else if (results[i].kind == ABI_XMM) {
            tramp_store_xmm(as, signature->results[i], tramp_value(RBX, i), XMM0);
        }
    }
    for (uint32_t i = 0; i < signature->num_results; i++) {
        if (results[i].kind == ABI_AREA) {
            tramp_copy(as, signature->results[i], tramp_value(RBX, i), x64_mem_b(RBP, area + results[i].offset), RAX);
        }
    }
    x64_movl_ri(as, RAX, true);

    x64_label_bind(as, leave);
    x64_movq_rm(as, RCX, ENTRY_RECORD_FIELD(prev));
    x64_movq_mr(as, STORE_FIELD(R12, last_entry), RCX);
    x64_movq_rm(as, RCX, ENTRY_RECORD_FIELD(prev_exit_fp));
    x64_movq_mr(as, STORE_FIELD(R12, exit_fp), RCX);
    for (int i = 0; i < ENTRY_NUM_USED; i++) {
        x64_movq_rm(as, ENTRY_SAVED[i], x64_mem_b(RBP, -8 * (i + 1)));
    }
    x64_leave(as);
    x64_ret(as);

    x64_label_bind(as, landing); /* from a trap, with rsp = the record and nothing else known */
    x64_leaq_rm(as, RBP, x64_mem_b(RSP, -ENTRY_RECORD));
    x64_movq_rm(as, R12, ENTRY_RECORD_FIELD(store));
    for (int i = ENTRY_NUM_USED; i < ENTRY_NUM_SAVED; i++) {
        x64_movq_rm(as, ENTRY_SAVED[i], x64_mem_b(RBP, -8 * (i + 1)));
    }
    x64_zero_r(as, RAX);
    x64_jmp(as, leave);

    x64_label_bind(as, overflow); /* nothing is saved or linked yet; rdi is still the callee */
    tramp_call_builtin(as, WR_BUILTIN_ENTRY_OVERFLOW);
    x64_zero_r(as, RAX);
    x64_popq_r(as, RBP);
    x64_ret(as);
    return wr_x64_function_end(as) == X64_OK;
}

/* A label at a place outside the function being emitted, or outside the buffer. */
static X64Label tramp_label_at(Asm *as, uint32_t offset)
{
    X64Label label = x64_label_new(as);
    assert(offset != X64_UNBOUND);
    as->labels[label.id].offset = offset;
    return label;
}

/* bool stub(VMContext *callee rdi, VMContext *caller rsi, ValRaw *values rdx, size_t capacity rcx) */
bool wr_tramp_emit_entry_stub(Asm *as, uint32_t entry_body_offset, uint32_t target_offset)
{
    wr_x64_function_begin(as);
    x64_leaq_rm(as, R10, x64_mem_label(tramp_label_at(as, target_offset)));
    x64_jmp(as, tramp_label_at(as, entry_body_offset));
    return wr_x64_function_end(as) == X64_OK;
}

/* ---- host call -------------------------------------------------------------------------------------------------------------- */

/* Frame, from rbp down: these slots, padding, then the ValRaws at rsp. */
enum {
    HOST_CALLEE = -8,      /* the VMHostContext */
    HOST_LAST_ENTRY = -16, /* VMStoreContext.last_entry at the call: what it must be again after it */
    HOST_AREA = -24,       /* the result area, if any */
    HOST_FIXED_BYTES = 32,
};

/* wasm_call(VMHostContext *callee rdi, VMContext *caller rsi, arguments)
 *   r11 the VMStoreContext; rax scratch. No stack check: the frame and the host run on what the stack limit keeps back. */
bool wr_tramp_emit_host_call(Asm *as, const WrSignature *signature)
{
    AbiSlot params[ABI_MAX_VALUES], results[ABI_MAX_VALUES];
    AbiLayout layout = {.params = params, .results = results};
    if (!tramp_begin(as, signature)) {
        return false;
    }
    wr_abi_layout(signature, &layout);
    const uint32_t capacity = signature->num_params > signature->num_results ? signature->num_params : signature->num_results;
    X64Label unwind = x64_label_new(as), out_of_order = x64_label_new(as);

    x64_pushq_r(as, RBP);
    x64_movq_rr(as, RBP, RSP);
    x64_subq_ri(as, RSP, HOST_FIXED_BYTES + (int32_t)(capacity * sizeof(ValRaw)));
    x64_movq_rm(as, R11, x64_mem_b(RDI, WR_OFFSET(VMContextHeader, store)));
    x64_movq_rm(as, RAX, STORE_FIELD(R11, last_entry));
    x64_movq_mr(as, x64_mem_b(RBP, HOST_CALLEE), RDI);
    x64_movq_mr(as, x64_mem_b(RBP, HOST_LAST_ENTRY), RAX);
    if (layout.result_area_bytes) {
        x64_movq_mr(as, x64_mem_b(RBP, HOST_AREA), RDX);
    }
    x64_movq_mr(as, STORE_FIELD(R11, exit_fp), RBP);
    for (uint32_t i = 0; i < signature->num_params; i++) {
        switch (params[i].kind) {
        case ABI_GPR: x64_movq_mr(as, tramp_value(RSP, i), (X64Gpr)params[i].reg); break;
        case ABI_XMM: tramp_store_xmm(as, signature->params[i], tramp_value(RSP, i), (X64Xmm)params[i].reg); break;
        default: tramp_copy(as, signature->params[i], tramp_value(RSP, i), x64_mem_b(RBP, 16 + params[i].offset), RAX); break;
        }
    }
    x64_movq_rr(as, RDX, RSP);
    x64_movl_ri(as, RCX, (int32_t)capacity);
    x64_call_m(as, x64_mem_b(RDI, WR_OFFSET(VMHostContext, call)));

    x64_movq_rm(as, RDI, x64_mem_b(RBP, HOST_CALLEE));
    x64_movq_rm(as, R11, x64_mem_b(RDI, WR_OFFSET(VMContextHeader, store)));
    x64_movq_rm(as, RCX, x64_mem_b(RBP, HOST_LAST_ENTRY));
    x64_cmpq_rm(as, RCX, STORE_FIELD(R11, last_entry));
    x64_jcc(as, X64_CC_NE, out_of_order);
    x64_testb_rr(as, RAX, RAX);
    x64_jcc(as, X64_CC_E, unwind);

    if (layout.result_area_bytes) {
        x64_movq_rm(as, RDX, x64_mem_b(RBP, HOST_AREA));
    }
    for (uint32_t i = 0; i < signature->num_results; i++) {
        switch (results[i].kind) {
        case ABI_GPR: tramp_load_gpr(as, signature->results[i], RAX, tramp_value(RSP, i)); break;
        case ABI_XMM: tramp_load_xmm(as, signature->results[i], XMM0, tramp_value(RSP, i)); break;
        default: tramp_copy(as, signature->results[i], x64_mem_b(RDX, results[i].offset), tramp_value(RSP, i), RCX); break;
        }
    }
    x64_leave(as);
    if (layout.stack_arg_bytes) {
        x64_ret_i(as, (uint16_t)layout.stack_arg_bytes);
    } else {
        x64_ret(as);
    }

    /* The host came back on this stack while a later entry is open on another: that one must not be unwound to from here. */
    x64_label_bind(as, out_of_order);
    x64_movq_mr(as, STORE_FIELD(R11, last_entry), RCX);
    tramp_call_builtin(as, WR_BUILTIN_ENTRY_ORDER);
    x64_movq_rm(as, RDI, x64_mem_b(RBP, HOST_CALLEE));
    x64_movq_rm(as, R11, x64_mem_b(RDI, WR_OFFSET(VMContextHeader, store)));

    x64_label_bind(as, unwind);
    x64_movq_rm(as, RSP, STORE_FIELD(R11, last_entry));
    x64_jmp_m(as, x64_mem_b(RSP, WR_OFFSET(VMEntryRecord, landing_pc)));
    return wr_x64_function_end(as) == X64_OK;
}

/* ---- native call ------------------------------------------------------------------------------------------------------------ */

/* Frame, from rbp down: the saved rbx, then these. */
enum {
    NATIVE_LAST_ENTRY = -16,
    NATIVE_CALLEE = -24,
    NATIVE_FIXED_BYTES = 24, /* below the saved rbx: rsp ends up at a multiple of 16 */
};
static const X64Gpr NATIVE_FROM[] = {RDX, RCX, R8, R9}, NATIVE_TO[] = {RDI, RSI, RDX, RCX};

bool wr_tramp_native_fits(const WrSignature *signature)
{
    uint32_t ints = 0, floats = 0;
    for (uint32_t i = 0; i < signature->num_params; i++) {
        uint32_t kind = wr_vt_kind(signature->params[i]);
        if (kind == WR_KIND_I32 || kind == WR_KIND_I64)
            ints++;
        else if (kind == WR_KIND_F32 || kind == WR_KIND_F64)
            floats++;
        else
            return false;
    }
    return signature->num_results <= 1 && ints <= sizeof NATIVE_FROM / sizeof NATIVE_FROM[0] && floats <= 8;
}

/* wasm_call(VMHostContext *callee rdi, VMContext *caller rsi, arguments): rbx the VMStoreContext, rax the WrNativeFunc, whose function comes first */
bool wr_tramp_emit_native_call(Asm *as, const WrSignature *signature, bool may_leave)
{
    X64Label out_of_order = x64_label_new(as), refused = x64_label_new(as), unwind = x64_label_new(as);
    uint32_t ints = 0;
    if (!tramp_begin(as, signature)) {
        return false;
    }
    for (uint32_t i = 0; i < signature->num_params; i++) {
        uint32_t kind = wr_vt_kind(signature->params[i]);
        ints += kind == WR_KIND_I32 || kind == WR_KIND_I64;
    }
    x64_pushq_r(as, RBP);
    x64_movq_rr(as, RBP, RSP);
    x64_pushq_r(as, RBX);
    x64_subq_ri(as, RSP, NATIVE_FIXED_BYTES);
    x64_movq_rm(as, RBX, x64_mem_b(RDI, WR_OFFSET(VMContextHeader, store)));
    x64_movq_rm(as, RAX, STORE_FIELD(RBX, last_entry));
    x64_movq_mr(as, x64_mem_b(RBP, NATIVE_LAST_ENTRY), RAX);
    x64_movq_mr(as, x64_mem_b(RBP, NATIVE_CALLEE), RDI);
    x64_movq_mr(as, STORE_FIELD(RBX, exit_fp), RBP);
    if (may_leave) {
        x64_movq_rm(as, RAX, x64_mem_b(RDI, WR_OFFSET(VMHostContext, data2)));
        x64_movq_rm(as, RAX, x64_mem_b(RAX, 0));
        x64_movl_rm(as, RAX, x64_mem_b(RAX, 0));
        x64_testl_rr(as, RAX, RAX);
        x64_jcc(as, X64_CC_E, refused);
    }
    x64_movq_rm(as, RAX, x64_mem_b(RDI, WR_OFFSET(VMHostContext, data)));
    for (uint32_t i = 0; i < ints; i++) {
        x64_movq_rr(as, NATIVE_TO[i], NATIVE_FROM[i]);
    }
    x64_call_m(as, x64_mem_b(RAX, 0));
    x64_movq_rm(as, RCX, x64_mem_b(RBP, NATIVE_LAST_ENTRY));
    x64_cmpq_rm(as, RCX, STORE_FIELD(RBX, last_entry));
    x64_jcc(as, X64_CC_NE, out_of_order);
    x64_movq_rm(as, RBX, x64_mem_b(RBP, -8));
    x64_leave(as);
    x64_ret(as);

    x64_label_bind(as, out_of_order); /* as in a host call */
    x64_movq_mr(as, STORE_FIELD(RBX, last_entry), RCX);
    x64_movq_rm(as, RDI, x64_mem_b(RBP, NATIVE_CALLEE));
    tramp_call_builtin(as, WR_BUILTIN_ENTRY_ORDER);
    x64_jmp(as, unwind);

    x64_label_bind(as, refused); /* the array call looks first of all, before it reads a value, and says why not */
    x64_zero_r(as, RDX);
    x64_zero_r(as, RCX);
    x64_call_m(as, x64_mem_b(RDI, WR_OFFSET(VMHostContext, call)));

    x64_label_bind(as, unwind);
    x64_movq_rm(as, RSP, STORE_FIELD(RBX, last_entry));
    x64_jmp_m(as, x64_mem_b(RSP, WR_OFFSET(VMEntryRecord, landing_pc)));
    return wr_x64_function_end(as) == X64_OK;
}

/* bool array_call(VMHostContext *callee rdi, VMContext *caller rsi, ValRaw *values rdx, size_t capacity rcx) */
bool wr_tramp_emit_host_array_call(Asm *as)
{
    wr_x64_function_begin(as);
    x64_jmp_m(as, x64_mem_b(RDI, WR_OFFSET(VMHostContext, call)));
    return wr_x64_function_end(as) == X64_OK;
}
