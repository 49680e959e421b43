/* What a handler reads of its event, and the answers it gives. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "socketio/event.h"
#include "socketio/payload.h"

/* ---- reading ---- */

const char *sio_sid(sio_ctx *ctx)
{
    return ctx->socket->sid;
}

const char *sio_namespace(sio_ctx *ctx)
{
    return ctx->socket->ns->name;
}

const char *sio_event(sio_ctx *ctx)
{
    return ctx->event;
}

json_t *sio_args(sio_ctx *ctx)
{
    if (ctx->args)
        return ctx->args;
    if (ctx->args_text.data &&
        sio_json_decode(ctx->args_text.data, ctx->args_text.len, NULL, &ctx->args) < 0)
        ctx->args = NULL;
    else if (!ctx->args_text.data)
        ctx->args = json_array();
    return ctx->args;
}

const char *sio_args_raw(sio_ctx *ctx, size_t *len)
{
    if (ctx->args_text.data && len)
        *len = ctx->args_text.len;
    return ctx->args_text.data;
}

json_t *sio_auth(sio_ctx *ctx)
{
    /* None sent and an empty object are the same to clients, and easier on handlers. */
    if (!ctx->auth && ctx->is_connect)
        ctx->auth = json_object();
    return ctx->auth;
}

const char *sio_reason(sio_ctx *ctx)
{
    return ctx->reason;
}

json_t *sio_data(sio_ctx *ctx)
{
    if (!ctx->socket->data)
        ctx->socket->data = json_object();
    return ctx->socket->data;
}

const char *sio_transport(sio_ctx *ctx)
{
    return eio_transport(ctx->socket->client->eio);
}

carafe_request *sio_request(sio_ctx *ctx)
{
    if (!ctx->request)
        ctx->request = app_request_of_handshake(ctx->server->core.ext.app,
                                                ctx->socket->client->eio->handshake);
    return ctx->request;
}

sio_server *sio_server_of(sio_ctx *ctx)
{
    return ctx->server;
}

/* ---- errors ---- */

static void set_error(sio_ctx *ctx, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    char *text = len < 0 ? NULL : mem_alloc((size_t)len + 1);
    if (!text)
        return;
    vsnprintf(text, (size_t)len + 1, fmt, args);
    mem_free(ctx->error);
    ctx->error = text;
}

int sio_fail(sio_ctx *ctx, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_error(ctx, fmt, args);
    va_end(args);
    return SIO_ERROR;
}

const char *sio_error_message(sio_ctx *ctx)
{
    return ctx->error ? ctx->error : "the handler failed";
}

int sio_refuse(sio_ctx *ctx, const char *message, json_t *data)
{
    if (!ctx->is_connect) {
        json_decref(data);
        log_line(LOG_APP, LOG_ERROR, "sio_refuse: only a connect handler can refuse (event \"%s\")",
                 ctx->event);
        return SIO_ERROR;
    }
    mem_free(ctx->refusal);
    json_decref(ctx->refusal_data);
    ctx->refusal = message ? mem_strdup(message) : NULL;
    ctx->refusal_data = data;
    ctx->is_refused = true;
    return SIO_ERROR;
}

/* ---- acks ---- */

bool sio_wants_ack(sio_ctx *ctx)
{
    return ctx->ack_state == SIO_ACK_WANTED;
}

/* 0: go on; 1: nothing to do; or an error. */
static int check_reply(sio_ctx *ctx)
{
    if (ctx->ack_state == SIO_ACK_NOT_WANTED)
        return 1;
    if (ctx->ack_state == SIO_ACK_WANTED)
        return 0;
    log_line(LOG_APP, LOG_ERROR, "sio_reply: event \"%s\" has been answered already", ctx->event);
    return CARAFE_ERR_STATE;
}

static int reply(sio_ctx *ctx, json_t *payload, slice raw)
{
    int result = check_reply(ctx);
    if (result == 0) {
        result = sio_event_send_ack(ctx->socket, ctx->id_digits, payload, raw);
        if (result == 0)
            ctx->ack_state = SIO_ACK_SENT;
        if (result == CARAFE_ERR_BAD_DATA)
            log_line(LOG_APP, LOG_ERROR, "sio_reply: the answer to \"%s\" cannot be encoded",
                     ctx->event);
    }
    json_decref(payload);
    return result > 0 ? 0 : result;
}

int sio_reply(sio_ctx *ctx, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    json_t *payload = payload_vtuple(fmt, args);
    va_end(args);
    return reply(ctx, payload, (slice){ NULL, 0 });
}

int sio_reply_json(sio_ctx *ctx, json_t *args)
{
    return reply(ctx, sio_tuple_of(args), (slice){ NULL, 0 });
}

int sio_reply_raw(sio_ctx *ctx, const char *args, size_t len)
{
    slice raw = slice_of(args, len);
    TRY(sio_raw_check(ctx, raw));
    return reply(ctx, NULL, raw);
}

int sio_raw_check(const sio_ctx *ctx, slice raw)
{
    /* What came in was checked then. */
    if (raw.data && ctx && raw.data == ctx->args_text.data && raw.len == ctx->args_text.len)
        return 0;
    bool is_array = raw.data && raw.len >= 2 && raw.data[0] == '[' && raw.data[raw.len - 1] == ']';
    if (!is_array || !utf8_is_valid(raw.data, raw.len) ||
        json_text_check(raw.data, raw.len, NULL) < 0) {
        log_line(LOG_APP, LOG_ERROR, "raw arguments are not a JSON array");
        return CARAFE_ERR_BAD_JSON;
    }
    return 0;
}
