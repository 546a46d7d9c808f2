/* Memories, globals, tables and references.
 *
 * A guarded 32-bit memory is its reservation and the guard behind it: base + zero-extended index + folded offset either is inside or faults, so an
 * access is one instruction with a trap row. Memory 0's base is in r15, others' are loaded. Explicit checks (checked mode, 64-bit memories, offsets
 * past the guard) compare the end of the access with the memory's length first. */
#include "compile/state.h"

static int32_t memory_import(const FuncCompiler *fc, uint32_t memory) { return (int32_t)(fc->mc->offsets.memories + memory * sizeof(VMMemoryImport)); }

static bool memory_is_64(const FuncCompiler *fc, uint32_t memory) { return (fc->mc->module->memories[memory].limits.flags & WASM_LIMITS_64) != 0; }

static X64Gpr memory_base(FuncCompiler *fc, uint32_t memory)
{
    if (memory == 0) {
        fc->uses_memory_base = true;
        return REG_MEMORY;
    }
    fc->uses_vmctx = true;
    x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_VMCTX, memory_import(fc, memory) + WR_OFFSET(VMMemoryImport, base)));
    return REG_SCRATCH;
}

/* index + offset + bytes is compared with the length; index may be a constant. r11 is used (and holds the base of memories but 0 afterwards). */
static MemoryAccess memory_checked(FuncCompiler *fc, Val *index, const WasmMemArg *arg, uint32_t bytes)
{
    bool wide = memory_is_64(fc, arg->memory);
    int32_t import = memory_import(fc, arg->memory);
    fc->uses_vmctx = true;
    Reg ea = cg_alloc(fc, REGS_GPR); /* end of the access, then its start */
    X64Gpr e = REG_GPR(ea);
    uint64_t end = arg->offset + bytes;
    bool end_wraps = end < arg->offset;
    if (index->kind == VAL_CONST) {
        uint64_t total = index->bits + end;
        if (end_wraps || total < end) {
            cg_trap(fc, TRAP_MEMORY_OUT_OF_BOUNDS);
            total = bytes;
        }
        x64_movq_ri64(fc->as, e, total);
    } else {
        Reg ri = wide ? cg_reg(fc, index) : cg_reg_zext(fc, index);
        if (end_wraps) {
            cg_trap(fc, TRAP_MEMORY_OUT_OF_BOUNDS);
            x64_zero_r(fc->as, e);
        } else if (end <= INT32_MAX) {
            if (wide) {
                x64_movq_rr(fc->as, e, REG_GPR(ri));
                x64_addq_ri(fc->as, e, (int32_t)end);
                cg_trap_if(fc, X64_CC_B, TRAP_MEMORY_OUT_OF_BOUNDS);
            } else {
                x64_leaq_rm(fc->as, e, x64_mem_b(REG_GPR(ri), (int32_t)end));
            }
        } else {
            x64_movq_ri64(fc->as, e, end);
            x64_addq_rr(fc->as, e, REG_GPR(ri));
            if (wide) cg_trap_if(fc, X64_CC_B, TRAP_MEMORY_OUT_OF_BOUNDS);
        }
    }
    x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_VMCTX, import + WR_OFFSET(VMMemoryImport, def)));
    x64_cmpq_rm(fc->as, e, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMMemoryDef, length_bytes)));
    cg_trap_if(fc, X64_CC_A, TRAP_MEMORY_OUT_OF_BOUNDS);
    X64Gpr base = memory_base(fc, arg->memory);
    return (MemoryAccess){x64_mem_bi(base, e, 1, -(int32_t)bytes), true};
}

MemoryAccess cg_memory_access(FuncCompiler *fc, Val *index, const WasmMemArg *arg, uint32_t bytes)
{
    const WrTunables *tunables = &fc->mc->tunables;
    bool guarded = wr_memory_guarded(tunables, &fc->mc->module->memories[arg->memory].limits);
    if (!guarded || arg->offset > INT32_MAX - 16 || arg->offset + bytes > tunables->memory_guard_bytes) return memory_checked(fc, index, arg, bytes);
    if (index->kind == VAL_CONST) {
        uint64_t address = index->bits + arg->offset;
        if (address <= INT32_MAX - 16) return (MemoryAccess){x64_mem_b(memory_base(fc, arg->memory), (int32_t)address), true};
    }
    Reg ri = cg_reg_zext(fc, index);
    return (MemoryAccess){x64_mem_bi(memory_base(fc, arg->memory), REG_GPR(ri), 1, (int32_t)arg->offset), true};
}

void cg_memory_row(FuncCompiler *fc, const MemoryAccess *access)
{
    if (access->faults && fc->mc->tunables.signals_based_traps) cg_trap_row(fc, TRAP_MEMORY_OUT_OF_BOUNDS);
}

void cg_op_load(FuncCompiler *fc, WasmOp op)
{
    WasmMemArg arg = wr_read_memarg(&fc->ip);
    Val index = cg_pop(fc);
    uint32_t bytes = 1u << wr_wasm_ops[op].align_log2;
    MemoryAccess access = cg_memory_access(fc, &index, &arg, bytes);
    uint8_t type;
    if (op == WASM_OP_F64_LOAD || op == WASM_OP_F32_LOAD) {
        if (cg_float_load_op(fc, op == WASM_OP_F64_LOAD, access.mem)) return;
        type = op == WASM_OP_F64_LOAD ? WR_KIND_F64 : WR_KIND_F32;
        Reg dst = cg_dest(fc, type, REG_NONE);
        cg_memory_row(fc, &access);
        cg_load(fc, type, dst, access.mem);
        cg_finish(fc, type, dst);
        return;
    }
    bool wide = op == WASM_OP_I64_LOAD || (op >= WASM_OP_I64_LOAD8_S && op <= WASM_OP_I64_LOAD32_U);
    type = wide ? WR_KIND_I64 : WR_KIND_I32;
    bool whole = op == WASM_OP_I32_LOAD || op == WASM_OP_I64_LOAD || op == WASM_OP_I32_LOAD8_U || op == WASM_OP_I32_LOAD16_U;
    if (whole && cg_int_load_op(fc, type, bytes, access.mem)) return;
    Reg dst = cg_dest(fc, type, cg_reuse(&index));
    X64Gpr d = REG_GPR(dst);
    cg_memory_row(fc, &access);
    switch (op) {
    case WASM_OP_I32_LOAD:
    case WASM_OP_I64_LOAD32_U: x64_movl_rm(fc->as, d, access.mem); break;
    case WASM_OP_I64_LOAD: x64_movq_rm(fc->as, d, access.mem); break;
    case WASM_OP_I32_LOAD8_S: x64_movsbl_rm(fc->as, d, access.mem); break;
    case WASM_OP_I32_LOAD8_U:
    case WASM_OP_I64_LOAD8_U: x64_movzbl_rm(fc->as, d, access.mem); break;
    case WASM_OP_I32_LOAD16_S: x64_movswl_rm(fc->as, d, access.mem); break;
    case WASM_OP_I32_LOAD16_U:
    case WASM_OP_I64_LOAD16_U: x64_movzwl_rm(fc->as, d, access.mem); break;
    case WASM_OP_I64_LOAD8_S: x64_movsbq_rm(fc->as, d, access.mem); break;
    case WASM_OP_I64_LOAD16_S: x64_movswq_rm(fc->as, d, access.mem); break;
    default: x64_movslq_rm(fc->as, d, access.mem); break;
    }
    cg_finish(fc, type, dst);
}

void cg_op_store(FuncCompiler *fc, WasmOp op)
{
    WasmMemArg arg = wr_read_memarg(&fc->ip);
    Val value = cg_pop(fc), index = cg_pop(fc);
    uint32_t bytes = 1u << wr_wasm_ops[op].align_log2;
    bool is_float = cg_is_float(value.type);
    bool imm = value.kind == VAL_CONST && (bytes < 8 || cg_fits_i32(WR_KIND_I64, value.bits));
    Reg rv = imm ? REG_NONE : cg_reg(fc, &value);
    MemoryAccess access = cg_memory_access(fc, &index, &arg, bytes);
    cg_memory_row(fc, &access);
    if (imm) {
        int32_t bits = (int32_t)(uint32_t)value.bits;
        switch (bytes) {
        case 1: x64_movb_mi(fc->as, access.mem, (int8_t)bits); break;
        case 2: x64_movw_mi(fc->as, access.mem, (int16_t)bits); break;
        case 4: x64_movl_mi(fc->as, access.mem, bits); break;
        default: x64_movq_mi(fc->as, access.mem, bits); break;
        }
    } else if (is_float) {
        cg_store(fc, value.type, access.mem, rv);
    } else {
        switch (bytes) {
        case 1: x64_movb_mr(fc->as, access.mem, REG_GPR(rv)); break;
        case 2: x64_movw_mr(fc->as, access.mem, REG_GPR(rv)); break;
        case 4: x64_movl_mr(fc->as, access.mem, REG_GPR(rv)); break;
        default: x64_movq_mr(fc->as, access.mem, REG_GPR(rv)); break;
        }
    }
}

/* ---- whole memories -------------------------------------------------------------------------------------------------------------------- */

static void status_builtin(FuncCompiler *fc, uint32_t builtin, uint32_t first, uint32_t second, uint32_t num_leading, uint32_t num_args)
{
    uint32_t leading[2] = {first, second};
    cg_call_builtin(fc, builtin, leading, num_leading, num_args);
    cg_unwind_if_nonzero(fc);
}

void cg_op_memory(FuncCompiler *fc, WasmOp op)
{
    uint32_t a = wr_leb_u32(&fc->ip), b;
    switch (op) {
    case WASM_OP_MEMORY_SIZE: {
        bool wide = memory_is_64(fc, a);
        uint8_t type = wide ? WR_KIND_I64 : WR_KIND_I32;
        Reg dst = cg_dest(fc, type, REG_NONE);
        fc->uses_vmctx = true;
        x64_movq_rm(fc->as, REG_GPR(dst), x64_mem_b(REG_VMCTX, memory_import(fc, a) + WR_OFFSET(VMMemoryImport, def)));
        x64_movq_rm(fc->as, REG_GPR(dst), x64_mem_b(REG_GPR(dst), WR_OFFSET(VMMemoryDef, length_bytes)));
        x64_shrq_ri(fc->as, REG_GPR(dst), fc->mc->module->memories[a].limits.page_size_log2);
        cg_finish(fc, type, dst);
        break;
    }
    case WASM_OP_MEMORY_GROW: {
        uint8_t type = memory_is_64(fc, a) ? WR_KIND_I64 : WR_KIND_I32;
        cg_call_builtin(fc, WR_BUILTIN_MEMORY_GROW, &a, 1, 1);
        cg_push_reg(fc, type, RAX);
        if (type == WR_KIND_I32) fc->upper |= REG_BIT(RAX); /* all ones is -1 in either width */
        break;
    }
    case WASM_OP_MEMORY_COPY:
        b = wr_leb_u32(&fc->ip);
        status_builtin(fc, WR_BUILTIN_MEMORY_COPY, a, b, 2, 3);
        break;
    case WASM_OP_MEMORY_FILL: status_builtin(fc, WR_BUILTIN_MEMORY_FILL, a, 0, 1, 3); break;
    case WASM_OP_MEMORY_INIT:
        b = wr_leb_u32(&fc->ip);
        status_builtin(fc, WR_BUILTIN_MEMORY_INIT, b, a, 2, 3);
        break;
    default: /* data.drop */
        cg_call_builtin(fc, WR_BUILTIN_DATA_DROP, &a, 1, 0);
        break;
    }
}

/* ---- globals ------------------------------------------------------------------------------------------------------------------------------- */

static X64Mem global_mem(FuncCompiler *fc, uint32_t global)
{
    const WasmModule *module = fc->mc->module;
    fc->uses_vmctx = true;
    if (global >= module->num_imported_globals)
        return x64_mem_b(REG_VMCTX, (int32_t)(fc->mc->offsets.globals + (global - module->num_imported_globals) * sizeof(VMGlobalDef)));
    x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_VMCTX, (int32_t)(fc->mc->offsets.imported_globals + global * sizeof(void *))));
    return x64_mem_b(REG_SCRATCH, 0);
}

void cg_op_global(FuncCompiler *fc, WasmOp op)
{
    const WasmModule *module = fc->mc->module;
    uint32_t index = wr_leb_u32(&fc->ip);
    const WasmGlobal *global = &module->globals[index];
    uint8_t type = (uint8_t)wr_vt_kind(global->type);
    if (op == WASM_OP_GLOBAL_GET) {
        if (!global->is_mutable && index >= module->num_imported_globals && global->init.kind == WASM_CONST_BITS && type != WR_KIND_V128) {
            uint64_t bits = global->init.bits[0];
            cg_push_const(fc, type, type == WR_KIND_I32 || type == WR_KIND_F32 ? (uint32_t)bits : bits);
            return;
        }
        Reg dst = cg_dest(fc, type, REG_NONE);
        cg_load(fc, type, dst, global_mem(fc, index));
        cg_finish(fc, type, dst);
        return;
    }
    Val value = cg_pop(fc);
    if (value.kind == VAL_CONST && type != WR_KIND_V128 && cg_fits_i32(type == WR_KIND_F32 ? WR_KIND_I32 : type, value.bits)) {
        cg_store_const(fc, type, global_mem(fc, index), value.bits);
        return;
    }
    Reg reg = cg_reg(fc, &value);
    cg_store(fc, type, global_mem(fc, index), reg);
}

/* ---- tables ----------------------------------------------------------------------------------------------------------------------------------- */

static bool table_is_64(const FuncCompiler *fc, uint32_t table) { return (fc->mc->module->tables[table].limits.flags & WASM_LIMITS_64) != 0; }

/* r11 = VMTableDef */
static void table_def(FuncCompiler *fc, uint32_t table)
{
    fc->uses_vmctx = true;
    x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_VMCTX, (int32_t)(fc->mc->offsets.tables + table * sizeof(void *))));
}

/* The element's place; r11 is used. */
static X64Mem table_element(FuncCompiler *fc, uint32_t table, Val *index)
{
    Reg ri = cg_reg_zext(fc, index);
    table_def(fc, table);
    x64_cmpq_rm(fc->as, REG_GPR(ri), x64_mem_b(REG_SCRATCH, WR_OFFSET(VMTableDef, length)));
    cg_trap_if(fc, X64_CC_AE, TRAP_TABLE_OUT_OF_BOUNDS);
    x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMTableDef, elements)));
    return x64_mem_bi(REG_SCRATCH, REG_GPR(ri), 8, 0);
}

/* The same, to store `value`: the first to do so asks; a null must not be taken for an element that was not looked up yet. */
static X64Mem table_place(FuncCompiler *fc, uint32_t table, Val *index, Reg value)
{
    if (!fc->mc->lazy_tables[table]) return table_element(fc, table, index);
    Reg ri = cg_reg_zext(fc, index);
    table_def(fc, table);
    cg_lazy_write(fc, table, ri);
    cg_lazy_settle(fc, table, value);
    x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMTableDef, elements)));
    return x64_mem_bi(REG_SCRATCH, REG_GPR(ri), 8, 0);
}

void cg_op_table(FuncCompiler *fc, WasmOp op)
{
    uint32_t a = wr_leb_u32(&fc->ip), b;
    switch (op) {
    case WASM_OP_TABLE_GET: {
        Val index = cg_pop(fc);
        X64Mem element = table_element(fc, a, &index);
        Reg dst = cg_dest(fc, WR_KIND_REF, cg_reuse(&index));
        if (fc->mc->lazy_tables[a]) { /* the index is kept until the end */
            x64_movq_rm(fc->as, REG_SCRATCH, element);
            cg_lazy_element(fc, LATE_LAZY, a, element.index);
            x64_movq_rr(fc->as, REG_GPR(dst), REG_SCRATCH);
        } else {
            x64_movq_rm(fc->as, REG_GPR(dst), element);
        }
        cg_finish(fc, WR_KIND_REF, dst);
        break;
    }
    case WASM_OP_TABLE_SET: {
        Val value = cg_pop(fc), index = cg_pop(fc);
        Reg rv = cg_reg(fc, &value);
        x64_movq_mr(fc->as, table_place(fc, a, &index, rv), REG_GPR(rv));
        break;
    }
    case WASM_OP_TABLE_SIZE: {
        uint8_t type = table_is_64(fc, a) ? WR_KIND_I64 : WR_KIND_I32;
        Reg dst = cg_dest(fc, type, REG_NONE);
        table_def(fc, a);
        x64_movq_rm(fc->as, REG_GPR(dst), x64_mem_b(REG_SCRATCH, WR_OFFSET(VMTableDef, length)));
        cg_finish(fc, type, dst);
        break;
    }
    case WASM_OP_TABLE_GROW: {
        uint8_t type = table_is_64(fc, a) ? WR_KIND_I64 : WR_KIND_I32;
        cg_call_builtin(fc, WR_BUILTIN_TABLE_GROW, &a, 1, 2);
        cg_push_reg(fc, type, RAX);
        if (type == WR_KIND_I32) fc->upper |= REG_BIT(RAX);
        break;
    }
    case WASM_OP_TABLE_FILL: status_builtin(fc, WR_BUILTIN_TABLE_FILL, a, 0, 1, 3); break;
    case WASM_OP_TABLE_COPY:
        b = wr_leb_u32(&fc->ip);
        status_builtin(fc, WR_BUILTIN_TABLE_COPY, a, b, 2, 3);
        break;
    case WASM_OP_TABLE_INIT:
        b = wr_leb_u32(&fc->ip);
        status_builtin(fc, WR_BUILTIN_TABLE_INIT, b, a, 2, 3);
        break;
    default: /* elem.drop */
        cg_call_builtin(fc, WR_BUILTIN_ELEM_DROP, &a, 1, 0);
        break;
    }
}

/* ---- references ---------------------------------------------------------------------------------------------------------------------------------- */

void cg_op_ref(FuncCompiler *fc, WasmOp op)
{
    const WasmModule *module = fc->mc->module;
    switch (op) {
    case WASM_OP_REF_NULL:
        wr_skip_imm(&fc->ip, op);
        cg_push_const(fc, WR_KIND_REF, 0);
        break;
    case WASM_OP_REF_IS_NULL: {
        Val v = cg_pop(fc);
        if (v.kind == VAL_CONST) { /* the only constant reference is null */
            cg_push_const(fc, WR_KIND_I32, 1);
            break;
        }
        Reg reg = cg_reg(fc, &v);
        x64_testq_rr(fc->as, REG_GPR(reg), REG_GPR(reg));
        cg_cond_result(fc, cg_cond(X64_CC_E));
        break;
    }
    case WASM_OP_REF_AS_NON_NULL: {
        Val v = cg_pop(fc);
        Reg reg = cg_reg(fc, &v);
        x64_testq_rr(fc->as, REG_GPR(reg), REG_GPR(reg));
        cg_trap_if(fc, X64_CC_E, TRAP_NULL_REFERENCE);
        cg_push_val(fc, v);
        break;
    }
    default: { /* ref.func */
        uint32_t func = wr_leb_u32(&fc->ip);
        Reg dst = cg_dest(fc, WR_KIND_REF, REG_NONE);
        fc->uses_vmctx = true;
        if (func < module->num_imported_funcs) {
            int32_t import = (int32_t)(fc->mc->offsets.func_imports + func * sizeof(VMFuncImport));
            x64_movq_rm(fc->as, REG_GPR(dst), x64_mem_b(REG_VMCTX, import + WR_OFFSET(VMFuncImport, func_ref)));
        } else {
            cg_lazy_func(fc, func);
            x64_movq_rr(fc->as, REG_GPR(dst), REG_SCRATCH);
        }
        cg_finish(fc, WR_KIND_REF, dst);
        break;
    }
    }
}
