"""What an instance costs: a new store, an instance of a small component with a memory and imports in it, and dropping both.

The peer's pooling allocator cannot be asked for from Python, so both of ours are compared with its default.

    python -m bench.bench_instantiate --live      resident memory of 10,000 instances that are all alive, each way in a process of its own
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.engines import Contender, contenders
from bench.interleave import Candidate, Clock, Comparison, interleave, repeat
from bench.limits.measure import CANDIDATES, PEER, rows
from bench.tables import Row, Table

SMALL = """(component
  (import "log" (func $log (param "text" string)))
  (import "now" (func $now (result u64)))
  (import "add" (func $add (param "a" u32) (param "b" u32) (result u32)))
  (core module $Memory
    (memory (export "mem") 1)
    (data (i32.const 16) "hello from the guest")
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (local.get 3)))))
  (core instance $memory (instantiate $Memory))
  (alias core export $memory "mem" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))
  (core func $log-core (canon lower (func $log) (memory $mem) (realloc $realloc)))
  (core func $now-core (canon lower (func $now)))
  (core func $add-core (canon lower (func $add)))
  (core module $M
    (import "env" "log" (func $log (param i32 i32)))
    (import "env" "now" (func $now (result i64)))
    (import "env" "add" (func $add (param i32 i32) (result i32)))
    (import "env" "mem" (memory 1))
    (table 4 funcref)
    (elem (i32.const 0) $run $greet)
    (func $run (export "run") (param i32) (result i32) (call $add (local.get 0) (i32.const 1)))
    (func $greet (export "greet") (call $log (i32.const 16) (i32.const 20))))
  (core instance $m (instantiate $M (with "env" (instance
    (export "log" (func $log-core)) (export "now" (func $now-core)) (export "add" (func $add-core)) (export "mem" (memory $mem))))))
  (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run")))
  (func (export "greet") (canon lift (core func $m "greet"))))"""
INSTANCES = 500


def prepare(contender: Contender, engine: Any = None) -> Callable[[], object]:
    """One new store with an instance, dropped when it returns."""
    api = contender.component
    engine = engine or contender.engine()
    component = api.Component(engine, SMALL)
    linker = api.Linker(engine)
    with linker.root() as root:
        root.add_func("log", lambda _store, text: None)
        root.add_func("now", lambda _store: 1)
        root.add_func("add", lambda _store, a, b: a + b)
    new_store = contender.package.Store
    instantiate = linker.instantiate_pre(component).instantiate if hasattr(linker, "instantiate_pre") else None

    def run() -> None:
        if instantiate is not None:
            instantiate(new_store(engine))
        else:
            linker.instantiate(new_store(engine), component)

    store = new_store(engine)
    assert linker.instantiate(store, component).get_func(store, "run")(store, 41) == 42
    return run


def pooling_engine(contender: Contender) -> Any:
    package = contender.package
    return package.Engine(
        package.Config(allocation_strategy=package.PoolingAllocationConfig(), parallel_compilation=False)
    )


def compare(rounds: int, seconds: float) -> Comparison:
    """Seconds of a new store with an instance, dropped again; `wasmrt, pooling` beside the two that allocate on demand."""
    present = {name: contender for name, contender in contenders().items() if name != "winch"}
    candidates = {name: repeat(prepare(contender), INSTANCES) for name, contender in present.items()}
    ours = present.get("wasmrt")
    if ours is not None:
        candidates["wasmrt, pooling"] = repeat(prepare(ours, pooling_engine(ours)), INSTANCES)
    return interleave(candidates, rounds, 1, seconds).each(INSTANCES)


def tables(rounds: int, seconds: float) -> list[Table]:
    columns = {"wasmrt": "wasmrt", "wasmrt, pooling": "wasmrt, pooling", "cranelift": "wasmtime-py"}
    made = [Row("new store, instantiate, drop", compare(rounds, seconds))]
    return [
        Table(
            "Instances", "CPU time of one instance in a store of its own.", made, columns, {"cranelift": "times faster"}
        ),
        Table(
            "Look-ups and stores",
            "CPU time of one operation.",
            rows(("instance",), rounds, seconds),
            CANDIDATES,
            {PEER: "times faster"},
        ),
        functions_table(rounds, seconds),
    ]


FUNCTIONS = {"wasmrt": 100, "1,000": 1_000, "10,000": 10_000}
WAYS = ("on demand", "pooling", "all kept alive", "the first of its module")


def of_functions(way: str, count: int, instances: int) -> Candidate:
    """Instances of a module whose table names `count` functions, of which one is called."""
    ours = contenders()["wasmrt"]
    package = ours.package
    pooling = package.PoolingAllocationConfig(total_tables=2_000, total_core_instances=2_000)
    engine = package.Engine(package.Config(allocation_strategy=pooling) if way == "pooling" else package.Config())
    text = f"""(module (table {count} funcref) (elem (i32.const 0) func {" ".join(map(str, range(count)))}) {"(func) " * count}
      (func (export "call") (param i32) (call_indirect (local.get 0))))"""
    artifact = package.Module(engine, text).serialize()
    module = package.Module.deserialize(engine, artifact)

    def one(module: Any) -> Any:
        store = package.Store(engine)
        instance = package.Instance(store, module, [])
        instance.exports(store)["call"](store, count // 2)
        return instance

    def run(clock: Clock) -> None:
        modules = [module] * instances
        if way == "the first of its module":
            modules = [package.Module.deserialize(engine, artifact) for _ in range(instances)]
        live = []
        with clock:
            for each in modules:
                made = one(each)
                if way == "all kept alive":
                    live.append(made)
            live.clear()

    return run


def by_functions(way: str, rounds: int, seconds: float, instances: int = 100) -> Comparison:
    """The same for modules with more and more functions: neither time nor memory of an instance is to grow with them."""
    candidates = {name: of_functions(way, count, instances) for name, count in FUNCTIONS.items()}
    return interleave(candidates, rounds, 1, seconds).each(instances)


def functions_table(rounds: int, seconds: float) -> Table:
    return Table(
        "Instances by functions",
        "CPU time of a store, an instance of a module whose table names so many functions, and one indirect call.",
        [Row(way, by_functions(way, rounds, seconds)) for way in WAYS],
        {name: f"{count:,} functions" for name, count in FUNCTIONS.items()},
        {"10,000": "10,000 over 100"},
    )


LIVE = 10_000


def live(name: str) -> str:
    """In this process: resident KB that LIVE instances of SMALL add, each in a store of its own, and those of the whole process."""

    def resident() -> int:
        return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])

    contender = contenders()["cranelift" if name == "cranelift" else "wasmrt"]
    package, api, engine = contender.package, contender.component, contender.engine()
    if name == "pooling":
        pool = package.PoolingAllocationConfig(
            total_component_instances=LIVE + 1,
            total_core_instances=2 * LIVE + 2,
            total_memories=LIVE + 1,
            total_tables=LIVE + 1,
            max_core_instance_size=1 << 14,
        )
        engine = package.Engine(package.Config(allocation_strategy=pool))
    component = api.Component(engine, SMALL)
    linker = api.Linker(engine)
    with linker.root() as root:
        root.add_func("log", lambda _store, text: None)
        root.add_func("now", lambda _store: 1)
        root.add_func("add", lambda _store, a, b: a + b)
    before, kept = resident(), []
    try:
        for _ in range(LIVE):
            store = package.Store(engine)
            kept.append((store, linker.instantiate(store, component)))
    except Exception as error:
        return f"{len(kept):,} instances, then {str(error).splitlines()[0][:90]}: {(resident() - before) / 1e3:.0f} MB, the process {resident() / 1e3:.0f}"
    return f"{LIVE:,} instances: {(resident() - before) / 1e3:.0f} MB, the whole process {resident() / 1e3:.0f} MB"


def live_all() -> None:
    for name in ("wasmrt", "pooling", "cranelift"):
        done = subprocess.run([sys.executable, "-m", "bench.bench_instantiate", "--live", name], capture_output=True, text=True)
        print(f"{name:10} {done.stdout.strip() or done.stderr.strip()[-200:]}")


@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(contenders()))
def test_instantiate(benchmark: Any, name: str) -> None:
    benchmark(prepare(contenders()[name]))


if __name__ == "__main__":
    if sys.argv[1:] == ["--live"]:
        live_all()
        sys.exit()
    if sys.argv[1:2] == ["--live"]:
        print(live(sys.argv[2]))
        sys.exit()
    print("\n".join(functions_table(15, 20).markdown()))
    comparison = compare(31, 30)
    for name, samples in comparison.samples.items():
        print(
            f"{name:12} {samples.median() * 1e6:8.2f} us {samples.minimum() * 1e6:8.2f} us  {comparison.ratio(name, 'cranelift')}"
        )
