from collections.abc import Callable
from typing import Any

from .core import Store, TypeRegistry
from .externs import Func

class HostFunc: ...

def make_host_func(registry: TypeRegistry, ty: Any, func: Callable[..., Any], access_caller: bool = False) -> HostFunc: ...
def define_func(func: Func, store: Store, ty: Any, function: Callable[..., Any], access_caller: bool) -> None: ...
