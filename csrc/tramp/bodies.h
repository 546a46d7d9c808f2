/* Which signatures share a trampoline: those whose values are of the same kinds. References of any type are one kind, so bodies are fewer than types. */
#ifndef WR_TRAMP_BODIES_H
#define WR_TRAMP_BODIES_H

#include <stddef.h>

#include "tramp/abi.h"

typedef struct TrampBodies {
    uint32_t *slots;         /* open addressing: index into signatures plus 1, 0 free; a power of two of them */
    WrSignature *signatures; /* borrow their types */
    size_t num_slots;
    uint64_t seed;           /* differs from run to run; numbers do not depend on it */
    uint32_t count, capacity;
} TrampBodies;

/* For at most `capacity` different signatures; false: no memory. */
bool wr_tramp_bodies_init(TrampBodies *bodies, uint32_t capacity);
void wr_tramp_bodies_free(TrampBodies *bodies);
/* Number of the body of this signature: numbers count from 0 in the order in which new ones are asked for. */
uint32_t wr_tramp_bodies_number(TrampBodies *bodies, const WrSignature *signature);

/* Of signatures that share a body, the same; with hash 0 part of the format of artifacts. */
uint64_t wr_tramp_signature_hash(const WrSignature *signature, uint64_t hash);

#endif
