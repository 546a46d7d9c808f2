"""Pickle, fork and multiprocessing. What a process does is shown in child processes, with timeouts: a lock that a fork left taken would hang."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import wasmrt
from wasmrt import ArtifactError, CacheConfig, Config, Engine, Instance, Module, Store, wat2wasm
from wasmrt.component import Component, Linker

MODULE = """(module (memory (export "m") 1)
  (func (export "f") (result i32) (i32.const 42))
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "spin") (loop (br 0)))
  (func $deep (export "deep") (call $deep)))"""
COMPONENT = """(component
  (core module $m (func (export "f") (result i32) (i32.const 42)))
  (core instance $i (instantiate $m))
  (func (export "f") (result s32) (canon lift (core func $i "f"))))"""


def answer(made: Any) -> Any:
    store = Store(made.engine)
    if isinstance(made, Module):
        return Instance(store, made, []).exports.f()
    return Linker(made.engine).instantiate(store, made).get_func("f")()


def child(program: str, *, stdin: bytes = b"", timeout: float = 180) -> str:
    """What a program prints in a new interpreter."""
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]))
    done = subprocess.run([sys.executable, "-c", program], input=stdin, capture_output=True, timeout=timeout, env=environment)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout.decode()


UNPICKLE = """
import pickle, sys
from wasmrt import Instance, Module, Store
from wasmrt.component import Linker
made = pickle.load(sys.stdin.buffer)
store = Store(made.engine)
print(Instance(store, made, []).exports.f() if isinstance(made, Module) else Linker(made.engine).instantiate(store, made).get_func("f")())
"""


# ---- pickle ---------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[Module, Component])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def source_of(kind: Any) -> str:
    return MODULE if kind is Module else COMPONENT


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_by_artifact(kind: Any, protocol: int) -> None:
    made = kind(Engine(), source_of(kind))
    data = pickle.dumps(made, protocol)
    assert b"\x7fELF" in data or protocol == 0
    assert child(UNPICKLE, stdin=data) == "42\n"


def test_by_the_path_of_a_source(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.wasm"
    path.write_bytes(wat2wasm(source_of(kind)))
    data = pickle.dumps(kind.from_file(Engine(), path))
    assert len(data) < 1000 and str(path).encode() in data
    assert child(UNPICKLE, stdin=data) == "42\n"


def test_by_the_path_of_an_artifact(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.artifact"
    path.write_bytes(kind(Engine(), source_of(kind)).serialize())
    data = pickle.dumps(kind.deserialize_file(Engine(), path))
    assert len(data) < 1000 and str(path).encode() in data
    assert child(UNPICKLE, stdin=data) == "42\n"


def restored_elsewhere(data: bytes) -> str:
    """The error of unpickling in another process."""
    program = "import pickle, sys\ntry: pickle.load(sys.stdin.buffer)\nexcept Exception as error: print(type(error).__name__, error)"
    return child(program, stdin=data)


@pytest.mark.parametrize("form", ["source", "artifact"])
def test_unpickling_checks_the_file(kind: Any, form: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    engine = Engine()
    other = source_of(kind).replace("42", "43")
    if form == "source":
        path.write_text(source_of(kind))
        made = kind.from_file(engine, path)
    else:
        path.write_bytes(kind(engine, source_of(kind)).serialize())
        made = kind.deserialize_file(engine, path)
    data = pickle.dumps(made)
    replacement = tmp_path / "y"
    replacement.write_bytes(other.encode() if form == "source" else kind(engine, other).serialize())
    replacement.rename(path)
    assert restored_elsewhere(data).startswith("ArtifactError " + str(path) + " has changed since it was pickled")
    with pytest.raises(ArtifactError, match="has changed"):
        pickle.loads(data)
    # what is pickled from now on does not lean on the file
    assert child(UNPICKLE, stdin=pickle.dumps(made)) == "42\n"
    path.unlink()
    assert restored_elsewhere(data).startswith("FileNotFoundError")
    assert child(UNPICKLE, stdin=pickle.dumps(made)) == "42\n"


def test_one_content_is_one_object(kind: Any, tmp_path: Path) -> None:
    engine = Engine()
    path = tmp_path / "x"
    path.write_text(source_of(kind))
    for made in (kind(engine, source_of(kind)), kind.from_file(engine, path)):
        data = pickle.dumps(made)
        assert pickle.loads(data) is made and pickle.loads(data) is made
        assert pickle.loads(pickle.dumps([made, made]))[1] is made
        # another engine, another object
        other = kind(Engine(), source_of(kind))
        assert pickle.loads(pickle.dumps(other)) is not made


def test_a_child_loads_once() -> None:
    """The tasks of a pool bring the same component again and again, each in a pickle of its own."""
    engine = Engine()
    component = Component(engine, COMPONENT)
    data = pickle.dumps([pickle.dumps(engine), pickle.dumps(component), pickle.dumps(component)])
    program = """
import gc, pickle, sys
engine, first, second = pickle.load(sys.stdin.buffer)
made = id(pickle.loads(first))
gc.collect()
again = pickle.loads(second)
print(id(again) == made, again.engine is pickle.loads(engine))
"""
    assert child(program, stdin=data) == "True True\n"


def test_engines_and_configs() -> None:
    config = Config(consume_fuel=True, wasm_simd=False, max_wasm_stack=1 << 20, careful_functions=(1, 2), cache=CacheConfig("/x", 5))
    again = pickle.loads(pickle.dumps(config))
    assert [getattr(again, name) for name in dir(config) if hasattr(config, name)] == [
        getattr(config, name) for name in dir(config) if hasattr(config, name)
    ]
    assert again.wasm_features == config.wasm_features
    engine = Engine(Config(consume_fuel=True))
    assert pickle.loads(pickle.dumps(engine)) is engine
    assert copy.copy(engine) is engine and copy.deepcopy(engine) is engine
    program = "import pickle, sys\ne = pickle.load(sys.stdin.buffer)\nprint(e.config.consume_fuel, pickle.loads(pickle.dumps(e)) is e)"
    assert child(program, stdin=pickle.dumps(engine)) == "True True\n"


def test_an_engine_that_is_gone_is_made_again() -> None:
    data = pickle.dumps(Engine(Config(consume_fuel=True)))
    first = pickle.loads(data)
    assert first.config.consume_fuel and pickle.loads(data) is first


def test_copies_are_handles(kind: Any) -> None:
    made = kind(Engine(), source_of(kind))
    for other in (copy.copy(made), copy.deepcopy(made)):
        assert other is not made and other.image_range() == made.image_range()
        assert answer(other) == 42
    if kind is Component:
        assert copy.copy(made).id == made.id


def test_what_runs_is_not_pickled() -> None:
    engine = Engine()
    with pytest.raises(pickle.PicklingError, match="a Store cannot be pickled"):
        pickle.dumps(Store(engine))
    text = '(component (core module (export "m") (func (export "f") (result i32) (i32.const 42))))'
    instance = Linker(engine).instantiate(Store(engine), Component(engine, text))
    module = instance.get_module("m")
    assert module is not None
    with pytest.raises(wasmrt.WasmError, match="take the component"):
        pickle.dumps(module)


# ---- multiprocessing ------------------------------------------------------------------------------------------------------------------------

POOL = """
import multiprocessing, sys
from wasmrt import Engine, Store
from wasmrt.component import Component, Linker

def work(task):
    component, number = task
    instance = Linker(component.engine).instantiate(Store(component.engine), component)
    return instance.get_func("f")() + number

if __name__ == "__main__":
    method, path, form = sys.argv[1:]
    engine = Engine()
    component = Component.from_file(engine, path) if form == "source" else Component.deserialize_file(engine, path)
    work((component, 0))
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.map_async(work, [(component, number) for number in range(20)]).get(60)
    assert results == [42 + number for number in range(20)], results
    print("done")
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("form", ["source", "artifact"])
def test_pools(method: str, form: str, tmp_path: Path) -> None:
    path, program = tmp_path / "c", tmp_path / "pool.py"
    path.write_bytes(wat2wasm(COMPONENT) if form == "source" else Engine().precompile_component(COMPONENT))
    program.write_text(POOL)
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]))
    done = subprocess.run(
        [sys.executable, str(program), method, str(path), form], capture_output=True, text=True, timeout=120, env=environment
    )
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stdout + done.stderr


# ---- fork -----------------------------------------------------------------------------------------------------------------------------------

FORKING = f"""
import os, signal, socket, sys, threading, time
import wasmrt
from wasmrt import Engine, Instance, Module, Store, Trap, WasmError
from wasmrt.component import Component, Linker

MODULE = '''{MODULE}'''
COMPONENT = '''{COMPONENT}'''
engine = Engine()
module = Module(engine, MODULE)

def guest(made=module):
    store = Store(made.engine)
    return store, Instance(store, made, []).exports

def checks():
    "Compiling, running, trapping and being interrupted all work here."
    store, exports = guest(Module(engine, MODULE.replace("42", str(os.getpid() % 1000))))
    assert exports.f() == os.getpid() % 1000
    for name, args in (("load", (-1,)), ("deep", ())):
        try:
            exports[name](*args)
        except Trap:
            pass
        else:
            raise AssertionError(name)
    store.set_timeout(0.02)
    try:
        exports.spin()
    except Trap as trap:
        assert "interrupt" in str(trap), trap
    component = Component(engine, COMPONENT)
    assert Linker(engine).instantiate(Store(engine), component).get_func("f")() == 42

def fork(work):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.alarm(30)  # what hangs is killed by it
        work()
        code = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)

def wait(pid):
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 0, f"child ended with {{code}}"
"""


def forking(body: str) -> str:
    return child(FORKING + textwrap.dedent(body))


def test_what_the_parent_compiled_serves_in_children() -> None:
    """A server that forks its workers: code, an instance made before, and one store for each request."""
    out = forking(
        """
        store, exports = guest()
        exports.m.write(store, b"parent", 0)
        import tempfile
        with tempfile.NamedTemporaryFile() as file:
            file.write(engine.precompile_component(COMPONENT))
            file.flush()
            component = Component.deserialize_file(engine, file.name)
        server = socket.create_server(("127.0.0.1", 0))
        def worker():
            exports.m.write(store, b"mine  ", 0)
            while True:
                connection, _ = server.accept()
                with connection:
                    request = connection.recv(100)
                    if request == b"end":
                        return
                    result = Linker(engine).instantiate(Store(engine), component).get_func("f")()
                    assert exports.f() == result
                    connection.sendall(b"%d" % result)
        workers = [fork(worker) for _ in range(4)]
        for _ in range(40):
            with socket.create_connection(server.getsockname(), timeout=20) as client:
                client.sendall(b"ask")
                assert client.recv(100) == b"42"
        for _ in workers:
            with socket.create_connection(server.getsockname(), timeout=20) as client:
                client.sendall(b"end")
                client.recv(1)
        for pid in workers:
            wait(pid)
        assert exports.m.read(store, 0, 6) == b"parent"  # a guest's memory is the process's own
        checks()
        print("done")
        """
    )
    assert out == "done\n"


def test_pooled_memories_are_each_process_s_own() -> None:
    out = forking(
        """
        pooling = Engine(wasmrt.Config(allocation_strategy="pooling"))
        text = '(module (memory (export "m") 1) (data (i32.const 100) "image"))'
        made = Module(pooling, text)
        store = Store(pooling)
        memory = Instance(store, made, []).exports.m
        memory.write(store, b"parent", 0)
        Instance(Store(pooling), made, []).exports.m  # a slot that was used and is free
        def work():
            assert memory.read(store, 0, 6) == b"parent"
            memory.write(store, b"child!", 0)
            for _ in range(3):
                other = Store(pooling)
                fresh = Instance(other, made, []).exports.m
                assert fresh.read(other, 0, 6) == bytes(6) and fresh.read(other, 100, 105) == b"image"
                fresh.write(other, b"dirty", 100)
        pids = [fork(work) for _ in range(3)]
        for pid in pids:
            wait(pid)
        assert memory.read(store, 0, 6) == b"parent" and memory.read(store, 100, 105) == b"image"
        work()
        print("done")
        """
    )
    assert out == "done\n"


def test_forking_while_threads_compile_and_run() -> None:
    out = forking(
        """
        stop = False
        errors = []
        many = "(module" + "".join(f'(func (export "f{n}") (param i32) (result i32) ' + "(drop (i32.mul (local.get 0) (i32.const 3)))" * 40 + "(local.get 0))" for n in range(900)) + ")"
        big = bytes(wasmrt.wat2wasm(many))  # large enough for threads of the compiler
        assert len(big) > 1 << 17
        def compiling():
            while not stop:
                Module(engine, big)
        def running():
            while not stop:
                store, exports = guest()
                for _ in range(50):
                    assert exports.f() == 42
                try:
                    exports.load(-1)
                except Trap:
                    pass
        def looping():
            while not stop:
                store, exports = guest()
                store.set_timeout(0.01)
                try:
                    exports.spin()
                except Trap:
                    pass
        def making():
            while not stop:  # new types and trampolines of host functions, so locks are taken
                own = Engine()
                Instance(Store(own), Module(own, MODULE), [])
        def guarded(work):
            try:
                work()
            except BaseException as error:
                errors.append(error)
        threads = [threading.Thread(target=guarded, args=(work,)) for work in (compiling, running, looping, making)]
        for thread in threads:
            thread.start()
        sys.setswitchinterval(1e-4)
        try:
            for _ in range(8):
                wait(fork(checks))
        finally:
            stop = True
        for thread in threads:
            thread.join()
        assert not errors, errors
        checks()
        print("done")
        """
    )
    assert out == "done\n"


def test_a_store_that_another_thread_ran_says_so_in_the_child() -> None:
    out = forking(
        """
        store, exports = guest()
        exports.spin, exports.f, exports.m
        store.set_timeout(1.0)
        def spin():
            try:
                exports.spin()
            except Trap:
                pass
        thread = threading.Thread(target=spin)
        thread.start()
        time.sleep(0.2)
        def work():
            for use in (exports.f, store.gc, lambda: Instance(store, module, [])):
                try:
                    use()
                except WasmError as error:
                    assert "when the process was forked" in str(error), error
                else:
                    raise AssertionError("no error")
            try:
                store.close()
            except WasmError as error:
                assert "forked child" in str(error), error
            checks()
        wait(fork(work))
        thread.join()
        assert exports.f() == 42  # the parent's store is as it was
        print("done")
        """
    )
    assert out == "done\n"


def test_forking_on_another_thread_and_in_children() -> None:
    out = forking(
        """
        checks()
        def work():
            checks()
            wait(fork(checks))
        pids = []
        thread = threading.Thread(target=lambda: pids.append(fork(work)))
        thread.start()
        thread.join()
        wait(pids[0])
        print("done")
        """
    )
    assert out == "done\n"


def test_forking_before_the_first_store() -> None:
    """Only modules were compiled and types registered: the locks of that are released in the child too."""
    out = forking(
        """
        stop = False
        def registering():
            while not stop:
                Module(Engine(), MODULE)
        threads = [threading.Thread(target=registering) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(10):
                wait(fork(lambda: Module(Engine(), MODULE)))
        finally:
            stop = True
        for thread in threads:
            thread.join()
        print("done")
        """
    )
    assert out == "done\n"


def test_what_belongs_to_a_process_says_what_to_pickle_instead() -> None:
    engine = wasmrt.Engine()
    module = wasmrt.Module(engine, "(module)")
    component = wasmrt.component.Component(engine, "(component)")
    running = [
        wasmrt.Store(engine),
        wasmrt.Linker(engine),
        wasmrt.component.Linker(engine),
        wasmrt.Instance(wasmrt.Store(engine), module, []),
        wasmrt.component.Linker(engine).instantiate(wasmrt.Store(engine), component),
    ]
    for item in running:
        with pytest.raises(pickle.PicklingError, match=rf"a {type(item).__name__} cannot be pickled: .* where it arrives"):
            pickle.dumps(item)


def test_what_belongs_to_a_store_says_what_to_pickle_instead() -> None:
    engine = wasmrt.Engine()
    text = '(module (func (export "f")) (memory (export "m") 1) (table (export "t") 1 funcref) (global (export "g") i32 (i32.const 1)) (tag (export "e")))'
    instance = wasmrt.Instance(wasmrt.Store(engine), wasmrt.Module(engine, text), [])
    for item in instance.exports.by_index:
        for copied in (pickle.dumps, copy.copy):
            with pytest.raises(pickle.PicklingError, match=rf"a {type(item).__name__} cannot be pickled: .* pickle the Module"):
                copied(item)
    text = '(component (core module $m (func (export "f"))) (core instance $i (instantiate $m)) (func (export "f") (canon lift (core func $i "f"))))'
    func = wasmrt.component.Linker(engine).instantiate(wasmrt.Store(engine), wasmrt.component.Component(engine, text)).get_func("f")
    with pytest.raises(pickle.PicklingError, match="a component's Func cannot be pickled: .* pickle the Component"):
        pickle.dumps(func)


def test_a_path_that_is_no_file_is_no_text() -> None:
    for make in (wasmrt.Module, wasmrt.component.Component):
        with pytest.raises(wasmrt.WasmError, match=r"looks like a path .*from_file takes paths"):
            make(wasmrt.Engine(), "missing.wasm")
