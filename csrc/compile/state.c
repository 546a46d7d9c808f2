/* Places, registers and the operand stack of the second pass: see state.h for the model. Everything here keeps one rule: a value is never lost;
 * whoever takes a register away stores what is only there. */
#include "compile/state.h"

/* ---- frame ----------------------------------------------------------------------------------------------------------------- */

int32_t cg_frame_take(FuncCompiler *fc, int32_t bytes)
{
    if (bytes >= 16) fc->frame_bytes = (fc->frame_bytes + 15) & ~15; /* rbp is a multiple of 16 */
    fc->frame_bytes += bytes;
    if (fc->frame_bytes > 1 << 20) {
        cg_fail(fc, WR_ERROR_LIMIT, "the function's frame is larger than 1048576 bytes (FRAME_BYTES)");
        fc->frame_bytes = 1 << 20;
    }
    return -fc->frame_bytes;
}

int32_t cg_local_place(FuncCompiler *fc, uint32_t local)
{
    return fc->local_home[local] = cg_frame_take(fc, fc->local_type[local] == WR_KIND_V128 ? 16 : 8);
}

X64Mem cg_slot_mem(FuncCompiler *fc, uint8_t type, uint32_t position)
{
    if (type == WR_KIND_V128) {
        if (!fc->wide_slots) {
            memset(fc->wide_home, 0, ((size_t)fc->info->max_stack + 8) * sizeof *fc->wide_home);
            fc->wide_slots = true;
        }
        if (fc->wide_home[position] == 0) fc->wide_home[position] = cg_frame_take(fc, 16);
        return x64_mem_b(RBP, fc->wide_home[position]);
    }
    if (fc->slot_home[position] == 0) fc->slot_home[position] = cg_frame_take(fc, 8);
    return x64_mem_b(RBP, fc->slot_home[position]);
}

/* ---- moving one value -------------------------------------------------------------------------------------------------------- */

void cg_load(FuncCompiler *fc, uint8_t type, Reg dst, X64Mem src)
{
    switch (type) {
    case WR_KIND_I32: x64_movl_rm(fc->as, REG_GPR(dst), src); break;
    case WR_KIND_F32: x64_movss_xm(fc->as, REG_XMM(dst), src); break;
    case WR_KIND_F64: x64_movsd_xm(fc->as, REG_XMM(dst), src); break;
    case WR_KIND_V128:
        if (fc->mc->avx) x64_vmovups_xm(fc->as, REG_XMM(dst), src);
        else x64_movups_xm(fc->as, REG_XMM(dst), src);
        break;
    default: x64_movq_rm(fc->as, REG_GPR(dst), src); break;
    }
}

void cg_store(FuncCompiler *fc, uint8_t type, X64Mem dst, Reg src)
{
    switch (type) {
    case WR_KIND_I32: x64_movl_mr(fc->as, dst, REG_GPR(src)); break;
    case WR_KIND_F32: x64_movss_mx(fc->as, dst, REG_XMM(src)); break;
    case WR_KIND_F64: x64_movsd_mx(fc->as, dst, REG_XMM(src)); break;
    case WR_KIND_V128:
        if (fc->mc->avx) x64_vmovups_mx(fc->as, dst, REG_XMM(src));
        else x64_movups_mx(fc->as, dst, REG_XMM(src));
        break;
    default: x64_movq_mr(fc->as, dst, REG_GPR(src)); break;
    }
}

void cg_move(FuncCompiler *fc, uint8_t type, Reg dst, Reg src)
{
    if (dst == src) return;
    if (cg_is_float(type)) x64_movaps_xx(fc->as, REG_XMM(dst), REG_XMM(src));
    else if (type == WR_KIND_I32) x64_movl_rr(fc->as, REG_GPR(dst), REG_GPR(src));
    else x64_movq_rr(fc->as, REG_GPR(dst), REG_GPR(src));
}

X64Mem cg_v128_pool(FuncCompiler *fc, uint64_t bits)
{
    uint64_t halves[2];
    memcpy(halves, fc->bytes + bits, 16);
    return x64_const_pool_16(fc->as, halves[0], halves[1]);
}

void cg_const(FuncCompiler *fc, uint8_t type, Reg dst, uint64_t bits)
{
    if (cg_is_float(type)) {
        if (bits == 0) x64_xorps_xx(fc->as, REG_XMM(dst), REG_XMM(dst)); /* does not touch the flags */
        else if (type == WR_KIND_V128) cg_load(fc, type, dst, cg_v128_pool(fc, bits));
        else if (type == WR_KIND_F32) x64_movss_xm(fc->as, REG_XMM(dst), x64_const_pool_4(fc->as, (uint32_t)bits));
        else x64_movsd_xm(fc->as, REG_XMM(dst), x64_const_pool_8(fc->as, bits));
    } else if (bits == 0 && !fc->flags_live) {
        x64_zero_r(fc->as, REG_GPR(dst));
    } else {
        x64_movq_ri64(fc->as, REG_GPR(dst), bits);
    }
}

void cg_store_const(FuncCompiler *fc, uint8_t type, X64Mem dst, uint64_t bits)
{
    if (type == WR_KIND_V128) {
        cg_const(fc, type, XMM_REG(REG_XSCRATCH), bits);
        cg_store(fc, type, dst, XMM_REG(REG_XSCRATCH));
    } else if (type == WR_KIND_I32 || type == WR_KIND_F32) {
        x64_movl_mi(fc->as, dst, (int32_t)(uint32_t)bits);
    } else if (cg_fits_i32(WR_KIND_I64, bits)) {
        x64_movq_mi(fc->as, dst, (int32_t)(uint32_t)bits);
    } else {
        x64_movq_ri64(fc->as, REG_SCRATCH, bits);
        x64_movq_mr(fc->as, dst, REG_SCRATCH);
    }
}

/* ---- registers ------------------------------------------------------------------------------------------------------------------ */

static inline void state_unbind_local(FuncCompiler *fc, Reg reg)
{
    fc->local_reg[fc->rs.local[reg]] = REG_NONE;
    fc->rs.locals &= ~REG_BIT(reg);
    fc->rs.dirty &= ~REG_BIT(reg);
}

static inline void state_bind_local(FuncCompiler *fc, uint32_t local, Reg reg)
{
    fc->local_reg[local] = reg;
    fc->rs.local[reg] = (uint16_t)local;
    fc->rs.locals |= REG_BIT(reg);
}

static void state_clean(FuncCompiler *fc, Reg reg)
{
    if (!(fc->rs.dirty & REG_BIT(reg))) return;
    uint32_t local = fc->rs.local[reg];
    cg_store(fc, fc->local_type[local], cg_local_mem(fc, local), reg);
    fc->rs.dirty &= ~REG_BIT(reg);
}

void cg_evict_local(FuncCompiler *fc, Reg reg)
{
    state_clean(fc, reg);
    state_unbind_local(fc, reg);
    fc->upper &= ~REG_BIT(reg);
}

void cg_forget_local(FuncCompiler *fc, uint32_t local)
{
    fc->upper &= ~REG_BIT(fc->local_reg[local]);
    state_unbind_local(fc, fc->local_reg[local]);
}

void cg_spill_stack(FuncCompiler *fc, Reg reg)
{
    uint32_t position = fc->reg_stack[reg];
    Val *v = &fc->stack[position];
    assert(v->kind == VAL_REG && v->reg == reg);
    cg_store(fc, v->type, cg_slot_mem(fc, v->type, position), reg);
    v->kind = VAL_SLOT;
    v->index = position;
    fc->stk &= ~REG_BIT(reg);
    fc->upper &= ~REG_BIT(reg);
}

void cg_spill_at(FuncCompiler *fc, uint32_t position)
{
    Val *v = &fc->stack[position];
    switch (v->kind) {
    case VAL_REG: cg_spill_stack(fc, v->reg); return;
    case VAL_LOCAL: fc->local_aliases[v->index]--; break;
    case VAL_SLOT:
        if (v->index == position) return;
        break;
    default: break;
    }
    cg_store_val(fc, cg_slot_mem(fc, v->type, position), *v);
    v->kind = VAL_SLOT;
    v->index = position;
}

static Reg state_pick(FuncCompiler *fc, uint32_t set)
{
    uint32_t from = set & ~(((uint32_t)1 << fc->victim) - 1);
    Reg reg = (Reg)__builtin_ctz(from ? from : set);
    fc->victim = (reg + 1u) & 31u;
    return reg;
}

Reg cg_alloc(FuncCompiler *fc, uint32_t candidates)
{
    uint32_t free_regs = candidates & ~(fc->rs.locals | fc->stk | fc->lock);
    uint32_t set;
    Reg reg;
    if ((set = free_regs & ~fc->pins) || (set = free_regs)) {
        uint32_t cheap = set & ~REGS_CALLEE_SAVED;
        reg = (Reg)__builtin_ctz(cheap ? cheap : set);
    } else {
        uint32_t cached = candidates & fc->rs.locals & ~fc->lock;
        if ((set = cached & ~fc->pins & ~fc->rs.dirty) || (set = cached & ~fc->pins)) {
            reg = state_pick(fc, set);
            cg_evict_local(fc, reg);
        } else if ((set = candidates & fc->stk & ~fc->lock)) {
            reg = (Reg)__builtin_ctz(set); /* the deepest entry: it is wanted last */
            for (uint32_t rest = set & (set - 1); rest; rest &= rest - 1) {
                Reg other = (Reg)__builtin_ctz(rest);
                if (fc->reg_stack[other] < fc->reg_stack[reg]) reg = other;
            }
            cg_spill_stack(fc, reg);
        } else {
            assert(cached);
            reg = state_pick(fc, cached);
            cg_evict_local(fc, reg);
        }
    }
    fc->lock |= REG_BIT(reg);
    fc->ever |= REG_BIT(reg);
    fc->upper &= ~REG_BIT(reg);
    return reg;
}

Reg cg_take(FuncCompiler *fc, Reg reg)
{
    uint32_t bit = REG_BIT(reg);
    fc->ever |= bit;
    if (fc->rs.locals & bit) {
        uint32_t local = fc->rs.local[reg], class_regs = bit & REGS_GPR ? REGS_GPR : REGS_XMM;
        uint32_t free_regs = class_regs & ~(fc->rs.locals | fc->stk | fc->lock | fc->pins);
        if (free_regs & ~REGS_CALLEE_SAVED) {
            Reg other = (Reg)__builtin_ctz(free_regs & ~REGS_CALLEE_SAVED);
            cg_move(fc, fc->local_type[local], other, reg);
            fc->ever |= REG_BIT(other);
            bool dirty = (fc->rs.dirty & bit) != 0;
            state_unbind_local(fc, reg);
            state_bind_local(fc, local, other);
            if (dirty) fc->rs.dirty |= REG_BIT(other);
            if (fc->lock & bit) fc->lock |= REG_BIT(other); /* an operand that moved stays locked */
            fc->upper &= ~REG_BIT(other);
        } else {
            cg_evict_local(fc, reg);
        }
    } else if (fc->stk & bit) {
        uint32_t position = fc->reg_stack[reg], class_regs = bit & REGS_GPR ? REGS_GPR : REGS_XMM;
        uint32_t free_regs = class_regs & ~(fc->rs.locals | fc->stk | fc->lock | fc->pins | bit) & ~REGS_CALLEE_SAVED;
        if (free_regs) {
            Reg other = (Reg)__builtin_ctz(free_regs);
            cg_move(fc, fc->stack[position].type, other, reg);
            fc->ever |= REG_BIT(other);
            fc->stack[position].reg = other;
            fc->reg_stack[other] = position;
            fc->stk = (fc->stk & ~bit) | REG_BIT(other);
            fc->upper &= ~REG_BIT(other);
        } else {
            cg_spill_stack(fc, reg);
        }
    }
    fc->lock |= bit;
    fc->upper &= ~bit;
    return reg;
}

/* ---- operands --------------------------------------------------------------------------------------------------------------------- */

X64Mem cg_mem(FuncCompiler *fc, const Val *v)
{
    return v->kind == VAL_SLOT ? cg_slot_mem(fc, v->type, v->index) : cg_local_mem(fc, v->index);
}

bool cg_is_mem(FuncCompiler *fc, const Val *v)
{
    if (v->kind == VAL_SLOT) return true;
    if (v->kind != VAL_LOCAL || fc->local_reg[v->index] != REG_NONE) return false;
    if (fc->loop == UINT32_MAX && fc->info->locals[v->index].last_get <= cg_offset(fc)) return true;
    uint32_t free_regs = cg_class(v->type) & ~(fc->rs.locals | fc->stk | fc->lock | fc->pins);
    return free_regs == 0 && fc->local_pref[v->index] == REG_NONE;
}

Reg cg_reg(FuncCompiler *fc, Val *v)
{
    Reg reg;
    switch (v->kind) {
    case VAL_REG: return v->reg;
    case VAL_LOCAL:
        reg = fc->local_reg[v->index];
        if (reg == REG_NONE) {
            Reg pref = fc->local_pref[v->index];
            bool pref_free = pref != REG_NONE && !((fc->rs.locals | fc->stk | fc->lock) & REG_BIT(pref));
            reg = pref_free ? cg_take(fc, pref) : cg_alloc(fc, cg_class(v->type));
            cg_load(fc, v->type, reg, cg_local_mem(fc, v->index));
            state_bind_local(fc, v->index, reg);
        }
        fc->lock |= REG_BIT(reg);
        return reg;
    case VAL_CONST:
        reg = cg_alloc(fc, cg_class(v->type));
        cg_const(fc, v->type, reg, v->bits);
        break;
    default:
        reg = cg_alloc(fc, cg_class(v->type));
        cg_load(fc, v->type, reg, cg_slot_mem(fc, v->type, v->index));
        break;
    }
    v->kind = VAL_REG;
    v->reg = reg;
    return reg;
}

Reg cg_reg_zext(FuncCompiler *fc, Val *v)
{
    Reg reg = cg_reg(fc, v);
    if (fc->upper & REG_BIT(reg)) {
        x64_movl_rr(fc->as, REG_GPR(reg), REG_GPR(reg));
        fc->upper &= ~REG_BIT(reg);
    }
    if (fc->mc->tunables.debug_checks && v->type == WR_KIND_I32 && !fc->flags_live) {
        /* the invariant of state.h, checked by the code itself: a ud2 without a trap row is our bug and ends the process */
        X64Label fine = x64_label_new(fc->as);
        x64_movl_rr(fc->as, REG_SCRATCH, REG_GPR(reg));
        x64_cmpq_rr(fc->as, REG_SCRATCH, REG_GPR(reg));
        x64_jcc_short(fc->as, X64_CC_E, fine);
        x64_ud2(fc->as);
        x64_label_bind(fc->as, fine);
    }
    return reg;
}

Reg cg_own(FuncCompiler *fc, Val *v)
{
    if (v->kind != VAL_LOCAL) return cg_reg(fc, v);
    Reg src = fc->local_reg[v->index];
    Reg reg = cg_alloc(fc, cg_class(v->type));
    if (src != REG_NONE) cg_move(fc, v->type, reg, src);
    else cg_load(fc, v->type, reg, cg_local_mem(fc, v->index));
    v->kind = VAL_REG;
    v->reg = reg;
    return reg;
}

void cg_push_val(FuncCompiler *fc, Val v)
{
    uint32_t position = fc->sp;
    switch (v.kind) {
    case VAL_REG:
        fc->stk |= REG_BIT(v.reg);
        fc->reg_stack[v.reg] = position;
        break;
    case VAL_LOCAL: fc->local_aliases[v.index]++; break;
    case VAL_SLOT:
        if (v.index != position) {
            Reg reg = cg_reg(fc, &v);
            fc->stk |= REG_BIT(reg);
            fc->reg_stack[reg] = position;
        }
        break;
    default: break;
    }
    fc->stack[fc->sp++] = v;
}

/* ---- locals -------------------------------------------------------------------------------------------------------------------------- */

/* The loop around wants the local of this pinned register there at its header. */
static inline bool state_is_wanted(const FuncCompiler *fc, Reg reg) { return (fc->ctl[fc->loop].state.locals & REG_BIT(reg)) != 0; }

void cg_unalias(FuncCompiler *fc, uint32_t local)
{
    uint32_t held = fc->lock;
    for (uint32_t i = fc->sp; fc->local_aliases[local] > 0;) {
        Val *v = &fc->stack[--i];
        if (v->kind != VAL_LOCAL || v->index != local) continue;
        fc->local_aliases[local]--;
        Reg src = fc->local_reg[local];
        if (src != REG_NONE && fc->local_aliases[local] == 0 && (fc->local_pref[local] != src || !state_is_wanted(fc, src))) {
            /* the local gets another register: the entry inherits this one */
            uint32_t upper = fc->upper & REG_BIT(src);
            state_unbind_local(fc, src);
            fc->upper |= upper;
            v->reg = src;
        } else {
            Reg reg = cg_alloc(fc, cg_class(v->type));
            if (src != REG_NONE) cg_move(fc, v->type, reg, src);
            else cg_load(fc, v->type, reg, cg_local_mem(fc, local));
            v->reg = reg;
        }
        v->kind = VAL_REG;
        fc->stk |= REG_BIT(v->reg);
        fc->reg_stack[v->reg] = i;
        if (i < fc->stable) fc->stable = i;
        fc->lock = held;
    }
}

void cg_unvirgin(FuncCompiler *fc, uint64_t classes, uint32_t except)
{
    classes &= fc->virgin;
    fc->virgin &= ~classes;
    for (; classes; classes &= classes - 1) {
        for (uint32_t local = (uint32_t)__builtin_ctzll(classes); local < fc->num_locals; local += 64) {
            if (local < fc->info->num_params || !fc->info->locals[local].needs_zero || local == except) continue;
            cg_store_const(fc, fc->local_type[local], cg_local_mem(fc, local), 0);
        }
    }
}

void cg_local_assign(FuncCompiler *fc, uint32_t local, Reg reg)
{
    Reg old = fc->local_reg[local];
    if (old != reg) {
        if (old != REG_NONE) state_unbind_local(fc, old);
        state_bind_local(fc, local, reg);
    }
    fc->rs.dirty |= REG_BIT(reg);
    if (fc->virgin >> (local & 63u) & 1 && local < fc->num_locals) cg_unvirgin(fc, (uint64_t)1 << (local & 63u), local);
}

void cg_local_set(FuncCompiler *fc, uint32_t local, Val v)
{
    uint8_t type = fc->local_type[local];
    if (v.kind == VAL_LOCAL && v.index == local) return;
    if (fc->local_aliases[local] > 0) cg_unalias(fc, local);
    Reg pref = fc->local_pref[local];
    bool pref_free = pref != REG_NONE && (fc->local_reg[local] == pref || !((fc->rs.locals | fc->stk) & REG_BIT(pref)));
    if (pref_free && v.kind == VAL_REG && v.reg == pref) pref_free = false; /* it is there already */
    if (pref_free) {
        if (fc->local_reg[local] != pref) cg_take(fc, pref);
        fc->upper &= ~REG_BIT(pref);
        switch (v.kind) {
        case VAL_REG: cg_move(fc, type, pref, v.reg); break;
        case VAL_CONST: cg_const(fc, type, pref, v.bits); break;
        case VAL_LOCAL:
            if (fc->local_reg[v.index] != REG_NONE) {
                cg_move(fc, type, pref, fc->local_reg[v.index]);
                break;
            }
            /* fall through */
        default: cg_load(fc, type, pref, cg_mem(fc, &v)); break;
        }
        cg_local_assign(fc, local, pref);
        return;
    }
    if (v.kind == VAL_REG) {
        cg_local_assign(fc, local, v.reg);
        return;
    }
    Reg reg = fc->local_reg[local];
    if (reg == REG_NONE) {
        reg = cg_alloc(fc, cg_class(type));
    } else {
        fc->upper &= ~REG_BIT(reg);
    }
    if (v.kind == VAL_CONST) cg_const(fc, type, reg, v.bits);
    else if (v.kind == VAL_LOCAL && fc->local_reg[v.index] != REG_NONE) cg_move(fc, type, reg, fc->local_reg[v.index]);
    else cg_load(fc, type, reg, cg_mem(fc, &v));
    cg_local_assign(fc, local, reg);
}

/* ---- results --------------------------------------------------------------------------------------------------------------------------- */

Reg cg_dest(FuncCompiler *fc, uint8_t type, Reg reuse)
{
    const uint8_t *p = fc->ip;
    fc->hint = UINT32_MAX;
    if (p[0] == 0x21 || p[0] == 0x22) { /* local.set, local.tee */
        uint32_t local = p[1];
        if (local >= 0x80) {
            p++;
            local = wr_leb_u32(&p);
        }
        Reg pref = fc->local_pref[local];
        if (pref != REG_NONE && fc->local_aliases[local] == 0 &&
            (fc->local_reg[local] == pref || (!((fc->rs.locals | fc->stk) & REG_BIT(pref)) && !(fc->lock & REG_BIT(pref))))) {
            fc->hint = local;
            fc->lock |= REG_BIT(pref);
            fc->ever |= REG_BIT(pref);
            return pref;
        }
    }
    return reuse != REG_NONE ? reuse : cg_alloc(fc, cg_class(type));
}

void cg_finish(FuncCompiler *fc, uint8_t type, Reg dst)
{
    fc->upper &= ~REG_BIT(dst);
    if (fc->hint == UINT32_MAX) {
        cg_push_reg(fc, type, dst);
        return;
    }
    bool is_tee = *fc->ip++ == 0x22;
    uint32_t local = wr_leb_u32(&fc->ip);
    assert(local == fc->hint);
    fc->hint = UINT32_MAX;
    cg_local_assign(fc, local, dst);
    if (is_tee) cg_push_local(fc, local);
}

/* ---- whole states ------------------------------------------------------------------------------------------------------------------------ */

void cg_clean_upper(FuncCompiler *fc)
{
    for (uint32_t set = fc->upper; set; set &= set - 1) {
        Reg reg = (Reg)__builtin_ctz(set);
        if ((fc->rs.locals | fc->stk) & REG_BIT(reg)) x64_movl_rr(fc->as, REG_GPR(reg), REG_GPR(reg));
    }
    fc->upper = 0;
}

void cg_truncate(FuncCompiler *fc, uint32_t height)
{
    while (fc->sp > height) {
        const Val *v = &fc->stack[--fc->sp];
        if (v->kind == VAL_REG) fc->stk &= ~REG_BIT(v->reg);
        else if (v->kind == VAL_LOCAL) fc->local_aliases[v->index]--;
    }
    if (fc->stable > height) fc->stable = height;
}

void cg_state_load(FuncCompiler *fc, const RegState *state)
{
    const uint32_t same = cg_state_same(&fc->rs, state);
    for (uint32_t set = fc->rs.locals & ~same; set; set &= set - 1) fc->local_reg[fc->rs.local[__builtin_ctz(set)]] = REG_NONE;
    fc->rs = *state;
    for (uint32_t set = state->locals & ~same; set; set &= set - 1) {
        Reg reg = (Reg)__builtin_ctz(set);
        fc->local_reg[state->local[reg]] = reg;
    }
    fc->upper = 0;
}

/* Every invariant of the model; for debug_checks, after every instruction. */
void cg_state_verify(FuncCompiler *fc)
{
    assert(!(fc->rs.locals & fc->stk) && !(fc->rs.dirty & ~fc->rs.locals) && !((fc->rs.locals | fc->stk) & ~REGS_ALL));
    for (uint32_t set = fc->rs.locals; set; set &= set - 1) {
        Reg reg = (Reg)__builtin_ctz(set);
        (void)reg;
        assert(fc->local_reg[fc->rs.local[reg]] == reg && (cg_class(fc->local_type[fc->rs.local[reg]]) & REG_BIT(reg)));
    }
    uint32_t in_regs = 0;
    for (uint32_t local = 0; local < fc->num_locals + WASM_SPARE_LOCALS; local++) in_regs += fc->local_reg[local] != REG_NONE;
    assert(in_regs == (uint32_t)__builtin_popcount(fc->rs.locals));
    uint32_t seen = 0;
    for (uint32_t i = 0; i < fc->sp; i++) {
        const Val *v = &fc->stack[i];
        if (v->kind == VAL_REG) {
            assert((fc->stk & REG_BIT(v->reg)) && fc->reg_stack[v->reg] == i && !(seen & REG_BIT(v->reg)) && i >= fc->stable);
            seen |= REG_BIT(v->reg);
        } else if (v->kind == VAL_SLOT) {
            assert(v->index == i);
        } else if (v->kind == VAL_LOCAL) {
            assert(fc->local_aliases[v->index] > 0 && (i >= fc->stable || i < fc->ctl[fc->depth - 1].height));
        }
    }
    assert(seen == fc->stk);
    (void)in_regs;
    (void)seen;
}
