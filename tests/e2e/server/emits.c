/* The events of "/" that emit, call and start tasks. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

/* ---- arguments ---- */

/* The arguments from index `first` on, as a payload. */
static json_t *arguments_from(sio_ctx *ctx, size_t first)
{
    json_t *args = sio_args(ctx);
    json_t *rest = json_array();
    for (size_t i = first; i < json_array_size(args); i++)
        json_array_append(rest, json_array_get(args, i));
    return sio_tuple_of(rest);
}

static const char *const *strings(json_t *array, const char *items[LIST_MAX + 1])
{
    size_t count = json_array_size(array);
    if (!array || count > LIST_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++)
        items[i] = json_string_value(json_array_get(array, i));
    items[count] = NULL;
    return items;
}

/* Emit options from { ns, to, rooms, except, broadcast, skip_self, skip_sid, skip_sids, json }. */
struct target {
    sio_emit_options options;
    const char *rooms[LIST_MAX + 1];
    const char *except[LIST_MAX + 1];
    const char *skip_sids[LIST_MAX + 1];
};

static void read_target(json_t *where, struct target *target)
{
    target->options = (sio_emit_options){
        .size = sizeof(sio_emit_options),
        .ns = member(where, "ns"),
        .to = member(where, "to"),
        .rooms = strings(json_object_get(where, "rooms"), target->rooms),
        .except_rooms = strings(json_object_get(where, "except"), target->except),
        .broadcast = json_is_true(json_object_get(where, "broadcast")),
        .skip_self = json_is_true(json_object_get(where, "skip_self")),
        .skip_sid = member(where, "skip_sid"),
        .skip_sids = strings(json_object_get(where, "skip_sids"), target->skip_sids),
        .json = json_is_true(json_object_get(where, "json")),
        .volatile_ = json_is_true(json_object_get(where, "volatile")),
    };
}

/* ---- asking clients ---- */

/* call({ to, timeout }, event, ...): acks [the answer's arguments], or [null]. */
static int on_call(sio_ctx *ctx, void *arg)
{
    json_t *where;
    const char *event;
    (void)arg;
    if (sio_unpack(ctx, "o s", &where, &event) < 0)
        return SIO_ERROR;
    json_t *answer =
        sio_call(ctx, event, arguments_from(ctx, 2), .to = member(where, "to"),
                 .timeout = json_number_value(json_object_get(where, "timeout")));
    return sio_reply(ctx, "o", answer ? answer : json_null());
}

/* Runs once for each answer, as an event of the client that gave it. */
static int on_answer(sio_ctx *ctx, void *mark)
{
    json_t *answer = json_pack("[s, s, O]", (const char *)mark, sio_sid(ctx), sio_args(ctx));
    return sio_emit(ctx, "answered", sio_tuple_of(answer), .broadcast = true);
}

static int on_callback(sio_ctx *ctx, void *arg)
{
    static char mark[] = "mark";
    struct target target;
    json_t *where;
    const char *event;
    (void)arg;
    if (sio_unpack(ctx, "o s", &where, &event) < 0)
        return SIO_ERROR;
    read_target(where, &target);
    target.options.callback = on_answer;
    target.options.callback_arg = mark;
    return sio_emit_with(ctx, event, arguments_from(ctx, 2), &target.options);
}

/* ---- emitting ---- */

/* emit(where, event, ...): acks what the call returned. */
static int on_emit(sio_ctx *ctx, void *arg)
{
    struct target target;
    json_t *where;
    const char *event;
    (void)arg;
    if (sio_unpack(ctx, "o s", &where, &event) < 0)
        return SIO_ERROR;
    read_target(where, &target);
    return sio_reply(ctx, "i",
                     sio_emit_with(ctx, event, arguments_from(ctx, 2), &target.options));
}

static int on_server_emit(sio_ctx *ctx, void *arg)
{
    struct target target;
    json_t *where;
    const char *event;
    (void)arg;
    if (sio_unpack(ctx, "o s", &where, &event) < 0)
        return SIO_ERROR;
    read_target(where, &target);
    return sio_reply(ctx, "i",
                     sio_server_emit_with(sio_server_of(ctx), event, arguments_from(ctx, 2),
                                          &target.options));
}

static int on_send(sio_ctx *ctx, void *arg)
{
    struct target target;
    json_t *where, *data;
    (void)arg;
    if (sio_unpack(ctx, "o o", &where, &data) < 0)
        return SIO_ERROR;
    read_target(where, &target);
    return sio_send_with(ctx, json_incref(data), &target.options);
}

/* Numbers 0 to count-1, all at once. */
static int on_burst(sio_ctx *ctx, void *arg)
{
    int count;
    (void)arg;
    if (sio_unpack(ctx, "i", &count) < 0)
        return SIO_ERROR;
    for (int i = 0; i < count; i++)
        sio_emit(ctx, "number", json_integer(i));
    return SIO_OK;
}

/* What a thread or task needs: it outlives the event that started it. */
struct job {
    sio_server *sio;
    int count;
    char room[64];
};

static struct job *make_job(sio_ctx *ctx)
{
    const char *room;
    int count;
    if (sio_unpack(ctx, "s i", &room, &count) < 0)
        return NULL;
    struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    job->sio = sio_server_of(ctx);
    job->count = count;
    strncpy(job->room, room, sizeof(job->room) - 1);
    return job;
}

static void *run_thread(void *arg)
{
    struct job *job = arg;
    for (int i = 0; i < job->count; i++)
        sio_server_emit(job->sio, "from thread", json_integer(i), .to = job->room);
    free(job);
    return NULL;
}

/* thread(room, count): emits from a thread that knows nothing of Carafe. */
static int on_thread(sio_ctx *ctx, void *arg)
{
    pthread_t thread;
    (void)arg;
    struct job *job = make_job(ctx);
    if (!job)
        return SIO_ERROR;
    if (pthread_create(&thread, NULL, run_thread, job) != 0) {
        free(job);
        return sio_fail(ctx, "no thread");
    }
    pthread_detach(thread);
    return SIO_OK;
}

static void run_task(void *arg)
{
    struct job *job = arg;
    for (int i = 0; i < job->count && sio_sleep(0.01) == 0; i++)
        sio_server_emit(job->sio, "from task", json_integer(i), .to = job->room);
    free(job);
}

/* task(room, count): emits from a background task, and acks when it has ended. */
static int on_task(sio_ctx *ctx, void *arg)
{
    (void)arg;
    struct job *job = make_job(ctx);
    if (!job)
        return SIO_ERROR;
    sio_task *task = sio_server_start_background_task(job->sio, run_task, job);
    if (!task) {
        free(job);
        return sio_fail(ctx, "no task");
    }
    return sio_task_join(task);
}

/* slow(seconds, tag): emits "done" with the tag afterwards. */
static int on_slow(sio_ctx *ctx, void *arg)
{
    double seconds;
    const char *tag;
    (void)arg;
    if (sio_unpack(ctx, "F s", &seconds, &tag) < 0)
        return SIO_ERROR;
    if (seconds > 0)
        sio_sleep(seconds);
    return sio_emit(ctx, "done", json_string(tag));
}

/* ---- registration ---- */

const sio_method emit_methods[] = {
    { "call", on_call },
    { "callback", on_callback },
    { "emit", on_emit },
    { "server emit", on_server_emit },
    { "send", on_send },
    { "burst", on_burst },
    { "thread", on_thread },
    { "task", on_task },
    { "slow", on_slow },
    { NULL, NULL },
};
