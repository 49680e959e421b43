/* e2e_server [options]: serves until SIGTERM. Prints "listening PORT" when it can be reached.
 *
 *   --port N                 a fixed port; else one that the system picks
 *   --workers N
 *   --ping-interval S  --ping-timeout S  --connect-timeout S  --upgrade-timeout S
 *   --max-size BYTES
 *   --no-upgrades
 *   --transports LIST        "polling,websocket"
 *   --cookie NAME
 *   --origins LIST           "*", "http://a,http://b", or "" for an empty list
 *   --serial                 async_handlers off
 *   --always-connect
 *   --error-default          an error handler for all namespaces */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

static const struct option known[] = {
    { "port", required_argument, NULL, 'p' },
    { "workers", required_argument, NULL, 'w' },
    { "ping-interval", required_argument, NULL, 'i' },
    { "ping-timeout", required_argument, NULL, 't' },
    { "connect-timeout", required_argument, NULL, 'c' },
    { "upgrade-timeout", required_argument, NULL, 'u' },
    { "max-size", required_argument, NULL, 'm' },
    { "no-upgrades", no_argument, NULL, 'n' },
    { "transports", required_argument, NULL, 'T' },
    { "cookie", required_argument, NULL, 'C' },
    { "origins", required_argument, NULL, 'o' },
    { "serial", no_argument, NULL, 's' },
    { "always-connect", no_argument, NULL, 'a' },
    { "error-default", no_argument, NULL, 'e' },
    { 0 },
};

/* False when the option is not known. */
static bool read_option(struct settings *s, int option)
{
    switch (option) {
    case 'p':
        s->port = atoi(optarg);
        return true;
    case 'w':
        s->workers = (unsigned)atoi(optarg);
        return true;
    case 'i':
        s->common.ping_interval = atof(optarg);
        return true;
    case 't':
        s->common.ping_timeout = atof(optarg);
        return true;
    case 'c':
        s->common.connect_timeout = atof(optarg);
        return true;
    case 'u':
        s->common.upgrade_timeout = atof(optarg);
        return true;
    case 'm':
        s->common.max_http_buffer_size = (size_t)atol(optarg);
        return true;
    case 'n':
        s->common.allow_upgrades = SIO_OFF;
        return true;
    case 'T':
        s->common.transports = optarg;
        return true;
    case 'C':
        s->common.cookie = optarg;
        return true;
    case 'o':
        s->common.origins = optarg;
        return true;
    case 's':
        s->async_handlers = SIO_OFF;
        return true;
    case 'a':
        s->always_connect = true;
        return true;
    case 'e':
        s->error_default = true;
        return true;
    default:
        return false;
    }
}

static sio_server *make_server(carafe_app *app, const struct settings *s)
{
    sio_server *sio = sio_server_new(
        app, .ping_interval = s->common.ping_interval, .ping_timeout = s->common.ping_timeout,
        .connect_timeout = s->common.connect_timeout, .upgrade_timeout = s->common.upgrade_timeout,
        .max_http_buffer_size = s->common.max_http_buffer_size,
        .allow_upgrades = s->common.allow_upgrades,
        .transports = s->common.transports,
        .cookie = s->common.cookie,
        .cors_allowed_origins = s->common.origins,
        .async_handlers = s->async_handlers, .always_connect = s->always_connect,
        .namespaces = "/,/quiet");
    if (!sio || events_init(sio, s) < 0 || namespaces_init(sio) < 0)
        return NULL;
    return sio;
}

static int fail(const char *what, int error)
{
    fprintf(stderr, "e2e_server: %s: %s\n", what, carafe_strerror(error));
    return EXIT_FAILURE;
}

static int serve(carafe_app *app, const struct settings *s)
{
    int error = echo_server_init(app, s);
    if (error < 0)
        return fail("Engine.IO server", error);
    sio_server *sio = make_server(app, s);
    if (!sio)
        return fail("Socket.IO server", CARAFE_ERR_ARGUMENT);

    sigset_t ends; /* blocked before any thread exists, so that only sigwait sees them */
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);

    error = sio_server_start(sio, .port = s->port, .workers = s->workers);
    if (error < 0)
        return fail("start", error);
    printf("listening %d\n", sio_server_port(sio));

    int signal_number;
    sigwait(&ends, &signal_number);
    sio_server_stop(sio);
    error = sio_server_wait(sio);
    return error < 0 ? fail("wait", error) : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct settings settings = { .port = SIO_PORT_ANY };
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (!read_option(&settings, option))
            return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);

    carafe_app *app = carafe_app_new("e2e");
    int status = app ? serve(app, &settings) : fail("app", CARAFE_ERR_NOMEM);
    carafe_app_free(app);
    return status;
}
