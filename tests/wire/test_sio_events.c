/* Events and their handlers: which one runs, what it reads, and what becomes of its errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sio_memory.h"

static sio_peer *peer;

static void start(void)
{
    sio_memory_start();
    peer = sio_peer_new("/");
}

static int setup(void **state)
{
    sio_memory_setup(state);
    sio_memory_new(NULL);
    return 0;
}

static void on(const char *event, sio_handler *handler)
{
    assert_int_equal(sio_server_on(sio_test.server, event, handler), 0);
}

/* ---- handlers ---- */

static int note_name(sio_ctx *ctx, void *arg)
{
    sio_memory_note("%s%s", arg ? (const char *)arg : "", sio_event(ctx));
    return SIO_OK;
}

static int fail_with_text(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_fail(ctx, "no %s", "luck");
}

static int fail_with_code(sio_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return CARAFE_ERR_TIMEOUT;
}

static int fail_silently(sio_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return SIO_ERROR;
}

static int note_error(sio_ctx *ctx, void *arg)
{
    sio_memory_note("%s%s: %s", arg ? (const char *)arg : "", sio_event(ctx),
                    sio_error_message(ctx));
    return SIO_OK;
}

static int sleep_then_note(sio_ctx *ctx, void *arg)
{
    (void)arg;
    size_t len = 0;
    const char *raw = sio_args_raw(ctx, &len);
    const char *sid = sio_sid(ctx);
    json_t *args = sio_args(ctx);
    int error = sio_sleep(1);
    sio_memory_note("%s %d %.*s %s %s%s", sio_event(ctx), error, (int)len, raw,
                    json_string_value(json_array_get(args, 0)), sio_namespace(ctx),
                    strcmp(sid, peer->sid) == 0 ? "" : " wrong sid");
    return SIO_OK;
}

/* ---- errors ---- */

static void test_sio_events_error_without_error_handler_is_logged_and_not_acked(void **state)
{
    (void)state;
    on("text", fail_with_text);
    on("code", fail_with_code);
    start();
    sio_peer_send(peer, "421[\"text\"]");
    sio_memory_expect_log(1, "event \"text\" in namespace /: no luck");
    sio_peer_send(peer, "422[\"code\"]");
    sio_memory_expect_log(1, "time limit passed");
    sio_peer_expect_open(peer);
    sio_peer_leave(peer);
}

static int reply_error(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_reply(ctx, "{s:s}", "error", sio_error_message(ctx));
}

static void test_sio_events_what_the_error_handler_replies_is_acked(void **state)
{
    (void)state;
    on("text", fail_with_text);
    assert_int_equal(sio_server_on_error(sio_test.server, NULL, reply_error, NULL), 0);
    start();
    sio_peer_send(peer, "421[\"text\"]");
    sio_peer_expect(peer, "431[{\"error\":\"no luck\"}]");
    sio_memory_expect_log(0, NULL);
    sio_peer_leave(peer);
}

static void test_sio_events_error_handler_is_that_of_the_namespace_or_the_default(void **state)
{
    (void)state;
    on("silent", fail_silently);
    assert_int_equal(sio_server_on(sio_test.server, "silent", fail_silently, .ns = "/chat"), 0);
    sio_server_on_error(sio_test.server, "/chat", note_error, "chat ");
    sio_server_on_error_default(sio_test.server, note_error, "default ");
    start();
    sio_peer_join(peer, "/chat");
    sio_peer_send(peer, "421[\"silent\"]");
    sio_peer_expect(peer, "431[]");
    sio_peer_send(peer, "42/chat,2[\"silent\"]");
    sio_peer_expect(peer, "43/chat,2[]");
    sio_memory_expect("default silent: the handler failed;chat silent: the handler failed;");
    sio_peer_leave(peer);
}

static void test_sio_events_error_handler_that_fails_leaves_the_ack_unsent(void **state)
{
    (void)state;
    on("text", fail_with_text);
    sio_server_on_error_default(sio_test.server, fail_silently, NULL);
    start();
    sio_peer_send(peer, "421[\"text\"]");
    sio_peer_expect_open(peer);
    sio_peer_leave(peer);
}

/* ---- which handler runs ---- */

static int no(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_memory_note("guard %s", sio_event(ctx));
    return 1;
}

static int yes(sio_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 0;
}

static void test_sio_events_guard_keeps_the_handler_from_running(void **state)
{
    (void)state;
    assert_int_equal(sio_server_on(sio_test.server, "shut", note_name, .guard = no), 0);
    assert_int_equal(sio_server_on(sio_test.server, "open", note_name, .guard = yes), 0);
    start();
    sio_peer_send(peer, "421[\"shut\"]");
    sio_peer_expect_silence(peer);
    sio_peer_send(peer, "422[\"open\"]");
    sio_peer_expect(peer, "432[]");
    sio_memory_expect("guard shut;open;");
    sio_peer_leave(peer);
}

static int trigger(sio_ctx *ctx, void *arg)
{
    sio_memory_note("trigger %s %s", (const char *)arg, sio_event(ctx));
    return sio_dispatch(ctx);
}

static int dispatch_again(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_memory_note("%d", sio_dispatch(ctx));
    return SIO_OK;
}

static const sio_method chat_methods[] = { { "known", note_name },
                                           { "again", dispatch_again },
                                           { 0 } };
static const sio_namespace_class chat_class = { .name = "/chat",
                                                .on_disconnect = note_name,
                                                .methods = chat_methods,
                                                .trigger_event = trigger };

static void test_sio_events_trigger_event_gets_all_but_what_functions_handle(void **state)
{
    (void)state;
    assert_int_equal(sio_server_on_namespace(sio_test.server, &chat_class, "C"), 0);
    assert_int_equal(sio_server_on(sio_test.server, "function", note_name, .ns = "/chat"), 0);
    sio_memory_start();
    peer = sio_peer_new("/chat");
    sio_memory_expect("trigger C connect;");
    sio_peer_send(peer, "42/chat,1[\"known\"]");
    sio_peer_expect(peer, "43/chat,1[]");
    sio_peer_send(peer, "42/chat,2[\"function\"]");
    sio_peer_expect(peer, "43/chat,2[]");
    sio_memory_expect("trigger C known;Cknown;function;");
    /* C3: what no method handles is not acked. */
    sio_peer_send(peer, "42/chat,3[\"unknown\"]");
    sio_peer_expect_silence(peer);
    sio_memory_expect("trigger C unknown;");
    /* From a handler there is no way back. */
    sio_peer_send(peer, "42/chat,4[\"again\"]");
    sio_memory_expect("trigger C again;-502;");
    sio_memory_expect_log(1, "sio_dispatch");
    sio_peer_expect(peer, "43/chat,4[]");
    sio_peer_leave(peer);
    sio_memory_expect("trigger C disconnect;Cdisconnect;");
}

static void test_sio_events_dispatch_outside_of_a_trigger_is_an_error(void **state)
{
    (void)state;
    on("again", dispatch_again);
    start();
    sio_peer_send(peer, "42[\"again\"]");
    sio_memory_expect("-502;");
    sio_memory_expect_log(1, "sio_dispatch");
    sio_peer_leave(peer);
}

/* ---- raw ---- */

static int relay_raw(sio_ctx *ctx, void *arg)
{
    size_t len;
    (void)arg;
    const char *args = sio_args_raw(ctx, &len);
    sio_emit_raw(ctx, "relayed", args, len);
    sio_emit_raw(ctx, "own", "[1,\"a\"]", 7);
    static const char *const bad[] = { "", "{}", "[1", "[1]]", "[NaN]", "[\"\xff\"]", " [1]" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(sio_emit_raw(ctx, "bad", bad[i], strlen(bad[i])), CARAFE_ERR_BAD_JSON);
    assert_int_equal(sio_emit_raw(ctx, "bad", NULL, 3), CARAFE_ERR_BAD_JSON);
    assert_int_equal(sio_emit_raw(ctx, "connect", "[]", 2), CARAFE_ERR_ARGUMENT);
    return SIO_OK;
}

static void test_sio_events_raw_arguments_go_out_as_they_came(void **state)
{
    (void)state;
    on("relay", relay_raw);
    start();
    sio_peer_send(peer, "42[ \"relay\" , {\"b\":1, \"a\" : [ ]},2.50 ]");
    sio_peer_expect(peer, "42[\"relayed\",{\"b\":1, \"a\" : [ ]},2.50 ]");
    sio_peer_expect(peer, "42[\"own\",1,\"a\"]");
    sio_peer_expect_silence(peer);
    sio_memory_expect_log(9, "not a JSON array");
    sio_peer_leave(peer);
}

/* ---- waiting ---- */

static void test_sio_events_data_lives_while_the_handler_waits(void **state)
{
    (void)state;
    on("sleep", sleep_then_note);
    on("e", note_name);
    start();
    sio_peer_send(peer, "42[\"sleep\",\"first\"]");
    sio_peer_send(peer, "42[\"sleep\",\"second\"]");
    sio_peer_send(peer, "42[\"e\"]");
    sio_memory_expect("e;");
    sio_memory_pass(1000);
    sio_memory_expect("sleep 0 [\"first\"] first /;sleep 0 [\"second\"] second /;");
    sio_peer_leave(peer);
}

static void test_sio_events_client_may_leave_while_its_handler_waits(void **state)
{
    (void)state;
    static sio_peer copy;
    on("sleep", sleep_then_note);
    on("disconnect", note_name);
    start();
    sio_peer_send(peer, "420[\"sleep\",\"x\"]");
    copy = *peer;
    sio_peer_leave(peer);
    peer = &copy;
    sio_memory_expect("disconnect;");
    sio_memory_pass(1000);
    sio_memory_expect("sleep 0 [\"x\"] x /;");
}

static void test_sio_events_stop_wakes_waiting_handlers(void **state)
{
    (void)state;
    on("sleep", sleep_then_note);
    start();
    sio_peer_send(peer, "420[\"sleep\",\"x\"]");
    sio_memory_stop();
    sio_memory_expect("sleep -405 [\"x\"] x /;");
    sio_peer_leave(peer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, sio_memory_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sio_events_error_without_error_handler_is_logged_and_not_acked),
        TEST(test_sio_events_what_the_error_handler_replies_is_acked),
        TEST(test_sio_events_error_handler_is_that_of_the_namespace_or_the_default),
        TEST(test_sio_events_error_handler_that_fails_leaves_the_ack_unsent),
        TEST(test_sio_events_guard_keeps_the_handler_from_running),
        TEST(test_sio_events_trigger_event_gets_all_but_what_functions_handle),
        TEST(test_sio_events_dispatch_outside_of_a_trigger_is_an_error),
        TEST(test_sio_events_raw_arguments_go_out_as_they_came),
        TEST(test_sio_events_data_lives_while_the_handler_waits),
        TEST(test_sio_events_client_may_leave_while_its_handler_waits),
        TEST(test_sio_events_stop_wakes_waiting_handlers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
