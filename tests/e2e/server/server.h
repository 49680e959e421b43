/* The program that the end-to-end tests drive with real clients. */
#ifndef E2E_SERVER_H
#define E2E_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include <carafe.h>

#define LIST_MAX 8

/* What the command line says; see main.c. */
struct settings {
    int port;
    unsigned workers;
    bool error_default; /* an error handler for all namespaces */
    /* Options of both servers; the path is filled in for each. */
    struct {
        double ping_interval, ping_timeout, connect_timeout, upgrade_timeout;
        size_t max_http_buffer_size;
        sio_switch allow_upgrades;
        const char *transports;
        const char *cookie;
        const char *origins;
    } common;
    sio_switch async_handlers;
    bool always_connect;
};

/* The Engine.IO server on /engine.io/, which sends back every message. 0, or a negative error. */
int echo_server_init(carafe_app *app, const struct settings *settings);

/* Registers the Socket.IO handlers. 0, or a negative error. */
int events_init(sio_server *sio, const struct settings *settings);
int namespaces_init(sio_server *sio);

/* Reports a client's end on stdout: "left NAMESPACE SID REASON". */
int on_disconnect(sio_ctx *ctx, void *arg);

/* A string member of an object; NULL when there is none. */
const char *member(json_t *object, const char *key);

extern const sio_method emit_methods[];

/* Several handlers at once; `event` NULL ends the list. */
int register_methods(sio_server *sio, const char *ns, const sio_method *methods);

#endif /* E2E_SERVER_H */
