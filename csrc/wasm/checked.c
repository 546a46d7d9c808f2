#include "wasm/checked.h"

#include <stdio.h>

#include "base/utf8.h"
#include "wasm/reader.h"

void wr_reader_report(WasmReader *reader, WrErrorKind kind, const uint8_t *at, const char *format, ...)
{
    char text[sizeof reader->error->message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wr_error_set(reader->error, kind, wr_reader_offset(reader, at), "%s", text);
}

bool wr_reader_need(WasmReader *reader, unsigned feature_bit, const uint8_t *at, const char *what)
{
    if (reader->features >> feature_bit & 1) return true;
    return wr_reader_fail(reader, WR_ERROR_VALIDATION, at, "%s needs %s, which is off", what, wr_wasm_feature_text(feature_bit));
}

static bool checked_leb(WasmReader *reader, WrLebStatus status, bool is_signed, unsigned bits, const char *what)
{
    if (status == WR_LEB_OK) return true;
    if (status == WR_LEB_TRUNCATED && reader->file_end) { /* too long or too large is wrong even where its section ends within it */
        const uint8_t *p = reader->p;
        uint64_t value;
        int64_t number;
        WrLebStatus whole = is_signed ? wr_leb_check_signed(&p, reader->file_end, bits, &number) : wr_leb_check_unsigned(&p, reader->file_end, bits, &value);
        if (whole != WR_LEB_OK) status = whole;
    }
    const uint8_t *at = status == WR_LEB_TRUNCATED ? reader->end : reader->p;
    return wr_reader_fail(reader, WR_ERROR_DECODE, at, "%s, expected %s", wr_leb_status_text(status), what);
}

bool wr_reader_u32_slow(WasmReader *reader, uint32_t *out_value, const char *what)
{
    uint64_t value = 0;
    if (!checked_leb(reader, wr_leb_check_unsigned(&reader->p, reader->end, 32, &value), false, 32, what)) return false;
    *out_value = (uint32_t)value;
    return true;
}

bool wr_reader_u64(WasmReader *reader, uint64_t *out_value, const char *what)
{
    return checked_leb(reader, wr_leb_check_unsigned(&reader->p, reader->end, 64, out_value), false, 64, what);
}

bool wr_reader_signed(WasmReader *reader, unsigned bits, int64_t *out_value, const char *what)
{
    return checked_leb(reader, wr_leb_check_signed(&reader->p, reader->end, bits, out_value), true, bits, what);
}

bool wr_reader_byte(WasmReader *reader, uint8_t *out_byte, const char *what)
{
    if (reader->p >= reader->end) return wr_reader_fail(reader, WR_ERROR_DECODE, reader->end, "unexpected end, expected %s", what);
    *out_byte = *reader->p++;
    return true;
}

bool wr_reader_bytes(WasmReader *reader, size_t count, const uint8_t **out_bytes, const char *what)
{
    if (count > (size_t)(reader->end - reader->p))
        return wr_reader_fail(reader, WR_ERROR_DECODE, reader->end, "unexpected end, expected %zu bytes of %s", count, what);
    *out_bytes = reader->p;
    reader->p += count;
    return true;
}

bool wr_reader_name(WasmReader *reader, WasmSpan *out_name, const char *what)
{
    uint32_t length;
    const uint8_t *at = reader->p, *text;
    if (!wr_reader_u32(reader, &length, "the length of a name")) return false;
    if (length > WR_LIMIT_STRING_BYTES) return wr_reader_fail(reader, WR_ERROR_LIMIT, at, "%s of %u bytes: the limit STRING_BYTES is %u", what, length, WR_LIMIT_STRING_BYTES);
    if (!wr_reader_bytes(reader, length, &text, what)) return false;
    if (!wr_utf8_valid(text, length)) return wr_reader_fail(reader, WR_ERROR_DECODE, text, "malformed UTF-8 encoding in %s", what);
    *out_name = (WasmSpan){(uint32_t)(text - reader->bytes), length};
    return true;
}

bool wr_reader_count(WasmReader *reader, uint32_t limit, const char *limit_name, uint32_t min_bytes, uint32_t *out_count, const char *what)
{
    const uint8_t *at = reader->p;
    uint32_t count;
    if (!wr_reader_u32(reader, &count, what)) return false;
    if (count > limit) return wr_reader_fail(reader, WR_ERROR_LIMIT, at, "%s of %u: the limit %s is %u", what, count, limit_name, limit);
    uint64_t fitting = (uint64_t)(reader->end - reader->p) / min_bytes;
    *out_count = count <= fitting ? count : (uint32_t)fitting + 1;
    return true;
}

/* The feature that brought each abstract heap type: as a value type, `funcref` came with reference types. */
static bool checked_heap_feature(WasmReader *reader, uint32_t heap, const uint8_t *at)
{
    switch (heap) {
    case WR_HEAP_FUNC: case WR_HEAP_EXTERN: return wr_reader_need(reader, WASM_FEATURE_BIT_REFERENCE_TYPES, at, "this reference type");
    case WR_HEAP_EXN: case WR_HEAP_NOEXN: return wr_reader_need(reader, WASM_FEATURE_BIT_EXCEPTIONS, at, "this reference type");
    default: return wr_reader_need(reader, WASM_FEATURE_BIT_GC, at, "this reference type");
    }
}

bool wr_reader_heap_type(WasmReader *reader, ValType *out_type, const char *what)
{
    const uint8_t *at = reader->p;
    int64_t code;
    if (!wr_reader_signed(reader, 33, &code, what)) return false;
    if (code >= 0) {
        if (!wr_reader_need(reader, WASM_FEATURE_BIT_FUNCTION_REFERENCES, at, "a reference to a defined type")) return false;
        if (code >= reader->num_types) return wr_reader_fail(reader, WR_ERROR_VALIDATION, at, "unknown type %lld, expected a type index below %u", (long long)code, reader->num_types);
        *out_type = WR_VT_REF_INDEX(true, reader->module->types[code].canonical);
        return true;
    }
    ValType type = reader->p == at + 1 ? wr_vt_from_code(code) : WR_VALTYPE_BOTTOM;
    if (!wr_vt_is_ref(type)) return wr_reader_fail(reader, WR_ERROR_DECODE, at, "malformed heap type 0x%02x, expected %s", *at, what);
    *out_type = type;
    return checked_heap_feature(reader, wr_vt_heap(type), at);
}

bool wr_reader_valtype(WasmReader *reader, ValType *out_type, const char *what)
{
    const uint8_t *at = reader->p;
    uint8_t code;
    if (!wr_reader_byte(reader, &code, what)) return false;
    switch (code) {
    case 0x7f: *out_type = WR_VALTYPE_I32; return true;
    case 0x7e: *out_type = WR_VALTYPE_I64; return true;
    case 0x7d: *out_type = WR_VALTYPE_F32; return true;
    case 0x7c: *out_type = WR_VALTYPE_F64; return true;
    case 0x7b: *out_type = WR_VALTYPE_V128; return wr_reader_need(reader, WASM_FEATURE_BIT_SIMD, at, "v128");
    case 0x63: case 0x64:
        if (!wr_reader_need(reader, WASM_FEATURE_BIT_FUNCTION_REFERENCES, at, "a typed reference")) return false;
        if (!wr_reader_heap_type(reader, out_type, "a heap type")) return false;
        if (code == 0x64) *out_type &= ~WR_VT_NULLABLE;
        return true;
    default: break;
    }
    ValType type = code < 0x80 ? wr_vt_from_code((int64_t)code - 0x80) : WR_VALTYPE_BOTTOM;
    if (type == WR_VALTYPE_BOTTOM) return wr_reader_fail(reader, WR_ERROR_DECODE, at, "malformed value type 0x%02x, expected %s", code, what);
    *out_type = type;
    return checked_heap_feature(reader, wr_vt_heap(type), at);
}

bool wr_reader_reftype(WasmReader *reader, ValType *out_type, const char *what)
{
    const uint8_t *at = reader->p;
    if (at < reader->end && *at == 0x70) { /* in tables and segments since 1.0 */
        reader->p++;
        *out_type = WR_VALTYPE_FUNCREF;
        return true;
    }
    if (!wr_reader_valtype(reader, out_type, what)) return false;
    if (!wr_vt_is_ref(*out_type)) return wr_reader_fail(reader, WR_ERROR_DECODE, at, "malformed reference type 0x%02x, expected %s", *at, what);
    return true;
}

bool wr_reader_op(WasmReader *reader, WasmOp *out_op)
{
    const uint8_t *at = reader->p;
    uint8_t byte;
    uint32_t code = 0;
    if (!wr_reader_byte(reader, &byte, "an instruction")) return false;
    WasmOp op = (WasmOp)wr_wasm_op_bytes[byte];
    if (op == WASM_OP_INVALID && byte >= 0xfb && byte <= 0xfe) {
        if (!wr_reader_u32(reader, &code, "the code of an instruction")) return false;
        op = wr_wasm_op_prefixed(byte, code);
        if (op == WASM_OP_INVALID) return wr_reader_fail(reader, WR_ERROR_DECODE, at, "illegal opcode 0x%02x 0x%02x, expected an instruction", byte, code);
    }
    if (op == WASM_OP_INVALID) return wr_reader_fail(reader, WR_ERROR_DECODE, at, "illegal opcode 0x%02x, expected an instruction", byte);
    *out_op = op;
    return wr_reader_need(reader, wr_wasm_ops[op].feature_bit, at, wr_wasm_op_names[op]);
}
