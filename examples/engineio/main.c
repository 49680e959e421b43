/* Engine.IO without Socket.IO on top: every message goes back to where it came from.
 *
 *   engineio [PORT] */
#include <stdio.h>
#include <stdlib.h>

#include <carafe.h>

static void on_open(eio_socket *sock, void *arg)
{
    (void)arg;
    printf("%s came over %s\n", carafe_remote_addr(eio_request(sock)), eio_transport(sock));
}

/* A message that cannot be sent back is nobody's loss: the session has ended. */
static void on_message(eio_socket *sock, const void *data, size_t len, bool is_binary, void *arg)
{
    (void)arg;
    if (is_binary)
        eio_send_binary(sock, data, len);
    else
        eio_send_text(sock, data, len);
}

static void on_close(eio_socket *sock, const char *reason, void *arg)
{
    (void)sock;
    (void)arg;
    printf("one left: %s\n", reason);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    carafe_app *app = carafe_app_new("engineio");
    eio_server *server = app ? eio_server_new(app, .on_open = on_open, .on_message = on_message,
                                              .on_close = on_close)
                             : NULL;
    int error = CARAFE_ERR_NOMEM;
    if (server)
        error = carafe_run(app, .port = argc > 1 ? atoi(argv[1]) : 5000); /* until Ctrl-C */
    if (error < 0)
        fprintf(stderr, "engineio: %s\n", carafe_strerror(error));
    carafe_app_free(app); /* and the Engine.IO server with it */
    return error < 0;
}
