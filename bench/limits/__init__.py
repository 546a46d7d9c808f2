"""What calls cost beside what they could cost at the least: `python -m bench.limits`.

`floor.c` is a hand-written extension with the conversions of every row and nothing of a runtime; `build()` compiles it with the C compiler at hand, on
demand, into build/limits. The cases (`cases.py`) can be used by other benchmarks: each gives one statement for wasmrt, for the floor and for the peer.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent.parent


@cache
def build() -> ModuleType:
    """The extension `wasmrt_floor`, compiled when its source is newer."""
    source = Path(__file__).parent / "floor.c"
    product = ROOT / "build" / "limits" / f"wasmrt_floor{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not product.exists() or product.stat().st_mtime_ns < source.stat().st_mtime_ns:
        product.parent.mkdir(parents=True, exist_ok=True)
        partial = product.with_suffix(".tmp")
        compiler = shlex.split(os.environ.get("CC", "gcc"))
        flags = ["-O2", "-shared", "-fPIC", "-Wall", "-Wextra", f"-I{sysconfig.get_path('include')}"]
        subprocess.run([*compiler, *flags, str(source), "-o", str(partial)], check=True)
        partial.replace(product)
    spec = importlib.util.spec_from_file_location("wasmrt_floor", product)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
