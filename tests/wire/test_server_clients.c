/* What clients get from an app on its own threads, over real sockets. */
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

static int worker_view(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_text(req, "%u", worker_current()->index);
}

static int sleeping_view(carafe_request *req, void *arg)
{
    double *seconds = arg;
    int error = worker_sleep(worker_current(), (uint64_t)(*seconds * 1000));
    return error < 0 ? carafe_text(req, "woken: %s", carafe_strerror(error))
                     : carafe_text(req, "slept");
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

/* ---- several workers ---- */

static void test_server_workers_share_the_connections(void **state)
{
    (void)state;
    enum { WORKERS = 2, CLIENTS = 8 };
    int count[WORKERS] = { 0 };
    carafe_route(app, "/", worker_view);
    start_with(WORKERS);
    assert_int_equal(app_worker_count(app), WORKERS);
    assert_int_equal(app_worker(app, 1)->index, 1);
    http_client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        http_client_open(&clients[i], carafe_port(app));
        http_client_get(&clients[i], "/", &answer);
        assert_int_equal(answer.body_len, 1);
        count[answer.body[0] - '0']++;
    }
    assert_int_equal(count[0], CLIENTS / 2);
    assert_int_equal(count[1], CLIENTS / 2);
    for (int i = 0; i < CLIENTS; i++)
        http_client_close(&clients[i]);
    stop();
    assert_non_null(strstr(log_text, "(2 workers)"));
}

static void *load_main(void *arg)
{
    http_client mine;
    http_answer got;
    int *failures = arg;
    http_client_open(&mine, carafe_port(app));
    for (int i = 0; i < 200; i++) {
        http_client_get(&mine, i % 10 ? "/" : "/sleep", &got);
        *failures += got.status != 200;
    }
    http_client_close(&mine);
    return NULL;
}

static void test_server_many_clients_at_once(void **state)
{
    (void)state;
    enum { CLIENTS = 16 };
    double seconds = 0.001;
    pthread_t threads[CLIENTS];
    int failures[CLIENTS] = { 0 };
    carafe_route(app, "/", hello_view);
    carafe_route(app, "/sleep", sleeping_view, .arg = &seconds);
    start_with(2);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_main, &failures[i]), 0);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(failures[i], 0);
    }
    stop();
}

typedef struct posted {
    worker_task task;
    atomic_int index;
} posted;

static void on_posted(worker *w, worker_task *task)
{
    LIST_ENTRY(task, posted, task)->index = (int)w->index;
    enter();
}

static void test_server_app_post_reaches_the_worker_while_it_runs(void **state)
{
    (void)state;
    posted p = { .task = { .fn = on_posted }, .index = -1 };
    entered = 0;
    assert_int_equal(app_post(app, 0, &p.task), CARAFE_ERR_STOPPING);
    start_with(2);
    assert_int_equal(app_post(app, 1, &p.task), 0);
    await_entered(1);
    assert_int_equal(p.index, 1);
    assert_int_equal(app_post(app, 2, &p.task), CARAFE_ERR_STOPPING);
    stop();
    assert_int_equal(app_post(app, 1, &p.task), CARAFE_ERR_STOPPING);
}

/* ---- on the wire ---- */

static void test_server_half_closed_client_gets_its_answer(void **state)
{
    (void)state;
    double seconds = 0.02;
    carafe_route(app, "/sleep", sleeping_view, .arg = &seconds);
    start_with(1);
    http_client_open(&client, carafe_port(app));
    http_client_send(&client, "GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n");
    http_client_finish(&client);
    http_client_read(&client, &answer);
    assert_true(http_answer_body_is(&answer, "slept"));
    assert_true(http_client_is_at_end(&client));
    http_client_close(&client);
    stop();
}

static void test_server_sleeping_view_does_not_hold_up_another(void **state)
{
    (void)state;
    double seconds = 3600;
    entered = 0;
    carafe_route(app, "/sleep", entering_view, .arg = &seconds);
    carafe_route(app, "/", hello_view);
    start_with(1);
    http_client_open(&client, carafe_port(app));
    http_client_send(&client, "GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n");
    await_entered(1);
    assert_int_equal(http_get(carafe_port(app), "/", NULL, 0), 200);
    http_client_close(&client);
    stop();
}

static void test_server_large_file_to_a_slow_reader(void **state)
{
    (void)state;
    enum { SIZE = 6 * 1024 * 1024 };
    char dir[] = "/tmp/carafe-server-XXXXXX", path[64];
    uint32_t *data = malloc(SIZE);
    assert_non_null(mkdtemp(dir));
    for (uint32_t i = 0; i < SIZE / 4; i++)
        data[i] = i * 2654435761u;
    snprintf(path, sizeof(path), "%s/big.bin", dir);
    FILE *file = fopen(path, "w");
    assert_int_equal(fwrite(data, 1, SIZE, file), SIZE);
    fclose(file);
    carafe_static(app, "/files", dir);
    carafe_route(app, "/", hello_view);
    start_with(1);
    http_client_open_slow(&client, carafe_port(app));
    http_client_send(&client, "GET /files/big.bin HTTP/1.1\r\nHost: x\r\n\r\n"
                              "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    /* Others are served while this one does not read. */
    assert_int_equal(http_get(carafe_port(app), "/", NULL, 0), 200);
    http_client_read(&client, &answer);
    assert_int_equal(answer.body_len, SIZE);
    assert_memory_equal(answer.body, data, SIZE);
    http_client_read(&client, &answer);
    assert_true(http_answer_body_is(&answer, "hello"));
    http_client_close(&client);

    /* One who goes away in the middle. */
    http_client_open_slow(&client, carafe_port(app));
    http_client_send(&client, "GET /files/big.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    char byte;
    assert_int_equal(recv(client.fd, &byte, 1, 0), 1);
    http_client_close(&client);
    stop();
    free(data);
    unlink(path);
    rmdir(dir);
}

static void test_server_log_output(void **state)
{
    (void)state;
    carafe_route(app, "/", hello_view);
    assert_int_equal(carafe_start(app, .port = SIO_PORT_ANY, .log_output = SIO_ON), 0);
    assert_int_equal(http_get(carafe_port(app), "/seen", NULL, 0), 404);
    stop();
    assert_non_null(strstr(log_text, "\"GET /seen\" 404"));
    log_text[0] = '\0';
    assert_int_equal(carafe_start(app, .port = SIO_PORT_ANY), 0);
    assert_int_equal(http_get(carafe_port(app), "/", NULL, 0), 200);
    stop();
    assert_null(strstr(log_text, "GET /"));
    assert_int_equal(log_get_level(LOG_HTTP), LOG_WARNING);
}

static int failing_view(carafe_request *req, void *arg)
{
    (void)req;
    (void)arg;
    return CARAFE_ERR_TIMEOUT;
}

static void test_server_debug(void **state)
{
    (void)state;
    char body[256];
    carafe_route(app, "/fail", failing_view);
    assert_int_equal(carafe_start(app, .port = SIO_PORT_ANY, .debug = true), 0);
    assert_true(app_is_debug(app));
    for (int part = 0; part < LOG_PART_COUNT; part++)
        assert_int_equal(log_get_level((log_part)part), LOG_DEBUG);
    assert_int_equal(http_get(carafe_port(app), "/fail", body, sizeof(body)), 500);
    assert_non_null(strstr(body, "time limit passed"));
    stop();
    log_set_level(LOG_SERVER, LOG_INFO);
    log_set_level(LOG_APP, LOG_INFO);
    start_with(1);
    assert_int_equal(http_get(carafe_port(app), "/fail", body, sizeof(body)), 500);
    assert_null(strstr(body, "time limit passed"));
    stop();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_server_workers_share_the_connections),
        TEST(test_server_many_clients_at_once),
        TEST(test_server_app_post_reaches_the_worker_while_it_runs),
        TEST(test_server_half_closed_client_gets_its_answer),
        TEST(test_server_sleeping_view_does_not_hold_up_another),
        TEST(test_server_large_file_to_a_slow_reader),
        TEST(test_server_log_output),
        TEST(test_server_debug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
