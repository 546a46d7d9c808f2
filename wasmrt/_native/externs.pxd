# cython: language_level=3
"""Core externs as Python objects; `externs.pyx` says what each is for."""

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

cimport wasmrt._native.capi as c
from wasmrt._native.core cimport Store, TypeRegistry, vectorcallfunc
from wasmrt._native.images cimport CodeMemory
from wasmrt._native.options cimport CallOptions


cdef class Func:
    cdef vectorcallfunc vectorcall
    cdef c.VMFuncRef *c_func
    cdef readonly Store store
    cdef const uint32_t *params    # value type words, owned by the type registry
    cdef const uint32_t *results
    cdef uint32_t num_params
    cdef uint32_t num_results
    cdef bint plain                # numbers only, at most one result
    cdef CallOptions options       # None: the defaults
    cdef object __weakref__

    cdef object invoke(self, PyObject *const *args, size_t count, PyObject *kwnames)


cdef class Caller:
    cdef c.VMContext *context
    cdef readonly Store store


cdef class TypeCollection:
    cdef const uint32_t *ids
    cdef TypeRegistry registry
    cdef CodeMemory code
    cdef uint32_t module_index


cdef class Memory:
    cdef c.WrMemory *c_memory
    cdef c.VMMemoryDef *definition
    cdef readonly Store store


cdef class Table:
    cdef c.WrTable *c_table
    cdef readonly Store store

    cdef uint32_t element_word(self)


cdef class Global:
    cdef c.WrGlobal *c_global
    cdef readonly Store store

    cdef uint32_t word(self, c.c_bool *out_mutable)


cdef class Tag:
    cdef c.WrTag *c_tag
    cdef readonly Store store


cdef class InstanceHandle:
    cdef c.WrInstance *c_instance
    cdef readonly Store store
    cdef readonly CodeMemory code


cdef Func wrap_func(Store store, c.VMFuncRef *func)
cdef Memory wrap_memory(Store store, c.WrMemory *memory)
cdef object wrap_extern(Store store, c.WrExtern *item)
cdef int unwrap_extern(Store store, object item, c.WrExtern *out) except -1
cdef int value_to_raw(Store store, uint32_t word, object value, c.ValRaw *out) except -1
cdef object value_from_raw(Store store, uint32_t word, const c.ValRaw *raw)
cdef int bind_func(Func func, Store store, c.VMFuncRef *c_func) except -1
cdef bint is_number(uint32_t word) noexcept
cdef c.WrInstance *start_instance(
    Store store, c.CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, const c.WrExtern *externs, size_t count
) except NULL
