"""wasmrt: a WebAssembly component runtime for Python with its own native code generator."""

from wasmrt._version import __version__

__all__ = ["__version__"]
