/* Engine.IO alone: every message comes back. Messages that begin with "!" are orders:
 *
 *   !burst N    sends the texts "0" to "N-1"
 *   !close      sends "bye" and closes
 *   !transport  sends the transport's name
 *   !wait       sends "waited" after a moment */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

static void send_line(eio_socket *sock, const char *line)
{
    eio_send_text(sock, line, strlen(line));
}

static void obey(eio_socket *sock, const char *order)
{
    if (strncmp(order, "!burst ", 7) == 0) {
        char line[16];
        for (int i = 0, count = atoi(order + 7); i < count; i++) {
            snprintf(line, sizeof(line), "%d", i);
            send_line(sock, line);
        }
    } else if (strcmp(order, "!close") == 0) {
        send_line(sock, "bye");
        eio_close(sock);
    } else if (strcmp(order, "!transport") == 0) {
        send_line(sock, eio_transport(sock));
    } else if (strcmp(order, "!wait") == 0) {
        sio_sleep(0.05);
        send_line(sock, "waited");
    }
}

static void on_open(eio_socket *sock, void *arg)
{
    (void)arg;
    printf("open %s %s\n", eio_sid(sock), eio_transport(sock));
}

static void on_message(eio_socket *sock, const void *data, size_t len, bool is_binary, void *arg)
{
    (void)arg;
    char order[32];
    if (is_binary) {
        eio_send_binary(sock, data, len);
    } else if (len > 0 && len < sizeof(order) && *(const char *)data == '!') {
        memcpy(order, data, len);
        order[len] = '\0';
        obey(sock, order);
    } else {
        eio_send_text(sock, data, len);
    }
}

static void on_close(eio_socket *sock, const char *reason, void *arg)
{
    (void)arg;
    printf("closed %s %s\n", eio_sid(sock), reason);
}

int echo_server_init(carafe_app *app, const struct settings *s)
{
    eio_server *eio = eio_server_new(
        app, .ping_interval = s->common.ping_interval, .ping_timeout = s->common.ping_timeout,
        .connect_timeout = s->common.connect_timeout, .upgrade_timeout = s->common.upgrade_timeout,
        .max_http_buffer_size = s->common.max_http_buffer_size,
        .allow_upgrades = s->common.allow_upgrades,
        .transports = s->common.transports,
        .cookie = s->common.cookie,
        .cors_allowed_origins = s->common.origins,
        .on_open = on_open, .on_message = on_message, .on_close = on_close);
    return eio ? 0 : CARAFE_ERR_ARGUMENT;
}
