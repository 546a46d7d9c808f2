/* SIMD on floats: minimum and maximum, conversions, multiply-add. What one instruction does is a row of simd_ops.def. NaNs as in ops_float.c: what the
 * machine makes of them, which is always an arithmetic NaN, unless canonical ones are asked for; min and max make canonical ones, of either sign, in any case. */
#include "compile/simd.h"

/* ---- sign bits ------------------------------------------------------------------------------------------------------------------------ */

void cg_simd_float_sign(FuncCompiler *fc, WasmOp op)
{
    Val a = cg_pop(fc);
    bool is64 = op == WASM_OP_F64X2_ABS || op == WASM_OP_F64X2_NEG, neg = op == WASM_OP_F32X4_NEG || op == WASM_OP_F64X2_NEG;
    uint64_t sign = is64 ? UINT64_C(0x8000000000000000) : UINT64_C(0x8000000080000000);
    X64Xmm x = simd_in(fc, &a), d = simd_out(fc, &a);
    if (neg) simd_xorps_m(fc, d, x, simd_all64(fc, sign));
    else simd_andps_m(fc, d, x, simd_all64(fc, ~sign));
    simd_done(fc, d);
}

/* ---- minimum and maximum -------------------------------------------------------------------------------------------------------------- */

/* minps and maxps return their second operand for NaNs and for zeros of either sign. Both orders agree but there: their or has the -0 that a minimum
 * wants, their and the +0 of a maximum. NaN lanes become ones, less those below the quiet bit. That mask depends on the operands alone, which keeps
 * the way through the instruction short: a minimum is mostly taken of the one before. */
static void float_minmax(FuncCompiler *fc, bool is64, bool is_max)
{
    static const X64Op ops[2][2] = {{SIMD_X64_minps, SIMD_X64_minpd}, {SIMD_X64_maxps, SIMD_X64_maxpd}};
    Val b = cg_pop(fc), a = cg_pop(fc);
    X64Xmm y = simd_in(fc, &b), x = simd_in(fc, &a), t = simd_temp(fc);
    cg_simd_bin(fc, ops[is_max][is64], t, x, y);
    cg_simd_bin(fc, ops[is_max][is64], TMP, y, x);
    if (is_max) simd_andps(fc, t, t, TMP);
    else simd_orps(fc, t, t, TMP);
    cg_simd_bin_i(fc, is64 ? SIMD_X64_cmppd : SIMD_X64_cmpps, TMP, x, y, X64_CMP_UNORD);
    simd_orps(fc, t, t, TMP);
    if (is64) simd_psrlq_i(fc, TMP, TMP, 13);
    else simd_psrld_i(fc, TMP, TMP, 10);
    X64Xmm d = simd_out(fc, &a);
    simd_andnps(fc, d, TMP, t);
    cg_simd_float_done(fc, is64, d); /* the sign of a NaN, too */
}

void cg_simd_float_min(FuncCompiler *fc, WasmOp op) { float_minmax(fc, op == WASM_OP_F64X2_MIN, false); }
void cg_simd_float_max(FuncCompiler *fc, WasmOp op) { float_minmax(fc, op == WASM_OP_F64X2_MAX, true); }

/* ---- floats to integers ------------------------------------------------------------------------------------------------------------------ */

/* cvttps2dq gives 0x80000000 for what it cannot convert. */
void cg_simd_trunc_f32(FuncCompiler *fc, WasmOp op)
{
    Val a = cg_pop(fc);
    X64Xmm x = simd_in(fc, &a), t = simd_temp(fc);
    X64Mem two31 = simd_all32(fc, 0x4f000000);
    if (op == WASM_OP_I32X4_TRUNC_SAT_F32X4_S) {
        simd_cmpps(fc, TMP, x, x, X64_CMP_EQ);
        simd_andps(fc, TMP, TMP, x); /* NaNs are zeros */
        simd_cmpps_m(fc, t, TMP, two31, X64_CMP_NLT);
        X64Xmm d = simd_out(fc, &a);
        simd_cvttps2dq(fc, d, TMP);
        simd_pxor(fc, d, d, t); /* too large: the greatest instead of the least */
        simd_done(fc, d);
        return;
    }
    /* unsigned: what is below 2^31, and what is above it on its own; 0x80000000 of the first part is the 2^31 that the second lacks */
    X64Xmm u = simd_temp(fc), zero = simd_temp(fc);
    simd_zero(fc, zero);
    simd_maxps(fc, t, x, zero); /* NaNs, too, are zeros */
    simd_subps_m(fc, u, t, two31);
    simd_cmpps_m(fc, TMP, u, two31, X64_CMP_NLT);
    simd_cvttps2dq(fc, u, u);
    simd_pxor(fc, u, u, TMP);
    simd_pmaxsd(fc, u, u, zero);
    X64Xmm d = simd_out(fc, &a);
    simd_cvttps2dq(fc, d, t);
    simd_paddd(fc, d, d, u);
    simd_done(fc, d);
}

void cg_simd_trunc_f64(FuncCompiler *fc, WasmOp op)
{
    Val a = cg_pop(fc);
    X64Xmm x = simd_in(fc, &a);
    if (op == WASM_OP_I32X4_TRUNC_SAT_F64X2_S_ZERO) {
        simd_cmppd(fc, TMP, x, x, X64_CMP_EQ);
        simd_andpd_m(fc, TMP, TMP, simd_all64(fc, UINT64_C(0x41dfffffffc00000))); /* 2^31 - 1, or 0 for a NaN, which minpd then takes */
        X64Xmm d = simd_out(fc, &a);
        simd_minpd(fc, d, x, TMP);
        simd_cvttpd2dq(fc, d, d);
        simd_done(fc, d);
        return;
    }
    X64Xmm t = simd_temp(fc);
    simd_zero(fc, TMP);
    simd_maxpd(fc, t, x, TMP);
    simd_minpd_m(fc, t, t, simd_all64(fc, UINT64_C(0x41efffffffe00000))); /* 2^32 - 1 */
    simd_roundpd(fc, t, t, X64_ROUND_TRUNC);
    simd_addpd_m(fc, t, t, simd_all64(fc, UINT64_C(0x4330000000000000))); /* 2^52: the integer is the low half of the bits */
    X64Xmm d = simd_out(fc, &a);
    simd_shufps(fc, d, t, TMP, 0x88);
    simd_done(fc, d);
}

/* ---- unsigned integers to floats ------------------------------------------------------------------------------------------------------------- */

void cg_simd_convert_u(FuncCompiler *fc, WasmOp op)
{
    Val a = cg_pop(fc);
    X64Xmm x = simd_in(fc, &a), d;
    if (op == WASM_OP_F64X2_CONVERT_LOW_I32X4_U) { /* the low half of the bits of 2^52 + n */
        d = simd_out(fc, &a);
        simd_unpcklps_m(fc, d, x, simd_all32(fc, 0x43300000));
        simd_subpd_m(fc, d, d, simd_all64(fc, UINT64_C(0x4330000000000000)));
        simd_done(fc, d);
        return;
    }
    /* both halves of 16 bits are exact, the upper one as twice its half; their sum is rounded once */
    X64Xmm t = simd_temp(fc);
    simd_pand_m(fc, TMP, x, simd_all32(fc, 0xffff));
    simd_psubd(fc, t, x, TMP);
    simd_cvtdq2ps(fc, TMP, TMP);
    simd_psrld_i(fc, t, t, 1);
    simd_cvtdq2ps(fc, t, t);
    simd_addps(fc, t, t, t);
    d = simd_out(fc, &a);
    simd_addps(fc, d, t, TMP);
    simd_done(fc, d);
}

/* ---- relaxed multiply-add ------------------------------------------------------------------------------------------------------------------------ */

/* a * b + c, or c - a * b: fused where the machine can and the result need not be the same everywhere. */
void cg_simd_madd(FuncCompiler *fc, WasmOp op)
{
    Val c = cg_pop(fc), b = cg_pop(fc), a = cg_pop(fc);
    bool is64 = op == WASM_OP_F64X2_RELAXED_MADD || op == WASM_OP_F64X2_RELAXED_NMADD;
    bool negate = op == WASM_OP_F32X4_RELAXED_NMADD || op == WASM_OP_F64X2_RELAXED_NMADD;
    X64Xmm z = simd_in(fc, &c), y = simd_in(fc, &b), x = simd_in(fc, &a);
    if (!fc->mc->fma || fc->mc->tunables.relaxed_simd_deterministic) {
        cg_simd_bin(fc, is64 ? SIMD_X64_mulpd : SIMD_X64_mulps, TMP, x, y);
        X64Xmm d = simd_out(fc, &c);
        X64Op add = is64 ? SIMD_X64_addpd : SIMD_X64_addps, sub = is64 ? SIMD_X64_subpd : SIMD_X64_subps;
        cg_simd_bin(fc, negate ? sub : add, d, z, TMP);
        cg_simd_float_done(fc, is64, d);
        return;
    }
    X64Xmm d = simd_out(fc, c.kind == VAL_REG ? &c : a.kind == VAL_REG ? &a : &b);
    Asm *as = fc->as;
    X64Op w = is64 ? (X64Op)X64_OP_W : 0;
    unsigned form_231 = negate ? 0xBC : 0xB8, form_213 = negate ? 0xAC : 0xA8;
    if (d == x || d == y) { /* a = a * b + c */
        x64_vex_rr(as, X64_OP(0x66, 0x38, 0, 0) | form_213 | w, d, d == x ? y : x, z);
    } else { /* c = a * b + c */
        simd_copy(fc, d, z);
        x64_vex_rr(as, X64_OP(0x66, 0x38, 0, 0) | form_231 | w, d, x, y);
    }
    cg_simd_float_done(fc, is64, d);
}
