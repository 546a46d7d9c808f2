/* Labels, constants, relocations and limits of the assembler; what the instructions look like is checked
 * by test_x64_encoder.py. */
#include "check.h"
#include "x64/asm.h"

static int32_t field32(const Asm *as, uint32_t offset) {
    return (int32_t)x64_load32(as->code.start + offset);
}

static void begin(Asm *as) {
    wr_x64_asm_init(as, X64_CPU_ALL);
    wr_x64_function_begin(as);
}

static void labels_forward_and_back(void) {
    Asm as;
    begin(&as);
    X64Label top = x64_label_here(&as), out = x64_label_new(&as);
    CHECK(x64_label_is_bound(&as, top));
    CHECK(!x64_label_is_bound(&as, out) && !x64_label_is_awaited(&as, out));
    for (int i = 0; i < 1000; i++) { x64_jcc(&as, X64_CC_E, out); }
    CHECK(x64_label_is_awaited(&as, out));
    x64_jmp(&as, top); /* too far for the short form */
    uint32_t after = x64_offset(&as);
    CHECK_EQ(after, 1000 * 6 + 5);
    CHECK_EQ(field32(&as, after - 4), -(int32_t)after);
    x64_label_bind(&as, out);
    x64_jmp(&as, out); /* to itself: short */
    CHECK_EQ(x64_offset(&as), after + 2);
    CHECK_EQ(as.code.start[after + 1], 0xFE);
    CHECK_EQ(wr_x64_function_end(&as), X64_OK);
    for (uint32_t i = 0; i < 1000; i++) { CHECK_EQ(field32(&as, i * 6 + 2), (int32_t)(after - (i * 6 + 6))); }
    wr_x64_asm_free(&as);
}

static void rip_relative_counts_from_behind_the_immediate(void) {
    Asm as;
    begin(&as);
    X64Label place = x64_label_new(&as);
    x64_movl_mi(&as, x64_mem_label(place), 7);
    uint32_t end = x64_offset(&as);
    x64_label_bind(&as, place);
    CHECK_EQ(field32(&as, 2), 0);
    x64_cmpb_mi(&as, x64_mem_label(place), 7);
    CHECK_EQ(field32(&as, end + 2), (int32_t)(end - x64_offset(&as)));
    CHECK_EQ(wr_x64_function_end(&as), X64_OK);
    wr_x64_asm_free(&as);
}

static void constants_are_shared_and_aligned(void) {
    Asm as;
    begin(&as);
    for (int round = 0; round < 2; round++) {
        x64_movss_xm(&as, XMM0, x64_const_pool_4(&as, 0x3F800000));
        x64_movsd_xm(&as, XMM0, x64_const_pool_8(&as, 0x3F800000));
        x64_movaps_xm(&as, XMM0, x64_const_pool_16(&as, 1, 2));
        x64_movaps_xm(&as, XMM0, x64_const_pool_16(&as, 1, 3));
    }
    CHECK_EQ(as.const_count, 4);
    for (uint32_t i = 0; i < 500; i++) { /* through growth of the hash table */
        x64_const_pool_8(&as, i * UINT64_C(0x100000001));
        x64_const_pool_8(&as, i * UINT64_C(0x100000001));
    }
    CHECK_EQ(as.const_count, 504);
    x64_ret(&as);
    CHECK_EQ(wr_x64_function_end(&as), X64_OK);
    for (uint32_t i = 0; i < as.const_count; i++) {
        const X64Constant *constant = &as.constants[i];
        uint32_t offset = x64_label_offset(&as, constant->label);
        CHECK_EQ(offset % constant->bytes, 0);
        CHECK(memcmp(as.code.start + offset, &constant->low, constant->bytes < 8 ? 4 : 8) == 0);
        CHECK(constant->bytes < 16 || memcmp(as.code.start + offset + 8, &constant->high, 8) == 0);
    }
    /* another function has its own */
    wr_x64_function_begin(&as);
    CHECK_EQ(as.function_offset % X64_FUNCTION_ALIGN, 0);
    CHECK_EQ(as.const_count, 0);
    uint32_t load = x64_offset(&as);
    x64_movsd_xm(&as, XMM0, x64_const_pool_8(&as, 3));
    CHECK_EQ(wr_x64_function_end(&as), X64_OK);
    CHECK_EQ(as.const_count, 1);
    CHECK_EQ(field32(&as, load + 4), (int32_t)(x64_label_offset(&as, as.constants[0].label) - (load + 8)));
    wr_x64_asm_free(&as);
}

static void relocations_are_recorded(void) {
    Asm as;
    begin(&as);
    x64_call_reloc(&as, CODE_RELOC_CALL_FUNC, 7, 0);
    x64_leaq_reloc(&as, R9, CODE_RELOC_LEA_RODATA, 64, 2);
    x64_jcc_reloc(&as, X64_CC_B, CODE_RELOC_CALL_STUB, 1, 0);
    CHECK_EQ(wr_x64_function_end(&as), X64_OK);
    const CodeReloc wanted[] = {{1, CODE_RELOC_CALL_FUNC, 7, -4},
                                {8, CODE_RELOC_LEA_RODATA, 64, -2},
                                {14, CODE_RELOC_CALL_STUB, 1, -4}};
    CHECK_EQ(as.reloc_count, 3);
    CHECK(memcmp(as.relocs, wanted, sizeof wanted) == 0);
    wr_x64_asm_clear(&as);
    CHECK_EQ(as.reloc_count, 0);
    CHECK_EQ(x64_offset(&as), 0);
    wr_x64_asm_free(&as);
}

static void jump_tables_and_patches(void) {
    Asm as;
    begin(&as);
    X64Label table = x64_label_new(&as), one = x64_label_new(&as), two = x64_label_new(&as);
    x64_subq_ri32(&as, RSP, 0);
    uint32_t frame = x64_offset(&as) - 4;
    x64_label_bind(&as, one);
    x64_leaq_rm(&as, RAX, x64_mem_label(table));
    x64_align(&as, 4);
    x64_label_bind(&as, table);
    x64_data_label_diff32(&as, one, table);
    x64_data_label_diff32(&as, two, table);
    x64_label_bind(&as, two);
    x64_patch32(&as, frame, 48);
    CHECK_EQ(wr_x64_function_end(&as), X64_OK);
    uint32_t at = x64_label_offset(&as, table);
    CHECK_EQ(at % 4, 0);
    CHECK_EQ(field32(&as, at), (int32_t)(x64_label_offset(&as, one) - at));
    CHECK_EQ(field32(&as, at + 4), 8);
    CHECK_EQ(field32(&as, frame), 48);
    wr_x64_asm_free(&as);
}

/* Past the limit of the buffer everything goes nowhere, quietly, until the function ends; then the Asm can
 * be used again. */
static void too_much_code(void) {
    Asm as;
    wr_x64_asm_init(&as, X64_CPU_ALL);
    as.code.max_bytes = 1000;
    wr_x64_function_begin(&as);
    X64Label top = x64_label_here(&as), out = x64_label_new(&as);
    for (int i = 0; i < 10000; i++) {
        x64_jmp(&as, out);
        x64_jcc(&as, X64_CC_A, top);
        x64_movq_rm(&as, RAX, x64_const_pool_8(&as, (uint64_t)i));
        x64_call_reloc(&as, CODE_RELOC_CALL_FUNC, 1, 0);
        x64_nop(&as, 40);
        CHECK(as.code.cursor >= as.code.start && as.code.cursor <= as.code.limit + CODE_BUFFER_ROOM);
        CHECK(x64_offset(&as) <= 1000);
    }
    x64_label_bind(&as, out);
    x64_patch32(&as, 5000, 1);
    CHECK(x64_failed(&as));
    CHECK_EQ(wr_x64_function_end(&as), X64_TOO_LARGE);
    wr_x64_function_begin(&as);
    x64_ret(&as);
    CHECK_EQ(wr_x64_function_end(&as), X64_TOO_LARGE); /* sticks */
    wr_x64_asm_clear(&as);
    wr_x64_function_begin(&as);
    for (int i = 0; i < 900; i++) { x64_ret(&as); }
    CHECK_EQ(wr_x64_function_end(&as), X64_OK);
    CHECK_EQ(x64_offset(&as), 900);
    CHECK_EQ(as.code.start[899], 0xC3);
    wr_x64_asm_free(&as);
}

static void buffer_append(void) {
    CodeBuffer buffer;
    wr_base_code_buffer_init(&buffer, 100000);
    uint8_t bytes[1000];
    for (unsigned i = 0; i < sizeof bytes; i++) { bytes[i] = (uint8_t)(i * 7); }
    for (int i = 0; i < 99; i++) { REQUIRE(wr_base_code_buffer_append(&buffer, bytes, sizeof bytes)); }
    CHECK_EQ(code_buffer_size(&buffer), 99000);
    for (unsigned i = 0; i < 99000; i++) {
        if (buffer.start[i] != bytes[i % 1000]) {
            CHECK_EQ(buffer.start[i], bytes[i % 1000]);
            break;
        }
    }
    CHECK(!wr_base_code_buffer_append(&buffer, bytes, SIZE_MAX));
    CHECK(buffer.oom && buffer.over_limit);
    CHECK(!wr_base_code_buffer_append(&buffer, bytes, 1));
    wr_base_code_buffer_free(&buffer);
    CHECK(!buffer.oom && wr_base_code_buffer_append(&buffer, bytes, 1));
    wr_base_code_buffer_free(&buffer);
}

static void buffer_lent(void) {
    CodeBuffer buffer;
    uint8_t memory[200], bytes[150];
    memset(bytes, 7, sizeof bytes);
    for (int outgrown = 0; outgrown < 2; outgrown++) {
        wr_base_code_buffer_init(&buffer, 100000);
        wr_base_code_buffer_lend(&buffer, memory, sizeof memory);
        REQUIRE(wr_base_code_buffer_append(&buffer, bytes, sizeof bytes));
        CHECK(buffer.start == memory);
        if (outgrown) { REQUIRE(wr_base_code_buffer_append(&buffer, bytes, sizeof bytes)); }
        CHECK((buffer.start == memory) == !outgrown);
        CHECK(memcmp(buffer.start, bytes, sizeof bytes) == 0);
        wr_base_code_buffer_free(&buffer);
    }
    wr_base_code_buffer_init(&buffer, 250);
    wr_base_code_buffer_lend(&buffer, memory, sizeof memory);
    REQUIRE(wr_base_code_buffer_append(&buffer, bytes, sizeof bytes));
    CHECK(!wr_base_code_buffer_append(&buffer, bytes, sizeof bytes) && buffer.over_limit);
    wr_base_code_buffer_free(&buffer);
}

static void conditions(void) {
    CHECK_EQ(x64_cond_negate(X64_CC_B), X64_CC_AE);
    CHECK_EQ(x64_cond_negate(X64_CC_G), X64_CC_LE);
    CHECK_EQ(x64_cond_swap(X64_CC_LE), X64_CC_GE);
    CHECK_EQ(x64_cond_swap(X64_CC_E), X64_CC_E);
    CHECK_EQ(x64_cond_swap(X64_CC_A), X64_CC_B);
}

static void cpu_features(void) {
    uint32_t features = wr_x64_cpu_features();
    CHECK((features & ~(uint32_t)X64_CPU_ALL) == 0);
    CHECK(!(features & X64_CPU_AVX2) || (features & X64_CPU_AVX));
    CHECK_EQ(features & X64_CPU_BASELINE, X64_CPU_BASELINE);
    CHECK_STR(wr_x64_cpu_feature_name(X64_CPU_BIT_SSE4_1), "SSE4_1");
    CHECK(!wr_x64_cpu_feature_name(X64_CPU_FEATURE_COUNT));
}

int main(void) {
    RUN(labels_forward_and_back);
    RUN(rip_relative_counts_from_behind_the_immediate);
    RUN(constants_are_shared_and_aligned);
    RUN(relocations_are_recorded);
    RUN(jump_tables_and_patches);
    RUN(too_much_code);
    RUN(buffer_append);
    RUN(buffer_lent);
    RUN(conditions);
    RUN(cpu_features);
    return check_result();
}
