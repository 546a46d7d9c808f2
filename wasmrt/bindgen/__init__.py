"""Typed Python for a component: `generate` writes a package whose types are those of its world, for type checkers, editors and readers.

At run time the package is thin: records are the classes that calls return, everything else goes through `wasmrt.load`.
"""

from __future__ import annotations

from .package import generate

__all__ = ["generate"]
