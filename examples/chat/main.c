/* The chat demo: one program that serves a page and talks to it over Socket.IO.
 *
 *   chat [--host HOST] [--port PORT] [--workers N] [--debug]
 *
 * This file is the web side: options, the page and its files. The events are in chat.c. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <carafe.h>

#include "chat.h"

#ifndef EXAMPLE_DIR /* the build says where this folder is */
#define EXAMPLE_DIR "."
#endif
#define STATIC_DIR EXAMPLE_DIR "/static"
#define CLIENT_DIR EXAMPLE_DIR "/node_modules/socket.io-client/dist"

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s [--host HOST] [--port PORT] [--workers N] [--debug]\n", program);
    return EXIT_FAILURE;
}

/* Fills `options` from the command line; -1 when that cannot be understood. */
static int read_options(int argc, char **argv, carafe_run_options *options)
{
    static const struct option known[] = {
        { "host", required_argument, NULL, 'h' },
        { "port", required_argument, NULL, 'p' },
        { "workers", required_argument, NULL, 'w' },
        { "debug", no_argument, NULL, 'd' },
        { 0 },
    };
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'h':
            options->host = optarg;
            break;
        case 'p':
            options->port = atoi(optarg);
            break;
        case 'w':
            options->workers = (unsigned)atoi(optarg);
            break;
        case 'd':
            options->debug = true;
            break;
        default:
            return -1;
        }
    }
    return optind == argc ? 0 : -1;
}

static int index_page(carafe_request *req, void *arg)
{
    (void)arg;
    /* Everything comes from this server; the browser is told to load nothing else. */
    carafe_set_header(req, "Content-Security-Policy",
                      "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'");
    return carafe_send_file(req, STATIC_DIR "/index.html");
}

/* The browser's half of Socket.IO is an npm package, which Carafe serves but does not contain. */
static bool has_client(void)
{
    if (access(CLIENT_DIR "/socket.io.min.js", R_OK) == 0)
        return true;
    fprintf(stderr,
            "chat: the Socket.IO client for browsers is not installed, so the page cannot connect.\n"
            "chat: install it, then start again:  npm ci --prefix \"%s\"\n",
            EXAMPLE_DIR);
    return false;
}

static int serve(carafe_app *app, const carafe_run_options *options)
{
    sio_server *sio = sio_server_new(app, .client_dir = has_client() ? CLIENT_DIR : NULL);
    if (!sio)
        return CARAFE_ERR_NOMEM;

    int error = carafe_route(app, "/", index_page);
    if (error == 0)
        error = carafe_static(app, "/static", STATIC_DIR);
    if (error == 0)
        error = chat_init(sio);
    if (error == 0)
        error = sio_server_run_with(sio, options); /* until Ctrl-C */
    return error;
}

int main(int argc, char **argv)
{
    carafe_run_options options = { .size = sizeof(options), .host = "127.0.0.1", .port = 5000 };
    if (read_options(argc, argv, &options) < 0)
        return usage(argv[0]);

    carafe_app *app = carafe_app_new("chat");
    int error = app ? serve(app, &options) : CARAFE_ERR_NOMEM;
    carafe_app_free(app); /* and the Socket.IO server with it */
    chat_free();
    if (error < 0)
        fprintf(stderr, "chat: %s\n", carafe_strerror(error));
    return error < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
