/* See elems.h. */
#include "wasm/elems.h"

#include <stdlib.h>

/* A table of which less than this part is filled is not worth an array of its length. */
#define ELEMS_SPARSE_FACTOR UINT64_C(4)
#define ELEMS_SMALL UINT64_C(256)

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
    if (elem->table < module->num_imported_tables || elem->table >= module->num_tables || elem->offset.kind != WASM_CONST_BITS) return false;
    const WasmLimits *limits = &module->tables[elem->table].limits;
    *out_offset = limits->flags & WASM_LIMITS_64 ? elem->offset.bits[0] : (uint32_t)elem->offset.bits[0];
    if (*out_offset > limits->min || elem->num_items > limits->min - *out_offset) return false;
    for (uint32_t i = 0; i < elem->num_items; i++) {
        const WasmElemItem *item = &module->elem_items[elem->first_item + i];
        if (item->kind != WASM_CONST_REF_NULL && (item->kind != WASM_CONST_REF_FUNC || item->index >= module->num_funcs)) return false;
    }
    return true;
}

typedef struct ElemsExtent { uint64_t end, filled; } ElemsExtent;

bool wr_elems_find(const WasmModule *module, WasmElems *out_elems)
{
    uint32_t own = module->num_tables - module->num_imported_tables, known = 0;
    uint64_t offset = 0;
    *out_elems = (WasmElems){ .ranges = calloc((size_t)own + 1, sizeof *out_elems->ranges), .all = true };
    ElemsExtent *extents = calloc((size_t)own + 1, sizeof *extents);
    if (out_elems->ranges == NULL || extents == NULL) goto no_memory;
    for (; known < module->num_elems && elems_is_known(module, &module->elems[known], &offset); known++) {
        const WasmElem *elem = &module->elems[known];
        if (elem->mode != WASM_SEGMENT_ACTIVE || elem->num_items == 0) continue;
        ElemsExtent *extent = &extents[elem->table - module->num_imported_tables];
        extent->filled += elem->num_items;
        if (offset + elem->num_items > extent->end) extent->end = offset + elem->num_items;
    }
    out_elems->num_elems = known;
    for (uint32_t i = 0; i < own; i++) {
        if (extents[i].end == 0) continue;
        if (!wr_elems_may_be_lazy(module, module->num_imported_tables + i) || extents[i].end > UINT32_MAX ||
            extents[i].end > ELEMS_SMALL + ELEMS_SPARSE_FACTOR * extents[i].filled) {
            out_elems->all = false;
            continue;
        }
        out_elems->ranges[i].items = calloc((size_t)extents[i].end, sizeof *out_elems->ranges[i].items);
        if (out_elems->ranges[i].items == NULL) goto no_memory;
        out_elems->ranges[i].num_items = (uint32_t)extents[i].end;
    }
    for (uint32_t i = 0; i < known; i++) {
        const WasmElem *elem = &module->elems[i];
        if (elem->mode != WASM_SEGMENT_ACTIVE || elem->num_items == 0 || !elems_is_known(module, elem, &offset)) continue;
        const WasmElemRange *range = &out_elems->ranges[elem->table - module->num_imported_tables];
        const WasmElemItem *items = &module->elem_items[elem->first_item];
        for (uint32_t k = 0; range->num_items != 0 && k < elem->num_items; k++)
            range->items[offset + k] = items[k].kind == WASM_CONST_REF_FUNC ? items[k].index + 1 : 0;
    }
    free(extents);
    return true;
no_memory:
    free(extents);
    wr_elems_free(out_elems, module);
    return false;
}

void wr_elems_free(WasmElems *elems, const WasmModule *module)
{
    for (uint32_t i = 0; elems->ranges != NULL && i < module->num_tables - module->num_imported_tables; i++) free(elems->ranges[i].items);
    free(elems->ranges);
    elems->ranges = NULL;
}
