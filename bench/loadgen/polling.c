/* The long-polling transport of client.h, on two keep-alive connections:
 *
 *   main  GET, answered when the server has packets, then the next GET at once
 *   post  POST with all packets that gathered since the last one; one at a time
 */
#include "client.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "frame.h"
#include "run.h"

/* Engine.IO v4 joins the packets of a body with this byte. */
#define SEPARATOR '\x1e'

#define HEAD_SIZE_MAX 8192

typedef struct response {
    int status;
    bool is_closing; /* "Connection: close" */
    const char *body;
    size_t body_len;
} response;

/* The client a connection belongs to. */
static client *client_of_get(conn *c)
{
    return (client *)c; /* the first member */
}

static client *client_of_post(conn *c)
{
    return (client *)((char *)c - offsetof(client, post));
}

/* The value of header `name` in the head, or NULL. `head` begins with the status line. */
static const char *find_header(const char *head, size_t head_len, const char *name)
{
    size_t name_len = strlen(name);
    const char *end = head + head_len;
    const char *line = memchr(head, '\n', head_len);
    while (line != NULL && (size_t)(end - ++line) > name_len) {
        if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':') {
            const char *value = line + name_len + 1;
            return value + strspn(value, " \t");
        }
        line = memchr(line, '\n', (size_t)(end - line));
    }
    return NULL;
}

/* Takes one response from `data`. Returns its length, 0 when it is incomplete, or -1 with `*why`.
 */
static ptrdiff_t parse_response(const char *data, size_t len, response *out, const char **why)
{
    const char *end = memmem(data, len, "\r\n\r\n", 4);
    if (end == NULL) {
        *why = "a response head of more than 8192 bytes";
        return len > HEAD_SIZE_MAX ? -1 : 0;
    }
    size_t head_len = (size_t)(end - data) + 4;
    const char *length = find_header(data, head_len, "Content-Length");
    const char *connection = find_header(data, head_len, "Connection");
    if (strncmp(data, "HTTP/1.1 ", 9) != 0 || length == NULL) {
        *why = "not an HTTP/1.1 response with Content-Length";
        return -1;
    }
    unsigned long long body_len = strtoull(length, NULL, 10);
    if (body_len > FRAME_SIZE_MAX) {
        *why = "a response of more than 1 MiB";
        return -1;
    }
    if (len - head_len < body_len)
        return 0;
    *out = (response){
        .status = atoi(data + 9),
        .is_closing = connection != NULL && strncasecmp(connection, "close", 5) == 0,
        .body = data + head_len,
        .body_len = (size_t)body_len,
    };
    return (ptrdiff_t)(head_len + body_len);
}

static void write_request(client *c, conn *to, const char *method, size_t body_len)
{
    const struct sockaddr_in *server = &c->run->options->server;
    char head[512], host[INET_ADDRSTRLEN], content[96] = "";
    inet_ntop(AF_INET, &server->sin_addr, host, sizeof host);
    if (body_len > 0)
        snprintf(content, sizeof content,
                 "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n", body_len);
    int len = snprintf(head, sizeof head,
                       "%s /socket.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\n"
                       "Host: %s:%u\r\n%s\r\n",
                       method, c->sid[0] != '\0' ? "&sid=" : "", c->sid, host,
                       ntohs(server->sin_port), content);
    buf_append(&to->out, head, (size_t)len);
}

static void write_poll(client *c)
{
    write_request(c, &c->main, "GET", 0);
}

static void polling_flush(client *c)
{
    if (!c->post.is_open || c->is_posting || c->outbox.len == 0)
        return;
    write_request(c, &c->post, "POST", c->outbox.len);
    buf_append(&c->post.out, c->outbox.data, c->outbox.len);
    c->outbox.len = 0;
    c->is_posting = true;
    conn_flush(&c->post);
}

static void polling_send(client *c, const char *packet, size_t len)
{
    if (c->outbox.len > 0)
        buf_append(&c->outbox, &(char){SEPARATOR}, 1);
    buf_append(&c->outbox, packet, len);
}

/* Takes the one response that may be there; the next request is not sent before. Returns its
 * length, or 0: incomplete, or the client has failed. */
static size_t take_response(client *c, const char *what, const uint8_t *data, size_t len,
                            response *out)
{
    const char *why = NULL;
    ptrdiff_t used = parse_response((const char *)data, len, out, &why);
    if (used < 0) {
        client_fail(c, "%s: %s", what, why);
        return 0;
    }
    if (used == 0)
        return 0;
    if ((size_t)used < len) {
        client_fail(c, "%s: more bytes than the response has", what);
        return 0;
    }
    if (out->status != 200 || out->is_closing) {
        client_fail(c, "%s: status %d%s: %.*s", what, out->status,
                    out->is_closing ? ", Connection: close" : "",
                    (int)(out->body_len < 60 ? out->body_len : 60), out->body);
        return 0;
    }
    return (size_t)used;
}

static void on_post_open(conn *post)
{
    polling_flush(client_of_post(post));
}

static size_t on_post_data(conn *post, const uint8_t *data, size_t len)
{
    client *c = client_of_post(post);
    response r;
    size_t used = take_response(c, "POST", data, len, &r);
    if (used == 0)
        return 0;
    if (!c->is_posting || r.body_len != 2 || strncasecmp(r.body, "ok", 2) != 0) {
        client_fail(c, "POST: unexpected answer: %.*s", (int)(r.body_len < 60 ? r.body_len : 60),
                    r.body);
        return 0;
    }
    c->is_posting = false;
    polling_flush(c);
    return used;
}

static void on_post_close(conn *post, const char *why)
{
    client_fail(client_of_post(post), "POST: %s", why);
}

static const conn_ops post_ops = {on_post_open, on_post_data, on_post_close};

static void on_get_open(conn *get)
{
    client *c = client_of_get(get);
    c->state = CLIENT_OPENING;
    write_poll(c);
}

static void take_packets(client *c, const response *r)
{
    const char *packet = r->body, *end = r->body + r->body_len;
    while (c->state != CLIENT_FAILED) {
        const char *next = memchr(packet, SEPARATOR, (size_t)(end - packet));
        client_receive(c, packet, (size_t)((next != NULL ? next : end) - packet));
        if (next == NULL)
            return;
        packet = next + 1;
    }
}

static size_t on_get_data(conn *get, const uint8_t *data, size_t len)
{
    client *c = client_of_get(get);
    bool is_handshake = c->state == CLIENT_OPENING;
    response r;
    size_t used = take_response(c, "GET", data, len, &r);
    if (used == 0)
        return 0;
    take_packets(c, &r);
    if (c->state == CLIENT_FAILED)
        return 0;
    if (is_handshake &&
        conn_open(&c->post, get->loop, &post_ops, &c->run->options->server, c->source) != 0) {
        client_fail(c, "POST: no second connection");
        return 0;
    }
    write_poll(c);
    conn_flush(get); /* the poll goes first, so that it waits when the POST is handled */
    polling_flush(c);
    return used;
}

static void on_get_close(conn *get, const char *why)
{
    client_fail(client_of_get(get), "GET: %s", why);
}

static const conn_ops get_ops = {on_get_open, on_get_data, on_get_close};

static int polling_open(client *c, in_addr_t source)
{
    return conn_open(&c->main, &c->run->loop, &get_ops, &c->run->options->server, source);
}

const transport polling_transport = {
    .open = polling_open,
    .send = polling_send,
    .flush = polling_flush,
};
