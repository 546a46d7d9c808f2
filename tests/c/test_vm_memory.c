/* Memories and tables made by the host: limits, growth, refusals of the system, life beyond the store. */
#include "check.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/pages.h"
#include "vm/objects.h"

static WrTypeRegistry *registry;
static WrStore *store;
static const WrTunables guarded = { .memory_reservation = (uint64_t)4 << 30, .memory_guard_bytes = (uint64_t)32 << 20, .guarded_memories = 1, .signals_based_traps = 1 };
static const WrTunables checked = { .memory_reservation = (uint64_t)1 << 20 };

static WasmLimits limits(uint64_t min, uint64_t max, uint8_t flags)
{
    return (WasmLimits){ .min = min, .max = max, .flags = (uint8_t)(flags | (max != UINT64_MAX ? WASM_LIMITS_HAS_MAX : 0)), .page_size_log2 = 16 };
}

static void guarded_memory(void)
{
    WrError error = { 0 };
    WasmLimits type = limits(1, 4, 0);
    WrMemory *memory = wr_memory_new(store, &type, &guarded, &error);
    REQUIRE(memory != NULL);
    VMMemoryDef *def = wr_memory_def(memory);
    uint8_t *base = def->base;
    CHECK_EQ(def->length_bytes, 65536);
    base[65535] = 1;
    CHECK(vm_memory_owns_address(store, (uintptr_t)base));
    CHECK(vm_memory_owns_address(store, (uintptr_t)base + UINT32_MAX + 4096));
    CHECK(!vm_memory_owns_address(store, (uintptr_t)base - 1));
    CHECK(!vm_memory_owns_address(store, 0));
    CHECK_EQ(wr_memory_grow(memory, 0), 1);
    CHECK_EQ(wr_memory_grow(memory, 2), 1);
    CHECK_EQ(wr_memory_grow(memory, 2), -1);
    CHECK_EQ(wr_memory_grow(memory, UINT64_MAX), -1);
    CHECK_EQ(wr_memory_grow(memory, 1), 3);
    CHECK_EQ(wr_memory_grow(memory, 1), -1);
    CHECK_EQ(wr_memory_grow(memory, 0), 4);
    CHECK(def->base == base);
    CHECK_EQ(def->length_bytes, 4 * 65536);
    base[4 * 65536 - 1] = 2;
    CHECK_EQ(wr_memory_type(memory)->min, 1);
}

static void checked_memory(void)
{
    WrError error = { 0 };
    WasmLimits type = limits(0, UINT64_MAX, 0);
    WrMemory *memory = wr_memory_new(store, &type, &checked, &error);
    REQUIRE(memory != NULL);
    /* the reservation is what growth may use */
    CHECK_EQ(wr_memory_grow(memory, 16), 0);
    CHECK_EQ(wr_memory_grow(memory, 1), -1);
    CHECK_EQ(memory->reservation_bytes, 1 << 20);
    wr_memory_def(memory)->base[(1 << 20) - 1] = 1;
    type = limits(32, UINT64_MAX, 0);
    memory = wr_memory_new(store, &type, &checked, &error);
    REQUIRE(memory != NULL);
    CHECK_EQ(memory->def.length_bytes, 32 * 65536);
    CHECK_EQ(wr_memory_grow(memory, 1), -1);
}

static void memory64_and_small_pages(void)
{
    WrError error = { 0 };
    WasmLimits type = limits(1, (uint64_t)1 << 48, WASM_LIMITS_64);
    WrMemory *memory = wr_memory_new(store, &type, &guarded, &error);
    REQUIRE(memory != NULL);
    CHECK(!memory->guarded);
    CHECK_EQ(wr_memory_grow(memory, (uint64_t)1 << 47), -1);
    CHECK_EQ(wr_memory_grow(memory, 65535), 1);
    CHECK_EQ(wr_memory_grow(memory, 1), -1);
    type = (WasmLimits){ .min = 3, .max = 10, .flags = WASM_LIMITS_HAS_MAX, .page_size_log2 = 0 };
    memory = wr_memory_new(store, &type, &guarded, &error);
    REQUIRE(memory != NULL);
    CHECK(!memory->guarded);
    CHECK_EQ(wr_memory_grow(memory, 7), 3);
    CHECK_EQ(memory->def.length_bytes, 10);
    CHECK_EQ(wr_memory_grow(memory, 1), -1);
}

static void refused_memories(void)
{
    {
        WrError error = { 0 };
        WasmLimits type = limits(65537, UINT64_MAX, 0);
        CHECK(wr_memory_new(store, &type, &guarded, &error) == NULL);
        CHECK_EQ(error.kind, WR_ERROR_LIMIT);
    }
    {
        WrError error = { 0 };
        WasmLimits type = limits(UINT64_MAX, UINT64_MAX, WASM_LIMITS_64);
        CHECK(wr_memory_new(store, &type, &guarded, &error) == NULL);
        CHECK_EQ(error.kind, WR_ERROR_LIMIT);
    }
    for (int call = WR_OS_CALL_MAP; call <= WR_OS_CALL_PROTECT; call++) {
        WrError error = { 0 };
        WasmLimits type = limits(1, UINT64_MAX, 0);
        uint32_t before = store->num_memories;
        (void)vm_memory_pool_drain();
        wr_os_inject_failure((WrOsCall)call, 0);
        CHECK(wr_memory_new(store, &type, &guarded, &error) == NULL);
        wr_os_inject_failure((WrOsCall)call, -1);
        CHECK_EQ(error.kind, WR_ERROR_LIMIT);
        CHECK_CONTAINS(error.message, "out of memory");
        CHECK_EQ(store->num_memories, before);
    }
    WrError error = { 0 };
    WasmLimits type = limits(1, UINT64_MAX, 0);
    WrMemory *memory = wr_memory_new(store, &type, &guarded, &error);
    REQUIRE(memory != NULL);
    wr_os_inject_failure(WR_OS_CALL_PROTECT, 0);
    CHECK_EQ(wr_memory_grow(memory, 1), -1);
    wr_os_inject_failure(WR_OS_CALL_PROTECT, -1);
    CHECK_EQ(memory->def.length_bytes, 65536);
    CHECK_EQ(wr_memory_grow(memory, 1), 1);
}

static void the_error_names_the_limit(void)
{
#if !defined(__SANITIZE_ADDRESS__) /* its shadow is larger than any limit */
    pid_t child = fork();
    if (child == 0) {
        WrError error = { 0 };
        WasmLimits type = limits(1, UINT64_MAX, 0);
        struct rlimit two_gib = { (rlim_t)2 << 30, (rlim_t)2 << 30 };
        setrlimit(RLIMIT_AS, &two_gib);
        if (wr_memory_new(store, &type, &guarded, &error) != NULL) _exit(1);
        _exit(strstr(error.message, "RLIMIT_AS is 2.0 GiB") != NULL ? 0 : 2);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK_EQ(status, 0);
#endif
}

static void store_limits(void)
{
    WrError error = { 0 };
    WrStore *small = wr_store_new(registry, 1 << 20, NULL, &error);
    WrLimits bounds = { .memory_bytes = 2 * 65536, .table_elements = 5, .instances = 1, .tables = 1, .memories = 1 };
    wr_store_set_limits(small, &bounds);
    WasmLimits type = limits(1, UINT64_MAX, 0), three = limits(3, UINT64_MAX, 0);
    CHECK(wr_memory_new(small, &three, &guarded, &error) == NULL);
    CHECK_CONTAINS(error.message, "memory_size");
    error = (WrError){ 0 };
    WrMemory *memory = wr_memory_new(small, &type, &guarded, &error);
    REQUIRE(memory != NULL);
    CHECK_EQ(wr_memory_grow(memory, 1), 1);
    CHECK_EQ(wr_memory_grow(memory, 1), -1);
    CHECK(wr_memory_new(small, &type, &guarded, &error) == NULL);
    CHECK_CONTAINS(error.message, "1 memories");
    error = (WrError){ 0 };
    WrTable *table = wr_table_new(small, WR_VALTYPE_FUNCREF, &three, NULL, &error);
    REQUIRE(table != NULL);
    CHECK_EQ(wr_table_grow(table, 2, NULL), 3);
    CHECK_EQ(wr_table_grow(table, 1, NULL), -1);
    CHECK(wr_table_new(small, WR_VALTYPE_FUNCREF, &three, NULL, &error) == NULL);
    wr_store_free(small);
}

static void buffers_outlive_the_store(void)
{
    WrError error = { 0 };
    WrStore *other = wr_store_new(registry, 1 << 20, NULL, &error);
    WasmLimits type = limits(1, UINT64_MAX, 0);
    WrMemory *memory = wr_memory_new(other, &type, &guarded, &error);
    REQUIRE(memory != NULL);
    wr_memory_retain(memory);
    wr_store_free(other);
    wr_memory_def(memory)->base[0] = 9;
    CHECK_EQ(wr_memory_grow(memory, 1), 1);
    wr_memory_release(memory);
}

/* A reservation comes back empty, whatever was in it and however far it had grown. */
static void reservations_are_reused(void)
{
    WrError error = { 0 };
    (void)vm_memory_pool_drain();
    WasmLimits small = limits(1, UINT64_MAX, 0), large = limits(3, UINT64_MAX, 0);
    WrMemory *memory = wr_memory_new(store, &large, &guarded, &error);
    REQUIRE(memory != NULL);
    uint8_t *base = memory->def.base;
    CHECK_EQ(wr_memory_grow(memory, 2), 3);
    memset(base, 1, 5 * 65536);
    vm_memory_remove(memory);
    memory = wr_memory_new(store, &small, &guarded, &error);
    REQUIRE(memory != NULL);
    CHECK(memory->def.base == base);
    CHECK_EQ(memory->def.length_bytes, 65536);
    CHECK_EQ(memory->committed_bytes, 65536);
    for (int i = 0; i < 65536; i++) CHECK_EQ(base[i], 0);
    CHECK_EQ(wr_memory_grow(memory, 4), 1);
    for (int i = 0; i < 5 * 65536; i++) CHECK_EQ(base[i], 0);
    vm_memory_remove(memory);
    CHECK(vm_memory_pool_drain());
    CHECK(!vm_memory_pool_drain());
}

static void bulk_memory(void)
{
    WrError error = { 0 };
    WasmLimits type = limits(1, UINT64_MAX, 0);
    WrMemory *a = wr_memory_new(store, &type, &guarded, &error), *b = wr_memory_new(store, &type, &guarded, &error);
    REQUIRE(a != NULL && b != NULL);
    CHECK(vm_memory_fill(a, 65530, 7, 6));
    CHECK(!vm_memory_fill(a, 65530, 8, 7));
    CHECK_EQ(a->def.base[65535], 7);
    CHECK(vm_memory_fill(a, 65536, 1, 0));
    CHECK(!vm_memory_fill(a, 65537, 1, 0));
    CHECK(!vm_memory_fill(a, UINT64_MAX, 1, 2));
    CHECK(!vm_memory_fill(a, 2, 1, UINT64_MAX));
    CHECK(vm_memory_copy(b, a, 0, 65530, 6));
    CHECK_EQ(b->def.base[5], 7);
    CHECK(!vm_memory_copy(b, a, 65531, 65530, 6));
    CHECK(!vm_memory_copy(b, a, 0, 65531, 6));
    memcpy(a->def.base, "abcdef", 6);
    CHECK(vm_memory_copy(a, a, 2, 0, 4)); /* overlapping */
    CHECK_BYTES(a->def.base, "ababcd", 6);
    CHECK(vm_memory_init(a, 65533, (const uint8_t *)"xyz", 3, 0, 3));
    CHECK(!vm_memory_init(a, 65533, (const uint8_t *)"xyz", 3, 1, 3));
    CHECK(!vm_memory_init(a, 65534, (const uint8_t *)"xyz", 3, 0, 3));
    CHECK(vm_memory_init(a, 65536, (const uint8_t *)"", 0, 0, 0));
}

static void tables(void)
{
    WrError error = { 0 };
    WasmLimits type = limits(2, 1000, 0);
    int x, y;
    WrTable *table = wr_table_new(store, WR_VALTYPE_EXTERNREF, &type, &x, &error);
    REQUIRE(table != NULL);
    VMTableDef *def = wr_table_def(table);
    CHECK(def->elements[0] == &x && def->elements[1] == &x);
    CHECK_EQ(wr_table_grow(table, 498, &y), 2);
    CHECK(def->elements[2] == &y && def->elements[499] == &y && def->elements[1] == &x);
    CHECK_EQ(wr_table_grow(table, 501, &y), -1);
    CHECK_EQ(wr_table_grow(table, UINT64_MAX, &y), -1);
    CHECK_EQ(wr_table_grow(table, 500, NULL), 500);
    CHECK_EQ(wr_table_grow(table, 0, NULL), 1000);
    CHECK(vm_table_fill(table, 998, &x, 2));
    CHECK(!vm_table_fill(table, 999, &y, 2));
    CHECK(def->elements[999] == &x);
    CHECK(vm_table_copy(table, table, 0, 998, 2));
    CHECK(!vm_table_copy(table, table, 999, 0, 2));
    CHECK(vm_table_copy(table, table, 1000, 1000, 0));
    CHECK(!vm_table_copy(table, table, 1001, 0, 0));
    type = limits(10000001, UINT64_MAX, 0);
    CHECK(wr_table_new(store, WR_VALTYPE_FUNCREF, &type, NULL, &error) == NULL);
    CHECK_EQ(error.kind, WR_ERROR_LIMIT);
    ValType element;
    WasmLimits found;
    wr_table_type(table, &element, &found);
    CHECK_EQ(element, WR_VALTYPE_EXTERNREF);
    CHECK_EQ(found.max, 1000);
}

static void globals(void)
{
    WrError error = { 0 };
    ValRaw value = { .i64 = 5 };
    WrGlobal *global = wr_global_new(store, WR_VALTYPE_I64, true, &value, &error);
    REQUIRE(global != NULL);
    CHECK_EQ(wr_global_def(global)->value.i64, 5);
    CHECK_EQ((uintptr_t)wr_global_def(global) % 16, 0);
    ValType type;
    bool is_mutable;
    wr_global_type(global, &type, &is_mutable);
    CHECK_EQ(type, WR_VALTYPE_I64);
    CHECK(is_mutable);
}

int main(void)
{
    WrError error = { 0 };
    registry = wr_types_new();
    store = wr_store_new(registry, 1 << 20, NULL, &error);
    REQUIRE(store != NULL);
    RUN(guarded_memory);
    RUN(checked_memory);
    RUN(memory64_and_small_pages);
    RUN(refused_memories);
    RUN(the_error_names_the_limit);
    RUN(store_limits);
    RUN(buffers_outlive_the_store);
    RUN(reservations_are_reused);
    RUN(bulk_memory);
    RUN(tables);
    RUN(globals);
    wr_store_free(store);
    wr_types_release(registry);
    return check_result();
}
