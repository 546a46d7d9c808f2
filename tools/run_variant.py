"""Runs Python with the library of a variant (build/<variant>/lib) in place of the normal one.

    python tools/run_variant.py asan -- -m pytest -q tests/abi

The extensions find libwasmrt.so by RUNPATH, which LD_LIBRARY_PATH precedes; the sanitizer's run time must be loaded
first, hence LD_PRELOAD. Python's own allocations are not ours to judge: leaks are off, and PYTHONMALLOC=malloc lets
ASan see buffers that Python hands to C. Signal handlers stay wasmrt's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNTIMES = {"asan": ["libasan.so", "libubsan.so"], "ubsan": ["libubsan.so"], "debug": []}


def runtime_path(name: str) -> str:
    """Where the compiler keeps a sanitizer's run time."""
    compiler = os.environ.get("CC", "gcc").split()
    path = subprocess.run([*compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
    if not os.path.isabs(path):
        sys.exit(f"{name} not found: apt-get install gcc (it comes with libgcc-dev)")
    return str(Path(path).resolve())


def environment(variant: str) -> dict[str, str]:
    preload = [runtime_path(name) for name in RUNTIMES[variant]]
    result = dict(os.environ)
    result["LD_LIBRARY_PATH"] = str(ROOT / "build" / variant / "lib")
    if preload:
        # libstdc++ must be known to the sanitizer before an extension that throws brings it in
        result["LD_PRELOAD"] = " ".join([*preload, runtime_path("libstdc++.so.6")])
    if variant == "asan":
        result["PYTHONMALLOC"] = "malloc"
    result.setdefault(
        "ASAN_OPTIONS",
        "detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:allow_user_segv_handler=1"
        ":allocator_may_return_null=1:quarantine_size_mb=32",
    )
    result.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    result["WASMRT_VARIANT"] = variant
    return result


def main() -> int:
    if len(sys.argv) < 4 or sys.argv[1] not in RUNTIMES or sys.argv[2] != "--":
        sys.exit(f"usage: run_variant.py {'|'.join(RUNTIMES)} -- python-arguments...")
    return subprocess.run([sys.executable, *sys.argv[3:]], cwd=ROOT, env=environment(sys.argv[1])).returncode


if __name__ == "__main__":
    sys.exit(main())
