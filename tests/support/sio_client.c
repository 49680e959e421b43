#include "sio_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static bool send_all(sio_client *client, const void *data, size_t len)
{
    const char *at = data;
    while (len) {
        ssize_t sent = send(client->fd, at, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool receive(sio_client *client)
{
    size_t room = sizeof(client->data) - client->len;
    ssize_t got = room ? recv(client->fd, client->data + client->len, room, 0) : 0;
    if (got > 0)
        client->len += (size_t)got;
    return got > 0;
}

static void consume(sio_client *client, size_t len)
{
    client->len -= len;
    memmove(client->data, client->data + len, client->len);
}

static bool upgrade(sio_client *client)
{
    static const char request[] = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\n"
                                  "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                  "Sec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    uint8_t *end = NULL;
    if (!send_all(client, request, sizeof(request) - 1))
        return false;
    while (!end) {
        if (!receive(client))
            return false;
        end = memmem(client->data, client->len, "\r\n\r\n", 4);
    }
    bool is_upgraded = memcmp(client->data, "HTTP/1.1 101", 12) == 0;
    consume(client, (size_t)(end + 4 - client->data));
    return is_upgraded && sio_client_read(client) && client->text[0] == '0';
}

bool sio_client_open(sio_client *client, int port)
{
    struct sockaddr_in addr = { .sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval timeout = { .tv_sec = SIO_CLIENT_TIMEOUT_S };
    int on = 1;
    client->len = 0;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        return false;
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(client->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && upgrade(client))
        return true;
    sio_client_close(client);
    return false;
}

void sio_client_close(sio_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

bool sio_client_send(sio_client *client, const char *text)
{
    uint8_t frame[SIO_CLIENT_TEXT_SIZE];
    size_t len = strlen(text);
    if (len > 125)
        return false;
    /* A mask of zeros leaves the text as it is. */
    const uint8_t head[] = { 0x81, (uint8_t)(0x80 | len), 0, 0, 0, 0 };
    memcpy(frame, head, sizeof(head));
    memcpy(frame + sizeof(head), text, len);
    return send_all(client, frame, sizeof(head) + len);
}

/* Takes a whole frame off; its opcode, or -1. */
static int take_frame(sio_client *client)
{
    size_t head_len = 2;
    if (client->len < 2)
        return -1;
    size_t len = client->data[1];
    if (len == 126 && client->len >= 4) {
        len = (size_t)client->data[2] << 8 | client->data[3];
        head_len = 4;
    }
    if (len == 127 || client->len < head_len + len || len >= sizeof(client->text))
        return -1;
    memcpy(client->text, client->data + head_len, len);
    client->text[len] = '\0';
    int opcode = client->data[0] & 0x0f;
    consume(client, head_len + len);
    return opcode;
}

bool sio_client_read(sio_client *client)
{
    for (;;) {
        int opcode = take_frame(client);
        if (opcode == 8)
            return false;
        bool is_ping = opcode == 1 && strcmp(client->text, "2") == 0;
        if (is_ping && !sio_client_send(client, "3"))
            return false;
        if (opcode >= 0 && !is_ping)
            return true;
        if (opcode < 0 && !receive(client))
            return false;
    }
}

bool sio_client_read_until(sio_client *client, const char *begin)
{
    while (sio_client_read(client)) {
        if (strncmp(client->text, begin, strlen(begin)) == 0)
            return true;
    }
    return false;
}

bool sio_client_join(sio_client *client, const char *ns)
{
    char packet[100], reply[128];
    bool is_default = strcmp(ns, "/") == 0;
    snprintf(packet, sizeof(packet), "40%s%s", is_default ? "" : ns, is_default ? "" : ",");
    snprintf(reply, sizeof(reply), "%s{\"sid\":\"", packet);
    if (!sio_client_send(client, packet) || !sio_client_read_until(client, reply))
        return false;
    const char *sid = client->text + strlen(reply);
    size_t len = strcspn(sid, "\"");
    if (len >= sizeof(client->sid))
        return false;
    memcpy(client->sid, sid, len);
    client->sid[len] = '\0';
    return true;
}
