"""What is known of a lifted function or a built-in before anything runs: options as runtime slots, types of streams' elements."""

from __future__ import annotations

from dataclasses import dataclass, field

from wasmrt._native.abi import Plan
from wasmrt.abi.plan import compile_func
from wasmrt.spec import types as t
from wasmrt.translate.type_facts import TypeFacts

_NUMBERS = (t.U8, t.S8, t.U16, t.S16, t.U32, t.S32, t.U64, t.S64, t.F32, t.F64)


@dataclass(frozen=True, slots=True)
class Options:
    """Slots of the runtime; `instance` is the runtime component instance."""

    instance: int
    encoding: int
    memory: int | None
    realloc: int | None
    async_: bool


@dataclass(frozen=True, slots=True)
class Lift:
    """A lifted function. `func` and `callback` are callback slots, `result` the type that task.return has to be given."""

    options: Options
    func: int
    num_results: int
    callback: int | None
    post_return: int | None
    result: t.AnyValType | None

    @property
    def async_(self) -> bool:
        return self.options.async_


@dataclass(slots=True)
class Elements:
    """What a stream or future carries: None, or values of a type with its layout in memory."""

    type: t.AnyValType | None
    size: int = 0
    align: int = 1
    is_plain: bool = True  # copied as bytes
    is_number: bool = True  # or nothing: may be read by who writes it
    _plan: Plan | None = field(default=None, repr=False)

    @staticmethod
    def of(facts: TypeFacts, ty: t.AnyValType | None) -> Elements:
        if ty is None:
            return Elements(None)
        size, align = facts.layouts.of(ty)
        return Elements(ty, size, align, facts.plain(ty), isinstance(ty, _NUMBERS))

    @property
    def plan(self) -> Plan:
        """Of a function that takes a list of them."""
        if self._plan is None:
            assert self.type is not None
            self._plan = Plan(compile_func(t.FuncType((("elements", t.ListType(self.type)),), None)))
        return self._plan
