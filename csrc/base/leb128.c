/* The long forms of LEB128; one-byte integers are read inline. */
#include "base/leb128.h"

uint32_t wr_leb_u32_rest(const uint8_t **cursor, uint32_t first)
{
    const uint8_t *p = *cursor;
    uint32_t value = first & 0x7f, byte;
    unsigned shift = 7;
    do {
        byte = *p++;
        value |= (byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    *cursor = p;
    return value;
}

uint64_t wr_leb_u64_rest(const uint8_t **cursor, uint64_t first)
{
    const uint8_t *p = *cursor;
    uint64_t value = first & 0x7f, byte;
    unsigned shift = 7;
    do {
        byte = *p++;
        value |= (byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    *cursor = p;
    return value;
}

int64_t wr_leb_s64_rest(const uint8_t **cursor, uint64_t first)
{
    const uint8_t *p = *cursor;
    uint64_t value = first & 0x7f, byte;
    unsigned shift = 7;
    do {
        byte = *p++;
        value |= (byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    *cursor = p;
    if (shift < 64 && (byte & 0x40)) {
        value |= ~UINT64_C(0) << shift;
    }
    return (int64_t)value;
}

WrLebStatus wr_leb_check_unsigned(const uint8_t **cursor, const uint8_t *end, unsigned bits, uint64_t *out_value)
{
    const uint8_t *p = *cursor;
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        if (p >= end) return WR_LEB_TRUNCATED;
        uint64_t byte = *p++;
        if (shift + 7 >= bits) { /* the last byte that can be needed */
            if (byte & 0x80) return WR_LEB_TOO_LONG;
            if (byte >> (bits - shift)) return WR_LEB_TOO_LARGE;
        }
        value |= (byte & 0x7f) << shift;
        if (!(byte & 0x80)) break;
    }
    *cursor = p;
    *out_value = value;
    return WR_LEB_OK;
}

WrLebStatus wr_leb_check_signed(const uint8_t **cursor, const uint8_t *end, unsigned bits, int64_t *out_value)
{
    const uint8_t *p = *cursor;
    uint64_t value = 0, byte;
    unsigned shift = 0;
    do {
        if (p >= end) return WR_LEB_TRUNCATED;
        byte = *p++;
        if (shift + 7 >= bits) {
            if (byte & 0x80) return WR_LEB_TOO_LONG;
            /* from the sign bit up, all bits of the last byte are equal */
            uint64_t top = byte >> (bits - shift - 1), ones = UINT64_C(0x7f) >> (bits - shift - 1);
            if (top != 0 && top != ones) return WR_LEB_TOO_LARGE;
        }
        value |= (byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    if (shift < 64 && (byte & 0x40)) {
        value |= ~UINT64_C(0) << shift;
    }
    *cursor = p;
    *out_value = (int64_t)value;
    return WR_LEB_OK;
}

const char *wr_leb_status_text(WrLebStatus status)
{
    switch (status) {
    case WR_LEB_OK: return "a valid integer";
    case WR_LEB_TRUNCATED: return "unexpected end inside an integer";
    case WR_LEB_TOO_LONG: return "integer representation too long";
    case WR_LEB_TOO_LARGE: return "integer too large";
    }
    return "a valid integer";
}
