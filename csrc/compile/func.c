/* One function: the second pass's loop over instructions, the code around the body, traps and their tables.
 *
 * The body is emitted first, behind room for the prologue, which is written last, when it is known what the frame holds and which registers the
 * body used. Everything that is rarely run (traps, interrupts, stack overflow) comes after the body. There is one epilogue. */
#include <stdio.h>
#include <stdlib.h>

#include "compile/state.h"

enum { PROLOGUE_ROOM = 96, STACK_CHECK_SLACK = 1024 /* a frame up to this is not counted in the check: the reserve below the limit is for such things */ };

/* Where callee-saved registers are kept, below rbp. */
enum { SAVE_VMCTX = -8, SAVE_MEMORY = -16, SAVE_RBX = -24, SAVE_R12 = -32, SAVE_R13 = -40 };
_Static_assert(WR_FRAME_VMCTX == -FRAME_CATCH_BYTES, "the runtime finds it there");

void cg_fail(FuncCompiler *fc, WrErrorKind kind, const char *message)
{
    if (!fc->failed) {
        wr_error_set(fc->error, kind, cg_offset(fc), "%s", message);
        fc->error->func_index = fc->func_index;
    }
    fc->failed = true;
}

static bool func_is_lent(const FuncCompiler *fc, const void *array) { return (const uint8_t *)array >= fc->lent && (const uint8_t *)array < fc->lent_end; }

bool cg_grow(FuncCompiler *fc, void **array, uint32_t *cap, uint32_t want, size_t item_bytes)
{
    uint32_t new_cap = *cap < 64 ? 64 : *cap * 2;
    if (new_cap < want) new_cap = want;
    bool lent = func_is_lent(fc, *array);
    void *bigger = realloc(lent ? NULL : *array, (size_t)new_cap * item_bytes);
    if (!bigger) {
        cg_fail(fc, WR_ERROR_MEMORY, "out of memory while compiling");
        return false;
    }
    if (lent) memcpy(bigger, *array, *cap * item_bytes);
    *array = bigger;
    *cap = new_cap;
    return true;
}

/* ---- tables --------------------------------------------------------------------------------------------------------------------- */

static inline void func_trap_row(FuncCompiler *fc, uint32_t trap_code)
{
    if (fc->num_traps == fc->cap_traps && !cg_room(fc, (void **)&fc->traps, &fc->cap_traps, fc->num_traps + 1, sizeof *fc->traps)) return;
    fc->traps[fc->num_traps++] = (TrapRow){x64_offset(fc->as), trap_code};
}

static inline void func_addr_row(FuncCompiler *fc, uint32_t wasm_offset)
{
    if (fc->num_addrs && fc->addrs[fc->num_addrs - 1].wasm_offset == wasm_offset) return;
    if (fc->num_addrs == fc->cap_addrs && !cg_room(fc, (void **)&fc->addrs, &fc->cap_addrs, fc->num_addrs + 1, sizeof *fc->addrs)) return;
    fc->addrs[fc->num_addrs++] = (AddrRow){x64_offset(fc->as), wasm_offset};
}

void cg_addr_row(FuncCompiler *fc) { func_addr_row(fc, cg_offset(fc)); }

void cg_trap_row(FuncCompiler *fc, uint8_t trap_code)
{
    func_addr_row(fc, cg_offset(fc));
    func_trap_row(fc, trap_code);
}

/* ---- late code ---------------------------------------------------------------------------------------------------------------------- */

Late *cg_late(FuncCompiler *fc, LateKind kind, uint8_t trap_code)
{
    if (!cg_room(fc, (void **)&fc->late, &fc->cap_late, fc->num_late + 1, sizeof *fc->late)) return NULL;
    Late *late = &fc->late[fc->num_late++];
    *late = (Late){.kind = (uint8_t)kind, .trap_code = trap_code, .wasm_offset = cg_offset(fc), .label = x64_label_new(fc->as)};
    return late;
}

static void emit_trap(FuncCompiler *fc, uint8_t trap_code)
{
    if (fc->mc->tunables.signals_based_traps) {
        func_trap_row(fc, trap_code);
        x64_ud2(fc->as);
        return;
    }
    x64_movl_ri(fc->as, RSI, trap_code);
    x64_movq_rr(fc->as, RDI, REG_VMCTX);
    x64_movq_rm(fc->as, RAX, x64_mem_b(REG_VMCTX, WR_OFFSET(VMContextHeader, builtins)));
    x64_call_m(fc->as, x64_mem_b(RAX, (int32_t)(WR_BUILTIN_TRAP * sizeof(void *))));
    x64_jmp(fc->as, fc->unwind);
}

static void trap_uses(FuncCompiler *fc)
{
    if (fc->mc->tunables.signals_based_traps) return;
    fc->uses_vmctx = fc->makes_calls = fc->unwind_used = true;
}

void cg_trap_if(FuncCompiler *fc, X64Cond cc, uint8_t trap_code)
{
    trap_uses(fc);
    Late *late = cg_late(fc, LATE_TRAP, trap_code);
    if (late) x64_jcc(fc->as, cc, late->label);
}

static Late *lazy_late(FuncCompiler *fc, LateKind kind, X64Cond cc, uint32_t table, uint32_t func, Reg index)
{
    fc->uses_vmctx = fc->makes_calls = true;
    if (kind == LATE_NULL || kind == LATE_WRITE) trap_uses(fc);
    Late *late = cg_late(fc, kind, kind == LATE_WRITE ? TRAP_TABLE_OUT_OF_BOUNDS : TRAP_INDIRECT_CALL_TO_NULL);
    if (!late) return NULL;
    late->table = table;
    late->func = func;
    late->index = index;
    x64_jcc(fc->as, cc, late->label);
    late->back = x64_label_here(fc->as);
    return late;
}

void cg_lazy_element(FuncCompiler *fc, LateKind kind, uint32_t table, Reg index)
{
    x64_testq_rr(fc->as, REG_SCRATCH, REG_SCRATCH);
    lazy_late(fc, kind, X64_CC_E, table, 0, index);
}

void cg_lazy_settle(FuncCompiler *fc, uint32_t table, Reg value)
{
    x64_testq_rr(fc->as, REG_GPR(value), REG_GPR(value));
    lazy_late(fc, LATE_SETTLE, X64_CC_E, table, 0, REG_NONE);
}

void cg_lazy_write(FuncCompiler *fc, uint32_t table, Reg index)
{
    x64_cmpq_rm(fc->as, REG_GPR(index), x64_mem_b(REG_SCRATCH, WR_OFFSET(VMTableDef, writable)));
    lazy_late(fc, LATE_WRITE, X64_CC_AE, table, 0, index);
}

void cg_lazy_func(FuncCompiler *fc, uint32_t func)
{
    const uint32_t escape = fc->mc->module->funcs[func].escape_index;
    const int32_t in_chunk = (int32_t)(escape % VM_CHUNK_FUNC_REFS * sizeof(VMFuncRef));
    x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_VMCTX, (int32_t)(fc->mc->offsets.func_refs + escape / VM_CHUNK_FUNC_REFS * sizeof(VMFuncRef *))));
    x64_testq_rr(fc->as, REG_SCRATCH, REG_SCRATCH);
    Late *late = lazy_late(fc, LATE_LAZY, X64_CC_E, WR_LAZY_FUNC, func, REG_NONE);
    if (!late) return;
    if (in_chunk) x64_addq_ri(fc->as, REG_SCRATCH, in_chunk);
    x64_cmpq_mi(fc->as, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMFuncRef, vmctx)), 0);
    x64_jcc(fc->as, X64_CC_E, late->label);
    late->back = x64_label_here(fc->as);
}

X64Label cg_trap_label(FuncCompiler *fc, uint8_t trap_code)
{
    trap_uses(fc);
    Late *late = cg_late(fc, LATE_TRAP, trap_code);
    return late ? late->label : fc->epilogue; /* failed: whatever */
}

Late *cg_late_alloc(FuncCompiler *fc, Reg object, uint32_t bytes)
{
    fc->makes_calls = true;
    Late *late = cg_late(fc, LATE_ALLOC, 0);
    if (!late) return NULL;
    late->reg = object;
    late->bytes = bytes;
    return late;
}

void cg_trap_unless_subtype(FuncCompiler *fc, bool is_final)
{
    if (is_final) {
        cg_trap_if(fc, X64_CC_NE, TRAP_BAD_SIGNATURE);
        return;
    }
    trap_uses(fc);
    Late *late = cg_late(fc, LATE_SUBTYPE, TRAP_BAD_SIGNATURE);
    if (!late) return;
    x64_jcc(fc->as, X64_CC_NE, late->label);
    late->back = x64_label_here(fc->as);
}

void cg_trap(FuncCompiler *fc, uint8_t trap_code)
{
    trap_uses(fc);
    cg_addr_row(fc);
    emit_trap(fc, trap_code);
}

void cg_interrupt_check(FuncCompiler *fc, Reg store)
{
    if (!fc->mc->tunables.interruptible) return;
    fc->uses_vmctx = true;
    fc->makes_calls = true;
    Late *late = cg_late(fc, LATE_INTERRUPT, 0);
    if (!late) return;
    if (store == REG_NONE) {
        store = REG_SCRATCH;
        x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_VMCTX, WR_OFFSET(VMContextHeader, store)));
    }
    x64_cmpq_rm(fc->as, RSP, x64_mem_b(REG_GPR(store), WR_OFFSET(VMStoreContext, stack_limit)));
    x64_jcc(fc->as, X64_CC_B, late->label);
    late->back = x64_label_here(fc->as);
}

/* A loop or function charges the instructions of its own level at once, where it is entered; the amount is known at its end and patched in. */
void cg_fuel_begin(FuncCompiler *fc)
{
    if (!fc->mc->tunables.consume_fuel) return;
    fc->uses_vmctx = true;
    x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_VMCTX, WR_OFFSET(VMContextHeader, store)));
    x64_subq_mi(fc->as, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMStoreContext, fuel)), INT32_MAX);
    fc->fuel_site = x64_offset(fc->as) - 4;
    fc->fuel_ops = 0;
    cg_trap_if(fc, X64_CC_L, TRAP_OUT_OF_FUEL);
}

void cg_fuel_end(FuncCompiler *fc)
{
    if (fc->mc->tunables.consume_fuel) x64_patch32(fc->as, fc->fuel_site, (int32_t)fc->fuel_ops);
}

void cg_tail(FuncCompiler *fc, uint32_t func, uint32_t arg_bytes)
{
    Late *late = cg_late(fc, LATE_TAIL, 0);
    if (!late) return;
    late->func = func;
    late->arg_bytes = arg_bytes;
    fc->makes_calls = true;
    x64_jmp(fc->as, late->label);
}

void cg_unwind_if_nonzero(FuncCompiler *fc)
{
    fc->unwind_used = true;
    x64_testl_rr(fc->as, RAX, RAX);
    x64_jcc(fc->as, X64_CC_NE, fc->unwind);
}

/* ---- prologue, epilogue -------------------------------------------------------------------------------------------------------------------- */

typedef struct FrameSaves { Reg reg; int8_t home; } FrameSaves;
static const FrameSaves frame_saves[3] = {{RBX, SAVE_RBX}, {R12, SAVE_R12}, {R13, SAVE_R13}};

int32_t cg_frame_size(const FuncCompiler *fc)
{
    bool saves = fc->uses_vmctx || fc->uses_memory_base || (fc->ever & REGS_CALLEE_SAVED);
    if (!saves && fc->frame_bytes == FRAME_SAVE_BYTES) return 0;
    return (fc->frame_bytes + 15) & ~15;
}

static void emit_restores(FuncCompiler *fc)
{
    for (unsigned i = 0; i < 3; i++)
        if (fc->ever & REG_BIT(frame_saves[i].reg)) x64_movq_rm(fc->as, REG_GPR(frame_saves[i].reg), x64_mem_b(RBP, frame_saves[i].home));
    if (fc->uses_memory_base || fc->catches) x64_movq_rm(fc->as, REG_MEMORY, x64_mem_b(RBP, SAVE_MEMORY));
    if (fc->uses_vmctx) x64_movq_rm(fc->as, REG_VMCTX, x64_mem_b(RBP, SAVE_VMCTX));
}

static void emit_epilogue(FuncCompiler *fc)
{
    x64_label_bind(fc->as, fc->epilogue);
    emit_restores(fc);
    if (cg_frame_size(fc)) x64_leave(fc->as);
    else x64_popq_r(fc->as, RBP);
    if (fc->abi->layout.stack_arg_bytes) x64_ret_i(fc->as, (uint16_t)fc->abi->layout.stack_arg_bytes);
    else x64_ret(fc->as);
}

/* The callee finds its stack arguments and the return address where a caller of this function would have put them: so it pops what is its own, and the
 * caller finds rsp where it wants it. They are copied upwards, last first; xmm15, r10 and r11 hold no argument. */
static void emit_tail(FuncCompiler *fc, const Late *late)
{
    Asm *as = fc->as;
    int32_t shift = (int32_t)fc->abi->layout.stack_arg_bytes - (int32_t)late->arg_bytes;
    emit_restores(fc);
    if (shift) {
        x64_movq_rm(as, R10, x64_mem_b(RBP, 8));
        x64_movq_rm(as, REG_SCRATCH, x64_mem_b(RBP, 0));
    }
    for (int32_t at = (int32_t)late->arg_bytes; at > 0;) {
        at -= 16;
        x64_movups_xm(as, REG_XSCRATCH, x64_mem_b(RSP, at));
        x64_movups_mx(as, x64_mem_b(RBP, 16 + shift + at), REG_XSCRATCH);
    }
    if (shift) {
        x64_leaq_rm(as, RSP, x64_mem_b(RBP, 8 + shift));
        x64_movq_mr(as, x64_mem_b(RSP, 0), R10);
        x64_movq_rr(as, RBP, REG_SCRATCH);
    } else {
        x64_leave(as);
    }
    if (late->func == CG_TAIL_RAX) x64_jmp_r(as, RAX);
    else x64_jmp_reloc(as, CODE_RELOC_CALL_FUNC, late->func, 0);
}

static void emit_alloc(FuncCompiler *fc, const Late *late)
{
    x64_movl_ri(fc->as, REG_SCRATCH, (int32_t)late->bytes);
    x64_call_reloc(fc->as, CODE_RELOC_CALL_STUB, STUB_ALLOC, 0);
    x64_movq_rr(fc->as, REG_GPR(late->reg), REG_SCRATCH);
    x64_jmp(fc->as, late->back);
}

/* Up from the type of the function at r11; r10 holds no argument. */
static void emit_subtype(FuncCompiler *fc, const Late *late)
{
    x64_movl_rm(fc->as, R10, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMFuncRef, type_index)));
    X64Label loop = x64_label_here(fc->as);
    x64_shlq_ri(fc->as, R10, 2);
    x64_addq_rm(fc->as, R10, x64_mem_b(REG_VMCTX, WR_OFFSET(VMContextHeader, supertypes)));
    x64_movl_rm(fc->as, R10, x64_mem_b(R10, 0));
    x64_cmpl_rr(fc->as, R10, RAX);
    x64_jcc(fc->as, X64_CC_E, late->back);
    x64_testl_rr(fc->as, R10, R10);
    x64_jcc(fc->as, X64_CC_NE, loop);
    emit_trap(fc, late->trap_code);
}

/* ---- after the body --------------------------------------------------------------------------------------------------------------------------- */

static void emit_lazy(FuncCompiler *fc, const Late *late)
{
    x64_pushq_i(fc->as, (int32_t)late->table);
    if (late->kind == LATE_SETTLE) x64_movq_ri(fc->as, REG_SCRATCH, (int32_t)WR_LAZY_ALL);
    else if (late->kind == LATE_WRITE) x64_movq_ri(fc->as, REG_SCRATCH, (int32_t)WR_LAZY_WRITE);
    else if (late->index == REG_NONE) x64_movl_ri(fc->as, REG_SCRATCH, (int32_t)late->func);
    else x64_movq_rr(fc->as, REG_SCRATCH, REG_GPR(late->index));
    x64_call_reloc(fc->as, CODE_RELOC_CALL_STUB, STUB_LAZY, 0);
    if (late->kind >= LATE_SETTLE) x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_VMCTX, (int32_t)(fc->mc->offsets.tables + late->table * sizeof(void *))));
    if (late->kind == LATE_LAZY || late->kind == LATE_SETTLE) {
        x64_jmp(fc->as, late->back);
        return;
    }
    if (late->kind == LATE_WRITE) x64_cmpq_rm(fc->as, REG_GPR(late->index), x64_mem_b(REG_SCRATCH, WR_OFFSET(VMTableDef, length)));
    x64_jcc(fc->as, late->kind == LATE_WRITE ? X64_CC_B : X64_CC_NE, late->back);
    emit_trap(fc, late->trap_code);
}

static void emit_late(FuncCompiler *fc)
{
    for (uint32_t i = 0; i < fc->num_late; i++) {
        const Late *late = &fc->late[i];
        x64_label_bind(fc->as, late->label);
        func_addr_row(fc, late->wasm_offset);
        if (late->kind == LATE_TRAP) {
            emit_trap(fc, late->trap_code);
        } else if (late->kind == LATE_TAIL) {
            emit_tail(fc, late);
        } else if (late->kind == LATE_ALLOC) {
            emit_alloc(fc, late);
        } else if (late->kind == LATE_SUBTYPE) {
            emit_subtype(fc, late);
        } else if (late->kind >= LATE_LAZY) {
            emit_lazy(fc, late);
        } else {
            if (late->kind == LATE_POLL) {
                x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_VMCTX, WR_OFFSET(VMContextHeader, store)));
                x64_cmpq_rm(fc->as, RSP, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMStoreContext, stack_limit)));
                x64_jcc(fc->as, X64_CC_AE, late->back);
            }
            x64_call_reloc(fc->as, CODE_RELOC_CALL_STUB, STUB_INTERRUPT_LOOP, 0);
            x64_jmp(fc->as, late->back);
        }
    }
    cg_emit_pads(fc);
    if (fc->unwind_used) { /* the trap is recorded: on to the landing pad of the last entry */
        x64_label_bind(fc->as, fc->unwind);
        x64_movq_rm(fc->as, REG_SCRATCH, x64_mem_b(REG_VMCTX, WR_OFFSET(VMContextHeader, store)));
        x64_movq_rm(fc->as, RSP, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMStoreContext, last_entry)));
        x64_jmp_m(fc->as, x64_mem_b(RSP, WR_OFFSET(VMEntryRecord, landing_pc)));
    }
}

/* Ends right before `body`; returns where it starts. */
static uint32_t emit_prologue(FuncCompiler *fc, uint32_t body)
{
    Asm *as = fc->as;
    uint8_t code[PROLOGUE_ROOM];
    uint32_t from = x64_offset(as), check, jump_end;
    int32_t frame = cg_frame_size(fc);
    x64_pushq_r(as, RBP);
    x64_movq_rr(as, RBP, RSP);
    check = x64_offset(as) - from;
    x64_movq_rm(as, REG_SCRATCH, x64_mem_b(RDI, WR_OFFSET(VMContextHeader, store)));
    if (frame > STACK_CHECK_SLACK) {
        x64_leaq_rm(as, RAX, x64_mem_b(RSP, -frame));
        x64_cmpq_rm(as, RAX, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMStoreContext, stack_limit)));
    } else {
        x64_cmpq_rm(as, RSP, x64_mem_b(REG_SCRATCH, WR_OFFSET(VMStoreContext, stack_limit)));
    }
    x64_emit_bytes(as, 0x820F, 2); /* jb, to the slow path below */
    x64_data32(as, 0);
    jump_end = x64_offset(as) - from;
    if (frame) x64_subq_ri(as, RSP, frame);
    if (fc->uses_vmctx) {
        x64_movq_mr(as, x64_mem_b(RBP, SAVE_VMCTX), REG_VMCTX);
        x64_movq_rr(as, REG_VMCTX, RDI);
    }
    if (fc->catches) x64_movq_mr(as, x64_mem_b(RBP, WR_FRAME_VMCTX), RDI);
    if (fc->uses_memory_base || fc->catches) x64_movq_mr(as, x64_mem_b(RBP, SAVE_MEMORY), REG_MEMORY);
    if (fc->uses_memory_base) x64_movq_rm(as, REG_MEMORY, x64_mem_b(RDI, (int32_t)(fc->mc->offsets.memories) + WR_OFFSET(VMMemoryImport, base)));
    for (unsigned i = 0; i < 3; i++)
        if (fc->ever & REG_BIT(frame_saves[i].reg)) x64_movq_mr(as, x64_mem_b(RBP, frame_saves[i].home), REG_GPR(frame_saves[i].reg));
    wr_x64_nop(as, (0u - (x64_offset(as) - from)) & 15u);
    uint32_t length = x64_offset(as) - from;
    if (x64_failed(as) || length > PROLOGUE_ROOM) {
        assert(length <= PROLOGUE_ROOM || x64_failed(as));
        return body;
    }
    memcpy(code, as->code.start + from, length);
    as->code.cursor = as->code.start + from;
    uint32_t entry = body - length;
    /* the slow path */
    uint32_t slow = x64_offset(as);
    func_addr_row(fc, fc->info->code_start);
    x64_call_reloc(as, CODE_RELOC_CALL_STUB, STUB_INTERRUPT_ENTRY, 0);
    uint32_t after = x64_offset(as) + 5;
    /* back to the check: a tick that was served says nothing about the room for this frame */
    x64_emit_bytes(as, 0xE9, 1);
    x64_data32(as, entry + check - after);
    memcpy(as->code.start + entry, code, length);
    x64_store32(as->code.start + entry + jump_end - 4, slow - (entry + jump_end));
    return entry;
}

/* ---- instructions -------------------------------------------------------------------------------------------------------------------------------- */

/* From unreachable code to the else or end that closes the block; ip is behind the instruction that made it unreachable. */
static void func_skip_dead(FuncCompiler *fc)
{
    uint32_t nested = 0;
    for (;;) {
        const uint8_t *at = fc->ip;
        WasmOp op = wr_read_op(&fc->ip);
        switch (op) {
        case WASM_OP_BLOCK:
        case WASM_OP_LOOP:
        case WASM_OP_IF:
        case WASM_OP_TRY_TABLE:
            nested++;
            fc->next_block++;
            break;
        case WASM_OP_ELSE:
            if (nested == 0) {
                fc->ip = at;
                return;
            }
            break;
        case WASM_OP_END:
            if (nested == 0) {
                fc->ip = at;
                return;
            }
            nested--;
            break;
        default: break;
        }
        wr_skip_imm(&fc->ip, op);
    }
}

static inline __attribute__((always_inline)) void func_op(FuncCompiler *fc, WasmOp op)
{
    switch (op) {
    case WASM_OP_UNREACHABLE:
        cg_trap(fc, TRAP_UNREACHABLE);
        fc->dead = true;
        break;
    case WASM_OP_NOP: break;
    case WASM_OP_BLOCK: cg_block(fc, CONTROL_BLOCK); break;
    case WASM_OP_LOOP: cg_block(fc, CONTROL_LOOP); break;
    case WASM_OP_IF: cg_op_if(fc); break;
    case WASM_OP_TRY_TABLE: cg_try_table(fc); break;
    case WASM_OP_THROW:
    case WASM_OP_THROW_REF: cg_op_throw(fc, op); break;
    case WASM_OP_ELSE: cg_else(fc); break;
    case WASM_OP_END: cg_end(fc); break;
    case WASM_OP_BR: cg_br(fc, wr_leb_u32(&fc->ip)); break;
    case WASM_OP_BR_IF: cg_op_br_if(fc); break;
    case WASM_OP_BR_TABLE: cg_br_table(fc); break;
    case WASM_OP_RETURN: cg_return(fc); break;
    case WASM_OP_CALL: case WASM_OP_CALL_INDIRECT: case WASM_OP_CALL_REF: case WASM_OP_RETURN_CALL: case WASM_OP_RETURN_CALL_INDIRECT:
    case WASM_OP_RETURN_CALL_REF:
        cg_op_call(fc, op);
        break;
    case WASM_OP_BR_ON_NULL: case WASM_OP_BR_ON_NON_NULL: cg_op_br_on_null(fc, op); break;
    case WASM_OP_DROP: cg_pop(fc); break;
    case WASM_OP_SELECT_T: wr_skip_imm(&fc->ip, op); /* fall through */
    case WASM_OP_SELECT: cg_op_select(fc); break;
    case WASM_OP_LOCAL_GET: {
        uint32_t local = wr_leb_u32(&fc->ip);
        if (cg_is_virgin(fc, local))
            cg_push_const(fc, fc->local_type[local], 0);
        else
            cg_push_local(fc, local);
        break;
    }
    case WASM_OP_LOCAL_SET: {
        uint32_t local = wr_leb_u32(&fc->ip);
        cg_local_set(fc, local, cg_pop(fc));
        break;
    }
    case WASM_OP_LOCAL_TEE: {
        uint32_t local = wr_leb_u32(&fc->ip);
        Val v = cg_pop(fc);
        cg_local_set(fc, local, v);
        if (v.kind == VAL_CONST) cg_push_const(fc, v.type, v.bits);
        else cg_push_local(fc, local);
        break;
    }
    case WASM_OP_GLOBAL_GET:
    case WASM_OP_GLOBAL_SET: cg_op_global(fc, op); break;
    case WASM_OP_TABLE_GET: case WASM_OP_TABLE_SET: case WASM_OP_TABLE_SIZE: case WASM_OP_TABLE_GROW: case WASM_OP_TABLE_FILL:
    case WASM_OP_TABLE_COPY: case WASM_OP_TABLE_INIT: case WASM_OP_ELEM_DROP:
        cg_op_table(fc, op);
        break;
    case WASM_OP_MEMORY_SIZE: case WASM_OP_MEMORY_GROW: case WASM_OP_MEMORY_COPY: case WASM_OP_MEMORY_FILL: case WASM_OP_MEMORY_INIT:
    case WASM_OP_DATA_DROP:
        cg_op_memory(fc, op);
        break;
    case WASM_OP_I32_LOAD: case WASM_OP_I64_LOAD: case WASM_OP_F32_LOAD: case WASM_OP_F64_LOAD: case WASM_OP_I32_LOAD8_S:
    case WASM_OP_I32_LOAD8_U: case WASM_OP_I32_LOAD16_S: case WASM_OP_I32_LOAD16_U: case WASM_OP_I64_LOAD8_S: case WASM_OP_I64_LOAD8_U:
    case WASM_OP_I64_LOAD16_S: case WASM_OP_I64_LOAD16_U: case WASM_OP_I64_LOAD32_S: case WASM_OP_I64_LOAD32_U:
        cg_op_load(fc, op);
        break;
    case WASM_OP_I32_STORE: case WASM_OP_I64_STORE: case WASM_OP_F32_STORE: case WASM_OP_F64_STORE: case WASM_OP_I32_STORE8:
    case WASM_OP_I32_STORE16: case WASM_OP_I64_STORE8: case WASM_OP_I64_STORE16: case WASM_OP_I64_STORE32:
        cg_op_store(fc, op);
        break;
    case WASM_OP_I32_CONST: cg_push_const(fc, WR_KIND_I32, (uint32_t)wr_leb_s32(&fc->ip)); break;
    case WASM_OP_I64_CONST: cg_push_const(fc, WR_KIND_I64, (uint64_t)wr_leb_s64(&fc->ip)); break;
    case WASM_OP_F32_CONST: cg_push_const(fc, WR_KIND_F32, wr_read_f32_bits(&fc->ip)); break;
    case WASM_OP_F64_CONST: cg_push_const(fc, WR_KIND_F64, wr_read_f64_bits(&fc->ip)); break;
#define INT_OPS(T)                                                                                                                    \
    case WASM_OP_##T##_EQZ: cg_op_eqz(fc, WR_KIND_##T); break;                                                                        \
    case WASM_OP_##T##_EQ: cg_op_compare(fc, WR_KIND_##T, X64_CC_E); break;                                                           \
    case WASM_OP_##T##_NE: cg_op_compare(fc, WR_KIND_##T, X64_CC_NE); break;                                                          \
    case WASM_OP_##T##_LT_S: cg_op_compare(fc, WR_KIND_##T, X64_CC_L); break;                                                         \
    case WASM_OP_##T##_LT_U: cg_op_compare(fc, WR_KIND_##T, X64_CC_B); break;                                                         \
    case WASM_OP_##T##_GT_S: cg_op_compare(fc, WR_KIND_##T, X64_CC_G); break;                                                         \
    case WASM_OP_##T##_GT_U: cg_op_compare(fc, WR_KIND_##T, X64_CC_A); break;                                                         \
    case WASM_OP_##T##_LE_S: cg_op_compare(fc, WR_KIND_##T, X64_CC_LE); break;                                                        \
    case WASM_OP_##T##_LE_U: cg_op_compare(fc, WR_KIND_##T, X64_CC_BE); break;                                                        \
    case WASM_OP_##T##_GE_S: cg_op_compare(fc, WR_KIND_##T, X64_CC_GE); break;                                                        \
    case WASM_OP_##T##_GE_U: cg_op_compare(fc, WR_KIND_##T, X64_CC_AE); break;                                                        \
    case WASM_OP_##T##_CLZ: case WASM_OP_##T##_CTZ: case WASM_OP_##T##_POPCNT: cg_op_count(fc, WR_KIND_##T, op); break;               \
    case WASM_OP_##T##_ADD: cg_op_alu(fc, WR_KIND_##T, 0x00); break;                                                                  \
    case WASM_OP_##T##_SUB: cg_op_alu(fc, WR_KIND_##T, 0x28); break;                                                                  \
    case WASM_OP_##T##_AND: cg_op_alu(fc, WR_KIND_##T, 0x20); break;                                                                  \
    case WASM_OP_##T##_OR: cg_op_alu(fc, WR_KIND_##T, 0x08); break;                                                                   \
    case WASM_OP_##T##_XOR: cg_op_alu(fc, WR_KIND_##T, 0x30); break;                                                                  \
    case WASM_OP_##T##_MUL: cg_op_mul(fc, WR_KIND_##T); break;                                                                        \
    case WASM_OP_##T##_DIV_S: cg_op_divrem(fc, WR_KIND_##T, true, false); break;                                                      \
    case WASM_OP_##T##_DIV_U: cg_op_divrem(fc, WR_KIND_##T, false, false); break;                                                     \
    case WASM_OP_##T##_REM_S: cg_op_divrem(fc, WR_KIND_##T, true, true); break;                                                       \
    case WASM_OP_##T##_REM_U: cg_op_divrem(fc, WR_KIND_##T, false, true); break;                                                      \
    case WASM_OP_##T##_SHL: cg_op_shift(fc, WR_KIND_##T, 4); break;                                                                   \
    case WASM_OP_##T##_SHR_S: cg_op_shift(fc, WR_KIND_##T, 7); break;                                                                 \
    case WASM_OP_##T##_SHR_U: cg_op_shift(fc, WR_KIND_##T, 5); break;                                                                 \
    case WASM_OP_##T##_ROTL: cg_op_shift(fc, WR_KIND_##T, 0); break;                                                                  \
    case WASM_OP_##T##_ROTR: cg_op_shift(fc, WR_KIND_##T, 1); break;
        INT_OPS(I32)
        INT_OPS(I64)
#undef INT_OPS
    case WASM_OP_I32_WRAP_I64: case WASM_OP_I64_EXTEND_I32_S: case WASM_OP_I64_EXTEND_I32_U: case WASM_OP_I32_EXTEND8_S:
    case WASM_OP_I32_EXTEND16_S: case WASM_OP_I64_EXTEND8_S: case WASM_OP_I64_EXTEND16_S: case WASM_OP_I64_EXTEND32_S:
        cg_op_extend(fc, op);
        break;
    case WASM_OP_I64_ADD128: case WASM_OP_I64_SUB128: case WASM_OP_I64_MUL_WIDE_S: case WASM_OP_I64_MUL_WIDE_U: cg_op_wide(fc, op); break;
#define FLOAT_OPS(T)                                                                                                                  \
    case WASM_OP_##T##_EQ: case WASM_OP_##T##_NE: case WASM_OP_##T##_LT: case WASM_OP_##T##_GT: case WASM_OP_##T##_LE:                \
    case WASM_OP_##T##_GE: cg_op_float_compare(fc, op); break;                                                                        \
    case WASM_OP_##T##_ABS: case WASM_OP_##T##_NEG: case WASM_OP_##T##_CEIL: case WASM_OP_##T##_FLOOR: case WASM_OP_##T##_TRUNC:      \
    case WASM_OP_##T##_NEAREST: case WASM_OP_##T##_SQRT: cg_op_float_unary(fc, op); break;                                            \
    case WASM_OP_##T##_ADD: case WASM_OP_##T##_SUB: case WASM_OP_##T##_MUL: case WASM_OP_##T##_DIV: case WASM_OP_##T##_MIN:           \
    case WASM_OP_##T##_MAX: case WASM_OP_##T##_COPYSIGN: cg_op_float_binary(fc, op); break;                                           \
    case WASM_OP_I32_TRUNC_##T##_S: case WASM_OP_I32_TRUNC_##T##_U: case WASM_OP_I64_TRUNC_##T##_S: case WASM_OP_I64_TRUNC_##T##_U:   \
    case WASM_OP_I32_TRUNC_SAT_##T##_S: case WASM_OP_I32_TRUNC_SAT_##T##_U: case WASM_OP_I64_TRUNC_SAT_##T##_S:                       \
    case WASM_OP_I64_TRUNC_SAT_##T##_U: case WASM_OP_##T##_CONVERT_I32_S: case WASM_OP_##T##_CONVERT_I32_U:                           \
    case WASM_OP_##T##_CONVERT_I64_S: case WASM_OP_##T##_CONVERT_I64_U: cg_op_convert(fc, op); break;
        FLOAT_OPS(F32)
        FLOAT_OPS(F64)
#undef FLOAT_OPS
    case WASM_OP_F32_DEMOTE_F64: case WASM_OP_F64_PROMOTE_F32: case WASM_OP_I32_REINTERPRET_F32: case WASM_OP_I64_REINTERPRET_F64:
    case WASM_OP_F32_REINTERPRET_I32: case WASM_OP_F64_REINTERPRET_I64:
        cg_op_convert(fc, op);
        break;
    case WASM_OP_REF_NULL: case WASM_OP_REF_IS_NULL: case WASM_OP_REF_FUNC: case WASM_OP_REF_AS_NON_NULL: cg_op_ref(fc, op); break;
    default: {
        if (op >= WASM_OP_V128_LOAD && op <= WASM_OP_I32X4_RELAXED_DOT_I8X16_I7X16_ADD_S) {
            cg_op_simd(fc, op);
            break;
        }
        if (op == WASM_OP_REF_EQ || (op >= WASM_OP_STRUCT_NEW && op <= WASM_OP_I31_GET_U)) {
            cg_op_gc(fc, op);
            break;
        }
        char message[96];
        snprintf(message, sizeof message, "%s is not supported yet", wr_wasm_op_names[op]);
        cg_fail(fc, WR_ERROR_UNSUPPORTED, message);
        break;
    }
    }
}

void cg_op(FuncCompiler *fc, WasmOp op) { func_op(fc, op); }

/* Everything into the frame: what the next instruction takes is in memory, whatever came before. */
static void func_settle(FuncCompiler *fc)
{
    for (uint32_t set = fc->rs.locals; set; set &= set - 1) cg_evict_local(fc, (Reg)__builtin_ctz(set));
    for (uint32_t i = fc->stable; i < fc->sp; i++) cg_spill_at(fc, i);
    fc->stable = fc->sp;
    fc->zero_at = UINT32_MAX;
}

/* Careful code has no state between instructions and does not look at the next one: a miscompile that it does not have comes from what
 * instructions have to do with each other. */
static void func_alone(FuncCompiler *fc, WasmOp op)
{
    uint8_t copy[32] = {0};
    const uint8_t *next = fc->ip;
    wr_skip_imm(&next, op);
    size_t length = (size_t)(next - fc->ip);
    if (length < sizeof copy - 8) { /* longer ones do not look ahead */
        memcpy(copy, fc->ip, length);
        copy[length] = 0x01; /* nop */
        fc->ip = copy;
    }
    cg_op(fc, op);
    fc->ip = next;
    if (!fc->dead && !fc->failed) func_settle(fc);
}

/* What is checked after each instruction, or compiled alone. */
static void func_body_checked(FuncCompiler *fc)
{
    const bool careful = fc->mc->careful;
    if (careful) {
        cg_unvirgin(fc, fc->virgin, UINT32_MAX);
        func_settle(fc);
    }
    while (fc->depth > 0 && !fc->failed) {
        if (fc->dead) func_skip_dead(fc);
        fc->op_start = fc->ip;
        fc->lock = 0;
        if (fc->ip >= fc->site_at) {
            cg_hoist_site(fc);
            if (fc->ip != fc->op_start) continue;
        }
        WasmOp op = wr_read_op(&fc->ip);
        fc->fuel_ops++;
        if (careful) func_alone(fc, op);
        else cg_op(fc, op);
        if (fc->mc->tunables.debug_checks && !fc->dead && !fc->failed) cg_state_verify(fc);
    }
}

/* The same loop for all other code: this is where compiling is. */
static void func_body(FuncCompiler *fc)
{
    for (;;) {
        const uint8_t *at = fc->ip;
        if (__builtin_expect(fc->dead || fc->failed, 0)) {
            if (fc->depth == 0 || fc->failed) return;
            func_skip_dead(fc);
            at = fc->ip;
        }
        fc->op_start = at;
        fc->lock = 0;
        if (__builtin_expect(at >= fc->site_at, 0)) {
            cg_hoist_site(fc);
            if (fc->ip != at) continue;
        }
        WasmOp op = wr_read_op(&fc->ip);
        fc->fuel_ops++;
        func_op(fc, op);
    }
}

/* ---- life -------------------------------------------------------------------------------------------------------------------------------------------- */

void cg_init(FuncCompiler *fc, Asm *as, const ModuleCompiler *mc)
{
    memset(fc, 0, sizeof *fc);
    fc->as = as;
    fc->mc = mc;
    fc->bytes = mc->module->bytes;
}

void cg_free(FuncCompiler *fc)
{
    free(fc->stack);
    free(fc->slot_home);
    free(fc->wide_home);
    free(fc->ctl);
    free(fc->local_type);
    free(fc->local_reg);
    free(fc->local_pref);
    free(fc->local_aliases);
    free(fc->local_home);
    free(fc->late);
    if (!func_is_lent(fc, fc->traps)) free(fc->traps);
    if (!func_is_lent(fc, fc->addrs)) free(fc->addrs);
    free(fc->handlers);
    free(fc->pads);
    free(fc->loads);
}

static bool func_reserve(FuncCompiler *fc, const WasmFuncInfo *info)
{
    uint32_t slots = info->max_stack + 8, cap = fc->cap_stack;
    if (!cg_room(fc, (void **)&fc->stack, &fc->cap_stack, slots, sizeof *fc->stack)) return false;
    if (!cg_room(fc, (void **)&fc->slot_home, &fc->cap_slots, slots, sizeof *fc->slot_home)) return false;
    if (!cg_room(fc, (void **)&fc->wide_home, &fc->cap_wide, slots, sizeof *fc->wide_home)) return false;
    if (!cg_room(fc, (void **)&fc->ctl, &fc->cap_ctl, info->max_depth + 2, sizeof *fc->ctl)) return false;
    (void)cap;
    uint32_t locals = info->num_locals + WASM_SPARE_LOCALS;
    if (locals > fc->cap_locals) {
        uint32_t caps[5] = {0};
        bool ok = cg_room(fc, (void **)&fc->local_type, (caps[0] = fc->cap_locals, &caps[0]), locals, sizeof *fc->local_type);
        ok = ok && cg_room(fc, (void **)&fc->local_reg, (caps[1] = fc->cap_locals, &caps[1]), locals, sizeof *fc->local_reg);
        ok = ok && cg_room(fc, (void **)&fc->local_pref, (caps[2] = fc->cap_locals, &caps[2]), locals, sizeof *fc->local_pref);
        ok = ok && cg_room(fc, (void **)&fc->local_aliases, (caps[3] = fc->cap_locals, &caps[3]), locals, sizeof *fc->local_aliases);
        ok = ok && cg_room(fc, (void **)&fc->local_home, (caps[4] = fc->cap_locals, &caps[4]), locals, sizeof *fc->local_home);
        if (!ok) return false;
        fc->cap_locals = caps[0];
    }
    if (slots != 0) memset(fc->slot_home, 0, slots * sizeof *fc->slot_home);
    memset(fc->local_reg, REG_NONE, locals);
    memset(fc->local_pref, REG_NONE, locals);
    memset(fc->local_aliases, 0, locals * sizeof *fc->local_aliases);
    memset(fc->local_home, 0, locals * sizeof *fc->local_home);
    fc->virgin = 0;
    for (uint32_t i = 0; i < info->num_locals; i++) {
        fc->local_type[i] = (uint8_t)wr_vt_kind(info->local_types[i]);
        if (i >= info->num_params && info->locals[i].needs_zero) fc->virgin |= (uint64_t)1 << (i & 63u);
    }
    return !fc->failed;
}

bool cg_func(FuncCompiler *fc, uint32_t func_index, const WasmFuncInfo *info, CompiledFunc *out_func, WrError *error)
{
    const WasmModule *module = fc->mc->module;
    fc->info = info;
    fc->error = error;
    fc->func_index = func_index;
    fc->abi = &fc->mc->abis[module->funcs[func_index].type_index];
    fc->ip = fc->op_start = fc->bytes + info->code_start;
    fc->failed = false;
    if (info->oom) cg_fail(fc, WR_ERROR_MEMORY, "out of memory while compiling");
    if (fc->failed || !func_reserve(fc, info)) return false;
    fc->num_locals = info->num_locals;
    fc->dead = fc->uses_memory_base = fc->uses_vmctx = fc->makes_calls = fc->unwind_used = fc->thrown_used = fc->flags_live = fc->wide_slots = false;
    fc->sp = fc->stable = fc->next_block = fc->table_stamp = 0;
    fc->loop = fc->outer_loop = fc->hint = fc->zero_at = fc->hoist_loop = UINT32_MAX;
    fc->num_sites = fc->next_site = fc->num_hoisted = 0;
    fc->site_at = CG_NO_SITE;
    fc->rs.locals = fc->rs.dirty = 0;
    fc->stk = fc->lock = fc->pins = fc->upper = fc->ever = fc->victim = 0;
    fc->frame_bytes = FRAME_SAVE_BYTES;
    fc->area_home = fc->call_area = fc->call_area_bytes = 0;
    fc->num_late = fc->num_pads = fc->num_loads = 0;
    fc->handler = HANDLER_NONE;
    fc->catches = info->num_catches != 0;
    if (fc->catches) { /* see exceptions.c */
        fc->frame_bytes = FRAME_CATCH_BYTES;
        fc->ever = REGS_CALLEE_SAVED;
        fc->uses_vmctx = true;
        fc->uses_memory_base = module->num_memories != 0;
    }

    Asm *as = fc->as;
    wr_x64_function_begin(as);
    fc->epilogue = x64_label_new(as);
    fc->unwind = x64_label_new(as);
    fc->thrown = x64_label_new(as);
    wr_x64_nop(as, PROLOGUE_ROOM);
    uint32_t body = x64_offset(as);
    func_addr_row(fc, info->code_start);
    fc->ctl[0] = (Control){.kind = CONTROL_FUNC, .label = fc->epilogue, .num_results = fc->abi->num_results, .results = fc->abi->result_types,
                           .outer_loop = UINT32_MAX};
    fc->depth = 1;
    cg_func_entry(fc);
    cg_fuel_begin(fc);
    if (fc->mc->careful || fc->mc->tunables.debug_checks) func_body_checked(fc);
    else func_body(fc);
    if (fc->failed) {
        fc->ctl[0].fixed = false;
        return false;
    }
    emit_epilogue(fc);
    emit_late(fc);
    uint32_t entry = emit_prologue(fc, body);
    X64Status status = wr_x64_function_end(as);
    if (status != X64_OK || x64_failed(as)) {
        assert(status != X64_SHORT_JUMP_FAR && status != X64_LABEL_UNBOUND);
        if (status == X64_TOO_LARGE) cg_fail(fc, WR_ERROR_LIMIT, "the machine code of a function is too large (FUNCTION_CODE_BYTES)");
        else cg_fail(fc, WR_ERROR_MEMORY, "out of memory while compiling");
        return false;
    }
    out_func->start = entry;
    out_func->length = x64_offset(as) - entry;
    return !fc->failed;
}
