/* Reading instructions. The first pass (validate.c) uses the checked forms; the second (compilers, disassembler) reads bytes that passed validation and
 * uses the unchecked ones: no bounds, no error path. Both find an instruction through the same tables.
 *
 * Unchecked use:
 *     const uint8_t *p = body;
 *     WasmOp op = wr_read_op(&p);
 *     switch (op) { case WASM_OP_LOCAL_GET: local = wr_leb_u32(&p); ... default: wr_skip_imm(&p, op); } */
#ifndef WR_WASM_READER_H
#define WR_WASM_READER_H

#include <string.h>

#include "base/leb128.h"
#include "wasm/ops.h"
#include "wasm/types.h"

typedef struct WasmMemArg {
    uint32_t align_log2;
    uint32_t memory;
    uint64_t offset;
} WasmMemArg;

#define WASM_MEMARG_HAS_MEMORY 0x40u

#define WASM_BLOCK_EMPTY INT64_C(-64) /* 0x40 as an s33 */

static inline WasmOp wr_read_op(const uint8_t **cursor)
{
    uint32_t byte = *(*cursor)++;
    WasmOp op = (WasmOp)wr_wasm_op_bytes[byte];
    if (__builtin_expect(op != WASM_OP_INVALID, 1)) return op;
    return wr_wasm_op_prefixed(byte, wr_leb_u32(cursor));
}

static inline WasmMemArg wr_read_memarg(const uint8_t **cursor)
{
    WasmMemArg arg = {0};
    uint32_t flags = wr_leb_u32(cursor);
    if (flags & WASM_MEMARG_HAS_MEMORY) arg.memory = wr_leb_u32(cursor);
    arg.align_log2 = flags & ~WASM_MEMARG_HAS_MEMORY;
    arg.offset = wr_leb_u64(cursor);
    return arg;
}

/* WASM_BLOCK_EMPTY, >= 0: a type index, else a value type (see wr_vt_from_code). */
static inline int64_t wr_read_block_type(const uint8_t **cursor) { return wr_leb_s64(cursor); }

static inline uint32_t wr_read_f32_bits(const uint8_t **cursor)
{
    uint32_t bits;
    memcpy(&bits, *cursor, 4);
    *cursor += 4;
    return bits;
}

static inline uint64_t wr_read_f64_bits(const uint8_t **cursor)
{
    uint64_t bits;
    memcpy(&bits, *cursor, 8);
    *cursor += 8;
    return bits;
}

/* A value type; also the bytes after a reference type's 0x63/0x64. */
ValType wr_read_valtype(const uint8_t **cursor);
/* Moves behind the immediates of `op`. */
void wr_skip_imm(const uint8_t **cursor, WasmOp op);

/* The value type whose one-byte code, as a signed LEB128 (0x7f = -1), is `code`; WR_VALTYPE_BOTTOM if there is none. */
ValType wr_vt_from_code(int64_t code);

#endif
