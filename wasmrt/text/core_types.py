"""Types of core WebAssembly, from text to the bytes of the binary format.

A value type is kept as its bytes: comparing and encoding are what it is used for. Where a type index comes from is the
owner's business (`type_index`): a module's own types, or a component's core types.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from wasmrt.binary.type_decoder import CORE_VALTYPES, HEAP_TYPES
from wasmrt.spec.leb128 import sleb, uleb, vector
from wasmrt.spec.valtypes import HEAP_EXN, HEAP_NAMES, valtype_str

from . import lexer
from .parser import ID, Cursor

HEAP_BYTES = {HEAP_NAMES[heap]: bytes((code,)) for code, heap in HEAP_TYPES.items()}
# the shorthands of the bottom types leave the "o" of "no" out: nullfuncref is (ref null nofunc)
REF_BYTES = {
    (name + "ref" if heap <= HEAP_EXN else "null" + name[2:].removeprefix("ne") + "ref"): HEAP_BYTES[name]
    for heap, name in enumerate(HEAP_NAMES)
}
VALTYPE_BYTES = {valtype_str(word): bytes((code,)) for code, word in CORE_VALTYPES.items()} | REF_BYTES
PACKED_BYTES = {"i8": b"\x78", "i16": b"\x77"}
REF, REF_NULL = b"\x64", b"\x63"
FUNC, STRUCT, ARRAY = b"\x60", b"\x5f", b"\x5e"


class Signature(NamedTuple):
    """A function type: the bytes of its value types."""

    params: tuple[bytes, ...] = ()
    results: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        return FUNC + vector(list(self.params)) + vector(list(self.results))


class LocalName(NamedTuple):
    """What a parameter or local is called: its identifier at token `at`, and the name of an annotation."""

    number: int
    id: ID | None
    at: int
    annotated: bytes | None


class TypeUse(NamedTuple):
    """`(type x)? (param ...)* (result ...)*` as written. `at` is its first token; `names` are its parameters'."""

    at: int
    type_index: int | None
    signature: Signature
    inline: bool
    names: tuple[LocalName, ...]


_NO_SIGNATURE = Signature()
_NO_TYPE_USE = TypeUse(0, None, _NO_SIGNATURE, False, ())
TYPE_USE_WORDS = frozenset(("type", "param", "result"))


class Limits(NamedTuple):
    """What a memory or a table type says about size, with the flags of the binary format."""

    flags: int
    minimum: int
    maximum: int | None
    page_size_log2: int | None

    def encode(self) -> bytes:
        out = bytes((self.flags,)) + uleb(self.minimum)
        if self.maximum is not None:
            out += uleb(self.maximum)
        if self.page_size_log2 is not None:
            out += uleb(self.page_size_log2)
        return out


class TypeParser(Cursor, ABC):
    """The grammar of core types. Owners say what type indices are."""

    __slots__ = ()

    @abstractmethod
    def type_index(self) -> int:
        """Reads the index of a type."""

    def heap_type(self) -> bytes:
        token = self.toks[self.i]
        code = HEAP_BYTES.get(token)
        if code is not None:
            self.i += 1
            return code
        if token[:1] == "$" or "0" <= token[:1] <= "9":
            return sleb(self.type_index())
        self.unexpected("a heap type")

    def _ref(self) -> tuple[bool, bytes]:
        """After `(ref`: whether it is nullable, and the heap type."""
        nullable = self.accept("null")
        heap = self.heap_type()
        self.close()
        return nullable, heap

    def ref_parts(self) -> tuple[bool, bytes]:
        """A reference type as nullability and heap type."""
        code = REF_BYTES.get(self.toks[self.i])
        if code is not None:
            self.i += 1
            return True, code
        if not self.open("ref"):
            self.unexpected("a reference type")
        return self._ref()

    def ref_type(self) -> bytes:
        return ref_bytes(*self.ref_parts())

    def valtype(self) -> bytes:
        token = self.toks[self.i]
        code = VALTYPE_BYTES.get(token)
        if code is not None:
            self.i += 1
            return code
        if token == "(" and self.toks[self.i + 1] == "ref":
            return self.ref_type()
        self.unexpected("a value type")

    def valtypes(self) -> list[bytes]:
        """Value types up to the `)`, which is taken."""
        out = []
        while self.toks[self.i] != ")":
            out.append(self.valtype())
        self.i += 1
        return out

    def signature(self, *, named: bool) -> tuple[Signature, bool, list[LocalName]]:
        """`(param ...)* (result ...)*`, whether there was any, and the parameters' names."""
        params: list[bytes] = []
        results: list[bytes] = []
        names: list[LocalName] = []
        found = False
        toks = self.toks
        while self.open("param"):
            found = True
            if named and (toks[self.i][:1] == "$" or toks[self.i] == lexer.NAME):
                names.append(self.local_name(len(params)))
                params.append(self.valtype())
                self.close()
            else:
                params += self.valtypes()
        while self.open("result"):
            found = True
            results += self.valtypes()
        return Signature(tuple(params), tuple(results)), found, names

    def local_name(self, number: int) -> LocalName:
        at = self.i
        name = self.optional_id()
        return LocalName(number, name, at, self.name_annotation())

    def type_use(self, *, named: bool = True) -> TypeUse:
        at = self.i
        toks = self.toks
        if toks[at] != "(" or toks[at + 1] not in TYPE_USE_WORDS:
            return _NO_TYPE_USE
        index = None
        if self.open("type"):
            index = self.type_index()
            self.close()
        signature, inline, names = self.signature(named=named)
        if toks[self.i] == "(" and toks[self.i + 1] in TYPE_USE_WORDS:
            self.unexpected("`(type`, `(param` and `(result` in this order", self.i + 1)
        return TypeUse(at, index, signature, inline, tuple(names))

    # --- definitions of types ---

    def storage_type(self) -> bytes:
        code = PACKED_BYTES.get(self.toks[self.i])
        if code is None:
            return self.valtype()
        self.i += 1
        return code

    def field_type(self) -> bytes:
        if self.open("mut"):
            out = self.storage_type() + b"\x01"
            self.close()
            return out
        return self.storage_type() + b"\x00"

    def composite_type(self, field_ids: dict[ID, int] | None = None) -> tuple[bytes, Signature | None]:
        """`(func ...)`, `(struct ...)` or `(array ...)`; names of fields go to `field_ids`."""
        if self.open("func"):
            signature = self.signature(named=True)[0]
            self.close()
            return signature.encode(), signature
        if self.open("array"):
            out = ARRAY + self.field_type()
            self.close()
            return out, None
        if not self.open("struct"):
            self.unexpected("`(func`, `(struct`, `(array` or `(sub`")
        fields: list[bytes] = []
        while self.open("field"):
            if self.at_id():
                at = self.i
                name = self.ident()
                if field_ids is not None:
                    if name in field_ids:
                        self.fail(f"duplicate field identifier `{name}`", at)
                    field_ids[name] = len(fields)
                fields.append(self.field_type())
                self.close()
                continue
            while self.toks[self.i] != ")":
                fields.append(self.field_type())
            self.i += 1
        self.close()
        return STRUCT + vector(fields), None

    def sub_type(self, field_ids: dict[ID, int] | None = None) -> tuple[bytes, Signature | None, bool]:
        """A composite type or `(sub final? super* ...)`; whether it is final and without supertypes."""
        if not self.open("sub"):
            return *self.composite_type(field_ids), True
        final = self.accept("final")
        supertypes = []
        while self.toks[self.i] != "(":
            supertypes.append(uleb(self.type_index()))
        body, signature = self.composite_type(field_ids)
        self.close()
        if final and not supertypes:
            return body, signature, True
        return (b"\x4f" if final else b"\x50") + vector(supertypes) + body, signature, False

    # --- types of tables, memories, globals ---

    def limits(self, *, memory: bool) -> Limits:
        flags = 0
        if self.toks[self.i] in ("i32", "i64"):
            flags = 4 if self.toks[self.i] == "i64" else 0
            self.i += 1
        return self.limits_after(flags, memory=memory)

    def limits_after(self, flags: int, *, memory: bool) -> Limits:
        """The numbers and what follows them, after the index type."""
        minimum = self.number(64, "a minimum size")
        maximum = None
        if self.at_number():
            maximum = self.number(64, "a maximum size")
            flags |= 1
        if self.accept("shared"):
            flags |= 2
        page_size_log2 = self.page_size() if memory else None
        return Limits(flags | (8 if page_size_log2 is not None else 0), minimum, maximum, page_size_log2)

    def page_size(self) -> int | None:
        """`(pagesize N)`, as the power of two."""
        if not self.open("pagesize"):
            return None
        at = self.i
        size = self.u32("a page size")
        if size == 0 or size & (size - 1):
            self.fail("invalid custom page size: expected a power of two", at)
        self.close()
        return size.bit_length() - 1

    def table_type(self) -> bytes:
        size = self.limits(memory=False)
        return self.ref_type() + size.encode()

    def global_type(self) -> bytes:
        if self.open("mut"):
            out = self.valtype() + b"\x01"
            self.close()
            return out
        return self.valtype() + b"\x00"


def ref_bytes(nullable: bool, heap: bytes) -> bytes:
    """A reference type; nullable abstract ones have the short form."""
    if not nullable:
        return REF + heap
    return heap if len(heap) == 1 and heap in _ABSTRACT else REF_NULL + heap


_ABSTRACT = frozenset(HEAP_BYTES.values())
