"""Odd calls of WASI 0.1: the same errno as wasmtime's, or a row of DIFFERENCES that says why not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wasmrt
from wasmrt.wasi.preview1_abi import APPEND, NONBLOCK, RIGHT

from .preview1_guest import OUT, Guest

wasmtime = pytest.importorskip("wasmtime")

CREATE, DIRECTORY, EXCLUSIVE, TRUNCATE = 1, 2, 4, 8
READ, WRITE = RIGHT["fd_read"], RIGHT["fd_write"]


def opened(guest: Guest, *args: Any, **options: Any) -> int:
    fd = guest.open(*args, **options)
    assert isinstance(fd, int), fd
    return fd


CALLS: dict[str, Callable[[Guest], Any]] = {
    "open a file": lambda g: g.open("file"),
    "open what is not there": lambda g: g.open("none"),
    "open a directory to read": lambda g: g.open("sub", 0, 0, READ),
    "open a directory to write": lambda g: g.open("sub", 0, 0, READ | WRITE),
    "open a directory as one": lambda g: g.open("sub", DIRECTORY, 0, READ),
    "open a file as a directory": lambda g: g.open("file", DIRECTORY),
    "create a directory by opening": lambda g: g.open("new", CREATE | DIRECTORY),
    "create exclusively what is there": lambda g: g.open("file", CREATE | EXCLUSIVE),
    "create exclusively what a link points at": lambda g: g.open("link", CREATE | EXCLUSIVE),
    "create through a dangling link": lambda g: g.open("dangling", CREATE),
    "truncate without the right to write": lambda g: g.open("file", TRUNCATE, 0, READ),
    "open with no rights": lambda g: g.open("file", 0, 0, 0),
    "open a link without following": lambda g: g.open("link", look=0),
    "open a link": lambda g: g.open("link"),
    "open a loop": lambda g: g.open("round"),
    "open an absolute link": lambda g: g.open("absolute"),
    "open what is outside": lambda g: g.open("../secret"),
    "open what is outside by a link": lambda g: g.open("up/secret"),
    "open an absolute path": lambda g: g.open("/file"),
    "open nothing": lambda g: g.open(""),
    "open itself": lambda g: g.open(".", 0, 0, READ),
    "open with slashes": lambda g: g.open("sub//deep/./../../file"),
    "open a file with a slash behind it": lambda g: g.open("file/"),
    "open below a file": lambda g: g.open("file/x"),
    "open with a zero": lambda g: g.open("fi\0le"),
    "open with bad UTF-8": lambda g: g.open(b"\xff\xfe"),
    "open a long name": lambda g: g.open("a" * 300),
    "open with unknown flags": lambda g: g.open("file", 16),
    "open with unknown descriptor flags": lambda g: g.open("file", 0, 64),
    "open with unknown lookup flags": lambda g: g.open("file", look=4),
    "open below a descriptor of a file": lambda g: g.open("x", fd=opened(g, "file")),
    "open below standard output": lambda g: g.open("x", fd=1),
    "open below no descriptor": lambda g: g.open("x", fd=77),
    "read what is open to write": lambda g: g.read(opened(g, "file", 0, 0, WRITE), 1),
    "write what is open to read": lambda g: g.write(opened(g, "file", 0, 0, READ), b"x"),
    "write at a place what is open to read": lambda g: g.write(opened(g, "file", 0, 0, READ), b"x", 0),
    "read a directory as a file": lambda g: g.read(3, 1),
    "write a directory": lambda g: g.write(3, b"x"),
    "read standard output": lambda g: g.read(1, 1),
    "write standard input": lambda g: g.write(0, b"x"),
    "read standard input at a place": lambda g: g.read(0, 1, 0),
    "write standard output at a place": lambda g: g.write(1, b"x", 0),
    "read nothing": lambda g: g.read(opened(g, "file"), 0),
    "read beyond the end": lambda g: g.read(opened(g, "file"), 5, 100),
    "seek a directory": lambda g: g.seek(3, 0, 0),
    "seek standard input": lambda g: g.seek(0, 0, 1),
    "seek before the start": lambda g: g.seek(opened(g, "file"), -1, 0),
    "seek back too far": lambda g: g.seek(opened(g, "file"), -11, 2),
    "seek from the end": lambda g: g.seek(opened(g, "file"), -3, 2),
    "seek beyond the end": lambda g: g.seek(opened(g, "file"), 1 << 40, 0),
    "seek from nowhere": lambda g: g.seek(opened(g, "file"), 0, 3),
    "tell standard output": lambda g: g.call("fd_tell", 1, OUT),
    "close twice": lambda g: (fd := opened(g, "file"), g.call("fd_close", fd), g.call("fd_close", fd))[1:],
    "close the preopened directory": lambda g: (g.call("fd_close", 3), g.open("file")),
    "renumber to what is not open": lambda g: g.call("fd_renumber", opened(g, "file"), 50),
    "renumber what is not open": lambda g: g.call("fd_renumber", 50, 3),
    "renumber to itself": lambda g: g.call("fd_renumber", 3, 3),
    "renumber over standard output": lambda g: (g.call("fd_renumber", opened(g, "file"), 1), g.write(1, b"abc"), g.seek(1, 0, 1)),
    "set sync flags": lambda g: g.call("fd_fdstat_set_flags", opened(g, "file"), 16),
    "set the append flag": lambda g: (fd := opened(g, "file"), g.call("fd_fdstat_set_flags", fd, APPEND), g.write(fd, b"x"), g.call("fd_fdstat_get", fd, OUT), g.get(OUT, 4))[1:],
    "set unknown flags": lambda g: g.call("fd_fdstat_set_flags", opened(g, "file"), 128),
    "set flags of a directory": lambda g: g.call("fd_fdstat_set_flags", 3, NONBLOCK),
    "set flags of standard output": lambda g: g.call("fd_fdstat_set_flags", 1, NONBLOCK),
    "set rights": lambda g: g.call("fd_fdstat_set_rights", 3, 0, 0),
    "facts of standard input": lambda g: (g.call("fd_fdstat_get", 0, OUT), g.get(OUT, 24)),
    "facts of the preopened directory": lambda g: (g.call("fd_fdstat_get", 3, OUT), g.get(OUT, 24)),
    "facts of a file": lambda g: (g.call("fd_fdstat_get", opened(g, "file"), OUT), g.get(OUT, 24)),
    "facts of a file open to read": lambda g: (g.call("fd_fdstat_get", opened(g, "file", 0, 0, READ), OUT), g.get(OUT, 24)),
    "status of standard output": lambda g: (g.call("fd_filestat_get", 1, OUT), g.get(OUT + 16, 48)),
    "status of a file": lambda g: (g.call("fd_filestat_get", opened(g, "file"), OUT), g.get(OUT + 16, 24)),
    "status of a link": lambda g: (g.call("path_filestat_get", 3, 0, *g.path("link"), OUT), g.get(OUT + 16, 24)),
    "status of what is not there": lambda g: g.call("path_filestat_get", 3, 1, *g.path("none"), OUT),
    "status with unknown flags": lambda g: g.call("path_filestat_get", 3, 2, *g.path("file"), OUT),
    "resize a directory": lambda g: g.call("fd_filestat_set_size", 3, 0),
    "resize what is open to read": lambda g: g.call("fd_filestat_set_size", opened(g, "file", 0, 0, READ), 0),
    "set both times and now": lambda g: g.call("fd_filestat_set_times", opened(g, "file"), 0, 0, 3),
    "set unknown times": lambda g: g.call("path_filestat_set_times", 3, 0, *g.path("file"), 0, 0, 32),
    "allocate": lambda g: g.call("fd_allocate", opened(g, "file"), 0, 1),
    "allocate in a directory": lambda g: g.call("fd_allocate", 3, 0, 1),
    "advise a directory": lambda g: g.call("fd_advise", 3, 0, 0, 0),
    "advise what is unknown": lambda g: g.call("fd_advise", opened(g, "file"), 0, 0, 9),
    "synchronize standard output": lambda g: g.call("fd_sync", 1),
    "preopened name, too short a buffer": lambda g: g.call("fd_prestat_dir_name", 3, 1024, 1),
    "preopened name of a file": lambda g: g.call("fd_prestat_get", opened(g, "file"), OUT),
    "preopened name of what is not open": lambda g: g.call("fd_prestat_get", 90, OUT),
    "preopened name of standard output": lambda g: g.call("fd_prestat_dir_name", 1, 1024, 10),
    "make a directory that is there": lambda g: g.call("path_create_directory", 3, *g.path("sub")),
    "make a directory with a slash": lambda g: g.call("path_create_directory", 3, *g.path("new/")),
    "make a directory outside": lambda g: g.call("path_create_directory", 3, *g.path("../new")),
    "make a directory below nothing": lambda g: g.call("path_create_directory", 3, *g.path("none/new")),
    "remove a directory that is not empty": lambda g: g.call("path_remove_directory", 3, *g.path("sub")),
    "remove a file as a directory": lambda g: g.call("path_remove_directory", 3, *g.path("file")),
    "remove a directory with a slash": lambda g: g.call("path_remove_directory", 3, *g.path("sub/deep/")),
    "unlink what is not there": lambda g: g.call("path_unlink_file", 3, *g.path("none")),
    "unlink with a slash": lambda g: g.call("path_unlink_file", 3, *g.path("file/")),
    "unlink a directory": lambda g: g.call("path_unlink_file", 3, *g.path("sub")),
    "unlink a link": lambda g: (g.call("path_unlink_file", 3, *g.path("link")), g.open("file")),
    "rename to where a directory is": lambda g: g.call("path_rename", 3, *g.path("file"), 3, *g.path("sub")),
    "rename a directory over a file": lambda g: g.call("path_rename", 3, *g.path("sub"), 3, *g.path("file")),
    "rename over a file": lambda g: (g.call("path_rename", 3, *g.path("file"), 3, *g.path("other")), g.open("file"), g.open("other")),
    "rename what is not there": lambda g: g.call("path_rename", 3, *g.path("none"), 3, *g.path("x")),
    "rename to the outside": lambda g: g.call("path_rename", 3, *g.path("file"), 3, *g.path("../x")),
    "rename into itself": lambda g: g.call("path_rename", 3, *g.path("sub"), 3, *g.path("sub/deep/x")),
    "link": lambda g: (g.call("path_link", 3, 0, *g.path("file"), 3, *g.path("hard")), g.call("path_filestat_get", 3, 0, *g.path("hard"), OUT), g.u64(OUT + 24)),
    "link, following": lambda g: g.call("path_link", 3, 1, *g.path("link"), 3, *g.path("hard")),
    "link a directory": lambda g: g.call("path_link", 3, 0, *g.path("sub"), 3, *g.path("hard")),
    "link to where a file is": lambda g: g.call("path_link", 3, 0, *g.path("file"), 3, *g.path("other")),
    "symlink to where a file is": lambda g: g.call("path_symlink", *g.path("x"), 3, *g.path("file")),
    "symlink to an absolute path": lambda g: g.call("path_symlink", *g.path("/etc"), 3, *g.path("x")),
    "symlink to nothing": lambda g: g.call("path_symlink", *g.path(""), 3, *g.path("x")),
    "read a link": lambda g: (g.call("path_readlink", 3, *g.path("link"), 1024, 100, OUT), g.u32()),
    "read part of a link": lambda g: (g.call("path_readlink", 3, *g.path("link"), 1024, 2, OUT), g.u32()),
    "read a file as a link": lambda g: g.call("path_readlink", 3, *g.path("file"), 1024, 100, OUT),
    "read an absolute link": lambda g: g.call("path_readlink", 3, *g.path("absolute"), 1024, 100, OUT),
    "list a file": lambda g: g.entries(opened(g, "file")),
    "list standard output": lambda g: g.entries(1),
    "list": lambda g: sorted((name, kind) for _, name, kind in g.entries(3)),
    "list a part": lambda g: [item[:2] for item in g.entries(3, 0, 60)],
    "list from far behind": lambda g: g.entries(3, 1 << 40),
    "poll nothing": lambda g: g.poll(),
    "poll what is unknown": lambda g: g.poll((7, 0, 0, 0)),
    "poll a clock that is unknown": lambda g: g.poll((0, 9, 0, 0)),
    "poll a clock of CPU time": lambda g: g.poll((0, 2, 0, 0)),
    "poll standard output to read": lambda g: g.poll((1, 1, 0, 0)),
    "poll a directory": lambda g: g.poll((1, 3, 0, 0)),
    "poll what is not open": lambda g: g.poll((2, 60, 0, 0)),
    "poll a file": lambda g: [event[:3] for event in g.poll((1, opened(g, "file"), 0, 0))],
    "poll a time in the past": lambda g: [event[:3] for event in g.poll((0, 1, 1, 1))],
    "time of a clock that is unknown": lambda g: g.call("clock_time_get", 9, 0, OUT),
    "time of the CPU": lambda g: g.call("clock_time_get", 2, 0, OUT),
    "raise a signal": lambda g: g.call("proc_raise", 6),
    "shut down standard output": lambda g: g.call("sock_shutdown", 1, 3),
    "shut down what is not open": lambda g: g.call("sock_shutdown", 40, 3),
    "accept on a file": lambda g: g.call("sock_accept", opened(g, "file"), 0, OUT),
    "send on what is not open": lambda g: g.call("sock_send", 40, 0, 0, 0, OUT),
}
# what wasmrt answers instead, and why
TRAPS = "wasmtime traps for what no flag or case is"
DIFFERENCES: dict[str, tuple[Any, str]] = {
    "open with unknown flags": ("inval", TRAPS),
    "open with unknown descriptor flags": ("inval", TRAPS),
    "open with unknown lookup flags": ("inval", TRAPS),
    "seek from nowhere": ("inval", TRAPS),
    "set unknown flags": ("inval", TRAPS),
    "status with unknown flags": ("inval", TRAPS),
    "set unknown times": ("inval", TRAPS),
    "advise what is unknown": ("inval", TRAPS),
    "time of a clock that is unknown": ("inval", TRAPS),
    "time of the CPU": ("success", "wasmtime has no clocks of CPU time"),
    "resize what is open to read": ("badf", "as for every other write to it"),
    "remove a directory with a slash": ("success", "a directory's name may end in a slash"),
}


def world(folder: Path) -> Path:
    (folder / "secret").write_text("secret")
    inside = folder / "inside"
    (inside / "sub" / "deep").mkdir(parents=True)
    (inside / "file").write_text("0123456789")
    (inside / "other").write_text("other")
    for name, target in (("link", "file"), ("dangling", "nowhere"), ("round", "round"), ("absolute", "/etc/passwd"), ("up", "..")):
        (inside / name).symlink_to(target)
    return inside


def outcome(package: Any, folder: Path, call: Callable[[Guest], Any]) -> Any:
    folder.mkdir()
    config = package.WasiConfig()
    config.preopen_dir(str(world(folder)), "/")
    config.stdout_file = config.stderr_file = os.devnull
    try:
        return call(Guest(package, config))
    except package.WasmtimeError as error:
        return type(error).__name__


@pytest.mark.parametrize("name", CALLS)
def test_same_errno(name: str, tmp_path: Path) -> None:
    ours = outcome(wasmrt, tmp_path / "ours", CALLS[name])
    theirs = outcome(wasmtime, tmp_path / "theirs", CALLS[name])
    if name in DIFFERENCES:
        assert ours == DIFFERENCES[name][0] != theirs
    else:
        assert ours == theirs
