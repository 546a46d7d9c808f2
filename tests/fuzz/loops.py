"""Random programs (programs.py) whose loops are full of integer expressions over few locals, most of them invariant, with tees in the middle: what the
compiler computes before a loop, and the locals that it moves out of one."""

from __future__ import annotations

from .programs import EMPTY, I32, I64, Function, Program, uleb

BINARY = {I32: b"\x6a\x6a\x6b\x6c\x71\x72\x73\x74\x75\x76", I64: b"\x7c\x7c\x7d\x7e\x83\x84\x85\x86\x87\x88"}
UNARY = {I32: ((I64, b"\xa7"), (I32, b"\xc0"), (I32, b"\xc1")), I64: ((I32, b"\xac"), (I32, b"\xad"), (I64, b"\xc2"), (I64, b"\xc4"))}
FEW = 5


class LoopFunction(Function):
    """Generates one body."""

    def few(self, kind: int) -> list[int]:
        return [i for i, t in enumerate(self.types()) if t == kind and i not in self.counters][:FEW]

    def pure(self, kind: int, depth: int) -> None:
        rng, code = self.rng, self.code
        locals_ = self.few(kind)
        pick = rng.random()
        if depth == 0 or pick < 0.2:
            if self.counters and kind == I32 and rng.random() < 0.2:
                code += b"\x20" + uleb(rng.choice(self.counters))
            elif locals_ and rng.random() < 0.7:
                code += b"\x20" + uleb(rng.choice(locals_))
            else:
                self.const(kind)
        elif pick < 0.4 and locals_:
            self.pure(kind, depth - 1)
            code += b"\x22" + uleb(rng.choice(locals_))
        elif pick < 0.5:
            of, op = rng.choice(UNARY[kind])
            self.pure(of, depth - 1)
            code += op
        else:
            self.pure(kind, depth - 1)
            self.pure(kind, depth - 1)
            code.append(rng.choice(BINARY[kind]))

    def other(self, kind: int, depth: int) -> bool:
        if kind not in BINARY or not self.loop_depth or self.rng.random() < 0.3:
            return False
        self.pure(kind, self.rng.choice((1, 2, 3, 4)))
        return True

    def body(self, results: list[int], depth: int) -> None:
        if self.loop_depth and self.labels[-1].types is None:
            for _ in range(self.rng.choice((0, 1, 2, 4, 6))):
                kind = self.rng.choice((I32, I32, I64))
                if self.rng.random() < 0.1:
                    self.block(EMPTY, 1)
                locals_ = self.few(kind)
                self.pure(kind, self.rng.choice((1, 2, 3)))
                self.code += b"\x21" + uleb(self.rng.choice(locals_)) if locals_ else b"\x1a"
        super().body(results, depth)


class LoopProgram(Program):
    """A module: see Program."""

    function = LoopFunction
