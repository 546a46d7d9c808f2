"""Resources: of guests, of hosts by number and by Python class; handles, loans, destructors, and each trap the canonical ABI names."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import wasmrt
from wasmrt import errors
from wasmrt.component import ResourceAny, ResourceHost, ResourceType

Make = Callable[..., Any]

# A guest that defines a resource whose rep is the number it was made of; destructors are counted and remembered.
GUEST = """
(component
  (import "on-drop" (func $on-drop (param "rep" u32)))
  (core func $on-drop' (canon lower (func $on-drop)))
  (core module $D
    (import "" "on-drop" (func $on-drop (param i32)))
    (global $dropped (mut i32) (i32.const 0))
    (global $last (mut i32) (i32.const 0))
    (func (export "dtor") (param i32)
      (global.set $dropped (i32.add (global.get $dropped) (i32.const 1)))
      (global.set $last (local.get 0))
      (if (i32.eq (local.get 0) (i32.const 666)) (then unreachable))
      (call $on-drop (local.get 0)))
    (func (export "dropped") (result i32) (global.get $dropped))
    (func (export "last") (result i32) (global.get $last)))
  (core instance $d (instantiate $D (with "" (instance (export "on-drop" (func $on-drop'))))))
  (type $r0 (resource (rep i32) (dtor (core func $d "dtor"))))
  (type $s0 (resource (rep i32)))
  (export $r "r" (type $r0))
  (export $s "s" (type $s0))
  (core func $new (canon resource.new $r0))
  (core func $rep (canon resource.rep $r0))
  (core func $drop (canon resource.drop $r0))
  (core func $new-s (canon resource.new $s0))
  (core module $M
    (import "" "new" (func $new (param i32) (result i32)))
    (import "" "rep" (func $rep (param i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (import "" "new-s" (func $new-s (param i32) (result i32)))
    (func (export "make") (param i32) (result i32) (call $new (local.get 0)))
    (func (export "make-s") (param i32) (result i32) (call $new-s (local.get 0)))
    (func (export "id") (param i32) (result i32) (local.get 0))
    (func (export "rep-of-own") (param i32) (result i32) (call $rep (local.get 0)))
    (func (export "consume") (param i32) (call $drop (local.get 0)))
    (func (export "two") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "drop-twice") (param i32) (call $drop (local.get 0)) (call $drop (local.get 0))))
  (core instance $m (instantiate $M (with "" (instance
    (export "new" (func $new)) (export "rep" (func $rep)) (export "drop" (func $drop)) (export "new-s" (func $new-s))))))
  (func (export "make") (param "n" u32) (result (own $r)) (canon lift (core func $m "make")))
  (func (export "make-s") (param "n" u32) (result (own $s)) (canon lift (core func $m "make-s")))
  (func (export "peek") (param "r" (borrow $r)) (result u32) (canon lift (core func $m "id")))
  (func (export "two") (param "a" (borrow $r)) (param "b" (borrow $r)) (result u32) (canon lift (core func $m "two")))
  (func (export "handle-of") (param "r" (own $r)) (result u32) (canon lift (core func $m "id")))
  (func (export "both") (param "a" (own $r)) (param "b" (borrow $r)) (canon lift (core func $m "two-none")))
  (func (export "rep-of-own") (param "r" (own $r)) (result u32) (canon lift (core func $m "rep-of-own")))
  (func (export "back") (param "r" (own $r)) (result (own $r)) (canon lift (core func $m "id")))
  (func (export "consume") (param "r" (own $r)) (canon lift (core func $m "consume")))
  (func (export "drop-twice") (param "r" (own $r)) (canon lift (core func $m "drop-twice")))
  (func (export "forge") (param "i" u32) (result (own $r)) (canon lift (core func $m "id")))
  (func (export "rep") (param "i" u32) (result u32) (canon lift (core func $m "rep-of-own")))
  (func (export "drop") (param "i" u32) (canon lift (core func $m "consume")))
  (func (export "dropped") (result u32) (canon lift (core func $d "dropped")))
  (func (export "last") (result u32) (canon lift (core func $d "last"))))
""".replace('''(func (export "drop-twice") (param i32)''', '''(func (export "two-none") (param i32 i32))
    (func (export "drop-twice") (param i32)''', 1)


@pytest.fixture
def guest(instantiate: Make) -> Any:
    return instantiate(GUEST, on_drop=lambda rep: None)


def test_owned_handles_go_back_and_forth(guest: Any) -> None:
    e = guest.exports
    r = e.make(7)
    assert isinstance(r, ResourceAny) and r.owned and r.type == guest.get_resource("r") != guest.get_resource("s")
    assert e.peek(r) == 7 == e.peek(r) and e.two(r, r) == 14
    s = e.back(r)
    assert s is not r and e.peek(s) == 7
    for use in (lambda: e.peek(r), lambda: e.back(r), r.drop, lambda: e.consume(r)):
        with pytest.raises(errors.WasmError, match="unknown handle index"):
            use()
    assert e.dropped() == 0
    e.consume(s)
    assert (e.dropped(), e.last()) == (1, 7)
    assert "owned" in repr(e.make(1)) and "unusable" in repr(s)
    with pytest.raises(errors.WasmError, match="Cannot directly construct"):
        ResourceAny()


def test_handles_count_from_one_and_are_reused(guest: Any) -> None:
    e = guest.exports
    a, b, c = e.make(1), e.make(2), e.make(3)
    assert [e["handle-of"](x) for x in (a, b, c)] == [1, 2, 3]
    e.drop(2)
    e.drop(1)
    assert [e["handle-of"](e.make(n)) for n in (4, 5, 6)] == [1, 2, 4]
    assert e.rep(3) == 3 and e.rep(1) == 4


def test_drop_runs_the_destructor(guest: Any) -> None:
    e = guest.exports
    r = e.make(5)
    r.drop()
    assert (e.dropped(), e.last()) == (1, 5)
    with pytest.raises(errors.WasmError, match="unknown handle index"):
        r.drop(guest.store)
    with e.make(6) as inner:
        assert e.peek(inner) == 6
    assert (e.dropped(), e.last()) == (2, 6)
    with e.make(8) as given:
        e.consume(given)
    assert e.dropped() == 3
    e["make-s"](1).drop()


def test_what_nobody_holds_is_dropped_at_the_next_entry(guest: Any) -> None:
    e = guest.exports
    r = e.make(9)
    cycle: list[Any] = [r]
    cycle.append(cycle)
    del r, cycle
    gc.collect()
    assert (e.dropped(), e.last()) == (1, 9)
    e.make(1)
    e.make(2)
    assert e.dropped() == 3


def test_a_failing_destructor_of_a_collected_handle_is_reported(guest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda info: seen.append(info.exc_value))
    guest.exports.make(666)
    with pytest.raises(wasmrt.Trap, match="cannot enter component instance"):
        guest.exports.dropped()
    assert len(seen) == 1 and isinstance(seen[0], wasmrt.Trap)


def test_a_trap_in_a_destructor(guest: Any) -> None:
    r = guest.exports.make(666)
    with pytest.raises(wasmrt.Trap, match="unreachable"):
        r.drop()
    with pytest.raises(wasmrt.Trap, match="cannot enter component instance"):
        guest.exports.dropped()


def test_host_exceptions_in_a_destructor(instantiate: Make) -> None:
    def on_drop(rep: int) -> None:
        raise ZeroDivisionError(rep)

    guest = instantiate(GUEST, on_drop=on_drop)
    with pytest.raises(ZeroDivisionError, match="3"):
        guest.exports.consume(guest.exports.make(3))
    with pytest.raises(wasmrt.Trap, match="cannot enter component instance"):
        guest.exports.dropped()


def test_a_destructor_may_not_enter_its_instance(instantiate: Make) -> None:
    seen: list[str] = []

    def on_drop(rep: int) -> None:
        with pytest.raises(wasmrt.Trap, match="cannot enter component instance"):
            guest.exports.dropped()
        seen.append("yes")

    guest = instantiate(GUEST, on_drop=on_drop)
    guest.exports.make(1).drop()
    guest.exports.consume(guest.exports.make(1))
    assert seen == ["yes", "yes"]


@pytest.mark.parametrize("index", [0, 1, 0xFFFFFFFF])
@pytest.mark.parametrize("name", ["forge", "rep", "drop"])
def test_unknown_handles_trap(guest: Any, name: str, index: int) -> None:
    with pytest.raises(wasmrt.Trap, match=f"unknown handle index {index}$") as info:
        guest.exports[name](index)
    assert info.value.trap_code == wasmrt.TrapCode.HANDLE


def test_handles_of_the_wrong_type_trap(guest: Any) -> None:
    e = guest.exports
    s = e["make-s"](3)
    with pytest.raises(TypeError, match="argument 'r': expected a handle of resource"):
        e.peek(s)
    for bad in (None, 7, "x", ResourceHost.own(1, 2)):
        with pytest.raises(TypeError, match="argument 'r'"):
            e.peek(bad)
    with pytest.raises(wasmrt.Trap, match="unknown handle index 1"):
        e.drop(1)


def test_dropping_twice_in_the_guest_traps(guest: Any) -> None:
    with pytest.raises(wasmrt.Trap, match="unknown handle index 1"):
        guest.exports["drop-twice"](guest.exports.make(3))


def test_giving_away_what_is_lent_in_the_same_call(guest: Any) -> None:
    e = guest.exports
    r = e.make(3)
    with pytest.raises(errors.WasmError, match=r"argument 'b': cannot borrow"):
        e.both(r, r)
    assert e.peek(r) == 3
    with pytest.raises(TypeError, match="argument 'b'"):
        e.both(r, 3)
    assert e.peek(r) == 3
    e.both(r, e.make(4))


def test_resource_types_are_fresh_for_each_instance(instantiate: Make) -> None:
    one = instantiate(GUEST, on_drop=lambda rep: None)
    two = instantiate(GUEST, store=one.store, on_drop=lambda rep: None)
    assert one.get_resource("r") != two.get_resource("r")
    with pytest.raises(TypeError, match="expected a handle of resource"):
        two.exports.peek(one.exports.make(1))
    third = instantiate(GUEST, on_drop=lambda rep: None)
    with pytest.raises(errors.WasmError):
        third.exports.peek(one.exports.make(1))


def test_handles_are_not_copied(guest: Any) -> None:
    r = guest.exports.make(1)
    with pytest.raises(TypeError):
        copy.copy(r)
    assert copy.copy(ResourceHost.own(1, 2)).rep == 1 and copy.copy(ResourceType.host(3)) == ResourceType.host(3)
    for cls in (ResourceAny, ResourceHost, ResourceType, type(guest.exports.make)):
        with pytest.raises(errors.WasmError, match="Cannot directly construct"):
            cls()
        with pytest.raises(errors.WasmError, match="Cannot directly construct"):
            cls.__new__(cls)


# A guest that uses a resource of the host's.
USER = """
(component
  (import "thing" (type $t (sub resource)))
  (import "make" (func $make (param "n" u32) (result (own $t))))
  (import "look" (func $look (param "t" (borrow $t)) (result u32)))
  (import "take" (func $take (param "t" (own $t))))
  (core func $make' (canon lower (func $make)))
  (core func $look' (canon lower (func $look)))
  (core func $take' (canon lower (func $take)))
  (core func $drop' (canon resource.drop $t))
  (core module $M
    (import "" "make" (func $make (param i32) (result i32)))
    (import "" "look" (func $look (param i32) (result i32)))
    (import "" "take" (func $take (param i32)))
    (import "" "drop" (func $drop (param i32)))
    (global $kept (mut i32) (i32.const 0))
    (func (export "use") (param i32) (result i32) (local $h i32) (local $n i32)
      (local.set $h (call $make (local.get 0)))
      (local.set $n (i32.add (call $look (local.get $h)) (call $look (local.get $h))))
      (call $drop (local.get $h))
      (local.get $n))
    (func (export "pass") (param i32) (call $take (call $make (local.get 0))))
    (func (export "look") (param i32) (result i32) (local $n i32)
      (local.set $n (call $look (local.get 0)))
      (call $drop (local.get 0))
      (local.get $n))
    (func (export "keep-borrow") (param i32) (global.set $kept (local.get 0)))
    (func (export "take-borrow") (param i32) (call $take (local.get 0)))
    (func (export "take") (param i32) (call $take (local.get 0)))
    (func (export "keep") (param i32) (result i32) (local.get 0))
    (func (export "drop") (param i32) (call $drop (local.get 0)))
    (func (export "look-at") (param i32) (result i32) (call $look (local.get 0))))
  (core instance $m (instantiate $M (with "" (instance
    (export "make" (func $make')) (export "look" (func $look')) (export "take" (func $take')) (export "drop" (func $drop'))))))
  (export $t2 "thing" (type $t))
  (func (export "use") (param "n" u32) (result u32) (canon lift (core func $m "use")))
  (func (export "pass") (param "n" u32) (canon lift (core func $m "pass")))
  (func (export "look") (param "t" (borrow $t)) (result u32) (canon lift (core func $m "look")))
  (func (export "keep-borrow") (param "t" (borrow $t)) (canon lift (core func $m "keep-borrow")))
  (func (export "take-borrow") (param "t" (borrow $t)) (canon lift (core func $m "take-borrow")))
  (func (export "take") (param "t" (own $t)) (canon lift (core func $m "take")))
  (func (export "keep") (param "t" (own $t)) (result u32) (canon lift (core func $m "keep")))
  (func (export "drop") (param "i" u32) (canon lift (core func $m "drop")))
  (func (export "look-at") (param "i" u32) (result u32) (canon lift (core func $m "look-at"))))
"""


class Thing:
    def __init__(self, number: int) -> None:
        self.number = number
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Host:
    """A host whose resource is a Python class."""

    def __init__(self, instantiate: Make, dtor: Any = None) -> None:
        self.made: list[Thing] = []
        self.taken: list[Any] = []
        self.instance = instantiate(
            USER, resources={"thing": (Thing, dtor)}, make=self.make, look=self.look, take=self.take
        )
        self.exports = self.instance.exports

    def make(self, number: int) -> Thing:
        self.made.append(Thing(number))
        return self.made[-1]

    def look(self, thing: Thing) -> int:
        assert isinstance(thing, Thing)
        return thing.number

    def take(self, thing: Thing) -> None:
        self.taken.append(thing)


def test_python_objects_are_host_resources(instantiate: Make) -> None:
    host = Host(instantiate)
    assert host.exports.use(21) == 42
    assert host.made[0].closed == 1
    host.exports["pass"](5)
    assert host.taken == [host.made[1]] and host.made[1].closed == 0
    thing = Thing(8)
    assert host.exports.look(thing) == 8 == host.exports.look(thing) and thing.closed == 0
    host.exports.take(thing)
    assert host.taken[-1] is thing
    handle = host.exports.keep(thing)
    assert handle == 1 and host.exports["look-at"](handle) == 8
    host.exports.drop(handle)
    assert thing.closed == 1
    assert host.instance.get_resource("thing") == ResourceType.host(Thing)
    with pytest.raises(TypeError, match="argument 't': expected Thing, got str"):
        host.exports.look("x")


def test_destructors_of_host_resources(instantiate: Make) -> None:
    dropped: list[Any] = []
    host = Host(instantiate, lambda store, thing: dropped.append((store, thing)))
    host.exports.use(1)
    assert dropped == [(host.instance.store, host.made[0])] and host.made[0].closed == 0

    def fails(store: Any, thing: Thing) -> None:
        raise KeyError("dtor")

    host = Host(instantiate, fails)
    with pytest.raises(KeyError, match="dtor"):
        host.exports.use(1)
    with pytest.raises(wasmrt.Trap, match="cannot enter component instance"):
        host.exports.use(1)


def test_borrows_must_be_dropped_before_the_call_returns(instantiate: Make) -> None:
    host = Host(instantiate)
    with pytest.raises(wasmrt.Trap, match="borrow handles still remain at the end of the call"):
        host.exports["keep-borrow"](Thing(1))
    host = Host(instantiate)
    with pytest.raises(wasmrt.Trap, match="cannot lift own resource from a borrow"):
        host.exports["take-borrow"](Thing(1))


def test_what_the_host_lends_is_the_same_object_until_the_call_ends(instantiate: Make) -> None:
    host = Host(instantiate)
    state = host.instance._state
    for _ in range(5):
        host.exports.look(Thing(2))
        host.exports.use(2)
    assert state.num_handles(0) == 0


def test_a_handle_lent_to_the_host_cannot_be_dropped_meanwhile(instantiate: Make, engine: Any) -> None:
    kept: list[Any] = []

    def look(thing: ResourceAny) -> int:
        assert not thing.owned and "borrowed" in repr(thing)
        kept.append(thing)
        with pytest.raises(TypeError, match="owned handle"):
            other.exports.take(thing)
        return other.exports.look(thing)

    ty = ResourceType.host(77)
    hooks: dict[str, Any] = {"make": lambda n: ResourceHost.own(n, 77), "take": lambda t: None}
    other = instantiate(USER, resources={"thing": (ty, None)}, look=lambda t: t.to_host().rep, **hooks)
    one = instantiate(USER, store=other.store, resources={"thing": (ty, None)}, look=look, **hooks)
    assert one.exports.use(4) == 8
    for use in (kept[0].drop, kept[0].to_host, lambda: other.exports.look(kept[0])):
        with pytest.raises(errors.WasmError, match="cannot be used after its call"):
            use()


def test_numbers_as_host_resources(instantiate: Make) -> None:
    dropped: list[int] = []
    taken: list[Any] = []
    instance = instantiate(
        USER,
        resources={"thing": (ResourceType.host(5), lambda store, rep: dropped.append(rep))},
        make=lambda n: ResourceHost.own(n + 100, 5),
        look=lambda t: t.to_host(None).rep,
        take=taken.append,
    )
    e = instance.exports
    assert e.use(1) == 202 and dropped == [101]
    e["pass"](2)
    assert isinstance(taken[0], ResourceAny) and taken[0].owned and taken[0].type == ResourceType.host(5)
    assert dropped == [101]
    taken[0].drop()
    assert dropped == [101, 102]
    assert e.look(ResourceHost.borrow(9, 5)) == 9 and e.look(ResourceHost.own(9, ResourceType.host(5))) == 9
    e.take(ResourceHost.own(11, 5))
    again = taken[1].to_host()
    assert (again.rep, again.owned, again.type) == (11, True, ResourceType.host(5))
    with pytest.raises(errors.WasmError, match="unknown handle index"):
        taken[1].to_host()
    with pytest.raises(TypeError, match="expected a handle of resource"):
        e.look(ResourceHost.borrow(9, 6))
    with pytest.raises(TypeError, match="owned handle"):
        e.take(ResourceHost.borrow(9, 5))
    e.take(ResourceHost.own(3, 5).to_any(instance.store))
    assert dropped == [101, 102] and repr(again) == "ResourceHost.own(11, 5)"
    del taken[2]
    e.use(0)
    assert dropped == [101, 102, 3, 100]


def test_to_host_is_for_host_resources(guest: Any) -> None:
    with pytest.raises(errors.WasmError, match="defined by a guest"):
        guest.exports.make(1).to_host()


def test_resource_types_of_hosts() -> None:
    assert ResourceType.host(1) == ResourceType.host(1) != ResourceType.host(2)
    assert ResourceType.host(Thing) == ResourceType.host(Thing) and len({ResourceType.host(Thing), ResourceType.host(Thing)}) == 1
    for bad in (True, "x", None):
        with pytest.raises(TypeError):
            ResourceType.host(bad)  # type: ignore[arg-type]
    for rep in (-1, 1 << 32):
        with pytest.raises(OverflowError):
            ResourceHost.own(rep, 1)
    with pytest.raises(errors.WasmError):
        ResourceType()


def test_many_resources(guest: Any) -> None:
    e = guest.exports
    held = [e.make(n) for n in range(500)]
    assert sum(e.peek(r) for r in held) == sum(range(500))
    for r in held:
        e.consume(r)
    assert e.dropped() == 500


MIXED = """
(component
  (core module $M
    (func (export "make") (param i32) (result i32) (local.get 0))
    (func (export "mix") (param i32 i32 i32) (result i32) (i32.add (local.get 0) (i32.add (local.get 1) (local.get 2)))))
  (core instance $m (instantiate $M))
  (type $r0 (resource (rep i32)))
  (export $r "r" (type $r0))
  (core func $new (canon resource.new $r0))
  (core module $N (import "" "new" (func $new (param i32) (result i32)))
    (func (export "make") (param i32) (result i32) (call $new (local.get 0))))
  (core instance $n (instantiate $N (with "" (instance (export "new" (func $new))))))
  (func (export "make") (param "n" u32) (result (own $r)) (canon lift (core func $n "make")))
  (func (export "mix") (param "a" (borrow $r)) (param "n" u8) (param "b" (borrow $r)) (result u32) (canon lift (core func $m "mix"))))
"""


def test_loans_of_a_call_that_was_refused_are_over() -> None:
    """Whatever argument is wrong, the handles before it can be given away and dropped."""
    engine = wasmrt.Engine()
    component = wasmrt.component.Component(engine, MIXED)
    guest, other = (wasmrt.component.Linker(engine).instantiate(wasmrt.Store(engine), component) for _ in range(2))
    make, mix = guest.get_func("make"), guest.get_func("mix")
    first, second, gone, foreign = make(10), make(20), make(30), other.get_func("make")(40)
    gone.drop()
    assert mix(first, 3, second) == 33 and mix(first, 3, first) == 23 and mix(a=first, n=1, b=second) == 31
    for args in [(first, 256, second), (first, "1", second), (first, 1, gone), (first, 1, foreign), (first, 1, 5), (gone, 1, first)]:
        with pytest.raises(errors.WasmError):
            mix(*args)
    with pytest.raises(errors.WasmError):
        mix(first, 1)
    assert mix(first, 3, second) == 33
    first.drop()
    second.drop()
    with pytest.raises(errors.WasmError, match="dropped"):
        mix(first, 1, first)


def test_handles_in_a_cycle_are_collected() -> None:
    engine = wasmrt.Engine()
    store = wasmrt.Store(engine, data=[])
    guest = wasmrt.component.Linker(engine).instantiate(store, wasmrt.component.Component(engine, MIXED))
    store.data().append(guest.get_func("make")(1))
    alive = weakref.ref(store)
    del guest, store
    gc.collect()
    assert alive() is None
