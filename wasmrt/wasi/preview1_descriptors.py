"""What the descriptors of WASI 0.1 are: standard streams from a WasiConfig, files and directories that are Descriptors of wasi:filesystem.

So there is one place that resolves paths and counts open files (`filesystem.py`). Here they get what WASI 0.2 has not: numbers, a position, flags that can
be set later, and cookies of directories.
"""

from __future__ import annotations

import fcntl
import os
import select
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from wasmrt.errors import WitError

from . import waiting
from .config import DescriptorSink, OwnInput, Sink, WasiConfig, pipe_to_wait_for
from .filesystem import Descriptor, DirectoryEntryStream, get_directories, kind_of
from .io import MAX_CHUNK
from .preview1_abi import ALL_RIGHTS, APPEND, DSYNC, FILETYPE, NONBLOCK, RSYNC, SYNC, Errno, rights

Views = list[memoryview]

_DIRECTORY_RIGHTS = rights(
    """path_create_directory path_create_file path_link_source path_link_target path_open fd_readdir path_readlink path_rename_source path_rename_target
    path_symlink path_remove_directory path_unlink_file path_filestat_get path_filestat_set_times fd_filestat_get fd_filestat_set_times"""
)
_INHERITED_RIGHTS = _DIRECTORY_RIGHTS | rights(
    """fd_datasync fd_read fd_seek fd_fdstat_set_flags fd_sync fd_tell fd_write fd_advise fd_allocate fd_filestat_get fd_filestat_set_size
    fd_filestat_set_times poll_fd_readwrite"""
)
_SYNC_FLAGS = DSYNC | RSYNC | SYNC
MAX_OFFSET = (1 << 63) - 1


class Entry(ABC):
    """A descriptor; what its kind does not do is EBADF."""

    flags = 0

    @abstractmethod
    def facts(self) -> tuple[int, int, int, int]:
        """File type, flags, rights, and rights to inherit, as fdstat has them."""

    def set_flags(self, flags: int) -> None:
        raise Errno("badf")

    def status(self) -> os.stat_result | None:
        """None where there is no file."""
        return None

    def read(self, store: Any, views: Views) -> int:
        raise Errno("badf")

    def write(self, store: Any, views: Views) -> int:
        raise Errno("badf")

    def read_at(self, views: Views, offset: int) -> int:
        raise Errno("badf")

    def write_at(self, views: Views, offset: int) -> int:
        raise Errno("badf")

    def seek(self, offset: int, whence: int) -> int:
        raise Errno("badf")

    def plain_file(self) -> tuple[int, bool, bool, bool] | None:
        """For what csrc/vm/wasi.c does without us: a descriptor of this process that stays open, and whether it may be read, written and positioned."""
        return None

    def file(self) -> Descriptor:
        """Of what is a file and no directory."""
        raise Errno("badf")

    def directory(self) -> Descriptor:
        raise Errno("badf")

    def either(self) -> Descriptor:
        """A file or a directory."""
        raise Errno("badf")

    def poll_fd(self, events: int) -> int | None:
        """What to wait for before it can be read (POLLIN) or written (POLLOUT); None: nothing."""
        raise Errno("badf")

    def close(self) -> None:
        pass


class InputEntry(Entry):
    """Standard input."""

    def __init__(self, file: Any, is_terminal: bool) -> None:
        self._file = file
        self._filetype = FILETYPE["character-device" if is_terminal else "unknown"]
        self._fd: int | None = None
        # what does not block, and what nobody else has read into a buffer
        if isinstance(file, OwnInput) and kind_of(os.fstat(file.fileno()).st_mode) == "regular-file":
            self._fd = os.dup(file.fileno())

    def facts(self) -> tuple[int, int, int, int]:
        return self._filetype, self.flags, rights("fd_read"), rights("fd_read")

    def plain_file(self) -> tuple[int, bool, bool, bool] | None:
        return None if self._fd is None else (self._fd, True, False, False)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    __del__ = close

    def set_flags(self, flags: int) -> None:
        if flags & ~NONBLOCK:
            raise Errno("inval")
        self.flags = flags  # the system's flag is that of whoever else has the file

    def read(self, store: Any, views: Views) -> int:
        if self._file is None or not views:
            return 0
        fd = self.poll_fd(select.POLLIN)
        if not self.flags & NONBLOCK:
            waiting.wait_for_input(store, self._file)
        elif fd is not None and not select.select([fd], [], [], 0)[0]:
            raise Errno("again")
        view = views[0]
        size = min(len(view), MAX_CHUNK)
        data = self._file.read1(size) if hasattr(self._file, "read1") else self._file.read(size)
        if data is None:
            raise Errno("again")
        view[: len(data)] = data
        return len(data)

    def read_at(self, views: Views, offset: int) -> int:
        raise Errno("spipe")

    def seek(self, offset: int, whence: int) -> int:
        raise Errno("spipe")

    def poll_fd(self, events: int) -> int | None:
        if events != select.POLLIN:
            raise Errno("badf")
        return waiting.descriptor_of(self._file)


class OutputEntry(Entry):
    """Standard output or error. Without a sink, what is written is gone."""

    def __init__(self, sink: Sink | None, is_terminal: bool) -> None:
        self._sink = sink
        self._filetype = FILETYPE["character-device" if is_terminal else "unknown"]

    def facts(self) -> tuple[int, int, int, int]:
        return self._filetype, 0, rights("fd_write"), rights("fd_write")

    def plain_file(self) -> tuple[int, bool, bool, bool] | None:
        sink = self._sink
        return (sink.fd, False, True, False) if isinstance(sink, DescriptorSink) and not sink.waits else None

    def write(self, store: Any, views: Views) -> int:
        if self._sink is None:
            return sum(map(len, views)) & 0xFFFFFFFF
        total, chunk = 0, MAX_CHUNK
        pipe = pipe_to_wait_for(store, self._sink)
        if pipe is not None:
            chunk = select.PIPE_BUF
        for view in views:
            for start in range(0, len(view), chunk):
                if pipe is not None:
                    waiting.wait(store, None, {pipe: select.POLLOUT})
                elif total:
                    # vectors may overlap: a guest can ask for more than there is memory
                    store.check_interrupt()
                self._sink(bytes(view[start : start + chunk]))
                total += min(len(view) - start, chunk)
        return total & 0xFFFFFFFF

    def write_at(self, views: Views, offset: int) -> int:
        raise Errno("spipe")

    def seek(self, offset: int, whence: int) -> int:
        raise Errno("spipe")

    def poll_fd(self, events: int) -> int | None:
        if events != select.POLLOUT:
            raise Errno("badf")
        return None


class FileEntry(Entry):
    """An open file; its position is that of the system's open file, which nobody else has."""

    def __init__(self, descriptor: Descriptor, flags: int) -> None:
        self._descriptor = descriptor
        self._fd = descriptor.fd
        self._readable = "read" in descriptor.get_flags()
        self._writable = "write" in descriptor.get_flags()
        if flags & (APPEND | NONBLOCK):
            self.set_flags(flags & (APPEND | NONBLOCK))
        self.flags = flags

    def plain_file(self) -> tuple[int, bool, bool, bool]:
        return self._fd, self._readable, self._writable, True

    def facts(self) -> tuple[int, int, int, int]:
        kind = kind_of(self._descriptor.status().st_mode)
        missing = (0 if self._readable else rights("fd_read fd_readdir")) | (0 if self._writable else rights("fd_write"))
        return FILETYPE[kind], self.flags, ALL_RIGHTS & ~missing, ALL_RIGHTS & ~missing

    def set_flags(self, flags: int) -> None:
        if flags & _SYNC_FLAGS:
            raise Errno("inval")
        now = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        wanted = now | os.O_APPEND if flags & APPEND else now & ~os.O_APPEND
        if wanted != now:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, wanted)
        self.flags = self.flags & _SYNC_FLAGS | flags

    def status(self) -> os.stat_result:
        return self._descriptor.status()

    def read(self, store: Any, views: Views) -> int:
        if not self._readable:
            raise Errno("badf")
        return self._waiting(store, select.POLLIN, os.readv, views)

    def write(self, store: Any, views: Views) -> int:
        if not self._writable:
            raise Errno("badf")
        return self._waiting(store, select.POLLOUT, os.writev, views)

    def _waiting(self, store: Any, events: int, call: Callable[[int, Views], int], views: Views) -> int:
        """Files were opened so that they never block, and are waited for here: a fifo's other end may take its time."""
        while views:
            try:
                return call(self._fd, views)
            except BlockingIOError:
                if self.flags & NONBLOCK:
                    raise
                waiting.wait(store, None, {self._fd: events})
        return 0

    def read_at(self, views: Views, offset: int) -> int:
        if not self._readable:
            raise Errno("badf")
        if offset > MAX_OFFSET:
            raise Errno("inval")
        return os.preadv(self._fd, views, offset) if views else 0

    def write_at(self, views: Views, offset: int) -> int:
        if not self._writable:
            raise Errno("badf")
        if offset > MAX_OFFSET:
            raise Errno("inval")
        return os.pwritev(self._fd, views, offset) if views else 0

    def seek(self, offset: int, whence: int) -> int:
        return os.lseek(self._fd, offset, whence)

    def file(self) -> Descriptor:
        return self._descriptor

    def directory(self) -> Descriptor:
        raise Errno("notdir")

    def either(self) -> Descriptor:
        return self._descriptor

    def poll_fd(self, events: int) -> int | None:
        if not (self._readable if events == select.POLLIN else self._writable):
            raise Errno("badf")
        return self._fd

    def close(self) -> None:
        self._descriptor.close()


class MemoryFileEntry(FileEntry):
    """An open file in memory: its position is here, and it is always ready."""

    def __init__(self, descriptor: Descriptor, flags: int) -> None:
        super().__init__(descriptor, flags & ~(APPEND | NONBLOCK))
        self.flags = flags
        self._position = 0

    def plain_file(self) -> None:  # type: ignore[override]
        return None

    def set_flags(self, flags: int) -> None:
        if flags & _SYNC_FLAGS:
            raise Errno("inval")
        self.flags = self.flags & _SYNC_FLAGS | flags

    def read(self, store: Any, views: Views) -> int:
        total = self.read_at(views, self._position)
        self._position += total
        return total

    def write(self, store: Any, views: Views) -> int:
        total = self.write_at(views, self._end() if self.flags & APPEND else self._position)
        self._position = self._end() if self.flags & APPEND else self._position + total
        return total

    def _end(self) -> int:
        return self._descriptor.status().st_size

    def read_at(self, views: Views, offset: int) -> int:
        if not self._readable:
            raise Errno("badf")
        if offset > MAX_OFFSET:
            raise Errno("inval")
        total = 0
        for view in views:
            data, _ = self._descriptor.read(len(view), offset + total)
            view[: len(data)] = data
            total += len(data)
            if len(data) < len(view):
                break
        return total

    def write_at(self, views: Views, offset: int) -> int:
        if not self._writable:
            raise Errno("badf")
        if offset > MAX_OFFSET:
            raise Errno("inval")
        total = 0
        for view in views:
            for start in range(0, len(view), MAX_CHUNK):
                chunk = bytes(view[start : start + MAX_CHUNK])
                try:
                    total += self._descriptor.write(chunk, offset + total)
                except WitError:
                    if total:
                        return total  # the next call says why
                    raise
        return total

    def seek(self, offset: int, whence: int) -> int:
        position = offset + (0, self._position, self._end())[whence]
        if not 0 <= position <= MAX_OFFSET:
            raise Errno("inval")
        self._position = position
        return position

    def poll_fd(self, events: int) -> None:
        super().poll_fd(events)


def file_entry(descriptor: Descriptor, flags: int) -> FileEntry:
    """Of a file that has been opened. Raises OSError."""
    return FileEntry(descriptor, flags) if descriptor.fd >= 0 else MemoryFileEntry(descriptor, flags)


class DirectoryEntry(Entry):
    """An open directory; `name` is a guest's for one that was preopened."""

    def __init__(self, descriptor: Descriptor, name: bytes | None = None) -> None:
        self._descriptor = descriptor
        self.name = name
        self._stream: DirectoryEntryStream | None = None
        self._next = 0  # the number of the entry that the stream gives next
        self._last: deque[tuple[int, int, bytes, int]] = deque(maxlen=4)  # that it gave: what did not fit is asked for again

    def facts(self) -> tuple[int, int, int, int]:
        return FILETYPE["directory"], 0, _DIRECTORY_RIGHTS, _INHERITED_RIGHTS

    def status(self) -> os.stat_result:
        return self._descriptor.status()

    def directory(self) -> Descriptor:
        return self._descriptor

    def either(self) -> Descriptor:
        return self._descriptor

    def entries(self, cookie: int) -> Iterator[tuple[int, int, bytes, int]]:
        """(cookie of the one after it, inode, name, file type) of all entries from `cookie` on."""
        if cookie < 2:
            own = self.status().st_ino
            for number, name in ((1, b"."), (2, b"..")):
                if cookie < number:
                    yield number, own, name, FILETYPE["directory"]
            cookie = 2
        index = cookie - 2
        if self._stream is None or index < self._next or index == 0:
            kept = [item for item in self._last if item[0] > cookie]
            if index == 0 or index != self._next - len(kept):
                self._rewind()
                kept = []
            yield from kept
        stream = self._stream
        while stream is not None:
            found = stream.next_entry()
            if found is None:
                return
            entry, kind = found
            self._next += 1
            item = (self._next + 2, entry.inode(), os.fsencode(entry.name), FILETYPE[kind])
            self._last.append(item)
            if self._next > index:
                yield item

    def _rewind(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._next = 0
        self._last.clear()
        self._stream = self._descriptor.read_directory()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._descriptor.close()


class Descriptors:
    """The descriptors of one store's guests, by number; the lowest free one is given out."""

    def __init__(self, store: Any, config: WasiConfig) -> None:
        terminals = config.terminals
        self.arguments = [_bytes(item) for item in config.argv]
        self.environment = [_bytes(f"{key}={value}") for key, value in config.env]
        self.table: dict[int, Entry] = {}
        self._free: set[int] = set()
        self.add(store, InputEntry(config.stdin, terminals["stdin"]))
        self.add(store, OutputEntry(config.stdout, terminals["stdout"]))
        self.add(store, OutputEntry(config.stderr, terminals["stderr"]))
        for descriptor, name in get_directories(store):
            self.add(store, DirectoryEntry(descriptor, _bytes(name)))

    def get(self, number: int) -> Entry:
        entry = self.table.get(number)
        if entry is None:
            raise Errno("badf")
        return entry

    def _put(self, store: Any, number: int, entry: Entry) -> None:
        """C must know of a plain file, and of no other one that had the number."""
        plain = entry.plain_file()
        store.set_wasi_file(number, *(plain or (-1, False, False, False)))
        self.table[number] = entry

    def add(self, store: Any, entry: Entry) -> int:
        number = min(self._free, default=len(self.table))
        self._put(store, number, entry)
        self._free.discard(number)
        return number

    def take(self, store: Any, number: int) -> Entry:
        """Out of the table; whoever takes it closes it."""
        entry = self.get(number)
        store.set_wasi_file(number, -1, False, False, False)
        del self.table[number]
        self._free.add(number)
        return entry

    def renumber(self, store: Any, number: int, to: int) -> None:
        """In place of another one, which is closed."""
        entry, other = self.get(number), self.get(to)
        if entry is not other:
            self.take(store, number)
            self._put(store, to, entry)
            other.close()

    def close(self) -> None:
        """The store knows of no files any more (`Store.forget_wasi_files`)."""
        for entry in self.table.values():
            entry.close()
        self.table.clear()
        self._free.clear()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
