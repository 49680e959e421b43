/* Long-polling: a GET that waits for packets, and POSTs that bring them. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "engineio/session.h"

/* ---- answers ---- */

int eio_answer(eio_core *core, http_request *req, const char *content_type, slice body)
{
    http_header headers[EIO_CORS_HEADERS_MAX + 2] = {
        { SLICE_LITERAL("Content-Type"), slice_str(content_type) },
        { SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-store") },
    };
    size_t count = 2 + eio_cors_headers(core, req, headers + 2);
    return http_respond(req, 200, headers, count, body);
}

static int answer_poll(eio_socket *sock, slice payload)
{
    http_request *poll = sock->poll;
    sock->poll = NULL;
    return eio_answer(sock->shard->core, poll, "text/plain; charset=UTF-8", payload);
}

static int answer_post(eio_socket *sock, http_request *req)
{
    return eio_answer(sock->shard->core, req, "text/html", SLICE_LITERAL("ok"));
}

/* A client that does not get its answer takes the session for dead, and the packets in the answer
 * are lost: so is the session. */
static void check_answer(eio_socket *sock, int result)
{
    if (result == CARAFE_ERR_NOMEM)
        log_line(LOG_ENGINEIO, LOG_WARNING, "session closed: out of memory for an answer");
    if (result < 0)
        eio_socket_end(sock, EIO_REASON_ERROR);
}

/* The POST that is held back, for its answer. NULL: there is none. */
static http_request *take_post(eio_socket *sock)
{
    http_request *post = sock->post;
    if (post)
        post->on_gone = NULL;
    sock->post = NULL;
    return post;
}

void eio_polling_release_poll(eio_socket *sock, slice last_packet)
{
    if (sock->poll)
        answer_poll(sock, last_packet);
}

void eio_polling_release(eio_socket *sock, slice last_packet)
{
    http_request *post = take_post(sock);
    eio_polling_release_poll(sock, last_packet);
    if (post)
        answer_post(sock, post);
}

void eio_polling_flush(eio_socket *sock)
{
    if (!sock->poll)
        return;
    bool is_probed = sock->probe && sock->probe->is_probed;
    if (buf_readable(&sock->pending)) {
        check_answer(sock, answer_poll(sock, buf_slice(&sock->pending)));
        /* An idle session holds no memory for output. */
        buf_deinit(&sock->pending);
    } else if (sock->state == EIO_SOCKET_CLOSING) {
        /* Answered with "1". Not in one body with the last messages: clients handle a close at once
         * and messages a moment later, and would never say why they were disconnected. */
        eio_socket_end(sock, sock->reason);
    } else if (is_probed) {
        /* The client waits for the end of its poll before it completes an upgrade. */
        check_answer(sock, answer_poll(sock, SLICE_LITERAL("6")));
    }
}

/* ---- the handshake ---- */

static int set_cookie_value(const eio_core *core, const eio_socket *sock, buf *out)
{
    return buf_printf(out, "%s=%s%s", core->config.cookie, sock->sid,
                      core->config.cookie_attributes);
}

void eio_polling_handshake(eio_core *core, http_request *req, const eio_query *query)
{
    eio_shard *shard = eio_shard_of(core, req->worker);
    eio_socket *sock = eio_socket_new(shard, req, query);
    buf body = { 0 }, cookie = { 0 };
    if (!sock || buf_append_char(&body, '0' + EIO_OPEN) < 0 ||
        eio_socket_open_packet(sock, &body) < 0 ||
        (core->config.cookie && set_cookie_value(core, sock, &cookie) < 0)) {
        http_respond_error(req, 503, "out of memory");
        if (sock)
            eio_socket_discard(sock);
        goto done;
    }
    http_header headers[EIO_CORS_HEADERS_MAX + 3] = {
        { SLICE_LITERAL("Content-Type"), SLICE_LITERAL("text/plain; charset=UTF-8") },
        { SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-store") },
    };
    size_t count = 2;
    if (core->config.cookie)
        headers[count++] = (http_header){ SLICE_LITERAL("Set-Cookie"), buf_slice(&cookie) };
    count += eio_cors_headers(core, req, headers + count);
    if (http_respond(req, 200, headers, count, buf_slice(&body)) < 0)
        eio_socket_discard(sock);
    else
        eio_socket_opened(sock);
done:
    buf_deinit(&body);
    buf_deinit(&cookie);
}

/* ---- GET ---- */

static void on_poll_gone(http_request *req)
{
    eio_socket *sock = req->user;
    sock->poll = NULL;
    http_request_drop(req);
    eio_socket_end(sock, EIO_REASON_ERROR);
}

static void start_poll(eio_socket *sock, http_request *req)
{
    if (sock->poll) {
        /* Two polls at a time would split the stream of packets. */
        eio_refuse(sock->shard->core, req, EIO_BAD_REQUEST, "overlapping polls");
        eio_socket_end(sock, EIO_REASON_ERROR);
        return;
    }
    sock->poll = req;
    req->user = sock;
    req->on_gone = on_poll_gone;
    eio_polling_flush(sock);
}

/* ---- POST ---- */

static void on_post_gone(http_request *req)
{
    eio_socket *sock = req->user;
    req->on_gone = NULL;
    if (sock->post == req) {
        sock->post = NULL;
        http_request_drop(req);
        eio_socket_end(sock, EIO_REASON_ERROR);
        return;
    }
    sock->is_posting = false;
    if (!req->conn)
        eio_socket_end(sock, EIO_REASON_ERROR);
    eio_socket_unref(sock);
}

bool eio_polling_begin_post(eio_core *core, http_request *req, eio_socket *sock)
{
    slice type = http_head_find(&req->head, "Content-Type");
    if (slice_starts_with(type, SLICE_LITERAL("application/octet-stream"))) {
        eio_refuse(core, req, EIO_BAD_REQUEST,
                   "binary bodies are not part of this protocol version");
        eio_socket_end(sock, EIO_REASON_ERROR);
        return false;
    }
    if (sock->is_posting || sock->post) {
        eio_refuse(core, req, EIO_BAD_REQUEST, "overlapping posts");
        eio_socket_end(sock, EIO_REASON_ERROR);
        return false;
    }
    sock->is_posting = true;
    req->user = eio_socket_ref(sock);
    req->on_gone = on_post_gone;
    return true;
}

static bool is_held_back(const eio_socket *sock)
{
    return sock->is_paused && sock->state == EIO_SOCKET_OPEN;
}

static bool is_broken_off(const eio_socket *sock)
{
    return sock->state == EIO_SOCKET_CLOSED && strcmp(sock->reason, EIO_REASON_PARSE) == 0;
}

/* Takes the payload apart, as far as the session wants it, and answers. */
static void receive_payload(eio_socket *sock, http_request *req)
{
    eio_core *core = sock->shard->core;
    buf *body = &req->body;
    bool is_wanted = true;
    while (is_wanted && buf_readable(body) && !is_held_back(sock)) {
        eio_packet packet;
        ptrdiff_t used = eio_payload_next(buf_head(body), buf_readable(body), &packet);
        if (used < 0) {
            eio_refuse(core, req, EIO_BAD_REQUEST, "malformed payload");
            eio_socket_end(sock, EIO_REASON_PARSE);
            return;
        }
        buf_consume(body, (size_t)used);
        is_wanted = eio_socket_received(sock, &packet);
    }
    if (is_held_back(sock)) {
        /* The rest of it waits. The client sends its next POST when this one is answered: that
         * holds it back. */
        sock->post = req;
        req->user = sock;
        req->on_gone = on_post_gone;
    } else if (is_broken_off(sock)) {
        eio_answer_error(core, req, EIO_BAD_REQUEST);
    } else {
        check_answer(sock, answer_post(sock, req));
    }
}

static void receive_post(eio_socket *sock, http_request *req)
{
    eio_core *core = sock->shard->core;
    req->on_gone = NULL;
    sock->is_posting = false;
    if (sock->state == EIO_SOCKET_CLOSED) {
        eio_refuse(core, req, EIO_UNKNOWN_SID, NULL);
    } else if (!buf_readable(&req->body) ||
               !utf8_is_valid(buf_head(&req->body), buf_readable(&req->body))) {
        eio_refuse(core, req, EIO_BAD_REQUEST, "malformed payload");
        eio_socket_end(sock, EIO_REASON_PARSE);
    } else {
        receive_payload(sock, req);
    }
    eio_socket_unref(sock);
}

void eio_polling_resume(eio_socket *sock)
{
    http_request *post = take_post(sock);
    if (post)
        receive_payload(sock, post);
}

void eio_polling_request(eio_socket *sock, http_request *req)
{
    switch (req->head.method) {
    case HTTP_METHOD_GET:
        start_poll(sock, req);
        return;
    case HTTP_METHOD_POST:
        receive_post(sock, req);
        return;
    default:
        eio_refuse(sock->shard->core, req, EIO_BAD_METHOD, NULL);
    }
}
