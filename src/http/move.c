/* Moving a connection to another worker, where its session lives. */
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/conn_private.h"
#include "net/tcp.h"

/* A socket on its way, with what was read from it and what has not been written yet. */
typedef struct moving_conn {
    worker_task task;
    const http_service *service;
    net_addr peer;
    int fd;
    buf input;
    buf output;
} moving_conn;

static void moving_free(moving_conn *m)
{
    if (m->fd >= 0)
        close(m->fd);
    buf_deinit(&m->input);
    buf_deinit(&m->output);
    mem_free(m);
}

static void on_arrival(worker *w, worker_task *task)
{
    moving_conn *m = LIST_ENTRY(task, moving_conn, task);
    http_conn *conn = http_conn_new(m->service);
    net_conn *c = conn ? net_tcp_new(w, m->fd, &m->peer, &http_protocol, conn) : NULL;
    if (c) {
        m->fd = -1;
        http_conn_bind(conn, c);
        net_conn_write(c, m->output.data, m->output.len);
        http_conn_feed(conn, m->input.data, m->input.len);
    } else {
        log_line(LOG_HTTP, LOG_ERROR, "connection lost between workers: out of memory");
        if (conn)
            m->fd = -1; /* net_tcp_new has closed it */
        mem_free(conn);
    }
    moving_free(m);
}

static moving_conn *moving_new(const http_request *req)
{
    moving_conn *m = mem_zalloc(sizeof(*m));
    if (!m)
        return NULL;
    const net_conn *c = req->conn->net;
    m->task.fn = on_arrival;
    m->service = req->service;
    m->peer = c->peer;
    m->fd = -1;
    int error = buf_append(&m->input, req->head_bytes.data, req->head_bytes.len);
    if (error == 0)
        error = buf_append(&m->input, req->conn->rest.data, req->conn->rest.len);
    for (uint32_t i = c->chunk_first; error == 0 && i < c->chunk_count; i++)
        error = buf_append(&m->output, c->chunks[i].data, c->chunks[i].len);
    if (error == 0)
        return m;
    moving_free(m);
    return NULL;
}

int http_request_move(http_request *req, worker *to)
{
    http_conn *conn = req->conn;
    net_conn *c = conn->net;
    moving_conn *m = c->transport->detach && c->file_fd < 0 ? moving_new(req) : NULL;
    if (!m) {
        http_respond_error(req, 500, "the session lives on another worker");
        return CARAFE_ERR_STATE;
    }
    m->fd = c->transport->detach(c);
    if (worker_post(to, &m->task) < 0)
        moving_free(m);
    http_request_drop(req);
    return 0;
}
