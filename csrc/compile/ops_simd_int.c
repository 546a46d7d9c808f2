/* SIMD on integers: what is more than one instruction. SSE has no shifts of bytes, no arithmetic shift, product or absolute value of 64-bit lanes, and
 * widening products only for some widths; each is a short sequence of what there is (simd.h says how they are written). */
#include "compile/simd.h"

/* ---- shifts -------------------------------------------------------------------------------------------------------------------------- */

/* count modulo `bits`, plus `more`, into xmm dst, by way of r11 */
static void shift_count(FuncCompiler *fc, Val *count, unsigned bits, int32_t more, X64Xmm dst)
{
    X64Gpr r = REG_GPR(cg_reg(fc, count));
    x64_movl_rr(fc->as, REG_SCRATCH, r);
    x64_andl_ri(fc->as, REG_SCRATCH, (int32_t)bits - 1);
    if (more) x64_addl_ri(fc->as, REG_SCRATCH, more);
    cg_simd_from_gpr(fc, false, dst, REG_SCRATCH);
}

void cg_simd_shift(FuncCompiler *fc, X64Op op, X64Op op_imm, unsigned ext, unsigned bits)
{
    Val count = cg_pop(fc), a = cg_pop(fc);
    X64Xmm x = simd_in(fc, &a);
    if (count.kind == VAL_CONST) {
        X64Xmm d = simd_out(fc, &a);
        cg_simd_shift_i(fc, op_imm, ext, d, x, (uint8_t)(count.bits & (bits - 1)));
        simd_done(fc, d);
        return;
    }
    shift_count(fc, &count, bits, 0, TMP);
    X64Xmm d = simd_out(fc, &a);
    cg_simd_bin(fc, op, d, x, TMP);
    simd_done(fc, d);
}

/* Signed: each byte as the upper half of a 16-bit lane, shifted by 8 more, and narrowed again, which does not saturate. */
static void shift8_signed(FuncCompiler *fc, Val a, Val count)
{
    X64Xmm x = simd_in(fc, &a), t = simd_temp(fc), u = simd_temp(fc);
    simd_punpcklbw(fc, t, x, x);
    simd_punpckhbw(fc, u, x, x);
    if (count.kind == VAL_CONST) {
        uint8_t by = (uint8_t)((count.bits & 7) + 8);
        simd_psraw_i(fc, t, t, by);
        simd_psraw_i(fc, u, u, by);
    } else {
        shift_count(fc, &count, 8, 8, TMP);
        simd_psraw(fc, t, t, TMP);
        simd_psraw(fc, u, u, TMP);
    }
    X64Xmm d = simd_out(fc, NULL);
    simd_packsswb(fc, d, t, u);
    simd_done(fc, d);
}

/* Unsigned: 16-bit lanes are shifted, without the bits that would cross into the neighbour. */
void cg_simd_shift8(FuncCompiler *fc, WasmOp op)
{
    Val count = cg_pop(fc), a = cg_pop(fc);
    bool left = op == WASM_OP_I8X16_SHL;
    if (op == WASM_OP_I8X16_SHR_S) {
        shift8_signed(fc, a, count);
        return;
    }
    X64Xmm x = simd_in(fc, &a);
    if (count.kind == VAL_CONST) {
        uint8_t by = count.bits & 7;
        X64Xmm d = simd_out(fc, &a);
        if (left) simd_psllw_i(fc, d, x, by);
        else simd_psrlw_i(fc, d, x, by);
        simd_pand_m(fc, d, d, simd_all8(fc, (uint8_t)(left ? 0xff << by : 0xff >> by)));
        simd_done(fc, d);
        return;
    }
    X64Xmm t = simd_temp(fc); /* the 8 - count low bits of each byte */
    shift_count(fc, &count, 8, 8, TMP);
    simd_pcmpeqd(fc, t, t, t);
    simd_psrlw(fc, t, t, TMP);
    simd_packuswb(fc, t, t, t);
    shift_count(fc, &count, 8, 0, TMP);
    if (left) {
        simd_pand(fc, t, t, x);
        X64Xmm d = simd_out(fc, &a);
        simd_psllw(fc, d, t, TMP);
        simd_done(fc, d);
    } else {
        X64Xmm d = simd_out(fc, &a);
        simd_psrlw(fc, d, x, TMP);
        simd_pand(fc, d, d, t);
        simd_done(fc, d);
    }
}

/* The unsigned shift; its copy of the sign bit spreads upwards by xor and subtraction. */
void cg_simd_sar64(FuncCompiler *fc, WasmOp op)
{
    (void)op;
    Val count = cg_pop(fc), a = cg_pop(fc);
    X64Xmm x = simd_in(fc, &a);
    if (count.kind == VAL_CONST) {
        uint8_t by = count.bits & 63;
        X64Xmm d = simd_out(fc, &a);
        X64Mem sign = simd_all64(fc, UINT64_C(1) << 63 >> by);
        simd_psrlq_i(fc, d, x, by);
        simd_pxor_m(fc, d, d, sign);
        simd_psubq_m(fc, d, d, sign);
        simd_done(fc, d);
        return;
    }
    X64Xmm t = simd_temp(fc);
    shift_count(fc, &count, 64, 0, TMP);
    cg_load(fc, WR_KIND_V128, XMM_REG(t), simd_all64(fc, UINT64_C(1) << 63));
    simd_psrlq(fc, t, t, TMP);
    X64Xmm d = simd_out(fc, &a);
    simd_psrlq(fc, d, x, TMP);
    simd_pxor(fc, d, d, t);
    simd_psubq(fc, d, d, t);
    simd_done(fc, d);
}

/* ---- one operand ------------------------------------------------------------------------------------------------------------------------ */

/* Both halves of each byte look up their number of ones. */
void cg_simd_popcnt(FuncCompiler *fc, WasmOp op)
{
    (void)op;
    static const uint8_t ones[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};
    Val a = cg_pop(fc);
    X64Xmm x = simd_in(fc, &a), t = simd_temp(fc), u = simd_temp(fc);
    X64Mem low = simd_all8(fc, 0x0f), table = simd_bytes(fc, ones);
    simd_psrlw_i(fc, TMP, x, 4);
    simd_pand_m(fc, TMP, TMP, low);
    simd_pand_m(fc, t, x, low);
    cg_load(fc, WR_KIND_V128, XMM_REG(u), table);
    X64Xmm d = simd_out(fc, &a);
    simd_pshufb(fc, d, u, TMP);
    simd_pshufb(fc, u, u, t);
    simd_paddb(fc, d, d, u);
    simd_done(fc, d);
}

void cg_simd_abs64(FuncCompiler *fc, WasmOp op)
{
    (void)op;
    Val a = cg_pop(fc);
    X64Xmm x = simd_in(fc, &a);
    simd_zero(fc, TMP);
    simd_pcmpgtq(fc, TMP, TMP, x);
    X64Xmm d = simd_out(fc, &a);
    simd_pxor(fc, d, x, TMP);
    simd_psubq(fc, d, d, TMP);
    simd_done(fc, d);
}

/* Sums of neighbours are products with ones. pmaddubsw takes its first operand as unsigned; pmaddwd knows signed ones only: unsigned lanes are
 * moved down by 2^15 first and their sums up again. */
void cg_simd_extadd(FuncCompiler *fc, WasmOp op)
{
    Val a = cg_pop(fc);
    X64Xmm x = simd_in(fc, &a);
    X64Xmm d;
    switch (op) {
    case WASM_OP_I16X8_EXTADD_PAIRWISE_I8X16_S: {
        d = simd_out(fc, NULL);
        X64Xmm ones = d == x ? TMP : d; /* x may be the local that is set */
        cg_load(fc, WR_KIND_V128, XMM_REG(ones), simd_all8(fc, 1));
        simd_pmaddubsw(fc, ones, ones, x);
        simd_copy(fc, d, ones);
        break;
    }
    case WASM_OP_I16X8_EXTADD_PAIRWISE_I8X16_U:
        d = simd_out(fc, &a);
        simd_pmaddubsw_m(fc, d, x, simd_all8(fc, 1));
        break;
    case WASM_OP_I32X4_EXTADD_PAIRWISE_I16X8_S:
        d = simd_out(fc, &a);
        simd_pmaddwd_m(fc, d, x, simd_all16(fc, 1));
        break;
    default:
        d = simd_out(fc, &a);
        simd_pxor_m(fc, d, x, simd_all16(fc, 0x8000));
        simd_pmaddwd_m(fc, d, d, simd_all16(fc, 1));
        simd_paddd_m(fc, d, d, simd_all32(fc, 0x10000));
        break;
    }
    simd_done(fc, d);
}

/* ---- products ------------------------------------------------------------------------------------------------------------------------------ */

/* pmulhrsw is right but for -1 times -1, where it gives 0x8000. */
void cg_simd_q15mulr(FuncCompiler *fc, WasmOp op)
{
    (void)op;
    Val b = cg_pop(fc), a = cg_pop(fc);
    X64Xmm y = simd_in(fc, &b), x = simd_in(fc, &a), d = simd_out(fc, &a);
    simd_pmulhrsw(fc, d, x, y);
    simd_pcmpeqw_m(fc, TMP, d, simd_all16(fc, 0x8000));
    simd_pxor(fc, d, d, TMP);
    simd_done(fc, d);
}

/* Modulo 2^64: low times low, and both cross products shifted up. */
void cg_simd_mul64(FuncCompiler *fc, WasmOp op)
{
    (void)op;
    Val b = cg_pop(fc), a = cg_pop(fc);
    X64Xmm y = simd_in(fc, &b), x = simd_in(fc, &a), t = simd_temp(fc);
    simd_psrlq_i(fc, TMP, x, 32);
    simd_pmuludq(fc, TMP, TMP, y);
    simd_psrlq_i(fc, t, y, 32);
    simd_pmuludq(fc, t, t, x);
    simd_paddq(fc, TMP, TMP, t);
    simd_psllq_i(fc, TMP, TMP, 32);
    X64Xmm d = simd_out(fc, &a);
    simd_pmuludq(fc, d, x, y);
    simd_paddq(fc, d, d, TMP);
    simd_done(fc, d);
}

void cg_simd_extmul8(FuncCompiler *fc, WasmOp op)
{
    Val b = cg_pop(fc), a = cg_pop(fc);
    bool high = op == WASM_OP_I16X8_EXTMUL_HIGH_I8X16_S || op == WASM_OP_I16X8_EXTMUL_HIGH_I8X16_U;
    X64Op extend = op == WASM_OP_I16X8_EXTMUL_LOW_I8X16_S || op == WASM_OP_I16X8_EXTMUL_HIGH_I8X16_S ? SIMD_X64_pmovsxbw : SIMD_X64_pmovzxbw;
    X64Xmm y = simd_in(fc, &b), x = simd_in(fc, &a), t = simd_temp(fc);
    if (high) {
        simd_pshufd(fc, t, x, 0xee);
        simd_pshufd(fc, TMP, y, 0xee);
    }
    cg_simd_un(fc, extend, t, high ? t : x);
    cg_simd_un(fc, extend, TMP, high ? TMP : y);
    X64Xmm d = simd_out(fc, &a);
    simd_pmullw(fc, d, t, TMP);
    simd_done(fc, d);
}

/* Lower and upper halves of the products, interleaved. */
void cg_simd_extmul16(FuncCompiler *fc, WasmOp op)
{
    Val b = cg_pop(fc), a = cg_pop(fc);
    bool high = op == WASM_OP_I32X4_EXTMUL_HIGH_I16X8_S || op == WASM_OP_I32X4_EXTMUL_HIGH_I16X8_U;
    bool is_signed = op == WASM_OP_I32X4_EXTMUL_LOW_I16X8_S || op == WASM_OP_I32X4_EXTMUL_HIGH_I16X8_S;
    X64Xmm y = simd_in(fc, &b), x = simd_in(fc, &a), t = simd_temp(fc);
    simd_pmullw(fc, t, x, y);
    if (is_signed) simd_pmulhw(fc, TMP, x, y);
    else simd_pmulhuw(fc, TMP, x, y);
    X64Xmm d = simd_out(fc, &a);
    if (high) simd_punpckhwd(fc, d, t, TMP);
    else simd_punpcklwd(fc, d, t, TMP);
    simd_done(fc, d);
}

void cg_simd_extmul32(FuncCompiler *fc, WasmOp op)
{
    Val b = cg_pop(fc), a = cg_pop(fc);
    bool high = op == WASM_OP_I64X2_EXTMUL_HIGH_I32X4_S || op == WASM_OP_I64X2_EXTMUL_HIGH_I32X4_U;
    bool is_signed = op == WASM_OP_I64X2_EXTMUL_LOW_I32X4_S || op == WASM_OP_I64X2_EXTMUL_HIGH_I32X4_S;
    uint8_t spread = high ? 0xfa : 0x50; /* to lanes 0 and 2 */
    X64Xmm y = simd_in(fc, &b), x = simd_in(fc, &a);
    simd_pshufd(fc, TMP, y, spread);
    X64Xmm d = simd_out(fc, &a);
    simd_pshufd(fc, d, x, spread);
    if (is_signed) simd_pmuldq(fc, d, d, TMP);
    else simd_pmuludq(fc, d, d, TMP);
    simd_done(fc, d);
}

/* Relaxed: pmaddubsw, for which b's bytes are unsigned (where they have 7 bits, that is the same) and sums of two products saturate.
 * Deterministic: b is signed; sums still saturate to 16 bits. */
void cg_simd_dot(FuncCompiler *fc, WasmOp op)
{
    bool add = op == WASM_OP_I32X4_RELAXED_DOT_I8X16_I7X16_ADD_S;
    Val c = {0};
    if (add) c = cg_pop(fc);
    Val b = cg_pop(fc), a = cg_pop(fc);
    X64Xmm z = add ? simd_in(fc, &c) : XMM0, y = simd_in(fc, &b), x = simd_in(fc, &a), t = simd_temp(fc);
    if (fc->mc->tunables.relaxed_simd_deterministic) {
        X64Xmm u = simd_temp(fc);
        simd_pmovsxbw(fc, t, x);
        simd_pmovsxbw(fc, TMP, y);
        simd_pmaddwd(fc, t, t, TMP);
        simd_pshufd(fc, u, x, 0xee);
        simd_pmovsxbw(fc, u, u);
        simd_pshufd(fc, TMP, y, 0xee);
        simd_pmovsxbw(fc, TMP, TMP);
        simd_pmaddwd(fc, u, u, TMP);
        simd_packssdw(fc, t, t, u);
    } else {
        simd_pmaddubsw(fc, t, y, x);
    }
    X64Xmm d = simd_out(fc, &a);
    if (add) {
        simd_pmaddwd_m(fc, t, t, simd_all16(fc, 1));
        simd_paddd(fc, d, z, t);
    } else {
        simd_copy(fc, d, t);
    }
    simd_done(fc, d);
}
