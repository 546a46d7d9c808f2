"""wasmrt: a WebAssembly component runtime for Python with its own native code generator.

>>> import wasmrt
>>> engine = wasmrt.Engine()

Components are in `wasmrt.component`. Names follow wasmtime-py, so that a program switches by changing its import.
"""

from wasmrt._native.externs import Caller, Func, Global, Memory, Table, Tag
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
from wasmrt.front import handle, load
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

__all__ = [
    "ArgumentOverflowError",
    "ArgumentTypeError",
    "ArgumentValueError",
    "ArtifactError",
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
    "ImportType",
    "Instance",
    "InstanceExports",
    "InstancePre",
    "LimitError",
    "Limits",
    "LinkError",
    "Linker",
    "Memory",
    "MemoryType",
    "Module",
    "Store",
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
    "load",
    "wasm2wat",
    "wat2wasm",
]
