"""Makes components importable: after `import wasmrt.hook`, `import codec` finds `codec.wasm` (or `.wat`, `.cwasm`) where it would find `codec.py`.

>>> import wasmrt.hook
>>> wasmrt.hook.grant("codec", {"logging": logger}, wasi=config)  # only what it imports besides WASI's harmless part; before the import
>>> import codec
>>> codec.encode(b"...")

A module's attributes are those of what `wasmrt.load` returns: exports and interfaces. Python's own modules are found first. A component gets nothing that
`grant` did not name, as `wasmrt.load` without arguments. Binaries and text are compiled once and kept in the user's cache (`Config.cache`); a `.cwasm` is
machine code, which is loaded only from where Python code would be run from. Packages work too: `import plugins.codec` looks in the package's folders.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from wasmrt.errors import ArgumentTypeError, WasmError
from wasmrt.front import Loaded, load
from wasmrt.runtime.config import Config
from wasmrt.runtime.engine import Engine

SUFFIXES = (".cwasm", ".wasm", ".wat")


@dataclass(frozen=True)
class _Grant:
    imports: Mapping[str, Any] = field(default_factory=dict)
    wasi: Any = None


_grants: dict[str, _Grant] = {}
_lock = threading.Lock()
_engine: Engine | None = None


def grant(name: str, imports: Mapping[str, Any] | None = None, *, wasi: Any = None, engine: Engine | None = None) -> None:
    """What the component that is imported as `name` ("codec", "plugins.codec") is given: `imports` and `wasi` as `wasmrt.load` takes them.

    `engine` is used for all components imported from now on. Raises WasmError when `name` has been imported already.
    """
    global _engine
    if not isinstance(name, str):
        raise ArgumentTypeError(f"expected the name of a module, got {type(name).__name__}")
    if name in sys.modules:
        raise WasmError(f"{name} has been imported already: grant before the import")
    with _lock:
        _grants[name] = _Grant({} if imports is None else imports, wasi)
        if engine is not None:
            _engine = engine


def _engine_of_all() -> Engine:
    global _engine
    with _lock:
        if _engine is None:
            _engine = Engine(Config(cache=True))
        return _engine


class _ComponentModule(ModuleType):
    """A module whose attributes are a component's exports."""

    __wasmrt__: Loaded

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = getattr(self.__wasmrt__, name)
        setattr(self, name, found)
        return found

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *dir(self.__wasmrt__)]


class _Loader(importlib.abc.Loader):
    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _ComponentModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        given = _grants.get(self._name, _Grant())
        try:
            made = load(self._path, given.imports, wasi=given.wasi, engine=_engine_of_all())
        except WasmError as error:
            error.add_note(f"while importing {self._name} from {self._path}; wasmrt.hook.grant({self._name!r}, ...) gives it what it imports")
            raise
        module.__wasmrt__ = made  # type: ignore[attr-defined]
        module.__doc__ = made._handle.component.wit()


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        last = fullname.rpartition(".")[2]
        for folder in sys.path if path is None else path:
            for suffix in SUFFIXES:
                # Python's names have underscores where files of WebAssembly often have hyphens
                for stem in dict.fromkeys((last, last.replace("_", "-"))):
                    file = Path(folder or ".") / f"{stem}{suffix}"
                    if file.is_file():
                        return importlib.util.spec_from_file_location(fullname, file, loader=_Loader(fullname, file))
        return None


# behind Python's own finders: a component never hides a module
_finder = _Finder()
if _finder not in sys.meta_path:
    sys.meta_path.append(_finder)
