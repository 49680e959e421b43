/* http/conn over the memory transport: requests in, answers out, in order. What is refused:
 * test_http_conn_refusals.c; who leaves: test_http_conn_ends.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ---- keep-alive ---- */

static void test_http_conn_serves_one_request_behind_the_other(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    for (int i = 0; i < 5; i++) {
        memory_http_send(m, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
        memory_http_expect(m, 200, "GET /echo ");
        memory_http_send(m, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        memory_http_expect(m, 200, "POST /echo abc");
        net_memory_drain(m);
    }
    assert_false(m->is_shut_down);
    assert_int_equal(s->requests, 10);
    memory_http_leave(m);
    assert_int_equal(s->log_count, 0);
}

static void test_http_conn_closes_behind_the_answer_when_asked_to(void **state)
{
    (void)state;
    static const char *const asks[] = {
        "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /echo HTTP/1.0\r\n\r\n",
        "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /echo HTTP/1.1\r\n",
    };
    for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
        memory_answer answer;
        net_memory *m = memory_http_connect();
        memory_http_send(m, asks[i]);
        assert_true(memory_http_take(m, false, &answer));
        assert_int_equal(answer.status, 200);
        assert_true(answer.is_last);
        memory_http_expect_end(m);
        memory_http_leave(m);
    }
    net_memory *m = memory_http_connect();
    memory_http_send(m, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    memory_http_expect(m, 200, "GET /echo ");
    assert_false(m->is_shut_down);
    memory_http_leave(m);
}

static void test_http_conn_head_gets_the_head_only(void **state)
{
    (void)state;
    memory_answer answer;
    net_memory *m = memory_http_connect();
    static const char *const paths[] = {"/echo", "/file?5000", "/size?100000"};
    static const char *const lengths[] = {"11", "5000", "100000"};
    for (int i = 0; i < 3; i++) {
        char text[100];
        snprintf(text, sizeof(text), "HEAD %s HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]);
        memory_http_send(m, text);
        assert_true(memory_http_take(m, true, &answer));
        assert_int_equal(answer.status, 200);
        assert_string_equal(memory_answer_header(&answer, "Content-Length"), lengths[i]);
        assert_int_equal(buf_readable(&m->out), 0);
    }
    memory_http_send(m, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    memory_http_expect(m, 200, "GET /echo ");
    memory_http_leave(m);
}

/* ---- pipelining ---- */

static void test_http_conn_pipelined_requests_are_answered_in_one_write(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_feed(m, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
                        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy"
                        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "2\r\nab\r\n1;ext=1\r\nc\r\n0\r\nTrailer: x\r\n\r\n"
                        "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(s->requests, 4);
    assert_int_equal(buf_readable(&m->out), 0);
    memory_http_turn();
    memory_http_expect(m, 200, "GET /echo ");
    memory_http_expect(m, 200, "POST /echo xy");
    memory_http_expect(m, 200, "POST /echo abc");
    memory_http_expect(m, 404, "not found");
    memory_http_leave(m);
}

static void test_http_conn_pipelined_behind_a_delayed_answer_wait_for_it(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_send(m, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
                        "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1"
                        "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
                        "GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /ec");
    memory_http_expect(m, 200, "GET /echo ");
    assert_int_equal(buf_readable(&m->out), 0);
    assert_int_equal(s->requests, 2);
    memory_http_send(m, "ho HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(s->requests, 2);
    answer_later(0, "first");
    memory_http_expect(m, 200, "first");
    memory_http_expect(m, 200, "GET /echo ");
    assert_int_equal(s->later_count, 2);
    assert_int_equal(buf_readable(&m->out), 0);
    answer_later(1, "second");
    memory_http_expect(m, 200, "second");
    memory_http_expect(m, 200, "GET /echo ");
    memory_http_leave(m);
}

static void test_http_conn_pipeline_behind_an_unanswered_request_is_bounded(void **state)
{
    (void)state;
    static char many[2 * HTTP_PIPELINE_SIZE_MAX];
    static const char one[] = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
    size_t count = sizeof(many) / (sizeof(one) - 1);
    for (size_t i = 0; i < count; i++)
        memcpy(many + i * (sizeof(one) - 1), one, sizeof(one) - 1);
    net_memory *m = memory_http_connect();
    memory_http_send(m, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    size_t half = HTTP_PIPELINE_SIZE_MAX;
    net_memory_feed(m, many, half);
    assert_false(m->conn->is_paused);
    net_memory_feed(m, many + half, 1);
    assert_true(m->conn->is_paused);
    answer_later(0, "first");
    assert_false(m->conn->is_paused);
    net_memory_feed(m, many + half + 1, count * (sizeof(one) - 1) - half - 1);
    memory_http_expect(m, 200, "first");
    for (size_t i = 0; i < count; i++) {
        if (buf_readable(&m->out) < 1000)
            memory_http_turn();
        memory_http_expect(m, 200, "GET /echo ");
    }
    assert_int_equal(s->requests, 1 + (int)count);
    memory_http_leave(m);
}

static void test_http_conn_of_a_peer_that_does_not_read_takes_no_more_requests(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    m->out_max = 1000;
    for (int i = 0; i < 50; i++)
        memory_http_send(m, "GET /size?20000 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_in_range(s->requests, 1, 5);
    assert_true(net_conn_out_bytes(m->conn) < 100 * 1000);
    for (int i = 0; i < 2000 && s->requests < 50; i++) {
        net_memory_drain(m);
        memory_http_turn();
    }
    assert_int_equal(s->requests, 50);
    memory_http_leave(m);
}

/* ---- bodies ---- */

static void test_http_conn_sends_100_when_it_is_waited_for(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_send(m, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                        "Expect: 100-continue\r\n\r\n");
    memory_http_expect(m, 100, "");
    assert_int_equal(s->requests, 0);
    memory_http_send(m, "abc");
    memory_http_expect(m, 200, "POST /echo abc");
    /* Refused by the head alone: the client keeps its body, and there is no 100. */
    memory_http_send(m, "POST /limit?5 HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n"
                        "Expect: 100-continue\r\n\r\n");
    memory_http_expect_refusal(m, 413);
    memory_http_leave(m);
}

static const char whole_talk[] =
    "\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3\r\nabc\r\n0a;x=y\r\n0123456789\r\n000\r\nA: b\r\n\r\n"
    "GET /file?3 HTTP/1.1\r\nHost: a\r\n\r\n"
    "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

static void expect_talk(net_memory *m)
{
    memory_http_expect(m, 200, "POST /echo hello");
    memory_http_expect(m, 200, "POST /echo abc0123456789");
    memory_http_expect(m, 200, "fff");
    memory_http_expect(m, 200, "GET /echo ");
    memory_http_expect_end(m);
    memory_http_leave(m);
}

static void test_http_conn_reads_the_same_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t step = 1; step < sizeof(whole_talk); step++) {
        net_memory *m = memory_http_connect();
        for (size_t at = 0; at < sizeof(whole_talk) - 1; at += step) {
            size_t left = sizeof(whole_talk) - 1 - at;
            net_memory_feed(m, whole_talk + at, left < step ? left : step);
            if (step % 2)
                memory_http_turn();
        }
        for (int i = 0; i < 4; i++)
            memory_http_turn();
        expect_talk(m);
    }
}

static void test_http_conn_answers_the_same_through_a_narrow_transport(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 3, 64, 200};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        net_memory *m = memory_http_connect();
        m->out_max = sizes[i];
        memory_http_send(m, whole_talk);
        buf got = {0};
        while (!m->is_shut_down) {
            assert_int_equal(buf_append(&got, buf_head(&m->out), buf_readable(&m->out)), 0);
            net_memory_drain(m);
            memory_http_turn();
        }
        assert_int_equal(buf_append(&got, buf_head(&m->out), buf_readable(&m->out)), 0);
        buf_deinit(&m->out);
        m->out = got;
        expect_talk(m);
    }
}

static void test_http_conn_file_is_followed_by_the_next_answer(void **state)
{
    (void)state;
    memory_answer answer;
    net_memory *m = memory_http_connect();
    memory_http_send(m, "GET /file?3000000 HTTP/1.1\r\nHost: a\r\n\r\n"
                        "GET /file?0 HTTP/1.1\r\nHost: a\r\n\r\n"
                        "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    while (!memory_http_take(m, false, &answer)) {
        /* A long file leaves in parts, and the transport says when it takes more. */
        net_conn_writable(m->conn);
        memory_http_turn();
    }
    assert_int_equal(answer.body.len, 3000000);
    assert_int_equal(answer.body.data[2999999], 'f');
    memory_http_turn();
    memory_http_turn();
    memory_http_expect(m, 200, "");
    memory_http_expect(m, 200, "GET /echo ");
    memory_http_leave(m);
}

/* ---- answers ---- */

static void test_http_conn_answer_from_on_head_ends_the_connection_if_a_body_follows(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_send(m,
                     "GET /early HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    memory_http_expect(m, 403, "early");
    memory_http_expect(m, 200, "GET /echo ");
    memory_http_send(m, "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 31\r\n\r\n"
                        "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    memory_http_expect(m, 403, "early");
    memory_http_expect_end(m);
    assert_int_equal(s->requests, 1);
    memory_http_leave(m);
}

static void test_http_conn_answer_with_an_invalid_header_becomes_500(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_send(m, "GET /invalid HTTP/1.1\r\nHost: a\r\n\r\n");
    memory_answer answer;
    assert_true(memory_http_take(m, false, &answer));
    assert_int_equal(answer.status, 500);
    assert_string_equal(memory_answer_header(&answer, "Set-Cookie"), "");
    memory_http_send(m, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    memory_http_expect(m, 200, "GET /echo ");
    memory_http_leave(m);
}

static void test_http_conn_dropped_request_closes_at_once(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_send(m,
                     "GET /drop HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(m->is_closed);
    assert_null(m->conn);
    assert_int_equal(buf_readable(&m->out), 0);
    assert_int_equal(s->requests, 1);
    memory_http_leave(m);
    m = memory_http_connect();
    memory_http_send(m, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    http_request_drop(s->later[0]);
    memory_http_turn();
    assert_true(m->is_closed);
    memory_http_leave(m);
}

/* ---- memory ---- */

/* True when nothing failed. Whatever fails, the client gets whole answers or the end. */
static bool talk_with_failures(int n)
{
    http_conn *conn = http_conn_new(&s->service);
    net_memory *m = net_memory_new(&s->worker, &http_protocol, conn);
    http_conn_bind(conn, m->conn);
    mem_fail_after(n);
    net_memory_feed(m, whole_talk, 100);
    memory_http_turn();
    net_memory_feed(m, whole_talk + 100, sizeof(whole_talk) - 101);
    memory_http_turn();
    memory_http_turn();
    mem_fail_never();
    memory_http_turn();
    int answers = 0;
    memory_answer answer;
    while (memory_http_take(m, false, &answer)) {
        assert_true(answer.status == 200 || answer.status == 503 || answer.status == 500);
        answers += answer.status == 200;
    }
    assert_true(m->is_shut_down || m->is_closed);
    memory_http_leave(m);
    return answers == 4;
}

static void test_http_conn_each_failing_allocation_ends_in_order(void **state)
{
    (void)state;
    int failures = 0;
    for (int n = 1; !talk_with_failures(n); n++) {
        failures++;
        /* A fresh worker: its pools must not hide allocations. */
        memory_http_stop(NULL);
        memory_http_start(NULL);
        assert_true(n < 200);
    }
    assert_true(failures > 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, memory_http_start, memory_http_stop)
    const struct CMUnitTest tests[] = {
        TEST(test_http_conn_serves_one_request_behind_the_other),
        TEST(test_http_conn_closes_behind_the_answer_when_asked_to),
        TEST(test_http_conn_head_gets_the_head_only),
        TEST(test_http_conn_pipelined_requests_are_answered_in_one_write),
        TEST(test_http_conn_pipelined_behind_a_delayed_answer_wait_for_it),
        TEST(test_http_conn_pipeline_behind_an_unanswered_request_is_bounded),
        TEST(test_http_conn_of_a_peer_that_does_not_read_takes_no_more_requests),
        TEST(test_http_conn_sends_100_when_it_is_waited_for),
        TEST(test_http_conn_reads_the_same_in_pieces_of_any_size),
        TEST(test_http_conn_answers_the_same_through_a_narrow_transport),
        TEST(test_http_conn_file_is_followed_by_the_next_answer),
        TEST(test_http_conn_answer_from_on_head_ends_the_connection_if_a_body_follows),
        TEST(test_http_conn_answer_with_an_invalid_header_becomes_500),
        TEST(test_http_conn_dropped_request_closes_at_once),
        TEST(test_http_conn_each_failing_allocation_ends_in_order),
    };
    return cmocka_run_group_tests_name("http/conn", tests, NULL, NULL);
}
