#include "base/utf8.h"

#include <string.h>

bool wr_utf8_valid(const uint8_t *bytes, size_t count)
{
    const uint8_t *p = bytes, *end = bytes + count;
    while (p < end) {
        while (end - p >= 32) { /* ASCII, most of what there is, by four words at once */
            uint64_t words[4];
            memcpy(words, p, 32);
            if ((words[0] | words[1] | words[2] | words[3]) & UINT64_C(0x8080808080808080)) break;
            p += 32;
        }
        if (end - p >= 8) {
            uint64_t word;
            memcpy(&word, p, 8);
            if (!(word & UINT64_C(0x8080808080808080))) {
                p += 8;
                continue;
            }
        }
        if (p == end) break;
        uint8_t lead = *p++;
        if (lead < 0x80) continue;
        /* the first continuation byte has a narrower range after E0, ED, F0 and F4 */
        uint8_t low = 0x80, high = 0xbf;
        int more;
        if (lead >= 0xc2 && lead <= 0xdf) {
            more = 1;
        } else if ((lead & 0xf0) == 0xe0) {
            more = 2;
            if (lead == 0xe0) low = 0xa0;
            if (lead == 0xed) high = 0x9f;
        } else if (lead >= 0xf0 && lead <= 0xf4) {
            more = 3;
            if (lead == 0xf0) low = 0x90;
            if (lead == 0xf4) high = 0x8f;
        } else {
            return false;
        }
        if (end - p < more || *p < low || *p > high) return false;
        for (p++; --more; p++)
            if ((*p & 0xc0) != 0x80) return false;
    }
    return true;
}
