"""The compilation cache: hits, what an entry's name depends on, bounds, damage, owners, and many processes at once."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import wasmrt
from tests.fuzz import checksums
from wasmrt import CacheConfig, Config, Engine, Instance, Module, Store, wat2wasm
from wasmrt.component import Component, Linker

MODULE = '(module (func (export "f") (result i32) (i32.const 42)))'
COMPONENT = """(component
  (core module $m (func (export "f") (result i32) (i32.const 42)))
  (core instance $i (instantiate $m))
  (func (export "f") (result s32) (canon lift (core func $i "f"))))"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.wasmrt"))


def answer(module: Module) -> Any:
    return Instance(Store(module.engine), module, []).exports.f()


def component_answer(component: Component) -> Any:
    return Linker(component.engine).instantiate(Store(component.engine), component).get_func("f")()


def numbered(number: int) -> bytes:
    return bytes(wat2wasm(MODULE.replace("42", str(number))))


def test_the_second_one_is_loaded(folder: Path) -> None:
    engine = Engine(Config(cache=folder))
    assert engine.cache is not None
    wasm = bytes(wat2wasm(MODULE))
    assert not engine.cache.contains(wasm)
    first = Module(engine, wasm)
    assert engine.cache.contains(wasm)
    assert (engine.cache.hits, engine.cache.misses) == (0, 1)
    second = Module(engine, wasm)
    assert (engine.cache.hits, engine.cache.misses) == (1, 1)
    assert second.serialize() == first.serialize()
    assert answer(first) == answer(second) == 42


def test_a_hit_is_mapped_from_the_entry(folder: Path) -> None:
    engine = Engine(Config(cache=folder))
    Component(engine, COMPONENT)
    warm = Component(engine, COMPONENT)
    start, _ = warm.image_range()
    line = next(line for line in Path("/proc/self/maps").read_text().splitlines() if line.startswith(f"{start:x}-"))
    assert line.endswith(str(entries(folder)[0]))
    assert component_answer(warm) == 42


@pytest.mark.parametrize("source", [COMPONENT, COMPONENT.encode(), bytes(wat2wasm(COMPONENT))])
def test_components_from_all_sources(folder: Path, tmp_path: Path, source: str | bytes) -> None:
    engine = Engine(Config(cache=str(folder)))
    assert engine.cache is not None
    assert component_answer(Component(engine, source)) == 42
    assert engine.cache.contains(source) and engine.cache.contains(source, "component")
    assert not engine.cache.contains(source, "module")
    path = tmp_path / "component"
    path.write_bytes(source.encode() if isinstance(source, str) else source)
    assert component_answer(Component.from_file(engine, path)) == 42
    assert engine.cache.hits == 1
    loaded = wasmrt.load(path, engine=engine)
    assert loaded.f() == 42
    assert engine.cache.hits == 2


def test_modules_from_files_and_text(folder: Path, tmp_path: Path) -> None:
    engine = Engine(Config(cache=folder))
    path = tmp_path / "m.wat"
    path.write_text(MODULE)
    assert engine.cache is not None
    assert answer(Module(engine, MODULE)) == answer(Module.from_file(engine, path)) == 42
    assert engine.cache.hits == 1
    assert Module.deserialize(engine, engine.precompile_module(MODULE)).exports
    assert engine.cache.hits == 2


def test_a_warm_start_does_not_compile(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(Config(cache=folder))
    path = tmp_path / "c.wasm"
    path.write_bytes(wat2wasm(COMPONENT))
    Component.from_file(engine, path)

    def no(*args: Any) -> Any:
        raise AssertionError("compiled")

    monkeypatch.setattr("wasmrt.runtime.component.compile_component", no)
    assert component_answer(Component.from_file(engine, path)) == 42


@pytest.mark.parametrize(
    "changes",
    [
        {"consume_fuel": True},
        {"wasm_simd": False},
        {"portable": True},
        {"signals_based_traps": False},
        {"cranelift_nan_canonicalization": True},
        {"careful_functions": (0, 1)},
        {"wasm_component_model_map": True},
    ],
)
def test_the_config_is_in_the_name(folder: Path, changes: dict[str, Any]) -> None:
    Module(Engine(Config(cache=folder)), MODULE)
    other = Engine(Config(cache=folder, **changes))
    assert other.cache is not None and not other.cache.contains(MODULE)
    assert answer(Module(Engine(Config(cache=folder)), MODULE)) == 42


@pytest.mark.parametrize("changes", [{"max_wasm_stack": 1 << 20}, {"parallel_compilation": False}, {"epoch_interruption": True}])
def test_what_compiling_does_not_depend_on_is_not(folder: Path, changes: dict[str, Any]) -> None:
    Module(Engine(Config(cache=folder)), MODULE)
    other = Engine(Config(cache=folder, **changes))
    assert other.cache is not None and other.cache.contains(MODULE)


def test_version_and_build_are_in_the_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Module(Engine(Config(cache=folder)), MODULE)
    monkeypatch.setattr("wasmrt.runtime.cache.build_stamp", lambda: "another version")
    other = Engine(Config(cache=folder))
    assert other.cache is not None and not other.cache.contains(MODULE)


def test_an_error_is_not_kept(folder: Path) -> None:
    engine = Engine(Config(cache=folder))
    wrong = "(module (func (result i32)))"
    for _ in range(2):
        with pytest.raises(wasmrt.ValidationError):
            Module(engine, wrong)
    assert not entries(folder)
    with pytest.raises(wasmrt.DecodeError, match="not a module"):
        Module(engine, bytes(wat2wasm(COMPONENT)))
    Component(engine, bytes(wat2wasm(COMPONENT)))
    with pytest.raises(wasmrt.DecodeError, match="not a module"):
        Module(engine, bytes(wat2wasm(COMPONENT)))


def damage(data: bytes) -> dict[str, bytes]:
    middle = bytearray(data)
    middle[0x400] ^= 0xFF
    return {
        "empty": b"",
        "cut": data[: len(data) // 2],
        "longer": data + b"\0",
        "flipped": bytes(middle),
        "no artifact": b"x" * len(data),
        "zeros": bytes(len(data)),
    }


@pytest.mark.parametrize("kind", list(damage(bytes(2000))))
def test_a_broken_entry_is_replaced(folder: Path, kind: str) -> None:
    engine = Engine(Config(cache=folder))
    good = Component(engine, COMPONENT).serialize()
    (path,) = entries(folder)
    path.write_bytes(damage(good)[kind])
    assert component_answer(Component(engine, COMPONENT)) == 42
    assert path.read_bytes() == good


@pytest.mark.parametrize("signed", [False, True], ids=["damaged", "forged"])
@pytest.mark.parametrize("section", ["INFO", "META", "MODULES", "ENGINE"])
def test_an_entry_with_other_records_is_replaced(folder: Path, section: str, signed: bool) -> None:
    """Whatever its first use would refuse, right checksums or not, is found out while there is still time to compile."""
    engine = Engine(Config(cache=folder))
    good = Component(engine, COMPONENT).serialize()
    (path,) = entries(folder)
    artifact = checksums.read(good)
    place = next(row for row in artifact.sections if row.name == section)
    for at in range(place.offset, place.offset + place.size, max(8, place.size // 8)):
        other = bytearray(good)
        other[at] ^= 1
        path.write_bytes(checksums.sign(bytes(other), artifact) if signed else bytes(other))
        assert component_answer(Component(engine, COMPONENT)) == 42
        # the header has a field that is for people (version_patch)
        assert path.read_bytes() == good or (signed and section == "ENGINE"), at


def test_a_stale_entry_is_replaced(folder: Path) -> None:
    """One of another kind, or with records of another version, where only a bug or a person could have put it."""
    engine = Engine(Config(cache=folder))
    Module(engine, MODULE)
    (module,) = entries(folder)
    good = Component(engine, COMPONENT).serialize()
    (component,) = (path for path in entries(folder) if path != module)
    shutil.copy(module, component)
    assert component_answer(Component(engine, COMPONENT)) == 42
    assert component.read_bytes() == good


def test_verify_finds_damage_in_the_text(folder: Path) -> None:
    engine = Engine(Config(cache=CacheConfig(folder, verify=True)))
    good = Component(engine, COMPONENT).serialize()
    (path,) = entries(folder)
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert component_answer(Component(engine, COMPONENT)) == 42
    assert path.read_bytes() == good


def test_the_least_recently_used_goes_first(folder: Path) -> None:
    probe = Engine(Config(cache=folder))
    Module(probe, numbered(0))
    assert probe.cache is not None
    one = probe.cache.size_bytes()
    probe.cache.clear()
    assert not entries(folder)
    engine = Engine(Config(cache=CacheConfig(folder, max_bytes=3 * one)))
    assert engine.cache is not None
    for number in (1, 2, 3):
        Module(engine, numbered(number))
        time.sleep(0.02)
    Module(engine, numbered(1))  # a hit: now 2 is the oldest
    time.sleep(0.02)
    Module(engine, numbered(4))
    assert [engine.cache.contains(numbered(number)) for number in (1, 2, 3, 4)] == [True, False, True, True]
    assert engine.cache.size_bytes() <= 3 * one


def test_what_is_larger_than_the_bound_is_not_kept(folder: Path) -> None:
    engine = Engine(Config(cache=CacheConfig(folder, max_bytes=100)))
    assert answer(Module(engine, MODULE)) == 42
    assert not entries(folder)


def test_an_evicted_entry_goes_on_while_it_is_mapped(folder: Path) -> None:
    engine = Engine(Config(cache=folder))
    Module(engine, MODULE)
    warm = Module(engine, MODULE)
    assert engine.cache is not None
    engine.cache.clear()
    assert answer(warm) == 42


def test_left_over_temporary_files_go(folder: Path) -> None:
    engine = Engine(Config(cache=folder))
    left, fresh = folder / "a.wasmrt.tmp", folder / "b.wasmrt.tmp"
    for path in (left, fresh):
        path.write_bytes(b"half of it")
    os.utime(left, (1, 1))
    Module(engine, MODULE)
    assert not left.exists() and fresh.exists()


def test_a_folder_that_others_can_write_is_refused(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(wasmrt.WasmError, match="writable by others"):
        Engine(Config(cache=folder))
    folder.chmod(0o770)
    with pytest.raises(wasmrt.WasmError, match="writable by others"):
        Engine(Config(cache=folder))


def test_a_folder_that_is_replaced_or_deleted(folder: Path, tmp_path: Path) -> None:
    """Is looked at again by each use: not used while others can write it, made anew when it is gone."""
    engine = Engine(Config(cache=folder))
    Module(engine, MODULE)
    assert engine.cache is not None and engine.cache.contains(MODULE)
    folder.chmod(0o777)
    assert not engine.cache.contains(MODULE)
    assert answer(Module(engine, MODULE)) == 42 and engine.cache.hits == 0
    folder.chmod(0o700)
    shutil.rmtree(folder)
    assert not engine.cache.contains(MODULE)
    assert answer(Module(engine, MODULE)) == 42
    assert engine.cache.contains(MODULE) and folder.stat().st_mode & 0o777 == 0o700
    folder.rename(tmp_path / "away")
    folder.symlink_to(tmp_path / "away")  # the user's own may be a link
    assert answer(Module(engine, MODULE)) == 42 and engine.cache.hits == 1


def test_folders_above_it_are_the_users_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Engine(Config(cache=tmp_path / "a" / "b" / "c"))
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c")} == {0o700}


FULL = """
import resource, signal, sys, wasmrt
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
engine = wasmrt.Engine(wasmrt.Config(cache=sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
module = wasmrt.Module(engine, sys.argv[2])
print(wasmrt.Instance(wasmrt.Store(engine), module, []).exports.f())
"""


def test_a_file_that_cannot_be_written_whole(folder: Path) -> None:
    """As on a full disk: nothing is left, and the program goes on."""
    done = subprocess.run([sys.executable, "-c", FULL, folder, MODULE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    assert not list(folder.iterdir())


def test_an_interrupt_while_it_writes_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(Config(cache=folder))

    def interrupted(*args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Module(engine, MODULE)
    assert not list(folder.iterdir())


def test_a_folder_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o700)
    uid = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    with pytest.raises(wasmrt.WasmError, match="belongs to user"):
        Engine(Config(cache=folder))


def test_an_entry_that_others_could_write_is_not_used(folder: Path) -> None:
    engine = Engine(Config(cache=folder))
    Module(engine, MODULE)
    (path,) = entries(folder)
    path.chmod(0o666)
    assert engine.cache is not None and not engine.cache.contains(MODULE)
    assert answer(Module(engine, MODULE)) == 42
    assert engine.cache.hits == 0
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_entry_that_is_a_link_or_a_pipe_is_not_used(folder: Path, tmp_path: Path) -> None:
    engine = Engine(Config(cache=folder))
    Module(engine, MODULE)
    (path,) = entries(folder)
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert answer(Module(engine, MODULE)) == 42 and not path.is_symlink()
    path.unlink()
    os.mkfifo(path, 0o600)
    assert answer(Module(engine, MODULE)) == 42 and path.is_file()


def test_a_folder_that_cannot_be_written_costs_only_the_compilation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(Config(cache=folder))
    full = OSError(28, "No space left on device")

    def fails(*args: Any) -> Any:
        raise full

    monkeypatch.setattr(os, "fsync", fails)
    assert answer(Module(engine, MODULE)) == 42
    assert not list(folder.iterdir())
    monkeypatch.undo()
    shutil.rmtree(folder)
    assert answer(Module(engine, MODULE)) == 42


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(wasmrt.WasmError, match="is a file"):
        Config(cache=tmp_path / "file")
    with pytest.raises(wasmrt.WasmError, match="cannot be used"):
        Engine(Config(cache=tmp_path / "file" / "below"))


def test_the_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    config = Config()
    config.cache = True
    engine = Engine(config)
    assert engine.cache is not None and engine.cache.directory == tmp_path / "xdg" / "wasmrt"
    assert (tmp_path / "xdg" / "wasmrt").stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    engine = Engine(config)
    assert engine.cache is not None and engine.cache.directory == tmp_path / "home" / ".cache" / "wasmrt"
    # a machine whose default folder cannot be used only goes without
    (tmp_path / "home2").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "home2"))
    assert Engine(config).cache is None


def test_what_the_option_takes(folder: Path) -> None:
    assert Config().cache is None and Engine().cache is None
    assert Config(cache=False).cache is None and Config(cache=None).cache is None
    assert Config(cache=True).cache == CacheConfig()
    assert Config(cache=folder).cache == CacheConfig(folder)
    config = Config(cache=CacheConfig(folder, max_bytes=5))
    assert config.copy().cache == config.cache
    for wrong in (1, b"path", 0.5, []):
        with pytest.raises(TypeError):
            Config(cache=wrong)
    with pytest.raises(ValueError):
        CacheConfig(folder, max_bytes=0)
    with pytest.raises(TypeError):
        CacheConfig(folder, max_bytes="1 GB")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        CacheConfig(5)  # type: ignore[arg-type]
    engine = Engine(Config(cache=folder))
    assert engine.cache is not None
    with pytest.raises(ValueError):
        engine.cache.contains(MODULE, "instance")
    with pytest.raises(TypeError):
        engine.cache.contains(folder)


def test_it_logs(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine(Config(cache=folder))
    with caplog.at_level(logging.DEBUG, "wasmrt"):
        Module(engine, MODULE)
        Module(engine, MODULE)
    text = [record.getMessage() for record in caplog.records]
    assert "is not there" in text[0] and text[1].startswith("compiled a module in") and "is there" in text[2]


MANY = """
import os, random, sys
from wasmrt import CacheConfig, Config, Engine, Instance, Module, Store, wat2wasm
folder, bound, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
engine = Engine(Config(cache=CacheConfig(folder, max_bytes=bound, verify=True)))
text = '(module (func (export "f") (result i32) (i32.const {})))'
sources = [bytes(wat2wasm(text.format(number))) for number in range(12)]
pick = random.Random(seed)
sys.stdin.readline()
for _ in range(60):
    number = pick.randrange(12)
    assert Instance(Store(engine), Module(engine, sources[number]), []).exports.f() == number
print(engine.cache.hits, engine.cache.misses)
"""


def test_sixteen_processes_at_once(folder: Path, repository: Path) -> None:
    """With room for half of what they use, so that all write, hit and evict all the time; one of them breaks entries."""
    engine = Engine(Config(cache=folder))
    Module(engine, numbered(0))
    assert engine.cache is not None
    bound = 6 * engine.cache.size_bytes()
    environment = dict(os.environ, PYTHONPATH=str(repository))
    children = [
        subprocess.Popen(
            [sys.executable, "-c", MANY, str(folder), str(bound), str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for seed in range(16)
    ]
    try:
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        for number in range(40):
            for path in entries(folder)[:1]:
                broken = folder / "broken"
                broken.write_bytes(b"\x7fELF" + bytes(number))
                broken.rename(path)
            time.sleep(0.01)
        results = [child.communicate(timeout=120) for child in children]
    finally:
        for child in children:
            child.kill()
    assert all(child.returncode == 0 for child in children), [error for _, error in results if error][:1]
    hits, misses = (sum(int(out.split()[index]) for out, _ in results) for index in (0, 1))
    assert hits + misses == 16 * 60 and hits > 100
    assert engine.cache.size_bytes() <= bound
    assert not list(folder.glob("*.tmp"))
