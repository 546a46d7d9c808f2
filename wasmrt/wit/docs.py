"""Documentation of a package, from the custom section `package-docs`: a version byte, then JSON.

A custom section means nothing to validation, so nothing in it is trusted: what is not of the expected shape is as if it were absent.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Docs:
    """What is said about the world and its items; keys are names, values are of the JSON."""

    package: str = ""
    world: dict[str, Any] = field(default_factory=dict)

    def text(self, *path: str) -> str:
        """The text at a path of keys below the world: a string, or the `docs` of an object."""
        found = self._found(path)
        if isinstance(found, dict):
            found = found.get("docs")
        return found if isinstance(found, str) else ""

    def has(self, path: tuple[str, ...]) -> bool:
        return self._found(path) is not None

    def gates(self, *path: str) -> list[str]:
        """`@since(...)`, `@unstable(...)` and `@deprecated(...)` of an item."""
        found = self._found(path)
        return _gates(found.get("stability")) if isinstance(found, dict) else []

    def use_gates(self, kind: str, interface: str) -> list[str]:
        """The same of a world's `import` or `export` of an interface by its name."""
        found = self.world.get(f"interface_{kind}_stability")
        return _gates(found.get(interface)) if isinstance(found, dict) else []

    def _found(self, path: tuple[str, ...]) -> Any:
        found: Any = self.world
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found


def _gates(stability: Any) -> list[str]:
    if not isinstance(stability, dict):
        return []
    for kind, key in (("stable", "since"), ("unstable", "feature")):
        found = stability.get(kind)
        if not isinstance(found, dict) or not _is_word(found.get(key)):
            continue
        first = f"@since(version = {found[key]})" if kind == "stable" else f"@unstable(feature = {found[key]})"
        deprecated = found.get("deprecated")
        return [first, f"@deprecated(version = {deprecated})"] if _is_word(deprecated) else [first]
    return []


def _is_word(value: Any) -> bool:
    """A version or the name of a feature: nothing that could be more than a word of WIT."""
    return isinstance(value, str) and re.fullmatch(r"[0-9A-Za-z.+-]+", value) is not None


def read_docs(section: bytes) -> Docs:
    try:
        content = json.loads(section[1:]) if section[:1] in (b"\0", b"\1") else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return Docs()
    package = content.get("docs")
    worlds = content.get("worlds")
    world = worlds.get("root") if isinstance(worlds, dict) else None
    return Docs(package if isinstance(package, str) else "", world if isinstance(world, dict) else {})
