/* Server side of HTTP/1.1 connections: requests in, answers out, one at a time and in order.
 *
 * on_head is called when a request's head is complete, on_request when its body is. Each request
 * that reached on_request is answered exactly once, at once or later, by one of http_respond*,
 * http_upgrade or http_request_drop; that call frees it. When the peer goes away first, the
 * request stays valid (conn is NULL, on_gone is called) until then.
 *
 *   HEAD --head complete--> BODY --body complete--> BUSY --answered--> HEAD ...
 *                             \------- answered early (413 ...) ----> closed behind the answer
 *
 * All on the connection's worker. */
#ifndef CARAFE_HTTP_CONN_H
#define CARAFE_HTTP_CONN_H

#include "base/buf.h"
#include "http/head.h"
#include "net/conn.h"

typedef struct http_conn http_conn;
typedef struct http_request http_request;

enum {
    HTTP_BODY_SIZE_MAX = 16 * 1024 * 1024, /* default; on_head may set another limit */
    HTTP_PIPELINE_SIZE_MAX = 64 * 1024,    /* bytes kept of requests behind an unanswered one */
    HTTP_HEAD_TIMEOUT_MS = 30 * 1000,      /* from a request's first byte to its empty line */
    HTTP_IDLE_TIMEOUT_MS = 75 * 1000,      /* a connection without a request */
    HTTP_STALL_WINDOW_MS = 30 * 1000,      /* in each such window a body or an answer must move */
    HTTP_STALL_BYTES_MIN = 1024,           /* by at least this much (or end) */
};

/* What is served and within which limits; the same for all connections of a server. */
typedef struct http_service {
    /* The head is complete. May set body_size_max, or answer at once (the body is then not read).
     * May be NULL. */
    void (*on_head)(http_request *req);
    void (*on_request)(http_request *req);
    void *arg;
    http_limits limits;
    uint32_t head_timeout_ms; /* 0: the defaults above */
    uint32_t idle_timeout_ms;
    uint32_t stall_window_ms;
} http_service;

struct http_request {
    http_conn *conn; /* NULL when the peer has gone */
    worker *worker;
    const http_service *service;
    http_head head; /* slices live as long as the request */
    net_addr peer;
    buf body;               /* complete in on_request; the callee may change it */
    uint64_t body_size_max; /* bytes; set before on_head, may be changed there */
    void *user;             /* the service's */
    /* The request ends without an answer of the service. With conn NULL the peer has gone; the
     * request is freed by its owner if it had reached on_request, else right after this call.
     * With conn set the body was refused while it came in (413, ...). A half-closed peer counts
     * as gone when this is set, else as waiting for its answer. May be set at any time. */
    void (*on_gone)(http_request *req);
    uint64_t started_us; /* for the access log */
    slice head_bytes;    /* the head as it came */
    size_t alloc_size;   /* private */
    bool is_body_done;   /* private */
};

/* Serves an accepted socket. Takes `fd` over, also on failure (which is logged). */
void http_accept(worker *w, int fd, const net_addr *peer, const http_service *service);

/* The protocol for connections of other transports; `user` is from http_conn_new. */
extern const net_protocol http_protocol;
http_conn *http_conn_new(const http_service *service);
/* Ties the two together; must follow the creation of `c` with http_protocol and `conn`. */
void http_conn_bind(http_conn *conn, net_conn *c);

/* Answers with a body that is copied. Content-Length, Connection and Date are added; a HEAD
 * request gets no body.
 *
 * 0, or, and then the request is freed as well: CARAFE_ERR_CLOSED: the peer has gone;
 * CARAFE_ERR_ARGUMENT: a header is not valid (500 is answered); CARAFE_ERR_NOMEM. */
int http_respond(http_request *req, int status, const http_header *headers, size_t header_count,
                 slice body);

/* Answers with `len` bytes of a file from `offset`. `fd` is taken over, also on failure. */
int http_respond_file(http_request *req, int status, const http_header *headers,
                      size_t header_count, int fd, uint64_t offset, uint64_t len);

/* Answers {"error":{"code":status,"message":...}}; statuses of 400 and above are logged. NULL
 * gives the reason phrase. */
int http_respond_error(http_request *req, int status, const char *message);

/* Closes the connection behind the answer to this request. */
void http_request_close_after(http_request *req);

/* Answers 101 and hands the connection over: afterwards it belongs to `protocol` and `user`, and
 * the request is freed. `on_upgraded` is called first, then the bytes that came behind the request
 * are delivered to on_data. CARAFE_ERR_CLOSED: the peer has gone; CARAFE_ERR_ARGUMENT: a header is
 * not valid; CARAFE_ERR_NOMEM: in these cases the request is freed and the connection closed. */
int http_upgrade(http_request *req, const char *upgrade, const http_header *headers,
                 size_t header_count, const net_protocol *protocol, void *user,
                 void (*on_upgraded)(net_conn *c));

/* Frees the request without an answer; a connection that is still there is closed now. */
void http_request_drop(http_request *req);

/* Moves the connection to another worker, where its head is read again: "the connection follows
 * its session". Only from on_head. The request is freed.
 * CARAFE_ERR_STATE: the transport cannot move (the request is answered 500). */
int http_request_move(http_request *req, worker *to);

/* The current Date header's value. On a worker. */
slice http_date_now(worker *w);

/* Closes the connections that are between two requests, for a worker that stops. Answers of a
 * stopping worker close their connection anyway. */
void http_worker_finish_idle(worker *w);

/* Frees what HTTP keeps per worker; at the worker's end. */
void http_worker_deinit(worker *w);

#endif /* CARAFE_HTTP_CONN_H */
