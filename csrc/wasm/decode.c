/* The sections of a core module to flat arrays: index spaces, limits, imports and exports, segments. Bodies are spans; validate.c reads them.
 *
 * One pass in file order. What an item refers to must be known by then, which the order of sections guarantees. Counts are checked against limits.def and
 * against the bytes that are left before room is made, so that memory is proportional to the file. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "wasm/decode.h"
#include "wasm/validate.h"

enum {
    SECTION_CUSTOM, SECTION_TYPE, SECTION_IMPORT, SECTION_FUNCTION, SECTION_TABLE, SECTION_MEMORY, SECTION_GLOBAL, SECTION_EXPORT, SECTION_START,
    SECTION_ELEMENT, SECTION_CODE, SECTION_DATA, SECTION_DATA_COUNT, SECTION_TAG, SECTION_ID_COUNT
};

static const struct { uint8_t order; const char *name; } decode_sections[SECTION_ID_COUNT] = {
    [SECTION_CUSTOM] = {0, "custom"},    [SECTION_TYPE] = {1, "type"},        [SECTION_IMPORT] = {2, "import"},   [SECTION_FUNCTION] = {3, "function"},
    [SECTION_TABLE] = {4, "table"},      [SECTION_MEMORY] = {5, "memory"},    [SECTION_TAG] = {6, "tag"},         [SECTION_GLOBAL] = {7, "global"},
    [SECTION_EXPORT] = {8, "export"},    [SECTION_START] = {9, "start"},      [SECTION_ELEMENT] = {10, "element"}, [SECTION_DATA_COUNT] = {11, "data count"},
    [SECTION_CODE] = {12, "code"},       [SECTION_DATA] = {13, "data"},
};

static bool decode_fail_index(WasmReader *r, const uint8_t *at, const char *what, uint32_t index, uint32_t count)
{
    return wr_reader_fail(r, WR_ERROR_VALIDATION, at, "unknown %s %u, expected an index below %u", what, index, count);
}

/* A vector's count for an index space that already holds `have` items. */
static bool decode_count(WasmDecoder *d, uint32_t have, uint32_t limit, const char *limit_name, uint32_t min_bytes, uint32_t *out_count, const char *what)
{
    const uint8_t *at = d->reader.p;
    if (!wr_reader_count(&d->reader, limit, limit_name, min_bytes, out_count, what)) return false;
    return *out_count <= limit - have || wr_reader_fail(&d->reader, WR_ERROR_LIMIT, at, "%s of %u with those imported: the limit %s is %u", what, *out_count + have, limit_name, limit);
}

static bool decode_type_index(WasmDecoder *d, uint32_t *out_index)
{
    const uint8_t *at = d->reader.p;
    if (!wr_reader_u32(&d->reader, out_index, "a type index")) return false;
    if (*out_index >= d->module->num_types) return decode_fail_index(&d->reader, at, "type", *out_index, d->module->num_types);
    return d->module->types[*out_index].kind == WASM_TYPE_FUNC || wr_reader_fail(&d->reader, WR_ERROR_VALIDATION, at, "type %u is not a function type", *out_index);
}

/* Minimum and maximum after the flags: 64 bits wide for every index type, which bounds them when all is read. */
static bool decode_limits(WasmDecoder *d, WasmLimits *limits, const char *what)
{
    WasmReader *r = &d->reader;
    if (limits->flags & WASM_LIMITS_64 && !wr_reader_need(r, WASM_FEATURE_BIT_MEMORY64, r->p, "a 64-bit index type")) return false;
    return wr_reader_u64(r, &limits->min, what) && (!(limits->flags & WASM_LIMITS_HAS_MAX) || wr_reader_u64(r, &limits->max, what));
}

static bool decode_check_limits(WasmDecoder *d, const WasmLimits *limits, uint64_t bound, const uint8_t *at, const char *what, const char *unit)
{
    WasmReader *r = &d->reader;
    if (limits->min > bound || limits->max > bound)
        return wr_reader_fail(r, WR_ERROR_VALIDATION, at, "%s size must be at most %llu %s", what, (unsigned long long)bound, unit);
    if (limits->flags & WASM_LIMITS_HAS_MAX && limits->min > limits->max)
        return wr_reader_fail(r, WR_ERROR_VALIDATION, at, "size minimum must not be greater than maximum: %llu and %llu", (unsigned long long)limits->min, (unsigned long long)limits->max);
    return true;
}

static bool decode_table_type(WasmDecoder *d, WasmTable *table)
{
    WasmReader *r = &d->reader;
    const uint8_t *at;
    if (!wr_reader_reftype(r, &table->element, "a table's reference type")) return false;
    at = r->p;
    if (!wr_reader_byte(r, &table->limits.flags, "the flags of a table's limits")) return false;
    if (table->limits.flags & ~(WASM_LIMITS_HAS_MAX | WASM_LIMITS_64))
        return wr_reader_fail(r, WR_ERROR_DECODE, at, "malformed limits flags 0x%02x of a table", table->limits.flags);
    return decode_limits(d, &table->limits, "a table's size") &&
           decode_check_limits(d, &table->limits, table->limits.flags & WASM_LIMITS_64 ? UINT64_MAX : UINT32_MAX, at, "table", "elements");
}

static bool decode_memory_type(WasmDecoder *d, WasmMemory *memory)
{
    enum { FLAG_PAGE_SIZE = 8 };
    WasmReader *r = &d->reader;
    WasmLimits *limits = &memory->limits;
    const uint8_t *at = r->p;
    if (!wr_reader_byte(r, &limits->flags, "the flags of a memory's limits")) return false;
    uint8_t flags = limits->flags;
    if (flags & ~(WASM_LIMITS_HAS_MAX | WASM_LIMITS_SHARED | WASM_LIMITS_64 | FLAG_PAGE_SIZE))
        return wr_reader_fail(r, WR_ERROR_DECODE, at, "malformed limits flags 0x%02x of a memory", flags);
    if (flags & FLAG_PAGE_SIZE && !wr_reader_need(r, WASM_FEATURE_BIT_CUSTOM_PAGE_SIZES, at, "malformed limits flags: a page size")) return false;
    if (flags & WASM_LIMITS_SHARED) {
        if (!wr_reader_need(r, WASM_FEATURE_BIT_THREADS, at, "a shared memory")) return false;
        if (!(flags & WASM_LIMITS_HAS_MAX)) return wr_reader_fail(r, WR_ERROR_VALIDATION, at, "shared memory must have maximum");
    }
    limits->flags = flags & (uint8_t)~FLAG_PAGE_SIZE;
    limits->page_size_log2 = 16;
    if (!decode_limits(d, limits, "a memory's size")) return false;
    if (flags & FLAG_PAGE_SIZE) {
        uint32_t page_size_log2;
        const uint8_t *page_at = r->p;
        if (!wr_reader_u32(r, &page_size_log2, "a page size")) return false;
        if (page_size_log2 >= 64) return wr_reader_fail(r, WR_ERROR_DECODE, page_at, "malformed page size 2^%u: invalid custom page size, expected 1 or 65536", page_size_log2);
        if (page_size_log2 != 0 && page_size_log2 != 16) return wr_reader_fail(r, WR_ERROR_VALIDATION, page_at, "invalid custom page size 2^%u, expected 1 or 65536", page_size_log2);
        limits->page_size_log2 = (uint8_t)page_size_log2;
    }
    uint64_t bound = limits->flags & WASM_LIMITS_64 ? (limits->page_size_log2 ? UINT64_C(1) << 48 : UINT64_MAX) : limits->page_size_log2 ? 65536 : UINT32_MAX;
    return decode_check_limits(d, limits, bound, at, "memory", limits->page_size_log2 ? "pages (4GiB)" : "pages");
}

static bool decode_global_type(WasmDecoder *d, WasmGlobal *global)
{
    WasmReader *r = &d->reader;
    const uint8_t *at;
    uint8_t is_mutable;
    if (!wr_reader_valtype(r, &global->type, "a global's type")) return false;
    at = r->p;
    if (!wr_reader_byte(r, &is_mutable, "a global's mutability")) return false;
    global->is_mutable = is_mutable;
    return is_mutable <= 1 || wr_reader_fail(r, WR_ERROR_DECODE, at, "malformed mutability 0x%02x, expected 0 or 1", is_mutable);
}

static bool decode_tag_type(WasmDecoder *d, WasmTag *tag)
{
    WasmReader *r = &d->reader;
    const uint8_t *at = r->p;
    uint8_t attribute;
    if (!wr_reader_need(r, WASM_FEATURE_BIT_EXCEPTIONS, at, "a tag") || !wr_reader_byte(r, &attribute, "a tag's attribute")) return false;
    if (attribute) return wr_reader_fail(r, WR_ERROR_DECODE, at, "malformed tag attribute 0x%02x, expected 0", attribute);
    at = r->p;
    if (!decode_type_index(d, &tag->type_index)) return false;
    return !d->module->types[tag->type_index].func.num_results || wr_reader_fail(r, WR_ERROR_VALIDATION, at, "non-empty tag result type of type %u", tag->type_index);
}

static bool decode_room_in_space(WasmDecoder *d, uint32_t count, uint32_t limit, const char *limit_name, const uint8_t *at)
{
    return count < limit || wr_reader_fail(&d->reader, WR_ERROR_LIMIT, at, "too many imports of a kind: the limit %s is %u", limit_name, limit);
}

static bool decode_import(WasmDecoder *d)
{
    WasmReader *r = &d->reader;
    WasmModule *m = d->module;
    WasmImport import = {0};
    const uint8_t *at;
    uint8_t kind;
    if (!wr_reader_name(r, &import.module, "an import's module name") || !wr_reader_name(r, &import.name, "an import's name")) return false;
    at = r->p;
    if (!wr_reader_byte(r, &kind, "an import's kind")) return false;
    import.kind = kind;
    switch (kind) {
    case WASM_EXTERN_FUNC: {
        WasmFunc func = {.escape_index = UINT32_MAX};
        import.index = m->num_imported_funcs++;
        if (!decode_room_in_space(d, m->num_funcs, WR_LIMIT_FUNCTIONS, "FUNCTIONS", at) || !decode_type_index(d, &func.type_index) || !decoder_push(d, funcs, func)) return false;
        break;
    }
    case WASM_EXTERN_TABLE: {
        WasmTable table = {0};
        import.index = m->num_imported_tables++;
        if (!decode_room_in_space(d, m->num_tables, WR_LIMIT_TABLES, "TABLES", at) || !decode_table_type(d, &table) || !decoder_push(d, tables, table)) return false;
        break;
    }
    case WASM_EXTERN_MEMORY: {
        WasmMemory memory = {0};
        import.index = m->num_imported_memories++;
        if (!decode_room_in_space(d, m->num_memories, WR_LIMIT_MEMORIES, "MEMORIES", at) || !decode_memory_type(d, &memory) || !decoder_push(d, memories, memory)) return false;
        break;
    }
    case WASM_EXTERN_GLOBAL: {
        WasmGlobal global = {0};
        import.index = m->num_imported_globals++;
        if (!decode_room_in_space(d, m->num_globals, WR_LIMIT_GLOBALS, "GLOBALS", at) || !decode_global_type(d, &global) || !decoder_push(d, globals, global)) return false;
        break;
    }
    case WASM_EXTERN_TAG: {
        WasmTag tag = {0};
        import.index = m->num_imported_tags++;
        if (!decode_room_in_space(d, m->num_tags, WR_LIMIT_TAGS, "TAGS", at) || !decode_tag_type(d, &tag) || !decoder_push(d, tags, tag)) return false;
        break;
    }
    default: return wr_reader_fail(r, WR_ERROR_DECODE, at, "malformed import kind 0x%02x, expected 0 to 4", kind);
    }
    return decoder_push(d, imports, import);
}

static bool decode_function(WasmDecoder *d)
{
    WasmFunc func = {.escape_index = UINT32_MAX};
    return decode_type_index(d, &func.type_index) && decoder_push(d, funcs, func);
}

static bool decode_table(WasmDecoder *d)
{
    WasmReader *r = &d->reader;
    const uint8_t *at = r->p;
    WasmTable table = {0};
    if (at < r->end && *at == 0x40) {
        uint8_t zero;
        r->p++;
        if (!wr_reader_need(r, WASM_FEATURE_BIT_FUNCTION_REFERENCES, at, "a table's initializer") || !wr_reader_byte(r, &zero, "a zero byte")) return false;
        if (zero) return wr_reader_fail(r, WR_ERROR_DECODE, r->p - 1, "malformed table 0x%02x, expected a zero byte", zero);
        table.has_init = 1;
    }
    if (!decode_table_type(d, &table)) return false;
    if (table.has_init) {
        if (!wr_decode_const(d, table.element, &table.init)) return false;
    } else if (!wr_vt_defaultable(table.element)) {
        WrVtText text;
        return wr_reader_fail(r, WR_ERROR_VALIDATION, at, "type mismatch: a table of %s needs an initializer", wr_vt_text(table.element, &text));
    }
    return decoder_push(d, tables, table);
}

static bool decode_memory(WasmDecoder *d)
{
    WasmMemory memory = {0};
    return decode_memory_type(d, &memory) && decoder_push(d, memories, memory);
}

static bool decode_global(WasmDecoder *d)
{
    WasmGlobal global = {0};
    return decode_global_type(d, &global) && wr_decode_const(d, global.type, &global.init) && decoder_push(d, globals, global);
}

static bool decode_tag(WasmDecoder *d)
{
    WasmTag tag = {0};
    return decode_tag_type(d, &tag) && decoder_push(d, tags, tag);
}

static bool decode_export(WasmDecoder *d)
{
    WasmReader *r = &d->reader;
    WasmModule *m = d->module;
    static const char *const kinds[] = {"function", "table", "memory", "global", "tag"};
    const uint32_t counts[] = {m->num_funcs, m->num_tables, m->num_memories, m->num_globals, m->num_tags};
    WasmExport export = {0};
    const uint8_t *at;
    uint8_t kind;
    if (!wr_reader_name(r, &export.name, "an export's name")) return false;
    at = r->p;
    if (!wr_reader_byte(r, &kind, "an export's kind")) return false;
    if (kind > WASM_EXTERN_TAG) return wr_reader_fail(r, WR_ERROR_DECODE, at, "malformed export kind 0x%02x, expected 0 to 4", kind);
    export.kind = kind;
    at = r->p;
    if (!wr_reader_u32(r, &export.index, "an export's index")) return false;
    if (export.index >= counts[kind]) return decode_fail_index(r, at, kinds[kind], export.index, counts[kind]);
    if (kind == WASM_EXTERN_FUNC) decoder_escape(d, export.index);
    return decoder_push(d, exports, export);
}

static bool decode_unique_exports(WasmDecoder *d)
{
    WasmModule *m = d->module;
    uint32_t size = 16;
    while (size < m->num_exports * 2) size *= 2;
    uint32_t *buckets = calloc(size, sizeof *buckets); /* 1 + export index */
    if (!buckets) return wr_reader_fail(&d->reader, WR_ERROR_MEMORY, d->reader.p, "no memory for the module's exports");
    uint64_t seed = wr_hash_seed(buckets);
    bool unique = true;
    for (uint32_t i = 0; unique && i < m->num_exports; i++) {
        WasmSpan name = m->exports[i].name;
        const uint8_t *text = m->bytes + name.offset;
        uint64_t at = wr_hash_bytes(seed, text, name.length);
        for (uint32_t entry; unique && (entry = buckets[at & (size - 1)]) != 0; at++) {
            WasmSpan other = m->exports[entry - 1].name;
            if (other.length == name.length && !memcmp(m->bytes + other.offset, text, name.length))
                unique = wr_reader_fail(&d->reader, WR_ERROR_VALIDATION, text, "duplicate export name \"%.*s\"", (int)(name.length < 100 ? name.length : 100), (const char *)text);
        }
        buckets[at & (size - 1)] = i + 1;
    }
    free(buckets);
    return unique;
}

static bool decode_start(WasmDecoder *d)
{
    WasmModule *m = d->module;
    const uint8_t *at = d->reader.p;
    if (!wr_reader_u32(&d->reader, &m->start_func, "the start function's index")) return false;
    if (m->start_func >= m->num_funcs) return decode_fail_index(&d->reader, at, "function", m->start_func, m->num_funcs);
    const WasmFuncType *type = wr_module_func_type(m, m->start_func);
    return (!type->num_params && !type->num_results) || wr_reader_fail(&d->reader, WR_ERROR_VALIDATION, at, "start function %u must have no parameters and no results", m->start_func);
}

static bool decode_elem_item(WasmDecoder *d, ValType type, bool is_expr, WasmElemItem *out_item)
{
    WasmReader *r = &d->reader;
    WasmModule *m = d->module;
    const uint8_t *at = r->p;
    if (!is_expr) {
        out_item->kind = WASM_CONST_REF_FUNC;
        if (!wr_reader_u32(r, &out_item->index, "a function index")) return false;
        if (out_item->index >= m->num_funcs) return decode_fail_index(r, at, "function", out_item->index, m->num_funcs);
        decoder_escape(d, out_item->index);
        return true;
    }
    WasmConst value;
    if (!wr_decode_const(d, type, &value)) return false;
    *out_item = (WasmElemItem){value.kind, (uint32_t)value.bits[0]};
    if (value.kind != WASM_CONST_EXPR) return true; /* references are never BITS */
    out_item->index = m->num_elem_exprs;
    return decoder_push(d, elem_exprs, value);
}

static bool decode_elem(WasmDecoder *d)
{
    enum { FLAG_NOT_ACTIVE = 1, FLAG_EXPLICIT = 2 /* table index; with NOT_ACTIVE: declared */, FLAG_EXPRS = 4 };
    WasmReader *r = &d->reader;
    WasmModule *m = d->module;
    WasmElem elem = {.mode = WASM_SEGMENT_ACTIVE, .type = WR_VT_REF(false, WR_HEAP_FUNC)};
    const uint8_t *at = r->p;
    uint32_t flags;
    if (!wr_reader_u32(r, &flags, "the flags of an element segment")) return false;
    if (flags > 7) return wr_reader_fail(r, WR_ERROR_DECODE, at, "malformed elements segment kind %u, expected 0 to 7", flags);
    if (flags && !wr_reader_need(r, WASM_FEATURE_BIT_BULK_MEMORY, at, "this element segment")) return false;
    if (flags & FLAG_NOT_ACTIVE) {
        elem.mode = flags & FLAG_EXPLICIT ? WASM_SEGMENT_DECLARED : WASM_SEGMENT_PASSIVE;
    } else {
        const uint8_t *table_at = r->p;
        if (flags & FLAG_EXPLICIT && !wr_reader_u32(r, &elem.table, "a table index")) return false;
        if (elem.table >= m->num_tables) return decode_fail_index(r, table_at, "table", elem.table, m->num_tables);
        if (!wr_decode_const(d, m->tables[elem.table].limits.flags & WASM_LIMITS_64 ? WR_VALTYPE_I64 : WR_VALTYPE_I32, &elem.offset)) return false;
    }
    if (flags & FLAG_EXPRS) elem.type = WR_VALTYPE_FUNCREF;
    if (flags & (FLAG_NOT_ACTIVE | FLAG_EXPLICIT)) {
        const uint8_t *kind_at = r->p;
        uint8_t kind;
        if (flags & FLAG_EXPRS) {
            if (!wr_reader_reftype(r, &elem.type, "the type of an element segment")) return false;
        } else {
            if (!wr_reader_byte(r, &kind, "an element kind")) return false;
            if (kind) return wr_reader_fail(r, WR_ERROR_DECODE, kind_at, "malformed element kind 0x%02x, expected 0", kind);
        }
    }
    if (elem.mode == WASM_SEGMENT_ACTIVE && !wr_vt_matches(m, elem.type, m->tables[elem.table].element)) {
        WrVtText found, want;
        return wr_reader_fail(r, WR_ERROR_VALIDATION, at, "type mismatch: elements of %s, expected the table's %s", wr_vt_text(elem.type, &found), wr_vt_text(m->tables[elem.table].element, &want));
    }
    if (!wr_reader_count(r, WR_LIMIT_ELEMENT_SEGMENT_ITEMS, "ELEMENT_SEGMENT_ITEMS", flags & FLAG_EXPRS ? 2 : 1, &elem.num_items, "the number of items")) return false;
    elem.first_item = m->num_elem_items;
    elem.is_plain = 1;
    if (!decoder_room(d, elem_items, elem.num_items)) return false;
    for (uint32_t i = 0; i < elem.num_items; i++) {
        WasmElemItem item;
        if (!decode_elem_item(d, elem.type, flags & FLAG_EXPRS, &item)) return false;
        m->elem_items[m->num_elem_items++] = item;
        if (item.kind != WASM_CONST_REF_FUNC && item.kind != WASM_CONST_REF_NULL) elem.is_plain = 0;
    }
    return decoder_push(d, elems, elem);
}

static bool decode_data(WasmDecoder *d)
{
    WasmReader *r = &d->reader;
    WasmModule *m = d->module;
    WasmData data = {.mode = WASM_SEGMENT_ACTIVE};
    const uint8_t *at = r->p, *bytes;
    uint32_t flags, length;
    if (!wr_reader_u32(r, &flags, "the flags of a data segment")) return false;
    if (flags > 2) return wr_reader_fail(r, WR_ERROR_DECODE, at, "malformed data segment kind %u, expected 0 to 2", flags);
    if (flags && !wr_reader_need(r, WASM_FEATURE_BIT_BULK_MEMORY, at, "this data segment")) return false;
    if (flags == 1) {
        data.mode = WASM_SEGMENT_PASSIVE;
    } else {
        at = r->p;
        if (flags == 2 && !wr_reader_u32(r, &data.memory, "a memory index")) return false;
        if (data.memory >= m->num_memories) return decode_fail_index(r, at, "memory", data.memory, m->num_memories);
        if (!wr_decode_const(d, m->memories[data.memory].limits.flags & WASM_LIMITS_64 ? WR_VALTYPE_I64 : WR_VALTYPE_I32, &data.offset)) return false;
    }
    if (!wr_reader_u32(r, &length, "the length of a data segment") || !wr_reader_bytes(r, length, &bytes, "a data segment")) return false;
    data.bytes = (WasmSpan){(uint32_t)(bytes - r->bytes), length};
    return decoder_push(d, datas, data);
}

static bool decode_code(WasmDecoder *d)
{
    WasmReader *r = &d->reader;
    WasmModule *m = d->module;
    const uint8_t *at = r->p, *body;
    uint32_t count, size;
    if (!wr_reader_u32(r, &count, "the number of function bodies")) return false;
    d->num_bodies = count; /* compared when all sections are read: a further code section is the worse mistake */
    d->bodies_at = at;
    for (uint32_t i = 0; i < count; i++) {
        at = r->p;
        if (!wr_reader_u32(r, &size, "the size of a function body")) return false;
        if (size > WR_LIMIT_FUNCTION_BODY_BYTES)
            return wr_reader_fail(r, WR_ERROR_LIMIT, at, "function body of %u bytes: the limit FUNCTION_BODY_BYTES is %u", size, WR_LIMIT_FUNCTION_BODY_BYTES);
        if (!wr_reader_bytes(r, size, &body, "a function body")) return false;
        if (i < d->num_declared_funcs) m->funcs[m->num_imported_funcs + i].body = (WasmSpan){(uint32_t)(body - r->bytes), size};
    }
    return true;
}

static bool decode_custom(WasmDecoder *d, const uint8_t *end)
{
    WasmReader *r = &d->reader;
    WasmCustom custom;
    if (!wr_reader_name(r, &custom.name, "a custom section's name")) return false;
    custom.bytes = (WasmSpan){(uint32_t)(r->p - r->bytes), (uint32_t)(end - r->p)};
    if (custom.name.length == 4 && !memcmp(r->bytes + custom.name.offset, "name", 4)) wr_decode_names(d, r->p, end);
    r->p = end;
    return decoder_push(d, customs, custom);
}

static bool decode_items(WasmDecoder *d, uint32_t count, bool (*item)(WasmDecoder *))
{
    while (count--)
        if (!item(d)) return false;
    return true;
}

static bool decode_section(WasmDecoder *d, uint8_t id)
{
    WasmReader *r = &d->reader;
    WasmModule *m = d->module;
    uint32_t count;
    const uint8_t *at = r->p;
    switch (id) {
    case SECTION_CUSTOM: return decode_custom(d, r->end);
    case SECTION_TYPE: return wr_decode_type_section(d);
    case SECTION_IMPORT:
        return decode_count(d, 0, WR_LIMIT_IMPORTS, "IMPORTS", 4, &count, "the number of imports") && decode_items(d, count, decode_import) &&
               (m->num_tables <= 1 || wr_reader_need(r, WASM_FEATURE_BIT_REFERENCE_TYPES, at, "more than one table")) &&
               (m->num_memories <= 1 || wr_reader_need(r, WASM_FEATURE_BIT_MULTI_MEMORY, at, "more than one memory (multiple memories)"));
    case SECTION_FUNCTION:
        if (!decode_count(d, m->num_funcs, WR_LIMIT_FUNCTIONS, "FUNCTIONS", 1, &count, "the number of functions") || !decoder_room(d, funcs, count)) return false;
        d->num_declared_funcs = count;
        return decode_items(d, count, decode_function);
    case SECTION_TABLE:
        if (!decode_count(d, m->num_tables, WR_LIMIT_TABLES, "TABLES", 3, &count, "the number of tables")) return false;
        if (m->num_tables + count > 1 && !wr_reader_need(r, WASM_FEATURE_BIT_REFERENCE_TYPES, at, "more than one table")) return false;
        return decode_items(d, count, decode_table);
    case SECTION_MEMORY:
        if (!decode_count(d, m->num_memories, WR_LIMIT_MEMORIES, "MEMORIES", 2, &count, "the number of memories")) return false;
        if (m->num_memories + count > 1 && !wr_reader_need(r, WASM_FEATURE_BIT_MULTI_MEMORY, at, "more than one memory (multiple memories)")) return false;
        return decode_items(d, count, decode_memory);
    case SECTION_TAG:
        if (!wr_reader_need(r, WASM_FEATURE_BIT_EXCEPTIONS, at, "a tag section")) return false;
        return decode_count(d, m->num_tags, WR_LIMIT_TAGS, "TAGS", 2, &count, "the number of tags") && decode_items(d, count, decode_tag);
    case SECTION_GLOBAL: return decode_count(d, m->num_globals, WR_LIMIT_GLOBALS, "GLOBALS", 3, &count, "the number of globals") && decode_items(d, count, decode_global);
    case SECTION_EXPORT:
        return decode_count(d, 0, WR_LIMIT_EXPORTS, "EXPORTS", 3, &count, "the number of exports") && decoder_room(d, exports, count) && decode_items(d, count, decode_export) &&
               decode_unique_exports(d);
    case SECTION_START: return decode_start(d);
    case SECTION_ELEMENT:
        return decode_count(d, 0, WR_LIMIT_ELEMENT_SEGMENTS, "ELEMENT_SEGMENTS", 2, &count, "the number of element segments") && decode_items(d, count, decode_elem);
    case SECTION_DATA_COUNT:
        m->has_data_count = 1;
        return wr_reader_need(r, WASM_FEATURE_BIT_BULK_MEMORY, at, "a data count section") && wr_reader_u32(r, &d->data_count, "the number of data segments");
    case SECTION_CODE: return decode_code(d);
    case SECTION_DATA:
        if (!decode_count(d, 0, WR_LIMIT_DATA_SEGMENTS, "DATA_SEGMENTS", 2, &count, "the number of data segments")) return false;
        if (m->has_data_count && count != d->data_count)
            return wr_reader_fail(r, WR_ERROR_DECODE, at, "data count and data section have inconsistent lengths: %u segments, expected %u", count, d->data_count);
        return decode_items(d, count, decode_data);
    default: return false;
    }
}

static bool decode_sections_all(WasmDecoder *d, const uint8_t *end)
{
    WasmReader *r = &d->reader;
    uint8_t last_order = 0, last_id = SECTION_CUSTOM;
    while (r->p < end) {
        const uint8_t *at = r->p, *start;
        uint8_t id;
        uint32_t size;
        r->end = end;
        if (!wr_reader_byte(r, &id, "a section id")) return false;
        if (id >= SECTION_ID_COUNT) return wr_reader_fail(r, WR_ERROR_DECODE, at, "malformed section id %u, expected one below %u", id, SECTION_ID_COUNT);
        if (!wr_reader_u32(r, &size, "the size of a section")) return false;
        start = r->p;
        if (size > (size_t)(end - start))
            return wr_reader_fail(r, WR_ERROR_DECODE, end, "unexpected end, expected %u bytes of the %s section", size, decode_sections[id].name);
        if (id != SECTION_CUSTOM) {
            uint8_t order = decode_sections[id].order;
            if (order <= last_order)
                return wr_reader_fail(r, WR_ERROR_DECODE, at, "unexpected content after last section: the %s section does not belong after the %s section", decode_sections[id].name, decode_sections[last_id].name);
            last_order = order;
            last_id = id;
        }
        r->end = start + size;
        if (id == SECTION_CODE) d->module->code_section = (WasmSpan){(uint32_t)(start - r->bytes), size};
        if (!decode_section(d, id)) return false;
        if (r->p != r->end)
            return wr_reader_fail(r, WR_ERROR_DECODE, r->p, "section size mismatch: %u bytes left in the %s section", (uint32_t)(r->end - r->p), decode_sections[id].name);
    }
    r->end = end;
    return true;
}

/* Checks between sections, and the numbering of functions whose address can be taken. */
static bool decode_finish(WasmDecoder *d)
{
    WasmReader *r = &d->reader;
    WasmModule *m = d->module;
    if (d->num_bodies != d->num_declared_funcs)
        return wr_reader_fail(r, WR_ERROR_DECODE, d->bodies_at ? d->bodies_at : r->end, "function and code section have inconsistent lengths: %u bodies, expected %u", d->num_bodies,
                              d->num_declared_funcs);
    if (m->has_data_count && d->data_count != m->num_datas)
        return wr_reader_fail(r, WR_ERROR_DECODE, r->end, "data count and data section have inconsistent lengths: %u segments, expected %u", m->num_datas, d->data_count);
    if (m->start_func != UINT32_MAX && m->funcs[m->start_func].escape_index == UINT32_MAX) {
        m->start_undeclared = 1;
        decoder_escape(d, m->start_func);
    }
    for (uint32_t i = m->num_imported_funcs; i < m->num_funcs; i++)
        if (m->funcs[i].escape_index != UINT32_MAX) m->funcs[i].escape_index = m->num_escaped_funcs++;
    return true;
}

static bool decode_module(WasmDecoder *d, const uint8_t *bytes, size_t num_bytes)
{
    static const uint8_t magic[4] = {0, 'a', 's', 'm'};
    WasmReader *r = &d->reader;
    const uint8_t *head;
    if (num_bytes > WR_LIMIT_MODULE_BYTES) return wr_reader_fail(r, WR_ERROR_LIMIT, bytes, "module of %zu bytes: the limit MODULE_BYTES is %u", num_bytes, WR_LIMIT_MODULE_BYTES);
    if (!wr_reader_bytes(r, 4, &head, "the magic header \\0asm")) return false;
    if (memcmp(head, magic, 4)) return wr_reader_fail(r, WR_ERROR_DECODE, head, "magic header not detected, expected \\0asm");
    if (!wr_reader_bytes(r, 4, &head, "the binary version")) return false;
    if (head[2] == 1 && head[3] == 0) return wr_reader_fail(r, WR_ERROR_DECODE, head, "this is a component, expected a core module");
    if (head[0] != 1 || head[1] || head[2] || head[3])
        return wr_reader_fail(r, WR_ERROR_DECODE, head, "unknown binary version %02x%02x%02x%02x, expected 01000000", head[0], head[1], head[2], head[3]);
    return decode_sections_all(d, bytes + num_bytes) && decode_finish(d);
}

/* A section after the bodies is wrong. If a body is malformed itself, that comes first in the file and may be why: wrong sizes make what follows unreadable. */
static void decode_blame_body(WasmDecoder *d, WrError *error)
{
    WasmModule *m = d->module;
    WasmValidateScratch *scratch = wr_validate_scratch_new();
    for (uint32_t i = m->num_imported_funcs; scratch && i < m->num_funcs && m->funcs[i].body.length; i++) {
        WrError found = {0};
        if (wr_func_validate(m, i, NULL, scratch, &found)) continue;
        if (found.kind == WR_ERROR_DECODE && found.offset <= error->offset) *error = found;
        break;
    }
    wr_validate_scratch_free(scratch);
}

bool wr_module_decode(const uint8_t *bytes, size_t num_bytes, uint64_t features, WasmModule **out_module, WrError *error)
{
    WasmModule *module = calloc(1, sizeof *module);
    if (!module) return wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "no memory for a module");
    module->bytes = module->data_bytes = module->name_bytes = bytes;
    module->num_bytes = module->num_data_bytes = module->num_name_bytes = num_bytes;
    module->features = features | WASM_FEATURE_MVP;
    module->start_func = UINT32_MAX;
    module->owns_arrays = true;
    WasmDecoder decoder = {
        .reader = {.bytes = bytes, .p = bytes, .end = bytes + num_bytes, .file_end = bytes + num_bytes, .module = module, .features = module->features, .error = error},
        .module = module,
    };
    bool done = decode_module(&decoder, bytes, num_bytes);
    wr_array_free(&decoder.operands);
    if (!done && error && error->kind == WR_ERROR_DECODE && decoder.bodies_at) decode_blame_body(&decoder, error);
    if (done) *out_module = module;
    else wr_module_free(module);
    return done;
}

void wr_module_free(WasmModule *module)
{
    if (!module) return;
    if (module->owns_arrays) {
#define WASM_ARRAY(type, name) free(module->name);
        WASM_MODULE_ARRAYS
#undef WASM_ARRAY
    }
    free(module->copied_bytes);
    free(module);
}
