/* Skipping plain string bytes eight at a time: what checking, decoding and encoding share. */
#ifndef CARAFE_SOCKETIO_JSON_SCAN_H
#define CARAFE_SOCKETIO_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* True for the bytes that cannot stand for themselves in a JSON string. */
static inline bool json_is_special(uint8_t byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\';
}

static inline bool json_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline bool json_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Non-zero when one of the eight bytes is special. Per byte: a zero byte is found by the borrow
 * that subtracting 1 makes; x ^ pattern is zero where x equals the pattern; a byte below 0x20
 * borrows when 0x20 is subtracted. Borrows may flag bytes above a special one, never all-plain
 * words. */
static inline uint64_t json_word_has_special(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t tops = 0x8080808080808080u;
    uint64_t quote = word ^ (ones * '"');
    uint64_t backslash = word ^ (ones * '\\');
    uint64_t hits = (word - ones * 0x20) & ~word;
    hits |= (quote - ones) & ~quote;
    hits |= (backslash - ones) & ~backslash;
    return hits & tops;
}

/* The first special byte in [at, end), or `end`. */
static inline const char *json_skip_plain(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        if (json_word_has_special(word))
            break;
        at += 8;
    }
    while (at < end && !json_is_special((uint8_t)*at))
        at++;
    return at;
}

static inline const char *json_skip_space(const char *at, const char *end)
{
    while (at < end && json_is_space(*at))
        at++;
    return at;
}

#endif /* CARAFE_SOCKETIO_JSON_SCAN_H */
