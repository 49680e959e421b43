/* The public sending functions: arguments checked, address made, sent. */
#include <string.h>

#include "app/options.h"
#include "base/log.h"
#include "socketio/emit.h"
#include "socketio/event.h"
#include "socketio/payload.h"
#include "socketio/reach.h"

enum { CALL_TIMEOUT_S = 60 };

/* ---- checks ---- */

static int bad_argument(const char *call, const char *what)
{
    log_line(LOG_APP, LOG_ERROR, "%s: %s", call, what);
    return CARAFE_ERR_ARGUMENT;
}

static int check_list(const char *call, const char *const *items, const char *what)
{
    for (; items && *items; items++) {
        if (!**items)
            return bad_argument(call, what);
    }
    return 0;
}

static int check_event(const char *call, const char *event)
{
    if (!event)
        return bad_argument(call, "no event name");
    if (sio_event_is_reserved(slice_str(event))) {
        log_line(LOG_APP, LOG_ERROR, "%s: \"%s\" is a reserved event name", call, event);
        return CARAFE_ERR_ARGUMENT;
    }
    return 0;
}

/* An empty name is a missing user id more often than it is meant: it must not become "to all". */
static int check_options(const char *call, const sio_emit_options *o)
{
    if (o->to && !*o->to)
        return bad_argument(call, ".to is empty");
    if (o->skip_sid && !*o->skip_sid)
        return bad_argument(call, ".skip_sid is empty");
    if (o->ns && *o->ns != '/')
        return bad_argument(call, ".ns does not begin with \"/\"");
    TRY(check_list(call, o->rooms, ".rooms has an empty name"));
    if (o->except && !*o->except)
        return bad_argument(call, ".except is empty");
    TRY(check_list(call, o->except_rooms, ".except_rooms has an empty name"));
    return check_list(call, o->skip_sids, ".skip_sids has an empty name");
}

static int check_all(const char *call, const sio_content *content, const sio_emit_options *o)
{
    TRY(check_event(call, content->event));
    TRY(check_options(call, o));
    if (!payload_is_invalid(content->payload))
        return 0;
    log_line(LOG_APP, LOG_ERROR, "%s: the data of \"%s\" could not be made", call, content->event);
    return CARAFE_ERR_BAD_DATA;
}

static int report(const char *call, const sio_content *content, int result)
{
    if (result == CARAFE_ERR_BAD_DATA)
        log_line(LOG_APP, LOG_ERROR, "%s: the data of \"%s\" cannot be encoded", call,
                 content->event);
    if (result == CARAFE_ERR_STATE)
        log_line(LOG_APP, LOG_ERROR, "%s: \"%s\": the client is still connecting", call,
                 content->event);
    return result;
}

/* ---- sending ---- */

static sio_address address_of(const sio_emit_options *o, const char *ns)
{
    return (sio_address){
        .ns = o->ns ? o->ns : ns,
        .to = o->to,
        .rooms = o->rooms,
        .except = o->except,
        .except_rooms = o->except_rooms,
        .skip_sid = o->skip_sid,
        .skip_sids = o->skip_sids,
        .is_volatile = o->volatile_,
        .has_ack = o->callback != NULL,
        .ack = { .callback = o->callback, .callback_arg = o->callback_arg },
    };
}

/* To the connection that sent the event, in its own or another namespace. */
static int emit_to_sender(sio_ctx *ctx, const sio_content *content, const sio_emit_options *o)
{
    sio_socket *socket = ctx->socket;
    if (o->skip_self)
        return 0;
    if (o->ns && strcmp(o->ns, socket->ns->name) != 0)
        socket = sio_client_socket(socket->client,
                                   sio_shard_ns(socket->ns->shard, slice_str(o->ns)));
    if (!socket)
        return CARAFE_ERR_NOT_FOUND;
    if (!o->callback)
        return sio_emit_to_socket(socket, content, NULL, o->volatile_);
    sio_ack_entry ack = { .id = atomic_fetch_add(&ctx->server->next_ack_id, 1),
                          .callback = o->callback,
                          .callback_arg = o->callback_arg };
    return sio_emit_to_socket(socket, content, &ack, o->volatile_);
}

static int emit(sio_ctx *ctx, const char *call, const sio_content *content,
                const sio_emit_options *options)
{
    sio_emit_options o;
    TRY(options_read(&o, sizeof(o), options));
    TRY(check_all(call, content, &o));
    if (!o.to && !o.rooms && !o.broadcast)
        return report(call, content, emit_to_sender(ctx, content, &o));
    sio_address address = address_of(&o, ctx->socket->ns->name);
    if (o.skip_self)
        address.skip_self = ctx->socket->sid;
    return report(call, content, sio_emit_to(ctx->server, content, &address));
}

int sio_emit_with(sio_ctx *ctx, const char *event, json_t *data, const sio_emit_options *options)
{
    sio_content content = { .event = event, .payload = data };
    int result = emit(ctx, "sio_emit", &content, options);
    json_decref(data);
    return result;
}

static const char *send_event(const sio_emit_options *options)
{
    sio_emit_options o;
    return options_read(&o, sizeof(o), options) == 0 && o.json ? "json" : "message";
}

int sio_send_with(sio_ctx *ctx, json_t *data, const sio_emit_options *options)
{
    sio_content content = { .event = send_event(options), .payload = data };
    int result = emit(ctx, "sio_send", &content, options);
    json_decref(data);
    return result;
}

int sio_emit_raw_with(sio_ctx *ctx, const char *event, const char *args, size_t len,
                      const sio_emit_options *options)
{
    sio_content content = { .event = event, .raw = slice_of(args, len) };
    TRY(sio_raw_check(ctx, content.raw));
    return emit(ctx, "sio_emit_raw", &content, options);
}

static int server_emit(sio_server *sio, const char *call, const sio_content *content,
                       const sio_emit_options *options)
{
    sio_emit_options o;
    if (!sio)
        return bad_argument(call, "no server");
    TRY(options_read(&o, sizeof(o), options));
    TRY(check_all(call, content, &o));
    sio_address address = address_of(&o, "/");
    return report(call, content, sio_emit_to(sio, content, &address));
}

int sio_server_emit_with(sio_server *sio, const char *event, json_t *data,
                         const sio_emit_options *options)
{
    sio_content content = { .event = event, .payload = data };
    int result = server_emit(sio, "sio_server_emit", &content, options);
    json_decref(data);
    return result;
}

int sio_server_send_with(sio_server *sio, json_t *data, const sio_emit_options *options)
{
    sio_content content = { .event = send_event(options), .payload = data };
    int result = server_emit(sio, "sio_server_send", &content, options);
    json_decref(data);
    return result;
}

/* ---- calls ---- */

typedef struct call_job {
    sio_content content;
    sio_ack_entry ack;
    int result;
} call_job;

static void on_call(sio_shard *shard, sio_socket *socket, void *arg)
{
    call_job *job = arg;
    (void)shard;
    /* Its answer cannot come before its connect handler has ended, which may be what waits here. */
    if (socket->state == SIO_SOCKET_CONNECTING)
        job->result = CARAFE_ERR_STATE;
    else
        job->result = sio_emit_to_socket(socket, &job->content, &job->ack, false);
}

static void on_call_over(sio_shard *shard, sio_socket *socket, void *arg)
{
    call_job *job = arg;
    sio_ack_entry entry;
    (void)shard;
    if (sio_ack_take(&socket->acks, job->ack.id, &entry))
        sio_call_unref(entry.call);
}

static int64_t call_timeout_ms(double seconds)
{
    if (seconds == 0)
        seconds = CALL_TIMEOUT_S;
    if (!(seconds > 0 && seconds <= 86400))
        return CARAFE_ERR_ARGUMENT;
    return (int64_t)(seconds * 1000 + 0.999);
}

static json_t *call_client(sio_server *server, const char *call_name, const char *sid,
                           const char *ns, call_job *job, double timeout)
{
    int64_t timeout_ms = call_timeout_ms(timeout);
    if (check_event(call_name, job->content.event) < 0)
        return NULL;
    if (!sid || !*sid || timeout_ms < 0 || payload_is_invalid(job->content.payload)) {
        bad_argument(call_name, timeout_ms < 0 ? ".timeout is out of range"
                                : !sid || !*sid ? "no client to call (.to)"
                                                : "the data could not be made");
        return NULL;
    }
    if (worker_current() && !coro_current()) {
        bad_argument(call_name, "cannot wait here");
        return NULL;
    }
    sio_call_state *call = sio_call_new();
    if (!call)
        return NULL;
    job->ack = (sio_ack_entry){ .id = atomic_fetch_add(&server->next_ack_id, 1), .call = call };
    atomic_fetch_add(&call->refs, 1); /* the table's */
    int error = sio_reach_socket(server, sid, ns, on_call, job);
    json_t *answer = NULL;
    if (error < 0 || job->result < 0) {
        report(call_name, &job->content, error < 0 ? error : job->result);
        sio_call_unref(call);
    } else {
        answer = sio_call_wait(call, (uint64_t)timeout_ms);
        if (!answer) {
            int ignored = sio_reach_socket(server, sid, ns, on_call_over, job);
            (void)ignored;
        }
    }
    sio_call_unref(call);
    return answer;
}

json_t *sio_call_with(sio_ctx *ctx, const char *event, json_t *data,
                      const sio_call_options *options)
{
    sio_call_options o;
    call_job job = { .content = { .event = event, .payload = data } };
    json_t *answer = NULL;
    if (options_read(&o, sizeof(o), options) == 0)
        answer = call_client(ctx->server, "sio_call", o.to ? o.to : ctx->socket->sid,
                             o.ns ? o.ns : ctx->socket->ns->name, &job, o.timeout);
    json_decref(data);
    return answer;
}

json_t *sio_server_call_with(sio_server *sio, const char *event, json_t *data,
                             const sio_call_options *options)
{
    sio_call_options o;
    call_job job = { .content = { .event = event, .payload = data } };
    json_t *answer = NULL;
    if (!sio)
        bad_argument("sio_server_call", "no server");
    else if (options_read(&o, sizeof(o), options) == 0)
        answer = call_client(sio, "sio_server_call", o.to, o.ns ? o.ns : "/", &job, o.timeout);
    json_decref(data);
    return answer;
}
