/* The slow half of the first pass's bookkeeping: opening and closing blocks and loops. See gather.h. */
#include "wasm/gather.h"

#include <stdlib.h>
#include <string.h>

static bool gather_grow(WasmFuncInfo *info, void **array, uint32_t *cap, uint32_t want, size_t item_bytes)
{
    if (want <= *cap) return true;
    uint32_t new_cap = *cap < 64 ? 64 : *cap * 2;
    if (new_cap < want) new_cap = want;
    void *bigger = realloc(*array, (size_t)new_cap * item_bytes);
    if (!bigger) { info->oom = true; return false; }
    *array = bigger;
    *cap = new_cap;
    return true;
}
#define GATHER_ROOM(info, array, want) gather_grow(info, (void **)&(info)->array, &(info)->cap_##array, want, sizeof *(info)->array)

void wr_func_info_init(WasmFuncInfo *info) { memset(info, 0, sizeof *info); }

void wr_func_info_free(WasmFuncInfo *info)
{
    free(info->local_types);
    free(info->blocks);
    free(info->weights);
    free(info->locals);
    free(info->undo);
    free(info->open);
    free(info->init);
    memset(info, 0, sizeof *info);
}

bool wr_func_info_reserve_locals(WasmFuncInfo *info, uint32_t num_locals) { return GATHER_ROOM(info, local_types, num_locals); }

void wr_gather_begin(WasmFuncInfo *info)
{
    info->oom = false;
    uint32_t old_cap = info->cap_locals;
    if (GATHER_ROOM(info, locals, info->num_locals + WASM_SPARE_LOCALS) && info->cap_locals > old_cap)
        memset(info->locals + old_cap, 0, (size_t)(info->cap_locals - old_cap) * sizeof *info->locals);
    if (!info->oom) {
        for (uint32_t i = 0; i < info->num_locals; i++) {
            info->locals[i].last_get = 0;
            info->locals[i].is_set = i < info->num_params;
            info->locals[i].needs_zero = 0;
        }
        for (uint32_t i = 0; i < WASM_SPARE_LOCALS; i++) { /* never the last */
            info->locals[info->num_locals + i].last_get = UINT32_MAX;
            info->locals[info->num_locals + i].needs_zero = 0;
        }
    }
    if (info->next_stamp > UINT32_MAX / 2) { /* stamps tell loops apart across functions: start over before they wrap */
        if (info->locals) memset(info->locals, 0, (size_t)info->cap_locals * sizeof *info->locals);
        info->next_stamp = 0;
    }
    info->stamp = 0;
    info->head = false;
    info->num_blocks = info->num_weights = info->num_undo = info->num_open = info->num_init = 0;
    info->assigned = 0;
    info->call_weight = 0;
    info->max_stack = info->max_depth = info->num_catches = 0;
}

void wr_gather_block(WasmFuncInfo *info, uint32_t kind)
{
    if (info->oom || !GATHER_ROOM(info, blocks, info->num_blocks + 1) || !GATHER_ROOM(info, open, info->num_open + 1)) return;
    info->open[info->num_open++] = (WasmGatherOpen){info->num_blocks, info->stamp, info->num_undo, info->num_init};
    info->blocks[info->num_blocks++] = (WasmBlockInfo){.kind = (uint8_t)kind};
    if (kind == WASM_GATHER_LOOP) {
        info->stamp = ++info->next_stamp;
        info->head = true;
    } else if (kind == WASM_GATHER_IF) {
        info->head = false;
    }
}

void wr_gather_first_set(WasmFuncInfo *info, uint32_t local)
{
    if (!GATHER_ROOM(info, init, info->num_init + 1)) return;
    info->init[info->num_init++] = local;
    info->locals[local].is_set = 1;
}

static void gather_forget_sets(WasmFuncInfo *info, uint32_t first_init)
{
    while (info->num_init > first_init) info->locals[info->init[--info->num_init]].is_set = 0;
}

void wr_gather_else(WasmFuncInfo *info)
{
    if (!info->oom && info->num_open) gather_forget_sets(info, info->open[info->num_open - 1].first_init);
}

void wr_gather_touch(WasmFuncInfo *info, uint32_t local)
{
    WasmGatherLocal *l = &info->locals[local];
    if (!info->oom && GATHER_ROOM(info, undo, info->num_undo + 1))
        info->undo[info->num_undo++] = (WasmGatherUndo){local, l->stamp, l->weight, l->sets, l->killed};
    l->stamp = info->stamp;
    l->weight = 0;
    l->sets = 0;
    l->killed = false;
}

/* Keeps the WASM_LOOP_WEIGHTS heaviest, heaviest first; equal weights by local index, so that the order is the same everywhere. */
static uint32_t gather_insert(WasmLocalWeight *top, uint32_t count, WasmLocalWeight item)
{
    uint32_t at = count;
    if (count == WASM_LOOP_WEIGHTS) {
        if (top[count - 1].weight >= item.weight) return count;
        at = count - 1;
    } else {
        count++;
    }
    while (at > 0 && (top[at - 1].weight < item.weight || (top[at - 1].weight == item.weight && top[at - 1].local > item.local))) {
        top[at] = top[at - 1];
        at--;
    }
    top[at] = item;
    return count;
}

static void gather_end_loop(WasmFuncInfo *info, WasmBlockInfo *block, WasmGatherOpen open)
{
    WasmLocalWeight top[WASM_LOOP_WEIGHTS];
    uint32_t count = 0;
    for (uint32_t i = info->num_undo; i-- > open.first_undo;) {
        WasmGatherUndo undo = info->undo[i];
        WasmGatherLocal *l = &info->locals[undo.local];
        count = gather_insert(top, count, (WasmLocalWeight){.local = undo.local, .weight = l->weight > WASM_WEIGHT_MAX ? WASM_WEIGHT_MAX : l->weight,
                                                            .sets = l->sets, .killed = l->killed});
        l->stamp = undo.stamp;
        l->weight = undo.weight;
        l->sets = undo.sets;
        l->killed = undo.killed;
    }
    info->num_undo = open.first_undo;
    info->stamp = open.stamp;
    info->head = false;
    block->first_weight = info->num_weights;
    block->num_weights = (uint8_t)count;
    if (count == 0 || !GATHER_ROOM(info, weights, info->num_weights + count)) return;
    memcpy(info->weights + info->num_weights, top, count * sizeof *top);
    info->num_weights += count;
    if (info->stamp == 0) return;
    for (uint32_t i = 0; i < count; i++) { /* the loop around this one uses them too */
        WasmGatherLocal *l = &info->locals[top[i].local];
        if (l->stamp != info->stamp) wr_gather_touch(info, top[i].local);
        uint32_t weight = l->weight + 8 * top[i].weight;
        l->weight = weight > WASM_WEIGHT_MAX ? WASM_WEIGHT_MAX : weight;
    }
}

void wr_gather_end(WasmFuncInfo *info, uint32_t offset)
{
    if (info->oom || info->num_open == 0) return;
    WasmGatherOpen open = info->open[--info->num_open];
    gather_forget_sets(info, open.first_init);
    WasmBlockInfo *block = &info->blocks[open.block];
    block->end = offset;
    uint32_t call_weight = block->call_weight;
    if (block->kind == WASM_GATHER_LOOP) {
        gather_end_loop(info, block, open);
        call_weight = call_weight > WASM_WEIGHT_MAX / 8 ? WASM_WEIGHT_MAX : call_weight * 8;
    }
    if (info->num_open) {
        WasmBlockInfo *outer = &info->blocks[info->open[info->num_open - 1].block];
        outer->assigned |= block->assigned;
        outer->has_loop |= block->has_loop || block->kind == WASM_GATHER_LOOP;
        outer->call_weight += call_weight;
        if (outer->call_weight > WASM_WEIGHT_MAX) outer->call_weight = WASM_WEIGHT_MAX;
    }
}
