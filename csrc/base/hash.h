/* A mixing hash for tables that live as long as one call. Start it from wr_hash_seed so that nobody can prepare collisions. */
#ifndef WR_BASE_HASH_H
#define WR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t wr_hash_mix(uint64_t hash, uint64_t word)
{
    __extension__ unsigned __int128 product = (unsigned __int128)(hash ^ word ^ UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xd1342543de82ef95);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Address space randomization is what makes it hard to predict. */
static inline uint64_t wr_hash_seed(const void *heap_pointer)
{
    return wr_hash_mix((uint64_t)(uintptr_t)heap_pointer, (uint64_t)(uintptr_t)&heap_pointer);
}

static inline uint64_t wr_hash_bytes(uint64_t hash, const uint8_t *bytes, size_t count)
{
    uint64_t word;
    hash = wr_hash_mix(hash, count);
    for (; count >= 8; bytes += 8, count -= 8) {
        memcpy(&word, bytes, 8);
        hash = wr_hash_mix(hash, word);
    }
    if (count) {
        word = 0;
        memcpy(&word, bytes, count);
        hash = wr_hash_mix(hash, word);
    }
    return hash;
}

/* The same for much: four lanes, some 15 GB/s. Checksums of artifacts are made by it, so it is part of their format. */
static inline uint64_t wr_hash_checksum(uint64_t hash, const uint8_t *bytes, size_t count)
{
    uint64_t lanes[4] = {hash, 1, 2, 3}, words[4];
    for (; count >= sizeof words; bytes += sizeof words, count -= sizeof words) {
        memcpy(words, bytes, sizeof words);
        for (int i = 0; i < 4; i++) lanes[i] = wr_hash_mix(lanes[i], words[i]);
    }
    for (int i = 1; i < 4; i++) lanes[0] = wr_hash_mix(lanes[0], lanes[i]);
    return wr_hash_bytes(lanes[0], bytes, count);
}

#endif
