#include "tramp/bodies.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"

bool wr_tramp_bodies_init(TrampBodies *bodies, uint32_t capacity)
{
    *bodies = (TrampBodies){.num_slots = 4, .capacity = capacity};
    while (bodies->num_slots < 2 * (size_t)capacity) bodies->num_slots *= 2;
    bodies->slots = calloc(bodies->num_slots, sizeof *bodies->slots);
    bodies->signatures = calloc((size_t)capacity + 1, sizeof *bodies->signatures);
    bodies->seed = wr_hash_seed(bodies->slots);
    if (bodies->slots && bodies->signatures) return true;
    wr_tramp_bodies_free(bodies);
    return false;
}

void wr_tramp_bodies_free(TrampBodies *bodies)
{
    free(bodies->slots);
    free(bodies->signatures);
    *bodies = (TrampBodies){0};
}

static bool bodies_same_kinds(const ValType *a, const ValType *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (wr_vt_kind(a[i]) != wr_vt_kind(b[i])) return false;
    }
    return true;
}

static bool bodies_same(const WrSignature *a, const WrSignature *b)
{
    return a->num_params == b->num_params && a->num_results == b->num_results && bodies_same_kinds(a->params, b->params, a->num_params) &&
           bodies_same_kinds(a->results, b->results, a->num_results);
}

uint64_t wr_tramp_signature_hash(const WrSignature *signature, uint64_t hash)
{
    hash = wr_hash_mix(hash, (uint64_t)signature->num_params << 32 | signature->num_results);
    for (uint32_t i = 0; i < signature->num_params; i++) hash = wr_hash_mix(hash, wr_vt_kind(signature->params[i]));
    for (uint32_t i = 0; i < signature->num_results; i++) hash = wr_hash_mix(hash, wr_vt_kind(signature->results[i]));
    return hash;
}

uint32_t wr_tramp_bodies_number(TrampBodies *bodies, const WrSignature *signature)
{
    size_t slot = wr_tramp_signature_hash(signature, bodies->seed) & (bodies->num_slots - 1);
    while (bodies->slots[slot] && !bodies_same(signature, &bodies->signatures[bodies->slots[slot] - 1])) slot = (slot + 1) & (bodies->num_slots - 1);
    if (!bodies->slots[slot]) {
        assert(bodies->count < bodies->capacity);
        bodies->signatures[bodies->count] = *signature;
        bodies->slots[slot] = ++bodies->count;
    }
    return bodies->slots[slot] - 1;
}
