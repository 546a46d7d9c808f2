"""Owns that no Python program crashes the interpreter by misusing core objects: half-made ones, indices and values that change or close the store
while they are read, stores made twice."""

from __future__ import annotations

import subprocess
import sys

import pytest

import wasmrt
from wasmrt import (  # fmt: skip
    ArgumentTypeError,
    Engine,
    FuncType,
    Global,
    GlobalType,
    Instance,
    Limits,
    Memory,
    MemoryType,
    Module,
    Store,
    Table,
    TableType,
    Tag,
    TagType,
    ValType,
    WasmError,
)


def test_what_engines_are_made_of_is_made_whole() -> None:
    from wasmrt._native.core import Pool
    from wasmrt._native.externs import TypeCollection

    for cls in (Pool, TypeCollection):
        with pytest.raises(TypeError):
            cls.__new__(cls)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        Pool(None, {})  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        TypeCollection(None, None, 0)  # type: ignore[arg-type]


HALF_MADE = (
    "Func",
    "Memory",
    "Table",
    "Global",
    "Tag",
    "Store",
    "Caller",
    "Module",
    "Instance",
    "Linker",
    "InstancePre",
)
# Every attribute and operator of an object whose __init__ did not run, and of a subclass that forgets it.
CHILD = """
import sys, wasmrt
cls = getattr(wasmrt, sys.argv[1])
store = wasmrt.Store()
try:
    objects = [cls.__new__(cls), type("Sub", (cls,), {"__init__": lambda self: None})()]
except (wasmrt.WasmError, TypeError):
    sys.exit()
for item in objects:
    for name in dir(cls):
        if name in ("__class__", "__init_subclass__", "__subclasshook__", "__new__", "__getattribute__"):
            continue
        for args in ((), (None,), (0,), (0, 0), (store,), (store, 0), (store, 0, 0), (b"x",), (b"x", 0), ("x",)):
            try:
                found = getattr(item, name)
                callable(found) and found(*args)
            except Exception:
                pass
    for operation in (repr, hash, len, bool, memoryview, iter, lambda item: item == item, lambda item: item(), lambda item: item(1)):
        try:
            operation(item)
        except Exception:
            pass
"""


@pytest.mark.parametrize("name", HALF_MADE)
def test_half_made_objects(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", CHILD, name], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


class Turning:
    """An index that says something else each time it is asked, and that all comparisons let through."""

    def __init__(self, *values: int) -> None:
        self.values = list(values)

    def __index__(self) -> int:
        return self.values.pop(0) if len(self.values) > 1 else self.values[0]

    def __lt__(self, other: object) -> bool:
        return False

    __gt__ = __lt__

    def __le__(self, other: object) -> bool:
        return True

    __ge__ = __le__


def test_indices_are_asked_once() -> None:
    store = Store(Engine())
    memory = Memory(store, MemoryType(Limits(1, 2)))
    assert memory.write(b"abc", Turning(0, 1 << 33)) == 3 and memory.read(0, 3) == b"abc"
    with pytest.raises(IndexError, match="3 bytes at 8589934592 are out of bounds of a memory of 65536 bytes"):
        memory.write(b"abc", Turning(1 << 33, 0))
    table = Table(store, TableType(ValType.externref(), Limits(2)), "x")
    assert table.get(Turning(1, 1 << 40)) == "x"
    with pytest.raises(WasmError, match="table index 1099511627776 is out of bounds of 2 elements"):
        table.set(Turning(1 << 40, 0), "y")


class Closing:
    """A value that closes a store when somebody asks for its class, as isinstance does."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def __class__(self) -> type:  # type: ignore[override]
        self.store.close()
        return object

    def __index__(self) -> int:
        self.store.close()
        return 0


def test_values_that_close_the_store() -> None:
    funcref, f64 = ValType.funcref(), ValType.f64()

    def table(store: Store) -> Table:
        return Table(store, TableType(funcref, Limits(2)), None)

    attempts = [
        lambda store: Table(store, TableType(funcref, Limits(2)), Closing(store)),
        lambda store: table(store).set(0, Closing(store)),
        lambda store: table(store).set(Closing(store), None),
        lambda store: table(store).get(Closing(store)),
        lambda store: table(store).grow(1, Closing(store)),
        lambda store: table(store).grow(Closing(store), None),
        lambda store: Global(store, GlobalType(f64, True), Closing(store)),
        lambda store: Global(store, GlobalType(f64, True), 1.0).set_value(Closing(store)),
        lambda store: Memory(store, MemoryType(Limits(1, 2))).grow(Closing(store)),
        lambda store: Instance(store, Module(store.engine, '(module (func (export "f") (param f64)))'), []).exports.f(
            Closing(store)
        ),
    ]
    for attempt in attempts:
        with pytest.raises((WasmError, TypeError, ValueError)):
            attempt(Store(Engine()))


def test_a_store_is_made_once() -> None:
    store = Store(Engine())
    tag = Tag(store, TagType(FuncType([], [])))
    store.close()
    with pytest.raises(WasmError, match="made once"):
        store.__init__(Engine())  # type: ignore[misc]
    with pytest.raises(ValueError, match="closed"):
        tag.type()
    memory = Memory(Store(Engine()), MemoryType(Limits(1)))
    with pytest.raises(WasmError, match="made once"):
        memory.__init__(Store(Engine()), MemoryType(Limits(1)))  # type: ignore[misc]


class Vector(int):
    def to_bytes(self, *args: object, **kwargs: object) -> bytes:  # type: ignore[override]
        return b"short"


def test_errors_name_the_argument() -> None:
    store = Store(Engine())
    text = '(module (func (export "f") (param i32 f64)) (func (export "v") (param v128) (result v128) (local.get 0)))'
    exports = Instance(store, Module(store.engine, text), []).exports
    with pytest.raises(ArgumentTypeError, match=r"^argument 1: expected f64, got str$"):
        exports.f(1, "2")
    with pytest.raises(wasmrt.ArgumentOverflowError, match=r"^argument 0: 4294967296 is out of range for i32$"):
        exports.f(1 << 32, 1.0)
    assert exports.v(Vector(5)) == b"\5" + bytes(15)
    with pytest.raises(ArgumentTypeError, match="expected a C-contiguous buffer of bytes, got str"):
        Memory(store, MemoryType(Limits(1))).write("abc")
