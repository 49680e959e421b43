#include "http/conn.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/chunked.h"
#include "http/conn_private.h"
#include "http/date.h"
#include "http/response.h"
#include "http/status.h"
#include "net/tcp.h"

/* ---- requests ---- */

/* One allocation: the request, its headers, and a copy of the head they point into. */
static http_request *request_new(http_conn *conn, const http_head *head, const uint8_t *bytes,
                                 size_t len)
{
    worker *w = conn->net->worker;
    size_t headers_size = head->header_count * sizeof(http_header);
    size_t size = sizeof(http_request) + headers_size + len;
    http_request *req = net_pool_take(&w->pool, size, &size);
    if (!req)
        return NULL;
    *req = (http_request){ .conn = conn,
                           .worker = w,
                           .service = conn->service,
                           .head = *head,
                           .peer = conn->net->peer,
                           .body_size_max = HTTP_BODY_SIZE_MAX,
                           .started_us = uv_hrtime() / 1000,
                           .alloc_size = size };
    req->head.headers = (http_header *)(void *)(req + 1);
    if (headers_size)
        memcpy(req->head.headers, head->headers, headers_size);
    uint8_t *copy = (uint8_t *)(req + 1) + headers_size;
    memcpy(copy, bytes, len);
    http_head_rebase(&req->head, bytes, copy);
    req->head_bytes = slice_of(copy, len);
    return req;
}

void http_request_free(http_request *req)
{
    buf_deinit(&req->body);
    net_pool_give(&req->worker->pool, req, req->alloc_size);
}

/* ---- errors before there is a request ---- */

static void refuse(http_conn *conn, int status, const char *reason)
{
    char peer[NET_ADDR_TEXT_SIZE];
    net_addr_format(&conn->net->peer, peer);
    log_line(LOG_HTTP, LOG_WARNING, "%s: request refused: %d %s", peer, status, reason);
    http_conn_error(conn, status, reason);
    conn->state = HTTP_CLOSING;
    net_conn_finish(conn->net);
}

static void refuse_for(http_conn *conn, const http_problem *problem, int error)
{
    if (error == CARAFE_ERR_NOMEM)
        refuse(conn, 503, "out of memory");
    else
        refuse(conn, problem->status ? problem->status : 400,
               problem->reason ? problem->reason : "malformed request");
}

/* ---- the body ---- */

static void start_request(http_conn *conn)
{
    http_request *req = conn->request;
    conn->state = HTTP_BUSY;
    req->is_body_done = true;
    net_conn_set_timer(conn->net, 0);
    conn->service->on_request(req);
}

static void end_body(http_conn *conn)
{
    conn->state = HTTP_BUSY;
}

/* A body over its limit: the answer cannot wait for the rest. */
static void refuse_body(http_conn *conn, int error)
{
    http_request *req = conn->request;
    http_request_close_after(req);
    if (req->on_gone)
        req->on_gone(req);
    if (error == CARAFE_ERR_TOO_LARGE)
        http_respond_error(req, 413, "request body is larger than the limit");
    else if (error == CARAFE_ERR_NOMEM)
        http_respond_error(req, 503, "out of memory");
    else if (error == CARAFE_ERR_TIMEOUT)
        http_respond_error(req, 408, "request body took too long");
    else
        http_respond_error(req, 400, "malformed chunked body");
}

/* Each takes what it can of the bytes; returns the bytes taken, or an error. */
static ptrdiff_t take_plain_body(http_conn *conn, const uint8_t *data, size_t len)
{
    http_request *req = conn->request;
    uint64_t left = req->head.content_length - req->body.len;
    size_t part = left < len ? (size_t)left : len;
    TRY(buf_append(&req->body, data, part));
    if (part == left)
        end_body(conn);
    return (ptrdiff_t)part;
}

static ptrdiff_t take_chunked_body(http_conn *conn, const uint8_t *data, size_t len)
{
    http_request *req = conn->request;
    size_t taken = 0;
    while (taken < len && !http_chunked_is_done(&conn->chunked)) {
        slice body;
        ptrdiff_t n = http_chunked_feed(&conn->chunked, data + taken, len - taken, &body);
        if (n < 0)
            return n;
        TRY(buf_append(&req->body, body.data, body.len));
        taken += (size_t)n;
    }
    if (http_chunked_is_done(&conn->chunked))
        end_body(conn);
    return (ptrdiff_t)taken;
}

static size_t feed_body(http_conn *conn, const uint8_t *data, size_t len)
{
    ptrdiff_t taken = conn->request->head.is_chunked ? take_chunked_body(conn, data, len)
                                                     : take_plain_body(conn, data, len);
    if (taken < 0) {
        refuse_body(conn, (int)taken);
        return len;
    }
    conn->moved += (uint64_t)taken;
    conn->rest = slice_of(data + taken, len - (size_t)taken);
    if (conn->state == HTTP_BUSY)
        start_request(conn);
    return (size_t)taken;
}

static void begin_body(http_conn *conn)
{
    http_request *req = conn->request;
    if (req->head.content_length > req->body_size_max) {
        refuse_body(conn, CARAFE_ERR_TOO_LARGE);
        return;
    }
    if (!http_head_has_body(&req->head)) {
        start_request(conn);
        return;
    }
    conn->state = HTTP_BODY;
    http_chunked_init(&conn->chunked, req->body_size_max);
    conn->moved = 0;
    net_conn_set_timer(conn->net, http_stall_window(conn));
    /* RFC 9110 10.1.1: the client waits for this before it sends the body. */
    if (req->head.expects_continue)
        net_conn_write(conn->net, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

/* ---- the head ---- */

/* The head is `len` bytes at `bytes`. */
static void start_head(http_conn *conn, const uint8_t *bytes, size_t len)
{
    http_header headers[HTTP_HEADER_COUNT_MAX];
    http_head head;
    int error = http_head_parse(&head, headers, bytes, len, &conn->service->limits);
    if (error < 0) {
        refuse_for(conn, &head.problem, error);
        return;
    }
    conn->request = request_new(conn, &head, bytes, len);
    if (!conn->request) {
        refuse(conn, 503, "out of memory");
        return;
    }
    conn->state = HTTP_HEAD_DONE;
    conn->keep_alive = head.keep_alive;
    if (conn->service->on_head)
        conn->service->on_head(conn->request);
    if (conn->state == HTTP_HEAD_DONE)
        begin_body(conn);
}

/* Reads on in the head. Returns the bytes taken; the head may end before `len`. */
static size_t feed_head(http_conn *conn, const uint8_t *data, size_t len)
{
    /* Most heads come in one piece and are read where they lie. */
    bool is_kept = conn->in.len > 0;
    size_t before = conn->in.len;
    if (is_kept && buf_append(&conn->in, data, len) < 0) {
        refuse(conn, 503, "out of memory");
        return len;
    }
    const uint8_t *bytes = is_kept ? conn->in.data : data;
    size_t bytes_len = is_kept ? conn->in.len : len;
    ptrdiff_t head_len = http_head_scan(&conn->scanner, bytes, bytes_len, &conn->service->limits);
    if (head_len == CARAFE_ERR_NEED_MORE) {
        if (!is_kept && buf_append(&conn->in, data, len) < 0)
            refuse(conn, 503, "out of memory");
        else if (!is_kept)
            net_conn_set_timer(conn->net, http_head_timeout(conn));
        return len;
    }
    if (head_len < 0) {
        refuse_for(conn, &conn->scanner.problem, (int)head_len);
        return len;
    }
    size_t taken = (size_t)head_len - before;
    /* What is left is the tail of the bytes just fed, so nothing is lost with the buffer. */
    buf head_bytes = conn->in;
    conn->in = (buf){ 0 };
    conn->scanner = (http_head_scanner){ 0 };
    conn->rest = slice_of(data + taken, len - taken);
    start_head(conn, is_kept ? head_bytes.data : data, (size_t)head_len);
    buf_deinit(&head_bytes);
    return taken;
}

/* ---- the connection ---- */

/* Keeps bytes of requests that come behind an unanswered one. */
static void keep_for_later(http_conn *conn, const uint8_t *data, size_t len)
{
    if (buf_append(&conn->in, data, len) < 0) {
        net_conn_close(conn->net, NET_CLOSE_NOMEM);
        return;
    }
    if (buf_readable(&conn->in) > HTTP_PIPELINE_SIZE_MAX)
        net_conn_pause(conn->net);
}

void http_conn_feed(http_conn *conn, const uint8_t *data, size_t len)
{
    conn->is_feeding = true;
    while (len && !conn->is_detached && net_conn_is_open(conn->net)) {
        size_t taken = 0;
        if (conn->state == HTTP_HEAD) {
            taken = feed_head(conn, data, len);
        } else if (conn->state == HTTP_BODY) {
            taken = feed_body(conn, data, len);
        } else {
            if (conn->state == HTTP_BUSY || conn->state == HTTP_FLUSHING)
                keep_for_later(conn, data, len);
            break;
        }
        data += taken;
        len -= taken;
    }
    conn->is_feeding = false;
    if (conn->is_detached)
        http_conn_free(conn);
}

static void on_data(net_conn *c, uint8_t *data, size_t len)
{
    http_conn *conn = c->user;
    http_conn_feed(conn, data, len);
}

static void on_eof(net_conn *c)
{
    http_conn *conn = c->user;
    bool waits_for_answer = conn->state == HTTP_BUSY && !conn->request->on_gone;
    if (waits_for_answer || conn->state == HTTP_FLUSHING) {
        /* Requests that came behind it are answered too; the last one closes. */
        if (buf_readable(&conn->in) == 0)
            conn->keep_alive = false;
        return;
    }
    if (net_conn_out_bytes(c))
        net_conn_finish(c); /* the answer of this very turn */
    else
        net_conn_close(c, NET_CLOSE_PEER);
}

/* The previous answer has left: the next request may be read. */
static void on_drain(net_conn *c)
{
    http_conn *conn = c->user;
    if (conn->state != HTTP_FLUSHING)
        return;
    if (!conn->keep_alive || c->worker->is_stopping) {
        conn->state = HTTP_CLOSING;
        net_conn_finish(c);
        return;
    }
    conn->state = HTTP_HEAD;
    net_conn_set_timer(c, http_idle_timeout(conn));
    net_conn_resume(c);
    buf pending = conn->in;
    conn->in = (buf){ 0 };
    http_conn_feed(conn, pending.data, pending.len);
    buf_deinit(&pending);
    /* An upgrade has freed `conn`. */
    bool is_http = net_conn_is_open(c) && c->protocol == &http_protocol;
    if (is_http && c->is_eof && conn->state == HTTP_HEAD) {
        conn->state = HTTP_CLOSING;
        net_conn_finish(c);
    }
}

static void on_timer(net_conn *c)
{
    http_conn *conn = c->user;
    switch (conn->state) {
    case HTTP_HEAD:
        if (conn->in.len)
            refuse(conn, 408, "request head took too long");
        else
            net_conn_close(c, NET_CLOSE_TIMEOUT);
        return;
    case HTTP_BODY:
        if (conn->moved < HTTP_STALL_BYTES_MIN) {
            refuse_body(conn, CARAFE_ERR_TIMEOUT);
            return;
        }
        conn->moved = 0;
        net_conn_set_timer(c, http_stall_window(conn));
        return;
    case HTTP_FLUSHING: {
        uint64_t left = net_conn_out_bytes(c) + c->file_left;
        if (conn->moved < left + HTTP_STALL_BYTES_MIN) {
            net_conn_close(c, NET_CLOSE_SLOW_READER);
            return;
        }
        conn->moved = left;
        net_conn_set_timer(c, http_stall_window(conn));
        return;
    }
    default:
        return;
    }
}

static void on_close(net_conn *c, net_close reason)
{
    http_conn *conn = c->user;
    (void)reason;
    http_request *req = conn->request;
    bool is_started = conn->state == HTTP_BUSY;
    conn->net = NULL;
    conn->request = NULL;
    http_conn_free(conn);
    if (!req)
        return;
    req->conn = NULL;
    if (req->on_gone)
        req->on_gone(req);
    if (!is_started)
        http_request_free(req);
}

const net_protocol http_protocol = {
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_timer = on_timer,
    .on_close = on_close,
};

/* ---- life cycle ---- */

void http_worker_finish_idle(worker *w)
{
    for (list *link = w->conns.next; link != &w->conns; link = link->next) {
        net_conn *c = LIST_ENTRY(link, net_conn, all_link);
        if (c->protocol != &http_protocol || !net_conn_is_open(c))
            continue;
        http_conn *conn = c->user;
        if (conn->state != HTTP_HEAD || conn->in.len)
            continue;
        conn->state = HTTP_CLOSING;
        net_conn_finish(c);
    }
}

http_conn *http_conn_new(const http_service *service)
{
    http_conn *conn = mem_zalloc(sizeof(*conn));
    if (conn)
        conn->service = service;
    return conn;
}

void http_conn_free(http_conn *conn)
{
    buf_deinit(&conn->in);
    mem_free(conn);
}

void http_conn_bind(http_conn *conn, net_conn *c)
{
    conn->net = c;
    net_conn_set_timer(c, http_idle_timeout(conn));
}

void http_accept(worker *w, int fd, const net_addr *peer, const http_service *service)
{
    http_conn *conn = http_conn_new(service);
    if (!conn) {
        log_line(LOG_HTTP, LOG_ERROR, "connection refused: out of memory");
        close(fd);
        return;
    }
    net_conn *c = net_tcp_new(w, fd, peer, &http_protocol, conn);
    if (!c) {
        log_line(LOG_HTTP, LOG_ERROR, "connection refused: out of memory");
        mem_free(conn);
        return;
    }
    http_conn_bind(conn, c);
}
