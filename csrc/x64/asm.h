/* The x86-64 assembler: include this one header.
 *
 *    reg.h    registers, conditions, X64Mem          reloc.h  references to other functions
 *    asm.h    the Asm itself: labels, constants      encode.h how bytes of an instruction are laid out
 *    forms.h, insn.h  the instructions: x64_<mnemonic><size>_<operand kinds>(as, dst, src...), most of
 *                     them from wasmrt/x64_forms.def
 *
 * One Asm per compiling thread, reused for many functions: wr_x64_function_begin .. wr_x64_function_end
 * for each; code and relocations accumulate, labels and constants belong to one function. Offsets
 * (x64_offset, CodeReloc.offset) count from the start of the code buffer, which must be placed at a
 * multiple of 16. Sources are const: no emitter changes an operand that it was not asked to; flags are
 * changed as the hardware does.
 *
 * Emitters never fail: running out of memory or past a limit sets `status`, which sticks, and emitting
 * goes on into nowhere. wr_x64_function_end reports it. Offsets taken before a failure are meaningless
 * after it. */
#ifndef WASMRT_X64_ASM_H
#define WASMRT_X64_ASM_H

#include "base/buffer.h"
#include "x64/cpu.h"
#include "x64/reg.h"
#include "x64/reloc.h"

#include <assert.h>
#include <string.h>

enum {
    X64_FUNCTION_ALIGN = 16,
    X64_MAX_FUNCTION_BYTES = 128 << 20, /* of machine code, constants included */
    X64_MAX_CODE_BYTES = CODE_BUFFER_MAX_BYTES,
    X64_MAX_LABELS = 1 << 26, /* of one function, as for fixups; both keep an Asm's memory bounded */
    X64_MAX_RELOCS = 1 << 26,
};
#define X64_UNBOUND UINT32_MAX /* offset of a label that is not bound yet */
#define X64_NO_FIXUP UINT32_MAX

typedef enum X64Status {
    X64_OK,
    X64_OUT_OF_MEMORY,
    X64_TOO_LARGE,      /* a limit above was passed */
    X64_SHORT_JUMP_FAR, /* our bug: the target of a *_short jump is out of its range */
    X64_LABEL_UNBOUND,  /* our bug: a label was used and never bound */
} X64Status;

typedef struct X64LabelSlot {
    uint32_t offset; /* where it is bound, or X64_UNBOUND */
    uint32_t fixups; /* newest fixup that waits for it, or X64_NO_FIXUP */
} X64LabelSlot;

typedef struct X64Fixup {
    uint32_t offset; /* of the field: 32 bits that hold what is to be added, or with X64_FIXUP_SHORT 8 bits */
    uint32_t next;   /* older fixup of the same label, or X64_NO_FIXUP */
} X64Fixup;
#define X64_FIXUP_SHORT 0x80000000u

typedef struct X64Constant {
    uint64_t low, high;
    X64Label label;
    uint32_t bytes; /* 4, 8 or 16 */
    uint32_t slot;  /* where const_slots names it */
} X64Constant;

typedef struct Asm {
    CodeBuffer code;
    X64Status status;         /* sticky */
    uint32_t cpu_features;    /* X64_CPU_*: what the code may use; debug builds check each instruction */
    uint32_t function_offset; /* start of the function being emitted */
    uint32_t pending_fixups;  /* fixups whose label is not bound yet */
    X64LabelSlot *labels;
    X64Fixup *fixups;
    CodeReloc *relocs;
    X64Constant *constants;
    uint32_t *const_slots; /* open addressing: index into constants plus 1; 0 = free */
    uint32_t label_count, label_capacity;
    uint32_t fixup_count, fixup_capacity;
    uint32_t reloc_count, reloc_capacity;
    uint32_t const_count, const_capacity;
    uint32_t const_slot_count; /* power of two, at least twice const_count */
    X64LabelSlot spare_label;  /* label 0 when there is no memory for labels */
} Asm;

/* ---- life of an Asm ------------------------------------------------------------------------------------ */

/* Cannot fail: memory is taken when it is needed. An Asm is not movable. */
void wr_x64_asm_init(Asm *as, uint32_t cpu_features);
void wr_x64_asm_free(Asm *as);
/* Empties it for a new run (code, relocations, status), keeps its memory. */
void wr_x64_asm_clear(Asm *as);
/* Aligns to X64_FUNCTION_ALIGN and forgets the labels and constants of the function before. */
void wr_x64_function_begin(Asm *as);
/* Bytes that are never executed, before what is emitted next. */
void wr_x64_room(Asm *as, uint32_t bytes);
/* Places the constants and checks that all labels are bound. The function is [function_offset,
 * x64_offset). Returns the status. */
X64Status wr_x64_function_end(Asm *as);

/* Slow paths of the inline functions below. */
void wr_x64_fail(Asm *as, X64Status status);
bool wr_x64_grow_labels(Asm *as);
bool wr_x64_grow_fixups(Asm *as);
void wr_x64_label_resolve(Asm *as, X64Label label, uint32_t offset);
X64Label wr_x64_const_pool(Asm *as, uint32_t bytes, uint64_t low, uint64_t high);
void wr_x64_reloc_add(Asm *as, uint32_t offset, CodeRelocKind kind, uint32_t target, int32_t addend);

/* ---- places -------------------------------------------------------------------------------------------- */

#define X64_INLINE static inline __attribute__((always_inline))

static inline bool x64_failed(const Asm *as) { return as->status != X64_OK || as->code.oom; }

/* Offset of the next instruction from the start of the code buffer. */
static inline uint32_t x64_offset(const Asm *as) { return (uint32_t)(as->code.cursor - as->code.start); }

X64_INLINE void x64_store32(uint8_t *at, uint32_t value) { memcpy(at, &value, 4); }

X64_INLINE uint32_t x64_load32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

/* Overwrites four bytes emitted before: frame sizes and other late constants (x64_subq_ri32,
 * x64_mem_b_wide). */
static inline void x64_patch32(Asm *as, uint32_t offset, int32_t value) {
    if (x64_failed(as)) { return; }
    assert(offset + 4 <= x64_offset(as));
    x64_store32(as->code.start + offset, (uint32_t)value);
}

/* ---- labels -------------------------------------------------------------------------------------------- */

static inline X64Label x64_label_new(Asm *as) {
    if (__builtin_expect(as->label_count == as->label_capacity, 0) && !wr_x64_grow_labels(as)) {
        return (X64Label){0};
    }
    uint32_t id = as->label_count++;
    as->labels[id] = (X64LabelSlot){X64_UNBOUND, X64_NO_FIXUP};
    return (X64Label){id};
}

static inline bool x64_label_is_bound(const Asm *as, X64Label label) {
    return as->labels[label.id].offset != X64_UNBOUND;
}

/* Whether anything emitted so far waits for this (unbound) label. */
static inline bool x64_label_is_awaited(const Asm *as, X64Label label) {
    return as->labels[label.id].fixups != X64_NO_FIXUP;
}

/* Offset of a bound label from the start of the code buffer. */
static inline uint32_t x64_label_offset(const Asm *as, X64Label label) {
    assert(x64_label_is_bound(as, label) || x64_failed(as));
    return as->labels[label.id].offset;
}

/* The label is here. Once per label. */
static inline void x64_label_bind(Asm *as, X64Label label) {
    X64LabelSlot *slot = &as->labels[label.id];
    assert(slot->offset == X64_UNBOUND || x64_failed(as));
    if (slot->fixups != X64_NO_FIXUP) {
        wr_x64_label_resolve(as, label, x64_offset(as));
    } else {
        slot->offset = x64_offset(as);
    }
}

/* A new label, bound here: a loop header. */
static inline X64Label x64_label_here(Asm *as) {
    X64Label label = x64_label_new(as);
    as->labels[label.id].offset = x64_offset(as);
    return label;
}

static inline void x64_fixup_add(Asm *as, X64Label label, uint32_t offset) {
    if (__builtin_expect(as->fixup_count == as->fixup_capacity, 0) && !wr_x64_grow_fixups(as)) { return; }
    X64LabelSlot *slot = &as->labels[label.id];
    as->fixups[as->fixup_count] = (X64Fixup){offset, slot->fixups};
    slot->fixups = as->fixup_count++;
    as->pending_fixups++;
}

/* Writes label + addend as 32 bits at `at` (inside the room at the cursor), now or when the label is
 * bound. */
static inline void x64_put_label32(Asm *as, uint8_t *at, X64Label label, uint32_t addend) {
    uint32_t target = as->labels[label.id].offset;
    if (target == X64_UNBOUND) {
        x64_store32(at, addend);
        x64_fixup_add(as, label, (uint32_t)(at - as->code.start));
    } else {
        x64_store32(at, target + addend);
    }
}

/* ---- constants ----------------------------------------------------------------------------------------- */

/* A rip-relative operand with these bits, placed after the function at its natural alignment; equal
 * constants share one place. */
static inline X64Mem x64_const_pool_4(Asm *as, uint32_t bits) {
    return x64_mem_label(wr_x64_const_pool(as, 4, bits, 0));
}

static inline X64Mem x64_const_pool_8(Asm *as, uint64_t bits) {
    return x64_mem_label(wr_x64_const_pool(as, 8, bits, 0));
}

static inline X64Mem x64_const_pool_16(Asm *as, uint64_t low, uint64_t high) {
    return x64_mem_label(wr_x64_const_pool(as, 16, low, high));
}

#include "x64/encode.h"
#include "x64/forms.h"
#include "x64/insn.h"

#endif
