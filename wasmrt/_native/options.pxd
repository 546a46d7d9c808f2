# cython: language_level=3
"""How calls are made, apart from their arguments; `options.pyx` says what each is for."""

from libc.stdint cimport int64_t

from wasmrt._native.core cimport Store, StoreHost

cdef enum GilMode:
    GIL_LAZY       # let go of after the first tick
    GIL_HOLD
    GIL_RELEASE    # let go of before guest code starts

cdef enum ResultMode:
    RESULTS_PLAIN  # bytes for list<u8>, else lists
    RESULTS_MEMORYVIEW
    RESULTS_ARRAY
    RESULTS_NUMPY


cdef class CallOptions:
    cdef int gil
    cdef int results
    cdef bint borrowed
    cdef int64_t timeout_ns           # 0: none
    cdef object numpy_frombuffer
    cdef list numpy_types             # by format letter, in the order of FORMATS


# What a call with options changed in its store, to be put back.
cdef struct SavedOptions:
    bint hold_gil
    bint release_gil
    int64_t deadline_ns
    int64_t timeout_ns


cdef void options_begin(CallOptions options, Store store, SavedOptions *saved) noexcept
cdef void options_end(Store store, const SavedOptions *saved) noexcept
cdef bint only_releases(CallOptions options) noexcept
cdef CallOptions changed_options(CallOptions options, object gil, object results, object copy, object timeout)
