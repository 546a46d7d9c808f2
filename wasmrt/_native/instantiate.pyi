"""Types of `instantiate.pyx`; documentation is there."""

from collections.abc import Callable
from typing import Any

from wasmrt.spec.types import FuncType

from .core import Store
from .externs import InstanceHandle, TypeCollection
from .fibers import Intrinsic
from .hosts import HostFunc
from .imports import LoweredImport
from .resources import ComponentInstance, ResourceType

KINDS: dict[str, int]
INSTANTIATE: int
MEMORY: int
REALLOC: int
POST_RETURN: int
RESOURCE: int
CALLBACK: int
TABLE: int
OF_INSTANCE: int
OF_TRAMPOLINE: int
OF_FLAGS: int

class Program:
    def __init__(
        self,
        steps: list[tuple[int, int, int, int, int, TypeCollection | None]],
        refs: list[tuple[int, int, int, int]],
        rows: list[tuple[int, int, int, int, int, int]],
        *,
        num_instances: int,
        num_memories: int,
        num_reallocs: int,
        num_post_returns: int,
        num_resources: int,
        num_core_instances: int,
        num_callbacks: int = 0,
        num_tables: int = 0,
    ) -> None: ...

class Bindings:
    def __init__(
        self,
        program: Program,
        lowered: list[LoweredImport | Intrinsic | None],
        resources: list[ResourceType | None],
        dtors: list[Any],
        names: list[str],
        describe: Callable[[FuncType, str], Any] | None = None,
        make_tasks: Callable[[ComponentInstance], Any] | None = None,
    ) -> None: ...

class ModulePre:
    def __init__(self, types: TypeCollection, items: list[HostFunc | Any]) -> None: ...
    def instantiate(self, store: Store) -> InstanceHandle: ...

def instantiate(bindings: Bindings, store: Store) -> ComponentInstance: ...
def core_item(state: ComponentInstance, source: int, at: int, kind: int, index: int) -> Any: ...
