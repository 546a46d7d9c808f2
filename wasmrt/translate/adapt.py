"""Calls between components: which adapters there are, and which core modules they go into.

Lowering a function that another component lifts makes a `PendingAdapter`. Everything that it needs (the callee, memories,
reallocs) exists by then, so any number of adapters can wait until the first one is wanted; then all that wait become one
core module, instantiated just before what asked for it. An adapter that is never wanted costs nothing.

Adapters check that the caller may leave, but not that the callee may be entered. Instances call each other along edges
that instantiation drew: to those that were complete before they began. So, but for calls between an instance and one
inside it, which the specification forbids altogether and which are known here (`Adapter.recursive`), no chain of adapters
comes back to an instance it went through. Only the host can, and calls from the host are refused while any instance of
the same root is busy (`_native.component`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from wasmrt.spec import types as t
from wasmrt.spec.features import SWITCHES

from . import info as i
from .adapter_code import Adapter, AdapterModule
from .translation import StaticModule
from .type_facts import TypeFacts

_MAX_MEMORIES = 90  # of a module; an adapter adds two
_MAX_ADAPTERS = 1000


@dataclass(eq=False, slots=True)
class PendingAdapter:
    """An adapter; `definition` is its function, once its module has been instantiated."""

    adapter: Adapter
    definition: i.CoreDef | None = None
    make: Callable[[i.CoreExport, i.CoreExport], i.CoreDef] | None = None  # async: of the functions for parameters and result


@dataclass
class _Module:
    code: AdapterModule
    members: list[tuple[PendingAdapter, int]] = field(default_factory=list)

    @property
    def args(self) -> list[i.CoreDef]:
        return self.code.args

    def static_module(self) -> StaticModule:
        from wasmrt._native.wasm import FEATURES_DEFAULT, CoreModule

        return StaticModule(0, 0, CoreModule(self.code.finish(), FEATURES_DEFAULT), "adapter", is_adapter=True)

    def define(self, instance: i.RuntimeInstanceIndex) -> None:
        def export(index: int) -> i.CoreExport:
            return i.CoreExport(instance, i.CoreKind.FUNC, str(index), self.code.func_index(index))

        for pending, index in self.members:
            if pending.make is None:
                pending.definition = export(index)
            else:
                pending.definition = pending.make(export(index), export(self.code.result_of[index]))


class Adapters:
    """Those of one component."""

    def __init__(self, intern: Callable[[t.AnyValType], i.TypeIndex]) -> None:
        self._facts = TypeFacts()
        self._intern = intern
        self._waiting: list[PendingAdapter] = []
        self._known: dict[Adapter, PendingAdapter] = {}

    def unsupported(self, memory_64: bool) -> str | None:
        """What of lifting or lowering a function cannot be run yet."""
        if memory_64:
            return f"with a 64-bit memory (Config.{SWITCHES['memory64'][0]} admits it)"
        return None

    def add(
        self, adapter: Adapter, make: Callable[[i.CoreExport, i.CoreExport], i.CoreDef] | None = None
    ) -> PendingAdapter:
        pending = self._known.get(adapter)
        if pending is None:
            pending = self._known[adapter] = PendingAdapter(adapter, make=make)
            self._waiting.append(pending)
        return pending

    def take(self, trampoline: Callable[[i.Trampoline], i.CoreTrampoline]) -> list[_Module]:
        """Writes all that wait; `trampoline` numbers the intrinsics that they import."""
        modules: list[_Module] = []
        for pending in self._waiting:
            full = (
                not modules
                or modules[-1].code.num_memories > _MAX_MEMORIES
                or len(modules[-1].members) >= _MAX_ADAPTERS
            )
            if full:
                modules.append(_Module(AdapterModule(trampoline, self._intern, self._facts)))
            modules[-1].members.append((pending, modules[-1].code.add(pending.adapter)))
        self._waiting = []
        return modules
