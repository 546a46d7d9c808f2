/* What machine code asks of C: one function a row of builtins.def, in a table that every VMContext points at.
 *
 * Each is called from machine code with the frame pointer chain intact and is compiled with frame pointers: the caller's pc and rbp, at which a trap
 * is recorded, are read from the builtin's own frame. None of them unwinds; a nonzero status makes the code do it. Operand indices were checked when
 * the code was compiled. */
#include "vm/objects.h"

/* The machine code that called the builtin in which this stands. */
#define BUILTIN_TRAP(trap_code) \
    builtin_trap(vmctx, (trap_code), (uintptr_t)__builtin_return_address(0), *(const uintptr_t *)__builtin_frame_address(0))

static int builtin_trap(VMContext *vmctx, uint32_t trap_code, uintptr_t return_address, uintptr_t fp)
{
    vm_trap_record(vm_header(vmctx)->store, trap_code, return_address - 1, fp);
    return 1;
}

/* Runs the hook if the interrupt word asks for it. It may enter the guest again, so the word is put back first, and the guest's frames are shown as
 * under a host function: `frame` is that of a builtin. */
static int builtin_serve(VMContext *vmctx, void *frame)
{
    VMStoreContext *context = vm_header(vmctx)->store;
    if (vm_stack_limit(context) != WR_INTERRUPTED || vm_store_of(context)->lost_trap) return 0; /* that waits for the code's own check */
    vm_set_stack_limit(context, context->real_stack_limit);
    if (vm_hooks()->interrupt == NULL) return 0;
    void *exit_fp = context->exit_fp;
    context->exit_fp = frame;
    int status = vm_hooks()->interrupt(vm_store_of(context), context->host);
    context->exit_fp = exit_fp;
    return status;
}

/* ---- operations on ranges ------------------------------------------------------------------------------------------------------ */

/* Long ones go in pieces, between which an interrupt is served: what was written by then stays. Bounds are checked for all of it before; what is not in
 * bounds goes in one piece, which traps before it writes. */
typedef struct Bulk {
    uint64_t length, done, at, count;
    bool is_down; /* from the end: ranges that overlap */
    bool is_first;
} Bulk;

enum { BULK_BYTES = 1 << 20, BULK_ITEMS = 1 << 16 };
#define BULK_NEXT(bulk, status) bulk_next((bulk), (status), vmctx, __builtin_frame_address(0))

static Bulk bulk_of(uint64_t length, uint64_t piece, bool is_in_bounds)
{
    return (Bulk){ .length = length, .count = is_in_bounds && length > piece ? piece : length, .is_first = true };
}

/* False: all is done, or *status is not 0. */
static bool bulk_next(Bulk *bulk, int *status, VMContext *vmctx, void *frame)
{
    if (*status != 0) return false;
    if (bulk->is_first) {
        const VMStoreContext *context = vm_header(vmctx)->store;
        if (bulk->count < bulk->length && vm_hooks()->before_block != NULL) vm_hooks()->before_block(vm_store_of(vm_header(vmctx)->store), context->host);
        bulk->is_first = false;
    } else {
        bulk->done += bulk->count;
        if (bulk->done == bulk->length || (*status = builtin_serve(vmctx, frame)) != 0) return false;
        if (bulk->count > bulk->length - bulk->done) bulk->count = bulk->length - bulk->done;
    }
    bulk->at = bulk->is_down ? bulk->length - bulk->done - bulk->count : bulk->done;
    return true;
}

static bool bulk_data_in_bounds(const WrInstance *instance, uint32_t segment, uint64_t src, uint64_t num_bytes)
{
    return vm_in_bounds(src, num_bytes, vm_bit(instance->dropped_datas, segment) ? 0 : instance->module->datas[segment].bytes.length);
}

static bool bulk_elems_in_bounds(const WrInstance *instance, uint32_t segment, uint64_t src, uint64_t length)
{
    return vm_in_bounds(src, length, vm_bit(instance->dropped_elems, segment) ? 0 : instance->module->elems[segment].num_items);
}

static bool bulk_array_in_bounds(const VMObject *array, uint64_t start, uint64_t length) { return array != NULL && vm_in_bounds(start, length, array->length); }

static uint32_t bulk_item_bytes(const WrInstance *instance, const VMObject *array)
{
    return array == NULL ? 0 : vm_type_layout(instance->store->registry, array->type_id)->item_bytes;
}

/* Before an object is made: a collection of a large heap lets others run. */
static void builtin_before_object(VMContext *vmctx)
{
    VMStoreContext *context = vm_header(vmctx)->store;
    if (vm_heap_is_long(vm_store_of(context)) && vm_hooks()->before_block != NULL) vm_hooks()->before_block(vm_store_of(context), context->host);
}

/* No room for an object: perhaps since there was no time to collect. */
#define BUILTIN_NO_ROOM() (builtin_serve(vmctx, __builtin_frame_address(0)) != 0 ? 1 : BUILTIN_TRAP(TRAP_ALLOCATION_TOO_LARGE))

#define BUILTIN_STATUS(ok, trap_code) ((ok) ? 0 : BUILTIN_TRAP(trap_code))
#define BUILTIN_TRAP_STATUS(trap_code) ((trap_code) == VM_NO_TRAP ? 0 : BUILTIN_TRAP(trap_code))

/* ---- the table ----------------------------------------------------------------------------------------------------------------- */

static void builtin_TRAP(VMContext *vmctx, uint32_t trap_code)
{
    BUILTIN_TRAP(trap_code);
}

/* The word asks for an interrupt, or the stack is used up. A tick hides the latter; the code then checks again and comes back. */
static int builtin_INTERRUPT(VMContext *vmctx)
{
    VMStoreContext *context = vm_header(vmctx)->store;
    if (vm_stack_limit(context) != WR_INTERRUPTED) return BUILTIN_TRAP(TRAP_STACK_OVERFLOW);
    if (vm_store_of(context)->lost_trap) {
        vm_set_stack_limit(context, context->real_stack_limit);
        return BUILTIN_TRAP(vm_store_of(context)->lost_trap);
    }
    return builtin_serve(vmctx, __builtin_frame_address(0));
}

static uint64_t builtin_MEMORY_GROW(VMContext *vmctx, uint32_t memory, uint64_t delta_pages)
{
    return (uint64_t)wr_memory_grow(vm_instance_of(vmctx)->memories[memory], delta_pages);
}

static int builtin_MEMORY_COPY(VMContext *vmctx, uint32_t dst_memory, uint32_t src_memory, uint64_t dst, uint64_t src, uint64_t len)
{
    WrInstance *instance = vm_instance_of(vmctx);
    WrMemory *to = instance->memories[dst_memory], *from = instance->memories[src_memory];
    Bulk bulk = bulk_of(len, BULK_BYTES, vm_in_bounds(dst, len, vm_memory_length(to)) && vm_in_bounds(src, len, vm_memory_length(from)));
    int status = 0;
    bulk.is_down = dst > src;
    while (BULK_NEXT(&bulk, &status)) status = BUILTIN_STATUS(vm_memory_copy(to, from, dst + bulk.at, src + bulk.at, bulk.count), TRAP_MEMORY_OUT_OF_BOUNDS);
    return status;
}

static int builtin_MEMORY_FILL(VMContext *vmctx, uint32_t memory, uint64_t dst, uint32_t value, uint64_t len)
{
    WrMemory *to = vm_instance_of(vmctx)->memories[memory];
    Bulk bulk = bulk_of(len, BULK_BYTES, vm_in_bounds(dst, len, vm_memory_length(to)));
    int status = 0;
    while (BULK_NEXT(&bulk, &status)) status = BUILTIN_STATUS(vm_memory_fill(to, dst + bulk.at, (uint8_t)value, bulk.count), TRAP_MEMORY_OUT_OF_BOUNDS);
    return status;
}

static int builtin_MEMORY_INIT(VMContext *vmctx, uint32_t memory, uint32_t segment, uint64_t dst, uint32_t src, uint32_t len)
{
    WrInstance *instance = vm_instance_of(vmctx);
    WrMemory *to = instance->memories[memory];
    Bulk bulk = bulk_of(len, BULK_BYTES, vm_in_bounds(dst, len, vm_memory_length(to)) && bulk_data_in_bounds(instance, segment, src, len));
    int status = 0;
    while (BULK_NEXT(&bulk, &status)) {
        status = BUILTIN_STATUS(vm_data_init(instance, to, segment, dst + bulk.at, src + bulk.at, bulk.count), TRAP_MEMORY_OUT_OF_BOUNDS);
        if (status == 0 && wr_code_is_broken(instance->code)) status = BUILTIN_TRAP(TRAP_BUS_ERROR); /* the segment's bytes may be gone */
    }
    return status;
}

static void builtin_DATA_DROP(VMContext *vmctx, uint32_t segment)
{
    vm_set_bit(vm_instance_of(vmctx)->dropped_datas, segment);
}

static uint64_t builtin_TABLE_GROW(VMContext *vmctx, uint32_t table, void *init, uint64_t delta)
{
    return (uint64_t)wr_table_grow(vm_instance_of(vmctx)->tables[table], delta, init);
}

static int builtin_TABLE_COPY(VMContext *vmctx, uint32_t dst_table, uint32_t src_table, uint64_t dst, uint64_t src, uint64_t len)
{
    WrInstance *instance = vm_instance_of(vmctx);
    WrTable *to = instance->tables[dst_table], *from = instance->tables[src_table];
    Bulk bulk = bulk_of(len, BULK_ITEMS, vm_in_bounds(dst, len, to->def.length) && vm_in_bounds(src, len, from->def.length));
    int status = 0;
    bulk.is_down = dst > src;
    while (BULK_NEXT(&bulk, &status)) status = BUILTIN_STATUS(vm_table_copy(to, from, dst + bulk.at, src + bulk.at, bulk.count), TRAP_TABLE_OUT_OF_BOUNDS);
    return status;
}

static int builtin_TABLE_FILL(VMContext *vmctx, uint32_t table, uint64_t dst, void *value, uint64_t len)
{
    WrTable *to = vm_instance_of(vmctx)->tables[table];
    Bulk bulk = bulk_of(len, BULK_ITEMS, vm_in_bounds(dst, len, to->def.length));
    int status = 0;
    while (BULK_NEXT(&bulk, &status)) status = BUILTIN_STATUS(vm_table_fill(to, dst + bulk.at, value, bulk.count), TRAP_TABLE_OUT_OF_BOUNDS);
    return status;
}

static int builtin_TABLE_INIT(VMContext *vmctx, uint32_t table, uint32_t segment, uint64_t dst, uint32_t src, uint32_t len)
{
    WrInstance *instance = vm_instance_of(vmctx);
    WrTable *to = instance->tables[table];
    Bulk bulk = bulk_of(len, BULK_ITEMS, vm_in_bounds(dst, len, to->def.length) && bulk_elems_in_bounds(instance, segment, src, len));
    int status = 0;
    while (BULK_NEXT(&bulk, &status))
        status = BUILTIN_STATUS(vm_table_init(instance, to, segment, dst + bulk.at, src + bulk.at, bulk.count), TRAP_TABLE_OUT_OF_BOUNDS);
    return status;
}

static void *builtin_LAZY(VMContext *vmctx, uint32_t table, uint64_t index)
{
    WrInstance *instance = vm_instance_of(vmctx);
    void *found = NULL;
    bool ok;
    if (table == WR_LAZY_FUNC) ok = (found = vm_instance_func(instance, (uint32_t)index)) != NULL;
    else if (index == WR_LAZY_ALL) ok = vm_table_settle(instance->tables[table]);
    else if (index == WR_LAZY_WRITE) ok = vm_table_before_write(instance->tables[table], 0, 0, NULL);
    else ok = vm_table_element(instance->tables[table], index, &found);
    if (ok) return found;
    BUILTIN_TRAP(TRAP_ALLOCATION_TOO_LARGE);
    return WR_LAZY_TRAPPED;
}

static void builtin_ELEM_DROP(VMContext *vmctx, uint32_t segment)
{
    vm_set_bit(vm_instance_of(vmctx)->dropped_elems, segment);
}

static VMResume builtin_THROW(VMContext *vmctx, uint32_t tag, const ValRaw *values)
{
    return vm_throw(vmctx, tag, values, (uintptr_t)__builtin_return_address(0), *(const uintptr_t *)__builtin_frame_address(0));
}

static VMResume builtin_THROW_REF(VMContext *vmctx, VMException *exception)
{
    return vm_throw_ref(vmctx, exception, (uintptr_t)__builtin_return_address(0), *(const uintptr_t *)__builtin_frame_address(0));
}

static VMObject *builtin_ALLOC(VMContext *vmctx, uint32_t bytes)
{
    builtin_before_object(vmctx);
    VMObject *object = vm_object_alloc(vm_store_of(vm_header(vmctx)->store), bytes);
    if (object == NULL) (void)BUILTIN_NO_ROOM();
    return object;
}

static VMObject *builtin_OBJECT_NEW(VMContext *vmctx, uint32_t type, uint32_t length)
{
    WrInstance *instance = vm_instance_of(vmctx);
    builtin_before_object(vmctx);
    VMObject *object = instance->module->types[type].kind == WASM_TYPE_STRUCT ? vm_struct_new(instance, type) : vm_array_new(instance, type, length);
    if (object == NULL) (void)BUILTIN_NO_ROOM();
    return object;
}

static VMObject *builtin_ARRAY_NEW(VMContext *vmctx, uint32_t type, const ValRaw *value, uint32_t length)
{
    WrInstance *instance = vm_instance_of(vmctx);
    builtin_before_object(vmctx);
    VMObject *array = vm_array_new(instance, type, length);
    Bulk bulk = bulk_of(length, BULK_ITEMS, array != NULL);
    int status = array != NULL ? 0 : BUILTIN_NO_ROOM();
    while (BULK_NEXT(&bulk, &status)) vm_array_set_all(array, bulk_item_bytes(instance, array), bulk.at, bulk.count, value);
    return status == 0 ? array : NULL;
}

static VMObject *builtin_ARRAY_NEW_DATA(VMContext *vmctx, uint32_t type, uint32_t segment, uint32_t src, uint32_t len)
{
    VMObject *array = NULL;
    uint32_t trap = vm_array_new_data(vm_instance_of(vmctx), type, segment, src, len, &array);
    if (trap == VM_NO_TRAP) return array;
    BUILTIN_TRAP(trap);
    return NULL;
}

static VMObject *builtin_ARRAY_NEW_ELEM(VMContext *vmctx, uint32_t type, uint32_t segment, uint32_t src, uint32_t len)
{
    VMObject *array = NULL;
    uint32_t trap = vm_array_new_elem(vm_instance_of(vmctx), type, segment, src, len, &array);
    if (trap == VM_NO_TRAP) return array;
    BUILTIN_TRAP(trap);
    return NULL;
}

static int builtin_ARRAY_FILL(VMContext *vmctx, VMObject *array, uint32_t dst, const ValRaw *value, uint32_t len)
{
    Bulk bulk = bulk_of(len, BULK_ITEMS, bulk_array_in_bounds(array, dst, len));
    int status = 0;
    while (BULK_NEXT(&bulk, &status)) {
        uint32_t trap = vm_array_fill(vm_instance_of(vmctx), array, dst + bulk.at, value, bulk.count);
        status = BUILTIN_TRAP_STATUS(trap);
    }
    return status;
}

static int builtin_ARRAY_COPY(VMContext *vmctx, VMObject *dst_array, uint32_t dst, VMObject *src_array, uint32_t src, uint32_t len)
{
    Bulk bulk = bulk_of(len, BULK_ITEMS, bulk_array_in_bounds(dst_array, dst, len) && bulk_array_in_bounds(src_array, src, len));
    int status = 0;
    bulk.is_down = dst > src;
    while (BULK_NEXT(&bulk, &status)) {
        uint32_t trap = vm_array_copy(vm_instance_of(vmctx), dst_array, dst + bulk.at, src_array, src + bulk.at, bulk.count);
        status = BUILTIN_TRAP_STATUS(trap);
    }
    return status;
}

static int builtin_ARRAY_INIT_DATA(VMContext *vmctx, uint32_t segment, VMObject *array, uint32_t dst, uint32_t src, uint32_t len)
{
    WrInstance *instance = vm_instance_of(vmctx);
    uint64_t item_bytes = bulk_item_bytes(instance, array);
    Bulk bulk = bulk_of(len, BULK_ITEMS, bulk_array_in_bounds(array, dst, len) && bulk_data_in_bounds(instance, segment, src, len * item_bytes));
    int status = 0;
    while (BULK_NEXT(&bulk, &status)) {
        uint32_t trap = vm_array_init_data(instance, segment, array, dst + bulk.at, src + bulk.at * item_bytes, bulk.count);
        status = BUILTIN_TRAP_STATUS(trap);
    }
    return status;
}

static int builtin_ARRAY_INIT_ELEM(VMContext *vmctx, uint32_t segment, VMObject *array, uint32_t dst, uint32_t src, uint32_t len)
{
    WrInstance *instance = vm_instance_of(vmctx);
    Bulk bulk = bulk_of(len, BULK_ITEMS, bulk_array_in_bounds(array, dst, len) && bulk_elems_in_bounds(instance, segment, src, len));
    int status = 0;
    while (BULK_NEXT(&bulk, &status)) {
        uint32_t trap = vm_array_init_elem(instance, segment, array, dst + bulk.at, src + bulk.at, bulk.count);
        status = BUILTIN_TRAP_STATUS(trap);
    }
    return status;
}

/* The entry is not linked yet: what is under it was left by a host call. */
static void builtin_ENTRY_OVERFLOW(VMContext *vmctx)
{
    vm_trap_record(vm_header(vmctx)->store, TRAP_STACK_OVERFLOW, 0, 0);
}

/* Host trampolines find it on the way back, so the frames under the host function are those at the last exit. */
static void builtin_ENTRY_ORDER(VMContext *vmctx)
{
    vm_trap_record(vm_header(vmctx)->store, TRAP_ENTRY_ORDER, 0, 0);
}

const void *const vm_builtins[WR_BUILTIN_COUNT] = {
#define BUILTIN(name, ret, params, doc) [WR_BUILTIN_##name] = (const void *)builtin_##name,
#include "wasmrt/builtins.def"
#undef BUILTIN
};
