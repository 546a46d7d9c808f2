"""Module: a compiled core module, and Instance: one of its instances."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from wasmrt._native import core, externs, funcs, images, wasm
from wasmrt.artifact import info as artifact
from wasmrt.errors import ArgumentTypeError, LinkError, PlacedError, WasmError
from wasmrt.spec.core_types import MemoryType, TableType

from . import cache, pickling
from . import source as sources
from .allocation import MemoryInitialization
from .engine import Engine, next_compiled_module_id
from .progress import Report, watched
from .store import Store
from .types import ExportType, ImportType, from_core_type

KIND_MODULE = 1
T = TypeVar("T")

AsExtern = funcs.Func | externs.Memory | externs.Table | externs.Global | externs.Tag


class ModuleTypes(dict[int, externs.TypeCollection]):
    """The types of an image's modules in one engine, by module index: a module is opened, and its types registered, when it is first asked for."""

    __slots__ = ("code", "registry")

    def __init__(self, registry: core.TypeRegistry, code: images.CodeMemory) -> None:
        self.registry = registry
        self.code = code

    def __missing__(self, index: int) -> externs.TypeCollection:
        # two threads may make one each: ids are the same
        return self.setdefault(index, externs.TypeCollection(self.registry, self.code, index))


class CodeObject:
    """An image together with what it is in one engine: its modules' types. Shared by a component and its modules."""

    __slots__ = ("__weakref__", "code", "engine", "types")
    types: ModuleTypes

    def __init__(self, engine: Engine, code: images.CodeMemory) -> None:
        self.engine = engine
        self.code = code
        if engine.profiler is not None:
            from . import profiler  # reads names, which other programs do not pay for

            profiler.register(self, code, engine.profiler)

    def __getattr__(self, name: str) -> Any:
        """`types`, which is not there until somebody asks: programs that only load pay nothing. Two threads may make one each; either serves."""
        if name != "types":
            raise AttributeError(name)
        self.types = types = ModuleTypes(self.engine.types, self.code)
        return types


class Module:
    """A compiled core module: `Module(engine, source)`, binary or text. Immutable, shared between threads and stores.

    Raises DecodeError, ValidationError or LimitError with the byte offset and function. `progress(done, in_all)` is called twenty times a second while
    it compiles, with numbers of functions; what it raises stops the compilation.

    >>> module = Module(engine, wasm_bytes)
    >>> instance = Instance(store, module, [])
    """

    _engine: Engine
    _object: CodeObject
    _index: int
    _known_info: artifact.ModuleInfo | None
    _origin: pickling.Origin | pickling.Path | None = None

    def __init__(self, engine: Engine, source: Any, *, progress: Report | None = None) -> None:
        if not isinstance(engine, Engine):
            raise ArgumentTypeError(f"expected an Engine, got {type(engine).__name__}")
        cache.compile_once(
            engine.cache,
            "module",
            source,
            lambda: watched(progress, lambda seen: compile_module(engine, sources.binary_of(source, "Module"), seen)),
            lambda code: self._adopt_image(engine, code),
        )

    def _adopt_image(self, engine: Engine, code: images.CodeMemory) -> None:
        self._adopt(CodeObject(engine, code), 0, None)

    def _adopt(self, code_object: CodeObject, index: int, info: artifact.ModuleInfo | None) -> None:
        self._engine = code_object.engine
        if code_object.code.kind == KIND_MODULE:
            self._engine.allocator.validate_module(code_object.code, index)
        self._object = code_object
        self._index = index
        self._known_info = info
        self._id = next_compiled_module_id()

    @classmethod
    def from_parts(cls, code_object: CodeObject, index: int, info: artifact.ModuleInfo | None = None) -> Module:
        """A module of an image; what a component's modules and deserialized ones are made by. `info` None: read from the image when it is asked for."""
        self = cls.__new__(cls)
        self._adopt(code_object, index, info)
        return self

    @classmethod
    @pickling.from_source_file
    def from_file(cls, engine: Engine, path: str | os.PathLike[str], data: bytes, *, progress: Report | None = None) -> Module:
        """The same from a file, binary or text; errors name it."""
        return with_path(path, lambda: cls(engine, data, progress=progress))

    @classmethod
    def from_binary(cls, engine: Engine, data: Any) -> Module:
        """Binary only: text is an error."""
        return cls(engine, sources.checked_binary(data, "Module"))

    @property
    def _info(self) -> artifact.ModuleInfo:
        if self._known_info is None:
            self._known_info = artifact.decode(self._object.code.info(), artifact.ModuleInfo)
        return self._known_info

    @classmethod
    def _load(cls, engine: Engine, code: images.CodeMemory) -> Module:
        code.check_fits(KIND_MODULE, engine.tunables, engine.wasm_features)
        return cls.from_parts(CodeObject(engine, code), 0)

    @classmethod
    def deserialize(cls, engine: Engine, data: Any) -> Module:
        """From what `serialize` or `engine.precompile_module` returned; copies the bytes and verifies them.

        Only give it trusted bytes: it executes the machine code in them. Raises ArtifactError(reason, found, wanted) when the artifact is damaged or was
        made for another version, machine or configuration.
        """
        code = images.CodeMemory.load(data)
        code.verify()
        return cls._load(engine, code)

    @classmethod
    def deserialize_raw(cls, engine: Engine, memory: Any) -> Module:
        """Without a copy, from memory that is used in place: see `Component.deserialize_raw`."""
        return cls._load(engine, images.CodeMemory.load(memory, copy=False))

    @classmethod
    def deserialize_file(cls, engine: Engine, path: str | os.PathLike[str], *, verify: bool = False) -> Module:
        """Maps an artifact's file: see `Component.deserialize_file`."""
        code = images.CodeMemory.map_file(path, KIND_MODULE, engine.tunables, engine.wasm_features)
        if verify:
            verify_image(code)
        self = cls.from_parts(CodeObject(engine, code), 0)
        self._origin = path
        return self

    @classmethod
    def validate(cls, engine: Engine, source: Any) -> None:
        """Checks a binary without compiling it; raises what compiling would raise."""
        wasm.CoreModule(sources.binary_of(source, "Module"), engine.wasm_features).validate()

    def serialize(self) -> bytes:
        """The artifact image."""
        if self._object.code.kind != KIND_MODULE:
            raise WasmError("a module of a component cannot be serialized or pickled on its own: take the component")
        return self._object.code.image()

    def __reduce__(self) -> tuple[Any, ...]:
        """By path and content when it came from a file that is unchanged, else by artifact (`wasmrt.runtime.pickling`)."""
        return pickling.reduce(self)

    def __copy__(self) -> Module:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __deepcopy__(self, memo: object) -> Module:
        return self.__copy__()

    @property
    def engine(self) -> Engine:
        """The engine that compiled or loaded it."""
        return self._engine

    @property
    def name(self) -> str | None:
        """From the name section."""
        return self._info.name

    @property
    def imports(self) -> list[ImportType]:
        """What it imports, in order: `.module`, `.name` and `.type` of each."""
        return [ImportType(module, name, from_core_type(ty)) for module, name, ty in self._info.imports]

    @property
    def exports(self) -> list[ExportType]:
        """What it exports, in order: `.name` and `.type` of each."""
        return [ExportType(name, from_core_type(ty)) for name, ty in self._info.exports]

    def image_range(self) -> tuple[int, int]:
        """(start, end) host addresses of the compiled image."""
        return self._object.code.image_range()

    @property
    def memory_initialization(self) -> MemoryInitialization:
        """STATIC when the first contents of its memories are known and dense, which makes copy-on-write images of them; else SEGMENTED."""
        static = self._engine.config.memory_init_cow and self._object.types[self._index].has_static_data()
        return MemoryInitialization.STATIC if static else MemoryInitialization.SEGMENTED

    def initialize_copy_on_write_image(self) -> None:
        """Builds the copy-on-write images of its memories now, not at the first instantiation. Does nothing where `Config.memory_init_cow` is off."""
        if self._engine.config.memory_init_cow:
            self._object.types[self._index].prepare_images(self._engine.allocator.pool is not None)

    def _instantiate(self, store: core.Store, imports: list[Any]) -> externs.InstanceHandle:
        if store.engine is not self._engine:
            raise WasmError("cross-`Engine` usage is not supported")
        return externs.instantiate_module(store, self._object.types[self._index], imports)

    def __repr__(self) -> str:
        name = f"{self.name}: " if self.name else ""
        return f"<wasmrt.Module {name}{len(self._info.imports)} imports, {len(self._info.exports)} exports>"


def compile_module(engine: Engine, data: bytes, progress: images.Progress | None = None) -> images.CodeMemory:
    """Decodes, validates and compiles a binary into a sealed image."""
    code = module_image(engine, data, True, progress)
    assert isinstance(code, images.CodeMemory)
    return code


def module_image(engine: Engine, data: bytes, executable: bool, progress: images.Progress | None = None) -> images.CodeMemory | bytes:
    """A compiled binary, sealed, or as bytes."""
    decoded = wasm.CoreModule(data, engine.wasm_features)
    return images.build_image(
        KIND_MODULE,
        [decoded],
        engine.tunables,
        engine.wasm_features,
        [],
        artifact.encode(module_info(decoded)),
        threads=engine.compile_threads,
        progress=progress,
        executable=executable,
    )


def module_info(decoded: wasm.CoreModule) -> artifact.ModuleInfo:
    imported = [type(ty) for _, _, ty in decoded.imports]
    return artifact.ModuleInfo(
        decoded.name,
        list(decoded.imports),
        [(name, ty) for name, ty, _ in decoded.exports],
        [memory.min for memory in decoded.memories[imported.count(MemoryType) :]],
        [table.min for table in decoded.tables[imported.count(TableType) :]],
    )


def verify_image(code: images.CodeMemory) -> None:
    """Reads all of an image, with two readers that share only the tables. Raises ArtifactError."""
    from wasmrt.artifact import reader  # whoever does not verify does not import pyelftools

    code.verify()
    reader.verify(code)


def exported_funcs(image: Any) -> list[tuple[int, str, int]]:
    """(module, name, function index) of what an artifact's core modules export. Raises ArtifactError, also when it is for another machine."""
    code = images.CodeMemory.load(image)
    return [(module, name, index) for module in range(code.num_modules) for name, index in code.exported_funcs(module)]


def with_path(path: Any, make: Callable[[], T]) -> T:
    """Runs `make`; errors about bytes get the file's name."""
    try:
        return make()
    except PlacedError as error:
        error.file = os.fspath(path)
        raise


class InstanceExports(Mapping[str, AsExtern]):
    """The exports of an instance: by name (`exports["f"]`, `exports.f`) or in order (`exports.by_index[0]`).

    Calling it with a store returns itself, as programs for the peer do.
    """

    def __init__(self, handle: externs.InstanceHandle, module: Module) -> None:
        self._handle = handle
        self._names = [name for name, _ in module._info.exports]
        self._cache: dict[str, AsExtern] = {}

    def __getitem__(self, key: str | int) -> AsExtern:
        if isinstance(key, int):
            return self.by_index[key]
        item = self._cache.get(key)
        if item is None:
            item = self._handle.export(key)
            if item is None:
                raise KeyError(f"no export named {key!r}")
            self._cache[key] = item
        return item

    def __getattr__(self, name: str) -> AsExtern:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no export named {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<wasmrt.InstanceExports {', '.join(self._names)}>"

    @property
    def by_index(self) -> list[AsExtern]:
        """All of them, in the order of the module."""
        return [self[name] for name in self._names]

    def __call__(self, store: Any = None) -> InstanceExports:
        return self


class Instance:
    """An instance of a module: `Instance(store, module, imports)`, imports in the order of `module.imports`.

    Raises LinkError when an import does not fit, Trap when a segment is out of bounds or the start function traps.
    """

    __reduce__ = pickling.refuse("Instance", "it is a running program; pickle the Module and make an instance of it where it arrives")

    def __init__(self, store: Store, module: Module, imports: Sequence[AsExtern]) -> None:
        wanted = module._info.imports
        if len(imports) != len(wanted):
            raise LinkError(f"expected {len(wanted)} imports, got {len(imports)}")
        given = [as_extern(item, f"import `{name}::{field}`: ") for item, (name, field, _) in zip(imports, wanted, strict=True)]
        self._bind(module._instantiate(store, given), module)

    def _bind(self, handle: externs.InstanceHandle, module: Module) -> None:
        self._handle = handle
        self._exports = InstanceExports(handle, module)
        self.module = module

    @classmethod
    def _from_handle(cls, handle: externs.InstanceHandle, module: Module) -> Instance:
        self = cls.__new__(cls)
        self._bind(handle, module)
        return self

    @property
    def exports(self) -> InstanceExports:
        """Its exports by name: Func, Memory, Table, Global and Tag objects."""
        return self._exports

    def __repr__(self) -> str:
        return f"<wasmrt.Instance of {self.module!r}>"


def as_extern(item: Any, where: str = "") -> AsExtern:
    if isinstance(item, (funcs.Func, externs.Memory, externs.Table, externs.Global, externs.Tag)):
        return item
    raise ArgumentTypeError(f"{where}expected a Func, Memory, Table, Global or Tag, got {type(item).__name__}")
