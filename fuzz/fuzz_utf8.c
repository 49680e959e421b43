/* Covers utf8_feed and utf8_is_valid: the streamed verdict, for any cutting, is that of the whole,
 * and both are that of a decoder which knows nothing but the definition.
 *
 * Input: byte 0 chooses the cutting, the rest is the text. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Bytes of the valid character at the front of the text, 0 when there is none. Decodes first, then
 * judges the code point: another way than the code under test takes. */
static size_t naive_character_len(const uint8_t *text, size_t size)
{
    static const uint32_t code_min[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint8_t first = text[0];
    size_t len = first < 0x80             ? 1
                 : (first & 0xe0) == 0xc0 ? 2
                 : (first & 0xf0) == 0xe0 ? 3
                 : (first & 0xf8) == 0xf0 ? 4
                                          : 0;
    if (len == 0 || len > size)
        return 0;
    uint32_t code = len == 1 ? first : first & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < code_min[len] || code > 0x10ffff || is_surrogate ? 0 : len;
}

static bool naive_is_valid(const uint8_t *text, size_t size)
{
    while (size) {
        size_t len = naive_character_len(text, size);
        if (len == 0)
            return false;
        text += len;
        size -= len;
    }
    return true;
}

static bool streamed_is_valid(const uint8_t *text, size_t size, uint8_t cutting)
{
    utf8_state state = { 0 };
    size_t round = 0;
    while (size) {
        /* 1, or two lengths that alternate. */
        size_t n = cutting == 0 ? 1 : (round++ % 2 ? cutting & 15 : cutting >> 4);
        if (n == 0)
            n = 1;
        if (n > size)
            n = size;
        if (!utf8_feed(&state, text, n))
            return false;
        text += n;
        size -= n;
    }
    return utf8_is_complete(&state);
}

/* A stream is refused at the byte after which no valid text can follow, and not later: what was
 * accepted can always be completed. */
static void require_fail_fast(const uint8_t *text, size_t size)
{
    for (size_t len = 1; len <= size; len++) {
        utf8_state state = { 0 };
        if (!utf8_feed(&state, text, len))
            return;
        uint8_t rest[3];
        size_t need = state.need;
        require(need <= sizeof(rest));
        for (size_t i = 0; i < need; i++)
            rest[i] = i ? 0x80 : state.low;
        require(utf8_feed(&state, rest, need) && utf8_is_complete(&state));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const uint8_t *text = data + 1;
    size--;
    bool expected = naive_is_valid(text, size);
    require(utf8_is_valid(text, size) == expected);
    require(streamed_is_valid(text, size, data[0]) == expected);
    if (size <= 256)
        require_fail_fast(text, size);
    return 0;
}
