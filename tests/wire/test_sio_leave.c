/* How clients leave: reasons, kicks, and what still reaches them. */
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
static sio_peer *other;

static int note_leave(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_memory_note("%s %s", sio_namespace(ctx), sio_reason(ctx));
    return SIO_OK;
}

static int kick_self(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_emit(ctx, "bye", NULL);
    int error = sio_disconnect(ctx);
    sio_memory_note("%d %d %d", error, sio_emit(ctx, "e", NULL), sio_join_room(ctx, "r"));
    return SIO_OK;
}

static int close_self(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_emit(ctx, "bye", NULL);
    sio_memory_note("%d", sio_disconnect(ctx, .close = true));
    return SIO_OK;
}

static int kick_other(sio_ctx *ctx, void *arg)
{
    bool is_close = arg != NULL;
    sio_memory_note("%d", sio_disconnect(ctx, .sid = other->sid, .close = is_close));
    return SIO_OK;
}

static int leave_slowly(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_sleep(2);
    json_t *rooms = sio_rooms(ctx);
    sio_memory_note("%s %s, %zu rooms, emit %d", sio_namespace(ctx), sio_reason(ctx),
                    json_array_size(rooms), sio_emit(ctx, "e", NULL));
    json_decref(rooms);
    return SIO_OK;
}

static int join(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_join_room(ctx, "r");
}

static int note_event(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_memory_note("%s", sio_event(ctx));
    return SIO_OK;
}

static int wait_and_note(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_sleep(1);
    sio_memory_note("%s ended", sio_event(ctx));
    return SIO_OK;
}

static void start_with(const sio_server_options *options, sio_handler *on_disconnect)
{
    sio_memory_new(options);
    sio_server *sio = sio_test.server;
    for (int i = 0; i < 2; i++)
        sio_server_on(sio, "disconnect", on_disconnect, .ns = i ? "/chat" : "/");
    sio_server_on(sio, "kick_self", kick_self);
    sio_server_on(sio, "kick_self", kick_self, .ns = "/chat");
    sio_server_on(sio, "close_self", close_self);
    sio_server_on(sio, "kick_other", kick_other);
    sio_server_on(sio, "close_other", kick_other, .arg = "close");
    sio_server_on(sio, "join", join);
    sio_server_on(sio, "e", note_event);
    sio_server_on(sio, "wait", wait_and_note);
    sio_memory_start();
    peer = sio_peer_new("/");
}

/* ---- reasons ---- */

static void test_sio_leave_reasons(void **state)
{
    (void)state;
    start_with(NULL, note_leave);
    sio_peer_send(peer, "41");
    sio_memory_expect("/ client namespace disconnect;");
    sio_peer_expect_open(peer);
    sio_peer_join(peer, "/");
    sio_peer_leave(peer);
    sio_memory_expect("/ transport close;");
    peer = sio_peer_new("/");
    sio_memory_pass(25000);
    sio_peer_expect(peer, "2");
    sio_memory_pass(20000);
    sio_peer_expect_closed(peer);
    sio_memory_expect("/ ping timeout;");
    sio_peer_leave(peer);
    peer = sio_peer_new("/");
    sio_peer_send(peer, "1");
    sio_memory_expect("/ transport close;");
    sio_peer_leave(peer);
    peer = sio_peer_new("/");
    sio_peer_send(peer, "42");
    sio_memory_expect("/ parse error;");
    sio_peer_leave(peer);
    peer = sio_peer_new("/");
    sio_memory_stop();
    sio_memory_expect("/ server shutting down;");
    sio_peer_leave(peer);
}

/* ---- kicks ---- */

static void test_sio_leave_what_was_emitted_before_comes_first(void **state)
{
    (void)state;
    start_with(NULL, note_leave);
    sio_peer_join(peer, "/chat");
    sio_peer_send(peer, "421[\"kick_self\"]");
    sio_peer_expect(peer, "42[\"bye\"]");
    sio_peer_expect(peer, "41");
    sio_peer_expect_open(peer); /* and no ack */
    sio_memory_expect("/ server namespace disconnect;0 -402 -503;");
    /* Packets that were under way are no violation. */
    sio_peer_send(peer, "42[\"e\"]");
    sio_peer_send(peer, "451-[\"e\",{\"_placeholder\":true,\"num\":0}]");
    sio_peer_send_binary(peer, "x", 1);
    sio_peer_send(peer, "41");
    sio_peer_expect_open(peer);
    sio_memory_expect("");
    sio_peer_send(peer, "42/chat,[\"kick_self\"]");
    sio_peer_expect(peer, "42/chat,[\"bye\"]");
    sio_peer_expect(peer, "41/chat,");
    sio_memory_expect("/chat server namespace disconnect;0 -402 -503;");
    sio_peer_leave(peer);
}

static void test_sio_leave_close_ends_all_namespaces_and_the_transport(void **state)
{
    (void)state;
    start_with(NULL, note_leave);
    sio_peer_join(peer, "/chat");
    sio_peer_send(peer, "42[\"close_self\"]");
    sio_peer_expect(peer, "42[\"bye\"]");
    sio_peer_expect(peer, "41/chat,");
    sio_peer_expect(peer, "41");
    sio_peer_expect_closed(peer);
    sio_memory_expect("/chat server namespace disconnect;/ server namespace disconnect;0;");
    sio_peer_leave(peer);
    sio_memory_expect("");
}

static void test_sio_leave_others_can_be_kicked(void **state)
{
    (void)state;
    start_with(NULL, note_leave);
    other = sio_peer_new("/");
    sio_peer_send(peer, "42[\"kick_other\"]");
    sio_peer_expect(other, "41");
    sio_peer_expect_open(other);
    sio_memory_expect("/ server namespace disconnect;0;");
    sio_peer_send(peer, "42[\"kick_other\"]");
    sio_memory_expect("-503;");
    sio_peer_join(other, "/");
    sio_peer_send(peer, "42[\"close_other\"]");
    sio_peer_expect(other, "41");
    sio_peer_expect_closed(other);
    sio_memory_expect("/ server namespace disconnect;0;");
    sio_peer_leave(other);
    sio_peer_leave(peer);
}

static int kick_in_connect(sio_ctx *ctx, void *arg)
{
    bool is_close = arg != NULL;
    sio_emit(ctx, "never", NULL);
    sio_memory_note("%d", sio_disconnect(ctx, .close = is_close));
    sio_memory_note("%d", sio_disconnect(ctx));
    return SIO_OK;
}

static void test_sio_leave_kick_in_the_connect_handler_refuses(void **state)
{
    (void)state;
    sio_memory_new(NULL);
    sio_server_on(sio_test.server, "connect", kick_in_connect);
    sio_server_on(sio_test.server, "connect", kick_in_connect, .ns = "/close", .arg = "close");
    sio_server_on(sio_test.server, "disconnect", note_leave);
    sio_memory_start();
    peer = sio_peer_open();
    sio_peer_send(peer, "40");
    sio_peer_expect(peer, "44{\"message\":\"Connection rejected by server\"}");
    sio_peer_expect_open(peer);
    sio_memory_expect("0;-503;");
    sio_peer_send(peer, "40/close,");
    sio_peer_expect(peer, "44/close,{\"message\":\"Connection rejected by server\"}");
    sio_peer_expect_closed(peer);
    sio_memory_expect("0;-503;");
    sio_peer_leave(peer);
}

static int wait_in_connect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    (void)ctx;
    sio_sleep(1);
    sio_memory_note("connect ended");
    return SIO_OK;
}

static void kick_all(void *arg)
{
    (void)arg;
    json_t *sids = sio_server_participants(sio_test.server, NULL, NULL);
    for (size_t i = 0; i < json_array_size(sids); i++) {
        const char *sid = json_string_value(json_array_get(sids, i));
        assert_false(sio_server_is_connected(sio_test.server, sid, NULL));
        assert_int_equal(sio_server_disconnect(sio_test.server, sid, NULL), 0);
    }
    json_decref(sids);
}

static void test_sio_leave_kick_from_outside_while_the_connect_handler_waits(void **state)
{
    (void)state;
    sio_memory_new(NULL);
    sio_server_on(sio_test.server, "connect", wait_in_connect);
    sio_server_on(sio_test.server, "disconnect", note_leave);
    sio_memory_start();
    peer = sio_peer_open();
    sio_peer_send(peer, "40");
    sio_memory_do(kick_all, NULL);
    sio_peer_expect(peer, "44{\"message\":\"Connection rejected by server\"}");
    sio_memory_pass(1000);
    sio_memory_expect("connect ended;");
    sio_peer_expect_open(peer);
    sio_peer_leave(peer);
}

/* A disconnect handler that closes the connection it is told about. */
static int close_again(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_memory_note("%s %d", sio_namespace(ctx), sio_disconnect(ctx, .close = true));
    return SIO_OK;
}

static void test_sio_leave_disconnect_handler_may_close_the_rest(void **state)
{
    (void)state;
    start_with(NULL, close_again);
    sio_peer_join(peer, "/chat");
    sio_peer_send(peer, "41");
    sio_peer_expect(peer, "41/chat,");
    sio_peer_expect_closed(peer);
    sio_memory_expect("/chat 0;/ 0;");
    sio_peer_leave(peer);
}

/* ---- handlers that wait ---- */

static void test_sio_leave_slow_disconnect_handler_still_sees_the_rooms(void **state)
{
    (void)state;
    start_with(NULL, leave_slowly);
    sio_peer_send(peer, "42[\"join\"]");
    sio_peer_send(peer, "41");
    /* Meanwhile it may join again, as somebody new, and gets nothing for the old one. */
    char sid[SID_LEN + 1];
    memcpy(sid, peer->sid, sizeof(sid));
    sio_peer_join(peer, "/");
    assert_string_not_equal(sid, peer->sid);
    sio_server_emit(sio_test.server, "e", NULL, .to = "r");
    sio_server_emit(sio_test.server, "e", NULL, .to = sid);
    sio_memory_run();
    sio_peer_expect_silence(peer);
    sio_memory_pass(2000);
    sio_memory_expect("/ client namespace disconnect, 2 rooms, emit -402;");
    sio_peer_leave(peer);
    sio_memory_pass(2000);
}

static void test_sio_leave_stop_ends_slow_disconnect_handlers(void **state)
{
    (void)state;
    start_with(NULL, leave_slowly);
    sio_memory_stop();
    sio_memory_expect("/ server shutting down, 1 rooms, emit -402;");
    sio_peer_leave(peer);
}

static void test_sio_leave_events_run_in_order_without_async_handlers(void **state)
{
    (void)state;
    start_with(&(sio_server_options){ .size = sizeof(sio_server_options),
                                      .async_handlers = SIO_OFF },
               note_leave);
    static const char *const packets[] = { "421[\"wait\"]", "42[\"e\"]", "422[\"wait\"]", "41" };
    sio_peer_send_all(peer, packets, 4);
    sio_memory_expect("");
    sio_memory_pass(1000);
    sio_memory_expect("wait ended;e;");
    sio_memory_pass(1000);
    sio_memory_expect("wait ended;/ client namespace disconnect;");
    sio_peer_expect_silence(peer); /* it had left before */
    sio_peer_leave(peer);
}

static void test_sio_leave_events_overtake_waiting_ones_with_async_handlers(void **state)
{
    (void)state;
    start_with(NULL, note_leave);
    static const char *const packets[] = { "421[\"wait\"]", "42[\"e\"]", "41" };
    sio_peer_send_all(peer, packets, 3);
    sio_memory_expect("e;/ client namespace disconnect;");
    sio_memory_pass(1000);
    sio_memory_expect("wait ended;");
    sio_peer_leave(peer);
}

/* ---- max_pending_events ---- */

static void expect_paused(bool is_paused)
{
    assert_int_equal(peer->net->conn->is_paused, is_paused);
}

static void test_sio_leave_max_pending_events_pauses_reading_and_resumes(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        if (i)
            sio_memory_teardown(state);
        if (i)
            sio_memory_setup(state);
        start_with(&(sio_server_options){ .size = sizeof(sio_server_options),
                                          .max_pending_events = 3,
                                          .async_handlers = i ? SIO_OFF : SIO_ON },
                   note_leave);
        sio_peer_send(peer, "42[\"wait\"]");
        sio_peer_send(peer, "42[\"wait\"]");
        expect_paused(false);
        sio_peer_send(peer, "42[\"wait\"]");
        expect_paused(true);
        sio_memory_pass(1000);
        expect_paused(i == 1);
        sio_memory_pass(1000);
        expect_paused(false);
        sio_memory_pass(1000);
        sio_memory_expect("wait ended;wait ended;wait ended;");
        sio_peer_leave(peer);
        sio_memory_expect("/ transport close;");
    }
}

static void test_sio_leave_paused_connection_that_goes_away_is_forgotten(void **state)
{
    (void)state;
    start_with(&(sio_server_options){ .size = sizeof(sio_server_options), .max_pending_events = 1 },
               note_leave);
    sio_peer_send(peer, "42[\"wait\"]");
    expect_paused(true);
    net_memory_reset(peer->net);
    sio_memory_run();
    sio_memory_expect("/ transport close;");
    sio_memory_pass(1000);
    sio_memory_expect("wait ended;");
    sio_peer_leave(peer);
}

static int ask_back(sio_ctx *ctx, void *arg)
{
    (void)arg;
    json_t *answer = sio_call(ctx, "question", NULL, .timeout = 5);
    sio_memory_note("%s", answer ? "answered" : "no answer");
    json_decref(answer);
    return SIO_OK;
}

/* The handler waits for what the paused client has to say. */
static void test_sio_leave_answers_get_through_to_handlers_at_the_limit(void **state)
{
    (void)state;
    sio_memory_new(
        &(sio_server_options){ .size = sizeof(sio_server_options), .max_pending_events = 1 });
    sio_server_on(sio_test.server, "ask", ask_back);
    sio_server_on(sio_test.server, "wait", wait_and_note);
    sio_memory_start();
    peer = sio_peer_new("/");
    sio_peer_send(peer, "42[\"ask\"]");
    sio_peer_expect(peer, "420[\"question\"]");
    expect_paused(false);
    for (int i = 0; i < 3; i++)
        sio_peer_send(peer, "42[\"wait\"]");
    expect_paused(true);
    sio_memory_pass(1000);
    sio_memory_expect("wait ended;wait ended;wait ended;");
    sio_peer_send(peer, "430[]");
    sio_memory_expect("answered;");
    expect_paused(false);
    sio_peer_leave(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIO_TEST(test_sio_leave_reasons),
        SIO_TEST(test_sio_leave_what_was_emitted_before_comes_first),
        SIO_TEST(test_sio_leave_close_ends_all_namespaces_and_the_transport),
        SIO_TEST(test_sio_leave_others_can_be_kicked),
        SIO_TEST(test_sio_leave_kick_in_the_connect_handler_refuses),
        SIO_TEST(test_sio_leave_kick_from_outside_while_the_connect_handler_waits),
        SIO_TEST(test_sio_leave_disconnect_handler_may_close_the_rest),
        SIO_TEST(test_sio_leave_slow_disconnect_handler_still_sees_the_rooms),
        SIO_TEST(test_sio_leave_stop_ends_slow_disconnect_handlers),
        SIO_TEST(test_sio_leave_events_run_in_order_without_async_handlers),
        SIO_TEST(test_sio_leave_events_overtake_waiting_ones_with_async_handlers),
        SIO_TEST(test_sio_leave_max_pending_events_pauses_reading_and_resumes),
        SIO_TEST(test_sio_leave_paused_connection_that_goes_away_is_forgotten),
        SIO_TEST(test_sio_leave_answers_get_through_to_handlers_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
