/* Prints what the assembler emits, for an independent disassembler to judge
 * (tests/unit/test_x64_encoder.py builds and runs this). Every row of x64_forms.def and every written-out
 * instruction is emitted over all registers and the addressing modes that have encodings of their own. One
 * line a case:
 *
 *      <offset> <length> <mnemonic> <operands, destination first, separated by |>
 *
 * Operands: AT&T register names, $<bits>:<value> immediates, mem:<disp>:<base>:<index>:<scale>,
 * label:<id>; at the end a line "label <id> <offset>" for each label and one "code <hex>" with all bytes.
 * The rows give only names here: bytes are checked against what the name says. */
#include "x64/asm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static Asm asm_storage;
static Asm *const as = &asm_storage;
static uint32_t case_start;
static X64Label label_back, label_forward, label_middle;

/* ---- spelling ------------------------------------------------------------------------------------------ */

static char *spell_buffer(void) {
    static char buffers[8][80];
    static unsigned next;
    return buffers[next++ % 8];
}

static const char *gpr(unsigned bytes, unsigned reg) {
    static const char *const low[4][8] = {
        {"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"},
        {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"},
        {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"},
        {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"},
    };
    static const char *const suffix[4] = {"b", "w", "d", ""};
    unsigned row = bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3;
    char *text = spell_buffer();
    if (reg < 8) {
        sprintf(text, "%%%s", low[row][reg]);
    } else {
        sprintf(text, "%%r%u%s", reg, suffix[row]);
    }
    return text;
}

static const char *xmm(unsigned reg) {
    char *text = spell_buffer();
    sprintf(text, "%%xmm%u", reg);
    return text;
}

static const char *imm(unsigned bits, int64_t value) {
    char *text = spell_buffer();
    sprintf(text, "$%u:%lld", bits, (long long)value);
    return text;
}

static const char *mem(X64Mem m) {
    char *text = spell_buffer();
    if (m.base == X64_BASE_RIP) {
        sprintf(text, "label:%d", m.disp);
    } else {
        sprintf(text, "mem:%d:%s:%s:%u", m.disp, m.base == X64_BASE_NONE ? "" : gpr(8, m.base),
                m.index == X64_INDEX_NONE ? "" : gpr(8, m.index),
                m.index == X64_INDEX_NONE ? 1u : 1u << m.scale_log2);
    }
    return text;
}

static const char *label(X64Label l) { return mem(x64_mem_label(l)); }

static void print_case(const char *mnemonic, unsigned count, ...) {
    uint32_t end = x64_offset(as);
    printf("%u %u %s ", case_start, end - case_start, mnemonic);
    va_list list;
    va_start(list, count);
    for (unsigned i = 0; i < count; i++) { printf("%s%s", i ? "|" : "", va_arg(list, const char *)); }
    va_end(list);
    putchar('\n');
    case_start = end;
}

#define COUNT_ARGS(...) COUNT_ARGS_(__VA_ARGS__, 5, 4, 3, 2, 1, 0)
#define COUNT_ARGS_(a, b, c, d, e, n, ...) n
#define CASE(emit, mnemonic, ...)                                                                            \
    do {                                                                                                     \
        case_start = x64_offset(as);                                                                         \
        emit;                                                                                                \
        print_case(mnemonic, COUNT_ARGS(__VA_ARGS__), __VA_ARGS__);                                          \
    } while (0)
#define CASE0(emit, mnemonic)                                                                                \
    do {                                                                                                     \
        case_start = x64_offset(as);                                                                         \
        emit;                                                                                                \
        print_case(mnemonic, 0);                                                                             \
    } while (0)

/* ---- operands: a = destination, b and c = sources, in 16 combinations in which each register takes each  */

static X64Mem modes[64];
static unsigned mode_count;

static void make_modes(void) {
    X64Mem list[] = {
        x64_mem_b(RAX, 0),
        x64_mem_b(RCX, 16),
        x64_mem_b(RSP, 0),
        x64_mem_b(RSP, 8),
        x64_mem_b(RBP, 0),
        x64_mem_b(RBP, -8),
        x64_mem_b(R12, 0),
        x64_mem_b(R12, -128),
        x64_mem_b(R13, 0),
        x64_mem_b(R13, 127),
        x64_mem_b(R9, 128),
        x64_mem_b(R15, -129),
        x64_mem_b(RSI, INT32_MIN),
        x64_mem_b(RDI, INT32_MAX),
        x64_mem_b(RSP, 4096),
        x64_mem_b(R12, 4096),
        x64_mem_b_wide(RDX, 0),
        x64_mem_b_wide(RSP, 1),
        x64_mem_bi(RAX, RCX, 1, 0),
        x64_mem_bi(RBP, RDX, 2, 0),
        x64_mem_bi(R13, R12, 4, 0),
        x64_mem_bi(RSP, RBP, 8, 1),
        x64_mem_bi(R12, R13, 8, -300),
        x64_mem_bi(RBX, R8, 1, 70000),
        x64_mem_bi(R14, RBX, 2, -1),
        x64_mem_i(RDX, 4, 0),
        x64_mem_i(R12, 8, -4),
        x64_mem_i(RBP, 1, 4),
        x64_mem_label(label_back),
        x64_mem_label(label_forward),
    };
    mode_count = sizeof list / sizeof *list;
    memcpy(modes, list, sizeof list);
}

#define EACH_RR                                                                                              \
    for (unsigned a = 0; a < 16; a++)                                                                        \
        for (unsigned step = 0, b = (a * 5 + 3) & 15, c = (a * 11 + 6) & 15; step < 2;                       \
             step++, b = (b + 8) & 15, c = (c + 4) & 15)
#define EACH_R for (unsigned a = 0; a < 16; a++)
#define EACH_RM for (unsigned n = 0, a = 3, b = 14; n < mode_count; n++, a = (a + 5) & 15, b = (b + 3) & 15)
#define G(n) ((X64Gpr)(n))
#define X(n) ((X64Xmm)(n))
#define M modes[n]

static const int32_t imms[] = {0, 1, -1, 127, -128, 128, -129, 255, 4096, INT32_MAX, INT32_MIN};
static bool imm_fits(unsigned bits, int32_t value) {
    return bits >= 32 || (value >= -(1 << (bits - 1)) && value < 1 << bits);
}

#define EACH_IMM(bits)                                                                                       \
    for (unsigned k = 0; k < sizeof imms / sizeof *imms; k++)                                                \
        if (imm_fits(bits, imms[k]))

/* ---- rows ---------------------------------------------------------------------------------------------- */

#define X64_ALU(name, opcode, ext)                                                                           \
    EACH_RR CASE(x64_##name##b_rr(as, G(a), G(b)), #name "b", gpr(1, a), gpr(1, b));                         \
    EACH_RM CASE(x64_##name##b_rm(as, G(a), M), #name "b", gpr(1, a), mem(M));                               \
    EACH_RM CASE(x64_##name##b_mr(as, M, G(a)), #name "b", mem(M), gpr(1, a));                               \
    EACH_IMM(8) EACH_R CASE(x64_##name##b_ri(as, G(a), imms[k]), #name "b", gpr(1, a), imm(8, imms[k]));     \
    EACH_IMM(8) EACH_RM CASE(x64_##name##b_mi(as, M, imms[k]), #name "b", mem(M), imm(8, imms[k]));          \
    EACH_RR CASE(x64_##name##w_rr(as, G(a), G(b)), #name "w", gpr(2, a), gpr(2, b));                         \
    EACH_RM CASE(x64_##name##w_rm(as, G(a), M), #name "w", gpr(2, a), mem(M));                               \
    EACH_RM CASE(x64_##name##w_mr(as, M, G(a)), #name "w", mem(M), gpr(2, a));                               \
    EACH_IMM(16) EACH_R CASE(x64_##name##w_ri(as, G(a), imms[k]), #name "w", gpr(2, a), imm(16, imms[k]));   \
    EACH_IMM(16) EACH_RM CASE(x64_##name##w_mi(as, M, imms[k]), #name "w", mem(M), imm(16, imms[k]));        \
    EACH_RR CASE(x64_##name##l_rr(as, G(a), G(b)), #name "l", gpr(4, a), gpr(4, b));                         \
    EACH_RM CASE(x64_##name##l_rm(as, G(a), M), #name "l", gpr(4, a), mem(M));                               \
    EACH_RM CASE(x64_##name##l_mr(as, M, G(a)), #name "l", mem(M), gpr(4, a));                               \
    EACH_IMM(32) EACH_R CASE(x64_##name##l_ri(as, G(a), imms[k]), #name "l", gpr(4, a), imm(32, imms[k]));   \
    EACH_IMM(32) EACH_RM CASE(x64_##name##l_mi(as, M, imms[k]), #name "l", mem(M), imm(32, imms[k]));        \
    EACH_RR CASE(x64_##name##q_rr(as, G(a), G(b)), #name "q", gpr(8, a), gpr(8, b));                         \
    EACH_RM CASE(x64_##name##q_rm(as, G(a), M), #name "q", gpr(8, a), mem(M));                               \
    EACH_RM CASE(x64_##name##q_mr(as, M, G(a)), #name "q", mem(M), gpr(8, a));                               \
    EACH_IMM(64) EACH_R CASE(x64_##name##q_ri(as, G(a), imms[k]), #name "q", gpr(8, a), imm(64, imms[k]));   \
    EACH_IMM(64) EACH_RM CASE(x64_##name##q_mi(as, M, imms[k]), #name "q", mem(M), imm(64, imms[k]));        \
    EACH_R CASE(x64_##name##l_ri32(as, G(a), 5), #name "l", gpr(4, a), imm(32, 5));                          \
    EACH_R CASE(x64_##name##q_ri32(as, G(a), -5), #name "q", gpr(8, a), imm(64, -5));
#define X64_LOCKED(name, map, opcode)                                                                        \
    EACH_RM CASE(x64_lock_##name##b_mr(as, M, G(a)), "lock_" #name "b", mem(M), gpr(1, a));                  \
    EACH_RM CASE(x64_lock_##name##w_mr(as, M, G(a)), "lock_" #name "w", mem(M), gpr(2, a));                  \
    EACH_RM CASE(x64_lock_##name##l_mr(as, M, G(a)), "lock_" #name "l", mem(M), gpr(4, a));                  \
    EACH_RM CASE(x64_lock_##name##q_mr(as, M, G(a)), "lock_" #name "q", mem(M), gpr(8, a));
#define X64_UNARY(name, ext)                                                                                 \
    EACH_R CASE(x64_##name##l_r(as, G(a)), #name "l", gpr(4, a));                                            \
    EACH_RM CASE(x64_##name##l_m(as, M), #name "l", mem(M));                                                 \
    EACH_R CASE(x64_##name##q_r(as, G(a)), #name "q", gpr(8, a));                                            \
    EACH_RM CASE(x64_##name##q_m(as, M), #name "q", mem(M));
#define X64_SHIFT(name, ext)                                                                                 \
    EACH_RR CASE(x64_##name##l_ri(as, G(a), (uint8_t)(step ? 1 : 31 - a)), #name "l", gpr(4, a),             \
                 imm(8, step ? 1 : 31 - a));                                                                 \
    EACH_RR CASE(x64_##name##l_cl(as, G(a)), #name "l", gpr(4, a), "%cl");                                   \
    EACH_RR CASE(x64_##name##q_ri(as, G(a), (uint8_t)(step ? 1 : 63 - a)), #name "q", gpr(8, a),             \
                 imm(8, step ? 1 : 63 - a));                                                                 \
    EACH_RR CASE(x64_##name##q_cl(as, G(a)), #name "q", gpr(8, a), "%cl");
/* the widths that a mnemonic's last letters say: movzbl reads a byte register and writes 32 bits */
static unsigned letter_bytes(char letter) {
    return letter == 'b' ? 1 : letter == 'w' ? 2 : letter == 'l' ? 4 : 8;
}

static unsigned dst_bytes(const char *name) { return letter_bytes(name[strlen(name) - 1]); }

static unsigned src_bytes(const char *name) {
    bool extends = strncmp(name, "movz", 4) == 0 || strncmp(name, "movs", 4) == 0;
    return letter_bytes(name[strlen(name) - (extends ? 2 : 1)]);
}

#define X64_RRM(name, prefix, map, opcode, w, byte_source, feature)                                          \
    EACH_RR CASE(x64_##name##_rr(as, G(a), G(b)), #name, gpr(dst_bytes(#name), a),                           \
                 gpr(src_bytes(#name), b));                                                                  \
    EACH_RM CASE(x64_##name##_rm(as, G(a), M), #name, gpr(dst_bytes(#name), a), mem(M));
#define X64_BMI_RRR(name, prefix, map, opcode, w, feature)                                                   \
    EACH_RR CASE(x64_##name##_rrr(as, G(a), G(b), G(c)), #name, gpr(dst_bytes(#name), a),                    \
                 gpr(dst_bytes(#name), b), gpr(dst_bytes(#name), c));                                        \
    EACH_RM CASE(x64_##name##_rrm(as, G(a), G(b), M), #name, gpr(dst_bytes(#name), a),                       \
                 gpr(dst_bytes(#name), b), mem(M));
#define X64_BMI_SHIFT(name, prefix, map, opcode, w, feature)                                                 \
    EACH_RR CASE(x64_##name##_rrr(as, G(a), G(b), G(c)), #name, gpr(dst_bytes(#name), a),                    \
                 gpr(dst_bytes(#name), b), gpr(dst_bytes(#name), c));                                        \
    EACH_RM CASE(x64_##name##_rmr(as, G(a), M, G(b)), #name, gpr(dst_bytes(#name), a), mem(M),               \
                 gpr(dst_bytes(#name), b));
#define X64_BMI_RRI(name, prefix, map, opcode, w, feature)                                                   \
    EACH_RR CASE(x64_##name##_rri(as, G(a), G(b), (uint8_t)(a + 1)), #name, gpr(dst_bytes(#name), a),        \
                 gpr(dst_bytes(#name), b), imm(8, a + 1));                                                   \
    EACH_RM CASE(x64_##name##_rmi(as, G(a), M, (uint8_t)(a + 1)), #name, gpr(dst_bytes(#name), a), mem(M),   \
                 imm(8, a + 1));
#define X64_BMI_UNARY(name, opcode, ext, w, feature)                                                         \
    EACH_RR CASE(x64_##name##_rr(as, G(a), G(b)), #name, gpr(dst_bytes(#name), a),                           \
                 gpr(dst_bytes(#name), b));                                                                  \
    EACH_RM CASE(x64_##name##_rm(as, G(a), M), #name, gpr(dst_bytes(#name), a), mem(M));
#define X64_SSE_BIN(name, prefix, map, opcode, feature)                                                      \
    EACH_RR CASE(x64_##name##_xx(as, X(a), X(b)), #name, xmm(a), xmm(b));                                    \
    EACH_RM CASE(x64_##name##_xm(as, X(a), M), #name, xmm(a), mem(M));                                       \
    EACH_RR CASE(x64_v##name##_xxx(as, X(a), X(b), X(c)), "v" #name, xmm(a), xmm(b), xmm(c));                \
    EACH_RM CASE(x64_v##name##_xxm(as, X(a), X(b), M), "v" #name, xmm(a), xmm(b), mem(M));
#define X64_SSE_BIN_I(name, prefix, map, opcode, feature)                                                    \
    EACH_RR CASE(x64_##name##_xxi(as, X(a), X(b), (uint8_t)(a & 7)), #name, xmm(a), xmm(b), imm(8, a & 7));  \
    EACH_RM CASE(x64_##name##_xmi(as, X(a), M, (uint8_t)(a & 7)), #name, xmm(a), mem(M), imm(8, a & 7));     \
    EACH_RR CASE(x64_v##name##_xxxi(as, X(a), X(b), X(c), (uint8_t)(a & 7)), "v" #name, xmm(a), xmm(b),      \
                 xmm(c), imm(8, a & 7));                                                                     \
    EACH_RM CASE(x64_v##name##_xxmi(as, X(a), X(b), M, (uint8_t)(a & 7)), "v" #name, xmm(a), xmm(b), mem(M), \
                 imm(8, a & 7));
#define X64_SSE_UN_I(name, prefix, map, opcode, feature)                                                     \
    EACH_RR CASE(x64_##name##_xxi(as, X(a), X(b), (uint8_t)(a & 7)), #name, xmm(a), xmm(b), imm(8, a & 7));  \
    EACH_RM CASE(x64_##name##_xmi(as, X(a), M, (uint8_t)(a & 7)), #name, xmm(a), mem(M), imm(8, a & 7));     \
    EACH_RR CASE(x64_v##name##_xxi(as, X(a), X(b), (uint8_t)(a & 7)), "v" #name, xmm(a), xmm(b),             \
                 imm(8, a & 7));                                                                             \
    EACH_RM CASE(x64_v##name##_xmi(as, X(a), M, (uint8_t)(a & 7)), "v" #name, xmm(a), mem(M), imm(8, a & 7));
#define X64_SSE_UN(name, prefix, map, opcode, feature)                                                       \
    EACH_RR CASE(x64_##name##_xx(as, X(a), X(b)), #name, xmm(a), xmm(b));                                    \
    EACH_RM CASE(x64_##name##_xm(as, X(a), M), #name, xmm(a), mem(M));                                       \
    EACH_RR CASE(x64_v##name##_xx(as, X(a), X(b)), "v" #name, xmm(a), xmm(b));                               \
    EACH_RM CASE(x64_v##name##_xm(as, X(a), M), "v" #name, xmm(a), mem(M));
#define X64_SSE_BIN_RR(name, prefix, map, opcode, feature)                                                   \
    EACH_RR CASE(x64_##name##_xx(as, X(a), X(b)), #name, xmm(a), xmm(b));                                    \
    EACH_RR CASE(x64_v##name##_xxx(as, X(a), X(b), X(c)), "v" #name, xmm(a), xmm(b), xmm(c));
#define X64_SSE_BIN_RM(name, prefix, map, opcode, feature)                                                   \
    EACH_RM CASE(x64_##name##_xm(as, X(a), M), #name, xmm(a), mem(M));                                       \
    EACH_RM CASE(x64_v##name##_xxm(as, X(a), X(b), M), "v" #name, xmm(a), xmm(b), mem(M));
#define X64_SSE_UN_RR(name, prefix, map, opcode, feature)                                                    \
    EACH_RR CASE(x64_##name##_xx(as, X(a), X(b)), #name, xmm(a), xmm(b));                                    \
    EACH_RR CASE(x64_v##name##_xx(as, X(a), X(b)), "v" #name, xmm(a), xmm(b));
#define X64_SSE_LOAD(name, prefix, map, opcode, feature)                                                     \
    EACH_RM CASE(x64_##name##_xm(as, X(a), M), #name, xmm(a), mem(M));                                       \
    EACH_RM CASE(x64_v##name##_xm(as, X(a), M), "v" #name, xmm(a), mem(M));
#define X64_SSE_STORE(name, prefix, map, opcode, feature)                                                    \
    EACH_RM CASE(x64_##name##_mx(as, M, X(a)), #name, mem(M), xmm(a));                                       \
    EACH_RM CASE(x64_v##name##_mx(as, M, X(a)), "v" #name, mem(M), xmm(a));
#define X64_SSE_SHIFT_I(name, opcode, ext)                                                                   \
    EACH_RR CASE(x64_##name##_xi(as, X(a), (uint8_t)(b + 1)), #name, xmm(a), imm(8, b + 1));                 \
    EACH_RR CASE(x64_v##name##_xxi(as, X(a), X(b), (uint8_t)(c + 1)), "v" #name, xmm(a), xmm(b),             \
                 imm(8, c + 1));
#define X64_SSE_BLENDV(name, opcode, vex_opcode, feature)                                                    \
    EACH_RR CASE(x64_##name##_xx(as, X(a), X(b)), #name, xmm(a), xmm(b), "%xmm0");                           \
    EACH_RM CASE(x64_##name##_xm(as, X(a), M), #name, xmm(a), mem(M), "%xmm0");                              \
    EACH_RR CASE(x64_v##name##_xxxx(as, X(a), X(b), X(c), X(b ^ 9)), "v" #name, xmm(a), xmm(b), xmm(c),      \
                 xmm(b ^ 9));                                                                                \
    EACH_RM CASE(x64_v##name##_xxmx(as, X(a), X(b), M, X(a ^ 9)), "v" #name, xmm(a), xmm(b), mem(M),         \
                 xmm(a ^ 9));
#define X64_SSE_FROM_GPR(name, prefix, map, opcode, w, feature)                                              \
    EACH_RR CASE(x64_##name##_xr(as, X(a), G(b)), #name, xmm(a), gpr((w) ? 8 : 4, b));                       \
    EACH_RR CASE(x64_v##name##_xr(as, X(a), G(b)), "v" #name, xmm(a), gpr((w) ? 8 : 4, b));
#define X64_SSE_CVT_FROM_GPR(name, prefix, map, opcode, w, feature)                                          \
    EACH_RR CASE(x64_##name##_xr(as, X(a), G(b)), #name, xmm(a), gpr((w) ? 8 : 4, b));                       \
    EACH_RM CASE(x64_##name##_xm(as, X(a), M), #name, xmm(a), mem(M));                                       \
    EACH_RR CASE(x64_v##name##_xxr(as, X(a), X(b), G(c)), "v" #name, xmm(a), xmm(b), gpr((w) ? 8 : 4, c));   \
    EACH_RM CASE(x64_v##name##_xxm(as, X(a), X(b), M), "v" #name, xmm(a), xmm(b), mem(M));
#define X64_SSE_TO_GPR(name, prefix, map, opcode, w, feature)                                                \
    EACH_RR CASE(x64_##name##_rx(as, G(a), X(b)), #name, gpr((w) ? 8 : 4, a), xmm(b));                       \
    EACH_RR CASE(x64_v##name##_rx(as, G(a), X(b)), "v" #name, gpr((w) ? 8 : 4, a), xmm(b));
#define X64_SSE_FROM_XMM(name, prefix, map, opcode, w, feature)                                              \
    EACH_RR CASE(x64_##name##_rx(as, G(a), X(b)), #name, gpr((w) ? 8 : 4, a), xmm(b));                       \
    EACH_RR CASE(x64_v##name##_rx(as, G(a), X(b)), "v" #name, gpr((w) ? 8 : 4, a), xmm(b));
#define X64_SSE_CVT_TO_GPR(name, prefix, map, opcode, w, feature)                                            \
    EACH_RR CASE(x64_##name##_rx(as, G(a), X(b)), #name, gpr((w) ? 8 : 4, a), xmm(b));                       \
    EACH_RR CASE(x64_v##name##_rx(as, G(a), X(b)), "v" #name, gpr((w) ? 8 : 4, a), xmm(b));                  \
    EACH_RM CASE(x64_##name##_rm(as, G(a), M), #name, gpr((w) ? 8 : 4, a), mem(M));                          \
    EACH_RM CASE(x64_v##name##_rm(as, G(a), M), "v" #name, gpr((w) ? 8 : 4, a), mem(M));
#define X64_SSE_EXTRACT(name, prefix, map, opcode, w, feature)                                               \
    EACH_RR CASE(x64_##name##_rxi(as, G(a), X(b), (uint8_t)(c & 7)), #name, gpr((w) ? 8 : 4, a), xmm(b),     \
                 imm(8, c & 7));                                                                             \
    EACH_RR CASE(x64_v##name##_rxi(as, G(a), X(b), (uint8_t)(c & 7)), "v" #name, gpr((w) ? 8 : 4, a),        \
                 xmm(b), imm(8, c & 7));                                                                     \
    EACH_RM CASE(x64_##name##_mxi(as, M, X(a), (uint8_t)(a & 7)), #name, mem(M), xmm(a), imm(8, a & 7));     \
    EACH_RM CASE(x64_v##name##_mxi(as, M, X(a), (uint8_t)(a & 7)), "v" #name, mem(M), xmm(a), imm(8, a & 7));
#define X64_SSE_INSERT(name, prefix, map, opcode, w, feature)                                                \
    EACH_RR CASE(x64_##name##_xri(as, X(a), G(b), (uint8_t)(c & 7)), #name, xmm(a), gpr((w) ? 8 : 4, b),     \
                 imm(8, c & 7));                                                                             \
    EACH_RM CASE(x64_##name##_xmi(as, X(a), M, (uint8_t)(a & 7)), #name, xmm(a), mem(M), imm(8, a & 7));     \
    EACH_RR CASE(x64_v##name##_xxri(as, X(a), X(b), G(c), (uint8_t)(c & 7)), "v" #name, xmm(a), xmm(b),      \
                 gpr((w) ? 8 : 4, c), imm(8, c & 7));                                                        \
    EACH_RM CASE(x64_v##name##_xxmi(as, X(a), X(b), M, (uint8_t)(a & 7)), "v" #name, xmm(a), xmm(b), mem(M), \
                 imm(8, a & 7));
#define X64_AVX_BIN(name, prefix, map, opcode, w, feature)                                                   \
    EACH_RR CASE(x64_v##name##_xxx(as, X(a), X(b), X(c)), "v" #name, xmm(a), xmm(b), xmm(c));                \
    EACH_RM CASE(x64_v##name##_xxm(as, X(a), X(b), M), "v" #name, xmm(a), xmm(b), mem(M));
#define X64_AVX_BIN_I(name, prefix, map, opcode, w, feature)                                                 \
    EACH_RR CASE(x64_v##name##_xxxi(as, X(a), X(b), X(c), (uint8_t)(a & 7)), "v" #name, xmm(a), xmm(b),      \
                 xmm(c), imm(8, a & 7));                                                                     \
    EACH_RM CASE(x64_v##name##_xxmi(as, X(a), X(b), M, (uint8_t)(a & 7)), "v" #name, xmm(a), xmm(b), mem(M), \
                 imm(8, a & 7));
#define X64_AVX_UN(name, prefix, map, opcode, w, feature)                                                    \
    EACH_RR CASE(x64_v##name##_xx(as, X(a), X(b)), "v" #name, xmm(a), xmm(b));                               \
    EACH_RM CASE(x64_v##name##_xm(as, X(a), M), "v" #name, xmm(a), mem(M));
#define X64_AVX_UN_I(name, prefix, map, opcode, w, feature)                                                  \
    EACH_RR CASE(x64_v##name##_xxi(as, X(a), X(b), (uint8_t)(a & 7)), "v" #name, xmm(a), xmm(b),             \
                 imm(8, a & 7));                                                                             \
    EACH_RM CASE(x64_v##name##_xmi(as, X(a), M, (uint8_t)(a & 7)), "v" #name, xmm(a), mem(M), imm(8, a & 7));
#define X64_AVX_LOAD(name, prefix, map, opcode, w, feature)                                                  \
    EACH_RM CASE(x64_v##name##_xm(as, X(a), M), "v" #name, xmm(a), mem(M));

static void emit_rows(void) {
#include "wasmrt/x64_forms.def"
}

/* ---- written out --------------------------------------------------------------------------------------- */

static void emit_moves(void) {
    EACH_RR CASE(x64_movb_rr(as, G(a), G(b)), "movb", gpr(1, a), gpr(1, b));
    EACH_RM CASE(x64_movb_rm(as, G(a), M), "movb", gpr(1, a), mem(M));
    EACH_RM CASE(x64_movb_mr(as, M, G(a)), "movb", mem(M), gpr(1, a));
    EACH_IMM(8) EACH_RM CASE(x64_movb_mi(as, M, imms[k]), "movb", mem(M), imm(8, imms[k]));
    EACH_RM CASE(x64_xchgb_mr(as, M, G(a)), "xchgb", mem(M), gpr(1, a));
    EACH_RR CASE(x64_testb_rr(as, G(a), G(b)), "testb", gpr(1, a), gpr(1, b));
    EACH_IMM(8) EACH_R CASE(x64_testb_ri(as, G(a), imms[k]), "testb", gpr(1, a), imm(8, imms[k]));
    EACH_RM CASE(x64_testb_mr(as, M, G(a)), "testb", mem(M), gpr(1, a));
    EACH_IMM(8) EACH_RM CASE(x64_testb_mi(as, M, imms[k]), "testb", mem(M), imm(8, imms[k]));
    EACH_RM CASE(x64_movw_rm(as, G(a), M), "movw", gpr(2, a), mem(M));
    EACH_RM CASE(x64_movw_mr(as, M, G(a)), "movw", mem(M), gpr(2, a));
    EACH_IMM(16) EACH_RM CASE(x64_movw_mi(as, M, imms[k]), "movw", mem(M), imm(16, imms[k]));
    EACH_RM CASE(x64_xchgw_mr(as, M, G(a)), "xchgw", mem(M), gpr(2, a));
    EACH_RR CASE(x64_movl_rr(as, G(a), G(b)), "movl", gpr(4, a), gpr(4, b));
    EACH_RM CASE(x64_movl_rm(as, G(a), M), "movl", gpr(4, a), mem(M));
    EACH_RM CASE(x64_movl_mr(as, M, G(a)), "movl", mem(M), gpr(4, a));
    EACH_IMM(32) EACH_RM CASE(x64_movl_mi(as, M, imms[k]), "movl", mem(M), imm(32, imms[k]));
    EACH_RM CASE(x64_xchgl_mr(as, M, G(a)), "xchgl", mem(M), gpr(4, a));
    EACH_RR CASE(x64_testl_rr(as, G(a), G(b)), "testl", gpr(4, a), gpr(4, b));
    EACH_IMM(32) EACH_R CASE(x64_testl_ri(as, G(a), imms[k]), "testl", gpr(4, a), imm(32, imms[k]));
    EACH_RM CASE(x64_testl_mr(as, M, G(a)), "testl", mem(M), gpr(4, a));
    EACH_IMM(32) EACH_RM CASE(x64_testl_mi(as, M, imms[k]), "testl", mem(M), imm(32, imms[k]));
    EACH_RR CASE(x64_xchgl_rr(as, G(a), G(b)), "xchgl", gpr(4, a), gpr(4, b));
    EACH_IMM(32) EACH_R CASE(x64_movl_ri(as, G(a), imms[k]), "movl", gpr(4, a), imm(32, imms[k]));
    EACH_RM CASE(x64_leal_rm(as, G(a), M), "leal", gpr(4, a), mem(M));
    EACH_RR CASE(x64_btl_rr(as, G(a), G(b)), "btl", gpr(4, a), gpr(4, b));
    EACH_R CASE(x64_btl_ri(as, G(a), (uint8_t)(a + 1)), "btl", gpr(4, a), imm(8, a + 1));
    EACH_R CASE(x64_bswapl_r(as, G(a)), "bswapl", gpr(4, a));
    EACH_IMM(32)
    EACH_RR CASE(x64_imull_rri(as, G(a), G(b), imms[k]), "imull", gpr(4, a), gpr(4, b), imm(32, imms[k]));
    EACH_IMM(32)
    EACH_RM CASE(x64_imull_rmi(as, G(a), M, imms[k]), "imull", gpr(4, a), mem(M), imm(32, imms[k]));
    EACH_RR CASE(x64_movq_rr(as, G(a), G(b)), "movq", gpr(8, a), gpr(8, b));
    EACH_RM CASE(x64_movq_rm(as, G(a), M), "movq", gpr(8, a), mem(M));
    EACH_RM CASE(x64_movq_mr(as, M, G(a)), "movq", mem(M), gpr(8, a));
    EACH_IMM(64) EACH_RM CASE(x64_movq_mi(as, M, imms[k]), "movq", mem(M), imm(64, imms[k]));
    EACH_RM CASE(x64_xchgq_mr(as, M, G(a)), "xchgq", mem(M), gpr(8, a));
    EACH_RR CASE(x64_testq_rr(as, G(a), G(b)), "testq", gpr(8, a), gpr(8, b));
    EACH_IMM(64) EACH_R CASE(x64_testq_ri(as, G(a), imms[k]), "testq", gpr(8, a), imm(64, imms[k]));
    EACH_RM CASE(x64_testq_mr(as, M, G(a)), "testq", mem(M), gpr(8, a));
    EACH_IMM(64) EACH_RM CASE(x64_testq_mi(as, M, imms[k]), "testq", mem(M), imm(64, imms[k]));
    EACH_RR CASE(x64_xchgq_rr(as, G(a), G(b)), "xchgq", gpr(8, a), gpr(8, b));
    EACH_IMM(64) EACH_R CASE(x64_movq_ri(as, G(a), imms[k]), "movq", gpr(8, a), imm(64, imms[k]));
    EACH_RM CASE(x64_leaq_rm(as, G(a), M), "leaq", gpr(8, a), mem(M));
    EACH_RR CASE(x64_btq_rr(as, G(a), G(b)), "btq", gpr(8, a), gpr(8, b));
    EACH_R CASE(x64_btq_ri(as, G(a), (uint8_t)(a + 1)), "btq", gpr(8, a), imm(8, a + 1));
    EACH_R CASE(x64_bswapq_r(as, G(a)), "bswapq", gpr(8, a));
    EACH_IMM(64)
    EACH_RR CASE(x64_imulq_rri(as, G(a), G(b), imms[k]), "imulq", gpr(8, a), gpr(8, b), imm(64, imms[k]));
    EACH_IMM(64)
    EACH_RM CASE(x64_imulq_rmi(as, G(a), M, imms[k]), "imulq", gpr(8, a), mem(M), imm(64, imms[k]));
    EACH_R CASE(x64_zero_r(as, G(a)), "xorl", gpr(4, a), gpr(4, a));
    static const uint64_t wide[] = {0,
                                    1,
                                    0x7FFFFFFF,
                                    0x80000000,
                                    0xFFFFFFFF,
                                    0x100000000,
                                    0xFFFFFFFF80000000,
                                    0xFFFFFFFF7FFFFFFF,
                                    0x123456789ABCDEF0,
                                    UINT64_MAX};
    for (unsigned k = 0; k < sizeof wide / sizeof *wide; k++) {
        EACH_R {
            bool low = wide[k] <= UINT32_MAX, sign = (uint64_t)(int64_t)(int32_t)wide[k] == wide[k];
            CASE(x64_movq_ri64(as, G(a), wide[k]),
                 low    ? "movl"
                 : sign ? "movq"
                        : "movabsq",
                 gpr(low ? 4 : 8, a), imm(low ? 32 : 64, (int64_t)wide[k]));
        }
    }
    EACH_R CASE(x64_pushq_r(as, G(a)), "pushq", gpr(8, a));
    EACH_R CASE(x64_popq_r(as, G(a)), "popq", gpr(8, a));
    EACH_RM CASE(x64_pushq_m(as, M), "pushq", mem(M));
    EACH_RM CASE(x64_popq_m(as, M), "popq", mem(M));
    EACH_IMM(64) CASE(x64_pushq_i(as, imms[k]), "pushq", imm(64, imms[k]));
}

/* every base, index, scale and kind of displacement */
static void emit_addresses(void) {
    static const int32_t disps[] = {0, -1, 127, -128, 128, -129, INT32_MAX, INT32_MIN};
    for (unsigned k = 0; k < sizeof disps / sizeof *disps; k++) {
        for (unsigned base = 0; base < 16; base++) {
            X64Mem plain = x64_mem_b(G(base), disps[k]), wide = x64_mem_b_wide(G(base), disps[k]);
            CASE(x64_movl_rm(as, G(base ^ 5), plain), "movl", gpr(4, base ^ 5), mem(plain));
            CASE(x64_movl_rm(as, G(base ^ 5), wide), "movl", gpr(4, base ^ 5), mem(wide));
            for (unsigned index = 0; index < 16; index++) {
                for (unsigned scale = 1; scale <= 8 && index != RSP; scale *= 2) {
                    X64Mem both = x64_mem_bi(G(base), G(index), scale, disps[k]);
                    X64Mem index_only = x64_mem_i(G(index), scale, disps[k]);
                    CASE(x64_movq_rm(as, G(base ^ index), both), "movq", gpr(8, base ^ index), mem(both));
                    if (base == 0) {
                        CASE(x64_leaq_rm(as, G(index), index_only), "leaq", gpr(8, index), mem(index_only));
                    }
                    if (scale == 4) {
                        CASE(x64_vpaddd_xxm(as, X(index), X(base), both), "vpaddd", xmm(index), xmm(base),
                             mem(both));
                    }
                }
            }
        }
    }
}

static void emit_conditions(void) {
    static const char *const names[16] = {"o", "no", "b", "ae", "e", "ne", "be", "a",
                                          "s", "ns", "p", "np", "l", "ge", "le", "g"};
    X64Label near = x64_label_here(as);
    for (unsigned cc = 0; cc < 16; cc++) {
        X64Cond cond = (X64Cond)cc;
        char set[8], movl[12], movq[12], jump[8];
        sprintf(set, "set%s", names[cc]);
        sprintf(movl, "cmov%sl", names[cc]);
        sprintf(movq, "cmov%sq", names[cc]);
        sprintf(jump, "j%s", names[cc]);
        EACH_R CASE(x64_setcc_r(as, cond, G(a)), set, gpr(1, a));
        EACH_RM CASE(x64_setcc_m(as, cond, M), set, mem(M));
        EACH_RR CASE(x64_cmovccl_rr(as, cond, G(a), G(b)), movl, gpr(4, a), gpr(4, b));
        EACH_RR CASE(x64_cmovccq_rr(as, cond, G(a), G(b)), movq, gpr(8, a), gpr(8, b));
        EACH_RM CASE(x64_cmovccl_rm(as, cond, G(a), M), movl, gpr(4, a), mem(M));
        EACH_RM CASE(x64_cmovccq_rm(as, cond, G(a), M), movq, gpr(8, a), mem(M));
        CASE(x64_jcc(as, cond, label_back), jump, label(label_back));
        CASE(x64_jcc(as, cond, label_forward), jump, label(label_forward));
        CASE(x64_jcc(as, cond, label_middle), jump, label(label_middle));
        near = x64_label_here(as);
        X64Label soon = x64_label_new(as);
        CASE(x64_jcc_short(as, cond, soon), jump, label(soon));
        x64_jmp_short(as, near);
        x64_label_bind(as, soon);
        CASE(x64_jcc(as, cond, near), jump, label(near));
        CASE(x64_jcc_short(as, cond, near), jump, label(near));
    }
    /* around the reach of the short form */
    for (uint32_t distance = 120; distance < 136; distance++) {
        near = x64_label_here(as);
        x64_nop(as, distance);
        CASE(x64_jmp(as, near), "jmp", label(near));
        near = x64_label_here(as);
        x64_nop(as, distance);
        CASE(x64_jcc(as, X64_CC_A, near), "ja", label(near));
    }
    X64Label soon = x64_label_new(as);
    CASE(x64_jmp_short(as, soon), "jmp", label(soon));
    x64_nop(as, 127);
    x64_label_bind(as, soon);
    CASE(x64_jmp(as, label_back), "jmp", label(label_back));
    CASE(x64_jmp(as, label_forward), "jmp", label(label_forward));
    CASE(x64_call_label(as, label_back), "callq", label(label_back));
    CASE(x64_call_label(as, label_forward), "callq", label(label_forward));
    EACH_R CASE(x64_jmp_r(as, G(a)), "jmpq_indirect", gpr(8, a));
    EACH_R CASE(x64_call_r(as, G(a)), "callq_indirect", gpr(8, a));
    EACH_RM CASE(x64_jmp_m(as, M), "jmpq_indirect", mem(M));
    EACH_RM CASE(x64_call_m(as, M), "callq_indirect", mem(M));
}

static void emit_plain(void) {
    CASE0(x64_ret(as), "retq");
    CASE(x64_ret_i(as, 16), "retq", imm(16, 16));
    CASE(x64_ret_i(as, 65520), "retq", imm(16, 65520));
    CASE0(x64_ud2(as), "ud2");
    CASE0(x64_int3(as), "int3");
    CASE0(x64_cdq(as), "cltd");
    CASE0(x64_cqo(as), "cqto");
    CASE0(x64_cltq(as), "cltq");
    CASE0(x64_leave(as), "leave");
    CASE0(x64_pause(as), "pause");
    CASE0(x64_mfence(as), "mfence");
    CASE0(x64_rep_movsb(as), "rep_movsb");
    CASE0(x64_rep_movsq(as), "rep_movsq");
    CASE0(x64_rep_stosb(as), "rep_stosb");
    CASE0(x64_rep_stosq(as), "rep_stosq");
    for (uint32_t bytes = 1; bytes <= 9; bytes++) { CASE0(x64_nop(as, bytes), "nop"); }
    CASE(x64_movsd_xm(as, XMM8, x64_const_pool_8(as, 0x3FF0000000000000)), "movsd", xmm(8),
         label((X64Label){as->label_count - 1}));
    CASE(x64_pshufb_xm(as, XMM9, x64_const_pool_16(as, 1, 2)), "pshufb", xmm(9),
         label((X64Label){as->label_count - 1}));
}

int main(void) {
    wr_x64_asm_init(as, X64_CPU_ALL);
    wr_x64_function_begin(as);
    label_back = x64_label_here(as);
    label_forward = x64_label_new(as);
    label_middle = x64_label_new(as);
    make_modes();
    emit_rows();
    x64_label_bind(as, label_middle);
    emit_moves();
    emit_addresses();
    emit_conditions();
    emit_plain();
    x64_label_bind(as, label_forward);
    if (wr_x64_function_end(as) != X64_OK) { return 1; }
    for (uint32_t id = 0; id < as->label_count; id++) {
        printf("label %u %u\n", id, x64_label_offset(as, (X64Label){id}));
    }
    printf("code ");
    for (const uint8_t *p = as->code.start; p < as->code.cursor; p++) { printf("%02x", *p); }
    putchar('\n');
    wr_x64_asm_free(as);
    return 0;
}
