/* From text to a Jansson tree. Jansson's own parser is not used: it refuses integers beyond 64
 * bits, which JavaScript writes for large numbers, and the placeholders of binary packets would
 * need a second walk. The text has passed json_text_check, so the builder below reads on without
 * looking for errors or for the end. */
#include "socketio/json.h"

#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "socketio/json_scan.h"

/* A container that is being filled. */
typedef struct frame {
    json_t *container; /* not yet in its parent */
    slice key;         /* where it goes when the parent is an object, as it stands in the text */
} frame;

typedef struct builder {
    const char *at;
    const char *end;
    const sio_attachments *attachments; /* NULL: placeholders are ordinary data */
    buf scratch;                        /* unescaped strings, long numbers */
    slice key;                          /* of the member being read */
    size_t depth;
    frame frames[SIO_JSON_DEPTH_CAP];
} builder;

/* Four hexadecimal digits, which are there. */
static uint32_t hex4(const char *at)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t c = (uint8_t)at[i];
        value = value << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

/* Writes a character as UTF-8; returns the end. */
static char *put_utf8(char *dst, uint32_t c)
{
    if (c < 0x80) {
        *dst++ = (char)c;
        return dst;
    }
    if (c < 0x800) {
        *dst++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *dst++ = (char)(0xe0 | c >> 12);
        } else {
            *dst++ = (char)(0xf0 | c >> 18);
            *dst++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *dst++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *dst++ = (char)(0x80 | (c & 0x3f));
    return dst;
}

static char unescape_char(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c;
    }
}

size_t json_unescape(const char *src, size_t len, char *dst)
{
    const char *end = src + len;
    char *to = dst;
    while (src < end) {
        const char *run_end = memchr(src, '\\', (size_t)(end - src));
        if (!run_end)
            run_end = end;
        memmove(to, src, (size_t)(run_end - src));
        to += run_end - src;
        src = run_end;
        if (src == end)
            break;
        if (src[1] != 'u') {
            *to++ = unescape_char(src[1]);
            src += 2;
            continue;
        }
        uint32_t c = hex4(src + 2);
        src += 6;
        if (c >= 0xd800 && c <= 0xdbff) {
            c = 0x10000 + ((c - 0xd800) << 10) + (hex4(src + 2) - 0xdc00);
            src += 6;
        }
        to = put_utf8(to, c);
    }
    return (size_t)(to - dst);
}

/* Steps over a string; returns its inside as it stands in the text. */
static slice read_string(builder *b)
{
    const char *start = ++b->at;
    const char *at = json_skip_plain(start, b->end);
    while (*at != '"')
        at = json_skip_plain(at + 2, b->end);
    b->at = at + 1;
    return slice_of(start, (size_t)(at - start));
}

/* Makes `*text` the characters it stands for, in the scratch buffer when they differ. */
static int unescape(builder *b, slice *text)
{
    if (text->len == 0 || !memchr(text->data, '\\', text->len))
        return 0;
    buf_clear(&b->scratch);
    TRY(buf_reserve(&b->scratch, text->len));
    char *dst = (char *)b->scratch.data;
    *text = slice_of(dst, json_unescape(text->data, text->len, dst));
    return 0;
}

static int read_text(builder *b, json_t **out)
{
    slice text = read_string(b);
    TRY(unescape(b, &text));
    *out = json_stringn_nocheck(text.data, text.len);
    return *out ? 0 : CARAFE_ERR_NOMEM;
}

/* Reads a number that is no small integer. The C locale, since the user's may want a comma. */
static int read_real(builder *b, const char *end, json_t **out)
{
    buf_clear(&b->scratch);
    TRY(buf_append(&b->scratch, b->at, (size_t)(end - b->at)));
    const char *text = buf_cstr(&b->scratch);
    /* Asking for "C" gives a static object, which need not be freed. */
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!text || !c_locale)
        return CARAFE_ERR_NOMEM;
    double value = strtod_l(text, NULL, c_locale);
    if (isinf(value))
        return CARAFE_ERR_BAD_JSON;
    b->at = end;
    *out = json_real(value);
    return *out ? 0 : CARAFE_ERR_NOMEM;
}

static int read_number(builder *b, json_t **out)
{
    const uint64_t limit = (uint64_t)INT64_MAX;
    bool is_negative = *b->at == '-';
    const char *at = b->at + is_negative;
    uint64_t value = 0;
    bool is_integer = true;
    for (; at < b->end; at++) {
        if (json_is_digit(*at)) {
            uint64_t digit = (uint64_t)(*at - '0');
            is_integer = is_integer && value <= (limit + is_negative - digit) / 10;
            value = is_integer ? value * 10 + digit : 0;
        } else if (*at == '.' || *at == 'e' || *at == 'E' || *at == '+' || *at == '-') {
            is_integer = false;
        } else {
            break;
        }
    }
    if (!is_integer)
        return read_real(b, at, out);
    b->at = at;
    *out = json_integer((json_int_t)(is_negative ? 0 - value : value));
    return *out ? 0 : CARAFE_ERR_NOMEM;
}

static int read_scalar(builder *b, json_t **out)
{
    switch (*b->at) {
    case '"':
        return read_text(b, out);
    case 't':
        b->at += 4;
        *out = json_true();
        return 0;
    case 'f':
        b->at += 5;
        *out = json_false();
        return 0;
    case 'n':
        b->at += 4;
        *out = json_null();
        return 0;
    default:
        return read_number(b, out);
    }
}

static void read_key(builder *b)
{
    b->at = json_skip_space(b->at, b->end);
    b->key = read_string(b);
    b->at = json_skip_space(b->at, b->end) + 1;
}

/* Puts `value` (stolen) into the container on top, under the key that was read for it. */
static int add_value(builder *b, slice key, json_t *value)
{
    json_t *parent = b->frames[b->depth - 1].container;
    if (json_is_array(parent))
        return json_array_append_new(parent, value) < 0 ? CARAFE_ERR_NOMEM : 0;
    int rc = unescape(b, &key);
    /* A single byte beyond ASCII is how payload.h marks its own values; valid UTF-8 has none. */
    if (rc == 0 && key.len == 1 && (uint8_t)key.data[0] >= 0x80)
        rc = CARAFE_ERR_BAD_JSON;
    if (rc < 0) {
        json_decref(value);
        return rc;
    }
    if (json_object_setn_new_nocheck(parent, key.data, key.len, value) < 0)
        return CARAFE_ERR_NOMEM;
    return 0;
}

/* Replaces a finished object that is a placeholder by its attachment. */
static int resolve_placeholder(const sio_attachments *attachments, json_t **value)
{
    if (!json_is_object(*value) || !json_is_true(json_object_get(*value, "_placeholder")))
        return 0;
    const json_t *num = json_object_get(*value, "num");
    if (!json_is_integer(num))
        return CARAFE_ERR_BAD_PACKET;
    json_int_t index = json_integer_value(num);
    if (index < 0 || (uint64_t)index >= attachments->count)
        return CARAFE_ERR_BAD_PACKET;
    json_decref(*value);
    *value = json_incref(attachments->items[index]);
    return 0;
}

/* Takes the finished container on top. */
static int close_container(builder *b, slice *key, json_t **value)
{
    frame *top = &b->frames[b->depth - 1];
    if (b->attachments)
        TRY(resolve_placeholder(b->attachments, &top->container));
    *value = top->container;
    *key = top->key;
    b->depth--;
    return 0;
}

/* Goes into a container. Returns 1 when a value must follow, 0 when it is empty. */
static int open_container(builder *b)
{
    bool is_object = *b->at++ == '{';
    json_t *container = is_object ? json_object() : json_array();
    if (!container)
        return CARAFE_ERR_NOMEM;
    b->frames[b->depth++] = (frame){container, b->key};
    b->at = json_skip_space(b->at, b->end);
    if (*b->at == (is_object ? '}' : ']'))
        return 0;
    if (is_object)
        read_key(b);
    return 1;
}

/* Adds a finished value, then what it finishes. Returns 1 when another value must follow, 0 when
 * `value` became the whole tree, `*out`. Steals `value`; NULL stands for "the container on top is
 * empty". */
static int finish_value(builder *b, json_t *value, json_t **out)
{
    slice key = b->key;
    for (;;) {
        if (value && b->depth == 0) {
            *out = value;
            return 0;
        }
        if (value)
            TRY(add_value(b, key, value));
        b->at = json_skip_space(b->at, b->end);
        if (*b->at++ == ',') {
            if (json_is_object(b->frames[b->depth - 1].container))
                read_key(b);
            return 1;
        }
        TRY(close_container(b, &key, &value));
    }
}

static int build(builder *b, json_t **out)
{
    for (;;) {
        json_t *value = NULL;
        b->at = json_skip_space(b->at, b->end);
        if (*b->at == '[' || *b->at == '{') {
            int rc = open_container(b);
            TRY(rc);
            if (rc > 0)
                continue;
        } else {
            TRY(read_scalar(b, &value));
        }
        int rc = finish_value(b, value, out);
        if (rc <= 0)
            return rc;
    }
}

int sio_json_decode(const char *text, size_t len, const sio_attachments *attachments, json_t **out)
{
    const json_limits limits = {SIO_JSON_DEPTH_CAP};
    TRY(json_text_check(text, len, &limits));
    builder b; /* not cleared: the frames are large, and only those below depth are looked at */
    b.at = text;
    b.end = text + len;
    b.attachments = attachments;
    b.scratch = (buf){0};
    b.key = (slice){NULL, 0};
    b.depth = 0;
    int rc = build(&b, out);
    while (rc < 0 && b.depth > 0)
        json_decref(b.frames[--b.depth].container);
    buf_deinit(&b.scratch);
    return rc;
}
