/* From a Jansson tree to text. Own code, since Jansson's encoder knows no attachments and refuses
 * the keys that mark binary values. */
#include "socketio/json.h"

#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "socketio/json_scan.h"
#include "socketio/payload.h"

/* A container that is being written. */
typedef struct frame {
    const json_t *container;
    union {
        size_t index; /* array: of the item being written */
        void *iter;   /* object: the member being written */
    } at;
} frame;

typedef struct encoder {
    buf *dst;
    sio_attachment_list *attachments; /* NULL: binary values are refused */
    size_t depth;
    frame frames[SIO_JSON_DEPTH_CAP];
} encoder;

void sio_attachment_list_deinit(sio_attachment_list *list)
{
    mem_free(list->items);
    *list = (sio_attachment_list){0};
}

static int attachment_list_push(sio_attachment_list *list, slice item)
{
    enum { CAP_MIN = 4 };
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : CAP_MIN;
        slice *items = mem_realloc(list->items, cap * sizeof(*items));
        if (!items)
            return CARAFE_ERR_NOMEM;
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count++] = item;
    return 0;
}

static int put_byte(buf *dst, char byte)
{
    if (dst->len == dst->cap)
        TRY(buf_reserve(dst, 1));
    dst->data[dst->len++] = (uint8_t)byte;
    return 0;
}

/* Appends the escape of a special byte. */
static int put_escape(buf *dst, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char letter = byte < 0x20 ? letters[byte] : (char)byte;
    if (letter) {
        const char escape[2] = {'\\', letter};
        return buf_append(dst, escape, sizeof(escape));
    }
    const char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
    return buf_append(dst, escape, sizeof(escape));
}

static bool is_ascii(const char *text, size_t len)
{
    const uint64_t tops = 0x8080808080808080u;
    uint64_t seen = 0;
    size_t at = 0;
    for (; len - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, text + at, sizeof(word));
        seen |= word;
    }
    for (; at < len; at++)
        seen |= (uint8_t)text[at];
    return (seen & tops) == 0;
}

/* Leaves what it wrote behind on failure, as all the statics here do. */
static int put_text(buf *dst, const char *text, size_t len)
{
    /* What was made with Jansson's _nocheck functions may be anything, and a client closes the
     * connection over text that is not UTF-8. */
    if (!is_ascii(text, len) && !utf8_is_valid(text, len))
        return CARAFE_ERR_BAD_DATA;
    const char *at = text;
    const char *end = text + len;
    TRY(buf_reserve(dst, len + 2));
    dst->data[dst->len++] = '"';
    for (;;) {
        const char *run_end = json_skip_plain(at, end);
        TRY(buf_append(dst, at, (size_t)(run_end - at)));
        if (run_end == end)
            break;
        TRY(put_escape(dst, (uint8_t)*run_end));
        at = run_end + 1;
    }
    return put_byte(dst, '"');
}

static int put_integer(buf *dst, json_int_t value)
{
    if (value >= 0)
        return buf_append_uint(dst, (uint64_t)value);
    TRY(put_byte(dst, '-'));
    return buf_append_uint(dst, 0 - (uint64_t)value);
}

/* The shortest of 15 to 17 digits that reads back as the same number; 17 always do. */
static int put_real(buf *dst, double value)
{
    enum { PRECISION_MIN = 15, PRECISION_MAX = 17 };
    char text[40];
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* static, see read_real */
    if (!c_locale)
        return CARAFE_ERR_NOMEM;
    locale_t before = uselocale(c_locale);
    for (int precision = PRECISION_MIN; precision <= PRECISION_MAX; precision++) {
        snprintf(text, sizeof(text), "%.*g", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    uselocale(before);
    /* A real stays one for readers that tell 1.0 from 1. */
    if (!strpbrk(text, ".e"))
        memcpy(text + strlen(text), ".0", sizeof(".0"));
    return buf_append_str(dst, text);
}

static int put_placeholder(encoder *e, const void *data, size_t len)
{
    static const char head[] = "{\"_placeholder\":true,\"num\":";
    if (!e->attachments)
        return CARAFE_ERR_BAD_DATA;
    TRY(buf_append(e->dst, head, sizeof(head) - 1));
    TRY(buf_append_uint(e->dst, e->attachments->count));
    TRY(put_byte(e->dst, '}'));
    return attachment_list_push(e->attachments, slice_of(data, len));
}

/* The key of an object's member, and the colon. */
static int put_key(encoder *e, void *iter)
{
    TRY(put_text(e->dst, json_object_iter_key(iter), json_object_iter_key_len(iter)));
    return put_byte(e->dst, ':');
}

/* Writes the start of a container, `*value`. Returns 1 and in `*value` its first member's value,
 * or 0 when it has none and is written. */
static int open_container(encoder *e, const json_t **value)
{
    const json_t *container = *value;
    if (json_is_array(container)) {
        if (json_array_size(container) == 0)
            return buf_append(e->dst, "[]", 2);
    } else {
        size_t len = 0;
        const void *bytes = sio_bytes(container, &len);
        if (bytes)
            return put_placeholder(e, bytes, len);
        if (json_object_size(container) == 0)
            return buf_append(e->dst, "{}", 2);
    }
    if (e->depth == SIO_JSON_DEPTH_CAP)
        return CARAFE_ERR_BAD_DATA;
    frame *top = &e->frames[e->depth++];
    top->container = container;
    if (json_is_array(container)) {
        top->at.index = 0;
        *value = json_array_get(container, 0);
        TRY(put_byte(e->dst, '['));
        return 1;
    }
    /* Jansson's iterators take a mutable object; they do not change it. */
    top->at.iter = json_object_iter((json_t *)(uintptr_t)container);
    *value = json_object_iter_value(top->at.iter);
    TRY(put_byte(e->dst, '{'));
    TRY(put_key(e, top->at.iter));
    return 1;
}

static int put_scalar(encoder *e, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return put_text(e->dst, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return put_integer(e->dst, json_integer_value(value));
    case JSON_REAL:
        return put_real(e->dst, json_real_value(value));
    case JSON_TRUE:
        return buf_append(e->dst, "true", 4);
    case JSON_FALSE:
        return buf_append(e->dst, "false", 5);
    default:
        return payload_is_invalid(value) ? CARAFE_ERR_BAD_DATA : buf_append(e->dst, "null", 4);
    }
}

/* Moves on behind a member of the container on top. Returns 1 and the next member's value, or 0
 * when there is none. */
static int next_member(encoder *e, const json_t **value)
{
    frame *top = &e->frames[e->depth - 1];
    if (json_is_array(top->container)) {
        *value = json_array_get(top->container, ++top->at.index);
        if (!*value)
            return 0;
        TRY(put_byte(e->dst, ','));
        return 1;
    }
    top->at.iter = json_object_iter_next((json_t *)(uintptr_t)top->container, top->at.iter);
    if (!top->at.iter)
        return 0;
    *value = json_object_iter_value(top->at.iter);
    TRY(put_byte(e->dst, ','));
    TRY(put_key(e, top->at.iter));
    return 1;
}

static int put_value(encoder *e, const json_t *value)
{
    for (;;) {
        if (json_is_array(value) || json_is_object(value)) {
            int rc = open_container(e, &value);
            TRY(rc);
            if (rc > 0)
                continue;
        } else {
            TRY(put_scalar(e, value));
        }
        int rc = 0;
        while (e->depth > 0 && (rc = next_member(e, &value)) == 0) {
            const json_t *container = e->frames[--e->depth].container;
            TRY(put_byte(e->dst, json_is_array(container) ? ']' : '}'));
        }
        if (rc <= 0)
            return rc;
    }
}

/* Restores what was there before a failed call. */
static int undo_on_error(int rc, buf *dst, size_t readable, sio_attachment_list *attachments,
                         size_t count)
{
    if (rc >= 0)
        return 0;
    dst->len = dst->pos + readable;
    if (attachments)
        attachments->count = count;
    return rc;
}

int sio_json_encode(buf *dst, const json_t *value, sio_attachment_list *attachments)
{
    encoder e; /* not cleared: the frames are large, and only those below depth are looked at */
    e.dst = dst;
    e.attachments = attachments;
    e.depth = 0;
    size_t readable = buf_readable(dst);
    size_t count = attachments ? attachments->count : 0;
    return undo_on_error(put_value(&e, value), dst, readable, attachments, count);
}

static int put_args(buf *dst, const char *event, const json_t *payload,
                    sio_attachment_list *attachments)
{
    TRY(put_byte(dst, '['));
    if (event)
        TRY(put_text(dst, event, strlen(event)));
    const json_t *items = payload_tuple_items(payload);
    size_t count = items ? json_array_size(items) : payload ? 1 : 0;
    for (size_t i = 0; i < count; i++) {
        if (event || i > 0)
            TRY(put_byte(dst, ','));
        TRY(sio_json_encode(dst, items ? json_array_get(items, i) : payload, attachments));
    }
    return put_byte(dst, ']');
}

int sio_json_encode_args(buf *dst, const char *event, const json_t *payload,
                         sio_attachment_list *attachments)
{
    size_t readable = buf_readable(dst);
    size_t count = attachments ? attachments->count : 0;
    return undo_on_error(put_args(dst, event, payload, attachments), dst, readable, attachments,
                         count);
}

int sio_json_encode_text(buf *dst, slice text)
{
    size_t readable = buf_readable(dst);
    int rc = put_text(dst, text.len ? text.data : "", text.len);
    return undo_on_error(rc, dst, readable, NULL, 0);
}
