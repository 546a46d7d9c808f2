# cython: language_level=3
"""Objects that own the C side, and the way in and out of guest code. `core.pyx` says what each is for."""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t

cimport wasmrt._native.capi as c

cdef extern from "Python.h":
    ctypedef struct PyThreadState:
        pass
    ctypedef struct PyTypeObject:
        pass
    ctypedef object (*vectorcallfunc)(object callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)

cdef extern from "vectorcall.h":
    void wr_enable_vectorcall(PyTypeObject *type, Py_ssize_t member_offset)


# What the C side reaches from VMStoreContext.host without the GIL.
cdef struct StoreHost:
    PyObject *store         # borrowed
    PyThreadState *saved    # not NULL: the GIL was let go in the middle of guest code
    uint64_t ticks          # slow paths taken since the outermost entry
    int64_t deadline_ns     # monotonic; 0: none
    uint64_t epoch_deadline
    const uint64_t *epoch   # the engine's counter; NULL: no epoch interruption
    bint hold_gil           # never let go of it


cdef class Tunables:
    cdef c.WrTunables c_tunables


cdef class TypeRegistry:
    cdef c.WrTypeRegistry *c_registry


cdef class EpochCounter:
    cdef uint64_t value


cdef class CodeMemory:
    cdef c.CodeMemory *c_code
    cdef object buffer


cdef class Store:
    cdef c.WrStore *c_store
    cdef c.VMStoreContext *context
    cdef StoreHost host
    cdef readonly object engine       # the Python Engine
    cdef TypeRegistry registry
    cdef EpochCounter epoch
    cdef public object user_data
    cdef object pending               # the exception of a host function that left through guest code
    cdef object noted                 # what the wasm frames were added to as a note, until the outermost call ends
    cdef list kept                    # host functions, code memories, ...: what C points at
    cdef dict externrefs              # word -> object
    cdef list drop_queue              # owned handles whose Python object was collected: (callable, args)
    cdef uint32_t depth               # entries that are open
    cdef object __weakref__

    cdef int enter(self, c.WrEntry *entry) except -1
    cdef int leave(self, c.WrEntry *entry) except -1
    cdef int call(self, c.VMFuncRef *func, c.ValRaw *values, size_t capacity) except -1
    cdef int raise_pending(self) except -1
    cdef void set_pending(self, object exception) noexcept
    cdef int ensure_open(self) except -1


cdef inline void gil_acquire(c.VMStoreContext *context) noexcept nogil:
    """First thing in a host function: takes the GIL back if an interrupt let it go."""
    cdef StoreHost *host = <StoreHost *>context.host
    if host.saved != NULL:
        gil_restore(host)


cdef inline Store store_of_context(c.VMStoreContext *context):
    """The store whose guest code runs."""
    return <Store>(<StoreHost *>context.host).store


cdef void gil_restore(StoreHost *host) noexcept nogil
cdef object error_from(c.WrError *error, str path=*)
cdef object trap_from(Store store, uint32_t trap_code)
cdef object trap_text(uint32_t trap_code, str text)
cdef class VMFuncRef:
    cdef c.VMFuncRef *c_func
    cdef object owner
cdef VMFuncRef wrap_func_ref(c.VMFuncRef *func, object owner)
