"""Documentation of a package, from the custom section `package-docs`: a version byte, then JSON.

A custom section means nothing to validation, so nothing in it is trusted: what is not of the expected shape is as if it were absent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Docs:
    """What is said about the world and its items; keys are names, values are of the JSON."""

    package: str = ""
    world: dict[str, Any] = field(default_factory=dict)

    def text(self, *path: str) -> str:
        """The text at a path of keys below the world: a string, or the `docs` of an object."""
        found: Any = self.world
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, dict):
            found = found.get("docs")
        return found if isinstance(found, str) else ""


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
