/* Exceptions: the objects that exnrefs point at, and the way from a throw to its handler.
 *
 * Machine code copies exnrefs without telling anybody, so the objects are collected (gc.c): when as many live as the last collection left twice over.
 * The host never holds one, so that nothing on a stack counts when the outermost entry is left: what stale words in frames kept too long goes then.
 * The limit EXCEPTION_BYTES bounds what a guest can keep; beyond it a throw traps.
 *
 * A throw walks up the frames of compiled functions by rbp (csrc/compile/exceptions.c argues what it finds there). It ends at the entry trampoline
 * under which they lie and at functions of a boundary module (calls between components): nobody caught it, which is a trap. So frames of C and Python
 * are never skipped: a host function sees the trap of the guest that it called, and fails by it or goes on. */
#include "vm/objects.h"

#include <stdlib.h>
#include <string.h>

#include "wasm/limits.h"

enum { EXCEPTION_INLINE_VALUES = 2, EXCEPTIONS_PER_CHUNK = 256 };

struct VmException {
    VMException base;   /* first: what exnrefs point at. tag: NULL while it is free */
    VmException *next;  /* in the list of free ones, or of those whose values are to be looked at */
    bool is_marked;
    ValRaw values[EXCEPTION_INLINE_VALUES];
};

enum { EXCEPTION_CHUNK_BYTES = EXCEPTIONS_PER_CHUNK * (int)sizeof(VmException) };
_Static_assert(sizeof(VmException) == 64 && offsetof(VmException, base) == 0, "objects of a chunk are told apart by address");

/* ---- collecting ----------------------------------------------------------------------------------------------------------- */

static size_t exceptions_values_bytes(const WrTag *tag) { return tag->num_params > EXCEPTION_INLINE_VALUES ? tag->num_params * sizeof(ValRaw) : 0; }

/* The object at this address, if there is one. */
static VmException *exceptions_at(const VmExceptions *exceptions, uintptr_t word)
{
    uint32_t low = 0, high = exceptions->num_chunks;
    while (low < high) { /* chunks[low - 1] starts at or below it */
        uint32_t middle = low + (high - low) / 2;
        if ((uintptr_t)exceptions->chunks[middle] <= word)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return NULL;
    uintptr_t offset = word - (uintptr_t)exceptions->chunks[low - 1];
    if (offset >= EXCEPTION_CHUNK_BYTES || offset % sizeof(VmException) != 0) return NULL;
    VmException *exception = exceptions->chunks[low - 1] + offset / sizeof(VmException);
    return exception->base.tag != NULL ? exception : NULL;
}

void vm_exceptions_begin(WrStore *store)
{
    VmExceptions *exceptions = &store->exceptions;
    exceptions->threshold = exceptions->num_live > UINT32_MAX / 2 ? UINT32_MAX : exceptions->num_live * 2;
}

void vm_exception_mark(WrStore *store, uintptr_t word)
{
    VmException *exception = word != 0 ? exceptions_at(&store->exceptions, word) : NULL;
    if (exception == NULL || exception->is_marked) return;
    exception->is_marked = true;
    exception->next = store->exceptions.work;
    store->exceptions.work = exception;
}

bool vm_exceptions_scan(WrStore *store)
{
    VmExceptions *exceptions = &store->exceptions;
    bool any = exceptions->work != NULL;
    while (exceptions->work != NULL) {
        const VmException *exception = exceptions->work;
        const WrTag *tag = exception->base.tag;
        exceptions->work = exception->next;
        for (uint32_t i = 0; i < tag->num_params; i++) vm_object_mark_value(store, tag->params[i], (uintptr_t)exception->base.values[i].ref);
    }
    return any;
}

/* Frees what is not marked in a chunk; how many are left. The free list is made anew. */
static uint32_t exceptions_sweep(VmExceptions *exceptions, VmException *chunk)
{
    VmException *first_free = exceptions->free;
    uint32_t left = 0;
    for (uint32_t i = EXCEPTIONS_PER_CHUNK; i--;) {
        VmException *exception = &chunk[i];
        if (exception->is_marked) {
            exception->is_marked = false;
            left++;
            continue;
        }
        if (exception->base.tag != NULL && exception->base.values != exception->values) {
            exceptions->bytes -= exceptions_values_bytes(exception->base.tag);
            free(exception->base.values);
        }
        exception->base.tag = NULL;
        exception->next = exceptions->free;
        exceptions->free = exception;
    }
    if (left == 0) exceptions->free = first_free;
    return left;
}

void vm_exceptions_sweep(WrStore *store)
{
    VmExceptions *exceptions = &store->exceptions;
    const uint32_t num_chunks = exceptions->num_chunks;
    exceptions->num_live = exceptions->num_chunks = 0;
    exceptions->free = NULL;
    for (uint32_t i = 0; i < num_chunks; i++) {
        VmException *chunk = exceptions->chunks[i];
        uint32_t left = exceptions_sweep(exceptions, chunk);
        exceptions->num_live += left;
        if (left != 0) {
            exceptions->chunks[exceptions->num_chunks++] = chunk;
        } else {
            exceptions->bytes -= EXCEPTION_CHUNK_BYTES;
            free(chunk);
        }
    }
    exceptions->threshold = exceptions->num_live * 2;
}

void vm_exceptions_abandon(WrStore *store)
{
    VmExceptions *exceptions = &store->exceptions;
    for (uint32_t i = 0; i < exceptions->num_chunks; i++)
        for (uint32_t k = 0; k < EXCEPTIONS_PER_CHUNK; k++) exceptions->chunks[i][k].is_marked = false;
}

/* ---- making --------------------------------------------------------------------------------------------------------------- */

static bool exceptions_grow(VmExceptions *exceptions)
{
    if (exceptions->bytes > WR_LIMIT_EXCEPTION_BYTES - EXCEPTION_CHUNK_BYTES) return false;
    if (exceptions->num_chunks == exceptions->capacity) {
        uint32_t capacity = exceptions->capacity ? 2 * exceptions->capacity : 8;
        VmException **chunks = realloc(exceptions->chunks, capacity * sizeof *chunks);
        if (chunks == NULL) return false;
        exceptions->chunks = chunks;
        exceptions->capacity = capacity;
    }
    VmException *chunk = aligned_alloc(64, EXCEPTION_CHUNK_BYTES);
    if (chunk == NULL) return false;
    memset(chunk, 0, EXCEPTION_CHUNK_BYTES);
    uint32_t at = exceptions->num_chunks++;
    for (; at > 0 && exceptions->chunks[at - 1] > chunk; at--) exceptions->chunks[at] = exceptions->chunks[at - 1];
    exceptions->chunks[at] = chunk;
    exceptions->bytes += EXCEPTION_CHUNK_BYTES;
    for (uint32_t i = EXCEPTIONS_PER_CHUNK; i--;) {
        chunk[i].next = exceptions->free;
        exceptions->free = &chunk[i];
    }
    return true;
}

/* NULL: no room. `values` are in a frame of the guest. */
static VmException *exceptions_new(WrStore *store, WrTag *tag, const ValRaw *values)
{
    VmExceptions *exceptions = &store->exceptions;
    const size_t bytes = exceptions_values_bytes(tag);
    if (exceptions->threshold < EXCEPTIONS_PER_CHUNK) exceptions->threshold = EXCEPTIONS_PER_CHUNK;
    bool is_full = exceptions->bytes + bytes > WR_LIMIT_EXCEPTION_BYTES;
    if (is_full || store->heap.is_stressed || exceptions->num_live >= exceptions->threshold) {
        (void)vm_collect(store, true);
        if (exceptions->threshold < EXCEPTIONS_PER_CHUNK) exceptions->threshold = EXCEPTIONS_PER_CHUNK;
        if (exceptions->bytes + bytes > WR_LIMIT_EXCEPTION_BYTES) return NULL;
    }
    if (exceptions->free == NULL && !exceptions_grow(exceptions)) return NULL;
    VmException *exception = exceptions->free;
    ValRaw *own = bytes ? malloc(bytes) : exception->values;
    if (own == NULL) return NULL;
    exceptions->free = exception->next;
    exceptions->bytes += bytes;
    exceptions->num_live++;
    exception->base = (VMException){ tag, own };
    if (tag->num_params) memcpy(own, values, tag->num_params * sizeof(ValRaw));
    return exception;
}

void vm_exceptions_leave(WrStore *store)
{
    if (store->heap.base == NULL) (void)vm_collect(store, false); /* else results on their way out may refer to objects, and these to exceptions */
    store->exceptions.kept = store->exceptions.num_live;
}

void vm_exceptions_free(WrStore *store)
{
    VmExceptions *exceptions = &store->exceptions;
    for (uint32_t i = 0; i < exceptions->num_chunks; i++) {
        for (uint32_t k = 0; k < EXCEPTIONS_PER_CHUNK; k++) {
            VmException *exception = &exceptions->chunks[i][k];
            if (exception->base.tag != NULL && exception->base.values != exception->values) free(exception->base.values);
        }
        free(exceptions->chunks[i]);
    }
    free(exceptions->chunks);
    *exceptions = (VmExceptions){ 0 };
}

/* ---- throwing ------------------------------------------------------------------------------------------------------------- */

typedef struct ThrowFrame { /* as rbp points at it */
    const struct ThrowFrame *caller;
    uintptr_t return_address;
} ThrowFrame;

/* `fp` is that of a compiled function with a handler: its VMContext is in the frame. */
static bool throw_matches(const WrHandler *handler, const ThrowFrame *fp, const WrTag *tag)
{
    if (handler->tag == HANDLER_ALL) return true;
    VMContext *vmctx = *(VMContext *const *)(const void *)((const uint8_t *)fp + WR_FRAME_VMCTX);
    if (vmctx == NULL || vm_header(vmctx)->magic != WR_VMCTX_MAGIC_CORE) return false;
    const WrInstance *instance = vm_instance_of(vmctx);
    return handler->tag < instance->module->num_tags && instance->tags[handler->tag] == tag;
}

static VMResume throw_find(VMContext *vmctx, VMException *exception, uintptr_t return_address, uintptr_t thrower)
{
    VMStoreContext *context = vm_header(vmctx)->store;
    const uintptr_t entry = (uintptr_t)context->last_entry->entry_fp;
    uintptr_t pc = return_address - 1;
    for (const ThrowFrame *fp = (const ThrowFrame *)thrower;; pc = fp->return_address - 1, fp = fp->caller) {
        WrHandler handler;
        for (bool found = wr_code_handler_first(pc, &handler); found; found = wr_code_handler_next(&handler)) {
            if (!throw_matches(&handler, fp, exception->tag)) continue;
            context->exception = exception;
            context->landing = handler.landing;
            return (VMResume){ handler.resume, (void *)(uintptr_t)fp };
        }
        uintptr_t caller = (uintptr_t)fp->caller;
        if (handler.is_boundary || caller <= (uintptr_t)fp || caller >= entry || (caller & 7) != 0) break;
    }
    vm_trap_record(context, TRAP_UNCAUGHT_EXCEPTION, return_address - 1, thrower);
    return (VMResume){ NULL, NULL };
}

VMResume vm_throw(VMContext *vmctx, uint32_t tag, const ValRaw *values, uintptr_t return_address, uintptr_t fp)
{
    WrInstance *instance = vm_instance_of(vmctx);
    VmException *exception = exceptions_new(instance->store, instance->tags[tag], values);
    if (exception != NULL) return throw_find(vmctx, &exception->base, return_address, fp);
    vm_trap_record(&instance->store->context, TRAP_ALLOCATION_TOO_LARGE, return_address - 1, fp);
    return (VMResume){ NULL, NULL };
}

VMResume vm_throw_ref(VMContext *vmctx, VMException *exception, uintptr_t return_address, uintptr_t fp)
{
    if (exception != NULL) return throw_find(vmctx, exception, return_address, fp);
    vm_trap_record(vm_header(vmctx)->store, TRAP_NULL_REFERENCE, return_address - 1, fp);
    return (VMResume){ NULL, NULL };
}
