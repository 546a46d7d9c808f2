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
    PyThreadState *PyEval_SaveThread() nogil

cdef extern from "quick.h" nogil:
    enum:
        ATTENTION_CLOSED
        ATTENTION_DROPS
        ATTENTION_EPOCH
        ATTENTION_NOTED
    # What the C side reaches from VMStoreContext.host without the GIL; quick.h says what each is for.
    ctypedef struct StoreHost:
        PyThreadState *saved
        uint32_t attention
        bint hold_gil
        bint release_gil
        PyObject *store
        uint64_t ticks
        int64_t deadline_ns
        uint64_t epoch_deadline
        const uint64_t *epoch
        int64_t timeout_ns


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
    cdef public object tasks          # the event loop of guests' asynchronous tasks (wasmrt/concurrent); None until there is one
    cdef public object wasi_state     # what WASI 0.1 made of it: descriptors of guests; None until one asks
    cdef object pending               # the exception of a host function that left through guest code
    cdef object noted                 # what the wasm frames were added to as a note, until the outermost call ends
    cdef list kept                    # host functions, code memories, ...: what C points at; None: nothing
    cdef dict externrefs              # word -> object; None: none
    cdef list drop_queue              # owned handles whose Python object was collected: (callable, args); None: there were none yet
    cdef object __weakref__

    cdef int enter_outermost(self) except -1
    cdef int raise_enter(self, int result) except -1
    cdef int call(self, c.VMFuncRef *func, c.ValRaw *values, size_t capacity) except -1
    cdef int raise_pending(self) except -1
    cdef void set_pending(self, object exception) noexcept
    cdef int keep(self, object item) except -1
    cdef int queue_drop(self, tuple entry) except -1
    cdef Py_ssize_t count_unrun(self) except -1
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
    result = c.wr_store_enter_held(store.c_store, entry)
    if result != c.WR_ENTER_OK:
        store.raise_enter(result)
    if entry.depth == 1:
        entry.host[0] = NULL
        store.host.ticks = 0
        if store.host.attention:
            store.enter_outermost()
    else:
        # not NULL when native code that guests called without the GIL took it by itself and calls a guest again
        entry.host[0] = <void *>store.host.saved
        store.host.saved = NULL
    return 0


cdef inline void leave_store(Store store, c.WrEntry *entry) noexcept:
    if store.host.saved != NULL:
        gil_restore(&store.host)
    store.host.saved = <PyThreadState *>entry.host[0]
    if store.host.attention & ATTENTION_NOTED and entry.depth == 1:
        store.host.attention &= ~<uint32_t>ATTENTION_NOTED
        store.noted = None
    c.wr_store_leave(store.c_store, entry)


cdef int64_t monotonic_ns() noexcept nogil


cdef inline c.c_bool host_returns(c.VMStoreContext *context, c.c_bool ok) noexcept nogil:
    """Last thing in a host function: guest code that is to run without the GIL gets rid of it again, and does not go on after its deadline."""
    cdef StoreHost *host = <StoreHost *>context.host
    if host.release_gil and host.saved == NULL:
        host.saved = PyEval_SaveThread()
    if host.deadline_ns and ok and monotonic_ns() >= host.deadline_ns:
        c.wr_store_trap(<c.WrStore *>context, c.TRAP_INTERRUPT)
        return False
    return ok


cdef object error_from(c.WrError *error, str path=*)
cdef object trap_from(Store store, uint32_t trap_code, str said=*)
cdef object trap_text(uint32_t trap_code, str text)
cdef class VMFuncRef:
    cdef c.VMFuncRef *c_func
    cdef object owner
cdef VMFuncRef wrap_func_ref(c.VMFuncRef *func, object owner)
