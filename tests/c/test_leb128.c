/* LEB128 at its edges: what the checked readers refuse and where values wrap. */
#include <assert.h>
#include <stdio.h>

#include "base/leb128.h"

static WrLebStatus read_unsigned(const char *bytes, size_t count, unsigned bits, uint64_t *value)
{
    const uint8_t *p = (const uint8_t *)bytes;
    return wr_leb_check_unsigned(&p, p + count, bits, value);
}

static WrLebStatus read_signed(const char *bytes, size_t count, unsigned bits, int64_t *value)
{
    const uint8_t *p = (const uint8_t *)bytes;
    return wr_leb_check_signed(&p, p + count, bits, value);
}

#define BYTES(text) text, sizeof(text) - 1

int main(void)
{
    uint64_t u = 0;
    int64_t s = 0;
    assert(read_unsigned(BYTES("\xff\xff\xff\xff\x0f"), 32, &u) == WR_LEB_OK && u == UINT32_MAX);
    assert(read_unsigned(BYTES("\xff\xff\xff\xff\x1f"), 32, &u) == WR_LEB_TOO_LARGE);
    assert(read_unsigned(BYTES("\x80\x80\x80\x80\x80\x00"), 32, &u) == WR_LEB_TOO_LONG);
    assert(read_unsigned(BYTES("\x80\x80\x80\x80\x00"), 32, &u) == WR_LEB_OK && u == 0);
    assert(read_unsigned(BYTES("\x80"), 32, &u) == WR_LEB_TRUNCATED);
    assert(read_unsigned(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 64, &u) == WR_LEB_OK && u == UINT64_MAX);
    assert(read_unsigned(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03"), 64, &u) == WR_LEB_TOO_LARGE);
    assert(read_signed(BYTES("\x80\x80\x80\x80\x78"), 32, &s) == WR_LEB_OK && s == INT32_MIN);
    assert(read_signed(BYTES("\xff\xff\xff\xff\x07"), 32, &s) == WR_LEB_OK && s == INT32_MAX);
    assert(read_signed(BYTES("\xff\xff\xff\xff\x0f"), 32, &s) == WR_LEB_TOO_LARGE);
    assert(read_signed(BYTES("\x80\x80\x80\x80\x68"), 32, &s) == WR_LEB_TOO_LARGE);
    assert(read_signed(BYTES("\xff\xff\xff\xff\xff\x7f"), 32, &s) == WR_LEB_TOO_LONG);
    assert(read_signed(BYTES("\x40"), 33, &s) == WR_LEB_OK && s == -64);
    assert(read_signed(BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f"), 64, &s) == WR_LEB_OK && s == INT64_MIN);
    assert(read_signed(BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7e"), 64, &s) == WR_LEB_TOO_LARGE);

    const uint8_t stream[] = {0xe5, 0x8e, 0x26, 0x7f, 0xc0, 0xbb, 0x78, 0x80, 0x80, 0x80, 0x80, 0x78};
    const uint8_t *p = stream;
    assert(wr_leb_u32(&p) == 624485);
    assert(wr_leb_s32(&p) == -1);
    assert(wr_leb_s64(&p) == -123456);
    assert(wr_leb_s32(&p) == INT32_MIN);
    assert(p == stream + sizeof stream);
    puts("ok");
    return 0;
}
