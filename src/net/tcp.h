/* TCP (and Unix) sockets as transport, and the listeners they come from. */
#ifndef CARAFE_NET_TCP_H
#define CARAFE_NET_TCP_H

#include "net/conn.h"

/* Makes a connection of an accepted, non-blocking socket. Takes `fd` over, also on failure.
 * NULL: no memory, or the loop cannot watch it. On the worker. */
net_conn *net_tcp_new(worker *w, int fd, const net_addr *peer, const net_protocol *protocol,
                      void *user);

typedef struct net_listener net_listener;

/* An accepted socket on the worker that is to serve it; `fd` belongs to the callee. */
typedef void net_accept_fn(worker *w, int fd, const net_addr *peer, void *arg);

typedef struct net_listen_options {
    const char *host; /* name or address; NULL = every interface */
    int port;         /* 0 = one the system picks */
    int backlog;
} net_listen_options;

/* Binds and listens; nothing is accepted before net_listener_start(). Thread: any.
 * CARAFE_ERR_ADDRESS: unknown host, port in use, or not allowed; *error_text says which (static or
 * thread-local, valid until the next call). CARAFE_ERR_NOMEM. */
int net_listener_open(const net_listen_options *options, net_listener **out,
                      const char **error_text) MUST_USE;

/* The port it is bound to. Thread: any. */
int net_listener_port(const net_listener *l);

/* Accepts on `workers[0]` and hands the sockets to all workers in turn. On workers[0]. */
int net_listener_start(net_listener *l, worker **workers, unsigned worker_count,
                       net_accept_fn *on_accept, void *arg) MUST_USE;

/* Accepts no more; the socket is closed at the end of the turn and the listener freed. On
 * workers[0], or on any thread when it was never started. */
void net_listener_close(net_listener *l);

#endif /* CARAFE_NET_TCP_H */
