"""Programs of WASI 0.1 that nobody here wrote (the package `wasure`), and C against wasi-libc, run through `define_wasi` as users run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import wasmrt
from bench.programs import commands
from tools.fetch import FetchError

from .build import Missing, c_files_command

# quick ones that read files, standard input, arguments, the clock or random numbers
PROGRAMS = [
    ("mibench", "basicmath-small"),
    ("mibench", "crc-small"),
    ("mibench", "dijkstra-small"),
    ("mibench", "fft-small"),
    ("mibench", "rawcaudio-small"),
    ("mibench", "rawdaudio-small"),
    ("mibench", "search-small"),
    ("libsodium", "auth"),
    ("libsodium", "keygen"),
    ("libsodium", "secretstream"),
    ("libsodium", "sodium-core"),
]


@pytest.mark.network
@pytest.mark.parametrize(("suite", "name"), PROGRAMS)
def test_program(suite: str, name: str, tmp_path: Path) -> None:
    try:
        command = commands(suite)[name]
    except FetchError as error:
        pytest.skip(str(error))
    assert command.folder
    args = [sys.executable, "-m", "wasmrt", "run", "--read-only-dir", f"{command.folder}::/", "--", str(command.path), *command.arguments]
    with open(command.stdin or os.devnull, "rb") as stdin:
        done = subprocess.run(args, stdin=stdin, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert command.expected.encode() in done.stdout


@pytest.fixture(scope="module")
def files_command() -> Path:
    try:
        return c_files_command()
    except Missing as missing:
        pytest.skip(str(missing))


def test_files_of_a_c_program(files_command: Path, tmp_path: Path) -> None:
    """stdio, directories, links, times, polling: `files.c` checks each by itself and says where it is."""
    (tmp_path / "given").write_text("given by the host\n")
    engine = wasmrt.Engine()
    store = wasmrt.Store(engine)
    printed: list[bytes] = []
    config = wasmrt.WasiConfig()
    config.argv = ["files", "zwei wörter"]
    config.env = {"NAME": "välue"}
    config.stdout_custom = config.stderr_custom = printed.append
    config.preopen_dir(tmp_path, "/")
    store.set_wasi(config)
    linker = wasmrt.Linker(engine)
    linker.define_wasi()
    start = linker.instantiate(store, wasmrt.Module.from_file(engine, str(files_command))).exports(store)["_start"]
    try:
        start(store)
    except wasmrt.ExitTrap as leaving:
        assert leaving.code == 0, b"".join(printed).decode()
    assert b"".join(printed).decode().endswith("all is well\n"), printed
    assert sorted(os.listdir(tmp_path)) == ["given", "kept"] and (tmp_path / "kept").read_text() == "line 0\nline 1\nline 2\n"
