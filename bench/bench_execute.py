"""Run time of compiled code: the kernels of polybench, each a whole program whose `_start` is timed.

A kernel's module is compiled once an engine; each round makes a fresh store and instance (not timed), runs `_start`
(timed) and compares what was printed with the other engines' output. The programs set up their arrays inside `_start`,
which is small beside the kernel; they read no clock, so that is the finest that can be measured from outside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.engines import Contender, contenders
from bench.interleave import Candidate, Clock, Comparison, interleave
from bench.programs import polybench
from bench.wasi_stub import Exit, Wasi, define

QUICK = ("trisolv", "jacobi-1d", "durbin")


class OutputDiffers(Exception):
    """Two engines printed different things: one of them computes wrongly."""


# short kernels run as often as makes a round this long
ROUND_SECONDS = 0.03


def runner(contender: Contender, path: Path, outputs: dict[str, bytes], repeats: int = 1) -> Candidate:
    """Times `repeats` runs of `_start`, each in a fresh instance; keeps what was printed under the contender's name."""
    package = contender.package
    engine = contender.engine()
    module = package.Module(engine, path.read_bytes())

    def once(clock: Clock) -> None:
        store = contender.store(engine)
        wasi = Wasi(arguments=[path.stem])
        linker = package.Linker(engine)
        define(package, linker, wasi)
        instance = linker.instantiate(store, module)
        start = instance.exports(store)["_start"]
        clock.start()
        try:
            start(store)
        except Exit as exit_:
            if exit_.code != 0:
                raise
        finally:
            clock.stop()
        outputs[contender.name] = bytes(wasi.output[1] + wasi.output[2])

    def run(clock: Clock) -> None:
        for _ in range(repeats):
            once(clock)

    return run


def repeats_for(path: Path) -> int:
    """How many runs fill ROUND_SECONDS, by the first contender that runs the program."""
    clock = Clock()
    runner(next(iter(contenders().values())), path, {})(clock)
    return max(1, min(50, round(ROUND_SECONDS / max(clock.wall, 1e-6))))


def compare(names: list[str], rounds: int, seconds: float) -> dict[str, Comparison | str]:
    """Kernel -> times, or why it could not be run. `seconds` bounds each kernel."""
    result: dict[str, Comparison | str] = {}
    paths = polybench()
    for name in names or list(paths):
        outputs: dict[str, bytes] = {}
        try:
            repeats = repeats_for(paths[name])
            candidates = {c.name: runner(c, paths[name], outputs, repeats) for c in contenders().values()}
            comparison = interleave(candidates, rounds, 1, seconds).each(repeats)
            if len(set(outputs.values())) > 1:
                raise OutputDiffers({engine: text[-80:] for engine, text in outputs.items()})
            result[name] = comparison
        except Exception as error:  # one kernel that fails must not lose the others' results
            result[name] = f"{type(error).__name__}: {error}"
    return result


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(contenders()))
@pytest.mark.parametrize("kernel", QUICK)
def test_kernel(benchmark: Any, kernel: str, name: str) -> None:
    run = runner(contenders()[name], polybench()[kernel], {})
    benchmark.pedantic(run, args=(Clock(),), rounds=3, warmup_rounds=1)
