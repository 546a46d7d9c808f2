# cython: language_level=3
"""Objects that own the C side, and the way in and out of guest code. `core.pyx` says what each is for."""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t, uintptr_t

cimport wasmrt._native.capi as c

cdef extern from "Python.h":
    ctypedef struct PyThreadState:
        pass
    ctypedef struct PyTypeObject:
        pass
    ctypedef object (*vectorcallfunc)(object callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
    PyThreadState *PyEval_SaveThread() nogil
    Py_ssize_t PyList_GET_SIZE(object items) noexcept

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
    int64_t timeout_ns      # of the call that `deadline_ns` belongs to; 0: it is the store's own
    bint hold_gil           # never let go of it
    bint release_gil        # let go of it whenever guest code runs


cdef class Tunables:
    cdef c.WrTunables c_tunables


cdef class TypeRegistry:
    cdef c.WrTypeRegistry *c_registry


cdef class EpochCounter:
    cdef uint64_t value


cdef class Pool:
    cdef c.WrPool *c_pool


cdef class StoreSettings:
    cdef TypeRegistry registry
    cdef EpochCounter epoch
    cdef size_t max_wasm_stack
    cdef bint epoch_interruption
    cdef object call_options
    cdef Pool pool                    # None: on demand
    cdef bint memory_init_cow
    cdef bint gc_stress


cdef class Store:
    cdef c.WrStore *c_store
    cdef c.VMStoreContext *context
    cdef StoreHost host
    cdef readonly object engine       # the Python Engine
    cdef TypeRegistry registry
    cdef EpochCounter epoch
    cdef readonly object call_options  # CallOptions that functions of this store start with, or None
    cdef public object user_data
    cdef public object wasi           # what WASI imports of this store see
    cdef public object wasi_state     # what WASI 0.1 made of it: descriptors of guests; None until one asks
    cdef object pending               # the exception of a host function that left through guest code
    cdef object noted                 # what the wasm frames were added to as a note, until the outermost call ends
    cdef list kept                    # host functions, code memories, ...: what C points at
    cdef dict externrefs              # word -> object
    cdef list drop_queue              # owned handles whose Python object was collected: (callable, args)
    cdef uint32_t depth               # entries that are open
    cdef object __weakref__

    cdef int enter_outermost(self) except -1
    cdef int raise_enter(self, int result) except -1
    cdef int call(self, c.VMFuncRef *func, c.ValRaw *values, size_t capacity) except -1
    cdef int raise_pending(self) except -1
    cdef void set_pending(self, object exception) noexcept
    cdef int ensure_open(self) except -1
    cdef int ensure_mine(self) except -1


cdef inline void gil_acquire(c.VMStoreContext *context) noexcept nogil:
    """First thing in a host function: takes the GIL back if an interrupt let it go."""
    cdef StoreHost *host = <StoreHost *>context.host
    if host.saved != NULL:
        gil_restore(host)


cdef inline Store store_of_context(c.VMStoreContext *context):
    """The store whose guest code runs."""
    return <Store>(<StoreHost *>context.host).store


cdef void gil_restore(StoreHost *host) noexcept nogil


cdef Store NO_STORE  # closed: the store of objects whose `__init__` did not run


cdef inline int enter_store(Store store, c.WrEntry *entry) except -1:
    """Claims the store for this thread; `leave_store` undoes it. With the GIL. Raises WasmError when another thread runs it, Trap without stack."""
    cdef c.WrEnterResult result
    if store.c_store == NULL:
        store.ensure_open()
    result = c.wr_store_enter(store.c_store, entry)
    if result != c.WR_ENTER_OK:
        store.raise_enter(result)
    # not NULL when native code that guests called without the GIL took it by itself and calls a guest again
    entry.reserved[0] = <uintptr_t>store.host.saved
    store.host.saved = NULL
    if store.depth == 0:
        store.host.ticks = 0
        if PyList_GET_SIZE(store.drop_queue) or store.host.epoch != NULL:
            store.enter_outermost()
    store.depth += 1
    return 0


cdef inline void leave_store(Store store, c.WrEntry *entry) noexcept:
    if store.host.saved != NULL:
        gil_restore(&store.host)
    store.host.saved = <PyThreadState *>entry.reserved[0]
    store.depth -= 1
    if store.depth == 0 and store.noted is not None:
        store.noted = None
    c.wr_store_leave(store.c_store, entry)


cdef inline void gil_host_returns(c.VMStoreContext *context) noexcept nogil:
    """Last thing in a host function: guest code that is to run without the GIL gets rid of it again."""
    cdef StoreHost *host = <StoreHost *>context.host
    if host.release_gil and host.saved == NULL:
        host.saved = PyEval_SaveThread()


cdef int64_t monotonic_ns() noexcept nogil
cdef object error_from(c.WrError *error, str path=*)
cdef object trap_from(Store store, uint32_t trap_code, str said=*)
cdef object trap_text(uint32_t trap_code, str text)
cdef class VMFuncRef:
    cdef c.VMFuncRef *c_func
    cdef object owner
cdef VMFuncRef wrap_func_ref(c.VMFuncRef *func, object owner)
