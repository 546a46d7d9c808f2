"""wasi:filesystem: the directories that a store's WasiConfig preopens, and what is below them; without any, guests link and find none.

A guest reaches nothing else (`paths.py`). A directory that was preopened read-only has descriptors that refuse to write. Descriptors are files of this
process, so how many a guest may have is limited (`MAX_DESCRIPTORS`), as is what one call makes the host allocate (`MAX_CHUNK`).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any

from wasmrt.errors import Trap, WitError
from wasmrt.runtime.component_linker import Linker
from wasmrt.runtime.values import Variant

from .config import config_of
from .io import MAX_CHUNK, InputStream, IoError, OutputStream
from .paths import encoded, failing_as_wasi, place

MAX_DESCRIPTORS = 512
NANOSECONDS = 1_000_000_000

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISREG, "regular-file"),
    (stat.S_ISDIR, "directory"),
    (stat.S_ISLNK, "symbolic-link"),
    (stat.S_ISCHR, "character-device"),
    (stat.S_ISBLK, "block-device"),
    (stat.S_ISFIFO, "fifo"),
    (stat.S_ISSOCK, "socket"),
)
_ADVICE = {
    "normal": os.POSIX_FADV_NORMAL,
    "sequential": os.POSIX_FADV_SEQUENTIAL,
    "random": os.POSIX_FADV_RANDOM,
    "will-need": os.POSIX_FADV_WILLNEED,
    "dont-need": os.POSIX_FADV_DONTNEED,
    "no-reuse": os.POSIX_FADV_NOREUSE,
}


def kind_of(mode: int) -> str:
    return next((name for fits, name in _KINDS if fits(mode)), "unknown")


class Quota:
    """How many more descriptors the guests of one preopened directory may have."""

    def __init__(self) -> None:
        self.left = MAX_DESCRIPTORS

    def take(self) -> None:
        if self.left == 0:
            raise WitError("insufficient-memory")
        self.left -= 1


class File:
    """A file descriptor of this process that counts against a quota; closed once."""

    def __init__(self, fd: int, quota: Quota) -> None:
        """Owns `fd`, even when the quota is used up."""
        self.fd = fd
        self._quota: Quota | None = None
        try:
            quota.take()
        except WitError:
            os.close(fd)
            raise
        self._quota = quota

    def again(self) -> File:
        assert self._quota is not None
        return File(os.dup(self.fd), self._quota)

    def opened(self, fd: int) -> File:
        """Another file, of the same quota."""
        assert self._quota is not None
        return File(fd, self._quota)

    def close(self) -> None:
        if self._quota is not None:
            self._quota.left += 1
            self._quota = None
            os.close(self.fd)

    __del__ = close

    def pread(self, length: int, offset: int) -> bytes:
        return os.pread(self.fd, length, offset)

    def pwrite(self, data: bytes, offset: int) -> int:
        return os.pwrite(self.fd, data, offset)

    def truncate(self, size: int) -> None:
        os.ftruncate(self.fd, size)

    def status(self) -> os.stat_result:
        return os.fstat(self.fd)

    def set_times(self, accessed_ns: int, modified_ns: int) -> None:
        os.utime(self.fd, ns=(accessed_ns, modified_ns))

    def advise(self, offset: int, length: int, advice: str) -> None:
        os.posix_fadvise(self.fd, offset, length, _ADVICE[advice])

    def sync(self) -> None:
        os.fsync(self.fd)

    def sync_data(self) -> None:
        os.fdatasync(self.fd)


class _Reader:
    """What an InputStream uses of a binary file: reads from an offset on, whatever is written meanwhile."""

    def __init__(self, file: File, offset: int) -> None:
        self.file = file
        self.offset = offset

    def read1(self, length: int) -> bytes:
        try:
            data = self.file.pread(length, self.offset)
        except OverflowError:
            return b""
        self.offset += len(data)
        return data


class _Writer:
    """A sink that writes from an offset on, or at the end of the file when that is None."""

    def __init__(self, file: File, offset: int | None) -> None:
        self.file = file
        self.offset = offset

    def __call__(self, data: bytes) -> None:
        while data:
            # for appending not O_APPEND: the descriptor is shared with streams that do not append
            at = self.file.status().st_size if self.offset is None else self.offset
            try:
                written = self.file.pwrite(data, at)
            except OverflowError:
                raise OSError(errno.EFBIG, "file offset out of range") from None
            if self.offset is not None:
                self.offset += written
            data = data[written:]


class FileInputStream(InputStream):
    """An input stream that owns its file."""

    def __init__(self, file: File, offset: int) -> None:
        super().__init__(_Reader(file, offset))
        self._owned = file

    def close(self) -> None:
        self._owned.close()


class FileOutputStream(OutputStream):
    """An output stream that owns its file."""

    def __init__(self, file: File, offset: int | None) -> None:
        super().__init__(_Writer(file, offset))
        self._owned = file

    def close(self) -> None:
        self._owned.close()


class DirectoryEntryStream:
    """wasi:filesystem/types directory-entry-stream."""

    def __init__(self, source: File) -> None:
        self._source = source
        self._entries: Any = os.scandir(source.fd)
        self._iterator: Iterator[os.DirEntry[str]] = iter(self._entries)

    def next_entry(self) -> tuple[os.DirEntry[str], str] | None:
        """The next one, and what kind of file it is."""
        with failing_as_wasi():
            entry = next(self._iterator, None)
            if entry is None:
                return None
            if entry.is_dir(follow_symlinks=False):
                return entry, "directory"
            if entry.is_file(follow_symlinks=False):
                return entry, "regular-file"
            try:
                return entry, kind_of(entry.stat(follow_symlinks=False).st_mode)
            except FileNotFoundError:  # removed meanwhile
                return entry, "unknown"

    def read_directory_entry(self) -> dict[str, str] | None:
        found = self.next_entry()
        if found is None:
            return None
        entry, kind = found
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            raise WitError("illegal-byte-sequence") from None
        return {"type": kind, "name": entry.name}

    def close(self) -> None:
        self._entries.close()
        self._source.close()


class Descriptor:
    """wasi:filesystem/types descriptor: an open file or directory. `flags` are its `descriptor-flags`; `writable`: of the preopened directory."""

    def __init__(self, file: File, flags: set[str], writable: bool) -> None:
        self._file = file
        self._flags = flags
        self._writable = writable
        self.is_directory = stat.S_ISDIR(file.status().st_mode)

    def close(self) -> None:
        self._file.close()

    @property
    def fd(self) -> int:
        """The descriptor of this process."""
        return self._file.fd

    # -- files ----------------------------------------------------------------------------------------------------------------------------

    def _open_for(self, flag: str) -> File:
        if self.is_directory:
            raise WitError("is-directory")
        if flag not in self._flags:
            raise WitError("bad-descriptor")
        return self._file

    def read_via_stream(self, offset: int) -> FileInputStream:
        self._open_for("read")
        with failing_as_wasi():
            return FileInputStream(self._file.again(), offset)

    def write_via_stream(self, offset: int) -> FileOutputStream:
        self._open_for("write")
        with failing_as_wasi():
            return FileOutputStream(self._file.again(), offset)

    def append_via_stream(self) -> FileOutputStream:
        self._open_for("write")
        with failing_as_wasi():
            return FileOutputStream(self._file.again(), None)

    def read(self, length: int, offset: int) -> tuple[bytes, bool]:
        file = self._open_for("read")
        with failing_as_wasi():
            data = file.pread(min(length, MAX_CHUNK), offset)
        return data, length > 0 and not data

    def write(self, buffer: bytes, offset: int) -> int:
        file = self._open_for("write")
        with failing_as_wasi():
            return file.pwrite(buffer, offset)

    def set_size(self, size: int) -> None:
        file = self._open_for("write")
        with failing_as_wasi():
            file.truncate(size)

    def advise(self, offset: int, length: int, advice: str) -> None:
        if self.is_directory:
            raise WitError("bad-descriptor")
        with failing_as_wasi():
            self._file.advise(offset, length, advice)

    def sync(self) -> None:
        with failing_as_wasi():
            self._file.sync()

    def sync_data(self) -> None:
        with failing_as_wasi():
            self._file.sync_data()

    # -- facts ----------------------------------------------------------------------------------------------------------------------------

    def get_flags(self) -> set[str]:
        return self._flags

    def get_type(self) -> str:
        return kind_of(self.status().st_mode)

    def status(self) -> os.stat_result:
        with failing_as_wasi():
            return self._file.status()

    def status_at(self, path_flags: set[str], path: str) -> os.stat_result:
        with self._place(path_flags, path) as (directory, name), failing_as_wasi():
            return os.stat(name, dir_fd=directory, follow_symlinks=False)

    def stat(self) -> dict[str, Any]:
        return _stat(self.status())

    def stat_at(self, path_flags: set[str], path: str) -> dict[str, Any]:
        return _stat(self.status_at(path_flags, path))

    def set_times(self, accessed: Any, modified: Any) -> None:
        if not self._writable:
            raise WitError("not-permitted")
        with failing_as_wasi():
            self._file.set_times(*times_of(accessed, modified, self._file.status()))

    def set_times_at(self, path_flags: set[str], path: str, accessed: Any, modified: Any) -> None:
        self._mutable()
        with self._place(path_flags, path) as (directory, name), failing_as_wasi():
            now = os.stat(name, dir_fd=directory, follow_symlinks=False)
            os.utime(name, ns=times_of(accessed, modified, now), dir_fd=directory, follow_symlinks=False)

    def is_same_object(self, other: Descriptor) -> bool:
        return os.path.samestat(self.status(), other.status())

    def metadata_hash(self) -> dict[str, int]:
        return _hash(self.status())

    def metadata_hash_at(self, path_flags: set[str], path: str) -> dict[str, int]:
        return _hash(self.status_at(path_flags, path))

    # -- directories ----------------------------------------------------------------------------------------------------------------------

    def _directory(self) -> int:
        if not self.is_directory:
            raise WitError("not-directory")
        return self._file.fd

    def _mutable(self) -> int:
        fd = self._directory()
        if "mutate-directory" not in self._flags:
            raise WitError("read-only" if not self._writable else "not-permitted")
        return fd

    def _mutable_beside(self, other: Descriptor) -> int:
        """Of another one that takes part in a move: not from or to memory."""
        if type(other) is not type(self):
            raise WitError("cross-device")
        return other._mutable()

    def _place(self, path_flags: set[str], path: str) -> Any:
        return place(self._directory(), path, follow="symlink-follow" in path_flags)

    def read_directory(self) -> DirectoryEntryStream:
        fd = self._directory()
        with failing_as_wasi():
            # a file of its own: reading moves a directory's position
            return DirectoryEntryStream(self._file.opened(os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)))

    def create_directory_at(self, path: str) -> None:
        fd = self._mutable()
        with place(fd, path, follow=False, may_end_in_slash=True) as (directory, name), failing_as_wasi():
            os.mkdir(name, dir_fd=directory)

    def remove_directory_at(self, path: str) -> None:
        fd = self._mutable()
        with place(fd, path, follow=False, may_end_in_slash=True) as (directory, name), failing_as_wasi():
            os.rmdir(name, dir_fd=directory)

    def unlink_file_at(self, path: str) -> None:
        fd = self._mutable()
        with place(fd, path, follow=False) as (directory, name), failing_as_wasi():
            os.unlink(name, dir_fd=directory)

    def rename_at(self, old_path: str, new_descriptor: Descriptor, new_path: str) -> None:
        old, new = self._mutable(), self._mutable_beside(new_descriptor)
        with (
            place(old, old_path, follow=False, may_end_in_slash=True) as (old_directory, old_name),
            place(new, new_path, follow=False, may_end_in_slash=True) as (new_directory, new_name),
            failing_as_wasi(),
        ):
            os.rename(old_name, new_name, src_dir_fd=old_directory, dst_dir_fd=new_directory)

    def link_at(self, old_path_flags: set[str], old_path: str, new_descriptor: Descriptor, new_path: str) -> None:
        old, new = self._mutable(), self._mutable_beside(new_descriptor)
        if "symlink-follow" in old_path_flags:
            raise WitError("invalid")
        with (
            place(old, old_path, follow=False) as (old_directory, old_name),
            place(new, new_path, follow=False) as (new_directory, new_name),
            failing_as_wasi(),
        ):
            os.link(old_name, new_name, src_dir_fd=old_directory, dst_dir_fd=new_directory, follow_symlinks=False)

    def symlink_at(self, old_path: str, new_path: str) -> None:
        fd = self._mutable()
        target = encoded(old_path)  # an absolute one would lead others out of the directory
        with place(fd, new_path, follow=False) as (directory, name), failing_as_wasi():
            os.symlink(target, name, dir_fd=directory)

    def readlink_at(self, path: str) -> str:
        with place(self._directory(), path, follow=False) as (directory, name), failing_as_wasi():
            target = os.readlink(name, dir_fd=directory)
        if target.startswith(b"/"):
            raise WitError("not-permitted")  # where things lie on the host is not the guest's business
        try:
            return target.decode()
        except UnicodeDecodeError:
            raise WitError("illegal-byte-sequence") from None

    def open_at(self, path_flags: set[str], path: str, open_flags: set[str], flags: set[str]) -> Descriptor:
        self._ensure_may_open(open_flags, flags)
        wants_write = "write" in flags or "truncate" in open_flags
        # O_NONBLOCK: opening a fifo must not wait; files and directories are not concerned
        how = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK
        how |= (os.O_RDWR if "read" in flags else os.O_WRONLY) if wants_write else os.O_RDONLY
        for flag, bit in (("create", os.O_CREAT), ("directory", os.O_DIRECTORY), ("exclusive", os.O_EXCL), ("truncate", os.O_TRUNC)):
            how |= bit if flag in open_flags else 0
        for flag, bit in (("file-integrity-sync", os.O_SYNC), ("data-integrity-sync", os.O_DSYNC)):
            how |= bit if flag in flags else 0
        # O_CREAT with O_EXCL fails for a link that leads nowhere, so none is followed
        follow = "symlink-follow" in path_flags and not {"create", "exclusive"} <= open_flags
        with place(self._file.fd, path, follow=follow) as (directory, name), failing_as_wasi():
            file = self._file.opened(os.open(name, how, 0o666, dir_fd=directory))
        return self._descriptor_of(file, flags)

    def _ensure_may_open(self, open_flags: set[str], flags: set[str]) -> None:
        self._directory()
        if "mutate-directory" not in self._flags and (open_flags & {"create", "truncate"} or flags & {"write", "mutate-directory"}):
            raise WitError("read-only" if not self._writable else "not-permitted")
        if "directory" in open_flags and open_flags & {"create", "exclusive", "truncate"}:
            raise WitError("invalid")

    def _descriptor_of(self, file: File, flags: set[str]) -> Descriptor:
        """Of what has been opened below this one."""
        opened = type(self)(file, set(flags), self._writable)
        if opened.is_directory:
            opened._flags = opened._flags - {"write"} | ({"mutate-directory"} if "mutate-directory" in self._flags else set())
        else:
            opened._flags -= {"mutate-directory"}
        return opened


def _stat(found: os.stat_result) -> dict[str, Any]:
    return {
        "type": kind_of(found.st_mode),
        "link-count": found.st_nlink,
        "size": found.st_size,
        "data-access-timestamp": _datetime(found.st_atime_ns),
        "data-modification-timestamp": _datetime(found.st_mtime_ns),
        "status-change-timestamp": _datetime(found.st_ctime_ns),
    }


def _datetime(nanoseconds: int) -> dict[str, int] | None:
    if nanoseconds < 0:
        return None  # before 1970, which the type cannot say
    return {"seconds": nanoseconds // NANOSECONDS, "nanoseconds": nanoseconds % NANOSECONDS}


def times_of(accessed: Variant, modified: Variant, now: os.stat_result) -> tuple[int, int]:
    def nanoseconds(wanted: Variant, old: int) -> int:
        if wanted.tag == "timestamp":
            return int(wanted.payload.seconds) * NANOSECONDS + int(wanted.payload.nanoseconds)
        return time.time_ns() if wanted.tag == "now" else old

    return nanoseconds(accessed, now.st_atime_ns), nanoseconds(modified, now.st_mtime_ns)


def _hash(found: os.stat_result) -> dict[str, int]:
    facts = f"{found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns}".encode()
    digest = hashlib.blake2b(facts, digest_size=16).digest()
    return {"lower": int.from_bytes(digest[:8], "little"), "upper": int.from_bytes(digest[8:], "little")}


def get_directories(store: Any) -> list[tuple[Descriptor, str]]:
    made: list[tuple[Descriptor, str]] = []
    for preopen in config_of(store).preopens:
        flags = {"read", "mutate-directory"} if preopen.fs_mutable else {"read"}
        if preopen.tree is not None:
            from .memory import MemoryDescriptor, MemoryFile

            made.append((MemoryDescriptor(MemoryFile(preopen.tree.root, Quota()), flags, preopen.fs_mutable), preopen.guest_path))
            continue
        try:
            fd = os.open(preopen.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Trap(f"the preopened directory {preopen.path} is not there any more: {error.strerror}") from error
        made.append((Descriptor(File(fd, Quota()), flags, preopen.fs_mutable), preopen.guest_path))
    return made


def filesystem_error_code(store: Any, error: IoError) -> str | None:
    return error.code


def define(linker: Linker, version: str) -> None:
    types = linker.instance(f"wasi:filesystem/types@{version}")
    types.define({"descriptor": Descriptor, "directory-entry-stream": DirectoryEntryStream})
    types.add_resource("input-stream", InputStream)
    types.add_resource("output-stream", OutputStream)
    types.add_resource("error", IoError)
    types.add_func("filesystem-error-code", filesystem_error_code)
    preopens = linker.instance(f"wasi:filesystem/preopens@{version}")
    preopens.add_resource("descriptor", Descriptor)
    preopens.add_func("get-directories", get_directories)
