/* The public functions about rooms, and about who is connected; and reaching clients for them. */
#include <string.h>

#include "app/options.h"
#include "base/log.h"
#include "socketio/event.h"
#include "socketio/reach.h"

/* ---- reaching ---- */

typedef struct reach {
    sio_server *server;
    const char *sid;
    const char *ns;
    sio_reach_fn *fn;
    void *arg;
    int result;
} reach;

static void on_reached(worker *w, void *arg)
{
    reach *r = arg;
    sio_shard *shard = sio_shard_of(r->server, w);
    sio_socket *socket = r->sid ? sio_shard_socket(shard, r->sid, r->ns) : NULL;
    bool is_here = socket && socket->state != SIO_SOCKET_GONE;
    if (r->sid && !is_here)
        r->result = CARAFE_ERR_NOT_FOUND;
    else
        r->fn(shard, socket, r->arg);
}

int sio_reach_socket(sio_server *server, const char *sid, const char *ns, sio_reach_fn *fn,
                     void *arg)
{
    reach r = { server, sid, ns, fn, arg, 0 };
    int owner = sid_worker(sid, strlen(sid));
    if (owner < 0 || (unsigned)owner >= sio_server_worker_count(server))
        return CARAFE_ERR_NOT_FOUND;
    TRY(app_call(server->core.ext.app, (unsigned)owner, on_reached, &r));
    return r.result;
}

int sio_reach_all(sio_server *server, sio_reach_fn *fn, void *arg)
{
    unsigned count = sio_server_worker_count(server);
    for (unsigned i = 0; i < count; i++) {
        reach r = { server, NULL, NULL, fn, arg, 0 };
        TRY(app_call(server->core.ext.app, i, on_reached, &r));
    }
    return 0;
}

/* ---- jobs for the client's worker ---- */

typedef struct room_job {
    const char *room;
    const char *ns;
    json_t *names; /* an array to be filled */
    int result;
    bool is_connected;
    bool closes; /* the transport too */
} room_job;

static void on_join(sio_shard *shard, sio_socket *socket, void *arg)
{
    room_job *job = arg;
    /* Its own room it is in from the start; sid and not table lead there. */
    if (strcmp(job->room, socket->sid) != 0)
        job->result = sio_room_join(socket, slice_str(job->room), shard->server->config.max_rooms);
}

static void on_leave(sio_shard *shard, sio_socket *socket, void *arg)
{
    room_job *job = arg;
    (void)shard;
    sio_room_leave(socket, slice_str(job->room));
}

static int add_name(json_t *names, const char *name)
{
    return json_array_append_new(names, json_string(name)) < 0 ? CARAFE_ERR_NOMEM : 0;
}

static void on_rooms(sio_shard *shard, sio_socket *socket, void *arg)
{
    room_job *job = arg;
    (void)shard;
    job->result = add_name(job->names, socket->sid);
    for (uint32_t i = 0; job->result == 0 && i < socket->rooms.count; i++)
        job->result = add_name(job->names, socket->rooms.items[i].room->name);
}

static void on_close_room(sio_shard *shard, sio_socket *socket, void *arg)
{
    room_job *job = arg;
    sio_ns *ns = sio_shard_ns(shard, slice_str(job->ns));
    (void)socket;
    if (ns)
        sio_room_close(ns, slice_str(job->room));
}

static void add_participant(room_job *job, const sio_socket *socket)
{
    if (socket->state <= SIO_SOCKET_CONNECTED && job->result == 0)
        job->result = add_name(job->names, socket->sid);
}

static void on_participants(sio_shard *shard, sio_socket *socket, void *arg)
{
    room_job *job = arg;
    const sio_ns *ns = sio_shard_ns(shard, slice_str(job->ns));
    (void)socket;
    if (!ns)
        return;
    const sio_socket *own = job->room ? sio_shard_socket(shard, job->room, job->ns) : NULL;
    if (own)
        add_participant(job, own);
    const sio_room *room = job->room ? sio_room_find(ns, slice_str(job->room)) : NULL;
    for (size_t i = 0; !job->room && i < ns->socket_count; i++)
        add_participant(job, ns->sockets[i]);
    for (uint32_t i = 0; room && i < room->member_count; i++)
        add_participant(job, room->members[i].socket);
}

static void on_is_connected(sio_shard *shard, sio_socket *socket, void *arg)
{
    room_job *job = arg;
    (void)shard;
    job->is_connected = socket->state == SIO_SOCKET_CONNECTED;
}

static void on_disconnect(sio_shard *shard, sio_socket *socket, void *arg)
{
    room_job *job = arg;
    (void)shard;
    if (job->closes)
        sio_client_kick(socket->client);
    else
        sio_socket_kick(socket);
}

/* ---- calls ---- */

static int check_names(const char *call, const char *sid, const char *room)
{
    if (sid && *sid && room && *room)
        return 0;
    log_line(LOG_APP, LOG_ERROR, "%s: %s", call,
             !sid || !*sid ? "no client (sid)" : "the room has no name");
    return CARAFE_ERR_ARGUMENT;
}

static int check_server(const char *call, const sio_server *sio)
{
    if (sio)
        return 0;
    log_line(LOG_APP, LOG_ERROR, "%s: no server", call);
    return CARAFE_ERR_ARGUMENT;
}

static int reach_client(sio_server *sio, const char *sid, const char *ns, sio_reach_fn *fn,
                        room_job *job)
{
    TRY(sio_reach_socket(sio, sid, ns ? ns : "/", fn, job));
    return job->result;
}

/* The handler's own client in the namespace asked for. */
static int reach_sender(sio_ctx *ctx, const char *ns, sio_reach_fn *fn, room_job *job)
{
    sio_socket *socket = ctx->socket;
    if (ns && strcmp(ns, socket->ns->name) != 0)
        socket = sio_client_socket(socket->client, sio_shard_ns(socket->ns->shard, slice_str(ns)));
    if (!socket || socket->state == SIO_SOCKET_GONE)
        return CARAFE_ERR_NOT_FOUND;
    fn(socket->ns->shard, socket, job);
    return job->result;
}

static int change_room(sio_ctx *ctx, const char *call, const char *room,
                       const sio_room_options *options, sio_reach_fn *fn)
{
    sio_room_options o;
    TRY(options_read(&o, sizeof(o), options));
    TRY(check_names(call, o.sid ? o.sid : ctx->socket->sid, room));
    room_job job = { .room = room };
    if (o.sid)
        return reach_client(ctx->server, o.sid, o.ns ? o.ns : sio_namespace(ctx), fn, &job);
    return reach_sender(ctx, o.ns, fn, &job);
}

int sio_join_room_with(sio_ctx *ctx, const char *room, const sio_room_options *options)
{
    return change_room(ctx, "sio_join_room", room, options, on_join);
}

int sio_leave_room_with(sio_ctx *ctx, const char *room, const sio_room_options *options)
{
    return change_room(ctx, "sio_leave_room", room, options, on_leave);
}

int sio_close_room_with(sio_ctx *ctx, const char *room, const sio_room_options *options)
{
    sio_room_options o;
    TRY(options_read(&o, sizeof(o), options));
    return sio_server_close_room(ctx->server, room, o.ns ? o.ns : sio_namespace(ctx));
}

json_t *sio_rooms_with(sio_ctx *ctx, const sio_room_options *options)
{
    sio_room_options o;
    room_job job = { .names = json_array() };
    int error = job.names ? options_read(&o, sizeof(o), options) : CARAFE_ERR_NOMEM;
    if (error == 0 && o.sid)
        error = reach_client(ctx->server, o.sid, o.ns ? o.ns : sio_namespace(ctx), on_rooms, &job);
    else if (error == 0)
        error = reach_sender(ctx, o.ns, on_rooms, &job);
    if (error == 0)
        return job.names;
    json_decref(job.names);
    return NULL;
}

int sio_server_enter_room(sio_server *sio, const char *sid, const char *room, const char *ns)
{
    room_job job = { .room = room };
    TRY(check_server("sio_server_enter_room", sio));
    TRY(check_names("sio_server_enter_room", sid, room));
    return reach_client(sio, sid, ns, on_join, &job);
}

int sio_server_leave_room(sio_server *sio, const char *sid, const char *room, const char *ns)
{
    room_job job = { .room = room };
    TRY(check_server("sio_server_leave_room", sio));
    TRY(check_names("sio_server_leave_room", sid, room));
    return reach_client(sio, sid, ns, on_leave, &job);
}

int sio_server_close_room(sio_server *sio, const char *room, const char *ns)
{
    room_job job = { .room = room, .ns = ns ? ns : "/" };
    TRY(check_server("sio_server_close_room", sio));
    TRY(check_names("sio_close_room", "-", room));
    return sio_reach_all(sio, on_close_room, &job);
}

json_t *sio_server_rooms(sio_server *sio, const char *sid, const char *ns)
{
    room_job job = { .names = json_array() };
    if (check_server("sio_server_rooms", sio) < 0 || !sid || !job.names || reach_client(sio, sid, ns, on_rooms, &job) < 0) {
        json_decref(job.names);
        return NULL;
    }
    return job.names;
}

json_t *sio_server_participants(sio_server *sio, const char *room, const char *ns)
{
    room_job job = { .room = room, .ns = ns ? ns : "/", .names = json_array() };
    if (check_server("sio_server_participants", sio) < 0 || !job.names ||
        sio_reach_all(sio, on_participants, &job) < 0 || job.result < 0) {
        json_decref(job.names);
        return NULL;
    }
    return job.names;
}

bool sio_server_is_connected(sio_server *sio, const char *sid, const char *ns)
{
    room_job job = { 0 };
    return check_server("sio_server_is_connected", sio) == 0 && sid &&
           reach_client(sio, sid, ns, on_is_connected, &job) == 0 && job.is_connected;
}

int sio_disconnect_with(sio_ctx *ctx, const sio_disconnect_options *options)
{
    sio_disconnect_options o;
    TRY(options_read(&o, sizeof(o), options));
    room_job job = { .closes = o.close };
    if (o.sid)
        return reach_client(ctx->server, o.sid, o.ns ? o.ns : sio_namespace(ctx), on_disconnect,
                            &job);
    return reach_sender(ctx, o.ns, on_disconnect, &job);
}

int sio_server_disconnect(sio_server *sio, const char *sid, const char *ns)
{
    room_job job = { 0 };
    TRY(check_server("sio_server_disconnect", sio));
    TRY(check_names("sio_server_disconnect", sid, "-"));
    return reach_client(sio, sid, ns, on_disconnect, &job);
}
