"""The text format: text to binary (`encode`), binary to text (`print_wasm`), and test scripts. Nothing else reads text."""

from .encoder import encode
from .printer import print_wasm

__all__ = ["encode", "print_wasm"]
