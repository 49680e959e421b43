/* Socket.IO: events, acknowledgements, rooms and namespaces.
 *
 * A handler is int fn(sio_ctx *ctx, void *arg) and returns SIO_OK or SIO_ERROR (any negative value
 * is an error, so "return sio_emit(...)" is fine). It runs as a coroutine on its client's worker, so it may wait (sio_sleep, sio_call, sio_task_join) without
 * holding up anybody. A `ctx` and all it returns live until the handler returns. sio_server_*
 * functions may be called from any thread, unless it is said otherwise.
 *
 * Payloads are Jansson values (payload.h). A function that takes one takes the reference over,
 * also when it fails; NULL is no argument. Options are C99 designated initialisers:
 *
 *   sio_emit(ctx, "news", sio_pack("{s:s}", "text", text), .to = "lobby", .skip_self = true);
 *
 * Sending returns 0, or a negative error, and then nothing was sent: CARAFE_ERR_BAD_DATA: the
 * payload cannot be encoded; CARAFE_ERR_ARGUMENT: an empty room or sid, a reserved event name (the
 * log names call and argument); CARAFE_ERR_CLOSED: the client is gone; CARAFE_ERR_NOT_FOUND: this
 * connection has not joined the namespace of .ns; CARAFE_ERR_TOO_MANY: the client owes
 * max_pending_acks answers; CARAFE_ERR_SLOW_READER: max_output_size; CARAFE_ERR_NOMEM. The last
 * four are about one client: sending to rooms or everybody succeeds whatever becomes of some. */
#ifndef CARAFE_SOCKETIO_H
#define CARAFE_SOCKETIO_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "carafe/app.h"
#include "carafe/engineio.h"
#include "carafe/error.h"
#include "carafe/payload.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SIO_OK = 0, SIO_ERROR = -1 };

typedef struct sio_server sio_server;
typedef struct sio_ctx sio_ctx;
typedef struct sio_task sio_task;
typedef struct sio_ack sio_ack;

typedef int sio_handler(sio_ctx *ctx, void *arg);

/* Why a client left, see sio_reason(). */
#define SIO_REASON_CLIENT_DISCONNECT "client namespace disconnect"
#define SIO_REASON_SERVER_DISCONNECT "server namespace disconnect"
#define SIO_REASON_PING_TIMEOUT "ping timeout"
#define SIO_REASON_TRANSPORT_CLOSE "transport close"
#define SIO_REASON_TRANSPORT_ERROR "transport error"
#define SIO_REASON_PARSE_ERROR "parse error"
#define SIO_REASON_SERVER_SHUTDOWN "server shutting down"

/* ---- the server ---- */

typedef struct sio_server_options {
    size_t size;
    EIO_SERVER_OPTIONS;
    const char *resource;          /* another name of .path */
    const char *namespaces;        /* a list: accepted besides those with handlers; "*" is any;
                                      "/" when NULL */
    sio_switch async_handlers;     /* the next event may start while a handler waits; on */
    bool always_connect;           /* answer CONNECT before the connect handler runs */
    sio_switch serve_client;       /* serve the browser's client below .path; on */
    const char *client_dir;        /* where the client's files are (socket.io.js, ...); looked for
                                      in node_modules/socket.io-client/dist when NULL */
    size_t max_attachments;        /* binary values in one packet; 10 when 0 */
    size_t max_namespaces;         /* joined by one connection; 64 when 0 */
    size_t max_rooms;              /* joined by one client; 1,000 when 0 */
    size_t max_pending_acks;       /* answers one client owes; 10,000 when 0 */
    size_t max_pending_events;     /* events of one connection whose handlers wait or have not
                                      started; reading pauses there (at four times as many while the
                                      client owes answers); 1,000 when 0 */
    sio_switch logger;             /* this layer's log lines; off */
} sio_server_options;

/* Makes a server that is served by `app`; with app NULL, sio_server_init_app does that later. It
 * lives until sio_server_free, or until the app is freed. NULL, with a log line that names the
 * option: one is out of range, the path is taken, the app runs, or there is no memory. */
CARAFE_API sio_server *sio_server_new_with(carafe_app *app, const sio_server_options *options);
#define sio_server_new(...) SIO_SERVER_NEW_(__VA_ARGS__, )
#define SIO_SERVER_NEW_(app, ...)                                                                \
    sio_server_new_with(app,                                                                     \
                        &(sio_server_options){ .size = sizeof(sio_server_options), __VA_ARGS__ })

/* Ties a server made without an app to one; options that are not zero replace those of new.
 * CARAFE_ERR_STATE: it has an app already, or the app runs; CARAFE_ERR_ARGUMENT: an option. */
CARAFE_API int sio_server_init_app_with(sio_server *sio, carafe_app *app,
                                        const sio_server_options *options);
#define sio_server_init_app(...) SIO_SERVER_INIT_APP_(__VA_ARGS__, )
#define SIO_SERVER_INIT_APP_(sio, app, ...)                                                      \
    sio_server_init_app_with(                                                                    \
        sio, app, &(sio_server_options){ .size = sizeof(sio_server_options), __VA_ARGS__ })

/* Stops the server when it runs, detaches it from its app and frees it. NULL is fine. Not from a
 * handler. */
CARAFE_API void sio_server_free(sio_server *sio);

typedef struct sio_on_options {
    size_t size;
    const char *ns;     /* "/" when NULL; "*" is any */
    void *arg;          /* passed to handler and guard */
    sio_handler *guard; /* runs first; when it returns non-zero the handler does not run, and a
                           client that connects is refused */
} sio_on_options;

/* Lets `handler` handle an event: "connect", "disconnect", "message", "json", any other name, or
 * "*" for what has no handler of its own (never connect and disconnect). Of several that fit one
 * runs: (ns, event), then (ns, "*"), ("*", event), ("*", "*"). Registering again replaces.
 * Before the server runs, on one thread.
 * CARAFE_ERR_ARGUMENT: no event, no handler, or a namespace that does not begin with "/";
 * CARAFE_ERR_STATE: the server runs; CARAFE_ERR_NOMEM. */
CARAFE_API int sio_server_on_with(sio_server *sio, const char *event, sio_handler *handler,
                                  const sio_on_options *options);
#define sio_server_on(...) SIO_SERVER_ON_(__VA_ARGS__, )
#define SIO_SERVER_ON_(sio, event, handler, ...)                                                 \
    sio_server_on_with(sio, event, handler,                                                      \
                       &(sio_on_options){ .size = sizeof(sio_on_options), __VA_ARGS__ })

/* Lets `handler` deal with the errors of a namespace's handlers (NULL: "/"; "*": any that has none
 * of its own), and of all that are left. It reads sio_error_message(), sio_event() and sio_args();
 * what it replies is acked, nothing when it returns SIO_OK without a reply. Errors as
 * sio_server_on. */
CARAFE_API int sio_server_on_error(sio_server *sio, const char *ns, sio_handler *handler,
                                   void *arg);
CARAFE_API int sio_server_on_error_default(sio_server *sio, sio_handler *handler, void *arg);

/* A namespace as a class: methods by event name; a function registered with sio_server_on for the
 * same event wins. */
typedef struct sio_method {
    const char *event; /* NULL ends the list; "*" catches the rest */
    sio_handler *handler;
} sio_method;

typedef struct sio_namespace_class {
    const char *name; /* "/chat"; "/" when NULL; "*" is any */
    sio_handler *on_connect;
    sio_handler *on_disconnect;
    const sio_method *methods;
    sio_handler *trigger_event; /* called for every event instead; sio_dispatch() goes on */
} sio_namespace_class;

/* Registers a class; `self` is passed to its handlers. `klass` must outlive the server. Errors as
 * sio_server_on. */
CARAFE_API int sio_server_on_namespace(sio_server *sio, const sio_namespace_class *klass,
                                       void *self);

/* In trigger_event: runs the handler the event would have had, and returns what it returned; SIO_OK
 * when there is none (and then the event is not acked). CARAFE_ERR_STATE elsewhere. */
CARAFE_API int sio_dispatch(sio_ctx *ctx);

/* Serves the server's app until sio_server_stop, SIGINT or SIGTERM; see carafe_run for options and
 * errors. CARAFE_ERR_ARGUMENT: the server has no app. */
CARAFE_API int sio_server_run_with(sio_server *sio, const carafe_run_options *options);
#define sio_server_run(...) SIO_SERVER_RUN_(__VA_ARGS__, )
#define SIO_SERVER_RUN_(sio, ...)                                                                \
    sio_server_run_with(sio,                                                                     \
                        &(carafe_run_options){ .size = sizeof(carafe_run_options), __VA_ARGS__ })

/* The same on threads of its own: returns once it listens. */
CARAFE_API int sio_server_start_with(sio_server *sio, const carafe_run_options *options);
#define sio_server_start(...) SIO_SERVER_START_(__VA_ARGS__, )
#define SIO_SERVER_START_(sio, ...)                                                              \
    sio_server_start_with(                                                                       \
        sio, &(carafe_run_options){ .size = sizeof(carafe_run_options), __VA_ARGS__ })

/* Waits until the server has stopped. Not from a handler or view (CARAFE_ERR_STATE). */
CARAFE_API int sio_server_wait(sio_server *sio);

/* Stops the server: clients are told ("server shutting down"), sleepers wake, handlers get time to
 * end. Returns at once. Thread: any, handlers too. */
CARAFE_API int sio_server_stop(sio_server *sio);

/* The port it listens on, 0 when it does not run. Thread: any. */
CARAFE_API int sio_server_port(sio_server *sio);

/* ---- sending ---- */

typedef struct sio_emit_options {
    size_t size;
    const char *ns;                /* the event's namespace ("/" in sio_server_*) when NULL */
    const char *to;                /* a room, or one client by its sid */
    const char *const *rooms;      /* NULL-terminated: all clients in any of them, once each */
    const char *except;            /* a room, or a client's sid, that gets nothing */
    const char *const *except_rooms; /* NULL-terminated: none of the clients in any of them */
    bool broadcast;                /* in a handler: all clients of the namespace */
    bool skip_self;                /* in a handler: not to the sender */
    const char *skip_sid;          /* not to this client */
    const char *const *skip_sids;  /* NULL-terminated: not to these clients */
    sio_handler *callback;         /* called for each answer, with it in sio_args(), as an event of
                                      the client that answers */
    void *callback_arg;
    bool json;          /* sio_send: event "json" instead of "message" */
    bool ignore_queue;  /* clients of this process only: without a message queue, all there are */
    bool volatile_;     /* dropped for clients that cannot take it right now */
    sio_switch compress; /* where compression was negotiated (it is not yet); on */
} sio_emit_options;

/* Sends an event: to the sender alone, or as .to, .rooms or .broadcast say. In handlers. */
CARAFE_API int sio_emit_with(sio_ctx *ctx, const char *event, json_t *data,
                             const sio_emit_options *options);
#define sio_emit(...) SIO_EMIT_(__VA_ARGS__, )
#define SIO_EMIT_(ctx, event, data, ...)                                                         \
    sio_emit_with(ctx, event, data,                                                              \
                  &(sio_emit_options){ .size = sizeof(sio_emit_options), __VA_ARGS__ })

/* Sends the event "message", or "json" with .json. */
CARAFE_API int sio_send_with(sio_ctx *ctx, json_t *data, const sio_emit_options *options);
#define sio_send(...) SIO_SEND_(__VA_ARGS__, )
#define SIO_SEND_(ctx, data, ...)                                                                \
    sio_send_with(ctx, data,                                                                     \
                  &(sio_emit_options){ .size = sizeof(sio_emit_options), __VA_ARGS__ })

/* Sends arguments that are JSON text already: an array, as sio_args_raw gives it. The text is
 * checked unless it is the very text sio_args_raw returned. CARAFE_ERR_BAD_JSON. */
CARAFE_API int sio_emit_raw_with(sio_ctx *ctx, const char *event, const char *args, size_t len,
                                 const sio_emit_options *options);
#define sio_emit_raw(...) SIO_EMIT_RAW_(__VA_ARGS__, )
#define SIO_EMIT_RAW_(ctx, event, args, len, ...)                                                \
    sio_emit_raw_with(ctx, event, args, len,                                                     \
                      &(sio_emit_options){ .size = sizeof(sio_emit_options), __VA_ARGS__ })

typedef struct sio_call_options {
    size_t size;
    const char *ns;
    const char *to;  /* a client's sid; the sender when NULL (needed in sio_server_call) */
    double timeout;  /* seconds; 60 when 0 */
} sio_call_options;

/* Sends an event to one client and waits for its answer: a new reference to the array of the
 * answer's arguments. NULL: no answer in time (.timeout is at most 86,400), the client is gone, or
 * the event could not be sent. Yields. In handlers; in connect the sender cannot answer yet. */
CARAFE_API json_t *sio_call_with(sio_ctx *ctx, const char *event, json_t *data,
                                 const sio_call_options *options);
#define sio_call(...) SIO_CALL_(__VA_ARGS__, )
#define SIO_CALL_(ctx, event, data, ...)                                                         \
    sio_call_with(ctx, event, data,                                                              \
                  &(sio_call_options){ .size = sizeof(sio_call_options), __VA_ARGS__ })

/* The same from anywhere: views, tasks, other threads. To everybody unless .to or .rooms say
 * otherwise. .broadcast and .skip_self have no meaning here. */
CARAFE_API int sio_server_emit_with(sio_server *sio, const char *event, json_t *data,
                                    const sio_emit_options *options);
#define sio_server_emit(...) SIO_SERVER_EMIT_(__VA_ARGS__, )
#define SIO_SERVER_EMIT_(sio, event, data, ...)                                                  \
    sio_server_emit_with(sio, event, data,                                                       \
                         &(sio_emit_options){ .size = sizeof(sio_emit_options), __VA_ARGS__ })

/* The event "message", or "json" with .json. */
CARAFE_API int sio_server_send_with(sio_server *sio, json_t *data,
                                    const sio_emit_options *options);
#define sio_server_send(...) SIO_SERVER_SEND_(__VA_ARGS__, )
#define SIO_SERVER_SEND_(sio, data, ...)                                                         \
    sio_server_send_with(sio, data,                                                              \
                         &(sio_emit_options){ .size = sizeof(sio_emit_options), __VA_ARGS__ })

/* Waits as a coroutine in views and tasks, and blocks other threads. Yields. */
CARAFE_API json_t *sio_server_call_with(sio_server *sio, const char *event, json_t *data,
                                        const sio_call_options *options);
#define sio_server_call(...) SIO_SERVER_CALL_(__VA_ARGS__, )
#define SIO_SERVER_CALL_(sio, event, data, ...)                                                  \
    sio_server_call_with(sio, event, data,                                                       \
                         &(sio_call_options){ .size = sizeof(sio_call_options), __VA_ARGS__ })

/* ---- acknowledgements ---- */

/* Sets the arguments of the event's ack: sio_reply(ctx, "s i", "sum", 3) by Jansson's formats; ""
 * is none. The ack leaves at once; a second reply is CARAFE_ERR_STATE. 0 and no effect when the
 * client asked for no ack. CARAFE_ERR_BAD_DATA, and the event is not acked yet. */
CARAFE_API int sio_reply(sio_ctx *ctx, const char *fmt, ...);

/* The same with an array of arguments (stolen), and with JSON text (see sio_emit_raw). */
CARAFE_API int sio_reply_json(sio_ctx *ctx, json_t *args);
CARAFE_API int sio_reply_raw(sio_ctx *ctx, const char *args, size_t len);

/* True when the client waits for an ack. */
CARAFE_API bool sio_wants_ack(sio_ctx *ctx);

/* Takes the ack, to be answered later by sio_ack_reply, or never by sio_ack_free; each frees it.
 * NULL: no ack was asked for, or it has been sent, or there is no memory. */
CARAFE_API sio_ack *sio_defer_ack(sio_ctx *ctx);

/* Answer a deferred ack, from any thread. CARAFE_ERR_CLOSED: the client is gone. */
CARAFE_API int sio_ack_reply(sio_ack *ack, const char *fmt, ...);
CARAFE_API int sio_ack_reply_json(sio_ack *ack, json_t *args);
CARAFE_API void sio_ack_free(sio_ack *ack);

/* ---- the event ---- */

/* The client's id in this namespace, the namespace, and the event's name ("ack" in an ack
 * callback). */
CARAFE_API const char *sio_sid(sio_ctx *ctx);
CARAFE_API const char *sio_namespace(sio_ctx *ctx);
CARAFE_API const char *sio_event(sio_ctx *ctx);

/* The arguments as an array, borrowed; in an ack callback the answer's. NULL: no memory. */
CARAFE_API json_t *sio_args(sio_ctx *ctx);

/* The arguments as JSON text, an array, with its length in bytes; a NUL follows. NULL when there
 * are binary values, and in connect, disconnect and ack callbacks. */
CARAFE_API const char *sio_args_raw(sio_ctx *ctx, size_t *len);

/* Unpacks the arguments in order by Jansson's formats: sio_unpack(ctx, "s i", &name, &age). What it
 * gives is borrowed. CARAFE_ERR_UNPACK: one is missing, of another type, or too large for an int
 * ("i"; "I" takes 64 bits); the error is set, as by sio_fail: "args[0].room: expected string, got
 * number", and nothing was stored. Further arguments are ignored. "F" takes any number; "f" no
 * integer, which is what JavaScript sends for 2.0. */
CARAFE_API int sio_unpack(sio_ctx *ctx, const char *fmt, ...);

/* In connect: the object the client sent to authenticate itself, empty when it sent none. Borrowed.
 * NULL elsewhere, and when there is no memory. */
CARAFE_API json_t *sio_auth(sio_ctx *ctx);

/* In disconnect: one of SIO_REASON_*, static. NULL elsewhere. */
CARAFE_API const char *sio_reason(sio_ctx *ctx);

/* In connect: refuses the client with a message ("Connection rejected by server" when NULL) and
 * data (may be NULL; stolen). Returns SIO_ERROR: "return sio_refuse(...)". */
CARAFE_API int sio_refuse(sio_ctx *ctx, const char *message, json_t *data);

/* Sets the error's text for the error handler and the log. Returns SIO_ERROR. */
CARAFE_API int sio_fail(sio_ctx *ctx, const char *fmt, ...) CARAFE_PRINTF(2, 3);

/* In error handlers: the text of the error. Never NULL there. */
CARAFE_API const char *sio_error_message(sio_ctx *ctx);

/* A free object per client and namespace, which lives as long as the client in it. Borrowed. */
CARAFE_API json_t *sio_data(sio_ctx *ctx);

/* "polling" or "websocket". */
CARAFE_API const char *sio_transport(sio_ctx *ctx);

/* The handshake's request, for its headers (those about the transport are not kept), query and
 * address; its carafe_g() is empty at the start of each event. NULL: no memory. */
CARAFE_API carafe_request *sio_request(sio_ctx *ctx);

/* The server the event came to. */
CARAFE_API sio_server *sio_server_of(sio_ctx *ctx);

/* ---- rooms ---- */

typedef struct sio_room_options {
    size_t size;
    const char *sid; /* the client; the sender when NULL */
    const char *ns;  /* the event's namespace when NULL */
} sio_room_options;

/* Joins or leaves a room. Yields when .sid lives on another worker. 0 too when nothing changes. CARAFE_ERR_ARGUMENT: an empty room;
 * CARAFE_ERR_NOT_FOUND: no such client; CARAFE_ERR_TOO_MANY: max_rooms; CARAFE_ERR_NOMEM. */
CARAFE_API int sio_join_room_with(sio_ctx *ctx, const char *room, const sio_room_options *options);
#define sio_join_room(...) SIO_JOIN_ROOM_(__VA_ARGS__, )
#define SIO_JOIN_ROOM_(ctx, room, ...)                                                           \
    sio_join_room_with(ctx, room,                                                                \
                       &(sio_room_options){ .size = sizeof(sio_room_options), __VA_ARGS__ })
CARAFE_API int sio_leave_room_with(sio_ctx *ctx, const char *room,
                                   const sio_room_options *options);
#define sio_leave_room(...) SIO_LEAVE_ROOM_(__VA_ARGS__, )
#define SIO_LEAVE_ROOM_(ctx, room, ...)                                                          \
    sio_leave_room_with(ctx, room,                                                               \
                        &(sio_room_options){ .size = sizeof(sio_room_options), __VA_ARGS__ })

/* Takes all clients out of a room (.sid has no meaning). */
CARAFE_API int sio_close_room_with(sio_ctx *ctx, const char *room,
                                   const sio_room_options *options);
#define sio_close_room(...) SIO_CLOSE_ROOM_(__VA_ARGS__, )
#define SIO_CLOSE_ROOM_(ctx, room, ...)                                                          \
    sio_close_room_with(ctx, room,                                                               \
                        &(sio_room_options){ .size = sizeof(sio_room_options), __VA_ARGS__ })

/* The rooms of a client, its own (named by its sid) first: a new array of strings. NULL: no
 * memory. */
CARAFE_API json_t *sio_rooms_with(sio_ctx *ctx, const sio_room_options *options);
#define sio_rooms(...) SIO_ROOMS_(__VA_ARGS__, )
#define SIO_ROOMS_(ctx, ...)                                                                     \
    sio_rooms_with(ctx, &(sio_room_options){ .size = sizeof(sio_room_options), __VA_ARGS__ })

/* The same from anywhere. ns NULL is "/". sio_server_rooms is NULL when the client is unknown. */
CARAFE_API int sio_server_enter_room(sio_server *sio, const char *sid, const char *room,
                                     const char *ns);
CARAFE_API int sio_server_leave_room(sio_server *sio, const char *sid, const char *room,
                                     const char *ns);
CARAFE_API int sio_server_close_room(sio_server *sio, const char *room, const char *ns);
CARAFE_API json_t *sio_server_rooms(sio_server *sio, const char *sid, const char *ns);
CARAFE_API bool sio_server_is_connected(sio_server *sio, const char *sid, const char *ns);

/* The clients in a room, or in the namespace when room is NULL: a new array of their sids. */
CARAFE_API json_t *sio_server_participants(sio_server *sio, const char *room, const char *ns);

/* ---- disconnecting ---- */

typedef struct sio_disconnect_options {
    size_t size;
    const char *sid; /* the client; the sender when NULL */
    const char *ns;
    bool close; /* ends the whole connection, not only the namespace */
} sio_disconnect_options;

/* Ends a client's stay in the namespace; what was emitted before reaches it first. Yields when .sid
 * lives on another worker. CARAFE_ERR_NOT_FOUND: no such client. */
CARAFE_API int sio_disconnect_with(sio_ctx *ctx, const sio_disconnect_options *options);
#define sio_disconnect(...) SIO_DISCONNECT_(__VA_ARGS__, )
#define SIO_DISCONNECT_(ctx, ...)                                                                \
    sio_disconnect_with(                                                                         \
        ctx, &(sio_disconnect_options){ .size = sizeof(sio_disconnect_options), __VA_ARGS__ })
CARAFE_API int sio_server_disconnect(sio_server *sio, const char *sid, const char *ns);

/* ---- waiting and tasks ---- */

/* Waits: as a coroutine in handlers, views and tasks, blocking in other threads. Yields. 0, or, not
 * in other threads, CARAFE_ERR_STOPPING when the server is stopping, so that an endless task can
 * end. CARAFE_ERR_ARGUMENT: negative, or more than 1e9 seconds. */
CARAFE_API int sio_sleep(double seconds);

/* Runs fn(arg) as a coroutine: on the worker that starts it, on the first one when started from
 * elsewhere; when the server does not run yet, as soon as it does. NULL: no memory, or it stops. A
 * task that nobody joins frees itself. */
CARAFE_API sio_task *sio_server_start_background_task(sio_server *sio, void (*fn)(void *arg),
                                                      void *arg);

/* Waits until the task has ended, and frees it: once a task, before the server is freed. Yields. */
CARAFE_API int sio_task_join(sio_task *task);

#ifdef __cplusplus
}
#endif

#endif /* CARAFE_SOCKETIO_H */
