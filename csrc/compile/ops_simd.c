/* SIMD: from the rows of simd_ops.def to code. One row an instruction; rows that share a shape share a function here, the rest names its own in
 * ops_simd_lanes.c (memory and lanes), ops_simd_int.c and ops_simd_float.c. simd.h says how sequences are written.
 *
 * The baseline is SSE4.2. AVX saves the copies and lets any memory be an operand, AVX2 broadcasts, FMA fuses relaxed_madd. Relaxed instructions do what
 * the machine does in one or two instructions, which is the same on every run of an artifact; with relaxed_simd_deterministic they do what the
 * specification's deterministic profile says on every machine. */
#include "compile/simd.h"

/* ---- one instruction ------------------------------------------------------------------------------------------------------------- */

bool cg_simd_commutes(X64Op op)
{
    switch (op) {
    case SIMD_X64_paddb: case SIMD_X64_paddw: case SIMD_X64_paddd: case SIMD_X64_paddq: case SIMD_X64_paddsb: case SIMD_X64_paddsw:
    case SIMD_X64_paddusb: case SIMD_X64_paddusw: case SIMD_X64_pmullw: case SIMD_X64_pmulhw: case SIMD_X64_pmulhuw: case SIMD_X64_pmuludq:
    case SIMD_X64_pmuldq: case SIMD_X64_pmulld: case SIMD_X64_pmulhrsw: case SIMD_X64_pmaddwd: case SIMD_X64_pavgb: case SIMD_X64_pavgw:
    case SIMD_X64_pminub: case SIMD_X64_pminuw: case SIMD_X64_pminud: case SIMD_X64_pminsb: case SIMD_X64_pminsw: case SIMD_X64_pminsd:
    case SIMD_X64_pmaxub: case SIMD_X64_pmaxuw: case SIMD_X64_pmaxud: case SIMD_X64_pmaxsb: case SIMD_X64_pmaxsw: case SIMD_X64_pmaxsd:
    case SIMD_X64_pcmpeqb: case SIMD_X64_pcmpeqw: case SIMD_X64_pcmpeqd: case SIMD_X64_pcmpeqq: case SIMD_X64_pand: case SIMD_X64_por:
    case SIMD_X64_pxor: case SIMD_X64_andps: case SIMD_X64_orps: case SIMD_X64_xorps: case SIMD_X64_andpd: case SIMD_X64_orpd:
    case SIMD_X64_xorpd: case SIMD_X64_addps: case SIMD_X64_addpd: case SIMD_X64_mulps: case SIMD_X64_mulpd: return true;
    default: return false;
    }
}

/* For the SSE form: a is in dst, and b is not lost by that; returns where b is. */
static X64Xmm simd_place(FuncCompiler *fc, X64Xmm dst, X64Xmm a, X64Xmm b)
{
    if (dst == b && dst != a) {
        assert(a != TMP && dst != TMP);
        x64_movaps_xx(fc->as, TMP, b);
        b = TMP;
    }
    simd_copy(fc, dst, a);
    return b;
}

void cg_simd_bin(FuncCompiler *fc, X64Op op, X64Xmm dst, X64Xmm a, X64Xmm b)
{
    if (fc->mc->avx) {
        x64_vex_rr(fc->as, op, dst, a, b);
    } else if (dst == b && cg_simd_commutes(op)) {
        x64_emit_rr(fc->as, op, dst, a);
    } else {
        b = simd_place(fc, dst, a, b);
        x64_emit_rr(fc->as, op, dst, b);
    }
}

void cg_simd_bin_m(FuncCompiler *fc, X64Op op, X64Xmm dst, X64Xmm a, X64Mem b)
{
    if (fc->mc->avx) {
        x64_vex_rm(fc->as, op, dst, a, b);
    } else {
        simd_copy(fc, dst, a);
        x64_emit_rm(fc->as, op, dst, b);
    }
}

void cg_simd_bin_i(FuncCompiler *fc, X64Op op, X64Xmm dst, X64Xmm a, X64Xmm b, uint8_t imm)
{
    if (fc->mc->avx) {
        x64_vex_rr_imm(fc->as, op, dst, a, b, imm, 1);
    } else {
        b = simd_place(fc, dst, a, b);
        x64_emit_rr_imm(fc->as, op, dst, b, imm, 1);
    }
}

void cg_simd_bin_mi(FuncCompiler *fc, X64Op op, X64Xmm dst, X64Xmm a, X64Mem b, uint8_t imm)
{
    if (fc->mc->avx) {
        x64_vex_rm_imm(fc->as, op, dst, a, b, imm, 1);
    } else {
        simd_copy(fc, dst, a);
        x64_emit_rm_imm(fc->as, op, dst, b, imm, 1);
    }
}

void cg_simd_un(FuncCompiler *fc, X64Op op, X64Xmm dst, X64Xmm src)
{
    if (fc->mc->avx) x64_vex_rr(fc->as, op, dst, 0, src);
    else x64_emit_rr(fc->as, op, dst, src);
}

void cg_simd_un_m(FuncCompiler *fc, X64Op op, X64Xmm dst, X64Mem src)
{
    if (fc->mc->avx) x64_vex_rm(fc->as, op, dst, 0, src);
    else x64_emit_rm(fc->as, op, dst, src);
}

void cg_simd_un_i(FuncCompiler *fc, X64Op op, X64Xmm dst, X64Xmm src, uint8_t imm)
{
    if (fc->mc->avx) x64_vex_rr_imm(fc->as, op, dst, 0, src, imm, 1);
    else x64_emit_rr_imm(fc->as, op, dst, src, imm, 1);
}

void cg_simd_shift_i(FuncCompiler *fc, X64Op op, unsigned ext, X64Xmm dst, X64Xmm a, uint8_t count)
{
    if (fc->mc->avx) {
        x64_vex_rr_imm(fc->as, op, ext, dst, a, count, 1);
    } else {
        simd_copy(fc, dst, a);
        x64_emit_rr_imm(fc->as, op, ext, dst, count, 1);
    }
}

void cg_simd_from_gpr(FuncCompiler *fc, bool wide, X64Xmm dst, X64Gpr src)
{
    if (fc->mc->avx) wide ? x64_vmovq_xr(fc->as, dst, src) : x64_vmovd_xr(fc->as, dst, src);
    else wide ? x64_movq_xr(fc->as, dst, src) : x64_movd_xr(fc->as, dst, src);
}

void cg_simd_float_done(FuncCompiler *fc, bool is64, X64Xmm dst)
{
    if (fc->mc->tunables.nan_canonicalization) { /* ones in the NaN lanes, then what the canonical NaN has not is flipped */
        if (is64) simd_cmppd(fc, TMP, dst, dst, X64_CMP_UNORD);
        else simd_cmpps(fc, TMP, dst, dst, X64_CMP_UNORD);
        simd_orps(fc, dst, dst, TMP);
        simd_andps_m(fc, TMP, TMP, is64 ? simd_all64(fc, ~UINT64_C(0x7ff8000000000000)) : simd_all32(fc, ~UINT32_C(0x7fc00000)));
        simd_xorps(fc, dst, dst, TMP);
    }
    simd_done(fc, dst);
}

/* ---- shapes ------------------------------------------------------------------------------------------------------------------------ */

bool cg_simd_in_memory(FuncCompiler *fc, const Val *v, X64Mem *out_mem)
{
    if (v->kind == VAL_CONST) {
        if (v->bits == 0) return false;
        *out_mem = cg_v128_pool(fc, v->bits);
        return true;
    }
    if (!cg_is_mem(fc, v)) return false;
    *out_mem = cg_mem(fc, v);
    return true;
}

/* dst = a op b, where the operation does not mind: the one in memory second, the one that dies first. */
static void simd_order(FuncCompiler *fc, Val *a, Val *b)
{
    bool a_mem = a->kind == VAL_CONST || cg_is_mem(fc, a), b_mem = b->kind == VAL_CONST || cg_is_mem(fc, b);
    if (b_mem || !(a_mem || (b->kind == VAL_REG && a->kind != VAL_REG))) return;
    Val t = *a;
    *a = *b;
    *b = t;
}

/* Emits dst = a op b and returns dst; `imm` < 0: none. */
static X64Xmm simd_binary(FuncCompiler *fc, X64Op op, Val a, Val b, int imm)
{
    X64Mem mem;
    if (imm < 0 && cg_simd_commutes(op)) simd_order(fc, &a, &b);
    if (cg_simd_in_memory(fc, &b, &mem)) {
        X64Xmm x = simd_in(fc, &a), d = simd_out(fc, &a);
        if (imm < 0) cg_simd_bin_m(fc, op, d, x, mem);
        else cg_simd_bin_mi(fc, op, d, x, mem, (uint8_t)imm);
        return d;
    }
    X64Xmm y = simd_in(fc, &b), x = simd_in(fc, &a), d = simd_out(fc, a.kind == VAL_REG ? &a : &b);
    if (imm < 0) cg_simd_bin(fc, op, d, x, y);
    else cg_simd_bin_i(fc, op, d, x, y, (uint8_t)imm);
    return d;
}

static X64Xmm simd_unary(FuncCompiler *fc, X64Op op, Val a)
{
    X64Mem mem;
    if (cg_simd_in_memory(fc, &a, &mem)) {
        X64Xmm d = simd_out(fc, NULL);
        cg_simd_un_m(fc, op, d, mem);
        return d;
    }
    X64Xmm x = simd_in(fc, &a), d = simd_out(fc, &a);
    cg_simd_un(fc, op, d, x);
    return d;
}

static void simd_complement(FuncCompiler *fc, X64Xmm dst, X64Xmm src) { simd_pxor_m(fc, dst, src, simd_all64(fc, UINT64_MAX)); }

/* ---- the rows ------------------------------------------------------------------------------------------------------------------------ */

typedef enum SimdKind {
    SIMD_KIND_NONE, SIMD_KIND_BIN, SIMD_KIND_BIN_R, SIMD_KIND_FBIN, SIMD_KIND_UN, SIMD_KIND_FUN, SIMD_KIND_ROUND, SIMD_KIND_CMP, SIMD_KIND_CMP_R,
    SIMD_KIND_NOT, SIMD_KIND_NOT_R, SIMD_KIND_SAME, SIMD_KIND_OTHER, SIMD_KIND_HIGH, SIMD_KIND_SHIFT, SIMD_KIND_NEG, SIMD_KIND_ALL, SIMD_KIND_LOAD,
    SIMD_KIND_CASE
} SimdKind;

typedef struct SimdRow {
    uint8_t kind; /* SimdKind */
    uint8_t imm;  /* predicate, rounding mode, lane bits */
    uint8_t ext;  /* SHIFT: ModRM extension of the immediate form */
    X64Op op, op2;
    void (*function)(FuncCompiler *, WasmOp);
} SimdRow;

enum { SIMD_FIRST = WASM_OP_V128_LOAD, SIMD_LAST = WASM_OP_I32X4_RELAXED_DOT_I8X16_I7X16_ADD_S, SIMD_COUNT = SIMD_LAST - SIMD_FIRST + 1 };

#define SIMD_ROW(name, ...) [WASM_OP_##name - SIMD_FIRST] = {__VA_ARGS__},
#define SIMD_RELAXED(name, other)
static const SimdRow simd_rows[SIMD_COUNT] = {
#define SIMD_BIN(name, x64) SIMD_ROW(name, .kind = SIMD_KIND_BIN, .op = SIMD_X64_##x64)
#define SIMD_BIN_R(name, x64) SIMD_ROW(name, .kind = SIMD_KIND_BIN_R, .op = SIMD_X64_##x64)
#define SIMD_FBIN(name, x64) SIMD_ROW(name, .kind = SIMD_KIND_FBIN, .op = SIMD_X64_##x64)
#define SIMD_UN(name, x64) SIMD_ROW(name, .kind = SIMD_KIND_UN, .op = SIMD_X64_##x64)
#define SIMD_FUN(name, x64) SIMD_ROW(name, .kind = SIMD_KIND_FUN, .op = SIMD_X64_##x64)
#define SIMD_ROUND(name, x64, mode) SIMD_ROW(name, .kind = SIMD_KIND_ROUND, .op = SIMD_X64_##x64, .imm = mode)
#define SIMD_CMP(name, x64, predicate) SIMD_ROW(name, .kind = SIMD_KIND_CMP, .op = SIMD_X64_##x64, .imm = predicate)
#define SIMD_CMP_R(name, x64, predicate) SIMD_ROW(name, .kind = SIMD_KIND_CMP_R, .op = SIMD_X64_##x64, .imm = predicate)
#define SIMD_NOT(name, x64) SIMD_ROW(name, .kind = SIMD_KIND_NOT, .op = SIMD_X64_##x64)
#define SIMD_NOT_R(name, x64) SIMD_ROW(name, .kind = SIMD_KIND_NOT_R, .op = SIMD_X64_##x64)
#define SIMD_SAME(name, pick, equal) SIMD_ROW(name, .kind = SIMD_KIND_SAME, .op = SIMD_X64_##pick, .op2 = SIMD_X64_##equal)
#define SIMD_OTHER(name, pick, equal) SIMD_ROW(name, .kind = SIMD_KIND_OTHER, .op = SIMD_X64_##pick, .op2 = SIMD_X64_##equal)
#define SIMD_HIGH(name, x64) SIMD_ROW(name, .kind = SIMD_KIND_HIGH, .op = SIMD_X64_##x64)
#define SIMD_SHIFT(name, x64, bits)                                                                                                    \
    SIMD_ROW(name, .kind = SIMD_KIND_SHIFT, .op = SIMD_X64_##x64, .op2 = SIMD_X64_SHIFT_##x64, .ext = SIMD_X64_EXT_##x64, .imm = bits)
#define SIMD_NEG(name, x64) SIMD_ROW(name, .kind = SIMD_KIND_NEG, .op = SIMD_X64_##x64)
#define SIMD_ALL(name, x64) SIMD_ROW(name, .kind = SIMD_KIND_ALL, .op = SIMD_X64_##x64)
#define SIMD_LOAD(name, x64) SIMD_ROW(name, .kind = SIMD_KIND_LOAD, .op = SIMD_X64_##x64)
#define SIMD_CASE(name, cg) SIMD_ROW(name, .kind = SIMD_KIND_CASE, .function = cg)
#include "compile/simd_ops.def"
#undef SIMD_BIN
#undef SIMD_BIN_R
#undef SIMD_FBIN
#undef SIMD_UN
#undef SIMD_FUN
#undef SIMD_ROUND
#undef SIMD_CMP
#undef SIMD_CMP_R
#undef SIMD_NOT
#undef SIMD_NOT_R
#undef SIMD_SAME
#undef SIMD_OTHER
#undef SIMD_HIGH
#undef SIMD_SHIFT
#undef SIMD_NEG
#undef SIMD_ALL
#undef SIMD_LOAD
#undef SIMD_CASE
#undef SIMD_RELAXED
};

static WasmOp simd_deterministic(WasmOp op)
{
    switch (op) {
#define SIMD_RELAXED(name, other) case WASM_OP_##name: return WASM_OP_##other;
#define SIMD_BIN(...)
#define SIMD_BIN_R(...)
#define SIMD_FBIN(...)
#define SIMD_UN(...)
#define SIMD_FUN(...)
#define SIMD_ROUND(...)
#define SIMD_CMP(...)
#define SIMD_CMP_R(...)
#define SIMD_NOT(...)
#define SIMD_NOT_R(...)
#define SIMD_SAME(...)
#define SIMD_OTHER(...)
#define SIMD_HIGH(...)
#define SIMD_SHIFT(...)
#define SIMD_NEG(...)
#define SIMD_ALL(...)
#define SIMD_LOAD(...)
#define SIMD_CASE(...)
#include "compile/simd_ops.def"
    default: return op;
    }
}

static bool simd_is64(X64Op op) { return (op >> 8 & 0xff) == 0x66; } /* of *ps and *pd */

/* a pick b is a: the lanes where a is the one that pick prefers, or equal. */
static void simd_same(FuncCompiler *fc, const SimdRow *row, Val a, Val b, bool complement)
{
    X64Mem mem;
    if (cg_simd_in_memory(fc, &b, &mem)) {
        X64Xmm x = simd_in(fc, &a);
        cg_simd_bin_m(fc, row->op, TMP, x, mem);
    } else {
        X64Xmm y = simd_in(fc, &b), x = simd_in(fc, &a);
        cg_simd_bin(fc, row->op, TMP, x, y);
    }
    X64Xmm x = simd_in(fc, &a), d = simd_out(fc, &a);
    cg_simd_bin(fc, row->op2, d, x, TMP);
    if (complement) simd_complement(fc, d, d);
    simd_done(fc, d);
}

static void simd_row(FuncCompiler *fc, const SimdRow *row, WasmOp op)
{
    Val a = {0}, b = {0};
    X64Xmm d;
    switch ((SimdKind)row->kind) {
    case SIMD_KIND_CASE: row->function(fc, op); return;
    case SIMD_KIND_LOAD: cg_simd_load_unary(fc, op, row->op); return;
    case SIMD_KIND_SHIFT: cg_simd_shift(fc, row->op, row->op2, row->ext, row->imm); return;
    case SIMD_KIND_UN: case SIMD_KIND_FUN: case SIMD_KIND_ROUND: case SIMD_KIND_HIGH: case SIMD_KIND_NEG: case SIMD_KIND_ALL: a = cg_pop(fc); break;
    case SIMD_KIND_BIN_R: case SIMD_KIND_CMP_R: case SIMD_KIND_NOT_R: /* a is what comes first in the instruction */
        a = cg_pop(fc);
        b = cg_pop(fc);
        break;
    default:
        b = cg_pop(fc);
        a = cg_pop(fc);
        break;
    }
    switch ((SimdKind)row->kind) {
    case SIMD_KIND_BIN: case SIMD_KIND_BIN_R: d = simd_binary(fc, row->op, a, b, -1); break;
    case SIMD_KIND_FBIN: cg_simd_float_done(fc, simd_is64(row->op), simd_binary(fc, row->op, a, b, -1)); return;
    case SIMD_KIND_CMP: case SIMD_KIND_CMP_R: d = simd_binary(fc, row->op, a, b, row->imm); break;
    case SIMD_KIND_NOT: case SIMD_KIND_NOT_R:
        d = simd_binary(fc, row->op, a, b, -1);
        simd_complement(fc, d, d);
        break;
    case SIMD_KIND_SAME: case SIMD_KIND_OTHER: simd_same(fc, row, a, b, row->kind == SIMD_KIND_OTHER); return;
    case SIMD_KIND_UN: d = simd_unary(fc, row->op, a); break;
    case SIMD_KIND_FUN: /* demoting is the one whose result is of the other width */
        cg_simd_float_done(fc, row->op == SIMD_X64_cvtps2pd || row->op == SIMD_X64_sqrtpd, simd_unary(fc, row->op, a));
        return;
    case SIMD_KIND_ROUND: {
        X64Xmm x = simd_in(fc, &a);
        d = simd_out(fc, &a);
        cg_simd_un_i(fc, row->op, d, x, row->imm);
        cg_simd_float_done(fc, row->op == SIMD_X64_roundpd, d);
        return;
    }
    case SIMD_KIND_HIGH: {
        X64Xmm x = simd_in(fc, &a);
        d = simd_out(fc, &a);
        simd_pshufd(fc, TMP, x, 0xee);
        cg_simd_un(fc, row->op, d, TMP);
        break;
    }
    case SIMD_KIND_NEG: {
        X64Xmm x = simd_in(fc, &a);
        d = simd_out(fc, NULL);
        X64Xmm zero = d == x ? TMP : d; /* x may be the local that is set */
        simd_zero(fc, zero);
        cg_simd_bin(fc, row->op, zero, zero, x);
        simd_copy(fc, d, zero);
        break;
    }
    default: { /* SIMD_KIND_ALL */
        X64Xmm x = simd_in(fc, &a);
        simd_zero(fc, TMP);
        cg_simd_bin(fc, row->op, TMP, TMP, x);
        simd_ptest(fc, TMP, TMP);
        cg_cond_result(fc, cg_cond(X64_CC_E));
        return;
    }
    }
    simd_done(fc, d);
}

void cg_op_simd(FuncCompiler *fc, WasmOp op)
{
    assert((unsigned)op - SIMD_FIRST < SIMD_COUNT);
    if (fc->mc->tunables.relaxed_simd_deterministic) op = simd_deterministic(op);
    simd_row(fc, &simd_rows[op - SIMD_FIRST], op);
}

bool cg_simd_fold_load(FuncCompiler *fc, const MemoryAccess *access)
{
    const uint8_t *p = fc->ip;
    if (!fc->mc->avx || *p != 0xfd) return false;
    WasmOp op = wr_read_op(&p);
    if (fc->mc->tunables.relaxed_simd_deterministic) op = simd_deterministic(op);
    const SimdRow *row = &simd_rows[op - SIMD_FIRST];
    bool swapped = row->kind == SIMD_KIND_BIN_R && !cg_simd_commutes(row->op);
    if ((row->kind != SIMD_KIND_BIN && row->kind != SIMD_KIND_FBIN && row->kind != SIMD_KIND_CMP) || swapped) return false;
    fc->ip = p;
    Val a = cg_pop(fc);
    X64Xmm x = simd_in(fc, &a), d = simd_out(fc, &a);
    cg_memory_row(fc, access);
    if (row->kind == SIMD_KIND_CMP) cg_simd_bin_mi(fc, row->op, d, x, access->mem, row->imm);
    else cg_simd_bin_m(fc, row->op, d, x, access->mem);
    if (row->kind == SIMD_KIND_FBIN) cg_simd_float_done(fc, simd_is64(row->op), d);
    else simd_done(fc, d);
    return true;
}

/* ---- bitwise ------------------------------------------------------------------------------------------------------------------------ */

void cg_simd_const(FuncCompiler *fc, WasmOp op)
{
    (void)op;
    static const uint8_t zero[16];
    cg_push_const(fc, WR_KIND_V128, memcmp(fc->ip, zero, 16) == 0 ? 0 : (uint64_t)(fc->ip - fc->bytes));
    fc->ip += 16;
}

void cg_simd_not(FuncCompiler *fc, WasmOp op)
{
    (void)op;
    Val a = cg_pop(fc);
    X64Xmm x = simd_in(fc, &a), d = simd_out(fc, &a);
    simd_complement(fc, d, x);
    simd_done(fc, d);
}

/* (a and c) or (b and not c) */
void cg_simd_bitselect(FuncCompiler *fc, WasmOp op)
{
    (void)op;
    Val c = cg_pop(fc), b = cg_pop(fc), a = cg_pop(fc);
    X64Xmm mask = simd_in(fc, &c), y = simd_in(fc, &b), x = simd_in(fc, &a);
    simd_pandn(fc, TMP, mask, y);
    X64Xmm d = simd_out(fc, a.kind == VAL_REG ? &a : &c);
    simd_pand(fc, d, x, mask);
    simd_por(fc, d, d, TMP);
    simd_done(fc, d);
}

/* The top bit of each lane of c picks, which AVX has an instruction for; the SSE one has its mask in xmm0 and is not worth the moves. */
void cg_simd_laneselect(FuncCompiler *fc, WasmOp op)
{
    if (!fc->mc->avx) {
        cg_simd_bitselect(fc, op);
        return;
    }
    Val c = cg_pop(fc), b = cg_pop(fc), a = cg_pop(fc);
    X64Xmm mask = simd_in(fc, &c), y = simd_in(fc, &b), x = simd_in(fc, &a), d = simd_out(fc, &a);
    if (op == WASM_OP_I8X16_RELAXED_LANESELECT) x64_vpblendvb_xxxx(fc->as, d, y, x, mask);
    else if (op == WASM_OP_I32X4_RELAXED_LANESELECT) x64_vblendvps_xxxx(fc->as, d, y, x, mask);
    else x64_vblendvpd_xxxx(fc->as, d, y, x, mask);
    simd_done(fc, d);
}

/* ---- vectors to integers --------------------------------------------------------------------------------------------------------------- */

void cg_simd_any_true(FuncCompiler *fc, WasmOp op)
{
    (void)op;
    Val a = cg_pop(fc);
    X64Xmm x = simd_in(fc, &a);
    simd_ptest(fc, x, x);
    cg_cond_result(fc, cg_cond(X64_CC_NE));
}

void cg_simd_bitmask(FuncCompiler *fc, WasmOp op)
{
    Val a = cg_pop(fc);
    X64Xmm x = simd_in(fc, &a);
    Reg dst = cg_dest(fc, WR_KIND_I32, REG_NONE);
    bool avx = fc->mc->avx;
    X64Gpr d = REG_GPR(dst);
    switch (op) {
    case WASM_OP_I8X16_BITMASK: avx ? x64_vpmovmskb_rx(fc->as, d, x) : x64_pmovmskb_rx(fc->as, d, x); break;
    case WASM_OP_I16X8_BITMASK:
        simd_packsswb(fc, TMP, x, x);
        avx ? x64_vpmovmskb_rx(fc->as, d, TMP) : x64_pmovmskb_rx(fc->as, d, TMP);
        x64_movzbl_rr(fc->as, d, d);
        break;
    case WASM_OP_I32X4_BITMASK: avx ? x64_vmovmskps_rx(fc->as, d, x) : x64_movmskps_rx(fc->as, d, x); break;
    default: avx ? x64_vmovmskpd_rx(fc->as, d, x) : x64_movmskpd_rx(fc->as, d, x); break;
    }
    cg_finish(fc, WR_KIND_I32, dst);
}
