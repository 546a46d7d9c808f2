"""What loading an artifact costs: `deserialize_file` and dropping the component, beside the peer, interleaved.

    python -m bench.bench_load [--verify]

Prints microseconds a load (median and minimum), the ratio to the peer, and the ratio to our own tiny component; `open` is opening, mapping and unmapping a
file in Python alone. `--verify` measures our own loader alone, in several ways: as it is by default (load), with all bytes checked in C (checked), with
`verify=True`, which is that and the second reader (verified), and what opening with that reader alone takes, which makes no component (pyelftools).
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.engines import contenders
from bench.interleave import Candidate, Clock, interleave
from bench.programs import codec

TINY = """(component (core module $m (func (export "f") (result i32) i32.const 42)) (core instance $i (instantiate $m))
  (func (export "f") (result u32) (canon lift (core func $i "f"))))"""
REPEATS = 300
VERIFY_REPEATS = 40


def candidate(load: Callable[[], object], repeats: int = REPEATS) -> Candidate:
    def run(clock: Clock) -> None:
        with clock:
            for _ in range(repeats):
                load()

    return run


def open_map(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    mapping = mmap.mmap(handle, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    os.close(handle)
    mapping.close()


def read_with_pyelftools(path: Path) -> None:
    from wasmrt.artifact import reader

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
        artifact = reader.read(mapping)
        artifact.data.release()


def verify(programs: dict[str, bytes]) -> None:
    from wasmrt import Engine
    from wasmrt.component import Component

    engine = Engine()
    load = Component.deserialize_file
    with tempfile.TemporaryDirectory() as folder:
        candidates: dict[str, Candidate] = {}
        for program, data in programs.items():
            path = Path(folder) / program
            path.write_bytes(engine.precompile_component(data))
            ways: dict[str, Callable[[], object]] = {
                "load": lambda path=path: load(engine, path),
                "checked": lambda path=path: load(engine, path)._object.code.verify(),
                "verified": lambda path=path: load(engine, path, verify=True),
                "pyelftools": lambda path=path: read_with_pyelftools(path),
            }
            print(f"{program}: {path.stat().st_size / 1e6:.2f} MB")
            candidates |= {f"{program} {name}": candidate(way, VERIFY_REPEATS) for name, way in ways.items()}
        found = interleave(candidates, rounds=9, warmups=1).each(VERIFY_REPEATS)
    for name, samples in found.samples.items():
        program, way = name.split()
        text = f"{name:16} {samples.median('wall') * 1e6:9.1f} us, at best {samples.minimum('wall') * 1e6:9.1f}"
        print(text if way == "load" else f"{text}   of the default load {found.ratio(name, f'{program} load', 'wall')}")


def main() -> None:
    from wasmrt import wat2wasm

    programs = {"tiny": bytes(wat2wasm(TINY)), "zstd": codec("zstd"), "sz3": codec("sz3")}
    if "--verify" in sys.argv[1:]:
        verify(programs)
        return
    with tempfile.TemporaryDirectory() as folder:
        candidates: dict[str, Candidate] = {}
        for name, contender in contenders().items():
            if name == "winch":
                continue  # it loads what cranelift loads
            engine = contender.engine(parallel=True)
            for program, data in programs.items():
                path = Path(folder) / f"{name}-{program}"
                path.write_bytes(contender.component.Component(engine, data).serialize())
                load = contender.component.Component.deserialize_file
                candidates[f"{name} {program}"] = candidate(lambda load=load, engine=engine, path=str(path): load(engine, path))
        candidates["open"] = candidate(lambda: open_map(Path(folder) / "wasmrt-tiny"))
        found = interleave(candidates, rounds=15, warmups=2).each(REPEATS)
    for name, samples in found.samples.items():
        text = f"{name:16} {samples.median('wall') * 1e6:7.1f} us, at best {samples.minimum('wall') * 1e6:7.1f}"
        program = name.removeprefix("wasmrt ")
        if name != program and f"cranelift {program}" in found.samples:
            text += f"   of the peer's {found.ratio(name, f'cranelift {program}', 'wall')}"
        if name.startswith("wasmrt "):
            text += f"   of our tiny {found.ratio(name, 'wasmrt tiny', 'wall')}"
        print(text)


if __name__ == "__main__":
    main()
