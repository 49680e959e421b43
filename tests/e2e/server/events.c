/* The events of "/", but for those in emits.c. Most take what they do from their arguments, so that a test says it all. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

const char *member(json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ---- sending back ---- */

static int on_echo(sio_ctx *ctx, void *arg)
{
    (void)arg;
    if (sio_wants_ack(ctx))
        return sio_reply_json(ctx, json_incref(sio_args(ctx)));
    return sio_emit(ctx, "echo", sio_tuple_of(json_incref(sio_args(ctx))));
}

/* The same without a JSON tree. */
static int on_raw(sio_ctx *ctx, void *arg)
{
    (void)arg;
    size_t len;
    const char *text = sio_args_raw(ctx, &len);
    if (!text)
        return sio_fail(ctx, "binary values");
    return sio_wants_ack(ctx) ? sio_reply_raw(ctx, text, len) : sio_emit_raw(ctx, "raw", text, len);
}

static int on_message(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_send(ctx, json_incref(json_array_get(sio_args(ctx), 0)));
}

static int on_json(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_send(ctx, json_incref(json_array_get(sio_args(ctx), 0)), .json = true);
}

static int on_sum(sio_ctx *ctx, void *arg)
{
    int a, b;
    (void)arg;
    if (sio_unpack(ctx, "i i", &a, &b) < 0)
        return SIO_ERROR;
    return sio_reply(ctx, "i", a + b);
}

static int on_bytes(sio_ctx *ctx, void *arg)
{
    int len;
    (void)arg;
    if (sio_unpack(ctx, "i", &len) < 0)
        return SIO_ERROR;
    unsigned char *bytes = malloc((size_t)len + 1);
    if (!bytes)
        return sio_fail(ctx, "no memory");
    for (int i = 0; i < len; i++)
        bytes[i] = (unsigned char)(i % 251);
    json_t *value = sio_binary(bytes, (size_t)len);
    free(bytes);
    return sio_reply(ctx, "s {s:o}", "bytes", "nested", value);
}

/* How many bytes a binary argument has; -1 for one that is not binary. */
static int on_size(sio_ctx *ctx, void *arg)
{
    size_t len = 0;
    (void)arg;
    const void *bytes = sio_bytes(json_array_get(sio_args(ctx), 0), &len);
    return sio_reply(ctx, "I", bytes ? (json_int_t)len : (json_int_t)-1);
}

/* ---- acknowledgements ---- */

static int on_reply_none(sio_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return SIO_OK;
}

static int on_reply_many(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_reply(ctx, "s i {s:b} n o", "text", 7, "yes", 1, sio_binary("\x00\xff", 2));
}

static int on_reply_twice(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_reply(ctx, "s", "first");
    return sio_emit(ctx, "second reply", json_integer(sio_reply(ctx, "s", "second")));
}

/* Answers from another thread, after the handler has returned. */
static void *answer_later(void *arg)
{
    sio_ack *ack = arg;
    sio_sleep(0.02);
    sio_ack_reply(ack, "s i", "later", 1);
    return NULL;
}

static int on_reply_later(sio_ctx *ctx, void *arg)
{
    pthread_t thread;
    (void)arg;
    sio_ack *ack = sio_defer_ack(ctx);
    if (!ack || pthread_create(&thread, NULL, answer_later, ack) != 0) {
        sio_ack_free(ack);
        return sio_fail(ctx, "cannot answer later");
    }
    pthread_detach(thread);
    return SIO_OK;
}

static int on_reply_never(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_ack_free(sio_defer_ack(ctx));
    return SIO_OK;
}

/* ---- rooms ---- */

/* { room, sid, ns } of another client, or { room } of the sender. */
static int on_join(sio_ctx *ctx, void *arg)
{
    json_t *what;
    (void)arg;
    if (sio_unpack(ctx, "o", &what) < 0)
        return SIO_ERROR;
    return sio_reply(ctx, "i",
                     sio_join_room(ctx, member(what, "room"), .sid = member(what, "sid"),
                                   .ns = member(what, "ns")));
}

static int on_leave(sio_ctx *ctx, void *arg)
{
    json_t *what;
    (void)arg;
    if (sio_unpack(ctx, "o", &what) < 0)
        return SIO_ERROR;
    return sio_reply(ctx, "i",
                     sio_leave_room(ctx, member(what, "room"), .sid = member(what, "sid"),
                                    .ns = member(what, "ns")));
}

static int on_close_room(sio_ctx *ctx, void *arg)
{
    const char *room;
    (void)arg;
    if (sio_unpack(ctx, "s", &room) < 0)
        return SIO_ERROR;
    return sio_reply(ctx, "i", sio_close_room(ctx, room));
}

static int on_rooms(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_reply(ctx, "o", sio_rooms(ctx));
}

static int on_members(sio_ctx *ctx, void *arg)
{
    const char *room;
    (void)arg;
    if (sio_unpack(ctx, "s", &room) < 0)
        return SIO_ERROR;
    return sio_reply(ctx, "o", sio_server_participants(sio_server_of(ctx), room, NULL));
}

/* ---- the client ---- */

static int on_connect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    json_t *auth = sio_auth(ctx);
    return sio_emit(ctx, "welcome",
                    sio_pack("{s:s, s:O, s:s}", "sid", sio_sid(ctx), "auth",
                             auth ? auth : json_null(), "transport", sio_transport(ctx)));
}

static int on_whoami(sio_ctx *ctx, void *arg)
{
    (void)arg;
    carafe_request *req = sio_request(ctx);
    const char *flavour = carafe_query(req, "flavour");
    const char *colour = carafe_header(req, "x-colour");
    return sio_reply(ctx, "{s:s, s:s, s:s?, s:s?, s:s}", "sid", sio_sid(ctx), "transport",
                     sio_transport(ctx), "flavour", flavour, "colour", colour, "address",
                     carafe_remote_addr(req));
}

/* remember(value) keeps it, recall() gives it back. */
static int on_remember(sio_ctx *ctx, void *arg)
{
    (void)arg;
    json_object_set(sio_data(ctx), "kept", json_array_get(sio_args(ctx), 0));
    return SIO_OK;
}

static int on_recall(sio_ctx *ctx, void *arg)
{
    (void)arg;
    json_t *kept = json_object_get(sio_data(ctx), "kept");
    return sio_reply(ctx, "O", kept ? kept : json_null());
}

/* disconnect({ sid, ns, close }): what was emitted before arrives first. */
static int on_disconnect_order(sio_ctx *ctx, void *arg)
{
    json_t *what;
    (void)arg;
    if (sio_unpack(ctx, "o", &what) < 0)
        return SIO_ERROR;
    if (!member(what, "sid"))
        sio_emit(ctx, "last words", NULL);
    int error = sio_disconnect(ctx, .sid = member(what, "sid"), .ns = member(what, "ns"),
                               .close = json_is_true(json_object_get(what, "close")));
    return sio_reply(ctx, "i", error);
}

static int on_server_disconnect(sio_ctx *ctx, void *arg)
{
    const char *sid;
    (void)arg;
    if (sio_unpack(ctx, "s", &sid) < 0)
        return SIO_ERROR;
    return sio_reply(ctx, "i", sio_server_disconnect(sio_server_of(ctx), sid, NULL));
}

/* ---- errors ---- */

static int on_fail(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_fail(ctx, "failed on purpose");
}

static int on_error(sio_ctx *ctx, void *arg)
{
    return sio_reply(ctx, "{s:s, s:s, s:s}", "handler", (const char *)arg, "event", sio_event(ctx),
                     "error", sio_error_message(ctx));
}

static int on_guarded(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_reply(ctx, "s", "handled");
}

/* Lets only "open sesame" through. */
static int guard(sio_ctx *ctx, void *arg)
{
    const char *word = json_string_value(json_array_get(sio_args(ctx), 0));
    (void)arg;
    if (word && strcmp(word, "open sesame") == 0)
        return SIO_OK;
    sio_reply(ctx, "s", "guarded");
    return 1;
}

/* ---- registration ---- */

static const sio_method methods[] = {
    { "connect", on_connect },
    { "disconnect", on_disconnect },
    { "echo", on_echo },
    { "raw", on_raw },
    { "message", on_message },
    { "json", on_json },
    { "sum", on_sum },
    { "bytes", on_bytes },
    { "size", on_size },
    { "reply none", on_reply_none },
    { "reply many", on_reply_many },
    { "reply twice", on_reply_twice },
    { "reply later", on_reply_later },
    { "reply never", on_reply_never },
    { "join", on_join },
    { "leave", on_leave },
    { "close room", on_close_room },
    { "rooms", on_rooms },
    { "members", on_members },
    { "whoami", on_whoami },
    { "remember", on_remember },
    { "recall", on_recall },
    { "disconnect me", on_disconnect_order },
    { "server disconnect", on_server_disconnect },
    { "fail", on_fail },
    { NULL, NULL },
};

int events_init(sio_server *sio, const struct settings *settings)
{
    static char own[] = "own", fallback[] = "default";
    int error = register_methods(sio, NULL, methods);
    if (error == 0)
        error = register_methods(sio, NULL, emit_methods);
    if (error == 0)
        error = sio_server_on(sio, "guarded", on_guarded, .guard = guard);
    if (error == 0)
        error = sio_server_on_error(sio, NULL, on_error, own);
    if (error == 0 && settings->error_default)
        error = sio_server_on_error_default(sio, on_error, fallback);
    return error;
}
