#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/core.h"
#include "app/options.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "http/response.h"

void response_init(app_response *response)
{
    *response = (app_response){ .fd = -1 };
}

static void drop_body(app_response *response)
{
    buf_deinit(&response->body);
    if (response->fd >= 0)
        close(response->fd);
    response->fd = -1;
    response->kind = BODY_NONE;
}

void response_deinit(app_response *response)
{
    drop_body(response);
    response_init(response);
}

void response_reset(carafe_request *req)
{
    response_deinit(&req->response);
}

/* An event handler's request, or one whose answer has left, has nothing to set any more. */
static int check_open(const carafe_request *req)
{
    request_check(req);
    return req->http ? 0 : CARAFE_ERR_STATE;
}

/* ---- headers ---- */

static http_header *find_header(const carafe_request *req, slice name)
{
    for (size_t i = 0; i < req->response.header_count; i++)
        if (slice_eq_nocase(req->response.headers[i].name, name))
            return &req->response.headers[i];
    return NULL;
}

slice response_get_header(const carafe_request *req, const char *name)
{
    const http_header *header = find_header(req, slice_str(name));
    return header ? header->value : (slice){ NULL, 0 };
}

/* Room for one more header. */
static int grow_headers(carafe_request *req)
{
    app_response *response = &req->response;
    if (response->header_count < response->header_cap)
        return 0;
    size_t cap = response->header_cap ? response->header_cap * 2 : 4;
    http_header *headers = arena_alloc(&req->arena, cap * sizeof(*headers));
    if (!headers)
        return CARAFE_ERR_NOMEM;
    if (response->header_count)
        memcpy(headers, response->headers, response->header_count * sizeof(*headers));
    response->headers = headers;
    response->header_cap = cap;
    return 0;
}

int response_set_header(carafe_request *req, slice name, slice value)
{
    if (!http_header_is_valid(name, value))
        return CARAFE_ERR_ARGUMENT;
    bool is_list = slice_is_nocase(name, "Set-Cookie");
    http_header *header = is_list ? NULL : find_header(req, name);
    if (!header)
        TRY(grow_headers(req));
    char *name_copy = header ? NULL : arena_dup(&req->arena, name);
    char *value_copy = arena_dup(&req->arena, value);
    if (!value_copy || (!header && !name_copy))
        return CARAFE_ERR_NOMEM;
    if (!header) {
        header = &req->response.headers[req->response.header_count++];
        header->name = slice_of(name_copy, name.len);
    }
    header->value = slice_of(value_copy, value.len);
    return 0;
}

int carafe_set_header(carafe_request *req, const char *name, const char *value)
{
    TRY(check_open(req));
    if (!name || !value)
        return CARAFE_ERR_ARGUMENT;
    return response_set_header(req, slice_str(name), slice_str(value));
}

/* ---- bodies ---- */

/* Makes `body` the answer's; the bytes are consumed, also on failure. */
static int take_body(carafe_request *req, const char *content_type, buf *body)
{
    int error = response_set_header(req, SLICE_LITERAL("Content-Type"), slice_str(content_type));
    if (error < 0) {
        buf_deinit(body);
        return error;
    }
    drop_body(&req->response);
    req->response.kind = BODY_BYTES;
    req->response.is_answered = true;
    req->response.body = *body;
    return 0;
}

static int print_body(carafe_request *req, const char *content_type, const char *fmt, va_list args)
{
    TRY(check_open(req));
    if (!fmt)
        return CARAFE_ERR_ARGUMENT;
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (len < 0)
        return CARAFE_ERR_BAD_DATA;
    buf body = { 0 };
    TRY(buf_reserve(&body, (size_t)len + 1));
    vsnprintf((char *)body.data, (size_t)len + 1, fmt, args);
    body.len = (size_t)len;
    return take_body(req, content_type, &body);
}

int carafe_text(carafe_request *req, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int result = print_body(req, "text/plain; charset=utf-8", fmt, args);
    va_end(args);
    return result;
}

int carafe_html(carafe_request *req, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int result = print_body(req, "text/html; charset=utf-8", fmt, args);
    va_end(args);
    return result;
}

int carafe_respond_bytes(carafe_request *req, const char *content_type, const void *data,
                         size_t len)
{
    TRY(check_open(req));
    if (len && !data)
        return CARAFE_ERR_ARGUMENT;
    buf body = { 0 };
    TRY(buf_append(&body, data, len));
    return take_body(req, content_type ? content_type : "application/octet-stream", &body);
}

/* Tells running out of memory, after which Jansson only says that it failed, from bad data. */
typedef struct json_target {
    buf body;
    int error;
} json_target;

static int append_json(const char *text, size_t len, void *arg)
{
    json_target *target = arg;
    target->error = buf_append(&target->body, text, len);
    return target->error < 0 ? -1 : 0;
}

/* Jansson writes broken JSON for a key that is not UTF-8 (2.14), and binary payloads have one. A
 * string that is not makes it fail by itself. */
static bool has_valid_keys(json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    json_array_foreach (value, i, member)
        if (!has_valid_keys(member))
            return false;
    json_object_foreach (value, key, member)
        if (!utf8_is_valid(key, strlen(key)) || !has_valid_keys(member))
            return false;
    return true;
}

int carafe_respond_json(carafe_request *req, json_t *value)
{
    json_target target = { 0 };
    int error = check_open(req);
    if (error == 0 && (!value || !has_valid_keys(value)))
        error = CARAFE_ERR_BAD_DATA;
    if (error == 0 &&
        json_dump_callback(value, append_json, &target, JSON_COMPACT | JSON_ENCODE_ANY) < 0)
        error = target.error < 0 ? target.error : CARAFE_ERR_BAD_DATA;
    json_decref(value);
    if (error < 0) {
        buf_deinit(&target.body);
        return error;
    }
    return take_body(req, "application/json", &target.body);
}

int response_set_error_body(carafe_request *req, int status)
{
    const char *message = atomic_load(&req->app->is_debug) ? req->problem : NULL;
    buf body = { 0 };
    int error = http_error_body(&body, status, slice_str(message));
    if (error < 0) {
        buf_deinit(&body);
        return error;
    }
    return take_body(req, "application/json", &body);
}

/* ---- status, redirects, aborts ---- */

static bool is_final_status(int status)
{
    return status >= 200 && status <= 599;
}

int carafe_set_status(carafe_request *req, int status)
{
    TRY(check_open(req));
    if (!is_final_status(status))
        return CARAFE_ERR_ARGUMENT;
    req->response.status = status;
    return 0;
}

int carafe_redirect_with(carafe_request *req, const char *location, int status)
{
    TRY(check_open(req));
    if (status == 0)
        status = 302;
    bool is_redirect = (status >= 301 && status <= 303) || status == 307 || status == 308;
    if (!location || !*location || !is_redirect)
        return CARAFE_ERR_ARGUMENT;
    TRY(response_set_header(req, SLICE_LITERAL("Location"), slice_str(location)));
    drop_body(&req->response);
    req->response.is_answered = true;
    req->response.status = status;
    return 0;
}

int carafe_abort(carafe_request *req, int status)
{
    TRY(check_open(req));
    if (!is_final_status(status))
        return CARAFE_ERR_ARGUMENT;
    response_reset(req);
    req->response.is_answered = true;
    req->response.status = status;
    return status;
}

/* ---- cookies ---- */

/* RFC 6265 4.1.1: cookie-octet. */
static bool is_cookie_value(const char *text)
{
    for (; *text; text++)
        if (*text <= 0x20 || *text >= 0x7f || strchr("\",;\\", *text))
            return false;
    return true;
}

/* RFC 6265 4.1.1: path-value and its like. */
static bool is_cookie_attribute(const char *text)
{
    for (; text && *text; text++)
        if (*text < 0x20 || *text >= 0x7f || *text == ';')
            return false;
    return true;
}

static int check_cookie(const char *name, const char *value, const carafe_cookie_options *options)
{
    static const char *const same_sites[] = { "Lax", "Strict", "None" };
    if (!name || !value || !http_is_token(slice_str(name)) || !is_cookie_value(value) ||
        !is_cookie_attribute(options->path) || !is_cookie_attribute(options->domain))
        return CARAFE_ERR_ARGUMENT;
    if (!options->same_site)
        return 0;
    for (size_t i = 0; i < sizeof(same_sites) / sizeof(same_sites[0]); i++)
        if (strcmp(options->same_site, same_sites[i]) == 0)
            return 0;
    return CARAFE_ERR_ARGUMENT;
}

static int format_cookie(buf *out, const char *name, const char *value,
                         const carafe_cookie_options *options)
{
    TRY(buf_printf(out, "%s=%s", name, value));
    if (options->max_age > 0)
        TRY(buf_printf(out, "; Max-Age=%ld", options->max_age));
    if (options->max_age < 0)
        TRY(buf_append_str(out, "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
    if (options->domain)
        TRY(buf_printf(out, "; Domain=%s", options->domain));
    TRY(buf_printf(out, "; Path=%s", options->path ? options->path : "/"));
    if (options->secure)
        TRY(buf_append_str(out, "; Secure"));
    if (options->http_only)
        TRY(buf_append_str(out, "; HttpOnly"));
    if (options->same_site)
        TRY(buf_printf(out, "; SameSite=%s", options->same_site));
    return 0;
}

int carafe_set_cookie_with(carafe_request *req, const char *name, const char *value,
                           const carafe_cookie_options *given)
{
    carafe_cookie_options options;
    TRY(check_open(req));
    TRY(options_read(&options, sizeof(options), given));
    TRY(check_cookie(name, value, &options));
    buf line = { 0 };
    int error = format_cookie(&line, name, value, &options);
    if (error == 0)
        error = response_set_header(req, SLICE_LITERAL("Set-Cookie"), buf_slice(&line));
    buf_deinit(&line);
    return error;
}
