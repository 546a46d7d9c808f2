"""Types of components as data: structural equality, hashing, `str()` in WIT.

`Component`, `ComponentInstance`, `ComponentFunc`, `Module` and `CoreFunc` are what components import and export; value types are the rest. Resources are
`Resource` (`wasmrt.component.ResourceType`).

>>> component.type.exports(engine)["area"]
<wasmrt.component.ComponentFunc func(shape: rectangle) -> f64>
"""

from wasmrt.runtime.component_types import (
    Component,
    ComponentFunc,
    ComponentInstance,
    ComponentItem,
    CoreFunc,
    Module,
    TypeItem,
)
from wasmrt.runtime.values import ResourceType as Resource
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

__all__ = [
    "Bool",
    "BorrowType",
    "Char",
    "Component",
    "ComponentFunc",
    "ComponentInstance",
    "ComponentItem",
    "CoreFunc",
    "EnumType",
    "ErrorContext",
    "F32",
    "F64",
    "FlagsType",
    "FutureType",
    "ListType",
    "MapType",
    "Module",
    "OptionType",
    "OwnType",
    "RecordType",
    "Resource",
    "ResultType",
    "S8",
    "S16",
    "S32",
    "S64",
    "StreamType",
    "String",
    "TupleType",
    "TypeItem",
    "U8",
    "U16",
    "U32",
    "U64",
    "ValType",
    "VariantType",
]
