#include "sio_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/node.h"
#include "base/log.h"
#include "base/mem.h"
#include "eio_memory.h"

sio_memory sio_test;

static sio_memory *const t = &sio_test;

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

void sio_memory_note(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t room = sizeof(t->trace) - t->trace_len;
    int len = vsnprintf(t->trace + t->trace_len, room, fmt, args);
    va_end(args);
    assert_true(len >= 0 && (size_t)len + 1 < room);
    t->trace_len += (size_t)len;
    t->trace[t->trace_len++] = ';';
    t->trace[t->trace_len] = '\0';
}

void sio_memory_expect(const char *trace)
{
    assert_string_equal(t->trace, trace);
    t->trace[0] = '\0';
    t->trace_len = 0;
}

void sio_memory_expect_log(int count, const char *word)
{
    if (t->log_count != count || (word && !strstr(t->log, word)))
        print_error("log:\n%s", t->log);
    assert_int_equal(t->log_count, count);
    if (word)
        assert_non_null(strstr(t->log, word));
    t->log_count = 0;
    t->log[0] = '\0';
}

/* ---- life cycle ---- */

int sio_memory_setup(void **state)
{
    (void)state;
    memset(t, 0, sizeof(*t));
    log_set_sink(remember_line, NULL);
    t->blocks_before = mem_blocks_in_use();
    app_memory_open(&t->base);
    return 0;
}

void sio_memory_new(const sio_server_options *options)
{
    const sio_server_options defaults = { .size = sizeof(defaults) };
    t->server = sio_server_new_with(t->base.app, options ? options : &defaults);
    assert_non_null(t->server);
}

void sio_memory_start(void)
{
    carafe_app *app = t->base.app;
    app->worker_count = 1;
    /* The app may ask for nothing else of its only node. */
    app->nodes = LIST_ENTRY(&t->base.worker, app_node, worker);
    app->has_mailbox = true;
    atomic_store(&app->state, APP_RUNNING);
    for (app_extension *ext = app->extensions; ext; ext = ext->next)
        assert_int_equal(ext->on_start(ext, &t->base.worker), 0);
    t->is_started = true;
    sio_memory_run();
}

void sio_memory_stop(void)
{
    atomic_store(&t->base.app->is_stopping, true);
    worker_set_stopping(&t->base.worker);
    for (app_extension *ext = t->base.app->extensions; ext; ext = ext->next)
        ext->on_stopping(ext, &t->base.worker);
    sio_memory_run();
}

static void end_run(void)
{
    carafe_app *app = t->base.app;
    if (!atomic_load(&app->is_stopping))
        sio_memory_stop();
    for (app_extension *ext = app->extensions; ext; ext = ext->next) {
        assert_true(ext->is_idle(ext, &t->base.worker));
        ext->on_stopped(ext, &t->base.worker);
    }
    app->has_mailbox = false;
    app->nodes = NULL;
    app->worker_count = 0;
    atomic_store(&app->state, APP_IDLE);
}

int sio_memory_teardown(void **state)
{
    (void)state;
    mem_fail_never();
    if (t->is_started)
        end_run();
    app_memory_close(&t->base);
    log_set_sink(NULL, NULL);
    assert_int_equal(mem_blocks_in_use(), t->blocks_before);
    return 0;
}

void sio_memory_run(void)
{
    app_memory_run(&t->base);
}

void sio_memory_pass(uint64_t ms)
{
    app_memory_pass(&t->base, ms);
}

typedef struct errand {
    worker_task task;
    void (*fn)(void *arg);
    void *arg;
} errand;

static void on_errand(worker *w, worker_task *task)
{
    errand *e = LIST_ENTRY(task, errand, task);
    assert_int_equal(worker_spawn(w, e->fn, e->arg), 0);
}

void sio_memory_do(void (*fn)(void *arg), void *arg)
{
    errand e = { .task = { .fn = on_errand }, .fn = fn, .arg = arg };
    assert_int_equal(worker_post(&t->base.worker, &e.task), 0);
    sio_memory_run();
}

/* ---- clients ---- */

sio_peer *sio_peer_open(void)
{
    static const char request[] = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\n"
                                  "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                  "Sec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    http_answer answer;
    sio_peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    peer->net = app_memory_connect(&t->base);
    app_memory_send(&t->base, peer->net, request);
    assert_true(app_memory_read(peer->net, &answer));
    assert_int_equal(answer.status, 101);
    assert_memory_equal(sio_peer_read(peer), "0{\"sid\":", 8);
    return peer;
}

void sio_peer_join(sio_peer *peer, const char *ns)
{
    char packet[600];
    bool is_default = strcmp(ns, "/") == 0;
    snprintf(packet, sizeof(packet), "40%s%s", is_default ? "" : ns, is_default ? "" : ",");
    sio_peer_send(peer, packet);
    const char *answer = sio_peer_read(peer);
    size_t len = strlen(packet);
    assert_memory_equal(answer, packet, len);
    assert_memory_equal(answer + len, "{\"sid\":\"", 8);
    memcpy(peer->sid, answer + len + 8, SID_LEN);
    assert_string_equal(answer + len + 8 + SID_LEN, "\"}");
}

sio_peer *sio_peer_new(const char *ns)
{
    sio_peer *peer = sio_peer_open();
    sio_peer_join(peer, ns);
    return peer;
}

/* Handlers must find themselves on a worker: so bytes are fed within a turn. */
typedef struct delivery {
    worker_task task;
    sio_peer *peer;
    ws_opcode opcode;
    const char *const *parts; /* NULL: the end of the stream */
    const size_t *lens;
    size_t count;
} delivery;

static void on_delivery(worker *w, worker_task *task)
{
    delivery *d = LIST_ENTRY(task, delivery, task);
    (void)w;
    for (size_t i = 0; i < d->count; i++)
        eio_memory_frame(d->peer->net, d->opcode, d->parts[i], d->lens[i]);
    if (!d->parts)
        net_memory_feed_end(d->peer->net);
}

static void deliver(delivery *d)
{
    d->task.fn = on_delivery;
    assert_int_equal(worker_post(&t->base.worker, &d->task), 0);
    sio_memory_run();
}

void sio_peer_send_all(sio_peer *peer, const char *const *texts, size_t count)
{
    size_t lens[16];
    assert_true(count <= 16);
    for (size_t i = 0; i < count; i++)
        lens[i] = strlen(texts[i]);
    deliver(&(delivery){
        .peer = peer, .opcode = WS_TEXT, .parts = texts, .lens = lens, .count = count });
}

void sio_peer_send_len(sio_peer *peer, const char *text, size_t len)
{
    deliver(&(delivery){
        .peer = peer, .opcode = WS_TEXT, .parts = &text, .lens = &len, .count = 1 });
}

void sio_peer_send(sio_peer *peer, const char *text)
{
    sio_peer_send_len(peer, text, strlen(text));
}

void sio_peer_send_binary(sio_peer *peer, const void *data, size_t len)
{
    const char *part = data;
    deliver(&(delivery){
        .peer = peer, .opcode = WS_BINARY, .parts = &part, .lens = &len, .count = 1 });
}

const char *sio_peer_read(sio_peer *peer)
{
    static char *text;
    slice payload = { NULL, 0 };
    assert_int_equal(eio_memory_take_frame(peer->net, &payload), WS_TEXT);
    free(text);
    text = strndup(payload.data, payload.len);
    return text;
}

void sio_peer_expect(sio_peer *peer, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    assert_true(vasprintf(&text, fmt, args) >= 0);
    va_end(args);
    eio_memory_expect_text(peer->net, text);
    free(text);
}

void sio_peer_expect_binary(sio_peer *peer, const void *data, size_t len)
{
    eio_memory_expect_binary(peer->net, data, len);
}

void sio_peer_expect_silence(sio_peer *peer)
{
    eio_memory_expect_silence(peer->net);
}

void sio_peer_expect_closed(sio_peer *peer)
{
    eio_memory_expect_close(peer->net, 0);
}

void sio_peer_expect_open(sio_peer *peer)
{
    sio_peer_expect_silence(peer);
    assert_false(peer->net->is_closed);
    assert_non_null(peer->net->conn);
}

void sio_peer_leave(sio_peer *peer)
{
    deliver(&(delivery){ .peer = peer });
    net_memory_free(peer->net);
    sio_memory_run();
    free(peer);
}
