/* Calls of exports whose arguments are plain values (plain.h): by quick.h's way where nothing is allocated in the guest, else by plain_vectorcall, without
 * a step through Cython but for the strings and lists of a result. Like quick.h, it gives up before anything has happened, and leaves the call to `slow`: staging plain values changes nothing that a call can see.
 *
 * The order is that of call_export (component.pyx), which is the model: enter, reallocs, copies, call, lift, post-return, leave. */
#ifndef WASMRT_NATIVE_PLAIN_CALL_H
#define WASMRT_NATIVE_PLAIN_CALL_H
#include "lift.h"
#include "plain.h"
#include "quick.h"
#include "wasmrt/abi.h"

enum { PLAIN_VALUES = 18 }; /* flat parameters, a return pointer, one spare */

typedef struct WrPlain {
    PyObject *plan;               /* borrowed */
    const AbiNode *nodes;
    const AbiField *fields;
    void *const *objects;
    VMMemoryDef *memory;          /* NULL: none is needed */
    const VMFuncRef *realloc;     /* NULL: nothing is copied */
    const VMFuncRef *post_return; /* NULL: none */
    int32_t *may_leave;
    uint32_t encoding;
    const AbiField *params;
    const AbiNode *result;        /* NULL: none */
    int result_spills;
    /* What a result outside of memory is: raises the trap. */
    PyObject *(*lift)(PyObject *plan, AbiCall *call, const ValRaw *values);
    /* Sets the trap for an address that the guest's realloc should not return. */
    void (*refuse)(uint64_t address, const AbiStep *step);
} WrPlain;

/* Guest code, which may let go of the GIL. */
static inline bool plain_run(StoreHost *host, const VMFuncRef *func, ValRaw *values, size_t capacity)
{
    bool ok = func->array_call(func->vmctx, func->vmctx, values, capacity);
    if (QUICK_RARE(host->saved != NULL)) quick_take_gil(host);
    return ok;
}

/* The outermost entry of an idle store. */
static inline bool plain_enter(WrStore *store, WrEntry *entry)
{
    if (wr_store_enter_held(store, entry) != WR_ENTER_OK) return false;
    if (entry->depth == 1) return true;
    wr_store_leave(store, entry);
    return false;
}

enum { PLAIN_OK, PLAIN_TRAPPED, PLAIN_RAISED };

/* Room for the staged strings and bytes, then the copies; nothing is held any more after it. */
static int plain_commit(const WrPlain *plain, StoreHost *host, AbiCall *call)
{
    int came = PLAIN_OK;
    for (uint32_t i = 0; i < call->num_steps; i++) {
        AbiStep *step = &call->first_steps[i];
        ValRaw values[4];
        values[0].i64 = 0;
        values[1].i64 = 0;
        values[2].i64 = step->align;
        values[3].i64 = (int64_t)step->size;
        *plain->may_leave = 0;
        bool ok = plain_run(host, plain->realloc, values, 4);
        *plain->may_leave = 1;
        if (!ok) {
            came = PLAIN_TRAPPED;
            goto out;
        }
        uint64_t address = (uint32_t)values[0].i32;
        if ((address & (step->align - 1u)) != 0 || address + step->size > plain->memory->length_bytes) {
            plain->refuse(address, step);
            came = PLAIN_RAISED;
            goto out;
        }
        step->guest = address;
        abi_store32(step->patch, (uint32_t)address);
    }
    for (uint32_t i = 0; i < call->num_steps; i++) {
        const AbiStep *step = &call->first_steps[i];
        if (step->size) memcpy(plain->memory->base + step->guest, step->source, step->size);
    }
out:
    for (uint32_t i = 0; i < call->num_steps; i++) Py_DECREF((PyObject *)call->first_steps[i].owner);
    call->num_steps = 0;
    return came;
}

/* Stages all arguments: 1, or 0 when one is not plain, and nothing was staged. Raises nothing. */
QUICK_INLINE int plain_stage(const WrPlain *plain, size_t num_params, AbiCall *call, PyObject *const *args, ValRaw *values)
{
    const AbiField *field = plain->params;
    for (size_t i = 0; i < num_params; i++, field++) {
        if (!plain_lower_flat(call, &call->nodes[field->node], args[i], values + field->slot)) return plain_undo(call, 0);
    }
    return 1;
}

/* The result that is neither None nor a number of a machine word. */
QUICK_INLINE PyObject *plain_lift(const WrPlain *plain, AbiCall *call, const ValRaw *values)
{
    const AbiNode *node = plain->result;
    if (!plain->result_spills) return lift_value(call, node, (const uint8_t *)values, 1);
    const uint32_t at = (uint32_t)values[0].i32;
    if (QUICK_RARE((at & (node->align - 1u)) != 0 || (uint64_t)at + node->size > plain->memory->length_bytes)) return plain->lift(plain->plan, call, values);
    lift_open_budget(call);
    return lift_value(call, node, plain->memory->base + at, 0);
}

static PyObject *plain_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    WrQuick *self = quick_of(callable);
    const WrPlain *plain = self->plain;
    StoreHost *host = self->host;
    WrGate *gate = self->gate;
    PyObject *const *given = args;
    size_t count = (size_t)PyVectorcall_NARGS(nargsf);
    ValRaw values[PLAIN_VALUES];
    WrEntry entry;
    AbiCall call;
    if (kwnames != NULL) goto slow;
    if (count != self->num_params) {
        if (count != (size_t)self->num_params + 1 || args[0] != self->store_object) goto slow;
        given++;
    }
    call.nodes = plain->nodes;
    call.fields = plain->fields;
    call.objects = plain->objects;
    call.memory = plain->memory;
    call.encoding = plain->encoding;
    call.num_steps = 0;
    call.capacity = ABI_INLINE_STEPS;
    call.steps = call.first_steps;
    call.top = call.limit = call.first_bytes; /* plain values stage no bytes */
    call.chunks = NULL;
    call.path = NULL;
    call.lift_buffer = NULL;
    if (!plain_stage(plain, self->num_params, &call, given, values)) goto slow;
    /* only now: staging may have run Python code */
    if ((host->attention | (uint32_t)gate->poisoned | (uint32_t)gate->busy | gate->num_borrowed) != 0 || (call.num_steps != 0 && plain->realloc == NULL) ||
        !plain_enter(self->store, &entry)) {
        for (uint32_t i = 0; i < call.num_steps; i++) Py_DECREF((PyObject *)call.first_steps[i].owner);
        goto slow;
    }
    entry.host[0] = NULL;
    host->ticks = 0;
    gate->busy = 1;
    PyObject *result = NULL;
    int came = call.num_steps == 0 ? PLAIN_OK : plain_commit(plain, host, &call);
    if (came == PLAIN_OK && !plain_run(host, self->func, values, PLAIN_VALUES)) came = PLAIN_TRAPPED;
    if (came == PLAIN_OK &&
        (result = self->result < QUICK_PLAIN ? quick_box(self->result, &values[0]) : plain_lift(plain, &call, values)) == NULL) came = PLAIN_RAISED;
    if (came == PLAIN_OK && plain->post_return != NULL) {
        *plain->may_leave = 0;
        if (!plain_run(host, plain->post_return, values, PLAIN_VALUES))
            came = PLAIN_TRAPPED;
        else
            *plain->may_leave = 1;
    }
    gate->busy = 0;
    if (__builtin_expect(came == PLAIN_OK && host->attention == 0, 1)) {
        wr_store_leave(self->store, &entry);
        return result;
    }
    if (came != PLAIN_RAISED) {
        if (self->settle(callable, &entry, came == PLAIN_TRAPPED) == 0) return result;
        Py_XDECREF(result);
        return NULL;
    }
    PyObject *type, *value, *trace;
    gate->poisoned = 1;
    PyErr_Fetch(&type, &value, &trace);
    if (self->settle(callable, &entry, 0) < 0) PyErr_Clear();
    PyErr_Restore(type, value, trace);
    return NULL;
slow:
    return self->slow(callable, args, nargsf, kwnames);
}

/* ---- by quick.h's way: scalars and handles ------------------------------------------------------------------------------------------------------ */

QUICK_INLINE int plain_stage_scalar(const WrQuick *self, uint32_t index, PyObject *value, ValRaw *values)
{
    const WrPlain *plain = self->plain;
    const uint8_t kind = self->params[index];
    if (kind < QUICK_PLAIN) return quick_number(kind, value, &values[index]);
    return plain_scalar(plain->objects, &plain->nodes[plain->params[index].node], value, (uint64_t *)(void *)&values[index]);
}

QUICK_INLINE PyObject *plain_lift_scalar(const WrQuick *self, PyObject *callable, const ValRaw *values)
{
    if (self->result != QUICK_PLAIN) return self->lift(callable, values);
    PyObject *found = lift_scalar(self->plain->objects, self->plain->result, (uint64_t)values->i64);
    if (found == NULL) self->gate->poisoned = 1;
    return found;
}

static PyObject *plain_vectorcall_scalars(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return quick_call(callable, args, nargsf, kwnames, (QuickWay){.stage = plain_stage_scalar, .lift = plain_lift_scalar});
}

static PyObject *plain_vectorcall_lending(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return quick_call(callable, args, nargsf, kwnames, (QuickWay){.has_loans = 1, .stage = plain_stage_scalar, .lift = plain_lift_scalar});
}

static PyObject *plain_vectorcall_released(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return quick_call(callable, args, nargsf, kwnames, (QuickWay){.has_loans = 1, .is_released = 1, .stage = plain_stage_scalar, .lift = plain_lift_scalar});
}

/* ---- records, tuples and variants of scalars ----------------------------------------------------------------------------------------------------- */

QUICK_INLINE void plain_values_begin(const WrPlain *plain, AbiCall *call)
{
    call->nodes = plain->nodes;
    call->fields = plain->fields;
    call->objects = plain->objects;
    call->memory = plain->memory;
    call->num_steps = call->capacity = 0; /* what would need a step is not plain */
}

QUICK_INLINE int plain_stage_value(const WrQuick *self, uint32_t index, PyObject *value, ValRaw *values)
{
    const AbiField *field = &self->plain->params[index];
    const AbiNode *node = &self->plain->nodes[field->node];
    AbiCall call;
    if (plain_is_scalar(node->op)) return plain_scalar(self->plain->objects, node, value, (uint64_t *)(void *)&values[field->slot]);
    plain_values_begin(self->plain, &call);
    return plain_flat(&call, node, value, (uint8_t *)&values[field->slot]);
}

QUICK_INLINE PyObject *plain_lift_value(const WrQuick *self, PyObject *callable, const ValRaw *values)
{
    AbiCall call;
    (void)callable;
    plain_values_begin(self->plain, &call);
    PyObject *found = plain_lift(self->plain, &call, values);
    if (found == NULL) self->gate->poisoned = 1;
    return found;
}

static PyObject *plain_vectorcall_values(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return quick_call(callable, args, nargsf, kwnames, (QuickWay){.stage = plain_stage_value, .lift = plain_lift_value});
}

static inline int plain_call_init(PyTypeObject *record, PyTypeObject *variant, PyObject *sample, PyObject *name, const LiftRest *rest, PyObject **spares)
{
    plain_init(record, variant, sample, name);
    return lift_init(rest, spares);
}
#endif
