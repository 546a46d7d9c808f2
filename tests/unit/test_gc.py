"""Objects of guests: collected and not, limited, crossing to Python and back; what their conformance scripts do not say."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

from wasmrt import (
    AnyRef,
    ArrayRef,
    Config,
    Engine,
    Func,
    FuncType,
    Global,
    GlobalType,
    Instance,
    LimitError,
    Limits,
    Module,
    Store,
    StructRef,
    Table,
    TableType,
    Trap,
    TrapCode,
    ValType,
    WasmError,
)
from wasmrt.errors import ArgumentOverflowError, ArgumentTypeError

LISTS = """(module
  (rec (type $node (struct (field $next (mut (ref null $node))) (field $value (mut i64)))))
  (type $bytes (array (mut i8)))
  (type $nodes (array (mut (ref null $node))))
  (type $wide (struct (field v128) (field v128) (field v128) (field v128) (field v128) (field v128) (field v128) (field v128) (field $last (mut (ref null $node)))))
  (global $kept (export "kept") (mut (ref null $node)) (ref.null $node))
  (table $table (export "table") 4 (ref null $node))
  (func $cons (export "cons") (param $value i64) (param $next (ref null $node)) (result (ref $node))
    (struct.new $node (local.get $next) (local.get $value)))
  (func $list (export "list") (param $n i32) (result (ref null $node))
    (local $list (ref null $node))
    (loop $more
      (if (i32.eqz (local.get $n)) (then (return (local.get $list))))
      (local.set $list (struct.new $node (local.get $list) (i64.extend_i32_u (local.get $n))))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $more))
    (unreachable))
  (func $sum (export "sum") (param $list (ref null $node)) (result i64)
    (local $sum i64)
    (loop $more
      (if (ref.is_null (local.get $list)) (then (return (local.get $sum))))
      (local.set $sum (i64.add (local.get $sum) (struct.get $node $value (local.get $list))))
      (local.set $list (struct.get $node $next (local.get $list)))
      (br $more))
    (unreachable))
  (func (export "churn") (param $times i32) (param $n i32) (result i64)
    (local $sum i64) (local $all (ref $nodes)) (local $wide (ref null $wide))
    (local.set $all (array.new_default $nodes (i32.const 16)))
    (local.set $wide (struct.new_default $wide))
    (loop $more
      (array.set $nodes (local.get $all) (i32.and (local.get $times) (i32.const 15)) (call $list (local.get $n)))
      (struct.set $wide $last (local.get $wide) (call $list (local.get $n)))
      (drop (array.new_fixed $nodes 3 (call $list (i32.const 3)) (call $list (i32.const 4)) (call $list (i32.const 5))))
      (local.set $sum (i64.add (local.get $sum) (call $sum (array.get $nodes (local.get $all) (i32.and (i32.add (local.get $times) (i32.const 7)) (i32.const 15))))))
      (local.set $sum (i64.add (local.get $sum) (call $sum (struct.get $wide $last (local.get $wide)))))
      (local.set $times (i32.sub (local.get $times) (i32.const 1)))
      (br_if $more (local.get $times)))
    (local.get $sum))
  (func (export "bytes") (param $n i32) (result (ref $bytes)) (array.new $bytes (i32.const 7) (local.get $n)))
  (func (export "keep_bytes") (param $count i32) (param $n i32) (result i32)
    (local $all (ref null $arrays))
    (local.set $all (array.new_default $arrays (local.get $count)))
    (loop $more
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (array.set $arrays (local.get $all) (local.get $count) (array.new_default $bytes (local.get $n)))
      (br_if $more (local.get $count)))
    (array.len (local.get $all)))
  (func (export "drop_bytes") (param $count i32) (param $n i32)
    (loop $more
      (drop (array.new_default $bytes (local.get $n)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br_if $more (local.get $count))))
  (type $arrays (array (mut (ref null $bytes))))
  (func (export "cast") (param $any anyref) (result i64)
    (struct.get $node $value (ref.cast (ref $node) (local.get $any))))
  (func (export "any") (param $any anyref) (result anyref) (local.get $any))
  (func (export "eq") (param $any eqref) (result eqref) (local.get $any))
  (func (export "i31") (param $any (ref i31)) (result i32) (i31.get_u (local.get $any)))
  (func (export "extern") (param $extern externref) (result anyref) (any.convert_extern (local.get $extern)))
  (func (export "externalize") (param $any anyref) (result externref) (extern.convert_any (local.get $any)))
  (func (export "what") (param $any anyref) (result i32)
    (if (ref.test (ref i31) (local.get $any)) (then (return (i32.const 1))))
    (if (ref.test (ref struct) (local.get $any)) (then (return (i32.const 2))))
    (if (ref.test (ref array) (local.get $any)) (then (return (i32.const 3))))
    (if (ref.test (ref eq) (local.get $any)) (then (return (i32.const 4))))
    (if (ref.is_null (local.get $any)) (then (return (i32.const 0))))
    (i32.const 5))
)"""


@pytest.fixture(params=[False, True], ids=["", "stress"])
def stress(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def make(text: str = LISTS, stress: bool = False, **limits: int) -> tuple[Store, Any]:
    config = Config()
    config.gc_stress = stress
    config.debug_checks = stress
    engine = Engine(config)
    store = Store(engine)
    if limits:
        store.set_limits(**limits)
    return store, Instance(store, Module(engine, text), []).exports


def test_what_is_used_lives_and_the_rest_is_freed(stress: bool) -> None:
    store, exports = make(stress=stress)
    times, count = (30, 40) if stress else (20_000, 40)
    total = sum(range(count + 1))
    # a ring of 16 is filled going down and read 7 above: the first reads find null
    assert exports["churn"](times, count) == total * (2 * times - 7)
    heap, _, collections = store.gc_stats()
    assert collections >= (times * 90 if stress else 10)
    assert heap < 16 << 20
    store.gc()
    assert store.gc_stats()[1] < 1 << 20


def test_a_list_that_is_too_long_for_the_stack_is_marked() -> None:
    store, exports = make()
    count = 1_000_000
    kept = exports["list"](count)
    store.gc()
    assert store.gc_stats()[1] >= count * 24
    assert exports["sum"](kept) == count * (count + 1) // 2
    del kept
    gc.collect()
    store.gc()
    exports["list"](1)  # what a stale word on the stack kept
    store.gc()
    assert store.gc_stats()[1] < 1 << 20


def test_python_keeps_objects_alive_and_lets_them_go(stress: bool) -> None:
    store, exports = make(stress=stress)
    held = [exports["cons"](i, None) for i in range(100)]
    chain = None
    for i in range(100):
        chain = exports["cons"](i, chain)
    store.gc()
    exports["churn"](3, 5)
    assert [exports["sum"](node) for node in held] == list(range(100))
    assert exports["sum"](chain) == sum(range(100))
    assert held[0] == held[0] and held[0] != held[1] and len(set(held)) == 100
    assert exports["any"](held[3]) == held[3]
    assert hash(exports["any"](held[3])) == hash(held[3])
    before = store.gc_stats()[1]
    del held[:], chain
    store.gc()
    assert store.gc_stats()[1] < before


def test_globals_and_tables_keep_objects(stress: bool) -> None:
    store, exports = make(stress=stress)
    exports["kept"].set_value(exports["list"](10))
    exports["table"].set(2, exports["list"](11))
    table = Table(store, TableType(ValType.anyref(), Limits(3, None)), None)
    table.set(0, exports["list"](12))
    table.grow(2, exports["list"](13))
    made = Global(store, GlobalType(ValType.externref(), True), exports["list"](14))
    store.gc()
    exports["churn"](5, 5)
    lists = exports["kept"].value(), exports["table"].get(2), table.get(0), table.get(4), made.value()
    assert [exports["sum"](found) for found in lists] == [sum(range(n + 1)) for n in (10, 11, 12, 13, 14)]
    with pytest.raises(ArgumentTypeError, match="of another type"):
        exports["table"].set(0, exports["bytes"](1))


def test_values_cross_as_in_javascript() -> None:
    store, exports = make()
    thing = object()
    node, array = exports["cons"](5, None), exports["bytes"](3)
    assert isinstance(node, StructRef) and isinstance(array, ArrayRef) and len(array) == 3
    for value, what in (
        (None, 0),
        (0, 1),
        (-1, 1),
        (2**30 - 1, 1),
        (-(2**30), 1),
        (node, 2),
        (array, 3),
        (thing, 5),
        (2**30, 5),
        ("text", 5),
        (True, 5),
        (1.5, 5),
    ):
        assert exports["what"](value) == what, value
        assert exports["any"](value) == value
        assert exports["externalize"](value) == value
    assert exports["any"](thing) is thing
    assert exports["extern"](node) == node
    assert exports["extern"](thing) is thing
    assert exports["what"](exports["extern"](7)) == 1  # it came back as an int
    assert exports["cast"](node) == 5
    assert exports["i31"](-1) == 2**31 - 1 == exports["i31"](2**31 - 1)
    assert repr(node).startswith("<wasmrt.StructRef at")
    for name, value, error in (
        ("i31", 2**31, ArgumentOverflowError),
        ("i31", None, ArgumentTypeError),
        ("i31", node, ArgumentTypeError),
        ("eq", "text", ArgumentTypeError),
        ("eq", 2**30, ArgumentTypeError),
        ("sum", array, ArgumentTypeError),
        ("sum", 1, ArgumentTypeError),
        ("sum", thing, ArgumentTypeError),
    ):
        with pytest.raises(error):
            exports[name](value)
    with pytest.raises(Trap) as caught:
        exports["cast"](array)
    assert caught.value.trap_code == TrapCode.CAST_FAILURE
    other, _ = make()
    with pytest.raises(WasmError, match="another store"):
        Global(other, GlobalType(ValType.anyref(), True), node)
    with pytest.raises(WasmError):
        AnyRef()
    with pytest.raises(WasmError):
        node.__reduce__()
    store.close()
    assert repr(node) and node == node
    with pytest.raises(WasmError):
        len(array)


def test_a_function_of_another_type_is_no_typed_reference() -> None:
    text = """(module
      (type $f (func (param i32) (result i32))) (type $g (func (param i64 i64) (result i64)))
      (func (export "call") (param (ref null $f)) (result i32) (call_ref $f (i32.const 20) (local.get 0)))
      (func (export "never_null") (param (ref $f)))
      (func (export "f") (type $f) (i32.add (local.get 0) (i32.const 1)))
      (func (export "g") (type $g) (i64.add (local.get 0) (local.get 1))))"""
    _, exports = make(text)
    assert exports["call"](exports["f"]) == 21
    with pytest.raises(ArgumentTypeError, match="another type"):
        exports["call"](exports["g"])
    with pytest.raises(ArgumentTypeError, match="None"):
        exports["never_null"](None)


def test_host_functions_take_and_give_objects(stress: bool) -> None:
    text = """(module
      (type $pair (struct (field anyref) (field anyref)))
      (import "" "swap" (func $swap (param anyref anyref) (result anyref anyref)))
      (func (export "pair") (param anyref anyref) (result anyref) (struct.new $pair (local.get 0) (local.get 1)))
      (func (export "first") (param anyref) (result anyref) (struct.get $pair 0 (ref.cast (ref $pair) (local.get 0))))
      (func (export "swapped") (param anyref) (result anyref) (local $p (ref $pair)) (local $a anyref) (local $b anyref)
        (local.set $p (ref.cast (ref $pair) (local.get 0)))
        (call $swap (struct.new $pair (struct.get $pair 0 (local.get $p)) (ref.null any)) (struct.get $pair 1 (local.get $p)))
        (local.set $b) (local.set $a)
        (struct.new $pair (local.get $a) (local.get $b))))"""
    config = Config()
    config.gc_stress = stress
    engine = Engine(config)
    store = Store(engine)
    seen = []

    def swap(a: Any, b: Any) -> Any:
        seen.append(a)
        store.gc()
        exports["pair"](a, b)  # makes objects, in an inner entry
        return b, a

    any_any = [ValType.anyref(), ValType.anyref()]
    exports = Instance(store, Module(engine, text), [Func(store, FuncType(any_any, any_any), swap)]).exports
    one, two = exports["pair"](1, "one"), exports["pair"](2, "two")
    swapped = exports["swapped"](exports["pair"](one, two))
    assert exports["first"](swapped) == two
    assert exports["first"](seen[0]) == one


def test_the_heap_is_limited() -> None:
    store, exports = make(memory_size=4 << 20)
    exports["drop_bytes"](100, 1 << 20)
    assert store.gc_stats()[0] <= 4 << 20
    assert exports["keep_bytes"](3, 1 << 20) == 3
    for call, arguments in (
        ("keep_bytes", (8, 1 << 20)),
        ("bytes", (0xFFFFFFFF,)),
        ("bytes", (5 << 20,)),
        ("list", (1_000_000,)),
    ):
        with pytest.raises(Trap) as caught:
            exports[call](*arguments)
        assert caught.value.trap_code == TrapCode.ALLOCATION_TOO_LARGE
    exports["drop_bytes"](10, 1 << 20)
    assert exports["sum"](exports["list"](1000)) == 500500


def test_a_constant_expression_is_limited() -> None:
    text = "(module (type $a (array i64)) (global (ref $a) (array.new $a (i64.const 1) (i32.const %d))))"
    make(text % 1000)
    with pytest.raises(LimitError, match="constant expression"):
        make(text % 0xFFFFFFFF)
    with pytest.raises(LimitError, match="memory_size"):
        make(text % 1_000_000, memory_size=1 << 20)


def test_segments_make_objects_once() -> None:
    text = """(module
      (type $s (struct (field i32)))
      (table $t 4 (ref null $s)) (type $a (array (ref null $s)))
      (elem $e (ref $s) (item (struct.new $s (i32.const 1))) (item (struct.new $s (i32.const 2))))
      (func (export "same") (result i32)
        (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 2))
        (table.init $t $e (i32.const 2) (i32.const 0) (i32.const 2))
        (i32.and (ref.eq (table.get $t (i32.const 0)) (table.get $t (i32.const 2)))
          (ref.eq (table.get $t (i32.const 1)) (array.get $a (array.new_elem $a $e (i32.const 0) (i32.const 2)) (i32.const 1))))))"""
    store, exports = make(text, stress=True)
    store.gc()
    assert exports["same"]() == 1


def test_exceptions_and_objects_keep_each_other(stress: bool) -> None:
    text = """(module
      (type $box (struct (field $e (mut exnref)) (field $value i32)))
      (tag $t (param (ref null $box)))
      (func $throw (param $value i32) (throw $t (struct.new $box (ref.null exn) (local.get $value))))
      (func $caught (param $value i32) (result (ref null $box) exnref)
        (block $h (result (ref null $box) exnref)
          (try_table (catch_ref $t $h) (call $throw (local.get $value)))
          (unreachable)))
      (func (export "run") (param $n i32) (result i32) (local $box (ref null $box)) (local $e exnref) (local $keep (ref null $box)) (local $sum i32)
        (loop $more
          (call $caught (local.get $n)) (local.set $e) (local.set $box)
          ;; a box that keeps the exception, whose payload is another box
          (local.set $keep (struct.new $box (local.get $e) (local.get $n)))
          (local.set $e (ref.null exn)) (local.set $box (ref.null $box))
          (call $caught (i32.const 5)) (drop) (drop)
          (local.set $sum (i32.add (local.get $sum)
            (block $h (result i32)
              (struct.get $box $value
                (block $inner (result (ref null $box))
                  (try_table (catch $t $inner) (throw_ref (struct.get $box $e (local.get $keep))))
                  (unreachable))))))
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (br_if $more (local.get $n)))
        (local.get $sum)))"""
    _, exports = make(text, stress=stress)
    times = 200 if stress else 20_000
    assert exports["run"](times) == times * (times + 1) // 2


def test_subtypes_at_calls_and_casts() -> None:
    text = """(module
      (type $a (sub (struct (field i32)))) (type $b (sub $a (struct (field i32) (field i64)))) (type $c (sub final $b (struct (field i32) (field i64) (field f64))))
      (type $f (sub (func (result i32)))) (type $g (sub final $f (func (result i32))))
      (table 2 funcref) (elem (i32.const 0) $first $second)
      (func $first (type $f) (i32.const 1)) (func $second (type $g) (i32.const 2))
      (func (export "call_f") (param i32) (result i32) (call_indirect (type $f) (local.get 0)))
      (func (export "call_g") (param i32) (result i32) (call_indirect (type $g) (local.get 0)))
      (func (export "tail_f") (param i32) (result i32) (return_call_indirect (type $f) (local.get 0)))
      (func $made (param i32) (result anyref)
        (if (i32.eqz (local.get 0)) (then (return (struct.new $a (i32.const 1)))))
        (if (i32.eq (local.get 0) (i32.const 1)) (then (return (struct.new $b (i32.const 1) (i64.const 2)))))
        (struct.new $c (i32.const 1) (i64.const 2) (f64.const 3)))
      (func (export "depth") (param i32) (result i32) (local $made anyref)
        (local.set $made (call $made (local.get 0)))
        (i32.add (i32.add (ref.test (ref $a) (local.get $made)) (ref.test (ref $b) (local.get $made))) (ref.test (ref $c) (local.get $made))))
      (func (export "cast_b") (param i32) (result i64) (struct.get $b 1 (ref.cast (ref $b) (call $made (local.get 0))))))"""
    _, exports = make(text, stress=True)
    assert [exports["call_f"](i) for i in (0, 1)] == [1, 2] == [exports["tail_f"](i) for i in (0, 1)]
    assert exports["call_g"](1) == 2
    with pytest.raises(Trap) as caught:
        exports["call_g"](0)
    assert caught.value.trap_code == TrapCode.BAD_SIGNATURE
    assert [exports["depth"](i) for i in range(3)] == [1, 2, 3]
    assert [exports["cast_b"](i) for i in (1, 2)] == [2, 2]
    with pytest.raises(Trap):
        exports["cast_b"](0)


def test_artifacts_make_objects(tmp_path: Any) -> None:
    engine = Engine()
    path = tmp_path / "lists.wasmrt"
    path.write_bytes(Module(engine, LISTS).serialize())
    other = Engine()
    store = Store(other)
    exports = Instance(store, Module.deserialize_file(other, str(path)), []).exports
    assert exports["sum"](exports["list"](100)) == 5050
    assert exports["churn"](100, 10) > 0


def test_references_are_dropped_by_other_threads() -> None:
    """While the guest runs without the GIL and collects."""
    _, exports = make()
    held = [exports["cons"](i, None) for i in range(10_000)]

    def drop() -> None:
        while held:
            held.pop()

    thread = threading.Thread(target=drop)
    thread.start()
    assert exports["churn"](3000, 40) > 0
    thread.join()
    assert exports["sum"](exports["cons"](9, None)) == 9


def test_many_results_survive_python_code_that_runs_between_them() -> None:
    """More results than fit on the stack of the call; the first one's conversion runs a finalizer that makes objects."""
    count = 40
    results = " ".join(["anyref"] * count)
    made = " ".join(f"(struct.new $s (i64.const {i}))" for i in range(count))
    text = f"""(module (type $s (struct (field i64)))
      (func (export "many") (result {results}) {made})
      (func (export "value") (param anyref) (result i64) (struct.get $s 0 (ref.cast (ref $s) (local.get 0)))))"""
    _, exports = make(text, stress=True)

    class Cycle:
        def __del__(self) -> None:
            exports["many"]()

    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(20):
            cycle = Cycle()
            cycle.me = cycle  # type: ignore[attr-defined]
            del cycle
            values = exports["many"]()
            assert [exports["value"](value) for value in values] == list(range(count))
    finally:
        gc.set_threshold(*thresholds)


def test_a_closed_store_takes_no_objects() -> None:
    """Arguments that need no object, the first call after close and a close while arguments are converted."""
    store, exports = make("""(module (func (export "any") (param anyref)) (func (export "i31") (param i31ref)) (func (export "late") (param i32 anyref funcref)))""")
    functions = {name: exports[name] for name in ("any", "i31", "late")}

    class Closing:
        def __index__(self) -> int:
            store.close()
            return 1

    with pytest.raises((ArgumentTypeError, ValueError)):
        functions["late"](Closing(), 1, None)
    store.close()
    for name in ("any", "i31"):
        with pytest.raises(ValueError, match="closed"):
            functions[name](5)


RESULTS = """(module (type $s (struct (field i64))) (type $small (struct (field i32)))
  (tag $t)
  (func $many (export "many") (result {results}) {made})
  (func (export "churn") (local $n i32)
    (local.set $n (i32.const 2000))
    (loop $more
      (block $caught (try_table (catch $t $caught) (throw $t)))
      (drop (struct.new $s (i64.const -1)))
      (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func $f (export "f") (result {funcs}) {refs})
  (func (export "value") (param anyref) (result i64) (struct.get $s 0 (ref.cast (ref $s) (local.get 0)))))"""


def results_module(count: int, stress: bool) -> Any:
    made = " ".join(f"(struct.new $s (i64.const {i}))" for i in range(count))
    return make(RESULTS.format(results="anyref " * count, made=made, funcs="funcref " * count, refs="(ref.func $f) " * count), stress=stress)


@pytest.mark.parametrize("count", [3, 40])
def test_exceptions_thrown_between_results_free_none_of_them(count: int) -> None:
    """A throw collects too, when enough exceptions live."""
    _, exports = results_module(count, stress=False)
    many, churn, value = exports["many"], exports["churn"], exports["value"]
    churn()
    calls = []

    def between(phase: str, info: Any) -> None:
        calls.append(phase)
        churn()

    thresholds = gc.get_threshold()
    gc.collect()
    try:
        for _ in range(3):
            gc.set_threshold(1)
            gc.callbacks.append(between)
            try:
                found = many()
            finally:
                gc.callbacks.remove(between)
                gc.set_threshold(*thresholds)
            assert [value(item) for item in found] == list(range(count))
        assert calls
    finally:
        gc.set_threshold(*thresholds)


@pytest.mark.parametrize("count", [1, 3, 40])
@pytest.mark.parametrize("name", ["many", "f"])
def test_a_store_that_is_closed_between_results(name: str, count: int) -> None:
    """Objects and functions of results that are not converted yet are gone: an error, or results of a closed store."""
    thresholds = gc.get_threshold()
    for after in range(1, 5):
        store, exports = results_module(count, stress=False)
        call, seen = exports[name], []

        def close(phase: str, info: Any) -> None:
            seen.append(phase)  # noqa: B023
            if len(seen) > after:  # noqa: B023
                try:
                    store.close()  # noqa: B023
                except WasmError:
                    pass  # it runs

        del exports
        gc.collect()
        gc.callbacks.append(close)
        gc.set_threshold(1)
        try:
            call()
        except ValueError as error:
            assert "closed" in str(error)
        finally:
            gc.set_threshold(*thresholds)
            gc.callbacks.remove(close)
        store.close()


def test_a_store_is_not_closed_while_a_trap_is_described() -> None:
    """Its frames name code that the store alone may keep."""
    text = """(module (func $r (export "f") (param i32 anyref)
      (if (i32.eqz (local.get 0)) (then unreachable))
      (call $r (i32.sub (local.get 0) (i32.const 1)) (local.get 1))))"""
    thresholds = gc.get_threshold()
    refused = []
    for after in range(0, 60, 2):
        store, exports = make(text)
        call, seen = exports["f"], []

        def close(phase: str, info: Any) -> None:
            seen.append(phase)  # noqa: B023
            if len(seen) > after:  # noqa: B023
                try:
                    store.close()  # noqa: B023
                except WasmError as error:
                    refused.append(error)

        del exports
        gc.collect()
        gc.callbacks.append(close)
        gc.set_threshold(1)
        try:
            call(20, None)
        except Trap as trap:
            assert len(trap.frames) == 21
        except ValueError as error:
            assert "closed" in str(error)
        finally:
            gc.set_threshold(*thresholds)
            gc.callbacks.remove(close)
        store.close()
    assert any("while it runs guest code" in str(error) for error in refused)
