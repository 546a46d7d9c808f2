/* What the first pass over a function body leaves for the compiler's second pass: WasmFuncInfo, and the hooks with which the validator fills it.
 *
 * wr_func_validate calls a hook at each local.get/set/tee, block, else, end, branch and call, dead code included; with a NULL info it calls none.
 * Everything is flat and reused from function to function (one WasmFuncInfo per thread); the cost is a few instructions per hook and linear in
 * the body, for hostile bodies too: a loop passes at most WASM_LOOP_WEIGHTS of its locals on to the loop around it.
 *
 * Blocks are numbered in order of appearance, so the second pass needs no map from positions to rows. `assigned` is a set of local indices
 * modulo 64: it may name locals that are not assigned, never the other way round. Weights are uses, times 8 a loop level.
 * A local needs its zero only if some get is not dominated by a set in the same or an enclosing block (the rule of non-nullable locals): the
 * others start undefined.
 * A loop's head is its code up to the first place that control leaves or joins. A local that is set there before it is read is `killed`: every way from
 * the header goes by that set, so nobody reads what the local holds at the header. (Said of what the loop does outside of loops in it.) */
#ifndef WR_WASM_GATHER_H
#define WR_WASM_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wasm/types.h"

enum { WASM_LOOP_WEIGHTS = 32, WASM_WEIGHT_MAX = 1 << 26, WASM_SPARE_LOCALS = 12 /* rows behind the locals', for values of the compiler's own */ };
enum { WASM_SETS = 0x7f, WASM_SETS_LATE = 0x80 };
enum { WASM_GATHER_BLOCK, WASM_GATHER_LOOP, WASM_GATHER_IF };

typedef struct WasmLocalWeight {
    uint32_t local, weight;
    uint8_t sets;   /* WASM_SETS: as many bits as there are sets and tees in the loop, up to seven (those in loops in it are not counted, so use it in
                     * innermost ones); WASM_SETS_LATE: one is behind the loop's head */
    bool killed;
    uint16_t reserved;
} WasmLocalWeight;

typedef struct WasmBlockInfo { /* one per block, loop, if (and try_table), in order of appearance */
    uint64_t assigned;      /* locals set or teed inside, modulo 64 */
    uint32_t first_weight;  /* loops: into WasmFuncInfo.weights, heaviest first */
    uint8_t num_weights;
    uint8_t kind;           /* WASM_GATHER_* */
    bool has_loop;          /* loops: there is one inside */
    uint8_t reserved;
    uint32_t call_weight;   /* calls inside, times 8 a loop level; 0: none */
    uint32_t num_branches;  /* to its label */
    uint32_t end;           /* offset of its end instruction */
} WasmBlockInfo;

typedef struct WasmGatherLocal { uint32_t stamp, weight, last_get; uint8_t is_set, needs_zero, sets; bool killed; } WasmGatherLocal;
typedef struct WasmGatherUndo { uint32_t local, stamp, weight; uint8_t sets; bool killed; } WasmGatherUndo;
typedef struct WasmGatherOpen { uint32_t block, stamp, first_undo, first_init; } WasmGatherOpen;

typedef struct WasmFuncInfo {
    ValType *local_types; uint32_t num_locals, cap_local_types; /* parameters first */
    uint32_t num_params;
    uint32_t code_start;      /* offset of the first instruction in the module's bytes */
    uint32_t max_stack;       /* operands at most (filled by the validator) */
    uint32_t max_depth;       /* control blocks at most, the function's own included */
    uint32_t num_catches;     /* of all its try_tables */
    uint32_t call_weight;
    uint64_t assigned;        /* whole function */
    WasmBlockInfo *blocks; uint32_t num_blocks, cap_blocks;
    WasmLocalWeight *weights; uint32_t num_weights, cap_weights;
    bool oom;                 /* sticky until the next function */
    /* the hooks' own: */
    WasmGatherLocal *locals; uint32_t cap_locals; /* last_get: offset of the last local.get, 0 if none */
    WasmGatherUndo *undo; uint32_t num_undo, cap_undo;
    WasmGatherOpen *open; uint32_t num_open, cap_open;
    uint32_t *init; uint32_t num_init, cap_init; /* locals first set in the open blocks */
    uint32_t stamp, next_stamp; /* stamp of the innermost open loop, 0 outside of loops */
    bool head;                  /* in that loop's head */
} WasmFuncInfo;

void wr_func_info_init(WasmFuncInfo *info);
void wr_func_info_free(WasmFuncInfo *info);
/* Makes room in local_types (contents kept); false and oom if memory ran out. */
bool wr_func_info_reserve_locals(WasmFuncInfo *info, uint32_t num_locals);

/* local_types, num_locals and num_params are set: a new function starts. */
void wr_gather_begin(WasmFuncInfo *info);
void wr_gather_block(WasmFuncInfo *info, uint32_t kind);
void wr_gather_else(WasmFuncInfo *info);
void wr_gather_end(WasmFuncInfo *info, uint32_t offset); /* of a block, not of the function */
void wr_gather_first_set(WasmFuncInfo *info, uint32_t local);
void wr_gather_touch(WasmFuncInfo *info, uint32_t local); /* first use in the open loop */

static inline void wr_gather_use(WasmFuncInfo *info, uint32_t local)
{
    if (info->stamp == 0) return;
    if (info->locals[local].stamp != info->stamp) wr_gather_touch(info, local);
    info->locals[local].weight++;
}

static inline void wr_gather_define(WasmFuncInfo *info, uint32_t local)
{
    if (info->stamp == 0) return;
    WasmGatherLocal *l = &info->locals[local];
    if (l->stamp != info->stamp) {
        wr_gather_touch(info, local);
        l->killed = info->head;
    }
    l->weight++;
    l->sets = (uint8_t)((l->sets & WASM_SETS_LATE) | ((l->sets << 1 | 1) & WASM_SETS) | (info->head ? 0 : WASM_SETS_LATE));
}

static inline void wr_gather_local_get(WasmFuncInfo *info, uint32_t local, uint32_t offset)
{
    if (__builtin_expect(info->oom, 0)) return;
    wr_gather_use(info, local);
    info->locals[local].last_get = offset;
    if (!info->locals[local].is_set) info->locals[local].needs_zero = 1;
}

static inline void wr_gather_local_set(WasmFuncInfo *info, uint32_t local) /* and local.tee */
{
    if (__builtin_expect(info->oom, 0)) return;
    wr_gather_define(info, local);
    if (!info->locals[local].is_set) wr_gather_first_set(info, local);
    uint64_t bit = (uint64_t)1 << (local & 63u);
    if (info->num_open) info->blocks[info->open[info->num_open - 1].block].assigned |= bit;
    info->assigned |= bit;
}

/* br, br_if, each target of br_table: `depth` is the label's; the function's own label counts nothing. */
static inline void wr_gather_branch(WasmFuncInfo *info, uint32_t depth)
{
    info->head = false;
    if (depth < info->num_open) info->blocks[info->open[info->num_open - 1 - depth].block].num_branches++;
}

/* Any instruction that calls: calls proper, and what the compiler leaves to a builtin (grow, bulk operations). */
static inline void wr_gather_call(WasmFuncInfo *info)
{
    info->call_weight++;
    if (info->num_open) info->blocks[info->open[info->num_open - 1].block].call_weight++;
}

#endif
