/* ws/conn over the memory transport: the handshake, messages, pings. How it ends:
 * test_ws_conn_close.c. */
#include "ws_talk.h"

static memory_http *const s = &memory_server;

/* ---- the handshake ---- */

static void test_ws_accept_answers_101(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_send(m, HANDSHAKE);
    memory_answer answer;
    assert_true(memory_http_take(m, true, &answer));
    assert_int_equal(answer.status, 101);
    assert_string_equal(memory_answer_header(&answer, "Upgrade"), "websocket");
    assert_string_equal(memory_answer_header(&answer, "Connection"), "Upgrade");
    /* The example of RFC 6455 1.3. */
    assert_string_equal(memory_answer_header(&answer, "Sec-WebSocket-Accept"),
                        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_string_equal(memory_answer_header(&answer, "X-Kind"), "test");
    assert_string_equal(memory_answer_header(&answer, "Content-Length"), "");
    assert_int_equal(heard.result, 0);
    assert_int_equal(heard.opens, 1);
    memory_http_leave(m);
    assert_closed(WS_CLOSE_ABNORMAL, NET_CLOSE_PEER);
}

static void test_ws_accept_takes_repeated_connection_headers_together(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    memory_http_send(m, "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n"
                        "Upgrade: websocket\r\nConnection: upgrade\r\n" HANDSHAKE_KEY
                        "Sec-WebSocket-Version: 13\r\n\r\n");
    memory_answer answer;
    assert_true(memory_http_take(m, true, &answer));
    assert_int_equal(answer.status, 101);
    memory_http_leave(m);
}

static void test_ws_accept_refuses_what_is_no_handshake(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" HANDSHAKE_KEY
        "Sec-WebSocket-Version: 13\r\n\r\n",
        HANDSHAKE_HEAD "Sec-WebSocket-Version: 13\r\n\r\n",
        HANDSHAKE_HEAD "Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n",
        HANDSHAKE_HEAD HANDSHAKE_KEY HANDSHAKE_KEY "Sec-WebSocket-Version: 13\r\n\r\n",
        HANDSHAKE_HEAD HANDSHAKE_KEY "\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" HANDSHAKE_KEY
        "Sec-WebSocket-Version: 13\r\n\r\n",
        /* With a body, which would be taken for frames. */
        HANDSHAKE_HEAD HANDSHAKE_KEY
        "Sec-WebSocket-Version: 13\r\nContent-Length: 4\r\n\r\n\x81\x80zz",
        HANDSHAKE_HEAD HANDSHAKE_KEY
        "Sec-WebSocket-Version: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        net_memory *m = memory_http_connect();
        memory_http_send(m, requests[i]);
        memory_http_expect_refusal(m, 400);
        assert_int_equal(heard.result, CARAFE_ERR_BAD_HANDSHAKE);
        memory_http_leave(m);
    }
    assert_int_equal(heard.opens + heard.closes, 0);
}

static void test_ws_accept_answers_426_to_other_versions(void **state)
{
    (void)state;
    static const char *const versions[] = {"8", "14", "13, 8"};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        char request[400];
        snprintf(request, sizeof(request), "%s%sSec-WebSocket-Version: %s\r\n\r\n", HANDSHAKE_HEAD,
                 HANDSHAKE_KEY, versions[i]);
        net_memory *m = memory_http_connect();
        memory_http_send(m, request);
        memory_answer answer;
        assert_true(memory_http_take(m, false, &answer));
        assert_int_equal(answer.status, 426);
        assert_string_equal(memory_answer_header(&answer, "Sec-WebSocket-Version"), "13");
        assert_string_equal(memory_answer_header(&answer, "Upgrade"), "websocket");
        assert_true(answer.is_last);
        memory_http_expect_end(m);
        assert_int_equal(s->log_count, (int)i + 1);
        assert_int_equal(heard.result, CARAFE_ERR_BAD_HANDSHAKE);
        memory_http_leave(m);
    }
}

static http_request *kept;

static void keep_request(http_request *req)
{
    kept = req;
}

static void test_ws_accept_of_a_peer_that_is_gone_calls_nothing_back(void **state)
{
    (void)state;
    s->service.on_request = keep_request;
    net_memory *m = memory_http_connect();
    memory_http_send(m, HANDSHAKE);
    net_memory_reset(m);
    turn();
    accept_request(kept);
    assert_int_equal(heard.result, CARAFE_ERR_CLOSED);
    assert_int_equal(heard.opens + heard.closes, 0);
    memory_http_leave(m);
}

static void test_ws_accept_later_and_from_on_head_gets_the_first_frames(void **state)
{
    (void)state;
    /* "hi" behind the request, in the same read. */
    static const char with_frame[] = HANDSHAKE "\x81\x82\0\0\0\0hi";
    for (int i = 0; i < 3; i++) {
        memset(&heard, 0, sizeof(heard));
        s->service.on_request = i == 1 ? keep_request : accept_request;
        s->service.on_head = i == 2 ? accept_request : NULL;
        net_memory *m = memory_http_connect();
        net_memory_feed(m, with_frame, sizeof(with_frame) - 1);
        if (i == 1) {
            assert_int_equal(heard.opens, 0);
            accept_request(kept);
        }
        assert_int_equal(heard.opens, 1);
        assert_int_equal(heard.messages, 1);
        assert_string_equal(heard.last, "hi");
        memory_http_leave(m);
    }
}

static void test_ws_accept_with_a_bad_frame_glued_behind_the_request(void **state)
{
    (void)state;
    net_memory *m = memory_http_connect();
    /* RSV1 without permessage-deflate. */
    static const char bytes[] = HANDSHAKE "\xc1\x82\0\0\0\0hi";
    net_memory_feed(m, bytes, sizeof(bytes) - 1);
    assert_int_equal(heard.result, 0);
    assert_closed(WS_CLOSE_PROTOCOL_ERROR, NET_CLOSE_PROTOCOL);
    turn();
    memory_answer answer;
    assert_true(memory_http_take(m, true, &answer));
    assert_int_equal(answer.status, 101);
    expect_close(m, WS_CLOSE_PROTOCOL_ERROR);
    assert_true(m->is_shut_down);
    assert_int_equal(s->log_count, 1);
    memory_http_leave(m);
    assert_int_equal(heard.closes, 1);
}

/* ---- messages ---- */

static void test_ws_conn_gets_messages_however_they_are_cut(void **state)
{
    (void)state;
    static const char bytes[] = HANDSHAKE "\x81\x85\1\2\3\4\x69\x67\x6f\x68\x6e" /* "hello" */
                                          "\x01\x81\0\0\0\0a\x89\x81\0\0\0\0p\x80\x81\0\0\0\0b";
    for (size_t step = 1; step < sizeof(bytes); step++) {
        memset(&heard, 0, sizeof(heard));
        net_memory *m = memory_http_connect();
        for (size_t at = 0; at < sizeof(bytes) - 1; at += step) {
            size_t left = sizeof(bytes) - 1 - at;
            net_memory_feed(m, bytes + at, left < step ? left : step);
        }
        turn();
        assert_int_equal(heard.messages, 2);
        assert_string_equal(heard.last, "ab");
        assert_false(heard.last_is_binary);
        memory_answer answer;
        assert_true(memory_http_take(m, true, &answer));
        expect_frame(m, WS_PONG, "p");
        expect_silence(m);
        memory_http_leave(m);
    }
}

static void test_ws_conn_tells_binary_from_text(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    send_frame(m, WS_FIN | WS_BINARY, "\xff\0\xfe", 3);
    assert_true(heard.last_is_binary);
    assert_int_equal(heard.last_len, 3);
    assert_memory_equal(heard.last, "\xff\0\xfe", 3);
    send_text(m, "");
    assert_false(heard.last_is_binary);
    assert_int_equal(heard.last_len, 0);
    assert_int_equal(heard.messages, 2);
    memory_http_leave(m);
}

static void test_ws_send_makes_one_frame_of_all_pieces(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    struct iovec pieces[] = {{"one", 3}, {NULL, 0}, {" two", 4}};
    assert_int_equal(ws_send(heard.ws, WS_TEXT, pieces, 3), 0);
    assert_int_equal(ws_send(heard.ws, WS_BINARY, NULL, 0), 0);
    assert_int_equal(ws_out_bytes(heard.ws), 11);
    turn();
    assert_int_equal(ws_out_bytes(heard.ws), 0);
    expect_frame(m, WS_TEXT, "one two");
    expect_frame(m, WS_BINARY, "");
    char long_text[601];
    memset(long_text, 'x', 600);
    long_text[600] = '\0';
    assert_int_equal(ws_send(heard.ws, WS_TEXT, &(struct iovec){long_text, 600}, 1), 0);
    turn();
    expect_frame(m, WS_TEXT, long_text);
    memory_http_leave(m);
}

static int frees;

static void count_free(shared *owner)
{
    (void)owner;
    frees++;
}

static void test_ws_send_frame_shares_the_bytes(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    shared owner;
    frees = 0;
    shared_init(&owner, count_free);
    static const uint8_t frame[] = {WS_FIN | WS_TEXT, 2, 'h', 'i'};
    assert_int_equal(ws_send(heard.ws, WS_TEXT, &(struct iovec){"1", 1}, 1), 0);
    assert_int_equal(ws_send_frame(heard.ws, &owner, frame, sizeof(frame)), 0);
    assert_int_equal(ws_send(heard.ws, WS_TEXT, &(struct iovec){"2", 1}, 1), 0);
    shared_unref(&owner);
    assert_int_equal(frees, 0);
    turn();
    assert_int_equal(frees, 1);
    expect_frame(m, WS_TEXT, "1");
    expect_frame(m, WS_TEXT, "hi");
    expect_frame(m, WS_TEXT, "2");
    memory_http_leave(m);
}

static void test_ws_conn_answers_pings_with_the_same_payload(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    char payload[126];
    memset(payload, 'p', 125);
    payload[125] = '\0';
    send_frame(m, WS_FIN | WS_PING, "", 0);
    send_frame(m, WS_FIN | WS_PING, payload, 125);
    send_frame(m, WS_FIN | WS_PONG, "unasked", 7);
    turn();
    expect_frame(m, WS_PONG, "");
    expect_frame(m, WS_PONG, payload);
    expect_silence(m);
    assert_int_equal(heard.messages, 0);
    memory_http_leave(m);
}

static void test_ws_conn_flood_of_pings_does_not_fill_the_memory(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    m->out_max = 1;
    char payload[125] = "ping";
    for (int i = 0; i < 10000; i++)
        send_frame(m, WS_FIN | WS_PING, payload, sizeof(payload));
    assert_true(ws_out_bytes(heard.ws) <= WS_CONTROL_QUEUE_MAX + 127);
    assert_true(ws_out_bytes(heard.ws) >= WS_CONTROL_QUEUE_MAX);
    m->out_max = 0;
    turn();
    net_memory_drain(m);
    turn();
    net_memory_drain(m);
    send_frame(m, WS_FIN | WS_PING, "again", 5);
    turn();
    expect_frame(m, WS_PONG, "again");
    memory_http_leave(m);
}

static void test_ws_conn_pause_and_resume(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    ws_pause(heard.ws);
    assert_true(m->conn->is_paused);
    ws_resume(heard.ws);
    assert_false(m->conn->is_paused);
    memory_http_leave(m);
}

static int other_messages;

static void on_other_message(ws_conn *ws, uint8_t *data, size_t len, bool is_binary)
{
    (void)data, (void)len, (void)is_binary;
    assert_ptr_equal(ws_user(ws), &other_messages);
    other_messages++;
}

static void on_other_close(ws_conn *ws, unsigned code, net_close reason)
{
    (void)ws, (void)reason;
    assert_int_equal(code, WS_CLOSE_ABNORMAL);
    other_messages += 100;
}

static void change_handler(void)
{
    static const ws_handler other = {.on_message = on_other_message, .on_close = on_other_close};
    ws_set_handler(heard.ws, &other, &other_messages);
}

static void test_ws_set_handler_inside_on_message_holds_from_the_next(void **state)
{
    (void)state;
    other_messages = 0;
    net_memory *m = open_ws();
    heard.on_message = change_handler;
    static const uint8_t both[] = {0x81, 0x81, 0, 0, 0, 0, 'a', 0x81, 0x81, 0, 0, 0, 0, 'b'};
    net_memory_feed(m, both, sizeof(both));
    assert_int_equal(heard.messages, 1);
    assert_int_equal(other_messages, 1);
    memory_http_leave(m);
    assert_int_equal(other_messages, 101);
    assert_int_equal(heard.closes, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, memory_http_stop)
    const struct CMUnitTest tests[] = {
        TEST(test_ws_accept_answers_101),
        TEST(test_ws_accept_takes_repeated_connection_headers_together),
        TEST(test_ws_accept_refuses_what_is_no_handshake),
        TEST(test_ws_accept_answers_426_to_other_versions),
        TEST(test_ws_accept_of_a_peer_that_is_gone_calls_nothing_back),
        TEST(test_ws_accept_later_and_from_on_head_gets_the_first_frames),
        TEST(test_ws_accept_with_a_bad_frame_glued_behind_the_request),
        TEST(test_ws_conn_gets_messages_however_they_are_cut),
        TEST(test_ws_conn_tells_binary_from_text),
        TEST(test_ws_send_makes_one_frame_of_all_pieces),
        TEST(test_ws_send_frame_shares_the_bytes),
        TEST(test_ws_conn_answers_pings_with_the_same_payload),
        TEST(test_ws_conn_flood_of_pings_does_not_fill_the_memory),
        TEST(test_ws_conn_pause_and_resume),
        TEST(test_ws_set_handler_inside_on_message_holds_from_the_next),
    };
    return cmocka_run_group_tests_name("ws/conn", tests, NULL, NULL);
}
