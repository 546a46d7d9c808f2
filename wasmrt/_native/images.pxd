# cython: language_level=3
from libc.stdint cimport uint8_t

cimport wasmrt._native.capi as c


cdef class CodeMemory:
    cdef c.CodeMemory *c_code

    @staticmethod
    cdef CodeMemory wrap(c.CodeMemory *code)


cdef class ArtifactMemory:
    cdef uint8_t *pages
    cdef readonly Py_ssize_t num_bytes
    cdef readonly Py_ssize_t num_written
    cdef readonly bint sealed

    cdef int check_open(self) except -1
