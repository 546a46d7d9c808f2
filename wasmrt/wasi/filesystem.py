"""wasi:filesystem with nothing preopened: guests that import it link and run, and find no directory.

Since a descriptor can only come from a preopened directory, none exists, and the methods below cannot be reached by a guest that keeps to the
canonical ABI; they are here because importing an interface imports its functions.
"""

from __future__ import annotations

from typing import Any, NoReturn

from wasmrt.errors import Trap
from wasmrt.runtime.component_linker import Linker

from .io import InputStream, IoError, OutputStream

METHODS = {
    "descriptor": """read-via-stream write-via-stream append-via-stream advise sync-data get-flags get-type set-size set-times read write
        read-directory sync create-directory-at stat stat-at set-times-at link-at open-at readlink-at remove-directory-at rename-at symlink-at
        unlink-file-at is-same-object metadata-hash metadata-hash-at""".split(),
    "directory-entry-stream": ["read-directory-entry"],
}


class Descriptor:
    """wasi:filesystem/types descriptor; none is ever made."""


class DirectoryEntryStream:
    """wasi:filesystem/types directory-entry-stream; none is ever made."""


def unreachable(store: Any, *args: Any) -> NoReturn:
    raise Trap("no directory is preopened, so there is no descriptor to use")


def define(linker: Linker, version: str) -> None:
    types = linker.instance(f"wasi:filesystem/types@{version}")
    types.add_resource("descriptor", Descriptor)
    types.add_resource("directory-entry-stream", DirectoryEntryStream)
    types.add_resource("input-stream", InputStream)
    types.add_resource("output-stream", OutputStream)
    types.add_resource("error", IoError)
    for resource, methods in METHODS.items():
        for method in methods:
            types.add_func(f"[method]{resource}.{method}", unreachable)
    types.add_func("filesystem-error-code", lambda store, error: None)
    preopens = linker.instance(f"wasi:filesystem/preopens@{version}")
    preopens.add_resource("descriptor", Descriptor)
    preopens.add_func("get-directories", lambda store: [])
