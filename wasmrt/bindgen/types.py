"""Owns how a WIT type is written as a Python type.

Values have one form when a component gives them and often more when it takes them (docs/guide.md, "Values"); the wider form is written where a type has no
name, in parameters of exports and results of imports. Which variants are bare depends on their structure, so `runtime.results` is asked, as the call path is.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable
from dataclasses import dataclass, field

from wasmrt.binary import records as r
from wasmrt.errors import LimitError, UnsupportedError
from wasmrt.runtime.results import case_classes
from wasmrt.spec import limits
from wasmrt.spec import types as spec
from wasmrt.wit.evaluate import Node, Resource, Scope, Type, peel
from wasmrt.wit.world import Interface, World

_PLAIN = {"bool": "bool", "f32": "float", "f64": "float", "char": "str", "string": "str"}
_NUMBERS = frozenset(["u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f32", "f64"])
# which resource it is does not matter to how a variant is lifted
_ANY_RESOURCE = 0


def snake(name: str) -> str:
    """`a-b` as `a_b`, `import` as `import_`."""
    found = name.replace("-", "_")
    return f"{found}_" if keyword.iskeyword(found) else found


def camel(name: str) -> str:
    """`a-b` as `AB`."""
    found = "".join(part[:1].upper() + part[1:] for part in name.split("-"))
    return f"{found}_" if keyword.iskeyword(found) else found


@dataclass(slots=True)
class Place:
    """Where a type is written: the interface, how another's module is called here, and which bare names mean something else here."""

    interface: Interface
    module_of: Callable[[Interface], str | None]
    # names of the class body that the type is written in: a class of the interface goes by `_Name` there, a builtin by `builtins.name`
    shadowed: frozenset[str] = field(default_factory=frozenset)

    def builtin(self, name: str) -> str:
        return f"builtins.{name}" if name in self.shadowed else name


class Types:
    """Writes types of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._left = limits.COMPONENT_STEPS

    def ref(self, place: Place, scope: Scope, ref: r.ValTypeRef, taken: bool = False) -> str:
        """`taken`: for a value that the component takes rather than gives."""
        return self.node(place, scope.types[ref], taken) if isinstance(ref, int) else self._primitive(place, str(ref))

    def node(self, place: Place, node: Node, taken: bool = False) -> str:
        found = self._world.owner(node)
        if found is not None:
            owner, name = found
            local = name if owner is place.interface else place.interface.uses.get(found, name)
            if local in place.interface.types:
                return f"_{camel(local)}" if camel(local) in place.shadowed else camel(local)
            module = place.module_of(owner)
            if module is not None and name in owner.types:
                return f"{module}.{camel(name)}"
            # an export of the world that WIT has no words for
        definition = peel(node)
        return "wasmrt.component.ResourceAny" if isinstance(definition, Resource) else self.structure(place, definition, taken)

    def structure(self, place: Place, node: Type, taken: bool = False) -> str:
        """Of a type as it is defined; records have a class only where they have a name."""
        self._spend()

        def ref(t: r.ValTypeRef) -> str:
            return self.ref(place, node.scope, t, taken)

        match node.definition:
            case r.PrimitiveDef(type=t):
                return self._primitive(place, str(t))
            case r.ListDef(element=element):
                return self._list(place, node.scope, element, taken)
            case r.MapDef(key=key, value=value):
                return f"{place.builtin('dict')}[{ref(key)}, {ref(value)}]"
            case r.TupleDef(elements=elements):
                return f"{place.builtin('tuple')}[{', '.join(map(ref, elements))}]"
            case r.OptionDef(payload=payload):
                return f"{ref(payload)} | None" if self._is_bare(node) else "wasmrt.component.Variant"
            case r.ResultDef(ok=ok, err=err):
                return self._union(node, ["None" if t is None else ref(t) for t in (ok, err)], taken)
            case r.VariantDef(cases=cases):
                return self._union(node, ["None" if t is None else ref(t) for _, t in cases], taken)
            case r.HandleDef(resource=resource):
                return self.node(place, node.scope.types[resource], taken)
            case r.EnumDef(names=names):
                return f"t.Literal[{', '.join(map(repr, names))}]"
            case r.FlagsDef(names=names):
                literal = f"t.Literal[{', '.join(map(repr, names))}]"
                return f"abc.Set[{literal}]" if taken else f"{place.builtin('set')}[{literal}]"
        return "t.Any"

    def _primitive(self, place: Place, name: str) -> str:
        return place.builtin(_PLAIN.get(name, "int")) if name != "error-context" else "t.Any"

    def _list(self, place: Place, scope: Scope, element: r.ValTypeRef, taken: bool) -> str:
        primitive = self._primitive_of(scope, element)
        if primitive == "u8" and not taken:
            return place.builtin("bytes")
        item = self.ref(place, scope, element, taken)
        if not taken:
            return f"{place.builtin('list')}[{item}]"
        either = f"{place.builtin('list')}[{item}] | {place.builtin('tuple')}[{item}, ...]"
        return f"Buffer | {either}" if primitive in _NUMBERS else either

    def _primitive_of(self, scope: Scope, ref: r.ValTypeRef) -> str:
        if not isinstance(ref, int):
            return str(ref)
        definition = peel(scope.types[ref])
        return str(definition.definition.type) if isinstance(definition, Type) and isinstance(definition.definition, r.PrimitiveDef) else ""

    def _union(self, node: Type, cases: list[str], taken: bool) -> str:
        if not self._is_bare(node):
            return "wasmrt.component.Variant"
        return " | ".join(dict.fromkeys([*sorted(cases, key="None".__eq__), *(["wasmrt.component.Variant"] if taken else [])]))

    def _is_bare(self, node: Type) -> bool:
        ty = self._spec(node)
        assert isinstance(ty, (spec.VariantType, spec.OptionType, spec.ResultType))
        try:
            return case_classes(ty) is not None
        except UnsupportedError:
            return False

    def _spec(self, node: Node) -> spec.AnyValType:
        """The type by structure, as the call path sees it."""
        self._spend()
        definition = peel(node)
        assert isinstance(definition, Type)
        scope = definition.scope

        def ref(t: r.ValTypeRef) -> spec.AnyValType:
            return self._spec(scope.types[t]) if isinstance(t, int) else t

        match definition.definition:
            case r.PrimitiveDef(type=t):
                return t
            case r.RecordDef(fields=fields):
                return spec.RecordType(tuple((name, ref(t)) for name, t in fields))
            case r.VariantDef(cases=cases):
                return spec.VariantType(tuple((name, None if t is None else ref(t)) for name, t in cases))
            case r.ListDef(element=element, length=length):
                return spec.ListType(ref(element), length)
            case r.MapDef(key=key, value=value):
                return spec.MapType(ref(key), ref(value))
            case r.TupleDef(elements=elements):
                return spec.TupleType(tuple(map(ref, elements)))
            case r.FlagsDef(names=names):
                return spec.FlagsType(tuple(names))
            case r.EnumDef(names=names):
                return spec.EnumType(tuple(names))
            case r.OptionDef(payload=payload):
                return spec.OptionType(ref(payload))
            case r.ResultDef(ok=ok, err=err):
                return spec.ResultType(None if ok is None else ref(ok), None if err is None else ref(err))
            case r.HandleDef(is_own=is_own):
                return spec.OwnType(_ANY_RESOURCE) if is_own else spec.BorrowType(_ANY_RESOURCE)
        return spec.StreamType(None) if getattr(definition.definition, "is_stream", False) else spec.FutureType(None)

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise LimitError(f"the world is too complex: more than {limits.COMPONENT_STEPS} types to write")
