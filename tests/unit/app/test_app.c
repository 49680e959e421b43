/* Building an app: configuration, and what is refused. */
#include "app/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"

static carafe_app *app;
static int64_t blocks_before;
static char last_line[4096];

static void remember(log_level level, const char *line, void *arg)
{
    (void)level;
    (void)arg;
    snprintf(last_line, sizeof(last_line), "%s", line);
}

static int setup(void **state)
{
    (void)state;
    last_line[0] = '\0';
    log_set_sink(remember, NULL);
    blocks_before = mem_blocks_in_use();
    app = carafe_app_new("test");
    return app ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    carafe_app_free(app);
    log_set_sink(NULL, NULL);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

static int some_view(carafe_request *req, void *arg)
{
    (void)req;
    (void)arg;
    return 0;
}

static void test_app_configuration(void **state)
{
    (void)state;
    assert_int_equal(carafe_config_set(app, "A", json_integer(1)), 0);
    assert_int_equal(json_integer_value(carafe_config_get(app, "A")), 1);
    assert_null(carafe_config_get(app, "B"));
    assert_int_equal(carafe_config_set(app, "A", NULL), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_config_set(app, "", json_null()), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_config_set(app, NULL, json_object()), CARAFE_ERR_ARGUMENT);

    setenv("CARAFETEST_NUMBER", "5", 1);
    setenv("CARAFETEST_LIST", "[1,2]", 1);
    setenv("CARAFETEST_TEXT", "redis://", 1);
    setenv("CARAFETEST_", "no name", 1);
    assert_int_equal(carafe_config_from_env(app, "CARAFETEST_"), 3);
    assert_int_equal(json_integer_value(carafe_config_get(app, "NUMBER")), 5);
    assert_int_equal(json_array_size(carafe_config_get(app, "LIST")), 2);
    assert_string_equal(json_string_value(carafe_config_get(app, "TEXT")), "redis://");
    assert_int_equal(carafe_config_from_env(app, NULL), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_config_from_env(app, ""), CARAFE_ERR_ARGUMENT);
}

static int load(const char *text)
{
    char path[] = "/tmp/carafe-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int result = carafe_config_from_file(app, path);
    unlink(path);
    return result;
}

static void test_app_configuration_from_file(void **state)
{
    (void)state;
    assert_int_equal(load("{\"A\": \"x\", \"B\": {\"c\": 1}}"), 0);
    assert_string_equal(json_string_value(carafe_config_get(app, "A")), "x");
    assert_int_equal(load("{\n\"A\": 1,\n}"), CARAFE_ERR_BAD_JSON);
    assert_non_null(strstr(last_line, ":3: "));
    assert_int_equal(load("[1]"), CARAFE_ERR_BAD_JSON);
    assert_string_equal(json_string_value(carafe_config_get(app, "A")), "x");
    assert_int_equal(carafe_config_from_file(app, "/nonexistent"), CARAFE_ERR_FILE);
    assert_int_equal(carafe_config_from_file(app, NULL), CARAFE_ERR_FILE);
}

static void test_app_bad_registrations_are_refused_and_logged(void **state)
{
    (void)state;
    assert_int_equal(carafe_route(app, "x", some_view), CARAFE_ERR_ARGUMENT);
    assert_non_null(strstr(last_line, "route \"x\": a rule begins with a slash"));
    assert_int_equal(carafe_route(app, "/", NULL), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_route(app, NULL, some_view), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_route(app, "/", some_view, .methods = "FETCH"), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_route_with(app, "/", some_view, &(carafe_route_options){ 0 }),
                     CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_route_with(app, "/", some_view, NULL), 0);
    assert_int_equal(carafe_before_request(app, NULL, NULL), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_errorhandler(app, 404, NULL, NULL), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_errorhandler(app, 99, some_view, NULL), CARAFE_ERR_ARGUMENT);
}

static void test_app_without_memory_nothing_leaks(void **state)
{
    (void)state;
    for (int n = 1; n < 12; n++) {
        mem_fail_after(n);
        carafe_app *other = carafe_app_new("other");
        if (other) {
            carafe_route(other, "/a/<b>", some_view);
            carafe_before_request(other, some_view, NULL);
            carafe_errorhandler(other, 404, some_view, NULL);
        }
        mem_fail_never();
        carafe_app_free(other);
    }
    carafe_app_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

typedef struct heard {
    int count;
    carafe_log_level level;
    char line[256];
} heard;

static void on_log(carafe_log_level level, const char *line, void *arg)
{
    heard *h = arg;
    h->count++;
    h->level = level;
    snprintf(h->line, sizeof(h->line), "%s", line);
}

static void test_app_log_goes_where_the_program_wants_it(void **state)
{
    (void)state;
    heard h = { 0 };
    carafe_set_log(on_log, &h);
    carafe_log(CARAFE_LOG_WARNING, "low on %s\x1b[2J", "coffee");
    assert_int_equal(h.count, 1);
    assert_int_equal(h.level, CARAFE_LOG_WARNING);
    assert_non_null(strstr(h.line, "WARN  [app] low on coffee\\x1b[2J"));
    /* Below the level of the program's own lines. */
    carafe_log(CARAFE_LOG_DEBUG, "nobody hears this");
    assert_int_equal(h.count, 1);
    carafe_log((carafe_log_level)99, "no such level");
    assert_int_equal(h.level, CARAFE_LOG_ERROR);
    carafe_set_log(NULL, NULL);
    assert_int_equal(h.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_app_log_goes_where_the_program_wants_it),
        TEST(test_app_configuration),
        TEST(test_app_configuration_from_file),
        TEST(test_app_bad_registrations_are_refused_and_logged),
        TEST(test_app_without_memory_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
