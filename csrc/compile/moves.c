/* The parallel move: many registers get new values at once (at branches, calls, returns), each source read before it is overwritten.
 *
 * Register-to-register moves are emitted when nobody waits for the old value of the destination any more; what is left are cycles, opened
 * with a scratch register. Loads and constants come last, they read no register of the set. Only movs are emitted: flags stay. */
#include "compile/state.h"

void cg_moves_add_reg(Moves *moves, uint8_t type, Reg dst, Reg src)
{
    if (dst == src) return;
    moves->dst |= REG_BIT(dst);
    moves->src[dst] = src;
    moves->type[dst] = type;
}

void cg_moves_add(FuncCompiler *fc, Moves *moves, Reg dst, Val v)
{
    if (v.kind == VAL_REG) {
        cg_moves_add_reg(moves, v.type, dst, v.reg);
    } else if (v.kind == VAL_LOCAL && fc->local_reg[v.index] != REG_NONE) {
        cg_moves_add_reg(moves, v.type, dst, fc->local_reg[v.index]);
    } else {
        moves->late |= REG_BIT(dst);
        moves->val[dst] = v;
    }
}

void cg_moves_emit(FuncCompiler *fc, Moves *moves)
{
    while (moves->dst) {
        uint32_t sources = 0;
        for (uint32_t set = moves->dst; set; set &= set - 1) sources |= REG_BIT(moves->src[__builtin_ctz(set)]);
        uint32_t ready = moves->dst & ~sources;
        if (ready) {
            for (; ready; ready &= ready - 1) {
                Reg dst = (Reg)__builtin_ctz(ready);
                cg_move(fc, moves->type[dst], dst, moves->src[dst]);
                moves->dst &= ~REG_BIT(dst);
            }
            continue;
        }
        Reg first = (Reg)__builtin_ctz(moves->dst); /* a cycle: its old value waits in a scratch register */
        bool is_float = first >= 16;
        Reg scratch = is_float ? XMM_REG(REG_XSCRATCH) : (Reg)REG_SCRATCH;
        cg_move(fc, is_float ? WR_KIND_V128 : WR_KIND_I64, scratch, first);
        for (uint32_t set = moves->dst; set; set &= set - 1) {
            Reg dst = (Reg)__builtin_ctz(set);
            if (moves->src[dst] == first) moves->src[dst] = scratch;
        }
    }
    bool flags_live = fc->flags_live;
    for (uint32_t set = moves->late; set; set &= set - 1) {
        Reg dst = (Reg)__builtin_ctz(set);
        Val *v = &moves->val[dst];
        if (v->kind == VAL_CONST) cg_const(fc, v->type, dst, v->bits);
        else cg_load(fc, v->type, dst, cg_mem(fc, v));
    }
    fc->flags_live = flags_live;
    moves->late = 0;
}

void cg_store_val(FuncCompiler *fc, X64Mem dst, Val v)
{
    Reg reg;
    if (v.kind == VAL_CONST) {
        cg_store_const(fc, v.type, dst, v.bits);
        return;
    }
    if (v.kind == VAL_REG) {
        reg = v.reg;
    } else if (v.kind == VAL_LOCAL && fc->local_reg[v.index] != REG_NONE) {
        reg = fc->local_reg[v.index];
    } else {
        reg = cg_is_float(v.type) ? XMM_REG(REG_XSCRATCH) : (Reg)REG_SCRATCH;
        cg_load(fc, v.type, reg, cg_mem(fc, &v));
    }
    cg_store(fc, v.type, dst, reg);
}
