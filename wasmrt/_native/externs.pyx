# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
"""Core WebAssembly's externs for Python: Func, Memory, Table, Global, Tag, instances; and values crossing to and from ValRaw.

Each object holds a C pointer that its store owns, and keeps the store alive. A leading store argument is accepted everywhere the peer has one, and
checked against the object's own. Types are made by factories that the runtime registers (`set_type_factories`), since public type classes are
Python's. `Func` is called through a vectorcall slot; arguments go straight into an array on the C stack.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cimport wasmrt._native.capi as c
from wasmrt._native.core cimport (
    PyEval_SaveThread,
    PyTypeObject,
    Store,
    Tunables,
    TypeRegistry,
    VMFuncRef,
    enter_store,
    error_from,
    gil_acquire,
    leave_store,
    trap_from,
    wr_enable_vectorcall,
    wrap_func_ref,
)
from wasmrt._native.options cimport GIL_RELEASE, SavedOptions, changed_options, options_begin, options_end
from wasmrt._native.pyapi cimport float_value, is_float_exact, is_long_exact

from wasmrt.errors import ArgumentOverflowError, ArgumentTypeError, ArgumentValueError, WasmError

cdef extern from "Python.h":
    size_t PyVectorcall_NARGS(size_t nargsf) noexcept
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1
    unsigned long long PyLong_AsUnsignedLongLong(object value) except? 0xffffffffffffffff
    object PyLong_FromLongLong(long long value)
    bint PyLong_Check(object value)
    object PyLong_FromLong(long value)
    int PyBuffer_FillInfo(Py_buffer *view, object exporter, void *buf, Py_ssize_t len, int readonly, int flags) except -1

cdef extern from "abi_text.h" nogil:
    bint abi_small_int(PyObject *value, int64_t *out)

cdef enum:
    INLINE_VALUES = 16  # arguments and results that fit on the C stack


# ---- factories of public types, registered by the runtime -------------------------------------------------------------------------------------------

cdef object make_func_type = None
cdef object make_memory_type = None
cdef object make_table_type = None
cdef object make_global_type = None
cdef object make_tag_type = None
cdef object val_class = None


def set_type_factories(func: object, memory: object, table: object, global_: object, tag: object, val: type) -> None:
    """Called once by the runtime with callables that build public types from words and limits, and the class of boxed values."""
    global make_func_type, make_memory_type, make_table_type, make_global_type, make_tag_type, val_class
    val_class = val
    make_func_type = func
    make_memory_type = memory
    make_table_type = table
    make_global_type = global_
    make_tag_type = tag


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
            return value.to_bytes(16, "little", signed=value < 0)
        except OverflowError:
            raise ArgumentOverflowError(f"{value} is out of range for v128") from None
    try:
        lanes = memoryview(value).tobytes()
    except TypeError:
        raise ArgumentTypeError(f"expected v128 as 16 bytes or an int, got {type(value).__name__}") from None
    if len(lanes) != 16:
        raise ArgumentValueError(f"expected 16 bytes for v128, got {len(lanes)}")
    return lanes


cdef bint is_func_word(uint32_t word) noexcept:
    """Of the types whose values are not externrefs: those that Python has objects for. Exceptions are the guest's alone."""
    return c.wr_vt_concrete(word) or c.wr_vt_heap(word) == c.WR_HEAP_FUNC or c.wr_vt_heap(word) == c.WR_HEAP_NOFUNC


cdef int value_to_raw(Store store, uint32_t word, object value, c.ValRaw *out) except -1:
    """Converts one argument; the whole slot is written."""
    cdef uint32_t kind = c.wr_vt_kind(word)
    cdef float single
    cdef double number
    cdef c.c_bool is_new = False
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
    elif c.wr_vt_heap(word) == c.WR_HEAP_EXTERN and not c.wr_vt_concrete(word):
        if value is None:
            out.ref = NULL
        else:
            store.ensure_mine()
            out.ref = <void *><uintptr_t>c.wr_externref_new(store.c_store, <void *><PyObject *>value, &is_new)
            if out.ref == NULL:
                raise MemoryError("externref table")
            if is_new:
                store.externrefs[<uintptr_t>out.ref] = value
    elif value is None:
        out.ref = NULL
    elif isinstance(value, Func) and is_func_word(word):
        func = <Func>value
        if func.store is not store:
            raise WasmError("a function of another store was given")
        out.ref = func.c_func
    else:
        what = "a Func or None" if is_func_word(word) else "None"
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
    if c.wr_vt_heap(word) == c.WR_HEAP_EXTERN and not c.wr_vt_concrete(word):
        return store.externrefs[<uintptr_t>raw.ref]
    if not is_func_word(word):
        raise WasmError(f"values of type {word_name(word)} cannot leave the guest")
    return wrap_func(store, <c.VMFuncRef *>raw.ref)


cdef str shown(str name, object item):
    """What repr shows; an item of a closed store has no type any more, and nothing that prints it should fail."""
    try:
        return f"<wasmrt.{name} {item.type()}>"
    except ArgumentValueError:
        return f"<wasmrt.{name} of a closed store>"


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
        self.vectorcall = func_vectorcall

    def __init__(self, store: object, ty: object, func: object, access_caller: bool = False) -> None:
        from wasmrt._native.hosts import define_func

        define_func(self, store_of(store), ty, func, access_caller)

    cdef object invoke(self, PyObject *const *args, size_t count, PyObject *kwnames):
        cdef c.ValRaw[INLINE_VALUES] inline
        cdef c.ValRaw *values = inline
        cdef uint32_t capacity = max(self.num_params, self.num_results)
        cdef uint32_t i
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
            for i in range(self.num_params):
                value_to_raw(self.store, self.params[i], <object>args[i], &values[i])
            if self.options is None:
                self.store.call(self.c_func, values, capacity)
            else:
                call_with_options(self, values, capacity)
            if self.num_results == 0:
                return None
            if self.num_results == 1:
                return value_from_raw(self.store, self.results[0], &values[0])
            return [value_from_raw(self.store, self.results[i], &values[i]) for i in range(self.num_results)]
        finally:
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
        bind_func(other, self.store, self.c_func)
        other.options = changed_options(self.options, gil, results, copy, timeout)
        return other

    @property
    def func_ref(self) -> VMFuncRef:
        """The VMFuncRef that calls use."""
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
    """The vectorcall slot of Func."""
    cdef Func self = <Func>callable
    cdef size_t count = PyVectorcall_NARGS(nargsf)
    if self.plain and kwnames == NULL:
        if count == <size_t>self.num_params + 1 and args[0] == <PyObject *>self.store:
            args += 1
            count -= 1
        if count == self.num_params:
            return call_plain(self, args, count)
    return self.invoke(args, count, kwnames)


cdef object call_plain(Func self, PyObject *const *args, size_t count):
    """Numbers of the plainest kind, by value; everything else goes the long way."""
    cdef c.ValRaw[INLINE_VALUES] values
    cdef c.WrEntry entry
    cdef Store store = self.store
    cdef size_t i
    cdef uint32_t kind
    cdef int64_t number
    cdef PyObject *value
    cdef bint ok
    for i in range(count):
        value = args[i]
        kind = c.wr_vt_kind(self.params[i])
        if is_long_exact(value) and abi_small_int(value, &number) and (
            kind == c.WR_KIND_I64 or (kind == c.WR_KIND_I32 and -0x80000000 <= number <= 0xFFFFFFFF)
        ):
            values[i].i64 = number
        elif kind == c.WR_KIND_F64 and is_float_exact(value):
            values[i].f64 = 0
            store_double(&values[i], float_value(value))
        else:
            return self.invoke(args, count, NULL)
    if self.options is not None:
        call_with_options(self, values, INLINE_VALUES)
    else:
        enter_store(store, &entry)
        ok = self.c_func.array_call(self.c_func.vmctx, self.c_func.vmctx, values, INLINE_VALUES)
        leave_store(store, &entry)
        if not ok:
            store.raise_pending()
    if self.num_results == 0:
        return None
    kind = c.wr_vt_kind(self.results[0])
    if kind == c.WR_KIND_I32:
        return PyLong_FromLong(values[0].i32)
    if kind == c.WR_KIND_I64:
        return PyLong_FromLong(values[0].i64)
    return value_from_raw(store, self.results[0], &values[0])


cdef inline void store_double(c.ValRaw *out, double number) noexcept:
    memcpy(&out.f64, &number, 8)


cdef int bind_func(Func func, Store store, c.VMFuncRef *c_func) except -1:
    cdef uint32_t i
    func.c_func = c_func
    func.store = store
    func.options = store.call_options
    if not c.wr_types_func(
        store.registry.c_registry, c_func.type_index, &func.params, &func.num_params, &func.results, &func.num_results
    ):
        raise WasmError("the function's type is not registered in this engine")
    func.plain = func.num_params <= INLINE_VALUES and func.num_results <= 1
    for i in range(func.num_params):
        func.plain = func.plain and is_number(func.params[i])
    for i in range(func.num_results):
        func.plain = func.plain and is_number(func.results[i])
    return 0


cdef bint is_number(uint32_t word) noexcept:
    cdef uint32_t kind = c.wr_vt_kind(word)
    return kind == c.WR_KIND_I32 or kind == c.WR_KIND_I64 or kind == c.WR_KIND_F32 or kind == c.WR_KIND_F64


cdef Func wrap_func(Store store, c.VMFuncRef *c_func):
    cdef Func func = Func.__new__(Func)
    bind_func(func, store, c_func)
    return func


cdef int enable_vectorcall() except -1:
    cdef Func probe = Func.__new__(Func)
    wr_enable_vectorcall(<PyTypeObject *>Func, <char *>&probe.vectorcall - <char *><PyObject *>probe)
    return 0


enable_vectorcall()


cdef bint is_store(object value):
    return isinstance(value, Store) or isinstance(value, Caller) or hasattr(type(value), "_wasmrt_store")


cdef Store store_of(object value):
    """The Store behind anything the peer calls Storelike."""
    if isinstance(value, Store):
        return <Store>value
    if isinstance(value, Caller):
        return (<Caller>value).store
    inner = getattr(value, "_wasmrt_store", None)
    if isinstance(inner, Store):
        return <Store>inner
    raise ArgumentTypeError(f"expected a Store, got {type(value).__name__}")


cdef int check_store(Store own, object given) except -1:
    """A store that was passed along must be the object's own."""
    if given is not None and store_of(given) is not own:
        raise WasmError("the object belongs to another store")
    return 0


cdef class Caller:
    """The instance that called a host function, for as long as that call lasts.

    >>> def log(caller, at, length):
    ...     print(caller["memory"].read(at, at + length).decode())
    >>> linker.define_func("host", "log", FuncType([ValType.i32(), ValType.i32()], []), log, access_caller=True)
    """

    def __init__(self) -> None:
        raise WasmError("a Caller is given to host functions made with access_caller=True")

    def get(self, name: str) -> object:
        """The caller's export of that name, or None."""
        cdef c.WrExtern item
        cdef c.VMContextHeader *header = <c.VMContextHeader *>self.context
        if self.context == NULL:
            raise ArgumentValueError("the call of this Caller is over")
        if header.magic != c.WR_VMCTX_MAGIC_CORE:
            return None
        encoded = name.encode()
        if not c.wr_instance_export(<c.WrInstance *>header.instance, encoded, len(encoded), &item):
            return None
        return wrap_extern(self.store, &item)

    def __getitem__(self, name: str) -> object:
        item = self.get(name)
        if item is None:
            raise KeyError(f"no export named {name!r}")
        return item

    def data(self) -> object:
        """The data of the store."""
        return self.store.user_data


# ---- memories ---------------------------------------------------------------------------------------------------------------------------------------

cdef class Memory:
    """A linear memory. `Memory(store, MemoryType)` makes one; instances export theirs.

    It is a writable buffer: `numpy.frombuffer(memory, dtype)` sees linear memory without a copy. A buffer keeps the length that the memory had when
    it was taken, stays valid when the memory grows (a memory never moves), and keeps the pages alive even after the store is closed.

    >>> memory = Memory(store, MemoryType(Limits(1, 16)))
    >>> memory.write(b"hello", 8)
    5
    >>> memory.read(8, 13)
    bytearray(b'hello')
    >>> memory.grow(1), memory.size()  # in pages: the old size
    (1, 2)
    """

    def __init__(self, store: object, ty: object) -> None:
        cdef Store c_store = store_of(store)
        cdef c.WrError error
        cdef c.WasmLimits limits
        cdef Tunables tunables = c_store.engine.tunables
        c_store.ensure_mine()
        memset(&error, 0, sizeof(error))
        fill_limits(&limits, ty.limits, ty.is_64, ty.is_shared, ty.page_size_log2)
        self.c_memory = c.wr_memory_new(c_store.c_store, &limits, &tunables.c_tunables, &error)
        if self.c_memory == NULL:
            raise error_from(&error)
        c.wr_memory_retain(self.c_memory)
        self.definition = c.wr_memory_def(self.c_memory)
        self.store = c_store

    def __dealloc__(self) -> None:
        if self.c_memory != NULL:
            c.wr_memory_release(self.c_memory)

    def __getbuffer__(self, Py_buffer *view, int flags) -> None:
        PyBuffer_FillInfo(view, self, self.definition.base, <Py_ssize_t>self.definition.length_bytes, 0, flags)

    def __repr__(self) -> str:
        return shown("Memory", self)

    def type(self, store: object = None) -> object:
        """The MemoryType."""
        cdef const c.WasmLimits *limits = c.wr_memory_type(self.c_memory)
        return make_memory_type(
            limits.min,
            limits.max if limits.flags & c.WASM_LIMITS_HAS_MAX else None,
            bool(limits.flags & c.WASM_LIMITS_64),
            bool(limits.flags & c.WASM_LIMITS_SHARED),
            limits.page_size_log2,
        )

    def size(self, store: object = None) -> int:
        """Current size in pages."""
        check_store(self.store, store)
        return self.definition.length_bytes >> c.wr_memory_type(self.c_memory).page_size_log2

    def grow(self, *args: object) -> int:
        """`grow([store,] delta_pages)`: adds pages, returns the size before; WasmError when a limit forbids it."""
        cdef int64_t old
        (delta,) = self.without_store(args, 1)
        if delta < 0:
            raise ArgumentOverflowError("a memory cannot shrink")
        self.store.ensure_mine()
        old = c.wr_memory_grow(self.c_memory, delta)
        if old < 0:
            raise WasmError(f"failed to grow memory by {delta} pages")
        return old

    def without_store(self, args: tuple, expected: int) -> tuple:
        if args and is_store(args[0]):
            check_store(self.store, args[0])
            args = args[1:]
        if len(args) != expected:
            raise ArgumentTypeError(f"expected {expected} arguments, got {len(args)}")
        return args

    def data_len(self, store: object = None) -> int:
        """Current size in bytes."""
        check_store(self.store, store)
        return self.definition.length_bytes

    def data_ptr(self, store: object = None) -> object:
        """A ctypes pointer to the first byte."""
        import ctypes

        check_store(self.store, store)
        return ctypes.cast(<uintptr_t>self.definition.base, ctypes.POINTER(ctypes.c_ubyte))

    def get_buffer_ptr(self, store: object = None, size: int | None = None, offset: int = 0) -> object:
        """A ctypes array over `size` bytes (all by default) from `offset`."""
        import ctypes

        check_store(self.store, store)
        if size is None:
            size = self.definition.length_bytes - offset
        if offset < 0 or size < 0 or offset + size > self.definition.length_bytes:
            raise IndexError("out of bounds of the memory")
        return (ctypes.c_ubyte * size).from_buffer(self, offset)

    @property
    def page_size(self) -> int:
        return 1 << c.wr_memory_type(self.c_memory).page_size_log2

    @property
    def page_size_log2(self) -> int:
        return c.wr_memory_type(self.c_memory).page_size_log2

    def read(self, *args: object, **kwargs: object) -> bytearray:
        """`read([store,] start=0, stop=None)`: a copy of the bytes, with the rules of slices."""
        args = args[1:] if args and is_store(args[0]) else args
        return read_slice(self, *args, **kwargs)

    def write(self, *args: object, **kwargs: object) -> int:
        """`write([store,] value, start=None)`: copies a bytes-like value in; returns its length; IndexError when it does not fit."""
        args = args[1:] if args and is_store(args[0]) else args
        return write_slice(self, *args, **kwargs)

    def __len__(self) -> int:
        return self.definition.length_bytes


def read_slice(Memory memory, start: int | None = 0, stop: int | None = None) -> bytearray:
    first, last, _ = slice(start, stop).indices(<Py_ssize_t>memory.definition.length_bytes)
    if last <= first:
        return bytearray()
    return bytearray((<char *>memory.definition.base + <size_t>first)[:<Py_ssize_t>(last - first)])


def write_slice(Memory memory, value: object, start: int | None = None) -> int:
    cdef const uint8_t[::1] view = memoryview(value).cast("B")
    cdef size_t first, length = view.shape[0], size = memory.definition.length_bytes
    if start is None:
        start = 0
    if start < 0:
        start += size
    if start < 0 or start > size or length > size - <size_t>start:
        raise IndexError("out of bounds of the memory")
    first = start
    if length:
        memcpy(memory.definition.base + first, &view[0], length)
    return length


cdef Memory wrap_memory(Store store, c.WrMemory *c_memory):
    cdef Memory memory = Memory.__new__(Memory)
    c.wr_memory_retain(c_memory)
    memory.c_memory = c_memory
    memory.definition = c.wr_memory_def(c_memory)
    memory.store = store
    return memory


cdef int fill_limits(c.WasmLimits *out, object limits, bint is_64, bint shared, int page_size_log2) except -1:
    memset(out, 0, sizeof(c.WasmLimits))
    out.min = limits.min
    if limits.max is not None:
        out.max = limits.max
        out.flags |= c.WASM_LIMITS_HAS_MAX
    if is_64:
        out.flags |= c.WASM_LIMITS_64
    if shared:
        out.flags |= c.WASM_LIMITS_SHARED
    out.page_size_log2 = page_size_log2
    return 0


# ---- tables, globals, tags --------------------------------------------------------------------------------------------------------------------------

cdef class Table:
    """A table of references: `Table(store, TableType, init)`. Elements are Func, any object (externref), or None.

    >>> table = Table(store, TableType(ValType.externref(), Limits(2)), None)
    >>> table.set(1, "anything")
    >>> table.get(1), table.size()
    ('anything', 2)
    """

    def __init__(self, store: object, ty: object, init: object) -> None:
        cdef Store c_store = store_of(store)
        cdef c.WrError error
        cdef c.WasmLimits limits
        cdef c.ValRaw raw
        c_store.ensure_mine()
        memset(&error, 0, sizeof(error))
        fill_limits(&limits, ty.limits, False, False, 0)
        value_to_raw(c_store, ty.element.word, init, &raw)
        self.c_table = c.wr_table_new(c_store.c_store, ty.element.word, &limits, raw.ref, &error)
        if self.c_table == NULL:
            raise error_from(&error)
        self.store = c_store

    def __repr__(self) -> str:
        return shown("Table", self)

    def type(self, store: object = None) -> object:
        """The TableType."""
        cdef uint32_t element
        cdef c.WasmLimits limits
        self.store.ensure_open()
        c.wr_table_type(self.c_table, &element, &limits)
        return make_table_type(element, limits.min, limits.max if limits.flags & c.WASM_LIMITS_HAS_MAX else None)

    def size(self, store: object = None) -> int:
        """Current number of elements."""
        self.store.ensure_open()
        return c.wr_table_def(self.c_table).length

    cdef uint32_t element_word(self):
        cdef uint32_t element
        cdef c.WasmLimits limits
        c.wr_table_type(self.c_table, &element, &limits)
        return element

    def grow(self, *args: object) -> int:
        """`grow([store,] amount, init)`: returns the size before; WasmError when a limit forbids it."""
        cdef c.ValRaw raw
        cdef int64_t old
        args = args[1:] if args and is_store(args[0]) else args
        amount, init = args
        self.store.ensure_mine()
        value_to_raw(self.store, self.element_word(), init, &raw)
        old = c.wr_table_grow(self.c_table, amount, raw.ref)
        if old < 0:
            raise WasmError(f"failed to grow table by {amount}")
        return old

    def get(self, *args: object) -> object:
        """`get([store,] index)`: the element; None when it is null or the index is out of bounds."""
        cdef c.ValRaw raw
        args = args[1:] if args and is_store(args[0]) else args
        (index,) = args
        self.store.ensure_open()
        if not 0 <= index < c.wr_table_def(self.c_table).length:
            return None
        raw.ref = c.wr_table_def(self.c_table).elements[<uint64_t>index]
        return value_from_raw(self.store, self.element_word(), &raw)

    def set(self, *args: object) -> None:
        """`set([store,] index, value)`: WasmError when the index is out of bounds."""
        cdef c.ValRaw raw
        args = args[1:] if args and is_store(args[0]) else args
        index, value = args
        self.store.ensure_mine()
        if not 0 <= index < c.wr_table_def(self.c_table).length:
            raise WasmError("table index is out of bounds")
        value_to_raw(self.store, self.element_word(), value, &raw)
        c.wr_table_def(self.c_table).elements[<uint64_t>index] = raw.ref


cdef class Global:
    """A global variable: `Global(store, GlobalType, value)`.

    >>> counter = Global(store, GlobalType(ValType.i32(), True), 5)
    >>> counter.set_value(counter.value() + 1)
    >>> counter.value()
    6
    """

    def __init__(self, store: object, ty: object, val: object) -> None:
        cdef Store c_store = store_of(store)
        cdef c.WrError error
        cdef c.ValRaw raw
        c_store.ensure_mine()
        memset(&error, 0, sizeof(error))
        value_to_raw(c_store, ty.content.word, val, &raw)
        self.c_global = c.wr_global_new(c_store.c_store, ty.content.word, ty.mutable, &raw, &error)
        if self.c_global == NULL:
            raise error_from(&error)
        self.store = c_store

    cdef uint32_t word(self, c.c_bool *out_mutable):
        cdef uint32_t word
        c.wr_global_type(self.c_global, &word, out_mutable)
        return word

    def __repr__(self) -> str:
        return shown("Global", self)

    def type(self, store: object = None) -> object:
        """The GlobalType."""
        cdef c.c_bool mutable = False
        self.store.ensure_open()
        word = self.word(&mutable)
        return make_global_type(word, bool(mutable))

    def value(self, store: object = None) -> object:
        """The current value."""
        cdef c.c_bool mutable = False
        self.store.ensure_open()
        return value_from_raw(self.store, self.word(&mutable), &c.wr_global_def(self.c_global).value)

    def set_value(self, *args: object) -> None:
        """`set_value([store,] value)`: WasmError when the global is immutable."""
        cdef c.c_bool mutable = False
        cdef c.ValRaw raw
        args = args[1:] if len(args) == 2 else args
        (value,) = args
        self.store.ensure_open()
        word = self.word(&mutable)
        if not mutable:
            raise WasmError("the global is immutable")
        value_to_raw(self.store, word, value, &raw)
        c.wr_global_def(self.c_global).value = raw


cdef class Tag:
    """What kind of exception a guest throws and catches: `Tag(store, TagType)`, or an export of an instance.

    A catch matches what was thrown with the same tag, and every Tag is one of its own, whatever its type: instances throw to each other by
    importing the same. Tags are equal when they are the same tag. (WebAssembly 3.0, 4.2.9 "Tag Instances")

        tag = Tag(store, TagType(FuncType([ValType.i32()], [])))
        instance = Instance(store, module, [tag])
    """

    def __init__(self, store: object, ty: object) -> None:
        cdef Store c_store = store_of(store)
        cdef c.WrError error
        c_store.ensure_mine()
        memset(&error, 0, sizeof(error))
        signature = ty.functype
        type_id = c_store.registry.register_func(signature.param_words, signature.result_words)
        self.c_tag = c.wr_tag_new(c_store.c_store, type_id, &error)
        if self.c_tag == NULL:
            raise error_from(&error)
        self.store = c_store

    def __repr__(self) -> str:
        return shown("Tag", self)

    def type(self, store: object = None) -> object:
        """The TagType: its function type's parameters are the values that an exception carries; it has no results."""
        cdef const uint32_t *params = NULL
        cdef const uint32_t *results = NULL
        cdef uint32_t num_params = 0, num_results = 0
        self.store.ensure_open()
        c.wr_types_func(self.store.registry.c_registry, c.wr_tag_type(self.c_tag), &params, &num_params, &results, &num_results)
        return make_tag_type(make_func_type([params[i] for i in range(num_params)], []))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tag) and (<Tag>other).c_tag == self.c_tag

    def __hash__(self) -> int:
        return hash(<uintptr_t>self.c_tag)


cdef object wrap_extern(Store store, c.WrExtern *item):
    cdef Table table
    cdef Global global_
    cdef Tag tag
    if item.kind == c.WASM_EXTERN_FUNC:
        return wrap_func(store, item.func)
    if item.kind == c.WASM_EXTERN_MEMORY:
        return wrap_memory(store, item.memory)
    if item.kind == c.WASM_EXTERN_TABLE:
        table = Table.__new__(Table)
        table.c_table = item.table
        table.store = store
        return table
    if item.kind == c.WASM_EXTERN_GLOBAL:
        global_ = Global.__new__(Global)
        global_.c_global = item.global_
        global_.store = store
        return global_
    tag = Tag.__new__(Tag)
    tag.c_tag = item.tag
    tag.store = store
    return tag


cdef int unwrap_extern(Store store, object item, c.WrExtern *out) except -1:
    """The C extern of a Python object of the same store."""
    memset(out, 0, sizeof(c.WrExtern))
    if isinstance(item, Func):
        out.kind = c.WASM_EXTERN_FUNC
        out.func = (<Func>item).c_func
    elif isinstance(item, Memory):
        out.kind = c.WASM_EXTERN_MEMORY
        out.memory = (<Memory>item).c_memory
    elif isinstance(item, Table):
        out.kind = c.WASM_EXTERN_TABLE
        out.table = (<Table>item).c_table
    elif isinstance(item, Global):
        out.kind = c.WASM_EXTERN_GLOBAL
        out.global_ = (<Global>item).c_global
    elif isinstance(item, Tag):
        out.kind = c.WASM_EXTERN_TAG
        out.tag = (<Tag>item).c_tag
    else:
        raise ArgumentTypeError(f"expected a Func, Memory, Table, Global or Tag, got {type(item).__name__}")
    if item.store is not store:
        raise WasmError(f"a {type(item).__name__} of another store was given")
    return 0


# ---- instances --------------------------------------------------------------------------------------------------------------------------------------

cdef class InstanceHandle:
    """A core instance: exports by name. The runtime's Instance and component instances are made on it."""

    def __init__(self) -> None:
        raise WasmError("instances are made by instantiating a module")

    def export(self, name: str) -> object:
        """The extern of that name, or None."""
        cdef c.WrExtern item
        encoded = name.encode()
        self.store.ensure_open()
        if not c.wr_instance_export(self.c_instance, encoded, len(encoded), &item):
            return None
        return wrap_extern(self.store, &item)

    def export_by_index(self, index: int) -> object:
        cdef c.WrExtern item
        self.store.ensure_open()
        if not c.wr_instance_export_by_index(self.c_instance, index, &item):
            raise IndexError(f"export {index}")
        return wrap_extern(self.store, &item)

    @property
    def vmctx(self) -> int:
        return <uintptr_t>c.wr_instance_vmctx(self.c_instance)


cdef class TypeCollection:
    """The engine-wide ids of a module's types: what a TypeCollection holds."""

    def __init__(self, registry: TypeRegistry, code: CodeMemory, module_index: int) -> None:
        cdef c.WrError error
        memset(&error, 0, sizeof(error))
        self.registry = registry
        self.code = code
        self.module_index = module_index
        module = c.wr_code_module(code.c_code, self.module_index, &error)
        if module == NULL or not c.wr_types_register_module(registry.c_registry, module, &self.ids, &error):
            raise error_from(&error)

    def has_static_data(self) -> bool:
        """Whether what the module's memories start with is known in advance, and dense."""
        cdef c.c_bool static = False
        cdef c.WrError error
        memset(&error, 0, sizeof(error))
        if not c.wr_code_static_data(self.code.c_code, self.module_index, self.ids, &static, &error):
            raise error_from(&error)
        return static

    def prepare_images(self, for_pool: bool) -> None:
        """Makes the images of the module's memories now, of small data too for a pool. Where the system refuses, instances copy instead."""
        cdef c.WrError error
        memset(&error, 0, sizeof(error))
        if not c.wr_code_prepare_images(self.code.c_code, self.module_index, self.ids, for_pool, &error):
            raise error_from(&error)

    def export_index(self, name: str) -> int:
        """Where the module's export of that name lies in the index space of its kind. Raises KeyError."""
        cdef c.WrError error
        memset(&error, 0, sizeof(error))
        cdef const c.WasmModule *module = c.wr_code_module(self.code.c_code, self.module_index, &error)
        if module == NULL:
            raise error_from(&error)
        cdef c.WasmSpan span
        cdef uint32_t i
        encoded = name.encode()
        for i in range(module.num_exports):
            span = module.exports[i].name
            if span.length == len(encoded) and span.offset <= module.num_bytes and span.length <= module.num_bytes - span.offset:
                if (<const char *>module.bytes)[span.offset : span.offset + span.length] == encoded:
                    return module.exports[i].index
        raise KeyError(name)


cdef c.WrInstance *start_instance(
    Store store, c.CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, const c.WrExtern *externs, size_t count
) except NULL:
    """Links and makes an instance and runs its start function."""
    cdef c.WrInstance *made = NULL
    cdef c.WrError error
    cdef c.ValRaw unused
    cdef c.VMFuncRef *start
    cdef bint ok
    memset(&error, 0, sizeof(error))
    ok = c.wr_instance_new(store.c_store, code, module_index, type_ids, externs, count, &made, &error)
    # large data segments are copied without the GIL, and no call's end takes it back
    gil_acquire(store.context)
    if not ok:
        if error.kind == c.WR_ERROR_TRAP:
            raise trap_from(store, store.context.trap_code)
        raise error_from(&error)
    start = c.wr_instance_start(made)
    if start != NULL:
        store.call(start, &unused, 1)
    return made


def instantiate_module(Store store, TypeCollection types, imports: list) -> InstanceHandle:
    """Links and makes an instance and runs its start function. `imports` are externs in the order of the module's imports.

    Raises LinkError naming the import that does not fit, LimitError, Trap, or what a host function raised.
    """
    cdef size_t i, count = len(imports)
    cdef c.WrExtern *externs
    cdef InstanceHandle self = InstanceHandle.__new__(InstanceHandle)
    store.ensure_mine()
    externs = <c.WrExtern *>malloc((count + 1) * sizeof(c.WrExtern))
    if externs == NULL:
        raise MemoryError
    try:
        for i in range(count):
            unwrap_extern(store, imports[i], &externs[i])
        self.store = store
        self.code = types.code
        self.c_instance = start_instance(store, types.code.c_code, types.module_index, types.ids, externs, count)
    finally:
        free(externs)
    return self
