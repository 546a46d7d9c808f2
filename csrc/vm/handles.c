/* Handle tables of component instances, as the canonical ABI wants them: indices from 1, freed ones reused last in first out. */
#include <stdlib.h>

#include "wasmrt/wasmrt.h"

#define HANDLES_MAX ((UINT32_C(1) << 28) - 1)

struct WrHandleTable {
    WrHandle *handles;  /* [0] is never valid; a free one links to the next free one by its rep */
    uint32_t count;     /* of slots in use or on the free list, slot 0 included */
    uint32_t capacity;
    uint32_t first_free; /* 0: none */
    uint32_t num_live;
};

WrHandleTable *wr_handles_new(void)
{
    WrHandleTable *table = calloc(1, sizeof *table);
    if (table != NULL) table->count = 1;
    return table;
}

void wr_handles_free(WrHandleTable *table)
{
    if (table == NULL) return;
    free(table->handles);
    free(table);
}

static bool handles_grow(WrHandleTable *table)
{
    uint32_t capacity = table->capacity ? 2 * table->capacity : 16;
    if (capacity > HANDLES_MAX + 1) capacity = HANDLES_MAX + 1;
    if (table->count >= capacity) return false;
    WrHandle *handles = realloc(table->handles, (size_t)capacity * sizeof *handles);
    if (handles == NULL) return false;
    if (table->capacity == 0) handles[0] = (WrHandle){ 0 };
    table->handles = handles;
    table->capacity = capacity;
    return true;
}

uint32_t wr_handles_add(WrHandleTable *table, const WrHandle *handle)
{
    WrHandle added = *handle; /* may lie in the table that moves */
    uint32_t index = table->first_free;
    if (index != 0) {
        table->first_free = (uint32_t)table->handles[index].rep;
    } else {
        if (table->count >= table->capacity && !handles_grow(table)) return 0;
        index = table->count++;
    }
    table->handles[index] = added;
    table->num_live++;
    return index;
}

WrHandle *wr_handles_get(WrHandleTable *table, uint32_t index)
{
    if (index == 0 || index >= table->count || table->handles[index].kind == WR_HANDLE_FREE) return NULL;
    return &table->handles[index];
}

bool wr_handles_remove(WrHandleTable *table, uint32_t index)
{
    WrHandle *handle = wr_handles_get(table, index);
    if (handle == NULL) return false;
    *handle = (WrHandle){ .kind = WR_HANDLE_FREE, .rep = table->first_free };
    table->first_free = index;
    table->num_live--;
    return true;
}

uint32_t wr_handles_count(const WrHandleTable *table) { return table->num_live; }
