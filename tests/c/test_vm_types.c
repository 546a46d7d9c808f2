/* The type registry: equal recursion groups get equal ids, whatever module and indices they come from. */
#include "check.h"

#include "os/pages.h"
#include "wasmrt/wasmrt.h"

#define FUNC(index) WR_VT_REF_INDEX(true, index)

/* Modules are written down as the decoder would leave them. */
typedef struct Sample {
    WasmModule module;
    WasmTypeDef types[8];
    WasmRecGroup groups[8];
    ValType values[16];
} Sample;

static void sample_type(Sample *s, uint32_t num_params, uint32_t num_results, const ValType *values)
{
    uint32_t i = s->module.num_types++, first = s->module.num_valtypes;
    memcpy(s->values + first, values, (num_params + num_results) * sizeof *values);
    s->module.num_valtypes += num_params + num_results;
    s->types[i] = (WasmTypeDef){ .kind = WASM_TYPE_FUNC, .is_final = 1, .supertype = UINT32_MAX, .canonical = i,
                                 .func = { first, num_params, first + num_params, num_results } };
    s->module.types = s->types;
    s->module.valtypes = s->values;
    s->module.rec_groups = s->groups;
}

static void sample_group(Sample *s, uint32_t num_types)
{
    uint32_t i = s->module.num_rec_groups++;
    s->groups[i] = (WasmRecGroup){ s->module.num_types - num_types, num_types };
}

static void plain_types(void)
{
    WrTypeRegistry *registry = wr_types_new();
    WrError error = { 0 };
    const ValType two[] = { WR_VALTYPE_I32, WR_VALTYPE_F64 };
    uint32_t a, b, c, d;
    CHECK(wr_types_register_func(registry, two, 1, two + 1, 1, &a, &error));
    CHECK(wr_types_register_func(registry, two, 2, NULL, 0, &b, &error));
    CHECK(wr_types_register_func(registry, NULL, 0, two, 2, &c, &error));
    CHECK(wr_types_register_func(registry, two, 1, two + 1, 1, &d, &error));
    CHECK(a != 0 && a != b && b != c && a != c);
    CHECK_EQ(a, d);
    const ValType *params, *results;
    uint32_t num_params, num_results;
    CHECK(wr_types_func(registry, a, &params, &num_params, &results, &num_results));
    CHECK_EQ(num_params, 1);
    CHECK_EQ(num_results, 1);
    CHECK_EQ(params[0], WR_VALTYPE_I32);
    CHECK_EQ(results[0], WR_VALTYPE_F64);
    CHECK(!wr_types_func(registry, 0, &params, &num_params, &results, &num_results));
    CHECK(!wr_types_func(registry, 99, &params, &num_params, &results, &num_results));
    CHECK(!wr_types_register_func(registry, two, 100000, NULL, 0, &d, &error));
    CHECK_EQ(error.kind, WR_ERROR_LIMIT);
    wr_types_release(registry);
}

static void modules_share_ids(void)
{
    WrTypeRegistry *registry = wr_types_new();
    WrError error = { 0 };
    const ValType i32 = WR_VALTYPE_I32, i64 = WR_VALTYPE_I64;
    Sample one = { 0 }, two = { 0 };
    const uint32_t *ids_one, *ids_two, *ids_again;
    sample_type(&one, 1, 0, &i32), sample_group(&one, 1);
    sample_type(&one, 1, 0, &i64), sample_group(&one, 1);
    sample_type(&two, 1, 0, &i64), sample_group(&two, 1);
    sample_type(&two, 0, 1, &i64), sample_group(&two, 1);
    sample_type(&two, 1, 0, &i32), sample_group(&two, 1);
    CHECK(wr_types_register_module(registry, &one.module, &ids_one, &error));
    CHECK(wr_types_register_module(registry, &two.module, &ids_two, &error));
    CHECK_EQ(ids_one[0], ids_two[2]);
    CHECK_EQ(ids_one[1], ids_two[0]);
    CHECK(ids_two[1] != ids_one[0] && ids_two[1] != ids_one[1]);
    CHECK(wr_types_register_module(registry, &one.module, &ids_again, &error));
    CHECK(ids_again == ids_one);
    uint32_t alone;
    CHECK(wr_types_register_func(registry, &i32, 1, NULL, 0, &alone, &error));
    CHECK_EQ(alone, ids_one[0]);
    wr_types_release(registry);
}

/* (rec (type $a (func (param (ref null $b)))) (type $b (func (param (ref null $a))))) at two places */
static void recursion_groups(void)
{
    WrTypeRegistry *registry = wr_types_new();
    WrError error = { 0 };
    Sample one = { 0 }, two = { 0 }, swapped = { 0 };
    const ValType i32 = WR_VALTYPE_I32;
    ValType to[] = { FUNC(0), FUNC(1), FUNC(2) };
    const uint32_t *ids_one, *ids_two, *ids_swapped;
    sample_type(&one, 1, 0, &to[1]), sample_type(&one, 1, 0, &to[0]), sample_group(&one, 2);
    sample_type(&two, 1, 0, &i32), sample_group(&two, 1);
    sample_type(&two, 1, 0, &to[2]), sample_type(&two, 1, 0, &to[1]), sample_group(&two, 2);
    /* each refers to itself: another group */
    sample_type(&swapped, 1, 0, &to[0]), sample_type(&swapped, 1, 0, &to[1]), sample_group(&swapped, 2);
    CHECK(wr_types_register_module(registry, &one.module, &ids_one, &error));
    CHECK(wr_types_register_module(registry, &two.module, &ids_two, &error));
    CHECK(wr_types_register_module(registry, &swapped.module, &ids_swapped, &error));
    CHECK_EQ(ids_one[0], ids_two[1]);
    CHECK_EQ(ids_one[1], ids_two[2]);
    CHECK(ids_one[0] != ids_one[1]);
    CHECK(ids_swapped[0] != ids_one[0] && ids_swapped[1] != ids_one[1]);
    const ValType *params, *results;
    uint32_t num_params, num_results;
    CHECK(wr_types_func(registry, ids_two[1], &params, &num_params, &results, &num_results));
    CHECK_EQ(params[0], FUNC(ids_two[2]));
    wr_types_release(registry);
}

static void supertypes(void)
{
    WrTypeRegistry *registry = wr_types_new();
    WrError error = { 0 };
    Sample s = { 0 };
    const ValType i32 = WR_VALTYPE_I32;
    const uint32_t *ids;
    for (int i = 0; i < 3; i++) {
        sample_type(&s, 1, 0, &i32), sample_group(&s, 1);
        s.types[i].is_final = 0;
        if (i) s.types[i].supertype = (uint32_t)i - 1;
    }
    CHECK(wr_types_register_module(registry, &s.module, &ids, &error));
    CHECK(ids[0] != ids[1] && ids[1] != ids[2]);
    CHECK(wr_types_is_subtype(registry, ids[2], ids[0]));
    CHECK(wr_types_is_subtype(registry, ids[1], ids[0]));
    CHECK(wr_types_is_subtype(registry, ids[0], ids[0]));
    CHECK(!wr_types_is_subtype(registry, ids[0], ids[1]));
    CHECK(!wr_types_is_subtype(registry, 9999, ids[1]));
    wr_types_release(registry);
}

/* What a broken artifact could hold. */
static void malformed_groups(void)
{
    WrTypeRegistry *registry = wr_types_new();
    const ValType forward = FUNC(5), i32 = WR_VALTYPE_I32;
    const uint32_t *ids;
    {
        WrError error = { 0 };
        Sample s = { 0 };
        sample_type(&s, 1, 0, &forward), sample_group(&s, 1);
        CHECK(!wr_types_register_module(registry, &s.module, &ids, &error));
    }
    {
        WrError error = { 0 };
        Sample s = { 0 };
        sample_type(&s, 1, 0, &i32), sample_group(&s, 1);
        s.groups[0].num_types = 7;
        CHECK(!wr_types_register_module(registry, &s.module, &ids, &error));
        CHECK_EQ(error.kind, WR_ERROR_ARTIFACT);
    }
    {
        WrError error = { 0 };
        Sample s = { 0 };
        sample_type(&s, 1, 0, &i32), sample_group(&s, 1);
        s.types[0].func.num_params = 1000;
        CHECK(!wr_types_register_module(registry, &s.module, &ids, &error));
    }
    wr_types_release(registry);
}

static void many_types(void)
{
    WrTypeRegistry *registry = wr_types_new();
    WrError error = { 0 };
    ValType params[12];
    uint32_t ids[4096], id;
    for (uint32_t i = 0; i < 4096; i++) {
        for (uint32_t j = 0; j < 12; j++) params[j] = i >> j & 1 ? WR_VALTYPE_I32 : WR_VALTYPE_F32;
        CHECK(wr_types_register_func(registry, params, 12, NULL, 0, &ids[i], &error));
        CHECK_EQ(ids[i], i + 1);
    }
    for (uint32_t i = 0; i < 4096; i += 100) {
        for (uint32_t j = 0; j < 12; j++) params[j] = i >> j & 1 ? WR_VALTYPE_I32 : WR_VALTYPE_F32;
        CHECK(wr_types_register_func(registry, params, 12, NULL, 0, &id, &error));
        CHECK_EQ(id, ids[i]);
    }
    wr_types_release(registry);
}

static void host_calls(void)
{
    WrTypeRegistry *registry = wr_types_new();
    WrError error = { 0 };
    const ValType i32 = WR_VALTYPE_I32;
    const void *first = NULL, *second = NULL;
    uint32_t id;
    CHECK(wr_types_register_func(registry, &i32, 1, &i32, 1, &id, &error));
    wr_os_inject_failure(WR_OS_CALL_MAP, 0);
    CHECK(!wr_types_host_call(registry, id, &first, &error));
    CHECK_EQ(error.kind, WR_ERROR_LIMIT);
    wr_os_inject_failure(WR_OS_CALL_MAP, -1);
    wr_os_inject_failure(WR_OS_CALL_PROTECT, 0);
    CHECK(!wr_types_host_call(registry, id, &first, &error));
    wr_os_inject_failure(WR_OS_CALL_PROTECT, -1);
    CHECK(wr_types_host_call(registry, id, &first, &error));
    CHECK(wr_types_host_call(registry, id, &second, &error));
    CHECK(first != NULL && first == second);
    CHECK(!wr_types_host_call(registry, 77, &second, &error));
    wr_types_release(registry);
}

int main(void)
{
    RUN(plain_types);
    RUN(modules_share_ids);
    RUN(recursion_groups);
    RUN(supertypes);
    RUN(malformed_groups);
    RUN(many_types);
    RUN(host_calls);
    return check_result();
}
