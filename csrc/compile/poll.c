/* The interrupt check of an innermost loop, for less than a load an iteration.
 *
 * Where a loop adds a constant to a local on every way around, some bits of that local go through all their values again and again: of `i + 12`, say, bits 2
 * to 9 take each of their 256 values once in 256 iterations, whatever the local starts as and however often it wraps. So the header tests those bits,
 * which is one instruction on a register, and only where they are all zero asks whether it is to stop. Who enters the loop jumps over the test: it stands for
 * iterations, and a counter often starts at zero.
 *
 * A local is good for this if the loop has one set of it, and that is in its straight-line start: code up to the first place that control leaves or joins,
 * which every iteration runs through once. The set is of the local's own value plus a constant, directly or by way of another local that is set once,
 * in that start too. Such loops have no calls and at most a kilobyte of code, so that 256 iterations take well under a
 * millisecond, but where each of them waits for memory. */
#include "compile/state.h"

enum { POLL_MAX_BYTES = 1024, POLL_BITS = 8, POLL_SUMS = 4 };

/* local + step is in `sum`, from here to the end of the straight line */
typedef struct PollSum { uint32_t sum, local, step; } PollSum;

static bool poll_set_once(const FuncCompiler *fc, const WasmBlockInfo *block, uint32_t local)
{
    const WasmLocalWeight *weights = fc->info->weights + block->first_weight;
    for (uint32_t i = 0; i < block->num_weights; i++)
        if (weights[i].local == local) return (weights[i].sets & WASM_SETS) == 1;
    return false;
}

/* The bits to look at where the local grows by `step`; 0: none. */
static uint32_t poll_mask(uint32_t step)
{
    return step == 0 ? 0 : (((uint32_t)1 << POLL_BITS) - 1) << __builtin_ctz(step);
}

uint32_t cg_poll_find(const FuncCompiler *fc, const WasmBlockInfo *block, uint32_t *out_mask)
{
    enum { NOTHING, GOT, CONSTANT, ADDED } seen = NOTHING; /* right before: local.get `local`; then a constant; then their sum */
    PollSum sums[POLL_SUMS];
    uint32_t num_sums = 0, local = 0, step = 0;
    const uint8_t *p = fc->ip, *end = fc->bytes + block->end;
    if (!fc->mc->tunables.interruptible || fc->mc->careful || block->has_loop || block->call_weight || end - p > POLL_MAX_BYTES) return UINT32_MAX;
    while (p < end) {
        WasmOp op = wr_read_op(&p);
        switch (op) {
        case WASM_OP_LOCAL_GET:
            local = wr_leb_u32(&p);
            seen = GOT;
            break;
        case WASM_OP_I32_CONST:
            step = (uint32_t)wr_leb_s32(&p);
            seen = seen == GOT ? CONSTANT : NOTHING;
            break;
        case WASM_OP_I64_CONST: /* what is above 32 bits does not reach the bits that are looked at */
            step = (uint32_t)wr_leb_s64(&p);
            seen = seen == GOT ? CONSTANT : NOTHING;
            break;
        case WASM_OP_I32_ADD: case WASM_OP_I32_SUB: case WASM_OP_I64_ADD: case WASM_OP_I64_SUB: seen = seen == CONSTANT ? ADDED : NOTHING; break;
        case WASM_OP_LOCAL_SET:
        case WASM_OP_LOCAL_TEE: {
            uint32_t set = wr_leb_u32(&p);
            if (seen == GOT) { /* a copy: of a sum? */
                for (uint32_t i = 0; i < num_sums; i++) {
                    if (sums[i].sum != local || sums[i].local != set || !poll_set_once(fc, block, set) || !poll_set_once(fc, block, local)) continue;
                    *out_mask = poll_mask(sums[i].step);
                    return set;
                }
            } else if (seen == ADDED && poll_mask(step) != 0) {
                if (set == local && poll_set_once(fc, block, set)) {
                    *out_mask = poll_mask(step);
                    return set;
                }
                if (num_sums < POLL_SUMS) sums[num_sums++] = (PollSum){set, local, step};
            }
            seen = NOTHING;
            break;
        }
        case WASM_OP_NOP: break;
        case WASM_OP_BLOCK: case WASM_OP_DROP: case WASM_OP_SELECT: case WASM_OP_GLOBAL_GET: case WASM_OP_GLOBAL_SET:
            wr_skip_imm(&p, op);
            seen = NOTHING;
            break;
        case WASM_OP_END: seen = NOTHING; break; /* of a block that nobody leaves by a branch */
        default:
            if (wr_wasm_ops[op].special) return UINT32_MAX; /* control may leave */
            if (wr_wasm_ops[op].imm != WASM_IMM_NONE) wr_skip_imm(&p, op);
            seen = NOTHING;
            break;
        }
    }
    return UINT32_MAX;
}

void cg_poll(FuncCompiler *fc, uint32_t local, uint32_t mask)
{
    Reg reg = fc->local_reg[local];
    fc->uses_vmctx = fc->makes_calls = true;
    Late *late = cg_late(fc, LATE_POLL, 0);
    if (!late) return;
    if (reg != REG_NONE) x64_testl_ri(fc->as, REG_GPR(reg), (int32_t)mask);
    else x64_testl_mi(fc->as, cg_local_mem(fc, local), (int32_t)mask);
    x64_jcc(fc->as, X64_CC_E, late->label);
    late->back = x64_label_here(fc->as);
}
