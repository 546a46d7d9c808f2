"""Random programs compute the same as under wasmtime, in every way of compiling."""

from __future__ import annotations

import pytest

from . import seeds
from .loops import LoopProgram
from .objects import ObjectProgram
from .oracle import OBJECT_WAYS, VECTOR_WAYS, WAYS, difference, their_engine
from .throwing import ThrowingProgram
from .vectors import VectorProgram

BLOCK = 20
FIRST = seeds.first(0)
BLOCKS = range(FIRST, FIRST + (int(seeds.SECONDS * 10) or 60), BLOCK)


@pytest.mark.parametrize("first", BLOCKS)
def test_same_as_wasmtime(first: int) -> None:
    wasmtime = pytest.importorskip("wasmtime")
    engine = wasmtime.Engine()
    found = [difference(wasmtime, engine, seed, way) for seed in range(first, first + BLOCK) for way in WAYS]
    assert not any(found), "\n".join(filter(None, found))


@pytest.mark.parametrize("first", BLOCKS)
def test_loops_same_as_wasmtime(first: int) -> None:
    wasmtime = pytest.importorskip("wasmtime")
    engine = wasmtime.Engine()
    found = [difference(wasmtime, engine, seed, way, LoopProgram) for seed in range(first, first + BLOCK) for way in WAYS]
    assert not any(found), "\n".join(filter(None, found))


@pytest.mark.parametrize("first", BLOCKS)
def test_vectors_same_as_wasmtime(first: int) -> None:
    wasmtime = pytest.importorskip("wasmtime")
    engine = wasmtime.Engine()
    found = [
        difference(wasmtime, engine, seed, way, VectorProgram)
        for seed in range(first, first + BLOCK)
        for way in VECTOR_WAYS
    ]
    assert not any(found), "\n".join(filter(None, found))


@pytest.mark.parametrize("first", BLOCKS)
def test_exceptions_same_as_wasmtime(first: int) -> None:
    wasmtime = pytest.importorskip("wasmtime")
    engine = wasmtime.Engine()
    found = [difference(wasmtime, engine, seed, way, ThrowingProgram) for seed in range(first, first + BLOCK) for way in WAYS]
    assert not any(found), "\n".join(filter(None, found))


@pytest.mark.parametrize("first", BLOCKS)
def test_objects_same_as_wasmtime(first: int) -> None:
    """With a collection before every object, too."""
    wasmtime = pytest.importorskip("wasmtime")
    engine = their_engine(wasmtime)
    found = [difference(wasmtime, engine, seed, way, ObjectProgram) for seed in range(first, first + BLOCK) for way in OBJECT_WAYS]
    assert not any(found), "\n".join(filter(None, found))
