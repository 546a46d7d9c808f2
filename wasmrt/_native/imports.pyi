from collections.abc import Callable
from typing import Any

from .abi import Plan

class LoweredImport: ...

def lower_import(
    plan: Plan | Callable[[], Plan],
    function: Callable[..., Any],
    *,
    pass_store: bool,
    instance: int,
    encoding: int = 0,
    memory: int | None = None,
    realloc: int | None = None,
    name: str = "",
) -> LoweredImport: ...
