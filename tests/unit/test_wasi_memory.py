"""Directories in memory: they answer as real ones do, hold no more than they may, and can be read back."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wasmrt
from tests.unit.preview1_guest import ALL_RIGHTS, OUT, Guest
from wasmrt.component import Variant
from wasmrt.wasi import MemoryDirectory
from wasmrt.wasi.filesystem import Descriptor, get_directories
from wasmrt.wasi.io import IoError
from wasmrt.wasi.memory import NODE_BYTES

CONTENTS: dict[str, Any] = {"file": b"0123456789", "empty": b"", "sub": {"deep": {"leaf": b"leaf"}, "other": b"x" * 1000}, "none": {}}


def opened(path: Any, mutable: bool = True, **options: Any) -> Descriptor:
    store = wasmrt.Store()
    config = wasmrt.WasiConfig()
    config.preopen_dir(path, "/data", fs_mutable=mutable, **options)
    store.set_wasi(config)
    ((descriptor, name),) = get_directories(store)
    assert name == "/data"
    return descriptor


def make(folder: Path, contents: dict[str, Any]) -> None:
    folder.mkdir()
    for name, value in contents.items():
        if isinstance(value, dict):
            make(folder / name, value)
        else:
            (folder / name).write_bytes(value)


def found(folder: Path) -> dict[str, Any]:
    return {path.name: found(path) if path.is_dir() else path.read_bytes() for path in folder.iterdir()}


def outcome(function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except wasmrt.WitError as error:
        return f"err {error.value}"


class Actor:
    """Does what it is told below one directory, by the names of what it has open."""

    def __init__(self, root: Descriptor) -> None:
        self.open: dict[int, Descriptor] = {0: root}

    def __call__(self, operation: str, at: int, *args: Any) -> Any:
        descriptor = self.open.get(at)
        if descriptor is None:
            return "not open"
        if operation == "open":
            number, path, open_flags, flags = args
            result = outcome(descriptor.open_at, set(), path, open_flags, flags)
            if isinstance(result, Descriptor):
                self.open.setdefault(number, result)
                return result.get_type(), sorted(result.get_flags())
            return result
        if operation == "close":
            if at:
                self.open.pop(at).close()
            return None
        if operation == "list":
            stream = outcome(descriptor.read_directory)
            return sorted(entry["name"] + entry["type"] for entry in iter(stream.read_directory_entry, None)) if not isinstance(stream, str) else stream
        if operation in ("stat_at", "stat"):
            result = outcome(getattr(descriptor, operation), *args)
            # sizes and numbers of links of directories are a file system's own affair
            return result if isinstance(result, str) else (result["type"], result["type"] == "directory" or (result["size"], result["link-count"]))
        if operation in ("rename_at", "link_at"):
            *before, other, path = args
            return outcome(getattr(descriptor, operation), *before, self.open.get(other, descriptor), path)
        if operation == "append":
            stream = outcome(descriptor.append_via_stream)
            return stream if isinstance(stream, str) else stream.write(args[0]).tag
        return outcome(getattr(descriptor, operation), *args)


NAMES = ["file", "empty", "sub", "none", "new", "x", "sub/deep", "sub/deep/leaf", "sub/other", "sub/new", "new/x", "none/x", "x/x", ".", "..", "sub/..", "sub/../..",
    "sub/", "file/", "new/", "./sub//deep/./leaf", "sub/deep/../../file", "file/x", "none/../../x", "", "/", "/file", "a" * 256, "b" * 255, "x/" * 2100, "a\0b", "missing/.."]  # fmt: skip


def operations(rng: random.Random) -> list[Any]:
    path, at = rng.choice(NAMES), rng.choice([0, 0, 0, 1, 2, 3])
    flags = [set(), {"read"}, {"write"}, {"read", "write"}, {"mutate-directory", "read"}]
    open_flags = [set(), set(), {"create"}, {"create", "exclusive"}, {"truncate"}, {"directory"}, {"create", "truncate"}, {"directory", "create"}]
    return rng.choice(
        [
            ["open", at, rng.randrange(1, 4), path, rng.choice(open_flags), rng.choice(flags)],
            ["close", at],
            ["list", at],
            ["stat", at],
            ["stat_at", at, set(), path],
            ["create_directory_at", at, path],
            ["remove_directory_at", at, path],
            ["unlink_file_at", at, path],
            ["rename_at", at, path, rng.choice([0, at]), rng.choice(NAMES)],
            ["link_at", at, rng.choice([set(), set(), {"symlink-follow"}]), path, rng.choice([0, at]), rng.choice(NAMES)],
            ["readlink_at", at, path],
            ["write", at, rng.randbytes(rng.randrange(20)), rng.choice([0, 5, 100])],
            ["read", at, 50, rng.choice([0, 5, 1000])],
            ["append", at, b"more"],
            ["set_size", at, rng.choice([0, 3, 200])],
            ["set_times_at", at, set(), path, Variant("now"), Variant("no-change")],
            ["sync", at],
        ]
    )


@pytest.mark.parametrize("seed", range(12))
def test_as_a_real_directory(tmp_path: Path, seed: int) -> None:
    """Random calls have the same outcome on a real directory."""
    rng = random.Random(seed)
    make(tmp_path / "real", CONTENTS)
    tree = MemoryDirectory(CONTENTS)
    mutable = seed % 4 != 3
    real, memory = Actor(opened(tmp_path / "real", mutable)), Actor(opened(tree, mutable))
    history = []
    for _ in range(1500):
        step = operations(rng)
        history.append(step)
        expected, got = real(*step), memory(*step)
        assert got == expected, (step, history[-8:])
    assert tree.contents() == found(tmp_path / "real")
    for actor in (real, memory):
        for descriptor in actor.open.values():
            descriptor.close()


def size_of(contents: dict[str, Any]) -> int:
    inner = sum(size_of(value) if isinstance(value, dict) else len(value) for value in contents.values())
    return inner + sum(len(os.fsencode(name)) + NODE_BYTES for name in contents)


@pytest.mark.parametrize("seed", range(4))
def test_the_quota_is_kept(seed: int) -> None:
    """What is used is what there is, after anything, also with files that are deleted and still open."""
    rng = random.Random(seed)
    tree = MemoryDirectory(CONTENTS, quota=8000)
    actor = Actor(opened(tree))
    full = 0
    for _ in range(1500):
        full += "insufficient-space" in str(actor(*operations(rng)))
        assert 0 <= tree.left <= 8000
    for descriptor in actor.open.values():
        descriptor.close()
    links = [node for _, node in tree.root.directory.values()]
    while links and (node := links.pop()):
        links += [inner for _, inner in (node.entries or {}).values()]
        if node.num_links > 1:
            return  # hard links are counted once, which `size_of` does not know
    assert 8000 - tree.left == size_of(tree.contents())


def test_limits() -> None:
    tree = MemoryDirectory({}, quota=10_000)
    root = opened(tree)
    file = root.open_at(set(), "f", {"create"}, {"read", "write"})
    assert outcome(file.set_size, 1 << 50) == "err insufficient-space" and outcome(file.write, b"x", 1 << 63) == "err file-too-large"
    assert outcome(file.write, b"x", 1 << 40) == "err insufficient-space" and outcome(file.set_size, (1 << 64) - 1) == "err insufficient-space"
    stream = file.write_via_stream(0)
    assert stream.write(bytes(9000)).tag == "ok"
    failed = stream.write(bytes(2000))
    assert isinstance(failed.payload, IoError) and failed.payload.code == "insufficient-space"
    assert [outcome(root.create_directory_at, f"d{n}") for n in range(100)][-1] == "err insufficient-space"
    root.unlink_file_at("f")
    assert outcome(file.write, bytes(2000), 9000) == "err insufficient-space"  # deleted, and still there
    file.close()
    stream.close()
    assert root.open_at(set(), "g", {"create"}, {"write"}).write(bytes(5000), 0) == 5000
    holders = []
    while not isinstance(one := outcome(root.open_at, set(), "g", set(), {"read"}), str):
        holders.append(one)
    assert one == "err insufficient-memory" and outcome(root.open_at, set(), "h", {"create"}, {"read"}) == one
    assert "h" not in tree.contents()
    deep = opened(tree2 := MemoryDirectory())
    for _ in range(2000):
        deep.create_directory_at("d")
        inner = deep.open_at(set(), "d", {"directory"}, {"read", "mutate-directory"})
        deep.close()
        deep = inner
    assert list(tree2.contents()) == ["d"]


def test_what_a_program_gives() -> None:
    for contents, message in (
        ({"a": "text"}, "a file is bytes"), ({"a": 3}, "a file is bytes"), ({1: b""}, "a name is a str"), ([], "a mapping"),
        ({"a/b": b""}, "no name of a file"), ({"": b""}, "no name"), ({"..": {}}, "no name"), ({"a\0": b""}, "no name"), ({"a" * 256: b""}, "no name"),
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError), match=message):
            MemoryDirectory(contents)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="quota of 300"):
        MemoryDirectory({"a": bytes(100)}, quota=300)
    config = wasmrt.WasiConfig()
    tree = config.preopen_dir({"a": bytearray(b"x"), "b": memoryview(b"y")}, "/")
    assert tree is not None and tree.contents() == {"a": b"x", "b": b"y"}
    assert config.preopen_dir(tree, "/again", fs_mutable=True) is tree
    for wrong in (lambda: config.preopen_dir(tree, "/", quota=5), lambda: config.preopen_dir(".", "/", quota=5)):
        with pytest.raises(TypeError, match="quota"):
            wrong()
    with pytest.raises(TypeError, match="mapping"):
        config.preopen_dir(5, "/")  # type: ignore[arg-type]


def test_reading_while_it_changes() -> None:
    root = opened(MemoryDirectory({f"{n:04}": b"" for n in range(1000)}))
    stream, seen = root.read_directory(), []
    while (entry := stream.read_directory_entry()) is not None:
        seen.append(entry["name"])
        root.unlink_file_at(entry["name"])
    assert seen == [f"{n:04}" for n in range(1000)] and root.read_directory().read_directory_entry() is None


def test_links() -> None:
    root = opened(MemoryDirectory({"a": b"1"}))
    root.link_at(set(), "a", root, "b")
    a, b = (root.open_at(set(), name, set(), {"read", "write"}) for name in "ab")
    assert a.is_same_object(b) and a.metadata_hash() == b.metadata_hash() and not a.is_same_object(root)
    assert outcome(root.symlink_at, "a", "c") == "err not-permitted" and outcome(root.symlink_at, "a", "b") == "err exist"
    other = opened(MemoryDirectory())
    assert outcome(root.rename_at, "a", other, "a") == "err cross-device" == outcome(root.rename_at, "a", opened("."), "a")
    assert outcome(opened(".").rename_at, "a", root, "a") == "err cross-device"


def guest(tree: Any) -> Guest:
    config = wasmrt.WasiConfig()
    config.preopen_dir(tree, "/", fs_mutable=True)
    return Guest(wasmrt, config)


def test_wasi_0_1(tmp_path: Path) -> None:
    """One program, on both."""
    make(tmp_path / "real", CONTENTS)
    tree = MemoryDirectory(CONTENTS)
    results = []
    for given in (tmp_path / "real", tree):
        g, log = guest(given), []
        path = lambda text, g=g: (g.put(text.encode()), len(text.encode()))  # noqa: E731
        assert g.call("path_open", 3, 0, *path("new"), 1, ALL_RIGHTS, ALL_RIGHTS, 0, OUT) == "success"
        fd = g.u32()
        text = g.put(b"hello world")
        vector = g.put(text.to_bytes(4, "little") + (11).to_bytes(4, "little"))
        for call in (
            ("fd_write", fd, vector, 1, OUT), ("fd_seek", fd, 0, 0, OUT), ("fd_read", fd, vector, 1, OUT), ("fd_tell", fd, OUT), ("fd_read", fd, vector, 1, OUT),
            ("fd_seek", fd, (1 << 64) - 3, 2, OUT), ("fd_write", fd, vector, 1, OUT), ("fd_seek", fd, (1 << 64) - 1, 0, OUT), ("fd_seek", fd, 100, 1, OUT),
            ("fd_write", fd, vector, 1, OUT), ("fd_pread", fd, vector, 1, 2, OUT), ("fd_pwrite", fd, vector, 1, 1, OUT), ("fd_tell", fd, OUT),
            ("fd_fdstat_set_flags", fd, 1), ("fd_seek", fd, 0, 0, OUT), ("fd_write", fd, vector, 1, OUT), ("fd_tell", fd, OUT), ("fd_filestat_set_size", fd, 200),
            ("fd_datasync", fd), ("fd_sync", fd), ("fd_advise", fd, 0, 10, 0), ("fd_filestat_set_times", fd, 5, 7, 5), ("path_create_directory", 3, *path("d/")),
            ("path_rename", 3, *path("file"), 3, *path("d/moved")), ("path_unlink_file", 3, *path("empty")), ("path_remove_directory", 3, *path("none")),
            ("path_open", 3, 0, *path("../x"), 1, ALL_RIGHTS, ALL_RIGHTS, 0, OUT), ("fd_renumber", fd, fd), ("path_filestat_get", 3, 0, *path("new"), OUT),
        ):  # fmt: skip
            g.memory.write(g.store, bytes(8), OUT)
            answer = g.call(*call)
            log.append((call[0], answer, g.u64() if "filestat_get" not in call[0] else g.u64(OUT + 32), g.get(text, 11)))
        assert g.call("fd_readdir", 3, 1000, 2000, 0, OUT) == "success"
        assert g.call("fd_close", fd) == "success" == g.call("path_open", 3, 0, *path("sub"), 2, 2, 2, 0, OUT)
        g.store.close()
        results.append(log)
    assert results[0] == results[1]
    assert tree.contents() == found(tmp_path / "real")
