from typing import Any

from wasmrt.spec.types import FuncType

class Resource: ...

class Variant:
    tag: str
    payload: Any
    __match_args__ = ("tag", "payload")
    def __init__(self, tag: str, payload: Any = None) -> None: ...

class Record:
    def __init__(self, **fields: Any) -> None: ...
    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: Any) -> None: ...

def record_class(names: tuple[str, ...]) -> type[Record]: ...

class Plan:
    param_names: tuple[str, ...]
    param_lookup: dict[str, int]
    type: FuncType
    def __init__(self, rows: Any) -> None: ...
