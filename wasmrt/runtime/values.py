"""Values that cross a component's boundary and have no Python class of their own, and resources: defined by `_native`, named here for users."""

from wasmrt._native.abi import Record, Variant, record_class
from wasmrt._native.component import ComponentFunc
from wasmrt._native.resources import ResourceAny, ResourceHost, ResourceType

__all__ = ["ComponentFunc", "Record", "ResourceAny", "ResourceHost", "ResourceType", "Variant", "record_class"]
