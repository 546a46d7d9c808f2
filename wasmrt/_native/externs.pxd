# cython: language_level=3
"""Core externs as Python objects; `externs.pyx` says what each is for."""

from libc.stdint cimport uint32_t

cimport wasmrt._native.capi as c
from wasmrt._native.core cimport Store, TypeRegistry
from wasmrt._native.images cimport CodeMemory


cdef class Caller:
    cdef c.VMContext *context
    cdef readonly Store store


cdef class TypeCollection:
    cdef const uint32_t *ids
    cdef TypeRegistry registry
    cdef CodeMemory code
    cdef uint32_t module_index

    cdef str import_name(self, uint32_t index)


cdef class Memory:
    cdef c.WrMemory *c_memory
    cdef c.VMMemoryDef *definition
    cdef readonly Store store

    cdef const c.WasmLimits *limits(self) except NULL


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


cdef int check_lost(Store store) except -1
cdef Memory wrap_memory(Store store, c.WrMemory *memory)
cdef object wrap_extern(Store store, c.WrExtern *item)
cdef int unwrap_extern(Store store, object item, c.WrExtern *out) except -1
cdef c.WrInstance *start_instance(
    Store store, c.CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, const c.WrExtern *externs, size_t count
) except NULL
