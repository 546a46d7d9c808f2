# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
"""Host functions given as C function pointers: finding out that one is, what its C signature says, and whether it fits the wasm type.

Pointers of cffi (`ffi.callback`, `ffi.addressof(lib, "f")`, a function of a dlopened lib) and of ctypes (CFUNCTYPE and functions of a CDLL) are known
by their classes; everything else that is callable is a Python function. Guest code calls a native one without Python in between and, whenever the
GIL was let go, without the GIL (csrc/vm/native.c); what ctypes would do besides (`errcheck`, `from_param`) is not done. Functions of ctypes that want
the GIL (PYFUNCTYPE, PyDLL) are called as Python functions are.

A `wasmrt_callback` of include/wasmrt.h is called as it is, with any type: it reads and writes values itself, and can trap.
"""

from libc.stdint cimport uint8_t, uint32_t, uintptr_t

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport *

import sys

from wasmrt.errors import ArgumentTypeError
from wasmrt.spec.valtypes import valtype_str

RAW_NAME = "wasmrt_callback"
CTYPES_WANTS_GIL = 4  # FUNCFLAG_PYTHONAPI

# what a C type is to a call: ("int", bytes, signed) or ("float", bytes)
WORDS = {c.WR_KIND_I32: ("int", 4), c.WR_KIND_I64: ("int", 8), c.WR_KIND_F32: ("float", 4), c.WR_KIND_F64: ("float", 8)}
CORE_KINDS = {c.WR_KIND_I32: c.WR_NATIVE_I32, c.WR_KIND_I64: c.WR_NATIVE_I64, c.WR_KIND_F32: c.WR_NATIVE_F32, c.WR_KIND_F64: c.WR_NATIVE_F64}
SCALARS = {
    ABI_OP_BOOL: ("bool", ("int", 1, False), c.WR_NATIVE_BOOL),
    ABI_OP_S8: ("s8", ("int", 1, True), c.WR_NATIVE_S8),
    ABI_OP_U8: ("u8", ("int", 1, False), c.WR_NATIVE_U8),
    ABI_OP_S16: ("s16", ("int", 2, True), c.WR_NATIVE_S16),
    ABI_OP_U16: ("u16", ("int", 2, False), c.WR_NATIVE_U16),
    ABI_OP_S32: ("s32", ("int", 4, True), c.WR_NATIVE_I32),
    ABI_OP_U32: ("u32", ("int", 4, False), c.WR_NATIVE_I32),
    ABI_OP_S64: ("s64", ("int", 8, True), c.WR_NATIVE_I64),
    ABI_OP_U64: ("u64", ("int", 8, False), c.WR_NATIVE_I64),
    ABI_OP_F32: ("f32", ("float", 4), c.WR_NATIVE_F32),
    ABI_OP_F64: ("f64", ("float", 8), c.WR_NATIVE_F64),
    ABI_OP_CHAR: ("char", ("int", 4, False), c.WR_NATIVE_CHAR),
}


cdef class NativeFunc:
    """A C function that guests can call."""

    def __init__(self) -> None:
        raise ArgumentTypeError("a NativeFunc is made of a cffi or ctypes function")


# ---- what was given ---------------------------------------------------------------------------------------------------------------------------------

cdef NativeFunc native_of(object function):
    """None when it is no C function pointer. Raises ArgumentTypeError for one that cannot be called from guest code."""
    cdef object cls = type(function)
    if cls.__module__ == "_cffi_backend":
        return of_cffi(function)
    ctypes = sys.modules.get("ctypes")
    if ctypes is not None and isinstance(function, ctypes._CFuncPtr):
        return of_ctypes(ctypes, function)
    return None


cdef NativeFunc new_native(object owner, uintptr_t address, str text):
    cdef NativeFunc native = NativeFunc.__new__(NativeFunc)
    if address == 0:
        raise ArgumentTypeError(f"the native function `{text}` is a null pointer")
    native.owner = owner
    native.text = text
    native.c_native.function = <void *>address
    native.params = []
    return native


cdef NativeFunc of_cffi(object function):
    import _cffi_backend

    cdef NativeFunc native
    ffi = _cffi_backend.FFI()
    try:
        ctype = ffi.typeof(function)
    except TypeError:
        return None
    if ctype.kind == "pointer" and ctype.item.kind == "function":
        ctype = ctype.item
    if ctype.kind != "function":  # cffi calls all its values callable
        raise ArgumentTypeError(f"expected a callable, got a cffi value of type `{ctype.cname}`")
    text = ctype.cname.replace("(*)", "")
    native = new_native(function, int(ffi.cast("uintptr_t", function)), text)
    if is_raw(ctype):
        native.raw = <c.VMArrayCall>native.c_native.function
        return native
    if ctype.ellipsis:
        raise ArgumentTypeError(f"the native function `{text}` takes any number of arguments; guests call only functions of a fixed type")
    for argument in ctype.args:
        native.params.append((argument.cname, cffi_kind(ffi, argument)))
    if ctype.result.kind != "void":
        native.result = (ctype.result.cname, cffi_kind(ffi, ctype.result))
    return native


cdef bint is_raw(object ctype):
    """bool(wasmrt_caller *, wasmrt_context *, wasmrt_value *, size_t)"""
    names = [argument.cname for argument in ctype.args]
    return names[:3] == ["wasmrt_caller *", "wasmrt_context *", "wasmrt_value *"] and len(names) == 4


cdef object cffi_kind(object ffi, object ctype):
    if ctype.kind == "enum":
        return ("int", ffi.sizeof(ctype), int(ffi.cast(ctype, -1)) < 0)
    if ctype.kind != "primitive" or ctype.cname in ("char", "long double", "float _Complex", "double _Complex"):
        return None
    if ctype.cname in ("float", "double"):
        return ("float", ffi.sizeof(ctype))
    if ctype.cname in ("wchar_t", "char16_t", "char32_t"):
        return ("int", ffi.sizeof(ctype), False)
    return ("int", ffi.sizeof(ctype), ctype.cname != "_Bool" and int(ffi.cast(ctype, -1)) < 0)


cdef NativeFunc of_ctypes(object ctypes, object function):
    cdef NativeFunc native
    if type(function)._flags_ & CTYPES_WANTS_GIL:
        return None
    arguments = function.argtypes
    if arguments is None:
        arguments = getattr(type(function), "_argtypes_", None)
    result = function.restype
    name = getattr(function, "__name__", None) or type(function).__name__
    if arguments is None:
        raise ArgumentTypeError(f"the native function `{name}` has no argtypes: set them (and restype) so that its type can be checked")
    names = ", ".join(argument.__name__ for argument in arguments)
    text = f"{'void' if result is None else getattr(result, '__name__', str(result))} {name}({names})"
    native = new_native(function, ctypes.cast(function, ctypes.c_void_p).value or 0, text)
    for argument in arguments:
        native.params.append((argument.__name__, ctypes_kind(ctypes, argument)))
    if result is not None:
        native.result = (getattr(result, "__name__", str(result)), ctypes_kind(ctypes, result))
    return native


cdef object ctypes_kind(object ctypes, object cls):
    letter = getattr(cls, "_type_", None)
    if not isinstance(cls, type) or not issubclass(cls, ctypes._SimpleCData) or not isinstance(letter, str):
        return None
    if letter in "fd":
        return ("float", ctypes.sizeof(cls))
    if letter in "bhilq":
        return ("int", ctypes.sizeof(cls), True)
    if letter in "?BHILQ":
        return ("int", ctypes.sizeof(cls), False)
    return None


# ---- whether it fits --------------------------------------------------------------------------------------------------------------------------------

cdef int misfit(NativeFunc native, str wanted, str why) except -1:
    raise ArgumentTypeError(f"the native function `{native.text}` does not fit {wanted}: {why}")


cdef str sized(size_t size, str what):
    return f"{'an' if size == 8 else 'a'} {size}-byte {what}"


cdef str count_text(size_t count, str what):
    return f"{count} {what}{'' if count == 1 else 's'}"


cdef int native_fits_core(NativeFunc native, const uint32_t *params, uint32_t num_params, const uint32_t *results, uint32_t num_results) except -1:
    """Fills in how guest code calls it. Raises ArgumentTypeError that says what does not fit a core function type."""
    cdef uint32_t i
    wanted = "(" + ", ".join([valtype_str(params[i]) for i in range(num_params)]) + ") -> ("
    wanted += ", ".join([valtype_str(results[i]) for i in range(num_results)]) + ")"
    if num_params != <uint32_t>len(native.params):
        misfit(native, wanted, f"it has {count_text(len(native.params), 'parameter')}")
    if num_results > 1:
        misfit(native, wanted, "a C function has one result at most; a wasmrt_callback can have more")
    if num_params > c.WR_NATIVE_MAX_PARAMS:
        misfit(native, wanted, "too many parameters")
    for i in range(num_params):
        native.c_native.params[i] = core_kind(native, wanted, f"parameter {i}", native.params[i], params[i])
    if num_results == 1:
        if native.result is None:
            misfit(native, wanted, "it has no result")
        native.c_native.result = core_kind(native, wanted, "the result", native.result, results[0])
    elif native.result is not None:
        misfit(native, wanted, f"its result is {native.result[0]}")
    return finish_native(native, wanted, num_params)


cdef uint8_t core_kind(NativeFunc native, str wanted, str what, tuple given, uint32_t word) except 0:
    cdef uint32_t kind = c.wr_vt_kind(word)
    if kind not in WORDS:
        misfit(native, wanted, f"{what} is no number: only wasmrt_callback takes vectors and references")
    if given[1] is None or given[1][:2] != WORDS[kind]:
        misfit(native, wanted, f"{what} is {given[0]}, expected {sized(WORDS[kind][1], 'integer' if WORDS[kind][0] == 'int' else 'float')}")
    return CORE_KINDS[kind]


cdef int native_fits_plan(NativeFunc native, Plan plan) except -1:
    """The same for a component function: scalars, each of its own C type."""
    cdef uint32_t i
    wanted = str(plan.type)
    if plan.num_params != <uint32_t>len(native.params):
        misfit(native, wanted, f"it has {count_text(len(native.params), 'parameter')}")
    if plan.params_spill or plan.num_params > c.WR_NATIVE_MAX_PARAMS:
        misfit(native, wanted, "too many parameters")
    for i in range(plan.num_params):
        name = f"parameter `{plan.param_names[i]}`"
        native.c_native.params[i] = plan_kind(native, wanted, name, native.params[i], plan.nodes[plan.fields[plan.first_param + i].node].op)
    if plan.result != ABI_NO_NODE:
        if native.result is None:
            misfit(native, wanted, "it has no result")
        native.c_native.result = plan_kind(native, wanted, "the result", native.result, plan.nodes[plan.result].op)
    elif native.result is not None:
        misfit(native, wanted, f"its result is {native.result[0]}")
    return finish_native(native, wanted, plan.num_params)


cdef uint8_t plan_kind(NativeFunc native, str wanted, str what, tuple given, uint8_t op) except 0:
    scalar = SCALARS.get(op)
    if scalar is None:
        misfit(native, wanted, f"{what} is no scalar; native functions take and return numbers, bool and char")
    if given[1] != scalar[1]:
        form = "float" if scalar[1][0] == "float" else "signed integer" if scalar[1][2] else "unsigned integer"
        misfit(native, wanted, f"{what} is {given[0]}, expected {sized(scalar[1][1], form)} for {scalar[0]}")
    return scalar[2]


cdef int finish_native(NativeFunc native, str wanted, uint32_t num_params) except -1:
    native.c_native.num_params = num_params
    if not c.wr_native_init(&native.c_native):
        misfit(native, wanted, "too many parameters")
    return 0
