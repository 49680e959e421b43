#include "app_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void app_memory_open(app_memory *m)
{
    *m = (app_memory){ 0 };
    assert_int_equal(worker_init(&m->worker, 0, 0), 0);
    /* A clock never goes backwards, so the test's begins where the worker's is. */
    m->now_ms = worker_now(&m->worker);
    worker_set_now(&m->worker, m->now_ms);
    m->app = carafe_app_new("test");
    assert_non_null(m->app);
}

void app_memory_close(app_memory *m)
{
    app_memory_run(m);
    assert_int_equal(coro_pool_in_use(&m->worker.coros), 0);
    http_worker_deinit(&m->worker);
    worker_deinit(&m->worker);
    carafe_app_free(m->app);
}

void app_memory_run(app_memory *m)
{
    /* A turn may make work for the next: a wake-up, a drained connection. */
    for (int i = 0; i < 8; i++)
        worker_turn(&m->worker, false);
}

void app_memory_pass(app_memory *m, uint64_t ms)
{
    m->now_ms += ms;
    worker_set_now(&m->worker, m->now_ms);
    app_memory_run(m);
}

net_memory *app_memory_connect(app_memory *m)
{
    http_conn *conn = http_conn_new(app_http_service(m->app));
    assert_non_null(conn);
    net_memory *client = net_memory_new(&m->worker, &http_protocol, conn);
    assert_non_null(client);
    http_conn_bind(conn, client->conn);
    return client;
}

void app_memory_send(app_memory *m, net_memory *client, const char *text)
{
    net_memory_feed(client, text, strlen(text));
    app_memory_run(m);
}

bool app_memory_read(net_memory *client, http_answer *out)
{
    size_t len = http_answer_parse(buf_head(&client->out), buf_readable(&client->out), false, out);
    /* Not buf_consume(): it may begin to fill the buffer from the front again. */
    client->out.pos += len;
    return len > 0;
}

void app_memory_ask(app_memory *m, const char *request, http_answer *out)
{
    static char body[65536];
    net_memory *client = app_memory_connect(m);
    app_memory_send(m, client, request);
    bool is_head = strncmp(request, "HEAD ", 5) == 0;
    size_t len =
        http_answer_parse(buf_head(&client->out), buf_readable(&client->out), is_head, out);
    assert_true(len > 0);
    assert_true(out->body_len < sizeof(body));
    memcpy(body, out->body, out->body_len);
    body[out->body_len] = '\0';
    out->body = body;
    net_memory_free(client);
    app_memory_run(m);
}

void app_memory_get(app_memory *m, const char *method, const char *target, http_answer *out)
{
    char request[20000];
    int len = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
                       method, target);
    assert_true(len > 0 && (size_t)len < sizeof(request));
    app_memory_ask(m, request, out);
}
