# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, embedsignature=True
"""Core functions that the host implements: what guest code reaches, and how a Python function is called from there.

A HostFunc knows its function and its type and no store, so that a linker makes it once. Machine code calls `host_call` with the GIL held or let go;
functions of numbers, which most are, get their arguments by vectorcall from a C array (`run_plain`). C function pointers do not come through
here: their host context calls csrc/vm/native.c. Functions that work on their caller's memory, as those of WASI 0.1 do, get that instead of a Caller to
look it up with (`run_with_memory`).
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cimport wasmrt._native.capi as c
from wasmrt._native.core cimport Store, TypeRegistry, error_from, gil_acquire, host_returns, store_of_context
from wasmrt._native.externs cimport Caller, wrap_memory
from wasmrt._native.funcs cimport Func, bind_func, is_number, value_from_raw, value_to_raw
from wasmrt._native.native cimport native_fits_core, native_of
from wasmrt._native.pyapi cimport decref, is_long_exact, new_float, new_long, new_unsigned

import inspect

from wasmrt.errors import ArgumentTypeError, Trap

cdef extern from "Python.h":
    object PyObject_Vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET

cdef extern from "abi_text.h" nogil:
    bint abi_small_int(PyObject *value, int64_t *out)

cdef enum:
    INLINE_VALUES = 16


cdef class HostFunc:
    """What a VMHostContext of a Python function points at: the function and its type, the same in every store. Its stores keep it."""

    cdef int invoke(self, Store store, c.VMContext *caller, c.ValRaw *values) except -1:
        cdef uint32_t i
        cdef Caller caller_object = None
        args = []
        if self.access_caller:
            caller_object = Caller.__new__(Caller)
            caller_object.context = caller
            caller_object.store = store
            args.append(caller_object)
        for i in range(self.num_params):
            args.append(value_from_raw(store, self.params[i], &values[i]))
        try:
            result = self.function(*args)
        finally:
            if caller_object is not None:
                caller_object.context = NULL
        if self.num_results == 0:
            if result is not None:
                raise ArgumentTypeError(f"host function {name_of(self.function)} has no result, but returned {type(result).__name__}")
        elif self.num_results == 1:
            value_to_raw(store, self.results[0], result, &values[0])
        else:
            if not isinstance(result, (list, tuple)) or len(result) != self.num_results:
                raise ArgumentTypeError(f"host function {name_of(self.function)} must return a sequence of {self.num_results} values")
            for i in range(self.num_results):
                value_to_raw(store, self.results[i], result[i], &values[i])
        return 0


def is_coroutine_function(func: object) -> bool:
    """Whether calling it only makes a coroutine; also an object whose class has `async def __call__`."""
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(getattr(type(func), "__call__", None))


def make_host_func(registry: TypeRegistry, ty: object, func: object, access_caller: bool = False) -> HostFunc:
    """A function implemented in Python, of no store yet. Raises ArgumentTypeError for what cannot be called, LimitError for too many values."""
    cdef HostFunc host = HostFunc.__new__(HostFunc)
    cdef uint32_t i
    if not callable(func):
        raise ArgumentTypeError(f"expected a callable, got {type(func).__name__}")
    if is_coroutine_function(func):
        raise ArgumentTypeError("a coroutine function cannot be called by a guest synchronously")
    host.type_id = registry.register_func(ty.param_words, ty.result_words)
    host.function = func
    host.access_caller = access_caller
    c.wr_types_func(registry.c_registry, host.type_id, &host.params, &host.num_params, &host.results, &host.num_results)
    host.call = host_call
    host.data = <void *>host
    host.plain = not access_caller and host.num_params <= INLINE_VALUES and host.num_results <= 1
    for i in range(host.num_params):
        host.plain = host.plain and is_number(host.params[i])
    host.native = native_of(func)
    if host.native is not None:
        if access_caller:
            raise ArgumentTypeError("a native function gets no Caller: access_caller is for functions implemented in Python")
        if host.native.raw == NULL:
            native_fits_core(host.native, host.params, host.num_params, host.results, host.num_results)
        host.call = c.wr_native_call(&host.native.c_native) if host.native.raw == NULL else host.native.raw
        host.data = &host.native.c_native
    find_trampoline(host, registry)
    return host


cdef int find_trampoline(HostFunc host, TypeRegistry registry) except -1:
    cdef c.WrError error
    memset(&error, 0, sizeof(error))
    if host.native is not None and host.native.raw == NULL:
        if not c.wr_types_native_call(registry.c_registry, host.type_id, &host.native.c_native, False, &host.wasm_call, &error):
            raise error_from(&error)
    elif not c.wr_types_host_call(registry.c_registry, host.type_id, &host.wasm_call, &error):
        raise error_from(&error)
    return 0


def make_memory_func(registry: TypeRegistry, ty: object, func: object, on_error: object, fast: str | None = None) -> HostFunc:
    """A function of integers that works on the memory which its caller exports as `memory`: `func(store, memory, *args)`, integers unsigned. It returns
    an int, or None for 0; `on_error(exception)` says what is returned for an exception, or raises it. A caller without that memory traps.
    `fast` names a call of csrc/vm/wasi.c that comes first, and comes here with what is not plain."""
    cdef HostFunc host = HostFunc.__new__(HostFunc)
    host.type_id = registry.register_func(ty.param_words, ty.result_words)
    host.function = func
    host.on_error = on_error
    c.wr_types_func(registry.c_registry, host.type_id, &host.params, &host.num_params, &host.results, &host.num_results)
    assert host.num_params + 2 <= INLINE_VALUES and host.num_results <= 1
    host.call = host_call
    if fast == "fd_read":
        host.call = c.wr_wasi_fd_read
    elif fast == "fd_write":
        host.call = c.wr_wasi_fd_write
    elif fast == "fd_seek":
        host.call = c.wr_wasi_fd_seek
    else:
        assert fast is None, fast
    host.data = <void *>host
    find_trampoline(host, registry)
    return host


c.wr_wasi_set_slow(host_call)


def make_wasi_func(registry: TypeRegistry, ty: object, name: str) -> HostFunc:
    """One of the calls of WASI 0.1 that have no Python (csrc/vm/wasi.c)."""
    cdef HostFunc host = HostFunc.__new__(HostFunc)
    host.type_id = registry.register_func(ty.param_words, ty.result_words)
    if name == "clock_time_get":
        host.call = c.wr_wasi_clock_time_get
    elif name == "random_get":
        host.call = c.wr_wasi_random_get
    else:
        assert name == "sched_yield", name
        host.call = c.wr_wasi_sched_yield
    host.data = NULL
    find_trampoline(host, registry)
    return host


cdef str name_of(object function):
    return getattr(function, "__name__", None) or type(function).__name__


cdef int run_plain(HostFunc self, Store store, c.ValRaw *values) except -1:
    """`invoke` for functions of numbers: arguments go by vectorcall."""
    cdef PyObject *vector[INLINE_VALUES + 1]
    cdef PyObject *item
    cdef uint32_t i, kind, made = 0
    cdef int64_t number
    cdef double real
    cdef object result
    try:
        for i in range(self.num_params):
            kind = c.wr_vt_kind(self.params[i])
            if kind == c.WR_KIND_I32:
                item = new_long(values[i].i32)
            elif kind == c.WR_KIND_I64:
                item = new_long(values[i].i64)
            else:
                if kind == c.WR_KIND_F64:
                    memcpy(&real, &values[i].f64, 8)
                else:
                    real = float_of(&values[i])
                item = new_float(real)
            if item == NULL:
                raise MemoryError
            vector[i + 1] = item
            made += 1
        # the slot before the arguments is the callee's to scribble on
        vector[0] = NULL
        result = PyObject_Vectorcall(<PyObject *>self.function, vector + 1, made | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
    finally:
        for i in range(made):
            decref(vector[i + 1])
    if self.num_results == 0:
        if result is not None:
            raise ArgumentTypeError(f"host function {name_of(self.function)} has no result, but returned {type(result).__name__}")
    elif (
        self.results[0] == c.WR_VALTYPE_I32 and is_long_exact(<PyObject *>result) and abi_small_int(<PyObject *>result, &number)
        and -0x80000000 <= number <= 0xFFFFFFFF
    ):
        values[0].i64 = number
    else:
        value_to_raw(store, self.results[0], result, &values[0])
    return 0


cdef int run_with_memory(HostFunc self, Store store, c.VMContext *caller, c.ValRaw *values) except -1:
    """`invoke` for what `make_memory_func` made."""
    cdef PyObject *vector[INLINE_VALUES + 1]
    cdef PyObject *item
    cdef c.WrExtern found
    cdef c.VMContextHeader *header = <c.VMContextHeader *>caller
    cdef uint32_t i, made = 2
    cdef int64_t number
    cdef object memory, result
    if (
        header.magic != c.WR_VMCTX_MAGIC_CORE or not c.wr_instance_export(<c.WrInstance *>header.instance, "memory", 6, &found)
        or found.kind != c.WASM_EXTERN_MEMORY
    ):
        raise Trap("missing required memory export: WASI finds a guest's memory by the name `memory`")
    memory = wrap_memory(store, found.memory)
    try:
        for i in range(self.num_params):
            if self.params[i] == c.WR_VALTYPE_I32:
                item = new_long(<uint32_t>values[i].i32)
            else:
                item = new_unsigned(<uint64_t>values[i].i64)
            if item == NULL:
                raise MemoryError
            vector[made + 1] = item
            made += 1
        # the slot before the arguments is the callee's to scribble on
        vector[0] = NULL
        vector[1] = <PyObject *>store
        vector[2] = <PyObject *>memory
        try:
            result = PyObject_Vectorcall(<PyObject *>self.function, vector + 1, made | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
        except Exception as error:
            result = self.on_error(error)
    finally:
        for i in range(2, made):
            decref(vector[i + 1])
    if result is None:
        values[0].i64 = 0
    elif is_long_exact(<PyObject *>result) and abi_small_int(<PyObject *>result, &number):
        values[0].i64 = <uint32_t>number
    else:
        raise ArgumentTypeError(f"host function {name_of(self.function)} must return an int, not {type(result).__name__}")
    return 0


cdef inline double float_of(const c.ValRaw *value) noexcept:
    cdef float single
    memcpy(&single, &value.f32, 4)
    return single


# `except -1` is the same as `noexcept` with -1 and an exception set.
ctypedef int (*HostBody)(HostFunc, Store, c.ValRaw *) noexcept
ctypedef c.c_bool (*WithGil)(c.VMHostContext *, c.VMContext *, c.ValRaw *) noexcept nogil


cdef int run_any(HostFunc self, Store store, c.VMContext *caller, c.ValRaw *values) except -1:
    return self.invoke(store, caller, values) if self.on_error is None else run_with_memory(self, store, caller, values)


ctypedef int (*AnyBody)(HostFunc, Store, c.VMContext *, c.ValRaw *) noexcept


cdef int reraise() except -1:
    return -1


cdef void leave_with_exception(Store store) noexcept:
    try:
        reraise()
    except BaseException as exception:
        store.set_pending(exception)


cdef c.c_bool host_call_with_gil(c.VMHostContext *callee, c.VMContext *caller, c.ValRaw *values) noexcept:
    cdef HostFunc host = <HostFunc>callee.data
    cdef Store store = store_of_context(callee.header.store)
    cdef int status
    if host.plain:
        status = (<HostBody><void *>run_plain)(host, store, values)
    else:
        status = (<AnyBody><void *>run_any)(host, store, caller, values)
    if status < 0:
        leave_with_exception(store)
        return False
    return True


cdef c.c_bool host_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil:
    """The VMArrayCall of a function implemented in Python."""
    cdef c.c_bool ok
    gil_acquire((<c.VMContextHeader *>callee).store)
    ok = (<WithGil><void *>host_call_with_gil)(<c.VMHostContext *>callee, caller, values)
    return host_returns((<c.VMContextHeader *>callee).store, ok)


def define_func(Func func, Store store, ty: object, function: object, access_caller: bool) -> None:
    """`Func(store, ty, function, access_caller)`: the function in that store."""
    store.ensure_mine()
    bind_host(func, store, make_host_func(store.registry, ty, function, access_caller))


def func_in_store(Store store, HostFunc host) -> Func:
    """The function of `host` in a store."""
    cdef Func func = Func.__new__(Func)
    store.ensure_mine()
    bind_host(func, store, host)
    return func


cdef int bind_host(Func func, Store store, HostFunc host) except -1:
    cdef c.WrHostFunc made
    cdef c.WrError error
    memset(&made, 0, sizeof(made))
    made.type_id, made.magic, made.wasm_call, made.call, made.data = host.type_id, c.WR_VMCTX_MAGIC_HOST, host.wasm_call, host.call, host.data
    memset(&error, 0, sizeof(error))
    func.c_func = c.wr_host_funcs_new(store.c_store, &made, 1, &error)
    if func.c_func == NULL:
        raise error_from(&error)
    store.keep(host)
    return bind_func(func, store, func.c_func)
