/* Instances of record classes (abi.pyx: subclasses of Record whose fields are slots) and of Variant: made by lifting, and freed.
 *
 * What `type()` gives such a class to free an instance with goes through every base and slot by name; here the slots are known to lie side by side from
 * where Record ends. It is replaced on the CPython whose objects are laid out as this file knows them; elsewhere nothing changes. */
#ifndef WASMRT_NATIVE_RECORD_H
#define WASMRT_NATIVE_RECORD_H

#include <Python.h>

typedef struct { PyObject_HEAD PyObject *tag, *payload; } VariantObject; /* abi.pyx's Variant, as lower.pyx checks */

static PyObject *record_no_arguments; /* an empty tuple */

/* A Variant, from its class's free list; steals the payload. NULL with an exception. */
static inline PyObject *wr_new_variant(PyTypeObject *type, PyObject *tag, PyObject *payload) {
    VariantObject *made = (VariantObject *)type->tp_new(type, record_no_arguments, NULL);
    if (made == NULL) {
        Py_DECREF(payload);
        return NULL;
    }
    Py_SETREF(made->tag, Py_NewRef(tag)); /* both were None */
    Py_SETREF(made->payload, payload);
    return (PyObject *)made;
}

#if PY_VERSION_HEX < 0x030C0000

/* Freed instances, empty, which hold their classes; the next one of that class is made of it. Each class has one of the places. */
enum { RECORD_SPARES = 8 };
static PyObject **record_spares;

static inline PyObject **record_spare(PyTypeObject *type) { return &record_spares[(uintptr_t)type / 64 % RECORD_SPARES]; }

/* What the class would make without a look at arguments, and without room for attributes besides slots: that comes with the first one. */
static inline PyObject *wr_new_record(PyTypeObject *type) {
    PyObject **spare = record_spare(type), *made = *spare;
    if (made == NULL || Py_TYPE(made) != type) return type->tp_alloc(type, 0);
    *spare = NULL;
    _Py_NewReference(made);
    PyObject_GC_Track(made);
    return made;
}

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
    PyObject **spare = record_spare(type);
    if (of == type && *spare == NULL) {
        *spare = self;
        return;
    }
    type->tp_free(self);
    Py_DECREF(type); /* of an instance: `type` is a heap type */
}

/* In every module that includes this; `spares` are one array of RECORD_SPARES for all. */
static inline int wr_record_init(PyObject **spares) {
    record_spares = spares;
    record_no_arguments = PyTuple_New(0);
    return record_no_arguments == NULL ? -1 : 0;
}

static inline void wr_record_class_made(PyTypeObject *type) { type->tp_dealloc = record_dealloc; }

/* Attributes of an instance that has no dict yet lie in an array before it, in the order of the keys that all instances of its class share (PEP 659's inline
 * values; Include/internal/pycore_dict.h of 3.11, which is no public header). Keys are added, never moved. */
typedef struct {
    Py_ssize_t num_references;
    uint8_t log2_size, log2_index_bytes, kind;
    uint32_t version;
    Py_ssize_t usable, num_entries;
    char indices[];
} RecordKeys;
typedef struct { PyObject *key, *value; } RecordEntry;

static inline int record_has_values(PyTypeObject *type) { return (type->tp_flags & Py_TPFLAGS_MANAGED_DICT) != 0; }

/* An attribute that is none of the class (borrowed), NULL where it has to be looked for. `place`: where it was found last. */
static inline PyObject *record_attribute(PyObject *self, PyObject *name, uint32_t *place) {
    PyObject *const *values = ((PyObject *const **)self)[-4];
    const RecordKeys *keys = (const RecordKeys *)((PyHeapTypeObject *)Py_TYPE(self))->ht_cached_keys;
    if (values == NULL) return NULL;
    const RecordEntry *entries = (const RecordEntry *)(const void *)(keys->indices + ((size_t)1 << keys->log2_index_bytes));
    if (*place < keys->num_entries && entries[*place].key == name) return values[*place];
    for (uint32_t i = 0; i < keys->num_entries; i++) {
        if (entries[i].key == name) return values[*place = i];
    }
    return NULL;
}

#else
enum { RECORD_SPARES = 1 };
static inline int wr_record_init(PyObject **spares) {
    (void)spares;
    record_no_arguments = PyTuple_New(0);
    return record_no_arguments == NULL ? -1 : 0;
}
static inline PyObject *wr_new_record(PyTypeObject *type) { return type->tp_alloc(type, 0); }
static inline void wr_record_class_made(PyTypeObject *type) { (void)type; }
static inline int record_has_values(PyTypeObject *type) { return (void)type, 0; }
static inline PyObject *record_attribute(PyObject *self, PyObject *name, uint32_t *place) { return (void)self, (void)name, (void)place, NULL; }
#endif

#endif
