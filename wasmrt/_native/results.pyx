# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, embedsignature=True
"""Results that are lists of scalars as memoryviews, arrays or numpy arrays: copied, or borrowed from guest memory.

A *borrow* is one call whose result was not copied: its post-return has not run, so the guest has not taken its memory back, and the component instance
cannot be entered. Each list in the result is a `BorrowedList`, which exports its part of linear memory, read-only; the borrow is over when the last
buffer on any of them is released. Post-return then waits for the store's next entry, since whoever releases last may be the garbage collector, which
must not run guest code; what enters the instance next finds it done. The memory is retained, so that views stay readable when their store is closed.

list<bool> is always copied: what a guest writes need not be 0 or 1.
"""

from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint32_t

cimport cython

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport *
from wasmrt._native.core cimport Store, gil_acquire
from wasmrt._native.options cimport RESULTS_ARRAY, RESULTS_NUMPY, CallOptions
from wasmrt._native.pyapi cimport PyTypeObject, incref, refuse_new

import array

from wasmrt._native.options import FORMATS
from wasmrt.errors import WasmError

cdef extern from "Python.h":
    object PyMemoryView_FromMemory(char *memory, Py_ssize_t size, int flags)
    object PyMemoryView_FromObject(object exporter)
    object PyByteArray_FromStringAndSize(const char *bytes_, Py_ssize_t size)
    char *PyByteArray_AS_STRING(object value)
    const int PyBUF_READ
    const int PyBUF_WRITABLE
    const int PyBUF_FORMAT
    const int PyBUF_ND
    const int PyBUF_STRIDES

# letters of array and memoryview for elements that have ABI_SCALAR
cdef const char *LETTERS = b"?bBhHiIqQfd"
cdef list FORMAT_NAMES = list(FORMATS)


cdef int letter_of(uint8_t op) noexcept:
    """Index of an element type in FORMATS."""
    if op == ABI_OP_BOOL:
        return 0
    if op == ABI_OP_S8:
        return 1
    if op == ABI_OP_U8:
        return 2
    if op == ABI_OP_S16:
        return 3
    if op == ABI_OP_U16:
        return 4
    if op == ABI_OP_S32:
        return 5
    if op == ABI_OP_U32:
        return 6
    if op == ABI_OP_S64:
        return 7
    if op == ABI_OP_U64:
        return 8
    return 9 if op == ABI_OP_F32 else 10


# ---- borrowing --------------------------------------------------------------------------------------------------------------------------------------

# The collector clears objects of a cycle in any order, and releasing a buffer needs these two whole.
@cython.no_gc_clear
cdef class Borrow:
    """One call whose result still lies in guest memory."""

    def __dealloc__(self) -> None:
        if self.memory != NULL:
            c.wr_memory_release(self.memory)


@cython.no_gc_clear
cdef class BorrowedList:
    """A list of scalars in guest memory: exports a read-only buffer. What `memoryview.obj` of a borrowed result is."""

    def __getbuffer__(self, Py_buffer *view, int flags) -> None:
        if flags & PyBUF_WRITABLE:
            raise BufferError("a borrowed result is read-only")
        if self.borrow.over:
            raise BufferError("this borrowed result was released: its memory is the guest's again")
        view.buf = <void *>self.items
        view.len = self.count * self.itemsize
        view.itemsize = self.itemsize
        view.readonly = 1
        view.ndim = 1
        view.format = self.format if flags & PyBUF_FORMAT else NULL
        view.shape = &self.count if flags & PyBUF_ND else NULL
        view.strides = &self.itemsize if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL
        view.obj = self
        self.borrow.exports += 1

    def __releasebuffer__(self, Py_buffer *view) -> None:
        cdef Borrow borrow = self.borrow
        borrow.exports -= 1
        if borrow.exports == 0 and borrow.sealed:
            end_borrow(borrow)


for native_type in (Borrow, BorrowedList):
    refuse_new(<PyTypeObject *><PyObject *>native_type)


cdef Borrow open_borrow(ComponentInstance owner, RuntimeInstance *instance, c.VMFuncRef *post_return, c.VMMemoryDef *memory):
    cdef Borrow borrow = Borrow.__new__(Borrow)
    borrow.owner = owner
    borrow.instance = instance
    borrow.post_return = post_return
    if memory != NULL:
        borrow.memory = c.wr_memory_of_def(memory)
        c.wr_memory_retain(borrow.memory)
    return borrow


cdef int seal_borrow(Borrow borrow, const c.ValRaw *value) except -1:
    """The call is over: from here on the instance is closed until the last buffer is released. Call it inside the store."""
    borrow.value = value[0]
    borrow.sealed = True
    borrow.owner.gate.num_borrowed += 1
    if borrow.exports == 0:  # nothing in the result was borrowed
        borrow.over = True
        run_post_return(borrow)
    return 0


cdef int end_borrow(Borrow borrow) except -1:
    """The last buffer was released, by whoever: nothing of the guest's runs here."""
    cdef Store store = borrow.owner.store
    borrow.over = True
    if store.c_store == NULL or borrow.post_return == NULL:
        borrow.owner.gate.num_borrowed -= 1
        return 0
    if borrow.owner.waiting is None:
        borrow.owner.waiting = []
    borrow.owner.waiting.append(borrow)
    store.queue_drop((settle_later, (borrow.owner,), "post-return"))
    return 0


def settle_later(ComponentInstance owner) -> bool:
    """Runs at the store's next entry."""
    if owner.gate.busy:
        return False
    run_waiting(owner)
    return True


cdef int run_waiting(ComponentInstance owner) except -1:
    cdef Borrow borrow
    while owner.waiting:  # None before the first one
        borrow = owner.waiting.pop()
        run_post_return(borrow)
    return 0


cdef int settle_borrows(ComponentInstance owner) except -1:
    """Before a call enters an instance some of whose results were borrowed: runs post-returns that wait, refuses when one is still open."""
    if not owner.gate.poisoned and not owner.gate.busy:
        run_waiting(owner)
    if owner.gate.num_borrowed:
        raise WasmError("cannot enter component instance: a result of it is still borrowed; release the view first")
    return 0


cdef int run_post_return(Borrow borrow) except -1:
    """Inside the store."""
    cdef ComponentInstance owner = borrow.owner
    cdef c.VMFuncRef *func = borrow.post_return
    cdef c.ValRaw values[2]
    cdef bint ok
    owner.gate.num_borrowed -= 1
    if func == NULL or owner.gate.poisoned:
        return 0
    values[0] = borrow.value
    owner.gate.busy = True
    borrow.instance.may_leave[0] = 0
    ok = func.array_call(func.vmctx, func.vmctx, values, 2)
    gil_acquire(owner.store.context)
    borrow.instance.may_leave[0] = 1
    owner.gate.busy = False
    if not ok:
        owner.gate.poisoned = True
        owner.store.raise_pending()
    return 0


# ---- lifting ----------------------------------------------------------------------------------------------------------------------------------------

cdef void set_result_hooks(AbiCall *call, ResultContext *context, CallOptions options, Borrow borrow) noexcept:
    context.options = <void *>options
    context.borrow = <void *>borrow if borrow is not None else NULL
    call.results = context
    call.lift_buffer = <void *(*)(AbiCall *, const AbiNode *, const uint8_t *, uint32_t) noexcept><void *>lift_buffer


cdef PyObject *lift_buffer(AbiCall *call, const AbiNode *element, const uint8_t *at, uint32_t count) except? NULL:
    """A list of scalars at a checked place as what the options ask for; NULL without an exception: as a plain one."""
    cdef ResultContext *context = <ResultContext *>call.results
    cdef CallOptions options = <CallOptions>context.options
    cdef int letter = letter_of(element.op)
    cdef Py_ssize_t size = <Py_ssize_t>count * element.size
    cdef bint borrowed = context.borrow != NULL and letter != 0
    cdef BorrowedList view
    cdef object found
    if options.results == RESULTS_ARRAY:
        if letter == 0:
            return NULL  # array has no bools
        found = array.array(FORMAT_NAMES[letter])
        if size:
            found.frombytes(PyMemoryView_FromMemory(<char *>at, size, PyBUF_READ))
    else:
        if borrowed:
            view = BorrowedList.__new__(BorrowedList)
            view.borrow = <Borrow>context.borrow
            view.items = at
            view.count = count
            view.itemsize = element.size
            view.format[0] = LETTERS[letter]
            view.format[1] = 0
            found = view
        else:
            found = PyByteArray_FromStringAndSize(<const char *>at, size)
            if letter == 0:
                normalize_bools(<uint8_t *>PyByteArray_AS_STRING(found), size)
        if options.results == RESULTS_NUMPY:
            if count == 0:
                found = b""
            found = options.numpy_frombuffer(found, options.numpy_types[letter], count)
        elif borrowed:
            found = PyMemoryView_FromObject(found)
        else:
            found = PyMemoryView_FromObject(found)
            if letter != 2:
                found = found.cast(FORMAT_NAMES[letter])
    incref(<PyObject *>found)
    return <PyObject *>found


cdef void normalize_bools(uint8_t *items, Py_ssize_t count) noexcept:
    cdef Py_ssize_t i
    for i in range(count):
        items[i] = items[i] != 0
