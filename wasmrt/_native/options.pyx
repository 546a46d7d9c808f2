# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
"""How calls are made, apart from their arguments: `func.with_options(gil=, results=, copy=, timeout=)` and the defaults that Config sets.

CallOptions are immutable and shared by the functions made with them; a function without any has None, and its calls pay one comparison for it. The
GIL mode and the deadline of a call are put into its StoreHost, where the interrupt hook reads them, and taken back when the call ends; so a host
function that calls into the same store runs under the options of its own calls, but never beyond the outer deadline.
"""

from libc.stdint cimport int64_t

from wasmrt._native.core cimport monotonic_ns

from wasmrt.errors import ArgumentTypeError, ArgumentValueError, WasmError

FORMATS = "?bBhHiIqQfd"
GIL_NAMES = {None: GIL_LAZY, "hold": GIL_HOLD, "release": GIL_RELEASE}
RESULT_NAMES = {None: RESULTS_PLAIN, "memoryview": RESULTS_MEMORYVIEW, "array": RESULTS_ARRAY, "numpy": RESULTS_NUMPY}
MAX_TIMEOUT = 1e9


cdef class CallOptions:
    """The options of a function; `make_options` makes them."""


cdef int choice(dict names, object value, str what) except -1:
    if not (value is None or isinstance(value, str)) or value not in names:
        known = ", ".join(repr(name) for name in names)
        raise ArgumentValueError(f"{what} is one of {known}, got {value!r}")
    return names[value]


cdef CallOptions changed_options(CallOptions options, object gil, object results, object copy, object timeout):
    """`options` (None: the defaults) with what is not Ellipsis changed; None when that is the defaults again."""
    cdef CallOptions made = CallOptions.__new__(CallOptions)
    if options is not None:
        made.gil, made.results, made.borrowed, made.timeout_ns = options.gil, options.results, options.borrowed, options.timeout_ns
    if gil is not ...:
        made.gil = choice(GIL_NAMES, gil, "gil")
    if results is not ...:
        made.results = choice(RESULT_NAMES, results, "results")
    if copy is not ...:
        if not isinstance(copy, bool):
            raise ArgumentTypeError(f"copy is a bool, got {type(copy).__name__}")
        made.borrowed = not copy
    if timeout is not ...:
        made.timeout_ns = timeout_of(timeout)
    if made.borrowed:
        if made.results == RESULTS_ARRAY:
            raise ArgumentValueError("an array owns its items: results='array' and copy=False exclude each other")
        if made.results == RESULTS_PLAIN:
            made.results = RESULTS_MEMORYVIEW
    if made.results == RESULTS_NUMPY:
        load_numpy(made)
    if made.gil == GIL_LAZY and made.results == RESULTS_PLAIN and made.timeout_ns == 0:
        return None
    return made


cdef int64_t timeout_of(object timeout) except -1:
    if timeout is None:
        return 0
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise ArgumentTypeError(f"a timeout is a number of seconds, got {type(timeout).__name__}")
    if not 0 < timeout <= MAX_TIMEOUT:
        raise ArgumentValueError(f"a timeout is more than 0 and at most {MAX_TIMEOUT:g} seconds, got {timeout}")
    return max(1, int(timeout * 1e9))


cdef int load_numpy(CallOptions options) except -1:
    try:
        import numpy
    except ImportError:
        raise WasmError("results='numpy' needs the package numpy") from None
    options.numpy_frombuffer = numpy.frombuffer
    options.numpy_types = [numpy.dtype(letter) for letter in FORMATS]
    return 0


def make_options(gil: object, results: object, copy: object, timeout: object) -> CallOptions | None:
    """The options that all functions of an engine start with, from its Config; None for the defaults."""
    return changed_options(None, gil, results, copy, timeout)


cdef bint only_releases(CallOptions options) noexcept:
    """Whether gil="release" is all that they say of functions without lists."""
    return options.gil == GIL_RELEASE and options.timeout_ns == 0


cdef void options_begin(CallOptions options, Store store, SavedOptions *saved) noexcept:
    """After the store was entered. `options_end` must follow."""
    cdef StoreHost *host = &store.host
    cdef int64_t deadline
    saved.hold_gil, saved.release_gil = host.hold_gil, host.release_gil
    saved.deadline_ns, saved.timeout_ns = host.deadline_ns, host.timeout_ns
    host.hold_gil = options.gil == GIL_HOLD
    host.release_gil = options.gil == GIL_RELEASE
    if options.timeout_ns:
        deadline = monotonic_ns() + options.timeout_ns
        if host.deadline_ns == 0 or deadline < host.deadline_ns:
            host.deadline_ns, host.timeout_ns = deadline, options.timeout_ns


cdef void options_end(Store store, const SavedOptions *saved) noexcept:
    cdef StoreHost *host = &store.host
    host.hold_gil, host.release_gil = saved.hold_gil, saved.release_gil
    host.deadline_ns, host.timeout_ns = saved.deadline_ns, saved.timeout_ns
