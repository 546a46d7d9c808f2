/* The type section: recursion groups, subtyping declarations, and which types are the same.
 *
 * Two types are the same when their whole recursion groups are, references inside the group taken as positions in it. Each group is looked up by content
 * when it is complete; `canonical` of its types is then the first group's like it, and references are rewritten to canonical indices, so that from
 * here on value types are equal when their words are. */
#include "base/hash.h"
#include "wasm/decode.h"

typedef struct TypeSection {
    WasmDecoder *decoder;
    uint32_t *buckets; /* open addressing: 1 + group index */
    uint32_t mask, used;
    uint64_t seed;
} TypeSection;

static bool types_func_type(WasmDecoder *decoder, WasmTypeDef *def)
{
    WasmReader *r = &decoder->reader;
    WasmModule *m = decoder->module;
    const uint8_t *at;
    uint32_t count;
    ValType type;
    if (!wr_reader_count(r, WR_LIMIT_FUNCTION_PARAMS, "FUNCTION_PARAMS", 1, &count, "the number of parameters")) return false;
    def->func.params = m->num_valtypes;
    def->func.num_params = count;
    while (count--)
        if (!wr_reader_valtype(r, &type, "a parameter type") || !decoder_push(decoder, valtypes, type)) return false;
    at = r->p;
    if (!wr_reader_count(r, WR_LIMIT_FUNCTION_RESULTS, "FUNCTION_RESULTS", 1, &count, "the number of results")) return false;
    if (count > 1 && !wr_reader_need(r, WASM_FEATURE_BIT_MULTI_VALUE, at, "more than one result")) return false;
    def->func.results = m->num_valtypes;
    def->func.num_results = count;
    while (count--)
        if (!wr_reader_valtype(r, &type, "a result type") || !decoder_push(decoder, valtypes, type)) return false;
    return true;
}

static bool types_field(WasmDecoder *decoder)
{
    WasmReader *r = &decoder->reader;
    const uint8_t *at = r->p;
    ValType type;
    uint8_t is_mutable;
    if (at < r->end && (*at == 0x78 || *at == 0x77)) {
        r->p++;
        type = *at == 0x78 ? WR_KIND_I8 : WR_KIND_I16;
    } else if (!wr_reader_valtype(r, &type, "a field type")) {
        return false;
    }
    at = r->p;
    if (!wr_reader_byte(r, &is_mutable, "a field's mutability")) return false;
    if (is_mutable > 1) return wr_reader_fail(r, WR_ERROR_DECODE, at, "malformed mutability 0x%02x, expected 0 or 1", is_mutable);
    if (is_mutable) type |= WR_VT_MUTABLE;
    return decoder_push(decoder, valtypes, type);
}

static bool types_composite(WasmDecoder *decoder, WasmTypeDef *def, const uint8_t *at, uint8_t form)
{
    WasmReader *r = &decoder->reader;
    uint32_t count = 1;
    if (form == 0x60) {
        def->kind = WASM_TYPE_FUNC;
        return types_func_type(decoder, def);
    }
    if (form >= 0x80) return wr_reader_fail(r, WR_ERROR_DECODE, at, "malformed type 0x%02x: integer representation too long, expected a function (0x60), struct or array type", form);
    if (form != 0x5f && form != 0x5e)
        return wr_reader_fail(r, WR_ERROR_DECODE, at, "malformed type 0x%02x, expected a function (0x60), struct or array type", form);
    if (!wr_reader_need(r, WASM_FEATURE_BIT_GC, at, "a struct or array type")) return false;
    if (form == 0x5f && !wr_reader_count(r, WR_LIMIT_STRUCT_FIELDS, "STRUCT_FIELDS", 2, &count, "the number of fields")) return false;
    def->kind = form == 0x5f ? WASM_TYPE_STRUCT : WASM_TYPE_ARRAY;
    def->func.params = def->func.results = decoder->module->num_valtypes;
    def->func.num_params = count;
    while (count--)
        if (!types_field(decoder)) return false;
    return true;
}

static bool types_subtype(WasmDecoder *decoder)
{
    WasmReader *r = &decoder->reader;
    WasmModule *m = decoder->module;
    const uint8_t *at = r->p;
    WasmTypeDef def = {.is_final = 1, .supertype = UINT32_MAX, .rec_group = m->num_rec_groups - 1, .canonical = m->num_types};
    uint8_t form;
    if (!wr_reader_byte(r, &form, "a type")) return false;
    if (form == 0x50 || form == 0x4f) {
        uint32_t count;
        if (!wr_reader_need(r, WASM_FEATURE_BIT_GC, at, "a subtype")) return false;
        def.is_final = form == 0x4f;
        at = r->p;
        if (!wr_reader_u32(r, &count, "the number of supertypes")) return false;
        if (count > 1) return wr_reader_fail(r, WR_ERROR_VALIDATION, at, "%u supertypes, expected at most one", count);
        if (count) {
            at = r->p;
            if (!wr_reader_u32(r, &def.supertype, "a supertype")) return false;
            if (def.supertype >= m->num_types) return wr_reader_fail(r, WR_ERROR_VALIDATION, at, "unknown type %u, expected a supertype defined before", def.supertype);
            if (m->types[def.supertype].is_final) return wr_reader_fail(r, WR_ERROR_VALIDATION, at, "sub type %u is of final type %u", m->num_types, def.supertype);
            def.depth = (uint16_t)(m->types[def.supertype].depth + 1);
            if (def.depth > WR_LIMIT_SUBTYPE_DEPTH) return wr_reader_fail(r, WR_ERROR_LIMIT, at, "type with %u supertypes above it: the limit SUBTYPE_DEPTH is %u", def.depth, WR_LIMIT_SUBTYPE_DEPTH);
            def.supertype = m->types[def.supertype].canonical;
        }
        at = r->p;
        if (!wr_reader_byte(r, &form, "a type")) return false;
    }
    return types_composite(decoder, &def, at, form) && decoder_push(decoder, types, def);
}

/* What a type reference means outside of its group: positions inside it are told apart from other types by the top bit. */
static uint64_t types_relative(uint32_t index, uint32_t first) { return index == UINT32_MAX || index < first ? index : UINT64_C(0x100000000) + index - first; }

static uint64_t types_word(ValType type, uint32_t first)
{
    return wr_vt_concrete(type) ? UINT64_C(1) << 63 | types_relative(wr_vt_heap(type), first) << 8 | (type & 0xff) : type;
}

/* The value types of one type lie in a row: parameters or fields, then results. */
static uint64_t types_hash(const WasmModule *m, const WasmRecGroup *group, uint64_t hash)
{
    hash = wr_hash_mix(hash, group->num_types);
    for (uint32_t i = group->first_type; i < group->first_type + group->num_types; i++) {
        const WasmTypeDef *def = &m->types[i];
        hash = wr_hash_mix(hash, (uint64_t)def->kind << 40 | (uint64_t)def->is_final << 32 | def->func.num_params);
        hash = wr_hash_mix(hash, types_relative(def->supertype, group->first_type) << 16 ^ def->func.num_results);
        uint32_t count = def->func.num_params + def->func.num_results;
        for (uint32_t v = 0; v < count; v++) hash = wr_hash_mix(hash, types_word(m->valtypes[def->func.params + v], group->first_type));
    }
    return hash;
}

static bool types_equal(const WasmModule *m, const WasmRecGroup *a, const WasmRecGroup *b)
{
    if (a->num_types != b->num_types) return false;
    for (uint32_t i = 0; i < a->num_types; i++) {
        const WasmTypeDef *x = &m->types[a->first_type + i], *y = &m->types[b->first_type + i];
        uint32_t count = x->func.num_params + x->func.num_results;
        if (x->kind != y->kind || x->is_final != y->is_final || x->func.num_params != y->func.num_params || x->func.num_results != y->func.num_results ||
            types_relative(x->supertype, a->first_type) != types_relative(y->supertype, b->first_type))
            return false;
        for (uint32_t v = 0; v < count; v++)
            if (types_word(m->valtypes[x->func.params + v], a->first_type) != types_word(m->valtypes[y->func.params + v], b->first_type)) return false;
    }
    return true;
}

/* `group` is the same as `first`: its types are those of `first` from now on. */
static void types_alias(WasmModule *m, const WasmRecGroup *group, const WasmRecGroup *first)
{
    for (uint32_t i = 0; i < group->num_types; i++) {
        WasmTypeDef *def = &m->types[group->first_type + i];
        uint32_t count = def->func.num_params + def->func.num_results;
        def->canonical = first->first_type + i;
        def->supertype = m->types[def->canonical].supertype;
        for (uint32_t v = 0; v < count; v++) m->valtypes[def->func.params + v] = m->valtypes[m->types[def->canonical].func.params + v];
    }
}

static bool types_grow_buckets(TypeSection *section)
{
    WasmModule *m = section->decoder->module;
    uint32_t size = section->mask ? (section->mask + 1) * 2 : 64;
    uint32_t *buckets = calloc(size, sizeof *buckets);
    if (!buckets) return wr_reader_fail(&section->decoder->reader, WR_ERROR_MEMORY, section->decoder->reader.p, "no memory for the module's types");
    for (uint32_t old = 0; section->used && old <= section->mask; old++) {
        uint32_t entry = section->buckets[old];
        if (!entry) continue;
        uint64_t at = types_hash(m, &m->rec_groups[entry - 1], section->seed);
        while (buckets[at & (size - 1)]) at++;
        buckets[at & (size - 1)] = entry;
    }
    free(section->buckets);
    section->buckets = buckets;
    section->mask = size - 1;
    return true;
}

static bool types_canonicalize(TypeSection *section, uint32_t group_index)
{
    WasmModule *m = section->decoder->module;
    const WasmRecGroup *group = &m->rec_groups[group_index];
    if ((section->used + 1) * 2 > section->mask && !types_grow_buckets(section)) return false;
    uint64_t at = types_hash(m, group, section->seed);
    for (uint32_t entry; (entry = section->buckets[at & section->mask]) != 0; at++)
        if (types_equal(m, &m->rec_groups[entry - 1], group)) {
            types_alias(m, group, &m->rec_groups[entry - 1]);
            return true;
        }
    section->buckets[at & section->mask] = group_index + 1;
    section->used++;
    return true;
}

static bool types_field_matches(const WasmModule *m, ValType sub, ValType super)
{
    if (sub == super) return true;
    if ((sub | super) & WR_VT_MUTABLE) return false; /* mutable fields are invariant */
    return wr_vt_matches(m, sub, super);
}

/* Whether a type's structure allows the supertype it declares. */
static bool types_check_supertype(WasmDecoder *decoder, uint32_t index, const uint8_t *at)
{
    const WasmModule *m = decoder->module;
    const WasmTypeDef *sub = &m->types[index];
    if (sub->supertype == UINT32_MAX) return true;
    const WasmTypeDef *super = &m->types[sub->supertype];
    const ValType *a = m->valtypes + sub->func.params, *b = m->valtypes + super->func.params;
    bool fits = sub->kind == super->kind;
    if (fits && sub->kind == WASM_TYPE_FUNC) {
        fits = sub->func.num_params == super->func.num_params && sub->func.num_results == super->func.num_results;
        for (uint32_t i = 0; fits && i < sub->func.num_params; i++) fits = wr_vt_matches(m, b[i], a[i]);
        a = m->valtypes + sub->func.results;
        b = m->valtypes + super->func.results;
        for (uint32_t i = 0; fits && i < sub->func.num_results; i++) fits = wr_vt_matches(m, a[i], b[i]);
    } else if (fits) {
        fits = sub->func.num_params >= super->func.num_params;
        for (uint32_t i = 0; fits && i < super->func.num_params; i++) fits = types_field_matches(m, a[i], b[i]);
    }
    return fits || wr_reader_fail(&decoder->reader, WR_ERROR_VALIDATION, at, "sub type %u does not match its super type %u", index, sub->supertype);
}

static bool types_group(TypeSection *section)
{
    WasmDecoder *decoder = section->decoder;
    WasmReader *r = &decoder->reader;
    WasmModule *m = decoder->module;
    const uint8_t *at = r->p;
    uint32_t count = 1, group = m->num_rec_groups, first = m->num_types;
    if (at < r->end && *at == 0x4e) {
        if (!wr_reader_need(r, WASM_FEATURE_BIT_GC, at, "a recursion group")) return false;
        r->p++;
        if (!wr_reader_count(r, WR_LIMIT_REC_GROUP_TYPES, "REC_GROUP_TYPES", 2, &count, "the number of types in a recursion group")) return false;
    }
    if (count > WR_LIMIT_TYPES - first) return wr_reader_fail(r, WR_ERROR_LIMIT, at, "too many types: the limit TYPES is %u", WR_LIMIT_TYPES);
    if (!decoder_push(decoder, rec_groups, (WasmRecGroup){first, count}) || !decoder_room(decoder, types, count)) return false;
    /* references inside the group may point forward; their rows are not read before the group is complete */
    for (uint32_t i = 0; i < count; i++) m->types[first + i].canonical = first + i;
    r->num_types = r->features & WASM_FEATURE_GC ? first + count : first;
    for (uint32_t i = 0; i < count; i++)
        if (!types_subtype(decoder)) return false;
    r->num_types = m->num_types;
    if (!types_canonicalize(section, group)) return false;
    for (uint32_t i = 0; i < count; i++)
        if (!types_check_supertype(decoder, first + i, at)) return false;
    return true;
}

bool wr_decode_type_section(WasmDecoder *decoder)
{
    TypeSection section = {.decoder = decoder, .seed = wr_hash_seed(decoder->module)};
    uint32_t count;
    bool done = wr_reader_count(&decoder->reader, WR_LIMIT_TYPES, "TYPES", 2, &count, "the number of types");
    while (done && count--) done = types_group(&section);
    free(section.buckets);
    return done;
}
