"""Calls between components: values of every type arrive as they were sent, and what the specification forbids traps.

Values are compared with what a host function sees at the far end. How the host itself lifts and lowers is tested against the oracle elsewhere
(tests/abi), so a difference here is the adapters'.
"""

from __future__ import annotations

import itertools
import struct
import sys
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("wasmrt._native.component")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import machine
from tests.abi import oracle
from tests.abi.strategies import types, values
from tests.abi.test_plans import to_python
from wasmrt import Engine, Module, Store, Trap
from wasmrt.component import Component, Linker
from wasmrt.errors import LimitError
from wasmrt.spec import limits
from wasmrt.spec import types as t

ENCODINGS = ("utf8", "utf16", "latin1+utf16")

# A bump allocator that keeps what it is given when it grows, and says so in `log` as (old, old size, align, size).
LIBC = """
(core module $Libc
  (memory (export "mem") 4)
  (global $next (mut i32) (i32.const 4096))
  (global $log (mut i32) (i32.const 0))
  (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (if (i32.and (i32.ne (local.get $old) (i32.const 0)) (i32.le_u (local.get $size) (local.get $old_size)))
      (then (local.set $at (local.get $old)))
      (else
        (local.set $at (i32.and (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1))) (i32.sub (i32.const 0) (local.get $align))))
        (global.set $next (i32.add (local.get $at) (local.get $size)))
        (memory.copy (local.get $at) (local.get $old) (local.get $old_size))))
    (if (i32.lt_u (global.get $log) (i32.const 1024)) (then
      (i32.store offset=2048 (global.get $log) (local.get $align))
      (i32.store offset=2052 (global.get $log) (local.get $size))
      (global.set $log (i32.add (global.get $log) (i32.const 8)))))
    (local.get $at))
  (func (export "count") (result i32) (i32.shr_u (global.get $log) (i32.const 3)))
  (func (export "logged") (param i32) (result i64) (i64.load offset=2048 (i32.mul (local.get 0) (i32.const 8)))))
(core instance $libc (instantiate $Libc))
"""
MEM = '(memory (core memory $libc "mem")) (realloc (core func $libc "realloc"))'


# --- types in text -------------------------------------------------------------------------------------------------


class Definitions:
    """Text of types. Those that need a name are imported: functions may only mention named ones."""

    def __init__(self) -> None:
        self.names: dict[Any, str] = {}
        self.lines: list[str] = []

    def of(self, ty: Any) -> str:
        match ty:
            case t.ListType():
                return f"(list {self.of(ty.element)}{'' if ty.length is None else f' {ty.length}'})"
            case t.MapType():
                return f"(map {self.of(ty.key)} {self.of(ty.value)})"
            case t.TupleType():
                return f"(tuple {' '.join(self.of(e) for e in ty.elements)})"
            case t.OptionType():
                return f"(option {self.of(ty.payload)})"
            case t.ResultType():
                ok = "" if ty.ok is None else f" {self.of(ty.ok)}"
                return f"(result{ok}{'' if ty.err is None else f' (error {self.of(ty.err)})'})"
            case t.RecordType():
                return self.named(ty, "(record " + " ".join(f'(field "{n}" {self.of(f)})' for n, f in ty.fields) + ")")
            case t.VariantType():
                cases = [f'(case "{n}"{"" if c is None else " " + self.of(c)})' for n, c in ty.cases]
                return self.named(ty, f"(variant {' '.join(cases)})")
            case t.EnumType() | t.FlagsType():
                labels = " ".join(f'"{name}"' for name in ty.names)
                return self.named(ty, f"({'enum' if isinstance(ty, t.EnumType) else 'flags'} {labels})")
        return str(ty)

    def func(self, params: list[Any], result: Any) -> str:
        return " ".join(f'(param "p{i}" {self.of(ty)})' for i, ty in enumerate(params)) + f" (result {self.of(result)})"

    def named(self, ty: Any, text: str) -> str:
        name = self.names.get(ty)
        if name is None:
            name = self.names[ty] = f"t{len(self.names)}"
            self.lines.append(f'(type ${name}-def {text}) (import "{name}" (type ${name} (eq ${name}-def)))')
        return f"${name}"


def words(types_: list[Any]) -> list[str]:
    return [w for ty in types_ for w in oracle.flatten(ty)]


def forwarding(params: list[Any], result: Any, encoding: str) -> str:
    """The inside of a component that imports `f`, and exports an `f` that calls it."""
    definitions = Definitions()
    func = definitions.func(params, result)
    flat = words(params)
    flat = ["i32"] if len(flat) > 16 else flat
    out = words([result])
    spilled = len(out) > 1
    core_params = f"(param {' '.join(flat)})"
    args = " ".join(f"(local.get {i})" for i in range(len(flat)))
    body = f"(call $f {args})"
    if spilled:
        # the result is kept where the callee of the last call before cannot have put anything
        body = f"(call $f {args} (i32.const 1024)) (i32.const 1024)"
    return f"""
      {" ".join(definitions.lines)}
      (import "f" (func $f {func}))
      {LIBC}
      (core func $f' (canon lower (func $f) string-encoding={encoding} {MEM}))
      (core module $M
        (import "" "f" (func $f {core_params} {"(param i32)" if spilled else f"(result {out[0]})"}))
        (func (export "f") {core_params} (result {"i32" if spilled else out[0]}) {body}))
      (core instance $m (instantiate $M (with "" (instance (export "f" (func $f'))))))
      (func $g {func} (canon lift (core func $m "f") string-encoding={encoding} {MEM}))
      (export "f" (func $g))
      (func (export "count") (result u32) (canon lift (core func $libc "count")))
      (func (export "logged") (param "n" u32) (result u64) (canon lift (core func $libc "logged")))
    """


def chain(params: list[Any], result: Any, encodings: tuple[str, ...]) -> str:
    """A component of forwarding components, each calling the one before; the first calls the host's `f`."""
    definitions = Definitions()
    func = definitions.func(params, result)
    text, source = [" ".join(definitions.lines), f'(import "f" (func $f {func}))'], "$f"
    given = " ".join(f'(with "{name}" (type ${name}))' for name in definitions.names.values())
    for i, encoding in enumerate(encodings):
        inside = forwarding(params, result, encoding)
        text.append(f"(component $C{i} {inside})")
        text.append(f'(instance $c{i} (instantiate $C{i} {given} (with "f" (func {source}))))')
        text.append(f'(alias export $c{i} "f" (func $f{i}))')
        source = f"$f{i}"
    text.append(
        f'(export "f" (func {source})) (export "count" (func $c0 "count")) (export "logged" (func $c0 "logged"))'
    )
    return f"(component {' '.join(text)})"


ENGINE = Engine(machine.everything())


def link(text: str, **imports: Callable[..., Any]) -> Any:
    linker = Linker(ENGINE)
    for name, function in imports.items():
        linker.root().func(name)(function)
    return linker.instantiate(Store(ENGINE), Component(ENGINE, text))


def round_trip(params: list[Any], sent: list[Any], result: Any, answer: Any, encodings: tuple[str, ...]) -> None:
    seen: list[Any] = []

    def f(*args: Any) -> Any:
        seen.append(args)
        return answer

    instance = link(chain(params, result, encodings), f=f)
    for _ in range(2):
        assert instance.exports["f"](*sent) == answer
    assert seen == [tuple(sent)] * 2


pairs = types.flatmap(lambda ty: st.tuples(st.just(ty), values(ty)))


@given(st.lists(pairs, min_size=1, max_size=4), pairs, st.tuples(*[st.sampled_from(ENCODINGS)] * 2))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_values_arrive_as_they_were(params: Any, result: Any, encodings: tuple[str, str]) -> None:
    given_types = [ty for ty, _ in params]
    python = [to_python(value, ty) for ty, value in params]
    round_trip(given_types, python, result[0], to_python(result[1], result[0]), encodings)


def raw_call(ty: Any, encoding: str, core_values: list[str], memory: bytes, hops: int) -> str:
    """A component whose `run` calls `f` with these core values; between it and the host's `f` there are `hops` components."""
    definitions = Definitions()
    func = definitions.func([ty], t.U8())
    given = " ".join(f'(with "{name}" (type ${name}))' for name in definitions.names.values())
    data = "".join(f"\\{byte:02x}" for byte in memory)
    params = " ".join(value.partition(".")[0].lstrip("(") for value in core_values)
    text = [" ".join(definitions.lines), f'(import "f" (func $f {func}))']
    if hops:
        text.append(
            f'(component $C {forwarding([ty], t.U8(), encoding)}) (instance $c (instantiate $C {given} (with "f" (func $f))))'
        )
        text.append('(alias export $c "f" (func $g))')
    text.append(f"""(component $D {" ".join(definitions.lines)}
      (import "f" (func $f {func}))
      (core module $Memory (memory (export "mem") 1) (data (i32.const 0) "{data}"))
      (core instance $memory (instantiate $Memory))
      (core func $f' (canon lower (func $f) string-encoding={encoding} (memory (core memory $memory "mem"))))
      (core module $N (import "" "f" (func $f (param {params}) (result i32))) (func (export "run") (drop (call $f {" ".join(core_values)}))))
      (core instance $n (instantiate $N (with "" (instance (export "f" (func $f'))))))
      (func (export "run") (canon lift (core func $n "run"))))
      (instance $d (instantiate $D {given} (with "f" (func {"$g" if hops else "$f"}))))
      (export "run" (func $d "run"))""")
    return f"(component {' '.join(text)})"


SMALL = st.integers(0, 40)
WORD = st.one_of(
    SMALL,
    SMALL,
    st.sampled_from([0x80000000, 0x80000001, 0xFFFFFFFF, 0xD800, 65536, 65535]),
    st.integers(0, (1 << 32) - 1),
)


@given(
    types,
    st.sampled_from(ENCODINGS),
    st.lists(WORD, min_size=17, max_size=17),
    st.lists(WORD, min_size=64, max_size=64),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_garbage_arrives_as_it_would_at_the_host(ty: Any, encoding: str, raw: list[int], memory: list[int]) -> None:
    flat = words([ty])
    flat = ["i32"] if len(flat) > 16 else flat
    constants = []
    for word, value in zip(flat, raw, strict=False):
        constants.append(
            f"({word}.reinterpret_i{word[1:]} (i{word[1:]}.const {value}))"
            if word[0] == "f"
            else f"({word}.const {value})"
        )
    outcomes = []
    for hops in (0, 1):
        seen: list[Any] = []
        text = raw_call(ty, encoding, constants, struct.pack("<64I", *memory), hops)
        instance = link(text, f=lambda value, seen=seen: seen.append(value) or 0)
        try:
            instance.exports["run"]()
        except Trap:
            assert not seen
        outcomes.append([repr(value) for value in seen])
    assert outcomes[0] == outcomes[1]


# --- strings -------------------------------------------------------------------------------------------------------

TEXTS = (
    "",
    "a",
    "plain text of some length",
    "\xe9t\xe9",
    "snow \u2603",
    "\u2603",
    "\U0001f370 and \xe9",
    "\xff" * 9,
    "a\U0001f370" * 20,
)


def reallocs(text: str, source: str, target: str) -> list[tuple[int, int]]:
    """(align, size) of the calls that the specification's store_string makes."""
    latin1 = all(ord(c) < 0x100 for c in text)
    points = len(text)
    utf8, utf16 = len(text.encode()), len(text.encode("utf-16-le"))
    # a host lowers what fits Latin-1 as such
    kind = source if source != "latin1+utf16" else "latin1" if latin1 else "tagged"
    units = {"utf8": utf8, "utf16": utf16 // 2, "latin1": points, "tagged": utf16 // 2}[kind]
    match target, kind:
        case "utf8", "utf8":
            return [(1, units)]
        case "utf8", _:
            worst = units * (2 if kind == "latin1" else 3)
            return [(1, units)] + ([] if text.isascii() else [(1, worst)] + ([(1, utf8)] if utf8 < worst else []))
        case "utf16", "utf8":
            return [(2, 2 * units)] + ([(2, utf16)] if utf16 < 2 * units else [])
        case "utf16", _:
            return [(2, 2 * units)]
        case _, "latin1":
            return [(2, units)]
        case _, "tagged":
            return [(2, 2 * units)]
    if latin1:
        return [(2, units)] + ([(2, points)] if points < units else [])
    return [(2, units), (2, 2 * units)] + ([(2, utf16)] if utf16 < 2 * units else [])


@pytest.mark.parametrize(("source", "target"), list(itertools.product(ENCODINGS, ENCODINGS)))
def test_strings_are_transcoded_with_the_specified_reallocs(source: str, target: str) -> None:
    text = chain([t.String()], t.U32(), (target, source))
    component = Component(ENGINE, text)
    for sent in TEXTS:
        seen: list[str] = []
        linker = Linker(ENGINE)
        linker.root().func("f")(lambda value, seen=seen: seen.append(value) or 7)
        exports = linker.instantiate(Store(ENGINE), component).exports
        assert exports["f"](sent) == 7 and seen == [sent]
        logged = [exports["logged"](n) for n in range(exports["count"]())]
        assert [(n & 0xFFFFFFFF, n >> 32) for n in logged] == reallocs(sent, source, target), sent


def test_tagged_text_that_fits_is_made_latin1() -> None:
    """Hosts never tag such text, so that a guest writes it here."""
    instance = pair(
        '(param "s" string) (result u32)',
        "(param i32 i32) (result i32)",
        """(if (i32.ne (local.get 1) (i32.const 3)) (then unreachable))
           (i32.and (i32.load (local.get 0)) (i32.const 0xffffff))""",
        "(call $f (i32.const 16) (i32.const 0x80000003))",
        data='(data (i32.const 16) "a\\00\\e9\\00c\\00")',
        encodings=("latin1+utf16", "latin1+utf16"),
        run="(result i32)",
    )
    assert instance.exports["run"]() == 0x63E961


# --- traps ---------------------------------------------------------------------------------------------------------


def pair_text(
    func: str,
    core: str,
    callee: str,
    caller: str,
    *,
    data: str = "",
    encodings: tuple[str, str] = ("utf8", "utf8"),
    run: str = "",
    realloc: str = "(i32.const 4096)",
) -> str:
    """A callee with one function, and a caller whose `run` calls it."""
    return f"""(component
      (import "h" (func $h))
      (component $C
        (import "h" (func $h))
        (core func $h' (canon lower (func $h)))
        (core module $M
          (import "" "h" (func $h))
          (memory (export "mem") 1)
          (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc})
          (func (export "f") {core} {callee}))
        (core instance $m (instantiate $M (with "" (instance (export "h" (func $h'))))))
        (func (export "f") {func} (canon lift (core func $m "f") string-encoding={encodings[1]}
          (memory (core memory $m "mem")) (realloc (core func $m "realloc")))))
      (component $D
        (import "f" (func $f {func}))
        (core module $Memory (memory (export "mem") 1) {data})
        (core instance $memory (instantiate $Memory))
        (core func $f' (canon lower (func $f) string-encoding={encodings[0]} (memory (core memory $memory "mem"))))
        (core module $N (import "" "f" (func $f {core})) (func (export "run") {run} {caller}))
        (core instance $n (instantiate $N (with "" (instance (export "f" (func $f'))))))
        (func (export "run") {run.replace("i32", "u32")} (canon lift (core func $n "run"))))
      (instance $c (instantiate $C (with "h" (func $h))))
      (instance $d (instantiate $D (with "f" (func $c "f"))))
      (export "run" (func $d "run"))
      (export "f" (func $c "f")))"""


def pair(*args: str, **options: Any) -> Any:
    return link(pair_text(*args, **options), h=lambda: None)


STRING = ('(param "s" string)', "(param i32 i32)", "")
TRAPS = {
    "bad utf-8": (
        *STRING,
        "(call $f (i32.const 16) (i32.const 2))",
        {"data": '(data (i32.const 16) "a\\ff")'},
        "invalid utf-8",
    ),
    "cut off utf-8 to utf-16": (
        *STRING,
        "(call $f (i32.const 16) (i32.const 2))",
        {"data": '(data (i32.const 16) "a\\c3")', "encodings": ("utf8", "utf16")},
        "invalid utf-8",
    ),
    "half a pair": (
        *STRING,
        "(call $f (i32.const 16) (i32.const 1))",
        {"data": '(data (i32.const 16) "\\00\\d8")', "encodings": ("utf16", "utf16")},
        "unpaired surrogate",
    ),
    "half a pair to compact": (
        *STRING,
        "(call $f (i32.const 16) (i32.const 2))",
        {"data": '(data (i32.const 16) "\\00\\dca\\00")', "encodings": ("utf16", "latin1+utf16")},
        "unpaired surrogate",
    ),
    "a string of too many bytes": (
        *STRING,
        "(call $f (i32.const 0) (i32.const 0x10000000))",
        {},
        "string content out-of-bounds",
    ),
    "a string whose size wraps": (
        *STRING,
        "(call $f (i32.const 0) (i32.const 0x7fffffff))",
        {"encodings": ("utf16", "utf8")},
        "string content out-of-bounds",
    ),
    "a second realloc out of bounds": (
        *STRING,
        "(call $f (i32.const 16) (i32.const 1))",
        {
            "data": '(data (i32.const 16) "\\e9\\00")',
            "encodings": ("utf16", "utf8"),
            "realloc": "(select (i32.const 64) (i32.const -1) (i32.eqz (local.get 0)))",
        },
        "string content out-of-bounds",
    ),
    "an unaligned realloc for utf-16": (
        *STRING,
        "(call $f (i32.const 16) (i32.const 0))",
        {"encodings": ("utf8", "utf16"), "realloc": "(i32.const 3)"},
        "unaligned pointer",
    ),
    "a list whose size wraps": (
        '(param "l" (list u64))',
        "(param i32 i32)",
        "",
        "(call $f (i32.const 0) (i32.const 0x20000000))",
        {},
        "list content out-of-bounds",
    ),
    "a list past the end": (
        '(param "l" (list u8))',
        "(param i32 i32)",
        "",
        "(call $f (i32.const 65535) (i32.const 2))",
        {},
        "list content out-of-bounds",
    ),
    "a surrogate in a list": (
        '(param "l" (list char))',
        "(param i32 i32)",
        "",
        "(call $f (i32.const 16) (i32.const 2))",
        {"data": '(data (i32.const 16) "a\\00\\00\\00\\ff\\df\\00\\00")'},
        "invalid `char` bit pattern",
    ),
    "a discriminant in a list": (
        '(param "l" (list (option u8)))',
        "(param i32 i32)",
        "",
        "(call $f (i32.const 16) (i32.const 1))",
        {"data": '(data (i32.const 16) "\\02")'},
        "invalid variant discriminant",
    ),
    "leaving from realloc": (
        *STRING,
        "(call $f (i32.const 16) (i32.const 0))",
        {"realloc": "(call $h) (i32.const 64)"},
        "cannot leave component instance",
    ),
    "a guest's own trap": (
        '(param "n" u32)',
        "(param i32)",
        "unreachable",
        "(call $f (i32.const 16))",
        {},
        "unreachable",
    ),
}


@pytest.mark.parametrize("case", TRAPS)
def test_traps(case: str) -> None:
    func, core, callee, caller, options, message = TRAPS[case]
    instance = pair(func, core, callee, caller, **options)
    with pytest.raises(Trap, match=message):
        instance.exports["run"]()
    with pytest.raises(Trap, match="cannot enter component instance"):
        instance.exports["run"]()


@pytest.mark.parametrize(("where", "message"), [("post", "cannot leave"), ("realloc", "cannot leave"), ("", None)])
def test_neither_post_return_nor_realloc_may_call_another_component(where: str, message: str | None) -> None:
    call = {name: "(call $b)" if name == where else "" for name in ("post", "realloc")}
    instance = link(f"""(component
      (component $B
        (core module $M (func (export "b")))
        (core instance $m (instantiate $M))
        (func (export "b") (canon lift (core func $m "b"))))
      (component $C
        (import "b" (func $b))
        (core func $b' (canon lower (func $b)))
        (core module $M
          (import "" "b" (func $b))
          (memory (export "mem") 1)
          (global $posts (mut i32) (i32.const 0))
          (func (export "realloc") (param i32 i32 i32 i32) (result i32) {call["realloc"]} (i32.const 64))
          (func (export "c") (param i32 i32) (result i32) (call $b) (i32.add (local.get 1) (global.get $posts)))
          (func (export "post") (param i32) {call["post"]} (global.set $posts (i32.add (global.get $posts) (local.get 0)))))
        (core instance $m (instantiate $M (with "" (instance (export "b" (func $b'))))))
        (func (export "c") (param "s" string) (result u32)
          (canon lift (core func $m "c") (memory (core memory $m "mem")) (realloc (core func $m "realloc")) (post-return (core func $m "post")))))
      (component $D
        (import "c" (func $c (param "s" string) (result u32)))
        (core module $Memory (memory (export "mem") 1))
        (core instance $memory (instantiate $Memory))
        (core func $c' (canon lower (func $c) (memory (core memory $memory "mem"))))
        (core module $M (import "" "c" (func $c (param i32 i32) (result i32))) (func (export "d") (result i32) (call $c (i32.const 0) (i32.const 3))))
        (core instance $m (instantiate $M (with "" (instance (export "c" (func $c'))))))
        (func (export "d") (result u32) (canon lift (core func $m "d"))))
      (instance $b (instantiate $B))
      (instance $c (instantiate $C (with "b" (func $b "b"))))
      (instance $d (instantiate $D (with "c" (func $c "c"))))
      (export "d" (func $d "d")))""")
    if message is None:
        assert [instance.exports["d"]() for _ in range(3)] == [3, 6, 12]
    else:
        with pytest.raises(Trap, match=message):
            instance.exports["d"]()


def test_an_adapters_frame_is_in_the_backtrace() -> None:
    with pytest.raises(Trap) as caught:
        pair(*TRAPS["bad utf-8"][:4], **TRAPS["bad utf-8"][4]).exports["run"]()
    assert "adapter!copy-string" in str(caught.value)


def test_an_instance_and_one_inside_it_cannot_call_each_other() -> None:
    child = '(component $C (core module $M (func (export "f"))) (core instance $m (instantiate $M)) (func (export "f") (canon lift (core func $m "f"))))'
    instance = link(f"""(component {child}
      (instance $c (instantiate $C))
      (core func $f (canon lower (func $c "f")))
      (core module $N (import "" "f" (func $f)) (func (export "run") (call $f)))
      (core instance $n (instantiate $N (with "" (instance (export "f" (func $f))))))
      (func (export "run") (canon lift (core func $n "run"))))""")
    with pytest.raises(Trap, match="cannot enter component instance"):
        instance.exports["run"]()


def test_the_host_cannot_come_back_while_any_instance_is_busy() -> None:
    errors: list[Exception] = []

    def h() -> None:
        for name in ("run", "f"):
            try:
                instance.exports[name]()
            except Trap as error:
                errors.append(error)

    instance = link(pair_text("", "", "(call $h)", "(call $f)"), h=h)
    instance.exports["run"]()
    assert len(errors) == 2 and all("cannot enter component instance" in str(error) for error in errors)
    instance.exports["f"]()


def test_artifacts_hold_their_adapters() -> None:
    component = Component(ENGINE, chain([t.String(), t.ListType(t.Char())], t.String(), ("utf8", "utf16")))
    again = Component.deserialize(ENGINE, component.serialize())
    linker = Linker(ENGINE)
    linker.root().func("f")(lambda text, chars: text + "".join(chars))
    assert (
        linker.instantiate(Store(ENGINE), again).exports["f"]("a\u2603", ["\xe9", "\U0001f370"])
        == "a\u2603\xe9\U0001f370"
    )


def test_a_lowered_function_can_be_lifted_again() -> None:
    text = pair_text(
        '(param "n" u32) (result u32)',
        "(param i32) (result i32)",
        "(i32.add (local.get 0) (i32.const 1))",
        "(call $f (i32.const 1))",
        run="(result i32)",
    )
    text = text.replace(
        '(export "run" (func $d "run"))',
        """(component $E (import "f" (func $f (param "n" u32) (result u32)))
             (core func $f' (canon lower (func $f)))
             (func (export "f") (param "n" u32) (result u32) (canon lift (core func $f'))))
           (instance $e (instantiate $E (with "f" (func $c "f"))))
           (export "again" (func $e "f")) (export "run" (func $d "run"))""",
    )
    exports = link(text, h=lambda: None).exports
    assert exports["again"](41) == 42 and exports["run"]() == 2


def test_an_imported_module_is_given_adapters() -> None:
    text = """(component
      (import "m" (core module $N (import "" "f" (func (param i32) (result i32))) (export "run" (func (param i32) (result i32)))))
      (component $C
        (core module $M (func (export "f") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2))))
        (core instance $m (instantiate $M))
        (func (export "f") (param "n" u32) (result u32) (canon lift (core func $m "f"))))
      (component $D
        (import "m" (core module $N (import "" "f" (func (param i32) (result i32))) (export "run" (func (param i32) (result i32)))))
        (import "f" (func $f (param "n" u32) (result u32)))
        (core func $f' (canon lower (func $f)))
        (core instance $n (instantiate $N (with "" (instance (export "f" (func $f'))))))
        (func (export "run") (param "n" u32) (result u32) (canon lift (core func $n "run"))))
      (instance $c (instantiate $C))
      (instance $d (instantiate $D (with "m" (core module $N)) (with "f" (func $c "f"))))
      (export "run" (func $d "run")))"""
    linker = Linker(ENGINE)
    module = '(module (import "" "f" (func $f (param i32) (result i32))) (func (export "run") (param i32) (result i32) (call $f (local.get 0))))'
    linker.root().add_module("m", Module(ENGINE, module))
    assert linker.instantiate(Store(ENGINE), Component(ENGINE, text)).exports["run"](21) == 42


def test_code_for_calls_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    text = chain([t.String()], t.U32(), ("utf8", "utf16"))
    monkeypatch.setattr(limits, "COMPONENT_ADAPTER_BYTES", 400)
    with pytest.raises(LimitError, match="more than 400 bytes of code for calls between components"):
        Component(ENGINE, text)


def test_calls_with_more_values_than_are_flat() -> None:
    params = [t.U8(), t.F64(), t.Char(), t.Bool()] * 5
    round_trip(params, [1, 2.5, "\u2603", True] * 5, t.TupleType((t.S8(), t.S64())), (-1, -(1 << 63)), ("utf8", "utf8"))


@pytest.mark.parametrize("in_memory", [False, True])
def test_code_grows_with_types_and_not_with_their_trees(in_memory: bool) -> None:
    ty: Any = t.Char()
    for i in range(14):
        ty = t.VariantType((("a", t.OptionType(ty)), ("b", t.ResultType(ty, t.Char())), (f"c{i}", None)))
    ty = t.ListType(ty) if in_memory else ty
    component = Component(ENGINE, chain([ty], t.U32(), ("utf8", "utf8")))
    assert len(component.serialize()) < 2_000_000


# --- resources -----------------------------------------------------------------------------------------------------

PASSING = """(component
  (import "r" (type $r (sub resource)))
  (import "use" (func $use (param "r" (borrow $r)) (result u32)))
  (import "end" (func $end (param "r" (own $r))))
  (component $C
    (import "r" (type $r (sub resource)))
    (import "use" (func $use (param "r" (borrow $r)) (result u32)))
    (import "end" (func $end (param "r" (own $r))))
    (core func $use' (canon lower (func $use)))
    (core func $end' (canon lower (func $end)))
    (core func $drop (canon resource.drop $r))
    (core module $M
      (import "" "use" (func $use (param i32) (result i32)))
      (import "" "end" (func $end (param i32)))
      (import "" "drop" (func $drop (param i32)))
      (func (export "use") (param i32) (result i32) (call $use (local.get 0)) (call $drop (local.get 0)))
      (func (export "keep") (param i32) (result i32) (call $use (local.get 0)))
      (func (export "end") (param i32) (call $end (local.get 0))))
    (core instance $m (instantiate $M (with "" (instance (export "use" (func $use')) (export "end" (func $end')) (export "drop" (func $drop))))))
    (func (export "use") (param "r" (borrow $r)) (result u32) (canon lift (core func $m "use")))
    (func (export "keep") (param "r" (borrow $r)) (result u32) (canon lift (core func $m "keep")))
    (func (export "end") (param "r" (own $r)) (canon lift (core func $m "end"))))
  (component $D
    (import "r" (type $r (sub resource)))
    (import "use" (func $use (param "r" (borrow $r)) (result u32)))
    (import "keep" (func $keep (param "r" (borrow $r)) (result u32)))
    (import "end" (func $end (param "r" (own $r))))
    (core func $use' (canon lower (func $use)))
    (core func $keep' (canon lower (func $keep)))
    (core func $end' (canon lower (func $end)))
    (core func $drop (canon resource.drop $r))
    (core module $M
      (import "" "use" (func $use (param i32) (result i32)))
      (import "" "keep" (func $keep (param i32) (result i32)))
      (import "" "end" (func $end (param i32)))
      (import "" "drop" (func $drop (param i32)))
      (func (export "use") (param i32) (result i32) (local $n i32)
        (local.set $n (i32.add (call $use (local.get 0)) (call $use (local.get 0))))
        (call $drop (local.get 0))
        (local.get $n))
      (func (export "keep") (param i32) (result i32) (call $keep (local.get 0)))
      (func (export "end") (param i32) (call $end (local.get 0))))
    (core instance $m (instantiate $M (with "" (instance
      (export "use" (func $use')) (export "keep" (func $keep')) (export "end" (func $end')) (export "drop" (func $drop))))))
    (func (export "use") (param "r" (borrow $r)) (result u32) (canon lift (core func $m "use")))
    (func (export "keep") (param "r" (borrow $r)) (result u32) (canon lift (core func $m "keep")))
    (func (export "end") (param "r" (own $r)) (canon lift (core func $m "end"))))
  (instance $c (instantiate $C (with "r" (type $r)) (with "use" (func $use)) (with "end" (func $end))))
  (instance $d (instantiate $D (with "r" (type $r)) (with "use" (func $c "use")) (with "keep" (func $c "keep")) (with "end" (func $c "end"))))
  (export "use" (func $d "use"))
  (export "keep" (func $d "keep"))
  (export "end" (func $d "end")))"""


class Thing:
    def __init__(self, number: int) -> None:
        self.number = number


def passing(ended: list[Thing]) -> Any:
    linker = Linker(ENGINE)
    root = linker.root()
    root.add_resource("r", Thing)
    root.func("use")(lambda thing: thing.number)
    root.func("end")(ended.append)
    return linker.instantiate(Store(ENGINE), Component(ENGINE, PASSING))


def test_a_hosts_objects_go_through_two_components() -> None:
    ended: list[Thing] = []
    instance, thing = passing(ended), Thing(21)
    for _ in range(3):
        assert instance.exports["use"](thing) == 42
    references = sys.getrefcount(thing)
    instance.exports["end"](thing)
    assert ended == [thing]
    ended.clear()
    assert sys.getrefcount(thing) == references


def test_a_borrow_that_a_callee_keeps_traps() -> None:
    with pytest.raises(Trap, match="borrow handles still remain at the end of the call"):
        passing([]).exports["keep"](Thing(1))
