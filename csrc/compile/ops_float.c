/* Scalar floats and conversions. f32 and f64 instructions come in two rows of the same order in wasm_ops.def, so one function serves both and picks
 * the encoding by `is64`. Three-operand VEX forms are used where the machine has AVX: they save the copies. NaNs keep what SSE makes of them (the
 * specification allows any arithmetic NaN) unless nan_canonicalization asks for the canonical one. */
#include "compile/state.h"

#define FLOAT_OP(opcode, is64) X64_OP((is64) ? 0xF2 : 0xF3, 0x0F, opcode, 0)
#define FLOAT_PACKED(opcode) X64_OP(0, 0x0F, opcode, 0) /* the *ps form: bitwise, for both widths */
enum { FLOAT_ADD = 0x58, FLOAT_MUL = 0x59, FLOAT_SUB = 0x5C, FLOAT_MIN = 0x5D, FLOAT_DIV = 0x5E, FLOAT_MAX = 0x5F, FLOAT_SQRT = 0x51 };
enum { PACKED_AND = 0x54, PACKED_OR = 0x56, PACKED_XOR = 0x57 };

static const uint64_t float_sign[2] = {UINT64_C(0x80000000), UINT64_C(0x8000000000000000)};

static X64Mem float_mask(FuncCompiler *fc, bool is64, bool sign)
{
    uint64_t bits = sign ? float_sign[is64] : ~float_sign[is64];
    if (!is64) bits = (bits & UINT32_MAX) | bits << 32;
    return x64_const_pool_16(fc->as, bits, bits);
}

static X64Mem float_pool(FuncCompiler *fc, bool is64, uint64_t f32_bits, uint64_t f64_bits)
{
    return is64 ? x64_const_pool_8(fc->as, f64_bits) : x64_const_pool_4(fc->as, (uint32_t)f32_bits);
}

static void float_ucomi(FuncCompiler *fc, bool is64, Reg a, Reg b)
{
    if (is64) x64_ucomisd_xx(fc->as, REG_XMM(a), REG_XMM(b));
    else x64_ucomiss_xx(fc->as, REG_XMM(a), REG_XMM(b));
}

static void float_ucomi_mem(FuncCompiler *fc, bool is64, Reg a, X64Mem b)
{
    if (is64) x64_ucomisd_xm(fc->as, REG_XMM(a), b);
    else x64_ucomiss_xm(fc->as, REG_XMM(a), b);
}

static void float_finish(FuncCompiler *fc, bool is64, Reg dst)
{
    if (fc->mc->tunables.nan_canonicalization) {
        X64Label skip = x64_label_new(fc->as);
        float_ucomi(fc, is64, dst, dst);
        x64_jcc_short(fc->as, X64_CC_NP, skip);
        cg_load(fc, is64 ? WR_KIND_F64 : WR_KIND_F32, dst, float_pool(fc, is64, 0x7fc00000, UINT64_C(0x7ff8000000000000)));
        x64_label_bind(fc->as, skip);
    }
    cg_finish(fc, is64 ? WR_KIND_F64 : WR_KIND_F32, dst);
}

/* ---- add, sub, mul, div ---------------------------------------------------------------------------------------------------------- */

static unsigned float_arith_opcode(WasmOp op)
{
    switch (op) {
    case WASM_OP_F32_ADD: case WASM_OP_F64_ADD: return FLOAT_ADD;
    case WASM_OP_F32_SUB: case WASM_OP_F64_SUB: return FLOAT_SUB;
    case WASM_OP_F32_MUL: case WASM_OP_F64_MUL: return FLOAT_MUL;
    case WASM_OP_F32_DIV: case WASM_OP_F64_DIV: return FLOAT_DIV;
    default: return 0;
    }
}

/* a op memory; `faults`: the operand is guest memory and the instruction gets a trap row */
static void float_arith_mem(FuncCompiler *fc, bool is64, unsigned opcode, Val *a, X64Mem mem, bool faults)
{
    uint8_t type = is64 ? WR_KIND_F64 : WR_KIND_F32;
    Reg ra = cg_reg(fc, a), dst = cg_dest(fc, type, cg_reuse(a));
    if (!fc->mc->avx) cg_move(fc, type, dst, ra);
    if (faults) cg_trap_row(fc, TRAP_MEMORY_OUT_OF_BOUNDS);
    if (fc->mc->avx) x64_vex_rm(fc->as, FLOAT_OP(opcode, is64), REG_XMM(dst), REG_XMM(ra), mem);
    else x64_emit_rm(fc->as, FLOAT_OP(opcode, is64), REG_XMM(dst), mem);
    float_finish(fc, is64, dst);
}

bool cg_float_load_op(FuncCompiler *fc, bool is64, X64Mem mem)
{
    WasmOp op = (WasmOp)wr_wasm_op_bytes[*fc->ip];
    unsigned opcode = float_arith_opcode(op);
    if (!opcode || (op >= WASM_OP_F64_ABS) != is64) return false;
    if (!fc->mc->avx && fc->stack[fc->sp - 1].kind != VAL_REG) return false; /* no copy to save */
    fc->ip++;
    Val a = cg_pop(fc);
    float_arith_mem(fc, is64, opcode, &a, mem, true);
    return true;
}

static void float_arith(FuncCompiler *fc, bool is64, unsigned opcode, Val a, Val b)
{
    uint8_t type = is64 ? WR_KIND_F64 : WR_KIND_F32;
    bool commutes = opcode == FLOAT_ADD || opcode == FLOAT_MUL;
    if (commutes && (b.kind == VAL_REG ? a.kind != VAL_REG : !cg_is_mem(fc, &b) && b.kind != VAL_CONST && (cg_is_mem(fc, &a) || a.kind == VAL_CONST))) {
        Val t = a;
        a = b;
        b = t;
    }
    if (b.kind == VAL_CONST && b.bits != 0) {
        float_arith_mem(fc, is64, opcode, &a, float_pool(fc, is64, b.bits, b.bits), false);
        return;
    }
    if (cg_is_mem(fc, &b)) {
        float_arith_mem(fc, is64, opcode, &a, cg_mem(fc, &b), false);
        return;
    }
    Reg rb = cg_reg(fc, &b), ra = cg_reg(fc, &a);
    Reg dst = cg_dest(fc, type, a.kind == VAL_REG ? a.reg : cg_reuse(&b));
    if (fc->mc->avx) {
        x64_vex_rr(fc->as, FLOAT_OP(opcode, is64), REG_XMM(dst), REG_XMM(ra), REG_XMM(rb));
    } else if (dst == rb && dst != ra) {
        if (commutes) {
            x64_emit_rr(fc->as, FLOAT_OP(opcode, is64), REG_XMM(dst), REG_XMM(ra));
        } else {
            x64_movaps_xx(fc->as, REG_XSCRATCH, REG_XMM(rb));
            cg_move(fc, type, dst, ra);
            x64_emit_rr(fc->as, FLOAT_OP(opcode, is64), REG_XMM(dst), REG_XSCRATCH);
        }
    } else {
        cg_move(fc, type, dst, ra);
        x64_emit_rr(fc->as, FLOAT_OP(opcode, is64), REG_XMM(dst), REG_XMM(rb));
    }
    float_finish(fc, is64, dst);
}

/* ---- min, max, copysign --------------------------------------------------------------------------------------------------------------- */

/* Equal operands differ in the sign of zero at most: or and and pick the right one. NaN in either: their sum. */
static void float_minmax(FuncCompiler *fc, bool is64, bool is_max, Val a, Val b)
{
    uint8_t type = is64 ? WR_KIND_F64 : WR_KIND_F32;
    if (b.kind == VAL_REG && a.kind != VAL_REG) {
        Val t = a;
        a = b;
        b = t;
    }
    Reg rb = cg_reg(fc, &b), ra = cg_reg(fc, &a), dst = cg_dest(fc, type, cg_reuse(&a));
    if (dst == rb && dst != ra) rb = ra; /* symmetric */
    else cg_move(fc, type, dst, ra);
    X64Xmm d = REG_XMM(dst), s = REG_XMM(rb);
    X64Label nan = x64_label_new(fc->as), differ = x64_label_new(fc->as), done = x64_label_new(fc->as);
    float_ucomi(fc, is64, dst, rb);
    x64_jcc_short(fc->as, X64_CC_P, nan);
    x64_jcc_short(fc->as, X64_CC_NE, differ);
    x64_emit_rr(fc->as, FLOAT_PACKED(is_max ? PACKED_AND : PACKED_OR), d, s);
    x64_jmp_short(fc->as, done);
    x64_label_bind(fc->as, nan);
    x64_emit_rr(fc->as, FLOAT_OP(FLOAT_ADD, is64), d, s);
    x64_jmp_short(fc->as, done);
    x64_label_bind(fc->as, differ);
    x64_emit_rr(fc->as, FLOAT_OP(is_max ? FLOAT_MAX : FLOAT_MIN, is64), d, s);
    x64_label_bind(fc->as, done);
    float_finish(fc, is64, dst);
}

static void float_copysign(FuncCompiler *fc, bool is64, Val a, Val b)
{
    uint8_t type = is64 ? WR_KIND_F64 : WR_KIND_F32;
    Reg rb = cg_reg(fc, &b), ra = cg_reg(fc, &a), dst = cg_dest(fc, type, cg_reuse(&a));
    x64_movaps_xx(fc->as, REG_XSCRATCH, REG_XMM(rb));
    x64_andps_xm(fc->as, REG_XSCRATCH, float_mask(fc, is64, true));
    cg_move(fc, type, dst, ra);
    x64_andps_xm(fc->as, REG_XMM(dst), float_mask(fc, is64, false));
    x64_orps_xx(fc->as, REG_XMM(dst), REG_XSCRATCH);
    cg_finish(fc, type, dst);
}

void cg_op_float_binary(FuncCompiler *fc, WasmOp op)
{
    Val b = cg_pop(fc), a = cg_pop(fc);
    bool is64 = op >= WASM_OP_F64_ABS;
    unsigned opcode = float_arith_opcode(op);
    if (opcode) {
        float_arith(fc, is64, opcode, a, b);
        return;
    }
    switch (op) {
    case WASM_OP_F32_MIN: case WASM_OP_F64_MIN: float_minmax(fc, is64, false, a, b); break;
    case WASM_OP_F32_MAX: case WASM_OP_F64_MAX: float_minmax(fc, is64, true, a, b); break;
    default: float_copysign(fc, is64, a, b); break;
    }
}

/* ---- one operand ---------------------------------------------------------------------------------------------------------------------------- */

void cg_op_float_unary(FuncCompiler *fc, WasmOp op)
{
    Val a = cg_pop(fc);
    bool is64 = op >= WASM_OP_F64_ABS;
    uint8_t type = is64 ? WR_KIND_F64 : WR_KIND_F32;
    Reg ra = cg_reg(fc, &a), dst = cg_dest(fc, type, cg_reuse(&a));
    X64Xmm d = REG_XMM(dst), s = REG_XMM(ra);
    uint8_t round;
    switch (op) {
    case WASM_OP_F32_ABS: case WASM_OP_F64_ABS: case WASM_OP_F32_NEG: case WASM_OP_F64_NEG: {
        bool neg = op == WASM_OP_F32_NEG || op == WASM_OP_F64_NEG;
        X64Op packed = FLOAT_PACKED(neg ? PACKED_XOR : PACKED_AND);
        if (fc->mc->avx) {
            x64_vex_rm(fc->as, packed, d, s, float_mask(fc, is64, neg));
        } else {
            cg_move(fc, type, dst, ra);
            x64_emit_rm(fc->as, packed, d, float_mask(fc, is64, neg));
        }
        cg_finish(fc, type, dst); /* bits, not arithmetic: NaNs stay */
        return;
    }
    case WASM_OP_F32_SQRT: case WASM_OP_F64_SQRT:
        if (fc->mc->avx) x64_vex_rr(fc->as, FLOAT_OP(FLOAT_SQRT, is64), d, s, s);
        else x64_emit_rr(fc->as, FLOAT_OP(FLOAT_SQRT, is64), d, s);
        float_finish(fc, is64, dst);
        return;
    case WASM_OP_F32_CEIL: case WASM_OP_F64_CEIL: round = X64_ROUND_CEIL; break;
    case WASM_OP_F32_FLOOR: case WASM_OP_F64_FLOOR: round = X64_ROUND_FLOOR; break;
    case WASM_OP_F32_TRUNC: case WASM_OP_F64_TRUNC: round = X64_ROUND_TRUNC; break;
    default: round = X64_ROUND_NEAREST; break;
    }
    if (fc->mc->avx) is64 ? x64_vroundsd_xxxi(fc->as, d, s, s, round) : x64_vroundss_xxxi(fc->as, d, s, s, round);
    else is64 ? x64_roundsd_xxi(fc->as, d, s, round) : x64_roundss_xxi(fc->as, d, s, round);
    float_finish(fc, is64, dst);
}

void cg_op_float_compare(FuncCompiler *fc, WasmOp op)
{
    Val b = cg_pop(fc), a = cg_pop(fc);
    bool is64 = op >= WASM_OP_F64_EQ;
    Cond cond;
    switch (op) {
    case WASM_OP_F32_EQ: case WASM_OP_F64_EQ: cond = (Cond){X64_CC_E, COND_AND_NP}; break;
    case WASM_OP_F32_NE: case WASM_OP_F64_NE: cond = (Cond){X64_CC_NE, COND_OR_P}; break;
    case WASM_OP_F32_GT: case WASM_OP_F64_GT: cond = cg_cond(X64_CC_A); break;
    case WASM_OP_F32_GE: case WASM_OP_F64_GE: cond = cg_cond(X64_CC_AE); break;
    default: { /* lt, le: above holds for ordered operands only, so they are exchanged */
        Val t = a;
        a = b;
        b = t;
        cond = cg_cond(op == WASM_OP_F32_LT || op == WASM_OP_F64_LT ? X64_CC_A : X64_CC_AE);
        break;
    }
    }
    bool b_const = b.kind == VAL_CONST && b.bits != 0;
    if (b_const || cg_is_mem(fc, &b)) {
        Reg ra = cg_reg(fc, &a);
        float_ucomi_mem(fc, is64, ra, b_const ? float_pool(fc, is64, b.bits, b.bits) : cg_mem(fc, &b));
    } else {
        Reg rb = cg_reg(fc, &b), ra = cg_reg(fc, &a);
        float_ucomi(fc, is64, ra, rb);
    }
    cg_cond_result(fc, cond);
}

/* ---- floats to integers ------------------------------------------------------------------------------------------------------------------------ */

static void convert_cvtt(FuncCompiler *fc, bool from64, bool wide, X64Gpr dst, X64Xmm src)
{
    x64_emit_rr(fc->as, FLOAT_OP(0x2C, from64) | (wide ? (X64Op)X64_OP_W : 0), dst, src);
}

/* The integer of x, given that cvtt gives the least integer for what it cannot convert. */
static void convert_signed(FuncCompiler *fc, bool from64, bool wide, bool saturate, Reg src, X64Gpr d)
{
    X64Label done = x64_label_new(fc->as);
    X64Xmm s = REG_XMM(src);
    convert_cvtt(fc, from64, wide, d, s);
    if (wide) x64_cmpq_ri(fc->as, d, 1);
    else x64_cmpl_ri(fc->as, d, 1);
    x64_jcc(fc->as, X64_CC_NO, done); /* not the least integer */
    float_ucomi(fc, from64, src, src);
    if (!saturate) {
        cg_trap_if(fc, X64_CC_P, TRAP_BAD_CONVERSION_TO_INTEGER);
        /* the least value that truncates in range, or the greatest that does not */
        bool exclusive = !wide && from64;
        float_ucomi_mem(fc, from64, src,
                        wide ? float_pool(fc, from64, 0xdf000000, UINT64_C(0xc3e0000000000000))
                             : float_pool(fc, from64, 0xcf000000, UINT64_C(0xc1e0000000200000)));
        cg_trap_if(fc, exclusive ? X64_CC_BE : X64_CC_B, TRAP_INTEGER_OVERFLOW);
        x64_xorps_xx(fc->as, REG_XSCRATCH, REG_XSCRATCH);
        float_ucomi(fc, from64, src, XMM_REG(REG_XSCRATCH));
        cg_trap_if(fc, X64_CC_AE, TRAP_INTEGER_OVERFLOW);
    } else {
        X64Label ordered = x64_label_new(fc->as);
        x64_jcc_short(fc->as, X64_CC_NP, ordered);
        x64_zero_r(fc->as, d);
        x64_jmp_short(fc->as, done);
        x64_label_bind(fc->as, ordered);
        x64_xorps_xx(fc->as, REG_XSCRATCH, REG_XSCRATCH);
        float_ucomi(fc, from64, src, XMM_REG(REG_XSCRATCH));
        x64_jcc_short(fc->as, X64_CC_BE, done);
        if (wide) x64_movq_ri64(fc->as, d, INT64_MAX);
        else x64_movl_ri(fc->as, d, INT32_MAX);
    }
    x64_label_bind(fc->as, done);
}

static void convert_u32(FuncCompiler *fc, bool from64, bool saturate, Reg src, X64Gpr d)
{
    X64Label done = x64_label_new(fc->as);
    convert_cvtt(fc, from64, true, d, REG_XMM(src));
    x64_movl_rr(fc->as, REG_SCRATCH, d);
    x64_cmpq_rr(fc->as, REG_SCRATCH, d);
    if (!saturate) {
        x64_jcc(fc->as, X64_CC_E, done);
        float_ucomi(fc, from64, src, src);
        cg_trap_if(fc, X64_CC_P, TRAP_BAD_CONVERSION_TO_INTEGER);
        cg_trap(fc, TRAP_INTEGER_OVERFLOW);
    } else {
        x64_jcc_short(fc->as, X64_CC_E, done);
        x64_xorps_xx(fc->as, REG_XSCRATCH, REG_XSCRATCH);
        float_ucomi(fc, from64, src, XMM_REG(REG_XSCRATCH));
        x64_movl_ri(fc->as, d, 0);
        x64_jcc_short(fc->as, X64_CC_BE, done); /* negative or NaN */
        x64_movl_ri(fc->as, d, -1);
    }
    x64_label_bind(fc->as, done);
}

static void convert_u64(FuncCompiler *fc, bool from64, bool saturate, Reg src, X64Gpr d)
{
    X64Label big = x64_label_new(fc->as), done = x64_label_new(fc->as);
    X64Mem limit = float_pool(fc, from64, 0x5f000000, UINT64_C(0x43e0000000000000)); /* 2^63 */
    float_ucomi_mem(fc, from64, src, limit);
    if (!saturate) cg_trap_if(fc, X64_CC_P, TRAP_BAD_CONVERSION_TO_INTEGER);
    x64_jcc(fc->as, X64_CC_AE, big);
    convert_cvtt(fc, from64, true, d, REG_XMM(src));
    x64_testq_rr(fc->as, d, d);
    if (!saturate) {
        cg_trap_if(fc, X64_CC_S, TRAP_INTEGER_OVERFLOW);
    } else {
        x64_jcc_short(fc->as, X64_CC_NS, done);
        x64_zero_r(fc->as, d);
    }
    x64_jmp(fc->as, done);
    x64_label_bind(fc->as, big);
    x64_movaps_xx(fc->as, REG_XSCRATCH, REG_XMM(src));
    x64_emit_rm(fc->as, FLOAT_OP(FLOAT_SUB, from64), REG_XSCRATCH, limit);
    convert_cvtt(fc, from64, true, d, REG_XSCRATCH);
    x64_testq_rr(fc->as, d, d);
    X64Label fits = x64_label_new(fc->as);
    if (!saturate) {
        cg_trap_if(fc, X64_CC_S, TRAP_INTEGER_OVERFLOW);
    } else {
        x64_jcc_short(fc->as, X64_CC_NS, fits);
        x64_movq_ri(fc->as, d, -1);
        x64_jmp_short(fc->as, done);
        x64_label_bind(fc->as, fits);
    }
    x64_movq_ri64(fc->as, REG_SCRATCH, UINT64_C(1) << 63);
    x64_xorq_rr(fc->as, d, REG_SCRATCH);
    x64_label_bind(fc->as, done);
}

static void convert_to_int(FuncCompiler *fc, bool from64, bool wide, bool is_signed, bool saturate)
{
    Val a = cg_pop(fc);
    Reg src = cg_reg(fc, &a), dst = cg_dest(fc, wide ? WR_KIND_I64 : WR_KIND_I32, REG_NONE);
    if (is_signed) convert_signed(fc, from64, wide, saturate, src, REG_GPR(dst));
    else if (wide) convert_u64(fc, from64, saturate, src, REG_GPR(dst));
    else convert_u32(fc, from64, saturate, src, REG_GPR(dst));
    cg_finish(fc, wide ? WR_KIND_I64 : WR_KIND_I32, dst);
}

/* ---- integers to floats ------------------------------------------------------------------------------------------------------------------------- */

static void convert_from_int(FuncCompiler *fc, bool to64, bool from_wide, bool is_signed)
{
    Val a = cg_pop(fc);
    uint8_t type = to64 ? WR_KIND_F64 : WR_KIND_F32;
    Reg ra = is_signed ? cg_reg(fc, &a) : cg_reg_zext(fc, &a);
    Reg dst = cg_dest(fc, type, REG_NONE);
    X64Op op = FLOAT_OP(0x2A, to64) | (from_wide || !is_signed ? (X64Op)X64_OP_W : 0);
    x64_xorps_xx(fc->as, REG_XMM(dst), REG_XMM(dst)); /* cvtsi2s* merges: no wait for the old value */
    if (from_wide && !is_signed) { /* halved with the lost bit kept sticky, converted, doubled */
        X64Label big = x64_label_new(fc->as), done = x64_label_new(fc->as);
        x64_testq_rr(fc->as, REG_GPR(ra), REG_GPR(ra));
        x64_jcc_short(fc->as, X64_CC_S, big);
        x64_emit_rr(fc->as, op, REG_XMM(dst), REG_GPR(ra));
        x64_jmp_short(fc->as, done);
        x64_label_bind(fc->as, big);
        x64_movq_rr(fc->as, REG_SCRATCH, REG_GPR(ra));
        x64_shrq_ri(fc->as, REG_SCRATCH, 1);
        X64Label even = x64_label_new(fc->as);
        x64_jcc_short(fc->as, X64_CC_AE, even);
        x64_orq_ri(fc->as, REG_SCRATCH, 1);
        x64_label_bind(fc->as, even);
        x64_emit_rr(fc->as, op, REG_XMM(dst), REG_SCRATCH);
        x64_emit_rr(fc->as, FLOAT_OP(FLOAT_ADD, to64), REG_XMM(dst), REG_XMM(dst));
        x64_label_bind(fc->as, done);
    } else {
        x64_emit_rr(fc->as, op, REG_XMM(dst), REG_GPR(ra));
    }
    cg_finish(fc, type, dst);
}

static void convert_bits(FuncCompiler *fc, uint8_t to)
{
    Val a = cg_pop(fc);
    if (a.kind == VAL_CONST) {
        cg_push_const(fc, to, a.bits);
        return;
    }
    bool wide = to == WR_KIND_I64 || to == WR_KIND_F64;
    if (cg_is_mem(fc, &a)) {
        Reg dst = cg_dest(fc, to, REG_NONE);
        cg_load(fc, to, dst, cg_mem(fc, &a));
        cg_finish(fc, to, dst);
        return;
    }
    Reg ra = cg_reg(fc, &a), dst = cg_dest(fc, to, REG_NONE);
    if (cg_is_float(to)) wide ? x64_movq_xr(fc->as, REG_XMM(dst), REG_GPR(ra)) : x64_movd_xr(fc->as, REG_XMM(dst), REG_GPR(ra));
    else wide ? x64_movq_rx(fc->as, REG_GPR(dst), REG_XMM(ra)) : x64_movd_rx(fc->as, REG_GPR(dst), REG_XMM(ra));
    cg_finish(fc, to, dst);
}

static void convert_width(FuncCompiler *fc, bool to64)
{
    Val a = cg_pop(fc);
    uint8_t type = to64 ? WR_KIND_F64 : WR_KIND_F32;
    Reg ra = cg_reg(fc, &a), dst = cg_dest(fc, type, cg_reuse(&a));
    X64Op op = FLOAT_OP(0x5A, !to64); /* the prefix names the source */
    if (fc->mc->avx) {
        x64_vex_rr(fc->as, op, REG_XMM(dst), REG_XMM(ra), REG_XMM(ra));
    } else {
        cg_move(fc, type, dst, ra);
        x64_emit_rr(fc->as, op, REG_XMM(dst), REG_XMM(dst));
    }
    float_finish(fc, to64, dst);
}

void cg_op_convert(FuncCompiler *fc, WasmOp op)
{
    switch (op) {
#define TO_INT(to, from, wide, from64)                                                                                                \
    case WASM_OP_##to##_TRUNC_##from##_S: convert_to_int(fc, from64, wide, true, false); break;                                        \
    case WASM_OP_##to##_TRUNC_##from##_U: convert_to_int(fc, from64, wide, false, false); break;                                       \
    case WASM_OP_##to##_TRUNC_SAT_##from##_S: convert_to_int(fc, from64, wide, true, true); break;                                     \
    case WASM_OP_##to##_TRUNC_SAT_##from##_U: convert_to_int(fc, from64, wide, false, true); break;                                    \
    case WASM_OP_##from##_CONVERT_##to##_S: convert_from_int(fc, from64, wide, true); break;                                           \
    case WASM_OP_##from##_CONVERT_##to##_U: convert_from_int(fc, from64, wide, false); break;
        TO_INT(I32, F32, false, false)
        TO_INT(I32, F64, false, true)
        TO_INT(I64, F32, true, false)
        TO_INT(I64, F64, true, true)
#undef TO_INT
    case WASM_OP_F32_DEMOTE_F64: convert_width(fc, false); break;
    case WASM_OP_F64_PROMOTE_F32: convert_width(fc, true); break;
    case WASM_OP_I32_REINTERPRET_F32: convert_bits(fc, WR_KIND_I32); break;
    case WASM_OP_I64_REINTERPRET_F64: convert_bits(fc, WR_KIND_I64); break;
    case WASM_OP_F32_REINTERPRET_I32: convert_bits(fc, WR_KIND_F32); break;
    default: convert_bits(fc, WR_KIND_F64); break;
    }
}
