"""`wasmrt inspect`: what an artifact is, what it was compiled for, and where its bytes go. Text and binaries are compiled first.

Reads through `wasmrt.artifact.reader`: nothing of the file is executed, and it need not fit this machine.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from wasmrt.artifact import reader
from wasmrt.artifact.info import ComponentArtifacts, ModuleInfo
from wasmrt.errors import ArtifactError
from wasmrt.runtime.engine import Engine
from wasmrt.spec import types as spec
from wasmrt.spec.core_types import MemoryType, TableType
from wasmrt.translate.type_table import ComponentTypes

from .run import load

TOP = 20


def image_of(engine: Engine, path: Path) -> Any:
    """The bytes of an artifact: the file's, mapped, or of what it compiles to."""
    if engine.detect_precompiled_file(path) is None:
        with open(path, "rb") as file:
            if file.read(4) == b"\x7fELF":
                raise ArtifactError("an ELF file, but not an artifact of wasmrt")
        return load(engine, path).serialize()
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def describe(engine: Engine, path: Path) -> dict[str, Any]:
    """All of it, as plain data."""
    artifact = reader.read(image_of(engine, path))
    imports, exports = _items(artifact.info())
    functions = [
        {"module": f.module, "index": f.func_index, "name": f.name, "offset": f.offset, "size": f.size} for f in artifact.functions()
    ]
    return {
        "file": str(path),
        "kind": artifact.kind,
        "compiled": engine.detect_precompiled_file(path) is None,
        "bytes": len(artifact.data),
        "version": artifact.version,
        "format": artifact.format,
        "target": artifact.target,
        "cpu_features": list(artifact.cpu_features),
        "wasm_features": list(artifact.wasm_features),
        "tunables": artifact.tunables,
        "sections": [{"name": s.elf_name, "offset": s.offset, "size": s.size, "holds": s.holds} for s in artifact.sections],
        "modules": [dict(module) for module in artifact.modules],
        "imports": imports,
        "exports": exports,
        "functions": functions,
    }


def _items(info: ModuleInfo | ComponentArtifacts) -> tuple[list[list[str]], list[list[str]]]:
    """Imports and exports: names and types as text."""
    if isinstance(info, ModuleInfo):
        imports = [[f"{module}.{name}", _core_text(ty)] for module, name, ty in info.imports]
        return imports, [[name, _core_text(ty)] for name, ty in info.exports]
    try:
        found: Any = ComponentTypes(info.type_rows)[info.component.ty]
        return tuple([[name, _component_text(item)] for name, item in items] for items in (found.imports, found.exports))  # type: ignore[return-value]
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, msgspec.ValidationError) as error:
        raise ArtifactError(f"the artifact's types are damaged ({error})") from None


def _core_text(ty: Any) -> str:
    word = "memory " if isinstance(ty, MemoryType) else "table " if isinstance(ty, TableType) else ""
    text = str(ty)
    return text if text.startswith(word) else word + text


def _component_text(item: Any) -> str:
    """An item's type; of an interface what is in it, by name: `wasmrt wit` has all of it."""
    if not isinstance(item, spec.ComponentInstanceType):
        return str(item)
    kinds: dict[str, list[str]] = {}
    for name, inner in item.exports:
        word = "func" if isinstance(inner, spec.FuncType) else str(inner).split(" ", 1)[0]
        kinds.setdefault(word, []).append(name)
    return "instance { " + "; ".join(f"{word} {', '.join(names)}" for word, names in kinds.items()) + " }"


def show(found: dict[str, Any], console: Console, every: bool) -> None:
    """The tables of it."""
    made = "compiled here" if found["compiled"] else "artifact"
    console.print(f"{found['file']}: {found['kind']}, {made}, {found['bytes']:,} bytes", highlight=False, markup=False)
    console.print(f"made by wasmrt {found['version']}, format {found['format']}, for {found['target']}", highlight=False, markup=False)
    console.print(f"CPU features: {' '.join(found['cpu_features'])}", highlight=False, markup=False)
    console.print(f"wasm features: {' '.join(found['wasm_features'])}", highlight=False, markup=False)
    console.print("tunables: " + " ".join(f"{name}={value}" for name, value in found["tunables"].items()), highlight=False, markup=False)
    _table(
        console,
        "sections",
        ("section", "offset", "bytes", "holds"),
        ((s["name"], f"{s['offset']:#x}", f"{s['size']:,}", s["holds"]) for s in found["sections"]),
    )
    for what in ("imports", "exports"):
        _table(console, what, (what[:-1], "type"), found[what])
    functions = sorted(found["functions"], key=lambda f: (-f["size"], f["module"], f["index"]))
    total = sum(f["size"] for f in functions) or 1
    shown = functions if every else functions[:TOP]
    title = f"functions by code size: {len(functions):,}, {total:,} bytes" + ("" if len(shown) == len(functions) else f"; the largest {TOP} (--all for all)")
    _table(
        console,
        title,
        ("bytes", "%", "module", "function", "name"),
        ((f"{f['size']:,}", f"{100 * f['size'] / total:.1f}", str(f["module"]), str(f["index"]), f["name"] or "") for f in shown),
    )


def _table(console: Console, title: str, columns: tuple[str, ...], rows: Iterable[Iterable[str]]) -> None:
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in ("offset", "bytes", "%", "module", "function") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # names are a guest's: no markup in them
    if table.row_count:
        console.print()
        console.print(Text(title))
        console.print(table)


def to_json(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=2)
