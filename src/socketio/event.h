/* Events on their way to a handler: jobs, the order in which they run, and the context a handler
 * sees.
 *
 * A job is made for each packet. It owns the packet's text, so that what a handler was given lives
 * while it waits. Handlers run as coroutines; with async_handlers off, one connection's one after
 * the other. All on the client's worker. */
#ifndef CARAFE_SOCKETIO_EVENT_H
#define CARAFE_SOCKETIO_EVENT_H

#include "socketio/server.h"

typedef enum sio_job_type {
    SIO_JOB_EVENT,
    SIO_JOB_CONNECT,
    SIO_JOB_DISCONNECT,
    SIO_JOB_ACK, /* an ack callback */
} sio_job_type;

typedef enum sio_ack_state {
    SIO_ACK_NOT_WANTED,
    SIO_ACK_WANTED,
    SIO_ACK_SENT,     /* or taken by sio_defer_ack */
} sio_ack_state;

struct sio_ctx {
    sio_server *server;
    sio_socket *socket;
    const char *event;   /* NUL-terminated */
    slice args_text;     /* JSON array, a NUL follows; data is NULL with binary values */
    json_t *args;        /* made when first asked for; owned */
    json_t *auth;        /* CONNECT: owned */
    slice id_digits;     /* of the ack the client wants */
    const char *reason;  /* DISCONNECT */
    carafe_request *request; /* made when first asked for */
    char *error;         /* set by sio_fail, sio_unpack */
    char *refusal;       /* CONNECT: sio_refuse was called; its message */
    json_t *refusal_data;
    uint8_t ack_state;   /* sio_ack_state */
    bool is_refused;
    bool is_connect;
    bool is_in_trigger;    /* a trigger_event runs: sio_dispatch may be called */
    bool found_no_handler; /* ... was called, and nothing ran */
};

typedef struct sio_job {
    list link; /* in client->jobs */
    sio_job_type type;
    uint32_t refs;
    sio_client *client; /* one reference */
    sio_packet packet;  /* slices into text, or into own_text */
    sio_ctx ctx;
    sio_handler *callback; /* ACK */
    void *callback_arg;
    char *own_text; /* copies for a packet that came with attachments */
    size_t alloc_size;
    char text[]; /* the packet, and a NUL */
} sio_job;

/* A job with a copy of a packet's text (NULL: none). NULL: no memory. */
sio_job *sio_job_new(sio_client *client, const void *text, size_t len);
void sio_job_unref(sio_job *job);

/* Copies what job->packet borrows from the decoder. CARAFE_ERR_NOMEM. */
int sio_job_own_packet(sio_job *job) MUST_USE;

/* Run or queue the handler for a decoded packet. They take references of their own. */
void sio_event_connect(sio_job *job, sio_socket *socket);
void sio_event_received(sio_job *job, sio_socket *socket);
void sio_event_acked(sio_job *job, sio_socket *socket);

/* The client has been asked for an answer: it is read on, should it be paused. */
void sio_event_expect_answer(sio_client *client);

/* Runs the disconnect handler, and buries the socket when it has ended. */
void sio_event_disconnect(sio_socket *socket, const char *reason);

/* Sends the ack of an event. `args` is a payload (borrowed), or `raw` its text when data is not
 * NULL. CARAFE_ERR_BAD_DATA, CARAFE_ERR_CLOSED, CARAFE_ERR_NOMEM. */
int sio_event_send_ack(sio_socket *socket, slice id_digits, const json_t *args, slice raw);

/* Checks arguments that are JSON text, unless they are the text `ctx` came with (may be NULL).
 * CARAFE_ERR_BAD_JSON, with a log line. */
int sio_raw_check(const sio_ctx *ctx, slice raw) MUST_USE;

#endif /* CARAFE_SOCKETIO_EVENT_H */
