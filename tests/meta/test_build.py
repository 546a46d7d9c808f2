"""The build tool: incremental by header dependencies, and errors that say what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import build_docs, native_build

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "csrc" / "base").mkdir(parents=True)
    (tmp_path / "include").mkdir()
    (tmp_path / "csrc" / "base" / "one.h").write_text("#define ONE 1\n")
    (tmp_path / "csrc" / "base" / "one.c").write_text('#include "base/one.h"\nint wr_one(void);\nint wr_one(void) { return ONE; }\n')
    (tmp_path / "csrc" / "base" / "two.c").write_text("int wr_two(void);\nint wr_two(void) { return 2; }\n")
    monkeypatch.setattr(native_build, "ROOT", tmp_path)
    for name in ("WRT_SANITIZE", "WRT_DEBUG", "CFLAGS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def later(path: Path, than: Path) -> None:
    import os

    stamp = than.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(stamp, stamp))


def test_incremental(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = project / "lib" / native_build.LIBRARY
    assert native_build.build_library(library, project / "obj")
    assert "compiled 2 of 2" in capsys.readouterr().out
    native_build.build_library(library, project / "obj")
    assert capsys.readouterr().out == ""
    later(project / "csrc" / "base" / "one.h", library)
    native_build.build_library(library, project / "obj")
    assert "compiled 1 of 2" in capsys.readouterr().out
    (project / "csrc" / "base" / "two.c").unlink()
    before = library.stat().st_mtime_ns
    native_build.build_library(library, project / "obj")
    assert library.stat().st_mtime_ns != before, "a removed source must be linked out"


def test_no_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_build, "ROOT", tmp_path)
    assert not native_build.build_library(tmp_path / "x.so", tmp_path / "obj")


def test_compile_error_names_the_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "csrc" / "base" / "two.c").write_text("int wr_two(void) { return }\n")
    with pytest.raises(SystemExit, match=r"compiling csrc/base/two\.c failed"):
        native_build.build_library(project / "x.so", project / "obj")
    assert "error:" in capsys.readouterr().err


def test_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(SystemExit, match=r"no C compiler `no-such-compiler`: apt-get install gcc"):
        native_build.check_host()


def test_missing_header(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(native_build.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(SystemExit, match=r"Python\.h not found .*: apt-get install python3-dev"):
        native_build.check_host()


def test_other_machines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_build.platform, "machine", lambda: "aarch64")
    with pytest.raises(SystemExit, match="needs Linux on x86-64"):
        native_build.check_host()


def test_only_the_api_is_exported() -> None:
    library = ROOT / "wasmrt" / "_native" / native_build.LIBRARY
    if not library.exists():
        pytest.skip("not built in place")
    done = subprocess.run(["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True)
    names = [line.split()[-1] for line in done.stdout.splitlines()]
    assert not [name for name in names if not name.startswith(("wr_", "wasmrt_", "__jit_debug_"))]  # the last are gdb's names


def test_relative_links() -> None:
    assert not build_docs.broken_links()


def test_setup_makes_a_source_tree_usable() -> None:
    done = subprocess.run([sys.executable, "setup.py", "--version"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().split("\n")[-1].count(".") == 2
