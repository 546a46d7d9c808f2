"""Owns what is compared: wasmrt, and wasmtime with each of its compilers, behind the names that both packages share.

A benchmark takes a `Contender` and uses only `contender.package` (Store, Module, Linker, FuncType, ...),
`contender.component` (Component, Linker) and `contender.engine()`; it never asks which one it has.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Contender:
    name: str
    package: ModuleType
    configure: Callable[[Any], None] = lambda config: None

    @property
    def component(self) -> ModuleType:
        return importlib.import_module(f"{self.package.__name__}.component")

    def engine(self, parallel: bool = False) -> Any:
        """A new engine; single-threaded compilation unless asked, so that CPU time is work and not waiting."""
        config = self.package.Config()
        self.configure(config)
        config.parallel_compilation = parallel
        return self.package.Engine(config)

    def store(self, engine: Any) -> Any:
        return self.package.Store(engine)


def _cranelift(config: Any) -> None:
    config.strategy = "cranelift"


def _winch(config: Any) -> None:
    # the peer's library has it, its `strategy` property does not name it: value 2 of the C API's enumeration
    importlib.import_module("wasmtime._bindings").wasmtime_config_strategy_set(config.ptr(), 2)


def _contender(name: str, package_name: str, configure: Callable[[Any], None] | None = None) -> Contender | None:
    try:
        package = importlib.import_module(package_name)
    except ImportError:
        return None
    if not hasattr(package, "Engine"):
        return None
    contender = Contender(name, package, *([configure] if configure else []))
    try:
        contender.engine()
    except Exception as error:
        print(f"{name} is left out: {error}")
        return None
    return contender


@cache
def contenders() -> dict[str, Contender]:
    """Those that are installed, wasmrt first."""
    known = [
        _contender("wasmrt", "wasmrt"),
        _contender("cranelift", "wasmtime", _cranelift),
        _contender("winch", "wasmtime", _winch),
    ]
    return {contender.name: contender for contender in known if contender is not None}
