/* Request targets: percent-decoding, query strings, and paths that are safe to open.
 *
 * Pure: no sockets, clock, globals or allocation; any thread, on its own data.
 * Spec: RFC 3986 (paths), WHATWG URL "application/x-www-form-urlencoded" (queries and forms). */
#ifndef CARAFE_HTTP_URL_H
#define CARAFE_HTTP_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

/* Decodes %XX in a path to `dst` of `cap` bytes, with a NUL behind; '+' stays '+'. `dst` may be
 * where `path` is, when that has room for the NUL.
 *
 * Returns the length, or CARAFE_ERR_BAD_REQUEST: not two hex digits behind a '%', or a NUL;
 * CARAFE_ERR_NOSPACE. */
ptrdiff_t http_path_decode(slice path, char *dst, size_t cap) MUST_USE;

/* Decodes a key or value of a query or form, '+' to a space and %XX, with a NUL behind. A '%'
 * without two hex digits stays as it is, as in browsers; %00 gives a NUL byte. `dst` as above.
 *
 * Returns the length, or CARAFE_ERR_NOSPACE. */
ptrdiff_t http_form_decode(slice text, char *dst, size_t cap) MUST_USE;

/* One "key=value" of a query or form, still encoded. */
typedef struct http_pair {
    slice key;
    slice value; /* empty without '=' */
} http_pair;

/* Cuts the next pair off the front of `*rest`; empty pairs ("a=1&&b=2") are skipped. False at the
 * end. Slices borrow from the text. */
bool http_query_next(slice *rest, http_pair *out);

/* True when the encoded key is `key`, both decoded. */
bool http_pair_is(const http_pair *pair, const char *key);

/* How often the key is there. */
size_t http_query_count(slice query, const char *key);

/* The decoded value of the first pair with that key, and of the last; with a NUL behind.
 *
 * Returns its length, or CARAFE_ERR_NOT_FOUND: no such key; CARAFE_ERR_BAD_REQUEST: the value has
 * a NUL; CARAFE_ERR_NOSPACE. */
ptrdiff_t http_query_first(slice query, const char *key, char *dst, size_t cap) MUST_USE;
ptrdiff_t http_query_last(slice query, const char *key, char *dst, size_t cap) MUST_USE;

/* Makes a file name, relative to the served folder, of a decoded path: "/css/a.css" is
 * "css/a.css", "/" is "", a slash at the end stays.
 *
 * Returns 0, or CARAFE_ERR_NOT_FOUND: a segment that is empty, "." or "..", or hidden (only a
 * leading ".well-known" is let through), a backslash, a control character, a drive letter;
 * CARAFE_ERR_NOSPACE. */
int http_path_safe(slice decoded_path, char *dst, size_t cap) MUST_USE;

#endif /* CARAFE_HTTP_URL_H */
