/* What is acked, with which arguments, and when. */
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
#include "sio_memory.h"

#define PLACEHOLDER(num) "{\"_placeholder\":true,\"num\":" num "}"

static sio_peer *peer;
static sio_ack *deferred;

static void start(void)
{
    sio_memory_start();
    peer = sio_peer_new("/");
}

static int setup(void **state)
{
    deferred = NULL;
    sio_memory_setup(state);
    sio_memory_new(NULL);
    return 0;
}

static void on(const char *event, sio_handler *handler)
{
    assert_int_equal(sio_server_on(sio_test.server, event, handler), 0);
}

static int note_name(sio_ctx *ctx, void *arg)
{
    sio_memory_note("%s%s", arg ? (const char *)arg : "", sio_event(ctx));
    return SIO_OK;
}

/* ---- acks ---- */

static int reply_none(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_memory_note("%d", sio_wants_ack(ctx));
    return sio_reply(ctx, "");
}

static int reply_three(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_reply(ctx, "s i o", "x", 3, sio_binary("bytes", 5));
}

static int reply_list(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_reply_json(ctx, json_pack("[[i, i], s]", 1, 2, "b"));
}

static int reply_raw(sio_ctx *ctx, void *arg)
{
    size_t len;
    (void)arg;
    const char *args = sio_args_raw(ctx, &len);
    assert_int_equal(args[len], '\0');
    return sio_reply_raw(ctx, args, len);
}

static int reply_twice(sio_ctx *ctx, void *arg)
{
    (void)arg;
    int first = sio_reply(ctx, "i", 1);
    sio_memory_note("%d %d", first, sio_reply(ctx, "i", 2));
    return SIO_OK;
}

static int reply_badly(sio_ctx *ctx, void *arg)
{
    (void)arg;
    assert_int_equal(sio_reply(ctx, "s", "\xff"), CARAFE_ERR_BAD_DATA);
    assert_int_equal(sio_reply_raw(ctx, "{}", 2), CARAFE_ERR_BAD_JSON);
    return sio_reply(ctx, "s", "then well");
}

static void test_sio_acks_handler_that_replies_nothing_acks_without_arguments(void **state)
{
    (void)state;
    on("e", note_name);
    on("none", reply_none);
    start();
    sio_peer_send(peer, "420[\"e\"]");
    sio_peer_expect(peer, "430[]");
    sio_peer_send(peer, "421[\"none\"]");
    sio_peer_expect(peer, "431[]");
    sio_peer_send(peer, "42[\"none\"]");
    sio_peer_expect_silence(peer);
    sio_memory_expect("e;1;0;");
    sio_peer_leave(peer);
}

static void test_sio_acks_acks_carry_what_was_replied(void **state)
{
    (void)state;
    on("three", reply_three);
    on("list", reply_list);
    on("raw", reply_raw);
    start();
    sio_peer_send(peer, "4218446744073709551615[\"three\"]");
    sio_peer_expect(peer, "461-18446744073709551615[\"x\",3," PLACEHOLDER("0") "]");
    sio_peer_expect_binary(peer, "bytes", 5);
    sio_peer_send(peer, "427[\"list\"]");
    sio_peer_expect(peer, "437[[1,2],\"b\"]");
    sio_peer_send(peer, "428[\"raw\", 1 , {\"a\" : null}]");
    sio_peer_expect(peer, "438[ 1 , {\"a\" : null}]");
    sio_peer_send(peer, "429[\"raw\"]");
    sio_peer_expect(peer, "439[]");
    sio_peer_leave(peer);
}

static void test_sio_acks_second_reply_is_an_error(void **state)
{
    (void)state;
    on("twice", reply_twice);
    on("badly", reply_badly);
    start();
    sio_peer_send(peer, "421[\"twice\"]");
    sio_peer_expect(peer, "431[1]");
    sio_peer_expect_silence(peer);
    sio_memory_expect("0 -502;");
    sio_memory_expect_log(1, "has been answered already");
    sio_peer_send(peer, "422[\"badly\"]");
    sio_peer_expect(peer, "432[\"then well\"]");
    sio_memory_expect_log(2, "cannot be encoded");
    sio_peer_leave(peer);
}

static void test_sio_acks_without_handler_are_never_acked(void **state)
{
    (void)state;
    start();
    log_set_level(LOG_SOCKETIO, LOG_DEBUG);
    sio_peer_send(peer, "421[\"nobody\"]");
    sio_peer_expect_open(peer);
    log_set_level(LOG_SOCKETIO, LOG_WARNING);
    sio_memory_expect_log(0, NULL);
    sio_peer_leave(peer);
}

/* ---- deferred acks ---- */

static int defer(sio_ctx *ctx, void *arg)
{
    (void)arg;
    assert_null(deferred);
    deferred = sio_defer_ack(ctx);
    assert_true(!deferred || !sio_wants_ack(ctx));
    sio_memory_note("%d %d", deferred != NULL, sio_defer_ack(ctx) == NULL);
    return SIO_OK;
}

static void answer_deferred(void *arg)
{
    (void)arg;
    sio_memory_note("%d", sio_ack_reply(deferred, "s", "late"));
    deferred = NULL;
}

static void free_deferred(void *arg)
{
    (void)arg;
    sio_ack_free(deferred);
    deferred = NULL;
}

static void test_sio_acks_deferred_ack_is_answered_later_or_never(void **state)
{
    (void)state;
    on("defer", defer);
    start();
    sio_peer_send(peer, "425[\"defer\"]");
    sio_peer_expect_silence(peer);
    sio_memory_do(answer_deferred, NULL);
    sio_peer_expect(peer, "435[\"late\"]");
    sio_memory_expect("1 1;0;");
    sio_peer_send(peer, "426[\"defer\"]");
    sio_memory_do(free_deferred, NULL);
    sio_peer_expect_silence(peer);
    sio_memory_expect("1 1;");
    sio_peer_send(peer, "42[\"defer\"]");
    sio_memory_expect("0 1;");
    sio_memory_do(answer_deferred, NULL); /* NULL: as sio_reply without an ack asked for */
    sio_memory_expect("0;");
    sio_peer_leave(peer);
}

static void test_sio_acks_deferred_ack_of_a_client_that_left_is_closed(void **state)
{
    (void)state;
    on("defer", defer);
    start();
    sio_peer_send(peer, "425[\"defer\"]");
    sio_peer_leave(peer);
    sio_memory_do(answer_deferred, NULL);
    sio_memory_expect("1 1;-402;");
}

/* The loop has ended, and the worker is not taken apart yet. */
static void test_sio_acks_deferred_ack_in_the_last_moment_is_closed(void **state)
{
    (void)state;
    on("defer", defer);
    start();
    sio_peer_send(peer, "425[\"defer\"]");
    sio_peer_leave(peer);
    sio_memory_stop();
    sio_test.base.app->has_mailbox = false;
    assert_int_equal(sio_ack_reply(deferred, "s", "too late"), CARAFE_ERR_CLOSED);
}

static void test_sio_acks_deferred_ack_after_the_run_is_closed(void **state)
{
    sio_ack *ack;
    on("defer", defer);
    start();
    sio_peer_send(peer, "425[\"defer\"]");
    sio_peer_leave(peer);
    ack = deferred;
    /* The handle outlives server and app. */
    assert_non_null(ack);
    sio_test.blocks_before++;
    sio_memory_teardown(state);
    assert_int_equal(sio_ack_reply(ack, "s", "too late"), CARAFE_ERR_CLOSED);
    setup(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, sio_memory_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sio_acks_handler_that_replies_nothing_acks_without_arguments),
        TEST(test_sio_acks_acks_carry_what_was_replied),
        TEST(test_sio_acks_second_reply_is_an_error),
        TEST(test_sio_acks_without_handler_are_never_acked),
        TEST(test_sio_acks_deferred_ack_is_answered_later_or_never),
        TEST(test_sio_acks_deferred_ack_of_a_client_that_left_is_closed),
        TEST(test_sio_acks_deferred_ack_in_the_last_moment_is_closed),
        TEST(test_sio_acks_deferred_ack_after_the_run_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
