"""Types of components as programs see them: what `component.type`, `func.type()` and their kin return.

The records of `spec.types` are what the runtime works with: value types are public as they are, since they are data that anybody may make. What only a
component can have (its own type, that of a function, of an instance, of a module) is wrapped here, for three reasons: such a type knows the component it
is of, and so prints with the names that types have there; an import or export says more than its type (`implements`, `external_id`), which takes no part
in equality; and the peer has methods where the records have fields. Resources are ResourceType: abstract ones of a component that is not instantiated
(`ResourceType.abstract`), those that the host or a guest supplied in an instance.

Every item that `imports` and `exports` return is its type itself and has `.ty`, `.implements`, `.external_id` and `.is_implements(name)` besides, so that
programs for either way of the peer's run.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import keyword
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union

import msgspec

from wasmrt.errors import WasmError
from wasmrt.spec import types as spec
from wasmrt.spec.core_types import CoreFuncType
from wasmrt.translate.info import ExternAttributes

from .names import alternate
from .types import ExportType, FuncType, ImportType, from_core_type
from .values import ResourceType

if TYPE_CHECKING:
    from wasmrt import wit

_NO_ATTRIBUTES = ExternAttributes()


class Place(NamedTuple):
    """Where in a component's world a type stands: its function's signature is printed with the names that are known there."""

    signatures: Callable[[], wit.Signatures]
    is_import: bool
    interface: str
    name: str


class _Item:
    """Base of the types that only components have."""

    __slots__ = ("_attributes", "_place", "_type")

    _type: Any
    _place: Place | None
    _attributes: ExternAttributes

    def __init__(self) -> None:
        raise WasmError(f"Cannot directly construct a `{type(self).__name__}`: components have them")

    @classmethod
    def _of(cls, ty: Any, place: Place | None = None, attributes: ExternAttributes = _NO_ATTRIBUTES) -> Any:
        self = cls.__new__(cls)
        self._type = ty
        self._place = place
        self._attributes = attributes
        return self

    @property
    def ty(self) -> Any:
        """The type itself."""
        return self

    @property
    def implements(self) -> str | None:
        """The interface that an instance under a plain name implements, where the import or export says so."""
        return self._attributes.implements

    @property
    def external_id(self) -> str | None:
        """The identifier of the import or export in another naming scheme, where it has one."""
        return self._attributes.external_id

    def is_implements(self, name: str) -> bool:
        """Whether `implements` names that interface, or a compatible version of it."""
        return _implements(self.implements, name)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return bool(self._type == other._type)

    def __hash__(self) -> int:
        return hash(self._type)

    def __str__(self) -> str:
        return str(self._type)

    def __repr__(self) -> str:
        return f"<wasmrt.component.{type(self).__name__} {self}>"

    def __reduce__(self) -> Any:
        raise WasmError(f"a {type(self).__name__} belongs to its component and cannot be copied or pickled")

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: object) -> Any:
        return self


class ComponentFunc(_Item):
    """The type of a component function. `str()` is its WIT, with the names that its types have in the component."""

    __slots__ = ()

    @property
    def params(self) -> list[tuple[str, spec.AnyValType]]:
        """(name, type) of each parameter, in order."""
        return list(self._type.params)

    @property
    def result(self) -> spec.AnyValType | None:
        """None for a function without a result."""
        return self._type.result  # type: ignore[no-any-return]

    @property
    def async_(self) -> bool:
        """Whether it is an `async func`."""
        return self._type.async_  # type: ignore[no-any-return]

    @property
    def documentation(self) -> str:
        """The function in WIT with its name, below it what the binary says of it: what `help()` of an exported function shows."""
        if self._place is not None and not self._place.is_import:
            with contextlib.suppress(WasmError, RecursionError):
                text = self._place.signatures().func(self._place.interface, self._place.name)
                if text:
                    return text
        return f"{self._place.name}: {self}" if self._place is not None else str(self)

    @property
    def signature(self) -> inspect.Signature:
        """For `inspect.signature`: parameters by their WIT names in snake case, with an underscore behind a keyword of Python."""
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        names = [name.replace("-", "_") for name, _ in self._type.params]
        return inspect.Signature([inspect.Parameter(f"{name}_" if keyword.iskeyword(name) else name, kind) for name in names])

    def __str__(self) -> str:
        text = ""
        if self._place is not None:
            with contextlib.suppress(WasmError, RecursionError):  # a world too complex to print has types by structure
                text = self._place.signatures().type_of(self._place.is_import, self._place.interface, self._place.name)
        return text or str(self._type)


class _Holder(_Item):
    """Has exports by name."""

    __slots__ = ()

    def _items(
        self, items: tuple[tuple[str, Any], ...], is_import: bool, attributes: Mapping[str, ExternAttributes]
    ) -> dict[str, ComponentItem]:
        place = self._place
        found: dict[str, ComponentItem] = {}
        for name, item in items:
            there = None
            if place is not None and not place.interface:  # WIT has no instances in instances
                there = Place(place.signatures, is_import, place.name, name)
            found[name] = public_item(item, there, attributes.get(name, _NO_ATTRIBUTES))
        return found


class ComponentInstance(_Holder):
    """The type of a component instance: `exports(engine)`, name to item, in order."""

    __slots__ = ()

    def exports(self, engine: Any = None) -> dict[str, ComponentItem]:
        """Name to item, in order; the engine is taken for programs written for the peer."""
        return self._items(self._type.exports, self._place is not None and self._place.is_import, {})

    def __str__(self) -> str:
        return "instance { " + "; ".join(f"{name}: {_text(item)}" for name, item in self.exports().items()) + " }"


class Component(_Holder):
    """The type of a component: `imports(engine)` and `exports(engine)`, name to item, in order."""

    __slots__ = ("_of_exports", "_of_imports")

    _of_imports: Mapping[str, ExternAttributes]
    _of_exports: Mapping[str, ExternAttributes]

    @classmethod
    def _of(cls, ty: Any, place: Place | None = None, attributes: ExternAttributes = _NO_ATTRIBUTES) -> Any:
        self = super()._of(ty, place, attributes)
        self._of_imports = self._of_exports = {}
        return self

    def imports(self, engine: Any = None) -> dict[str, ComponentItem]:
        """Name to item, in order; the engine is taken for programs written for the peer."""
        return self._items(self._type.imports, True, self._of_imports)

    def exports(self, engine: Any = None) -> dict[str, ComponentItem]:
        """Name to item, in order."""
        return self._items(self._type.exports, False, self._of_exports)

    def __str__(self) -> str:
        lines = [f"import {name}: {_text(item)}" for name, item in self.imports().items()]
        lines += [f"export {name}: {_text(item)}" for name, item in self.exports().items()]
        return "component { " + "; ".join(lines) + " }"


class Module(_Item):
    """The type of a core module: lists of ImportType and ExportType."""

    __slots__ = ()

    def imports(self, engine: Any = None) -> list[ImportType]:
        """In order; the engine is taken for programs written for the peer."""
        return [ImportType(module, name, from_core_type(ty)) for module, name, ty in self._type.imports]

    def exports(self, engine: Any = None) -> list[ExportType]:
        """In order."""
        return [ExportType(name, from_core_type(ty)) for name, ty in self._type.exports]


class TypeItem(_Item):
    """A type of functions, instances or components under a name; value types and resources stand for themselves."""

    __slots__ = ()

    @property
    def ty(self) -> Any:
        """What the name stands for."""
        return public_item(self._type)

    def __str__(self) -> str:
        return f"type {self.ty}"


CoreFunc = FuncType
ComponentItem: TypeAlias = Union[
    ComponentFunc, CoreFunc, Module, Component, ComponentInstance, ResourceType, spec.ValType, TypeItem
]

_ITEMS: dict[type, type[_Item]] = {
    spec.FuncType: ComponentFunc,
    spec.ModuleType: Module,
    spec.ComponentType: Component,
    spec.ComponentInstanceType: ComponentInstance,
}


def public_item(ty: Any, place: Place | None = None, attributes: ExternAttributes = _NO_ATTRIBUTES) -> Any:
    """The public item of a record whose resources are ResourceType already."""
    if isinstance(ty, spec.ResourceItem):
        return ty.ty
    if isinstance(ty, CoreFuncType):
        return from_core_type(ty)
    if isinstance(ty, spec.TypeItem):
        if not isinstance(ty.ty, spec.ValType):
            return TypeItem._of(ty.ty, place, attributes)
        ty = ty.ty
    if isinstance(ty, spec.ValType):
        if attributes.external_id is not None:
            ty = copy.copy(ty)
            msgspec.structs.force_setattr(ty, "_external_id", attributes.external_id)
        return ty
    return _ITEMS[type(ty)]._of(ty, place, attributes)


def _text(item: ComponentItem) -> str:
    """One item in a list of them."""
    if isinstance(item, ResourceType):
        return "resource"
    return f"type {item}" if isinstance(item, spec.ValType) else str(item)


def _implements(declared: str | None, name: str) -> bool:
    if declared is None:
        return False
    wanted, found = alternate(name), alternate(declared)
    return declared == name or (wanted is not None and found is not None and wanted[0] == found[0])
