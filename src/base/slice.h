/* A view of bytes somebody else owns. Not NUL-terminated; `data` may be NULL when `len` is 0. */
#ifndef CARAFE_BASE_SLICE_H
#define CARAFE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

typedef struct slice {
    const char *data;
    size_t len; /* bytes */
} slice;

#define SLICE_LITERAL(text) ((slice){ (text), sizeof(text) - 1 })

static inline slice slice_of(const void *data, size_t len)
{
    return (slice){ (const char *)data, len };
}

/* NULL gives the empty slice. */
static inline slice slice_str(const char *text)
{
    return (slice){ text, text ? strlen(text) : 0 };
}

static inline bool slice_eq(slice a, slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* ASCII case is ignored. */
static inline bool slice_eq_nocase(slice a, slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_is(slice a, const char *text)
{
    return slice_eq(a, slice_str(text));
}

static inline bool slice_is_nocase(slice a, const char *text)
{
    return slice_eq_nocase(a, slice_str(text));
}

static inline bool slice_starts_with(slice a, slice prefix)
{
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.data, prefix.data, prefix.len) == 0);
}

/* Without spaces and tabs at both ends. */
static inline slice slice_trim(slice a)
{
    while (a.len && (a.data[0] == ' ' || a.data[0] == '\t'))
        a.data++, a.len--;
    while (a.len && (a.data[a.len - 1] == ' ' || a.data[a.len - 1] == '\t'))
        a.len--;
    return a;
}

/* Cuts what stands before the first `separator` off the front of `*rest` into `*part`. The last
 * part has no separator behind it. False when nothing is left; call with rest->data != NULL. */
static inline bool slice_split(slice *rest, char separator, slice *part)
{
    if (!rest->data)
        return false;
    const char *at = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
    if (!at) {
        *part = *rest;
        *rest = (slice){ NULL, 0 };
        return true;
    }
    *part = slice_of(rest->data, (size_t)(at - rest->data));
    *rest = slice_of(at + 1, rest->len - part->len - 1);
    return true;
}

#endif /* CARAFE_BASE_SLICE_H */
