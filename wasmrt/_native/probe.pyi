from collections.abc import Callable
from typing import Any

from .abi import Plan

class Probe:
    plan: Plan
    memory: bytearray
    log: list[Any]
    def __init__(
        self,
        plan: Plan,
        memory: bytearray,
        realloc: Callable[[int, int], int],
        encoding: int = 0,
        lower_handle: Callable[[int, bool, Any], int] | None = None,
        lift_handle: Callable[[int, bool, int], Any] | None = None,
    ) -> None: ...
    def lower_params(self, *args: Any) -> list[int]: ...
    def lower_result(self, value: Any, return_pointer: int = 0) -> int | None: ...
    def lift_params(self, values: list[int]) -> tuple[Any, ...]: ...
    def lift_result(self, value: int = 0) -> Any: ...
