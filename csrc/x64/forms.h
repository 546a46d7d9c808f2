/* The instructions that come from the rows of wasmrt/x64_forms.def: what each kind of row expands to. The
 * legend there lists the names; the order of a name's operand kinds is the order of the parameters.
 * Included by asm.h. */
#ifndef WASMRT_X64_FORMS_H
#define WASMRT_X64_FORMS_H

#include "x64/encode.h"

X64_INLINE bool x64_fits_i8(int32_t imm) { return imm == (int8_t)imm; }

/* ---- rows: integers ------------------------------------------------------------------------------------ */

/* op r/m, imm of the 80/81/83 group; `opcode` + 5 is the form on rax without ModRM */
X64_INLINE void x64_alu_ri(Asm *as, unsigned opcode, unsigned ext, unsigned prefix, unsigned w, X64Gpr dst,
                           int32_t imm) {
    if (x64_fits_i8(imm)) {
        x64_emit_rr_imm(as, X64_OP(prefix, 0, 0x83, w), ext, dst, imm, 1);
    } else if (dst == RAX) {
        uint8_t *p = x64_put_head(x64_room(as), X64_OP(prefix, 0, opcode + 5, w), 0, false);
        x64_store32(p, (uint32_t)imm);
        as->code.cursor = p + (prefix ? 2 : 4);
    } else {
        x64_emit_rr_imm(as, X64_OP(prefix, 0, 0x81, w), ext, dst, imm, prefix ? 2 : 4);
    }
}

static inline void x64_alu_mi(Asm *as, unsigned ext, unsigned prefix, unsigned w, X64Mem dst, int32_t imm) {
    bool short_imm = x64_fits_i8(imm);
    x64_emit_rm_imm(as, X64_OP(prefix, 0, short_imm ? 0x83 : 0x81, w), ext, dst, imm,
                    short_imm ? 1
                    : prefix  ? 2
                              : 4);
}

X64_INLINE void x64_assert_imm(int32_t imm, unsigned bits) {
    assert(imm >= -(1 << (bits - 1)) && imm < 1 << bits);
    (void)imm, (void)bits;
}

#define X64_ALU_SIZE(mnemonic, opcode, ext, prefix, w)                                                       \
    X64_INLINE void x64_##mnemonic##_rr(Asm *as, X64Gpr dst, X64Gpr src) {                                   \
        x64_emit_rr(as, X64_OP(prefix, 0, (opcode) + 1, w), src, dst);                                       \
    }                                                                                                        \
    static inline void x64_##mnemonic##_rm(Asm *as, X64Gpr dst, X64Mem src) {                                \
        x64_emit_rm(as, X64_OP(prefix, 0, (opcode) + 3, w), dst, src);                                       \
    }                                                                                                        \
    static inline void x64_##mnemonic##_mr(Asm *as, X64Mem dst, X64Gpr src) {                                \
        x64_emit_rm(as, X64_OP(prefix, 0, (opcode) + 1, w), src, dst);                                       \
    }                                                                                                        \
    static inline void x64_##mnemonic##_ri(Asm *as, X64Gpr dst, int32_t imm) {                               \
        x64_alu_ri(as, opcode, ext, prefix, w, dst, imm);                                                    \
    }                                                                                                        \
    static inline void x64_##mnemonic##_mi(Asm *as, X64Mem dst, int32_t imm) {                               \
        x64_alu_mi(as, ext, prefix, w, dst, imm);                                                            \
    }
#define X64_ALU_RI32(mnemonic, ext, w)                                                                       \
    X64_INLINE void x64_##mnemonic##_ri32(Asm *as, X64Gpr dst, int32_t imm) {                                \
        x64_emit_rr_imm(as, X64_OP(0, 0, 0x81, w), ext, dst, imm, 4);                                        \
    }
#define X64_ALU(name, opcode, ext)                                                                           \
    X64_ALU_SIZE(name##w, opcode, ext, 0x66, 0)                                                              \
    X64_ALU_SIZE(name##l, opcode, ext, 0, 0)                                                                 \
    X64_ALU_SIZE(name##q, opcode, ext, 0, 1)                                                                 \
    X64_ALU_RI32(name##l, ext, 0)                                                                            \
    X64_ALU_RI32(name##q, ext, 1)                                                                            \
    X64_INLINE void x64_##name##b_rr(Asm *as, X64Gpr dst, X64Gpr src) {                                      \
        x64_emit_rr(as, X64_OP(0, 0, opcode, 0) | X64_OP_BYTE_REG | X64_OP_BYTE_RM, src, dst);               \
    }                                                                                                        \
    static inline void x64_##name##b_rm(Asm *as, X64Gpr dst, X64Mem src) {                                   \
        x64_emit_rm(as, X64_OP(0, 0, (opcode) + 2, 0) | X64_OP_BYTE_REG, dst, src);                          \
    }                                                                                                        \
    static inline void x64_##name##b_mr(Asm *as, X64Mem dst, X64Gpr src) {                                   \
        x64_emit_rm(as, X64_OP(0, 0, opcode, 0) | X64_OP_BYTE_REG, src, dst);                                \
    }                                                                                                        \
    X64_INLINE void x64_##name##b_ri(Asm *as, X64Gpr dst, int32_t imm) {                                     \
        x64_assert_imm(imm, 8);                                                                              \
        x64_emit_rr_imm(as, X64_OP(0, 0, 0x80, 0) | X64_OP_BYTE_RM, ext, dst, imm, 1);                       \
    }                                                                                                        \
    static inline void x64_##name##b_mi(Asm *as, X64Mem dst, int32_t imm) {                                  \
        x64_assert_imm(imm, 8);                                                                              \
        x64_emit_rm_imm(as, X64_OP(0, 0, 0x80, 0), ext, dst, imm, 1);                                        \
    }
#define X64_LOCKED_SIZE(mnemonic, op)                                                                        \
    static inline void x64_lock_##mnemonic##_mr(Asm *as, X64Mem dst, X64Gpr src) {                           \
        x64_emit_rm(as, (op) | X64_OP_LOCK, src, dst);                                                       \
    }
#define X64_LOCKED(name, map, opcode)                                                                        \
    X64_LOCKED_SIZE(name##b, X64_OP(0, map, opcode, 0) | X64_OP_BYTE_REG)                                    \
    X64_LOCKED_SIZE(name##w, X64_OP(0x66, map, (opcode) + 1, 0))                                             \
    X64_LOCKED_SIZE(name##l, X64_OP(0, map, (opcode) + 1, 0))                                                \
    X64_LOCKED_SIZE(name##q, X64_OP(0, map, (opcode) + 1, 1))
#define X64_UNARY(name, ext)                                                                                 \
    X64_INLINE void x64_##name##l_r(Asm *as, X64Gpr reg) {                                                   \
        x64_emit_rr(as, X64_OP(0, 0, 0xF7, 0), ext, reg);                                                    \
    }                                                                                                        \
    static inline void x64_##name##l_m(Asm *as, X64Mem mem) {                                                \
        x64_emit_rm(as, X64_OP(0, 0, 0xF7, 0), ext, mem);                                                    \
    }                                                                                                        \
    X64_INLINE void x64_##name##q_r(Asm *as, X64Gpr reg) {                                                   \
        x64_emit_rr(as, X64_OP(0, 0, 0xF7, 1), ext, reg);                                                    \
    }                                                                                                        \
    static inline void x64_##name##q_m(Asm *as, X64Mem mem) {                                                \
        x64_emit_rm(as, X64_OP(0, 0, 0xF7, 1), ext, mem);                                                    \
    }
/* The count is taken modulo the operand's size, as the hardware does. */
X64_INLINE void x64_shift_ri(Asm *as, unsigned ext, unsigned w, X64Gpr dst, uint8_t count) {
    if (count == 1) {
        x64_emit_rr(as, X64_OP(0, 0, 0xD1, w), ext, dst);
    } else {
        x64_emit_rr_imm(as, X64_OP(0, 0, 0xC1, w), ext, dst, count, 1);
    }
}
#define X64_SHIFT(name, ext)                                                                                 \
    static inline void x64_##name##l_ri(Asm *as, X64Gpr dst, uint8_t count) {                                \
        x64_shift_ri(as, ext, 0, dst, count);                                                                \
    }                                                                                                        \
    X64_INLINE void x64_##name##l_cl(Asm *as, X64Gpr dst) {                                                  \
        x64_emit_rr(as, X64_OP(0, 0, 0xD3, 0), ext, dst);                                                    \
    }                                                                                                        \
    static inline void x64_##name##q_ri(Asm *as, X64Gpr dst, uint8_t count) {                                \
        x64_shift_ri(as, ext, 1, dst, count);                                                                \
    }                                                                                                        \
    X64_INLINE void x64_##name##q_cl(Asm *as, X64Gpr dst) {                                                  \
        x64_emit_rr(as, X64_OP(0, 0, 0xD3, 1), ext, dst);                                                    \
    }
#define X64_RRM(name, prefix, map, opcode, w, byte_source, feature)                                          \
    X64_INLINE void x64_##name##_rr(Asm *as, X64Gpr dst, X64Gpr src) {                                       \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr(as, X64_OP(prefix, map, opcode, w) | (byte_source ? X64_OP_BYTE_RM : 0), dst, src);      \
    }                                                                                                        \
    static inline void x64_##name##_rm(Asm *as, X64Gpr dst, X64Mem src) {                                    \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rm(as, X64_OP(prefix, map, opcode, w), dst, src);                                           \
    }
#define X64_BMI_RRR(name, prefix, map, opcode, w, feature)                                                   \
    X64_INLINE void x64_##name##_rrr(Asm *as, X64Gpr dst, X64Gpr a, X64Gpr b) {                              \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rr(as, X64_OP(prefix, map, opcode, w), dst, a, b);                                           \
    }                                                                                                        \
    static inline void x64_##name##_rrm(Asm *as, X64Gpr dst, X64Gpr a, X64Mem b) {                           \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rm(as, X64_OP(prefix, map, opcode, w), dst, a, b);                                           \
    }
#define X64_BMI_SHIFT(name, prefix, map, opcode, w, feature)                                                 \
    X64_INLINE void x64_##name##_rrr(Asm *as, X64Gpr dst, X64Gpr value, X64Gpr count) {                      \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rr(as, X64_OP(prefix, map, opcode, w), dst, count, value);                                   \
    }                                                                                                        \
    static inline void x64_##name##_rmr(Asm *as, X64Gpr dst, X64Mem value, X64Gpr count) {                   \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rm(as, X64_OP(prefix, map, opcode, w), dst, count, value);                                   \
    }
#define X64_BMI_RRI(name, prefix, map, opcode, w, feature)                                                   \
    X64_INLINE void x64_##name##_rri(Asm *as, X64Gpr dst, X64Gpr src, uint8_t imm) {                         \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rr_imm(as, X64_OP(prefix, map, opcode, w), dst, 0, src, imm, 1);                             \
    }                                                                                                        \
    static inline void x64_##name##_rmi(Asm *as, X64Gpr dst, X64Mem src, uint8_t imm) {                      \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rm_imm(as, X64_OP(prefix, map, opcode, w), dst, 0, src, imm, 1);                             \
    }
#define X64_BMI_UNARY(name, opcode, ext, w, feature)                                                         \
    X64_INLINE void x64_##name##_rr(Asm *as, X64Gpr dst, X64Gpr src) {                                       \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rr(as, X64_OP(0, 0x38, opcode, w), ext, dst, src);                                           \
    }                                                                                                        \
    static inline void x64_##name##_rm(Asm *as, X64Gpr dst, X64Mem src) {                                    \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rm(as, X64_OP(0, 0x38, opcode, w), ext, dst, src);                                           \
    }

/* ---- rows: SSE and AVX --------------------------------------------------------------------------------- */

#define X64_SSE_BIN(name, prefix, map, opcode, feature)                                                      \
    X64_INLINE void x64_##name##_xx(Asm *as, X64Xmm dst, X64Xmm src) {                                       \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr(as, X64_OP(prefix, map, opcode, 0), dst, src);                                           \
    }                                                                                                        \
    static inline void x64_##name##_xm(Asm *as, X64Xmm dst, X64Mem src) {                                    \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rm(as, X64_OP(prefix, map, opcode, 0), dst, src);                                           \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_xxx(Asm *as, X64Xmm dst, X64Xmm a, X64Xmm b) {                             \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr(as, X64_OP(prefix, map, opcode, 0), dst, a, b);                                           \
    }                                                                                                        \
    static inline void x64_v##name##_xxm(Asm *as, X64Xmm dst, X64Xmm a, X64Mem b) {                          \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rm(as, X64_OP(prefix, map, opcode, 0), dst, a, b);                                           \
    }
#define X64_SSE_BIN_I(name, prefix, map, opcode, feature)                                                    \
    X64_INLINE void x64_##name##_xxi(Asm *as, X64Xmm dst, X64Xmm src, uint8_t imm) {                         \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr_imm(as, X64_OP(prefix, map, opcode, 0), dst, src, imm, 1);                               \
    }                                                                                                        \
    static inline void x64_##name##_xmi(Asm *as, X64Xmm dst, X64Mem src, uint8_t imm) {                      \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rm_imm(as, X64_OP(prefix, map, opcode, 0), dst, src, imm, 1);                               \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_xxxi(Asm *as, X64Xmm dst, X64Xmm a, X64Xmm b, uint8_t imm) {               \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr_imm(as, X64_OP(prefix, map, opcode, 0), dst, a, b, imm, 1);                               \
    }                                                                                                        \
    static inline void x64_v##name##_xxmi(Asm *as, X64Xmm dst, X64Xmm a, X64Mem b, uint8_t imm) {            \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rm_imm(as, X64_OP(prefix, map, opcode, 0), dst, a, b, imm, 1);                               \
    }
#define X64_SSE_UN(name, prefix, map, opcode, feature)                                                       \
    X64_INLINE void x64_##name##_xx(Asm *as, X64Xmm dst, X64Xmm src) {                                       \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr(as, X64_OP(prefix, map, opcode, 0), dst, src);                                           \
    }                                                                                                        \
    static inline void x64_##name##_xm(Asm *as, X64Xmm dst, X64Mem src) {                                    \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rm(as, X64_OP(prefix, map, opcode, 0), dst, src);                                           \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_xx(Asm *as, X64Xmm dst, X64Xmm src) {                                      \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr(as, X64_OP(prefix, map, opcode, 0), dst, 0, src);                                         \
    }                                                                                                        \
    static inline void x64_v##name##_xm(Asm *as, X64Xmm dst, X64Mem src) {                                   \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rm(as, X64_OP(prefix, map, opcode, 0), dst, 0, src);                                         \
    }
#define X64_SSE_UN_I(name, prefix, map, opcode, feature)                                                     \
    X64_INLINE void x64_##name##_xxi(Asm *as, X64Xmm dst, X64Xmm src, uint8_t imm) {                         \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr_imm(as, X64_OP(prefix, map, opcode, 0), dst, src, imm, 1);                               \
    }                                                                                                        \
    static inline void x64_##name##_xmi(Asm *as, X64Xmm dst, X64Mem src, uint8_t imm) {                      \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rm_imm(as, X64_OP(prefix, map, opcode, 0), dst, src, imm, 1);                               \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_xxi(Asm *as, X64Xmm dst, X64Xmm src, uint8_t imm) {                        \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr_imm(as, X64_OP(prefix, map, opcode, 0), dst, 0, src, imm, 1);                             \
    }                                                                                                        \
    static inline void x64_v##name##_xmi(Asm *as, X64Xmm dst, X64Mem src, uint8_t imm) {                     \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rm_imm(as, X64_OP(prefix, map, opcode, 0), dst, 0, src, imm, 1);                             \
    }
#define X64_SSE_BIN_RR(name, prefix, map, opcode, feature)                                                   \
    X64_INLINE void x64_##name##_xx(Asm *as, X64Xmm dst, X64Xmm src) {                                       \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr(as, X64_OP(prefix, map, opcode, 0), dst, src);                                           \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_xxx(Asm *as, X64Xmm dst, X64Xmm a, X64Xmm b) {                             \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr(as, X64_OP(prefix, map, opcode, 0), dst, a, b);                                           \
    }
#define X64_SSE_BIN_RM(name, prefix, map, opcode, feature)                                                   \
    static inline void x64_##name##_xm(Asm *as, X64Xmm dst, X64Mem src) {                                    \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rm(as, X64_OP(prefix, map, opcode, 0), dst, src);                                           \
    }                                                                                                        \
    static inline void x64_v##name##_xxm(Asm *as, X64Xmm dst, X64Xmm a, X64Mem b) {                          \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rm(as, X64_OP(prefix, map, opcode, 0), dst, a, b);                                           \
    }
#define X64_SSE_UN_RR(name, prefix, map, opcode, feature)                                                    \
    X64_INLINE void x64_##name##_xx(Asm *as, X64Xmm dst, X64Xmm src) {                                       \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr(as, X64_OP(prefix, map, opcode, 0), dst, src);                                           \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_xx(Asm *as, X64Xmm dst, X64Xmm src) {                                      \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr(as, X64_OP(prefix, map, opcode, 0), dst, 0, src);                                         \
    }
#define X64_SSE_LOAD(name, prefix, map, opcode, feature)                                                     \
    static inline void x64_##name##_xm(Asm *as, X64Xmm dst, X64Mem src) {                                    \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rm(as, X64_OP(prefix, map, opcode, 0), dst, src);                                           \
    }                                                                                                        \
    static inline void x64_v##name##_xm(Asm *as, X64Xmm dst, X64Mem src) {                                   \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rm(as, X64_OP(prefix, map, opcode, 0), dst, 0, src);                                         \
    }
#define X64_SSE_STORE(name, prefix, map, opcode, feature)                                                    \
    static inline void x64_##name##_mx(Asm *as, X64Mem dst, X64Xmm src) {                                    \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rm(as, X64_OP(prefix, map, opcode, 0), src, dst);                                           \
    }                                                                                                        \
    static inline void x64_v##name##_mx(Asm *as, X64Mem dst, X64Xmm src) {                                   \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rm(as, X64_OP(prefix, map, opcode, 0), src, 0, dst);                                         \
    }
#define X64_SSE_SHIFT_I(name, opcode, ext)                                                                   \
    X64_INLINE void x64_##name##_xi(Asm *as, X64Xmm dst, uint8_t count) {                                    \
        x64_emit_rr_imm(as, X64_OP(0x66, 0x0F, opcode, 0), ext, dst, count, 1);                              \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_xxi(Asm *as, X64Xmm dst, X64Xmm src, uint8_t count) {                      \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr_imm(as, X64_OP(0x66, 0x0F, opcode, 0), ext, dst, src, count, 1);                          \
    }
#define X64_SSE_BLENDV(name, opcode, vex_opcode, feature)                                                    \
    X64_INLINE void x64_##name##_xx(Asm *as, X64Xmm dst, X64Xmm src) {                                       \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr(as, X64_OP(0x66, 0x38, opcode, 0), dst, src);                                            \
    }                                                                                                        \
    static inline void x64_##name##_xm(Asm *as, X64Xmm dst, X64Mem src) {                                    \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rm(as, X64_OP(0x66, 0x38, opcode, 0), dst, src);                                            \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_xxxx(Asm *as, X64Xmm dst, X64Xmm a, X64Xmm b, X64Xmm mask) {               \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr_imm(as, X64_OP(0x66, 0x3A, vex_opcode, 0), dst, a, b, (int32_t)(mask << 4), 1);           \
    }                                                                                                        \
    static inline void x64_v##name##_xxmx(Asm *as, X64Xmm dst, X64Xmm a, X64Mem b, X64Xmm mask) {            \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rm_imm(as, X64_OP(0x66, 0x3A, vex_opcode, 0), dst, a, b, (int32_t)(mask << 4), 1);           \
    }
#define X64_SSE_FROM_GPR(name, prefix, map, opcode, w, feature)                                              \
    X64_INLINE void x64_##name##_xr(Asm *as, X64Xmm dst, X64Gpr src) {                                       \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr(as, X64_OP(prefix, map, opcode, w), dst, src);                                           \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_xr(Asm *as, X64Xmm dst, X64Gpr src) {                                      \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr(as, X64_OP(prefix, map, opcode, w), dst, 0, src);                                         \
    }
#define X64_SSE_CVT_FROM_GPR(name, prefix, map, opcode, w, feature)                                          \
    X64_INLINE void x64_##name##_xr(Asm *as, X64Xmm dst, X64Gpr src) {                                       \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr(as, X64_OP(prefix, map, opcode, w), dst, src);                                           \
    }                                                                                                        \
    static inline void x64_##name##_xm(Asm *as, X64Xmm dst, X64Mem src) {                                    \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rm(as, X64_OP(prefix, map, opcode, w), dst, src);                                           \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_xxr(Asm *as, X64Xmm dst, X64Xmm upper, X64Gpr src) {                       \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr(as, X64_OP(prefix, map, opcode, w), dst, upper, src);                                     \
    }                                                                                                        \
    static inline void x64_v##name##_xxm(Asm *as, X64Xmm dst, X64Xmm upper, X64Mem src) {                    \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rm(as, X64_OP(prefix, map, opcode, w), dst, upper, src);                                     \
    }
#define X64_SSE_TO_GPR(name, prefix, map, opcode, w, feature)                                                \
    X64_INLINE void x64_##name##_rx(Asm *as, X64Gpr dst, X64Xmm src) {                                       \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr(as, X64_OP(prefix, map, opcode, w), dst, src);                                           \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_rx(Asm *as, X64Gpr dst, X64Xmm src) {                                      \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr(as, X64_OP(prefix, map, opcode, w), dst, 0, src);                                         \
    }
#define X64_SSE_CVT_TO_GPR(name, prefix, map, opcode, w, feature)                                            \
    X64_INLINE void x64_##name##_rx(Asm *as, X64Gpr dst, X64Xmm src) {                                       \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr(as, X64_OP(prefix, map, opcode, w), dst, src);                                           \
    }                                                                                                        \
    static inline void x64_##name##_rm(Asm *as, X64Gpr dst, X64Mem src) {                                    \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rm(as, X64_OP(prefix, map, opcode, w), dst, src);                                           \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_rx(Asm *as, X64Gpr dst, X64Xmm src) {                                      \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr(as, X64_OP(prefix, map, opcode, w), dst, 0, src);                                         \
    }                                                                                                        \
    static inline void x64_v##name##_rm(Asm *as, X64Gpr dst, X64Mem src) {                                   \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rm(as, X64_OP(prefix, map, opcode, w), dst, 0, src);                                         \
    }
#define X64_SSE_FROM_XMM(name, prefix, map, opcode, w, feature)                                              \
    X64_INLINE void x64_##name##_rx(Asm *as, X64Gpr dst, X64Xmm src) {                                       \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr(as, X64_OP(prefix, map, opcode, w), src, dst);                                           \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_rx(Asm *as, X64Gpr dst, X64Xmm src) {                                      \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr(as, X64_OP(prefix, map, opcode, w), src, 0, dst);                                         \
    }
#define X64_SSE_EXTRACT(name, prefix, map, opcode, w, feature)                                               \
    X64_INLINE void x64_##name##_rxi(Asm *as, X64Gpr dst, X64Xmm src, uint8_t lane) {                        \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr_imm(as, X64_OP(prefix, map, opcode, w), src, dst, lane, 1);                              \
    }                                                                                                        \
    static inline void x64_##name##_mxi(Asm *as, X64Mem dst, X64Xmm src, uint8_t lane) {                     \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rm_imm(as, X64_OP(prefix, map, opcode, w), src, dst, lane, 1);                              \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_rxi(Asm *as, X64Gpr dst, X64Xmm src, uint8_t lane) {                       \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr_imm(as, X64_OP(prefix, map, opcode, w), src, 0, dst, lane, 1);                            \
    }                                                                                                        \
    static inline void x64_v##name##_mxi(Asm *as, X64Mem dst, X64Xmm src, uint8_t lane) {                    \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rm_imm(as, X64_OP(prefix, map, opcode, w), src, 0, dst, lane, 1);                            \
    }
#define X64_SSE_INSERT(name, prefix, map, opcode, w, feature)                                                \
    X64_INLINE void x64_##name##_xri(Asm *as, X64Xmm dst, X64Gpr src, uint8_t lane) {                        \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rr_imm(as, X64_OP(prefix, map, opcode, w), dst, src, lane, 1);                              \
    }                                                                                                        \
    static inline void x64_##name##_xmi(Asm *as, X64Xmm dst, X64Mem src, uint8_t lane) {                     \
        X64_NEED(as, feature);                                                                               \
        x64_emit_rm_imm(as, X64_OP(prefix, map, opcode, w), dst, src, lane, 1);                              \
    }                                                                                                        \
    X64_INLINE void x64_v##name##_xxri(Asm *as, X64Xmm dst, X64Xmm a, X64Gpr src, uint8_t lane) {            \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rr_imm(as, X64_OP(prefix, map, opcode, w), dst, a, src, lane, 1);                            \
    }                                                                                                        \
    static inline void x64_v##name##_xxmi(Asm *as, X64Xmm dst, X64Xmm a, X64Mem src, uint8_t lane) {         \
        X64_NEED(as, AVX);                                                                                   \
        x64_vex_rm_imm(as, X64_OP(prefix, map, opcode, w), dst, a, src, lane, 1);                            \
    }
#define X64_AVX_BIN(name, prefix, map, opcode, w, feature)                                                   \
    X64_INLINE void x64_v##name##_xxx(Asm *as, X64Xmm dst, X64Xmm a, X64Xmm b) {                             \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rr(as, X64_OP(prefix, map, opcode, w), dst, a, b);                                           \
    }                                                                                                        \
    static inline void x64_v##name##_xxm(Asm *as, X64Xmm dst, X64Xmm a, X64Mem b) {                          \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rm(as, X64_OP(prefix, map, opcode, w), dst, a, b);                                           \
    }
#define X64_AVX_BIN_I(name, prefix, map, opcode, w, feature)                                                 \
    X64_INLINE void x64_v##name##_xxxi(Asm *as, X64Xmm dst, X64Xmm a, X64Xmm b, uint8_t imm) {               \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rr_imm(as, X64_OP(prefix, map, opcode, w), dst, a, b, imm, 1);                               \
    }                                                                                                        \
    static inline void x64_v##name##_xxmi(Asm *as, X64Xmm dst, X64Xmm a, X64Mem b, uint8_t imm) {            \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rm_imm(as, X64_OP(prefix, map, opcode, w), dst, a, b, imm, 1);                               \
    }
#define X64_AVX_UN(name, prefix, map, opcode, w, feature)                                                    \
    X64_INLINE void x64_v##name##_xx(Asm *as, X64Xmm dst, X64Xmm src) {                                      \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rr(as, X64_OP(prefix, map, opcode, w), dst, 0, src);                                         \
    }                                                                                                        \
    static inline void x64_v##name##_xm(Asm *as, X64Xmm dst, X64Mem src) {                                   \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rm(as, X64_OP(prefix, map, opcode, w), dst, 0, src);                                         \
    }
#define X64_AVX_UN_I(name, prefix, map, opcode, w, feature)                                                  \
    X64_INLINE void x64_v##name##_xxi(Asm *as, X64Xmm dst, X64Xmm src, uint8_t imm) {                        \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rr_imm(as, X64_OP(prefix, map, opcode, w), dst, 0, src, imm, 1);                             \
    }                                                                                                        \
    static inline void x64_v##name##_xmi(Asm *as, X64Xmm dst, X64Mem src, uint8_t imm) {                     \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rm_imm(as, X64_OP(prefix, map, opcode, w), dst, 0, src, imm, 1);                             \
    }
#define X64_AVX_LOAD(name, prefix, map, opcode, w, feature)                                                  \
    static inline void x64_v##name##_xm(Asm *as, X64Xmm dst, X64Mem src) {                                   \
        X64_NEED(as, feature);                                                                               \
        x64_vex_rm(as, X64_OP(prefix, map, opcode, w), dst, 0, src);                                         \
    }

#include "wasmrt/x64_forms.def"

#endif
