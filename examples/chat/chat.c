#include "chat.h"

#include <string.h>

#include "people.h"

#define LABEL_SIZE_MAX 40 /* bytes of a name or of a room's name */
#define TEXT_SIZE_MAX 2000
#define TICK_SECONDS 5

/* ---- people and rooms ---- */

/* Names and rooms are typed by people, so they are checked here, and shown by the page as text. */
static int check_label(sio_ctx *ctx, const char *what, const char *label)
{
    size_t len = strlen(label);
    if (len == 0 || len > LABEL_SIZE_MAX)
        return sio_fail(ctx, "a %s has 1 to %d bytes", what, LABEL_SIZE_MAX);
    return SIO_OK;
}

static int check_text(sio_ctx *ctx, const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len > TEXT_SIZE_MAX)
        return sio_fail(ctx, "a message has 1 to %d bytes", TEXT_SIZE_MAX);
    return SIO_OK;
}

static int check_member(sio_ctx *ctx, const char *room)
{
    json_t *rooms = sio_rooms(ctx);
    bool is_member = false;
    for (size_t i = 0; i < json_array_size(rooms); i++)
        is_member |= strcmp(json_string_value(json_array_get(rooms, i)), room) == 0;
    json_decref(rooms);
    return is_member ? SIO_OK : sio_fail(ctx, "you are not in the room %s", room);
}

/* The name is kept twice: for this client's handlers, and for the lists that others see. */
static int set_name(sio_ctx *ctx, const char *name)
{
    if (check_label(ctx, "name", name) < 0)
        return SIO_ERROR;
    if (json_object_set_new(sio_data(ctx), "name", json_string(name)) < 0 ||
        people_set_name(sio_sid(ctx), name) < 0)
        return sio_fail(ctx, "no memory for a name");
    return SIO_OK;
}

static bool has_name(sio_ctx *ctx)
{
    return json_object_get(sio_data(ctx), "name") != NULL;
}

static const char *get_name(sio_ctx *ctx)
{
    return has_name(ctx) ? json_string_value(json_object_get(sio_data(ctx), "name")) : "somebody";
}

/* Sends a room's list of people to those in it. */
static int emit_people(sio_ctx *ctx, const char *room)
{
    sio_server *sio = sio_server_of(ctx);
    json_t *people = people_in_room(sio, room);
    return sio_server_emit(sio, "people", sio_pack("{s:s, s:o}", "room", room, "people", people),
                           .to = room);
}

static int emit_notice(sio_ctx *ctx, const char *room, json_t *text)
{
    return sio_server_emit(sio_server_of(ctx), "notice",
                           sio_pack("{s:s, s:o}", "room", room, "text", text), .to = room);
}

static int join_as(sio_ctx *ctx, const char *room, const char *name)
{
    if (check_label(ctx, "room", room) < 0 || set_name(ctx, name) < 0)
        return SIO_ERROR;
    /* Every client is alone in a room that is named by its sid: nobody else may listen there. */
    if (sio_server_is_connected(sio_server_of(ctx), room, NULL))
        return sio_fail(ctx, "the room %s is private", room);
    if (sio_join_room(ctx, room) < 0)
        return sio_fail(ctx, "you cannot join the room %s", room);

    sio_reply(ctx, ""); /* the page hears that it is in before it hears from the room */
    emit_notice(ctx, room, sio_text("%s joined", name));
    return emit_people(ctx, room);
}

/* ---- the chat's events ---- */

static int on_join(sio_ctx *ctx, void *arg)
{
    const char *room, *name;
    (void)arg;
    if (json_is_object(json_array_get(sio_args(ctx), 0))) {
        if (sio_unpack(ctx, "{s:s, s:s}", "room", &room, "name", &name) < 0)
            return SIO_ERROR;
        return join_as(ctx, room, name);
    }
    /* A bare string, as the benchmarks send it: join without a name. */
    if (sio_unpack(ctx, "s", &room) < 0)
        return SIO_ERROR;
    if (sio_join_room(ctx, room) < 0)
        return sio_fail(ctx, "you cannot join the room %s", room);
    return sio_reply(ctx, "s", room);
}

static int on_leave(sio_ctx *ctx, void *arg)
{
    const char *room;
    (void)arg;
    if (sio_unpack(ctx, "s", &room) < 0 || check_member(ctx, room) < 0)
        return SIO_ERROR;
    if (sio_leave_room(ctx, room) < 0)
        return sio_fail(ctx, "you cannot leave the room %s", room);
    emit_notice(ctx, room, sio_text("%s left", get_name(ctx)));
    return emit_people(ctx, room);
}

static int on_close_room(sio_ctx *ctx, void *arg)
{
    const char *room;
    (void)arg;
    if (sio_unpack(ctx, "s", &room) < 0 || check_member(ctx, room) < 0)
        return SIO_ERROR;
    sio_emit(ctx, "closed", sio_pack("{s:s, s:s}", "room", room, "by", get_name(ctx)), .to = room);
    return sio_close_room(ctx, room);
}

static int on_say(sio_ctx *ctx, void *arg)
{
    const char *room, *text;
    (void)arg;
    if (sio_unpack(ctx, "{s:s, s:s}", "room", &room, "text", &text) < 0 ||
        check_text(ctx, text) < 0 || check_member(ctx, room) < 0)
        return SIO_ERROR;
    return sio_emit(ctx, "said",
                    sio_pack("{s:s, s:s, s:s, s:s}", "room", room, "sid", sio_sid(ctx), "name",
                             get_name(ctx), "text", text),
                    .to = room);
}

/* A new name goes to every room the client is in. */
static int on_rename(sio_ctx *ctx, void *arg)
{
    const char *name;
    (void)arg;
    if (sio_unpack(ctx, "s", &name) < 0 || set_name(ctx, name) < 0)
        return SIO_ERROR;
    json_t *rooms = sio_rooms(ctx);
    for (size_t i = 0; i < json_array_size(rooms); i++)
        emit_people(ctx, json_string_value(json_array_get(rooms, i)));
    json_decref(rooms);
    return SIO_OK;
}

/* Nothing to do: an event that asks for an ack gets one when its handler returns. */
static int on_latency(sio_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return SIO_OK;
}

/* ---- coming and going ---- */

static int on_connect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_emit(ctx, "welcome", sio_pack("{s:i}", "tick_seconds", TICK_SECONDS));
}

/* The rooms are still there when this runs, but the client has left the list of names. */
static int on_disconnect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    if (!has_name(ctx))
        return SIO_OK; /* never joined a chat */
    people_remove(sio_sid(ctx));
    json_t *rooms = sio_rooms(ctx);
    for (size_t i = 1; i < json_array_size(rooms); i++) { /* 0 is its private room */
        const char *room = json_string_value(json_array_get(rooms, i));
        emit_notice(ctx, room, sio_text("%s went away", get_name(ctx)));
        emit_people(ctx, room);
    }
    json_decref(rooms);
    return SIO_OK;
}

/* Runs when the page has acknowledged the goodbye. */
static int on_goodbye_seen(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_disconnect(ctx);
}

static int on_disconnect_me(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_emit(ctx, "goodbye", NULL, .callback = on_goodbye_seen);
}

/* What goes wrong in a handler is told to whoever sent the event. */
static int on_error(sio_ctx *ctx, void *arg)
{
    (void)arg;
    if (sio_wants_ack(ctx))
        return sio_reply(ctx, "{s:s}", "error", sio_error_message(ctx));
    return sio_emit(ctx, "problem",
                    sio_pack("{s:s, s:s}", "event", sio_event(ctx), "text",
                             sio_error_message(ctx)));
}

/* Emits to everybody until the server stops, which ends the sleep with an error. */
static void tick(void *arg)
{
    sio_server *sio = arg;
    for (int count = 1; sio_sleep(TICK_SECONDS) == 0; count++)
        sio_server_emit(sio, "tick",
                        sio_pack("{s:i, s:I}", "count", count, "people",
                                 (json_int_t)people_count()));
}

/* ---- passing on: echo, broadcast, room ----
 *
 * Arguments are sent on as the very text they came in, so no JSON tree is built. Only with binary
 * values in them there is no such text. */

static int pass_on(sio_ctx *ctx, const char *event, bool to_all)
{
    size_t len;
    const char *text = sio_args_raw(ctx, &len);
    if (text)
        return sio_emit_raw(ctx, event, text, len, .broadcast = to_all);
    return sio_emit(ctx, event, sio_tuple_of(json_incref(sio_args(ctx))), .broadcast = to_all);
}

static int on_echo(sio_ctx *ctx, void *arg)
{
    (void)arg;
    if (!sio_wants_ack(ctx))
        return pass_on(ctx, "echo", false);
    size_t len;
    const char *text = sio_args_raw(ctx, &len);
    if (text)
        return sio_reply_raw(ctx, text, len);
    return sio_reply_json(ctx, json_incref(sio_args(ctx)));
}

static int on_broadcast(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return pass_on(ctx, "broadcast", true);
}

static int on_room(sio_ctx *ctx, void *arg)
{
    const char *room;
    json_t *data;
    (void)arg;
    if (sio_unpack(ctx, "s o", &room, &data) < 0)
        return SIO_ERROR;
    return sio_emit(ctx, "room", json_incref(data), .to = room);
}

/* ---- start and end ---- */

static const struct {
    const char *event;
    sio_handler *handler;
} handlers[] = {
    { "connect", on_connect },
    { "disconnect", on_disconnect },
    { "join", on_join },
    { "leave", on_leave },
    { "close room", on_close_room },
    { "say", on_say },
    { "rename", on_rename },
    { "latency", on_latency },
    { "disconnect me", on_disconnect_me },
    { "echo", on_echo },
    { "broadcast", on_broadcast },
    { "room", on_room },
};

int chat_init(sio_server *sio)
{
    for (size_t i = 0; i < sizeof(handlers) / sizeof(*handlers); i++) {
        int error = sio_server_on(sio, handlers[i].event, handlers[i].handler);
        if (error < 0)
            return error;
    }
    int error = sio_server_on_error(sio, NULL, on_error, NULL);
    if (error < 0)
        return error;
    return sio_server_start_background_task(sio, tick, sio) ? 0 : CARAFE_ERR_NOMEM;
}

void chat_free(void)
{
    people_free();
}
