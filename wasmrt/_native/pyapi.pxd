# cython: language_level=3
"""CPython's C API with explicit references (PyObject *, borrowed unless said), for loops where Cython's own counting would show."""

from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint64_t

cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        PyObject *tp_dict
    ctypedef PyObject *(*newfunc)(PyTypeObject *type, PyObject *args, PyObject *kwargs) noexcept
    PyObject *NONE "Py_None"
    PyObject *TRUE "Py_True"
    PyObject *FALSE "Py_False"

    PyTypeObject *type_of "Py_TYPE"(PyObject *value) noexcept
    const char *type_name "_PyType_Name"(PyTypeObject *type) noexcept
    bint is_instance "PyObject_TypeCheck"(PyObject *value, PyTypeObject *type) noexcept
    void incref "Py_INCREF"(PyObject *value) noexcept
    void decref "Py_DECREF"(PyObject *value) noexcept
    void xdecref "Py_XDECREF"(PyObject *value) noexcept

    bint is_long "PyLong_Check"(PyObject *value) noexcept
    bint is_long_exact "PyLong_CheckExact"(PyObject *value) noexcept
    bint is_bool "PyBool_Check"(PyObject *value) noexcept
    bint is_float "PyFloat_Check"(PyObject *value) noexcept
    bint is_float_exact "PyFloat_CheckExact"(PyObject *value) noexcept
    bint is_str "PyUnicode_Check"(PyObject *value) noexcept
    bint is_bytes_exact "PyBytes_CheckExact"(PyObject *value) noexcept
    bint is_bytes "PyBytes_Check"(PyObject *value) noexcept
    bint is_list "PyList_Check"(PyObject *value) noexcept
    bint is_tuple "PyTuple_Check"(PyObject *value) noexcept
    bint is_dict "PyDict_Check"(PyObject *value) noexcept
    bint is_set "PySet_Check"(PyObject *value) noexcept
    bint is_frozenset "PyFrozenSet_Check"(PyObject *value) noexcept
    bint is_any_set "PyAnySet_Check"(PyObject *value) noexcept
    bint is_mapping "PyMapping_Check"(PyObject *value) noexcept
    bint is_sequence "PySequence_Check"(PyObject *value) noexcept
    bint is_index "PyIndex_Check"(PyObject *value) noexcept
    bint is_buffer "PyObject_CheckBuffer"(PyObject *value) noexcept

    # new references, NULL with an exception
    PyObject *new_long "PyLong_FromLong"(long value) noexcept
    PyObject *new_unsigned "PyLong_FromUnsignedLong"(unsigned long value) noexcept
    PyObject *new_float "PyFloat_FromDouble"(double value) noexcept
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *data, Py_ssize_t size) noexcept
    PyObject *new_list "PyList_New"(Py_ssize_t size) noexcept
    PyObject *new_tuple "PyTuple_New"(Py_ssize_t size) noexcept
    PyObject *new_set "PySet_New"(PyObject *iterable) noexcept
    PyObject *new_dict "PyDict_New"() noexcept
    PyObject *new_char "PyUnicode_FromOrdinal"(int point) noexcept
    PyObject *new_latin1 "PyUnicode_DecodeLatin1"(const char *data, Py_ssize_t size, const char *errors) noexcept
    PyObject *to_index "PyNumber_Index"(PyObject *value) noexcept
    PyObject *to_list "PySequence_List"(PyObject *value) noexcept
    PyObject *to_items "PyMapping_Items"(PyObject *value) noexcept
    PyObject *get_attr "PyObject_GetAttr"(PyObject *value, PyObject *name) noexcept
    PyObject *get_item "PyObject_GetItem"(PyObject *value, PyObject *key) noexcept
    PyObject *get_iter "PyObject_GetIter"(PyObject *value) noexcept
    PyObject *iter_next "PyIter_Next"(PyObject *iterator) noexcept

    long long long_as_i64 "PyLong_AsLongLongAndOverflow"(PyObject *value, int *overflow) noexcept
    unsigned long long long_as_u64 "PyLong_AsUnsignedLongLong"(PyObject *value) noexcept
    long long_as_long "PyLong_AsLong"(PyObject *value) noexcept
    double float_value "PyFloat_AS_DOUBLE"(PyObject *value) noexcept
    double as_double "PyFloat_AsDouble"(PyObject *value) noexcept

    # borrowed
    Py_ssize_t list_size "PyList_GET_SIZE"(PyObject *value) noexcept
    PyObject *list_item "PyList_GET_ITEM"(PyObject *value, Py_ssize_t index) noexcept
    void list_set "PyList_SET_ITEM"(PyObject *value, Py_ssize_t index, PyObject *item) noexcept
    Py_ssize_t tuple_size "PyTuple_GET_SIZE"(PyObject *value) noexcept
    PyObject *tuple_item "PyTuple_GET_ITEM"(PyObject *value, Py_ssize_t index) noexcept
    void tuple_set "PyTuple_SET_ITEM"(PyObject *value, Py_ssize_t index, PyObject *item) noexcept
    PyObject *dict_get "PyDict_GetItemWithError"(PyObject *value, PyObject *key) noexcept
    int dict_set "PyDict_SetItem"(PyObject *value, PyObject *key, PyObject *item) noexcept
    int set_add "PySet_Add"(PyObject *value, PyObject *item) noexcept
    const char *bytes_data "PyBytes_AS_STRING"(PyObject *value) noexcept
    Py_ssize_t bytes_size "PyBytes_GET_SIZE"(PyObject *value) noexcept
    Py_ssize_t str_length "PyUnicode_GET_LENGTH"(PyObject *value) noexcept
    int str_kind "PyUnicode_KIND"(PyObject *value) noexcept
    const void *str_data "PyUnicode_DATA"(PyObject *value) noexcept
    bint str_is_ascii "PyUnicode_IS_ASCII"(PyObject *value) noexcept
    int str_ready "PyUnicode_READY"(PyObject *value) noexcept
    unsigned int str_char "PyUnicode_READ_CHAR"(PyObject *value, Py_ssize_t index) noexcept

    int get_buffer "PyObject_GetBuffer"(PyObject *value, Py_buffer *view, int flags) noexcept
    void release_buffer "PyBuffer_Release"(Py_buffer *view) noexcept
    const int PyBUF_FORMAT
    const int PyBUF_C_CONTIGUOUS

    PyObject *error_occurred "PyErr_Occurred"() noexcept
    bint error_matches "PyErr_ExceptionMatches"(PyObject *cls) noexcept
    void error_clear "PyErr_Clear"() noexcept
    void error_fetch "PyErr_Fetch"(PyObject **cls, PyObject **value, PyObject **traceback) noexcept
    void error_restore "PyErr_Restore"(PyObject *cls, PyObject *value, PyObject *traceback) noexcept
    void error_unraisable "PyErr_WriteUnraisable"(PyObject *where) noexcept
    void error_set "PyErr_SetObject"(PyObject *cls, PyObject *value) noexcept
    PyObject *error_no_memory "PyErr_NoMemory"() noexcept
    PyObject *PyExc_OverflowError
    PyObject *PyExc_AttributeError
    PyObject *PyExc_KeyError
    PyObject *PyExc_TypeError
    PyObject *PyExc_BufferError

cdef extern from *:
    """
    #include <structmember.h>
    static inline int wr_has_float(PyObject *value) {
        PyNumberMethods *number = Py_TYPE(value)->tp_as_number;
        return number != NULL && number->nb_float != NULL;
    }
    /* The member slot of an instance of a class with __slots__, by the offset of its descriptor. */
    static inline PyObject **wr_member(PyObject *value, Py_ssize_t offset) { return (PyObject **)((char *)value + offset); }
    static inline Py_ssize_t wr_member_offset(PyObject *descriptor) {
        if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) return 0;
        return ((PyMemberDescrObject *)descriptor)->d_member->offset;
    }
    /* Takes `cls()` and `cls.__new__(cls)` away from users: a half-made object would hold NULL. Cython's own `cls.__new__(cls)` does not pass here. */
    static PyObject *wr_no_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
        PyObject *errors = PyImport_ImportModule("wasmrt.errors");
        PyObject *error = errors == NULL ? NULL : PyObject_GetAttrString(errors, "WasmError");
        if (error != NULL) PyErr_Format(error, "Cannot directly construct a `%s`", strrchr(type->tp_name, '.') ? strrchr(type->tp_name, '.') + 1 : type->tp_name);
        (void)args, (void)kwargs;
        Py_XDECREF(errors);
        Py_XDECREF(error);
        return NULL;
    }
    static inline void wr_refuse_new(PyTypeObject *type) {
        type->tp_new = wr_no_new;
        type->tp_vectorcall = NULL;
        PyType_Modified(type);
    }
    static inline PyObject **wr_list_items(PyObject *list) { return ((PyListObject *)list)->ob_item; }
    static inline PyObject **wr_tuple_items(PyObject *tuple) { return ((PyTupleObject *)tuple)->ob_item; }
    """
    PyObject **list_items "wr_list_items"(PyObject *list) noexcept
    PyObject **tuple_items "wr_tuple_items"(PyObject *tuple) noexcept
    bint has_float "wr_has_float"(PyObject *value) noexcept
    PyObject **member "wr_member"(PyObject *value, Py_ssize_t offset) noexcept
    Py_ssize_t member_offset "wr_member_offset"(PyObject *descriptor) noexcept
    void refuse_new "wr_refuse_new"(PyTypeObject *type) noexcept
