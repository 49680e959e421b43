#include "eio_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/core.h"
#include "base/log.h"
#include "base/mem.h"

eio_memory eio_test;
http_answer eio_answered;

static eio_memory *const t = &eio_test;

/* ---- what is written down ---- */

static void remember_line(log_level level, const char *line, void *arg)
{
    (void)arg;
    if (level < LOG_WARNING)
        return;
    size_t len = strlen(t->log);
    snprintf(t->log + len, sizeof(t->log) - len, "%s\n", line);
    t->log_count++;
}

static void note(const char *what, const void *data, size_t len)
{
    int written = snprintf(t->trace + t->trace_len, sizeof(t->trace) - t->trace_len, "%s%.*s;",
                           what, (int)len, (const char *)data);
    assert_true((size_t)written < sizeof(t->trace) - t->trace_len);
    t->trace_len += (size_t)written;
}

static void on_open(eio_socket *sock, void *arg)
{
    assert_ptr_equal(arg, t);
    t->sock = sock;
    t->opens++;
    if (!t->is_silent)
        note("open", "", 0);
    if (t->on_open)
        t->on_open(sock);
}

static void on_message(eio_socket *sock, const void *data, size_t len, bool is_binary, void *arg)
{
    char size[32];
    assert_ptr_equal(arg, t);
    t->sock = sock;
    t->messages++;
    if (!t->is_silent && is_binary)
        note("binary ", size, (size_t)snprintf(size, sizeof(size), "%zu", len));
    else if (!t->is_silent)
        note("text ", data, len);
    if (t->on_message)
        t->on_message(sock, data, len, is_binary);
}

static void on_close(eio_socket *sock, const char *reason, void *arg)
{
    assert_ptr_equal(arg, t);
    t->sock = sock;
    t->closes++;
    if (!t->is_silent)
        note("close ", reason, strlen(reason));
    if (t->on_close)
        t->on_close(sock);
}

/* ---- life cycle ---- */

int eio_memory_setup(void **state)
{
    (void)state;
    memset(t, 0, sizeof(*t));
    log_set_sink(remember_line, NULL);
    t->blocks_before = mem_blocks_in_use();
    app_memory_open(&t->base);
    t->options = (eio_server_options){.size = sizeof(t->options),
                                      .on_open = on_open,
                                      .on_message = on_message,
                                      .on_close = on_close,
                                      .arg = t};
    return 0;
}

int eio_memory_teardown(void **state)
{
    (void)state;
    mem_fail_never();
    if (t->server)
        eio_memory_stop();
    app_memory_run(&t->base);
    for (app_extension *ext = t->base.app->extensions; ext && t->server; ext = ext->next) {
        assert_true(ext->is_idle(ext, &t->base.worker));
        ext->on_stopped(ext, &t->base.worker);
    }
    app_memory_close(&t->base);
    log_set_sink(NULL, NULL);
    assert_int_equal(t->opens, t->closes);
    assert_int_equal(mem_blocks_in_use(), t->blocks_before);
    return 0;
}

void eio_memory_start(void)
{
    carafe_app *app = t->base.app;
    t->server = eio_server_new_with(app, &t->options);
    assert_non_null(t->server);
    app->worker_count = 1;
    for (app_extension *ext = app->extensions; ext; ext = ext->next)
        assert_int_equal(ext->on_start(ext, &t->base.worker), 0);
}

void eio_memory_stop(void)
{
    atomic_store(&t->base.app->is_stopping, true);
    worker_set_stopping(&t->base.worker);
    for (app_extension *ext = t->base.app->extensions; ext; ext = ext->next)
        ext->on_stopping(ext, &t->base.worker);
    app_memory_run(&t->base);
}

void eio_memory_run(void)
{
    app_memory_run(&t->base);
}

void eio_memory_pass(uint64_t ms)
{
    app_memory_pass(&t->base, ms);
}

void eio_memory_expect(const char *trace)
{
    assert_string_equal(t->trace, trace);
    t->trace[0] = '\0';
    t->trace_len = 0;
}

void eio_memory_expect_log(int count, const char *word)
{
    if (t->log_count != count)
        print_error("log:\n%s", t->log);
    assert_int_equal(t->log_count, count);
    if (word)
        assert_non_null(strstr(t->log, word));
    t->log_count = 0;
    t->log[0] = '\0';
}

/* ---- HTTP ---- */

void eio_memory_request(net_memory *client, const char *method, const char *query,
                        const char *headers, const char *body)
{
    char head[8192], length[64] = "";
    if (body)
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(body));
    int len =
        snprintf(head, sizeof(head), "%s /engine.io/?EIO=4&%s HTTP/1.1\r\nHost: h\r\n%s%s\r\n",
                 method, query, headers, length);
    assert_true(len > 0 && (size_t)len < sizeof(head));
    net_memory_feed(client, head, (size_t)len);
    if (body)
        net_memory_feed(client, body, strlen(body));
}

void eio_memory_answer(net_memory *client, int status, const char *body)
{
    if (!app_memory_read(client, &eio_answered))
        fail_msg("no answer");
    assert_int_equal(eio_answered.status, status);
    if (!body)
        return;
    char *text = strndup(eio_answered.body, eio_answered.body_len);
    assert_string_equal(text, body);
    free(text);
}

void eio_memory_ask(const char *method, const char *query, const char *headers, const char *body,
                    int status, const char *answer_body)
{
    static char kept[EIO_MEMORY_TEXT_SIZE];
    net_memory *client = app_memory_connect(&t->base);
    eio_memory_request(client, method, query, headers, body);
    eio_memory_run();
    eio_memory_answer(client, status, answer_body);
    assert_true(eio_answered.body_len < sizeof(kept));
    memcpy(kept, eio_answered.body, eio_answered.body_len);
    kept[eio_answered.body_len] = '\0';
    eio_answered.body = kept;
    eio_memory_leave(client);
}

/* Takes the sid out of an OPEN packet's JSON. */
static void read_sid(const char *json, size_t len, char sid[SID_LEN + 1])
{
    static const char key[] = "0{\"sid\":\"";
    size_t key_len = sizeof(key) - 1;
    assert_true(len > key_len + SID_LEN);
    assert_memory_equal(json, key, key_len);
    memcpy(sid, json + key_len, SID_LEN);
    sid[SID_LEN] = '\0';
    assert_int_equal(json[key_len + SID_LEN], '"');
}

void eio_memory_open(char sid[SID_LEN + 1], const char *more)
{
    char query[256];
    snprintf(query, sizeof(query), "transport=polling%s", more ? more : "");
    eio_memory_ask("GET", query, "", NULL, 200, NULL);
    read_sid(eio_answered.body, eio_answered.body_len, sid);
}

static const char *session_query(const char *sid)
{
    static char query[256];
    snprintf(query, sizeof(query), "transport=polling&sid=%s", sid);
    return query;
}

net_memory *eio_memory_poll(const char *sid)
{
    net_memory *client = app_memory_connect(&t->base);
    eio_memory_request(client, "GET", session_query(sid), "", NULL);
    eio_memory_run();
    return client;
}

void eio_memory_poll_now(const char *sid, const char *body)
{
    eio_memory_ask("GET", session_query(sid), "", NULL, 200, body);
}

void eio_memory_post(const char *sid, const char *body)
{
    eio_memory_ask("POST", session_query(sid), "", body, 200, "ok");
}

void eio_memory_leave(net_memory *client)
{
    net_memory_feed_end(client);
    eio_memory_run();
    net_memory_free(client);
    eio_memory_run();
}

/* ---- WebSocket ---- */

net_memory *eio_memory_websocket(const char *sid, const char *more)
{
    char query[256];
    net_memory *client = app_memory_connect(&t->base);
    snprintf(query, sizeof(query), "transport=websocket%s%s%s", sid ? "&sid=" : "", sid ? sid : "",
             more ? more : "");
    eio_memory_request(client, "GET", query,
                       "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                       NULL);
    eio_memory_run();
    eio_memory_answer(client, 101, NULL);
    return client;
}

net_memory *eio_memory_open_websocket(char sid[SID_LEN + 1], const char *more)
{
    net_memory *client = eio_memory_websocket(NULL, more);
    slice open;
    assert_int_equal(eio_memory_take_frame(client, &open), WS_TEXT);
    read_sid(open.data, open.len, sid);
    return client;
}

void eio_memory_frame(net_memory *client, unsigned opcode, const void *data, size_t len)
{
    static const uint8_t mask[4] = {0x5a, 0x00, 0xff, 0x81};
    uint8_t head[WS_HEAD_SIZE_MAX + 4];
    size_t head_len = ws_frame_head_encode(head, (ws_opcode)opcode, WS_FIN, len);
    head[1] |= 0x80;
    memcpy(head + head_len, mask, 4);
    uint8_t *frame = malloc(head_len + 4 + len);
    assert_non_null(frame);
    memcpy(frame, head, head_len + 4);
    for (size_t i = 0; i < len; i++)
        frame[head_len + 4 + i] = ((const uint8_t *)data)[i] ^ mask[i % 4];
    net_memory_feed(client, frame, head_len + 4 + len);
    free(frame);
}

void eio_memory_text(net_memory *client, const char *text)
{
    eio_memory_frame(client, WS_TEXT, text, strlen(text));
    eio_memory_run();
}

int eio_memory_take_frame(net_memory *client, slice *payload)
{
    const uint8_t *bytes = buf_head(&client->out);
    size_t have = buf_readable(&client->out), head_len = 2;
    if (have < 2)
        return -1;
    assert_int_equal(bytes[0] & 0xf0, 0x80);
    assert_int_equal(bytes[1] & 0x80, 0);
    size_t len = bytes[1];
    size_t size_len = len == 126 ? 2 : len == 127 ? 8 : 0;
    for (size_t i = 0; i < size_len; i++)
        len = (i ? len << 8 : 0) | bytes[head_len++];
    if (have < head_len + len)
        return -1;
    *payload = slice_of(bytes + head_len, len);
    client->out.pos += head_len + len;
    return bytes[0] & 0x0f;
}

void eio_memory_expect_text(net_memory *client, const char *text)
{
    slice payload = {NULL, 0};
    assert_int_equal(eio_memory_take_frame(client, &payload), WS_TEXT);
    char *got = strndup(payload.data, payload.len);
    assert_string_equal(got, text);
    free(got);
}

void eio_memory_expect_binary(net_memory *client, const void *data, size_t len)
{
    slice payload = {NULL, 0};
    assert_int_equal(eio_memory_take_frame(client, &payload), WS_BINARY);
    assert_int_equal(payload.len, len);
    assert_memory_equal(payload.data, data, len);
}

void eio_memory_expect_close(net_memory *client, unsigned code)
{
    slice payload = {NULL, 0};
    assert_int_equal(eio_memory_take_frame(client, &payload), WS_CLOSE);
    unsigned got = 0;
    if (payload.len)
        got = (unsigned)(uint8_t)payload.data[0] << 8 | (uint8_t)payload.data[1];
    assert_int_equal(got, code);
    eio_memory_expect_silence(client);
}

void eio_memory_expect_silence(net_memory *client)
{
    assert_int_equal(buf_readable(&client->out), 0);
}
