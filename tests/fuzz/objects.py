"""Random programs (programs.py) of structs, arrays and references to everything, beside exceptions, tail calls and vectors: types that refer to each other
and narrow each other, casts that hold and that do not, objects in all that holds values. What lies in the heap cannot be seen from outside, so a
program can walk it: `walk` makes a number of all that can be reached from a reference, `d` one of all that globals and tables lead to.
"""

from __future__ import annotations

from .programs import (
    ABSTRACT,
    EMPTY,
    F32,
    F64,
    I32,
    I64,
    NULLABLE,
    REFERENCE,
    TYPES,
    V128,
    Label,
    encoded,
    heap_code,
    sleb,
    uleb,
    vector,
)
from .throwing import ThrowingFunction, ThrowingProgram
from .vectors import VectorFunction

I8, I16 = 0x78, 0x77
ANY, EQ, I31, STRUCT, ARRAY, FUNC, EXTERN = (REFERENCE | NULLABLE | ABSTRACT | code for code in (0x6E, 0x6D, 0x6C, 0x6B, 0x6A, 0x70, 0x6F))
OF_ANY = (ANY, EQ, I31, STRUCT, ARRAY)
WALK_DEPTH = 4
CALLEE = 0  # the function that references are called by
TABLE, FROM_ELEM = 2, 3
DATA, ELEM = 0, 1


def sure(kind: int) -> int:
    """The same without null."""
    return kind & ~NULLABLE


def is_ref(kind: int) -> bool:
    return kind >= REFERENCE


def get(local: int) -> bytes:
    return b"\x20" + uleb(local)


class Definition:
    """A struct or an array (of one field) of a program: `fields` are pairs of a storage type and whether it can be set."""

    def __init__(self, kind: int, is_array: bool, above: Definition | None, fields: list[tuple[int, bool]]) -> None:
        self.kind, self.is_array, self.above, self.fields = kind, is_array, above, fields
        self.index = uleb(kind & 0xFFF)
        self.has_default = all(not is_ref(storage) or storage & NULLABLE for storage, _ in fields)

    def is_below(self, other: Definition) -> bool:
        return self is other or (self.above is not None and self.above.is_below(other))

    def binary(self, is_final: bool) -> bytes:
        fields = [encoded(storage) + bytes([is_mutable]) for storage, is_mutable in self.fields]
        prefix = bytes([0x4F if is_final else 0x50]) + vector([self.above.index] if self.above else [])
        return prefix + (b"\x5e" + fields[0] if self.is_array else b"\x5f" + vector(fields))


class ObjectFunction(ThrowingFunction, VectorFunction):
    program: ObjectProgram

    # ---- what there is ------------------------------------------------------------------------------------------------------------

    def matches(self, kind: int, wanted: int) -> bool:
        if kind == wanted or sure(kind) == wanted:
            return kind == wanted or not kind & NULLABLE
        return kind | NULLABLE in self.program.below(wanted | NULLABLE) and (not kind & NULLABLE or bool(wanted & NULLABLE))

    def readable(self, kind: int) -> list[int]:
        return [i for i, t in enumerate(self.types()) if is_ref(t) and self.matches(t, kind)]

    def definition(self, kind: int) -> Definition | None:
        return None if kind & ABSTRACT or kind | NULLABLE == self.program.callee_kind else self.program.definitions[kind & 0xFFF]

    # ---- references ---------------------------------------------------------------------------------------------------------------

    def expr(self, kind: int, depth: int) -> None:
        if not is_ref(kind):
            super().expr(kind, depth)
            return
        self.budget -= 1
        rng, code = self.rng, self.code
        found = self.readable(kind)
        if depth <= 0 or self.budget <= 0:
            if found and rng.random() < 0.75:
                code += get(rng.choice(found))
            else:
                self.least(kind)
            return
        pick = rng.random()
        if pick < 0.20 and found:
            code += get(rng.choice(found))
        elif pick < 0.40:
            self.new(kind, depth - 1)
        elif pick < 0.50:
            self.read(kind, depth - 1)
        elif pick < 0.58:
            self.narrowed(kind, depth - 1)
        elif pick < 0.62:
            self.expr(kind, depth - 1)
            self.expr(kind, depth - 1)
            self.condition(depth - 1)
            code += b"\x1c\x01" + encoded(kind)
        elif pick < 0.66:
            self.block(kind, depth - 1)
        elif pick < 0.70:
            self.if_(kind, depth - 1)
        elif pick < 0.74 and self.loop_depth < 2:
            self.loop(kind, depth - 1)
        elif pick < 0.78 and self.call(kind, depth - 1):
            pass
        elif pick < 0.82:
            self.try_(kind, depth - 1)
        elif pick < 0.86:
            local = self.pick_local(kind)
            self.expr(kind, depth - 1)
            if local is not None:
                code += b"\x22" + uleb(local)
        elif pick < 0.90:
            globals_ = [i for i, t in enumerate(self.program.globals) if is_ref(t) and self.matches(t, kind)]
            if globals_:
                code += b"\x23" + uleb(rng.choice(globals_))
            else:
                self.least(kind)
        elif pick < 0.93:
            self.expr(kind, depth - 1)
            self.statement(depth - 1)
        elif kind & NULLABLE:
            if rng.random() < 0.3:
                code += b"\xd0" + sleb(heap_code(kind))
            else:
                self.expr(sure(kind), depth - 1)
        else:
            self.not_null(kind, depth - 1)

    def least(self, kind: int) -> None:
        """Something of this type that takes no other."""
        definition = self.definition(kind)
        if kind & NULLABLE:
            self.code += b"\xd0" + sleb(heap_code(kind))
        elif definition is None or not definition.has_default:
            self.new(kind, 0)
        elif definition.is_array:
            self.code += b"\x41" + sleb(self.rng.choice((0, 1, 2))) + b"\xfb\x07" + definition.index
        else:
            self.code += b"\xfb\x01" + definition.index

    def storage(self, storage: int, depth: int) -> None:
        """A value for a field."""
        kind = I32 if storage in (I8, I16) else storage
        self.expr(kind, depth)
        if kind in (F32, F64):
            self.canonical(kind)

    def new(self, kind: int, depth: int) -> None:
        """A new object, or what else is not null."""
        rng, code = self.rng, self.code
        kind |= NULLABLE
        if kind == EXTERN:
            self.expr(sure(ANY), depth)
            code += b"\xfb\x1b"
            return
        if kind in (FUNC, self.program.callee_kind):
            others = [i for i in range(self.program.count) if kind == FUNC or i == CALLEE]
            code += b"\xd2" + uleb(rng.choice(others))
            return
        if kind == I31 or (kind in (ANY, EQ) and (depth <= 0 or rng.random() < 0.2)):
            self.expr(I32, depth)
            code += b"\xfb\x1c"
            return
        if kind & ABSTRACT and rng.random() < 0.05 and kind == ANY:
            self.expr(sure(EXTERN), depth)
            code += b"\xfb\x1a"
            return
        definition = rng.choice([d for d in self.program.definitions if d.kind in self.program.below(kind)])
        storage = definition.fields[0][0] if definition.fields else 0
        pick = rng.random()
        if definition.has_default and (pick < 0.15 or len(definition.fields) > max(depth, 0) * 6 + 2):
            if definition.is_array:
                self.length(depth)
            code += (b"\xfb\x07" if definition.is_array else b"\xfb\x01") + definition.index
        elif not definition.is_array:
            for of, _ in definition.fields:
                self.storage(of, depth - 1)
            code += b"\xfb\x00" + definition.index
        elif pick < 0.45:
            self.storage(storage, depth - 1)
            self.length(depth)
            code += b"\xfb\x06" + definition.index
        elif pick < 0.60 and not is_ref(storage):
            self.small(depth, 3)
            self.small(depth, 3)
            code += b"\xfb\x09" + definition.index + uleb(DATA)
        elif pick < 0.70 and storage == ANY:
            self.small(depth, 3)
            self.small(depth, 3)
            code += b"\xfb\x0a" + definition.index + uleb(ELEM)
        else:
            count = rng.choice((0, 1, 2, 3, 5, 20 if depth > 1 else 4))
            for _ in range(count):
                self.storage(storage, min(depth - 1, 1))
            code += b"\xfb\x08" + definition.index + uleb(count)

    def small(self, depth: int, mask: int) -> None:
        self.expr(I32, depth - 1)
        self.code += b"\x41" + sleb(mask) + b"\x71"

    def length(self, depth: int) -> None:
        self.small(depth, self.rng.choice((3, 7, 15, 63, 127 if self.loop_depth == 0 else 3)))

    def read(self, kind: int, depth: int) -> bool:
        """A field, an item or an element of this type, packed ones for I32 too."""
        storages = (I32, I8, I16) if kind == I32 else (kind,)
        places = [
            (d, i)
            for d in self.program.definitions
            for i, (storage, _) in enumerate(d.fields)
            if storage in storages or (is_ref(kind) and is_ref(storage) and self.matches(storage, kind))
        ]
        if kind == ANY and self.rng.random() < 0.2:
            self.small(depth, 3)
            self.code += b"\x25" + uleb(TABLE)
            return True
        if not places:
            if is_ref(kind):
                self.least(kind)
            return False
        definition, field = self.rng.choice(places)
        opcode = self.rng.choice((3, 4)) if definition.fields[field][0] in (I8, I16) else 2
        if definition.is_array:
            self.item(definition, depth)
            self.code += bytes([0xFB, opcode + 9]) + definition.index
        else:
            self.expr(definition.kind if self.rng.random() < 0.1 else sure(definition.kind), depth)
            self.code += bytes([0xFB, opcode]) + definition.index + uleb(field)
        return True

    def item(self, definition: Definition, depth: int) -> None:
        """An array and the index of an item that it mostly has."""
        self.expr(sure(definition.kind), depth)
        if self.rng.random() < 0.2:
            self.small(depth, 3)
            return
        kept = self.program.scratch(self, definition.kind)
        self.code += b"\x22" + uleb(kept)
        self.small(depth, 0x7F)
        self.code += get(kept) + b"\xfb\x0f\x70"  # rem_u by the length; the array may be another by now, or the scratch null

    def not_null(self, kind: int, depth: int) -> None:
        code, pick = self.code, self.rng.random()
        if pick < 0.1:
            self.expr(kind | NULLABLE, depth)
            code += b"\xd4"
            return
        code += b"\x02" + encoded(kind)
        self.labels.append(Label([kind]))
        if pick < 0.6:
            self.expr(kind | NULLABLE, depth)
            code += b"\xd6\x00"
        else:
            code += b"\x02" + bytes([EMPTY])
            self.labels.append(Label([]))
            self.expr(kind | NULLABLE, depth)
            code += b"\xd5\x00\x0c\x01\x0b"
            self.labels.pop()
        self.new(kind, depth - 1)
        self.labels.pop()
        code.append(0x0B)

    def narrowed(self, kind: int, depth: int) -> None:
        """A cast from a type above it, mostly one that goes elsewhere when it fails."""
        code, rng = self.code, self.rng
        above = [t for t in self.program.references if kind | NULLABLE in self.program.below(t)]
        source = rng.choice(above)
        flags = bytes([1 | (2 if kind & NULLABLE else 0)])
        casts = sleb(heap_code(source)) + sleb(heap_code(kind))
        pick = rng.random()
        if pick < 0.1:
            self.expr(source, depth)
            code += (b"\xfb\x17" if kind & NULLABLE else b"\xfb\x16") + sleb(heap_code(kind))
            return
        code += b"\x02" + encoded(kind)
        self.labels.append(Label([kind]))
        if pick < 0.5:
            self.expr(source, depth)
            code += b"\xfb\x18" + flags + b"\x00" + casts + b"\x1a"
        else:
            code += b"\x02" + encoded(source)
            self.labels.append(Label([source]))
            self.expr(source, depth)
            code += b"\xfb\x19" + flags + b"\x00" + casts + b"\x0c\x01\x0b\x1a"
            self.labels.pop()
        self.new(kind, depth - 1)
        self.labels.pop()
        code.append(0x0B)

    # ---- numbers of references, and what changes objects --------------------------------------------------------------------------------

    def other(self, kind: int, depth: int) -> bool:
        rng, code = self.rng, self.code
        if rng.random() > 0.35 or depth < 2:
            return super().other(kind, depth)
        pick = rng.random()
        if pick < 0.45 or kind not in (I32, I64):
            return self.read(kind, depth - 1) or super().other(kind, depth)
        if pick < 0.55 and self.index > CALLEE and self.loop_depth < 2:
            callee_params, results = self.program.signatures[CALLEE]
            if results != [kind]:
                return super().other(kind, depth)
            for param in callee_params:
                self.expr(param, depth - 1)
            self.expr(sure(self.program.callee_kind), depth - 1)
            code += b"\x14" + uleb(self.program.callee_kind & 0xFFF)
            return True
        if kind == I64:
            self.expr(ANY, depth - 1)
            code += b"\x41" + sleb(2) + b"\x10" + uleb(self.program.walk)
            return True
        if pick < 0.65:
            self.expr(sure(ARRAY), depth - 1)
            code += b"\xfb\x0f"
        elif pick < 0.75:
            self.expr(EQ, depth - 1)
            self.expr(EQ, depth - 1)
            code.append(0xD3)
        elif pick < 0.82:
            self.expr(rng.choice(self.program.references), depth - 1)
            code.append(0xD1)
        elif pick < 0.9:
            self.expr(sure(I31), depth - 1)
            code += rng.choice((b"\xfb\x1d", b"\xfb\x1e"))
        else:
            wanted = rng.choice([*OF_ANY, *(d.kind for d in self.program.definitions)])
            self.expr(ANY, depth - 1)
            code += rng.choice((b"\xfb\x14", b"\xfb\x15")) + sleb(heap_code(wanted))
        return True

    def store(self, kind: int, depth: int) -> None:
        """To a field, an item, an element; scalars to memory too."""
        rng, code = self.rng, self.code
        storages = (I32, I8, I16) if kind == I32 else (kind,)
        places = [(d, i) for d in self.program.definitions for i, f in enumerate(d.fields) if f[0] in storages and f[1]]
        if kind == ANY and rng.random() < 0.4:
            self.small(depth, 3)
            self.expr(ANY, depth)
            code += b"\x26" + uleb(TABLE)
        elif not places or (not is_ref(kind) and rng.random() < 0.3):
            if not is_ref(kind):
                super().store(kind, depth)
        else:
            definition, field = rng.choice(places)
            storage = definition.fields[field][0]
            if definition.is_array:
                self.item(definition, depth - 1)
                self.storage(storage, depth - 1)
                code += b"\xfb\x0e" + definition.index
            else:
                self.expr(sure(definition.kind), depth - 1)
                self.storage(storage, depth - 1)
                code += b"\xfb\x05" + definition.index + uleb(field)

    def bulk(self, depth: int) -> None:
        """Ranges of arrays and of the table of objects."""
        rng, code = self.rng, self.code
        arrays = [d for d in self.program.definitions if d.is_array and d.fields[0][1]]
        pick = rng.random()
        if pick < 0.2:
            super().bulk(depth)
        elif pick < 0.3:
            self.small(depth, 1)
            self.small(depth, 1)
            self.small(depth, 3)
            code += rng.choice((b"\xfc\x0e\x02\x02", b"\xfc\x0c\x01\x02"))  # table.copy, table.init
        elif pick < 0.4:
            local = self.pick_local(I32)
            if local is not None:
                self.expr(ANY, depth - 1)
                self.small(depth, 1)
                code += b"\xfc\x0f\x02\x21" + uleb(local)  # table.grow
        elif arrays:
            definition = rng.choice(arrays)
            storage = definition.fields[0][0]
            self.expr(sure(definition.kind), depth - 1)
            self.small(depth, 1)
            if pick < 0.6:
                self.storage(storage, depth - 1)
                self.small(depth, 3)
                code += b"\xfb\x10" + definition.index
            elif pick < 0.75 and not is_ref(storage):
                self.small(depth, 3)
                self.small(depth, 1)
                code += b"\xfb\x12" + definition.index + uleb(DATA)
            elif pick < 0.75 and storage == ANY:
                self.small(depth, 3)
                self.small(depth, 1)
                code += b"\xfb\x13" + definition.index + uleb(ELEM)
            else:
                sources = [
                    d
                    for d in self.program.definitions
                    if d.is_array and (d.fields[0][0] == storage or (is_ref(storage) and is_ref(d.fields[0][0]) and self.matches(d.fields[0][0], storage)))
                ]
                source = rng.choice(sources)
                self.expr(sure(source.kind), depth - 1)
                self.small(depth, 1)
                self.small(depth, 3)
                code += b"\xfb\x11" + definition.index + source.index

    def statement(self, depth: int) -> None:
        if self.budget > 0 and depth > 1 and self.rng.random() < 0.06:
            pick = self.rng.random()
            if pick < 0.4:
                self.bulk(depth - 1)
            elif pick < 0.6:
                self.chain()
            elif pick < 0.9:
                self.churn()
            elif self.index > CALLEE and self.results == self.program.signatures[CALLEE][1] and self.loop_depth < 2:
                self.condition(depth - 1)
                self.code += bytes([0x04, EMPTY])
                self.labels.append(Label([]))
                for param in self.program.signatures[CALLEE][0]:
                    self.expr(param, depth - 2)
                self.expr(sure(self.program.callee_kind), depth - 2)
                self.code += b"\x15" + uleb(self.program.callee_kind & 0xFFF)
                self.labels.pop()
                self.code.append(0x0B)
            return
        super().statement(depth)

    def finish(self) -> bytes:
        for _ in range(4):
            self.chain()
        return super().finish()

    def chain(self) -> None:
        """Objects that only globals lead to, some of them far away."""
        if self.loop_depth > 1:
            return
        rng, code, globals_ = self.rng, self.code, self.program.globals
        counter = self.program.scratch(self, I32)
        code += b"\x41" + sleb(rng.choice((1, 3, 6))) + b"\x21" + uleb(counter) + b"\x03" + bytes([EMPTY])
        for definition in rng.sample(self.program.definitions, 2):
            to_table = rng.random() < 0.3
            code += b"\x41" + sleb(rng.randrange(4)) if to_table else b""
            fields = [storage for storage, _ in definition.fields] * (rng.choice((1, 2, 3, 5)) if definition.is_array else 1)
            for storage in fields:
                found = [i for i, t in enumerate(globals_) if is_ref(t) and is_ref(storage) and self.matches(t, storage)]
                if found:
                    code += b"\x23" + uleb(rng.choice(found))
                elif storage == I64:
                    code += get(counter) + b"\xac"
                elif storage in (I8, I16, I32):
                    code += get(counter)
                elif is_ref(storage):
                    self.least(storage)
                else:
                    self.const(storage)
            code += (b"\xfb\x08" if definition.is_array else b"\xfb\x00") + definition.index
            code += uleb(len(fields)) if definition.is_array else b""
            if to_table:
                code += b"\x26" + uleb(TABLE)
                continue
            code += b"\x24" + uleb(rng.choice([i for i, t in enumerate(globals_) if is_ref(t) and self.matches(sure(definition.kind), t)]))
        code += get(counter) + b"\x41\x01\x6b\x22" + uleb(counter) + b"\x0d\x00\x0b"
        self.program.release(self, I32, counter)
        self.churn()

    def churn(self) -> None:
        """Objects that nobody keeps, so that what the collector leaves free is written to."""
        definition = self.rng.choice(self.program.definitions)
        if self.loop_depth < 2 and definition.has_default:
            counter = self.program.scratch(self, I32)
            self.code += b"\x41" + sleb(self.rng.choice((3, 20, 50))) + b"\x21" + uleb(counter) + b"\x03" + bytes([EMPTY])
            if definition.is_array:
                self.code += b"\x41\xff\x01" if definition.fields[0][0] != V128 else b"\x41\x07"
            self.code += (b"\xfb\x07" if definition.is_array else b"\xfb\x01") + definition.index + b"\x1a"
            self.code += get(counter) + b"\x41\x01\x6b\x22" + uleb(counter) + b"\x0d\x00\x0b"
            self.program.release(self, I32, counter)

    def consume(self, kinds: list[int]) -> None:
        for kind in reversed(kinds):
            local = self.pick_local(kind | NULLABLE if is_ref(kind) else kind)
            self.code += b"\x21" + uleb(local) if local is not None and self.rng.random() < 0.8 else b"\x1a"


class ObjectProgram(ThrowingProgram):
    """The last function has no references and vectors in its type, so that the oracle can call it; it passes them to the others."""

    function = ObjectFunction
    counts = (2, 3, 5)

    def prepare(self) -> None:
        rng = self.rng
        self.definitions: list[Definition] = []
        count = rng.choice((2, 4, 8))
        self.first_type = count
        shapes = [rng.random() < 0.4 for _ in range(count)]
        shapes[0], shapes[1] = False, True
        concrete = [REFERENCE | NULLABLE | i for i in range(count)]
        for i, is_array in enumerate(shapes):
            above = rng.choice([None, *(d for d in self.definitions if d.is_array == is_array)])
            storages = [I8, I16, *TYPES, V128, ANY, ANY, EQ, EXTERN, FUNC, sure(EQ), sure(I31), I31, STRUCT, *concrete, *concrete]
            if is_array:
                fields = above.fields if above else [(rng.choice(storages), rng.random() < 0.8)]
            else:
                fields = [(rng.choice(storages), rng.random() < 0.8) for _ in range(rng.choice((0, 1, 2, 3, 6, 14)))]
                inherited = above.fields if above else []
                narrowed = [(rng.choice(concrete[:1]), False) if f in ((ANY, False), (EQ, False), (STRUCT, False)) else f for f in inherited]
                fields = [*(narrowed if rng.random() < 0.5 else inherited), *fields]
            self.definitions.append(Definition(concrete[i], is_array, above, fields))
        self.is_final = [not any(e.above is d for e in self.definitions) and rng.random() < 0.5 for d in self.definitions]
        self.callee_kind = REFERENCE | NULLABLE | self.type_index([I32, I64, *concrete[:2]], [I32])
        self.references = [*OF_ANY, EXTERN, FUNC, self.callee_kind, *concrete]
        self.kinds = (*TYPES, V128, *self.references)

    def below(self, kind: int) -> list[int]:
        """A nullable type and what is under it."""
        if kind in (EXTERN, self.callee_kind, I31):
            return [kind]
        if kind == FUNC:
            return [FUNC, self.callee_kind]
        if not kind & ABSTRACT:
            top = self.definitions[kind & 0xFFF]
            return [d.kind for d in self.definitions if d.is_below(top)]
        structs = [STRUCT, *(d.kind for d in self.definitions if not d.is_array)]
        arrays = [ARRAY, *(d.kind for d in self.definitions if d.is_array)]
        return {STRUCT: structs, ARRAY: arrays, EQ: [EQ, I31, *structs, *arrays], ANY: [ANY, EQ, I31, *structs, *arrays]}[kind]

    def make_signature(self, index: int, count: int) -> tuple[list[int], list[int]]:
        if index == CALLEE:
            params, results = self.types[0]
            return list(params), list(results)
        params, results = super().make_signature(index, count)
        if index < count - 1:
            for kinds in (params, results):
                kinds[:] = [sure(t) if is_ref(t) and self.rng.random() < 0.3 else t for t in kinds]
        return params, results

    def make_tags(self) -> list[list[int]]:
        tags = super().make_tags()
        return [*tags, [self.rng.choice(self.kinds), sure(self.rng.choice(self.references))]]

    @property
    def walk(self) -> int:
        return self.count

    def initial(self, kind: int) -> bytes:
        if not is_ref(kind):
            return super().initial(kind)
        if kind in (ANY, EQ, I31):
            return b"\x41\x2a\xfb\x1c"
        return b"\xd0" + sleb(heap_code(kind))

    def more(self) -> dict[int, list[bytes]]:
        group = b"\x4e" + vector([d.binary(final) for d, final in zip(self.definitions, self.is_final, strict=True)])
        walk_type, digest_type = self.type_index([ANY, I32], [I64]), self.type_index([], [I64])
        elements = [b"\xd0\x6e\x0b", b"\x41\x05\xfb\x1c\x0b"]
        elements += [b"\xfb\x01" + d.index + b"\x0b" for d in self.definitions if d.has_default and not d.is_array]
        elements += [b"\x41\x03\xfb\x07" + d.index + b"\x0b" for d in self.definitions if d.has_default and d.is_array]
        return {
            1: [group],
            3: [uleb(walk_type), uleb(digest_type)],
            4: [encoded(ANY) + b"\x01\x04\x10", encoded(ANY) + b"\x00\x08"],
            7: [b"\x01d\0" + uleb(self.count + 1)],
            9: [b"\x05" + encoded(ANY) + vector((elements * 8)[:8])],
            10: [self.walk_body(), self.digest_body()],
            11: [b"\x01" + vector([bytes([i * 37 & 0x7F]) for i in range(256)])],
        }

    def walk_body(self) -> bytes:
        """(param $what anyref) (param $depth i32) (result i64); locals: the number so far, an index, what it is as each definition."""
        what, depth, number, index, first = range(5)
        code = bytearray(get(what) + b"\xd1\x04\x40\x42\x03\x0f\x0b" + get(depth) + b"\x45\x04\x40\x42\x05\x0f\x0b")

        def mix() -> None:  # number = rotl(number, 7) * 31 + what is on the stack
            nonlocal code
            code += get(number) + b"\x42\x07\x89\x42\x1f\x7e\x7c\x21" + uleb(number)

        def value(storage: int, read: bytes) -> None:
            nonlocal code
            if storage == V128:
                for lane in (0, 1):
                    code += read + b"\xfd\x1d" + bytes([lane])
                    mix()
                return
            code += read
            if storage == F32:
                code += b"\xbc\xac"
            elif storage == F64:
                code += b"\xbd"
            elif storage in (I8, I16, I32):
                code += b"\xac"
            elif storage | NULLABLE == EXTERN or (is_ref(storage) and storage | NULLABLE in self.below(ANY)):
                code += b"\xfb\x1a" if storage | NULLABLE == EXTERN else b""
                code += get(depth) + b"\x41\x01\x6b\x10" + uleb(self.walk)
            elif is_ref(storage):
                code += b"\xd1\xad"
            mix()

        for at in sorted(range(len(self.definitions)), reverse=True):  # what is below has the higher index
            definition, local = self.definitions[at], first + at
            code += b"\x02" + encoded(ANY) + get(what)
            code += b"\xfb\x19\x01\x00\x6e" + sleb(at) + b"\x21" + uleb(local) + b"\x42" + sleb(at + 11) + b"\x21" + uleb(number)
            for i, (storage, _) in enumerate(definition.fields):
                suffix = 1 if storage in (I8, I16) else 0
                if not definition.is_array:
                    value(storage, get(local) + bytes([0xFB, 2 + suffix]) + definition.index + uleb(i))
                    continue
                code += get(local) + b"\xfb\x0f\xad"
                mix()
                code += b"\x41\x00\x21" + uleb(index) + b"\x02\x40\x03\x40" + get(index) + get(local) + b"\xfb\x0f"
                code += b"\x4f" + get(index) + b"\x41\x05\x4f\x72\x0d\x01"  # the first five
                value(storage, get(local) + get(index) + bytes([0xFB, 0x0B + suffix]) + definition.index)
                code += get(index) + b"\x41\x01\x6a\x21" + uleb(index) + b"\x0c\x00\x0b\x0b"
            code += get(number) + b"\x0f\x0b\x1a"
        code += b"\x02" + encoded(ANY) + get(what) + b"\xfb\x19\x01\x00\x6e\x6c\xfb\x1d\xac\x0f\x0b\x1a\x42\x0d\x0b"
        groups = [uleb(1) + encoded(t) for t in (I64, I32, *(d.kind for d in self.definitions))]
        body = vector(groups) + bytes(code)
        return uleb(len(body)) + body

    def digest_body(self) -> bytes:
        code = bytearray(b"\x41\x00\x41\x00\x41\x08\xfc\x0c" + uleb(ELEM) + uleb(FROM_ELEM) + b"\x42\x00")
        reads = [b"\x23" + uleb(i) for i, t in enumerate(self.globals) if is_ref(t) and t in self.below(ANY)]
        reads += [b"\x23" + uleb(i) + b"\xfb\x1a" for i, t in enumerate(self.globals) if t == EXTERN]
        reads += [b"\x41" + sleb(i) + b"\x25" + uleb(TABLE) for i in range(4)]
        reads += [b"\x41" + sleb(i) + b"\x25" + uleb(FROM_ELEM) for i in range(8)]
        for read in reads:
            code += b"\x42\x1f\x7e" + read + b"\x41" + sleb(WALK_DEPTH) + b"\x10" + uleb(self.walk) + b"\x7c"
        body = b"\0" + bytes(code) + b"\x0b"
        return uleb(len(body)) + body
