/* The floor of what a call can cost: the conversions of each row of bench/limits written by hand, and nothing of a runtime.
 *
 * No store is entered, no stack limit or trap is thought of, no guest allocates: arguments are checked, converted to what linear memory or registers
 * would hold, and back. What a guest would do with them (an addition, handing back what it got) is a line of C. Compiled on demand by bench/limits. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

static uint8_t memory[1 << 20];

static int as_s32(PyObject *value, int32_t *out)
{
    int overflow;
    if (!PyLong_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "expected s32");
        return -1;
    }
    long number = PyLong_AsLongAndOverflow(value, &overflow);
    if (overflow || number != (int32_t)number) {
        PyErr_SetString(PyExc_OverflowError, "out of range for s32");
        return -1;
    }
    *out = (int32_t)number;
    return 0;
}

static int expect(Py_ssize_t count, Py_ssize_t wanted)
{
    if (count == wanted) return 0;
    PyErr_Format(PyExc_TypeError, "expected %zd arguments, got %zd", wanted, count);
    return -1;
}

/* ---- scalars, strings, lists ----------------------------------------------------------------------------------------------------------------- */

static PyObject *floor_add(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    int32_t a, b;
    (void)self;
    if (expect(count, 2) < 0 || as_s32(args[0], &a) < 0 || as_s32(args[1], &b) < 0) return NULL;
    return PyLong_FromLong((int32_t)((uint32_t)a + (uint32_t)b));
}

/* The same without the GIL while the guest would run. */
static PyObject *floor_add_released(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    int32_t a, b, sum;
    (void)self;
    if (expect(count, 2) < 0 || as_s32(args[0], &a) < 0 || as_s32(args[1], &b) < 0) return NULL;
    Py_BEGIN_ALLOW_THREADS
    sum = (int32_t)((uint32_t)a + (uint32_t)b);
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(sum);
}

static Py_ssize_t lower_text(PyObject *value)
{
    if (!PyUnicode_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "expected string");
        return -1;
    }
    if (PyUnicode_IS_ASCII(value)) {
        Py_ssize_t size = PyUnicode_GET_LENGTH(value);
        if (size > (Py_ssize_t)sizeof memory) return -1;
        memcpy(memory, PyUnicode_DATA(value), (size_t)size);
        return size;
    }
    PyObject *encoded = PyUnicode_AsUTF8String(value);
    if (encoded == NULL) return -1;
    Py_ssize_t size = PyBytes_GET_SIZE(encoded);
    if (size <= (Py_ssize_t)sizeof memory) memcpy(memory, PyBytes_AS_STRING(encoded), (size_t)size);
    Py_DECREF(encoded);
    return size;
}

static PyObject *floor_text_in(PyObject *self, PyObject *value)
{
    Py_ssize_t size = lower_text(value);
    (void)self;
    return size < 0 ? NULL : PyLong_FromSsize_t(size);
}

static PyObject *floor_text_echo(PyObject *self, PyObject *value)
{
    Py_ssize_t size = lower_text(value);
    (void)self;
    return size < 0 ? NULL : PyUnicode_DecodeUTF8((const char *)memory, size, "strict");
}

static Py_ssize_t lower_buffer(PyObject *value, Py_ssize_t itemsize)
{
    Py_buffer view;
    if (PyBytes_CheckExact(value) && itemsize == 1) {
        Py_ssize_t size = PyBytes_GET_SIZE(value);
        if (size > (Py_ssize_t)sizeof memory) return -1;
        memcpy(memory, PyBytes_AS_STRING(value), (size_t)size);
        return size;
    }
    if (PyObject_GetBuffer(value, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0) return -1;
    Py_ssize_t size = view.len;
    if (view.itemsize != itemsize || size > (Py_ssize_t)sizeof memory) {
        PyErr_SetString(PyExc_TypeError, "wrong items");
        size = -1;
    } else {
        memcpy(memory, view.buf, (size_t)size);
    }
    PyBuffer_Release(&view);
    return size;
}

static PyObject *floor_bytes_in(PyObject *self, PyObject *value)
{
    Py_ssize_t size = lower_buffer(value, 1);
    (void)self;
    return size < 0 ? NULL : PyLong_FromSsize_t(size);
}

static PyObject *floor_bytes_echo(PyObject *self, PyObject *value)
{
    Py_ssize_t size = lower_buffer(value, 1);
    (void)self;
    return size < 0 ? NULL : PyBytes_FromStringAndSize((const char *)memory, size);
}

static Py_ssize_t lower_doubles(PyObject *value)
{
    if (!PyList_Check(value)) {
        Py_ssize_t size = lower_buffer(value, 8);
        return size < 0 ? -1 : size / 8;
    }
    Py_ssize_t count = PyList_GET_SIZE(value);
    if ((size_t)count > sizeof memory / 8) return -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyList_GET_ITEM(value, i);
        double number = PyFloat_CheckExact(item) ? PyFloat_AS_DOUBLE(item) : PyFloat_AsDouble(item);
        if (number == -1.0 && PyErr_Occurred()) return -1;
        memcpy(memory + 8 * i, &number, 8);
    }
    return count;
}

static PyObject *floor_doubles_in(PyObject *self, PyObject *value)
{
    Py_ssize_t count = lower_doubles(value);
    (void)self;
    return count < 0 ? NULL : PyLong_FromSsize_t(count);
}

static PyObject *floor_doubles_echo(PyObject *self, PyObject *value)
{
    Py_ssize_t count = lower_doubles(value);
    (void)self;
    if (count < 0) return NULL;
    PyObject *found = PyList_New(count);
    for (Py_ssize_t i = 0; found != NULL && i < count; i++) {
        double number;
        memcpy(&number, memory + 8 * i, 8);
        PyObject *item = PyFloat_FromDouble(number);
        if (item == NULL) {
            Py_DECREF(found);
            return NULL;
        }
        PyList_SET_ITEM(found, i, item);
    }
    return found;
}

/* ---- compounds ------------------------------------------------------------------------------------------------------------------------------- */

/* A record of two fields (s32 or f64), and a variant: C structs whose members Python sees. */
typedef struct { PyObject_HEAD PyObject *first, *second; } Pair;

static void pair_dealloc(PyObject *self)
{
    Py_XDECREF(((Pair *)self)->first);
    Py_XDECREF(((Pair *)self)->second);
    Py_TYPE(self)->tp_free(self);
}

static int pair_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *first, *second;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "OO", &first, &second)) return -1;
    Py_INCREF(first);
    Py_INCREF(second);
    Py_XSETREF(((Pair *)self)->first, first);
    Py_XSETREF(((Pair *)self)->second, second);
    return 0;
}

/* What a handle is dropped by: once. */
static PyObject *pair_drop(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (((Pair *)self)->first == NULL) return PyErr_Format(PyExc_ValueError, "it was dropped");
    Py_CLEAR(((Pair *)self)->first);
    Py_RETURN_NONE;
}

static PyMethodDef pair_methods[] = {{"drop", pair_drop, METH_NOARGS, NULL}, {0}};
static PyMemberDef pair_members[] = {{"first", T_OBJECT, offsetof(Pair, first), 0, NULL}, {"second", T_OBJECT, offsetof(Pair, second), 0, NULL}, {0}};
static PyTypeObject pair_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wasmrt_floor.Pair",
    .tp_basicsize = sizeof(Pair),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = pair_dealloc,
    .tp_init = pair_init,
    .tp_new = PyType_GenericNew,
    .tp_members = pair_members,
    .tp_methods = pair_methods,
};

static PyObject *new_pair(PyObject *first, PyObject *second)
{
    Pair *made = first == NULL || second == NULL ? NULL : (Pair *)pair_type.tp_alloc(&pair_type, 0);
    if (made == NULL) {
        Py_XDECREF(first);
        Py_XDECREF(second);
        return NULL;
    }
    made->first = first;
    made->second = second;
    return (PyObject *)made;
}

static PyObject *floor_record_echo(PyObject *self, PyObject *value)
{
    int32_t x, y;
    (void)self;
    if (!Py_IS_TYPE(value, &pair_type)) return PyErr_Format(PyExc_TypeError, "expected a record");
    if (as_s32(((Pair *)value)->first, &x) < 0 || as_s32(((Pair *)value)->second, &y) < 0) return NULL;
    return new_pair(PyLong_FromLong(x), PyLong_FromLong(y));
}

static PyObject *floor_tuple_echo(PyObject *self, PyObject *value)
{
    int32_t x, y;
    (void)self;
    if (!PyTuple_Check(value) || PyTuple_GET_SIZE(value) != 2) return PyErr_Format(PyExc_TypeError, "expected a tuple");
    if (as_s32(PyTuple_GET_ITEM(value, 0), &x) < 0 || as_s32(PyTuple_GET_ITEM(value, 1), &y) < 0) return NULL;
    PyObject *first = PyLong_FromLong(x), *second = PyLong_FromLong(y), *found = PyTuple_New(2);
    PyTuple_SET_ITEM(found, 0, first);
    PyTuple_SET_ITEM(found, 1, second);
    return found;
}

static PyObject *case_names[4], *flag_names[4];

static int find_name(PyObject *const *names, PyObject *name)
{
    for (int i = 0; i < 4; i++) {
        if (names[i] == name) return i;
    }
    if (!PyUnicode_Check(name)) {
        PyErr_SetString(PyExc_TypeError, "expected a name");
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        if (PyUnicode_Compare(names[i], name) == 0) return i;
    }
    PyErr_SetString(PyExc_ValueError, "unknown name");
    return -1;
}

static PyObject *floor_variant_echo(PyObject *self, PyObject *value)
{
    int32_t payload;
    (void)self;
    if (!Py_IS_TYPE(value, &pair_type)) return PyErr_Format(PyExc_TypeError, "expected a variant");
    int index = find_name(case_names, ((Pair *)value)->first);
    if (index < 0 || as_s32(((Pair *)value)->second, &payload) < 0) return NULL;
    return new_pair(Py_NewRef(case_names[index]), PyLong_FromLong(payload));
}

static PyObject *floor_option_echo(PyObject *self, PyObject *value)
{
    int32_t payload;
    (void)self;
    if (value == Py_None) Py_RETURN_NONE;
    return as_s32(value, &payload) < 0 ? NULL : PyLong_FromLong(payload);
}

/* result<s32, f64>: told apart by kind */
static PyObject *floor_result_echo(PyObject *self, PyObject *value)
{
    int32_t payload;
    (void)self;
    if (PyFloat_Check(value)) return PyFloat_FromDouble(PyFloat_AS_DOUBLE(value));
    return as_s32(value, &payload) < 0 ? NULL : PyLong_FromLong(payload);
}

static PyObject *floor_enum_echo(PyObject *self, PyObject *value)
{
    int index = find_name(case_names, value);
    (void)self;
    return index < 0 ? NULL : Py_NewRef(case_names[index]);
}

static PyObject *floor_flags_echo(PyObject *self, PyObject *value)
{
    PyObject *item;
    Py_hash_t hash;
    Py_ssize_t at = 0;
    unsigned bits = 0;
    (void)self;
    if (!PySet_Check(value)) return PyErr_Format(PyExc_TypeError, "expected a set");
    while (_PySet_NextEntry(value, &at, &item, &hash)) {
        int index = find_name(flag_names, item);
        if (index < 0) return NULL;
        bits |= 1u << index;
    }
    PyObject *found = PySet_New(NULL);
    for (int i = 0; found != NULL && i < 4; i++) {
        if (bits >> i & 1) PySet_Add(found, flag_names[i]);
    }
    return found;
}

static PyObject *floor_points_in(PyObject *self, PyObject *value)
{
    (void)self;
    if (!PyList_Check(value)) return PyErr_Format(PyExc_TypeError, "expected a list");
    Py_ssize_t count = PyList_GET_SIZE(value);
    for (Py_ssize_t i = 0; i < count && 16 * (i + 1) <= (Py_ssize_t)sizeof memory; i++) {
        Pair *point = (Pair *)PyList_GET_ITEM(value, i);
        if (!Py_IS_TYPE((PyObject *)point, &pair_type) || !PyFloat_Check(point->first) || !PyFloat_Check(point->second))
            return PyErr_Format(PyExc_TypeError, "expected points");
        memcpy(memory + 16 * i, &PyFloat_AS_DOUBLE(point->first), 8);
        memcpy(memory + 16 * i + 8, &PyFloat_AS_DOUBLE(point->second), 8);
    }
    return PyLong_FromSsize_t(count);
}

/* ---- calls back, resources, look-ups ---------------------------------------------------------------------------------------------------------- */

/* calls(function, n): as a guest's loop would call it */
static PyObject *floor_calls(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    int32_t n, sum = 0, result;
    (void)self;
    if (expect(count, 2) < 0 || as_s32(args[1], &n) < 0) return NULL;
    for (; n > 0; n--) {
        PyObject *vector[2] = {NULL, PyLong_FromLong(n)};
        PyObject *found = PyObject_Vectorcall(args[0], vector + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        Py_DECREF(vector[1]);
        if (found == NULL || as_s32(found, &result) < 0) return NULL;
        Py_DECREF(found);
        sum = (int32_t)((uint32_t)sum + (uint32_t)result);
    }
    return PyLong_FromLong(sum);
}

int32_t floor_next(int32_t value);
__attribute__((visibility("default"), noinline)) int32_t floor_next(int32_t value) { return (int32_t)((uint32_t)value + 1u); }

/* native_calls(address, n): through a pointer that the compiler does not see */
static PyObject *floor_native_calls(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    int32_t n, sum = 0;
    (void)self;
    if (expect(count, 2) < 0 || as_s32(args[1], &n) < 0) return NULL;
    int32_t (*volatile pointer)(int32_t) = (int32_t (*)(int32_t))PyLong_AsVoidPtr(args[0]);
    int32_t (*function)(int32_t) = pointer;
    if (function == NULL) return NULL;
    for (; n > 0; n--) sum = (int32_t)((uint32_t)sum + (uint32_t)function(n));
    return PyLong_FromLong(sum);
}

/* A handle: an object with a number, made and freed. */
static PyObject *floor_handle(PyObject *self, PyObject *value)
{
    int32_t rep;
    (void)self;
    if (as_s32(value, &rep) < 0) return NULL;
    return new_pair(PyLong_FromLong(rep), Py_NewRef(Py_None));
}

static PyObject *floor_rep(PyObject *self, PyObject *value)
{
    int32_t rep;
    (void)self;
    if (!Py_IS_TYPE(value, &pair_type)) return PyErr_Format(PyExc_TypeError, "expected a handle");
    return as_s32(((Pair *)value)->first, &rep) < 0 ? NULL : PyLong_FromLong(rep);
}

static PyObject *floor_lookup(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)self;
    if (expect(count, 2) < 0) return NULL;
    PyObject *found = PyDict_GetItemWithError(args[0], args[1]);
    return found == NULL && PyErr_Occurred() ? NULL : Py_NewRef(found == NULL ? Py_None : found);
}

#define FAST(name) {#name, (PyCFunction)(void (*)(void))floor_##name, METH_FASTCALL, NULL}
#define ONE(name) {#name, floor_##name, METH_O, NULL}
static PyMethodDef methods[] = {
    FAST(add), FAST(add_released), ONE(text_in), ONE(text_echo), ONE(bytes_in), ONE(bytes_echo), ONE(doubles_in), ONE(doubles_echo), ONE(record_echo), ONE(tuple_echo),
    ONE(variant_echo), ONE(option_echo), ONE(result_echo), ONE(enum_echo), ONE(flags_echo), ONE(points_in), FAST(calls), FAST(native_calls),
    ONE(handle), ONE(rep), FAST(lookup), {0},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "wasmrt_floor", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit_wasmrt_floor(void)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    PyObject *made = PyType_Ready(&pair_type) < 0 ? NULL : PyModule_Create(&module);
    if (made == NULL) return NULL;
    for (int i = 0; i < 4; i++) case_names[i] = flag_names[i] = PyUnicode_InternFromString(names[i]);
    PyModule_AddObjectRef(made, "Pair", (PyObject *)&pair_type);
    PyObject *address = PyLong_FromVoidPtr((void *)floor_next);
    PyModule_AddObjectRef(made, "next_address", address);
    Py_XDECREF(address);
    return made;
}
