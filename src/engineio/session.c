#include "engineio/session.h"

#include <assert.h>
#include <string.h>

#include "base/base64.h"
#include "base/log.h"
#include "base/mem.h"

/* ---- the end of a turn ---- */

static void tell_closed(eio_shard *shard)
{
    list *node;
    while ((node = list_pop_front(&shard->closed)) != NULL) {
        eio_socket *sock = LIST_ENTRY(node, eio_socket, work_link);
        shard->core->events.on_close(sock, sock->reason);
        list_unlink(&sock->all_link);
        eio_socket_unref(sock);
    }
}

static void on_turn_end(worker *w, worker_task *task)
{
    eio_shard *shard = LIST_ENTRY(task, eio_shard, turn_task);
    (void)w;
    shard->is_turn_task_queued = false;
    /* Who hears of a closed session may emit to others: theirs are answered after it. */
    tell_closed(shard);
    list batch;
    list_init(&batch);
    list_splice(&batch, &shard->dirty);
    list *node;
    while ((node = list_pop_front(&batch)) != NULL)
        eio_polling_flush(LIST_ENTRY(node, eio_socket, work_link));
}

static void queue_turn_task(eio_shard *shard)
{
    if (shard->is_turn_task_queued)
        return;
    shard->is_turn_task_queued = true;
    shard->turn_task.fn = on_turn_end;
    worker_at_turn_end(shard->worker, &shard->turn_task);
}

void eio_socket_mark_dirty(eio_socket *sock)
{
    if (list_is_linked(&sock->work_link) || sock->state == EIO_SOCKET_CLOSED)
        return;
    list_push_back(&sock->shard->dirty, &sock->work_link);
    queue_turn_task(sock->shard);
}

/* ---- heartbeat ---- */

static void start_timer(eio_socket *sock, uint32_t delay_ms)
{
    worker_timer_start(sock->shard->worker, &sock->timer, delay_ms);
}

static void on_timer(wheel_timer *timer)
{
    eio_socket *sock = LIST_ENTRY(timer, eio_socket, timer);
    const eio_config *config = &sock->shard->core->config;
    if (sock->state == EIO_SOCKET_CLOSING) {
        eio_socket_end(sock, sock->reason);
    } else if (sock->is_pong_due && sock->is_paused) {
        /* The pong may be among what we do not read. */
        start_timer(sock, config->ping_timeout_ms);
    } else if (sock->is_pong_due) {
        eio_socket_end(sock, EIO_REASON_TIMEOUT);
    } else if (eio_socket_send(sock, '0' + EIO_PING, NULL, 0) == 0) {
        sock->is_pong_due = true;
        start_timer(sock, config->ping_timeout_ms);
    }
}

/* ---- life cycle ---- */

eio_socket *eio_socket_new(eio_shard *shard, const http_request *req, const eio_query *query)
{
    eio_socket *sock = mem_zalloc(sizeof(*sock));
    if (!sock)
        return NULL;
    sock->shard = shard;
    sock->refs = 1;
    sock->is_b64 = query->is_b64;
    list_init(&sock->all_link);
    list_init(&sock->work_link);
    wheel_timer_init(&sock->timer, on_timer);
    sock->handshake = app_handshake_new(req);
    if (!sock->handshake || sid_make(sock->sid, shard->worker->index) < 0 ||
        map_put(&shard->sessions, sock) < 0) {
        sock->sid[0] = '\0';
        eio_socket_unref(sock);
        return NULL;
    }
    list_push_back(&shard->all, &sock->all_link);
    return sock;
}

void eio_socket_discard(eio_socket *sock)
{
    map_remove(&sock->shard->sessions, slice_of(sock->sid, SID_LEN));
    list_unlink(&sock->all_link);
    eio_socket_unref(sock);
}

eio_socket *eio_socket_ref(eio_socket *sock)
{
    sock->refs++;
    return sock;
}

void eio_socket_unref(eio_socket *sock)
{
    assert(sock->refs > 0);
    if (--sock->refs > 0)
        return;
    wheel_cancel(&sock->timer);
    app_request_free(sock->request);
    app_handshake_free(sock->handshake);
    buf_deinit(&sock->pending);
    mem_free(sock);
}

eio_socket *eio_shard_find(const eio_shard *shard, slice sid)
{
    return map_get(&shard->sessions, sid);
}

int eio_socket_open_packet(const eio_socket *sock, buf *out)
{
    const eio_config *config = &sock->shard->core->config;
    bool can_upgrade = !sock->is_websocket && config->allow_upgrades && config->has_websocket;
    return buf_printf(out,
                      "{\"sid\":\"%s\",\"upgrades\":[%s],\"pingInterval\":%u,"
                      "\"pingTimeout\":%u,\"maxPayload\":%zu}",
                      sock->sid, can_upgrade ? "\"websocket\"" : "", config->ping_interval_ms,
                      config->ping_timeout_ms, config->message_size_max);
}

void eio_socket_opened(eio_socket *sock)
{
    start_timer(sock, sock->shard->core->config.ping_interval_ms);
    log_line(LOG_ENGINEIO, LOG_DEBUG, "session opened over %s",
             sock->is_websocket ? "websocket" : "polling");
    sock->shard->core->events.on_open(sock);
}

void eio_socket_end(eio_socket *sock, const char *reason)
{
    if (sock->state == EIO_SOCKET_CLOSED)
        return;
    sock->state = EIO_SOCKET_CLOSED;
    sock->reason = reason;
    log_line(LOG_ENGINEIO, LOG_DEBUG, "session closed: %s", reason);
    wheel_cancel(&sock->timer);
    map_remove(&sock->shard->sessions, slice_of(sock->sid, SID_LEN));
    if (sock->probe)
        eio_probe_leave(sock->probe);
    if (sock->ws)
        ws_close(sock->ws, 0, NULL);
    sock->ws = NULL;
    eio_polling_release(sock, SLICE_LITERAL("1"));
    list_unlink(&sock->work_link);
    list_push_back(&sock->shard->closed, &sock->work_link);
    queue_turn_task(sock->shard);
}

void eio_socket_close(eio_socket *sock, const char *reason)
{
    if (sock->state != EIO_SOCKET_OPEN)
        return;
    if (sock->is_websocket) {
        /* What was sent is in the connection's queue, in front of the close frame. */
        eio_socket_end(sock, reason);
        return;
    }
    sock->state = EIO_SOCKET_CLOSING;
    sock->reason = reason;
    start_timer(sock, EIO_CLOSE_WAIT_MS);
    if (sock->poll)
        eio_socket_mark_dirty(sock);
}

/* ---- sending ---- */

static int too_slow(eio_socket *sock)
{
    char peer[NET_ADDR_TEXT_SIZE];
    net_addr_format(app_handshake_peer(sock->handshake), peer);
    log_line(LOG_ENGINEIO, LOG_WARNING,
             "%s: closed, as more than %zu bytes wait to be read (max_output_size)", peer,
             sock->shard->core->config.output_size_max);
    /* Not closed in an orderly way: that would keep all of it until the client has read it. */
    if (sock->ws)
        ws_abort(sock->ws);
    sock->ws = NULL;
    eio_socket_end(sock, EIO_REASON_ERROR);
    return CARAFE_ERR_SLOW_READER;
}

static size_t waiting_bytes(const eio_socket *sock)
{
    return sock->is_websocket ? ws_out_bytes(sock->ws) : buf_readable(&sock->pending);
}

/* Whether `len` more bytes may be queued. */
static int check_room(eio_socket *sock, size_t len)
{
    if (sock->state != EIO_SOCKET_OPEN)
        return CARAFE_ERR_CLOSED;
    if (waiting_bytes(sock) + len > sock->shard->core->config.output_size_max)
        return too_slow(sock);
    return 0;
}

/* A failure that leaves a hole in the stream ends the session. */
static int sent(eio_socket *sock, int result)
{
    /* A WebSocket that is gone says why at the end of this turn. */
    if (result >= 0 || result == CARAFE_ERR_CLOSED)
        return result;
    log_line(LOG_ENGINEIO, LOG_WARNING, "session closed: a message cannot be sent: %s",
             carafe_strerror(result));
    eio_socket_end(sock, EIO_REASON_ERROR);
    return result;
}

static int send_base64(eio_socket *sock, slice data)
{
    buf *text = &sock->shard->scratch;
    buf_clear(text);
    TRY(buf_append_char(text, 'b'));
    TRY(buf_reserve(text, base64_encoded_len(data.len)));
    text->len += base64_encode(data.data, data.len, (char *)text->data + text->len);
    return ws_send(sock->ws, WS_TEXT, &(struct iovec){ text->data, text->len }, 1);
}

static int send_ws(eio_socket *sock, char digit, const struct iovec *iov, int iov_count)
{
    enum { PIECES_MAX = 6 };
    struct iovec pieces[PIECES_MAX + 1];
    assert(iov_count <= PIECES_MAX);
    if (!digit && sock->is_b64) {
        assert(iov_count == 1 && "binary is one piece");
        return send_base64(sock, slice_of(iov->iov_base, iov->iov_len));
    }
    if (!digit)
        return ws_send(sock->ws, WS_BINARY, iov, iov_count);
    pieces[0] = (struct iovec){ &digit, 1 };
    for (int i = 0; i < iov_count; i++)
        pieces[i + 1] = iov[i];
    return ws_send(sock->ws, WS_TEXT, pieces, iov_count + 1);
}

/* Text of several pieces, appended as one packet to the payload of the next poll. */
static int push_text(eio_socket *sock, char digit, const struct iovec *iov, int iov_count)
{
    buf *pending = &sock->pending;
    size_t before = pending->len;
    int error = before ? buf_append_char(pending, EIO_SEPARATOR) : 0;
    if (error == 0)
        error = buf_append_char(pending, digit);
    for (int i = 0; error == 0 && i < iov_count; i++)
        error = buf_append(pending, iov[i].iov_base, iov[i].iov_len);
    if (error < 0)
        pending->len = before;
    return error;
}

int eio_socket_send(eio_socket *sock, char digit, const struct iovec *iov, int iov_count)
{
    size_t len = 0;
    for (int i = 0; i < iov_count; i++)
        len += iov[i].iov_len;
    bool is_base64 = !digit && (!sock->is_websocket || sock->is_b64);
    TRY(check_room(sock, 1 + (is_base64 ? base64_encoded_len(len) : len)));
    if (sock->is_websocket)
        return sent(sock, send_ws(sock, digit, iov, iov_count));
    int error;
    if (digit) {
        error = push_text(sock, digit, iov, iov_count);
    } else {
        assert(iov_count == 1 && "binary is one piece");
        eio_packet packet = { EIO_MESSAGE, true, iov->iov_base, iov->iov_len };
        error = eio_payload_append(&sock->pending, &packet);
    }
    if (error == 0 && sock->poll)
        eio_socket_mark_dirty(sock);
    return sent(sock, error);
}

int eio_socket_send_message(eio_socket *sock, eio_message *message)
{
    if (sock->is_websocket && !(message->is_binary && sock->is_b64)) {
        size_t len;
        const uint8_t *frame = eio_message_frame(message, &len);
        TRY(check_room(sock, len));
        return sent(sock, ws_send_frame(sock->ws, &message->shared, frame, len));
    }
    if (message->is_binary)
        return eio_socket_send(sock, 0, &(struct iovec){ message->body, message->body_len }, 1);
    return eio_socket_send(sock, (char)message->body[0],
                           &(struct iovec){ message->body + 1, message->body_len - 1 }, 1);
}

bool eio_socket_is_writable(const eio_socket *sock)
{
    if (sock->state != EIO_SOCKET_OPEN)
        return false;
    return sock->is_websocket ? ws_out_bytes(sock->ws) == 0 : sock->poll != NULL;
}

/* ---- receiving ---- */

void eio_socket_pause(eio_socket *sock)
{
    sock->is_paused = true;
    if (sock->ws)
        ws_pause(sock->ws);
}

void eio_socket_resume(eio_socket *sock)
{
    if (!sock->is_paused)
        return;
    sock->is_paused = false;
    /* The pong may lie unread since long. */
    if (sock->is_pong_due && sock->state == EIO_SOCKET_OPEN)
        start_timer(sock, sock->shard->core->config.ping_timeout_ms);
    if (sock->ws)
        ws_resume(sock->ws);
    eio_polling_resume(sock);
}

/* What a client must not send. */
static void violation(eio_socket *sock, const char *what)
{
    char peer[NET_ADDR_TEXT_SIZE];
    net_addr_format(app_handshake_peer(sock->handshake), peer);
    log_line(LOG_ENGINEIO, LOG_WARNING, "%s: session closed: %s", peer, what);
    eio_socket_end(sock, EIO_REASON_PARSE);
}

bool eio_socket_received(eio_socket *sock, eio_packet *packet)
{
    if (sock->state == EIO_SOCKET_CLOSED)
        return false;
    if (sock->state == EIO_SOCKET_CLOSING) {
        /* Only that the client knows already is of interest now. */
        if (packet->type == EIO_CLOSE)
            eio_socket_end(sock, sock->reason);
        return sock->state == EIO_SOCKET_CLOSING;
    }
    switch (packet->type) {
    case EIO_MESSAGE:
        sock->shard->core->events.on_message(sock, (uint8_t *)(uintptr_t)packet->data,
                                             packet->data_len, packet->is_binary);
        break;
    case EIO_PONG:
        /* One that nobody asked for changes nothing, however many come. */
        if (sock->is_pong_due)
            start_timer(sock, sock->shard->core->config.ping_interval_ms);
        sock->is_pong_due = false;
        break;
    case EIO_CLOSE:
        eio_polling_release(sock, SLICE_LITERAL("6"));
        eio_socket_end(sock, EIO_REASON_CLOSE);
        break;
    case EIO_PING: /* in v4 the server pings */
    case EIO_OPEN:
        violation(sock, "it sent a packet that only servers send");
        break;
    case EIO_UPGRADE: /* after the upgrade they say nothing new */
    case EIO_NOOP:
        break;
    }
    return sock->state == EIO_SOCKET_OPEN;
}
