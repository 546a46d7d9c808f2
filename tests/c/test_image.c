/* The artifact image: what is built is what is loaded, the same input gives the same bytes, hostile bytes give errors and nothing else, and no page is
 * ever writable and executable. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "code/memory.h"
#include "os/pages.h"
#include "tramp/tramp.h"
#include "wasm/features.h"
#include "wasmrt/wasmrt.h"

/* (module (import "m" "f" (func (param i32))) (memory 1) (data (i32.const 0) "abc")
 *   (func (export "a") (result i32) i32.const 1) (func (export "b") (result i32) i32.const 2)) */
static const uint8_t wasm[] = {
    0, 'a', 's', 'm', 1, 0, 0, 0,
    1, 9, 2, 0x60, 1, 0x7f, 0, 0x60, 0, 1, 0x7f,
    2, 7, 1, 1, 'm', 1, 'f', 0, 0,
    3, 3, 2, 1, 1,
    5, 3, 1, 0, 1,
    7, 9, 2, 1, 'a', 0, 1, 1, 'b', 0, 2,
    10, 11, 2, 4, 0, 0x41, 1, 0x0b, 4, 0, 0x41, 2, 0x0b,
    11, 9, 1, 0, 0x41, 0, 0x0b, 3, 'a', 'b', 'c',
};

static const WrTunables tunables = {
    .cpu_features = X64_CPU_BASELINE,
    .memory_reservation = UINT64_C(1) << 32,
    .memory_guard_bytes = 1 << 25,
    .guarded_memories = 1,
    .signals_based_traps = 1,
    .interruptible = 1,
};

typedef struct Built {
    WasmModule *module;
    Asm as;
    CompiledModule compiled;
    FunctionLoc funcs[2], array_calls[2], host_calls[2];
    TrapRow traps[2];
    AddrRow addrs[5];
} Built;

static FunctionLoc emitted(Built *built, bool ok)
{
    REQUIRE(ok);
    return (FunctionLoc){built->as.function_offset, x64_offset(&built->as) - built->as.function_offset};
}

/* A module as a compiler would give it: func n returns n + 1 after a nop that counts as a trap. */
static void build_module(Built *built)
{
    WrError error = {0};
    *built = (Built){0};
    REQUIRE(wr_module_decode(wasm, sizeof wasm, WASM_FEATURES_DEFAULT, &built->module, &error));
    Asm *as = &built->as;
    wr_x64_asm_init(as, X64_CPU_BASELINE);
    for (int i = 0; i < 2; i++) {
        wr_x64_room(as, CODE_MARK_BYTES);
        wr_x64_function_begin(as);
        x64_nop(as, 1);
        uint32_t trap = x64_offset(as);
        x64_nop(as, 2);
        x64_movl_ri(as, RAX, i + 1);
        x64_ret(as);
        built->funcs[i] = emitted(built, wr_x64_function_end(as) == X64_OK);
        built->traps[i] = (TrapRow){trap, i ? TRAP_HOST : TRAP_UNREACHABLE};
        built->addrs[2 * i] = (AddrRow){built->funcs[i].start, 100 + 10 * (uint32_t)i};
        built->addrs[2 * i + 1] = (AddrRow){trap, i ? UINT32_MAX : 105};
    }
    ValType i32 = WR_VALTYPE_I32;
    WrSignature taking = {&i32, 1, NULL, 0}, giving = {NULL, 0, &i32, 1};
    FunctionLoc body = emitted(built, wr_tramp_emit_entry(as, &giving));
    for (int i = 0; i < 2; i++) {
        wr_x64_room(as, CODE_MARK_BYTES);
        built->array_calls[i] = emitted(built, wr_tramp_emit_entry_stub(as, body.start, built->funcs[i].start));
    }
    wr_x64_room(as, CODE_MARK_BYTES);
    built->host_calls[0] = emitted(built, wr_tramp_emit_host_call(as, &taking));
    built->compiled = (CompiledModule){
        .text = as->code.start, .text_bytes = x64_offset(as), .funcs = built->funcs, .num_funcs = 2, .array_calls = built->array_calls, .num_array_calls = 2,
        .host_calls = built->host_calls, .num_host_calls = 2, .traps = built->traps, .num_traps = 2, .addrs = built->addrs, .num_addrs = 4,
    };
}

static void free_module(Built *built)
{
    wr_module_free(built->module);
    wr_x64_asm_free(&built->as);
}

/* A component of two modules (the same one twice) and four trampolines of two shapes. */
static const ValType ints[] = {WR_VALTYPE_I32, WR_VALTYPE_I64}, refs[] = {WR_VALTYPE_EXTERNREF}, others[] = {WR_VALTYPE_FUNCREF};
static const WrTrampolineRequest trampolines[] = {{ints, 2, ints, 1}, {refs, 1, NULL, 0}, {ints, 2, ints, 1}, {others, 1, NULL, 0}};

static CodeMemory *build_component(void)
{
    Built built;
    build_module(&built);
    const WasmModule *modules[] = {built.module, built.module};
    const CompiledModule *compiled[] = {&built.compiled, &built.compiled};
    WrImageInput input = {
        .kind = WR_IMAGE_COMPONENT, .tunables = &tunables, .wasm_features = WASM_FEATURES_DEFAULT, .modules = modules, .compiled = compiled, .num_modules = 2,
        .trampolines = trampolines, .num_trampolines = 4, .info = (const uint8_t *)"info of the component", .num_info_bytes = 21,
    };
    CodeMemory *code = NULL;
    WrError error = {0};
    REQUIRE(wr_image_build(&input, &code, &error));
    free_module(&built);
    return code;
}

/* ---- what is in an image -------------------------------------------------------------------------------------------------------- */

static uint32_t call_int(const void *function) { return ((uint32_t (*)(void *, void *))(uintptr_t)function)(NULL, NULL); }

static void check_contents(const CodeMemory *code)
{
    const int32_t no_trap = code->made_here ? -1 : TRAP_ARTIFACT_DAMAGED; /* of a table that was loaded, nobody knows whether it is whole */
    size_t num_bytes;
    WrError error = {0};
    CHECK_EQ(wr_code_kind(code), WR_IMAGE_COMPONENT);
    const uint8_t *bytes = wr_code_bytes(code, &num_bytes);
    CHECK_EQ(wr_image_detect(bytes, num_bytes), WR_IMAGE_COMPONENT);
    CHECK_EQ(wr_code_num_modules(code), 2);
    CHECK(wr_code_module(code, 2, NULL) == NULL);
    CHECK_BYTES(&wr_code_header(code)->tunables, &tunables, sizeof tunables);
    CHECK_EQ(wr_code_header(code)->wasm_features, WASM_FEATURES_DEFAULT);
    const uint8_t *info = wr_code_section(code, WR_SECTION_INFO, &num_bytes);
    CHECK_EQ(num_bytes, 21);
    CHECK_BYTES(info, "info of the component", 21);
    CHECK(wr_code_section(code, WR_SECTION_COUNT, &num_bytes) == NULL);

    for (uint32_t m = 0; m < 2; m++) {
        const WasmModule *module = wr_code_module(code, m, &error);
        CHECK_EQ(module->num_exports, 2);
        CHECK_EQ(module->num_datas, 1);
        CHECK_BYTES(module->data_bytes + module->datas[0].bytes.offset, "abc", 3);
        CHECK(wr_code_func(code, m, 0) == NULL);
        CHECK(wr_code_func(code, m, 3) == NULL);
        CHECK_EQ(call_int(wr_code_func(code, m, 1)), 1);
        CHECK_EQ(call_int(wr_code_func(code, m, 2)), 2);
        CHECK(wr_code_host_call(code, m, 0) != NULL);
        CHECK(wr_code_host_call(code, m, 1) == NULL);
        CHECK(wr_code_host_call(code, m, 2) == NULL);
        CHECK(wr_code_array_call(code, m, 2) == NULL);
        VMStoreContext store = {0};
        VMContextHeader context = {.store = &store};
        ValRaw value = {0};
        CHECK(wr_code_array_call(code, m, 1)((VMContext *)&context, NULL, &value, 1));
        CHECK_EQ(value.i32, 2);

        uintptr_t first = (uintptr_t)wr_code_func(code, m, 1), second = (uintptr_t)wr_code_func(code, m, 2);
        WrCodePlace place;
        CHECK(wr_code_find(first, &place));
        CHECK(place.code == code);
        CHECK_EQ(place.module_index, m);
        CHECK_EQ(place.func_index, 1);
        CHECK_EQ(place.func_offset, 0);
        CHECK_EQ(place.module_offset, 100);
        CHECK(wr_code_find(first + 2, &place));
        CHECK_EQ(place.module_offset, 105);
        CHECK_EQ(place.func_offset, 2);
        CHECK(wr_code_find(second, &place));
        CHECK_EQ(place.func_index, 2);
        CHECK_EQ(place.module_offset, 110);
        CHECK(wr_code_find(second + 1, &place));
        CHECK_EQ(place.module_offset, WR_NO_OFFSET);
        CHECK(wr_code_find((uintptr_t)wr_code_host_call(code, m, 0), &place));
        CHECK_EQ(place.module_index, m);
        CHECK_EQ(place.func_index, UINT32_MAX);
        CHECK_EQ(wr_code_trap_at(first), no_trap);
        CHECK_EQ(wr_code_trap_at(first + 1), TRAP_UNREACHABLE);
        CHECK_EQ(wr_code_trap_at(first + 2), no_trap);
        CHECK_EQ(wr_code_trap_at(second + 1), TRAP_HOST);
    }
    CHECK(wr_code_func(code, 2, 1) == NULL);

    const void *calls[4];
    VMArrayCall array_calls[4];
    for (uint32_t i = 0; i < 4; i++) REQUIRE(wr_code_trampoline(code, i, &trampolines[i], &calls[i], &array_calls[i]));
    CHECK(calls[0] == calls[2] && calls[1] == calls[3] && calls[0] != calls[1]);
    CHECK(array_calls[0] == array_calls[3]);
    CHECK(!wr_code_trampoline(code, 4, &trampolines[0], &calls[0], &array_calls[0]));
    WrCodePlace place;
    CHECK(wr_code_find((uintptr_t)calls[1], &place));
    CHECK_EQ(place.module_index, UINT32_MAX);
    uintptr_t start, end;
    wr_code_text_range(code, &start, &end);
    CHECK(wr_code_find(end - 1, &place));
    CHECK(!wr_code_find(end, &place));
    CHECK(!wr_code_find(start - 1, &place));
    CHECK(!wr_code_find((uintptr_t)&place, &place));
    CHECK(wr_code_verify(code, &error));
    CHECK_STR(error.message, "");
}

static void built_and_loaded(void)
{
    CodeMemory *code = build_component(), *again = build_component(), *copy = NULL;
    WrError error = {0};
    size_t num_bytes, num_again;
    const uint8_t *bytes = wr_code_bytes(code, &num_bytes), *other = wr_code_bytes(again, &num_again);
    CHECK_EQ(num_bytes, num_again);
    CHECK_BYTES(bytes, other, num_bytes);
    check_contents(code);
    check_contents(again);
    wr_code_release(again);
    check_contents(code);
    REQUIRE(wr_image_load(bytes, num_bytes, true, NULL, NULL, &copy, &error));
    wr_code_release(code);
    check_contents(copy);
    wr_code_retain(copy);
    wr_code_release(copy);
    check_contents(copy);
    wr_code_release(copy);
}

static int num_released;
static void release_mapping(void *owner)
{
    num_released++;
    munmap(owner, 1 << 20);
}

/* The pages of a file, as deserialize_file maps them. */
static uint8_t *map_file(const CodeMemory *code, size_t *out_num_bytes)
{
    FILE *file = tmpfile();
    const uint8_t *bytes = wr_code_bytes(code, out_num_bytes);
    REQUIRE(file && fwrite(bytes, 1, *out_num_bytes, file) == *out_num_bytes && fflush(file) == 0);
    uint8_t *map = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE, fileno(file), 0);
    REQUIRE(map != MAP_FAILED);
    fclose(file);
    return map;
}

static void used_in_place(void)
{
    CodeMemory *code = build_component(), *mapped = NULL;
    WrError error = {0};
    size_t num_bytes;
    uint8_t *map = map_file(code, &num_bytes);
    CHECK(!wr_image_load(map + 16, num_bytes, false, release_mapping, map, &mapped, &error));
    CHECK_CONTAINS(error.message, "page aligned");
    error = (WrError){0};
    CHECK(!wr_image_load(map, num_bytes - 1, false, release_mapping, map, &mapped, &error));
    CHECK_EQ(num_released, 0); /* what was not taken is not released */
    error = (WrError){0};
    REQUIRE(wr_image_load(map, num_bytes, false, release_mapping, map, &mapped, &error));
    wr_code_release(code);
    CHECK(wr_code_bytes(mapped, &num_bytes) == map);
    check_contents(mapped);
    CHECK_EQ(num_released, 0);
    wr_code_release(mapped);
    CHECK_EQ(num_released, 1);
}

/* ---- W^X ---------------------------------------------------------------------------------------------------------------------- */

static uint32_t count_pages(const char *wanted, uintptr_t inside)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    REQUIRE(maps != NULL);
    char line[512];
    uint32_t count = 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        char access[5];
        if (sscanf(line, "%lx-%lx %4s", &start, &end, access) != 3) continue;
        if (strncmp(access, wanted, 3) == 0 && (inside == 0 || (inside >= start && inside < end))) count++;
    }
    fclose(maps);
    return count;
}

static void no_page_is_writable_and_executable(void)
{
    CodeMemory *code = build_component();
    uintptr_t start, end;
    size_t num_bytes;
    wr_code_text_range(code, &start, &end);
    CHECK_EQ(count_pages("rwx", 0), 0);
    CHECK_EQ(count_pages("r-x", start), 1);
    CHECK_EQ(count_pages("r--", (uintptr_t)wr_code_bytes(code, &num_bytes)), 1);
    CHECK_EQ(count_pages("r--", start - 1), 1);
    wr_code_release(code);
}

/* ---- hostile bytes -------------------------------------------------------------------------------------------------------------- */

static uint32_t random_state = 12345;
static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(random_state >> 4) * bound >> 28);
}

/* Asks an image for everything without running any of its code. */
static void read_all(const CodeMemory *code)
{
    WrError error = {0};
    uintptr_t start, end;
    wr_code_text_range(code, &start, &end);
    for (uintptr_t pc = start; pc < end; pc++) {
        WrCodePlace place;
        CHECK(wr_code_find(pc, &place));
        int32_t trap = wr_code_trap_at(pc);
        CHECK(trap >= -1 && trap <= 255);
    }
    for (uint32_t m = 0; m < 3; m++) {
        for (uint32_t i = 0; i < 5; i++) {
            const void *entries[3] = {wr_code_func(code, m, i), (const void *)(uintptr_t)wr_code_array_call(code, m, i), wr_code_host_call(code, m, i)};
            for (int e = 0; e < 3; e++) CHECK(!entries[e] || ((uintptr_t)entries[e] >= start && (uintptr_t)entries[e] < end));
        }
    }
    for (uint32_t i = 0; i < 5; i++) {
        const void *call;
        VMArrayCall array_call;
        (void)wr_code_trampoline(code, i, &trampolines[i % 4], &call, &array_call);
    }
    (void)wr_code_verify(code, &error);
}

static void load_hostile(uint8_t *bytes, size_t num_bytes, uint32_t *num_loaded, uint32_t *num_undetected)
{
    CodeMemory *code = NULL;
    WrError error = {0};
    if (wr_image_load(bytes, num_bytes, true, NULL, NULL, &code, &error)) {
        ++*num_loaded;
        WrError found = {0};
        if (wr_code_verify(code, &found)) ++*num_undetected;
        read_all(code);
        wr_code_release(code);
    } else {
        CHECK_EQ(error.kind, WR_ERROR_ARTIFACT);
        CHECK(error.message[0] != 0);
        CHECK(code == NULL);
    }
}

static void truncated_at_every_byte(void)
{
    CodeMemory *code = build_component();
    size_t num_bytes;
    const uint8_t *bytes = wr_code_bytes(code, &num_bytes);
    uint32_t num_loaded = 0, num_undetected = 0;
    for (size_t n = 0; n < num_bytes; n++) {
        uint8_t *cut = malloc(n + 1); /* so that a sanitizer sees reads past the end */
        memcpy(cut, bytes, n);
        load_hostile(cut, n, &num_loaded, &num_undetected);
        (void)wr_image_detect(cut, n);
        free(cut);
    }
    CHECK_EQ(num_loaded, 0);
    uint8_t *longer = calloc(1, num_bytes + 1);
    memcpy(longer, bytes, num_bytes);
    load_hostile(longer, num_bytes + 1, &num_loaded, &num_undetected);
    CHECK_EQ(num_loaded, 0);
    free(longer);
    wr_code_release(code);
}

/* Checksums are put right when `forge` is set, so that the checks behind them are reached. */
static void mutate(bool forge, uint32_t rounds)
{
    CodeMemory *code = build_component();
    size_t num_bytes;
    const uint8_t *bytes = wr_code_bytes(code, &num_bytes);
    uint8_t *changed = malloc(num_bytes);
    uint32_t num_loaded = 0, num_undetected = 0;
    ElfLayout layout;
    WrError error = {0};
    REQUIRE(wr_elf_read(bytes, num_bytes, num_bytes, &layout, &error));
    for (uint32_t round = 0; round < rounds; round++) {
        memcpy(changed, bytes, num_bytes);
        uint32_t section = random_below(WR_SECTION_COUNT + 1);
        uint64_t first = section < WR_SECTION_COUNT ? layout.offsets[section] : 0, size = section < WR_SECTION_COUNT ? layout.sizes[section] : layout.offsets[0];
        if (size == 0) continue;
        for (uint32_t n = 1 + random_below(3); n; n--) {
            uint8_t *at = changed + first + random_below((uint32_t)size);
            uint32_t how = random_below(4);
            *at = (uint8_t)(how == 0 ? *at ^ 1u << random_below(8) : how == 1 ? 0xff : how == 2 ? 0 : *at + 1u);
        }
        if (memcmp(changed, bytes, num_bytes) == 0) continue;
        if (forge) {
            ImageHeader *header = (ImageHeader *)(void *)(changed + layout.offsets[WR_SECTION_ENGINE]);
            uint64_t hash = wr_code_header_checksum(changed, &layout);
            memcpy(&header->header_checksum, &hash, sizeof hash);
        }
        load_hostile(changed, num_bytes, &num_loaded, &num_undetected);
    }
    if (!forge) CHECK_EQ(num_undetected, 0);
    free(changed);
    wr_code_release(code);
}

static void mutated(void) { mutate(false, 10000); }
static void mutated_with_forged_checksum(void) { mutate(true, 4000); }

static const char *load_message(uint8_t *bytes, size_t num_bytes)
{
    static WrError error;
    CodeMemory *code = NULL;
    error = (WrError){0};
    CHECK(!wr_image_load(bytes, num_bytes, true, NULL, NULL, &code, &error));
    return error.message;
}

static void reasons(void)
{
    CodeMemory *code = build_component();
    size_t num_bytes;
    uint8_t *bytes = malloc(1 << 20);
    const uint8_t *good = wr_code_bytes(code, &num_bytes);
    ImageHeader *header = (ImageHeader *)(void *)(bytes + wr_elf_first_section());
    memcpy(bytes, good, num_bytes);
    bytes[0] = 0;
    CHECK_STR(load_message(bytes, num_bytes), "not an artifact: no ELF header");
    memcpy(bytes, good, num_bytes);
    bytes[18] = 183;
    CHECK_STR(load_message(bytes, num_bytes), "ELF machine: found 183, wanted 62");
    memcpy(bytes, good, num_bytes);
    header->format = 99;
    CHECK_CONTAINS(load_message(bytes, num_bytes), "format version: found 99, wanted ");
    memcpy(bytes, good, num_bytes);
    header->kind = WR_IMAGE_MODULE;
    CHECK_CONTAINS(load_message(bytes, num_bytes), "the artifact is damaged");
    memcpy(bytes, good, num_bytes);
    CHECK_CONTAINS(load_message(bytes, num_bytes - 1), "size: found");
    WrError error = {0};
    WrTunables other = tunables;
    CHECK(wr_code_check_config(code, &other, WASM_FEATURES_ALL, &error));
    other.memory_guard_bytes /= 2;
    CHECK(!wr_code_check_config(code, &other, WASM_FEATURES_ALL, &error));
    CHECK_STR(error.message, "memory_guard_bytes: found 33554432, wanted 16777216");
    error = (WrError){0};
    CHECK(!wr_code_check_config(code, &tunables, 0, &error));
    CHECK_CONTAINS(error.message, "found on, wanted off");
    CHECK_EQ(wr_image_detect((const uint8_t *)"\0asm", 4), 0);
    free(bytes);
    wr_code_release(code);
}

static void out_of_memory(void)
{
    CodeMemory *code = build_component();
    size_t num_bytes;
    const uint8_t *bytes = wr_code_bytes(code, &num_bytes);
    for (int call = 0; call < 3; call++) {
        CodeMemory *copy = NULL;
        WrError error = {0};
        wr_os_inject_failure(call == 0 ? WR_OS_CALL_MAP : WR_OS_CALL_PROTECT, call == 2);
        CHECK(!wr_image_load(bytes, num_bytes, true, NULL, NULL, &copy, &error));
        wr_os_inject_failure(WR_OS_CALL_MAP, -1);
        wr_os_inject_failure(WR_OS_CALL_PROTECT, -1);
        CHECK(error.kind == WR_ERROR_LIMIT || error.kind == WR_ERROR_MEMORY);
    }
    check_contents(code);
    wr_code_release(code);
}

/* ---- threads and fork ----------------------------------------------------------------------------------------------------------- */

static _Atomic bool stop;

static void *read_pcs(void *pc)
{
    uint64_t found = 0;
    while (!atomic_load(&stop)) {
        WrCodePlace place;
        if (wr_code_find((uintptr_t)pc, &place) && place.func_index == 1 && wr_code_trap_at((uintptr_t)pc + 1) == TRAP_UNREACHABLE) found++;
    }
    return found ? NULL : pc;
}

static void readers_and_writers(void)
{
    CodeMemory *code = build_component();
    pthread_t threads[2];
    void *pc = (void *)(uintptr_t)wr_code_func(code, 1, 1), *failed;
    for (int i = 0; i < 2; i++) REQUIRE(pthread_create(&threads[i], NULL, read_pcs, pc) == 0);
    CodeMemory *held[8] = {0};
    for (int i = 0; i < 400; i++) {
        wr_code_release(held[i % 8]);
        held[i % 8] = build_component();
        if (i % 100 == 0) { /* the child has none of these threads, wherever they were */
            pid_t child = fork();
            if (child == 0) {
                wr_code_release(held[i % 8]);
                WrCodePlace place;
                _exit(wr_code_find((uintptr_t)pc, &place) && place.func_index == 1 ? 0 : 1);
            }
            int status = -1;
            waitpid(child, &status, 0);
            CHECK_EQ(status, 0);
        }
    }
    for (int i = 0; i < 8; i++) wr_code_release(held[i]);
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], &failed);
        CHECK(failed == NULL);
    }
    check_contents(code);
    wr_code_release(code);
}

/* `test_image FILE` writes the image, for readers that are not ours. */
int main(int argc, char **argv)
{
    if (argc > 1) {
        CodeMemory *code = build_component();
        size_t num_bytes;
        const uint8_t *bytes = wr_code_bytes(code, &num_bytes);
        FILE *file = fopen(argv[1], "wb");
        REQUIRE(file && fwrite(bytes, 1, num_bytes, file) == num_bytes && fclose(file) == 0);
        wr_code_release(code);
        return 0;
    }
    RUN(built_and_loaded);
    RUN(used_in_place);
    RUN(no_page_is_writable_and_executable);
    RUN(truncated_at_every_byte);
    RUN(mutated);
    RUN(mutated_with_forged_checksum);
    RUN(reasons);
    RUN(out_of_memory);
    RUN(readers_and_writers);
    return check_result();
}
