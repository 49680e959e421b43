/* An Engine.IO session: one client, whatever transport carries it at the moment.
 *
 *   OPEN --eio_socket_close--> CLOSING --all sent, or no poll in 30 s--> CLOSED
 *     \--transport ended, ping timeout, violation, slow reader---------> CLOSED
 *
 * CLOSED: nothing is sent or received any more; events.on_close is called at the end of the turn,
 * then the session's own reference goes. The upgrade is a state of its own beside this one:
 *
 *   NONE --2probe--> PROBED --5--> (transport is WebSocket now)     the probe ending: back to NONE
 *
 * Heartbeat: `timer` is the next ping, or the pong that must come before it goes off.
 *
 * All on the session's worker. */
#ifndef CARAFE_ENGINEIO_SESSION_H
#define CARAFE_ENGINEIO_SESSION_H

#include <sys/uio.h>

#include "base/random.h"
#include "engineio/message.h"
#include "engineio/server.h"
#include "ws/conn.h"

typedef enum eio_state { EIO_SOCKET_OPEN, EIO_SOCKET_CLOSING, EIO_SOCKET_CLOSED } eio_state;

/* A WebSocket that may take the session over. Exists during an upgrade only. */
typedef struct eio_probe {
    ws_conn *ws;
    eio_socket *sock;  /* NULL: the session has ended meanwhile */
    wheel_timer timer; /* upgrade_timeout */
    bool is_probed;    /* 2probe came and was answered */
} eio_probe;

struct eio_socket {
    eio_shard *shard;
    list all_link;
    list work_link; /* in shard->closed or shard->dirty */
    wheel_timer timer;
    ws_conn *ws;             /* the transport; NULL: polling, or closed */
    http_request *poll;      /* the waiting GET */
    http_request *post;      /* a POST that is read on when the session is no longer paused */
    eio_probe *probe;
    buf pending;             /* polling: the payload of the next answer */
    app_handshake *handshake;
    carafe_request *request; /* made when first asked for */
    void *user;              /* of the layer above */
    const char *reason;      /* CLOSED: why */
    uint32_t refs;
    uint8_t state; /* eio_state */
    bool is_websocket : 1;
    bool is_posting : 1;  /* a POST is being read */
    bool is_pong_due : 1; /* a ping was sent; timer is the pong's */
    bool is_paused : 1;
    bool is_b64 : 1;
    char sid[SID_LEN + 1];
};

/* Why a session ended; Node's words. */
#define EIO_REASON_CLOSE "transport close"
#define EIO_REASON_ERROR "transport error"
#define EIO_REASON_PARSE "parse error"
#define EIO_REASON_TIMEOUT "ping timeout"
#define EIO_REASON_FORCED "forced close"
#define EIO_REASON_SHUTDOWN "server shutting down"

enum { EIO_CLOSE_WAIT_MS = 30 * 1000 }; /* a closing session's wait for a poll */

/* Makes a session for a handshake; it is in the shard's table, without a transport yet. NULL: no
 * memory or entropy. */
eio_socket *eio_socket_new(eio_shard *shard, const http_request *req, const eio_query *query);

/* Takes back a session whose handshake failed; nobody has heard of it. */
void eio_socket_discard(eio_socket *sock);

/* The session begins: heartbeat, and events.on_open. */
void eio_socket_opened(eio_socket *sock);

/* Writes the OPEN packet's JSON behind '0'. CARAFE_ERR_NOMEM. */
int eio_socket_open_packet(const eio_socket *sock, buf *out) MUST_USE;

eio_socket *eio_socket_ref(eio_socket *sock);
void eio_socket_unref(eio_socket *sock);

/* The session with that id on this shard, or NULL. */
eio_socket *eio_shard_find(const eio_shard *shard, slice sid);

/* Sends one packet made of several pieces, copied; `digit` is its type's, or 0 for binary.
 * CARAFE_ERR_CLOSED; CARAFE_ERR_SLOW_READER and CARAFE_ERR_NOMEM: the session is closed. */
int eio_socket_send(eio_socket *sock, char digit, const struct iovec *iov, int iov_count);

/* Sends a shared message; takes a reference of its own. Errors as eio_socket_send. */
int eio_socket_send_message(eio_socket *sock, eio_message *message);

/* True when a message would leave at once (volatile messages are dropped otherwise). */
bool eio_socket_is_writable(const eio_socket *sock);

/* Stops and starts the flow of messages from the client. */
void eio_socket_pause(eio_socket *sock);
void eio_socket_resume(eio_socket *sock);

/* Ends the session when all that was sent has left. `reason` is static. */
void eio_socket_close(eio_socket *sock, const char *reason);

/* Ends the session now. */
void eio_socket_end(eio_socket *sock, const char *reason);

/* One packet came over the current transport. False: no more are wanted, as the session has ended
 * or is closing; what broke the protocol (EIO_REASON_PARSE) has been logged. */
bool eio_socket_received(eio_socket *sock, eio_packet *packet);

/* Answers the waiting poll at the end of this turn. */
void eio_socket_mark_dirty(eio_socket *sock);

/* polling.c */
void eio_polling_handshake(eio_core *core, http_request *req, const eio_query *query);
void eio_polling_request(eio_socket *sock, http_request *req);
bool eio_polling_begin_post(eio_core *core, http_request *req, eio_socket *sock);
void eio_polling_flush(eio_socket *sock);
void eio_polling_release(eio_socket *sock, slice last_packet);
void eio_polling_release_poll(eio_socket *sock, slice last_packet);
void eio_polling_resume(eio_socket *sock);

/* websocket.c */
void eio_websocket_handshake(eio_core *core, http_request *req, const eio_query *query);
void eio_websocket_probe(eio_socket *sock, http_request *req);
void eio_probe_end(eio_probe *probe);
void eio_probe_leave(eio_probe *probe);

#endif /* CARAFE_ENGINEIO_SESSION_H */
