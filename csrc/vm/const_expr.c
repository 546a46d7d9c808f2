/* Constant expressions: nearly all were folded by the decoder; extended ones run on a small stack machine here.
 *
 * The decoder checked them, but a module may come from an artifact, so that indices are checked again and the stack is bounded by the length. While one
 * runs, its values are where no collection looks, and so are the globals of an instance in the making: objects are made without any. */
#include <stdlib.h>
#include <string.h>

#include "base/leb128.h"
#include "vm/objects.h"
#include "wasm/fields.h"
#include "wasm/ops.h"

#define CONST_EXPR_STACK 32u

static bool const_global(WrInstance *instance, uint64_t index, ValRaw *out_value)
{
    if (index >= instance->module->num_globals || instance->globals[index]->def == NULL) return false;
    *out_value = instance->globals[index]->def->value;
    return true;
}

static bool const_func(WrInstance *instance, uint64_t index, ValRaw *out_value)
{
    VMFuncRef *ref = index < instance->module->num_funcs ? vm_instance_func(instance, (uint32_t)index) : NULL;
    *out_value = (ValRaw){ .ref = ref };
    return ref != NULL;
}

static bool const_read_bytes(const uint8_t **cursor, const uint8_t *end, void *out, size_t count)
{
    if ((size_t)(end - *cursor) < count) return false;
    memcpy(out, *cursor, count);
    *cursor += count;
    return true;
}

static bool const_binary(uint16_t op, ValRaw *a, const ValRaw *b)
{
    uint32_t x = (uint32_t)a->i32, y = (uint32_t)b->i32;
    uint64_t x64 = (uint64_t)a->i64, y64 = (uint64_t)b->i64;
    switch (op) {
    case WASM_OP_I32_ADD: *a = (ValRaw){ .i64 = (int64_t)(uint64_t)(uint32_t)(x + y) }; return true;
    case WASM_OP_I32_SUB: *a = (ValRaw){ .i64 = (int64_t)(uint64_t)(uint32_t)(x - y) }; return true;
    case WASM_OP_I32_MUL: *a = (ValRaw){ .i64 = (int64_t)(uint64_t)(uint32_t)(x * y) }; return true;
    case WASM_OP_I64_ADD: *a = (ValRaw){ .i64 = (int64_t)(x64 + y64) }; return true;
    case WASM_OP_I64_SUB: *a = (ValRaw){ .i64 = (int64_t)(x64 - y64) }; return true;
    case WASM_OP_I64_MUL: *a = (ValRaw){ .i64 = (int64_t)(x64 * y64) }; return true;
    default: return false;
    }
}

typedef struct ConstRun {
    WrInstance *instance;
    const uint8_t *cursor, *end;
    ValRaw *stack;
    size_t depth;
    bool is_full; /* no room for an object */
} ConstRun;

static bool const_u32(ConstRun *run, uint32_t *out_value)
{
    uint64_t value;
    if (wr_leb_check_unsigned(&run->cursor, run->end, 32, &value) != WR_LEB_OK) return false;
    *out_value = (uint32_t)value;
    return true;
}

static const WasmTypeDef *const_type(ConstRun *run, uint8_t kind, uint32_t *out_index)
{
    const WasmModule *module = run->instance->module;
    if (!const_u32(run, out_index) || *out_index >= module->num_types) return NULL;
    const WasmTypeDef *type = &module->types[*out_index];
    if (type->kind != kind || type->func.params > module->num_valtypes || type->func.num_params > module->num_valtypes - type->func.params) return NULL;
    return type;
}

/* The object in place of its `num_operands`. */
static bool const_push_object(ConstRun *run, VMObject *object, size_t num_operands)
{
    run->is_full = object == NULL;
    run->depth -= num_operands;
    run->stack[run->depth++] = (ValRaw){ .ref = object };
    return object != NULL;
}

static bool const_struct(ConstRun *run, bool with_values)
{
    uint32_t index, at = 0;
    const WasmTypeDef *type = const_type(run, WASM_TYPE_STRUCT, &index);
    if (type == NULL || (with_values && run->depth < type->func.num_params)) return false;
    uint32_t num_fields = type->func.num_params;
    VMObject *object = vm_struct_new(run->instance, index);
    for (uint32_t i = 0; object != NULL && with_values && i < num_fields; i++) {
        ValType field = run->instance->module->valtypes[type->func.params + i];
        vm_object_set(object, wr_field_place(&at, field), field, &run->stack[run->depth - num_fields + i]);
    }
    return const_push_object(run, object, with_values ? num_fields : 0);
}

static bool const_array(ConstRun *run, WasmOp op)
{
    uint32_t index, length;
    const WasmTypeDef *type = const_type(run, WASM_TYPE_ARRAY, &index);
    if (type == NULL || type->func.num_params != 1) return false;
    ValType item = run->instance->module->valtypes[type->func.params];
    if (op == WASM_OP_ARRAY_NEW_FIXED) {
        if (!const_u32(run, &length) || run->depth < length) return false;
        VMObject *array = vm_array_new(run->instance, index, length);
        for (uint32_t i = 0; array != NULL && i < length; i++)
            vm_object_set(array, (uint32_t)sizeof *array + i * wr_field_bytes(item), item, &run->stack[run->depth - length + i]);
        return const_push_object(run, array, length);
    }
    uint32_t num_operands = op == WASM_OP_ARRAY_NEW ? 2 : 1;
    if (run->depth < num_operands) return false;
    length = (uint32_t)run->stack[run->depth - 1].i32;
    VMObject *array = vm_array_new(run->instance, index, length);
    if (array != NULL && num_operands == 2) vm_array_set_all(array, wr_field_bytes(item), 0, length, &run->stack[run->depth - 2]);
    return const_push_object(run, array, num_operands);
}

static bool const_object(ConstRun *run, WasmOp op)
{
    switch (op) {
    case WASM_OP_STRUCT_NEW:
    case WASM_OP_STRUCT_NEW_DEFAULT: return const_struct(run, op == WASM_OP_STRUCT_NEW);
    case WASM_OP_ARRAY_NEW:
    case WASM_OP_ARRAY_NEW_DEFAULT:
    case WASM_OP_ARRAY_NEW_FIXED: return const_array(run, op);
    case WASM_OP_REF_I31: {
        if (run->depth == 0) return false;
        ValRaw *top = &run->stack[run->depth - 1];
        *top = (ValRaw){ .i64 = (int64_t)((uint32_t)top->i32 << 1 | VM_REF_I31_BIT) };
        return true;
    }
    case WASM_OP_ANY_CONVERT_EXTERN:
    case WASM_OP_EXTERN_CONVERT_ANY: return run->depth != 0; /* the same word */
    default: return false;
    }
}

/* One instruction; `depth` values are on the stack, which has room for one more. */
static bool const_step(ConstRun *run)
{
    WrInstance *instance = run->instance;
    const uint8_t **cursor = &run->cursor, *end = run->end;
    uint64_t unsigned_value;
    int64_t signed_value;
    ValRaw pushed = { 0 };
    uint16_t op = wr_wasm_op_bytes[**cursor];
    uint8_t byte = *(*cursor)++;
    if (byte == 0xfd || byte == 0xfb) {
        if (wr_leb_check_unsigned(cursor, end, 32, &unsigned_value) != WR_LEB_OK) return false;
        op = (uint16_t)wr_wasm_op_prefixed(byte, (uint32_t)unsigned_value);
    }
    switch (op) {
    case WASM_OP_I32_CONST:
        if (wr_leb_check_signed(cursor, end, 32, &signed_value) != WR_LEB_OK) return false;
        pushed.i64 = (int64_t)(uint64_t)(uint32_t)signed_value;
        break;
    case WASM_OP_I64_CONST:
        if (wr_leb_check_signed(cursor, end, 64, &pushed.i64) != WR_LEB_OK) return false;
        break;
    case WASM_OP_F32_CONST:
        if (!const_read_bytes(cursor, end, &pushed, 4)) return false;
        break;
    case WASM_OP_F64_CONST:
        if (!const_read_bytes(cursor, end, &pushed, 8)) return false;
        break;
    case WASM_OP_V128_CONST:
        if (!const_read_bytes(cursor, end, &pushed, 16)) return false;
        break;
    case WASM_OP_REF_NULL:
        if (wr_leb_check_signed(cursor, end, 33, &signed_value) != WR_LEB_OK) return false;
        break;
    case WASM_OP_GLOBAL_GET:
        if (wr_leb_check_unsigned(cursor, end, 32, &unsigned_value) != WR_LEB_OK || !const_global(instance, unsigned_value, &pushed)) return false;
        break;
    case WASM_OP_REF_FUNC:
        if (wr_leb_check_unsigned(cursor, end, 32, &unsigned_value) != WR_LEB_OK || !const_func(instance, unsigned_value, &pushed)) return false;
        break;
    default:
        if (byte == 0xfb) return const_object(run, (WasmOp)op);
        if (run->depth < 2 || !const_binary(op, &run->stack[run->depth - 2], &run->stack[run->depth - 1])) return false;
        run->depth--;
        return true;
    }
    run->stack[run->depth++] = pushed;
    return true;
}

static bool const_run(WrInstance *instance, WasmSpan expr, ValRaw *out_value, bool *out_full)
{
    const WasmModule *module = instance->module;
    if (expr.offset > module->num_bytes || expr.length > module->num_bytes - expr.offset) return false;
    ValRaw fixed[CONST_EXPR_STACK];
    ConstRun run = { .instance = instance, .cursor = module->bytes + expr.offset, .end = module->bytes + expr.offset + expr.length, .stack = fixed };
    /* every instruction has a byte and pushes at most one value */
    if (expr.length > CONST_EXPR_STACK && (run.stack = malloc(expr.length * sizeof *run.stack)) == NULL) return false;
    bool ok = true;
    instance->store->heap.hold++;
    while (ok && run.cursor < run.end) ok = const_step(&run);
    instance->store->heap.hold--;
    if (ok && run.depth == 1)
        *out_value = run.stack[0];
    else
        ok = false;
    if (run.stack != fixed) free(run.stack);
    *out_full = run.is_full;
    return ok;
}

bool vm_const_eval(WrInstance *instance, const WasmConst *constant, ValRaw *out_value, bool *out_full)
{
    *out_full = false;
    switch (constant->kind) {
    case WASM_CONST_BITS:
        memcpy(out_value, constant->bits, sizeof *out_value);
        return true;
    case WASM_CONST_REF_NULL:
        *out_value = (ValRaw){ 0 };
        return true;
    case WASM_CONST_GLOBAL: return const_global(instance, constant->bits[0], out_value);
    case WASM_CONST_REF_FUNC: return const_func(instance, constant->bits[0], out_value);
    case WASM_CONST_EXPR: return const_run(instance, constant->expr, out_value, out_full);
    default: return false;
    }
}
