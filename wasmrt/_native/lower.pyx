# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, embedsignature=True
"""Runs plans from Python to the guest: staging and committing (include/wasmrt/abi.h argues why in two steps).

Values are borrowed PyObject *; what user code could take away while it is read (an element, an attribute) is held. A list that changes its length while
it is read is an error. Memory that elements are staged in is zeroed unless every byte is written, so that padding tells the guest nothing.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove, memset

from wasmrt._native.abi cimport *
from wasmrt._native.capi cimport ValRaw
from wasmrt._native.leaves cimport fail_large, find_name, stage_buffer, stage_scalar, stage_string
from wasmrt._native.pyapi cimport *

from wasmrt.errors import ArgumentTypeError, ArgumentValueError, MissingFieldError
from wasmrt.spec._gen import traps as _traps

cdef extern from "abi_text.h" nogil:
    void abi_text_init()
    void abi_store32(uint8_t *at, uint32_t word)
    void abi_text_encode(uint8_t *out, const void *data, int width, uint64_t units, int encoding)

cdef extern from "plain.h":
    void plain_init(PyTypeObject *record, PyTypeObject *variant, PyObject *sample, PyObject *name) noexcept
    PyObject *plain_tag(PyObject *variant) noexcept
    PyObject *plain_payload(PyObject *variant) noexcept
    bint plain_lower_flat(AbiCall *call, const AbiNode *node, PyObject *value, ValRaw *out) noexcept
    bint plain_lower_memory(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *out) noexcept
    bint plain_leaf_flat(AbiCall *call, const AbiNode *node, PyObject *value, ValRaw *out) noexcept
    bint plain_leaf_memory(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *out) noexcept
    Py_ssize_t plain_elements(AbiCall *call, const AbiNode *element, PyObject *of, Py_ssize_t i, Py_ssize_t count, uint8_t *start) noexcept

cdef enum:
    TRAP_UNALIGNED_POINTER = 33
    TRAP_CANONICAL_ABI = 100
    TRAP_REALLOC = 102

abi_text_init()
assert (TRAP_UNALIGNED_POINTER, TRAP_CANONICAL_ABI, TRAP_REALLOC) == (_traps.UNALIGNED_POINTER, _traps.CANONICAL_ABI, _traps.REALLOC)

from wasmrt._native.abi import Record  # a Python class: not in the pxd

cdef PyTypeObject *RECORD_TYPE = <PyTypeObject *><PyObject *>Record
cdef PyTypeObject *VARIANT_TYPE = <PyTypeObject *><PyObject *>Variant
cdef PyTypeObject *RESOURCE_TYPE = <PyTypeObject *><PyObject *>Resource


sample, name = Record(sample=1), "sample"
getattr(sample, "_fields")  # gives the class a version
plain_init(RECORD_TYPE, VARIANT_TYPE, <PyObject *>sample, <PyObject *>name)
probe = Variant("tag", "payload")
assert <object>plain_tag(<PyObject *>probe) is probe.tag and <object>plain_payload(<PyObject *>probe) is probe.payload


cdef inline bint is_scalar_op(uint8_t op) noexcept nogil:
    return op <= ABI_OP_CHAR or op == ABI_OP_ENUM or op == ABI_OP_FLAGS


# ---- lists ------------------------------------------------------------------------------------------------------------------------------------------

cdef int stage_elements(AbiCall *call, const AbiNode *element, PyObject *items, bint in_list, Py_ssize_t count, uint8_t *out) noexcept:
    """Elements of a list or tuple of `count` into consecutive memory."""
    cdef Py_ssize_t i = 0
    cdef PyObject *item
    cdef int failed
    while True:
        if in_list and list_size(items) != count:
            return fail(call, ArgumentValueError, "the list changed while it was read")
        i = plain_elements(call, element, items, i, count, out)
        if i == count:
            return 0
        if in_list and list_size(items) != count:
            continue
        item = list_item(items, i) if in_list else tuple_item(items, i)
        incref(item)
        failed = stage_memory(call, element, item, out + i * element.size)
        decref(item)
        if failed < 0:
            return add_index(call, i)
        i += 1


cdef int stage_list(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *patch, uint32_t *out_count) noexcept:
    cdef const AbiNode *element = &call.nodes[call.fields[node.first].node]
    cdef bint in_list = is_list(value)
    cdef Py_ssize_t count
    cdef uint64_t size
    cdef uint8_t *block
    cdef PyObject *items
    cdef int failed
    if not in_list and not is_tuple(value):
        if node.op == ABI_OP_MAP:
            if not (is_dict(value) or (is_mapping(value) and hasattr(<object>value, "keys"))):
                return fail_type(call, node, value)
            items = to_items(value)
            if items == NULL:
                return -1
            failed = stage_list(call, node, items, patch, out_count)
            decref(items)
            return failed
        if not element.flags & ABI_SCALAR:
            return fail_type(call, node, value)
        return stage_buffer(call, node, element, value, patch, out_count)
    count = list_size(value) if in_list else tuple_size(value)
    size = <uint64_t>count * element.size  # below 2**63: a list has at most 2**60 items of 8 bytes, an element less than 2**28 bytes
    if <uint64_t>count > ABI_MAX_BYTES or size > ABI_MAX_BYTES:
        return fail_large(call, size)
    block = stage_bytes(call, size)
    if block == NULL:
        return -1
    if not is_scalar_op(element.op):
        memset(block, 0, size)
    out_count[0] = <uint32_t>count
    if add_copy(call, element.align, block, size, patch, NULL) < 0:
        return -1
    return stage_elements(call, element, value, in_list, count, block)


cdef PyObject *fixed_items(AbiCall *call, const AbiNode *node, PyObject *value) noexcept:
    """A new reference to a list or tuple of exactly the type's length, NULL with an exception."""
    cdef const AbiNode *element = &call.nodes[call.fields[node.first].node]
    cdef PyObject *items = value
    cdef Py_ssize_t count
    if is_list(value) or is_tuple(value):
        incref(value)
    elif element.flags & ABI_SCALAR and not is_str(value) and is_buffer(value):
        items = to_list(value)
        if items == NULL:
            return NULL
    else:
        fail_type(call, node, value)
        return NULL
    count = list_size(items) if is_list(items) else tuple_size(items)
    if <uint64_t>count != node.length:
        fail(call, ArgumentValueError, f"expected {node.length} elements, got {count}")
        decref(items)
        return NULL
    return items


# ---- records, variants ------------------------------------------------------------------------------------------------------------------------------

cdef enum FieldAccess:
    BY_SLOT
    BY_KEY
    BY_ATTRIBUTE
    BY_ITEM


cdef int record_access(AbiCall *call, const AbiNode *node, PyObject *value) noexcept:
    """How to read the fields of this value, -1 with an exception."""
    if <void *>type_of(value) == call.objects[node.lookup]:
        return BY_SLOT
    if type_of(value) == RECORD_TYPE:
        return BY_ATTRIBUTE
    if is_dict(value):
        return BY_KEY
    if value == NONE or is_long(value) or is_float(value) or is_str(value) or is_bytes(value) or is_list(value) or type_of(value) == <PyTypeObject *><PyObject *>tuple:
        return fail_type(call, node, value)
    if not is_instance(value, RECORD_TYPE) and is_mapping(value) and hasattr(<object>value, "keys"):
        return BY_ITEM
    return BY_ATTRIBUTE


cdef PyObject *record_field(AbiCall *call, const AbiNode *node, PyObject *value, int access, uint32_t index) noexcept:
    """A new reference to a field, NULL with an exception."""
    cdef PyObject *names = <PyObject *>call.objects[node.names]
    cdef PyObject *name = tuple_item(names, index)
    cdef PyObject *python_name = tuple_item(names, node.count + index)
    cdef PyObject *found = NULL
    if access == BY_SLOT:
        found = member(value, call.fields[node.first + index].place)[0]
        if found != NULL:
            incref(found)
            return found
    elif access == BY_KEY:
        found = dict_get(value, name)
        if found == NULL and error_occurred() == NULL and python_name != name:
            found = dict_get(value, python_name)
        if found != NULL:
            incref(found)
            return found
        if error_occurred() != NULL:
            return NULL
    else:
        found = get_item(value, name) if access == BY_ITEM else get_attr(value, python_name)
        if found == NULL and error_matches(PyExc_KeyError if access == BY_ITEM else PyExc_AttributeError):
            error_clear()
            if python_name != name:
                found = get_item(value, python_name) if access == BY_ITEM else get_attr(value, name)
                if found == NULL and error_matches(PyExc_KeyError if access == BY_ITEM else PyExc_AttributeError):
                    error_clear()
        if found != NULL or error_occurred() != NULL:
            return found
    fail(call, MissingFieldError, f"field `{<object>name}` is missing in the {type(<object>value).__name__} given")
    return NULL


cdef uint32_t kind_of(PyObject *value) noexcept:
    """The ABI_KIND of a value."""
    if value == NONE:
        return ABI_KIND_NONE
    if is_long(value):
        return ABI_KIND_INT if is_long_exact(value) else ABI_KIND_BOOL if is_bool(value) else ABI_KIND_OTHER_INT
    if is_float(value):
        return ABI_KIND_FLOAT if is_float_exact(value) else ABI_KIND_OTHER_FLOAT
    if is_str(value):
        return ABI_KIND_STR
    if is_bytes_exact(value):
        return ABI_KIND_BYTES
    if is_list(value):
        return ABI_KIND_LIST
    if is_tuple(value):
        return ABI_KIND_TUPLE
    if is_dict(value):
        return ABI_KIND_DICT
    if is_set(value):
        return ABI_KIND_SET
    if is_frozenset(value):
        return ABI_KIND_FROZENSET
    if is_instance(value, VARIANT_TYPE):
        return ABI_KIND_VARIANT
    if is_instance(value, RECORD_TYPE):
        return ABI_KIND_RECORD
    if is_instance(value, RESOURCE_TYPE):
        return ABI_KIND_RESOURCE
    if is_buffer(value) and is_sequence(value):
        return ABI_KIND_BUFFER
    if is_index(value):
        return ABI_KIND_OTHER_INT
    if has_float(value):
        return ABI_KIND_OTHER_FLOAT
    return ABI_KIND_BUFFER if is_buffer(value) else ABI_KIND_OTHER


cdef int64_t find_tag(AbiCall *call, const AbiNode *node, PyObject *value, PyObject **out_payload) noexcept:
    """The case that a Variant names; its payload is borrowed."""
    cdef int64_t index = find_name(call, node, <PyObject *>(<Variant><object>value).tag)
    out_payload[0] = <PyObject *>(<Variant><object>value).payload
    if index >= 0 and call.fields[node.first + index].node == ABI_NO_NODE and out_payload[0] != NONE:
        fail(call, ArgumentTypeError, f"case `{(<Variant><object>value).tag}` has no payload")
        return -1
    return index


cdef int64_t find_case(AbiCall *call, const AbiNode *node, PyObject *value, PyObject **out_payload) noexcept:
    """Which case a value is, and its payload (borrowed from the value); -1 with an exception."""
    cdef uint32_t bit, i, child
    cdef int64_t index
    cdef uint32_t mask
    if node.op == ABI_OP_OPTION:
        out_payload[0] = value
        return 0 if value == NONE else 1
    if node.op == ABI_OP_VARIANT:
        if not is_instance(value, VARIANT_TYPE):
            fail(call, ArgumentTypeError, f"expected Variant for {type_text(<object>call.objects[node.type])}, got {type(<object>value).__name__}")
            return -1
        return find_tag(call, node, value, out_payload)
    out_payload[0] = value
    bit = <uint32_t>1 << kind_of(value)
    for i in range(2):
        if not (node.exact if i == 0 else node.loose) & bit:
            continue
        for index in range(node.count):
            child = call.fields[node.first + index].node
            if child == ABI_NO_NODE:
                mask = <uint32_t>1 << ABI_KIND_NONE if i == 0 else 0
            else:
                mask = call.nodes[child].exact if i == 0 else call.nodes[child].loose
            if mask & bit:
                return index
    if bit == <uint32_t>1 << ABI_KIND_VARIANT:
        return find_tag(call, node, value, out_payload)
    fail(call, ArgumentValueError, f"value not valid for this variant: {type_text(<object>call.objects[node.type])} has no case for {type(<object>value).__name__}")
    return -1


cdef int stage_resource(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *patch) noexcept:
    cdef AbiStep *step = add_step(call)
    if step == NULL:
        return -1
    step.kind = ABI_STEP_BORROW if node.op == ABI_OP_BORROW else ABI_STEP_OWN
    step.resource = node.length
    step.patch = patch
    if call.stage_resource(call, node, value, step) < 0:
        call.num_steps -= 1
        return -1
    return 0


# ---- compounds: core values and memory --------------------------------------------------------------------------------------------------------------

cdef int stage_flat(AbiCall *call, const AbiNode *node, PyObject *value, ValRaw *out) noexcept:
    """A value as core values. Every slot is written in full, so that joined variant payloads need no conversion."""
    cdef uint8_t op = node.op
    cdef uint32_t i, units = 0
    cdef int64_t index
    cdef int access, failed
    cdef const AbiField *field
    cdef PyObject *item
    cdef PyObject *items
    if is_scalar_op(op):
        return stage_scalar(call, node, value, <uint64_t *>&out.i64)
    if op == ABI_OP_STRING or op == ABI_OP_BYTES or op == ABI_OP_LIST or op == ABI_OP_MAP:
        out[0].i64 = 0
        if op == ABI_OP_STRING:
            failed = stage_string(call, node, value, <uint8_t *>&out[0], &units)
        elif op == ABI_OP_BYTES and is_bytes_exact(value):
            failed = stage_buffer(call, node, &call.nodes[call.fields[node.first].node], value, <uint8_t *>&out[0], &units)
        else:
            failed = stage_list(call, node, value, <uint8_t *>&out[0], &units)
        out[1].i64 = units
        return failed
    if op == ABI_OP_RECORD:
        access = record_access(call, node, value)
        if access < 0:
            return -1
        for i in range(node.count):
            field = &call.fields[node.first + i]
            if access == BY_SLOT:
                item = member(value, field.place)[0]
                if item != NULL and plain_leaf_flat(call, &call.nodes[field.node], item, out + field.slot):
                    continue
            item = record_field(call, node, value, access, i)
            if item == NULL:
                return -1
            failed = stage_flat(call, &call.nodes[field.node], item, out + field.slot)
            decref(item)
            if failed < 0:
                return add_name(call, tuple_item(<PyObject *>call.objects[node.names], i))
        return 0
    if op == ABI_OP_TUPLE:
        if check_tuple(call, node, value) < 0:
            return -1
        for i in range(node.count):
            field = &call.fields[node.first + i]
            if is_tuple(value) and plain_leaf_flat(call, &call.nodes[field.node], tuple_item(value, i), out + field.slot):
                continue
            item = tuple_item_of(call, node, value, i)
            if item == NULL:
                return -1
            failed = stage_flat(call, &call.nodes[field.node], item, out + field.slot)
            decref(item)
            if failed < 0:
                return add_index(call, i)
        return 0
    if op == ABI_OP_OPTION or op == ABI_OP_BARE or op == ABI_OP_VARIANT:
        index = find_case(call, node, value, &item)
        if index < 0:
            return -1
        for i in range(1, node.flat):
            out[i].i64 = 0
        out[0].i64 = index
        field = &call.fields[node.first + index]
        if field.node == ABI_NO_NODE:
            return 0
        if plain_leaf_flat(call, &call.nodes[field.node], item, out + 1):
            return 0
        incref(item)
        failed = stage_flat(call, &call.nodes[field.node], item, out + 1)
        decref(item)
        if failed < 0 and item != value:  # a Variant named its case
            return add_name(call, tuple_item(<PyObject *>call.objects[node.names], index))
        return failed
    if op == ABI_OP_FIXED_LIST:
        items = fixed_items(call, node, value)
        if items == NULL:
            return -1
        node = &call.nodes[call.fields[node.first].node]
        failed = 0
        for i in range(<uint32_t>(list_size(items) if is_list(items) else tuple_size(items))):
            if is_list(items) and <Py_ssize_t>i >= list_size(items):
                failed = fail(call, ArgumentValueError, "the list changed while it was read")
                break
            item = list_item(items, i) if is_list(items) else tuple_item(items, i)
            incref(item)
            failed = stage_flat(call, node, item, out + i * node.flat)
            decref(item)
            if failed < 0:
                add_index(call, i)
                break
        decref(items)
        return failed
    out[0].i64 = 0
    return stage_resource(call, node, value, <uint8_t *>&out[0])


cdef int stage_memory(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *out) noexcept:
    """A value as it lies in linear memory, into staged bytes (zeroed by whoever made them, so that padding tells nothing)."""
    cdef uint8_t op = node.op
    cdef uint32_t i, units = 0
    cdef uint64_t bits
    cdef int64_t index
    cdef int access, failed
    cdef const AbiField *field
    cdef PyObject *item
    cdef PyObject *items
    if is_scalar_op(op):
        if stage_scalar(call, node, value, &bits) < 0:
            return -1
        memcpy(out, &bits, node.size)
        return 0
    if op == ABI_OP_STRING or op == ABI_OP_BYTES or op == ABI_OP_LIST or op == ABI_OP_MAP:
        if op == ABI_OP_STRING:
            failed = stage_string(call, node, value, out, &units)
        elif op == ABI_OP_BYTES and is_bytes_exact(value):
            failed = stage_buffer(call, node, &call.nodes[call.fields[node.first].node], value, out, &units)
        else:
            failed = stage_list(call, node, value, out, &units)
        abi_store32(out + 4, units)
        return failed
    if op == ABI_OP_RECORD:
        access = record_access(call, node, value)
        if access < 0:
            return -1
        for i in range(node.count):
            field = &call.fields[node.first + i]
            if access == BY_SLOT:
                item = member(value, field.place)[0]
                if item != NULL and plain_leaf_memory(call, &call.nodes[field.node], item, out + field.offset):
                    continue
            item = record_field(call, node, value, access, i)
            if item == NULL:
                return -1
            failed = 0
            if not plain_leaf_memory(call, &call.nodes[field.node], item, out + field.offset):
                failed = stage_memory(call, &call.nodes[field.node], item, out + field.offset)
            decref(item)
            if failed < 0:
                return add_name(call, tuple_item(<PyObject *>call.objects[node.names], i))
        return 0
    if op == ABI_OP_TUPLE:
        if check_tuple(call, node, value) < 0:
            return -1
        for i in range(node.count):
            field = &call.fields[node.first + i]
            if is_tuple(value) and plain_leaf_memory(call, &call.nodes[field.node], tuple_item(value, i), out + field.offset):
                continue
            item = tuple_item_of(call, node, value, i)
            if item == NULL:
                return -1
            failed = stage_memory(call, &call.nodes[field.node], item, out + field.offset)
            decref(item)
            if failed < 0:
                return add_index(call, i)
        return 0
    if op == ABI_OP_OPTION or op == ABI_OP_BARE or op == ABI_OP_VARIANT:
        index = find_case(call, node, value, &item)
        if index < 0:
            return -1
        bits = <uint64_t>index
        memcpy(out, &bits, node.disc_size)
        field = &call.fields[node.first + index]
        if field.node == ABI_NO_NODE:
            return 0
        incref(item)
        failed = stage_memory(call, &call.nodes[field.node], item, out + node.payload_offset)
        decref(item)
        if failed < 0 and item != value:  # a Variant named its case
            return add_name(call, tuple_item(<PyObject *>call.objects[node.names], index))
        return failed
    if op == ABI_OP_FIXED_LIST:
        items = fixed_items(call, node, value)
        if items == NULL:
            return -1
        node = &call.nodes[call.fields[node.first].node]
        failed = stage_elements(call, node, items, is_list(items), list_size(items) if is_list(items) else tuple_size(items), out)
        decref(items)
        return failed
    return stage_resource(call, node, value, out)


cdef int check_tuple(AbiCall *call, const AbiNode *node, PyObject *value) noexcept:
    cdef Py_ssize_t count
    if is_tuple(value):
        count = tuple_size(value)
    elif is_list(value):
        count = list_size(value)
    else:
        return fail_type(call, node, value)
    if <uint64_t>count != node.count:
        return fail(call, ArgumentTypeError, f"expected a tuple of {node.count} elements, got {count}")
    return 0


cdef PyObject *tuple_item_of(AbiCall *call, const AbiNode *node, PyObject *value, uint32_t index) noexcept:
    """A new reference to an element."""
    cdef PyObject *item
    if is_tuple(value):
        item = tuple_item(value, index)
    elif <uint64_t>list_size(value) != node.count:
        fail(call, ArgumentValueError, "the list changed while it was read")
        return NULL
    else:
        item = list_item(value, index)
    incref(item)
    return item


# ---- entry points -----------------------------------------------------------------------------------------------------------------------------------

cdef int stage_params(Plan plan, AbiCall *call, PyObject *const *args, ValRaw *values) except -1:
    """Stages all arguments (borrowed, as many as parameters) into `values`, or into memory when they spill."""
    cdef uint32_t i
    cdef const AbiField *field = &plan.fields[plan.first_param]
    cdef const AbiNode *node
    cdef uint8_t *block
    if plan.params_spill:
        block = stage_bytes(call, plan.params_size)
        if block == NULL:
            return -1
        memset(block, 0, plan.params_size)
        values[0].i64 = 0
        if add_copy(call, <uint8_t>plan.params_align, block, plan.params_size, <uint8_t *>&values[0], NULL) < 0:
            return -1
        for i in range(plan.num_params):
            node = &plan.nodes[field.node]
            if not plain_lower_memory(call, node, args[i], block + field.offset) and stage_memory(call, node, args[i], block + field.offset) < 0:
                return raise_with_path(call, f"argument '{plan.param_names[i]}'")
            field += 1
        return 0
    for i in range(plan.num_params):
        node = &plan.nodes[field.node]
        if not plain_lower_flat(call, node, args[i], values + field.slot) and stage_flat(call, node, args[i], values + field.slot) < 0:
            return raise_with_path(call, f"argument '{plan.param_names[i]}'")
        field += 1
    return 0


cdef str place_of_result(str name):
    return f"result of `{name}`" if name else "result"


cdef int stage_result(Plan plan, AbiCall *call, PyObject *value, ValRaw *values, uint32_t return_pointer, str name) except -1:
    """Stages the result of host function `name`: one core value, or memory at the caller's return pointer."""
    cdef const AbiNode *node
    cdef uint8_t *block
    cdef AbiStep *step
    if plan.result == ABI_NO_NODE:
        if value != NONE:
            raise ArgumentTypeError(f"{place_of_result(name)}: expected None from a function without result, got {type(<object>value).__name__}")
        return 0
    node = &plan.nodes[plan.result]
    if not plan.result_spills:
        if not plain_lower_flat(call, node, value, values) and stage_flat(call, node, value, values) < 0:
            return raise_with_path(call, place_of_result(name))
        return 0
    block = stage_bytes(call, node.size)
    if block == NULL:
        return -1
    memset(block, 0, node.size)
    step = add_step(call)
    if step == NULL:
        return -1
    step.kind = ABI_STEP_PLACE
    step.align = node.align
    step.source = block
    step.size = node.size
    step.guest = return_pointer
    if not plain_lower_memory(call, node, value, block) and stage_memory(call, node, value, block) < 0:
        return raise_with_path(call, place_of_result(name))
    return 0


cdef void refuse_address(uint64_t address, const AbiStep *step) noexcept:
    """Raises what is wrong with what the guest's realloc returned."""
    raise_trap(TRAP_REALLOC, "realloc return: result not aligned" if address % step.align else "realloc return: beyond end of memory")


cdef int commit(AbiCall *call) except -1:
    """Allocates and hands over in the guest, in order, then copies. Raises Trap for what the guest's realloc gets wrong."""
    cdef uint32_t i, handle
    cdef AbiStep *step
    cdef uint64_t address
    for i in range(call.num_steps):
        step = &call.steps[i]
        if step.kind == ABI_STEP_OWN or step.kind == ABI_STEP_BORROW:
            if call.commit_resource(call, step, &handle) < 0:
                return -1
            step.guest = 1
            abi_store32(step.patch, handle)
            continue
        if step.kind == ABI_STEP_PLACE:
            if step.guest % step.align:
                raise_trap(TRAP_UNALIGNED_POINTER, "unaligned pointer")
                return -1
            if step.guest + step.size > call.memory.length_bytes:
                raise_trap(TRAP_CANONICAL_ABI, "return pointer out of bounds of memory")
                return -1
            continue
        if call.realloc_guest(call, step.align, step.size, &address) < 0:
            return -1
        if address % step.align or address + step.size > call.memory.length_bytes:
            refuse_address(address, step)
            return -1
        step.guest = address
        abi_store32(step.patch, <uint32_t>address)
    for i in range(call.num_steps):
        step = &call.steps[i]
        if step.kind == ABI_STEP_TEXT:
            abi_text_encode(call.memory.base + step.guest, step.source, step.width, step.units, step.encoding)
        elif step.kind != ABI_STEP_OWN and step.kind != ABI_STEP_BORROW:
            if step.size:
                memmove(call.memory.base + step.guest, step.source, step.size)
            if step.kind == ABI_STEP_BUFFER:  # not held during the call: what it calls may resize or release it
                step.kind = ABI_STEP_COPY
                release_buffer(<Py_buffer *>step.lent)
    return 0
