/* The Engine.IO server: which requests are its own, and what becomes of them.
 *
 *   GET  without sid            a new session over long-polling     (polling.c)
 *   GET  with sid               a poll: waits for packets
 *   POST with sid               a payload of packets
 *   Upgrade without sid         a new session over WebSocket        (websocket.c)
 *   Upgrade with sid            a probe that may take the session over
 *
 * A session (session.c) lives on one worker, which its sid names; requests for it that arrive on
 * another worker's connection take their connection there first. */
#ifndef CARAFE_ENGINEIO_SERVER_H
#define CARAFE_ENGINEIO_SERVER_H

#include "app/app.h"
#include "base/map.h"
#include "carafe/engineio.h"
#include "engineio/config.h"

typedef struct eio_core eio_core;

/* What the layer above does. Called on the session's worker, from the loop, never from inside a
 * send or close. */
typedef struct eio_events {
    void (*on_open)(eio_socket *sock);
    /* The bytes may be written to, and are gone when this returns. Text is valid UTF-8. */
    void (*on_message)(eio_socket *sock, uint8_t *data, size_t len, bool is_binary);
    /* The session has ended. The socket lives on while it is referenced. */
    void (*on_close)(eio_socket *sock, const char *reason);
} eio_events;

/* The part of a server on one worker. */
typedef struct eio_shard {
    eio_core *core;
    worker *worker;
    map sessions; /* by sid */
    list all;     /* eio_socket.all_link, closed ones too until on_close was called */
    list closed;  /* wait for on_close at the end of the turn */
    list dirty;   /* polling sessions with a waiting poll and something to say */
    worker_task turn_task;
    bool is_turn_task_queued;
    uint32_t retry_count; /* api.c: sessions whose callbacks wait for a coroutine */
    buf scratch;
} eio_shard;

struct eio_core {
    app_extension ext; /* its callbacks go on to the hooks below */
    eio_config config;
    eio_events events;
    eio_shard *shards; /* one a worker, while the app runs */
    unsigned shard_count;
    void *owner; /* the server this is the core of */
    /* A GET below the path that is not Engine.IO's (the client's files). NULL: 404. */
    void (*on_other)(eio_core *core, http_request *req, slice rest);
    /* As app_extension, after the core's own part. May be NULL. */
    int (*on_start)(eio_core *core, worker *w);
    void (*on_stopping)(eio_core *core, worker *w);
    bool (*is_idle)(eio_core *core, worker *w);
    void (*on_stopped)(eio_core *core, worker *w);
};

/* Fills in a core from options, whose strings are copied. `default_path` has its slashes.
 * CARAFE_ERR_ARGUMENT, with a log line that names the option; CARAFE_ERR_NOMEM. */
int eio_core_init(eio_core *core, const eio_server_options *options, const char *default_path,
                  const eio_events *events) MUST_USE;
void eio_core_deinit(eio_core *core);

static inline eio_shard *eio_shard_of(const eio_core *core, const worker *w)
{
    return &core->shards[w->index];
}

/* What is asked for in the query of a request. */
typedef struct eio_query {
    bool is_polling;
    bool is_websocket;
    bool is_v4;      /* EIO is exactly "4" */
    bool has_sid;
    bool is_b64;     /* the client takes no binary frames */
    bool is_repeated; /* EIO, transport or sid is there more than once */
    slice sid;
} eio_query;

void eio_query_parse(slice query, eio_query *out);

/* Error answers of the protocol: {"code":N,"message":"..."}. */
typedef enum eio_error {
    EIO_UNKNOWN_TRANSPORT = 0,
    EIO_UNKNOWN_SID = 1,
    EIO_BAD_METHOD = 2,
    EIO_BAD_REQUEST = 3,
    EIO_FORBIDDEN = 4,
    EIO_BAD_VERSION = 5,
} eio_error;

/* Answers and frees the request; one log line, which `why` (or NULL) ends. */
void eio_refuse(eio_core *core, http_request *req, eio_error code, const char *why);

/* The same without a log line, when there is one already. */
void eio_answer_error(eio_core *core, http_request *req, eio_error code);

/* Answers 200 with a body and the headers that all answers of the server have. Errors as
 * http_respond: the client does not get the body then. */
int eio_answer(eio_core *core, http_request *req, const char *content_type, slice body);

/* Fills in the CORS headers of an answer, at most EIO_CORS_HEADERS_MAX; returns their number. */
enum { EIO_CORS_HEADERS_MAX = 3 };
size_t eio_cors_headers(const eio_core *core, const http_request *req, http_header *headers);

#endif /* CARAFE_ENGINEIO_SERVER_H */
