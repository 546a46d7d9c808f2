/* Meta blobs: a MetaHeader, each array of WASM_MODULE_ARRAYS at a multiple of 16, then the bytes that spans name, in the order of the rows.
 *
 * Sizing and writing are one walk (MetaWriter without and with a place to write to), so they cannot disagree. Custom sections and code bodies are
 * left out: nothing reads them after compiling; names of functions lie in sections of their own (code/symbols.h), which only backtraces read. */
#include <stdlib.h>
#include <string.h>

#include "wasm/meta.h"

/* Scalars of WasmModule that a blob keeps: WASM_SCALAR(name). */
#define META_SCALARS \
    WASM_SCALAR(num_imported_funcs) \
    WASM_SCALAR(num_imported_tables) \
    WASM_SCALAR(num_imported_memories) \
    WASM_SCALAR(num_imported_globals) \
    WASM_SCALAR(num_imported_tags) \
    WASM_SCALAR(num_escaped_funcs) \
    WASM_SCALAR(has_data_count) \
    WASM_SCALAR(start_func) \
    WASM_SCALAR(start_undeclared)

enum {
#define WASM_ARRAY(type, name) META_##name,
    WASM_MODULE_ARRAYS
#undef WASM_ARRAY
    META_NUM_ARRAYS
};

typedef struct MetaArray { uint32_t offset, count; } MetaArray;

typedef struct MetaHeader {
    uint64_t features;
    MetaArray arrays[META_NUM_ARRAYS];
    WasmSpan bytes; /* what spans count from is the blob's start, as in a decoded module */
    WasmSpan module_name;
#define WASM_SCALAR(name) uint32_t name;
    META_SCALARS
#undef WASM_SCALAR
    uint32_t reserved;
} MetaHeader;

_Static_assert(sizeof(MetaHeader) == 8 + 8 * META_NUM_ARRAYS + 16 + 40, "no padding");
_Static_assert(sizeof(WasmTypeDef) == 32 && sizeof(WasmConst) == 32 && sizeof(WasmLimits) == 24 && sizeof(WasmTable) == 64 && sizeof(WasmGlobal) == 40 &&
                   sizeof(WasmElem) == 56 && sizeof(WasmData) == 48 && sizeof(WasmFunc) == 16, "rows of the format have no padding");

/* ---- writing ------------------------------------------------------------------------------------------------------------------ */

typedef struct MetaWriter {
    const WasmModule *module;
    const WasmImages *images; /* NULL: data lie one after the other */
    uint8_t *meta, *data;   /* NULL: only counts */
    uint64_t end, data_end; /* what is taken so far */
    MetaHeader header;
} MetaWriter;

static WasmSpan meta_span(MetaWriter *writer, WasmSpan span)
{
    if (span.length == 0) return (WasmSpan){0, 0};
    WasmSpan written = {(uint32_t)writer->end, span.length};
    if (writer->meta) memcpy(writer->meta + writer->end, writer->module->bytes + span.offset, span.length);
    writer->end += span.length;
    return written;
}

/* Most imports name the module that the one before names. */
static WasmSpan meta_import_module(MetaWriter *writer, uint32_t index, WasmSpan previous)
{
    const WasmModule *module = writer->module;
    WasmSpan span = module->imports[index].module;
    if (index && span.length && span.length == module->imports[index - 1].module.length &&
        memcmp(module->bytes + span.offset, module->bytes + module->imports[index - 1].module.offset, span.length) == 0) return previous;
    return meta_span(writer, span);
}

static void meta_const(MetaWriter *writer, WasmConst *constant) { constant->expr = meta_span(writer, constant->expr); }

static void meta_data(MetaWriter *writer, WasmData *segment)
{
    uint64_t place = writer->data_end, offset;
    if (writer->images && segment->mode == WASM_SEGMENT_ACTIVE && segment->bytes.length && wr_images_segment(writer->module, segment, &offset)) {
        /* later segments overwrite earlier ones here as they would in memory */
        const WasmImageRange *range = &writer->images->ranges[segment->memory - writer->module->num_imported_memories];
        place = range->image_offset + (offset - range->memory_offset);
    } else {
        writer->data_end += segment->bytes.length;
    }
    if (writer->data && segment->bytes.length) memcpy(writer->data + place, writer->module->data_bytes + segment->bytes.offset, segment->bytes.length);
    segment->bytes.offset = (uint32_t)place;
}

/* Each row of an array, with its spans moved. Rows have no padding, so equal modules give equal bytes. */
#define META_ROWS(type, array, ...)                                                                 \
    for (uint32_t i = 0; i < module->num_##array; i++) {                                            \
        type row = module->array[i];                                                                \
        __VA_ARGS__                                                                                 \
        if (writer->meta) memcpy(writer->meta + writer->header.arrays[META_##array].offset + i * sizeof row, &row, sizeof row); \
    }

static void meta_walk(MetaWriter *writer)
{
    const WasmModule *module = writer->module;
    MetaHeader *header = &writer->header;
    writer->end = sizeof *header;
#define WASM_ARRAY(type, name)                                                                                           \
    writer->end = (writer->end + 15) & ~UINT64_C(15);                                                                    \
    header->arrays[META_##name] = (MetaArray){(uint32_t)writer->end, META_##name == META_customs || META_##name == META_func_names ? 0 : module->num_##name}; \
    writer->end += (uint64_t)header->arrays[META_##name].count * sizeof(type);
    WASM_MODULE_ARRAYS
#undef WASM_ARRAY
    const uint64_t bytes_start = writer->end;
    META_ROWS(ValType, valtypes, )
    META_ROWS(WasmTypeDef, types, )
    META_ROWS(WasmRecGroup, rec_groups, )
    WasmSpan import_module = {0, 0};
    META_ROWS(WasmImport, imports, row.module = import_module = meta_import_module(writer, i, import_module); row.name = meta_span(writer, row.name);)
    META_ROWS(WasmExport, exports, row.name = meta_span(writer, row.name);)
    META_ROWS(WasmFunc, funcs, row.body = (WasmSpan){0, 0};)
    META_ROWS(WasmTable, tables, meta_const(writer, &row.init);)
    META_ROWS(WasmMemory, memories, )
    META_ROWS(WasmGlobal, globals, meta_const(writer, &row.init);)
    META_ROWS(WasmTag, tags, )
    META_ROWS(WasmElem, elems, meta_const(writer, &row.offset);)
    META_ROWS(WasmElemItem, elem_items, )
    META_ROWS(WasmConst, elem_exprs, meta_const(writer, &row);)
    META_ROWS(WasmData, datas, meta_const(writer, &row.offset); meta_data(writer, &row);)
    header->module_name = meta_span(writer, module->module_name);
    header->bytes = (WasmSpan){(uint32_t)bytes_start, (uint32_t)(writer->end - bytes_start)};
}

static MetaWriter meta_writer(const WasmModule *module, const WasmImages *images, uint8_t *meta, uint8_t *data)
{
    return (MetaWriter){
        .module = module, .images = images, .meta = meta, .data = data, .data_end = images ? images->bytes : 0,
        .header = {
            .features = module->features,
#define WASM_SCALAR(name) .name = module->name,
            META_SCALARS
#undef WASM_SCALAR
        },
    };
}

bool wr_meta_size(const WasmModule *module, const WasmImages *images, size_t *out_meta_bytes, size_t *out_data_bytes, WrError *error)
{
    MetaWriter writer = meta_writer(module, images, NULL, NULL);
    meta_walk(&writer);
    if (writer.end > UINT32_MAX || writer.data_end > UINT32_MAX)
        return wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "the module's tables are over 4 GiB, or its data segments");
    *out_meta_bytes = (size_t)writer.end;
    *out_data_bytes = (size_t)writer.data_end;
    return true;
}

void wr_meta_write(const WasmModule *module, const WasmImages *images, uint8_t *meta, uint8_t *data)
{
    MetaWriter writer = meta_writer(module, images, meta, data);
    meta_walk(&writer);
    memcpy(meta, &writer.header, sizeof writer.header);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------ */

static bool meta_wrong(WrError *error, const char *what, uint32_t row)
{
    return wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "module records: %s %u is out of range", what, row);
}

static bool meta_fits(WasmSpan span, uint64_t limit) { return (uint64_t)span.offset + span.length <= limit; }

bool wr_meta_open(const uint8_t *meta, size_t num_meta_bytes, const uint8_t *data, size_t num_data_bytes, WasmModule **out_module, WrError *error)
{
    const MetaHeader *header = (const MetaHeader *)(const void *)meta;
    if (num_meta_bytes < sizeof *header) return wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "module records: found %zu bytes, wanted at least %zu", num_meta_bytes, sizeof *header);
#define WASM_ARRAY(type, name)                                                                          \
    {                                                                                                   \
        MetaArray array = header->arrays[META_##name];                                                  \
        if (array.offset % 16 || array.offset + (uint64_t)array.count * sizeof(type) > num_meta_bytes) return meta_wrong(error, "array", META_##name); \
    }
    WASM_MODULE_ARRAYS
#undef WASM_ARRAY
    if (!meta_fits(header->bytes, num_meta_bytes) || !meta_fits(header->module_name, num_meta_bytes)) return meta_wrong(error, "array", META_NUM_ARRAYS);
    const uint32_t imported[] = {header->num_imported_funcs, header->num_imported_tables, header->num_imported_memories, header->num_imported_globals, header->num_imported_tags};
    const uint8_t kinds[] = {META_funcs, META_tables, META_memories, META_globals, META_tags};
    for (uint32_t i = 0; i < sizeof kinds; i++) {
        if (imported[i] > header->arrays[kinds[i]].count) return meta_wrong(error, "number of imports of kind", i);
    }
    if (header->num_escaped_funcs > header->arrays[META_funcs].count) return meta_wrong(error, "number of escaping functions", header->num_escaped_funcs);
    if (header->start_func != UINT32_MAX && header->start_func >= header->arrays[META_funcs].count) return meta_wrong(error, "start function", header->start_func);

    WasmModule *module = calloc(1, sizeof *module);
    if (!module) return wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "no memory for the view of a module");
    module->bytes = meta;
    module->num_bytes = num_meta_bytes;
    module->data_bytes = data;
    module->num_data_bytes = num_data_bytes;
    module->features = header->features;
#define WASM_ARRAY(type, name)                                                                                   \
    module->name = (type *)(uintptr_t)(meta + header->arrays[META_##name].offset); /* read only: module is const */ \
    module->num_##name = header->arrays[META_##name].count;
    WASM_MODULE_ARRAYS
#undef WASM_ARRAY
#define WASM_SCALAR(name) module->name = header->name;
    META_SCALARS
#undef WASM_SCALAR
    module->module_name = header->module_name;
    *out_module = module;
    return true;
}

/* ---- verifying ---------------------------------------------------------------------------------------------------------------- */

static bool meta_rows_in(uint32_t first, uint32_t count, uint32_t limit) { return (uint64_t)first + count <= limit; }

static bool meta_type_ok(const WasmModule *module, ValType type)
{
    uint32_t kind = wr_vt_kind(type);
    return kind >= WR_KIND_I32 && kind <= WR_KIND_I16 && (!wr_vt_concrete(type) || (kind == WR_KIND_REF && wr_vt_heap(type) < module->num_types));
}

static bool meta_const_ok(const WasmModule *module, const WasmConst *constant)
{
    if (!meta_type_ok(module, constant->type)) return false;
    switch (constant->kind) {
    case WASM_CONST_BITS: case WASM_CONST_REF_NULL: return true;
    case WASM_CONST_GLOBAL: return constant->bits[0] < module->num_globals;
    case WASM_CONST_REF_FUNC: return constant->bits[0] < module->num_funcs && module->funcs[constant->bits[0]].escape_index != UINT32_MAX;
    case WASM_CONST_EXPR: return constant->expr.length && meta_fits(constant->expr, module->num_bytes);
    default: return false;
    }
}

static uint32_t meta_num_of_kind(const WasmModule *module, uint32_t kind)
{
    switch (kind) {
    case WASM_EXTERN_FUNC: return module->num_funcs;
    case WASM_EXTERN_TABLE: return module->num_tables;
    case WASM_EXTERN_MEMORY: return module->num_memories;
    case WASM_EXTERN_GLOBAL: return module->num_globals;
    case WASM_EXTERN_TAG: return module->num_tags;
    default: return 0;
    }
}

#define META_CHECK(array, type, ...)                                              \
    for (uint32_t i = 0; i < module->num_##array; i++) {                          \
        const type *row = &module->array[i];                                      \
        if (!(__VA_ARGS__)) return meta_wrong(error, "row of " #array ", number", i); \
    }

bool wr_meta_verify(const WasmModule *module, WrError *error)
{
    const uint64_t num_bytes = module->num_bytes;
    META_CHECK(valtypes, ValType, meta_type_ok(module, *row & ~WR_VT_MUTABLE))
    META_CHECK(types, WasmTypeDef, row->kind <= WASM_TYPE_ARRAY && (row->supertype == UINT32_MAX || row->supertype < i) && row->rec_group < module->num_rec_groups &&
               row->canonical <= i && meta_rows_in(row->func.params, row->func.num_params, module->num_valtypes) && meta_rows_in(row->func.results, row->func.num_results, module->num_valtypes))
    META_CHECK(rec_groups, WasmRecGroup, meta_rows_in(row->first_type, row->num_types, module->num_types))
    META_CHECK(imports, WasmImport, meta_fits(row->module, num_bytes) && meta_fits(row->name, num_bytes) && row->index < meta_num_of_kind(module, row->kind))
    META_CHECK(exports, WasmExport, meta_fits(row->name, num_bytes) && row->index < meta_num_of_kind(module, row->kind))
    META_CHECK(funcs, WasmFunc, row->type_index < module->num_types && module->types[row->type_index].kind == WASM_TYPE_FUNC &&
               (row->escape_index == UINT32_MAX || row->escape_index < module->num_escaped_funcs || i < module->num_imported_funcs))
    META_CHECK(tables, WasmTable, meta_type_ok(module, row->element) && (!row->has_init || meta_const_ok(module, &row->init)))
    META_CHECK(globals, WasmGlobal, meta_type_ok(module, row->type) && (i < module->num_imported_globals || meta_const_ok(module, &row->init)))
    META_CHECK(tags, WasmTag, row->type_index < module->num_types)
    META_CHECK(elems, WasmElem, row->mode <= WASM_SEGMENT_DECLARED && meta_type_ok(module, row->type) && meta_rows_in(row->first_item, row->num_items, module->num_elem_items) &&
               (row->mode != WASM_SEGMENT_ACTIVE || (row->table < module->num_tables && meta_const_ok(module, &row->offset))))
    META_CHECK(elem_items, WasmElemItem, row->kind == WASM_CONST_REF_NULL || (row->kind == WASM_CONST_GLOBAL && row->index < module->num_globals) ||
               (row->kind == WASM_CONST_EXPR && row->index < module->num_elem_exprs) ||
               (row->kind == WASM_CONST_REF_FUNC && row->index < module->num_funcs && module->funcs[row->index].escape_index != UINT32_MAX))
    META_CHECK(elem_exprs, WasmConst, meta_const_ok(module, row))
    META_CHECK(datas, WasmData, row->mode <= WASM_SEGMENT_PASSIVE + 1 && meta_fits(row->bytes, module->num_data_bytes) &&
               (row->mode != WASM_SEGMENT_ACTIVE || (row->memory < module->num_memories && meta_const_ok(module, &row->offset))))
    META_CHECK(func_names, WasmFuncName, row->func < module->num_funcs && meta_fits(row->name, module->num_name_bytes))
    return true;
}
