# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, embedsignature=True
"""Runs plans from the guest to Python: core values and linear memory to objects.

What the guest hands over is hostile: every pointer is checked against the memory's length in 64-bit arithmetic before it is read, discriminants and
chars are checked, sizes are bounded. What is wrong is a Trap with the specification's words. A memory may grow while Python objects are made (a
finalizer may run anything), but it never moves nor shrinks. NaN payloads are kept: the specification lets a lift choose.
Undefined upper bits are ignored: an i32 is the low half of its slot, a small integer truncates, unknown flags are dropped.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from wasmrt._native.abi cimport *
from wasmrt._native.capi cimport ValRaw
from wasmrt._native.pyapi cimport *

from wasmrt.spec._gen import traps as _traps

cdef extern from "abi_text.h" nogil:
    void abi_text_init()
    const uint32_t ABI_UTF16_TAG
    enum:
        ABI_TEXT_INVALID
        ABI_TEXT_INCOMPLETE
        ABI_TEXT_MEMORY
    uint32_t abi_load32(const uint8_t *at)
    uint64_t abi_load64(const uint8_t *at)
    PyObject *abi_text_from_utf8(const uint8_t *text, size_t size, int *out_error, size_t *out_at, int *out_bad)
    PyObject *abi_text_from_utf16(const uint8_t *text, size_t units, int *out_error, size_t *out_at, int *out_bad)

cdef extern from "record.h":
    PyObject *wr_new_variant(PyTypeObject *type, PyObject *tag, PyObject *payload) noexcept

cdef enum:
    TRAP_INVALID_CHAR = 25
    TRAP_STRING_OUT_OF_BOUNDS = 30
    TRAP_LIST_OUT_OF_BOUNDS = 31
    TRAP_INVALID_DISCRIMINANT = 32
    TRAP_UNALIGNED_POINTER = 33
    TRAP_CANONICAL_ABI = 100

abi_text_init()
assert (TRAP_INVALID_CHAR, TRAP_STRING_OUT_OF_BOUNDS, TRAP_LIST_OUT_OF_BOUNDS, TRAP_INVALID_DISCRIMINANT, TRAP_UNALIGNED_POINTER, TRAP_CANONICAL_ABI) == (
    _traps.INVALID_CHAR, _traps.STRING_OUT_OF_BOUNDS, _traps.LIST_OUT_OF_BOUNDS, _traps.INVALID_DISCRIMINANT, _traps.UNALIGNED_POINTER, _traps.CANONICAL_ABI,
)

cdef PyTypeObject *VARIANT_TYPE = <PyTypeObject *><PyObject *>Variant


cdef PyObject *trap(uint32_t code, object text) noexcept:
    raise_trap(code, text)
    return NULL


# ---- scalars ----------------------------------------------------------------------------------------------------------------------------------------

cdef PyObject *lift_scalar(AbiCall *call, const AbiNode *node, uint64_t bits) noexcept:
    """From the bits of a core value or of memory; the upper ones are not looked at."""
    cdef uint8_t op = node.op
    cdef double number
    cdef float narrow
    cdef uint32_t word = <uint32_t>bits
    cdef PyObject *found
    if op == ABI_OP_S32:
        return new_long(<int32_t>word)
    if op == ABI_OP_U32:
        return new_long(word)
    if op == ABI_OP_S64:
        return new_long(<int64_t>bits)
    if op == ABI_OP_U64:
        return new_unsigned(bits)
    if op == ABI_OP_F64:
        memcpy(&number, &bits, 8)
        return new_float(number)
    if op == ABI_OP_F32:
        memcpy(&narrow, &word, 4)
        return new_float(narrow)
    if op == ABI_OP_BOOL:
        found = TRUE if word else FALSE
        incref(found)
        return found
    if op == ABI_OP_U8:
        return new_long(<uint8_t>word)
    if op == ABI_OP_S8:
        return new_long(<int8_t>word)
    if op == ABI_OP_U16:
        return new_long(<uint16_t>word)
    if op == ABI_OP_S16:
        return new_long(<int16_t>word)
    if op == ABI_OP_CHAR:
        if word >= 0x110000 or 0xD800 <= word <= 0xDFFF:
            return trap(TRAP_INVALID_CHAR, "invalid `char` bit pattern")
        return new_char(<int>word)
    if op == ABI_OP_ENUM:
        if word >= node.length:
            return trap(TRAP_INVALID_DISCRIMINANT, "invalid variant discriminant")
        found = tuple_item(<PyObject *>call.objects[node.names], word)
        incref(found)
        return found
    return lift_flags(call, node, word)


cdef PyObject *lift_flags(AbiCall *call, const AbiNode *node, uint32_t word) noexcept:
    cdef PyObject *names = <PyObject *>call.objects[node.names]
    cdef PyObject *found = new_set(NULL)
    cdef uint32_t i
    if found == NULL:
        return NULL
    for i in range(node.length):
        if word >> i & 1 and set_add(found, tuple_item(names, i)) < 0:
            decref(found)
            return NULL
    return found


cdef inline uint64_t load_bits(const uint8_t *at, uint32_t size) noexcept nogil:
    if size == 4:
        return abi_load32(at)
    if size == 8:
        return abi_load64(at)
    if size == 1:
        return at[0]
    return <uint64_t>at[0] | <uint64_t>at[1] << 8


cdef inline bint is_scalar_op(uint8_t op) noexcept nogil:
    return op <= ABI_OP_CHAR or op == ABI_OP_ENUM or op == ABI_OP_FLAGS


# ---- what a guest may have made of its memory ----------------------------------------------------------------------------------------------------------

cdef inline void open_budget(AbiCall *call) noexcept:
    cdef uint64_t share
    if call.memory == NULL:
        call.lift_bytes_left = 0
        return
    share = call.memory.length_bytes * ABI_LIFT_FACTOR
    call.lift_bytes_left = ABI_LIFT_FREE_BYTES + (share if share < ABI_LIFT_MAX_SHARE else ABI_LIFT_MAX_SHARE)


cdef inline bint charge(AbiCall *call, uint64_t size) noexcept:
    """False with a Trap when the objects of this lift grow too large."""
    if size > call.lift_bytes_left:
        trap(TRAP_CANONICAL_ABI, "lifted values are too large: lists overlap in memory, or hold too many small items")
        return False
    call.lift_bytes_left -= size
    return True


cdef inline uint64_t object_bytes(const AbiNode *node) noexcept:
    """About what an object of this type takes, with its place in a list, but for what its strings and lists hold."""
    cdef uint8_t op = node.op
    if op == ABI_OP_BOOL or op == ABI_OP_U8 or op == ABI_OP_S8 or op == ABI_OP_ENUM:
        return 8
    if op == ABI_OP_FLAGS:
        return 256
    if op <= ABI_OP_CHAR:
        return 40
    return 64 + 64 * <uint64_t>node.flat


# ---- strings, lists ---------------------------------------------------------------------------------------------------------------------------------

cdef PyObject *lift_string(AbiCall *call, uint32_t pointer, uint32_t tagged_units) noexcept:
    cdef uint64_t size = tagged_units
    cdef bint utf16 = call.encoding == ABI_UTF16
    cdef const uint8_t *text
    cdef PyObject *found
    cdef int error, bad = 0
    cdef size_t at = 0
    if call.encoding == ABI_LATIN1_UTF16 and tagged_units & ABI_UTF16_TAG:
        utf16 = True
        size ^= ABI_UTF16_TAG
    if utf16:
        size *= 2
    if call.encoding != ABI_UTF8 and pointer & 1:
        return trap(TRAP_UNALIGNED_POINTER, "unaligned pointer")
    if size > ABI_MAX_BYTES or pointer + size > call.memory.length_bytes:
        return trap(TRAP_STRING_OUT_OF_BOUNDS, "string pointer/length out of bounds of memory")
    if not charge(call, size):
        return NULL
    text = call.memory.base + pointer
    if utf16:
        found = abi_text_from_utf16(text, size // 2, &error, &at, &bad)
        if found == NULL and error != ABI_TEXT_MEMORY:
            return trap(TRAP_CANONICAL_ABI, f"invalid utf-16: unpaired surrogate {bad:#x} at code unit {at}")
        return found
    if call.encoding == ABI_LATIN1_UTF16:
        return new_latin1(<const char *>text, <Py_ssize_t>size, NULL)
    found = abi_text_from_utf8(text, size, &error, &at, &bad)
    if found == NULL and error == ABI_TEXT_INVALID:
        return trap(TRAP_CANONICAL_ABI, f"invalid utf-8 sequence of {bad} bytes from index {at}")
    if found == NULL and error == ABI_TEXT_INCOMPLETE:
        return trap(TRAP_CANONICAL_ABI, f"incomplete utf-8 byte sequence from index {at}")
    return found


cdef PyObject *lift_list(AbiCall *call, const AbiNode *node, uint32_t pointer, uint32_t count) noexcept:
    cdef const AbiNode *element = &call.nodes[call.fields[node.first].node]
    cdef uint64_t size = <uint64_t>count * element.size
    cdef PyObject *pairs
    cdef PyObject *found
    if pointer % element.align:
        return trap(TRAP_UNALIGNED_POINTER, "unaligned pointer")
    if pointer + size > call.memory.length_bytes or size > ABI_MAX_BYTES:
        return trap(TRAP_LIST_OUT_OF_BOUNDS, "list pointer/length out of bounds of memory")
    if call.lift_buffer != NULL and element.flags & ABI_SCALAR:
        if not charge(call, size + 256):
            return NULL
        found = <PyObject *>call.lift_buffer(call, element, call.memory.base + pointer, count)
        if found != NULL or error_occurred() != NULL:
            return found
    if node.op == ABI_OP_BYTES:
        if not charge(call, size):
            return NULL
        return new_bytes(<const char *>call.memory.base + pointer, <Py_ssize_t>size)
    found = lift_elements(call, element, call.memory.base + pointer, count)
    if found != NULL and node.op == ABI_OP_MAP:
        pairs = found
        found = lift_map(pairs)
        decref(pairs)
    return found


cdef PyObject *lift_map(PyObject *pairs) noexcept:
    cdef PyObject *found = new_dict()
    cdef PyObject *pair
    cdef Py_ssize_t i
    if found == NULL:
        return NULL
    for i in range(list_size(pairs)):
        pair = list_item(pairs, i)
        if dict_set(found, tuple_item(pair, 0), tuple_item(pair, 1)) < 0:
            decref(found)
            return NULL
    return found


cdef PyObject *lift_elements(AbiCall *call, const AbiNode *element, const uint8_t *at, uint32_t count) noexcept:
    """A list of elements at a checked place."""
    cdef PyObject *found = new_list(count) if charge(call, count * object_bytes(element)) else NULL
    cdef PyObject *item
    cdef uint32_t i, size = element.size
    cdef uint8_t op = element.op
    cdef bint scalar = is_scalar_op(op)
    cdef double number
    if found == NULL:
        return NULL
    if op == ABI_OP_F64:
        for i in range(count):
            memcpy(&number, at, 8)
            item = new_float(number)
            if item == NULL:
                decref(found)
                return NULL
            list_set(found, i, item)
            at += 8
        return found
    for i in range(count):
        item = lift_scalar(call, element, load_bits(at, size)) if scalar else lift_memory(call, element, at)
        if item == NULL:
            decref(found)
            return NULL
        list_set(found, i, item)
        at += size
    return found


# ---- compounds --------------------------------------------------------------------------------------------------------------------------------------

cdef inline PyObject *lift_part(AbiCall *call, const AbiField *field, const uint8_t *at, bint flat) noexcept:
    """A field of a record, an element of a tuple, or the payload of a case."""
    cdef const AbiNode *node = &call.nodes[field.node]
    at += field.slot * sizeof(ValRaw) if flat else field.offset
    if is_scalar_op(node.op):
        return lift_scalar(call, node, abi_load64(at) if flat else load_bits(at, node.size))
    return lift_flat(call, node, <const ValRaw *>at) if flat else lift_memory(call, node, at)


cdef inline PyObject *lift_case(AbiCall *call, const AbiNode *node, uint32_t index, const uint8_t *at, bint flat) noexcept:
    """What stands for a case in Python."""
    cdef const AbiField *field
    cdef PyObject *payload = NONE
    if index >= node.count:
        return trap(TRAP_INVALID_DISCRIMINANT, "invalid variant discriminant")
    field = &call.fields[node.first + index]
    if field.node == ABI_NO_NODE:
        incref(payload)
    else:
        payload = lift_part(call, field, at, flat)
        if payload == NULL:
            return NULL
    if node.op != ABI_OP_VARIANT:
        return payload
    return wr_new_variant(VARIANT_TYPE, tuple_item(<PyObject *>call.objects[node.names], index), payload)


cdef inline PyObject *lift_record(AbiCall *call, const AbiNode *node, const uint8_t *at, bint flat) noexcept:
    cdef PyObject *found = new_instance(<PyTypeObject *>call.objects[node.lookup])
    cdef PyObject *item
    cdef const AbiField *field
    cdef uint32_t i
    if found == NULL:
        return NULL
    for i in range(node.count):
        field = &call.fields[node.first + i]
        item = lift_part(call, field, at, flat)
        if item == NULL:
            decref(found)
            return NULL
        member(found, field.place)[0] = item
    return found


cdef inline PyObject *lift_tuple(AbiCall *call, const AbiNode *node, const uint8_t *at, bint flat) noexcept:
    cdef PyObject *found = new_tuple(node.count)
    cdef PyObject *item
    cdef const AbiField *field = &call.fields[node.first]
    cdef uint32_t i
    if found == NULL:
        return NULL
    for i in range(node.count):
        item = lift_part(call, field, at, flat)
        if item == NULL:
            decref(found)
            return NULL
        tuple_set(found, i, item)
        field += 1
    return found


cdef PyObject *lift_flat(AbiCall *call, const AbiNode *node, const ValRaw *values) noexcept:
    """A new reference to the value that starts at `values`, NULL with an exception."""
    cdef uint8_t op = node.op
    cdef uint32_t i, word
    cdef PyObject *found
    cdef PyObject *item
    if is_scalar_op(op):
        return lift_scalar(call, node, <uint64_t>values.i64)
    word = <uint32_t>values.i32
    if op == ABI_OP_STRING:
        return lift_string(call, word, <uint32_t>values[1].i32)
    if op == ABI_OP_BYTES or op == ABI_OP_LIST or op == ABI_OP_MAP:
        return lift_list(call, node, word, <uint32_t>values[1].i32)
    if op == ABI_OP_OPTION or op == ABI_OP_BARE or op == ABI_OP_VARIANT:
        return lift_case(call, node, word, <const uint8_t *>values, True)
    if op == ABI_OP_RECORD:
        return lift_record(call, node, <const uint8_t *>values, True)
    if op == ABI_OP_TUPLE:
        return lift_tuple(call, node, <const uint8_t *>values, True)
    if op == ABI_OP_FIXED_LIST:
        word = node.length
        node = &call.nodes[call.fields[node.first].node]
        found = new_list(word)
        if found == NULL:
            return NULL
        for i in range(word):
            item = lift_flat(call, node, values + i * node.flat)
            if item == NULL:
                decref(found)
                return NULL
            list_set(found, i, item)
        return fixed_result(node, found)
    return <PyObject *>call.lift_resource(call, node, word)


cdef PyObject *lift_memory(AbiCall *call, const AbiNode *node, const uint8_t *at) noexcept:
    """The same from `node.size` bytes of linear memory at a checked place."""
    cdef uint8_t op = node.op
    cdef uint32_t word
    if is_scalar_op(op):
        return lift_scalar(call, node, load_bits(at, node.size))
    if op == ABI_OP_OPTION or op == ABI_OP_BARE or op == ABI_OP_VARIANT:
        return lift_case(call, node, <uint32_t>load_bits(at, node.disc_size), at, False)
    if op == ABI_OP_RECORD:
        return lift_record(call, node, at, False)
    if op == ABI_OP_TUPLE:
        return lift_tuple(call, node, at, False)
    if op == ABI_OP_STRING:
        return lift_string(call, abi_load32(at), abi_load32(at + 4))
    if op == ABI_OP_BYTES or op == ABI_OP_LIST or op == ABI_OP_MAP:
        return lift_list(call, node, abi_load32(at), abi_load32(at + 4))
    if op == ABI_OP_FIXED_LIST:
        word = node.length
        node = &call.nodes[call.fields[node.first].node]
        if node.op == ABI_OP_U8:
            return new_bytes(<const char *>at, word)
        return lift_elements(call, node, at, word)
    return <PyObject *>call.lift_resource(call, node, abi_load32(at))


cdef PyObject *fixed_result(const AbiNode *element, PyObject *items) noexcept:
    """list<u8, N> is bytes like list<u8>. Steals `items`."""
    cdef PyObject *found = items
    if element.op == ABI_OP_U8:
        converted = bytes(<list>items)
        found = <PyObject *>converted
        incref(found)
        decref(items)
    return found


# ---- entry points -----------------------------------------------------------------------------------------------------------------------------------

cdef inline const uint8_t *spilled(AbiCall *call, uint32_t pointer, uint32_t align, uint32_t size) except NULL:
    """Where spilled parameters or results lie, checked."""
    if pointer & (align - 1):
        raise_trap(TRAP_UNALIGNED_POINTER, "unaligned pointer")
        return NULL
    if <uint64_t>pointer + size > call.memory.length_bytes:
        raise_trap(TRAP_CANONICAL_ABI, "pointer to spilled values out of bounds of memory")
        return NULL
    return call.memory.base + pointer


cdef object lift_result(Plan plan, AbiCall *call, const ValRaw *values):
    """The result of a guest's function, from its core results."""
    cdef const AbiNode *node
    cdef const uint8_t *at
    cdef PyObject *found
    if plan.result == ABI_NO_NODE:
        return None
    node = &plan.nodes[plan.result]
    if node.op == ABI_OP_S32:
        return values.i32
    open_budget(call)
    if plan.result_spills:
        at = spilled(call, <uint32_t>values.i32, node.align, node.size)
        found = lift_memory(call, node, at)
    else:
        found = lift_flat(call, node, values)
    return steal(found)


cdef object steal(PyObject *found):
    if found == NULL:
        raise_set()
    result = <object>found
    decref(found)
    return result


cdef int raise_set() except -1:
    """The exception is set already."""
    return -1


cdef int lift_params(Plan plan, AbiCall *call, const ValRaw *values, PyObject **out) except -1:
    """New references to the arguments of a host function; none on failure."""
    cdef uint32_t i, j
    cdef const AbiField *field = &plan.fields[plan.first_param]
    cdef const uint8_t *at = NULL
    open_budget(call)
    if plan.params_spill:
        at = spilled(call, <uint32_t>values.i32, plan.params_align, plan.params_size)
    for i in range(plan.num_params):
        if at == NULL:
            out[i] = lift_flat(call, &plan.nodes[field.node], values + field.slot)
        else:
            out[i] = lift_memory(call, &plan.nodes[field.node], at + field.offset)
        if out[i] == NULL:
            for j in range(i):
                decref(out[j])
            return -1
        field += 1
    return 0
