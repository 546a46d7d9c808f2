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

enum { QUICK_NONE, QUICK_I32, QUICK_S32, QUICK_U32, QUICK_I64, QUICK_F64, QUICK_BORROW, QUICK_OTHER };
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
    uint8_t has_loans;       /* some parameter is a QUICK_BORROW */
    uint8_t release;         /* the GIL is let go of for the whole call */
    uint8_t params[QUICK_PARAMS];
    /* QUICK_OTHER and QUICK_BORROW. stage: -1 with an exception, 1 to go the long way; unstage: ends the loan of a QUICK_BORROW; lift: a new reference, or NULL with an exception */
    int (*stage)(PyObject *func, uint32_t index, PyObject *value, ValRaw *out);
    void (*unstage)(PyObject *value);
    PyObject *(*lift)(PyObject *func, const ValRaw *value);
    /* What follows when the store was not left: takes the GIL back and leaves. -1 with an exception when the call failed. */
    int (*settle)(PyObject *func, WrEntry *entry, int failed);
    const struct WrPlain *plain; /* of plain_call.h */
} WrQuick;

static Py_ssize_t quick_offset; /* of the WrQuick in the objects of the extension that includes this */

/* A call without the GIL: it is claimed with it. */
static WrCallResult quick_call_released(WrQuick *self, ValRaw *values, WrEntry *entry)
{
    StoreHost *host = self->host;
    if (wr_store_running(self->store) || wr_store_enter_held(self->store, entry) != WR_ENTER_OK) return WR_CALL_DECLINED;
    entry->host[0] = NULL;
    host->release_gil = 1;
    host->saved = PyEval_SaveThread();
    bool ok = self->func->array_call(self->func->vmctx, self->func->vmctx, values, QUICK_VALUES);
    if (host->saved != NULL) {
        PyThreadState *saved = host->saved;
        host->saved = NULL;
        PyEval_RestoreThread(saved);
    }
    host->release_gil = 0;
    if (!ok) return WR_CALL_FAILED;
    if (host->attention != 0) return WR_CALL_STAYED;
    wr_store_leave(self->store, entry);
    return WR_CALL_DONE;
}

static inline void quick_end_loans(const WrQuick *self, PyObject *const *given, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (self->params[i] == QUICK_BORROW) self->unstage(given[i]);
    }
}

/* A result of the kinds before QUICK_BORROW. */
static inline PyObject *quick_box(uint8_t kind, const ValRaw *value)
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

static PyObject *quick_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    WrQuick *self = (WrQuick *)(void *)((char *)callable + quick_offset);
    PyObject *const *given = args;
    StoreHost *host = self->host;
    WrGate *gate = self->gate;
    size_t count = (size_t)PyVectorcall_NARGS(nargsf), num_params = self->num_params, num_staged = 0;
    ValRaw values[QUICK_VALUES];
    WrEntry entry;
    if (kwnames != NULL) goto slow;
    if (count != num_params) {
        if (count != num_params + 1 || args[0] != self->store_object) goto slow;
        given++;
    }
    for (size_t i = 0; i < num_params; num_staged = ++i) {
        PyObject *value = given[i];
        uint8_t kind = self->params[i];
        int64_t number;
        if (kind >= QUICK_BORROW) {
            int staged = self->stage(callable, (uint32_t)i, value, &values[i]);
            if (staged == 0) continue;
            if (staged > 0) goto slow;
            if (self->has_loans) quick_end_loans(self, given, i);
            return NULL;
        }
        if (PyLong_CheckExact(value) && abi_small_int(value, &number)) {
            values[i].i64 = number;
            if (kind == QUICK_S32) {
                if (number == (int32_t)number) continue;
            } else if (kind == QUICK_I32) {
                if (number == (int32_t)number || number == (int64_t)(uint32_t)number) continue;
            } else if (kind == QUICK_U32) {
                if (number == (int64_t)(uint32_t)number) continue;
            } else if (kind == QUICK_I64) {
                continue;
            }
        } else if (kind == QUICK_F64 && PyFloat_CheckExact(value)) {
            double real = PyFloat_AS_DOUBLE(value);
            memcpy(&values[i].f64, &real, sizeof real);
            continue;
        }
        goto slow;
    }
    if ((host->attention | (uint32_t)gate->poisoned | (uint32_t)gate->busy | gate->num_borrowed) != 0) goto slow;
    host->ticks = 0;
    gate->busy = 1;
    WrCallResult came =
        self->release ? quick_call_released(self, values, &entry) : wr_store_call_held(self->store, self->func, values, QUICK_VALUES, &entry);
    gate->busy = 0;
    if (self->has_loans && came != WR_CALL_DECLINED) quick_end_loans(self, given, num_params);
    if (__builtin_expect(came != WR_CALL_DONE, 0)) {
        if (came == WR_CALL_DECLINED) goto slow;
        entry.host[0] = NULL;
        if (self->settle(callable, &entry, came == WR_CALL_FAILED) < 0) return NULL;
    }
    return self->result < QUICK_BORROW ? quick_box(self->result, &values[0]) : self->lift(callable, &values[0]);
slow:
    if (self->has_loans) quick_end_loans(self, given, num_staged);
    return self->slow(callable, args, nargsf, kwnames);
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
