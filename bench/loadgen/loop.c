#include "loop.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "frame.h"

/* One read takes so much at most, lest one busy connection holds up the others. */
#define READ_SIZE_MAX (64u << 10)

/* The longest incomplete frame with its head, and a read behind it. */
#define SCRATCH_SIZE (FRAME_SIZE_MAX + 16u + READ_SIZE_MAX)

#define EVENTS_PER_TURN 256

int loop_init(loop *l)
{
    l->timer_ns = 0;
    l->scratch = alloc_zeroed(SCRATCH_SIZE, 1);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (l->epoll_fd < 0 || l->timer_fd < 0)
        return -1;
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->timer_fd, &event);
}

void loop_deinit(loop *l)
{
    close(l->timer_fd);
    close(l->epoll_fd);
    free(l->scratch);
}

static void conn_fail(conn *c, int error)
{
    const char *why = error == 0 ? "closed by the server" : strerror(error);
    conn_close(c);
    c->ops->on_close(c, why);
}

static void watch(conn *c, bool want_write)
{
    if (c->want_write == want_write)
        return;
    c->want_write = want_write;
    struct epoll_event event = {.events = EPOLLIN | (want_write ? EPOLLOUT : 0u), .data.ptr = c};
    epoll_ctl(c->loop->epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

int conn_open(conn *c, loop *l, const conn_ops *ops, const struct sockaddr_in *server,
              in_addr_t source)
{
    *c = (conn){.loop = l, .ops = ops, .want_write = true};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -1;
    const int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (source != htonl(INADDR_ANY)) {
        /* The port is chosen by connect, when the whole 4-tuple is known. */
        struct sockaddr_in self = {.sin_family = AF_INET, .sin_addr.s_addr = source};
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(c->fd, (struct sockaddr *)&self, sizeof self) != 0)
            goto fail;
    }
    if (connect(c->fd, (const struct sockaddr *)server, sizeof *server) != 0 &&
        errno != EINPROGRESS)
        goto fail;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0)
        goto fail;
    return 0;

fail:;
    int error = errno;
    conn_close(c);
    errno = error;
    return -1;
}

void conn_close(conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->is_open = false;
    buf_deinit(&c->out);
    buf_deinit(&c->rest);
}

void conn_flush(conn *c)
{
    size_t sent = 0;
    if (!c->is_open || c->out.len == 0)
        return;
    while (sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + sent, c->out.len - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            conn_fail(c, errno);
            return;
        }
    }
    buf_consume(&c->out, sent);
    watch(c, c->out.len > 0);
}

static void conn_opened(conn *c)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error != 0) {
        conn_fail(c, error);
        return;
    }
    c->is_open = true;
    c->ops->on_open(c);
    conn_flush(c);
    if (c->is_open)
        watch(c, c->out.len > 0);
}

static void conn_read(conn *c)
{
    uint8_t *scratch = c->loop->scratch;
    size_t kept = c->rest.len;
    if (kept > SCRATCH_SIZE - READ_SIZE_MAX) { /* on_data refuses such messages */
        conn_fail(c, EMSGSIZE);
        return;
    }
    ssize_t n = recv(c->fd, scratch + kept, READ_SIZE_MAX, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_fail(c, n == 0 ? 0 : errno);
        return;
    }
    if (kept > 0)
        memcpy(scratch, c->rest.data, kept);
    size_t len = kept + (size_t)n;
    size_t used = c->ops->on_data(c, scratch, len);
    if (!c->is_open)
        return;
    c->rest.len = 0;
    buf_append(&c->rest, scratch + used, len - used);
    conn_flush(c);
}

static void conn_handle(conn *c, uint32_t events)
{
    if (c->fd < 0) /* closed by an earlier event of this batch */
        return;
    if (!c->is_open) {
        if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
            conn_opened(c);
        return;
    }
    if (events & EPOLLOUT)
        conn_flush(c);
    if (c->is_open && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        conn_read(c);
}

static void set_timer(loop *l, uint64_t wake_ns)
{
    if (l->timer_ns == wake_ns)
        return;
    l->timer_ns = wake_ns;
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(wake_ns / NS_PER_S),
                                           .tv_nsec = (long)(wake_ns % NS_PER_S)}};
    timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void loop_turn(loop *l, uint64_t wake_ns)
{
    struct epoll_event events[EVENTS_PER_TURN];
    set_timer(l, wake_ns);
    int count = epoll_wait(l->epoll_fd, events, EVENTS_PER_TURN, -1);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr != NULL) {
            conn_handle(events[i].data.ptr, events[i].events);
            continue;
        }
        uint64_t expirations;
        (void)!read(l->timer_fd, &expirations, sizeof expirations);
        l->timer_ns = 0;
    }
}
