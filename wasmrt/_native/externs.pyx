# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
"""Core WebAssembly's externs for Python besides functions (funcs.pyx): Memory, Table, Global, Tag, instances.

Each object holds a C pointer that its store owns, and keeps the store alive. A leading store argument is accepted everywhere the peer has one, and
checked against the object's own. Types are made by factories that the runtime registers (`set_type_factories`), since public type classes are
Python's.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memmove, memset

cimport wasmrt._native.capi as c
from wasmrt._native.core cimport NO_STORE, Store, Tunables, TypeRegistry, error_from, gil_acquire, trap_from
from wasmrt._native.funcs cimport Func, check_store, func_type_of, is_store, of_store, shown, store_of, value_from_raw, value_to_raw, wrap_func

import operator
from pickle import PicklingError

from wasmrt.errors import ArgumentOverflowError, ArgumentTypeError, ArgumentValueError, ArtifactError, WasmError

cdef extern from "Python.h":
    int PyBuffer_FillInfo(Py_buffer *view, object exporter, void *buf, Py_ssize_t len, int readonly, int flags) except -1


# what a memory whose `__init__` did not run points at
cdef c.VMMemoryDef NO_MEMORY
memset(&NO_MEMORY, 0, sizeof(NO_MEMORY))


# ---- factories of public types, registered by the runtime -------------------------------------------------------------------------------------------

cdef object make_memory_type = None
cdef object make_table_type = None
cdef object make_global_type = None
cdef object make_tag_type = None


def set_type_factories(memory: object, table: object, global_: object, tag: object) -> None:
    """Called once by the runtime with callables that build public types from words and limits."""
    global make_memory_type, make_table_type, make_global_type, make_tag_type
    make_memory_type = memory
    make_table_type = table
    make_global_type = global_
    make_tag_type = tag


# ---- callers ----------------------------------------------------------------------------------------------------------------------------------------

cdef int check_lost(Store store) except -1:
    """ArtifactError if the function that was just asked for is there, but cannot be had any more."""
    cdef const char *text = c.wr_store_lost(store.c_store)
    if text != NULL:
        raise ArtifactError(text.decode())
    return 0


cdef class Caller:
    """The instance that called a host function, for as long as that call lasts.

    >>> def log(caller, at, length):
    ...     print(caller["memory"].read(at, at + length).decode())
    >>> linker.define_func("host", "log", FuncType([ValType.i32(), ValType.i32()], []), log, access_caller=True)
    """

    def __cinit__(self) -> None:
        self.store = NO_STORE

    def __reduce__(self) -> object:
        raise PicklingError("a Caller cannot be pickled: it is a call that is going on")

    def __init__(self) -> None:
        raise WasmError("a Caller is given to host functions made with access_caller=True")

    @property
    def _wasmrt_store(self) -> Store:
        """A Caller is given where a store is wanted."""
        return self.store

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
            check_lost(self.store)
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

    def __cinit__(self) -> None:
        self.store = NO_STORE
        self.definition = &NO_MEMORY

    def __reduce__(self) -> object:
        raise of_store(self)

    def __init__(self, store: object, ty: object) -> None:
        cdef Store c_store = store_of(store)
        cdef c.WrError error
        cdef c.WasmLimits limits
        cdef Tunables tunables
        if self.c_memory != NULL:
            raise WasmError("a memory is made once")
        memset(&error, 0, sizeof(error))
        fill_limits(&limits, ty.limits, ty.is_64, ty.is_shared, ty.page_size_log2)
        c_store.ensure_mine()  # after all that could run Python code
        tunables = c_store.engine.tunables
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
        self.limits()
        PyBuffer_FillInfo(view, self, self.definition.base, <Py_ssize_t>self.definition.length_bytes, 0, flags)

    cdef const c.WasmLimits *limits(self) except NULL:
        if self.c_memory == NULL:
            raise ArgumentValueError("the memory was not made: its __init__ did not run")
        return c.wr_memory_type(self.c_memory)

    def __repr__(self) -> str:
        return shown("Memory", self)

    def type(self, store: object = None) -> object:
        """The MemoryType."""
        cdef const c.WasmLimits *limits = self.limits()
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
        return self.definition.length_bytes >> self.limits().page_size_log2

    def grow(self, *args: object) -> int:
        """`grow([store,] delta_pages)`: adds pages, returns the size before; WasmError when a limit forbids it."""
        cdef int64_t old
        (given,) = self.without_store(args, 1)
        delta = index_of(given)
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
        return 1 << self.limits().page_size_log2

    @property
    def page_size_log2(self) -> int:
        return self.limits().page_size_log2

    def read(self, *args: object, **kwargs: object) -> bytearray:
        """`read([store,] start=0, stop=None)`: a copy of the bytes, with the rules of slices.

        Raises ArtifactError when the bytes lay in a mapped artifact whose file was truncated since; buffers (`numpy.frombuffer`) show zeros then.
        """
        args = args[1:] if args and is_store(args[0]) else args
        return read_slice(self, *args, **kwargs)

    def write(self, *args: object, **kwargs: object) -> int:
        """`write([store,] value, start=None)`: copies a bytes-like value in; returns its length; IndexError when it does not fit."""
        args = args[1:] if args and is_store(args[0]) else args
        return write_slice(self, *args, **kwargs)

    def __len__(self) -> int:
        return self.definition.length_bytes


cdef int check_memory(Memory memory) except -1:
    """ArtifactError if pages that were just touched are gone with their file."""
    if c.wr_memory_is_lost(memory.c_memory):
        raise ArtifactError("the artifact's file was truncated while it was mapped: what the memory held is lost")
    return 0


def read_slice(Memory memory, start: int | None = 0, stop: int | None = None) -> bytearray:
    first, last, _ = slice(start, stop).indices(<Py_ssize_t>memory.definition.length_bytes)
    if last <= first:
        return bytearray()
    found = bytearray((<char *>memory.definition.base + <size_t>first)[:<Py_ssize_t>(last - first)])
    check_memory(memory)
    return found


cdef object index_of(object value):
    """A plain int, whose comparisons and conversions are int's own."""
    return int.__add__(operator.index(value), 0)


def write_slice(Memory memory, value: object, start: int | None = None) -> int:
    cdef const uint8_t[::1] view
    cdef size_t first, length, size
    try:
        view = memoryview(value).cast("B")
    except TypeError as error:
        raise ArgumentTypeError(f"expected a C-contiguous buffer of bytes, got {type(value).__name__} ({error})") from None
    place = 0 if start is None else index_of(start)
    length, size = view.shape[0], memory.definition.length_bytes
    if place < 0:
        place += size
    if place < 0 or place > size or length > size - <size_t>place:
        raise IndexError(f"{length} bytes at {place} are out of bounds of a memory of {size} bytes")
    first = place
    if length:
        memmove(memory.definition.base + first, &view[0], length)
        check_memory(memory)
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

    def __cinit__(self) -> None:
        self.store = NO_STORE

    def __reduce__(self) -> object:
        raise of_store(self)

    def __init__(self, store: object, ty: object, init: object) -> None:
        cdef Store c_store = store_of(store)
        cdef c.WrError error
        cdef c.WasmLimits limits
        cdef c.ValRaw raw
        cdef uint32_t word = ty.element.word
        memset(&error, 0, sizeof(error))
        fill_limits(&limits, ty.limits, False, False, 0)
        value_to_raw(c_store, word, init, &raw)
        c_store.ensure_mine()  # after all that could run Python code
        self.c_table = c.wr_table_new(c_store.c_store, word, &limits, raw.ref, &error)
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
        given, init = args
        amount = index_of(given)
        self.store.ensure_open()
        value_to_raw(self.store, self.element_word(), init, &raw)
        self.store.ensure_mine()  # again: what converts values may have closed it
        old = c.wr_table_grow(self.c_table, amount, raw.ref)
        if old < 0:
            raise WasmError(f"failed to grow table by {amount}")
        return old

    def get(self, *args: object) -> object:
        """`get([store,] index)`: the element; None when it is null or the index is out of bounds."""
        cdef c.ValRaw raw
        args = args[1:] if args and is_store(args[0]) else args
        (given,) = args
        index = index_of(given)
        self.store.ensure_open()
        if not 0 <= index < c.wr_table_def(self.c_table).length:
            return None
        raw.ref = c.wr_table_get(self.c_table, <uint64_t>index)
        if raw.ref == NULL:
            check_lost(self.store)
        return value_from_raw(self.store, self.element_word(), &raw)

    def set(self, *args: object) -> None:
        """`set([store,] index, value)`: WasmError when the index is out of bounds."""
        cdef c.ValRaw raw
        args = args[1:] if args and is_store(args[0]) else args
        given, value = args
        index = index_of(given)
        self.store.ensure_open()
        value_to_raw(self.store, self.element_word(), value, &raw)
        self.store.ensure_mine()  # again: what converts values may have closed it
        if not 0 <= index < c.wr_table_def(self.c_table).length:
            raise WasmError(f"table index {index} is out of bounds of {c.wr_table_def(self.c_table).length} elements")
        c.wr_table_set(self.c_table, <uint64_t>index, raw.ref)


cdef class Global:
    """A global variable: `Global(store, GlobalType, value)`.

    >>> counter = Global(store, GlobalType(ValType.i32(), True), 5)
    >>> counter.set_value(counter.value() + 1)
    >>> counter.value()
    6
    """

    def __cinit__(self) -> None:
        self.store = NO_STORE

    def __reduce__(self) -> object:
        raise of_store(self)

    def __init__(self, store: object, ty: object, val: object) -> None:
        cdef Store c_store = store_of(store)
        cdef c.WrError error
        cdef c.ValRaw raw
        cdef uint32_t word = ty.content.word
        cdef bint mutable = ty.mutable
        memset(&error, 0, sizeof(error))
        value_to_raw(c_store, word, val, &raw)
        c_store.ensure_mine()  # after all that could run Python code
        self.c_global = c.wr_global_new(c_store.c_store, word, mutable, &raw, &error)
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
        self.store.ensure_mine()  # again: what converts values may have closed it
        c.wr_global_def(self.c_global).value = raw


cdef class Tag:
    """What kind of exception a guest throws and catches: `Tag(store, TagType)`, or an export of an instance.

    A catch matches what was thrown with the same tag, and every Tag is one of its own, whatever its type: instances throw to each other by
    importing the same. Tags are equal when they are the same tag. (WebAssembly 3.0, 4.2.9 "Tag Instances")

        tag = Tag(store, TagType(FuncType([ValType.i32()], [])))
        instance = Instance(store, module, [tag])
    """

    def __cinit__(self) -> None:
        self.store = NO_STORE

    def __reduce__(self) -> object:
        raise of_store(self)

    def __init__(self, store: object, ty: object) -> None:
        cdef Store c_store = store_of(store)
        cdef c.WrError error
        memset(&error, 0, sizeof(error))
        signature = ty.functype
        c_store.ensure_open()
        type_id = c_store.registry.register_func(signature.param_words, signature.result_words)
        c_store.ensure_mine()  # after all that could run Python code
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
        return make_tag_type(func_type_of([params[i] for i in range(num_params)], []))

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

    def __cinit__(self) -> None:
        self.store = NO_STORE

    def __init__(self) -> None:
        raise WasmError("instances are made by instantiating a module")

    def export(self, name: str) -> object:
        """The extern of that name, or None."""
        cdef c.WrExtern item
        encoded = name.encode()
        self.store.ensure_open()
        if not c.wr_instance_export(self.c_instance, encoded, len(encoded), &item):
            check_lost(self.store)
            return None
        return wrap_extern(self.store, &item)

    def export_by_index(self, index: int) -> object:
        cdef c.WrExtern item
        cdef uint32_t place = index
        self.store.ensure_open()
        if not c.wr_instance_export_by_index(self.c_instance, place, &item):
            check_lost(self.store)
            raise IndexError(f"export {index}")
        return wrap_extern(self.store, &item)

    @property
    def vmctx(self) -> int:
        self.store.ensure_open()
        return <uintptr_t>c.wr_instance_vmctx(self.c_instance)


cdef str name_of(const c.WasmModule *module, c.WasmSpan span):
    if span.offset > module.num_bytes or span.length > module.num_bytes - span.offset:
        return "?"
    return (<const char *>module.bytes)[span.offset : span.offset + span.length].decode("utf-8", "replace")


cdef class TypeCollection:
    """The engine-wide ids of a module's types: what a TypeCollection holds."""

    def __cinit__(self, TypeRegistry registry not None, CodeMemory code not None, module_index: int) -> None:
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

    cdef str import_name(self, uint32_t index):
        """An import as errors call it."""
        cdef c.WrError error
        memset(&error, 0, sizeof(error))
        cdef const c.WasmModule *module = c.wr_code_module(self.code.c_code, self.module_index, &error)
        if module == NULL or index >= module.num_imports:
            return str(index)
        return f"{name_of(module, module.imports[index].module)}::{name_of(module, module.imports[index].name)}"

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
            try:
                unwrap_extern(store, imports[i], &externs[i])
            except WasmError as error:
                raise type(error)(f"import `{types.import_name(i)}`: {error}") from None
        self.store = store
        self.code = types.code
        self.c_instance = start_instance(store, types.code.c_code, types.module_index, types.ids, externs, count)
    finally:
        free(externs)
    return self
