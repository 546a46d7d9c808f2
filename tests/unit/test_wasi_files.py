"""wasi:filesystem on real directories: what guests can do in one that was preopened, and that they never get out of it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import wasmrt
from wasmrt.component import Variant
from wasmrt.wasi import filesystem
from wasmrt.wasi.filesystem import Descriptor, get_directories

FOLLOW = {"symlink-follow"}


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "inside"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "file").write_text("0123456789")
    (folder / "sub" / "deep" / "leaf").write_text("leaf")
    return folder


def opened(path: Path, mutable: bool = True) -> Descriptor:
    store = wasmrt.Store()
    config = wasmrt.WasiConfig()
    config.preopen_dir(path, "/data", fs_mutable=mutable)
    store.set_wasi(config)
    ((descriptor, name),) = get_directories(store)
    assert name == "/data"
    return descriptor


@pytest.fixture
def root(inside: Path) -> Iterator[Descriptor]:
    descriptor = opened(inside)
    yield descriptor
    descriptor.close()


def code(function: Callable[..., Any], *args: Any) -> str:
    with pytest.raises(wasmrt.WitError) as caught:
        function(*args)
    return str(caught.value.value)


def read(root: Descriptor, path: str) -> bytes:
    descriptor = root.open_at(FOLLOW, path, set(), {"read"})
    try:
        return descriptor.read(1000, 0)[0]
    finally:
        descriptor.close()


def test_files(root: Descriptor, inside: Path) -> None:
    file = root.open_at(set(), "new", {"create", "exclusive"}, {"read", "write"})
    assert file.get_type() == "regular-file" and file.get_flags() == {"read", "write"}
    assert file.write(b"hello world", 0) == 11 and file.read(5, 6) == (b"world", False) and file.read(5, 11) == (b"", True)
    file.set_size(5)
    assert (inside / "new").read_bytes() == b"hello" and file.stat()["size"] == 5
    out = file.append_via_stream()
    assert out.write(b", you").tag == "ok" and out.write(b"!").tag == "ok"
    at = file.write_via_stream(0)
    assert at.write(b"H").tag == "ok" and at.write(b"E").tag == "ok"
    source = file.read_via_stream(1)
    assert source.read(3) == b"Ell" and source.read(100) == b"o, you!" and source.read(1) is None
    file.advise(0, 0, "sequential")
    file.sync()
    file.sync_data()
    file.set_times(Variant("timestamp", wasmrt.component.Record(seconds=5, nanoseconds=7)), Variant("now"))
    found = file.stat()
    assert found["data-access-timestamp"] == {"seconds": 5, "nanoseconds": 7} and found["data-modification-timestamp"]["seconds"] > 10**9
    again = root.open_at(set(), "new", set(), {"read"})
    assert again.is_same_object(file) and not again.is_same_object(root)
    assert again.metadata_hash() == root.metadata_hash_at(set(), "new") != root.metadata_hash()
    assert code(again.write, b"x", 0) == "bad-descriptor"
    assert code(root.open_at, set(), "new", {"create", "exclusive"}, {"write"}) == "exist"
    assert code(file.write, b"x", 1 << 63) == "invalid" == code(file.read, 1, (1 << 64) - 1)
    assert code(root.read, 1, 0) == "is-directory" and code(file.read_directory) == "not-directory"
    assert source.skip(10) is None and file.read_via_stream(1 << 63).read(4) is None
    assert file.write_via_stream(1 << 63).write(b"x").payload.code == "file-too-large"


def test_directories(root: Descriptor, inside: Path) -> None:
    root.create_directory_at("made/")
    assert code(root.create_directory_at, "made") == "exist"
    root.rename_at("file", root, "made/moved")
    root.link_at(set(), "made/moved", root, "linked")
    root.symlink_at("made/moved", "link")
    assert root.readlink_at("link") == "made/moved" and read(root, "link") == b"0123456789"
    assert root.stat_at(set(), "link")["type"] == "symbolic-link" and root.stat_at(FOLLOW, "link")["size"] == 10
    assert root.stat_at(FOLLOW, "linked")["link-count"] == 2
    entries, stream = {}, root.read_directory()
    while (entry := stream.read_directory_entry()) is not None:
        entries[entry["name"]] = entry["type"]
    stream.close()
    assert entries == {"made": "directory", "linked": "regular-file", "link": "symbolic-link", "sub": "directory"}
    assert code(root.remove_directory_at, "made") == "not-empty"
    root.unlink_file_at("made/moved")
    root.remove_directory_at("made/")
    assert code(root.stat_at, FOLLOW, "link") == "no-entry" and code(root.unlink_file_at, "sub") in ("is-directory", "not-permitted")
    sub = root.open_at(FOLLOW, "sub", {"directory"}, {"read", "mutate-directory"})
    assert read(sub, "deep/leaf") == read(sub, "deep/../deep/./leaf") == b"leaf"
    assert code(sub.open_at, FOLLOW, "../linked", set(), {"read"}) == "not-permitted"
    root.set_times_at(FOLLOW, "linked", Variant("no-change"), Variant("timestamp", wasmrt.component.Record(seconds=9, nanoseconds=0)))
    assert os.stat(inside / "linked").st_mtime == 9


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "sub/../../secret", "sub/deep/../../../secret", "up/secret", "chain", "absolute", "sub/up2", ".."])
def test_nothing_outside_is_reached(root: Descriptor, inside: Path, path: str) -> None:
    (inside / "up").symlink_to("..")
    (inside / "up1").symlink_to("up/secret")
    (inside / "chain").symlink_to("up1")
    (inside / "absolute").symlink_to(inside.parent / "secret")
    (inside / "sub" / "up2").symlink_to("deep/../../../secret")
    for call in (
        lambda: root.open_at(FOLLOW, path, set(), {"read"}),
        lambda: root.open_at(FOLLOW, path, {"create"}, {"write"}),
        lambda: root.open_at(FOLLOW, path, {"truncate"}, {"write"}),
        lambda: root.stat_at(FOLLOW, path),
        lambda: root.metadata_hash_at(FOLLOW, path),
        lambda: root.create_directory_at(f"{path}/x"),
        lambda: root.rename_at("file", root, f"{path}/x"),
        lambda: root.set_times_at(FOLLOW, path, Variant("now"), Variant("now")),
    ):
        assert code(call) in ("not-permitted", "not-directory")
    assert (inside.parent / "secret").read_text() == "secret" and sorted(p.name for p in inside.parent.iterdir()) == ["inside", "secret"]


def test_links_that_are_not_followed(root: Descriptor, inside: Path) -> None:
    root.symlink_at("file", "link")
    assert code(root.open_at, set(), "link", set(), {"read"}) == "loop"
    assert code(root.symlink_at, "/etc/passwd", "bad") == "not-permitted"
    (inside / "absolute").symlink_to("/etc/passwd")
    assert code(root.readlink_at, "absolute") == "not-permitted"
    (inside / "round").symlink_to("round")
    assert code(root.stat_at, FOLLOW, "round") == "loop"
    root.unlink_file_at("absolute")
    root.symlink_at("elsewhere", "dangling")
    assert code(root.open_at, FOLLOW, "dangling", {"create", "exclusive"}, {"write"}) == "exist"


def test_random_paths_stay_inside(root: Descriptor, inside: Path) -> None:
    rng = random.Random(7)
    words = ["..", ".", "", "sub", "deep", "up", "file", "leaf", "link"]
    (inside / "up").symlink_to("..")
    (inside / "sub" / "link").symlink_to("../sub/deep")
    for _ in range(2000):
        path = "/".join(rng.choices(words, k=rng.randrange(1, 7)))
        try:
            descriptor = root.open_at(FOLLOW, path, set(), {"read"})
        except wasmrt.WitError:
            continue
        where = Path(os.readlink(f"/proc/self/fd/{descriptor._file.fd}"))
        descriptor.close()
        assert where == inside or inside in where.parents, path


def test_bad_paths(root: Descriptor) -> None:
    assert code(root.stat_at, FOLLOW, "") == "no-entry"
    assert code(root.stat_at, FOLLOW, "a\0b") == "invalid"
    assert code(root.stat_at, FOLLOW, "a" * 300) == "name-too-long" == code(root.stat_at, FOLLOW, "a/" * 3000)
    assert code(root.stat_at, FOLLOW, "file/x") == "not-directory" == code(root.open_at, FOLLOW, "file/", set(), {"read"})
    assert code(root.open_at, FOLLOW, "none", set(), {"read"}) == "no-entry"
    assert code(root.open_at, FOLLOW, "file", {"directory"}, {"read"}) == "not-directory"
    assert code(root.open_at, FOLLOW, "x", {"directory", "create"}, {"read"}) == "invalid"


def test_read_only(inside: Path) -> None:
    root = opened(inside, mutable=False)
    assert read(root, "sub/deep/leaf") == b"leaf"
    for call in (
        lambda: root.open_at(FOLLOW, "file", set(), {"write"}),
        lambda: root.open_at(FOLLOW, "file", {"truncate"}, {"read"}),
        lambda: root.open_at(FOLLOW, "new", {"create"}, {"read"}),
        lambda: root.open_at(FOLLOW, "sub", set(), {"mutate-directory"}),
        lambda: root.open_at(FOLLOW, "sub", set(), {"read"}).unlink_file_at("deep"),
        lambda: root.create_directory_at("x"),
        lambda: root.unlink_file_at("file"),
        lambda: root.rename_at("file", root, "x"),
        lambda: root.symlink_at("file", "x"),
    ):
        assert code(call) == "read-only"
    assert code(root.set_times, Variant("now"), Variant("now")) == "not-permitted"
    assert {p.name for p in inside.iterdir()} == {"file", "sub"}


def test_descriptors_are_limited(root: Descriptor) -> None:
    before = len(os.listdir("/proc/self/fd"))
    held = []
    with pytest.raises(wasmrt.WitError, match="insufficient-memory"):
        while True:
            held.append(root.open_at(FOLLOW, "file", set(), {"read"}))
    assert len(held) == filesystem.MAX_DESCRIPTORS - 1
    assert code(held[0].read_via_stream, 0) == "insufficient-memory"
    for descriptor in held:
        descriptor.close()
        descriptor.close()
    assert len(os.listdir("/proc/self/fd")) <= before
    assert read(root, "file") == b"0123456789"


def test_a_fifo_does_not_block(root: Descriptor, inside: Path) -> None:
    os.mkfifo(inside / "fifo")
    assert root.open_at(FOLLOW, "fifo", set(), {"read"}).get_type() == "fifo"
    assert code(root.open_at, FOLLOW, "fifo", {"truncate"}, set()) in ("no-such-device", "invalid")


def test_what_cannot_be_preopened(inside: Path) -> None:
    config = wasmrt.WasiConfig()
    with pytest.raises(FileNotFoundError):
        config.preopen_dir(inside / "none", "/")
    with pytest.raises(NotADirectoryError):
        config.preopen_dir(inside / "file", "/")
    with pytest.raises(TypeError):
        config.preopen_dir(inside, b"/")  # type: ignore[arg-type]
    (inside / "sub2").mkdir()
    config.preopen_dir(inside / "sub2", "/")
    store = wasmrt.Store()
    store.set_wasi(config)
    (inside / "sub2").rmdir()
    with pytest.raises(wasmrt.Trap, match="not there any more"):
        get_directories(store)
