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

#define BUILTIN_STATUS(ok, trap_code) ((ok) ? 0 : BUILTIN_TRAP(trap_code))

static void builtin_TRAP(VMContext *vmctx, uint32_t trap_code)
{
    BUILTIN_TRAP(trap_code);
}

/* The word asks for an interrupt, or the stack is used up. A tick hides the latter; the code then checks again and comes back. */
static int builtin_INTERRUPT(VMContext *vmctx)
{
    VMStoreContext *context = vm_header(vmctx)->store;
    if (vm_stack_limit(context) != WR_INTERRUPTED) return BUILTIN_TRAP(TRAP_STACK_OVERFLOW);
    /* the hook may enter the guest again, so the word is put back first, and the guest's frames are shown as under a host function */
    vm_set_stack_limit(context, context->real_stack_limit);
    if (vm_hooks()->interrupt == NULL) return 0;
    void *exit_fp = context->exit_fp;
    context->exit_fp = __builtin_frame_address(0);
    int status = vm_hooks()->interrupt(vm_store_of(context), context->host);
    context->exit_fp = exit_fp;
    return status;
}

static uint64_t builtin_MEMORY_GROW(VMContext *vmctx, uint32_t memory, uint64_t delta_pages)
{
    return (uint64_t)wr_memory_grow(vm_instance_of(vmctx)->memories[memory], delta_pages);
}

static int builtin_MEMORY_COPY(VMContext *vmctx, uint32_t dst_memory, uint32_t src_memory, uint64_t dst, uint64_t src, uint64_t len)
{
    WrInstance *instance = vm_instance_of(vmctx);
    return BUILTIN_STATUS(vm_memory_copy(instance->store, instance->memories[dst_memory], instance->memories[src_memory], dst, src, len), TRAP_MEMORY_OUT_OF_BOUNDS);
}

static int builtin_MEMORY_FILL(VMContext *vmctx, uint32_t memory, uint64_t dst, uint32_t value, uint64_t len)
{
    WrInstance *instance = vm_instance_of(vmctx);
    return BUILTIN_STATUS(vm_memory_fill(instance->store, instance->memories[memory], dst, (uint8_t)value, len), TRAP_MEMORY_OUT_OF_BOUNDS);
}

static int builtin_MEMORY_INIT(VMContext *vmctx, uint32_t memory, uint32_t segment, uint64_t dst, uint32_t src, uint32_t len)
{
    WrInstance *instance = vm_instance_of(vmctx);
    if (!vm_data_init(instance, instance->memories[memory], segment, dst, src, len)) return BUILTIN_TRAP(TRAP_MEMORY_OUT_OF_BOUNDS);
    return BUILTIN_STATUS(!wr_code_is_broken(instance->code), TRAP_BUS_ERROR); /* the segment's bytes may be gone */
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
    return BUILTIN_STATUS(vm_table_copy(instance->tables[dst_table], instance->tables[src_table], dst, src, len), TRAP_TABLE_OUT_OF_BOUNDS);
}

static int builtin_TABLE_FILL(VMContext *vmctx, uint32_t table, uint64_t dst, void *value, uint64_t len)
{
    return BUILTIN_STATUS(vm_table_fill(vm_instance_of(vmctx)->tables[table], dst, value, len), TRAP_TABLE_OUT_OF_BOUNDS);
}

static int builtin_TABLE_INIT(VMContext *vmctx, uint32_t table, uint32_t segment, uint64_t dst, uint32_t src, uint32_t len)
{
    WrInstance *instance = vm_instance_of(vmctx);
    return BUILTIN_STATUS(vm_table_init(instance, instance->tables[table], segment, dst, src, len), TRAP_TABLE_OUT_OF_BOUNDS);
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
    VMObject *object = vm_object_alloc(vm_store_of(vm_header(vmctx)->store), bytes);
    if (object == NULL) BUILTIN_TRAP(TRAP_ALLOCATION_TOO_LARGE);
    return object;
}

static VMObject *builtin_OBJECT_NEW(VMContext *vmctx, uint32_t type, uint32_t length)
{
    WrInstance *instance = vm_instance_of(vmctx);
    VMObject *object = instance->module->types[type].kind == WASM_TYPE_STRUCT ? vm_struct_new(instance, type) : vm_array_new(instance, type, length);
    if (object == NULL) BUILTIN_TRAP(TRAP_ALLOCATION_TOO_LARGE);
    return object;
}

static VMObject *builtin_ARRAY_NEW(VMContext *vmctx, uint32_t type, const ValRaw *value, uint32_t length)
{
    WrInstance *instance = vm_instance_of(vmctx);
    VMObject *array = vm_array_new(instance, type, length);
    if (array == NULL)
        BUILTIN_TRAP(TRAP_ALLOCATION_TOO_LARGE);
    else
        vm_array_set_all(array, vm_type_layout(instance->store->registry, array->type_id)->item_bytes, 0, length, value);
    return array;
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
    uint32_t trap = vm_array_fill(vm_instance_of(vmctx), array, dst, value, len);
    return BUILTIN_STATUS(trap == VM_NO_TRAP, trap);
}

static int builtin_ARRAY_COPY(VMContext *vmctx, VMObject *dst_array, uint32_t dst, VMObject *src_array, uint32_t src, uint32_t len)
{
    uint32_t trap = vm_array_copy(vm_instance_of(vmctx), dst_array, dst, src_array, src, len);
    return BUILTIN_STATUS(trap == VM_NO_TRAP, trap);
}

static int builtin_ARRAY_INIT_DATA(VMContext *vmctx, uint32_t segment, VMObject *array, uint32_t dst, uint32_t src, uint32_t len)
{
    uint32_t trap = vm_array_init_data(vm_instance_of(vmctx), segment, array, dst, src, len);
    return BUILTIN_STATUS(trap == VM_NO_TRAP, trap);
}

static int builtin_ARRAY_INIT_ELEM(VMContext *vmctx, uint32_t segment, VMObject *array, uint32_t dst, uint32_t src, uint32_t len)
{
    uint32_t trap = vm_array_init_elem(vm_instance_of(vmctx), segment, array, dst, src, len);
    return BUILTIN_STATUS(trap == VM_NO_TRAP, trap);
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
