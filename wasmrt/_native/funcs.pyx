# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
"""Core functions for Python, and values crossing to and from ValRaw.

A Func holds a C pointer that its store owns, and keeps the store alive. A leading store argument is accepted everywhere the peer has one, and checked
against the object's own. `Func` is called through a vectorcall slot; arguments go straight into an array on the C stack. Types are made by factories
that the runtime registers (`set_func_factories`), since public type classes are Python's.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cimport wasmrt._native.capi as c
from wasmrt._native.core cimport (
    NO_STORE,
    PyEval_SaveThread,
    Store,
    VMFuncRef,
    enter_store,
    gil_acquire,
    leave_store,
    wrap_func_ref,
)
from wasmrt._native.options cimport GIL_RELEASE, SavedOptions, changed_options, only_releases, options_begin, options_end
from wasmrt._native.pyapi cimport PyTypeObject
from wasmrt._native.quick cimport (
    QUICK_F64,
    QUICK_I32,
    QUICK_I64,
    QUICK_NONE,
    QUICK_OTHER,
    QUICK_PARAMS,
    quick_enable,
    quick_vectorcall,
    quick_vectorcall_released,
    vectorcallfunc,
)
from wasmrt._native.refs cimport ref_from_raw, ref_to_raw

from pickle import PicklingError

from wasmrt.errors import ArgumentOverflowError, ArgumentTypeError, ArgumentValueError, WasmError

cdef extern from "Python.h":
    size_t PyVectorcall_NARGS(size_t nargsf) noexcept
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1
    unsigned long long PyLong_AsUnsignedLongLong(object value) except? 0xffffffffffffffff
    bint PyLong_Check(object value)

cdef enum:
    INLINE_VALUES = 16  # arguments and results that fit on the C stack


# ---- factories of public types, registered by the runtime -------------------------------------------------------------------------------------------

cdef object make_func_type = None
cdef object val_class = None


def set_func_factories(func: object, val: type) -> None:
    """Called once by the runtime with a callable that builds a public function type from words, and the class of boxed values."""
    global make_func_type, val_class
    make_func_type = func
    val_class = val


cdef object func_type_of(object params, object results):
    return make_func_type(params, results)


# ---- values -----------------------------------------------------------------------------------------------------------------------------------------

cdef str word_name(uint32_t word):
    from wasmrt.spec.valtypes import valtype_str

    return valtype_str(word)


cdef int type_mismatch(uint32_t word, object value) except -1:
    raise ArgumentTypeError(f"expected {word_name(word)}, got {type(value).__name__}")


cdef int64_t int_bits(object value, uint32_t word, int bits) except? -1:
    """An int in -2**(bits-1) .. 2**bits-1, as its two's complement bits."""
    cdef int overflow = 0
    cdef long long number
    if not PyLong_Check(value):
        type_mismatch(word, value)
    number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if bits == 64:
        if overflow == 0:
            return number
        if overflow > 0 and value < 1 << 64:
            return <int64_t>PyLong_AsUnsignedLongLong(value)
    elif overflow == 0 and -0x80000000 <= number <= 0xFFFFFFFF:
        return number
    raise ArgumentOverflowError(f"{value} is out of range for {word_name(word)}")


cdef bytes v128_bytes(object value):
    """The 16 bytes of a vector: given as an int (little-endian, either sign) or as anything that holds 16 bytes in a row."""
    if isinstance(value, int):
        try:
            return int.to_bytes(value, 16, "little", signed=value < 0)
        except OverflowError:
            raise ArgumentOverflowError(f"{value} is out of range for v128") from None
    try:
        lanes = memoryview(value).tobytes()
    except TypeError:
        raise ArgumentTypeError(f"expected v128 as 16 bytes or an int, got {type(value).__name__}") from None
    if len(lanes) != 16:
        raise ArgumentValueError(f"expected 16 bytes for v128, got {len(lanes)}")
    return lanes


cdef bint is_func_word(Store store, uint32_t word) noexcept:
    cdef const uint32_t *types
    cdef uint32_t count
    if c.wr_vt_concrete(word):
        return c.wr_types_func(store.registry.c_registry, c.wr_vt_heap(word), &types, &count, &types, &count)
    return c.wr_vt_heap(word) == c.WR_HEAP_FUNC or c.wr_vt_heap(word) == c.WR_HEAP_NOFUNC


cdef bint is_exception_word(uint32_t word) noexcept:
    return not c.wr_vt_concrete(word) and (c.wr_vt_heap(word) == c.WR_HEAP_EXN or c.wr_vt_heap(word) == c.WR_HEAP_NOEXN)


cdef int value_to_raw(Store store, uint32_t word, object value, c.ValRaw *out) except -1:
    """Converts one argument; the whole slot is written."""
    cdef uint32_t kind = c.wr_vt_kind(word)
    cdef float single
    cdef double number
    cdef Func func
    cdef bytes lanes
    if type(value) is val_class:
        if value.type.word != word:
            raise ArgumentTypeError(f"expected {word_name(word)}, got a Val of {value.type}")
        value = value.value
    out.f64 = 0
    if kind == c.WR_KIND_I32:
        out.i32 = <int32_t>int_bits(value, word, 32)
    elif kind == c.WR_KIND_I64:
        out.i64 = int_bits(value, word, 64)
    elif kind == c.WR_KIND_F64 or kind == c.WR_KIND_F32:
        if PyFloat_CheckExact(value):
            number = PyFloat_AS_DOUBLE(value)
        elif isinstance(value, (float, int)):
            number = value
        else:
            type_mismatch(word, value)
        if kind == c.WR_KIND_F64:
            memcpy(&out.f64, &number, 8)
        else:
            single = <float>number
            memcpy(&out.f32, &single, 4)
    elif kind == c.WR_KIND_V128:
        lanes = v128_bytes(value)
        memcpy(out.v128, <const uint8_t *>lanes, 16)
    elif value is None:
        if not c.wr_vt_nullable(word):
            raise ArgumentTypeError(f"expected {word_name(word)}, got None")
        out.ref = NULL
    elif is_exception_word(word):
        raise ArgumentTypeError(f"expected {word_name(word)} (None), got {type(value).__name__}")
    elif not is_func_word(store, word):
        ref_to_raw(store, word, value, out)
    elif isinstance(value, Func):
        func = <Func>value
        if func.store is not store:
            raise WasmError("a function of another store was given")
        store.ensure_open()
        if not c.wr_func_matches(store.c_store, word, func.c_func):
            raise ArgumentTypeError(f"expected {word_name(word)}, got a function of another type: {func.type()}")
        out.ref = func.c_func
    else:
        what = "a Func or None" if c.wr_vt_nullable(word) else "a Func"
        raise ArgumentTypeError(f"expected {word_name(word)} ({what}), got {type(value).__name__}")
    return 0


cdef object value_from_raw(Store store, uint32_t word, const c.ValRaw *raw):
    """The Python value of a result; i32 and i64 are signed."""
    cdef uint32_t kind = c.wr_vt_kind(word)
    cdef float single
    cdef double number
    if kind == c.WR_KIND_I32:
        return raw.i32
    if kind == c.WR_KIND_I64:
        return raw.i64
    if kind == c.WR_KIND_F64:
        memcpy(&number, &raw.f64, 8)
        return number
    if kind == c.WR_KIND_F32:
        memcpy(&single, &raw.f32, 4)
        return <double>single
    if kind == c.WR_KIND_V128:
        return PyBytes_FromStringAndSize(<const char *>raw.v128, 16)
    if raw.ref == NULL:
        return None
    if is_exception_word(word):
        raise WasmError(f"values of type {word_name(word)} cannot leave the guest")
    if not is_func_word(store, word):
        return ref_from_raw(store, raw.ref)
    return wrap_func(store, <c.VMFuncRef *>raw.ref)


cdef str shown(str name, object item):
    """What repr shows; an item of a closed store has no type any more, and nothing that prints it should fail."""
    try:
        return f"<wasmrt.{name} {item.type()}>"
    except ArgumentValueError:
        return f"<wasmrt.{name} of a closed store>"


cdef object of_store(object item):
    """What pickling something of a store raises."""
    return PicklingError(f"a {type(item).__name__} cannot be pickled: it belongs to a store; pickle the Module and make an instance of it where it arrives")


# ---- functions --------------------------------------------------------------------------------------------------------------------------------------

cdef class Func:
    """A core function of an instance, or one implemented in Python.

    `Func(store, FuncType, function, access_caller=False)` makes a host function: it gets the arguments (after a Caller when `access_caller`), and
    returns None, one value, or a sequence of values. Calling: `func(*args)` or `func(store, *args)`; no result gives None, one the value, several a
    list. i32 and i64 take signed and unsigned spellings; results are signed. Raises ArgumentTypeError, ArgumentOverflowError, Trap, or the exception
    that a host function raised.

    >>> add = Func(store, FuncType([ValType.i32(), ValType.i32()], [ValType.i32()]), lambda a, b: a + b)
    >>> add(2, 3)
    5
    """

    def __cinit__(self) -> None:
        self.quick.vectorcall = <vectorcallfunc><void *>func_vectorcall
        self.store = NO_STORE

    def __reduce__(self) -> object:
        raise of_store(self)

    def __init__(self, store: object, ty: object, func: object, access_caller: bool = False) -> None:
        from wasmrt._native.hosts import define_func

        define_func(self, store_of(store), ty, func, access_caller)

    cdef object invoke(self, PyObject *const *args, size_t count, PyObject *kwnames):
        cdef c.ValRaw[INLINE_VALUES] inline
        cdef c.ValRaw *values = inline
        cdef uint32_t capacity = max(self.num_params, self.num_results)
        cdef uint32_t i
        cdef bint held = False
        if kwnames != NULL and len(<tuple>kwnames):
            raise ArgumentTypeError("core functions take no keyword arguments")
        if count == <size_t>self.num_params + 1 and is_store(<object>args[0]):
            check_store(self.store, <object>args[0])
            args += 1
            count -= 1
        if count != self.num_params:
            if count and is_store(<object>args[0]):
                count -= 1  # the caller does not count it either
            raise ArgumentTypeError(f"expected {self.num_params} arguments, got {count}")
        if capacity > INLINE_VALUES:
            values = <c.ValRaw *>malloc(capacity * sizeof(c.ValRaw))
            if values == NULL:
                raise MemoryError
        try:
            try:
                for i in range(self.num_params):
                    value_to_raw(self.store, self.params[i], <object>args[i], &values[i])
            except (ArgumentTypeError, ArgumentValueError, ArgumentOverflowError) as error:
                raise type(error)(f"argument {i}: {error}") from None
            if self.options is None:
                self.store.call(self.c_func, values, capacity)
            else:
                call_with_options(self, values, capacity)
            if self.num_results == 0:
                return None
            if self.num_results == 1:
                return value_from_raw(self.store, self.results[0], &values[0])
            if self.store.c_store != NULL:  # converting may run Python code that calls the guest, even in another thread, where no collection looks here
                c.wr_store_gc_hold(self.store.c_store, True)
                held = True
            return [value_from_raw(self.store, self.results[i], &values[i]) for i in range(self.num_results)]
        finally:
            if held and self.store.c_store != NULL:  # it may have been closed too
                c.wr_store_gc_hold(self.store.c_store, False)
            if values != inline:
                free(values)

    def type(self, store: object = None) -> object:
        """The FuncType."""
        return make_func_type(
            tuple([self.params[i] for i in range(self.num_params)]), tuple([self.results[i] for i in range(self.num_results)])
        )

    def with_options(self, *, gil: object = ..., results: object = ..., copy: object = ..., timeout: object = ...) -> Func:
        """The same function, called with other options; what is not given stays as it is. See `wasmrt.component.Func.with_options`: `results` and
        `copy` are about lists, which core functions do not have.

        >>> slow.with_options(gil="release", timeout=0.5)(data)
        """
        cdef Func other = Func.__new__(Func)
        self.store.ensure_open()
        bind_func(other, self.store, self.c_func)
        other.options = changed_options(self.options, gil, results, copy, timeout)
        find_quick(other)
        return other

    @property
    def func_ref(self) -> VMFuncRef:
        """The VMFuncRef that calls use."""
        self.store.ensure_open()
        return wrap_func_ref(self.c_func, self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Func) and (<Func>other).c_func == self.c_func

    def __hash__(self) -> int:
        return hash(<uintptr_t>self.c_func)

    def __repr__(self) -> str:
        return shown("Func", self)


cdef int call_with_options(Func self, c.ValRaw *values, size_t capacity) except -1:
    cdef c.WrEntry entry
    cdef SavedOptions saved
    cdef Store store = self.store
    cdef bint ok
    enter_store(store, &entry)
    options_begin(self.options, store, &saved)
    if self.options.gil == GIL_RELEASE:
        store.host.saved = PyEval_SaveThread()
    ok = self.c_func.array_call(self.c_func.vmctx, self.c_func.vmctx, values, capacity)
    gil_acquire(store.context)
    try:
        if not ok:
            store.raise_pending()
    finally:
        options_end(store, &saved)
        leave_store(store, &entry)
    return 0


cdef object func_vectorcall(object callable, PyObject *const *args, size_t nargsf, PyObject *kwnames):
    """What `quick_vectorcall` leaves."""
    return (<Func>callable).invoke(args, PyVectorcall_NARGS(nargsf), kwnames)


cdef object quick_lift(Func self, const c.ValRaw *value):
    return value_from_raw(self.store, self.results[0], value)


cdef int quick_settle(Func self, c.WrEntry *entry, bint failed) except -1:
    gil_acquire(self.store.context)
    leave_store(self.store, entry)
    if failed:
        self.store.raise_pending()
    return 0


cdef void find_quick(Func self) noexcept:
    """Fills in `quick`: functions of numbers, without options, are called by quick.h."""
    cdef uint32_t i
    self.quick.slow = <vectorcallfunc><void *>func_vectorcall
    self.quick.vectorcall = self.quick.slow
    if self.num_params > QUICK_PARAMS or self.num_results > 1:
        return
    if self.options is not None and not only_releases(self.options):
        return
    for i in range(self.num_params):
        self.quick.params[i] = quick_kind(self.params[i])
        if self.quick.params[i] == QUICK_OTHER:
            return
    self.quick.result = quick_kind(self.results[0]) if self.num_results else QUICK_NONE
    self.quick.store_object = <PyObject *>self.store
    self.quick.host = &self.store.host
    self.quick.store = self.store.c_store
    self.quick.func = self.c_func
    self.quick.gate = &self.quick.own_gate
    self.quick.num_params = self.num_params
    self.quick.lift = <PyObject *(*)(PyObject *, const c.ValRaw *) noexcept><void *>quick_lift
    self.quick.settle = <int (*)(PyObject *, c.WrEntry *, int) noexcept><void *>quick_settle
    self.quick.vectorcall = quick_vectorcall if self.options is None else quick_vectorcall_released


cdef uint8_t quick_kind(uint32_t word) noexcept:
    cdef uint32_t kind = c.wr_vt_kind(word)
    if kind == c.WR_KIND_I32:
        return QUICK_I32
    if kind == c.WR_KIND_I64:
        return QUICK_I64
    return QUICK_F64 if kind == c.WR_KIND_F64 else QUICK_OTHER


cdef int bind_func(Func func, Store store, c.VMFuncRef *c_func) except -1:
    func.c_func = c_func
    func.store = store
    func.options = store.call_options
    if not c.wr_types_func(
        store.registry.c_registry, c_func.type_index, &func.params, &func.num_params, &func.results, &func.num_results
    ):
        raise WasmError("the function's type is not registered in this engine")
    find_quick(func)
    return 0


cdef bint is_number(uint32_t word) noexcept:
    cdef uint32_t kind = c.wr_vt_kind(word)
    return kind == c.WR_KIND_I32 or kind == c.WR_KIND_I64 or kind == c.WR_KIND_F32 or kind == c.WR_KIND_F64


cdef Func wrap_func(Store store, c.VMFuncRef *c_func):
    cdef Func func = Func.__new__(Func)
    store.ensure_open()  # `c_func` is the store's, and Python code may have run since it was got
    bind_func(func, store, c_func)
    return func


cdef int enable_vectorcall() except -1:
    cdef Func probe = Func.__new__(Func)
    quick_enable(<PyTypeObject *>Func, <char *>&probe.quick - <char *><PyObject *>probe)
    return 0


enable_vectorcall()


cdef bint is_store(object value):
    return isinstance(value, Store) or hasattr(type(value), "_wasmrt_store")


cdef Store store_of(object value):
    """The Store behind anything the peer calls Storelike."""
    if isinstance(value, Store):
        return <Store>value
    inner = getattr(value, "_wasmrt_store", None)
    if isinstance(inner, Store):
        return <Store>inner
    raise ArgumentTypeError(f"expected a Store, got {type(value).__name__}")


cdef int check_store(Store own, object given) except -1:
    """A store that was passed along must be the object's own."""
    if given is not None and store_of(given) is not own:
        raise WasmError("the object belongs to another store")
    return 0
