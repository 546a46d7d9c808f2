"""Worlds of components as WIT, beside what wasm-tools prints; and binaries that are made to be hard to print."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import wasmrt
from tools.fetch import CODECS
from wasmrt.cli.main import main
from wasmrt.component import Component
from wasmrt.wit import skeleton, wit

from .conftest import wasm_tools

PACKAGE = """
package my:pkg@1.2.0;
interface types {
  record point { x: u32, y: option<f64> }
  flags perms { read, write }
  type id = u64;
  type pts = list<point>;
  variant shape { circle(point), none }
  enum color { red, green }
  resource thing {
    constructor(a: u32);
    poke: func(other: borrow<thing>) -> result<own<thing>, string>;
    make: static func() -> thing;
  }
  resource empty;
  f: func(a: id, b: tuple<u8, char>) -> shape;
  g: func() -> result;
  h: func() -> result<u32>;
  k: func(x: list<u8, 4>, %interface: string) -> result<_, color>;
}
interface other {
  use types.{point, thing as thingy, id};
  type point2 = point;
  go: func(p: point, t: thingy, u: borrow<thingy>, i: id);
}
world everything {
  use types.{point, color as colour};
  type loc = point;
  record own-rec { a: point }
  import types;
  import log: func(s: string);
  import inl: interface { use types.{thing}; z: func(t: thing) -> s64; }
  export other;
  export run: func(a: own-rec, c: colour) -> loc;
  export out: interface { type q = u8; record rr { q: q } w: func(q: rr) -> q; resource r2 { constructor(); } mk: func() -> r2; }
  export types;
}
world resources { import x: interface { resource r { constructor() -> result<r>; } } export types; }
world uses-only { use types.{point}; export log: func(s: point); }
world imports-only { use types.{point}; import log: func(s: point); import s: func(); type n = u32; import a: interface {} }
interface api { record p { x: u32 } resource t { poke: func(p: p); } f: func(p: p) -> t; }
interface top { use api.{p, t}; go: func(p: p, x: borrow<t>) -> list<p>; }
world lib { export api; import log: func(); }
world app { import api; export top; }
world keywords { import %use: func(%as: u8, %list: u8, %error-context: u8, i8: u8, module: u8, %u8: u8, %world: u8); }
"""

TEXTS = {
    "an instance exported as a smaller type": """(component
      (component $C (import "f" (func $f)) (export "f" (func $f)) (export "g" (func $f)))
      (import "f" (func $f))
      (instance $i (instantiate $C (with "f" (func $f))))
      (type $t (instance (export "f" (func))))
      (export "f2" (instance $i) (instance (type $t))))""",
    "order of a world": """(component
      (import "a" (func $a (param "x" u32) (result string)))
      (import "b" (instance (export "t" (type (sub resource))) (type $u u32) (export "u" (type (eq $u))) (export "w" (func (param "q" u32)))))
      (import "zz:y/i" (instance))
      (import "c" (type $c (sub resource)))
      (type $o (own $c)) (type $bo (borrow $c))
      (import "[constructor]c" (func (param "xx" u8) (result $o)))
      (import "[method]c.mm" (func (param "self" $bo)))
      (type $r' (record (field "f" f32)))
      (import "r" (type $r (eq $r')))
      (import "d" (func (param "x" $r)))
      (import "late:y/i@0.1.0" (instance $late (type $u u32) (export "u" (type (eq $u)))))
      (alias export $late "u" (type $lu))
      (import "lu" (type (eq $lu)))
      (import "as" (func (result (stream u8))))
      (export "a2" (func $a)))""",
    "instance of a nested component": """(component
      (import "x-y:z/i@1.0.0" (instance (type $u u32) (export "u" (type (eq $u))) (type $l (list $u)) (export "u2" (type (eq $l)))
         (type $f (future $l)) (type $fu (func async (result $f))) (export "run" (func (type $fu))) (type $e (future)) (export "e" (type (eq $e)))))
      (import "a" (func))
      (component $c (import "a" (func $f)) (type $p (record (field "y" bool))) (export $p2 "p" (type $p)) (export "g" (func $f)))
      (import "f" (func $f))
      (instance $i (instantiate $c (with "a" (func $f))))
      (export "g:h/i" (instance $i)))""",
}


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], str]:
    tool = wasm_tools()
    if tool is None:
        pytest.skip("wasm-tools is not installed (the extra `test` brings it)")
    folder = tmp_path_factory.mktemp("wit")

    def print_wit(data: bytes) -> str:
        (folder / "x.wasm").write_bytes(data)
        return subprocess.run(
            [tool, "component", "wit", str(folder / "x.wasm")], check=True, capture_output=True, text=True, timeout=60
        ).stdout

    return print_wit


@pytest.fixture(scope="module")
def dummy(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """A component of a world of PACKAGE, whose functions trap."""
    tool = wasm_tools()
    if tool is None:
        pytest.skip("wasm-tools is not installed (the extra `test` brings it)")
    folder = tmp_path_factory.mktemp("dummy")

    def component(world: str) -> bytes:
        (folder / "p.wit").write_text(PACKAGE)
        for args in (["embed", "--dummy", "-w", world, "p.wit", "-o", "core.wasm"], ["new", "core.wasm", "-o", "out.wasm"]):
            done = subprocess.run([tool, "component", *args], cwd=folder, capture_output=True, timeout=60)
            assert done.returncode == 0, done.stderr.decode()
        return (folder / "out.wasm").read_bytes()

    return component


@pytest.mark.parametrize("world", ["everything", "resources", "uses-only", "imports-only", "keywords"])
def test_worlds(dummy: Callable[[str], bytes], oracle: Callable[[bytes], str], world: str) -> None:
    data = dummy(world)
    assert wit(data) == oracle(data)
    assert wit(skeleton(data)) == wit(data)


@pytest.mark.parametrize("name", TEXTS)
def test_texts(parse_text: Callable[[str], bytes], oracle: Callable[[bytes], str], name: str) -> None:
    data = parse_text(TEXTS[name])
    assert wit(data) == oracle(data)


@pytest.mark.network
@pytest.mark.parametrize("name", CODECS)
def test_codecs(codec: Callable[[str], Path], oracle: Callable[[bytes], str], name: str) -> None:
    data = codec(name).read_bytes()
    small = skeleton(data)
    assert wit(small) == oracle(data)
    assert len(small) < 16_000


def test_composed(dummy: Callable[[str], bytes], oracle: Callable[[bytes], str], tmp_path: Path) -> None:
    """One component's import wired to another's export: its types lose the interface that they came from, and belong to their user."""
    (tmp_path / "app.wasm").write_bytes(dummy("app"))
    (tmp_path / "lib.wasm").write_bytes(dummy("lib"))
    tool = wasm_tools()
    assert tool is not None
    command = [tool, "compose", "app.wasm", "-d", "lib.wasm", "-o", "all.wasm"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    data = (tmp_path / "all.wasm").read_bytes()
    assert wit(data) == oracle(data)
    assert wit(skeleton(data)) == wit(data)


ATTRIBUTES = """(component
  (import "a:b/c" (external-id "iface") (instance
    (export "r" (external-id "res") (type (sub resource)))
    (type $q (record (field "a" u8)))
    (export "q" (external-id "rec") (type (eq $q)))
    (export "f" (external-id "fu") (func))
    (type $b (borrow 0))
    (export "[method]r.m" (external-id "meth") (func (param "self" $b)))))
  (type $u u32) (import "u" (external-id "al") (type (eq $u)))
  (type $w (record (field "z" u8))) (import "w" (external-id "wr") (type (eq $w)))
  (alias export 0 "r" (type $rr)) (import "rr" (external-id "use") (type (eq $rr)))
  (import "i" (external-id "inl") (instance (export "f" (external-id "fu") (func))))
  (instance $i)
  (export "j" (external-id "exp !#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~ \\22\\5c\\n\\t\\r\\00\\7f é 世") (instance $i)))"""


def test_external_ids(parse_text: Callable[[str], bytes], oracle: Callable[[bytes], str]) -> None:
    data = parse_text(ATTRIBUTES)
    assert wit(data) == oracle(data)
    assert wit(data).count("@external-id") == 11


STABILITY = {
    "docs": "The package.",
    "worlds": {
        "root": {
            "docs": "The world.",
            "func_exports": {"run": {"docs": "Runs.", "stability": {"unstable": {"feature": "fast"}}}},
            "funcs": {"log": {"stability": {"stable": {"since": "1.0.0", "deprecated": "1.2.0"}}}},
            "types": {"own-rec": {"docs": "A record.", "stability": {"stable": {"since": "1.1.0-a.b+c"}}, "items": {"a": "A field."}}},
            "interfaces": {"inl": {"docs": "Inline.", "stability": {"unstable": {"feature": "x"}}, "funcs": {"z": "Sleeps."}}},
            "interface_import_stability": {"my:pkg/types@1.2.0": {"stable": {"since": "1.0.0"}}},
        }
    },
}


def test_gates(dummy: Callable[[str], bytes], oracle: Callable[[bytes], str]) -> None:
    data = with_docs(dummy("everything"), b"\1" + json.dumps(STABILITY).encode())
    assert wit(skeleton(data)) == oracle(data)
    assert wit(data).count("@since") >= 2 and "@unstable(feature = fast)" in wit(data)


def test_gates_that_are_none(dummy: Callable[[str], bytes]) -> None:
    """Only words: nothing in the section can put lines of its own into WIT."""
    data = dummy("everything")
    for bad in ({"stable": {"since": "1)\nimport evil: func("}}, {"stable": 3}, {"unstable": {}}, [], {"other": {"since": "1.0.0"}}):
        section = {"worlds": {"root": {"funcs": {"log": {"stability": bad}}, "interface_import_stability": bad}}}
        assert wit(with_docs(data, b"\1" + json.dumps(section).encode())) == wit(data)


DOCS = {
    "docs": "The package.",
    "worlds": {
        "root": {
            "docs": "The world.\n\nIn two paragraphs.",
            "funcs": {"log": "Writes.", "run": {"docs": "Runs."}},
            "types": {"own-rec": {"docs": "A record.", "items": {"a": "A field."}}},
            "interfaces": {"inl": {"docs": "Inline.", "funcs": {"z": "Sleeps."}}},
        }
    },
}


def with_docs(data: bytes, section: bytes) -> bytes:
    payload = bytes([len(b"package-docs")]) + b"package-docs" + section
    assert 128 <= len(payload) < 1 << 14 or len(payload) < 128
    size = bytes([len(payload)]) if len(payload) < 128 else bytes([len(payload) & 127 | 128, len(payload) >> 7])
    return data + b"\0" + size + payload


def test_documentation(dummy: Callable[[str], bytes], oracle: Callable[[bytes], str]) -> None:
    data = with_docs(dummy("everything"), b"\0" + json.dumps(DOCS).encode())
    assert wit(skeleton(data)) == oracle(data)
    assert "  /// A record.\n  record own-rec {\n    /// A field.\n" in wit(data)


@pytest.mark.parametrize(
    "section",
    [b"", b"\0", b"\7{}", b"\0[]", b"\0" + b"[" * 100, b'\0{"worlds": 3}', b'\0{"worlds": {"root": {"funcs": {"log": []}}}}', b"\0\xff"],
)
def test_documentation_that_is_none(section: bytes) -> None:
    data = bytes(wasmrt.wat2wasm('(component (import "log" (func)))'))
    assert wit(with_docs(data, section)) == wit(data)


def test_component_and_artifact(engine: wasmrt.Engine) -> None:
    component = Component(engine, TEXTS["instance of a nested component"])
    assert "run: async func() -> future<list<u32>>;" in component.wit()
    assert Component.deserialize(engine, component.serialize()).wit() == component.wit()


def test_what_wit_has_no_words_for() -> None:
    text = '(component (import "m" (core module $m)) (export "n" (core module $m)) (type $u u32) (export "t" (type $u)) (import "c" (component)))'
    printed = wit(bytes(wasmrt.wat2wasm(text)))
    assert "  // not in WIT: import `m` is a core module\n" in printed
    assert "  // not in WIT: export `t` is a type\n" in printed
    assert "  // not in WIT: import `c` is a component\n" in printed


def test_expanding_types_end_at_a_limit() -> None:
    """Each function mentions a type of 2^16 nodes: few bytes, much text."""
    types = "(type $t0 (tuple u8 u8))" + "".join(f"(type $t{i} (tuple $t{i - 1} $t{i - 1}))" for i in range(1, 15))
    funcs = "".join(f'(import "f{i}" (func (param "x" $t14)))' for i in range(400))
    with pytest.raises(wasmrt.LimitError, match="too complex"):
        wit(bytes(wasmrt.wat2wasm(f"(component {types} {funcs})")))


def test_command(tmp_path: Path) -> None:
    path = tmp_path / "x.wat"
    path.write_text('(component (import "log" (func (param "text" string))))')
    done = CliRunner().invoke(main, ["wit", str(path)])
    assert done.exit_code == 0
    assert done.output == "package root:component;\n\nworld root {\n  import log: func(text: string);\n}\n"
    path.write_text("(module)")
    done = CliRunner().invoke(main, ["wit", str(path)])
    assert done.exit_code == 1 and "Traceback" not in done.output


@pytest.fixture(scope="module")
def engine() -> wasmrt.Engine:
    return wasmrt.Engine()
