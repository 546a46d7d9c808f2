/* Pools: slots come back clean, limits are errors that name themselves, refusals of the system leave the pool as it was, images follow their slots. */
#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

#include "os/pages.h"
#include "vm/pool.h"

static WrTypeRegistry *registry;
static WrError error;
static const WrTunables guarded = { .memory_reservation = (uint64_t)4 << 30, .memory_guard_bytes = (uint64_t)32 << 20, .guarded_memories = 1, .signals_based_traps = 1 };
static const WrTunables checked = { .memory_reservation = (uint64_t)1 << 20 };
static const WrPoolConfig small = {
    .max_memory_bytes = 1 << 20, .table_elements = 2000, .max_core_instance_bytes = 5000,
    .total_component_instances = 2, .total_core_instances = 3, .total_memories = 2, .total_tables = 2, .max_unused_warm_slots = 1,
};
static const WasmLimits one_page = { .min = 1, .page_size_log2 = 16 }, two_pages = { .min = 2, .page_size_log2 = 16 };

static WrPool *pool_of(const WrPoolConfig *config, const WrTunables *tunables)
{
    error = (WrError){ 0 };
    WrPool *pool = wr_pool_new(config, tunables, &error);
    if (pool == NULL) CHECK_FAIL("%s", error.message);
    REQUIRE(pool != NULL);
    return pool;
}

static WrStore *store_in(WrPool *pool)
{
    error = (WrError){ 0 };
    WrStore *store = wr_store_new(registry, 1 << 20, NULL, &error);
    REQUIRE(store != NULL);
    wr_store_set_allocation(store, pool, true);
    return store;
}

static WrPoolUsage usage(WrPool *pool)
{
    WrPoolUsage found;
    wr_pool_usage(pool, &found);
    return found;
}

static VmMemoryImage *image_of(uint8_t byte, size_t bytes, uint64_t memory_offset)
{
    VmMemoryImage *image = calloc(1, sizeof *image);
    uint8_t *content = malloc(bytes);
    REQUIRE(image != NULL && content != NULL);
    memset(content, byte, bytes);
    *image = (VmMemoryImage){ .contents = wr_os_contents_new(bytes), .memory_offset = memory_offset, .bytes = bytes };
    atomic_init(&image->references, 1);
    REQUIRE(image->contents >= 0 && wr_os_contents_write(image->contents, content, bytes, 0));
    wr_os_contents_seal(image->contents);
    CHECK(!wr_os_contents_write(image->contents, content, 1, 0)); /* sealed */
    free(content);
    return image;
}

static void check_filled(const uint8_t *at, size_t bytes, uint8_t byte)
{
    for (size_t i = 0; i < bytes; i++) {
        if (at[i] == byte) continue;
        CHECK_FAIL("byte %zu is %u, expected %u", i, at[i], byte);
        return;
    }
}

static void slots_come_back_clean(const WrTunables *tunables)
{
    WrPool *pool = pool_of(&small, tunables);
    VmMemoryImage *images[] = { NULL, image_of(7, 8192, 4096), image_of(9, 4096, 0), NULL };
    for (int round = 0; round < 16; round++) {
        WrStore *store = store_in(pool);
        VmMemoryImage *image = images[round * 7 / 3 % 4];
        WrMemory *memory = vm_memory_create(store, round % 3 ? &one_page : &two_pages, tunables, pool, image, &error);
        REQUIRE(memory != NULL);
        uint8_t *base = memory->def.base;
        size_t length = memory->def.length_bytes, from = image != NULL ? image->memory_offset : 0, to = image != NULL ? from + image->bytes : 0;
        check_filled(base, from, 0);
        if (image != NULL) check_filled(base + from, to - from, image == images[1] ? 7 : 9);
        check_filled(base + to, length - to, 0);
        CHECK_EQ(wr_memory_grow(memory, 3), length >> 16);
        check_filled(base + length, 3 << 16, 0);
        memset(base, 0xee, memory->def.length_bytes);
        wr_store_free(store);
        CHECK_EQ(usage(pool).memories, 0);
        CHECK(usage(pool).warm_memories <= small.max_unused_warm_slots);
    }
    wr_pool_release(pool);
    vm_memory_image_release(images[1]);
    vm_memory_image_release(images[2]);
}

static void guarded_slots(void) { slots_come_back_clean(&guarded); }
static void checked_slots(void) { slots_come_back_clean(&checked); }

static void kept_pages_are_zeroed(void)
{
    WrPoolConfig config = small;
    config.total_memories = config.total_tables = 1;
    for (uint64_t keep = 1; keep <= (uint64_t)1 << 40; keep *= 32) {
        config.memory_keep_resident_bytes = config.table_keep_resident_bytes = keep;
        WrPool *pool = pool_of(&config, &checked);
        for (int round = 0; round < 3; round++) {
            WrStore *store = store_in(pool);
            WrMemory *memory = vm_memory_create(store, &two_pages, &checked, pool, NULL, &error);
            WrTable table;
            WasmLimits type = { .min = round == 1 ? 2000 : 3 };
            REQUIRE(memory != NULL && vm_table_create(&table, store, pool, WR_VALTYPE_FUNCREF, &type, NULL, NULL, &error));
            check_filled(memory->def.base, memory->def.length_bytes, 0);
            memset(memory->def.base, 1, memory->def.length_bytes);
            for (uint64_t i = 0; i < table.def.length; i++) CHECK(table.def.elements[i] == NULL);
            CHECK_EQ(wr_table_grow(&table, 2001, pool), -1);
            CHECK_EQ(wr_table_grow(&table, 2000 - type.min, pool), type.min);
            CHECK(vm_table_fill(&table, 0, pool, 2000));
            vm_table_destroy(&table);
            wr_store_free(store);
        }
        wr_pool_release(pool);
    }
}

static void running_out(void)
{
    WrPool *pool = pool_of(&small, &checked);
    WrStore *store = store_in(pool);
    WrMemory *memories[3];
    WrTable tables[3];
    for (int i = 0; i < 2; i++) {
        memories[i] = vm_memory_create(store, &one_page, &checked, pool, NULL, &error);
        REQUIRE(memories[i] != NULL && vm_table_create(&tables[i], store, pool, WR_VALTYPE_FUNCREF, &(WasmLimits){ .min = 1 }, NULL, NULL, &error));
    }
    CHECK(vm_memory_create(store, &one_page, &checked, pool, NULL, &error) == NULL);
    CHECK_EQ(error.kind, WR_ERROR_LIMIT);
    CHECK_CONTAINS(error.message, "total_memories of 2");
    error = (WrError){ 0 };
    CHECK(!vm_table_create(&tables[2], store, pool, WR_VALTYPE_FUNCREF, &(WasmLimits){ .min = 1 }, NULL, NULL, &error));
    CHECK_CONTAINS(error.message, "total_tables of 2");
    error = (WrError){ 0 };
    CHECK(!vm_table_create(&tables[2], store, pool, WR_VALTYPE_FUNCREF, &(WasmLimits){ .min = 2001 }, NULL, NULL, &error));
    CHECK_CONTAINS(error.message, "table_elements of 2000");
    error = (WrError){ 0 };
    CHECK(vm_memory_create(store, &(WasmLimits){ .min = 17, .page_size_log2 = 16 }, &checked, pool, NULL, &error) == NULL);
    CHECK_CONTAINS(error.message, "max_memory_size of 1048576");
    CHECK_EQ(wr_memory_grow(memories[0], 16), -1);
    CHECK_EQ(wr_memory_grow(memories[0], 15), 1);
    VmPrepared module = { .id = 5, .layout = { .bytes = 5000, .whole_bytes = 5000 } }, other = { .id = 6, .layout = { .bytes = 100, .whole_bytes = 100 } };
    VmPrepared large = { .id = 7, .layout = { .bytes = 5001, .whole_bytes = 5001 } }, roomy = { .id = 8, .layout = { .bytes = 5000, .whole_bytes = 9000 } };
    uint32_t slots[4];
    VmBlockState state;
    size_t places;
    for (int i = 0; i < 3; i++) {
        WrInstance *block = vm_pool_take_instance(pool, &module, &slots[i], &state, &places, &error);
        REQUIRE(block != NULL);
        CHECK(state == VM_BLOCK_ZERO && places >= 100);
        CHECK_EQ((uintptr_t)block % 64, 0);
        memset((void *)block, 0xcc, 5000);
    }
    error = (WrError){ 0 };
    CHECK(vm_pool_take_instance(pool, &other, &slots[3], &state, &places, &error) == NULL);
    CHECK_CONTAINS(error.message, "total_core_instances of 3");
    error = (WrError){ 0 };
    CHECK(vm_pool_take_instance(pool, &large, &slots[3], &state, &places, &error) == NULL);
    CHECK_CONTAINS(error.message, "max_core_instance_size of 5000");
    vm_pool_give_instance(pool, &module, slots[0], true);
    vm_pool_give_instance(pool, &module, slots[1], false);
    CHECK(vm_pool_take_instance(pool, &module, &slots[3], &state, &places, &error) != NULL);
    CHECK(state == VM_BLOCK_WARM); /* not the newest one, but one of the module's */
    CHECK_EQ(slots[3], slots[0]);
    /* without room for places; small blocks lie elsewhere: what was in the slot's large block is not there */
    CHECK(vm_pool_take_instance(pool, &roomy, &slots[1], &state, &places, &error) != NULL);
    CHECK(state == VM_BLOCK_DIRTY && places < 9000);
    vm_pool_give_instance(pool, &roomy, slots[1], true);
    WrInstance *block = vm_pool_take_instance(pool, &other, &slots[1], &state, &places, &error);
    CHECK(block != NULL && state == VM_BLOCK_ZERO && places >= 100);
    memset((void *)block, 0xcc, 100);
    vm_pool_give_instance(pool, &other, slots[1], true);
    CHECK(vm_pool_take_instance(pool, &other, &slots[1], &state, &places, &error) == block);
    CHECK(state == VM_BLOCK_WARM);
    vm_pool_give_instance(pool, &other, slots[1], true);
    vm_pool_give_instance(pool, &module, slots[2], true);
    vm_pool_give_instance(pool, &module, slots[3], true);
    error = (WrError){ 0 };
    CHECK(wr_store_add_component(store, &error) && wr_store_add_component(store, &error) && !wr_store_add_component(store, &error));
    CHECK_CONTAINS(error.message, "total_component_instances of 2");
    vm_table_destroy(&tables[0]);
    vm_table_destroy(&tables[1]);
    wr_store_free(store);
    WrPoolUsage found = usage(pool);
    CHECK(found.component_instances == 0 && found.core_instances == 0 && found.memories == 0 && found.tables == 0);
    wr_pool_release(pool);
}

static void buffers_keep_their_slot(void)
{
    WrPoolConfig config = small;
    config.total_memories = 1;
    WrPool *pool = pool_of(&config, &guarded);
    WrStore *store = store_in(pool), *other = store_in(pool);
    WrMemory *memory = vm_memory_create(store, &one_page, &guarded, pool, NULL, &error);
    REQUIRE(memory != NULL);
    wr_memory_retain(memory);
    memory->def.base[5] = 5;
    wr_store_free(store);
    CHECK_EQ(memory->def.base[5], 5);
    CHECK(vm_memory_create(other, &one_page, &guarded, pool, NULL, &error) == NULL);
    wr_pool_release(pool); /* the memory and the other store hold it */
    CHECK_EQ(memory->def.base[5], 5);
    wr_memory_release(memory);
    memory = vm_memory_create(other, &one_page, &guarded, pool, NULL, &error);
    REQUIRE(memory != NULL);
    CHECK_EQ(memory->def.base[5], 0);
    wr_store_free(other);
}

/* Whatever the system refuses, at whichever call: an error, nothing taken, and the next attempt works. */
static void refusals(void)
{
    for (int64_t after = 0; after < 3; after++) {
        error = (WrError){ 0 };
        wr_os_inject_failure(WR_OS_CALL_MAP, after);
        CHECK(wr_pool_new(&small, &guarded, &error) == NULL);
        wr_os_inject_failure(WR_OS_CALL_MAP, -1);
        CHECK_EQ(error.kind, WR_ERROR_LIMIT);
    }
    error = (WrError){ 0 };
    wr_os_inject_failure(WR_OS_CALL_PROTECT, 1);
    CHECK(wr_pool_new(&small, &guarded, &error) == NULL);
    wr_os_inject_failure(WR_OS_CALL_PROTECT, -1);
    WrPool *pool = pool_of(&small, &guarded);
    VmMemoryImage *a = image_of(1, 4096, 0), *b = image_of(2, 8192, 0);
    for (int round = 0; round < 12; round++) {
        WrStore *store = store_in(pool);
        VmMemoryImage *image = round % 2 ? a : b;
        wr_os_inject_failure(round % 3 ? WR_OS_CALL_MAP : WR_OS_CALL_PROTECT, round / 6);
        WrMemory *memory = vm_memory_create(store, round % 4 ? &one_page : &two_pages, &guarded, pool, image, &error);
        /* giving it back may be refused, too: then the slot has no access any more, or none of its image */
        if (memory != NULL && wr_memory_grow(memory, 1) >= 0) memset(memory->def.base, 3, memory->def.length_bytes);
        wr_os_inject_failure(WR_OS_CALL_MAP, -1);
        wr_os_inject_failure(WR_OS_CALL_PROTECT, -1);
        wr_store_free(store);
        CHECK_EQ(usage(pool).memories, 0);
        store = store_in(pool);
        memory = vm_memory_create(store, &one_page, &guarded, pool, image, &error);
        REQUIRE(memory != NULL);
        check_filled(memory->def.base, image->bytes, image == a ? 1 : 2);
        check_filled(memory->def.base + image->bytes, 65536 - image->bytes, 0);
        memset(memory->def.base, 4, 65536);
        wr_store_free(store);
    }
    wr_pool_release(pool);
    vm_memory_image_release(a);
    vm_memory_image_release(b);
}

/* A child has copies: what it writes and frees is not seen here. */
static void forks(void)
{
    WrPool *pool = pool_of(&small, &guarded);
    WrStore *store = store_in(pool);
    VmMemoryImage *image = image_of(5, 4096, 0);
    WrMemory *memory = vm_memory_create(store, &one_page, &guarded, pool, image, &error);
    REQUIRE(memory != NULL);
    memory->def.base[1] = 6;
    pid_t child = fork();
    if (child == 0) {
        bool ok = memory->def.base[0] == 5 && memory->def.base[1] == 6;
        memset(memory->def.base, 9, 65536);
        wr_store_free(store);
        WrStore *again = store_in(pool);
        memory = vm_memory_create(again, &one_page, &guarded, pool, image, &error);
        _exit(ok && memory != NULL && memory->def.base[1] == 5 && memory->def.base[4096] == 0 ? 0 : 1);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    CHECK(memory->def.base[0] == 5 && memory->def.base[1] == 6 && memory->def.base[5000] == 0);
    wr_store_free(store);
    vm_memory_image_release(image);
    wr_pool_release(pool);
}

static void hostile_sizes(void)
{
    WrPoolConfig config = small;
#define REFUSED(field, value)                                   \
    do {                                                        \
        config = small;                                         \
        config.field = value;                                   \
        error = (WrError){ 0 };                                 \
        CHECK(wr_pool_new(&config, &guarded, &error) == NULL);  \
        CHECK_EQ(error.kind, WR_ERROR_LIMIT);                   \
    } while (0)
    REFUSED(max_memory_bytes, UINT64_MAX);
    REFUSED(max_memory_bytes, (uint64_t)1 << 46);
    REFUSED(table_elements, UINT64_MAX / 8 + 1);
    REFUSED(max_core_instance_bytes, UINT64_MAX);
    REFUSED(total_memories, UINT32_MAX);
    WrTunables odd = guarded;
    odd.memory_guard_bytes = UINT64_MAX;
    error = (WrError){ 0 };
    CHECK(wr_pool_new(&small, &odd, &error) == NULL);
    odd.memory_guard_bytes = 0;
    odd.memory_reservation = UINT64_MAX;
    CHECK(wr_pool_new(&small, &odd, &error) == NULL);
    config = (WrPoolConfig){ 0 };
    WrPool *pool = pool_of(&config, &checked);
    WrStore *store = store_in(pool);
    CHECK(vm_memory_create(store, &(WasmLimits){ .page_size_log2 = 16 }, &checked, pool, NULL, &error) == NULL);
    wr_store_free(store);
    wr_pool_release(pool);
}

int main(void)
{
    registry = wr_types_new();
    RUN(guarded_slots);
    RUN(checked_slots);
    RUN(kept_pages_are_zeroed);
    RUN(running_out);
    RUN(buffers_keep_their_slot);
    RUN(refusals);
    RUN(forks);
    RUN(hostile_sizes);
    wr_types_release(registry);
    (void)vm_memory_pool_drain();
    return check_result();
}
