/* Answering requests: http_respond and its kin. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/conn_private.h"
#include "http/date.h"
#include "http/response.h"
#include "http/status.h"

/* More output than this waiting on a connection, and its next request is not read yet. */
enum { ANSWER_QUEUE_MAX = 64 * 1024 };

/* What HTTP keeps per worker. */
typedef struct http_worker {
    buf head; /* scratch for response heads */
    int64_t date_s;
    char date[HTTP_DATE_LEN + 1];
} http_worker;

static http_worker *http_worker_of(worker *w)
{
    if (!w->slots[WORKER_SLOT_HTTP])
        w->slots[WORKER_SLOT_HTTP] = mem_zalloc(sizeof(http_worker));
    return w->slots[WORKER_SLOT_HTTP];
}

void http_worker_deinit(worker *w)
{
    http_worker *state = w->slots[WORKER_SLOT_HTTP];
    if (!state)
        return;
    buf_deinit(&state->head);
    mem_free(state);
    w->slots[WORKER_SLOT_HTTP] = NULL;
}

slice http_date_now(worker *w)
{
    http_worker *state = http_worker_of(w);
    if (!state)
        return (slice){ NULL, 0 };
    int64_t now_s = (int64_t)time(NULL);
    if (now_s != state->date_s) {
        state->date_s = now_s;
        http_date_format(now_s, state->date);
    }
    return slice_of(state->date, HTTP_DATE_LEN);
}

/* ---- heads ---- */

typedef struct answer_head {
    int status;
    uint8_t version_minor;
    bool keep_alive;
    uint64_t content_length;
    const http_header *headers;
    size_t header_count;
} answer_head;

/* Writes the head into the worker's scratch buffer, emptied first. */
static int build_head(worker *w, answer_head *head, const char *upgrade, buf **out)
{
    http_worker *state = http_worker_of(w);
    if (!state)
        return CARAFE_ERR_NOMEM;
    buf_clear(&state->head);
    http_response response;
    TRY(http_response_begin(&response, &state->head, head->status, http_date_now(w)));
    for (size_t i = 0; i < head->header_count; i++)
        TRY(http_response_header(&response, head->headers[i].name, head->headers[i].value));
    *out = &state->head;
    if (upgrade)
        return http_response_end_upgrade(&response, upgrade);
    response.version_minor = head->version_minor;
    response.keep_alive = head->keep_alive;
    response.content_length = head->content_length;
    TRY(http_response_end(&response));
    head->keep_alive = response.keep_alive;
    return 0;
}

/* ---- the end of a request ---- */

/* How much of a target may be logged. A session id is as good as a password, and logs are read by
 * many: the line ends before its value. */
static int loggable_len(slice target)
{
    static const char secret[] = "sid=";
    const char *at = memmem(target.data, target.len, secret, sizeof(secret) - 1);
    return at ? (int)(at - target.data + (ptrdiff_t)sizeof(secret) - 1) : (int)target.len;
}

static void log_access(const http_request *req, int status, uint64_t len)
{
    if (!log_is_on(LOG_HTTP, LOG_INFO))
        return;
    char peer[NET_ADDR_TEXT_SIZE];
    net_addr_format(&req->peer, peer);
    log_line(LOG_HTTP, LOG_INFO, "%s \"%.*s %.*s\" %d %llu B %.1f ms", peer,
             (int)req->head.method_name.len, req->head.method_name.data,
             loggable_len(req->head.target), req->head.target.data, status, (unsigned long long)len,
             (double)(uv_hrtime() / 1000 - req->started_us) / 1000.0);
}

static void wait_for_drain(http_conn *conn)
{
    conn->state = HTTP_FLUSHING;
    conn->moved = net_conn_out_bytes(conn->net) + conn->net->file_left;
    net_conn_set_timer(conn->net, http_stall_window(conn));
    net_conn_want_drain(conn->net);
}

/* The answer is queued and the request freed: what comes next on the connection. */
static void end_request(http_conn *conn, bool keep_alive)
{
    conn->request = NULL;
    conn->keep_alive = keep_alive;
    bool is_long = conn->net->file_fd >= 0 || net_conn_out_bytes(conn->net) > ANSWER_QUEUE_MAX;
    if (is_long) {
        wait_for_drain(conn);
    } else if (!keep_alive) {
        conn->state = HTTP_CLOSING;
        net_conn_finish(conn->net);
    } else if (!conn->is_feeding && buf_readable(&conn->in)) {
        wait_for_drain(conn);
    } else {
        conn->state = HTTP_HEAD;
        net_conn_set_timer(conn->net, http_idle_timeout(conn));
    }
}

/* A body that was not read would be taken for the next request. */
static bool may_keep_alive(const http_request *req)
{
    const http_conn *conn = req->conn;
    /* A peer that has finished sending gets its answers; the last of them closes. */
    if (conn->net->is_eof && !conn->is_feeding && buf_readable(&conn->in) == 0)
        return false;
    return req->conn->keep_alive && !req->worker->is_stopping &&
           (req->is_body_done || !http_head_has_body(&req->head));
}

static int respond(http_request *req, answer_head *head, slice body)
{
    http_conn *conn = req->conn;
    if (!conn) {
        http_request_free(req);
        return CARAFE_ERR_CLOSED;
    }
    buf *bytes = NULL;
    head->version_minor = req->head.version_minor;
    head->keep_alive = may_keep_alive(req);
    int error = build_head(req->worker, head, NULL, &bytes);
    if (error == CARAFE_ERR_ARGUMENT) {
        log_line(LOG_HTTP, LOG_ERROR, "answer to %.*s has a header that is not valid",
                 loggable_len(req->head.target), req->head.target.data);
        http_respond_error(req, 500, "the server made an invalid answer");
        return error;
    }
    if (error < 0) {
        http_request_drop(req);
        return error;
    }
    if (req->head.method == HTTP_METHOD_HEAD || !http_status_has_body(head->status))
        body.len = 0;
    struct iovec iov[2] = { { buf_head(bytes), buf_readable(bytes) },
                            { (void *)(uintptr_t)body.data, body.len } };
    error = net_conn_writev(conn->net, iov, 2);
    log_access(req, head->status, head->content_length);
    http_request_free(req);
    if (error == 0)
        return head->keep_alive;
    conn->request = NULL;
    conn->state = HTTP_CLOSING; /* start_head() must see that on_head has answered */
    return error;
}

int http_respond(http_request *req, int status, const http_header *headers, size_t header_count,
                 slice body)
{
    http_conn *conn = req->conn;
    answer_head head = { .status = status,
                         .content_length = body.len,
                         .headers = headers,
                         .header_count = header_count };
    int keep_alive = respond(req, &head, body);
    if (keep_alive < 0)
        return keep_alive;
    end_request(conn, keep_alive);
    return 0;
}

int http_respond_file(http_request *req, int status, const http_header *headers,
                      size_t header_count, int fd, uint64_t offset, uint64_t len)
{
    http_conn *conn = req->conn;
    bool is_head_only = req->head.method == HTTP_METHOD_HEAD;
    answer_head head = { .status = status,
                         .content_length = len,
                         .headers = headers,
                         .header_count = header_count };
    int keep_alive = respond(req, &head, (slice){ NULL, 0 });
    if (keep_alive < 0 || is_head_only || len == 0 || !http_status_has_body(status)) {
        close(fd);
        if (keep_alive < 0)
            return keep_alive;
    } else {
        /* Cannot fail: the head has just been queued on an open connection. */
        net_conn_send_file(conn->net, fd, offset, len);
    }
    end_request(conn, keep_alive);
    return 0;
}

int http_respond_error(http_request *req, int status, const char *message)
{
    buf body = { 0 };
    if (http_error_body(&body, status, slice_str(message)) < 0) {
        buf_deinit(&body);
        http_request_drop(req);
        return CARAFE_ERR_NOMEM;
    }
    if (req->conn && status >= 400) {
        char peer[NET_ADDR_TEXT_SIZE];
        net_addr_format(&req->peer, peer);
        log_line(LOG_HTTP, LOG_WARNING, "%s: \"%.*s %.*s\" refused: %d %s", peer,
                 (int)req->head.method_name.len, req->head.method_name.data,
                 loggable_len(req->head.target), req->head.target.data, status,
                 message ? message : http_status_reason(status));
    }
    http_header type = { SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json") };
    int result = http_respond(req, status, &type, 1, buf_slice(&body));
    buf_deinit(&body);
    return result;
}

void http_request_close_after(http_request *req)
{
    if (req->conn)
        req->conn->keep_alive = false;
}

void http_request_drop(http_request *req)
{
    http_conn *conn = req->conn;
    http_request_free(req);
    if (!conn)
        return;
    conn->request = NULL;
    conn->state = HTTP_CLOSING;
    net_conn_close(conn->net, NET_CLOSE_LOCAL);
}

void http_conn_error(http_conn *conn, int status, const char *reason)
{
    buf body = { 0 };
    buf *head_bytes = NULL;
    http_header type = { SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json") };
    answer_head head = {
        .status = status, .version_minor = 1, .headers = &type, .header_count = 1
    };
    if (http_error_body(&body, status, slice_str(reason)) == 0) {
        head.content_length = body.len;
        if (build_head(conn->net->worker, &head, NULL, &head_bytes) == 0) {
            struct iovec iov[2] = { { buf_head(head_bytes), buf_readable(head_bytes) },
                                    { body.data, body.len } };
            net_conn_writev(conn->net, iov, 2);
        }
    }
    buf_deinit(&body);
}

/* ---- leaving HTTP ---- */

int http_upgrade(http_request *req, const char *upgrade, const http_header *headers,
                 size_t header_count, const net_protocol *protocol, void *user,
                 void (*on_upgraded)(net_conn *c))
{
    http_conn *conn = req->conn;
    if (!conn) {
        http_request_free(req);
        return CARAFE_ERR_CLOSED;
    }
    net_conn *c = conn->net;
    buf *bytes = NULL;
    answer_head head = { .status = 101, .headers = headers, .header_count = header_count };
    int error = build_head(req->worker, &head, upgrade, &bytes);
    if (error == 0)
        error = net_conn_write(c, buf_head(bytes), buf_readable(bytes));
    if (error < 0) {
        http_request_drop(req);
        return error;
    }
    log_access(req, 101, 0);
    http_request_free(req);
    conn->request = NULL;
    conn->state = HTTP_CLOSING; /* start_head() must see that on_head has answered */
    net_conn_set_protocol(c, protocol, user);
    net_conn_resume(c);
    on_upgraded(c);
    /* The peer's first bytes in the new protocol may have come with the request. */
    slice rest = conn->is_feeding ? conn->rest : buf_slice(&conn->in);
    if (rest.len)
        net_conn_input(c, (uint8_t *)(uintptr_t)rest.data, rest.len);
    if (conn->is_feeding)
        conn->is_detached = true;
    else
        http_conn_free(conn);
    return 0;
}
