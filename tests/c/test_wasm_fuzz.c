/* Damaged core modules under the sanitizers: every prefix and thousands of mutations of each seed are decoded and, where that succeeds, validated with
 * and without gathering. Nothing is checked but that an answer comes and that a refusal says where.
 *
 *     test_wasm_fuzz [MUTATIONS FILE...]    without arguments: the seed below */
#include "check.h"
#include "wasm/validate.h"

/* One of everything. */
static const uint8_t seed[] = {
#include "wasm_fuzz_seed.inc"
};

static uint64_t dice_state = 0x243f6a8885a308d3u;

static uint32_t dice(uint32_t sides)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(dice_state >> 33) % sides;
}

static WasmValidateScratch *scratch;
static WasmFuncInfo info;
static uint32_t num_valid;

static void check_error(const WrError *error, size_t num_bytes)
{
    CHECK(error->kind != WR_ERROR_NONE && error->message[0]);
    CHECK(error->offset <= num_bytes);
    CHECK(error->kind == WR_ERROR_DECODE || error->kind == WR_ERROR_VALIDATION || error->kind == WR_ERROR_LIMIT);
}

/* `bytes` lies at the end of an allocation of its size, so that reading on is seen. */
static void try_module(const uint8_t *bytes, size_t num_bytes, uint64_t features)
{
    uint8_t *copy = malloc(num_bytes ? num_bytes : 1);
    REQUIRE(copy);
    memcpy(copy, bytes, num_bytes);
    WrError error = {0};
    WasmModule *module = NULL;
    bool valid = wr_module_decode(copy, num_bytes, features, &module, &error);
    CHECK_EQ(valid, module != NULL);
    for (uint32_t i = valid ? module->num_imported_funcs : 0; valid && i < module->num_funcs; i++) {
        valid = wr_func_validate(module, i, NULL, scratch, &error);
        CHECK(valid || error.func_index == i);
        WrError second = {0};
        CHECK_EQ(wr_func_validate(module, i, &info, scratch, &second), valid);
    }
    if (!valid) check_error(&error, num_bytes);
    num_valid += valid;
    wr_module_free(module);
    free(copy);
}

static size_t mutate(uint8_t *bytes, size_t num_bytes)
{
    static const uint8_t interesting[] = {0x00, 0x01, 0x02, 0x0b, 0x40, 0x41, 0x60, 0x63, 0x64, 0x6f, 0x70, 0x7f, 0x80, 0xfb, 0xfc, 0xfd, 0xfe, 0xff};
    for (uint32_t left = 1 + dice(3); left; left--) {
        size_t at = dice((uint32_t)num_bytes), length = 1 + dice(8);
        switch (dice(5)) {
        case 0: bytes[at] ^= (uint8_t)(1u << dice(8)); break;
        case 1: bytes[at] = interesting[dice(sizeof interesting)]; break;
        case 2: bytes[at] = (uint8_t)dice(256); break;
        case 3: /* cut out */
            if (at + length < num_bytes) {
                memmove(bytes + at, bytes + at + length, num_bytes - at - length);
                num_bytes -= length;
            }
            break;
        default: /* copy over */
            if (at + length < num_bytes) memmove(bytes + at, bytes + dice((uint32_t)(num_bytes - length)), length);
        }
    }
    return num_bytes;
}

static void fuzz(const uint8_t *bytes, size_t num_bytes, uint32_t mutations)
{
    uint8_t *work = malloc(num_bytes);
    REQUIRE(work);
    try_module(bytes, num_bytes, WASM_FEATURES_ALL);
    try_module(bytes, num_bytes, 0);
    for (size_t length = 0; length < num_bytes; length += num_bytes > 20000 ? num_bytes / 5000 : 1) try_module(bytes, length, WASM_FEATURES_ALL);
    for (uint32_t i = 0; i < mutations; i++) {
        memcpy(work, bytes, num_bytes);
        size_t mutated = mutate(work, num_bytes);
        try_module(work, mutated, i % 8 ? WASM_FEATURES_ALL : WASM_FEATURES_DEFAULT);
    }
    free(work);
}

static void seed_is_valid(void)
{
    uint32_t before = num_valid;
    try_module(seed, sizeof seed, WASM_FEATURES_ALL);
    CHECK_EQ(num_valid, before + 1);
}

int main(int argc, char **argv)
{
    scratch = wr_validate_scratch_new();
    wr_func_info_init(&info);
    REQUIRE(scratch);
    RUN(seed_is_valid);
    if (argc < 3) fuzz(seed, sizeof seed, 20000);
    for (int i = 2; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        REQUIRE(file);
        static uint8_t bytes[1 << 22];
        size_t num_bytes = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        if (num_bytes) fuzz(bytes, num_bytes, (uint32_t)atoi(argv[1]));
    }
    wr_func_info_free(&info);
    wr_validate_scratch_free(scratch);
    return check_result();
}
