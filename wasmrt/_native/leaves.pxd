# cython: language_level=3
"""Lowering of values that hold no others; see `leaves.pyx`."""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from wasmrt._native.abi cimport AbiCall, AbiNode

cdef int stage_scalar(AbiCall *call, const AbiNode *node, PyObject *value, uint64_t *out) noexcept
cdef int64_t find_name(AbiCall *call, const AbiNode *node, PyObject *value) noexcept
cdef int stage_string(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *patch, uint32_t *out_units) noexcept
cdef int stage_buffer(AbiCall *call, const AbiNode *node, const AbiNode *element, PyObject *value, uint8_t *patch, uint32_t *out_count) noexcept
cdef int fail_large(AbiCall *call, uint64_t size) noexcept
