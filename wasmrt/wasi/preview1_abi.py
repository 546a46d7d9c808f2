"""Numbers and layouts of wasi_snapshot_preview1: error numbers, file types, rights, flags, records as guests have them in memory.

Numbers follow from the order of the names in the interface's description (`wasi_snapshot_preview1.witx`), so names in order are all there is here.
"""

from __future__ import annotations

import errno as host_errno
from struct import Struct
from struct import error as StructError

from wasmrt.errors import WitError

from .paths import WASI_CODES

_NAMES = """success 2big acces addrinuse addrnotavail afnosupport again already badf badmsg busy canceled child connaborted connrefused connreset deadlk
    destaddrreq dom dquot exist fault fbig hostunreach idrm ilseq inprogress intr inval io isconn isdir loop mfile mlink msgsize multihop nametoolong
    netdown netreset netunreach nfile nobufs nodev noent noexec nolck nolink nomem nomsg noprotoopt nospc nosys notconn notdir notempty notrecoverable notsock
    notsup notty nxio overflow ownerdead perm pipe proto protonosupport prototype range rofs spipe srch stale timedout txtbsy xdev notcapable"""
ERRNO = {name: number for number, name in enumerate(_NAMES.split())}

FILETYPES = "unknown block-device character-device directory regular-file socket-dgram socket-stream symbolic-link".split()
# what a fifo is has no number
FILETYPE = {name: number for number, name in enumerate(FILETYPES)} | {"fifo": 0, "socket": FILETYPES.index("socket-stream")}

_RIGHTS = """fd_datasync fd_read fd_seek fd_fdstat_set_flags fd_sync fd_tell fd_write fd_advise fd_allocate path_create_directory path_create_file
    path_link_source path_link_target path_open fd_readdir path_readlink path_rename_source path_rename_target path_filestat_get path_filestat_set_size
    path_filestat_set_times fd_filestat_get fd_filestat_set_size fd_filestat_set_times path_symlink path_remove_directory path_unlink_file
    poll_fd_readwrite sock_shutdown sock_accept""".split()
RIGHT = {name: 1 << bit for bit, name in enumerate(_RIGHTS)}
ALL_RIGHTS = (1 << len(_RIGHTS)) - 1


def rights(names: str) -> int:
    return sum(RIGHT[name] for name in names.split())


ADVICE = "normal sequential random will-need dont-need no-reuse".split()

OPEN_FLAGS = "create directory exclusive truncate".split()  # oflags, from bit 0 on
APPEND, DSYNC, NONBLOCK, RSYNC, SYNC = (1 << bit for bit in range(5))  # fdflags
SYMLINK_FOLLOW = 1  # lookupflags
SET_ATIM, ATIM_NOW, SET_MTIM, MTIM_NOW = (1 << bit for bit in range(4))  # fstflags
CLOCK_ABSTIME = 1  # subclockflags
HANGUP = 1  # eventrwflags

U32 = Struct("<I")
U64 = Struct("<Q")
SIZES = Struct("<II")
FDSTAT = Struct("<BxHxxxxQQ")
FILESTAT = Struct("<QQBxxxxxxxQQQQQ")
DIRENT = Struct("<QQIBxxx")
SUBSCRIPTION = Struct("<QBxxxxxxxIxxxxQQHxxxxxx")  # userdata, tag, clock or descriptor, timeout, precision, flags
EVENT = Struct("<QHBxxxxxQHxxxxxx")  # userdata, error, type, bytes, flags


class Errno(Exception):
    """What a call answers instead of 0; `number` is one of ERRNO."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.number = ERRNO[name]


# by the numbers of this system: both kinds are named after the same errors
_OF_HOST = {code: ERRNO[name] for code, host in host_errno.errorcode.items() if (name := host.removeprefix("E").lower()) in ERRNO}
_OF_HOST[host_errno.EDEADLK] = ERRNO["deadlk"]  # Python calls it EDEADLOCK
# by the cases of wasi:filesystem's `error-code`; the first error of the system that has a case says which
_OF_CODES = {name: _OF_HOST[code] for code, name in reversed(WASI_CODES.items())} | {"io": ERRNO["io"]}


def errno_of(error: Exception) -> int:
    """The number for an exception that a call ended with; whatever is no error of the guest's is raised again."""
    if isinstance(error, Errno):
        return error.number
    if isinstance(error, OSError):
        return _OF_HOST.get(error.errno or 0, ERRNO["io"])
    if isinstance(error, StructError):  # an address outside of the memory
        return ERRNO["fault"]
    if isinstance(error, WitError) and error.value in _OF_CODES:
        return _OF_CODES[error.value]
    raise error
