"""WasiConfig: what the guests of one store see of the world. Everything is off until it is asked for."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, overload

from wasmrt.errors import ArgumentTypeError

if TYPE_CHECKING:
    from .http_messages import HttpRequest
    from .memory import MemoryDirectory

Sink = Callable[[bytes], Any]


@dataclass(frozen=True)
class Preopen:
    """A directory of the host, or one in memory, as guests see it."""

    path: str
    guest_path: str
    fs_mutable: bool
    tree: MemoryDirectory | None = None


class WasiConfig:
    """Arguments, environment, standard streams and directories of a store's WASI guests.

    >>> config = WasiConfig()
    >>> config.argv = ["program", "--fast"]
    >>> config.env = {"HOME": "/"}
    >>> config.inherit_stdout()
    >>> config.preopen_dir("build/scratch", "/")
    >>> store.set_wasi(config)

    `stdout_custom` and `stderr_custom` take a callable that gets each chunk of bytes, a file-like object, or a bytearray to append to; `stdin_custom` takes
    bytes, a file-like object, or a callable that gets a number and returns at most so many bytes, none at the end.
    """

    def __init__(self) -> None:
        self._argv: list[str] = []
        self._env: list[tuple[str, str]] = []
        self.stdin: BinaryIO | io.RawIOBase | None = None
        self.stdout: Sink | None = None
        self.stderr: Sink | None = None
        self.terminals = {"stdin": False, "stdout": False, "stderr": False}
        self.preopens: list[Preopen] = []
        self._http_handler: Callable[[HttpRequest], Any] | None = None

    @property
    def http_handler(self) -> Callable[[HttpRequest], Any] | None:
        """Answers the HTTP requests of guests (wasi:http/outgoing-handler): gets an HttpRequest and returns an HttpResponse, or raises HttpError. None,
        at first: they are denied. Each request runs it in a thread of its own. `wasmrt.wasi.http_client` makes one that asks real servers."""
        return self._http_handler

    @http_handler.setter
    def http_handler(self, handler: Callable[[HttpRequest], Any] | None) -> None:
        if handler is not None and not callable(handler):
            raise ArgumentTypeError(f"http_handler: expected a callable or None, got {type(handler).__name__}")
        self._http_handler = handler

    @property
    def argv(self) -> list[str]:
        """The guest's arguments, its own name first. Empty until set."""
        return self._argv

    @argv.setter
    def argv(self, argv: Iterable[str]) -> None:
        self._argv = [_text(item) for item in argv]

    def inherit_argv(self) -> None:
        """This process's own arguments."""
        self._argv = list(sys.argv)

    @property
    def env(self) -> list[tuple[str, str]]:
        """The guest's environment variables, as pairs; set it to a mapping or to pairs. Empty until set."""
        return self._env

    @env.setter
    def env(self, env: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        pairs = env.items() if isinstance(env, Mapping) else env
        self._env = [(_text(key), _text(value)) for key, value in pairs]

    def inherit_env(self) -> None:
        """This process's own environment."""
        self._env = list(os.environ.items())

    @overload
    def preopen_dir(self, path: str | os.PathLike[str], guest_path: str, fs_mutable: bool | None = None) -> None: ...
    @overload
    def preopen_dir(
        self, path: Mapping[str, Any] | MemoryDirectory, guest_path: str, fs_mutable: bool | None = None, *, quota: int | None = None
    ) -> MemoryDirectory: ...
    def preopen_dir(
        self, path: str | os.PathLike[str] | Mapping[str, Any] | MemoryDirectory, guest_path: str, fs_mutable: bool | None = None, *, quota: int | None = None
    ) -> MemoryDirectory | None:
        """Gives guests the directory `path`, with all below it and nothing else, under the name `guest_path`.

        A path is a directory of this system, which guests may change unless `fs_mutable` is false. Symbolic links in it are followed as long as they lead to
        something in it. A mapping of names to bytes and to other such mappings, or a MemoryDirectory, is a directory in memory: read-only unless `fs_mutable` is
        true, and then up to `quota` bytes; it is returned, and its `contents()` has what guests left there.

        >>> tree = config.preopen_dir({"in.txt": b"text", "lib": {}}, "/", fs_mutable=True, quota=1 << 20)

        Raises FileNotFoundError and NotADirectoryError, and for a mapping what MemoryDirectory does.
        """
        if not isinstance(path, (str, bytes, os.PathLike)):
            from .memory import MemoryDirectory

            if isinstance(path, MemoryDirectory):
                if quota is not None:
                    raise ArgumentTypeError("a MemoryDirectory has a quota of its own")
            else:
                path = MemoryDirectory(path, quota=quota)
            self.preopens.append(Preopen("", _text(guest_path), bool(fs_mutable), path))
            return path
        if quota is not None:
            raise ArgumentTypeError("a quota is for a directory in memory")
        found = os.path.abspath(os.fsdecode(path))
        os.scandir(found).close()
        self.preopens.append(Preopen(found, _text(guest_path), True if fs_mutable is None else bool(fs_mutable)))
        return None

    def inherit_stdin(self) -> None:
        """Guests read this process's standard input."""
        self.stdin = sys.stdin.buffer
        self.terminals["stdin"] = sys.stdin.isatty()

    def inherit_stdout(self) -> None:
        """Guests write to this process's `sys.stdout`, as it is now."""
        self.stdout = _file_sink(sys.stdout)
        self.terminals["stdout"] = sys.stdout.isatty()

    def inherit_stderr(self) -> None:
        """Guests write to this process's `sys.stderr`, as it is now."""
        self.stderr = _file_sink(sys.stderr)
        self.terminals["stderr"] = sys.stderr.isatty()

    def _set_stdin_file(self, path: str | os.PathLike[str]) -> None:
        self.stdin = OwnInput(path, "rb")

    def _set_stdout_file(self, path: str | os.PathLike[str]) -> None:
        self.stdout = DescriptorSink(open(path, "wb", buffering=0))

    def _set_stderr_file(self, path: str | os.PathLike[str]) -> None:
        self.stderr = DescriptorSink(open(path, "wb", buffering=0))

    def _set_stdin_custom(self, source: Any) -> None:
        if isinstance(source, (bytes, bytearray, memoryview)):
            self.stdin = io.BytesIO(source)
        elif callable(source):
            self.stdin = CustomInput(source)
        elif isinstance(source, io.TextIOBase) and not hasattr(source, "buffer"):
            self.stdin = CustomInput(source.read)
        elif hasattr(source, "read"):
            self.stdin = getattr(source, "buffer", source)
        else:
            raise ArgumentTypeError(f"expected bytes, a callable or a file-like object, got {type(source).__name__}")
        self.terminals["stdin"] = False

    def _set_stdout_custom(self, sink: Any) -> None:
        self.stdout = _sink(sink)

    def _set_stderr_custom(self, sink: Any) -> None:
        self.stderr = _sink(sink)

    stdin_file = property(None, _set_stdin_file, doc="A file that the guest reads as its standard input.")
    stdout_file = property(None, _set_stdout_file, doc="A file that standard output is written to.")
    stderr_file = property(None, _set_stderr_file, doc="A file that standard error is written to.")
    stdin_custom = property(None, _set_stdin_custom, doc="Bytes, a callable or a file-like object for standard input.")
    stdout_custom = property(None, _set_stdout_custom, doc="A callable, a file-like object or a bytearray for standard output.")
    stderr_custom = property(None, _set_stderr_custom, doc="A callable, a file-like object or a bytearray for standard error.")


class CustomInput(io.RawIOBase):
    """A function as a binary file: text that it returns is UTF-8, and what is more than was asked for waits for the next read."""

    def __init__(self, function: Callable[[int], bytes | str]) -> None:
        self._function = function
        self._left = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data: Any = self._left or self._function(size if size >= 0 else 1 << 16)
        if isinstance(data, str):
            data = data.encode()
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ArgumentTypeError(f"standard input is bytes, the function returned {type(data).__name__}")
        whole = bytes(data)
        if size < 0:
            size = len(whole)
        self._left = whole[size:]
        return whole[:size]

    read1 = read


class OwnInput(io.FileIO):
    """A file that only the guest reads."""

    read1 = io.FileIO.read


class DescriptorSink:
    """Writes to `fd`, the descriptor of a file without a buffer. `waits`: for a reader (pipes, sockets), so that a write can take any time."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.fd = file.fileno()
        mode = os.fstat(self.fd).st_mode
        self.waits = not (stat.S_ISREG(mode) or stat.S_ISCHR(mode))

    def __call__(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self.fd, left) :]


def pipe_to_wait_for(store: Any, sink: Any) -> int | None:
    """The descriptor under a sink that may block, if the guest has a deadline: it is written to in pieces of PIPE_BUF, which a pipe that is ready takes at once."""
    return sink.fd if isinstance(sink, DescriptorSink) and sink.waits and store.wait_limit_ns() is not None else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ArgumentTypeError(f"expected str, got {type(value).__name__}")
    return value


def _sink(sink: Any) -> Sink:
    if isinstance(sink, bytearray):
        return sink.extend
    if callable(sink):
        return sink  # type: ignore[no-any-return]
    if hasattr(sink, "write"):
        return _file_sink(sink)
    raise ArgumentTypeError(f"expected a callable, a file-like object or a bytearray, got {type(sink).__name__}")


def _file_sink(file: Any) -> Sink:
    """Writes bytes to a binary file, or to the buffer under a text file, or as text."""

    def write(data: bytes) -> None:
        target = getattr(file, "buffer", file)
        try:
            target.write(data)
        except TypeError:
            target.write(data.decode("utf-8", "replace"))
        if hasattr(target, "flush"):
            target.flush()

    return write


CLOSED = WasiConfig()


def config_of(store: Any) -> WasiConfig:
    """The store's WasiConfig, or one with everything off."""
    config = getattr(store, "wasi", None)
    return config if isinstance(config, WasiConfig) else CLOSED
