"""wasmrt: a WebAssembly component runtime for Python with its own native code generator.

>>> import wasmrt
>>> engine = wasmrt.Engine()

Components are in `wasmrt.component`. Names follow wasmtime-py, so that a program switches by changing its import.
"""

import sys as _sys

from wasmrt._native.externs import Caller, Global, Memory, Table, Tag
from wasmrt._native.funcs import Func
from wasmrt._native.images import ArtifactMemory
from wasmrt._native.refs import AnyRef, ArrayRef, StructRef
from wasmrt._version import __version__
from wasmrt.errors import (
    ArgumentOverflowError,
    ArgumentTypeError,
    ArgumentValueError,
    ArtifactError,
    DecodeError,
    ExitTrap,
    Frame,
    LimitError,
    LinkError,
    TextError,
    Trap,
    UnsupportedError,
    ValidationError,
    WasmError,
    WasmtimeError,
    WitError,
)
from wasmrt.front import GuestResource, handle, load
from wasmrt.runtime.allocation import MemoryInitialization, PoolingAllocationConfig
from wasmrt.runtime.cache import CacheConfig
from wasmrt.runtime.config import Config
from wasmrt.runtime.engine import Engine
from wasmrt.runtime.linker import InstancePre, Linker
from wasmrt.runtime.module import Instance, InstanceExports, Module
from wasmrt.runtime.source import wasm2wat, wat2wasm
from wasmrt.runtime.store import Store
from wasmrt.runtime.types import (
    ExportType,
    FuncType,
    GlobalType,
    ImportType,
    Limits,
    MemoryType,
    TableType,
    TagType,
    TrapCode,
    Val,
    ValType,
)
from wasmrt.wasi.config import WasiConfig


def install_as(name: str = "wasmtime") -> None:
    """Makes `import wasmtime` (or another name) find wasmrt in this process, for packages that were written for the peer.

    Call it before anything imports that name: raises WasmError when it is another package already. Calling it again changes nothing.

    >>> wasmrt.install_as("wasmtime")
    >>> import wasmtime.component
    """
    import wasmrt.component._types  # noqa: F401  (so that it is there)

    if not isinstance(name, str):
        raise ArgumentTypeError(f"expected a name, got {type(name).__name__}")
    if not name.isidentifier():
        raise ArgumentValueError(f"{name!r} is no name of a package")
    there = _sys.modules.get(name)
    if there is not None and there is not _sys.modules[__name__]:
        raise WasmError(f"{name} has been imported already: call wasmrt.install_as before anything imports it")
    for module in ("", ".component", ".component.types", ".component._types"):
        _sys.modules[name + module] = _sys.modules[__name__ + module]


__all__ = [
    "AnyRef",
    "ArgumentOverflowError",
    "ArgumentTypeError",
    "ArgumentValueError",
    "ArrayRef",
    "ArtifactError",
    "ArtifactMemory",
    "CacheConfig",
    "Caller",
    "Config",
    "DecodeError",
    "Engine",
    "ExitTrap",
    "ExportType",
    "Frame",
    "Func",
    "FuncType",
    "Global",
    "GlobalType",
    "GuestResource",
    "ImportType",
    "Instance",
    "InstanceExports",
    "InstancePre",
    "LimitError",
    "Limits",
    "LinkError",
    "Linker",
    "Memory",
    "MemoryInitialization",
    "MemoryType",
    "Module",
    "PoolingAllocationConfig",
    "Store",
    "StructRef",
    "Table",
    "TableType",
    "Tag",
    "TagType",
    "TextError",
    "Trap",
    "TrapCode",
    "UnsupportedError",
    "Val",
    "ValType",
    "ValidationError",
    "WasiConfig",
    "WasmError",
    "WasmtimeError",
    "WitError",
    "__version__",
    "handle",
    "install_as",
    "load",
    "wasm2wat",
    "wat2wasm",
]
