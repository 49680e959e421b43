/* ws/conn over the memory transport: all the ways to end. */
#include "ws_talk.h"

#include "base/mem.h"

static memory_http *const s = &memory_server;

static int send_late(void)
{
    return ws_send(heard.ws, WS_TEXT, &(struct iovec){"late", 4}, 1);
}

/* ---- the peer closes ---- */

static void test_ws_conn_peers_close_is_echoed_and_told_with_its_code(void **state)
{
    (void)state;
    static const unsigned codes[] = {1000, 1001, 1011, 3000, 4999, 0};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        memset(&heard, 0, sizeof(heard));
        net_memory *m = open_ws();
        send_close_code(m, codes[i]);
        assert_closed(codes[i] ? codes[i] : WS_CLOSE_NO_STATUS, NET_CLOSE_PEER);
        turn();
        expect_close(m, codes[i]);
        assert_true(m->is_shut_down);
        assert_false(m->is_closed);
        net_memory_feed_end(m);
        turn();
        assert_null(m->conn);
        memory_http_leave(m);
        assert_int_equal(heard.closes, 1);
        assert_int_equal(s->log_count, 0);
    }
}

static void test_ws_conn_nothing_is_read_behind_the_peers_close(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    /* Close, ping and text in one read. */
    static const uint8_t bytes[] = {0x88, 0x80, 0,    0,    0, 0, 0x89, 0x80, 0,  0,
                                    0,    0,    0x81, 0x81, 0, 0, 0,    0,    'x'};
    net_memory_feed(m, bytes, sizeof(bytes));
    send_text(m, "more");
    turn();
    expect_close(m, 0);
    assert_int_equal(heard.messages, 0);
    memory_http_leave(m);
}

static void test_ws_conn_end_without_a_close_frame_is_1006(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    net_memory_feed_end(m);
    assert_int_equal(heard.closes, 0);
    turn();
    assert_closed(WS_CLOSE_ABNORMAL, NET_CLOSE_PEER);
    assert_null(m->conn);
    memory_http_leave(m);
    memset(&heard, 0, sizeof(heard));
    m = open_ws();
    send_frame(m, WS_TEXT, "half", 4);
    net_memory_reset(m);
    turn();
    assert_closed(WS_CLOSE_ABNORMAL, NET_CLOSE_RESET);
    memory_http_leave(m);
}

/* ---- this side closes ---- */

static void test_ws_close_waits_for_the_peers_close_and_calls_nothing_back(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    assert_int_equal(ws_send(heard.ws, WS_TEXT, &(struct iovec){"last", 4}, 1), 0);
    ws_close(heard.ws, 4001, "enough");
    turn();
    expect_frame(m, WS_TEXT, "last");
    expect_frame(m, WS_CLOSE,
                 "\x0f\xa1"
                 "enough");
    assert_false(m->is_shut_down);
    send_text(m, "ignored");
    send_frame(m, WS_FIN | WS_PING, "ignored", 7);
    send_close_code(m, 4001);
    turn();
    expect_silence(m);
    assert_true(m->is_shut_down);
    net_memory_feed_end(m);
    turn();
    assert_null(m->conn);
    assert_int_equal(heard.closes + heard.messages, 0);
    memory_http_leave(m);
}

static void test_ws_close_of_a_peer_that_does_not_answer_ends_by_time(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    ws_pause(heard.ws);
    ws_close(heard.ws, 0, NULL);
    /* It must read again, or the peer's close frame would never come. */
    assert_false(m->conn->is_paused);
    memory_http_pass(WS_CLOSE_TIMEOUT_MS - 1);
    expect_close(m, 0);
    assert_false(m->is_shut_down);
    memory_http_pass(1);
    assert_true(m->is_shut_down);
    memory_http_pass(NET_LINGER_MS);
    assert_null(m->conn);
    assert_int_equal(heard.closes, 0);
    memory_http_leave(m);
}

static void test_ws_close_of_a_peer_that_does_not_read_ends_by_time(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    m->out_max = 1;
    assert_int_equal(ws_send(heard.ws, WS_TEXT, &(struct iovec){"unread", 6}, 1), 0);
    ws_close(heard.ws, 1001, "");
    memory_http_pass(WS_CLOSE_TIMEOUT_MS);
    assert_false(m->is_closed);
    memory_http_pass(NET_FINISH_MS);
    assert_null(m->conn);
    assert_int_equal(heard.closes, 0);
    memory_http_leave(m);
}

static void test_ws_close_crossing_the_peers_end_is_quiet(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        memset(&heard, 0, sizeof(heard));
        net_memory *m = open_ws();
        ws_conn *ws = heard.ws;
        if (i == 1)
            net_memory_reset(m);
        ws_close(ws, 1000, "bye");
        if (i == 0)
            net_memory_reset(m);
        if (i == 2)
            net_memory_feed_end(m);
        turn();
        assert_null(m->conn);
        assert_int_equal(heard.closes, 0);
        memory_http_leave(m);
    }
}

static void test_ws_close_with_what_may_not_be_sent_sends_no_code(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    ws_close(heard.ws, 1005, NULL);
    turn();
    expect_close(m, 0);
    memory_http_leave(m);
}

static void test_ws_sends_after_close_are_refused(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    shared owner;
    shared_init(&owner, NULL);
    ws_close(heard.ws, 1000, NULL);
    assert_int_equal(send_late(), CARAFE_ERR_CLOSED);
    assert_int_equal(ws_send_frame(heard.ws, &owner, (const uint8_t *)"\x81", 2),
                     CARAFE_ERR_CLOSED);
    assert_int_equal(atomic_load(&owner.refs), 1);
    turn();
    expect_close(m, 1000);
    memory_http_leave(m);
}

static void test_ws_abort_closes_at_once(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    assert_int_equal(ws_send(heard.ws, WS_TEXT, &(struct iovec){"lost", 4}, 1), 0);
    ws_abort(heard.ws);
    assert_true(m->is_closed);
    assert_int_equal(send_late(), CARAFE_ERR_CLOSED);
    turn();
    assert_null(m->conn);
    expect_silence(m);
    assert_int_equal(heard.closes, 0);
    memory_http_leave(m);
}

/* ---- closing inside callbacks ---- */

static void close_now(void)
{
    ws_close(heard.ws, 4000, NULL);
}

static void abort_now(void)
{
    ws_abort(heard.ws);
}

static const uint8_t two_messages[] = {0x81, 0x81, 0, 0, 0, 0, 'a', 0x81, 0x81, 0, 0, 0, 0, 'b'};

static void test_ws_close_inside_on_message_and_on_open(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        memset(&heard, 0, sizeof(heard));
        void (*end)(void) = i % 2 ? abort_now : close_now;
        heard.on_open = i < 2 ? end : NULL;
        heard.on_message = i < 2 ? NULL : end;
        net_memory *m = memory_http_connect();
        memory_http_feed(m, HANDSHAKE);
        net_memory_feed(m, two_messages, sizeof(two_messages));
        turn();
        assert_int_equal(heard.result, 0);
        assert_int_equal(heard.messages, i < 2 ? 0 : 1);
        assert_int_equal(heard.closes, 0);
        if (i % 2) {
            assert_null(m->conn);
        } else {
            memory_answer answer;
            assert_true(memory_http_take(m, true, &answer));
            expect_close(m, 4000);
            send_close_code(m, 4000);
            turn();
            assert_true(m->is_shut_down);
        }
        memory_http_leave(m);
    }
}

static void test_ws_abort_inside_a_message_glued_behind_the_request(void **state)
{
    (void)state;
    heard.on_message = abort_now;
    net_memory *m = memory_http_connect();
    memory_http_send(m, HANDSHAKE "\x81\x81zzzz\x1b\x81\x81zzzz\x1b");
    assert_int_equal(heard.messages, 1);
    assert_null(m->conn);
    assert_int_equal(heard.closes, 0);
    memory_http_leave(m);
}

/* ---- violations ---- */

static void test_ws_conn_violations_close_with_their_code(void **state)
{
    (void)state;
    static const struct {
        unsigned code;
        size_t len;
        const char *bytes;
    } table[] = {
        {1002, 3, "\x81\x01x"},                           /* not masked */
        {1002, 2, "\xc1\x80"},                            /* RSV1 */
        {1002, 2, "\xa1\x80"},                            /* RSV2 */
        {1002, 2, "\x83\x80"},                            /* opcode 3 */
        {1002, 2, "\x8b\x80"},                            /* opcode 11 */
        {1002, 2, "\x09\x80"},                            /* a ping in fragments */
        {1002, 4, "\x89\xfe\x00\x7e"},                    /* a ping of 126 bytes */
        {1002, 2, "\x80\x80"},                            /* a continuation of nothing */
        {1002, 8, "\x01\x80\0\0\0\0\x81\x80"},            /* a message inside a message */
        {1002, 7, "\x88\x81\0\0\0\0\x03"},                /* half a close code */
        {1002, 8, "\x88\x82\0\0\0\0\x03\xed"},            /* close code 1005 */
        {1007, 7, "\x81\x81\0\0\0\0\xff"},                /* text that is not UTF-8 */
        {1007, 9, "\x88\x83\0\0\0\0\x03\xe8\xff"},        /* nor is the reason */
        {1009, 8, "\x82\xfe\x03\xe9\0\0\0\0"},            /* 1001 bytes are announced */
        {1009, 14, "\x82\xff\0\0\0\1\0\0\0\0\0\0\0\0"},   /* 4 GiB */
        {1002, 14, "\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0"}, /* the highest bit */
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        memset(&heard, 0, sizeof(heard));
        s->log_count = 0;
        net_memory *m = open_ws();
        for (size_t at = 0; at < table[i].len; at++)
            net_memory_feed(m, table[i].bytes + at, 1);
        assert_closed(table[i].code, NET_CLOSE_PROTOCOL);
        send_text(m, "ignored");
        turn();
        expect_close(m, table[i].code);
        assert_true(m->is_shut_down);
        assert_int_equal(s->log_count, 1);
        memory_http_leave(m);
        assert_int_equal(heard.closes, 1);
        assert_int_equal(heard.messages, 0);
    }
}

static void test_ws_conn_message_at_and_above_its_limit(void **state)
{
    (void)state;
    char payload[MESSAGE_SIZE_MAX + 1];
    memset(payload, 'x', sizeof(payload));
    net_memory *m = open_ws();
    send_frame(m, WS_FIN | WS_BINARY, payload, MESSAGE_SIZE_MAX);
    assert_int_equal(heard.last_len, MESSAGE_SIZE_MAX);
    send_frame(m, WS_BINARY, payload, MESSAGE_SIZE_MAX - 1);
    send_frame(m, WS_FIN | WS_CONTINUATION, payload, 1);
    assert_int_equal(heard.messages, 2);
    send_frame(m, WS_BINARY, payload, MESSAGE_SIZE_MAX);
    assert_int_equal(heard.closes, 0);
    send_frame(m, WS_FIN | WS_CONTINUATION, payload, 1);
    assert_closed(WS_CLOSE_TOO_LARGE, NET_CLOSE_PROTOCOL);
    turn();
    expect_close(m, WS_CLOSE_TOO_LARGE);
    memory_http_leave(m);
}

static void accept_without_a_limit(http_request *req)
{
    heard.result = ws_accept(req, NULL, 0, (size_t)1 << 32, &handler, &heard);
}

static void test_ws_accept_with_a_limit_above_32_bits_does_not_wrap(void **state)
{
    (void)state;
    s->service.on_request = accept_without_a_limit;
    net_memory *m = open_ws();
    send_text(m, "hi");
    assert_int_equal(heard.messages, 1);
    assert_int_equal(ws_send(heard.ws, WS_TEXT, NULL, 0), 0);
    memory_http_leave(m);
    assert_closed(WS_CLOSE_ABNORMAL, NET_CLOSE_PEER);
}

static void test_ws_conn_violation_after_ws_close_is_quiet(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    ws_close(heard.ws, 1000, NULL);
    net_memory_feed(m, "\x83\x80", 2);
    turn();
    expect_close(m, 1000);
    assert_true(m->is_shut_down);
    assert_int_equal(heard.closes, 0);
    memory_http_leave(m);
}

/* ---- memory ---- */

static bool talk_with_failures(int n)
{
    memset(&heard, 0, sizeof(heard));
    char payload[900] = "x";
    net_memory *m = memory_http_connect();
    mem_fail_after(n);
    memory_http_feed(m, HANDSHAKE);
    send_frame(m, WS_BINARY, payload, 600);
    send_frame(m, WS_FIN | WS_PING, "p", 1);
    send_frame(m, WS_FIN | WS_CONTINUATION, payload, 300);
    if (heard.opens && !heard.closes)
        (void)ws_send(heard.ws, WS_BINARY, &(struct iovec){payload, 900}, 1);
    memory_http_turn();
    mem_fail_never();
    turn();
    bool is_whole = heard.messages == 1 && !m->is_closed && !m->is_shut_down;
    if (!is_whole) {
        assert_true(m->is_closed || m->is_shut_down);
        assert_int_equal(heard.closes, heard.opens);
    }
    memory_http_leave(m);
    assert_int_equal(heard.closes, heard.opens);
    return is_whole;
}

static void test_ws_conn_each_failing_allocation_ends_in_order(void **state)
{
    (void)state;
    int failures = 0;
    for (int n = 1; !talk_with_failures(n); n++) {
        failures++;
        memory_http_stop(NULL);
        set_up(NULL);
        assert_true(n < 100);
    }
    assert_true(failures > 5);
}

static void test_ws_conn_of_a_worker_that_ends_is_told(void **state)
{
    (void)state;
    net_memory *m = open_ws();
    http_worker_deinit(&s->worker);
    worker_deinit(&s->worker);
    assert_closed(WS_CLOSE_ABNORMAL, NET_CLOSE_STOPPING);
    net_memory_free(m);
    assert_int_equal(worker_init(&s->worker, 0, 0), 0); /* for the teardown */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, memory_http_stop)
    const struct CMUnitTest tests[] = {
        TEST(test_ws_conn_peers_close_is_echoed_and_told_with_its_code),
        TEST(test_ws_conn_nothing_is_read_behind_the_peers_close),
        TEST(test_ws_conn_end_without_a_close_frame_is_1006),
        TEST(test_ws_close_waits_for_the_peers_close_and_calls_nothing_back),
        TEST(test_ws_close_of_a_peer_that_does_not_answer_ends_by_time),
        TEST(test_ws_close_of_a_peer_that_does_not_read_ends_by_time),
        TEST(test_ws_close_crossing_the_peers_end_is_quiet),
        TEST(test_ws_close_with_what_may_not_be_sent_sends_no_code),
        TEST(test_ws_sends_after_close_are_refused),
        TEST(test_ws_abort_closes_at_once),
        TEST(test_ws_close_inside_on_message_and_on_open),
        TEST(test_ws_abort_inside_a_message_glued_behind_the_request),
        TEST(test_ws_conn_violations_close_with_their_code),
        TEST(test_ws_conn_message_at_and_above_its_limit),
        TEST(test_ws_accept_with_a_limit_above_32_bits_does_not_wrap),
        TEST(test_ws_conn_violation_after_ws_close_is_quiet),
        TEST(test_ws_conn_each_failing_allocation_ends_in_order),
        TEST(test_ws_conn_of_a_worker_that_ends_is_told),
    };
    return cmocka_run_group_tests_name("ws/conn close", tests, NULL, NULL);
}
