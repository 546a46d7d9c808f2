/* The assembler when memory runs out at any allocation: tests/unit/test_x64_encoder.py builds this with
 * asm.c and buffer.c, whose realloc and calloc are renamed to the ones here, and with ASan. Prints how
 * many places failed and recovered. */
#include "x64/asm.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned until_failure;

/* stdlib.h was read under the other names */
#undef realloc
#undef calloc
void *realloc(void *memory, size_t bytes);
void *calloc(size_t count, size_t bytes);

void *failing_realloc(void *memory, size_t bytes) {
    return until_failure && --until_failure ? realloc(memory, bytes) : NULL;
}

void *failing_calloc(size_t count, size_t bytes) {
    return until_failure && --until_failure ? calloc(count, bytes) : NULL;
}

static X64Status emit_much(Asm *as) {
    wr_x64_function_begin(as);
    X64Label out = x64_label_new(as), top = x64_label_here(as);
    for (unsigned i = 0; i < 3000; i++) {
        X64Label next = x64_label_new(as);
        x64_jcc(as, X64_CC_E, next);
        x64_jcc(as, X64_CC_NE, out);
        x64_jcc_short(as, X64_CC_A, next);
        x64_movsd_xm(as, XMM1, x64_const_pool_8(as, i / 2));
        x64_movups_xm(as, XMM1, x64_const_pool_16(as, i, 1));
        x64_label_bind(as, next);
        x64_call_reloc(as, CODE_RELOC_CALL_FUNC, i, 0);
        x64_jmp(as, top);
        x64_patch32(as, x64_offset(as) - 4, 0);
    }
    x64_label_bind(as, out);
    return wr_x64_function_end(as);
}

int main(void) {
    unsigned failed = 0;
    for (unsigned allowed = 0; allowed < 1000; allowed++) {
        Asm as;
        wr_x64_asm_init(&as, X64_CPU_ALL);
        until_failure = allowed + 1;
        X64Status status = emit_much(&as);
        if (status == X64_OK) {
            printf("%u\n", failed);
            wr_x64_asm_free(&as);
            return 0;
        }
        if (status != X64_OUT_OF_MEMORY) { return 1; }
        failed++;
        /* usable again once there is memory */
        until_failure = UINT32_MAX;
        wr_x64_asm_clear(&as);
        if (emit_much(&as) != X64_OK) { return 2; }
        wr_x64_asm_free(&as);
    }
    return 3;
}
