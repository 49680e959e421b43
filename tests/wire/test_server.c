/* An app on its own threads, asked over real sockets. Views record what they see; only the test's
 * thread asserts. */
#include "app/app.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "http_client.h"
#include "server_talk.h"

static int sleeping_view(carafe_request *req, void *arg)
{
    double *seconds = arg;
    int error = worker_sleep(worker_current(), (uint64_t)(*seconds * 1000));
    return error < 0 ? carafe_text(req, "woken: %s", carafe_strerror(error))
                     : carafe_text(req, "slept");
}

static int stopping_view(carafe_request *req, void *arg)
{
    (void)arg;
    int stopped = carafe_stop(carafe_current_app(req));
    int waited = carafe_wait(carafe_current_app(req));
    return carafe_text(req, "%d %d %d", stopped, waited, app_is_stopping(carafe_current_app(req)));
}

/* ---- starting and stopping ---- */

static void test_server_serves(void **state)
{
    (void)state;
    carafe_route(app, "/", hello_view);
    assert_int_equal(carafe_port(app), 0);
    assert_false(app_is_running(app));
    start_with(1);
    assert_true(app_is_running(app));
    assert_in_range(carafe_port(app), 1, 65535);
    http_client_open(&client, carafe_port(app));
    for (int i = 0; i < 3; i++) {
        http_client_get(&client, "/", &answer);
        assert_int_equal(answer.status, 200);
        assert_true(http_answer_body_is(&answer, "hello"));
    }
    http_client_close(&client);
    char banner[64];
    snprintf(banner, sizeof(banner), "listening on http://127.0.0.1:%d (1 worker)\n",
             carafe_port(app));
    stop();
    assert_non_null(strstr(log_text, banner));
    assert_non_null(strstr(log_text, "stopped\n"));
    assert_int_equal(carafe_port(app), 0);
    assert_false(app_is_running(app));
}

static void test_server_start_twice_is_refused(void **state)
{
    (void)state;
    start_with(1);
    int port = carafe_port(app);
    assert_int_equal(carafe_start(app, .port = SIO_PORT_ANY), CARAFE_ERR_STATE);
    assert_int_equal(carafe_run(app, .port = SIO_PORT_ANY), CARAFE_ERR_STATE);
    assert_int_equal(carafe_port(app), port);
    stop();
}

static void test_server_cannot_be_changed_while_it_runs(void **state)
{
    (void)state;
    app_extension ext = { .prefix = "/io/" };
    carafe_errorhandler(app, 404, hello_view, NULL);
    start_with(1);
    assert_int_equal(carafe_route(app, "/", hello_view), CARAFE_ERR_STATE);
    assert_int_equal(carafe_static(app, "/static", "/tmp"), CARAFE_ERR_STATE);
    assert_int_equal(carafe_before_request(app, hello_view, NULL), CARAFE_ERR_STATE);
    assert_int_equal(carafe_errorhandler(app, 404, hello_view, NULL), CARAFE_ERR_STATE);
    assert_int_equal(carafe_errorhandler(app, 500, hello_view, NULL), CARAFE_ERR_STATE);
    assert_int_equal(carafe_config_set(app, "A", json_object()), CARAFE_ERR_STATE);
    assert_int_equal(carafe_config_from_env(app, "X"), CARAFE_ERR_STATE);
    assert_int_equal(app_attach(app, &ext), CARAFE_ERR_STATE);
    stop();
    assert_int_equal(carafe_route(app, "/", hello_view), 0);
}

static void test_server_restarts(void **state)
{
    (void)state;
    carafe_route(app, "/", hello_view);
    for (unsigned i = 1; i <= 3; i++) {
        start_with(i);
        assert_false(app_is_stopping(app));
        assert_int_equal(http_get(carafe_port(app), "/", NULL, 0), 200);
        stop();
        assert_true(app_is_stopping(app));
    }
}

static void test_server_port_in_use_is_refused(void **state)
{
    (void)state;
    start_with(1);
    carafe_app *other = carafe_app_new("other");
    int port = carafe_port(app);
    assert_int_equal(carafe_start(other, .port = port), CARAFE_ERR_ADDRESS);
    assert_int_equal(carafe_port(other), 0);
    stop();
    char text[80];
    snprintf(text, sizeof(text), "cannot listen on 127.0.0.1, port %d: Address already in use",
             port);
    assert_non_null(strstr(log_text, text));
    assert_non_null(strstr(log_text, "choose another .port"));
    /* It is free again, and the failed app can be started. */
    assert_int_equal(carafe_start(other, .port = port), 0);
    carafe_app_free(other);
}

static void test_server_host_that_is_none_is_refused(void **state)
{
    (void)state;
    assert_int_equal(carafe_start(app, .host = "192.0.2.1", .port = SIO_PORT_ANY),
                     CARAFE_ERR_ADDRESS);
    assert_int_equal(carafe_start(app, .host = "no host", .port = SIO_PORT_ANY),
                     CARAFE_ERR_ADDRESS);
}

static void test_server_options_out_of_range_are_refused(void **state)
{
    (void)state;
    assert_int_equal(carafe_start(app, .port = -2), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_start(app, .port = 65536), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_start(app, .port = 70000), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_start(app, .host = ""), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_start(app, .workers = 257), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_start(app, .stop_timeout = -1), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_start(app, .stop_timeout = 0.0 / 0.0), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_start(app, .stop_timeout = 1e300), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_start(app, .log_output = (sio_switch)7), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_start_with(app, &(carafe_run_options){ 0 }), CARAFE_ERR_ARGUMENT);
    carafe_config_set(app, "MAX_CONTENT_LENGTH", json_string("much"));
    assert_int_equal(carafe_start(app, .port = SIO_PORT_ANY), CARAFE_ERR_ARGUMENT);
    assert_non_null(strstr(log_text, ".port must be 1 to 65535"));
    assert_non_null(strstr(log_text, ".workers must be 1 to 256"));
    assert_non_null(strstr(log_text, "MAX_CONTENT_LENGTH"));
    assert_false(app_is_running(app));
}

static void test_server_ipv6(void **state)
{
    (void)state;
    if (carafe_start(app, .host = "::1", .port = SIO_PORT_ANY) < 0)
        skip(); /* a machine without IPv6 */
    stop();
    assert_non_null(strstr(log_text, "listening on http://[::1]:"));
}

static void test_server_raises_the_limit_of_open_files(void **state)
{
    (void)state;
    struct rlimit before, low, after;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = 200;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    start_with(1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_int_equal(after.rlim_cur, after.rlim_max);
    stop();
    setrlimit(RLIMIT_NOFILE, &before);
}

static void test_server_stop_and_wait_without_start_do_nothing(void **state)
{
    (void)state;
    assert_int_equal(carafe_stop(app), 0);
    assert_int_equal(carafe_wait(app), 0);
    assert_false(app_is_stopping(app));
}

static void test_server_app_free_stops_first(void **state)
{
    (void)state;
    carafe_route(app, "/", hello_view);
    start_with(2);
    assert_int_equal(http_get(carafe_port(app), "/", NULL, 0), 200);
    /* The teardown frees the running app. */
}

static void test_server_stop_from_a_view(void **state)
{
    (void)state;
    carafe_route(app, "/stop", stopping_view);
    start_with(2);
    http_client_open(&client, carafe_port(app));
    http_client_get(&client, "/stop", &answer);
    assert_int_equal(answer.status, 200);
    char expected[32];
    snprintf(expected, sizeof(expected), "0 %d 1", CARAFE_ERR_STATE);
    assert_true(http_answer_body_is(&answer, expected));
    assert_true(http_client_is_at_end(&client));
    http_client_close(&client);
    assert_int_equal(carafe_wait(app), 0);
}

static void *wait_main(void *arg)
{
    *(atomic_int *)arg = carafe_wait(app);
    return NULL;
}

static void *stop_main(void *arg)
{
    *(atomic_int *)arg = carafe_stop(app);
    return NULL;
}

static void test_server_stop_and_wait_from_many_threads(void **state)
{
    (void)state;
    enum { COUNT = 6 };
    pthread_t threads[COUNT];
    atomic_int results[COUNT];
    for (int round = 0; round < 5; round++) {
        start_with(3);
        for (int i = 0; i < COUNT; i++) {
            results[i] = -1;
            assert_int_equal(
                pthread_create(&threads[i], NULL, i % 2 ? wait_main : stop_main, &results[i]), 0);
        }
        for (int i = 0; i < COUNT; i++)
            pthread_join(threads[i], NULL);
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(results[i], 0);
        assert_int_equal(carafe_wait(app), 0);
        assert_false(app_is_running(app));
    }
}

static void *start_main(void *arg)
{
    *(atomic_int *)arg = carafe_start(app, .port = SIO_PORT_ANY, .workers = 2);
    return NULL;
}

static void test_server_start_stop_and_wait_at_once(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        pthread_t starter, stopper;
        atomic_int started = -1, stopped = -1;
        assert_int_equal(pthread_create(&starter, NULL, start_main, &started), 0);
        assert_int_equal(pthread_create(&stopper, NULL, stop_main, &stopped), 0);
        pthread_join(starter, NULL);
        pthread_join(stopper, NULL);
        assert_int_equal(started, 0);
        assert_int_equal(stopped, 0);
        stop();
    }
}

static void test_server_stop_closes_idle_connections(void **state)
{
    (void)state;
    carafe_route(app, "/", hello_view);
    start_with(1);
    http_client_open(&client, carafe_port(app));
    http_client_get(&client, "/", &answer);
    assert_null(http_answer_header(&answer, "Connection"));
    carafe_stop(app);
    assert_true(http_client_is_at_end(&client));
    assert_int_equal(carafe_wait(app), 0);
    http_client_close(&client);
}

static atomic_int entered; /* views that wait */
static pthread_mutex_t entered_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t entered_changed = PTHREAD_COND_INITIALIZER;

static void enter(void)
{
    pthread_mutex_lock(&entered_lock);
    entered++;
    pthread_cond_broadcast(&entered_changed);
    pthread_mutex_unlock(&entered_lock);
}

static void await_entered(int count)
{
    pthread_mutex_lock(&entered_lock);
    while (entered < count)
        pthread_cond_wait(&entered_changed, &entered_lock);
    pthread_mutex_unlock(&entered_lock);
}

static int entering_view(carafe_request *req, void *arg)
{
    enter();
    return sleeping_view(req, arg);
}

static void test_server_stop_wakes_sleepers_and_sends_their_answers(void **state)
{
    (void)state;
    double seconds = 3600;
    entered = 0;
    carafe_route(app, "/sleep", entering_view, .arg = &seconds);
    start_with(1);
    http_client_open(&client, carafe_port(app));
    http_client_send(&client, "GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n");
    await_entered(1);
    carafe_stop(app);
    http_client_read(&client, &answer);
    assert_true(http_answer_body_is(&answer, "woken: the server is stopping"));
    assert_string_equal(http_answer_header(&answer, "Connection"), "close");
    assert_true(http_client_is_at_end(&client));
    assert_int_equal(carafe_wait(app), 0);
    http_client_close(&client);
}

/* What a handler that never ends keeps is still reachable, or the leak checker would complain;
 * volatile, as nobody reads them. */
static carafe_request *volatile stuck_request;
static coro *volatile stuck_coro;

static int stuck_view(carafe_request *req, void *arg)
{
    (void)arg;
    stuck_request = req;
    stuck_coro = coro_current();
    log_line(LOG_APP, LOG_INFO, "stuck");
    enter();
    for (;;)
        coro_suspend();
    return 0;
}

static void test_server_stop_goes_on_without_handlers_that_never_end(void **state)
{
    (void)state;
    entered = 0;
    carafe_route(app, "/stuck", stuck_view);
    assert_int_equal(carafe_start(app, .port = SIO_PORT_ANY, .stop_timeout = 0.05), 0);
    http_client_open(&client, carafe_port(app));
    http_client_send(&client, "GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n");
    await_entered(1);
    stop();
    assert_true(http_client_is_at_end(&client));
    http_client_close(&client);
    assert_non_null(strstr(log_text, "going on without 1 handlers"));
    carafe_app_free(app);
    app = NULL;
    /* The request and its coroutine stay. */
    assert_in_range(mem_blocks_in_use() - blocks_before, 1, 4);
    blocks_before = mem_blocks_in_use();
}

static void test_server_start_without_memory_leaves_nothing(void **state)
{
    (void)state;
    for (int n = 1; n < 30; n++) {
        mem_fail_after(n);
        int error = carafe_start(app, .port = SIO_PORT_ANY, .workers = 2);
        mem_fail_never();
        if (error == 0)
            stop();
        assert_true(error == 0 || error == CARAFE_ERR_NOMEM);
        assert_false(app_is_running(app));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_server_serves),
        TEST(test_server_start_twice_is_refused),
        TEST(test_server_cannot_be_changed_while_it_runs),
        TEST(test_server_restarts),
        TEST(test_server_port_in_use_is_refused),
        TEST(test_server_host_that_is_none_is_refused),
        TEST(test_server_options_out_of_range_are_refused),
        TEST(test_server_ipv6),
        TEST(test_server_raises_the_limit_of_open_files),
        TEST(test_server_stop_and_wait_without_start_do_nothing),
        TEST(test_server_app_free_stops_first),
        TEST(test_server_stop_from_a_view),
        TEST(test_server_stop_and_wait_from_many_threads),
        TEST(test_server_start_stop_and_wait_at_once),
        TEST(test_server_stop_closes_idle_connections),
        TEST(test_server_stop_wakes_sleepers_and_sends_their_answers),
        TEST(test_server_stop_goes_on_without_handlers_that_never_end),
        TEST(test_server_start_without_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
