/* Lifts what holds no string, list or handle: numbers, chars, names, and records, tuples and variants of such, from core values or linear memory. The
 * rest, and what to say about bits that are no value, is lift.pyx's, which every module that includes this is told of.
 *
 * `at` are core values (`flat`: ValRaw slots) or bytes of linear memory at a checked place. Undefined upper bits are not looked at. Functions answer a
 * new reference, or NULL with an exception. */
#ifndef WASMRT_NATIVE_LIFT_H
#define WASMRT_NATIVE_LIFT_H

#include "abi_text.h"
#include "record.h"

#define LIFT_INLINE static inline __attribute__((always_inline))

enum { LIFT_BAD_CHAR, LIFT_BAD_DISCRIMINANT };

typedef struct LiftRest {
    PyObject *(*refuse)(int what); /* sets the Trap */
    /* strings, lists, maps, lists of fixed length, handles */
    PyObject *(*other)(AbiCall *call, const AbiNode *node, const uint8_t *at, int flat);
    PyTypeObject *variant_class;
} LiftRest;

static const LiftRest *lift_rest;

LIFT_INLINE uint64_t lift_bits(const uint8_t *at, uint32_t size) {
    uint16_t half;
    switch (size) {
    case 1: return at[0];
    case 2: memcpy(&half, at, 2); return half;
    case 4: return abi_load32(at);
    default: return abi_load64(at);
    }
}

LIFT_INLINE int lift_is_scalar(uint8_t op) { return op <= ABI_OP_CHAR || op == ABI_OP_ENUM || op == ABI_OP_FLAGS; }

LIFT_INLINE PyObject *lift_name(void *const *objects, const AbiNode *node, uint32_t index) {
    return PyTuple_GET_ITEM((PyObject *)objects[node->names], index);
}

static PyObject *lift_flags(void *const *objects, const AbiNode *node, uint32_t word) {
    PyObject *found = PySet_New(NULL);
    for (uint32_t i = 0; found != NULL && i < node->length; i++) {
        if (word >> i & 1 && PySet_Add(found, lift_name(objects, node, i)) < 0) Py_CLEAR(found);
    }
    return found;
}

static inline PyObject *lift_scalar(void *const *objects, const AbiNode *node, uint64_t bits) {
    const uint32_t word = (uint32_t)bits;
    double number;
    float narrow;
    switch (node->op) {
    case ABI_OP_S32: return PyLong_FromLong((int32_t)word);
    case ABI_OP_U32: return PyLong_FromLong((long)word);
    case ABI_OP_S64: return PyLong_FromLong((long)bits);
    case ABI_OP_U64: return PyLong_FromUnsignedLong(bits);
    case ABI_OP_F64: memcpy(&number, &bits, 8); return PyFloat_FromDouble(number);
    case ABI_OP_F32: memcpy(&narrow, &word, 4); return PyFloat_FromDouble((double)narrow);
    case ABI_OP_BOOL: return Py_NewRef(word ? Py_True : Py_False);
    case ABI_OP_U8: return PyLong_FromLong((uint8_t)word);
    case ABI_OP_S8: return PyLong_FromLong((int8_t)word);
    case ABI_OP_U16: return PyLong_FromLong((uint16_t)word);
    case ABI_OP_S16: return PyLong_FromLong((int16_t)word);
    case ABI_OP_CHAR:
        if (word >= 0x110000 || (word >= 0xd800 && word <= 0xdfff)) return lift_rest->refuse(LIFT_BAD_CHAR);
        return PyUnicode_FromOrdinal((int)word);
    case ABI_OP_ENUM:
        if (word >= node->length) return lift_rest->refuse(LIFT_BAD_DISCRIMINANT);
        return Py_NewRef(lift_name(objects, node, word));
    default: return lift_flags(objects, node, word);
    }
}

static PyObject *lift_compound(AbiCall *call, const AbiNode *node, const uint8_t *at, int flat);

LIFT_INLINE PyObject *lift_value(AbiCall *call, const AbiNode *node, const uint8_t *at, int flat) {
    if (!lift_is_scalar(node->op)) return lift_compound(call, node, at, flat);
    return lift_scalar(call->objects, node, flat ? abi_load64(at) : lift_bits(at, node->size));
}

/* A field of a record, an element of a tuple, or the payload of a case. */
LIFT_INLINE PyObject *lift_part(AbiCall *call, const AbiField *field, const uint8_t *at, int flat) {
    return lift_value(call, &call->nodes[field->node], at + (flat ? field->slot * sizeof(ValRaw) : field->offset), flat);
}

LIFT_INLINE PyObject *lift_case(AbiCall *call, const AbiNode *node, const uint8_t *at, int flat) {
    const uint32_t index = (uint32_t)(flat ? abi_load32(at) : lift_bits(at, node->disc_size));
    if (index >= node->count) return lift_rest->refuse(LIFT_BAD_DISCRIMINANT);
    const AbiField *field = &call->fields[node->first + index];
    PyObject *payload = field->node == ABI_NO_NODE ? Py_NewRef(Py_None) : lift_part(call, field, at, flat);
    if (payload == NULL || node->op != ABI_OP_VARIANT) return payload;
    return wr_new_variant(lift_rest->variant_class, lift_name(call->objects, node, index), payload);
}

enum { LIFT_PARTS = 16 };

/* New references to up to LIFT_PARTS parts, or 0 with an exception. They are made before what holds them: no collection runs while numbers are read. */
LIFT_INLINE int lift_parts(AbiCall *call, const AbiNode *node, const uint8_t *at, int flat, PyObject **out) {
    const AbiField *field = &call->fields[node->first];
    for (uint32_t i = 0; i < node->count; i++, field++) {
        if ((out[i] = lift_part(call, field, at, flat)) != NULL) continue;
        while (i > 0) Py_DECREF(out[--i]);
        return 0;
    }
    return 1;
}

LIFT_INLINE PyObject *lift_given_up(const AbiNode *node, PyObject *const *parts) {
    for (uint32_t i = 0; i < node->count; i++) Py_DECREF(parts[i]);
    return NULL;
}

LIFT_INLINE PyObject *lift_record(AbiCall *call, const AbiNode *node, const uint8_t *at, int flat) {
    const AbiField *field = &call->fields[node->first], *end = field + node->count;
    PyTypeObject *type = (PyTypeObject *)call->objects[node->lookup];
    PyObject *parts[LIFT_PARTS], **part = parts, *found;
    if (node->count <= LIFT_PARTS) {
        if (!lift_parts(call, node, at, flat, parts)) return NULL;
        if ((found = wr_new_record(type)) == NULL) return lift_given_up(node, parts);
        for (; field < end; field++) *(PyObject **)((char *)found + field->place) = *part++;
        return found;
    }
    for (found = wr_new_record(type); found != NULL && field < end; field++) {
        PyObject *item = lift_part(call, field, at, flat);
        if (item == NULL) Py_CLEAR(found);
        else *(PyObject **)((char *)found + field->place) = item;
    }
    return found;
}

LIFT_INLINE PyObject *lift_tuple(AbiCall *call, const AbiNode *node, const uint8_t *at, int flat) {
    const AbiField *field = &call->fields[node->first];
    PyObject *parts[LIFT_PARTS], *found;
    if (node->count <= LIFT_PARTS) {
        if (!lift_parts(call, node, at, flat, parts)) return NULL;
        if ((found = PyTuple_New(node->count)) == NULL) return lift_given_up(node, parts);
        for (uint32_t i = 0; i < node->count; i++) PyTuple_SET_ITEM(found, i, parts[i]);
        return found;
    }
    found = PyTuple_New(node->count);
    for (uint32_t i = 0; found != NULL && i < node->count; i++, field++) {
        PyObject *item = lift_part(call, field, at, flat);
        if (item == NULL) Py_CLEAR(found);
        else PyTuple_SET_ITEM(found, i, item);
    }
    return found;
}

static PyObject *lift_compound(AbiCall *call, const AbiNode *node, const uint8_t *at, int flat) {
    switch (node->op) {
    case ABI_OP_OPTION:
    case ABI_OP_BARE:
    case ABI_OP_VARIANT: return flat ? lift_case(call, node, at, 1) : lift_case(call, node, at, 0);
    case ABI_OP_RECORD: return flat ? lift_record(call, node, at, 1) : lift_record(call, node, at, 0);
    case ABI_OP_TUPLE: return flat ? lift_tuple(call, node, at, 1) : lift_tuple(call, node, at, 0);
    default: return lift_rest->other(call, node, at, flat);
    }
}

/* Before a lift, see ABI_LIFT_FACTOR. */
LIFT_INLINE void lift_open_budget(AbiCall *call) {
    const uint64_t share = call->memory == NULL ? 0 : call->memory->length_bytes * ABI_LIFT_FACTOR;
    call->lift_bytes_left = ABI_LIFT_FREE_BYTES + (share < ABI_LIFT_MAX_SHARE ? share : ABI_LIFT_MAX_SHARE);
}

static inline int lift_init(const LiftRest *rest, PyObject **spares) {
    lift_rest = rest;
    return wr_record_init(spares);
}

#endif
