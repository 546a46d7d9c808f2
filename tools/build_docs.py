"""`make docs`: writes the API reference from the docstrings of the public modules to build/docs/api.md, copies the pages
of docs/ beside it, and fails on a relative link that leads nowhere. Markdown in, Markdown out: it needs nothing installed.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "docs"
MODULES = ("wasmrt", "wasmrt.component", "wasmrt.wasi")
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def _signature(item: object) -> str:
    try:
        return str(inspect.signature(item))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return "(...)" if callable(item) else ""


def _members(cls: type) -> Iterator[tuple[str, object]]:
    for name, value in vars(cls).items():
        if name.startswith("_") or not (callable(value) or isinstance(value, (property, classmethod, staticmethod))):
            continue
        yield name, getattr(value, "__func__", value)


def reference(module: ModuleType) -> list[str]:
    """One module's section: every public name with its signature and docstring."""
    out = [f"# `{module.__name__}`", "", inspect.getdoc(module) or "", ""]
    for name in module.__all__:
        item = getattr(module, name)
        out += [f"## `{name}{_signature(item)}`", "", inspect.getdoc(item) or "", ""]
        if inspect.isclass(item):
            for member, value in _members(item):
                signature = "" if isinstance(value, property) else _signature(value)
                out += [f"### `{name}.{member}{signature}`", "", inspect.getdoc(value) or "", ""]
    return out


def broken_links() -> list[str]:
    found = []
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for number, line in enumerate(page.read_text().splitlines(), 1):
            for target in _LINK.findall(line):
                if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists():
                    found.append(f"{page.relative_to(ROOT)}:{number}: nothing at {target}")
    return found


def main() -> int:
    broken = broken_links()
    if broken:
        print("\n".join(broken), file=sys.stderr)
        return 1
    shutil.rmtree(OUT, ignore_errors=True)
    shutil.copytree(ROOT / "docs", OUT)
    text: list[str] = []
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            continue
        text += reference(module)
    (OUT / "api.md").write_text("\n".join(text))
    print(f"wrote {OUT.relative_to(ROOT)}/ (API reference: api.md)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
