"""Implementation limits, from the one table include/wasmrt/limits.def, and how exceeding one is reported."""

from __future__ import annotations

from wasmrt.errors import LimitError

from ._gen.limits import LIMIT_BY_NAME


def limit(name: str) -> int:
    return LIMIT_BY_NAME[name].value


MODULE_BYTES = limit("MODULE_BYTES")
STRING_BYTES = limit("STRING_BYTES")
FUNCTION_PARAMS = limit("FUNCTION_PARAMS")
FUNCTION_RESULTS = limit("FUNCTION_RESULTS")
TYPES = limit("TYPES")
COMPONENT_DEPTH = limit("COMPONENT_DEPTH")
COMPONENT_ITEMS = limit("COMPONENT_ITEMS")
COMPONENT_TYPE_DEPTH = limit("COMPONENT_TYPE_DEPTH")
COMPONENT_TYPE_SIZE = limit("COMPONENT_TYPE_SIZE")
COMPONENT_STEPS = limit("COMPONENT_STEPS")
COMPONENT_ADAPTER_BYTES = limit("COMPONENT_ADAPTER_BYTES")
COMPONENT_FUNC_PARAMS = limit("COMPONENT_FUNC_PARAMS")
TASK_OBJECTS = limit("TASK_OBJECTS")


def exceeded(value: int, what: str, maximum: int, *, offset: int | None = None, path: str = "") -> LimitError:
    return LimitError(f"{value} {what}, the limit is {maximum}", offset=offset, path=path)


def check(name: str, value: int, *, offset: int | None = None, path: str = "") -> None:
    """Raises LimitError when `value` exceeds the limit of that name."""
    row = LIMIT_BY_NAME[name]
    if value > row.value:
        raise exceeded(value, row.what_it_bounds, row.value, offset=offset, path=path)
