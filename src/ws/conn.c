#include "ws/conn.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "ws/handshake.h"

struct ws_conn {
    net_conn *net;             /* valid until net's on_close, which frees this */
    const ws_handler *handler; /* NULL when nobody listens any more */
    void *user;
    ws_decoder decoder;
    uint32_t message_size_max;
    bool is_close_sent;
};

void *ws_user(const ws_conn *ws)
{
    return ws->user;
}

void ws_set_handler(ws_conn *ws, const ws_handler *handler, void *user)
{
    ws->handler = handler;
    ws->user = user;
}

size_t ws_out_bytes(const ws_conn *ws)
{
    return net_conn_out_bytes(ws->net);
}

void ws_pause(ws_conn *ws)
{
    net_conn_pause(ws->net);
}

void ws_resume(ws_conn *ws)
{
    net_conn_resume(ws->net);
}

/* ---- sending ---- */

int ws_send(ws_conn *ws, ws_opcode opcode, const struct iovec *iov, int iov_count)
{
    enum { PIECES_MAX = 8 };
    struct iovec pieces[PIECES_MAX + 1];
    uint8_t head[WS_HEAD_SIZE_MAX];
    size_t len = 0;
    assert(iov_count <= PIECES_MAX);
    if (ws->is_close_sent)
        return CARAFE_ERR_CLOSED;
    for (int i = 0; i < iov_count; i++) {
        pieces[i + 1] = iov[i];
        len += iov[i].iov_len;
    }
    pieces[0] = (struct iovec){ head, ws_frame_head_encode(head, opcode, WS_FIN, len) };
    return net_conn_writev(ws->net, pieces, iov_count + 1);
}

int ws_send_frame(ws_conn *ws, shared *owner, const uint8_t *frame, size_t len)
{
    if (ws->is_close_sent)
        return CARAFE_ERR_CLOSED;
    return net_conn_write_shared(ws->net, owner, frame, len);
}

static void send_close(ws_conn *ws, unsigned code, slice reason)
{
    uint8_t payload[WS_CONTROL_PAYLOAD_MAX];
    if (ws->is_close_sent)
        return;
    ptrdiff_t len = ws_close_payload_encode(payload, code, reason);
    struct iovec piece = { payload, len < 0 ? 0 : (size_t)len };
    ws_send(ws, WS_CLOSE, &piece, 1);
    ws->is_close_sent = true;
}

/* ---- closing ---- */

static void tell_close(ws_conn *ws, unsigned code, net_close reason)
{
    const ws_handler *handler = ws->handler;
    ws->handler = NULL;
    if (handler)
        handler->on_close(ws, code, reason);
}

void ws_close(ws_conn *ws, unsigned code, const char *reason)
{
    ws->handler = NULL;
    send_close(ws, code, slice_str(reason));
    net_conn_resume(ws->net);
    net_conn_set_timer(ws->net, WS_CLOSE_TIMEOUT_MS);
}

void ws_abort(ws_conn *ws)
{
    ws->handler = NULL;
    net_conn_close(ws->net, NET_CLOSE_LOCAL);
}

/* ---- receiving ---- */

static void on_ping(ws_conn *ws, const ws_event *event)
{
    /* RFC 6455 5.5.3: only the latest ping must be answered, so a flood may be thinned out. */
    if (net_conn_out_bytes(ws->net) > WS_CONTROL_QUEUE_MAX)
        return;
    ws_send(ws, WS_PONG, &(struct iovec){ event->data, event->len }, 1);
}

static void on_peer_close(ws_conn *ws, const ws_event *event)
{
    /* RFC 6455 5.5.1: the answer typically echoes the code. */
    send_close(ws, event->close_code == WS_CLOSE_NO_STATUS ? 0 : event->close_code,
               (slice){ NULL, 0 });
    net_conn_finish(ws->net);
    tell_close(ws, event->close_code, NET_CLOSE_PEER);
}

static void on_violation(ws_conn *ws, const ws_event *event)
{
    char peer[NET_ADDR_TEXT_SIZE];
    net_addr_format(&ws->net->peer, peer);
    log_line(LOG_HTTP, LOG_WARNING, "%s: WebSocket closed with %u: %s", peer, event->close_code,
             event->error);
    send_close(ws, event->close_code, slice_str(event->error));
    net_conn_finish(ws->net);
    tell_close(ws, event->close_code, NET_CLOSE_PROTOCOL);
}

static void on_data(net_conn *c, uint8_t *data, size_t len)
{
    ws_conn *ws = c->user;
    const ws_limits limits = { .message_size_max = ws->message_size_max };
    ws_event event;
    int result;
    while ((result = ws_decoder_next(&ws->decoder, &limits, &data, &len, &event)) != 0) {
        if (result < 0) {
            on_violation(ws, &event);
            return;
        }
        if (event.type == WS_EVENT_CLOSE) {
            on_peer_close(ws, &event);
            return;
        }
        if (event.type == WS_EVENT_PING)
            on_ping(ws, &event);
        else if (event.type == WS_EVENT_MESSAGE && ws->handler)
            ws->handler->on_message(ws, event.data, event.len, event.opcode == WS_BINARY);
        if (!net_conn_is_open(c))
            return;
    }
}

static void on_timer(net_conn *c)
{
    /* The peer does not answer our close frame. */
    net_conn_finish(c);
}

static void on_close(net_conn *c, net_close reason)
{
    ws_conn *ws = c->user;
    tell_close(ws, WS_CLOSE_ABNORMAL, reason);
    ws_decoder_deinit(&ws->decoder);
    mem_free(ws);
}

static void on_upgraded(net_conn *c)
{
    ws_conn *ws = c->user;
    ws->net = c;
    ws->handler->on_open(ws);
}

static const net_protocol ws_protocol = {
    .on_data = on_data,
    .on_timer = on_timer,
    .on_close = on_close,
};

/* ---- accepting ---- */

bool ws_is_requested(const http_request *req)
{
    return ws_handshake_is_wanted(http_head_find(&req->head, "Upgrade"));
}

/* The values of a header, joined by commas when it is repeated. `scratch` has room for all of them,
 * so it does not move under the slices made before. */
static slice joined_header(const http_head *head, const char *name, buf *scratch)
{
    slice first = http_head_find(head, name), value;
    size_t at = 0, count = 0;
    while (http_head_next(head, name, &at, &value))
        count++;
    if (count < 2)
        return first;
    size_t start = scratch->len;
    at = 0;
    while (http_head_next(head, name, &at, &value)) {
        if ((scratch->len > start && buf_append_char(scratch, ',') < 0) ||
            buf_append(scratch, value.data, value.len) < 0)
            return (slice){ NULL, 0 };
    }
    return slice_of(scratch->data + start, scratch->len - start);
}

/* 101, or the status to answer with, and the reason. */
static int check_request(const http_request *req, const char **error)
{
    /* What follows the request is frames already; a body would be taken for them. */
    if (http_head_has_body(&req->head)) {
        *error = "a WebSocket handshake has no body";
        return 400;
    }
    buf scratch = { 0 };
    if (buf_reserve(&scratch, req->head_bytes.len) < 0) {
        *error = "out of memory";
        return 503;
    }
    /* RFC 6455 11.3.1, 11.3.5: key and version may come once only. Joined, two are not valid. */
    ws_handshake handshake = {
        .method = req->head.method_name,
        .http_major = 1,
        .http_minor = req->head.version_minor,
        .upgrade = joined_header(&req->head, "Upgrade", &scratch),
        .connection = joined_header(&req->head, "Connection", &scratch),
        .version = joined_header(&req->head, "Sec-WebSocket-Version", &scratch),
        .key = joined_header(&req->head, "Sec-WebSocket-Key", &scratch),
    };
    int status = ws_handshake_check(&handshake, error);
    buf_deinit(&scratch);
    return status;
}

static void refuse(http_request *req, int status, const char *error)
{
    http_request_close_after(req);
    if (status != 426) {
        http_respond_error(req, status, error);
        return;
    }
    http_header headers[] = {
        /* RFC 9110 15.5.22: a 426 names the protocol it wants. */
        { SLICE_LITERAL("Upgrade"), SLICE_LITERAL("websocket") },
        { SLICE_LITERAL("Sec-WebSocket-Version"), SLICE_LITERAL(WS_VERSIONS_SUPPORTED) },
        { SLICE_LITERAL("Content-Type"), SLICE_LITERAL("text/plain; charset=utf-8") },
    };
    log_line(LOG_HTTP, LOG_WARNING, "WebSocket refused: 426 %s", error);
    http_respond(req, 426, headers, sizeof(headers) / sizeof(headers[0]), slice_str(error));
}

int ws_accept(http_request *req, const http_header *headers, size_t header_count,
              size_t message_size_max, const ws_handler *handler, void *user)
{
    enum { HEADERS_MAX = 16 };
    http_header all[HEADERS_MAX + 1];
    char accept[WS_ACCEPT_LEN + 1];
    const char *error = "too many headers";
    int status = header_count > HEADERS_MAX ? 500 : check_request(req, &error);
    if (status != 101) {
        refuse(req, status, error);
        return CARAFE_ERR_BAD_HANDSHAKE;
    }
    ws_conn *ws = mem_zalloc(sizeof(*ws));
    if (!ws || ws_accept_key(http_head_find(&req->head, "Sec-WebSocket-Key"), accept) < 0) {
        mem_free(ws);
        http_respond_error(req, 503, "out of memory");
        return CARAFE_ERR_NOMEM;
    }
    if (header_count)
        memcpy(all, headers, header_count * sizeof(*all));
    all[header_count] = (http_header){ SLICE_LITERAL("Sec-WebSocket-Accept"),
                                       slice_of(accept, WS_ACCEPT_LEN) };
    ws->handler = handler;
    ws->user = user;
    ws->message_size_max = message_size_max < UINT32_MAX ? (uint32_t)message_size_max : UINT32_MAX;
    int error_code =
        http_upgrade(req, "websocket", all, header_count + 1, &ws_protocol, ws, on_upgraded);
    if (error_code < 0)
        mem_free(ws);
    return error_code;
}
