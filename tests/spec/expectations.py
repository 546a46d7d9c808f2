"""The conformance scripts, what each group needs switched on, and which scripts do not pass yet.

`expected_failures.txt` has one line a script: `name: reason`. A listed script that passes fails the run, so that the list
only shrinks; BLESS=1 takes such lines out.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from wasmrt import Config

FOLDER = Path(os.environ.get("WASMRT_SPEC") or Path(__file__).resolve().parents[3] / "shared" / "spec")
ABSENT = f"no conformance scripts in {FOLDER}: set WASMRT_SPEC to their folder"
EXPECTED_FAILURES = Path(__file__).with_name("expected_failures.txt")

_GC = ("function_references", "gc", "tail_call", "exceptions", "memory64")
FEATURES: dict[str, tuple[str, ...]] = {
    "core/tail-call": ("tail_call", "function_references"),
    "core/memory64": ("memory64",),
    "core/function-references": ("function_references", "tail_call"),
    "core/gc": _GC,
    "core/exceptions": _GC,
    "core/threads": ("threads",),
    "core/custom-page-sizes": ("custom_page_sizes", "memory64"),
    "core/wide-arithmetic": ("wide_arithmetic",),
    "core/text-annotations": ("exceptions",),
    "component/linking": ("exceptions",),
}
# what the scripts of components use and engines have off
COMPONENT = ("error_context", "threading", "fixed_length_lists", "map", "implements", "memory64")
# written against 1.0 and threads: what is refused there has become valid
WITHOUT: dict[str, tuple[str, ...]] = {"core/threads": ("reference_types", "multi_memory")}


def scripts(part: str) -> list[tuple[str, str]]:
    """(group, script) of `core` or `component`; nothing where the scripts are not."""
    path = FOLDER / "groups.json"
    if not path.exists():
        return []
    groups = json.loads(path.read_text())["groups"]
    return [(group, name) for group, names in groups.items() if group.startswith(part + "/") for name in names]


def config(group: str) -> Config:
    made = Config()
    for name in FEATURES.get(group, ()):
        setattr(made, f"wasm_{name}", True)
    if group.startswith("component/"):
        for name in COMPONENT:
            setattr(made, f"wasm_component_model_{name}", True)
    for name in WITHOUT.get(group, ()):
        setattr(made, f"wasm_{name}", False)
    return made


def expected_failures() -> dict[str, str]:
    """Script to reason."""
    found = {}
    for line in EXPECTED_FAILURES.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, reason = line.partition(": ")
            found[name] = reason
    return found


def forget(name: str) -> None:
    """Takes a script that passes out of the list."""
    lines = EXPECTED_FAILURES.read_text().splitlines()
    EXPECTED_FAILURES.write_text("\n".join(line for line in lines if not line.startswith(name + ": ")) + "\n")
