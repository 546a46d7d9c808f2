/* Unchecked reading: the less frequent immediates. */
#include "wasm/reader.h"

enum { CODE_REF_NULL = -0x1d /* 0x63 */, CODE_REF = -0x1c /* 0x64 */ };

ValType wr_vt_from_code(int64_t code)
{
    switch (code) {
    case -0x01: return WR_VALTYPE_I32;
    case -0x02: return WR_VALTYPE_I64;
    case -0x03: return WR_VALTYPE_F32;
    case -0x04: return WR_VALTYPE_F64;
    case -0x05: return WR_VALTYPE_V128;
    case -0x0c: return WR_VT_REF(true, WR_HEAP_NOEXN);
    case -0x0d: return WR_VT_REF(true, WR_HEAP_NOFUNC);
    case -0x0e: return WR_VT_REF(true, WR_HEAP_NOEXTERN);
    case -0x0f: return WR_VT_REF(true, WR_HEAP_NONE);
    case -0x10: return WR_VALTYPE_FUNCREF;
    case -0x11: return WR_VALTYPE_EXTERNREF;
    case -0x12: return WR_VT_REF(true, WR_HEAP_ANY);
    case -0x13: return WR_VT_REF(true, WR_HEAP_EQ);
    case -0x14: return WR_VT_REF(true, WR_HEAP_I31);
    case -0x15: return WR_VT_REF(true, WR_HEAP_STRUCT);
    case -0x16: return WR_VT_REF(true, WR_HEAP_ARRAY);
    case -0x17: return WR_VT_REF(true, WR_HEAP_EXN);
    default: return WR_VALTYPE_BOTTOM;
    }
}

ValType wr_read_valtype(const uint8_t **cursor)
{
    int64_t code = wr_leb_s64(cursor);
    if (code != CODE_REF && code != CODE_REF_NULL) return wr_vt_from_code(code);
    int64_t heap = wr_leb_s64(cursor);
    bool nullable = code == CODE_REF_NULL;
    return heap >= 0 ? WR_VT_REF_INDEX(nullable, heap) : (wr_vt_from_code(heap) & ~WR_VT_NULLABLE) | (nullable ? WR_VT_NULLABLE : 0);
}

void wr_skip_imm(const uint8_t **cursor, WasmOp op)
{
    switch ((WasmImm)wr_wasm_ops[op].imm) {
    case WASM_IMM_NONE: case WASM_IMM_COUNT: return;
    case WASM_IMM_LABEL: case WASM_IMM_LOCAL: case WASM_IMM_GLOBAL: case WASM_IMM_FUNC: case WASM_IMM_TYPE: case WASM_IMM_TAG: case WASM_IMM_TABLE:
    case WASM_IMM_MEMORY: case WASM_IMM_I32: case WASM_IMM_I64: case WASM_IMM_HEAP_TYPE: case WASM_IMM_DATA: case WASM_IMM_ELEM:
        wr_leb_skip(cursor);
        return;
    case WASM_IMM_CALL_INDIRECT: case WASM_IMM_DATA_MEMORY: case WASM_IMM_MEMORY_MEMORY: case WASM_IMM_ELEM_TABLE: case WASM_IMM_TABLE_TABLE:
    case WASM_IMM_TYPE_FIELD: case WASM_IMM_TYPE_COUNT: case WASM_IMM_TYPE_TYPE: case WASM_IMM_TYPE_DATA: case WASM_IMM_TYPE_ELEM:
        wr_leb_skip(cursor);
        wr_leb_skip(cursor);
        return;
    case WASM_IMM_BLOCK: wr_read_valtype(cursor); return; /* the same bytes, or an index */
    case WASM_IMM_LABELS:
        for (uint32_t left = wr_leb_u32(cursor) + 1; left; left--) wr_leb_skip(cursor);
        return;
    case WASM_IMM_SELECT_TYPES:
        for (uint32_t left = wr_leb_u32(cursor); left; left--) wr_read_valtype(cursor);
        return;
    case WASM_IMM_TRY_TABLE:
        wr_read_valtype(cursor);
        for (uint32_t left = wr_leb_u32(cursor); left; left--) {
            uint8_t kind = *(*cursor)++;
            if (kind < 2) wr_leb_skip(cursor);
            wr_leb_skip(cursor);
        }
        return;
    case WASM_IMM_BR_CAST:
        ++*cursor;
        for (int i = 0; i < 3; i++) wr_leb_skip(cursor);
        return;
    case WASM_IMM_MEMARG: wr_read_memarg(cursor); return;
    case WASM_IMM_MEMARG_LANE:
        wr_read_memarg(cursor);
        ++*cursor;
        return;
    case WASM_IMM_LANE: case WASM_IMM_ZERO: ++*cursor; return;
    case WASM_IMM_F32: *cursor += 4; return;
    case WASM_IMM_F64: *cursor += 8; return;
    case WASM_IMM_SHUFFLE: case WASM_IMM_V128: *cursor += 16; return;
    }
}
