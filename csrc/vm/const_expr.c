/* Constant expressions: nearly all were folded by the decoder; extended ones run on a small stack machine here.
 *
 * The decoder checked them, but a module may come from an artifact, so that indices are checked again and the stack is bounded by the length. */
#include <stdlib.h>
#include <string.h>

#include "base/leb128.h"
#include "vm/objects.h"
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

/* One instruction; `depth` values are on the stack, which has room for one more. */
static bool const_step(WrInstance *instance, const uint8_t **cursor, const uint8_t *end, ValRaw *stack, size_t *depth)
{
    uint64_t unsigned_value;
    int64_t signed_value;
    ValRaw pushed = { 0 };
    uint16_t op = wr_wasm_op_bytes[**cursor];
    uint8_t byte = *(*cursor)++;
    if (byte == 0xfd) {
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
        if (*depth < 2 || !const_binary(op, &stack[*depth - 2], &stack[*depth - 1])) return false;
        (*depth)--;
        return true;
    }
    stack[(*depth)++] = pushed;
    return true;
}

static bool const_run(WrInstance *instance, WasmSpan expr, ValRaw *out_value)
{
    const WasmModule *module = instance->module;
    if (expr.offset > module->num_bytes || expr.length > module->num_bytes - expr.offset) return false;
    const uint8_t *cursor = module->bytes + expr.offset, *end = cursor + expr.length;
    ValRaw fixed[CONST_EXPR_STACK], *stack = fixed;
    size_t depth = 0;
    /* every instruction has a byte and pushes at most one value */
    if (expr.length > CONST_EXPR_STACK && (stack = malloc(expr.length * sizeof *stack)) == NULL) return false;
    bool ok = true;
    while (ok && cursor < end) ok = const_step(instance, &cursor, end, stack, &depth);
    if (ok && depth == 1)
        *out_value = stack[0];
    else
        ok = false;
    if (stack != fixed) free(stack);
    return ok;
}

bool vm_const_eval(WrInstance *instance, const WasmConst *constant, ValRaw *out_value)
{
    switch (constant->kind) {
    case WASM_CONST_BITS:
        memcpy(out_value, constant->bits, sizeof *out_value);
        return true;
    case WASM_CONST_REF_NULL:
        *out_value = (ValRaw){ 0 };
        return true;
    case WASM_CONST_GLOBAL: return const_global(instance, constant->bits[0], out_value);
    case WASM_CONST_REF_FUNC: return const_func(instance, constant->bits[0], out_value);
    case WASM_CONST_EXPR: return const_run(instance, constant->expr, out_value);
    default: return false;
    }
}
