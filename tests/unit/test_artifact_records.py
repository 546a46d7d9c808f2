"""Component records of an artifact that decode, but whose numbers say what is not there: ArtifactError, never another error."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from wasmrt import Engine, Store, WasmError
from wasmrt.artifact import info
from wasmrt.component import Component, Linker
from wasmrt.errors import ArtifactError, LinkError
from wasmrt.runtime import component as component_module

TEXT = """(component
  (import "log" (func $log (param "text" string) (result u32)))
  (import "host" (instance $host (export "r" (type (sub resource))) (export "f" (func (param "n" u32)))))
  (core module $libc (memory (export "mem") 1) (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64)))
  (core instance $libc (instantiate $libc))
  (core func $log (canon lower (func $log) (memory $libc "mem") (realloc (func $libc "realloc"))))
  (type $r (resource (rep i32)))
  (core func $new (canon resource.new $r))
  (core func $drop (canon resource.drop $r))
  (core module $m (import "" "log" (func $log (param i32 i32) (result i32))) (import "" "new" (func (param i32) (result i32))) (import "" "drop" (func (param i32)))
    (func (export "run") (param i32 i32) (result i32) (call $log (local.get 0) (local.get 1))) (func (export "after") (param i32)))
  (core instance $i (instantiate $m (with "" (instance (export "log" (func $log)) (export "new" (func $new)) (export "drop" (func $drop))))))
  (func $run (param "text" string) (result u32) (canon lift (core func $i "run") (memory $libc "mem") (realloc (func $libc "realloc")) (post-return (func $i "after"))))
  (instance $out (export "run" (func $run)))
  (export "out" (instance $out))
  (export "run" (func $run))
  (export "r" (type $r)))"""


def numbers(tree: Any, path: tuple[int | str, ...] = ()) -> Iterator[tuple[int | str, ...]]:
    """Where the integers are."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, (list, dict)):
            yield from numbers(value, (*path, key))
        elif isinstance(value, int) and not isinstance(value, bool):
            yield (*path, key)


def use(engine: Engine, image: bytes) -> None:
    component = Component.deserialize(engine, image)
    str(component.type), component.static_modules, component.resources_required, repr(component)
    linker = Linker(engine)
    linker.root().add_func("log", lambda store, text: len(text))
    with linker.root().add_instance("host") as host:
        host.add_func("f", lambda store, n: None)
    linker.define_unknown_imports_as_traps(component)
    instance = linker.instantiate(Store(engine), component)
    run = instance.get_func("run")
    if run is not None:
        assert run("abc") == 3


@pytest.mark.parametrize("bad", [-1, 0x7FFFFFFF, 1 << 40, 3, 7])
def test_wrong_numbers(bad: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(component_module, "_MAX_RECENT", 0)  # the same bytes are decoded again
    engine = Engine()
    image = Component(engine, TEXT).serialize()
    decode = info.decode
    sound: list[bytes] = []

    def keep(data: bytes, kind: Any) -> Any:
        sound.append(data)
        return decode(data, kind)

    monkeypatch.setattr(info, "decode", keep)
    use(engine, image)
    tree = msgspec.msgpack.decode(sound[0])
    refused = 0
    for path in numbers(tree[:2]):
        forged = copy.deepcopy(tree)
        part = forged
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = bad
        data = msgspec.msgpack.encode(forged)
        monkeypatch.setattr(info, "decode", lambda _, kind, data=data: decode(data, kind))
        try:
            use(engine, image)
        except ArtifactError:
            refused += 1
        except WasmError:
            pass  # another sound component: its types do not fit, or it traps
    assert refused > 30


def test_records_that_were_read_before_are_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as they are among the last few; contents that differ in a name are others."""
    engine = Engine()
    text = '(component (core module $m (func (export "{}") (result i32) (i32.const {}))) (core instance $i (instantiate $m)) (func (export "f") (result u32) (canon lift (core func $i "{}"))))'
    images = [Component(engine, text.format(name, number, name)).serialize() for name, number in (("one", 1), ("two", 2))]
    module_info = Component(engine, '(component (core module $m) (core module $n) (core instance (instantiate $m)))').serialize()
    decode = info.decode
    calls: list[int] = []

    def counted(data: bytes, kind: Any) -> Any:
        calls.append(len(data))
        return decode(data, kind)

    monkeypatch.setattr(info, "decode", counted)
    component_module._recent.clear()
    for _ in range(3):
        for image, number in zip(images, (1, 2), strict=True):
            component = Component.deserialize(engine, image)
            store = Store(engine)
            assert Linker(engine).instantiate(store, component).get_func("f")(store) == number
    assert len(calls) == 2
    Linker(engine).instantiate(Store(engine), Component.deserialize(engine, module_info))
    assert len(calls) == 3
    for number in range(40):
        Linker(engine).instantiate(Store(engine), Component(engine, text.format(f"n{number}", number, f"n{number}")))
    assert len(component_module._recent) <= component_module._MAX_RECENT


def test_functions_are_checked_again_when_what_serves_them_changes() -> None:
    """A linker remembers what fitted which type; another function under the name, or another resource in the type, is looked at again."""
    engine = Engine()
    text = '(component (import "host" (instance (export "r" (type (sub resource))) (export "f" (func (param "n" {}) (result u32))))))'
    components = [Component(engine, text.format(ty)) for ty in ("u32", "string")]

    class R: ...

    class Host:
        def f(self, n: int) -> int:
            return n

    host = Host()
    host.R = R  # type: ignore[attr-defined]
    linker = Linker(engine)
    linker.instance("host").define(host)
    for _ in range(2):
        linker.instantiate_pre(components[0])
        with pytest.raises(LinkError, match="parameter `n` is string"):
            linker.instantiate_pre(components[1])
    host.f = lambda: 1  # type: ignore[method-assign]
    with pytest.raises(LinkError, match="does not take 1 arguments"):
        linker.instantiate_pre(components[0])
    del host.f
    linker.instantiate_pre(components[0])


def test_a_functions_plan_is_made_when_it_is_first_called() -> None:
    engine = Engine()
    component = Component(engine, TEXT)
    linker = Linker(engine)
    linker.root().add_func("log", lambda store, text: len(text))
    linker.define_unknown_imports_as_traps(component)
    pre = linker.instantiate_pre(component)
    plans = component._shared.contents.plans
    assert plans == {}
    for length in (3, 5):
        store = Store(engine)
        assert pre.instantiate(store).get_func("run")("x" * length) == length
    assert len(plans) == 1  # of `log` and `run`; the other import was never called
