#include <string.h>

#include "app/core.h"
#include "app/handshake.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "http/url.h"

/* ---- life cycle ---- */

static carafe_request *request_new(carafe_app *app)
{
    carafe_request *req = mem_alloc(sizeof(*req));
    if (!req)
        return NULL;
    /* The room behind the other members needs no clearing. */
    memset(req, 0, offsetof(carafe_request, room));
    req->magic = REQUEST_MAGIC;
    req->app = app;
    response_init(&req->response);
    arena_init(&req->arena, req->room, sizeof(req->room));
    return req;
}

carafe_request *app_request_new(carafe_app *app, http_request *http)
{
    carafe_request *req = request_new(app);
    if (!req)
        return NULL;
    req->http = http;
    req->peer = http->peer;
    req->sent_path = http->head.path;
    req->sent_query = http->head.query;
    req->body = http->body;
    http->body = (buf){ 0 };
    return req;
}

carafe_request *app_request_of_handshake(carafe_app *app, const app_handshake *handshake)
{
    carafe_request *req = request_new(app);
    if (!req)
        return NULL;
    req->handshake = handshake;
    req->peer = *app_handshake_peer(handshake);
    req->sent_path = app_handshake_path(handshake);
    req->sent_query = app_handshake_query(handshake);
    req->method = "GET";
    return req;
}

bool app_request_keep_head(carafe_request *req)
{
    carafe_method(req);
    carafe_path(req); /* the match points into it already */
    req->own_handshake = app_handshake_new_whole(req->http);
    req->handshake = req->own_handshake;
    if (!req->own_handshake)
        return false;
    req->sent_path = app_handshake_path(req->own_handshake);
    req->sent_query = app_handshake_query(req->own_handshake);
    return true;
}

void app_request_free(carafe_request *req)
{
    if (!req)
        return;
    request_check(req);
    req->magic = 0;
    response_deinit(&req->response);
    buf_deinit(&req->body);
    json_decref(req->query_all);
    json_decref(req->json);
    json_decref(req->g);
    app_handshake_free(req->own_handshake);
    arena_deinit(&req->arena);
    mem_free(req);
}

carafe_app *carafe_current_app(carafe_request *req)
{
    request_check(req);
    return req->app;
}

/* ---- the request line ---- */

const char *carafe_method(carafe_request *req)
{
    request_check(req);
    if (!req->method && req->http)
        req->method = arena_dup(&req->arena, req->http->head.method_name);
    return req->method ? req->method : "";
}

/* A path that cannot be decoded is shown as it was sent; no rule matches it. */
const char *carafe_path(carafe_request *req)
{
    request_check(req);
    if (req->path)
        return req->path;
    char *path = arena_dup(&req->arena, req->sent_path);
    if (!path)
        return "";
    req->is_bad_path = http_path_decode(req->sent_path, path, req->sent_path.len + 1) < 0;
    if (req->is_bad_path)
        memcpy(path, req->sent_path.data, req->sent_path.len);
    req->path = path;
    return path;
}

const char *carafe_url(carafe_request *req)
{
    request_check(req);
    if (req->url)
        return req->url;
    size_t path_len = req->sent_path.len, query_len = req->sent_query.len;
    char *url = arena_alloc(&req->arena, path_len + 1 + query_len + 1);
    if (!url)
        return "";
    size_t len = 0;
    if (path_len)
        memcpy(url, req->sent_path.data, path_len);
    len = path_len;
    if (req->sent_query.data)
        url[len++] = '?';
    if (query_len)
        memcpy(url + len, req->sent_query.data, query_len);
    url[len + query_len] = '\0';
    req->url = url;
    return url;
}

const char *carafe_view_arg(carafe_request *req, const char *name)
{
    request_check(req);
    slice value = name ? route_match_arg(&req->match, name) : (slice){ NULL, 0 };
    return value.data ? arena_dup(&req->arena, value) : NULL;
}

const char *carafe_remote_addr(carafe_request *req)
{
    request_check(req);
    if (!req->remote_addr) {
        char text[NET_ADDR_TEXT_SIZE];
        net_addr_format(&req->peer, text);
        req->remote_addr = arena_dup(&req->arena, slice_str(text));
    }
    return req->remote_addr ? req->remote_addr : "";
}

/* ---- query and form ---- */

/* The decoded value of the first pair with that key; NULL when there is none, or a NUL in it. */
static const char *first_value(carafe_request *req, slice pairs, const char *key)
{
    http_pair pair;
    while (key && http_query_next(&pairs, &pair)) {
        if (!http_pair_is(&pair, key))
            continue;
        char *value = arena_alloc(&req->arena, pair.value.len + 1);
        if (!value)
            return NULL;
        ptrdiff_t len = http_form_decode(pair.value, value, pair.value.len + 1);
        return len < 0 || memchr(value, '\0', (size_t)len) ? NULL : value;
    }
    return NULL;
}

const char *carafe_query(carafe_request *req, const char *key)
{
    request_check(req);
    return first_value(req, req->sent_query, key);
}

static bool is_form(carafe_request *req)
{
    size_t at = 0;
    slice type;
    if (!app_request_header(req, "Content-Type", &at, &type))
        return false;
    slice essence;
    return slice_split(&type, ';', &essence) &&
           slice_is_nocase(slice_trim(essence), "application/x-www-form-urlencoded");
}

const char *carafe_form(carafe_request *req, const char *key)
{
    request_check(req);
    return is_form(req) ? first_value(req, buf_slice(&req->body), key) : NULL;
}

/* Bytes of the character at the front, 0 when there is no whole valid one. */
static size_t utf8_front(const char *text, size_t len)
{
    for (size_t n = 1; n <= 4 && n <= len; n++)
        if (utf8_is_valid(text, n))
            return n;
    return 0;
}

/* A JSON string of any bytes: what is not UTF-8 becomes U+FFFD, as in Flask. */
static json_t *lossy_string(const char *text, size_t len)
{
    if (utf8_is_valid(text, len))
        return json_stringn_nocheck(text, len);
    buf clean = { 0 };
    int error = 0;
    for (size_t i = 0; i < len && error == 0;) {
        size_t n = utf8_front(text + i, len - i);
        error = n ? buf_append(&clean, text + i, n) : buf_append(&clean, "\xef\xbf\xbd", 3);
        i += n ? n : 1;
    }
    json_t *value = error < 0 ? NULL : json_stringn_nocheck((char *)clean.data, clean.len);
    buf_deinit(&clean);
    return value;
}

/* Adds a value to what the key has already. */
static int add_value(json_t *object, const char *key, json_t *value)
{
    json_t *before = json_object_get(object, key);
    if (!before)
        return json_object_set_new(object, key, value);
    if (json_is_array(before))
        return json_array_append_new(before, value);
    json_t *both = json_pack("[O,o]", before, value);
    return both ? json_object_set_new(object, key, both) : -1;
}

static int add_pair(json_t *object, const http_pair *pair, char *scratch, size_t cap)
{
    ptrdiff_t len = http_form_decode(pair->key, scratch, cap);
    json_t *key = len < 0 ? NULL : lossy_string(scratch, (size_t)len);
    len = http_form_decode(pair->value, scratch, cap);
    json_t *value = len < 0 ? NULL : lossy_string(scratch, (size_t)len);
    int result = -1;
    if (key && value)
        result = add_value(object, json_string_value(key), json_incref(value));
    json_decref(key);
    json_decref(value);
    return result;
}

json_t *carafe_query_all(carafe_request *req)
{
    request_check(req);
    if (req->query_all)
        return req->query_all;
    slice rest = req->sent_query;
    size_t cap = rest.len + 1;
    char *scratch = arena_alloc(&req->arena, cap);
    json_t *object = scratch ? json_object() : NULL;
    http_pair pair;
    while (object && http_query_next(&rest, &pair)) {
        if (add_pair(object, &pair, scratch, cap) < 0) {
            json_decref(object);
            object = NULL;
        }
    }
    req->query_all = object;
    return object;
}

/* ---- headers ---- */

bool app_request_header(carafe_request *req, const char *name, size_t *at, slice *value)
{
    if (req->http)
        return http_head_next(&req->http->head, name, at, value);
    return req->handshake && app_handshake_next(req->handshake, name, at, value);
}

/* RFC 9110 5.3: several lines mean the same as one with commas; Cookie is joined by RFC 6265. */
static const char *join_header(carafe_request *req, const char *name, const char *separator)
{
    size_t at = 0, len = 0, count = 0;
    slice value, first = { NULL, 0 };
    while (app_request_header(req, name, &at, &value)) {
        first = count++ ? first : value;
        len += value.len + strlen(separator);
    }
    if (count == 0)
        return NULL;
    if (count == 1)
        return arena_dup(&req->arena, first);
    char *joined = arena_alloc(&req->arena, len + 1);
    if (!joined)
        return NULL;
    len = 0;
    for (at = 0; app_request_header(req, name, &at, &value);) {
        if (len) {
            memcpy(joined + len, separator, strlen(separator));
            len += strlen(separator);
        }
        memcpy(joined + len, value.data, value.len);
        len += value.len;
    }
    joined[len] = '\0';
    return joined;
}

const char *carafe_header(carafe_request *req, const char *name)
{
    request_check(req);
    if (!name)
        return NULL;
    return join_header(req, name, slice_is_nocase(slice_str(name), "Cookie") ? "; " : ", ");
}

const char *carafe_cookie(carafe_request *req, const char *name)
{
    request_check(req);
    size_t at = 0;
    slice lines, pair;
    while (name && app_request_header(req, "Cookie", &at, &lines)) {
        while (slice_split(&lines, ';', &pair)) {
            pair = slice_trim(pair);
            slice key;
            if (!slice_split(&pair, '=', &key) || !pair.data || !slice_is(slice_trim(key), name))
                continue;
            slice value = slice_trim(pair);
            if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"')
                value = slice_of(value.data + 1, value.len - 2);
            return arena_dup(&req->arena, value);
        }
    }
    return NULL;
}

/* ---- the body ---- */

const char *carafe_body(carafe_request *req, size_t *len)
{
    request_check(req);
    size_t body_len = buf_readable(&req->body);
    const char *body = body_len ? buf_cstr(&req->body) : "";
    if (len)
        *len = body ? body_len : 0;
    return body ? body : "";
}

/* Jansson's parser takes one stack frame a level, and views run on small stacks. */
enum { JSON_DEPTH_MAX = 64 };

static bool is_too_deep(slice text)
{
    int depth = 0;
    bool is_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (is_string) {
            i += c == '\\';
            is_string = c != '"';
        } else if (c == '"') {
            is_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return false;
}

json_t *carafe_json(carafe_request *req)
{
    request_check(req);
    slice text = buf_slice(&req->body);
    if (!req->is_json_parsed && text.len && !is_too_deep(text))
        req->json = json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    req->is_json_parsed = true;
    return req->json;
}

json_t *carafe_g(carafe_request *req)
{
    request_check(req);
    if (!req->g)
        req->g = json_object();
    return req->g;
}
