/* How an instruction becomes bytes (Intel SDM vol. 2, chapter 2): prefixes, REX or VEX, opcode, ModRM,
 * SIB, displacement, immediate. Included by asm.h; forms.h and insn.h are its only users.
 *
 * An instruction is described by one X64Op, a compile-time constant at every call, so that the inlined
 * forms fold to a capacity check and a few stores. Bytes may be stored past the end of the instruction (a
 * whole immediate or displacement where a part counts); the room rule of base/buffer.h covers that. */
#ifndef WASMRT_X64_ENCODE_H
#define WASMRT_X64_ENCODE_H

#include "x64/asm.h"

/* bits 0-7 opcode, 8-15 mandatory or size prefix (0, 0x66, 0xF2, 0xF3), 16-17 opcode map as in VEX, 18
 * REX.W, then flags */
typedef uint32_t X64Op;
enum {
    X64_OP_W = 1 << 18,
    X64_OP_BYTE_REG = 1 << 19, /* ModRM.reg names a byte register: 4..7 are spl..dil and need a REX prefix */
    X64_OP_BYTE_RM = 1 << 20,  /* ModRM.rm does, if it is a register */
    X64_OP_LOCK = 1 << 21,
};
/* map is spelled as its opcode bytes: 0 (one-byte opcodes), 0x0F, 0x38 (0F 38), 0x3A (0F 3A) */
#define X64_MAP(map) ((map) == 0x3A ? 3u : (map) == 0x38 ? 2u : (map) == 0x0F ? 1u : 0u)
#define X64_OP(prefix, map, opcode, w)                                                                       \
    ((X64Op)(opcode) | (X64Op)(prefix) << 8 | (X64Op)X64_MAP(map) << 16 | ((w) ? (X64Op)X64_OP_W : 0))

/* Debug builds: the instruction is one that this Asm may emit. */
#define X64_NEED(as, feature) assert(((as)->cpu_features & X64_CPU_##feature) == X64_CPU_##feature)

X64_INLINE uint8_t *x64_room(Asm *as) { return code_buffer_room(&as->code); }

/* rxb: REX bits R<<2 | X<<1 | B */
X64_INLINE uint8_t *x64_put_head(uint8_t *p, X64Op op, unsigned rxb, bool force_rex) {
    if (op & X64_OP_LOCK) { *p++ = 0xF0; }
    uint8_t prefix = (uint8_t)(op >> 8);
    if (prefix) { *p++ = prefix; }
    unsigned rex = rxb | (op & X64_OP_W ? 8u : 0u);
    *p = (uint8_t)(0x40u | rex);
    p += rex != 0 || force_rex;
    unsigned map = op >> 16 & 3;
    if (map) {
        *p++ = 0x0F;
        if (map > 1) { *p++ = map == 2 ? 0x38 : 0x3A; }
    }
    *p++ = (uint8_t)op;
    return p;
}

X64_INLINE uint8_t *x64_put_vex(uint8_t *p, X64Op op, unsigned rxb, unsigned vvvv) {
    unsigned prefix = op >> 8 & 0xFF, map = op >> 16 & 3;
    unsigned last = (~vvvv & 15u) << 3 | (prefix == 0x66   ? 1u
                                          : prefix == 0xF3 ? 2u
                                          : prefix == 0xF2 ? 3u
                                                           : 0u);
    if (map == 1 && !(op & X64_OP_W) && !(rxb & 3)) {
        p[0] = 0xC5;
        p[1] = (uint8_t)((rxb & 4 ? 0u : 0x80u) | last);
        p += 2;
    } else {
        p[0] = 0xC4;
        p[1] = (uint8_t)((~rxb & 7u) << 5 | map);
        p[2] = (uint8_t)((op & X64_OP_W ? 0x80u : 0u) | last);
        p += 3;
    }
    *p++ = (uint8_t)op;
    return p;
}

X64_INLINE unsigned x64_rxb_mem(unsigned reg, X64Mem mem) {
    return (reg >> 1 & 4) | (mem.index >> 2 & 2) | (mem.base >> 3 & 1);
}

/* ModRM, SIB and displacement of what is rare: no base register, a label, a displacement to be patched.
 * `trailing` immediate bytes follow: a rip-relative displacement counts from behind them. */
static __attribute__((noinline)) uint8_t *x64_put_mem_rare(Asm *as, uint8_t *p, unsigned reg, X64Mem mem,
                                                           unsigned trailing) {
    unsigned sib = (unsigned)mem.scale_log2 << 6 | (mem.index & 7u) << 3;
    if (mem.base == X64_BASE_RIP) {
        *p++ = (uint8_t)(reg << 3 | 5);
        x64_put_label32(as, p, (X64Label){(uint32_t)mem.disp},
                        0u - ((uint32_t)(p - as->code.start) + 4 + trailing));
        return p + 4;
    }
    if (mem.base == X64_BASE_NONE) {
        *p++ = (uint8_t)(reg << 3 | 4);
        *p++ = (uint8_t)(sib | 5);
    } else {
        assert(mem.wide);
        unsigned base = mem.base & 7u, has_sib = mem.index != X64_INDEX_NONE || base == 4;
        *p++ = (uint8_t)(0x80 | reg << 3 | (has_sib ? 4 : base));
        if (has_sib) { *p++ = (uint8_t)(sib | base); }
    }
    x64_store32(p, (uint32_t)mem.disp);
    return p + 4;
}

/* The same for all operands; what they look like cannot be predicted, so the common ones take no branch. */
static __attribute__((noinline)) uint8_t *x64_put_mem(Asm *as, uint8_t *p, unsigned reg, X64Mem mem,
                                                      unsigned trailing) {
    if (__builtin_expect(mem.base >= 16 || mem.wide, 0)) {
        return x64_put_mem_rare(as, p, reg & 7, mem, trailing);
    }
    unsigned base = mem.base & 7u;
    unsigned has_sib = (mem.index != X64_INDEX_NONE) | (base == 4);
    unsigned fits = mem.disp == (int8_t)mem.disp;
    unsigned mod = fits ? (mem.disp != 0) | (base == 5) : 2; /* no displacement, 8 bits, 32 bits */
    unsigned sib = (unsigned)mem.scale_log2 << 6 | (mem.index & 7u) << 3 | base;
    p[0] = (uint8_t)(mod << 6 | (reg & 7) << 3 | (has_sib ? 4 : base));
    p[1] = (uint8_t)sib;
    p += 1 + has_sib;
    x64_store32(p, (uint32_t)mem.disp);
    return p + mod + (mod & 2);
}

/* Register form, then the low `imm_bytes` of imm. */
X64_INLINE void x64_emit_rr_imm(Asm *as, X64Op op, unsigned reg, unsigned rm, int32_t imm,
                                unsigned imm_bytes) {
    assert(reg < 16 && rm < 16);
    uint8_t *p = x64_room(as);
    bool force_rex = ((op & X64_OP_BYTE_REG) && reg >= 4) || ((op & X64_OP_BYTE_RM) && rm >= 4);
    p = x64_put_head(p, op, (reg >> 1 & 4) | rm >> 3, force_rex);
    *p++ = (uint8_t)(0xC0 | (reg & 7) << 3 | (rm & 7));
    if (imm_bytes) { x64_store32(p, (uint32_t)imm); }
    as->code.cursor = p + imm_bytes;
}

X64_INLINE void x64_emit_rr(Asm *as, X64Op op, unsigned reg, unsigned rm) {
    x64_emit_rr_imm(as, op, reg, rm, 0, 0);
}

/* Memory form; what is constant folds, what depends on the operand is a call. */
X64_INLINE void x64_emit_rm_imm(Asm *as, X64Op op, unsigned reg, X64Mem mem, int32_t imm,
                                   unsigned imm_bytes) {
    assert(reg < 16);
    uint8_t *p = x64_room(as);
    p = x64_put_head(p, op, x64_rxb_mem(reg, mem), (op & X64_OP_BYTE_REG) && reg >= 4);
    p = x64_put_mem(as, p, reg, mem, imm_bytes);
    if (imm_bytes) { x64_store32(p, (uint32_t)imm); }
    as->code.cursor = p + imm_bytes;
}

X64_INLINE void x64_emit_rm(Asm *as, X64Op op, unsigned reg, X64Mem mem) {
    x64_emit_rm_imm(as, op, reg, mem, 0, 0);
}

/* VEX forms; vvvv is the first source (0 where the instruction has none: the field then encodes as all
 * ones). */
X64_INLINE void x64_vex_rr_imm(Asm *as, X64Op op, unsigned reg, unsigned vvvv, unsigned rm, int32_t imm,
                               unsigned imm_bytes) {
    assert(reg < 16 && vvvv < 16 && rm < 16);
    uint8_t *p = x64_put_vex(x64_room(as), op, (reg >> 1 & 4) | rm >> 3, vvvv);
    *p++ = (uint8_t)(0xC0 | (reg & 7) << 3 | (rm & 7));
    *p = (uint8_t)imm;
    as->code.cursor = p + imm_bytes;
}

X64_INLINE void x64_vex_rr(Asm *as, X64Op op, unsigned reg, unsigned vvvv, unsigned rm) {
    x64_vex_rr_imm(as, op, reg, vvvv, rm, 0, 0);
}

static inline void x64_vex_rm_imm(Asm *as, X64Op op, unsigned reg, unsigned vvvv, X64Mem mem, int32_t imm,
                                  unsigned imm_bytes) {
    assert(reg < 16 && vvvv < 16);
    uint8_t *p = x64_put_vex(x64_room(as), op, x64_rxb_mem(reg, mem), vvvv);
    p = x64_put_mem(as, p, reg, mem, imm_bytes);
    *p = (uint8_t)imm;
    as->code.cursor = p + imm_bytes;
}

static inline void x64_vex_rm(Asm *as, X64Op op, unsigned reg, unsigned vvvv, X64Mem mem) {
    x64_vex_rm_imm(as, op, reg, vvvv, mem, 0, 0);
}

#endif
