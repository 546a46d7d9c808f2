/* Layouts that machine code reads, and nothing else.
 *
 * Everything here is shared between the compilers (which emit loads of these offsets) and the runtime (which fills them in). A change here is a
 * change of the artifact format. Who owns what: a VMStoreContext belongs to its store; a VMContext to its instance; a VMMemoryDef/VMTableDef to the
 * memory or table that defines it, and importers point at it. All of it is private to one thread at a time, except `stack_limit`, which the ticker
 * thread may overwrite with WR_INTERRUPTED. */
#ifndef WASMRT_VM_H
#define WASMRT_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One value in an array call: 16 bytes, little endian, upper bits of narrower values undefined. */
typedef union ValRaw {
    int32_t i32;
    int64_t i64;
    uint32_t f32; /* bits */
    uint64_t f64; /* bits */
    uint8_t v128[16];
    void *ref; /* VMFuncRef *, VMException *, or a word as VMObject says; 0 is null */
} ValRaw;

typedef struct VMContext VMContext; /* any vmctx: starts with VMContextHeader */

/* Returns false when the guest trapped or a host exception is pending: the reason is in the VMStoreContext. */
typedef bool (*VMArrayCall)(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity);

/* Of an instance's own functions it is all zero until it is wanted: code asks builtin LAZY when `vmctx` is NULL, or the chunk that it would lie in. */
typedef struct VMFuncRef {
    VMArrayCall array_call;
    const void *wasm_call; /* SysV registers, see ARCHITECTURE 4; NULL where nothing compiled can call it */
    uint32_t type_index;   /* engine-wide id of the function type */
    uint32_t reserved;
    VMContext *vmctx;
} VMFuncRef;
#define VM_CHUNK_FUNC_REFS 32u

/* On the frame of an entry trampoline, linked from VMStoreContext.last_entry; `rsp` points at it when a landing pad starts. */
typedef struct VMEntryRecord {
    const void *landing_pc;      /* jumped to with rsp = this record; restores callee-saved registers and returns false */
    struct VMEntryRecord *prev;  /* the entry this one is nested in */
    void *prev_exit_fp;          /* VMStoreContext.exit_fp at entry, restored on the way out */
    void *reserved;
    void *entry_fp;              /* rbp of the entry trampoline: a frame walk ends where it meets this */
    struct VMStoreContext *store;
} VMEntryRecord;

#define WR_INTERRUPTED UINTPTR_MAX

/* What an exnref points at. It belongs to its store, which frees it when nothing that can hold an exnref does (csrc/vm/exceptions.c). */
typedef struct VMException {
    struct WrTag *tag;   /* compared by address */
    ValRaw *values;      /* one slot a parameter of the tag */
} VMException;

/* Where code goes on that threw: `pc` (NULL: the reason is recorded in the store, unwind) with rbp = `fp`. In rax and rdx. */
typedef struct VMResume {
    const void *pc;
    void *fp;
} VMResume;

/* A struct or an array, which a reference points at: multiples of 8. Other references of types under any and extern are an i31, whose lowest bit is set (the
 * value above it, in 32 bits), or an object of the host's, whose lowest two bits are 10. So converting between any and extern changes nothing.
 * Fields follow (csrc/wasm/fields.h). Objects belong to their store and never move (csrc/vm/gc.c). */
typedef struct VMObject {
    uint32_t type_id;    /* engine-wide */
    uint32_t length;     /* items of an array; VM_OBJECT_IS_STRUCT, which no array has */
} VMObject;
#define VM_OBJECT_IS_STRUCT UINT32_MAX
#define VM_REF_I31_BIT 1u
#define VM_REF_HOST_BITS 2u
#define VM_REF_TAG_MASK 3u

/* Where code takes objects of up to 128 bytes from: of one size, from cursor up to limit. Class i has 16 + 8 i bytes. Empty: builtin ALLOC. */
typedef struct VMAlloc {
    uintptr_t cursor, limit;
} VMAlloc;
enum { VM_ALLOC_MIN_BYTES = 16, VM_ALLOC_MAX_BYTES = 128, VM_ALLOC_CLASSES = (VM_ALLOC_MAX_BYTES - VM_ALLOC_MIN_BYTES) / 8 + 1 };

/* A compiled function with a try_table keeps its own VMContext here, from rbp: its landing pads start with nothing but rbp. */
#define WR_FRAME_VMCTX (-48)

typedef struct VMStoreContext {
    uintptr_t stack_limit;       /* rsp below it: slow path. WR_INTERRUPTED asks for the slow path */
    VMEntryRecord *last_entry;   /* NULL while no guest code runs */
    void *exit_fp;               /* rbp of the host-call trampoline that left wasm last; its caller's pc is at exit_fp[1] */
    int64_t fuel;                /* remaining; code subtracts and takes the slow path below zero */
    uintptr_t real_stack_limit;  /* what stack_limit is put back to after an interrupt; entry trampolines compare with this one */
    uint32_t trap_code;          /* valid after an array call returned false */
    uint32_t reserved;
    uintptr_t trap_pc;           /* pc of the trapping instruction, or inside the builtin call that trapped (return address - 1); 0: not in wasm */
    uintptr_t trap_fp;           /* rbp of the frame that trapped */
    uintptr_t trap_address;      /* faulting address of a memory fault */
    void *host;                  /* borrowed: the store object of the embedder */
    VMException *exception;      /* thrown: what the handler that a VMResume leads to takes */
    const void *landing;         /* its landing pad */
    VMAlloc allocs[VM_ALLOC_CLASSES];
} VMStoreContext;

typedef struct VMContextHeader {
    uint32_t magic;
    uint32_t reserved;
    VMStoreContext *store;
    const void *const *builtins; /* WR_BUILTIN_* */
    const uint32_t *type_ids;    /* module type index -> engine-wide id */
    void *instance;              /* the runtime's record of this context */
    const uint32_t *supertypes;  /* engine-wide id -> id of its supertype, 0: none; there once the engine has a type that is not final */
} VMContextHeader;

#define WR_VMCTX_MAGIC_CORE 0x65726f63u      /* "core" */
#define WR_VMCTX_MAGIC_HOST 0x74736f68u      /* "host" */
#define WR_VMCTX_MAGIC_COMPONENT 0x706d6f63u /* "comp" */

/* vmctx of a function that the host implements: compiled code reaches it through a wasm-to-array trampoline, which spills its arguments to an array
 * and calls `call`. A component's lowerings and resource intrinsics are such contexts too (an array of them inside the component instance). */
typedef struct VMHostContext {
    VMContextHeader header;
    VMArrayCall call;   /* gets this context as callee */
    void *data;         /* borrowed, for `call` */
    void *data2;
    uint64_t index;
} VMHostContext;

typedef struct VMMemoryDef {
    uint8_t *base;       /* never moves */
    size_t length_bytes; /* current; atomic when shared */
} VMMemoryDef;

typedef struct VMTableDef {
    void **elements;     /* references as in ValRaw; may move. A null of a function may be one that was not looked up yet: builtin LAZY */
    uint64_t length;
    uint64_t writable;   /* of a table with such nulls: code may store below it; 0 until it has asked builtin LAZY, then the length */
} VMTableDef;

typedef struct VMMemoryImport { /* one per memory of the module, imported or defined */
    uint8_t *base;
    VMMemoryDef *def;
} VMMemoryImport;

typedef struct VMFuncImport { /* one per imported function */
    const void *wasm_call;
    VMContext *vmctx;
    VMFuncRef *func_ref;
} VMFuncImport;

typedef struct VMGlobalDef { /* 16-byte aligned */
    ValRaw value;
} VMGlobalDef;

/* A VMContext of a core instance is a VMContextHeader followed by these arrays, in this order; wr_vm_offsets() computes where each starts. */
typedef struct VMOffsets {
    uint32_t memories;        /* VMMemoryImport[num_memories], right after the header */
    uint32_t tables;          /* VMTableDef *[num_tables] */
    uint32_t imported_globals;/* VMGlobalDef *[num_imported_globals] */
    uint32_t func_imports;    /* VMFuncImport[num_imported_funcs] */
    uint32_t globals;         /* VMGlobalDef[num_defined_globals], 16-byte aligned */
    uint32_t func_refs;       /* VMFuncRef *[vm_num_chunks()]: chunks of VM_CHUNK_FUNC_REFS, NULL until one is met: of defined functions whose address can be
                               * taken, in order of function index */
    uint32_t size;            /* bytes of the whole context */
} VMOffsets;

static inline uint32_t vm_num_chunks(uint32_t num_escaped_funcs) { return (num_escaped_funcs + (VM_CHUNK_FUNC_REFS - 1)) / VM_CHUNK_FUNC_REFS; }

#define WR_OFFSET(type, field) ((int32_t)offsetof(type, field))

_Static_assert(sizeof(ValRaw) == 16, "array slots are 16 bytes");
_Static_assert(sizeof(VMObject) == 8, "fields start at 8");
_Static_assert(sizeof(VMFuncRef) == 32, "VMFuncRef is read by machine code");
_Static_assert(sizeof(VMContextHeader) == 48, "memories start at 48");
_Static_assert(offsetof(VMContextHeader, store) == 8, "every vmctx has its store at 8");
_Static_assert(offsetof(VMStoreContext, stack_limit) == 0, "the interrupt word comes first");

/* Operands of builtin LAZY. */
#define WR_LAZY_FUNC UINT32_MAX
#define WR_LAZY_ALL UINT64_MAX
#define WR_LAZY_WRITE (UINT64_MAX - 1)
/* Its answer when a trap was recorded. */
#define WR_LAZY_TRAPPED ((void *)1)

enum {
#define BUILTIN(name, ret, params, doc) WR_BUILTIN_##name,
#include "builtins.def"
#undef BUILTIN
    WR_BUILTIN_COUNT
};

enum {
#define TRAP(name, number, message) TRAP_##name = number,
#include "traps.def"
#undef TRAP
};

#endif
