/* SIMD: guest memory, and lanes moved about: loads and stores of vectors and lanes, shuffles, splats, lanes to and from scalars.
 *
 * A shuffle by immediate is matched against what one instruction does; what nothing matches is one pshufb, or two and an or. */
#include "compile/simd.h"

/* ---- loads -------------------------------------------------------------------------------------------------------------------------- */

static MemoryAccess lanes_access(FuncCompiler *fc, WasmOp op, const WasmMemArg *arg, Val *index)
{
    *index = cg_pop(fc);
    return cg_memory_access(fc, index, arg, 1u << wr_wasm_ops[op].align_log2);
}

void cg_simd_load(FuncCompiler *fc, WasmOp op)
{
    WasmMemArg arg = wr_read_memarg(&fc->ip);
    Val index;
    MemoryAccess access = lanes_access(fc, op, &arg, &index);
    if (cg_simd_fold_load(fc, &access)) return;
    X64Xmm d = simd_out(fc, NULL);
    cg_memory_row(fc, &access);
    cg_load(fc, WR_KIND_V128, XMM_REG(d), access.mem);
    simd_done(fc, d);
}

void cg_simd_load_unary(FuncCompiler *fc, WasmOp op, X64Op x64)
{
    WasmMemArg arg = wr_read_memarg(&fc->ip);
    Val index;
    MemoryAccess access = lanes_access(fc, op, &arg, &index);
    X64Xmm d = simd_out(fc, NULL);
    cg_memory_row(fc, &access);
    cg_simd_un_m(fc, x64, d, access.mem);
    simd_done(fc, d);
}

void cg_simd_load_zero(FuncCompiler *fc, WasmOp op)
{
    WasmMemArg arg = wr_read_memarg(&fc->ip);
    Val index;
    MemoryAccess access = lanes_access(fc, op, &arg, &index);
    X64Xmm d = simd_out(fc, NULL);
    cg_memory_row(fc, &access);
    cg_load(fc, op == WASM_OP_V128_LOAD32_ZERO ? WR_KIND_F32 : WR_KIND_F64, XMM_REG(d), access.mem); /* zeroes the rest */
    simd_done(fc, d);
}

/* The lowest lane of `bytes` bytes of src, everywhere. TMP is used. */
static void lanes_broadcast(FuncCompiler *fc, unsigned bytes, X64Xmm dst, X64Xmm src)
{
    bool avx2 = fc->mc->avx2;
    switch (bytes) {
    case 1:
        if (avx2) {
            x64_vpbroadcastb_xx(fc->as, dst, src);
        } else {
            simd_zero(fc, TMP);
            simd_pshufb(fc, dst, src, TMP);
        }
        break;
    case 2:
        if (avx2) {
            x64_vpbroadcastw_xx(fc->as, dst, src);
        } else {
            simd_pshuflw(fc, dst, src, 0);
            simd_pshufd(fc, dst, dst, 0);
        }
        break;
    case 4: simd_pshufd(fc, dst, src, 0); break;
    default: simd_pshufd(fc, dst, src, 0x44); break;
    }
}

void cg_simd_load_splat(FuncCompiler *fc, WasmOp op)
{
    WasmMemArg arg = wr_read_memarg(&fc->ip);
    Val index;
    MemoryAccess access = lanes_access(fc, op, &arg, &index);
    X64Xmm d = simd_out(fc, NULL);
    cg_memory_row(fc, &access);
    switch (op) {
    case WASM_OP_V128_LOAD8_SPLAT:
    case WASM_OP_V128_LOAD16_SPLAT: {
        bool word = op == WASM_OP_V128_LOAD16_SPLAT;
        if (fc->mc->avx2) {
            word ? x64_vpbroadcastw_xm(fc->as, d, access.mem) : x64_vpbroadcastb_xm(fc->as, d, access.mem);
            break;
        }
        word ? x64_movzwl_rm(fc->as, REG_SCRATCH, access.mem) : x64_movzbl_rm(fc->as, REG_SCRATCH, access.mem);
        cg_simd_from_gpr(fc, false, d, REG_SCRATCH);
        lanes_broadcast(fc, word ? 2 : 1, d, d);
        break;
    }
    case WASM_OP_V128_LOAD32_SPLAT:
        if (fc->mc->avx) {
            x64_vbroadcastss_xm(fc->as, d, access.mem);
        } else {
            x64_movss_xm(fc->as, d, access.mem);
            lanes_broadcast(fc, 4, d, d);
        }
        break;
    default: simd_movddup_m(fc, d, access.mem); break;
    }
    simd_done(fc, d);
}

/* ---- lanes in and out ------------------------------------------------------------------------------------------------------------------ */

static void lanes_insert_m(FuncCompiler *fc, unsigned log2, X64Xmm d, X64Xmm a, X64Mem mem, uint8_t lane)
{
    Asm *as = fc->as;
    if (fc->mc->avx) {
        switch (log2) {
        case 0: x64_vpinsrb_xxmi(as, d, a, mem, lane); break;
        case 1: x64_vpinsrw_xxmi(as, d, a, mem, lane); break;
        case 2: x64_vpinsrd_xxmi(as, d, a, mem, lane); break;
        default: x64_vpinsrq_xxmi(as, d, a, mem, lane); break;
        }
        return;
    }
    switch (log2) {
    case 0: x64_pinsrb_xmi(as, d, mem, lane); break;
    case 1: x64_pinsrw_xmi(as, d, mem, lane); break;
    case 2: x64_pinsrd_xmi(as, d, mem, lane); break;
    default: x64_pinsrq_xmi(as, d, mem, lane); break;
    }
}

void cg_simd_load_lane(FuncCompiler *fc, WasmOp op)
{
    WasmMemArg arg = wr_read_memarg(&fc->ip);
    uint8_t lane = *fc->ip++;
    Val a = cg_pop(fc), index;
    MemoryAccess access = lanes_access(fc, op, &arg, &index);
    X64Xmm x = simd_in(fc, &a), d = simd_out(fc, &a);
    if (!fc->mc->avx) simd_copy(fc, d, x);
    cg_memory_row(fc, &access);
    lanes_insert_m(fc, wr_wasm_ops[op].align_log2, d, x, access.mem, lane);
    simd_done(fc, d);
}

void cg_simd_store(FuncCompiler *fc, WasmOp op)
{
    WasmMemArg arg = wr_read_memarg(&fc->ip);
    Val a = cg_pop(fc), index;
    X64Xmm x = simd_in(fc, &a);
    MemoryAccess access = lanes_access(fc, op, &arg, &index);
    cg_memory_row(fc, &access);
    cg_store(fc, WR_KIND_V128, access.mem, XMM_REG(x));
}

void cg_simd_store_lane(FuncCompiler *fc, WasmOp op)
{
    Asm *as = fc->as;
    WasmMemArg arg = wr_read_memarg(&fc->ip);
    uint8_t lane = *fc->ip++;
    Val a = cg_pop(fc), index;
    X64Xmm x = simd_in(fc, &a);
    MemoryAccess access = lanes_access(fc, op, &arg, &index);
    bool avx = fc->mc->avx;
    cg_memory_row(fc, &access);
    switch (op) {
    case WASM_OP_V128_STORE8_LANE: avx ? x64_vpextrb_mxi(as, access.mem, x, lane) : x64_pextrb_mxi(as, access.mem, x, lane); break;
    case WASM_OP_V128_STORE16_LANE: avx ? x64_vpextrw_mxi(as, access.mem, x, lane) : x64_pextrw_mxi(as, access.mem, x, lane); break;
    case WASM_OP_V128_STORE32_LANE:
        if (lane == 0) cg_store(fc, WR_KIND_F32, access.mem, XMM_REG(x));
        else avx ? x64_vpextrd_mxi(as, access.mem, x, lane) : x64_pextrd_mxi(as, access.mem, x, lane);
        break;
    default:
        if (lane == 0) cg_store(fc, WR_KIND_F64, access.mem, XMM_REG(x));
        else avx ? x64_vmovhps_mx(as, access.mem, x) : x64_movhps_mx(as, access.mem, x);
        break;
    }
}

static void extract_int(FuncCompiler *fc, WasmOp op, X64Gpr d, X64Xmm x, uint8_t lane)
{
    Asm *as = fc->as;
    bool avx = fc->mc->avx;
    switch (op) {
    case WASM_OP_I8X16_EXTRACT_LANE_S: case WASM_OP_I8X16_EXTRACT_LANE_U:
        avx ? x64_vpextrb_rxi(as, d, x, lane) : x64_pextrb_rxi(as, d, x, lane);
        if (op == WASM_OP_I8X16_EXTRACT_LANE_S) x64_movsbl_rr(as, d, d);
        break;
    case WASM_OP_I16X8_EXTRACT_LANE_S: case WASM_OP_I16X8_EXTRACT_LANE_U:
        avx ? x64_vpextrw_rxi(as, d, x, lane) : x64_pextrw_rxi(as, d, x, lane);
        if (op == WASM_OP_I16X8_EXTRACT_LANE_S) x64_movswl_rr(as, d, d);
        break;
    case WASM_OP_I32X4_EXTRACT_LANE:
        if (lane == 0) avx ? x64_vmovd_rx(as, d, x) : x64_movd_rx(as, d, x);
        else avx ? x64_vpextrd_rxi(as, d, x, lane) : x64_pextrd_rxi(as, d, x, lane);
        break;
    default:
        if (lane == 0) avx ? x64_vmovq_rx(as, d, x) : x64_movq_rx(as, d, x);
        else avx ? x64_vpextrq_rxi(as, d, x, lane) : x64_pextrq_rxi(as, d, x, lane);
        break;
    }
}

static void extract_int_m(FuncCompiler *fc, WasmOp op, X64Gpr d, X64Mem mem)
{
    switch (op) {
    case WASM_OP_I8X16_EXTRACT_LANE_S: x64_movsbl_rm(fc->as, d, mem); break;
    case WASM_OP_I8X16_EXTRACT_LANE_U: x64_movzbl_rm(fc->as, d, mem); break;
    case WASM_OP_I16X8_EXTRACT_LANE_S: x64_movswl_rm(fc->as, d, mem); break;
    case WASM_OP_I16X8_EXTRACT_LANE_U: x64_movzwl_rm(fc->as, d, mem); break;
    case WASM_OP_I32X4_EXTRACT_LANE: x64_movl_rm(fc->as, d, mem); break;
    default: x64_movq_rm(fc->as, d, mem); break;
    }
}

void cg_simd_extract(FuncCompiler *fc, WasmOp op)
{
    uint8_t lane = *fc->ip++;
    Val a = cg_pop(fc);
    uint8_t type = wr_wasm_ops[op].result_kinds[0];
    bool in_memory = a.kind != VAL_CONST && cg_is_mem(fc, &a);
    X64Mem mem = {0};
    if (in_memory) mem = x64_mem_offset(cg_mem(fc, &a), (int32_t)lane << wr_wasm_ops[op].align_log2);
    if (type == WR_KIND_I32 || type == WR_KIND_I64) {
        X64Xmm x = in_memory ? XMM0 : simd_in(fc, &a);
        Reg dst = cg_dest(fc, type, REG_NONE);
        if (in_memory) extract_int_m(fc, op, REG_GPR(dst), mem);
        else extract_int(fc, op, REG_GPR(dst), x, lane);
        cg_finish(fc, type, dst);
        return;
    }
    if (in_memory) {
        Reg dst = cg_dest(fc, type, REG_NONE);
        cg_load(fc, type, dst, mem);
        cg_finish(fc, type, dst);
        return;
    }
    X64Xmm x = simd_in(fc, &a);
    Reg dst = cg_dest(fc, type, cg_reuse(&a));
    if (lane == 0) cg_move(fc, type, dst, XMM_REG(x)); /* what lies above a scalar does not matter */
    else if (type == WR_KIND_F64 || lane == 2) simd_pshufd(fc, REG_XMM(dst), x, 0xee);
    else if (lane == 1) simd_movshdup(fc, REG_XMM(dst), x);
    else simd_pshufd(fc, REG_XMM(dst), x, 0xff);
    cg_finish(fc, type, dst);
}

void cg_simd_replace(FuncCompiler *fc, WasmOp op)
{
    Asm *as = fc->as;
    uint8_t lane = *fc->ip++;
    Val v = cg_pop(fc), a = cg_pop(fc);
    if (op == WASM_OP_F32X4_REPLACE_LANE || op == WASM_OP_F64X2_REPLACE_LANE) {
        X64Xmm y = simd_in(fc, &v), x = simd_in(fc, &a), d = simd_out(fc, &a);
        if (op == WASM_OP_F64X2_REPLACE_LANE) {
            if (lane == 0) simd_blendpd(fc, d, x, y, 1);
            else simd_unpcklpd(fc, d, x, y);
        } else {
            if (lane == 0) simd_blendps(fc, d, x, y, 1);
            else simd_insertps(fc, d, x, y, (uint8_t)(lane << 4));
        }
        simd_done(fc, d);
        return;
    }
    unsigned log2 = wr_wasm_ops[op].align_log2;
    if (v.kind != VAL_CONST && cg_is_mem(fc, &v)) {
        X64Mem mem = cg_mem(fc, &v);
        X64Xmm x = simd_in(fc, &a), d = simd_out(fc, &a);
        if (!fc->mc->avx) simd_copy(fc, d, x);
        lanes_insert_m(fc, log2, d, x, mem, lane);
        simd_done(fc, d);
        return;
    }
    X64Gpr r = REG_GPR(cg_reg(fc, &v));
    X64Xmm x = simd_in(fc, &a), d = simd_out(fc, &a);
    if (fc->mc->avx) {
        switch (log2) {
        case 0: x64_vpinsrb_xxri(as, d, x, r, lane); break;
        case 1: x64_vpinsrw_xxri(as, d, x, r, lane); break;
        case 2: x64_vpinsrd_xxri(as, d, x, r, lane); break;
        default: x64_vpinsrq_xxri(as, d, x, r, lane); break;
        }
    } else {
        simd_copy(fc, d, x);
        switch (log2) {
        case 0: x64_pinsrb_xri(as, d, r, lane); break;
        case 1: x64_pinsrw_xri(as, d, r, lane); break;
        case 2: x64_pinsrd_xri(as, d, r, lane); break;
        default: x64_pinsrq_xri(as, d, r, lane); break;
        }
    }
    simd_done(fc, d);
}

/* ---- splats ------------------------------------------------------------------------------------------------------------------------------ */

static unsigned splat_bytes(WasmOp op)
{
    switch (op) {
    case WASM_OP_I8X16_SPLAT: return 1;
    case WASM_OP_I16X8_SPLAT: return 2;
    case WASM_OP_I32X4_SPLAT: case WASM_OP_F32X4_SPLAT: return 4;
    default: return 8;
    }
}

void cg_simd_splat(FuncCompiler *fc, WasmOp op)
{
    Val v = cg_pop(fc);
    unsigned bytes = splat_bytes(op);
    if (v.kind == VAL_CONST) {
        uint64_t lane = v.bits;
        for (unsigned have = bytes; have < 8; have *= 2) lane = (lane & (UINT64_MAX >> (64 - 8 * have))) * (UINT64_C(1) << 8 * have | 1);
        if (lane == 0) {
            cg_push_const(fc, WR_KIND_V128, 0);
            return;
        }
        X64Xmm d = simd_out(fc, NULL);
        cg_load(fc, WR_KIND_V128, XMM_REG(d), simd_all64(fc, lane));
        simd_done(fc, d);
        return;
    }
    if (op == WASM_OP_F32X4_SPLAT || op == WASM_OP_F64X2_SPLAT) {
        X64Xmm x = simd_in(fc, &v), d = simd_out(fc, &v);
        if (bytes == 8) simd_movddup(fc, d, x);
        else if (fc->mc->avx) x64_vpermilps_xxi(fc->as, d, x, 0);
        else simd_pshufd(fc, d, x, 0);
        simd_done(fc, d);
        return;
    }
    X64Gpr r = REG_GPR(cg_reg(fc, &v));
    X64Xmm d = simd_out(fc, NULL);
    cg_simd_from_gpr(fc, bytes == 8, d, r);
    lanes_broadcast(fc, bytes, d, d);
    simd_done(fc, d);
}

/* ---- shuffles ------------------------------------------------------------------------------------------------------------------------------- */

/* The lanes as `groups` groups of equal width, if they are whole and aligned ones: out_group[i] is the source's group number, 0 to 2 * groups - 1. */
static bool shuffle_groups(const uint8_t lanes[16], unsigned groups, uint8_t *out_group)
{
    unsigned width = 16 / groups;
    for (unsigned g = 0; g < groups; g++) {
        unsigned first = lanes[g * width];
        if (first % width) return false;
        for (unsigned i = 1; i < width; i++)
            if (lanes[g * width + i] != first + i) return false;
        out_group[g] = (uint8_t)(first / width);
    }
    return true;
}

static uint8_t shuffle_imm(const uint8_t group[4])
{
    return (uint8_t)((group[0] & 3) | (group[1] & 3) << 2 | (group[2] & 3) << 4 | (group[3] & 3) << 6);
}

static bool shuffle_identity(const uint8_t lanes[16])
{
    for (unsigned i = 0; i < 16; i++)
        if (lanes[i] != i) return false;
    return true;
}

/* lanes[i] = first + i, modulo `modulus` */
static bool shuffle_is_run(const uint8_t lanes[16], unsigned modulus)
{
    for (unsigned i = 1; i < 16; i++)
        if (lanes[i] != (lanes[0] + i) % modulus) return false;
    return true;
}

/* One source, lanes below 16 (or 0x80: zero). */
static void shuffle_one(FuncCompiler *fc, Val a, const uint8_t lanes[16])
{
    if (shuffle_identity(lanes)) {
        cg_push_val(fc, a);
        return;
    }
    uint8_t word[8], dword[4];
    X64Xmm x = simd_in(fc, &a), d = simd_out(fc, &a);
    bool broadcast = true;
    for (unsigned i = 1; i < 16; i++) broadcast = broadcast && lanes[i] == lanes[0];
    if (shuffle_groups(lanes, 4, dword)) {
        simd_pshufd(fc, d, x, shuffle_imm(dword));
    } else if (shuffle_groups(lanes, 8, word) && word[4] == 4 && word[5] == 5 && word[6] == 6 && word[7] == 7 && (word[0] | word[1] | word[2] | word[3]) < 4) {
        simd_pshuflw(fc, d, x, shuffle_imm(word));
    } else if (shuffle_groups(lanes, 8, word) && word[0] == 0 && word[1] == 1 && word[2] == 2 && word[3] == 3 && (word[4] & word[5] & word[6] & word[7] & 4)) {
        simd_pshufhw(fc, d, x, shuffle_imm(word + 4));
    } else if (broadcast && lanes[0] == 0 && fc->mc->avx2) {
        x64_vpbroadcastb_xx(fc->as, d, x);
    } else if (lanes[0] < 16 && shuffle_is_run(lanes, 16)) {
        simd_palignr(fc, d, x, x, lanes[0]);
    } else {
        simd_pshufb_m(fc, d, x, simd_bytes(fc, lanes));
    }
    simd_done(fc, d);
}

/* Equal widths from both, alternating, from the low or the high half: the instruction, or 0. `swapped`: b's come first. */
static X64Op shuffle_unpack(const uint8_t lanes[16], bool *out_swapped)
{
    static const X64Op low[4] = {SIMD_X64_punpcklqdq, SIMD_X64_punpckldq, SIMD_X64_punpcklwd, SIMD_X64_punpcklbw};
    static const X64Op high[4] = {SIMD_X64_punpckhqdq, SIMD_X64_punpckhdq, SIMD_X64_punpckhwd, SIMD_X64_punpckhbw};
    for (unsigned log2 = 1; log2 <= 4; log2++) {
        unsigned groups = 1u << log2;
        uint8_t group[16];
        if (!shuffle_groups(lanes, groups, group)) continue;
        bool swapped = group[0] >= groups, matches = true;
        unsigned flip = swapped ? groups : 0, base = group[0] ^ flip;
        if (base != 0 && base != groups / 2) continue;
        for (unsigned i = 0; i < groups; i++) matches = matches && (group[i] ^ flip) == base + i / 2 + (i & 1) * groups;
        if (!matches) continue;
        *out_swapped = swapped;
        return base ? high[log2 - 1] : low[log2 - 1];
    }
    return 0;
}

/* Two sources; true if one instruction does it. */
static bool shuffle_match(FuncCompiler *fc, Val *a, Val *b, const uint8_t lanes[16])
{
    bool swapped;
    uint8_t group[8];
    X64Op unpack = shuffle_unpack(lanes, &swapped);
    if (unpack) {
        X64Xmm x = simd_in(fc, a), y = simd_in(fc, b), d = simd_out(fc, swapped ? b : a);
        swapped ? cg_simd_bin(fc, unpack, d, y, x) : cg_simd_bin(fc, unpack, d, x, y);
        simd_done(fc, d);
        return true;
    }
    if (shuffle_is_run(lanes, 32)) {
        X64Xmm x = simd_in(fc, a), y = simd_in(fc, b), d = simd_out(fc, b);
        if (lanes[0] < 16) simd_palignr(fc, d, y, x, lanes[0]);
        else simd_palignr(fc, d, x, y, (uint8_t)(lanes[0] - 16));
        simd_done(fc, d);
        return true;
    }
    if (shuffle_groups(lanes, 8, group)) {
        bool blend = true;
        uint8_t mask = 0;
        for (unsigned i = 0; i < 8; i++) {
            blend = blend && (group[i] & 7) == i;
            if (group[i] & 8) mask |= (uint8_t)(1u << i);
        }
        if (blend) {
            X64Xmm x = simd_in(fc, a), y = simd_in(fc, b), d = simd_out(fc, a);
            simd_pblendw(fc, d, x, y, mask);
            simd_done(fc, d);
            return true;
        }
    }
    if (shuffle_groups(lanes, 4, group) && (group[0] & 4) == (group[1] & 4) && (group[2] & 4) == (group[3] & 4)) {
        X64Xmm x = simd_in(fc, a), y = simd_in(fc, b), d = simd_out(fc, a);
        simd_shufps(fc, d, group[0] & 4 ? y : x, group[2] & 4 ? y : x, shuffle_imm(group));
        simd_done(fc, d);
        return true;
    }
    return false;
}

static bool shuffle_is_zero(const Val *v) { return v->kind == VAL_CONST && v->bits == 0; }

void cg_simd_shuffle(FuncCompiler *fc, WasmOp op)
{
    (void)op;
    uint8_t lanes[16], from_a[16], from_b[16];
    memcpy(lanes, fc->ip, 16);
    fc->ip += 16;
    Val b = cg_pop(fc), a = cg_pop(fc);
    bool same = a.kind == VAL_LOCAL && b.kind == VAL_LOCAL && a.index == b.index, uses_a = false, uses_b = false;
    for (unsigned i = 0; i < 16; i++) {
        if (same) lanes[i] &= 15;
        uses_a = uses_a || lanes[i] < 16;
        uses_b = uses_b || lanes[i] >= 16;
        from_a[i] = lanes[i] < 16 ? lanes[i] : 0x80;
        from_b[i] = lanes[i] < 16 ? 0x80 : lanes[i] & 15;
    }
    if (!uses_b || shuffle_is_zero(&b)) {
        shuffle_one(fc, a, from_a);
        return;
    }
    if (!uses_a || shuffle_is_zero(&a)) {
        shuffle_one(fc, b, from_b);
        return;
    }
    if (shuffle_match(fc, &a, &b, lanes)) return;
    X64Xmm x = simd_in(fc, &a), y = simd_in(fc, &b), t = simd_temp(fc);
    simd_pshufb_m(fc, TMP, x, simd_bytes(fc, from_a));
    simd_pshufb_m(fc, t, y, simd_bytes(fc, from_b));
    X64Xmm d = simd_out(fc, &a);
    simd_por(fc, d, t, TMP);
    simd_done(fc, d);
}

/* pshufb takes the index modulo 16 unless its top bit is set: 0x70 is added with saturation, so that 16 and more get there. */
void cg_simd_swizzle(FuncCompiler *fc, WasmOp op)
{
    (void)op;
    Val b = cg_pop(fc), a = cg_pop(fc);
    if (b.kind == VAL_CONST) {
        uint8_t lanes[16] = {0};
        if (b.bits) memcpy(lanes, fc->bytes + b.bits, 16);
        for (unsigned i = 0; i < 16; i++)
            if (lanes[i] >= 16) lanes[i] = 0x80;
        shuffle_one(fc, a, lanes);
        return;
    }
    X64Xmm y = simd_in(fc, &b), x = simd_in(fc, &a);
    simd_paddusb_m(fc, TMP, y, simd_all8(fc, 0x70));
    X64Xmm d = simd_out(fc, &a);
    simd_pshufb(fc, d, x, TMP);
    simd_done(fc, d);
}
