/* echo, emit, polling: every client keeps `in_flight` messages under way and sends the next one
 * when an answer comes.
 *
 *   echo           42<id>["echo",P]  ->  43<id>[P]
 *   emit, polling  42["echo",P]      ->  42["echo",P]
 *
 * A client has `in_flight` slots. Slot s sends the ids s, s + in_flight, s + 2 * in_flight, ..., so
 * an answer's id names its slot, in whatever order answers come. P carries the id and the client's
 * index in `t`: an answer that belongs to another message or another client is seen.
 */
#include "scenarios.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* t = PAYLOAD_T_FIRST + index * IDS_PER_CLIENT + id; 500,000 clients fit below 2^53. */
#define IDS_PER_CLIENT UINT64_C(10000000000)

#define SHOWN_MAX 60

typedef struct slot {
    uint64_t id; /* of the message under way, or of the next one */
    uint64_t sent_ns;
    bool is_busy;
} slot;

typedef struct echo_state {
    bool wants_ack;
    slot *slots; /* in_flight per client */
    uint64_t outstanding;
    char *packet; /* room for one packet */
} echo_state;

static slot *slots_of(const run *r, const client *c)
{
    const echo_state *s = r->state;
    return s->slots + (size_t)c->index * r->options->in_flight;
}

static uint64_t first_t(const client *c)
{
    return PAYLOAD_T_FIRST + c->index * IDS_PER_CLIENT;
}

static void send_from(run *r, client *c, slot *from, uint64_t now)
{
    echo_state *s = r->state;
    int head_len = s->wants_ack
                       ? sprintf(s->packet, "42%llu[\"echo\",", (unsigned long long)from->id)
                       : sprintf(s->packet, "42[\"echo\",");
    payload_write(&r->payload, first_t(c) + from->id, s->packet + head_len);
    size_t len = (size_t)head_len + r->payload.len;
    s->packet[len++] = ']';
    from->is_busy = true;
    from->sent_ns = now;
    s->outstanding++;
    client_send(c, s->packet, len);
}

static void refuse(run *r, error_kind kind, const client *c, const char *what, const char *text,
                   size_t len)
{
    run_error(r, kind, 1, "client %u, %s: %.*s", c->index, what,
              (int)(len < SHOWN_MAX ? len : SHOWN_MAX), text);
}

/* The value between `text` and the last byte, which must be ']'. */
static payload_verdict check_value(const run *r, const char *text, const char *end, uint64_t *t)
{
    if (end - text < 1 || end[-1] != ']')
        return PAYLOAD_ALIEN;
    return payload_check(&r->payload, text, (size_t)(end - 1 - text), t);
}

/* Finds the message that `text` answers. Returns false when it is none; `*is_good` says whether
 * the value came back unchanged. */
static bool read_answer(const run *r, const client *c, const char *text, size_t len, uint64_t *id,
                        bool *is_good)
{
    static const char event[] = "2[\"echo\",";
    const echo_state *s = r->state;
    const char *end = text + len, *p = text + 1;
    uint64_t t = 0;
    if (!s->wants_ack) {
        if (len < sizeof event - 1 || memcmp(text, event, sizeof event - 1) != 0)
            return false;
        payload_verdict verdict = check_value(r, text + sizeof event - 1, end, &t);
        *id = t - first_t(c);
        *is_good = verdict == PAYLOAD_GOOD;
        return verdict != PAYLOAD_ALIEN;
    }
    if (*text != '3')
        return false;
    for (*id = 0; p < end && *p >= '0' && *p <= '9'; p++)
        *id = *id * 10 + (uint64_t)(*p - '0');
    if (p == text + 1 || p == end || *p != '[')
        return false;
    *is_good = check_value(r, p + 1, end, &t) == PAYLOAD_GOOD && t == first_t(c) + *id;
    return true;
}

static void on_message(run *r, client *c, const char *text, size_t len)
{
    echo_state *s = r->state;
    uint64_t id = 0, now = clock_ns();
    bool is_good = false;
    if (len == 0 || !read_answer(r, c, text, len, &id, &is_good)) {
        refuse(r, ERROR_WRONG, c, "not an answer", text, len);
        return;
    }
    slot *from = &slots_of(r, c)[id % r->options->in_flight];
    if (!from->is_busy || from->id != id) {
        refuse(r, ERROR_SUPERFLUOUS, c, "no such message is under way", text, len);
        return;
    }
    if (is_good)
        run_event(r, from->sent_ns, now);
    else
        refuse(r, ERROR_WRONG, c, "other bytes than were sent", text, len);
    from->is_busy = false;
    from->id += r->options->in_flight;
    s->outstanding--;
    if (!r->is_stopping)
        send_from(r, c, from, now);
}

static void prepare(run *r, bool wants_ack)
{
    echo_state *s = alloc_zeroed(1, sizeof *s);
    uint32_t in_flight = r->options->in_flight;
    size_t count = (size_t)r->client_count * in_flight;
    s->wants_ack = wants_ack;
    s->slots = alloc_zeroed(count, sizeof *s->slots);
    for (size_t i = 0; i < count; i++)
        s->slots[i].id = i % in_flight;
    s->packet = alloc_zeroed(r->payload.len + 64, 1);
    r->state = s;
}

static void prepare_echo(run *r)
{
    prepare(r, true);
}

static void prepare_emit(run *r)
{
    prepare(r, false);
}

static void start(run *r)
{
    for (uint32_t i = 0; i < r->client_count; i++) {
        client *c = &r->clients[i];
        if (c->state != CLIENT_READY)
            continue;
        uint64_t now = clock_ns();
        for (uint32_t k = 0; k < r->options->in_flight; k++)
            send_from(r, c, slots_of(r, c) + k, now);
        client_flush(c);
    }
}

static void on_lost(run *r, client *c)
{
    echo_state *s = r->state;
    for (uint32_t k = 0; k < r->options->in_flight; k++) {
        slot *from = slots_of(r, c) + k;
        if (!from->is_busy)
            continue;
        from->is_busy = false;
        s->outstanding--;
        run_error(r, ERROR_MISSING, 1, "client %u: message %llu was under way", c->index,
                  (unsigned long long)from->id);
    }
}

static uint64_t count_outstanding(const run *r)
{
    const echo_state *s = r->state;
    return s->outstanding;
}

static void release(run *r)
{
    echo_state *s = r->state;
    free(s->slots);
    free(s->packet);
    free(s);
}

const scenario echo_scenario = {
    .name = "echo",
    .event = "echo",
    .counted = "echoes",
    .prepare = prepare_echo,
    .start = start,
    .on_message = on_message,
    .on_lost = on_lost,
    .count_outstanding = count_outstanding,
    .release = release,
};

const scenario emit_scenario = {
    .name = "emit",
    .event = "echo",
    .counted = "echoes",
    .prepare = prepare_emit,
    .start = start,
    .on_message = on_message,
    .on_lost = on_lost,
    .count_outstanding = count_outstanding,
    .release = release,
};

const scenario polling_scenario = {
    .name = "polling",
    .event = "echo",
    .counted = "echoes",
    .is_polling = true,
    .prepare = prepare_emit,
    .start = start,
    .on_message = on_message,
    .on_lost = on_lost,
    .count_outstanding = count_outstanding,
    .release = release,
};
