"""Instantiation: memory images, pools, and what is left behind by instances that are gone or were never finished."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

import wasmrt
from wasmrt import MemoryInitialization, PoolingAllocationConfig
from wasmrt.component import Component
from wasmrt.component import Linker as ComponentLinker

DENSE = 96 * 1024  # bytes of data, more than is copied
FILLED = "\\2a" * 256


def module_with_data(pages: int = 4, start: int = 0x1000, size: int = DENSE, more: str = "") -> str:
    return f"""(module
      (memory (export "m") {pages})
      (data (i32.const {start}) "{FILLED * (size // 256)}")
      {more}
      (func (export "get") (param i32) (result i32) (i32.load8_u (local.get 0)))
      (func (export "set") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"""


def pooled(**sizes: int) -> wasmrt.Config:
    small = {"total_memories": 3, "total_tables": 4, "total_core_instances": 5, "max_memory_size": 1 << 20}
    return wasmrt.Config(allocation_strategy=PoolingAllocationConfig(**{**small, **sizes}))


def usage(engine: wasmrt.Engine) -> dict[str, int]:
    assert engine.allocator.pool is not None
    return engine.allocator.pool.usage()


NOTHING = {"component_instances": 0, "core_instances": 0, "memories": 0, "tables": 0}


def taken(engine: wasmrt.Engine) -> dict[str, int]:
    return {kind: count for kind, count in usage(engine).items() if kind != "warm_memories"}


@pytest.fixture(params=["on-demand", "pooling", "no images", "checked", "pooling, checked"])
def config(request: pytest.FixtureRequest) -> wasmrt.Config:
    made = pooled() if "pooling" in request.param else wasmrt.Config()
    made.memory_init_cow = request.param != "no images"
    if "checked" in request.param:
        made.memory_reservation = 1 << 20
    return made


# ---- images -----------------------------------------------------------------------------------------------------------------------------


def mapping_of(memory: Any, offset: int) -> str:
    """The line of /proc/self/maps for an address of a memory."""
    import ctypes

    address = ctypes.addressof(memory.data_ptr().contents) + offset
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(end, 16) for end in line.split()[0].split("-"))
        if first <= address < last:
            return line
    raise AssertionError("not mapped")


def is_image(memory: Any, offset: int) -> bool:
    return "wasmrt-memory-image" in mapping_of(memory, offset)


def test_dense_data_are_mapped_privately() -> None:
    engine = wasmrt.Engine()
    module = wasmrt.Module(engine, module_with_data())
    assert module.memory_initialization is MemoryInitialization.STATIC
    store = wasmrt.Store(engine)
    exports = wasmrt.Instance(store, module, []).exports
    assert is_image(exports["m"], 0x1000) and is_image(exports["m"], 0x1000 + DENSE - 1)
    assert not is_image(exports["m"], 0xFFF) and not is_image(exports["m"], 0x1000 + DENSE)
    assert mapping_of(exports["m"], 0x1000).split()[1] == "rw-p"
    assert exports["get"](0x1000) == 42 and exports["get"](0x1000 + DENSE - 1) == 42
    assert exports["get"](0xFFF) == 0 and exports["get"](0x1000 + DENSE) == 0
    # what one instance writes, no other sees
    exports["set"](0x1000, 7)
    other = wasmrt.Instance(store, module, []).exports
    assert (exports["get"](0x1000), other["get"](0x1000)) == (7, 42)
    assert exports["grow"](1) == 4 and exports["get"](0x1000) == 7


def test_images_are_off() -> None:
    engine = wasmrt.Engine(wasmrt.Config(memory_init_cow=False))
    module = wasmrt.Module(engine, module_with_data())
    assert module.memory_initialization is MemoryInitialization.SEGMENTED
    store = wasmrt.Store(engine)
    exports = wasmrt.Instance(store, module, []).exports
    assert exports["get"](0x1000) == 42 and not is_image(exports["m"], 0x1000)


def test_small_data_are_static_but_copied() -> None:
    engine = wasmrt.Engine()
    module = wasmrt.Module(engine, '(module (memory (export "m") 1) (data (i32.const 4090) "0123456789"))')
    store = wasmrt.Store(engine)
    memory = wasmrt.Instance(store, module, []).exports["m"]
    assert module.memory_initialization is MemoryInitialization.STATIC
    assert memory.read(4090, 4100) == b"0123456789" and not is_image(memory, 4090)
    # but for the slots of a pool
    engine = wasmrt.Engine(pooled())
    store = wasmrt.Store(engine)
    module = wasmrt.Module(engine, '(module (memory (export "m") 1) (data (i32.const 4090) "0123456789"))')
    memory = wasmrt.Instance(store, module, []).exports["m"]
    assert memory.read(4090, 4100) == b"0123456789" and is_image(memory, 4090)


@pytest.mark.parametrize(
    "data",
    [
        '(data (i32.const 0) "a") (data (i32.const 1000000) "b")',  # too sparse
        '(global $g (import "e" "g") i32) (data (global.get $g) "a")',  # not known in advance
        '(data (i32.const 4194304) "a")',  # traps
        '(data (i32.const 4194303) "ab")',  # traps at its second byte
    ],
)
def test_data_that_stay_segments(data: str) -> None:
    engine = wasmrt.Engine()
    imported, rest = (
        (data.split(") i32)", 1)[0] + ") i32)", data.split(") i32)", 1)[1]) if "import" in data else ("", data)
    )
    module = wasmrt.Module(engine, f'(module {imported} (memory (export "m") 64) {rest})')
    assert module.memory_initialization is MemoryInitialization.SEGMENTED
    store = wasmrt.Store(engine)
    i32 = wasmrt.ValType.i32()
    given = [wasmrt.Global(store, wasmrt.GlobalType(i32, False), 3)] if imported else []
    if "traps" in data or "41943" in data:
        with pytest.raises(wasmrt.Trap, match="out of bounds memory access"):
            wasmrt.Instance(store, module, given)
    else:
        memory = wasmrt.Instance(store, module, given).exports["m"]
        assert memory.read(3 if imported else 0, 4 if imported else 1) == b"a"


def test_segments_overwrite_in_order(config: wasmrt.Config) -> None:
    """Later ones win, also where those that are known in advance and those that are not alternate."""
    engine = wasmrt.Engine(config)
    ones, twos, threes = (f"\\0{n}" * 256 for n in (1, 2, 3))
    text = f"""(module (global $g (import "e" "g") i32) (memory (export "m") 4)
      (data (i32.const 0) "{ones * 64}") (data (i32.const 8192) "{twos * 64}")
      (data (global.get $g) "{threes * 4}") (data (i32.const 8960) "{ones}"))"""
    store = wasmrt.Store(engine)
    given = wasmrt.Global(store, wasmrt.GlobalType(wasmrt.ValType.i32(), False), 8448)
    memory = wasmrt.Instance(store, wasmrt.Module(engine, text), [given]).exports["m"]
    expected = bytearray(b"\1" * 8192 + b"\2" * 16384)
    expected[8448 : 8448 + 1024] = b"\3" * 1024
    expected[8960 : 8960 + 256] = b"\1" * 256
    assert memory.read(0, 24576) == expected and memory.read(24576, 24580) == b"\0" * 4


def test_a_trap_in_an_element_segment_leaves_no_data(config: wasmrt.Config) -> None:
    """Data segments come after element segments: through a function that is in another's table already, memory must be seen empty."""
    engine = wasmrt.Engine(config)
    store = wasmrt.Store(engine)
    host = wasmrt.Module(engine, '(module (table (export "t") 4 funcref))')
    table = wasmrt.Instance(store, host, []).exports["t"]
    more = "(elem (i32.const 0) func $peek) (elem (i32.const 9) func $peek) (func $peek (result i32) (i32.load8_u (i32.const 4096)))"
    failing = wasmrt.Module(
        engine, module_with_data(more=more).replace("(module", '(module (table (import "e" "t") 4 funcref)', 1)
    )
    with pytest.raises(wasmrt.Trap, match="out of bounds table access"):
        wasmrt.Instance(store, failing, [table])
    assert table.get(0)() == 0


def test_images_without_instances() -> None:
    engine = wasmrt.Engine()
    module = wasmrt.Module(engine, module_with_data())
    component = Component(engine, f"(component (core module {module_with_data()[7:]})")
    descriptors = len(os.listdir("/proc/self/fd"))
    module.initialize_copy_on_write_image()
    component.initialize_copy_on_write_image()
    assert len(os.listdir("/proc/self/fd")) == descriptors + 2
    module.initialize_copy_on_write_image()
    assert len(os.listdir("/proc/self/fd")) == descriptors + 2
    assert [m.memory_initialization for m in component.static_modules] == [MemoryInitialization.STATIC]
    del module, component
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_image_that_cannot_be_made_is_copied() -> None:
    run(
        """
        import resource
        module = wasmrt.Module(engine, TEXT)
        other = wasmrt.Module(engine, '(module (func (export "f")))')
        wasmrt.Instance(wasmrt.Store(engine), other, []).exports["f"]()  # a thread's first entry reads /proc
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, hard))
        store = wasmrt.Store(engine)
        assert wasmrt.Instance(store, module, []).exports["get"](0x1000) == 42
        """
    )


def test_a_fork_has_memories_of_its_own() -> None:
    run(
        """
        module = wasmrt.Module(engine, TEXT)
        store = wasmrt.Store(engine)
        exports = wasmrt.Instance(store, module, []).exports
        exports["set"](0x1001, 1)
        child = os.fork()
        if child == 0:
            ok = exports["get"](0x1000) == 42 and exports["get"](0x1001) == 1
            exports["set"](0x1000, 9)
            store.close()
            again = wasmrt.Instance(wasmrt.Store(engine), module, []).exports
            ok = ok and again["get"](0x1000) == 42 and again["get"](0x1001) == 42
            os._exit(0 if ok else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert exports["get"](0x1000) == 42
        """
    )


def run(body: str, *, config: str = "wasmrt.Config()", timeout: int = 60) -> str:
    """Runs a program in a child process."""
    program = (
        "import gc, os, sys\nimport wasmrt\nfrom wasmrt import PoolingAllocationConfig\n"
        f"engine = wasmrt.Engine({config})\nTEXT = {module_with_data()!r}\n" + textwrap.dedent(body)
    )
    done = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- pools ------------------------------------------------------------------------------------------------------------------------------


def test_slots_are_reused_and_clean(config: wasmrt.Config) -> None:
    """Nothing that one instance wrote is there for the next: memory inside and outside of the image, grown memory, tables, globals."""
    engine = wasmrt.Engine(config)
    more = """(global $g (export "g") (mut i32) (i32.const 5)) (table (export "t") 10 funcref) (elem (i32.const 2) func $f)
      (func $f (export "f") (result i32) (i32.const 3))"""
    dirty = wasmrt.Module(engine, module_with_data(more=more))
    plain = wasmrt.Module(engine, '(module (memory (export "m") 8) (table (export "t") 30 funcref))')
    for module in (dirty, dirty, plain, dirty, plain, plain, dirty):
        with wasmrt.Store(engine) as store:
            exports = wasmrt.Instance(store, module, []).exports
            memory, table = exports["m"], exports["t"]
            expected = bytearray(8 * 65536 if module is plain else 4 * 65536)
            if module is dirty:
                expected[0x1000 : 0x1000 + DENSE] = b"\x2a" * DENSE
                assert exports["g"].value() == 5 and exports["f"]() == 3
                exports["g"].set_value(77)
            assert memory.read() == expected
            filled = [i for i in range(table.size()) if table.get(i) is not None]
            assert filled == ([2] if module is dirty else [])
            memory.grow(2)
            memory.write(b"\xff" * len(memory), 0)
            for i in range(table.size()):
                table.set(i, exports["f"] if module is dirty else None)
            del exports, memory, table  # a Memory that somebody holds keeps its slot
    if engine.allocator.pool is not None:
        assert taken(engine) == NOTHING


def test_a_pool_runs_out() -> None:
    engine = wasmrt.Engine(pooled(total_memories=2, total_tables=1, total_core_instances=4))
    with_memory = wasmrt.Module(engine, "(module (memory 1))")
    with_table = wasmrt.Module(engine, "(module (table 3 funcref))")
    empty = wasmrt.Module(engine, "(module)")
    stores = [wasmrt.Store(engine) for _ in range(3)]
    wasmrt.Instance(stores[0], with_memory, [])
    wasmrt.Instance(stores[1], with_memory, [])
    with pytest.raises(wasmrt.LimitError, match="pool's limit total_memories of 2"):
        wasmrt.Instance(stores[2], with_memory, [])
    wasmrt.Instance(stores[2], with_table, [])
    with pytest.raises(wasmrt.LimitError, match="pool's limit total_tables of 1"):
        wasmrt.Instance(stores[0], with_table, [])
    wasmrt.Instance(stores[0], empty, [])
    with pytest.raises(wasmrt.LimitError, match="pool's limit total_core_instances of 4"):
        wasmrt.Instance(stores[0], empty, [])
    assert taken(engine) == {"component_instances": 0, "core_instances": 4, "memories": 2, "tables": 1}
    stores[1].close()
    wasmrt.Instance(stores[2], with_memory, [])
    del stores
    gc.collect()
    assert taken(engine) == NOTHING


def test_growth_stops_at_the_pools_limits() -> None:
    engine = wasmrt.Engine(pooled(max_memory_size=5 * 65536, table_elements=12))
    more = (
        '(table (export "t") 10 funcref) (func (export "more") (result i32) (table.grow (ref.null func) (i32.const 2)))'
    )
    store = wasmrt.Store(engine)
    exports = wasmrt.Instance(store, wasmrt.Module(engine, module_with_data(more=more)), []).exports
    assert exports["grow"](2) == -1 and exports["grow"](1) == 4 and exports["grow"](1) == -1
    assert exports["more"]() == 10 and exports["more"]() == -1
    with pytest.raises(wasmrt.WasmError):
        exports["t"].grow(1, None)


COMPONENT = """(component
  (core module $A (memory (export "a") 2) (memory (export "b") 3) (table 7 funcref))
  (core instance (instantiate $A)) (core instance (instantiate $A)) (core instance (instantiate $A)))"""


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"max_memories_per_module": 1}, "module 0 defines memories: 2.*max_memories_per_module of 1"),
        ({"max_tables_per_module": 0}, "module 0 defines tables: 1.*max_tables_per_module of 0"),
        ({"max_memory_size": 65536 * 2}, "memory 1 of module 0 starts with 196608 bytes.*max_memory_size of 131072"),
        ({"table_elements": 6}, "table 0 of module 0 starts with 7 elements.*table_elements of 6"),
        ({"max_core_instance_size": 64}, "an instance of module 0 takes .* bytes.*max_core_instance_size of 64"),
        ({"max_core_instances_per_component": 2}, "core instances: 3.*max_core_instances_per_component of 2"),
        ({"max_memories_per_component": 5}, "memories: 6.*max_memories_per_component of 5"),
        ({"max_tables_per_component": 2}, "tables: 3.*max_tables_per_component of 2"),
        ({"total_core_instances": 2}, "core instances: 3.*total_core_instances of 2"),
        ({"total_memories": 5}, "memories: 6.*total_memories of 5"),
        ({"total_tables": 2}, "tables: 3.*total_tables of 2"),
    ],
)
def test_components_that_never_fit_are_refused_when_made(sizes: dict[str, int], message: str) -> None:
    fits = {"total_memories": 6, "max_memories_per_module": 2, "total_tables": 4}
    engine = wasmrt.Engine(pooled(**{**fits, **sizes}))
    with pytest.raises(wasmrt.LimitError, match=message):
        Component(engine, COMPONENT)
    free = wasmrt.Engine(pooled(**fits))
    component = Component(free, COMPONENT)
    with pytest.raises(wasmrt.LimitError, match=message):
        Component.deserialize(engine, component.serialize())
    # and what fits, fits: exactly what resources_required says is taken
    required = component.resources_required()
    assert required is not None and (required.num_memories, required.num_tables) == (6, 3)
    store = wasmrt.Store(free)
    ComponentLinker(free).instantiate(store, component)
    assert taken(free) == {
        "component_instances": 1,
        "core_instances": 3,
        "memories": required.num_memories,
        "tables": required.num_tables,
    }
    store.close()
    assert taken(free) == NOTHING


def test_modules_that_never_fit_are_refused_when_made() -> None:
    engine = wasmrt.Engine(pooled(max_memory_size=65536))
    with pytest.raises(wasmrt.LimitError, match="max_memory_size of 65536"):
        wasmrt.Module(engine, "(module (memory 2))")
    other = wasmrt.Engine()
    with pytest.raises(wasmrt.LimitError, match="max_memory_size"):
        wasmrt.Module.deserialize(engine, wasmrt.Module(other, "(module (memory 2))").serialize())


def test_component_instances_are_counted() -> None:
    engine = wasmrt.Engine(pooled(total_component_instances=2))
    component = Component(engine, "(component)")
    linker = ComponentLinker(engine)
    store = wasmrt.Store(engine)
    linker.instantiate(store, component)
    linker.instantiate(store, component)
    with pytest.raises(wasmrt.LimitError, match="total_component_instances of 2"):
        linker.instantiate(wasmrt.Store(engine), component)
    store.close()
    linker.instantiate(wasmrt.Store(engine), component)


def test_a_slot_with_exported_buffers_is_not_reused() -> None:
    engine = wasmrt.Engine(pooled(total_memories=1))
    module = wasmrt.Module(engine, module_with_data())
    store = wasmrt.Store(engine)
    memory = wasmrt.Instance(store, module, []).exports["m"]
    view = memoryview(memory)
    view[0] = 99
    del memory
    store.close()
    assert view[0] == 99 and view[0x1000] == 42 and usage(engine)["memories"] == 1
    with pytest.raises(wasmrt.LimitError, match="total_memories"):
        wasmrt.Instance(wasmrt.Store(engine), module, [])
    view.release()
    del view
    gc.collect()
    assert usage(engine)["memories"] == 0
    assert wasmrt.Instance(wasmrt.Store(engine), module, []).exports["get"](0) == 0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("(module (memory 1) (table 1 funcref) (func $s unreachable) (start $s))", wasmrt.Trap),
        ("(module (memory 1) (table 1 funcref) (elem (i32.const 1) func $f) (func $f))", wasmrt.Trap),
        ('(module (memory 1) (table 1 funcref) (data (i32.const 65536) "a"))', wasmrt.Trap),
        ("(module (memory 1) (table 10 funcref) (table 10 funcref) (table 10 funcref))", wasmrt.LimitError),
    ],
)
def test_failing_midway_leaves_nothing_behind(text: str, error: type[Exception]) -> None:
    engine = wasmrt.Engine(pooled(total_tables=2, max_tables_per_module=3) if error is wasmrt.LimitError else pooled())
    if (
        error is wasmrt.LimitError
    ):  # it never fits: only what is made at run time can find out that the pool is too full
        engine = wasmrt.Engine(pooled(total_tables=3, max_tables_per_module=3))
        other = wasmrt.Store(engine)
        wasmrt.Instance(other, wasmrt.Module(engine, "(module (table 1 funcref))"), [])
    module = wasmrt.Module(engine, text)
    before = taken(engine)
    for _ in range(5):
        store = wasmrt.Store(engine)
        with pytest.raises(error):
            wasmrt.Instance(store, module, [])
        if error is wasmrt.LimitError:
            assert taken(engine) == before
        del store
        gc.collect()
        assert taken(engine) == before


def test_a_component_that_fails_midway_leaves_nothing_behind() -> None:
    engine = wasmrt.Engine(pooled())
    component = Component(
        engine,
        """(component (import "stop" (func $stop)) (core func $stop (canon lower (func $stop)))
      (core module $A (memory (export "m") 1)) (core instance $a (instantiate $A))
      (core module $B (import "" "stop" (func $stop)) (import "" "m" (memory 1)) (table 1 funcref) (start $stop))
      (core instance (instantiate $B (with "" (instance (export "stop" (func $stop)) (export "m" (memory $a "m")))))))""",
    )
    linker = ComponentLinker(engine)

    def stop(_store: Any) -> None:
        raise RuntimeError("no")

    linker.root().add_func("stop", stop)
    pre = linker.instantiate_pre(component)
    for _ in range(4):
        store = wasmrt.Store(engine)
        with pytest.raises(RuntimeError, match="no"):
            pre.instantiate(store)
        store.close()
        assert taken(engine) == NOTHING


def test_configuration() -> None:
    config = PoolingAllocationConfig(total_memories=7)
    assert config.total_memories == 7 and config.total_tables == 1000
    assert repr(config) == "PoolingAllocationConfig(total_memories=7)"
    assert copy.copy(config) == config and pickle.loads(pickle.dumps(config)) == config
    for name, value, error in (
        ("total_memories", -1, OverflowError),
        ("total_memories", 2**32, OverflowError),
        ("total_memories", True, TypeError),
        ("max_memory_size", 2**60, OverflowError),
        ("total_stores", 1, AttributeError),
    ):
        with pytest.raises(error):
            setattr(config, name, value)
    with pytest.raises(AttributeError):
        config.other
    assert wasmrt.Config().allocation_strategy is None
    assert wasmrt.Config(allocation_strategy="on-demand").allocation_strategy is None
    assert wasmrt.Config(allocation_strategy="pooling").allocation_strategy == PoolingAllocationConfig()
    with pytest.raises(TypeError, match="allocation_strategy"):
        wasmrt.Config(allocation_strategy="other")
    settings = wasmrt.Config(allocation_strategy=config)
    config.total_memories = 9  # a config keeps its own copy
    assert settings.copy().allocation_strategy.total_memories == 7


def test_pools_that_do_not_fit_the_address_space() -> None:
    with pytest.raises(wasmrt.LimitError, match="larger than the address space"):
        wasmrt.Engine(pooled(total_memories=2**31))
    with pytest.raises(wasmrt.LimitError, match="larger than any program may use"):
        wasmrt.Engine(pooled(table_elements=2**40))


def test_pools_of_nothing() -> None:
    engine = wasmrt.Engine(
        pooled(
            total_memories=0,
            total_tables=0,
            total_core_instances=1,
            total_component_instances=1,
            max_unused_warm_slots=0,
        )
    )
    store = wasmrt.Store(engine)
    wasmrt.Instance(store, wasmrt.Module(engine, "(module)"), [])
    with pytest.raises(wasmrt.LimitError, match="total_memories of 0"):
        wasmrt.Module(engine, "(module (memory 0))")
    zero = wasmrt.Engine(pooled(table_elements=0, max_memory_size=0))
    with wasmrt.Store(zero) as store:
        wasmrt.Instance(store, wasmrt.Module(zero, "(module (memory 0) (table 0 funcref))"), [])


@pytest.mark.parametrize(
    "sizes",
    [
        {"max_unused_warm_slots": 0},
        {"linear_memory_keep_resident": 1 << 20},
        {"table_keep_resident": 1 << 20},
        {"linear_memory_keep_resident": 1},
    ],
)
def test_ways_to_keep_slots(sizes: dict[str, int]) -> None:
    engine = wasmrt.Engine(pooled(total_memories=1, **sizes))
    imaged = wasmrt.Module(engine, module_with_data())
    plain = wasmrt.Module(
        engine, '(module (memory (export "m") 3) (table (export "t") 5000 funcref) (func (export "f")))'
    )
    for module in (imaged, plain, plain, imaged, imaged, plain):
        with wasmrt.Store(engine) as store:
            exports = wasmrt.Instance(store, module, []).exports
            memory = exports["m"]
            assert bytes(memory.read(0, 0x1000)) == bytes(0x1000)
            assert memory.read(0x1000, 0x1001) == (b"*" if module is imaged else b"\0")
            assert not any(memory.read(0x1000 + DENSE, 3 * 65536))
            memory.write(b"\x55" * len(memory), 0)
            if module is plain:
                assert all(exports["t"].get(i) is None for i in range(5000))
                for i in range(5000):
                    exports["t"].set(i, exports["f"])
            del exports, memory
        assert usage(engine)["warm_memories"] == (module is imaged and "max_unused_warm_slots" not in sizes)


def test_many_threads_share_a_pool() -> None:
    engine = wasmrt.Engine(pooled(total_memories=4, total_core_instances=8))
    modules = [wasmrt.Module(engine, module_with_data()), wasmrt.Module(engine, '(module (memory (export "m") 4))')]
    wrong: list[Any] = []

    def work(number: int) -> None:
        for i in range(60):
            module = modules[(i + number) % 2]
            with wasmrt.Store(engine) as store:
                memory = wasmrt.Instance(store, module, []).exports["m"]
                if memory.read(0x1000, 0x1002) != (b"**" if module is modules[0] else b"\0\0") or any(
                    memory.read(0, 8)
                ):
                    wrong.append((number, i))
                memory.write(b"x" * 0x2000, 0)
                del memory

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and taken(engine) == NOTHING


# ---- tables and functions ---------------------------------------------------------------------------------------------------------------


def test_element_segments_of_every_kind(config: wasmrt.Config) -> None:
    engine = wasmrt.Engine(config)
    text = """(module (import "e" "host" (func $host (result i32)))
      (table (export "t") 8 funcref)
      (elem (i32.const 0) func $a $b $a) (elem (i32.const 3) func $host $a)
      (elem (i32.const 5) funcref (ref.func $b) (ref.null func))
      (elem $later funcref (ref.func $a) (ref.func $b))
      (func $a (result i32) (i32.const 1)) (func $b (result i32) (i32.const 2))
      (func (export "init") (table.init $later (i32.const 6) (i32.const 0) (i32.const 2))))"""
    module = wasmrt.Module(engine, text)
    for _ in range(3):  # the second and third take blocks that were used before
        with wasmrt.Store(engine) as store:
            host = wasmrt.Func(store, wasmrt.FuncType([], [wasmrt.ValType.i32()]), lambda: 9)
            exports = wasmrt.Instance(store, module, [host]).exports
            table = exports["t"]
            called = [None if table.get(i) is None else table.get(i)() for i in range(8)]
            assert called == [1, 2, 1, 9, 1, 2, None, None]
            exports["init"]()
            assert [table.get(i)() for i in (6, 7)] == [1, 2]


def test_one_image_in_two_engines() -> None:
    """Type ids are an engine's: functions that one engine's instances share are not the other's."""
    text = '(module (func (export "f") (param i64) (result i64) (local.get 0)) (func (export "g") (result i32) (i32.const 4)))'
    first = wasmrt.Engine()
    wasmrt.Module(first, "(module (func (param f32 f64 i32)))")
    made = wasmrt.Module(first, text)
    second = wasmrt.Engine()
    from wasmrt.runtime.module import CodeObject

    again = wasmrt.Module.from_parts(CodeObject(second, made._object.code), 0, made._info)
    for module, engine in ((made, first), (again, second), (made, first), (again, second)):
        with wasmrt.Store(engine) as store:
            exports = wasmrt.Instance(store, module, []).exports
            assert exports["f"](5) == 5 and exports["g"]() == 4
            assert str(exports["f"].type()) == str(wasmrt.FuncType([wasmrt.ValType.i64()], [wasmrt.ValType.i64()]))


# ---- many of them -----------------------------------------------------------------------------------------------------------------------

MANY = """
from bench.bench_instantiate import SMALL
from wasmrt.component import Component, Linker

def status(key):
    return int(open("/proc/self/status").read().split(key + ":")[1].split()[0])

linker = Linker(engine)
linker.root().add_func("log", lambda _store, text: None)
linker.root().add_func("now", lambda _store: 1)
linker.root().add_func("add", lambda _store, a, b: a + b)
pre = linker.instantiate_pre(Component(engine, SMALL))
rss, maps = status("VmRSS"), len(open("/proc/self/maps").readlines())
live = [pre.instantiate(wasmrt.Store(engine)) for _ in range(10_000)]
used, mapped = status("VmRSS") - rss, len(open("/proc/self/maps").readlines()) - maps
assert live[0].exports.run(1) == 2 and live[-1].exports.run(5) == 6
print(used, mapped, status("VmRSS"))
live.clear()
gc.collect()
assert pre.instantiate(wasmrt.Store(engine)).exports.run(1) == 2
"""


@pytest.mark.skipif(os.environ.get("WASMRT_VARIANT") == "asan", reason="the sanitizer keeps freed memory")
@pytest.mark.parametrize(
    "config",
    [
        "wasmrt.Config()",
        "wasmrt.Config(allocation_strategy=PoolingAllocationConfig(total_component_instances=10_001, total_core_instances=20_002,"
        " total_memories=10_001, total_tables=10_001, max_core_instance_size=1 << 14))",
    ],
)
def test_ten_thousand_live_instances(config: str) -> None:
    """Each in a store of its own, in less than 100 MB, and with mappings to spare (vm.max_map_count is 65,530)."""
    used, mapped, rss = map(int, run(MANY, config=config).split())
    print(f"{used / 10_000:.1f} KiB and {mapped / 10_000:.2f} mappings an instance, {rss / 1024:.0f} MiB in all")
    assert used < 100_000_000 / 1024 and mapped < 50_000


def test_images_are_mapped_from_the_artifacts_file(tmp_path: Path) -> None:
    """A component that was mapped from a file needs no copy of its data: memories start as pages of that file, whose text is elsewhere."""
    engine = wasmrt.Engine()
    passive = '(data $p "passive") (func (export "init") (memory.init $p (i32.const 1) (i32.const 0) (i32.const 7)))'
    more = f'(memory $two (export "n") 3) (data (memory $two) (i32.const 5000) "{FILLED * 64}") {passive}'
    made = wasmrt.Module(engine, module_with_data(more=more + '(data (i32.const 5000) "over")'))
    path = tmp_path / "module.artifact"
    path.write_bytes(made.serialize())
    loaded = wasmrt.Module.deserialize_file(engine, path)
    assert loaded.memory_initialization is MemoryInitialization.STATIC
    with wasmrt.Store(engine) as store:
        exports = wasmrt.Instance(store, loaded, []).exports
        lines = [mapping_of(exports["m"], 0x1000), mapping_of(exports["n"], 5000)]
        assert all(str(path) in line and line.split()[1] == "rw-p" for line in lines), lines
        expected = bytearray(b"\x2a" * DENSE)
        expected[5000 - 0x1000 : 5004 - 0x1000] = b"over"
        assert exports["m"].read(0x1000, 0x1000 + DENSE) == expected
        assert exports["n"].read(4096, 4096 + 5 * 4096) == bytes(904) + b"\x2a" * 16384 + bytes(3192)
        exports["init"]()
        exports["set"](0x1000, 1)
        assert exports["m"].read(1, 8) == b"passive" and exports["get"](0x1000) == 1
        del exports
    assert path.read_bytes() == made.serialize()  # nothing is ever written there
    # the same bytes, copied: from a file in memory, with the same result
    copied = wasmrt.Module.deserialize(engine, path.read_bytes())
    with wasmrt.Store(engine) as store:
        exports = wasmrt.Instance(store, copied, []).exports
        assert is_image(exports["m"], 0x1000) and exports["m"].read(0x1000, 0x1000 + DENSE) == expected
        del exports
    segments = wasmrt.Engine(wasmrt.Config(memory_init_cow=False))
    with wasmrt.Store(segments) as store:
        exports = wasmrt.Instance(store, wasmrt.Module.deserialize_file(segments, path), []).exports
        assert exports["m"].read(0x1000, 0x1000 + DENSE) == expected
        del exports


def test_images_make_artifacts_no_larger_than_their_pages() -> None:
    engine = wasmrt.Engine()
    sizes = [len(wasmrt.Module(engine, module_with_data(size=size)).serialize()) for size in (4096, 64 * 1024)]
    assert sizes[1] - sizes[0] <= 60 * 1024 + 2 * 4096
