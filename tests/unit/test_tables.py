"""Tables: what is in them, whoever asks, though elements that are known before a module is instantiated are only looked up when they are met."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest

from wasmrt import (
    Config,
    Engine,
    Func,
    Instance,
    Limits,
    Module,
    PoolingAllocationConfig,
    Store,
    Table,
    TableType,
    Trap,
    TrapCode,
    ValType,
    WasmError,
)

CONFIGS: dict[str, dict[str, Any]] = {
    "default": {},
    "pooling": {
        "allocation_strategy": PoolingAllocationConfig(
            total_core_instances=64, total_tables=200, max_tables_per_module=30, table_elements=2000, total_memories=1
        )
    },
    "small slots": {
        "allocation_strategy": PoolingAllocationConfig(
            total_core_instances=64,
            total_tables=200,
            max_tables_per_module=30,
            total_memories=1,
            max_core_instance_size=4096,
        )
    },
    "no signals": {"signals_based_traps": False},
    "checks": {"debug_checks": True},
    "careful": {"careful_functions": (0, 99)},
}


@pytest.fixture(params=CONFIGS)
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(Config(**CONFIGS[request.param]))


# ---- against a model --------------------------------------------------------------------------------------------------------------------

# more arguments than registers of either kind, so that what is looked up in the middle of a call must leave all alone
PARAMS = "(param i64 i32 i64 f64 i64 i64 i64 i64 f32 i64)"
GIVEN = (1, 20, 300, 4000.0, 50_000, 600_000, 7_000_000, 80_000_000, 900_000_000.0, 10**10)
SUM = """(i64.add (i64.add (i64.add (local.get 0) (i64.extend_i32_u (local.get 1))) (i64.add (local.get 2) (i64.trunc_f64_s (local.get 3))))
  (i64.add (i64.add (i64.add (local.get 4) (local.get 5)) (i64.add (local.get 6) (local.get 7))) (i64.add (i64.trunc_f32_s (local.get 8)) (local.get 9))))"""
ARGS = " ".join(f"(local.get {i})" for i in range(10))
OPS = f"""
  (func (export "set") (param i32 i32) (table.set $t (local.get 0) (table.get $mine (local.get 1))))
  (func (export "set_null") (param i32) (table.set $t (local.get 0) (ref.null func)))
  (func (export "set_ref") (param i32) (table.set $t (local.get 0) (ref.func $f5)))
  (func (export "fill") (param i32 i32 i32) (table.fill $t (local.get 0) (table.get $mine (local.get 1)) (local.get 2)))
  (func (export "copy") (param i32 i32 i32) (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
  (func (export "take") (param i32 i32 i32) (table.copy $t $mine (local.get 0) (local.get 1) (local.get 2)))
  (func (export "give") (param i32 i32 i32) (table.copy $mine $t (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32 i32 i32) (table.init $t $passive (local.get 0) (local.get 1) (local.get 2)))
  (func (export "grow") (param i32 i32) (result i32) (table.grow $t (table.get $mine (local.get 0)) (local.get 1)))
  (func (export "size") (result i32) (table.size $t))
  (func (export "is_null") (param i32) (result i32) (ref.is_null (table.get $t (local.get 0))))
  (func (export "get") (param i32) (result funcref) (table.get $t (local.get 0)))
  (func (export "get_mine") (param i32) (result funcref) (table.get $mine (local.get 0)))
  (func (export "call") {PARAMS} (param i32) (result i64) (call_indirect $t (type $f) {ARGS} (local.get 10)))
  (func (export "tail") {PARAMS} (param i32) (result i64) (return_call_indirect $t (type $f) {ARGS} (local.get 10)))
  (func (export "wrong") (param i32) (call_indirect $t (local.get 0)))
"""


def model_module(table: str, base: int, mine: int = 13, more: int = 0) -> str:
    """Functions that add their number to the sum of their arguments; f0 is imported. `more` functions come before them."""
    own = "\n".join(f"(func $f{k} (type $f) (i64.add (i64.const {(base + k) << 40}) {SUM}))" for k in range(1, 12))
    return f"""(module
      (type $f (func {PARAMS} (result i64)))
      (import "e" "f" (func $f0 (type $f)))
      {table}
      {"".join(f'(func (export "{k}"))' for k in range(more))}
      (table $mine {mine} funcref)
      (elem (table $mine) (i32.const 1) func $f1 $f2 $f3 $f4 $f5 $f6 $f7 $f8 $f9 $f10 $f11 $f0)
      (elem $passive funcref (ref.func $f10) (ref.null func) (ref.func $f11) (ref.func $f0))
      {own} {OPS})"""


EXPORTER = model_module(
    """(table $t (export "t") 20 60 funcref)
       (elem (table $t) (i32.const 2) func $f1 $f2 $f3 $f4)
       (elem (table $t) (i32.const 4) func $f7 $f0 $f8)
       (elem (table $t) (i32.const 10) funcref (ref.null func) (ref.func $f9) (ref.func $f10))
       (elem (table $t) (i32.const 11) funcref (ref.null func))""",
    100,
)
IMPORTER = model_module('(import "e" "t" (table $t 20 60 funcref))', 200)
START: list[int | None] = [None] * 20
START[2:7] = [101, 102, 107, 999, 108]
START[12] = 110
# the same where functions are made in chunks, and tables have no elements of their own at first; segments do not overlap
LARGE_EXPORTER = model_module(
    """(table $t (export "t") 120 200 funcref)
       (elem (table $t) (i32.const 2) func $f1 $f2 $f7 $f0 $f8)
       (elem (table $t) (i32.const 10) funcref (ref.null func) (ref.null func) (ref.func $f10))""",
    100,
    mine=90,
    more=60,
)
LARGE_IMPORTER = model_module('(import "e" "t" (table $t 120 200 funcref))', 200, mine=90, more=60)
ORDER = [None, *range(1, 12), 0]


class Model:
    def __init__(self, modules: list[Module], engine: Engine) -> None:
        self.store = Store(engine)
        given = Instance(
            self.store,
            Module(
                engine, f'(module (func (export "f") {PARAMS} (result i64) (i64.add (i64.const {999 << 40}) {SUM})))'
            ),
            [],
        )
        func = given.exports(self.store)["f"]
        first = Instance(self.store, modules[0], [func]).exports(self.store)
        second = Instance(self.store, modules[1], [func, first["t"]]).exports(self.store)
        self.exports = [first, second]
        self.most = first["t"].type(self.store).limits.max
        self.table: list[int | None] = START + [None] * (first["t"].size(self.store) - len(START))
        self.mine = [[None if k is None else 999 if k == 0 else base + k for k in ORDER] for base in (100, 200)]
        self.passive = [[base + 10, None, base + 11, 999] for base in (100, 200)]

    def step(self, rng: random.Random) -> None:
        who = rng.randrange(2)
        ops, mine, table, size = self.exports[who], self.mine[who], self.table, len(self.table)
        i, k, n = rng.randrange(rng.choice((20, size))), rng.randrange(13), rng.randrange(4)
        name = rng.choice(
            (
                "set",
                "set_null",
                "set_ref",
                "fill",
                "copy",
                "take",
                "give",
                "init",
                "grow",
                "host_set",
                "host_grow",
                *("look",) * 8,
            )
        )
        if name == "set":
            ops["set"](self.store, i, k)
            table[i] = mine[k]
        elif name == "set_null":
            ops["set_null"](self.store, i)
            table[i] = None
        elif name == "set_ref":
            ops["set_ref"](self.store, i)
            table[i] = (105, 205)[who]
        elif name == "fill":
            i = min(i, size - n)
            ops["fill"](self.store, i, k, n)
            table[i : i + n] = [mine[k]] * n
        elif name == "copy":
            i, k = min(i, size - n), rng.randrange(size - n)
            ops["copy"](self.store, i, k, n)
            table[i : i + n] = table[k : k + n]
        elif name == "take":
            i, k = min(i, size - n), min(k, 13 - n)
            ops["take"](self.store, i, k, n)
            table[i : i + n] = mine[k : k + n]
        elif name == "give":
            i, k = min(i, size - n), min(k, 13 - n)
            ops["give"](self.store, k, i, n)
            mine[k : k + n] = table[i : i + n]
        elif name == "init":
            i, k = min(i, size - n), rng.randrange(5 - n)
            ops["init"](self.store, i, k, n)
            table[i : i + n] = self.passive[who][k : k + n]
        elif name == "grow":
            assert ops["grow"](self.store, k, n) == (size if size + n <= self.most else -1)
            if size + n <= self.most:
                table.extend([mine[k]] * n)
        elif name == "host_set":
            self.exports[0]["t"].set(self.store, i, ops["get_mine"](self.store, k))
            table[i] = mine[k]
        elif name == "host_grow" and size < self.most - 10:
            assert self.exports[0]["t"].grow(self.store, n, ops["get_mine"](self.store, k)) == size
            table.extend([mine[k]] * n)
        else:
            self.look(ops, rng, i)

    def look(self, ops: Any, rng: random.Random, i: int) -> None:
        want = self.table[i]
        how = rng.choice(("call", "tail", "get", "host", "null", "wrong"))
        if how == "null":
            assert ops["is_null"](self.store, i) == (want is None)
        elif how == "wrong":
            with pytest.raises(Trap) as caught:
                ops["wrong"](self.store, i)
            assert caught.value.trap_code == (
                TrapCode.INDIRECT_CALL_TO_NULL if want is None else TrapCode.BAD_SIGNATURE
            )
        elif how in ("get", "host"):
            func = ops["get"](self.store, i) if how == "get" else self.exports[0]["t"].get(self.store, i)
            assert (func is None) == (want is None)
            assert func is None or self.number(func(self.store, *GIVEN)) == want
        elif want is None:
            with pytest.raises(Trap) as caught:
                ops[how](self.store, *GIVEN, i)
            assert caught.value.trap_code == TrapCode.INDIRECT_CALL_TO_NULL
        else:
            assert self.number(ops[how](self.store, *GIVEN, i)) == want

    @staticmethod
    def number(result: int) -> int:
        number, rest = divmod(result, 1 << 40)
        assert rest == sum(map(int, GIVEN))
        return number


@pytest.mark.parametrize("texts", [(EXPORTER, IMPORTER), (LARGE_EXPORTER, LARGE_IMPORTER)], ids=("small", "large"))
def test_every_path_against_a_model(engine: Engine, texts: tuple[str, str]) -> None:
    modules = [Module(engine, text) for text in texts]
    for seed in range(30):
        rng = random.Random(seed)
        model = Model(modules, engine)
        for _ in range(rng.choice((1, 3, 10, 60, 200))):
            model.step(rng)
        del model
        gc.collect()  # frames of traps that were caught hold it


# ---- the rest ---------------------------------------------------------------------------------------------------------------------------


def test_registers_are_kept_where_an_element_is_looked_up(engine: Engine) -> None:
    """Looked up in the middle of code that has all registers in use, by table.get, ref.func and table.set."""
    ints = "".join(f"(local $i{k} i64)" for k in range(14))
    floats = "".join(f"(local $d{k} f64)" for k in range(14))
    begin = "".join(
        f"(local.set $i{k} (i64.mul (local.get $n) (i64.const {k + 3}))) (local.set $d{k} (f64.convert_i64_s (local.get $i{k})))"
        for k in range(14)
    )
    end = "".join(
        f"(local.set $i0 (i64.add (i64.xor (local.get $i0) (local.get $i{k})) (i64.trunc_f64_s (local.get $d{k}))))"
        for k in range(14)
    )

    def text(elems: str, more: str) -> str:
        return f"""(module (type $t (func (result i32))) (table $t 8 funcref) (table $u 8 funcref) {elems}
          (func $a (result i32) (i32.const 1)) (func $b (result i32) (i32.const 2)) (func $c (result i32) (i32.const 3)) (elem declare func $c)
          {more}
          (func (export "run") (param $n i64) (param $i i32) (result i64) {ints} {floats} {begin}
            (table.set $u (local.get $i) (table.get $t (local.get $i)))
            (table.set $u (i32.const 7) (ref.func $c))
            (table.set $t (local.get $i) (ref.null func))
            {end}
            (i64.add (i64.mul (local.get $i0) (i64.const 10)) (i64.extend_i32_u
              (i32.add (i32.add (call_indirect $u (type $t) (local.get $i)) (call_indirect $u (type $t) (i32.const 7))) (ref.is_null (table.get $t (local.get $i))))))))"""

    lazy = text(
        "(elem (table $t) (i32.const 0) func $a $b) (elem (table $u) (i32.const 0) func $b $b $b $b $b $b $b $b)", ""
    )
    eager = text(
        "(elem $e func $a $b)",
        "(func $init (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 2))) (start $init)",
    )
    results = []
    for source in (lazy, eager):
        module = Module(engine, source)
        for i in (1, 0):
            store = Store(engine)
            results.append(Instance(store, module, []).exports(store)["run"](store, 12345, i))
    assert results[:2] == results[2:] and {r % 10 for r in results} == {2 + 3 + 1, 1 + 3 + 1}


def test_functions_are_the_same_however_they_are_found(engine: Engine) -> None:
    module = Module(
        engine,
        """(module (table (export "t") 3 funcref) (elem (i32.const 0) $f $g) (func $f (export "f")) (func $g)
          (func (export "ref") (result funcref) (ref.func $g)) (func (export "get") (param i32) (result funcref) (table.get (local.get 0))))""",
    )
    for order in (0, 1):
        store = Store(engine)
        exports = Instance(store, module, []).exports(store)
        first = exports["t"].get(store, 1) if order else exports["ref"](store)
        assert isinstance(first, Func)
        assert first == exports["ref"](store) == exports["get"](store, 1) == exports["t"].get(store, 1)
        assert exports["f"] == exports["get"](store, 0) == exports["t"].get(store, 0) != first
        assert exports["t"].get(store, 2) is None and exports["t"].get(store, 3) is None


def test_a_table_outlives_the_instance_that_filled_it(engine: Engine) -> None:
    """Also one whose later segment was out of bounds: what came before it stays, and finds its own table."""
    store = Store(engine)
    table = Table(store, TableType(ValType.funcref(), Limits(4, None)), None)
    text = """(module (import "e" "t" (table $t 4 funcref)) (table $own 2 funcref) (type $i (func (result i32)))
      (elem (table $t) (i32.const 1) func $f) {} (elem (table $own) (i32.const 0) func $g)
      (func $f (result i32) (i32.add (i32.const 40) (call_indirect $own (type $i) (i32.const 0)))) (func $g (result i32) (i32.const 2)))"""
    Instance(store, Module(engine, text.format("")), [table])
    assert table.get(store, 1)(store) == 42
    with pytest.raises(Trap):
        Instance(store, Module(engine, text.format("(elem (table $t) (i32.const 4) func $g)")), [table])
    with pytest.raises(Trap) as caught:  # its own table was never filled
        table.get(store, 1)(store)
    assert caught.value.trap_code == TrapCode.INDIRECT_CALL_TO_NULL
    assert table.get(store, 0) is None


def test_initialisation_that_fails_midway(engine: Engine) -> None:
    module = Module(
        engine,
        """(module (import "e" "g" (global $at i32)) (import "e" "t" (table $t 2 funcref)) (table $own (export "own") 6 funcref) (type $i (func (result i32)))
          (elem (table $own) (i32.const 1) func $f) (elem (table $t) (i32.const 0) func $call) (elem (table $own) (global.get $at) func $g $g)
          (func $f (result i32) (i32.const 7)) (func $g (result i32) (i32.const 8)) (func $call (param i32) (result i32) (call_indirect $own (type $i) (local.get 0))))""",
    )
    from wasmrt import Global, GlobalType

    for at, want in (
        (5, [None, 7, None, None, None, None]),
        (0, [8, 8, None, None, None, None]),
        (2, [None, 7, 8, 8, None, None]),
    ):
        store = Store(engine)
        table = Table(store, TableType(ValType.funcref(), Limits(2, None)), None)
        imports = [Global(store, GlobalType(ValType.i32(), False), at), table]
        if at == 5:
            with pytest.raises(Trap):
                Instance(store, module, imports)
        else:
            Instance(store, module, imports)
        call = table.get(store, 0)
        for i, value in enumerate(want):
            if value is not None:
                assert call(store, i) == value
                continue
            with pytest.raises(Trap) as caught:
                call(store, i)
            assert caught.value.trap_code == TrapCode.INDIRECT_CALL_TO_NULL


@pytest.mark.parametrize(
    "table",
    [
        "(table $t 5 funcref)",
        "(table $t i64 5 funcref)",
        "(table $t 5 (ref null $i))",
        "(table $t 5 funcref (ref.func $d))",
        "(table $t 5 (ref func) (ref.func $d))",
    ],
)
def test_kinds_of_tables(engine: Engine, table: str) -> None:
    at = "i64" if "i64" in table else "i32"
    config = Config()
    config.wasm_memory64 = True
    engine = Engine(config)
    module = Module(
        engine,
        f"""(module (type $i (func (result i32))) {table} (elem (table $t) ({at}.const 1) (ref null $i) (ref.func $a) (ref.func $b))
          (func $a (type $i) (i32.const 1)) (func $b (type $i) (i32.const 2)) (func $d (type $i) (i32.const 9))
          (func (export "call") (param {at}) (result i32) (call_indirect $t (type $i) (local.get 0))))"""
        if "(ref func)" not in table
        else f"""(module (type $i (func (result i32))) {table} (elem (table $t) (i32.const 1) (ref func) (ref.func $a) (ref.func $b))
          (func $a (type $i) (i32.const 1)) (func $b (type $i) (i32.const 2)) (func $d (type $i) (i32.const 9))
          (func (export "call") (param i32) (result i32) (call_indirect $t (type $i) (local.get 0))))""",
    )
    for _ in range(2):
        store = Store(engine)
        call = Instance(store, module, []).exports(store)["call"]
        found = []
        for i in (2, 1, 0, 4, 5):
            try:
                found.append(call(store, i))
            except Trap as trap:
                found.append(trap.trap_code)
        other = 9 if "ref.func $d" in table else TrapCode.INDIRECT_CALL_TO_NULL
        assert found == [2, 1, other, other, TrapCode.TABLE_OUT_OF_BOUNDS]


def test_sparse_tables_take_no_room_for_what_is_not_there() -> None:
    engine = Engine()
    tables = "\n".join(
        f"(table $t{k} 10000000 funcref) (elem (table $t{k}) (i32.const 9999990) func $f)" for k in range(20)
    )
    store = Store(engine)
    exports = Instance(
        store,
        Module(engine, f'(module (func $f) {tables} (func (export "run") (call_indirect $t19 (i32.const 9999990))))'),
        [],
    ).exports(store)
    exports["run"](store)


def test_a_block_is_used_by_another_module(engine: Engine) -> None:
    """Whatever the one before left in the instance, its table or its functions."""
    texts = [
        f"""(module (type $i (func (result i32))) (table $t {size} funcref) (elem (i32.const {start}) func {" ".join("$f" + str(k) for k in range(count))})
          {"".join(f"(func $f{k} (result i32) (i32.const {number + k}))" for k in range(count))}
          (func (export "clobber") (table.fill $t (i32.const 0) (ref.func $f0) (i32.const {size})))
          (func (export "call") (param i32) (result i32) (call_indirect (type $i) (local.get 0))))"""
        for number, size, start, count in ((100, 40, 3, 20), (200, 40, 0, 20), (300, 40, 20, 3), (400, 900, 50, 50))
    ]
    modules = [Module(engine, text) for text in texts]
    rng = random.Random(3)
    for _ in range(60):
        which = rng.randrange(4)
        number, size, start, count = ((100, 40, 3, 20), (200, 40, 0, 20), (300, 40, 20, 3), (400, 900, 50, 50))[which]
        store = Store(engine)
        exports = Instance(store, modules[which], []).exports(store)
        for i in rng.sample(range(size), 5):
            if start <= i < start + count:
                assert exports["call"](store, i) == number + i - start
            else:
                with pytest.raises(Trap):
                    exports["call"](store, i)
        if rng.random() < 0.5:
            exports["clobber"](store)
            assert exports["call"](store, rng.randrange(size)) == number


def test_growth_of_a_table_that_is_in_use(engine: Engine) -> None:
    module = Module(
        engine,
        """(module (type $i (func (result i32))) (table $t (export "t") 3 funcref) (elem (i32.const 1) func $a $b) (func $a (result i32) (i32.const 1)) (func $b (result i32) (i32.const 2))
          (func (export "grow") (param i32) (result i32) (table.grow $t (ref.null func) (local.get 0)))
          (func (export "call") (param i32) (result i32) (call_indirect (type $i) (local.get 0))))""",
    )
    for _ in range(3):
        store = Store(engine)
        exports = Instance(store, module, []).exports(store)
        assert exports["call"](store, 2) == 2
        for k in range(20):
            assert exports["grow"](store, 4) == 3 + 4 * k
        assert exports["call"](store, 1) == 1 and exports["t"].get(store, 80) is None
        exports["t"].set(store, 82, exports["t"].get(store, 2))
        assert exports["call"](store, 82) == 2
        exports["t"].set(store, 2, None)
        with pytest.raises(Trap):
            exports["call"](store, 2)
        with pytest.raises(WasmError):
            exports["t"].set(store, 83, None)


def test_many_threads(engine: Engine) -> None:
    module = Module(engine, EXPORTER)
    wrong: list[Any] = []

    def work(number: int) -> None:
        for i in range(40):
            try:
                store = Store(engine)
                exports = Instance(store, module, [Func(store, module.imports[0].type, lambda *args: 0)]).exports(store)
                if exports["call"](store, *GIVEN, 2 + i % 3) >> 40 != START[2 + i % 3]:
                    wrong.append((number, i))
                if i % 5 == number:
                    exports["set_null"](store, 3)
                del exports, store
            except WasmError as error:
                if "pool" not in str(error):
                    wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    "config",
    ["Config()", "Config(allocation_strategy=PoolingAllocationConfig(total_core_instances=300, total_tables=300))"],
)
def test_what_is_not_used_takes_no_memory(config: str) -> None:
    """300 live instances of 10,000 functions, each in a table: references and elements would be 400 KB an instance."""
    body = f"""
      from wasmrt import Config, Engine, Instance, Module, PoolingAllocationConfig, Store
      def rss():
          return int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0])
      engine = Engine({config})
      names = " ".join(map(str, range(10_000)))
      module = Module(engine, f'(module (table 10000 funcref) (elem (i32.const 0) func {{names}}) {{"(func) " * 10_000}}'
          '(func (export "call") (param i32) (call_indirect (local.get 0))))')
      before = rss()
      live = []
      for i in range(300):
          store = Store(engine)
          live.append(Instance(store, module, []).exports(store)["call"])
          live[-1](store, i * 33)
      print(rss() - before)
    """
    environment = {**os.environ, "PYTHONDEVMODE": ""}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(body)], capture_output=True, text=True, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 300 * 40, done.stdout


def test_exceptions_from_a_function_that_is_looked_up(engine: Engine) -> None:
    module = Module(
        engine,
        """(module (tag $e (param i32)) (type $f (func (param i32) (result i32))) (table 3 funcref) (elem (i32.const 1) func $throw $pass)
          (func $throw (param i32) (result i32) (throw $e (i32.add (local.get 0) (i32.const 1))))
          (func $pass (param i32) (result i32) (return_call_indirect (type $f) (local.get 0) (i32.const 1)))
          (func (export "catch") (param $value i32) (param $at i32) (result i32) (local $kept i32)
            (local.set $kept (i32.const 1000))
            (i32.add (local.get $kept) (block $caught (result i32)
              (try_table (catch $e $caught) (drop (call_indirect (type $f) (local.get $value) (local.get $at))))
              (i32.const -1)))))""",
    )
    for at in (1, 2):
        store = Store(engine)
        catch = Instance(store, module, []).exports(store)["catch"]
        assert [catch(store, 5, at), catch(store, 6, at), catch(store, 7, 3 - at)] == [1006, 1007, 1008]
        with pytest.raises(Trap):
            catch(store, 5, 0)


def test_a_fork_looks_up_for_itself(engine: Engine) -> None:
    module = Module(
        engine,
        """(module (type $f (func (result i32))) (table $t (export "t") 3 funcref) (elem (i32.const 0) func $a $b) (func $a (result i32) (i32.const 1)) (func $b (result i32) (i32.const 2))
          (func (export "call") (param i32) (result i32) (call_indirect (type $f) (local.get 0)))
          (func (export "clear") (param i32) (table.set $t (local.get 0) (ref.null func))))""",
    )
    store = Store(engine)
    exports = Instance(store, module, []).exports(store)
    child = os.fork()
    if child == 0:
        done = 1
        try:
            again = Instance(Store(engine), module, []).exports
            exports["clear"](store, 0)
            if (
                exports["call"](store, 1) == again["call"](1) == 2
                and again["call"](0) == 1
                and exports["t"].get(store, 0) is None
            ):
                done = 0
        finally:
            os._exit(done)
    assert os.waitpid(child, 0)[1] == 0
    assert exports["call"](store, 0) == 1


def test_segments_in_any_order(engine: Engine) -> None:
    """Disjoint ones are looked up, overlapping ones copied; nothing tells them apart."""
    rng = random.Random(5)
    for _ in range(25):
        want: list[int | None] = [None] * 30
        segments = []
        for _ in range(rng.randrange(1, 7)):
            count = rng.randrange(5)
            start = rng.randrange(31 - count)
            items = [rng.choice((None, *range(6))) for _ in range(count)]
            want[start : start + count] = items
            spelt = " ".join("(ref.null func)" if item is None else f"(ref.func $f{item})" for item in items)
            segments.append(f"(elem (table $t) (i32.const {start}) funcref {spelt})")
        module = Module(
            engine,
            f"""(module (type $f (func (result i32))) (table $t 30 funcref) {" ".join(segments)}
              {" ".join(f"(func $f{k} (result i32) (i32.const {k}))" for k in range(6))}
              (func (export "get") (param i32) (result i32) (if (result i32) (ref.is_null (table.get $t (local.get 0)))
                (then (i32.const -1)) (else (call_indirect $t (type $f) (local.get 0))))))""",
        )
        for _ in range(2):
            store = Store(engine)
            get = Instance(store, module, []).exports(store)["get"]
            assert [get(store, i) for i in range(30)] == [-1 if item is None else item for item in want]
