"""Component value types, function types and the types of importable and exportable items.

All are frozen msgspec Structs, tagged for msgpack: structural equality, hashing (cached, so that a deep type costs
one walk), `str()` in WIT syntax. The names are those of wasmtime-py. A type is a tree that shares equal subtrees:
the translator hash-conses what it builds, and its size as a tree is limited (limits.MAX_TYPE_SIZE), so that walking
one is always bounded.

`OwnType.ty` and `BorrowType.ty` refer to a resource. In what the translator produces that is a `ResourceIndex` (an
int, local to one component: imported resources first) or, inside the type of a component or of an instance that was
not instantiated, an `AbstractResource`. Whoever instantiates replaces them by its own objects with
`substitute_resources`; any hashable object will do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NewType

import msgspec

from .core_types import CoreFuncType, GlobalType, MemoryType, TableType, TagType, core_extern_str

ResourceIndex = NewType("ResourceIndex", int)


class AbstractResource(msgspec.Struct, frozen=True, tag="abstract"):
    """A resource type known only by name: bound inside the type of a component or an instance. The index
    is unique in one component binary."""

    index: int
    name: str = ""

    def __str__(self) -> str:
        return self.name or f"resource#{self.index}"


class ValType(msgspec.Struct, frozen=True, dict=True):
    """Base of all component value types; `isinstance(x, ValType)`. As an import or export it is its own item (see runtime.component_types)."""

    @property
    def ty(self) -> Any:
        """The type itself; of a handle, its resource."""
        return self

    @property
    def implements(self) -> None:
        """Only instances have it."""
        return None

    @property
    def external_id(self) -> str | None:
        """The identifier that the import or export of this type has in another naming scheme; no part of the type."""
        return self.__dict__.get("_external_id")

    def is_implements(self, name: str) -> bool:
        """False: only instances implement interfaces."""
        return False


class Bool(ValType, frozen=True, tag="bool"):
    """`bool`: True or False, nothing else."""

    def __str__(self) -> str:
        return "bool"


class U8(ValType, frozen=True, tag="u8"):
    """`u8`: an int, 0 to 255."""

    def __str__(self) -> str:
        return "u8"


class U16(ValType, frozen=True, tag="u16"):
    """`u16`: an int, 0 to 65,535."""

    def __str__(self) -> str:
        return "u16"


class U32(ValType, frozen=True, tag="u32"):
    """`u32`: an int, 0 to 2^32-1."""

    def __str__(self) -> str:
        return "u32"


class U64(ValType, frozen=True, tag="u64"):
    """`u64`: an int, 0 to 2^64-1."""

    def __str__(self) -> str:
        return "u64"


class S8(ValType, frozen=True, tag="s8"):
    """`s8`: an int, -128 to 127."""

    def __str__(self) -> str:
        return "s8"


class S16(ValType, frozen=True, tag="s16"):
    """`s16`: an int, -32,768 to 32,767."""

    def __str__(self) -> str:
        return "s16"


class S32(ValType, frozen=True, tag="s32"):
    """`s32`: an int, -2^31 to 2^31-1."""

    def __str__(self) -> str:
        return "s32"


class S64(ValType, frozen=True, tag="s64"):
    """`s64`: an int, -2^63 to 2^63-1."""

    def __str__(self) -> str:
        return "s64"


class F32(ValType, frozen=True, tag="f32"):
    """`f32`: a float, rounded to 32 bits; an int too as an argument."""

    def __str__(self) -> str:
        return "f32"


class F64(ValType, frozen=True, tag="f64"):
    """`f64`: a float; an int too as an argument."""

    def __str__(self) -> str:
        return "f64"


class Char(ValType, frozen=True, tag="char"):
    """`char`: a str of one character that is no surrogate."""

    def __str__(self) -> str:
        return "char"


class String(ValType, frozen=True, tag="string"):
    """`string`: a str without surrogates."""

    def __str__(self) -> str:
        return "string"


class ErrorContext(ValType, frozen=True, tag="error-context"):
    """`error-context`, of asynchronous functions."""

    def __str__(self) -> str:
        return "error-context"


class ListType(ValType, frozen=True, cache_hash=True, tag="list"):
    """`list<T>`, or `list<T, N>` when `length` is not None."""

    element: AnyValType
    length: int | None = None

    def __str__(self) -> str:
        return f"list<{self.element}>" if self.length is None else f"list<{self.element}, {self.length}>"


class MapType(ValType, frozen=True, cache_hash=True, tag="map"):
    """`map<K, V>`: a list of key/value tuples."""

    key: AnyValType
    value: AnyValType

    def __str__(self) -> str:
        return f"map<{self.key}, {self.value}>"


class RecordType(ValType, frozen=True, cache_hash=True, tag="record"):
    """`record`: `fields` are pairs of name and type. Results are Record objects; what has the fields as attributes, or a mapping, is taken."""

    fields: tuple[tuple[str, AnyValType], ...]

    def __post_init__(self) -> None:
        _freeze_pairs(self, "fields", self.fields)

    def __str__(self) -> str:
        return "record { " + ", ".join(f"{n}: {t}" for n, t in self.fields) + " }"


class TupleType(ValType, frozen=True, cache_hash=True, tag="tuple"):
    """`tuple<...>`: a tuple of as many elements."""

    elements: tuple[AnyValType, ...]

    def __post_init__(self) -> None:
        _freeze(self, "elements", self.elements)

    def __str__(self) -> str:
        return "tuple<" + ", ".join(map(str, self.elements)) + ">"


class VariantLikeType(ValType, frozen=True):
    """Base of variant, option and result: their values follow one rule."""


class VariantType(VariantLikeType, frozen=True, cache_hash=True, tag="variant"):
    """`variant`: `cases` are pairs of name and payload type or None. A value is its payload where its class tells the case, else a Variant."""

    cases: tuple[tuple[str, AnyValType | None], ...]

    def __post_init__(self) -> None:
        _freeze_pairs(self, "cases", self.cases)

    def __str__(self) -> str:
        return "variant { " + ", ".join(n if t is None else f"{n}({t})" for n, t in self.cases) + " }"


class EnumType(ValType, frozen=True, cache_hash=True, tag="enum"):
    """`enum`: one of `names`, as a str."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        _freeze(self, "names", self.names)

    @property
    def names_count(self) -> int:
        """How many names there are."""
        return len(self.names)

    def name(self, n: int) -> str:
        """The name at index `n`."""
        return self.names[n]

    def __str__(self) -> str:
        return "enum { " + ", ".join(self.names) + " }"


class OptionType(VariantLikeType, frozen=True, cache_hash=True, tag="option"):
    """`option<T>`: None or a T; a Variant of `none` or `some` where T could be None itself."""

    payload: AnyValType

    def __str__(self) -> str:
        return f"option<{self.payload}>"


class ResultType(VariantLikeType, frozen=True, cache_hash=True, tag="result"):
    """`result<T, E>`: a variant of `ok` and `err`, either of which may be without payload (None)."""

    ok: AnyValType | None = None
    err: AnyValType | None = None

    def __str__(self) -> str:
        if self.err is None:
            return "result" if self.ok is None else f"result<{self.ok}>"
        return f"result<{'_' if self.ok is None else self.ok}, {self.err}>"


class FlagsType(ValType, frozen=True, cache_hash=True, tag="flags"):
    """`flags`: a set of some of `names`."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        _freeze(self, "names", self.names)

    @property
    def names_count(self) -> int:
        """How many names there are."""
        return len(self.names)

    def name(self, n: int) -> str:
        """The name at index `n`."""
        return self.names[n]

    def __str__(self) -> str:
        return "flags { " + ", ".join(self.names) + " }"


class StreamType(ValType, frozen=True, cache_hash=True, tag="stream"):
    """`stream<T>`, of asynchronous functions; None: without payload."""

    payload: AnyValType | None = None

    def __str__(self) -> str:
        return "stream" if self.payload is None else f"stream<{self.payload}>"


class FutureType(ValType, frozen=True, cache_hash=True, tag="future"):
    """`future<T>`, of asynchronous functions; None: without payload."""

    payload: AnyValType | None = None

    def __str__(self) -> str:
        return "future" if self.payload is None else f"future<{self.payload}>"


class OwnType(ValType, frozen=True, tag="own"):
    """`own<R>`: a handle that is handed over; `ty` is the resource."""

    ty: Any

    def __str__(self) -> str:
        return f"own<{resource_str(self.ty)}>"


class BorrowType(ValType, frozen=True, tag="borrow"):
    """`borrow<R>`: a handle that is lent for a call; `ty` is the resource."""

    ty: Any

    def __str__(self) -> str:
        return f"borrow<{resource_str(self.ty)}>"


AnyValType = (
    Bool
    | U8
    | U16
    | U32
    | U64
    | S8
    | S16
    | S32
    | S64
    | F32
    | F64
    | Char
    | String
    | ErrorContext
    | ListType
    | MapType
    | RecordType
    | TupleType
    | VariantType
    | EnumType
    | OptionType
    | ResultType
    | FlagsType
    | StreamType
    | FutureType
    | OwnType
    | BorrowType
)

PRIMITIVES: tuple[AnyValType, ...] = (
    Bool(),
    S8(),
    U8(),
    S16(),
    U16(),
    S32(),
    U32(),
    S64(),
    U64(),
    F32(),
    F64(),
    Char(),
    String(),
    ErrorContext(),
)


class FuncType(msgspec.Struct, frozen=True, cache_hash=True, tag="func"):
    """A component function's type. `result` is None for a function without one."""

    params: tuple[tuple[str, AnyValType], ...]
    result: AnyValType | None = None
    async_: bool = False

    def __post_init__(self) -> None:
        _freeze_pairs(self, "params", self.params)

    def __str__(self) -> str:
        params = ", ".join(f"{n}: {t}" for n, t in self.params)
        result = "" if self.result is None else f" -> {self.result}"
        return f"{'async ' if self.async_ else ''}func({params}){result}"


class ModuleType(msgspec.Struct, frozen=True, cache_hash=True, tag="module"):
    """A core module's type: imports `(module, name, type)` and exports `(name, type)`, in order."""

    imports: tuple[tuple[str, str, CoreItem], ...]
    exports: tuple[tuple[str, CoreItem], ...]

    def __str__(self) -> str:
        imports = "".join(f" (import {m!r} {n!r} {core_extern_str(t)})" for m, n, t in self.imports)
        exports = "".join(f" (export {n!r} {core_extern_str(t)})" for n, t in self.exports)
        return f"core module{imports}{exports}"


class ComponentInstanceType(msgspec.Struct, frozen=True, cache_hash=True, tag="instance"):
    """The type of a component instance: `exports`, pairs of name and item."""

    exports: tuple[tuple[str, ComponentItem], ...]

    def __str__(self) -> str:
        return "instance { " + "; ".join(f"{n}: {t}" for n, t in self.exports) + " }"


class ComponentType(msgspec.Struct, frozen=True, cache_hash=True, tag="component"):
    """The type of a component: `imports` and `exports`, pairs of name and item, in order."""

    imports: tuple[tuple[str, ComponentItem], ...]
    exports: tuple[tuple[str, ComponentItem], ...]

    def __str__(self) -> str:
        items = [f"import {n}: {t}" for n, t in self.imports] + [f"export {n}: {t}" for n, t in self.exports]
        return "component { " + "; ".join(items) + " }"


class ResourceItem(msgspec.Struct, frozen=True, tag="resource"):
    """An imported or exported resource type."""

    ty: Any

    def __str__(self) -> str:
        return "resource"


class TypeItem(msgspec.Struct, frozen=True, cache_hash=True, tag="type"):
    """An imported or exported type that is no resource."""

    ty: AnyValType | FuncType | ComponentInstanceType | ComponentType

    def __str__(self) -> str:
        return f"type {self.ty}"


CoreItem = CoreFuncType | TableType | MemoryType | GlobalType | TagType
ComponentItem = FuncType | CoreFuncType | ModuleType | ComponentType | ComponentInstanceType | ResourceItem | TypeItem


def resource_str(resource: Any) -> str:
    """How a resource reference is printed: by its name where it has one."""
    if isinstance(resource, int):
        return f"resource#{resource}"
    name = getattr(resource, "name", None)
    return name if isinstance(name, str) and name else str(resource)


def substitute_resources(ty: Any, replace: Callable[[Any], Any], memo: dict[int, Any] | None = None) -> Any:
    """A copy of a value type, function type or item with every resource reference `r` replaced by `replace(r)`.

    Shared subtrees are visited once and stay shared; what holds no reference is returned as it is. Give the same
    `memo` for several types of one substitution.
    """
    memo = {} if memo is None else memo
    parts = _SUBSTITUTED.get(type(ty))
    if parts is None:
        return ty
    key = id(ty)
    if (found := memo.get(key)) is not None:
        return found[1]
    new: Any = ty
    if parts == ("ty",) and type(ty) is not TypeItem:
        new = type(ty)(replace(ty.ty))
    else:
        changed = {}
        for name in parts:
            old = getattr(ty, name)
            if type(old) is not tuple:
                part = substitute_resources(old, replace, memo)
            elif old and type(old[0]) is tuple:
                part = tuple([(label, substitute_resources(t, replace, memo)) for label, t in old])
                if all(a[1] is b[1] for a, b in zip(part, old, strict=True)):
                    part = old
            else:
                part = tuple([substitute_resources(t, replace, memo) for t in old])
                if all(a is b for a, b in zip(part, old, strict=True)):
                    part = old
            if part is not old:
                changed[name] = part
        if changed:
            new = msgspec.structs.replace(ty, **changed)
    # The memo keeps `ty` alive, so that its id stays its own.
    memo[key] = (ty, new)
    return new


# what of each kind of type may hold a reference, or is one
_SUBSTITUTED: dict[type, tuple[str, ...]] = {
    OwnType: ("ty",),
    BorrowType: ("ty",),
    ResourceItem: ("ty",),
    TypeItem: ("ty",),
    ListType: ("element",),
    MapType: ("key", "value"),
    RecordType: ("fields",),
    TupleType: ("elements",),
    VariantType: ("cases",),
    OptionType: ("payload",),
    ResultType: ("ok", "err"),
    StreamType: ("payload",),
    FutureType: ("payload",),
    FuncType: ("params", "result"),
    ComponentInstanceType: ("exports",),
    ComponentType: ("imports", "exports"),
}


def _freeze(struct: msgspec.Struct, name: str, value: Any) -> None:
    if type(value) is not tuple:
        msgspec.structs.force_setattr(struct, name, tuple(value))


def _freeze_pairs(struct: msgspec.Struct, name: str, value: Any) -> None:
    if type(value) is not tuple or any(type(pair) is not tuple for pair in value):
        msgspec.structs.force_setattr(struct, name, tuple((n, t) for n, t in value))
