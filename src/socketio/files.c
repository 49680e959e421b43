/* The browser's client, served below the server's path: "/socket.io/socket.io.min.js". */
#include "socketio/files.h"

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

void sio_files_serve(carafe_app *app, const sio_config *config, http_request *req, slice rest)
{
    const char *name = config->serve_client ? client_file(rest) : NULL;
    const char *dir = config->client_dir ? config->client_dir : CLIENT_DIR_DEFAULT;
    if (!name)
        http_respond_error(req, 404, NULL);
    else if (req->head.method != HTTP_METHOD_GET && req->head.method != HTTP_METHOD_HEAD)
        http_respond_error(req, 405, NULL);
    else if (app_send_file(app, req, dir, name) < 0)
        http_respond_error(req, 404, "the client's files are not installed (see .client_dir)");
}
