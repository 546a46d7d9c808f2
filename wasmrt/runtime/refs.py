"""What references are in Python: functions, and objects of guests."""

from __future__ import annotations

from wasmrt._native.funcs import Func
from wasmrt._native.refs import AnyRef, ArrayRef, StructRef

__all__ = ["AnyRef", "ArrayRef", "Func", "StructRef"]
