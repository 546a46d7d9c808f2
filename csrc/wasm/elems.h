/* Which elements of a module's tables are known before it is instantiated.
 *
 * Active element segments count up to the first that depends on anything but the module, or that could trap: what comes after it may overwrite, or must not
 * be seen. Their elements need not be stored when an instance is made: a null in such a table is looked up when somebody meets it (csrc/vm/table.c), so code
 * that reads tables of functions asks before it takes null for an answer. Both the compiler, which emits the question, and the runtime ask here.
 *
 * Nothing is done for each item, so that the first instance of a module does not take longer the more functions there are: segments say whether they are
 * plain, and are looked up where they lie. */
#ifndef WR_WASM_ELEMS_H
#define WR_WASM_ELEMS_H

#include "wasm/module.h"

typedef struct WasmElemRun { uint64_t start, end; uint32_t first_item; } WasmElemRun;

/* Of a table that the module defines. */
typedef struct WasmElemRange {
    WasmElemRun *runs; /* ascending, disjoint */
    uint32_t num_runs; /* 0: nothing is known, or segments overlap: they are copied */
    uint32_t end;      /* of the last */
} WasmElemRange;

typedef struct WasmElems {
    WasmElemRange *ranges; /* per table that the module defines */
    WasmElemRun *runs;     /* of all tables */
    uint32_t num_elems;    /* leading segments that are in them (passive ones aside) */
    bool all;              /* of those segments none is to be copied */
} WasmElems;

/* Fills `out_elems`. False: no memory. */
bool wr_elems_find(const WasmModule *module, WasmElems *out_elems);
void wr_elems_free(WasmElems *elems);
/* The function that an element starts as; UINT32_MAX: null. */
uint32_t wr_elems_func(const WasmModule *module, const WasmElemRange *range, uint64_t index);
/* Whether a null in the table may stand for an element that was not looked up yet: of imported tables nobody knows. */
bool wr_elems_may_be_lazy(const WasmModule *module, uint32_t table);

#endif
