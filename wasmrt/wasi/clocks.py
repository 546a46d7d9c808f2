"""wasi:clocks: wall clock and monotonic clock."""

from __future__ import annotations

import time
from typing import Any, Literal

from wasmrt.runtime.component_linker import Linker

from .io import Pollable

NANOSECONDS = 1_000_000_000


def datetime(nanoseconds: int) -> dict[str, int]:
    return {"seconds": nanoseconds // NANOSECONDS, "nanoseconds": nanoseconds % NANOSECONDS}


def resolution(clock: Literal["time", "monotonic"]) -> int:
    return max(1, round(time.get_clock_info(clock).resolution * NANOSECONDS))


def subscribe_duration(store: Any, duration: int) -> Pollable:
    return Pollable(time.monotonic_ns() + duration)


def define(linker: Linker, version: str) -> None:
    wall = linker.instance(f"wasi:clocks/wall-clock@{version}")
    wall.add_func("now", lambda store: datetime(time.time_ns()))
    wall.add_func("resolution", lambda store: datetime(resolution("time")))
    monotonic = linker.instance(f"wasi:clocks/monotonic-clock@{version}")
    monotonic.add_resource("pollable", Pollable)
    monotonic.add_func("now", lambda store: time.monotonic_ns())
    monotonic.add_func("resolution", lambda store: resolution("monotonic"))
    monotonic.add_func("subscribe-instant", lambda store, when: Pollable(when))
    monotonic.add_func("subscribe-duration", subscribe_duration)
