"""What a component linker holds under a name: a host function, a host resource, a core module, or an instance (a mapping of names)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Union

from wasmrt._native import core
from wasmrt.errors import ArgumentTypeError
from wasmrt.spec import types as spec

from .module import Module
from .values import ResourceType


@dataclasses.dataclass(frozen=True)
class HostFunction:
    """`func(*args)`, or `func(store, *args)` when `pass_store`. A function of another component has its type, and the store that it can be called in."""

    func: Callable[..., Any]
    pass_store: bool
    type: spec.FuncType | None = None
    store: core.Store | None = None
    is_async: bool = False  # a coroutine function, or one whose result is awaited


@dataclasses.dataclass(frozen=True)
class HostResource:
    """A host resource type; `dtor(store, rep)` runs when an owned handle is dropped (`rep` is the object for a class)."""

    type: ResourceType
    dtor: Callable[..., Any] | None = None

    @classmethod
    def of(cls, ty: Any, dtor: Callable[..., Any] | None) -> HostResource:
        """From a ResourceType, a Python class, or an int. A guest's type has the guest's destructor, so `dtor` is for a host's alone."""
        made = ty if isinstance(ty, ResourceType) else ResourceType.host(ty)
        if not made.is_host and made.store is None:
            raise ArgumentTypeError(f"{made!r} is a type of a component that is not instantiated: nothing has it")
        if not made.is_host and dtor is not None:
            raise ArgumentTypeError(f"{made!r} has the destructor that its guest gave it, and cannot have another")
        return cls(made, dtor)

    @classmethod
    def anonymous(cls, name: str) -> HostResource:
        """A type of its own, that no value has."""
        return cls(ResourceType.host(type(name, (), {})))

    @property
    def store(self) -> core.Store | None:
        """The store of the instance that defines it, for a guest's."""
        return self.type.store


Definition = Union[HostFunction, HostResource, Module, dict[str, "Definition"]]
