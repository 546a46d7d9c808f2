"""A small assembler for core modules: what fused adapters are written with.

Instructions are named as in the text format and taken from the one table of opcodes. A `CoreModuleWriter` gives indices for
imports as they are asked for; functions that the module defines come after all imports, whose number is not known before
the last body is written, so calls of them are five-byte LEBs that `finish` fills in.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from wasmrt.spec._gen.wasm_ops import WASM_OP
from wasmrt.spec.core_types import VALTYPE_F32, VALTYPE_F64, VALTYPE_I32, VALTYPE_I64, CoreFuncType
from wasmrt.spec.leb128 import sleb, uleb

_OPS = {row.text: row for row in WASM_OP}
_VALTYPE_BYTES = {VALTYPE_I32: 0x7F, VALTYPE_I64: 0x7E, VALTYPE_F32: 0x7D, VALTYPE_F64: 0x7C}
_EMPTY_BLOCK = 0x40
_CALL = _OPS["call"].code


class FuncWriter:
    """The body of one function. Locals after the parameters are lent out and taken back, so that equal types share them."""

    def __init__(self, ty: CoreFuncType) -> None:
        self.type = ty
        self.code = bytearray()
        self.calls: list[tuple[int, int]] = []  # (place in code, defined function): filled in by the module
        self.depth = 0
        self._locals: list[int] = []
        self._free: dict[int, list[int]] = {}

    # --- locals ---

    def local(self, ty: int) -> int:
        """A local of a core type; its value is what its last user left, zero if it had none."""
        free = self._free.get(ty)
        if free:
            return free.pop()
        self._locals.append(ty)
        return len(self.type.params) + len(self._locals) - 1

    def local_i32(self) -> int:
        return self.local(VALTYPE_I32)

    def release(self, *indices: int) -> None:
        for index in indices:
            self._free.setdefault(self.local_type(index), []).append(index)

    def local_type(self, index: int) -> int:
        params = self.type.params
        return params[index] if index < len(params) else self._locals[index - len(params)]

    # --- instructions ---

    def op(self, *names: str) -> None:
        """Instructions without immediates."""
        for name in names:
            row = _OPS[name]
            if row.prefix:
                self.code.append(row.prefix)
                self.code += uleb(row.code)
            else:
                self.code.append(row.code)

    def _with(self, name: str, *immediates: int) -> None:
        self.op(name)
        for immediate in immediates:
            self.code += uleb(immediate)

    def i32(self, value: int) -> None:
        self.op("i32.const")
        self.code += sleb(value if value < 1 << 31 else value - (1 << 32))

    def i64(self, value: int) -> None:
        self.op("i64.const")
        self.code += sleb(value)

    def get(self, *indices: int) -> None:
        for index in indices:
            self._with("local.get", index)

    def set(self, index: int) -> None:
        self._with("local.set", index)

    def tee(self, index: int) -> None:
        self._with("local.tee", index)

    def global_get(self, index: int) -> None:
        self._with("global.get", index)

    def global_set(self, index: int) -> None:
        self._with("global.set", index)

    def access(self, name: str, memory: int, offset: int) -> None:
        """A load or store; alignment is only a hint and is left at one byte."""
        if memory:
            self._with(name, 0x40, memory, offset)
        else:
            self._with(name, 0, offset)

    def memory_size(self, memory: int) -> None:
        self._with("memory.size", memory)

    def memory_copy(self, dst: int, src: int) -> None:
        self._with("memory.copy", dst, src)

    def call_import(self, index: int) -> None:
        self._with("call", index)

    def call(self, defined: int) -> None:
        """Calls a function that this module defines."""
        self.code.append(_CALL)
        self.calls.append((len(self.code), defined))
        self.code += bytes(5)

    # --- control ---

    def open(self, name: str) -> int:
        """`block`, `loop` or `if` without results; returns its label."""
        self.op(name)
        self.code.append(_EMPTY_BLOCK)
        self.depth += 1
        return self.depth

    def close(self) -> None:
        self.op("end")
        self.depth -= 1

    def branch(self, name: str, label: int) -> None:
        self._with(name, self.depth - label)

    def branch_table(self, labels: list[int], default: int) -> None:
        self._with("br_table", len(labels), *(self.depth - label for label in labels), self.depth - default)

    def body(self, num_imported: int) -> bytes:
        runs: list[list[int]] = []
        for ty in self._locals:
            if runs and runs[-1][1] == ty:
                runs[-1][0] += 1
            else:
                runs.append([1, ty])
        head = uleb(len(runs)) + b"".join(uleb(n) + bytes([_VALTYPE_BYTES[ty]]) for n, ty in runs)
        for place, defined in self.calls:
            index = num_imported + defined
            self.code[place : place + 5] = bytes([index >> s & 0x7F | 0x80 for s in (0, 7, 14, 21)] + [index >> 28])
        raw = head + bytes(self.code) + b"\x0b"
        return uleb(len(raw)) + raw


@dataclass
class CoreModuleWriter:
    """A module being written. Imports are named by their position and are the same when their key is."""

    keys: list[Hashable] = field(default_factory=list)  # of the imports, in order
    _imports: list[bytes] = field(default_factory=list)
    _indices: dict[Hashable, int] = field(default_factory=dict)
    _counts: dict[int, int] = field(default_factory=dict)
    _types: dict[CoreFuncType, int] = field(default_factory=dict)
    _funcs: list[FuncWriter | None] = field(default_factory=list)
    _names: list[str] = field(default_factory=list)
    _exports: list[tuple[str, int]] = field(default_factory=list)

    @property
    def num_memories(self) -> int:
        return self._counts.get(2, 0)

    def _import(self, key: Hashable, kind: int, description: bytes) -> int:
        index = self._indices.get((kind, key))
        if index is None:
            index = self._indices[kind, key] = self._counts.get(kind, 0)
            self._counts[kind] = index + 1
            name = str(len(self.keys)).encode()
            self._imports.append(b"\0" + uleb(len(name)) + name + bytes([kind]) + description)
            self.keys.append(key)
        return index

    def import_func(self, key: Hashable, ty: CoreFuncType) -> int:
        return self._import(key, 0, uleb(self._type(ty)))

    def import_memory(self, key: Hashable) -> int:
        """A memory of 32 bits, of any size."""
        return self._import(key, 2, b"\0\0")

    def import_global_i32(self, key: Hashable) -> int:
        """A mutable one."""
        return self._import(key, 3, bytes([_VALTYPE_BYTES[VALTYPE_I32], 1]))

    def _type(self, ty: CoreFuncType) -> int:
        return self._types.setdefault(ty, len(self._types))

    def declare(self, name: str) -> int:
        """The index of a function among those defined here, to be called before its body is there."""
        self._funcs.append(None)
        self._names.append(name)
        return len(self._funcs) - 1

    def define(self, index: int, func: FuncWriter) -> None:
        self._type(func.type)
        self._funcs[index] = func

    def export(self, name: str, index: int) -> None:
        self._exports.append((name, index))

    def func_index(self, index: int) -> int:
        """In the module's function space; final once nothing more is imported."""
        return self._counts.get(0, 0) + index

    def finish(self) -> bytes:
        funcs = [func for func in self._funcs if func is not None]
        assert len(funcs) == len(self._funcs)
        num_imported = self._counts.get(0, 0)
        types = []
        for ty in self._types:
            params, results = (bytes(_VALTYPE_BYTES[word] for word in words) for words in (ty.params, ty.results))
            types.append(b"\x60" + uleb(len(params)) + params + uleb(len(results)) + results)
        exports = [
            uleb(len(name.encode())) + name.encode() + b"\0" + uleb(num_imported + index)
            for name, index in self._exports
        ]
        names = [
            uleb(num_imported + index) + uleb(len(name.encode())) + name.encode()
            for index, name in enumerate(self._names)
        ]
        sections = [
            (1, _vec(types)),
            (2, _vec(self._imports)),
            (3, _vec([uleb(self._types[func.type]) for func in funcs])),
            (7, _vec(exports)),
            (10, _vec([func.body(num_imported) for func in funcs])),
            (0, b"\4name" + _section(0, b"\7adapter") + _section(1, _vec(names))),
        ]
        return b"\0asm\1\0\0\0" + b"".join(_section(code, content) for code, content in sections)


def _vec(items: list[bytes]) -> bytes:
    return uleb(len(items)) + b"".join(items)


def _section(code: int, content: bytes) -> bytes:
    return bytes([code]) + uleb(len(content)) + content
