/* A WebSocket server of one kind of handler that records, and a client that speaks frames: for the
 * tests of ws/conn. */
#ifndef CARAFE_TESTS_WIRE_WS_TALK_H
#define CARAFE_TESTS_WIRE_WS_TALK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "memory_http.h"
#include "ws/conn.h"

#define HANDSHAKE_HEAD                                                                             \
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
#define HANDSHAKE_KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define HANDSHAKE HANDSHAKE_HEAD HANDSHAKE_KEY "Sec-WebSocket-Version: 13\r\n\r\n"

enum { MESSAGE_SIZE_MAX = 1000 };

/* What the handler has heard, and what it is to do. */
static struct {
    ws_conn *ws; /* NULL before and after */
    int opens;
    int messages;
    char last[MESSAGE_SIZE_MAX + 1]; /* message */
    size_t last_len;
    bool last_is_binary;
    int closes;
    unsigned code;
    net_close reason;
    int result; /* of ws_accept */
    void (*on_open)(void);
    void (*on_message)(void);
} heard;

static void heard_open(ws_conn *ws)
{
    assert_ptr_equal(ws_user(ws), &heard);
    heard.ws = ws;
    heard.opens++;
    if (heard.on_open)
        heard.on_open();
}

static void heard_message(ws_conn *ws, uint8_t *data, size_t len, bool is_binary)
{
    assert_ptr_equal(ws, heard.ws);
    assert_int_equal(heard.closes, 0);
    assert_true(len <= MESSAGE_SIZE_MAX);
    memcpy(heard.last, data, len);
    heard.last[len] = '\0';
    heard.last_len = len;
    heard.last_is_binary = is_binary;
    heard.messages++;
    if (heard.on_message)
        heard.on_message();
}

static void heard_close(ws_conn *ws, unsigned code, net_close reason)
{
    assert_ptr_equal(ws, heard.ws);
    heard.ws = NULL;
    heard.closes++;
    heard.code = code;
    heard.reason = reason;
}

static const ws_handler handler = {
    .on_open = heard_open, .on_message = heard_message, .on_close = heard_close};

static void accept_request(http_request *req)
{
    http_header header = {SLICE_LITERAL("X-Kind"), SLICE_LITERAL("test")};
    heard.result = ws_accept(req, &header, 1, MESSAGE_SIZE_MAX, &handler, &heard);
}

static int set_up(void **state)
{
    memset(&heard, 0, sizeof(heard));
    memory_http_start(state);
    memory_server.service.on_head = NULL;
    memory_server.service.on_request = accept_request;
    return 0;
}

/* ---- the client ---- */

/* Feeds one masked frame. `head` is byte 0. */
static inline void send_frame(net_memory *m, unsigned head, const void *data, size_t len)
{
    static const uint8_t mask[4] = {0x5a, 0x00, 0xff, 0x81};
    uint8_t frame[MESSAGE_SIZE_MAX + 100] = {(uint8_t)head};
    size_t at = 2;
    if (len < 126) {
        frame[1] = (uint8_t)(0x80 | len);
    } else {
        frame[1] = 0x80 | 126;
        frame[at++] = (uint8_t)(len >> 8);
        frame[at++] = (uint8_t)len;
    }
    memcpy(frame + at, mask, 4);
    at += 4;
    assert_true(at + len <= sizeof(frame));
    for (size_t i = 0; i < len; i++)
        frame[at + i] = ((const uint8_t *)data)[i] ^ mask[i % 4];
    net_memory_feed(m, frame, at + len);
}

static inline void send_text(net_memory *m, const char *text)
{
    send_frame(m, WS_FIN | WS_TEXT, text, strlen(text));
}

static inline void send_close_code(net_memory *m, unsigned code)
{
    uint8_t payload[] = {(uint8_t)(code >> 8), (uint8_t)code};
    send_frame(m, WS_FIN | WS_CLOSE, payload, code ? 2 : 0);
}

/* Takes the next frame off what the client got: its opcode, or -1 when there is none. The payload
 * is valid until the next drain. */
static inline int take_frame(net_memory *m, slice *payload)
{
    const uint8_t *bytes = buf_head(&m->out);
    size_t have = buf_readable(&m->out), head_len = 2;
    if (have < 2)
        return -1;
    assert_int_equal(bytes[0] & 0x70, 0);
    assert_int_equal(bytes[1] & 0x80, 0); /* RFC 6455 5.1: a server does not mask */
    size_t len = bytes[1];
    assert_true(len < 127);
    if (len == 126) {
        len = (size_t)bytes[2] << 8 | bytes[3];
        head_len = 4;
    }
    assert_true(have >= head_len + len);
    *payload = slice_of(bytes + head_len, len);
    m->out.pos += head_len + len;
    return bytes[0] & 0x0f;
}

static inline void expect_frame(net_memory *m, ws_opcode opcode, const char *text)
{
    slice payload = {NULL, 0};
    assert_int_equal(take_frame(m, &payload), opcode);
    assert_int_equal(payload.len, strlen(text));
    assert_memory_equal(payload.data, text, payload.len);
}

static inline void expect_silence(net_memory *m)
{
    assert_int_equal(buf_readable(&m->out), 0);
}

/* A close frame with that code (0: without), and nothing behind it. */
static inline void expect_close(net_memory *m, unsigned code)
{
    slice payload = {NULL, 0};
    assert_int_equal(take_frame(m, &payload), WS_CLOSE);
    unsigned got = 0;
    if (payload.len)
        got = (unsigned)(uint8_t)payload.data[0] << 8 | (uint8_t)payload.data[1];
    assert_int_equal(got, code);
    expect_silence(m);
}

/* An accepted connection whose 101 is read. */
static inline net_memory *open_ws(void)
{
    net_memory *m = memory_http_connect();
    memory_http_send(m, HANDSHAKE);
    memory_answer answer;
    assert_true(memory_http_take(m, true, &answer));
    assert_int_equal(answer.status, 101);
    assert_int_equal(heard.opens, 1);
    return m;
}

static inline void turn(void)
{
    memory_http_turn();
    memory_http_turn();
}

static inline void assert_closed(unsigned code, net_close reason)
{
    assert_int_equal(heard.closes, 1);
    assert_int_equal(heard.code, code);
    assert_string_equal(net_close_text(heard.reason), net_close_text(reason));
}

#endif /* CARAFE_TESTS_WIRE_WS_TALK_H */
