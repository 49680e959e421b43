/* Acks that handlers took to answer them later, from whatever thread, or never.
 *
 *   PENDING --answered or freed, on the worker-------------------> freed
 *      |  \--the worker ends---------> ORPHANED --answered-------> freed
 *      \--answered after the loop's end--> ABANDONED --on_stopped--> freed
 *
 * PENDING: in the shard's list, with a reference to the socket. ORPHANED: the run is over, and
 * server and socket are not touched any more. ABANDONED: the loop has ended, so only the thread
 * that takes the worker apart may touch the socket. The lock guards these changes, which are rare. */
#include <stdarg.h>
#include <string.h>

#include "base/mem.h"
#include "socketio/event.h"
#include "socketio/payload.h"

struct sio_ack {
    list link;            /* GUARDED_BY(acks_lock), in shard->deferred_acks */
    sio_server *server;   /* GUARDED_BY(acks_lock): NULL when ORPHANED */
    sio_socket *socket;   /* one reference; touched on its worker only */
    bool is_abandoned;    /* GUARDED_BY(acks_lock) */
    unsigned worker_index;
    char digits[SIO_ID_DIGITS_MAX + 1];
};

static pthread_mutex_t acks_lock = PTHREAD_MUTEX_INITIALIZER;

sio_ack *sio_defer_ack(sio_ctx *ctx)
{
    if (ctx->ack_state != SIO_ACK_WANTED)
        return NULL;
    sio_ack *ack = mem_zalloc(sizeof(*ack));
    if (!ack)
        return NULL;
    sio_shard *shard = ctx->socket->ns->shard;
    ack->server = ctx->server;
    ack->worker_index = shard->worker->index;
    ack->socket = sio_socket_ref(ctx->socket);
    memcpy(ack->digits, ctx->id_digits.data, ctx->id_digits.len);
    ctx->ack_state = SIO_ACK_SENT;
    pthread_mutex_lock(&acks_lock);
    list_push_back(&shard->deferred_acks, &ack->link);
    pthread_mutex_unlock(&acks_lock);
    return ack;
}

void sio_deferred_drop(sio_shard *shard)
{
    list *node;
    pthread_mutex_lock(&acks_lock);
    while ((node = list_pop_front(&shard->deferred_acks)) != NULL) {
        sio_ack *ack = LIST_ENTRY(node, sio_ack, link);
        sio_socket_unref(ack->socket);
        ack->socket = NULL;
        ack->server = NULL;
        if (ack->is_abandoned)
            mem_free(ack);
    }
    pthread_mutex_unlock(&acks_lock);
}

typedef struct ack_answer {
    sio_ack *ack;
    json_t *payload; /* NULL: only release */
    int result;
} ack_answer;

static void on_answer(worker *w, void *arg)
{
    ack_answer *answer = arg;
    (void)w;
    pthread_mutex_lock(&acks_lock);
    sio_socket *socket = answer->ack->socket;
    answer->ack->socket = NULL;
    list_unlink(&answer->ack->link);
    pthread_mutex_unlock(&acks_lock);
    /* NULL: its run has ended, and this is the worker of another one. */
    answer->result = socket ? 0 : CARAFE_ERR_CLOSED;
    if (socket && answer->payload)
        answer->result = sio_event_send_ack(socket, slice_str(answer->ack->digits),
                                            answer->payload, (slice){ NULL, 0 });
    if (socket)
        sio_socket_unref(socket);
}

/* Frees the ack, or leaves it to sio_deferred_drop. */
static void let_go(sio_ack *ack)
{
    pthread_mutex_lock(&acks_lock);
    bool is_pending = ack->socket != NULL;
    ack->is_abandoned = is_pending;
    pthread_mutex_unlock(&acks_lock);
    if (!is_pending)
        mem_free(ack);
}

static int answer_ack(sio_ack *ack, json_t *payload)
{
    ack_answer answer = { .ack = ack, .payload = payload, .result = CARAFE_ERR_CLOSED };
    /* sio_defer_ack gives NULL when no ack was asked for, as sio_reply then does nothing. */
    if (!ack) {
        json_decref(payload);
        return 0;
    }
    pthread_mutex_lock(&acks_lock);
    sio_server *server = ack->server;
    pthread_mutex_unlock(&acks_lock);
    if (server && app_call(server->core.ext.app, ack->worker_index, on_answer, &answer) < 0)
        answer.result = CARAFE_ERR_CLOSED;
    let_go(ack);
    json_decref(payload);
    return answer.result;
}

int sio_ack_reply(sio_ack *ack, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    json_t *payload = payload_vtuple(fmt, args);
    va_end(args);
    return answer_ack(ack, payload);
}

int sio_ack_reply_json(sio_ack *ack, json_t *args)
{
    return answer_ack(ack, sio_tuple_of(args));
}

void sio_ack_free(sio_ack *ack)
{
    if (ack)
        answer_ack(ack, NULL);
}
