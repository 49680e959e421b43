/* JSON text: checked, decoded to Jansson values, and encoded from them.
 *
 * Checking and decoding are two steps, since most text is checked once and then sent on or dropped
 * without ever becoming a tree. Pure; nothing here recurses, so small stacks are enough.
 * Spec: RFC 8259, I-JSON's ban of lone surrogates included. */
#ifndef CARAFE_SOCKETIO_JSON_H
#define CARAFE_SOCKETIO_JSON_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

enum {
    SIO_JSON_DEPTH_MAX = 64,  /* default: arrays and objects that may be nested in a text */
    SIO_JSON_DEPTH_CAP = 512, /* the most any limit allows, and the most that is encoded */
};

typedef struct json_limits {
    size_t depth_max; /* nested arrays and objects; more than SIO_JSON_DEPTH_CAP counts as that */
} json_limits;

/* Checks that `text`, which must be valid UTF-8 already, is one JSON value with nothing but white
 * space around it. `limits` may be NULL for the defaults.
 *
 * Beyond the grammar this refuses what a payload cannot hold: lone surrogates ("\ud800"), NUL
 * characters in keys, numbers beyond the largest double. Repeated keys are fine: the last counts.
 * Returns 0, CARAFE_ERR_BAD_JSON or CARAFE_ERR_TOO_DEEP. */
int json_text_check(const char *text, size_t len, const json_limits *limits) MUST_USE;

/* The same for the first value in `text`, whatever follows it; white space ahead is skipped.
 *
 * Returns the offset of the byte behind the value (> 0), or an error as json_text_check. */
ptrdiff_t json_value_end(const char *text, size_t len, const json_limits *limits) MUST_USE;

/* Unescapes the inside of a checked JSON string (what stands between its quotes) to `dst`, which
 * holds `len` bytes, and may be `src`: the result is never longer. Returns its length. */
size_t json_unescape(const char *src, size_t len, char *dst);

/* The attachments of a received binary packet: binary values, in the order in which they came. */
typedef struct sio_attachments {
    json_t *const *items; /* borrowed */
    size_t count;
} sio_attachments;

/* Makes a tree of `text`, which must be valid UTF-8 and is only read. It is checked first, with
 * the largest depth limit, so what json_text_check accepted is never refused.
 *
 * `attachments` is NULL for a packet without them; then an object that looks like a placeholder is
 * ordinary data. Otherwise each {"_placeholder": true, "num": N} is replaced by a new reference
 * to attachment N, which may be used more than once or never.
 * Integers beyond 64 bits become reals.
 *
 * Returns 0 and a new reference in `*out`; or CARAFE_ERR_BAD_JSON or
 * CARAFE_ERR_TOO_DEEP as json_text_check; CARAFE_ERR_BAD_PACKET: "num" is no integer in
 * [0, count); CARAFE_ERR_NOMEM. */
int sio_json_decode(const char *text, size_t len, const sio_attachments *attachments,
                    json_t **out) MUST_USE;

/* The binary values met while encoding, in the order of their placeholders. All zero is a valid
 * empty list. The bytes are borrowed from the encoded value and live as long as that. */
typedef struct sio_attachment_list {
    slice *items;
    size_t count;
    size_t cap; /* items allocated */
} sio_attachment_list;

/* Frees the list's own memory; it is empty and usable afterwards. */
void sio_attachment_list_deinit(sio_attachment_list *list);

/* Appends `value` as JSON to `dst`: compact, members in their order, reals in the shortest form
 * that reads back as the same number. Binary values become placeholders that are numbered from
 * attachments->count on, depth-first in document order, and are added to `attachments`; NULL
 * refuses them.
 *
 * Returns 0; or, with `dst` and `attachments` as they were, CARAFE_ERR_BAD_DATA: `value` is or
 * holds an invalid value, a tuple, text that is not UTF-8 or a binary value without `attachments`,
 * or is nested deeper than SIO_JSON_DEPTH_CAP; CARAFE_ERR_NOMEM. */
int sio_json_encode(buf *dst, const json_t *value, sio_attachment_list *attachments) MUST_USE;

/* Appends the array ["event",argument,...] of a payload, or [argument,...] when `event` is NULL:
 * a NULL payload is no argument, a tuple several, anything else (a list too) one. `payload` is
 * borrowed. Errors as sio_json_encode. */
int sio_json_encode_args(buf *dst, const char *event, const json_t *payload,
                         sio_attachment_list *attachments) MUST_USE;

/* Appends `text` as a JSON string, in quotes. CARAFE_ERR_BAD_DATA when it is not valid UTF-8, and
 * CARAFE_ERR_NOMEM, both with `dst` as it was. */
int sio_json_encode_text(buf *dst, slice text) MUST_USE;

#endif /* CARAFE_SOCKETIO_JSON_H */
