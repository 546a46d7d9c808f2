/* Gives a Cython extension type a real vectorcall slot. Cython's `__call__` builds a tuple of arguments first, which costs more than the whole of a
 * short guest call. The type must have a `vectorcallfunc` member that every instance fills in; call this once at module initialization, before the
 * first instance is made. */
#ifndef WASMRT_NATIVE_VECTORCALL_H
#define WASMRT_NATIVE_VECTORCALL_H
#include <Python.h>

static inline void wr_enable_vectorcall(PyTypeObject *type, Py_ssize_t member_offset) {
    type->tp_vectorcall_offset = member_offset;
    type->tp_call = PyVectorcall_Call;
    type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
    PyType_Modified(type);
}
#endif
