#include "net/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

enum { READS_PER_EVENT_MAX = 4 };

typedef struct tcp_conn {
    net_conn conn;
    net_source source;
} tcp_conn;

static tcp_conn *tcp_of(net_conn *c)
{
    return LIST_ENTRY(c, tcp_conn, conn);
}

static ptrdiff_t error_of_errno(void)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return CARAFE_ERR_AGAIN;
    if (errno == EPIPE || errno == ECONNRESET)
        return CARAFE_ERR_CLOSED;
    return CARAFE_ERR_SYSTEM;
}

static ptrdiff_t tcp_write(net_conn *c, const struct iovec *iov, int iov_count)
{
    int fd = tcp_of(c)->source.fd;
    ssize_t written;
    do {
        if (iov_count == 1) {
            written = send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        } else {
            struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)iov,
                                      .msg_iovlen = (size_t)iov_count };
            written = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    } while (written < 0 && errno == EINTR);
    return written < 0 ? error_of_errno() : written;
}

static ptrdiff_t tcp_send_file(net_conn *c, int fd, uint64_t offset, size_t len)
{
    off_t at = (off_t)offset;
    ssize_t sent;
    do {
        sent = sendfile(tcp_of(c)->source.fd, fd, &at, len);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? error_of_errno() : sent;
}

static void tcp_want(net_conn *c, bool read, bool write)
{
    if (tcp_of(c)->source.fd >= 0)
        net_poller_change(&c->worker->poller, &tcp_of(c)->source, read, write);
}

static void tcp_shutdown(net_conn *c)
{
    shutdown(tcp_of(c)->source.fd, SHUT_WR);
}

static int tcp_detach(net_conn *c)
{
    tcp_conn *tcp = tcp_of(c);
    int fd = tcp->source.fd;
    if (fd >= 0)
        net_poller_remove(&c->worker->poller, &tcp->source);
    tcp->source.fd = -1;
    return fd;
}

static void tcp_close(net_conn *c)
{
    int fd = tcp_detach(c);
    if (fd >= 0)
        close(fd);
}

static void tcp_release(net_conn *c)
{
    mem_free(tcp_of(c));
}

static const net_transport tcp_transport = {
    .write = tcp_write,
    .send_file = tcp_send_file,
    .want = tcp_want,
    .shutdown = tcp_shutdown,
    .close = tcp_close,
    .release = tcp_release,
    .detach = tcp_detach,
};

static void read_ready(tcp_conn *tcp)
{
    net_conn *c = &tcp->conn;
    uint8_t *data = c->worker->read_buf;
    for (int i = 0; i < READS_PER_EVENT_MAX && !c->is_paused; i++) {
        ssize_t len = recv(tcp->source.fd, data, WORKER_READ_SIZE, MSG_DONTWAIT);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                net_conn_failed(c, errno == ECONNRESET ? NET_CLOSE_RESET : NET_CLOSE_ERROR);
            return;
        }
        if (len == 0) {
            net_conn_input_end(c);
            return;
        }
        net_conn_input(c, data, (size_t)len);
        /* A short read has emptied the socket. What comes now raises an event of its own. */
        if (tcp->source.fd < 0 || len < WORKER_READ_SIZE)
            return;
    }
}

static void on_ready(net_source *source, bool can_read, bool can_write)
{
    tcp_conn *tcp = LIST_ENTRY(source, tcp_conn, source);
    if (can_write)
        net_conn_writable(&tcp->conn);
    if (!can_read || source->fd < 0)
        return;
    if (!tcp->conn.is_paused && !tcp->conn.is_eof) {
        read_ready(tcp);
    } else if (can_write) {
        /* An error or hang-up that nobody reads would be reported for ever. */
        net_conn_failed(&tcp->conn, NET_CLOSE_RESET);
    }
}

net_conn *net_tcp_new(worker *w, int fd, const net_addr *peer, const net_protocol *protocol,
                      void *user)
{
    tcp_conn *tcp = mem_alloc(sizeof(*tcp));
    if (!tcp) {
        close(fd);
        return NULL;
    }
    tcp->source = (net_source){ .on_ready = on_ready, .fd = fd };
    if (net_poller_add(&w->poller, &tcp->source, true, false) < 0) {
        close(fd);
        mem_free(tcp);
        return NULL;
    }
    /* Writes are joined per turn already; Nagle would only add the delay. Fails on Unix sockets,
     * which have no such delay. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    net_conn_init(&tcp->conn, w, &tcp_transport, protocol, user);
    tcp->conn.peer = *peer;
    return &tcp->conn;
}
