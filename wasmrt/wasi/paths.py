"""Paths of guests, resolved so that nothing outside of a directory can be reached: not by `..`, not by symbolic links, not by races.

A path is walked one name at a time, each opened relative to the descriptor of the one before and never through a symbolic link; links are read and
walked in their turn. `..` goes back to a descriptor that was opened on the way, so it never leaves the directory that the walk began in.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from wasmrt.errors import WitError

MAX_LINKS = 40
MAX_PATH_BYTES = 4096

WASI_CODES = {
    errno.EACCES: "access",
    errno.EAGAIN: "would-block",
    errno.EALREADY: "already",
    errno.EBADF: "bad-descriptor",
    errno.EBUSY: "busy",
    errno.EDEADLK: "deadlock",
    errno.EDQUOT: "quota",
    errno.EEXIST: "exist",
    errno.EFBIG: "file-too-large",
    errno.EILSEQ: "illegal-byte-sequence",
    errno.EINPROGRESS: "in-progress",
    errno.EINTR: "interrupted",
    errno.EINVAL: "invalid",
    errno.EISDIR: "is-directory",
    errno.ELOOP: "loop",
    errno.EMLINK: "too-many-links",
    errno.EMSGSIZE: "message-size",
    errno.ENAMETOOLONG: "name-too-long",
    errno.ENODEV: "no-device",
    errno.ENOENT: "no-entry",
    errno.ENOLCK: "no-lock",
    errno.EMFILE: "insufficient-memory",
    errno.ENFILE: "insufficient-memory",
    errno.ENOMEM: "insufficient-memory",
    errno.ENOSPC: "insufficient-space",
    errno.ENOTDIR: "not-directory",
    errno.ENOTEMPTY: "not-empty",
    errno.ENOTRECOVERABLE: "not-recoverable",
    errno.ENOTSUP: "unsupported",
    errno.ENOTTY: "no-tty",
    errno.ENXIO: "no-such-device",
    errno.EOVERFLOW: "overflow",
    errno.EPERM: "not-permitted",
    errno.EPIPE: "pipe",
    errno.EROFS: "read-only",
    errno.ESPIPE: "invalid-seek",
    errno.ETXTBSY: "text-file-busy",
    errno.EXDEV: "cross-device",
}


def error_code(error: OSError) -> str:
    """The case of wasi:filesystem's `error-code` for an error of the operating system."""
    return WASI_CODES.get(error.errno or 0, "io")


@contextmanager
def failing_as_wasi() -> Iterator[None]:
    """Errors of the operating system as the guest's `err`; what no system call takes (an offset beyond 2^63) is `invalid`."""
    try:
        yield
    except OSError as error:
        raise WitError(error_code(error)) from None
    except (OverflowError, ValueError):
        raise WitError("invalid") from None


def encoded(path: str) -> bytes:
    """A relative path of at most MAX_PATH_BYTES bytes."""
    raw = path.encode()
    if not raw:
        raise WitError("no-entry")
    if b"\0" in raw:
        raise WitError("invalid")
    if len(raw) > MAX_PATH_BYTES:
        raise WitError("name-too-long")
    if raw.startswith(b"/"):
        raise WitError("not-permitted")
    return raw


@contextmanager
def place(root: int, path: str, *, follow: bool, may_end_in_slash: bool = False) -> Iterator[tuple[int, bytes]]:
    """(descriptor of a directory, name in it) of a guest's path below `root`; the name is `.` for the directory itself.

    The name is no symbolic link when `follow`, unless one is put there meanwhile: whoever uses it does not follow links. It need not exist.
    `may_end_in_slash`: for what makes or removes directories, whose paths may end so before the directory exists.
    """
    raw = encoded(path)
    if may_end_in_slash:
        raw = raw.rstrip(b"/")
    opened: list[int] = []
    try:
        with failing_as_wasi():
            found = _walk(root, raw, follow, opened)
        yield found
    finally:
        for fd in opened:
            os.close(fd)


def _walk(root: int, raw: bytes, follow: bool, opened: list[int]) -> tuple[int, bytes]:
    links = 0
    pending = raw.split(b"/")[::-1]
    while pending:
        name = pending.pop()
        here = opened[-1] if opened else root
        if name in (b"", b"."):
            continue
        if name == b"..":
            if not opened:
                raise WitError("not-permitted")
            os.close(opened.pop())
            continue
        if pending or follow:
            target = _link(here, name)
            if target is not None:
                links += 1
                if links > MAX_LINKS:
                    raise WitError("loop")
                if target.startswith(b"/"):
                    raise WitError("not-permitted")
                pending.extend(target.split(b"/")[::-1])
                if len(pending) > MAX_PATH_BYTES:
                    raise WitError("name-too-long")
                continue
        if not pending:
            return here, name
        opened.append(os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here))
    return (opened[-1] if opened else root), b"."


def _link(directory: int, name: bytes) -> bytes | None:
    """Where a symbolic link leads; None for anything else, present or not."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return os.readlink(name, dir_fd=directory) if stat.S_ISLNK(found.st_mode) else None
