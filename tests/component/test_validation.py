"""Rules of component validation that the conformance scripts leave out, what a Config switches, and what is valid but cannot be run."""

from __future__ import annotations

import pytest

import wasmrt
from wasmrt.component import Component, Linker
from wasmrt.spec.features import SWITCHES
from wasmrt.spec.names import NameError_, parse_import_name, parse_name

HASH = "sha256-YWFh"

# Names that imports may have besides, as wasmtime 50 takes and refuses them.
DEPENDENCY_NAMES = [
    *f"""
url=<> url=<https://a.b/c> url=<a>,integrity=<{HASH}>
integrity=<{HASH}> integrity=<{HASH}=> integrity=<sha256-YWFhYQ==> integrity=<sha384-YWFh> integrity=<sha512-YWFh?x> integrity=<sha256-a?b=c>
locked-dep=<a:b> locked-dep=<a:b@1.2.3> locked-dep=<a:b@1.2.3>,integrity=<{HASH}> locked-dep=<a:b/c> locked-dep=<a:b@1.2.3-rc.1+x>
unlocked-dep=<a:b> unlocked-dep=<a:b@*> unlocked-dep=<a:b@{{>=1.2.3}}> unlocked-dep=<a:b@{{<1.2.3}}>
""".split(),
    "integrity=<sha512-YWFh sha256-YWFh>",
    "unlocked-dep=<a:b@{>=1.2.3 <2.0.0}>",
]
NO_NAMES = {
    f"url=<a>,integrity=<{HASH}>x": "expected `,integrity=<...>`",
    "url=<a": "failed to find `>`",
    "url=<a<b>": "cannot contain `<`",
    "url=<a>>": "expected `,integrity=<...>`",
    "integrity=<>": "cannot be empty",
    "integrity=< >": "cannot be empty",
    "integrity=<sha256-YWFhYQ===>": "is not a sha256",
    "integrity=<sha1-YWFh>": "is not a sha256",
    "integrity=<sha512-YW_h>": "is not a sha256",
    "integrity=<sha512->": "is not a sha256",
    f"integrity=<{HASH}>x": "trailing characters",
    "locked-dep=<a:b@1.2>": "unexpected end of input",
    "locked-dep=<a:b@*>": "unexpected character",
    "locked-dep=<a>": "is not a package name",
    "locked-dep=<>": "is not a package name",
    "locked-dep=<a:b>,": "expected `,integrity=<...>`",
    "locked-dep=<A:b>": "is not a package name",
    "locked-dep=<a:b/1>": "is not in kebab case",
    "unlocked-dep=<a:b@{>=1.2.3  <2.0.0}>": "expected `<`",
    "unlocked-dep=<a:b@{<2.0.0 >=1.2.3}>": "expected `>=`",
    "unlocked-dep=<a:b@{}>": "expected `<`",
    "unlocked-dep=<a:b@{>=1.2}>": "unexpected end of input",
    "unlocked-dep=<a:b@1.2.3>": "in braces",
    f"unlocked-dep=<a:b>,integrity=<{HASH}>": "trailing characters",
    "unlocked-dep=<>": "is not a package name",
    "relative-url=<x>": "is not in kebab case",
    "dep=<a:b>": "is not in kebab case",
}


@pytest.fixture(scope="module")
def engine() -> wasmrt.Engine:
    return wasmrt.Engine()


@pytest.mark.parametrize("name", DEPENDENCY_NAMES)
def test_dependency_names(engine: wasmrt.Engine, name: str) -> None:
    assert parse_import_name(name).kind == "dependency"
    text = f'(component (import "{name}" (func $f (result u32))) (export "f" (func $f)))'
    linker = Linker(engine)
    linker.root().define({name: lambda: 7})
    component = Component(engine, text)
    assert linker.instantiate(wasmrt.Store(engine), component).exports.f() == 7
    assert list(component.type.imports()) == [name] and name in component.wit()
    with pytest.raises(wasmrt.LinkError):
        Linker(engine).instantiate_pre(component)
    for refused in (f'(component (import "a" (func $f)) (export "{name}" (func $f)))', f'(component (import "i" (instance (export "{name}" (func)))))'):
        with pytest.raises(wasmrt.ValidationError, match="is not a valid extern name"):
            Component(engine, refused)
    with pytest.raises(wasmrt.ValidationError, match="conflicts with previous name"):
        Component(engine, f'(component (import "{name}" (func)) (import "{name}" (func)))')
    off = wasmrt.Engine(wasmrt.Config(wasm_component_model_dependency_names=False))
    with pytest.raises(wasmrt.ValidationError, match="Config.wasm_component_model_dependency_names"):
        Component(off, text)
    with pytest.raises(NameError_):
        parse_name(name)


@pytest.mark.parametrize("name", NO_NAMES)
def test_names_that_are_none(engine: wasmrt.Engine, name: str) -> None:
    with pytest.raises(wasmrt.ValidationError) as caught:
        Component(engine, f'(component (import "{name}" (func)))')
    assert NO_NAMES[name] in str(caught.value)


# ---- switches ---------------------------------------------------------------------------------------------------------------------------------------

IMPORTED_STRING = '(import "f" (func $f (param "x" string)))'
MEMORY_64 = '(core module $m (memory (export "m") i64 1)) (core instance $i (instantiate $m))'
SWITCHED = {
    "async_": '(component (import "f" (func async (param "x" u32))))',
    "error_context": '(component (import "f" (func (param "x" error-context))))',
    "threading": "(component (core func (canon thread.index)))",
    "fixed_length_lists": "(component (type (list u8 4)))",
    "map": "(component (type (map string u8)))",
    "implements": '(component (import "a" (implements "a:b/c") (instance)))',
    "memory64": f'(component {IMPORTED_STRING} {MEMORY_64} (core func (canon lower (func $f) (memory (core memory $i "m")))))',
    "dependency_names": '(component (import "url=<a>" (func)))',
}


@pytest.mark.parametrize("field", SWITCHES)
def test_switches(field: str) -> None:
    name, default, meaning = SWITCHES[field]
    for on in (True, False):
        engine = wasmrt.Engine(wasmrt.Config(**{name: on, "wasm_memory64": True}))
        if on:
            Component(engine, SWITCHED[field])
        else:
            with pytest.raises(wasmrt.ValidationError, match=f"is not enabled in this engine's config: Config.{name}"):
                Component(engine, SWITCHED[field])
    assert getattr(wasmrt.Config(), name) is default and meaning
    with pytest.raises(TypeError):
        wasmrt.Config(**{name: 1})


def test_external_ids_have_the_switch_of_implements() -> None:
    text = '(component (import "a" (external-id "x") (func)))'
    with pytest.raises(wasmrt.ValidationError, match="`external-id` is not enabled .* Config.wasm_component_model_implements"):
        Component(wasmrt.Engine(), text)
    Component(wasmrt.Engine(wasmrt.Config(wasm_component_model_implements=True)), text)


def test_defaults_are_the_peers() -> None:
    wasmtime = pytest.importorskip("wasmtime")
    component = pytest.importorskip("wasmtime.component")
    engine = wasmtime.Engine()
    for field, (name, default, _) in SWITCHES.items():
        try:
            component.Component(engine, SWITCHED[field])
        except wasmtime.WasmtimeError:
            assert not default, name
        else:
            assert default, name


# ---- what cannot be run yet ---------------------------------------------------------------------------------------------------------------------------

CORE = """(core module $m (func (export "f")) (func (export "g") (result i32) (i32.const 0)) (func (export "cb") (param i32 i32 i32) (result i32) (i32.const 0))
  (func (export "h") (param i32)) (memory (export "m") 1)) (core instance $i (instantiate $m))"""
UNSUPPORTED = {
    "64-bit representation": ("(type (resource (rep i64)))", "a resource represented by `i64` (Config.wasm_component_model_memory64 admits it)"),
    "64-bit memory": (
        f'{MEMORY_64} (core module $n (func (export "f") (param i64 i64)) (func (export "r") (param i64 i64 i64 i64) (result i64) unreachable)) '
        '(core instance $j (instantiate $n)) (func (export "f") (param "x" string) '
        '(canon lift (core func $j "f") (memory (core memory $i "m")) (realloc (core func $j "r"))))',
        "lifting with a 64-bit memory (Config.wasm_component_model_memory64 admits it)",
    ),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_unsupported(case: str) -> None:
    """Refused when it is compiled, with the place and the switch; never half done."""
    text, message = UNSUPPORTED[case]
    config = wasmrt.Config(wasm_component_model_memory64=True, wasm_memory64=True)
    with pytest.raises(wasmrt.UnsupportedError) as caught:
        Component(wasmrt.Engine(config), f"(component {text})")
    assert message in str(caught.value)


def test_async_types_that_nothing_calls_are_only_types(engine: wasmrt.Engine) -> None:
    component = Component(engine, '(component (type $f (func async (param "x" (stream u8)))) (import "i" (instance (export "f" (func (type $f))))))')
    exports = component.type.imports()["i"].exports()  # type: ignore[union-attr]
    assert str(exports["f"]) == "async func(x: stream<u8>)"
    with pytest.raises(wasmrt.ValidationError, match="Config.wasm_component_model_async"):
        Component(wasmrt.Engine(wasmrt.Config(wasm_component_model_async=False)), "(component (type (func async)))")
