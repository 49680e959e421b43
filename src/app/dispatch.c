/* From a complete request to its answer:
 *
 *   rule for the path -> before hooks -> view -> error handler -> after hooks -> sent -> teardown
 *
 * all on one coroutine. A before hook that answers skips the view; a path without a rule, or
 * without one for the method, is answered here and passes the hooks too, as in Flask. */
#include <stdio.h>
#include <string.h>

#include "app/core.h"
#include "base/log.h"

/* ---- what the path leads to ---- */

/* RFC 3986 3.3: pchar, and the slash. Anything else could mean something to a browser. */
static bool is_path_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~!$&'()*+,;=:@/", c));
}

/* Redirects to the same path with a slash behind it; `path` is decoded. */
static int redirect_to_slash(carafe_request *req, slice path)
{
    static const char HEX[] = "0123456789ABCDEF";
    /* "//host/" would lead to another server. */
    if (slice_starts_with(path, SLICE_LITERAL("//")))
        return 404;
    slice query = req->sent_query;
    char *location = arena_alloc(&req->arena, path.len * 3 + query.len + 3);
    if (!location)
        return CARAFE_ERR_NOMEM;
    char *at = location;
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.data[i];
        if (is_path_char((char)c)) {
            *at++ = (char)c;
        } else {
            *at++ = '%';
            *at++ = HEX[c >> 4];
            *at++ = HEX[c & 15];
        }
    }
    *at++ = '/';
    snprintf(at, query.len + 2, "%s%.*s", query.data ? "?" : "", (int)query.len,
             query.data ? query.data : "");
    return carafe_redirect(req, location, 308);
}

static bool has_rule_with_slash(carafe_request *req, slice path)
{
    if (path.len == 0 || path.data[path.len - 1] == '/')
        return false;
    char *longer = arena_alloc(&req->arena, path.len + 1);
    if (!longer)
        return false;
    memcpy(longer, path.data, path.len);
    longer[path.len] = '/';
    route_match match;
    router_match(&req->app->routes, slice_of(longer, path.len + 1), req->http->head.method, &match);
    return match.route != NULL;
}

static int answer_allow(carafe_request *req, unsigned methods, int status)
{
    char allow[ROUTE_ALLOW_SIZE];
    route_methods_format(methods, allow);
    TRY(carafe_set_header(req, "Allow", allow));
    if (status == 200)
        TRY(carafe_respond_bytes(req, "text/plain; charset=utf-8", NULL, 0));
    return status;
}

static void find_route(carafe_request *req)
{
    slice path = slice_str(carafe_path(req));
    req->match = (route_match){ 0 };
    if (!req->is_bad_path)
        router_match(&req->app->routes, path, req->http->head.method, &req->match);
}

/* Calls the view, or answers for the rules there are. */
static int call_view(carafe_request *req)
{
    const route_match *match = &req->match;
    if (match->route)
        return match->route->view(req, match->route->arg);
    http_method method = req->http->head.method;
    bool is_options = method == HTTP_METHOD_OPTIONS;
    slice path = slice_str(carafe_path(req));
    if (match->allowed)
        return answer_allow(req, match->allowed, is_options ? 200 : 405);
    /* RFC 9110 9.3.7: "*" asks about the server as a whole. */
    if (is_options && slice_is(path, "*"))
        return answer_allow(req, ~0u, 200);
    if (!req->is_bad_path && has_rule_with_slash(req, path))
        return redirect_to_slash(req, path);
    return 404;
}

/* ---- results ---- */

static const char *name_of(const carafe_request *req)
{
    return req->match.route ? req->match.route->endpoint : "no view";
}

/* Something of the user's failed: what was set so far is dropped. */
static void fail(carafe_request *req, const char *what, int error)
{
    log_line(LOG_APP, LOG_ERROR, "%s %s (%s): %s failed: %s", carafe_method(req), carafe_path(req),
             name_of(req), what, carafe_strerror(error));
    response_reset(req);
    req->response.status = 500;
    req->problem = carafe_strerror(error);
}

/* Takes over what a view or hook returned. False when it failed. */
static bool take_result(carafe_request *req, const char *what, int result)
{
    if (result == CARAFE_ERR_FILE) {
        response_reset(req);
        result = 404;
    }
    if (result < 0) {
        fail(req, what, result);
        return false;
    }
    if (result > 0 && carafe_set_status(req, result) < 0) {
        log_line(LOG_APP, LOG_ERROR, "%s (%s) returned %d, which is no HTTP status", what,
                 name_of(req), result);
        fail(req, what, CARAFE_ERR_ARGUMENT);
        return false;
    }
    return true;
}

static const app_hook *find_error_handler(const carafe_app *app, int status)
{
    for (size_t i = 0; i < app->errors.count; i++)
        if (app->errors.items[i].status == status)
            return &app->errors.items[i];
    return NULL;
}

/* An answer without a body gets one from the error handler, an error at least the standard one. */
static void complete(carafe_request *req)
{
    app_response *response = &req->response;
    if (response->kind != BODY_NONE)
        return;
    const app_hook *handler = find_error_handler(req->app, response->status);
    if (handler)
        take_result(req, "error handler", handler->fn(req, handler->arg));
    if (response->kind == BODY_NONE && response->status >= 400 &&
        response_set_error_body(req, response->status) < 0)
        log_line(LOG_APP, LOG_ERROR, "%s: error page not made: out of memory", carafe_path(req));
}

/* ---- the pipeline ---- */

/* True when one of them has answered. */
static bool call_before_hooks(carafe_request *req)
{
    const app_hooks *hooks = &req->app->before;
    for (size_t i = 0; i < hooks->count; i++) {
        int result = hooks->items[i].fn(req, hooks->items[i].arg);
        if (!take_result(req, "before_request hook", result))
            return true;
        if (result != 0 || req->response.is_answered)
            return true;
    }
    return false;
}

static void call_after_hooks(carafe_request *req)
{
    const app_hooks *hooks = &req->app->after;
    for (size_t i = hooks->count; i-- > 0;) {
        int result = hooks->items[i].fn(req, hooks->items[i].arg);
        bool is_fine = take_result(req, "after_request hook", result);
        if (!is_fine || result < 0)
            complete(req);
    }
}

static void call_teardown_hooks(carafe_request *req)
{
    const app_hooks *hooks = &req->app->teardown;
    for (size_t i = hooks->count; i-- > 0;) {
        int result = hooks->items[i].fn(req, hooks->items[i].arg);
        if (result < 0)
            log_line(LOG_APP, LOG_ERROR, "%s %s (%s): teardown_request hook failed: %s",
                     carafe_method(req), carafe_path(req), name_of(req), carafe_strerror(result));
    }
}

/* The coroutine of one request. */
static void serve(void *arg)
{
    carafe_request *req = arg;
    find_route(req);
    if (!call_before_hooks(req))
        take_result(req, "view", call_view(req));
    complete(req);
    call_after_hooks(req);
    bool has_teardown = req->app->teardown.count > 0;
    if (has_teardown && !app_request_keep_head(req))
        log_line(LOG_APP, LOG_WARNING, "%s: teardown hooks see no headers: out of memory",
                 carafe_path(req));
    response_send(req);
    if (has_teardown)
        call_teardown_hooks(req);
    app_request_free(req);
}

/* ---- the service ---- */

static void on_head(http_request *http)
{
    carafe_app *app = http->service->arg;
    app_extension *ext = app_find_extension(app, http->head.path);
    http->body_size_max = app->body_size_max;
    if (ext && ext->on_head)
        ext->on_head(ext, http);
}

static void on_request(http_request *http)
{
    carafe_app *app = http->service->arg;
    app_extension *ext = app_find_extension(app, http->head.path);
    if (ext && ext->on_request) {
        ext->on_request(ext, http);
        return;
    }
    carafe_request *req = app_request_new(app, http);
    int error = req ? worker_spawn(http->worker, serve, req) : CARAFE_ERR_NOMEM;
    if (error == 0)
        return;
    app_request_free(req);
    http_respond_error(http, 503,
                       error == CARAFE_ERR_TOO_MANY ? "too many requests are waiting"
                                                    : "out of memory");
}

void dispatch_init(carafe_app *app)
{
    app->service = (http_service){ .on_head = on_head, .on_request = on_request, .arg = app };
}
