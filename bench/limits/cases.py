"""Owns the rows of the table of calls: for each a statement and its names, for wasmrt, the floor, and the peer.

A `Work` is a statement that runs `operations` of what its row is about. Functions of wasmrt are called without a store (`ours`) and as programs written
for the peer call them (`dropin`: a store first, Record and Variant of `wasmrt.component`); both must reach the goal.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench.engines import Contender, contenders
from bench.interleave import Candidate, Clock

from . import build
from .guests import COMPONENT, MODULE

LOOP = 1000


@dataclass(frozen=True)
class Work:
    """`statement` with the names in `names`; `operations` of the row in one run of it."""

    statement: str
    names: dict[str, Any]
    operations: int = 1

    def candidate(self, times: int) -> Candidate:
        """Runs the statement `times` times in a loop of its own, without a call around it, after a tenth of that to warm caches up."""
        arguments = ", ".join(self.names)
        scope: dict[str, Any] = {}
        loop = f"for _ in {{}}:\n            {self.statement}\n"
        source = f"def run(_clock, _first, _rounds, {arguments}):\n    if True:\n        {loop.format('_first')}    with _clock:\n        {loop.format('_rounds')}"
        exec(compile(source, f"<{self.statement}>", "exec"), scope)
        run, names, first, rounds = scope["run"], tuple(self.names.values()), range(times // 10), range(times)
        return lambda clock: run(clock, first, rounds, *names)

    def seconds(self, times: int = 1) -> float:
        """About how long one run takes."""
        clock = Clock()
        self.candidate(times)(clock)
        return clock.wall / times


@dataclass(frozen=True)
class Case:
    """A row. `guest_calls`: realloc and post-return calls, for which the goal adds 25 ns each; `least`: times faster than the peer, at least."""

    title: str
    group: str
    ours: Callable[[], Work]
    floor: Callable[[], Work] | None = None
    peer: Callable[[], Work] | None = None
    dropin: Callable[[], Work] | None = None
    guest_calls: int = 0
    least: float | None = None
    note: str = ""


# ---- what is called ---------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guests:
    """One engine's store with the instances of both guests."""

    contender: Contender
    store: Any
    core: Any
    instance: Any

    def func(self, name: str) -> Any:
        return self.instance.get_func(self.store, name)


def guests_of(contender: Contender, next_core: Any = None, next_component: Any = None) -> Guests:
    package, engine = contender.package, contender.engine()
    store = contender.store(engine)
    linker = package.Linker(engine)
    i32 = package.ValType.i32()
    linker.define_func("h", "next", package.FuncType([i32], [i32]), next_core or (lambda value: value))
    core = linker.instantiate(store, package.Module(engine, MODULE)).exports(store)
    api = contender.component
    component_linker = api.Linker(engine)
    with component_linker.root() as root:
        root.add_func("next", next_component or (lambda _store, value: value))
    instance = component_linker.instantiate(store, api.Component(engine, COMPONENT))
    return Guests(contender, store, core, instance)


@cache
def ours() -> Guests:
    return guests_of(contenders()["wasmrt"])


@cache
def ours_native() -> Guests:
    pointer = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)(build().next_address)
    return guests_of(contenders()["wasmrt"], pointer, pointer)


@cache
def peer() -> Guests:
    return guests_of(contenders()["cranelift"])


def has_peer() -> bool:
    return "cranelift" in contenders()


# ---- rows -------------------------------------------------------------------------------------------------------------------------------------------


def _calls(name: str, title: str, group: str, floor: str, value: Callable[[Any], Any], **extra: Any) -> Case:
    """A call of the component's function `name` with one argument, which `value` makes of a module with Record and Variant."""

    def given(api: Any) -> Any:
        return value(api)

    api = contenders()["wasmrt"].component
    refused = extra.pop("peer_refuses", False)
    floor_value = extra.pop("floor_value", None)
    return Case(
        title,
        group,
        ours=lambda: Work("f(v)", {"f": ours().func(name), "v": typed(given(api))}),
        dropin=lambda: Work("f(s, v)", {"f": ours().func(name), "s": ours().store, "v": given(api)}),
        floor=lambda: Work("f(v)", {"f": getattr(build(), floor), "v": (floor_value or (lambda: given(api)))()}),
        peer=None
        if refused or not has_peer()
        else lambda: Work(
            "f(s, v)", {"f": peer().func(name), "s": peer().store, "v": given(contenders()["cranelift"].component)}
        ),
        **extra,
    )


def typed(value: Any) -> Any:
    """The same with records of the class that components return, whose fields are slots; the drop-in API gives bare `Record` objects."""
    from wasmrt.component import Record

    if isinstance(value, list):
        return [typed(item) for item in value]
    if type(value) is not Record:
        return value
    made = type(ours().func("record-echo")(_record(contenders()["wasmrt"].component, 0, 0)))()
    made.first, made.second = value.first, value.second
    return made


def _record(api: Any, first: Any, second: Any) -> Any:
    record = api.Record()
    record.first, record.second = first, second
    return record


def _floor_calls(count: int = LOOP) -> Work:
    return Work("f(g, n)", {"f": build().calls, "g": lambda value: value, "n": count}, count)


def _numpy_doubles(_api: Any) -> Any:
    import numpy

    return numpy.arange(1000.0)


def cases() -> list[Case]:
    """All rows, in the order of the table."""
    peers = has_peer()
    doubles = [float(i) for i in range(1000)]
    latin = "Grüße, Jürgen! Öl für Zöllner. " * 330
    return [
        Case(
            "component scalar call (s32, s32) -> s32",
            "calls",
            ours=lambda: Work("f(a, b)", {"f": ours().func("add"), "a": 2, "b": 3}),
            dropin=lambda: Work("f(s, a, b)", {"f": ours().func("add"), "s": ours().store, "a": 2, "b": 3}),
            floor=lambda: Work("f(a, b)", {"f": build().add, "a": 2, "b": 3}),
            peer=(lambda: Work("f(s, a, b)", {"f": peer().func("add"), "s": peer().store, "a": 2, "b": 3}))
            if peers
            else None,
            least=250,
        ),
        Case(
            "core scalar call (i32, i32) -> i32",
            "calls",
            ours=lambda: Work("f(a, b)", {"f": ours().core["add"], "a": 2, "b": 3}),
            dropin=lambda: Work("f(s, a, b)", {"f": ours().core["add"], "s": ours().store, "a": 2, "b": 3}),
            floor=lambda: Work("f(a, b)", {"f": build().add, "a": 2, "b": 3}),
            peer=(lambda: Work("f(s, a, b)", {"f": peer().core["add"], "s": peer().store, "a": 2, "b": 3}))
            if peers
            else None,
            least=400,
        ),
        Case(
            "core scalar call, GIL released",
            "calls",
            ours=lambda: Work("f(a, b)", {"f": ours().core["add"].with_options(gil="release"), "a": 2, "b": 3}),
            floor=lambda: Work("f(a, b)", {"f": build().add_released, "a": 2, "b": 3}),
            peer=(lambda: Work("f(s, a, b)", {"f": peer().core["add"], "s": peer().store, "a": 2, "b": 3}))
            if peers
            else None,
            least=150,
        ),
        _calls("text-in", "string of 11 B in", "data", "text_in", lambda _: "hello world", guest_calls=1, least=200),
        _calls(
            "text-echo", "string of 11 B echoed", "data", "text_echo", lambda _: "hello world", guest_calls=1, least=150
        ),
        _calls(
            "text-echo",
            "string of 10 KB echoed, ASCII",
            "data",
            "text_echo",
            lambda _: "x" * 10000,
            guest_calls=1,
            least=20,
        ),
        _calls(
            "text-echo",
            "string of 10 KB echoed, not ASCII",
            "data",
            "text_echo",
            lambda _: latin,
            guest_calls=1,
            least=5,
        ),
        _calls(
            "bytes-in",
            "list<u8> of 64 KiB from bytes",
            "data",
            "bytes_in",
            lambda _: bytes(65536),
            guest_calls=1,
            least=15000,
        ),
        _calls(
            "bytes-echo",
            "list<u8> of 64 KiB echoed",
            "data",
            "bytes_echo",
            lambda _: bytes(65536),
            guest_calls=1,
            least=15000,
        ),
        _calls(
            "doubles-in",
            "list<f64> of 1,000 from a list",
            "data",
            "doubles_in",
            lambda _: doubles,
            guest_calls=1,
            least=400,
        ),
        _calls(
            "doubles-in",
            "list<f64> of 1,000 from numpy",
            "data",
            "doubles_in",
            _numpy_doubles,
            guest_calls=1,
            least=4000,
            peer_refuses=True,
        ),
        _calls(
            "doubles-echo",
            "list<f64> of 1,000 echoed as a list",
            "data",
            "doubles_echo",
            lambda _: doubles,
            guest_calls=1,
            least=80,
        ),
        _calls(
            "record-echo",
            "record round trip",
            "data",
            "record_echo",
            lambda api: _record(api, 1, 2000),
            least=130,
            floor_value=lambda: build().Pair(1, 2000),
        ),
        _calls("tuple-echo", "tuple round trip", "data", "tuple_echo", lambda _: (1, 2000), least=130),
        _calls(
            "variant-echo",
            "variant round trip",
            "data",
            "variant_echo",
            lambda api: api.Variant("b", 2000),
            least=130,
            floor_value=lambda: build().Pair("b", 2000),
        ),
        _calls("option-echo", "option round trip", "data", "option_echo", lambda _: 2000, least=130),
        _calls("result-echo", "result round trip", "data", "result_echo", lambda _: 2.5, least=130),
        _calls("enum-echo", "enum round trip", "data", "enum_echo", lambda _: "c", least=130),
        _calls("flags-echo", "flags round trip", "data", "flags_echo", lambda _: {"a", "c"}, least=130),
        _calls(
            "points-in",
            "list<record{f64, f64}> of 100 in",
            "data",
            "points_in",
            lambda api: [_record(api, i + 0.5, i + 0.25) for i in range(100)],
            guest_calls=1,
            least=200,
            floor_value=lambda: [build().Pair(i + 0.5, i + 0.25) for i in range(100)],
        ),
        Case(
            "host function in Python, from a core module",
            "host",
            ours=lambda: Work("f(n)", {"f": ours().core["calls"], "n": LOOP}, LOOP),
            floor=_floor_calls,
            peer=(lambda: Work("f(s, n)", {"f": peer().core["calls"], "s": peer().store, "n": LOOP}, LOOP))
            if peers
            else None,
            least=110,
        ),
        Case(
            "host function in Python, from a component",
            "host",
            ours=lambda: Work("f(n)", {"f": ours().func("calls"), "n": LOOP}, LOOP),
            floor=_floor_calls,
            peer=(lambda: Work("f(s, n)", {"f": peer().func("calls"), "s": peer().store, "n": LOOP}, LOOP))
            if peers
            else None,
            least=110,
        ),
        Case(
            "native host function, from a core module",
            "host",
            ours=lambda: Work("f(n)", {"f": ours_native().core["calls"], "n": 1000 * LOOP}, 1000 * LOOP),
            floor=lambda: Work(
                "f(p, n)", {"f": build().native_calls, "p": build().next_address, "n": 1000 * LOOP}, 1000 * LOOP
            ),
            note="under 5 ns over the floor",
        ),
        Case(
            "native host function, from a component",
            "host",
            ours=lambda: Work("f(n)", {"f": ours_native().func("calls"), "n": 1000 * LOOP}, 1000 * LOOP),
            floor=lambda: Work(
                "f(p, n)", {"f": build().native_calls, "p": build().next_address, "n": 1000 * LOOP}, 1000 * LOOP
            ),
            note="under 5 ns over the floor",
        ),
        Case(
            "resource new + drop",
            "resources",
            ours=lambda: Work("f(7).drop()", {"f": ours().func("make")}),
            dropin=lambda: Work("f(s, 7).drop(s)", {"f": ours().func("make"), "s": ours().store}),
            floor=lambda: Work("f(7).drop()", {"f": build().handle}),
            peer=(lambda: Work("f(s, 7).drop(s)", {"f": peer().func("make"), "s": peer().store})) if peers else None,
            guest_calls=1,
            least=100,
        ),
        Case(
            "borrow passed",
            "resources",
            ours=lambda: Work("f(h)", {"f": ours().func("rep"), "h": ours().func("make")(7)}),
            dropin=lambda: Work("f(s, h)", {"f": ours().func("rep"), "s": ours().store, "h": ours().func("make")(7)}),
            floor=lambda: Work("f(h)", {"f": build().rep, "h": build().Pair(7, None)}),
            peer=(
                lambda: Work(
                    "f(s, h)", {"f": peer().func("rep"), "s": peer().store, "h": peer().func("make")(peer().store, 7)}
                )
            )
            if peers
            else None,
            least=100,
        ),
        Case(
            "get_func by name",
            "instance",
            ours=lambda: Work("i.get_func(k)", {"i": ours().instance, "k": "add"}),
            dropin=lambda: Work("i.get_func(s, k)", {"i": ours().instance, "s": ours().store, "k": "add"}),
            floor=lambda: Work("f(d, k)", {"f": build().lookup, "d": {"add": None}, "k": "add"}),
            peer=(lambda: Work("i.get_func(s, k)", {"i": peer().instance, "s": peer().store, "k": "add"}))
            if peers
            else None,
            least=20,
            note="the floor is a look-up in a dict",
        ),
        Case(
            "new Store",
            "instance",
            ours=lambda: Work("f(e)", {"f": ours().contender.package.Store, "e": ours().contender.engine()}),
            floor=lambda: Work("f(e, e)", {"f": build().Pair, "e": None}),
            peer=(lambda: Work("f(e)", {"f": peer().contender.package.Store, "e": peer().contender.engine()}))
            if peers
            else None,
            least=10,
            note="the floor is an object of two members",
        ),
        Case(
            "scalar call component to component",
            "between",
            ours=lambda: Work("f(n)", {"f": ours().func("adds"), "n": 1000 * LOOP}, 1000 * LOOP),
            floor=lambda: Work("f(n)", {"f": ours().core["adds"], "n": 1000 * LOOP}, 1000 * LOOP),
            peer=(lambda: Work("f(s, n)", {"f": peer().func("adds"), "s": peer().store, "n": 1000 * LOOP}, 1000 * LOOP))
            if peers
            else None,
            note="the floor is a call from core to core; under 30 ns over it",
        ),
    ]
