/* Covers json_text_check, json_value_end, sio_json_decode and, on what they accept,
 * sio_json_encode. Jansson's own parser is the oracle; and decode(encode(x)) == x, with and
 * without attachments. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "socketio/json.h"
#include "socketio/payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_against_jansson(const char *text, size_t len, const json_t *ours)
{
    json_error_t error;
    json_t *theirs = json_loadb(text, len, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (ours && theirs)
        require(json_equal(ours, theirs));
    if (ours && !theirs) /* integers beyond 64 bits */
        require(json_error_code(&error) == json_error_numeric_overflow);
    if (!ours) /* Jansson takes a NUL for the end */
        require(!theirs || memchr(text, '\0', len));
    json_decref(theirs);
}

/* `value` must survive the way to text and back. */
static void check_round_trip(const json_t *value)
{
    buf text = {0};
    sio_attachment_list list = {0};
    require(sio_json_encode(&text, value, &list) == 0);
    json_t **items = calloc(list.count + 1, sizeof(*items));
    require(items);
    for (size_t i = 0; i < list.count; i++)
        items[i] = sio_binary(list.items[i].data, list.items[i].len);
    const sio_attachments attachments = {items, list.count};
    json_t *again = NULL;
    require(sio_json_decode((const char *)buf_head(&text), buf_readable(&text),
                            list.count ? &attachments : NULL, &again) == 0);
    require(json_equal(value, again));
    json_decref(again);
    for (size_t i = 0; i < list.count; i++)
        json_decref(items[i]);
    free(items);
    sio_attachment_list_deinit(&list);
    buf_deinit(&text);
}

static void check_with_attachments(const char *text, size_t len)
{
    json_t *items[2] = {sio_binary("one", 3), sio_binary(NULL, 0)};
    const sio_attachments attachments = {items, 2};
    json_t *value = NULL;
    int rc = sio_json_decode(text, len, &attachments, &value);
    require(rc == 0 || rc == CARAFE_ERR_BAD_PACKET);
    /* Data that looks like a placeholder goes out as it is, and would come back as one. */
    if (rc == 0)
        check_round_trip(value);
    json_decref(value);
    json_decref(items[0]);
    json_decref(items[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const json_limits limits = {SIO_JSON_DEPTH_CAP};
    int rc = json_text_check(text, size, &limits);
    ptrdiff_t end = json_value_end(text, size, &limits);
    require(end <= (ptrdiff_t)size);
    require(end != 0);
    if (rc == 0)
        require(end > 0);
    /* Beyond here the text must be UTF-8, as the transports see to. */
    if (!utf8_is_valid(data, size))
        return 0;

    json_t *value = NULL;
    require(sio_json_decode(text, size, NULL, &value) == rc);
    require((rc == 0) == (value != NULL));
    if (rc != CARAFE_ERR_TOO_DEEP)
        check_against_jansson(text, size, value);
    if (value) {
        check_round_trip(value);
        check_with_attachments(text, size);
    }
    json_decref(value);
    return 0;
}
