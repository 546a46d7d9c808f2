"""WASI 0.1: the functions of wasi_snapshot_preview1, for core modules. `Linker.define_wasi()` defines them.

Each is named as in the interface and gets the store, the memory that its caller exports, and its parameters as unsigned integers (`make_memory_func`); it
returns nothing, or raises what `errno_of` makes an errno of. Clock, random numbers and yielding are C (csrc/vm/wasi.c). Guests are hostile: whatever is
read of their memory is looked at once, addresses and lengths that lie outside of it are EFAULT, and lists of vectors or subscriptions have limits. What
a file is and where a path leads is wasi:filesystem's business (`preview1_descriptors.py`).

Differences from wasmtime 50: an address outside of the memory is EFAULT and no trap, and need not be aligned; the clocks of CPU time are there; a fifo,
a device or standard input that is not ready is EAGAIN where the guest has set `nonblock`; an exit status may be any number.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

from wasmrt.errors import ExitTrap
from wasmrt.runtime.linker import HostDefinition, Linker, Memory
from wasmrt.runtime.types import FuncType, ValType
from wasmrt.runtime.values import Variant

from . import waiting
from .config import config_of
from .filesystem import kind_of
from .preview1_abi import (
    ADVICE,
    ATIM_NOW,
    CLOCK_ABSTIME,
    DIRENT,
    DSYNC,
    ERRNO,
    EVENT,
    FDSTAT,
    FILESTAT,
    FILETYPE,
    HANGUP,
    MTIM_NOW,
    OPEN_FLAGS,
    RIGHT,
    SET_ATIM,
    SET_MTIM,
    SIZES,
    SUBSCRIPTION,
    SYMLINK_FOLLOW,
    SYNC,
    U32,
    U64,
    Errno,
    errno_of,
)
from .preview1_descriptors import Descriptors, DirectoryEntry, Views, file_entry

MODULE = "wasi_snapshot_preview1"
MAX_VECTORS = 1024  # of one call, as readv takes: what comes behind them is left for the next
MAX_SUBSCRIPTIONS = 4096
MAX_PATH_BYTES = 1 << 16  # that are decoded at all; the limit on paths is lower
NANOSECONDS = 1_000_000_000
REALTIME, MONOTONIC = 0, 1
CLOCK, FD_READ, FD_WRITE = 0, 1, 2

SIGNATURES = {
    "args_get": "ii",
    "args_sizes_get": "ii",
    "environ_get": "ii",
    "environ_sizes_get": "ii",
    "clock_res_get": "ii",
    "fd_advise": "iIIi",
    "fd_allocate": "iII",
    "fd_close": "i",
    "fd_datasync": "i",
    "fd_fdstat_get": "ii",
    "fd_fdstat_set_flags": "ii",
    "fd_fdstat_set_rights": "iII",
    "fd_filestat_get": "ii",
    "fd_filestat_set_size": "iI",
    "fd_filestat_set_times": "iIIi",
    "fd_pread": "iiiIi",
    "fd_prestat_get": "ii",
    "fd_prestat_dir_name": "iii",
    "fd_pwrite": "iiiIi",
    "fd_read": "iiii",
    "fd_readdir": "iiiIi",
    "fd_renumber": "ii",
    "fd_seek": "iIii",
    "fd_sync": "i",
    "fd_tell": "ii",
    "fd_write": "iiii",
    "path_create_directory": "iii",
    "path_filestat_get": "iiiii",
    "path_filestat_set_times": "iiiiIIi",
    "path_link": "iiiiiii",
    "path_open": "iiiiiIIii",
    "path_readlink": "iiiiii",
    "path_remove_directory": "iii",
    "path_rename": "iiiiii",
    "path_symlink": "iiiii",
    "path_unlink_file": "iii",
    "poll_oneoff": "iiii",
    "proc_exit": "i:",
    "proc_raise": "i",
    "sock_accept": "iii",
    "sock_recv": "iiiiii",
    "sock_send": "iiiii",
    "sock_shutdown": "ii",
}
# these are C for plain files, and come here with all else
FAST = {"fd_read", "fd_write", "fd_seek"}
IN_C = {"clock_time_get": "iIi", "random_get": "ii", "sched_yield": ""}


# ---- memory and state -----------------------------------------------------------------------------------------------------------------------


def descriptors(store: Any) -> Descriptors:
    """Of the store, made when its first guest asks."""
    state = store.wasi_state
    if state is None:
        state = store.wasi_state = Descriptors(store, config_of(store))
    return state  # type: ignore[no-any-return]


def vectors(memory: Memory, address: int, count: int) -> Views:
    """What `count` pairs of address and length name, without the empty ones."""
    view = memoryview(memory)
    size = len(view)
    if count == 1:
        pairs: Any = (SIZES.unpack_from(view, address),)
    else:
        if address + 8 * count > size:
            raise Errno("fault")
        pairs = SIZES.iter_unpack(view[address : address + 8 * min(count, MAX_VECTORS)])
    found = []
    for base, length in pairs:
        if base + length > size:
            raise Errno("fault")
        if length:
            found.append(view[base : base + length])
    return found


def window(memory: Memory, address: int, length: int) -> memoryview:
    view = memoryview(memory)
    if address + length > len(view):
        raise Errno("fault")
    return view[address : address + length]


def text(memory: Memory, address: int, length: int) -> str:
    raw = window(memory, address, length)
    if length > MAX_PATH_BYTES:
        raise Errno("nametoolong")
    try:
        return str(raw, "utf-8")
    except UnicodeDecodeError:
        raise Errno("ilseq") from None


def writable(memory: Memory, address: int, layout: struct.Struct) -> None:
    """Before an effect that its result could not be told of."""
    if address + layout.size > len(memory):
        raise Errno("fault")


# ---- arguments, environment, clocks, processes ----------------------------------------------------------------------------------------------


def _list(memory: Memory, items: list[bytes], pointers: int, buffer: int) -> None:
    for item in items:
        U32.pack_into(memory, pointers, buffer)
        window(memory, buffer, len(item) + 1)[:] = item + b"\0"
        pointers += U32.size
        buffer += len(item) + 1
        if buffer > 0xFFFFFFFF:
            raise Errno("fault")


def _list_sizes(memory: Memory, items: list[bytes], count: int, size: int) -> None:
    U32.pack_into(memory, count, len(items))
    U32.pack_into(memory, size, sum(map(len, items)) + len(items))


def args_get(store: Any, memory: Memory, pointers: int, buffer: int) -> None:
    _list(memory, descriptors(store).arguments, pointers, buffer)


def args_sizes_get(store: Any, memory: Memory, count: int, size: int) -> None:
    _list_sizes(memory, descriptors(store).arguments, count, size)


def environ_get(store: Any, memory: Memory, pointers: int, buffer: int) -> None:
    _list(memory, descriptors(store).environment, pointers, buffer)


def environ_sizes_get(store: Any, memory: Memory, count: int, size: int) -> None:
    _list_sizes(memory, descriptors(store).environment, count, size)


def clock_res_get(store: Any, memory: Memory, clock: int, out: int) -> None:
    if clock > 3:
        raise Errno("inval")
    U64.pack_into(memory, out, max(1, round(time.clock_getres(_CLOCKS[clock]) * NANOSECONDS)))


_CLOCKS = (time.CLOCK_REALTIME, time.CLOCK_MONOTONIC, time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_THREAD_CPUTIME_ID)


def proc_exit(store: Any, memory: Memory, code: int) -> None:
    raise ExitTrap(code)


def proc_raise(store: Any, memory: Memory, signal: int) -> None:
    raise Errno("notsup")


# ---- descriptors ----------------------------------------------------------------------------------------------------------------------------


def fd_advise(store: Any, memory: Memory, fd: int, offset: int, length: int, advice: int) -> None:
    if advice >= len(ADVICE):
        raise Errno("inval")
    descriptors(store).get(fd).file().advise(offset, length, ADVICE[advice])


def fd_allocate(store: Any, memory: Memory, fd: int, offset: int, length: int) -> None:
    descriptors(store).get(fd).file()
    raise Errno("notsup")


def fd_close(store: Any, memory: Memory, fd: int) -> None:
    descriptors(store).take(store, fd).close()


def fd_datasync(store: Any, memory: Memory, fd: int) -> None:
    descriptors(store).get(fd).file().sync_data()


def fd_fdstat_get(store: Any, memory: Memory, fd: int, out: int) -> None:
    FDSTAT.pack_into(memory, out, *descriptors(store).get(fd).facts())


def fd_fdstat_set_flags(store: Any, memory: Memory, fd: int, flags: int) -> None:
    if flags > 0x1F:
        raise Errno("inval")
    descriptors(store).get(fd).set_flags(flags)


def fd_fdstat_set_rights(store: Any, memory: Memory, fd: int, base: int, inheriting: int) -> None:
    descriptors(store).get(fd)
    raise Errno("notsup")


def _filestat(memory: Memory, out: int, found: Any) -> None:
    times = (max(0, found.st_atime_ns), max(0, found.st_mtime_ns), max(0, found.st_ctime_ns))
    FILESTAT.pack_into(memory, out, found.st_dev, found.st_ino, FILETYPE[kind_of(found.st_mode)], found.st_nlink, found.st_size, *times)


def fd_filestat_get(store: Any, memory: Memory, fd: int, out: int) -> None:
    entry = descriptors(store).get(fd)
    found = entry.status()
    if found is None:
        FILESTAT.pack_into(memory, out, 0, 0, entry.facts()[0], 0, 0, 0, 0, 0)
    else:
        _filestat(memory, out, found)


def fd_filestat_set_size(store: Any, memory: Memory, fd: int, size: int) -> None:
    descriptors(store).get(fd).file().set_size(size)


class _Instant:
    """A `datetime` of wasi:clocks."""

    def __init__(self, nanoseconds: int) -> None:
        self.seconds, self.nanoseconds = divmod(nanoseconds, NANOSECONDS)


def _times(accessed: int, modified: int, flags: int) -> tuple[Variant, Variant]:
    def wanted(instant: int, is_set: int, is_now: int) -> Variant:
        if is_set and is_now:
            raise Errno("inval")
        return Variant("timestamp", _Instant(instant)) if is_set else Variant("now" if is_now else "no-change")

    if flags > 0xF:
        raise Errno("inval")
    return wanted(accessed, flags & SET_ATIM, flags & ATIM_NOW), wanted(modified, flags & SET_MTIM, flags & MTIM_NOW)


def fd_filestat_set_times(store: Any, memory: Memory, fd: int, accessed: int, modified: int, flags: int) -> None:
    times = _times(accessed, modified, flags)
    descriptors(store).get(fd).either().set_times(*times)


def fd_read(store: Any, memory: Memory, fd: int, address: int, count: int, out: int) -> None:
    entry = descriptors(store).get(fd)
    views = vectors(memory, address, count)
    writable(memory, out, U32)
    U32.pack_into(memory, out, entry.read(store, views))


def fd_pread(store: Any, memory: Memory, fd: int, address: int, count: int, offset: int, out: int) -> None:
    entry = descriptors(store).get(fd)
    views = vectors(memory, address, count)
    writable(memory, out, U32)
    U32.pack_into(memory, out, entry.read_at(views, offset))


def fd_write(store: Any, memory: Memory, fd: int, address: int, count: int, out: int) -> None:
    entry = descriptors(store).get(fd)
    views = vectors(memory, address, count)
    writable(memory, out, U32)
    U32.pack_into(memory, out, entry.write(store, views))


def fd_pwrite(store: Any, memory: Memory, fd: int, address: int, count: int, offset: int, out: int) -> None:
    entry = descriptors(store).get(fd)
    views = vectors(memory, address, count)
    writable(memory, out, U32)
    U32.pack_into(memory, out, entry.write_at(views, offset))


def _preopened(store: Any, fd: int, otherwise: str = "badf") -> bytes:
    entry = descriptors(store).get(fd)
    if not isinstance(entry, DirectoryEntry) or entry.name is None:
        raise Errno(otherwise)
    return entry.name


def fd_prestat_get(store: Any, memory: Memory, fd: int, out: int) -> None:
    SIZES.pack_into(memory, out, 0, len(_preopened(store, fd)))


def fd_prestat_dir_name(store: Any, memory: Memory, fd: int, path: int, length: int) -> None:
    name = _preopened(store, fd, "notdir")
    if len(name) > length:
        raise Errno("nametoolong")
    window(memory, path, len(name))[:] = name


def fd_readdir(store: Any, memory: Memory, fd: int, buffer: int, length: int, cookie: int, out: int) -> None:
    entry = descriptors(store).get(fd)
    if not isinstance(entry, DirectoryEntry):
        raise Errno("badf")
    view = window(memory, buffer, length)
    writable(memory, out, U32)
    used = 0
    for number, (following, inode, name, kind) in enumerate(entry.entries(cookie)):
        if used == length:
            break
        if number % 4096 == 4095:
            store.check_interrupt()
        record = (DIRENT.pack(following, inode, len(name), kind) + name)[: length - used]
        view[used : used + len(record)] = record
        used += len(record)
    U32.pack_into(memory, out, used)


def fd_renumber(store: Any, memory: Memory, fd: int, to: int) -> None:
    descriptors(store).renumber(store, fd, to)


def fd_seek(store: Any, memory: Memory, fd: int, offset: int, whence: int, out: int) -> None:
    entry = descriptors(store).get(fd)
    if whence > 2:
        raise Errno("inval")
    writable(memory, out, U64)
    U64.pack_into(memory, out, entry.seek(offset - (1 << 64) if offset >> 63 else offset, whence))


def fd_sync(store: Any, memory: Memory, fd: int) -> None:
    descriptors(store).get(fd).either().sync()


def fd_tell(store: Any, memory: Memory, fd: int, out: int) -> None:
    U64.pack_into(memory, out, descriptors(store).get(fd).seek(0, 1))


# ---- paths ----------------------------------------------------------------------------------------------------------------------------------


def _path_flags(flags: int) -> set[str]:
    if flags & ~SYMLINK_FOLLOW:
        raise Errno("inval")
    return {"symlink-follow"} if flags else set()


def path_create_directory(store: Any, memory: Memory, fd: int, path: int, length: int) -> None:
    descriptors(store).get(fd).directory().create_directory_at(text(memory, path, length))


def path_filestat_get(store: Any, memory: Memory, fd: int, flags: int, path: int, length: int, out: int) -> None:
    found = descriptors(store).get(fd).directory().status_at(_path_flags(flags), text(memory, path, length))
    _filestat(memory, out, found)


def path_filestat_set_times(
    store: Any, memory: Memory, fd: int, flags: int, path: int, length: int, accessed: int, modified: int, set_flags: int
) -> None:
    times = _times(accessed, modified, set_flags)
    descriptors(store).get(fd).directory().set_times_at(_path_flags(flags), text(memory, path, length), *times)


def path_link(
    store: Any, memory: Memory, fd: int, flags: int, path: int, length: int, new_fd: int, new_path: int, new_length: int
) -> None:
    table = descriptors(store)
    old, new = table.get(fd).directory(), table.get(new_fd).directory()
    old.link_at(_path_flags(flags), text(memory, path, length), new, text(memory, new_path, new_length))


def path_open(
    store: Any, memory: Memory, fd: int, look: int, path: int, length: int, flags: int, base: int, inheriting: int, fd_flags: int, out: int
) -> None:
    table = descriptors(store)
    directory = table.get(fd).directory()
    if flags > 0xF or fd_flags > 0x1F:
        raise Errno("inval")
    writable(memory, out, U32)
    open_flags = {name for bit, name in enumerate(OPEN_FLAGS) if flags >> bit & 1}
    wanted = {name for name, asked in (("read", base & RIGHT["fd_read"]), ("write", base & RIGHT["fd_write"])) if asked}
    wanted |= {name for name, bit in (("file-integrity-sync", SYNC), ("data-integrity-sync", DSYNC)) if fd_flags & bit}
    opened = directory.open_at(_path_flags(look), text(memory, path, length), open_flags, wanted)
    try:
        entry = DirectoryEntry(opened) if opened.is_directory else file_entry(opened, fd_flags)
    except OSError:
        opened.close()
        raise
    U32.pack_into(memory, out, table.add(store, entry))


def path_readlink(store: Any, memory: Memory, fd: int, path: int, length: int, buffer: int, size: int, out: int) -> None:
    target = descriptors(store).get(fd).directory().readlink_at(text(memory, path, length)).encode()[:size]
    writable(memory, out, U32)
    window(memory, buffer, len(target))[:] = target
    U32.pack_into(memory, out, len(target))


def path_remove_directory(store: Any, memory: Memory, fd: int, path: int, length: int) -> None:
    descriptors(store).get(fd).directory().remove_directory_at(text(memory, path, length))


def path_rename(store: Any, memory: Memory, fd: int, path: int, length: int, new_fd: int, new_path: int, new_length: int) -> None:
    table = descriptors(store)
    old, new = table.get(fd).directory(), table.get(new_fd).directory()
    old.rename_at(text(memory, path, length), new, text(memory, new_path, new_length))


def path_symlink(store: Any, memory: Memory, path: int, length: int, fd: int, new_path: int, new_length: int) -> None:
    directory = descriptors(store).get(fd).directory()
    directory.symlink_at(text(memory, path, length), text(memory, new_path, new_length))


def path_unlink_file(store: Any, memory: Memory, fd: int, path: int, length: int) -> None:
    descriptors(store).get(fd).directory().unlink_file_at(text(memory, path, length))


# ---- polling, sockets -----------------------------------------------------------------------------------------------------------------------


def _instant(clock: int, timeout: int, flags: int) -> int:
    """When a subscription to a clock is due, on the monotonic clock."""
    if clock not in (REALTIME, MONOTONIC):
        raise Errno("inval")
    if not flags & CLOCK_ABSTIME:
        return time.monotonic_ns() + timeout
    return timeout if clock == MONOTONIC else time.monotonic_ns() + timeout - time.time_ns()


def poll_oneoff(store: Any, memory: Memory, subscriptions: int, events: int, count: int, out: int) -> None:
    """Waits until at least one is due; a descriptor that cannot be waited for fails the call."""
    if not 0 < count <= MAX_SUBSCRIPTIONS:
        raise Errno("inval")
    asked = list(SUBSCRIPTION.iter_unpack(window(memory, subscriptions, SUBSCRIPTION.size * count)))
    room = window(memory, events, EVENT.size * count)
    writable(memory, out, U32)
    table = descriptors(store)
    until: int | None = None
    watched: dict[int, int] = {}
    due: list[tuple[int | None, int | None]] = []  # (when, descriptor to wait for) of each; both None: at once
    for _, kind, which, timeout, _, flags in asked:
        when = fd = None
        if kind == CLOCK:
            when = _instant(which, timeout, flags)
        elif kind in (FD_READ, FD_WRITE):
            events_wanted = select.POLLIN if kind == FD_READ else select.POLLOUT
            fd = table.get(which).poll_fd(events_wanted)
            if fd is not None:
                watched[fd] = watched.get(fd, 0) | events_wanted
        else:
            raise Errno("inval")
        if when is None and fd is None:
            until = 0
        elif when is not None and (until is None or when < until):
            until = when
        due.append((when, fd))
    ready = waiting.wait(store, until, watched)
    now = time.monotonic_ns()
    used = 0
    for (userdata, kind, which, *_), (when, fd) in zip(asked, due, strict=True):
        hangup = size = 0
        if kind == CLOCK:
            if when is not None and when > now:
                continue
        elif fd is not None:
            found = ready.get(fd, 0)
            if not found & ((select.POLLIN if kind == FD_READ else select.POLLOUT) | select.POLLHUP | select.POLLERR | select.POLLNVAL):
                continue
            size, hangup = _bytes_ready(table, which, kind, found)
        else:
            size = 1
        EVENT.pack_into(room, used * EVENT.size, userdata, ERRNO["success"], kind, size, hangup)
        used += 1
    U32.pack_into(memory, out, used)


def _bytes_ready(table: Descriptors, number: int, kind: int, found: int) -> tuple[int, int]:
    """How many bytes can be read, as far as that is known, and whether the other end is gone."""
    if kind == FD_READ:
        entry = table.get(number)
        status = entry.status()
        if status is not None and kind_of(status.st_mode) == "regular-file":
            left = max(0, status.st_size - entry.seek(0, 1))
            return left, 0 if left else HANGUP
        return 0 if found & select.POLLHUP and not found & select.POLLIN else 1, HANGUP if found & select.POLLHUP else 0
    return 1, HANGUP if found & (select.POLLERR | select.POLLHUP) else 0


def no_socket(store: Any, memory: Memory, fd: int, *args: int) -> None:
    """No descriptor is a socket."""
    descriptors(store).get(fd)
    raise Errno("notsock")


sock_accept = sock_recv = sock_send = sock_shutdown = no_socket


def _func_type(signature: str) -> FuncType:
    """`iI` for (i32, i64) -> i32; `i:` without a result."""
    kinds = {"i": ValType.i32(), "I": ValType.i64()}
    params, _, results = signature.partition(":") if ":" in signature else (signature, "", "i")
    return FuncType([kinds[letter] for letter in params], [kinds[letter] for letter in results])


def functions() -> dict[str, Callable[..., None]]:
    """Those that are Python, by name."""
    return {name: globals()[name] for name in SIGNATURES}


def define(linker: Linker) -> None:
    """Defines all functions in `linker`; each store's own WasiConfig (`Store.set_wasi`) says what its guests see."""
    for name, function in functions().items():
        linker._define(MODULE, name, HostDefinition.with_memory(_func_type(SIGNATURES[name]), function, errno_of, name if name in FAST else None))
    for name, signature in IN_C.items():
        linker._define(MODULE, name, HostDefinition.of_wasi(_func_type(signature), name))


__all__: Sequence[str] = ["define", "descriptors", "functions"]
