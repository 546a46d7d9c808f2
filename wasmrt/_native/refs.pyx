# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
"""Values of types under anyref and externref: objects of guests as Python objects, integers of 31 bits as int, anything else as itself.

As in the embedding for JavaScript: None is null; an int of 31 bits is an i31 where the type allows one; a struct or an array is an opaque object, equal to
itself alone; any other Python object crosses as an externref, or as an anyref that came from one, and comes back as the same object.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint32_t, uintptr_t

cimport wasmrt._native.capi as c
from wasmrt._native.core cimport Store

from wasmrt.errors import ArgumentOverflowError, ArgumentTypeError, WasmError


cdef class AnyRef:
    """A struct or an array of a guest: a StructRef or an ArrayRef. Opaque; two are equal when they are the same object.

    The object lives as long as this does, and belongs to its store: it can be an argument, in a table or in a global of that store alone
    (`WasmError` otherwise), where the type is right (`ArgumentTypeError`).

    >>> point = instance.exports["make_point"](1, 2)
    >>> instance.exports["x_of"](point)
    1
    """

    def __init__(self) -> None:
        raise WasmError("references to objects come from guests")

    def __dealloc__(self) -> None:
        if self.kept != 0 and self.store is not None and self.store.c_store != NULL:
            c.wr_ref_drop(self.store.c_store, self.kept)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AnyRef):
            return NotImplemented
        return self.c_ref == (<AnyRef>other).c_ref and self.store is (<AnyRef>other).store

    def __hash__(self) -> int:
        return hash(<uintptr_t>self.c_ref >> 4)

    def __repr__(self) -> str:
        return f"<wasmrt.{type(self).__name__} at {<uintptr_t>self.c_ref:#x}>"

    def __reduce__(self) -> str:
        raise WasmError("an object of a guest cannot be pickled")


cdef class StructRef(AnyRef):
    """A struct of a guest; see AnyRef."""


cdef class ArrayRef(AnyRef):
    """An array of a guest; see AnyRef. `len()` is the number of its items."""

    def __len__(self) -> int:
        self.store.ensure_open()
        return c.wr_object_length(self.c_ref)


cdef str word_name(uint32_t word):
    from wasmrt.spec.valtypes import valtype_str

    return valtype_str(word)


cdef int ref_to_raw(Store store, uint32_t word, object value, c.ValRaw *out) except -1:
    """Of a type under any or extern; `value` is not None."""
    cdef bint is_abstract = not c.wr_vt_concrete(word)
    cdef uint32_t heap = c.wr_vt_heap(word)
    cdef bint is_extern = is_abstract and heap == c.WR_HEAP_EXTERN
    cdef bint is_i31 = is_abstract and heap == c.WR_HEAP_I31
    cdef c.c_bool is_new = False
    store.ensure_open()
    if isinstance(value, AnyRef):
        if (<AnyRef>value).store is not store:
            raise WasmError("an object of another store was given")
        out.ref = (<AnyRef>value).c_ref
    elif type(value) is int and not is_extern and -0x40000000 <= value < (0x80000000 if is_i31 else 0x40000000):
        out.ref = <void *>(<uintptr_t>((<uint32_t>(value & 0x7fffffff)) << 1 | 1))
    elif is_i31 and type(value) is int:
        raise ArgumentOverflowError(f"{value} is out of range for {word_name(word)}")
    elif is_extern or (is_abstract and heap == c.WR_HEAP_ANY):
        store.ensure_mine()
        out.ref = <void *><uintptr_t>c.wr_externref_new(store.c_store, <void *><PyObject *>value, &is_new)
        if out.ref == NULL:
            raise MemoryError("externref table")
        if is_new:
            if store.externrefs is None:
                store.externrefs = {}
            store.externrefs[<uintptr_t>out.ref] = value
        return 0
    else:
        raise ArgumentTypeError(f"expected {word_name(word)}, got {type(value).__name__}")
    if not c.wr_ref_matches(store.c_store, word, out.ref):
        raise ArgumentTypeError(f"expected {word_name(word)}, got {type(value).__name__} of another type")
    return 0


cdef object ref_from_raw(Store store, void *c_ref):
    """`c_ref` is not null."""
    cdef c.WrRefKind kind
    cdef AnyRef made
    cdef uint32_t kept
    store.ensure_open()  # Python code that ran since the guest returned may have closed it
    kind = c.wr_ref_kind(c_ref)
    if kind == c.WR_REF_I31:
        return <int32_t><uint32_t><uintptr_t>c_ref >> 1
    if kind == c.WR_REF_HOST:
        return store.externrefs[<uintptr_t>c_ref]
    kept = c.wr_ref_keep(store.c_store, c_ref)  # first: making an object can run Python code, and with it the guest
    if kept == 0:
        raise MemoryError("references that the host holds")
    if kind == c.WR_REF_STRUCT:
        made = StructRef.__new__(StructRef)
    else:
        made = ArrayRef.__new__(ArrayRef)
    made.store = store
    made.c_ref = c_ref
    made.kept = kept
    return made
