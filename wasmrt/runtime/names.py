"""Matching of import and export names: exact first, then by semver-compatible interface version (`wasi:io/streams@0.2.6` serves `@0.2.3`).

Versions are compatible when everything up to and including the first non-zero number is equal, as the component model says; pre-releases only match
exactly. Among several the highest wins.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:\+[0-9A-Za-z.-]+)?")


@functools.lru_cache(maxsize=4096)
def alternate(name: str) -> tuple[str, tuple[int, int, int]] | None:
    """(key that compatible versions share, version), or None for a name without a release version."""
    base, at, text = name.rpartition("@")
    match = _VERSION.fullmatch(text)
    if not at or match is None:
        return None
    major, minor, patch = map(int, match.groups())
    if major:
        track = f"{major}"
    elif minor:
        track = f"0.{minor}"
    else:
        track = f"0.0.{patch}"
    return f"{base}@{track}", (major, minor, patch)


def find_name(wanted: str, names: Iterable[str]) -> str | None:
    """The name among `names` that serves `wanted`."""
    names = names if isinstance(names, dict) else dict.fromkeys(names)
    if wanted in names:
        return wanted
    key = alternate(wanted)
    if key is None:
        return None
    best: tuple[tuple[int, int, int], str] | None = None
    for name in names:
        other = alternate(name)
        if other is not None and other[0] == key[0] and (best is None or other[1] > best[0]):
            best = (other[1], name)
    return None if best is None else best[1]
