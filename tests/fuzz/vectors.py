"""Random programs (programs.py) with vectors in everything that holds values: locals, blocks, calls, globals, select; and all SIMD instructions, from
the instruction table. Lanes of floats are kept free of NaNs whose payload could show, as scalars are."""

from __future__ import annotations

import struct

from wasmrt.spec._gen.wasm_ops import WASM_OP

from .programs import F32, F64, I32, I64, INTERESTING64, TYPES, V128, Function, Program, sleb, uleb

LETTERS = {"i": I32, "l": I64, "f": F32, "d": F64, "v": V128}
ROWS = [row for row in WASM_OP if row.feature == "SIMD"]
TO_VECTOR = [row for row in ROWS if row.results == "v" and row.imm != "V128"]
TO_SCALAR = {kind: [row for row in ROWS if row.results and LETTERS[row.results] == kind] for kind in TYPES}
STORES = [row for row in ROWS if not row.results]
COMPARES = ("eq", "ne", "lt", "gt", "le", "ge")
LANES = (0.0, -0.0, 1.0, -1.5, 2.5, 1e9, -3e9, 4294967295.0, 5e9, 3e38, float("inf"), float("-inf"), 1e-40)


def float_bytes(text: str) -> int:
    """Width of the lanes that the instruction computes as floats, or 0."""
    shape, _, name = text.partition(".")
    if shape not in ("f32x4", "f64x2") or name in COMPARES or name in ("abs", "neg"):
        return 0
    return 4 if shape == "f32x4" else 8


class VectorFunction(Function):
    """Generates one body."""

    def const(self, kind: int) -> None:
        if kind != V128:
            super().const(kind)
            return
        rng = self.rng
        pick = rng.randrange(6)
        if pick == 0:
            lanes = bytes(16)
        elif pick == 1:
            lanes = b"\xff" * 16
        elif pick == 2:
            lanes = rng.randbytes(16)
        elif pick == 3:
            lanes = struct.pack("<4f", *(rng.choice(LANES) for _ in range(4)))
        elif pick == 4:
            lanes = struct.pack("<2d", *(rng.choice(LANES) for _ in range(2)))
        else:
            width = rng.choice((1, 2, 4, 8))
            mask = (1 << 8 * width) - 1
            lanes = b"".join((rng.choice(INTERESTING64) & mask).to_bytes(width, "little") for _ in range(16 // width))
        self.code += b"\xfd\x0c" + lanes

    def canonical_lanes(self, width: int) -> None:
        """NaN lanes of the vector on the stack become 0."""
        temp = uleb(self.program.scratch(self, V128))
        self.code += (
            b"\x22"
            + temp
            + b"\x20"
            + temp
            + b"\x20"
            + temp
            + (b"\xfd\x41" if width == 4 else b"\xfd\x47")
            + b"\xfd\x4e"
        )

    def instruction(self, row: object, depth: int) -> None:
        rng, memarg = self.rng, b""
        for letter in row.params:
            if letter == "a":
                memarg = self.address(depth - 1)
            elif letter == "i" and rng.random() < 0.3:
                self.code += b"\x41" + sleb(rng.randrange(70))  # a count of a shift
            else:
                kind = LETTERS[letter]
                self.expr(kind, depth - 1)
                if kind in (F32, F64):
                    self.canonical(kind)
                if float_bytes(row.text) and kind == V128 and rng.random() < 0.5:
                    self.code += b"\xfd" + uleb(0xFA if rng.random() < 0.5 else 0xFE)  # lanes that are likely numbers
        self.code += b"\xfd" + uleb(row.code) + memarg
        if row.imm in ("LANE", "MEMARG_LANE"):
            self.code.append(rng.randrange(16 >> row.align_log2))
        elif row.imm == "SHUFFLE":
            self.code += self.shuffle()
        width = float_bytes(row.text)
        if row.results == "v" and width:
            self.canonical_lanes(width)
        elif row.results in ("f", "d"):
            self.canonical(LETTERS[row.results])

    def shuffle(self) -> bytes:
        rng, pick = self.rng, self.rng.randrange(6)
        if pick == 0:
            return bytes(rng.randrange(32) for _ in range(16))
        if pick == 1:  # a run
            first = rng.randrange(32)
            return bytes((first + i) % 32 for i in range(16))
        width = rng.choice((1, 2, 4, 8))
        groups = 16 // width
        if pick == 2:  # interleaved
            base, flip = rng.choice((0, groups // 2)), rng.choice((0, groups))
            chosen = [(base + i // 2 + (i & 1) * groups) ^ flip for i in range(groups)]
        elif pick == 3:  # blended
            chosen = [i + rng.choice((0, groups)) for i in range(groups)]
        else:
            top = rng.choice((groups, 2 * groups))
            chosen = [rng.randrange(top) for _ in range(groups)]
        return bytes(g * width + i for g in chosen for i in range(width))

    def other(self, kind: int, depth: int) -> bool:
        rng = self.rng
        if kind != V128:
            if rng.random() > 0.15:
                return False
            self.instruction(rng.choice(TO_SCALAR[kind]), depth)
            return True
        pick = rng.random()
        local = self.pick_local(V128)
        if pick < 0.55:
            self.instruction(rng.choice(TO_VECTOR), depth)
        elif pick < 0.65 and local is not None:
            self.code += b"\x20" + uleb(local)
        elif pick < 0.72 and local is not None:
            self.expr(V128, depth - 1)
            self.code += b"\x22" + uleb(local)
        elif pick < 0.78:
            self.expr(V128, depth - 1)
            self.expr(V128, depth - 1)
            self.condition(depth - 1)
            self.code.append(0x1B)
        elif pick < 0.82:
            self.block(V128, depth - 1)
        elif pick < 0.86:
            self.if_(V128, depth - 1)
        elif pick < 0.90 and self.call(V128, depth - 1):
            pass
        elif pick < 0.93:
            self.code += b"\x23" + uleb(rng.choice([i for i, t in enumerate(self.program.globals) if t == V128]))
        elif pick < 0.96 and self.loop_depth < 2:
            self.loop(V128, depth - 1)
        elif pick < 0.98:
            self.expr(V128, depth - 1)
            self.statement(depth - 1)
        else:
            self.const(V128)
        return True

    def store(self, kind: int, depth: int) -> None:
        if kind == V128:
            self.instruction(self.rng.choice(STORES), depth)
        else:
            super().store(kind, depth)


class VectorProgram(Program):
    """The last function has no vectors in its type, so that the oracle's interface to values can call it."""

    kinds = (*TYPES, V128, V128, V128)
    function = VectorFunction
