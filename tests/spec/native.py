"""Core modules on the C API alone, by ctypes: values are bits, so that what the compiler computes is compared bit by bit.

Owns the few structures of wasmrt.h that instantiating and calling need. Nothing of the Python runtime is used: a failure here is one of C.
"""

from __future__ import annotations

import ctypes as c
import os
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FUNC, TABLE, MEMORY, GLOBAL, TAG = range(5)
TRAP_NAMES: dict[int, str] = {}


class WrError(c.Structure):
    _fields_ = (("kind", c.c_uint32), ("func_index", c.c_uint32), ("offset", c.c_uint64), ("message", c.c_char * 256))


class WrTunables(c.Structure):
    _fields_ = (
        ("cpu_features", c.c_uint64),
        ("memory_reservation", c.c_uint64),
        ("memory_guard_bytes", c.c_uint64),
        ("guarded_memories", c.c_uint8),
        ("signals_based_traps", c.c_uint8),
        ("interruptible", c.c_uint8),
        ("consume_fuel", c.c_uint8),
        ("nan_canonicalization", c.c_uint8),
        ("debug_checks", c.c_uint8),
        ("relaxed_simd_deterministic", c.c_uint8),
        ("reserved", c.c_uint8),
    )


class WrImageInput(c.Structure):
    _fields_ = (
        ("kind", c.c_uint32),
        ("tunables", c.c_void_p),
        ("wasm_features", c.c_uint64),
        ("modules", c.c_void_p),
        ("compiled", c.c_void_p),
        ("num_modules", c.c_uint32),
        ("trampolines", c.c_void_p),
        ("num_trampolines", c.c_uint32),
        ("info", c.c_void_p),
        ("num_info_bytes", c.c_size_t),
    )


class WrExtern(c.Structure):
    _fields_ = (("kind", c.c_uint32), ("reserved", c.c_uint32), ("pointer", c.c_void_p))


class VMFuncRef(c.Structure):
    _fields_ = (
        ("array_call", c.c_void_p),
        ("wasm_call", c.c_void_p),
        ("type_index", c.c_uint32),
        ("reserved", c.c_uint32),
        ("vmctx", c.c_void_p),
    )


class WasmLimits(c.Structure):
    _fields_ = (
        ("min", c.c_uint64),
        ("max", c.c_uint64),
        ("flags", c.c_uint8),
        ("page_size_log2", c.c_uint8),
        ("r", c.c_uint16),
        ("r2", c.c_uint32),
    )


class WrEntry(c.Structure):
    _fields_ = (("previous", c.c_void_p), ("reserved", c.c_void_p * 3))


class FunctionLoc(c.Structure):
    _fields_ = (("start", c.c_uint32), ("length", c.c_uint32))


class TrapRow(c.Structure):
    _fields_ = (("code_offset", c.c_uint32), ("trap_code", c.c_uint32))


class CompiledModule(c.Structure):
    _fields_ = (
        ("text", c.c_void_p),
        ("text_bytes", c.c_uint32),
        ("funcs", c.POINTER(FunctionLoc)),
        ("num_funcs", c.c_uint32),
        ("array_calls", c.POINTER(FunctionLoc)),
        ("num_array_calls", c.c_uint32),
        ("host_calls", c.POINTER(FunctionLoc)),
        ("num_host_calls", c.c_uint32),
        ("traps", c.POINTER(TrapRow)),
        ("num_traps", c.c_uint32),
        ("addrs", c.c_void_p),
        ("num_addrs", c.c_uint32),
    )


ARRAY_CALL = c.CFUNCTYPE(c.c_bool, c.c_void_p, c.c_void_p, c.c_void_p, c.c_size_t)


def load_library() -> c.CDLL:
    lib = c.CDLL(os.environ.get("WASMRT_LIBRARY", str(ROOT / "wasmrt" / "_native" / "libwasmrt.so")))
    pointer = c.c_void_p
    for name in (
        "wr_types_new",
        "wr_store_new",
        "wr_store_context",
        "wr_trap_message",
        "wr_host_func_new",
        "wr_memory_new",
        "wr_table_new",
    ):
        getattr(lib, name).restype = pointer
    for name in ("wr_global_new", "wr_memory_def", "wr_table_def", "wr_global_def", "wr_instance_start"):
        getattr(lib, name).restype = pointer
    for name in (
        "wr_module_decode",
        "wr_compile_module",
        "wr_image_build",
        "wr_types_register_module",
        "wr_instance_new",
        "wr_instance_export",
    ):
        getattr(lib, name).restype = c.c_bool
    lib.wr_trap_message.restype = c.c_char_p
    return lib


class NativeError(Exception):
    """A failed call of the C API; `kind` is WrErrorKind."""

    def __init__(self, error: WrError) -> None:
        super().__init__(
            f"{error.message.decode()} (kind {error.kind}, function {error.func_index}, offset {error.offset:#x})"
        )
        self.kind = error.kind


class NativeTrap(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def leb(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def imports_of(data: bytes) -> list[tuple[str, str, int]]:
    """(module, name, kind) of each import of a valid module."""
    at, found = 8, []
    while at < len(data):
        section = data[at]
        size, at = leb(data, at + 1)
        if section != 2:
            at += size
            continue
        count, at = leb(data, at)
        for _ in range(count):
            names = []
            for _ in range(2):
                length, at = leb(data, at)
                names.append(data[at : at + length].decode())
                at += length
            kind = data[at]
            at += 1
            if kind == FUNC:
                _, at = leb(data, at)
            elif kind == GLOBAL:
                at += 2 if data[at] not in (0x63, 0x64) else 1 + len_leb(data, at + 1) + 1
            elif kind == TAG:
                _, at = leb(data, at + 1)
            else:
                if kind == TABLE:
                    at += 1 if data[at] not in (0x63, 0x64) else 1 + len_leb(data, at + 1)
                flags = data[at]
                at += 1
                _, at = leb(data, at)
                if flags & 1:
                    _, at = leb(data, at)
            found.append((names[0], names[1], kind))
    return found


def len_leb(data: bytes, at: int) -> int:
    return leb(data, at)[1] - at


class Runtime:
    """A store with its type registry. Instances are WrExtern look-ups by name."""

    def __init__(self, features: int | None = None, **tunables: int) -> None:
        self.lib = load_library()
        self.features = features if features is not None else (1 << 10) - 1 | 1 << 11
        host, base = c.c_uint64(), c.c_uint64()
        self.lib.wr_cpu_features(c.byref(host), c.byref(base))
        self.tunables = WrTunables(host.value, 1 << 32, 1 << 31, 1, 1, 1, 0, 0, 1)
        for name, value in tunables.items():
            setattr(self.tunables, name, (host.value & value or base.value) if name == "cpu_features" else value)
        error = WrError(offset=2**64 - 1, func_index=2**32 - 1)
        self.lib.wr_signals_install(c.byref(error))
        self.types = c.c_void_p(self.lib.wr_types_new())
        self.store = c.c_void_p(self.lib.wr_store_new(self.types, c.c_size_t(512 << 10), None, c.byref(error)))
        assert self.store.value, error.message
        self.keep: list[object] = []

    def compile(self, data: bytes, threads: int = 1) -> tuple[c.c_void_p, c.c_void_p]:
        """Pointers to the decoded and the compiled module."""
        error, module, compiled = WrError(func_index=2**32 - 1, offset=2**64 - 1), c.c_void_p(), c.c_void_p()
        buffer = c.create_string_buffer(data, len(data))
        self.keep.append(buffer)
        if not self.lib.wr_module_decode(
            buffer, c.c_size_t(len(data)), c.c_uint64(self.features), c.byref(module), c.byref(error)
        ):
            raise NativeError(error)
        if not self.lib.wr_compile_module(
            module, c.byref(self.tunables), c.c_uint32(threads), c.byref(compiled), c.byref(error)
        ):
            raise NativeError(error)
        return module, compiled

    def instantiate(self, data: bytes, imports: dict[str, dict[str, WrExtern]]) -> Instance:
        module, compiled = self.compile(data)
        error, code, type_ids, instance = (
            WrError(func_index=2**32 - 1, offset=2**64 - 1),
            c.c_void_p(),
            c.c_void_p(),
            c.c_void_p(),
        )
        modules, compileds = (c.c_void_p * 1)(module), (c.c_void_p * 1)(compiled)
        given = WrImageInput(
            1,
            c.addressof(self.tunables),
            self.features,
            c.addressof(modules),
            c.addressof(compileds),
            1,
            None,
            0,
            None,
            0,
        )
        if not self.lib.wr_image_build(c.byref(given), c.byref(code), c.byref(error)):
            raise NativeError(error)
        if not self.lib.wr_types_register_module(self.types, module, c.byref(type_ids), c.byref(error)):
            raise NativeError(error)
        wanted = imports_of(data)
        externs = (WrExtern * max(1, len(wanted)))()
        for i, (module_name, name, _) in enumerate(wanted):
            if name not in imports.get(module_name, {}):
                raise NativeError(WrError(5, 0, 0, b"unknown import"))
            externs[i] = imports[module_name][name]
        entry = WrEntry()
        assert self.lib.wr_store_enter(self.store, c.byref(entry)) == 0
        try:
            made = self.lib.wr_instance_new(
                self.store, code, 0, type_ids, externs, c.c_size_t(len(wanted)), c.byref(instance), c.byref(error)
            )
            if not made:
                if error.kind == 8:
                    raise self.trap()
                raise NativeError(error)
        finally:
            self.lib.wr_store_leave(self.store, c.byref(entry))
        start = self.lib.wr_instance_start(instance)
        if start:
            self.call(c.c_void_p(start), [], 0)
        return Instance(self, instance)

    def trap(self) -> NativeTrap:
        context = self.lib.wr_store_context(self.store)
        code = c.c_uint32.from_address(context + 40).value
        return NativeTrap(code, self.lib.wr_trap_message(code).decode())

    def call(self, func: c.c_void_p, args: list[bytes], num_results: int) -> list[bytes]:
        """args and results are 16 bytes each."""
        ref = VMFuncRef.from_address(func.value or 0)
        slots = max(len(args), num_results, 1)
        values = c.create_string_buffer(b"".join(args), slots * 16 + 16)
        base = (c.addressof(values) + 15) & ~15
        if base != c.addressof(values):
            c.memmove(base, c.addressof(values), slots * 16)
        entry = WrEntry()
        assert self.lib.wr_store_enter(self.store, c.byref(entry)) == 0
        try:
            ok = ARRAY_CALL(ref.array_call)(ref.vmctx, ref.vmctx, base, slots)
        finally:
            self.lib.wr_store_leave(self.store, c.byref(entry))
        if not ok:
            raise self.trap()
        return [c.string_at(base + 16 * i, 16) for i in range(num_results)]

    def host_func(self, params: list[int], results: list[int], call: object = None) -> WrExtern:
        error, type_id = WrError(), c.c_uint32()
        p, r = (c.c_uint32 * max(1, len(params)))(*params), (c.c_uint32 * max(1, len(results)))(*results)
        self.lib.wr_types_register_func(self.types, p, len(params), r, len(results), c.byref(type_id), c.byref(error))
        callback = ARRAY_CALL(call if call is not None else lambda *_: True)  # type: ignore[arg-type]
        self.keep.append(callback)
        ref = self.lib.wr_host_func_new(self.store, type_id, callback, None, c.byref(error))
        return WrExtern(FUNC, 0, ref)

    def spectest(self) -> dict[str, WrExtern]:
        i32, i64, f32, f64 = 1, 2, 3, 4
        found = {"print": self.host_func([], [])}
        for name, params in (
            ("i32", [i32]),
            ("i64", [i64]),
            ("f32", [f32]),
            ("f64", [f64]),
            ("i32_f32", [i32, f32]),
            ("f64_f64", [f64, f64]),
        ):
            found[f"print_{name}"] = self.host_func(params, [])
        error = WrError()
        for name, kind, bits in (
            ("i32", i32, struct.pack("<q", 666)),
            ("i64", i64, struct.pack("<q", 666)),
            ("f32", f32, struct.pack("<f4x", 666.6)),
            ("f64", f64, struct.pack("<d", 666.6)),
        ):
            raw = c.create_string_buffer(bits + bytes(8), 16)
            found[f"global_{name}"] = WrExtern(
                GLOBAL, 0, self.lib.wr_global_new(self.store, kind, c.c_bool(False), raw, c.byref(error))
            )
        funcref = 6 | 0x10
        limits = WasmLimits(10, 20, 1)
        found["table"] = WrExtern(
            TABLE, 0, self.lib.wr_table_new(self.store, funcref, c.byref(limits), None, c.byref(error))
        )
        limits64 = WasmLimits(10, 20, 5)
        found["table64"] = WrExtern(
            TABLE, 0, self.lib.wr_table_new(self.store, funcref, c.byref(limits64), None, c.byref(error))
        )
        pages = WasmLimits(1, 2, 1, 16)
        found["memory"] = WrExtern(
            MEMORY, 0, self.lib.wr_memory_new(self.store, c.byref(pages), c.byref(self.tunables), c.byref(error))
        )
        return found


class Instance:
    def __init__(self, runtime: Runtime, pointer: c.c_void_p) -> None:
        self.runtime = runtime
        self.pointer = pointer

    def export(self, name: str) -> WrExtern | None:
        found = WrExtern()
        encoded = name.encode()
        if not self.runtime.lib.wr_instance_export(self.pointer, encoded, c.c_size_t(len(encoded)), c.byref(found)):
            return None
        return found
