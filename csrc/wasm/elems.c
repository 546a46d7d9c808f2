/* See elems.h. */
#include "wasm/elems.h"

#include <stdlib.h>

static bool elems_is_func_table(const WasmModule *module, uint32_t table)
{
    ValType type = module->tables[table].element;
    if (!wr_vt_is_ref(type) || !wr_vt_nullable(type)) return false;
    if (!wr_vt_concrete(type)) return wr_vt_heap(type) == WR_HEAP_FUNC;
    return wr_vt_heap(type) < module->num_types && module->types[wr_vt_heap(type)].kind == WASM_TYPE_FUNC;
}

bool wr_elems_may_be_lazy(const WasmModule *module, uint32_t table)
{
    if (!elems_is_func_table(module, table)) return false;
    if (table < module->num_imported_tables) return true;
    if (module->tables[table].has_init) return false;
    for (uint32_t i = 0; i < module->num_elems; i++)
        if (module->elems[i].mode == WASM_SEGMENT_ACTIVE && module->elems[i].table == table) return true;
    return false;
}

/* Whether a segment always does the same. Counts are checked, since a module may come from an artifact. */
static bool elems_is_known(const WasmModule *module, const WasmElem *elem, uint64_t *out_offset)
{
    if (elem->first_item > module->num_elem_items || elem->num_items > module->num_elem_items - elem->first_item) return false;
    if (elem->mode != WASM_SEGMENT_ACTIVE) return true;
    if (!elem->is_plain || elem->table < module->num_imported_tables || elem->table >= module->num_tables || elem->offset.kind != WASM_CONST_BITS) return false;
    const WasmLimits *limits = &module->tables[elem->table].limits;
    *out_offset = limits->flags & WASM_LIMITS_64 ? elem->offset.bits[0] : (uint32_t)elem->offset.bits[0];
    return *out_offset <= limits->min && elem->num_items <= limits->min - *out_offset && limits->min <= WR_LIMIT_TABLE_ELEMENTS;
}

static int elems_compare(const void *a, const void *b)
{
    const WasmElemRun *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static bool elems_are_disjoint(const WasmElemRange *range)
{
    for (uint32_t i = 1; i < range->num_runs; i++)
        if (range->runs[i].start < range->runs[i - 1].end) return false;
    return true;
}

bool wr_elems_find(const WasmModule *module, WasmElems *out_elems)
{
    uint32_t own = module->num_tables - module->num_imported_tables, known = 0, total = 0;
    uint64_t offset = 0;
    *out_elems = (WasmElems){ .ranges = calloc((size_t)own + 1, sizeof *out_elems->ranges), .all = true };
    if (out_elems->ranges == NULL) return false;
    for (; known < module->num_elems && elems_is_known(module, &module->elems[known], &offset); known++) {
        const WasmElem *elem = &module->elems[known];
        if (elem->mode == WASM_SEGMENT_ACTIVE && elem->num_items != 0) out_elems->ranges[elem->table - module->num_imported_tables].num_runs++;
    }
    out_elems->num_elems = known;
    for (uint32_t i = 0; i < own; i++) total += out_elems->ranges[i].num_runs;
    WasmElemRun *next = out_elems->runs = calloc((size_t)total + 1, sizeof *out_elems->runs);
    if (out_elems->runs == NULL) {
        wr_elems_free(out_elems);
        return false;
    }
    for (uint32_t i = 0; i < own; i++) {
        out_elems->ranges[i].runs = next;
        next += out_elems->ranges[i].num_runs;
        out_elems->ranges[i].num_runs = 0;
    }
    for (uint32_t i = 0; i < known; i++) {
        const WasmElem *elem = &module->elems[i];
        if (elem->mode != WASM_SEGMENT_ACTIVE || elem->num_items == 0 || !elems_is_known(module, elem, &offset)) continue;
        WasmElemRange *range = &out_elems->ranges[elem->table - module->num_imported_tables];
        range->runs[range->num_runs++] = (WasmElemRun){ offset, offset + elem->num_items, elem->first_item };
    }
    for (uint32_t i = 0; i < own; i++) {
        WasmElemRange *range = &out_elems->ranges[i];
        if (range->num_runs == 0) continue;
        if (range->num_runs > 1) qsort(range->runs, range->num_runs, sizeof *range->runs, elems_compare);
        if (!wr_elems_may_be_lazy(module, module->num_imported_tables + i) || !elems_are_disjoint(range)) {
            range->num_runs = 0;
            out_elems->all = false;
            continue;
        }
        range->end = (uint32_t)range->runs[range->num_runs - 1].end;
    }
    return true;
}

uint32_t wr_elems_func(const WasmModule *module, const WasmElemRange *range, uint64_t index)
{
    uint32_t low = 0, high = range->num_runs;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (range->runs[middle].start <= index) low = middle;
        else high = middle;
    }
    const WasmElemRun *run = &range->runs[low];
    if (high == 0 || index < run->start || index >= run->end) return UINT32_MAX;
    const WasmElemItem *item = &module->elem_items[run->first_item + (index - run->start)];
    return item->kind == WASM_CONST_REF_FUNC && item->index < module->num_funcs ? item->index : UINT32_MAX;
}

void wr_elems_free(WasmElems *elems)
{
    free(elems->ranges);
    free(elems->runs);
    elems->ranges = NULL;
    elems->runs = NULL;
}
