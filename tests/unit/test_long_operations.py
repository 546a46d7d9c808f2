"""What one instruction can keep busy for long ends at a deadline and lets other threads run: bulk operations are done in pieces."""

from __future__ import annotations

import threading
import time

import pytest

from wasmrt import Config, Engine, Instance, Module, Store, Trap, TrapCode

GIB = 1 << 30
MEMORY = """(module
  (memory (export "m") 32768)
  (memory $b 16384)
  (data $data "0123456789")
  (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "across") (param i32 i32 i32) (memory.copy 0 $b (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32 i32 i32) (memory.init $data (local.get 0) (local.get 1) (local.get 2))))"""
OBJECTS = """(module
  (type $bytes (array (mut i8)))
  (type $longs (array (mut i64)))
  (type $refs (array (mut anyref)))
  (table $t (export "t") 4000000 anyref)
  (global $a (mut (ref null $longs)) (ref.null $longs))
  (func (export "make") (param i32) (global.set $a (array.new_default $longs (local.get 0))))
  (func (export "new") (param i32) (drop (array.new $longs (i64.const 3) (local.get 0))))
  (func (export "fill") (param i32 i64 i32) (array.fill $longs (global.get $a) (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param i32 i32 i32) (array.copy $longs $longs (global.get $a) (local.get 0) (global.get $a) (local.get 1) (local.get 2)))
  (func (export "set") (param i32 i64) (array.set $longs (global.get $a) (local.get 0) (local.get 1)))
  (func (export "get") (param i32) (result i64) (array.get $longs (global.get $a) (local.get 0)))
  (global $r (mut (ref null $refs)) (ref.null $refs))
  (func (export "make_refs") (param i32) (global.set $r (array.new_default $refs (local.get 0))))
  (func (export "allocate") (loop $more (drop (array.new_default $bytes (i32.const 8))) (br $more)))
  (func (export "table_fill") (param i32 i32) (table.fill $t (local.get 0) (ref.i31 (i32.const 9)) (local.get 1)))
  (func (export "table_copy") (param i32 i32 i32) (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
  (func (export "table_null") (param i32) (result i32) (ref.is_null (table.get $t (local.get 0)))))"""


def instance(text: str, store: Store | None = None) -> Instance:
    store = store or Store(Engine())
    return Instance(store, Module(store.engine, text), [])


def interrupted(made: Instance, name: str, *args: int, after: float = 0.005) -> None:
    began = time.monotonic()
    with pytest.raises(Trap) as trap:
        made.exports[name].with_options(timeout=after)(*args)
    assert trap.value.trap_code == TrapCode.INTERRUPT
    assert time.monotonic() - began < 20  # of a machine that does many other things


def test_fill_of_a_gigabyte() -> None:
    store = Store(Engine())
    made = instance(MEMORY, store)
    interrupted(made, "fill", 5, 1, GIB)
    memory = made.exports["m"]
    assert memory.read(store, 0, 6) == bytes(5) + b"\1"
    assert memory.read(store, GIB, GIB + 5) == bytes(5)  # the rest was never reached


@pytest.mark.parametrize(("name", "to", "source"), [("copy", 0, 8), ("copy", 1 << 29, 0), ("across", 0, 0)])
def test_copy_of_a_gigabyte(name: str, to: int, source: int) -> None:
    interrupted(instance(MEMORY), name, to, source, GIB)


def test_ranges_out_of_bounds_trap_before_anything_is_written() -> None:
    store = Store(Engine())
    made = instance(MEMORY, store)
    for name, args in (
        ("fill", (16, 1, 2 * GIB)),
        ("copy", (16, 0, 2 * GIB)),
        ("across", (0, 16, GIB)),
        ("init", (0, 0, 1 << 21)),
    ):
        with pytest.raises(Trap) as trap:
            made.exports[name](*args)
        assert trap.value.trap_code == TrapCode.MEMORY_OUT_OF_BOUNDS
    assert made.exports["m"].read(store, 0, 64) == bytes(64)


def test_pieces_make_the_whole() -> None:
    store = Store(Engine())
    made = instance(MEMORY, store)
    memory, size = made.exports["m"], 5 * (1 << 20) + 3
    pattern = bytes(i * 7 % 251 for i in range(size))
    memory.write(store, pattern, 100)
    made.exports["copy"](107, 100, size)  # overlapping, up
    assert memory.read(store, 107, 107 + size) == pattern
    made.exports["copy"](3, 107, size)  # down
    assert memory.read(store, 3, 3 + size) == pattern
    made.exports["fill"](1, 0x55, size)
    assert memory.read(store, 0, size + 2) == b"\0" + b"\x55" * size + pattern[-2:-1]


def test_arrays() -> None:
    made = instance(OBJECTS)
    call = made.exports
    interrupted(made, "new", 100_000_000)
    call["make"](100_000_000)
    interrupted(made, "fill", 1, 7, 99_999_999)
    assert call["get"](0) == 0 and call["get"](1) == 7 and call["get"](99_999_999) == 0
    interrupted(made, "copy", 5, 0, 99_999_000)


def test_pieces_of_arrays_make_the_whole() -> None:
    made = instance(OBJECTS)
    call, count = made.exports, 3 * (1 << 16) + 5
    call["make"](count + 10)
    call["fill"](2, 7, count)
    assert [call["get"](i) for i in (1, 2, count + 1, count + 2)] == [0, 7, 7, 0]
    for i in (2, 70_000, 140_000, count + 1):
        call["set"](i, i)
    call["copy"](4, 2, count)
    assert [call["get"](i + 2) for i in (2, 70_000, 140_000, count + 1)] == [2, 70_000, 140_000, count + 1]
    call["copy"](2, 4, count)
    assert [call["get"](i) for i in (2, 70_000, 140_000, count + 1)] == [2, 70_000, 140_000, count + 1]
    with pytest.raises(Trap) as trap:
        call["fill"](3, 1, count + 10)
    assert trap.value.trap_code == TrapCode.ARRAY_OUT_OF_BOUNDS and call["get"](3) == 7


def test_tables() -> None:
    made = instance(OBJECTS)
    call = made.exports
    call["table_fill"](3, 200_000)
    assert [call["table_null"](i) for i in (2, 3, 200_002, 200_003)] == [1, 0, 0, 1]
    call["table_copy"](1000, 0, 300_000)
    assert [call["table_null"](i) for i in (1002, 1003, 201_002, 201_003)] == [1, 0, 0, 1]
    with pytest.raises(Trap) as trap:
        call["table_fill"](0, 4_000_001)
    assert trap.value.trap_code == TrapCode.TABLE_OUT_OF_BOUNDS and call["table_null"](0) == 1


def test_epochs_end_them() -> None:
    store = Store(Engine(Config(epoch_interruption=True)))
    made = instance(MEMORY, store)
    store.set_epoch_deadline(1)
    threading.Timer(0.02, store.engine.increment_epoch).start()
    with pytest.raises(Trap) as trap:
        made.exports["copy"](1 << 29, 0, GIB)
    assert trap.value.trap_code == TrapCode.INTERRUPT


def test_collections() -> None:
    """One that ends in the middle does not count, and nothing is lost by it."""
    store = Store(Engine(Config(gc_stress=True)))
    made = instance(OBJECTS, store)
    made.exports["make"](3)
    made.exports["set"](1, 77)
    made.exports["make_refs"](100_000_000)  # zeros that take no memory, but time to be looked at
    before = store.gc_stats()
    interrupted(made, "allocate", after=0.005)
    assert store.gc_stats()[2] == before[2]
    assert made.exports["get"](1) == 77
