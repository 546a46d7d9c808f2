/* Structs, arrays, i31 and casts. What objects and references look like is in vm.h (VMObject), where fields lie in wasm/fields.h.
 *
 * Reads, writes and casts are inline, and so is making a small object: a cursor is compared and moved, the type's id stored. When the cursor is at its
 * limit, late code calls a stub that keeps all registers, so that making an object is no call to the allocator of registers. What is large, or
 * as long as a value says, or works on ranges, is a builtin. A collection that these start finds references wherever they are: in frames, and in
 * registers, which are pushed by the stub or by whoever saves them below. Nothing is stored between a builtin and the first store of what it
 * made, so no object is seen half made.
 *
 * A cast to a type that is not final compares the ids first, then walks up from the object's type by VMContextHeader.supertypes. */
#include "compile/state.h"
#include "wasm/fields.h"

static const WasmTypeDef *gc_type(const FuncCompiler *fc, uint32_t type) { return &fc->mc->module->types[type]; }
static const ValType *gc_fields(const FuncCompiler *fc, uint32_t type) { return fc->mc->module->valtypes + gc_type(fc, type)->func.params; }
static const uint32_t *gc_offsets(const FuncCompiler *fc, uint32_t type) { return fc->mc->field_offsets + gc_type(fc, type)->func.params; }
static bool gc_is_small(uint64_t bytes) { return bytes <= VM_ALLOC_MAX_BYTES; }

static void gc_null_check(FuncCompiler *fc, Reg ref)
{
    x64_testq_rr(fc->as, REG_GPR(ref), REG_GPR(ref));
    cg_trap_if(fc, X64_CC_E, TRAP_NULL_REFERENCE);
}

static void gc_type_id(FuncCompiler *fc, X64Gpr dst, uint32_t type)
{
    fc->uses_vmctx = true;
    x64_movq_rm(fc->as, dst, x64_mem_b(REG_VMCTX, WR_OFFSET(VMContextHeader, type_ids)));
    x64_movl_rm(fc->as, dst, x64_mem_b(dst, (int32_t)(type * sizeof(uint32_t))));
}

static void gc_load(FuncCompiler *fc, ValType storage, bool is_signed, Reg dst, X64Mem src)
{
    switch (wr_vt_kind(storage)) {
    case WR_KIND_I8:
        if (is_signed) x64_movsbl_rm(fc->as, REG_GPR(dst), src);
        else x64_movzbl_rm(fc->as, REG_GPR(dst), src);
        break;
    case WR_KIND_I16:
        if (is_signed) x64_movswl_rm(fc->as, REG_GPR(dst), src);
        else x64_movzwl_rm(fc->as, REG_GPR(dst), src);
        break;
    default: cg_load(fc, (uint8_t)wr_vt_kind(storage), dst, src); break;
    }
}

/* r11 may be used where the value is in memory: dst has it for v128s alone, whose scratch is another. */
static void gc_store(FuncCompiler *fc, ValType storage, X64Mem dst, Val v)
{
    bool is_byte = wr_vt_kind(storage) == WR_KIND_I8;
    if (!is_byte && wr_vt_kind(storage) != WR_KIND_I16) {
        cg_store_val(fc, dst, v);
    } else if (v.kind == VAL_CONST) {
        if (is_byte) x64_movb_mi(fc->as, dst, (int8_t)(uint8_t)v.bits);
        else x64_movw_mi(fc->as, dst, (int16_t)(uint16_t)v.bits);
    } else {
        Reg reg = v.kind == VAL_REG ? v.reg : v.kind == VAL_LOCAL ? fc->local_reg[v.index] : REG_NONE;
        if (reg == REG_NONE) {
            reg = REG_SCRATCH;
            cg_load(fc, WR_KIND_I32, reg, cg_mem(fc, &v));
        }
        if (is_byte) x64_movb_mr(fc->as, dst, REG_GPR(reg));
        else x64_movw_mr(fc->as, dst, REG_GPR(reg));
    }
}

/* ---- making objects -------------------------------------------------------------------------------------------------------------- */

/* rax is an object, or null for a trap. */
static void gc_unwind_if_null(FuncCompiler *fc)
{
    fc->unwind_used = true;
    x64_testq_rr(fc->as, RAX, RAX);
    x64_jcc(fc->as, X64_CC_E, fc->unwind);
}

/* A new object in a register of its own, locked. Fields are undefined where is_small; the operands stay where they are on the stack. */
static Reg gc_new(FuncCompiler *fc, uint32_t type, uint64_t bytes, uint32_t length)
{
    if (!gc_is_small(bytes)) {
        uint32_t leading[2] = {type, length};
        cg_call_builtin(fc, WR_BUILTIN_OBJECT_NEW, leading, 2, 0);
        gc_unwind_if_null(fc);
        fc->lock |= REG_BIT(RAX);
        return RAX;
    }
    uint32_t size = wr_object_bytes((uint32_t)bytes);
    int32_t at = WR_OFFSET(VMStoreContext, allocs) + (int32_t)((size - VM_ALLOC_MIN_BYTES) / 8 * sizeof(VMAlloc));
    Reg object = cg_alloc(fc, REGS_GPR);
    fc->uses_vmctx = true;
    x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_VMCTX, WR_OFFSET(VMContextHeader, store)));
    x64_movq_rm(fc->as, REG_GPR(object), x64_mem_b(REG_SCRATCH, at + WR_OFFSET(VMAlloc, cursor)));
    x64_cmpq_rm(fc->as, REG_GPR(object), x64_mem_b(REG_SCRATCH, at + WR_OFFSET(VMAlloc, limit)));
    Late *late = cg_late_alloc(fc, object, size);
    if (late == NULL) return object;
    x64_jcc(fc->as, X64_CC_AE, late->label);
    x64_addq_mi(fc->as, x64_mem_b(REG_SCRATCH, at + WR_OFFSET(VMAlloc, cursor)), (int32_t)size);
    late->back = x64_label_here(fc->as);
    gc_type_id(fc, REG_SCRATCH, type);
    x64_movl_mr(fc->as, x64_mem_b(REG_GPR(object), WR_OFFSET(VMObject, type_id)), REG_SCRATCH);
    x64_movl_mi(fc->as, x64_mem_b(REG_GPR(object), WR_OFFSET(VMObject, length)), (int32_t)length);
    return object;
}

static void gc_struct_new(FuncCompiler *fc, WasmOp op)
{
    uint32_t type = wr_leb_u32(&fc->ip), count = gc_type(fc, type)->func.num_params, bytes = fc->mc->object_bytes[type];
    const ValType *fields = gc_fields(fc, type);
    const uint32_t *offsets = gc_offsets(fc, type);
    Reg object = gc_new(fc, type, bytes, VM_OBJECT_IS_STRUCT);
    if (op == WASM_OP_STRUCT_NEW_DEFAULT) {
        if (gc_is_small(bytes))
            for (uint32_t at = sizeof(VMObject); at < bytes; at += 8) x64_movq_mi(fc->as, x64_mem_b(REG_GPR(object), (int32_t)at), 0);
    } else {
        const Val *values = fc->stack + (fc->sp - count);
        for (uint32_t i = 0; i < count; i++) gc_store(fc, fields[i], x64_mem_b(REG_GPR(object), (int32_t)offsets[i]), values[i]);
        cg_truncate(fc, fc->sp - count);
    }
    cg_push_reg(fc, WR_KIND_REF, object);
}

static void gc_array_new_fixed(FuncCompiler *fc)
{
    uint32_t type = wr_leb_u32(&fc->ip), count = wr_leb_u32(&fc->ip);
    ValType item = gc_fields(fc, type)[0];
    uint32_t item_bytes = wr_field_bytes(item);
    Reg array = gc_new(fc, type, sizeof(VMObject) + (uint64_t)count * item_bytes, count);
    const Val *values = fc->stack + (fc->sp - count);
    for (uint32_t i = 0; i < count; i++) gc_store(fc, item, x64_mem_b(REG_GPR(array), (int32_t)(sizeof(VMObject) + i * item_bytes)), values[i]);
    cg_truncate(fc, fc->sp - count);
    cg_push_reg(fc, WR_KIND_REF, array);
}

/* A builtin that takes a value of any type, by its address: the operand at stack position `value`. `moves` has its other arguments but the VMContext. */
static void gc_call_with_value(FuncCompiler *fc, uint32_t builtin, uint32_t args, Moves *moves, uint32_t value, X64Gpr value_reg)
{
    X64Mem area = x64_mem_b(RBP, cg_call_area(fc, (int32_t)sizeof(ValRaw)));
    cg_store_val(fc, area, fc->stack[value]);
    cg_moves_emit(fc, moves);
    x64_leaq_rm(fc->as, value_reg, area);
    cg_call_builtin_placed(fc, builtin, args);
}

static void gc_array_new(FuncCompiler *fc, WasmOp op)
{
    uint32_t type = wr_leb_u32(&fc->ip);
    if (op == WASM_OP_ARRAY_NEW) {
        uint32_t args = fc->sp - 2;
        Moves moves;
        if (fc->upper) cg_clean_upper(fc);
        cg_moves_init(&moves);
        cg_call_save(fc, args);
        cg_moves_add(fc, &moves, RCX, fc->stack[args + 1]);
        cg_moves_add(fc, &moves, RSI, (Val){.kind = VAL_CONST, .type = WR_KIND_I32, .bits = type});
        gc_call_with_value(fc, WR_BUILTIN_ARRAY_NEW, args, &moves, args, RDX);
    } else if (op == WASM_OP_ARRAY_NEW_DEFAULT) {
        cg_call_builtin(fc, WR_BUILTIN_OBJECT_NEW, &type, 1, 1);
    } else {
        uint32_t leading[2] = {type, wr_leb_u32(&fc->ip)};
        cg_call_builtin(fc, op == WASM_OP_ARRAY_NEW_DATA ? WR_BUILTIN_ARRAY_NEW_DATA : WR_BUILTIN_ARRAY_NEW_ELEM, leading, 2, 2);
    }
    gc_unwind_if_null(fc);
    cg_push_reg(fc, WR_KIND_REF, RAX);
}

/* ---- fields and items ------------------------------------------------------------------------------------------------------------ */

static void gc_struct_get(FuncCompiler *fc, WasmOp op)
{
    uint32_t type = wr_leb_u32(&fc->ip), field = wr_leb_u32(&fc->ip);
    ValType storage = gc_fields(fc, type)[field];
    uint8_t kind = (uint8_t)wr_vt_kind(wr_vt_unpacked(storage));
    Val ref = cg_pop(fc);
    Reg r = cg_reg(fc, &ref);
    gc_null_check(fc, r);
    Reg dst = cg_dest(fc, kind, cg_is_float(kind) ? REG_NONE : cg_reuse(&ref));
    gc_load(fc, storage, op == WASM_OP_STRUCT_GET_S, dst, x64_mem_b(REG_GPR(r), (int32_t)gc_offsets(fc, type)[field]));
    cg_finish(fc, kind, dst);
}

static void gc_struct_set(FuncCompiler *fc)
{
    uint32_t type = wr_leb_u32(&fc->ip), field = wr_leb_u32(&fc->ip);
    Val value = cg_pop(fc), ref = cg_pop(fc);
    Reg r = cg_reg(fc, &ref);
    gc_null_check(fc, r);
    gc_store(fc, gc_fields(fc, type)[field], x64_mem_b(REG_GPR(r), (int32_t)gc_offsets(fc, type)[field]), value);
}

/* The place of an item; r11 is part of it for v128s. */
static X64Mem gc_item(FuncCompiler *fc, ValType storage, Val *array, Val *index)
{
    uint32_t bytes = wr_field_bytes(storage);
    Reg ra = cg_reg(fc, array);
    X64Mem length = x64_mem_b(REG_GPR(ra), WR_OFFSET(VMObject, length));
    gc_null_check(fc, ra);
    if (index->kind == VAL_CONST && index->bits < (INT32_MAX - 64) / bytes) {
        x64_cmpl_mi(fc->as, length, (int32_t)index->bits);
        cg_trap_if(fc, X64_CC_BE, TRAP_ARRAY_OUT_OF_BOUNDS);
        return x64_mem_b(REG_GPR(ra), (int32_t)(sizeof(VMObject) + index->bits * bytes));
    }
    Reg ri = cg_reg_zext(fc, index);
    x64_cmpl_rm(fc->as, REG_GPR(ri), length);
    cg_trap_if(fc, X64_CC_AE, TRAP_ARRAY_OUT_OF_BOUNDS);
    if (bytes != 16) return x64_mem_bi(REG_GPR(ra), REG_GPR(ri), (uint8_t)bytes, sizeof(VMObject));
    x64_movq_rr(fc->as, REG_SCRATCH, REG_GPR(ri));
    x64_shlq_ri(fc->as, REG_SCRATCH, 4);
    return x64_mem_bi(REG_GPR(ra), REG_SCRATCH, 1, sizeof(VMObject));
}

static void gc_array_get(FuncCompiler *fc, WasmOp op)
{
    ValType storage = gc_fields(fc, wr_leb_u32(&fc->ip))[0];
    uint8_t kind = (uint8_t)wr_vt_kind(wr_vt_unpacked(storage));
    Val index = cg_pop(fc), array = cg_pop(fc);
    X64Mem item = gc_item(fc, storage, &array, &index);
    Reg dst = cg_dest(fc, kind, cg_is_float(kind) ? REG_NONE : cg_reuse(&array));
    gc_load(fc, storage, op == WASM_OP_ARRAY_GET_S, dst, item);
    cg_finish(fc, kind, dst);
}

static void gc_array_set(FuncCompiler *fc)
{
    ValType storage = gc_fields(fc, wr_leb_u32(&fc->ip))[0];
    Val value = cg_pop(fc), index = cg_pop(fc), array = cg_pop(fc);
    gc_store(fc, storage, gc_item(fc, storage, &array, &index), value);
}

static void gc_array_len(FuncCompiler *fc)
{
    Val array = cg_pop(fc);
    Reg ra = cg_reg(fc, &array);
    gc_null_check(fc, ra);
    Reg dst = cg_dest(fc, WR_KIND_I32, cg_reuse(&array));
    x64_movl_rm(fc->as, REG_GPR(dst), x64_mem_b(REG_GPR(ra), WR_OFFSET(VMObject, length)));
    cg_finish(fc, WR_KIND_I32, dst);
}

static void gc_array_range(FuncCompiler *fc, WasmOp op)
{
    wr_leb_skip(&fc->ip); /* the arrays know their types */
    uint32_t segment = 0;
    if (op == WASM_OP_ARRAY_COPY) {
        wr_leb_skip(&fc->ip);
        cg_call_builtin(fc, WR_BUILTIN_ARRAY_COPY, NULL, 0, 5);
    } else if (op == WASM_OP_ARRAY_FILL) {
        uint32_t args = fc->sp - 4;
        Moves moves;
        if (fc->upper) cg_clean_upper(fc);
        cg_moves_init(&moves);
        cg_call_save(fc, args);
        cg_moves_add(fc, &moves, RSI, fc->stack[args]);
        cg_moves_add(fc, &moves, RDX, fc->stack[args + 1]);
        cg_moves_add(fc, &moves, R8, fc->stack[args + 3]);
        gc_call_with_value(fc, WR_BUILTIN_ARRAY_FILL, args, &moves, args + 2, RCX);
    } else {
        segment = wr_leb_u32(&fc->ip);
        cg_call_builtin(fc, op == WASM_OP_ARRAY_INIT_DATA ? WR_BUILTIN_ARRAY_INIT_DATA : WR_BUILTIN_ARRAY_INIT_ELEM, &segment, 1, 4);
    }
    cg_unwind_if_nonzero(fc);
}

/* ---- casts ----------------------------------------------------------------------------------------------------------------------- */

static ValType gc_read_heap_type(FuncCompiler *fc, bool is_nullable)
{
    int64_t code = wr_leb_s64(&fc->ip);
    if (code >= 0) return WR_VT_REF_INDEX(is_nullable, fc->mc->module->types[code].canonical);
    ValType type = wr_vt_from_code(code);
    return is_nullable ? type : type & ~WR_VT_NULLABLE;
}

static bool gc_walks(const FuncCompiler *fc, ValType type) { return wr_vt_concrete(type) && !gc_type(fc, wr_vt_heap(type))->is_final; }

/* The register that gc_test needs besides r11, taken before anything branches. */
static Reg gc_test_register(FuncCompiler *fc, ValType type) { return gc_walks(fc, type) ? cg_alloc(fc, REGS_GPR) : REG_NONE; }

static void gc_test_concrete(FuncCompiler *fc, ValType type, X64Mem id, Reg found, X64Label yes, X64Label no)
{
    Asm *as = fc->as;
    gc_type_id(fc, REG_SCRATCH, wr_vt_heap(type));
    if (!gc_walks(fc, type)) {
        x64_cmpl_rm(as, REG_SCRATCH, id);
        x64_jcc(as, X64_CC_NE, no);
        return;
    }
    X64Gpr f = REG_GPR(found);
    x64_movl_rm(as, f, id);
    X64Label loop = x64_label_here(as);
    x64_cmpl_rr(as, f, REG_SCRATCH);
    x64_jcc(as, X64_CC_E, yes);
    x64_shlq_ri(as, f, 2);
    x64_addq_rm(as, f, x64_mem_b(REG_VMCTX, WR_OFFSET(VMContextHeader, supertypes)));
    x64_movl_rm(as, f, x64_mem_b(f, 0));
    x64_testl_rr(as, f, f);
    x64_jcc(as, X64_CC_NE, loop);
    x64_jmp(as, no);
}

/* Goes to `no` if the reference is not of the type; else to `yes`, or on from here. r11 and `found` are used. */
static void gc_test(FuncCompiler *fc, Reg ref, ValType type, Reg found, X64Label yes, X64Label no)
{
    Asm *as = fc->as;
    X64Gpr r = REG_GPR(ref);
    x64_testq_rr(as, r, r);
    x64_jcc(as, X64_CC_E, wr_vt_nullable(type) ? yes : no);
    if (wr_vt_concrete(type)) {
        bool is_func = gc_type(fc, wr_vt_heap(type))->kind == WASM_TYPE_FUNC;
        if (!is_func) {
            x64_testl_ri(as, r, VM_REF_TAG_MASK);
            x64_jcc(as, X64_CC_NE, no);
        }
        gc_test_concrete(fc, type, x64_mem_b(r, is_func ? WR_OFFSET(VMFuncRef, type_index) : WR_OFFSET(VMObject, type_id)), found, yes, no);
        return;
    }
    switch (wr_vt_heap(type)) {
    case WR_HEAP_NONE: case WR_HEAP_NOFUNC: case WR_HEAP_NOEXTERN: case WR_HEAP_NOEXN: x64_jmp(as, no); break;
    case WR_HEAP_I31:
        x64_testl_ri(as, r, VM_REF_I31_BIT);
        x64_jcc(as, X64_CC_E, no);
        break;
    case WR_HEAP_EQ: /* all but the host's */
        x64_movl_rr(as, REG_SCRATCH, r);
        x64_andl_ri(as, REG_SCRATCH, VM_REF_TAG_MASK);
        x64_cmpl_ri(as, REG_SCRATCH, VM_REF_HOST_BITS);
        x64_jcc(as, X64_CC_E, no);
        break;
    case WR_HEAP_STRUCT: case WR_HEAP_ARRAY:
        x64_testl_ri(as, r, VM_REF_TAG_MASK);
        x64_jcc(as, X64_CC_NE, no);
        x64_cmpl_mi(as, x64_mem_b(r, WR_OFFSET(VMObject, length)), (int32_t)VM_OBJECT_IS_STRUCT);
        x64_jcc(as, wr_vt_heap(type) == WR_HEAP_STRUCT ? X64_CC_NE : X64_CC_E, no);
        break;
    default: break; /* the tops of hierarchies */
    }
}

/* The zero flag is clear if the reference is of the type. */
static void gc_test_to_flags(FuncCompiler *fc, Reg ref, ValType type, Reg found)
{
    X64Label yes = x64_label_new(fc->as), no = x64_label_new(fc->as), end = x64_label_new(fc->as);
    gc_test(fc, ref, type, found, yes, no);
    x64_label_bind(fc->as, yes);
    x64_movl_ri(fc->as, REG_SCRATCH, 1);
    x64_jmp(fc->as, end);
    x64_label_bind(fc->as, no);
    x64_zero_r(fc->as, REG_SCRATCH);
    x64_label_bind(fc->as, end);
    x64_testl_rr(fc->as, REG_SCRATCH, REG_SCRATCH);
}

static void gc_cast(FuncCompiler *fc, WasmOp op)
{
    ValType type = gc_read_heap_type(fc, op == WASM_OP_REF_CAST_NULL || op == WASM_OP_REF_TEST_NULL);
    Val ref = cg_pop(fc);
    Reg r = cg_reg(fc, &ref), found = gc_test_register(fc, type);
    if (op == WASM_OP_REF_TEST || op == WASM_OP_REF_TEST_NULL) {
        gc_test_to_flags(fc, r, type, found);
        cg_cond_result(fc, cg_cond(X64_CC_NE));
        return;
    }
    X64Label yes = x64_label_new(fc->as);
    gc_test(fc, r, type, found, yes, cg_trap_label(fc, TRAP_CAST_FAILURE));
    x64_label_bind(fc->as, yes);
    cg_push_val(fc, ref);
}

static void gc_br_on_cast(FuncCompiler *fc, WasmOp op)
{
    uint8_t flags = *fc->ip++;
    uint32_t depth = wr_leb_u32(&fc->ip);
    (void)gc_read_heap_type(fc, false);
    ValType type = gc_read_heap_type(fc, (flags & 2) != 0);
    Val ref = cg_pop(fc);
    Reg r = cg_reg(fc, &ref), found = gc_test_register(fc, type);
    cg_push_val(fc, ref);
    gc_test_to_flags(fc, r, type, found);
    cg_br_if(fc, depth, cg_cond(op == WASM_OP_BR_ON_CAST ? X64_CC_NE : X64_CC_E));
}

/* ---- the rest -------------------------------------------------------------------------------------------------------------------- */

static void gc_ref_eq(FuncCompiler *fc)
{
    Val b = cg_pop(fc), a = cg_pop(fc);
    Reg rb = cg_reg(fc, &b), ra = cg_reg(fc, &a);
    x64_cmpq_rr(fc->as, REG_GPR(ra), REG_GPR(rb));
    cg_cond_result(fc, cg_cond(X64_CC_E));
}

static void gc_ref_i31(FuncCompiler *fc)
{
    Val v = cg_pop(fc);
    Reg r = cg_reg(fc, &v), dst = cg_dest(fc, WR_KIND_REF, cg_reuse(&v));
    x64_leal_rm(fc->as, REG_GPR(dst), x64_mem_bi(REG_GPR(r), REG_GPR(r), 1, VM_REF_I31_BIT)); /* the upper half becomes zero */
    cg_finish(fc, WR_KIND_REF, dst);
}

static void gc_i31_get(FuncCompiler *fc, bool is_signed)
{
    Val v = cg_pop(fc);
    Reg r = cg_reg(fc, &v);
    gc_null_check(fc, r);
    Reg dst = cg_dest(fc, WR_KIND_I32, cg_reuse(&v));
    x64_movl_rr(fc->as, REG_GPR(dst), REG_GPR(r));
    if (is_signed) x64_sarl_ri(fc->as, REG_GPR(dst), 1);
    else x64_shrl_ri(fc->as, REG_GPR(dst), 1);
    cg_finish(fc, WR_KIND_I32, dst);
}

void cg_op_gc(FuncCompiler *fc, WasmOp op)
{
    switch (op) {
    case WASM_OP_REF_EQ: gc_ref_eq(fc); break;
    case WASM_OP_STRUCT_NEW: case WASM_OP_STRUCT_NEW_DEFAULT: gc_struct_new(fc, op); break;
    case WASM_OP_STRUCT_GET: case WASM_OP_STRUCT_GET_S: case WASM_OP_STRUCT_GET_U: gc_struct_get(fc, op); break;
    case WASM_OP_STRUCT_SET: gc_struct_set(fc); break;
    case WASM_OP_ARRAY_NEW: case WASM_OP_ARRAY_NEW_DEFAULT: case WASM_OP_ARRAY_NEW_DATA: case WASM_OP_ARRAY_NEW_ELEM: gc_array_new(fc, op); break;
    case WASM_OP_ARRAY_NEW_FIXED: gc_array_new_fixed(fc); break;
    case WASM_OP_ARRAY_GET: case WASM_OP_ARRAY_GET_S: case WASM_OP_ARRAY_GET_U: gc_array_get(fc, op); break;
    case WASM_OP_ARRAY_SET: gc_array_set(fc); break;
    case WASM_OP_ARRAY_LEN: gc_array_len(fc); break;
    case WASM_OP_ARRAY_FILL: case WASM_OP_ARRAY_COPY: case WASM_OP_ARRAY_INIT_DATA: case WASM_OP_ARRAY_INIT_ELEM: gc_array_range(fc, op); break;
    case WASM_OP_REF_TEST: case WASM_OP_REF_TEST_NULL: case WASM_OP_REF_CAST: case WASM_OP_REF_CAST_NULL: gc_cast(fc, op); break;
    case WASM_OP_BR_ON_CAST: case WASM_OP_BR_ON_CAST_FAIL: gc_br_on_cast(fc, op); break;
    case WASM_OP_REF_I31: gc_ref_i31(fc); break;
    case WASM_OP_I31_GET_S: case WASM_OP_I31_GET_U: gc_i31_get(fc, op == WASM_OP_I31_GET_S); break;
    default: break; /* any.convert_extern and its inverse: the same word */
    }
}
