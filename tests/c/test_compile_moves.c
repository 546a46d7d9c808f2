/* The parallel move, on the machine itself: random moves between all registers that the compiler allocates, with cycles, fans and constants, are
 * emitted into a function that loads every register from an array, does them, and stores every register; the result is compared with a model.
 * Then the places of the allocator: what it evicts and spills is where the state says. */
#include "check.h"

#include "compile/state.h"
#include "os/pages.h"

enum { SLOTS = 32 };

static uint32_t random_state = 12345;
static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % bound;
}

static ModuleCompiler module_compiler;
static WrError compile_error;
static Asm as;

static void run(uint64_t *slots)
{
    size_t bytes = wr_os_round_to_pages(x64_offset(&as));
    uint8_t *text = wr_os_alloc(bytes);
    REQUIRE(text != NULL);
    memcpy(text, as.code.start, x64_offset(&as));
    REQUIRE(wr_os_protect(text, bytes, WR_OS_READ_EXECUTE));
    void (*code)(uint64_t *) = NULL;
    memcpy(&code, &text, sizeof code);
    code(slots);
    wr_os_release(text, bytes);
}

static const uint8_t kept[] = {RBX, R12, R13, R14};

/* r14 = the array; every allocatable register from it */
static void begin(void)
{
    wr_x64_function_begin(&as);
    x64_pushq_r(&as, RBP);
    for (unsigned i = 0; i < sizeof kept; i++) x64_pushq_r(&as, (X64Gpr)kept[i]);
    x64_movq_rr(&as, R14, RDI);
    for (uint32_t set = REGS_ALL; set; set &= set - 1) {
        Reg reg = (Reg)__builtin_ctz(set);
        X64Mem slot = x64_mem_b(R14, reg * 8);
        if (reg < 16) x64_movq_rm(&as, REG_GPR(reg), slot);
        else x64_movsd_xm(&as, REG_XMM(reg), slot);
    }
}

static void end(void)
{
    for (uint32_t set = REGS_ALL; set; set &= set - 1) {
        Reg reg = (Reg)__builtin_ctz(set);
        X64Mem slot = x64_mem_b(R14, reg * 8);
        if (reg < 16) x64_movq_mr(&as, slot, REG_GPR(reg));
        else x64_movsd_mx(&as, slot, REG_XMM(reg));
    }
    for (unsigned i = sizeof kept; i-- > 0;) x64_popq_r(&as, (X64Gpr)kept[i]);
    x64_popq_r(&as, RBP);
    x64_ret(&as);
    REQUIRE(wr_x64_function_end(&as) == X64_OK);
}

static Reg random_reg(uint32_t class_regs)
{
    for (;;) {
        Reg reg = (Reg)random_below(32);
        if (class_regs & REG_BIT(reg)) return reg;
    }
}

static void parallel_moves(void)
{
    FuncCompiler fc;
    cg_init(&fc, &as, &module_compiler);
    for (int round = 0; round < 400; round++) {
        uint64_t slots[SLOTS], expected[SLOTS];
        for (unsigned i = 0; i < SLOTS; i++) slots[i] = expected[i] = (uint64_t)(i + 1) * UINT64_C(0x0101010101010101);
        Moves moves;
        cg_moves_init(&moves);
        wr_x64_asm_clear(&as);
        begin();
        uint32_t count = random_below(24), written = 0;
        for (uint32_t i = 0; i < count; i++) {
            bool is_float = random_below(2);
            uint32_t class_regs = is_float ? REGS_XMM : REGS_GPR;
            Reg dst = random_reg(class_regs), src = random_reg(class_regs);
            if (written & REG_BIT(dst)) continue;
            written |= REG_BIT(dst);
            uint32_t kind = random_below(8);
            if (kind == 0) {
                uint64_t bits = random_below(3) ? (uint64_t)random_below(1u << 24) << random_below(40) : 0;
                cg_moves_add(&fc, &moves, dst, (Val){.kind = VAL_CONST, .type = is_float ? WR_KIND_F64 : WR_KIND_I64, .bits = bits});
                expected[dst] = bits;
            } else {
                bool narrow = !is_float && kind == 1 && src != dst;
                cg_moves_add_reg(&moves, is_float ? WR_KIND_F64 : narrow ? WR_KIND_I32 : WR_KIND_I64, dst, src);
                expected[dst] = narrow ? (uint32_t)slots[src] : slots[src];
            }
        }
        cg_moves_emit(&fc, &moves);
        end();
        run(slots);
        for (uint32_t set = REGS_ALL; set; set &= set - 1) {
            int reg = __builtin_ctz(set);
            if (slots[reg] != expected[reg])
                CHECK_FAIL("round %d: register %d is %llx, not %llx", round, reg, (unsigned long long)slots[reg], (unsigned long long)expected[reg]);
        }
    }
    cg_free(&fc);
}

/* A function's state by hand: three integer locals and a stack. */
static void allocator(void)
{
    FuncCompiler fc;
    cg_init(&fc, &as, &module_compiler);
    Val stack[32];
    enum { ROWS = 3 + WASM_SPARE_LOCALS };
    uint8_t types[ROWS] = {WR_KIND_I32, WR_KIND_I64, WR_KIND_F64};
    Reg regs[ROWS], prefs[ROWS];
    memset(regs, REG_NONE, sizeof regs);
    memset(prefs, REG_NONE, sizeof prefs);
    uint32_t aliases[ROWS] = {0};
    int32_t homes[ROWS] = {0}, slot_homes[32] = {0};
    WasmGatherLocal gathered[ROWS] = {{0}};
    WasmFuncInfo info = {.num_locals = 3, .num_params = 3, .locals = gathered};
    fc.stack = stack;
    fc.local_type = types;
    fc.local_reg = regs;
    fc.local_pref = prefs;
    fc.local_aliases = aliases;
    fc.local_home = homes;
    fc.slot_home = slot_homes;
    fc.num_locals = 3;
    fc.info = &info;
    fc.error = &compile_error;
    fc.loop = fc.outer_loop = fc.hint = fc.zero_at = UINT32_MAX;
    fc.frame_bytes = FRAME_SAVE_BYTES;
    wr_x64_asm_clear(&as);
    wr_x64_function_begin(&as);

    Reg first = cg_alloc(&fc, REGS_GPR);
    cg_local_set(&fc, 0, (Val){.kind = VAL_REG, .type = WR_KIND_I32, .reg = first});
    fc.lock = 0;
    CHECK_EQ(regs[0], first);
    CHECK(fc.rs.dirty & REG_BIT(first));
    cg_push_local(&fc, 0);
    cg_state_verify(&fc);

    /* setting the local while it is on the stack: the entry keeps the old value's register */
    fc.lock = 0;
    cg_local_set(&fc, 0, (Val){.kind = VAL_CONST, .type = WR_KIND_I32, .bits = 7});
    fc.lock = 0;
    CHECK_EQ(stack[0].kind, VAL_REG);
    CHECK_EQ(stack[0].reg, first);
    CHECK(regs[0] != REG_NONE && regs[0] != first);
    CHECK_EQ(aliases[0], 0u);
    cg_state_verify(&fc);

    /* more values than registers: the deepest entries go to their slots, the local keeps home or register */
    for (int i = 0; i < 20; i++) {
        fc.lock = 0;
        Reg reg = cg_alloc(&fc, REGS_GPR);
        cg_push_reg(&fc, WR_KIND_I64, reg);
        fc.lock = 0;
        cg_state_verify(&fc);
    }
    CHECK_EQ(stack[0].kind, VAL_SLOT);
    CHECK_EQ(stack[20].kind, VAL_REG);
    CHECK(regs[0] != REG_NONE || homes[0] != 0);

    /* taking a certain register moves or spills its owner */
    Reg wanted = stack[20].reg;
    cg_take(&fc, wanted);
    fc.lock = 0;
    CHECK(stack[20].kind == VAL_SLOT || stack[20].reg != wanted);
    cg_state_verify(&fc);

    while (fc.sp) {
        cg_pop(&fc);
        fc.lock = 0;
    }
    CHECK_EQ(fc.stk, 0u);
    cg_state_verify(&fc);
    CHECK(!x64_failed(&as));
    fc.stack = NULL;
    fc.local_type = fc.local_reg = fc.local_pref = NULL;
    fc.local_aliases = NULL;
    fc.local_home = fc.slot_home = NULL;
    cg_free(&fc);
}

int main(void)
{
    static WasmModule module;
    module_compiler.module = &module;
    wr_x64_asm_init(&as, X64_CPU_BASELINE);
    RUN(parallel_moves);
    RUN(allocator);
    wr_x64_asm_free(&as);
    return check_result();
}
