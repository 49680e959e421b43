/* A server without memory: each allocation of a scenario fails in turn, and all behind it. Whoever
 * is served at that moment may be cut off; the server goes on, and nothing is lost. */
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

#define PLACEHOLDER(num) "{\"_placeholder\":true,\"num\":" num "}"

static int on_connect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_join_room(ctx, "everybody");
    sio_emit(ctx, "hello", sio_binary("x", 1));
    json_t *data = sio_data(ctx);
    if (!data)
        return sio_refuse(ctx, "no memory", json_string("at all"));
    json_object_set_new(data, "n", json_integer(1));
    return SIO_OK;
}

static int on_answer(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_args(ctx);
    return SIO_OK;
}

static int on_echo(sio_ctx *ctx, void *arg)
{
    const char *text;
    (void)arg;
    if (sio_unpack(ctx, "s", &text) < 0)
        return SIO_ERROR;
    sio_emit(ctx, "echo", sio_text("you said %s", text));
    sio_emit(ctx, "echo", sio_binary(text, strlen(text)), .to = "everybody");
    sio_emit(ctx, "ask", NULL, .broadcast = true, .callback = on_answer);
    json_t *rooms = sio_rooms(ctx);
    json_decref(rooms);
    sio_request(ctx);
    return sio_reply(ctx, "s o", text, sio_binary("b", 1));
}

static int on_defer(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_ack *ack = sio_defer_ack(ctx);
    sio_sleep(0.001);
    return sio_ack_reply(ack, "s", "later");
}

static int on_call(sio_ctx *ctx, void *arg)
{
    (void)arg;
    json_t *answer = sio_call(ctx, "question", json_integer(1), .timeout = 0.01);
    json_decref(answer);
    return SIO_OK;
}

static void do_nothing(void *arg)
{
    (void)arg;
}

static int on_task(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_task *task = sio_server_start_background_task(sio_server_of(ctx), do_nothing, NULL);
    if (task)
        sio_task_join(task);
    return SIO_OK;
}

static int on_error(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_reply(ctx, "s", sio_error_message(ctx));
}

static void start(void)
{
    sio_memory_new(&(sio_server_options){ .size = sizeof(sio_server_options),
                                          .namespaces = "*" });
    sio_server *sio = sio_test.server;
    sio_server_on(sio, "connect", on_connect);
    sio_server_on(sio, "echo", on_echo);
    sio_server_on(sio, "defer", on_defer);
    sio_server_on(sio, "call", on_call);
    sio_server_on(sio, "task", on_task);
    sio_server_on_error_default(sio, on_error, NULL);
    sio_memory_start();
}

/* Who is cut off hears nothing of the rest. */
static void say(sio_peer *peer, const char *text)
{
    if (peer->net->conn && !peer->net->is_closed)
        sio_peer_send(peer, text);
}

static void run_scenario(sio_peer *peer)
{
    say(peer, "40");
    say(peer, "40/made up,{\"auth\":[1,2,3]}");
    say(peer, "421[\"echo\",\"text\"]");
    say(peer, "422[\"echo\",7]");
    say(peer, "431[\"answer\"]");
    say(peer, "451-3[\"echo\"," PLACEHOLDER("0") "]");
    if (peer->net->conn && !peer->net->is_closed)
        sio_peer_send_binary(peer, "bytes", 5);
    say(peer, "425[\"defer\"]");
    say(peer, "426[\"call\"]");
    say(peer, "427[\"task\"]");
    sio_memory_pass(20);
    say(peer, "41/made up,");
    say(peer, "41");
}

static void test_sio_nomem_each_failing_allocation_is_survived(void **state)
{
    bool is_complete = false;
    int n;
    for (n = 1; !is_complete; n++) {
        start();
        sio_peer *other = sio_peer_new("/");
        sio_peer *peer = sio_peer_open();
        mem_fail_after(n);
        run_scenario(peer);
        void *probe = mem_alloc(1);
        is_complete = probe != NULL; /* all allocations were made before it came to the n-th */
        mem_free(probe);
        mem_fail_never();
        sio_memory_run();
        sio_peer_leave(peer);
        sio_peer_leave(other);
        peer = sio_peer_new("/");
        net_memory_drain(peer->net);
        sio_peer_send(peer, "421[\"echo\",\"text\"]");
        sio_peer_expect(peer, "42[\"echo\",\"you said text\"]");
        sio_peer_leave(peer);
        sio_memory_teardown(state);
        sio_memory_setup(state);
    }
    assert_true(n > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIO_TEST(test_sio_nomem_each_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
