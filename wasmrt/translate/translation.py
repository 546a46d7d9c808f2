"""What `translate` takes from the reader of core modules, and what it returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

from wasmrt.spec.core_types import CoreExternType

from .info import Component, StaticModuleIndex
from .type_table import ComponentTypes


class CoreModuleView(Protocol):
    """A decoded and checked core module, as far as linking needs it. The C reader's read-only view is one."""

    @property
    def imports(self) -> Sequence[tuple[str, str, CoreExternType]]:
        """(module, name, type), in order."""

    @property
    def exports(self) -> Sequence[tuple[str, CoreExternType, int]]:
        """(name, type, index in the index space of its kind), in order."""


@dataclasses.dataclass
class StaticModule:
    """A core module of the binary: its bytes are `data[start:end]` of the outermost binary."""

    start: int
    end: int
    view: CoreModuleView
    name: str | None = None
    is_adapter: bool = False
    """Written by the translator for calls between components, which no exception passes."""


@dataclasses.dataclass
class Translation:
    component: Component
    types: ComponentTypes
    static_modules: list[StaticModule]  # StaticModuleIndex
    custom_sections: list[tuple[str, int, int]] = dataclasses.field(default_factory=list)  # outermost: name, start, end

    def module(self, index: StaticModuleIndex) -> StaticModule:
        return self.static_modules[index]

    @property
    def type(self) -> Any:
        """The ComponentType of the whole."""
        return self.types[self.component.ty]
