/* What the files of SIMD instructions (ops_simd*.c) share.
 *
 * Sequences are written once, in three-operand form: simd_<x64 row>(fc, dst, a, b) emits the VEX form where the machine has AVX, else the SSE form with
 * the copies it needs. dst may be any of the operands; sources are never changed. Values in a sequence are X64Xmm.
 *
 * Three rules for writing one:
 *  - operands come from simd_in, intermediates from simd_temp or xmm15 (TMP), the result from simd_out, which may be the register of an operand or of
 *    a local that is about to be set: it is written by the last instructions only, when no operand is read any more.
 *  - where the SSE form of a non-commutative operation has dst == b, TMP is overwritten: a sequence that keeps something there avoids that.
 *  - memory operands are aligned to 16 (slots, homes, the constant pool), or the instruction does not care. */
#ifndef WR_COMPILE_SIMD_H
#define WR_COMPILE_SIMD_H

#include "compile/state.h"

#define TMP REG_XSCRATCH

/* The rows of x64_forms.def as X64Op values: SIMD_X64_paddb. Immediate shifts: SIMD_X64_SHIFT_psllw and their ModRM extension. */
enum {
#define X64_SSE_BIN(name, prefix, map, opcode, feature) SIMD_X64_##name = X64_OP(prefix, map, opcode, 0),
#define X64_SSE_BIN_I(name, prefix, map, opcode, feature) SIMD_X64_##name = X64_OP(prefix, map, opcode, 0),
#define X64_SSE_UN(name, prefix, map, opcode, feature) SIMD_X64_##name = X64_OP(prefix, map, opcode, 0),
#define X64_SSE_UN_I(name, prefix, map, opcode, feature) SIMD_X64_##name = X64_OP(prefix, map, opcode, 0),
#define X64_SSE_SHIFT_I(name, opcode, ext) SIMD_X64_SHIFT_##name = X64_OP(0x66, 0x0F, opcode, 0), SIMD_X64_EXT_##name = (ext),
#include "wasmrt/x64_forms.def"
};

/* ---- ops_simd.c: one instruction ------------------------------------------------------------------------------------------- */

bool cg_simd_commutes(X64Op op);
void cg_simd_bin(FuncCompiler *fc, X64Op op, X64Xmm dst, X64Xmm a, X64Xmm b);
void cg_simd_bin_m(FuncCompiler *fc, X64Op op, X64Xmm dst, X64Xmm a, X64Mem b);
void cg_simd_bin_i(FuncCompiler *fc, X64Op op, X64Xmm dst, X64Xmm a, X64Xmm b, uint8_t imm);
void cg_simd_bin_mi(FuncCompiler *fc, X64Op op, X64Xmm dst, X64Xmm a, X64Mem b, uint8_t imm);
void cg_simd_un(FuncCompiler *fc, X64Op op, X64Xmm dst, X64Xmm src);
void cg_simd_un_m(FuncCompiler *fc, X64Op op, X64Xmm dst, X64Mem src);
void cg_simd_un_i(FuncCompiler *fc, X64Op op, X64Xmm dst, X64Xmm src, uint8_t imm);
void cg_simd_shift_i(FuncCompiler *fc, X64Op op, unsigned ext, X64Xmm dst, X64Xmm a, uint8_t count);

#define X64_SSE_BIN(name, prefix, map, opcode, feature)                                                                                \
    static inline void simd_##name(FuncCompiler *fc, X64Xmm dst, X64Xmm a, X64Xmm b) { cg_simd_bin(fc, SIMD_X64_##name, dst, a, b); }     \
    static inline void simd_##name##_m(FuncCompiler *fc, X64Xmm dst, X64Xmm a, X64Mem b) { cg_simd_bin_m(fc, SIMD_X64_##name, dst, a, b); }
#define X64_SSE_BIN_I(name, prefix, map, opcode, feature)                                                                              \
    static inline void simd_##name(FuncCompiler *fc, X64Xmm dst, X64Xmm a, X64Xmm b, uint8_t imm)                                         \
    {                                                                                                                                  \
        cg_simd_bin_i(fc, SIMD_X64_##name, dst, a, b, imm);                                                                            \
    }                                                                                                                                  \
    static inline void simd_##name##_m(FuncCompiler *fc, X64Xmm dst, X64Xmm a, X64Mem b, uint8_t imm)                                     \
    {                                                                                                                                  \
        cg_simd_bin_mi(fc, SIMD_X64_##name, dst, a, b, imm);                                                                           \
    }
#define X64_SSE_UN(name, prefix, map, opcode, feature)                                                                                 \
    static inline void simd_##name(FuncCompiler *fc, X64Xmm dst, X64Xmm src) { cg_simd_un(fc, SIMD_X64_##name, dst, src); }               \
    static inline void simd_##name##_m(FuncCompiler *fc, X64Xmm dst, X64Mem src) { cg_simd_un_m(fc, SIMD_X64_##name, dst, src); }
#define X64_SSE_UN_I(name, prefix, map, opcode, feature)                                                                               \
    static inline void simd_##name(FuncCompiler *fc, X64Xmm dst, X64Xmm src, uint8_t imm) { cg_simd_un_i(fc, SIMD_X64_##name, dst, src, imm); }
#define X64_SSE_SHIFT_I(name, opcode, ext)                                                                                             \
    static inline void simd_##name##_i(FuncCompiler *fc, X64Xmm dst, X64Xmm a, uint8_t count)                                             \
    {                                                                                                                                  \
        cg_simd_shift_i(fc, SIMD_X64_SHIFT_##name, SIMD_X64_EXT_##name, dst, a, count);                                                \
    }
#include "wasmrt/x64_forms.def"

/* ---- values ---------------------------------------------------------------------------------------------------------------------- */

static inline X64Xmm simd_in(FuncCompiler *fc, Val *v) { return REG_XMM(cg_reg(fc, v)); }
static inline X64Xmm simd_temp(FuncCompiler *fc) { return REG_XMM(cg_alloc(fc, REGS_XMM)); }
static inline X64Xmm simd_out(FuncCompiler *fc, const Val *reuse) { return REG_XMM(cg_dest(fc, WR_KIND_V128, reuse ? cg_reuse(reuse) : REG_NONE)); }
static inline void simd_done(FuncCompiler *fc, X64Xmm dst) { cg_finish(fc, WR_KIND_V128, XMM_REG(dst)); }
/* The result of float arithmetic: its NaNs are made canonical where the configuration asks for it. TMP is used. */
void cg_simd_float_done(FuncCompiler *fc, bool is64, X64Xmm dst);

static inline void simd_copy(FuncCompiler *fc, X64Xmm dst, X64Xmm src) { cg_move(fc, WR_KIND_V128, XMM_REG(dst), XMM_REG(src)); }
static inline void simd_zero(FuncCompiler *fc, X64Xmm dst) { cg_const(fc, WR_KIND_V128, XMM_REG(dst), 0); }
void cg_simd_from_gpr(FuncCompiler *fc, bool wide, X64Xmm dst, X64Gpr src); /* movd, movq: the rest is zero */

/* Constants of equal lanes, in the pool. */
static inline X64Mem simd_all64(FuncCompiler *fc, uint64_t lane) { return x64_const_pool_16(fc->as, lane, lane); }
static inline X64Mem simd_all32(FuncCompiler *fc, uint32_t lane) { return simd_all64(fc, (uint64_t)lane << 32 | lane); }
static inline X64Mem simd_all16(FuncCompiler *fc, uint16_t lane) { return simd_all32(fc, (uint32_t)lane << 16 | lane); }
static inline X64Mem simd_all8(FuncCompiler *fc, uint8_t lane) { return simd_all16(fc, (uint16_t)(lane << 8 | lane)); }
static inline X64Mem simd_bytes(FuncCompiler *fc, const uint8_t bytes[16])
{
    uint64_t halves[2];
    memcpy(halves, bytes, 16);
    return x64_const_pool_16(fc->as, halves[0], halves[1]);
}

/* The value is in memory already or a constant that is best read from there. */
bool cg_simd_in_memory(FuncCompiler *fc, const Val *v, X64Mem *out_mem);
/* A v128 load, whose operand is given, was just read: the binary instruction that follows takes it as its memory operand, if it can. */
bool cg_simd_fold_load(FuncCompiler *fc, const MemoryAccess *access);

/* ---- instructions that are written out; the rows of simd_ops.def name them ------------------------------------------------------------ */

void cg_simd_const(FuncCompiler *fc, WasmOp op);
void cg_simd_not(FuncCompiler *fc, WasmOp op);
void cg_simd_bitselect(FuncCompiler *fc, WasmOp op);
void cg_simd_laneselect(FuncCompiler *fc, WasmOp op);
void cg_simd_any_true(FuncCompiler *fc, WasmOp op);
void cg_simd_bitmask(FuncCompiler *fc, WasmOp op);

/* ops_simd_lanes.c */
void cg_simd_load(FuncCompiler *fc, WasmOp op);
void cg_simd_load_unary(FuncCompiler *fc, WasmOp op, X64Op x64);
void cg_simd_load_splat(FuncCompiler *fc, WasmOp op);
void cg_simd_load_zero(FuncCompiler *fc, WasmOp op);
void cg_simd_load_lane(FuncCompiler *fc, WasmOp op);
void cg_simd_store(FuncCompiler *fc, WasmOp op);
void cg_simd_store_lane(FuncCompiler *fc, WasmOp op);
void cg_simd_shuffle(FuncCompiler *fc, WasmOp op);
void cg_simd_swizzle(FuncCompiler *fc, WasmOp op);
void cg_simd_splat(FuncCompiler *fc, WasmOp op);
void cg_simd_extract(FuncCompiler *fc, WasmOp op);
void cg_simd_replace(FuncCompiler *fc, WasmOp op);

/* ops_simd_int.c */
void cg_simd_popcnt(FuncCompiler *fc, WasmOp op);
void cg_simd_shift8(FuncCompiler *fc, WasmOp op);
void cg_simd_shift(FuncCompiler *fc, X64Op op, X64Op op_imm, unsigned ext, unsigned bits);
void cg_simd_sar64(FuncCompiler *fc, WasmOp op);
void cg_simd_extadd(FuncCompiler *fc, WasmOp op);
void cg_simd_q15mulr(FuncCompiler *fc, WasmOp op);
void cg_simd_extmul8(FuncCompiler *fc, WasmOp op);
void cg_simd_extmul16(FuncCompiler *fc, WasmOp op);
void cg_simd_extmul32(FuncCompiler *fc, WasmOp op);
void cg_simd_abs64(FuncCompiler *fc, WasmOp op);
void cg_simd_mul64(FuncCompiler *fc, WasmOp op);
void cg_simd_dot(FuncCompiler *fc, WasmOp op);

/* ops_simd_float.c */
void cg_simd_float_sign(FuncCompiler *fc, WasmOp op);
void cg_simd_float_min(FuncCompiler *fc, WasmOp op);
void cg_simd_float_max(FuncCompiler *fc, WasmOp op);
void cg_simd_trunc_f32(FuncCompiler *fc, WasmOp op);
void cg_simd_trunc_f64(FuncCompiler *fc, WasmOp op);
void cg_simd_convert_u(FuncCompiler *fc, WasmOp op);
void cg_simd_madd(FuncCompiler *fc, WasmOp op);

#endif
