"""Linking: what is checked, what an error says, and instances of components as imports of others."""

from __future__ import annotations

import collections.abc
from dataclasses import dataclass
from typing import Any, Literal, NewType, Protocol, TypeVar, Union

import pytest

import wasmrt
from wasmrt import component as c
from wasmrt.component import Component, Linker, ResourceAny, ResourceHost, ResourceType, Variant


@pytest.fixture(scope="module")
def engine() -> wasmrt.Engine:
    return wasmrt.Engine()


def imports(*lines: str) -> str:
    return f"(component {' '.join(lines)})"


def problems(linker: Linker, text: str) -> list[str]:
    with pytest.raises(wasmrt.LinkError) as caught:
        linker.instantiate_pre(Component(linker.engine, text))
    return str(caught.value).splitlines()


# ---- errors -----------------------------------------------------------------------------------------------------------------------------------------


def test_every_problem_at_once(engine: wasmrt.Engine) -> None:
    text = imports(
        '(import "first" (func (param "x" u32) (result string)))',
        """(import "my:pkg/api@1.0.0" (instance
          (type $p' (record (field "x" f32))) (export "point" (type $p (eq $p')))
          (export "thing" (type $thing (sub resource)))
          (export "move-to" (func (param "it" (borrow $thing)) (param "at" $p)))
          (export "log" (func (param "text" string)))))""",
        '(import "m" (core module (export "f" (func))))',
        '(import "r" (type (sub resource)))',
        '(import "other" (instance (export "a" (func)) (export "b" (func))))',
    )
    linker = Linker(engine)
    root = linker.root()
    root.add_func("frist", print)
    root.add_func("r", print)
    root.add_module("m", wasmrt.Module(engine, '(module (func (export "f") (param i32)))'))
    with root.add_instance("my:pkg/api@1.0.2") as api:
        api.add_func("move-two", print)
        api.add_module("log", wasmrt.Module(engine, "(module)"))
    first, thing, move, log, module, resource, other = problems(linker, text)
    assert "component imports function `first`, but a matching implementation was not found in the linker" in first
    assert "expected func(x: u32) -> string; the linker has `frist`" in first
    assert "component imports resource `my:pkg/api@1.0.0`#`thing`, but a matching" in thing
    assert "function `my:pkg/api@1.0.0`#`move-to`" in move and "expected func(it: borrow<thing>, at: point); the linker has `move-two`" in move
    assert "#`log`, but the linker has a module there; expected func(text: string)" in log
    assert "imports module `m`, but the linker has one of another type there" in module and "expected core module" in module and "found core module" in module
    assert "imports resource `r`, but the linker has a function there; expected a resource" in resource
    assert "imports instance `other`" in other and "expected an instance that exports `a`, `b`" in other


def test_near_names_in_objects(engine: wasmrt.Engine) -> None:
    class Poked:
        def poke_them(self) -> None: ...

    class Api:
        def get_all(self) -> int:
            return 1

        Thing = Poked

    text = imports("""(import "api" (instance
      (export "thing" (type $thing (sub resource)))
      (export "[method]thing.poke-it" (func (param "self" (borrow $thing))))
      (export "get-al" (func (result u32)))))""")
    linker = Linker(engine)
    linker.instance("api").define(Api())
    method, function = problems(linker, text)
    assert "expected func(self: borrow<thing>); the linker has `poke_them`" in method
    assert "`get-al`" in function and "the linker has `get_all`" in function
    linker = Linker(engine)
    linker.root().define({"api": {"thing": Poked, "[method]thing.poke-it": print, "get-all": print}})
    (function,) = problems(linker, text)
    assert "the linker has `get-all`" in function


def test_wasi_has_a_one_line_fix(engine: wasmrt.Engine) -> None:
    text = imports('(import "wasi:cli/environment@0.2.1" (instance (export "get-arguments" (func (result (list string))))))')
    linker = Linker(engine)
    (problem,) = problems(linker, text)
    assert "component imports instance `wasi:cli/environment@0.2.1`" in problem and "`linker.add_wasip2()` defines it" in problem
    linker.add_wasip2()
    linker.instantiate_pre(Component(engine, text))
    (problem,) = problems(linker, imports('(import "wasi:http/types@0.2.1" (instance (export "x" (func))))'))
    assert "`linker.add_wasi_http()` defines it" in problem
    (problem,) = problems(linker, imports('(import "wasi:no/such@0.2.1" (instance (export "f" (func))))'))
    assert "has no such interface" in problem and "expected an instance that exports `f`" in problem


# ---- annotations ------------------------------------------------------------------------------------------------------------------------------------


@dataclass
class Point:
    x: float


class HasX(Protocol):
    x: float


class Thing:
    pass


T = TypeVar("T")
Count = NewType("Count", int)
POINT = "(record (field \"x\" f64))"

FITTING: list[tuple[str, Any, Any]] = [
    # WIT, annotation of a parameter, of a result
    ("u32", int, int),
    ("u8", Count, Count),
    ("s64", float, bool),
    ("bool", bool, bool),
    ("bool", int, bool),
    ("f64", float, int),
    ("string", str, str),
    ("char", "str", "str"),
    ("string", collections.abc.Sequence, str),
    ("(list u8)", bytes, bytes),
    ("(list u8)", collections.abc.Sequence[int], bytearray),
    ("(list u8)", object, memoryview),
    ("(list u32)", list[int], tuple[int, ...]),
    ("(list u32)", collections.abc.Iterable[int], collections.abc.Sequence[int]),
    ("(list string)", list[Any], list[T]),
    ("(tuple u8 string)", tuple[int, str], tuple[int, str]),
    ("(option u32)", Union[int, None], int | None),
    ("(option u32)", int, None),
    ("(option (option u32))", Variant, Variant),
    ("(result u32 (error f32))", int | float, int),
    ("(result)", Variant, None),
    ('(enum "a" "b")', str, Literal["a", "b"]),
    ('(flags "a" "b")', set[str], frozenset[str]),
    (POINT, Point, dict[str, float]),
    (POINT, HasX, Point),
    ('(variant (case "a" u32) (case "b" string))', int | str, str),
    ("(own $r)", Thing, Thing),
    ("(borrow $r)", "Thing", None),
    ("u32", "Unknown", "Unknown"),
]
WRONG: list[tuple[str, Any, Any]] = [
    ("u32", str, str),
    ("u32", bytes, float),
    ("u32", Point, Point),
    ("bool", str, int),
    ("f64", str, str),
    ("string", int, bytes),
    ("string", bytes, list[str]),
    ("(list u8)", list[int], str),
    ("(list u8)", str, int),
    ("(list u32)", list[str], list[str]),
    ("(list u32)", bytes, set[int]),
    ("(tuple u8 string)", tuple[str, int], tuple[int]),
    ("(tuple u8 string)", list[int], set[int]),
    ("(option u32)", str | None, str),
    ("(option (option u32))", int, int),
    ("(result u32 (error f32))", str, str),
    ('(enum "a" "b")', int, int),
    ('(flags "a" "b")', list[str], str),
    (POINT, int, tuple[float]),
    ("(own $r)", Point, Point),
    ("(own $r)", int, int),
    ("(borrow $r)", str, None),
]


def annotated(engine: wasmrt.Engine, ty: str, param: Any, result: Any) -> None:
    def taking(value: Any) -> None: ...

    def giving() -> Any: ...

    taking.__annotations__ = {"value": param}
    giving.__annotations__ = {"return": result}
    has_result = "borrow" not in ty
    text = imports(
        '(import "r" (type $r (sub resource)))',
        f'(type $t\' {ty}) (import "t" (type $t (eq $t\')))' if not ty.startswith("(own") and not ty.startswith("(borrow") else f"(type $t {ty})",
        '(import "taking" (func (param "value" $t)))',
        '(import "giving" (func (result $t)))' if has_result else "",
    )
    linker = Linker(engine)
    linker.root().define({"r": Thing, "taking": taking, "giving": giving})
    linker.instantiate_pre(Component(engine, text))


@pytest.mark.parametrize(("ty", "param", "result"), FITTING, ids=str)
def test_annotations_that_fit(engine: wasmrt.Engine, ty: str, param: Any, result: Any) -> None:
    annotated(engine, ty, param, result)


@pytest.mark.parametrize(("ty", "param", "result"), WRONG, ids=str)
def test_annotations_that_do_not(engine: wasmrt.Engine, ty: str, param: Any, result: Any) -> None:
    with pytest.raises(wasmrt.LinkError) as caught:
        annotated(engine, ty, param, result)
    lines = str(caught.value).splitlines()
    assert "`taking`, but what defines it does not fit: parameter `value` is" in lines[0]
    if result is not None:
        assert "`giving`, but what defines it does not fit: its result is" in lines[1]


def test_annotations_of_classes_and_methods(engine: wasmrt.Engine) -> None:
    class Wrong:
        def __init__(self, start: str) -> None: ...

        def poke(self, by: str) -> int:
            return 1

    class Right:
        def __init__(self, start: int) -> None: ...

        def poke(self, by: int) -> int:
            return 1

    class Api:
        def __init__(self, thing: type) -> None:
            self.Thing = thing

        def nothing(self) -> int:
            return 1

    text = imports("""(import "api" (instance
      (export "thing" (type $thing (sub resource)))
      (export "[constructor]thing" (func (param "start" u32) (result (own $thing))))
      (export "[method]thing.poke" (func (param "self" (borrow $thing)) (param "by" u32) (result u32)))
      (export "nothing" (func))))""")
    linker = Linker(engine)
    linker.instance("api").define(Api(Wrong))
    constructor, method, nothing = problems(linker, text)
    assert "parameter `start` is u32, the object has it as str" in constructor and "parameter `by` is u32" in method
    assert "its result is nothing, the object returns int" in nothing
    linker = Linker(engine)
    linker.instance("api").define(Api(Right))
    assert len(problems(linker, text)) == 1


# ---- instances of other components ------------------------------------------------------------------------------------------------------------------

COUNTERS = """
(component
  (import "report" (func $report (param "rep" u32)))
  (core func $report' (canon lower (func $report)))
  (component $C
    (import "report" (func $report (param "rep" u32)))
    (core func $report' (canon lower (func $report)))
    (core module $D (import "" "report" (func $report (param i32))) (func (export "dtor") (param i32) (call $report (local.get 0))))
    (core instance $d (instantiate $D (with "" (instance (export "report" (func $report'))))))
    (type $r' (resource (rep i32) (dtor (core func $d "dtor"))))
    (export $r "counter" (type $r'))
    (core func $new (canon resource.new $r'))
    (core func $rep (canon resource.rep $r'))
    (core module $M
      (import "" "new" (func $new (param i32) (result i32)))
      (import "" "rep" (func $rep (param i32) (result i32)))
      (memory (export "memory") 1)
      (global $top (mut i32) (i32.const 1024))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32)
        (global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
        (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 3))))
      (func (export "make") (param i32) (result i32) (call $new (local.get 0)))
      (func (export "get") (param i32) (result i32) (local.get 0))
      (func (export "take") (param i32) (result i32) (call $rep (local.get 0)))
      (func (export "trap") unreachable)
      (func (export "length") (param i32 i32) (result i32) (local.get 1)))
    (core instance $m (instantiate $M (with "" (instance (export "new" (func $new)) (export "rep" (func $rep))))))
    (func (export "[constructor]counter") (param "start" u32) (result (own $r)) (canon lift (core func $m "make")))
    (func (export "[method]counter.get") (param "self" (borrow $r)) (result u32) (canon lift (core func $m "get")))
    (func (export "take") (param "it" (own $r)) (result u32) (canon lift (core func $m "take")))
    (func (export "trap") (canon lift (core func $m "trap")))
    (func (export "length") (param "text" string) (result u32)
      (canon lift (core func $m "length") (memory (core memory $m "memory")) (realloc (core func $m "realloc")))))
  (instance $c (instantiate $C (with "report" (func $report))))
  (export "my:pkg/counters@1.2.0" (instance $c))
  (core module $Plain (func (export "answer") (result i32) (i32.const 42)))
  (export "plain" (core module $Plain)))
"""

USES = """
(component
  (import "my:pkg/counters@1.1.0" (instance $c
    (export "counter" (type $counter (sub resource)))
    (export "[constructor]counter" (func (param "start" u32) (result (own $counter))))
    (export "[method]counter.get" (func (param "self" (borrow $counter)) (result u32)))
    (export "take" (func (param "it" (own $counter)) (result u32)))
    (export "trap" (func))
    (export "length" (func (param "text" string) (result u32)))))
  (alias export $c "counter" (type $counter))
  (core module $Memory (memory (export "memory") 1) (data (i32.const 8) "four"))
  (core instance $memory (instantiate $Memory))
  (core func $new (canon lower (func $c "[constructor]counter")))
  (core func $get (canon lower (func $c "[method]counter.get")))
  (core func $take (canon lower (func $c "take")))
  (core func $trap (canon lower (func $c "trap")))
  (core func $length (canon lower (func $c "length") (memory (core memory $memory "memory"))))
  (core func $drop (canon resource.drop $counter))
  (core module $M
    (import "" "new" (func $new (param i32) (result i32)))
    (import "" "get" (func $get (param i32) (result i32)))
    (import "" "take" (func $take (param i32) (result i32)))
    (import "" "trap" (func $trap))
    (import "" "length" (func $length (param i32 i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (func (export "run") (param i32) (result i32) (local $h i32) (local $n i32)
      (local.set $h (call $new (local.get 0)))
      (local.set $n (i32.add (call $get (local.get $h)) (call $get (local.get $h))))
      (call $drop (local.get $h))
      (i32.add (local.get $n) (call $length (i32.const 8) (i32.const 4))))
    (func (export "give") (param i32) (result i32) (call $new (local.get 0)))
    (func (export "pass") (param i32) (result i32) (call $take (local.get 0)))
    (func (export "trap") (call $trap)))
  (core instance $m (instantiate $M (with "" (instance
    (export "new" (func $new)) (export "get" (func $get)) (export "take" (func $take)) (export "trap" (func $trap))
    (export "length" (func $length)) (export "drop" (func $drop))))))
  (export $counter' "counter" (type $counter))
  (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run")))
  (func (export "give") (param "n" u32) (result (own $counter')) (canon lift (core func $m "give")))
  (func (export "pass") (param "it" (own $counter')) (result u32) (canon lift (core func $m "pass")))
  (func (export "trap") (canon lift (core func $m "trap"))))
"""
NAME = "my:pkg/counters@1.2.0"


def counters(store: Any, report: Any) -> c.Instance:
    linker = Linker(store.engine)
    linker.root().func("report")(report)
    return linker.instantiate(store, Component(store.engine, COUNTERS))


@pytest.mark.parametrize("how", ["add_instance", "instance", "define", "define root"])
def test_composition_at_run_time(engine: wasmrt.Engine, how: str) -> None:
    dropped: list[int] = []
    store = wasmrt.Store(engine)
    provider = counters(store, dropped.append)
    linker = Linker(engine)
    exported = provider.exports[NAME]
    if how == "add_instance":
        linker.add_instance(NAME, exported)
    elif how == "instance":
        linker.root().add_instance(NAME, exported)
    elif how == "define":
        linker.instance(NAME).define(exported)
    else:
        linker.root().define(provider)
    user: Any = linker.instantiate(store, Component(engine, USES))
    assert user.exports.run(20) == 44 and dropped == [20]
    # the same resource type on both sides
    assert user.exports.counter == exported.counter and user.type().exports()["counter"] == exported.counter
    given = user.exports.give(7)
    assert given.type == exported.counter and exported["[method]counter.get"](given) == 7
    assert user.exports["pass"](given) == 7
    user.exports.give(9).drop()
    assert dropped == [20, 9]
    substituted = linker.substituted_component_type(user.component)
    imported: Any = substituted.imports(engine)["my:pkg/counters@1.1.0"]
    assert imported.exports(engine)["counter"] == exported.counter == substituted.exports()["counter"]
    # a trap of one is a trap of both
    with pytest.raises(wasmrt.Trap, match="unreachable"):
        user.exports.trap()
    for instance in (user, provider):
        with pytest.raises(wasmrt.Trap, match="cannot enter component instance"):
            (instance.exports.run if instance is user else exported.length)(*([1] if instance is user else ["x"]))


def test_composition_is_checked(engine: wasmrt.Engine) -> None:
    store = wasmrt.Store(engine)
    provider = counters(store, print)
    linker = Linker(engine)
    linker.add_instance(NAME, provider.exports[NAME])
    wrong = USES.replace('(export "take" (func (param "it" (own $counter)) (result u32)))', '(export "take" (func (param "it" (own $counter)) (result u64)))')
    wrong = wrong.replace('(import "" "take" (func $take (param i32) (result i32)))', '(import "" "take" (func $take (param i32) (result i64)))')
    wrong = wrong.replace("(call $take (local.get 0))", "(i32.wrap_i64 (call $take (local.get 0)))")
    (problem,) = problems(linker, wrong)
    assert "#`take`, but the linker has func(it: own<counter>) -> u32 there; expected func(it: counter) -> u64" in problem
    assert "expected primitive `u64` found primitive `u32`" in problem
    pre = linker.instantiate_pre(Component(engine, USES))
    with pytest.raises(wasmrt.WasmError, match="another store"):
        pre.instantiate(wasmrt.Store(engine))
    with pytest.raises(TypeError, match="expected an instance"):
        linker.root().add_instance("x", object())  # type: ignore[arg-type]
    with pytest.raises(wasmrt.WasmError, match="defined twice"):
        linker.add_instance(NAME, provider)
    # two instances of one component have different types
    other = counters(store, print)
    text = imports(
        '(import "a" (type $a (sub resource)))',
        '(import "b" (type $b (eq $a)))',
        '(import "f" (func (param "it" (own $b)) (result u32)))',
    )
    linker = Linker(engine)
    linker.root().define({"a": provider.exports[NAME].counter, "b": other.exports[NAME].counter, "f": other.exports[NAME].take})
    identity, function = problems(linker, text)
    assert "`b`" in identity and "resource types are not the same" in identity
    assert "`f`" in function and "resource types are not the same" in function
    linker = Linker(engine)
    linker.root().define({"a": provider.exports[NAME].counter, "f": provider.exports[NAME].take})
    linker.instantiate(store, Component(engine, text))  # `b` is another name of `a`
    stores = Linker(engine)
    stores.add_instance("one", provider)
    stores.add_instance("two", counters(wasmrt.Store(engine), print))
    one = '(import "{0}" (instance (export "' + NAME + '" (instance (export "trap" (func))))))'
    reexported = '(alias export ${0} "' + NAME + '" (instance $i{0})) (alias export $i{0} "trap" (func $f{0})) (export "{0}-f" (func $f{0}))'
    text = imports(*(one.replace('"{0}"', f'"{n}"').replace("(import", "(import").replace(f'"{n}" (instance', f'"{n}" (instance ${n}', 1) for n in ("one", "two")), *(reexported.replace("{0}", n) for n in ("one", "two")))
    with pytest.raises(wasmrt.LinkError, match="two stores"):
        stores.instantiate_pre(Component(engine, text))


def test_a_guests_resource_has_the_guests_destructor(engine: wasmrt.Engine) -> None:
    dropped: list[int] = []
    store = wasmrt.Store(engine)
    provider: Any = counters(store, dropped.append).exports[NAME]
    text = """(component (import "x" (type $x (sub resource))) (core func $drop (canon resource.drop $x))
      (core module $M (import "" "drop" (func $drop (param i32))) (func (export "f") (param i32) (call $drop (local.get 0))))
      (core instance $m (instantiate $M (with "" (instance (export "drop" (func $drop))))))
      (export $y "x" (type $x)) (func (export "f") (param "it" (own $y)) (canon lift (core func $m "f"))))"""
    linker = Linker(engine)
    linker.root().add_resource("x", provider.counter)
    component = Component(engine, text)
    linker.instantiate(store, component).exports.f(provider["[constructor]counter"](3))
    assert dropped == [3]
    for ty in (provider.counter, component.type.imports()["x"]):
        with pytest.raises(TypeError, match="destructor|not instantiated"):
            Linker(engine).root().add_resource("x", ty, lambda store, rep: None)


def test_an_instance_keeps_what_it_imports_alive(engine: wasmrt.Engine) -> None:
    import gc

    store = wasmrt.Store(engine)
    linker = Linker(engine)
    linker.root().define(counters(store, lambda rep: None))
    user: Any = linker.instantiate(store, Component(engine, USES))
    del linker
    gc.collect()
    assert user.exports.run(20) == 44


def test_modules_of_another_component(engine: wasmrt.Engine) -> None:
    store = wasmrt.Store(engine)
    linker = Linker(engine)
    linker.root().define(counters(store, print))
    text = """(component (import "plain" (core module $P (export "answer" (func (result i32)))))
      (core instance $p (instantiate $P)) (func (export "answer") (result u32) (canon lift (core func $p "answer"))))"""
    assert linker.instantiate(store, Component(engine, text)).exports.answer() == 42


# ---- what else a linker does ------------------------------------------------------------------------------------------------------------------------


def test_host_functions_both_ways(engine: wasmrt.Engine) -> None:
    text = """(component (import "f" (func $f (param "x" u32) (result u32))) (export "g" (func $f)))"""
    store = wasmrt.Store(engine, data="mine")
    seen: list[Any] = []

    def with_store(given: Any, x: int) -> int:
        seen.append(given)
        return x + 1

    for define in (
        lambda root: root.add_func("f", with_store),
        lambda root: root.func("f", pass_store=True)(with_store),
        lambda root: root.define({"f": with_store}, pass_store=True),
        lambda root: root.func("f")(lambda x: x + 1),
        lambda root: root.define({"f": lambda x: x + 1}),
    ):
        linker = Linker(engine)
        define(linker.root())
        function: Any = linker.instantiate(store, Component(engine, text)).get_func("g")
        assert function(1) == 2 == function(store, 1) == function(x=1)
    assert seen and all(given is store for given in seen)

    async def later(x: int) -> int:
        return x

    for refused in (lambda root: root.add_func("f", later), lambda root: root.func("f")(later), lambda root: root.add_func("f", 3)):
        with pytest.raises(TypeError):
            refused(Linker(engine).root())


def test_a_function_exported_again_is_checked(engine: wasmrt.Engine) -> None:
    text = '(component (import "f" (func $f (param "x" u8) (param "y" (list string)) (result u8))) (export "f" (func $f)))'
    results: list[Any] = [7, 256, "x", None]
    linker = Linker(engine)
    linker.root().func("f")(lambda x, y: results.pop(0))
    store = wasmrt.Store(engine)
    function: Any = linker.instantiate(store, Component(engine, text)).get_func("f")
    assert function(1, ["a"]) == 7
    for args, error, message in [
        ((256, []), OverflowError, "argument 'x'"),
        ((1, ["a", 3]), TypeError, r"argument 'y'\[1\]: expected string, got int"),
        ((1,), TypeError, "given 1, expected 2"),
        ((1, [], 2), TypeError, "given 3, expected 2"),
    ]:
        with pytest.raises(error, match=message):
            function(*args)
    with pytest.raises(TypeError, match="given 2, expected 2"):
        function(1, z=3)
    assert len(results) == 3
    for error in (OverflowError, TypeError, TypeError):
        with pytest.raises(error, match="result"):
            function(1, [])
    with pytest.raises(wasmrt.WasmError, match="another store"):
        function(wasmrt.Store(engine), 1, [])


def test_versions(engine: wasmrt.Engine) -> None:
    """Exact first, then the highest compatible one."""
    text = '(component (import "{0}" (instance $i (export "f" (func (result u32))))) (alias export $i "f" (func $f)) (export "f" (func $f)))'
    linker = Linker(engine)
    for number, version in enumerate(["@1.0.0", "@1.2.3", "@1.4.0", "@2.0.0", "@0.2.1", "@0.2.6", "@0.0.1", "@3.0.0-rc.1", ""]):
        linker.instance(f"a:b/c{version}").func("f")(lambda number=number: number)  # type: ignore[misc]
    for wanted, found in [
        ("@1.2.3", 1), ("@1.2.0", 2), ("@1.9.9", 2), ("@2.1.0", 3), ("@0.2.3", 5), ("@0.2.1", 4), ("@0.0.1", 6), ("@3.0.0-rc.1", 7), ("", 8),
        ("@0.3.0", None), ("@0.0.2", None), ("@3.0.0", None), ("@4.0.0", None), ("@1.0.0-rc.1", None),
    ]:  # fmt: skip
        component = Component(engine, text.replace("{0}", f"a:b/c{wanted}"))
        if found is None:
            with pytest.raises(wasmrt.LinkError, match="not found in the linker"):
                linker.instantiate_pre(component)
        else:
            assert linker.instantiate(wasmrt.Store(engine), component).exports.f() == found, wanted


def test_shadowing_and_traps(engine: wasmrt.Engine) -> None:
    text = """(component
      (import "a:b/c@1.0.0" (instance $i (export "f" (func (result u32))) (export "r" (type $r (sub resource))) (export "g" (func (param "x" (own $r))))))
      (import "h" (func $h)) (alias export $i "f" (func $f)) (export "f" (func $f)) (export "h" (func $h)))"""
    component = Component(engine, text)
    linker = Linker(engine)
    linker.define_unknown_imports_as_traps(component)
    linker.define_unknown_imports_as_traps(component)
    store = wasmrt.Store(engine)
    exports = linker.instantiate(store, component).exports
    for name, path in (("f", "a:b/c@1.0.0#f"), ("h", "h")):
        with pytest.raises(wasmrt.Trap, match=f"unknown import: `{path}` has not been defined") as caught:
            exports[name]()
        assert caught.value.trap_code == wasmrt.TrapCode.LINKED_AS_TRAP  # type: ignore[attr-defined]
    with pytest.raises(wasmrt.WasmError, match="defined twice"):
        linker.instance("a:b/c@1.0.0").add_func("f", lambda store: 3)
    linker.allow_shadowing = True
    linker.instance("a:b/c@1.0.0").add_func("f", lambda store: 3)
    linker.root().add_func("h", lambda store: None)
    exports = linker.instantiate(store, component).exports
    assert exports.f() == 3 and exports.h() is None


def test_one_pre_many_instances(engine: wasmrt.Engine) -> None:
    component = Component(engine, '(component (import "f" (func $f (result u32))) (export "f" (func $f)))')
    linker = Linker(engine)
    linker.root().func("f")(lambda: 5)
    pre = linker.instantiate_pre(component)
    linker.allow_shadowing = True
    linker.root().func("f")(lambda: 6)  # what was resolved stays
    assert [pre.instantiate(wasmrt.Store(engine)).exports.f() for _ in range(3)] == [5, 5, 5]
    assert pre.component is component
    with pytest.raises(wasmrt.WasmError, match="cross-`Engine`"):
        pre.instantiate(wasmrt.Store())
    with pytest.raises(wasmrt.WasmError, match="cross-`Engine`"):
        Linker(wasmrt.Engine()).instantiate_pre(component)


def test_host_resources_of_any_class(engine: wasmrt.Engine) -> None:
    """Handles carry the object; dropping calls `dtor`, else `close()`."""
    text = """(component
      (import "x" (type $x (sub resource)))
      (import "make" (func $make (result (own $x))))
      (import "look" (func $look (param "it" (borrow $x))))
      (core func $make' (canon lower (func $make))) (core func $look' (canon lower (func $look))) (core func $drop (canon resource.drop $x))
      (core module $M
        (import "" "make" (func $make (result i32))) (import "" "look" (func $look (param i32))) (import "" "drop" (func $drop (param i32)))
        (func (export "run") (local $h i32) (local.set $h (call $make)) (call $look (local.get $h)) (call $drop (local.get $h)))
        (func (export "same") (param i32) (result i32) (local.get 0)))
      (core instance $m (instantiate $M (with "" (instance (export "make" (func $make')) (export "look" (func $look')) (export "drop" (func $drop))))))
      (export $x' "x" (type $x))
      (func (export "run") (canon lift (core func $m "run")))
      (func (export "same") (param "it" (own $x')) (result (own $x')) (canon lift (core func $m "same"))))"""
    log: list[Any] = []

    class Closing:
        def close(self) -> None:
            log.append(("closed", self))

        def __enter__(self) -> Closing:
            return self

        def __exit__(self, *exc_info: object) -> None:
            self.close()

    class Silent:
        __slots__ = ()

    for cls, dtor in ((Closing, None), (Closing, lambda store, it: log.append(("dtor", it))), (Silent, None), (dict, None)):
        log.clear()
        made: list[Any] = []
        linker = Linker(engine)
        root = linker.root()
        root.add_resource("x", cls, dtor)
        root.func("make")(lambda cls=cls, made=made: made.append(cls()) or made[-1])  # type: ignore[misc]
        root.func("look")(lambda it: log.append(("seen", it)))
        store = wasmrt.Store(engine)
        instance = linker.instantiate(store, Component(engine, text))
        exports: Any = instance.exports
        exports.run()
        assert log[0][0] == "seen" and log[0][1] is made[0]
        if cls is Closing:
            assert log[1][0] == ("dtor" if dtor else "closed") and log[1][1] is made[0]
        it = cls()
        assert exports.same(it) is it and instance.get_resource("x") == ResourceType.host(cls)
        with pytest.raises(TypeError, match=f"argument 'it': expected .*{cls.__name__}, got int"):
            exports.same(3)
        assert linker.substituted_component_type(instance.component).imports()["x"] == ResourceType.host(cls)
    with Closing() as one:
        pass
    assert log[-1] == ("closed", one)
    with pytest.raises(TypeError):
        Linker(engine).root().add_resource("x", "no class")


def test_numbers_as_resources_have_owners(engine: wasmrt.Engine) -> None:
    assert ResourceHost.own(1, 7).owned and not ResourceHost.borrow(1, 7).owned
    store = wasmrt.Store(engine)
    with ResourceHost.own(1, 7).to_any(store) as handle:
        assert isinstance(handle, ResourceAny) and handle.owned and handle.type == ResourceType.host(7)
    with pytest.raises(wasmrt.WasmError, match="unknown handle index"):
        handle.drop()
