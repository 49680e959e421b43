/* A worker with a clock in the test's hand, and a protocol that records what it is told: for the
 * tests of net/conn. */
#ifndef CARAFE_TESTS_UNIT_NET_CONN_RECORDING_H
#define CARAFE_TESTS_UNIT_NET_CONN_RECORDING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/memory.h"

static worker w;
static int64_t blocks_before;

/* What one connection's protocol has heard. */
typedef struct recording {
    net_conn *conn; /* set by hooks that need it */
    buf in;
    int eofs;
    int drains;
    int timers;
    int closes;
    net_close reason;
    /* Called at the end of each callback of the kinds named here. NULL: nothing. */
    void (*on_data)(net_conn *c);
    void (*on_eof)(net_conn *c);
    void (*on_drain)(net_conn *c);
    void (*on_timer)(net_conn *c);
    void (*on_close)(net_conn *c);
} recording;

static void record_data(net_conn *c, uint8_t *data, size_t len)
{
    recording *r = c->user;
    assert_true(len > 0);
    assert_int_equal(r->closes, 0);
    if (buf_append(&r->in, data, len) < 0)
        net_conn_close(c, NET_CLOSE_NOMEM);
    memset(data, 0xee, len); /* the bytes are the protocol's to destroy */
    if (r->on_data)
        r->on_data(c);
}

static void record_eof(net_conn *c)
{
    recording *r = c->user;
    r->eofs++;
    if (r->on_eof)
        r->on_eof(c);
}

static void record_drain(net_conn *c)
{
    recording *r = c->user;
    r->drains++;
    if (r->on_drain)
        r->on_drain(c);
}

static void record_timer(net_conn *c)
{
    recording *r = c->user;
    r->timers++;
    if (r->on_timer)
        r->on_timer(c);
}

static void record_close(net_conn *c, net_close reason)
{
    recording *r = c->user;
    r->closes++;
    r->reason = reason;
    if (r->on_close)
        r->on_close(c);
}

static const net_protocol recorder = {
    .on_data = record_data,
    .on_eof = record_eof,
    .on_drain = record_drain,
    .on_timer = record_timer,
    .on_close = record_close,
};

/* ---- the worker ---- */

static int set_up(void **state)
{
    (void)state;
    blocks_before = mem_blocks_in_use();
    assert_int_equal(worker_init(&w, 0, 0), 0);
    worker_set_now(&w, worker_now(&w));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mem_fail_never();
    worker_deinit(&w);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

static inline void turn(void)
{
    worker_turn(&w, false);
}

static inline void pass_time(uint64_t ms)
{
    worker_set_now(&w, worker_now(&w) + ms);
    turn();
}

/* ---- connections ---- */

static inline net_memory *connect_to(recording *r)
{
    net_memory *m = net_memory_new(&w, &recorder, r);
    assert_non_null(m);
    return m;
}

static inline void assert_out(const net_memory *m, const char *text)
{
    assert_int_equal(buf_readable(&m->out), strlen(text));
    if (*text)
        assert_memory_equal(buf_head(&m->out), text, strlen(text));
}

/* The connection is gone, for this reason, and its protocol was told once. */
static inline void assert_ended(const net_memory *m, const recording *r, net_close reason)
{
    assert_true(m->is_closed);
    assert_null(m->conn);
    assert_int_equal(r->closes, 1);
    assert_string_equal(net_close_text(r->reason), net_close_text(reason));
}

static inline void forget(net_memory *m, recording *r)
{
    net_memory_free(m);
    turn();
    assert_int_equal(r->closes, 1);
    buf_deinit(&r->in);
}

/* ---- shared bytes ---- */

typedef struct counted {
    shared shared;
    int frees;
    uint8_t bytes[64];
} counted;

static void count_free(shared *s)
{
    LIST_ENTRY(s, counted, shared)->frees++;
}

static inline void counted_init(counted *c, const char *text)
{
    *c = (counted){.frees = 0};
    shared_init(&c->shared, count_free);
    memcpy(c->bytes, text, strlen(text));
}

/* ---- looking at what the transport is asked ---- */

static const net_transport *real_transport;
static struct {
    int writes;
    int pieces;           /* of the last write */
    struct iovec iov[64]; /* of the last write */
    bool wants_read;
    bool wants_write;
} asked;

static ptrdiff_t watch_write(net_conn *c, const struct iovec *iov, int iov_count)
{
    asked.writes++;
    asked.pieces = iov_count;
    memcpy(asked.iov, iov, (size_t)iov_count * sizeof(*iov));
    return real_transport->write(c, iov, iov_count);
}

static void watch_want(net_conn *c, bool read, bool write)
{
    asked.wants_read = read;
    asked.wants_write = write;
    real_transport->want(c, read, write);
}

static net_transport watching;

static inline void watch(net_conn *c)
{
    memset(&asked, 0, sizeof(asked));
    asked.wants_read = true;
    real_transport = c->transport;
    watching = *real_transport;
    watching.write = watch_write;
    watching.want = watch_want;
    c->transport = &watching;
}

#endif /* CARAFE_TESTS_UNIT_NET_CONN_RECORDING_H */
