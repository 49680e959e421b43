/* What conn.c (reading requests) and answer.c (answering them) share. */
#ifndef CARAFE_HTTP_CONN_PRIVATE_H
#define CARAFE_HTTP_CONN_PRIVATE_H

#include "http/chunked.h"
#include "http/conn.h"

typedef enum http_conn_state {
    HTTP_HEAD = 0,  /* between requests, or inside a head */
    HTTP_HEAD_DONE, /* on_head is being called */
    HTTP_BODY,
    HTTP_BUSY,     /* the request waits for its answer */
    HTTP_FLUSHING, /* the answer waits for the socket */
    HTTP_CLOSING,  /* nothing is read any more */
} http_conn_state;

struct http_conn {
    net_conn *net; /* NULL once closed */
    const http_service *service;
    http_request *request; /* the one being read or answered */
    buf in;                /* HEAD: bytes of an incomplete head; BUSY: of later requests */
    http_head_scanner scanner;
    http_chunked chunked;
    uint64_t moved; /* BODY: bytes in this window; FLUSHING: bytes that were left at its start */
    slice rest;     /* fed bytes behind what was read; valid in on_head and on_request */
    uint8_t state;  /* http_conn_state */
    bool keep_alive : 1;
    bool is_feeding : 1;  /* inside http_conn_feed, which reads on by itself */
    bool is_detached : 1; /* upgraded or moved while feeding: free it there */
};

void http_conn_feed(http_conn *conn, const uint8_t *data, size_t len);
void http_conn_free(http_conn *conn);
void http_request_free(http_request *req);

/* Writes an answer for a connection whose request could not be read. */
void http_conn_error(http_conn *conn, int status, const char *reason);

static inline uint64_t http_head_timeout(const http_conn *conn)
{
    return conn->service->head_timeout_ms ? conn->service->head_timeout_ms : HTTP_HEAD_TIMEOUT_MS;
}

static inline uint64_t http_idle_timeout(const http_conn *conn)
{
    return conn->service->idle_timeout_ms ? conn->service->idle_timeout_ms : HTTP_IDLE_TIMEOUT_MS;
}

static inline uint64_t http_stall_window(const http_conn *conn)
{
    return conn->service->stall_window_ms ? conn->service->stall_window_ms : HTTP_STALL_WINDOW_MS;
}

#endif /* CARAFE_HTTP_CONN_PRIVATE_H */
