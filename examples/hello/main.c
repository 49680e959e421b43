/* The smallest Carafe program: a page, and an event that is answered. See ../README.md. */
#include <stdio.h>

#include <carafe.h>

/* The build says where this folder is; the chat's folder has the browser's client. */
#ifdef EXAMPLE_DIR
#define CLIENT_DIR EXAMPLE_DIR "/../chat/node_modules/socket.io-client/dist"
#else
#define CLIENT_DIR "node_modules/socket.io-client/dist"
#endif

static int index_page(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_html(req, "%s",
                       "<!doctype html><meta charset=utf-8><title>hello</title>\n"
                       "<script src=/socket.io/socket.io.min.js></script>\n"
                       "<button>echo</button> <output></output>\n"
                       "<script>\n"
                       "const socket = io(), show = document.querySelector('output');\n"
                       "document.querySelector('button').onclick = () =>\n"
                       "  socket.emit('echo', new Date().toISOString(),\n"
                       "              (answer) => { show.textContent = answer; });\n"
                       "</script>\n");
}

static int on_echo(sio_ctx *ctx, void *arg)
{
    const char *text;
    (void)arg;
    if (sio_unpack(ctx, "s", &text) < 0)
        return SIO_ERROR; /* the log says what was wrong with the arguments */
    return sio_reply(ctx, "s", text);
}

int main(void)
{
    carafe_app *app = carafe_app_new("hello");
    sio_server *sio = app ? sio_server_new(app, .client_dir = CLIENT_DIR) : NULL;
    int error = CARAFE_ERR_NOMEM;
    if (sio)
        error = carafe_route(app, "/", index_page);
    if (error == 0)
        error = sio_server_on(sio, "echo", on_echo);
    if (error == 0)
        error = sio_server_run(sio, .port = 5000); /* until Ctrl-C */
    if (error < 0)
        fprintf(stderr, "hello: %s\n", carafe_strerror(error));
    carafe_app_free(app); /* and the Socket.IO server with it */
    return error < 0;
}
