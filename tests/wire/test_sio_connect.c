/* How clients join namespaces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "sio_memory.h"

static sio_peer *peer;

#define OPTIONS(...) (&(sio_server_options){ .size = sizeof(sio_server_options), __VA_ARGS__ })

static int note_event(sio_ctx *ctx, void *arg)
{
    (void)arg;
    const char *reason = sio_reason(ctx);
    sio_memory_note("%s %s%s%s", sio_event(ctx), sio_namespace(ctx), reason ? " " : "",
                    reason ? reason : "");
    return SIO_OK;
}

/* A server with this connect handler (NULL: none) in "/"; disconnects and other events are noted. */
static void start_with(const sio_server_options *options, sio_handler *on_connect)
{
    sio_memory_new(options);
    if (on_connect)
        sio_server_on(sio_test.server, "connect", on_connect);
    sio_server_on(sio_test.server, "disconnect", note_event);
    sio_server_on(sio_test.server, "*", note_event);
    sio_memory_start();
}

static void start(sio_handler *on_connect)
{
    start_with(NULL, on_connect);
    peer = sio_peer_open();
}

static void expect_accepted(sio_peer *who)
{
    assert_memory_equal(sio_peer_read(who), "40{\"sid\":\"", 10);
}

/* ---- auth ---- */

static int note_auth(sio_ctx *ctx, void *arg)
{
    (void)arg;
    char *auth = json_dumps(sio_auth(ctx), JSON_COMPACT);
    sio_memory_note("%s %zu", auth ? auth : "none", json_array_size(sio_args(ctx)));
    free(auth);
    return SIO_OK;
}

static void test_sio_connect_auth_is_what_the_client_sent(void **state)
{
    (void)state;
    start(note_auth);
    sio_peer_send(peer, "40{\"token\": \"abc\", \"n\":[1]}");
    expect_accepted(peer);
    sio_memory_expect("{\"token\":\"abc\",\"n\":[1]} 0;");
    sio_peer_leave(peer);
    sio_memory_expect("disconnect / transport close;");
    peer = sio_peer_open();
    sio_peer_send(peer, "40");
    expect_accepted(peer);
    sio_memory_expect("{} 0;");
    sio_peer_leave(peer);
}

/* ---- namespaces ---- */

/* H12 */
static void test_sio_connect_second_connect_is_refused_and_the_connection_stays(void **state)
{
    (void)state;
    start(NULL);
    sio_peer_send(peer, "40");
    expect_accepted(peer);
    sio_peer_send(peer, "40");
    sio_peer_expect(peer, "44{\"message\":\"Unable to connect\"}");
    sio_peer_send(peer, "42[\"e\"]");
    sio_memory_expect("e /;");
    sio_peer_leave(peer);
}

/* H13 */
static void test_sio_connect_unknown_namespace_is_invalid(void **state)
{
    (void)state;
    start(NULL);
    sio_peer_send(peer, "40/nope,");
    sio_peer_expect(peer, "44/nope,{\"message\":\"Invalid namespace\"}");
    sio_peer_send(peer, "40/nope?x=1,{\"a\":1}");
    sio_peer_expect(peer, "44/nope?x=1,{\"message\":\"Invalid namespace\"}");
    sio_peer_send(peer, "40");
    expect_accepted(peer);
    sio_peer_leave(peer);
}

static void test_sio_connect_any_namespace_with_a_star(void **state)
{
    (void)state;
    start_with(OPTIONS(.namespaces = "*"), NULL);
    peer = sio_peer_open();
    int64_t blocks = 0;
    for (int i = 0; i < 200; i++) {
        char ns[20], leave[30];
        snprintf(ns, sizeof(ns), "/ns%d", i);
        sio_peer_join(peer, ns);
        snprintf(leave, sizeof(leave), "41%s,", ns);
        sio_peer_send(peer, leave);
        if (i == 20)
            blocks = mem_blocks_in_use();
    }
    /* A namespace that a peer made goes with its last client. */
    assert_int_equal(mem_blocks_in_use(), blocks);
    sio_peer_leave(peer);
}

static int note_error(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_memory_note("%s: %s", sio_event(ctx), sio_error_message(ctx));
    return SIO_OK;
}

static void test_sio_connect_error_handler_of_any_namespace_opens_none(void **state)
{
    (void)state;
    sio_test.server = sio_server_new(NULL);
    assert_int_equal(sio_server_on_error(sio_test.server, "*", note_error, NULL), 0);
    assert_int_equal(sio_server_init_app(sio_test.server, sio_test.base.app), 0);
    sio_memory_start();
    peer = sio_peer_open();
    sio_peer_send(peer, "40/nope,");
    sio_peer_expect(peer, "44/nope,{\"message\":\"Invalid namespace\"}");
    sio_peer_leave(peer);
}

static void test_sio_connect_max_namespaces_is_n(void **state)
{
    (void)state;
    start_with(OPTIONS(.max_namespaces = 2, .namespaces = "*"), NULL);
    peer = sio_peer_open();
    sio_peer_join(peer, "/1");
    sio_peer_join(peer, "/2");
    sio_peer_send(peer, "40/3,");
    sio_peer_expect(peer, "44/3,{\"message\":\"Too many namespaces\"}");
    sio_peer_send(peer, "41/1,");
    sio_peer_join(peer, "/3");
    sio_peer_leave(peer);
}

/* ---- the order of things ---- */

static int emit_in_connect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_emit(ctx, "text", json_integer(1));
    sio_emit(ctx, "binary", sio_binary("abc", 3));
    sio_emit(ctx, "all", NULL, .broadcast = true);
    sio_emit(ctx, "own", NULL, .to = sio_sid(ctx));
    sio_join_room(ctx, "r");
    sio_emit(ctx, "room", NULL, .to = "r");
    return SIO_OK;
}

/* H9 */
static void test_sio_connect_what_is_emitted_inside_comes_after_the_reply(void **state)
{
    (void)state;
    start(emit_in_connect);
    sio_peer_send(peer, "40");
    expect_accepted(peer);
    sio_peer_expect(peer, "42[\"text\",1]");
    sio_peer_expect(peer, "451-[\"binary\",{\"_placeholder\":true,\"num\":0}]");
    sio_peer_expect_binary(peer, "abc", 3);
    sio_peer_expect(peer, "42[\"all\"]");
    sio_peer_expect(peer, "42[\"own\"]");
    sio_peer_expect(peer, "42[\"room\"]");
    sio_peer_expect_open(peer);
    sio_peer_leave(peer);
}

static int wait_in_connect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    int error = sio_sleep(5);
    sio_memory_note("woke %d %d", error, sio_emit(ctx, "e", NULL));
    return SIO_OK;
}

static void test_sio_connect_events_before_the_reply_close_the_connection(void **state)
{
    (void)state;
    start(wait_in_connect);
    sio_peer_send(peer, "40");
    sio_peer_send(peer, "42[\"e\"]");
    sio_peer_expect_closed(peer);
    sio_memory_expect_log(1, "not joined");
    sio_memory_expect("");
    sio_memory_pass(5000);
    sio_memory_expect("woke 0 -402;");
    sio_peer_leave(peer);
    sio_memory_expect("");
}

static void test_sio_connect_client_that_leaves_meanwhile_was_never_there(void **state)
{
    (void)state;
    start(wait_in_connect);
    sio_peer_send(peer, "40");
    sio_peer_leave(peer);
    sio_server_emit(sio_test.server, "e", NULL);
    sio_memory_pass(5000);
    sio_memory_expect("woke 0 -402;");
}

static void test_sio_connect_while_its_handler_waits_a_second_one_is_refused(void **state)
{
    (void)state;
    start(wait_in_connect);
    sio_peer_send(peer, "40");
    sio_peer_send(peer, "40");
    sio_peer_expect(peer, "44{\"message\":\"Unable to connect\"}");
    sio_memory_pass(5000);
    expect_accepted(peer);
    sio_peer_expect(peer, "42[\"e\"]");
    sio_peer_leave(peer);
}

static void test_sio_connect_what_waits_for_the_reply_is_limited(void **state)
{
    (void)state;
    start_with(OPTIONS(.max_output_size = 10000), wait_in_connect);
    peer = sio_peer_open();
    sio_peer_send(peer, "40");
    char text[1001] = { 0 };
    memset(text, 'x', 1000);
    for (int i = 0; i < 20; i++)
        sio_server_emit(sio_test.server, "e", json_string(text));
    sio_memory_run();
    sio_peer_expect_closed(peer);
    sio_memory_expect_log(1, "wait for the end of a connect handler");
    sio_memory_pass(5000);
    sio_peer_leave(peer);
}

static void test_sio_connect_handler_does_not_run_for_who_left_before_its_turn(void **state)
{
    (void)state;
    sio_memory_new(OPTIONS(.async_handlers = SIO_OFF));
    sio_server_on(sio_test.server, "connect", wait_in_connect);
    sio_server_on(sio_test.server, "connect", note_event, .ns = "/chat");
    sio_memory_start();
    peer = sio_peer_open();
    sio_peer_send(peer, "40");
    sio_peer_send(peer, "40/chat,");
    sio_peer_leave(peer);
    sio_memory_pass(5000);
    sio_memory_expect("woke 0 -402;");
}

static void test_sio_connect_stop_ends_waiting_handlers(void **state)
{
    (void)state;
    start(wait_in_connect);
    sio_peer_send(peer, "40");
    sio_memory_stop();
    sio_memory_expect("woke -405 -402;disconnect / server shutting down;");
    sio_peer_leave(peer);
}

static int call_in_connect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    json_t *answer = sio_call(ctx, "question", NULL);
    assert_null(answer);
    return SIO_OK;
}

static void test_sio_connect_call_to_a_client_that_connects_fails_at_once(void **state)
{
    (void)state;
    start(call_in_connect);
    sio_peer_send(peer, "40");
    expect_accepted(peer);
    sio_peer_expect_open(peer);
    sio_memory_expect_log(1, "still connecting");
    sio_peer_leave(peer);
}

/* ---- always_connect ---- */

static int refuse_slowly(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_emit(ctx, "hello", NULL);
    sio_sleep(1);
    return sio_refuse(ctx, "no", NULL);
}

static void test_sio_connect_always_connect_answers_before_the_handler(void **state)
{
    (void)state;
    start_with(OPTIONS(.always_connect = true), refuse_slowly);
    peer = sio_peer_open();
    sio_peer_send(peer, "40");
    expect_accepted(peer);
    sio_peer_expect(peer, "42[\"hello\"]");
    sio_peer_send(peer, "42[\"e\"]");
    sio_memory_expect("e /;");
    sio_memory_pass(1000);
    sio_peer_expect(peer, "41");
    sio_peer_expect_open(peer);
    sio_memory_expect("disconnect / server namespace disconnect;");
    sio_peer_leave(peer);
}

/* ---- connect_timeout ---- */

static void test_sio_connect_timeout_closes_who_joins_nothing(void **state)
{
    (void)state;
    start_with(OPTIONS(.connect_timeout = 2), NULL);
    peer = sio_peer_open();
    sio_peer *other = sio_peer_open();
    sio_peer_send(peer, "40/nope,");
    sio_peer_expect(peer, "44/nope,{\"message\":\"Invalid namespace\"}");
    sio_peer_join(other, "/");
    sio_memory_pass(1990);
    sio_peer_expect_open(peer);
    sio_memory_pass(20);
    sio_peer_expect_closed(peer);
    sio_memory_expect_log(1, "joined no namespace in time");
    sio_peer_expect_open(other);
    sio_peer_leave(peer);
    /* Once joined, it may stay without any. */
    sio_peer_send(other, "41");
    sio_memory_pass(10000);
    sio_peer_expect_open(other);
    sio_peer_leave(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIO_TEST(test_sio_connect_auth_is_what_the_client_sent),
        SIO_TEST(test_sio_connect_second_connect_is_refused_and_the_connection_stays),
        SIO_TEST(test_sio_connect_unknown_namespace_is_invalid),
        SIO_TEST(test_sio_connect_any_namespace_with_a_star),
        SIO_TEST(test_sio_connect_error_handler_of_any_namespace_opens_none),
        SIO_TEST(test_sio_connect_max_namespaces_is_n),
        SIO_TEST(test_sio_connect_what_is_emitted_inside_comes_after_the_reply),
        SIO_TEST(test_sio_connect_events_before_the_reply_close_the_connection),
        SIO_TEST(test_sio_connect_client_that_leaves_meanwhile_was_never_there),
        SIO_TEST(test_sio_connect_while_its_handler_waits_a_second_one_is_refused),
        SIO_TEST(test_sio_connect_what_waits_for_the_reply_is_limited),
        SIO_TEST(test_sio_connect_handler_does_not_run_for_who_left_before_its_turn),
        SIO_TEST(test_sio_connect_stop_ends_waiting_handlers),
        SIO_TEST(test_sio_connect_call_to_a_client_that_connects_fails_at_once),
        SIO_TEST(test_sio_connect_always_connect_answers_before_the_handler),
        SIO_TEST(test_sio_connect_timeout_closes_who_joins_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
