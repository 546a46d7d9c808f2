# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
"""Owns artifact images: compiling into one, loading one from bytes, memory or a mapped file, and looking into it.

A CodeMemory is immutable and shared by the modules, components and instances made of it; it keeps whatever its pages lie in alive.
"""

from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cimport wasmrt._native.capi as c
from wasmrt._native.core cimport Tunables, error_from
from wasmrt._native.pyapi cimport PyTypeObject, refuse_new

import errno
import mmap
import os
import sys

from wasmrt import errors
from wasmrt.errors import WasmError

cdef extern from "Python.h":
    int PyBuffer_FillInfo(Py_buffer *view, object exporter, void *buf, Py_ssize_t length, bint readonly, int flags) except -1
    int PyObject_GetBuffer(object obj, Py_buffer *view, int flags) except -1
    void PyBuffer_Release(Py_buffer *view) noexcept


cdef object placed(object error, tuple place):
    """An error in a module that lies in a component: its path, and the offset in the whole."""
    error.path = place[0]
    if error.offset is not None:
        error.offset += place[1]
    return error


cdef bint UTF8_PATHS = sys.getfilesystemencoding() == "utf-8" and sys.getfilesystemencodeerrors() == "surrogateescape"


cdef int check_pages(object data, uintptr_t start, size_t size) except -1:
    """ValueError unless the exporter of these bytes gives whole pages that it cannot write to."""
    cdef size_t page = mmap.PAGESIZE
    exporter = memoryview(data).obj
    if not memoryview(data).readonly or not memoryview(exporter if exporter is not None else data).readonly:
        raise errors.ArgumentValueError(f"memory that is used in place must be read-only, and {type(exporter).__name__} is writable")
    if start % page:
        raise errors.ArgumentValueError(f"memory that is used in place must start at a page of {page} bytes: mmap.mmap and wasmrt.ArtifactMemory do")
    if size == 0 or size % page:
        raise errors.ArgumentValueError(f"memory that is used in place must be whole pages of {page} bytes, got {size} bytes")
    return 0


cdef class ArtifactMemory:
    """Whole pages of memory for an artifact that comes from elsewhere than a file: written once, then sealed, then used in place without a copy.

    `ArtifactMemory(data)` holds a copy of bytes, sealed; `ArtifactMemory(size)` is empty: `write` or `readinto` fill it front to back, `seal` ends it. Once
    sealed, it is a read-only buffer; `num_bytes` is its size, rounded up to pages. Raises LimitError when there is no memory, ValueError for bytes past
    the end and writes after the seal.

    >>> memory = ArtifactMemory(len(blob))
    >>> memory.write(blob)
    >>> component = Component.deserialize_raw(engine, memory.seal())
    """

    def __init__(self, source: object) -> None:
        cdef c.WrError error
        cdef Py_ssize_t size
        memset(&error, 0, sizeof(error))
        if self.pages != NULL:
            raise errors.WasmError("an ArtifactMemory is made once")
        if isinstance(source, int):
            size = source
        else:
            try:
                size = memoryview(source).nbytes
            except TypeError:
                raise errors.ArgumentTypeError(f"expected a number of bytes or bytes, got {type(source).__name__}") from None
        if size <= 0 or size > sys.maxsize - mmap.PAGESIZE:
            raise errors.ArgumentValueError(f"an ArtifactMemory has at least one byte and at most {sys.maxsize - mmap.PAGESIZE}, got {size}")
        self.num_bytes = (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE
        self.pages = c.wr_image_pages(<size_t>self.num_bytes, &error)
        if self.pages == NULL:
            raise error_from(&error)
        if not isinstance(source, int):
            self.write(source)
            self.seal()

    def __dealloc__(self) -> None:
        if self.pages != NULL:
            c.wr_image_free(self.pages, <size_t>self.num_bytes)

    cdef int check_open(self) except -1:
        if self.sealed:
            raise errors.ArgumentValueError("the memory is sealed: it is written once")
        return 0

    def write(self, data: object) -> int:
        """Appends bytes; returns how many."""
        cdef const uint8_t[::1] view
        self.check_open()
        flat = memoryview(data).cast("B")
        cdef Py_ssize_t size = flat.nbytes
        if size > self.num_bytes - self.num_written:
            raise errors.ArgumentValueError(f"{size} bytes do not fit the {self.num_bytes - self.num_written} that are left")
        if size:
            view = flat
            memcpy(self.pages + self.num_written, &view[0], <size_t>size)
            self.num_written += size
        return size

    def readinto(self, file: object) -> int:
        """Appends what a binary file (`readinto` or `read`) has left, up to the end of the memory; returns how many bytes."""
        cdef Py_ssize_t before = self.num_written
        self.check_open()
        while self.num_written < self.num_bytes:
            part = file.read(min(1 << 20, self.num_bytes - self.num_written))
            if not part:
                break
            self.write(part)
        return self.num_written - before

    def seal(self) -> ArtifactMemory:
        """Makes it read-only for good; returns itself. Idempotent."""
        cdef c.WrError error
        memset(&error, 0, sizeof(error))
        if not self.sealed:
            if not c.wr_image_seal_pages(self.pages, <size_t>self.num_bytes, &error):
                raise error_from(&error)
            self.sealed = True
        return self

    def __getbuffer__(self, Py_buffer *buffer, int flags) -> None:
        if not self.sealed:
            raise BufferError("an ArtifactMemory can be read once it is sealed")
        PyBuffer_FillInfo(buffer, self, self.pages, self.num_bytes, True, flags)

    def __len__(self) -> int:
        return self.num_bytes


cdef void release_buffer(void *owner) noexcept nogil:
    with gil:
        Py_DECREF(<object>owner)


cdef class CodeMemory:
    """A sealed image: executable pages shared by components, modules and instances. Immutable."""

    def __init__(self) -> None:
        raise WasmError("CodeMemory is made by compiling or deserializing")

    def __dealloc__(self) -> None:
        if self.c_code != NULL:
            c.wr_code_release(self.c_code)

    @staticmethod
    cdef CodeMemory wrap(c.CodeMemory *code):
        cdef CodeMemory self = CodeMemory.__new__(CodeMemory)
        self.c_code = code
        return self

    @staticmethod
    def load(data: object, copy: bool = True) -> CodeMemory:
        """An image from bytes. copy=False uses whole pages of read-only memory in place and keeps their exporter alive."""
        cdef c.WrError error
        cdef c.CodeMemory *code = NULL
        cdef const uint8_t[::1] view
        cdef bint ok
        try:
            if data is None:
                raise TypeError("not a buffer")  # None would pass as an unset view
            view = data
        except (TypeError, ValueError, BufferError) as error_of_buffer:
            raise errors.ArgumentTypeError(f"an artifact is contiguous bytes, got {type(data).__name__} ({error_of_buffer})") from None
        memset(&error, 0, sizeof(error))
        cdef size_t size = view.shape[0]
        cdef const uint8_t *start = &view[0] if size else NULL
        if copy:
            with nogil:
                ok = c.wr_image_load(start, size, True, NULL, NULL, &code, &error)
        else:
            check_pages(data, <uintptr_t>start, size)
            keep = memoryview(data)
            Py_INCREF(keep)
            ok = c.wr_image_load(start, size, False, release_buffer, <void *>keep, &code, &error)
            if not ok:
                Py_DECREF(keep)
        if not ok:
            raise error_from(&error)
        return CodeMemory.wrap(code)

    @staticmethod
    def map_file(file: object, kind: int, Tunables tunables, wasm_features: int) -> CodeMemory:
        """The image in a file, mapped: a path, or the number of a file that is open. Raises ArtifactError when an engine with these settings cannot use it, OSError."""
        cdef c.WrError error
        cdef c.WrImageWanted wanted
        cdef c.CodeMemory *code = NULL
        cdef int code_of_system = 0, handle = -1
        cdef bint ok
        cdef bytes name
        cdef const char *c_name = NULL
        memset(&error, 0, sizeof(error))
        wanted.kind = kind
        wanted.tunables = &tunables.c_tunables
        wanted.wasm_features = wasm_features
        if isinstance(file, int):
            handle = file
        else:
            name = file.encode("utf-8", "surrogateescape") if type(file) is str and UTF8_PATHS else os.fsencode(file)
            if b"\0" in name:
                raise errors.ArgumentValueError("embedded null byte in a path")
            c_name = name
        with nogil:
            if c_name == NULL:
                ok = c.wr_image_map_open(handle, &wanted, &code, &code_of_system, &error)
            else:
                ok = c.wr_image_map(c_name, &wanted, &code, &code_of_system, &error)
        if not ok:
            if code_of_system:
                text = "not a regular file" if code_of_system == errno.EINVAL else os.strerror(code_of_system)
                raise OSError(code_of_system, text, None if c_name == NULL else os.fspath(file))
            raised = error_from(&error)
            if c_name != NULL:
                raised.add_note(f"in the file {os.fsdecode(name)}")
            raise raised
        return CodeMemory.wrap(code)

    def check_fits(self, kind: int, Tunables tunables, wasm_features: int) -> None:
        """ArtifactError unless it is of that kind and an engine with these settings can run it."""
        cdef c.WrError error
        cdef c.WrImageWanted wanted
        memset(&error, 0, sizeof(error))
        wanted.kind = kind
        wanted.tunables = &tunables.c_tunables
        wanted.wasm_features = wasm_features
        if not c.wr_image_fits(self.c_code, &wanted, &error):
            raise error_from(&error)

    def check_config(self, tunables: Tunables, wasm_features: int) -> None:
        """ArtifactError unless an engine with these settings can run it."""
        cdef c.WrError error
        memset(&error, 0, sizeof(error))
        if not c.wr_code_check_config(self.c_code, &tunables.c_tunables, wasm_features, &error):
            raise error_from(&error)

    def verify(self) -> None:
        """Reads all of the image, which loading does not; ArtifactError names what is damaged."""
        cdef c.WrError error
        memset(&error, 0, sizeof(error))
        if not c.wr_code_verify(self.c_code, &error):
            raise error_from(&error)

    def check_records(self) -> None:
        """Reads the component records and the metas of all modules now, not at their first use; ArtifactError says which are damaged."""
        cdef c.WrError error
        memset(&error, 0, sizeof(error))
        if not c.wr_code_check_records(self.c_code, &error):
            raise error_from(&error)

    @staticmethod
    def detect(data: object) -> int:
        """0, or the ObjectKind of an image that starts with these bytes."""
        cdef const uint8_t[::1] view = data
        return c.wr_image_detect(&view[0], view.shape[0]) if view.shape[0] else 0

    def __getbuffer__(self, Py_buffer *buffer, int flags) -> None:
        """The image in place, read-only: for readers that are not ours."""
        cdef size_t size = 0
        cdef const uint8_t *start = c.wr_code_bytes(self.c_code, &size)
        PyBuffer_FillInfo(buffer, self, <void *>start, <Py_ssize_t>size, True, flags)

    def image(self) -> bytes:
        """The whole ELF image."""
        cdef size_t size = 0
        cdef const uint8_t *start = c.wr_code_bytes(self.c_code, &size)
        whole = start[:size]
        if c.wr_code_is_broken(self.c_code):
            raise errors.ArtifactError(c.wr_code_broken_text(self.c_code).decode())
        return whole

    def image_range(self) -> tuple[int, int]:
        cdef size_t size = 0
        cdef const uint8_t *start = c.wr_code_bytes(self.c_code, &size)
        return <uintptr_t>start, <uintptr_t>start + size

    def text_range(self) -> tuple[int, int]:
        cdef uintptr_t start = 0, end = 0
        c.wr_code_text_range(self.c_code, &start, &end)
        return start, end

    def section(self, index: int) -> bytes:
        cdef size_t size = 0
        cdef const uint8_t *start = c.wr_code_section(self.c_code, index, &size)
        return start[:size] if start != NULL else b""

    def info(self) -> bytes:
        """Section INFO: the records that Python links by. Raises ArtifactError when they are damaged."""
        cdef c.WrError error
        cdef size_t size = 0
        memset(&error, 0, sizeof(error))
        cdef const uint8_t *start = c.wr_code_info(self.c_code, &size, &error)
        if start == NULL:
            raise error_from(&error)
        return start[:size]

    @property
    def info_checksum(self) -> int:
        """Of section INFO, as the header has it."""
        return c.wr_code_info_checksum(self.c_code)

    @property
    def kind(self) -> int:
        return c.wr_code_kind(self.c_code)

    @property
    def num_modules(self) -> int:
        return c.wr_code_num_modules(self.c_code)

    def module_needs(self, module: int) -> tuple[list[int], list[int], int]:
        """(initial bytes of each memory that the module defines, initial elements of each table, bytes of an instance)."""
        cdef c.WrError error
        memset(&error, 0, sizeof(error))
        cdef const c.WasmModule *found = c.wr_code_module(self.c_code, module, &error)
        cdef size_t size = 0
        cdef uint32_t i
        if found == NULL:
            raise error_from(&error)
        c.wr_code_instance_bytes(found, &size)
        # Python integers: what an artifact declares may not fit 64 bits
        memories = [<object>found.memories[i].limits.min << <object>found.memories[i].limits.page_size_log2 for i in range(found.num_imported_memories, found.num_memories)]
        return memories, [found.tables[i].limits.min for i in range(found.num_imported_tables, found.num_tables)], size

    def exported_funcs(self, module: int) -> list[tuple[str, int]]:
        """The names that functions of a module are exported by, with their indices."""
        cdef c.WrError error
        memset(&error, 0, sizeof(error))
        cdef const c.WasmModule *found = c.wr_code_module(self.c_code, module, &error)
        cdef uint32_t i
        if found == NULL:
            raise error_from(&error)
        result = []
        for i in range(found.num_exports):
            if found.exports[i].kind == c.WASM_EXTERN_FUNC:
                name = (<const char *>found.bytes)[found.exports[i].name.offset : found.exports[i].name.offset + found.exports[i].name.length]
                result.append((name.decode("utf-8", "replace"), found.exports[i].index))
        return result

    def trampoline(self, index: int, params: tuple[int, ...], results: tuple[int, ...]) -> tuple[int, int]:
        """(wasm_call, array_call) addresses of a component trampoline: the AllCallFuncPointers of the image.

        ArtifactError when the text has none of this signature (words of core value types) where the image says.
        """
        cdef const void *wasm_call = NULL
        cdef c.VMArrayCall array_call = NULL
        cdef c.WrTrampolineRequest request
        cdef uint32_t *types
        cdef size_t i, num_params = len(params), num_results = len(results)
        cdef bint ok
        if not 0 <= index < c.wr_code_num_trampolines(self.c_code):
            raise IndexError(f"trampoline {index}")
        types = <uint32_t *>malloc((num_params + num_results + 1) * sizeof(uint32_t))
        if types == NULL:
            raise MemoryError
        try:
            for i in range(num_params):
                types[i] = params[i]
            for i in range(num_results):
                types[num_params + i] = results[i]
            request.params, request.num_params = types, <uint32_t>num_params
            request.results, request.num_results = types + num_params, <uint32_t>num_results
            ok = c.wr_code_trampoline(self.c_code, index, &request, &wasm_call, &array_call)
        finally:
            free(types)
        if not ok:
            raise errors.ArtifactError(f"trampoline {index}: {c.wr_code_broken_text(self.c_code).decode()}")
        return <uintptr_t>wasm_call, <uintptr_t><void *>array_call


refuse_new(<PyTypeObject *>CodeMemory)


def version_fits(found: tuple[int, int], running: tuple[int, int]) -> bool:
    """Whether an artifact of one version of wasmrt, (major, minor), runs in another."""
    return c.wr_code_version_fits(found[0], found[1], running[0], running[1])


cdef class Progress:
    """How far a compilation is, for other threads: functions compiled, and in all (0: not known yet)."""

    cdef c.WrProgress c_progress
    cdef readonly uint64_t total

    @property
    def done(self) -> int:
        return self.c_progress.done

    def cancel(self) -> None:
        """Makes the compilation fail soon."""
        self.c_progress.cancel = 1


def build_image(
    kind: int,
    modules: list[object],
    tunables: Tunables,
    wasm_features: int,
    trampolines: list[tuple[tuple[int, ...], tuple[int, ...]]],
    info: bytes,
    threads: int = 0,
    places: list[tuple[str, int]] | None = None,
    boundaries: list[bool] | None = None,
    progress: Progress | None = None,
    executable: bool = True,
) -> CodeMemory | bytes:
    """Compiles core modules (`_native.wasm.CoreModule`) and packs them, the trampolines and `info` into one sealed image; its bytes, unless `executable`.

    No exception leaves the functions of a module whose row of `boundaries` is true: it becomes a trap there.
    Runs without the GIL. Raises ValidationError, UnsupportedError or LimitError with the offset in the module; `places[i]` is a path and an offset to add.
    """
    cdef size_t count = len(modules), i, j, words = 0, used = 0
    cdef size_t num_trampolines = len(trampolines)
    cdef c.WrError error
    cdef c.WrImageInput image
    cdef c.CodeMemory *code = NULL
    cdef c.CompiledModule **compiled = <c.CompiledModule **>malloc((count + 1) * sizeof(void *))
    cdef const c.WasmModule **decoded = <const c.WasmModule **>malloc((count + 1) * sizeof(void *))
    cdef c.WrTrampolineRequest *requests = <c.WrTrampolineRequest *>malloc((num_trampolines + 1) * sizeof(c.WrTrampolineRequest))
    cdef uint32_t *types = NULL
    cdef bytes boundary_rows = bytes(boundaries) if boundaries is not None else None
    cdef uint32_t c_threads = threads
    cdef bint ok = True
    cdef Progress seen
    cdef const uint8_t *image_bytes = NULL
    cdef size_t num_image_bytes = 0
    memset(&error, 0, sizeof(error))
    memset(&image, 0, sizeof(image))
    if compiled == NULL or decoded == NULL or requests == NULL:
        free(compiled)
        free(<void *>decoded)
        free(requests)
        raise MemoryError
    memset(compiled, 0, (count + 1) * sizeof(void *))
    try:
        for params, results in trampolines:
            words += len(params) + len(results)
        types = <uint32_t *>malloc((words + 1) * sizeof(uint32_t))
        if types == NULL:
            raise MemoryError
        for i in range(num_trampolines):
            params, results = trampolines[i]
            requests[i].params = types + used
            requests[i].num_params = len(params)
            for word in params:
                types[used] = word
                used += 1
            requests[i].results = types + used
            requests[i].num_results = len(results)
            for word in results:
                types[used] = word
                used += 1
        for i in range(count):
            decoded[i] = <const c.WasmModule *><uintptr_t>modules[i].address
        seen = Progress() if progress is None else progress
        seen.total = sum([module.num_funcs - module.num_imported_funcs for module in modules])
        for i in range(count):
            with nogil:
                ok = c.wr_compile_module_watched(decoded[i], &tunables.c_tunables, c_threads, &seen.c_progress, &compiled[i], &error)
            if not ok:
                raise placed(error_from(&error), places[i]) if places is not None else error_from(&error)
        image.kind = kind
        image.tunables = &tunables.c_tunables
        image.wasm_features = wasm_features
        image.modules = decoded
        image.compiled = <const c.CompiledModule *const *>compiled
        image.num_modules = <uint32_t>count
        image.boundaries = <const uint8_t *>boundary_rows if boundary_rows is not None else NULL
        image.trampolines = requests
        image.num_trampolines = <uint32_t>num_trampolines
        image.info = info
        image.num_info_bytes = len(info)
        if not executable:
            with nogil:
                ok = c.wr_image_write(&image, &image_bytes, &num_image_bytes, &error)
            if not ok:
                raise error_from(&error)
            try:
                return image_bytes[:num_image_bytes]
            finally:
                c.wr_image_free(image_bytes, num_image_bytes)
        with nogil:
            ok = c.wr_image_build(&image, &code, &error)
        if not ok:
            raise error_from(&error)
        return CodeMemory.wrap(code)
    finally:
        for j in range(count):
            if compiled[j] != NULL:
                c.wr_compiled_module_free(compiled[j])
        free(compiled)
        free(<void *>decoded)
        free(requests)
        free(types)


def announce_all_to_gdb() -> None:
    """What this process compiles or loads from now on has names and frames in gdb."""
    c.wr_gdb_announce_all()
