/* Registers, condition codes and memory operands of x86-64, as plain values. Numbers are the hardware's
 * encodings. */
#ifndef WASMRT_X64_REG_H
#define WASMRT_X64_REG_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum X64Gpr {
    RAX,
    RCX,
    RDX,
    RBX,
    RSP,
    RBP,
    RSI,
    RDI,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
} X64Gpr;

typedef enum X64Xmm {
    XMM0,
    XMM1,
    XMM2,
    XMM3,
    XMM4,
    XMM5,
    XMM6,
    XMM7,
    XMM8,
    XMM9,
    XMM10,
    XMM11,
    XMM12,
    XMM13,
    XMM14,
    XMM15,
} X64Xmm;

/* Condition codes; the low bit negates. B/AE/BE/A are unsigned, L/GE/LE/G signed. After ucomis*: the
 * unsigned ones, P = unordered. */
typedef enum X64Cond {
    X64_CC_O,
    X64_CC_NO,
    X64_CC_B,
    X64_CC_AE,
    X64_CC_E,
    X64_CC_NE,
    X64_CC_BE,
    X64_CC_A,
    X64_CC_S,
    X64_CC_NS,
    X64_CC_P,
    X64_CC_NP,
    X64_CC_L,
    X64_CC_GE,
    X64_CC_LE,
    X64_CC_G,
} X64Cond;

static inline X64Cond x64_cond_negate(X64Cond cond) { return (X64Cond)(cond ^ 1u); }

/* The condition that holds for (b, a) when `cond` holds for (a, b): for compares whose operands were
 * exchanged. */
static inline X64Cond x64_cond_swap(X64Cond cond) {
    switch (cond) {
    case X64_CC_B: return X64_CC_A;
    case X64_CC_A: return X64_CC_B;
    case X64_CC_AE: return X64_CC_BE;
    case X64_CC_BE: return X64_CC_AE;
    case X64_CC_L: return X64_CC_G;
    case X64_CC_G: return X64_CC_L;
    case X64_CC_GE: return X64_CC_LE;
    case X64_CC_LE: return X64_CC_GE;
    default: return cond; /* equality, parity; sign and overflow have no swapped form and are not asked for */
    }
}

/* Immediate predicates of cmpss/sd/ps/pd. The SSE forms know the first eight, the VEX forms 32; these are
 * the eight. */
typedef enum X64CmpPredicate {
    X64_CMP_EQ,
    X64_CMP_LT,
    X64_CMP_LE,
    X64_CMP_UNORD,
    X64_CMP_NEQ,
    X64_CMP_NLT,
    X64_CMP_NLE,
    X64_CMP_ORD,
} X64CmpPredicate;

/* Immediates of round*; 8 suppresses the inexact exception. */
typedef enum X64Round {
    X64_ROUND_NEAREST = 8,
    X64_ROUND_FLOOR = 9,
    X64_ROUND_CEIL = 10,
    X64_ROUND_TRUNC = 11,
} X64Round;

/* A place in the code of the function being emitted. Made by x64_label_new. */
typedef struct X64Label {
    uint32_t id;
} X64Label;

enum {
    X64_BASE_NONE = 16, /* in X64Mem.base: no base register */
    X64_BASE_RIP = 17,  /* in X64Mem.base: rip-relative, disp holds the label's id */
    X64_INDEX_NONE = 4, /* in X64Mem.index: rsp cannot be an index, and 4 is how "none" is encoded */
};

/* A memory operand, passed by value in one machine register. Build it with the constructors below. */
typedef struct X64Mem {
    int32_t disp;       /* displacement, or the label's id if base is X64_BASE_RIP */
    uint8_t base;       /* X64Gpr, X64_BASE_NONE or X64_BASE_RIP */
    uint8_t index;      /* X64Gpr or X64_INDEX_NONE */
    uint8_t scale_log2; /* 0..3 */
    uint8_t wide; /* a 32-bit displacement even where a shorter one would do, so that it can be patched */
} X64Mem;

static inline uint8_t x64_scale_log2(unsigned scale) {
    assert(scale == 1 || scale == 2 || scale == 4 || scale == 8);
    return (uint8_t)(scale == 8 ? 3 : scale >> 1);
}

/* disp(base) */
static inline X64Mem x64_mem_b(X64Gpr base, int32_t disp) {
    assert(base <= R15);
    return (X64Mem){.disp = disp, .base = (uint8_t)base, .index = X64_INDEX_NONE};
}

/* disp(base) with a 32-bit displacement in any case. It ends the instruction (unless an immediate
 * follows): x64_patch32(as, end - 4, …). */
static inline X64Mem x64_mem_b_wide(X64Gpr base, int32_t disp) {
    assert(base <= R15);
    return (X64Mem){.disp = disp, .base = (uint8_t)base, .index = X64_INDEX_NONE, .wide = 1};
}

/* disp(base,index,scale); scale is 1, 2, 4 or 8, index is not RSP. */
static inline X64Mem x64_mem_bi(X64Gpr base, X64Gpr index, unsigned scale, int32_t disp) {
    assert(base <= R15 && index <= R15 && index != RSP);
    return (X64Mem){
        .disp = disp, .base = (uint8_t)base, .index = (uint8_t)index, .scale_log2 = x64_scale_log2(scale)};
}

/* disp(,index,scale): no base. For lea arithmetic, always with a 32-bit displacement. */
static inline X64Mem x64_mem_i(X64Gpr index, unsigned scale, int32_t disp) {
    assert(index <= R15 && index != RSP);
    return (X64Mem){
        .disp = disp, .base = X64_BASE_NONE, .index = (uint8_t)index, .scale_log2 = x64_scale_log2(scale)};
}

/* label(%rip) */
static inline X64Mem x64_mem_label(X64Label label) {
    return (X64Mem){.disp = (int32_t)label.id, .base = X64_BASE_RIP, .index = X64_INDEX_NONE};
}

/* The operand `delta` bytes on: for the second half of something wide. Not for labels. */
static inline X64Mem x64_mem_offset(X64Mem mem, int32_t delta) {
    assert(mem.base != X64_BASE_RIP);
    mem.disp += delta;
    return mem;
}

static inline bool x64_mem_uses(X64Mem mem, X64Gpr reg) {
    return mem.base == reg || (mem.index == reg && mem.index != X64_INDEX_NONE);
}

#endif
