/* try_table, throw, throw_ref: code that costs nothing until something is thrown.
 *
 * Throwing calls a builtin, which walks up the frames by rbp, looks for a row of the handler table that covers each return address (HandlerRow in
 * compile.h), and gives back where to go on. Only frames of compiled functions lie between: the walk ends at the entry trampoline.
 * A function with a handler is resumed with its rbp and nothing else, at code of its own (`resume`) that makes rsp from rbp and the frame's size, loads
 * r14 and r15 again, the exception into rax, and jumps to the landing pad of the catch.
 *
 * What that needs of the rest of the compiler:
 * - At a call in a try_table every local is at home (cg_call_save), since the pad finds nothing in registers. Copies in callee-saved registers go on
 *   serving the code behind a call that returns.
 * - The frames between the throw and the handler never run their epilogues, so rbx, r12, r13, r14 and r15 hold anything at the pad. The function's own
 *   caller still wants its values: a function with a handler saves all five in its prologue whether it uses them or not, and its epilogue, which
 *   restores them from the frame, makes up for all the epilogues that were skipped.
 * - Entries of the operand stack below a label are slots, constants or aliases of locals that the label's block does not assign: what the pad's way
 *   to its label must leave alone. Stack arguments that were being passed are gone with rsp.
 * - A label that no branch has reached yet becomes one that wants no local in a register; the pad of another one loads what the label wants. Later
 *   branches only weaken it, which keeps the pad right. So pads can come after the body, when all labels are bound. */
#include "compile/state.h"

enum { CATCH, CATCH_REF, CATCH_ALL, CATCH_ALL_REF };
enum { LEA_DISP_AT = 3 /* lea rsp, [rbp + disp32]: 48 8d a5 disp32 */ };
enum { PAD_MARK_NOP = 7 /* 0f 1f 80 disp32: ends in the CODE_MARK_BYTES of a landing pad, and disassembles */ };

/* ---- try_table ------------------------------------------------------------------------------------------------------------------- */

static void try_target(FuncCompiler *fc, Control *target, Pad *pad)
{
    pad->label = target->label;
    pad->result_reg = REG_NONE;
    pad->height = target->height;
    pad->first_load = fc->num_loads;
    pad->num_loads = 0;
    pad->returns = target->kind == CONTROL_FUNC;
    if (pad->returns) return;
    bool in_reg = target->kind != CONTROL_LOOP && target->num_results == 1;
    if (!target->fixed) {
        target->state.locals = target->state.dirty = 0;
        if (in_reg) {
            target->result_reg = cg_is_float((uint8_t)wr_vt_kind(target->results[0])) ? XMM_REG(XMM0) : (Reg)RAX;
            fc->ever |= REG_BIT(target->result_reg);
        }
        target->fixed = true;
    }
    if (in_reg) pad->result_reg = target->result_reg;
    for (uint32_t set = target->state.locals; set; set &= set - 1) {
        Reg reg = (Reg)__builtin_ctz(set);
        if (!cg_room(fc, (void **)&fc->loads, &fc->cap_loads, fc->num_loads + 1, sizeof *fc->loads)) return;
        fc->loads[fc->num_loads++] = (PadLoad){target->state.local[reg], reg};
        pad->num_loads++;
    }
}

void cg_try_table(FuncCompiler *fc)
{
    cg_block(fc, CONTROL_TRY);
    uint32_t index = fc->depth - 1, count = wr_leb_u32(&fc->ip), first = fc->num_handlers, last = first + count;
    Control *c = &fc->ctl[index];
    c->num_catches = count;
    c->outer_handler = fc->handler;
    if (count == 0) return;
    if (!cg_room(fc, (void **)&fc->handlers, &fc->cap_handlers, last, sizeof *fc->handlers) ||
        !cg_room(fc, (void **)&fc->pads, &fc->cap_pads, fc->num_pads + count, sizeof *fc->pads))
        return;
    fc->num_handlers = last;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t kind = *fc->ip++;
        Pad *pad = &fc->pads[fc->num_pads++];
        HandlerRow *row = &fc->handlers[last - 1 - i];
        *row = (HandlerRow){.start = x64_offset(fc->as), .tag = HANDLER_ALL, .next = i + 1 < count ? last - 2 - i : c->outer_handler};
        pad->handler = last - 1 - i;
        pad->num_values = 0;
        pad->types = NULL;
        pad->with_ref = kind == CATCH_REF || kind == CATCH_ALL_REF;
        if (kind <= CATCH_REF) {
            row->tag = wr_leb_u32(&fc->ip);
            const CgAbi *abi = &fc->mc->abis[fc->mc->module->tags[row->tag].type_index];
            pad->num_values = abi->num_params;
            pad->types = abi->param_types;
        }
        uint32_t depth = wr_leb_u32(&fc->ip);
        try_target(fc, &fc->ctl[index - 1 - depth], pad);
    }
    fc->handler = last - 1;
}

void cg_try_end(FuncCompiler *fc, const Control *c)
{
    if (c->num_catches == 0) return;
    for (uint32_t i = 0; i < c->num_catches; i++) fc->handlers[fc->handler - i].end = x64_offset(fc->as);
    fc->handler = c->outer_handler;
}

/* ---- landing pads ------------------------------------------------------------------------------------------------------------------ */

/* A value of the exception to memory; r11 holds the address of its values. */
static void pad_copy(FuncCompiler *fc, ValType type, X64Mem dst, uint32_t index)
{
    X64Mem src = x64_mem_b(REG_SCRATCH, (int32_t)(index * sizeof(ValRaw)));
    if (wr_vt_kind(type) == WR_KIND_V128) {
        x64_movups_xm(fc->as, REG_XSCRATCH, src);
        x64_movups_mx(fc->as, dst, REG_XSCRATCH);
    } else {
        x64_movsd_xm(fc->as, REG_XSCRATCH, src);
        x64_movsd_mx(fc->as, dst, REG_XSCRATCH);
    }
}

/* The values are the function's results. Those in memory first: rax is the exception until a result replaces it. */
static void pad_return(FuncCompiler *fc, const Pad *pad)
{
    const AbiSlot *slots = fc->abi->layout.results;
    if (fc->area_home) x64_movq_rm(fc->as, RCX, x64_mem_b(RBP, fc->area_home));
    if (pad->with_ref && slots[pad->num_values].kind == ABI_AREA) x64_movq_mr(fc->as, x64_mem_b(RCX, slots[pad->num_values].offset), RAX);
    for (uint32_t i = 0; i < pad->num_values; i++)
        if (slots[i].kind == ABI_AREA) pad_copy(fc, pad->types[i], x64_mem_b(RCX, slots[i].offset), i);
    for (uint32_t i = 0; i < pad->num_values; i++) {
        Reg reg = slots[i].kind == ABI_XMM ? XMM_REG(slots[i].reg) : slots[i].reg;
        if (slots[i].kind != ABI_AREA) cg_load(fc, (uint8_t)wr_vt_kind(pad->types[i]), reg, x64_mem_b(REG_SCRATCH, (int32_t)(i * sizeof(ValRaw))));
    }
    x64_jmp(fc->as, fc->epilogue);
}

static void pad_emit(FuncCompiler *fc, const Pad *pad)
{
    wr_x64_nop(fc->as, PAD_MARK_NOP); /* never executed */
    fc->handlers[pad->handler].landing = x64_offset(fc->as);
    if (pad->num_values) x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(RAX, WR_OFFSET(VMException, values)));
    if (pad->returns) {
        pad_return(fc, pad);
        return;
    }
    if (pad->result_reg == REG_NONE) {
        for (uint32_t i = 0; i < pad->num_values; i++)
            pad_copy(fc, pad->types[i], cg_slot_mem(fc, (uint8_t)wr_vt_kind(pad->types[i]), pad->height + i), i);
        if (pad->with_ref) cg_store(fc, WR_KIND_REF, cg_slot_mem(fc, WR_KIND_REF, pad->height + pad->num_values), RAX);
    } else if (pad->with_ref) {
        cg_move(fc, WR_KIND_REF, pad->result_reg, RAX);
    } else {
        cg_load(fc, (uint8_t)wr_vt_kind(pad->types[0]), pad->result_reg, x64_mem_b(REG_SCRATCH, 0));
    }
    for (uint32_t i = 0; i < pad->num_loads; i++) {
        PadLoad load = fc->loads[pad->first_load + i];
        cg_load(fc, fc->local_type[load.local], load.reg, cg_local_mem(fc, load.local));
    }
    x64_jmp(fc->as, pad->label);
}

void cg_emit_pads(FuncCompiler *fc)
{
    if (fc->thrown_used) {
        x64_label_bind(fc->as, fc->thrown);
        x64_testq_rr(fc->as, RAX, RAX);
        x64_jcc(fc->as, X64_CC_E, fc->unwind);
        fc->unwind_used = true;
        x64_movq_rr(fc->as, RBP, RDX);
        x64_jmp_r(fc->as, RAX);
    }
    if (fc->num_pads == 0) return;
    for (uint32_t i = 0; i < fc->num_pads; i++) pad_emit(fc, &fc->pads[i]);

    uint32_t resume = x64_offset(fc->as);
    for (uint32_t i = 0; i < fc->num_pads; i++) fc->handlers[fc->pads[i].handler].resume = resume;
    x64_leaq_rm(fc->as, RSP, x64_mem_b(RBP, INT32_MIN));
    x64_movq_rm(fc->as, REG_VMCTX, x64_mem_b(RBP, WR_FRAME_VMCTX));
    if (fc->uses_memory_base) x64_movq_rm(fc->as, REG_MEMORY, x64_mem_b(REG_VMCTX, (int32_t)fc->mc->offsets.memories + WR_OFFSET(VMMemoryImport, base)));
    x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_VMCTX, WR_OFFSET(VMContextHeader, store)));
    x64_movq_rm(fc->as, RAX, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMStoreContext, exception)));
    x64_jmp_m(fc->as, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMStoreContext, landing)));
    if (!x64_failed(fc->as)) x64_patch32(fc->as, resume + LEA_DISP_AT, -cg_frame_size(fc)); /* no slot is taken from here on */
}

/* ---- throwing ------------------------------------------------------------------------------------------------------------------------ */

/* Arguments but the VMContext are in place. Does not come back. */
static void throw_call(FuncCompiler *fc, uint32_t builtin)
{
    fc->uses_vmctx = fc->makes_calls = fc->thrown_used = true;
    fc->ever |= REG_BIT(RAX);
    x64_movq_rr(fc->as, RDI, REG_VMCTX);
    x64_movq_rm(fc->as, RAX, x64_mem_b(REG_VMCTX, WR_OFFSET(VMContextHeader, builtins)));
    cg_addr_row(fc);
    x64_call_m(fc->as, x64_mem_b(RAX, (int32_t)(builtin * sizeof(void *))));
    x64_jmp(fc->as, fc->thrown);
    fc->dead = true;
}

void cg_op_throw(FuncCompiler *fc, WasmOp op)
{
    if (op == WASM_OP_THROW_REF) {
        Val exception = cg_pop(fc);
        Moves moves;
        if (fc->handler != HANDLER_NONE) cg_call_save(fc, fc->sp);
        cg_moves_init(&moves);
        cg_moves_add(fc, &moves, RSI, exception);
        cg_moves_emit(fc, &moves);
        throw_call(fc, WR_BUILTIN_THROW_REF);
        return;
    }
    uint32_t tag = wr_leb_u32(&fc->ip);
    const CgAbi *abi = &fc->mc->abis[fc->mc->module->tags[tag].type_index];
    uint32_t args = fc->sp - abi->num_params;
    if (fc->handler != HANDLER_NONE) cg_call_save(fc, args);
    if (abi->num_params) {
        int32_t area = cg_call_area(fc, (int32_t)(abi->num_params * sizeof(ValRaw)));
        for (uint32_t i = 0; i < abi->num_params; i++) cg_store_val(fc, x64_mem_b(RBP, area + (int32_t)(i * sizeof(ValRaw))), fc->stack[args + i]);
        x64_leaq_rm(fc->as, RDX, x64_mem_b(RBP, area));
    }
    cg_truncate(fc, args);
    x64_movl_ri(fc->as, RSI, (int32_t)tag);
    throw_call(fc, WR_BUILTIN_THROW);
}
