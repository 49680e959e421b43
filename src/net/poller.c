#include "net/poller.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "net/worker.h"

/* Events taken at once. More wait for the next turn, so that timers and mail get their share. */
enum { EVENT_BATCH_MAX = 256 };

static void on_epoll_ready(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    net_poller *p = handle->data;
    worker_update_now(worker_current());
    struct epoll_event batch[EVENT_BATCH_MAX];
    int count = epoll_wait(p->epoll_fd, batch, EVENT_BATCH_MAX, 0);
    for (int i = 0; i < count; i++) {
        net_source *source = batch[i].data.ptr;
        uint32_t mask = batch[i].events;
        bool is_broken = mask & (EPOLLERR | EPOLLHUP);
        if (source->fd >= 0)
            source->on_ready(source, mask & (EPOLLIN | EPOLLRDHUP) || is_broken,
                             mask & EPOLLOUT || is_broken);
    }
}

int net_poller_init(net_poller *p, uv_loop_t *loop)
{
    p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->epoll_fd < 0)
        return CARAFE_ERR_SYSTEM;
    if (uv_poll_init(loop, &p->handle, p->epoll_fd) < 0) {
        close(p->epoll_fd);
        return CARAFE_ERR_SYSTEM;
    }
    p->handle.data = p;
    uv_poll_start(&p->handle, UV_READABLE, on_epoll_ready);
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    net_poller *p = handle->data;
    close(p->epoll_fd);
    p->epoll_fd = -1;
}

void net_poller_close(net_poller *p)
{
    uv_close((uv_handle_t *)&p->handle, on_closed);
}

static struct epoll_event event_of(net_source *source, bool read, bool write)
{
    /* RDHUP with reading only: a paused reader must not spin on a half-closed peer. */
    uint32_t mask = (read ? EPOLLIN | EPOLLRDHUP : 0) | (write ? EPOLLOUT : 0);
    return (struct epoll_event){ .events = mask, .data.ptr = source };
}

int net_poller_add(net_poller *p, net_source *source, bool read, bool write)
{
    struct epoll_event event = event_of(source, read, write);
    return epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) == 0 ? 0 : CARAFE_ERR_SYSTEM;
}

void net_poller_change(net_poller *p, net_source *source, bool read, bool write)
{
    struct epoll_event event = event_of(source, read, write);
    epoll_ctl(p->epoll_fd, EPOLL_CTL_MOD, source->fd, &event);
}

void net_poller_remove(net_poller *p, net_source *source)
{
    epoll_ctl(p->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
}
