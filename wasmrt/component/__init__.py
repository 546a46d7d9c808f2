"""WebAssembly components: compile, link, instantiate, call. The names are those of `wasmtime.component`.

>>> from wasmrt.component import Component, Linker
>>> component = Component.from_file(engine, "codec.wasm")
>>> instance = Linker(engine).instantiate(store, component)
>>> instance.exports.run()
"""

from wasmrt.concurrent.calls import TaskFunc
from wasmrt.concurrent.host import FutureReader, StreamReader
from wasmrt.runtime.component import Component, ComponentExportIndex, ResourcesRequired
from wasmrt.runtime.component_instance import ComponentExports, InstancePre
from wasmrt.runtime.component_instance import ComponentInstance as Instance
from wasmrt.runtime.component_linker import Linker, LinkerInstance
from wasmrt.runtime.component_types import Component as ComponentType
from wasmrt.runtime.component_types import ComponentFunc as FuncType
from wasmrt.runtime.component_types import ComponentInstance as ComponentInstanceType
from wasmrt.runtime.component_types import ComponentItem
from wasmrt.runtime.component_types import Module as ModuleType
from wasmrt.runtime.values import ComponentFunc as Func
from wasmrt.runtime.values import Record, ResourceAny, ResourceHost, ResourceType, Variant, record_class
from wasmrt.spec.types import (
    F32,
    F64,
    S8,
    S16,
    S32,
    S64,
    U8,
    U16,
    U32,
    U64,
    Bool,
    BorrowType,
    Char,
    EnumType,
    ErrorContext,
    FlagsType,
    FutureType,
    ListType,
    MapType,
    OptionType,
    OwnType,
    RecordType,
    ResultType,
    StreamType,
    String,
    TupleType,
    ValType,
    VariantType,
)

from . import types

ExportIndex = ComponentExportIndex

__all__ = [
    "Bool",
    "BorrowType",
    "Char",
    "Component",
    "ComponentExportIndex",
    "ComponentExports",
    "ComponentInstanceType",
    "ComponentItem",
    "ComponentType",
    "EnumType",
    "ErrorContext",
    "ExportIndex",
    "F32",
    "F64",
    "FlagsType",
    "Func",
    "FuncType",
    "FutureReader",
    "FutureType",
    "Instance",
    "InstancePre",
    "Linker",
    "LinkerInstance",
    "ListType",
    "MapType",
    "ModuleType",
    "OptionType",
    "OwnType",
    "Record",
    "RecordType",
    "ResourceAny",
    "ResourceHost",
    "ResourceType",
    "ResourcesRequired",
    "ResultType",
    "S8",
    "S16",
    "S32",
    "S64",
    "StreamReader",
    "StreamType",
    "TaskFunc",
    "String",
    "TupleType",
    "U8",
    "U16",
    "U32",
    "U64",
    "ValType",
    "Variant",
    "VariantType",
    "record_class",
    "types",
]
