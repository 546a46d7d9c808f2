"""Directories in memory: a tree of names and bytes that guests see as they see a real directory, of WASI 0.1 and 0.2.

MemoryDirectory is the program's side; MemoryDescriptor is what a guest holds, a Descriptor whose files and paths are nodes of the tree and no files of the
system. Paths follow the rules of real directories (`paths.py`): `..` does not lead out, a slash at the end means a directory. There are no symbolic links: making one is
`not-permitted`. A tree holds no more bytes than its quota, names and NODE_BYTES for each node counted, also those of files that are deleted and still open.
Threads may share a tree: every call holds its lock.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import threading
import time
from collections.abc import Mapping
from typing import Any

from wasmrt.errors import ArgumentTypeError, ArgumentValueError, WitError

from .filesystem import Descriptor, DirectoryEntryStream, File, Quota, times_of
from .paths import encoded, failing_as_wasi

DEFAULT_ROOM_BYTES = 1 << 26  # beside what the tree has at first
NODE_BYTES = 256
MAX_NAME_BYTES = 255
BATCH = 256  # entries that reading a directory keeps
Contents = dict[str, Any]
_devices = itertools.count(1 << 62)


class Node:
    """A file (`data`) or a directory (`entries`: by name, numbered in the order they came)."""

    __slots__ = ("accessed_ns", "changed_ns", "data", "entries", "modified_ns", "num_links", "num_open", "number", "parent", "tree")

    def __init__(self, tree: MemoryDirectory, data: bytes | bytearray | None) -> None:
        self.tree = tree
        self.data = data
        self.entries: dict[bytes, tuple[int, Node]] | None = {} if data is None else None
        self.number = next(tree._numbers)
        self.parent: Node | None = None  # of a directory
        self.num_links = 0
        self.num_open = 0
        self.accessed_ns = self.modified_ns = self.changed_ns = time.time_ns()

    @property
    def directory(self) -> dict[bytes, tuple[int, Node]]:
        """Raises OSError for a file."""
        if self.entries is None:
            raise OSError(errno.ENOTDIR, "not a directory")
        return self.entries

    def status(self) -> os.stat_result:
        mode = stat.S_IFDIR | 0o755 if self.data is None else stat.S_IFREG | 0o644
        seconds = [self.accessed_ns // 10**9, self.modified_ns // 10**9, self.changed_ns // 10**9]
        times = {"st_atime_ns": self.accessed_ns, "st_mtime_ns": self.modified_ns, "st_ctime_ns": self.changed_ns}
        size = 0 if self.data is None else len(self.data)
        return os.stat_result((mode, self.number, self.tree._device, self.num_links, 0, 0, size, *seconds), times)

    def touch(self) -> None:
        self.modified_ns = self.changed_ns = time.time_ns()

    def link(self, name: bytes, node: Node) -> None:
        """A new entry."""
        tree = self.tree
        tree.take(len(name) + (0 if node.num_links or node.num_open else NODE_BYTES))
        self.directory[name] = (next(tree._numbers), node)
        node.num_links += 1
        if node.data is None:
            node.parent = self
        self.touch()

    def unlink(self, name: bytes) -> Node:
        """Takes an entry away; its bytes are free once nothing has it open."""
        _, node = self.directory.pop(name)
        node.num_links -= 1
        self.tree.left += len(name)
        self.touch()
        node.free_if_unused()
        return node

    def free_if_unused(self) -> None:
        if not self.num_links and not self.num_open and self is not self.tree.root:
            self.tree.left += NODE_BYTES + len(self.data or b"")
            self.data = b"" if self.data is not None else None

    def resize(self, size: int) -> bytearray:
        """Of a file, as something that can be written."""
        assert self.data is not None
        self.tree.take(size - len(self.data))
        if isinstance(self.data, bytes):
            self.data = bytearray(self.data)
        if size > len(self.data):
            self.data.extend(bytes(size - len(self.data)))
        else:
            del self.data[size:]
        self.touch()
        return self.data


class MemoryDirectory:
    """A directory in memory: `contents` maps names to bytes or to mappings of the same kind; later changes of the mapping are not seen.

    For `WasiConfig.preopen_dir`, which makes one of a mapping; several configurations may share it. `quota` is how many bytes the tree may hold at any time,
    names and NODE_BYTES (256) for each file and directory counted; without it 64 MiB more than it holds at first. Raises ArgumentTypeError for what is neither bytes nor a
    mapping, and ArgumentValueError for names that no entry can have and for contents beyond the quota.

    >>> tree = MemoryDirectory({"in.txt": b"text", "lib": {"a.py": b""}})
    >>> config.preopen_dir(tree, "/", fs_mutable=True)
    >>> ...
    >>> tree.contents()["out.txt"]
    """

    def __init__(self, contents: Mapping[str, Any] = {}, *, quota: int | None = None) -> None:
        if not isinstance(contents, Mapping):
            raise ArgumentTypeError(f"expected a mapping of names, got {type(contents).__name__}")
        self.left = 1 << 62
        self._numbers = itertools.count(1)
        self._device = next(_devices)
        self.lock = threading.RLock()
        self.root = Node(self, None)
        self.root.num_links = 1
        pending: list[tuple[Node, Mapping[str, Any]]] = [(self.root, contents)]
        while pending:
            directory, items = pending.pop()
            for name, value in items.items():
                is_directory = isinstance(value, Mapping)
                if not is_directory and not isinstance(value, (bytes, bytearray, memoryview)):
                    raise ArgumentTypeError(f"{name!r}: a file is bytes, a directory a mapping, got {type(value).__name__}")
                node = Node(self, None if is_directory else bytes(value))
                directory.link(_name(name), node)
                self.take(len(node.data or b""))
                if is_directory:
                    pending.append((node, value))
        used = (1 << 62) - self.left
        self.left = DEFAULT_ROOM_BYTES if quota is None else quota - used
        if self.left < 0:
            raise ArgumentValueError(f"the contents take {used} bytes, more than the quota of {quota}")

    def take(self, size: int) -> None:
        """Of the quota. Raises OSError."""
        if size > self.left:
            raise OSError(errno.ENOSPC, "no space left")
        self.left -= size

    def contents(self) -> Contents:
        """All there is now: files as bytes, directories as dicts. Names that are not UTF-8 have surrogates, as `os.listdir` gives them."""
        with self.lock:
            made: Contents = {}
            pending = [(self.root, made)]
            while pending:
                directory, into = pending.pop()
                for name, (_, node) in directory.directory.items():
                    if node.data is not None:
                        into[os.fsdecode(name)] = bytes(node.data)
                    else:
                        inner: Contents = {}
                        into[os.fsdecode(name)] = inner
                        pending.append((node, inner))
            return made

    def __repr__(self) -> str:
        return f"<MemoryDirectory of {len(self.root.directory)} entries>"


def _name(name: Any) -> bytes:
    if not isinstance(name, str):
        raise ArgumentTypeError(f"a name is a str, got {type(name).__name__}")
    raw = os.fsencode(name)
    if raw in (b"", b".", b"..") or b"/" in raw or b"\0" in raw or len(raw) > MAX_NAME_BYTES:
        raise ArgumentValueError(f"{name!r} is no name of a file: directories are mappings")
    return raw


class MemoryFile(File):
    """An open node that counts against a quota of descriptors; closed once."""

    def __init__(self, node: Node, quota: Quota) -> None:
        self._quota = None
        quota.take()
        self._quota = quota
        self.fd = -1
        self.node = node
        with node.tree.lock:
            node.num_open += 1

    def again(self) -> MemoryFile:
        assert self._quota is not None
        return MemoryFile(self.node, self._quota)

    def opened_node(self, node: Node) -> MemoryFile:
        """Another one, of the same quota."""
        assert self._quota is not None
        return MemoryFile(node, self._quota)

    def close(self) -> None:
        if self._quota is not None:
            self._quota.left += 1
            self._quota = None
            with self.node.tree.lock:
                self.node.num_open -= 1
                self.node.free_if_unused()

    __del__ = close

    def pread(self, length: int, offset: int) -> bytes:
        with self.node.tree.lock:
            assert self.node.data is not None
            return bytes(memoryview(self.node.data)[offset : offset + length])

    def pwrite(self, data: bytes, offset: int) -> int:
        if offset + len(data) >= 1 << 62:
            raise OSError(errno.EFBIG, "file too large")
        if not data:
            return 0
        node = self.node
        with node.tree.lock:
            assert node.data is not None
            node.resize(max(len(node.data), offset + len(data)))[offset : offset + len(data)] = data
        return len(data)

    def truncate(self, size: int) -> None:
        with self.node.tree.lock:
            self.node.resize(min(size, 1 << 62))

    def status(self) -> os.stat_result:
        with self.node.tree.lock:
            return self.node.status()

    def set_times(self, accessed_ns: int, modified_ns: int) -> None:
        self.node.accessed_ns, self.node.modified_ns, self.node.changed_ns = accessed_ns, modified_ns, time.time_ns()

    def advise(self, offset: int, length: int, advice: str) -> None:
        pass

    def sync(self) -> None:
        pass

    sync_data = sync


class _Entry:
    """What DirectoryEntryStream knows of an entry."""

    def __init__(self, name: bytes, node: Node) -> None:
        self.name = os.fsdecode(name)
        self._number = node.number

    def inode(self) -> int:
        return self._number


class MemoryEntryStream(DirectoryEntryStream):
    """Entries in the order they came; those that are made or removed meanwhile may be there or not, no other is missed."""

    def __init__(self, source: MemoryFile) -> None:
        self._source: MemoryFile = source
        self._last = -1
        self._batch: list[tuple[int, bytes, Node]] = []

    def next_entry(self) -> tuple[Any, str] | None:
        node = self._source.node
        with node.tree.lock:
            while True:
                if not self._batch:
                    following = ((number, name, inner) for name, (number, inner) in node.directory.items() if number > self._last)
                    self._batch = list(itertools.islice(following, BATCH))[::-1]
                    if not self._batch:
                        return None
                number, name, inner = self._batch.pop()
                self._last = number
                if node.directory.get(name) == (number, inner):
                    return _Entry(name, inner), "directory" if inner.data is None else "regular-file"

    def close(self) -> None:
        self._source.close()


class MemoryDescriptor(Descriptor):
    """A descriptor of a node."""

    _file: MemoryFile

    def _walk(self, path: str, may_end_in_slash: bool = False) -> tuple[Node, bytes]:
        """The directory and the name in it, as `paths.place`: `.` for the directory itself."""
        self._directory()
        raw = encoded(path)
        if may_end_in_slash:
            raw = raw.rstrip(b"/")
        passed: list[Node] = []
        here = self._file.node
        names = raw.split(b"/")
        for position, name in enumerate(names):
            if name in (b"", b"."):
                continue
            if name == b"..":
                if not passed:
                    raise WitError("not-permitted")
                here = passed.pop()
                continue
            if position == len(names) - 1:
                return here, name
            passed.append(here)
            here = self._entry(here, name)
            if here.data is not None:
                raise WitError("not-directory")
        return here, b"."

    @staticmethod
    def _entry(directory: Node, name: bytes) -> Node:
        """Raises WitError."""
        if name == b".":
            return directory
        if directory.num_links:
            _ensure_short(name)
        found = directory.directory.get(name)
        if found is None:
            raise WitError("no-entry")
        return found[1]

    def _free(self, directory: Node, name: bytes) -> None:
        """There is room for an entry of that name. Raises WitError."""
        if name == b".":
            raise WitError("exist")
        if not directory.num_links:
            raise WitError("no-entry")  # it has been removed
        _ensure_short(name)
        if name in directory.directory:
            raise WitError("exist")

    def status_at(self, path_flags: set[str], path: str) -> os.stat_result:
        with self._file.node.tree.lock:
            return self._entry(*self._walk(path)).status()

    def set_times_at(self, path_flags: set[str], path: str, accessed: Any, modified: Any) -> None:
        self._mutable()
        with self._file.node.tree.lock:
            node = self._entry(*self._walk(path))
            node.accessed_ns, node.modified_ns = times_of(accessed, modified, node.status())
            node.changed_ns = time.time_ns()

    def read_directory(self) -> MemoryEntryStream:
        self._directory()
        return MemoryEntryStream(self._file.again())

    def create_directory_at(self, path: str) -> None:
        self._mutable()
        with self._file.node.tree.lock, failing_as_wasi():
            directory, name = self._walk(path, may_end_in_slash=True)
            self._free(directory, name)
            directory.link(name, Node(directory.tree, None))

    def remove_directory_at(self, path: str) -> None:
        self._mutable()
        with self._file.node.tree.lock:
            directory, name = self._walk(path, may_end_in_slash=True)
            node = self._entry(directory, name)
            if name == b".":
                raise WitError("invalid")
            if node.data is not None:
                raise WitError("not-directory")
            if node.entries:
                raise WitError("not-empty")
            directory.unlink(name)

    def unlink_file_at(self, path: str) -> None:
        self._mutable()
        with self._file.node.tree.lock:
            directory, name = self._walk(path)
            if self._entry(directory, name).data is None:
                raise WitError("is-directory")
            directory.unlink(name)

    def rename_at(self, old_path: str, new_descriptor: Descriptor, new_path: str) -> None:
        new_place = self._beside(new_descriptor)
        tree = self._file.node.tree
        with tree.lock, failing_as_wasi():
            old_directory, old_name = self._walk(old_path, may_end_in_slash=True)
            new_directory, new_name = new_place._walk(new_path, may_end_in_slash=True)
            if b"." in (old_name, new_name):
                raise WitError("busy")
            node = self._entry(old_directory, old_name)
            _ensure_short(new_name)
            found = new_directory.directory.get(new_name)
            if found is not None and found[1] is node:
                return
            if node.data is None and self._is_below(new_directory, node):
                raise WitError("invalid")
            if found is not None:
                if found[1].data is None and self._is_below(old_directory, found[1]):
                    raise WitError("not-empty")
                self._ensure_replaceable(node, found[1])
            if not new_directory.num_links:
                raise WitError("no-entry")
            if found is None and len(new_name) - len(old_name) > tree.left:
                raise OSError(errno.ENOSPC, "no space left")
            node.num_open += 1
            try:
                if found is not None:
                    new_directory.unlink(new_name)
                old_directory.unlink(old_name)
                new_directory.link(new_name, node)
            finally:
                node.num_open -= 1

    @staticmethod
    def _ensure_replaceable(node: Node, other: Node) -> None:
        if node.data is not None:
            if other.data is None:
                raise WitError("is-directory")
        elif other.data is not None:
            raise WitError("not-directory")
        elif other.entries:
            raise WitError("not-empty")

    def _is_below(self, node: Node, ancestor: Node) -> bool:
        """Whether `node` is `ancestor` or in it."""
        here: Node | None = node
        while here is not None and here is not ancestor:
            here = here.parent
        return here is not None

    def _beside(self, other: Descriptor) -> MemoryDescriptor:
        """Another one that takes part in a move: of the same tree."""
        self._mutable()
        self._mutable_beside(other)
        assert isinstance(other, MemoryDescriptor)
        if other._file.node.tree is not self._file.node.tree:
            raise WitError("cross-device")
        return other

    def link_at(self, old_path_flags: set[str], old_path: str, new_descriptor: Descriptor, new_path: str) -> None:
        new_place = self._beside(new_descriptor)
        if "symlink-follow" in old_path_flags:
            raise WitError("invalid")
        with self._file.node.tree.lock, failing_as_wasi():
            old_directory, old_name = self._walk(old_path)
            directory, name = new_place._walk(new_path)
            node = self._entry(old_directory, old_name)
            self._free(directory, name)
            if node.data is None:
                raise WitError("not-permitted")
            directory.link(name, node)
            node.changed_ns = time.time_ns()

    def symlink_at(self, old_path: str, new_path: str) -> None:
        self._mutable()
        encoded(old_path)
        with self._file.node.tree.lock:
            self._free(*self._walk(new_path))
        raise WitError("not-permitted")

    def readlink_at(self, path: str) -> str:
        with self._file.node.tree.lock:
            self._entry(*self._walk(path))
        raise WitError("invalid")

    def open_at(self, path_flags: set[str], path: str, open_flags: set[str], flags: set[str]) -> Descriptor:
        self._ensure_may_open(open_flags, flags)
        wants_write = "write" in flags or "truncate" in open_flags
        with self._file.node.tree.lock, failing_as_wasi():
            directory, name = self._walk(path)
            found = directory.directory.get(name)
            if found is None and name != b"." and "create" in open_flags:
                self._free(directory, name)
                node = Node(directory.tree, b"")
                directory.link(name, node)
                try:
                    file = self._file.opened_node(node)
                except WitError:
                    directory.unlink(name)
                    raise
                return self._descriptor_of(file, flags)
            node = self._entry(directory, name)
            if {"create", "exclusive"} <= open_flags:
                raise WitError("exist")
            if node.data is None and (wants_write or "create" in open_flags):
                raise WitError("is-directory")
            if node.data is not None and "directory" in open_flags:
                raise WitError("not-directory")
            file = self._file.opened_node(node)
            if "truncate" in open_flags:
                node.resize(0)
            return self._descriptor_of(file, flags)


def _ensure_short(name: bytes) -> None:
    if len(name) > MAX_NAME_BYTES:
        raise WitError("name-too-long")
