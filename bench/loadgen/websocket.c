/* The WebSocket transport of client.h: connect, upgrade, then one packet per text frame. */
#include "client.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "frame.h"
#include "run.h"

/* RFC 6455 1.3 gives this key with its answer, so that no SHA-1 is needed to check the server. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define HEAD_SIZE_MAX 8192

/* conn must be the first member of client for this. */
_Static_assert(offsetof(client, main) == 0, "a client's main connection comes first");

static client *client_of(conn *c)
{
    return (client *)c;
}

static void on_open(conn *c)
{
    const struct sockaddr_in *server = &client_of(c)->run->options->server;
    char head[512], host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &server->sin_addr, host, sizeof host);
    int len = snprintf(head, sizeof head,
                       "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
                       "Host: %s:%u\r\n"
                       "Upgrade: websocket\r\n"
                       "Connection: Upgrade\r\n"
                       "Sec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: " KEY "\r\n\r\n",
                       host, ntohs(server->sin_port));
    buf_append(&c->out, head, (size_t)len);
}

/* Returns the length of the response head, 0 while it is incomplete or when it was refused. */
static size_t take_upgrade(client *c, const char *data, size_t len)
{
    static const char accepted[] = "HTTP/1.1 101 ";
    const char *end = memmem(data, len, "\r\n\r\n", 4);
    if (end == NULL) {
        if (len > HEAD_SIZE_MAX)
            client_fail(c, "a response head of more than %d bytes", HEAD_SIZE_MAX);
        return 0;
    }
    size_t head_len = (size_t)(end - data) + 4;
    const char *line_end = memmem(data, len, "\r\n", 2);
    if (len < sizeof accepted - 1 || memcmp(data, accepted, sizeof accepted - 1) != 0) {
        client_fail(c, "no WebSocket upgrade: %.*s", (int)(line_end - data), data);
        return 0;
    }
    if (memmem(data, head_len, ACCEPT "\r\n", sizeof ACCEPT + 1) == NULL) {
        client_fail(c, "wrong Sec-WebSocket-Accept");
        return 0;
    }
    c->state = CLIENT_OPENING;
    return head_len;
}

static void take_frame(client *c, const frame *f)
{
    switch (f->opcode) {
    case FRAME_TEXT:
        client_receive(c, (const char *)f->data, f->data_len);
        break;
    case FRAME_PING:
        frame_encode(&c->main.out, FRAME_PONG, f->data, f->data_len);
        break;
    case FRAME_PONG:
        break;
    case FRAME_CLOSE:
        client_fail(c, "WebSocket closed by the server, code %d",
                    f->data_len >= 2 ? f->data[0] << 8 | f->data[1] : 1005);
        break;
    case FRAME_BINARY:
    default:
        client_fail(c, "a frame with opcode %d", (int)f->opcode);
    }
}

static size_t on_data(conn *main, const uint8_t *data, size_t len)
{
    client *c = client_of(main);
    size_t used = 0;
    if (c->state == CLIENT_CONNECTING) {
        used = take_upgrade(c, (const char *)data, len);
        if (used == 0)
            return 0;
    }
    while (main->is_open && used < len) {
        frame f;
        const char *why;
        ptrdiff_t n = frame_decode(data + used, len - used, &f, &why);
        if (n == 0)
            break;
        if (n < 0) {
            client_fail(c, "%s", why);
            break;
        }
        used += (size_t)n;
        take_frame(c, &f);
    }
    return used;
}

static void on_close(conn *c, const char *why)
{
    client_fail(client_of(c), "%s", why);
}

static const conn_ops websocket_conn_ops = {on_open, on_data, on_close};

static int websocket_open(client *c, in_addr_t source)
{
    return conn_open(&c->main, &c->run->loop, &websocket_conn_ops, &c->run->options->server,
                     source);
}

static void websocket_send(client *c, const char *packet, size_t len)
{
    if (c->main.is_open)
        frame_encode(&c->main.out, FRAME_TEXT, packet, len);
}

static void websocket_flush(client *c)
{
    conn_flush(&c->main);
}

const transport websocket_transport = {
    .open = websocket_open,
    .send = websocket_send,
    .flush = websocket_flush,
};
