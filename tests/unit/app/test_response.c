/* What views set and what leaves: each test registers a view that answers in one way. */
#include "app/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app_memory.h"
#include "base/log.h"
#include "base/mem.h"

static app_memory app;
static int64_t blocks_before;
static http_answer answer;

static int setup(void **state)
{
    (void)state;
    log_set_level(LOG_APP, LOG_OFF);
    blocks_before = mem_blocks_in_use();
    app_memory_open(&app);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    app_memory_close(&app);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

static void ask(carafe_view *view)
{
    static int number;
    char rule[32];
    snprintf(rule, sizeof(rule), "/%d", number++);
    assert_int_equal(carafe_route(app.app, rule, view), 0);
    app_memory_get(&app, "GET", rule, &answer);
}

static void check_header(const char *name, const char *value)
{
    const char *found = http_answer_header(&answer, name);
    if (!value) {
        assert_null(found);
        return;
    }
    assert_non_null(found);
    assert_string_equal(found, value);
}

static size_t count_headers(const char *name)
{
    size_t count = 0;
    for (const char *at = answer.head; (at = strcasestr(at, name)) != NULL; at++)
        count += at[-1] == '\n' && at[strlen(name)] == ':';
    return count;
}

static int text_view(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_text(req, "%s is %d", "x", 5);
}

static int html_view(carafe_request *req, void *arg)
{
    (void)arg;
    carafe_text(req, "first");
    return carafe_html(req, "<p>%s", "second");
}

static int json_view(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_respond_json(req, json_pack("{s:[i,n]}", "a", 1));
}

static int bytes_view(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_respond_bytes(req, NULL, "a\0b", 3);
}

static int empty_view(carafe_request *req, void *arg)
{
    (void)req;
    (void)arg;
    return 0;
}

static void test_carafe_bodies(void **state)
{
    (void)state;
    ask(text_view);
    assert_int_equal(answer.status, 200);
    assert_true(http_answer_body_is(&answer, "x is 5"));
    check_header("Content-Type", "text/plain; charset=utf-8");
    check_header("Content-Length", "6");
    ask(html_view);
    assert_true(http_answer_body_is(&answer, "<p>second"));
    check_header("Content-Type", "text/html; charset=utf-8");
    assert_int_equal(count_headers("Content-Type"), 1);
    ask(json_view);
    assert_true(http_answer_body_is(&answer, "{\"a\":[1,null]}"));
    check_header("Content-Type", "application/json");
    ask(bytes_view);
    assert_int_equal(answer.body_len, 3);
    assert_memory_equal(answer.body, "a\0b", 3);
    check_header("Content-Type", "application/octet-stream");
    ask(empty_view);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body_len, 0);
    check_header("Content-Length", "0");
}

static int big_view(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_text(req, "%050000d", 7);
}

static void test_carafe_text_large(void **state)
{
    (void)state;
    ask(big_view);
    assert_int_equal(answer.body_len, 50000);
    assert_int_equal(answer.body[49999], '7');
}

static int bad_json_view(carafe_request *req, void *arg)
{
    (void)arg;
    carafe_text(req, "kept");
    assert_int_equal(carafe_respond_json(req, NULL), CARAFE_ERR_BAD_DATA);
    json_t *binary = json_object();
    json_object_set_new_nocheck(binary, "\xff", json_true());
    json_t *value = json_pack("[{s:o}]", "a", binary);
    assert_int_equal(carafe_respond_json(req, value), CARAFE_ERR_BAD_DATA);
    value = json_stringn_nocheck("a\xff", 2);
    assert_int_equal(carafe_respond_json(req, value), CARAFE_ERR_BAD_DATA);
    assert_int_equal(carafe_text(req, NULL), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_respond_bytes(req, NULL, NULL, 1), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_respond_bytes(req, "a\r\nb", "x", 1), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_send_file(req, "/nonexistent"), CARAFE_ERR_FILE);
    assert_int_equal(carafe_send_file(req, "/"), CARAFE_ERR_FILE);
    assert_int_equal(carafe_send_file(req, NULL), CARAFE_ERR_ARGUMENT);
    return 0;
}

static void test_carafe_failed_bodies_change_nothing(void **state)
{
    (void)state;
    ask(bad_json_view);
    assert_int_equal(answer.status, 200);
    assert_true(http_answer_body_is(&answer, "kept"));
    check_header("Content-Type", "text/plain; charset=utf-8");
}

static int header_view(carafe_request *req, void *arg)
{
    (void)arg;
    assert_int_equal(carafe_set_header(req, "X-A", "1"), 0);
    assert_int_equal(carafe_set_header(req, "x-a", "2"), 0);
    assert_int_equal(carafe_set_header(req, "X-Empty", ""), 0);
    carafe_text(req, "x");
    assert_int_equal(carafe_set_header(req, "Content-Type", "text/csv"), 0);
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof(name), "X-%d", i);
        assert_int_equal(carafe_set_header(req, name, name), 0);
    }
    return 0;
}

static void test_carafe_set_header(void **state)
{
    (void)state;
    ask(header_view);
    check_header("X-A", "2");
    assert_int_equal(count_headers("X-A"), 1);
    check_header("X-Empty", "");
    check_header("Content-Type", "text/csv");
    check_header("X-19", "X-19");
}

static int injection_view(carafe_request *req, void *arg)
{
    (void)arg;
    static const char *const values[] = { "a\r\nSet-Cookie: x=1", "a\nb", "a\rb", "a\x01", "\x7f" };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_int_equal(carafe_set_header(req, "X-A", values[i]), CARAFE_ERR_ARGUMENT);
        assert_int_equal(carafe_redirect(req, values[i], 0), CARAFE_ERR_ARGUMENT);
        assert_int_equal(carafe_set_cookie(req, "a", values[i]), CARAFE_ERR_ARGUMENT);
        assert_int_equal(carafe_set_cookie(req, values[i], "a"), CARAFE_ERR_ARGUMENT);
        assert_int_equal(carafe_set_cookie(req, "a", "b", .path = values[i]), CARAFE_ERR_ARGUMENT);
        assert_int_equal(carafe_set_cookie(req, "a", "b", .domain = values[i]),
                         CARAFE_ERR_ARGUMENT);
    }
    static const char *const names[] = {
        "", "a b", "a:", "a\r\nb", "Content-Length", "connection", "Transfer-Encoding", "Date"
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(carafe_set_header(req, names[i], "x"), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_set_header(req, NULL, "x"), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_set_header(req, "X-A", NULL), CARAFE_ERR_ARGUMENT);
    return 0;
}

static void test_carafe_header_injection_is_refused(void **state)
{
    (void)state;
    ask(injection_view);
    assert_int_equal(answer.status, 200);
    check_header("X-A", NULL);
    check_header("Set-Cookie", NULL);
    check_header("Location", NULL);
}

static int status_view(carafe_request *req, void *arg)
{
    (void)arg;
    assert_int_equal(carafe_set_status(req, 201), 0);
    assert_int_equal(carafe_set_status(req, 100), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_set_status(req, 600), CARAFE_ERR_ARGUMENT);
    return carafe_text(req, "made");
}

static int returned_status_view(carafe_request *req, void *arg)
{
    (void)arg;
    carafe_set_status(req, 201);
    carafe_text(req, "mine");
    return 404;
}

static void test_carafe_status(void **state)
{
    (void)state;
    ask(status_view);
    assert_int_equal(answer.status, 201);
    assert_true(http_answer_body_is(&answer, "made"));
    ask(returned_status_view);
    assert_int_equal(answer.status, 404);
    assert_true(http_answer_body_is(&answer, "mine"));
}

static int redirect_view(carafe_request *req, void *arg)
{
    (void)arg;
    carafe_text(req, "dropped");
    assert_int_equal(carafe_redirect(req, "/x", 200), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_redirect(req, "/x", 304), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_redirect(req, NULL, 0), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_redirect(req, "", 0), CARAFE_ERR_ARGUMENT);
    return carafe_redirect(req, "/login?next=%2F", 0);
}

static int see_other_view(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_redirect(req, "https://example.org/", 303);
}

static void test_carafe_redirect(void **state)
{
    (void)state;
    ask(redirect_view);
    assert_int_equal(answer.status, 302);
    check_header("Location", "/login?next=%2F");
    assert_int_equal(answer.body_len, 0);
    ask(see_other_view);
    assert_int_equal(answer.status, 303);
    check_header("Location", "https://example.org/");
}

static int abort_view(carafe_request *req, void *arg)
{
    (void)arg;
    carafe_text(req, "dropped");
    carafe_set_header(req, "X-A", "dropped");
    return carafe_abort(req, 403);
}

static int bad_abort_view(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_abort(req, 99);
}

static void test_carafe_abort(void **state)
{
    (void)state;
    ask(abort_view);
    assert_int_equal(answer.status, 403);
    assert_true(
        http_answer_body_is(&answer, "{\"error\":{\"code\":403,\"message\":\"Forbidden\"}}"));
    check_header("X-A", NULL);
    check_header("Content-Type", "application/json");
    ask(bad_abort_view);
    assert_int_equal(answer.status, 500);
}

static int cookie_view(carafe_request *req, void *arg)
{
    (void)arg;
    assert_int_equal(carafe_set_cookie(req, "a", "1"), 0);
    assert_int_equal(carafe_set_cookie(req, "b", "2", .max_age = 60, .path = "/x",
                                       .domain = "example.org", .same_site = "Lax", .secure = true,
                                       .http_only = true),
                     0);
    assert_int_equal(carafe_set_cookie(req, "c", "", .max_age = -1), 0);
    assert_int_equal(carafe_set_cookie_with(req, "d", "4", NULL), 0);
    return 0;
}

static void test_carafe_set_cookie(void **state)
{
    (void)state;
    ask(cookie_view);
    assert_int_equal(count_headers("Set-Cookie"), 4);
    assert_non_null(strstr(answer.head, "\r\nSet-Cookie: a=1; Path=/\r\n"));
    assert_non_null(strstr(answer.head, "\r\nSet-Cookie: b=2; Max-Age=60; Domain=example.org; "
                                        "Path=/x; Secure; HttpOnly; SameSite=Lax\r\n"));
    assert_non_null(strstr(answer.head, "\r\nSet-Cookie: c=; Max-Age=0; Expires=Thu, 01 Jan 1970 "
                                        "00:00:00 GMT; Path=/\r\n"));
    assert_non_null(strstr(answer.head, "\r\nSet-Cookie: d=4; Path=/\r\n"));
}

static int bad_cookie_view(carafe_request *req, void *arg)
{
    (void)arg;
    static const char *const values[] = { "a b", "a;b", "a,b", "a\"b", "a\\b", "\xc3\xa9" };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        assert_int_equal(carafe_set_cookie(req, "a", values[i]), CARAFE_ERR_ARGUMENT);
    static const char *const names[] = { "", "a b", "a=", "a;", "\xc3\xa9" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(carafe_set_cookie(req, names[i], "x"), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_set_cookie(req, NULL, "x"), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_set_cookie(req, "a", NULL), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_set_cookie(req, "a", "b", .path = "/;x"), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_set_cookie(req, "a", "b", .same_site = "lax"), CARAFE_ERR_ARGUMENT);
    carafe_cookie_options options = { .size = 0 };
    assert_int_equal(carafe_set_cookie_with(req, "a", "b", &options), CARAFE_ERR_ARGUMENT);
    return 0;
}

static void test_carafe_set_cookie_bad_characters_are_refused(void **state)
{
    (void)state;
    ask(bad_cookie_view);
    assert_int_equal(answer.status, 200);
    check_header("Set-Cookie", NULL);
}

static int old_caller_view(carafe_request *req, void *arg)
{
    (void)arg;
    /* A caller from before .path: what lies behind its struct must not be read. */
    carafe_cookie_options options = { .size = offsetof(carafe_cookie_options, path),
                                      .max_age = 5,
                                      .path = (const char *)1,
                                      .secure = true };
    return carafe_set_cookie_with(req, "a", "b", &options);
}

static void test_carafe_set_cookie_options_of_an_older_caller(void **state)
{
    (void)state;
    ask(old_caller_view);
    check_header("Set-Cookie", "a=b; Max-Age=5; Path=/");
}

static int failing_view(carafe_request *req, void *arg)
{
    (void)arg;
    carafe_text(req, "dropped");
    carafe_set_header(req, "X-A", "dropped");
    return CARAFE_ERR_NOMEM;
}

static int odd_status_view(carafe_request *req, void *arg)
{
    (void)req;
    (void)arg;
    return 7;
}

static int missing_file_view(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_send_file(req, "/nonexistent");
}

static void test_carafe_view_that_fails_is_answered_500(void **state)
{
    (void)state;
    ask(failing_view);
    assert_int_equal(answer.status, 500);
    assert_true(http_answer_body_is(
        &answer, "{\"error\":{\"code\":500,\"message\":\"Internal Server Error\"}}"));
    check_header("X-A", NULL);
    ask(odd_status_view);
    assert_int_equal(answer.status, 500);
    ask(missing_file_view);
    assert_int_equal(answer.status, 404);
}

static void test_carafe_view_that_fails_tells_why_in_debug(void **state)
{
    (void)state;
    atomic_store(&app.app->is_debug, true);
    ask(failing_view);
    assert_true(
        http_answer_body_is(&answer, "{\"error\":{\"code\":500,\"message\":\"out of memory\"}}"));
}

static int no_memory_view(carafe_request *req, void *arg)
{
    (void)arg;
    for (int n = 1; n < 6; n++) {
        mem_fail_after(n);
        int results[] = { carafe_text(req, "%0600d", 1), carafe_set_header(req, "A", "b"),
                          carafe_set_cookie(req, "a", "b"), carafe_redirect(req, "/", 0),
                          carafe_send_file(req, "/etc/passwd") };
        mem_fail_never();
        for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
            assert_true(results[i] == 0 || results[i] == CARAFE_ERR_NOMEM);
    }
    return carafe_text(req, "done");
}

static void test_carafe_answers_without_memory(void **state)
{
    (void)state;
    ask(no_memory_view);
    assert_true(http_answer_body_is(&answer, "done"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_carafe_bodies),
        TEST(test_carafe_text_large),
        TEST(test_carafe_failed_bodies_change_nothing),
        TEST(test_carafe_set_header),
        TEST(test_carafe_header_injection_is_refused),
        TEST(test_carafe_status),
        TEST(test_carafe_redirect),
        TEST(test_carafe_abort),
        TEST(test_carafe_set_cookie),
        TEST(test_carafe_set_cookie_bad_characters_are_refused),
        TEST(test_carafe_set_cookie_options_of_an_older_caller),
        TEST(test_carafe_view_that_fails_is_answered_500),
        TEST(test_carafe_view_that_fails_tells_why_in_debug),
        TEST(test_carafe_answers_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
