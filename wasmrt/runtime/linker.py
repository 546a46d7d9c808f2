"""The core Linker: definitions by (module, name) that modules are instantiated with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wasmrt._native import core, externs, funcs, hosts, instantiate
from wasmrt.errors import ArgumentTypeError, LinkError, WasmError
from wasmrt.spec.core_types import CoreExternType, CoreFuncType, core_extern_str

from . import pickling
from .engine import Engine
from .module import AsExtern, Instance, Module
from .store import Store
from .types import FuncType, from_core_type

Memory = externs.Memory  # for those who define functions with it

_wasi_providers: list[Callable[[Linker], None]] = []


def register_wasi(provider: Callable[[Linker], None]) -> None:
    """Called by `wasmrt.wasi` when it is imported."""
    _wasi_providers[:] = [provider]


class HostDefinition:
    """A function defined without a store: each instantiation makes its Func in its own store. `make(types)` makes what all of them share."""

    __slots__ = ("_host", "_make")

    def __init__(self, make: Callable[[core.TypeRegistry], hosts.HostFunc]) -> None:
        self._make = make
        self._host: hosts.HostFunc | None = None

    @classmethod
    def of(cls, ty: FuncType, func: Callable[..., Any], access_caller: bool) -> HostDefinition:
        return cls(lambda types: hosts.make_host_func(types, ty, func, access_caller))

    @classmethod
    def with_memory(
        cls, ty: FuncType, func: Callable[..., int | None], on_error: Callable[[Exception], int], fast: str | None = None
    ) -> HostDefinition:
        """`func(store, memory, *args)` on the memory of whoever calls; see `make_memory_func`."""
        return cls(lambda types: hosts.make_memory_func(types, ty, func, on_error, fast))

    @classmethod
    def of_wasi(cls, ty: FuncType, name: str) -> HostDefinition:
        """A call of WASI 0.1 that has no Python."""
        return cls(lambda types: hosts.make_wasi_func(types, ty, name))

    def of_engine(self, engine: Engine) -> hosts.HostFunc:
        """Of no store yet; the linker's engine is the only one that asks."""
        if self._host is None:
            self._host = self._make(engine.types)
        return self._host

    def in_store(self, store: Store, engine: Engine) -> funcs.Func:
        if store.engine is not engine:
            raise WasmError("cross-`Engine` usage is not supported")
        return hosts.func_in_store(store, self.of_engine(engine))


class Linker:
    """`Linker(engine)`: define host functions and items, then `instantiate(store, module)`.

    >>> linker = Linker(engine)
    >>> linker.define_func("env", "add", FuncType([i32, i32], [i32]), lambda a, b: a + b)
    >>> instance = linker.instantiate(store, module)
    """

    __reduce__ = pickling.refuse("Linker", "host functions do not leave their process; make one where it arrives")

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.config = engine.config
        self.allow_shadowing = False
        self._items: dict[tuple[str, str], AsExtern | HostDefinition] = {}

    def __repr__(self) -> str:
        return f"<wasmrt.Linker of {len(self._items)} definitions>"

    def _define(self, module: str, name: str, item: AsExtern | HostDefinition) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ArgumentTypeError("module and name are str")
        if (module, name) in self._items and not self.allow_shadowing:
            raise WasmError(f"import of `{module}::{name}` defined twice")
        self._items[module, name] = item

    def define(self, store: Any, module: str, name: str, item: AsExtern | Module) -> None:
        """Defines an item of a store."""
        if not isinstance(item, (funcs.Func, externs.Memory, externs.Table, externs.Global, externs.Tag)):
            raise ArgumentTypeError(f"expected a Func, Memory, Table, Global or Tag, got {type(item).__name__}")
        self._define(module, name, item)

    def define_func(
        self, module: str, name: str, ty: FuncType, func: Callable[..., Any], access_caller: bool = False
    ) -> None:
        """Defines a host function for every store: `func(*args)`, after a Caller when `access_caller`."""
        if not isinstance(ty, FuncType):
            raise ArgumentTypeError(f"expected a FuncType, got {type(ty).__name__}")
        if not callable(func) or hosts.is_coroutine_function(func):
            raise ArgumentTypeError("expected a callable that is no coroutine function")
        self._define(module, name, HostDefinition.of(ty, func, access_caller))

    def define_wasi(self) -> None:
        """Defines WASI 0.1 (`wasi_snapshot_preview1`). What a guest may is in its store's WasiConfig (`Store.set_wasi`), and is nothing without one but
        for clocks and random numbers. A guest that exits raises ExitTrap with its status.

        >>> linker.define_wasi()
        >>> config = WasiConfig()
        >>> config.argv = ["program", "input.txt"]
        >>> config.preopen_dir("data", "/")
        >>> store.set_wasi(config)
        >>> linker.instantiate(store, module).exports(store)["_start"](store)
        """
        import wasmrt.wasi  # noqa: F401  (registers itself)

        _wasi_providers[0](self)

    def define_instance(self, store: Any, name: str, instance: Instance) -> None:
        """Defines all exports of an instance under the module name `name`."""
        for export, item in instance.exports.items():
            self._define(name, export, item)

    def define_module(self, store: Store, name: str, module: Module) -> None:
        """Instantiates `module` with what is defined so far and defines its exports under `name`."""
        self.define_instance(store, name, self.instantiate(store, module))

    def define_unknown_imports_as_traps(self, module: Module) -> None:
        """Every function import of `module` that is not defined traps when it is called."""
        for module_name, name, ty in module._info.imports:
            if (module_name, name) in self._items or not isinstance(ty, CoreFuncType):
                continue
            self._items[module_name, name] = HostDefinition.of(
                _func_type(ty), _trapping(f"unknown import: `{module_name}::{name}` has not been defined"), False
            )

    def define_unknown_imports_as_default_values(self, store: Any, module: Module) -> None:
        """Every function import of `module` that is not defined returns zeros."""
        for module_name, name, ty in module._info.imports:
            if (module_name, name) in self._items or not isinstance(ty, CoreFuncType):
                continue
            zeros = [None if word & 0xF == 6 else 0 for word in ty.results]
            value = None if not zeros else zeros[0] if len(zeros) == 1 else zeros
            self._items[module_name, name] = HostDefinition.of(_func_type(ty), lambda *_, value=value: value, False)

    def get(self, store: Store, module: str, name: str) -> AsExtern | None:
        """The definition of that name in `store`, or None."""
        item = self._items.get((module, name))
        return item.in_store(store, self.engine) if isinstance(item, HostDefinition) else item

    def get_default(self, store: Store, name: str) -> AsExtern:
        """What a command module called `name` runs: its `_start` or unnamed export."""
        for export in ("", "_start"):
            item = self.get(store, name, export)
            if item is not None:
                return item
        return funcs.Func(store, FuncType([], []), lambda: None)

    def _resolve(self, module: Module) -> list[AsExtern | HostDefinition]:
        found: list[AsExtern | HostDefinition] = []
        missing: list[str] = []
        for module_name, name, ty in module._info.imports:
            item = self._items.get((module_name, name))
            if item is None:
                missing.append(self._missing(module_name, name, ty))
            else:
                found.append(item)
        if missing:
            raise LinkError("\n".join(missing))
        return found

    def _missing(self, module: str, name: str, ty: CoreExternType) -> str:
        text = f"unknown import: `{module}::{name}` ({core_extern_str(ty)}) has not been defined"
        names = {f"{m}::{n}": None for m, n in self._items}
        import difflib

        near = difflib.get_close_matches(f"{module}::{name}", names, n=3)
        return text + (f"; the linker has {', '.join(near)}" if near else "")

    def instantiate_pre(self, module: Module) -> InstancePre:
        """Looks all imports up once; `instantiate(store)` then only makes the instance."""
        if module.engine is not self.engine:
            raise WasmError("cross-`Engine` usage is not supported")
        return InstancePre(module, self._resolve(module))

    def instantiate(self, store: Store, module: Module) -> Instance:
        """An instance of `module` in `store`. Raises LinkError that names every import that is missing."""
        return self.instantiate_pre(module).instantiate(store)


class InstancePre:
    """A module with all its imports looked up and bound; made by `Linker.instantiate_pre`. Shared between threads, and between stores unless an item
    of one store was defined.

    >>> pre = linker.instantiate_pre(module)
    >>> instance = pre.instantiate(Store(engine))
    """

    __slots__ = ("_engine", "_pre", "module")

    def __init__(self, module: Module, items: list[AsExtern | HostDefinition]) -> None:
        self.module = module
        self._engine = module.engine
        self._pre = instantiate.ModulePre(
            module._object.types[module._index],
            [item.of_engine(module.engine) if isinstance(item, HostDefinition) else item for item in items],
        )

    def __repr__(self) -> str:
        return f"<wasmrt.InstancePre of {self.module!r}>"

    def instantiate(self, store: Store) -> Instance:
        """An instance in `store`. Raises LinkError naming an import that does not fit, LimitError, Trap, or what a host function raised."""
        if not isinstance(store, core.Store):
            raise ArgumentTypeError(f"expected a Store, got {type(store).__name__}")
        if store.engine is not self._engine:
            raise WasmError("cross-`Engine` usage is not supported")
        return Instance._from_handle(self._pre.instantiate(store), self.module)


def _func_type(ty: CoreFuncType) -> FuncType:
    made = from_core_type(ty)
    assert isinstance(made, FuncType)
    return made


def _trapping(message: str) -> Callable[..., Any]:
    def unknown_import(*_: Any) -> Any:
        from wasmrt.errors import Trap

        from .types import TrapCode

        raise Trap(message, TrapCode.LINKED_AS_TRAP)

    return unknown_import
