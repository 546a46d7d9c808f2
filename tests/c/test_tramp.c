/* Trampolines: values go through entry and host calls unchanged, for C callers and callees that share nothing with the emitters, and whatever a
 * callee does to registers, an entry comes back with the caller's. */
#include "check.h"

#include "os/pages.h"
#include "tramp/tramp.h"

#define I32 WR_VALTYPE_I32
#define I64 WR_VALTYPE_I64
#define F32 WR_VALTYPE_F32
#define F64 WR_VALTYPE_F64
#define V128 WR_VALTYPE_V128
#define REF WR_VALTYPE_FUNCREF

/* ---- code under test, and a store without a runtime ------------------------------------------------------------------------- */

static Asm as;
static uint8_t *text;
static size_t text_bytes;

static uint32_t emitted(bool ok)
{
    REQUIRE(ok);
    return as.function_offset;
}

static void code_open(void) { wr_x64_asm_init(&as, X64_CPU_BASELINE); }

static void code_seal(void)
{
    text_bytes = wr_os_round_to_pages(x64_offset(&as));
    text = wr_os_alloc(text_bytes);
    REQUIRE(text != NULL);
    memcpy(text, as.code.start, x64_offset(&as));
    REQUIRE(wr_os_protect(text, text_bytes, WR_OS_READ_EXECUTE));
}

static void code_close(void)
{
    wr_os_release(text, text_bytes);
    wr_x64_asm_free(&as);
}

static VMStoreContext store;
static int num_overflows, num_order;
static void builtin_overflow(VMContext *vmctx) { (void)vmctx, num_overflows++; }
static void builtin_order(VMContext *vmctx) { (void)vmctx, num_order++; }
static const void *builtins[WR_BUILTIN_COUNT];

static VMHostContext host_context(VMArrayCall call)
{
    builtins[WR_BUILTIN_ENTRY_OVERFLOW] = (const void *)builtin_overflow;
    builtins[WR_BUILTIN_ENTRY_ORDER] = (const void *)builtin_order;
    store = (VMStoreContext){0};
    num_overflows = num_order = 0;
    return (VMHostContext){.header = {.magic = WR_VMCTX_MAGIC_HOST, .store = &store, .builtins = builtins}, .call = call};
}

static VMArrayCall array_call_at(uint32_t offset) { return (VMArrayCall)(uintptr_t)(text + offset); }

static uint32_t random_state = 1;
static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(random_state >> 4) * bound >> 28);
}

static void random_value(ValRaw *value)
{
    for (int i = 0; i < 16; i++) value->v128[i] = (uint8_t)random_below(256);
}

static size_t value_bytes(ValType type)
{
    uint32_t kind = wr_vt_kind(type);
    return kind == WR_KIND_I32 || kind == WR_KIND_F32 ? 4 : kind == WR_KIND_V128 ? 16 : 8;
}

/* ---- random signatures: array call -> entry -> host call -> C ---------------------------------------------------------------- */

static ValRaw expected_params[ABI_MAX_VALUES], given_results[ABI_MAX_VALUES];
static WrSignature current;
static VMContext *expected_caller;
static int num_calls;

static bool echo(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    num_calls++;
    CHECK(((VMHostContext *)callee)->data == &current);
    CHECK(caller == expected_caller);
    CHECK_EQ((uintptr_t)values & 15, 0);
    CHECK(capacity >= current.num_params && capacity >= current.num_results);
    CHECK_EQ((uintptr_t)__builtin_frame_address(0) & 15, 0);
    for (uint32_t i = 0; i < current.num_params; i++) CHECK_BYTES(&values[i], &expected_params[i], value_bytes(current.params[i]));
    for (uint32_t i = 0; i < current.num_results; i++) values[i] = given_results[i];
    return true;
}

static void round_trip(const WrSignature *signature)
{
    static ValRaw values[ABI_MAX_VALUES + 1];
    code_open();
    uint32_t host = emitted(wr_tramp_emit_host_call(&as, signature));
    uint32_t body = emitted(wr_tramp_emit_entry(&as, signature));
    uint32_t stub = emitted(wr_tramp_emit_entry_stub(&as, body, host));
    code_seal();
    VMHostContext context = host_context(echo);
    context.data = &current;
    current = *signature;
    expected_caller = (VMContext *)&store;
    num_calls = 0;
    for (uint32_t i = 0; i < signature->num_params; i++) {
        random_value(&expected_params[i]);
        values[i] = expected_params[i];
    }
    for (uint32_t i = 0; i < signature->num_results; i++) random_value(&given_results[i]);
    uint32_t capacity = signature->num_params > signature->num_results ? signature->num_params : signature->num_results;
    ValRaw fence;
    random_value(&fence);
    values[capacity] = fence;
    CHECK(array_call_at(stub)((VMContext *)&context, (VMContext *)&store, values, capacity));
    CHECK_EQ(num_calls, 1);
    for (uint32_t i = 0; i < signature->num_results; i++) CHECK_BYTES(&values[i], &given_results[i], value_bytes(signature->results[i]));
    CHECK_BYTES(&values[capacity], &fence, 16);
    CHECK(store.last_entry == NULL);
    CHECK(store.exit_fp == NULL);
    code_close();
}

static void random_signatures(void)
{
    static const ValType types[] = {I32, I64, F32, F64, V128, REF};
    static ValType params[ABI_MAX_VALUES], results[ABI_MAX_VALUES];
    for (int round = 0; round < 300; round++) {
        uint32_t most = round < 250 ? 20 : 200;
        WrSignature signature = {params, random_below(most), results, random_below(round % 3 ? 4 : most)};
        if (round == 299) signature.num_params = signature.num_results = ABI_MAX_VALUES;
        for (uint32_t i = 0; i < signature.num_params; i++) params[i] = types[random_below(6)];
        for (uint32_t i = 0; i < signature.num_results; i++) results[i] = types[random_below(6)];
        round_trip(&signature);
    }
    for (uint32_t i = 0; i < ABI_MAX_VALUES; i++) params[i] = results[i] = V128;
    round_trip(&(WrSignature){params, ABI_MAX_VALUES, results, ABI_MAX_VALUES});
}

static void too_long_signature_is_refused(void)
{
    static ValType params[ABI_MAX_VALUES + 1];
    WrSignature signature = {params, ABI_MAX_VALUES + 1, NULL, 0};
    code_open();
    CHECK(!wr_tramp_emit_entry(&as, &signature));
    CHECK(!wr_tramp_emit_host_call(&as, &signature));
    wr_x64_asm_free(&as);
}

/* ---- against C: wasm calls without stack arguments are C calls ---------------------------------------------------------------- */

typedef struct Area { uint64_t slots[4]; } Area;

static uint64_t c_callee(VMContext *callee, VMContext *caller, Area *area, uint32_t a, float b, int64_t c, double d, void *e)
{
    CHECK(callee == expected_caller && caller == NULL);
    CHECK_EQ(a, 0x89abcdefu);
    CHECK(b == 1.5f && d == -2.25);
    CHECK_EQ(c, -3);
    CHECK_EQ((uintptr_t)e, 0x1234567890u);
    area->slots[0] = 77;            /* second integer result */
    area->slots[2] = UINT64_MAX - 1; /* third */
    return 0xdeadbeef00000001u;     /* an i32 with garbage above it */
}

static void entry_calls_c(void)
{
    const ValType params[] = {I32, F32, I64, F64, REF}, results[] = {I32, I32, I64};
    WrSignature signature = {params, 5, results, 3};
    code_open();
    wr_x64_function_begin(&as); /* (rdi..rcx of an array call): entry body with c_callee as target */
    X64Label body = x64_label_new(&as);
    uint32_t start = as.function_offset;
    x64_movq_ri64(&as, R10, (uint64_t)(uintptr_t)c_callee);
    uint32_t jump = x64_offset(&as);
    as.labels[body.id].offset = (jump + 5 + 15) & ~15u;
    x64_jmp(&as, body);
    REQUIRE(wr_x64_function_end(&as) == X64_OK);
    CHECK_EQ(emitted(wr_tramp_emit_entry(&as, &signature)), (jump + 5 + 15) & ~15u);
    code_seal();
    VMHostContext context = host_context(NULL);
    expected_caller = (VMContext *)&context;
    ValRaw values[5] = {{.i64 = (int64_t)0xffffffff89abcdefu}, {.v128 = {0, 0, 0xc0, 0x3f, 0xff, 0xff, 0xff, 0x7f}}, {.i64 = -3}, {.f64 = 0xc002000000000000u}, {.i64 = 0x1234567890}};
    CHECK(array_call_at(start)((VMContext *)&context, NULL, values, 5));
    CHECK_EQ((uint32_t)values[0].i32, 1);
    CHECK_EQ(values[1].i32, 77);
    CHECK_EQ(values[2].i64, UINT64_MAX - 1);
    code_close();
}

static bool seven_values(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    (void)callee, (void)caller;
    CHECK_EQ(capacity, 7);
    CHECK_EQ((uint32_t)values[0].i32, 0x11111111u);
    CHECK_EQ(values[1].i64, -5);
    float f;
    memcpy(&f, &values[2], 4);
    CHECK(f == 0.5f);
    CHECK_EQ((uint32_t)values[3].i32, 4);
    double d;
    memcpy(&d, &values[4], 8);
    CHECK(d == 8.0);
    CHECK_EQ((uint32_t)values[5].i32, 6);
    CHECK_EQ(values[6].i64, 7);
    d = -0.125;
    memcpy(&values[0], &d, 8);
    return true;
}

static void c_calls_host(void)
{
    /* i32 i64 i32 i32 fill rdx rcx r8 r9 */
    const ValType params[] = {I32, I64, F32, I32, F64, I32}, results[] = {F64};
    WrSignature six = {params, 6, results, 1};
    AbiSlot slots[7], result;
    AbiLayout layout = {.params = slots, .results = &result};
    wr_abi_layout(&six, &layout);
    CHECK_EQ(layout.stack_arg_bytes, 0);
    CHECK_EQ(layout.result_area_bytes, 0);
    const ValType more[] = {I32, I64, F32, I32, F64, I32, I64, V128, I32};
    AbiSlot more_slots[9];
    layout.params = more_slots;
    wr_abi_layout(&(WrSignature){more, 9, results, 1}, &layout);
    CHECK_EQ(layout.stack_arg_bytes, 16);
    CHECK_EQ(more_slots[6].offset, 0);
    CHECK_EQ(more_slots[7].kind, ABI_XMM);
    CHECK_EQ(more_slots[8].offset, 8);

    const ValType seven[] = {I32, I64, F32, I32, F64, I32, I64};
    code_open();
    uint32_t host = emitted(wr_tramp_emit_host_call(&as, &(WrSignature){seven, 7, results, 1}));
    /* double call(callee, caller, i32, i64, f32, i32, f64, i32, i64): C to a callee that pops 16 bytes; returns through a frame that survives it */
    wr_x64_function_begin(&as);
    uint32_t bridge = as.function_offset;
    X64Label target = x64_label_new(&as), good = x64_label_new(&as);
    as.labels[target.id].offset = host;
    x64_pushq_r(&as, RBP);
    x64_movq_rr(&as, RBP, RSP);
    x64_pushq_r(&as, RBX);
    x64_pushq_r(&as, RBX);
    x64_movq_rr(&as, RBX, RSP);
    x64_pushq_r(&as, RAX);
    x64_pushq_m(&as, x64_mem_b(RBP, 16));
    x64_call_label(&as, target);
    x64_cmpq_rr(&as, RBX, RSP);
    x64_jcc(&as, X64_CC_E, good);
    x64_ud2(&as);
    x64_label_bind(&as, good);
    x64_movq_rm(&as, RBX, x64_mem_b(RBP, -8));
    x64_leave(&as);
    x64_ret(&as);
    REQUIRE(wr_x64_function_end(&as) == X64_OK);
    code_seal();
    VMHostContext context = host_context(seven_values);
    typedef double Bridge(VMContext *, VMContext *, uint64_t, int64_t, float, uint64_t, double, uint64_t, int64_t);
    Bridge *call = (Bridge *)(uintptr_t)(text + bridge);
    CHECK(call((VMContext *)&context, NULL, 0xabcdabcd11111111u, -5, 0.5f, 0xffffffff00000004u, 8.0, 0x700000006u, 7) == -0.125);
    code_close();
}

/* ---- traps, nesting, registers ------------------------------------------------------------------------------------------------ */

/* uint64_t probe(VMArrayCall target, callee, caller, values, capacity): calls target with marks in the callee-saved registers; bit n of the result:
 * register n is not what it was; bit 16: target returned true */
static uint32_t emit_probe(void)
{
    static const X64Gpr saved[] = {RBX, R12, R13, R14, R15};
    wr_x64_function_begin(&as);
    x64_pushq_r(&as, RBP);
    x64_movq_rr(&as, RBP, RSP);
    for (int i = 0; i < 5; i++) x64_pushq_r(&as, saved[i]);
    x64_subq_ri(&as, RSP, 8);
    for (int i = 0; i < 5; i++) x64_movq_ri(&as, saved[i], 0x5a00 + i);
    x64_movq_rr(&as, RAX, RDI);
    x64_movq_rr(&as, RDI, RSI);
    x64_movq_rr(&as, RSI, RDX);
    x64_movq_rr(&as, RDX, RCX);
    x64_movq_rr(&as, RCX, R8);
    x64_call_r(&as, RAX);
    x64_movzbl_rr(&as, RAX, RAX);
    x64_shll_ri(&as, RAX, 16);
    for (int i = 0; i < 5; i++) {
        X64Label same = x64_label_new(&as);
        x64_cmpq_ri(&as, saved[i], 0x5a00 + i);
        x64_jcc(&as, X64_CC_E, same);
        x64_orl_ri(&as, RAX, 1 << saved[i]);
        x64_label_bind(&as, same);
    }
    x64_leaq_rm(&as, RSP, x64_mem_b(RBP, -40));
    for (int i = 4; i >= 0; i--) x64_popq_r(&as, saved[i]);
    x64_popq_r(&as, RBP);
    x64_ret(&as);
    return emitted(wr_x64_function_end(&as) == X64_OK);
}

typedef uint64_t Probe(VMArrayCall target, void *callee, void *caller, ValRaw *values, size_t capacity);

static void trap_restores_registers(void)
{
    const ValType params[] = {I64, V128, F32, I32, I32, I32, I32, I32, V128}, results[] = {I64, I64, V128};
    WrSignature signature = {params, 9, results, 3};
    static const X64Gpr clobbered[] = {RAX, RBX, RCX, RDX, RBP, RSI, R8, R9, R10, R12, R13, R14, R15};
    code_open();
    wr_x64_function_begin(&as); /* a callee deep in its frame, all registers lost, that unwinds */
    uint32_t callee = as.function_offset;
    x64_subq_ri(&as, RSP, 4096 + 8);
    x64_movq_rm(&as, R11, x64_mem_b(RDI, WR_OFFSET(VMContextHeader, store)));
    for (unsigned i = 0; i < sizeof clobbered / sizeof clobbered[0]; i++) x64_movq_ri(&as, clobbered[i], 0x6600 + (int32_t)i);
    x64_movq_rm(&as, RSP, x64_mem_b(R11, WR_OFFSET(VMStoreContext, last_entry)));
    x64_zero_r(&as, R11);
    x64_jmp_m(&as, x64_mem_b(RSP, 0));
    REQUIRE(wr_x64_function_end(&as) == X64_OK);
    uint32_t body = emitted(wr_tramp_emit_entry(&as, &signature));
    uint32_t stub = emitted(wr_tramp_emit_entry_stub(&as, body, callee));
    uint32_t probe_offset = emit_probe();
    code_seal();
    VMHostContext context = host_context(NULL);
    VMEntryRecord outer = {0};
    store.last_entry = &outer;
    store.exit_fp = &outer;
    ValRaw values[9] = {{0}};
    Probe *probe = (Probe *)(uintptr_t)(text + probe_offset);
    CHECK_EQ(probe(array_call_at(stub), &context, NULL, values, 9), 0);
    CHECK(store.last_entry == &outer && store.exit_fp == &outer);
    CHECK_EQ(num_overflows, 0);

    store.real_stack_limit = UINTPTR_MAX; /* no stack: nothing is called or linked */
    CHECK_EQ(probe(array_call_at(stub), &context, NULL, values, 9), 0);
    CHECK_EQ(num_overflows, 1);
    CHECK(store.last_entry == &outer && store.exit_fp == &outer);
    code_close();
}

static VMArrayCall nested_entry;
static uint32_t host_offset;
static int depth_reached;

/* values[0]: depth. Enters itself until the depth is 0; there it fails if values[1] is set. A failure below counts as 1000. */
static bool nest(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    (void)caller, (void)capacity;
    VMEntryRecord *entry = store.last_entry;
    void **exit_fp = store.exit_fp;
    int32_t depth = values[0].i32, fails = values[1].i32;
    depth_reached++;
    /* the frame chain: host call trampoline, entry trampoline, and on to C frames */
    CHECK(exit_fp[0] == entry->entry_fp);
    CHECK((uintptr_t)exit_fp[1] > (uintptr_t)text && (uintptr_t)exit_fp[1] < (uintptr_t)text + text_bytes);
    if (depth == 0) return !fails;
    ValRaw inner[2] = {{.i32 = depth - 1}, {.i32 = fails}};
    bool ok = nested_entry(callee, callee, inner, 2);
    CHECK(store.last_entry == entry);
    CHECK(store.exit_fp == exit_fp);
    values[0].i32 = ok ? inner[0].i32 + 1 : 1000;
    return true;
}

static bool host_that_leaves_an_entry_open(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    (void)callee, (void)caller, (void)values, (void)capacity;
    static VMEntryRecord other;
    store.last_entry = &other;
    return true;
}

static void nested_entries(void)
{
    const ValType params[] = {I32, I32}, results[] = {I32};
    WrSignature signature = {params, 2, results, 1};
    code_open();
    host_offset = emitted(wr_tramp_emit_host_call(&as, &signature));
    uint32_t body = emitted(wr_tramp_emit_entry(&as, &signature));
    uint32_t stub = emitted(wr_tramp_emit_entry_stub(&as, body, host_offset));
    uint32_t array = emitted(wr_tramp_emit_host_array_call(&as));
    uint32_t probe_offset = emit_probe();
    code_seal();
    VMHostContext context = host_context(nest);
    Probe *probe = (Probe *)(uintptr_t)(text + probe_offset);
    nested_entry = array_call_at(stub);
    ValRaw values[2] = {{.i32 = 40}, {.i32 = 0}};
    CHECK_EQ(probe(array_call_at(stub), &context, NULL, values, 2), 1 << 16);
    CHECK_EQ(values[0].i32, 40);
    CHECK_EQ(depth_reached, 41);
    values[0].i32 = 3, values[1].i32 = 1; /* the innermost unwinds to its own entry only */
    CHECK_EQ(probe(array_call_at(stub), &context, NULL, values, 2), 1 << 16);
    CHECK_EQ(values[0].i32, 1002);
    values[0].i32 = 0;
    CHECK_EQ(probe(array_call_at(stub), &context, NULL, values, 2), 0);
    CHECK(store.last_entry == NULL);

    CHECK_EQ(num_order, 0);
    context.call = host_that_leaves_an_entry_open;
    CHECK_EQ(probe(array_call_at(stub), &context, NULL, values, 2), 0);
    CHECK_EQ(num_order, 1);
    CHECK(store.last_entry == NULL);

    CHECK(array_call_at(array)((VMContext *)&context, NULL, values, 2));
    code_close();
}

static void same_signature_same_bytes(void)
{
    const ValType params[] = {I32, V128, F64}, results[] = {F32, F32};
    WrSignature signature = {params, 3, results, 2};
    code_open();
    uint32_t first = emitted(wr_tramp_emit_entry(&as, &signature)), second = emitted(wr_tramp_emit_entry(&as, &signature));
    CHECK_BYTES(as.code.start + first, as.code.start + second, x64_offset(&as) - second);
    wr_x64_asm_free(&as);
}

int main(void)
{
    RUN(random_signatures);
    RUN(too_long_signature_is_refused);
    RUN(entry_calls_c);
    RUN(c_calls_host);
    RUN(trap_restores_registers);
    RUN(nested_entries);
    RUN(same_signature_same_bytes);
    return check_result();
}
