/* The whole way of a core module: bytes, decoder, compiler, image, instance, calls, traps. The module is spine.wat in this folder. */
#include "check.h"

#include "wasmrt/wasmrt.h"

static const uint8_t wasm[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x3e, 0x07, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7f, 0x60, 0x01, 0x7f,
    0x01, 0x7e, 0x60, 0x03, 0x7f, 0x7f, 0x7f, 0x01, 0x7f, 0x60, 0x01, 0x7f, 0x01, 0x7f, 0x60, 0x0a, 0x7f, 0x7e, 0x7d, 0x7c,
    0x7f, 0x7e, 0x7d, 0x7c, 0x7f, 0x7e, 0x04, 0x7e, 0x7c, 0x7f, 0x7d, 0x60, 0x0a, 0x7f, 0x7e, 0x7d, 0x7c, 0x7f, 0x7e, 0x7d,
    0x7c, 0x7f, 0x7e, 0x04, 0x7d, 0x7f, 0x7c, 0x7e, 0x60, 0x00, 0x01, 0x7f, 0x02, 0x0d, 0x01, 0x01, 0x68, 0x07, 0x63, 0x6f,
    0x6d, 0x62, 0x69, 0x6e, 0x65, 0x00, 0x00, 0x03, 0x0d, 0x0c, 0x00, 0x00, 0x01, 0x00, 0x02, 0x00, 0x00, 0x03, 0x04, 0x05,
    0x03, 0x06, 0x04, 0x04, 0x01, 0x70, 0x00, 0x04, 0x05, 0x04, 0x01, 0x01, 0x01, 0x04, 0x06, 0x06, 0x01, 0x7f, 0x01, 0x41,
    0x00, 0x0b, 0x07, 0x5f, 0x0c, 0x06, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x00, 0x03, 0x73, 0x75, 0x6d, 0x00, 0x02,
    0x03, 0x66, 0x69, 0x62, 0x00, 0x03, 0x04, 0x68, 0x6f, 0x73, 0x74, 0x00, 0x04, 0x08, 0x69, 0x6e, 0x64, 0x69, 0x72, 0x65,
    0x63, 0x74, 0x00, 0x05, 0x03, 0x64, 0x69, 0x76, 0x00, 0x06, 0x0a, 0x74, 0x72, 0x61, 0x70, 0x5f, 0x62, 0x65, 0x6c, 0x6f,
    0x77, 0x00, 0x07, 0x04, 0x64, 0x65, 0x65, 0x70, 0x00, 0x08, 0x04, 0x6d, 0x61, 0x6e, 0x79, 0x00, 0x09, 0x04, 0x73, 0x77,
    0x61, 0x70, 0x00, 0x0a, 0x04, 0x67, 0x72, 0x6f, 0x77, 0x00, 0x0b, 0x05, 0x63, 0x6f, 0x75, 0x6e, 0x74, 0x00, 0x0c, 0x09,
    0x08, 0x01, 0x00, 0x41, 0x00, 0x0b, 0x02, 0x01, 0x00, 0x0a, 0xed, 0x01, 0x0c, 0x07, 0x00, 0x20, 0x00, 0x20, 0x01, 0x6a,
    0x0b, 0x2b, 0x01, 0x01, 0x7f, 0x02, 0x40, 0x03, 0x40, 0x20, 0x01, 0x45, 0x0d, 0x01, 0x20, 0x02, 0x20, 0x00, 0x28, 0x02,
    0x00, 0x6a, 0x21, 0x02, 0x20, 0x00, 0x41, 0x04, 0x6a, 0x21, 0x00, 0x20, 0x01, 0x41, 0x01, 0x6b, 0x21, 0x01, 0x0c, 0x00,
    0x0b, 0x0b, 0x20, 0x02, 0x0b, 0x1d, 0x00, 0x20, 0x00, 0x41, 0x02, 0x49, 0x04, 0x7e, 0x20, 0x00, 0xad, 0x05, 0x20, 0x00,
    0x41, 0x01, 0x6b, 0x10, 0x03, 0x20, 0x00, 0x41, 0x02, 0x6b, 0x10, 0x03, 0x7c, 0x0b, 0x0b, 0x12, 0x00, 0x23, 0x00, 0x41,
    0x01, 0x6a, 0x24, 0x00, 0x20, 0x00, 0x20, 0x01, 0x10, 0x00, 0x41, 0x0a, 0x6c, 0x0b, 0x0b, 0x00, 0x20, 0x01, 0x20, 0x02,
    0x20, 0x00, 0x11, 0x00, 0x00, 0x0b, 0x07, 0x00, 0x20, 0x00, 0x20, 0x01, 0x6d, 0x0b, 0x0b, 0x00, 0x20, 0x00, 0x20, 0x01,
    0x10, 0x06, 0x41, 0x01, 0x6a, 0x0b, 0x0c, 0x00, 0x20, 0x00, 0x41, 0x01, 0x6a, 0x10, 0x08, 0x41, 0x01, 0x6a, 0x0b, 0x1c,
    0x00, 0x20, 0x01, 0x20, 0x05, 0x7c, 0x20, 0x09, 0x7c, 0x20, 0x03, 0x20, 0x07, 0xa0, 0x20, 0x00, 0x20, 0x04, 0x6a, 0x20,
    0x08, 0x6a, 0x20, 0x02, 0x20, 0x06, 0x92, 0x0b, 0x30, 0x04, 0x01, 0x7e, 0x01, 0x7c, 0x01, 0x7f, 0x01, 0x7d, 0x20, 0x08,
    0x20, 0x09, 0x20, 0x06, 0x20, 0x07, 0x20, 0x04, 0x20, 0x05, 0x20, 0x02, 0x20, 0x03, 0x20, 0x00, 0x20, 0x01, 0x10, 0x09,
    0x21, 0x0d, 0x21, 0x0c, 0x21, 0x0b, 0x21, 0x0a, 0x20, 0x0d, 0x20, 0x0c, 0x20, 0x0b, 0x20, 0x0a, 0x0b, 0x06, 0x00, 0x20,
    0x00, 0x40, 0x00, 0x0b, 0x04, 0x00, 0x23, 0x00, 0x0b, 0x0b, 0x12, 0x01, 0x00, 0x41, 0x08, 0x0b, 0x0c, 0x01, 0x00, 0x00,
    0x00, 0x02, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x7a, 0x04, 0x6e, 0x61, 0x6d, 0x65, 0x01, 0x2a, 0x07, 0x00,
    0x07, 0x63, 0x6f, 0x6d, 0x62, 0x69, 0x6e, 0x65, 0x01, 0x03, 0x61, 0x64, 0x64, 0x02, 0x03, 0x73, 0x75, 0x6d, 0x03, 0x03,
    0x66, 0x69, 0x62, 0x06, 0x03, 0x64, 0x69, 0x76, 0x08, 0x04, 0x64, 0x65, 0x65, 0x70, 0x09, 0x04, 0x6d, 0x61, 0x6e, 0x79,
    0x02, 0x1b, 0x02, 0x02, 0x03, 0x00, 0x02, 0x61, 0x74, 0x01, 0x01, 0x6e, 0x02, 0x01, 0x73, 0x0a, 0x04, 0x0a, 0x01, 0x61,
    0x0b, 0x01, 0x62, 0x0c, 0x01, 0x63, 0x0d, 0x01, 0x64, 0x03, 0x0f, 0x01, 0x02, 0x02, 0x00, 0x03, 0x6f, 0x75, 0x74, 0x01,
    0x05, 0x61, 0x67, 0x61, 0x69, 0x6e, 0x04, 0x09, 0x01, 0x00, 0x06, 0x62, 0x69, 0x6e, 0x61, 0x72, 0x79, 0x05, 0x04, 0x01,
    0x00, 0x01, 0x74, 0x07, 0x08, 0x01, 0x00, 0x05, 0x63, 0x6f, 0x75, 0x6e, 0x74,
};

static WrTypeRegistry *registry;
static WrStore *store;
static WrInstance *instance;

static WrTunables tunables_of_host(void)
{
    uint64_t host, baseline;
    REQUIRE(wr_cpu_features(&host, &baseline));
    return (WrTunables){
        .cpu_features = host, .memory_reservation = UINT64_C(1) << 32, .memory_guard_bytes = UINT64_C(1) << 25, .guarded_memories = 1, .signals_based_traps = 1, .interruptible = 1,
    };
}

static CodeMemory *compile(const uint8_t *bytes, size_t num_bytes, const WrTunables *tunables)
{
    WrError error = {0};
    WasmModule *module = NULL;
    CompiledModule *compiled = NULL;
    CodeMemory *code = NULL;
    bool ok = wr_module_decode(bytes, num_bytes, WASM_FEATURES_DEFAULT, &module, &error) && wr_compile_module(module, tunables, 1, &compiled, &error);
    CHECK_STR(error.message, "");
    REQUIRE(ok);
    const WasmModule *modules[] = {module};
    const CompiledModule *objects[] = {compiled};
    WrImageInput input = {.kind = WR_IMAGE_MODULE, .tunables = tunables, .wasm_features = WASM_FEATURES_DEFAULT, .modules = modules, .compiled = objects, .num_modules = 1};
    ok = wr_image_build(&input, &code, &error);
    CHECK_STR(error.message, "");
    REQUIRE(ok);
    wr_compiled_module_free(compiled);
    wr_module_free(module);
    return code;
}

static VMFuncRef *export(const char *name)
{
    WrExtern found;
    REQUIRE(wr_instance_export(instance, name, strlen(name), &found) && found.kind == WASM_EXTERN_FUNC);
    return found.func;
}

static bool call(const char *name, ValRaw *values, size_t capacity)
{
    VMFuncRef *func = export(name);
    WrEntry entry;
    REQUIRE(wr_store_enter(store, &entry) == WR_ENTER_OK);
    bool ok = func->array_call(func->vmctx, NULL, values, capacity);
    wr_store_leave(store, &entry);
    CHECK(wr_store_context(store)->last_entry == NULL || wr_store_running(store));
    return ok;
}

/* An i32 with garbage above it. */
static ValRaw i32(int32_t value) { return (ValRaw){.i64 = (int64_t)(UINT64_C(0xbad0bad000000000) | (uint32_t)value)}; }

static bool call_i32(const char *name, int32_t a, int32_t b, int32_t *out_result)
{
    ValRaw values[2] = {i32(a), i32(b)};
    bool ok = call(name, values, 2);
    *out_result = values[0].i32;
    return ok;
}

/* (a, b): a negative fails, a 7 enters the guest again. */
static bool combine(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    CHECK(((VMHostContext *)callee)->data == &store && capacity == 2);
    (void)caller;
    int32_t a = values[0].i32, b = values[1].i32, sum;
    if (a < 0) return false;
    if (a == 7) {
        int32_t trapped;
        CHECK(call_i32("sum", 8, 3, &sum));
        CHECK(!call_i32("div", 1, 0, &trapped));
        values[0].i32 = sum + b;
    } else {
        values[0].i32 = a * 100 + b;
    }
    return true;
}

static void open_instance(CodeMemory *code)
{
    static const ValType types[] = {WR_VALTYPE_I32, WR_VALTYPE_I32};
    WrError error = {0};
    const uint32_t *type_ids;
    uint32_t type_id;
    registry = wr_types_new();
    store = wr_store_new(registry, 1 << 20, NULL, &error);
    REQUIRE(store && wr_signals_install(&error));
    REQUIRE(wr_types_register_module(registry, wr_code_module(code, 0, &error), &type_ids, &error));
    REQUIRE(wr_types_register_func(registry, types, 2, types, 1, &type_id, &error));
    WrExtern import = {.kind = WASM_EXTERN_FUNC, .func = wr_host_func_new(store, type_id, combine, &store, &error)};
    REQUIRE(import.func != NULL);
    bool ok = wr_instance_new(store, code, 0, type_ids, &import, 1, &instance, &error);
    CHECK_STR(error.message, "");
    REQUIRE(ok);
}

static void close_instance(void)
{
    wr_store_free(store);
    wr_types_release(registry);
}

static void check_trap(const char *name, int32_t a, int32_t b, uint32_t trap_code, size_t num_frames)
{
    int32_t result;
    WrFrame frames[128];
    CHECK(!call_i32(name, a, b, &result));
    CHECK_STR(wr_trap_message(wr_store_context(store)->trap_code), wr_trap_message(trap_code));
    size_t count = wr_store_backtrace(store, frames, 128);
    if (num_frames) CHECK_EQ(count, num_frames);
    for (size_t i = 0; i < count; i++) {
        CHECK(frames[i].place.func_index >= 1 && frames[i].place.func_index < wr_code_module(frames[i].place.code, 0, NULL)->num_funcs);
        CHECK(frames[i].place.module_offset < sizeof wasm); /* and so it is known */
    }
}

static void check_calls(void)
{
    int32_t result;
    CHECK(call_i32("sum", 8, 3, &result));
    CHECK_EQ(result, 6);
    CHECK(call_i32("host", 3, 4, &result));
    CHECK_EQ(result, 3040);
    CHECK(call_i32("host", 7, 4, &result)); /* there and back */
    CHECK_EQ(result, 100);
    CHECK(!call_i32("host", -1, 4, &result));
    CHECK(call_i32("count", 0, 0, &result));
    CHECK_EQ(result, 3);
    ValRaw fib[1] = {i32(20)};
    CHECK(call("fib", fib, 1));
    CHECK_EQ(fib[0].i64, 6765);

    ValRaw three[3] = {i32(0), i32(20), i32(22)};
    CHECK(call("indirect", three, 3));
    CHECK_EQ(three[0].i32, 42);
    three[0] = i32(1), three[1] = i32(20), three[2] = i32(22);
    CHECK(call("indirect", three, 3));
    CHECK_EQ(three[0].i32, 2022);

    static const char *const names[] = {"many", "swap"};
    for (int swapped = 0; swapped < 2; swapped++) {
        ValRaw values[10] = {i32(1), {.i64 = 20}, {.f32 = 0x3f800000 /* 1 */}, {.f64 = 0x4000000000000000 /* 2 */}, i32(2),
                             {.i64 = 22}, {.f32 = 0x40400000 /* 3 */}, {.f64 = 0x4010000000000000 /* 4 */}, i32(-4), {.i64 = INT64_C(1) << 40}};
        CHECK(call(names[swapped], values, 10));
        CHECK_EQ(values[swapped ? 3 : 0].i64, (INT64_C(1) << 40) + 42);
        CHECK_EQ(values[swapped ? 2 : 1].f64, 0x4018000000000000u); /* 6 */
        CHECK_EQ(values[swapped ? 1 : 2].i32, -1);
        CHECK_EQ(values[swapped ? 0 : 3].f32, 0x40800000); /* 4 */
    }

    CHECK(call_i32("grow", 1, 0, &result));
    CHECK_EQ(result, 1);
    CHECK(call_i32("sum", 65536, 4, &result));
    CHECK(call_i32("grow", 100, 0, &result));
    CHECK_EQ(result, -1);
}

static void check_traps(void)
{
    check_trap("div", 1, 0, TRAP_INTEGER_DIVISION_BY_ZERO, 1);
    check_trap("div", INT32_MIN, -1, TRAP_INTEGER_OVERFLOW, 1);
    check_trap("trap_below", 1, 0, TRAP_INTEGER_DIVISION_BY_ZERO, 2);
    check_trap("sum", 3 * 65536, 1, TRAP_MEMORY_OUT_OF_BOUNDS, 1);
    check_trap("sum", -4, 2, TRAP_MEMORY_OUT_OF_BOUNDS, 1);
    check_trap("deep", 0, 0, TRAP_STACK_OVERFLOW, 0);
    ValRaw three[3] = {i32(2), i32(0), i32(0)};
    CHECK(!call("indirect", three, 3));
    CHECK_EQ(wr_store_context(store)->trap_code, TRAP_INDIRECT_CALL_TO_NULL);
    three[0] = i32(4);
    CHECK(!call("indirect", three, 3));
    CHECK_EQ(wr_store_context(store)->trap_code, TRAP_TABLE_OUT_OF_BOUNDS);
}

static void run(const WrTunables *tunables)
{
    CodeMemory *code = compile(wasm, sizeof wasm, tunables), *copy = NULL;
    WrError error = {0};
    size_t num_bytes;
    CHECK(wr_code_verify(code, &error));
    CHECK_STR(error.message, "");
    open_instance(code);
    check_calls();
    check_traps();
    close_instance();
    const uint8_t *bytes = wr_code_bytes(code, &num_bytes);
    REQUIRE(wr_image_load(bytes, num_bytes, true, NULL, NULL, &copy, &error));
    wr_code_release(code);
    open_instance(copy);
    wr_code_release(copy);
    check_calls();
    check_traps();
    close_instance();
}

static void as_this_machine_likes_it(void)
{
    WrTunables tunables = tunables_of_host();
    run(&tunables);
}

static void for_any_machine(void)
{
    WrTunables tunables = tunables_of_host();
    uint64_t host;
    (void)wr_cpu_features(&host, &tunables.cpu_features);
    run(&tunables);
}

static void with_explicit_checks(void)
{
    WrTunables tunables = tunables_of_host();
    tunables.guarded_memories = 0;
    run(&tunables);
    tunables.signals_based_traps = 0;
    run(&tunables);
}

static void not_interruptible_with_debug_checks(void)
{
    WrTunables tunables = tunables_of_host();
    tunables.interruptible = 0;
    tunables.debug_checks = 1;
    run(&tunables);
}

static uint8_t built[8192];
static size_t num_built;
static void put(uint32_t byte) { built[num_built++] = (uint8_t)byte; }
static void put_size(size_t value) { put((uint32_t)(value & 127) | 128), put((uint32_t)(value >> 7 & 127)); } /* two bytes whatever it is */

/* (module (global $one (mut i64) (i64.const 1)) (func (export "w") (result i64) (local i64 ... 800 of them)
 *   (local.set i (global.get $one)) for each, and their sum)): a leaf with a large frame */
static void build_wide_module(void)
{
    enum { LOCALS = 800 };
    static const uint8_t head[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7e, 3, 2, 1, 0, 6, 6, 1, 0x7e, 1, 0x42, 1, 0x0b, 7, 5, 1, 1, 'w', 0, 0, 10};
    num_built = 0;
    for (size_t i = 0; i < sizeof head; i++) put(head[i]);
    size_t body = 4 + 5 * LOCALS + 3 + 4 * (LOCALS - 1) + 1;
    put_size(1 + 2 + body);
    put(1), put_size(body);
    put(1), put_size(LOCALS), put(0x7e);
    for (uint32_t i = 0; i < LOCALS; i++) put(0x23), put(0), put(0x21), put_size(i);
    for (uint32_t i = 0; i < LOCALS; i++) {
        put(0x20), put_size(i);
        if (i) put(0x7c);
    }
    put(0x0b);
}

/* A frame that the stack has no room for is found while an interrupt waits, too: the prologue checks again after serving it. */
static void interrupt_and_overflow_at_once(void)
{
    build_wide_module();
    WrTunables tunables = tunables_of_host();
    CodeMemory *code = compile(built, num_built, &tunables);
    WrError error = {0};
    const uint32_t *type_ids;
    registry = wr_types_new();
    store = wr_store_new(registry, 1 << 20, NULL, &error);
    REQUIRE(wr_types_register_module(registry, wr_code_module(code, 0, &error), &type_ids, &error));
    REQUIRE(wr_instance_new(store, code, 0, type_ids, NULL, 0, &instance, &error));
    wr_code_release(code);
    VMStoreContext *context = wr_store_context(store);
    VMFuncRef *func = export("w");
    for (int round = 0; round < 3; round++) {
        ValRaw value = {.i64 = -1};
        WrEntry entry;
        REQUIRE(wr_store_enter(store, &entry) == WR_ENTER_OK);
        if (round) context->real_stack_limit = context->stack_limit = (uintptr_t)__builtin_frame_address(0) - 4096;
        if (round == 2) context->stack_limit = WR_INTERRUPTED;
        context->trap_code = UINT32_MAX;
        CHECK_EQ(func->array_call(func->vmctx, NULL, &value, 1), round == 0);
        if (round) CHECK_EQ(context->trap_code, TRAP_STACK_OVERFLOW);
        else CHECK_EQ(value.i64, 800);
        wr_store_leave(store, &entry);
    }
    close_instance();
}

static void same_bytes_twice(void)
{
    WrTunables tunables = tunables_of_host();
    CodeMemory *a = compile(wasm, sizeof wasm, &tunables), *b = compile(wasm, sizeof wasm, &tunables);
    size_t num_a, num_b;
    const uint8_t *bytes_a = wr_code_bytes(a, &num_a), *bytes_b = wr_code_bytes(b, &num_b);
    CHECK_EQ(num_a, num_b);
    CHECK_BYTES(bytes_a, bytes_b, num_a);
    wr_code_release(a);
    wr_code_release(b);
}

int main(void)
{
    RUN(as_this_machine_likes_it);
    RUN(for_any_machine);
    RUN(with_explicit_checks);
    RUN(not_interruptible_with_debug_checks);
    RUN(interrupt_and_overflow_at_once);
    RUN(same_bytes_twice);
    return check_result();
}
