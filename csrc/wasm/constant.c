/* Constant expressions: validated over a small operand stack that carries known values along, so that what can be computed is computed here and
 * instantiation meets expressions only where they depend on globals or make objects. */
#include <string.h>

#include "wasm/decode.h"
#include "wasm/reader.h"

static bool constant_push(WasmDecoder *d, WasmConstOperand operand)
{
    if (d->operands.count >= WR_LIMIT_CONST_EXPR_OPERANDS)
        return wr_reader_fail(&d->reader, WR_ERROR_LIMIT, d->reader.p, "constant expression too deep: the limit CONST_EXPR_OPERANDS is %u", WR_LIMIT_CONST_EXPR_OPERANDS);
    return wr_array_push(&d->operands, operand) || wr_reader_fail(&d->reader, WR_ERROR_MEMORY, d->reader.p, "no memory for a constant expression");
}

static bool constant_push_type(WasmDecoder *d, ValType type) { return constant_push(d, (WasmConstOperand){.type = type}); }

static bool constant_push_bits(WasmDecoder *d, ValType type, uint64_t low, uint64_t high)
{
    return constant_push(d, (WasmConstOperand){.type = type, .known = true, .bits = {low, high}});
}

static bool constant_pop(WasmDecoder *d, ValType type, const uint8_t *at, WasmConstOperand *out_operand)
{
    WrVtText want, found;
    if (!d->operands.count) return wr_reader_fail(&d->reader, WR_ERROR_VALIDATION, at, "type mismatch: expected %s, found nothing", wr_vt_text(type, &want));
    WasmConstOperand operand = d->operands.items[--d->operands.count];
    if (!wr_vt_matches(d->module, operand.type, type))
        return wr_reader_fail(&d->reader, WR_ERROR_VALIDATION, at, "type mismatch: expected %s, found %s", wr_vt_text(type, &want), wr_vt_text(operand.type, &found));
    if (out_operand) *out_operand = operand;
    return true;
}

static bool constant_binary(WasmDecoder *d, WasmOp op, ValType type, const uint8_t *at)
{
    WasmConstOperand a, b;
    if (!constant_pop(d, type, at, &b) || !constant_pop(d, type, at, &a)) return false;
    uint64_t value = 0;
    switch (op) {
    case WASM_OP_I32_ADD: case WASM_OP_I64_ADD: value = a.bits[0] + b.bits[0]; break;
    case WASM_OP_I32_SUB: case WASM_OP_I64_SUB: value = a.bits[0] - b.bits[0]; break;
    default: value = a.bits[0] * b.bits[0]; break;
    }
    if (type == WR_VALTYPE_I32) value = (uint32_t)value;
    return constant_push(d, (WasmConstOperand){.type = type, .known = a.known && b.known, .bits = {value, 0}});
}

static bool constant_type_index(WasmDecoder *d, uint8_t kind, const char *kind_name, uint32_t *out_index)
{
    const uint8_t *at = d->reader.p;
    if (!wr_reader_u32(&d->reader, out_index, "a type index")) return false;
    if (*out_index >= d->module->num_types) return wr_reader_fail(&d->reader, WR_ERROR_VALIDATION, at, "unknown type %u", *out_index);
    *out_index = d->module->types[*out_index].canonical;
    return d->module->types[*out_index].kind == kind || wr_reader_fail(&d->reader, WR_ERROR_VALIDATION, at, "type mismatch: type %u is not %s type", *out_index, kind_name);
}

static bool constant_struct(WasmDecoder *d, bool with_values, const uint8_t *at)
{
    uint32_t index;
    if (!constant_type_index(d, WASM_TYPE_STRUCT, "a struct", &index)) return false;
    const WasmFuncType *fields = &d->module->types[index].func;
    for (uint32_t i = fields->num_params; i--;) {
        ValType field = wr_vt_unpacked(d->module->valtypes[fields->params + i]);
        if (with_values ? !constant_pop(d, field, at, NULL) : !wr_vt_defaultable(field))
            return wr_reader_fail(&d->reader, WR_ERROR_VALIDATION, at, "field %u has no default value", i);
    }
    return constant_push_type(d, WR_VT_REF_INDEX(false, index));
}

static bool constant_array(WasmDecoder *d, WasmOp op, const uint8_t *at)
{
    uint32_t index, count = 1;
    if (!constant_type_index(d, WASM_TYPE_ARRAY, "an array", &index)) return false;
    ValType item = wr_vt_unpacked(d->module->valtypes[d->module->types[index].func.params]);
    if (op == WASM_OP_ARRAY_NEW_FIXED) {
        if (!wr_reader_u32(&d->reader, &count, "the number of items")) return false;
        while (count--)
            if (!constant_pop(d, item, at, NULL)) return false;
    } else {
        if (!constant_pop(d, WR_VALTYPE_I32, at, NULL)) return false;
        if (op == WASM_OP_ARRAY_NEW && !constant_pop(d, item, at, NULL)) return false;
        if (op == WASM_OP_ARRAY_NEW_DEFAULT && !wr_vt_defaultable(item)) return wr_reader_fail(&d->reader, WR_ERROR_VALIDATION, at, "array items have no default value");
    }
    return constant_push_type(d, WR_VT_REF_INDEX(false, index));
}

/* any.convert_extern and its inverse keep nullability. */
static bool constant_convert(WasmDecoder *d, uint32_t from, uint32_t to, const uint8_t *at)
{
    WasmConstOperand operand;
    if (!constant_pop(d, WR_VT_REF(true, from), at, &operand)) return false;
    return constant_push_type(d, WR_VT_REF(wr_vt_nullable(operand.type), to));
}

static bool constant_global(WasmDecoder *d, uint32_t *out_index)
{
    const uint8_t *at = d->reader.p;
    if (!wr_reader_u32(&d->reader, out_index, "a global index")) return false;
    if (*out_index >= d->module->num_globals) return wr_reader_fail(&d->reader, WR_ERROR_VALIDATION, at, "unknown global %u, expected one defined before", *out_index);
    if (d->module->globals[*out_index].is_mutable) return wr_reader_fail(&d->reader, WR_ERROR_VALIDATION, at, "constant expression required, global %u is mutable", *out_index);
    return constant_push_type(d, d->module->globals[*out_index].type);
}

static bool constant_func(WasmDecoder *d, uint32_t *out_index)
{
    const uint8_t *at = d->reader.p;
    if (!wr_reader_u32(&d->reader, out_index, "a function index")) return false;
    if (*out_index >= d->module->num_funcs) return wr_reader_fail(&d->reader, WR_ERROR_VALIDATION, at, "unknown function %u", *out_index);
    if (!d->is_verifying) decoder_escape(d, *out_index);
    return constant_push_type(d, WR_VT_REF_INDEX(false, d->module->types[d->module->funcs[*out_index].type_index].canonical));
}

/* One instruction that is not `end`; `index` becomes that of its global or function. */
static bool constant_instruction(WasmDecoder *d, WasmOp op, const uint8_t *at, uint32_t *index)
{
    WasmReader *r = &d->reader;
    const uint8_t *bytes;
    int64_t value;
    ValType type;
    uint64_t words[2];
    switch (op) {
    case WASM_OP_I32_CONST: return wr_reader_signed(r, 32, &value, "an i32") && constant_push_bits(d, WR_VALTYPE_I32, (uint32_t)value, 0);
    case WASM_OP_I64_CONST: return wr_reader_signed(r, 64, &value, "an i64") && constant_push_bits(d, WR_VALTYPE_I64, (uint64_t)value, 0);
    case WASM_OP_F32_CONST:
        if (!wr_reader_bytes(r, 4, &bytes, "an f32")) return false;
        return constant_push_bits(d, WR_VALTYPE_F32, wr_read_f32_bits(&bytes), 0);
    case WASM_OP_F64_CONST:
        if (!wr_reader_bytes(r, 8, &bytes, "an f64")) return false;
        return constant_push_bits(d, WR_VALTYPE_F64, wr_read_f64_bits(&bytes), 0);
    case WASM_OP_V128_CONST:
        if (!wr_reader_bytes(r, 16, &bytes, "a v128")) return false;
        memcpy(words, bytes, 16);
        return constant_push_bits(d, WR_VALTYPE_V128, words[0], words[1]);
    case WASM_OP_REF_NULL: return wr_reader_heap_type(r, &type, "a heap type") && constant_push_type(d, type);
    case WASM_OP_REF_FUNC: return constant_func(d, index);
    case WASM_OP_GLOBAL_GET: return constant_global(d, index);
    case WASM_OP_I32_ADD: case WASM_OP_I32_SUB: case WASM_OP_I32_MUL:
        return wr_reader_need(r, WASM_FEATURE_BIT_EXTENDED_CONST, at, "arithmetic in a constant") && constant_binary(d, op, WR_VALTYPE_I32, at);
    case WASM_OP_I64_ADD: case WASM_OP_I64_SUB: case WASM_OP_I64_MUL:
        return wr_reader_need(r, WASM_FEATURE_BIT_EXTENDED_CONST, at, "arithmetic in a constant") && constant_binary(d, op, WR_VALTYPE_I64, at);
    case WASM_OP_STRUCT_NEW: return constant_struct(d, true, at);
    case WASM_OP_STRUCT_NEW_DEFAULT: return constant_struct(d, false, at);
    case WASM_OP_ARRAY_NEW: case WASM_OP_ARRAY_NEW_DEFAULT: case WASM_OP_ARRAY_NEW_FIXED: return constant_array(d, op, at);
    case WASM_OP_REF_I31: return constant_pop(d, WR_VALTYPE_I32, at, NULL) && constant_push_type(d, WR_VT_REF(false, WR_HEAP_I31));
    case WASM_OP_ANY_CONVERT_EXTERN: return constant_convert(d, WR_HEAP_EXTERN, WR_HEAP_ANY, at);
    case WASM_OP_EXTERN_CONVERT_ANY: return constant_convert(d, WR_HEAP_ANY, WR_HEAP_EXTERN, at);
    default: return wr_reader_fail(r, WR_ERROR_VALIDATION, at, "constant expression required, found %s", wr_wasm_op_names[op]);
    }
}

bool wr_decode_const(WasmDecoder *d, ValType type, WasmConst *out_const)
{
    WasmReader *r = &d->reader;
    const uint8_t *start = r->p, *at;
    uint32_t num_instructions = 0, index = 0;
    WasmOp op = WASM_OP_INVALID, last = WASM_OP_INVALID;
    WasmConstOperand value;
    d->operands.count = 0;
    for (;; last = op, num_instructions++) {
        at = r->p;
        if (d->is_verifying && at == r->end) break;
        if (!wr_reader_op(r, &op)) return false;
        if (op == WASM_OP_END && !d->is_verifying) break;
        if (!constant_instruction(d, op, at, &index)) return false;
    }
    if (!constant_pop(d, type, at, &value)) return false;
    if (d->operands.count) return wr_reader_fail(r, WR_ERROR_VALIDATION, at, "type mismatch: %u more values than a constant expression has", d->operands.count);
    *out_const = (WasmConst){.kind = WASM_CONST_EXPR, .type = value.type};
    if (value.known) {
        out_const->kind = WASM_CONST_BITS;
        memcpy(out_const->bits, value.bits, sizeof value.bits);
    } else if (num_instructions == 1 && (last == WASM_OP_GLOBAL_GET || last == WASM_OP_REF_FUNC)) {
        out_const->kind = last == WASM_OP_GLOBAL_GET ? WASM_CONST_GLOBAL : WASM_CONST_REF_FUNC;
        out_const->bits[0] = index;
    } else if (num_instructions == 1 && last == WASM_OP_REF_NULL) {
        out_const->kind = WASM_CONST_REF_NULL;
    } else {
        out_const->expr = (WasmSpan){(uint32_t)(start - r->bytes), (uint32_t)(at - start)};
    }
    return true;
}
