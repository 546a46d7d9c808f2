"""Where instances come from: on demand, or a pool of slots that is reserved when the engine is made.

A pool makes an instance faster and bounds what all stores of an engine take together; a component that could never fit into it is refused when it is made
(`validate_component`), one that does not fit at the moment when it is instantiated. Both raise LimitError naming the limit.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

from wasmrt._native import core, images
from wasmrt.errors import ArgumentOverflowError, ArgumentTypeError, LimitError

# name: (default, what it bounds)
_POOL_OPTIONS: dict[str, tuple[int, str]] = {
    "total_component_instances": (1000, "component instances alive in all stores of the engine"),
    "total_core_instances": (1000, "core instances alive in all stores"),
    "total_memories": (1000, "linear memories alive in all stores"),
    "total_tables": (1000, "tables alive in all stores"),
    "max_core_instances_per_component": (2**32 - 1, "core instances that one component makes"),
    "max_memories_per_component": (2**32 - 1, "memories that one component makes"),
    "max_tables_per_component": (2**32 - 1, "tables that one component makes"),
    "max_memories_per_module": (1, "memories that one module defines"),
    "max_tables_per_module": (1, "tables that one module defines"),
    "max_core_instance_size": (1 << 20, "bytes of a core instance: its globals, functions whose address is taken, ..."),
    "max_memory_size": (1 << 32, "bytes that a memory may grow to"),
    "table_elements": (20_000, "elements that a table may grow to"),
    "linear_memory_keep_resident": (
        0,
        "bytes at the start of a memory that are zeroed in place when it is freed, not given back to the system",
    ),
    "table_keep_resident": (0, "bytes of a table that are zeroed in place; a page always is"),
    "max_unused_warm_slots": (100, "free memory slots that keep the image mapped that they were last used with"),
}
_COUNTS = 2**32 - 1


class PoolingAllocationConfig:
    """Sizes of a pool, by wasmtime's names: `Config(allocation_strategy=PoolingAllocationConfig(total_memories=100))`.

    Counts are of slots, shared by all stores of the engine; sizes are bytes, `table_elements` elements. Address space for all slots is reserved when the
    engine is made (a guarded memory slot takes `memory_reservation` and the guard of it, whatever `max_memory_size` is), memory only as it is used.
    Raises ArgumentTypeError and ArgumentOverflowError for values that are no size, AttributeError for an unknown name.

    >>> pool = PoolingAllocationConfig(total_memories=200, total_core_instances=400)
    >>> pool.linear_memory_keep_resident = 64 << 10
    """

    __slots__ = ("_values",)
    _values: dict[str, int]

    def __init__(self, **sizes: int) -> None:
        object.__setattr__(self, "_values", {name: default for name, (default, _) in _POOL_OPTIONS.items()})
        for name, value in sizes.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: int) -> None:
        if name not in _POOL_OPTIONS:
            raise AttributeError(f"PoolingAllocationConfig has no option {name!r}")
        if not isinstance(value, int) or isinstance(value, bool):
            raise ArgumentTypeError(f"PoolingAllocationConfig.{name}: expected int, got {type(value).__name__}")
        most = (
            _COUNTS if name.startswith(("total_", "max_unused")) or name.endswith(("_component", "_module")) else 2**46
        )
        if not 0 <= value <= most:
            raise ArgumentOverflowError(f"PoolingAllocationConfig.{name}: {value} is not within 0 to {most}")
        self._values[name] = value

    def __getattr__(self, name: str) -> int:
        if name.startswith("_") or name not in self._values:
            raise AttributeError(f"PoolingAllocationConfig has no option {name!r}")
        return int(self._values[name])

    def __dir__(self) -> list[str]:
        return sorted(_POOL_OPTIONS)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PoolingAllocationConfig) and self._values == other._values

    def __hash__(self) -> int:
        return hash(tuple(self._values.values()))

    def __reduce__(self) -> Any:
        return _restored, (dict(self._values),)

    def __copy__(self) -> PoolingAllocationConfig:
        return _restored(self._values)

    def __repr__(self) -> str:
        changed = (f"{name}={value}" for name, value in self._values.items() if value != _POOL_OPTIONS[name][0])
        return f"PoolingAllocationConfig({', '.join(changed)})"


def _restored(values: dict[str, int]) -> PoolingAllocationConfig:
    return PoolingAllocationConfig(**values)


def strategy_of(value: Any) -> PoolingAllocationConfig | None:
    """What `Config.allocation_strategy` was set to, checked; None: on demand."""
    if value is None or value == "on-demand":
        return None
    if value == "pooling":
        return PoolingAllocationConfig()
    if isinstance(value, PoolingAllocationConfig):
        return value.__copy__()
    raise ArgumentTypeError(
        f'Config.allocation_strategy: expected "on-demand", "pooling" or a PoolingAllocationConfig, got {value!r}'
    )


class MemoryInitialization(enum.Enum):
    """How a module's memories get their first contents."""

    SEGMENTED = "segmented"  # segment by segment, at each instantiation
    STATIC = "static"  # they are known in advance, and dense: mapped copy-on-write, or copied where they are small


class OnDemandAllocator:
    """Whatever the system gives; only a store's own limits hold."""

    pool: core.Pool | None = None

    def validate_module(self, code: images.CodeMemory, index: int) -> None:
        """Nothing is refused in advance."""

    def validate_component(self, code: images.CodeMemory, instantiated: Iterable[int]) -> None:
        """Nothing is refused in advance."""


class PoolingAllocator(OnDemandAllocator):
    """The pool of an engine."""

    def __init__(self, tunables: core.Tunables, config: PoolingAllocationConfig) -> None:
        self.config = config
        self.pool = core.Pool(tunables, config._values)

    def _check(self, what: str, value: int, limit: str, *, unit: str = "") -> None:
        most = getattr(self.config, limit)
        if value > most:
            raise LimitError(f"{what} {value}{unit}, which exceeds the pool's limit {limit} of {most}")

    def validate_module(self, code: images.CodeMemory, index: int) -> None:
        """LimitError when no slot could ever hold an instance of the module."""
        self._needs(code, index)

    def _needs(self, code: images.CodeMemory, index: int) -> tuple[int, int]:
        memories, tables, size = code.module_needs(index)
        name = f"module {index}"
        self._check(f"{name} defines memories:", len(memories), "max_memories_per_module")
        self._check(f"{name} defines tables:", len(tables), "max_tables_per_module")
        self._check(f"an instance of {name} takes", size, "max_core_instance_size", unit=" bytes")
        for i, needed in enumerate(memories):
            self._check(f"memory {i} of {name} starts with", needed, "max_memory_size", unit=" bytes")
        for i, needed in enumerate(tables):
            self._check(f"table {i} of {name} starts with", needed, "table_elements", unit=" elements")
        self._check(f"{name} defines memories:", len(memories), "total_memories")
        self._check(f"{name} defines tables:", len(tables), "total_tables")
        return len(memories), len(tables)

    def validate_component(self, code: images.CodeMemory, instantiated: Iterable[int]) -> None:
        """LimitError when the component could never be instantiated. `instantiated`: the module of each of its core instances, imported ones left out."""
        needs: dict[int, tuple[int, int]] = {index: self._needs(code, index) for index in range(code.num_modules)}
        instances = list(instantiated)
        memories = sum(needs[index][0] for index in instances)
        tables = sum(needs[index][1] for index in instances)
        for scope in ("max_{}_per_component", "total_{}"):
            self._check("the component makes core instances:", len(instances), scope.format("core_instances"))
            self._check("the component makes memories:", memories, scope.format("memories"))
            self._check("the component makes tables:", tables, scope.format("tables"))


def allocator(tunables: core.Tunables, strategy: PoolingAllocationConfig | None) -> OnDemandAllocator:
    """The allocator of an engine. Raises LimitError when the address space has no room for the pool."""
    return OnDemandAllocator() if strategy is None else PoolingAllocator(tunables, strategy)
