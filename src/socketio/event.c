#include "socketio/event.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* ---- jobs ---- */

sio_job *sio_job_new(sio_client *client, const void *text, size_t len)
{
    size_t size = sizeof(sio_job) + len + 1;
    sio_job *job = net_pool_take(&client->shard->worker->pool, size, &size);
    if (!job)
        return NULL;
    memset(job, 0, sizeof(*job));
    job->refs = 1;
    job->alloc_size = size;
    job->client = sio_client_ref(client);
    job->ctx.server = client->shard->server;
    list_init(&job->link);
    if (len)
        memcpy(job->text, text, len);
    job->text[len] = '\0';
    return job;
}

void sio_job_unref(sio_job *job)
{
    if (--job->refs)
        return;
    sio_ctx *ctx = &job->ctx;
    json_decref(ctx->args);
    json_decref(ctx->auth);
    json_decref(ctx->refusal_data);
    app_request_free(ctx->request);
    mem_free(ctx->error);
    mem_free(ctx->refusal);
    if (ctx->socket)
        sio_socket_unref(ctx->socket);
    mem_free(job->own_text);
    net_pool *pool = &job->client->shard->worker->pool;
    sio_client_unref(job->client);
    net_pool_give(pool, job, job->alloc_size);
}

int sio_job_own_packet(sio_job *job)
{
    sio_packet *packet = &job->packet;
    slice *parts[] = { &packet->ns, &packet->event, &packet->id_digits };
    size_t size = 0;
    for (size_t i = 0; i < 3; i++)
        size += parts[i]->len + 1;
    char *at = job->own_text = mem_alloc(size);
    if (!at)
        return CARAFE_ERR_NOMEM;
    for (size_t i = 0; i < 3; i++) {
        if (parts[i]->len)
            memcpy(at, parts[i]->data, parts[i]->len);
        at[parts[i]->len] = '\0';
        parts[i]->data = at;
        at += parts[i]->len + 1;
    }
    /* The arguments are in ctx.args; their text has placeholders nobody can resolve any more. */
    packet->args_text = (slice){ NULL, 0 };
    return 0;
}

/* ---- finding and calling handlers ---- */

static int call_entry(sio_ctx *ctx, const sio_handler_entry *entry, bool *is_handled)
{
    *is_handled = !entry->guard || entry->guard(ctx, entry->arg) == 0;
    if (*is_handled)
        return entry->fn(ctx, entry->arg);
    /* Who guards a connect handler does not mean to let everybody in. */
    ctx->is_refused = ctx->is_refused || ctx->is_connect;
    return SIO_OK;
}

int sio_dispatch(sio_ctx *ctx)
{
    sio_handler_entry entry;
    bool is_handled = false;
    int result = SIO_OK;
    if (!ctx->is_in_trigger) {
        log_line(LOG_APP, LOG_ERROR, "sio_dispatch: only a trigger_event can go on to a handler "
                 "(event \"%s\")", ctx->event);
        return CARAFE_ERR_STATE;
    }
    ctx->is_in_trigger = false; /* what it runs cannot come back here */
    if (sio_handlers_find(&ctx->server->handlers, ctx->socket->ns->table, slice_str(ctx->event),
                          &entry))
        result = call_entry(ctx, &entry, &is_handled);
    ctx->is_in_trigger = true;
    ctx->found_no_handler = !is_handled;
    return result;
}

/* Functions first, then a class's trigger_event, then its methods. */
static int route(sio_ctx *ctx, bool *is_handled)
{
    const sio_handlers *handlers = &ctx->server->handlers;
    const sio_handler_table *table = ctx->socket->ns->table;
    slice event = slice_str(ctx->event);
    sio_handler_entry entry;
    *is_handled = false;
    bool is_found = sio_handlers_find(handlers, table, event, &entry);
    bool is_function = is_found && entry.event;
    const sio_handler_table *trigger =
        is_function ? NULL : sio_handlers_trigger(handlers, table, event);
    if (trigger) {
        ctx->is_in_trigger = true;
        int result = trigger->klass->trigger_event(ctx, trigger->self);
        ctx->is_in_trigger = false;
        *is_handled = result < 0 || !ctx->found_no_handler;
        return result;
    }
    return is_found ? call_entry(ctx, &entry, is_handled) : SIO_OK;
}

/* Runs the error handler; false when there is none (then the error is logged) or it fails too. */
static bool handle_error(sio_ctx *ctx, int result)
{
    const sio_handlers *handlers = &ctx->server->handlers;
    const sio_handler_table *table = ctx->socket->ns->table;
    if (!ctx->error)
        ctx->error = mem_strdup(result == SIO_ERROR ? "the handler failed"
                                                    : carafe_strerror(result));
    if (!table || !table->on_error)
        table = sio_handlers_get(handlers, SLICE_LITERAL("*"));
    if (table && table->on_error)
        return table->on_error(ctx, table->on_error_arg) >= 0;
    if (handlers->on_error_default)
        return handlers->on_error_default(ctx, handlers->on_error_default_arg) >= 0;
    log_line(LOG_APP, LOG_ERROR, "event \"%s\" in namespace %s: %s", ctx->event,
             ctx->socket->ns->name, ctx->error ? ctx->error : "out of memory");
    return false;
}

/* ---- the kinds of jobs ---- */

/* Counted, and logged once a name: the names are the peers' choice, so only so many are kept. */
static void note_unhandled(sio_ctx *ctx)
{
    enum { NAMES_MAX = 100 };
    sio_shard *shard = ctx->socket->ns->shard;
    slice name = slice_str(ctx->event);
    shard->unhandled_count++;
    if (!log_is_on(LOG_SOCKETIO, LOG_DEBUG) || shard->unhandled_names.count >= NAMES_MAX ||
        map_get(&shard->unhandled_names, name))
        return;
    char *copy = mem_dup(name.data, name.len);
    if (copy && map_put(&shard->unhandled_names, copy) < 0)
        mem_free(copy);
    log_line(LOG_SOCKETIO, LOG_DEBUG, "event \"%s\" in namespace %s: no handler (said once)",
             ctx->event, ctx->socket->ns->name);
}

static void run_event(sio_ctx *ctx)
{
    bool is_handled;
    int result = route(ctx, &is_handled);
    if (!is_handled) {
        note_unhandled(ctx);
        return;
    }
    /* "return sio_emit(...)" to a client that has left meanwhile is no error of the handler. */
    if (result == CARAFE_ERR_CLOSED && ctx->socket->state != SIO_SOCKET_CONNECTED)
        return;
    bool is_ok = result >= 0 || handle_error(ctx, result);
    if (is_ok && ctx->ack_state == SIO_ACK_WANTED) {
        ctx->ack_state = SIO_ACK_SENT;
        int ignored = sio_event_send_ack(ctx->socket, ctx->id_digits, NULL, (slice){ NULL, 0 });
        (void)ignored;
    }
}

static void run_connect(sio_ctx *ctx)
{
    static const char refused_text[] = "Connection rejected by server";
    sio_socket *socket = ctx->socket;
    bool is_handled;
    /* It left while the handler had to wait for its turn. */
    if (socket->state == SIO_SOCKET_GONE)
        return;
    int result = route(ctx, &is_handled);
    if (socket->state == SIO_SOCKET_GONE)
        return;
    const char *message = ctx->refusal ? ctx->refusal : refused_text;
    if (result < 0 && !ctx->is_refused) {
        handle_error(ctx, result);
        /* Causes are for the developer, not for whoever connects. */
        if (!ctx->is_refused && app_is_debug(ctx->server->core.ext.app) && ctx->error)
            message = ctx->error;
        else if (ctx->refusal)
            message = ctx->refusal;
        ctx->is_refused = true;
    }
    if (socket->state == SIO_SOCKET_GONE)
        return;
    if (ctx->is_refused && socket->state == SIO_SOCKET_CONNECTING)
        sio_socket_refuse(socket, message, ctx->refusal_data);
    else if (ctx->is_refused)
        sio_socket_kick(socket); /* always_connect: it has been accepted already */
    else if (socket->state == SIO_SOCKET_CONNECTING)
        sio_socket_accept(socket);
}

static void run_disconnect(sio_ctx *ctx)
{
    bool is_handled;
    int result = route(ctx, &is_handled);
    if (result < 0)
        handle_error(ctx, result);
    sio_socket_bury(ctx->socket);
}

static void run_ack(sio_job *job)
{
    int result = job->callback(&job->ctx, job->callback_arg);
    if (result < 0)
        handle_error(&job->ctx, result);
}

static void run(sio_job *job)
{
    switch (job->type) {
    case SIO_JOB_EVENT:
        run_event(&job->ctx);
        return;
    case SIO_JOB_CONNECT:
        run_connect(&job->ctx);
        return;
    case SIO_JOB_DISCONNECT:
        run_disconnect(&job->ctx);
        return;
    case SIO_JOB_ACK:
        run_ack(job);
        return;
    }
}

/* ---- order ---- */

/* What a job that has ended leaves: maybe the next one of the connection, to be run by the caller
 * (which holds its reference then). */
static sio_job *finish(sio_job *job)
{
    sio_client *client = job->client;
    sio_shard *shard = client->shard;
    size_t resume_at = shard->server->config.max_pending_events / 2;
    client->running--;
    client->job_count--;
    shard->job_count--;
    if (client->is_paused && client->job_count <= resume_at) {
        client->is_paused = false;
        eio_socket_resume(client->eio);
    }
    list *node = client->running == 0 ? list_pop_front(&client->jobs) : NULL;
    if (node) {
        client->running++;
        shard->job_count++;
    }
    sio_job_unref(job);
    return node ? LIST_ENTRY(node, sio_job, link) : NULL;
}

static void run_jobs(void *arg)
{
    sio_job *job = arg;
    while (job) {
        run(job);
        job = finish(job);
    }
}

static void start(sio_job *job)
{
    sio_client *client = job->client;
    client->running++;
    client->shard->job_count++;
    if (worker_spawn(client->shard->worker, run_jobs, job) == 0)
        return;
    log_line(LOG_SOCKETIO, LOG_ERROR, "too many handlers are waiting: event \"%s\" is %s",
             job->ctx.event, job->type == SIO_JOB_DISCONNECT ? "run in place" : "dropped");
    if (job->type == SIO_JOB_DISCONNECT) {
        /* Its cleaning up must happen; it cannot wait there. */
        run_jobs(job);
        return;
    }
    eio_socket_end(client->eio, SIO_REASON_TRANSPORT_ERROR);
    client->running--;
    client->job_count--;
    client->shard->job_count--;
    sio_job_unref(job);
}

static bool owes_answers(const sio_client *client)
{
    for (const sio_socket *socket = client->sockets; socket; socket = socket->next) {
        if (socket->acks.open_count)
            return true;
    }
    return false;
}

/* One event more waits. Reading pauses at the limit; later while the client owes answers, since
 * handlers may wait for just those. */
static void count_pending(sio_client *client)
{
    enum { OWING_FACTOR = 4 };
    size_t max = client->shard->server->config.max_pending_events;
    if (++client->job_count < max || client->is_paused)
        return;
    if (owes_answers(client) && client->job_count < max * OWING_FACTOR)
        return;
    client->is_paused = true;
    eio_socket_pause(client->eio);
}

void sio_event_expect_answer(sio_client *client)
{
    if (!client->is_paused)
        return;
    client->is_paused = false;
    eio_socket_resume(client->eio);
}

static void schedule(sio_job *job)
{
    sio_client *client = job->client;
    const sio_config *config = &client->shard->server->config;
    job->refs++;
    count_pending(client);
    bool must_wait = !config->async_handlers && client->running && job->type != SIO_JOB_ACK;
    if (must_wait)
        list_push_back(&client->jobs, &job->link);
    else
        start(job);
}

/* ---- making jobs of packets ---- */

void sio_event_connect(sio_job *job, sio_socket *socket)
{
    sio_ctx *ctx = &job->ctx;
    job->type = SIO_JOB_CONNECT;
    ctx->socket = sio_socket_ref(socket);
    ctx->event = "connect";
    ctx->is_connect = true;
    slice auth = job->packet.data_text;
    if (auth.len && sio_json_decode(auth.data, auth.len, NULL, &ctx->auth) < 0)
        ctx->auth = NULL;
    schedule(job);
}

/* The arguments as they came, with a NUL: in the job's own text there is a byte to spare behind
 * them, and what is not there is static. */
static void set_args_text(sio_job *job)
{
    slice text = job->packet.args_text;
    uintptr_t offset = (uintptr_t)text.data - (uintptr_t)job;
    if (text.data && offset < job->alloc_size)
        ((char *)job)[offset + text.len] = '\0';
    job->ctx.args_text = text;
}

void sio_event_received(sio_job *job, sio_socket *socket)
{
    sio_ctx *ctx = &job->ctx;
    const sio_packet *packet = &job->packet;
    job->type = SIO_JOB_EVENT;
    ctx->socket = sio_socket_ref(socket);
    ctx->event = packet->event.data;
    set_args_text(job);
    ctx->id_digits = packet->id_digits;
    ctx->ack_state = packet->has_id ? SIO_ACK_WANTED : SIO_ACK_NOT_WANTED;
    schedule(job);
}

void sio_event_acked(sio_job *job, sio_socket *socket)
{
    sio_ctx *ctx = &job->ctx;
    const sio_packet *packet = &job->packet;
    sio_ack_entry entry;
    if (!sio_ack_take(&socket->acks, packet->id, &entry))
        return;
    set_args_text(job);
    if (entry.call) {
        /* Handed over whole: a value must not be counted by two threads. */
        sio_call_complete(entry.call, sio_args(ctx));
        ctx->args = NULL;
        sio_call_unref(entry.call);
        return;
    }
    job->type = SIO_JOB_ACK;
    job->callback = entry.callback;
    job->callback_arg = entry.callback_arg;
    ctx->socket = sio_socket_ref(socket);
    ctx->event = "ack";
    schedule(job);
}

void sio_event_disconnect(sio_socket *socket, const char *reason)
{
    sio_job *job = sio_job_new(socket->client, NULL, 0);
    if (!job) {
        log_line(LOG_SOCKETIO, LOG_ERROR, "a disconnect handler was not run: out of memory");
        sio_socket_bury(socket);
        return;
    }
    job->type = SIO_JOB_DISCONNECT;
    job->ctx.socket = sio_socket_ref(socket);
    job->ctx.event = "disconnect";
    job->ctx.reason = reason;
    schedule(job);
    sio_job_unref(job);
}

int sio_event_send_ack(sio_socket *socket, slice id_digits, const json_t *args, slice raw)
{
    buf *text = &socket->ns->shard->scratch;
    slice ns = slice_str(socket->ns->name);
    sio_attachment_list attachments = { 0 };
    buf_clear(text);
    int error = raw.data ? sio_packet_encode_ack_raw(text, ns, id_digits, raw)
                         : sio_packet_encode_ack(text, ns, id_digits, args, &attachments);
    if (error == 0)
        error = sio_socket_send_text(socket, buf_slice(text), &attachments);
    sio_attachment_list_deinit(&attachments);
    return error;
}
