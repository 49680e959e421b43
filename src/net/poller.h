/* Which sockets are ready: one epoll set a worker, itself watched by the worker's libuv loop.
 *
 * libuv's own poll handles cost 160 bytes and three extra system calls a connection; a nested set
 * costs one extra system call a loop turn, however many sockets are ready. */
#ifndef CARAFE_NET_POLLER_H
#define CARAFE_NET_POLLER_H

#include <stdbool.h>
#include <uv.h>

#include "base/error.h"

typedef struct net_source net_source;

/* Embedded in what owns the socket. Its memory must stay valid until the end of the turn in which
 * it was removed: an event of the same batch may still arrive. */
struct net_source {
    void (*on_ready)(net_source *source, bool can_read, bool can_write);
    int fd; /* -1 when there is none */
};

typedef struct net_poller {
    int epoll_fd;
    uv_poll_t handle;
} net_poller;

/* CARAFE_ERR_SYSTEM. */
int net_poller_init(net_poller *p, uv_loop_t *loop) MUST_USE;

/* Starts the asynchronous close of the libuv handle; the loop must run once more. */
void net_poller_close(net_poller *p);

/* Watches, changes what is waited for, and stops watching. An error or hang-up of the socket
 * arrives as can_read and can_write. CARAFE_ERR_SYSTEM. */
int net_poller_add(net_poller *p, net_source *source, bool read, bool write) MUST_USE;
void net_poller_change(net_poller *p, net_source *source, bool read, bool write);
void net_poller_remove(net_poller *p, net_source *source);

#endif /* CARAFE_NET_POLLER_H */
