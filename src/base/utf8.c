#include "base/utf8.h"

#include <string.h>

#define HIGH_BITS 0x8080808080808080ULL

/* The first byte that is not ASCII, or `end`. Most text on the wire is JSON and nearly all ASCII,
 * so this loop is what the cost of a text message hangs on. */
static const uint8_t *skip_ascii(const uint8_t *at, const uint8_t *end)
{
    uint64_t word[4];
    while (end - at >= 32) {
        memcpy(word, at, 32);
        if ((word[0] | word[1] | word[2] | word[3]) & HIGH_BITS)
            break;
        at += 32;
    }
    while (end - at >= 8) {
        memcpy(word, at, 8);
        if (word[0] & HIGH_BITS)
            break;
        at += 8;
    }
    while (at < end && *at < 0x80)
        at++;
    return at;
}

/* RFC 3629 4: the first byte tells how many follow, and narrows the range of the second. That
 * narrowing alone keeps out overlong forms (E0, F0; C0 and C1 are always overlong), surrogates
 * (ED) and what lies above U+10FFFF (F4). */
static bool start_character(utf8_state *state, uint8_t first)
{
    state->low = 0x80;
    state->high = 0xbf;
    if (first < 0xc2 || first > 0xf4)
        return false;
    if (first < 0xe0) {
        state->need = 1;
    } else if (first < 0xf0) {
        state->need = 2;
        if (first == 0xe0)
            state->low = 0xa0;
        else if (first == 0xed)
            state->high = 0x9f;
    } else {
        state->need = 3;
        if (first == 0xf0)
            state->low = 0x90;
        else if (first == 0xf4)
            state->high = 0x8f;
    }
    return true;
}

bool utf8_feed(utf8_state *state, const void *data, size_t len)
{
    if (len == 0)
        return true;
    const uint8_t *at = data;
    const uint8_t *end = at + len;
    utf8_state s = *state;
    for (;;) {
        for (; s.need && at < end; at++, s.need--) {
            if (*at < s.low || *at > s.high)
                return false;
            s.low = 0x80;
            s.high = 0xbf;
        }
        /* Text in other scripts comes in runs: no word test between its characters. */
        if (at < end && *at < 0x80)
            at = skip_ascii(at, end);
        if (at == end)
            break;
        if (!start_character(&s, *at++))
            return false;
    }
    *state = s;
    return true;
}

bool utf8_is_valid(const void *data, size_t len)
{
    utf8_state state = { 0 };
    return utf8_feed(&state, data, len) && utf8_is_complete(&state);
}
