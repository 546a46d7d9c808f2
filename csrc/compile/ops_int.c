/* Integer arithmetic. Each function lists its strategies in order: fold constants, identities, immediate, memory, register; a register is reused
 * where an operand dies, and results go straight to the local that is set next (cg_dest). Sources are never changed unless the stack owned them. */
#include "compile/state.h"

enum { ALU_ADD = 0x00, ALU_OR = 0x08, ALU_AND = 0x20, ALU_SUB = 0x28, ALU_XOR = 0x30, ALU_CMP = 0x38 };

static inline uint64_t int_wrap(uint8_t type, uint64_t bits) { return type == WR_KIND_I32 ? (uint32_t)bits : bits; }

static inline void int_rr(FuncCompiler *fc, unsigned alu, bool wide, Reg dst, Reg src)
{
    x64_emit_rr(fc->as, X64_OP(0, 0, alu + 3, 0) | (wide ? (X64Op)X64_OP_W : 0), dst, src);
}

static inline void int_rm(FuncCompiler *fc, unsigned alu, bool wide, Reg dst, X64Mem src)
{
    x64_emit_rm(fc->as, X64_OP(0, 0, alu + 3, 0) | (wide ? (X64Op)X64_OP_W : 0), dst, src);
}

static inline void int_ri(FuncCompiler *fc, unsigned alu, bool wide, Reg dst, int32_t imm) { x64_alu_ri(fc->as, alu, alu >> 3, 0, wide, REG_GPR(dst), imm); }

static inline void int_lea(FuncCompiler *fc, bool wide, Reg dst, X64Mem mem)
{
    if (wide) x64_leaq_rm(fc->as, REG_GPR(dst), mem);
    else x64_leal_rm(fc->as, REG_GPR(dst), mem);
}

static inline void val_swap(Val *a, Val *b)
{
    Val t = *a;
    *a = *b;
    *b = t;
}

/* What follows makes flags of the value: br_if, if, or eqz and then one of those. *out_cond: true where the value is not zero. */
static bool int_next_is_branch(FuncCompiler *fc, uint8_t type, Cond *out_cond)
{
    const uint8_t *p = fc->ip;
    *out_cond = cg_cond(X64_CC_NE);
    if (p[0] == (type == WR_KIND_I32 ? 0x45 : 0x50)) { /* i32.eqz, i64.eqz */
        *out_cond = cg_cond(X64_CC_E);
        if (p[1] != 0x0d && p[1] != 0x04) return false;
        fc->ip++;
        return true;
    }
    return type == WR_KIND_I32 && (p[0] == 0x0d || p[0] == 0x04);
}

bool cg_zero_flag_holds(const FuncCompiler *fc, const Val *v)
{
    if (fc->zero_at != x64_offset(fc->as) || v->type != fc->zero_type) return false;
    Reg reg = v->kind == VAL_REG ? v->reg : v->kind == VAL_LOCAL ? fc->local_reg[v->index] : REG_NONE;
    return reg == fc->zero_reg;
}

static void int_note_zero(FuncCompiler *fc, uint8_t type, Reg reg)
{
    fc->zero_at = x64_offset(fc->as);
    fc->zero_reg = reg;
    fc->zero_type = type;
}

/* ---- and, or, xor, add, sub -------------------------------------------------------------------------------------------------------- */

static uint64_t alu_fold(unsigned alu, uint64_t a, uint64_t b)
{
    switch (alu) {
    case ALU_ADD: return a + b;
    case ALU_OR: return a | b;
    case ALU_AND: return a & b;
    case ALU_SUB: return a - b;
    default: return a ^ b;
    }
}

/* and used as a condition only: test */
static bool alu_test(FuncCompiler *fc, uint8_t type, Val *a, Val *b)
{
    Cond cond;
    if (!int_next_is_branch(fc, type, &cond)) return false;
    bool wide = type == WR_KIND_I64;
    Reg ra = cg_reg(fc, a);
    if (b->kind == VAL_CONST && cg_fits_i32(type, b->bits)) {
        if (b->bits <= 0x7f) x64_testb_ri(fc->as, REG_GPR(ra), (int32_t)b->bits);
        else if (wide && b->bits > INT32_MAX) x64_testq_ri(fc->as, REG_GPR(ra), (int32_t)(uint32_t)b->bits);
        else x64_testl_ri(fc->as, REG_GPR(ra), (int32_t)(uint32_t)b->bits);
    } else {
        Reg rb = cg_reg(fc, b);
        if (wide) x64_testq_rr(fc->as, REG_GPR(ra), REG_GPR(rb));
        else x64_testl_rr(fc->as, REG_GPR(ra), REG_GPR(rb));
    }
    cg_cond_result(fc, cond);
    return true;
}

void cg_op_alu(FuncCompiler *fc, uint8_t type, unsigned alu)
{
    Val b = cg_pop(fc), a = cg_pop(fc);
    bool wide = type == WR_KIND_I64, commutes = alu != ALU_SUB;
    if (a.kind == VAL_CONST && commutes) val_swap(&a, &b);
    if (b.kind == VAL_CONST) {
        if (a.kind == VAL_CONST) {
            cg_push_const(fc, type, int_wrap(type, alu_fold(alu, a.bits, b.bits)));
            return;
        }
        if (b.bits == 0 && alu != ALU_AND) {
            cg_push_val(fc, a);
            return;
        }
        if (alu == ALU_AND && alu_test(fc, type, &a, &b)) return;
        if (cg_fits_i32(type, b.bits)) {
            int32_t imm = (int32_t)(uint32_t)b.bits;
            Reg ra = cg_reg(fc, &a), dst = cg_dest(fc, type, cg_reuse(&a));
            if (dst != ra && (alu == ALU_ADD || (alu == ALU_SUB && imm != INT32_MIN))) {
                int_lea(fc, wide, dst, x64_mem_b(REG_GPR(ra), alu == ALU_ADD ? imm : -imm));
            } else {
                cg_move(fc, type, dst, ra);
                int_ri(fc, alu, wide, dst, imm);
                int_note_zero(fc, type, dst);
            }
            cg_finish(fc, type, dst);
            return;
        }
    }
    if (alu == ALU_AND && alu_test(fc, type, &a, &b)) return;
    if (commutes && (b.kind == VAL_REG ? a.kind != VAL_REG : b.kind == VAL_LOCAL && cg_is_mem(fc, &a) && !cg_is_mem(fc, &b))) val_swap(&a, &b);
    bool b_mem = cg_is_mem(fc, &b);
    Reg rb = b_mem ? REG_NONE : cg_reg(fc, &b);
    Reg ra = a.kind == VAL_CONST ? REG_NONE : cg_reg(fc, &a);
    Reg dst = cg_dest(fc, type, cg_reuse(&a));
    if (dst == rb && dst != ra) {
        if (commutes) {
            int_rr(fc, alu, wide, dst, ra); /* a constant was swapped away */
        } else { /* a - dst */
            if (wide) x64_negq_r(fc->as, REG_GPR(dst));
            else x64_negl_r(fc->as, REG_GPR(dst));
            if (ra != REG_NONE) int_rr(fc, ALU_ADD, wide, dst, ra);
            else if (cg_fits_i32(type, a.bits)) {
                if (a.bits) int_ri(fc, ALU_ADD, wide, dst, (int32_t)(uint32_t)a.bits);
            } else {
                x64_movq_ri64(fc->as, REG_SCRATCH, a.bits);
                int_rr(fc, ALU_ADD, wide, dst, REG_SCRATCH);
            }
        }
    } else if (alu == ALU_ADD && dst != ra && !b_mem) {
        int_lea(fc, wide, dst, x64_mem_bi(REG_GPR(ra), REG_GPR(rb), 1, 0));
    } else {
        if (ra == REG_NONE) cg_const(fc, type, dst, a.bits);
        else cg_move(fc, type, dst, ra);
        if (b_mem) int_rm(fc, alu, wide, dst, cg_mem(fc, &b));
        else int_rr(fc, alu, wide, dst, rb);
        int_note_zero(fc, type, dst);
    }
    cg_finish(fc, type, dst);
}

static int load_alu(WasmOp op, uint8_t type)
{
    switch (op) {
#define LOAD_ALU(T) \
    case WASM_OP_##T##_ADD: return type == WR_KIND_##T ? ALU_ADD : -1; \
    case WASM_OP_##T##_SUB: return type == WR_KIND_##T ? ALU_SUB : -1; \
    case WASM_OP_##T##_AND: return type == WR_KIND_##T ? ALU_AND : -1; \
    case WASM_OP_##T##_OR: return type == WR_KIND_##T ? ALU_OR : -1; \
    case WASM_OP_##T##_XOR: return type == WR_KIND_##T ? ALU_XOR : -1;
        LOAD_ALU(I32)
        LOAD_ALU(I64)
#undef LOAD_ALU
    default: return -1;
    }
}

static bool load_test(FuncCompiler *fc, uint8_t type, uint32_t bytes, X64Mem mem)
{
    Cond cond;
    if (!int_next_is_branch(fc, type, &cond)) return false;
    cg_trap_row(fc, TRAP_MEMORY_OUT_OF_BOUNDS);
    switch (bytes) {
    case 1: x64_cmpb_mi(fc->as, mem, 0); break;
    case 2: x64_cmpw_mi(fc->as, mem, 0); break;
    case 4: x64_cmpl_mi(fc->as, mem, 0); break;
    default: x64_cmpq_mi(fc->as, mem, 0); break;
    }
    cg_cond_result(fc, cond);
    return true;
}

bool cg_int_load_op(FuncCompiler *fc, uint8_t type, uint32_t bytes, X64Mem mem)
{
    if (load_test(fc, type, bytes, mem)) return true;
    bool wide = type == WR_KIND_I64;
    int alu = bytes == (wide ? 8 : 4) ? load_alu((WasmOp)wr_wasm_op_bytes[*fc->ip], type) : -1;
    if (alu < 0) return false;
    const Val *top = &fc->stack[fc->sp - 1];
    if (top->kind == VAL_LOCAL) { /* only where the result goes back to the local's register */
        Reg reg = fc->local_reg[top->index];
        bool back = reg != REG_NONE && reg == fc->local_pref[top->index] && fc->local_aliases[top->index] == 1 &&
                    (fc->ip[1] == 0x21 || fc->ip[1] == 0x22) && fc->ip[2] == top->index;
        if (!back) return false;
    } else if (top->kind != VAL_REG) {
        return false;
    }
    fc->ip++;
    Val a = cg_pop(fc);
    Reg ra = cg_reg(fc, &a), dst = cg_dest(fc, type, cg_reuse(&a));
    assert(a.kind == VAL_REG || dst == ra);
    cg_trap_row(fc, TRAP_MEMORY_OUT_OF_BOUNDS);
    int_rm(fc, (unsigned)alu, wide, ra, mem);
    cg_move(fc, type, dst, ra);
    if (dst == ra) int_note_zero(fc, type, dst);
    cg_finish(fc, type, dst);
    return true;
}

/* ---- mul ------------------------------------------------------------------------------------------------------------------------------ */

static int int_log2(uint64_t bits) { return bits && !(bits & (bits - 1)) ? __builtin_ctzll(bits) : -1; }

void cg_op_mul(FuncCompiler *fc, uint8_t type)
{
    Val b = cg_pop(fc), a = cg_pop(fc);
    bool wide = type == WR_KIND_I64;
    if (a.kind == VAL_CONST) val_swap(&a, &b);
    if (b.kind == VAL_CONST) {
        if (a.kind == VAL_CONST) {
            cg_push_const(fc, type, int_wrap(type, a.bits * b.bits));
            return;
        }
        if (b.bits == 1) {
            cg_push_val(fc, a);
            return;
        }
        int shift = int_log2(b.bits);
        if (shift > 0 || b.bits == 3 || b.bits == 5 || b.bits == 9) {
            Reg ra = cg_reg(fc, &a), dst = cg_dest(fc, type, cg_reuse(&a));
            if (shift < 0) {
                int_lea(fc, wide, dst, x64_mem_bi(REG_GPR(ra), REG_GPR(ra), (unsigned)b.bits - 1, 0));
            } else {
                cg_move(fc, type, dst, ra);
                if (wide) x64_shlq_ri(fc->as, REG_GPR(dst), (uint8_t)shift);
                else x64_shll_ri(fc->as, REG_GPR(dst), (uint8_t)shift);
            }
            cg_finish(fc, type, dst);
            return;
        }
        if (cg_fits_i32(type, b.bits)) {
            int32_t imm = (int32_t)(uint32_t)b.bits;
            if (cg_is_mem(fc, &a)) {
                Reg dst = cg_dest(fc, type, REG_NONE);
                if (wide) x64_imulq_rmi(fc->as, REG_GPR(dst), cg_mem(fc, &a), imm);
                else x64_imull_rmi(fc->as, REG_GPR(dst), cg_mem(fc, &a), imm);
                cg_finish(fc, type, dst);
                return;
            }
            Reg ra = cg_reg(fc, &a), dst = cg_dest(fc, type, cg_reuse(&a));
            if (wide) x64_imulq_rri(fc->as, REG_GPR(dst), REG_GPR(ra), imm);
            else x64_imull_rri(fc->as, REG_GPR(dst), REG_GPR(ra), imm);
            cg_finish(fc, type, dst);
            return;
        }
    }
    if (b.kind == VAL_REG ? a.kind != VAL_REG : b.kind == VAL_LOCAL && cg_is_mem(fc, &a) && !cg_is_mem(fc, &b)) val_swap(&a, &b);
    bool b_mem = cg_is_mem(fc, &b);
    Reg rb = b_mem ? REG_NONE : cg_reg(fc, &b), ra = cg_reg(fc, &a);
    Reg dst = cg_dest(fc, type, cg_reuse(&a));
    if (dst == rb && dst != ra) {
        rb = ra;
        ra = dst;
    }
    cg_move(fc, type, dst, ra);
    if (b_mem) {
        if (wide) x64_imulq_rm(fc->as, REG_GPR(dst), cg_mem(fc, &b));
        else x64_imull_rm(fc->as, REG_GPR(dst), cg_mem(fc, &b));
    } else {
        if (wide) x64_imulq_rr(fc->as, REG_GPR(dst), REG_GPR(rb));
        else x64_imull_rr(fc->as, REG_GPR(dst), REG_GPR(rb));
    }
    cg_finish(fc, type, dst);
}

/* ---- div, rem ---------------------------------------------------------------------------------------------------------------------------- */

static bool divrem_fold(uint8_t type, bool is_signed, bool is_rem, uint64_t a, uint64_t b, uint64_t *out)
{
    if (b == 0) return false;
    if (!is_signed) {
        *out = is_rem ? a % b : a / b;
        return true;
    }
    int64_t sa = type == WR_KIND_I32 ? (int32_t)(uint32_t)a : (int64_t)a, sb = type == WR_KIND_I32 ? (int32_t)(uint32_t)b : (int64_t)b;
    if (sb == -1) {
        if (is_rem) *out = 0;
        else if (sa == (type == WR_KIND_I32 ? INT32_MIN : INT64_MIN)) return false;
        else *out = int_wrap(type, 0 - a);
        return true;
    }
    *out = int_wrap(type, (uint64_t)(is_rem ? sa % sb : sa / sb));
    return true;
}

/* By a constant power of two that is not 1. */
static void divrem_power(FuncCompiler *fc, uint8_t type, bool is_signed, bool is_rem, Val a, int shift)
{
    bool wide = type == WR_KIND_I64;
    int bits = wide ? 64 : 32;
    if (!is_signed) {
        Reg ra = cg_reg(fc, &a), dst = cg_dest(fc, type, cg_reuse(&a));
        if (!is_rem) {
            cg_move(fc, type, dst, ra);
            if (wide) x64_shrq_ri(fc->as, REG_GPR(dst), (uint8_t)shift);
            else x64_shrl_ri(fc->as, REG_GPR(dst), (uint8_t)shift);
        } else if (shift < 32) {
            cg_move(fc, WR_KIND_I32, dst, ra); /* the bits kept are low ones */
            int_ri(fc, ALU_AND, false, dst, (int32_t)(((uint32_t)1 << shift) - 1));
        } else {
            cg_move(fc, type, dst, ra);
            x64_shlq_ri(fc->as, REG_GPR(dst), (uint8_t)(bits - shift));
            x64_shrq_ri(fc->as, REG_GPR(dst), (uint8_t)(bits - shift));
        }
        cg_finish(fc, type, dst);
        return;
    }
    /* towards zero: 2^shift - 1 is added to negative dividends first (r11 = that, or 0) */
    Reg ra = cg_reg(fc, &a);
    cg_move(fc, type, REG_SCRATCH, ra);
    if (wide) {
        if (shift > 1) x64_sarq_ri(fc->as, REG_SCRATCH, 63);
        x64_shrq_ri(fc->as, REG_SCRATCH, (uint8_t)(64 - shift));
    } else {
        if (shift > 1) x64_sarl_ri(fc->as, REG_SCRATCH, 31);
        x64_shrl_ri(fc->as, REG_SCRATCH, (uint8_t)(32 - shift));
    }
    Reg dst = cg_dest(fc, type, cg_reuse(&a));
    if (!is_rem) {
        if (dst != ra) {
            int_lea(fc, wide, dst, x64_mem_bi(REG_GPR(ra), REG_SCRATCH, 1, 0));
        } else {
            int_rr(fc, ALU_ADD, wide, dst, REG_SCRATCH);
        }
        if (wide) x64_sarq_ri(fc->as, REG_GPR(dst), (uint8_t)shift);
        else x64_sarl_ri(fc->as, REG_GPR(dst), (uint8_t)shift);
    } else { /* ((a + bias) mod 2^shift) - bias */
        cg_move(fc, type, dst, ra);
        int_rr(fc, ALU_ADD, wide, dst, REG_SCRATCH);
        if (shift < 31) {
            int_ri(fc, ALU_AND, false, dst, (int32_t)(((uint32_t)1 << shift) - 1));
        } else if (wide) {
            x64_shlq_ri(fc->as, REG_GPR(dst), (uint8_t)(64 - shift));
            x64_shrq_ri(fc->as, REG_GPR(dst), (uint8_t)(64 - shift));
        } else {
            x64_shll_ri(fc->as, REG_GPR(dst), (uint8_t)(32 - shift));
            x64_shrl_ri(fc->as, REG_GPR(dst), (uint8_t)(32 - shift));
        }
        int_rr(fc, ALU_SUB, wide, dst, REG_SCRATCH);
    }
    cg_finish(fc, type, dst);
}

/* A popped value into rax; what else is in rax and rdx leaves. A local that cg_take moves leaves its value behind as well. */
static void int_into_rax(FuncCompiler *fc, uint8_t type, const Val *a)
{
    Reg from = a->kind == VAL_REG ? a->reg : a->kind == VAL_LOCAL ? fc->local_reg[a->index] : REG_NONE;
    if (from == RAX) {
        if (a->kind == VAL_LOCAL) cg_take(fc, RAX);
        cg_take(fc, RDX);
    } else {
        if (from != RDX) cg_take(fc, RDX);
        cg_take(fc, RAX);
        if (a->kind == VAL_CONST) cg_const(fc, type, RAX, a->bits);
        else if (from != REG_NONE) cg_move(fc, type, RAX, from);
        else cg_load(fc, type, RAX, cg_mem(fc, a));
        if (from == RDX) cg_take(fc, RDX);
    }
    fc->ever |= REG_BIT(RAX) | REG_BIT(RDX);
}

void cg_op_divrem(FuncCompiler *fc, uint8_t type, bool is_signed, bool is_rem)
{
    Val b = cg_pop(fc), a = cg_pop(fc);
    bool wide = type == WR_KIND_I64;
    uint64_t folded;
    if (b.kind == VAL_CONST) {
        if (a.kind == VAL_CONST && divrem_fold(type, is_signed, is_rem, a.bits, b.bits, &folded)) {
            cg_push_const(fc, type, folded);
            return;
        }
        int shift = int_log2(b.bits);
        if (shift == 0) {
            if (is_rem) cg_push_const(fc, type, 0);
            else cg_push_val(fc, a);
            return;
        }
        if (shift > 0 && !(is_signed && shift == (wide ? 63 : 31))) {
            divrem_power(fc, type, is_signed, is_rem, a, shift);
            return;
        }
    }
    /* the divisor out of rax and rdx */
    bool b_mem = cg_is_mem(fc, &b);
    Reg rb = REG_NONE;
    if (!b_mem) {
        uint32_t avoid = REG_BIT(RAX) | REG_BIT(RDX);
        if (b.kind == VAL_CONST || (b.kind == VAL_REG && avoid & REG_BIT(b.reg)) ||
            (b.kind == VAL_LOCAL && fc->local_reg[b.index] != REG_NONE && avoid & REG_BIT(fc->local_reg[b.index]))) {
            rb = REG_SCRATCH;
            if (b.kind == VAL_CONST) cg_const(fc, type, rb, b.bits);
            else cg_move(fc, type, rb, b.kind == VAL_REG ? b.reg : fc->local_reg[b.index]);
        } else {
            uint32_t held = fc->lock;
            fc->lock |= avoid; /* a local that is loaded must not land there */
            rb = cg_reg(fc, &b);
            fc->lock = held | REG_BIT(rb);
        }
    }
    int_into_rax(fc, type, &a);
    if (b.kind == VAL_LOCAL && !b_mem && rb != REG_SCRATCH) rb = fc->local_reg[b.index];
    bool known = false;
    int64_t divisor = 0;
    if (b.kind == VAL_CONST) {
        known = true;
        divisor = wide ? (int64_t)b.bits : (int32_t)(uint32_t)b.bits;
    }
    if (!known || divisor == 0) {
        if (b_mem) {
            if (wide) x64_cmpq_mi(fc->as, cg_mem(fc, &b), 0);
            else x64_cmpl_mi(fc->as, cg_mem(fc, &b), 0);
        } else if (wide) {
            x64_testq_rr(fc->as, REG_GPR(rb), REG_GPR(rb));
        } else {
            x64_testl_rr(fc->as, REG_GPR(rb), REG_GPR(rb));
        }
        cg_trap_if(fc, X64_CC_E, TRAP_INTEGER_DIVISION_BY_ZERO);
    }
    X64Label done = x64_label_new(fc->as);
    bool done_used = false;
    if (is_signed && (!known || divisor == -1)) {
        X64Label plain = x64_label_new(fc->as);
        if (b_mem) {
            if (wide) x64_cmpq_mi(fc->as, cg_mem(fc, &b), -1);
            else x64_cmpl_mi(fc->as, cg_mem(fc, &b), -1);
        } else {
            int_ri(fc, ALU_CMP, wide, rb, -1);
        }
        x64_jcc_short(fc->as, X64_CC_NE, plain);
        if (is_rem) {
            x64_zero_r(fc->as, RDX);
            x64_jmp_short(fc->as, done);
            done_used = true;
        } else { /* -a overflows for the least a only */
            if (wide) x64_negq_r(fc->as, RAX);
            else x64_negl_r(fc->as, RAX);
            cg_trap_if(fc, X64_CC_O, TRAP_INTEGER_OVERFLOW);
            x64_jmp_short(fc->as, done);
            done_used = true;
        }
        x64_label_bind(fc->as, plain);
    }
    if (!is_signed) {
        x64_zero_r(fc->as, RDX);
    } else if (wide) {
        x64_cqo(fc->as);
    } else {
        x64_cdq(fc->as);
    }
    if (b_mem) {
        X64Mem mem = cg_mem(fc, &b);
        if (wide) is_signed ? x64_idivq_m(fc->as, mem) : x64_divq_m(fc->as, mem);
        else is_signed ? x64_idivl_m(fc->as, mem) : x64_divl_m(fc->as, mem);
    } else {
        if (wide) is_signed ? x64_idivq_r(fc->as, REG_GPR(rb)) : x64_divq_r(fc->as, REG_GPR(rb));
        else is_signed ? x64_idivl_r(fc->as, REG_GPR(rb)) : x64_divl_r(fc->as, REG_GPR(rb));
    }
    if (done_used) x64_label_bind(fc->as, done);
    Reg result = is_rem ? RDX : RAX;
    Reg dst = cg_dest(fc, type, result);
    cg_move(fc, type, dst, result);
    cg_finish(fc, type, dst);
}

/* ---- shifts, rotates ---------------------------------------------------------------------------------------------------------------------- */

enum { SHIFT_ROL = 0, SHIFT_ROR = 1, SHIFT_SHL = 4, SHIFT_SHR = 5, SHIFT_SAR = 7 };

static uint64_t shift_fold(uint8_t type, unsigned shift, uint64_t a, uint64_t b)
{
    unsigned bits = type == WR_KIND_I32 ? 32 : 64, n = (unsigned)b & (bits - 1);
    switch (shift) {
    case SHIFT_SHL: return int_wrap(type, a << n);
    case SHIFT_SHR: return a >> n;
    case SHIFT_SAR: return type == WR_KIND_I32 ? (uint32_t)((int32_t)(uint32_t)a >> n) : (uint64_t)((int64_t)a >> n);
    case SHIFT_ROL: return n == 0 ? a : int_wrap(type, a << n | a >> (bits - n));
    default: return n == 0 ? a : int_wrap(type, a >> n | a << (bits - n));
    }
}

/* base + (a << count) in one lea, where an add of the shifted value follows */
static bool shift_lea(FuncCompiler *fc, uint8_t type, Val *a, unsigned count)
{
    if (count > 3 || fc->ip[0] != (type == WR_KIND_I32 ? 0x6a : 0x7c)) return false;
    if (fc->stack[fc->sp - 1].kind == VAL_CONST) return false;
    fc->ip++;
    bool wide = type == WR_KIND_I64;
    Val base = cg_pop(fc);
    Reg rb = cg_reg(fc, &base), ra = cg_reg(fc, a);
    Reg dst = cg_dest(fc, type, base.kind == VAL_REG ? base.reg : cg_reuse(a));
    int_lea(fc, wide, dst, x64_mem_bi(REG_GPR(rb), REG_GPR(ra), 1u << count, 0));
    cg_finish(fc, type, dst);
    return true;
}

static void shift_imm(FuncCompiler *fc, unsigned shift, bool wide, Reg dst, uint8_t count)
{
    x64_shift_ri(fc->as, shift, wide, REG_GPR(dst), count);
}

void cg_op_shift(FuncCompiler *fc, uint8_t type, unsigned shift)
{
    Val b = cg_pop(fc), a = cg_pop(fc);
    bool wide = type == WR_KIND_I64;
    if (b.kind == VAL_CONST) {
        uint8_t count = (uint8_t)(b.bits & (wide ? 63 : 31));
        if (a.kind == VAL_CONST) {
            cg_push_const(fc, type, shift_fold(type, shift, a.bits, b.bits));
            return;
        }
        if (count == 0) {
            cg_push_val(fc, a);
            return;
        }
        if (shift == SHIFT_SHL && shift_lea(fc, type, &a, count)) return;
        Reg ra = cg_reg(fc, &a), dst = cg_dest(fc, type, cg_reuse(&a));
        if (shift == SHIFT_SHL && count == 1 && dst != ra) {
            int_lea(fc, wide, dst, x64_mem_bi(REG_GPR(ra), REG_GPR(ra), 1, 0));
        } else if (shift <= SHIFT_ROR && dst != ra && fc->mc->bmi2) {
            uint8_t right = shift == SHIFT_ROR ? count : (uint8_t)((wide ? 64 : 32) - count);
            if (wide) x64_rorxq_rri(fc->as, REG_GPR(dst), REG_GPR(ra), right);
            else x64_rorxl_rri(fc->as, REG_GPR(dst), REG_GPR(ra), right);
        } else {
            cg_move(fc, type, dst, ra);
            shift_imm(fc, shift, wide, dst, count);
        }
        cg_finish(fc, type, dst);
        return;
    }
    if (fc->mc->bmi2 && shift >= SHIFT_SHL) {
        Reg rb = cg_reg(fc, &b), ra = cg_reg(fc, &a);
        Reg dst = cg_dest(fc, type, a.kind == VAL_REG ? a.reg : cg_reuse(&b));
        X64Gpr d = REG_GPR(dst), s = REG_GPR(ra), n = REG_GPR(rb);
        switch (shift) {
        case SHIFT_SHL: wide ? x64_shlxq_rrr(fc->as, d, s, n) : x64_shlxl_rrr(fc->as, d, s, n); break;
        case SHIFT_SHR: wide ? x64_shrxq_rrr(fc->as, d, s, n) : x64_shrxl_rrr(fc->as, d, s, n); break;
        default: wide ? x64_sarxq_rrr(fc->as, d, s, n) : x64_sarxl_rrr(fc->as, d, s, n); break;
        }
        cg_finish(fc, type, dst);
        return;
    }
    /* the count in cl, the value anywhere else */
    if (b.kind == VAL_REG && b.reg == RCX) {
        fc->lock |= REG_BIT(RCX);
    } else {
        Reg from = b.kind == VAL_LOCAL ? fc->local_reg[b.index] : REG_NONE;
        if (from != RCX && a.kind == VAL_REG && a.reg == RCX) { /* the value is in the way */
            Reg other = cg_alloc(fc, REGS_GPR & ~REG_BIT(RCX));
            cg_move(fc, type, other, RCX);
            a.reg = other;
        }
        cg_take(fc, RCX); /* a local in rcx moves to another register or home; rcx keeps the value */
        if (from != RCX) {
            if (b.kind == VAL_REG) cg_move(fc, type, RCX, b.reg);
            else if (from != REG_NONE) cg_move(fc, type, RCX, from);
            else cg_load(fc, type, RCX, cg_mem(fc, &b));
        }
    }
    fc->ever |= REG_BIT(RCX);
    Reg own;
    if (a.kind == VAL_REG) own = a.reg;
    else own = cg_own(fc, &a);
    uint32_t count_reg = REG_BIT(RCX);
    assert(!(REG_BIT(own) & count_reg));
    (void)count_reg;
    x64_emit_rr(fc->as, X64_OP(0, 0, 0xD3, 0) | (wide ? (X64Op)X64_OP_W : 0), shift, own);
    Reg dst = cg_dest(fc, type, own);
    cg_move(fc, type, dst, own);
    cg_finish(fc, type, dst);
}

/* ---- compares -------------------------------------------------------------------------------------------------------------------------------- */

static bool compare_fold(uint8_t type, X64Cond cc, uint64_t a, uint64_t b)
{
    int64_t sa = type == WR_KIND_I32 ? (int32_t)(uint32_t)a : (int64_t)a, sb = type == WR_KIND_I32 ? (int32_t)(uint32_t)b : (int64_t)b;
    switch (cc) {
    case X64_CC_E: return a == b;
    case X64_CC_NE: return a != b;
    case X64_CC_B: return a < b;
    case X64_CC_AE: return a >= b;
    case X64_CC_BE: return a <= b;
    case X64_CC_A: return a > b;
    case X64_CC_L: return sa < sb;
    case X64_CC_GE: return sa >= sb;
    case X64_CC_LE: return sa <= sb;
    default: return sa > sb;
    }
}

void cg_op_compare(FuncCompiler *fc, uint8_t type, X64Cond cc)
{
    Val b = cg_pop(fc), a = cg_pop(fc);
    bool wide = type == WR_KIND_I64;
    if (a.kind == VAL_CONST) {
        if (b.kind == VAL_CONST) {
            cg_push_const(fc, WR_KIND_I32, compare_fold(type, cc, a.bits, b.bits));
            return;
        }
        val_swap(&a, &b);
        cc = x64_cond_swap(cc);
    }
    if (b.kind == VAL_CONST && cg_fits_i32(type, b.bits)) {
        int32_t imm = (int32_t)(uint32_t)b.bits;
        if (cg_is_mem(fc, &a)) {
            x64_alu_mi(fc->as, ALU_CMP >> 3, 0, wide, cg_mem(fc, &a), imm);
        } else {
            Reg ra = cg_reg(fc, &a);
            if (imm != 0) int_ri(fc, ALU_CMP, wide, ra, imm);
            else if ((cc == X64_CC_E || cc == X64_CC_NE) && cg_zero_flag_holds(fc, &a)) {
                /* as it is */
            } else if (wide) x64_testq_rr(fc->as, REG_GPR(ra), REG_GPR(ra));
            else x64_testl_rr(fc->as, REG_GPR(ra), REG_GPR(ra));
        }
    } else if (cg_is_mem(fc, &b)) {
        Reg ra = cg_reg(fc, &a);
        int_rm(fc, ALU_CMP, wide, ra, cg_mem(fc, &b));
    } else {
        Reg rb = cg_reg(fc, &b);
        if (cg_is_mem(fc, &a)) {
            x64_emit_rm(fc->as, X64_OP(0, 0, ALU_CMP + 1, 0) | (wide ? (X64Op)X64_OP_W : 0), rb, cg_mem(fc, &a));
        } else {
            Reg ra = cg_reg(fc, &a);
            int_rr(fc, ALU_CMP, wide, ra, rb);
        }
    }
    cg_cond_result(fc, cg_cond(cc));
}

void cg_op_eqz(FuncCompiler *fc, uint8_t type)
{
    cg_push_const(fc, type, 0);
    cg_op_compare(fc, type, X64_CC_E);
}

/* ---- clz, ctz, popcnt ------------------------------------------------------------------------------------------------------------------------- */

void cg_op_count(FuncCompiler *fc, uint8_t type, WasmOp op)
{
    Val a = cg_pop(fc);
    bool wide = type == WR_KIND_I64;
    if (a.kind == VAL_CONST) {
        uint64_t bits = a.bits, n, width = wide ? 64 : 32;
        if (op == WASM_OP_I32_POPCNT || op == WASM_OP_I64_POPCNT) n = (uint64_t)__builtin_popcountll(bits);
        else if (op == WASM_OP_I32_CTZ || op == WASM_OP_I64_CTZ) n = bits ? (uint64_t)__builtin_ctzll(bits) : width;
        else n = (bits ? (uint64_t)__builtin_clzll(bits) : 64) - (64 - width);
        cg_push_const(fc, type, n);
        return;
    }
    Reg ra = cg_reg(fc, &a), dst = cg_dest(fc, type, cg_reuse(&a));
    X64Gpr d = REG_GPR(dst), s = REG_GPR(ra);
    switch (op) {
    case WASM_OP_I32_POPCNT: x64_popcntl_rr(fc->as, d, s); break;
    case WASM_OP_I64_POPCNT: x64_popcntq_rr(fc->as, d, s); break;
    case WASM_OP_I32_CTZ:
    case WASM_OP_I64_CTZ:
        if (fc->mc->bmi1) {
            wide ? x64_tzcntq_rr(fc->as, d, s) : x64_tzcntl_rr(fc->as, d, s);
            break;
        }
        x64_movl_ri(fc->as, REG_SCRATCH, wide ? 64 : 32);
        wide ? x64_bsfq_rr(fc->as, d, s) : x64_bsfl_rr(fc->as, d, s);
        x64_cmovccl_rr(fc->as, X64_CC_E, d, REG_SCRATCH);
        break;
    default:
        if (fc->mc->lzcnt) {
            wide ? x64_lzcntq_rr(fc->as, d, s) : x64_lzcntl_rr(fc->as, d, s);
            break;
        }
        x64_movl_ri(fc->as, REG_SCRATCH, wide ? 127 : 63); /* ^ 63 or 31: the width */
        wide ? x64_bsrq_rr(fc->as, d, s) : x64_bsrl_rr(fc->as, d, s);
        x64_cmovccl_rr(fc->as, X64_CC_E, d, REG_SCRATCH);
        x64_xorl_ri(fc->as, d, wide ? 63 : 31);
        break;
    }
    cg_finish(fc, type, dst);
}

/* ---- widths ------------------------------------------------------------------------------------------------------------------------------------ */

void cg_op_extend(FuncCompiler *fc, WasmOp op)
{
    Val a = cg_pop(fc);
    uint8_t type = op == WASM_OP_I32_WRAP_I64 || op == WASM_OP_I32_EXTEND8_S || op == WASM_OP_I32_EXTEND16_S ? WR_KIND_I32 : WR_KIND_I64;
    if (a.kind == VAL_CONST) {
        uint64_t bits = a.bits;
        switch (op) {
        case WASM_OP_I32_WRAP_I64: bits = (uint32_t)bits; break;
        case WASM_OP_I32_EXTEND8_S: bits = (uint64_t)(int8_t)bits & UINT32_MAX; break;
        case WASM_OP_I32_EXTEND16_S: bits = (uint64_t)(int16_t)bits & UINT32_MAX; break;
        case WASM_OP_I64_EXTEND8_S: bits = (uint64_t)(int8_t)(uint8_t)bits; break;
        case WASM_OP_I64_EXTEND16_S: bits = (uint64_t)(int16_t)(uint16_t)bits; break;
        case WASM_OP_I64_EXTEND_I32_S:
        case WASM_OP_I64_EXTEND32_S: bits = (uint64_t)(int32_t)(uint32_t)bits; break;
        default: break;
        }
        cg_push_const(fc, type, bits);
        return;
    }
    if (op == WASM_OP_I64_EXTEND_I32_U) {
        if (a.kind == VAL_REG) { /* zero-extended already */
            Reg reg = cg_reg_zext(fc, &a);
            a.type = type;
            Reg dst = cg_dest(fc, type, reg);
            cg_move(fc, type, dst, reg);
            cg_finish(fc, type, dst);
            return;
        }
    }
    bool mem = cg_is_mem(fc, &a);
    Reg ra = mem ? REG_NONE : cg_reg(fc, &a);
    Reg dst = cg_dest(fc, type, mem ? REG_NONE : cg_reuse(&a));
    X64Gpr d = REG_GPR(dst), s = REG_GPR(ra);
    X64Mem m = mem ? cg_mem(fc, &a) : (X64Mem){0};
    switch (op) {
    case WASM_OP_I32_WRAP_I64:
    case WASM_OP_I64_EXTEND_I32_U: mem ? x64_movl_rm(fc->as, d, m) : x64_movl_rr(fc->as, d, s); break;
    case WASM_OP_I32_EXTEND8_S: mem ? x64_movsbl_rm(fc->as, d, m) : x64_movsbl_rr(fc->as, d, s); break;
    case WASM_OP_I32_EXTEND16_S: mem ? x64_movswl_rm(fc->as, d, m) : x64_movswl_rr(fc->as, d, s); break;
    case WASM_OP_I64_EXTEND8_S: mem ? x64_movsbq_rm(fc->as, d, m) : x64_movsbq_rr(fc->as, d, s); break;
    case WASM_OP_I64_EXTEND16_S: mem ? x64_movswq_rm(fc->as, d, m) : x64_movswq_rr(fc->as, d, s); break;
    default: mem ? x64_movslq_rm(fc->as, d, m) : x64_movslq_rr(fc->as, d, s); break;
    }
    cg_finish(fc, type, dst);
}

/* ---- 128 bits --------------------------------------------------------------------------------------------------------------------------- */

static void wide_sum(FuncCompiler *fc, bool is_sub)
{
    Val b_high = cg_pop(fc), b_low = cg_pop(fc), a_high = cg_pop(fc), a_low = cg_pop(fc);
    bool low_mem = cg_is_mem(fc, &b_low), high_mem = cg_is_mem(fc, &b_high);
    X64Gpr low = REG_GPR(cg_own(fc, &a_low)), high = REG_GPR(cg_own(fc, &a_high));
    X64Gpr by_low = low_mem ? low : REG_GPR(cg_reg(fc, &b_low)), by_high = high_mem ? high : REG_GPR(cg_reg(fc, &b_high));
    if (low_mem && is_sub) x64_subq_rm(fc->as, low, cg_mem(fc, &b_low));
    else if (low_mem) x64_addq_rm(fc->as, low, cg_mem(fc, &b_low));
    else if (is_sub) x64_subq_rr(fc->as, low, by_low);
    else x64_addq_rr(fc->as, low, by_low);
    if (high_mem && is_sub) x64_sbbq_rm(fc->as, high, cg_mem(fc, &b_high));
    else if (high_mem) x64_adcq_rm(fc->as, high, cg_mem(fc, &b_high));
    else if (is_sub) x64_sbbq_rr(fc->as, high, by_high);
    else x64_adcq_rr(fc->as, high, by_high);
    cg_push_reg(fc, WR_KIND_I64, (Reg)low);
    cg_push_reg(fc, WR_KIND_I64, (Reg)high);
}

static void wide_product(FuncCompiler *fc, bool is_signed)
{
    Val b = cg_pop(fc), a = cg_pop(fc);
    Reg b_from = b.kind == VAL_REG ? b.reg : b.kind == VAL_LOCAL ? fc->local_reg[b.index] : REG_NONE;
    if (b.kind == VAL_CONST) cg_const(fc, WR_KIND_I64, REG_SCRATCH, b.bits);
    else if (b_from != REG_NONE) cg_move(fc, WR_KIND_I64, REG_SCRATCH, b_from);
    else cg_load(fc, WR_KIND_I64, REG_SCRATCH, cg_mem(fc, &b));
    int_into_rax(fc, WR_KIND_I64, &a);
    if (is_signed) x64_imulq_r(fc->as, REG_SCRATCH);
    else x64_mulq_r(fc->as, REG_SCRATCH);
    cg_push_reg(fc, WR_KIND_I64, RAX);
    cg_push_reg(fc, WR_KIND_I64, RDX);
}

void cg_op_wide(FuncCompiler *fc, WasmOp op)
{
    if (op == WASM_OP_I64_ADD128 || op == WASM_OP_I64_SUB128) wide_sum(fc, op == WASM_OP_I64_SUB128);
    else wide_product(fc, op == WASM_OP_I64_MUL_WIDE_S);
}
