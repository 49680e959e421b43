/* Covers an Engine.IO server as its clients reach it: HTTP, WebSocket, sessions, eio_server_*.
 *
 * Input: byte 0 chooses the options, then come steps of a byte for the action and the connection, a
 * byte for its length or amount, and that many bytes to feed. In these "@0" to "@3" stand for the
 * ids of the sessions that were opened last, as no input can guess them.
 * - Each session that was opened is closed once, whatever its clients do.
 * - No memory and no coroutine is left. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/core.h"
#include "base/log.h"
#include "base/mem.h"
#include "engineio/session.h"
#include "net/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CONNECTIONS = 4, SIDS = 4, STEPS_MAX = 64 };

typedef enum action {
    FEED = 0,
    FEED_AND_TURN,
    FEED_MANY,    /* 256 times the length */
    FEED_FAILING, /* the allocations behind a few fail */
    FEED_END,
    RESET,
    PASS,  /* time */
    LIMIT, /* what the client takes unread; then it reads */
} action;

static struct {
    worker worker;
    carafe_app *app;
    uint64_t now_ms;
    net_memory *clients[CONNECTIONS];
    char sids[SIDS][SID_LEN + 1];
    size_t opens;
    size_t closes;
} f;

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* ---- the program ---- */

static void on_open(eio_socket *sock, void *arg)
{
    (void)arg;
    memcpy(f.sids[f.opens++ % SIDS], eio_sid(sock), SID_LEN + 1);
}

/* The message's first byte says what the handler does. */
static void on_message(eio_socket *sock, const void *data, size_t len, bool is_binary, void *arg)
{
    (void)arg;
    const char *text = data;
    switch (len ? text[0] : 0) {
    case 'c':
        eio_close(sock);
        break;
    case 's': {
        int ignored = worker_sleep(&f.worker, 50);
        (void)ignored;
        break;
    }
    case 'r':
        require(!eio_request(sock) || carafe_url(eio_request(sock)));
        break;
    default:
        break;
    }
    int result = is_binary ? eio_send_binary(sock, data, len) : eio_send_text(sock, data, len);
    require(result == 0 || result == CARAFE_ERR_CLOSED || result == CARAFE_ERR_SLOW_READER ||
            result == CARAFE_ERR_NOMEM);
}

static void on_close(eio_socket *sock, const char *reason, void *arg)
{
    (void)arg;
    require(reason && strlen(eio_sid(sock)) == SID_LEN);
    require(eio_send_text(sock, "x", 1) == CARAFE_ERR_CLOSED);
    f.closes++;
}

static void drop_line(log_level level, const char *line, void *arg)
{
    (void)level;
    (void)arg;
    require(line != NULL);
}

static void start(uint8_t choice)
{
    memset(&f, 0, sizeof(f));
    log_set_sink(drop_line, NULL);
    require(worker_init(&f.worker, 0, 0) == 0);
    f.now_ms = worker_now(&f.worker);
    worker_set_now(&f.worker, f.now_ms);
    f.app = carafe_app_new("fuzz");
    require(f.app != NULL);
    eio_server *server = eio_server_new(
        f.app, .on_open = on_open, .on_message = on_message, .on_close = on_close,
        .max_http_buffer_size = choice & 1 ? 40 : 0, .max_output_size = choice & 2 ? 300 : 0,
        .allow_upgrades = choice & 4 ? SIO_OFF : SIO_ON, .cookie = choice & 8 ? "io" : NULL,
        .cors_allowed_origins = choice & 16 ? "*" : NULL);
    require(server != NULL);
    if (choice & 32)
        f.worker.coros.count_max = 1;
    f.app->worker_count = 1;
    app_extension *ext = f.app->extensions;
    require(ext->on_start(ext, &f.worker) == 0);
}

static void turn(void)
{
    for (int i = 0; i < 4; i++)
        worker_turn(&f.worker, false);
}

static void pass(uint64_t ms)
{
    f.now_ms += ms;
    worker_set_now(&f.worker, f.now_ms);
    turn();
}

/* As the end of a worker does it. */
static void stop(void)
{
    app_extension *ext = f.app->extensions;
    atomic_store(&f.app->is_stopping, true);
    worker_set_stopping(&f.worker);
    ext->on_stopping(ext, &f.worker);
    turn();
    for (int i = 0; i < CONNECTIONS; i++)
        net_memory_free(f.clients[i]);
    for (int i = 0; i < 1000 && !ext->is_idle(ext, &f.worker); i++)
        pass(10);
    turn();
    require(ext->is_idle(ext, &f.worker));
    require(coro_pool_in_use(&f.worker.coros) == 0);
    require(f.opens == f.closes);
    ext->on_stopped(ext, &f.worker);
    http_worker_deinit(&f.worker);
    worker_deinit(&f.worker);
    carafe_app_free(f.app);
    log_set_sink(NULL, NULL);
}

/* ---- the clients ---- */

static net_memory *client_of(unsigned index)
{
    net_memory *client = f.clients[index];
    if (client && client->conn)
        return client;
    net_memory_free(client);
    http_conn *conn = http_conn_new(app_http_service(f.app));
    require(conn != NULL);
    f.clients[index] = client = net_memory_new(&f.worker, &http_protocol, conn);
    require(client != NULL);
    http_conn_bind(conn, client->conn);
    return client;
}

/* Feeds the bytes with the session ids in their places; the `fail_after`-th allocation (0: none) of
 * what comes of it fails. */
static void feed(net_memory *client, const uint8_t *data, size_t len, int fail_after)
{
    buf text = {0};
    for (size_t i = 0; i < len; i++) {
        bool is_sid = data[i] == '@' && i + 1 < len && data[i + 1] >= '0' && data[i + 1] <= '3';
        const char *sid = is_sid ? f.sids[data[++i] - '0'] : NULL;
        require((is_sid ? buf_append_str(&text, sid) : buf_append(&text, data + i, 1)) == 0);
    }
    uint8_t *copy = malloc(text.len ? text.len : 1);
    size_t copy_len = text.len;
    require(copy != NULL);
    memcpy(copy, text.data ? text.data : copy, copy_len);
    buf_deinit(&text);
    if (fail_after)
        net_pool_deinit(&f.worker.pool); /* nothing is to come from what others left */
    mem_fail_after(fail_after);
    net_memory_feed(client, copy, copy_len);
    if (fail_after)
        turn();
    mem_fail_never();
    free(copy);
}

/* Returns the bytes used. */
static size_t step(const uint8_t *data, size_t size)
{
    action act = (action)(data[0] >> 2 & 7);
    net_memory *client = client_of(data[0] & 3);
    size_t len = data[1], head_len = 2;
    if (act == FEED_MANY)
        len *= 256;
    bool is_feed = act <= FEED_FAILING;
    if (is_feed && len > size - head_len)
        len = size - head_len;
    if (is_feed) {
        int fail_after = 1 + (data[0] >> 5) * 4 + (int)len % 4;
        feed(client, data + head_len, len, act == FEED_FAILING ? fail_after : 0);
    } else if (act == FEED_END) {
        net_memory_feed_end(client);
    } else if (act == RESET) {
        net_memory_reset(client);
    } else if (act == LIMIT) {
        client->out_max = len;
        net_memory_drain(client);
    } else {
        pass(len * 200);
    }
    if (act != FEED)
        turn();
    return is_feed ? head_len + len : head_len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    start(data[0]);
    size_t at = 1;
    for (int i = 0; i < STEPS_MAX && size - at >= 2; i++)
        at += step(data + at, size - at);
    stop();
    require(mem_blocks_in_use() == 0);
    return 0;
}
