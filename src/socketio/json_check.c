/* The checker. It walks the text once, keeping one bit per open container:
 *
 *   VALUE --scalar--------------> AFTER --','--> (in an object: KEY ':') --> VALUE
 *     |                             |
 *     +--'[' '{'--> VALUE or KEY    +--']' '}'--> AFTER
 *     +--'[]' '{}'--> AFTER         +--nothing open--> done
 */
#include "socketio/json.h"

#include <stdbool.h>
#include <string.h>

#include "socketio/json_scan.h"

enum { BITS_PER_WORD = 64 };

typedef struct checker {
    const char *at;
    const char *end;
    size_t depth; /* containers open */
    size_t depth_max;
    uint64_t is_object[SIO_JSON_DEPTH_CAP / BITS_PER_WORD]; /* bit n: the n-th open container */
} checker;

static bool in_object(const checker *c)
{
    size_t top = c->depth - 1;
    return c->is_object[top / BITS_PER_WORD] >> (top % BITS_PER_WORD) & 1;
}

static int open_container(checker *c, bool is_object)
{
    if (c->depth == c->depth_max)
        return CARAFE_ERR_TOO_DEEP;
    uint64_t *word = &c->is_object[c->depth / BITS_PER_WORD];
    uint64_t bit = (uint64_t)1 << (c->depth % BITS_PER_WORD);
    *word = is_object ? *word | bit : *word & ~bit;
    c->depth++;
    return 0;
}

/* Reads four hexadecimal digits; -1 when there are none. */
static int hex4(const char *at, const char *end)
{
    if (end - at < 4)
        return -1;
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int c = at[i];
        int lower = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value << 4 | (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value << 4 | (lower - 'a' + 10);
        else
            return -1;
    }
    return value;
}

/* Checks "\uXXXX" at `at` and, behind a high surrogate, the low one that must follow. Returns the
 * end, NULL when it is bad. */
static const char *check_unicode_escape(const char *at, const char *end, bool is_key)
{
    int unit = hex4(at + 2, end);
    if (unit < 0 || (is_key && unit == 0))
        return NULL;
    at += 6;
    if (unit < 0xd800 || unit > 0xdfff)
        return at;
    if (unit > 0xdbff || end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return NULL;
    int low = hex4(at + 2, end);
    return low >= 0xdc00 && low <= 0xdfff ? at + 6 : NULL;
}

/* c->at is behind the opening quote. */
static int check_string(checker *c, bool is_key)
{
    const char *at = c->at;
    for (;;) {
        at = json_skip_plain(at, c->end);
        if (at == c->end || (uint8_t)*at < 0x20)
            return CARAFE_ERR_BAD_JSON;
        if (*at == '"') {
            c->at = at + 1;
            return 0;
        }
        if (c->end - at < 2)
            return CARAFE_ERR_BAD_JSON;
        if (at[1] == 'u')
            at = check_unicode_escape(at, c->end, is_key);
        else
            at = at[1] && strchr("\"\\/bfnrt", at[1]) ? at + 2 : NULL;
        if (!at)
            return CARAFE_ERR_BAD_JSON;
    }
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && json_is_digit(*at))
        at++;
    return at;
}

/* True when a number rounds to a double: a text that passes can be decoded. `exponent` is that
 * behind the mantissa's last digit. Compares the power of ten of the first digit that counts and,
 * at the edge, the digits. */
static bool is_finite(const char *mantissa, const char *end, int64_t exponent)
{
    /* 1.7976...e308, half way between the largest double and what would be the next one, begins
     * so. What shares all these digits is refused, wherever it lies. */
    static const char edge_digits[] = "179769313486231580793728971405";
    const int64_t edge_exponent = 308;

    const char *first = mantissa;
    while (first < end && (*first == '0' || *first == '.'))
        first++;
    if (first == end)
        return true;
    const char *point = memchr(mantissa, '.', (size_t)(end - mantissa));
    if (!point)
        point = end;
    exponent += first < point ? point - first - 1 : point - first;
    if (exponent != edge_exponent)
        return exponent < edge_exponent;
    for (const char *edge = edge_digits; *edge; edge++) {
        if (first < end && *first == '.')
            first++;
        char digit = first < end ? *first++ : '0';
        if (digit != *edge)
            return digit < *edge;
    }
    return false;
}

/* Reads an exponent's digits; stops counting where no mantissa in memory could make up for it. */
static int64_t read_exponent(const char *at, const char *end, bool is_negative)
{
    const int64_t enough = INT64_MAX / 100;
    int64_t value = 0;
    for (; at < end && value < enough; at++)
        value = value * 10 + (*at - '0');
    return is_negative ? -value : value;
}

static int check_number(checker *c)
{
    enum { SURELY_FINITE_LEN = 300 }; /* characters of a mantissa without exponent */
    const char *at = c->at + (*c->at == '-');
    const char *mantissa = at;
    const char *digits = at;
    at = skip_digits(at, c->end);
    if (at == digits || (*digits == '0' && at - digits > 1))
        return CARAFE_ERR_BAD_JSON;
    if (at < c->end && *at == '.') {
        digits = ++at;
        at = skip_digits(at, c->end);
        if (at == digits)
            return CARAFE_ERR_BAD_JSON;
    }
    const char *mantissa_end = at;
    int64_t exponent = 0;
    if (at < c->end && (*at == 'e' || *at == 'E')) {
        at++;
        bool is_negative = at < c->end && *at == '-';
        if (at < c->end && (*at == '+' || *at == '-'))
            at++;
        digits = at;
        at = skip_digits(at, c->end);
        if (at == digits)
            return CARAFE_ERR_BAD_JSON;
        exponent = read_exponent(digits, at, is_negative);
    }
    bool is_suspect = exponent > 0 || mantissa_end - mantissa > SURELY_FINITE_LEN;
    if (is_suspect && !is_finite(mantissa, mantissa_end, exponent))
        return CARAFE_ERR_BAD_JSON;
    c->at = at;
    return 0;
}

static int check_literal(checker *c, const char *literal, size_t len)
{
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, literal, len) != 0)
        return CARAFE_ERR_BAD_JSON;
    c->at += len;
    return 0;
}

static int check_scalar(checker *c)
{
    switch (*c->at) {
    case '"':
        c->at++;
        return check_string(c, false);
    case 't':
        return check_literal(c, "true", 4);
    case 'f':
        return check_literal(c, "false", 5);
    case 'n':
        return check_literal(c, "null", 4);
    default:
        return check_number(c);
    }
}

/* A member's key and its colon. */
static int check_key(checker *c)
{
    c->at = json_skip_space(c->at, c->end);
    if (c->at == c->end || *c->at != '"')
        return CARAFE_ERR_BAD_JSON;
    c->at++;
    TRY(check_string(c, true));
    c->at = json_skip_space(c->at, c->end);
    if (c->at == c->end || *c->at != ':')
        return CARAFE_ERR_BAD_JSON;
    c->at++;
    return 0;
}

/* Closes what ends behind a value. Returns 1 when another value must follow, 0 when all is
 * closed. */
static int check_after_value(checker *c)
{
    while (c->depth > 0) {
        c->at = json_skip_space(c->at, c->end);
        if (c->at == c->end)
            return CARAFE_ERR_BAD_JSON;
        char byte = *c->at++;
        if (byte == ',') {
            if (in_object(c))
                TRY(check_key(c));
            return 1;
        }
        if (byte != (in_object(c) ? '}' : ']'))
            return CARAFE_ERR_BAD_JSON;
        c->depth--;
    }
    return 0;
}

/* Goes into a container. Returns 1 when a value must follow, 0 when it was empty, and is closed. */
static int check_opening(checker *c)
{
    bool is_object = *c->at++ == '{';
    TRY(open_container(c, is_object));
    c->at = json_skip_space(c->at, c->end);
    if (c->at < c->end && *c->at == (is_object ? '}' : ']')) {
        c->at++;
        c->depth--;
        return 0;
    }
    if (is_object)
        TRY(check_key(c));
    return 1;
}

/* Checks one value with all that is in it; c->at is behind it then. */
static int check_value(checker *c)
{
    int more = 1;
    while (more) {
        c->at = json_skip_space(c->at, c->end);
        if (c->at == c->end)
            return CARAFE_ERR_BAD_JSON;
        if (*c->at == '[' || *c->at == '{') {
            more = check_opening(c);
            TRY(more);
            if (more)
                continue;
        } else {
            TRY(check_scalar(c));
        }
        more = check_after_value(c);
        TRY(more);
    }
    return 0;
}

ptrdiff_t json_value_end(const char *text, size_t len, const json_limits *limits)
{
    if (len == 0)
        return CARAFE_ERR_BAD_JSON;
    checker c;
    c.at = text;
    c.end = text + len;
    c.depth = 0;
    c.depth_max = limits ? limits->depth_max : SIO_JSON_DEPTH_MAX;
    if (c.depth_max > SIO_JSON_DEPTH_CAP)
        c.depth_max = SIO_JSON_DEPTH_CAP;
    TRY(check_value(&c));
    return c.at - text;
}

int json_text_check(const char *text, size_t len, const json_limits *limits)
{
    ptrdiff_t at = json_value_end(text, len, limits);
    if (at < 0)
        return (int)at;
    return json_skip_space(text + at, text + len) == text + len ? 0 : CARAFE_ERR_BAD_JSON;
}
