/* The browser's client, served below the server's path: "/socket.io/socket.io.min.js". */
#include "socketio/files.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/folder.h"
#include "http/date.h"
#include "http/mime.h"
#include "http/range.h"

/* Where npm puts the official client. */
#define CLIENT_DIR_DEFAULT "node_modules/socket.io-client/dist"

/* Only these: the folder may hold more than is meant for browsers. */
static const char *const client_files[] = {
    "socket.io.js",
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
    "socket.io.msgpack.min.js",
    "socket.io.msgpack.min.js.map",
};

static const char *client_file(slice name)
{
    for (size_t i = 0; i < sizeof(client_files) / sizeof(*client_files); i++) {
        if (slice_is(name, client_files[i]))
            return client_files[i];
    }
    return NULL;
}

static void send_file(http_request *req, int fd, const struct stat *st, const char *name)
{
    char etag[64], modified[HTTP_DATE_LEN + 1], content_range[80];
    int etag_len = snprintf(etag, sizeof(etag), "\"%llx-%llx\"", (unsigned long long)st->st_mtime,
                            (unsigned long long)st->st_size);
    http_entity entity = { slice_of(etag, (size_t)etag_len), st->st_mtime, (uint64_t)st->st_size };
    http_range range;
    int status = http_range_decide(&req->head, &entity, (int64_t)time(NULL), &range);
    http_date_format(st->st_mtime, modified);
    http_header headers[7] = {
        { SLICE_LITERAL("ETag"), entity.etag },
        { SLICE_LITERAL("Last-Modified"), slice_str(modified) },
        { SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("public, max-age=0") },
        { SLICE_LITERAL("Accept-Ranges"), SLICE_LITERAL("bytes") },
        { SLICE_LITERAL("Content-Type"), slice_str(http_mime_type(slice_str(name))) },
        { SLICE_LITERAL("X-Content-Type-Options"), SLICE_LITERAL("nosniff") },
    };
    size_t count = 6;
    if (status == 206 || status == 416) {
        int len = status == 206
                      ? snprintf(content_range, sizeof(content_range), "bytes %llu-%llu/%llu",
                                 (unsigned long long)range.first,
                                 (unsigned long long)(range.first + range.len - 1),
                                 (unsigned long long)entity.size)
                      : snprintf(content_range, sizeof(content_range), "bytes */%llu",
                                 (unsigned long long)entity.size);
        headers[count++] = (http_header){ SLICE_LITERAL("Content-Range"),
                                          slice_of(content_range, (size_t)len) };
    }
    if (status == 200 || status == 206) {
        http_respond_file(req, status, headers, count, fd, range.first, range.len);
        return;
    }
    close(fd);
    http_respond(req, status, headers, count, (slice){ NULL, 0 });
}

void sio_files_serve(const sio_config *config, http_request *req, slice rest)
{
    const char *name = config->serve_client ? client_file(rest) : NULL;
    if (!name) {
        http_respond_error(req, 404, NULL);
        return;
    }
    if (req->head.method != HTTP_METHOD_GET && req->head.method != HTTP_METHOD_HEAD) {
        http_respond_error(req, 405, NULL);
        return;
    }
    struct stat st;
    int fd = folder_open(config->client_dir ? config->client_dir : CLIENT_DIR_DEFAULT, name);
    if (fd < 0) {
        http_respond_error(req, 404, "the client's files are not installed (see .client_dir)");
        return;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        http_respond_error(req, 404, NULL);
        return;
    }
    send_file(req, fd, &st, name);
}
