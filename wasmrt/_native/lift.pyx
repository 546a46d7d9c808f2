# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, embedsignature=True
"""Runs plans from the guest to Python: core values and linear memory to objects. Strings, lists, handles and traps are here, the rest is in lift.h.

What the guest hands over is hostile: every pointer is checked against the memory's length in 64-bit arithmetic before it is read, discriminants and
chars are checked, sizes are bounded. What is wrong is a Trap with the specification's words. A memory may grow while Python objects are made (a
finalizer may run anything), but it never moves nor shrinks. NaN payloads are kept: the specification lets a lift choose.
Undefined upper bits are ignored: an i32 is the low half of its slot, a small integer truncates, unknown flags are dropped.
"""

from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint32_t, uint64_t
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
    PyObject *abi_text_from_utf8(const uint8_t *text, size_t size, int *out_error, size_t *out_at, int *out_bad)
    PyObject *abi_text_from_utf16(const uint8_t *text, size_t units, int *out_error, size_t *out_at, int *out_bad)

cdef extern from "lift.h":
    enum:
        LIFT_BAD_CHAR
    PyObject *lift_value(AbiCall *call, const AbiNode *node, const uint8_t *at, bint flat) noexcept
    void lift_open_budget(AbiCall *call) noexcept

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

cdef LiftRest LIFT_REST


cdef const LiftRest *lift_rest_of_all() noexcept:
    return &LIFT_REST


LIFT_REST.refuse = refuse_bits
LIFT_REST.other = lift_other
LIFT_REST.variant_class = <PyTypeObject *><PyObject *>Variant
lift_init(lift_rest_of_all(), spare_records())


cdef PyObject *trap(uint32_t code, object text) noexcept:
    raise_trap(code, text)
    return NULL


cdef PyObject *refuse_bits(int what) noexcept:
    if what == LIFT_BAD_CHAR:
        return trap(TRAP_INVALID_CHAR, "invalid `char` bit pattern")
    return trap(TRAP_INVALID_DISCRIMINANT, "invalid variant discriminant")


# ---- what a guest may have made of its memory ----------------------------------------------------------------------------------------------------------

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
        item = lift_value(call, element, at, False)
        if item == NULL:
            decref(found)
            return NULL
        list_set(found, i, item)
        at += size
    return found


# ---- compounds --------------------------------------------------------------------------------------------------------------------------------------

cdef PyObject *lift_other(AbiCall *call, const AbiNode *node, const uint8_t *at, int flat) noexcept:
    """What lift.h leaves, from core values (`flat`) or from `node.size` bytes of linear memory at a checked place."""
    cdef uint8_t op = node.op
    cdef uint32_t i, word = abi_load32(at)
    cdef PyObject *found
    cdef PyObject *item
    if op == ABI_OP_STRING:
        return lift_string(call, word, abi_load32(at + (sizeof(ValRaw) if flat else 4)))
    if op == ABI_OP_BYTES or op == ABI_OP_LIST or op == ABI_OP_MAP:
        return lift_list(call, node, word, abi_load32(at + (sizeof(ValRaw) if flat else 4)))
    if op != ABI_OP_FIXED_LIST:
        return <PyObject *>call.lift_resource(call, node, word)
    word = node.length
    node = &call.nodes[call.fields[node.first].node]
    if not flat:
        if node.op == ABI_OP_U8:
            return new_bytes(<const char *>at, word)
        return lift_elements(call, node, at, word)
    found = new_list(word)
    if found == NULL:
        return NULL
    for i in range(word):
        item = lift_value(call, node, at + i * node.flat * sizeof(ValRaw), True)
        if item == NULL:
            decref(found)
            return NULL
        list_set(found, i, item)
    return fixed_result(node, found)


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
    if plan.result == ABI_NO_NODE:
        return None
    node = &plan.nodes[plan.result]
    lift_open_budget(call)
    at = <const uint8_t *>values
    if plan.result_spills:
        at = spilled(call, <uint32_t>values.i32, node.align, node.size)
    return steal(lift_value(call, node, at, not plan.result_spills))


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
    lift_open_budget(call)
    if plan.params_spill:
        at = spilled(call, <uint32_t>values.i32, plan.params_align, plan.params_size)
    for i in range(plan.num_params):
        if at == NULL:
            out[i] = lift_value(call, &plan.nodes[field.node], <const uint8_t *>(values + field.slot), True)
        else:
            out[i] = lift_value(call, &plan.nodes[field.node], at + field.offset, False)
        if out[i] == NULL:
            for j in range(i):
                decref(out[j])
            return -1
        field += 1
    return 0
