/* Traps, backtraces, interrupts and signal handlers, on machine code written here, so that they do not wait for a compiler: a module whose functions
 * trap in every way, fault handlers before and after ours, and crashes that are none of ours. */
#include "check.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/thread.h"
#include "tramp/tramp.h"
#include "vm/objects.h"

/* (module (import "h" "f" (func)) (memory (export "m") 1 2) (func ...) x 8, exported as "a" .. "h"); the bodies are ours */
static const uint8_t wasm[] = {
    0, 'a', 's', 'm', 1, 0, 0, 0,
    1, 9, 2, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f,
    2, 7, 1, 1, 'h', 1, 'f', 0, 0,
    3, 9, 8, 0, 1, 0, 0, 1, 0, 0, 0,
    5, 4, 1, 1, 1, 2,
    7, 37, 9, 1, 'a', 0, 1, 1, 'b', 0, 2, 1, 'c', 0, 3, 1, 'd', 0, 4, 1, 'e', 0, 5, 1, 'f', 0, 6, 1, 'g', 0, 7, 1, 'h', 0, 8, 1, 'm', 2, 0,
    10, 25, 8, 2, 0, 0x0b, 2, 0, 0x0b, 2, 0, 0x0b, 2, 0, 0x0b, 2, 0, 0x0b, 2, 0, 0x0b, 2, 0, 0x0b, 2, 0, 0x0b,
};
enum { NUM_FUNCS = 8, UNREACHABLE = 0, LOAD, CALL_HOST, CALL_UNREACHABLE, DIVIDE, LOOP, RECURSE, FILL };

static const WrTunables tunables = { .cpu_features = X64_CPU_BASELINE, .memory_reservation = UINT64_C(1) << 32, .memory_guard_bytes = 1 << 25,
                                     .guarded_memories = 1, .signals_based_traps = 1, .interruptible = 1 };

static Asm as;
static VMOffsets offsets;
static TrapRow traps[16];
static uint32_t num_traps;
static CodeMemory *code;
static WrTypeRegistry *registry;
static const uint32_t *type_ids;
static WrStore *store;
static WrInstance *instance;

/* ---- the module ----------------------------------------------------------------------------------------------------------- */

static void trap_here(uint32_t trap_code) { traps[num_traps++] = (TrapRow){ x64_offset(&as), trap_code }; }

static void prologue(void)
{
    wr_x64_room(&as, CODE_MARK_BYTES);
    wr_x64_function_begin(&as);
    x64_pushq_r(&as, RBP);
    x64_movq_rr(&as, RBP, RSP);
    x64_subq_ri(&as, RSP, 16);
    x64_movq_mr(&as, x64_mem_b(RBP, -8), RDI);
}

static void epilogue(void)
{
    x64_leave(&as);
    x64_ret(&as);
}

static void call_builtin(int builtin)
{
    x64_movq_rm(&as, RAX, x64_mem_b(RDI, WR_OFFSET(VMContextHeader, builtins)));
    x64_call_m(&as, x64_mem_b(RAX, 8 * builtin));
    x64_movq_rm(&as, RDI, x64_mem_b(RBP, -8));
}

static void unwind(void)
{
    x64_movq_rm(&as, R11, x64_mem_b(RDI, WR_OFFSET(VMContextHeader, store)));
    x64_movq_rm(&as, RSP, x64_mem_b(R11, WR_OFFSET(VMStoreContext, last_entry)));
    x64_jmp_m(&as, x64_mem_b(RSP, WR_OFFSET(VMEntryRecord, landing_pc)));
}

/* Compares the interrupt word, and again after the slow path was served. */
static void check(void)
{
    X64Label again = x64_label_here(&as), fine = x64_label_new(&as);
    x64_movq_rm(&as, R11, x64_mem_b(RDI, WR_OFFSET(VMContextHeader, store)));
    x64_cmpq_rm(&as, RSP, x64_mem_b(R11, WR_OFFSET(VMStoreContext, stack_limit)));
    x64_jcc(&as, X64_CC_AE, fine);
    call_builtin(WR_BUILTIN_INTERRUPT);
    x64_testl_rr(&as, RAX, RAX);
    x64_jcc(&as, X64_CC_E, again);
    unwind();
    x64_label_bind(&as, fine);
}

static void emit(int func, const FunctionLoc *funcs)
{
    X64Label loop;
    prologue();
    switch (func) {
    case UNREACHABLE:
        trap_here(TRAP_UNREACHABLE);
        x64_ud2(&as);
        break;
    case LOAD:
        x64_movq_rm(&as, RAX, x64_mem_b(RDI, (int32_t)offsets.memories));
        x64_movl_rr(&as, RDX, RDX);
        trap_here(TRAP_MEMORY_OUT_OF_BOUNDS);
        x64_movl_rm(&as, RAX, x64_mem_bi(RAX, RDX, 1, 0));
        break;
    case CALL_HOST:
        x64_movq_rr(&as, RSI, RDI);
        x64_movq_rm(&as, RAX, x64_mem_b(RDI, (int32_t)offsets.func_imports + WR_OFFSET(VMFuncImport, wasm_call)));
        x64_movq_rm(&as, RDI, x64_mem_b(RDI, (int32_t)offsets.func_imports + WR_OFFSET(VMFuncImport, vmctx)));
        x64_call_r(&as, RAX);
        break;
    case CALL_UNREACHABLE: {
        X64Label target = x64_label_new(&as);
        as.labels[target.id].offset = funcs[UNREACHABLE].start;
        x64_call_label(&as, target);
        break;
    }
    case DIVIDE:
        x64_movl_rr(&as, RCX, RDX);
        x64_movl_ri(&as, RAX, 100);
        x64_cdq(&as);
        trap_here(TRAP_INTEGER_DIVISION_BY_ZERO);
        x64_idivl_r(&as, RCX);
        break;
    case LOOP:
        loop = x64_label_here(&as);
        check();
        x64_jmp(&as, loop);
        break;
    case RECURSE:
        loop = x64_label_new(&as);
        as.labels[loop.id].offset = as.function_offset;
        check();
        x64_call_label(&as, loop);
        break;
    default: /* memory.fill one byte past the end */
        x64_movl_ri(&as, RSI, 0);
        x64_movl_ri(&as, RDX, 65530);
        x64_movl_ri(&as, RCX, 1);
        x64_movl_ri(&as, R8, 7);
        call_builtin(WR_BUILTIN_MEMORY_FILL);
        X64Label fine = x64_label_new(&as);
        x64_testl_rr(&as, RAX, RAX);
        x64_jcc(&as, X64_CC_E, fine);
        unwind();
        x64_label_bind(&as, fine);
        break;
    }
    epilogue();
}

static FunctionLoc emitted(bool ok)
{
    REQUIRE(ok);
    return (FunctionLoc){ as.function_offset, x64_offset(&as) - as.function_offset };
}

static void build(void)
{
    WrError error = { 0 };
    WasmModule *module;
    REQUIRE(wr_module_decode(wasm, sizeof wasm, WASM_FEATURES_DEFAULT, &module, &error));
    wr_vm_offsets(module, &offsets);
    wr_x64_asm_init(&as, X64_CPU_BASELINE);
    static FunctionLoc funcs[NUM_FUNCS], array_calls[NUM_FUNCS], host_calls[2];
    static AddrRow addrs[NUM_FUNCS];
    const ValType i32 = WR_VALTYPE_I32;
    const WrSignature none = { 0 }, unary = { &i32, 1, &i32, 1 };
    for (int i = 0; i < NUM_FUNCS; i++) {
        emit(i, funcs);
        funcs[i] = emitted(wr_x64_function_end(&as) == X64_OK);
        addrs[i] = (AddrRow){ funcs[i].start, 1000 + (uint32_t)i };
    }
    uint32_t entry_none = emitted(wr_tramp_emit_entry(&as, &none)).start, entry_unary = emitted(wr_tramp_emit_entry(&as, &unary)).start;
    for (int i = 0; i < NUM_FUNCS; i++) {
        wr_x64_room(&as, CODE_MARK_BYTES);
        array_calls[i] = emitted(wr_tramp_emit_entry_stub(&as, i == LOAD || i == DIVIDE ? entry_unary : entry_none, funcs[i].start));
    }
    wr_x64_room(&as, CODE_MARK_BYTES);
    host_calls[0] = emitted(wr_tramp_emit_host_call(&as, &none));
    wr_x64_room(&as, CODE_MARK_BYTES);
    host_calls[1] = emitted(wr_tramp_emit_host_call(&as, &unary));
    CompiledModule compiled = { .text = as.code.start, .text_bytes = x64_offset(&as), .funcs = funcs, .num_funcs = NUM_FUNCS, .array_calls = array_calls,
                                .num_array_calls = NUM_FUNCS, .host_calls = host_calls, .num_host_calls = 2, .traps = traps, .num_traps = num_traps,
                                .addrs = addrs, .num_addrs = NUM_FUNCS };
    const WasmModule *modules[] = { module };
    const CompiledModule *all[] = { &compiled };
    WrImageInput input = { .kind = WR_IMAGE_MODULE, .tunables = &tunables, .wasm_features = WASM_FEATURES_DEFAULT, .modules = modules, .compiled = all, .num_modules = 1 };
    bool built = wr_image_build(&input, &code, &error);
    if (!built) CHECK_FAIL("%s", error.message);
    REQUIRE(built);
    wr_module_free(module);
    wr_x64_asm_free(&as);
    REQUIRE(wr_types_register_module(registry, wr_code_module(code, 0, NULL), &type_ids, &error));
}

/* ---- calling -------------------------------------------------------------------------------------------------------------- */

static bool (*host_body)(void);
static bool host_call(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    (void)values, (void)capacity;
    CHECK(caller == wr_instance_vmctx(instance));
    CHECK_EQ(vm_header(callee)->magic, WR_VMCTX_MAGIC_HOST);
    return host_body == NULL || host_body();
}

static void instantiate(void)
{
    WrError error = { 0 };
    store = wr_store_new(registry, 256 << 10, NULL, &error);
    REQUIRE(store != NULL);
    WrExtern import = { .kind = WASM_EXTERN_FUNC };
    import.func = wr_host_func_new(store, type_ids[0], host_call, NULL, &error);
    REQUIRE(import.func != NULL);
    bool made = wr_instance_new(store, code, 0, type_ids, &import, 1, &instance, &error);
    if (!made) CHECK_FAIL("%s", error.message);
    REQUIRE(made);
}

/* The trap code, or -1 and the result. */
static int64_t call(int func, int32_t argument, int32_t *out_result)
{
    ValRaw values[1] = { { .i64 = (int64_t)0x5555555500000000 | (uint32_t)argument } }; /* garbage above */
    char name = (char)('a' + func);
    WrExtern found = { 0 };
    WrEntry entry;
    REQUIRE(wr_instance_export(instance, &name, 1, &found));
    REQUIRE(wr_store_enter(store, &entry) == WR_ENTER_OK);
    bool ok = found.func->array_call(found.func->vmctx, NULL, values, 1);
    wr_store_leave(store, &entry);
    if (out_result != NULL) *out_result = values[0].i32;
    return ok ? -1 : (int64_t)wr_store_context(store)->trap_code;
}

/* Checks the functions of the backtrace, which end with -1. */
static void frames_are(const int *expected)
{
    WrFrame frames[VM_MAX_TRAP_FRAMES];
    size_t count = wr_store_backtrace(store, frames, VM_MAX_TRAP_FRAMES), i = 0;
    for (; expected[i] >= 0; i++) {
        if (i >= count) break;
        CHECK_EQ(frames[i].place.func_index, expected[i] + 1);
        CHECK_EQ(frames[i].place.module_offset, 1000 + expected[i]);
    }
    CHECK_EQ(expected[i], -1);
    CHECK_EQ(count, i);
}
#define FRAMES(...) frames_are((const int[]){ __VA_ARGS__, -1 })

static void explicit_traps(void)
{
    CHECK_EQ(call(UNREACHABLE, 0, NULL), TRAP_UNREACHABLE);
    FRAMES(UNREACHABLE);
    CHECK_EQ(call(CALL_UNREACHABLE, 0, NULL), TRAP_UNREACHABLE);
    FRAMES(UNREACHABLE, CALL_UNREACHABLE);
    CHECK(wr_store_context(store)->last_entry == NULL);
}

static void memory_faults(void)
{
    WrExtern memory;
    int32_t result;
    REQUIRE(wr_instance_export(instance, "m", 1, &memory));
    wr_memory_def(memory.memory)->base[65532] = 42;
    CHECK_EQ(call(LOAD, 65532, &result), -1);
    CHECK_EQ(result, 42);
    CHECK_EQ(call(LOAD, 65533, NULL), TRAP_MEMORY_OUT_OF_BOUNDS);
    FRAMES(LOAD);
    CHECK_EQ(wr_store_context(store)->trap_address, (uintptr_t)wr_memory_def(memory.memory)->base + 65536);
    CHECK_EQ(call(LOAD, -1, NULL), TRAP_MEMORY_OUT_OF_BOUNDS);
    CHECK_EQ(wr_memory_grow(memory.memory, 1), 1);
    CHECK_EQ(call(LOAD, 65536, &result), -1);
    CHECK_EQ(result, 0);
    CHECK_EQ(call(LOAD, 131072, NULL), TRAP_MEMORY_OUT_OF_BOUNDS);
}

static void divisions(void)
{
    int32_t result;
    CHECK_EQ(call(DIVIDE, 7, &result), -1);
    CHECK_EQ(result, 14);
    CHECK_EQ(call(DIVIDE, 0, NULL), TRAP_INTEGER_DIVISION_BY_ZERO);
    FRAMES(DIVIDE);
}

static void builtins_trap(void)
{
    CHECK_EQ(call(FILL, 0, NULL), TRAP_MEMORY_OUT_OF_BOUNDS);
    FRAMES(FILL);
}

static void stack_overflow(void)
{
    CHECK_EQ(call(RECURSE, 0, NULL), TRAP_STACK_OVERFLOW);
    WrFrame frames[VM_MAX_TRAP_FRAMES];
    CHECK_EQ(wr_store_backtrace(store, frames, VM_MAX_TRAP_FRAMES), VM_MAX_TRAP_FRAMES);
    CHECK_EQ(frames[VM_MAX_TRAP_FRAMES - 1].place.func_index, RECURSE + 1);
    /* the guest was given 256 KiB */
    uintptr_t depth = (uintptr_t)&frames - wr_store_context(store)->trap_fp;
    CHECK(depth > (200 << 10) && depth < (300 << 10));
    CHECK_EQ(call(RECURSE, 0, NULL), TRAP_STACK_OVERFLOW);
}

/* ---- hosts ---------------------------------------------------------------------------------------------------------------- */

static bool host_fails(void)
{
    WrFrame frames[4];
    CHECK_EQ(wr_store_callers(store, frames, 4), 1);
    CHECK_EQ(frames[0].place.func_index, CALL_HOST + 1);
    wr_store_trap(store, TRAP_HOST);
    return false;
}

static bool host_calls_back(void)
{
    WrFrame frames[8];
    host_body = NULL;
    CHECK_EQ(call(CALL_HOST, 0, NULL), -1);
    CHECK_EQ(call(CALL_UNREACHABLE, 0, NULL), TRAP_UNREACHABLE);
    FRAMES(UNREACHABLE, CALL_UNREACHABLE, CALL_HOST);
    CHECK_EQ(wr_store_callers(store, frames, 8), 1);
    host_body = host_fails;
    return true;
}

static bool host_calls_back_and_fails(void)
{
    host_calls_back();
    wr_store_trap(store, TRAP_HOST);
    return false;
}

static void hosts(void)
{
    host_body = NULL;
    CHECK_EQ(call(CALL_HOST, 0, NULL), -1);
    host_body = host_fails;
    CHECK_EQ(call(CALL_HOST, 0, NULL), TRAP_HOST);
    FRAMES(CALL_HOST);
    host_body = host_calls_back;
    CHECK_EQ(call(CALL_HOST, 0, NULL), -1);
    host_body = host_calls_back_and_fails;
    CHECK_EQ(call(CALL_HOST, 0, NULL), TRAP_HOST);
    FRAMES(CALL_HOST);
    host_body = NULL;
}

/* Recursion over the host: guest -> host -> guest ..., until an entry finds no stack. */
static int host_depth, host_trap;
static bool host_recurses(void)
{
    host_depth++;
    int64_t trap = call(CALL_HOST, 0, NULL);
    if (trap >= 0) host_trap = (int)trap;
    return trap < 0;
}

static void nested_entries_run_out_of_stack(void)
{
    host_body = host_recurses;
    host_depth = host_trap = 0;
    CHECK_EQ(call(CALL_HOST, 0, NULL), TRAP_STACK_OVERFLOW);
    CHECK_EQ(host_trap, TRAP_STACK_OVERFLOW);
    CHECK(host_depth > 50);
    host_body = NULL;
}

/* ---- interrupts ----------------------------------------------------------------------------------------------------------- */

static int ticks_wanted, ticks;
static int on_interrupt(WrStore *interrupted, void *host)
{
    WrFrame frames[4];
    (void)host;
    CHECK(interrupted == store);
    CHECK_EQ(wr_store_callers(store, frames, 4), 1);
    CHECK_EQ(frames[0].place.func_index, LOOP + 1);
    if (++ticks < ticks_wanted) return 0;
    wr_store_trap(interrupted, TRAP_INTERRUPT);
    return 1;
}

static void interrupts(void)
{
    WrHooks hooks = { .interrupt = on_interrupt }, none = { 0 };
    wr_set_hooks(&hooks);
    ticks = 0;
    ticks_wanted = 5;
    CHECK_EQ(call(LOOP, 0, NULL), TRAP_INTERRUPT);
    FRAMES(LOOP);
    CHECK_EQ(ticks, 5);
    wr_set_hooks(&none);
}

/* ---- signals that are not ours -------------------------------------------------------------------------------------------- */

static int child(void (*body)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit no_core = { 0, 0 };
        setrlimit(RLIMIT_CORE, &no_core);
        alarm(20);
        body();
        _exit(check_failures ? 1 : 0);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void __attribute__((noinline)) crash(void)
{
    *(volatile int *)(uintptr_t)16 = 1;
}

static bool host_crashes(void)
{
    crash();
    return true;
}

static void crash_in_host(void)
{
    host_body = host_crashes;
    call(CALL_HOST, 0, NULL);
}

/* A fault at a place that is no memory of the store: guest code gone wrong is not a trap. */
static void crash_in_guest(void)
{
    VM_ARRAY(instance, VMMemoryImport, memories)[0].base = NULL;
    call(LOAD, 16, NULL);
}

static void plain_handler(int signal)
{
    _exit(signal == SIGSEGV ? 42 : 43);
}

static void info_handler(int signal, siginfo_t *info, void *context)
{
    (void)context;
    _exit(signal == SIGSEGV && (uintptr_t)info->si_addr == 16 ? 44 : 45);
}

static void install_before(void)
{
    WrError error = { 0 };
    struct sigaction action = { .sa_handler = plain_handler };
    sigaction(SIGSEGV, &action, NULL);
    CHECK(wr_signals_install(&error));
    CHECK_EQ(call(LOAD, -1, NULL), TRAP_MEMORY_OUT_OF_BOUNDS);
    crash_in_host();
}

static void install_info_before(void)
{
    WrError error = { 0 };
    struct sigaction action = { .sa_flags = SA_SIGINFO };
    action.sa_sigaction = info_handler;
    sigaction(SIGSEGV, &action, NULL);
    CHECK(wr_signals_install(&error));
    CHECK_EQ(call(LOAD, -1, NULL), TRAP_MEMORY_OUT_OF_BOUNDS);
    crash_in_guest();
}

static void ignore_before(void)
{
    WrError error = { 0 };
    signal(SIGSEGV, SIG_IGN);
    CHECK(wr_signals_install(&error));
    CHECK(kill(getpid(), SIGSEGV) == 0);
    CHECK_EQ(call(LOAD, -1, NULL), TRAP_MEMORY_OUT_OF_BOUNDS);
    crash();
}

static void default_before(void)
{
    WrError error = { 0 };
    CHECK(wr_signals_install(&error));
    CHECK_EQ(call(UNREACHABLE, -1, NULL), TRAP_UNREACHABLE);
    crash();
}

static void default_before_and_sent(void)
{
    WrError error = { 0 };
    CHECK(wr_signals_install(&error));
    kill(getpid(), SIGBUS);
}

/* What faulthandler does: say something, put back what was there, raise again. */
static struct sigaction handler_before;
static int handler_rounds;
static void raising_handler(int signal)
{
    handler_rounds++;
    sigaction(signal, &handler_before, NULL);
    raise(signal);
}

static void install_raising(void)
{
    struct sigaction action = { .sa_handler = raising_handler, .sa_flags = SA_NODEFER };
    sigaction(SIGSEGV, &action, &handler_before);
}

static void faulthandler_after(void)
{
    WrError error = { 0 };
    CHECK(wr_signals_install(&error));
    install_raising();
    /* it meets the fault first, once; then the fault is ours */
    CHECK_EQ(call(LOAD, -1, NULL), TRAP_MEMORY_OUT_OF_BOUNDS);
    CHECK_EQ(handler_rounds, 1);
    CHECK_EQ(call(LOAD, -1, NULL), TRAP_MEMORY_OUT_OF_BOUNDS);
    CHECK_EQ(handler_rounds, 1);
}

static void faulthandler_after_with_a_new_store(void)
{
    WrError error = { 0 };
    CHECK(wr_signals_install(&error));
    install_raising();
    usleep(20000); /* new stores look every few milliseconds */
    instantiate();
    CHECK_EQ(call(LOAD, -1, NULL), TRAP_MEMORY_OUT_OF_BOUNDS);
    CHECK_EQ(handler_rounds, 0);
    /* a crash goes through theirs, which puts back ours and raises: the default action ends it */
    crash_in_host();
}

static void on_an_alternate_stack(void)
{
    WrError error = { 0 };
    size_t bytes = 64 << 10;
    stack_t stack = { .ss_sp = malloc(bytes), .ss_size = bytes };
    CHECK(sigaltstack(&stack, NULL) == 0);
    CHECK(wr_signals_install(&error));
    for (int i = 0; i < 3; i++) CHECK_EQ(call(LOAD, -1, NULL), TRAP_MEMORY_OUT_OF_BOUNDS);
    CHECK_EQ(call(CALL_UNREACHABLE, -1, NULL), TRAP_UNREACHABLE);
    FRAMES(UNREACHABLE, CALL_UNREACHABLE);
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, NULL);
    free(stack.ss_sp);
}

static void *trap_elsewhere(void *argument)
{
    (void)argument;
    CHECK_EQ(call(LOAD, -1, NULL), TRAP_MEMORY_OUT_OF_BOUNDS);
    CHECK_EQ(call(RECURSE, 0, NULL), TRAP_STACK_OVERFLOW);
    return NULL;
}

static void on_another_thread(void)
{
    pthread_t thread;
    WrError error = { 0 };
    CHECK(wr_signals_install(&error));
    REQUIRE(wr_os_thread_start(&thread, trap_elsewhere, NULL, 512 << 10));
    wr_os_thread_join(thread);
}

static void signals(void)
{
    CHECK_EQ(child(install_before), 42);
    CHECK_EQ(child(install_info_before), 44);
    CHECK_EQ(child(ignore_before), -SIGSEGV);
    CHECK_EQ(child(default_before), -SIGSEGV);
    CHECK_EQ(child(default_before_and_sent), -SIGBUS);
    CHECK_EQ(child(faulthandler_after), 0);
    CHECK_EQ(child(faulthandler_after_with_a_new_store), -SIGSEGV);
    CHECK_EQ(child(on_an_alternate_stack), 0);
    CHECK_EQ(child(on_another_thread), 0);
}

int main(void)
{
    WrError error = { 0 };
    registry = wr_types_new();
    build();
    instantiate();
    RUN(signals); /* in children, before this process has handlers */
    REQUIRE(wr_signals_install(&error));
    RUN(explicit_traps);
    RUN(builtins_trap);
    RUN(memory_faults);
    RUN(divisions);
    RUN(stack_overflow);
    RUN(hosts);
    RUN(nested_entries_run_out_of_stack);
    RUN(interrupts);
    wr_store_free(store);
    wr_code_release(code);
    wr_types_release(registry);
    return check_result();
}
