/* Tables of references: VMFuncRef pointers or externref words, in an array from malloc that may move when the table grows, or in a slot of a pool, which
 * does not move and bounds the growth.
 *
 * Growth of the former doubles what is allocated, within the declared maximum, the limits table and the store's limit. */
#include "vm/pool.h"

#include <stdlib.h>
#include <string.h>

#include "wasm/limits.h"

static uint64_t table_max(const WrTable *table)
{
    uint64_t most = WR_LIMIT_TABLE_ELEMENTS;
    if ((table->type.flags & WASM_LIMITS_HAS_MAX) && table->type.max < most) most = table->type.max;
    return most;
}

static void table_set(WrTable *table, uint64_t start, uint64_t length, void *value)
{
    for (uint64_t i = 0; i < length; i++) table->def.elements[start + i] = value;
}

bool vm_table_create(WrTable *table, WrStore *store, WrPool *pool, ValType element, const WasmLimits *limits, void *init, WrError *error)
{
    memset(table, 0, sizeof *table);
    table->element = element;
    table->type = *limits;
    table->store = store;
    if (limits->min > table_max(table))
        return wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "a table of %llu elements exceeds the limit of %llu", (unsigned long long)limits->min,
                            (unsigned long long)table_max(table));
    if (limits->min > store->limits.table_elements)
        return wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "a table of %llu elements exceeds the store's limit table_elements of %llu",
                            (unsigned long long)limits->min, (unsigned long long)store->limits.table_elements);
    if (store->num_tables >= store->limits.tables)
        return wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "the store's limit of %u tables is reached", store->limits.tables);
    table->capacity = limits->min;
    if (pool != NULL) {
        if (!vm_pool_take_table(pool, limits->min, &table->def.elements, &table->slot, &table->capacity, error)) return false;
        table->pool = pool;
    } else if (limits->min != 0) {
        table->def.elements = calloc((size_t)limits->min, sizeof *table->def.elements);
        if (table->def.elements == NULL)
            return wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for a table of %llu elements", (unsigned long long)limits->min);
    }
    table->def.length = limits->min;
    if (init != NULL) table_set(table, 0, limits->min, init);
    store->num_tables++;
    return true;
}

void vm_table_destroy(WrTable *table)
{
    if (table->pool != NULL)
        vm_pool_give_table(table->pool, table->slot, table->def.length);
    else
        free(table->def.elements);
    table->def = (VMTableDef){ 0 };
    table->store->num_tables--;
}

WrTable *wr_table_new(WrStore *store, ValType element, const WasmLimits *limits, void *init, WrError *error)
{
    WrTable *table = malloc(sizeof *table);
    if (table == NULL) {
        wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for a table");
        return NULL;
    }
    if (!vm_table_create(table, store, NULL, element, limits, init, error)) {
        free(table);
        return NULL;
    }
    table->next = store->tables;
    store->tables = table;
    return table;
}

void vm_tables_free(WrStore *store)
{
    while (store->tables != NULL) {
        WrTable *table = store->tables;
        store->tables = table->next;
        vm_table_destroy(table);
        free(table);
    }
}

VMTableDef *wr_table_def(WrTable *table) { return &table->def; }

void wr_table_type(const WrTable *table, ValType *out_element, WasmLimits *out_limits)
{
    *out_element = table->element;
    *out_limits = table->type;
}

int64_t wr_table_grow(WrTable *table, uint64_t delta, void *init)
{
    uint64_t length = table->def.length, most = table_max(table);
    if (most > table->store->limits.table_elements) most = table->store->limits.table_elements;
    if (table->pool != NULL && most > table->capacity) most = table->capacity;
    if (delta == 0) return (int64_t)length;
    if (length > most || delta > most - length) return -1;
    if (length + delta > table->capacity) {
        uint64_t capacity = table->capacity < 4 ? 8 : 2 * table->capacity;
        if (capacity < length + delta) capacity = length + delta;
        if (capacity > most) capacity = most;
        void **elements = realloc(table->def.elements, (size_t)capacity * sizeof *elements);
        if (elements == NULL) return -1;
        table->def.elements = elements;
        table->capacity = capacity;
    }
    table->def.length = length + delta;
    table_set(table, length, delta, init);
    return (int64_t)length;
}

static bool table_in_bounds(const WrTable *table, uint64_t start, uint64_t length)
{
    return start <= table->def.length && length <= table->def.length - start;
}

bool vm_table_copy(WrTable *dst_table, WrTable *src_table, uint64_t dst, uint64_t src, uint64_t length)
{
    if (!table_in_bounds(dst_table, dst, length) || !table_in_bounds(src_table, src, length)) return false;
    if (length != 0) memmove(dst_table->def.elements + dst, src_table->def.elements + src, (size_t)length * sizeof(void *));
    return true;
}

bool vm_table_fill(WrTable *table, uint64_t dst, void *value, uint64_t length)
{
    if (!table_in_bounds(table, dst, length)) return false;
    table_set(table, dst, length, value);
    return true;
}
