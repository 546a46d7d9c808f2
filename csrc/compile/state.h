/* The abstract state of the second pass, and what the files of this room share (everything named cg_*: hidden, used in this folder only).
 *
 * Code is emitted front to back over validated bytes. What wasm calls the operand stack exists only here: each entry (Val) is a constant, a register,
 * an alias of a local (local.get emits nothing), or its frame slot. A local is in its home (a frame slot, or the caller's stack argument), in a
 * register, or in both; a register whose local has a stale home is dirty. A register has one owner: a local or one stack entry; the operands of the
 * instruction at hand are locked.
 *
 * Where control flow meets, the state is fixed (RegState): which locals are in which registers, and which of those are dirty. A forward label takes the
 * state of the first branch to it and is weakened by later ones (clean registers may be dropped, clean ones become dirty), which costs the earlier branches
 * nothing; a loop's state is chosen at its header from the first pass's weights: its hot locals are pinned, that is, they have a preferred register
 * which results are computed into directly and which others take last. Stack entries below a block are slots, constants or aliases of locals
 * that the block does not assign, so that no branch has to move them. One result travels in a register, several in their slots.
 *
 * Constant, compare and address folding looks ahead at the next opcode instead of keeping pending values in the state: what an instruction
 * leaves behind is always a plain Val. An i32 in a register is zero-extended unless its bit in `upper` is set (parameters and results of calls);
 * those are cleaned at control flow and before use as an address.
 *
 * Integer expressions that an innermost loop does not change are computed before it (hoist.c), into locals of the compiler's own. */
#ifndef WR_COMPILE_STATE_H
#define WR_COMPILE_STATE_H

#include <assert.h>
#include <emmintrin.h>
#include <string.h>

#include "compile/compile.h"
#include "tramp/tramp.h"
#include "wasm/gather.h"
#include "wasm/reader.h"
#include "x64/asm.h"

typedef uint8_t Reg; /* 0-15: X64Gpr; 16-31: X64Xmm + 16 */
#define REG_NONE ((Reg)0xff)
#define REG_BIT(r) ((uint32_t)1 << (r))
#define REG_GPR(r) ((X64Gpr)(r))
#define REG_XMM(r) ((X64Xmm)((r) - 16))
#define XMM_REG(x) ((Reg)((x) + 16))

/* Roles. r11 and xmm15 are never live between instructions; rax, rcx and rdx are what is left for temporaries where all else is pinned. */
#define REG_VMCTX R14
#define REG_MEMORY R15
#define REG_SCRATCH R11
#define REG_XSCRATCH XMM15
#define REGS_GPR 0x37cfu               /* rax rcx rdx rbx rsi rdi r8 r9 r10 r12 r13 */
#define REGS_XMM 0x7fff0000u           /* xmm0-14 */
#define REGS_CALLEE_SAVED 0x3008u      /* rbx r12 r13: allocatable and kept by callees */
#define REGS_PINNABLE_GPR (REGS_GPR & ~0x7u)
#define REGS_PINNABLE_XMM 0x7ff00000u  /* xmm4-14 */
#define REGS_ALL (REGS_GPR | REGS_XMM)

typedef enum ValKind { VAL_SLOT, VAL_REG, VAL_CONST, VAL_LOCAL } ValKind;

typedef struct Val {
    uint8_t kind; /* ValKind */
    uint8_t type; /* WR_KIND_* */
    Reg reg;      /* VAL_REG */
    uint8_t reserved;
    uint32_t index; /* VAL_LOCAL: the local; VAL_SLOT: the stack position whose slot it is */
    uint64_t bits;  /* VAL_CONST; an i32 is zero-extended; a v128: 0, or the offset of its 16 bytes in the module */
} Val;

typedef struct RegState {
    uint32_t locals; /* registers that hold a local */
    uint32_t dirty;  /* those whose local's home is stale */
    uint16_t local[32];
} RegState;

/* Registers that hold the same local in both. */
static inline uint32_t cg_state_same(const RegState *a, const RegState *b)
{
    uint32_t same = 0;
    for (uint32_t half = 0; half < 2; half++) {
        const __m128i *x = (const __m128i *)(const void *)(a->local + 16 * half), *y = (const __m128i *)(const void *)(b->local + 16 * half);
        __m128i low = _mm_cmpeq_epi16(_mm_loadu_si128(x), _mm_loadu_si128(y)), high = _mm_cmpeq_epi16(_mm_loadu_si128(x + 1), _mm_loadu_si128(y + 1));
        same |= (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high)) << 16 * half;
    }
    return same & a->locals & b->locals;
}

/* A condition in the flags. */
typedef struct Cond {
    uint8_t cc; /* X64Cond */
    uint8_t parity; /* 0; COND_AND_NP: and not unordered; COND_OR_P: or unordered */
} Cond;
enum { COND_AND_NP = 1, COND_OR_P = 2 };

typedef enum ControlKind { CONTROL_FUNC, CONTROL_BLOCK, CONTROL_LOOP, CONTROL_IF, CONTROL_ELSE, CONTROL_TRY } ControlKind;

typedef struct Control {
    uint8_t kind;
    bool fixed;       /* `state` says what holds at the label */
    Reg result_reg;   /* one result: where it is at the label */
    X64Label label, else_label;
    uint32_t height;  /* stack below the parameters */
    uint32_t outer_stable; /* `stable` once the block is closed */
    uint32_t num_params, num_results;
    const ValType *params, *results;
    ValType single;   /* what `results` points to for a one-type block type */
    uint32_t outer_loop; /* index of the loop around this one, or UINT32_MAX; loops only */
    uint32_t fuel_site, fuel_ops; /* loops: those of what is around it */
    uint32_t num_catches, outer_handler; /* try_tables: the handler of what is around it */
    uint32_t table_stamp; X64Label table_label; bool table_edge; /* where the br_table with this stamp goes */
    uint32_t pins;    /* loops: registers given to locals; those not in state.locals are to locals whose value at the header nobody reads */
    RegState state, else_state;
} Control;

/* Bytes of an innermost loop whose work was done before it: their value is in `local`. */
typedef enum HoistSiteKind { HOIST_SITE_VALUE, HOIST_SITE_SET, HOIST_SITE_TEE } HoistSiteKind;
typedef struct HoistSite { const uint8_t *start, *end; uint32_t local; uint8_t kind; } HoistSite;
enum { HOIST_SITES = 64, CG_LOOP_LOCALS = 32, CG_LOOP_GPRS = 8 /* of the pinnable ones */ };
#define CG_NO_SITE ((const uint8_t *)UINTPTR_MAX)

/* Code after the function's end, reached by a jump. */
/* LATE_POLL: asks whether the loop is to stop. LATE_LAZY: a null in r11 that may be none is looked up; LATE_NULL: then traps if it is; LATE_SETTLE: all of a table is, LATE_WRITE: it may be stored to, and
 * r11 is its VMTableDef again. */
typedef enum LateKind { LATE_TRAP, LATE_INTERRUPT, LATE_POLL, LATE_TAIL, LATE_ALLOC, LATE_SUBTYPE, LATE_LAZY, LATE_NULL, LATE_SETTLE, LATE_WRITE } LateKind;
typedef struct Late { uint8_t kind; uint8_t trap_code; uint32_t wasm_offset; X64Label label, back; uint32_t func, arg_bytes; /* of a tail call */ uint32_t table; Reg index; /* of builtin LAZY; no register: the function itself */ uint32_t bytes; Reg reg; /* of an object */ } Late;
#define CG_TAIL_RAX UINT32_MAX

/* The way from the landing pad of a catch to its label, emitted after the body: loads of the locals that the label wants in registers. */
typedef struct Pad {
    X64Label label;
    uint32_t handler;             /* row */
    uint32_t first_load, num_loads;
    uint32_t height, num_values;  /* what the label takes, the exnref included; the position of the first */
    const ValType *types;         /* of the values */
    Reg result_reg;               /* REG_NONE: values go to their slots */
    bool with_ref, returns;       /* returns: the label is the function's */
} Pad;
typedef struct PadLoad { uint32_t local; Reg reg; } PadLoad;

typedef struct CgAbi { uint32_t num_params, num_results; const ValType *param_types, *result_types; AbiLayout layout; } CgAbi;

/* What is the same for all functions of a module. */
typedef struct ModuleCompiler {
    const WasmModule *module;
    WrTunables tunables;
    VMOffsets offsets;
    CgAbi *abis;      /* by type index */
    AbiSlot *abi_slots;
    bool *lazy_tables; /* by table index: wr_elems_may_be_lazy */
    uint32_t *field_offsets; /* by index into valtypes: of fields of structs in their objects; NULL: the module has none */
    uint32_t *object_bytes;  /* by type index: of structs */
    bool careful;     /* for careful functions: see func_alone in func.c */
    bool avx, avx2, fma, bmi1, bmi2, lzcnt, popcnt;
} ModuleCompiler;

enum { STUB_INTERRUPT_ENTRY, STUB_INTERRUPT_LOOP, STUB_LAZY, STUB_ALLOC, STUB_COUNT }; /* shared code of a module, see stubs.c */

typedef struct FuncCompiler {
    Asm *as; /* owned by the worker */
    const ModuleCompiler *mc;
    const WasmFuncInfo *info;
    const CgAbi *abi; /* of the function being compiled */
    WrError *error;
    uint32_t func_index;
    uint32_t fuel_site, fuel_ops; /* offset of the amount that the innermost loop (or the function) charges, instructions seen for it */
    const uint8_t *ip;       /* behind the opcode (and immediates) being compiled */
    const uint8_t *op_start;
    const uint8_t *bytes;    /* the module's: offsets count from here */
    bool dead;               /* the code at ip cannot be reached */
    bool uses_memory_base, uses_vmctx, makes_calls, failed;

    Val *stack; uint32_t sp, cap_stack;
    uint32_t stable;         /* entries below it are slots or constants (or aliases of before the open block: control_stabilise) */
    Control *ctl; uint32_t depth, cap_ctl; /* ctl[depth - 1] is the innermost */
    uint32_t next_block;     /* row of WasmFuncInfo.blocks */
    uint32_t loop;           /* innermost loop's index in ctl, UINT32_MAX outside */
    uint32_t outer_loop;     /* outermost one's */
    uint32_t table_stamp;

    RegState rs;
    uint32_t stk;            /* registers owned by stack entries */
    uint32_t lock;           /* registers that the instruction at hand uses */
    uint32_t pins;           /* preferred registers of the open loop's hot locals */
    uint32_t upper;          /* GPRs whose i32 may have garbage above */
    uint32_t ever;           /* registers ever allocated */
    uint32_t victim;         /* round robin of evictions */
    uint64_t virgin;         /* locals (modulo 64) that are still the zero they started as, nowhere stored */
    uint32_t hint;           /* local that the following local.set/tee assigns, while its register is computed into */
    uint32_t zero_at;        /* code offset behind an instruction that left zero_reg's zero flag; UINT32_MAX: unknown */
    Reg zero_reg; uint8_t zero_type;
    bool flags_live;         /* the flags hold a condition: only moves may be emitted */
    uint32_t reg_stack[32];  /* stack position of registers in stk */

    uint8_t *local_type; Reg *local_reg, *local_pref; uint32_t *local_aliases; int32_t *local_home; uint32_t cap_locals;
    uint32_t num_locals;
    int32_t *slot_home; uint32_t cap_slots; /* by stack position; 0: not placed yet */
    int32_t *wide_home; uint32_t cap_wide;  /* the same for v128s, which have slots of their own; valid once wide_slots is set */
    bool wide_slots;
    int32_t frame_bytes;     /* below rbp, so far */
    int32_t area_home;       /* where the pointer to the result area is kept; 0: none */
    int32_t call_area;       /* result area of calls made here: lowest address; 0: none */
    int32_t call_area_bytes;

    /* hoist.c: of the open innermost loop */
    const uint8_t *site_at;  /* the next site's start, or CG_NO_SITE */
    uint32_t num_sites, next_site;
    uint32_t num_hoisted;    /* locals of the compiler's own in use: from num_locals on */
    uint32_t hoist_loop;     /* the loop's index in ctl, UINT32_MAX: none */
    HoistSite sites[HOIST_SITES];

    Late *late; uint32_t num_late, cap_late;
    TrapRow *traps; uint32_t num_traps, cap_traps; /* of all functions of this worker; offsets into the Asm's code */
    AddrRow *addrs; uint32_t num_addrs, cap_addrs;
    HandlerRow *handlers; uint32_t num_handlers, cap_handlers; /* of all functions of this worker; `next` counts in this array */
    Pad *pads; uint32_t num_pads, cap_pads; /* of this function */
    PadLoad *loads; uint32_t num_loads, cap_loads;
    uint32_t handler;        /* the first that a throw here asks, or HANDLER_NONE */
    X64Label epilogue, unwind, thrown;
    bool unwind_used, thrown_used;
    bool catches;            /* the function has a handler */
    const uint8_t *lent, *lent_end; /* what lies there is not malloc's */
} FuncCompiler;

enum { FRAME_SAVE_BYTES = 40, FRAME_CATCH_BYTES = 48 }; /* r14 r15 rbx r12 r13, right below rbp; then the VMContext, where there is a handler */

/* ---- types ---------------------------------------------------------------------------------------------------------------- */

static inline bool cg_is_float(uint8_t type) { return type >= WR_KIND_F32 && type <= WR_KIND_V128; }
static inline uint32_t cg_class(uint8_t type) { return cg_is_float(type) ? REGS_XMM : REGS_GPR; }
static inline bool cg_is_64(uint8_t type) { return type == WR_KIND_I64 || type == WR_KIND_REF; }
static inline bool cg_fits_i32(uint8_t type, uint64_t bits) { return type == WR_KIND_I32 || bits == (uint64_t)(int64_t)(int32_t)(uint32_t)bits; }

/* ---- failure -------------------------------------------------------------------------------------------------------------- */

void cg_fail(FuncCompiler *fc, WrErrorKind kind, const char *message);
/* Room for `want` items in an array whose capacity is *cap; contents kept. */
bool cg_grow(FuncCompiler *fc, void **array, uint32_t *cap, uint32_t want, size_t item_bytes);
static inline bool cg_room(FuncCompiler *fc, void **array, uint32_t *cap, uint32_t want, size_t item_bytes)
{
    return want <= *cap || cg_grow(fc, array, cap, want, item_bytes);
}
/* The local is still the zero it started as: it has no place at all. */
static inline bool cg_is_virgin(const FuncCompiler *fc, uint32_t local)
{
    return (fc->virgin >> (local & 63u) & 1) && local >= fc->info->num_params && fc->info->locals[local].needs_zero;
}

static inline uint32_t cg_offset(const FuncCompiler *fc) { return (uint32_t)(fc->op_start - fc->bytes); }

/* Nothing behind the instruction at hand reads the local; said outside of loops, and of labels outside of them (`depth` in ctl). */
static inline bool cg_is_dead(const FuncCompiler *fc, uint32_t local, uint32_t depth)
{
    if (local >= fc->num_locals) return depth < fc->hoist_loop; /* labels outside of their loop */
    return fc->outer_loop >= depth && fc->info->locals[local].last_get <= cg_offset(fc) && fc->local_aliases[local] == 0;
}

/* ---- state.c: places, registers, the stack ---------------------------------------------------------------------------------- */

int32_t cg_local_place(FuncCompiler *fc, uint32_t local); /* gives it its home */
static inline X64Mem cg_local_mem(FuncCompiler *fc, uint32_t local)
{
    int32_t home = fc->local_home[local];
    return x64_mem_b(RBP, home != 0 ? home : cg_local_place(fc, local));
}
X64Mem cg_slot_mem(FuncCompiler *fc, uint8_t type, uint32_t position);
int32_t cg_frame_take(FuncCompiler *fc, int32_t bytes); /* disp from rbp of new space, from 16 bytes on at a multiple of 16 */

void cg_load(FuncCompiler *fc, uint8_t type, Reg dst, X64Mem src);
void cg_store(FuncCompiler *fc, uint8_t type, X64Mem dst, Reg src);
void cg_move(FuncCompiler *fc, uint8_t type, Reg dst, Reg src);
void cg_const(FuncCompiler *fc, uint8_t type, Reg dst, uint64_t bits);
X64Mem cg_v128_pool(FuncCompiler *fc, uint64_t bits); /* of a v128 constant that is not zero */
void cg_store_const(FuncCompiler *fc, uint8_t type, X64Mem dst, uint64_t bits);

Reg cg_alloc(FuncCompiler *fc, uint32_t candidates); /* locked */
Reg cg_take(FuncCompiler *fc, Reg reg);   /* this register: its owner moves away; locked */
void cg_evict_local(FuncCompiler *fc, Reg reg);
void cg_forget_local(FuncCompiler *fc, uint32_t local); /* nobody wants its value: its register is free */
void cg_spill_stack(FuncCompiler *fc, Reg reg);
void cg_spill_at(FuncCompiler *fc, uint32_t position); /* whatever it is: into its slot */
void cg_unalias(FuncCompiler *fc, uint32_t local); /* stack entries get their own copy: the local is about to change */
void cg_unvirgin(FuncCompiler *fc, uint64_t classes, uint32_t except);
void cg_clean_upper(FuncCompiler *fc);
void cg_truncate(FuncCompiler *fc, uint32_t height); /* drops stack entries */
void cg_state_load(FuncCompiler *fc, const RegState *state);
void cg_state_verify(FuncCompiler *fc);

Reg cg_reg(FuncCompiler *fc, Val *v);     /* the value in a register, which must not be changed unless *v is VAL_REG; locked */
Reg cg_reg_zext(FuncCompiler *fc, Val *v); /* the same, upper bits of an i32 are zero */
Reg cg_own(FuncCompiler *fc, Val *v);     /* the value in a register of its own, which may be changed */
bool cg_is_mem(FuncCompiler *fc, const Val *v); /* better used as a memory operand */
X64Mem cg_mem(FuncCompiler *fc, const Val *v);
void cg_local_set(FuncCompiler *fc, uint32_t local, Val v);
void cg_local_assign(FuncCompiler *fc, uint32_t local, Reg reg);

/* Where the result of this type goes: the register of the local that the next instruction sets, else `reuse`, else a new one. */
Reg cg_dest(FuncCompiler *fc, uint8_t type, Reg reuse);
/* The result is in dst: pushes it, or carries out the local.set/tee that cg_dest saw. */
void cg_finish(FuncCompiler *fc, uint8_t type, Reg dst);

static inline Val cg_pop(FuncCompiler *fc)
{
    assert(fc->sp > 0);
    Val v = fc->stack[--fc->sp];
    if (v.kind == VAL_REG) {
        fc->stk &= ~REG_BIT(v.reg);
        fc->lock |= REG_BIT(v.reg);
    } else if (v.kind == VAL_LOCAL) {
        fc->local_aliases[v.index]--;
        if (fc->local_reg[v.index] != REG_NONE) fc->lock |= REG_BIT(fc->local_reg[v.index]);
    }
    if (fc->sp < fc->stable) fc->stable = fc->sp;
    return v;
}

static inline void cg_push_reg(FuncCompiler *fc, uint8_t type, Reg reg)
{
    fc->stk |= REG_BIT(reg);
    fc->reg_stack[reg] = fc->sp;
    fc->stack[fc->sp++] = (Val){.kind = VAL_REG, .type = type, .reg = reg};
}

static inline void cg_push_const(FuncCompiler *fc, uint8_t type, uint64_t bits)
{
    fc->stack[fc->sp++] = (Val){.kind = VAL_CONST, .type = type, .bits = bits};
}

static inline void cg_push_local(FuncCompiler *fc, uint32_t local)
{
    fc->local_aliases[local]++;
    fc->stack[fc->sp++] = (Val){.kind = VAL_LOCAL, .type = fc->local_type[local], .index = local};
}

/* A popped value goes back (to the same or another position). */
void cg_push_val(FuncCompiler *fc, Val v);

static inline Reg cg_reuse(const Val *v) { return v->kind == VAL_REG ? v->reg : REG_NONE; }

/* ---- moves.c --------------------------------------------------------------------------------------------------------------- */

/* A parallel move into registers. Sources in registers are read before anything is overwritten; memory and constants come last. */
typedef struct Moves {
    uint32_t dst;   /* registers still to be written from registers */
    uint32_t late;  /* registers to be loaded from memory or constants */
    Reg src[32];
    uint8_t type[32];
    Val val[32];
} Moves;

static inline void cg_moves_init(Moves *moves) { moves->dst = moves->late = 0; }
void cg_moves_add_reg(Moves *moves, uint8_t type, Reg dst, Reg src);
void cg_moves_add(FuncCompiler *fc, Moves *moves, Reg dst, Val v);
void cg_moves_emit(FuncCompiler *fc, Moves *moves);
/* v to memory, by way of scratch registers where it must. */
void cg_store_val(FuncCompiler *fc, X64Mem dst, Val v);

/* ---- control.c -------------------------------------------------------------------------------------------------------------- */

static inline Cond cg_cond(X64Cond cc) { return (Cond){(uint8_t)cc, 0}; }
static inline Cond cg_cond_negate(Cond c) { return (Cond){(uint8_t)(c.cc ^ 1u), (uint8_t)(c.parity ? 3 - c.parity : 0)}; }
void cg_jump_if(FuncCompiler *fc, Cond cond, X64Label label);
void cg_block(FuncCompiler *fc, ControlKind kind);
void cg_if(FuncCompiler *fc, Cond cond);  /* the flags hold cond; ip is at the block type */
void cg_else(FuncCompiler *fc);
void cg_end(FuncCompiler *fc);
void cg_br(FuncCompiler *fc, uint32_t depth);
void cg_br_if(FuncCompiler *fc, uint32_t depth, Cond cond);
void cg_br_table(FuncCompiler *fc);
void cg_return(FuncCompiler *fc);
/* A condition was computed into the flags: gives it to the br_if, if or select that follows, else makes an i32 of it. */
void cg_cond_result(FuncCompiler *fc, Cond cond);
void cg_select(FuncCompiler *fc, Cond cond); /* pops two */
void cg_op_select(FuncCompiler *fc);
void cg_op_br_if(FuncCompiler *fc);
void cg_op_br_on_null(FuncCompiler *fc, WasmOp op); /* and br_on_non_null */
void cg_op_if(FuncCompiler *fc);

/* ---- hoist.c ------------------------------------------------------------------------------------------------------------------- */

/* At the header of a loop, whose control is pushed: computes what is invariant in it. The locals that the loop uses with their weights, the compiler's
 * own included, heaviest first, go to `weights` (room for CG_LOOP_LOCALS); returns how many. */
uint32_t cg_hoist(FuncCompiler *fc, const WasmBlockInfo *block, WasmLocalWeight *weights);
void cg_hoist_site(FuncCompiler *fc); /* ip has come to site_at, or past it */
void cg_hoist_end(FuncCompiler *fc);  /* at the end of a loop */

/* ---- poll.c -------------------------------------------------------------------------------------------------------------------- */

/* Of the innermost loop whose first instruction ip is at: a local that says where to ask whether to stop, by being zero in the bits of the mask; or UINT32_MAX. */
uint32_t cg_poll_find(const FuncCompiler *fc, const WasmBlockInfo *block, uint32_t *out_mask);
void cg_poll(FuncCompiler *fc, uint32_t local, uint32_t mask);

/* ---- late code and tables (func.c) -------------------------------------------------------------------------------------------- */

Late *cg_late(FuncCompiler *fc, LateKind kind, uint8_t trap_code); /* NULL: failed */
void cg_trap_if(FuncCompiler *fc, X64Cond cc, uint8_t trap_code);
/* r11 = element `index` of a table with lazy elements: if it is null, what it stands for. LATE_NULL: traps when that is null too. */
void cg_lazy_element(FuncCompiler *fc, LateKind kind, uint32_t table, Reg index);
/* Before `value` is stored in such a table, whose VMTableDef is in r11 and stays there. */
void cg_lazy_settle(FuncCompiler *fc, uint32_t table, Reg value);
/* Before an element of such a table is stored, whose VMTableDef is in r11 and stays there: traps out of bounds. */
void cg_lazy_write(FuncCompiler *fc, uint32_t table, Reg index);
/* r11 = the VMFuncRef of a function that the module defines. */
void cg_lazy_func(FuncCompiler *fc, uint32_t func);
X64Label cg_trap_label(FuncCompiler *fc, uint8_t trap_code); /* late code that traps */
void cg_trap(FuncCompiler *fc, uint8_t trap_code); /* here and now */
void cg_trap_row(FuncCompiler *fc, uint8_t trap_code); /* the next instruction may fault */
void cg_addr_row(FuncCompiler *fc);               /* the next instruction belongs to this place */
void cg_interrupt_check(FuncCompiler *fc, Reg store); /* store: holds the VMStoreContext, or REG_NONE */
void cg_fuel_begin(FuncCompiler *fc); /* charges for what follows, up to cg_fuel_end, each time code comes by */
void cg_fuel_end(FuncCompiler *fc);
/* The arguments of a tail call are in place, those on the stack at rsp: gives this frame up and goes to a function of this module, or to the one in rax. */
void cg_tail(FuncCompiler *fc, uint32_t func, uint32_t arg_bytes);
void cg_unwind_if_nonzero(FuncCompiler *fc); /* eax is a status */
/* Late code that makes an object of that size class: jumped to at its label, goes on at `back`. NULL: failed. */
Late *cg_late_alloc(FuncCompiler *fc, Reg object, uint32_t bytes);
/* call_indirect: the flags tell whether eax is the type id of the function at r11; traps unless it is, or (is_final: no matter) that of a supertype. */
void cg_trap_unless_subtype(FuncCompiler *fc, bool is_final);
int32_t cg_frame_size(const FuncCompiler *fc); /* what the prologue takes, so far */

/* ---- instructions --------------------------------------------------------------------------------------------------------------- */

void cg_op_alu(FuncCompiler *fc, uint8_t type, unsigned alu);
/* An integer at guest memory `mem` (of `bytes`, zero-extended) is read by the arithmetic or compare that follows, if one does that can. */
bool cg_int_load_op(FuncCompiler *fc, uint8_t type, uint32_t bytes, X64Mem mem);
/* The zero flag tells whether the value is zero, left by the instruction right before. */
bool cg_zero_flag_holds(const FuncCompiler *fc, const Val *v);
void cg_op_mul(FuncCompiler *fc, uint8_t type);
void cg_op_divrem(FuncCompiler *fc, uint8_t type, bool is_signed, bool is_rem);
void cg_op_wide(FuncCompiler *fc, WasmOp op); /* 128 bits in two i64s */
void cg_op_shift(FuncCompiler *fc, uint8_t type, unsigned shift);
void cg_op_compare(FuncCompiler *fc, uint8_t type, X64Cond cc);
void cg_op_eqz(FuncCompiler *fc, uint8_t type);
void cg_op_count(FuncCompiler *fc, uint8_t type, WasmOp op);
void cg_op_extend(FuncCompiler *fc, WasmOp op);
void cg_op_float_binary(FuncCompiler *fc, WasmOp op);
/* The f32 or f64 at guest memory `mem` is read by the arithmetic instruction that follows, if one does. */
bool cg_float_load_op(FuncCompiler *fc, bool is64, X64Mem mem);
void cg_op_float_unary(FuncCompiler *fc, WasmOp op);
void cg_op_float_compare(FuncCompiler *fc, WasmOp op);
void cg_op_convert(FuncCompiler *fc, WasmOp op);
void cg_op_load(FuncCompiler *fc, WasmOp op);
void cg_op_store(FuncCompiler *fc, WasmOp op);
/* The memory operand of an access at a popped index (r11 may be its base: valid until r11 is used), and the trap row right before it. */
typedef struct MemoryAccess { X64Mem mem; bool faults; } MemoryAccess;
MemoryAccess cg_memory_access(FuncCompiler *fc, Val *index, const WasmMemArg *arg, uint32_t bytes);
void cg_memory_row(FuncCompiler *fc, const MemoryAccess *access);
void cg_op_memory(FuncCompiler *fc, WasmOp op);
void cg_op_table(FuncCompiler *fc, WasmOp op);
void cg_op_global(FuncCompiler *fc, WasmOp op);
void cg_op_ref(FuncCompiler *fc, WasmOp op);
void cg_op_call(FuncCompiler *fc, WasmOp op);
void cg_op_gc(FuncCompiler *fc, WasmOp op);   /* ref.eq, all with prefix 0xFB */
void cg_op_simd(FuncCompiler *fc, WasmOp op); /* all with prefix 0xFD */

/* calls.c: nothing above stays only in registers that a callee may change; `args` is the stack position of its first argument */
void cg_call_save(FuncCompiler *fc, uint32_t args);
/* calls.c: a result area of calls made here, in the frame: its disp from rbp */
int32_t cg_call_area(FuncCompiler *fc, int32_t bytes);
/* calls.c: a builtin's integer arguments are the topmost stack entries, after `num_leading` constants. Pops them, leaves the result in rax. */
void cg_call_builtin(FuncCompiler *fc, uint32_t builtin, const uint32_t *leading, uint32_t num_leading, uint32_t num_args);
/* calls.c: its arguments but the VMContext are in place, operands from `args` on were saved; leaves the result in rax. */
void cg_call_builtin_placed(FuncCompiler *fc, uint32_t builtin, uint32_t args);
void cg_func_entry(FuncCompiler *fc); /* parameters become locals */
void cg_return_moves(FuncCompiler *fc);
bool cg_return_is_plain(FuncCompiler *fc); /* no move is needed */

/* ---- exceptions.c ------------------------------------------------------------------------------------------------------------- */

void cg_try_table(FuncCompiler *fc);
void cg_try_end(FuncCompiler *fc, const Control *c);
void cg_op_throw(FuncCompiler *fc, WasmOp op);
void cg_emit_pads(FuncCompiler *fc); /* after the body */

/* ---- func.c, stubs.c ------------------------------------------------------------------------------------------------------------- */

typedef struct CompiledFunc { uint32_t start, length; } CompiledFunc; /* in the Asm's code */
void cg_op(FuncCompiler *fc, WasmOp op); /* one instruction; ip is behind its opcode */
void cg_init(FuncCompiler *fc, Asm *as, const ModuleCompiler *mc);
void cg_free(FuncCompiler *fc);
/* The body was validated and `info` is what that pass gathered. */
bool cg_func(FuncCompiler *fc, uint32_t func_index, const WasmFuncInfo *info, CompiledFunc *out_func, WrError *error);
void cg_emit_stub(Asm *as, uint32_t stub);

#endif
