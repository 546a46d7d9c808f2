"""What data costs: strings, lists, records and their like into a component and back, by kind and by size."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bench.engines import Contender, contenders
from bench.interleave import Comparison, interleave, repeat
from bench.limits.cases import Case, Work, ours, peer
from bench.limits.measure import CANDIDATES, PEER, parameters, rows, run, times_of
from bench.programs import codec
from bench.tables import OURS, Row, Table

BLOCK = bytes(range(256)) * 4096
SIZES = [16, 256, 4096, 65_536, 1_048_576]
PEER_LARGEST = 65_536  # it takes more than a microsecond a byte
SHAPES: dict[str, tuple[str, Callable[[int], Any]]] = {
    "string, ASCII, echoed": ("text-echo", lambda size: "x" * size),
    "string, not ASCII, echoed": ("text-echo", lambda size: "ü" * (size // 2)),
    "list<u8>, echoed": ("bytes-echo", bytes),
    "list<f64> from a list": ("doubles-in", lambda size: [0.5] * (size // 8)),
}


def block_through_component(contender: Contender) -> Callable[[], object]:
    """BLOCK as list<u8> into a published codec that copies it, and out again."""
    api, engine = contender.component, contender.engine()
    component = api.Component(engine, codec("identity"))
    linker = api.Linker(engine)
    linker.add_wasip2()
    with linker.root() as root, root.add_instance("wasi:logging/logging") as logging:
        logging.add_func("log", lambda _store, *_message: None)
    store = contender.store(engine)
    if contender.name != OURS:
        store.set_wasi(contender.package.WasiConfig())  # the peer traps without one, wasmrt then grants nothing
    instance = linker.instantiate(store, component)
    interface = component.get_export_index("numcodecs:abc/codec@0.1.1")
    new, encode = (
        instance.get_func(store, component.get_export_index(name, interface))
        for name in ("[static]codec.from-config", "[method]codec.encode")
    )
    handle = new(store, json.dumps({}))
    array = api.Record()
    array.data, array.shape = api.Variant("u8", BLOCK), [len(BLOCK)]

    def call() -> Any:
        return encode(store, handle, array).payload

    assert call().data.payload == BLOCK
    return call


def by_size(rounds: int, seconds: float) -> dict[str, dict[int, Comparison]]:
    """Shape -> bytes -> times of one call."""
    found: dict[str, dict[int, Comparison]] = {}
    for shape, (name, value) in SHAPES.items():
        for size in SIZES:
            works = {OURS: Work("f(v)", {"f": ours().func(name), "v": value(size)})}
            if PEER_LARGEST >= size and "cranelift" in contenders():
                works[PEER] = Work("f(s, v)", {"f": peer().func(name), "s": peer().store, "v": value(size)})
            times = {who: times_of(work) for who, work in works.items()}
            candidates = {who: work.candidate(times[who]) for who, work in works.items()}
            comparison = interleave(candidates, rounds, 0, seconds)
            for who, samples in comparison.samples.items():
                samples.wall = [value / times[who] for value in samples.wall]
                samples.cpu = [value / times[who] for value in samples.cpu]
            found.setdefault(shape, {})[size] = comparison
    return found


def tables(rounds: int, seconds: float) -> list[Table]:
    kinds = rows(("data",), rounds, seconds)
    present = {PEER if name == "cranelift" else name: c for name, c in contenders().items() if name != "winch"}
    try:
        made = {name: repeat(block_through_component(contender), 2) for name, contender in present.items()}
        block: Comparison | str = interleave(made, min(rounds, 5), 0, seconds).each(2)
    except Exception as error:  # the codec may not be there
        block = f"{type(error).__name__}: {error}"
    kinds.append(Row("list<u8> of 1 MiB through a published codec and back", block))
    sizes = [
        Row(f"{shape}, {size} bytes", comparison)
        for shape, compared in by_size(min(rounds, 7), seconds).items()
        for size, comparison in compared.items()
    ]
    return [
        Table("Data, by kind", "CPU time of one call.", kinds, CANDIDATES, {PEER: "times faster"}),
        Table("Data, by size", "CPU time of one call.", sizes, CANDIDATES, {PEER: "times faster"}),
    ]


@pytest.mark.smoke
@parameters("data")
def test_data(benchmark: Any, case: Case, name: str) -> None:
    run(benchmark, case, name)


@pytest.mark.network
@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(contenders()))
def test_block_through_component(benchmark: Any, name: str) -> None:
    benchmark.pedantic(block_through_component(contenders()[name]), rounds=1 if benchmark.disabled else 5)
