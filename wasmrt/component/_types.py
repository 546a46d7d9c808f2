"""Names that programs written for wasmtime-py take from its private module of this name."""

from wasmrt.runtime.values import Record, ResourceType, Variant
from wasmrt.spec.types import OptionType, ResultType, ValType, VariantLikeType, VariantType

from .types import *  # noqa: F403
from .types import Component as ComponentType
from .types import ComponentFunc as FuncType
from .types import ComponentInstance as ComponentInstanceType
from .types import Module as ModuleType

__all__ = [
    "ComponentInstanceType",
    "ComponentType",
    "FuncType",
    "ModuleType",
    "OptionType",
    "Record",
    "ResourceType",
    "ResultType",
    "ValType",
    "Variant",
    "VariantLikeType",
    "VariantType",
]
