"""`wasmrt inspect` and `wasmrt objdump`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wasmrt import Engine, Module
from wasmrt.cli.main import main

MODULE = """(module $m
  (import "env" "log" (func $log (param i32)))
  (memory (export "mem") 1 4) (table (export "t") 2 funcref) (global (export "g") (mut i64) (i64.const 1))
  (func $add (export "add") (param i32 i32) (result i32) (i32.add (i32.mul (local.get 0) (i32.const 3)) (local.get 1)))
  (func $sum (param $p i32) (result i32) (local $n i32)
    (loop (local.set $n (i32.add (local.get $n) (i32.load (local.get $p)))) (br_if 0 (i32.lt_u (local.get $n) (i32.const 100))))
    (i32.div_u (call $add (local.get $n) (i32.const 1)) (local.get $p)))
  (func (export "say") (call $log (i32.const 7))))"""
COMPONENT = """(component
  (import "a:b/log@1.0.0" (instance $log (type $level (enum "low" "high")) (export "level" (type (eq $level))) (export "say" (func (param "text" u32)))))
  (core func $say (canon lower (func $log "say")))
  (core module $m (import "" "say" (func $say (param i32))) (func $run (export "run") (call $say (i32.const 1))))
  (core module $n (func (export "double") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1))))
  (core instance $i (instantiate $m (with "" (instance (export "say" (func $say))))))
  (core instance $j (instantiate $n))
  (func (export "run") (canon lift (core func $i "run")))
  (func (export "double") (param "x" u32) (result u32) (canon lift (core func $j "double"))))"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "m.wat"
    path.write_text(MODULE)
    return path


@pytest.fixture
def component(tmp_path: Path) -> Path:
    path = tmp_path / "c.wat"
    path.write_text(COMPONENT)
    return path


@pytest.fixture
def artifact(module: Path, tmp_path: Path) -> Path:
    path = tmp_path / "m.cwasm"
    path.write_bytes(Engine().precompile_module(module.read_bytes()))
    return path


def wasmrt(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_inspect(artifact: Path) -> None:
    done = wasmrt("inspect", artifact)
    assert done.exit_code == 0, done.output
    for text in ("m.cwasm: module, artifact, ", "x86_64-unknown-linux-gnu", "tunables: ", "guarded_memories=", "CPU features: sse3", ".text ", "env.log", "memory"):
        assert text in done.output, text
    rows = re.findall(r"^ *[\d,]+ +[\d.]+ +0 +(\d) *(\w*)", done.output, re.MULTILINE)
    assert sorted(rows) == [("1", "add"), ("2", "sum"), ("3", "")] and rows[0] == ("2", "sum")


def test_inspect_as_json(artifact: Path, module: Path, component: Path) -> None:
    found = json.loads(wasmrt("inspect", artifact, "--json").output)
    assert (found["kind"], found["compiled"], found["bytes"]) == ("module", False, artifact.stat().st_size)
    assert found["imports"] == [["env.log", "[i32] -> []"]]
    assert [name for name, _ in found["exports"]] == ["mem", "t", "g", "add", "say"]
    assert [(f["index"], f["name"]) for f in found["functions"]] == [(1, "add"), (2, "sum"), (3, None)]
    text = next(s for s in found["sections"] if s["name"] == ".text")
    assert all(0 < f["size"] and f["offset"] + f["size"] <= text["size"] for f in found["functions"])
    here = json.loads(wasmrt("inspect", module, "--json").output)
    assert here["compiled"] and here["functions"] == found["functions"]
    whole = json.loads(wasmrt("inspect", component, "--json").output)
    assert whole["kind"] == "component" and len(whole["modules"]) == 2
    assert whole["imports"] == [["a:b/log@1.0.0", "instance { type level; func say }"]]
    assert [name for name, _ in whole["exports"]] == ["run", "double"]


def test_inspect_shows_the_largest(tmp_path: Path) -> None:
    path = tmp_path / "m.wat"
    path.write_text("(module" + "(func)" * 30 + ")")
    assert "the largest 20" in wasmrt("inspect", path).output
    assert wasmrt("inspect", path, "--all").output.count("\n") >= wasmrt("inspect", path).output.count("\n") + 10


def test_names_are_no_markup(tmp_path: Path) -> None:
    path = tmp_path / "m.wat"
    path.write_text('(module (func (export "[red]x[/]")))')
    assert "[red]x[/]" in wasmrt("inspect", path).output


def test_inspect_needs_no_machine_that_fits(artifact: Path) -> None:
    """An artifact of an engine with other settings is shown, though it could not be loaded."""
    from wasmrt import Config

    artifact.write_bytes(Engine(Config(consume_fuel=True)).precompile_module(MODULE))
    assert "consume_fuel=1" in wasmrt("inspect", artifact).output


@pytest.mark.parametrize("command", ["inspect", "objdump"])
def test_what_is_no_artifact(command: str, tmp_path: Path, artifact: Path) -> None:
    path = tmp_path / "x"
    for data, text in (
        (b"", "empty"),
        (b"\x7fELF" + bytes(200), "artifact"),
        (Path(sys.executable).resolve().read_bytes()[:5000], "artifact"),
        (artifact.read_bytes()[:3000], ""),
        (b"\0asm\1\0\0\0\1", "decode error"),
        (b"(module", "1:8"),
    ):
        path.write_bytes(data)
        done = wasmrt(command, path)
        assert done.exit_code == 1 and f"{path}: " in done.stderr and text in done.stderr, (data[:10], done.output, done.exception)


def test_damaged_artifacts_are_errors(tmp_path: Path, artifact: Path) -> None:
    good = artifact.read_bytes()
    path = tmp_path / "x"
    for at in range(0, len(good), 41):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        for command in ("inspect", "objdump"):
            done = wasmrt(command, path)
            assert done.exception is None or isinstance(done.exception, SystemExit), (command, at, done.exception)


# ---- objdump --------------------------------------------------------------------------------------------------------------------------------

capstone = pytest.importorskip("capstone")


def test_objdump_shows_the_wasm_beside(module: Path) -> None:
    done = wasmrt("objdump", module)
    assert done.exit_code == 0, done.output
    blocks = done.output.split("\n\n")
    assert [block.split(":")[0] for block in blocks if block.strip()] == [
        "module[0] function 1 $add",
        "module[0] function 2 $sum",
        "module[0] function 3",
    ]
    sum_ = blocks[1]
    assert re.search(r"div \S+ ptr .*|div \w+", sum_)
    assert re.search(r"add \w+, dword ptr \[r15 .*i32\.load  ; trap: out of bounds memory access", sum_)
    assert "call module[0] function 1 $add" in sum_ and "; trap: integer divide by zero" in sum_
    # every instruction of the body is there once, in order
    shown = re.findall(r"0x[0-9a-f]+ +((?:loop|end|local|i32|br_if|call)\S*)", sum_)
    body = "loop local.get local.get i32.load i32.add local.set local.get i32.const i32.lt_u br_if end local.get i32.const call local.get i32.div_u end"
    once = [name for index, name in enumerate(shown) if name != "loop" or shown.index("loop") == index]
    assert once == body.split()


def test_objdump_of_an_artifact_has_offsets(module: Path, artifact: Path) -> None:
    compiled, stored = wasmrt("objdump", module, "--func", "add").output, wasmrt("objdump", artifact, "--func", "add").output
    left = re.compile(r"^( {1,5}[0-9a-f]+  .*?)(?: {2,}.*)?$", re.MULTILINE)
    assert left.findall(stored) == left.findall(compiled) and len(left.findall(stored)) > 5
    assert "i32.add" in compiled and "i32.add" not in stored
    assert re.search(r"  0x[0-9a-f]{2}$", stored, re.MULTILINE)


def test_objdump_picks_functions(module: Path, component: Path, artifact: Path) -> None:
    def heads(*args: object) -> list[str]:
        return re.findall(r"^module.*?:", wasmrt("objdump", *args).output, re.MULTILINE)

    assert heads(module, "--func", "sum") == ["module[0] function 2 $sum:"]
    assert heads(module, "--func", "3", "--func", "add") == ["module[0] function 3:", "module[0] function 1 $add:"]
    assert heads(component, "--func", "1:0") == ["module[1] function 0:"]
    assert heads(component, "--func", "0:run") == ["module[0] function 1 $run:"]
    assert "i32.shl" in wasmrt("objdump", component, "--func", "1:0").output
    # by what they are exported as
    assert heads(module, "--func", "say") == ["module[0] function 3:"]
    assert heads(component, "--func", "double", "--func", "1:double") == ["module[1] function 0:"] * 2
    assert heads(artifact, "--func", "0:say") == ["module[0] function 3:"]
    # a function alone is as it is among the others
    alone = wasmrt("objdump", module, "--func", "sum").output
    assert "i32.div_u" in alone and alone in wasmrt("objdump", module).output
    done = wasmrt("objdump", module, "--func", "summ")
    assert done.exit_code == 1 and "no function 'summ'; did you mean sum?" in done.stderr
    assert "did you mean say?" in wasmrt("objdump", module, "--func", "sayy").stderr


def test_objdump_without_capstone(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "capstone", None)
    done = wasmrt("objdump", module)
    assert done.exit_code == 1 and "pip install capstone" in done.stderr


def test_objdump_agrees_with_the_code(module: Path) -> None:
    """Its instructions are all of the function's bytes."""
    from wasmrt.artifact import reader

    image = reader.read(Module.from_file(Engine(), module).serialize())
    text = image.section("TEXT")
    for function in image.functions():
        code = bytes(text[function.offset : function.offset + function.size])
        decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        count = sum(1 for _ in decoder.disasm(code, 0))
        lines = wasmrt("objdump", module, "--func", f"0:{function.func_index}").output.splitlines()[1:]
        assert sum(1 for line in lines if re.match(r" {1,5}[0-9a-f]+  \w", line)) == count


def test_artifacts_where_they_cannot_be_used(artifact: Path, module: Path, tmp_path: Path) -> None:
    for command in ("print", "wit"):
        result = CliRunner().invoke(main, [command, str(artifact)])
        assert result.exit_code == 1 and "this is a compiled " in result.output, result.output
    nowhere = tmp_path / "missing" / "out.cwasm"
    result = CliRunner().invoke(main, ["compile", str(module), "-o", str(nowhere)])
    assert result.exit_code == 1 and f"cannot write {nowhere}: No such file or directory" in result.output, result.output


def test_a_timeout_is_positive(module: Path) -> None:
    """A negative one trapped at once."""
    result = CliRunner().invoke(main, ["run", str(module), "--timeout", "-1"])
    assert result.exit_code == 2 and "x>0" in result.output, result.output
