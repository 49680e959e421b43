/* The last step of a request: what was set becomes the answer. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "app/core.h"
#include "base/log.h"
#include "http/date.h"
#include "http/range.h"

static int add_header(carafe_request *req, const char *name, const char *value)
{
    return response_set_header(req, slice_str(name), slice_str(value));
}

/* A header the view has set itself is left alone. */
static int add_default(carafe_request *req, const char *name, const char *value)
{
    return response_get_header(req, name).data ? 0 : add_header(req, name, value);
}

static int add_file_headers(carafe_request *req, int status, const http_range *range)
{
    app_response *response = &req->response;
    char date[HTTP_DATE_LEN + 1], content_range[80];
    http_date_format(response->file_mtime_s, date);
    TRY(add_default(req, "ETag", response->etag.data));
    TRY(add_default(req, "Last-Modified", date));
    TRY(add_default(req, "Accept-Ranges", "bytes"));
    /* Not "do not keep it" but "ask whether it has changed": a deployed file shows at once. */
    TRY(add_default(req, "Cache-Control", "no-cache"));
    if (status == 206)
        snprintf(content_range, sizeof(content_range), "bytes %llu-%llu/%llu",
                 (unsigned long long)range->first,
                 (unsigned long long)(range->first + range->len - 1),
                 (unsigned long long)response->file_size);
    else if (status == 416)
        snprintf(content_range, sizeof(content_range), "bytes */%llu",
                 (unsigned long long)response->file_size);
    else
        return 0;
    return add_header(req, "Content-Range", content_range);
}

/* Conditions and ranges only make sense for an answer that would be 200. */
static int decide(carafe_request *req, int status, http_range *range)
{
    app_response *response = &req->response;
    *range = (http_range){ 0, response->file_size };
    if (status != 200)
        return status;
    http_entity entity = { .etag = response->etag,
                           .mtime_s = response->file_mtime_s,
                           .size = response->file_size };
    return http_range_decide(&req->http->head, &entity, (int64_t)time(NULL), range);
}

static void send_file(carafe_request *req, int status)
{
    app_response *response = &req->response;
    http_range range;
    status = decide(req, status, &range);
    if (add_file_headers(req, status, &range) < 0) {
        http_respond_error(req->http, 503, NULL);
        return;
    }
    if (status == 304 || status == 412 || status == 416) {
        http_respond(req->http, status, response->headers, response->header_count,
                     (slice){ NULL, 0 });
        return;
    }
    int fd = response->fd;
    response->fd = -1;
    http_respond_file(req->http, status, response->headers, response->header_count, fd, range.first,
                      range.len);
}

void response_send(carafe_request *req)
{
    app_response *response = &req->response;
    int status = response->status ? response->status : 200;
    if (response->kind == BODY_FILE)
        send_file(req, status);
    else
        http_respond(req->http, status, response->headers, response->header_count,
                     buf_slice(&response->body));
    /* Whatever came of it, the live request is gone. */
    req->http = NULL;
    if (!req->own_handshake)
        req->sent_path = req->sent_query = (slice){ NULL, 0 };
}
