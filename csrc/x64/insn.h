/* The instructions that are written out: moves, tests, conditions, stack, atomics, jumps, calls. Together
 * with the rows of wasmrt/x64_forms.def (forms.h) these are all. Names: x64_<mnemonic><size>_<operand
 * kinds>(as, dst, src...): size b/w/l/q for general registers; kinds r GPR, x XMM, m memory, i immediate;
 * destination first. The shortest encoding is chosen where operands allow it, never another instruction
 * (x64_zero_r is explicit). Included by asm.h. */
#ifndef WASMRT_X64_INSN_H
#define WASMRT_X64_INSN_H

#include "x64/forms.h"

/* ---- mov ----------------------------------------------------------------------------------------------- */

X64_INLINE void x64_movl_rr(Asm *as, X64Gpr dst, X64Gpr src) {
    x64_emit_rr(as, X64_OP(0, 0, 0x89, 0), src, dst);
}

X64_INLINE void x64_movq_rr(Asm *as, X64Gpr dst, X64Gpr src) {
    x64_emit_rr(as, X64_OP(0, 0, 0x89, 1), src, dst);
}

/* Bytes and words: the rest of the destination is kept; loads want movzbl_rm and its like. */
X64_INLINE void x64_movb_rr(Asm *as, X64Gpr dst, X64Gpr src) {
    x64_emit_rr(as, X64_OP(0, 0, 0x88, 0) | X64_OP_BYTE_REG | X64_OP_BYTE_RM, src, dst);
}

static inline void x64_movb_rm(Asm *as, X64Gpr dst, X64Mem src) {
    x64_emit_rm(as, X64_OP(0, 0, 0x8A, 0) | X64_OP_BYTE_REG, dst, src);
}

static inline void x64_movw_rm(Asm *as, X64Gpr dst, X64Mem src) {
    x64_emit_rm(as, X64_OP(0x66, 0, 0x8B, 0), dst, src);
}

static inline void x64_movl_rm(Asm *as, X64Gpr dst, X64Mem src) {
    x64_emit_rm(as, X64_OP(0, 0, 0x8B, 0), dst, src);
}

static inline void x64_movq_rm(Asm *as, X64Gpr dst, X64Mem src) {
    x64_emit_rm(as, X64_OP(0, 0, 0x8B, 1), dst, src);
}

static inline void x64_movb_mr(Asm *as, X64Mem dst, X64Gpr src) {
    x64_emit_rm(as, X64_OP(0, 0, 0x88, 0) | X64_OP_BYTE_REG, src, dst);
}

static inline void x64_movw_mr(Asm *as, X64Mem dst, X64Gpr src) {
    x64_emit_rm(as, X64_OP(0x66, 0, 0x89, 0), src, dst);
}

static inline void x64_movl_mr(Asm *as, X64Mem dst, X64Gpr src) {
    x64_emit_rm(as, X64_OP(0, 0, 0x89, 0), src, dst);
}

static inline void x64_movq_mr(Asm *as, X64Mem dst, X64Gpr src) {
    x64_emit_rm(as, X64_OP(0, 0, 0x89, 1), src, dst);
}

static inline void x64_movb_mi(Asm *as, X64Mem dst, int32_t imm) {
    x64_assert_imm(imm, 8);
    x64_emit_rm_imm(as, X64_OP(0, 0, 0xC6, 0), 0, dst, imm, 1);
}

static inline void x64_movw_mi(Asm *as, X64Mem dst, int32_t imm) {
    x64_assert_imm(imm, 16);
    x64_emit_rm_imm(as, X64_OP(0x66, 0, 0xC7, 0), 0, dst, imm, 2);
}

static inline void x64_movl_mi(Asm *as, X64Mem dst, int32_t imm) {
    x64_emit_rm_imm(as, X64_OP(0, 0, 0xC7, 0), 0, dst, imm, 4);
}

/* imm is sign-extended to 64 bits */
static inline void x64_movq_mi(Asm *as, X64Mem dst, int32_t imm) {
    x64_emit_rm_imm(as, X64_OP(0, 0, 0xC7, 1), 0, dst, imm, 4);
}

/* Zero-extends; does not touch the flags. */
X64_INLINE void x64_movl_ri(Asm *as, X64Gpr dst, int32_t imm) {
    assert(dst <= R15);
    uint8_t *p = x64_put_head(x64_room(as), X64_OP(0, 0, 0xB8u + (dst & 7), 0), dst >> 3, false);
    x64_store32(p, (uint32_t)imm);
    as->code.cursor = p + 4;
}

/* imm is sign-extended to 64 bits */
X64_INLINE void x64_movq_ri(Asm *as, X64Gpr dst, int32_t imm) {
    x64_emit_rr_imm(as, X64_OP(0, 0, 0xC7, 1), 0, dst, imm, 4);
}

/* Any 64-bit constant in the shortest of movl (5 or 6 bytes), movq with sign-extended imm32 (7), movabsq
 * (10). Flags are kept. */
static inline void x64_movq_ri64(Asm *as, X64Gpr dst, uint64_t imm) {
    if (imm <= UINT32_MAX) {
        x64_movl_ri(as, dst, (int32_t)(uint32_t)imm);
    } else if (imm == (uint64_t)(int64_t)(int32_t)(uint32_t)imm) {
        x64_movq_ri(as, dst, (int32_t)(uint32_t)imm);
    } else {
        uint8_t *p = x64_put_head(x64_room(as), X64_OP(0, 0, 0xB8u + (dst & 7), 1), dst >> 3, false);
        memcpy(p, &imm, 8);
        as->code.cursor = p + 8;
    }
}

/* xorl reg, reg: the shortest zero, changes the flags */
X64_INLINE void x64_zero_r(Asm *as, X64Gpr dst) { x64_xorl_rr(as, dst, dst); }

static inline void x64_leal_rm(Asm *as, X64Gpr dst, X64Mem src) {
    x64_emit_rm(as, X64_OP(0, 0, 0x8D, 0), dst, src);
}

static inline void x64_leaq_rm(Asm *as, X64Gpr dst, X64Mem src) {
    x64_emit_rm(as, X64_OP(0, 0, 0x8D, 1), dst, src);
}

/* ---- test, bt, multiply by a constant, widen ----------------------------------------------------------- */

X64_INLINE void x64_testb_rr(Asm *as, X64Gpr a, X64Gpr b) {
    x64_emit_rr(as, X64_OP(0, 0, 0x84, 0) | X64_OP_BYTE_REG | X64_OP_BYTE_RM, b, a);
}

X64_INLINE void x64_testl_rr(Asm *as, X64Gpr a, X64Gpr b) { x64_emit_rr(as, X64_OP(0, 0, 0x85, 0), b, a); }

X64_INLINE void x64_testq_rr(Asm *as, X64Gpr a, X64Gpr b) { x64_emit_rr(as, X64_OP(0, 0, 0x85, 1), b, a); }

X64_INLINE void x64_testb_ri(Asm *as, X64Gpr a, int32_t imm) {
    x64_assert_imm(imm, 8);
    x64_emit_rr_imm(as, X64_OP(0, 0, 0xF6, 0) | X64_OP_BYTE_RM, 0, a, imm, 1);
}

X64_INLINE void x64_testl_ri(Asm *as, X64Gpr a, int32_t imm) {
    x64_emit_rr_imm(as, X64_OP(0, 0, 0xF7, 0), 0, a, imm, 4);
}

X64_INLINE void x64_testq_ri(Asm *as, X64Gpr a, int32_t imm) {
    x64_emit_rr_imm(as, X64_OP(0, 0, 0xF7, 1), 0, a, imm, 4);
}

static inline void x64_testb_mr(Asm *as, X64Mem a, X64Gpr b) {
    x64_emit_rm(as, X64_OP(0, 0, 0x84, 0) | X64_OP_BYTE_REG, b, a);
}

static inline void x64_testl_mr(Asm *as, X64Mem a, X64Gpr b) { x64_emit_rm(as, X64_OP(0, 0, 0x85, 0), b, a); }

static inline void x64_testq_mr(Asm *as, X64Mem a, X64Gpr b) { x64_emit_rm(as, X64_OP(0, 0, 0x85, 1), b, a); }

static inline void x64_testb_mi(Asm *as, X64Mem a, int32_t imm) {
    x64_assert_imm(imm, 8);
    x64_emit_rm_imm(as, X64_OP(0, 0, 0xF6, 0), 0, a, imm, 1);
}

static inline void x64_testl_mi(Asm *as, X64Mem a, int32_t imm) {
    x64_emit_rm_imm(as, X64_OP(0, 0, 0xF7, 0), 0, a, imm, 4);
}

static inline void x64_testq_mi(Asm *as, X64Mem a, int32_t imm) {
    x64_emit_rm_imm(as, X64_OP(0, 0, 0xF7, 1), 0, a, imm, 4);
}

/* Carry = bit (modulo the size) of a. */
X64_INLINE void x64_btl_rr(Asm *as, X64Gpr a, X64Gpr bit) {
    x64_emit_rr(as, X64_OP(0, 0x0F, 0xA3, 0), bit, a);
}

X64_INLINE void x64_btq_rr(Asm *as, X64Gpr a, X64Gpr bit) {
    x64_emit_rr(as, X64_OP(0, 0x0F, 0xA3, 1), bit, a);
}

X64_INLINE void x64_btl_ri(Asm *as, X64Gpr a, uint8_t bit) {
    x64_emit_rr_imm(as, X64_OP(0, 0x0F, 0xBA, 0), 4, a, bit, 1);
}

X64_INLINE void x64_btq_ri(Asm *as, X64Gpr a, uint8_t bit) {
    x64_emit_rr_imm(as, X64_OP(0, 0x0F, 0xBA, 1), 4, a, bit, 1);
}

static inline void x64_imull_rri(Asm *as, X64Gpr dst, X64Gpr src, int32_t imm) {
    bool short_imm = x64_fits_i8(imm);
    x64_emit_rr_imm(as, X64_OP(0, 0, short_imm ? 0x6B : 0x69, 0), dst, src, imm, short_imm ? 1 : 4);
}

static inline void x64_imulq_rri(Asm *as, X64Gpr dst, X64Gpr src, int32_t imm) {
    bool short_imm = x64_fits_i8(imm);
    x64_emit_rr_imm(as, X64_OP(0, 0, short_imm ? 0x6B : 0x69, 1), dst, src, imm, short_imm ? 1 : 4);
}

static inline void x64_imull_rmi(Asm *as, X64Gpr dst, X64Mem src, int32_t imm) {
    bool short_imm = x64_fits_i8(imm);
    x64_emit_rm_imm(as, X64_OP(0, 0, short_imm ? 0x6B : 0x69, 0), dst, src, imm, short_imm ? 1 : 4);
}

static inline void x64_imulq_rmi(Asm *as, X64Gpr dst, X64Mem src, int32_t imm) {
    bool short_imm = x64_fits_i8(imm);
    x64_emit_rm_imm(as, X64_OP(0, 0, short_imm ? 0x6B : 0x69, 1), dst, src, imm, short_imm ? 1 : 4);
}

X64_INLINE void x64_bswapl_r(Asm *as, X64Gpr reg) {
    assert(reg <= R15);
    as->code.cursor = x64_put_head(x64_room(as), X64_OP(0, 0x0F, 0xC8u + (reg & 7), 0), reg >> 3, false);
}

X64_INLINE void x64_bswapq_r(Asm *as, X64Gpr reg) {
    assert(reg <= R15);
    as->code.cursor = x64_put_head(x64_room(as), X64_OP(0, 0x0F, 0xC8u + (reg & 7), 1), reg >> 3, false);
}

/* ---- on a condition ------------------------------------------------------------------------------------ */

/* One byte: the rest of the register is kept. */
X64_INLINE void x64_setcc_r(Asm *as, X64Cond cond, X64Gpr dst) {
    x64_emit_rr(as, X64_OP(0, 0x0F, 0x90u + cond, 0) | X64_OP_BYTE_RM, 0, dst);
}

static inline void x64_setcc_m(Asm *as, X64Cond cond, X64Mem dst) {
    x64_emit_rm(as, X64_OP(0, 0x0F, 0x90u + cond, 0), 0, dst);
}

/* cmovccl zero-extends its destination whether the condition holds or not. */
X64_INLINE void x64_cmovccl_rr(Asm *as, X64Cond cond, X64Gpr dst, X64Gpr src) {
    x64_emit_rr(as, X64_OP(0, 0x0F, 0x40u + cond, 0), dst, src);
}

X64_INLINE void x64_cmovccq_rr(Asm *as, X64Cond cond, X64Gpr dst, X64Gpr src) {
    x64_emit_rr(as, X64_OP(0, 0x0F, 0x40u + cond, 1), dst, src);
}

/* The load happens whether the condition holds or not. */
static inline void x64_cmovccl_rm(Asm *as, X64Cond cond, X64Gpr dst, X64Mem src) {
    x64_emit_rm(as, X64_OP(0, 0x0F, 0x40u + cond, 0), dst, src);
}

static inline void x64_cmovccq_rm(Asm *as, X64Cond cond, X64Gpr dst, X64Mem src) {
    x64_emit_rm(as, X64_OP(0, 0x0F, 0x40u + cond, 1), dst, src);
}

/* ---- instructions without operands --------------------------------------------------------------------- */

X64_INLINE void x64_emit_bytes(Asm *as, uint32_t bytes, unsigned count) {
    uint8_t *p = x64_room(as);
    x64_store32(p, bytes);
    as->code.cursor = p + count;
}

#define X64_PLAIN(name, bytes, count)                                                                        \
    X64_INLINE void x64_##name(Asm *as) { x64_emit_bytes(as, bytes, count); }
X64_PLAIN(ret, 0xC3, 1)
X64_PLAIN(ud2, 0x0B0F, 2)
X64_PLAIN(int3, 0xCC, 1)
X64_PLAIN(cdq, 0x99, 1)    /* edx:eax = sign-extended eax */
X64_PLAIN(cqo, 0x9948, 2)  /* rdx:rax = sign-extended rax */
X64_PLAIN(cltq, 0x9848, 2) /* rax = sign-extended eax */
X64_PLAIN(leave, 0xC9, 1)
X64_PLAIN(pause, 0x90F3, 2)
X64_PLAIN(mfence, 0xF0AE0F, 3)
X64_PLAIN(rep_movsb, 0xA4F3, 2)
X64_PLAIN(rep_movsq, 0xA548F3, 3)
X64_PLAIN(rep_stosb, 0xAAF3, 2)
X64_PLAIN(rep_stosq, 0xAB48F3, 3)
#undef X64_PLAIN

/* Returns and drops `bytes` of stack arguments. */
X64_INLINE void x64_ret_i(Asm *as, uint16_t bytes) { x64_emit_bytes(as, 0xC2u | (uint32_t)bytes << 8, 3); }

/* `bytes` bytes of no-ops, in instructions of up to nine. */
void wr_x64_nop(Asm *as, uint32_t bytes);
X64_INLINE void x64_nop(Asm *as, uint32_t bytes) { wr_x64_nop(as, bytes); }

/* No-ops up to a multiple of `alignment`, a power of two. */
static inline void x64_align(Asm *as, uint32_t alignment) {
    wr_x64_nop(as, (0u - x64_offset(as)) & (alignment - 1));
}

/* Data among the code: 4 bytes. */
X64_INLINE void x64_data32(Asm *as, uint32_t value) { x64_emit_bytes(as, value, 4); }

/* Jump table entry: target - base as 4 bytes. base is bound, target may not be. */
X64_INLINE void x64_data_label_diff32(Asm *as, X64Label target, X64Label base) {
    uint8_t *p = x64_room(as);
    x64_put_label32(as, p, target, 0u - x64_label_offset(as, base));
    as->code.cursor = p + 4;
}

/* ---- stack --------------------------------------------------------------------------------------------- */

X64_INLINE void x64_pushq_r(Asm *as, X64Gpr src) {
    assert(src <= R15);
    as->code.cursor = x64_put_head(x64_room(as), X64_OP(0, 0, 0x50u + (src & 7), 0), src >> 3, false);
}

X64_INLINE void x64_popq_r(Asm *as, X64Gpr dst) {
    assert(dst <= R15);
    as->code.cursor = x64_put_head(x64_room(as), X64_OP(0, 0, 0x58u + (dst & 7), 0), dst >> 3, false);
}

static inline void x64_pushq_m(Asm *as, X64Mem src) { x64_emit_rm(as, X64_OP(0, 0, 0xFF, 0), 6, src); }

static inline void x64_popq_m(Asm *as, X64Mem dst) { x64_emit_rm(as, X64_OP(0, 0, 0x8F, 0), 0, dst); }

/* imm is sign-extended to 64 bits */
static inline void x64_pushq_i(Asm *as, int32_t imm) {
    uint8_t *p = x64_room(as);
    bool short_imm = x64_fits_i8(imm);
    *p++ = short_imm ? 0x6A : 0x68;
    x64_store32(p, (uint32_t)imm);
    as->code.cursor = p + (short_imm ? 1 : 4);
}

/* ---- atomics (see also lock_* from the rows) ----------------------------------------------------------- */

/* Both operands are exchanged, so both are written. */
X64_INLINE void x64_xchgl_rr(Asm *as, X64Gpr a, X64Gpr b) { x64_emit_rr(as, X64_OP(0, 0, 0x87, 0), b, a); }

X64_INLINE void x64_xchgq_rr(Asm *as, X64Gpr a, X64Gpr b) { x64_emit_rr(as, X64_OP(0, 0, 0x87, 1), b, a); }

/* With memory, xchg locks by itself. */
static inline void x64_xchgb_mr(Asm *as, X64Mem a, X64Gpr b) {
    x64_emit_rm(as, X64_OP(0, 0, 0x86, 0) | X64_OP_BYTE_REG, b, a);
}

static inline void x64_xchgw_mr(Asm *as, X64Mem a, X64Gpr b) {
    x64_emit_rm(as, X64_OP(0x66, 0, 0x87, 0), b, a);
}

static inline void x64_xchgl_mr(Asm *as, X64Mem a, X64Gpr b) { x64_emit_rm(as, X64_OP(0, 0, 0x87, 0), b, a); }

static inline void x64_xchgq_mr(Asm *as, X64Mem a, X64Gpr b) { x64_emit_rm(as, X64_OP(0, 0, 0x87, 1), b, a); }

/* ---- jumps and calls ----------------------------------------------------------------------------------- */

/* `opcode` followed by rel32 to the label */
X64_INLINE void x64_branch32(Asm *as, X64Op op, X64Label label) {
    uint8_t *p = x64_put_head(x64_room(as), op, 0, false);
    x64_put_label32(as, p, label, 0u - ((uint32_t)(p - as->code.start) + 4));
    as->code.cursor = p + 4;
}

/* To a bound label in reach: the two-byte form. */
X64_INLINE bool x64_branch_back8(Asm *as, unsigned opcode, X64Label label) {
    uint32_t target = as->labels[label.id].offset;
    uint8_t *p = x64_room(as);
    uint32_t back = (uint32_t)(p - as->code.start) + 2 - target;
    if (target == X64_UNBOUND || back > 128) { return false; }
    p[0] = (uint8_t)opcode;
    p[1] = (uint8_t)(0u - back);
    as->code.cursor = p + 2;
    return true;
}

/* Two bytes whatever the label; one that is bound more than 127 bytes on is our bug (assert,
 * X64_SHORT_JUMP_FAR). */
static inline void x64_branch8(Asm *as, unsigned opcode, X64Label label) {
    if (x64_branch_back8(as, opcode, label)) { return; }
    uint8_t *p = x64_room(as);
    p[0] = (uint8_t)opcode;
    p[1] = 0;
    if (x64_label_is_bound(as, label)) {
        wr_x64_fail(as, X64_SHORT_JUMP_FAR);
    } else {
        x64_fixup_add(as, label, ((uint32_t)(p - as->code.start) + 1) | X64_FIXUP_SHORT);
    }
    as->code.cursor = p + 2;
}

static inline void x64_jmp(Asm *as, X64Label label) {
    if (!x64_branch_back8(as, 0xEB, label)) { x64_branch32(as, X64_OP(0, 0, 0xE9, 0), label); }
}

static inline void x64_jcc(Asm *as, X64Cond cond, X64Label label) {
    if (!x64_branch_back8(as, 0x70u + cond, label)) {
        x64_branch32(as, X64_OP(0, 0x0F, 0x80u + cond, 0), label);
    }
}

static inline void x64_jmp_short(Asm *as, X64Label label) { x64_branch8(as, 0xEB, label); }

static inline void x64_jcc_short(Asm *as, X64Cond cond, X64Label label) {
    x64_branch8(as, 0x70u + cond, label);
}

X64_INLINE void x64_call_label(Asm *as, X64Label label) { x64_branch32(as, X64_OP(0, 0, 0xE8, 0), label); }

X64_INLINE void x64_jmp_r(Asm *as, X64Gpr target) { x64_emit_rr(as, X64_OP(0, 0, 0xFF, 0), 4, target); }

static inline void x64_jmp_m(Asm *as, X64Mem target) { x64_emit_rm(as, X64_OP(0, 0, 0xFF, 0), 4, target); }

X64_INLINE void x64_call_r(Asm *as, X64Gpr target) { x64_emit_rr(as, X64_OP(0, 0, 0xFF, 0), 2, target); }

static inline void x64_call_m(Asm *as, X64Mem target) { x64_emit_rm(as, X64_OP(0, 0, 0xFF, 0), 2, target); }

/* A zero rel32 field and its relocation; `addend` bytes past the target. */
X64_INLINE void x64_branch_reloc(Asm *as, X64Op op, CodeRelocKind kind, uint32_t target, int32_t addend) {
    uint8_t *p = x64_put_head(x64_room(as), op, 0, false);
    x64_store32(p, 0);
    wr_x64_reloc_add(as, (uint32_t)(p - as->code.start), kind, target, addend - 4);
    as->code.cursor = p + 4;
}

static inline void x64_call_reloc(Asm *as, CodeRelocKind kind, uint32_t target, int32_t addend) {
    x64_branch_reloc(as, X64_OP(0, 0, 0xE8, 0), kind, target, addend);
}

static inline void x64_jmp_reloc(Asm *as, CodeRelocKind kind, uint32_t target, int32_t addend) {
    x64_branch_reloc(as, X64_OP(0, 0, 0xE9, 0), kind, target, addend);
}

static inline void x64_jcc_reloc(Asm *as, X64Cond cond, CodeRelocKind kind, uint32_t target, int32_t addend) {
    x64_branch_reloc(as, X64_OP(0, 0x0F, 0x80u + cond, 0), kind, target, addend);
}

/* dst = address of target + addend, rip-relative */
static inline void x64_leaq_reloc(Asm *as, X64Gpr dst, CodeRelocKind kind, uint32_t target, int32_t addend) {
    assert(dst <= R15);
    uint8_t *p = x64_put_head(x64_room(as), X64_OP(0, 0, 0x8D, 1), dst >> 1 & 4, false);
    *p++ = (uint8_t)((dst & 7) << 3 | 5);
    x64_store32(p, 0);
    wr_x64_reloc_add(as, (uint32_t)(p - as->code.start), kind, target, addend - 4);
    as->code.cursor = p + 4;
}

#endif
