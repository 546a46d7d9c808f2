/* A canonical ABI plan in C: the array of nodes that wasmrt/_native runs for each value, and the record of one call's lowering.
 *
 * A plan is immutable once built and belongs to one function of one component; it knows no instance: resources are ResourceIndex numbers. Lowering
 * has two steps. *Staging* reads the Python values, checks every type and range, and leaves core values, bytes ready for linear memory, and a list of
 * AbiSteps: what must be allocated or handed over in the guest. No guest code runs and no handle moves before all of it succeeded. *Committing* walks
 * the steps in the specification's order (depth first): realloc, handles, then copies. Since committing reads no Python value, nothing that the guest,
 * a signal handler or another thread does in between can change what was checked. */
#ifndef WASMRT_ABI_H
#define WASMRT_ABI_H

#include <stddef.h>
#include <stdint.h>

#include "wasmrt/vm.h"

enum {
#define ABI_OP(name, size, core, exact, loose, doc) ABI_OP_##name,
#define ABI_KIND(name, doc)
#include "wasmrt/abi_ops.def"
#undef ABI_OP
#undef ABI_KIND
    ABI_OP_COUNT
};

enum {
#define ABI_OP(name, size, core, exact, loose, doc)
#define ABI_KIND(name, doc) ABI_KIND_##name,
#include "wasmrt/abi_ops.def"
#undef ABI_OP
#undef ABI_KIND
    ABI_KIND_COUNT
};

#define ABI_NO_NODE UINT32_MAX
#define ABI_MAX_FLAT_PARAMS 16
#define ABI_MAX_FLAT_RESULTS 1
/* A few bytes of a guest's memory can be named by many lists: what one lift makes of them is bounded by a share of the memory plus a fixed part, in
 * bytes of Python objects, about. Values that do not overlap stay far below. */
#define ABI_LIFT_FACTOR 16u
#define ABI_LIFT_MAX_SHARE (UINT64_C(1) << 32)
#define ABI_LIFT_FREE_BYTES (UINT64_C(1) << 28)
#define ABI_MAX_BYTES 0xfffffffu /* of a lifted string or list: the specification's MAX_STRING_BYTE_LENGTH, MAX_LIST_BYTE_LENGTH */

enum { /* AbiNode.flags; wasmrt/abi/plan.py has the same */
    ABI_ALLOCATES = 1, /* holds strings or lists: lowering calls realloc */
    ABI_RESOURCES = 2, /* holds own or borrow */
    ABI_BORROWS = 4,   /* holds borrow */
    ABI_SCALAR = 8,    /* list element that a buffer's items can be, and one memcpy moves */
    ABI_DOUBLES = 16,  /* record of nothing but f64 */
};

typedef struct AbiNode {
    uint8_t op;
    uint8_t flags;
    uint8_t disc_size;       /* variants, enums: bytes of the discriminant; flags: bytes */
    uint8_t align;
    uint32_t size;           /* in memory */
    uint32_t flat;           /* core values, at most ABI_MAX_FLAT_PARAMS + 1 */
    uint32_t first, count;   /* in fields: elements of a record or tuple, cases of a variant, the element of a list, key and value of a map */
    uint32_t payload_offset; /* variants: of the payload in memory */
    uint32_t length;         /* fixed lists: N; enums, flags: number of names; own, borrow: the ResourceIndex */
    uint32_t exact, loose;   /* masks of kinds */
    uint32_t type, names, lookup; /* in the plan's objects: the type, tuple of names, dict of name to index; lookup of a record: its class */
} AbiNode;

typedef struct AbiField {
    uint32_t node;   /* ABI_NO_NODE: a case without payload */
    uint32_t offset; /* in memory, from the start of the record */
    uint32_t slot;   /* in core values, from the first of the record */
    uint32_t place;  /* records: offset of the field in an instance of the record's class */
    uint32_t place_by_hand; /* records: where a bare Record had it last (record.h); the one part of a plan that changes */
} AbiField;

enum { ABI_UTF8, ABI_UTF16, ABI_LATIN1_UTF16 };

/* One thing to do in the guest when a lowering commits. */
enum {
    ABI_STEP_COPY,        /* allocate, copy `size` bytes from `source` */
    ABI_STEP_BUFFER,      /* the same from a Py_buffer, released at the end */
    ABI_STEP_TEXT,        /* allocate, encode the code points at `source` (`width` bytes each, `units` of them) as `encoding` */
    ABI_STEP_OWN,         /* hand over the resource `owner` */
    ABI_STEP_BORROW,      /* lend it until the call ends */
    ABI_STEP_PLACE,       /* like COPY to `guest`, which the guest itself gave (a return pointer) */
};

typedef struct AbiStep {
    uint8_t kind, align, width, encoding;
    uint32_t resource;    /* ResourceIndex */
    uint8_t *patch;       /* where the pointer or handle goes: 4 bytes in staged memory or a core value; NULL: nowhere */
    const void *source;
    uint64_t size;        /* bytes in the guest */
    uint64_t units;
    uint64_t guest;       /* address, once allocated */
    void *owner;          /* strong: the Python object that `source` points into, or the resource */
    void *lent;           /* own, borrow: what the embedder keeps until the call ends */
} AbiStep;

typedef struct AbiChunk { struct AbiChunk *next; } AbiChunk;

#define ABI_INLINE_STEPS 4
#define ABI_INLINE_BYTES 2048

/* One lowering, on the C stack of its call. Only what abi_call_init sets is initialized. */
typedef struct AbiCall {
    const AbiNode *nodes;     /* of the plan */
    const AbiField *fields;
    void *const *objects;     /* PyObject * */
    VMMemoryDef *memory;      /* NULL: no plan with strings, lists or spilled values is run */
    uint64_t lift_bytes_left; /* see ABI_LIFT_FACTOR */
    uint32_t encoding;
    uint32_t num_steps, capacity;
    AbiStep *steps;
    uint8_t *top, *limit;     /* free bytes of the current chunk */
    AbiChunk *chunks;
    void *path;               /* where in the value an error lies, built from the inside out while staging fails; strong or NULL */
    void *instance;           /* borrowed, of the hooks: the component instance */
    void *scope;              /* borrowed, of the hooks: the call's borrow scope */
    void *realloc_func;       /* borrowed, of the hooks: the guest's realloc */
    /* Allocates in the guest: 0 and the address, or -1 with an exception set. */
    int (*realloc_guest)(struct AbiCall *call, uint32_t align, uint64_t size, uint64_t *out_address);
    /* Checks that a value is a resource that can be passed for this node, fills in the step; -1 with an exception. */
    int (*stage_resource)(struct AbiCall *call, const AbiNode *node, void *value, AbiStep *step);
    /* Enters a staged resource into the guest's handle table (or, for a guest that defines it, passes its rep). */
    int (*commit_resource)(struct AbiCall *call, AbiStep *step, uint32_t *out_handle);
    /* Undoes a staged one that was not committed, or ends a loan. Never fails. */
    void (*finish_resource)(struct AbiCall *call, AbiStep *step, int committed);
    /* Lists of scalars (ABI_SCALAR) as buffers, if the call's options ask for them: a new reference, or NULL, without an exception for a plain list.
     * NULL as a whole: plain lists. `results` is its own. */
    void *(*lift_buffer)(struct AbiCall *call, const AbiNode *element, const uint8_t *at, uint32_t count);
    void *results;
    /* A new reference to what a handle lifts to, or NULL with an exception. */
    void *(*lift_resource)(struct AbiCall *call, const AbiNode *node, uint32_t handle);
    AbiStep first_steps[ABI_INLINE_STEPS];
    _Alignas(16) uint8_t first_bytes[ABI_INLINE_BYTES];
} AbiCall;

#endif
