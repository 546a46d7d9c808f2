/* What decoding leaves in the flat arrays: folded constants, canonical types, escape indices; and what validation gathers. */
#include "check.h"
#include "wasm/reader.h"
#include "wasm/validate.h"

#define HEADER 0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00
#define MODULE(...) ((const uint8_t[]){HEADER, __VA_ARGS__}), sizeof((const uint8_t[]){HEADER, __VA_ARGS__})

static WrError error;

/* Static, since compound literals live as long as the caller's block. */
static WasmModule *decode(const uint8_t *bytes, size_t num_bytes)
{
    WasmModule *module = NULL;
    error = (WrError){0};
    wr_module_decode(bytes, num_bytes, WASM_FEATURES_ALL, &module, &error);
    return module;
}

static bool validate(const WasmModule *module, WasmFuncInfo *info)
{
    WasmValidateScratch *scratch = wr_validate_scratch_new();
    REQUIRE(scratch);
    bool valid = true;
    error = (WrError){0};
    for (uint32_t i = module->num_imported_funcs; valid && i < module->num_funcs; i++) valid = wr_func_validate(module, i, info, scratch, &error);
    wr_validate_scratch_free(scratch);
    return valid;
}

/* globals: i32.const 6; i32.const 6 + i32.const 7 (folded); global.get 0; global.get 0 * 3 (kept as an expression) */
static void constants_are_folded(void)
{
    WasmModule *m = decode(MODULE(0x06, 0x1d, 0x04, 0x7f, 0x00, 0x41, 0x06, 0x0b, 0x7f, 0x00, 0x41, 0x06, 0x41, 0x07, 0x6a, 0x0b, 0x7f, 0x00, 0x23, 0x00, 0x0b, 0x7f, 0x00, 0x23, 0x00,
                                  0x41, 0x03, 0x6c, 0x0b, 0x00, 0x01, 0x00));
    CHECK(m == NULL);
    CHECK_CONTAINS(error.message, "section size mismatch");
    m = decode(MODULE(0x06, 0x1b, 0x04, 0x7f, 0x00, 0x41, 0x06, 0x0b, 0x7f, 0x00, 0x41, 0x06, 0x41, 0x07, 0x6a, 0x0b, 0x7f, 0x00, 0x23, 0x00, 0x0b, 0x7f, 0x00, 0x23, 0x00, 0x41, 0x03,
                      0x6c, 0x0b));
    REQUIRE(m);
    CHECK_EQ(m->globals[0].init.kind, WASM_CONST_BITS);
    CHECK_EQ(m->globals[1].init.kind, WASM_CONST_BITS);
    CHECK_EQ(m->globals[1].init.bits[0], 13);
    CHECK_EQ(m->globals[2].init.kind, WASM_CONST_GLOBAL);
    CHECK_EQ(m->globals[3].init.kind, WASM_CONST_EXPR);
    CHECK_EQ(m->globals[3].init.expr.length, 5);
    CHECK_EQ(m->bytes[m->globals[3].init.expr.offset], 0x23);
    wr_module_free(m);
}

/* Types: (func), (func (param i32)), (func), rec {(func (result (ref 3)))}, rec {(func (result (ref 4)))}, (func (result (ref func))), (func (result (ref 0))) */
static void equal_types_share_a_canonical_one(void)
{
    WasmModule *m = decode(MODULE(0x01, 0x21, 0x07, 0x60, 0x00, 0x00, 0x60, 0x01, 0x7f, 0x00, 0x60, 0x00, 0x00, 0x4e, 0x01, 0x60, 0x00, 0x01, 0x64, 0x03, 0x60, 0x00, 0x01, 0x64, 0x04, 0x60,
                                  0x00, 0x01, 0x64, 0x70, 0x60, 0x00, 0x01, 0x64, 0x00));
    REQUIRE(m);
    CHECK_EQ(m->types[1].canonical, 1);
    CHECK_EQ(m->types[2].canonical, 0);
    CHECK_EQ(m->types[4].canonical, 3); /* recursion is by position */
    CHECK_EQ(m->valtypes[m->types[4].func.results], WR_VT_REF_INDEX(false, 3));
    CHECK_EQ(m->types[5].canonical, 5); /* `func` is not type 0, though both are heap type 0 */
    CHECK_EQ(m->types[6].canonical, 6);
    wr_module_free(m);
}

/* Three functions: 0 is exported, 1 is not, 2 is the start function and refers to 1 and to itself. */
static void functions_escape_when_named(void)
{
    static const uint8_t bytes[] = {HEADER, 0x01, 0x04, 0x01, 0x60, 0x00, 0x00, 0x03, 0x04, 0x03, 0x00, 0x00, 0x00, 0x07, 0x05, 0x01, 0x01, 'f', 0x00, 0x00, 0x08, 0x01, 0x02,
                                    0x0a, 0x0d, 0x03, 0x02, 0x00, 0x0b, 0x02, 0x00, 0x0b, 0x05, 0x00, 0xd2, 0x00, 0x1a, 0x0b};
    uint8_t copy[sizeof bytes];
    WasmModule *m = decode(bytes, sizeof bytes);
    REQUIRE(m);
    CHECK_EQ(m->funcs[0].escape_index, 0);
    CHECK_EQ(m->funcs[1].escape_index, UINT32_MAX);
    CHECK_EQ(m->funcs[2].escape_index, 1);
    CHECK_EQ(m->num_escaped_funcs, 2);
    CHECK(validate(m, NULL)); /* no value types at all: nothing is compared with a null array */
    wr_module_free(m);
    for (uint8_t func = 1; func <= 2; func++) { /* undeclared; the start function only starts */
        memcpy(copy, bytes, sizeof bytes);
        copy[sizeof bytes - 3] = func;
        m = decode(copy, sizeof copy);
        REQUIRE(m);
        CHECK(!validate(m, NULL));
        CHECK_CONTAINS(error.message, "undeclared function reference");
        CHECK_EQ(error.func_index, 2);
        CHECK_EQ(error.offset, sizeof bytes - 4);
        wr_module_free(m);
    }
}

/* (func (param i32) (local i32) loop: local.get 0, local.set 1, br_if 0 (local.get 1)  end, call 0 (local.get 1)) */
static void validation_gathers(void)
{
    static const uint8_t bytes[] = {HEADER, 0x01, 0x05, 0x01, 0x60, 0x01, 0x7f, 0x00, 0x03, 0x02, 0x01, 0x00, 0x0a, 0x15, 0x01, 0x13, 0x01, 0x01, 0x7f, 0x03, 0x40,
                                    0x20, 0x00, 0x21, 0x01, 0x20, 0x01, 0x0d, 0x00, 0x0b, 0x20, 0x01, 0x10, 0x00, 0x0b};
    WasmModule *m = decode(bytes, sizeof bytes);
    REQUIRE(m);
    WasmFuncInfo info;
    wr_func_info_init(&info);
    REQUIRE(validate(m, &info));
    CHECK_EQ(info.num_locals, 2);
    CHECK_EQ(info.num_params, 1);
    CHECK_EQ(info.local_types[1], WR_VALTYPE_I32);
    CHECK_EQ(bytes[info.code_start], 0x03);
    CHECK_EQ(info.max_stack, 1);
    CHECK_EQ(info.max_depth, 2);
    CHECK_EQ(info.num_blocks, 1);
    CHECK_EQ(info.blocks[0].kind, WASM_GATHER_LOOP);
    CHECK_EQ(info.blocks[0].num_branches, 1);
    CHECK_EQ(info.blocks[0].assigned, 2);
    CHECK_EQ(info.blocks[0].num_weights, 2);
    CHECK_EQ(info.weights[0].local, 1);
    CHECK_EQ(info.weights[0].weight, 2);
    CHECK_EQ(info.call_weight, 1);
    wr_func_info_free(&info);
    wr_module_free(m);
}

/* The operand stack moves as it grows: (func 300 times i32.const 0, then drop, twice over) */
static void deepest_stack_is_counted(void)
{
    enum { PUSHES = 300, BODY = 2 + 2 * 3 * PUSHES };
    static uint8_t bytes[27 + BODY] = {HEADER, 0x01, 0x04, 0x01, 0x60, 0x00, 0x00, 0x03, 0x02, 0x01, 0x00, 0x0a, ((BODY + 3) & 0x7f) | 0x80, (BODY + 3) >> 7, 0x01, (BODY & 0x7f) | 0x80, BODY >> 7};
    uint8_t *p = bytes + 24;
    *p++ = 0x00;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < PUSHES; i++, p += 2) p[0] = 0x41;
        for (int i = 0; i < PUSHES; i++) *p++ = 0x1a;
    }
    *p++ = 0x0b;
    WasmModule *m = decode(bytes, (size_t)(p - bytes));
    REQUIRE(m);
    WasmFuncInfo info;
    wr_func_info_init(&info);
    REQUIRE(validate(m, &info));
    CHECK_EQ(info.max_stack, PUSHES);
    wr_func_info_free(&info);
    wr_module_free(m);
}

/* A count that no file of this size can hold is refused before room is made for it. */
static void counts_are_bounded_by_bytes(void)
{
    static const uint8_t ids[] = {1, 2, 3, 4, 5, 6, 7, 9, 11};
    for (size_t i = 0; i < sizeof ids; i++) {
        const uint8_t bytes[] = {HEADER, ids[i], 0x03, 0xa0, 0x8d, 0x06}; /* 100,000 */
        CHECK(!decode(bytes, sizeof bytes));
        CHECK(error.kind == WR_ERROR_DECODE || error.kind == WR_ERROR_LIMIT);
        const uint8_t huge[] = {HEADER, ids[i], 0x05, 0xff, 0xff, 0xff, 0xff, 0x0f};
        CHECK(!decode(huge, sizeof huge));
        CHECK_EQ(error.kind, WR_ERROR_LIMIT);
        CHECK_EQ(error.offset, 10);
    }
}

/* The unchecked reader steps over what the validator accepted. */
static void unchecked_reader_keeps_step(void)
{
    static const uint8_t code[] = {0x02, 0x40, 0x0e, 0x02, 0x00, 0x00, 0x00, 0x0b, 0x28, 0x42, 0x01, 0x80, 0x01, 0xfd, 0x54, 0x00, 0x04, 0x03, 0xfd, 0x0c, 1, 2, 3, 4, 5, 6, 7, 8, 9,
                                   10, 11, 12, 13, 14, 15, 16, 0xfc, 0x0a, 0x01, 0x80, 0x00, 0x1c, 0x01, 0x63, 0x70, 0xfd, 0x93, 0x02, 0x42, 0x80, 0x80, 0x7e, 0x0b};
    static const WasmOp ops[] = {WASM_OP_BLOCK, WASM_OP_BR_TABLE, WASM_OP_END, WASM_OP_I32_LOAD, WASM_OP_V128_LOAD8_LANE, WASM_OP_V128_CONST, WASM_OP_MEMORY_COPY,
                                 WASM_OP_SELECT_T, WASM_OP_I32X4_RELAXED_DOT_I8X16_I7X16_ADD_S, WASM_OP_I64_CONST, WASM_OP_END};
    const uint8_t *p = code;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        WasmOp op = wr_read_op(&p);
        CHECK_EQ(op, ops[i]);
        wr_skip_imm(&p, op);
    }
    CHECK_EQ(p - code, sizeof code);
    const uint8_t *memarg = code + 9;
    WasmMemArg arg = wr_read_memarg(&memarg);
    CHECK_EQ(arg.align_log2, 2);
    CHECK_EQ(arg.memory, 1);
    CHECK_EQ(arg.offset, 128);
}

int main(void)
{
    RUN(constants_are_folded);
    RUN(equal_types_share_a_canonical_one);
    RUN(functions_escape_when_named);
    RUN(validation_gathers);
    RUN(deepest_stack_is_counted);
    RUN(counts_are_bounded_by_bytes);
    RUN(unchecked_reader_keeps_step);
    return check_result();
}
