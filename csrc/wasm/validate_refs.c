/* Typing of what letters cannot say: tables, references, objects, exceptions. */
#include "wasm/reader.h"
#include "wasm/validator.h"

static void refs_gather_call(WasmValidator *v)
{
    if (v->info) wr_gather_call(v->info);
}

/* ---- tables --------------------------------------------------------------------------------------------------------------------------------------- */

static bool refs_table(WasmValidator *v, const WasmTable **out_table)
{
    uint32_t index;
    if (!validate_index(v, v->module->num_tables, &index, "table")) return false;
    *out_table = &v->module->tables[index];
    return true;
}

static bool refs_table_init(WasmValidator *v)
{
    const WasmTable *table;
    uint32_t elem;
    WrVtText found, want;
    if (!wr_reader_u32(&v->reader, &elem, "the index of an elem segment") || !refs_table(v, &table)) return false; /* the rule has the table first */
    if (elem >= v->module->num_elems) return validate_fail(v, WR_ERROR_VALIDATION, "unknown elem segment %u, expected an index below %u", elem, v->module->num_elems);
    if (!wr_vt_matches(v->module, v->module->elems[elem].type, table->element))
        return validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: elements of %s, expected the table's %s", wr_vt_text(v->module->elems[elem].type, &found), wr_vt_text(table->element, &want));
    refs_gather_call(v);
    return validate_pop(v, WR_VALTYPE_I32, NULL) && validate_pop(v, WR_VALTYPE_I32, NULL) && validate_pop(v, validate_table_address(table), NULL);
}

static bool refs_table_copy(WasmValidator *v)
{
    const WasmTable *to, *from;
    WrVtText found, want;
    if (!refs_table(v, &to) || !refs_table(v, &from)) return false;
    if (!wr_vt_matches(v->module, from->element, to->element))
        return validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: elements of %s, expected the table's %s", wr_vt_text(from->element, &found), wr_vt_text(to->element, &want));
    ValType to_address = validate_table_address(to), from_address = validate_table_address(from);
    ValType count = to_address == WR_VALTYPE_I64 ? from_address : WR_VALTYPE_I32; /* the narrower */
    refs_gather_call(v);
    return validate_pop(v, count, NULL) && validate_pop(v, from_address, NULL) && validate_pop(v, to_address, NULL);
}

static bool refs_table_op(WasmValidator *v, WasmOp op)
{
    const WasmTable *table;
    if (!refs_table(v, &table)) return false;
    ValType address = validate_table_address(table);
    switch (op) {
    case WASM_OP_TABLE_GET: return validate_pop(v, address, NULL) && validate_push(v, table->element);
    case WASM_OP_TABLE_SET: return validate_pop(v, table->element, NULL) && validate_pop(v, address, NULL);
    case WASM_OP_TABLE_SIZE: return validate_push(v, address);
    case WASM_OP_TABLE_GROW:
        refs_gather_call(v);
        return validate_pop(v, address, NULL) && validate_pop(v, table->element, NULL) && validate_push(v, address);
    default: /* table.fill */
        refs_gather_call(v);
        return validate_pop(v, address, NULL) && validate_pop(v, table->element, NULL) && validate_pop(v, address, NULL);
    }
}

/* ---- references ----------------------------------------------------------------------------------------------------------------------------------- */

static ValType refs_non_null(ValType type) { return type == WR_VALTYPE_BOTTOM ? type : type & ~WR_VT_NULLABLE; }

static bool refs_func(WasmValidator *v)
{
    const WasmModule *m = v->module;
    uint32_t func;
    if (!validate_index(v, m->num_funcs, &func, "function")) return false;
    if (m->funcs[func].escape_index == UINT32_MAX || (func == m->start_func && m->start_undeclared))
        return validate_fail(v, WR_ERROR_VALIDATION, "undeclared function reference: function %u is in no export, element segment or constant", func);
    return validate_push(v, WR_VT_REF_INDEX(false, m->types[m->funcs[func].type_index].canonical));
}

static bool refs_type_index(WasmValidator *v, uint8_t kind, const char *kind_name, uint32_t *out_index)
{
    if (!validate_index(v, v->module->num_types, out_index, "type")) return false;
    *out_index = v->module->types[*out_index].canonical;
    return v->module->types[*out_index].kind == kind || validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: type %u, expected %s type", *out_index, kind_name);
}

static bool refs_call_ref(WasmValidator *v, bool is_tail_call)
{
    uint32_t type;
    if (!refs_type_index(v, WASM_TYPE_FUNC, "a function", &type) || !validate_pop(v, WR_VT_REF_INDEX(true, type), NULL)) return false;
    return validate_call_type(v, &v->module->types[type].func, is_tail_call);
}

static bool refs_br_on_null(WasmValidator *v)
{
    uint32_t depth;
    const WasmTypeList *types;
    ValType ref;
    if (!validate_label(v, &depth, &types) || !validate_pop_ref(v, &ref)) return false;
    return validate_pop_list(v, validate_types(types), types->count) && validate_push_list(v, validate_types(types), types->count) && validate_push(v, refs_non_null(ref));
}

static bool refs_br_on_non_null(WasmValidator *v)
{
    uint32_t depth;
    const WasmTypeList *types;
    if (!validate_label(v, &depth, &types)) return false;
    const ValType *last = validate_types(types) + types->count - 1;
    if (!types->count || !wr_vt_is_ref(*last)) return validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: br_on_non_null to a label that takes no reference last");
    return validate_pop(v, *last | WR_VT_NULLABLE, NULL) && validate_pop_list(v, validate_types(types), types->count - 1) &&
           validate_push_list(v, validate_types(types), types->count - 1);
}

/* br_on_cast and br_on_cast_fail. */
static bool refs_br_on_cast(WasmValidator *v, bool on_fail)
{
    uint8_t flags;
    uint32_t depth;
    const WasmTypeList *types;
    ValType from, to;
    WrVtText from_text, to_text;
    if (!wr_reader_byte(&v->reader, &flags, "the flags of a cast")) return false;
    if (flags > 3) return validate_fail(v, WR_ERROR_DECODE, "malformed br_on_cast flags 0x%02x, expected 0 to 3", flags);
    if (!validate_label(v, &depth, &types) || !wr_reader_heap_type(&v->reader, &from, "a heap type") || !wr_reader_heap_type(&v->reader, &to, "a heap type")) return false;
    if (!(flags & 1)) from = refs_non_null(from);
    if (!(flags & 2)) to = refs_non_null(to);
    if (!wr_vt_matches(v->module, to, from))
        return validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: cast from %s to %s, expected a subtype", wr_vt_text(from, &from_text), wr_vt_text(to, &to_text));
    ValType rest = wr_vt_nullable(to) ? refs_non_null(from) : from; /* what is left of `from` when it is not a `to` */
    ValType sent = on_fail ? rest : to, kept = on_fail ? to : rest;
    if (!types->count || !wr_vt_matches(v->module, sent, validate_types(types)[types->count - 1]))
        return validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: the label does not take %s last", wr_vt_text(sent, &to_text));
    return validate_pop(v, from, NULL) && validate_pop_list(v, validate_types(types), types->count - 1) &&
           validate_push_list(v, validate_types(types), types->count - 1) && validate_push(v, kept);
}

/* The top of the hierarchy that a heap type is in. */
static ValType refs_top(const WasmModule *m, ValType type)
{
    static const uint32_t tops[] = {WR_HEAP_ANY, WR_HEAP_FUNC, WR_HEAP_EXTERN, WR_HEAP_EXN};
    for (uint32_t i = 0; i < 4; i++)
        if (wr_vt_matches(m, type, WR_VT_REF(true, tops[i]))) return WR_VT_REF(true, tops[i]);
    return WR_VALTYPE_BOTTOM;
}

static bool refs_cast(WasmValidator *v, bool is_nullable, bool is_test)
{
    ValType type;
    if (!wr_reader_heap_type(&v->reader, &type, "a heap type") || !validate_pop(v, refs_top(v->module, type), NULL)) return false;
    return validate_push(v, is_test ? WR_VALTYPE_I32 : is_nullable ? type : refs_non_null(type));
}

/* any.convert_extern and its inverse keep nullability. */
static bool refs_convert(WasmValidator *v, uint32_t from, uint32_t to)
{
    ValType found;
    if (!validate_pop(v, WR_VT_REF(true, from), &found)) return false;
    return validate_push(v, WR_VT_REF(found != WR_VALTYPE_BOTTOM && wr_vt_nullable(found), to));
}

/* ---- objects -------------------------------------------------------------------------------------------------------------------------------------- */

enum { REFS_INLINE_FIELDS = 15 /* structs of up to 120 bytes of fields are made without a call */ };

static bool refs_struct_new(WasmValidator *v, bool with_values)
{
    uint32_t type;
    if (!refs_type_index(v, WASM_TYPE_STRUCT, "a struct", &type)) return false;
    const WasmFuncType *fields = &v->module->types[type].func;
    for (uint32_t i = fields->num_params; i--;) {
        ValType field = wr_vt_unpacked(v->module->valtypes[fields->params + i]);
        if (with_values) {
            if (!validate_pop(v, field, NULL)) return false;
        } else if (!wr_vt_defaultable(field)) {
            return validate_fail(v, WR_ERROR_VALIDATION, "field %u of type %u has no default value", i, type);
        }
    }
    if (fields->num_params > REFS_INLINE_FIELDS) refs_gather_call(v);
    return validate_push(v, WR_VT_REF_INDEX(false, type));
}

/* Packed fields are read with a sign, others without. */
static bool refs_check_packing(WasmValidator *v, ValType field, bool is_signed_read)
{
    bool packed = wr_vt_kind(field) == WR_KIND_I8 || wr_vt_kind(field) == WR_KIND_I16;
    return packed == is_signed_read || validate_fail(v, WR_ERROR_VALIDATION, packed ? "type mismatch: the field is packed, expected _s or _u" : "type mismatch: the field is not packed");
}

static bool refs_struct_field(WasmValidator *v, WasmOp op)
{
    uint32_t type, index;
    if (!refs_type_index(v, WASM_TYPE_STRUCT, "a struct", &type)) return false;
    const WasmFuncType *fields = &v->module->types[type].func;
    if (!validate_index(v, fields->num_params, &index, "field")) return false;
    ValType field = v->module->valtypes[fields->params + index];
    if (op == WASM_OP_STRUCT_SET) {
        if (!(field & WR_VT_MUTABLE)) return validate_fail(v, WR_ERROR_VALIDATION, "immutable field %u of type %u", index, type);
        return validate_pop(v, wr_vt_unpacked(field), NULL) && validate_pop(v, WR_VT_REF_INDEX(true, type), NULL);
    }
    return refs_check_packing(v, field, op != WASM_OP_STRUCT_GET) && validate_pop(v, WR_VT_REF_INDEX(true, type), NULL) && validate_push(v, wr_vt_unpacked(field));
}

static bool refs_pop_i32s(WasmValidator *v, int count)
{
    while (count--)
        if (!validate_pop(v, WR_VALTYPE_I32, NULL)) return false;
    return true;
}

static bool refs_data_index(WasmValidator *v, ValType item)
{
    uint32_t data;
    if (wr_vt_is_ref(item)) return validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: array type is not numeric or vector");
    if (!v->module->has_data_count) return validate_fail(v, WR_ERROR_DECODE, "data count section required");
    return validate_index(v, v->module->num_datas, &data, "data segment");
}

static bool refs_elem_index(WasmValidator *v, ValType item)
{
    uint32_t elem;
    WrVtText found, want;
    if (!validate_index(v, v->module->num_elems, &elem, "elem segment")) return false;
    return wr_vt_matches(v->module, v->module->elems[elem].type, item) ||
           validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: elements of %s, expected the array's %s", wr_vt_text(v->module->elems[elem].type, &found), wr_vt_text(item, &want));
}

static bool refs_array_new(WasmValidator *v, WasmOp op, uint32_t type, ValType item)
{
    uint32_t count;
    refs_gather_call(v);
    switch (op) {
    case WASM_OP_ARRAY_NEW:
        if (!refs_pop_i32s(v, 1) || !validate_pop(v, item, NULL)) return false;
        break;
    case WASM_OP_ARRAY_NEW_DEFAULT:
        if (!wr_vt_defaultable(item)) return validate_fail(v, WR_ERROR_VALIDATION, "items of array type %u have no default value", type);
        if (!refs_pop_i32s(v, 1)) return false;
        break;
    case WASM_OP_ARRAY_NEW_FIXED:
        if (!wr_reader_u32(&v->reader, &count, "the number of items")) return false;
        if (count > WR_LIMIT_ARRAY_NEW_FIXED) return validate_fail(v, WR_ERROR_LIMIT, "array.new_fixed of %u items: the limit ARRAY_NEW_FIXED is %u", count, WR_LIMIT_ARRAY_NEW_FIXED);
        while (count--)
            if (!validate_pop(v, item, NULL)) return false;
        break;
    case WASM_OP_ARRAY_NEW_DATA:
        if (!refs_data_index(v, item) || !refs_pop_i32s(v, 2)) return false;
        break;
    default: /* array.new_elem */
        if (!refs_elem_index(v, item) || !refs_pop_i32s(v, 2)) return false;
    }
    return validate_push(v, WR_VT_REF_INDEX(false, type));
}

static bool refs_array_copy(WasmValidator *v, uint32_t to, ValType to_field)
{
    uint32_t from;
    if (!refs_type_index(v, WASM_TYPE_ARRAY, "an array", &from)) return false;
    ValType from_field = v->module->valtypes[v->module->types[from].func.params] & ~WR_VT_MUTABLE;
    if (!wr_vt_matches(v->module, from_field, to_field & ~WR_VT_MUTABLE)) return validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: array types do not match: %u and %u", to, from);
    return refs_pop_i32s(v, 2) && validate_pop(v, WR_VT_REF_INDEX(true, from), NULL) && refs_pop_i32s(v, 1) && validate_pop(v, WR_VT_REF_INDEX(true, to), NULL);
}

static bool refs_array(WasmValidator *v, WasmOp op)
{
    uint32_t type;
    if (!refs_type_index(v, WASM_TYPE_ARRAY, "an array", &type)) return false;
    ValType field = v->module->valtypes[v->module->types[type].func.params], item = wr_vt_unpacked(field), array = WR_VT_REF_INDEX(true, type);
    switch (op) {
    case WASM_OP_ARRAY_GET: case WASM_OP_ARRAY_GET_S: case WASM_OP_ARRAY_GET_U:
        return refs_check_packing(v, field, op != WASM_OP_ARRAY_GET) && refs_pop_i32s(v, 1) && validate_pop(v, array, NULL) && validate_push(v, item);
    case WASM_OP_ARRAY_SET: case WASM_OP_ARRAY_FILL: case WASM_OP_ARRAY_COPY: case WASM_OP_ARRAY_INIT_DATA: case WASM_OP_ARRAY_INIT_ELEM: break;
    default: return refs_array_new(v, op, type, item);
    }
    if (!(field & WR_VT_MUTABLE)) return validate_fail(v, WR_ERROR_VALIDATION, "immutable array: type %u", type);
    if (op != WASM_OP_ARRAY_SET) refs_gather_call(v);
    switch (op) {
    case WASM_OP_ARRAY_SET: return validate_pop(v, item, NULL) && refs_pop_i32s(v, 1) && validate_pop(v, array, NULL);
    case WASM_OP_ARRAY_FILL: return refs_pop_i32s(v, 1) && validate_pop(v, item, NULL) && refs_pop_i32s(v, 1) && validate_pop(v, array, NULL);
    case WASM_OP_ARRAY_COPY: return refs_array_copy(v, type, field);
    case WASM_OP_ARRAY_INIT_DATA: return refs_data_index(v, item) && refs_pop_i32s(v, 3) && validate_pop(v, array, NULL);
    default: return refs_elem_index(v, item) && refs_pop_i32s(v, 3) && validate_pop(v, array, NULL);
    }
}

/* ---- exceptions ----------------------------------------------------------------------------------------------------------------------------------- */

static bool refs_throw(WasmValidator *v)
{
    uint32_t tag;
    if (!validate_index(v, v->module->num_tags, &tag, "tag")) return false;
    const WasmFuncType *type = &v->module->types[v->module->tags[tag].type_index].func;
    refs_gather_call(v);
    if (!validate_pop_list(v, v->module->valtypes + type->params, type->num_params)) return false;
    validate_unreachable(v);
    return true;
}

/* A catch sends a tag's values, then (with `ref`) the exception, to a label outside of the try_table. */
static bool refs_catch(WasmValidator *v)
{
    enum { CATCH, CATCH_REF, CATCH_ALL, CATCH_ALL_REF };
    const WasmModule *m = v->module;
    uint8_t kind;
    uint32_t tag, depth, count = 0;
    const ValType *sent = NULL;
    const WasmTypeList *types;
    if (!wr_reader_byte(&v->reader, &kind, "the kind of a catch")) return false;
    if (kind > CATCH_ALL_REF) return validate_fail(v, WR_ERROR_DECODE, "malformed catch clause 0x%02x, expected 0 to 3", kind);
    if (kind <= CATCH_REF) {
        if (!validate_index(v, m->num_tags, &tag, "tag")) return false;
        const WasmFuncType *type = &m->types[m->tags[tag].type_index].func;
        sent = m->valtypes + type->params;
        count = type->num_params;
    }
    if (!validate_label(v, &depth, &types)) return false;
    bool with_ref = kind == CATCH_REF || kind == CATCH_ALL_REF, fits = types->count == count + with_ref;
    for (uint32_t i = 0; fits && i < count; i++) fits = wr_vt_matches(m, sent[i], validate_types(types)[i]);
    if (fits && with_ref) fits = wr_vt_matches(m, WR_VT_REF(false, WR_HEAP_EXN), validate_types(types)[count]);
    return fits || validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: a catch's label does not take what it sends");
}

static bool refs_try_table(WasmValidator *v)
{
    WasmTypeList params, results;
    uint32_t count;
    if (!validate_block_type(v, &params, &results)) return false;
    if (!wr_reader_count(&v->reader, WR_LIMIT_BR_TABLE_TARGETS, "BR_TABLE_TARGETS", 2, &count, "the number of catches")) return false;
    if (v->info) v->info->num_catches += count;
    while (count--)
        if (!refs_catch(v)) return false;
    if (!validate_pop_list(v, validate_types(&params), params.count)) return false;
    if (v->info) wr_gather_block(v->info, WASM_GATHER_BLOCK);
    return validate_frame_push(v, WASM_FRAME_TRY_TABLE, &params, &results);
}

bool validate_reference_op(WasmValidator *v, WasmOp op)
{
    ValType type;
    switch (op) {
    case WASM_OP_TABLE_GET: case WASM_OP_TABLE_SET: case WASM_OP_TABLE_SIZE: case WASM_OP_TABLE_GROW: case WASM_OP_TABLE_FILL: return refs_table_op(v, op);
    case WASM_OP_TABLE_INIT: return refs_table_init(v);
    case WASM_OP_TABLE_COPY: return refs_table_copy(v);
    case WASM_OP_REF_NULL: return wr_reader_heap_type(&v->reader, &type, "a heap type") && validate_push(v, type);
    case WASM_OP_REF_IS_NULL: return validate_pop_ref(v, &type) && validate_push(v, WR_VALTYPE_I32);
    case WASM_OP_REF_FUNC: return refs_func(v);
    case WASM_OP_REF_EQ: return validate_pop(v, WR_VT_REF(true, WR_HEAP_EQ), NULL) && validate_pop(v, WR_VT_REF(true, WR_HEAP_EQ), NULL) && validate_push(v, WR_VALTYPE_I32);
    case WASM_OP_REF_AS_NON_NULL: return validate_pop_ref(v, &type) && validate_push(v, refs_non_null(type));
    case WASM_OP_BR_ON_NULL: return refs_br_on_null(v);
    case WASM_OP_BR_ON_NON_NULL: return refs_br_on_non_null(v);
    case WASM_OP_BR_ON_CAST: return refs_br_on_cast(v, false);
    case WASM_OP_BR_ON_CAST_FAIL: return refs_br_on_cast(v, true);
    case WASM_OP_CALL_REF: return refs_call_ref(v, false);
    case WASM_OP_RETURN_CALL_REF: return refs_call_ref(v, true);
    case WASM_OP_REF_TEST: return refs_cast(v, false, true);
    case WASM_OP_REF_TEST_NULL: return refs_cast(v, true, true);
    case WASM_OP_REF_CAST: return refs_cast(v, false, false);
    case WASM_OP_REF_CAST_NULL: return refs_cast(v, true, false);
    case WASM_OP_ANY_CONVERT_EXTERN: return refs_convert(v, WR_HEAP_EXTERN, WR_HEAP_ANY);
    case WASM_OP_EXTERN_CONVERT_ANY: return refs_convert(v, WR_HEAP_ANY, WR_HEAP_EXTERN);
    case WASM_OP_REF_I31: return refs_pop_i32s(v, 1) && validate_push(v, WR_VT_REF(false, WR_HEAP_I31));
    case WASM_OP_I31_GET_S: case WASM_OP_I31_GET_U: return validate_pop(v, WR_VT_REF(true, WR_HEAP_I31), NULL) && validate_push(v, WR_VALTYPE_I32);
    case WASM_OP_STRUCT_NEW: return refs_struct_new(v, true);
    case WASM_OP_STRUCT_NEW_DEFAULT: return refs_struct_new(v, false);
    case WASM_OP_STRUCT_GET: case WASM_OP_STRUCT_GET_S: case WASM_OP_STRUCT_GET_U: case WASM_OP_STRUCT_SET: return refs_struct_field(v, op);
    case WASM_OP_ARRAY_LEN: return validate_pop(v, WR_VT_REF(true, WR_HEAP_ARRAY), NULL) && validate_push(v, WR_VALTYPE_I32);
    case WASM_OP_ARRAY_NEW: case WASM_OP_ARRAY_NEW_DEFAULT: case WASM_OP_ARRAY_NEW_FIXED: case WASM_OP_ARRAY_NEW_DATA: case WASM_OP_ARRAY_NEW_ELEM:
    case WASM_OP_ARRAY_GET: case WASM_OP_ARRAY_GET_S: case WASM_OP_ARRAY_GET_U: case WASM_OP_ARRAY_SET: case WASM_OP_ARRAY_FILL: case WASM_OP_ARRAY_COPY:
    case WASM_OP_ARRAY_INIT_DATA: case WASM_OP_ARRAY_INIT_ELEM: return refs_array(v, op);
    case WASM_OP_THROW: return refs_throw(v);
    case WASM_OP_THROW_REF:
        if (!validate_pop(v, WR_VT_REF(true, WR_HEAP_EXN), NULL)) return false;
        refs_gather_call(v);
        validate_unreachable(v);
        return true;
    case WASM_OP_TRY_TABLE: return refs_try_table(v);
    default: return validate_fail(v, WR_ERROR_UNSUPPORTED, "%s is not supported", wr_wasm_op_names[op]);
    }
}
