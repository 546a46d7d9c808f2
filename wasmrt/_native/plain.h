/* Lowers *plain* values without a call into Python: exact instances of the class that a type lifts to (bool, int of a machine word, float, str, bytes, set
 * and names that the plan interned, tuple, None, Variant, Record or a record of the plan's own class), and dicts whose keys are a record's fields in order.
 *
 * Looking at one runs no user code, with one exception: attributes of a Record made by hand (a key of its __dict__ may be a str that compares as it likes; an
 * attribute that is missing makes an exception, which can start Python's collector). So a compound is held while it is read, and what is read of a list
 * or dict is read anew after each element. Scalars, strings and bytes need neither. A value can be given up at any point. Every function answers 1 when
 * the value was lowered, else 0: then it is not plain (wrong, or right in a rarer way), and who called starts that value over on the general path
 * (leaves.pyx, lower.pyx), which knows all of the ways and words all errors. So this file decides nothing: a plain value gives the same bits and steps
 * there. Lists are not plain, their elements may be.
 *
 * Flat values are ValRaw slots, written as 64 zero-extended bits; values in memory lie at their offsets in staged bytes. */
#ifndef WASMRT_NATIVE_PLAIN_H
#define WASMRT_NATIVE_PLAIN_H

#include "abi_text.h"
#include "record.h"

#define PLAIN_INLINE static inline __attribute__((always_inline))

enum { PLAIN_MAX_NAMES = 16 }; /* looked for one by one */

/* The classes of values that abi.pyx defines; set once, by lower.pyx, which checks the layout of Variant. */
static PyTypeObject *plain_record_class, *plain_variant_class;
static unsigned int plain_record_version; /* of the class as it was made: while it is that, reading an attribute of a Record runs no user code */

static int plain_knows_values;           /* where a Record keeps attributes is as record.h has it */

/* `sample` has one attribute, of that name. */
static inline void plain_init(PyTypeObject *record, PyTypeObject *variant, PyObject *sample, PyObject *name) {
    uint32_t place = 0;
    plain_record_class = record, plain_variant_class = variant;
    plain_record_version = record->tp_getattro == PyObject_GenericGetAttr ? record->tp_version_tag : 0;
    PyObject *value = PyObject_GenericGetAttr(sample, name);
    plain_knows_values = value != NULL && record_has_values(record) && record_attribute(sample, name, &place) == value;
    Py_XDECREF(value);
}

/* Whether attributes of bare Records are what lies in their dicts. */
PLAIN_INLINE int plain_record_is_known(void) { return plain_record_version != 0 && plain_record_class->tp_version_tag == plain_record_version; }

/* An attribute of a bare Record (borrowed); NULL: to be looked for. */
PLAIN_INLINE PyObject *plain_attribute(PyObject *value, PyObject *name, const AbiField *field) {
    return plain_knows_values ? record_attribute(value, name, (uint32_t *)(uintptr_t)&field->place_by_hand) : NULL;
}

static inline PyObject *plain_tag(PyObject *variant) { return ((VariantObject *)variant)->tag; }
static inline PyObject *plain_payload(PyObject *variant) { return ((VariantObject *)variant)->payload; }

/* ---- steps ----------------------------------------------------------------------------------------------------------------------------------- */

/* The next step, NULL when there is no room for one without allocating. */
PLAIN_INLINE AbiStep *plain_step(AbiCall *call) {
    return call->num_steps == call->capacity ? NULL : &call->steps[call->num_steps++];
}

/* Forgets the steps after the first `kept`: all are copies. */
static inline int plain_undo(AbiCall *call, uint32_t kept) {
    while (call->num_steps > kept) Py_DECREF((PyObject *)call->steps[--call->num_steps].owner);
    return 0;
}

PLAIN_INLINE int plain_copy(AbiCall *call, uint8_t align, PyObject *owner, const void *source, Py_ssize_t size, uint8_t *patch) {
    if ((size_t)size > ABI_MAX_BYTES) return 0;
    AbiStep *step = plain_step(call);
    if (step == NULL) return 0;
    step->kind = ABI_STEP_COPY;
    step->align = align;
    step->patch = patch;
    step->source = source;
    step->size = (uint64_t)size;
    step->guest = 0;
    step->owner = Py_NewRef(owner);
    step->lent = NULL;
    return 1;
}

/* Strings whose bytes in the guest are those of the str. */
PLAIN_INLINE int plain_string(AbiCall *call, PyObject *value, uint8_t *patch, uint32_t *out_units) {
    if (!PyUnicode_CheckExact(value) || !PyUnicode_IS_COMPACT_ASCII(value) || call->encoding == ABI_UTF16) return 0;
    *out_units = (uint32_t)PyUnicode_GET_LENGTH(value);
    return plain_copy(call, call->encoding == ABI_UTF8 ? 1 : 2, value, ((PyASCIIObject *)value) + 1, PyUnicode_GET_LENGTH(value), patch);
}

PLAIN_INLINE int plain_bytes(AbiCall *call, PyObject *value, uint8_t *patch, uint32_t *out_units) {
    if (!PyBytes_CheckExact(value)) return 0;
    *out_units = (uint32_t)PyBytes_GET_SIZE(value);
    return plain_copy(call, 1, value, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), patch);
}

/* ---- scalars --------------------------------------------------------------------------------------------------------------------------------- */

/* Index of a name that is the plan's own object, -1 for what may be another str with the same characters. */
PLAIN_INLINE int plain_name(void *const *objects, const AbiNode *node, uint32_t count, PyObject *value) {
    PyObject *const *names = ((PyTupleObject *)objects[node->names])->ob_item;
    if (count > PLAIN_MAX_NAMES) return -1;
    for (uint32_t i = 0; i < count; i++) {
        if (names[i] == value) return (int)i;
    }
    return -1;
}

PLAIN_INLINE int plain_flags(void *const *objects, const AbiNode *node, PyObject *value, uint64_t *out) {
    if (!PySet_CheckExact(value) && !PyFrozenSet_CheckExact(value)) return 0;
    const PySetObject *set = (const PySetObject *)value;
    const setentry *entry = set->table;
    uint64_t bits = 0;
    for (Py_ssize_t left = set->used; left > 0; entry++) {
        if (entry->key == NULL || entry->hash == -1) continue; /* free, or taken away */
        int index = plain_name(objects, node, node->length, entry->key);
        if (index < 0) return 0;
        bits |= UINT64_C(1) << index;
        left--;
    }
    *out = bits;
    return 1;
}

/* bool to char, enums and flags, as zero-extended bits. */
static inline int plain_scalar(void *const *objects, const AbiNode *node, PyObject *value, uint64_t *out) {
    int64_t number;
    switch (node->op) {
    case ABI_OP_S32:
        if (!PyLong_CheckExact(value) || !abi_small_int(value, &number) || number != (int32_t)number) return 0;
        break;
    case ABI_OP_U32:
        if (!PyLong_CheckExact(value) || !abi_small_int(value, &number) || number != (int64_t)(uint32_t)number) return 0;
        break;
    case ABI_OP_U8:
        if (!PyLong_CheckExact(value) || !abi_small_int(value, &number) || number != (int64_t)(uint8_t)number) return 0;
        break;
    case ABI_OP_S8:
        if (!PyLong_CheckExact(value) || !abi_small_int(value, &number) || number != (int8_t)number) return 0;
        break;
    case ABI_OP_U16:
        if (!PyLong_CheckExact(value) || !abi_small_int(value, &number) || number != (int64_t)(uint16_t)number) return 0;
        break;
    case ABI_OP_S16:
        if (!PyLong_CheckExact(value) || !abi_small_int(value, &number) || number != (int16_t)number) return 0;
        break;
    case ABI_OP_U64:
        if (!PyLong_CheckExact(value) || !abi_small_int(value, &number) || number < 0) return 0;
        *out = (uint64_t)number;
        return 1;
    case ABI_OP_S64:
        if (!PyLong_CheckExact(value) || !abi_small_int(value, &number)) return 0;
        *out = (uint64_t)number;
        return 1;
    case ABI_OP_F64:
        if (!PyFloat_CheckExact(value)) return 0;
        memcpy(out, &PyFloat_AS_DOUBLE(value), 8);
        return 1;
    case ABI_OP_F32: {
        if (!PyFloat_CheckExact(value)) return 0;
        float narrow = (float)PyFloat_AS_DOUBLE(value);
        uint32_t word;
        memcpy(&word, &narrow, 4);
        *out = word;
        return 1;
    }
    case ABI_OP_BOOL:
        if (!PyBool_Check(value)) return 0;
        *out = value == Py_True;
        return 1;
    case ABI_OP_ENUM:
        number = plain_name(objects, node, node->length, value);
        if (number < 0) return 0;
        break;
    case ABI_OP_FLAGS:
        return plain_flags(objects, node, value, out);
    default: /* char */
        if (!PyUnicode_CheckExact(value) || !PyUnicode_IS_COMPACT_ASCII(value) || PyUnicode_GET_LENGTH(value) != 1) return 0;
        number = *(const uint8_t *)(((PyASCIIObject *)value) + 1);
    }
    *out = (uint32_t)number;
    return 1;
}

/* The same into memory. */
PLAIN_INLINE int plain_put(const AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *out) {
    uint64_t bits;
    if (!plain_scalar(call->objects, node, value, &bits)) return 0;
    if (node->size == 4) memcpy(out, &bits, 4);
    else if (node->size == 8) memcpy(out, &bits, 8);
    else if (node->size == 1) memcpy(out, &bits, 1);
    else memcpy(out, &bits, 2);
    return 1;
}

PLAIN_INLINE int plain_is_scalar(uint8_t op) { return op <= ABI_OP_CHAR || op == ABI_OP_ENUM || op == ABI_OP_FLAGS; }

/* ---- compounds ------------------------------------------------------------------------------------------------------------------------------- */

static int plain_flat(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *out);
static int plain_memory(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *out);

PLAIN_INLINE int plain_field(AbiCall *call, const AbiField *field, PyObject *value, uint8_t *out, int flat) {
    const AbiNode *node = &call->nodes[field->node];
    out += flat ? field->slot * sizeof(ValRaw) : field->offset;
    if (!plain_is_scalar(node->op)) {
        Py_INCREF(value);
        int fits = flat ? plain_flat(call, node, value, out) : plain_memory(call, node, value, out);
        Py_DECREF(value);
        return fits;
    }
    return flat ? plain_scalar(call->objects, node, value, (uint64_t *)(void *)out) : plain_put(call, node, value, out);
}

PLAIN_INLINE PyObject *plain_member(const AbiField *field, PyObject *value) { return *(PyObject **)((char *)value + field->place); }

/* Records that programs make by hand, by the attributes' Python names. */
static int plain_attributes(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *out, int flat) {
    const AbiField *field = &call->fields[node->first], *end = field + node->count;
    PyObject *const *names = ((PyTupleObject *)call->objects[node->names])->ob_item + node->count;
    int fits = plain_record_is_known();
    for (; fits && field < end; field++, names++) {
        PyObject *item = Py_XNewRef(plain_attribute(value, *names, field));
        if (item == NULL && (item = PyObject_GenericGetAttr(value, *names)) == NULL) {
            PyErr_Clear();
            return 0;
        }
        fits = plain_field(call, field, item, out, flat);
        Py_DECREF(item);
    }
    return fits;
}

PLAIN_INLINE int plain_record(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *out, int flat) {
    const AbiField *field = &call->fields[node->first], *end = field + node->count;
    if ((void *)Py_TYPE(value) == call->objects[node->lookup]) {
        for (; field < end; field++) {
            PyObject *item = plain_member(field, value);
            if (item == NULL || !plain_field(call, field, item, out, flat)) return 0;
        }
        return 1;
    }
    if (Py_TYPE(value) == plain_record_class) return plain_attributes(call, node, value, out, flat);
    if (!PyDict_CheckExact(value) || PyDict_GET_SIZE(value) != (Py_ssize_t)node->count) return 0;
    /* as many keys as fields: each is its own */
    PyObject *const *names = ((PyTupleObject *)call->objects[node->names])->ob_item, *key, *item;
    for (Py_ssize_t at = 0; field < end; field++, names++) {
        if (!PyDict_Next(value, &at, &key, &item) || (key != names[0] && key != names[node->count])) return 0;
        if (!plain_field(call, field, item, out, flat)) return 0;
    }
    return 1;
}

/* The bit of a value's kind; 0: not looked at here. */
PLAIN_INLINE uint32_t plain_kind(PyObject *value) {
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyLong_Type) return 1u << ABI_KIND_INT;
    if (type == &PyFloat_Type) return 1u << ABI_KIND_FLOAT;
    if (type == &PyUnicode_Type) return 1u << ABI_KIND_STR;
    if (value == Py_None) return 1u << ABI_KIND_NONE;
    if (type == &PyBool_Type) return 1u << ABI_KIND_BOOL;
    if (type == &PyBytes_Type) return 1u << ABI_KIND_BYTES;
    if (type == &PyTuple_Type) return 1u << ABI_KIND_TUPLE;
    if (type == &PySet_Type) return 1u << ABI_KIND_SET;
    if (type->tp_base == plain_record_class || type == plain_record_class) return 1u << ABI_KIND_RECORD;
    return 0;
}

/* Which case, and its payload (borrowed); -1: not plain. */
PLAIN_INLINE int plain_case(const AbiCall *call, const AbiNode *node, PyObject *value, PyObject **out_payload) {
    const AbiField *cases = &call->fields[node->first];
    *out_payload = value;
    if (node->op == ABI_OP_OPTION) return value != Py_None;
    if (node->op == ABI_OP_VARIANT) {
        if (Py_TYPE(value) != plain_variant_class) return -1;
        int index = plain_name(call->objects, node, node->count, plain_tag(value));
        *out_payload = plain_payload(value);
        return index >= 0 && cases[index].node == ABI_NO_NODE && *out_payload != Py_None ? -1 : index;
    }
    uint32_t kind = plain_kind(value) & node->exact;
    for (uint32_t i = 0; kind != 0 && i < node->count; i++) {
        if ((cases[i].node == ABI_NO_NODE ? 1u << ABI_KIND_NONE : call->nodes[cases[i].node].exact) & kind) return (int)i;
    }
    return -1;
}

PLAIN_INLINE int plain_variant(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *out, int flat) {
    PyObject *payload;
    int index = plain_case(call, node, value, &payload);
    if (index < 0) return 0;
    const AbiField *field = &call->fields[node->first + (uint32_t)index];
    uint64_t word = (uint64_t)index;
    if (flat) {
        for (uint32_t i = 1; i < node->flat; i++) abi_store64(out + i * sizeof(ValRaw), 0);
        abi_store64(out, word);
    } else if (node->disc_size == 1) {
        *out = (uint8_t)word;
    } else {
        memcpy(out, &word, node->disc_size);
    }
    return field->node == ABI_NO_NODE || plain_field(call, field, payload, out, flat);
}

PLAIN_INLINE int plain_value(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *out, int flat) {
    uint32_t units;
    switch (node->op) {
    case ABI_OP_STRING:
        if (flat) abi_store64(out, 0);
        if (!plain_string(call, value, out, &units)) return 0;
        break;
    case ABI_OP_BYTES:
        if (flat) abi_store64(out, 0);
        if (!plain_bytes(call, value, out, &units)) return 0;
        break;
    case ABI_OP_RECORD:
        return plain_record(call, node, value, out, flat);
    case ABI_OP_TUPLE: {
        if (!PyTuple_CheckExact(value) || PyTuple_GET_SIZE(value) != (Py_ssize_t)node->count) return 0;
        const AbiField *field = &call->fields[node->first];
        for (uint32_t i = 0; i < node->count; i++, field++) {
            if (!plain_field(call, field, PyTuple_GET_ITEM(value, i), out, flat)) return 0;
        }
        return 1;
    }
    case ABI_OP_OPTION:
    case ABI_OP_BARE:
    case ABI_OP_VARIANT:
        return plain_variant(call, node, value, out, flat);
    case ABI_OP_LIST:
    case ABI_OP_FIXED_LIST:
    case ABI_OP_MAP:
    case ABI_OP_OWN:
    case ABI_OP_BORROW:
    case ABI_OP_CHANNEL:
        return 0;
    default:
        return flat ? plain_scalar(call->objects, node, value, (uint64_t *)(void *)out) : plain_put(call, node, value, out);
    }
    if (flat) abi_store64(out + sizeof(ValRaw), units);
    else abi_store32(out + 4, units);
    return 1;
}

static int plain_flat(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *out) { return plain_value(call, node, value, out, 1); }
static int plain_memory(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *out) { return plain_value(call, node, value, out, 0); }

/* ---- what lower.pyx calls ---------------------------------------------------------------------------------------------------------------------- */

/* A value into core values; what it added is taken back when it is not plain. */
PLAIN_INLINE int plain_lower_flat(AbiCall *call, const AbiNode *node, PyObject *value, ValRaw *out) {
    uint32_t kept = call->num_steps;
    if (plain_is_scalar(node->op)) return plain_scalar(call->objects, node, value, (uint64_t *)(void *)out);
    return plain_flat(call, node, value, (uint8_t *)out) || plain_undo(call, kept);
}

/* A value into staged bytes, which are zeros, and are again when it is not plain. */
static inline int plain_lower_memory(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *out) {
    uint32_t kept = call->num_steps;
    if (plain_memory(call, node, value, out)) return 1;
    memset(out, 0, node->size);
    return plain_undo(call, kept);
}

/* Only what holds no other value: parts of a compound that is not plain itself. */
PLAIN_INLINE int plain_leaf_flat(AbiCall *call, const AbiNode *node, PyObject *value, ValRaw *out) {
    if (plain_is_scalar(node->op)) return plain_scalar(call->objects, node, value, (uint64_t *)(void *)out);
    return (node->op == ABI_OP_STRING || node->op == ABI_OP_BYTES) && plain_flat(call, node, value, (uint8_t *)out);
}

PLAIN_INLINE int plain_leaf_memory(AbiCall *call, const AbiNode *node, PyObject *value, uint8_t *out) {
    if (plain_is_scalar(node->op)) return plain_put(call, node, value, out);
    return (node->op == ABI_OP_STRING || node->op == ABI_OP_BYTES) && plain_memory(call, node, value, out);
}

/* Rows of doubles: records of the plan's class, or else bare ones, whose fields are all f64. How many of the first `count` are plain, which are lowered. */
static inline Py_ssize_t plain_rows(const AbiCall *call, const AbiNode *element, PyObject *const *items, Py_ssize_t count, uint8_t *out) {
    const AbiField *fields = &call->fields[element->first], *end = fields + element->count;
    const void *wanted = call->objects[element->lookup];
    for (Py_ssize_t i = 0; i < count; i++, out += element->size) {
        if ((const void *)Py_TYPE(items[i]) != wanted) return i;
        for (const AbiField *field = fields; field < end; field++) {
            PyObject *item = plain_member(field, items[i]);
            if (item == NULL || !PyFloat_CheckExact(item)) return i;
            memcpy(out + field->offset, &PyFloat_AS_DOUBLE(item), 8);
        }
    }
    return count;
}

static inline Py_ssize_t plain_rows_by_hand(const AbiCall *call, const AbiNode *element, PyObject *const *items, Py_ssize_t count, uint8_t *out) {
    const AbiField *fields = &call->fields[element->first], *end = fields + element->count;
    PyObject *const *names = ((PyTupleObject *)call->objects[element->names])->ob_item + element->count;
    if (!plain_record_is_known()) return 0;
    for (Py_ssize_t i = 0; i < count; i++, out += element->size) {
        if (Py_TYPE(items[i]) != plain_record_class) return i;
        for (const AbiField *field = fields; field < end; field++) {
            PyObject *item = plain_attribute(items[i], names[field - fields], field);
            if (item == NULL || !PyFloat_CheckExact(item)) return i;
            memcpy(out + field->offset, &PyFloat_AS_DOUBLE(item), 8);
        }
    }
    return count;
}

/* A compound, which is held, and which may change the list or tuple it is in. */
static inline int plain_element(AbiCall *call, const AbiNode *element, PyObject *of, Py_ssize_t i, Py_ssize_t count, uint8_t *out) {
    if (PySequence_Fast_GET_SIZE(of) != count) return 0;
    PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(of, i));
    int fits = plain_lower_memory(call, element, item, out);
    Py_DECREF(item);
    return fits;
}

/* Elements of a list or tuple of `count`, from element i on, into consecutive bytes. Returns the first that is not plain, or that was not looked at because
 * the list has changed its length; those before it are lowered. */
static inline Py_ssize_t plain_elements(AbiCall *call, const AbiNode *element, PyObject *of, Py_ssize_t i, Py_ssize_t count, uint8_t *start) {
    PyObject *const *items = PySequence_Fast_ITEMS(of);
    uint8_t *out = start + i * element->size;
    int64_t number;
    switch (element->op) {
    case ABI_OP_F64:
        for (; i < count && PyFloat_CheckExact(items[i]); i++) memcpy(start + 8 * i, &PyFloat_AS_DOUBLE(items[i]), 8);
        break;
    case ABI_OP_S32:
        for (; i < count && PyLong_CheckExact(items[i]) && abi_small_int(items[i], &number) && number == (int32_t)number; i++)
            abi_store32(start + 4 * i, (uint32_t)number);
        break;
    case ABI_OP_U32:
        for (; i < count && PyLong_CheckExact(items[i]) && abi_small_int(items[i], &number) && number == (int64_t)(uint32_t)number; i++)
            abi_store32(start + 4 * i, (uint32_t)number);
        break;
    case ABI_OP_LIST:
    case ABI_OP_FIXED_LIST:
    case ABI_OP_MAP:
    case ABI_OP_OWN:
    case ABI_OP_BORROW:
    case ABI_OP_CHANNEL:
        break;
    case ABI_OP_RECORD:
        if (element->flags & ABI_DOUBLES) {
            i += plain_rows(call, element, items + i, count - i, out);
            i += plain_rows_by_hand(call, element, items + i, count - i, start + i * element->size);
        }
        for (out = start + i * element->size; i < count && plain_element(call, element, of, i, count, out); i++) out += element->size;
        break;
    default:
        if (plain_is_scalar(element->op)) {
            for (; i < count && plain_put(call, element, items[i], out); i++) out += element->size;
        } else if (element->op == ABI_OP_STRING || element->op == ABI_OP_BYTES) {
            for (; i < count && plain_lower_memory(call, element, items[i], out); i++) out += element->size;
        } else {
            for (; i < count && plain_element(call, element, of, i, count, out); i++) out += element->size;
        }
    }
    return i;
}

#endif
