from collections.abc import Callable
from typing import Any

from wasmrt.spec.types import FuncType

from .abi import Plan
from .core import Store, VMFuncRef
from .externs import Func
from .resources import ComponentInstance

LOWER: int
RESOURCE_NEW: int
RESOURCE_REP: int
RESOURCE_DROP: int
ADAPTER_TRAP: int
TRANSCODER: int
TRANSFER_OWN: int
TRANSFER_BORROW: int
ENTER_CALL: int
EXIT_CALL: int

class ComponentFunc:
    store: Store
    name: str
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def type(self, store: Store | None = None) -> FuncType: ...
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
def make_trampolines(state: ComponentInstance, rows: list[tuple[int, int, int, int, int, int]]) -> list[Func]: ...
def set_import(
    state: ComponentInstance,
    trampoline: int,
    plan: Plan,
    function: Callable[..., Any],
    *,
    pass_store: bool,
    instance: int,
    encoding: int = 0,
    memory: int | None = None,
    realloc: int | None = None,
    name: str = "",
) -> None: ...
