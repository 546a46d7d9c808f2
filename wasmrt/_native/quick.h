/* The shortest way through a call of guest code from Python, for functions of scalars: vectorcalls in C.
 *
 * A WrQuick lies in each function object, the vectorcall slot first. What a quick call cannot do (keywords, wrong counts, other kinds of numbers, a store or
 * an instance that is not idle) is left to `slow`, before anything has happened. Nothing is counted on the way: whoever calls holds the function, and
 * the function its store and instance.
 *
 * A StoreHost is what C reaches of a Store without Python: VMStoreContext.host. */
#ifndef WASMRT_NATIVE_QUICK_H
#define WASMRT_NATIVE_QUICK_H
#include <Python.h>
#include <stddef.h>
#include <string.h>

#include "abi_text.h"
#include "wasmrt/wasmrt.h"

#define QUICK_INLINE static inline __attribute__((always_inline))
#define QUICK_RARE(condition) __builtin_expect((condition) != 0, 0)

/* Bits of StoreHost.attention. */
enum { ATTENTION_CLOSED = 1, ATTENTION_DROPS = 2, ATTENTION_EPOCH = 4, ATTENTION_NOTED = 8 };

typedef struct StoreHost {
    PyThreadState *saved;    /* not NULL: the GIL was let go of in the middle of guest code */
    uint32_t attention;      /* the store is closed, has queued drops, an epoch to compare, or an exception to forget */
    int hold_gil;            /* never let go of it */
    int release_gil;         /* let go of it whenever guest code runs */
    PyObject *store;         /* borrowed */
    uint64_t ticks;          /* slow paths taken since the outermost entry */
    int64_t deadline_ns;     /* monotonic; 0: none */
    uint64_t epoch_deadline;
    const uint64_t *epoch;   /* the engine's counter; NULL: no epoch interruption */
    int64_t timeout_ns;      /* of the call that `deadline_ns` belongs to; 0: it is the store's own */
} StoreHost;
_Static_assert(offsetof(StoreHost, saved) == offsetof(WrHost, away) && offsetof(StoreHost, attention) == offsetof(WrHost, attention), "a StoreHost is a WrHost");

/* Whether a component instance can be entered: all of it is 0. */
typedef struct WrGate {
    int poisoned;            /* a trap left through it */
    int busy;                /* the host called into it: it cannot again before that call is over */
    uint32_t num_borrowed;   /* calls whose results are views on its memory, or whose post-return waits */
} WrGate;

/* Of parameters: all but NONE and OTHER; PLAIN are values of components that plain.h knows. */
enum { QUICK_NONE, QUICK_I32, QUICK_S32, QUICK_U32, QUICK_I64, QUICK_F64, QUICK_PLAIN, QUICK_BORROW, QUICK_OTHER };
enum { QUICK_PARAMS = 16, QUICK_VALUES = 17 };

typedef struct WrQuick {
    vectorcallfunc vectorcall;
    vectorcallfunc slow;
    PyObject *store_object;  /* borrowed */
    StoreHost *host;
    WrStore *store;
    const VMFuncRef *func;
    WrGate *gate;            /* of the component instance, or own_gate */
    WrGate own_gate;
    uint8_t num_params, result;
    uint8_t params[QUICK_PARAMS];
    /* A QUICK_BORROW: 1 when it was lent, until `unlend`; 0 to go the long way. */
    int (*lend)(PyObject *func, uint32_t index, PyObject *value, ValRaw *out);
    void (*unlend)(PyObject *value);
    /* A QUICK_OTHER: a new reference, or NULL with an exception. */
    PyObject *(*lift)(PyObject *func, const ValRaw *value);
    /* What follows when the store was not left: takes the GIL back and leaves. -1 with an exception when the call failed. */
    int (*settle)(PyObject *func, WrEntry *entry, int failed);
    const struct WrPlain *plain; /* of plain_call.h, for components */
} WrQuick;

static Py_ssize_t quick_offset; /* of the WrQuick in the objects of the extension that includes this */

QUICK_INLINE WrQuick *quick_of(PyObject *callable) { return (WrQuick *)(void *)((char *)callable + quick_offset); }

/* The GIL that was let go of in the middle of guest code. */
static inline void quick_take_gil(StoreHost *host)
{
    PyThreadState *saved = host->saved;
    if (saved == NULL) return;
    host->saved = NULL;
    PyEval_RestoreThread(saved);
}

/* A call without the GIL: it is claimed with it. */
static WrCallResult quick_call_released(const WrQuick *self, ValRaw *values, WrEntry *entry)
{
    StoreHost *host = self->host;
    if (wr_store_running(self->store) || wr_store_enter_held(self->store, entry) != WR_ENTER_OK) return WR_CALL_DECLINED;
    entry->host[0] = NULL;
    host->release_gil = 1;
    host->saved = PyEval_SaveThread();
    bool ok = self->func->array_call(self->func->vmctx, self->func->vmctx, values, QUICK_VALUES);
    quick_take_gil(host);
    host->release_gil = 0;
    if (!ok) return WR_CALL_FAILED;
    if (host->attention != 0) return WR_CALL_STAYED;
    wr_store_leave(self->store, entry);
    return WR_CALL_DONE;
}

/* Leaves a store that is still entered. `result` is NULL when lifting it raised, too. */
static PyObject *quick_end(WrQuick *self, PyObject *callable, WrEntry *entry, WrCallResult came, PyObject *result)
{
    PyObject *type, *value, *trace;
    entry->host[0] = NULL;
    if (came == WR_CALL_FAILED || result != NULL) {
        if (self->settle(callable, entry, came == WR_CALL_FAILED) == 0) return result;
        Py_XDECREF(result);
        return NULL;
    }
    PyErr_Fetch(&type, &value, &trace);
    if (self->settle(callable, entry, 0) < 0) PyErr_Clear();
    PyErr_Restore(type, value, trace);
    return NULL;
}

static inline void quick_end_loans(const WrQuick *self, PyObject *const *given, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (self->params[i] == QUICK_BORROW) self->unlend(given[i]);
    }
}

/* Whether a value is a plain number of the kind; the slot is written. */
QUICK_INLINE int quick_number(uint8_t kind, PyObject *value, ValRaw *out)
{
    int64_t number;
    if (PyLong_CheckExact(value) && abi_small_int(value, &number)) {
        out->i64 = number;
        switch (kind) {
        case QUICK_S32: return number == (int32_t)number;
        case QUICK_I32: return number == (int32_t)number || number == (int64_t)(uint32_t)number;
        case QUICK_U32: return number == (int64_t)(uint32_t)number;
        default: return kind == QUICK_I64;
        }
    }
    if (kind != QUICK_F64 || !PyFloat_CheckExact(value)) return 0;
    memcpy(&out->f64, &PyFloat_AS_DOUBLE(value), sizeof(double));
    return 1;
}

/* A result of the kinds before QUICK_PLAIN. */
QUICK_INLINE PyObject *quick_box(uint8_t kind, const ValRaw *value)
{
    switch (kind) {
    case QUICK_NONE: return Py_NewRef(Py_None);
    case QUICK_I32:
    case QUICK_S32: return PyLong_FromLong(value->i32);
    case QUICK_U32: return PyLong_FromLong((long)(uint32_t)value->i32);
    case QUICK_I64: return PyLong_FromLong((long)value->i64);
    default: {
        double real;
        memcpy(&real, &value->f64, sizeof real);
        return PyFloat_FromDouble(real);
    }
    }
}

/* What a kind of function adds to quick_call, constant where that is expanded, so that each has a way without what it does not need. */
typedef struct QuickWay {
    int has_loans, is_released;
    /* An argument that is no QUICK_BORROW, of `index`, into its slots: 0 to go the long way. */
    int (*stage)(const WrQuick *self, uint32_t index, PyObject *value, ValRaw *values);
    /* A result of QUICK_PLAIN or later, while the instance is busy. The store was left already, most of the time, and can be closed by whatever Python
     * code runs: by the collector too. So linear memory is not read any more once an object was made that the collector looks after. */
    PyObject *(*lift)(const WrQuick *self, PyObject *callable, const ValRaw *values);
} QuickWay;

QUICK_INLINE PyObject *quick_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames, const QuickWay way)
{
    WrQuick *self = quick_of(callable);
    PyObject *const *given = args;
    size_t count = (size_t)PyVectorcall_NARGS(nargsf), num_params = self->num_params, i = 0;
    ValRaw values[QUICK_VALUES];
    WrEntry entry;
    if (QUICK_RARE(kwnames != NULL)) goto slow;
    if (count != num_params) {
        if (count != num_params + 1 || args[0] != self->store_object) goto slow;
        given++;
    }
    for (; i < num_params; i++) {
        if (way.has_loans && self->params[i] == QUICK_BORROW) {
            if (!self->lend(callable, (uint32_t)i, given[i], &values[i])) goto slow;
        } else if (!way.stage(self, (uint32_t)i, given[i], values)) {
            goto slow;
        }
    }
    StoreHost *host = self->host;
    WrGate *gate = self->gate;
    if (QUICK_RARE((host->attention | (uint32_t)gate->poisoned | (uint32_t)gate->busy | gate->num_borrowed) != 0)) goto slow;
    host->ticks = 0;
    gate->busy = 1;
    WrCallResult came =
        way.is_released ? quick_call_released(self, values, &entry) : wr_store_call_held(self->store, self->func, values, QUICK_VALUES, &entry);
    PyObject *result = NULL;
    if (came < WR_CALL_FAILED) {
        if (QUICK_RARE(came == WR_CALL_STAYED)) quick_take_gil(host);
        result = self->result < QUICK_PLAIN ? quick_box(self->result, &values[0]) : way.lift(self, callable, values);
    }
    self->gate->busy = 0;
    if (QUICK_RARE(came == WR_CALL_DECLINED)) goto slow;
    if (way.has_loans) quick_end_loans(self, given, num_params);
    return came == WR_CALL_DONE ? result : quick_end(self, callable, &entry, came, result);
slow:
    if (way.has_loans) quick_end_loans(self, given, i);
    return self->slow(callable, args, nargsf, kwnames);
}

/* Functions of numbers, with a result of any type. */
QUICK_INLINE int quick_stage(const WrQuick *self, uint32_t index, PyObject *value, ValRaw *values)
{
    return quick_number(self->params[index], value, &values[index]);
}
QUICK_INLINE PyObject *quick_lift(const WrQuick *self, PyObject *callable, const ValRaw *values) { return self->lift(callable, values); }

static PyObject *quick_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return quick_call(callable, args, nargsf, kwnames, (QuickWay){.stage = quick_stage, .lift = quick_lift});
}

static PyObject *quick_vectorcall_released(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return quick_call(callable, args, nargsf, kwnames, (QuickWay){.is_released = 1, .stage = quick_stage, .lift = quick_lift});
}

/* In the module that includes this: the offset of the WrQuick in `type`'s objects, whose vectorcall slot it starts with. */
static inline void quick_enable(PyTypeObject *type, Py_ssize_t offset)
{
    quick_offset = offset;
    type->tp_vectorcall_offset = offset;
    type->tp_call = PyVectorcall_Call;
    type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
    PyType_Modified(type);
}
#endif
