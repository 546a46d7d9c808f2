#include "base/array.h"

bool wr_array_reserve(void **items, uint32_t count, uint32_t *capacity, uint32_t more, size_t item_bytes)
{
    if (*capacity - count >= more) return true;
    uint64_t wanted = (uint64_t)count + more, grown = (uint64_t)*capacity * 2;
    if (grown < wanted) grown = wanted;
    if (grown < 16) grown = 16;
    if (grown > UINT32_MAX || grown > SIZE_MAX / 2 / item_bytes) return false;
    void *moved = realloc(*items, (size_t)grown * item_bytes);
    if (!moved) return false;
    *items = moved;
    *capacity = (uint32_t)grown;
    return true;
}
