"""Which case a lifted `result` is: tagged, or by the kind of its bare payload. The plan of the type decides; this only reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wasmrt._native import hosts
from wasmrt._native.abi import Record, Resource, Variant
from wasmrt.abi.plan import KIND_NONE, NO_NODE, PlanRows, compile_func
from wasmrt.errors import WitError
from wasmrt.spec import types as spec
from wasmrt.spec._gen import abi_ops as ops

_CLASSES: dict[str, type] = {
    "NONE": type(None),
    "BOOL": bool,
    "INT": int,
    "FLOAT": float,
    "STR": str,
    "BYTES": bytes,
    "LIST": list,
    "TUPLE": tuple,
    "SET": set,
    "DICT": dict,
    "RECORD": Record,
    "VARIANT": Variant,
    "RESOURCE": Resource,
}


def case_classes(ty: spec.VariantType | spec.OptionType | spec.ResultType) -> list[tuple[type, ...]] | None:
    """For each case of a bare variant, the classes of what it lifts to; None for one that lifts to Variant."""
    rows: PlanRows = compile_func(spec.FuncType((), spec.substitute_resources(ty, lambda _: 0)))
    row = rows.nodes[rows.result]
    if row.op == ops.ABI_OP_VARIANT:
        return None
    cases = []
    for field in rows.fields[row.first : row.first + row.num_fields]:
        mask = KIND_NONE if field.node == NO_NODE else rows.nodes[field.node].exact
        names = [kind.name for index, kind in enumerate(ops.ABI_KIND) if mask >> index & 1]
        cases.append(tuple(_CLASSES[name] for name in names if name in _CLASSES))
    return cases


def is_one(value: Any, classes: tuple[type, ...]) -> bool:
    """Whether a lifted value has one of the classes, True not being an int."""
    return isinstance(value, classes) and (type(value) is not bool or bool in classes)


def unwrapper(ty: spec.ResultType) -> Callable[[Any], Any]:
    """Takes the payload out of a lifted `result`: raises WitError for an `err`."""
    classes = case_classes(ty)
    if classes is None:

        def tagged(value: Any) -> Any:
            if value.tag == "err":
                raise WitError(value.payload)
            return value.payload

        return tagged
    err = classes[1]

    def bare(value: Any) -> Any:
        if is_one(value, err):
            raise WitError(value)
        return value

    return bare


def wrapper(ty: spec.ResultType, function: Callable[..., Any]) -> Callable[..., Any]:
    """A host function whose plain results are `ok`, and which raises WitError for an `err`."""
    classes = case_classes(ty)
    is_bare = classes is not None
    # with the tag, a value is never taken for an `ok`, whatever its class; but where a case's payload is a Variant, that is what a Variant is taken for
    tags_err = classes is None or not any(Variant in case for case in classes)

    async def call_async(*args: Any) -> Any:
        try:
            value = await function(*args)
        except WitError as error:
            return Variant("err", error.value) if tags_err else error.value
        return value if is_bare else Variant("ok", value)

    if hosts.is_coroutine_function(function):
        return call_async

    def call(*args: Any) -> Any:
        try:
            value = function(*args)
        except WitError as error:
            return Variant("err", error.value) if tags_err else error.value
        return value if is_bare else Variant("ok", value)

    return call
