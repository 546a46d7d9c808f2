/* Calls, returns and builtins: values meet the calling convention (tramp.h) here.
 *
 * Before a call, what lives only in caller-saved registers is stored; the copies in homes and slots are what the code goes on with. Arguments go
 * straight to their places by one parallel move. The callee pops its stack arguments. Results in registers become stack entries as they are.
 * A tail call places its arguments in the same way; what follows is after the body (cg_tail), since only then it is known what the epilogue restores. */
#include "compile/state.h"

enum { VMCTX_STORE = 8, VMCTX_BUILTINS = 16, VMCTX_TYPE_IDS = 24 };
_Static_assert(offsetof(VMContextHeader, store) == VMCTX_STORE && offsetof(VMContextHeader, builtins) == VMCTX_BUILTINS &&
                   offsetof(VMContextHeader, type_ids) == VMCTX_TYPE_IDS, "offsets used in this file");

static Reg call_slot_reg(const AbiSlot *slot) { return slot->kind == ABI_XMM ? XMM_REG(slot->reg) : slot->reg; }

/* ---- entry and return ---------------------------------------------------------------------------------------------------------- */

void cg_func_entry(FuncCompiler *fc)
{
    const CgAbi *abi = fc->abi;
    if (abi->layout.result_area_bytes) {
        fc->area_home = cg_frame_take(fc, 8);
        x64_movq_mr(fc->as, x64_mem_b(RBP, fc->area_home), RDX);
    }
    for (uint32_t i = 0; i < abi->num_params; i++) {
        const AbiSlot *slot = &abi->layout.params[i];
        if (slot->kind == ABI_STACK) {
            fc->local_home[i] = 16 + slot->offset;
            continue;
        }
        if (fc->info->locals[i].last_get == 0) continue; /* nobody reads it */
        Reg reg = call_slot_reg(slot);
        fc->local_reg[i] = reg;
        fc->rs.locals |= REG_BIT(reg);
        fc->rs.dirty |= REG_BIT(reg);
        fc->rs.local[reg] = (uint16_t)i;
        if (fc->local_type[i] == WR_KIND_I32) fc->upper |= REG_BIT(reg);
    }
}

bool cg_return_is_plain(FuncCompiler *fc)
{
    const AbiLayout *layout = &fc->abi->layout;
    if (fc->abi->num_results == 0) return true;
    if (fc->abi->num_results > 1) return false;
    const Val *v = &fc->stack[fc->sp - 1];
    return v->kind == VAL_REG && v->reg == call_slot_reg(&layout->results[0]);
}

/* To the result area, whose address is in r11: nothing but r11 and xmm15 may change. */
static void return_store(FuncCompiler *fc, int32_t offset, const Val *v)
{
    X64Mem dst = x64_mem_b(REG_SCRATCH, offset);
    Reg reg = v->kind == VAL_REG ? v->reg : v->kind == VAL_LOCAL ? fc->local_reg[v->index] : REG_NONE;
    if (v->type == WR_KIND_V128) {
        cg_store_val(fc, dst, *v); /* by way of xmm15 alone */
    } else if (v->kind == VAL_CONST) {
        x64_movl_mi(fc->as, dst, (int32_t)(uint32_t)v->bits);
        x64_movl_mi(fc->as, x64_mem_offset(dst, 4), (int32_t)(uint32_t)(v->bits >> 32));
    } else if (reg != REG_NONE) {
        cg_store(fc, v->type, dst, reg);
    } else {
        x64_movsd_xm(fc->as, REG_XSCRATCH, cg_mem(fc, v));
        x64_movsd_mx(fc->as, dst, REG_XSCRATCH);
    }
}

void cg_return_moves(FuncCompiler *fc)
{
    const CgAbi *abi = fc->abi;
    const Val *values = fc->stack + (fc->sp - abi->num_results);
    Moves moves;
    cg_moves_init(&moves);
    if (fc->area_home) x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(RBP, fc->area_home));
    for (uint32_t i = 0; i < abi->num_results; i++) {
        const AbiSlot *slot = &abi->layout.results[i];
        if (slot->kind == ABI_AREA) return_store(fc, slot->offset, &values[i]);
        else cg_moves_add(fc, &moves, call_slot_reg(slot), values[i]);
    }
    cg_moves_emit(fc, &moves);
}

/* ---- calls -------------------------------------------------------------------------------------------------------------------------- */

/* Where a handler may take over, locals go home from callee-saved registers too, which keep a copy: a landing pad knows nothing of registers. */
void cg_call_save(FuncCompiler *fc, uint32_t args)
{
    uint32_t lasting = fc->handler == HANDLER_NONE ? REGS_CALLEE_SAVED : 0;
    fc->makes_calls = true;
    for (uint32_t i = args; i < fc->sp; i++) /* what only the arguments name need not be kept */
        if (fc->stack[i].kind == VAL_LOCAL) fc->local_aliases[fc->stack[i].index]--;
    for (uint32_t set = fc->stk & ~REGS_CALLEE_SAVED; set; set &= set - 1) {
        Reg reg = (Reg)__builtin_ctz(set);
        if (fc->reg_stack[reg] < args) cg_spill_stack(fc, reg);
    }
    for (uint32_t set = fc->rs.locals & fc->rs.dirty & ~lasting; set; set &= set - 1) {
        Reg reg = (Reg)__builtin_ctz(set);
        uint32_t local = fc->rs.local[reg];
        if (!cg_is_dead(fc, local, UINT32_MAX)) cg_store(fc, fc->local_type[local], cg_local_mem(fc, local), reg);
        fc->rs.dirty &= ~REG_BIT(reg);
    }
    for (uint32_t i = args; i < fc->sp; i++)
        if (fc->stack[i].kind == VAL_LOCAL) fc->local_aliases[fc->stack[i].index]++;
}

/* After the call: the arguments are gone, and what was in caller-saved registers. */
static void call_forget(FuncCompiler *fc, uint32_t args)
{
    cg_truncate(fc, args);
    for (uint32_t set = fc->rs.locals & ~REGS_CALLEE_SAVED; set; set &= set - 1) fc->local_reg[fc->rs.local[__builtin_ctz(set)]] = REG_NONE;
    fc->rs.locals &= REGS_CALLEE_SAVED;
    fc->rs.dirty &= REGS_CALLEE_SAVED;
    fc->upper &= REGS_CALLEE_SAVED;
    fc->lock = 0;
}

static void call_place_args(FuncCompiler *fc, const CgAbi *abi, uint32_t args, Moves *moves)
{
    const AbiLayout *layout = &abi->layout;
    if (layout->stack_arg_bytes) x64_subq_ri(fc->as, RSP, (int32_t)layout->stack_arg_bytes);
    for (uint32_t i = 0; i < abi->num_params; i++) {
        const AbiSlot *slot = &layout->params[i];
        if (slot->kind == ABI_STACK) cg_store_val(fc, x64_mem_b(RSP, slot->offset), fc->stack[args + i]);
        else cg_moves_add(fc, moves, call_slot_reg(slot), fc->stack[args + i]);
    }
}

int32_t cg_call_area(FuncCompiler *fc, int32_t bytes)
{
    if (fc->call_area_bytes < bytes) { /* a larger one: the smaller, if any, stays unused */
        fc->call_area = cg_frame_take(fc, bytes);
        fc->call_area_bytes = bytes;
    }
    return fc->call_area;
}

static void call_area(FuncCompiler *fc, const AbiLayout *layout)
{
    if (layout->result_area_bytes) x64_leaq_rm(fc->as, RDX, x64_mem_b(RBP, cg_call_area(fc, (int32_t)layout->result_area_bytes)));
}

static void call_results(FuncCompiler *fc, const CgAbi *abi)
{
    for (uint32_t i = 0; i < abi->num_results; i++) {
        const AbiSlot *slot = &abi->layout.results[i];
        uint8_t type = (uint8_t)wr_vt_kind(abi->result_types[i]);
        if (slot->kind != ABI_AREA) {
            Reg reg = call_slot_reg(slot);
            fc->ever |= REG_BIT(reg);
            cg_push_reg(fc, type, reg);
            if (type == WR_KIND_I32) fc->upper |= REG_BIT(reg);
            continue;
        }
        X64Mem from = x64_mem_b(RBP, fc->call_area + slot->offset), to = cg_slot_mem(fc, type, fc->sp);
        if (type == WR_KIND_V128) {
            x64_movups_xm(fc->as, REG_XSCRATCH, from);
            x64_movups_mx(fc->as, to, REG_XSCRATCH);
        } else {
            x64_movsd_xm(fc->as, REG_XSCRATCH, from);
            x64_movsd_mx(fc->as, to, REG_XSCRATCH);
        }
        fc->stack[fc->sp] = (Val){.kind = VAL_SLOT, .type = type, .index = fc->sp};
        fc->sp++;
    }
}

/* A call whose arguments are in place, to the function that r11 refers to. */
static void call_ref(FuncCompiler *fc, const CgAbi *abi, uint32_t args, bool is_tail)
{
    fc->uses_vmctx = true;
    x64_movq_rm(fc->as, RDI, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMFuncRef, vmctx)));
    x64_movq_rr(fc->as, RSI, REG_VMCTX);
    if (is_tail) {
        x64_movq_rm(fc->as, RAX, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMFuncRef, wasm_call)));
        fc->ever |= REG_BIT(RAX);
        cg_tail(fc, CG_TAIL_RAX, abi->layout.stack_arg_bytes);
        return;
    }
    cg_addr_row(fc);
    x64_call_m(fc->as, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMFuncRef, wasm_call)));
    call_forget(fc, args);
    call_results(fc, abi);
}

/* Where the callee's results go that have no register: a tail call passes on what it was given. */
static void call_result_area(FuncCompiler *fc, const CgAbi *abi, bool is_tail)
{
    if (!is_tail) call_area(fc, &abi->layout);
    else if (fc->area_home) x64_movq_rm(fc->as, RDX, x64_mem_b(RBP, fc->area_home));
}

static void call_direct(FuncCompiler *fc, uint32_t func, bool is_tail)
{
    const WasmModule *module = fc->mc->module;
    const CgAbi *abi = &fc->mc->abis[module->funcs[func].type_index];
    uint32_t args = fc->sp - abi->num_params;
    Moves moves;
    cg_moves_init(&moves);
    if (!is_tail) cg_call_save(fc, args);
    call_place_args(fc, abi, args, &moves);
    cg_moves_emit(fc, &moves);
    call_result_area(fc, abi, is_tail);
    fc->uses_vmctx = true;
    if (func < module->num_imported_funcs) {
        int32_t import = (int32_t)(fc->mc->offsets.func_imports + func * sizeof(VMFuncImport));
        x64_movq_rm(fc->as, RDI, x64_mem_b(REG_VMCTX, import + WR_OFFSET(VMFuncImport, vmctx)));
        x64_movq_rr(fc->as, RSI, REG_VMCTX);
        if (is_tail) {
            x64_movq_rm(fc->as, RAX, x64_mem_b(REG_VMCTX, import + WR_OFFSET(VMFuncImport, wasm_call)));
            fc->ever |= REG_BIT(RAX);
            cg_tail(fc, CG_TAIL_RAX, abi->layout.stack_arg_bytes);
            return;
        }
        cg_addr_row(fc);
        x64_call_m(fc->as, x64_mem_b(REG_VMCTX, import + WR_OFFSET(VMFuncImport, wasm_call)));
    } else {
        x64_movq_rr(fc->as, RDI, REG_VMCTX);
        if (is_tail) {
            cg_tail(fc, func, abi->layout.stack_arg_bytes);
            return;
        }
        cg_addr_row(fc);
        x64_call_reloc(fc->as, CODE_RELOC_CALL_FUNC, func, 0);
    }
    call_forget(fc, args);
    call_results(fc, abi);
}

static void call_indirect(FuncCompiler *fc, uint32_t type_index, uint32_t table, bool is_tail)
{
    const CgAbi *abi = &fc->mc->abis[type_index];
    Val index = cg_pop(fc);
    if (index.kind == VAL_REG && index.reg == RAX) cg_reg_zext(fc, &index); /* any other move into rax zero-extends */
    if (index.kind == VAL_LOCAL && fc->local_reg[index.index] == RAX) cg_reg_zext(fc, &index);
    uint32_t args = fc->sp - abi->num_params;
    Moves moves;
    cg_moves_init(&moves);
    if (!is_tail) cg_call_save(fc, args);
    call_place_args(fc, abi, args, &moves);
    cg_moves_add(fc, &moves, RAX, index); /* no argument register */
    cg_moves_emit(fc, &moves);
    call_result_area(fc, abi, is_tail);
    fc->uses_vmctx = true;
    fc->ever |= REG_BIT(RAX);
    x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_VMCTX, (int32_t)(fc->mc->offsets.tables + table * sizeof(void *))));
    x64_cmpq_rm(fc->as, RAX, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMTableDef, length)));
    cg_trap_if(fc, X64_CC_AE, TRAP_TABLE_OUT_OF_BOUNDS);
    x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMTableDef, elements)));
    x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_bi(REG_SCRATCH, RAX, 8, 0));
    if (fc->mc->lazy_tables[table]) {
        cg_lazy_element(fc, LATE_NULL, table, RAX);
    } else {
        x64_testq_rr(fc->as, REG_SCRATCH, REG_SCRATCH);
        cg_trap_if(fc, X64_CC_E, TRAP_INDIRECT_CALL_TO_NULL);
    }
    x64_movq_rm(fc->as, RAX, x64_mem_b(REG_VMCTX, VMCTX_TYPE_IDS));
    x64_movl_rm(fc->as, RAX, x64_mem_b(RAX, (int32_t)(type_index * sizeof(uint32_t))));
    x64_cmpl_rm(fc->as, RAX, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMFuncRef, type_index)));
    cg_trap_unless_subtype(fc, fc->mc->module->types[type_index].is_final != 0);
    call_ref(fc, abi, args, is_tail);
}

/* call_ref: the type was checked when the module was validated. */
static void call_typed_ref(FuncCompiler *fc, uint32_t type_index, bool is_tail)
{
    const CgAbi *abi = &fc->mc->abis[type_index];
    Val ref = cg_pop(fc);
    uint32_t args = fc->sp - abi->num_params;
    Moves moves;
    cg_moves_init(&moves);
    if (!is_tail) cg_call_save(fc, args);
    call_place_args(fc, abi, args, &moves);
    cg_moves_add(fc, &moves, RAX, ref);
    cg_moves_emit(fc, &moves);
    call_result_area(fc, abi, is_tail);
    fc->ever |= REG_BIT(RAX);
    x64_movq_rr(fc->as, REG_SCRATCH, RAX);
    x64_testq_rr(fc->as, REG_SCRATCH, REG_SCRATCH);
    cg_trap_if(fc, X64_CC_E, TRAP_NULL_REFERENCE);
    call_ref(fc, abi, args, is_tail);
}

void cg_op_call(FuncCompiler *fc, WasmOp op)
{
    uint32_t index = wr_leb_u32(&fc->ip);
    bool is_tail = op == WASM_OP_RETURN_CALL || op == WASM_OP_RETURN_CALL_INDIRECT || op == WASM_OP_RETURN_CALL_REF;
    if (op == WASM_OP_CALL || op == WASM_OP_RETURN_CALL) call_direct(fc, index, is_tail);
    else if (op == WASM_OP_CALL_REF || op == WASM_OP_RETURN_CALL_REF) call_typed_ref(fc, index, is_tail);
    else call_indirect(fc, index, wr_leb_u32(&fc->ip), is_tail);
    if (is_tail) fc->dead = true;
}

/* ---- builtins ----------------------------------------------------------------------------------------------------------------------------- */

void cg_call_builtin(FuncCompiler *fc, uint32_t builtin, const uint32_t *leading, uint32_t num_leading, uint32_t num_args)
{
    static const uint8_t arg_regs[6] = {RDI, RSI, RDX, RCX, R8, R9};
    uint32_t args = fc->sp - num_args;
    assert(1 + num_leading + num_args <= 6);
    if (fc->upper) cg_clean_upper(fc); /* C code reads indices as 64 bits */
    Moves moves;
    cg_moves_init(&moves);
    cg_call_save(fc, args);
    for (uint32_t i = 0; i < num_args; i++) cg_moves_add(fc, &moves, arg_regs[1 + num_leading + i], fc->stack[args + i]);
    for (uint32_t i = 0; i < num_leading; i++)
        cg_moves_add(fc, &moves, arg_regs[1 + i], (Val){.kind = VAL_CONST, .type = WR_KIND_I32, .bits = leading[i]});
    cg_moves_emit(fc, &moves);
    cg_call_builtin_placed(fc, builtin, args);
}

void cg_call_builtin_placed(FuncCompiler *fc, uint32_t builtin, uint32_t args)
{
    fc->uses_vmctx = true;
    x64_movq_rr(fc->as, RDI, REG_VMCTX);
    x64_movq_rm(fc->as, RAX, x64_mem_b(REG_VMCTX, VMCTX_BUILTINS));
    cg_addr_row(fc);
    x64_call_m(fc->as, x64_mem_b(RAX, (int32_t)(builtin * sizeof(void *))));
    fc->ever |= REG_BIT(RAX);
    call_forget(fc, args);
}
