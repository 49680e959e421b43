/* WebSocket as transport: from the handshake on, or taking over from long-polling. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engineio/session.h"

/* ---- the session's own WebSocket ---- */

static const char *reason_of(unsigned code, net_close reason)
{
    bool is_error = reason == NET_CLOSE_PROTOCOL || reason == NET_CLOSE_ERROR ||
                    reason == NET_CLOSE_NOMEM || code == WS_CLOSE_INTERNAL_ERROR;
    return is_error ? EIO_REASON_ERROR : EIO_REASON_CLOSE;
}

static void on_session_message(ws_conn *ws, uint8_t *data, size_t len, bool is_binary)
{
    eio_socket *sock = ws_user(ws);
    eio_packet packet = { EIO_MESSAGE, true, data, len };
    if (!is_binary && eio_packet_decode(data, len, &packet) < 0) {
        char peer[NET_ADDR_TEXT_SIZE];
        net_addr_format(app_handshake_peer(sock->handshake), peer);
        log_line(LOG_ENGINEIO, LOG_WARNING, "%s: session closed: malformed packet", peer);
        eio_socket_end(sock, EIO_REASON_PARSE);
        return;
    }
    eio_socket_received(sock, &packet);
}

static void on_session_close(ws_conn *ws, unsigned code, net_close reason)
{
    eio_socket *sock = ws_user(ws);
    sock->ws = NULL;
    eio_socket_end(sock, reason_of(code, reason));
}

static void on_session_open(ws_conn *ws)
{
    eio_socket *sock = ws_user(ws);
    sock->ws = ws;
    sock->is_websocket = true;
    buf *open = &sock->shard->scratch;
    buf_clear(open);
    if (eio_socket_open_packet(sock, open) < 0) {
        eio_socket_end(sock, EIO_REASON_ERROR);
        return;
    }
    if (eio_socket_send(sock, '0' + EIO_OPEN, &(struct iovec){ open->data, open->len }, 1) == 0)
        eio_socket_opened(sock);
}

static const ws_handler session_handler = {
    .on_open = on_session_open,
    .on_message = on_session_message,
    .on_close = on_session_close,
};

void eio_websocket_handshake(eio_core *core, http_request *req, const eio_query *query)
{
    eio_socket *sock = eio_socket_new(eio_shard_of(core, req->worker), req, query);
    if (!sock) {
        http_respond_error(req, 503, "out of memory");
        return;
    }
    http_header headers[EIO_CORS_HEADERS_MAX];
    size_t count = eio_cors_headers(core, req, headers);
    if (ws_accept(req, headers, count, core->config.message_size_max, &session_handler, sock) < 0)
        eio_socket_discard(sock);
}

/* ---- taking over ---- */

void eio_probe_end(eio_probe *probe)
{
    if (probe->sock)
        probe->sock->probe = NULL;
    wheel_cancel(&probe->timer);
    if (probe->ws)
        ws_close(probe->ws, 0, NULL);
    mem_free(probe);
}

/* The session ends. A client that was told 3probe has stopped polling and only listens here: it
 * hears of the end when it asks for the upgrade. Closing before that would leave it waiting. */
void eio_probe_leave(eio_probe *probe)
{
    bool is_stopping = app_is_stopping(probe->sock->shard->core->ext.app);
    if (!probe->is_probed || !probe->ws || is_stopping) {
        eio_probe_end(probe);
        return;
    }
    probe->sock->probe = NULL;
    probe->sock = NULL;
}

/* Packets that were waiting for the next poll, sent in their order over the WebSocket. */
static void send_pending(eio_socket *sock)
{
    buf pending = sock->pending;
    sock->pending = (buf){ 0 };
    while (buf_readable(&pending)) {
        eio_packet packet;
        ptrdiff_t used = eio_payload_next(buf_head(&pending), buf_readable(&pending), &packet);
        if (used < 0)
            break;
        char digit = packet.is_binary ? '\0' : (char)('0' + packet.type);
        struct iovec data = { (void *)(uintptr_t)packet.data, packet.data_len };
        if (eio_socket_send(sock, digit, &data, 1) < 0)
            break;
        buf_consume(&pending, (size_t)used);
    }
    buf_deinit(&pending);
}

static void take_over(eio_probe *probe)
{
    eio_socket *sock = probe->sock;
    if (!sock) {
        eio_probe_end(probe);
        return;
    }
    ws_conn *ws = probe->ws;
    probe->ws = NULL;
    eio_probe_end(probe);
    bool is_closing = sock->state == EIO_SOCKET_CLOSING;
    ws_set_handler(ws, &session_handler, sock);
    sock->ws = ws;
    sock->is_websocket = true;
    log_line(LOG_ENGINEIO, LOG_DEBUG, "session upgraded to websocket");
    eio_polling_release_poll(sock, SLICE_LITERAL("6"));
    if (sock->is_paused)
        ws_pause(ws);
    /* The last words of a session that was closed meanwhile go this way too. */
    sock->state = EIO_SOCKET_OPEN;
    send_pending(sock);
    if (is_closing)
        eio_socket_end(sock, sock->reason);
}

static void on_probe_open(ws_conn *ws)
{
    eio_probe *probe = ws_user(ws);
    probe->ws = ws;
}

static void on_probe_message(ws_conn *ws, uint8_t *data, size_t len, bool is_binary)
{
    eio_probe *probe = ws_user(ws);
    slice text = slice_of(data, len);
    if (!is_binary && slice_is(text, "2probe")) {
        ws_send(ws, WS_TEXT, &(struct iovec){ (char[]){ "3probe" }, 6 }, 1);
        probe->is_probed = true;
        /* Its poll must end before the client goes on. */
        if (probe->sock)
            eio_polling_flush(probe->sock);
    } else if (!is_binary && probe->is_probed && slice_is(text, "5")) {
        take_over(probe);
    } else {
        log_line(LOG_ENGINEIO, LOG_WARNING, "upgrade refused: unexpected packet");
        eio_probe_end(probe);
    }
}

static void on_probe_close(ws_conn *ws, unsigned code, net_close reason)
{
    eio_probe *probe = ws_user(ws);
    (void)code;
    (void)reason;
    probe->ws = NULL;
    eio_probe_end(probe);
}

static const ws_handler probe_handler = {
    .on_open = on_probe_open,
    .on_message = on_probe_message,
    .on_close = on_probe_close,
};

static void on_probe_timer(wheel_timer *timer)
{
    log_line(LOG_ENGINEIO, LOG_WARNING, "upgrade refused: not completed in time");
    eio_probe_end(LIST_ENTRY(timer, eio_probe, timer));
}

/* A second WebSocket for a session: closed at once, the first one stays. */
static void on_surplus_open(ws_conn *ws)
{
    ws_close(ws, 0, NULL);
}

static const ws_handler surplus_handler = { .on_open = on_surplus_open };

void eio_websocket_probe(eio_socket *sock, http_request *req)
{
    eio_core *core = sock->shard->core;
    http_header headers[EIO_CORS_HEADERS_MAX];
    size_t count = eio_cors_headers(core, req, headers);
    size_t size_max = core->config.message_size_max;
    if (sock->is_websocket || sock->probe || sock->state != EIO_SOCKET_OPEN) {
        int ignored = ws_accept(req, headers, count, size_max, &surplus_handler, NULL);
        (void)ignored;
        return;
    }
    eio_probe *probe = mem_zalloc(sizeof(*probe));
    if (!probe) {
        http_respond_error(req, 503, "out of memory");
        return;
    }
    probe->sock = sock;
    sock->probe = probe;
    wheel_timer_init(&probe->timer, on_probe_timer);
    worker_timer_start(sock->shard->worker, &probe->timer, core->config.upgrade_timeout_ms);
    if (ws_accept(req, headers, count, size_max, &probe_handler, probe) < 0)
        eio_probe_end(probe);
}
