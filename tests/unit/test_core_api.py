"""The core embedding API: modules, instances, functions, memories, tables, globals, linkers, as a program uses them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wasmrt
from wasmrt import (
    Func,
    FuncType,
    Global,
    GlobalType,
    Instance,
    Limits,
    Linker,
    Memory,
    MemoryType,
    Module,
    Store,
    Table,
    TableType,
    Val,
    ValType,
)

I32, I64, F32, F64 = ValType.i32(), ValType.i64(), ValType.f32(), ValType.f64()

Wat = Callable[[str], bytes]


@pytest.fixture(scope="module")
def engine() -> wasmrt.Engine:
    return wasmrt.Engine()


@pytest.fixture
def store(engine: wasmrt.Engine) -> Store:
    return Store(engine)


def instance_of(store: Store, wasm: bytes, imports: list[Any] | None = None) -> Instance:
    return Instance(store, Module(store.engine, wasm), imports or [])


ARITHMETIC = """(module
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "swap") (param i32 i64 f32 f64) (result f64 f32 i64 i32) (local.get 3) (local.get 2) (local.get 1) (local.get 0))
  (func (export "nothing"))
  (func (export "many") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 f64) (result f64)
    (f64.add (local.get 9) (f64.convert_i32_s (i32.sub (local.get 8) (local.get 0))))))"""


def test_calls(store: Store, wat: Wat) -> None:
    exports = instance_of(store, wat(ARITHMETIC)).exports
    assert exports["add"](2, 3) == 5
    assert exports.add(store, 2, 3) == 5
    assert exports(store)["add"](2**31 - 1, 1) == -(2**31)
    assert exports.add(0xFFFFFFFF, 0) == -1
    assert exports.nothing() is None
    assert exports.swap(1, 2, 1.5, 2.5) == [2.5, 1.5, 2, 1]
    assert exports.swap(1, -(2**63), 3, 4) == [4.0, 3.0, -(2**63), 1]
    assert exports.many(1, 2, 3, 4, 5, 6, 7, 8, 9, 0.5) == 8.5
    assert exports.add(Val.i32(1), 2) == 3
    assert list(exports) == ["add", "swap", "nothing", "many"]
    assert exports.by_index[0] == exports["add"]
    assert exports.add.type() == FuncType([I32, I32], [I32])


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((1,), TypeError),
        ((1, 2, 3), TypeError),
        ((1, "2"), TypeError),
        ((1, 2.0), TypeError),
        ((1, None), TypeError),
        ((1, 2**32), OverflowError),
        ((-(2**31) - 1, 0), OverflowError),
        ((Val.i64(1), 2), TypeError),
    ],
)
def test_wrong_arguments(store: Store, wat: Wat, args: tuple[Any, ...], error: type) -> None:
    add = instance_of(store, wat(ARITHMETIC)).exports.add
    with pytest.raises(error) as caught:
        add(*args)
    assert isinstance(caught.value, wasmrt.WasmError)
    assert add(1, 1) == 2


def test_exports_raise_for_unknown_names(store: Store, wat: Wat) -> None:
    exports = instance_of(store, wat(ARITHMETIC)).exports
    with pytest.raises(KeyError, match="nope"):
        exports["nope"]
    with pytest.raises(AttributeError, match="nope"):
        exports.nope


HOST = """(module
  (import "env" "host" (func $host (param i32) (result i32)))
  (func (export "call") (param i32) (result i32) (i32.add (call $host (local.get 0)) (i32.const 1)))
  (func (export "loop") (param $n i32) (result i32) (local $sum i32)
    (loop (local.set $sum (i32.add (local.get $sum) (call $host (local.get $n))))
      (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum)))"""


def test_host_function(store: Store, wat: Wat) -> None:
    double = Func(store, FuncType([I32], [I32]), lambda n: n * 2)
    exports = instance_of(store, wat(HOST), [double]).exports
    assert exports.call(20) == 41
    assert exports.loop(1000) == 1001000
    assert double(4) == 8


def test_host_exception_comes_out_as_itself(store: Store, wat: Wat) -> None:
    class Mine(Exception):
        pass

    problem = Mine("here")

    def fail(n: int) -> int:
        raise problem

    call = instance_of(store, wat(HOST), [Func(store, FuncType([I32], [I32]), fail)]).exports.call
    with pytest.raises(Mine) as caught:
        call(1)
    assert caught.value is problem
    with pytest.raises(Mine):
        call(1)


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError])
def test_base_exceptions_pass_through(store: Store, wat: Wat, exception: type[BaseException]) -> None:
    def fail(n: int) -> int:
        raise exception

    call = instance_of(store, wat(HOST), [Func(store, FuncType([I32], [I32]), fail)]).exports.call
    with pytest.raises(exception):
        call(1)


def test_host_result_is_checked(store: Store, wat: Wat) -> None:
    for result, error in (("text", TypeError), (None, TypeError), (2**32, OverflowError), ([1, 2], TypeError)):
        host = Func(store, FuncType([I32], [I32]), lambda n, result=result: result)
        with pytest.raises(error):
            instance_of(store, wat(HOST), [host]).exports.call(1)
    with pytest.raises(TypeError, match="no result"):
        Func(store, FuncType([], []), lambda: 1)()
    with pytest.raises(TypeError):

        async def coroutine() -> None: ...

        Func(store, FuncType([], []), coroutine)


def test_an_object_with_a_coroutine_to_call_is_refused(store: Store) -> None:
    class Later:
        async def __call__(self, *args: object) -> None: ...

    from wasmrt.component import Linker

    for define in (
        lambda: Func(store, FuncType([], []), Later()),
        lambda: wasmrt.Linker(store.engine).define_func("a", "b", FuncType([], []), Later()),
        lambda: Linker(store.engine).root().add_func("f", Later()),
    ):
        with pytest.raises(TypeError, match="coroutine"):
            define()


def test_an_import_that_is_none_is_named(store: Store, wat: Wat) -> None:
    module = wat('(module (import "env" "f" (func)) (import "env" "g" (func)))')
    with pytest.raises(TypeError, match="import `env::g`: expected a Func, Memory, Table, Global or Tag, got int"):
        instance_of(store, module, [Func(store, FuncType([], []), lambda: None), 5])


def test_nested_calls_and_traps_inside(store: Store, wat: Wat) -> None:
    inner = instance_of(
        store, wat('(module (func (export "f") (param i32) (result i32) (i32.div_u (i32.const 100) (local.get 0))))')
    ).exports.f
    outer = instance_of(store, wat(HOST), [Func(store, FuncType([I32], [I32]), lambda n: inner(n))]).exports.call
    assert outer(5) == 21
    with pytest.raises(wasmrt.Trap) as caught:
        outer(0)
    assert caught.value.trap_code == wasmrt.TrapCode.INTEGER_DIVISION_BY_ZERO
    assert outer(4) == 26

    def guarded(n: int) -> int:
        try:
            return inner(n)
        except wasmrt.Trap:
            return -1

    assert instance_of(store, wat(HOST), [Func(store, FuncType([I32], [I32]), guarded)]).exports.call(0) == 0


def test_recursion_through_the_host_ends_in_an_exception(store: Store, wat: Wat) -> None:
    functions: list[Any] = []
    host = Func(store, FuncType([I32], [I32]), lambda n: functions[0](n))
    functions.append(instance_of(store, wat(HOST), [host]).exports.call)
    with pytest.raises((RecursionError, wasmrt.Trap)):
        functions[0](1)


TRAPS = """(module $bad
  (memory 1)
  (table 2 funcref)
  (type $v (func))
  (type $i (func (param i32)))
  (elem (i32.const 0) $taker)
  (func $taker (param i32))
  (func $unreachable (export "unreachable") (unreachable))
  (func (export "outer") (call $unreachable))
  (func (export "oob") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "store-oob") (param i32) (i64.store offset=100 (local.get 0) (i64.const 1)))
  (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "trunc") (param f64) (result i32) (i32.trunc_f64_s (local.get 0)))
  (func (export "indirect") (param i32) (call_indirect (type $v) (local.get 0)))
  (func $deep (export "deep") (call $deep))
  (func (export "fill") (memory.fill (i32.const 65530) (i32.const 0) (i32.const 7))))"""


@pytest.mark.parametrize(
    ("name", "args", "code", "text"),
    [
        ("unreachable", (), "UNREACHABLE", "wasm `unreachable` instruction executed"),
        ("oob", (65533,), "MEMORY_OUT_OF_BOUNDS", "out of bounds memory access"),
        ("oob", (-1,), "MEMORY_OUT_OF_BOUNDS", "out of bounds memory access"),
        ("store-oob", (65535,), "MEMORY_OUT_OF_BOUNDS", "out of bounds memory access"),
        ("div", (1, 0), "INTEGER_DIVISION_BY_ZERO", "integer divide by zero"),
        ("div", (-(2**31), -1), "INTEGER_OVERFLOW", "integer overflow"),
        ("trunc", (float("nan"),), "BAD_CONVERSION_TO_INTEGER", "invalid conversion to integer"),
        ("trunc", (1e10,), "INTEGER_OVERFLOW", "integer overflow"),
        ("indirect", (2,), "TABLE_OUT_OF_BOUNDS", "undefined element"),
        ("indirect", (1,), "INDIRECT_CALL_TO_NULL", "uninitialized element"),
        ("indirect", (0,), "BAD_SIGNATURE", "indirect call type mismatch"),
        ("deep", (), "STACK_OVERFLOW", "call stack exhausted"),
        ("fill", (), "MEMORY_OUT_OF_BOUNDS", "out of bounds memory access"),
    ],
)
def test_traps(store: Store, wat: Wat, name: str, args: tuple[Any, ...], code: str, text: str) -> None:
    exports = instance_of(store, wat(TRAPS)).exports
    for _ in range(2):
        with pytest.raises(wasmrt.Trap) as caught:
            exports[name](*args)
        assert caught.value.trap_code == wasmrt.TrapCode[code]
        assert text in str(caught.value)
        assert isinstance(caught.value, wasmrt.WasmtimeError)
        assert caught.value.frames, "a guest's trap names its frames"
    assert exports.div(7, 2) == 3


def test_frames_name_functions_innermost_first(store: Store, wat: Wat) -> None:
    with pytest.raises(wasmrt.Trap) as caught:
        instance_of(store, wat(TRAPS)).exports.outer()
    frames = caught.value.frames
    assert [frame.func_index for frame in frames] == [1, 2]
    assert frames[0].func_name == "unreachable"
    assert frames[0].module_name == "bad"
    assert frames[0].module_offset > 0


def test_checked_engine_traps_alike(wat: Wat) -> None:
    config = wasmrt.Config()
    config.signals_based_traps = False
    store = Store(wasmrt.Engine(config))
    exports = instance_of(store, wat(TRAPS)).exports
    for name, args, code in (
        ("unreachable", (), "UNREACHABLE"),
        ("oob", (65533,), "MEMORY_OUT_OF_BOUNDS"),
        ("oob", (-1,), "MEMORY_OUT_OF_BOUNDS"),
        ("store-oob", (65535,), "MEMORY_OUT_OF_BOUNDS"),
        ("div", (1, 0), "INTEGER_DIVISION_BY_ZERO"),
        ("deep", (), "STACK_OVERFLOW"),
    ):
        with pytest.raises(wasmrt.Trap) as caught:
            exports[name](*args)
        assert caught.value.trap_code == wasmrt.TrapCode[code]
        assert caught.value.frames
    assert exports.oob(0) == 0


def test_memory(store: Store, wat: Wat) -> None:
    exports = instance_of(
        store,
        wat(
            '(module (memory (export "m") 1 3) (data (i32.const 4) "wasm")'
            ' (func (export "at") (param i32) (result i32) (i32.load8_u (local.get 0))))'
        ),
    ).exports
    memory = exports.m
    assert memory.size() == 1 and memory.data_len(store) == 65536 and memory.page_size == 65536
    assert memory.read(store, 4, 8) == bytearray(b"wasm")
    assert memory.read(-2) == bytearray(2)
    assert memory.read(70000) == bytearray()
    assert memory.write(store, b"xyz", 10) == 3
    assert exports.at(11) == ord("y")
    view = np.frombuffer(memory, dtype=np.uint8)
    assert memory.grow(store, 1) == 1
    view[12] = 77
    assert exports.at(12) == 77, "a view stays valid across growth"
    assert len(view) == 65536 and len(memory) == 131072
    with pytest.raises(IndexError):
        memory.write(b"too long", 131070)
    with pytest.raises(wasmrt.WasmError):
        memory.grow(2)
    assert memory.type() == MemoryType(Limits(1, 3))
    memory.get_buffer_ptr(store, 4, 0)[0] = 9
    assert exports.at(0) == 9


def test_memory_outlives_its_store(engine: wasmrt.Engine) -> None:
    store = Store(engine)
    memory = Memory(store, MemoryType(Limits(1, 2)))
    view = np.frombuffer(memory, dtype=np.uint8)
    store.close()
    view[0] = 1
    assert view[0] == 1
    with pytest.raises(ValueError, match="closed"):
        memory.grow(1)


def test_table_and_globals(store: Store, wat: Wat) -> None:
    exports = instance_of(
        store,
        wat(
            '(module (table (export "t") 2 4 funcref) (func $f (export "f") (result i32) (i32.const 7)) (elem (i32.const 0) $f)'
            ' (global (export "g") (mut i64) (i64.const 5)) (global (export "c") f32 (f32.const 1.5))'
            ' (func (export "get") (result i64) (global.get 0)))'
        ),
    ).exports
    assert exports.t.size() == 2
    assert exports.t.get(0)() == 7
    assert exports.t.get(store, 1) is None
    exports.t.set(store, 1, exports.f)
    assert exports.t.get(1) == exports.f
    assert exports.t.grow(store, 2, None) == 2
    with pytest.raises(wasmrt.WasmError):
        exports.t.grow(1, None)
    assert exports.t.type() == TableType(ValType.funcref(), Limits(2, 4))
    assert exports.g.value() == 5
    exports.g.set_value(store, 6)
    assert exports["get"]() == 6
    assert exports.g.type() == GlobalType(I64, True)
    with pytest.raises(wasmrt.WasmError):
        exports.c.set_value(2.0)
    assert exports.c.value(store) == 1.5
    made = Global(store, GlobalType(I32, True), 3)
    assert made.value() == 3
    objects = Table(store, TableType(ValType.externref(), Limits(1, None)), {"any": "object"})
    assert objects.get(0) == {"any": "object"}


def test_externref_keeps_identity(store: Store, wat: Wat) -> None:
    same = instance_of(
        store, wat('(module (func (export "same") (param externref) (result externref) (local.get 0)))')
    ).exports.same
    value = object()
    assert same(value) is value
    assert same(None) is None


def test_linker(engine: wasmrt.Engine, store: Store, wat: Wat) -> None:
    linker = Linker(engine)
    linker.define_func("env", "host", FuncType([I32], [I32]), lambda n: n + 1)
    module = Module(engine, wat(HOST))
    assert linker.instantiate(store, module).exports.call(1) == 3
    assert linker.instantiate_pre(module).instantiate(store).exports.call(2) == 4
    with pytest.raises(wasmrt.WasmError, match="defined twice"):
        linker.define_func("env", "host", FuncType([I32], [I32]), lambda n: n)
    linker.allow_shadowing = True
    linker.define_func("env", "host", FuncType([I32], [I32]), lambda n: n)
    assert linker.instantiate(store, module).exports.call(1) == 2


def test_missing_imports_are_all_named(engine: wasmrt.Engine, store: Store, wat: Wat) -> None:
    linker = Linker(engine)
    linker.define_func("env", "hosts", FuncType([I32], [I32]), lambda n: n)
    module = Module(engine, wat('(module (import "env" "host" (func (param i32))) (import "a" "b" (memory 1)))'))
    with pytest.raises(wasmrt.LinkError) as caught:
        linker.instantiate(store, module)
    text = str(caught.value)
    assert "env::host" in text and "[i32] -> []" in text and "a::b" in text and "env::hosts" in text
    linker.define_unknown_imports_as_traps(module)
    with pytest.raises(wasmrt.LinkError, match="a::b"):
        linker.instantiate(store, module)


def test_import_types_are_checked(engine: wasmrt.Engine, store: Store, wat: Wat) -> None:
    module = Module(engine, wat(HOST))
    with pytest.raises(wasmrt.LinkError, match="host"):
        Instance(store, module, [Func(store, FuncType([I64], [I32]), lambda n: 0)])
    with pytest.raises(wasmrt.LinkError):
        Instance(store, module, [Memory(store, MemoryType(Limits(1, None)))])
    with pytest.raises(wasmrt.LinkError):
        Instance(store, module, [])
    with pytest.raises(wasmrt.WasmError, match="^import `.*::host`: a Func of another store was given$"):
        Instance(store, module, [Func(Store(engine), FuncType([I32], [I32]), lambda n: 0)])


def test_unknown_imports_as_traps(engine: wasmrt.Engine, store: Store, wat: Wat) -> None:
    linker = Linker(engine)
    module = Module(engine, wat(HOST))
    linker.define_unknown_imports_as_traps(module)
    with pytest.raises(wasmrt.Trap, match="env::host"):
        linker.instantiate(store, module).exports.call(1)


def test_access_caller(store: Store, wat: Wat) -> None:
    kept: list[Any] = []

    def host(caller: wasmrt.Caller, n: int) -> int:
        kept.append(caller)
        return caller["m"].read(n, n + 1)[0]  # type: ignore[no-any-return]

    wasm = wat(
        '(module (import "env" "host" (func $h (param i32) (result i32))) (memory (export "m") 1) (data (i32.const 5) "A")'
        ' (func (export "f") (result i32) (call $h (i32.const 5))))'
    )
    exports = instance_of(store, wasm, [Func(store, FuncType([I32], [I32]), host, access_caller=True)]).exports
    assert exports.f() == 65
    with pytest.raises(ValueError, match="over"):
        kept[0].get("m")


def test_start_function_runs_and_may_trap(store: Store, wat: Wat) -> None:
    exports = instance_of(
        store, wat('(module (global $g (export "g") (mut i32) (i32.const 0)) (func $s (global.set $g (i32.const 3))) (start $s))')
    ).exports
    assert exports.g.value() == 3
    with pytest.raises(wasmrt.Trap, match="unreachable"):
        instance_of(store, wat("(module (func $s (unreachable)) (start $s))"))


def test_out_of_bounds_segments_trap(store: Store, wat: Wat) -> None:
    with pytest.raises(wasmrt.Trap, match="out of bounds memory access"):
        instance_of(store, wat('(module (memory 1) (data (i32.const 65535) "ab"))'))


def test_serialized_module(engine: wasmrt.Engine, store: Store, wat: Wat) -> None:
    module = Module(engine, wat(ARITHMETIC))
    data = module.serialize()
    assert engine.detect_precompiled(data) == "module"
    again = Module.deserialize(engine, data)
    assert again.serialize() == data
    assert Instance(store, again, []).exports.add(1, 2) == 3
    assert [export.name for export in again.exports] == ["add", "swap", "nothing", "many"]
    assert engine.detect_precompiled(b"nothing") is None
    with pytest.raises(wasmrt.ArtifactError):
        Module.deserialize(engine, data[: len(data) // 2])


def test_bad_modules(engine: wasmrt.Engine) -> None:
    for bad in (b"", b"\0asm", b"\0asm\x01\0\0\0\x01\xff", b"\0asm\x0d\0\x01\0", b"\xff\xfe"):
        with pytest.raises(wasmrt.WasmError):
            Module(engine, bad)
    with pytest.raises(TypeError):
        Module(engine, 1)
    with pytest.raises(TypeError):
        Module(1, b"")  # type: ignore[arg-type]


def test_validation_error_has_a_place(engine: wasmrt.Engine) -> None:
    wasm = b"\0asm\x01\0\0\0" + b"\x01\x05\x01\x60\0\x01\x7f" + b"\x03\x02\x01\0" + b"\x0a\x05\x01\x03\0\x01\x0b"
    with pytest.raises(wasmrt.ValidationError) as caught:
        Module(engine, wasm)
    assert caught.value.function == 0
    assert caught.value.offset is not None


def test_multi_memory_switch(wat: Wat) -> None:
    wasm = wat('(module (memory 1) (memory $b 1) (func (export "f") (result i32) (i32.load $b (i32.const 0))))')
    store = Store(wasmrt.Engine())
    assert instance_of(store, wasm).exports.f() == 0
    config = wasmrt.Config()
    config.wasm_multi_memory = False
    with pytest.raises(wasmrt.WasmError):
        Module(wasmrt.Engine(config), wasm)


def test_limits(engine: wasmrt.Engine, wat: Wat) -> None:
    store = Store(engine)
    store.set_limits(memory_size=65536 * 2)
    exports = instance_of(
        store, wat('(module (memory 1) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))')
    ).exports
    assert exports.grow(1) == 1
    assert exports.grow(1) == -1
    with pytest.raises(wasmrt.LimitError):
        instance_of(store, wat("(module (memory 3))"))


def test_fuel(wat: Wat) -> None:
    config = wasmrt.Config()
    config.consume_fuel = True
    store = Store(wasmrt.Engine(config))
    spin = instance_of(store, wat('(module (func (export "f") (loop (br 0))))')).exports.f
    store.set_fuel(10000)
    with pytest.raises(wasmrt.Trap) as caught:
        spin()
    assert caught.value.trap_code == wasmrt.TrapCode.OUT_OF_FUEL  # type: ignore[attr-defined]
    assert store.get_fuel() == 0
    with pytest.raises(wasmrt.WasmError, match="fuel"):
        Store(wasmrt.Engine()).set_fuel(1)


def test_timeout_and_epochs(wat: Wat) -> None:
    wasm = wat('(module (func (export "f") (loop (br 0))))')
    store = Store(wasmrt.Engine())
    store.set_timeout(0.05)
    with pytest.raises(wasmrt.Trap) as caught:
        instance_of(store, wasm).exports.f()
    assert caught.value.trap_code == wasmrt.TrapCode.INTERRUPT  # type: ignore[attr-defined]
    config = wasmrt.Config()
    config.epoch_interruption = True
    engine = wasmrt.Engine(config)
    store = Store(engine)
    spin = instance_of(store, wasm).exports.f
    with pytest.raises(wasmrt.Trap):
        spin()
    import threading

    store.set_epoch_deadline(1)
    timer = threading.Timer(0.05, engine.increment_epoch)
    timer.start()
    with pytest.raises(wasmrt.Trap):
        spin()
    timer.join()


def test_a_store_that_captures_itself_is_collected(engine: wasmrt.Engine, wat: Wat) -> None:
    class Data:
        pass

    def make() -> weakref.ref[Data]:
        data = Data()
        store = Store(engine, data)
        exports = instance_of(store, wat(HOST), [Func(store, FuncType([I32], [I32]), lambda n: id(store) & 1)]).exports
        assert exports.call(1) in (1, 2)
        return weakref.ref(data)

    seen = make()
    gc.collect()
    assert seen() is None


def test_closed_store(engine: wasmrt.Engine, wat: Wat) -> None:
    with Store(engine, data=5) as store:
        assert store.data() == 5
        add = instance_of(store, wat(ARITHMETIC)).exports.add
        assert add(1, 1) == 2
    with pytest.raises(ValueError, match="closed"):
        add(1, 1)
    store.close()


def test_cross_engine(wat: Wat) -> None:
    module = Module(wasmrt.Engine(), wat(ARITHMETIC))
    with pytest.raises(wasmrt.WasmError, match="cross-`Engine`"):
        Instance(Store(wasmrt.Engine()), module, [])


def test_func_ref_is_what_calls_use(store: Store, wat: Wat) -> None:
    module = Module(store.engine, wat(ARITHMETIC))
    ref = Instance(store, module, []).exports.add.func_ref
    start, end = module.image_range()
    assert start <= ref.array_call < end and start <= ref.wasm_call < end
    assert ref.vmctx != 0


def test_calling_makes_no_executable_page(engine: wasmrt.Engine, wat: Wat) -> None:
    def executable() -> list[str]:
        with open("/proc/self/maps") as maps:
            return [line.split()[0] for line in maps if "x" in line.split()[1]]

    module = Module(engine, wat(ARITHMETIC))
    before = executable()
    for _ in range(3):
        with Store(engine) as store:
            assert Instance(store, module, []).exports.add(1, 2) == 3
    assert set(executable()) <= set(before)


def test_an_error_in_a_components_module_has_its_place_in_the_whole(engine: wasmrt.Engine) -> None:
    from wasmrt.component import Component

    binary = wasmrt.wat2wasm("(component (core module) (core module (func (result i32) unreachable)))")
    broken = bytes(binary).replace(b"\x00\x00\x0b", b"\x00\x01\x0b")
    assert broken != binary
    with pytest.raises(wasmrt.ValidationError) as caught:
        Component(engine, broken)
    assert caught.value.path == "module[1]"
    assert caught.value.offset is not None and broken[caught.value.offset] in (0x01, 0x0B)
