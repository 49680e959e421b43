/* eio_server_new and its life with the app; what the layer above a session is offered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/core.h"
#include "base/log.h"
#include "base/mem.h"
#include "eio_memory.h"

static void expect_refused(const char *word)
{
    assert_null(eio_server_new_with(eio_test.base.app, &eio_test.options));
    eio_memory_expect_log(1, word);
}

static void test_server_with_a_bad_option_is_refused(void **state)
{
    (void)state;
    eio_test.options.ping_interval = -1;
    expect_refused("option .ping_interval");
    eio_test.options.ping_interval = 0;
    eio_test.options.transports = "carrier pigeon";
    expect_refused("option .transports");
    eio_test.options.transports = NULL;
    eio_memory_start();
}

static void test_server_with_a_taken_path_is_refused(void **state)
{
    (void)state;
    eio_server *server = eio_server_new(eio_test.base.app, .path = "/engine.io");
    assert_non_null(server);
    expect_refused("\"/engine.io/\"");
    eio_server_free(server);
    eio_memory_start();
}

static void test_server_without_an_app_is_refused(void **state)
{
    (void)state;
    assert_null(eio_server_new_with(NULL, &eio_test.options));
    eio_memory_expect_log(1, NULL);
    eio_test.options.size = 1;
    expect_refused("version");
    eio_server_free(NULL);
}

static void test_server_of_a_running_app_is_refused(void **state)
{
    (void)state;
    atomic_store(&eio_test.base.app->state, APP_RUNNING);
    assert_null(eio_server_new_with(eio_test.base.app, &eio_test.options));
    atomic_store(&eio_test.base.app->state, APP_IDLE);
    assert_true(eio_test.log_count >= 1);
}

static void test_server_without_memory_is_refused(void **state)
{
    (void)state;
    eio_server *server = NULL;
    eio_test.options.cookie = "io";
    int64_t before = mem_blocks_in_use();
    int n = 1;
    while (!server) {
        mem_fail_after(n++);
        server = eio_server_new_with(eio_test.base.app, &eio_test.options);
        mem_fail_never();
        assert_true(server || mem_blocks_in_use() == before);
    }
    assert_true(n > 4);
    eio_server_free(server);
    assert_int_equal(mem_blocks_in_use(), before);
}

static void test_server_logger_is_an_option(void **state)
{
    (void)state;
    char sid[SID_LEN + 1];
    log_level level = log_get_level(LOG_ENGINEIO);
    eio_test.options.engineio_logger = SIO_ON;
    eio_memory_start();
    assert_true(log_is_on(LOG_ENGINEIO, LOG_DEBUG));
    eio_memory_open(sid, NULL);
    log_set_level(LOG_ENGINEIO, level);
}

static void test_server_answers_two_paths_apart(void **state)
{
    (void)state;
    char sid[SID_LEN + 1], target[128];
    eio_server *other = eio_server_new(eio_test.base.app, .path = "/other/");
    assert_non_null(other);
    eio_memory_start();
    eio_memory_open(sid, NULL);
    snprintf(target, sizeof(target), "/other/?EIO=4&transport=polling&sid=%s", sid);
    app_memory_get(&eio_test.base, "GET", target, &eio_answered);
    assert_int_equal(eio_answered.status, 400);
    eio_memory_expect_log(1, "Session ID unknown");
    eio_memory_post(sid, "4alive");
    eio_memory_expect("open;text alive;");
}

static void test_server_stopping_during_an_upgrade_leaves_nothing(void **state)
{
    (void)state;
    char sid[SID_LEN + 1];
    eio_memory_start();
    eio_memory_open(sid, NULL);
    net_memory *ws = eio_memory_websocket(sid, NULL);
    eio_memory_text(ws, "2probe");
    eio_memory_stop();
    eio_memory_expect("open;close server shutting down;");
    net_memory_free(ws); /* as when a worker cuts its connections */
}

/* ---- for the layer above ---- */

static eio_message *text_message(const char *text)
{
    buf b = {0};
    assert_int_equal(eio_message_begin_text(&b), 0);
    assert_int_equal(buf_append_str(&b, text), 0);
    return eio_message_seal_text(&b);
}

static void test_server_shared_message_goes_out_on_both_transports(void **state)
{
    (void)state;
    char sid[SID_LEN + 1], other[SID_LEN + 1];
    eio_memory_start();
    eio_memory_open(sid, NULL);
    eio_socket *polling = eio_test.sock;
    net_memory *ws = eio_memory_open_websocket(other, NULL);
    eio_socket *websocket = eio_test.sock;
    eio_message *messages[] = {text_message("hello"), eio_message_new_binary("\1\2\3", 3)};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(eio_socket_send_message(polling, messages[i]), 0);
        assert_int_equal(eio_socket_send_message(websocket, messages[i]), 0);
        eio_message_unref(messages[i]);
    }
    eio_memory_run();
    eio_memory_poll_now(sid, "4hello\x1e"
                             "bAQID");
    eio_memory_expect_text(ws, "4hello");
    eio_memory_expect_binary(ws, "\1\2\3", 3);
    eio_memory_leave(ws);
}

static void test_server_session_is_writable_when_a_message_leaves_at_once(void **state)
{
    (void)state;
    char sid[SID_LEN + 1];
    eio_memory_start();
    eio_memory_open(sid, NULL);
    assert_false(eio_socket_is_writable(eio_test.sock));
    net_memory *client = eio_memory_poll(sid);
    assert_true(eio_socket_is_writable(eio_test.sock));
    eio_close(eio_test.sock);
    assert_false(eio_socket_is_writable(eio_test.sock));
    eio_memory_run();
    eio_memory_leave(client);
    client = eio_memory_open_websocket(sid, NULL);
    assert_true(eio_socket_is_writable(eio_test.sock));
    client->out_max = 1;
    assert_int_equal(eio_send_text(eio_test.sock, "x", 1), 0);
    eio_memory_run();
    assert_false(eio_socket_is_writable(eio_test.sock));
    net_memory_reset(client);
    eio_memory_run();
    net_memory_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EIO_TEST(test_server_with_a_bad_option_is_refused),
        EIO_TEST(test_server_with_a_taken_path_is_refused),
        EIO_TEST(test_server_without_an_app_is_refused),
        EIO_TEST(test_server_of_a_running_app_is_refused),
        EIO_TEST(test_server_without_memory_is_refused),
        EIO_TEST(test_server_logger_is_an_option),
        EIO_TEST(test_server_answers_two_paths_apart),
        EIO_TEST(test_server_stopping_during_an_upgrade_leaves_nothing),
        EIO_TEST(test_server_shared_message_goes_out_on_both_transports),
        EIO_TEST(test_server_session_is_writable_when_a_message_leaves_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
