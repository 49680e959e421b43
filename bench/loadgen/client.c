#include "client.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "run.h"

/* How much of a packet an error message shows. */
#define SHOWN_MAX 60

int client_open(client *c, struct run *r, uint32_t index, in_addr_t source)
{
    *c = (client){
        .main.fd = -1,
        .post.fd = -1,
        .state = CLIENT_CONNECTING,
        .index = index,
        .source = source,
        .opened_ns = clock_ns(),
        .run = r,
        .transport = r->scenario->is_polling ? &polling_transport : &websocket_transport,
    };
    return c->transport->open(c, source);
}

void client_send(client *c, const char *packet, size_t len)
{
    c->transport->send(c, packet, len);
}

void client_flush(client *c)
{
    c->transport->flush(c);
}

void client_deinit(client *c)
{
    if (c->state == CLIENT_UNOPENED) /* still zeroed: descriptor 0 is not ours */
        return;
    conn_close(&c->main);
    conn_close(&c->post);
    buf_deinit(&c->outbox);
}

void client_fail(client *c, const char *format, ...)
{
    if (c->state == CLIENT_FAILED)
        return;
    char why[256];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);

    struct run *r = c->run;
    bool was_ready = c->state == CLIENT_READY;
    client_deinit(c);
    c->state = CLIENT_FAILED;
    if (!was_ready) {
        r->failed_count++;
        run_error(r, ERROR_CONNECT, 1, "client %u: %s", c->index, why);
        return;
    }
    r->lost_count++;
    run_error(r, ERROR_LOST, 1, "client %u: %s", c->index, why);
    if (r->scenario->on_lost != NULL)
        r->scenario->on_lost(r, c);
    if (r->lost_count + r->failed_count == r->client_count)
        r->is_aborted = true;
}

static void fail_at(client *c, const char *what, const char *packet, size_t len)
{
    client_fail(c, "%s: %.*s", what, (int)(len < SHOWN_MAX ? len : SHOWN_MAX), packet);
}

static bool starts_with(const char *text, size_t len, const char *prefix)
{
    size_t prefix_len = strlen(prefix);
    return len >= prefix_len && memcmp(text, prefix, prefix_len) == 0;
}

/* Copies the value of "sid". The handshake is compact JSON of one level, sids need no escapes. */
static bool find_sid(const char *text, size_t len, char *sid, size_t sid_size)
{
    static const char key[] = "\"sid\":\"";
    const char *value = memmem(text, len, key, sizeof key - 1);
    if (value == NULL)
        return false;
    value += sizeof key - 1;
    size_t rest = len - (size_t)(value - text);
    const char *end = memchr(value, '"', rest);
    if (end == NULL || end == value || (size_t)(end - value) >= sid_size)
        return false;
    memcpy(sid, value, (size_t)(end - value));
    sid[end - value] = '\0';
    return true;
}

static void on_open_packet(client *c, const char *packet, size_t len)
{
    if (c->state != CLIENT_OPENING || !find_sid(packet, len, c->sid, sizeof c->sid)) {
        fail_at(c, "no valid Engine.IO handshake", packet, len);
        return;
    }
    c->state = CLIENT_JOINING;
    client_send(c, "40", 2);
}

/* An event that no scenario is about: servers greet clients and tell them what goes on. One that
 * took the place of an answer is found out all the same, as that answer is missing then. */
static bool is_foreign(const scenario *s, const char *text, size_t len)
{
    static const char event[] = "2[\"";
    const size_t event_len = sizeof event - 1;
    if (!starts_with(text, len, event))
        return false;
    size_t name_len = strlen(s->event);
    return len <= event_len + name_len || memcmp(text + event_len, s->event, name_len) != 0 ||
           text[event_len + name_len] != '"';
}

static void on_message_packet(client *c, const char *packet, size_t len)
{
    struct run *r = c->run;
    if (c->state == CLIENT_READY) {
        if (starts_with(packet, len, "41") || starts_with(packet, len, "44"))
            fail_at(c, "disconnected by the server", packet, len);
        else if (is_foreign(r->scenario, packet + 1, len - 1))
            r->foreign_count++;
        else
            r->scenario->on_message(r, c, packet + 1, len - 1);
        return;
    }
    char sid[sizeof c->sid];
    if (c->state != CLIENT_JOINING || !starts_with(packet, len, "40{") ||
        !find_sid(packet, len, sid, sizeof sid)) {
        fail_at(c, "no valid Socket.IO connect reply", packet, len);
        return;
    }
    c->state = CLIENT_READY;
    r->ready_count++;
    r->progress++;
    if (r->scenario->start == NULL) /* `connect`: the handshake is the event */
        run_event(r, c->opened_ns, clock_ns());
}

void client_receive(client *c, const char *packet, size_t len)
{
    switch (len > 0 ? packet[0] : '\0') {
    case '0':
        on_open_packet(c, packet, len);
        break;
    case '1':
        client_fail(c, "Engine.IO session closed by the server");
        break;
    case '2':
        client_send(c, "3", 1);
        break;
    case '4':
        on_message_packet(c, packet, len);
        break;
    case '6':
        break;
    default:
        fail_at(c, "not an Engine.IO packet for a client", packet, len);
    }
}
