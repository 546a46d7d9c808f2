/* Tables of references: VMFuncRef pointers or externref words, in an array from malloc that may move when the table grows, or in a slot of a pool, which
 * does not move and bounds the growth. Small tables and lazy ones start in the block of the instance that defines them, and move out when they grow.
 *
 * Growth in malloc doubles what is allocated, within the declared maximum, the limits table and the store's limit.
 *
 * Lazy elements. What active element segments are known to leave in a table of functions is not stored when an instance is made: of the first `num_lazy`
 * elements, null stands for what the module's segments say (wasm/elems.h). Whoever meets null, machine code of any module or the
 * host, has it looked up and stored; whoever stores elements says so first (vm_table_before_write), and a null to be stored settles the whole
 * table. `is_written` tells whether anything but what the block's next life would find by itself was stored: if not, elements stay as they are. */
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

void *vm_table_element(WrTable *table, uint64_t index)
{
    void *element = table->def.elements[index];
    if (element != NULL || index >= table->num_lazy) return element;
    uint32_t func = wr_elems_func(table->instance->module, table->lazy, index);
    if (func == UINT32_MAX) return NULL;
    element = vm_instance_func(table->instance, func);
    /* an import is of this instance only, while its own functions lie where those of the block's next instance will */
    if (func < table->instance->module->num_imported_funcs) table->def.is_written = 1;
    table->def.elements[index] = element;
    return element;
}

void vm_table_settle(WrTable *table)
{
    for (uint32_t i = 0; i < table->num_lazy; i++) (void)vm_table_element(table, i);
    table->num_lazy = 0;
    table->def.is_written = 1;
}

void vm_table_before_write(WrTable *table, uint64_t start, uint64_t length, void *const *values)
{
    table->def.is_written = 1;
    if (start >= table->num_lazy) return;
    if (length > table->num_lazy - start) length = table->num_lazy - start;
    for (uint64_t i = 0; i < length; i++) {
        if (values != NULL && values[i] != NULL) continue;
        vm_table_settle(table);
        return;
    }
}

static void table_set(WrTable *table, uint64_t start, uint64_t length, void *value)
{
    for (uint64_t i = 0; i < length; i++) table->def.elements[start + i] = value;
}

bool vm_table_create(WrTable *table, WrStore *store, WrPool *pool, ValType element, const WasmLimits *limits, void **place, void *init, WrError *error)
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
    }
    table->place = place;
    if (place != NULL) {
        table->def.elements = place;
        table->capacity = limits->min;
    } else if (pool != NULL) {
        /* the slot's */
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
    bool moved = table->place == NULL || table->def.elements != table->place;
    if (table->pool != NULL)
        vm_pool_give_table(table->pool, table->slot, moved ? table->def.length : 0);
    else if (moved)
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
    if (!vm_table_create(table, store, NULL, element, limits, NULL, init, error)) {
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

void *wr_table_get(WrTable *table, uint64_t index) { return index < table->def.length ? vm_table_element(table, index) : NULL; }

bool wr_table_set(WrTable *table, uint64_t index, void *value)
{
    if (index >= table->def.length) return false;
    vm_table_before_write(table, index, 1, &value);
    table->def.elements[index] = value;
    return true;
}

/* Room for `wanted` elements, of at most `most`. */
static bool table_make_room(WrTable *table, uint64_t wanted, uint64_t most)
{
    uint64_t length = table->def.length, capacity = table->capacity < 4 ? 8 : 2 * table->capacity;
    bool moves = table->place != NULL && table->def.elements == table->place;
    void **elements;
    if (wanted <= table->capacity) return true;
    if (table->pool != NULL) {
        elements = vm_pool_table(table->pool, table->slot, &capacity);
    } else {
        if (capacity < wanted) capacity = wanted;
        if (capacity > most) capacity = most;
        elements = realloc(moves ? NULL : table->def.elements, (size_t)capacity * sizeof *elements);
        if (elements == NULL) return false;
    }
    if (moves && length != 0) memcpy(elements, table->place, (size_t)length * sizeof *elements);
    table->def.elements = elements;
    table->capacity = capacity;
    return true;
}

int64_t wr_table_grow(WrTable *table, uint64_t delta, void *init)
{
    uint64_t length = table->def.length, most = table_max(table);
    if (most > table->store->limits.table_elements) most = table->store->limits.table_elements;
    if (table->pool != NULL && most > vm_pool_table_capacity(table->pool)) most = vm_pool_table_capacity(table->pool);
    if (delta == 0) return (int64_t)length;
    if (length > most || delta > most - length) return -1;
    if (!table_make_room(table, length + delta, most)) return -1;
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
    for (uint64_t i = src; i < src + length && i < src_table->num_lazy; i++) (void)vm_table_element(src_table, i);
    vm_table_before_write(dst_table, dst, length, src_table->def.elements + src);
    if (length != 0) memmove(dst_table->def.elements + dst, src_table->def.elements + src, (size_t)length * sizeof(void *));
    return true;
}

bool vm_table_fill(WrTable *table, uint64_t dst, void *value, uint64_t length)
{
    if (!table_in_bounds(table, dst, length)) return false;
    if (value == NULL) vm_table_before_write(table, dst, length, NULL);
    table->def.is_written = 1;
    table_set(table, dst, length, value);
    return true;
}
