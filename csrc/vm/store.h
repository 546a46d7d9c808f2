/* Inside the vm room: what a store, a thread that enters stores and the objects of a store look like.
 *
 * Threads. A WrThread is made at a thread's first entry and reused after the thread has ended; none is ever freed, so the ticker may walk the list
 * without a lock. The same holds for WrStores (a free one waits on a list for its next life): the ticker may write `stack_limit` of a store that was
 * left, freed and even reused a moment ago, which at worst costs its next user one trip through the slow path.
 * Fault handlers read `vm_thread` and what hangs on it, on their own thread, without locks. */
#ifndef WR_VM_STORE_H
#define WR_VM_STORE_H

#include <stdatomic.h>

#include "wasmrt/wasmrt.h"

#define VM_MAX_TRAP_FRAMES 128u
/* Of a thread's stack, never given to guests: builtins, signal frames, and Python in host functions run there. */
#define VM_STACK_RESERVE_BYTES ((uintptr_t)128 << 10)
/* An entry with less than this above its limit is refused. */
#define VM_STACK_MIN_BYTES ((uintptr_t)8 << 10)

typedef struct WrThread {
    _Atomic(VMStoreContext *) running; /* of the innermost entry; NULL: none */
    _Atomic uint32_t entries;          /* counts outermost entries: the ticker tells a long one from many short ones by it */
    uint32_t seen_entries;             /* the ticker's: `entries` at the last tick */
    uintptr_t stack_low, stack_high;
    uintptr_t entry_low, entry_span;   /* where the frame of an entry that has room may lie */
    uint64_t stack_rlimit;             /* what the bounds of the main thread were computed from; 0: another thread */
    struct WrThread *next;             /* in the list of all threads */
    bool is_free;                      /* its thread ended; under vm_lock */
    bool is_lost;                      /* its thread is the parent's, of which this process was forked */
} WrThread;

extern __thread WrThread *vm_thread __attribute__((tls_model("initial-exec"), visibility("hidden")));

typedef struct VmExternRefs {
    void **objects;    /* number - 1 -> object; the word is the number above VM_REF_HOST_BITS */
    uint32_t *slots;   /* open addressing: number, 0 is free; a power of two */
    uint32_t count, capacity, num_slots;
} VmExternRefs;

typedef struct VmHostFunc VmHostFunc;

typedef struct VmHeapBlock VmHeapBlock; /* gc.c */
typedef struct VmHeapMark VmHeapMark;
enum { VM_HEAP_CLASSES = VM_ALLOC_CLASSES + 28 };
typedef struct VmHeap { /* structs and arrays */
    uint8_t *base;          /* reserved at the first object */
    uint32_t reserved_blocks;
    uint32_t num_blocks;    /* committed */
    VmHeapBlock *blocks;
    uint32_t capacity_blocks;
    uint32_t next_single, next_span; /* where free blocks are looked for: since the last collection there is none before */
    uint32_t current[VM_HEAP_CLASSES]; /* block + 1 whose cells are handed out */
    uint32_t pending[VM_HEAP_CLASSES]; /* list of blocks (+ 1) with cells that the last collection found free */
    VMAlloc allocs[VM_HEAP_CLASSES - VM_ALLOC_CLASSES]; /* as VMStoreContext.allocs, of larger objects */
    size_t allocated;       /* bytes handed out since the last collection */
    size_t threshold;       /* of these, for the next one */
    size_t live;            /* bytes that the last one left */
    VmHeapMark *marks;      /* marked objects whose fields are to be looked at */
    uint32_t num_marks, capacity_marks;
    uintptr_t *kept;        /* references that the host holds; 0: free */
    uint32_t num_kept, capacity_kept, next_kept; /* no free slot before next_kept, but for those freed since it was there */
    uint32_t hold;          /* not 0: references are where no collection looks */
    uint64_t num_collections;
    bool is_stressed;       /* tests: collect before every object and exception */
    bool has_failed;        /* no memory for marks */
} VmHeap;
/* gc.c: frees the objects and exceptions that nothing refers to; false: it could not look everywhere, nothing was freed. with_stack: the machine stack
 * counts. */
bool vm_collect(WrStore *store, bool with_stack);
void vm_heap_free(WrStore *store);

typedef struct VmException VmException; /* exceptions.c */
typedef struct VmExceptions {
    VmException **chunks;  /* by address */
    uint32_t num_chunks, capacity;
    VmException *free;     /* list */
    uint32_t num_live;     /* since the last collection: what it left, and what was made */
    uint32_t threshold;    /* of num_live, for the next one */
    uint32_t kept;         /* by the last collection between entries */
    VmException *work;     /* marked ones whose values are to be looked at */
    size_t bytes;          /* of chunks and of values that lie outside of them */
} VmExceptions;
enum { VM_EXCEPTIONS_LEAVE = 256 }; /* so many may outlive the entry that they were thrown in, and as many again as are kept */
void vm_exceptions_leave(WrStore *store); /* no guest code runs in it */

struct WrStore {
    VMStoreContext context;      /* first: machine code's pointer to it is the store's */
    _Atomic(WrThread *) owner;   /* the thread that runs it */
    uint32_t depth;              /* entries, nested ones included */
    uint32_t num_instances, num_tables, num_memories;
    uint32_t num_components;     /* counted in the pool */
    WrPool *pool;                /* retained; NULL: on demand */
    bool use_images;
    size_t max_wasm_stack;
    WrTypeRegistry *registry;
    WrLimits limits;
    WrInstance *instances;
    WrMemory *memories;          /* fault handlers walk it on the store's thread */
    WrTable *tables;             /* made by the host; those of instances lie in the instance */
    WrGlobal *globals;
    WrTag *tags;
    VmHostFunc *host_funcs;
    VmExternRefs externrefs;
    VmExceptions exceptions;
    WrWasiFile *wasi_files;      /* by a guest's descriptor; what has no file here is Python's business (wasi.c) */
    uint32_t num_wasi_files;
    WrFiber *all_fibers;         /* a list */
    WrFiber *fibers;             /* idle ones, a list */
    uint32_t num_fibers, num_all_fibers;
    VmHeap heap;
    uint32_t lost_trap;          /* not 0: a function could not be had from its artifact; what the store traps with next, or the host is told */
    char trap_text[160];         /* of a host function's trap (wr_store_trap_because) */
    uint32_t num_trap_frames;
    uintptr_t trap_frames[VM_MAX_TRAP_FRAMES]; /* pcs, innermost first; of callers: return address - 1 */
    struct WrStore *next_free;
};

static inline WrStore *vm_store_of(VMStoreContext *context) { return (WrStore *)(void *)context; }
static inline VMContextHeader *vm_header(VMContext *vmctx) { return (VMContextHeader *)(void *)vmctx; }
/* The interrupt word is written by the ticker's thread too. */
static inline void vm_set_stack_limit(VMStoreContext *context, uintptr_t limit) { __atomic_store_n(&context->stack_limit, limit, __ATOMIC_RELAXED); }
static inline uintptr_t vm_stack_limit(const VMStoreContext *context) { return __atomic_load_n(&context->stack_limit, __ATOMIC_RELAXED); }

/* The one lock of the room: thread list, free stores, type registries, handler installation, ticker start. Held across fork. Never while guest code
 * or a hook runs. */
void vm_lock(void);
void vm_unlock(void);
WrThread *vm_threads(void);           /* list of all */
WrThread *vm_thread_attach(void);     /* the calling thread's; NULL: no memory */

/* ticker.c: 0 while it ticks; else an outermost entry must call vm_ticker_wake. */
extern _Atomic uint32_t vm_ticker_state __attribute__((visibility("hidden")));
void vm_ticker_wake(void);
void vm_ticker_after_fork(void);

/* fiber.c */
void vm_fibers_free(WrStore *store);

/* traps.c: makes our handlers the first ones again, if they were installed. */
void vm_signals_refresh(void);
bool vm_signals_have_filled(void); /* pages of a memory are zeros since the file that they came from was truncated */

/* backtrace.c: records a trap at a pc in wasm (0: raised by the host, whose caller is at exit_fp) with the frames under it. Async-signal-safe. */
void vm_trap_record(VMStoreContext *context, uint32_t trap_code, uintptr_t pc, uintptr_t fp);

const WrHooks *vm_hooks(void);
extern const void *const vm_builtins[WR_BUILTIN_COUNT] __attribute__((visibility("hidden")));

#endif
