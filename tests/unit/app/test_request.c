/* The accessors of a live request: each test registers a view that looks at one. */
#include "app/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app_memory.h"
#include "base/mem.h"

static app_memory app;
static int64_t blocks_before;
static int view_count;

static int setup(void **state)
{
    (void)state;
    view_count = 0;
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

/* Sends `request` to a view on `rule`, which must be called. */
static void check(const char *rule, carafe_view *view, const char *request)
{
    http_answer answer;
    assert_int_equal(carafe_route(app.app, rule, view, .methods = "GET,POST", .arg = &view_count),
                     0);
    app_memory_ask(&app, request, &answer);
    assert_int_equal(answer.status, 204);
    assert_int_equal(view_count, 1);
}

static int done(void *arg)
{
    ++*(int *)arg;
    return 204;
}

#define ASSERT_TEXT(actual, expected)                                                              \
    do {                                                                                           \
        const char *actual_ = (actual);                                                            \
        assert_non_null(actual_);                                                                  \
        assert_string_equal(actual_, expected);                                                    \
    } while (0)

static int line_view(carafe_request *req, void *arg)
{
    ASSERT_TEXT(carafe_method(req), "GET");
    ASSERT_TEXT(carafe_path(req), "/us er/\xc3\xa9/x");
    ASSERT_TEXT(carafe_url(req), "/us%20er/%C3%A9/x?a=%31");
    ASSERT_TEXT(carafe_remote_addr(req), "127.0.0.1");
    assert_ptr_equal(carafe_current_app(req), app.app);
    /* The same memory, not a copy each time. */
    assert_ptr_equal(carafe_path(req), carafe_path(req));
    assert_ptr_equal(carafe_url(req), carafe_url(req));
    return done(arg);
}

static void test_carafe_request_line(void **state)
{
    (void)state;
    check("/<path:p>", line_view, "GET /us%20er/%C3%A9/x?a=%31 HTTP/1.1\r\nHost: x\r\n\r\n");
}

static int args_view(carafe_request *req, void *arg)
{
    ASSERT_TEXT(carafe_view_arg(req, "name"), "a b");
    ASSERT_TEXT(carafe_view_arg(req, "id"), "12");
    ASSERT_TEXT(carafe_view_arg(req, "rest"), "p/q");
    assert_null(carafe_view_arg(req, "other"));
    assert_null(carafe_view_arg(req, NULL));
    return done(arg);
}

static void test_carafe_view_arg_is_decoded(void **state)
{
    (void)state;
    check("/x-<name>/<int:id>/<path:rest>", args_view,
          "GET /x-a%20b/12/p%2Fq HTTP/1.1\r\nHost: x\r\n\r\n");
}

static int plus_view(carafe_request *req, void *arg)
{
    ASSERT_TEXT(carafe_view_arg(req, "name"), "a+b c");
    return done(arg);
}

static void test_carafe_view_arg_plus_stays(void **state)
{
    (void)state;
    check("/<name>", plus_view, "GET /a+b%20c HTTP/1.1\r\nHost: x\r\n\r\n");
}

static int query_view(carafe_request *req, void *arg)
{
    ASSERT_TEXT(carafe_query(req, "a"), "1");
    ASSERT_TEXT(carafe_query(req, "b"), "x y&=");
    ASSERT_TEXT(carafe_query(req, "empty"), "");
    ASSERT_TEXT(carafe_query(req, "bare"), "");
    ASSERT_TEXT(carafe_query(req, "k y"), "v");
    assert_null(carafe_query(req, "nul"));
    assert_null(carafe_query(req, "none"));
    assert_null(carafe_query(req, NULL));
    json_t *all = carafe_query_all(req);
    assert_ptr_equal(all, carafe_query_all(req));
    assert_int_equal(json_object_size(all), 7);
    json_t *values = json_object_get(all, "a");
    assert_int_equal(json_array_size(values), 3);
    assert_string_equal(json_string_value(json_array_get(values, 2)), "3");
    assert_string_equal(json_string_value(json_object_get(all, "b")), "x y&=");
    assert_string_equal(json_string_value(json_object_get(all, "bad")), "\xef\xbf\xbdz");
    assert_int_equal(json_string_length(json_object_get(all, "nul")), 3);
    return done(arg);
}

static void test_carafe_query(void **state)
{
    (void)state;
    check("/", query_view,
          "GET /?a=1&b=x+y%26%3d&a=2&&empty=&bare&k%20y=v&nul=a%00b&a=3&bad=%ffz HTTP/1.1\r\n"
          "Host: x\r\n\r\n");
}

static int no_query_view(carafe_request *req, void *arg)
{
    assert_null(carafe_query(req, "a"));
    assert_int_equal(json_object_size(carafe_query_all(req)), 0);
    ASSERT_TEXT(carafe_url(req), "/");
    return done(arg);
}

static void test_carafe_query_none(void **state)
{
    (void)state;
    check("/", no_query_view, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
}

static int header_view(carafe_request *req, void *arg)
{
    ASSERT_TEXT(carafe_header(req, "x-one"), "1");
    ASSERT_TEXT(carafe_header(req, "X-List"), "a, b, c");
    ASSERT_TEXT(carafe_header(req, "X-Empty"), "");
    ASSERT_TEXT(carafe_header(req, "Cookie"), "a=1; b=\"two\"; c=3=3; d; a=9");
    assert_null(carafe_header(req, "X-None"));
    assert_null(carafe_header(req, NULL));
    ASSERT_TEXT(carafe_cookie(req, "a"), "1");
    ASSERT_TEXT(carafe_cookie(req, "b"), "two");
    ASSERT_TEXT(carafe_cookie(req, "c"), "3=3");
    assert_null(carafe_cookie(req, "d"));
    assert_null(carafe_cookie(req, "A"));
    assert_null(carafe_cookie(req, NULL));
    return done(arg);
}

static void test_carafe_header_and_cookie(void **state)
{
    (void)state;
    check("/", header_view,
          "GET / HTTP/1.1\r\nHost: x\r\nX-One: 1\r\nX-List: a\r\nx-list: b, c\r\nX-Empty:\r\n"
          "Cookie: a=1; b=\"two\"\r\nCookie: c=3=3; d; a=9\r\n\r\n");
}

static int form_view(carafe_request *req, void *arg)
{
    ASSERT_TEXT(carafe_form(req, "user"), "ann lee");
    ASSERT_TEXT(carafe_form(req, "pw"), "a%b");
    assert_null(carafe_form(req, "none"));
    size_t len;
    ASSERT_TEXT(carafe_body(req, &len), "user=ann+lee&pw=a%25b");
    assert_int_equal(len, 21);
    assert_null(carafe_json(req));
    return done(arg);
}

static void test_carafe_form(void **state)
{
    (void)state;
    check("/", form_view,
          "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 21\r\n"
          "Content-Type: Application/x-www-form-urlencoded ; charset=utf-8\r\n\r\n"
          "user=ann+lee&pw=a%25b");
}

static int no_form_view(carafe_request *req, void *arg)
{
    assert_null(carafe_form(req, "a"));
    return done(arg);
}

static void test_carafe_form_other_content_type_is_no_form(void **state)
{
    (void)state;
    check("/", no_form_view,
          "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Type: text/plain\r\n\r\na=1");
}

static int json_view(carafe_request *req, void *arg)
{
    json_t *value = carafe_json(req);
    assert_true(json_is_object(value));
    assert_ptr_equal(carafe_json(req), value);
    assert_int_equal(json_integer_value(json_object_get(value, "a")), 1);
    size_t len;
    ASSERT_TEXT(carafe_body(req, &len), "{\"a\":1}");
    assert_int_equal(len, 7);
    return done(arg);
}

static void test_carafe_json_of_a_chunked_body(void **state)
{
    (void)state;
    check("/", json_view,
          "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
          "3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n");
}

static int scalar_view(carafe_request *req, void *arg)
{
    assert_int_equal(json_integer_value(carafe_json(req)), 42);
    return done(arg);
}

static void test_carafe_json_scalar(void **state)
{
    (void)state;
    check("/", scalar_view, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n42");
}

static int no_json_view(carafe_request *req, void *arg)
{
    assert_null(carafe_json(req));
    assert_null(carafe_json(req));
    return done(arg);
}

static void test_carafe_json_malformed_is_null(void **state)
{
    (void)state;
    check("/", no_json_view, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{a}");
}

static int depth_view(carafe_request *req, void *arg)
{
    bool is_fine = carafe_json(req) != NULL;
    ++*(int *)arg;
    return is_fine ? 200 : 400;
}

/* Posts an array in an array in an array... */
static int status_of_depth(size_t depth)
{
    static char request[300000];
    http_answer answer;
    size_t len = (size_t)snprintf(request, sizeof(request),
                                  "POST /deep HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                                  depth * 2);
    memset(request + len, '[', depth);
    memset(request + len + depth, ']', depth);
    request[len + depth * 2] = '\0';
    app_memory_ask(&app, request, &answer);
    return answer.status;
}

static void test_carafe_json_deeper_than_the_limit_is_null(void **state)
{
    (void)state;
    carafe_route(app.app, "/deep", depth_view, .methods = "POST", .arg = &view_count);
    assert_int_equal(status_of_depth(64), 200);
    assert_int_equal(status_of_depth(65), 400);
    assert_int_equal(status_of_depth(100000), 400);
}

static int g_view(carafe_request *req, void *arg)
{
    json_t *g = carafe_g(req);
    assert_int_equal(json_object_size(g), 0);
    json_object_set_new(g, "a", json_true());
    assert_ptr_equal(carafe_g(req), g);
    return done(arg);
}

static void test_carafe_g_is_empty_for_each_request(void **state)
{
    (void)state;
    check("/", g_view, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    http_answer answer;
    app_memory_get(&app, "GET", "/", &answer);
    assert_int_equal(answer.status, 204);
}

static int greedy_view(carafe_request *req, void *arg)
{
    /* More than any block of the request's memory holds. */
    for (int i = 0; i < 1000; i++)
        ASSERT_TEXT(carafe_header(req, "X-Long"), carafe_header(req, "X-Long"));
    return done(arg);
}

static void test_carafe_request_memory_grows(void **state)
{
    (void)state;
    char request[8192] = "GET / HTTP/1.1\r\nHost: x\r\nX-Long: ";
    memset(request + strlen(request), 'x', 6000);
    strcat(request, "\r\n\r\n");
    check("/", greedy_view, request);
}

static int all_view(carafe_request *req, void *arg)
{
    (void)arg;
    carafe_path(req);
    carafe_url(req);
    carafe_remote_addr(req);
    carafe_query_all(req);
    carafe_query(req, "a");
    carafe_header(req, "X-List");
    carafe_cookie(req, "a");
    carafe_form(req, "a");
    carafe_body(req, NULL);
    carafe_json(req);
    return 200;
}

static void test_carafe_request_without_memory_fails_softly(void **state)
{
    (void)state;
    static const char REQUEST[] =
        "POST /%61?a=1 HTTP/1.1\r\nHost: x\r\nX-List: a\r\nX-List: b\r\nCookie: a=1\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=1";
    carafe_route(app.app, "/a", all_view, .methods = "POST");
    for (int n = 1; n < 30; n++) {
        net_memory *client = app_memory_connect(&app);
        mem_fail_after(n);
        net_memory_feed(client, REQUEST, sizeof(REQUEST) - 1);
        mem_fail_never();
        app_memory_run(&app);
        net_memory_free(client);
        app_memory_run(&app);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_carafe_request_line),
        TEST(test_carafe_view_arg_is_decoded),
        TEST(test_carafe_view_arg_plus_stays),
        TEST(test_carafe_query),
        TEST(test_carafe_query_none),
        TEST(test_carafe_header_and_cookie),
        TEST(test_carafe_form),
        TEST(test_carafe_form_other_content_type_is_no_form),
        TEST(test_carafe_json_of_a_chunked_body),
        TEST(test_carafe_json_scalar),
        TEST(test_carafe_json_malformed_is_null),
        TEST(test_carafe_json_deeper_than_the_limit_is_null),
        TEST(test_carafe_g_is_empty_for_each_request),
        TEST(test_carafe_request_memory_grows),
        TEST(test_carafe_request_without_memory_fails_softly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
