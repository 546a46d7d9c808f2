"""Packed core value type words, in the layout of csrc/wasm/types.h:

bits 0-3 kind, bit 4 nullable, bits 8-30 heap type code or type index, bit 31 set when it is an index. Artifacts hold
these words. A test compares the numbers with the C header.
"""

from __future__ import annotations

KIND_I32, KIND_I64, KIND_F32, KIND_F64, KIND_V128, KIND_REF, KIND_I8, KIND_I16 = range(1, 9)

(
    HEAP_FUNC,
    HEAP_EXTERN,
    HEAP_ANY,
    HEAP_EQ,
    HEAP_I31,
    HEAP_STRUCT,
    HEAP_ARRAY,
    HEAP_EXN,
    HEAP_NONE,
    HEAP_NOFUNC,
    HEAP_NOEXTERN,
    HEAP_NOEXN,
) = range(12)

VT_NULLABLE = 0x10
VT_CONCRETE = 0x80000000


def ref_type(nullable: bool, heap: int, concrete: bool = False) -> int:
    """A packed reference type: `heap` is a HEAP_* code, or a type index when `concrete`."""
    return KIND_REF | (VT_NULLABLE if nullable else 0) | heap << 8 | (VT_CONCRETE if concrete else 0)


VALTYPE_I32 = KIND_I32
VALTYPE_I64 = KIND_I64
VALTYPE_F32 = KIND_F32
VALTYPE_F64 = KIND_F64
VALTYPE_V128 = KIND_V128
VALTYPE_FUNCREF = ref_type(True, HEAP_FUNC)
VALTYPE_EXTERNREF = ref_type(True, HEAP_EXTERN)

_KIND_NAMES = {
    KIND_I32: "i32",
    KIND_I64: "i64",
    KIND_F32: "f32",
    KIND_F64: "f64",
    KIND_V128: "v128",
    KIND_I8: "i8",
    KIND_I16: "i16",
}
HEAP_NAMES = (
    "func",
    "extern",
    "any",
    "eq",
    "i31",
    "struct",
    "array",
    "exn",
    "none",
    "nofunc",
    "noextern",
    "noexn",
)


def valtype_str(word: int) -> str:
    """The text format's spelling: `i32`, `funcref`, `(ref 3)`, ..."""
    kind = word & 0xF
    if kind != KIND_REF:
        return _KIND_NAMES.get(kind, "bottom")
    heap = word >> 8 & 0x7FFFFF
    if word & VT_CONCRETE:
        name = str(heap)
    else:
        name = HEAP_NAMES[heap] if heap < len(HEAP_NAMES) else f"heap#{heap}"
        if word & VT_NULLABLE and heap <= HEAP_EXN:
            return name + "ref"
    return f"(ref null {name})" if word & VT_NULLABLE else f"(ref {name})"
