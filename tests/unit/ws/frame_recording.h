/* What the tests of ws/frame share: a client that writes frames, and a recording of what the
 * decoder makes of them, in pieces of any size. */
#ifndef CARAFE_TESTS_FRAME_RECORDING_H
#define CARAFE_TESTS_FRAME_RECORDING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "ws/frame.h"

enum { EVENT_COUNT_MAX = 64, SMALL = 1000, FOREVER = 1 << 30 };

/* What one decoder made of one stream. */
typedef struct recording {
    ws_event events[EVENT_COUNT_MAX]; /* data points to copies */
    size_t count;
    int result;       /* the last result of ws_decoder_next */
    size_t bytes_max; /* most room a message had when a piece was eaten */
    bool is_idle;     /* at the end */
} recording;

static const ws_limits plain_limits = { .message_size_max = 1 << 20 };
static const ws_limits deflate_limits = { .message_size_max = 1 << 20, .allow_rsv1 = true };

/* The stream the client sends, and what a server's codec made of it. */
static uint8_t wire[2 << 20];
static size_t wire_len;
static recording got;

static inline void put_bytes(const void *bytes, size_t len)
{
    assert_true(wire_len + len <= sizeof(wire));
    if (len)
        memcpy(wire + wire_len, bytes, len);
    wire_len += len;
}

/* A masked head with the length in the given number of bytes (0, 2 or 8) behind the second one. */
static inline void put_head_as(unsigned byte0, size_t width, uint64_t len)
{
    static const uint8_t mask[] = { 0x37, 0xfa, 0x21, 0x3d };
    uint8_t head[10] = { (uint8_t)byte0 };
    head[1] = (uint8_t)(0x80 | (width == 0 ? len : width == 2 ? 126 : 127));
    for (size_t i = 0; i < width; i++)
        head[2 + i] = (uint8_t)(len >> (8 * (width - 1 - i)));
    put_bytes(head, 2 + width);
    put_bytes(mask, 4);
}

static inline void put_head(unsigned byte0, uint64_t len)
{
    put_head_as(byte0, len < 126 ? 0 : len < 65536 ? 2 : 8, len);
}

static inline void put_frame(unsigned byte0, const void *payload, size_t len)
{
    put_head(byte0, len);
    uint8_t mask[4];
    memcpy(mask, wire + wire_len - 4, 4);
    put_bytes(payload, len);
    for (size_t i = 0; i < len; i++)
        wire[wire_len - len + i] ^= mask[i % 4];
}

static inline void put_text(unsigned byte0, const char *text)
{
    put_frame(byte0, text, strlen(text));
}

static inline void record(const ws_event *event)
{
    assert_true(got.count < EVENT_COUNT_MAX);
    ws_event *kept = &got.events[got.count++];
    *kept = *event;
    kept->data = NULL;
    if (event->type != WS_EVENT_ERROR) {
        kept->data = malloc(event->len + 1);
        memcpy(kept->data, event->data, event->len);
        kept->data[event->len] = '\0';
    }
}

static inline void forget(void)
{
    for (size_t i = 0; i < got.count; i++)
        free(got.events[i].data);
    got = (recording){ 0 };
}

/* Feeds one piece, which is gone afterwards. */
static inline void feed(ws_decoder *d, const ws_limits *limits, const uint8_t *bytes, size_t len)
{
    ws_event event;
    uint8_t *piece = malloc(len ? len : 1), *at = piece;
    memcpy(piece, bytes, len);
    while ((got.result = ws_decoder_next(d, limits, &at, &len, &event)) != 0) {
        record(&event);
        if (got.result < 0)
            assert_int_equal(event.type, WS_EVENT_ERROR);
    }
    assert_int_equal(len, 0);
    if (d->message_cap > got.bytes_max)
        got.bytes_max = d->message_cap;
    free(piece);
}

/* Feeds the wire in pieces, up to the first error. */
static inline void decode(const ws_limits *limits, size_t first, size_t piece)
{
    ws_decoder d = { 0 };
    forget();
    for (size_t at = 0; at < wire_len;) {
        size_t n = at == 0 && first ? first : piece;
        if (n > wire_len - at)
            n = wire_len - at;
        feed(&d, limits, wire + at, n);
        at += n;
    }
    got.is_idle = ws_decoder_is_idle(&d);
    ws_decoder_deinit(&d);
}

static inline void decode_whole(void)
{
    decode(&plain_limits, 0, FOREVER);
}

static inline void assert_message(size_t at, ws_opcode opcode, const void *data, size_t len)
{
    assert_true(at < got.count);
    assert_int_equal(got.events[at].type, WS_EVENT_MESSAGE);
    assert_int_equal(got.events[at].opcode, opcode);
    assert_int_equal(got.events[at].len, len);
    assert_memory_equal(got.events[at].data, data, len);
}

static inline void assert_control(size_t at, ws_event_type type, const char *data)
{
    assert_true(at < got.count);
    assert_int_equal(got.events[at].type, type);
    assert_int_equal(got.events[at].len, strlen(data));
    assert_string_equal((char *)got.events[at].data, data);
}

/* The error comes as the event `at`, in one piece, byte by byte and in any two pieces. */
static inline void assert_fails(const ws_limits *limits, size_t at, unsigned close_code,
                                const char *error)
{
    size_t splits = wire_len < 300 ? wire_len : 0;
    for (size_t first = 0; first <= splits; first++) {
        decode(limits, first, first == 1 ? 1 : FOREVER);
        assert_int_equal(got.count, at + 1);
        assert_int_equal(got.events[at].type, WS_EVENT_ERROR);
        assert_int_equal(got.events[at].close_code, close_code);
        assert_string_equal(got.events[at].error, error);
    }
}

static inline int start(void **state)
{
    (void)state;
    wire_len = 0;
    return 0;
}

static inline int finish(void **state)
{
    (void)state;
    forget();
    mem_fail_never();
    return mem_blocks_in_use() == 0 ? 0 : -1;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, start, finish)

#endif /* CARAFE_TESTS_FRAME_RECORDING_H */
