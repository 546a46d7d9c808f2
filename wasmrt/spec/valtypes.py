"""Packed core value type words. The layout is the one of `wr_valtype` in include/wasmrt/wasmrt.h."""

from __future__ import annotations

VALTYPE_I32 = 1
VALTYPE_I64 = 2
VALTYPE_F32 = 3
VALTYPE_F64 = 4

_NAMES = {VALTYPE_I32: "i32", VALTYPE_I64: "i64", VALTYPE_F32: "f32", VALTYPE_F64: "f64"}


def valtype_str(word: int) -> str:
    """`i32`, `funcref`, ...: the text format's spelling."""
    return _NAMES.get(word, f"valtype {word:#x}")
