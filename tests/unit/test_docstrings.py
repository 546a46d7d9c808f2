"""Owns that what is public is documented: every class, function, method and property; examples that need nothing but a store run."""

from __future__ import annotations

import doctest
import enum
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import wasmrt
import wasmrt.component
import wasmrt.wasi

DESCRIPTORS = (property, classmethod, staticmethod)
RUN = ("ValType", "FuncType", "MemoryType", "Val", "Func", "Caller", "Memory", "Table", "Global")


def public() -> Iterator[tuple[str, Any]]:
    for module in (wasmrt, wasmrt.component, wasmrt.wasi):
        for name in module.__all__:
            item = getattr(module, name)
            if inspect.isclass(item) or inspect.isroutine(item):
                yield f"{module.__name__}.{name}", item


def undocumented(name: str, item: Any) -> Iterator[str]:
    if not inspect.isclass(item):
        if not inspect.getdoc(item):
            yield name
        return
    own = item.__dict__.get("__doc__")
    if not own and not (isinstance(own, property) or hasattr(own, "__get__")):
        yield name
    if issubclass(item, enum.Enum):
        return
    for member, value in item.__dict__.items():
        if member.startswith("_") or not (
            callable(value) or isinstance(value, DESCRIPTORS) or inspect.ismethoddescriptor(value)
        ):
            continue
        if not inspect.getdoc(value if isinstance(value, property) else getattr(item, member)):
            yield f"{name}.{member}"


def test_everything_public_is_documented() -> None:
    assert [missing for name, item in public() for missing in undocumented(name, item)] == []


@pytest.mark.parametrize("name", RUN)
def test_examples(name: str) -> None:
    store = wasmrt.Store(wasmrt.Engine())
    names = {**vars(wasmrt), "store": store, "linker": wasmrt.Linker(store.engine)}
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(getattr(wasmrt, name)) or "", names, name, None, None)
    assert example.examples
    said: list[str] = []
    assert not doctest.DocTestRunner(verbose=False).run(example, out=said.append).failed, "".join(said)
