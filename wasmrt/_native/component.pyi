from typing import Any, Literal

from .abi import Plan
from .core import Store, VMFuncRef
from .funcs import Func
from .resources import ComponentInstance

class FuncLookup:
    def get_func(self, first: Any, second: Any = None) -> Any: ...

class ComponentFunc:
    store: Store
    name: str
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def with_options(
        self,
        *,
        gil: Literal["hold", "release"] | None = ...,
        results: Literal["memoryview", "array", "numpy"] | None = ...,
        copy: bool = ...,
        timeout: float | None = ...,
    ) -> ComponentFunc: ...
    def type(self, store: Store | None = None) -> Any: ...
    def post_return(self, store: Store | None = None) -> None: ...
    @property
    def func_ref(self) -> VMFuncRef: ...

def lift_func(
    state: ComponentInstance,
    func: Func,
    plan: Plan,
    *,
    instance: int,
    encoding: int = 0,
    memory: int | None = None,
    realloc: int | None = None,
    post_return: int | None = None,
    name: str = "",
) -> ComponentFunc: ...
def check_values(
    state: ComponentInstance, plan: Plan, args: tuple[Any, ...], result: Any = None, *, of_result: bool = False
) -> None: ...
