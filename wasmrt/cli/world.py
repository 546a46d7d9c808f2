"""`wasmrt wit` and `wasmrt bindgen`: what a component imports and exports, as WIT and as a typed Python package. Nothing is compiled."""

from __future__ import annotations

import mmap
import os
import shutil
from pathlib import Path

from wasmrt import wit
from wasmrt.artifact import reader
from wasmrt.artifact.info import ComponentArtifacts
from wasmrt.bindgen import generate
from wasmrt.errors import WasmError
from wasmrt.runtime.component import world_binary
from wasmrt.runtime.engine import Engine


def binary(path: Path) -> bytes | memoryview:
    """What a component's world is read from: its validated binary, or what an artifact keeps of it."""
    kind = Engine.detect_precompiled_file(path)
    if kind is None:
        return world_binary(path.read_bytes())
    if kind != "component":
        raise WasmError("this is a compiled core module, which has no world: `wasmrt inspect` shows its imports and exports")
    with open(path, "rb") as file:
        info = reader.read(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)).info()
    assert isinstance(info, ComponentArtifacts)
    return info.skeleton


def print_wit(path: Path) -> str:
    return wit.wit(binary(path))


def write_package(path: Path, folder: Path, embed: bool) -> str:
    """Writes the package into `folder`, which is made if it is not there, over an earlier one; returns what was done.

    The package loads the component from where it is now, found relative to the package, or from a copy in the package (`embed`).
    """
    data = binary(path)
    source = path.name if embed else os.path.relpath(path.absolute(), folder.absolute())
    files = generate(data, source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        copy = folder / path.name
        if embed and not (copy.exists() and os.path.samefile(path, copy)):
            shutil.copyfile(path, copy)
    except OSError as error:
        raise WasmError(f"{error.filename or folder} cannot be written: {error.strerror}") from None
    return f"{folder}: {', '.join(files)}"
