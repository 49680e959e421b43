/* http/conn over the memory transport: connections that leave HTTP, and peers that leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "memory_http.h"

static memory_http *const s = &memory_server;

static void answer_later(int i, const char *text)
{
    assert_int_equal(http_respond(s->later[i], 200, NULL, 0, slice_str(text)), 0);
    memory_http_turn();
    memory_http_turn();
}

/* ---- the peer leaves ---- */

static void test_http_conn_peer_gone_before_the_answer(void **state)
{
    (void)state;
    s->sets_on_gone = true;
    net_memory *m = memory_http_connect();
    memory_http_send(m, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    net_memory_reset(m);
    assert_int_equal(s->gone, 0);
    memory_http_turn();
    assert_int_equal(s->gone, 1);
    assert_null(s->later[0]->conn);
    assert_true(slice_is(s->later[0]->head.path, "/later"));
    assert_int_equal(http_respond(s->later[0], 200, NULL, 0, SLICE_LITERAL("x")),
                     CARAFE_ERR_CLOSED);
    assert_int_equal(buf_readable(&m->out), 0);
    memory_http_leave(m);
    /* In the turn in which it goes, the connection is still there but takes nothing. */
    m = memory_http_connect();
    memory_http_send(m, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    net_memory_reset(m);
    assert_int_equal(http_respond_error(s->later[1], 500, NULL), CARAFE_ERR_CLOSED);
    memory_http_turn();
    assert_int_equal(s->gone, 1);
    memory_http_leave(m);
}

static void test_http_conn_half_closed_peer_gets_its_answer(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_send(m, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    net_memory_feed_end(m);
    memory_http_turn();
    answer_later(0, "late");
    memory_answer answer;
    assert_true(memory_http_take(m, false, &answer));
    assert_true(answer.is_last);
    memory_http_expect_end(m);
    assert_null(m->conn);
    memory_http_leave(m);
    /* The answer of the same turn leaves, too. */
    m = memory_http_connect();
    memory_http_feed(m, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    net_memory_feed_end(m);
    memory_http_turn();
    memory_http_expect(m, 200, "GET /echo ");
    memory_http_leave(m);
}

static void test_http_conn_half_closed_peer_gets_the_answers_of_its_pipeline(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_send(m, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
                        "GET /echo?2 HTTP/1.1\r\nHost: a\r\n\r\n"
                        "GET /echo?3 HTTP/1.1\r\nHost: a\r\n\r\nGET /cut");
    net_memory_feed_end(m);
    memory_http_turn();
    answer_later(0, "first");
    memory_http_turn();
    memory_http_expect(m, 200, "first");
    memory_http_expect(m, 200, "GET /echo ");
    memory_http_expect(m, 200, "GET /echo ");
    memory_http_expect_end(m);
    memory_http_leave(m);
}

static void test_http_conn_half_closed_peer_is_gone_for_those_who_want_to_know(void **state)
{
    (void)state;
    s->sets_on_gone = true;
    net_memory *m = memory_http_connect();
    memory_http_send(m, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    net_memory_feed_end(m);
    memory_http_turn();
    assert_int_equal(s->gone, 1);
    assert_true(m->is_closed);
    http_request_drop(s->later[0]);
    memory_http_leave(m);
}

static void test_http_conn_peer_gone_inside_head_or_body(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "GET /ec",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
    };
    s->sets_on_gone = true;
    for (int i = 0; i < 8; i++) {
        s->gone = 0;
        net_memory *m = memory_http_connect();
        memory_http_feed(m, parts[i / 2]);
        if (i % 2)
            net_memory_feed_end(m);
        else
            net_memory_reset(m);
        memory_http_turn();
        memory_http_turn();
        assert_null(m->conn);
        assert_int_equal(s->gone, i >= 2);
        memory_http_leave(m);
    }
    assert_int_equal(s->requests, 0);
}

static void test_http_conn_stopping_worker_closes_behind_answers_and_the_idle(void **state)
{
    (void)state;
    net_memory *idle = memory_http_connect(), *busy = memory_http_connect();
    net_memory *loading = memory_http_connect();
    memory_http_send(busy, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    loading->out_max = 100;
    memory_http_send(loading, "GET /size?100000 HTTP/1.1\r\nHost: a\r\n\r\n");
    worker_set_stopping(&s->worker);
    http_worker_finish_idle(&s->worker);
    memory_http_turn();
    assert_true(idle->is_shut_down);
    assert_false(busy->is_shut_down || loading->is_shut_down);
    answer_later(0, "late");
    memory_answer answer;
    assert_true(memory_http_take(busy, false, &answer));
    assert_true(answer.is_last);
    memory_http_expect_end(busy);
    loading->out_max = 0;
    net_memory_drain(loading);
    memory_http_turn();
    assert_true(loading->is_shut_down);
    memory_http_leave(idle);
    memory_http_leave(busy);
    memory_http_leave(loading);
}

/* ---- upgrades ---- */

/* The protocol after the upgrade. */
static struct {
    net_conn *conn; /* NULL before and after */
    char got[128 * 1024];
    size_t len;
    int upgrades;
    int closes;
    int result; /* of http_upgrade */
    bool closes_at_once;
    bool closes_on_data;
    bool has_bad_header;
} after;

static void after_data(net_conn *c, uint8_t *data, size_t len)
{
    assert_ptr_equal(c, after.conn);
    assert_int_equal(after.upgrades, 1);
    assert_true(after.len + len <= sizeof(after.got));
    memcpy(after.got + after.len, data, len);
    after.len += len;
    memset(data, 0xee, len); /* the bytes are this protocol's to destroy */
    if (after.closes_on_data)
        net_conn_close(c, NET_CLOSE_LOCAL);
}

static void after_close(net_conn *c, net_close reason)
{
    (void)reason;
    assert_ptr_equal(c, after.conn);
    after.conn = NULL;
    after.closes++;
}

static const net_protocol after_protocol = {.on_data = after_data, .on_close = after_close};

static void on_upgraded(net_conn *c)
{
    assert_ptr_equal(c->user, &after);
    after.conn = c;
    after.upgrades++;
    if (after.closes_at_once)
        net_conn_close(c, NET_CLOSE_LOCAL);
    else
        assert_int_equal(net_conn_write(c, "welcome", 7), 0);
}

static void upgrade(http_request *req)
{
    http_header header = {SLICE_LITERAL("X-Kind"), SLICE_LITERAL("test")};
    if (after.has_bad_header)
        header.value = SLICE_LITERAL("a\nb");
    after.result = http_upgrade(req, "after", &header, 1, &after_protocol, &after, on_upgraded);
}

static int set_up_upgrade(void **state)
{
    memset(&after, 0, sizeof(after));
    int result = memory_http_start(state);
    s->service.on_head = NULL;
    s->service.on_request = upgrade;
    return result;
}

#define UPGRADE " HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: after\r\n"

/* The client has got the 101 and what on_upgraded wrote behind it, and nothing else. */
static void expect_upgraded(net_memory *m)
{
    memory_answer answer;
    assert_int_equal(after.result, 0);
    assert_true(memory_http_take(m, true, &answer));
    assert_int_equal(answer.status, 101);
    assert_string_equal(memory_answer_header(&answer, "Upgrade"), "after");
    assert_string_equal(memory_answer_header(&answer, "X-Kind"), "test");
    assert_int_equal(buf_readable(&m->out), 7);
    assert_memory_equal(buf_head(&m->out), "welcome", 7);
}

static void expect_got(const char *text)
{
    assert_int_equal(after.len, strlen(text));
    assert_memory_equal(after.got, text, after.len);
}

static void test_http_conn_upgrade_gets_the_bytes_behind_the_request(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_send(m, "GET /" UPGRADE "\r\nbehind");
    expect_upgraded(m);
    expect_got("behind");
    memory_http_send(m, ", more");
    expect_got("behind, more");
    /* The time-outs of HTTP are over. */
    memory_http_pass(24 * 3600 * 1000);
    assert_false(m->is_closed);
    memory_http_leave(m);
    assert_int_equal(after.closes, 1);
}

static void test_http_conn_upgrade_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const char bytes[] = "GET /" UPGRADE "\r\nbehind";
    for (size_t step = 1; step < sizeof(bytes); step++) {
        memset(&after, 0, sizeof(after));
        net_memory *m = memory_http_connect();
        for (size_t at = 0; at < sizeof(bytes) - 1; at += step) {
            size_t left = sizeof(bytes) - 1 - at;
            net_memory_feed(m, bytes + at, left < step ? left : step);
        }
        memory_http_turn();
        expect_upgraded(m);
        expect_got("behind");
        memory_http_leave(m);
    }
}

static void test_http_conn_upgrade_from_on_head(void **state)
{
    (void)state;
    s->service.on_head = upgrade;
    s->service.on_request = NULL;
    net_memory *m = memory_http_connect();
    memory_http_send(m, "GET /" UPGRADE "\r\nbehind");
    expect_upgraded(m);
    expect_got("behind");
    memory_http_leave(m);
}

static void keep_request(http_request *req)
{
    s->later[s->later_count++] = req;
}

static void test_http_conn_delayed_upgrade_gets_what_was_kept(void **state)
{
    (void)state;
    static char many[HTTP_PIPELINE_SIZE_MAX + 1];
    memset(many, 'm', sizeof(many));
    s->service.on_request = keep_request;
    net_memory *m = memory_http_connect();
    memory_http_send(m, "GET /" UPGRADE "\r\nbehind");
    net_memory_feed(m, many, sizeof(many));
    assert_true(m->conn->is_paused);
    upgrade(s->later[0]);
    assert_false(m->conn->is_paused);
    memory_http_turn();
    expect_upgraded(m);
    assert_int_equal(after.len, 6 + sizeof(many));
    assert_memory_equal(after.got, "behind", 6);
    assert_memory_equal(after.got + 6, many, sizeof(many));
    memory_http_leave(m);
}

static void test_http_conn_upgrade_does_not_get_the_body(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "POST /" UPGRADE "Content-Length: 4\r\n\r\nbodybehind",
        "POST /" UPGRADE "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\nbehind",
    };
    for (int i = 0; i < 2; i++) {
        size_t len = strlen(requests[i]);
        for (size_t cut = 1; cut < len; cut++) {
            memset(&after, 0, sizeof(after));
            net_memory *m = memory_http_connect();
            net_memory_feed(m, requests[i], cut);
            net_memory_feed(m, requests[i] + cut, len - cut);
            memory_http_turn();
            expect_upgraded(m);
            expect_got("behind");
            memory_http_leave(m);
        }
    }
}

static void test_http_conn_upgrade_behind_an_answer_comes_in_order(void **state)
{
    (void)state;
    memory_http_stop(NULL);
    memory_http_start(NULL);
    net_memory *m = memory_http_connect();
    memory_http_feed(m, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\nGET /later" UPGRADE "\r\nbehind");
    upgrade(s->later[0]);
    memory_http_turn();
    memory_http_expect(m, 200, "GET /echo ");
    expect_upgraded(m);
    expect_got("behind");
    memory_http_leave(m);
}

static void test_http_conn_upgrade_closed_by_its_protocol_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        memset(&after, 0, sizeof(after));
        after.closes_at_once = i == 0;
        after.closes_on_data = i == 1;
        net_memory *m = memory_http_connect();
        memory_http_send(m, "GET /" UPGRADE "\r\nbehind");
        assert_int_equal(after.result, 0);
        assert_null(m->conn);
        assert_int_equal(after.closes, 1);
        assert_int_equal(after.len, i == 0 ? 0 : 6);
        memory_http_leave(m);
    }
}

static void test_http_conn_upgrade_that_fails_closes(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    after.has_bad_header = true;
    memory_http_send(m, "GET /" UPGRADE "\r\nbehind");
    assert_int_equal(after.result, CARAFE_ERR_ARGUMENT);
    assert_null(m->conn);
    memory_http_leave(m);
    after.has_bad_header = false;
    s->service.on_request = keep_request;
    m = memory_http_connect();
    memory_http_send(m, "GET /" UPGRADE "\r\nbehind");
    net_memory_reset(m);
    memory_http_turn();
    upgrade(s->later[0]);
    assert_int_equal(after.result, CARAFE_ERR_CLOSED);
    assert_int_equal(after.upgrades, 0);
    memory_http_leave(m);
    s->service.on_request = upgrade;
    m = memory_http_connect();
    after.result = 0;
    memory_http_feed(m, "GET /" UPGRADE "\r");
    mem_fail_after(2); /* 1 is the growth of the buffer or the request; then the answer's head */
    memory_http_feed(m, "\nbehind");
    mem_fail_never();
    memory_http_turn();
    memory_http_turn();
    assert_int_equal(after.upgrades, 0);
    assert_true(m->is_shut_down || m->is_closed);
    memory_http_leave(m);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, memory_http_start, memory_http_stop)
#define UPGRADE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_upgrade, memory_http_stop)
    const struct CMUnitTest tests[] = {
        TEST(test_http_conn_peer_gone_before_the_answer),
        TEST(test_http_conn_half_closed_peer_gets_its_answer),
        TEST(test_http_conn_half_closed_peer_gets_the_answers_of_its_pipeline),
        TEST(test_http_conn_half_closed_peer_is_gone_for_those_who_want_to_know),
        TEST(test_http_conn_peer_gone_inside_head_or_body),
        TEST(test_http_conn_stopping_worker_closes_behind_answers_and_the_idle),
        UPGRADE_TEST(test_http_conn_upgrade_gets_the_bytes_behind_the_request),
        UPGRADE_TEST(test_http_conn_upgrade_in_pieces_of_any_size),
        UPGRADE_TEST(test_http_conn_upgrade_from_on_head),
        UPGRADE_TEST(test_http_conn_delayed_upgrade_gets_what_was_kept),
        UPGRADE_TEST(test_http_conn_upgrade_does_not_get_the_body),
        UPGRADE_TEST(test_http_conn_upgrade_behind_an_answer_comes_in_order),
        UPGRADE_TEST(test_http_conn_upgrade_closed_by_its_protocol_at_once),
        UPGRADE_TEST(test_http_conn_upgrade_that_fails_closes),
    };
    return cmocka_run_group_tests_name("http/conn ends", tests, NULL, NULL);
}
