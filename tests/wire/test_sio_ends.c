/* A server on threads of its own: how it, what waits in it and what outlives it come to an end. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "carafe/socketio.h"
#include "sio_client.h"
#include "sio_server_talk.h"

/* The server waits for its clients' ends of the connection: they must not wait for the server. */
static void *leave_main(void *arg)
{
    sio_client *client = arg;
    while (sio_client_read(client))
        ;
    sio_client_close(client);
    return NULL;
}

/* ---- counting what has happened, and waiting for it ---- */

static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t count_changed = PTHREAD_COND_INITIALIZER;
static int count;

static void count_up(void)
{
    pthread_mutex_lock(&count_lock);
    count++;
    pthread_cond_broadcast(&count_changed);
    pthread_mutex_unlock(&count_lock);
}

static void await_count(int n)
{
    pthread_mutex_lock(&count_lock);
    while (count < n)
        pthread_cond_wait(&count_changed, &count_lock);
    pthread_mutex_unlock(&count_lock);
}

/* ---- stopping ---- */

static void *stop_main(void *arg)
{
    await_count(*(const int *)arg);
    sio_server_stop(sio);
    return NULL;
}

static atomic_int sleeps_ended;

static int on_sleep(sio_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    count_up();
    if (sio_sleep(3600) == CARAFE_ERR_STOPPING)
        atomic_fetch_add(&sleeps_ended, 1);
    return SIO_OK;
}

static int on_call(sio_ctx *ctx, void *arg)
{
    (void)arg;
    count_up();
    if (!sio_call(ctx, "q", NULL))
        atomic_fetch_add(&sleeps_ended, 1);
    return SIO_OK;
}

static void *call_main(void *arg)
{
    json_t *got = sio_server_call(sio, "q", NULL, .to = arg);
    return got;
}

static void sleeping_task(void *arg)
{
    on_sleep(NULL, arg);
}

static void test_sio_ends_stop_from_another_thread_ends_all_who_wait(void **state)
{
    (void)state;
    enum { WAITERS = 4 };
    sio_client clients[WAITERS];
    pthread_t stopper, caller;
    int awaited = WAITERS + 1;
    count = 0;
    atomic_store(&sleeps_ended, 0);
    sio_server_on(sio, "sleep", on_sleep);
    sio_server_on(sio, "call", on_call);
    start(3);
    assert_int_equal(pthread_create(&stopper, NULL, stop_main, &awaited), 0);
    assert_non_null(sio_server_start_background_task(sio, sleeping_task, NULL));
    for (int i = 0; i < WAITERS; i++) {
        assert_true(sio_client_open(&clients[i], sio_server_port(sio)));
        assert_true(sio_client_join(&clients[i], "/"));
        if (i == 0)
            assert_int_equal(pthread_create(&caller, NULL, call_main, clients[0].sid), 0);
        assert_true(sio_client_send(&clients[i], i % 2 ? "42[\"sleep\"]" : "42[\"call\"]"));
    }
    for (int i = 0; i < WAITERS; i++)
        leave_main(&clients[i]);
    assert_int_equal(sio_server_wait(sio), 0);
    assert_int_equal(atomic_load(&sleeps_ended), WAITERS + 1);
    void *got = NULL;
    pthread_join(stopper, NULL);
    pthread_join(caller, &got);
    assert_null(got);
}

static int on_connect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_join_room(ctx, "all");
}

static int on_stop(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_server_stop(sio_server_of(ctx));
}

static void test_sio_ends_server_can_run_again(void **state)
{
    (void)state;
    sio_server_on(sio, "stop", on_stop);
    sio_server_on(sio, "connect", on_connect);
    int64_t blocks = 0;
    for (int i = 0; i < 20; i++) {
        sio_client client;
        start(i % 3 + 1);
        assert_int_equal(sio_server_on(sio, "late", on_stop), CARAFE_ERR_STATE);
        assert_true(sio_client_open(&client, sio_server_port(sio)));
        assert_true(sio_client_join(&client, "/"));
        if (i % 2)
            assert_true(sio_client_send(&client, "42[\"stop\"]"));
        else
            assert_int_equal(sio_server_stop(sio), 0);
        leave_main(&client);
        assert_int_equal(sio_server_wait(sio), 0);
        if (i == 0)
            blocks = mem_blocks_in_use();
        assert_int_equal(mem_blocks_in_use(), blocks);
    }
}

static void test_sio_ends_server_can_be_freed_while_it_runs(void **state)
{
    (void)state;
    sio_client client;
    count = 0;
    sio_server_on(sio, "sleep", on_sleep);
    start(2);
    assert_true(sio_client_open(&client, sio_server_port(sio)));
    assert_true(sio_client_join(&client, "/"));
    assert_true(sio_client_send(&client, "42[\"sleep\"]"));
    await_count(1);
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, leave_main, &client), 0);
    sio_server_free(sio);
    pthread_join(reader, NULL);
}

/* ---- tasks ---- */

static void counting_task(void *arg)
{
    sio_sleep(0.001);
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void *task_main(void *arg)
{
    for (int i = 0; i < 50; i++) {
        sio_task *task = sio_server_start_background_task(sio, counting_task, arg);
        if (!task || sio_task_join(task) != 0 || sio_task_join(task) != 0)
            return arg;
    }
    return NULL;
}

static void test_sio_ends_tasks_are_started_and_joined_from_threads(void **state)
{
    (void)state;
    enum { USERS = 4 };
    pthread_t users[USERS];
    atomic_int done = 0;
    sio_task *early = sio_server_start_background_task(sio, counting_task, &done);
    start(2);
    assert_int_equal(sio_task_join(early), 0);
    for (int i = 0; i < USERS; i++)
        assert_int_equal(pthread_create(&users[i], NULL, task_main, &done), 0);
    for (int i = 0; i < USERS; i++) {
        void *failed = NULL;
        pthread_join(users[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(atomic_load(&done), USERS * 50 + 1);
    stop();
    assert_int_equal(sio_sleep(0.001), 0); /* in a plain thread */
}

static int on_join_task(sio_ctx *ctx, void *arg)
{
    (void)ctx;
    count_up();
    if (sio_task_join(*(sio_task **)arg) == CARAFE_ERR_STOPPING)
        count_up();
    return SIO_OK;
}

/* A worker waits for the task of a server that starts when that worker is gone. */
static void test_sio_ends_task_outlives_the_worker_that_joined_it(void **state)
{
    (void)state;
    atomic_int done = 0;
    sio_client client;
    carafe_app *other_app = carafe_app_new("other");
    sio_server *other = sio_server_new(other_app);
    sio_task *task = sio_server_start_background_task(other, counting_task, &done);
    count = 0;
    sio_server_on(sio, "join", on_join_task, .arg = &task);
    start(1);
    assert_true(sio_client_open(&client, sio_server_port(sio)));
    assert_true(sio_client_join(&client, "/"));
    assert_true(sio_client_send(&client, "42[\"join\"]"));
    await_count(1);
    assert_int_equal(sio_server_stop(sio), 0);
    leave_main(&client);
    assert_int_equal(sio_server_wait(sio), 0);
    await_count(2);
    assert_int_equal(sio_server_start(other, .port = SIO_PORT_ANY), 0);
    assert_int_equal(sio_task_join(task), 0);
    assert_int_equal(atomic_load(&done), 1);
    carafe_app_free(other_app);
}

/* ---- deferred acks ---- */

static sio_ack *deferred;

static int on_defer(sio_ctx *ctx, void *arg)
{
    (void)arg;
    deferred = sio_defer_ack(ctx);
    count_up();
    return SIO_OK;
}

static void test_sio_ends_deferred_acks_are_answered_from_threads(void **state)
{
    (void)state;
    sio_client client;
    count = 0;
    sio_server_on(sio, "defer", on_defer);
    start(2);
    assert_true(sio_client_open(&client, sio_server_port(sio)));
    assert_true(sio_client_join(&client, "/"));
    for (int i = 1; i <= 10; i++) {
        char packet[32];
        snprintf(packet, sizeof(packet), "42%d[\"defer\"]", i);
        assert_true(sio_client_send(&client, packet));
        await_count(i);
        assert_int_equal(sio_ack_reply(deferred, "i", i), 0);
        snprintf(packet, sizeof(packet), "43%d[%d]", i, i);
        assert_true(sio_client_read(&client));
        assert_string_equal(client.text, packet);
    }
    /* Of a run that is over, answered in the next one. */
    assert_true(sio_client_send(&client, "4299[\"defer\"]"));
    await_count(11);
    assert_int_equal(sio_server_stop(sio), 0);
    leave_main(&client);
    assert_int_equal(sio_server_wait(sio), 0);
    start(1);
    assert_int_equal(sio_ack_reply(deferred, "s", "late"), CARAFE_ERR_CLOSED);
    stop();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sio_ends_stop_from_another_thread_ends_all_who_wait),
        TEST(test_sio_ends_server_can_run_again),
        TEST(test_sio_ends_server_can_be_freed_while_it_runs),
        TEST(test_sio_ends_tasks_are_started_and_joined_from_threads),
        TEST(test_sio_ends_task_outlives_the_worker_that_joined_it),
        TEST(test_sio_ends_deferred_acks_are_answered_from_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
