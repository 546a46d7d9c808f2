/* The engine's type registry: one id for each type, whatever module it came from.
 *
 * Types are equal when their whole recursion groups are: a group is spelled as words, with references inside it relative and those outside as ids,
 * and looked up in a hash table. Ids count up from 1, so that the zero of fresh memory is no type; they are never given back, since code compares them
 * without asking, so a registry grows by what it has never seen before. Everything runs under vm_lock; what is handed out never moves. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/hash.h"
#include "code/gdb.h"
#include "os/pages.h"
#include "tramp/tramp.h"
#include "vm/objects.h"
#include "wasm/fields.h"

#define TYPES_MAX_IDS 0x7fffffu /* what a ValType can hold */
#define TYPES_MARK_INSIDE 0x80000000u
#define TYPES_SUPERTYPES_BYTES ((size_t)(TYPES_MAX_IDS + 1) * sizeof(uint32_t))
#define TYPES_SUPERTYPES_STEP ((size_t)64 << 10)

typedef struct TypesRecord {
    uint8_t kind;             /* WasmTypeKind */
    uint32_t supertype;       /* id; 0: none */
    uint32_t num_params, num_results;
    const ValType *params, *results; /* structs and arrays: fields as params */
    const void *host_call;    /* NULL until somebody asks, like the next ones */
    const void *native_call[2]; /* [1]: for components */
} TypesRecord;

/* A recursion group, or an array of ids: words that are looked up by their contents. */
typedef struct TypesEntry {
    uint64_t hash;
    const uint32_t *words;
    uint32_t num_words;
    uint32_t first_id;        /* of a group; 0: an array of ids */
} TypesEntry;

typedef struct TypesPage {
    void *start;
    size_t bytes;
    GdbEntry *announced;
} TypesPage;

typedef WR_ARRAY(uint32_t) TypesWords;

struct WrTypeRegistry {
    _Atomic uint32_t references;
    uint64_t hash_seed;
    WrArena arena;
    WR_ARRAY(TypesRecord) records; /* by id - 1 */
    WR_ARRAY(TypesEntry) entries;
    uint32_t *slots;          /* open addressing: index into entries + 1; a power of two */
    uint32_t num_slots;
    WR_ARRAY(TypesPage) pages; /* trampolines of host functions */
    /* what code and collections read without a lock: neither moves nor shrinks under them */
    _Atomic(const VmTypeLayout **) layouts; /* by id; replaced when it grows, the arena keeps the old ones */
    uint32_t capacity_layouts;
    uint32_t *supertypes;      /* by id: the whole range reserved, once there is a type that is not final */
    size_t supertypes_bytes;   /* committed */
};

WrTypeRegistry *wr_types_new(void)
{
    WrTypeRegistry *registry = calloc(1, sizeof *registry);
    if (registry == NULL) return NULL;
    atomic_init(&registry->references, 1);
    registry->hash_seed = wr_hash_seed(registry);
    return registry;
}

void wr_types_retain(WrTypeRegistry *registry)
{
    atomic_fetch_add_explicit(&registry->references, 1, memory_order_relaxed);
}

void wr_types_release(WrTypeRegistry *registry)
{
    if (atomic_fetch_sub_explicit(&registry->references, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t i = 0; i < registry->pages.count; i++) {
        wr_gdb_retract(registry->pages.items[i].announced);
        wr_os_release(registry->pages.items[i].start, registry->pages.items[i].bytes);
    }
    wr_array_free(&registry->pages);
    wr_os_release(registry->supertypes, TYPES_SUPERTYPES_BYTES);
    wr_array_free(&registry->records);
    wr_array_free(&registry->entries);
    free(registry->slots);
    wr_arena_free(&registry->arena);
    free(registry);
}

/* ---- words -> entry ------------------------------------------------------------------------------------------------------- */

static bool types_out_of_memory(WrError *error)
{
    return wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory for types");
}

static uint32_t types_slot(const WrTypeRegistry *registry, uint64_t hash, const uint32_t *words, uint32_t num_words, bool is_group)
{
    uint32_t slot = (uint32_t)hash & (registry->num_slots - 1);
    for (; registry->slots[slot] != 0; slot = (slot + 1) & (registry->num_slots - 1)) {
        const TypesEntry *entry = &registry->entries.items[registry->slots[slot] - 1];
        if (entry->hash == hash && entry->num_words == num_words && (entry->first_id != 0) == is_group &&
            memcmp(entry->words, words, num_words * sizeof *words) == 0)
            break;
    }
    return slot;
}

static bool types_grow_slots(WrTypeRegistry *registry)
{
    uint32_t num_slots = registry->num_slots ? 2 * registry->num_slots : 64;
    uint32_t *slots = num_slots > UINT32_MAX / 2 ? NULL : calloc(num_slots, sizeof *slots);
    if (slots == NULL) return false;
    free(registry->slots);
    registry->slots = slots;
    registry->num_slots = num_slots;
    for (uint32_t i = 0; i < registry->entries.count; i++) {
        uint32_t slot = (uint32_t)registry->entries.items[i].hash & (num_slots - 1);
        while (slots[slot] != 0) slot = (slot + 1) & (num_slots - 1);
        slots[slot] = i + 1;
    }
    return true;
}

/* The entry with these words; *out_is_new when it was added (then with words copied and first_id as given). NULL: no memory. */
static const TypesEntry *types_intern(WrTypeRegistry *registry, const uint32_t *words, uint32_t num_words, uint32_t first_id, bool *out_is_new)
{
    *out_is_new = false;
    if (registry->entries.count >= registry->num_slots / 2 && !types_grow_slots(registry)) return NULL;
    uint64_t hash = wr_hash_bytes(registry->hash_seed, (const uint8_t *)words, num_words * sizeof *words);
    uint32_t slot = types_slot(registry, hash, words, num_words, first_id != 0);
    if (registry->slots[slot] != 0) return &registry->entries.items[registry->slots[slot] - 1];
    uint32_t *copy = wr_arena_alloc(&registry->arena, num_words * sizeof *copy + 1);
    if (copy == NULL) return NULL;
    if (num_words != 0) memcpy(copy, words, num_words * sizeof *copy);
    if (!wr_array_push(&registry->entries, (TypesEntry){ hash, copy, num_words, first_id })) return NULL;
    registry->slots[slot] = registry->entries.count;
    *out_is_new = true;
    return &registry->entries.items[registry->entries.count - 1];
}

/* ---- spelling groups ------------------------------------------------------------------------------------------------------ */

/* What a module's type words refer to while its groups are added in order. */
typedef struct TypesScope {
    const uint32_t *ids;   /* of the module's types before the group; NULL: words hold ids already */
    uint32_t first, count; /* the group; none without ids */
} TypesScope;

/* A reference as a word: an id, or marked and relative to the group. False: forward, which no valid module has. */
static bool types_reference(const TypesScope *scope, uint32_t index, uint32_t *out_word)
{
    if (scope->ids == NULL)
        *out_word = index;
    else if (index < scope->first)
        *out_word = scope->ids[index];
    else if (index - scope->first < scope->count)
        *out_word = (index - scope->first) | TYPES_MARK_INSIDE;
    else
        return false;
    return true;
}

static bool types_spell_values(TypesWords *words, const TypesScope *scope, const ValType *types, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ValType type = types[i];
        uint32_t reference;
        if (!wr_vt_is_ref(type) || !wr_vt_concrete(type)) {
            if (!wr_array_push(words, type)) return false;
            continue;
        }
        if (!types_reference(scope, wr_vt_heap(type), &reference)) return false;
        if (!wr_array_push(words, type & ~(0x7fffffu << 8)) || !wr_array_push(words, reference)) return false;
    }
    return true;
}

static bool types_spell(TypesWords *words, const TypesScope *scope, const WasmTypeDef *type, const ValType *params, const ValType *results)
{
    uint32_t has_super = type->supertype != UINT32_MAX, super = 0;
    if (has_super && !types_reference(scope, type->supertype, &super)) return false;
    return wr_array_push(words, (uint32_t)type->kind | (uint32_t)type->is_final << 8 | has_super << 9) && wr_array_push(words, super) &&
           wr_array_push(words, type->func.num_params) && wr_array_push(words, type->func.num_results) &&
           types_spell_values(words, scope, params, type->func.num_params) && types_spell_values(words, scope, results, type->func.num_results);
}

/* ---- words -> records ----------------------------------------------------------------------------------------------------- */

static uint32_t types_resolve(uint32_t word, uint32_t first_id)
{
    return word & TYPES_MARK_INSIDE ? first_id + (word & ~TYPES_MARK_INSIDE) : word;
}

static const uint32_t *types_read_values(const uint32_t *words, uint32_t first_id, ValType *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ValType type = *words++;
        if (wr_vt_is_ref(type) && wr_vt_concrete(type)) type |= types_resolve(*words++, first_id) << 8;
        out[i] = type;
    }
    return words;
}

static uint32_t types_field_class(const WrTypeRegistry *registry, ValType type)
{
    if (!wr_vt_is_ref(type)) return VM_FIELD_PLAIN;
    uint32_t heap = wr_vt_heap(type);
    if (wr_vt_concrete(type)) return registry->records.items[heap - 1].kind == WASM_TYPE_FUNC ? VM_FIELD_PLAIN : VM_FIELD_OBJECT;
    if (heap == WR_HEAP_EXN || heap == WR_HEAP_NOEXN) return VM_FIELD_EXCEPTION;
    return heap == WR_HEAP_FUNC || heap == WR_HEAP_NOFUNC ? VM_FIELD_PLAIN : VM_FIELD_OBJECT;
}

/* Of a type whose group is complete; NULL: no memory. */
static const VmTypeLayout *types_layout(WrTypeRegistry *registry, const TypesRecord *record)
{
    uint32_t at = 0, num_refs = 0;
    for (uint32_t i = 0; record->kind == WASM_TYPE_STRUCT && i < record->num_params; i++) num_refs += types_field_class(registry, record->params[i]) != VM_FIELD_PLAIN;
    VmTypeLayout *layout = wr_arena_calloc(&registry->arena, 1, sizeof *layout + num_refs * sizeof layout->refs[0]);
    if (layout == NULL) return NULL;
    layout->kind = record->kind;
    if (record->kind == WASM_TYPE_ARRAY) {
        layout->item = (uint8_t)types_field_class(registry, record->params[0]);
        layout->item_bytes = (uint16_t)wr_field_bytes(record->params[0]);
    }
    for (uint32_t i = 0; record->kind == WASM_TYPE_STRUCT && i < record->num_params; i++) {
        uint32_t offset = wr_field_place(&at, record->params[i]), what = types_field_class(registry, record->params[i]);
        if (what != VM_FIELD_PLAIN) layout->refs[layout->num_refs++] = offset | what;
    }
    layout->bytes = wr_object_bytes(at);
    return layout;
}

static bool types_add_layouts(WrTypeRegistry *registry, uint32_t first_id, uint32_t count)
{
    uint32_t end = first_id + count;
    const VmTypeLayout **layouts = atomic_load_explicit(&registry->layouts, memory_order_relaxed);
    if (end > registry->capacity_layouts) {
        uint32_t capacity = 2 * registry->capacity_layouts < end ? end + 16 : 2 * registry->capacity_layouts;
        const VmTypeLayout **larger = wr_arena_calloc(&registry->arena, capacity, sizeof *larger);
        if (larger == NULL) return false;
        if (registry->capacity_layouts != 0) memcpy(larger, layouts, registry->capacity_layouts * sizeof *larger);
        registry->capacity_layouts = capacity;
        atomic_store_explicit(&registry->layouts, larger, memory_order_release);
        layouts = larger;
    }
    for (uint32_t id = first_id; id < end; id++) {
        const TypesRecord *record = &registry->records.items[id - 1];
        if (record->kind != WASM_TYPE_FUNC && (layouts[id] = types_layout(registry, record)) == NULL) return false;
    }
    return true;
}

/* Code looks up ids of any type, so that the table covers them all. */
static bool types_add_supertypes(WrTypeRegistry *registry, uint32_t first_id, uint32_t count, bool is_wanted)
{
    if (registry->supertypes == NULL) {
        if (!is_wanted) return true;
        registry->supertypes = wr_os_reserve(TYPES_SUPERTYPES_BYTES);
        if (registry->supertypes == NULL) return false;
    }
    size_t wanted = ((size_t)first_id + count) * sizeof(uint32_t);
    if (wanted > registry->supertypes_bytes) {
        size_t bytes = (wanted + TYPES_SUPERTYPES_STEP - 1) / TYPES_SUPERTYPES_STEP * TYPES_SUPERTYPES_STEP;
        if (bytes > TYPES_SUPERTYPES_BYTES) bytes = TYPES_SUPERTYPES_BYTES;
        if (!wr_os_protect((uint8_t *)registry->supertypes + registry->supertypes_bytes, bytes - registry->supertypes_bytes, WR_OS_READ_WRITE)) return false;
        registry->supertypes_bytes = bytes;
    }
    for (uint32_t id = first_id; id < first_id + count; id++) registry->supertypes[id] = registry->records.items[id - 1].supertype;
    return true;
}

/* Records for the group of an entry that was just added. */
static bool types_add_records(WrTypeRegistry *registry, const TypesEntry *entry, uint32_t count)
{
    const uint32_t *words = entry->words;
    bool has_open = false, has_objects = false;
    if (!wr_array_room(&registry->records, count)) return false;
    for (uint32_t i = 0; i < count; i++) {
        TypesRecord record = { .kind = (uint8_t)words[0], .num_params = words[2], .num_results = words[3] };
        has_open = has_open || !(words[0] & 1u << 8);
        has_objects = has_objects || record.kind != WASM_TYPE_FUNC;
        if (words[0] & 1u << 9) record.supertype = types_resolve(words[1], entry->first_id);
        ValType *values = wr_arena_calloc(&registry->arena, (size_t)record.num_params + record.num_results, sizeof *values);
        if (values == NULL) {
            registry->records.count -= i;
            return false;
        }
        words = types_read_values(words + 4, entry->first_id, values, record.num_params);
        words = types_read_values(words, entry->first_id, values + record.num_params, record.num_results);
        record.params = values;
        record.results = values + record.num_params;
        registry->records.items[registry->records.count++] = record;
    }
    if ((!has_objects || types_add_layouts(registry, entry->first_id, count)) && types_add_supertypes(registry, entry->first_id, count, has_open)) return true;
    registry->records.count -= count;
    return false;
}

/* The first id of the group of `count` types that is spelled; 0 and an error if there is no room. */
static uint32_t types_add_group(WrTypeRegistry *registry, const TypesWords *words, uint32_t count, WrError *error)
{
    bool is_new;
    uint32_t first_id = registry->records.count + 1;
    if (count > TYPES_MAX_IDS - registry->records.count) {
        wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "an engine holds at most %u types", TYPES_MAX_IDS);
        return 0;
    }
    const TypesEntry *entry = types_intern(registry, words->items, words->count, first_id, &is_new);
    if (entry == NULL) {
        types_out_of_memory(error);
        return 0;
    }
    if (is_new && !types_add_records(registry, entry, count)) {
        /* it is the newest of all: nothing was probed past it */
        registry->slots[types_slot(registry, entry->hash, entry->words, entry->num_words, true)] = 0;
        registry->entries.count--;
        types_out_of_memory(error);
        return 0;
    }
    return entry->first_id;
}

/* ---- registering ---------------------------------------------------------------------------------------------------------- */

static bool types_span_ok(const WasmModule *module, uint32_t first, uint32_t count)
{
    return first <= module->num_valtypes && count <= module->num_valtypes - first;
}

static bool types_register_group(WrTypeRegistry *registry, const WasmModule *module, WasmRecGroup group, uint32_t *ids, TypesWords *words, WrError *error)
{
    TypesScope scope = { ids, group.first_type, group.num_types };
    words->count = 0;
    uint32_t canonical = module->types[group.first_type].canonical;
    if (canonical < group.first_type) {
        /* a copy of an earlier group: its types name each other by the earlier indices */
        for (uint32_t i = 0; i < group.num_types; i++) {
            canonical = module->types[group.first_type + i].canonical;
            if (canonical >= group.first_type) return wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "malformed recursion group");
            ids[group.first_type + i] = ids[canonical];
        }
        return true;
    }
    for (uint32_t i = 0; i < group.num_types; i++) {
        const WasmTypeDef *type = &module->types[group.first_type + i];
        if (!types_span_ok(module, type->func.params, type->func.num_params) || !types_span_ok(module, type->func.results, type->func.num_results))
            return wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "malformed type");
        if (!types_spell(words, &scope, type, module->valtypes + type->func.params, module->valtypes + type->func.results)) return types_out_of_memory(error);
    }
    uint32_t first_id = types_add_group(registry, words, group.num_types, error);
    for (uint32_t i = 0; i < group.num_types; i++) ids[group.first_type + i] = first_id + i;
    return first_id != 0;
}

bool wr_types_register_module(WrTypeRegistry *registry, const WasmModule *module, const uint32_t **out_ids, WrError *error)
{
    TypesWords words = { 0 };
    uint32_t *ids = calloc((size_t)module->num_types + 1, sizeof *ids), next = 0;
    if (ids == NULL) return types_out_of_memory(error);
    vm_lock();
    bool ok = true, is_new;
    for (uint32_t i = 0; i < module->num_rec_groups && ok; i++) {
        WasmRecGroup group = module->rec_groups[i];
        if (group.first_type != next || group.num_types > module->num_types - next) {
            ok = wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "malformed recursion groups");
            break;
        }
        next += group.num_types;
        if (group.num_types != 0) ok = types_register_group(registry, module, group, ids, &words, error);
    }
    if (ok && next != module->num_types) ok = wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "malformed recursion groups");
    if (ok) {
        const TypesEntry *entry = types_intern(registry, ids, module->num_types, 0, &is_new);
        ok = entry != NULL ? true : types_out_of_memory(error);
        if (ok) *out_ids = entry->words;
    }
    vm_unlock();
    wr_array_free(&words);
    free(ids);
    return ok;
}

bool wr_types_register_func(WrTypeRegistry *registry, const ValType *params, uint32_t num_params, const ValType *results, uint32_t num_results, uint32_t *out_id, WrError *error)
{
    TypesWords words = { 0 };
    TypesScope scope = { 0 };
    WasmTypeDef type = { .kind = WASM_TYPE_FUNC, .is_final = 1, .supertype = UINT32_MAX, .func = { .num_params = num_params, .num_results = num_results } };
    if (num_params > ABI_MAX_VALUES || num_results > ABI_MAX_VALUES)
        return wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "a function type has at most %d parameters and %d results", ABI_MAX_VALUES, ABI_MAX_VALUES);
    bool ok = types_spell(&words, &scope, &type, params, results);
    if (!ok) types_out_of_memory(error);
    vm_lock();
    if (ok) ok = (*out_id = types_add_group(registry, &words, 1, error)) != 0;
    vm_unlock();
    wr_array_free(&words);
    return ok;
}

/* ---- asking --------------------------------------------------------------------------------------------------------------- */

/* Under vm_lock. */
static TypesRecord *types_record(WrTypeRegistry *registry, uint32_t id)
{
    return id == 0 || id > registry->records.count ? NULL : &registry->records.items[id - 1];
}

bool wr_types_func(WrTypeRegistry *registry, uint32_t id, const ValType **out_params, uint32_t *out_num_params, const ValType **out_results, uint32_t *out_num_results)
{
    vm_lock();
    const TypesRecord *record = types_record(registry, id);
    bool ok = record != NULL && record->kind == WASM_TYPE_FUNC;
    if (ok) {
        *out_params = record->params;
        *out_num_params = record->num_params;
        *out_results = record->results;
        *out_num_results = record->num_results;
    }
    vm_unlock();
    return ok;
}

bool wr_types_is_subtype(WrTypeRegistry *registry, uint32_t sub, uint32_t super)
{
    if (sub == super) return true;
    vm_lock();
    const TypesRecord *record = types_record(registry, sub);
    /* a supertype has a smaller id or is earlier in its group, so the chain ends */
    while (record != NULL && record->supertype != super) record = types_record(registry, record->supertype);
    vm_unlock();
    return record != NULL;
}

bool vm_type_matches(WrTypeRegistry *registry, ValType sub, ValType super)
{
    if (sub == super) return true;
    if (!wr_vt_is_ref(sub) || !wr_vt_is_ref(super) || (wr_vt_nullable(sub) && !wr_vt_nullable(super))) return false;
    if (wr_vt_concrete(sub) && wr_vt_concrete(super)) return wr_types_is_subtype(registry, wr_vt_heap(sub), wr_vt_heap(super));
    vm_lock();
    const TypesRecord *record = types_record(registry, wr_vt_heap(wr_vt_concrete(sub) ? sub : super));
    uint8_t kind = record == NULL ? WASM_TYPE_FUNC : record->kind;
    vm_unlock();
    uint32_t top = kind == WASM_TYPE_FUNC ? WR_HEAP_FUNC : kind == WASM_TYPE_STRUCT ? WR_HEAP_STRUCT : WR_HEAP_ARRAY;
    if (wr_vt_concrete(super)) return wr_vt_heap(sub) == (kind == WASM_TYPE_FUNC ? (uint32_t)WR_HEAP_NOFUNC : (uint32_t)WR_HEAP_NONE);
    /* a concrete type is right below the abstract type of its kind; from there on only abstract types are compared, which needs no module */
    if (wr_vt_concrete(sub)) sub = WR_VT_REF(wr_vt_nullable(sub), top);
    return wr_vt_matches(NULL, sub, super);
}

const VmTypeLayout *vm_type_layout(const WrTypeRegistry *registry, uint32_t id)
{
    return atomic_load_explicit(&((WrTypeRegistry *)(uintptr_t)registry)->layouts, memory_order_acquire)[id];
}

const uint32_t *vm_type_supertypes(const WrTypeRegistry *registry) { return registry->supertypes; }

/* ---- trampolines of host functions ---------------------------------------------------------------------------------------- */

typedef enum TypesTrampoline { TYPES_NATIVE_CALL, TYPES_NATIVE_CALL_MAY_LEAVE, TYPES_HOST_CALL } TypesTrampoline;

static const void *types_emit(WrTypeRegistry *registry, const TypesRecord *record, TypesTrampoline which, WrError *error)
{
    WrSignature signature = { record->params, record->num_params, record->results, record->num_results };
    const void *code = NULL;
    Asm as;
    wr_x64_asm_init(&as, X64_CPU_BASELINE);
    bool emitted = which == TYPES_HOST_CALL ? wr_tramp_emit_host_call(&as, &signature) : wr_tramp_emit_native_call(&as, &signature, which == TYPES_NATIVE_CALL_MAY_LEAVE);
    if (emitted && wr_array_room(&registry->pages, 1)) {
        size_t bytes = wr_os_round_to_pages(x64_offset(&as));
        void *start = wr_os_alloc(bytes);
        if (start != NULL) {
            memcpy(start, as.code.start, x64_offset(&as));
            if (wr_os_protect(start, bytes, WR_OS_READ_EXECUTE)) {
                GdbEntry *announced = wr_gdb_announce_function(start, (uint32_t)x64_offset(&as), "wasm-to-host");
                registry->pages.items[registry->pages.count++] = (TypesPage){ start, bytes, announced };
                code = (const uint8_t *)start + as.function_offset;
            }
        }
        if (code == NULL) {
            wr_os_memory_error(error, "a trampoline", bytes);
            wr_os_release(start, bytes);
        }
    } else {
        types_out_of_memory(error);
    }
    wr_x64_asm_free(&as);
    return code;
}

static bool types_trampoline(WrTypeRegistry *registry, uint32_t id, TypesTrampoline which, const void **out_wasm_call, WrError *error)
{
    bool ok = true;
    vm_lock();
    TypesRecord *record = types_record(registry, id);
    if (record == NULL || record->kind != WASM_TYPE_FUNC) {
        ok = wr_error_set(error, WR_ERROR_LINK, WR_NO_OFFSET, "%u is not the id of a function type of this engine", id);
    } else {
        const WrSignature signature = { record->params, record->num_params, record->results, record->num_results };
        if (which != TYPES_HOST_CALL && !wr_tramp_native_fits(&signature)) which = TYPES_HOST_CALL;
        const void **made = which == TYPES_HOST_CALL ? &record->host_call : &record->native_call[which];
        if (*made == NULL) ok = (*made = types_emit(registry, record, which, error)) != NULL;
        if (ok) *out_wasm_call = *made;
    }
    vm_unlock();
    return ok;
}

bool wr_types_host_call(WrTypeRegistry *registry, uint32_t id, const void **out_wasm_call, WrError *error)
{
    return types_trampoline(registry, id, TYPES_HOST_CALL, out_wasm_call, error);
}

bool wr_types_native_call(WrTypeRegistry *registry, uint32_t id, const WrNativeFunc *native, bool in_component, const void **out_wasm_call, WrError *error)
{
    TypesTrampoline which = !native->is_direct ? TYPES_HOST_CALL : in_component ? TYPES_NATIVE_CALL_MAY_LEAVE : TYPES_NATIVE_CALL;
    return types_trampoline(registry, id, which, out_wasm_call, error);
}
