"""Every conformance script, core and component, on the public API through our own text format and script runner; the scripts of
core modules also in every way of compiling that changes the code."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import pytest

from tests import machine
from wasmrt.cli.wast import ScriptRunner
from wasmrt.text import script as s

from . import expectations

SCRIPTS = [*expectations.scripts("core"), *expectations.scripts("component")]
LISTED = expectations.expected_failures()
# what a script may take
SECONDS = 10
MEMORY_BYTES = 1 << 30
WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "oldest-cpu": {"portable": True},
    "checked": {"memory_reservation": 1 << 26},
    "no-signals": {"signals_based_traps": False},
    "canonical-nan": {"cranelift_nan_canonicalization": True},
    "debug-checks": {"debug_checks": True},
    "careful": {"careful_functions": (0, 0xFFFFFFFF), "debug_checks": True},
    "deterministic": {"wasm_relaxed_simd_deterministic": True},
    "avx-alone": {},
}
# ways that concern some scripts alone
ONLY = {"deterministic": ("relaxed",), "avx-alone": ("simd", "relaxed")}
# groups that are compiled in other ways than the default one too: those whose code differs
COMPILED = {
    "core/mvp",
    "core/post-mvp-scalar",
    "core/bulk-reftypes",
    "core/multi-memory",
    "core/simd",
    "core/relaxed-simd",
    "core/memory64",
    "core/exceptions",
    "core/tail-call",
    "core/function-references",
    "core/custom-page-sizes",
    "core/wide-arithmetic",
    "core/gc",
}


def stem(name: str) -> str:
    return str(Path(name).with_suffix(""))


# the ways of a script come one after the other, so that it is parsed once
CASES = [
    pytest.param(group, name, way, id=stem(name) if way == "default" else f"{stem(name)}-{way}")
    for group, name in SCRIPTS
    for way in WAYS
    if way == "default" or (group in COMPILED and stem(name) not in LISTED and any(part in name for part in ONLY.get(way, ("",))))
]


@functools.lru_cache(maxsize=1)
def directives(name: str) -> list[s.Directive]:
    return s.parse_script((expectations.FOLDER / name).read_bytes(), name)


def resident_bytes(which: str) -> int:
    """This process's memory: VmRSS, or VmHWM for its peak."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith(which + ":")))


@pytest.mark.skipif(not SCRIPTS, reason=expectations.ABSENT)
@pytest.mark.parametrize(("group", "name", "way"), CASES)
def test_script(group: str, name: str, way: str, bless: bool) -> None:
    config = expectations.config(group)
    for option, value in WAYS[way].items():
        setattr(config, option, value)
    runner = ScriptRunner(config)
    if way == "avx-alone":  # neither AVX2 nor FMA
        machine.restrict(runner.engine, ("AVX",))
    script = directives(name)
    before = resident_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    start = time.process_time()
    outcome = runner.run(script)
    seconds = time.process_time() - start
    memory_bytes = resident_bytes("VmHWM") - before
    failures = [f"{name}:{failure.line}: {failure.message}" for failure in outcome.failures]
    listed = stem(name) in LISTED
    if listed and failures:
        pytest.xfail(LISTED[stem(name)])
    if listed and bless:
        expectations.forget(stem(name))
    assert not listed or bless, f"{name} passes: take it out of {expectations.EXPECTED_FAILURES.name} (BLESS=1 does)"
    assert not failures, "\n".join(failures[:20])
    assert outcome.passed > 0 or not directives(name)
    assert seconds < SECONDS
    assert memory_bytes < MEMORY_BYTES


def test_listed_scripts_exist() -> None:
    if not SCRIPTS:
        pytest.skip(expectations.ABSENT)
    known = {stem(name) for _, name in SCRIPTS}
    assert set(LISTED) <= known
