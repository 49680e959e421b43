/* Engine.IO over WebSocket from the handshake on. */
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

static char sid[SID_LEN + 1];
static net_memory *client;

static void start_and_open(const char *more)
{
    eio_memory_start();
    client = eio_memory_open_websocket(sid, more);
    eio_memory_expect("open;");
}

static void send_text(const char *text)
{
    assert_int_equal(eio_send_text(eio_test.sock, text, strlen(text)), 0);
}

/* The server has closed with that code, for that reason. */
static void expect_closed(unsigned code, const char *trace)
{
    eio_memory_run();
    eio_memory_expect_close(client, code);
    eio_memory_expect(trace);
    eio_memory_leave(client);
}

/* ---- the handshake ---- */

static void test_websocket_handshake_sends_open(void **state)
{
    (void)state;
    char expected[256];
    eio_memory_start();
    client = eio_memory_websocket(NULL, NULL);
    eio_memory_expect("open;");
    snprintf(expected, sizeof(expected),
             "0{\"sid\":\"%s\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,"
             "\"maxPayload\":1000000}",
             eio_sid(eio_test.sock));
    eio_memory_expect_text(client, expected);
    eio_memory_expect_silence(client);
    assert_string_equal(eio_transport(eio_test.sock), "websocket");
    eio_memory_leave(client);
    eio_memory_expect("close transport close;");
    eio_memory_expect_log(0, NULL);
}

static void test_websocket_handshake_has_cors_headers(void **state)
{
    (void)state;
    eio_memory_start();
    eio_memory_ask("GET", "transport=websocket",
                   "Origin: http://h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                   NULL, 101, NULL);
    assert_string_equal(http_answer_header(&eio_answered, "Access-Control-Allow-Origin"),
                        "http://h");
}

static void test_websocket_handshake_of_another_version_is_refused(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *headers;
    } cases[] = {
        {426, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"},
        {400, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"},
        {400, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"},
        {400, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 0\r\n"
              "Transfer-Encoding: chunked\r\n"},
    };
    eio_memory_start();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        eio_memory_ask("GET", "transport=websocket", cases[i].headers, NULL, cases[i].status, NULL);
        eio_memory_expect_log(1, NULL);
    }
    eio_memory_expect("");
}

/* ---- messages ---- */

static void test_websocket_messages_both_ways(void **state)
{
    (void)state;
    start_and_open(NULL);
    eio_memory_text(client, "4hello");
    eio_memory_frame(client, WS_BINARY, "\1\2\3", 3);
    eio_memory_text(client, "bAQID");
    eio_memory_text(client, "4");
    eio_memory_frame(client, WS_BINARY, "", 0);
    eio_memory_run();
    eio_memory_expect("text hello;binary 3;binary 3;text ;binary 0;");
    send_text("one");
    assert_int_equal(eio_send_binary(eio_test.sock, "\0\xff", 2), 0);
    assert_int_equal(eio_send_binary(eio_test.sock, NULL, 0), 0);
    send_text("");
    eio_memory_run();
    eio_memory_expect_text(client, "4one");
    eio_memory_expect_binary(client, "\0\xff", 2);
    eio_memory_expect_binary(client, "", 0);
    eio_memory_expect_text(client, "4");
    eio_memory_leave(client);
}

static void test_websocket_client_without_binary_gets_base64(void **state)
{
    (void)state;
    start_and_open("&b64=1");
    assert_int_equal(eio_send_binary(eio_test.sock, "\1\2\3", 3), 0);
    assert_int_equal(eio_send_binary(eio_test.sock, "", 0), 0);
    eio_message *message = eio_message_new_binary("\1", 1);
    assert_int_equal(eio_socket_send_message(eio_test.sock, message), 0);
    eio_message_unref(message);
    eio_memory_run();
    eio_memory_expect_text(client, "bAQID");
    eio_memory_expect_text(client, "b");
    eio_memory_expect_text(client, "bAQ==");
    eio_memory_text(client, "bAQID");
    eio_memory_expect("binary 3;");
    eio_memory_leave(client);
}

static void test_websocket_packets_that_say_nothing_are_ignored(void **state)
{
    (void)state;
    start_and_open(NULL);
    for (int i = 0; i < 1000; i++)
        eio_memory_frame(client, WS_TEXT, &"356"[i % 3], 1);
    eio_memory_text(client, "5probe");
    eio_memory_text(client, "3probe");
    eio_memory_text(client, "4alive");
    eio_memory_expect("text alive;");
    eio_memory_expect_silence(client);
    eio_memory_leave(client);
}

static void test_websocket_malformed_packet_ends_the_session(void **state)
{
    (void)state;
    static const char *const packets[] = {"", "9", "x", "b!", "bAQI", "2", "2probe", "0{}", " 4a"};
    eio_memory_start();
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        client = eio_memory_open_websocket(sid, NULL);
        eio_memory_text(client, "4before");
        eio_memory_frame(client, WS_TEXT, packets[i], strlen(packets[i]));
        eio_memory_text(client, "4behind");
        expect_closed(0, "open;text before;close parse error;");
        eio_memory_expect_log(1, "session closed");
    }
}

static void test_websocket_message_over_the_limit_is_1009(void **state)
{
    (void)state;
    char text[1001];
    memset(text, '4', sizeof(text));
    eio_test.options.max_http_buffer_size = 1000;
    start_and_open(NULL);
    eio_test.is_silent = true;
    eio_memory_frame(client, WS_TEXT, text, 1000);
    eio_memory_frame(client, WS_BINARY, text, 1000);
    eio_memory_run();
    assert_int_equal(eio_test.messages, 2);
    eio_test.is_silent = false;
    eio_memory_frame(client, WS_TEXT, text, 1001);
    expect_closed(1009, "close transport error;");
    eio_memory_expect_log(1, "1009");
}

static void test_websocket_invalid_utf8_is_1007(void **state)
{
    (void)state;
    start_and_open(NULL);
    eio_memory_frame(client, WS_TEXT, "4\xff", 2);
    expect_closed(1007, "close transport error;");
    eio_memory_expect_log(1, "1007");
}

/* ---- heartbeat ---- */

static void test_websocket_ping_and_its_timeout(void **state)
{
    (void)state;
    eio_test.options.ping_interval = 0.3;
    eio_test.options.ping_timeout = 0.2;
    start_and_open(NULL);
    for (int i = 0; i < 3; i++) {
        eio_memory_pass(299);
        eio_memory_expect_silence(client);
        eio_memory_pass(1);
        eio_memory_expect_text(client, "2");
        eio_memory_pass(199);
        eio_memory_text(client, "3");
    }
    eio_memory_pass(300);
    eio_memory_expect_text(client, "2");
    eio_memory_text(client, "4traffic is no pong");
    eio_memory_pass(199);
    eio_memory_expect_silence(client);
    eio_memory_pass(1);
    expect_closed(0, "text traffic is no pong;close ping timeout;");
    eio_memory_expect_log(0, NULL);
}

static void test_websocket_stray_pongs_change_nothing(void **state)
{
    (void)state;
    eio_test.options.ping_interval = 0.3;
    eio_test.options.ping_timeout = 0.2;
    start_and_open(NULL);
    eio_memory_pass(200);
    int64_t before = mem_blocks_in_use();
    for (int i = 0; i < 100000; i++)
        eio_memory_frame(client, WS_TEXT, "3", 1);
    eio_memory_run();
    assert_int_equal(mem_blocks_in_use(), before);
    eio_memory_pass(100);
    eio_memory_expect_text(client, "2");
    eio_memory_expect_silence(client);
    eio_memory_pass(200);
    expect_closed(0, "close ping timeout;");
}

/* ---- the end ---- */

static void test_websocket_close_packet_closes(void **state)
{
    (void)state;
    start_and_open(NULL);
    eio_memory_frame(client, WS_TEXT, "1", 1);
    eio_memory_text(client, "4too late");
    expect_closed(0, "close transport close;");
    eio_memory_expect_log(0, NULL);
}

static void test_websocket_close_of_the_program_sends_what_waits(void **state)
{
    (void)state;
    start_and_open(NULL);
    send_text("last");
    eio_close(eio_test.sock);
    eio_close(eio_test.sock);
    assert_int_equal(eio_send_text(eio_test.sock, "x", 1), CARAFE_ERR_CLOSED);
    assert_int_equal(eio_send_binary(eio_test.sock, "x", 1), CARAFE_ERR_CLOSED);
    eio_memory_run();
    eio_memory_expect_text(client, "4last");
    expect_closed(0, "close forced close;");
}

static void test_websocket_end_of_the_peer_has_its_reason(void **state)
{
    (void)state;
    static const struct {
        int how;
        const char *trace;
    } cases[] = {
        {0, "open;close transport close;"}, /* close frame */
        {1, "open;close transport close;"}, /* end of stream */
        {2, "open;close transport close;"}, /* reset */
        {3, "open;close transport error;"}, /* unmasked frame */
    };
    eio_memory_start();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        client = eio_memory_open_websocket(sid, NULL);
        if (cases[i].how == 0)
            eio_memory_frame(client, WS_CLOSE, "\x03\xe8", 2);
        else if (cases[i].how == 1)
            net_memory_feed_end(client);
        else if (cases[i].how == 2)
            net_memory_reset(client);
        else
            net_memory_feed(client,
                            "\x81\x01"
                            "3",
                            3);
        eio_memory_run();
        eio_memory_expect(cases[i].trace);
        eio_memory_expect_log(cases[i].how == 3, NULL);
        eio_memory_leave(client);
    }
}

/* The transport is gone, but nobody was told yet. */
static void test_websocket_send_into_a_lost_connection_keeps_the_reason(void **state)
{
    (void)state;
    start_and_open(NULL);
    net_memory_feed_end(client);
    assert_int_equal(eio_send_text(eio_test.sock, "x", 1), CARAFE_ERR_CLOSED);
    eio_memory_run();
    eio_memory_expect("close transport close;");
    eio_memory_expect_log(0, NULL);
    net_memory_free(client);
}

static void test_websocket_stopping_server_closes(void **state)
{
    (void)state;
    start_and_open(NULL);
    eio_memory_stop();
    expect_closed(0, "close server shutting down;");
    eio_memory_ask("GET", "transport=websocket",
                   "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                   NULL, 503, NULL);
    eio_memory_expect_log(1, "stopping");
}

/* CVE-2022-21676: frames in the same segment as the handshake. */
static void test_websocket_frames_right_behind_the_handshake(void **state)
{
    (void)state;
    static const char request[] =
        "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    static const struct {
        const char *frame, *trace;
        int log_count;
    } cases[] = {
        {"\x81\x82\0\0\0\0"
         "4a",
         "open;text a;", 0},
        {"\xb1\x82\0\0\0\0"
         "4a",
         "open;close transport error;", 1},
        {"\x81\x82\0\0\0\0"
         "9a",
         "open;close parse error;", 1},
        {"\x81\x82\0\0\0\0"
         "1a",
         "open;close transport close;", 0},
    };
    eio_memory_start();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char bytes[sizeof(request) + 8];
        memcpy(bytes, request, sizeof(request) - 1);
        memcpy(bytes + sizeof(request) - 1, cases[i].frame, 8);
        client = app_memory_connect(&eio_test.base);
        net_memory_feed(client, bytes, sizeof(request) - 1 + 8);
        eio_memory_run();
        eio_memory_answer(client, 101, NULL);
        eio_memory_expect(cases[i].trace);
        eio_memory_expect_log(cases[i].log_count, NULL);
        eio_memory_leave(client);
        if (i == 0)
            eio_memory_expect("close transport close;");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EIO_TEST(test_websocket_handshake_sends_open),
        EIO_TEST(test_websocket_handshake_has_cors_headers),
        EIO_TEST(test_websocket_handshake_of_another_version_is_refused),
        EIO_TEST(test_websocket_messages_both_ways),
        EIO_TEST(test_websocket_client_without_binary_gets_base64),
        EIO_TEST(test_websocket_packets_that_say_nothing_are_ignored),
        EIO_TEST(test_websocket_malformed_packet_ends_the_session),
        EIO_TEST(test_websocket_message_over_the_limit_is_1009),
        EIO_TEST(test_websocket_invalid_utf8_is_1007),
        EIO_TEST(test_websocket_ping_and_its_timeout),
        EIO_TEST(test_websocket_stray_pongs_change_nothing),
        EIO_TEST(test_websocket_close_packet_closes),
        EIO_TEST(test_websocket_close_of_the_program_sends_what_waits),
        EIO_TEST(test_websocket_end_of_the_peer_has_its_reason),
        EIO_TEST(test_websocket_send_into_a_lost_connection_keeps_the_reason),
        EIO_TEST(test_websocket_stopping_server_closes),
        EIO_TEST(test_websocket_frames_right_behind_the_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
