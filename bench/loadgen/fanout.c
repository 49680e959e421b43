/* broadcast, rooms: one sender, many receivers.
 *
 *   broadcast  42["broadcast",P]         ->  42["broadcast",P] to everyone, the sender included
 *   rooms      42<id>["join","room<K>"]  ->  43<id>["room<K>"]
 *              42["room","room<K>",P]    ->  42["room",P] to the clients in room<K>
 *
 * Both are the same to this file: message k goes to group k % group_count. A broadcast has one
 * group with the sender in it; in `rooms` client i is in group i % group_count, the sender in none.
 * `t` carries k. A member of group g must receive g, g + group_count, g + 2 * group_count, ... in
 * this order, each once: Socket.IO keeps the order of messages from one sender.
 *
 * A flight is a message that not everyone has received. Closed loop: the next message leaves when
 * fewer than `in_flight` are open. Open loop (--rate): it leaves when it is due, and its latency
 * counts from then, even if the sender was late.
 */
#include "scenarios.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* Open flights at most, a power of two: beyond, an open loop waits for its server. */
#define FLIGHTS_MAX 4096

#define SHOWN_MAX 60

typedef struct flight {
    uint64_t sent_ns;
    uint32_t remaining; /* receivers that do not have it yet */
} flight;

typedef struct member {
    uint64_t next; /* the message it must receive next */
    uint32_t group;
    bool is_in; /* a sender of `rooms`, and who has not joined yet, is in no group */
} member;

typedef struct fanout_state {
    char head[32]; /* what a delivery begins with */
    size_t head_len;
    bool has_rooms;
    uint32_t group_count;
    uint32_t *group_sizes;
    uint32_t member_count;
    member *members;             /* by client index */
    client *sender;              /* the last client */
    uint64_t sent;               /* messages sent so far */
    uint64_t first_open;         /* all before have been received */
    uint64_t open_count;         /* flights with receivers remaining */
    uint64_t outstanding;        /* deliveries remaining */
    uint64_t due_ns;             /* open loop: when the next message leaves; 0 = not started */
    flight flights[FLIGHTS_MAX]; /* message k at k % FLIGHTS_MAX */
    char *packet;                /* room for one packet */
} fanout_state;

static flight *flight_of(fanout_state *s, uint64_t k)
{
    assert(k >= s->first_open && k < s->sent);
    return &s->flights[k % FLIGHTS_MAX];
}

static void close_finished(fanout_state *s)
{
    while (s->first_open < s->sent && flight_of(s, s->first_open)->remaining == 0)
        s->first_open++;
}

/* One receiver is done with message k. */
static void settle(fanout_state *s, uint64_t k)
{
    flight *f = flight_of(s, k);
    assert(f->remaining > 0);
    s->outstanding--;
    if (--f->remaining == 0) {
        s->open_count--;
        close_finished(s);
    }
}

static bool has_room_for_flight(const fanout_state *s)
{
    return s->sent - s->first_open < FLIGHTS_MAX;
}

static void send_message(run *r, uint64_t sent_ns)
{
    fanout_state *s = r->state;
    uint64_t k = s->sent++;
    uint32_t group = (uint32_t)(k % s->group_count);
    int head_len = s->has_rooms ? sprintf(s->packet, "42[\"room\",\"room%u\",", group)
                                : sprintf(s->packet, "42[\"broadcast\",");
    payload_write(&r->payload, PAYLOAD_T_FIRST + k, s->packet + head_len);
    size_t len = (size_t)head_len + r->payload.len;
    s->packet[len++] = ']';

    uint32_t size = s->group_sizes[group];
    s->flights[k % FLIGHTS_MAX] = (flight){sent_ns, size};
    s->outstanding += size;
    s->open_count += size > 0;
    close_finished(s);
    client_send(s->sender, s->packet, len);
    client_flush(s->sender);
}

/* Closed loop. */
static void send_next(run *r)
{
    fanout_state *s = r->state;
    while (s->due_ns == 0 && !r->is_stopping && !r->is_aborted && has_room_for_flight(s) &&
           s->open_count < r->options->in_flight)
        send_message(r, clock_ns());
}

/* Open loop. */
static uint64_t tick(run *r, uint64_t now)
{
    fanout_state *s = r->state;
    if (s->due_ns == 0)
        return UINT64_MAX;
    const uint64_t interval_ns = (uint64_t)((double)NS_PER_S / r->options->rate);
    for (; s->due_ns <= now && !r->is_aborted; s->due_ns += interval_ns) {
        if (!has_room_for_flight(s))
            return now + NS_PER_MS;
        send_message(r, s->due_ns);
    }
    return s->due_ns;
}

static void refuse(run *r, error_kind kind, const client *c, const char *what, const char *text,
                   size_t len)
{
    run_error(r, kind, 1, "client %u, %s: %.*s", c->index, what,
              (int)(len < SHOWN_MAX ? len : SHOWN_MAX), text);
}

/* The answer to the join: 3<id>["room<K>"] with id 0. */
static void on_joined(run *r, client *c, const char *text, size_t len)
{
    fanout_state *s = r->state;
    member *m = &s->members[c->index];
    char expected[32];
    int expected_len = snprintf(expected, sizeof expected, "30[\"room%u\"]", m->group);
    if (s->sent > 0 || c == s->sender || len != (size_t)expected_len ||
        memcmp(text, expected, len) != 0) {
        refuse(r, ERROR_WRONG, c, "not the answer to its join", text, len);
        return;
    }
    m->is_in = true;
    s->group_sizes[m->group]++;
    s->member_count++;
    r->progress++;
}

/* Reads 2["<event>",P]. */
static payload_verdict read_delivery(const run *r, const char *text, size_t len, uint64_t *t)
{
    const fanout_state *s = r->state;
    if (len <= s->head_len || memcmp(text, s->head, s->head_len) != 0 || text[len - 1] != ']')
        return PAYLOAD_ALIEN;
    return payload_check(&r->payload, text + s->head_len, len - s->head_len - 1, t);
}

static void deliver(run *r, client *c, uint64_t k, const char *text, size_t len)
{
    fanout_state *s = r->state;
    member *m = &s->members[c->index];
    if (k >= s->sent) {
        refuse(r, ERROR_WRONG, c, "never sent", text, len);
        return;
    }
    if (k % s->group_count != m->group) {
        refuse(r, ERROR_WRONG, c, "for another room", text, len);
        return;
    }
    if (k < m->next) {
        refuse(r, ERROR_SUPERFLUOUS, c, "twice or out of order", text, len);
        return;
    }
    for (; m->next < k; m->next += s->group_count) {
        refuse(r, ERROR_MISSING, c, "an earlier one did not come before", text, len);
        settle(s, m->next);
    }
    run_event(r, flight_of(s, k)->sent_ns, clock_ns());
    settle(s, k);
    m->next = k + s->group_count;
    send_next(r);
}

static void on_message(run *r, client *c, const char *text, size_t len)
{
    fanout_state *s = r->state;
    uint64_t t = 0;
    if (!s->members[c->index].is_in) {
        if (s->has_rooms && c != s->sender)
            on_joined(r, c, text, len);
        else
            refuse(r, ERROR_SUPERFLUOUS, c, "in no room", text, len);
        return;
    }
    payload_verdict verdict = read_delivery(r, text, len, &t);
    if (verdict != PAYLOAD_GOOD)
        refuse(r, ERROR_WRONG, c, "other bytes than were sent", text, len);
    if (verdict != PAYLOAD_ALIEN)
        deliver(r, c, t - PAYLOAD_T_FIRST, text, len);
}

static void prepare(run *r, bool has_rooms)
{
    fanout_state *s = alloc_zeroed(1, sizeof *s);
    s->head_len =
        (size_t)snprintf(s->head, sizeof s->head, "2[\"%s\",", has_rooms ? "room" : "broadcast");
    s->has_rooms = has_rooms;
    s->group_count = has_rooms ? r->options->room_count : 1;
    s->group_sizes = alloc_zeroed(s->group_count, sizeof *s->group_sizes);
    s->members = alloc_zeroed(r->client_count, sizeof *s->members);
    s->sender = &r->clients[r->client_count - 1];
    s->packet = alloc_zeroed(r->payload.len + 64, 1);
    for (uint32_t i = 0; i < r->client_count; i++) {
        s->members[i].group = i % s->group_count;
        s->members[i].next = s->members[i].group;
    }
    r->state = s;
}

static void prepare_broadcast(run *r)
{
    prepare(r, false);
}

static void prepare_rooms(run *r)
{
    prepare(r, true);
}

/* Receivers, the sender of a broadcast among them, that are still there. */
static uint32_t count_receivers(const run *r)
{
    const fanout_state *s = r->state;
    uint32_t count = r->ready_count - r->lost_count;
    bool has_sender = s->sender->state == CLIENT_READY;
    return s->has_rooms && has_sender ? count - 1 : count;
}

static bool all_joined(run *r)
{
    const fanout_state *s = r->state;
    return s->member_count == count_receivers(r);
}

static void join_rooms(run *r)
{
    fanout_state *s = r->state;
    for (uint32_t i = 0; i < r->client_count; i++) {
        client *c = &r->clients[i];
        if (c == s->sender || c->state != CLIENT_READY)
            continue;
        int len = sprintf(s->packet, "420[\"join\",\"room%u\"]", s->members[i].group);
        client_send(c, s->packet, (size_t)len);
        client_flush(c);
    }
    if (!run_wait(r, all_joined))
        run_error(r, ERROR_MISSING, count_receivers(r) - s->member_count,
                  "%u clients got no answer to their join", count_receivers(r) - s->member_count);
}

static void join_everyone(run *r)
{
    fanout_state *s = r->state;
    for (uint32_t i = 0; i < r->client_count; i++) {
        s->members[i].is_in = r->clients[i].state == CLIENT_READY;
        s->member_count += s->members[i].is_in;
    }
    s->group_sizes[0] = s->member_count;
}

static void start(run *r)
{
    fanout_state *s = r->state;
    if (s->has_rooms)
        join_rooms(r);
    else
        join_everyone(r);
    if (s->sender->state != CLIENT_READY || s->member_count == 0) {
        r->is_aborted = true;
        return;
    }
    if (r->options->rate > 0)
        s->due_ns = clock_ns();
    else
        send_next(r);
}

static void on_lost(run *r, client *c)
{
    fanout_state *s = r->state;
    member *m = &s->members[c->index];
    if (m->is_in) {
        m->is_in = false;
        s->group_sizes[m->group]--;
        s->member_count--;
        for (; m->next < s->sent; m->next += s->group_count) {
            run_error(r, ERROR_MISSING, 1, "client %u: message %llu was under way", c->index,
                      (unsigned long long)m->next);
            settle(s, m->next);
        }
    }
    if (c == s->sender || (s->sent > 0 && s->member_count == 0))
        r->is_aborted = true;
    if (s->sent > 0)
        send_next(r);
}

static uint64_t count_outstanding(const run *r)
{
    const fanout_state *s = r->state;
    return s->outstanding;
}

static void release(run *r)
{
    fanout_state *s = r->state;
    free(s->group_sizes);
    free(s->members);
    free(s->packet);
    free(s);
}

const scenario broadcast_scenario = {
    .name = "broadcast",
    .event = "broadcast",
    .counted = "deliveries",
    .has_sender = true,
    .prepare = prepare_broadcast,
    .start = start,
    .on_message = on_message,
    .on_lost = on_lost,
    .tick = tick,
    .count_outstanding = count_outstanding,
    .release = release,
};

const scenario rooms_scenario = {
    .name = "rooms",
    .event = "room",
    .counted = "deliveries",
    .has_sender = true,
    .prepare = prepare_rooms,
    .start = start,
    .on_message = on_message,
    .on_lost = on_lost,
    .tick = tick,
    .count_outstanding = count_outstanding,
    .release = release,
};
