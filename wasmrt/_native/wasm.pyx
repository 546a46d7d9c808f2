# cython: language_level=3
"""Read-only views of decoded core modules, for Python that links and prints them.

The C side decodes and checks (csrc/wasm); nothing here parses. A CoreModule keeps the buffer that it was decoded from, and the buffer's owner cannot be
resized while it lives. Lists are built when first asked for and then kept.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport UINT32_MAX, uint32_t, uint64_t, uint8_t, uintptr_t
from libc.string cimport memset

cimport wasmrt._native.capi as c
from wasmrt._native.core cimport error_from

from wasmrt.spec._gen.features import WASM_FEATURE
from wasmrt.spec.core_types import CoreFuncType, GlobalType, MemoryType, TableType, TagType

FEATURES_DEFAULT = sum(1 << row.bit for row in WASM_FEATURE if row.default_on)
FEATURES_ALL = sum(1 << row.bit for row in WASM_FEATURE)


cdef class CoreModule:
    """A decoded core module: `CoreModule(data, features)`.

    `data` is bytes-like and stays exported while the view lives. Raises DecodeError, ValidationError or LimitError with the offset in `data`; function
    bodies are only checked by `validate()` or by compiling.

    >>> module = CoreModule(bytes.fromhex("0061736d01000000"))
    >>> module.imports, module.exports
    ((), ())
    """

    cdef c.WasmModule *c_module
    cdef Py_buffer buffer
    cdef bint has_buffer
    cdef object _imports, _exports, _types

    def __cinit__(self, object data, object features=None):
        cdef c.WrError error
        cdef uint64_t c_features = FEATURES_DEFAULT if features is None else features
        cdef bint ok
        memset(&error, 0, sizeof(error))
        PyObject_GetBuffer(data, &self.buffer, PyBUF_SIMPLE)
        self.has_buffer = True
        with nogil:
            ok = c.wr_module_decode(<const uint8_t *>self.buffer.buf, <size_t>self.buffer.len, c_features, &self.c_module, &error)
        if not ok:
            raise error_from(&error)

    def __dealloc__(self):
        if self.c_module != NULL:
            c.wr_module_free(self.c_module)
        if self.has_buffer:
            PyBuffer_Release(&self.buffer)

    def validate(self) -> None:
        """Checks all function bodies; raises ValidationError, DecodeError or LimitError with offset and function index."""
        cdef c.WrError error
        cdef bint ok
        memset(&error, 0, sizeof(error))
        with nogil:
            ok = c.wr_validate_module(self.c_module, &error)
        if not ok:
            raise error_from(&error)

    @property
    def address(self) -> int:
        """Of the C `WasmModule`, for what compiles it; valid while this object lives."""
        return <uintptr_t>self.c_module

    @property
    def name(self) -> str | None:
        """The module's name from the name section."""
        cdef const char *text
        cdef size_t length
        if not c.wr_module_name(self.c_module, &text, &length):
            return None
        return text[:length].decode("utf-8", "replace")

    @property
    def imports(self) -> tuple:
        """(module, name, type), in order."""
        cdef c.WasmImport *item
        cdef uint32_t i
        if self._imports is None:
            result = []
            for i in range(self.c_module.num_imports):
                item = &self.c_module.imports[i]
                result.append((self.text(item.module), self.text(item.name), self.extern_type(item.kind, item.index)))
            self._imports = tuple(result)
        return self._imports

    @property
    def exports(self) -> tuple:
        """(name, type, index in the index space of its kind), in order."""
        cdef c.WasmExport *item
        cdef uint32_t i
        if self._exports is None:
            result = []
            for i in range(self.c_module.num_exports):
                item = &self.c_module.exports[i]
                result.append((self.text(item.name), self.extern_type(item.kind, item.index), item.index))
            self._exports = tuple(result)
        return self._exports

    @property
    def types(self) -> tuple:
        """By type index: a CoreFuncType, or None for struct and array types. Type indices in value types are canonical: equal types have one."""
        cdef uint32_t i
        if self._types is None:
            self._types = tuple(
                [self.func_type(i) if self.c_module.types[i].kind == c.WASM_TYPE_FUNC else None for i in range(self.c_module.num_types)]
            )
        return self._types

    @property
    def tables(self) -> tuple:
        """TableTypes, imported ones first."""
        return tuple([self.extern_type(c.WASM_EXTERN_TABLE, i) for i in range(self.c_module.num_tables)])

    @property
    def memories(self) -> tuple:
        """MemoryTypes, imported ones first."""
        return tuple([self.extern_type(c.WASM_EXTERN_MEMORY, i) for i in range(self.c_module.num_memories)])

    @property
    def globals(self) -> tuple:
        """GlobalTypes, imported ones first."""
        return tuple([self.extern_type(c.WASM_EXTERN_GLOBAL, i) for i in range(self.c_module.num_globals)])

    @property
    def tags(self) -> tuple:
        """TagTypes, imported ones first."""
        return tuple([self.extern_type(c.WASM_EXTERN_TAG, i) for i in range(self.c_module.num_tags)])

    @property
    def num_funcs(self) -> int:
        """Functions, imported and defined."""
        return self.c_module.num_funcs

    @property
    def num_imported_funcs(self) -> int:
        return self.c_module.num_imported_funcs

    @property
    def start_func(self) -> int | None:
        return None if self.c_module.start_func == UINT32_MAX else self.c_module.start_func

    @property
    def code_section(self) -> tuple[int, int]:
        """(offset, size in bytes) of the code section's contents in the module."""
        return self.c_module.code_section.offset, self.c_module.code_section.length

    @property
    def custom_sections(self) -> tuple:
        """(name, contents), in order."""
        cdef c.WasmCustom *item
        cdef uint32_t i
        result = []
        for i in range(self.c_module.num_customs):
            item = &self.c_module.customs[i]
            result.append((self.text(item.name), (<const char *>self.c_module.bytes)[item.bytes.offset : item.bytes.offset + item.bytes.length]))
        return tuple(result)

    def func_signature(self, uint32_t index) -> CoreFuncType:
        """The type of a function. Raises IndexError."""
        if index >= self.c_module.num_funcs:
            raise IndexError(f"function {index} of {self.c_module.num_funcs}")
        return self.func_type(self.c_module.funcs[index].type_index)

    def func_body(self, uint32_t index) -> tuple[int, int]:
        """(offset, size in bytes) of a defined function's body. Raises IndexError."""
        if not self.c_module.num_imported_funcs <= index < self.c_module.num_funcs:
            raise IndexError(f"function {index} is not a defined function")
        return self.c_module.funcs[index].body.offset, self.c_module.funcs[index].body.length

    def func_name(self, uint32_t index) -> str | None:
        """A function's name from the name section."""
        cdef const char *text
        cdef size_t length
        if not c.wr_module_func_name(self.c_module, index, &text, &length):
            return None
        return text[:length].decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"<CoreModule {self.name or ''} {self.c_module.num_imports} imports, {self.c_module.num_exports} exports, {self.c_module.num_funcs} functions>"

    cdef object text(self, c.WasmSpan span):
        return (<const char *>self.c_module.bytes)[span.offset : span.offset + span.length].decode("utf-8")

    cdef object words(self, uint32_t first, uint32_t count):
        cdef uint32_t i
        return tuple([self.c_module.valtypes[first + i] for i in range(count)])

    cdef object func_type(self, uint32_t type_index):
        cdef c.WasmFuncType *func = &self.c_module.types[type_index].func
        return CoreFuncType(self.words(func.params, func.num_params), self.words(func.results, func.num_results))

    cdef object extern_type(self, uint32_t kind, uint32_t index):
        cdef c.WasmLimits *limits
        if kind == c.WASM_EXTERN_FUNC:
            return self.func_type(self.c_module.funcs[index].type_index)
        if kind == c.WASM_EXTERN_GLOBAL:
            return GlobalType(self.c_module.globals[index].type, bool(self.c_module.globals[index].is_mutable))
        if kind == c.WASM_EXTERN_TAG:
            return TagType(self.func_type(self.c_module.tags[index].type_index))
        if kind == c.WASM_EXTERN_TABLE:
            limits = &self.c_module.tables[index].limits
        else:
            limits = &self.c_module.memories[index].limits
        maximum = limits.max if limits.flags & c.WASM_LIMITS_HAS_MAX else None
        is_64 = bool(limits.flags & c.WASM_LIMITS_64)
        shared = bool(limits.flags & c.WASM_LIMITS_SHARED)
        if kind == c.WASM_EXTERN_TABLE:
            return TableType(self.c_module.tables[index].element, limits.min, maximum, is_64, shared)
        return MemoryType(limits.min, maximum, is_64, shared, limits.page_size_log2)
