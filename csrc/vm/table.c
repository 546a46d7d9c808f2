/* Tables of references: VMFuncRef pointers or externref words, in an array from malloc that may move when the table grows, or in a slot of a pool, which
 * does not move and bounds the growth. Small tables start in the block of the instance that defines them, and move out when they grow.
 *
 * Growth in malloc doubles what is allocated, within the declared maximum, the limits table and the store's limit.
 *
 * Lazy elements. What active element segments are known to leave in a table of functions is not stored when an instance is made: of the first `num_lazy`
 * elements, null stands for what the module's segments say (wasm/elems.h). Whoever meets null, machine code of any module or the
 * host, has it looked up; whoever stores elements says so first (vm_table_before_write), and a null to be stored settles the whole table.
 *
 * A larger lazy table has no elements of its own at first, but reads nulls that all such tables share: an instance that calls a few functions through it
 * needs no memory for the others. After TABLE_LOOKUPS look-ups, or when something is stored, it gets its own (a pool: in the instance's slot), where what is
 * looked up is stored. The block keeps them for its next life, unless `is_written`: anything but what that would find by itself was stored. */
#include "vm/pool.h"

#include <stdlib.h>
#include <string.h>

#include "os/pages.h"
#include "wasm/limits.h"

#define TABLE_LOOKUPS 32u
#define TABLE_SHARED_BYTES ((size_t)8 << 20)

/* Nulls that are never written; NULL: the system has no address space for them. */
static void **table_nulls(void)
{
    static _Atomic(void **) nulls;
    void **found = atomic_load_explicit(&nulls, memory_order_acquire), **none = NULL;
    if (found != NULL) return found;
    void *made = wr_os_reserve(TABLE_SHARED_BYTES);
    if (made == NULL || !wr_os_protect(made, TABLE_SHARED_BYTES, WR_OS_READ)) {
        wr_os_release(made, TABLE_SHARED_BYTES);
        return NULL;
    }
    if (atomic_compare_exchange_strong(&nulls, &none, made)) return made;
    wr_os_release(made, TABLE_SHARED_BYTES); /* another thread was first */
    return none;
}

static uint64_t table_max(const WrTable *table)
{
    uint64_t most = WR_LIMIT_TABLE_ELEMENTS;
    if ((table->type.flags & WASM_LIMITS_HAS_MAX) && table->type.max < most) most = table->type.max;
    return most;
}

/* Elements of its own instead of shared nulls. False: no memory. */
static bool table_own_elements(WrTable *table)
{
    if (!table->is_shared) return true;
    void **elements = table->start.room;
    uint64_t capacity = table->type.min;
    if (elements != NULL) {
        *table->start.kept = elements;
    } else if (table->pool != NULL) {
        elements = vm_pool_table(table->pool, table->slot, &capacity);
    } else {
        const size_t bytes = vm_table_kept_bytes(capacity);
        elements = vm_block_new(bytes);
        if (elements == NULL) return false;
        *table->start.kept = elements;
        table->start.instance->held_bytes += bytes;
    }
    table->def.elements = elements;
    table->capacity = capacity;
    table->is_shared = false;
    return true;
}

bool vm_table_element(WrTable *table, uint64_t index, void **out_element)
{
    *out_element = table->def.elements[index];
    if (*out_element != NULL || index >= table->num_lazy) return true;
    WrInstance *instance = table->start.instance;
    uint32_t func = wr_elems_func(instance->module, table->start.lazy, index);
    if (func == UINT32_MAX) return true;
    void *element = *out_element = vm_instance_func(instance, func);
    if (element == NULL) return false;
    if (table->is_shared && (table->num_lookups++ < TABLE_LOOKUPS || !table_own_elements(table))) return true;
    /* an import is of this instance only, while its own functions lie where those of the block's next instance will */
    if (func < instance->module->num_imported_funcs) table->is_written = true;
    table->def.elements[index] = element;
    return true;
}

bool vm_table_settle(WrTable *table)
{
    void *element;
    if (!table_own_elements(table)) return false;
    for (uint32_t i = 0; i < table->num_lazy; i++)
        if (!vm_table_element(table, i, &element)) return false;
    table->num_lazy = 0;
    table->is_written = true;
    return true;
}

bool vm_table_before_write(WrTable *table, uint64_t start, uint64_t length, void *const *values)
{
    if (!table_own_elements(table)) return false;
    table->is_written = true;
    table->def.writable = table->def.length;
    if (start >= table->num_lazy) return true;
    if (length > table->num_lazy - start) length = table->num_lazy - start;
    for (uint64_t i = 0; i < length; i++)
        if (values == NULL || values[i] == NULL) return vm_table_settle(table);
    return true;
}

static void table_set(WrTable *table, uint64_t start, uint64_t length, void *value)
{
    for (uint64_t i = 0; i < length; i++) table->def.elements[start + i] = value;
}

static bool table_first_elements(WrTable *table, const WasmLimits *limits, WrError *error)
{
    const VmTableStart *start = &table->start;
    void **nulls;
    if (start->place != NULL || (start->kept != NULL && *start->kept != NULL)) {
        table->def.elements = start->place != NULL ? start->place : *start->kept;
        table->capacity = limits->min;
        return true;
    }
    if (start->kept != NULL && limits->min <= TABLE_SHARED_BYTES / sizeof(void *) && (nulls = table_nulls()) != NULL) {
        table->def.elements = nulls;
        table->is_shared = true;
        return true;
    }
    if (table->pool != NULL || limits->min == 0) return true; /* the slot's */
    table->def.elements = calloc((size_t)limits->min, sizeof *table->def.elements);
    table->owns_elements = true;
    return table->def.elements != NULL ||
           wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for a table of %llu elements", (unsigned long long)limits->min);
}

bool vm_table_create(WrTable *table, WrStore *store, WrPool *pool, ValType element, const WasmLimits *limits, const VmTableStart *start, void *init, WrError *error)
{
    memset(table, 0, sizeof *table);
    if (start != NULL) {
        table->start = *start;
        table->num_lazy = start->lazy != NULL ? start->lazy->end : 0;
    }
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
    if (!table_first_elements(table, limits, error)) return false;
    table->def.length = limits->min;
    if (init != NULL) table_set(table, 0, limits->min, init);
    store->num_tables++;
    return true;
}

void vm_table_destroy(WrTable *table)
{
    uint64_t capacity;
    if (table->pool != NULL)
        vm_pool_give_table(table->pool, table->slot, table->def.elements == vm_pool_table(table->pool, table->slot, &capacity) ? table->def.length : 0);
    else if (table->owns_elements)
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

void *wr_table_get(WrTable *table, uint64_t index)
{
    void *element;
    return index < table->def.length && vm_table_element(table, index, &element) ? element : NULL;
}

bool wr_table_set(WrTable *table, uint64_t index, void *value)
{
    if (index >= table->def.length || !vm_table_before_write(table, index, 1, &value)) return false;
    table->def.elements[index] = value;
    return true;
}

/* Room for `wanted` elements, of at most `most`. */
static bool table_make_room(WrTable *table, uint64_t wanted, uint64_t most)
{
    uint64_t length = table->def.length, capacity = table->capacity < 4 ? 8 : 2 * table->capacity;
    void **elements;
    if (!table_own_elements(table)) return false;
    if (wanted <= table->capacity) return true;
    if (table->pool != NULL) {
        elements = vm_pool_table(table->pool, table->slot, &capacity);
    } else {
        if (capacity < wanted) capacity = wanted;
        if (capacity > most) capacity = most;
        elements = realloc(table->owns_elements ? table->def.elements : NULL, (size_t)capacity * sizeof *elements);
        if (elements == NULL) return false;
    }
    if ((table->pool != NULL || !table->owns_elements) && length != 0) memcpy(elements, table->def.elements, (size_t)length * sizeof *elements);
    table->owns_elements = table->pool == NULL;
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
    /* what the host or the module's own code stores is not all asked for, but new elements are not the block's */
    table->is_written = true;
    if (table->def.writable != 0) table->def.writable = table->def.length;
    table_set(table, length, delta, init);
    return (int64_t)length;
}

bool vm_table_copy(WrTable *dst_table, WrTable *src_table, uint64_t dst, uint64_t src, uint64_t length)
{
    if (!vm_in_bounds(dst, length, dst_table->def.length) || !vm_in_bounds(src, length, src_table->def.length)) return false;
    void *element;
    if (length != 0 && src < src_table->num_lazy && !table_own_elements(src_table)) return false;
    for (uint64_t i = src; i < src + length && i < src_table->num_lazy; i++)
        if (!vm_table_element(src_table, i, &element)) return false;
    if (!vm_table_before_write(dst_table, dst, length, src_table->def.elements + src)) return false;
    if (length != 0) memmove(dst_table->def.elements + dst, src_table->def.elements + src, (size_t)length * sizeof(void *));
    return true;
}

bool vm_table_fill(WrTable *table, uint64_t dst, void *value, uint64_t length)
{
    if (!vm_in_bounds(dst, length, table->def.length)) return false;
    if (!vm_table_before_write(table, dst, value == NULL ? length : 0, NULL)) return false;
    table_set(table, dst, length, value);
    return true;
}
