"""WASI 0.1, call by call: streams, files, directories, polling, and what hostile guests try. `test_preview1_peer.py` compares with wasmtime."""

from __future__ import annotations

import io
import os
import signal
import struct
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import wasmrt
from wasmrt.wasi import filesystem
from wasmrt.wasi.config import DescriptorSink
from wasmrt.wasi.preview1 import IN_C, SIGNATURES
from wasmrt.wasi.preview1_abi import APPEND, ERRNO, NONBLOCK, RIGHT

from .preview1_guest import OUT, Guest

CREATE, DIRECTORY, EXCLUSIVE, TRUNCATE = 1, 2, 4, 8
READ = RIGHT["fd_read"]


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "inside"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "file").write_text("0123456789")
    return folder


def guest(path: Path | None = None, mutable: bool = True, **given: Any) -> Guest:
    config = wasmrt.WasiConfig()
    if path is not None:
        config.preopen_dir(path, "/data", fs_mutable=mutable)
    for name, value in given.items():
        setattr(config, name, value)
    return Guest(wasmrt, config)


# ---- arguments, environment, clocks ---------------------------------------------------------------------------------------------------------


def strings(guest: Guest, what: str) -> list[bytes]:
    assert guest.call(f"{what}_sizes_get", OUT, OUT + 4) == "success"
    count, size = struct.unpack("<II", guest.get(OUT, 8))
    assert guest.call(f"{what}_get", 1024, 2048) == "success"
    pointers = struct.unpack(f"<{count}I", guest.get(1024, 4 * count))
    assert all(2048 <= pointer < 2048 + size for pointer in pointers)
    return guest.get(2048, size).split(b"\0")[:-1]


def test_arguments_and_environment() -> None:
    given = guest(argv=["prog", "", "ünï"], env={"A": "b=c", "EMPTY": ""})
    assert strings(given, "args") == [b"prog", b"", "ünï".encode()]
    assert strings(given, "environ") == [b"A=b=c", b"EMPTY="]
    nothing = Guest(wasmrt)
    assert strings(nothing, "args") == strings(nothing, "environ") == []


def test_clocks_and_random() -> None:
    given = guest()
    for clock, now in ((0, time.time_ns), (1, time.monotonic_ns), (2, time.process_time_ns), (3, time.thread_time_ns)):
        before = now()
        assert given.call("clock_time_get", clock, 0, OUT) == "success"
        assert before <= given.u64() <= now()
        assert given.call("clock_res_get", clock, OUT) == "success" and 1 <= given.u64() <= 10**9
    assert given.call("clock_time_get", 4, 0, OUT) == given.call("clock_res_get", 4, OUT) == given.call("clock_time_get", -1, 0, OUT) == "inval"
    seen = set()
    for length in (8, 64, 65, 4096):
        for _ in range(20):
            assert given.call("random_get", 1024, length) == "success"
            seen.add(given.get(1024, length))
    assert len(seen) == 80
    given.put(b"\0" * 8, 1024)
    assert given.call("random_get", 1024, 0) == "success" == given.call("sched_yield") and given.u64(1024) == 0


def test_random_numbers_differ_in_a_forked_child() -> None:
    given = guest()
    given.call("random_get", 1024, 8)
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        given.call("random_get", 1024, 16)
        os.write(into, given.get(1024, 16))
        os._exit(0)
    os.close(into)
    given.call("random_get", 1024, 16)
    theirs = os.read(out, 16)
    os.close(out)
    os.waitpid(pid, 0)
    assert len(theirs) == 16 and theirs != given.get(1024, 16)


def test_exit() -> None:
    for code in (0, 1, 125, 255, 0xFFFFFFFF):
        with pytest.raises(wasmrt.ExitTrap) as caught:
            guest().exports["proc_exit"](code)
        assert caught.value.code == code
    assert guest().call("proc_raise", 6) == "notsup"


# ---- standard streams -----------------------------------------------------------------------------------------------------------------------


def test_output_goes_to_sinks() -> None:
    chunks: list[bytes] = []
    file = io.BytesIO()
    given = guest(stdout_custom=chunks.append, stderr_custom=file)
    assert given.write(1, b"hello\n") == 6 and given.write(2, b"oops") == 4
    assert chunks == [b"hello\n"] and file.getvalue() == b"oops"
    first, second = given.put(b"ab"), given.put(b"cde")
    vectors = given.put(struct.pack("<IIIIII", first, 2, 0, 0, second, 3))
    assert given.call("fd_write", 1, vectors, 3, OUT) == "success" and given.u32() == 5
    assert b"".join(chunks[1:]) == b"abcde"
    assert given.call("fd_write", 1, vectors, 0, OUT) == "success" and given.u32() == 0


def test_without_a_config_streams_are_empty_and_there_are_no_files() -> None:
    given = Guest(wasmrt)
    assert given.write(1, b"lost") == 4 and given.read(0, 10) == b""
    assert given.call("fd_prestat_get", 3, OUT) == "badf" == given.open("file")


def test_large_writes() -> None:
    total = 0

    def count(data: bytes) -> None:
        nonlocal total
        assert len(data) <= 1 << 20
        total += len(data)

    given = guest(stdout_custom=count)
    given.memory.grow(2)
    # 1,024 vectors of 128 KiB overlap in a memory of 256 KiB
    vectors = given.put(struct.pack("<II", 0, 1 << 17) * 1024, 16384)
    assert given.call("fd_write", 1, vectors, 1024, OUT) == "success"
    assert given.u32() == total == 1 << 27
    # vectors beyond the first 1,024 are left for the next call
    assert given.call("fd_write", 1, given.put(struct.pack("<II", 0, 1) * 1030, 65536), 1030, OUT) == "success" and given.u32() == 1024


def test_errors_of_sinks() -> None:
    def broken(data: bytes) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    def full(data: bytes) -> None:
        raise OSError(28, "No space left on device")

    given = guest(stdout_custom=broken, stderr_custom=full)
    assert given.write(1, b"x") == "pipe" and given.write(2, b"x") == "nospc"

    def defective(data: bytes) -> None:
        raise RuntimeError("the host's own")

    with pytest.raises(RuntimeError, match="the host's own"):
        guest(stdout_custom=defective).write(1, b"x")


def test_a_pipe_whose_reader_is_gone() -> None:
    out, into = os.pipe()
    os.close(out)
    with open(into, "wb", buffering=0) as file:
        assert guest(stdout_custom=file).write(1, b"x") == "pipe"


def test_a_timeout_ends_a_write_that_nobody_reads() -> None:
    out, into = os.pipe()
    with open(out, "rb", buffering=0) as reader, open(into, "wb", buffering=0) as file:
        config = wasmrt.WasiConfig()
        config.stdout = DescriptorSink(file)
        given = Guest(wasmrt, config)
        assert given.write(1, b"hello") == 5 and reader.read(5) == b"hello"
        given.store.set_timeout(0.2)
        with pytest.raises(wasmrt.Trap, match="interrupt"):
            while True:
                assert given.write(1, b"x" * 20_000) == 20_000
        assert len(reader.read(1 << 20)) > 20_000


def test_a_timeout_ends_a_stream_of_wasi_0_2_that_nobody_reads() -> None:
    from wasmrt.wasi.io import OK, OutputStream

    out, into = os.pipe()
    with open(out, "rb", buffering=0) as reader, open(into, "wb", buffering=0) as file:
        store, stream = wasmrt.Store(wasmrt.Engine()), OutputStream(DescriptorSink(file))
        assert stream.write_for(store, b"hello") is OK and reader.read(5) == b"hello"
        for write in (
            lambda: stream.write_for(store, b"x" * 20_000),
            lambda: stream.write_waiting(store, b"x" * 20_000),
            lambda: stream.write_zeroes(store, 20_000),
        ):
            store.set_timeout(0.2)
            with pytest.raises(wasmrt.Trap, match="interrupt"):
                while True:
                    assert write() is OK
        assert len(reader.read(1 << 20)) > 20_000


def with_stdin(file: Any) -> Guest:
    config = wasmrt.WasiConfig()
    config.stdin = file
    return Guest(wasmrt, config)


def test_input() -> None:
    given = with_stdin(io.BytesIO(b"hello world"))
    assert given.read(0, 5) == b"hello" and given.read(0, 100) == b" world" and given.read(0, 10) == b""
    assert given.write(0, b"x") == "badf" == guest().read(1, 10)
    assert given.read(0, 1, 0) == "spipe" == given.write(1, b"x", 0) == given.seek(0, 0, 0) == given.seek(1, 0, 1)


def test_input_that_is_not_ready() -> None:
    out, into = os.pipe()
    with open(out, "rb") as file:
        given = with_stdin(file)
        assert given.call("fd_fdstat_set_flags", 0, NONBLOCK) == "success"
        assert given.call("fd_fdstat_get", 0, OUT) == "success" and given.get(OUT + 2, 2) == struct.pack("<H", NONBLOCK)
        assert given.read(0, 10) == "again" == given.read(0, 10)
        os.write(into, b"now")
        assert given.read(0, 10) == b"now"
        os.close(into)
        assert given.read(0, 10) == b""
        assert given.call("fd_fdstat_set_flags", 0, APPEND) == "inval" and given.call("fd_fdstat_set_flags", 1, NONBLOCK) == "badf"


def test_a_timeout_ends_a_read() -> None:
    out, into = os.pipe()
    with open(out, "rb") as file, open(into, "wb"):
        given = with_stdin(file)
        given.store.set_timeout(0.1)
        with pytest.raises(wasmrt.Trap, match="interrupt") as caught:
            given.read(0, 10)
        assert caught.value.trap_code == wasmrt.TrapCode.INTERRUPT and caught.value.frames


def test_facts_about_streams() -> None:
    config = wasmrt.WasiConfig()
    config.terminals["stdout"] = True
    given = Guest(wasmrt, config)
    for fd, kind, rights in ((0, 0, READ), (1, 2, RIGHT["fd_write"]), (2, 0, RIGHT["fd_write"])):
        assert given.call("fd_fdstat_get", fd, OUT) == "success"
        assert struct.unpack("<BxHxxxxQQ", given.get(OUT, 24)) == (kind, 0, rights, rights)
        assert given.call("fd_filestat_get", fd, OUT) == "success" and given.get(OUT + 16, 1) == bytes([kind])
    assert given.call("fd_close", 1) == "success" and given.write(1, b"x") == "badf" == given.call("fd_close", 1)


# ---- files ----------------------------------------------------------------------------------------------------------------------------------


def test_files(inside: Path) -> None:
    given = guest(inside)
    assert given.call("fd_prestat_get", 3, OUT) == "success" and struct.unpack("<II", given.get(OUT, 8)) == (0, 5)
    assert given.call("fd_prestat_dir_name", 3, 1024, 5) == "success" and given.get(1024, 5) == b"/data"
    assert given.call("fd_prestat_dir_name", 3, 1024, 4) == "nametoolong" and given.call("fd_prestat_get", 4, OUT) == "badf"
    fd = given.open("new", CREATE | EXCLUSIVE)
    assert fd == 4 and given.open("new", CREATE | EXCLUSIVE) == "exist"
    assert given.write(fd, b"hello world") == 11 and given.seek(fd, 0, 0) == 0 and given.read(fd, 5) == b"hello"
    assert given.call("fd_tell", fd, OUT) == "success" and given.u64() == 5
    assert given.seek(fd, -2, 2) == 9 and given.read(fd, 10) == b"ld" and given.read(fd, 10) == b""
    assert given.seek(fd, -100, 1) == "inval" == given.seek(fd, 0, 3) == given.seek(fd, (1 << 63) - 1, 1)
    assert given.seek(fd, 20, 0) == 20 and given.write(fd, b"!") == 1 and given.read(fd, 3, 10) == b"d\0\0"
    assert given.write(fd, b"HE", 0) == 2 and given.read(fd, 5, 0) == b"HEllo"
    assert given.read(fd, 1, 1 << 63) == "inval" == given.write(fd, b"x", (1 << 64) - 1)
    assert given.call("fd_filestat_set_size", fd, 3) == "success" and (inside / "new").read_bytes() == b"HEl"
    assert given.call("fd_filestat_set_size", fd, 1 << 63) == "inval"
    assert given.call("fd_sync", fd) == given.call("fd_datasync", fd) == given.call("fd_advise", fd, 0, 0, 1) == "success"
    assert given.call("fd_advise", fd, 0, 0, 6) == "inval" and given.call("fd_allocate", fd, 0, 10) == "notsup"
    assert given.call("fd_filestat_set_times", fd, 5_000_000_007, 0, 1 | 8) == "success"
    assert given.call("fd_filestat_set_times", fd, 0, 0, 1 | 2) == "inval" == given.call("fd_filestat_set_times", fd, 0, 0, 16)
    assert given.call("fd_filestat_get", fd, OUT) == "success"
    _, inode, kind, links, size, accessed, modified, _ = struct.unpack("<QQBxxxxxxxQQQQQ", given.get(OUT, 64))
    assert (inode, kind, links, size, accessed) == (os.stat(inside / "new").st_ino, 4, 1, 3, 5_000_000_007) and modified > 10**18
    assert given.call("fd_close", fd) == "success" and given.read(fd, 1) == "badf"
    assert given.open("file", TRUNCATE) == 4 and (inside / "file").read_bytes() == b""


def test_append(inside: Path) -> None:
    given = guest(inside)
    fd = given.open("file", 0, APPEND)
    assert given.write(fd, b"ab") == 2 and given.seek(fd, 0, 1) == 12 and given.seek(fd, 0, 0) == 0 and given.read(fd, 2) == b"01"
    assert given.write(fd, b"cd") == 2 and given.seek(fd, 0, 1) == 14
    assert given.call("fd_fdstat_get", fd, OUT) == "success" and given.get(OUT + 2, 1) == bytes([APPEND])
    assert given.call("fd_fdstat_set_flags", fd, NONBLOCK) == "success" and given.seek(fd, 0, 0) == 0 and given.write(fd, b"X") == 1
    assert given.call("fd_fdstat_set_flags", fd, 2) == "inval" == given.call("fd_fdstat_set_flags", fd, 32)
    assert (inside / "file").read_bytes() == b"X123456789abcd"


def test_rights_are_what_a_file_was_opened_for(inside: Path) -> None:
    given = guest(inside)
    reads = given.open("file", 0, 0, READ)
    assert given.read(reads, 2) == b"01" and given.write(reads, b"x") == "badf" == given.write(reads, b"x", 0) == given.call("fd_filestat_set_size", reads, 0)
    writes = given.open("file", 0, 0, RIGHT["fd_write"])
    assert given.write(writes, b"x") == 1 and given.read(writes, 1) == "badf" == given.read(writes, 1, 0)
    assert given.call("fd_fdstat_set_rights", writes, 0, 0) == "notsup"
    assert given.call("fd_readdir", reads, 1024, 10, 0, OUT) == "badf" and given.open("x", fd=reads) == "notdir" and given.open("x", fd=1) == "badf"
    folder = given.open("sub", DIRECTORY, 0, READ)
    assert given.read(folder, 1) == "badf" == given.write(folder, b"x") == given.seek(folder, 0, 0)
    assert given.call("fd_filestat_set_size", folder, 0) == "badf" and given.call("fd_sync", folder) == "success"


def test_read_only(inside: Path) -> None:
    given = guest(inside, mutable=False)
    fd = given.open("file", 0, 0, READ)
    assert given.read(fd, 3) == b"012"
    assert given.open("file") == given.open("new", CREATE) == given.open("file", TRUNCATE, 0, READ) == "rofs"
    for name, args in (
        ("path_create_directory", (3, *given.path("x"))),
        ("path_unlink_file", (3, *given.path("file"))),
        ("path_remove_directory", (3, *given.path("sub/deep"))),
        ("path_rename", (3, *given.path("file"), 3, *given.path("x"))),
        ("path_symlink", (*given.path("file"), 3, *given.path("x"))),
        ("path_link", (3, 0, *given.path("file"), 3, *given.path("x"))),
        ("path_filestat_set_times", (3, 0, *given.path("file"), 0, 0, 1)),
    ):
        assert given.call(name, *args) == "rofs", name
    assert given.call("fd_filestat_set_times", fd, 0, 0, 1) == "perm"
    assert sorted(p.name for p in inside.iterdir()) == ["file", "sub"]


def test_renumber(inside: Path) -> None:
    given = guest(inside)
    first, second = given.open("file", 0, 0, READ), given.open("file", 0, 0, READ)
    assert given.read(first, 4) == b"0123" and given.call("fd_renumber", first, second) == "success"
    assert given.read(second, 2) == b"45" and given.read(first, 1) == "badf" and given.call("fd_renumber", second, second) == "success"
    assert given.call("fd_renumber", second, 99) == "badf" == given.call("fd_renumber", 99, second) == given.call("fd_renumber", second, -1)
    assert given.open("file", 0, 0, READ) == first
    # standard output into a file
    into = given.open("log", CREATE)
    assert given.call("fd_renumber", into, 1) == "success" and given.write(1, b"logged") == 6 and (inside / "log").read_text() == "logged"


def test_descriptors_are_limited_and_closed_with_the_store(inside: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    given = guest(inside)
    opened = 0
    while (fd := given.open("file", 0, 0, READ)) != "mfile":
        assert isinstance(fd, int)
        opened += 1
    assert opened == filesystem.MAX_DESCRIPTORS - 1 and len(os.listdir("/proc/self/fd")) >= before + opened
    assert given.call("fd_close", 100) == "success" and given.open("file", 0, 0, READ) == 100
    given.store.close()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_new_config_is_a_new_world(inside: Path) -> None:
    given = guest(inside)
    fd = given.open("file", 0, 0, READ)
    given.store.set_wasi(wasmrt.WasiConfig())
    assert given.read(fd, 1) == "badf"


def test_another_thread_cannot_take_the_files_of_a_running_guest_away(inside: Path) -> None:
    engine = wasmrt.Engine()
    store = wasmrt.Store(engine)
    config = wasmrt.WasiConfig()
    config.stdout_file = inside / "out"
    store.set_wasi(config)
    linker = wasmrt.Linker(engine)
    linker.define_wasi()
    module = wasmrt.Module(engine, """(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 4) "\\01")
        (func (export "go") (loop $l (br_if $l (i32.eqz (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))))))""")
    go = linker.instantiate(store, module).exports(store)["go"].with_options(timeout=0.5)
    refused = []

    def meddle() -> None:
        for change in (lambda: store.set_wasi(wasmrt.WasiConfig()), store.close):
            try:
                change()
            except wasmrt.WasmError as error:
                refused.append(str(error))

    thread = threading.Timer(0.1, meddle)
    thread.start()
    with pytest.raises(wasmrt.Trap, match="timeout"):
        go()
    thread.join()
    assert len(refused) == 2 and "in use by another thread" in refused[0]
    assert os.stat(inside / "out").st_size > 10
    # a number that is given out again is what it is now
    given = guest(inside)
    fd = given.open("file", 0, 0, READ)
    given.call("fd_close", fd)
    assert given.open("sub", DIRECTORY, 0, READ) == fd and given.read(fd, 1) == "badf" == given.seek(fd, 0, 0)


def test_a_fifo(inside: Path) -> None:
    os.mkfifo(inside / "fifo")
    given = guest(inside)
    reads, writes = given.open("fifo", 0, NONBLOCK, READ), given.open("fifo", 0, 0, RIGHT["fd_write"])
    assert given.read(reads, 5) == "again" and given.seek(reads, 0, 0) == "spipe" and given.read(reads, 1, 0) == "spipe"
    assert given.write(writes, b"abc") == 3 and given.read(reads, 5) == b"abc"
    given.call("fd_fdstat_set_flags", reads, 0)
    threading.Timer(0.05, lambda: (inside / "fifo").write_bytes(b"later")).start()
    assert given.read(reads, 5) == b"later"
    given.store.set_timeout(0.05)
    with pytest.raises(wasmrt.Trap, match="interrupt"):
        given.read(reads, 5)


# ---- directories ----------------------------------------------------------------------------------------------------------------------------


def test_directories(inside: Path) -> None:
    given = guest(inside)
    path = given.path
    assert given.call("path_create_directory", 3, *path("made/")) == "success" and given.call("path_create_directory", 3, *path("made")) == "exist"
    assert given.call("path_rename", 3, *path("file"), 3, *path("made/moved")) == "success"
    assert given.call("path_link", 3, 0, *path("made/moved"), 3, *path("linked")) == "success"
    assert given.call("path_link", 3, 1, *path("made/moved"), 3, *path("other")) == "inval"
    assert given.call("path_symlink", *path("made/moved"), 3, *path("link")) == "success"
    assert given.call("path_symlink", *path("/etc/passwd"), 3, *path("bad")) == "perm"
    assert given.call("path_readlink", 3, *path("link"), 1024, 100, OUT) == "success" and given.get(1024, given.u32()) == b"made/moved"
    assert given.call("path_readlink", 3, *path("link"), 1024, 4, OUT) == "success" and given.u32() == 4
    assert given.call("path_readlink", 3, *path("linked"), 1024, 4, OUT) == "inval"
    for flags, kind, size in ((1, 4, 10), (0, 7, 10)):
        assert given.call("path_filestat_get", 3, flags, *path("link"), OUT) == "success"
        assert given.get(OUT + 16, 1) == bytes([kind]) and given.u64(OUT + 32) == size
    assert given.call("path_filestat_get", 3, 2, *path("link"), OUT) == "inval"
    assert given.call("path_filestat_set_times", 3, 1, *path("link"), 0, 9_000_000_000, 4) == "success" and os.stat(inside / "linked").st_mtime == 9
    assert given.call("path_remove_directory", 3, *path("made")) == "notempty"
    assert given.call("path_unlink_file", 3, *path("made/moved")) == "success" == given.call("path_remove_directory", 3, *path("made"))
    assert given.open("link") == "noent" and given.open("link", look=0) == "loop"
    assert given.call("path_unlink_file", 3, *path("sub")) in ("isdir", "perm") and given.open("linked", DIRECTORY) == "notdir"
    folder = given.open("sub", DIRECTORY, 0, READ)
    assert given.call("path_create_directory", folder, *path("below")) == "success" and (inside / "sub" / "below").is_dir()
    assert given.open("../linked", fd=folder) == "perm" and given.open("deep/../below", DIRECTORY, 0, READ, fd=folder) == 5


def test_reading_directories(inside: Path) -> None:
    names = [f"n{number:03}" for number in range(300)] + ["ünï ☃", "x" * 200]
    for name in names:
        (inside / "sub" / name).write_text("")
    (inside / "sub" / "link").symlink_to("nowhere")
    os.mkfifo(inside / "sub" / "fifo")
    (inside / "sub" / os.fsdecode(b"\xff")).write_text("")
    given = guest(inside)
    fd = given.open("sub", DIRECTORY, 0, READ)
    for size in (24 + 200, 300, 1000, 20000):
        found: dict[bytes, int] = {}
        order, cookie = [], 0
        while True:
            got = given.entries(fd, cookie, size)
            assert isinstance(got, list)
            if not got:
                break
            for cookie, name, kind in got:
                assert name not in found
                found[name] = kind
                order.append((cookie, name))
        expected = {name.encode(): 4 for name in names} | {b".": 3, b"..": 3, b"deep": 3, b"link": 7, b"fifo": 0, b"\xff": 4}
        assert found == expected
        # any cookie can be gone back to
        for at in (200, 7, 150):
            again = given.entries(fd, order[at][0], 24 + 200)
            assert isinstance(again, list) and again[0][1] == order[at + 1][1]
    assert given.entries(fd, (1 << 64) - 1) == []
    # what does not fit is cut off
    assert given.call("fd_readdir", fd, 1024, 30, 0, OUT) == "success" and given.u32() == 30
    assert given.call("fd_readdir", fd, 1024, 0, 0, OUT) == "success" and given.u32() == 0
    (inside / "sub" / "added").write_text("")
    assert any(name == b"added" for _, name, _ in given.entries(fd, 0, 25000))


@pytest.mark.parametrize("name", ["ünï", "日本語", "a b", "e\u0301", "🦀", "\u202e"])
def test_names_are_utf8(inside: Path, name: str) -> None:
    given = guest(inside)
    fd = given.open(name, CREATE)
    assert isinstance(fd, int) and given.write(fd, b"x") == 1 and (inside / name).read_bytes() == b"x"
    assert any(found == name.encode() for _, found, _ in given.entries(3))


def test_bad_paths(inside: Path) -> None:
    given = guest(inside)
    assert given.open("") == "noent" and given.open("a\0b") == "inval" and given.open(b"\xff") == "ilseq"
    assert given.open("a" * 300) == "nametoolong" == given.open("a/" * 3000) and given.open("file/x") == "notdir" == given.open("file/")
    assert given.call("path_open", 3, 1, 0, 100_000, 0, READ, READ, 0, OUT) == "nametoolong"
    assert given.open("x", 16) == given.open("x", 0, 32) == given.open("x", look=2) == "inval"
    assert given.open("x", CREATE | DIRECTORY) == "inval"


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "sub/../../secret", "up/secret", "chain", "absolute", "sub/up2", ".."])
def test_nothing_outside_is_reached(inside: Path, path: str) -> None:
    (inside / "up").symlink_to("..")
    (inside / "up1").symlink_to("up/secret")
    (inside / "chain").symlink_to("up1")
    (inside / "absolute").symlink_to(inside.parent / "secret")
    (inside / "sub" / "up2").symlink_to("deep/../../../secret")
    given = guest(inside)
    where = given.path
    for call in (
        lambda: given.open(path),
        lambda: given.open(path, CREATE),
        lambda: given.open(path, TRUNCATE),
        lambda: given.call("path_filestat_get", 3, 1, *where(path), OUT),
        lambda: given.call("path_filestat_set_times", 3, 1, *where(path), 0, 0, 1),
        lambda: given.call("path_create_directory", 3, *where(f"{path}/x")),
        lambda: given.call("path_rename", 3, *where("file"), 3, *where(f"{path}/x")),
        lambda: given.call("path_link", 3, 0, *where("file"), 3, *where(f"{path}/x")),
        lambda: given.call("path_unlink_file", 3, *where(f"{path}/x")),
        lambda: given.call("path_symlink", *where("file"), 3, *where(f"{path}/x")),
    ):
        assert call() in ("perm", "notdir")
    assert (inside.parent / "secret").read_text() == "secret" and sorted(p.name for p in inside.parent.iterdir()) == ["inside", "secret"]


def test_a_directory_that_is_swapped_for_a_link_while_a_guest_opens(inside: Path) -> None:
    """A thread of the host replaces `sub/deep` by a link to the outside and back, over and over."""
    (inside / "sub" / "deep" / "secret").write_text("harmless")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(inside / "sub" / "deep", inside / "sub" / "away")
            os.symlink("../..", inside / "sub" / "deep")
            os.unlink(inside / "sub" / "deep")
            os.rename(inside / "sub" / "away", inside / "sub" / "deep")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        given = guest(inside)
        deadline = time.monotonic() + 1
        outcomes = set()
        while time.monotonic() < deadline:
            fd = given.open("sub/deep/secret", 0, 0, READ)
            if isinstance(fd, int):
                assert given.read(fd, 100) == b"harmless"
                given.call("fd_close", fd)
                fd = "opened"
            outcomes.add(fd)
    finally:
        stop.set()
        thread.join()
    assert outcomes <= {"opened", "noent", "notdir", "loop", "perm", "inval"}  # inval: what was a link is none when it is read


# ---- polling --------------------------------------------------------------------------------------------------------------------------------

CLOCK, READABLE, WRITABLE = 0, 1, 2
SHORT = 20_000_000


def test_sleeping() -> None:
    given = guest()
    for clock, flags, start in ((1, 0, 0), (0, 0, 0), (1, 1, time.monotonic_ns), (0, 1, time.time_ns)):
        before = time.monotonic_ns()
        until = SHORT + (start() if callable(start) else 0)
        assert given.poll((CLOCK, clock, until, flags)) == [(0, 0, CLOCK, 0, 0)]
        assert SHORT * 0.9 <= time.monotonic_ns() - before < 40 * SHORT
    assert given.poll((CLOCK, 1, 10**12, 0), (CLOCK, 1, 0, 0), (CLOCK, 0, 1, 1)) == [(1, 0, CLOCK, 0, 0), (2, 0, CLOCK, 0, 0)]
    assert given.poll((CLOCK, 2, 0, 0)) == "inval" == given.poll((3, 0, 0, 0)) == given.poll()


def test_polling_descriptors(inside: Path) -> None:
    out, into = os.pipe()
    with open(out, "rb") as file:
        config = wasmrt.WasiConfig()
        config.stdin = file
        config.preopen_dir(inside, "/")
        given = Guest(wasmrt, config)
        assert given.poll((READABLE, 0, 0, 0), (CLOCK, 1, SHORT, 0)) == [(1, 0, CLOCK, 0, 0)]
        threading.Timer(0.03, lambda: os.write(into, b"x")).start()
        assert given.poll((CLOCK, 1, 10**11, 0), (READABLE, 0, 0, 0)) == [(1, 0, READABLE, 1, 0)]
        assert given.poll((WRITABLE, 1, 0, 0), (CLOCK, 1, 10**11, 0)) == [(0, 0, WRITABLE, 1, 0)]
        assert given.read(0, 10) == b"x"
        os.close(into)
        assert given.poll((READABLE, 0, 0, 0)) == [(0, 0, READABLE, 0, 1)]
    fd = given.open("file")
    assert given.poll((READABLE, fd, 0, 0), (WRITABLE, fd, 0, 0)) == [(0, 0, READABLE, 10, 0), (1, 0, WRITABLE, 1, 0)]
    given.seek(fd, 0, 2)
    assert given.poll((READABLE, fd, 0, 0)) == [(0, 0, READABLE, 0, 1)]
    for kind, which in ((READABLE, 1), (WRITABLE, 0), (READABLE, 99), (READABLE, 3)):
        assert given.poll((kind, which, 0, 0)) == "badf"


def test_a_timeout_ends_a_sleep() -> None:
    given = guest()
    before = time.monotonic()
    given.store.set_timeout(0.1)
    with pytest.raises(wasmrt.Trap, match="interrupt") as caught:
        given.poll((CLOCK, 1, (1 << 64) - 1, 0))
    assert 0.09 < time.monotonic() - before < 5 and caught.value.trap_code == wasmrt.TrapCode.INTERRUPT
    given.store.set_timeout(None)
    assert given.poll((CLOCK, 1, 1, 0)) == [(0, 0, CLOCK, 0, 0)]


def test_another_thread_ends_a_sleep_by_the_epoch() -> None:
    config = wasmrt.Config()
    config.epoch_interruption = True
    engine = wasmrt.Engine(config)
    store = wasmrt.Store(engine)
    store.set_epoch_deadline(1)
    linker = wasmrt.Linker(engine)
    linker.define_wasi()
    module = wasmrt.Module(engine, """(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $p (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 24) "\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\0f") (data (i32.const 16) "\\01")
        (func (export "sleep") (result i32) (call $p (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))""")
    sleep = linker.instantiate(store, module).exports(store)["sleep"]
    threading.Timer(0.05, engine.increment_epoch).start()
    with pytest.raises(wasmrt.Trap, match="interrupt"):
        sleep(store)


def test_a_signal_ends_a_sleep() -> None:
    class Rang(Exception):
        pass

    def ring(*_: Any) -> None:
        raise Rang

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Rang):
            guest().poll((CLOCK, 1, 10**12, 0))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ---- hostile pointers -----------------------------------------------------------------------------------------------------------------------

SIZE = 2 << 16
ODD = (0, 1, 3, OUT, SIZE - 1, SIZE - 4, SIZE, SIZE + 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFF)


def test_addresses_outside_of_the_memory(inside: Path) -> None:
    given = guest(inside, argv=["a"], env={"A": "b"}, stdout_custom=lambda data: None)
    fd = given.open("file")
    assert isinstance(fd, int)
    one = given.put(struct.pack("<II", 1024, 4))
    path = given.path("file")
    for address in (SIZE - 3, SIZE, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF):
        for name, args in (
            ("args_get", (address, 1024)),
            ("args_get", (1024, address)) if address != SIZE - 3 else ("args_get", (address, 1024)),
            ("args_sizes_get", (address, OUT)),
            ("args_sizes_get", (OUT, address)),
            ("clock_time_get", (0, 0, address)),
            ("clock_res_get", (0, address)),
            ("random_get", (address, 8)),
            ("fd_write", (1, one, 1, address)),
            ("fd_write", (1, address, 1, OUT)),
            ("fd_write", (1, address, 2, OUT)),
            ("fd_read", (fd, one, 1, address)),
            ("fd_read", (fd, address, 1, OUT)),
            ("fd_pread", (fd, address, 1, 0, OUT)),
            ("fd_pwrite", (fd, address, 1, 0, OUT)),
            ("fd_seek", (fd, 0, 0, address)),
            ("fd_tell", (fd, address)),
            ("fd_fdstat_get", (fd, address)),
            ("fd_filestat_get", (fd, address)),
            ("fd_filestat_get", (1, address)),
            ("fd_prestat_get", (3, address)),
            ("fd_prestat_dir_name", (3, address, 5)),
            ("fd_readdir", (3, address, 100, 0, OUT)),
            ("fd_readdir", (3, 1024, 100, 0, address)),
            ("path_filestat_get", (3, 0, *path, address)),
            ("path_filestat_get", (3, 0, address, 4, OUT)),
            ("path_open", (3, 0, *path, 0, READ, 0, 0, address)),
            ("path_open", (3, 0, address, 4, 0, READ, 0, 0, OUT)),
            ("path_rename", (3, *path, 3, address, 4)),
            ("path_symlink", (address, 4, 3, *path)),
            ("poll_oneoff", (address, 1024, 1, OUT)),
            ("poll_oneoff", (1024, address, 1, OUT)),
        ):
            assert given.call(name, *args) == "fault", (name, args)
    # lengths that wrap around
    for vector in ((1024, 0xFFFFFFFF), (0xFFFFFFFF, 2), (0xFFFFFF00, 0x100), (SIZE, 1), (SIZE - 1, 2)):
        at = given.put(struct.pack("<II", *vector))
        assert given.call("fd_write", 1, at, 1, OUT) == given.call("fd_read", fd, at, 1, OUT) == "fault"
    assert given.call("fd_write", 1, one, 0xFFFFFFFF, OUT) == "fault" == given.call("fd_write", 1, one, 0x20000000, OUT)
    assert given.call("random_get", 8, 0xFFFFFFFF) == "fault" == given.call("fd_readdir", 3, 8, 0xFFFFFFFF, 0, OUT)
    assert given.call("poll_oneoff", 0, 0, 0xFFFFFFFF, OUT) == "inval"
    assert (inside / "file").read_bytes() == b"0123456789"
    # an effect is not begun when nobody could be told of it
    assert len(os.listdir(inside)) == 2 and given.call("path_open", 3, 0, *given.path("made"), CREATE, READ, 0, 0, SIZE) == "fault" and len(os.listdir(inside)) == 2


def test_random_arguments_never_raise(inside: Path) -> None:
    """Any integers in any call: an errno, or the trap of an interrupted wait, and nothing outside of the directory changes."""
    import random

    rng = random.Random(11)
    given = guest(inside, stdout_custom=lambda data: None, stderr_custom=lambda data: None)
    given.open("file")
    given.open("sub", DIRECTORY, 0, READ)
    every = {**SIGNATURES, **IN_C}
    del every["proc_exit"]
    interesting = (*range(8), *ODD, 1024, 1028, 65536)
    for number in range(4000):
        if number % 50 == 0:
            given.put(bytes(rng.choices((0, 0, 0, 0, 1, 2, 3, 4, 47, 46, 97, 255), k=4096)), 1024)
            given.put(b"../secret\0file\0sub/deep", 1100)
        name = rng.choice(list(every))
        args = [rng.choice(interesting) if letter == "i" or rng.random() < 0.7 else rng.getrandbits(64) for letter in every[name]]
        given.store.set_timeout(0.02 if name in ("poll_oneoff", "random_get") else 5)
        try:
            assert given.call(name, *args) in ERRNO
        except wasmrt.Trap as trap:
            assert trap.trap_code == wasmrt.TrapCode.INTERRUPT and name == "poll_oneoff", (name, args)
    assert (inside.parent / "secret").read_text() == "secret" and sorted(p.name for p in inside.parent.iterdir()) == ["inside", "secret"]


def test_a_module_without_memory() -> None:
    engine = wasmrt.Engine()
    linker = wasmrt.Linker(engine)
    linker.define_wasi()
    store = wasmrt.Store(engine)
    for name, letters in (("fd_close", "i32"), ("random_get", "i32 i32")):
        zeros = " ".join("(i32.const 0)" for _ in letters.split())
        module = wasmrt.Module(engine, f"""(module (import "wasi_snapshot_preview1" "{name}" (func $f (param {letters}) (result i32)))
            (func (export "go") (result i32) (call $f {zeros})))""")
        with pytest.raises(wasmrt.Trap, match="missing required memory export"):
            linker.instantiate(store, module).exports(store)["go"](store)
        # called by the host, which has no memory either
        with pytest.raises(wasmrt.Trap, match="missing required memory export"):
            linker.get(store, "wasi_snapshot_preview1", name)(*[0 for _ in letters.split()])


def test_random_bytes_are_interrupted() -> None:
    """A guest with 4 GiB of memory asks for 4 GiB at once."""
    engine = wasmrt.Engine()
    linker = wasmrt.Linker(engine)
    linker.define_wasi()
    store = wasmrt.Store(engine)
    module = wasmrt.Module(engine, """(module (import "wasi_snapshot_preview1" "random_get" (func $f (param i32 i32) (result i32)))
        (memory (export "memory") 16384) (func (export "go") (result i32) (call $f (i32.const 0) (i32.const 0x3fffffff))))""")
    go = linker.instantiate(store, module).exports(store)["go"].with_options(timeout=0.05)
    before = time.monotonic()
    with pytest.raises(wasmrt.Trap, match="interrupt"):
        go()
    assert time.monotonic() - before < 1.5


def test_sockets_and_definitions() -> None:
    given = guest()
    assert given.call("sock_shutdown", 1, 3) == given.call("sock_accept", 0, 0, OUT) == given.call("sock_recv", 0, 0, 0, 0, OUT, OUT) == "notsock"
    assert given.call("sock_send", 99, 0, 0, 0, OUT) == "badf"
    linker = wasmrt.Linker(wasmrt.Engine())
    linker.define_wasi()
    with pytest.raises(wasmrt.WasmError, match="defined twice"):
        linker.define_wasi()
    linker.allow_shadowing = True
    linker.define_wasi()
    other = wasmrt.Store()
    with pytest.raises(wasmrt.WasmError, match="cross-`Engine`"):
        linker.get(other, "wasi_snapshot_preview1", "fd_write")
