"""Tail calls: the stack does not grow, whatever the two signatures; and typed function references."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from wasmrt import Config, Engine, Func, FuncType, Instance, Module, Store, Trap, TrapCode, ValType, WasmError

I32, I64, F64 = ValType.i32(), ValType.i64(), ValType.f64()


@pytest.fixture(params=[{}, {"signals_based_traps": False}, {"debug_checks": True}, {"careful_functions": (0, 99)}], ids=str)
def engine(request: pytest.FixtureRequest) -> Engine:
    config = Config()
    for name, value in request.param.items():
        setattr(config, name, value)
    return Engine(config)


def exports_of(engine: Engine, text: str, *imports: Any) -> tuple[Store, Any]:
    store = Store(engine)
    return store, Instance(store, Module(engine, text), [make(store) for make in imports]).exports(store)


DEEP = """(module
  (table funcref (elem $odd))
  (type $t (func (param i64) (result i32)))
  (elem declare func $even)
  (func $even (export "even") (param i64) (result i32)
    (if (i64.eqz (local.get 0)) (then (return (i32.const 1))))
    (return_call_indirect (type $t) (i64.sub (local.get 0) (i64.const 1)) (i32.const 0)))
  (func $odd (param i64) (result i32)
    (if (i64.eqz (local.get 0)) (then (return (i32.const 0))))
    (return_call_ref $t (i64.sub (local.get 0) (i64.const 1)) (ref.func $even)))
  (func $count (export "count") (param $n i64) (param $sum i64) (result i64) (local $a i64)
    (local.set $a (i64.add (local.get $n) (local.get $sum)))
    (if (i64.eqz (local.get $n)) (then (return (local.get $sum))))
    (return_call $count (i64.sub (local.get $n) (i64.const 1)) (local.get $a)))
)"""


def test_ten_million_deep() -> None:
    store, exports = exports_of(Engine(), DEEP)
    assert exports["count"](store, 10_000_000, 0) == 10_000_000 * 10_000_001 // 2
    assert exports["even"](store, 10_000_000) == 1
    assert exports["even"](store, 10_000_001) == 0


def signature(count: int) -> str:
    """`count` parameters, more and more of which are passed on the stack, vectors among them."""
    return " ".join(("i64", "i32", "v128", "f64", "i64")[i % 5] for i in range(count))


def weighted(count: int) -> str:
    """An i64 that every parameter has a part in."""
    reads = {"i64": "{0}", "i32": "(i64.extend_i32_u {0})", "v128": "(i64x2.extract_lane 1 {0})", "f64": "(i64.trunc_f64_s {0})"}
    parts = [
        f"(i64.mul (i64.const {3 ** (i % 20)}) {reads[kind].format(f'(local.get {i})')})"
        for i, kind in enumerate(signature(count).split())
    ]
    return "(i64.const 1)" + "".join(f" {part} (i64.add)" for part in parts)


def arguments(count: int, first: str) -> str:
    """Of a call: $first + index."""
    makes = {
        "i64": "{0}",
        "i32": "(i32.wrap_i64 {0})",
        "v128": "(i64x2.replace_lane 1 (v128.const i64x2 9 9) {0})",
        "f64": "(f64.convert_i64_s {0})",
    }
    return " ".join(makes[kind].format(f"(i64.add {first} (i64.const {i}))") for i, kind in enumerate(signature(count).split()))


def expected(count: int, first: int) -> int:
    return 1 + sum(3 ** (i % 20) * (first + i) for i in range(count))


def test_any_two_signatures(engine: Engine) -> None:
    counts = (0, 1, 4, 9, 14, 30)
    functions = [f"(func $take{n} (export \"take{n}\") (param {signature(n)}) (result i64) {weighted(n)})" for n in counts]
    for a, b in itertools.product(counts, counts):
        first = "(i64.const 5)" if a == 0 else "(local.get 0)"
        # hot locals around a call, so that callee-saved registers are to be put back
        functions.append(
            f"""(func $from{a}to{b} (param {signature(a)}) (result i64) (local $x i64) (local $y i64) (local $k i32)
              (local.set $k (i32.const 3))
              (loop $l (local.set $x (i64.add (local.get $x) (i64.const 2))) (local.set $y (i64.add (local.get $y) (local.get $x)))
                (drop (call $take4 {arguments(4, "(local.get $y)")}))
                (br_if $l (local.tee $k (i32.sub (local.get $k) (i32.const 1)))))
              (return_call $take{b} {arguments(b, f"(i64.add {first} (i64.sub (local.get $y) (i64.const 12)))")}))"""
        )
        # a caller whose frame and registers must be as they were
        functions.append(
            f"""(func (export "run{a}to{b}") (param $n i64) (result i64) (local $sum i64) (local $i i64) (local $z i64)
              (local.set $i (local.get $n))
              (loop $l
                (local.set $z (i64.add (local.get $z) (i64.const 3)))
                (local.set $sum (i64.add (local.get $sum) (call $from{a}to{b} {arguments(a, "(i64.const 5)")})))
                (br_if $l (i32.eqz (i64.eqz (local.tee $i (i64.sub (local.get $i) (i64.const 1)))))))
              (i64.add (local.get $sum) (local.get $z)))"""
        )
    store, exports = exports_of(engine, "(module\n" + "\n".join(functions) + ")")
    for a, b in itertools.product(counts, counts):
        assert exports[f"run{a}to{b}"](store, 3) == 3 * expected(b, 5) + 9, (a, b)


def test_to_imports_and_the_host(engine: Engine) -> None:
    host = FuncType([I32, I64, F64, I64, I64, I64, I32], [I64])
    seen = []

    def make(store: Store) -> Func:
        return Func(store, host, lambda *values: seen.append(values) or 77)

    store, exports = exports_of(
        engine,
        """(module
          (import "" "h" (func $h (param i32 i64 f64 i64 i64 i64 i32) (result i64)))
          (func (export "few") (param i32) (result i64)
            (return_call $h (local.get 0) (i64.const 1) (f64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i32.const 6)))
          (func (export "many") (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i32) (result i64)
            (return_call $h (local.get 9) (local.get 8) (f64.const 2) (local.get 7) (local.get 6) (local.get 5) (i32.const 6))))""",
        make,
    )
    assert exports["few"](store, 9) == 77
    assert exports["many"](store, *range(10)) == 77
    assert seen == [(9, 1, 2.0, 3, 4, 5, 6), (9, 8, 2.0, 7, 6, 5, 6)]


def test_results_in_memory(engine: Engine) -> None:
    store, exports = exports_of(
        engine,
        """(module
          (func $pair (param i64 i64 i64 i64 i64) (result i64 i64 f64 f64) (local.get 0) (local.get 4) (f64.const 1) (f64.const 2))
          (func (export "f") (param i64) (result i64 i64 f64 f64)
            (return_call $pair (local.get 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4))))""",
    )
    assert exports["f"](store, 8) == [8, 4, 1.0, 2.0]


def test_a_handler_does_not_outlive_its_frame(engine: Engine) -> None:
    store, exports = exports_of(
        engine,
        """(module (tag $t)
          (func $throw (throw $t))
          (func $f (block $h (try_table (catch_all $h) (return_call $throw))))
          (func (export "run") (result i32) (block $h (try_table (catch_all $h) (call $f)) (return (i32.const 1))) (i32.const 2)))""",
    )
    assert exports["run"](store) == 2


def test_an_endless_tail_call_is_interrupted() -> None:
    config = Config()
    config.epoch_interruption = True
    engine = Engine(config)
    store, exports = exports_of(engine, '(module (func $f (export "f") (return_call $f)))')
    store.set_epoch_deadline(1)
    engine.increment_epoch()
    with pytest.raises(Trap) as raised:
        exports["f"](store)
    assert raised.value.trap_code == TrapCode.INTERRUPT  # type: ignore[attr-defined]


def test_null_references(engine: Engine) -> None:
    store, exports = exports_of(
        engine,
        """(module (type $t (func (result i32)))
          (func $one (export "one") (result i32) (i32.const 1))
          (func (export "call") (param (ref null $t)) (result i32) (call_ref $t (local.get 0)))
          (func (export "or") (param (ref null $t)) (result i32)
            (block $null (return (call_ref $t (br_on_null $null (local.get 0))))) (i32.const -1))
          (func (export "else") (param (ref null $t)) (result i32)
            (call_ref $t (block $some (result (ref $t)) (br_on_non_null $some (local.get 0)) (return (i32.const -2)))))
          (func (export "must") (param funcref) (result funcref) (ref.as_non_null (local.get 0))))""",
    )
    one = exports["one"]
    assert [exports[name](store, one) for name in ("call", "or", "else")] == [1, 1, 1]
    assert [exports[name](store, None) for name in ("or", "else")] == [-1, -2]
    assert exports["must"](store, one)(store) == 1
    for name in ("call", "must"):
        with pytest.raises(Trap) as raised:
            exports[name](store, None)
        assert raised.value.trap_code == TrapCode.NULL_REFERENCE  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["tail_call", "function_references"])
def test_off(name: str) -> None:
    config = Config()
    setattr(config, f"wasm_{name}", False)
    text = {"tail_call": "(module (func $f (return_call $f)))", "function_references": "(module (func (ref.as_non_null (ref.null func)) drop))"}
    with pytest.raises(WasmError, match=f"wasm_{name}"):
        Module(Engine(config), text[name])
