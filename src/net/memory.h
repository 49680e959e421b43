/* A transport without a socket: tests feed bytes and read what came out. */
#ifndef CARAFE_NET_MEMORY_H
#define CARAFE_NET_MEMORY_H

#include "base/buf.h"
#include "net/conn.h"

typedef struct net_memory net_memory;

/* The test's end of a memory connection. Freed by net_memory_free(). */
struct net_memory {
    net_conn *conn;     /* NULL after the connection was freed */
    buf out;            /* what the server wrote */
    size_t out_max;     /* the transport takes no more than this many unread bytes (0: no limit) */
    bool is_shut_down;  /* the server has sent its last byte */
    bool is_closed;     /* the server has closed */
};

/* A connection as from `peer` (NULL: 127.0.0.1). NULL when there is no memory. On the worker. */
net_memory *net_memory_new(worker *w, const net_protocol *protocol, void *user);

/* Delivers bytes as if they had come in one read each of at most WORKER_READ_SIZE. */
void net_memory_feed(net_memory *m, const void *data, size_t len);

/* The client's end of stream, or reset. */
void net_memory_feed_end(net_memory *m);
void net_memory_reset(net_memory *m);

/* Drops what was read so far, which lets a limited transport take more. */
void net_memory_drain(net_memory *m);

/* Closes the connection when it is still there, and frees the handle. */
void net_memory_free(net_memory *m);

#endif /* CARAFE_NET_MEMORY_H */
