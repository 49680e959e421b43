#include "app/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

enum { GET = 1u << HTTP_METHOD_GET, POST = 1u << HTTP_METHOD_POST, HEAD = 1u << HTTP_METHOD_HEAD };

static router routes;
static int64_t blocks_before;

static int setup(void **state)
{
    (void)state;
    blocks_before = mem_blocks_in_use();
    router_init(&routes);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    router_deinit(&routes);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

static int add_with(const char *rule, unsigned methods)
{
    const char *problem;
    int error = router_add(&routes, &(route_options){ .rule = rule, .methods = methods }, &problem);
    if (error == CARAFE_ERR_ARGUMENT)
        assert_non_null(problem);
    else
        assert_null(problem);
    return error;
}

static void add(const char *rule)
{
    assert_int_equal(add_with(rule, GET), 0);
}

/* The rule a path leads to, or "". */
static const char *rule_of(const char *path)
{
    route_match match;
    router_match(&routes, slice_str(path), HTTP_METHOD_GET, &match);
    return match.route ? match.route->rule : "";
}

static const char *arg_of(const char *path, const char *name)
{
    static char text[256];
    route_match match;
    router_match(&routes, slice_str(path), HTTP_METHOD_GET, &match);
    slice value = route_match_arg(&match, name);
    if (!value.data)
        return NULL;
    snprintf(text, sizeof(text), "%.*s", (int)value.len, value.data);
    return text;
}

static void test_router_static_rules_match_exactly(void **state)
{
    (void)state;
    add("/");
    add("/about");
    add("/a/b/c");
    add("/docs/");
    assert_string_equal(rule_of("/"), "/");
    assert_string_equal(rule_of("/about"), "/about");
    assert_string_equal(rule_of("/a/b/c"), "/a/b/c");
    assert_string_equal(rule_of("/docs/"), "/docs/");
    static const char *const others[] = { "",     "about", "/about/", "/abou",   "/About",
                                          "/a/b", "/docs", "//",      "/a//b/c", "*" };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_string_equal(rule_of(others[i]), "");
}

static void test_router_string_variable_is_one_segment_that_is_not_empty(void **state)
{
    (void)state;
    add("/user/<name>");
    assert_string_equal(arg_of("/user/ann", "name"), "ann");
    assert_string_equal(arg_of("/user/a b%", "name"), "a b%");
    assert_null(arg_of("/user/ann", "other"));
    assert_string_equal(rule_of("/user/"), "");
    assert_string_equal(rule_of("/user"), "");
    assert_string_equal(rule_of("/user/ann/"), "");
    assert_string_equal(rule_of("/user/ann/x"), "");
}

static void test_router_int_variable_is_digits(void **state)
{
    (void)state;
    add("/item/<int:id>");
    assert_string_equal(arg_of("/item/0042", "id"), "0042");
    static const char *const others[] = { "/item/",   "/item/x",   "/item/4x", "/item/-4",
                                          "/item/+4", "/item/4.0", "/item/ 4" };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_string_equal(rule_of(others[i]), "");
}

static void test_router_path_variable_takes_all_that_is_left(void **state)
{
    (void)state;
    add("/files/<path:rest>");
    assert_string_equal(arg_of("/files/a", "rest"), "a");
    assert_string_equal(arg_of("/files/a/b//c/", "rest"), "a/b//c/");
    assert_string_equal(rule_of("/files/"), "");
    assert_string_equal(rule_of("/files"), "");
}

static void test_router_path_variable_that_may_be_empty(void **state)
{
    (void)state;
    const char *problem;
    route_options options = { .rule = "/static/<path:p>", .methods = GET, .may_be_empty = true };
    assert_int_equal(router_add(&routes, &options, &problem), 0);
    assert_string_equal(arg_of("/static/", "p"), "");
    assert_string_equal(arg_of("/static/x", "p"), "x");
    assert_string_equal(rule_of("/static"), "");
}

static void test_router_several_variables(void **state)
{
    (void)state;
    add("/<lang>/wiki/<int:id>/<path:rest>");
    const char *path = "/de/wiki/7/x/y";
    assert_string_equal(arg_of(path, "lang"), "de");
    assert_string_equal(arg_of(path, "id"), "7");
    assert_string_equal(arg_of(path, "rest"), "x/y");
}

static void test_router_text_around_a_variable(void **state)
{
    (void)state;
    add("/@<name>");
    add("/img/<name>.png");
    add("/v<int:n>/x");
    assert_string_equal(arg_of("/@ann", "name"), "ann");
    assert_string_equal(arg_of("/img/a.b.png", "name"), "a.b");
    assert_string_equal(arg_of("/v2/x", "n"), "2");
    static const char *const others[] = { "/@", "/ann", "/img/.png", "/img/png", "/v/x", "/vx/x" };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_string_equal(rule_of(others[i]), "");
}

/* Each rule of the list is preferred to those behind it, whatever the order they come in. */
static void check_order(const char *const *rules, size_t count, const char *path)
{
    for (size_t first = 0; first < count; first++) {
        for (int reverse = 0; reverse < 2; reverse++) {
            router_deinit(&routes);
            for (size_t i = first; i < count; i++)
                add(rules[reverse ? count - 1 - (i - first) : i]);
            assert_string_equal(rule_of(path), rules[first]);
        }
    }
}

static void test_router_static_beats_int_beats_string_beats_path(void **state)
{
    (void)state;
    static const char *const rules[] = { "/x/42",   "/x/<int:b>", "/x/<c>",
                                         "/<d>/42", "/<d>/<e>",   "/<path:f>" };
    check_order(rules, sizeof(rules) / sizeof(rules[0]), "/x/42");
}

static void test_router_text_around_a_variable_beats_none(void **state)
{
    (void)state;
    static const char *const rules[] = { "/v<int:a>.0", "/v<int:b>0", "/v<c>", "/<d>",
                                         "/<path:e>" };
    check_order(rules, 1, "/v1.0");
    check_order(rules + 2, 3, "/v1.0");
    check_order(rules + 1, 4, "/v10");
}

static void test_router_goes_back_when_the_preferred_part_leads_nowhere(void **state)
{
    (void)state;
    add("/a/<int:id>/edit");
    add("/a/<name>/show");
    add("/<any>/5/delete");
    assert_string_equal(rule_of("/a/5/edit"), "/a/<int:id>/edit");
    assert_string_equal(rule_of("/a/5/show"), "/a/<name>/show");
    assert_string_equal(rule_of("/a/5/delete"), "/<any>/5/delete");
}

static void test_router_methods_choose_among_rules_of_one_path(void **state)
{
    (void)state;
    route_match match;
    assert_int_equal(add_with("/x", GET), 0);
    assert_int_equal(add_with("/x", POST), 0);
    assert_int_equal(add_with("/<name>", 1u << HTTP_METHOD_PUT), 0);
    router_match(&routes, slice_str("/x"), HTTP_METHOD_POST, &match);
    assert_non_null(match.route);
    assert_int_equal(match.route->methods, POST);
    router_match(&routes, slice_str("/x"), HTTP_METHOD_PUT, &match);
    assert_string_equal(match.route->rule, "/<name>");
    router_match(&routes, slice_str("/x"), HTTP_METHOD_DELETE, &match);
    assert_null(match.route);
    assert_int_equal(match.allowed, GET | HEAD | POST | 1u << HTTP_METHOD_PUT);
    router_match(&routes, slice_str("/x"), HTTP_METHOD_OTHER, &match);
    assert_null(match.route);
    router_match(&routes, slice_str("/x/y"), HTTP_METHOD_GET, &match);
    assert_null(match.route);
    assert_int_equal(match.allowed, 0);
}

static void test_router_head_goes_with_get_unless_it_has_a_rule(void **state)
{
    (void)state;
    route_match match;
    add("/x");
    router_match(&routes, slice_str("/x"), HTTP_METHOD_HEAD, &match);
    assert_non_null(match.route);
    assert_int_equal(match.route->methods, GET);
    assert_int_equal(add_with("/x", HEAD), 0);
    router_match(&routes, slice_str("/x"), HTTP_METHOD_HEAD, &match);
    assert_int_equal(match.route->methods, HEAD);
    assert_int_equal(add_with("/post", POST), 0);
    router_match(&routes, slice_str("/post"), HTTP_METHOD_HEAD, &match);
    assert_null(match.route);
}

static void test_router_add_malformed_rules_are_refused(void **state)
{
    (void)state;
    static const char *const rules[] = {
        "",           "x",           "//",         "/a//b",      "/a?b",
        "/a#b",       "/a\nb",       "/<",         "/>",         "/<>",
        "/<a",        "/a>",         "/<a><b>",    "/<a>-<b>",   "/<1a>",
        "/<a-b>",     "/<a>/<a>",    "/<float:a>", "/<int:>",    "/<:a>",
        "/<path:a>/", "/<path:a>/b", "/x<path:a>", "/<int:a:b>", "/><",
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        assert_int_equal(add_with(rules[i], GET), CARAFE_ERR_ARGUMENT);
}

static void test_router_add_limits(void **state)
{
    (void)state;
    char rule[ROUTE_RULE_SIZE_MAX + 2];
    size_t len = 0;
    for (int i = 0; i < ROUTE_ARG_COUNT_MAX; i++)
        len += (size_t)snprintf(rule + len, sizeof(rule) - len, "/<v%d>", i);
    assert_int_equal(add_with(rule, GET), 0);
    strcpy(rule + len, "/<last>");
    assert_int_equal(add_with(rule, GET), CARAFE_ERR_ARGUMENT);

    for (len = 0; len < (size_t)ROUTE_SEGMENT_COUNT_MAX * 2; len += 2)
        memcpy(rule + len, "/s", 3);
    assert_int_equal(add_with(rule, GET), 0);
    assert_string_equal(rule_of(rule), rule);
    strcpy(rule + len, "/s");
    assert_int_equal(add_with(rule, GET), CARAFE_ERR_ARGUMENT);

    memset(rule, 'x', sizeof(rule));
    rule[0] = '/';
    rule[ROUTE_RULE_SIZE_MAX] = '\0';
    assert_int_equal(add_with(rule, GET), 0);
    rule[ROUTE_RULE_SIZE_MAX] = 'x';
    rule[ROUTE_RULE_SIZE_MAX + 1] = '\0';
    assert_int_equal(add_with(rule, GET), CARAFE_ERR_ARGUMENT);
}

static void test_router_add_the_same_rule_and_method_again_is_refused(void **state)
{
    (void)state;
    add("/a");
    add("/user/<name>");
    assert_int_equal(add_with("/a", GET | POST), CARAFE_ERR_ARGUMENT);
    assert_int_equal(add_with("/user/<other>", GET), CARAFE_ERR_ARGUMENT);
    assert_int_equal(add_with("/user/<other>", POST), 0);
    assert_int_equal(add_with("/user/<int:name>", GET), 0);
    assert_int_equal(add_with("/user/x<name>", GET), 0);
}

static void test_router_many_rules(void **state)
{
    (void)state;
    char rule[64], path[64];
    for (int i = 0; i < 1000; i++) {
        snprintf(rule, sizeof(rule), "/static/%d", i);
        add(rule);
        snprintf(rule, sizeof(rule), "/var%d/<int:id>", i);
        add(rule);
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(rule, sizeof(rule), "/static/%d", i);
        assert_string_equal(rule_of(rule), rule);
        snprintf(rule, sizeof(rule), "/var%d/<int:id>", i);
        snprintf(path, sizeof(path), "/var%d/%d", i, i);
        assert_string_equal(rule_of(path), rule);
    }
}

static void test_router_add_without_memory_changes_nothing(void **state)
{
    (void)state;
    static const char *const rules[] = { "/static", "/var/<name>" };
    for (size_t i = 0; i < 2; i++) {
        int error = CARAFE_ERR_NOMEM;
        for (int n = 1; error == CARAFE_ERR_NOMEM; n++) {
            mem_fail_after(n);
            error = add_with(rules[i], GET);
            mem_fail_never();
            if (error < 0)
                assert_string_equal(rule_of(i ? "/var/x" : "/static"), "");
        }
        assert_int_equal(error, 0);
    }
}

static void test_route_methods_parse(void **state)
{
    (void)state;
    unsigned methods = 0;
    assert_int_equal(route_methods_parse("GET", &methods), 0);
    assert_int_equal(methods, GET);
    assert_int_equal(route_methods_parse(" get ,\tPost", &methods), 0);
    assert_int_equal(methods, GET | POST);
    static const char *const bad[] = { "", ",", "GET,", "GET POST", "FETCH", "GET;POST" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(route_methods_parse(bad[i], &methods), CARAFE_ERR_ARGUMENT);
}

static void test_route_methods_format_fits_all(void **state)
{
    (void)state;
    char text[ROUTE_ALLOW_SIZE];
    route_methods_format(GET | HEAD, text);
    assert_string_equal(text, "GET, HEAD, OPTIONS");
    route_methods_format(~0u, text);
    assert_string_equal(text, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_router_static_rules_match_exactly),
        TEST(test_router_string_variable_is_one_segment_that_is_not_empty),
        TEST(test_router_int_variable_is_digits),
        TEST(test_router_path_variable_takes_all_that_is_left),
        TEST(test_router_path_variable_that_may_be_empty),
        TEST(test_router_several_variables),
        TEST(test_router_text_around_a_variable),
        TEST(test_router_static_beats_int_beats_string_beats_path),
        TEST(test_router_text_around_a_variable_beats_none),
        TEST(test_router_goes_back_when_the_preferred_part_leads_nowhere),
        TEST(test_router_methods_choose_among_rules_of_one_path),
        TEST(test_router_head_goes_with_get_unless_it_has_a_rule),
        TEST(test_router_add_malformed_rules_are_refused),
        TEST(test_router_add_limits),
        TEST(test_router_add_the_same_rule_and_method_again_is_refused),
        TEST(test_router_many_rules),
        TEST(test_router_add_without_memory_changes_nothing),
        TEST(test_route_methods_parse),
        TEST(test_route_methods_format_fits_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
