/* http/conn: what is refused, and what takes too long. Each refusal is a status with a JSON body,
 * one line in the log and the end of the connection; bytes behind it are never a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory_http.h"

static memory_http *const s = &memory_server;

#define BEHIND "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST "POST /echo HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

typedef struct refusal {
    int status;
    const char *bytes;
    size_t len; /* 0: up to the NUL */
} refusal;

static const refusal refusals[] = {
    /* Two ways to tell the body's length. */
    {400, POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" BEHIND, 0},
    {400, POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" BEHIND, 0},
    {400, POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" BEHIND, 0},
    {400, POST "Content-Length: 5, 6\r\n\r\nhello" BEHIND, 0},
    {400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" BEHIND, 0},
    {400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" BEHIND, 0},
    {400, POST "Transfer-Encoding: chunked, identity\r\n\r\n" BEHIND, 0},
    {400, POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" BEHIND, 0},
    {400, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" BEHIND, 0},
    {501, POST "Transfer-Encoding: gzip\r\n\r\n" BEHIND, 0},
    {501, POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" BEHIND, 0},
    {400, POST "Transfer-Encoding:\r\n\r\n" BEHIND, 0},
    /* Lengths that are none. */
    {400, POST "Content-Length: +5\r\n\r\nhello" BEHIND, 0},
    {400, POST "Content-Length: -5\r\n\r\nhello" BEHIND, 0},
    {400, POST "Content-Length: 0x5\r\n\r\nhello" BEHIND, 0},
    {400, POST "Content-Length: 5 5\r\n\r\nhello" BEHIND, 0},
    {400, POST "Content-Length:\r\n\r\nhello" BEHIND, 0},
    {413, POST "Content-Length: 18446744073709551621\r\n\r\nhello" BEHIND, 0},
    {413, POST "Content-Length: 16777217\r\n\r\nhello" BEHIND, 0},
    /* Line ends, white space, control characters. */
    {400, "GET /echo HTTP/1.1\nHost: a\n\n" BEHIND, 0},
    {400, "GET /echo HTTP/1.1\r\nHost: a\n\r\n" BEHIND, 0},
    {400, "GET /echo HTTP/1.1\r\nHost: a\r\n\n" BEHIND, 0},
    {400, "GET /echo HTTP/1.1\r\nHost: a\rX: y\r\n\r\n" BEHIND, 0},
    {400, "GET /echo HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n" BEHIND, 0},
    {400, "GET /echo HTTP/1.1\r\n Host: a\r\n\r\n" BEHIND, 0},
    {400, POST "Content-Length : 5\r\n\r\nhello" BEHIND, 0},
    {400, POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" BEHIND, 0},
    {400, POST "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" BEHIND, 0},
    {400,
     POST "Transfer-Encoding: \x0b"
          "chunked\r\n\r\n0\r\n\r\n" BEHIND,
     0},
    {400, "GET /echo HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 39},
    {400, "GET /ec\0ho HTTP/1.1\r\nHost: a\r\n\r\n", 32},
    {400, "GET /echo HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n" BEHIND, 0},
    {400, "GET /echo HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n" BEHIND, 0},
    {400, "GET  /echo HTTP/1.1\r\nHost: a\r\n\r\n" BEHIND, 0},
    {400, "GET /echo x HTTP/1.1\r\nHost: a\r\n\r\n" BEHIND, 0},
    /* Hosts and the rest of the request line. */
    {400, "GET /echo HTTP/1.1\r\n\r\n" BEHIND, 0},
    {400, "GET /echo HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n" BEHIND, 0},
    {400, "GET /echo HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n" BEHIND, 0},
    {400, "GET /echo HTTP/1.1\r\nHost: a, b\r\n\r\n" BEHIND, 0},
    {505, "GET /echo HTTP/2.0\r\nHost: a\r\n\r\n" BEHIND, 0},
    {400, "GET /echo\r\n\r\n" BEHIND, 0},
    {400, "\x16\x03\x01\x02", 4}, /* TLS on a plain port */
    {417, POST "Content-Length: 5\r\nExpect: magic\r\n\r\n" BEHIND, 0},
    /* Chunks. */
    {413, CHUNKED "FFFFFFFFFFFFFFFF\r\nhello" BEHIND, 0},
    {413, CHUNKED "10000000000000005\r\nhello" BEHIND, 0},
    {400, CHUNKED "00000000000000005\r\nhello" BEHIND, 0},
    {400, CHUNKED "5 \r\nhello\r\n0\r\n\r\n" BEHIND, 0},
    {400, CHUNKED " 5\r\nhello\r\n0\r\n\r\n" BEHIND, 0},
    {400, CHUNKED "0x5\r\nhello\r\n0\r\n\r\n" BEHIND, 0},
    {400, CHUNKED "-5\r\nhello\r\n0\r\n\r\n" BEHIND, 0},
    {400, CHUNKED "\r\nhello\r\n0\r\n\r\n" BEHIND, 0},
    {400, CHUNKED "5\nhello\n0\n\n" BEHIND, 0},
    {400, CHUNKED "5\r\nhelloXX0\r\n\r\n" BEHIND, 0},
    {400, CHUNKED "5;a\nb\r\nhello\r\n0\r\n\r\n" BEHIND, 0},
    {400, CHUNKED "0\r\nbad trailer\n\r\n" BEHIND, 0},
};

/* Fed in steps, as far as the connection takes it. */
static void feed_refused(const refusal *r, size_t step)
{
    size_t len = r->len ? r->len : strlen(r->bytes);
    net_memory *m = memory_http_connect();
    s->requests = 0;
    for (size_t at = 0; at < len; at += step) {
        net_memory_feed(m, r->bytes + at, len - at < step ? len - at : step);
        memory_http_turn();
    }
    memory_http_turn();
    memory_http_expect_refusal(m, r->status);
    assert_int_equal(s->requests, 0);
    /* It lingers for a peer that still sends, and ends with it or by time. */
    assert_false(m->is_closed);
    memory_http_feed(m, BEHIND);
    memory_http_pass(NET_LINGER_MS);
    assert_null(m->conn);
    assert_int_equal(buf_readable(&m->out), 0);
    assert_int_equal(s->requests, 0);
    memory_http_leave(m);
}

static void test_http_conn_refuses_what_two_servers_could_read_differently(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        feed_refused(&refusals[i], SIZE_MAX / 2);
        feed_refused(&refusals[i], 1);
    }
}

static void test_http_conn_refusal_behind_answers_comes_last(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_send(m, BEHIND BEHIND "GET /echo HTTP/1.1\r\nHost : a\r\n\r\n" BEHIND);
    memory_http_expect(m, 200, "GET /echo ");
    memory_http_expect(m, 200, "GET /echo ");
    memory_http_expect_refusal(m, 400);
    assert_int_equal(s->requests, 2);
    memory_http_leave(m);
    /* Behind one that is not answered yet it waits for it. */
    m = memory_http_connect();
    memory_http_send(
        m, "GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost : a\r\n\r\n");
    assert_int_equal(s->log_count, 0);
    assert_int_equal(http_respond(s->later[0], 200, NULL, 0, SLICE_LITERAL("late")), 0);
    memory_http_turn();
    memory_http_turn();
    memory_http_expect(m, 200, "late");
    memory_http_expect_refusal(m, 400);
    memory_http_leave(m);
}

/* ---- sizes ---- */

static void test_http_conn_body_at_and_above_its_limit(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    s->sets_on_gone = true;
    memory_http_send(m, "POST /limit?5 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    memory_http_expect(m, 200, "POST /limit hello");
    memory_http_send(m, "POST /limit?5 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
    memory_http_expect(m, 200, "POST /limit hello");
    memory_http_send(m, "POST /limit?5 HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nhello!");
    memory_http_expect_refusal(m, 413);
    assert_int_equal(s->gone, 1);
    memory_http_leave(m);
    m = memory_http_connect();
    /* Known with the size of the chunk, before its bytes. */
    memory_http_send(m, "POST /limit?5 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "3\r\nhel\r\n3\r\n");
    memory_http_expect_refusal(m, 413);
    memory_http_leave(m);
    assert_int_equal(s->gone, 2);
    assert_int_equal(s->requests, 2);
}

static void test_http_conn_head_at_and_above_its_limits(void **state)
{
    (void)state;
    s->service.limits = (http_limits){
        .head_size_max = 100, .target_size_max = 20, .header_size_max = 50, .header_count_max = 3};
    static const struct {
        int status;
        const char *bytes;
    } table[] = {
        {404, "GET /1234567890123456789 HTTP/1.1\r\nHost: a\r\n\r\n"},
        {414, "GET /12345678901234567890 HTTP/1.1\r\nHost: a\r\n\r\n"},
        {200, "GET /echo HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\n\r\n"},
        {431, "GET /echo HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\nE: f\r\n\r\n"},
        {431, "GET /echo HTTP/1.1\r\nHost: a\r\n"
              "A: 12345678901234567890123456789012345678901234567890\r\n\r\n"},
        {431, "GET /echo HTTP/1.1\r\nHost: a\r\nA: 1234567890123456789012345678901234567890\r\n"
              "B: 1234567890123456789012345678901234567890\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        net_memory *m = memory_http_connect();
        memory_http_send(m, table[i].bytes);
        if (table[i].status > 404)
            memory_http_expect_refusal(m, table[i].status);
        else
            memory_http_expect(m, table[i].status, NULL);
        memory_http_leave(m);
    }
}

static void test_http_conn_head_without_an_end_is_refused_at_its_limit(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_feed(m, "GET /echo HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 2000 && !m->is_shut_down; i++) {
        memory_http_feed(m, "A: 12345678901234567890123456789012345678901234567890123\r\n");
        memory_http_turn();
    }
    memory_http_expect_refusal(m, 431);
    memory_http_leave(m);
}

/* ---- time ---- */

static void test_http_conn_idle_connection_is_closed_in_silence(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_pass(HTTP_IDLE_TIMEOUT_MS - 1);
    memory_http_send(m, BEHIND);
    memory_http_expect(m, 200, NULL);
    memory_http_pass(HTTP_IDLE_TIMEOUT_MS - 1);
    assert_false(m->is_closed);
    memory_http_pass(1);
    assert_null(m->conn);
    assert_int_equal(buf_readable(&m->out), 0);
    assert_int_equal(s->log_count, 0);
    memory_http_leave(m);
}

static void test_http_conn_slow_head_is_refused_whatever_trickles_in(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_pass(HTTP_IDLE_TIMEOUT_MS - 1000);
    memory_http_send(m, "GET /echo HTTP/1.1\r\n");
    for (int i = 1; i < 30; i++) {
        memory_http_pass(1000);
        memory_http_send(m, "A: b\r\n");
    }
    assert_false(m->is_shut_down);
    memory_http_pass(1000);
    memory_http_expect_refusal(m, 408);
    memory_http_leave(m);
}

static void test_http_conn_pipelined_slow_head_is_refused_too(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_send(m, BEHIND "GET /ec");
    memory_http_expect(m, 200, NULL);
    memory_http_pass(HTTP_HEAD_TIMEOUT_MS);
    memory_http_expect_refusal(m, 408);
    memory_http_leave(m);
}

static void test_http_conn_times_are_the_services(void **state)
{
    (void)state;
    s->service.idle_timeout_ms = 100;
    s->service.head_timeout_ms = 200;
    s->service.stall_window_ms = 300;
    net_memory *idle = memory_http_connect();
    net_memory *head = memory_http_connect();
    net_memory *body = memory_http_connect();
    memory_http_send(head, "GET /ec");
    memory_http_send(body, POST "Content-Length: 5\r\n\r\nhe");
    memory_http_pass(100);
    assert_true(idle->is_closed);
    assert_false(head->is_shut_down || body->is_shut_down);
    memory_http_pass(100);
    memory_http_expect_refusal(head, 408);
    assert_false(body->is_shut_down);
    memory_http_pass(100);
    memory_http_expect_refusal(body, 408);
    memory_http_leave(idle);
    memory_http_leave(head);
    memory_http_leave(body);
}

static void test_http_conn_stalled_body_is_refused(void **state)
{
    (void)state;
    static char part[HTTP_STALL_BYTES_MIN + 1];
    memset(part, 'x', sizeof(part) - 1);
    s->sets_on_gone = true;
    net_memory *m = memory_http_connect();
    memory_http_send(m, POST "Content-Length: 100000\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        memory_http_pass(HTTP_STALL_WINDOW_MS - 1);
        memory_http_send(m, part);
        memory_http_pass(1);
        assert_false(m->is_shut_down);
    }
    memory_http_send(m, part + 1); /* a byte too few */
    memory_http_pass(HTTP_STALL_WINDOW_MS);
    memory_http_expect_refusal(m, 408);
    assert_int_equal(s->gone, 1);
    memory_http_leave(m);
}

static void test_http_conn_time_of_the_handler_is_its_own(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_send(m, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    memory_http_pass(24 * 3600 * 1000);
    assert_int_equal(http_respond(s->later[0], 200, NULL, 0, SLICE_LITERAL("done")), 0);
    memory_http_turn();
    memory_http_expect(m, 200, "done");
    memory_http_pass(HTTP_IDLE_TIMEOUT_MS - 1);
    assert_false(m->is_closed);
    memory_http_leave(m);
}

static void slow_reader(const char *request)
{
    net_memory *m = memory_http_connect();
    m->out_max = HTTP_STALL_BYTES_MIN;
    memory_http_send(m, request);
    for (int i = 0; i < 5; i++) {
        memory_http_pass(HTTP_STALL_WINDOW_MS - 1);
        net_memory_drain(m);
        memory_http_pass(1);
        assert_false(m->is_closed);
    }
    memory_http_pass(HTTP_STALL_WINDOW_MS);
    assert_null(m->conn);
    memory_http_leave(m);
}

static void test_http_conn_slow_reader_is_cut(void **state)
{
    (void)state;
    slow_reader("GET /size?200000 HTTP/1.1\r\nHost: a\r\n\r\n");
    slow_reader("GET /file?200000 HTTP/1.1\r\nHost: a\r\n\r\n");
    slow_reader("GET /size?200000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
}

static void test_http_conn_reader_that_stops_after_a_short_answer_ends_as_idle(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    m->out_max = 10;
    memory_http_send(m, "GET /size?50000 HTTP/1.1\r\nHost: a\r\n\r\n");
    memory_http_pass(HTTP_IDLE_TIMEOUT_MS);
    assert_null(m->conn);
    memory_http_leave(m);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, memory_http_start, memory_http_stop)
    const struct CMUnitTest tests[] = {
        TEST(test_http_conn_refuses_what_two_servers_could_read_differently),
        TEST(test_http_conn_refusal_behind_answers_comes_last),
        TEST(test_http_conn_body_at_and_above_its_limit),
        TEST(test_http_conn_head_at_and_above_its_limits),
        TEST(test_http_conn_head_without_an_end_is_refused_at_its_limit),
        TEST(test_http_conn_idle_connection_is_closed_in_silence),
        TEST(test_http_conn_slow_head_is_refused_whatever_trickles_in),
        TEST(test_http_conn_pipelined_slow_head_is_refused_too),
        TEST(test_http_conn_times_are_the_services),
        TEST(test_http_conn_stalled_body_is_refused),
        TEST(test_http_conn_time_of_the_handler_is_its_own),
        TEST(test_http_conn_slow_reader_is_cut),
        TEST(test_http_conn_reader_that_stops_after_a_short_answer_ends_as_idle),
    };
    return cmocka_run_group_tests_name("http/conn refusals", tests, NULL, NULL);
}
