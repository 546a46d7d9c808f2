"""Compiling with somebody who watches: for programs that show a bar, or that want to stop a compilation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from wasmrt._native import images

PERIOD_SECONDS = 0.05

T = TypeVar("T")
Report = Callable[[int, int], Any]


def watched(report: Report | None, make: Callable[[images.Progress | None], T]) -> T:
    """Runs `make` on another thread and calls `report(functions done, functions in all)` on this one, twenty times a second and at the end.

    What `report` raises, KeyboardInterrupt included, stops the compilation and comes out of here. In all is 0 until it is known.
    """
    if report is None:
        return make(None)
    progress = images.Progress()
    made: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            made.append(make(progress))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="wasmrt-compile", daemon=True)
    thread.start()
    try:
        alive = True
        while alive:
            thread.join(PERIOD_SECONDS)
            alive = thread.is_alive()
            report(progress.done, progress.total)
    except BaseException:
        progress.cancel()
        thread.join()
        raise
    if failed:
        raise failed[0]
    return made[0]
