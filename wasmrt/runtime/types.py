"""Types of core WebAssembly as users spell them, with the names and constructors of wasmtime-py.

`word` attributes are the packed value types of csrc/wasm/types.h. The ABI and the translator use the records of `spec.core_types`; `from_core_type`
turns those into these.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from wasmrt._native import core as native_core
from wasmrt._native import externs, funcs
from wasmrt.errors import ArgumentTypeError
from wasmrt.spec import core_types, valtypes
from wasmrt.spec._gen import traps

TrapCode = traps.TrapCode
TrapCode.__doc__ = "Why a guest trapped: wasmtime's numbers where it has the same trap (include/wasmrt/traps.def)."
native_core.set_trap_code_enum(TrapCode)


@dataclasses.dataclass(frozen=True)
class ValType:
    """A core value type, made by `ValType.i32()` and its siblings; equal when they are the same type. `str()` is its name in the text format.

    >>> FuncType([ValType.i32(), ValType.f64()], [ValType.i64()])
    FuncType([i32 f64] -> [i64])
    """

    word: int

    @classmethod
    def i32(cls) -> ValType:
        """A 32-bit integer: an int, signed as a result."""
        return cls(valtypes.VALTYPE_I32)

    @classmethod
    def i64(cls) -> ValType:
        """A 64-bit integer: an int, signed as a result."""
        return cls(valtypes.VALTYPE_I64)

    @classmethod
    def f32(cls) -> ValType:
        """A float, rounded to 32 bits."""
        return cls(valtypes.VALTYPE_F32)

    @classmethod
    def f64(cls) -> ValType:
        """A float."""
        return cls(valtypes.VALTYPE_F64)

    @classmethod
    def v128(cls) -> ValType:
        """A vector: 16 bytes, or an int of 128 bits as an argument."""
        return cls(valtypes.VALTYPE_V128)

    @classmethod
    def externref(cls) -> ValType:
        """Any Python object, which guests cannot look into; None is the null reference."""
        return cls(valtypes.VALTYPE_EXTERNREF)

    @classmethod
    def anyref(cls) -> ValType:
        """An object of a guest (StructRef, ArrayRef), an int of 31 bits, any other Python object as by externref, or None."""
        return cls(valtypes.ref_type(True, valtypes.HEAP_ANY))

    @classmethod
    def eqref(cls) -> ValType:
        """An object of a guest, an int of 31 bits, or None."""
        return cls(valtypes.ref_type(True, valtypes.HEAP_EQ))

    @classmethod
    def i31ref(cls) -> ValType:
        """An int of 31 bits, signed as a result, of either sign as an argument; or None."""
        return cls(valtypes.ref_type(True, valtypes.HEAP_I31))

    @classmethod
    def structref(cls) -> ValType:
        """A StructRef, or None."""
        return cls(valtypes.ref_type(True, valtypes.HEAP_STRUCT))

    @classmethod
    def arrayref(cls) -> ValType:
        """An ArrayRef, or None."""
        return cls(valtypes.ref_type(True, valtypes.HEAP_ARRAY))

    @classmethod
    def funcref(cls) -> ValType:
        """A Func, or None."""
        return cls(valtypes.VALTYPE_FUNCREF)

    def __str__(self) -> str:
        return valtypes.valtype_str(self.word)

    def __repr__(self) -> str:
        return f"ValType.{self}"


class FuncType:
    """The type of a core function: `FuncType(params, results)`, both sequences of ValType. Raises ArgumentTypeError for anything else in them.

    >>> Func(store, FuncType([ValType.i32()], [ValType.i32()]), lambda value: value + 1)(41)
    42
    """

    def __init__(self, params: Sequence[ValType], results: Sequence[ValType]) -> None:
        for ty in (*params, *results):
            if not isinstance(ty, ValType):
                raise ArgumentTypeError(f"expected a ValType, got {type(ty).__name__}")
        self.params = list(params)
        self.results = list(results)

    @property
    def param_words(self) -> tuple[int, ...]:
        """The parameters as the packed words that the native code uses."""
        return tuple(ty.word for ty in self.params)

    @property
    def result_words(self) -> tuple[int, ...]:
        """The results as packed words."""
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
    """Minimum and maximum (None: no maximum) of a memory in pages or of a table in elements: `Limits(1, 16)`."""

    min: int
    max: int | None = None


@dataclasses.dataclass(frozen=True)
class MemoryType:
    """The type of a linear memory. `limits` are in pages of `1 << page_size_log2` bytes; `is_64`: addresses are 64-bit; `shared`: for threads.

    >>> Memory(store, MemoryType(Limits(1, 16))).data_len()
    65536
    """

    limits: Limits
    is_64: bool = False
    shared: bool = False
    page_size_log2: int = 16

    def __post_init__(self) -> None:
        if not isinstance(self.limits, Limits):
            raise ArgumentTypeError(f"expected Limits, got {type(self.limits).__name__}")

    @property
    def is_shared(self) -> bool:
        """The same as `shared`, by the peer's name."""
        return self.shared

    @property
    def page_size(self) -> int:
        """Bytes of a page."""
        return 1 << self.page_size_log2


@dataclasses.dataclass(frozen=True)
class TableType:
    """The type of a table, `TableType(ValType.funcref(), Limits(4))`: the reference type of its elements, and how many there are."""

    element: ValType
    limits: Limits


@dataclasses.dataclass(frozen=True)
class GlobalType:
    """The type of a global, `GlobalType(ValType.i32(), True)`: of its content, and whether it can be set."""

    content: ValType
    mutable: bool = False


@dataclasses.dataclass(frozen=True)
class TagType:
    """The type of an exception tag, `TagType(FuncType([ValType.i32()], []))`: what its exceptions carry; no results."""

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
    """A core value with its kind, as the peer has it; plain Python values are accepted wherever one is, and results are plain.

    >>> Global(store, GlobalType(ValType.i64(), False), Val.i64(5)).value()
    5
    >>> Val.i32(5).as_i32(), Val.i32(5).as_f64()
    (5, None)

    Whether the value fits the kind is seen where it is used: ArgumentTypeError or ArgumentOverflowError then.
    """

    def __init__(self, kind: ValType, val: Any) -> None:
        self.type = kind
        self.value = val

    @classmethod
    def i32(cls, val: int) -> Val:
        """An i32, from an int, signed or unsigned."""
        return cls(ValType.i32(), val)

    @classmethod
    def i64(cls, val: int) -> Val:
        """An i64, from an int, signed or unsigned."""
        return cls(ValType.i64(), val)

    @classmethod
    def f32(cls, val: float) -> Val:
        """An f32, from a float or int."""
        return cls(ValType.f32(), val)

    @classmethod
    def f64(cls, val: float) -> Val:
        """An f64, from a float or int."""
        return cls(ValType.f64(), val)

    @classmethod
    def externref(cls, val: Any) -> Val:
        """A reference to any Python object; None is null."""
        return cls(ValType.externref(), val)

    @classmethod
    def funcref(cls, val: funcs.Func | None) -> Val:
        """A reference to a function; None is null."""
        return cls(ValType.funcref(), val)

    @classmethod
    def ref_null(cls, ty: ValType) -> Val:
        """The null reference of a reference type."""
        return cls(ty, None)

    def _as(self, ty: ValType) -> Any:
        return self.value if self.type == ty else None

    def as_i32(self) -> int | None:
        """The value, or None when this is no i32."""
        return self._as(ValType.i32())  # type: ignore[no-any-return]

    def as_i64(self) -> int | None:
        """The value, or None when this is no i64."""
        return self._as(ValType.i64())  # type: ignore[no-any-return]

    def as_f32(self) -> float | None:
        """The value, or None when this is no f32."""
        return self._as(ValType.f32())  # type: ignore[no-any-return]

    def as_f64(self) -> float | None:
        """The value, or None when this is no f64."""
        return self._as(ValType.f64())  # type: ignore[no-any-return]

    def as_externref(self) -> Any:
        """The value, or None when this is no externref."""
        return self._as(ValType.externref())

    def as_funcref(self) -> funcs.Func | None:
        """The value, or None when this is no funcref."""
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


funcs.set_func_factories(
    func=lambda params, results: FuncType([ValType(w) for w in params], [ValType(w) for w in results]), val=Val
)
externs.set_type_factories(
    memory=lambda low, high, is_64, shared, log2: MemoryType(Limits(low, high), is_64, shared, log2),
    table=lambda word, low, high: TableType(ValType(word), Limits(low, high)),
    global_=lambda word, mutable: GlobalType(ValType(word), mutable),
    tag=TagType,
)
