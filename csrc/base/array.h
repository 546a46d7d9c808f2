/* Growable arrays of plain items: `WR_ARRAY(T) name = {0};`. Growth doubles; a failed growth leaves the array as it was. */
#ifndef WR_BASE_ARRAY_H
#define WR_BASE_ARRAY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define WR_ARRAY(type) struct { type *items; uint32_t count, capacity; }

/* Makes sure of room for `more` further items. */
bool wr_array_reserve(void **items, uint32_t count, uint32_t *capacity, uint32_t more, size_t item_bytes);

#define wr_array_room(array, more) \
    ((uint32_t)((array)->capacity - (array)->count) >= (more) || \
     wr_array_reserve((void **)&(array)->items, (array)->count, &(array)->capacity, (more), sizeof *(array)->items))
/* Appends; false when the system refuses memory. */
#define wr_array_push(array, ...) (wr_array_room(array, 1) && ((array)->items[(array)->count++] = (__VA_ARGS__), true))
#define wr_array_free(array) (free((array)->items), (array)->items = NULL, (array)->count = (array)->capacity = 0)

#endif
