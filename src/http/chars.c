#include "http/chars.h"

#include <string.h>

/* A row is sixteen bytes, its first one is in the comment; the numbers are sums of HTTP_CHAR_*.
 * The unit tests check the table against the sets as the RFCs write them. */
const uint8_t http_char_class[256] = {
    0,  0,  0,  0,  0,  0,  0,  0,  0,  8,  0,  0,  0,  0,  0,  0,  /* 00 */
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  /* 10 */
    8,  15, 10, 9,  15, 15, 15, 15, 14, 14, 15, 15, 14, 15, 15, 10, /* 20 */
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 10, 14, 10, 14, 10, 10, /* 30 */
    10, 31, 31, 31, 31, 31, 31, 15, 15, 15, 15, 15, 15, 15, 15, 15, /* 40 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 10, 10, 10, 11, 15, /* 50 */
    11, 31, 31, 31, 31, 31, 31, 15, 15, 15, 15, 15, 15, 15, 15, 15, /* 60 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 10, 11, 10, 15, 0,  /* 70 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* 80 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* 90 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* a0 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* b0 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* c0 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* d0 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* e0 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* f0 */
};

size_t http_char_span(const uint8_t *data, size_t len, uint8_t classes)
{
    size_t at = 0;
    while (at < len && http_char_is(data[at], classes))
        at++;
    return at;
}

/* Non-zero when one of eight bytes is below 0x20 or is 0x7f; in words without one it is zero. (A
 * borrow can mark a byte wrongly, but only above one that is marked rightly.) */
static inline uint64_t control_bytes(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t highs = 0x8080808080808080u;
    uint64_t del = word ^ (ones * 0x7f);
    return (((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & highs;
}

size_t http_text_span(const uint8_t *data, size_t len)
{
    size_t at = 0;
    for (;;) {
        uint64_t word;
        while (len - at >= sizeof(word)) {
            memcpy(&word, data + at, sizeof(word));
            if (control_bytes(word))
                break;
            at += sizeof(word);
        }
        size_t stop = len - at >= sizeof(word) ? at + sizeof(word) : len;
        while (at < stop && http_char_is(data[at], HTTP_CHAR_TEXT))
            at++;
        /* The word had only tabs: go on behind it. */
        if (at < stop || at == len)
            return at;
    }
}

int http_hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
