"""The layer rule: every import and #include goes only where the tables of docs/architecture.md allow."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = ROOT / "docs" / "architecture.md"

# the public surface: may import every room, and no room imports it
FRONTS = {"__init__", "__main__", "_version", "component", "hook"}
# registration points: a room may import one further right on first use, inside a function, which is how `Linker.add_wasip2` finds wasi
LATE = {("runtime", "wasi")}
# headers of the operating system: only `os` (and the front that C programs see) includes them
OS_HEADERS = re.compile(r"sys/(?!cdefs|types).*|signal\.h|ucontext\.h|pthread\.h|unistd\.h|fcntl\.h|sched\.h|dlfcn\.h|threads\.h")


def rooms(header: str) -> dict[str, set[str]]:
    """The table whose first two column heads are `room` and `header`: each room with what it may use."""
    found: dict[str, set[str]] = {}
    inside = False
    for line in ARCHITECTURE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.lstrip().startswith("|") else []
        if not cells:
            inside = False
        elif cells[:2] == ["room", header]:
            inside = True
        elif inside and not set(cells[0]) <= set("- :"):
            found[cells[0].strip("`")] = {word.strip("`,") for word in cells[1].split()}
    assert found, f"docs/architecture.md has no table headed `room | {header}`"
    return found


C_ROOMS = rooms("may include")
PYTHON_ROOMS = rooms("may import")


def c_files() -> list[Path]:
    return sorted(path for pattern in ("*.c", "*.h") for path in (ROOT / "csrc").rglob(pattern))


def python_files() -> list[Path]:
    files = [path for pattern in ("*.py", "*.pyx", "*.pxd", "*.pyi") for path in (ROOT / "wasmrt").rglob(pattern)]
    return sorted(path for path in files if "_gen" not in path.parts)


def room_of(path: Path, base: str) -> str:
    parts = path.relative_to(ROOT / base).parts
    return parts[0] if len(parts) > 1 else path.stem


def included(text: str) -> Iterator[tuple[int, str, bool]]:
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if match:
            yield number, match.group(2), match.group(1) == '"'


def c_violations(path: Path, text: str) -> Iterator[str]:
    room = room_of(path, "csrc")
    if path.parent == ROOT / "csrc":
        return  # api.c joins all rooms
    if room not in C_ROOMS:
        yield f"csrc/{room} is not in the table of docs/architecture.md"
        return
    for number, name, quoted in included(text):
        where = f"{path.relative_to(ROOT)}:{number}"
        if name.startswith("wasmrt/"):
            continue
        if not quoted:
            if room != "os" and OS_HEADERS.fullmatch(name):
                yield f"{where}: only csrc/os talks to the operating system, includes <{name}>"
            continue
        # a name without a folder, or one that exists beside the file, is of the same room
        target = room if (path.parent / name).exists() or "/" not in name else name.split("/")[0]
        if target != room and target not in C_ROOMS[room]:
            yield f"{where}: {room} may not include {name}"


def imported_by_python(path: Path, text: str) -> Iterator[tuple[int, str, bool]]:
    """Line, dotted name, and whether it is imported when the module is."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        early = id(node) not in inside
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, early
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}", early


def imported_by_cython(text: str) -> Iterator[tuple[int, str, bool]]:
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r"\s*from\s+(wasmrt[\w.]*)\s+c?import\s+\(?\s*([\w, ]*)", line)
        if match:
            for name in match.group(2).split(",") or [""]:
                yield number, f"{match.group(1)}.{name.split(' as ')[0].strip()}", True
        match = re.match(r"\s*c?import\s+(wasmrt[\w.]*)", line)
        if match:
            yield number, match.group(1), True


def python_violations(path: Path, text: str) -> Iterator[str]:
    room = room_of(path, "wasmrt")
    if room in FRONTS:
        return
    if room not in PYTHON_ROOMS:
        yield f"wasmrt/{room} is not in the table of docs/architecture.md"
        return
    allowed = PYTHON_ROOMS[room]
    names = imported_by_python(path, text) if path.suffix in (".py", ".pyi") else imported_by_cython(text)
    for number, name, early in names:
        parts = name.split(".")
        if parts[0] != "wasmrt" or len(parts) < 2:
            if parts == ["wasmrt"]:
                yield f"{path.relative_to(ROOT)}:{number}: {room} imports the public front `wasmrt`"
            continue
        target = parts[1]
        if target in (room, "_version") or target in allowed or ".".join(parts[1:3]) in allowed:
            continue
        if not early and (room, target) in LATE:
            continue
        yield f"{path.relative_to(ROOT)}:{number}: {room} may not import {name}"


def test_c_includes() -> None:
    found = [text for path in c_files() for text in c_violations(path, path.read_text())]
    assert not found, "\n".join(found)


def test_python_imports() -> None:
    found = [text for path in python_files() for text in python_violations(path, path.read_text())]
    assert not found, "\n".join(found)


def test_rooms_have_an_order() -> None:
    """No two rooms use each other, neither directly nor through others."""
    for table in (C_ROOMS, {room: {name.split(".")[0] for name in names} for room, names in PYTHON_ROOMS.items()}):
        done: set[str] = set()
        while len(done) < len(table):
            free = {room for room, names in table.items() if room not in done and names <= done}
            assert free, f"cycle among {sorted(set(table) - done)}"
            done |= free


@pytest.mark.parametrize(
    ("name", "text", "finds"),
    [
        ("csrc/base/x.c", '#include "vm/store.h"\n', True),
        ("csrc/vm/x.c", '#include "base/error.h"\n#include "wasmrt/vm.h"\n', False),
        ("csrc/vm/x.c", "#include <sys/mman.h>\n", True),
        ("csrc/nowhere/x.c", "", True),
        ("wasmrt/spec/x.py", "from wasmrt.runtime import engine\n", True),
        ("wasmrt/spec/x.py", "from ..runtime import engine\n", True),
        ("wasmrt/spec/x.py", "from . import valtypes\n", False),
        ("wasmrt/binary/x.py", "from wasmrt._native.wasm import ModuleView\n", False),
        ("wasmrt/binary/x.py", "from wasmrt._native.store import Store\n", True),
        ("wasmrt/runtime/x.py", "import wasmrt\n", True),
        ("wasmrt/runtime/x.py", "import wasmrt.wasi\n", True),
        ("wasmrt/runtime/x.py", "def f():\n    import wasmrt.wasi\n", False),
        ("wasmrt/spec/x.py", "def f():\n    import wasmrt.wasi\n", True),
        ("wasmrt/_native/x.pyx", "from wasmrt.runtime.engine cimport Engine\n", True),
    ],
)
def test_the_rule_finds(name: str, text: str, finds: bool) -> None:
    check = c_violations if name.startswith("csrc") else python_violations
    assert bool(list(check(ROOT / name, text))) is finds
