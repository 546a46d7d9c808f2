/* LEB128 integers. `wr_leb_*` read bytes that were checked before (no bounds, no length check); `wr_leb_check_*` read what nobody has seen yet. */
#ifndef WR_BASE_LEB128_H
#define WR_BASE_LEB128_H

#include <stddef.h>
#include <stdint.h>

typedef enum WrLebStatus {
    WR_LEB_OK,
    WR_LEB_TRUNCATED, /* the bytes ended inside the integer */
    WR_LEB_TOO_LONG,  /* more bytes than its width can need */
    WR_LEB_TOO_LARGE  /* unused bits of the last byte are neither zero nor a sign extension */
} WrLebStatus;

/* The long forms; *cursor stands behind the first byte, which had its top bit set. */
uint32_t wr_leb_u32_rest(const uint8_t **cursor, uint32_t first);
uint64_t wr_leb_u64_rest(const uint8_t **cursor, uint64_t first);
int64_t wr_leb_s64_rest(const uint8_t **cursor, uint64_t first);

static inline uint32_t wr_leb_u32(const uint8_t **cursor)
{
    uint32_t byte = *(*cursor)++;
    return byte < 0x80 ? byte : wr_leb_u32_rest(cursor, byte);
}

static inline uint64_t wr_leb_u64(const uint8_t **cursor)
{
    uint64_t byte = *(*cursor)++;
    return byte < 0x80 ? byte : wr_leb_u64_rest(cursor, byte);
}

/* Also right for s33 and s32: the value is sign-extended. */
static inline int64_t wr_leb_s64(const uint8_t **cursor)
{
    uint64_t byte = *(*cursor)++;
    return byte < 0x80 ? (int64_t)(byte ^ 0x40) - 0x40 : wr_leb_s64_rest(cursor, byte);
}

static inline int32_t wr_leb_s32(const uint8_t **cursor) { return (int32_t)wr_leb_s64(cursor); }

static inline void wr_leb_skip(const uint8_t **cursor)
{
    while (*(*cursor)++ & 0x80) {}
}

/* On failure *cursor stays where the integer starts. */
WrLebStatus wr_leb_check_unsigned(const uint8_t **cursor, const uint8_t *end, unsigned bits, uint64_t *out_value);
WrLebStatus wr_leb_check_signed(const uint8_t **cursor, const uint8_t *end, unsigned bits, int64_t *out_value);
const char *wr_leb_status_text(WrLebStatus status);

static inline WrLebStatus wr_leb_check_u32(const uint8_t **cursor, const uint8_t *end, uint32_t *out_value)
{
    if (__builtin_expect(*cursor < end && **cursor < 0x80, 1)) {
        *out_value = *(*cursor)++;
        return WR_LEB_OK;
    }
    uint64_t value = 0;
    WrLebStatus status = wr_leb_check_unsigned(cursor, end, 32, &value);
    *out_value = (uint32_t)value;
    return status;
}

#endif
