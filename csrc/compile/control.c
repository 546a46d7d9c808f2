/* Blocks, branches and what holds where they meet.
 *
 * An Edge is the code that turns the current state into that of a label: stores of dirty locals that the label wants at home, then one parallel move.
 * Planning an edge may weaken a forward label's state (never a loop's, whose header is emitted already): that is free for the branches
 * planned before. Emitting an edge never changes the current state, so a conditional branch emits it on its own path only. */
#include "compile/state.h"

typedef struct Edge {
    Moves moves;
    uint32_t stores; /* registers whose locals go home */
    uint32_t arity, first; /* operands that travel: stack[first..] */
    bool slots;      /* some of them must be stored to their slots */
} Edge;

static uint32_t control_arity(const Control *c) { return c->kind == CONTROL_LOOP ? c->num_params : c->num_results; }
static bool control_result_in_reg(const Control *c) { return c->kind != CONTROL_LOOP && c->num_results == 1; }

/* ---- edges -------------------------------------------------------------------------------------------------------------------- */

/* The first branch to a forward label: its state becomes the label's. */
static void edge_fix(FuncCompiler *fc, Control *c)
{
    if (control_result_in_reg(c)) {
        Val *top = &fc->stack[fc->sp - 1];
        if (top->kind == VAL_REG) {
            c->result_reg = top->reg;
        } else {
            uint32_t held = fc->lock;
            c->result_reg = cg_alloc(fc, cg_class(top->type));
            fc->lock = held;
        }
    }
    c->state = fc->rs;
    uint32_t depth = (uint32_t)(c - fc->ctl);
    for (uint32_t set = c->state.locals; set; set &= set - 1) {
        uint32_t reg = (uint32_t)__builtin_ctz(set);
        if (cg_is_dead(fc, c->state.local[reg], depth)) c->state.locals &= ~REG_BIT(reg);
    }
    c->state.dirty &= c->state.locals;
    c->fixed = true;
}

static void edge_plan(FuncCompiler *fc, Control *c, Edge *edge)
{
    bool backward = c->kind == CONTROL_LOOP;
    const uint32_t same = cg_state_same(&fc->rs, &c->state), same_dirty = same & fc->rs.dirty;
    if (!backward) c->state.dirty |= same_dirty;
    uint32_t covered = same & ~(same_dirty & ~c->state.dirty);
    edge->stores = 0;
    cg_moves_init(&edge->moves);
    for (uint32_t set = c->state.locals & ~same; set; set &= set - 1) {
        Reg reg = (Reg)__builtin_ctz(set);
        uint32_t local = c->state.local[reg];
        Reg from = fc->local_reg[local];
        if (from == REG_NONE) {
            if (!backward && cg_is_dead(fc, local, (uint32_t)(c - fc->ctl))) { /* whatever it holds */
            } else if (!backward && !(c->state.dirty & REG_BIT(reg)) && fc->local_pref[local] != reg) {
                c->state.locals &= ~REG_BIT(reg);
            } else {
                edge->moves.late |= REG_BIT(reg);
                edge->moves.val[reg] = (Val){.kind = VAL_LOCAL, .type = fc->local_type[local], .index = local};
            }
            continue;
        }
        cg_moves_add_reg(&edge->moves, fc->local_type[local], reg, from);
        if (!(fc->rs.dirty & REG_BIT(from))) {
            covered |= REG_BIT(from);
        } else if (!backward) {
            c->state.dirty |= REG_BIT(reg);
            covered |= REG_BIT(from);
        } else if (c->state.dirty & REG_BIT(reg)) {
            covered |= REG_BIT(from);
        }
    }
    for (uint32_t set = backward ? c->pins & ~c->state.locals : 0; set; set &= set - 1) {
        Reg from = fc->local_reg[c->state.local[__builtin_ctz(set)]];
        if (from != REG_NONE) covered |= REG_BIT(from);
    }
    edge->stores = fc->rs.dirty & ~covered;
    for (uint32_t set = edge->stores; set; set &= set - 1) {
        uint32_t reg = (uint32_t)__builtin_ctz(set), local = fc->rs.local[reg];
        if ((!backward || local >= fc->num_locals) && cg_is_dead(fc, local, (uint32_t)(c - fc->ctl))) edge->stores &= ~REG_BIT(reg);
    }
    edge->arity = control_arity(c);
    edge->first = fc->sp - edge->arity;
    edge->slots = false;
    if (control_result_in_reg(c)) {
        cg_moves_add(fc, &edge->moves, c->result_reg, fc->stack[edge->first]);
    } else {
        for (uint32_t i = 0; i < edge->arity; i++) {
            const Val *v = &fc->stack[edge->first + i];
            if (v->kind != VAL_SLOT || v->index != c->height + i) edge->slots = true;
        }
    }
}

static bool edge_is_empty(const Edge *edge) { return !edge->stores && !edge->moves.dst && !edge->moves.late && !edge->slots; }

static void edge_emit(FuncCompiler *fc, const Control *c, Edge *edge)
{
    for (uint32_t set = edge->stores; set; set &= set - 1) {
        Reg reg = (Reg)__builtin_ctz(set);
        uint32_t local = fc->rs.local[reg];
        cg_store(fc, fc->local_type[local], cg_local_mem(fc, local), reg);
    }
    if (edge->slots) { /* positions only ever go down: ascending order overwrites nothing that is still to be read */
        for (uint32_t i = 0; i < edge->arity; i++) {
            const Val *v = &fc->stack[edge->first + i];
            if (v->kind != VAL_SLOT || v->index != c->height + i) cg_store_val(fc, cg_slot_mem(fc, v->type, c->height + i), *v);
        }
    }
    cg_moves_emit(fc, &edge->moves);
}

void cg_jump_if(FuncCompiler *fc, Cond cond, X64Label label)
{
    if (cond.parity == COND_OR_P) {
        x64_jcc(fc->as, X64_CC_P, label);
        x64_jcc(fc->as, (X64Cond)cond.cc, label);
    } else if (cond.parity == COND_AND_NP) {
        X64Label skip = x64_label_new(fc->as);
        x64_jcc_short(fc->as, X64_CC_P, skip);
        x64_jcc(fc->as, (X64Cond)cond.cc, label);
        x64_label_bind(fc->as, skip);
    } else {
        x64_jcc(fc->as, (X64Cond)cond.cc, label);
    }
}

/* ---- entering blocks --------------------------------------------------------------------------------------------------------------- */

static const WasmBlockInfo *control_block_info(FuncCompiler *fc) { return &fc->info->blocks[fc->next_block++]; }

static Control *control_push(FuncCompiler *fc, ControlKind kind)
{
    assert(fc->depth < fc->cap_ctl);
    Control *c = &fc->ctl[fc->depth++];
    c->kind = (uint8_t)kind;
    c->fixed = false;
    c->result_reg = REG_NONE;
    c->num_params = c->num_results = 0;
    c->params = c->results = NULL;
    c->table_stamp = 0;
    c->label = x64_label_new(fc->as);
    uint32_t byte = *fc->ip;
    if (byte == 0x40) {
        fc->ip++;
    } else if ((byte & 0xc0) == 0x40) { /* a negative one-byte code: a value type */
        c->single = wr_read_valtype(&fc->ip);
        c->results = &c->single;
        c->num_results = 1;
    } else {
        const CgAbi *abi = &fc->mc->abis[(uint32_t)wr_read_block_type(&fc->ip)];
        c->num_params = abi->num_params;
        c->num_results = abi->num_results;
        c->params = abi->param_types;
        c->results = abi->result_types;
    }
    c->height = fc->sp - c->num_params;
    return c;
}

/* Stack entries below the block's height keep their place inside it, which assigns `assigned`. Those below the block around it have theirs, and must keep
 * it: paths out of that one need not come by here. From here to its end they count as stable, aliases or not. */
static void control_stabilise(FuncCompiler *fc, uint64_t assigned)
{
    Control *c = &fc->ctl[fc->depth - 1];
    uint32_t height = c->height, first = c[-1].height > fc->stable ? c[-1].height : fc->stable;
    c->outer_stable = fc->stable;
    if (fc->stable >= height) return;
    bool all = height - first > 64; /* many aliases would be looked at again by every block */
    bool aliases = false;
    for (uint32_t i = first; i < height; i++) {
        const Val *v = &fc->stack[i];
        if (v->kind == VAL_REG) cg_spill_at(fc, i);
        else if (v->kind == VAL_LOCAL) {
            if (all || assigned >> (v->index & 63u) & 1) cg_spill_at(fc, i);
            else aliases = true;
        }
    }
    if (aliases) return;
    if (first == fc->stable) c->outer_stable = height;
    fc->stable = height;
}

static void control_params_to_slots(FuncCompiler *fc, const Control *c)
{
    for (uint32_t i = 0; i < c->num_params; i++) cg_spill_at(fc, c->height + i);
    if (fc->stable == c->height) fc->stable = fc->sp;
}

static void control_params_restore(FuncCompiler *fc, const Control *c)
{
    cg_truncate(fc, c->height);
    for (uint32_t i = 0; i < c->num_params; i++) {
        fc->stack[fc->sp] = (Val){.kind = VAL_SLOT, .type = (uint8_t)wr_vt_kind(c->params[i]), .index = fc->sp};
        fc->sp++;
    }
}

static void control_pins_set(FuncCompiler *fc, const Control *loop)
{
    for (uint32_t set = loop->pins; set; set &= set - 1) {
        Reg reg = (Reg)__builtin_ctz(set);
        fc->local_pref[loop->state.local[reg]] = reg;
    }
    fc->pins = loop->pins;
}

static void control_pins_clear(FuncCompiler *fc)
{
    if (fc->loop == UINT32_MAX) return;
    const Control *loop = &fc->ctl[fc->loop];
    for (uint32_t set = loop->pins; set; set &= set - 1) fc->local_pref[loop->state.local[__builtin_ctz(set)]] = REG_NONE;
    fc->pins = 0;
}

typedef struct LoopChoice {
    RegState state;
    uint32_t left;    /* registers that may still be given out */
    uint32_t num_gpr, max_gpr; /* integer registers given out; at most */
    uint32_t killed;  /* registers of locals that the loop sets before it reads them */
} LoopChoice;

static void loop_give(FuncCompiler *fc, LoopChoice *choice, uint32_t local, Reg reg, bool killed)
{
    if (killed) choice->killed |= REG_BIT(reg);
    choice->state.locals |= REG_BIT(reg);
    choice->state.local[reg] = (uint16_t)local;
    choice->left &= ~REG_BIT(reg);
    choice->num_gpr += reg < 16;
    fc->ever |= REG_BIT(reg);
}

enum { LOOP_LARGE_BYTES = 512, LOOP_LARGE_GPRS = 2 };

/* Integer registers that stay one local's for the whole loop. In long straight code, such as rounds of a hash that were unrolled, nearly every value lives
 * for some instructions only, and wants a register then more than a local does that is used once in a while. */
static uint32_t loop_gprs(const FuncCompiler *fc, const WasmBlockInfo *block)
{
    bool large = !block->has_loop && !block->call_weight && block->end - (uint32_t)(fc->ip - fc->bytes) > LOOP_LARGE_BYTES;
    return large ? LOOP_LARGE_GPRS : CG_LOOP_GPRS;
}

/* Which locals the loop holds in which registers. Two rounds over the locals by weight: who can stay where it is, then the others.
 * Across calls only callee-saved registers last; others are worth it where uses outweigh calls. */
static void loop_choose(FuncCompiler *fc, const WasmBlockInfo *block, const WasmLocalWeight *weights, uint32_t count, LoopChoice *choice)
{
    uint32_t wanted = 0, num_wanted_gpr = 0, num_wanted_xmm = 0;
    choice->state.locals = choice->state.dirty = choice->killed = 0;
    choice->left = REGS_PINNABLE_GPR | REGS_PINNABLE_XMM;
    choice->num_gpr = 0;
    choice->max_gpr = loop_gprs(fc, block);
    uint32_t saved_left = block->call_weight ? 3 : 0;
    uint32_t in_saved = 0; /* of the wanted: gets a callee-saved register */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t local = weights[i].local;
        bool is_float = cg_is_float(fc->local_type[local]);
        if (cg_is_virgin(fc, local)) continue; /* a constant in this loop */
        if (block->call_weight) {
            if (!is_float && saved_left) {
                saved_left--;
                in_saved |= (uint32_t)1 << i;
            } else if (weights[i].weight <= 3 * block->call_weight) {
                continue;
            }
        }
        if (is_float ? num_wanted_xmm == 11 : num_wanted_gpr == choice->max_gpr) continue;
        if (is_float) num_wanted_xmm++;
        else num_wanted_gpr++;
        wanted |= (uint32_t)1 << i;
    }
    uint32_t done = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!(wanted >> i & 1)) continue;
        Reg reg = fc->local_reg[weights[i].local];
        if (reg == REG_NONE || !(choice->left & REG_BIT(reg))) continue;
        if ((in_saved >> i & 1) != ((REGS_CALLEE_SAVED >> reg & 1) && block->call_weight)) continue;
        loop_give(fc, choice, weights[i].local, reg, weights[i].killed);
        done |= (uint32_t)1 << i;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!(wanted >> i & 1) || done >> i & 1) continue;
        uint32_t set = choice->left & cg_class(fc->local_type[weights[i].local]);
        if (in_saved >> i & 1) set &= REGS_CALLEE_SAVED;
        else if (block->call_weight) set &= ~REGS_CALLEE_SAVED;
        uint32_t unowned = set & ~fc->rs.locals;
        if (unowned) set = unowned;
        if (set & ~REGS_CALLEE_SAVED) set &= ~REGS_CALLEE_SAVED;
        if (set) loop_give(fc, choice, weights[i].local, (Reg)__builtin_ctz(set), weights[i].killed);
    }
}

static bool loop_has(const LoopChoice *choice, uint32_t local)
{
    for (uint32_t set = choice->state.locals; set; set &= set - 1)
        if (choice->state.local[__builtin_ctz(set)] == local) return true;
    return false;
}

/* What else is in registers stays there if nobody wants them. */
static void loop_choose_rest(FuncCompiler *fc, const WasmBlockInfo *block, LoopChoice *choice)
{
    for (uint32_t set = fc->rs.locals & choice->left; set; set &= set - 1) {
        Reg reg = (Reg)__builtin_ctz(set);
        uint32_t local = fc->rs.local[reg];
        if (loop_has(choice, local) || (reg < 16 && choice->num_gpr >= choice->max_gpr)) continue;
        if (block->call_weight && !(REGS_CALLEE_SAVED >> reg & 1)) continue;
        loop_give(fc, choice, local, reg, false);
    }
}

/* In an innermost loop without calls, a register that the loop has no use for holds the VMStoreContext, which the interrupt check reads. */
static Reg loop_keep_store(FuncCompiler *fc, const WasmBlockInfo *block, LoopChoice *choice)
{
    if (!fc->mc->tunables.interruptible || block->has_loop || block->call_weight || fc->mc->careful || fc->catches) return REG_NONE;
    if (choice->num_gpr >= choice->max_gpr || fc->num_hoisted == WASM_SPARE_LOCALS) return REG_NONE;
    uint32_t set = choice->left & REGS_GPR & ~fc->stk & (fc->ever | ~REGS_CALLEE_SAVED), narrower;
    for (uint32_t owned = set & fc->rs.locals; owned; owned &= owned - 1)
        if (loop_has(choice, fc->rs.local[__builtin_ctz(owned)])) set &= ~(owned & -owned); /* on its way to another register */
    if (!set) return REG_NONE;
    if ((narrower = set & ~fc->rs.locals) || (narrower = set & ~fc->rs.dirty)) set = narrower;
    if (set & ~REGS_CALLEE_SAVED) set &= ~REGS_CALLEE_SAVED;
    Reg reg = (Reg)__builtin_ctz(set);
    if (fc->rs.locals & REG_BIT(reg)) cg_evict_local(fc, reg);
    uint32_t local = fc->num_locals + fc->num_hoisted++;
    fc->hoist_loop = fc->depth - 1;
    fc->local_type[local] = WR_KIND_I64;
    fc->uses_vmctx = true;
    x64_movq_rm(fc->as, REG_GPR(reg), x64_mem_b(REG_VMCTX, WR_OFFSET(VMContextHeader, store)));
    cg_local_assign(fc, local, reg);
    loop_give(fc, choice, local, reg, false);
    return reg;
}

static void control_loop(FuncCompiler *fc, Control *c, const WasmBlockInfo *block)
{
    control_params_to_slots(fc, c);
    WasmLocalWeight weights[CG_LOOP_LOCALS];
    uint32_t mask, polled = cg_poll_find(fc, block, &mask);
    uint32_t count = cg_hoist(fc, block, weights);
    LoopChoice choice;
    loop_choose(fc, block, weights, fc->mc->careful ? 0 : count, &choice);
    Reg store = polled == UINT32_MAX ? loop_keep_store(fc, block, &choice) : REG_NONE;
    loop_choose_rest(fc, block, &choice);
    control_pins_clear(fc);
    c->outer_loop = fc->loop;

    /* from here to the header's state */
    for (uint32_t set = choice.state.locals; set; set &= set - 1) {
        Reg reg = (Reg)__builtin_ctz(set);
        uint32_t local = choice.state.local[reg];
        Reg from = fc->local_reg[local];
        bool dirty = from != REG_NONE && (fc->rs.dirty & REG_BIT(from));
        bool lasting = !block->call_weight || (REGS_CALLEE_SAVED >> reg & 1);
        if (block->assigned >> (local & 63u) & 1 || (dirty && lasting)) choice.state.dirty |= REG_BIT(reg);
    }
    c->state = choice.state;
    c->pins = choice.state.locals;
    if (!fc->catches && !block->has_loop && !block->call_weight) c->state.locals &= ~choice.killed; /* elsewhere it does not pay */
    c->state.dirty &= c->state.locals;
    c->fixed = true;
    uint32_t arity = c->num_params;
    c->num_params = 0; /* they are in their slots already */
    Edge edge;
    edge_plan(fc, c, &edge);
    edge_emit(fc, c, &edge);
    c->num_params = arity;
    cg_state_load(fc, &c->state);
    fc->loop = fc->depth - 1;
    if (fc->outer_loop == UINT32_MAX) fc->outer_loop = fc->loop;
    control_pins_set(fc, c);
    X64Label first = x64_label_new(fc->as);
    bool jumped = polled != UINT32_MAX && !fc->mc->tunables.consume_fuel;
    if (jumped) x64_jmp_short(fc->as, first);
    x64_align(fc->as, 16);
    x64_label_bind(fc->as, c->label);
    c->fuel_site = fc->fuel_site;
    c->fuel_ops = fc->fuel_ops;
    cg_fuel_begin(fc);
    fc->zero_at = UINT32_MAX;
    if (polled == UINT32_MAX) cg_interrupt_check(fc, store);
    else cg_poll(fc, polled, mask);
    if (jumped) x64_label_bind(fc->as, first);
}

void cg_block(FuncCompiler *fc, ControlKind kind)
{
    const WasmBlockInfo *block = control_block_info(fc);
    if (fc->upper) cg_clean_upper(fc);
    if (fc->virgin & block->assigned) cg_unvirgin(fc, block->assigned, UINT32_MAX);
    Control *c = control_push(fc, kind);
    control_stabilise(fc, block->assigned);
    if (kind == CONTROL_LOOP) control_loop(fc, c, block);
}

void cg_if(FuncCompiler *fc, Cond cond)
{
    fc->flags_live = true;
    const WasmBlockInfo *block = control_block_info(fc);
    if (fc->upper) cg_clean_upper(fc);
    if (fc->virgin & block->assigned) cg_unvirgin(fc, block->assigned, UINT32_MAX);
    Control *c = control_push(fc, CONTROL_IF);
    control_stabilise(fc, block->assigned);
    control_params_to_slots(fc, c);
    c->else_label = x64_label_new(fc->as);
    cg_jump_if(fc, cg_cond_negate(cond), c->else_label);
    fc->flags_live = false;
    c->else_state = fc->rs;
}

/* ---- leaving blocks ------------------------------------------------------------------------------------------------------------------ */

/* The code at the end of an arm goes on at the label, which is bound next or jumped to. */
static void control_arrive(FuncCompiler *fc, Control *c)
{
    if (fc->upper) cg_clean_upper(fc);
    if (!c->fixed) edge_fix(fc, c);
    Edge edge;
    edge_plan(fc, c, &edge);
    edge_emit(fc, c, &edge);
}

/* The label is here: its state holds, its results are on the stack. */
static void control_bind(FuncCompiler *fc, Control *c)
{
    x64_label_bind(fc->as, c->label);
    fc->zero_at = UINT32_MAX;
    cg_truncate(fc, c->height);
    cg_state_load(fc, &c->state);
    fc->dead = false;
    if (control_result_in_reg(c)) {
        cg_push_reg(fc, (uint8_t)wr_vt_kind(c->results[0]), c->result_reg);
    } else {
        for (uint32_t i = 0; i < c->num_results; i++) {
            fc->stack[fc->sp] = (Val){.kind = VAL_SLOT, .type = (uint8_t)wr_vt_kind(c->results[i]), .index = fc->sp};
            fc->sp++;
        }
    }
}

void cg_else(FuncCompiler *fc)
{
    Control *c = &fc->ctl[fc->depth - 1];
    if (!fc->dead) {
        control_arrive(fc, c);
        x64_jmp(fc->as, c->label);
    }
    c->kind = CONTROL_ELSE;
    x64_label_bind(fc->as, c->else_label);
    fc->zero_at = UINT32_MAX;
    control_params_restore(fc, c);
    cg_state_load(fc, &c->else_state);
    fc->dead = false;
}

/* `if` without `else`: the state that the untaken side has is preferred, so that it costs nothing there. */
static void control_end_if(FuncCompiler *fc, Control *c)
{
    fc->zero_at = UINT32_MAX;
    if (fc->dead && !c->fixed) {
        x64_label_bind(fc->as, c->else_label);
        control_params_restore(fc, c);
        cg_state_load(fc, &c->else_state);
        fc->dead = false;
        return;
    }
    bool then_arrives = !fc->dead;
    if (then_arrives) {
        if (fc->upper) cg_clean_upper(fc);
        if (!c->fixed) {
            c->state = c->else_state;
            for (uint32_t set = c->state.locals & ~c->state.dirty; set; set &= set - 1) {
                Reg reg = (Reg)__builtin_ctz(set);
                uint32_t local = c->state.local[reg];
                if (fc->local_reg[local] == REG_NONE && fc->local_pref[local] != reg) c->state.locals &= ~REG_BIT(reg);
            }
            if (control_result_in_reg(c)) {
                const Val *top = &fc->stack[fc->sp - 1];
                if (top->kind == VAL_REG && !(c->state.locals & REG_BIT(top->reg))) {
                    c->result_reg = top->reg;
                } else { /* one that neither side's locals are in */
                    uint32_t set = cg_class(top->type) & ~(c->state.locals | fc->rs.locals | fc->stk);
                    if (!set) {
                        set = cg_class(top->type) & c->state.locals & ~c->state.dirty;
                        if (!set) { /* all dirty: send one of the then side's away, and on the other side too */
                            set = cg_class(top->type) & c->state.locals;
                        }
                        c->state.locals &= ~(set & -set);
                        c->state.dirty &= ~(set & -set);
                    }
                    c->result_reg = (Reg)__builtin_ctz(set);
                    fc->ever |= REG_BIT(c->result_reg);
                }
            }
            c->fixed = true;
        }
        Edge edge;
        edge_plan(fc, c, &edge);
        edge_emit(fc, c, &edge);
    }
    control_params_restore(fc, c);
    cg_state_load(fc, &c->else_state);
    Edge edge;
    edge_plan(fc, c, &edge);
    if (then_arrives && !edge_is_empty(&edge)) x64_jmp(fc->as, c->label);
    x64_label_bind(fc->as, c->else_label);
    edge_emit(fc, c, &edge);
    control_bind(fc, c);
}

void cg_end(FuncCompiler *fc)
{
    Control *c = &fc->ctl[fc->depth - 1];
    switch (c->kind) {
    case CONTROL_LOOP:
        control_pins_clear(fc);
        cg_hoist_end(fc);
        fc->loop = c->outer_loop;
        cg_fuel_end(fc);
        fc->fuel_site = c->fuel_site;
        fc->fuel_ops = c->fuel_ops;
        if (fc->loop != UINT32_MAX) control_pins_set(fc, &fc->ctl[fc->loop]);
        else fc->outer_loop = UINT32_MAX;
        break;
    case CONTROL_IF: control_end_if(fc, c); break;
    case CONTROL_FUNC:
        cg_fuel_end(fc);
        if (!fc->dead) cg_return_moves(fc);
        fc->dead = true; /* the loop over instructions ends */
        break;
    case CONTROL_TRY: cg_try_end(fc, c); /* fall through */
    default:
        if (c->fixed) {
            if (!fc->dead) control_arrive(fc, c);
            control_bind(fc, c);
        }
        break;
    }
    if (fc->stable > c->outer_stable) fc->stable = c->outer_stable;
    fc->depth--;
}

/* ---- branches -------------------------------------------------------------------------------------------------------------------------- */

void cg_return(FuncCompiler *fc)
{
    cg_return_moves(fc);
    x64_jmp(fc->as, fc->epilogue);
    fc->dead = true;
}

void cg_br(FuncCompiler *fc, uint32_t depth)
{
    Control *c = &fc->ctl[fc->depth - 1 - depth];
    if (c->kind == CONTROL_FUNC) {
        cg_return(fc);
        return;
    }
    control_arrive(fc, c);
    x64_jmp(fc->as, c->label);
    fc->dead = true;
}

void cg_br_if(FuncCompiler *fc, uint32_t depth, Cond cond)
{
    Control *c = &fc->ctl[fc->depth - 1 - depth];
    fc->flags_live = true;
    if (c->kind == CONTROL_FUNC) {
        if (cg_return_is_plain(fc)) {
            cg_jump_if(fc, cond, fc->epilogue);
        } else {
            X64Label skip = x64_label_new(fc->as);
            cg_jump_if(fc, cg_cond_negate(cond), skip);
            cg_return_moves(fc);
            x64_jmp(fc->as, fc->epilogue);
            x64_label_bind(fc->as, skip);
        }
        fc->flags_live = false;
        return;
    }
    if (fc->upper) cg_clean_upper(fc);
    if (!c->fixed) edge_fix(fc, c);
    Edge edge;
    edge_plan(fc, c, &edge);
    if (edge_is_empty(&edge)) {
        cg_jump_if(fc, cond, c->label);
        fc->flags_live = false;
        return;
    }
    X64Label skip = x64_label_new(fc->as);
    cg_jump_if(fc, cg_cond_negate(cond), skip);
    fc->flags_live = false;
    edge_emit(fc, c, &edge);
    x64_jmp(fc->as, c->label);
    x64_label_bind(fc->as, skip);
}

/* Where a br_table goes for this target: its label, or an edge that is emitted after the dispatch. */
static void table_target(FuncCompiler *fc, Control *c)
{
    if (c->table_stamp == fc->table_stamp) return;
    c->table_stamp = fc->table_stamp;
    if (c->kind == CONTROL_FUNC) {
        c->table_edge = !cg_return_is_plain(fc);
        c->table_label = fc->epilogue;
    } else {
        Edge edge;
        edge_plan(fc, c, &edge);
        c->table_edge = !edge_is_empty(&edge);
        c->table_label = c->label;
    }
    if (c->table_edge) c->table_label = x64_label_new(fc->as);
}

static void table_edge(FuncCompiler *fc, Control *c)
{
    if (!c->table_edge) return;
    c->table_edge = false;
    x64_label_bind(fc->as, c->table_label);
    if (c->kind == CONTROL_FUNC) {
        cg_return_moves(fc);
        x64_jmp(fc->as, fc->epilogue);
        return;
    }
    Edge edge;
    edge_plan(fc, c, &edge);
    edge_emit(fc, c, &edge);
    x64_jmp(fc->as, c->label);
}

static Control *table_next(FuncCompiler *fc, const uint8_t **targets) { return &fc->ctl[fc->depth - 1 - wr_leb_u32(targets)]; }

void cg_br_table(FuncCompiler *fc)
{
    Val index = cg_pop(fc);
    if (fc->upper) cg_clean_upper(fc);
    cg_reg_zext(fc, &index);
    uint32_t count = wr_leb_u32(&fc->ip);
    const uint8_t *targets = fc->ip, *p = targets;
    Reg offset = cg_alloc(fc, REGS_GPR);
    for (uint32_t i = 0; i <= count; i++) {
        Control *c = table_next(fc, &p);
        if (c->kind != CONTROL_FUNC && !c->fixed) edge_fix(fc, c);
    }
    fc->ip = p;
    Reg reg = cg_reg(fc, &index);
    fc->table_stamp++;
    p = targets;
    for (uint32_t i = 0; i <= count; i++) table_target(fc, table_next(fc, &p));
    p = targets;
    if (count <= 3) {
        for (uint32_t i = 0; i < count; i++) {
            if (i == 0) x64_testl_rr(fc->as, REG_GPR(reg), REG_GPR(reg));
            else x64_cmpl_ri(fc->as, REG_GPR(reg), (int32_t)i);
            x64_jcc(fc->as, X64_CC_E, table_next(fc, &p)->table_label);
        }
        x64_jmp(fc->as, table_next(fc, &p)->table_label);
    } else {
        const Control *otherwise = NULL;
        for (uint32_t i = 0; i <= count; i++) otherwise = table_next(fc, &p);
        X64Label table = x64_label_new(fc->as);
        x64_cmpl_ri(fc->as, REG_GPR(reg), (int32_t)count);
        x64_jcc(fc->as, X64_CC_AE, otherwise->table_label);
        x64_leaq_rm(fc->as, REG_SCRATCH, x64_mem_label(table));
        x64_movslq_rm(fc->as, REG_GPR(offset), x64_mem_bi(REG_SCRATCH, REG_GPR(reg), 4, 0));
        x64_addq_rr(fc->as, REG_SCRATCH, REG_GPR(offset));
        x64_jmp_r(fc->as, REG_SCRATCH);
        x64_align(fc->as, 4);
        x64_label_bind(fc->as, table);
        p = targets;
        for (uint32_t i = 0; i < count; i++) x64_data_label_diff32(fc->as, table_next(fc, &p)->table_label, table);
    }
    p = targets;
    for (uint32_t i = 0; i <= count; i++) table_edge(fc, table_next(fc, &p));
    fc->dead = true;
}

/* ---- conditions ------------------------------------------------------------------------------------------------------------------------------ */

void cg_cond_result(FuncCompiler *fc, Cond cond)
{
    fc->lock = 0; /* the operands were used */
    fc->flags_live = true;
    for (;;) {
        switch (*fc->ip) {
        case 0x45: /* i32.eqz */
            fc->ip++;
            cond = cg_cond_negate(cond);
            continue;
        case 0x0d: /* br_if */
            fc->ip++;
            cg_br_if(fc, wr_leb_u32(&fc->ip), cond);
            return;
        case 0x04: /* if */
            fc->ip++;
            cg_if(fc, cond);
            return;
        case 0x1b: /* select */
            fc->ip++;
            cg_select(fc, cond);
            return;
        default: break;
        }
        break;
    }
    Reg dst = cg_dest(fc, WR_KIND_I32, REG_NONE);
    x64_setcc_r(fc->as, (X64Cond)cond.cc, REG_GPR(dst));
    if (cond.parity) {
        x64_setcc_r(fc->as, cond.parity == COND_OR_P ? X64_CC_P : X64_CC_NP, REG_SCRATCH);
        if (cond.parity == COND_OR_P) x64_orb_rr(fc->as, REG_GPR(dst), REG_SCRATCH);
        else x64_andb_rr(fc->as, REG_GPR(dst), REG_SCRATCH);
    }
    x64_movzbl_rr(fc->as, REG_GPR(dst), REG_GPR(dst));
    fc->flags_live = false;
    cg_finish(fc, WR_KIND_I32, dst);
}

static Cond control_test(FuncCompiler *fc)
{
    Val v = cg_pop(fc);
    if (cg_zero_flag_holds(fc, &v)) {
        /* nothing to do */
    } else if (cg_is_mem(fc, &v)) {
        x64_cmpl_mi(fc->as, cg_mem(fc, &v), 0);
    } else {
        Reg reg = cg_reg(fc, &v);
        x64_testl_rr(fc->as, REG_GPR(reg), REG_GPR(reg));
    }
    fc->lock = 0;
    return cg_cond(X64_CC_NE);
}

void cg_op_br_if(FuncCompiler *fc)
{
    Cond cond = control_test(fc);
    cg_br_if(fc, wr_leb_u32(&fc->ip), cond);
}

void cg_op_br_on_null(FuncCompiler *fc, WasmOp op)
{
    bool is_null = op == WASM_OP_BR_ON_NULL; /* the reference goes on here, else to the label */
    Val ref = cg_pop(fc);
    Reg reg = cg_reg(fc, &ref);
    if (!is_null) cg_push_val(fc, ref);
    x64_testq_rr(fc->as, REG_GPR(reg), REG_GPR(reg));
    cg_br_if(fc, wr_leb_u32(&fc->ip), cg_cond(is_null ? X64_CC_E : X64_CC_NE));
    if (is_null) cg_push_val(fc, ref);
    else cg_pop(fc);
}

void cg_op_if(FuncCompiler *fc) { cg_if(fc, control_test(fc)); }

void cg_op_select(FuncCompiler *fc)
{
    Cond cond = control_test(fc);
    fc->flags_live = true;
    cg_select(fc, cond);
}

void cg_select(FuncCompiler *fc, Cond cond)
{
    fc->flags_live = true;
    Val b = cg_pop(fc), a = cg_pop(fc);
    uint8_t type = a.type;
    bool wide = cg_is_64(type);
    if (cg_is_float(type) || cond.parity) {
        Reg rb = cg_reg_zext(fc, &b), ra = cg_reg_zext(fc, &a);
        Reg dst = cg_dest(fc, type, cg_reuse(&a));
        X64Label skip = x64_label_new(fc->as);
        if (dst == rb && dst != ra) {
            cg_jump_if(fc, cg_cond_negate(cond), skip);
            cg_move(fc, type, dst, ra);
        } else {
            cg_move(fc, type, dst, ra);
            cg_jump_if(fc, cond, skip);
            cg_move(fc, type, dst, rb);
        }
        x64_label_bind(fc->as, skip);
        fc->flags_live = false;
        cg_finish(fc, type, dst);
        return;
    }
    X64Cond cc = (X64Cond)cond.cc;
    if (a.kind != VAL_REG && b.kind == VAL_REG) { /* the result goes where an operand dies */
        Val swap = a;
        a = b;
        b = swap;
        cc = x64_cond_negate(cc);
    }
    bool b_mem = cg_is_mem(fc, &b);
    Reg rb = b_mem ? REG_NONE : cg_reg_zext(fc, &b);
    Reg ra = cg_reg_zext(fc, &a);
    Reg dst = cg_dest(fc, type, cg_reuse(&a));
    if (dst == rb && dst != ra) {
        if (wide) x64_cmovccq_rr(fc->as, cc, REG_GPR(dst), REG_GPR(ra));
        else x64_cmovccl_rr(fc->as, cc, REG_GPR(dst), REG_GPR(ra));
    } else {
        cg_move(fc, type, dst, ra);
        cc = x64_cond_negate(cc);
        if (b_mem) {
            if (wide) x64_cmovccq_rm(fc->as, cc, REG_GPR(dst), cg_mem(fc, &b));
            else x64_cmovccl_rm(fc->as, cc, REG_GPR(dst), cg_mem(fc, &b));
        } else {
            if (wide) x64_cmovccq_rr(fc->as, cc, REG_GPR(dst), REG_GPR(rb));
            else x64_cmovccl_rr(fc->as, cc, REG_GPR(dst), REG_GPR(rb));
        }
    }
    fc->flags_live = false;
    cg_finish(fc, type, dst);
}
