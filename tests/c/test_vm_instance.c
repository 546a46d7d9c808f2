/* Linking and instantiating: type checks of imports and what their errors say, constant expressions, segments and their traps, exports. No machine
 * code runs, so each function is a mere `ret`. The modules' bytes are those of the text above them. */
#include "check.h"

#include "os/pages.h"
#include "tramp/tramp.h"
#include "vm/objects.h"

/* (module (func $f (export "f") (param i32) (result i32) local.get 0) (func (export "h")) (func)
 *   (table (export "t") 10 20 funcref) (memory (export "m") 1 2) (global (export "g") i32 (i32.const 7))
 *   (global (export "mg") (mut i64) (i64.const -5)) (global (export "fr") funcref (ref.func $f))) */
static const uint8_t exporter[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 1, 9, 2, 96, 1, 127, 1, 127, 96, 0, 0, 3, 4, 3, 0, 1, 1, 4, 5, 1, 112, 1, 10, 20, 5, 4, 1, 1, 1, 2, 6, 16, 3, 127, 0, 65,
    7, 11, 126, 1, 66, 123, 11, 112, 0, 210, 0, 11, 7, 31, 7, 1, 102, 0, 0, 1, 104, 0, 1, 1, 116, 1, 0, 1, 109, 2, 0, 1, 103, 3, 0, 2, 109, 103, 3, 1, 2,
    102, 114, 3, 2, 10, 12, 3, 4, 0, 32, 0, 11, 2, 0, 11, 2, 0, 11, 0, 11, 4, 110, 97, 109, 101, 1, 4, 1, 0, 1, 102,
};
/* (module (import "e" "f" (func $f (param i32) (result i32))) (import "e" "t" (table $t 10 20 funcref)) (import "e" "m" (memory 1 2))
 *   (import "e" "g" (global $g i32)) (import "e" "mg" (global (mut i64))) (import "e" "fr" (global $fr funcref))
 *   (func $own) (export "f" (func $f)) (export "t" (table $t)) (export "m" (memory 0)) (export "g" (global $g)) (export "own" (func $own))
 *   (global (export "sum") i32 (i32.sub (i32.add (global.get $g) (i32.const 3)) (i32.const 11)))
 *   (global (export "product") i64 (i64.mul (i64.const -2) (i64.add (i64.const 9) (i64.const 12))))
 *   (global (export "copy") funcref (global.get $fr)) (global (export "null") externref (ref.null extern))
 *   (global (export "double") f64 (f64.const 1.5))
 *   (elem (i32.const 2) func $f $own) (elem (table $t) (i32.add (global.get $g) (i32.const 1)) funcref (ref.null func) (global.get $fr))
 *   (data (i32.const 5) "hello") (data (i32.mul (global.get $g) (i32.const 2)) "x") (start $own)) */
static const uint8_t importer[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 1, 9, 2, 96, 1, 127, 1, 127, 96, 0, 0, 2, 47, 6, 1, 101, 1, 102, 0, 0, 1, 101, 1, 116, 1, 112, 1, 10, 20, 1, 101, 1, 109,
    2, 1, 1, 2, 1, 101, 1, 103, 3, 127, 0, 1, 101, 2, 109, 103, 3, 126, 1, 1, 101, 2, 102, 114, 3, 112, 0, 3, 2, 1, 1, 6, 45, 5, 127, 0, 35, 0, 65, 3,
    106, 65, 11, 107, 11, 126, 0, 66, 126, 66, 9, 66, 12, 124, 126, 11, 112, 0, 35, 2, 11, 111, 0, 208, 111, 11, 124, 0, 68, 0, 0, 0, 0, 0, 0, 248, 63,
    11, 7, 62, 10, 1, 102, 0, 0, 1, 116, 1, 0, 1, 109, 2, 0, 1, 103, 3, 0, 3, 111, 119, 110, 0, 1, 3, 115, 117, 109, 3, 3, 7, 112, 114, 111, 100, 117, 99,
    116, 3, 4, 4, 99, 111, 112, 121, 3, 5, 4, 110, 117, 108, 108, 3, 6, 6, 100, 111, 117, 98, 108, 101, 3, 7, 8, 1, 1, 9, 24, 2, 0, 65, 2, 11, 2, 0, 1, 6,
    0, 35, 0, 65, 1, 106, 11, 112, 2, 208, 112, 11, 35, 2, 11, 10, 4, 1, 2, 0, 11, 11, 20, 2, 0, 65, 5, 11, 5, 104, 101, 108, 108, 111, 0, 35, 0, 65, 2,
    108, 11, 1, 120, 0, 32, 4, 110, 97, 109, 101, 1, 9, 2, 0, 1, 102, 1, 3, 111, 119, 110, 5, 4, 1, 0, 1, 116, 7, 8, 2, 0, 1, 103, 2, 2, 102, 114,
};
/* (module (import "e" "f" (func (param i64) (result i32 f64)))) */
static const uint8_t wants_other_func[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 1, 126, 2, 127, 124, 2, 7, 1, 1, 101, 1, 102, 0, 0,
};
/* (module (import "e" "f" (global i32))) */
static const uint8_t wants_global[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 2, 8, 1, 1, 101, 1, 102, 3, 127, 0,
};
/* (module (import "e" "t" (table 11 funcref))) */
static const uint8_t wants_large_table[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 2, 9, 1, 1, 101, 1, 116, 1, 112, 0, 11,
};
/* (module (import "e" "t" (table 1 19 funcref))) */
static const uint8_t wants_bounded_table[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 2, 10, 1, 1, 101, 1, 116, 1, 112, 1, 1, 19,
};
/* (module (import "e" "t" (table 1 externref))) */
static const uint8_t wants_extern_table[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 2, 9, 1, 1, 101, 1, 116, 1, 111, 0, 1,
};
/* (module (import "e" "m" (memory 2))) */
static const uint8_t wants_large_memory[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 2, 8, 1, 1, 101, 1, 109, 2, 0, 2,
};
/* (module (import "e" "m" (memory 1 1))) */
static const uint8_t wants_bounded_memory[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 2, 9, 1, 1, 101, 1, 109, 2, 1, 1, 1,
};
/* (module (import "e" "g" (global (mut i32)))) */
static const uint8_t wants_mutable[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 2, 8, 1, 1, 101, 1, 103, 3, 127, 1,
};
/* (module (import "e" "g" (global i64))) */
static const uint8_t wants_i64[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 2, 8, 1, 1, 101, 1, 103, 3, 126, 0,
};
/* (module (import "e" "m" (memory 0))) */
static const uint8_t wants_any_memory[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 2, 8, 1, 1, 101, 1, 109, 2, 0, 0,
};
/* (module (import "e" "t" (table 10 funcref)) (import "e" "m" (memory 1)) (func $f) (elem (i32.const 0) func $f) (elem (i32.const 9) func $f $f) (data (i32.const 0) "never")) */
static const uint8_t elem_too_far[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 2, 16, 2, 1, 101, 1, 116, 1, 112, 0, 10, 1, 101, 1, 109, 2, 0, 1, 3, 2, 1, 0, 9, 14, 2, 0, 65, 0, 11,
    1, 0, 0, 65, 9, 11, 2, 0, 0, 10, 4, 1, 2, 0, 11, 11, 11, 1, 0, 65, 0, 11, 5, 110, 101, 118, 101, 114, 0, 11, 4, 110, 97, 109, 101, 1, 4, 1, 0, 1, 102,
};
/* (module (import "e" "t" (table 10 funcref)) (import "e" "m" (memory 1)) (func $f) (elem (i32.const 1) func $f) (data (i32.const 0) "first") (data (i32.const -1) "z") (data (i32.const 9) "never")) */
static const uint8_t data_too_far[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 2, 16, 2, 1, 101, 1, 116, 1, 112, 0, 10, 1, 101, 1, 109, 2, 0, 1, 3, 2, 1, 0, 9, 7, 1, 0, 65, 1, 11,
    1, 0, 10, 4, 1, 2, 0, 11, 11, 27, 3, 0, 65, 0, 11, 5, 102, 105, 114, 115, 116, 0, 65, 127, 11, 1, 122, 0, 65, 9, 11, 5, 110, 101, 118, 101, 114, 0,
    11, 4, 110, 97, 109, 101, 1, 4, 1, 0, 1, 102,
};
/* (module (memory (export "m") 1) (table (export "t") 4 funcref) (table $own 2 funcref) (func $a) (func $b) (elem func $a $b) (elem declare func $a) (elem funcref (ref.func $b) (ref.null func)) (data "passive") (data (i32.const 65536) "") (elem (i32.const 4) func) (export "a" (func $a)) (export "b" (func $b))) */
static const uint8_t segments[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 3, 2, 0, 0, 4, 7, 2, 112, 0, 4, 112, 0, 2, 5, 3, 1, 0, 1, 7, 17, 4, 1, 109, 2, 0, 1, 116, 1, 0, 1,
    97, 0, 0, 1, 98, 0, 1, 9, 24, 4, 1, 0, 2, 0, 1, 3, 0, 1, 0, 5, 112, 2, 210, 1, 11, 208, 112, 11, 0, 65, 4, 11, 0, 10, 7, 2, 2, 0, 11, 2, 0, 11, 11,
    17, 2, 1, 7, 112, 97, 115, 115, 105, 118, 101, 0, 65, 128, 128, 4, 11, 0, 0, 22, 4, 110, 97, 109, 101, 1, 7, 2, 0, 1, 97, 1, 1, 98, 5, 6, 1, 1, 3,
    111, 119, 110,
};
/* (module (memory 1) (memory 1) (memory 65536)) */
static const uint8_t hungry[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 5, 9, 3, 0, 1, 0, 1, 0, 128, 128, 4,
};
/* (module (memory (export "a") 1) (memory (export "b") 2) (data (memory 1) (i32.const 3) "second")) */
static const uint8_t many_memories[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 5, 5, 2, 0, 1, 0, 2, 7, 9, 2, 1, 97, 2, 0, 1, 98, 2, 1, 11, 13, 1, 2, 1, 65, 3, 11, 6, 115, 101, 99, 111, 110, 100,
};

#define MANY (WASM_FEATURES_DEFAULT | WASM_FEATURE_MULTI_MEMORY | WASM_FEATURE_EXTENDED_CONST)

static WrTypeRegistry *registry;
static WrStore *store;
static WrError error;

static FunctionLoc emitted(Asm *as, bool ok)
{
    REQUIRE(ok);
    return (FunctionLoc){ as->function_offset, x64_offset(as) - as->function_offset };
}

static WrSignature signature_of(const WasmModule *module, uint32_t type)
{
    const WasmFuncType *func = &module->types[type].func;
    return (WrSignature){ module->valtypes + func->params, func->num_params, module->valtypes + func->results, func->num_results };
}

static CodeMemory *compile(const uint8_t *bytes, size_t num_bytes)
{
    const WrTunables tunables = { .cpu_features = X64_CPU_BASELINE, .memory_reservation = UINT64_C(1) << 32, .memory_guard_bytes = 1 << 25,
                                  .guarded_memories = 1, .signals_based_traps = 1, .interruptible = 1 };
    WasmModule *module = NULL;
    Asm as;
    CodeMemory *code = NULL;
    FunctionLoc funcs[8], array_calls[8], host_calls[8];
    CompiledModule compiled = { .funcs = funcs, .array_calls = array_calls, .host_calls = host_calls };
    error = (WrError){ 0 };
    if (!wr_module_decode(bytes, num_bytes, MANY, &module, &error)) CHECK_FAIL("%s", error.message);
    REQUIRE(module != NULL && module->num_funcs <= 8 && module->num_types <= 8);
    wr_x64_asm_init(&as, X64_CPU_BASELINE);
    for (uint32_t i = module->num_imported_funcs; i < module->num_funcs; i++) {
        wr_x64_room(&as, CODE_MARK_BYTES);
        wr_x64_function_begin(&as);
        x64_ret(&as);
        funcs[compiled.num_funcs++] = emitted(&as, wr_x64_function_end(&as) == X64_OK);
    }
    for (uint32_t i = module->num_imported_funcs; i < module->num_funcs; i++) {
        if (module->funcs[i].escape_index == UINT32_MAX) continue;
        WrSignature signature = signature_of(module, module->funcs[i].type_index);
        FunctionLoc body = emitted(&as, wr_tramp_emit_entry(&as, &signature));
        wr_x64_room(&as, CODE_MARK_BYTES);
        array_calls[compiled.num_array_calls++] = emitted(&as, wr_tramp_emit_entry_stub(&as, body.start, funcs[i - module->num_imported_funcs].start));
    }
    for (uint32_t i = 0; i < module->num_types; i++) {
        WrSignature signature = signature_of(module, i);
        wr_x64_room(&as, CODE_MARK_BYTES);
        host_calls[compiled.num_host_calls++] = emitted(&as, wr_tramp_emit_host_call(&as, &signature));
    }
    compiled.text = as.code.start;
    compiled.text_bytes = x64_offset(&as);
    const WasmModule *modules[] = { module };
    const CompiledModule *all[] = { &compiled };
    WrImageInput input = { .kind = WR_IMAGE_MODULE, .tunables = &tunables, .wasm_features = MANY, .modules = modules, .compiled = all, .num_modules = 1 };
    bool built = wr_image_build(&input, &code, &error);
    if (!built) CHECK_FAIL("%s", error.message);
    REQUIRE(built);
    wr_module_free(module);
    wr_x64_asm_free(&as);
    return code;
}

/* NULL: `error` says why. */
static WrInstance *instantiate(const uint8_t *bytes, size_t num_bytes, const WrExtern *imports, size_t num_imports)
{
    CodeMemory *code = compile(bytes, num_bytes);
    const uint32_t *ids;
    WrInstance *instance = NULL;
    REQUIRE(wr_types_register_module(registry, wr_code_module(code, 0, NULL), &ids, &error));
    bool ok = wr_instance_new(store, code, 0, ids, imports, num_imports, &instance, &error);
    CHECK_EQ(ok, instance != NULL);
    CHECK_EQ(ok, error.kind == WR_ERROR_NONE);
    wr_code_release(code); /* the instance holds it */
    return instance;
}
#define INSTANTIATE(name, ...) \
    instantiate(name, sizeof name, (const WrExtern[]){ __VA_ARGS__ }, sizeof((const WrExtern[]){ __VA_ARGS__ }) / sizeof(WrExtern))
#define INSTANTIATE_ALONE(name) instantiate(name, sizeof name, NULL, 0)

static WrExtern exported(WrInstance *instance, const char *name)
{
    WrExtern found = { 0 };
    bool ok = wr_instance_export(instance, name, strlen(name), &found);
    if (!ok) CHECK_FAIL("no export %s", name);
    REQUIRE(ok);
    return found;
}

static ValRaw value_of(WrInstance *instance, const char *name) { return wr_global_def(exported(instance, name).global)->value; }

static WrInstance *base;
static WrExtern f, t, m, g, mg, fr;

static void exports(void)
{
    base = INSTANTIATE_ALONE(exporter);
    REQUIRE(base != NULL);
    f = exported(base, "f"), t = exported(base, "t"), m = exported(base, "m"), g = exported(base, "g"), mg = exported(base, "mg"), fr = exported(base, "fr");
    CHECK_EQ(f.kind, WASM_EXTERN_FUNC);
    CHECK_EQ(vm_header(f.func->vmctx)->magic, WR_VMCTX_MAGIC_CORE);
    CHECK(f.func->vmctx == wr_instance_vmctx(base));
    uintptr_t start, end;
    wr_code_text_range(base->code, &start, &end);
    CHECK((uintptr_t)f.func->array_call >= start && (uintptr_t)f.func->array_call < end);
    CHECK((uintptr_t)f.func->wasm_call >= start && (uintptr_t)f.func->wasm_call < end);
    CHECK_EQ(wr_table_def(t.table)->length, 10);
    CHECK_EQ(wr_memory_def(m.memory)->length_bytes, 65536);
    CHECK_EQ(value_of(base, "g").i32, 7);
    CHECK_EQ(value_of(base, "mg").i64, -5);
    CHECK(value_of(base, "fr").ref == f.func);
    WrExtern again = exported(base, "f"), none;
    CHECK(again.func == f.func);
    CHECK(!wr_instance_export(base, "F", 1, &none));
    CHECK(!wr_instance_export(base, "", 0, &none));
    CHECK(!wr_instance_export_by_index(base, 99, &none));
    CHECK(wr_instance_export_by_index(base, 0, &none) && none.func == f.func);
    CHECK(wr_instance_start(base) == NULL);
    CHECK_EQ((uintptr_t)VM_ARRAY(base, VMGlobalDef, globals) % 16, 0);
}

static void imports(void)
{
    WrInstance *instance = INSTANTIATE(importer, f, t, m, g, mg, fr);
    if (instance == NULL) CHECK_FAIL("%s", error.message);
    REQUIRE(instance != NULL);
    CHECK(exported(instance, "f").func == f.func);
    CHECK(exported(instance, "t").table == t.table);
    CHECK(exported(instance, "m").memory == m.memory);
    CHECK(exported(instance, "g").global == g.global);
    CHECK_EQ(value_of(instance, "sum").i32, -1);
    CHECK_EQ(value_of(instance, "product").i64, -42);
    CHECK(value_of(instance, "copy").ref == f.func);
    CHECK(value_of(instance, "null").ref == NULL);
    CHECK_EQ(value_of(instance, "double").f64, UINT64_C(0x3ff8000000000000));
    VMTableDef *table = wr_table_def(t.table);
    VMFuncRef *own = exported(instance, "own").func;
    CHECK(table->elements[2] == f.func && table->elements[3] == own && table->elements[8] == NULL && table->elements[9] == f.func);
    CHECK_BYTES(wr_memory_def(m.memory)->base, "\0\0\0\0\0hello\0\0\0\0x", 16);
    CHECK(wr_instance_start(instance) == own);
    VMFuncImport *import = VM_ARRAY(instance, VMFuncImport, func_imports);
    CHECK(import->func_ref == f.func && import->wasm_call == f.func->wasm_call && import->vmctx == f.func->vmctx);
    VMMemoryImport *memory = VM_ARRAY(instance, VMMemoryImport, memories);
    CHECK(memory->def == wr_memory_def(m.memory) && memory->base == memory->def->base);
}

static void mismatches(void)
{
#define FAILS(name, given, text)                             \
    do {                                                     \
        CHECK(INSTANTIATE(name, given) == NULL);             \
        CHECK_EQ(error.kind, WR_ERROR_LINK);                 \
        CHECK_CONTAINS(error.message, text);                 \
    } while (0)
    FAILS(wants_other_func, f, "incompatible import type for `e`.`f`: expected func (i64) -> (i32, f64), found func (i32) -> (i32)");
    FAILS(wants_global, f, "expected global i32, found func (i32) -> (i32)");
    FAILS(wants_large_table, t, "expected table min 11 of funcref, found table min 10 max 20 of funcref");
    FAILS(wants_bounded_table, t, "expected table min 1 max 19 of funcref");
    FAILS(wants_extern_table, t, "expected table min 1 of externref");
    FAILS(wants_large_memory, m, "expected memory min 2, found memory min 1 max 2");
    FAILS(wants_bounded_memory, m, "expected memory min 1 max 1, found memory min 1 max 2");
    FAILS(wants_mutable, g, "expected mutable global i32, found global i32");
    FAILS(wants_i64, g, "expected global i64, found global i32");
    FAILS(wants_i64, ((WrExtern){ .kind = WASM_EXTERN_GLOBAL }), "unknown import: `e`.`g`");
    CHECK(INSTANTIATE_ALONE(wants_i64) == NULL);
    CHECK_CONTAINS(error.message, "expected 1 imports, got 0");
    /* growth counts: the table is large enough now */
    CHECK_EQ(wr_table_grow(t.table, 1, NULL), 10);
    CHECK(INSTANTIATE(wants_large_table, t) != NULL);
}

static void other_stores_and_settings(void)
{
    WrStore *other = wr_store_new(registry, 1 << 20, NULL, &error), *ours = store;
    store = other;
    FAILS(wants_any_memory, m, "`e`.`m` belongs to another store");
    store = ours;
    wr_store_free(other);
    const WrTunables checked = { .memory_reservation = 1 << 20 };
    WasmLimits type = { .min = 1, .page_size_log2 = 16 };
    WrExtern memory = { .kind = WASM_EXTERN_MEMORY };
    memory.memory = wr_memory_new(store, &type, &checked, &error);
    FAILS(wants_any_memory, memory, "made with other settings");
}

static void segments_that_trap(void)
{
    VMTableDef *table = wr_table_def(t.table);
    uint8_t *bytes = wr_memory_def(m.memory)->base;
    memset(bytes, '.', 16);
    table->elements[0] = table->elements[1] = table->elements[9] = NULL;
    while (table->length > 10) table->length--;
    CHECK(INSTANTIATE(elem_too_far, t, m) == NULL);
    CHECK_EQ(error.kind, WR_ERROR_TRAP);
    CHECK_CONTAINS(error.message, "out of bounds table access");
    CHECK_EQ(wr_store_context(store)->trap_code, TRAP_TABLE_OUT_OF_BOUNDS);
    CHECK(table->elements[0] != NULL); /* and works: its instance lives on */
    CHECK(table->elements[9] == NULL); /* all or nothing, a segment */
    CHECK_BYTES(bytes, "......", 6);
    CHECK(INSTANTIATE(data_too_far, t, m) == NULL);
    CHECK_EQ(error.kind, WR_ERROR_TRAP);
    CHECK_CONTAINS(error.message, "out of bounds memory access");
    CHECK_BYTES(bytes, "first...", 8);
    CHECK(table->elements[1] != NULL);
}

static void passive_segments(void)
{
    WrInstance *instance = INSTANTIATE_ALONE(segments);
    if (instance == NULL) CHECK_FAIL("%s", error.message);
    REQUIRE(instance != NULL);
    WrTable *table = exported(instance, "t").table;
    WrMemory *memory = exported(instance, "m").memory;
    VMFuncRef *a = exported(instance, "a").func, *b = exported(instance, "b").func;
    void **elements = wr_table_def(table)->elements;
    CHECK(vm_table_init(instance, table, 0, 1, 0, 2));
    CHECK(elements[0] == NULL && elements[1] == a && elements[2] == b);
    CHECK(!vm_table_init(instance, table, 0, 3, 0, 2));
    CHECK(!vm_table_init(instance, table, 0, 0, 1, 2));
    CHECK(elements[0] == NULL);
    CHECK(vm_table_init(instance, table, 2, 0, 0, 2));
    CHECK(elements[0] == b && elements[1] == NULL);
    /* declared segments are dropped, active ones too */
    CHECK(!vm_table_init(instance, table, 1, 0, 0, 1));
    CHECK(vm_table_init(instance, table, 1, 0, 0, 0));
    CHECK(vm_table_init(instance, table, 0, 4, 2, 0));
    CHECK(!vm_table_init(instance, table, 0, 5, 0, 0));
    vm_set_bit(instance->dropped_elems, 0);
    CHECK(!vm_table_init(instance, table, 0, 0, 0, 1));
    CHECK(vm_data_init(instance, memory, 0, 10, 1, 4));
    CHECK_BYTES(wr_memory_def(memory)->base + 10, "assi", 5);
    CHECK(!vm_data_init(instance, memory, 0, 10, 4, 4));
    CHECK(!vm_data_init(instance, memory, 0, 65533, 0, 4));
    vm_set_bit(instance->dropped_datas, 0);
    CHECK(!vm_data_init(instance, memory, 0, 0, 0, 1));
    CHECK(vm_data_init(instance, memory, 0, 65536, 0, 0));
}

static void several_memories(void)
{
    WrInstance *instance = INSTANTIATE_ALONE(many_memories);
    REQUIRE(instance != NULL);
    CHECK_EQ(wr_memory_def(exported(instance, "a").memory)->length_bytes, 65536);
    CHECK_BYTES(wr_memory_def(exported(instance, "b").memory)->base, "\0\0\0second", 9);
}

/* Whatever fails leaves nothing behind. */
static void failures_undo(void)
{
    uint32_t memories = store->num_memories, tables = store->num_tables, instances = store->num_instances;
    (void)vm_memory_pool_drain();
    CodeMemory *code = compile(hungry, sizeof hungry);
    const uint32_t *ids;
    REQUIRE(wr_types_register_module(registry, wr_code_module(code, 0, NULL), &ids, &error));
    for (int after = 0; after < 5; after++) {
        WrInstance *instance = NULL;
        error = (WrError){ 0 };
        (void)vm_memory_pool_drain();
        wr_os_inject_failure(after % 2 ? WR_OS_CALL_MAP : WR_OS_CALL_PROTECT, after / 2);
        CHECK(!wr_instance_new(store, code, 0, ids, NULL, 0, &instance, &error));
        wr_os_inject_failure(WR_OS_CALL_MAP, -1);
        wr_os_inject_failure(WR_OS_CALL_PROTECT, -1);
        CHECK_EQ(error.kind, WR_ERROR_LIMIT);
        CHECK_EQ(store->num_memories, memories);
    }
    WrLimits none;
    memset(&none, 0xff, sizeof none);
    WrLimits few = none;
    few.instances = store->num_instances;
    wr_store_set_limits(store, &few);
    CHECK(INSTANTIATE_ALONE(segments) == NULL);
    CHECK_CONTAINS(error.message, "instances");
    few.instances = UINT32_MAX;
    few.tables = store->num_tables + 1;
    wr_store_set_limits(store, &few);
    CHECK(INSTANTIATE_ALONE(segments) == NULL);
    CHECK_CONTAINS(error.message, "tables");
    wr_store_set_limits(store, &none);
    CHECK_EQ(store->num_tables, tables);
    CHECK_EQ(store->num_instances, instances);
    CHECK_EQ(store->num_memories, memories);
    wr_code_release(code);
}

static bool host_body(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    (void)callee, (void)caller, (void)values, (void)capacity;
    return true;
}

static void host_functions(void)
{
    const ValType i64 = WR_VALTYPE_I64, results[] = { WR_VALTYPE_I32, WR_VALTYPE_F64 };
    uint32_t id;
    REQUIRE(wr_types_register_func(registry, &i64, 1, results, 2, &id, &error));
    WrExtern func = { .kind = WASM_EXTERN_FUNC };
    func.func = wr_host_func_new(store, id, host_body, &id, &error);
    REQUIRE(func.func != NULL);
    VMHostContext *context = (VMHostContext *)(void *)func.func->vmctx;
    CHECK(context->call == host_body && context->data == &id && context->header.store == &store->context);
    CHECK(func.func->array_call == host_body && func.func->wasm_call != NULL);
    CHECK(INSTANTIATE(wants_other_func, func) != NULL);
    /* without a wasm_call of its own, as a host destructor: the importer's image has one */
    WrHostFunc several[] = { { .type_id = id, .magic = WR_VMCTX_MAGIC_COMPONENT, .call = host_body, .index = 5 },
                             { .type_id = id, .magic = WR_VMCTX_MAGIC_COMPONENT, .call = host_body, .index = 6, .wasm_call = func.func->wasm_call } };
    VMFuncRef *refs = wr_host_funcs_new(store, several, 2, &error);
    REQUIRE(refs != NULL);
    CHECK_EQ(((VMHostContext *)(void *)refs[1].vmctx)->index, 6);
    func.func = refs;
    WrInstance *instance = INSTANTIATE(wants_other_func, func);
    REQUIRE(instance != NULL);
    uintptr_t start, end;
    wr_code_text_range(instance->code, &start, &end);
    uintptr_t used = (uintptr_t)VM_ARRAY(instance, VMFuncImport, func_imports)->wasm_call;
    CHECK(used >= start && used < end);
    CHECK(!wr_host_func_new(store, 12345, host_body, NULL, &error));
}

int main(void)
{
    registry = wr_types_new();
    store = wr_store_new(registry, 1 << 20, NULL, &error);
    REQUIRE(store != NULL);
    RUN(exports);
    RUN(imports);
    RUN(mismatches);
    RUN(other_stores_and_settings);
    RUN(segments_that_trap);
    RUN(passive_segments);
    RUN(several_memories);
    RUN(failures_undo);
    RUN(host_functions);
    wr_store_free(store);
    wr_types_release(registry);
    (void)vm_memory_pool_drain();
    return check_result();
}
