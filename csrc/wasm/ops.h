/* The instructions as a dense enum, with one record of facts an instruction; all from the rows of wasm_ops.def. */
#ifndef WR_WASM_OPS_H
#define WR_WASM_OPS_H

#include <stdint.h>

#include "wasm/features.h"
#include "wasm/types.h"

typedef enum WasmOp {
    WASM_OP_INVALID, /* no instruction has this encoding */
#define WASM_OP(name, text, prefix, code, imm, params, results, feature, align) WASM_OP_##name,
#include "wasmrt/wasm_ops.def"
#undef WASM_OP
    WASM_OP_COUNT
} WasmOp;

typedef enum WasmImm {
#define WASM_IMM(name, text) WASM_IMM_##name,
#include "wasmrt/wasm_imms.def"
#undef WASM_IMM
    WASM_IMM_COUNT
} WasmImm;

#define WASM_KIND_ADDRESS 15 /* i32 or i64: the memory says */

typedef struct WasmOpInfo {
    uint8_t imm;         /* WasmImm */
    uint8_t align_log2;  /* natural alignment of memory accesses, size of a lane */
    uint8_t feature_bit; /* WASM_FEATURE_BIT_* */
    uint8_t num_params, num_results; /* letters below; 0 where special */
    uint8_t special;     /* typing that letters cannot say */
    char params[5], results[3];
    uint8_t param_kinds[4], result_kinds[2]; /* the same as WR_KIND_*, which are the value types of numbers; or WASM_KIND_ADDRESS */
} WasmOpInfo;

extern const WasmOpInfo wr_wasm_ops[WASM_OP_COUNT];
extern const char *const wr_wasm_op_names[WASM_OP_COUNT]; /* the text format's */

/* By encoding; WASM_OP_INVALID where there is none. */
extern const uint16_t wr_wasm_op_bytes[256]; /* for 0xFB-0xFE: WASM_OP_INVALID */
WasmOp wr_wasm_op_prefixed(uint32_t prefix, uint32_t code);

#endif
