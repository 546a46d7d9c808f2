# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, embedsignature=True
"""Stages what holds no other value: numbers, chars, names, flags, strings, and buffers of numbers; `lower.pyx` stages the rest and commits.

Every way to spell such a value in Python is known here, and every error about one is worded here. User code may run (`__index__`, `__float__`, an
iterator, a buffer's exporter): who calls holds `value`.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, strchr

from wasmrt._native.abi cimport *
from wasmrt._native.pyapi cimport *

from wasmrt.errors import ArgumentOverflowError, ArgumentTypeError, ArgumentValueError

cdef extern from "abi_text.h" nogil:
    const uint32_t ABI_UTF16_TAG
    bint abi_small_int(PyObject *value, int64_t *out)
    uint64_t abi_text_measure(const void *data, int width, uint64_t units, bint utf16)


# ---- scalars ----------------------------------------------------------------------------------------------------------------------------------------

cdef int stage_int(AbiCall *call, const AbiNode *node, PyObject *value, uint64_t *out) noexcept:
    """Any int of the type's range, as the bits of the core value (i32 zero-extended)."""
    cdef int64_t number
    cdef int overflow = 0
    cdef PyObject *held = NULL
    if not (is_long_exact(value) and abi_small_int(value, &number)):
        if not is_long(value):
            if not is_index(value) or is_float(value):
                return fail_type(call, node, value)
            held = to_index(value)
            if held == NULL:
                if error_matches(PyExc_TypeError):
                    error_clear()
                    return fail_type(call, node, value)
                return -1
            value = held
        number = long_as_i64(value, &overflow)
        if overflow > 0 and node.op == ABI_OP_U64:
            out[0] = long_as_u64(value)
            if out[0] == <uint64_t>-1 and error_occurred() != NULL:
                error_clear()
                fail_range(call, node, value)
                xdecref(held)
                return -1
            xdecref(held)
            return 0
        if overflow != 0:
            fail_range(call, node, value)
            xdecref(held)
            return -1
    cdef bint fits = True
    cdef uint8_t op = node.op
    out[0] = <uint32_t>number
    if op == ABI_OP_S32:
        fits = number == <int32_t>number
    elif op == ABI_OP_U32:
        fits = number == <int64_t><uint32_t>number
    elif op == ABI_OP_S64:
        out[0] = <uint64_t>number
    elif op == ABI_OP_U64:
        out[0] = <uint64_t>number
        fits = number >= 0
    elif op == ABI_OP_U8:
        fits = number == <int64_t><uint8_t>number
    elif op == ABI_OP_S8:
        fits = number == <int8_t>number
    elif op == ABI_OP_U16:
        fits = number == <int64_t><uint16_t>number
    else:
        fits = number == <int16_t>number
    if not fits:
        fail_range(call, node, value)
    xdecref(held)
    return 0 if fits else -1


cdef int stage_double(AbiCall *call, const AbiNode *node, PyObject *value, double *out) noexcept:
    if is_float(value):
        out[0] = float_value(value)
        return 0
    if not is_long(value) and (is_str(value) or (is_sequence(value) and not is_index(value)) or not (has_float(value) or is_index(value))):
        return fail_type(call, node, value)
    out[0] = as_double(value)
    if out[0] == -1.0 and error_occurred() != NULL:
        if error_matches(PyExc_OverflowError):
            error_clear()
            return fail_range(call, node, value)
        if error_matches(PyExc_TypeError):
            error_clear()
            return fail_type(call, node, value)
        return -1
    return 0


cdef int stage_char(AbiCall *call, const AbiNode *node, PyObject *value, uint64_t *out) noexcept:
    if not is_str(value):
        return fail_type(call, node, value)
    if str_ready(value) < 0:
        return -1
    if str_length(value) != 1:
        return fail(call, ArgumentTypeError, f"expected char (a str of length 1), got a str of length {str_length(value)}")
    out[0] = str_char(value, 0)
    if 0xD800 <= out[0] <= 0xDFFF:
        return fail(call, ArgumentValueError, f"a char cannot be the surrogate {out[0]:#x}")
    return 0


cdef int64_t find_name(AbiCall *call, const AbiNode *node, PyObject *value) noexcept:
    """Index of a case or label, -1 with an exception."""
    cdef PyObject *names = <PyObject *>call.objects[node.names]
    cdef PyObject *found
    cdef uint32_t i, count = node.length if node.length else node.count
    if not is_str(value):
        fail(call, ArgumentTypeError, f"expected a name of {type_text(<object>call.objects[node.type])}, got {type(<object>value).__name__}")
        return -1
    for i in range(count if count < 12 else 12):
        if tuple_item(names, i) == value:
            return i
    found = dict_get(<PyObject *>call.objects[node.lookup], value)
    if found == NULL:
        if error_occurred() == NULL:
            known = ", ".join((<object>names)[:12]) + (", ..." if count > 12 else "")
            fail(call, ArgumentValueError, f"unknown name {(<object>value)[:40]!r}, expected one of {known}")
        return -1
    return long_as_long(found)


cdef int stage_flags(AbiCall *call, const AbiNode *node, PyObject *value, uint64_t *out) noexcept:
    cdef PyObject *iterator
    cdef PyObject *item
    cdef int64_t index
    cdef uint64_t bits = 0
    if is_str(value) or is_bytes(value) or is_dict(value) or not (is_any_set(value) or is_list(value) or is_tuple(value) or hasattr(<object>value, "__iter__")):
        return fail(call, ArgumentTypeError, f"expected a set of names for {type_text(<object>call.objects[node.type])}, got {type(<object>value).__name__}")
    iterator = get_iter(value)
    if iterator == NULL:
        return -1
    while True:
        item = iter_next(iterator)
        if item == NULL:
            break
        index = find_name(call, node, item)
        decref(item)
        if index < 0:
            decref(iterator)
            return -1
        bits |= <uint64_t>1 << index
    decref(iterator)
    if error_occurred() != NULL:
        return -1
    out[0] = bits
    return 0


cdef int stage_scalar(AbiCall *call, const AbiNode *node, PyObject *value, uint64_t *out) noexcept:
    """Types of one core value without steps: bool to char, enum, flags. `out` gets the bits, zero-extended."""
    cdef uint8_t op = node.op
    cdef double number
    cdef float narrow
    cdef uint32_t word
    cdef int64_t index
    if ABI_OP_S8 <= op <= ABI_OP_U64:
        return stage_int(call, node, value, out)
    if op == ABI_OP_F64:
        if is_float_exact(value):
            number = float_value(value)
        elif stage_double(call, node, value, &number) < 0:
            return -1
        memcpy(out, &number, 8)
        return 0
    if op == ABI_OP_F32:
        if stage_double(call, node, value, &number) < 0:
            return -1
        narrow = <float>number
        memcpy(&word, &narrow, 4)
        out[0] = word
        return 0
    if op == ABI_OP_BOOL:
        if value == TRUE:
            out[0] = 1
        elif value == FALSE:
            out[0] = 0
        else:
            return fail_type(call, node, value)
        return 0
    if op == ABI_OP_CHAR:
        return stage_char(call, node, value, out)
    if op == ABI_OP_ENUM:
        index = find_name(call, node, value)
        if index < 0:
            return -1
        out[0] = <uint64_t>index
        return 0
    return stage_flags(call, node, value, out)


# ---- strings, buffers -------------------------------------------------------------------------------------------------------------------------------

cdef int stage_string(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *patch, uint32_t *out_units) noexcept:
    cdef AbiStep *step
    cdef uint64_t length, size
    cdef int width
    cdef bint utf16
    if not is_str(value):
        return fail_type(call, node, value)
    if str_ready(value) < 0:
        return -1
    length = <uint64_t>str_length(value)
    if call.encoding == ABI_UTF8:
        if str_is_ascii(value):
            if length > ABI_MAX_BYTES:
                return fail_large(call, length)
            out_units[0] = <uint32_t>length
            return add_copy(call, 1, str_data(value), length, patch, value)
        utf16 = False
    else:
        width = str_kind(value)
        if width == 1 and call.encoding == ABI_LATIN1_UTF16:
            if length > ABI_MAX_BYTES:
                return fail_large(call, length)
            out_units[0] = <uint32_t>length
            return add_copy(call, 2, str_data(value), length, patch, value)
        utf16 = True
    width = str_kind(value)
    size = abi_text_measure(str_data(value), width, length, utf16)
    if size == <uint64_t>-1:
        return fail(call, ArgumentValueError, "a string cannot hold surrogates")
    if size > ABI_MAX_BYTES:
        return fail_large(call, size)
    step = add_step(call)
    if step == NULL:
        return -1
    step.kind = ABI_STEP_TEXT
    step.align = 2 if utf16 else 1
    step.width = <uint8_t>width
    step.encoding = ABI_UTF16 if utf16 else ABI_UTF8
    step.source = str_data(value)
    step.size = size
    step.units = length
    step.patch = patch
    incref(value)
    step.owner = value
    out_units[0] = <uint32_t>size
    if utf16:
        out_units[0] = <uint32_t>(size // 2)
        if call.encoding == ABI_LATIN1_UTF16:
            out_units[0] |= ABI_UTF16_TAG
    return 0


cdef int fail_large(AbiCall *call, uint64_t size) noexcept:
    return fail(call, ArgumentOverflowError, f"{size} bytes are more than a string or list can have: {ABI_MAX_BYTES}")


cdef bint format_fits(const AbiNode *element, const char *format, Py_ssize_t itemsize) noexcept:
    """Whether a buffer's items are what the element type holds in memory."""
    cdef uint8_t op = element.op
    if <uint64_t>itemsize != element.size:
        return False
    if format == NULL:
        return op == ABI_OP_U8
    if format[0] == b'@' or format[0] == b'<' or format[0] == b'=' or (itemsize == 1 and (format[0] == b'>' or format[0] == b'!')):
        format += 1
    if format[0] == 0 or format[1] != 0:
        return False
    if op == ABI_OP_F32 or op == ABI_OP_F64:
        return format[0] == b'f' or format[0] == b'd'
    if op == ABI_OP_BOOL:
        return format[0] == b'?'
    if op == ABI_OP_U8 and format[0] == b'c':
        return True
    if op == ABI_OP_U8 or op == ABI_OP_U16 or op == ABI_OP_U32 or op == ABI_OP_U64:
        return strchr(b"BHILQN", format[0]) != NULL
    return strchr(b"bhilqn", format[0]) != NULL


cdef str take_buffer_error():
    """What the exporter of a buffer says in the pending exception, which is cleared."""
    cdef PyObject *cls
    cdef PyObject *value
    cdef PyObject *traceback
    error_fetch(&cls, &value, &traceback)
    try:
        return str(<object>value)
    except BaseException:
        return "it says not why"
    finally:
        xdecref(cls)
        xdecref(value)
        xdecref(traceback)


cdef int stage_buffer(AbiCall *call, const AbiNode *node, const AbiNode *element, PyObject *value, uint8_t *patch, uint32_t *out_count) noexcept:
    """A buffer of the element's items: copied from where it is when the lowering commits."""
    cdef Py_buffer *view
    cdef AbiStep *step
    cdef uint64_t i, size
    cdef uint8_t *bytes_
    if is_bytes_exact(value) and element.op == ABI_OP_U8:
        size = <uint64_t>bytes_size(value)
        if size > ABI_MAX_BYTES:
            return fail_large(call, size)
        out_count[0] = <uint32_t>size
        return add_copy(call, 1, bytes_data(value), size, patch, value)
    if is_str(value) or not is_buffer(value):
        return fail_type(call, node, value)
    view = <Py_buffer *>stage_bytes(call, sizeof(Py_buffer))
    if view == NULL:
        return -1
    if get_buffer(value, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0:
        if not error_matches(PyExc_BufferError) and not error_matches(<PyObject *>ValueError):
            return -1
        why = take_buffer_error()
        if "contiguous" in why:
            return fail(call, ArgumentTypeError, f"expected {type_text(<object>call.objects[node.type])}, got a buffer that is not C-contiguous")
        return fail(call, ArgumentValueError, f"expected {type_text(<object>call.objects[node.type])}, got a buffer that cannot be read: {why}")
    size = <uint64_t>view.len
    if not format_fits(element, view.format, view.itemsize):
        wanted = type_text(<object>call.objects[node.type])
        got = "B" if view.format == NULL else (<bytes>view.format).decode("ascii", "replace")
        plain = element.op == ABI_OP_U8 and "O" not in got
        fail(
            call,
            ArgumentTypeError,
            f"expected {wanted}, got a buffer of {view.itemsize}-byte items of format {got!r}" + ('; memoryview(x).cast("B") passes its bytes' if plain else ""),
        )
        release_buffer(view)
        return -1
    if size > ABI_MAX_BYTES:
        release_buffer(view)
        return fail_large(call, size)
    step = add_step(call)
    if step == NULL:
        release_buffer(view)
        return -1
    step.kind = ABI_STEP_BUFFER
    step.align = element.align
    step.source = view.buf
    step.size = size
    step.patch = patch
    step.lent = view
    out_count[0] = <uint32_t>(size // element.size)
    if element.op == ABI_OP_BOOL and size:
        bytes_ = stage_bytes(call, size)
        if bytes_ == NULL:
            return -1
        for i in range(size):
            bytes_[i] = (<const uint8_t *>view.buf)[i] != 0
        call.steps[call.num_steps - 1].source = bytes_
    return 0
