"""Types of `funcs.pyx`; documentation is there."""

from collections.abc import Callable
from typing import Any, Literal

from wasmrt._native.core import Store, VMFuncRef

class Func:
    store: Store
    def __init__(self, store: Any, ty: Any, func: Callable[..., Any], access_caller: bool = False) -> None: ...
    def __call__(self, *args: Any) -> Any: ...
    def with_options(
        self,
        *,
        gil: Literal["hold", "release"] | None = ...,
        results: Literal["memoryview", "array", "numpy"] | None = ...,
        copy: bool = ...,
        timeout: float | None = ...,
    ) -> Func: ...
    def type(self, store: Any = None) -> Any: ...
    @property
    def func_ref(self) -> VMFuncRef: ...

def set_func_factories(func: Callable[..., Any], val: type) -> None: ...
