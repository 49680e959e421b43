/* eio_server_*: what a program sees and may do. */
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

static char sid[SID_LEN + 1];

static void start_and_open(void)
{
    eio_memory_start();
    eio_memory_open(sid, NULL);
}

static const char *query_of(const char *id)
{
    static char query[128];
    snprintf(query, sizeof(query), "transport=polling&sid=%s", id);
    return query;
}

/* ---- order ---- */

static uint64_t wait_ms;

static void wait_open(eio_socket *sock)
{
    (void)sock;
    worker_sleep(&eio_test.base.worker, wait_ms);
}

static void wait_message(eio_socket *sock, const void *data, size_t len, bool is_binary)
{
    (void)sock;
    (void)is_binary;
    char *copy = malloc(len + 1);
    memcpy(copy, data, len);
    worker_sleep(&eio_test.base.worker, wait_ms);
    /* It lives until the callback returns, also across a wait. */
    assert_memory_equal(copy, data, len);
    free(copy);
}

static void test_api_callbacks_of_a_session_keep_their_order(void **state)
{
    (void)state;
    wait_ms = 10;
    eio_test.on_open = wait_open;
    eio_test.on_message = wait_message;
    eio_test.on_close = wait_open;
    start_and_open();
    eio_memory_post(sid, "4a" SEP "4b");
    eio_memory_post(sid, "4c" SEP "1");
    eio_memory_expect("open;");
    static const char *const steps[] = {"text a;", "text b;", "text c;", "close transport close;"};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        eio_memory_pass(9);
        eio_memory_expect("");
        eio_memory_pass(1);
        eio_memory_expect(steps[i]);
    }
    assert_int_equal(coro_pool_in_use(&eio_test.base.worker.coros), 1);
    eio_memory_pass(10);
}

static void test_api_sessions_do_not_wait_for_each_other(void **state)
{
    (void)state;
    wait_ms = 1000;
    start_and_open();
    eio_test.on_message = wait_message;
    char other[SID_LEN + 1];
    eio_memory_open(other, NULL);
    eio_memory_post(sid, "4a" SEP "4b");
    eio_memory_post(other, "4c");
    eio_memory_expect("open;open;text a;text c;");
    eio_memory_pass(1000);
    eio_memory_expect("text b;");
    eio_memory_pass(1000);
}

static void test_api_session_that_ends_while_a_callback_waits(void **state)
{
    (void)state;
    wait_ms = 100;
    start_and_open();
    eio_test.on_message = wait_message;
    eio_memory_post(sid, "4a" SEP "4b");
    net_memory *poll = eio_memory_poll(sid);
    net_memory_reset(poll);
    eio_memory_run();
    net_memory_free(poll);
    eio_memory_expect("open;text a;");
    assert_int_equal(eio_send_text(eio_test.sock, "x", 1), CARAFE_ERR_CLOSED);
    assert_string_equal(eio_sid(eio_test.sock), sid);
    assert_non_null(carafe_query(eio_request(eio_test.sock), "transport"));
    eio_memory_pass(100);
    eio_memory_expect("text b;");
    eio_memory_pass(100);
    eio_memory_expect("close transport error;");
}

static void test_api_stopping_wakes_who_waits(void **state)
{
    (void)state;
    wait_ms = 1000000;
    start_and_open();
    eio_test.on_message = wait_message;
    eio_memory_post(sid, "4a" SEP "4b");
    eio_memory_stop();
    eio_memory_expect("open;text a;text b;close server shutting down;");
}

/* ---- from inside callbacks ---- */

static void close_it(eio_socket *sock)
{
    eio_close(sock);
    assert_int_equal(eio_send_text(sock, "x", 1), CARAFE_ERR_CLOSED);
    eio_close(sock);
}

static void close_on_message(eio_socket *sock, const void *data, size_t len, bool is_binary)
{
    (void)data;
    (void)len;
    (void)is_binary;
    close_it(sock);
}

static void test_api_close_inside_on_open(void **state)
{
    (void)state;
    eio_test.on_open = close_it;
    eio_test.on_close = close_it;
    start_and_open();
    eio_memory_expect("open;");
    eio_memory_poll_now(sid, "1");
    eio_memory_expect("close forced close;");
    net_memory *ws = eio_memory_open_websocket(sid, NULL);
    eio_memory_expect_close(ws, 0);
    eio_memory_expect("open;close forced close;");
    eio_memory_leave(ws);
}

static void test_api_close_inside_on_message(void **state)
{
    (void)state;
    eio_test.on_message = close_on_message;
    start_and_open();
    net_memory *poll = eio_memory_poll(sid);
    eio_memory_post(sid, "4a" SEP "4not heard any more");
    eio_memory_answer(poll, 200, "1");
    eio_memory_expect("open;text a;close forced close;");
    eio_memory_leave(poll);
    net_memory *ws = eio_memory_open_websocket(sid, NULL);
    eio_memory_frame(ws, WS_TEXT, "4a", 2);
    eio_memory_text(ws, "4b");
    eio_memory_expect_close(ws, 0);
    eio_memory_expect("open;text a;close forced close;");
    eio_memory_leave(ws);
}

static void echo(eio_socket *sock, const void *data, size_t len, bool is_binary)
{
    assert_int_equal(is_binary ? eio_send_binary(sock, data, len) : eio_send_text(sock, data, len),
                     0);
}

static void test_api_echo(void **state)
{
    (void)state;
    eio_test.on_message = echo;
    start_and_open();
    eio_memory_post(sid, "4a" SEP "bAQID" SEP "4");
    eio_memory_poll_now(sid, "4a" SEP "bAQID" SEP "4");
    net_memory *ws = eio_memory_websocket(sid, NULL);
    eio_memory_frame(ws, WS_TEXT, "2probe", 6);
    eio_memory_frame(ws, WS_TEXT, "5", 1);
    eio_memory_frame(ws, WS_BINARY, "\1", 1);
    eio_memory_text(ws, "4z");
    eio_memory_expect_text(ws, "3probe");
    eio_memory_expect_binary(ws, "\1", 1);
    eio_memory_expect_text(ws, "4z");
    eio_memory_leave(ws);
}

static void test_api_text_must_be_utf8(void **state)
{
    (void)state;
    start_and_open();
    assert_int_equal(eio_send_text(eio_test.sock, "\xff", 1), CARAFE_ERR_BAD_UTF8);
    /* Would be two packets in a polling body. */
    assert_int_equal(eio_send_text(eio_test.sock, "a" SEP "4b", 4), CARAFE_ERR_BAD_DATA);
    assert_int_equal(eio_send_text(eio_test.sock, "\xc3\xb6", 2), 0);
    assert_int_equal(eio_send_text(eio_test.sock, NULL, 0), 0);
    eio_memory_poll_now(sid, "4\xc3\xb6" SEP "4");
}

static int a_pointer;

static void check_user(eio_socket *sock)
{
    assert_ptr_equal(eio_user(sock), &a_pointer);
}

static void test_api_user_pointer_stays(void **state)
{
    (void)state;
    start_and_open();
    assert_null(eio_user(eio_test.sock));
    eio_set_user(eio_test.sock, &a_pointer);
    eio_test.on_close = check_user;
    net_memory *ws = eio_memory_websocket(sid, NULL);
    eio_memory_text(ws, "2probe");
    eio_memory_text(ws, "5");
    check_user(eio_test.sock);
    eio_memory_leave(ws);
    assert_int_equal(eio_test.closes, 1);
}

static void test_api_callbacks_may_be_left_out(void **state)
{
    (void)state;
    eio_test.options.on_open = NULL;
    eio_test.options.on_message = NULL;
    eio_test.options.on_close = NULL;
    start_and_open();
    eio_memory_post(sid, "4a" SEP "1");
    eio_memory_expect("");
}

/* ---- the first message ---- */

static void test_api_silent_session_is_closed(void **state)
{
    (void)state;
    eio_test.options.connect_timeout = 2;
    start_and_open();
    eio_memory_post(sid, "3");
    eio_memory_pass(1999);
    eio_memory_expect("open;");
    eio_memory_pass(1);
    eio_memory_expect("close forced close;");
    eio_memory_expect_log(1, "sent no message in time");
}

static void test_api_session_with_a_message_is_kept(void **state)
{
    (void)state;
    eio_test.options.connect_timeout = 2;
    start_and_open();
    eio_memory_post(sid, "4a");
    eio_memory_pass(20000);
    eio_memory_expect("open;text a;");
}

/* ---- a program that is slower than its client ---- */

static void test_api_backlog_holds_the_post_back(void **state)
{
    (void)state;
    enum { COUNT = 2500 };
    wait_ms = 1;
    eio_test.is_silent = true;
    start_and_open();
    eio_test.on_message = wait_message;
    char *body = malloc(3 * COUNT);
    assert_non_null(body);
    for (int i = 0; i < COUNT; i++)
        memcpy(body + 3 * i, i + 1 < COUNT ? "4x" SEP : "4x", 3);
    net_memory *post = app_memory_connect(&eio_test.base);
    int64_t before = mem_blocks_in_use();
    eio_memory_request(post, "POST", query_of(sid), "", body);
    eio_memory_run();
    assert_false(app_memory_read(post, &eio_answered));
    /* No more of them than the limit are kept as callbacks, however many are in one body. */
    assert_true(mem_blocks_in_use() - before < 1100);
    for (int i = 0; i < COUNT; i++) {
        assert_true(mem_blocks_in_use() - before < 1100);
        if (i < COUNT - 1000)
            assert_false(app_memory_read(post, &eio_answered));
        eio_memory_pass(1);
    }
    eio_memory_answer(post, 200, "ok");
    assert_int_equal(eio_test.messages, COUNT);
    eio_memory_leave(post);
    eio_test.on_message = NULL;
    eio_memory_post(sid, "4a");
    assert_int_equal(eio_test.messages, COUNT + 1);
    free(body);
}

/* Fills the backlog with a callback that waits for `wait_ms`. */
static net_memory *fill_backlog(void)
{
    char body[3 * 1001];
    for (int i = 0; i < 1001; i++)
        memcpy(body + 3 * i, i < 1000 ? "4x" SEP : "4x", 3);
    eio_test.on_message = wait_message;
    net_memory *post = app_memory_connect(&eio_test.base);
    eio_memory_request(post, "POST", query_of(sid), "", body);
    eio_memory_run();
    assert_false(app_memory_read(post, &eio_answered));
    eio_test.trace[0] = '\0';
    eio_test.trace_len = 0;
    return post;
}

static void test_api_backlog_does_not_time_out(void **state)
{
    (void)state;
    wait_ms = 60000;
    eio_test.is_silent = true;
    start_and_open();
    net_memory *post = fill_backlog();
    eio_memory_pass(25000);
    eio_memory_poll_now(sid, "2");
    for (int i = 0; i < 10; i++)
        eio_memory_pass(20000); /* the pong cannot be read */
    assert_int_equal(eio_test.closes, 0);
    eio_test.on_message = NULL;
    eio_memory_pass(60000);
    eio_memory_answer(post, 200, "ok");
    eio_memory_pass(19999);
    assert_int_equal(eio_test.closes, 0);
    eio_memory_pass(1);
    assert_int_equal(eio_test.closes, 1);
    eio_memory_leave(post);
}

static void test_api_backlog_second_post_is_an_overlap(void **state)
{
    (void)state;
    wait_ms = 1000;
    start_and_open();
    net_memory *post = fill_backlog();
    eio_memory_ask("POST", query_of(sid), "", "4y", 400, NULL);
    eio_memory_expect_log(1, "overlapping posts");
    eio_memory_answer(post, 200, "ok");
    eio_memory_leave(post);
    eio_test.on_message = NULL;
    eio_memory_pass(1000);
    assert_int_equal(eio_test.closes, 1);
}

static void test_api_backlog_with_an_aborted_post_ends_the_session(void **state)
{
    (void)state;
    wait_ms = 1000;
    start_and_open();
    net_memory *post = fill_backlog();
    net_memory_reset(post);
    eio_memory_run();
    net_memory_free(post);
    eio_test.on_message = NULL;
    eio_memory_pass(1000);
    assert_int_equal(eio_test.closes, 1);
    assert_int_equal(eio_test.messages, 1000);
}

static void test_api_backlog_and_upgrade_keep_the_order(void **state)
{
    (void)state;
    wait_ms = 1000;
    start_and_open();
    net_memory *post = fill_backlog();
    net_memory *ws = eio_memory_websocket(sid, NULL);
    eio_memory_text(ws, "2probe");
    eio_memory_text(ws, "5");
    assert_string_equal(eio_transport(eio_test.sock), "websocket");
    assert_true(ws->conn->is_paused);
    assert_false(app_memory_read(post, &eio_answered));
    eio_test.on_message = NULL;
    eio_memory_pass(1000);
    assert_false(ws->conn->is_paused);
    eio_memory_answer(post, 200, "ok");
    assert_int_equal(eio_test.messages, 1001);
    eio_memory_leave(post);
    eio_memory_leave(ws);
}

static void test_api_backlog_pauses_the_websocket(void **state)
{
    (void)state;
    wait_ms = 1;
    eio_memory_start();
    net_memory *ws = eio_memory_open_websocket(sid, NULL);
    eio_test.is_silent = true;
    eio_test.on_message = wait_message;
    for (int i = 0; i < 999; i++)
        eio_memory_frame(ws, WS_TEXT, "4x", 2);
    eio_memory_run();
    assert_false(ws->conn->is_paused);
    eio_memory_text(ws, "4x");
    assert_true(ws->conn->is_paused);
    for (int i = 0; i < 500; i++) {
        assert_true(ws->conn->is_paused);
        eio_memory_pass(1);
    }
    assert_false(ws->conn->is_paused);
    eio_test.on_message = NULL;
    eio_memory_pass(1);
    assert_int_equal(eio_test.messages, 1000);
    eio_memory_leave(ws);
}

/* ---- too many callbacks wait ---- */

static void test_api_callbacks_without_a_coroutine_come_later(void **state)
{
    (void)state;
    wait_ms = 100;
    char other[SID_LEN + 1];
    eio_test.base.worker.coros.count_max = 1;
    start_and_open();
    eio_memory_open(other, NULL);
    eio_test.on_message = wait_message;
    eio_memory_post(sid, "4a");
    eio_memory_post(other, "4b" SEP "4c" SEP "1");
    eio_memory_expect("open;open;text a;");
    eio_memory_expect_log(1, "late");
    eio_memory_pass(100);
    eio_memory_pass(10);
    eio_memory_expect("text b;");
    eio_memory_pass(100);
    eio_memory_expect("text c;");
    eio_memory_pass(100);
    eio_memory_expect("close transport close;");
}

static void test_api_late_callbacks_hold_up_the_end_of_the_worker(void **state)
{
    (void)state;
    wait_ms = 100;
    eio_test.base.worker.coros.count_max = 1;
    start_and_open();
    eio_test.on_message = wait_message;
    eio_memory_post(sid, "4a");
    eio_memory_open(sid, NULL);
    eio_memory_expect_log(1, "late");
    eio_memory_stop();
    app_extension *ext = eio_test.base.app->extensions;
    assert_false(ext->is_idle(ext, &eio_test.base.worker));
    eio_memory_pass(10);
    assert_true(ext->is_idle(ext, &eio_test.base.worker));
    eio_memory_expect("open;text a;close server shutting down;open;close server shutting down;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EIO_TEST(test_api_callbacks_of_a_session_keep_their_order),
        EIO_TEST(test_api_sessions_do_not_wait_for_each_other),
        EIO_TEST(test_api_session_that_ends_while_a_callback_waits),
        EIO_TEST(test_api_stopping_wakes_who_waits),
        EIO_TEST(test_api_close_inside_on_open),
        EIO_TEST(test_api_close_inside_on_message),
        EIO_TEST(test_api_echo),
        EIO_TEST(test_api_text_must_be_utf8),
        EIO_TEST(test_api_user_pointer_stays),
        EIO_TEST(test_api_callbacks_may_be_left_out),
        EIO_TEST(test_api_silent_session_is_closed),
        EIO_TEST(test_api_session_with_a_message_is_kept),
        EIO_TEST(test_api_backlog_holds_the_post_back),
        EIO_TEST(test_api_backlog_does_not_time_out),
        EIO_TEST(test_api_backlog_second_post_is_an_overlap),
        EIO_TEST(test_api_backlog_with_an_aborted_post_ends_the_session),
        EIO_TEST(test_api_backlog_and_upgrade_keep_the_order),
        EIO_TEST(test_api_backlog_pauses_the_websocket),
        EIO_TEST(test_api_callbacks_without_a_coroutine_come_later),
        EIO_TEST(test_api_late_callbacks_hold_up_the_end_of_the_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
