/* Engine.IO: from long-polling to WebSocket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "eio_memory.h"

#define SEP "\x1e"

static char sid[SID_LEN + 1];
static net_memory *ws;

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

static void probe(void)
{
    ws = eio_memory_websocket(sid, NULL);
    eio_memory_text(ws, "2probe");
    eio_memory_expect_text(ws, "3probe");
}

static void upgrade(void)
{
    probe();
    eio_memory_text(ws, "5");
    assert_string_equal(eio_transport(eio_test.sock), "websocket");
}

/* The session goes on over polling. */
static void expect_polling(void)
{
    assert_string_equal(eio_transport(eio_test.sock), "polling");
    eio_memory_post(sid, "4up");
    eio_memory_expect("text up;");
    send_text("down");
    eio_memory_poll_now(sid, "4down");
}

static void test_upgrade_takes_the_session_over(void **state)
{
    (void)state;
    start_and_open();
    upgrade();
    eio_memory_text(ws, "4up");
    eio_memory_expect("text up;");
    send_text("down");
    eio_memory_run();
    eio_memory_expect_text(ws, "4down");
    eio_memory_expect_silence(ws);
    eio_memory_expect_log(0, NULL);
    eio_memory_leave(ws);
    eio_memory_expect("close transport close;");
}

static void test_upgrade_probe_releases_the_waiting_poll(void **state)
{
    (void)state;
    start_and_open();
    net_memory *poll = eio_memory_poll(sid);
    ws = eio_memory_websocket(sid, NULL);
    assert_false(app_memory_read(poll, &eio_answered));
    eio_memory_text(ws, "2probe");
    eio_memory_expect_text(ws, "3probe");
    eio_memory_answer(poll, 200, "6");
    eio_memory_leave(poll);
    eio_memory_poll_now(sid, "6"); /* and each that follows */
    eio_memory_poll_now(sid, "6");
    eio_memory_text(ws, "2probe"); /* may be repeated */
    eio_memory_expect_text(ws, "3probe");
    eio_memory_text(ws, "5");
    assert_string_equal(eio_transport(eio_test.sock), "websocket");
    eio_memory_leave(ws);
}

static void test_upgrade_poll_that_still_waits_is_released(void **state)
{
    (void)state;
    start_and_open();
    ws = eio_memory_websocket(sid, NULL);
    net_memory *poll = eio_memory_poll(sid);
    /* Both in one read: the poll is still there when the transport changes. */
    eio_memory_frame(ws, WS_TEXT, "2probe", 6);
    eio_memory_text(ws, "5");
    eio_memory_answer(poll, 200, "6");
    eio_memory_leave(poll);
    eio_memory_expect("");
    assert_string_equal(eio_transport(eio_test.sock), "websocket");
    eio_memory_leave(ws);
}

static void test_upgrade_keeps_the_order_of_packets(void **state)
{
    (void)state;
    start_and_open();
    net_memory *poll = eio_memory_poll(sid);
    send_text("1");
    probe();
    eio_memory_answer(poll, 200, "41");
    eio_memory_leave(poll);
    send_text("2");
    assert_int_equal(eio_send_binary(eio_test.sock, "\0\1\2", 3), 0);
    send_text("");
    assert_int_equal(eio_send_binary(eio_test.sock, "", 0), 0);
    eio_memory_post(sid, "4a"); /* its own may still be on the way */
    eio_memory_frame(ws, WS_TEXT, "5", 1);
    send_text("3");
    eio_memory_text(ws, "4b");
    eio_memory_expect_text(ws, "42");
    eio_memory_expect_binary(ws, "\0\1\2", 3);
    eio_memory_expect_text(ws, "4");
    eio_memory_expect_binary(ws, "", 0);
    eio_memory_expect_text(ws, "43");
    eio_memory_expect_silence(ws);
    eio_memory_expect("text a;text b;");
    eio_memory_leave(ws);
}

static void test_upgrade_of_a_client_without_binary_sends_base64(void **state)
{
    (void)state;
    eio_memory_start();
    eio_memory_open(sid, "&b64=1");
    assert_int_equal(eio_send_binary(eio_test.sock, "\1\2\3", 3), 0);
    send_text("x");
    upgrade();
    eio_memory_expect_text(ws, "bAQID");
    eio_memory_expect_text(ws, "4x");
    eio_memory_leave(ws);
}

static void test_upgrade_ends_polling(void **state)
{
    (void)state;
    start_and_open();
    upgrade();
    eio_memory_ask("GET", query_of(sid), "", NULL, 400, "{\"code\":3,\"message\":\"Bad request\"}");
    eio_memory_expect_log(1, "another transport");
    eio_memory_ask("POST", query_of(sid), "", "4a", 400,
                   "{\"code\":3,\"message\":\"Bad request\"}");
    eio_memory_expect_log(1, "another transport");
    eio_memory_expect("");
    eio_memory_text(ws, "4alive");
    eio_memory_expect("text alive;");
    eio_memory_leave(ws);
}

static void test_upgrade_post_in_flight_is_delivered(void **state)
{
    (void)state;
    char head[256];
    start_and_open();
    snprintf(head, sizeof(head),
             "POST /engine.io/?EIO=4&%s HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n4",
             query_of(sid));
    net_memory *post = app_memory_connect(&eio_test.base);
    app_memory_send(&eio_test.base, post, head);
    upgrade();
    app_memory_send(&eio_test.base, post, "up");
    eio_memory_answer(post, 200, "ok");
    eio_memory_expect("text up;");
    eio_memory_leave(post);
    eio_memory_text(ws, "4alive");
    eio_memory_expect("text alive;");
    eio_memory_leave(ws);
}

/* ---- attempts that fail ---- */

static void test_upgrade_unexpected_packet_closes_the_attempt_only(void **state)
{
    (void)state;
    static const struct {
        bool is_probed;
        const char *packet;
    } cases[] = {
        {false, "5"}, {false, "2"},       {false, "4a"}, {false, "3probe"},
        {false, ""},  {false, "2probe2"}, {false, "1"},  {true, "4a"},
        {true, "2"},  {true, "55"},       {true, "6"},   {true, "3"},
    };
    start_and_open();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i].is_probed)
            probe();
        else
            ws = eio_memory_websocket(sid, NULL);
        eio_memory_text(ws, cases[i].packet);
        eio_memory_expect_close(ws, 0);
        eio_memory_expect_log(1, "upgrade refused");
        eio_memory_leave(ws);
        expect_polling();
    }
    ws = eio_memory_websocket(sid, NULL);
    eio_memory_frame(ws, WS_BINARY, "2probe", 6);
    eio_memory_run();
    eio_memory_expect_close(ws, 0);
    eio_memory_expect_log(1, "upgrade refused");
    eio_memory_leave(ws);
    upgrade(); /* a new attempt may succeed */
    eio_memory_leave(ws);
}

static void test_upgrade_lost_connection_ends_the_attempt_only(void **state)
{
    (void)state;
    start_and_open();
    for (int is_probed = 0; is_probed < 2; is_probed++) {
        for (int is_reset = 0; is_reset < 2; is_reset++) {
            if (is_probed)
                probe();
            else
                ws = eio_memory_websocket(sid, NULL);
            if (is_reset)
                net_memory_reset(ws);
            else
                net_memory_feed_end(ws);
            eio_memory_run();
            net_memory_free(ws);
            expect_polling();
        }
    }
    eio_memory_expect_log(0, NULL);
}

static void test_upgrade_not_completed_in_time_is_closed(void **state)
{
    (void)state;
    eio_test.options.upgrade_timeout = 2;
    start_and_open();
    for (int is_probed = 0; is_probed < 2; is_probed++) {
        if (is_probed)
            probe();
        else
            ws = eio_memory_websocket(sid, NULL);
        eio_memory_pass(1999);
        eio_memory_expect_silence(ws);
        eio_memory_pass(1);
        eio_memory_expect_close(ws, 0);
        eio_memory_expect_log(1, "not completed in time");
        eio_memory_leave(ws);
        expect_polling();
    }
}

/* OX#731: attempts that are begun and left must not pile up. */
static void test_upgrade_second_websocket_is_closed_the_first_stays(void **state)
{
    (void)state;
    start_and_open();
    probe();
    net_memory *first = ws;
    ws = eio_memory_websocket(sid, NULL);
    eio_memory_expect_close(ws, 0);
    eio_memory_text(ws, "2probe");
    eio_memory_expect_silence(ws);
    eio_memory_leave(ws);
    eio_memory_text(first, "5");
    assert_string_equal(eio_transport(eio_test.sock), "websocket");
    ws = eio_memory_websocket(sid, NULL);
    eio_memory_expect_close(ws, 0);
    eio_memory_leave(ws);
    eio_memory_text(first, "4alive");
    eio_memory_expect("text alive;");
    eio_memory_leave(first);
}

static void test_upgrade_that_is_not_allowed_is_refused(void **state)
{
    (void)state;
    char query[128];
    eio_test.options.allow_upgrades = SIO_OFF;
    start_and_open();
    snprintf(query, sizeof(query), "transport=websocket&sid=%s", sid);
    eio_memory_ask("GET", query,
                   "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                   NULL, 400, "{\"code\":3,\"message\":\"Bad request\"}");
    eio_memory_expect_log(1, NULL);
    expect_polling();
}

static void test_upgrade_from_a_foreign_page_is_refused(void **state)
{
    (void)state;
    char query[128];
    start_and_open();
    snprintf(query, sizeof(query), "transport=websocket&sid=%s", sid);
    eio_memory_ask("GET", query,
                   "Origin: http://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                   NULL, 400, NULL);
    eio_memory_expect_log(1, "evil.example");
    expect_polling();
}

static void test_upgrade_handshake_that_fails_leaves_the_session(void **state)
{
    (void)state;
    char query[128];
    start_and_open();
    snprintf(query, sizeof(query), "transport=websocket&sid=%s", sid);
    for (int i = 0; i < 3; i++) {
        eio_memory_ask("GET", query,
                       "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
                       NULL, 400, NULL);
        eio_memory_expect_log(1, "Sec-WebSocket-Key");
    }
    upgrade();
    eio_memory_leave(ws);
}

/* ---- the end meanwhile ---- */

static void test_upgrade_heartbeat_goes_on_over_polling(void **state)
{
    (void)state;
    eio_test.options.ping_interval = 0.3;
    eio_test.options.ping_timeout = 0.2;
    start_and_open();
    probe();
    eio_memory_pass(300);
    eio_memory_text(ws, "5");
    eio_memory_expect_text(ws, "2"); /* what waited goes along */
    eio_memory_pass(199);
    eio_memory_text(ws, "3");
    eio_memory_pass(300);
    eio_memory_expect_text(ws, "2");
    eio_memory_pass(200);
    eio_memory_expect_close(ws, 0);
    eio_memory_expect("close ping timeout;");
    eio_memory_leave(ws);
}

static void test_upgrade_session_that_ends_before_the_probe_closes_it(void **state)
{
    (void)state;
    start_and_open();
    ws = eio_memory_websocket(sid, NULL);
    net_memory *poll = eio_memory_poll(sid);
    eio_close(eio_test.sock);
    eio_memory_run();
    eio_memory_answer(poll, 200, "1");
    eio_memory_expect_close(ws, 0);
    eio_memory_expect("close forced close;");
    eio_memory_leave(poll);
    eio_memory_leave(ws);
}

static void let_ping_time_out(void)
{
    eio_memory_pass(300);
    eio_memory_pass(200);
}

/* The client has stopped polling and only listens to the WebSocket. */
static void test_upgrade_session_that_ends_during_the_probe_tells_the_client(void **state)
{
    (void)state;
    eio_test.options.ping_interval = 0.3;
    eio_test.options.ping_timeout = 0.2;
    start_and_open();
    probe();
    let_ping_time_out();
    eio_memory_expect("close ping timeout;");
    eio_memory_expect_silence(ws);
    eio_memory_text(ws, "2probe");
    eio_memory_expect_text(ws, "3probe");
    eio_memory_text(ws, "5");
    eio_memory_expect_close(ws, 0);
    eio_memory_expect_log(0, NULL);
    eio_memory_leave(ws);
}

static void test_upgrade_session_that_ends_during_the_probe_is_forgotten(void **state)
{
    (void)state;
    eio_test.options.ping_interval = 0.3;
    eio_test.options.ping_timeout = 0.2;
    start_and_open();
    for (int i = 0; i < 3; i++) {
        if (i > 0)
            eio_memory_open(sid, NULL);
        probe();
        let_ping_time_out();
        eio_memory_expect(i ? "open;close ping timeout;" : "close ping timeout;");
        if (i == 0)
            eio_memory_pass(9500);
        else if (i == 1)
            eio_memory_text(ws, "4a");
        else
            net_memory_reset(ws);
        eio_memory_run();
        if (i < 2)
            eio_memory_expect_close(ws, 0);
        eio_memory_expect_log(i < 2, "");
        eio_memory_leave(ws);
    }
}

/* The last words of a session that is closed meanwhile arrive, on whatever transport. */
static void test_upgrade_of_a_closing_session_sends_what_waits(void **state)
{
    (void)state;
    start_and_open();
    probe();
    send_text("last");
    eio_close(eio_test.sock);
    eio_memory_run();
    eio_memory_expect("");
    eio_memory_text(ws, "5");
    eio_memory_expect_text(ws, "4last");
    eio_memory_expect_close(ws, 0);
    eio_memory_expect("close forced close;");
    eio_memory_leave(ws);
}

static void test_upgrade_of_a_closing_session_is_not_begun(void **state)
{
    (void)state;
    start_and_open();
    send_text("last");
    eio_close(eio_test.sock);
    ws = eio_memory_websocket(sid, NULL);
    eio_memory_expect_close(ws, 0);
    eio_memory_leave(ws);
    eio_memory_poll_now(sid, "4last");
    eio_memory_poll_now(sid, "1");
}

static void test_upgrade_stopping_server_closes_both(void **state)
{
    (void)state;
    start_and_open();
    ws = eio_memory_websocket(sid, NULL);
    net_memory *poll = eio_memory_poll(sid);
    eio_memory_stop();
    eio_memory_answer(poll, 200, "1");
    eio_memory_expect_close(ws, 0);
    eio_memory_expect("close server shutting down;");
    eio_memory_leave(poll);
    eio_memory_leave(ws);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EIO_TEST(test_upgrade_takes_the_session_over),
        EIO_TEST(test_upgrade_probe_releases_the_waiting_poll),
        EIO_TEST(test_upgrade_poll_that_still_waits_is_released),
        EIO_TEST(test_upgrade_keeps_the_order_of_packets),
        EIO_TEST(test_upgrade_of_a_client_without_binary_sends_base64),
        EIO_TEST(test_upgrade_ends_polling),
        EIO_TEST(test_upgrade_post_in_flight_is_delivered),
        EIO_TEST(test_upgrade_unexpected_packet_closes_the_attempt_only),
        EIO_TEST(test_upgrade_lost_connection_ends_the_attempt_only),
        EIO_TEST(test_upgrade_not_completed_in_time_is_closed),
        EIO_TEST(test_upgrade_second_websocket_is_closed_the_first_stays),
        EIO_TEST(test_upgrade_that_is_not_allowed_is_refused),
        EIO_TEST(test_upgrade_from_a_foreign_page_is_refused),
        EIO_TEST(test_upgrade_handshake_that_fails_leaves_the_session),
        EIO_TEST(test_upgrade_heartbeat_goes_on_over_polling),
        EIO_TEST(test_upgrade_session_that_ends_before_the_probe_closes_it),
        EIO_TEST(test_upgrade_session_that_ends_during_the_probe_tells_the_client),
        EIO_TEST(test_upgrade_session_that_ends_during_the_probe_is_forgotten),
        EIO_TEST(test_upgrade_of_a_closing_session_sends_what_waits),
        EIO_TEST(test_upgrade_of_a_closing_session_is_not_begun),
        EIO_TEST(test_upgrade_stopping_server_closes_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
