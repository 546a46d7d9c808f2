"""Whole programs nobody here wrote compute the same, to the last byte of memory, as under the peer."""

from __future__ import annotations

import pytest

from bench.bench_execute import Program
from bench.engines import contenders
from bench.programs import commands
from tools.fetch import FetchError

if not {"wasmrt", "cranelift"} <= set(contenders()):
    pytest.skip("wants wasmrt's engine and the peer's", allow_module_level=True)

# the quick ones, and one of each kind of loop nest: integers, tables of double, triangles
KERNELS = ("trisolv", "durbin", "jacobi-1d", "atax", "doitgen", "nussinov", "floyd-warshall", "gramschmidt", "heat-3d")


@pytest.mark.network
@pytest.mark.parametrize("name", KERNELS)
def test_kernel(name: str) -> None:
    try:
        command = commands("polybench")[name]
    except FetchError as error:
        pytest.skip(str(error))
    outcomes = {contender: Program(contenders()[contender], command).outcome() for contender in ("wasmrt", "cranelift")}
    assert outcomes["wasmrt"] == outcomes["cranelift"]
