#include "engineio/server.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engineio/session.h"
#include "http/url.h"

/* ---- the query ---- */

static void see(bool *is_seen, eio_query *out)
{
    out->is_repeated = out->is_repeated || *is_seen;
    *is_seen = true;
}

void eio_query_parse(slice query, eio_query *out)
{
    http_pair pair;
    bool has_eio = false, has_transport = false;
    *out = (eio_query){ 0 };
    while (http_query_next(&query, &pair)) {
        if (slice_is(pair.key, "EIO")) {
            see(&has_eio, out);
            out->is_v4 = slice_is(pair.value, "4");
        } else if (slice_is(pair.key, "transport")) {
            see(&has_transport, out);
            out->is_polling = slice_is(pair.value, "polling");
            out->is_websocket = slice_is(pair.value, "websocket");
        } else if (slice_is(pair.key, "sid")) {
            see(&out->has_sid, out);
            out->sid = pair.value;
        } else if (slice_is(pair.key, "b64")) {
            out->is_b64 = true;
        }
    }
}

/* ---- answers ---- */

static slice scheme_of(const http_request *req)
{
    (void)req;
    return SLICE_LITERAL("http");
}

size_t eio_cors_headers(const eio_core *core, const http_request *req, http_header *headers)
{
    const eio_origin_policy *policy = &core->config.origins;
    slice origin = http_head_find(&req->head, "Origin");
    if (!origin.data || policy->is_off)
        return 0;
    /* The origin itself, never "*": browsers refuse that together with credentials. */
    size_t count = 0;
    headers[count++] = (http_header){ SLICE_LITERAL("Access-Control-Allow-Origin"), origin };
    headers[count++] = (http_header){ SLICE_LITERAL("Vary"), SLICE_LITERAL("Origin") };
    if (policy->allow_credentials)
        headers[count++] = (http_header){ SLICE_LITERAL("Access-Control-Allow-Credentials"),
                                          SLICE_LITERAL("true") };
    return count;
}

static const char *const error_messages[] = {
    [EIO_UNKNOWN_TRANSPORT] = "Transport unknown",
    [EIO_UNKNOWN_SID] = "Session ID unknown",
    [EIO_BAD_METHOD] = "Bad handshake method",
    [EIO_BAD_REQUEST] = "Bad request",
    [EIO_FORBIDDEN] = "Forbidden",
    [EIO_BAD_VERSION] = "Unsupported protocol version",
};

static void answer_error(eio_core *core, http_request *req, eio_error code, bool with_cors)
{
    char body[256];
    http_header headers[EIO_CORS_HEADERS_MAX + 1] = {
        { SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json") },
    };
    size_t count = 1 + (with_cors ? eio_cors_headers(core, req, headers + 1) : 0);
    int len = snprintf(body, sizeof(body), "{\"code\":%d,\"message\":\"%s\"}", code,
                       error_messages[code]);
    http_respond(req, code == EIO_FORBIDDEN ? 403 : 400, headers, count,
                 slice_of(body, (size_t)len));
}

static void log_refusal(const http_request *req, eio_error code, const char *why)
{
    char peer[NET_ADDR_TEXT_SIZE];
    net_addr_format(&req->peer, peer);
    log_line(LOG_ENGINEIO, LOG_WARNING, "%s: request refused: %s%s%s", peer, error_messages[code],
             why ? ": " : "", why ? why : "");
}

void eio_refuse(eio_core *core, http_request *req, eio_error code, const char *why)
{
    log_refusal(req, code, why);
    answer_error(core, req, code, true);
}

void eio_answer_error(eio_core *core, http_request *req, eio_error code)
{
    answer_error(core, req, code, true);
}

/* ---- origins ---- */

static bool check_by_program(const eio_core *core, const http_request *req, slice origin)
{
    char *text = mem_dup(origin.data, origin.len);
    app_handshake *handshake = app_handshake_new(req);
    carafe_request *request =
        handshake ? app_request_of_handshake(core->ext.app, handshake) : NULL;
    bool is_allowed = text && request &&
                      core->config.origin_check(text, request, core->config.origin_check_arg);
    app_request_free(request);
    app_handshake_free(handshake);
    mem_free(text);
    return is_allowed;
}

static bool is_origin_allowed(const eio_core *core, const http_request *req)
{
    slice origin = http_head_find(&req->head, "Origin");
    if (!origin.data)
        return true;
    if (core->config.origin_check)
        return check_by_program(core, req, origin);
    return eio_origin_is_allowed(&core->config.origins, origin, scheme_of(req), req->head.host);
}

/* True when the request may be served; else it has been answered. */
static bool check_origin(eio_core *core, http_request *req)
{
    if (is_origin_allowed(core, req))
        return true;
    slice origin = http_head_find(&req->head, "Origin");
    char why[512];
    snprintf(why, sizeof(why),
             "origin \"%.*s\" is not accepted; this server is \"http://%.*s\"; to let it in, set "
             ".cors_allowed_origins = \"%.*s\"",
             (int)(origin.len < 100 ? origin.len : 100), origin.data,
             (int)(req->head.host.len < 100 ? req->head.host.len : 100),
             req->head.host.len ? req->head.host.data : "",
             (int)(origin.len < 100 ? origin.len : 100), origin.data);
    log_refusal(req, EIO_BAD_REQUEST, why);
    answer_error(core, req, EIO_BAD_REQUEST, false);
    return false;
}

static void answer_preflight(eio_core *core, http_request *req)
{
    http_header headers[EIO_CORS_HEADERS_MAX + 2];
    size_t count = eio_cors_headers(core, req, headers);
    headers[count++] = (http_header){ SLICE_LITERAL("Access-Control-Allow-Methods"),
                                      SLICE_LITERAL("OPTIONS, GET, POST") };
    slice asked = http_head_find(&req->head, "Access-Control-Request-Headers");
    if (asked.data)
        headers[count++] = (http_header){ SLICE_LITERAL("Access-Control-Allow-Headers"), asked };
    http_respond(req, 204, headers, count, (slice){ NULL, 0 });
}

/* ---- requests ---- */

static eio_core *core_of(app_extension *ext)
{
    return LIST_ENTRY(ext, eio_core, ext);
}

/* What follows the server's path: empty for Engine.IO's own requests. */
static slice rest_of_path(const eio_core *core, const http_request *req)
{
    size_t len = strlen(core->config.path);
    return slice_of(req->head.path.data + len, req->head.path.len - len);
}

static void on_head(app_extension *ext, http_request *req)
{
    eio_core *core = core_of(ext);
    eio_query query;
    req->body_size_max = core->config.message_size_max;
    if (rest_of_path(core, req).len)
        return;
    eio_query_parse(req->head.query, &query);
    if (!query.has_sid || query.is_repeated)
        return;
    int owner = sid_worker(query.sid.data, query.sid.len);
    if (owner >= 0 && (unsigned)owner < core->shard_count &&
        (unsigned)owner != req->worker->index) {
        http_request_move(req, core->shards[owner].worker);
        return;
    }
    eio_socket *sock = eio_shard_find(eio_shard_of(core, req->worker), query.sid);
    bool is_post = sock && req->head.method == HTTP_METHOD_POST && query.is_polling;
    /* A foreign page's POST must not reach the session; on_request refuses it. */
    if (is_post && !sock->is_websocket && is_origin_allowed(core, req))
        eio_polling_begin_post(core, req, sock);
}

static void serve_handshake(eio_core *core, http_request *req, const eio_query *query)
{
    bool is_upgrade = ws_is_requested(req);
    if (req->head.method != HTTP_METHOD_GET)
        eio_refuse(core, req, EIO_BAD_METHOD, NULL);
    else if (!query->is_v4)
        eio_refuse(core, req, EIO_BAD_VERSION, "clients 3.x and 4.x (EIO=4) are supported");
    else if (query->is_websocket != is_upgrade)
        eio_refuse(core, req, EIO_BAD_REQUEST, "transport and request do not fit");
    else if (app_is_stopping(core->ext.app))
        http_respond_error(req, 503, "the server is stopping");
    else if (is_upgrade)
        eio_websocket_handshake(core, req, query);
    else
        eio_polling_handshake(core, req, query);
}

static void serve_session(eio_core *core, http_request *req, const eio_query *query)
{
    eio_socket *sock = eio_shard_find(eio_shard_of(core, req->worker), query->sid);
    bool is_upgrade = ws_is_requested(req);
    if (!sock)
        eio_refuse(core, req, EIO_UNKNOWN_SID, NULL);
    else if (query->is_websocket && is_upgrade && core->config.allow_upgrades)
        eio_websocket_probe(sock, req);
    else if (query->is_websocket || is_upgrade)
        eio_refuse(core, req, EIO_BAD_REQUEST, "transport and request do not fit");
    else if (sock->is_websocket)
        eio_refuse(core, req, EIO_BAD_REQUEST, "the session is on another transport");
    else if (req->head.method != HTTP_METHOD_GET)
        eio_refuse(core, req, EIO_BAD_METHOD, NULL);
    else
        eio_polling_request(sock, req);
}

static void on_request(app_extension *ext, http_request *req)
{
    eio_core *core = core_of(ext);
    slice rest = rest_of_path(core, req);
    if (rest.len) {
        if (core->on_other)
            core->on_other(core, req, rest);
        else
            http_respond_error(req, 404, NULL);
        return;
    }
    /* A POST whose session on_head has found; it may have ended since. */
    if (req->user) {
        eio_polling_request(req->user, req);
        return;
    }
    if (!check_origin(core, req))
        return;
    if (req->head.method == HTTP_METHOD_OPTIONS && http_head_find(&req->head, "Origin").data &&
        !core->config.origins.is_off) {
        answer_preflight(core, req);
        return;
    }
    eio_query query;
    eio_query_parse(req->head.query, &query);
    bool is_known = (query.is_polling && core->config.has_polling) ||
                    (query.is_websocket && core->config.has_websocket);
    if (!is_known)
        eio_refuse(core, req, EIO_UNKNOWN_TRANSPORT, NULL);
    else if (query.is_repeated)
        eio_refuse(core, req, EIO_BAD_REQUEST, "a parameter is repeated");
    else if (query.has_sid)
        serve_session(core, req, &query);
    else
        serve_handshake(core, req, &query);
}

/* ---- life cycle ---- */

static slice key_of_session(const void *value)
{
    const eio_socket *sock = value;
    return slice_of(sock->sid, SID_LEN);
}

static int on_start(app_extension *ext, worker *w)
{
    eio_core *core = core_of(ext);
    if (w->index == 0) {
        /* A start that failed half way leaves a table, perhaps for fewer workers. */
        mem_free(core->shards);
        core->shard_count = app_worker_count(ext->app);
        core->shards = mem_zalloc(core->shard_count * sizeof(*core->shards));
        if (!core->shards)
            return CARAFE_ERR_NOMEM;
    }
    eio_shard *shard = eio_shard_of(core, w);
    *shard = (eio_shard){ .core = core, .worker = w };
    map_init(&shard->sessions, key_of_session);
    list_init(&shard->all);
    list_init(&shard->closed);
    list_init(&shard->dirty);
    return core->on_start ? core->on_start(core, w) : 0;
}

static void on_stopping(app_extension *ext, worker *w)
{
    eio_core *core = core_of(ext);
    eio_shard *shard = eio_shard_of(core, w);
    for (list *node = shard->all.next; node != &shard->all; node = node->next)
        eio_socket_end(LIST_ENTRY(node, eio_socket, all_link), EIO_REASON_SHUTDOWN);
    if (core->on_stopping)
        core->on_stopping(core, w);
}

static bool is_idle(app_extension *ext, worker *w)
{
    eio_core *core = core_of(ext);
    return list_is_empty(&eio_shard_of(core, w)->all) &&
           (!core->is_idle || core->is_idle(core, w));
}

static void on_stopped(app_extension *ext, worker *w)
{
    eio_core *core = core_of(ext);
    if (!core->shards)
        return;
    eio_shard *shard = eio_shard_of(core, w);
    if (core->on_stopped)
        core->on_stopped(core, w);
    map_deinit(&shard->sessions);
    buf_deinit(&shard->scratch);
    /* The last worker takes the table along. */
    if (w->index + 1 < core->shard_count)
        return;
    mem_free(core->shards);
    core->shards = NULL;
    core->shard_count = 0;
}

int eio_core_init(eio_core *core, const eio_server_options *options, const char *default_path,
                  const eio_events *events)
{
    *core = (eio_core){ .events = *events };
    TRY(eio_config_init(&core->config, options, default_path));
    core->ext = (app_extension){
        .prefix = core->config.path,
        .on_start = on_start,
        .on_head = on_head,
        .on_request = on_request,
        .on_stopping = on_stopping,
        .is_idle = is_idle,
        .on_stopped = on_stopped,
    };
    if (options->engineio_logger)
        log_set_level(LOG_ENGINEIO, options->engineio_logger == SIO_ON ? LOG_DEBUG : LOG_WARNING);
    return 0;
}

void eio_core_deinit(eio_core *core)
{
    app_detach(&core->ext);
    mem_free(core->shards);
    core->shards = NULL;
    eio_config_deinit(&core->config);
}
