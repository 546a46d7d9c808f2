"""`wasmrt run` and `wasmrt compile`, by click's runner and as processes; values as text both ways."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from wasmrt import wat2wasm
from wasmrt.cli.main import main
from wasmrt.cli.wave import WaveError, parse, parse_call, render
from wasmrt.runtime.values import Variant
from wasmrt.spec import types as t

MODULE = """(module
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "two") (result i64 f64) (i64.const -5) (f64.const 1.5))
  (func (export "bad") unreachable)
  (func (export "spin") (loop (br 0)))
  (func (export "ref") (param externref))
  (global (export "g") i32 (i32.const 1))
  (func (export "_start")))"""

# wasi:cli/run: ok when there are arguments besides the program's name; exits with their number when there are more than two
COMMAND = """(component
  (import "wasi:cli/environment@0.2.0" (instance $e (export "get-arguments" (func (result (list string))))))
  (import "wasi:cli/exit@0.2.0" (instance $x (export "exit" (func (param "status" (result))))))
  (core module $libc (memory (export "m") 1) (global $p (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $r i32)
      (local.set $r (i32.and (i32.add (global.get $p) (i32.const 7)) (i32.const -8)))
      (global.set $p (i32.add (local.get $r) (local.get 3))) (local.get $r)))
  (core instance $l (instantiate $libc))
  (core func $args (canon lower (func $e "get-arguments") (memory (core memory $l "m")) (realloc (core func $l "realloc"))))
  (core func $exit (canon lower (func $x "exit")))
  (core module $m (import "" "args" (func $args (param i32))) (import "" "exit" (func $exit (param i32))) (import "" "m" (memory 1))
    (func (export "run") (result i32)
      (call $args (i32.const 0))
      (if (i32.eq (i32.load (i32.const 4)) (i32.const 4)) (then unreachable))
      (if (i32.eq (i32.load (i32.const 4)) (i32.const 3)) (then (call $exit (i32.const 1))))
      (i32.eq (i32.load (i32.const 4)) (i32.const 1)))
    (func (export "len") (param i32 i32) (result i32) (local.get 1)))
  (core instance $i (instantiate $m (with "" (instance (export "args" (func $args)) (export "exit" (func $exit)) (export "m" (memory $l "m"))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (func $len (param "text" string) (result u32)
    (canon lift (core func $i "len") (memory (core memory $l "m")) (realloc (core func $l "realloc"))))
  (instance $r (export "run" (func $run)))
  (instance $s (export "len" (func $len)))
  (export "wasi:cli/run@0.2.0" (instance $r))
  (export "test:strings/size@1.0.0" (instance $s))
  (export "len" (func $len)))"""


@pytest.fixture
def module(tmp_path: Path) -> str:
    path = tmp_path / "m.wat"
    path.write_text(MODULE)
    return str(path)


@pytest.fixture
def command(tmp_path: Path) -> str:
    path = tmp_path / "c.wasm"
    path.write_bytes(wat2wasm(COMMAND))
    return str(path)


def wasmrt(*args: str) -> Result:
    return CliRunner().invoke(main, list(args))


@pytest.mark.parametrize(
    ("args", "output"),
    [
        ((), ""),
        (("--invoke", "add", "-1", "5"), "4\n"),
        (("--invoke", "add", "0x10", "4294967295"), "15\n"),
        (("--invoke", "add(3, 4)"), "7\n"),
        (("--invoke", "two"), "-5\n1.5\n"),
    ],
)
def test_modules(module: str, args: tuple[str, ...], output: str) -> None:
    done = wasmrt("run", module, *args)
    assert (done.exit_code, done.output) == (0, output)


@pytest.mark.parametrize(
    ("args", "status", "text"),
    [
        (("--invoke", "bad"), 134, "unreachable"),
        (("--invoke", "spin", "--timeout", "0.05"), 134, "interrupt"),
        (("--invoke", "add", "1"), 1, "2 arguments are wanted (0: i32, 1: i32), 1 given"),
        (("--invoke", "add", "1", "x"), 1, "argument 1: i32: 'x', at character 1: expected an integer, found 'x'"),
        (("--invoke", "add", "1", "4294967296"), 1, "out of range"),
        (("--invoke", "nothing"), 1, "no function 'nothing' is exported; there is add, two"),
        (("--invoke", "ref", "1"), 1, "externref cannot be written"),
    ],
)
def test_what_goes_wrong_in_modules(module: str, args: tuple[str, ...], status: int, text: str) -> None:
    done = wasmrt("run", module, *args)
    assert done.exit_code == status and text in done.stderr, done.output


def test_modules_that_cannot_run(tmp_path: Path) -> None:
    path = tmp_path / "m.wat"
    for wat, text in (
        ('(module (import "wasi_snapshot_preview1" "fd_write" (func)))', "incompatible import type"),
        ('(module (import "a" "b" (func)) (func (export "_start")))', "m.wat: "),
        ("(module)", "no _start is exported"),
        ('(module (func (export "_start") (param i32)))', "_start wants arguments"),
        ("(module (func (result i32)))", "validation error"),
        ("(modul)", f"{path}:1:2"),
    ):
        path.write_text(wat)
        done = wasmrt("run", str(path))
        assert done.exit_code == 1 and text in done.stderr, done.output


@pytest.mark.parametrize(("args", "status"), [((), 1), (("a",), 0), (("a", "b"), 1), (("--", "--invoke", "x", "y"), 134), (("-x",), 0)])
def test_commands(command: str, args: tuple[str, ...], status: int) -> None:
    assert wasmrt("run", command, *args).exit_code == status


def test_functions_of_components(command: str) -> None:
    for name in ("len", "size#len", "test:strings/size@1.0.0#len"):
        done = wasmrt("run", command, "--invoke", name, "grüße")
        assert (done.exit_code, done.output) == (0, "7\n"), done.output
    assert wasmrt("run", command, "--invoke", 'len("a, b")').output == "4\n"
    done = wasmrt("run", command, "--invoke", "size")
    assert done.exit_code == 1 and "no function 'size'" in done.stderr
    done = wasmrt("run", command, "--invoke", "len")
    assert done.exit_code == 1 and "1 arguments are wanted (text: string)" in done.stderr


def test_missing_imports(tmp_path: Path) -> None:
    path = tmp_path / "c.wat"
    path.write_text(
        """(component (import "a:b/c" (instance $c (export "f" (func)))) (core func $f (canon lower (func $c "f")))
        (core module $m (import "" "f" (func $f)) (func (export "g") (result i32) (i32.const 5)) (func (export "h") (call $f)))
        (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
        (func (export "g") (result u8) (canon lift (core func $i "g"))) (func (export "h") (canon lift (core func $i "h"))))"""
    )
    done = wasmrt("run", str(path), "--invoke", "g")
    assert done.exit_code == 1 and "a:b/c" in done.stderr
    assert wasmrt("run", str(path), "--stub-imports", "--invoke", "g").output == "5\n"
    assert wasmrt("run", str(path), "--stub-imports", "--invoke", "h").exit_code == 134


def test_what_a_guest_is_given(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setenv("GIVEN", "here")
    monkeypatch.setattr("wasmrt.cli.run.run", lambda made, name, args, wasi, *rest: seen.append(wasi) or 3)
    done = wasmrt("run", command, "a", "--env", "A=b=c", "--env", "GIVEN", "--dir", f"{tmp_path}::/data", "--read-only-dir", str(tmp_path))
    assert done.exit_code == 3
    (wasi,) = seen
    assert wasi.argv == ["c.wasm", "a"] and dict(wasi.env) == {"A": "b=c", "GIVEN": "here"}
    assert [(p.guest_path, p.fs_mutable) for p in wasi.preopens] == [("/data", True), (str(tmp_path), False)]
    wasmrt("run", command, "--inherit-env")
    assert dict(seen[-1].env)["GIVEN"] == "here"
    for wrong in (("--env", "NOT_SET_ANYWHERE"), ("--env", "=x"), ("--dir", str(tmp_path / "none"))):
        assert wasmrt("run", command, *wrong).exit_code == 2


def test_as_processes(command: str, module: str, repository: Path, tmp_path: Path) -> None:
    environment = dict(os.environ, PYTHONPATH=str(repository), XDG_CACHE_HOME=str(tmp_path / "cache"))

    def process(*args: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "wasmrt.cli.main", *args], capture_output=True, text=True, timeout=60, env=environment
        )
        return done.returncode, done.stdout

    assert process("run", command, "a") == (0, "")
    assert process("run", command) == (1, "")
    assert process("run", module, "--invoke", "add", "1", "2", "--cache") == (0, "3\n")
    assert len(list((tmp_path / "cache" / "wasmrt").glob("*.wasmrt"))) == 1
    assert process("run", module, "--invoke", "bad")[0] == 134
    assert process("--version")[1].startswith("wasmrt, version ")
    for name in ("", "run", "compile", "wit", "print", "wat2wasm", "wast"):
        assert process(*filter(None, [name]), "--help")[0] == 0
    assert process("run")[0] == 2
    assert process("run", "no such file")[0] == 2


# WASI 0.1: copies standard input to standard output and exits with the number of arguments, or with 99 when it cannot write; with four of them it sleeps
CAT = r"""(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1) (data (i32.const 300) "\34\01\00\00\01\00\00\00.")
  (global $ready (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $ready (i32.const 7)))
  (func (export "ready") (result i32) (global.get $ready))
  (func (export "_start")
    (drop (call $args (i32.const 100) (i32.const 104)))
    (if (i32.eq (i32.load (i32.const 100)) (i32.const 4)) (then
      (drop (call $write (i32.const 1) (i32.const 300) (i32.const 1) (i32.const 108)))
      (i64.store (i32.const 216) (i64.const -1)) (i32.store (i32.const 208) (i32.const 1))
      (drop (call $poll (i32.const 192) (i32.const 256) (i32.const 1) (i32.const 108)))))
    (loop $again
      (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 4096))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
      (if (i32.load (i32.const 4)) (then
        (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 108)) (then (call $exit (i32.const 99))))
        (br $again))))
    (call $exit (i32.load (i32.const 100)))))"""


def test_commands_of_wasi_0_1(repository: Path, tmp_path: Path) -> None:
    path = tmp_path / "cat.wasm"
    path.write_bytes(wat2wasm(CAT))
    command = [sys.executable, "-m", "wasmrt.cli.main", "run", str(path)]
    environment = dict(os.environ, PYTHONPATH=str(repository))
    text = "grüße\n".encode() * 100_000
    done = subprocess.run([*command, "a"], input=text, capture_output=True, timeout=60, env=environment)
    assert (done.returncode, done.stdout) == (2, text), done.stderr
    # the reader goes away
    with subprocess.Popen([*command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as cat:
        assert cat.stdin and cat.stdout and cat.stderr
        cat.stdout.close()
        cat.stdin.write(b"x" * 10)
        cat.stdin.close()
        assert cat.wait(60) == 99 and cat.stderr.read() == b""
    done = subprocess.run([*command, "a", "b", "c", "--timeout", "0.2"], capture_output=True, timeout=60, env=environment)
    assert done.returncode == 134 and b"interrupt" in done.stderr and b"_start" not in done.stdout
    with subprocess.Popen([*command, "--timeout", "0.2"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as cat:
        assert cat.wait(60) == 134  # nothing ever comes
    # who runs the tests may ignore Ctrl-C, as a shell does for what it starts in the background
    popen = functools.partial(subprocess.Popen, preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL))
    with popen([*command, "a", "b", "c"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as cat:
        try:
            assert cat.stdout and cat.stderr and cat.stdout.read(1) == b"."
            cat.send_signal(signal.SIGINT)
            assert cat.wait(60) == 130, cat.stderr.read()
        finally:
            cat.kill()
    assert wasmrt("run", str(path), "--invoke", "ready").output == "7\n"


def test_modules_with_imports_that_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "m.wat"
    path.write_text('(module (import "a" "b" (func $f)) (func (export "g") (result i32) (i32.const 5)) (func (export "h") (call $f)))')
    done = wasmrt("run", str(path), "--invoke", "g")
    assert done.exit_code == 1 and "unknown import: `a::b`" in done.stderr
    assert wasmrt("run", str(path), "--stub-imports", "--invoke", "g").output == "5\n"
    assert wasmrt("run", str(path), "--stub-imports", "--invoke", "h").exit_code == 134


# ---- compile --------------------------------------------------------------------------------------------------------------------------------


def test_compile(module: str, command: str, tmp_path: Path) -> None:
    out = tmp_path / "out.cwasm"
    done = wasmrt("compile", module, "-o", str(out))
    assert done.exit_code == 0 and "module" in done.output
    assert wasmrt("run", str(out), "--invoke", "add", "1", "2").output == "3\n"
    assert out.stat().st_mode & 0o111 == 0
    done = wasmrt("compile", command, "--portable", "-q")
    assert (done.exit_code, done.output) == (0, "")
    made = Path(command).with_suffix(".cwasm")
    assert wasmrt("run", str(made), "a").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.cwasm", "c.wasm", "m.wat", "out.cwasm"]


def test_compile_says_what_is_wrong(module: str, tmp_path: Path) -> None:
    (tmp_path / "bad.wat").write_text("(module\n  (func (result i32) nop)\n  (oops))")
    done = wasmrt("compile", str(tmp_path / "bad.wat"), "-o", str(tmp_path / "x"))
    assert done.exit_code == 1 and "bad.wat:3:4" in done.stderr
    (tmp_path / "bad.wasm").write_bytes(wat2wasm("(module (func (result i32)))"))
    done = wasmrt("compile", str(tmp_path / "bad.wasm"), "-o", str(tmp_path / "x"))
    assert done.exit_code == 1 and "validation error" in done.stderr and "in function 0" in done.stderr
    done = wasmrt("compile", module, "--without", "multi_value", "-o", str(tmp_path / "x"))
    assert done.exit_code == 1 and "wasm_multi_value" in done.stderr
    assert wasmrt("compile", module, "-o", str(tmp_path / "none" / "x")).exit_code == 1
    assert wasmrt("compile", module, "-o", str(tmp_path / "x")).exit_code == 0
    assert "an artifact already" in wasmrt("compile", str(tmp_path / "x")).stderr


def test_compile_shows_a_bar(module: str, tmp_path: Path) -> None:
    done = wasmrt("compile", module, "-o", str(tmp_path / "x"), "--progress")
    assert done.exit_code == 0 and "6/6 functions" in done.stderr
    done = wasmrt("compile", module, "-o", str(tmp_path / "x"))  # small, and nobody watches
    assert done.stderr == ""


# ---- values ---------------------------------------------------------------------------------------------------------------------------------

U8, S64, F64, CHAR, STRING, BOOL = t.U8(), t.S64(), t.F64(), t.Char(), t.String(), t.Bool()
POINT = t.RecordType((("x", S64), ("y-axis", S64), ("note", t.OptionType(STRING))))
SHAPE = t.VariantType((("none-at-all", None), ("circle", F64), ("pair", t.TupleType((F64, F64)))))
TAGGED = t.VariantType((("a", S64), ("b", S64)))
COLOR = t.EnumType(("red", "dark-red"))
PERMS = t.FlagsType(("read", "write"))


@pytest.mark.parametrize(
    ("ty", "text", "value", "back"),
    [
        (BOOL, "true", True, "true"),
        (S64, " -12 ", -12, "-12"),
        (S64, "0xff", 255, "255"),
        (S64, "1_000", 1000, "1000"),
        (F64, "1.5e3", 1500.0, "1500"),
        (F64, "-inf", float("-inf"), "-inf"),
        (F64, "3", 3.0, "3"),
        (CHAR, "'\\u{1F600}'", "\U0001f600", "'\U0001f600'"),
        (CHAR, "'\\''", "'", "'\\''"),
        (STRING, '"a\\n\\"b\\""', 'a\n"b"', '"a\\n\\"b\\""'),
        (STRING, "as it is", "as it is", '"as it is"'),
        (t.ListType(S64), "[1, 2,]", [1, 2], "[1, 2]"),
        (t.ListType(U8), "[1, 255]", b"\x01\xff", "[1, 255]"),
        (t.ListType(STRING), "[]", [], "[]"),
        (t.TupleType((S64, STRING)), '(1, "x")', (1, "x"), '(1, "x")'),
        (PERMS, "{write}", {"write"}, "{write}"),
        (PERMS, "{}", set(), "{}"),
        (COLOR, "dark-red", "dark-red", "dark-red"),
        (COLOR, "%red", "red", "red"),
        (SHAPE, "none-at-all", None, "none-at-all"),
        (SHAPE, "circle(2)", 2.0, "circle(2)"),
        (SHAPE, "pair((1, 2))", (1.0, 2.0), "pair((1, 2))"),
        (TAGGED, "b(7)", Variant("b", 7), "b(7)"),
        (t.OptionType(S64), "some(3)", 3, "some(3)"),
        (t.OptionType(S64), "3", 3, "some(3)"),
        (t.OptionType(S64), "none", None, "none"),
        (t.OptionType(t.OptionType(S64)), "some(none)", Variant("some", None), "some(none)"),
        (t.ResultType(S64, STRING), "ok(1)", 1, "ok(1)"),
        (t.ResultType(S64, STRING), 'err("no")', "no", 'err("no")'),
        (t.ResultType(S64, STRING), "5", 5, "ok(5)"),
        (t.ResultType(None, None), "err", Variant("err"), "err"),
        (t.MapType(STRING, S64), '{"a": 1}', {"a": 1}, '{"a": 1}'),
    ],
)
def test_values(ty: Any, text: str, value: Any, back: str) -> None:
    found = parse(text, ty)
    assert found == value and type(found) is type(value)
    assert render(found, ty) == back
    assert parse(back, ty) == value


def test_records() -> None:
    assert parse('{y-axis: 2, x: -1, note: "n"}', POINT) == {"x": -1, "y-axis": 2, "note": "n"}
    assert parse("{x: 1, y-axis: 2}", POINT) == {"x": 1, "y-axis": 2, "note": None}
    assert parse_call('1, "a, b"', (("n", S64), ("s", STRING))) == [1, "a, b"]
    assert parse_call("", ()) == []


@pytest.mark.parametrize(
    ("ty", "text", "message"),
    [
        (S64, "", "expected an integer, found 'the end'"),
        (S64, "1 2", "at character 3: expected the end, found '2'"),
        (BOOL, "yes", "at character 1: expected true or false"),
        (COLOR, "blue", "expected a case, one of red, dark-red"),
        (PERMS, "{read, run}", "expected a flag, one of read, write"),
        (POINT, "{x: 1}", "expected field y-axis too"),
        (POINT, "{x: 1, x: 2}", "expected field x once"),
        (POINT, "{z: 1}", "expected a field, one of x, y-axis, note"),
        (SHAPE, "circle", "expected '('"),
        (SHAPE, "square(1)", "expected a case, one of none-at-all, circle, pair"),
        (CHAR, "'ab'", "one character"),
        (STRING, '"open', "expected '\"'"),
        (STRING, '"\\q"', "expected an escape"),
        (STRING, '"\\u{110000}"', "expected an escape"),
        (F64, "one", "expected a number"),
        (F64, "1e", "expected the end"),
        (t.OwnType(0), "1", "cannot be written"),
        (t.ListType(S64), "[1 2]", "expected ','"),
    ],
)
def test_wrong_values(ty: Any, text: str, message: str) -> None:
    with pytest.raises(WaveError) as error:
        parse(text, ty)
    assert message in str(error.value)


def test_deep_types_end() -> None:
    ty: Any = S64
    for _ in range(150):
        ty = t.ListType(ty)
    with pytest.raises(WaveError, match="levels"):
        parse("[" * 150, ty)


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "m.wat"
    path.write_text("(module " + "(func (param i32) (drop (local.get 0)))" * 5000 + ")")
    command = f"{sys.executable} -m wasmrt print {path} | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stdout == "(module\n" and done.stderr == ""
