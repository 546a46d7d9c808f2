"""Golden artifacts: files that an earlier build made keep loading, or are refused with a reason, never misread.

`small.wasmrt` is `small.wat`, compiled for the portable baseline. Until 1.0 it may only load where the format number, the version (patches aside) and the
fingerprint of the runtime's interface (`vm.h`, `builtins.def`, `traps.def`) are those it was made with; elsewhere the test demands the refusal that names what
differs, and fails: `BLESS=1` makes the file again, which a change of any of the three has to do in the same commit. Its bytes are not compared with what the compiler makes now:
it follows the tables of its own file, so that it has to keep working when the compiler has become better. From 1.0 on it must load in every patch and
minor release, and is not made again.

`format4.wasmrt` is the same component in an older format: it stays as it is, to be refused.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import wasmrt
from wasmrt import ArtifactError, Config, Engine, Store
from wasmrt.artifact import reader
from wasmrt.component import Component, Linker

FOLDER = Path(__file__).parent / "artifacts"
SOURCE, GOLDEN, OLDER = FOLDER / "small.wat", FOLDER / "small.wasmrt", FOLDER / "format4.wasmrt"
DECIDES = ("format", "version_major", "version_minor", "header_bytes", "abi_fingerprint")  # whether it loads; from 1.0 on the minor version does not
STABLE = int(wasmrt.__version__.split(".")[0]) >= 1


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(Config(portable=True))


@pytest.fixture(scope="module", autouse=True)
def blessed(engine: Engine) -> None:
    if os.environ.get("BLESS"):
        assert not STABLE, "golden artifacts are not made again from 1.0 on"
        GOLDEN.write_bytes(engine.precompile_component(SOURCE.read_text()))


LOADS: dict[str, Callable[[Engine, Path], Component]] = {
    "bytes": lambda engine, path: Component.deserialize(engine, path.read_bytes()),
    "file": lambda engine, path: Component.deserialize_file(engine, path),
    "verified": lambda engine, path: Component.deserialize_file(engine, path, verify=True),
}


@pytest.mark.parametrize("host", [False, True], ids=["portable", "host"])
@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_the_golden_artifact(engine: Engine, load: Callable[[Engine, Path], Component], host: bool) -> None:
    engine = Engine() if host else engine  # a portable artifact loads in an engine for this machine too
    found, now = reader_header(GOLDEN.read_bytes()), reader_header(engine.precompile_component(SOURCE.read_text()))
    changed = [name for name in DECIDES if found[name] != now[name]]
    if changed and not STABLE:
        with pytest.raises(ArtifactError) as caught:
            load(engine, GOLDEN)
        assert caught.value.reason in ("format version", "version", "header size", "interface of the runtime")
        assert None not in (caught.value.found, caught.value.wanted) and caught.value.found != caught.value.wanted
        pytest.fail(f"{', '.join(changed)} changed, so older artifacts are refused ({caught.value}). If that is meant, make the golden artifact again "
                    "with `BLESS=1 python -m pytest tests/golden/test_artifacts.py` and commit it together with the change")
    component = load(engine, GOLDEN)
    exports = Linker(engine).instantiate(Store(engine), component).exports
    assert (exports.f(20), exports.f(1 << 31), exports.divide(2)) == (43, 3, 42)
    with pytest.raises(wasmrt.Trap) as trapped:
        exports.divide(0)
    assert trapped.value.trap_code is wasmrt.TrapCode.INTEGER_DIVISION_BY_ZERO
    assert component.serialize() == GOLDEN.read_bytes()


def reader_header(data: bytes) -> dict[str, int]:
    """The header as numbers; of another format no more than its number."""
    try:
        return reader.read(data).header
    except ArtifactError:
        return dict.fromkeys(DECIDES, 0)


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_an_older_format_is_refused(engine: Engine, load: Callable[[Engine, Path], Component]) -> None:
    assert Engine.detect_precompiled_file(OLDER) == "component"
    wanted = str(reader.read(engine.precompile_component(SOURCE.read_text())).format)
    with pytest.raises(ArtifactError) as caught:
        load(engine, OLDER)
    assert (caught.value.reason, caught.value.found, caught.value.wanted) == ("format version", "4", wanted)


def test_compiling_is_deterministic(engine: Engine) -> None:
    """Another process, with other hashes and another number of threads, makes the same bytes."""
    script = f"""
import sys, wasmrt
engine = wasmrt.Engine(wasmrt.Config(portable=True, parallel_compilation=False))
sys.stdout.buffer.write(engine.precompile_component(open({str(SOURCE)!r}).read()))
"""
    blob = engine.precompile_component(SOURCE.read_text())
    assert Component(engine, SOURCE.read_text()).serialize() == blob
    for seed in ("1", "2"):
        done = subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, timeout=60)
        assert done.stdout == blob, done.stderr[-1000:]
