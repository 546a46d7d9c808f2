"""Engines, modules and components through pickle, for `multiprocessing` and whatever else sends Python objects between processes.

* An Engine is its Config and a token: unpickled where an engine with that token lives (the same process, a forked child, or one that has unpickled it
  before) it is that engine, so that components and stores which arrive in separate pickles fit together.
* A Module or Component that came from a file is the path and the SHA-256 of what was read; one that did not, or whose file has changed since, is its
  artifact. Unpickling reads the file and compares. From an artifact file that maps the file, so that processes share its pages; from a source file it
  compiles, or takes what the engine's cache has.
* Within a process one content is one compiled object: pickles that arrive again and again (the tasks of a pool) are loaded once, as long as the object
  is alive or among the last `KEPT`.

Stores, instances and what belongs to them are running programs: they are not pickled. Pickle executes what it is given, machine code included: only
unpickle what you trust.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import os
import pickle
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from wasmrt.errors import ArtifactError

if TYPE_CHECKING:
    from .component import Component
    from .config import Config
    from .engine import Engine
    from .module import Module

KEPT = 8

T = TypeVar("T", bound="Module | Component")
P = ParamSpec("P")
Path = str | os.PathLike[str]
Key = tuple[int, type, str, str]

_engines: weakref.WeakValueDictionary[str, Engine] = weakref.WeakValueDictionary()
_objects: weakref.WeakValueDictionary[Key, Any] = weakref.WeakValueDictionary()
_recent: collections.deque[Any] = collections.deque(maxlen=KEPT)


@dataclass(frozen=True)
class Origin:
    """The source file an object was made from. Of what came from an artifact file, whose bytes can still be compared, the path alone is kept."""

    path: Path
    stamp: tuple[int, ...]


def file_stamp(status: os.stat_result) -> tuple[int, ...]:
    """Changes when a file does."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_stamped(path: Path) -> tuple[bytes, tuple[int, ...]]:
    with open(path, "rb") as file:
        return file.read(), file_stamp(os.fstat(file.fileno()))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# ---- engines and configs --------------------------------------------------------------------------------------------------------------------


def name_engine(engine: Engine) -> str:
    """A token that no other engine has, in this process or another."""
    token = os.urandom(16).hex()
    _engines[token] = engine
    return token


def restore_engine(cls: type[Engine], config: Config, token: str) -> Engine:
    engine = _engines.get(token)
    if engine is None:
        engine = cls(config)
        engine._token = token
        engine = _engines.setdefault(token, engine)
    return engine


def restore_config(cls: type[Config], options: dict[str, Any]) -> Config:
    return cls(**options)


# ---- modules and components -----------------------------------------------------------------------------------------------------------------


def from_source_file(
    make: Callable[Concatenate[type[T], Engine, Path, bytes, P], T],
) -> Callable[Concatenate[type[T], Engine, Path, P], T]:
    """Makes `from_file` of what takes a file's bytes too."""

    @functools.wraps(make)
    def from_file(cls: type[T], engine: Engine, path: Path, *args: P.args, **kwargs: P.kwargs) -> T:
        data, stamp = read_stamped(path)
        made = make(cls, engine, path, data, *args, **kwargs)
        made._origin = Origin(os.path.abspath(path), stamp)
        return made

    # help() shows what is called
    from_file.__annotations__ = {name: value for name, value in make.__annotations__.items() if name != "data"}
    del from_file.__dict__["__wrapped__"]
    return from_file  # type: ignore[return-value]


def reduce(self: Any) -> tuple[Any, ...]:
    """`__reduce__` of Module and Component."""
    engine: Engine = self._engine
    found = _file_of(self)
    if found is None:
        image = self.serialize()
        form, digest, content = "image", sha256(image), image
    else:
        form, digest, content = found
    cls = type(self)
    _objects.setdefault(_key(engine, cls, form, digest), self)
    return restore, (cls, engine, form, digest, content)


def _file_of(self: Any) -> tuple[str, str, str] | None:
    """("source" or "artifact", SHA-256, absolute path) of the file that this object can be made from again; None: there is none."""
    origin: Origin | Path | None = self._origin
    if origin is None:
        return None
    path = os.path.abspath(os.fsdecode(origin.path if isinstance(origin, Origin) else origin))
    try:
        with open(path, "rb") as file:
            if isinstance(origin, Origin):
                return ("source", sha256(file.read()), path) if file_stamp(os.fstat(file.fileno())) == origin.stamp else None
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
    return ("artifact", digest, path) if digest == sha256(self.serialize()) else None


def _key(engine: Engine, cls: type, form: str, digest: str) -> Key:
    # an id that is used again names a new engine with other objects: those of the old one are gone with it, or `restore` sees that they are not its
    return id(engine), cls, form, digest


def restore(cls: Any, engine: Engine, form: str, digest: str, content: Any) -> Any:
    """What `reduce` said. Raises ArtifactError when a file has changed, OSError when it is gone."""
    data, stamp = b"", tuple[int, ...]()
    if form == "source":
        data, stamp = read_stamped(content)
        _same(content, sha256(data), digest)
    key = _key(engine, cls, form, digest)
    made = _objects.get(key)
    if made is not None and made._engine is engine:
        if form == "artifact":
            with open(content, "rb") as file:
                _same(content, hashlib.file_digest(file, "sha256").hexdigest(), digest)
    else:
        if form == "source":
            made = cls(engine, data)
            assert stamp is not None
            made._origin = Origin(content, stamp)
        elif form == "artifact":
            made = cls.deserialize_file(engine, content)
            _same(content, sha256(made.serialize()), digest)
        else:
            made = cls.deserialize(engine, content)
        _objects[key] = made
    if made not in _recent:
        _recent.append(made)
    return made


def _same(path: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise ArtifactError(f"{path} has changed since it was pickled: SHA-256", found, wanted)


def refuse(what: str, instead: str) -> Callable[[Any], Any]:
    """`__reduce__` of what cannot leave its process."""

    def __reduce__(self: Any) -> Any:
        raise pickle.PicklingError(f"a {what} cannot be pickled: {instead}")

    return __reduce__
