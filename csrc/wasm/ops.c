/* Expands the rows of wasm_ops.def into tables. */
#include "wasm/ops.h"

#define LETTERS(string) (uint8_t)((string)[0] == '*' ? 0 : sizeof(string) - 1)

#define LETTER(string, i) ((i) + 1 < sizeof(string) ? (string)[(i) + 1 < sizeof(string) ? (i) : 0] : 0)
#define KIND_OF(letter) \
    (uint8_t)((letter) == 'i' ? WR_KIND_I32 : (letter) == 'l' ? WR_KIND_I64 : (letter) == 'f' ? WR_KIND_F32 : (letter) == 'd' ? WR_KIND_F64 \
              : (letter) == 'v' ? WR_KIND_V128 : (letter) == 'a' ? WASM_KIND_ADDRESS : 0)
#define KIND(string, i) KIND_OF(LETTER(string, i))

const WasmOpInfo wr_wasm_ops[WASM_OP_COUNT] = {
#define WASM_OP(name, text, prefix, code, imm_kind, param_letters, result_letters, feature, align) \
    [WASM_OP_##name] = { \
        .imm = WASM_IMM_##imm_kind, .align_log2 = align, .feature_bit = WASM_FEATURE_BIT_##feature, .num_params = LETTERS(param_letters), \
        .num_results = LETTERS(result_letters), .special = (param_letters)[0] == '*' || (result_letters)[0] == '*', .params = param_letters, \
        .results = result_letters, .param_kinds = {KIND(param_letters, 0), KIND(param_letters, 1), KIND(param_letters, 2), KIND(param_letters, 3)}, \
        .result_kinds = {KIND(result_letters, 0), KIND(result_letters, 1)}},
#include "wasmrt/wasm_ops.def"
#undef WASM_OP
};

const char *const wr_wasm_op_names[WASM_OP_COUNT] = {
    [WASM_OP_INVALID] = "(invalid)",
#define WASM_OP(name, text, prefix, code, imm, params, results, feature, align) [WASM_OP_##name] = text,
#include "wasmrt/wasm_ops.def"
#undef WASM_OP
};

/* One table a prefix: a row expands to its entry in the table of its prefix and to nothing in the others. */
#define WASM_OP(name, text, prefix, code, imm, params, results, feature, align) ROW_##prefix(code, WASM_OP_##name)
#define ROW_0x00(code, op) [code] = op,
#define ROW_0xFB(code, op)
#define ROW_0xFC(code, op)
#define ROW_0xFD(code, op)
#define ROW_0xFE(code, op)
const uint16_t wr_wasm_op_bytes[256] = {
#include "wasmrt/wasm_ops.def"
};
#undef ROW_0x00
#define ROW_0x00(code, op)
#undef ROW_0xFB
#define ROW_0xFB(code, op) [code] = op,
static const uint16_t ops_fb[] = {
#include "wasmrt/wasm_ops.def"
};
#undef ROW_0xFB
#define ROW_0xFB(code, op)
#undef ROW_0xFC
#define ROW_0xFC(code, op) [code] = op,
static const uint16_t ops_fc[] = {
#include "wasmrt/wasm_ops.def"
};
#undef ROW_0xFC
#define ROW_0xFC(code, op)
#undef ROW_0xFD
#define ROW_0xFD(code, op) [code] = op,
static const uint16_t ops_fd[] = {
#include "wasmrt/wasm_ops.def"
};
#undef ROW_0xFD
#define ROW_0xFD(code, op)
#undef ROW_0xFE
#define ROW_0xFE(code, op) [code] = op,
static const uint16_t ops_fe[] = {
#include "wasmrt/wasm_ops.def"
};
#undef WASM_OP

WasmOp wr_wasm_op_prefixed(uint32_t prefix, uint32_t code)
{
#define LOOK_UP(table) (code < sizeof table / sizeof table[0] ? (WasmOp)table[code] : WASM_OP_INVALID)
    switch (prefix) {
    case 0xfb: return LOOK_UP(ops_fb);
    case 0xfc: return LOOK_UP(ops_fc);
    case 0xfd: return LOOK_UP(ops_fd);
    case 0xfe: return LOOK_UP(ops_fe);
    default: return WASM_OP_INVALID;
    }
#undef LOOK_UP
}

const char *wr_wasm_feature_text(unsigned bit)
{
    switch (bit) {
#define WASM_FEATURE(name, number, attribute, default_on, compiled) \
    case number: return (attribute)[0] ? "Config." attribute : #name;
#include "wasmrt/features.def"
#undef WASM_FEATURE
    default: return "an unknown feature";
    }
}
