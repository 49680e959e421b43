#include "http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

static void open_with(http_client *client, int port, int receive_size)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct timeval limit = { .tv_sec = HTTP_CLIENT_TIMEOUT_S };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *client = (http_client){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    assert_true(client->fd >= 0);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (receive_size)
        setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &receive_size, sizeof(receive_size));
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

void http_client_open(http_client *client, int port)
{
    open_with(client, port, 0);
}

void http_client_open_slow(http_client *client, int port)
{
    open_with(client, port, 4096);
}

void http_client_close(http_client *client)
{
    close(client->fd);
    free(client->data);
    *client = (http_client){ .fd = -1 };
}

void http_client_send(http_client *client, const char *text)
{
    size_t len = strlen(text);
    assert_int_equal(send(client->fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

void http_client_finish(http_client *client)
{
    assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
}

/* False at the end of the stream. */
static bool receive(http_client *client)
{
    if (client->cap - client->len < 65536) {
        client->cap = client->cap * 2 + 65536;
        client->data = realloc(client->data, client->cap);
        assert_non_null(client->data);
    }
    ssize_t got = recv(client->fd, client->data + client->len, client->cap - client->len, 0);
    assert_true(got >= 0);
    client->len += (size_t)got;
    return got > 0;
}

static void drop_taken(http_client *client)
{
    if (client->taken)
        memmove(client->data, client->data + client->taken, client->len - client->taken);
    client->len -= client->taken;
    client->taken = 0;
}

static void read_answer(http_client *client, bool is_head, http_answer *out)
{
    drop_taken(client);
    while ((client->taken = http_answer_parse(client->data, client->len, is_head, out)) == 0)
        assert_true(receive(client));
}

void http_client_read(http_client *client, http_answer *out)
{
    read_answer(client, false, out);
}

void http_client_read_head(http_client *client, http_answer *out)
{
    read_answer(client, true, out);
}

void http_client_get(http_client *client, const char *target, http_answer *out)
{
    char request[2048];
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", target);
    http_client_send(client, request);
    http_client_read(client, out);
}

bool http_client_is_at_end(http_client *client)
{
    drop_taken(client);
    return client->len == 0 && !receive(client);
}

int http_get(int port, const char *target, char *body, size_t cap)
{
    http_client client;
    http_answer answer;
    http_client_open(&client, port);
    http_client_get(&client, target, &answer);
    if (body) {
        size_t len = answer.body_len < cap ? answer.body_len : cap - 1;
        memcpy(body, answer.body, len);
        body[len] = '\0';
    }
    http_client_close(&client);
    return answer.status;
}
