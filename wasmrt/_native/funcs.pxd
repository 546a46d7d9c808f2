# cython: language_level=3
"""Core functions as Python objects; `funcs.pyx` says what each is for."""

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

cimport wasmrt._native.capi as c
from wasmrt._native.core cimport Store
from wasmrt._native.options cimport CallOptions
from wasmrt._native.quick cimport WrQuick


cdef class Func:
    cdef WrQuick quick             # starts with the vectorcall slot
    cdef c.VMFuncRef *c_func
    cdef readonly Store store
    cdef const uint32_t *params    # value type words, owned by the type registry
    cdef const uint32_t *results
    cdef uint32_t num_params
    cdef uint32_t num_results
    cdef CallOptions options       # None: the defaults
    cdef object __weakref__

    cdef object invoke(self, PyObject *const *args, size_t count, PyObject *kwnames)


cdef Func wrap_func(Store store, c.VMFuncRef *func)
cdef int bind_func(Func func, Store store, c.VMFuncRef *c_func) except -1
cdef bint is_number(uint32_t word) noexcept
cdef int value_to_raw(Store store, uint32_t word, object value, c.ValRaw *out) except -1
cdef object value_from_raw(Store store, uint32_t word, const c.ValRaw *raw)
cdef object func_type_of(object params, object results)
cdef bint is_store(object value)
cdef Store store_of(object value)
cdef int check_store(Store own, object given) except -1
cdef str shown(str name, object item)
cdef object of_store(object item)
