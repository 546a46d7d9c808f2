/* Calls of exports whose arguments are plain values (plain.h): strings, bytes, records, variants and scalars, without a step through Cython before the
 * result is lifted. Like quick.h, it gives up before anything has happened, and leaves the call to `slow`: staging plain values changes nothing that a call can see.
 *
 * The order is that of call_export (component.pyx), which is the model: enter, reallocs, copies, call, lift, post-return, leave. */
#ifndef WASMRT_NATIVE_PLAIN_CALL_H
#define WASMRT_NATIVE_PLAIN_CALL_H
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
    /* 1 when all arguments are plain and staged, else 0. Raises nothing. */
    int (*stage)(PyObject *plan, AbiCall *call, PyObject *const *args, ValRaw *values);
    /* A new reference to the result, or NULL with an exception. */
    PyObject *(*lift)(PyObject *plan, AbiCall *call, const ValRaw *values);
    /* Sets the trap for an address that the guest's realloc should not return. */
    void (*refuse)(uint64_t address, const AbiStep *step);
} WrPlain;

/* Guest code, which may let go of the GIL. */
static inline bool plain_run(StoreHost *host, const VMFuncRef *func, ValRaw *values, size_t capacity)
{
    bool ok = func->array_call(func->vmctx, func->vmctx, values, capacity);
    if (__builtin_expect(host->saved != NULL, 0)) {
        PyThreadState *saved = host->saved;
        host->saved = NULL;
        PyEval_RestoreThread(saved);
    }
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
        if (address % step->align || address + step->size > plain->memory->length_bytes) {
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

static PyObject *plain_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    WrQuick *self = (WrQuick *)(void *)((char *)callable + quick_offset);
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
    if (!plain->stage(plain->plan, &call, given, values)) goto slow;
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
        (result = self->result < QUICK_BORROW ? quick_box(self->result, &values[0]) : plain->lift(plain->plan, &call, values)) == NULL) came = PLAIN_RAISED;
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
#endif
