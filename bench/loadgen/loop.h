/* The event loop: one epoll descriptor, TCP connections to loopback, one timer. */
#ifndef LOADGEN_LOOP_H
#define LOADGEN_LOOP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

typedef struct conn conn;

/* Why a connection ended is said in words; `why` lives for the call. Handlers may write to and
 * close any connection, also their own. */
typedef struct conn_ops {
    void (*on_open)(conn *c);

    /* `len` > 0 bytes that have not been consumed yet. Returns how many of them are done with; the
     * rest comes again, in front of what arrives next. */
    size_t (*on_data)(conn *c, const uint8_t *data, size_t len);

    /* The peer or the system ended the connection; conn_close does not call this. */
    void (*on_close)(conn *c, const char *why);
} conn_ops;

typedef struct loop {
    int epoll_fd;
    int timer_fd;
    uint64_t timer_ns; /* when the timer is set to go off; 0 = it is off */
    uint8_t *scratch;  /* every read goes here; only unconsumed bytes are kept per connection */
} loop;

struct conn {
    loop *loop;
    const conn_ops *ops;
    int fd; /* -1 = closed */
    bool is_open;
    bool want_write; /* EPOLLOUT is armed */
    buf out;         /* written, but not taken by the kernel yet */
    buf rest;        /* read, but not consumed yet */
};

/* 0, or -1 with errno. */
int loop_init(loop *l);
void loop_deinit(loop *l);

/* Waits for events until `wake_ns` at most and handles one batch of them. */
void loop_turn(loop *l, uint64_t wake_ns);

/* Starts to connect to `server`; on_open or on_close follows. `source` is the own address, or
 * INADDR_ANY to leave the choice to the kernel. Returns 0 or -1 with errno: no descriptors left. */
int conn_open(conn *c, loop *l, const conn_ops *ops, const struct sockaddr_in *server,
              in_addr_t source);

/* Hands `c->out` to the kernel as far as it takes it. Called after every on_data and on_open; who
 * fills `out` at other times calls it himself. */
void conn_flush(conn *c);

/* Closes and frees the buffers; also for a connection that is closed or was never opened
 * (zeroed, with fd == -1). */
void conn_close(conn *c);

#endif /* LOADGEN_LOOP_H */
