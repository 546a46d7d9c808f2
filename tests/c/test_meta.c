/* Meta blobs: what is written comes back, twice the same bytes, and hostile blobs are refused or can be read without leaving them. */
#include "check.h"

#include "wasm/meta.h"

/* A module with every kind of import, export, segment and constant, of names, and with a custom section; 355 bytes. */
static const uint8_t wasm[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x1a, 0x05, 0x60, 0x04, 0x7f, 0x7e, 0x7d, 0x7c, 0x02, 0x7f, 0x7e,
    0x60, 0x01, 0x7f, 0x00, 0x60, 0x00, 0x01, 0x7f, 0x60, 0x01, 0x7f, 0x01, 0x7f, 0x60, 0x00, 0x00, 0x02, 0x3e, 0x05, 0x03,
    0x65, 0x6e, 0x76, 0x01, 0x66, 0x00, 0x01, 0x03, 0x65, 0x6e, 0x76, 0x01, 0x67, 0x00, 0x00, 0x03, 0x65, 0x6e, 0x76, 0x04,
    0x67, 0x6c, 0x6f, 0x62, 0x03, 0x7f, 0x00, 0x05, 0x6f, 0x74, 0x68, 0x65, 0x72, 0x05, 0x74, 0x61, 0x62, 0x6c, 0x65, 0x01,
    0x70, 0x00, 0x01, 0x05, 0x6f, 0x74, 0x68, 0x65, 0x72, 0x06, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x01, 0x01, 0x02,
    0x03, 0x04, 0x03, 0x02, 0x03, 0x04, 0x04, 0x09, 0x02, 0x70, 0x01, 0x04, 0x0a, 0x6f, 0x01, 0x01, 0x01, 0x05, 0x04, 0x01,
    0x01, 0x03, 0x07, 0x06, 0x1f, 0x04, 0x7e, 0x01, 0x42, 0x7b, 0x0b, 0x7c, 0x01, 0x44, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xf8, 0x3f, 0x0b, 0x7f, 0x00, 0x23, 0x00, 0x41, 0x04, 0x6a, 0x0b, 0x70, 0x00, 0xd2, 0x03, 0x0b, 0x07, 0x13, 0x03, 0x01,
    0x61, 0x00, 0x02, 0x06, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x01, 0x02, 0x67, 0x32, 0x03, 0x02, 0x08, 0x01, 0x04,
    0x09, 0x24, 0x04, 0x06, 0x02, 0x41, 0x00, 0x0b, 0x6f, 0x01, 0xd0, 0x6f, 0x0b, 0x02, 0x01, 0x41, 0x01, 0x0b, 0x00, 0x02,
    0x02, 0x03, 0x05, 0x70, 0x03, 0xd2, 0x02, 0x0b, 0xd0, 0x70, 0x0b, 0xd2, 0x03, 0x0b, 0x03, 0x00, 0x01, 0x00, 0x0a, 0x0e,
    0x03, 0x04, 0x00, 0x41, 0x01, 0x0b, 0x04, 0x00, 0x20, 0x00, 0x0b, 0x02, 0x00, 0x0b, 0x0b, 0x22, 0x03, 0x02, 0x01, 0x41,
    0x08, 0x0b, 0x0d, 0x66, 0x69, 0x72, 0x73, 0x74, 0x20, 0x73, 0x65, 0x67, 0x6d, 0x65, 0x6e, 0x74, 0x01, 0x07, 0x70, 0x61,
    0x73, 0x73, 0x69, 0x76, 0x65, 0x00, 0x23, 0x00, 0x0b, 0x00, 0x00, 0x0a, 0x04, 0x6d, 0x69, 0x6e, 0x65, 0x62, 0x79, 0x74,
    0x65, 0x73, 0x00, 0x47, 0x04, 0x6e, 0x61, 0x6d, 0x65, 0x00, 0x06, 0x05, 0x6e, 0x61, 0x6d, 0x65, 0x64, 0x01, 0x18, 0x04,
    0x00, 0x08, 0x69, 0x6d, 0x70, 0x6f, 0x72, 0x74, 0x65, 0x64, 0x02, 0x01, 0x61, 0x03, 0x01, 0x62, 0x04, 0x05, 0x73, 0x74,
    0x61, 0x72, 0x74, 0x04, 0x04, 0x01, 0x00, 0x01, 0x74, 0x05, 0x06, 0x01, 0x01, 0x03, 0x6f, 0x77, 0x6e, 0x07, 0x04, 0x01,
    0x00, 0x01, 0x67, 0x08, 0x0a, 0x01, 0x02, 0x07, 0x70, 0x61, 0x73, 0x73, 0x69, 0x76, 0x65,
};

typedef struct Blobs {
    WasmModule *module;
    uint8_t *meta, *data;
    size_t num_meta_bytes, num_data_bytes;
} Blobs;

/* Each blob in an allocation of exactly its size, so that a sanitizer sees what is read or written past it. */
static Blobs write_blobs(void)
{
    Blobs blobs;
    WrError error = {0};
    REQUIRE(wr_module_decode(wasm, sizeof wasm, WASM_FEATURES_ALL, &blobs.module, &error));
    REQUIRE(wr_meta_size(blobs.module, NULL, &blobs.num_meta_bytes, &blobs.num_data_bytes, &error));
    blobs.meta = calloc(1, blobs.num_meta_bytes);
    blobs.data = calloc(1, blobs.num_data_bytes);
    wr_meta_write(blobs.module, NULL, blobs.meta, blobs.data);
    return blobs;
}

static void free_blobs(Blobs *blobs)
{
    wr_module_free(blobs->module);
    free(blobs->meta);
    free(blobs->data);
}

static bool same_text(const WasmModule *a, WasmSpan in_a, const WasmModule *b, WasmSpan in_b)
{
    return in_a.length == in_b.length && memcmp(a->bytes + in_a.offset, b->bytes + in_b.offset, in_a.length) == 0;
}

static bool same_const(const WasmModule *a, const WasmConst *in_a, const WasmModule *b, const WasmConst *in_b)
{
    return in_a->kind == in_b->kind && in_a->type == in_b->type && memcmp(in_a->bits, in_b->bits, 16) == 0 && same_text(a, in_a->expr, b, in_b->expr);
}

#define SAME_ROWS(array, ...)                                         \
    CHECK_EQ(b->num_##array, a->num_##array);                         \
    for (uint32_t i = 0; i < a->num_##array && i < b->num_##array; i++) CHECK(__VA_ARGS__);
#define SAME_ARRAY(array)                    \
    CHECK_EQ(b->num_##array, a->num_##array); \
    CHECK_BYTES(b->array, a->array, a->num_##array * sizeof *a->array)

static void round_trip(void)
{
    Blobs blobs = write_blobs(), again = write_blobs();
    CHECK_EQ(again.num_meta_bytes, blobs.num_meta_bytes);
    CHECK_BYTES(again.meta, blobs.meta, blobs.num_meta_bytes);
    CHECK_BYTES(again.data, blobs.data, blobs.num_data_bytes);
    const WasmModule *a = blobs.module;
    WasmModule *b = NULL;
    WrError error = {0};
    REQUIRE(wr_meta_open(again.meta, again.num_meta_bytes, again.data, again.num_data_bytes, &b, &error));
    CHECK(wr_meta_verify(b, &error));
    CHECK_STR(error.message, "");
    CHECK(a->num_imports == 5 && a->num_elems == 4 && a->num_datas == 3 && a->num_customs > 0 && a->num_func_names == 4); /* the example has it all */
    SAME_ARRAY(valtypes);
    SAME_ARRAY(types);
    SAME_ARRAY(rec_groups);
    SAME_ARRAY(memories);
    SAME_ARRAY(tags);
    SAME_ARRAY(elem_items);
    SAME_ROWS(imports, same_text(a, a->imports[i].module, b, b->imports[i].module) && same_text(a, a->imports[i].name, b, b->imports[i].name) &&
              a->imports[i].kind == b->imports[i].kind && a->imports[i].index == b->imports[i].index)
    SAME_ROWS(exports, same_text(a, a->exports[i].name, b, b->exports[i].name) && a->exports[i].kind == b->exports[i].kind && a->exports[i].index == b->exports[i].index)
    SAME_ROWS(funcs, a->funcs[i].type_index == b->funcs[i].type_index && a->funcs[i].escape_index == b->funcs[i].escape_index)
    SAME_ROWS(tables, a->tables[i].element == b->tables[i].element && memcmp(&a->tables[i].limits, &b->tables[i].limits, sizeof(WasmLimits)) == 0 &&
              same_const(a, &a->tables[i].init, b, &b->tables[i].init))
    SAME_ROWS(globals, a->globals[i].type == b->globals[i].type && a->globals[i].is_mutable == b->globals[i].is_mutable && same_const(a, &a->globals[i].init, b, &b->globals[i].init))
    SAME_ROWS(elems, a->elems[i].mode == b->elems[i].mode && a->elems[i].table == b->elems[i].table && a->elems[i].type == b->elems[i].type &&
              a->elems[i].first_item == b->elems[i].first_item && a->elems[i].num_items == b->elems[i].num_items && same_const(a, &a->elems[i].offset, b, &b->elems[i].offset))
    SAME_ROWS(elem_exprs, same_const(a, &a->elem_exprs[i], b, &b->elem_exprs[i]))
    SAME_ROWS(datas, a->datas[i].mode == b->datas[i].mode && a->datas[i].memory == b->datas[i].memory && same_const(a, &a->datas[i].offset, b, &b->datas[i].offset) &&
              a->datas[i].bytes.length == b->datas[i].bytes.length &&
              memcmp(a->data_bytes + a->datas[i].bytes.offset, b->data_bytes + b->datas[i].bytes.offset, a->datas[i].bytes.length) == 0)
    CHECK(same_text(a, a->module_name, b, b->module_name));
    CHECK_EQ(b->features, a->features);
    CHECK_EQ(b->num_imported_funcs, a->num_imported_funcs);
    CHECK_EQ(b->num_imported_globals, a->num_imported_globals);
    CHECK_EQ(b->num_escaped_funcs, a->num_escaped_funcs);
    CHECK_EQ(b->start_func, a->start_func);
    CHECK_EQ(b->num_customs, 0);
    CHECK_EQ(b->num_func_names, 0); /* they have a section of the image to themselves */
    wr_module_free(b);
    free_blobs(&blobs);
    free_blobs(&again);
}

static uint64_t sum_bytes(const uint8_t *bytes, WasmSpan span)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < span.length; i++) sum += bytes[span.offset + i];
    return sum;
}

/* Reads whatever a verified module names. */
static uint64_t read_all(const WasmModule *module)
{
    uint64_t sum = sum_bytes(module->bytes, module->module_name);
    for (uint32_t i = 0; i < module->num_imports; i++) sum += sum_bytes(module->bytes, module->imports[i].module) + sum_bytes(module->bytes, module->imports[i].name);
    for (uint32_t i = 0; i < module->num_exports; i++) sum += sum_bytes(module->bytes, module->exports[i].name);
    for (uint32_t i = 0; i < module->num_funcs; i++) sum += module->types[module->funcs[i].type_index].func.num_params;
    for (uint32_t i = 0; i < module->num_elems; i++) {
        for (uint32_t n = 0; n < module->elems[i].num_items; n++) sum += module->elem_items[module->elems[i].first_item + n].index;
    }
    for (uint32_t i = 0; i < module->num_datas; i++) sum += sum_bytes(module->data_bytes, module->datas[i].bytes);
    return sum;
}

static void open_hostile(const Blobs *blobs, size_t num_meta_bytes)
{
    WasmModule *module = NULL;
    WrError error = {0};
    if (wr_meta_open(blobs->meta, num_meta_bytes, blobs->data, blobs->num_data_bytes, &module, &error)) {
        WrError found = {0};
        if (wr_meta_verify(module, &found)) {
            volatile uint64_t sum = read_all(module);
            (void)sum;
        } else {
            CHECK_EQ(found.kind, WR_ERROR_ARTIFACT);
        }
        wr_module_free(module);
    } else {
        CHECK_EQ(error.kind, WR_ERROR_ARTIFACT);
    }
}

static void truncated(void)
{
    Blobs blobs = write_blobs();
    for (size_t n = 0; n < blobs.num_meta_bytes; n++) {
        Blobs cut = blobs;
        cut.meta = malloc(n + 1);
        memcpy(cut.meta, blobs.meta, n);
        open_hostile(&cut, n);
        free(cut.meta);
    }
    free_blobs(&blobs);
}

static void mutated(void)
{
    Blobs blobs = write_blobs(), changed = write_blobs();
    uint32_t random = 7;
    for (int round = 0; round < 10000; round++) {
        memcpy(changed.meta, blobs.meta, blobs.num_meta_bytes);
        for (int n = round % 3; n >= 0; n--) {
            random = random * 1664525u + 1013904223u;
            uint8_t *at = changed.meta + (random >> 8) % blobs.num_meta_bytes;
            *at = (uint8_t)(random >> 30 == 0 ? 0xffu : random >> 30 == 1 ? *at + 1u : *at ^ 1u << (random >> 4 & 7));
        }
        open_hostile(&changed, blobs.num_meta_bytes);
    }
    free_blobs(&blobs);
    free_blobs(&changed);
}

int main(void)
{
    RUN(round_trip);
    RUN(truncated);
    RUN(mutated);
    return check_result();
}
