/* Transcoders on exact heap blocks, so that the sanitizers see any byte beyond: conversions, ill-formed text, too little room, bounds. */
#include "check.h"

#include "vm/objects.h"
#include "vm/store.h"

enum {
#define TRANSCODE(name, doc) OP_##name,
#include "wasmrt/transcode.def"
#undef TRANSCODE
    OP_COUNT
};

static WrStore *store;

typedef struct Done {
    bool ok;
    uint32_t result;
    uint8_t bytes[64];
} Done;

/* Converts `units` at address 2 of a memory that ends behind them, to address 4 of one that ends behind the room. */
static Done convert(uint32_t op, const void *text, size_t bytes, uint32_t units, uint32_t room)
{
    uint8_t *from = malloc(2 + bytes), *to = calloc(1, 4 + (size_t)room);
    REQUIRE(from != NULL && to != NULL);
    memcpy(from + 2, text, bytes);
    VMMemoryDef src = { from, 2 + bytes }, dst = { to, 4 + (size_t)room };
    VMMemoryDef *src_slot = &src, *dst_slot = &dst;
    VMHostContext context = { .header = { .store = wr_store_context(store) }, .data = &src_slot, .data2 = &dst_slot, .index = op };
    ValRaw values[4] = { { .i32 = 2 }, { .i32 = (int32_t)units }, { .i32 = 4 }, { .i32 = (int32_t)room } };
    Done done = { .ok = wr_adapter_transcode((VMContext *)(void *)&context, NULL, values, 4) };
    done.result = (uint32_t)values[0].i32;
    memcpy(done.bytes, to + 4, room < sizeof done.bytes ? room : sizeof done.bytes);
    free(from);
    free(to);
    return done;
}

#define TRAPS(code, ...)                                                                                               \
    do {                                                                                                               \
        CHECK(!convert(__VA_ARGS__).ok);                                                                               \
        CHECK_EQ(wr_store_context(store)->trap_code, code);                                                            \
    } while (0)

#define GIVES(expected_result, expected, ...)                                                                          \
    do {                                                                                                               \
        Done done = convert(__VA_ARGS__);                                                                              \
        CHECK(done.ok);                                                                                                \
        CHECK_EQ(done.result, expected_result);                                                                        \
        CHECK(memcmp(done.bytes, expected, sizeof(expected) - 1) == 0);                                                \
    } while (0)

#define UTF8 "a\xc3\xa9\xe2\x98\x83\xf0\x9f\x8d\xb0"           /* a, U+E9, U+2603, U+1F370 */
#define UTF16 "a\0\xe9\0\x03\x26\x3c\xd8\x70\xdf"

static void conversions(void)
{
    GIVES(10, UTF8, OP_UTF8_TO_UTF8, UTF8, 10, 10, 10);
    GIVES(5, UTF16, OP_UTF8_TO_UTF16, UTF8, 10, 10, 10);
    GIVES(10, UTF8, OP_UTF16_TO_UTF8, UTF16, 10, 5, 10);
    GIVES(5, UTF16, OP_UTF16_TO_UTF16, UTF16, 10, 5, 10);
    GIVES(2, "a\xe9", OP_UTF8_TO_LATIN1, UTF8, 3, 3, 2);
    GIVES(UINT32_MAX, "", OP_UTF8_TO_LATIN1, UTF8, 10, 10, 10);
    GIVES(2, "a\xe9", OP_UTF16_TO_LATIN1, UTF16, 4, 2, 2);
    GIVES(UINT32_MAX, "", OP_UTF16_TO_LATIN1, UTF16, 10, 5, 5);
    GIVES(UINT32_MAX, "", OP_UTF16_TO_ASCII, UTF16, 4, 2, 2);
    GIVES(1, "a", OP_UTF16_TO_ASCII, UTF16, 2, 1, 1);
    GIVES(2, "a\xe9", OP_UTF16_TO_COMPACT, UTF16, 4, 2, 4);
    GIVES(5 | 0x80000000u, UTF16, OP_UTF16_TO_COMPACT, UTF16, 10, 5, 10);
    GIVES(3, "a\xc3\xa9", OP_LATIN1_TO_UTF8, "a\xe9", 2, 2, 3);
    GIVES(2, "a\0\xe9\0", OP_LATIN1_TO_UTF16, "a\xe9", 2, 2, 4);
    GIVES(9, "abcdefghi", OP_LATIN1_TO_ASCII, "abcdefghi", 9, 9, 9);
    GIVES(UINT32_MAX, "abcdefgh", OP_LATIN1_TO_ASCII, "abcdefgh\xe9", 9, 9, 9);
    for (uint32_t op = 0; op < OP_COUNT; op++) GIVES(0, "", op, "", 0, 0, 0);
}

static void long_text(void)
{
    uint8_t text[200];
    memset(text, 'x', sizeof text);
    for (size_t at = 0; at < sizeof text - 1; at++) {
        memcpy(text + at, "\xc3\xa9", 2);
        CHECK(convert(OP_UTF8_TO_UTF8, text, sizeof text, sizeof text, sizeof text).ok);
        text[at + 1] = 'x';
        TRAPS(TRAP_INVALID_UTF8, OP_UTF8_TO_UTF8, text, sizeof text, sizeof text, sizeof text);
        text[at] = 'x';
    }
}

static void ill_formed_text(void)
{
    static const char *const bad[] = { "\x80", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x98", "\xff" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (uint32_t op = OP_UTF8_TO_UTF8; op <= OP_UTF8_TO_LATIN1; op++) TRAPS(TRAP_INVALID_UTF8, op, bad[i], strlen(bad[i]), (uint32_t)strlen(bad[i]), 32);
    static const uint32_t checked[] = { OP_UTF16_TO_UTF8, OP_UTF16_TO_UTF16, OP_UTF16_TO_COMPACT };
    for (size_t i = 0; i < 3; i++) {
        TRAPS(TRAP_INVALID_UTF16, checked[i], "\x3c\xd8", 2, 1, 32);         /* half a pair at the end */
        TRAPS(TRAP_INVALID_UTF16, checked[i], "\x3c\xd8" "a\0", 4, 2, 32);   /* not followed by the other half */
        TRAPS(TRAP_INVALID_UTF16, checked[i], "\x70\xdf" "a\0", 4, 2, 32);   /* the other half alone */
    }
}

static void room_and_bounds(void)
{
    TRAPS(TRAP_STRING_OUT_OF_BOUNDS, OP_UTF8_TO_UTF8, UTF8, 10, 10, 9);
    TRAPS(TRAP_STRING_OUT_OF_BOUNDS, OP_UTF8_TO_UTF16, UTF8, 10, 10, 9);
    TRAPS(TRAP_STRING_OUT_OF_BOUNDS, OP_UTF16_TO_UTF8, UTF16, 10, 5, 9);
    TRAPS(TRAP_STRING_OUT_OF_BOUNDS, OP_UTF16_TO_UTF16, UTF16, 10, 5, 9);
    TRAPS(TRAP_STRING_OUT_OF_BOUNDS, OP_UTF16_TO_COMPACT, UTF16, 10, 5, 9);
    TRAPS(TRAP_STRING_OUT_OF_BOUNDS, OP_UTF8_TO_LATIN1, UTF8, 3, 3, 1);
    TRAPS(TRAP_STRING_OUT_OF_BOUNDS, OP_UTF16_TO_LATIN1, UTF16, 4, 2, 1);
    TRAPS(TRAP_STRING_OUT_OF_BOUNDS, OP_LATIN1_TO_UTF8, "a\xe9", 2, 2, 2);
    TRAPS(TRAP_STRING_OUT_OF_BOUNDS, OP_LATIN1_TO_UTF16, "a\xe9", 2, 2, 3);
    TRAPS(TRAP_STRING_OUT_OF_BOUNDS, OP_LATIN1_TO_ASCII, "ab", 2, 2, 1);
    for (uint32_t op = 0; op < OP_COUNT; op++) {
        TRAPS(TRAP_STRING_OUT_OF_BOUNDS, op, "abcd", 4, 5, 32);
        TRAPS(TRAP_STRING_OUT_OF_BOUNDS, op, "abcd", 4, UINT32_MAX, 32);
    }
    TRAPS(TRAP_STRING_OUT_OF_BOUNDS, OP_COUNT, "", 0, 0, 0);
}

static void traps_of_adapters(void)
{
    VMHostContext context = { .header = { .store = wr_store_context(store) } };
    ValRaw value = { .i32 = TRAP_INVALID_CHAR };
    CHECK(!wr_adapter_trap((VMContext *)(void *)&context, NULL, &value, 1));
    CHECK_EQ(wr_store_context(store)->trap_code, TRAP_INVALID_CHAR);
}

int main(void)
{
    WrError error = { 0 };
    WrTypeRegistry *registry = wr_types_new();
    REQUIRE(registry != NULL);
    store = wr_store_new(registry, 1 << 20, NULL, &error);
    REQUIRE(store != NULL);
    RUN(conversions);
    RUN(long_text);
    RUN(ill_formed_text);
    RUN(room_and_bounds);
    RUN(traps_of_adapters);
    wr_store_free(store);
    wr_types_release(registry);
    return check_result();
}
