/* An app behind HTTP, over the memory transport: what comes out for what goes in. */
#include "app/app.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app_memory.h"
#include "base/log.h"
#include "base/mem.h"
#include "app_talk.h"

static int echo_view(carafe_request *req, void *arg)
{
    size_t len;
    (void)arg;
    const char *body = carafe_body(req, &len);
    return carafe_respond_bytes(req, "text/plain", body, len);
}

static void add_routes(void)
{
    assert_int_equal(carafe_route(app.app, "/", hello_view), 0);
    assert_int_equal(carafe_route(app.app, "/wait/<int:ms>", waiting_view, .methods = "GET,POST"),
                     0);
    assert_int_equal(carafe_route(app.app, "/fail", failing_view, .endpoint = "broken"), 0);
    assert_int_equal(carafe_route(app.app, "/echo", echo_view, .methods = "POST"), 0);
    assert_int_equal(carafe_route(app.app, "/docs/", hello_view), 0);
}

/* ---- methods and paths ---- */

static void test_app_answers_a_request(void **state)
{
    (void)state;
    add_routes();
    get("/");
    assert_int_equal(answer.status, 200);
    assert_true(http_answer_body_is(&answer, "hello"));
    assert_non_null(http_answer_header(&answer, "Date"));
    check_header("Content-Length", "5");
}

static void test_app_head_has_no_body(void **state)
{
    (void)state;
    add_routes();
    app_memory_get(&app, "HEAD", "/", &answer);
    assert_int_equal(answer.status, 200);
    check_header("Content-Length", "5");
    assert_string_equal(trace, "view ");
}

static void test_app_unknown_path_is_404(void **state)
{
    (void)state;
    add_routes();
    static const char *const targets[] = { "/none", "/wait/x", "/%00",   "/%zz",
                                           "/%2",   "//",      "/docs//" };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        get(targets[i]);
        assert_int_equal(answer.status, 404);
        assert_true(
            http_answer_body_is(&answer, "{\"error\":{\"code\":404,\"message\":\"Not Found\"}}"));
    }
}

static void test_app_wrong_method_is_405_with_allow(void **state)
{
    (void)state;
    add_routes();
    app_memory_get(&app, "DELETE", "/wait/1", &answer);
    assert_int_equal(answer.status, 405);
    check_header("Allow", "GET, HEAD, POST, OPTIONS");
    app_memory_get(&app, "GET", "/echo", &answer);
    assert_int_equal(answer.status, 405);
    check_header("Allow", "POST, OPTIONS");
    app_memory_get(&app, "BREW", "/", &answer);
    assert_int_equal(answer.status, 405);
}

static void test_app_options_is_answered(void **state)
{
    (void)state;
    add_routes();
    app_memory_get(&app, "OPTIONS", "/wait/1", &answer);
    assert_int_equal(answer.status, 200);
    check_header("Allow", "GET, HEAD, POST, OPTIONS");
    app_memory_get(&app, "OPTIONS", "*", &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(http_answer_header(&answer, "Allow"));
    app_memory_get(&app, "OPTIONS", "/none", &answer);
    assert_int_equal(answer.status, 404);
}

static void test_app_missing_slash_is_redirected(void **state)
{
    (void)state;
    add_routes();
    carafe_route(app.app, "/<name>/list/", hello_view);
    get("/docs?a=1&b=%20");
    assert_int_equal(answer.status, 308);
    check_header("Location", "/docs/?a=1&b=%20");
    get("/%C3%A9%20%5C/list");
    assert_int_equal(answer.status, 308);
    check_header("Location", "/%C3%A9%20%5C/list/");
    app_memory_get(&app, "POST", "/docs", &answer);
    assert_int_equal(answer.status, 404);
}

static void test_app_slash_redirect_never_leads_to_another_host(void **state)
{
    (void)state;
    carafe_route(app.app, "/<name>/", hello_view);
    static const char *const targets[] = { "//example.org", "/%2Fexample.org",
                                           "/%2fexample.org%2f" };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        get(targets[i]);
        assert_int_equal(answer.status, 404);
    }
    get("/%5Cexample.org");
    check_header("Location", "/%5Cexample.org/");
    get("/\\example.org");
    if (answer.status == 308)
        check_header("Location", "/%5Cexample.org/");
}

/* ---- the connection ---- */

static void test_app_keep_alive_serves_one_after_the_other(void **state)
{
    (void)state;
    add_routes();
    net_memory *client = app_memory_connect(&app);
    for (int i = 0; i < 3; i++) {
        app_memory_send(&app, client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(app_memory_read(client, &answer));
        assert_int_equal(answer.status, 200);
        assert_false(client->is_closed || client->is_shut_down);
    }
    app_memory_send(&app, client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_true(app_memory_read(client, &answer));
    assert_true(client->is_shut_down);
    net_memory_free(client);
}

static const char PIPELINE[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                               "GET /wait/30 HTTP/1.1\r\nHost: b\r\n\r\n"
                               "GET / HTTP/1.1\r\nHost: c\r\n\r\n"
                               "POST /wait/10 HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\nbody"
                               "GET /none HTTP/1.1\r\nHost: e\r\n\r\n"
                               "GET / HTTP/1.1\r\nHost: f\r\n\r\n";

static void check_pipeline_answers(net_memory *client)
{
    static const char *const bodies[] = { "hello", "30 /wait/30 b ", "hello", "10 /wait/10 d body",
                                          NULL,    "hello" };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_true(app_memory_read(client, &answer));
        if (bodies[i])
            assert_true(http_answer_body_is(&answer, bodies[i]));
        else
            assert_int_equal(answer.status, 404);
    }
    assert_false(app_memory_read(client, &answer));
}

static void test_app_pipelined_answers_keep_their_order(void **state)
{
    (void)state;
    add_routes();
    net_memory *client = app_memory_connect(&app);
    app_memory_send(&app, client, PIPELINE);
    /* The second answer waits, and all behind it. */
    assert_non_null(memmem(client->out.data, client->out.len, "hello", 5));
    assert_null(memmem(client->out.data, client->out.len, "/wait", 5));
    app_memory_pass(&app, 30);
    assert_null(memmem(client->out.data, client->out.len, "404", 3));
    app_memory_pass(&app, 10);
    check_pipeline_answers(client);
    net_memory_free(client);
}

static void test_app_pipeline_one_byte_at_a_time(void **state)
{
    (void)state;
    add_routes();
    net_memory *client = app_memory_connect(&app);
    for (const char *at = PIPELINE; *at; at++) {
        net_memory_feed(client, at, 1);
        worker_turn(&app.worker, false);
    }
    app_memory_pass(&app, 30);
    app_memory_pass(&app, 10);
    check_pipeline_answers(client);
    net_memory_free(client);
}

static void test_app_waiting_views_do_not_hold_up_other_connections(void **state)
{
    (void)state;
    add_routes();
    enum { COUNT = 200 };
    net_memory *clients[COUNT];
    for (int i = 0; i < COUNT; i++) {
        char request[128];
        clients[i] = app_memory_connect(&app);
        snprintf(request, sizeof(request), "GET /wait/%d HTTP/1.1\r\nHost: h%d\r\n\r\n", COUNT - i,
                 i);
        net_memory_feed(clients[i], request, strlen(request));
    }
    get("/");
    assert_int_equal(answer.status, 200);
    app_memory_pass(&app, COUNT / 2);
    assert_false(app_memory_read(clients[0], &answer));
    assert_true(app_memory_read(clients[COUNT - 1], &answer));
    app_memory_pass(&app, COUNT / 2);
    for (int i = 0; i < COUNT - 1; i++) {
        char host[16];
        snprintf(host, sizeof(host), " h%d ", i);
        if (i < COUNT / 2) {
            assert_true(app_memory_read(clients[i], &answer));
            assert_non_null(memmem(answer.body, answer.body_len, host, strlen(host)));
        }
        net_memory_free(clients[i]);
    }
    net_memory_free(clients[COUNT - 1]);
}

static void test_app_client_that_goes_away_while_its_view_waits(void **state)
{
    (void)state;
    add_routes();
    net_memory *client = app_memory_connect(&app);
    app_memory_send(&app, client, "GET /wait/50 HTTP/1.1\r\nHost: x\r\n\r\n");
    net_memory_reset(client);
    app_memory_run(&app);
    assert_null(client->conn);
    assert_int_equal(coro_pool_in_use(&app.worker.coros), 1);
    app_memory_pass(&app, 50);
    assert_int_equal(coro_pool_in_use(&app.worker.coros), 0);
    net_memory_free(client);
}

static void test_app_half_closed_client_gets_its_answer(void **state)
{
    (void)state;
    add_routes();
    net_memory *client = app_memory_connect(&app);
    app_memory_send(&app, client, "GET /wait/50 HTTP/1.1\r\nHost: x\r\n\r\n");
    net_memory_feed_end(client);
    app_memory_pass(&app, 50);
    assert_true(app_memory_read(client, &answer));
    assert_true(http_answer_body_is(&answer, "50 /wait/50 x "));
    assert_true(client->is_closed);
    net_memory_free(client);
}

static void test_app_expect_continue(void **state)
{
    (void)state;
    add_routes();
    net_memory *client = app_memory_connect(&app);
    app_memory_send(&app, client,
                    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
                    "Expect: 100-continue\r\n\r\n");
    assert_true(app_memory_read(client, &answer));
    assert_int_equal(answer.status, 100);
    app_memory_send(&app, client, "body");
    assert_true(app_memory_read(client, &answer));
    assert_true(http_answer_body_is(&answer, "body"));
    net_memory_free(client);
}

static void test_app_too_many_waiting_requests_are_503(void **state)
{
    (void)state;
    add_routes();
    app.worker.coros.count_max = 1;
    net_memory *client = app_memory_connect(&app);
    app_memory_send(&app, client, "GET /wait/50 HTTP/1.1\r\nHost: x\r\n\r\n");
    get("/");
    assert_int_equal(answer.status, 503);
    app_memory_pass(&app, 50);
    assert_true(app_memory_read(client, &answer));
    get("/");
    assert_int_equal(answer.status, 200);
    net_memory_free(client);
}

/* ---- refusals ---- */

static void test_app_malformed_requests(void **state)
{
    (void)state;
    add_routes();
    static char huge_target[10000], huge_head[40000];
    int len = snprintf(huge_target, sizeof(huge_target), "GET /");
    memset(huge_target + len, 'x', 9000);
    strcat(huge_target, " HTTP/1.1\r\nHost: x\r\n\r\n");
    len = snprintf(huge_head, sizeof(huge_head), "GET / HTTP/1.1\r\nHost: x\r\nX: ");
    memset(huge_head + len, 'x', 35000);
    strcat(huge_head, "\r\n\r\n");
    const struct {
        int status;
        const char *request;
    } cases[] = {
        { 400, "GET /\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" },
        { 414, huge_target },
        { 431, huge_head },
        { 501, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n" },
        { 505, "GET / HTTP/2.0\r\nHost: x\r\n\r\n" },
        { 413, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 16777217\r\n\r\n" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        net_memory *client = app_memory_connect(&app);
        app_memory_send(&app, client, cases[i].request);
        assert_true(app_memory_read(client, &answer));
        assert_int_equal(answer.status, cases[i].status);
        assert_true(client->is_shut_down);
        net_memory_free(client);
    }
    assert_string_equal(trace, "");
}

static void test_app_max_content_length(void **state)
{
    (void)state;
    add_routes();
    carafe_config_set(app.app, "MAX_CONTENT_LENGTH", json_integer(4));
    ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
    assert_int_equal(answer.status, 200);
    ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nlarge");
    assert_int_equal(answer.status, 413);
    ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nlar\r\n2\r\nge\r\n0\r\n\r\n");
    assert_int_equal(answer.status, 413);
    ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n");
    assert_true(http_answer_body_is(&answer, "body"));
}

static int injecting_view(carafe_request *req, void *arg)
{
    (void)arg;
    /* What the client says, put in a header as it is. */
    return carafe_set_header(req, "X-Name", carafe_query(req, "name"));
}

static void test_app_header_injection_is_refused(void **state)
{
    (void)state;
    carafe_route(app.app, "/", injecting_view);
    get("/?name=ann");
    assert_int_equal(answer.status, 200);
    check_header("X-Name", "ann");
    get("/?name=ann%0d%0aSet-Cookie:%20a=1");
    assert_int_equal(answer.status, 500);
    check_header("Set-Cookie", NULL);
    check_header("X-Name", NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_app_answers_a_request),
        TEST(test_app_head_has_no_body),
        TEST(test_app_unknown_path_is_404),
        TEST(test_app_wrong_method_is_405_with_allow),
        TEST(test_app_options_is_answered),
        TEST(test_app_missing_slash_is_redirected),
        TEST(test_app_slash_redirect_never_leads_to_another_host),
        TEST(test_app_keep_alive_serves_one_after_the_other),
        TEST(test_app_pipelined_answers_keep_their_order),
        TEST(test_app_pipeline_one_byte_at_a_time),
        TEST(test_app_waiting_views_do_not_hold_up_other_connections),
        TEST(test_app_client_that_goes_away_while_its_view_waits),
        TEST(test_app_half_closed_client_gets_its_answer),
        TEST(test_app_expect_continue),
        TEST(test_app_too_many_waiting_requests_are_503),
        TEST(test_app_malformed_requests),
        TEST(test_app_max_content_length),
        TEST(test_app_header_injection_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
