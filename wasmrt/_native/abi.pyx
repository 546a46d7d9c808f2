# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, embedsignature=True
"""Plans as C arrays, the Python values that have a class of their own (Record, Variant), and what a lowering in progress owns (AbiCall).

`lower.pyx` (with `leaves.pyx`) runs plans from Python to the guest, `lift.pyx` back. An AbiCall lives on its call's C stack: staged bytes come from a few hundred inline
ones, then from chunks that never move, so that pointers into them hold until `finish`.

Errors about values: `fail*` set an exception and start a path; the compounds between a wrong leaf and the call prepend their part (`[3]`, `.x`), and
`raise_with_path` makes the final message. These functions are `noexcept` and return -1 with an exception set, like C.
"""

from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from wasmrt._native.core cimport trap_text
from wasmrt._native.pyapi cimport *

import sys
import weakref

cimport cython

cdef extern from "record.h":
    enum:
        RECORD_SPARES
    int wr_record_init(PyObject **spares) except -1
    void wr_record_class_made(PyTypeObject *type) noexcept

from wasmrt.errors import ArgumentOverflowError, ArgumentTypeError, Trap

cdef enum:
    PATH_LIMIT = 200


# ---- public values ----------------------------------------------------------------------------------------------------------------------------------

cdef class Resource:
    """Base of what stands for a resource in Python: ResourceAny and ResourceHost."""


@cython.freelist(8)
cdef class Variant:
    """A case of a variant whose payload alone would not tell which: `Variant("some-case", payload)`."""

    __match_args__ = ("tag", "payload")

    def __init__(self, tag: str, payload: object = None) -> None:
        self.tag = tag
        self.payload = payload

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Variant):
            return NotImplemented
        return self.tag == (<Variant>other).tag and self.payload == (<Variant>other).payload

    __hash__ = None

    def __repr__(self) -> str:
        return f"Variant(tag={self.tag!r}, payload={self.payload!r})"

    def __reduce__(self) -> tuple:
        return Variant, (self.tag, self.payload)


class Record:
    """A record: its fields are attributes, in snake case and (with getattr) as WIT spells them.

    What a component returns is of a subclass with the fields as slots. `Record(x=1)` makes one by hand; any object with the
    attributes, or a dict, serves as well. `==` compares the fields of the left side with the right side's attributes.
    """

    __slots__ = ("__dict__", "__weakref__")
    _fields = ()

    def __init__(self, **fields: object) -> None:
        for name, value in fields.items():
            setattr(self, name, value)

    def _items(self) -> list:
        missing = object()
        found = [(name, getattr(self, name, missing)) for name in type(self)._fields]
        return [pair for pair in found if pair[1] is not missing] + list(self.__dict__.items())

    def __eq__(self, other: object) -> bool:
        missing = object()
        for name, value in Record._items(self):
            theirs = getattr(other, name, missing)
            if theirs is missing:
                theirs = getattr(other, name.replace("-", "_"), missing)
            if theirs is missing or theirs != value:
                return False
        return True

    __hash__ = None

    def __repr__(self) -> str:
        return "Record(" + ", ".join(f"{n.replace('-', '_')}={v!r}" for n, v in Record._items(self)) + ")"

    def __reduce__(self) -> tuple:
        return _rebuild_record, (type(self)._fields, dict(Record._items(self)))


def _rebuild_record(fields: tuple, values: dict) -> object:
    record = record_class(fields)() if fields else Record()
    for name, value in values.items():
        setattr(record, name, value)
    return record


_record_classes = weakref.WeakValueDictionary()

cdef PyObject *SPARE_RECORDS[RECORD_SPARES]


cdef PyObject **spare_records() noexcept:
    return SPARE_RECORDS


wr_record_init(spare_records())


def record_class(names: tuple) -> type:
    """The subclass of Record whose slots are these fields (WIT names); one for equal names."""
    found = _record_classes.get(names)
    if found is None:
        slots = tuple([name.replace("-", "_") for name in names])
        namespace = {"__slots__": slots, "_fields": names, "__match_args__": slots, "__module__": "wasmrt.component"}
        found = type("Record", (Record,), namespace)
        for name, slot in zip(names, slots):
            if name != slot:
                setattr(found, name, found.__dict__[slot])
        wr_record_class_made(<PyTypeObject *><PyObject *>found)
        _record_classes[names] = found
    return found


# ---- plans ------------------------------------------------------------------------------------------------------------------------------------------

cdef class Plan:
    """A compiled function type (wasmrt.abi.plan.PlanRows) as C arrays. Immutable; shared by all instances of a component."""

    def __init__(self, rows: object) -> None:
        cdef size_t i, j
        cdef AbiNode *node
        cdef size_t num_nodes = len(rows.nodes), num_fields = len(rows.fields)
        assert self.nodes == NULL
        objects = [sys.intern(o) if type(o) is str else o for o in rows.objects]
        self.nodes = <AbiNode *>malloc((num_nodes + 1) * sizeof(AbiNode))
        self.fields = <AbiField *>malloc((num_fields + 1) * sizeof(AbiField))
        if self.nodes == NULL or self.fields == NULL:
            raise MemoryError
        for i in range(num_fields):
            row = rows.fields[i]
            self.fields[i] = AbiField(node=row.node, offset=row.offset, slot=row.slot, place=0, place_by_hand=0)
        for i in range(num_nodes):
            row = rows.nodes[i]
            node = &self.nodes[i]
            (
                node.op, node.flags, node.disc_size, node.align, node.size, node.flat, node.first, node.count, node.payload_offset,
                node.length, node.exact, node.loose, node.type, node.names, node.lookup,
            ) = row
            if row.names:
                objects[row.names] = tuple([sys.intern(name) for name in objects[row.names]])
            if node.op == ABI_OP_RECORD:
                names = objects[row.names][:node.count]
                cls = record_class(names)
                node.lookup = len(objects)
                objects.append(cls)
                for j in range(node.count):
                    descriptor = cls.__dict__[objects[row.names][node.count + j]]
                    self.fields[node.first + j].place = member_offset(<PyObject *>descriptor)
        self.kept = tuple(objects)
        self.objects = <PyObject **>malloc((len(objects) + 1) * sizeof(PyObject *))
        if self.objects == NULL:
            raise MemoryError
        for i in range(<size_t>len(objects)):
            self.objects[i] = <PyObject *>self.kept[i]
        self.type = rows.type
        self.param_names = rows.param_names
        self.param_lookup = rows.param_lookup
        self.first_param = rows.first_param
        self.num_params = len(rows.param_names)
        self.params_flat = rows.params_flat
        self.params_size = rows.params_size
        self.params_align = rows.params_align
        self.params_flags = rows.params_flags
        self.params_spill = rows.params_spill
        self.result = rows.result
        self.result_flat = rows.result_flat
        self.result_spills = rows.result_spills
        self.params_simple = not self.params_spill and not self.params_flags & (ABI_ALLOCATES | ABI_RESOURCES)

    def __dealloc__(self) -> None:
        free(self.nodes)
        free(self.fields)
        free(self.objects)


# ---- errors -----------------------------------------------------------------------------------------------------------------------------------------

cdef int fail(AbiCall *call, object cls, object text) noexcept:
    """Sets the exception and starts the path: compounds prepend to it on the way out."""
    if call.path == NULL:
        path = ""
        incref(<PyObject *>path)
        call.path = <void *><PyObject *>path
    error_set(<PyObject *>cls, <PyObject *>text)
    return -1


cdef str type_text(object ty):
    text = str(ty)
    return text if len(text) <= 120 else text[:117] + "..."


cdef int fail_type(AbiCall *call, const AbiNode *node, PyObject *value) noexcept:
    """`expected f64, got str`"""
    return fail(call, ArgumentTypeError, f"expected {type_text(<object>call.objects[node.type])}, got {type(<object>value).__name__}")


cdef int fail_range(AbiCall *call, const AbiNode *node, PyObject *value) noexcept:
    try:
        text = repr(<object>value) if (<object>value).bit_length() < 128 else "an int of more than 127 bits"
    except BaseException:
        text = "the value"
    return fail(call, ArgumentOverflowError, f"{text} is out of range for {type_text(<object>call.objects[node.type])}")


cdef int add_index(AbiCall *call, Py_ssize_t index) noexcept:
    if call.path != NULL:
        prepend(call, f"[{index}]")
    return -1


cdef int add_name(AbiCall *call, PyObject *name) noexcept:
    if call.path != NULL:
        prepend(call, f".{<object>name}")
    return -1


cdef int prepend(AbiCall *call, object part) noexcept:
    old = <object><PyObject *>call.path
    if len(old) > PATH_LIMIT:
        return -1
    new = part + old
    decref(<PyObject *>call.path)
    incref(<PyObject *>new)
    call.path = <void *><PyObject *>new
    return -1


cdef int raise_with_path(AbiCall *call, object head) except -1:
    """Raises the pending exception; one of ours gets its final message."""
    if call.path == NULL:
        return -1  # an exception of user code, as it is
    path = <object><PyObject *>call.path
    decref(<PyObject *>call.path)
    call.path = NULL
    cls, error = take_error()
    raise cls(f"{head}{path}: {error}")


cdef object take_error():
    """(class, text) of the pending exception that `fail` set."""
    try:
        reraise()
    except BaseException as error:
        return type(error), str(error)


cdef int reraise() except -1:
    return -1


cdef void raise_trap(uint32_t code, object text) noexcept:
    """Sets a Trap; the store adds the frames when it leaves through guest code."""
    error = trap_text(code, text)
    error_set(<PyObject *>Trap, <PyObject *>error)


# ---- staging memory and steps -----------------------------------------------------------------------------------------------------------------------

cdef uint8_t *stage_bytes(AbiCall *call, uint64_t size) noexcept:
    """Bytes that stay where they are until `finish`, 8-byte aligned, not zeroed; NULL with MemoryError."""
    cdef AbiChunk *chunk
    cdef uint8_t *found
    size = (size + 15) & ~<uint64_t>15
    if size <= <uint64_t>(call.limit - call.top):
        found = call.top
        call.top += size
        return found
    cdef uint64_t room = size if size > 16384 else 16384
    chunk = <AbiChunk *>malloc(room + 16)
    if chunk == NULL:
        error_no_memory()
        return NULL
    chunk.next = call.chunks
    call.chunks = chunk
    found = <uint8_t *>chunk + 16
    if room > size:
        call.top = found + size
        call.limit = found + room
    return found


cdef AbiStep *add_step(AbiCall *call) noexcept:
    cdef AbiStep *steps
    cdef AbiStep *step
    if call.num_steps == call.capacity:
        if call.capacity >= 1 << 28:
            error_no_memory()
            return NULL
        steps = <AbiStep *>malloc(<size_t>call.capacity * 4 * sizeof(AbiStep))
        if steps == NULL:
            error_no_memory()
            return NULL
        memcpy(steps, call.steps, call.num_steps * sizeof(AbiStep))
        if call.steps != call.first_steps:
            free(call.steps)
        call.steps = steps
        call.capacity *= 4
    step = &call.steps[call.num_steps]
    call.num_steps += 1
    step.owner = NULL
    step.lent = NULL
    step.patch = NULL
    step.guest = 0
    return step


cdef int add_copy(AbiCall *call, uint8_t align, const void *source, uint64_t size, uint8_t *patch, PyObject *owner) noexcept:
    cdef AbiStep *step = add_step(call)
    if step == NULL:
        return -1
    step.kind = ABI_STEP_COPY
    step.align = align
    step.source = source
    step.size = size
    step.patch = patch
    if owner != NULL:
        incref(owner)
        step.owner = owner
    return 0


cdef void finish(AbiCall *call, bint committed) noexcept:
    """Releases all that staging held; ends loans; undoes handles that were staged but not committed."""
    cdef uint32_t i
    cdef AbiStep *step
    cdef AbiChunk *chunk
    for i in range(call.num_steps):
        step = &call.steps[i]
        if step.kind == ABI_STEP_BUFFER:
            release_buffer(<Py_buffer *>step.lent)
        elif step.kind == ABI_STEP_OWN or step.kind == ABI_STEP_BORROW:
            call.finish_resource(call, step, committed or step.guest)
        if step.owner != NULL:
            decref(<PyObject *>step.owner)
    call.num_steps = 0
    if call.steps != call.first_steps:
        free(call.steps)
        call.steps = call.first_steps
        call.capacity = ABI_INLINE_STEPS
    while call.chunks != NULL:
        chunk = call.chunks
        call.chunks = chunk.next
        free(chunk)
    if call.path != NULL:
        decref(<PyObject *>call.path)
        call.path = NULL
