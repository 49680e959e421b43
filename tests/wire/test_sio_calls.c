/* Events the server sends and wants an answer to: callbacks and calls; and tasks. */
#include <math.h>
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

static void (*script)(sio_ctx *ctx);

static int run_script(sio_ctx *ctx, void *arg)
{
    (void)arg;
    script(ctx);
    return SIO_OK;
}

static void note_json(const char *what, json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    sio_memory_note("%s %s", what, text ? text : "none");
    free(text);
}

static int on_answer(sio_ctx *ctx, void *arg)
{
    size_t len = 0;
    const char *raw = sio_args_raw(ctx, &len);
    note_json(arg, sio_args(ctx));
    assert_true(!raw || (strlen(raw) == len && raw[0] == '['));
    assert_false(sio_wants_ack(ctx));
    assert_string_equal(sio_sid(ctx), strcmp(arg, "other") == 0 ? other->sid : peer->sid);
    return SIO_OK;
}

static int note_disconnect(sio_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    sio_memory_note("disconnect");
    return SIO_OK;
}

static void start_with(const sio_server_options *options, void (*fn)(sio_ctx *ctx))
{
    sio_memory_new(options);
    sio_server_on(sio_test.server, "do", run_script);
    sio_server_on(sio_test.server, "disconnect", note_disconnect);
    sio_memory_start();
    script = fn;
    peer = sio_peer_new("/");
}

static void start(void (*fn)(sio_ctx *ctx))
{
    start_with(NULL, fn);
}

/* ---- callbacks ---- */

static void ask(sio_ctx *ctx)
{
    assert_int_equal(
        sio_emit(ctx, "q", json_integer(1), .callback = on_answer, .callback_arg = "self"), 0);
}

static void ask_all(sio_ctx *ctx)
{
    assert_int_equal(sio_emit(ctx, "q", NULL, .broadcast = true, .callback = on_answer,
                              .callback_arg = "other"),
                     0);
}

static void test_sio_calls_callback_gets_the_answer_once(void **state)
{
    (void)state;
    start(ask);
    sio_peer_send(peer, "42[\"do\"]");
    sio_peer_expect(peer, "420[\"q\",1]");
    sio_peer_send(peer, "431[\"not mine\"]");
    sio_memory_expect("");
    sio_peer_send(peer, "430[\"x\", {\"a\":1}]");
    sio_memory_expect("self [\"x\",{\"a\":1}];");
    sio_peer_send(peer, "430[\"again\"]");
    sio_memory_expect("");
    sio_peer_expect_open(peer);
    sio_peer_leave(peer);
}

static int note_bytes(sio_ctx *ctx, void *arg)
{
    size_t len = 0;
    (void)arg;
    const void *bytes = sio_bytes(json_array_get(sio_args(ctx), 0), &len);
    assert_null(sio_args_raw(ctx, NULL));
    sio_memory_note("%.*s", (int)len, bytes ? (const char *)bytes : "");
    return SIO_OK;
}

static void ask_for_bytes(sio_ctx *ctx)
{
    sio_emit(ctx, "q", NULL, .callback = note_bytes);
}

static void test_sio_calls_callback_gets_binary_answers(void **state)
{
    (void)state;
    start(ask_for_bytes);
    sio_peer_send(peer, "42[\"do\"]");
    sio_peer_expect(peer, "420[\"q\"]");
    sio_peer_send(peer, "461-0[{\"_placeholder\":true,\"num\":0}]");
    sio_peer_send_binary(peer, "bytes", 5);
    sio_memory_expect("bytes;");
    sio_peer_leave(peer);
}

static void test_sio_calls_callback_runs_for_each_who_answers(void **state)
{
    (void)state;
    start(ask_all);
    other = sio_peer_new("/");
    sio_peer_send(peer, "42[\"do\"]");
    sio_peer_expect(peer, "420[\"q\"]");
    sio_peer_expect(other, "420[\"q\"]");
    sio_peer_send(other, "430[1]");
    sio_peer_send(other, "430[2]");
    sio_memory_expect("other [1];");
    sio_peer_leave(peer);
    sio_peer_leave(other);
}

static void test_sio_calls_callback_of_who_left_is_dropped(void **state)
{
    (void)state;
    start(ask);
    sio_peer_send(peer, "42[\"do\"]");
    sio_peer_expect(peer, "420[\"q\",1]");
    sio_peer_send(peer, "41");
    sio_memory_expect("disconnect;");
    sio_peer_join(peer, "/");
    sio_peer_send(peer, "430[1]");
    sio_memory_expect("");
    sio_peer_leave(peer);
}

static void ask_four_times(sio_ctx *ctx)
{
    for (int i = 0; i < 3; i++)
        sio_memory_note("%d", sio_emit(ctx, "q", NULL, .callback = on_answer,
                                       .callback_arg = "self"));
    assert_int_equal(sio_emit(ctx, "all", NULL, .broadcast = true, .callback = on_answer), 0);
}

static void test_sio_calls_max_pending_acks_is_n(void **state)
{
    (void)state;
    start_with(&(sio_server_options){ .size = sizeof(sio_server_options), .max_pending_acks = 2 },
               ask_four_times);
    sio_peer_send(peer, "42[\"do\"]");
    sio_memory_expect("0;0;-302;");
    sio_peer_expect(peer, "420[\"q\"]");
    sio_peer_expect(peer, "421[\"q\"]");
    /* What is for all reaches it; its answer is not waited for. */
    sio_peer_expect(peer, "423[\"all\"]");
    sio_peer_send(peer, "433[]");
    sio_memory_expect("");
    sio_peer_send(peer, "431[]");
    sio_memory_expect("self [];");
    sio_peer_leave(peer);
}

static int fail_in_callback(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_fail(ctx, "bad answer");
}

static void ask_badly(sio_ctx *ctx)
{
    sio_emit(ctx, "q", NULL, .callback = fail_in_callback);
}

static void test_sio_calls_error_in_a_callback_is_logged(void **state)
{
    (void)state;
    start(ask_badly);
    sio_peer_send(peer, "42[\"do\"]");
    sio_peer_expect(peer, "420[\"q\"]");
    sio_peer_send(peer, "430[]");
    sio_memory_expect_log(1, "bad answer");
    sio_peer_leave(peer);
}

/* ---- calls ---- */

static void call_self(sio_ctx *ctx)
{
    json_t *answer = sio_call(ctx, "q", json_string("?"), .timeout = 5);
    note_json("answer", answer);
    json_decref(answer);
}

static void test_sio_calls_call_waits_for_the_answer(void **state)
{
    (void)state;
    start(call_self);
    sio_peer_send(peer, "429[\"do\"]");
    sio_peer_expect(peer, "420[\"q\",\"?\"]");
    sio_peer_expect_silence(peer);
    sio_peer_send(peer, "430[1,\"two\"]");
    sio_memory_expect("answer [1,\"two\"];");
    sio_peer_expect(peer, "439[]");
    sio_peer_leave(peer);
}

static void test_sio_calls_call_passes_without_async_handlers(void **state)
{
    (void)state;
    start_with(&(sio_server_options){ .size = sizeof(sio_server_options),
                                      .async_handlers = SIO_OFF },
               call_self);
    sio_peer_send(peer, "42[\"do\"]");
    sio_peer_send(peer, "42[\"do\"]");
    sio_peer_expect(peer, "420[\"q\",\"?\"]");
    sio_peer_expect_silence(peer);
    sio_peer_send(peer, "430[]");
    sio_peer_expect(peer, "421[\"q\",\"?\"]");
    sio_peer_send(peer, "431[]");
    sio_memory_expect("answer [];answer [];");
    sio_peer_leave(peer);
}

static void test_sio_calls_call_times_out(void **state)
{
    (void)state;
    start(call_self);
    sio_peer_send(peer, "42[\"do\"]");
    sio_peer_expect(peer, "420[\"q\",\"?\"]");
    sio_memory_pass(4990);
    sio_memory_expect("");
    sio_memory_pass(20);
    sio_memory_expect("answer none;");
    sio_peer_send(peer, "430[\"late\"]");
    sio_peer_expect_open(peer);
    sio_memory_expect("");
    sio_peer_leave(peer);
}

static void test_sio_calls_call_ends_when_the_client_leaves(void **state)
{
    (void)state;
    start(call_self);
    sio_peer_send(peer, "42[\"do\"]");
    sio_peer_leave(peer);
    sio_memory_expect("disconnect;answer none;");
}

/* The disconnect handler comes after the one that waits, so that must not wait for it. */
static void test_sio_calls_call_ends_when_the_client_leaves_without_async_handlers(void **state)
{
    (void)state;
    start_with(&(sio_server_options){ .size = sizeof(sio_server_options),
                                      .async_handlers = SIO_OFF },
               call_self);
    sio_peer_send(peer, "42[\"do\"]");
    sio_peer_leave(peer);
    sio_memory_expect("answer none;disconnect;");
}

static void test_sio_calls_answer_that_comes_with_the_time_out_is_taken(void **state)
{
    (void)state;
    start(call_self);
    sio_peer_send(peer, "42[\"do\"]");
    sio_test.base.now_ms += 5000;
    worker_set_now(&sio_test.base.worker, sio_test.base.now_ms);
    sio_peer_send(peer, "430[1]");
    sio_memory_expect("answer [1];");
    sio_peer_leave(peer);
}

static void test_sio_calls_call_ends_when_the_server_stops(void **state)
{
    (void)state;
    start(call_self);
    sio_peer_send(peer, "42[\"do\"]");
    sio_memory_stop();
    sio_memory_expect("answer none;disconnect;");
    sio_peer_leave(peer);
}

static void call_badly(sio_ctx *ctx)
{
    sio_server *sio = sio_server_of(ctx);
    assert_null(sio_call(ctx, "q", sio_pack("{s:s}", "a", NULL)));
    assert_null(sio_call(ctx, "connect", NULL));
    assert_null(sio_call(ctx, NULL, NULL));
    assert_null(sio_call(ctx, "q", NULL, .timeout = -1));
    assert_null(sio_call(ctx, "q", json_string_nocheck("\xff")));
    assert_null(sio_server_call(sio, "q", NULL));
    assert_null(sio_server_call(NULL, "q", NULL));
    sio_memory_expect_log(7, "sio_server_call: no client to call");
    assert_null(sio_call(ctx, "q", NULL, .to = "unknown"));
    assert_null(sio_call(ctx, "q", NULL, .ns = "/chat"));
    sio_memory_note("done");
}

static void test_sio_calls_bad_calls_fail_at_once(void **state)
{
    (void)state;
    start(call_badly);
    sio_peer_send(peer, "42[\"do\"]");
    sio_memory_expect("done;");
    sio_peer_expect_open(peer);
    sio_peer_leave(peer);
}

static void call_other(sio_ctx *ctx)
{
    json_t *answer = sio_call(ctx, "q", NULL, .to = other->sid);
    note_json("answer", answer);
    json_decref(answer);
    /* The answer is of a client that may be gone by now; so may be our own. */
    sio_memory_note("%d", sio_emit(ctx, "e", NULL));
}

static void test_sio_calls_caller_may_leave_before_the_answer(void **state)
{
    (void)state;
    start(call_other);
    other = sio_peer_new("/");
    sio_peer_send(peer, "42[\"do\"]");
    sio_peer_expect(other, "420[\"q\"]");
    sio_peer_leave(peer);
    sio_peer_send(other, "430[7]");
    sio_memory_expect("disconnect;answer [7];-402;");
    sio_peer_leave(other);
}

static void call_from_task(void *arg)
{
    json_t *answer = sio_server_call(sio_test.server, "q", NULL, .to = arg, .timeout = 1);
    note_json("task", answer);
    json_decref(answer);
}

static void test_sio_calls_server_call_from_a_task(void **state)
{
    (void)state;
    start(NULL);
    sio_memory_do(call_from_task, peer->sid);
    sio_peer_expect(peer, "420[\"q\"]");
    sio_peer_send(peer, "430[]");
    sio_memory_expect("task [];");
    sio_peer_leave(peer);
}

/* ---- tasks ---- */

static sio_task *task;

static void sleep_in_task(void *arg)
{
    int error = sio_sleep(*(const double *)arg);
    sio_memory_note("task woke %d", error);
}

static void join_task(sio_ctx *ctx)
{
    static const double seconds = 3;
    if (!task)
        task = sio_server_start_background_task(sio_server_of(ctx), sleep_in_task,
                                                (void *)(uintptr_t)&seconds);
    assert_non_null(task);
    sio_memory_note("joined %d", sio_task_join(task));
}

static void test_sio_calls_task_can_be_joined_often_and_late(void **state)
{
    (void)state;
    task = NULL;
    start(join_task);
    sio_peer_send(peer, "42[\"do\"]");
    sio_peer_send(peer, "42[\"do\"]");
    sio_memory_expect("");
    sio_memory_pass(3000);
    sio_memory_expect("task woke 0;joined 0;joined 0;");
    sio_peer_send(peer, "42[\"do\"]");
    sio_memory_expect("joined 0;");
    sio_peer_leave(peer);
}

static void test_sio_calls_stop_ends_tasks_and_joins(void **state)
{
    (void)state;
    task = NULL;
    start(join_task);
    sio_peer_send(peer, "42[\"do\"]");
    sio_memory_stop();
    sio_memory_expect("joined -405;task woke -405;disconnect;");
    sio_peer_leave(peer);
}

static int start_task_at_the_end(sio_ctx *ctx, void *arg)
{
    (void)arg;
    static const double seconds = 1;
    task = sio_server_start_background_task(sio_server_of(ctx), sleep_in_task,
                                            (void *)(uintptr_t)&seconds);
    sio_memory_note("%s", task ? "started" : "not started");
    return SIO_OK;
}

static void test_sio_calls_task_is_refused_while_the_server_stops(void **state)
{
    (void)state;
    sio_memory_new(NULL);
    sio_server_on(sio_test.server, "disconnect", start_task_at_the_end);
    sio_memory_start();
    peer = sio_peer_new("/");
    sio_memory_stop();
    sio_memory_expect("not started;");
    sio_peer_leave(peer);
}

static void test_sio_calls_task_started_before_the_server_runs_then(void **state)
{
    (void)state;
    static const double seconds = 1;
    sio_memory_new(NULL);
    task = sio_server_start_background_task(sio_test.server, sleep_in_task,
                                            (void *)(uintptr_t)&seconds);
    assert_non_null(task);
    sio_memory_expect("");
    sio_memory_start();
    sio_memory_pass(1000);
    sio_memory_expect("task woke 0;");
    assert_int_equal(sio_task_join(task), 0);
    assert_int_equal(sio_task_join(NULL), CARAFE_ERR_ARGUMENT);
    assert_null(sio_server_start_background_task(sio_test.server, NULL, NULL));
    assert_null(sio_server_start_background_task(NULL, sleep_in_task, NULL));
}

static void test_sio_calls_task_that_never_ran_goes_with_the_server(void **state)
{
    (void)state;
    sio_memory_new(NULL);
    assert_non_null(sio_server_start_background_task(sio_test.server, sleep_in_task, NULL));
}

static void test_sio_calls_sleep_takes_no_nonsense(void **state)
{
    (void)state;
    sio_memory_new(NULL);
    assert_int_equal(sio_sleep(-1), CARAFE_ERR_ARGUMENT);
    assert_int_equal(sio_sleep(1e300), CARAFE_ERR_ARGUMENT);
    assert_int_equal(sio_sleep((double)NAN), CARAFE_ERR_ARGUMENT);
    assert_int_equal(sio_sleep(0), 0);
    assert_int_equal(sio_sleep(0.0001), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIO_TEST(test_sio_calls_callback_gets_the_answer_once),
        SIO_TEST(test_sio_calls_callback_gets_binary_answers),
        SIO_TEST(test_sio_calls_callback_runs_for_each_who_answers),
        SIO_TEST(test_sio_calls_callback_of_who_left_is_dropped),
        SIO_TEST(test_sio_calls_max_pending_acks_is_n),
        SIO_TEST(test_sio_calls_error_in_a_callback_is_logged),
        SIO_TEST(test_sio_calls_call_waits_for_the_answer),
        SIO_TEST(test_sio_calls_call_passes_without_async_handlers),
        SIO_TEST(test_sio_calls_call_times_out),
        SIO_TEST(test_sio_calls_call_ends_when_the_client_leaves),
        SIO_TEST(test_sio_calls_call_ends_when_the_client_leaves_without_async_handlers),
        SIO_TEST(test_sio_calls_answer_that_comes_with_the_time_out_is_taken),
        SIO_TEST(test_sio_calls_call_ends_when_the_server_stops),
        SIO_TEST(test_sio_calls_bad_calls_fail_at_once),
        SIO_TEST(test_sio_calls_caller_may_leave_before_the_answer),
        SIO_TEST(test_sio_calls_server_call_from_a_task),
        SIO_TEST(test_sio_calls_task_can_be_joined_often_and_late),
        SIO_TEST(test_sio_calls_stop_ends_tasks_and_joins),
        SIO_TEST(test_sio_calls_task_is_refused_while_the_server_stops),
        SIO_TEST(test_sio_calls_task_started_before_the_server_runs_then),
        SIO_TEST(test_sio_calls_task_that_never_ran_goes_with_the_server),
        SIO_TEST(test_sio_calls_sleep_takes_no_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
