"""What a component linker holds under a name: a host function, a host resource, a core module, or an instance (a mapping of names)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Union

from .module import Module
from .values import ResourceType


@dataclasses.dataclass(frozen=True)
class HostFunction:
    """`func(*args)`, or `func(store, *args)` when `pass_store`."""

    func: Callable[..., Any]
    pass_store: bool


@dataclasses.dataclass(frozen=True)
class HostResource:
    """A host resource type; `dtor(store, rep)` runs when an owned handle is dropped (`rep` is the object for a class)."""

    type: ResourceType
    dtor: Callable[..., Any] | None = None

    @classmethod
    def of(cls, ty: Any, dtor: Callable[..., Any] | None) -> HostResource:
        """From a ResourceType, a Python class, or an int."""
        return cls(ty if isinstance(ty, ResourceType) else ResourceType.host(ty), dtor)

    @classmethod
    def anonymous(cls, name: str) -> HostResource:
        """A type of its own, that no value has."""
        return cls(ResourceType.host(type(name, (), {})))


Definition = Union[HostFunction, HostResource, Module, dict[str, "Definition"]]
