"""Types of core WebAssembly as users spell them, with the names and constructors of wasmtime-py.

`word` attributes are the packed value types of csrc/wasm/types.h. The ABI and the translator use the records of `spec.core_types`; `from_core_type`
turns those into these.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any

from wasmrt._native import core as native_core
from wasmrt._native import externs
from wasmrt.errors import ArgumentTypeError
from wasmrt.spec import core_types, valtypes
from wasmrt.spec._gen import traps

TrapCode = enum.IntEnum("TrapCode", {row.name: row.number for row in traps.TRAP})  # type: ignore[misc]
TrapCode.__doc__ = "Why a guest trapped: wasmtime's numbers where it has the same trap (include/wasmrt/traps.def)."
native_core.set_trap_code_enum(TrapCode)


@dataclasses.dataclass(frozen=True)
class ValType:
    """A core value type. `ValType.i32()`, ...; equal when they are the same type."""

    word: int

    @classmethod
    def i32(cls) -> ValType:
        return cls(valtypes.VALTYPE_I32)

    @classmethod
    def i64(cls) -> ValType:
        return cls(valtypes.VALTYPE_I64)

    @classmethod
    def f32(cls) -> ValType:
        return cls(valtypes.VALTYPE_F32)

    @classmethod
    def f64(cls) -> ValType:
        return cls(valtypes.VALTYPE_F64)

    @classmethod
    def v128(cls) -> ValType:
        return cls(valtypes.VALTYPE_V128)

    @classmethod
    def externref(cls) -> ValType:
        return cls(valtypes.VALTYPE_EXTERNREF)

    @classmethod
    def funcref(cls) -> ValType:
        return cls(valtypes.VALTYPE_FUNCREF)

    def __str__(self) -> str:
        return valtypes.valtype_str(self.word)

    def __repr__(self) -> str:
        return f"ValType.{self}"


class FuncType:
    """`FuncType(params, results)`: both sequences of ValType."""

    def __init__(self, params: Sequence[ValType], results: Sequence[ValType]) -> None:
        for ty in (*params, *results):
            if not isinstance(ty, ValType):
                raise ArgumentTypeError(f"expected a ValType, got {type(ty).__name__}")
        self.params = list(params)
        self.results = list(results)

    @property
    def param_words(self) -> tuple[int, ...]:
        return tuple(ty.word for ty in self.params)

    @property
    def result_words(self) -> tuple[int, ...]:
        return tuple(ty.word for ty in self.results)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FuncType):
            return NotImplemented
        return self.params == other.params and self.results == other.results

    def __hash__(self) -> int:
        return hash((self.param_words, self.result_words))

    def __str__(self) -> str:
        return f"[{' '.join(map(str, self.params))}] -> [{' '.join(map(str, self.results))}]"

    def __repr__(self) -> str:
        return f"FuncType({self})"


@dataclasses.dataclass(frozen=True)
class Limits:
    """Minimum and maximum (None: no maximum) of a memory in pages or of a table in elements."""

    min: int
    max: int | None = None


@dataclasses.dataclass(frozen=True)
class MemoryType:
    """`MemoryType(limits, is_64=False, shared=False, page_size_log2=16)`."""

    limits: Limits
    is_64: bool = False
    shared: bool = False
    page_size_log2: int = 16

    def __post_init__(self) -> None:
        if not isinstance(self.limits, Limits):
            raise ArgumentTypeError(f"expected Limits, got {type(self.limits).__name__}")

    @property
    def is_shared(self) -> bool:
        return self.shared

    @property
    def page_size(self) -> int:
        return 1 << self.page_size_log2


@dataclasses.dataclass(frozen=True)
class TableType:
    """`TableType(valtype, limits)`: `element` is a reference type."""

    element: ValType
    limits: Limits


@dataclasses.dataclass(frozen=True)
class GlobalType:
    """`GlobalType(valtype, mutable)`."""

    content: ValType
    mutable: bool = False


@dataclasses.dataclass(frozen=True)
class TagType:
    """`TagType(functype)`."""

    functype: FuncType


ExternType = FuncType | MemoryType | TableType | GlobalType | TagType


@dataclasses.dataclass(frozen=True)
class ImportType:
    """One import of a module: `.module`, `.name`, `.type`."""

    module: str
    name: str
    type: ExternType


@dataclasses.dataclass(frozen=True)
class ExportType:
    """One export of a module: `.name`, `.type`."""

    name: str
    type: ExternType


class Val:
    """A core value with its kind, as the peer has it; plain Python values are accepted everywhere too."""

    def __init__(self, kind: ValType, val: Any) -> None:
        self.type = kind
        self.value = val

    @classmethod
    def i32(cls, val: int) -> Val:
        return cls(ValType.i32(), val)

    @classmethod
    def i64(cls, val: int) -> Val:
        return cls(ValType.i64(), val)

    @classmethod
    def f32(cls, val: float) -> Val:
        return cls(ValType.f32(), val)

    @classmethod
    def f64(cls, val: float) -> Val:
        return cls(ValType.f64(), val)

    @classmethod
    def externref(cls, val: Any) -> Val:
        return cls(ValType.externref(), val)

    @classmethod
    def funcref(cls, val: externs.Func | None) -> Val:
        return cls(ValType.funcref(), val)

    @classmethod
    def ref_null(cls, ty: ValType) -> Val:
        return cls(ty, None)

    def _as(self, ty: ValType) -> Any:
        return self.value if self.type == ty else None

    def as_i32(self) -> int | None:
        return self._as(ValType.i32())  # type: ignore[no-any-return]

    def as_i64(self) -> int | None:
        return self._as(ValType.i64())  # type: ignore[no-any-return]

    def as_f32(self) -> float | None:
        return self._as(ValType.f32())  # type: ignore[no-any-return]

    def as_f64(self) -> float | None:
        return self._as(ValType.f64())  # type: ignore[no-any-return]

    def as_externref(self) -> Any:
        return self._as(ValType.externref())

    def as_funcref(self) -> externs.Func | None:
        return self._as(ValType.funcref())  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Val):
            return NotImplemented
        return self.type == other.type and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.type)

    def __repr__(self) -> str:
        return f"Val({self.type}, {self.value!r})"


def from_core_type(ty: core_types.CoreExternType) -> ExternType:
    """The public type of a record that the reader made."""
    match ty:
        case core_types.CoreFuncType():
            return FuncType([ValType(w) for w in ty.params], [ValType(w) for w in ty.results])
        case core_types.MemoryType():
            return MemoryType(Limits(ty.min, ty.max), ty.is_64, ty.shared, ty.page_size_log2)
        case core_types.TableType():
            return TableType(ValType(ty.element), Limits(ty.min, ty.max))
        case core_types.GlobalType():
            return GlobalType(ValType(ty.content), ty.mutable)
        case core_types.TagType():
            signature = ty.signature
            return TagType(FuncType([ValType(w) for w in signature.params], [ValType(w) for w in signature.results]))
    raise AssertionError(ty)


externs.set_type_factories(
    func=lambda params, results: FuncType([ValType(w) for w in params], [ValType(w) for w in results]),
    memory=lambda low, high, is_64, shared, log2: MemoryType(Limits(low, high), is_64, shared, log2),
    table=lambda word, low, high: TableType(ValType(word), Limits(low, high)),
    global_=lambda word, mutable: GlobalType(ValType(word), mutable),
    tag=TagType,
    val=Val,
)
