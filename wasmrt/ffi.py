"""The C API (include/wasmrt.h) for Python, through cffi: load an artifact of a core module, instantiate it, call it, without a Python object a call.

`ffi` knows the types of the header, `lib` has its functions; both let go of the GIL around every call, as cffi does. A `wasmrt_callback` made with
`ffi.callback` or compiled from C can also be given to `wasmrt.Linker.define_func` and `wasmrt.Func`: guests then call it as it is.

>>> from wasmrt.ffi import ffi, lib
>>> error = ffi.new("wasmrt_error *")
>>> engine = lib.wasmrt_engine_new(error)
>>> module = lib.wasmrt_module_load(engine, artifact, len(artifact), error)
>>> store = lib.wasmrt_store_new(engine, error)
>>> instance = lib.wasmrt_instance_new(store, module, ffi.NULL, 0, error)
>>> values = ffi.new("wasmrt_value[2]", [{"i32": 2}, {"i32": 3}])
>>> lib.wasmrt_call(store, lib.wasmrt_instance_func(instance, b"add"), values, 2, error)
True
>>> values[0].i32
5
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cffi

import wasmrt._native
from wasmrt.spec._gen.c_api import DECLARATIONS, HEADER

__all__ = ["ffi", "header", "lib", "library_path"]


def library_path() -> str:
    """The path of libwasmrt.so, for linking C programs."""
    return str(Path(wasmrt._native.__file__).parent / "libwasmrt.so")


def header() -> str:
    """The text of include/wasmrt.h, for compiling C programs."""
    return HEADER


ffi: Any = cffi.FFI()
ffi.cdef(DECLARATIONS)
lib: Any = ffi.dlopen(library_path())
