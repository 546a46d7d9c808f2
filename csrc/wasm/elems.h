/* Which elements of a module's tables are known before it is instantiated.
 *
 * Active element segments count up to the first that depends on anything but the module, or that could trap: what comes after it may overwrite, or must not
 * be seen. Their elements need not be stored when an instance is made: a null in such a table is looked up when somebody meets it (csrc/vm/table.c), so code
 * that reads tables of functions asks before it takes null for an answer. Both the compiler, which emits the question, and the runtime ask here. */
#ifndef WR_WASM_ELEMS_H
#define WR_WASM_ELEMS_H

#include "wasm/module.h"

/* The first elements of a table that the module defines: per element 0 (null) or the index of a function + 1. */
typedef struct WasmElemRange {
    uint32_t *items;
    uint32_t num_items; /* 0: nothing is known, or too little of too many: its segments are copied */
} WasmElemRange;

typedef struct WasmElems {
    WasmElemRange *ranges; /* per table that the module defines */
    uint32_t num_elems;    /* leading segments that are in them (passive ones aside) */
    bool all;              /* of those segments none is to be copied */
} WasmElems;

/* Fills `out_elems`. False: no memory. */
bool wr_elems_find(const WasmModule *module, WasmElems *out_elems);
void wr_elems_free(WasmElems *elems, const WasmModule *module);
/* Whether a null in the table may stand for an element that was not looked up yet: of imported tables nobody knows. */
bool wr_elems_may_be_lazy(const WasmModule *module, uint32_t table);

#endif
