/* What instructions do to structs and arrays that is more than a load or a store: making them by their types, whole ranges of items, segments. Lengths are
 * 64 bits here, so that no sum wraps; the builtins check null and bounds and name the trap. */
#include <string.h>

#include "vm/objects.h"
#include "wasm/fields.h"
#include "wasm/limits.h"

static const VmTypeLayout *object_layout(const WrInstance *instance, uint32_t type_id) { return vm_type_layout(instance->store->registry, type_id); }

VMObject *vm_struct_new(WrInstance *instance, uint32_t type_index)
{
    uint32_t id = instance->type_ids[type_index];
    return vm_object_new(instance->store, id, object_layout(instance, id)->bytes, VM_OBJECT_IS_STRUCT);
}

VMObject *vm_array_new(WrInstance *instance, uint32_t type_index, uint64_t length)
{
    uint32_t id = instance->type_ids[type_index];
    uint64_t bytes = sizeof(VMObject) + length * object_layout(instance, id)->item_bytes;
    if (length >= WR_LIMIT_OBJECT_HEAP_BYTES || bytes > WR_LIMIT_OBJECT_HEAP_BYTES) return NULL;
    return vm_object_new(instance->store, id, wr_object_bytes((uint32_t)bytes), (uint32_t)length);
}

void vm_object_set(VMObject *object, uint32_t offset, ValType storage, const ValRaw *value)
{
    memcpy((uint8_t *)object + offset, value, wr_field_bytes(storage));
}

static uint8_t *array_item(VMObject *array, uint32_t item_bytes, uint64_t index) { return (uint8_t *)(array + 1) + index * item_bytes; }

void vm_array_set_all(VMObject *array, uint32_t item_bytes, uint64_t start, uint64_t length, const ValRaw *value)
{
    static const ValRaw zero;
    uint8_t *place = array_item(array, item_bytes, start);
    if (item_bytes == 1 || memcmp(value, &zero, item_bytes) == 0) {
        memset(place, item_bytes == 1 ? (uint8_t)value->i32 : 0, (size_t)(length * item_bytes));
        return;
    }
    if (length == 0) return;
    memcpy(place, value, item_bytes);
    for (uint64_t done = item_bytes, all = length * item_bytes; done < all;) { /* doubling */
        uint64_t more = done < all - done ? done : all - done;
        memcpy(place + done, place, (size_t)more);
        done += more;
    }
}

bool vm_elem_copy(WrInstance *instance, uint32_t segment, uint64_t src, uint64_t length, void **elements)
{
    const WasmModule *module = instance->module;
    const WasmElem *elem = &module->elems[segment];
    uint64_t available = vm_bit(instance->dropped_elems, segment) ? 0 : elem->num_items;
    if (elem->first_item > module->num_elem_items || available > module->num_elem_items - elem->first_item) available = 0;
    if (!vm_in_bounds(src, length, available)) return false;
    for (uint64_t i = 0; elements != NULL && i < length; i++) elements[i] = vm_elem_item(instance, &module->elem_items[elem->first_item + src + i]);
    return true;
}

/* The bytes that `length` items of a data segment are, from byte `src` on; NULL: out of bounds. */
static const uint8_t *object_data(const WrInstance *instance, uint32_t segment, uint64_t src, uint64_t num_bytes)
{
    const WasmModule *module = instance->module;
    WasmSpan span = module->datas[segment].bytes;
    if (vm_bit(instance->dropped_datas, segment) || span.offset > module->num_data_bytes || span.length > module->num_data_bytes - span.offset) span = (WasmSpan){ 0, 0 };
    if (!vm_in_bounds(src, num_bytes, span.length)) return NULL;
    return module->data_bytes + span.offset + src;
}

uint32_t vm_array_new_data(WrInstance *instance, uint32_t type_index, uint32_t segment, uint64_t src, uint64_t length, VMObject **out_array)
{
    uint32_t item_bytes = object_layout(instance, instance->type_ids[type_index])->item_bytes;
    const uint8_t *bytes = object_data(instance, segment, src, length * item_bytes);
    if (bytes == NULL) return TRAP_MEMORY_OUT_OF_BOUNDS;
    if ((*out_array = vm_array_new(instance, type_index, length)) == NULL) return TRAP_ALLOCATION_TOO_LARGE;
    if (length != 0) memcpy(*out_array + 1, bytes, (size_t)(length * item_bytes));
    return VM_NO_TRAP;
}

uint32_t vm_array_new_elem(WrInstance *instance, uint32_t type_index, uint32_t segment, uint64_t src, uint64_t length, VMObject **out_array)
{
    if (!vm_elem_copy(instance, segment, src, length, NULL)) return TRAP_TABLE_OUT_OF_BOUNDS;
    if ((*out_array = vm_array_new(instance, type_index, length)) == NULL) return TRAP_ALLOCATION_TOO_LARGE;
    (void)vm_elem_copy(instance, segment, src, length, (void **)(void *)(*out_array + 1));
    return VM_NO_TRAP;
}

uint32_t vm_array_fill(WrInstance *instance, VMObject *array, uint64_t dst, const ValRaw *value, uint64_t length)
{
    if (array == NULL) return TRAP_NULL_REFERENCE;
    if (!vm_in_bounds(dst, length, array->length)) return TRAP_ARRAY_OUT_OF_BOUNDS;
    vm_array_set_all(array, object_layout(instance, array->type_id)->item_bytes, dst, length, value);
    return VM_NO_TRAP;
}

uint32_t vm_array_copy(WrInstance *instance, VMObject *dst_array, uint64_t dst, VMObject *src_array, uint64_t src, uint64_t length)
{
    if (dst_array == NULL || src_array == NULL) return TRAP_NULL_REFERENCE;
    if (!vm_in_bounds(dst, length, dst_array->length) || !vm_in_bounds(src, length, src_array->length)) return TRAP_ARRAY_OUT_OF_BOUNDS;
    uint32_t item_bytes = object_layout(instance, dst_array->type_id)->item_bytes;
    memmove(array_item(dst_array, item_bytes, dst), array_item(src_array, item_bytes, src), (size_t)(length * item_bytes));
    return VM_NO_TRAP;
}

uint32_t vm_array_init_data(WrInstance *instance, uint32_t segment, VMObject *array, uint64_t dst, uint64_t src, uint64_t length)
{
    if (array == NULL) return TRAP_NULL_REFERENCE;
    if (!vm_in_bounds(dst, length, array->length)) return TRAP_ARRAY_OUT_OF_BOUNDS;
    uint32_t item_bytes = object_layout(instance, array->type_id)->item_bytes;
    const uint8_t *bytes = object_data(instance, segment, src, length * item_bytes);
    if (bytes == NULL) return TRAP_MEMORY_OUT_OF_BOUNDS;
    if (length != 0) memcpy(array_item(array, item_bytes, dst), bytes, (size_t)(length * item_bytes));
    return VM_NO_TRAP;
}

uint32_t vm_array_init_elem(WrInstance *instance, uint32_t segment, VMObject *array, uint64_t dst, uint64_t src, uint64_t length)
{
    if (array == NULL) return TRAP_NULL_REFERENCE;
    if (!vm_in_bounds(dst, length, array->length)) return TRAP_ARRAY_OUT_OF_BOUNDS;
    if (!vm_elem_copy(instance, segment, src, length, (void **)(void *)array_item(array, sizeof(void *), dst))) return TRAP_TABLE_OUT_OF_BOUNDS;
    return VM_NO_TRAP;
}
