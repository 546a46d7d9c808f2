"""Which parts of the component model a Config has on. Core proposals are the C reader's business."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Features:
    async_: bool = True
    error_context: bool = True
    threading: bool = True
    fixed_length_lists: bool = True
    map: bool = True
    implements: bool = True
    values: bool = False
