"""Runs the scripts of the specification (.wast, through `wasm-tools json-from-wast`) against the C API; see native.py.

`python -m tests.spec.scripts [tunable=value ...] script.wast ...` runs single ones.
"""

from __future__ import annotations

import ctypes as c
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from .native import GLOBAL, Instance, NativeError, NativeTrap, Runtime, WrExtern

LANE_BYTES = {"i8": 1, "i16": 2, "i32": 4, "i64": 8, "f32": 4, "f64": 8}


def encode(value: dict[str, Any], runtime: Runtime) -> bytes:
    kind, text = value["type"], value.get("value")
    if kind in ("i32", "f32"):
        return struct.pack("<I", int(text) & 0xFFFFFFFF) + b"\xa5" * 4 + bytes(8)  # garbage above, as hosts may leave
    if kind in ("i64", "f64"):
        return struct.pack("<Q", int(text) & (2**64 - 1)) + bytes(8)
    if kind == "v128":
        size = LANE_BYTES[value["lane_type"]]
        return b"".join((int(lane) & (1 << 8 * size) - 1).to_bytes(size, "little") for lane in text)
    if text in (None, "null"):
        return bytes(16)
    if kind == "externref":
        made = c.c_bool()
        runtime.lib.wr_externref_new.restype = c.c_uint64
        return struct.pack(
            "<Q", runtime.lib.wr_externref_new(runtime.store, c.c_void_p(int(text) + 1), c.byref(made))
        ) + bytes(8)
    raise NotImplementedError(kind)


def matches(value: dict[str, Any], raw: bytes, runtime: Runtime) -> bool:
    kind, text = value["type"], value.get("value")
    if kind in ("i32", "i64"):
        size = 4 if kind == "i32" else 8
        return int.from_bytes(raw[:size], "little") == int(text) & (2 ** (8 * size) - 1)
    if kind in ("f32", "f64"):
        size, quiet, exponent = (4, 0x400000, 0x7F800000) if kind == "f32" else (8, 1 << 51, 0x7FF << 52)
        bits = int.from_bytes(raw[:size], "little")
        if text == "nan:canonical":
            return bits & ~(1 << (8 * size - 1)) == exponent | quiet
        if text == "nan:arithmetic":
            return bits & (exponent | quiet) == exponent | quiet
        return bits == int(text) & (2 ** (8 * size) - 1)
    if kind == "v128":
        size, lane_type = LANE_BYTES[value["lane_type"]], value["lane_type"]
        kind = lane_type if lane_type in ("f32", "f64") else "i32" if size <= 4 else "i64"
        lanes = [raw[i : i + size] for i in range(0, 16, size)]
        if kind in ("i32", "i64"):
            return all(int.from_bytes(lane, "little") == int(text_lane) & (1 << 8 * size) - 1 for lane, text_lane in zip(lanes, text, strict=True))
        return all(matches({"type": kind, "value": text_lane}, lane, runtime) for lane, text_lane in zip(lanes, text, strict=True))
    word = int.from_bytes(raw[:8], "little")
    if kind in ("refnull",) or text == "null":
        return word == 0
    if text is None:
        return word != 0
    if kind == "externref":
        runtime.lib.wr_externref_get.restype = c.c_void_p
        return runtime.lib.wr_externref_get(runtime.store, c.c_uint64(word)) == int(text) + 1
    return word != 0


class Script:
    """One script: counts what passed, collects what failed."""

    def __init__(self, path: Path, folder: Path, wasm_tools: str, **tunables: int) -> None:
        self.folder = folder
        self.wasm_tools = wasm_tools
        self.out = folder / (path.stem + ".json")
        subprocess.run(
            [wasm_tools, "json-from-wast", str(path), "-o", str(self.out), "--wasm-dir", str(folder)],
            check=True,
            capture_output=True,
        )
        self.runtime = Runtime(**tunables)
        self.registered: dict[str, dict[str, WrExtern] | Instance] = {"spectest": self.runtime.spectest()}
        self.instances: dict[str, Instance] = {}
        self.definitions: dict[str, bytes] = {}
        self.current: Instance | None = None
        self.passed, self.failed = 0, []

    def imports(self) -> Any:
        registered = self.registered

        class Exports(dict):  # type: ignore[type-arg]
            def __init__(self, instance: Instance) -> None:
                self.instance = instance

            def __contains__(self, name: object) -> bool:
                return self.instance.export(str(name)) is not None

            def __getitem__(self, name: str) -> WrExtern:
                found = self.instance.export(name)
                assert found is not None
                return found

        return {name: Exports(i) if isinstance(i, Instance) else i for name, i in registered.items()}

    def action(self, action: dict[str, Any], num_results: int) -> list[bytes]:
        instance = self.instances[action["module"]] if action.get("module") else self.current
        assert instance is not None, "no instance"
        found = instance.export(action["field"])
        assert found is not None, f"no export {action['field']}"
        if action["type"] == "get":
            assert found.kind == GLOBAL
            return [c.string_at(self.runtime.lib.wr_global_def(c.c_void_p(found.pointer)), 16)]
        args = [encode(v, self.runtime) for v in action["args"]]
        return self.runtime.call(c.c_void_p(found.pointer), args, num_results)

    def instantiate(self, filename: str) -> Instance:
        path = self.folder / filename
        if path.suffix == ".wat":  # quoted text
            done = subprocess.run([self.wasm_tools, "parse", str(path)], check=True, capture_output=True)
            return self.runtime.instantiate(done.stdout, self.imports())
        return self.runtime.instantiate(path.read_bytes(), self.imports())

    def command(self, command: dict[str, Any]) -> None:
        kind = command["type"]
        if kind in ("module", "module_instance"):
            self.current = None
            if kind == "module":
                self.current = self.instantiate(command["filename"])
                name = command.get("name")
            else:
                self.current = self.instantiate(self.definitions[command.get("module") or ""])  # type: ignore[arg-type]
                name = command.get("instance")
            if name:
                self.instances[name] = self.current
        elif kind == "module_definition":
            self.definitions[command.get("name") or ""] = command["filename"]
        elif kind == "register":
            instance = self.instances[command["name"]] if command.get("name") else self.current
            assert instance is not None
            self.registered[command["as"]] = instance
        elif kind == "action":
            self.action(command["action"], 8)
        elif kind == "assert_return":
            expected = command["expected"]
            results = self.action(command["action"], len(expected))
            for value, raw in zip(expected, results, strict=True):
                options = value["values"] if value["type"] == "either" else [value]
                assert any(matches(v, raw, self.runtime) for v in options), f"expected {value}, found {raw.hex()}"
        elif kind in ("assert_trap", "assert_exhaustion"):
            try:
                self.action(command["action"], 8)
            except NativeTrap as trap:
                text = command["text"]
                assert str(trap) in text or text in str(trap), f"expected {text!r}, found {trap}"
            else:
                raise AssertionError(f"no trap: {command['text']}")
        elif kind == "assert_uninstantiable":
            try:
                self.instantiate(command["filename"])
            except NativeTrap as trap:
                text = command["text"]
                assert str(trap) in text or text in str(trap), f"expected {text!r}, found {trap}"
            else:
                raise AssertionError(f"no trap: {command['text']}")
        elif kind in ("assert_invalid", "assert_malformed", "assert_unlinkable"):
            if command.get("module_type") == "text":
                return
            try:
                self.instantiate(command["filename"])
            except NativeError:
                return
            raise AssertionError(f"accepted: {command['text']}")
        else:
            raise NotImplementedError(kind)

    def run(self, verbose: bool = False) -> None:
        for command in json.loads(self.out.read_text())["commands"]:
            try:
                if verbose:
                    print(command["line"], command["type"], command.get("action", {}).get("field", ""), flush=True)
                self.command(command)
                self.passed += 1
            except Exception as error:  # every failure is a row of the report
                self.failed.append(f"line {command['line']}: {command['type']}: {type(error).__name__}: {error}")


def main() -> None:
    import tempfile

    names = [n for n in sys.argv[1:] if not n.startswith("-") and "=" not in n]
    tunables = {k: int(v) for k, v in (n.split("=") for n in sys.argv[1:] if "=" in n)}
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            script = Script(Path(name), Path(folder), "wasm-tools", **tunables)
            script.run("-v" in sys.argv)
            total += script.passed
            print(f"{Path(name).stem}: {script.passed} passed, {len(script.failed)} failed", flush=True)
            for line in script.failed[:6]:
                print("   ", line, flush=True)
    print(total, "passed")


if __name__ == "__main__":
    main()
