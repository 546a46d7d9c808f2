"""Exceptions: what scripts do not say about frames, registers, hosts, memory and artifacts."""

from __future__ import annotations

from typing import Any

import pytest

from wasmrt import (
    Config,
    Engine,
    Func,
    FuncType,
    Instance,
    Module,
    Store,
    Tag,
    TagType,
    Trap,
    TrapCode,
    ValType,
    WasmError,
)
from wasmrt.component import Component, Linker

I32 = ValType.i32()


@pytest.fixture(params=[{}, {"signals_based_traps": False}, {"debug_checks": True}, {"careful_functions": (0, 99)}], ids=str)
def engine(request: pytest.FixtureRequest) -> Engine:
    config = Config()
    for name, value in request.param.items():
        setattr(config, name, value)
    return Engine(config)


def instance(engine: Engine, text: str, imports: tuple[Any, ...] = ()) -> dict[str, Any]:
    store = Store(engine)
    made = Instance(store, Module(engine, text), list(imports))
    return {name: made.exports(store)[name] for name in made.exports(store)} | {"store": store}


def code_of(raised: pytest.ExceptionInfo[Trap]) -> Any:
    return raised.value.trap_code  # type: ignore[attr-defined]


REGISTERS = """(module
  (memory 1)
  (tag $t (param i32))
  ;; seven hot locals around calls: some live in callee-saved registers
  (func $busy (param $n i32) (param $deep i32) (result i32) (local $a i32) (local $b i32) (local $c i32) (local $d i32) (local $e i32)
    (loop $l
      (local.set $a (i32.add (local.get $a) (local.get $n)))
      (local.set $b (i32.xor (local.get $b) (local.get $a)))
      (local.set $c (i32.add (local.get $c) (local.get $b)))
      (local.set $d (i32.add (i32.rotl (local.get $d) (i32.const 3)) (local.get $c)))
      (local.set $e (i32.add (local.get $e) (local.get $d)))
      (if (i32.eq (local.get $n) (i32.const 3)) (then
        (if (i32.eqz (local.get $deep)) (then (throw $t (local.get $e))))
        (drop (call $busy (i32.const 9) (i32.sub (local.get $deep) (i32.const 1))))))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.add (local.get $e) (i32.add (local.get $a) (i32.add (local.get $b) (i32.add (local.get $c) (local.get $d))))))
  ;; keeps nothing in registers itself: what its caller has there it must give back
  (func $catch (param $deep i32) (result i32)
    (block $h (result i32) (try_table (catch $t $h) (drop (call $busy (i32.const 7) (local.get $deep)))) (i32.const -1)))
  (func (export "run") (param $n i32) (param $deep i32) (result i32) (local $a i32) (local $b i32) (local $c i32) (local $d i32)
    (local.set $b (i32.const 17))
    (loop $l
      (i32.store (i32.const 8) (local.get $n))
      (local.set $a (i32.add (local.get $a) (call $catch (local.get $deep))))
      (local.set $b (i32.add (local.get $b) (local.get $a)))
      (local.set $c (i32.xor (local.get $c) (local.get $b)))
      (local.set $d (i32.add (local.get $d) (i32.load (i32.const 8))))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.add (i32.add (local.get $a) (local.get $b)) (i32.add (local.get $c) (local.get $d))))
  ;; the same, with the handler in the loop that has the locals
  (func (export "inline") (param $n i32) (param $deep i32) (result i32) (local $a i32) (local $b i32) (local $c i32) (local $d i32)
    (local.set $b (i32.const 17))
    (loop $l
      (i32.store (i32.const 8) (local.get $n))
      (local.set $a (i32.add (local.get $a)
        (block $h (result i32) (try_table (catch $t $h) (drop (call $busy (i32.const 7) (local.get $deep)))) (i32.const -1))))
      (local.set $b (i32.add (local.get $b) (local.get $a)))
      (local.set $c (i32.xor (local.get $c) (local.get $b)))
      (local.set $d (i32.add (local.get $d) (i32.load (i32.const 8))))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.add (i32.add (local.get $a) (local.get $b)) (i32.add (local.get $c) (local.get $d))))
)"""


def busy_thrown() -> int:
    """What $busy throws at depth 0: computed by hand."""
    a = b = c = d = e = 0
    for n in (7, 6, 5, 4, 3):
        a = a + n
        b ^= a
        c = c + b
        d = ((d << 3 | d >> 29) + c) & 0xFFFFFFFF
        e = (e + d) & 0xFFFFFFFF
    return e


def test_registers_of_skipped_frames(engine: Engine) -> None:
    exports = instance(engine, REGISTERS)
    a = c = d = 0
    b = 17
    for n in range(5, 0, -1):
        a = a + busy_thrown() & 0xFFFFFFFF
        b = b + a & 0xFFFFFFFF
        c ^= b
        d += n
    want = a + b + c + d & 0xFFFFFFFF
    for name in ("run", "inline"):
        assert exports[name](5, 0) & 0xFFFFFFFF == want
    assert exports["run"](1000, 5) == exports["inline"](1000, 5)


VALUES = """(module
  (tag $t (param i32 f64 v128 i64 f32 externref exnref))
  (func $throw (param $x externref)
    (throw $t (i32.const -7) (f64.const 2.5) (v128.const i64x2 3 4) (i64.const -5) (f32.const 0.25) (local.get $x) (ref.null exn)))
  (func $sum (param i32 f64 v128 i64 f32 externref exnref) (result f64 externref)
    (f64.add (f64.convert_i32_s (local.get 0)) (f64.add (local.get 1)
      (f64.add (f64.convert_i64_s (i64x2.extract_lane 1 (local.get 2))) (f64.add (f64.convert_i64_s (local.get 3)) (f64.promote_f32 (local.get 4))))))
    (local.get 5) (if (i32.eqz (ref.is_null (local.get 6))) (then unreachable)))
  (func (export "slots") (param $x externref) (result f64 externref)
    (block $h (result i32 f64 v128 i64 f32 externref exnref)
      (try_table (catch $t $h) (call $throw (local.get $x))) unreachable)
    (call $sum))
  (func $out (param $x externref) (result i32 f64 v128 i64 f32 externref exnref exnref)
    (try_table (catch_ref $t 0) (call $throw (local.get $x))) unreachable)
  (func (export "results") (param $x externref) (result f64 externref)
    (call $out (local.get $x)) drop (call $sum))
  (func (export "loop") (param $x externref) (result i32) (local $n i32)
    (i32.const 0) (f64.const 0) (v128.const i64x2 0 0) (i64.const 0) (f32.const 0) (ref.null extern) (ref.null exn)
    (loop $l (param i32 f64 v128 i64 f32 externref exnref)
      drop drop drop drop drop drop
      (if (i32.eq (i32.const -7)) (then (local.set $n (i32.add (local.get $n) (i32.const 1)))))
      (if (i32.lt_s (local.get $n) (i32.const 3)) (then (try_table (catch $t $l) (call $throw (local.get $x))))))
    (local.get $n))
)"""


def test_values_of_every_type(engine: Engine) -> None:
    exports = instance(engine, VALUES)
    token = object()
    assert exports["slots"](token) == [-7 + 2.5 + 4 - 5 + 0.25, token]
    assert exports["results"](token) == [-7 + 2.5 + 4 - 5 + 0.25, token]
    assert exports["loop"](token) == 3


LABELS = """(module
  (tag $t)
  (func $throw (param i32) (if (local.get 0) (then (throw $t))))
  ;; the label of the catch is one that a branch with a register state has reached before
  (func (export "run") (param $x i32) (param $y i32) (result i32) (local $a i32) (local $b i32)
    (local.set $a (i32.mul (local.get $x) (i32.const 3)))
    (local.set $b (i32.add (local.get $a) (local.get $y)))
    (block $out
      (br_if $out (i32.eq (local.get $b) (i32.const 99)))
      (local.set $a (i32.add (local.get $a) (i32.const 1)))
      (try_table (catch_all $out)
        (local.set $b (i32.add (local.get $b) (i32.const 10)))
        (call $throw (local.get $y))
        (local.set $b (i32.add (local.get $b) (i32.const 100)))
        (try_table (catch $t $out) (local.set $a (i32.add (local.get $a) (i32.const 1000))) (call $throw (local.get $x))))
      (local.set $a (i32.const 0)))
    (i32.add (i32.mul (local.get $a) (i32.const 10000)) (local.get $b)))
)"""


def test_a_label_with_a_state(engine: Engine) -> None:
    run = instance(engine, LABELS)["run"]
    for x in range(4):
        for y in range(100):
            a, b = 3 * x, 3 * x + y
            if b != 99:
                a += 1
                b += 10
                if y == 0:
                    b += 100
                    a += 1000
                    if x == 0:
                        a = 0
            assert run(x, y) == a * 10000 + b


TWO = '(module (import "" "t" (tag $t (param i32))) (import "" "f" (func $f (param i32))) %s)'


def test_tags_and_instances(engine: Engine) -> None:
    store = Store(engine)
    ty = TagType(FuncType([I32], []))
    tag, other = Tag(store, ty), Tag(store, ty)
    assert tag.type(store) == ty
    assert (tag == tag) and (tag != other)
    thrower = Instance(
        store, Module(engine, '(module (import "" "t" (tag $t (param i32))) (func (export "f") (param i32) (throw $t (local.get 0))) (export "t" (tag $t)))'), [tag]
    ).exports(store)
    assert thrower["t"] == tag
    catcher = Module(
        engine,
        TWO
        % """(func (export "run") (param i32) (result i32)
      (block $all (block $h (result i32) (try_table (catch $t $h) (catch_all $all) (call $f (local.get 0))) (return (i32.const -1))) (return)) (i32.const -2))""",
    )
    assert Instance(store, catcher, [tag, thrower["f"]]).exports(store)["run"](store, 5) == 5
    assert Instance(store, catcher, [other, thrower["f"]]).exports(store)["run"](store, 5) == -2
    with pytest.raises(WasmError, match="tag"):
        Instance(store, catcher, [Tag(store, TagType(FuncType([], []))), thrower["f"]])
    with pytest.raises(WasmError, match="without results"):
        Tag(store, TagType(FuncType([], [I32])))


UNCAUGHT = """(module
  (import "" "host" (func $host))
  (tag $t (export "t"))
  (func $inner (throw $t))
  (func (export "throw") (call $inner))
  (func (export "null") (throw_ref (ref.null exn)))
  (func (export "call") (result i32) (block $h (try_table (catch_all $h) (call $host)) (return (i32.const 1))) (i32.const 2))
)"""


def test_uncaught_is_a_trap(engine: Engine) -> None:
    store = Store(engine)
    swallow = False

    def host() -> None:
        try:
            exports["throw"](store)
        except Trap as trap:
            seen.append(trap.trap_code)  # type: ignore[attr-defined]
            if not swallow:
                raise

    seen: list[Any] = []
    exports = Instance(store, Module(engine, UNCAUGHT), [Func(store, FuncType([], []), host)]).exports(store)
    with pytest.raises(Trap, match="uncaught exception") as raised:
        exports["throw"](store)
    assert code_of(raised) == TrapCode.UNCAUGHT_EXCEPTION
    assert [frame.func_index for frame in raised.value.frames] == [1, 2]
    with pytest.raises(Trap, match="null reference") as raised:
        exports["null"](store)
    assert code_of(raised) == TrapCode.NULL_REFERENCE
    # a host function is a wall: what was not caught above it is a trap, which no handler below it catches
    with pytest.raises(Trap) as raised:
        exports["call"](store)
    assert code_of(raised) == TrapCode.UNCAUGHT_EXCEPTION
    swallow = True
    assert exports["call"](store) == 1
    assert seen == [TrapCode.UNCAUGHT_EXCEPTION] * 2


KEEP = """(module
  (tag $t (param i32 i64 f64))
  (tag $link (param exnref))
  (global $g (mut exnref) (ref.null exn))
  (table $tab 10 exnref)
  (func $make (param $x i32) (result exnref)
    (block $h (result i32 i64 f64 exnref)
      (try_table (catch_ref $t $h) (throw $t (local.get $x) (i64.const 1) (f64.const 0.5))) unreachable)
    (return))
  (func $value (param $e exnref) (result i32)
    (block $h (result i32 i64 f64)
      (try_table (catch $t $h) (throw_ref (local.get $e))) unreachable)
    drop drop)
  (func (export "keep") (param $n i32) (result i32) (local $i i32) (local $mine exnref) (local $sum i32)
    (global.set $g (call $make (i32.const 1)))
    (table.set $tab (i32.const 7) (call $make (i32.const 20)))
    (local.set $mine (call $make (i32.const 300)))
    (loop $l
      (drop (call $make (local.get $i)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
    (i32.add (call $value (local.get $mine)) (i32.add (call $value (global.get $g)) (call $value (table.get $tab (i32.const 7))))))
  (func $wrap (param $e exnref) (result exnref)
    (block $h (result exnref exnref) (try_table (catch_ref $link $h) (throw $link (local.get $e))) unreachable)
    (return))
  (func (export "chain") (param $n i32) (result i32) (local $i i32) (local $e exnref) (local $f exnref)
    (local.set $e (call $make (i32.const 42)))
    (loop $l
      (local.set $e (call $wrap (local.get $e)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (loop $l
      (local.set $e (block $h (result exnref) (try_table (catch $link $h) (throw_ref (local.get $e))) unreachable))
      (br_if $l (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
    (call $value (local.get $e)))
)"""
# $make returns the last of four values: the first three are dropped
KEEP = KEEP.replace("    (return))\n  (func $value", "    (local.set $e) (drop) (drop) (drop) (local.get $e))\n  (func $value")
KEEP = KEEP.replace("(func $make (param $x i32) (result exnref)", "(func $make (param $x i32) (result exnref) (local $e exnref)")
KEEP = KEEP.replace("    (return))\n  (func (export \"chain\")", "    (local.set $e) (drop) (local.get $e))\n  (func (export \"chain\")")


def test_what_nothing_holds_is_freed() -> None:
    exports = instance(Engine(), KEEP)
    assert exports["keep"](700_000) == 321  # together they take more than the limit EXCEPTION_BYTES
    assert exports["chain"](5000) == 42


def test_what_a_guest_keeps_is_limited() -> None:
    exports = instance(Engine(), KEEP)
    with pytest.raises(Trap) as raised:
        exports["chain"](10_000_000)
    assert code_of(raised) == TrapCode.ALLOCATION_TOO_LARGE
    assert exports["keep"](1000) == 321  # what the trap left is freed


def test_exceptions_stay_in_the_guest(engine: Engine) -> None:
    exports = instance(
        engine,
        """(module (tag $t)
          (func (export "out") (result exnref) (block $h (result exnref) (try_table (catch_all_ref $h) (throw $t)) unreachable))
          (func (export "null") (param exnref) (result exnref) (local.get 0))
          (global (export "g") (mut exnref) (ref.null exn)))""",
    )
    assert exports["null"](None) is None
    assert exports["g"].value(exports["store"]) is None
    with pytest.raises(WasmError, match="exn"):
        exports["out"]()
    with pytest.raises(WasmError):
        exports["null"](exports["null"])


def test_artifacts_keep_handlers() -> None:
    engine = Engine()
    artifact = Module(engine, REGISTERS).serialize()
    store = Store(engine)
    exports = Instance(store, Module.deserialize(engine, artifact), []).exports(store)
    assert exports["run"](store, 1000, 5) == exports["inline"](store, 1000, 5)


def test_off() -> None:
    config = Config()
    config.wasm_exceptions = False
    with pytest.raises(WasmError, match="wasm_exceptions"):
        Module(Engine(config), "(module (tag $t))")


BOUNDARY = """(component
  (component $callee
    (core module $m (tag $t) (func (export "f") (param i32) (result i32) (if (local.get 0) (then (throw $t))) (i32.const 1)))
    (core instance $i (instantiate $m))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $caller
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $f (canon lower (func $f)))
    (core module $m
      (import "" "f" (func $f (param i32) (result i32)))
      (func (export "run") (param i32) (result i32)
        (block $h (try_table (catch_all $h) (return (call $f (local.get 0))))) (i32.const 2)))
    (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
    (func (export "run") (param "x" u32) (result u32) (canon lift (core func $i "run"))))
  (instance $callee (instantiate $callee))
  (instance $caller (instantiate $caller (with "f" (func $callee "f"))))
  (export "run" (func $caller "run")))"""


def test_no_exception_passes_between_components() -> None:
    engine = Engine()
    component = Component(engine, BOUNDARY)
    for given in (component, Component.deserialize(engine, component.serialize())):
        store = Store(engine)
        run = Linker(engine).instantiate(store, given).get_func(store, "run")
        assert run is not None
        assert run(store, 0) == 1
        with pytest.raises(Trap) as raised:
            run(store, 1)
        assert code_of(raised) == TrapCode.UNCAUGHT_EXCEPTION
