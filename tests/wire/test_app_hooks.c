/* Hooks, error handlers, extensions and large answers of an app, over the memory transport. */
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

static void add_routes(void)
{
    assert_int_equal(carafe_route(app.app, "/", hello_view), 0);
    assert_int_equal(carafe_route(app.app, "/wait/<int:ms>", waiting_view, .methods = "GET,POST"),
                     0);
    assert_int_equal(carafe_route(app.app, "/fail", failing_view, .endpoint = "broken"), 0);
    assert_int_equal(carafe_route(app.app, "/docs/", hello_view), 0);
}

/* ---- hooks and errors ---- */

static int noting_hook(carafe_request *req, void *arg)
{
    (void)req;
    note(arg);
    return 0;
}

static int answering_hook(carafe_request *req, void *arg)
{
    (void)arg;
    note("answer");
    return carafe_text(req, "from the hook");
}

static int status_hook(carafe_request *req, void *arg)
{
    (void)req;
    return (int)(intptr_t)arg;
}

static int header_hook(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_set_header(req, "X-After", carafe_path(req));
}

static void test_app_hooks_run_in_order(void **state)
{
    (void)state;
    add_routes();
    carafe_before_request(app.app, noting_hook, "b1");
    carafe_before_request(app.app, noting_hook, "b2");
    carafe_after_request(app.app, noting_hook, "a1");
    carafe_after_request(app.app, noting_hook, "a2");
    carafe_teardown_request(app.app, noting_hook, "t1");
    carafe_teardown_request(app.app, noting_hook, "t2");
    get("/");
    assert_string_equal(trace, "b1 b2 view a2 a1 t2 t1 ");
    trace[0] = '\0';
    get("/none");
    assert_int_equal(answer.status, 404);
    assert_string_equal(trace, "b1 b2 a2 a1 t2 t1 ");
    trace[0] = '\0';
    get("/fail");
    assert_int_equal(answer.status, 500);
    assert_string_equal(trace, "b1 b2 view a2 a1 t2 t1 ");
}

static void test_app_before_hook_that_answers_ends_the_request(void **state)
{
    (void)state;
    add_routes();
    carafe_before_request(app.app, answering_hook, NULL);
    carafe_before_request(app.app, noting_hook, "b2");
    carafe_after_request(app.app, noting_hook, "a");
    get("/");
    assert_int_equal(answer.status, 200);
    assert_true(http_answer_body_is(&answer, "from the hook"));
    assert_string_equal(trace, "answer a ");
}

static void test_app_before_hook_with_a_status_ends_the_request(void **state)
{
    (void)state;
    add_routes();
    carafe_before_request(app.app, status_hook, (void *)(intptr_t)403);
    get("/");
    assert_int_equal(answer.status, 403);
    assert_string_equal(trace, "");
}

static void test_app_before_hook_that_fails_is_500(void **state)
{
    (void)state;
    add_routes();
    carafe_before_request(app.app, status_hook, (void *)(intptr_t)CARAFE_ERR_CLOSED);
    get("/");
    assert_int_equal(answer.status, 500);
    assert_string_equal(trace, "");
    assert_non_null(strstr(last_line, "before_request hook failed"));
}

static void test_app_after_hook_sees_error_answers_too(void **state)
{
    (void)state;
    add_routes();
    carafe_after_request(app.app, header_hook, NULL);
    get("/fail");
    check_header("X-After", "/fail");
    get("/none");
    check_header("X-After", "/none");
    get("/docs");
    check_header("X-After", "/docs");
}

static void test_app_after_hook_that_fails_is_500(void **state)
{
    (void)state;
    add_routes();
    carafe_after_request(app.app, header_hook, NULL);
    carafe_after_request(app.app, status_hook, (void *)(intptr_t)CARAFE_ERR_NOMEM);
    get("/");
    assert_int_equal(answer.status, 500);
    check_header("X-After", "/");
}

static int looking_teardown(carafe_request *req, void *arg)
{
    (void)arg;
    note(carafe_method(req));
    note(carafe_path(req));
    note(carafe_url(req));
    note(carafe_query(req, "a"));
    note(carafe_header(req, "Upgrade"));
    note(carafe_header(req, "X-B"));
    note(carafe_view_arg(req, "ms"));
    note(carafe_body(req, NULL));
    note(carafe_text(req, "late") == CARAFE_ERR_STATE ? "closed" : "open");
    return 0;
}

static void test_app_teardown_hook_sees_the_request_and_cannot_answer(void **state)
{
    (void)state;
    add_routes();
    carafe_teardown_request(app.app, looking_teardown, NULL);
    net_memory *client = app_memory_connect(&app);
    app_memory_send(&app, client,
                    "POST /wait/%37?a=1 HTTP/1.1\r\nHost: x\r\nUpgrade: y\r\nX-B: c\r\n"
                    "Content-Length: 4\r\n\r\nbody");
    app_memory_pass(&app, 7);
    assert_true(app_memory_read(client, &answer));
    assert_int_equal(answer.status, 200);
    assert_string_equal(trace, "POST /wait/7 /wait/%37?a=1 1 y c 7 body closed ");
    net_memory_free(client);
}

static void test_app_teardown_hook_runs_when_the_client_has_gone(void **state)
{
    (void)state;
    add_routes();
    carafe_teardown_request(app.app, noting_hook, "t");
    net_memory *client = app_memory_connect(&app);
    app_memory_send(&app, client, "GET /wait/50 HTTP/1.1\r\nHost: x\r\n\r\n");
    net_memory_free(client);
    app_memory_pass(&app, 50);
    assert_string_equal(trace, "t ");
}

static int page_404(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_html(req, "no %s", carafe_path(req));
}

static int page_500(carafe_request *req, void *arg)
{
    (void)arg;
    carafe_html(req, "sorry");
    return 503;
}

static void test_app_error_handlers_make_the_page(void **state)
{
    (void)state;
    add_routes();
    carafe_errorhandler(app.app, 404, page_404, NULL);
    carafe_errorhandler(app.app, 500, page_500, NULL);
    get("/none");
    assert_int_equal(answer.status, 404);
    assert_true(http_answer_body_is(&answer, "no /none"));
    get("/fail");
    assert_int_equal(answer.status, 503);
    assert_true(http_answer_body_is(&answer, "sorry"));
    /* The last one registered counts. */
    carafe_errorhandler(app.app, 500, status_hook, NULL);
    get("/fail");
    assert_int_equal(answer.status, 500);
}

static int own_404_view(carafe_request *req, void *arg)
{
    (void)arg;
    carafe_text(req, "mine");
    return 404;
}

static void test_app_error_handler_leaves_a_body_of_the_view_alone(void **state)
{
    (void)state;
    carafe_route(app.app, "/", own_404_view);
    carafe_errorhandler(app.app, 404, page_404, NULL);
    get("/");
    assert_int_equal(answer.status, 404);
    assert_true(http_answer_body_is(&answer, "mine"));
}

static void test_app_error_handler_that_fails_is_500(void **state)
{
    (void)state;
    add_routes();
    carafe_errorhandler(app.app, 404, failing_view, NULL);
    carafe_errorhandler(app.app, 500, failing_view, NULL);
    get("/none");
    assert_int_equal(answer.status, 500);
    get("/fail");
    assert_int_equal(answer.status, 500);
}

static void test_app_failing_view_leaves_one_log_line(void **state)
{
    (void)state;
    add_routes();
    get("/fail");
    assert_non_null(strstr(last_line, "ERROR [app] GET /fail (broken): view failed: "
                                      "time limit passed"));
}

/* ---- large answers ---- */

static void test_app_large_file_through_a_narrow_transport(void **state)
{
    (void)state;
    enum { SIZE = 5 * 1024 * 1024 };
    char dir[] = "/tmp/carafe-app-XXXXXX", path[64];
    uint32_t *data = malloc(SIZE);
    assert_non_null(mkdtemp(dir));
    for (uint32_t i = 0; i < SIZE / 4; i++)
        data[i] = i * 2654435761u;
    snprintf(path, sizeof(path), "%s/big.bin", dir);
    FILE *file = fopen(path, "w");
    assert_int_equal(fwrite(data, 1, SIZE, file), SIZE);
    fclose(file);
    carafe_static(app.app, "/files", dir);
    carafe_route(app.app, "/", hello_view);

    net_memory *client = app_memory_connect(&app);
    client->out_max = 40000;
    app_memory_send(
        &app, client,
        "GET /files/big.bin HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
    buf all = { 0 };
    for (int i = 0; i < 1000 && buf_readable(&client->out); i++) {
        assert_true(buf_readable(&client->out) <= 40000);
        assert_int_equal(buf_append(&all, client->out.data, client->out.len), 0);
        net_memory_drain(client);
        app_memory_run(&app);
    }
    size_t used = http_answer_parse(all.data, all.len, false, &answer);
    assert_true(used > 0);
    assert_int_equal(answer.body_len, SIZE);
    assert_memory_equal(answer.body, data, SIZE);
    assert_true(http_answer_parse(all.data + used, all.len - used, false, &answer) > 0);
    assert_true(http_answer_body_is(&answer, "hello"));
    buf_deinit(&all);
    net_memory_free(client);
    free(data);
    unlink(path);
    rmdir(dir);
}

/* ---- extensions ---- */

typedef struct probe {
    app_extension ext;
    int heads;
    int requests;
    int frees;
} probe;

static void probe_head(app_extension *ext, http_request *req)
{
    ((probe *)ext)->heads++;
    req->body_size_max = 2;
}

static void probe_request(app_extension *ext, http_request *req)
{
    ((probe *)ext)->requests++;
    http_respond(req, 200, NULL, 0, slice_str(ext->prefix));
}

static void probe_free(app_extension *ext)
{
    assert_null(ext->app);
    ((probe *)ext)->frees++;
}

#define PROBE(path)                                                                                \
    {                                                                                              \
        .ext = {                                                                                   \
            .prefix = (path),                                                                      \
            .on_head = probe_head,                                                                 \
            .on_request = probe_request,                                                           \
            .on_app_free = probe_free                                                              \
        }                                                                                          \
    }

static void test_app_extension_answers_below_its_prefix(void **state)
{
    (void)state;
    probe a = PROBE("/io/"), b = PROBE("/io/deep/"), c = PROBE("/io/");
    add_routes();
    carafe_before_request(app.app, noting_hook, "b");
    assert_int_equal(app_attach(app.app, &a.ext), 0);
    assert_int_equal(app_attach(app.app, &b.ext), 0);
    assert_int_equal(app_attach(app.app, &c.ext), CARAFE_ERR_ARGUMENT);
    assert_int_equal(app_attach(app.app, &a.ext), CARAFE_ERR_STATE);
    get("/io/?x=1");
    assert_true(http_answer_body_is(&answer, "/io/"));
    get("/io/deep/x");
    assert_true(http_answer_body_is(&answer, "/io/deep/"));
    ask("POST /io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    assert_int_equal(answer.status, 413);
    assert_int_equal(a.heads, 2);
    assert_int_equal(a.requests, 1);
    assert_string_equal(trace, "");
    get("/io");
    assert_int_equal(answer.status, 404);
    get("/");
    assert_int_equal(answer.status, 200);
    app_detach(&b.ext);
    app_detach(&b.ext);
    get("/io/deep/x");
    assert_true(http_answer_body_is(&answer, "/io/"));
    assert_int_equal(b.frees, 0);

    /* The app frees what is left. */
    carafe_app_free(app.app);
    assert_int_equal(a.frees, 1);
    app.app = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_app_hooks_run_in_order),
        TEST(test_app_before_hook_that_answers_ends_the_request),
        TEST(test_app_before_hook_with_a_status_ends_the_request),
        TEST(test_app_before_hook_that_fails_is_500),
        TEST(test_app_after_hook_sees_error_answers_too),
        TEST(test_app_after_hook_that_fails_is_500),
        TEST(test_app_teardown_hook_sees_the_request_and_cannot_answer),
        TEST(test_app_teardown_hook_runs_when_the_client_has_gone),
        TEST(test_app_error_handlers_make_the_page),
        TEST(test_app_error_handler_leaves_a_body_of_the_view_alone),
        TEST(test_app_error_handler_that_fails_is_500),
        TEST(test_app_failing_view_leaves_one_log_line),
        TEST(test_app_large_file_through_a_narrow_transport),
        TEST(test_app_extension_answers_below_its_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
