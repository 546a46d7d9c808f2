"""What loading an artifact costs: `deserialize_file` and dropping the component, of a tiny one, of the zstd codec and of the largest one.

    python -m bench.bench_load [--verify]

Prints microseconds a load, the ratio to the peer, and the ratio to our own tiny component; `open` is opening, mapping and unmapping a file in Python alone.
Then what a server pays for a component that it has not loaded yet: loading, a store, the first instance, the first call, and dropping all three.
`--verify` measures our own loader alone, in several ways: as it is by default (load), with all bytes checked in C (checked), with `verify=True`, which is
that and the second reader (verified), and what opening with that reader alone takes, which makes no component (pyelftools).
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench.engines import Contender, contenders
from bench.interleave import Candidate, Comparison, interleave, repeat
from bench.programs import codec
from bench.tables import OURS, Row, Table

TINY = """(component (core module $m (func (export "f") (result i32) i32.const 42)) (core instance $i (instantiate $m))
  (func (export "f") (result u32) (canon lift (core func $i "f"))))"""
PROGRAMS = ("tiny", "zstd", "sz3")
REPEATS = 200
FIRST_REPEATS = 20
VERIFY_REPEATS = 40


def source(program: str) -> Any:
    return TINY if program == "tiny" else codec(program)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="wasmrt-bench-")


@cache
def artifact(contender: Contender, program: str) -> tuple[Any, str]:
    """An engine, and the file of what it compiled."""
    engine = contender.engine(parallel=True)
    path = Path(_folder().name) / f"{contender.name}-{program}"
    path.write_bytes(contender.component.Component(engine, source(program)).serialize())
    return engine, str(path)


def load(contender: Contender, program: str) -> Callable[[], object]:
    engine, path = artifact(contender, program)
    deserialize_file = contender.component.Component.deserialize_file
    return lambda: deserialize_file(engine, path)


INTERFACE = "numcodecs:abc/codec@0.1.1"


def first_call(contender: Contender, program: str) -> Callable[[], object]:
    """Loads the component, instantiates it in a new store and calls it once: what makes a codec answer with its name."""
    engine, path = artifact(contender, program)
    api, package = contender.component, contender.package
    linker = api.Linker(engine)
    if program != "tiny":
        linker.add_wasip2()
        with linker.root() as root, root.add_instance("wasi:logging/logging") as logging:
            logging.add_func("log", lambda _store, *_message: None)

    def run() -> Any:
        component = api.Component.deserialize_file(engine, path)
        store = package.Store(engine)
        if program == "tiny":
            return linker.instantiate(store, component).get_func(store, "f")(store)
        if contender.name != OURS:
            store.set_wasi(package.WasiConfig())
        instance = linker.instantiate(store, component)
        interface = component.get_export_index(INTERFACE)
        return instance.get_func(store, component.get_export_index("codec-id", interface))(store)

    assert run() == {"tiny": 42, "zstd": "zstd.rs", "sz3": "sz3.rs"}[program]
    return run


def open_map(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    mapping = mmap.mmap(handle, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    os.close(handle)
    mapping.close()


def tables(rounds: int, seconds: float) -> list[Table]:
    # Winch loads what Cranelift loads
    present = {name: contender for name, contender in contenders().items() if name != "winch"}
    candidates: dict[str, Candidate] = {}
    for program in PROGRAMS:
        for name, contender in present.items():
            candidates[f"{name} {program}"] = repeat(load(contender, program), REPEATS)
        _, path = artifact(present[OURS], program)
        candidates[f"open {program}"] = repeat(lambda path=path: open_map(path), REPEATS)
    found = interleave(candidates, rounds, 1, seconds * len(PROGRAMS)).each(REPEATS)
    rows = []
    for program in PROGRAMS:
        samples = {name: found.samples[f"{name} {program}"] for name in (*present, "open")}
        size = {name: os.path.getsize(artifact(contender, program)[1]) for name, contender in present.items()}
        cells = {
            "of our tiny one": str(found.ratio(f"{OURS} {program}", f"{OURS} tiny", "wall")),
            "our file": f"{size[OURS] / 1e3:,.0f} kB",
            "of the peer's": f"{size[OURS] / size['cranelift']:.2f}" if "cranelift" in size else "",
        }
        rows.append(Row(program, Comparison(samples, found.rounds, found.noisy_rounds), "wall", cells))
    columns = {OURS: "wasmrt", "cranelift": "wasmtime-py", "open": "open, map, unmap alone"}
    intro = "Wall time of `Component.deserialize_file` and of dropping the component."
    return [Table("Loading", intro, rows, columns, {"cranelift": "times faster"}), first_calls(present, rounds, seconds)]


def forgetting(call: Callable[[], object]) -> Callable[[], object]:
    """The same by a process that has not seen the component's records before."""
    from wasmrt.runtime import component

    def run() -> object:
        component._recent.clear()
        return call()

    return run


def first_calls(present: dict[str, Contender], rounds: int, seconds: float) -> Table:
    candidates = {
        f"{name} {program}": repeat(first_call(contender, program), FIRST_REPEATS)
        for program in PROGRAMS
        for name, contender in present.items()
    }
    for program in PROGRAMS:
        candidates[f"new {program}"] = repeat(forgetting(first_call(present[OURS], program)), FIRST_REPEATS)
    found = interleave(candidates, rounds, 1, seconds * len(PROGRAMS)).each(FIRST_REPEATS)
    rows = []
    for program in PROGRAMS:
        for title, ours in ((program, f"{OURS} {program}"), (f"{program}, not seen before", f"new {program}")):
            samples = {name: found.samples[ours if name == OURS else f"{name} {program}"] for name in present}
            rows.append(Row(title, Comparison(samples, found.rounds, found.noisy_rounds)))
    intro = (
        "CPU time of `Component.deserialize_file`, a new store, the first instance, its first call, and dropping all of them. "
        "Records of components that were loaded lately are remembered; `not seen before` is without that."
    )
    columns = {OURS: "wasmrt", "cranelift": "wasmtime-py"}
    return Table("From a file to the first answer", intro, rows, columns, {"cranelift": "times faster"})


def read_with_pyelftools(path: Path) -> None:
    from wasmrt.artifact import reader

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
        artifact = reader.read(mapping)
        artifact.data.release()


def verify() -> None:
    from wasmrt import Engine
    from wasmrt.component import Component

    engine = Engine()
    deserialize_file = Component.deserialize_file
    with tempfile.TemporaryDirectory() as folder:
        candidates: dict[str, Candidate] = {}
        for program in PROGRAMS:
            path = Path(folder) / program
            path.write_bytes(engine.precompile_component(source(program)))
            ways: dict[str, Callable[[], object]] = {
                "load": lambda path=path: deserialize_file(engine, path),
                "checked": lambda path=path: deserialize_file(engine, path)._object.code.verify(),
                "verified": lambda path=path: deserialize_file(engine, path, verify=True),
                "pyelftools": lambda path=path: read_with_pyelftools(path),
            }
            print(f"{program}: {path.stat().st_size / 1e6:.2f} MB")
            candidates |= {f"{program} {name}": repeat(way, VERIFY_REPEATS) for name, way in ways.items()}
        found = interleave(candidates, rounds=9, warmups=1).each(VERIFY_REPEATS)
    for name, samples in found.samples.items():
        program, way = name.split()
        text = f"{name:16} {samples.median('wall') * 1e6:9.1f} us, at best {samples.minimum('wall') * 1e6:9.1f}"
        print(text if way == "load" else f"{text}   of the default load {found.ratio(name, f'{program} load', 'wall')}")


def main() -> None:
    if "--verify" in sys.argv[1:]:
        verify()
        return
    for table in tables(15, 10):
        print("\n".join(table.markdown()))


@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(contenders()))
def test_load_tiny(benchmark: Any, name: str) -> None:
    benchmark.group = "load a tiny component"
    benchmark(load(contenders()[name], "tiny"))


@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(contenders()))
def test_first_call_tiny(benchmark: Any, name: str) -> None:
    benchmark.group = "load a tiny component and call it"
    benchmark(first_call(contenders()[name], "tiny"))


@pytest.mark.network
@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(contenders()))
def test_first_call_codec(benchmark: Any, name: str) -> None:
    benchmark.group = "load the zstd codec and call it"
    benchmark.pedantic(first_call(contenders()[name], "zstd"), rounds=1 if benchmark.disabled else 20)


@pytest.mark.network
@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(contenders()))
def test_load_codec(benchmark: Any, name: str) -> None:
    benchmark.group = "load the zstd codec"
    benchmark.pedantic(load(contenders()[name], "zstd"), rounds=1 if benchmark.disabled else 50)


if __name__ == "__main__":
    main()
