/* From an image to calls, with machine code written here in place of a compiler's: instance, entries, host functions, faults, backtraces and nesting
 * meet for the first time. What fails here is no compiler's fault. */
#include "check.h"

#include "tramp/tramp.h"
#include "wasmrt/wasmrt.h"

/* (module (import "h" "f" (func $f (param i32) (result i32))) (memory (export "memory") 1) (data (i32.const 16) "\2a\00\00\00")
 *   and four functions of that type, exported: "double" "host" "trap" "load") */
static const uint8_t wasm[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x06, 0x01, 0x60, 0x01, 0x7f, 0x01, 0x7f, 0x02, 0x07, 0x01, 0x01,
    0x68, 0x01, 0x66, 0x00, 0x00, 0x03, 0x05, 0x04, 0x00, 0x00, 0x00, 0x00, 0x05, 0x03, 0x01, 0x00, 0x01, 0x07, 0x28, 0x05,
    0x06, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x00, 0x06, 0x64, 0x6f, 0x75, 0x62, 0x6c, 0x65, 0x00, 0x01, 0x04, 0x68,
    0x6f, 0x73, 0x74, 0x00, 0x02, 0x04, 0x74, 0x72, 0x61, 0x70, 0x00, 0x03, 0x04, 0x6c, 0x6f, 0x61, 0x64, 0x00, 0x04, 0x0a,
    0x15, 0x04, 0x04, 0x00, 0x20, 0x00, 0x0b, 0x04, 0x00, 0x20, 0x00, 0x0b, 0x04, 0x00, 0x20, 0x00, 0x0b, 0x04, 0x00, 0x20,
    0x00, 0x0b, 0x0b, 0x0a, 0x01, 0x00, 0x41, 0x10, 0x0b, 0x04, 0x2a, 0x00, 0x00, 0x00, 0x00, 0x0b, 0x04, 0x6e, 0x61, 0x6d,
    0x65, 0x01, 0x04, 0x01, 0x00, 0x01, 0x66,
};

static const WrTunables tunables = {
    .cpu_features = X64_CPU_BASELINE, .memory_reservation = UINT64_C(1) << 32, .memory_guard_bytes = UINT64_C(1) << 25, .guarded_memories = 1, .signals_based_traps = 1, .interruptible = 1,
};

enum { F_IMPORT, F_DOUBLE, F_HOST, F_TRAP, F_LOAD, NUM_FUNCS, NUM_DEFINED = NUM_FUNCS - 1 };

typedef struct Code {
    Asm as;
    FunctionLoc funcs[NUM_DEFINED], array_calls[NUM_DEFINED], host_call;
    TrapRow traps[2];
    AddrRow addrs[NUM_DEFINED];
    CompiledModule compiled;
} Code;

static FunctionLoc function_end(Asm *as)
{
    REQUIRE(wr_x64_function_end(as) == X64_OK);
    return (FunctionLoc){as->function_offset, x64_offset(as) - as->function_offset};
}

static void function_begin(Asm *as)
{
    wr_x64_room(as, CODE_MARK_BYTES);
    wr_x64_function_begin(as);
    x64_pushq_r(as, RBP);
    x64_movq_rr(as, RBP, RSP);
}

/* i32 f(callee rdi, caller rsi, i32 edx) */
static void emit_module(Code *code, const WasmModule *module)
{
    VMOffsets offsets;
    Asm *as = &code->as;
    wr_vm_offsets(module, &offsets);
    wr_x64_asm_init(as, X64_CPU_BASELINE);

    wr_x64_room(as, CODE_MARK_BYTES);
    wr_x64_function_begin(as);
    x64_leal_rm(as, RAX, x64_mem_bi(RDX, RDX, 1, 0));
    x64_ret(as);
    code->funcs[0] = function_end(as);

    function_begin(as);
    int32_t import = (int32_t)offsets.func_imports;
    x64_movq_rr(as, RSI, RDI);
    x64_movq_rm(as, RAX, x64_mem_b(RDI, import + WR_OFFSET(VMFuncImport, wasm_call)));
    x64_movq_rm(as, RDI, x64_mem_b(RDI, import + WR_OFFSET(VMFuncImport, vmctx)));
    x64_call_r(as, RAX);
    x64_addl_ri(as, RAX, 1000);
    x64_popq_r(as, RBP);
    x64_ret(as);
    code->funcs[1] = function_end(as);

    function_begin(as);
    code->traps[0] = (TrapRow){x64_offset(as), TRAP_UNREACHABLE};
    x64_ud2(as);
    code->funcs[2] = function_end(as);

    function_begin(as);
    x64_movl_rr(as, RDX, RDX);
    x64_movq_rm(as, RAX, x64_mem_b(RDI, (int32_t)offsets.memories + WR_OFFSET(VMMemoryImport, base)));
    code->traps[1] = (TrapRow){x64_offset(as), TRAP_MEMORY_OUT_OF_BOUNDS};
    x64_movl_rm(as, RAX, x64_mem_bi(RAX, RDX, 1, 0));
    x64_popq_r(as, RBP);
    x64_ret(as);
    code->funcs[3] = function_end(as);

    for (uint32_t i = 0; i < NUM_DEFINED; i++) code->addrs[i] = (AddrRow){code->funcs[i].start, 500 + i};
    uint32_t start = x64_offset(as);
    REQUIRE(wr_tramp_emit_module(as, module, code->funcs, 0, code->array_calls, &code->host_call));
    CHECK(code->array_calls[0].start >= start && code->host_call.length > 0);
    code->compiled = (CompiledModule){
        .text = as->code.start, .text_bytes = x64_offset(as), .funcs = code->funcs, .num_funcs = NUM_DEFINED, .array_calls = code->array_calls, .num_array_calls = NUM_DEFINED,
        .host_calls = &code->host_call, .num_host_calls = 1, .traps = code->traps, .num_traps = 2, .addrs = code->addrs, .num_addrs = NUM_DEFINED,
    };
}

static CodeMemory *build_image(void)
{
    static Code code;
    WrError error = {0};
    WasmModule *module;
    CodeMemory *image = NULL;
    REQUIRE(wr_module_decode(wasm, sizeof wasm, WASM_FEATURES_DEFAULT, &module, &error));
    emit_module(&code, module);
    const WasmModule *modules[] = {module};
    const CompiledModule *compiled[] = {&code.compiled};
    WrImageInput input = {.kind = WR_IMAGE_MODULE, .tunables = &tunables, .wasm_features = WASM_FEATURES_DEFAULT, .modules = modules, .compiled = compiled, .num_modules = 1};
    REQUIRE(wr_image_build(&input, &image, &error));
    wr_module_free(module);
    wr_x64_asm_free(&code.as);
    return image;
}

/* ---- a store with an instance --------------------------------------------------------------------------------------------------- */

static WrTypeRegistry *registry;
static WrStore *store;
static WrInstance *instance;
static VMFuncRef *exports[NUM_FUNCS];
static int32_t host_asked;
static size_t num_callers;
static WrFrame callers[8];

static bool enter_and_call(VMFuncRef *func, int32_t *value)
{
    WrEntry entry;
    ValRaw values[1] = {{.i64 = (int64_t)(0x7777777700000000u | (uint32_t)*value)}};
    REQUIRE(wr_store_enter(store, &entry) == WR_ENTER_OK);
    bool ok = func->array_call(func->vmctx, NULL, values, 1);
    wr_store_leave(store, &entry);
    *value = values[0].i32;
    return ok;
}

/* Negative: fails. 1..: calls "host" again with one less. 100: traps below and goes on. */
static bool host_function(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    CHECK_EQ(capacity, 1);
    CHECK(caller == wr_instance_vmctx(instance));
    CHECK(((VMHostContext *)callee)->data == &host_asked);
    int32_t asked = values[0].i32, inner = asked - 1;
    host_asked = asked;
    if (asked < 0) return false;
    if (asked == 100) {
        inner = 0;
        CHECK(!enter_and_call(exports[F_TRAP], &inner));
        inner = 4242;
    } else if (asked > 0) {
        CHECK(enter_and_call(exports[F_HOST], &inner));
    } else {
        num_callers = wr_store_callers(store, callers, 8);
    }
    values[0].i32 = inner;
    return true;
}

static void open_instance(CodeMemory *code)
{
    static const ValType i32 = WR_VALTYPE_I32;
    static const char *const names[] = {[F_DOUBLE] = "double", [F_HOST] = "host", [F_TRAP] = "trap", [F_LOAD] = "load"};
    WrError error = {0};
    const uint32_t *type_ids;
    uint32_t type_id;
    registry = wr_types_new();
    store = wr_store_new(registry, 1 << 20, NULL, &error);
    REQUIRE(store && wr_signals_install(&error));
    REQUIRE(wr_types_register_module(registry, wr_code_module(code, 0, NULL), &type_ids, &error));
    REQUIRE(wr_types_register_func(registry, &i32, 1, &i32, 1, &type_id, &error));
    WrExtern import = {.kind = WASM_EXTERN_FUNC, .func = wr_host_func_new(store, type_id, host_function, &host_asked, &error)};
    REQUIRE(import.func != NULL);
    bool ok = wr_instance_new(store, code, 0, type_ids, &import, 1, &instance, &error);
    CHECK_STR(error.message, "");
    REQUIRE(ok);
    for (uint32_t i = F_DOUBLE; i < NUM_FUNCS; i++) {
        WrExtern found;
        REQUIRE(wr_instance_export(instance, names[i], strlen(names[i]), &found));
        exports[i] = found.func;
    }
}

static void close_instance(void)
{
    wr_store_free(store);
    wr_types_release(registry);
}

static void check_calls(void)
{
    VMStoreContext *context = wr_store_context(store);
    WrFrame frames[8];
    int32_t value = 21;
    CHECK(enter_and_call(exports[F_DOUBLE], &value));
    CHECK_EQ(value, 42);

    value = 0;
    CHECK(enter_and_call(exports[F_HOST], &value));
    CHECK_EQ(value, 999); /* -1 + 1000 */
    CHECK_EQ(num_callers, 1);
    CHECK_EQ(callers[0].place.func_index, F_HOST);
    value = 5;
    CHECK(enter_and_call(exports[F_HOST], &value));
    CHECK_EQ(value, 5999);
    CHECK_EQ(num_callers, 6);
    value = -7;
    CHECK(!enter_and_call(exports[F_HOST], &value));
    CHECK_EQ(host_asked, -7);
    value = 100; /* a trap below a host function that goes on */
    CHECK(enter_and_call(exports[F_HOST], &value));
    CHECK_EQ(value, 5242);

    value = 0;
    CHECK(!enter_and_call(exports[F_TRAP], &value));
    CHECK_EQ(context->trap_code, TRAP_UNREACHABLE);
    CHECK_EQ(wr_store_backtrace(store, frames, 8), 1);
    CHECK_EQ(frames[0].place.func_index, F_TRAP);
    CHECK_EQ(frames[0].place.module_offset, 502);

    value = 16;
    CHECK(enter_and_call(exports[F_LOAD], &value));
    CHECK_EQ(value, 42);
    static const uint32_t outside[] = {65536, 65533, 0x7fffffff, 0x80000000, 0xffffffff};
    for (int i = 0; i < 5; i++) {
        value = (int32_t)outside[i];
        CHECK(!enter_and_call(exports[F_LOAD], &value));
        CHECK_EQ(context->trap_code, TRAP_MEMORY_OUT_OF_BOUNDS);
        CHECK_EQ(wr_store_backtrace(store, frames, 8), 1);
        CHECK_EQ(frames[0].place.func_index, F_LOAD);
    }
    CHECK(context->last_entry == NULL);
    CHECK(!wr_store_running(store));
}

static void built_image(void)
{
    CodeMemory *code = build_image();
    open_instance(code);
    wr_code_release(code); /* the instance holds it */
    check_calls();
    close_instance();
}

static void loaded_image(void)
{
    CodeMemory *code = build_image(), *copy = NULL;
    WrError error = {0};
    size_t num_bytes;
    const uint8_t *bytes = wr_code_bytes(code, &num_bytes);
    REQUIRE(wr_image_load(bytes, num_bytes, true, NULL, NULL, &copy, &error));
    CHECK(wr_code_verify(copy, &error));
    wr_code_release(code);
    open_instance(copy);
    wr_code_release(copy);
    check_calls();
    close_instance();
}

int main(void)
{
    RUN(built_image);
    RUN(loaded_image);
    return check_result();
}
