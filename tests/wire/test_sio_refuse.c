/* How clients are kept out of a namespace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/core.h"
#include "sio_memory.h"

static sio_peer *peer;

static int note_event(sio_ctx *ctx, void *arg)
{
    (void)arg;
    const char *reason = sio_reason(ctx);
    sio_memory_note("%s %s%s%s", sio_event(ctx), sio_namespace(ctx), reason ? " " : "",
                    reason ? reason : "");
    return SIO_OK;
}

/* A server with this connect handler in "/"; disconnects and other events are noted. */
static void start(sio_handler *on_connect)
{
    sio_memory_new(NULL);
    sio_server_on(sio_test.server, "connect", on_connect);
    sio_server_on(sio_test.server, "disconnect", note_event);
    sio_server_on(sio_test.server, "*", note_event);
    sio_memory_start();
    peer = sio_peer_open();
}

/* ---- refusals ---- */

static const char *message;
static json_t *data;

static int refuse(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_emit(ctx, "never", NULL);
    return sio_refuse(ctx, message, data);
}

static void expect_refusal(const char *text, json_t *with, const char *answer)
{
    message = text;
    data = with;
    sio_peer_send(peer, "40");
    sio_peer_expect(peer, "%s", answer);
    sio_peer_expect_open(peer);
}

static void test_sio_refuse_answer_carries_message_and_data(void **state)
{
    (void)state;
    start(refuse);
    expect_refusal("log in", NULL, "44{\"message\":\"log in\"}");
    expect_refusal(NULL, NULL, "44{\"message\":\"Connection rejected by server\"}");
    expect_refusal("m", sio_pack("{s:i}", "code", 7), "44{\"message\":\"m\",\"data\":{\"code\":7}}");
    expect_refusal("m", sio_tuple("i i", 1, 2), "44{\"message\":\"m\",\"data\":[1,2]}");
    expect_refusal("m", json_null(), "44{\"message\":\"m\",\"data\":null}");
    sio_memory_expect("");
    sio_peer_leave(peer);
}

/* The client waits for an answer, whatever the handler makes of it. */
static void test_sio_refuse_answer_that_cannot_be_encoded_is_still_answered(void **state)
{
    (void)state;
    start(refuse);
    expect_refusal("m", sio_binary("x", 1), "44{\"message\":\"m\"}");
    expect_refusal("m", sio_pack("{s:s}", "a", NULL), "44{\"message\":\"m\"}");
    expect_refusal("\xff", json_integer(1), "44{\"message\":\"Connection rejected by server\"}");
    sio_peer_leave(peer);
}

static int refuse_then_return_ok(sio_ctx *ctx, void *arg)
{
    (void)arg;
    (void)sio_refuse(ctx, "first", json_integer(1));
    (void)sio_refuse(ctx, "second", NULL);
    return SIO_OK;
}

static int refuse_in_event(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_refuse(ctx, "late", json_integer(1));
}

static void test_sio_refuse_last_refusal_counts(void **state)
{
    (void)state;
    start(refuse_then_return_ok);
    expect_refusal(NULL, NULL, "44{\"message\":\"second\"}");
    sio_peer_leave(peer);
}

static void test_sio_refuse_answer_elsewhere_is_an_error(void **state)
{
    (void)state;
    sio_memory_new(NULL);
    sio_server_on(sio_test.server, "e", refuse_in_event);
    sio_memory_start();
    peer = sio_peer_new("/");
    sio_peer_send(peer, "421[\"e\"]");
    sio_memory_expect_log(2, "only a connect handler can refuse");
    sio_peer_expect_open(peer);
    sio_peer_leave(peer);
}

static int fail_connect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_fail(ctx, "the database is down");
}

static int note_error(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_memory_note("%s: %s", sio_event(ctx), sio_error_message(ctx));
    return SIO_OK;
}

/* H10 */
static void test_sio_refuse_error_is_answered_with_its_cause_only_in_debug(void **state)
{
    (void)state;
    sio_memory_new(NULL);
    sio_server_on(sio_test.server, "connect", fail_connect);
    sio_server_on_error(sio_test.server, NULL, note_error, NULL);
    sio_memory_start();
    peer = sio_peer_open();
    expect_refusal(NULL, NULL, "44{\"message\":\"Connection rejected by server\"}");
    atomic_store(&sio_test.base.app->is_debug, true);
    expect_refusal(NULL, NULL, "44{\"message\":\"the database is down\"}");
    atomic_store(&sio_test.base.app->is_debug, false);
    sio_memory_expect("connect: the database is down;connect: the database is down;");
    sio_peer_leave(peer);
}

static int refuse_in_error_handler(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_refuse(ctx, "try later", NULL);
}

static void test_sio_refuse_error_handler_may_say_the_message(void **state)
{
    (void)state;
    sio_memory_new(NULL);
    sio_server_on(sio_test.server, "connect", fail_connect);
    sio_server_on_error_default(sio_test.server, refuse_in_error_handler, NULL);
    sio_memory_start();
    peer = sio_peer_open();
    expect_refusal(NULL, NULL, "44{\"message\":\"try later\"}");
    sio_peer_leave(peer);
}

static int guard_no(sio_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 1;
}

static void test_sio_refuse_guard_refuses(void **state)
{
    (void)state;
    sio_memory_new(NULL);
    sio_server_on(sio_test.server, "connect", note_event, .guard = guard_no);
    sio_memory_start();
    peer = sio_peer_open();
    expect_refusal(NULL, NULL, "44{\"message\":\"Connection rejected by server\"}");
    sio_memory_expect("");
    sio_peer_leave(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIO_TEST(test_sio_refuse_answer_carries_message_and_data),
        SIO_TEST(test_sio_refuse_answer_that_cannot_be_encoded_is_still_answered),
        SIO_TEST(test_sio_refuse_last_refusal_counts),
        SIO_TEST(test_sio_refuse_answer_elsewhere_is_an_error),
        SIO_TEST(test_sio_refuse_error_is_answered_with_its_cause_only_in_debug),
        SIO_TEST(test_sio_refuse_error_handler_may_say_the_message),
        SIO_TEST(test_sio_refuse_guard_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
