"""Where random cases start: the same place in every test run; somewhere new under `make fuzz`, or where WASMRT_FUZZ_SEED says, to repeat a failure."""

from __future__ import annotations

import os
import random

SECONDS = float(os.environ.get("WASMRT_FUZZ_SECONDS") or 0)


def first(fixed: int) -> int:
    given = os.environ.get("WASMRT_FUZZ_SEED")
    if given:
        return int(given)
    return random.SystemRandom().randrange(1 << 31) if SECONDS else fixed
