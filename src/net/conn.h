/* A byte-stream connection: input goes to its protocol, output is gathered and leaves at the end
 * of the loop turn.
 *
 * The way the bytes travel is a transport: TCP (tcp.h), or memory for tests (memory.h). What
 * they mean is a protocol: HTTP first, WebSocket after an upgrade. A connection and all functions
 * here belong to its worker.
 *
 *   OPEN --finish--> FINISHING --all written--> LINGERING --peer's end, or time--> CLOSED
 *     \-----------------------close----------------------------------------------/
 *
 * CLOSED: nothing is read or written any more; at the end of the turn on_close is called, then
 * the memory is freed. So no callback ever finds its caller's objects gone.
 */
#ifndef CARAFE_NET_CONN_H
#define CARAFE_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/list.h"
#include "base/shared.h"
#include "net/wheel.h"
#include "net/worker.h"

typedef struct net_conn net_conn;

/* Why a connection ended: one table for the log word. */
#define NET_CLOSE_TABLE(X)                                                                       \
    X(LOCAL, "closed by this side")                                                              \
    X(PEER, "closed by the peer")                                                                \
    X(RESET, "reset by the peer")                                                                \
    X(ERROR, "transport error")                                                                  \
    X(TIMEOUT, "time limit passed")                                                              \
    X(PROTOCOL, "protocol error")                                                                \
    X(SLOW_READER, "peer reads too slowly")                                                      \
    X(NOMEM, "out of memory")                                                                    \
    X(STOPPING, "server stopping")

#define NET_CLOSE_ENUM(name, text) NET_CLOSE_##name,
typedef enum net_close { NET_CLOSE_TABLE(NET_CLOSE_ENUM) } net_close;
#undef NET_CLOSE_ENUM

const char *net_close_text(net_close reason);

typedef struct net_protocol {
    /* `len` > 0 bytes came; the protocol may write into them and must take them all. They are
     * gone when it returns. */
    void (*on_data)(net_conn *c, uint8_t *data, size_t len);
    /* The peer has sent its last byte; it may still read. NULL: the connection is closed. */
    void (*on_eof)(net_conn *c);
    /* All output has left, after some had to wait or net_conn_want_drain(). May be NULL. */
    void (*on_drain)(net_conn *c);
    /* The timer of net_conn_set_timer() went off. May be NULL. */
    void (*on_timer)(net_conn *c);
    /* The end: once, at the end of a turn. `user` is to be freed here. */
    void (*on_close)(net_conn *c, net_close reason);
} net_protocol;

typedef struct net_transport {
    /* Writes what it can. Returns bytes taken, CARAFE_ERR_AGAIN, or another error. */
    ptrdiff_t (*write)(net_conn *c, const struct iovec *iov, int iov_count);
    /* Sends bytes of a file from `offset`, as write. */
    ptrdiff_t (*send_file)(net_conn *c, int fd, uint64_t offset, size_t len);
    /* What the loop should wait for. */
    void (*want)(net_conn *c, bool read, bool write);
    /* No more output will come. */
    void (*shutdown)(net_conn *c);
    /* Ends the transport: no event comes from it any more. */
    void (*close)(net_conn *c);
    /* Frees the connection's memory; the last call. */
    void (*release)(net_conn *c);
    /* Takes the socket out, for moving it to another worker; -1 when it has none. May be NULL. */
    int (*detach)(net_conn *c);
} net_transport;

/* An address in 20 bytes. */
typedef struct net_addr {
    uint8_t family; /* AF_INET, AF_INET6, AF_UNIX, or 0 when unknown */
    uint16_t port;  /* host byte order */
    uint8_t ip[16];
} net_addr;

enum { NET_ADDR_TEXT_SIZE = 48 };

/* Writes "127.0.0.1", "::1", "unix" or "unknown", and a NUL. */
void net_addr_format(const net_addr *addr, char dst[NET_ADDR_TEXT_SIZE]);

typedef enum net_state { NET_OPEN, NET_FINISHING, NET_LINGERING, NET_CLOSED } net_state;

/* A piece of output. It holds one reference to its owner. */
typedef struct net_chunk {
    shared *owner;
    const uint8_t *data;
    size_t len;
} net_chunk;

struct net_conn {
    const net_transport *transport;
    const net_protocol *protocol;
    void *user; /* the protocol's */
    worker *worker;
    list all_link;
    list work_link; /* in worker->dirty or worker->closing */
    wheel_timer timer;
    net_chunk *chunks;    /* ring-free array, from the worker's pool; NULL when empty */
    uint32_t chunks_size; /* bytes of the block behind `chunks` */
    uint32_t chunk_first; /* first one not fully written */
    uint32_t chunk_count; /* one past the last */
    uint32_t out_bytes;   /* in all chunks together */
    int file_fd;          /* file being sent behind the chunks, -1 when none; owned */
    uint8_t state;        /* net_state */
    uint8_t reason;       /* net_close, when CLOSED */
    bool is_blocked : 1;  /* the transport takes no more for now */
    bool is_paused : 1;   /* input is not wanted */
    bool is_eof : 1;      /* the peer has sent its last byte */
    bool wants_drain : 1;
    bool is_dirty : 1;    /* in worker->dirty */
    uint64_t file_offset;
    uint64_t file_left;
    net_addr peer;
};

/* Fills in the common part; for transports. The connection is in worker->conns afterwards. */
void net_conn_init(net_conn *c, worker *w, const net_transport *transport,
                   const net_protocol *protocol, void *user);

/* Transports: `len` bytes came in / the input ended / the transport failed / output may go on. */
void net_conn_input(net_conn *c, uint8_t *data, size_t len);
void net_conn_input_end(net_conn *c);
void net_conn_failed(net_conn *c, net_close reason);
void net_conn_writable(net_conn *c);

/* Queues a copy of the bytes. CARAFE_ERR_CLOSED: nothing can be sent any more; CARAFE_ERR_NOMEM,
 * CARAFE_ERR_TOO_LARGE (more than NET_OUT_BYTES_MAX would wait): the connection has been closed, as
 * its stream has a hole now. */
int net_conn_write(net_conn *c, const void *data, size_t len);

/* As net_conn_write, for several pieces. */
int net_conn_writev(net_conn *c, const struct iovec *iov, int iov_count);

/* Queues bytes inside `owner` without copying; takes a reference of its own. Errors as
 * net_conn_write. */
int net_conn_write_shared(net_conn *c, shared *owner, const uint8_t *data, size_t len);

/* Sends `len` bytes of a file behind all output queued so far; takes `fd` over, also on failure.
 * Nothing may be queued behind it until on_drain. CARAFE_ERR_CLOSED. */
int net_conn_send_file(net_conn *c, int fd, uint64_t offset, uint64_t len);

/* Asks for on_drain when all output queued so far has left (at once at the end of this turn when
 * there is none). */
void net_conn_want_drain(net_conn *c);

/* Bytes that wait to be written, a file's not counted. */
static inline size_t net_conn_out_bytes(const net_conn *c)
{
    return c->out_bytes;
}

static inline bool net_conn_is_open(const net_conn *c)
{
    return c->state == NET_OPEN;
}

/* Stops and starts reading. Bytes that are already in hand are still delivered. */
void net_conn_pause(net_conn *c);
void net_conn_resume(net_conn *c);

/* One timer a connection, of the current protocol. 0 disarms. */
void net_conn_set_timer(net_conn *c, uint64_t delay_ms);

/* Another protocol takes over (an upgrade); the old one's timer is disarmed. */
void net_conn_set_protocol(net_conn *c, const net_protocol *protocol, void *user);

/* Writes what is queued, then closes in order: our end first, then the peer's, within
 * NET_LINGER_MS, so that a peer that still sends gets our last bytes and no reset. on_data is not
 * called any more. */
void net_conn_finish(net_conn *c);

/* Closes now; output that has not left is lost. Harmless when closed. */
void net_conn_close(net_conn *c, net_close reason);

/* The worker's end of a turn: writes the output of all dirty connections; tells the protocols of
 * closed ones. True when more such work came up meanwhile. */
bool net_conns_end_turn(worker *w);

enum {
    NET_FINISH_MS = 30000,       /* how long the last output may take to leave */
    NET_LINGER_MS = 2000,        /* how long a finished connection waits for the peer's end */
    NET_OUT_BYTES_MAX = 1 << 30, /* one connection's queue, whatever the layers above allow */
};

#endif /* CARAFE_NET_CONN_H */
