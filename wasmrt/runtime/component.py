"""Component: a compiled WebAssembly component, ready to be instantiated.

There is one way to put a component together, `Component.from_parts`: compiling and deserializing both end in an image of code, and everything else is
read from it: artifacts, types, modules. Loading decodes none of these: each is made when it is first asked for, from what the image's checksum covers,
so that the cost of a load does not depend on what is in the component.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from wasmrt._native import images, wasm
from wasmrt.artifact import info as artifact
from wasmrt.errors import ArgumentTypeError, ArtifactError, DecodeError, LimitError, ValidationError, WasmError
from wasmrt.spec import types as spec
from wasmrt.spec.features import SWITCHES, Features
from wasmrt.translate import info
from wasmrt.translate.type_table import ComponentTypes

from . import cache, pickling
from . import component_types as types
from . import source as sources
from .engine import Engine, next_compiled_module_id
from .module import CodeObject, Module, module_info, verify_image, with_path
from .names import find_name
from .progress import Report, watched
from .values import ResourceType

if TYPE_CHECKING:
    from wasmrt import wit

KIND_COMPONENT = 2
Skeleton = TypeVar("Skeleton")


@dataclasses.dataclass(frozen=True, init=False)
class ComponentExportIndex:
    """Where an export of one component lies; hashable. `instance.get_func(index)` skips all look-ups by name."""

    component_id: int
    export: int

    def __init__(self) -> None:
        raise WasmError("Cannot directly construct an `ExportIndex`: use Component.get_export_index")

    @classmethod
    def _of(cls, component_id: int, export: int) -> ComponentExportIndex:
        self = cls.__new__(cls)
        object.__setattr__(self, "component_id", component_id)
        object.__setattr__(self, "export", export)
        return self


class AllCallFuncPointers(NamedTuple):
    """Addresses of the two entry points of a function, inside its component's `image_range()`."""

    wasm_call: int
    array_call: int


@dataclasses.dataclass(frozen=True)
class ResourcesRequired:
    """What instantiating allocates, summed over all core instantiations. Maxima in pages of 64 KiB and in elements; None: there is none."""

    num_memories: int
    max_initial_memory_size: int | None
    num_tables: int
    max_initial_table_size: int | None


class _Contents:
    """What component records say, whichever image they lie in. Immutable, but for types and plans, which are made when they are first asked for."""

    def __init__(self, artifacts: artifact.ComponentArtifacts) -> None:
        self.artifacts = artifacts
        self.types = ComponentTypes(artifacts.type_rows)
        self.plans: dict[int, Any] = {}  # by TypeIndex
        # what component_instance.Blueprint makes of them alone
        self.trampolines: Any = None
        self.export_names: dict[int, str] | None = None
        self.program: Any = None
        self.uses_tasks: bool | None = None
        # plans of others are made at the first call
        self.has_odd_types = any(row and (row[0] in ("stream", "future", "error-context") or (row[0] == "func" and row[3:4] == [True])) for row in artifacts.type_rows)


# Contents of the images that were used last, by checksum, the newest last: a program that loads the same artifact again, since it let go of it, does not
# decode and check its records again.
_recent: dict[int, tuple[bytes, _Contents]] = {}
_MAX_RECENT = 16


def _contents(code: images.CodeMemory) -> _Contents:
    data = code.info()
    key = code.info_checksum
    known, made = _recent.pop(key, (None, None))
    if made is None or known != data:
        made = _Contents(artifact.decode(data, artifact.ComponentArtifacts))
        artifact.check(made.artifacts)
    check_artifacts(made.artifacts, code)
    _recent[key] = data, made
    while len(_recent) > _MAX_RECENT:
        _recent.pop(next(iter(_recent)), None)
    return made


class _Shared:
    """What copies of a component have in common and make when it is first asked for. Two threads may make one each; either serves."""

    # a load sets no more than it has to
    signatures: Any = None
    _found: _Contents | None = None
    _modules: list[Module] | None = None

    def __init__(self, code_object: CodeObject, artifacts: artifact.ComponentArtifacts | None) -> None:
        self.code_object = code_object
        self.resources: dict[Any, ResourceType] = {}
        if artifacts is not None:
            self._found = _Contents(artifacts)

    @property
    def contents(self) -> _Contents:
        if self._found is None:
            self._found = _contents(self.code_object.code)
        return self._found

    @property
    def artifacts(self) -> artifact.ComponentArtifacts:
        return self.contents.artifacts

    @property
    def types(self) -> ComponentTypes:
        return self.contents.types

    @property
    def modules(self) -> list[Module]:
        if self._modules is None:
            modules = self.artifacts.static_modules
            self._modules = [Module.from_parts(self.code_object, index, module) for index, module in enumerate(modules)]
        return self._modules


class Component:
    """A compiled component: `Component(engine, source)`, binary bytes or text.

    Validates the whole component and compiles all of it before it returns. Immutable, safe to share between threads; `copy.copy` gives another handle
    on the same compiled object. Raises DecodeError, ValidationError, LimitError or TextError with the place.

    `progress(done, in_all)` is called twenty times a second while it compiles, with numbers of functions; what it raises stops the compilation.

    >>> component = Component(engine, wasm_bytes)
    >>> instance = Linker(engine).instantiate(store, component)
    """

    _engine: Engine
    _object: CodeObject
    _origin: pickling.Origin | pickling.Path | None = None
    _blueprint: Any = None
    _public_type: Any = None

    def __init__(self, engine: Engine, source: Any, *, progress: Report | None = None) -> None:
        if not isinstance(engine, Engine):
            raise ArgumentTypeError(f"expected an Engine, got {type(engine).__name__}")
        cache.compile_once(
            engine.cache,
            "component",
            source,
            lambda: watched(progress, lambda seen: compile_component(engine, sources.binary_of(source, "Component"), seen)),
            lambda code: self._adopt(engine, code, None),
        )

    @classmethod
    def from_parts(
        cls, engine: Engine, code: images.CodeMemory, artifacts: artifact.ComponentArtifacts | None = None
    ) -> Component:
        """The only assembly of a component: from an image, and its artifacts (read from the image when None)."""
        self = cls.__new__(cls)
        self._adopt(engine, code, artifacts)
        return self

    def _adopt(
        self, engine: Engine, code: images.CodeMemory, artifacts: artifact.ComponentArtifacts | None
    ) -> None:
        self._engine = engine
        self._object = code_object = CodeObject(engine, code)
        self._id = next_compiled_module_id()
        self._shared = _Shared(code_object, artifacts)
        if engine.allocator.pool is not None:
            engine.allocator.validate_component(code, instantiated_modules(self._artifacts))

    @property
    def _artifacts(self) -> artifact.ComponentArtifacts:
        return self._shared.artifacts

    @property
    def _types(self) -> ComponentTypes:
        return self._shared.types

    @property
    def _modules(self) -> list[Module]:
        return self._shared.modules

    @classmethod
    @pickling.from_source_file
    def from_file(cls, engine: Engine, path: str | os.PathLike[str], data: bytes, *, progress: Report | None = None) -> Component:
        """The same from a file, binary or text; errors name it."""
        return with_path(path, lambda: cls(engine, data, progress=progress))

    @classmethod
    def from_binary(cls, engine: Engine, data: Any) -> Component:
        """Binary only: text is an error."""
        return cls(engine, sources.checked_binary(data, "Component"))

    @classmethod
    def _load(cls, engine: Engine, code: images.CodeMemory) -> Component:
        code.check_fits(KIND_COMPONENT, engine.tunables, engine.wasm_features)
        return cls.from_parts(engine, code)

    @classmethod
    def deserialize(cls, engine: Engine, data: Any) -> Component:
        """From what `serialize` or `engine.precompile_component` returned; copies the bytes and verifies them.

        Only give it trusted bytes: it executes the machine code in them. Raises ArtifactError(reason, found, wanted) when the artifact is damaged or was
        made for another version, machine or configuration.
        """
        code = images.CodeMemory.load(data)
        code.verify()  # the bytes have just been read for the copy: a damaged artifact is an error here, not a fault later
        return cls._load(engine, code)

    @classmethod
    def deserialize_raw(cls, engine: Engine, memory: Any) -> Component:
        """Without a copy: memory of whole pages whose exporter cannot write to it is used in place, as `deserialize_file` uses a mapped file.

        `mmap.mmap(file, 0, access=mmap.ACCESS_READ)` and `wasmrt.ArtifactMemory` are such; it is kept as long as the component, its modules or instances
        live, and must not change. Raises ValueError for a writable exporter, memory that does not start at a page, or a partial page; ArtifactError as
        `deserialize` does, but for damage only in what every load reads.

        >>> component = Component.deserialize_raw(engine, ArtifactMemory(blob))
        """
        return cls._load(engine, images.CodeMemory.load(memory, copy=False))

    @classmethod
    def deserialize_file(cls, engine: Engine, path: str | os.PathLike[str], *, verify: bool = False) -> Component:
        """Maps an artifact's file: pages come in as they are touched, and processes that map one file share them.

        Only give it trusted files: it executes the machine code in them. The time it takes does not depend on the file's size: headers are checked
        against their checksum; the records of imports, exports and each module, when they are first used; machine code and its tables are not.
        `verify=True` checks everything, with pyelftools as a second reader of the same mapping: some 2.5 ms, and one more a megabyte.

        The file must not change while it is mapped: replace it by renaming another into place. When it is truncated all the same, guest code that meets
        a missing page traps, and instantiating or serializing the component is an ArtifactError. On a file system mounted `noexec`, a private copy is made instead.

        Raises ArtifactError as `deserialize` does, OSError when the file cannot be read.

        >>> component = Component.deserialize_file(engine, "plugin.wasmrt")
        """
        code = images.CodeMemory.map_file(path, KIND_COMPONENT, engine.tunables, engine.wasm_features)
        if verify:
            verify_image(code)
        self = cls.__new__(cls)
        self._adopt(engine, code, None)
        self._origin = path
        return self

    def serialize(self) -> bytes:
        """The artifact: an ELF image that `Component.deserialize` takes."""
        return self._object.code.image()

    def __reduce__(self) -> tuple[Any, ...]:
        """By path and content when it came from a file that is unchanged, else by artifact (`wasmrt.runtime.pickling`)."""
        return pickling.reduce(self)

    def __copy__(self) -> Component:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __deepcopy__(self, memo: object) -> Component:
        return self.__copy__()

    @property
    def engine(self) -> Engine:
        """The engine that compiled or loaded it."""
        return self._engine

    @property
    def id(self) -> int:
        """CompiledModuleId: unique in the process, one counter for modules and components."""
        return self._id

    @property
    def type(self) -> types.Component:
        """What it imports and exports; usable before any instantiation. Its resources are equal to themselves alone."""
        if self._public_type is None:
            ty = self._of_this(self._types[self._artifacts.component.ty])
            self._public_type = self._described(ty)
        return self._public_type  # type: ignore[no-any-return]

    def component_type(self) -> types.Component:
        """The same as `type`."""
        return self.type

    def _described(self, ty: spec.ComponentType) -> types.Component:
        """The public type of the whole, knowing what names say besides."""
        made: types.Component = types.Component._of(ty, types.Place(self._signatures, False, "", ""))
        made._of_imports = self._artifacts.component.import_attributes
        made._of_exports = self._artifacts.component.export_attributes
        return made

    def _signatures(self) -> wit.Signatures:
        """Functions in WIT, by name; read from the skeleton when it is first asked for."""
        if self._shared.signatures is None:
            from wasmrt import wit

            self._shared.signatures = self._of_skeleton(lambda skeleton: wit.Signatures(wit.read_world(skeleton)))
        return self._shared.signatures  # type: ignore[no-any-return]

    def wit(self) -> str:
        """The component's world in WIT, with the documentation that the binary has. Raises LimitError for one that is too complex.

        >>> print(component.wit())
        package root:component;
        ...
        """
        from wasmrt import wit

        return self._of_skeleton(wit.wit)

    def _of_skeleton(self, read: Callable[[bytes], Skeleton]) -> Skeleton:
        """What is read from the skeleton; it was made from a valid binary, so that whatever is wrong with it is the artifact's fault."""
        try:
            return read(self._artifacts.skeleton)
        except LimitError:
            raise
        except (DecodeError, ValidationError) as error:
            raise ArtifactError(f"the artifact's skeleton is damaged ({error})") from None

    def image_range(self) -> tuple[int, int]:
        """(start, end) host addresses of the compiled image."""
        return self._object.code.image_range()

    @property
    def static_modules(self) -> tuple[Module, ...]:
        """The core modules that the component has, nested ones and adapters included."""
        return tuple(self._modules)

    def initialize_copy_on_write_image(self) -> None:
        """Builds the copy-on-write memory images of all modules now, not at the first instantiation. Does nothing where `Config.memory_init_cow` is off."""
        for module in self._modules:
            module.initialize_copy_on_write_image()

    def trampoline_ptrs(self, index: int) -> AllCallFuncPointers:
        """The entry points of a trampoline, by TrampolineIndex. Raises IndexError."""
        trampolines = self._artifacts.component.trampolines
        if not 0 <= index < len(trampolines):
            raise IndexError(f"trampoline {index}")
        signature = info.trampoline_signature(trampolines[index])
        return AllCallFuncPointers(*self._object.code.trampoline(index, signature.params, signature.results))

    # -- exports ------------------------------------------------------------------------------------------------------------------------------

    def export_index(
        self, instance: ComponentExportIndex | None, name: str
    ) -> tuple[types.ComponentItem, ComponentExportIndex] | None:
        """(item, index) of an export of the root (`instance` None) or of a nested instance; None when there is none."""
        found = self._find_export(instance, name)
        if found is None:
            return None
        full_name, index = found
        component = self._artifacts.component
        inside = ""
        attributes = info.ExternAttributes()
        if instance is None:
            attributes = component.export_attributes.get(full_name, attributes)
        else:
            inside = next((name for name, index in component.exports if index == instance.export), "")
        item = types.public_item(
            self._export_type(component.export_items[index]), types.Place(self._signatures, False, inside, full_name), attributes
        )
        return item, ComponentExportIndex._of(self._id, index)

    def get_export_index(
        self, name: str, instance: ComponentExportIndex | None = None
    ) -> ComponentExportIndex | None:
        """The index alone, or None."""
        found = self._find_export(instance, name)
        return None if found is None else ComponentExportIndex._of(self._id, found[1])

    def _find_export(self, instance: ComponentExportIndex | None, name: str) -> tuple[str, info.ExportIndex] | None:
        """Its whole name, and the index."""
        component = self._artifacts.component
        exports = component.exports
        if instance is not None:
            if not isinstance(instance, ComponentExportIndex):
                raise ArgumentTypeError(f"expected a ComponentExportIndex, got {type(instance).__name__}")
            if instance.component_id != self._id or not 0 <= instance.export < len(component.export_items):
                return None
            parent = component.export_items[instance.export]
            if not isinstance(parent, info.ExportInstance):
                return None
            exports = parent.exports
        indices = dict(exports)
        found = find_name(name, indices)
        return None if found is None else (found, indices[found])

    def _export_type(self, export: info.Export) -> Any:
        if isinstance(export, info.ExportResource):
            return self._of_this(spec.ResourceItem(export.resource))
        return self._of_this(self._types[export.ty])

    def _of_this(self, ty: Any) -> Any:
        """`ty` with the resources of this component before it is instantiated, which those of another are never equal to."""
        return spec.substitute_resources(ty, self._abstract)

    def _abstract(self, resource: Any) -> ResourceType:
        found = self._shared.resources.get(resource)
        if found is None:
            name = self._artifacts.component.resource_names[resource] if isinstance(resource, int) else resource.name
            # two threads may make one each: the first that is there stays
            found = self._shared.resources.setdefault(resource, ResourceType.abstract(name))
        return found

    # -- resources ----------------------------------------------------------------------------------------------------------------------------

    def resources_required(self) -> ResourcesRequired | None:
        """What instantiation allocates; None when an imported module is instantiated, since that cannot be known."""
        memories: list[int] = []
        tables: list[int] = []
        for initializer in self._artifacts.component.initializers:
            if isinstance(initializer, info.InstantiateModuleImport):
                return None
            if isinstance(initializer, info.InstantiateModuleStatic):
                module = self._artifacts.static_modules[initializer.module]
                memories += module.memories
                tables += module.tables
        return ResourcesRequired(
            len(memories), max(memories, default=None), len(tables), max(tables, default=None)
        )

    def __repr__(self) -> str:
        ty = self._types[self._artifacts.component.ty]
        return f"<wasmrt.component.Component {len(ty.imports)} imports, {len(ty.exports)} exports>"


def compile_component(engine: Engine, data: bytes, progress: images.Progress | None = None) -> images.CodeMemory:
    """Translates and compiles a binary into one sealed image."""
    code = component_image(engine, data, True, progress)
    assert isinstance(code, images.CodeMemory)
    return code


def component_image(engine: Engine, data: bytes, executable: bool, progress: images.Progress | None = None) -> images.CodeMemory | bytes:
    """A translated and compiled binary: one image, sealed, or as bytes."""
    # programs that only load artifacts do not pay for it
    from wasmrt import wit
    from wasmrt.translate.whole import translate

    features = engine.wasm_features
    translation = translate(data, features_of(engine), lambda view: wasm.CoreModule(view, features))
    component = translation.component
    modules = [cast(wasm.CoreModule, module.view) for module in translation.static_modules]
    signatures = [info.trampoline_signature(trampoline) for trampoline in component.trampolines]
    compiled = artifact.CompiledComponentInfo(component, wit.skeleton(data))
    artifacts = artifact.ComponentArtifacts(compiled, translation.types.rows, [module_info(module) for module in modules])
    return images.build_image(
        KIND_COMPONENT,
        modules,
        engine.tunables,
        features,
        [(signature.params, signature.results) for signature in signatures],
        artifact.encode(artifacts),
        threads=engine.compile_threads,
        progress=progress,
        places=[(f"module[{index}]", module.start) for index, module in enumerate(translation.static_modules)],
        boundaries=[module.is_adapter for module in translation.static_modules],
        executable=executable,
    )


def world_binary(source: Any) -> bytes | memoryview:
    """A component, binary or text, as a binary that is validated but not compiled: what `wasmrt.wit` reads. Raises what `Component` raises."""
    from wasmrt.translate.whole import validate

    data = sources.binary_of(source, "Component")
    features = Features(**{field.name: True for field in dataclasses.fields(Features)})
    validate(data, features, lambda view: wasm.CoreModule(view, wasm.FEATURES_ALL))
    return data


def features_of(engine: Engine) -> Features:
    config = engine.config
    return Features(**{field: getattr(config, name) for field, (name, _, _) in SWITCHES.items()})


def instantiated_modules(artifacts: artifact.ComponentArtifacts) -> list[int]:
    """The module of each core instance that the component makes; modules that it imports are left out."""
    initializers = artifacts.component.initializers
    return [item.module for item in initializers if isinstance(item, info.InstantiateModuleStatic)]


def check_artifacts(artifacts: artifact.ComponentArtifacts, code: images.CodeMemory) -> None:
    """What the records say must fit the image; that they fit each other is `artifact.check`'s."""
    if len(artifacts.static_modules) != code.num_modules:
        raise ArtifactError("the artifact's module count is wrong", len(artifacts.static_modules), code.num_modules)
    if not all(0 <= index < code.num_modules for index in instantiated_modules(artifacts)):
        raise ArtifactError("the artifact instantiates a module that it does not have")
