#include "http/url.h"

#include <string.h>

#include "http/chars.h"

/* The byte of "%XX" at the front, or -1. */
static int escaped_byte(const char *text, size_t len)
{
    if (len < 3 || text[0] != '%')
        return -1;
    int high = http_hex_value((uint8_t)text[1]);
    int low = http_hex_value((uint8_t)text[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

ptrdiff_t http_path_decode(slice path, char *dst, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];
        if (c == '%') {
            int byte = escaped_byte(path.data + i, path.len - i);
            if (byte < 0)
                return CARAFE_ERR_BAD_REQUEST;
            c = (char)byte;
            i += 2;
        }
        if (c == '\0')
            return CARAFE_ERR_BAD_REQUEST;
        if (len + 1 >= cap)
            return CARAFE_ERR_NOSPACE;
        dst[len++] = c;
    }
    if (cap == 0)
        return CARAFE_ERR_NOSPACE;
    dst[len] = '\0';
    return (ptrdiff_t)len;
}

/* Takes one decoded byte off the front of a non-empty part of a query. */
static uint8_t next_form_byte(slice *text)
{
    size_t used = 1;
    uint8_t c = (uint8_t)text->data[0];
    if (c == '+') {
        c = ' ';
    } else if (c == '%') {
        int byte = escaped_byte(text->data, text->len);
        if (byte >= 0) {
            c = (uint8_t)byte;
            used = 3;
        }
    }
    *text = slice_of(text->data + used, text->len - used);
    return c;
}

ptrdiff_t http_form_decode(slice text, char *dst, size_t cap)
{
    size_t len = 0;
    while (text.len) {
        char c = (char)next_form_byte(&text);
        if (len + 1 >= cap)
            return CARAFE_ERR_NOSPACE;
        dst[len++] = c;
    }
    if (cap == 0)
        return CARAFE_ERR_NOSPACE;
    dst[len] = '\0';
    return (ptrdiff_t)len;
}

bool http_query_next(slice *rest, http_pair *out)
{
    slice part;
    do {
        if (!slice_split(rest, '&', &part))
            return false;
    } while (part.len == 0);
    const char *mark = memchr(part.data, '=', part.len);
    size_t key_len = mark ? (size_t)(mark - part.data) : part.len;
    out->key = slice_of(part.data, key_len);
    out->value = slice_of(part.data + part.len, 0);
    if (mark)
        out->value = slice_of(mark + 1, part.len - key_len - 1);
    return true;
}

bool http_pair_is(const http_pair *pair, const char *key)
{
    slice encoded = pair->key;
    while (encoded.len && *key)
        if (next_form_byte(&encoded) != (uint8_t)*key++)
            return false;
    return encoded.len == 0 && *key == '\0';
}

size_t http_query_count(slice query, const char *key)
{
    size_t count = 0;
    http_pair pair;
    while (http_query_next(&query, &pair))
        count += http_pair_is(&pair, key);
    return count;
}

static ptrdiff_t decode_value(slice value, char *dst, size_t cap)
{
    ptrdiff_t len = http_form_decode(value, dst, cap);
    /* The caller wants a C string: a NUL in it would hide what follows. */
    if (len > 0 && memchr(dst, '\0', (size_t)len))
        return CARAFE_ERR_BAD_REQUEST;
    return len;
}

ptrdiff_t http_query_first(slice query, const char *key, char *dst, size_t cap)
{
    http_pair pair;
    while (http_query_next(&query, &pair))
        if (http_pair_is(&pair, key))
            return decode_value(pair.value, dst, cap);
    return CARAFE_ERR_NOT_FOUND;
}

ptrdiff_t http_query_last(slice query, const char *key, char *dst, size_t cap)
{
    http_pair pair;
    slice value = {NULL, 0};
    while (http_query_next(&query, &pair))
        if (http_pair_is(&pair, key))
            value = pair.value;
    return value.data ? decode_value(value, dst, cap) : CARAFE_ERR_NOT_FOUND;
}

/* "." and ".." climb, and a name with a dot in front is meant to be hidden (".git", ".env"). RFC
 * 8615 has an exception, which only means something at the front. */
static bool is_safe_segment(slice segment, bool is_first)
{
    if (segment.len == 0)
        return false;
    if (segment.data[0] == '.')
        return is_first && slice_is(segment, ".well-known");
    /* "C:" and "C:file" leave the folder on some systems, "file:stream" hides one. */
    return !(is_first && segment.len >= 2 && segment.data[1] == ':');
}

int http_path_safe(slice path, char *dst, size_t cap)
{
    if (path.len && path.data[0] == '/')
        path = slice_of(path.data + 1, path.len - 1);
    for (size_t i = 0; i < path.len; i++)
        if ((uint8_t)path.data[i] < 0x20 || path.data[i] == 0x7f || path.data[i] == '\\')
            return CARAFE_ERR_NOT_FOUND;
    slice rest = path, segment;
    bool is_first = true;
    while (slice_split(&rest, '/', &segment)) {
        bool is_slash_at_end = segment.len == 0 && !rest.data;
        if (is_slash_at_end)
            break;
        if (!is_safe_segment(segment, is_first))
            return CARAFE_ERR_NOT_FOUND;
        is_first = false;
    }
    if (path.len >= cap)
        return CARAFE_ERR_NOSPACE;
    if (path.len)
        memcpy(dst, path.data, path.len);
    dst[path.len] = '\0';
    return 0;
}
