/* Engine.IO under pressure: slow readers, many sessions, no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/core.h"
#include "base/mem.h"
#include "eio_memory.h"

#define SEP "\x1e"

enum { OUTPUT_MAX = 1000 };

static char sid[SID_LEN + 1];
static char filler[2 * OUTPUT_MAX];

static const char *query_of(const char *id)
{
    static char query[128];
    snprintf(query, sizeof(query), "transport=polling&sid=%s", id);
    return query;
}

static void start(void)
{
    memset(filler, 'x', sizeof(filler));
    eio_test.options.max_output_size = OUTPUT_MAX;
    eio_memory_start();
}

/* ---- slow readers ---- */

static void test_limits_output_of_a_poll(void **state)
{
    (void)state;
    start();
    eio_memory_open(sid, NULL);
    assert_int_equal(eio_send_text(eio_test.sock, filler, OUTPUT_MAX - 1), 0);
    eio_memory_poll_now(sid, NULL);
    assert_int_equal(eio_answered.body_len, OUTPUT_MAX);
    assert_int_equal(eio_send_text(eio_test.sock, filler, OUTPUT_MAX), CARAFE_ERR_SLOW_READER);
    assert_int_equal(eio_send_text(eio_test.sock, "", 0), CARAFE_ERR_CLOSED);
    eio_memory_run();
    eio_memory_expect("open;close transport error;");
    eio_memory_expect_log(1, "max_output_size");
}

static void test_limits_output_of_a_poll_gathers(void **state)
{
    (void)state;
    start();
    eio_memory_open(sid, NULL);
    int sent = 0;
    while (eio_send_text(eio_test.sock, filler, 8) == 0)
        sent++;
    assert_int_equal(sent, OUTPUT_MAX / 10); /* digit, text, separator */
    eio_memory_run();
    eio_memory_expect("open;close transport error;");
    eio_memory_expect_log(1, "max_output_size");
}

static void test_limits_output_counts_base64_as_it_is_sent(void **state)
{
    (void)state;
    start();
    eio_memory_open(sid, NULL);
    assert_int_equal(eio_send_binary(eio_test.sock, filler, 747), 0); /* 1 + 996 */
    eio_memory_poll_now(sid, NULL);
    assert_int_equal(eio_answered.body_len, 997);
    assert_int_equal(eio_send_binary(eio_test.sock, filler, 750), CARAFE_ERR_SLOW_READER);
    eio_memory_run();
    eio_memory_expect_log(1, "max_output_size");
}

static void test_limits_output_of_a_websocket(void **state)
{
    (void)state;
    start();
    for (int over = 0; over < 2; over++) {
        net_memory *ws = eio_memory_open_websocket(sid, NULL);
        ws->out_max = 1; /* the client reads nothing any more */
        while (ws_out_bytes(eio_test.sock->ws) < OUTPUT_MAX - 400)
            assert_int_equal(eio_send_text(eio_test.sock, filler, 90), 0);
        eio_memory_run();
        size_t left = OUTPUT_MAX - ws_out_bytes(eio_test.sock->ws);
        int64_t before = mem_bytes_in_use();
        assert_int_equal(eio_send_text(eio_test.sock, filler, left - 1 + (size_t)over),
                         over ? CARAFE_ERR_SLOW_READER : 0);
        eio_memory_run();
        if (over) {
            /* At once, and not when the client has read it all. */
            assert_true(ws->is_closed);
            assert_null(ws->conn);
            assert_true(mem_bytes_in_use() < before);
            eio_memory_expect("open;close transport error;");
            eio_memory_expect_log(1, "max_output_size");
        } else {
            eio_memory_expect("open;");
            net_memory_reset(ws);
            eio_memory_run();
            eio_memory_expect("close transport close;");
        }
        net_memory_free(ws);
    }
}

static void test_limits_slow_reader_is_cut_during_a_broadcast_only(void **state)
{
    (void)state;
    start();
    net_memory *slow = eio_memory_open_websocket(sid, NULL);
    eio_socket *slow_sock = eio_test.sock;
    slow->out_max = 1;
    net_memory *fast = eio_memory_open_websocket(sid, NULL);
    eio_socket *fast_sock = eio_test.sock;
    int results[2] = {0, 0};
    for (int i = 0; i < 20; i++) {
        buf text = {0};
        assert_int_equal(eio_message_begin_text(&text), 0);
        assert_int_equal(buf_append(&text, filler, 100), 0);
        eio_message *message = eio_message_seal_text(&text);
        if (results[0] == 0)
            results[0] = eio_socket_send_message(slow_sock, message);
        results[1] = eio_socket_send_message(fast_sock, message);
        eio_message_unref(message);
        assert_int_equal(results[1], 0);
        eio_memory_run();
        slice frame;
        assert_int_equal(eio_memory_take_frame(fast, &frame), WS_TEXT);
    }
    assert_int_equal(results[0], CARAFE_ERR_SLOW_READER);
    eio_memory_expect("open;open;close transport error;");
    eio_memory_expect_log(1, "max_output_size");
    net_memory_free(slow);
    eio_memory_leave(fast);
}

/* ---- many ---- */

static void open_and_close_one(int i)
{
    net_memory *client;
    switch (i % 5) {
    case 0: /* says goodbye */
        eio_memory_open(sid, NULL);
        eio_memory_post(sid, "4a" SEP "1");
        return;
    case 1: /* goes away */
        client = eio_memory_open_websocket(sid, NULL);
        net_memory_reset(client);
        break;
    case 2: /* upgrades, then goes away */
        eio_memory_open(sid, NULL);
        client = eio_memory_websocket(sid, NULL);
        eio_memory_frame(client, WS_TEXT, "2probe", 6);
        eio_memory_text(client, "5");
        net_memory_feed_end(client);
        break;
    case 3: /* is closed by the program, with a probe that is never finished */
        eio_memory_open(sid, NULL);
        client = eio_memory_websocket(sid, NULL);
        eio_memory_text(client, "2probe");
        eio_close(eio_test.sock);
        eio_memory_poll_now(sid, "1");
        net_memory_reset(client);
        break;
    default: /* aborts its poll */
        eio_memory_open(sid, NULL);
        client = eio_memory_poll(sid);
        net_memory_reset(client);
        break;
    }
    eio_memory_run();
    net_memory_free(client);
}

static void test_limits_10000_sessions_leave_nothing(void **state)
{
    (void)state;
    eio_test.is_silent = true;
    eio_memory_start();
    for (int i = 0; i < 100; i++)
        open_and_close_one(i);
    eio_memory_run();
    int64_t blocks = mem_blocks_in_use(), bytes = mem_bytes_in_use();
    for (int i = 0; i < 10000; i++)
        open_and_close_one(i);
    eio_memory_run();
    assert_int_equal(mem_blocks_in_use(), blocks);
    assert_true(mem_bytes_in_use() <= bytes);
    assert_int_equal(eio_test.closes, 10100);
    eio_memory_expect_log(0, NULL);
}

static void test_limits_10000_sessions_at_once(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    eio_test.is_silent = true;
    eio_memory_start();
    for (int i = 0; i < COUNT; i++)
        eio_memory_open(sid, NULL);
    eio_memory_post(sid, "4a");
    assert_int_equal(eio_test.messages, 1);
    /* None has a poll, so none gets a ping, and all end. */
    eio_memory_pass(25000);
    eio_memory_pass(20000);
    assert_int_equal(eio_test.closes, COUNT);
}

/* ---- no memory ---- */

/* A client that does all there is to do, whatever becomes of it; the n-th allocation from the
 * `step`-th action on fails, and all behind it in that action. */
static int action;

static void begin_action(int step, int n)
{
    if (action++ != step)
        return;
    /* Nothing is to come from what others left. */
    net_pool_deinit(&eio_test.base.worker.pool);
    mem_fail_after(n);
}

static void end_action(void)
{
    eio_memory_run();
    mem_fail_never();
    eio_memory_run();
}

static const char *find(const net_memory *client, const char *text)
{
    return client->out.len ? memmem(client->out.data, client->out.len, text, strlen(text)) : NULL;
}

static bool has_sid(const net_memory *client)
{
    const char *at = find(client, "{\"sid\":\"");
    if (at)
        memcpy(sid, at + 8, SID_LEN);
    return at != NULL;
}

/* Every request gets an answer, or its connection is closed. */
static void expect_answer_or_close(const net_memory *client)
{
    bool has_answer = find(client, "\r\n\r\n") != NULL;
    assert_true(has_answer || client->is_closed || client->is_shut_down);
}

static void polling_life(int step, int n)
{
    net_memory *client = app_memory_connect(&eio_test.base);
    action = 0;
    begin_action(step, n);
    eio_memory_request(client, "GET", "transport=polling", "", NULL);
    end_action();
    expect_answer_or_close(client);
    if (has_sid(client)) {
        net_memory *poll = app_memory_connect(&eio_test.base);
        begin_action(step, n);
        eio_memory_request(poll, "GET", query_of(sid), "", NULL);
        end_action();
        net_memory *post = app_memory_connect(&eio_test.base);
        begin_action(step, n);
        eio_memory_request(post, "POST", query_of(sid), "", "4echo" SEP "bAQID" SEP "4echo");
        end_action();
        expect_answer_or_close(post);
        if (find(post, " 200 "))
            expect_answer_or_close(poll); /* with what the POST brought */
        eio_memory_leave(post);
        post = app_memory_connect(&eio_test.base);
        begin_action(step, n); /* refused from on_head */
        eio_memory_request(post, "POST", query_of(sid),
                           "Content-Type: application/octet-stream\r\n", "4a");
        end_action();
        expect_answer_or_close(post);
        eio_memory_leave(post);
        eio_memory_leave(poll);
    }
    mem_fail_never();
    eio_memory_leave(client);
}

static void websocket_life(int step, int n, bool is_upgrade)
{
    char query[128] = "transport=websocket";
    action = 0;
    if (is_upgrade) {
        eio_memory_open(sid, NULL);
        snprintf(query, sizeof(query), "transport=websocket&sid=%s", sid);
        eio_memory_post(sid, "4echo"); /* waits for the switch */
    }
    net_memory *ws = app_memory_connect(&eio_test.base);
    begin_action(step, n);
    eio_memory_request(ws, "GET", query,
                       "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                       NULL);
    end_action();
    expect_answer_or_close(ws);
    static const char *const texts[] = {"2probe", "5", "4echo", "bAQID"};
    for (size_t i = is_upgrade ? 0 : 2; i < sizeof(texts) / sizeof(texts[0]); i++) {
        begin_action(step, n);
        eio_memory_frame(ws, WS_TEXT, texts[i], strlen(texts[i]));
        end_action();
    }
    mem_fail_never();
    eio_memory_leave(ws);
}

static void echo(eio_socket *sock, const void *data, size_t len, bool is_binary)
{
    int ignored = is_binary ? eio_send_binary(sock, data, len) : eio_send_text(sock, data, len);
    (void)ignored;
}

/* A bystander, who must not notice. */
static void check_bystander(net_memory *client)
{
    eio_memory_text(client, "4bystander");
    eio_memory_expect_text(client, "4bystander");
}

static void test_limits_every_failing_allocation(void **state)
{
    (void)state;
    eio_test.is_silent = true;
    eio_test.on_message = echo;
    eio_test.options.cookie = "io";
    eio_memory_start();
    net_memory *bystander = eio_memory_open_websocket(sid, NULL);
    for (int step = 0; step < 5; step++) {
        for (int n = 1; n < 30; n++) {
            polling_life(step, n);
            websocket_life(step, n, false);
            websocket_life(step, n, true);
            check_bystander(bystander);
        }
    }
    eio_memory_leave(bystander);
    /* The sessions whose clients could not end them. */
    eio_memory_pass(25000);
    eio_memory_pass(20000);
    eio_memory_pass(30000);
    assert_true(
        list_is_empty(&eio_shard_of(LIST_ENTRY(eio_test.base.app->extensions, eio_core, ext),
                                    &eio_test.base.worker)
                           ->all));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EIO_TEST(test_limits_output_of_a_poll),
        EIO_TEST(test_limits_output_of_a_poll_gathers),
        EIO_TEST(test_limits_output_counts_base64_as_it_is_sent),
        EIO_TEST(test_limits_output_of_a_websocket),
        EIO_TEST(test_limits_slow_reader_is_cut_during_a_broadcast_only),
        EIO_TEST(test_limits_10000_sessions_leave_nothing),
        EIO_TEST(test_limits_10000_sessions_at_once),
        EIO_TEST(test_limits_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
