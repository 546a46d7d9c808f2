"""Random core modules that always end and mostly do not trap, dense in what a one-pass compiler gets wrong: nested blocks with values on the operand
stack, loops that carry many locals, branches from everywhere to everywhere, calls in the middle of expressions.

A module is made from a seed alone. Floats never leave their bits where a NaN's payload could show: they are made canonical before they are stored.
"""

from __future__ import annotations

import random
import struct

I32, I64, F32, F64 = 0x7F, 0x7E, 0x7D, 0x7C
TYPES = (I32, I64, F32, F64)
V128 = 0x7B  # values of this type are vectors.py's
EMPTY = 0x40
REFERENCE, NULLABLE, ABSTRACT = 0x8000, 0x4000, 0x2000  # bits of kinds that are references, beside the heap type

UNARY = {
    I32: [
        (I32, b"\x67"),
        (I32, b"\x68"),
        (I32, b"\x69"),
        (I32, b"\xc0"),
        (I32, b"\xc1"),
        (I64, b"\xa7"),
        (F32, b"\xfc\x00"),
        (F32, b"\xfc\x01"),
        (F64, b"\xfc\x02"),
        (F64, b"\xfc\x03"),
        (I32, b"\x45"),
        (I64, b"\x50"),
    ],
    I64: [
        (I64, b"\x79"),
        (I64, b"\x7a"),
        (I64, b"\x7b"),
        (I64, b"\xc2"),
        (I64, b"\xc3"),
        (I64, b"\xc4"),
        (I32, b"\xac"),
        (I32, b"\xad"),
        (F32, b"\xfc\x04"),
        (F32, b"\xfc\x05"),
        (F64, b"\xfc\x06"),
        (F64, b"\xfc\x07"),
    ],
    F32: [(F32, bytes([c])) for c in range(0x8B, 0x92)]
    + [(I32, b"\xb2"), (I32, b"\xb3"), (I64, b"\xb4"), (I64, b"\xb5"), (F64, b"\xb6")],
    F64: [(F64, bytes([c])) for c in range(0x99, 0xA0)]
    + [(I32, b"\xb7"), (I32, b"\xb8"), (I64, b"\xb9"), (I64, b"\xba"), (F32, b"\xbb")],
}
BINARY = {
    I32: [0x6A, 0x6B, 0x6C, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78],
    I64: [0x7C, 0x7D, 0x7E, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A],
    F32: [0x92, 0x93, 0x94, 0x95, 0x96, 0x97],
    F64: [0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5],
}
DIVIDE = {I32: [0x6D, 0x6E, 0x6F, 0x70], I64: [0x7F, 0x80, 0x81, 0x82]}
COMPARE = {I32: range(0x46, 0x50), I64: range(0x51, 0x5B), F32: range(0x5B, 0x61), F64: range(0x61, 0x67)}
LOADS = {
    I32: [(0x28, 4), (0x2C, 1), (0x2D, 1), (0x2E, 2), (0x2F, 2)],
    I64: [(0x29, 8), (0x30, 1), (0x31, 1), (0x32, 2), (0x33, 2), (0x34, 4), (0x35, 4)],
    F32: [(0x2A, 4)],
    F64: [(0x2B, 8)],
}
STORES = {I32: [0x36, 0x3A, 0x3B], I64: [0x37, 0x3C, 0x3D, 0x3E], F32: [0x38], F64: [0x39]}
INTERESTING = [
    0,
    1,
    2,
    3,
    7,
    8,
    15,
    16,
    31,
    32,
    63,
    64,
    127,
    128,
    255,
    256,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    -1,
    -2,
    -128,
    -(2**31),
]
INTERESTING64 = [*INTERESTING, 2**32, 2**33 + 5, 2**63 - 1, -(2**63), 2**40, -(2**40)]


def uleb(value: int) -> bytes:
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def sleb(value: int) -> bytes:
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if (value == 0 and not byte & 0x40) or (value == -1 and byte & 0x40):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def vector(items: list[bytes]) -> bytes:
    return uleb(len(items)) + b"".join(items)


def encoded(kind: int) -> bytes:
    """A value type; kinds beyond a byte are references that objects.py makes."""
    return bytes([kind]) if kind < 0x100 else bytes([0x63 if kind & NULLABLE else 0x64]) + sleb(heap_code(kind))


def heap_code(kind: int) -> int:
    """A type's index, or the negative number of an abstract heap type."""
    return (kind & 0x7F) - 0x80 if kind & ABSTRACT else kind & 0xFFF


class Label:
    """A branch target: the types it takes (None for a loop that only the generator's own back edge may use)."""

    def __init__(self, types: list[int] | None) -> None:
        self.types = types


class Function:
    """Generates one body."""

    def __init__(self, program: Program, index: int, params: list[int], results: list[int]) -> None:
        self.program = program
        self.index = index
        self.rng = program.rng
        self.params, self.results = params, results
        self.locals = [self.rng.choice(self.program.kinds) for _ in range(self.rng.choice((2, 5, 12, 30, 70)))]
        self.code = bytearray()
        self.labels: list[Label] = [Label(results)]
        self.counters: list[int] = []
        self.budget = self.rng.choice((20, 60, 150, 400))
        self.loop_depth = 0

    def types(self) -> list[int]:
        return self.params + self.locals

    def pick_local(self, kind: int) -> int | None:
        found = [i for i, t in enumerate(self.types()) if t == kind and i not in self.counters]
        return self.rng.choice(found) if found else None

    def other(self, kind: int, depth: int) -> bool:
        """For kinds of programs that know more instructions: an expression of theirs, sometimes."""
        return False

    def store(self, kind: int, depth: int) -> None:
        offset = self.address(depth - 1)
        self.expr(kind, depth - 1)
        if kind in (F32, F64):
            self.canonical(kind)
        self.code += bytes([self.rng.choice(STORES[kind])]) + offset

    def const(self, kind: int) -> None:
        rng = self.rng
        if kind == I32:
            value = rng.choice(INTERESTING) if rng.random() < 0.8 else rng.getrandbits(32)
            self.code += b"\x41" + sleb((value + 2**31) % 2**32 - 2**31)
        elif kind == I64:
            value = rng.choice(INTERESTING64) if rng.random() < 0.8 else rng.getrandbits(64)
            self.code += b"\x42" + sleb((value + 2**63) % 2**64 - 2**63)
        else:
            value = rng.choice(
                (0.0, -0.0, 1.0, -1.5, 0.1, 1e10, -3e9, 4294967296.0, 9.3e18, float("inf"), 1e-30, 123456.75)
            )
            self.code += struct.pack("<Bf", 0x43, value) if kind == F32 else struct.pack("<Bd", 0x44, value)

    def address(self, depth: int) -> bytes:
        """An address in range on the stack; what comes back is the memarg behind its alignment, which is 0."""
        if self.rng.random() < 0.15:  # the 64-bit memory
            self.expr(I64, depth)
            self.code += b"\x42" + sleb(0x3FFF) + b"\x83"
            return b"\x40\x01" + uleb(self.rng.choice((0, 8, 1000, 40000)))
        return b"\0" + self.address32(depth)

    def address32(self, depth: int) -> bytes:
        self.expr(I32, depth)
        if self.rng.random() < 0.5:
            self.code += b"\x41" + sleb(0x3FF) + b"\x71"
            return uleb(self.rng.choice((0, 1, 8, 100, 1000)))
        self.code += b"\x41" + sleb(0xFF) + b"\x71\x41" + sleb(self.rng.choice((1, 2, 3))) + b"\x74"
        if self.rng.random() < 0.5:
            self.code += b"\x41" + sleb(self.rng.choice((1, 16, 1024))) + b"\x6a"
        return uleb(self.rng.choice((0, 4, 64)))

    def canonical(self, kind: int) -> None:
        """NaN on the stack becomes 0."""
        temp = self.program.scratch(self, kind)
        self.code += b"\x22" + uleb(temp) + (b"\x43" + bytes(4) if kind == F32 else b"\x44" + bytes(8))
        self.code += b"\x20" + uleb(temp) + b"\x20" + uleb(temp) + (b"\x5b" if kind == F32 else b"\x61") + b"\x1b"

    def expr(self, kind: int, depth: int) -> None:
        rng, code = self.rng, self.code
        self.budget -= 1
        if depth <= 0 or self.budget <= 0:
            local = self.pick_local(kind)
            if local is not None and rng.random() < 0.75:
                code += b"\x20" + uleb(local)
            else:
                self.const(kind)
            return
        if self.other(kind, depth):
            return
        pick = rng.random()
        if pick < 0.22:
            local = self.pick_local(kind)
            if local is None:
                self.const(kind)
            else:
                code += b"\x20" + uleb(local)
        elif pick < 0.30:
            self.const(kind)
        elif pick < 0.50:
            self.expr(kind, depth - 1)
            self.expr(kind, depth - 1)
            code.append(rng.choice(BINARY[kind]))
        elif pick < 0.58:
            source, op = rng.choice(UNARY[kind])
            self.expr(source, depth - 1)
            code += op
        elif pick < 0.64:
            offset = self.address(depth - 1)
            op, _ = rng.choice(LOADS[kind])
            code += bytes([op]) + offset
            if kind in (F32, F64):
                self.canonical(kind)
        elif pick < 0.70 and kind == I32:
            of = rng.choice(TYPES)
            self.expr(of, depth - 1)
            self.expr(of, depth - 1)
            code.append(rng.choice(COMPARE[of]))
        elif pick < 0.74:
            self.expr(kind, depth - 1)
            self.expr(kind, depth - 1)
            self.condition(depth - 1)
            code.append(0x1B)
        elif pick < 0.79:
            local = self.pick_local(kind)
            self.expr(kind, depth - 1)
            if local is not None:
                code += b"\x22" + uleb(local)
        elif pick < 0.84:
            self.block(kind, depth - 1)
        elif pick < 0.88:
            self.if_(kind, depth - 1)
        elif pick < 0.92 and self.call(kind, depth - 1):
            pass
        elif pick < 0.94 and kind in DIVIDE:
            self.expr(kind, depth - 1)
            if rng.random() < 0.5:
                self.const(kind)
            else:
                self.expr(kind, depth - 1)
            if rng.random() < 0.93:  # mostly not zero
                code += b"\x41\x01\x72" if kind == I32 else b"\x42\x01\x84"
            code.append(rng.choice(DIVIDE[kind]))
        elif pick < 0.96:
            found = [i for i, t in enumerate(self.program.globals) if t == kind]
            code += b"\x23" + uleb(rng.choice(found))
        elif pick < 0.98 and self.loop_depth < 2:
            self.loop(kind, depth - 1)
        else:  # a statement in the middle of an expression
            self.expr(kind, depth - 1)
            self.statement(depth - 1)

    def condition(self, depth: int) -> None:
        if self.rng.random() < 0.7:
            of = self.rng.choice(TYPES)
            self.expr(of, depth - 1)
            self.expr(of, depth - 1)
            self.code.append(self.rng.choice(COMPARE[of]))
            if self.rng.random() < 0.2:
                self.code.append(0x45)
        else:
            self.expr(I32, depth)

    def parameters(self, depth: int) -> list[int]:
        """Sometimes values that go into a block: pushed here."""
        if self.rng.random() > 0.2:
            return []
        params = [self.rng.choice(self.program.kinds) for _ in range(self.rng.choice((1, 1, 2, 3)))]
        for kind in params:
            self.expr(kind, depth - 1)
        return params

    def consume(self, kinds: list[int]) -> None:
        """Values on the stack go to locals."""
        for kind in reversed(kinds):
            local = self.pick_local(kind)
            self.code += b"\x21" + uleb(local) if local is not None and self.rng.random() < 0.8 else b"\x1a"

    def block_type(self, params: list[int], results: list[int]) -> bytes:
        if not params and len(results) < 2:
            return encoded(results[0]) if results else bytes([EMPTY])
        return sleb(self.program.type_index(params, results))

    def block(self, kind: int, depth: int) -> None:
        results = [kind] if kind != EMPTY else []
        if kind != EMPTY and self.rng.random() < 0.15:
            results += [self.rng.choice(self.program.kinds) for _ in range(self.rng.choice((1, 2)))]
        params = self.parameters(depth)
        self.code += b"\x02" + self.block_type(params, results)
        self.labels.append(Label(results))
        self.consume(params)
        self.body(results, depth)
        self.labels.pop()
        self.code.append(0x0B)
        self.code += b"\x1a" * (len(results) - 1 if results else 0)

    def if_(self, kind: int, depth: int) -> None:
        results = [kind] if kind != EMPTY else []
        params = self.parameters(depth)
        self.condition(depth)
        self.code += b"\x04" + self.block_type(params, results)
        self.labels.append(Label(results))
        self.consume(params)
        self.body(results, depth)
        if results or params or self.rng.random() < 0.5:
            self.code.append(0x05)
            self.consume(params)
            self.body(results, depth)
        self.labels.pop()
        self.code.append(0x0B)

    def loop(self, kind: int, depth: int) -> None:
        """Runs its body a few times, counted by a local of its own. What it carries on the stack it also leaves."""
        counter = self.program.scratch(self, I32)
        self.counters.append(counter)
        carried = self.parameters(depth)
        self.loop_depth += 1
        self.code += b"\x41" + sleb(self.rng.choice((1, 2, 3, 5))) + b"\x21" + uleb(counter)
        self.code += b"\x03" + self.block_type(carried, carried)
        self.labels.append(Label(None))
        self.consume(carried)
        self.body([], depth)
        for of in carried:
            self.expr(of, depth - 1)
        self.code += b"\x20" + uleb(counter) + b"\x41\x01\x6b\x22" + uleb(counter) + b"\x0d\x00\x0b"
        self.labels.pop()
        self.loop_depth -= 1
        self.counters.remove(counter)
        self.program.release(self, I32, counter)
        self.consume(carried)
        if kind != EMPTY:
            self.expr(kind, 0)

    def body(self, results: list[int], depth: int) -> None:
        for _ in range(self.rng.choice((0, 1, 1, 2, 3))):
            self.statement(depth)
        for kind in results:
            self.expr(kind, depth)
        pick = self.rng.random()
        if results and pick < 0.1:
            self.code += b"\x0c\x00"
        elif pick < 0.15:  # anywhere that takes the same values
            same = [i for i, label in enumerate(reversed(self.labels)) if label.types == results]
            if same:
                chosen = [self.rng.choice(same) for _ in range(self.rng.choice((0, 1, 2, 5, 8)))]
                self.expr(I32, depth - 1)
                self.code += b"\x0e" + uleb(len(chosen)) + b"".join(map(uleb, chosen)) + uleb(self.rng.choice(same))

    def call(self, kind: int, depth: int) -> bool:
        found = [i for i, f in enumerate(self.program.signatures) if i < self.index and f[1] and f[1][0] == kind]
        if not found or self.loop_depth > 1:
            return False
        callee = self.rng.choice(found)
        params, results = self.program.signatures[callee]
        for param in params:
            self.expr(param, depth - 1)
        if self.rng.random() < 0.3:
            self.code += b"\x41" + sleb(callee) + b"\x11" + uleb(self.program.type_index(params, results)) + b"\x00"
        else:
            self.code += b"\x10" + uleb(callee)
        self.code += b"\x1a" * (len(results) - 1)
        return True

    def branch(self, depth: int) -> None:
        """A conditional branch with its values, a br_table, or an unconditional one at the end of a block."""
        targets = [i for i, label in enumerate(reversed(self.labels)) if label.types is not None]
        to = self.rng.choice(targets)
        types = self.labels[len(self.labels) - 1 - to].types
        assert types is not None
        pick = self.rng.random()
        for kind in types:
            self.expr(kind, depth - 1)
        if pick < 0.6:
            self.condition(depth - 1)
            self.code += b"\x0d" + uleb(to) + b"\x1a" * len(types)
            return
        self.code += bytes([0x02, EMPTY]) if not types else b""
        if not types:  # a way around, so that the code behind lives
            self.labels.append(Label(None))  # counted by what is inside
            self.condition(depth - 1)
            self.code += b"\x0d\x00"
            same = [i + 1 for i in targets if self.labels[len(self.labels) - 2 - i].types == types] + [0]
            if pick < 0.85:
                self.expr(I32, depth - 1)
                chosen = [self.rng.choice(same) for _ in range(self.rng.choice((0, 1, 3, 6, 9)))]
                self.code += b"\x0e" + uleb(len(chosen)) + b"".join(map(uleb, chosen)) + uleb(self.rng.choice(same))
            else:
                self.code += b"\x0c" + uleb(self.rng.choice(same))
            self.labels.pop()
            self.code.append(0x0B)
        else:
            self.code += b"\x1a" * len(types)

    def statement(self, depth: int) -> None:
        rng, code = self.rng, self.code
        self.budget -= 1
        if self.budget <= 0:
            return
        pick = rng.random()
        if pick < 0.40:
            kind = rng.choice(self.program.kinds)
            local = self.pick_local(kind)
            if local is not None:
                self.expr(kind, depth)
                code += b"\x21" + uleb(local)
        elif pick < 0.52:
            kind = rng.choice(self.program.kinds)
            self.store(kind, depth)
        elif pick < 0.60 and depth > 0:
            self.block(EMPTY, depth - 1)
        elif pick < 0.70 and depth > 0:
            self.if_(EMPTY, depth - 1)
        elif pick < 0.80 and depth > 0 and self.loop_depth < 3:
            self.loop(EMPTY, depth - 1)
        elif pick < 0.92 and depth > 0:
            self.branch(depth)
        elif pick < 0.96:
            kind = rng.choice(self.program.kinds)
            found = [i for i, t in enumerate(self.program.globals) if t == kind]
            self.expr(kind, depth - 1)
            code += b"\x24" + uleb(rng.choice(found))
        elif pick < 0.98:
            self.bulk(depth)
        else:
            kind = rng.choice(self.program.kinds)
            self.expr(kind, depth - 1)
            code.append(0x1A)

    def bulk(self, depth: int) -> None:
        """What the compiler leaves to the runtime: whole memories and tables."""
        code, pick = self.code, self.rng.randrange(6)
        mask = lambda bits: b"\x41" + sleb(bits) + b"\x71"  # noqa: E731
        if pick < 2:
            for bits in (0x3FFF, 0xFFF, 0xFF):
                self.expr(I32, depth - 1)
                code += mask(bits)
            code += b"\xfc\x0a\0\0" if pick else b"\xfc\x0b\0"
            return
        local = self.pick_local(I32)
        if local is None:
            return
        if pick == 2:
            code += b"\x3f\0\x21" + uleb(local)
        elif pick == 3:
            self.expr(I32, depth - 1)
            code += mask(1) + b"\x40\0\x21" + uleb(local)
        elif pick == 4:
            self.expr(I32, depth - 1)
            code += mask(3) + b"\x25\x01\xd1\x21" + uleb(local)  # table.get, ref.is_null
        else:
            self.expr(I32, depth - 1)
            code += mask(3) + b"\xd2\0\x26\x01"  # ref.func 0, table.set
            code += b"\xfc\x10\x01\x21" + uleb(local)

    def finish(self) -> bytes:
        self.body(self.results, self.rng.choice((2, 3, 4, 5)))
        while self.budget > 0 and self.rng.random() < 0.7:
            self.code += b"\x1a" * len(self.results)
            self.body(self.results, 4)
        groups = [uleb(1) + encoded(t) for t in self.locals]
        body = vector(groups) + bytes(self.code) + b"\x0b"
        return uleb(len(body)) + body


class Program:
    """A module: `binary`; `signatures` of its functions, all exported as f0, f1, ...; its memory is `m`, the 64-bit one `n`."""

    kinds: tuple[int, ...] = TYPES
    last_kinds = TYPES  # in the last function's type
    function: type[Function] = Function
    counts = (1, 2, 4)  # of functions

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.types: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        self.first_type = 0
        self.prepare()
        self.globals = [I32, I64, F32, F64, *self.kinds[4:], *(self.rng.choice(self.kinds) for _ in range(3))]
        self.free: dict[tuple[int, int], list[int]] = {}
        self.signatures: list[tuple[list[int], list[int]]] = []
        self.tags = self.make_tags()
        self.count = count = self.rng.choice(self.counts)
        for i in range(count):
            self.signatures.append(self.make_signature(i, count))
        bodies = [self.function(self, i, p, r).finish() for i, (p, r) in enumerate(self.signatures)]
        more = self.more()
        sections = {
            3: [uleb(self.type_index(p, r)) for p, r in self.signatures],
            4: [b"\x70\0" + uleb(count), b"\x70\0\x04"],
            5: [b"\x01\x01\x03", b"\x05\x01\x01"],
            13: [b"\0" + uleb(self.type_index(of, [])) for of in self.tags],
            6: [encoded(t) + b"\1" + self.initial(t) + b"\x0b" for t in self.globals],
            7: [
                *(bytes([2]) + f"f{i}".encode() + b"\0" + uleb(i) for i in range(count)),
                b"\x01m\x02\0",
                b"\x01n\x02\x01",
            ],
            9: [b"\0\x41\0\x0b" + vector([uleb(i) for i in range(count)])],
            10: bodies,
            11: [],
        }
        types = [b"\x60" + vector([encoded(t) for t in p]) + vector([encoded(t) for t in r]) for p, r in self.types]
        written = [(1, vector(more.pop(1, []) + types))]
        for number, items in sections.items():
            items += more.pop(number, [])
            if number == 10 and more.get(11):
                written.append((12, uleb(len(more[11]))))
            if items:
                written.append((number, vector(items)))
        self.binary = b"\0asm\1\0\0\0" + b"".join(bytes([number]) + uleb(len(body)) + body for number, body in written)

    def prepare(self) -> None:
        """For kinds of programs that make types of their own, before anything else."""

    def more(self) -> dict[int, list[bytes]]:
        """For kinds of programs that have more than functions: items of sections, when all bodies are written."""
        return {}

    def initial(self, kind: int) -> bytes:
        """What a global starts with."""
        return {
            I32: b"\x41\x07",
            I64: b"\x42\x09",
            F32: b"\x43\0\0\x80\x3f",
            F64: b"\x44" + bytes(8),
            V128: b"\xfd\x0c" + bytes(range(16)),
        }[kind]

    def make_signature(self, index: int, count: int) -> tuple[list[int], list[int]]:
        kinds = self.kinds if index < count - 1 else self.last_kinds
        params = [self.rng.choice(kinds) for _ in range(self.rng.choice((0, 1, 2, 4, 9, 20)))]
        return params, [self.rng.choice(kinds) for _ in range(self.rng.choice((1, 1, 1, 2, 4)))]

    def make_tags(self) -> list[list[int]]:
        """For kinds of programs that throw: the types of what they throw."""
        return []

    def type_index(self, params: list[int], results: list[int]) -> int:
        wanted = (tuple(params), tuple(results))
        if wanted not in self.types:
            self.types.append(wanted)
        return self.first_type + self.types.index(wanted)

    def scratch(self, function: Function, kind: int) -> int:
        """A local that the generator uses for itself."""
        spare = self.free.setdefault((function.index, kind), [])
        if kind == I32 and spare:
            return spare.pop()
        if kind != I32 and spare:
            return spare[0]
        function.locals.append(kind)
        index = len(function.params) + len(function.locals) - 1
        if kind != I32:
            spare.append(index)
        return index

    def release(self, function: Function, kind: int, index: int) -> None:
        self.free.setdefault((function.index, kind), []).append(index)
