"""Whether something supplied fits what is expected: instantiation arguments, ascriptions, core imports.

`Matcher.match(expected, actual)` walks the *expected* type as written and binds on its way: a resource that the expected
type introduces is bound to the one supplied, and every type node it reaches to the supplied node, so that later
expectations, and the exports of what is being instantiated, speak of the actual types. Value and function types must be
equal after that substitution; instances may have more exports than expected, components and modules need fewer imports.

A mismatch raises Mismatch, whose message grows a line of context on its way out.
"""

from __future__ import annotations

from wasmrt.binary.records import Sort
from wasmrt.spec import types as t
from wasmrt.spec import valtypes as vt
from wasmrt.spec.core_types import (
    CORE_KIND_NAMES,
    CoreExternType,
    CoreFuncType,
    GlobalType,
    MemoryType,
    TableType,
    TagType,
)
from wasmrt.spec.types import AbstractResource

from .type_nodes import (
    Budget,
    ComponentNode,
    FuncNode,
    InstanceNode,
    Item,
    ModuleNode,
    ResourceNode,
    Substitution,
    TypeNode,
    ValueNode,
)


class Mismatch(Exception):
    """The message says what was expected and what was found."""


class Matcher:
    def __init__(self, budget: Budget, bindable: frozenset[AbstractResource]) -> None:
        self.budget = budget
        self.bindable = bindable
        self.substitution = Substitution(budget)

    def match(self, expected: Item, actual: Item) -> None:
        self.budget.spend()
        if expected.sort is not actual.sort:
            raise Mismatch(f"expected {sort_word(expected.sort)}, found {sort_word(actual.sort)}")
        if expected.sort is Sort.TYPE:
            self._type(expected.node, actual.node)
        else:
            self._node(expected.node, actual.node)

    def _type(self, expected: TypeNode, actual: TypeNode) -> None:
        substitution = self.substitution
        if isinstance(expected, ResourceNode):
            if not isinstance(actual, ResourceNode):
                raise Mismatch(f"expected resource, found {type_word(actual)}")
            resource = expected.resource
            if resource in self.bindable and resource not in substitution.resources:
                substitution.resources[resource] = actual.resource
            elif substitution.resources.get(resource, resource) != actual.resource:
                raise Mismatch("resource types are not the same")
        else:
            # Equality of types that are not value types is matching in both directions.
            self._node(expected, actual)
            if isinstance(expected, (InstanceNode, ComponentNode)):
                reverse = Matcher(self.budget, _bindable(actual))
                reverse._node(actual, substitution.node(expected))
        substitution.nodes[expected] = actual

    def _node(self, expected: TypeNode, actual: TypeNode) -> None:
        match expected:
            case FuncNode():
                if not isinstance(actual, FuncNode):
                    raise Mismatch(f"expected func, found {type_word(actual)}")
                new = self.substitution.node(expected)
                assert isinstance(new, FuncNode)
                match_funcs(new.val, actual.val)
            case ValueNode():
                if not isinstance(actual, ValueNode):
                    raise Mismatch(f"expected defined type, found {type_word(actual)}")
                match_values(self.substitution.value(expected).val, actual.val)
            case InstanceNode():
                if not isinstance(actual, InstanceNode):
                    raise Mismatch(f"expected instance, found {type_word(actual)}")
                self._instance(expected, actual)
            case ModuleNode():
                assert isinstance(actual, ModuleNode)
                match_modules(expected.val, actual.val)
            case ComponentNode():
                if not isinstance(actual, ComponentNode):
                    raise Mismatch(f"expected component, found {type_word(actual)}")
                self._component(expected, actual)
            case _:
                raise AssertionError(f"cannot match {expected!r}")

    def _instance(self, expected: InstanceNode, actual: InstanceNode) -> None:
        for name, item in expected.exports.items():
            found = actual.exports.get(name)
            if found is None:
                raise Mismatch(f"missing expected export `{name}`")
            try:
                self.match(item, found)
            except Mismatch as e:
                raise Mismatch(f"type mismatch in instance export `{name}`: {e}") from None

    def _component(self, expected: ComponentNode, actual: ComponentNode) -> None:
        wanted = self.substitution.node(expected)
        assert isinstance(wanted, ComponentNode)
        imports = Matcher(self.budget, actual.import_bound)
        for name, item in actual.imports.items():
            given = wanted.imports.get(name)
            if given is None:
                raise Mismatch(f"missing expected import `{name}`")
            try:
                imports.match(item, given)
            except Mismatch as e:
                raise Mismatch(f"type mismatch in component import `{name}`: {e}") from None
        exports = Matcher(self.budget, wanted.export_bound)
        for name, item in wanted.exports.items():
            found = actual.exports.get(name)
            if found is None:
                raise Mismatch(f"missing expected export `{name}`")
            try:
                exports.match(item, imports.substitution.item(found))
            except Mismatch as e:
                raise Mismatch(f"type mismatch in component export `{name}`: {e}") from None


def _bindable(node: TypeNode) -> frozenset[AbstractResource]:
    if isinstance(node, InstanceNode):
        return node.bound
    return frozenset()


def sort_word(sort: Sort) -> str:
    return sort.value.removeprefix("core ")


def type_word(node: TypeNode) -> str:
    match node:
        case ResourceNode():
            return "resource"
        case ValueNode():
            return "defined type"
        case FuncNode():
            return "func"
        case InstanceNode():
            return "instance"
        case ComponentNode():
            return "component"
    return "module"


# --- value and function types ----------------------------------------------------------------------------------------


def match_funcs(expected: t.FuncType, actual: t.FuncType) -> None:
    if expected is actual or expected == actual:
        return
    if expected.async_ != actual.async_:
        words = {True: "async func", False: "func"}
        raise Mismatch(f"expected {words[expected.async_]}, found {words[actual.async_]}")
    if len(expected.params) != len(actual.params):
        raise Mismatch(f"expected {len(expected.params)} parameters, found {len(actual.params)}")
    for (name, ty), (actual_name, actual_ty) in zip(expected.params, actual.params, strict=True):
        if name != actual_name:
            raise Mismatch(f"expected parameter named `{name}`, found `{actual_name}`")
        _within(f"type mismatch in function parameter `{name}`", ty, actual_ty)
    match (expected.result, actual.result):
        case (None, None):
            pass
        case (None, _) | (_, None):
            raise Mismatch("expected a result, found none")
        case (ty, actual_ty):
            assert ty is not None and actual_ty is not None
            _within("type mismatch with result type", ty, actual_ty)


def _within(context: str, expected: t.AnyValType, actual: t.AnyValType) -> None:
    try:
        match_values(expected, actual)
    except Mismatch as e:
        raise Mismatch(f"{context}: {e}") from None


def _word(ty: t.AnyValType) -> str:
    """`record`, `own`, `u32`, ..."""
    text = str(ty)
    for stop in ("<", " "):
        text = text.partition(stop)[0]
    return text


def match_values(expected: t.AnyValType, actual: t.AnyValType) -> None:
    """Raises Mismatch, with the innermost difference, unless the types are equal."""
    if expected is actual or expected == actual:
        return
    if type(expected) is not type(actual):
        if expected in t.PRIMITIVES and actual in t.PRIMITIVES:
            raise Mismatch(f"expected primitive `{expected}` found primitive `{actual}`")
        if expected in t.PRIMITIVES:
            raise Mismatch(f"expected {expected}, found {_word(actual)} (expected primitive, found {_word(actual)})")
        raise Mismatch(f"expected {_word(expected)}, found {_word(actual)}")
    match expected, actual:
        case t.RecordType(), t.RecordType():
            if len(expected.fields) != len(actual.fields):
                raise Mismatch(f"expected {len(expected.fields)} fields, found {len(actual.fields)}")
            for (name, ty), (actual_name, actual_ty) in zip(expected.fields, actual.fields, strict=True):
                if name != actual_name:
                    raise Mismatch(f"expected field name `{name}`, found `{actual_name}`")
                _within(f"type mismatch in record field `{name}`", ty, actual_ty)
        case t.VariantType(), t.VariantType():
            if len(expected.cases) != len(actual.cases):
                raise Mismatch(f"expected {len(expected.cases)} cases, found {len(actual.cases)}")
            for (name, payload), (actual_name, actual_payload) in zip(expected.cases, actual.cases, strict=True):
                if name != actual_name:
                    raise Mismatch(f"expected case named `{name}`, found `{actual_name}`")
                if payload is None and actual_payload is not None:
                    raise Mismatch(f"expected case `{name}` to have no type")
                if payload is not None and actual_payload is None:
                    raise Mismatch(f"expected case `{name}` to have a type, found none")
                if payload is not None and actual_payload is not None:
                    _within(f"type mismatch in variant case `{name}`", payload, actual_payload)
        case t.TupleType(), t.TupleType():
            if len(expected.elements) != len(actual.elements):
                raise Mismatch(f"expected {len(expected.elements)} types, found {len(actual.elements)}")
            for i, (ty, actual_ty) in enumerate(zip(expected.elements, actual.elements, strict=True)):
                _within(f"type mismatch in tuple field {i}", ty, actual_ty)
        case t.ResultType(), t.ResultType():
            _optional("ok", expected.ok, actual.ok)
            _optional("err", expected.err, actual.err)
        case t.StreamType(), t.StreamType():
            _optional("stream", expected.payload, actual.payload)
        case t.FutureType(), t.FutureType():
            _optional("future", expected.payload, actual.payload)
        case t.FlagsType(), t.FlagsType():
            raise Mismatch("mismatch in flags elements")
        case t.EnumType(), t.EnumType():
            raise Mismatch("mismatch in enum elements")
        case t.ListType(), t.ListType():
            if expected.length != actual.length:
                raise Mismatch(f"expected {_length(expected)}, found {_length(actual)}")
            match_values(expected.element, actual.element)
        case t.MapType(), t.MapType():
            match_values(expected.key, actual.key)
            match_values(expected.value, actual.value)
        case t.OptionType(), t.OptionType():
            match_values(expected.payload, actual.payload)
        case ((t.OwnType() | t.BorrowType()), _):
            raise Mismatch("resource types are not the same")
    raise AssertionError("unequal types without a difference")


def _length(ty: t.ListType) -> str:
    return "a list of any length" if ty.length is None else f"a list of {ty.length} elements"


def _optional(what: str, expected: t.AnyValType | None, actual: t.AnyValType | None) -> None:
    if expected is None and actual is not None:
        raise Mismatch(f"expected {what} type to not be present")
    if expected is not None and actual is None:
        raise Mismatch(f"expected {what} type, but found none")
    if expected is not None and actual is not None and expected != actual:
        _within(f"type mismatch in {what} variant", expected, actual)


# --- core types --------------------------------------------------------------------------------------------------------


def match_modules(expected: t.ModuleType, actual: t.ModuleType) -> None:
    """`actual` may import less and export more."""
    wanted_imports = {(m, n): ty for m, n, ty in expected.imports}
    for module, name, ty in actual.imports:
        given = wanted_imports.get((module, name))
        if given is None:
            raise Mismatch(f"missing expected import `{module}::{name}`")
        try:
            match_core(ty, given)
        except Mismatch as e:
            raise Mismatch(f"type mismatch in import `{module}::{name}`: {e}") from None
    exports = dict(actual.exports)
    for name, ty in expected.exports:
        found = exports.get(name)
        if found is None:
            raise Mismatch(f"missing expected export `{name}`")
        try:
            match_core(ty, found)
        except Mismatch as e:
            raise Mismatch(f"type mismatch in export `{name}`: {e}") from None


def match_core(expected: CoreExternType, actual: CoreExternType) -> None:
    if type(expected) is not type(actual):
        raise Mismatch(f"expected {CORE_KIND_NAMES[type(expected)]}, found {CORE_KIND_NAMES[type(actual)]}")
    match expected, actual:
        case CoreFuncType(), CoreFuncType():
            if not _same_words(expected.params + expected.results, actual.params + actual.results) or len(
                expected.params
            ) != len(actual.params):
                raise Mismatch(f"expected: {_core_func(expected)}, found: {_core_func(actual)}")
        case TagType(), TagType():
            if not _same_words(expected.signature.params, actual.signature.params):
                raise Mismatch(f"expected tag: {_core_func(expected.signature)}, found: {_core_func(actual.signature)}")
        case GlobalType(), GlobalType():
            if expected.mutable != actual.mutable:
                raise Mismatch("mismatch in global mutability")
            if not _same_words((expected.content,), (actual.content,)):
                raise Mismatch(
                    f"expected global type {vt.valtype_str(expected.content)}, found {vt.valtype_str(actual.content)}"
                )
        case TableType(), TableType():
            if not _same_words((expected.element,), (actual.element,)):
                raise Mismatch(
                    f"expected table element type {vt.valtype_str(expected.element)}, "
                    f"found {vt.valtype_str(actual.element)}"
                )
            if expected.is_64 != actual.is_64:
                raise Mismatch("mismatch in index type for tables")
            if expected.shared != actual.shared:
                raise Mismatch("mismatch in the shared flag for tables")
            _limits("table", expected, actual)
        case MemoryType(), MemoryType():
            if expected.shared != actual.shared:
                raise Mismatch("mismatch in the shared flag for memories")
            if expected.is_64 != actual.is_64:
                raise Mismatch("mismatch in index type for memories")
            if expected.page_size_log2 != actual.page_size_log2:
                raise Mismatch("mismatch in page size for memories")
            _limits("memory", expected, actual)


def _same_words(expected: tuple[int, ...], actual: tuple[int, ...]) -> bool:
    """Equal value types. References to concrete types are compared by the type registry at instantiation: an index
    means nothing outside of its module."""
    if expected == actual:
        return True
    return len(expected) == len(actual) and all(
        a == b or (a & vt.VT_CONCRETE and b & vt.VT_CONCRETE and a & vt.VT_NULLABLE == b & vt.VT_NULLABLE)
        for a, b in zip(expected, actual, strict=True)
    )


def _core_func(ty: CoreFuncType) -> str:
    params = f" (param {' '.join(map(vt.valtype_str, ty.params))})" if ty.params else ""
    results = f" (result {' '.join(map(vt.valtype_str, ty.results))})" if ty.results else ""
    return f"(func{params}{results})"


def _limits(what: str, expected: TableType | MemoryType, actual: TableType | MemoryType) -> None:
    fits = actual.min >= expected.min and (
        expected.max is None or (actual.max is not None and actual.max <= expected.max)
    )
    if not fits:

        def text(ty: TableType | MemoryType) -> str:
            return f"minimum {ty.min}" if ty.max is None else f"minimum {ty.min}, maximum {ty.max}"

        raise Mismatch(f"mismatch in {what} limits: expected {text(expected)}, found {text(actual)}")
