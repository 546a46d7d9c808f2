"""Random programs that throw and catch: try_tables around calls and values, catches that branch to whatever label takes what they send, exceptions
kept in locals and thrown again, and tail calls between functions of any signatures. Nothing else differs from programs.py."""

from __future__ import annotations

from .programs import EMPTY, I32, TYPES, Function, Label, Program, uleb, vector

EXNREF = 0x69
CATCH, CATCH_REF, CATCH_ALL, CATCH_ALL_REF = range(4)


class ThrowingFunction(Function):
    program: ThrowingProgram

    def other(self, kind: int, depth: int) -> bool:
        if depth < 2 or self.rng.random() > 0.12:
            return super().other(kind, depth)
        self.try_(kind, depth - 1)
        return True

    def statement(self, depth: int) -> None:
        pick = self.rng.random()
        if pick > 0.12 or depth < 2 or self.budget <= 0:
            super().statement(depth)
        elif pick < 0.06:
            self.throw(depth)
        elif pick < 0.08:
            self.tail_call(depth)
        else:
            self.try_(EMPTY, depth - 1)

    def throw(self, depth: int) -> None:
        """Sometimes: what is behind it lives."""
        self.budget -= 2
        tag = self.rng.randrange(len(self.program.tags))
        self.condition(depth - 1)
        self.code += bytes([0x04, EMPTY])
        self.labels.append(Label([]))
        for kind in self.program.tags[tag]:
            self.expr(kind, depth - 2)
        self.code += b"\x08" + uleb(tag)
        self.labels.pop()
        self.code.append(0x0B)

    def tail_call(self, depth: int) -> None:
        same = [i for i, f in enumerate(self.program.signatures) if i < self.index and f[1] == self.results]
        if not same or self.loop_depth > 1:
            return
        callee = self.rng.choice(same)
        params, results = self.program.signatures[callee]
        self.condition(depth - 1)
        self.code += bytes([0x04, EMPTY])
        self.labels.append(Label([]))
        for kind in params:
            self.expr(kind, depth - 2)
        if self.rng.random() < 0.3:
            self.code += b"\x41" + uleb(callee) + b"\x13" + uleb(self.program.type_index(params, results)) + b"\x00"
        else:
            self.code += b"\x12" + uleb(callee)
        self.labels.pop()
        self.code.append(0x0B)

    def catches(self, handler: bytes) -> bytes:
        """The clauses of a try_table: the handler of its own, and ways out to labels around it."""
        clauses = [handler]
        for _ in range(self.rng.choice((0, 0, 1, 2))):
            tag = self.rng.randrange(len(self.program.tags))
            sent: list[int] = []
            clause = bytes([CATCH_ALL])
            if self.rng.random() < 0.7:
                sent = self.program.tags[tag]
                clause = bytes([CATCH]) + uleb(tag)
            found = [i for i, label in enumerate(reversed(self.labels)) if label.types == sent]
            if found:
                clauses.insert(self.rng.randrange(len(clauses) + 1), clause + uleb(self.rng.choice(found)))
        return vector(clauses)

    def try_(self, kind: int, depth: int) -> None:
        self.budget -= 2
        results = [kind] if kind != EMPTY else []
        tag = self.rng.randrange(len(self.program.tags))
        how = self.rng.choice((CATCH, CATCH, CATCH_REF, CATCH_ALL, CATCH_ALL_REF))
        sent = self.program.tags[tag] if how <= CATCH_REF else []
        with_ref = how in (CATCH_REF, CATCH_ALL_REF)
        handled = sent + [EXNREF] * with_ref
        # block $out (block $handler (try_table ... body) (br $out)) handler
        self.code += b"\x02" + self.block_type([], results)
        self.labels.append(Label(results))
        self.code += b"\x02" + self.block_type([], handled)
        self.labels.append(Label(None if with_ref else handled))
        params = self.parameters(depth)
        clauses = self.catches(bytes([how]) + (uleb(tag) if how <= CATCH_REF else b"") + b"\x00")
        self.code += b"\x1f" + self.block_type(params, results) + clauses
        self.labels.append(Label(results))
        self.consume(params)
        self.body(results, depth)
        self.labels.pop()
        self.code += b"\x0b\x0c\x01"
        self.labels.pop()
        self.code.append(0x0B)
        if with_ref:
            self.again(depth)
        self.consume(sent)
        self.body(results, depth - 1)
        self.labels.pop()
        self.code.append(0x0B)

    def again(self, depth: int) -> None:
        """The exception on the stack is kept, and sometimes thrown once more."""
        kept = self.program.scratch(self, EXNREF)
        self.code += b"\x21" + uleb(kept)
        self.condition(depth - 1)
        self.code += bytes([0x04, EMPTY]) + b"\x20" + uleb(kept) + b"\x0a\x0b"


class ThrowingProgram(Program):
    function = ThrowingFunction

    def make_tags(self) -> list[list[int]]:
        picks = [[], [I32], *([self.rng.choice(TYPES) for _ in range(self.rng.choice((1, 2, 3)))] for _ in range(2))]
        return picks[: self.rng.choice((1, 2, 4))]
