/* Engine.IO over long-polling: handshake, polls, POSTs, heartbeat, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "eio_memory.h"

#define SEP "\x1e"

static char sid[SID_LEN + 1];

static void start_and_open(void)
{
    eio_memory_start();
    eio_memory_open(sid, NULL);
    eio_memory_expect("open;");
}

static void send_text(const char *text)
{
    assert_int_equal(eio_send_text(eio_test.sock, text, strlen(text)), 0);
}

static const char *query_of(const char *id)
{
    static char query[128];
    snprintf(query, sizeof(query), "transport=polling&sid=%s", id);
    return query;
}

/* The session is unknown to the server, and the program was told why. */
static void expect_gone(const char *trace)
{
    eio_memory_run();
    eio_memory_expect(trace);
    eio_memory_expect_log(0, NULL);
    eio_memory_ask("GET", query_of(sid), "", NULL, 400,
                   "{\"code\":1,\"message\":\"Session ID unknown\"}");
    eio_memory_expect_log(1, "Session ID unknown");
}

/* ---- the handshake ---- */

static void test_polling_handshake_has_the_open_packet(void **state)
{
    (void)state;
    char expected[256];
    start_and_open();
    snprintf(expected, sizeof(expected),
             "0{\"sid\":\"%s\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
             "\"pingTimeout\":20000,\"maxPayload\":1000000}",
             sid);
    assert_string_equal(eio_answered.body, expected);
    assert_string_equal(http_answer_header(&eio_answered, "Content-Type"),
                        "text/plain; charset=UTF-8");
    assert_string_equal(http_answer_header(&eio_answered, "Cache-Control"), "no-store");
    assert_null(http_answer_header(&eio_answered, "Set-Cookie"));
    assert_null(http_answer_header(&eio_answered, "Access-Control-Allow-Origin"));
    assert_string_equal(eio_sid(eio_test.sock), sid);
    assert_string_equal(eio_transport(eio_test.sock), "polling");
    eio_memory_expect_log(0, NULL);
}

static void test_polling_handshake_follows_the_options(void **state)
{
    (void)state;
    eio_test.options.ping_interval = 0.3;
    eio_test.options.ping_timeout = 0.2;
    eio_test.options.max_http_buffer_size = 4321;
    eio_test.options.allow_upgrades = SIO_OFF;
    start_and_open();
    assert_non_null(strstr(eio_answered.body, "\"upgrades\":[],\"pingInterval\":300,"
                                              "\"pingTimeout\":200,\"maxPayload\":4321}"));
}

static void test_polling_handshake_offers_no_upgrade_without_websocket(void **state)
{
    (void)state;
    eio_test.options.transports = "polling";
    start_and_open();
    assert_non_null(strstr(eio_answered.body, "\"upgrades\":[]"));
}

static void test_polling_handshake_sets_the_cookie(void **state)
{
    (void)state;
    char expected[128];
    eio_test.options.cookie = "io";
    eio_test.options.cookie_options =
        &(eio_cookie_options){.path = "/x", .max_age = 60, .secure = true, .same_site = "None"};
    start_and_open();
    snprintf(expected, sizeof(expected), "io=%s; Path=/x; Max-Age=60; Secure; SameSite=None", sid);
    assert_string_equal(http_answer_header(&eio_answered, "Set-Cookie"), expected);
    send_text("x");
    eio_memory_poll_now(sid, "4x");
    assert_null(http_answer_header(&eio_answered, "Set-Cookie"));
}

static void test_polling_handshake_keeps_the_request(void **state)
{
    (void)state;
    eio_memory_start();
    eio_memory_ask("GET", "token=a%20b&transport=polling&t=abc", "X-Name: ann\r\n", NULL, 200,
                   NULL);
    carafe_request *req = eio_request(eio_test.sock);
    assert_string_equal(carafe_query(req, "token"), "a b");
    assert_string_equal(carafe_header(req, "x-name"), "ann");
    assert_string_equal(carafe_remote_addr(req), "127.0.0.1");
    assert_ptr_equal(eio_request(eio_test.sock), req);
}

/* ---- polls ---- */

static void test_polling_poll_waits_for_a_message(void **state)
{
    (void)state;
    start_and_open();
    net_memory *client = eio_memory_poll(sid);
    assert_false(app_memory_read(client, &eio_answered));
    send_text("one");
    assert_int_equal(eio_send_binary(eio_test.sock, "\1\2\3", 3), 0);
    send_text("");
    eio_memory_run();
    eio_memory_answer(client, 200, "4one" SEP "bAQID" SEP "4");
    assert_string_equal(http_answer_header(&eio_answered, "Cache-Control"), "no-store");
    assert_false(app_memory_read(client, &eio_answered));
    eio_memory_leave(client);
    eio_memory_expect("");
}

static void test_polling_poll_takes_all_that_waits(void **state)
{
    (void)state;
    start_and_open();
    send_text("one");
    send_text("two");
    eio_memory_poll_now(sid, "4one" SEP "4two");
    net_memory *client = eio_memory_poll(sid);
    assert_false(app_memory_read(client, &eio_answered));
    send_text("three");
    eio_memory_run();
    eio_memory_answer(client, 200, "4three");
    eio_memory_leave(client);
}

static void test_polling_keep_alive_connection_serves_polls_and_posts(void **state)
{
    (void)state;
    start_and_open();
    net_memory *client = app_memory_connect(&eio_test.base);
    for (int i = 0; i < 5; i++) {
        send_text("down");
        eio_memory_request(client, "GET", query_of(sid), "", NULL);
        eio_memory_run();
        eio_memory_answer(client, 200, "4down");
        eio_memory_request(client, "POST", query_of(sid), "", "4up");
        eio_memory_run();
        eio_memory_answer(client, 200, "ok");
    }
    eio_memory_expect("text up;text up;text up;text up;text up;");
    eio_memory_leave(client);
}

static void test_polling_second_poll_ends_the_session(void **state)
{
    (void)state;
    start_and_open();
    net_memory *first = eio_memory_poll(sid), *second = eio_memory_poll(sid);
    eio_memory_answer(second, 400, "{\"code\":3,\"message\":\"Bad request\"}");
    eio_memory_answer(first, 200, "1");
    eio_memory_expect_log(1, "overlapping polls");
    expect_gone("close transport error;");
    eio_memory_leave(first);
    eio_memory_leave(second);
}

static void test_polling_aborted_poll_ends_the_session(void **state)
{
    (void)state;
    eio_memory_start();
    for (int is_reset = 0; is_reset < 2; is_reset++) {
        eio_memory_open(sid, NULL);
        net_memory *client = eio_memory_poll(sid);
        if (is_reset)
            net_memory_reset(client);
        else
            net_memory_feed_end(client);
        expect_gone("open;close transport error;");
        net_memory_free(client);
    }
}

/* The connection is gone, but nobody was told yet: what is sent into it is lost, so the session
 * must not live on as if it had arrived. */
static void test_polling_message_into_a_lost_poll_ends_the_session(void **state)
{
    (void)state;
    start_and_open();
    net_memory *client = eio_memory_poll(sid);
    send_text("lost");
    net_memory_reset(client);
    expect_gone("close transport error;");
    net_memory_free(client);
}

/* ---- POSTs ---- */

static void test_polling_post_delivers_packets_in_order(void **state)
{
    (void)state;
    start_and_open();
    eio_memory_post(sid, "4one" SEP "bAQID" SEP "3" SEP "6" SEP "5" SEP "4tw\xc3\xb6" SEP "b");
    assert_string_equal(http_answer_header(&eio_answered, "Content-Type"), "text/html");
    eio_memory_expect("text one;binary 3;text tw\xc3\xb6;binary 0;");
    eio_memory_expect_log(0, NULL);
}

static void test_polling_overlapping_posts_end_the_session(void **state)
{
    (void)state;
    start_and_open();
    char head[256];
    snprintf(head, sizeof(head),
             "POST /engine.io/?EIO=4&%s HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n4a",
             query_of(sid));
    net_memory *first = app_memory_connect(&eio_test.base);
    app_memory_send(&eio_test.base, first, head);
    eio_memory_ask("POST", query_of(sid), "", "4b", 400,
                   "{\"code\":3,\"message\":\"Bad request\"}");
    eio_memory_expect_log(1, "overlapping posts");
    eio_memory_expect("close transport error;");
    /* The first one's session has gone under it. */
    app_memory_send(&eio_test.base, first, "bc");
    eio_memory_answer(first, 400, "{\"code\":1,\"message\":\"Session ID unknown\"}");
    eio_memory_expect_log(1, "Session ID unknown");
    expect_gone("");
    eio_memory_leave(first);
}

static void test_polling_aborted_post_ends_the_session(void **state)
{
    (void)state;
    eio_memory_start();
    for (int is_reset = 0; is_reset < 2; is_reset++) {
        eio_memory_open(sid, NULL);
        char head[256];
        snprintf(head, sizeof(head),
                 "POST /engine.io/?EIO=4&%s HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n4a",
                 query_of(sid));
        net_memory *client = app_memory_connect(&eio_test.base), *poll = eio_memory_poll(sid);
        app_memory_send(&eio_test.base, client, head);
        if (is_reset)
            net_memory_reset(client);
        else
            net_memory_feed_end(client);
        expect_gone("open;close transport error;");
        eio_memory_answer(poll, 200, "1");
        eio_memory_leave(poll);
        net_memory_free(client);
    }
}

static void test_polling_post_and_poll_may_be_in_flight_together(void **state)
{
    (void)state;
    start_and_open();
    net_memory *poll = eio_memory_poll(sid);
    eio_memory_post(sid, "4up");
    eio_memory_expect("text up;");
    assert_false(app_memory_read(poll, &eio_answered));
    send_text("down");
    eio_memory_run();
    eio_memory_answer(poll, 200, "4down");
    eio_memory_leave(poll);
}

/* ---- heartbeat ---- */

static void test_polling_ping_comes_at_the_interval(void **state)
{
    (void)state;
    eio_test.options.ping_interval = 0.3;
    eio_test.options.ping_timeout = 0.2;
    start_and_open();
    net_memory *poll = eio_memory_poll(sid);
    for (int i = 0; i < 3; i++) {
        eio_memory_pass(299);
        assert_false(app_memory_read(poll, &eio_answered));
        eio_memory_pass(1);
        eio_memory_answer(poll, 200, "2");
        eio_memory_leave(poll);
        eio_memory_pass(199);
        eio_memory_post(sid, "3"); /* the interval begins anew */
        poll = eio_memory_poll(sid);
    }
    eio_memory_expect("");
    eio_memory_leave(poll);
}

static void test_polling_missing_pong_ends_the_session(void **state)
{
    (void)state;
    eio_test.options.ping_interval = 0.3;
    eio_test.options.ping_timeout = 0.2;
    start_and_open();
    eio_memory_pass(300);
    eio_memory_poll_now(sid, "2");
    net_memory *poll = eio_memory_poll(sid);
    eio_memory_pass(100);
    eio_memory_post(sid, "4traffic is no pong");
    eio_memory_pass(99);
    assert_false(app_memory_read(poll, &eio_answered));
    eio_memory_pass(1);
    eio_memory_answer(poll, 200, "1");
    expect_gone("text traffic is no pong;close ping timeout;");
    eio_memory_leave(poll);
}

static void test_polling_stray_pongs_change_nothing(void **state)
{
    (void)state;
    enum { PONGS = 100000 };
    char *body = malloc(2 * PONGS);
    assert_non_null(body);
    for (int i = 0; i < PONGS; i++)
        memcpy(body + 2 * i, i + 1 < PONGS ? "3" SEP : "3", 2);
    eio_test.options.ping_interval = 0.3;
    eio_test.options.ping_timeout = 0.2;
    start_and_open();
    eio_memory_pass(200);
    int64_t before = mem_blocks_in_use();
    eio_memory_post(sid, body);
    assert_true(mem_blocks_in_use() <= before + 8); /* what the pools keep */
    eio_memory_pass(99);
    net_memory *poll = eio_memory_poll(sid);
    assert_false(app_memory_read(poll, &eio_answered));
    eio_memory_pass(1);
    eio_memory_answer(poll, 200, "2");
    eio_memory_leave(poll);
    eio_memory_post(sid, body);
    poll = eio_memory_poll(sid);
    eio_memory_pass(299);
    assert_false(app_memory_read(poll, &eio_answered));
    eio_memory_pass(1);
    eio_memory_answer(poll, 200, "2"); /* one, not one for each pong */
    eio_memory_leave(poll);
    eio_memory_pass(200);
    expect_gone("close ping timeout;");
    free(body);
}

/* ---- the end ---- */

static void test_polling_client_close_releases_its_poll(void **state)
{
    (void)state;
    start_and_open();
    net_memory *poll = eio_memory_poll(sid);
    eio_memory_post(sid, "4bye" SEP "1" SEP "4too late");
    eio_memory_answer(poll, 200, "6");
    expect_gone("text bye;close transport close;");
    eio_memory_leave(poll);
}

static void test_polling_close_answers_the_waiting_poll(void **state)
{
    (void)state;
    start_and_open();
    net_memory *poll = eio_memory_poll(sid);
    eio_close(eio_test.sock);
    eio_close(eio_test.sock);
    eio_memory_run();
    eio_memory_answer(poll, 200, "1");
    expect_gone("close forced close;");
    eio_memory_leave(poll);
}

/* Poll by poll: the messages, then the close. */
static void test_polling_close_sends_what_waits_first(void **state)
{
    (void)state;
    start_and_open();
    send_text("last");
    eio_close(eio_test.sock);
    assert_int_equal(eio_send_text(eio_test.sock, "x", 1), CARAFE_ERR_CLOSED);
    eio_memory_run();
    eio_memory_expect("");
    eio_memory_post(sid, "4not heard any more");
    eio_memory_poll_now(sid, "4last");
    eio_memory_expect("");
    eio_memory_poll_now(sid, "1");
    expect_gone("close forced close;");
}

static void test_polling_close_with_a_poll_sends_what_waits_first(void **state)
{
    (void)state;
    start_and_open();
    net_memory *poll = eio_memory_poll(sid);
    send_text("last");
    eio_close(eio_test.sock);
    eio_memory_run();
    eio_memory_answer(poll, 200, "4last");
    eio_memory_leave(poll);
    eio_memory_poll_now(sid, "1");
    expect_gone("close forced close;");
}

static void test_polling_close_waits_30_s_for_a_poll(void **state)
{
    (void)state;
    start_and_open();
    send_text("last");
    eio_close(eio_test.sock);
    eio_memory_pass(29999);
    eio_memory_expect("");
    eio_memory_pass(1);
    expect_gone("close forced close;");
}

static void test_polling_client_close_ends_a_closing_session(void **state)
{
    (void)state;
    start_and_open();
    eio_close(eio_test.sock);
    eio_memory_post(sid, "4a" SEP "1");
    expect_gone("close forced close;");
}

static void test_polling_stopping_server_tells_sessions_and_takes_no_new(void **state)
{
    (void)state;
    start_and_open();
    net_memory *poll = eio_memory_poll(sid);
    eio_memory_stop();
    eio_memory_answer(poll, 200, "1");
    assert_string_equal(http_answer_header(&eio_answered, "Connection"), "close");
    eio_memory_expect("close server shutting down;");
    eio_memory_expect_log(0, NULL);
    eio_memory_ask("GET", "transport=polling", "", NULL, 503, NULL);
    eio_memory_expect_log(1, "stopping");
    eio_memory_leave(poll);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EIO_TEST(test_polling_handshake_has_the_open_packet),
        EIO_TEST(test_polling_handshake_follows_the_options),
        EIO_TEST(test_polling_handshake_offers_no_upgrade_without_websocket),
        EIO_TEST(test_polling_handshake_sets_the_cookie),
        EIO_TEST(test_polling_handshake_keeps_the_request),
        EIO_TEST(test_polling_poll_waits_for_a_message),
        EIO_TEST(test_polling_poll_takes_all_that_waits),
        EIO_TEST(test_polling_keep_alive_connection_serves_polls_and_posts),
        EIO_TEST(test_polling_second_poll_ends_the_session),
        EIO_TEST(test_polling_aborted_poll_ends_the_session),
        EIO_TEST(test_polling_message_into_a_lost_poll_ends_the_session),
        EIO_TEST(test_polling_post_delivers_packets_in_order),
        EIO_TEST(test_polling_overlapping_posts_end_the_session),
        EIO_TEST(test_polling_aborted_post_ends_the_session),
        EIO_TEST(test_polling_post_and_poll_may_be_in_flight_together),
        EIO_TEST(test_polling_ping_comes_at_the_interval),
        EIO_TEST(test_polling_missing_pong_ends_the_session),
        EIO_TEST(test_polling_stray_pongs_change_nothing),
        EIO_TEST(test_polling_client_close_releases_its_poll),
        EIO_TEST(test_polling_close_answers_the_waiting_poll),
        EIO_TEST(test_polling_close_sends_what_waits_first),
        EIO_TEST(test_polling_close_with_a_poll_sends_what_waits_first),
        EIO_TEST(test_polling_close_waits_30_s_for_a_poll),
        EIO_TEST(test_polling_client_close_ends_a_closing_session),
        EIO_TEST(test_polling_stopping_server_tells_sessions_and_takes_no_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
