"""Owns how two or more candidates are timed fairly on a machine that others use too.

Candidates run A, B, C, A, B, C, ... so that a slow minute hits all of them; what is compared is the ratio inside a
round. Each round also runs a gauge, a fixed piece of work: rounds whose gauge took clearly longer than the best one are
noisy, and are left out as long as half of the rounds remain. Reported are median and minimum of each candidate, and of
each ratio the median with the range of its middle half.
"""

from __future__ import annotations

import gc
import hashlib
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

GAUGE_BYTES = bytes(8 << 20)
NOISY = 1.25


@dataclass
class Clock:
    """Wall and CPU seconds (all threads of this process) between `start` and `stop`, summed over several spans."""

    wall: float = 0.0
    cpu: float = 0.0
    _wall: float = 0.0
    _cpu: float = 0.0

    def start(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def stop(self) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self.wall += wall - self._wall
        self.cpu += cpu - self._cpu

    def __enter__(self) -> Clock:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


# a candidate sets up, then times only what counts with the clock it is given
Candidate = Callable[[Clock], object]


def gauge() -> float:
    """Seconds of a fixed piece of single-threaded work."""
    started = time.perf_counter()
    hashlib.sha256(GAUGE_BYTES).digest()
    return time.perf_counter() - started


@dataclass
class Samples:
    """Seconds of one candidate, one entry a quiet round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def seconds(self, measure: str) -> list[float]:
        return self.cpu if measure == "cpu" else self.wall

    def median(self, measure: str = "cpu") -> float:
        return statistics.median(self.seconds(measure))

    def minimum(self, measure: str = "cpu") -> float:
        return min(self.seconds(measure))


@dataclass(frozen=True)
class Ratio:
    """Of the times of two candidates: median over rounds, and the quartiles."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g}-{self.high:.3g})"


@dataclass
class Comparison:
    samples: dict[str, Samples]
    rounds: int
    noisy_rounds: int

    def ratio(self, above: str, below: str, measure: str = "cpu") -> Ratio:
        """How many times as long `above` takes as `below`."""
        pairs = zip(self.samples[above].seconds(measure), self.samples[below].seconds(measure), strict=True)
        ratios = sorted(a / b for a, b in pairs)
        if len(ratios) == 1:
            return Ratio(ratios[0], ratios[0], ratios[0])
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return Ratio(middle, low, high)

    def each(self, repeats: int) -> Comparison:
        """The same for candidates that did their work `repeats` times a round."""
        for samples in self.samples.values():
            samples.wall = [value / repeats for value in samples.wall]
            samples.cpu = [value / repeats for value in samples.cpu]
        return self

    def as_json(self) -> dict[str, object]:
        return {
            "rounds": self.rounds,
            "noisy_rounds": self.noisy_rounds,
            "seconds": {
                name: {
                    "cpu_median": samples.median("cpu"),
                    "cpu_min": samples.minimum("cpu"),
                    "wall_median": samples.median("wall"),
                    "wall_min": samples.minimum("wall"),
                }
                for name, samples in self.samples.items()
            },
        }


def interleave(
    candidates: Mapping[str, Candidate], rounds: int = 5, warmups: int = 1, seconds: float = float("inf")
) -> Comparison:
    """Run `rounds` rounds (fewer once `seconds` are used up, but at least one) after the warm-ups."""
    for _ in range(warmups):
        for candidate in candidates.values():
            candidate(Clock())
    gauges: list[float] = []
    taken: dict[str, list[Clock]] = {name: [] for name in candidates}
    deadline = time.monotonic() + seconds
    collecting = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds):
            if number and time.monotonic() > deadline:
                break
            gauges.append(gauge())
            # every other round backwards: whoever comes first pays for what the gauge left in the caches
            for name in list(candidates)[:: -1 if number % 2 else 1]:
                clock = Clock()
                candidates[name](clock)
                taken[name].append(clock)
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    best = min(gauges)
    quiet = [index for index, value in enumerate(gauges) if value <= NOISY * best]
    if len(quiet) * 2 < len(gauges):
        quiet = sorted(sorted(range(len(gauges)), key=gauges.__getitem__)[: (len(gauges) + 1) // 2])
    samples = {
        name: Samples([clocks[index].wall for index in quiet], [clocks[index].cpu for index in quiet])
        for name, clocks in taken.items()
    }
    return Comparison(samples, len(gauges), len(gauges) - len(quiet))


def repeat(call: Callable[[], object], times: int) -> Candidate:
    """Times `times` calls in a row; `Comparison.each(times)` then gives one."""

    def run(clock: Clock) -> None:
        rounds = range(times)
        with clock:
            for _ in rounds:
                call()

    return run


def geometric_mean(values: list[float]) -> float:
    return statistics.geometric_mean(values)
