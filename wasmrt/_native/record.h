/* Instances of record classes (abi.pyx: subclasses of Record whose fields are slots) and of Variant: made by lifting, and freed.
 *
 * What `type()` gives such a class to free an instance with goes through every base and slot by name; here the slots are known to lie side by side from
 * where Record ends. It is replaced on the CPython whose objects are laid out as this file knows them; elsewhere nothing changes. */
#ifndef WASMRT_NATIVE_RECORD_H
#define WASMRT_NATIVE_RECORD_H

#include <Python.h>

typedef struct { PyObject_HEAD PyObject *tag, *payload; } VariantObject; /* abi.pyx's Variant, as lower.pyx checks */

/* A Variant; steals the payload. NULL with an exception. */
static inline PyObject *wr_new_variant(PyTypeObject *type, PyObject *tag, PyObject *payload) {
    VariantObject *made = (VariantObject *)type->tp_alloc(type, 0);
    if (made == NULL) {
        Py_DECREF(payload);
        return NULL;
    }
    made->tag = Py_NewRef(tag);
    made->payload = payload;
    return (PyObject *)made;
}

#if PY_VERSION_HEX < 0x030C0000

static void record_dealloc(PyObject *self);

/* Drops what the instance holds. `of` is the record class, which a class of the user's may be derived from. */
static void record_clear(PyObject *self, PyTypeObject *of) {
    PyObject **slot = (PyObject **)((char *)self + of->tp_base->tp_basicsize), **end = (PyObject **)((char *)self + of->tp_basicsize);
    if (*(PyObject **)((char *)self + of->tp_weaklistoffset) != NULL) PyObject_ClearWeakRefs(self);
    for (; slot < end; slot++) Py_CLEAR(*slot);
    PyObject **attributes = _PyObject_GetDictPtr(self); /* besides the slots; usually there are none */
    if (attributes != NULL) Py_CLEAR(*attributes);
}

static void record_dealloc_deep(PyObject *self, PyTypeObject *of) {
    Py_TRASHCAN_BEGIN(self, record_dealloc)
    PyTypeObject *type = Py_TYPE(self);
    record_clear(self, of);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static void record_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self), *of = type;
    while (of->tp_dealloc != record_dealloc) of = of->tp_base;
    if (of == type && type->tp_finalize != NULL && PyObject_CallFinalizerFromDealloc(self) < 0) return;
    PyObject_GC_UnTrack(self);
    PyObject **slot = (PyObject **)((char *)self + of->tp_base->tp_basicsize), **end = (PyObject **)((char *)self + of->tp_basicsize);
    for (; slot < end; slot++) {
        if (*slot != NULL && PyObject_IS_GC(*slot)) {
            record_dealloc_deep(self, of);
            return;
        }
    }
    record_clear(self, of);
    type->tp_free(self);
    Py_DECREF(type); /* of an instance: `type` is a heap type */
}

static inline void wr_record_class_made(PyTypeObject *type) { type->tp_dealloc = record_dealloc; }

#else
static inline void wr_record_class_made(PyTypeObject *type) { (void)type; }
#endif

#endif
