/* Sending an event to one client, a room, or everybody, on all workers.
 *
 * An event is encoded once, into an outgoing message that all recipients share. On the sender's
 * worker it is delivered at once; to other workers goes a copy of the address with references to
 * the same bytes. */
#ifndef CARAFE_SOCKETIO_EMIT_H
#define CARAFE_SOCKETIO_EMIT_H

#include "socketio/server.h"

/* What is sent. */
typedef struct sio_content {
    const char *event;
    const json_t *payload; /* borrowed */
    slice raw;             /* instead of it: checked JSON text of the arguments */
} sio_content;

/* Who gets it, and what happens with answers. Lists are NULL-terminated, all is borrowed. */
typedef struct sio_address {
    const char *ns;
    const char *to;                 /* a room or sid; NULL and rooms NULL: everybody */
    const char *const *rooms;
    const char *except;             /* a room or sid */
    const char *const *except_rooms;
    const char *skip_self;          /* a sid, or NULL; so are the next two */
    const char *skip_sid;
    const char *const *skip_sids;
    bool is_volatile;
    bool has_ack;                   /* `ack` is to be registered for each recipient */
    sio_ack_entry ack;
} sio_address;

/* Encodes and sends to all who are addressed, on all workers. Thread: any.
 * CARAFE_ERR_BAD_DATA, CARAFE_ERR_NOMEM: nothing was sent. */
int sio_emit_to(sio_server *server, const sio_content *content, sio_address *address) MUST_USE;

/* Encodes and sends to one socket of this worker; `ack` may be NULL. Errors as sio_emit_to, and
 * CARAFE_ERR_CLOSED, CARAFE_ERR_TOO_MANY (open acks). */
int sio_emit_to_socket(sio_socket *socket, const sio_content *content, const sio_ack_entry *ack,
                       bool is_volatile) MUST_USE;

#endif /* CARAFE_SOCKETIO_EMIT_H */
