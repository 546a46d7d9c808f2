# cython: language_level=3
"""Lowering: from Python to core values and linear memory; see `lower.pyx`."""

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t

from wasmrt._native.abi cimport AbiCall, AbiNode, AbiStep, Plan
from wasmrt._native.capi cimport ValRaw

cdef int stage_params(Plan plan, AbiCall *call, PyObject *const *args, ValRaw *values) except -1
cdef int stage_result(Plan plan, AbiCall *call, PyObject *value, ValRaw *values, uint32_t return_pointer, str name) except -1
cdef int commit(AbiCall *call) except -1
cdef void refuse_address(uint64_t address, const AbiStep *step) noexcept
