"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.fetch import FetchError, codec_path


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def bless() -> bool:
    """BLESS=1 asks golden tests to rewrite their files."""
    return os.environ.get("BLESS", "") not in ("", "0")


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
