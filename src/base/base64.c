#include "base/base64.h"

#include "base/error.h"

static const char standard_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* The 6 bits each character stands for, plus one: 0 is a character outside the alphabet. */
static const uint8_t values[256] = {
    ['A'] = 1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, /* to M */
    ['N'] = 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, /* to Z */
    ['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, /* to m */
    ['n'] = 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, /* to z */
    ['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, ['+'] = 63, ['/'] = 64,
};

/* Above 63 for a character outside the alphabet, so that the bits of several can be ORed and then
 * tested at once. */
static uint8_t bits_of(uint8_t c)
{
    return (uint8_t)(values[c] - 1);
}

/* Writes whole groups, then the 2 or 3 characters of a rest of 1 or 2 bytes, without padding. */
static size_t encode(const uint8_t *src, size_t len, char *dst, const char *alphabet)
{
    char *out = dst;
    for (; len >= 3; src += 3, len -= 3, out += 4) {
        uint32_t group = (uint32_t)src[0] << 16 | (uint32_t)src[1] << 8 | src[2];
        out[0] = alphabet[group >> 18];
        out[1] = alphabet[group >> 12 & 63];
        out[2] = alphabet[group >> 6 & 63];
        out[3] = alphabet[group & 63];
    }
    if (len) {
        uint32_t group = (uint32_t)src[0] << 16 | (len == 2 ? (uint32_t)src[1] << 8 : 0);
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        if (len == 2)
            *out++ = alphabet[group >> 6 & 63];
    }
    return (size_t)(out - dst);
}

size_t base64_encode(const void *src, size_t len, char *dst)
{
    size_t written = encode(src, len, dst, standard_alphabet);
    while (written % 4)
        dst[written++] = '=';
    return written;
}

size_t base64url_encode(const void *src, size_t len, char *dst)
{
    return encode(src, len, dst, url_alphabet);
}

/* The length without padding. Padding only ever completes a group of four, so a '=' anywhere else
 * stays in, and is refused as a character outside the alphabet. */
static size_t without_padding(const char *src, size_t len)
{
    if (len == 0 || len % 4 || src[len - 1] != '=')
        return len;
    return src[len - 2] == '=' ? len - 2 : len - 1;
}

ptrdiff_t base64_decode(const char *src, size_t len, uint8_t *dst)
{
    const uint8_t *in = (const uint8_t *)src;
    uint8_t *out = dst;
    /* In place is safe: a group is read whole before its bytes are written, never ahead of it. */
    for (len = without_padding(src, len); len >= 4; in += 4, len -= 4, out += 3) {
        uint8_t a = bits_of(in[0]), b = bits_of(in[1]), c = bits_of(in[2]), d = bits_of(in[3]);
        if ((a | b | c | d) > 63)
            return CARAFE_ERR_BAD_DATA;
        out[0] = (uint8_t)(a << 2 | b >> 4);
        out[1] = (uint8_t)(b << 4 | c >> 2);
        out[2] = (uint8_t)(c << 6 | d);
    }
    if (len == 0)
        return out - dst;
    if (len == 1)
        return CARAFE_ERR_BAD_DATA;
    uint8_t a = bits_of(in[0]), b = bits_of(in[1]), c = len == 3 ? bits_of(in[2]) : 0;
    /* RFC 4648 3.5: bits that belong to no byte must be zero, or one value would have two forms. */
    uint8_t spare = len == 3 ? (uint8_t)(c & 3) : (uint8_t)(b & 15);
    if ((a | b | c) > 63 || spare)
        return CARAFE_ERR_BAD_DATA;
    *out++ = (uint8_t)(a << 2 | b >> 4);
    if (len == 3)
        *out++ = (uint8_t)(b << 4 | c >> 2);
    return out - dst;
}
