"""Artifacts from files and from memory in place: mapped, shared between processes, checked as far as a load reads, refused with a reason."""

from __future__ import annotations

import gc
import io
import mmap
import os
import shutil
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

import wasmrt
from tests.fuzz import checksums
from wasmrt import ArtifactError, ArtifactMemory, Config, Engine, Instance, Module, Store
from wasmrt._native import core, images
from wasmrt.artifact import reader
from wasmrt.component import Component, Linker
from wasmrt.spec._gen import features
from wasmrt.spec._gen.cpu_features import X64_CPU_FEATURE
from wasmrt.spec._gen.sections import SECTION

COMPONENT = """(component
  (core module $m (memory (export "m") 1) (data (i32.const 8) "hello")
    (func $named (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const 40)))
    (func (export "spin") (result i32) (local i32)
      (loop (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br_if 0 (i32.lt_u (local.get 0) (i32.const 4000000000)))) (local.get 0)))
  (core instance $i (instantiate $m))
  (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f")))
  (func (export "spin") (result u32) (canon lift (core func $i "spin"))))"""
MODULE = '(module (func (export "f") (result i32) (i32.const 42)))'


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.fixture
def path(engine: Engine, tmp_path: Path) -> Path:
    path = tmp_path / "c.wasmrt"
    path.write_bytes(engine.precompile_component(COMPONENT))
    return path


def call(component: Component) -> Any:
    return Linker(component.engine).instantiate(Store(component.engine), component).exports.f(2)


def test_a_file_is_mapped(engine: Engine, path: Path) -> None:
    component = Component.deserialize_file(engine, path)
    start, end = component.image_range()
    assert end - start == path.stat().st_size
    rows = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(path))]
    ranges = [(*[int(part, 16) for part in row[0].split("-")], row[1]) for row in rows]
    assert [access for *_, access in ranges] == ["r--p", "r-xp"]
    assert (ranges[0][0], ranges[-1][1]) == (start, end)
    assert call(component) == 42
    assert component.serialize() == path.read_bytes()


def test_modules_too(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "m.wasmrt"
    path.write_bytes(engine.precompile_module(MODULE))
    module = Module.deserialize_file(engine, os.fsencode(path), verify=True)
    store = Store(engine)
    assert Instance(store, module, []).exports.f(store) == 42
    assert Module.deserialize_raw(engine, ArtifactMemory(path.read_bytes())).exports[0].name == "f"
    assert Engine.detect_precompiled_file(path) == "module"
    with pytest.raises(ArtifactError) as caught:
        Component.deserialize_file(engine, path)
    assert (caught.value.found, caught.value.wanted) == ("module", "component")
    assert str(path) in "".join(caught.value.__notes__)


def test_precompiling_makes_nothing_executable(engine: Engine) -> None:
    gc.collect()  # what other tests left would go while we count
    before = Path("/proc/self/maps").read_text().count("r-x")
    blob = engine.precompile_component(COMPONENT)
    assert Path("/proc/self/maps").read_text().count("r-x") == before
    assert blob == Component(engine, COMPONENT).serialize()


def test_what_is_no_artifact(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Component.deserialize_file(engine, tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        Component.deserialize_file(engine, tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file"):
        Component.deserialize_file(engine, pipe)
    with pytest.raises(ValueError, match="null"):
        Component.deserialize_file(engine, "a\0b")
    for content in (b"", b"x", b"\x7fELF", bytes(100_000)):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(ArtifactError):
            Component.deserialize_file(engine, tmp_path / "x")
        assert Engine.detect_precompiled_file(tmp_path / "x") is None


def test_processes_share_pages(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())  # pages that were just written count as dirty
    script = f"""
import sys, wasmrt
from wasmrt.component import Component, Linker
engine = wasmrt.Engine()
component = Component.deserialize_file(engine, {str(path)!r})
Linker(engine).instantiate(wasmrt.Store(engine), component).exports.f(2)
print("ready", flush=True)
sys.stdin.readline()
found, totals = False, {{}}
for line in open("/proc/self/smaps"):
    words = line.split()
    if "-" in words[0] and not words[0].endswith(":"):
        found = {str(path)!r} in line
    elif found and words[0] in ("Rss:", "Pss:", "Shared_Clean:", "Private_Dirty:"):
        totals[words[0]] = totals.get(words[0], 0) + int(words[1])
print(totals["Rss:"], totals["Pss:"], totals["Shared_Clean:"], totals["Private_Dirty:"])
"""
    pipes = subprocess.PIPE
    children = [subprocess.Popen([sys.executable, "-c", script], stdin=pipes, stdout=pipes, text=True) for _ in range(2)]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write("\n")
        child.stdin.flush()
        rss, pss, shared, dirty = map(int, child.stdout.readline().split())
        assert rss > 0 and dirty == 0
        if child is children[0]:  # the other still has it mapped
            assert shared == rss and pss <= rss // 2 + 4
    for child in children:
        child.communicate(timeout=60)


def test_raw_memory(engine: Engine, path: Path) -> None:
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    component = Component.deserialize_raw(engine, mapping)
    with pytest.raises(BufferError):
        mapping.close()
    assert call(component) == 42
    del component
    memory = ArtifactMemory(path.stat().st_size)
    with pytest.raises(BufferError):
        memoryview(memory)
    assert memory.readinto(io.BytesIO(path.read_bytes())) == path.stat().st_size
    with pytest.raises(ValueError, match="do not fit"):
        memory.write(b"x")
    component = Component.deserialize_raw(engine, memory.seal())
    with pytest.raises(ValueError, match="written once"):
        memory.write(b"")
    del memory
    assert call(component) == 42
    start, _ = component.image_range()
    assert start % mmap.PAGESIZE == 0


def test_raw_memory_that_is_refused(engine: Engine, path: Path) -> None:
    blob = path.read_bytes()
    writable = mmap.mmap(-1, len(blob))
    writable[:] = blob
    for memory, words in [
        (writable, "writable"),
        (memoryview(bytearray(blob)).toreadonly(), "writable"),
        (memoryview(ArtifactMemory(blob))[:-1], "whole pages"),
        (memoryview(ArtifactMemory(blob))[16:], "start at a page"),
    ]:
        with pytest.raises(ValueError, match=words):
            Component.deserialize_raw(engine, memory)
    with pytest.raises(TypeError):
        Component.deserialize_raw(engine, 5)
    with pytest.raises(ArtifactError):
        Component.deserialize_raw(engine, ArtifactMemory(bytes(4096)))


def test_two_readers_see_the_same_sections(engine: Engine, path: Path) -> None:
    """The loader computes where sections lie, pyelftools reads it: every section is the same for both."""
    code = Component.deserialize_file(engine, path)._object.code
    elf = ELFFile(io.BytesIO(path.read_bytes()))
    artifact = reader.read(code)
    for number, row in enumerate(SECTION):
        assert elf.get_section_by_name(row.elf_name).data() == code.section(number) == bytes(artifact.section(row.name)), row.name
    assert (artifact.kind, artifact.version) == ("component", wasmrt.__version__)
    named = {function.name: function for function in artifact.functions()}
    assert "named" in named
    symbols = {symbol.name: symbol["st_size"] for symbol in elf.get_section_by_name(".symtab").iter_symbols()}
    assert symbols["named"] == named["named"].size
    frames = elf.get_dwarf_info().EH_CFI_entries()
    text = elf.get_section_by_name(".text")
    covered = [(entry["initial_location"], entry["address_range"]) for entry in frames if hasattr(entry, "cie") and "initial_location" in entry.header]
    for function in artifact.functions():
        assert any(start == text["sh_addr"] + function.offset and size == function.size for start, size in covered)


def test_damage_in_arrays_is_found_by_verifying(engine: Engine, path: Path) -> None:
    blob = bytearray(path.read_bytes())
    artifact = reader.read(bytes(blob))
    for name in ("FUNCS", "ADDRMAP", "NAMES", "UNWIND", "SYMBOLS", "STRINGS", "DATA", "TEXT", "META"):
        section = next(section for section in artifact.sections if section.name == name)
        damaged = bytearray(blob)
        damaged[section.offset + section.size // 2] ^= 4
        path.write_bytes(damaged)
        Component.deserialize_file(engine, path)
        with pytest.raises(ArtifactError):
            Component.deserialize_file(engine, path, verify=True)
        if name == "META":
            with pytest.raises(ArtifactError, match="checksum of module 0"):
                call(Component.deserialize_file(engine, path))


def test_kinds_are_not_swapped(engine: Engine, tmp_path: Path) -> None:
    """A module is no component, neither by its own word nor, with checksums made anew, by somebody else's."""
    images = {"module": engine.precompile_module(MODULE), "component": engine.precompile_component(COMPONENT)}
    for kind, image in images.items():
        other, number = ("component", 2) if kind == "module" else ("module", 1)
        loader: Any = Component if kind == "module" else Module
        first_use: Any = Component.wit if kind == "module" else lambda module: module.exports
        artifact = checksums.read(image)
        relabelled = bytearray(image)
        struct.pack_into("<I", relabelled, artifact.sections[0].offset + 12, number)
        (tmp_path / "x").write_bytes(image)
        (tmp_path / "y").write_bytes(checksums.sign(bytes(relabelled), artifact))
        assert Engine.detect_precompiled_file(tmp_path / "y") == other
        for load in (
            lambda path, loader=loader: loader.deserialize_file(engine, path),
            lambda path, loader=loader: loader.deserialize(engine, path.read_bytes()),
            lambda path, loader=loader: loader.deserialize_raw(engine, ArtifactMemory(path.read_bytes())),
        ):
            with pytest.raises(ArtifactError) as caught:
                load(tmp_path / "x")
            assert (caught.value.found, caught.value.wanted) == (kind, other)
            with pytest.raises(ArtifactError):
                first_use(load(tmp_path / "y"))
        with pytest.raises(ArtifactError):
            loader.deserialize_file(engine, tmp_path / "y", verify=True)


def test_sections_that_overlap_or_lie_outside(engine: Engine, path: Path) -> None:
    """Offsets and sizes in the section table, with checksums made anew: every one is refused, by every load; the second reader never reads outside."""
    image = path.read_bytes()
    artifact = checksums.read(image)
    (table,) = struct.unpack_from("<Q", image, 40)
    for index, section in enumerate(artifact.sections):
        at = table + (index + 1) * 64
        assert struct.unpack_from("<QQ", image, at + 24) == (section.offset, section.size)
        others = {place for other in artifact.sections for place in (other.offset, other.offset + other.size)}
        offsets = others | {0, len(image), 1 << 40, -section.size % (1 << 64), section.offset + 16, section.offset + 4096}
        sizes = {section.size + 16, section.size + 4096, len(image), len(image) + 1, 1 << 40, 1 << 63, (1 << 64) - 1, -section.offset % (1 << 64)}
        later = min((other.offset for other in artifact.sections[index + 1 :]), default=len(image))
        sizes = {size for size in sizes if section.offset + size > later}  # others end in the padding before the next section
        changes = [(24, offset) for offset in offsets - {section.offset}] + [(32, size) for size in sizes]
        for field, value in changes:
            changed = bytearray(image)
            struct.pack_into("<Q", changed, at + field, value)
            changed[:] = checksums.sign(bytes(changed), artifact)
            path.write_bytes(changed)
            with pytest.raises(ArtifactError):
                Component.deserialize_file(engine, path)
            with pytest.raises(ArtifactError):
                Component.deserialize(engine, bytes(changed))
            try:
                reader.verify(bytes(changed))
            except ArtifactError:
                pass


def test_a_portable_artifact_names_the_baseline_alone() -> None:
    baseline = {row.name.lower() for row in X64_CPU_FEATURE if row[-1] == 2}
    blob = Engine(Config(portable=True)).precompile_module(MODULE)
    assert set(reader.read(blob).cpu_features) == baseline


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"consume_fuel": True}, "consume_fuel"),
        ({"signals_based_traps": False}, "guarded_memories"),
        ({"cranelift_nan_canonicalization": True}, "nan_canonicalization"),
        ({"wasm_relaxed_simd_deterministic": True}, "relaxed_simd_deterministic"),
        ({"memory_guard_size": 64 << 20}, "memory_guard_bytes"),
        ({"wasm_simd": False, "wasm_relaxed_simd": False}, "wasm feature"),
    ],
)
def test_other_settings_are_refused_by_name(engine: Engine, path: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        Component.deserialize_file(Engine(Config(**changes)), path)
    assert caught.value.reason.startswith(reason)
    assert caught.value.found is not None and caught.value.wanted is not None and caught.value.found != caught.value.wanted


def test_other_versions_machines_and_formats(engine: Engine, path: Path) -> None:
    """Fields of the header, each changed with its checksum left alone: what tells versions apart is compared before it."""
    blob = path.read_bytes()
    engine_section = next(section for section in reader.read(blob).sections if section.name == "ENGINE")
    for offset, value, reason in [(8, 99, "format version"), (16, 7, "target")]:
        changed = bytearray(blob)
        struct.pack_into("<I", changed, engine_section.offset + offset, value)
        with pytest.raises(ArtifactError) as caught:
            Component.deserialize(engine, bytes(changed))
        assert (caught.value.reason, caught.value.found) == (reason, str(value))
    assert len(features.WASM_FEATURE) > 10


@pytest.mark.parametrize(
    ("found", "running", "fits"),
    [
        ((0, 1), (0, 1), True),
        ((0, 1), (0, 2), False),
        ((0, 2), (0, 1), False),
        ((0, 1), (1, 1), False),
        ((1, 1), (0, 1), False),
        ((1, 0), (1, 7), True),
        ((1, 7), (1, 0), True),
        ((1, 7), (2, 7), False),
        ((2, 0), (1, 9), False),
    ],
)
def test_versions_that_fit(found: tuple[int, int], running: tuple[int, int], fits: bool) -> None:
    """Semantic versions: from 1.0 on the major number decides, before that the minor one too."""
    assert images.version_fits(found, running) is fits


def test_artifacts_of_other_versions(engine: Engine, path: Path) -> None:
    """Versions in a header whose checksum is right: what fits loads, what does not says what was found and what was wanted."""
    blob = path.read_bytes()
    artifact = checksums.read(blob)
    start = artifact.sections[0].offset
    running = tuple(int(part) for part in wasmrt.__version__.split(".")[:2])
    for major, minor, patch in [(0, 1, 0), (0, 1, 99), (0, 2, 0), (0, 3, 0), (1, 0, 0), (1, 7, 3), (2, 0, 0), (*running, 77)]:
        changed = bytearray(blob)
        assert struct.unpack_from("<IHH", changed, start + 24)[:2] == running
        struct.pack_into("<IHH", changed, start + 24, major, minor, patch)
        path.write_bytes(checksums.sign(bytes(changed), artifact))
        if images.version_fits((major, minor), running):
            assert call(Component.deserialize_file(engine, path)) == 42
            continue
        for load in (lambda: Component.deserialize_file(engine, path), lambda: Component.deserialize(engine, path.read_bytes())):
            with pytest.raises(ArtifactError) as caught:
                load()
            wanted = f"{running[0]}.x" if running[0] else f"0.{running[1]}.x"
            assert (caught.value.reason, caught.value.found, caught.value.wanted) == ("version", f"{major}.{minor}.{patch}", wanted)


def test_component_records_are_checked_when_they_are_read(engine: Engine, path: Path) -> None:
    blob = path.read_bytes()
    info = next(section for section in reader.read(blob).sections if section.name == "INFO")
    damaged = bytearray(blob)
    damaged[info.offset + info.size // 2] ^= 1
    path.write_bytes(damaged)
    component = Component.deserialize_file(engine, path)
    for use in (lambda: component.type, component.wit, lambda: call(component), lambda: component.static_modules):
        with pytest.raises(ArtifactError, match="checksum of the records"):
            use()
    with pytest.raises(ArtifactError):
        Component.deserialize(engine, bytes(damaged))


def test_a_component_of_many_modules(engine: Engine, path: Path) -> None:
    """Whose module records are more than what is read of a file at first."""
    modules = "".join(f'(core module $m{i} (func (export "f") (result i32) (i32.const {i}))) (core instance $i{i} (instantiate $m{i}))' for i in range(60))
    path.write_bytes(engine.precompile_component(f'(component {modules} (func (export "f") (result u32) (canon lift (core func $i59 "f"))))'))
    component = Component.deserialize_file(engine, path, verify=True)
    assert Linker(engine).instantiate(Store(engine), component).exports.f() == 59


def test_a_cpu_feature_that_this_machine_lacks(engine: Engine, path: Path) -> None:
    blob = path.read_bytes()
    artifact = checksums.read(blob)
    start = next(section.offset for section in artifact.sections if section.name == "ENGINE")
    at = blob.index(struct.pack("<Q", core.cpu_features()[0]), start)
    later = struct.pack("<Q", core.cpu_features()[0] | 1 << 63)
    with pytest.raises(ArtifactError) as caught:
        Component.deserialize(engine, checksums.sign(blob[:at] + later + blob[at + 8 :], artifact))
    assert (caught.value.reason, caught.value.found) == ("CPU feature of the artifact", "one of a later version")
    assert caught.value.wanted == "one of this machine"


def test_loading_in_threads(engine: Engine, path: Path) -> None:
    failures: list[BaseException] = []

    def work(component: Component) -> None:
        try:
            for _ in range(20):
                assert call(component) == 42
        except BaseException as error:
            failures.append(error)

    for _ in range(5):
        component = Component.deserialize_file(engine, path)
        threads = [threading.Thread(target=work, args=(component,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures


TRUNCATED = """
import os, sys, threading, time, wasmrt
from wasmrt.component import Component, Linker
path, how = sys.argv[1:]
engine = wasmrt.Engine()
component = Component.deserialize_file(engine, path)
instance = Linker(engine).instantiate(wasmrt.Store(engine), component)
assert instance.exports.f(2) == 42
if how == "running":
    threading.Timer(0.3, os.truncate, (path, 0)).start()
    call = lambda: instance.exports.spin()
else:
    os.truncate(path, 0)
    call = lambda: instance.exports.f(2)
try:
    call()
except wasmrt.Trap as trap:
    assert "truncated" in str(trap), trap
    print(trap.trap_code.name)
del instance, component
assert Component(engine, sys.stdin.read()) is not None
"""


@pytest.mark.parametrize("how", ["before", "running"])
def test_a_file_that_is_truncated_while_mapped(path: Path, how: str) -> None:
    done = subprocess.run([sys.executable, "-c", TRUNCATED, path, how], input=COMPONENT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()[:1]) == (0, ["BUS_ERROR"]), (done.returncode, done.stdout, done.stderr)


IMAGED = f"""(component
  (import "host" (func $host (param "s" string)))
  (core module $libc (memory (export "m") 1))
  (core instance $libc (instantiate $libc))
  (core func $host (canon lower (func $host) (memory $libc "m")))
  (core module $m (import "" "host" (func $host (param i32 i32))) (memory (export "m") 4) (data (i32.const 4096) "{"x" * 40000}") (data $late "later")
    (func (export "read") (param i32) (result i32) (i32.load8_u (local.get 0)))
    (func (export "trap") unreachable)
    (func (export "host") (call $host (i32.const 0) (i32.const 100)))
    (func (export "init") (memory.init $late (i32.const 0) (i32.const 0) (i32.const 5))))
  (core instance $i (instantiate $m (with "" (instance (export "host" (func $host))))))
  (func (export "read") (param "x" u32) (result u32) (canon lift (core func $i "read")))
  (func (export "trap") (canon lift (core func $i "trap")))
  (func (export "host") (canon lift (core func $i "host")))
  (func (export "init") (canon lift (core func $i "init"))))"""

TRUNCATED_UNDER_THE_RUNTIME = """
import os, sys, wasmrt
from wasmrt import ArtifactError, Trap
from wasmrt.artifact import reader
from wasmrt.component import Component, Linker
path, what, kept = sys.argv[1:]
engine = wasmrt.Engine()
component = Component.deserialize_file(engine, path)
linker = Linker(engine)
if what == "host":
    linker.root().add_func("host", lambda store, text: os.truncate(path, int(kept)))
else:
    linker.root().add_func("host", lambda store, text: None)
uses = {
    "instantiate": lambda: linker.instantiate(wasmrt.Store(engine), component),
    "type": lambda: component.type,
    "wit": component.wit,
    "serialize": component.serialize,
    "verify": lambda: component._object.code.verify(),
    "reader": lambda: reader.verify(component._object.code),
    "again": lambda: linker.instantiate(wasmrt.Store(engine), component),
    "read": lambda: instance.exports.read(8192),
    "trap": lambda: instance.exports.trap(),
    "init": lambda: instance.exports.init(),
    "host": lambda: instance.exports.host(),
}
if what in ("again", "read", "trap", "init", "host"):
    instance = linker.instantiate(wasmrt.Store(engine), component)
if what != "host":
    os.truncate(path, int(kept))
for _ in range(3):
    try:
        print(type(uses[what]()).__name__)
    except (ArtifactError, Trap) as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize("what", ["instantiate", "type", "wit", "serialize", "verify", "reader", "again", "read", "trap", "init", "host"])
def test_what_the_runtime_reads_of_a_truncated_file(engine: Engine, path: Path, what: str) -> None:
    """Is an ArtifactError or a Trap, wherever the file ends, or what it would have been where nothing is missing: never the end of the process."""
    image = engine.precompile_component(IMAGED)
    sections = {section.name: section for section in reader.read(image).sections}
    assert sections["IMAGES"].size > 0
    seen = set()
    for kept in sorted({0, 4096, sections["META"].offset & -4096, sections["IMAGES"].offset, sections["IMAGES"].offset + 4096, sections["TEXT"].offset}):
        path.unlink()  # not the file that is still mapped
        path.write_bytes(image)
        done = subprocess.run([sys.executable, "-c", TRUNCATED_UNDER_THE_RUNTIME, path, what, str(kept)], capture_output=True, text=True, timeout=60)
        lines = done.stdout.split()
        assert done.returncode == 0 and len(lines) == 3, (kept, done.returncode, done.stdout, done.stderr[-2000:])
        seen |= set(lines)
    assert what == "again" or seen & {"ArtifactError", "Trap"}, seen  # its second instance has read what there is to read


MEMORY_MODULE = f"""(module (memory (export "m") 4) (data (i32.const 4096) "{"x" * 40000}") (table (export "t") 4 funcref) (elem (i32.const 0) $f $f)
  (func $f (export "f") (result i32) (i32.const 1))
  (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))"""

TRUNCATED_MEMORY = """
import os, sys, wasmrt
from wasmrt import ArtifactError, Instance, Module, Store
path, what, kept = sys.argv[1], sys.argv[2], int(sys.argv[3])
config = wasmrt.Config()
if what.startswith("pool"):
    config.allocation_strategy = wasmrt.PoolingAllocationConfig(total_memories=4, total_tables=4, total_core_instances=4)
engine = wasmrt.Engine(config)
module = Module.deserialize_file(engine, path)
store = Store(engine)
exports = Instance(store, module, []).exports
memory, table = exports.m, exports.t
assert what != "parent" or exports.call(store, 0) == 1
if what == "fork" and (child := os.fork()):
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os.truncate(path, kept)
view = memoryview(memory)
def uses():
    yield lambda: memory.read(store, 8192, 8200)
    yield lambda: memory.write(store, b"abc", 12288)
    yield lambda: exports.f(store)
    yield lambda: exports.call(store, 1)
    yield lambda: table.get(store, 1)
    yield lambda: Instance(Store(engine), module, [])
    yield lambda: module.serialize()
for use in uses():
    try:
        print("value", use())
    except (ArtifactError, wasmrt.Trap) as error:
        print(type(error).__name__, "truncated" in str(error))
print("view", bytes(view[20000:20004]))
"""


@pytest.mark.parametrize("what", ["plain", "pool", "fork", "parent"])
def test_a_memory_of_a_truncated_file(engine: Engine, tmp_path: Path, what: str) -> None:
    """Read by Python while no guest runs: an ArtifactError that says so, zeros through a buffer that was there before, and the process goes on. Functions that
    a table has not looked up yet are lost, not null."""
    path = tmp_path / "m.wasmrt"
    image = engine.precompile_module(MEMORY_MODULE)
    sections = {section.name: section for section in reader.read(image).sections}
    for kept in (0, sections["IMAGES"].offset):
        path.write_bytes(image)
        done = subprocess.run([sys.executable, "-c", TRUNCATED_MEMORY, path, what, str(kept)], capture_output=True, text=True, timeout=60)
        lines = done.stdout.splitlines()
        assert done.returncode == 0, (kept, done.returncode, done.stdout, done.stderr[-2000:])
        assert lines[:2] == ["ArtifactError True"] * 2, lines
        assert all(line in ("ArtifactError True", "Trap True") for line in lines[2:7]) or what == "parent", lines
        assert lines[7] == "view " + repr(bytes(4)), lines
        path.unlink()


LAZY_MODULE = f"""(module (import "host" "cut" (func $cut)) (table (export "t") 4 funcref) (elem (i32.const 0) $f $g)
  (func $f (result i32) (i32.const 1)) (func $g (result i32) (i32.const 1))
  (func (export "call") (result i32) (call $cut) (call_indirect (result i32) (i32.const 1)))
  (func (export "look") (result i32) (call $cut) (loop $again (br_if $again (ref.is_null (table.get (i32.const 1))))) (i32.const 7))
  {"(func (result i32) (i32.const 2) (i32.const 3) i32.add)" * 500}
  (func (export "far") (result i32) (i32.const 3)))"""

LAZY_TRUNCATED = """
import os, sys, wasmrt
from wasmrt import Func, FuncType, Instance, Module, Store
engine = wasmrt.Engine()
module = Module.deserialize_file(engine, sys.argv[1])
def instance(cut):
    store = Store(engine)
    return store, Instance(store, module, [Func(store, FuncType([], []), cut)]).exports
store, exports = instance(lambda: None)
other, others = instance(lambda: None)
def cut():
    os.truncate(sys.argv[1], os.path.getsize(sys.argv[1]) - 8192)
    try:
        far(other)
    except wasmrt.Trap as trap:
        print(trap.trap_code.name)
    if sys.argv[2] == "raise":
        raise KeyError("mine")
far = others.far
store, exports = instance(cut)
try:
    print(exports["call" if sys.argv[2] == "raise" else sys.argv[2]](store))
except wasmrt.Trap as trap:
    print(trap.trap_code.name)
except KeyError as error:
    print(error)
try:
    print(exports.t.get(store, 0))
except wasmrt.ArtifactError as error:
    print(error)
"""


@pytest.mark.parametrize("how", ["call", "look", "raise"])
def test_functions_that_were_not_looked_up_before_the_truncation(engine: Engine, tmp_path: Path, how: str) -> None:
    """Code that asks for them and is still there does not take them for null. What a host function raises comes out, though the way there is gone."""
    path = tmp_path / "m.wasmrt"
    path.write_bytes(engine.precompile_module(LAZY_MODULE))
    done = subprocess.run([sys.executable, "-c", LAZY_TRUNCATED, path, how], capture_output=True, text=True, timeout=60)
    lines = ["BUS_ERROR", "'mine'" if how == "raise" else "BUS_ERROR", "mapped artifact or memory was truncated"]
    assert (done.returncode, done.stdout.splitlines()) == (0, lines), (done.returncode, done.stdout, done.stderr[-2000:])


NOEXEC = """
import mmap, os, sys, wasmrt
from wasmrt.component import Component, Linker
path = sys.argv[1]
with open(path, "rb") as file:
    try:
        mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC)
        sys.exit("the mount is not noexec")
    except PermissionError:
        pass
engine = wasmrt.Engine()
component = Component.deserialize_file(engine, path, verify=True)
instance = Linker(engine).instantiate(wasmrt.Store(engine), component)
assert instance.exports.f(2) == 42
start, end = component.image_range()
mapped = [line.split() for line in open("/proc/self/maps") if int(line.split("-")[0], 16) < end and int(line.split("-")[1].split()[0], 16) > start]
assert mapped and all(len(row) < 6 or row[5] != path for row in mapped), mapped
assert not any("w" in row[1] for row in mapped) and any("x" in row[1] for row in mapped), mapped
os.truncate(path, 0)
assert instance.exports.f(2) == 42  # a copy does not mind
print("copied")
"""


def test_a_mount_without_execution(path: Path, tmp_path: Path) -> None:
    """Text that may not be executed where it lies is executed from a copy."""
    unshare, folder = shutil.which("unshare"), tmp_path / "mount"
    folder.mkdir()
    mount = f'mount -t tmpfs -o noexec,size=4m tmpfs "{folder}"'
    if unshare is None or subprocess.run([unshare, "-Urm", "sh", "-c", mount], capture_output=True, timeout=60).returncode != 0:
        pytest.skip("needs a mount namespace of its own, which unshare cannot make here")
    script = f'{mount} && cp "{path}" "{folder}/c" && exec "$0" -c "$1" "{folder}/c"'
    done = subprocess.run([unshare, "-Urm", "sh", "-c", script, sys.executable, NOEXEC], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "copied\n"), done.stderr
