"""Prints the world of a component in WIT, as its binary has it: `wit(data)` from a validated binary or from its skeleton."""

from __future__ import annotations

from wasmrt.errors import LimitError

from .printer import Signatures, print_world
from .skeleton import skeleton
from .world import World, read_world

__all__ = ["Signatures", "World", "read_world", "skeleton", "wit"]


def wit(data: bytes | bytearray | memoryview) -> str:
    """The world's text; ends with a newline. Raises LimitError for one that is too complex."""
    try:
        return print_world(read_world(data))
    except RecursionError:
        raise LimitError("nested too deep for what is left of Python's recursion limit") from None
