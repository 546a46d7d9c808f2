"""The compilation cache: artifacts by the hash of all that they depend on, shared by every process of a user.

* An entry's name is the SHA-256 of the source bytes and of everything else that decides what is compiled: version and build of wasmrt, config, CPU
  features. So an entry never changes what it means; what is out of date is not found and ages out.
* Entries are written to a temporary file, synced, then renamed into place: a reader sees all of an entry or none, however many processes write it.
  There is no lock, thus none that a stopped process could hold.
* The bound on size is kept by whoever writes: after a rename the entries that were used least recently (a hit touches the mtime) are unlinked.
  Mapped entries live on until they are unmapped.
* An artifact is machine code that will be executed. So the folder and each entry must belong to the user and be writable by nobody else, else they are
  not used; the folder is looked at again by each use. Checksums find damage, not malice.
* A hit checks headers, component records and metas, since what their first use found out would be too late to compile; the text only with
  `CacheConfig.verify`.
* Whatever is wrong with an entry, or with writing one, costs a compilation and is not an error.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import hashlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wasmrt._native import core, images
from wasmrt._version import __version__
from wasmrt.errors import ArgumentTypeError, ArgumentValueError, ArtifactError, WasmError

from . import source as sources

SUFFIX = ".wasmrt"
TEMPORARY = ".tmp"
# a temporary file this old was left by a process that ended while it wrote
TEMPORARY_SECONDS = 3600
DEFAULT_BYTES = 1 << 30
KINDS = {"module": 1, "component": 2}


@dataclasses.dataclass(frozen=True)
class CacheConfig:
    """Where compiled modules and components are kept, for `Config.cache`.

    `directory`: made with mode 0700 when it is missing; None is `$XDG_CACHE_HOME/wasmrt`, or `~/.cache/wasmrt`. `max_bytes`: what all entries together
    may take; those used least recently go first. `verify`: check all of an entry's bytes before its use, not only headers and metadata (about
    0.3 ms a megabyte), for folders on media that lose bits.

    >>> Config(cache=CacheConfig("/var/cache/app", max_bytes=100 << 20))
    """

    directory: str | os.PathLike[str] | None = None
    max_bytes: int = DEFAULT_BYTES
    verify: bool = False

    def __post_init__(self) -> None:
        if self.directory is not None and not isinstance(self.directory, (str, os.PathLike)):
            raise ArgumentTypeError(f"CacheConfig.directory: expected a path, got {type(self.directory).__name__}")
        if type(self.max_bytes) is not int:
            raise ArgumentTypeError(f"CacheConfig.max_bytes: expected int, got {type(self.max_bytes).__name__}")
        if self.max_bytes <= 0:
            raise ArgumentValueError("CacheConfig.max_bytes must be above 0")


def cache_config(value: Any) -> CacheConfig | None:
    """What `Config.cache` was set to: True, a folder's path or a CacheConfig; False and None are off."""
    if value is None or value is False:
        return None
    if value is True:
        return CacheConfig()
    if isinstance(value, CacheConfig):
        return value
    if isinstance(value, (str, os.PathLike)):
        if os.path.isfile(value):
            raise WasmError(f"Config.cache: {os.fspath(value)!r} is a file; the path of a folder is wanted (files with settings are not read)")
        return CacheConfig(value)
    raise ArgumentTypeError(f"Config.cache: expected a bool, a path or a CacheConfig, got {type(value).__name__}")


def default_directory() -> Path:
    """`$XDG_CACHE_HOME/wasmrt`, or `~/.cache/wasmrt`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "wasmrt"


def log(message: str, *values: Any) -> None:
    """To the logger `wasmrt`, at DEBUG. A program that has not imported logging has nobody who listens."""
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger("wasmrt").debug(message, *values)


@functools.cache
def build_stamp() -> str:
    """Tells builds of one version apart, for those who build wasmrt themselves: a released one changes with its version."""
    library = os.stat(Path(core.__file__).parent / "libwasmrt.so")
    return f"{__version__} {library.st_size} {library.st_mtime_ns}"


class Cache:
    """The cache of an engine: `engine.cache`, None when `Config.cache` is off. Threads and processes may use one folder at the same time.

    >>> engine = Engine(Config(cache=True))
    >>> engine.cache.contains(wasm_bytes)
    False
    >>> component = Component(engine, wasm_bytes)  # the next one costs a hash and a map
    """

    def __init__(self, config: CacheConfig, settings: bytes, tunables: core.Tunables, wasm_features: int) -> None:
        self.config = config
        self.tunables = tunables
        self.wasm_features = wasm_features
        directory = default_directory() if config.directory is None else config.directory
        self.directory = Path(os.path.abspath(directory))
        self.hits = 0
        self.misses = 0
        self._settings = hashlib.sha256(build_stamp().encode() + b"\0" + settings + tunables.key()).digest()
        try:
            wrong = self._make_folder()
        except OSError as error:
            raise WasmError(f"the cache's folder {str(self.directory)!r} cannot be used: {error.strerror}") from None
        if wrong is not None:
            raise WasmError(
                f"the cache's folder {str(self.directory)!r} {wrong}: its entries are machine code that would be executed, so it must be yours alone (chmod 700)"
            )

    def _make_folder(self) -> str | None:
        """Makes the folder and those above it where they are missing, for the user alone whatever the umask; what is wrong with it (`insecure`)."""
        for folder in (*reversed(self.directory.parents), self.directory):
            try:
                os.mkdir(folder, 0o700)
            except FileExistsError:
                pass
            except OSError:
                if not folder.is_dir():  # a parent on a file system mounted read-only exists all the same
                    raise
        return insecure(os.stat(self.directory))

    def check_folder(self) -> None:
        """OSError unless the folder is still there and still the user's alone: somebody may have put another in its place."""
        wrong = insecure(os.stat(self.directory))
        if wrong is not None:
            raise OSError(errno.EPERM, f"the folder {wrong}")

    def key(self, kind: str, data: bytes, is_text: bool) -> str:
        """The name of the entry for a source; `kind` is "module" or "component"."""
        digest = hashlib.sha256(self._settings)
        digest.update(f"{kind} {'text' if is_text else 'binary'} {len(data)}\0".encode())
        digest.update(data)
        return digest.hexdigest()

    def entry(self, kind: str, source: Any) -> Entry:
        """The entry for what `Component` or `Module` was given, present or not. Raises for what is no source at all."""
        data, is_text = sources.raw(source, kind.capitalize())
        return Entry(self, kind, self.key(kind, data, is_text))

    def contains(self, source: Any, kind: str | None = None) -> bool:
        """Whether compiling this source (bytes or text) will be a hit; `kind` is "module" or "component", for text of which either is meant."""
        if kind is not None and kind not in KINDS:
            raise ArgumentValueError(f'kind is "module" or "component", got {kind!r}')
        data, is_text = sources.raw(source, "Component")
        found = None if is_text else sources.KINDS.get(data[4:8])
        kinds = [kind or found] if kind or found else list(KINDS)
        return any(Entry(self, name, self.key(name, data, is_text)).exists() for name in kinds if name)

    def size_bytes(self) -> int:
        """What all entries take now."""
        return sum(size for _, _, size in self._entries())

    def clear(self) -> None:
        """Removes all entries. What is loaded from them goes on."""
        for _, name, _ in self._entries():
            unlink(self.directory / name)

    def prune(self) -> None:
        """Removes what was used least recently until `max_bytes` holds. Writing an entry does this."""
        entries = sorted(self._entries())
        total = sum(size for _, _, size in entries)
        for _, name, size in entries:
            if total <= self.config.max_bytes:
                return
            log("cache: %s is evicted", name)
            unlink(self.directory / name)
            total -= size

    def _entries(self) -> list[tuple[int, str, int]]:
        """(mtime in ns, name, bytes) of each; drops temporary files that nobody writes any more."""
        found = []
        try:
            with os.scandir(self.directory) as items:
                for item in items:
                    try:
                        status = item.stat(follow_symlinks=False)
                    except OSError:
                        continue  # evicted by another process
                    if not stat.S_ISREG(status.st_mode):
                        continue
                    if item.name.endswith(SUFFIX):
                        found.append((status.st_mtime_ns, item.name, status.st_size))
                    elif item.name.endswith(SUFFIX + TEMPORARY) and time.time() - status.st_mtime > TEMPORARY_SECONDS:
                        unlink(item.path)
        except OSError as error:
            log("cache: %s cannot be read: %s", self.directory, error)
        return found

    def __repr__(self) -> str:
        return f"<wasmrt.Cache {str(self.directory)!r}: {self.hits} hits, {self.misses} misses>"


class Entry:
    """One name in a cache: loaded, dropped when it is broken, written."""

    __slots__ = ("cache", "kind", "path")

    def __init__(self, cache: Cache, kind: str, key: str) -> None:
        self.cache = cache
        self.kind = kind
        self.path = cache.directory / (key + SUFFIX)

    def exists(self) -> bool:
        try:
            self.cache.check_folder()
            with open_entry(self.path) as file:
                return bool(images.CodeMemory.detect(file.read(4096)) == KINDS[self.kind])
        except OSError:
            return False

    def load(self) -> images.CodeMemory | None:
        """The image, mapped; None: there is none that can be used. What only its user finds out is told by `drop`."""
        try:
            self.cache.check_folder()
            with open_entry(self.path) as file:
                code = images.CodeMemory.map_file(file.fileno(), KINDS[self.kind], self.cache.tunables, self.cache.wasm_features)
                if self.cache.config.verify:
                    code.verify()
                else:
                    code.check_records()  # else their first use would find out, when it is too late to compile
                try:
                    os.utime(file.fileno())
                except OSError:
                    pass  # a file system mounted read-only: the order of eviction is somebody else's business there
        except FileNotFoundError:
            code = None
        except (OSError, ValueError, ArtifactError) as error:
            self.drop(error)
            code = None
        if code is None:
            self.cache.misses += 1
            log("cache: %s is not there", self.path.name)
        else:
            self.cache.hits += 1
            log("cache: %s is there", self.path.name)
        return code

    def drop(self, error: Exception) -> None:
        """Broken, or of another version by accident: recompiled and replaced, without a word but to the log."""
        log("cache: %s cannot be used: %s", self.path.name, error)
        unlink(self.path)

    def store(self, image: bytes) -> None:
        """Writes the entry and keeps the bound. Failing (no space, no permission) is only logged."""
        if len(image) > self.cache.config.max_bytes:
            return
        name = None
        try:
            wrong = self.cache._make_folder()  # it may have been deleted
            if wrong is not None:
                raise OSError(errno.EPERM, f"the folder {wrong}")
            handle, name = tempfile.mkstemp(prefix=self.path.name[:16], suffix=SUFFIX + TEMPORARY, dir=self.cache.directory)
            with os.fdopen(handle, "wb") as file:
                file.write(image)
                file.flush()
                os.fsync(file.fileno())
            os.rename(name, self.path)
        except OSError as error:
            log("cache: %s cannot be written: %s", self.path.name, error)
            if name is not None:
                unlink(name)
            return
        except BaseException:  # Ctrl-C
            if name is not None:
                unlink(name)
            raise
        self.cache.prune()


def compile_once(
    cache: Cache | None, kind: str, source: Any, make: Callable[[], images.CodeMemory], adopt: Callable[[images.CodeMemory], None]
) -> None:
    """Gives `adopt` the image of a source: the cache's, else what `make` compiles, which is then kept."""
    entry = None if cache is None else cache.entry(kind, source)
    code = None if entry is None else entry.load()
    if entry is not None and code is not None:
        try:
            adopt(code)
        except ArtifactError as error:
            entry.drop(error)
        else:
            return
    start = time.perf_counter()
    code = make()
    first, end = code.image_range()
    log("compiled a %s in %.3f s: %d bytes", kind, time.perf_counter() - start, end - first)
    adopt(code)
    if entry is not None:
        entry.store(code.image())


def insecure(found: os.stat_result) -> str | None:
    """What is wrong with the owner or the mode of a folder or an entry; None: nothing."""
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "is writable by others"
    return None


def open_entry(path: Path) -> Any:
    """An entry's file, open and checked. Raises OSError; also for one that others could have written."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb", buffering=0)
    found = os.fstat(file.fileno())
    wrong = insecure(found) if stat.S_ISREG(found.st_mode) else "is no regular file"
    if wrong is None:
        return file
    file.close()
    raise OSError(errno.EPERM, wrong)


def unlink(path: str | os.PathLike[str]) -> None:
    """Without an error when it cannot be: somebody else was faster, or owns it."""
    try:
        os.unlink(path)
    except OSError:
        pass
