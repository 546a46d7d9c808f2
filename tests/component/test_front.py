"""The front door: exports as attributes, resources as classes, errors as exceptions, Python objects as imports."""

from __future__ import annotations

import collections
import dataclasses
import inspect
import json
import pydoc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

import wasmrt
from tests.component.test_wit import with_docs
from wasmrt.component import Component, Linker, Record, Variant
from wasmrt.front.resources import GuestResource, lifter, to_handles
from wasmrt.spec import types as spec

COUNTERS = """
(component
  (import "report" (func $report (param "rep" u32)))
  (core func $report' (canon lower (func $report)))
  (component $C
    (import "report" (func $report (param "rep" u32)))
    (core func $report' (canon lower (func $report)))
    (core module $D (import "" "r" (func $r (param i32))) (func (export "dtor") (param i32) (call $r (local.get 0))))
    (core instance $d (instantiate $D (with "" (instance (export "r" (func $report'))))))
    (type $counter (resource (rep i32) (dtor (func $d "dtor"))))
    (core func $new (canon resource.new $counter))
    (core module $M
      (import "" "new" (func $new (param i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 16) "too big")
      (func (export "new") (param i32) (result i32) (call $new (local.get 0)))
      (func (export "get") (param i32) (result i32) (local.get 0))
      (func (export "sum") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
      (func (export "checked") (param i32) (result i32)
        (if (i32.gt_u (local.get 0) (i32.const 100))
          (then (i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 16)) (i32.store (i32.const 8) (i32.const 7)))
          (else (i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (call $new (local.get 0)))))
        (i32.const 0))
      (func (export "maybe") (param i32) (result i32)
        (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (call $new (local.get 0))) (i32.const 0)))
    (core instance $m (instantiate $M (with "" (instance (export "new" (func $new))))))
    (export $c "counter" (type $counter))
    (type $own (own $c)) (type $borrow (borrow $c))
    (func (export "[constructor]counter") (param "start" u32) (result $own) (canon lift (core func $m "new")))
    (func (export "[method]counter.get") (param "self" $borrow) (result u32) (canon lift (core func $m "get")))
    (func (export "[static]counter.from") (param "in" u32) (result $own) (canon lift (core func $m "new")))
    (func (export "[static]counter.checked") (param "n" u32) (result (result $own (error string)))
      (canon lift (core func $m "checked") (memory $m "memory")))
    (func (export "sum-of") (param "a" $borrow) (param "b" $borrow) (result u32) (canon lift (core func $m "sum")))
    (func (export "maybe") (param "n" u32) (result (option $own)) (canon lift (core func $m "maybe") (memory $m "memory")))
    (func (export "import") (param "class" u32) (result u32) (canon lift (core func $m "get"))))
  (instance $a (instantiate $C (with "report" (func $report))))
  (instance $b (instantiate $C (with "report" (func $report))))
  (export "my:pkg/counters@1.0.0" (instance $a))
  (export "other:pkg/more-counters@2.0.0" (instance $b)))
"""


@pytest.fixture
def dropped() -> list[int]:
    return []


@pytest.fixture
def loaded(dropped: list[int]) -> Any:
    return wasmrt.load(COUNTERS, {"report": dropped.append})


def test_resources_are_classes(loaded: Any, dropped: list[int]) -> None:
    counters = loaded.counters
    assert counters.Counter is counters.counter
    with counters.Counter(5) as five:
        assert isinstance(five, counters.Counter) and five.get() == 5
        assert counters.sum_of(five, counters.Counter.from_(7)) == 12
        assert counters.Counter.get(five) == 5
    assert 5 in dropped
    with pytest.raises(wasmrt.WasmError, match="dropped"):
        five.get()
    assert counters.maybe(0) is None
    assert counters.maybe(1).get() == 1


def test_errors_are_exceptions(loaded: Any) -> None:
    assert loaded.counters.Counter.checked(100).get() == 100
    with pytest.raises(wasmrt.WitError) as caught:
        loaded.counters.Counter.checked(101)
    assert caught.value.value == "too big"
    assert loaded.counters.sum_of(loaded.counters.Counter(1), loaded.counters.Counter(2)) == 3


def test_resources_inside_of_values() -> None:
    class Thing(GuestResource):
        pass

    key: Any = "thing"
    own = spec.OwnType(key)

    def lifted(ty: Any, value: Any) -> Any:
        convert = lifter(ty, {key: Thing})
        assert convert is not None
        return convert(value)

    (one,) = lifted(spec.ListType(own), [1])
    assert isinstance(one, Thing) and to_handles([one, (one, 2), {"k": one}]) == [1, (1, 2), {"k": 1}]
    assert to_handles(Variant("a", one)) == Variant("a", 1)
    number, thing = lifted(spec.TupleType((spec.U8(), own)), (7, 1))
    assert number == 7 and isinstance(thing, Thing)
    record = lifted(spec.RecordType((("the-thing", own), ("n", spec.U8()))), Record(the_thing=1, n=2))
    assert isinstance(record.the_thing, Thing) and to_handles(record) == {"the_thing": 1, "n": 2}
    assert isinstance(lifted(spec.MapType(spec.U8(), own), {3: 1})[3], Thing)
    two_cases = spec.VariantType((("a", own), ("b", own), ("c", None)))
    assert isinstance(lifted(two_cases, Variant("b", 1)).payload, Thing)
    assert lifted(two_cases, Variant("c")) == Variant("c")
    assert lifted(spec.OptionType(own), None) is None
    assert lifter(spec.ListType(spec.OptionType(spec.U8())), {key: Thing}) is None


SHAPES = """(component
  (component $C
    (type $counter' (resource (rep i32)))
    (export $counter "counter" (type $counter'))
    (core func $new (canon resource.new $counter'))
    (core module $M
      (import "" "new" (func $new (param i32) (result i32)))
      (memory (export "memory") 1)
      (global $next (mut i32) (i32.const 1024))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32)
        (global.set $next (i32.add (i32.const 1024) (local.get 3))) (i32.const 1024))
      (func (export "new") (param i32) (result i32) (call $new (local.get 0)))
      (func (export "pair") (param i32 i32 i32) (result i32) (i32.add (i32.add (local.get 0) (local.get 1)) (local.get 2)))
      (func (export "first") (param i32 i32) (result i32) (i32.load (local.get 0)))
      (func (export "case") (param i32 i32) (result i32) (i32.add (i32.mul (local.get 0) (i32.const 100)) (local.get 1)))
      (func (export "point") (param i32 i32) (result i32) (i32.sub (local.get 0) (local.get 1))))
    (core instance $m (instantiate $M (with "" (instance (export "new" (func $new))))))
    (type $own (own $counter)) (type $borrow (borrow $counter))
    (type $pair' (record (field "the-one" $borrow) (field "n" u32) (field "other" $borrow))) (export $pair "pair" (type $pair'))
    (type $point' (record (field "to-x" u32) (field "class" u32))) (export $point "point" (type $point'))
    (type $either' (variant (case "none") (case "thing" $borrow) (case "number" u32))) (export $either "either" (type $either'))
    (type $same' (variant (case "a" $borrow) (case "b" $borrow))) (export $same "same" (type $same'))
    (func (export "[constructor]counter") (param "n" u32) (result $own) (canon lift (core func $m "new")))
    (func (export "take-pair") (param "the-pair" $pair) (result u32) (canon lift (core func $m "pair")))
    (func (export "take-list") (param "all" (list $borrow)) (result u32)
      (canon lift (core func $m "first") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
    (func (export "take-either") (param "e" $either) (result u32) (canon lift (core func $m "case")))
    (func (export "take-same") (param "e" $same) (result u32) (canon lift (core func $m "case")))
    (func (export "take-option") (param "e" (option $borrow)) (result u32) (canon lift (core func $m "case")))
    (func (export "take-point") (param "p" $point) (result u32) (canon lift (core func $m "point"))))
  (instance $c (instantiate $C))
  (export "a:b/shapes" (instance $c)))"""


def test_what_goes_in() -> None:
    """Records as dataclasses, dicts, mappings, named tuples, any object, Record; variants as payloads or Variant; resources anywhere inside."""
    shapes: Any = wasmrt.load(SHAPES).shapes  # type: ignore[attr-defined]
    five, seven = shapes.Counter(5), shapes.Counter(7)

    @dataclasses.dataclass
    class Pair:
        the_one: Any
        n: int
        other: Any

    class Slots:
        __slots__ = ("n", "other", "the_one")

    slots = Slots()
    slots.the_one, slots.n, slots.other = five, 1, seven
    pairs = [
        Pair(five, 1, seven),
        {"the-one": five, "n": 1, "other": seven},
        {"the_one": five, "n": 1, "other": seven},
        MappingProxyType({"the-one": five, "n": 1, "other": seven}),
        SimpleNamespace(the_one=five, n=1, other=seven),
        collections.namedtuple("Pair", "the_one n other")(five, 1, seven),
        Record(the_one=five, n=1, other=seven),
        slots,
    ]
    for pair in pairs:
        assert shapes.take_pair(pair) == 13 == shapes.take_pair(the_pair=pair)
    points = [{"to-x": 9, "class": 4}, MappingProxyType({"to_x": 9, "class": 4}), Record(**{"to_x": 9, "class": 4})]
    assert [shapes.take_point(point) for point in points] == [5, 5, 5]
    assert shapes.take_list([seven, five]) == 7 == shapes.take_list((seven,))
    assert [shapes.take_either(e) for e in (None, five, 8)] == [0, 105, 208]
    assert [shapes.take_either(e) for e in (Variant("none"), Variant("thing", five), Variant("number", 8))] == [0, 105, 208]
    assert [shapes.take_same(Variant(tag, seven)) for tag in "ab"] == [7, 107]
    assert shapes.take_option(None) == 0 and shapes.take_option(five) == 105
    with pytest.raises(AttributeError, match="field `other` is missing"):
        shapes.take_pair({"the-one": five, "n": 1})
    with pytest.raises(TypeError, match=r"argument 'the-pair'\.n: expected u32, got str"):
        shapes.take_pair(Pair(five, "1", seven))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"argument 'all'\[1\]"):
        shapes.take_list([five, 3])
    with pytest.raises(TypeError):
        shapes.take_pair(3)


def test_names(loaded: Any) -> None:
    assert loaded.counters.import_(3) == loaded.counters.import_(class_=3) == 3
    assert loaded["my:pkg/counters@1.0.0"] is loaded.counters
    assert loaded["other:pkg/more-counters@2.0.0"] is loaded.more_counters
    assert loaded["my:pkg/counters@1.0.1"] is loaded.counters  # a compatible version
    with pytest.raises(KeyError, match="my:pkg/counters"):
        loaded["my:pkg/counter@1.0.0"]
    with pytest.raises(AttributeError, match="did you mean 'counters'"):
        loaded.counter_s
    with pytest.raises(AttributeError, match="exports no 'nothing'"):
        loaded.counters.nothing
    with pytest.raises(AttributeError, match="cannot be set"):
        loaded.counters = 3
    assert {"counters", "more_counters"} <= set(dir(loaded))
    assert {"Counter", "sum_of", "import_"} <= set(dir(loaded.counters))
    assert list(loaded) == ["my:pkg/counters@1.0.0", "other:pkg/more-counters@2.0.0"]


def test_a_short_name_of_two_interfaces_raises() -> None:
    text = """(component
      (component $C)
      (instance $i (instantiate $C))
      (export "a:b/api@1.0.0" (instance $i)) (export "c:d/api@1.0.0" (instance $i)))"""
    loaded: Any = wasmrt.load(text)
    with pytest.raises(AttributeError, match="ambiguous: a:b/api@1.0.0 and c:d/api@1.0.0"):
        loaded.api
    assert loaded["a:b/api@1.0.0"] is not loaded["c:d/api@1.0.0"]


def test_resources_of_two_interfaces_do_not_mix(loaded: Any) -> None:
    other = loaded.more_counters.Counter(1)
    assert type(other) is not loaded.counters.Counter
    with pytest.raises(TypeError):
        loaded.counters.sum_of(other, other)


def test_help_is_wit(loaded: Any) -> None:
    assert loaded.counters.sum_of.__doc__ == "sum-of: func(a: borrow<counter>, b: borrow<counter>) -> u32"
    assert "sum-of: func(a: borrow<counter>, b: borrow<counter>) -> u32" in pydoc.render_doc(loaded.counters.sum_of)
    assert loaded.counters.Counter.checked.__doc__ == "checked: static func(n: u32) -> result<counter, string>"
    page = pydoc.plain(pydoc.render_doc(loaded.counters.Counter))
    assert "get: func() -> u32" in page


DOCUMENTED = """(component
  (core module $M (func (export "f") (param i32 i32) (result i32) (local.get 0)))
  (core instance $m (instantiate $M))
  (func (export "take-it") (param "the-first" u32) (param "class" u32) (result u32) (canon lift (core func $m "f"))))"""


def test_help_of_functions_with_documentation() -> None:
    """Of the front's and of the low-level ones; their class keeps its own."""
    section = b"\1" + json.dumps({"worlds": {"root": {"func_exports": {"take-it": "Takes it.\n\nAnd gives it back."}}}}).encode()
    loaded: Any = wasmrt.load(with_docs(bytes(wasmrt.wat2wasm(DOCUMENTED)), section))
    low = wasmrt.handle(loaded).instance.get_func("take-it")
    assert low is not None
    for func in (loaded.take_it, low):
        assert func.__doc__ == "take-it: func(the-first: u32, class: u32) -> u32\n\nTakes it.\n\nAnd gives it back."
        page = pydoc.plain(pydoc.render_doc(func))
        assert "take-it: func(the-first: u32, class: u32) -> u32" in page and "And gives it back." in page
        assert list(inspect.signature(func).parameters) == ["the_first", "class_"]
    assert loaded.take_it(the_first=3, class_=4) == 3 == low(the_first=3, **{"class": 4})
    assert str(wasmrt.component.Func.__doc__).startswith("An exported function") and "with_options" in pydoc.render_doc(wasmrt.component.Func)
    assert "  /// And gives it back.\n  export take-it: func(" in wasmrt.handle(loaded).component.wit()


def test_help_of_what_is_too_complex() -> None:
    """Help never fails: types by structure take the place of a world that is too large to print."""
    types = "(type $t0 (tuple u8 u8))" + "".join(f"(type $t{i} (tuple $t{i - 1} $t{i - 1}))" for i in range(1, 10))
    text = f'''(component {types}
      (import "f" (func $f (param "x" $t9)))
      (component $C (import "f" (func $f (param "x" $t9))) (export "g" (func $f)))
      (instance $c (instantiate $C (with "f" (func $f)))) (export "g" (func $c "g")))'''
    loaded: Any = wasmrt.load(text, {"f": lambda x: None})
    assert "g: func(x: tuple<" in loaded.g.__doc__


def test_handle(loaded: Any) -> None:
    behind = wasmrt.handle(loaded)
    assert isinstance(behind.component, Component) and isinstance(behind.store, wasmrt.Store)
    assert behind.instance.get_func("nothing") is None
    again: Any = wasmrt.load(behind.component, {"report": print})
    assert again.counters.import_(1) == 1 and wasmrt.handle(again).component is behind.component
    with pytest.raises(TypeError):
        wasmrt.handle(3)  # type: ignore[arg-type]


def test_sources(tmp_path: Path) -> None:
    binary = bytes(wasmrt.wat2wasm(COUNTERS))
    (tmp_path / "c.wasm").write_bytes(binary)
    for source in (binary, tmp_path / "c.wasm", str(tmp_path / "c.wasm")):
        with wasmrt.load(source, {"report": print}) as loaded:
            assert loaded.counters.import_(1) == 1
    artifact = wasmrt.Engine().precompile_component(binary)
    (tmp_path / "c.cwasm").write_bytes(artifact)
    for source in (artifact, memoryview(artifact), tmp_path / "c.cwasm", str(tmp_path / "c.cwasm")):
        with wasmrt.load(source, {"report": print}) as loaded:
            assert loaded.counters.Counter(5).get() == 5
            assert wasmrt.handle(loaded).component.serialize() == artifact
    with pytest.raises(wasmrt.WasmError, match="module"):
        wasmrt.load(wasmrt.Engine().precompile_module("(module)"))
    with pytest.raises(FileNotFoundError):
        wasmrt.load(tmp_path / "none.wasm")
    with pytest.raises(wasmrt.LinkError, match="report"):
        wasmrt.load(binary)


# ---- imports ----------------------------------------------------------------------------------------------------------------------------------------

CALLS = """
(component
  (import "my:pkg/api@1.0.0" (instance $api
    (export "thing" (type $thing (sub resource)))
    (type $own (own $thing)) (type $borrow (borrow $thing))
    (export "[constructor]thing" (func (param "n" u32) (result $own)))
    (export "[method]thing.poke-it" (func (param "self" $borrow) (param "by" u32) (result u32)))
    (export "[static]thing.count" (func (result u32)))
    (export "get-it" (func (param "x" u32) (result u32)))
    (export "try" (func (param "x" u32) (result (result u32 (error u32)))))))
  (alias export $api "[constructor]thing" (func $make))
  (alias export $api "[method]thing.poke-it" (func $poke))
  (alias export $api "[static]thing.count" (func $count))
  (alias export $api "get-it" (func $get))
  (alias export $api "try" (func $try))
  (alias export $api "thing" (type $thing))
  (core module $Memory (memory (export "memory") 1))
  (core instance $memory (instantiate $Memory))
  (core func $make' (canon lower (func $make)))
  (core func $poke' (canon lower (func $poke)))
  (core func $count' (canon lower (func $count)))
  (core func $get' (canon lower (func $get)))
  (core func $try' (canon lower (func $try) (memory $memory "memory")))
  (core func $drop' (canon resource.drop $thing))
  (core module $M
    (import "" "make" (func $make (param i32) (result i32)))
    (import "" "poke" (func $poke (param i32 i32) (result i32)))
    (import "" "count" (func $count (result i32)))
    (import "" "get" (func $get (param i32) (result i32)))
    (import "" "try" (func $try (param i32 i32)))
    (import "" "drop" (func $drop (param i32)))
    (import "" "memory" (memory 1))
    (func (export "run") (param i32) (result i32) (local $h i32) (local $sum i32)
      (local.set $h (call $make (local.get 0)))
      (local.set $sum (call $poke (local.get $h) (i32.const 1)))
      (call $drop (local.get $h))
      (i32.add (i32.add (local.get $sum) (call $count)) (call $get (i32.const 100))))
    (func (export "try") (param i32) (result i32)
      (call $try (local.get 0) (i32.const 0)) (i32.const 0)))
  (core instance $m (instantiate $M (with "" (instance
    (export "make" (func $make')) (export "poke" (func $poke')) (export "count" (func $count')) (export "get" (func $get'))
    (export "try" (func $try')) (export "drop" (func $drop')) (export "memory" (memory $memory "memory"))))))
  (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run")))
  (func (export "try") (param "x" u32) (result (result u32 (error u32))) (canon lift (core func $m "try") (memory $memory "memory"))))
"""


class Thing:
    made = 0

    def __init__(self, n: int) -> None:
        self.n = n
        Thing.made += 1

    def poke_it(self, by: int) -> int:
        return self.n + by

    @staticmethod
    def count() -> int:
        return 1000


class Api:
    Thing = Thing

    def get_it(self, x: int) -> int:
        return x

    def try_(self, x: int) -> int:
        if x > 10:
            raise wasmrt.WitError(x)
        return x + 1


@pytest.mark.parametrize("name", ["my:pkg/api@1.0.0", "my:pkg/api@1.3.0", "my:pkg/api", "api"])
def test_imports_by_name(name: str) -> None:
    loaded: Any = wasmrt.load(CALLS, {name: Api()})
    assert loaded.run(5) == 1106
    assert loaded.try_(3) == 4
    with pytest.raises(wasmrt.WitError) as caught:
        loaded.try_(11)
    assert caught.value.value == 11


def test_kinds_of_objects() -> None:
    api = Api()
    mapping = {"thing": Thing, "get-it": api.get_it, "try": api.try_}
    for obj in (mapping, SimpleNamespace(thing=Thing, get_it=api.get_it, try_=api.try_)):
        assert wasmrt.load(CALLS, {"api": obj}).run(5) == 1106


def test_define_and_add_func_together() -> None:
    engine = wasmrt.Engine()
    linker = Linker(engine)
    with linker.instance("my:pkg/api@1.0.0") as api:
        api.define(Api())
        api.add_func("get-it", lambda store, x: 7)
    store = wasmrt.Store(engine)
    assert linker.instantiate(store, Component(engine, CALLS)).get_func("run")(5) == 1013


def test_pass_store() -> None:
    engine = wasmrt.Engine()
    linker = Linker(engine)
    seen = []
    linker.root().define({"report": lambda store, rep: seen.append(store)}, pass_store=True)
    store = wasmrt.Store(engine)
    exports = linker.instantiate(store, Component(engine, COUNTERS)).exports
    exports["my:pkg/counters@1.0.0"]["[constructor]counter"](1).drop()
    assert seen == [store]


def test_what_does_not_fit_is_a_link_error() -> None:
    class Wrong(Api):
        try_ = 3
        Thing: Any = "thing"

        def get_it(self) -> int:  # type: ignore[override]
            return 1

    with pytest.raises(wasmrt.LinkError) as caught:
        wasmrt.load(CALLS, {"api": Wrong()})
    message = str(caught.value)
    assert "`get-it`" in message and "which does not take 1 arguments" in message
    assert "`try`" in message and "a callable is wanted, the object has 3 there" in message
    assert "`thing`" in message and "a class is wanted" in message
    with pytest.raises(wasmrt.LinkError, match=r"\[method\]thing.poke-it"):
        wasmrt.load(CALLS, {"api": {"thing": int, "get-it": abs, "try": abs}})

    async def later(x: int) -> int:
        return x

    with pytest.raises(wasmrt.LinkError, match="coroutine"):
        wasmrt.load(CALLS, {"api": {"thing": Thing, "get-it": later, "try": abs}})
    with pytest.raises(TypeError):
        wasmrt.load(CALLS, [Api()])  # type: ignore[arg-type]


def test_unknown_imports_as_traps_leave_objects_alone() -> None:
    engine = wasmrt.Engine()
    linker = Linker(engine)
    component = Component(engine, CALLS)
    linker.root().define({"my:pkg/api@1.0.0": {"thing": Thing, "get-it": abs}})
    linker.define_unknown_imports_as_traps(component)
    run: Any = linker.instantiate(wasmrt.Store(engine), component).get_func("run")
    assert run(5) == 1106


# ---- a real one -------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.network
def test_codec(codec: Callable[[str], Path]) -> None:
    lines: list[tuple[str, str, str]] = []
    loaded: Any = wasmrt.load(codec("zstd"), {"logging": {"log": lambda *args: lines.append(args)}})
    interface = loaded.codec
    assert interface.codec_id() == "zstd.rs"
    data = bytes(range(256)) * 40
    with interface.Codec.from_config('{"level": 3}') as zstd:
        packed = zstd.encode({"data": Variant("u8", data), "shape": [len(data)]})
        assert zstd.decode(packed).data.payload == data
        assert "level" in zstd.get_config()
    with pytest.raises(wasmrt.WitError) as caught:
        interface.Codec.from_config("[")
    assert caught.value.value.message
    assert interface.codec_config_schema.__doc__ == "codec-config-schema: func() -> json-schema"
    assert interface.Codec.encode.__doc__ == "encode: func(data: any-array) -> result<any-array, error>"


def example(repository: Path, name: str) -> str:
    done = subprocess.run([sys.executable, f"examples/{name}"], cwd=repository, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.network
def test_example_of_a_codec(codec: Callable[[str], Path], repository: Path) -> None:
    codec("zstd")
    assert "refused" in example(repository, "codec_front.py")


def test_example_of_plugins(repository: Path) -> None:
    lines = example(repository, "plugins.py").splitlines()
    assert "  import app:host/log@1.0.0;" in lines
    assert lines[-2:] == ["[greeter] hello from a guest: 42", "[greeter] closed"]


def test_an_interface_serves_another_component(dropped: list[int]) -> None:
    """Composition at run time: a guest resource is a host resource to the other guest, and is dropped with it."""
    counters = wasmrt.load(COUNTERS, {"report": dropped.append}).counters
    text = """(component
      (import "counters" (instance $c
        (export "counter" (type $counter (sub resource)))
        (type $own (own $counter)) (type $borrow (borrow $counter))
        (export "[constructor]counter" (func (param "start" u32) (result $own)))
        (export "[method]counter.get" (func (param "self" $borrow) (result u32)))
        (export "import" (func (param "class" u32) (result u32)))))
      (alias export $c "counter" (type $counter))
      (core func $new (canon lower (func $c "[constructor]counter")))
      (core func $get (canon lower (func $c "[method]counter.get")))
      (core func $import (canon lower (func $c "import")))
      (core func $drop (canon resource.drop $counter))
      (core module $M
        (import "" "new" (func $new (param i32) (result i32)))
        (import "" "get" (func $get (param i32) (result i32)))
        (import "" "import" (func $import (param i32) (result i32)))
        (import "" "drop" (func $drop (param i32)))
        (func (export "run") (param i32) (result i32) (local $h i32) (local $n i32)
          (local.set $h (call $new (local.get 0)))
          (local.set $n (i32.add (call $get (local.get $h)) (call $import (i32.const 1))))
          (call $drop (local.get $h))
          (local.get $n)))
      (core instance $m (instantiate $M (with "" (instance
        (export "new" (func $new)) (export "get" (func $get)) (export "import" (func $import)) (export "drop" (func $drop))))))
      (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run"))))"""
    other: Any = wasmrt.load(text, {"counters": counters})
    assert other.run(8) == 9
    del other
    assert counters.import_(0) == 0  # what nobody holds is dropped at the next call
    assert dropped == [8]


def test_functions_take_options() -> None:
    source = """(component
      (core module $m (func (export "spin") (loop (br 0))) (func (export "one") (result i32) (i32.const 1)))
      (core instance $i (instantiate $m))
      (func (export "spin") (canon lift (core func $i "spin")))
      (func (export "one") (result u32) (canon lift (core func $i "one"))))"""
    loaded = wasmrt.load(source)
    one = loaded.one.with_options(timeout=5.0)
    assert one() == 1 and repr(one) == repr(loaded.one) and one.__doc__ == loaded.one.__doc__
    with pytest.raises(wasmrt.ArgumentValueError, match="gil"):
        loaded.one.with_options(gil="x")
    with pytest.raises(wasmrt.Trap, match="timeout"):
        loaded.spin.with_options(timeout=0.05)()


def test_texts_name_the_class_and_the_configuration() -> None:
    from wasmrt.component import Component, Linker

    engine = wasmrt.Engine(wasmrt.Config(consume_fuel=True, wasm_simd=False))
    assert repr(engine) == "<wasmrt.Engine Config(consume_fuel=True, wasm_simd=False)>"
    assert repr(wasmrt.Config()) == "Config()"
    assert repr(wasmrt.Module(engine, "(module)")) == "<wasmrt.Module 0 imports, 0 exports>"
    linker = Linker(engine)
    linker.root().add_func("log", print)
    assert repr(linker) == "<wasmrt.component.Linker: log>"
    with pytest.raises(wasmrt.DecodeError, match=r"wasmrt\.component\.Component for it"):
        wasmrt.Module(engine, "(component)")
    with pytest.raises(wasmrt.DecodeError, match=r"compiled artifact.*wasmrt\.component\.Component\.deserialize"):
        Component(engine, Component(engine, "(component)").serialize())


def test_wit_error_is_never_taken_for_ok() -> None:
    """A value whose class is that of `ok` was returned as `ok`."""
    source = """(component
      (import "f" (func $f (result (result u32 (error string)))))
      (core module $libc (memory (export "memory") 1) (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64)))
      (core instance $libc (instantiate $libc))
      (core func $f (canon lower (func $f) (memory $libc "memory") (realloc (func $libc "realloc"))))
      (core module $m (import "" "f" (func $f (param i32))) (func (export "g") (result i32) (call $f (i32.const 16)) (i32.const 16)))
      (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
      (func (export "g") (result (result u32 (error string))) (canon lift (core func $i "g") (memory $libc "memory"))))"""

    def host(value: object) -> Callable[[], object]:
        def f() -> object:
            raise wasmrt.WitError(value)

        return f

    with pytest.raises(wasmrt.WitError, match="boom"):
        wasmrt.load(source, {"f": host("boom")}).g()
    with pytest.raises(wasmrt.ArgumentTypeError, match="expected string, got int"):
        wasmrt.load(source, {"f": host(5)}).g()


def test_a_resource_of_another_instance_says_so() -> None:
    words = Path(__file__).parents[2] / "examples" / "words.wat"
    one, other = (wasmrt.load(words, {"log": lambda text: None}) for _ in range(2))
    with pytest.raises(wasmrt.ArgumentTypeError, match="got one of `counter` of another instance"):
        one.text.Counter.increment(other.text.Counter(1), 1)


def test_externs_print() -> None:
    store = wasmrt.Store(wasmrt.Engine())
    source = '(module (memory (export "m") 1) (table (export "t") 2 funcref) (global (export "g") i64 (i64.const 1)) (func (export "f") (param i32)))'
    exports = wasmrt.Instance(store, wasmrt.Module(store.engine, source), []).exports(store)
    assert repr(exports["f"]) == "<wasmrt.Func [i32] -> []>"
    assert repr(exports["m"]).startswith("<wasmrt.Memory MemoryType(")
    assert repr(exports["t"]).startswith("<wasmrt.Table TableType(")
    assert repr(exports["g"]).startswith("<wasmrt.Global GlobalType(")
    with pytest.raises(wasmrt.ArgumentTypeError, match="expected 1 arguments, got 2"):
        exports["f"](store, 1, 2)
    store.close()
    assert [repr(exports[name]) for name in "tg"] == [f"<wasmrt.{name} of a closed store>" for name in ("Table", "Global")]
