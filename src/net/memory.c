#include "net/memory.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

typedef struct memory_conn {
    net_conn conn;
    net_memory *handle; /* NULL after net_memory_free() */
} memory_conn;

static memory_conn *memory_of(net_conn *c)
{
    return LIST_ENTRY(c, memory_conn, conn);
}

static size_t room(const net_memory *m)
{
    if (!m->out_max)
        return SIZE_MAX;
    size_t unread = buf_readable(&m->out);
    return unread < m->out_max ? m->out_max - unread : 0;
}

static ptrdiff_t memory_write(net_conn *c, const struct iovec *iov, int iov_count)
{
    net_memory *m = memory_of(c)->handle;
    ptrdiff_t written = 0;
    for (int i = 0; i < iov_count; i++) {
        size_t len = iov[i].iov_len;
        size_t free_len = room(m);
        if (len > free_len)
            len = free_len;
        TRY(buf_append(&m->out, iov[i].iov_base, len));
        written += (ptrdiff_t)len;
        if (len < iov[i].iov_len)
            break;
    }
    return written ? written : CARAFE_ERR_AGAIN;
}

static ptrdiff_t memory_send_file(net_conn *c, int fd, uint64_t offset, size_t len)
{
    net_memory *m = memory_of(c)->handle;
    if (len > room(m))
        len = room(m);
    if (len == 0)
        return CARAFE_ERR_AGAIN;
    TRY(buf_reserve(&m->out, len));
    ssize_t got = pread(fd, m->out.data + m->out.len, len, (off_t)offset);
    if (got < 0)
        return CARAFE_ERR_SYSTEM;
    m->out.len += (size_t)got;
    return got;
}

static void memory_want(net_conn *c, bool read, bool write)
{
    (void)c;
    (void)read;
    (void)write;
}

static void memory_shutdown(net_conn *c)
{
    memory_of(c)->handle->is_shut_down = true;
}

static void memory_close(net_conn *c)
{
    net_memory *m = memory_of(c)->handle;
    if (m)
        m->is_closed = true;
}

static void memory_release(net_conn *c)
{
    memory_conn *memory = memory_of(c);
    if (memory->handle)
        memory->handle->conn = NULL;
    mem_free(memory);
}

static const net_transport memory_transport = {
    .write = memory_write,
    .send_file = memory_send_file,
    .want = memory_want,
    .shutdown = memory_shutdown,
    .close = memory_close,
    .release = memory_release,
};

net_memory *net_memory_new(worker *w, const net_protocol *protocol, void *user)
{
    net_memory *m = mem_zalloc(sizeof(*m));
    memory_conn *memory = mem_alloc(sizeof(*memory));
    if (!m || !memory) {
        mem_free(m);
        mem_free(memory);
        return NULL;
    }
    memory->handle = m;
    net_conn_init(&memory->conn, w, &memory_transport, protocol, user);
    memory->conn.peer = (net_addr){ .family = AF_INET, .ip = { 127, 0, 0, 1 } };
    m->conn = &memory->conn;
    return m;
}

void net_memory_feed(net_memory *m, const void *data, size_t len)
{
    const uint8_t *from = data;
    while (len && m->conn && !m->is_closed) {
        worker *w = m->conn->worker;
        size_t part = len < WORKER_READ_SIZE ? len : WORKER_READ_SIZE;
        memcpy(w->read_buf, from, part);
        net_conn_input(m->conn, w->read_buf, part);
        from += part;
        len -= part;
    }
}

void net_memory_feed_end(net_memory *m)
{
    if (m->conn && !m->is_closed)
        net_conn_input_end(m->conn);
}

void net_memory_reset(net_memory *m)
{
    if (m->conn && !m->is_closed)
        net_conn_failed(m->conn, NET_CLOSE_RESET);
}

void net_memory_drain(net_memory *m)
{
    buf_clear(&m->out);
    if (m->conn && !m->is_closed)
        net_conn_writable(m->conn);
}

void net_memory_free(net_memory *m)
{
    if (!m)
        return;
    if (m->conn) {
        memory_of(m->conn)->handle = NULL;
        net_conn_close(m->conn, NET_CLOSE_PEER);
    }
    buf_deinit(&m->out);
    mem_free(m);
}
