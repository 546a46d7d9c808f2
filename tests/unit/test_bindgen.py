"""Typed packages: what `wasmrt bindgen` writes runs, and mypy takes right programs and refuses wrong ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import wasmrt
from wasmrt.bindgen import generate
from wasmrt.cli.main import main
from wasmrt.component import Component

ROOT = Path(__file__).resolve().parents[2]
WORDS = ROOT / "examples" / "words.wat"

# names that are Python's: of builtins, keywords, and of what the package itself uses; two interfaces with one short name; an interface that goes both ways
NAMES = """(component
  (import "a:b/api@1.0.0" (instance $api
    (type $level (enum "low" "import"))
    (export "level" (type $level-1 (eq $level)))
    (type $r (record (field "bytes" (list u8)) (field "list" (list (list u8))) (field "import" u8)))
    (export "r" (type $r-1 (eq $r)))
    (export "thing" (type $thing (sub resource)))
    (export "list" (func (param "int" $r-1) (result (list u8))))
    (export "[method]thing.str" (func (param "self" (borrow $thing)) (param "class" $level-1) (result string)))
    (export "open" (func (result (own $thing))))))
  (import "wasi:clocks/wall-clock@0.2.0" (instance))
  (import "no-result" (func))
  (alias export $api "list" (func $list))
  (export "c:d/api@1.0.0" (instance $api))
  (instance $variants
    (export "none" (func $list)))
  (export "e:f/more" (instance $variants)))"""

VARIANTS = """(component
  (type $v (variant (case "a" u8) (case "b" u8)))
  (import "v" (type $v-1 (eq $v)))
  (import "f" (func (param "x" $v-1) (param "y" (option (option u8))) (param "z" (list f32)) (result (result (option string) (error $v-1))))))"""


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir()
    for name, text in files.items():
        compile(text, name, "exec")
        (folder / name).write_text(text)


def mypy(folder: Path, program: str) -> list[str]:
    """What mypy says of a program and the packages in `folder`, a line each; none when all is well."""
    pytest.importorskip("mypy")
    (folder / "program.py").write_text(program)
    packages = [path.parent.name for path in folder.glob("*/__init__.py")]
    options = ["--strict", "--no-error-summary", "--follow-imports=silent", "--cache-dir", str(folder / ".mypy")]
    command = [sys.executable, "-m", "mypy", *options, "program.py", *packages]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, env={"MYPYPATH": str(ROOT), "PATH": "/usr/bin:/bin"})
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


PROGRAM = """
import words
from words.text import Counter, Stats

def log(text: str) -> None:
    print("log:", text)

with words.load({"log": log}) as loaded:
    stats = loaded.text.count("hello")
    assert isinstance(stats, Stats) and stats == Stats(bytes=5, vowels=2)
    counter: Counter = loaded.text.Counter(40)
    with counter as c:
        print(stats.bytes, c.increment(by=2), loaded.text.rot13(text="a"), loaded.text.total([1, 2]), loaded.text.parse("7"))
"""
WRONG = """
import words
loaded = words.load({"log": print})
loaded.text.count(5)
x: str = loaded.text.parse("3")
loaded.text.nothing
words.load({})
loaded.text.Counter("a")
loaded.text.count("a").consonants
"""


def test_a_package_runs_and_is_typed(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["bindgen", str(WORDS), "-o", str(tmp_path / "words")])
    assert (done.exit_code, done.output) == (0, f"{tmp_path / 'words'}: __init__.py, text.py\n")
    assert mypy(tmp_path, PROGRAM) == []
    ran = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, env={"PYTHONPATH": str(ROOT)})
    assert (ran.stdout, ran.stderr) == ("log: a\n5 42 n 3 7\n", "")
    assert [line.partition(": error: ")[0] for line in mypy(tmp_path, WRONG)] == [f"program.py:{line}" for line in (4, 5, 6, 7, 8, 9)]


def test_embedded_and_from_an_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = tmp_path / "my-words.1.cwasm"
    artifact.write_bytes(Component.from_file(wasmrt.Engine(), WORDS).serialize())
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["bindgen", str(artifact), "--embed", "-q"])
    assert (done.exit_code, done.output) == (0, "")
    assert sorted(path.name for path in (tmp_path / "my_words").iterdir()) == ["__init__.py", "my-words.1.cwasm", "text.py"]
    artifact.unlink()
    program = "import my_words; print(my_words.load({'log': print}).text.total([1, 2]))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120, env={"PYTHONPATH": str(ROOT)})
    assert (ran.stdout, ran.stderr) == ("3\n", "")


def test_a_module_has_no_world(tmp_path: Path) -> None:
    path = tmp_path / "m.wat"
    path.write_text("(module)")
    done = CliRunner().invoke(main, ["bindgen", str(path)])
    assert done.exit_code == 1 and "this is a module, not a component" in done.output


def test_names(tmp_path: Path) -> None:
    files = generate(wasmrt.wat2wasm(NAMES), "n.wasm")
    assert list(files) == ["__init__.py", "api.py", "more.py", "a_b_api.py"]
    write(tmp_path / "n", files)
    program = """
import n
from n.a_b_api import R, Level
class Mine:
    def str(self, class_: Level, /) -> str: return class_
class Host:
    Thing = Mine
    def list(self, r: R, /) -> bytes: return r.bytes + r.list[0]
    def open(self) -> Mine: return Mine()
def given() -> n.Imports:
    return {"a:b/api@1.0.0": Host(), "no-result": lambda: None}
loaded = n.load(given(), "n.wasm")
r: bytes = loaded.more.none(R(bytes=b"", list=[b""]))
"""
    assert mypy(tmp_path, program) == []


def test_variants_are_what_calls_return(tmp_path: Path) -> None:
    files = generate(wasmrt.wat2wasm(VARIANTS), "v.wasm")
    assert list(files) == ["__init__.py", "world.py"]
    assert "abc.Callable[[_world.V, wasmrt.component.Variant, list[float]], str | None]" in files["__init__.py"]
    assert "V: t.TypeAlias = 'wasmrt.component.Variant'\n\"\"\"`variant v { a(u8), b(u8), }`\"\"\"" in files["world.py"]
