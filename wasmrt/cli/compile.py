"""`wasmrt compile`: a module or component to an artifact, with a bar where it takes long and somebody watches."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wasmrt.errors import WasmError
from wasmrt.runtime.engine import Engine
from wasmrt.runtime.progress import Report

from .run import load

# below this a compilation is over before a bar can be drawn
BAR_BYTES = 2 << 20


def compile_file(engine: Engine, source: Path, output: Path, bar: bool | None) -> str:
    """Compiles `source` and renames the artifact into place; a bar for large input on a terminal (None), always, or never. Returns what was done."""
    if engine.detect_precompiled_file(source) is not None:
        raise WasmError("this is an artifact already")
    with _bar(source, bar) as report:
        made = load(engine, source, report)
    image = made.serialize()
    try:
        write_atomically(output, image)
    except OSError as error:
        raise WasmError(f"cannot write {output}: {error.strerror}") from error
    return f"{output}: {type(made).__name__.lower()}, {len(image):,} bytes"


def write_atomically(path: Path, data: bytes) -> None:
    """A reader sees the old file or the new one, and who has mapped the old one keeps it."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


@contextlib.contextmanager
def _bar(source: Path, wanted: bool | None) -> Iterator[Report | None]:
    from rich.console import Console

    console = Console(stderr=True)
    if wanted is False or (wanted is None and (not console.is_terminal or source.stat().st_size < BAR_BYTES)):
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("functions"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(source.name, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)
