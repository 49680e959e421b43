/* The Socket.IO server from inside: what exists once a server, once a worker, and once a client.
 *
 *   sio_server ── handlers, options (fixed while it runs)
 *     └─ sio_shard, one a worker ── namespaces ── rooms
 *          └─ sio_client, one a connection ── sio_socket, one a namespace it joined
 *
 * A shard and all below it belong to its worker. Threads reach it through the worker's mailbox.
 *
 * A socket's life:
 *
 *   CONNECTING --accepted--> CONNECTED --either side, or the transport ends--> DISCONNECTING
 *        \--refused, or the transport ends--> GONE <--the disconnect handler ended--/
 *
 * CONNECTING: the connect handler runs; what is sent to the socket is held until the reply to its
 * CONNECT has gone out. DISCONNECTING: nothing is sent any more, its rooms can still be read.
 * GONE: in no table; the memory lives while a handler refers to it. */
#ifndef CARAFE_SOCKETIO_SERVER_H
#define CARAFE_SOCKETIO_SERVER_H

#include "carafe/socketio.h"
#include "engineio/session.h"
#include "socketio/ack.h"
#include "socketio/decoder.h"
#include "socketio/handlers.h"
#include "socketio/options.h"
#include "socketio/room.h"
#include "socketio/task.h"

typedef struct sio_client sio_client;
typedef struct sio_socket sio_socket;
typedef struct sio_ns sio_ns;
typedef struct sio_shard sio_shard;

struct sio_server {
    eio_core core;
    bool has_core;              /* it was tied to an app: the options are final */
    sio_server_options options; /* as given so far, with copies of what they point to */
    sio_config config;
    sio_handlers handlers;
    sio_shard *shards; /* one a worker, while the app runs */
    atomic_uint worker_count; /* 0 unless the shards of all workers are there */
    atomic_uint_least64_t next_ack_id;
    pthread_mutex_t early_lock;   /* guards the next two */
    sio_task_record *early_tasks; /* started before the server, in order */
    worker *task_worker;          /* takes tasks of other threads; NULL: not running */
};

struct sio_shard {
    sio_server *server;
    worker *worker;
    map namespaces; /* sio_ns by name */
    map sockets;    /* sio_socket by sid, all namespaces */
    uint64_t generation; /* of the last delivery that had to mark sockets */
    size_t job_count;    /* handlers that have begun and not ended */
    list deferred_acks;  /* sio_ack.link, under the lock of deferred.c */
    buf scratch;         /* packets to one client are encoded here */
    uint64_t unhandled_count; /* events without a handler */
    map unhandled_names;      /* those that were logged; the keys are their own objects */
};

/* A namespace on one worker. */
struct sio_ns {
    sio_shard *shard;
    char *name;
    sio_socket **sockets; /* all sockets in it, CONNECTING ones too */
    size_t socket_count;
    size_t socket_cap;
    size_t refs; /* sockets that point here, GONE ones too */
    map rooms;
    const sio_handler_table *table; /* of its own handlers; NULL when it has none */
};

typedef enum sio_socket_state {
    SIO_SOCKET_CONNECTING,
    SIO_SOCKET_CONNECTED,
    SIO_SOCKET_DISCONNECTING,
    SIO_SOCKET_GONE,
} sio_socket_state;

struct sio_socket {
    sio_client *client; /* one reference */
    sio_ns *ns;
    sio_socket *next; /* in client->sockets */
    uint64_t mark;    /* shard->generation of the last delivery that reached or skipped it */
    sio_room_list rooms;
    sio_ack_table acks;
    json_t *data;
    eio_message **held; /* CONNECTING: sent before the reply to CONNECT */
    size_t held_bytes;
    uint32_t held_count;
    uint32_t held_cap;
    uint32_t ns_slot; /* in ns->sockets */
    uint32_t refs;
    uint8_t state; /* sio_socket_state */
    char sid[SID_LEN + 1];
};

struct sio_client {
    eio_socket *eio; /* one reference */
    sio_shard *shard;
    sio_socket *sockets; /* not GONE ones */
    sio_decoder decoder;
    struct sio_connect_timer *connect_timer; /* until the first namespace is joined */
    list jobs;         /* sio_job.link: events that wait for their turn */
    uint32_t running;  /* handlers that have begun and not ended */
    uint32_t job_count; /* running and waiting ones */
    uint32_t refs;
    bool is_closed;
    bool is_paused;
    bool was_disconnected; /* the server ended a namespace: packets for it may be on their way */
};

/* ---- server.c ---- */

static inline sio_shard *sio_shard_of(const sio_server *server, const worker *w)
{
    return &server->shards[w->index];
}

/* How many workers can be reached, 0 when the server does not run. Thread: any. */
unsigned sio_server_worker_count(const sio_server *server);

/* ---- namespace.c ---- */

sio_ns *sio_shard_ns(sio_shard *shard, slice name);
/* The namespace when a client may join it, made when needed; NULL when it may not, or no memory. */
sio_ns *sio_shard_open_ns(sio_shard *shard, slice name);
sio_socket *sio_shard_socket(sio_shard *shard, const char *sid, const char *ns);

int sio_ns_add(sio_ns *ns, sio_socket *socket) MUST_USE;
void sio_ns_remove(sio_socket *socket);
void sio_ns_unref(sio_ns *ns);
void sio_ns_free(sio_ns *ns);

/* ---- client.c ---- */

extern const eio_events sio_eio_events;

sio_client *sio_client_ref(sio_client *client);
void sio_client_unref(sio_client *client);
sio_socket *sio_socket_ref(sio_socket *socket);
void sio_socket_unref(sio_socket *socket);

/* The client's socket in a namespace, or NULL. */
sio_socket *sio_client_socket(const sio_client *client, const sio_ns *ns);

/* The reply to CONNECT: accepted, or refused with a message and data (borrowed). */
void sio_socket_accept(sio_socket *socket);
void sio_socket_refuse(sio_socket *socket, const char *message, const json_t *data);

/* Ends the socket's stay: runs the disconnect handler, then leaves rooms and tables. */
void sio_socket_disconnect(sio_socket *socket, const char *reason);

/* As that, after telling the client. */
void sio_socket_kick(sio_socket *socket);

/* All namespaces of the connection, then the transport. */
void sio_client_kick(sio_client *client);

/* The last step of a disconnect, when its handler has ended. */
void sio_socket_bury(sio_socket *socket);

/* A protocol violation: one log line, and the connection ends with "parse error". */
void sio_client_violation(sio_client *client, const char *what);

/* Sends a message to one socket, or holds it while it is CONNECTING. */
int sio_socket_send(sio_socket *socket, eio_message *message);

/* Sends encoded text (without the Engine.IO type) and attachments to one socket. */
int sio_socket_send_text(sio_socket *socket, slice text, const sio_attachment_list *attachments);

/* ---- deferred.c ---- */

/* The shard's run is over: lets go of the sockets of acks that are not answered yet. */
void sio_deferred_drop(sio_shard *shard);

#endif /* CARAFE_SOCKETIO_SERVER_H */
