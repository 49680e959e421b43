#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "engineio/config.h"

static eio_config config;
static eio_server_options options;
static char last_line[512];
static int line_count;

static void remember(log_level level, const char *line, void *arg)
{
    (void)arg;
    assert_int_equal(level, LOG_ERROR);
    snprintf(last_line, sizeof(last_line), "%s", line);
    line_count++;
}

static int setup(void **state)
{
    (void)state;
    config = (eio_config){0};
    options = (eio_server_options){.size = sizeof(options)};
    line_count = 0;
    log_set_sink(remember, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    eio_config_deinit(&config);
    log_set_sink(NULL, NULL);
    assert_int_equal(mem_blocks_in_use(), 0);
    return 0;
}

static void check_accepted(void)
{
    eio_config_deinit(&config);
    assert_int_equal(eio_config_init(&config, &options, "/engine.io/"), 0);
    assert_int_equal(line_count, 0);
}

/* Refused with exactly one line, which names the option. */
static void check_refused(const char *option)
{
    char word[64];
    eio_config_deinit(&config);
    snprintf(word, sizeof(word), "option .%s ", option);
    assert_int_equal(eio_config_init(&config, &options, "/engine.io/"), CARAFE_ERR_ARGUMENT);
    assert_int_equal(line_count, 1);
    assert_non_null(strstr(last_line, word));
    assert_int_equal(mem_blocks_in_use(), 0);
    line_count = 0;
}

static void test_config_defaults(void **state)
{
    (void)state;
    check_accepted();
    assert_string_equal(config.path, "/engine.io/");
    assert_int_equal(config.ping_interval_ms, 25000);
    assert_int_equal(config.ping_timeout_ms, 20000);
    assert_int_equal(config.connect_timeout_ms, 45000);
    assert_int_equal(config.upgrade_timeout_ms, 10000);
    assert_int_equal(config.message_size_max, 1000000);
    assert_int_equal(config.output_size_max, 16 * 1024 * 1024);
    assert_true(config.allow_upgrades && config.has_polling && config.has_websocket);
    assert_null(config.cookie);
    assert_null(config.cookie_attributes);
    assert_null(config.origins.allowed);
    assert_false(config.origins.is_off || config.origins.is_any);
    assert_true(config.origins.allow_credentials);
    assert_null(config.origin_check);
}

static void check_time(const char *name, double *option, const uint32_t *result)
{
    static const double wrong[] = {-1, -0.001, 0.0009, 86400.001, 1e300, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        *option = wrong[i];
        check_refused(name);
    }
    static const struct {
        double seconds;
        uint32_t ms;
    } right[] = {{0.001, 1}, {0.3, 300}, {1.0004, 1000}, {60, 60000}, {86400, 86400000}};
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        *option = right[i].seconds;
        check_accepted();
        assert_int_equal(*result, right[i].ms);
    }
    *option = 0;
}

static void test_config_times_have_a_range(void **state)
{
    (void)state;
    check_time("ping_interval", &options.ping_interval, &config.ping_interval_ms);
    check_time("ping_timeout", &options.ping_timeout, &config.ping_timeout_ms);
    check_time("connect_timeout", &options.connect_timeout, &config.connect_timeout_ms);
    check_time("upgrade_timeout", &options.upgrade_timeout, &config.upgrade_timeout_ms);
}

static void check_size(const char *name, size_t *option, const size_t *result)
{
    *option = 1;
    check_accepted();
    assert_int_equal(*result, 1);
    *option = 1 << 30;
    check_accepted();
    assert_int_equal(*result, 1 << 30);
    *option = (1 << 30) + 1;
    check_refused(name);
    *option = SIZE_MAX;
    check_refused(name);
    *option = 0;
}

static void test_config_sizes_have_a_range(void **state)
{
    (void)state;
    check_size("max_http_buffer_size", &options.max_http_buffer_size, &config.message_size_max);
    check_size("max_output_size", &options.max_output_size, &config.output_size_max);
}

static void test_config_transports(void **state)
{
    (void)state;
    options.transports = "polling";
    check_accepted();
    assert_true(config.has_polling && !config.has_websocket);
    options.transports = "websocket";
    check_accepted();
    assert_true(!config.has_polling && config.has_websocket);
    options.transports = "websocket,polling,polling";
    check_accepted();
    assert_true(config.has_polling && config.has_websocket);
    options.transports = "";
    check_refused("transports");
    options.transports = "polling,webtransport";
    check_refused("transports");
    options.transports = "";
    check_refused("transports");
}

static void test_config_path_gets_its_slashes(void **state)
{
    (void)state;
    static const char *const same[] = {"/a/b/", "a/b", "/a/b", "a/b/"};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        options.path = same[i];
        check_accepted();
        assert_string_equal(config.path, "/a/b/");
    }
    options.path = "/";
    check_accepted();
    assert_string_equal(config.path, "/");
    static const char *const wrong[] = {"", "/a?b", "/a#b", "/a b", "/%41"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        options.path = wrong[i];
        check_refused("path");
    }
}

static void test_config_upgrades_can_be_off(void **state)
{
    (void)state;
    options.allow_upgrades = SIO_OFF;
    check_accepted();
    assert_false(config.allow_upgrades);
    options.allow_upgrades = SIO_ON;
    check_accepted();
    assert_true(config.allow_upgrades);
}

static void test_config_cookie_attributes(void **state)
{
    (void)state;
    options.cookie = "io";
    check_accepted();
    assert_string_equal(config.cookie, "io");
    assert_string_equal(config.cookie_attributes, "; Path=/; HttpOnly; SameSite=Lax");
    options.cookie_options = &(eio_cookie_options){0};
    check_accepted();
    assert_string_equal(config.cookie_attributes, "; Path=/; SameSite=Lax");
    options.cookie_options = &(eio_cookie_options){.path = "/chat",
                                                   .domain = "example.org",
                                                   .same_site = "None",
                                                   .max_age = 3600,
                                                   .secure = true,
                                                   .http_only = true};
    check_accepted();
    assert_string_equal(
        config.cookie_attributes,
        "; Path=/chat; Domain=example.org; Max-Age=3600; Secure; HttpOnly; SameSite=None");
}

static void test_config_cookie_injection_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"",    "a=b",  "a;b",  "a b",   "a\r\nb",
                                        "a,b", "a\"b", "a\tb", "a\x7f", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        options.cookie = names[i];
        check_refused("cookie");
    }
    options.cookie = "io";
    static const char *const values[] = {"a;b", "a\r\nSet-Cookie: x=1", "a b", "\xff"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        options.cookie_options = &(eio_cookie_options){.path = values[i]};
        check_refused("cookie_options");
        options.cookie_options = &(eio_cookie_options){.domain = values[i]};
        check_refused("cookie_options");
        options.cookie_options = &(eio_cookie_options){.same_site = values[i]};
        check_refused("cookie_options");
    }
}

static void test_config_cookie_options_without_a_name_are_ignored(void **state)
{
    (void)state;
    options.cookie_options = &(eio_cookie_options){.path = "a;b"};
    check_accepted();
    assert_null(config.cookie_attributes);
}

static bool check_origin(const char *origin, carafe_request *req, void *arg)
{
    (void)origin;
    (void)req;
    return arg != NULL;
}

static void test_config_origins(void **state)
{
    (void)state;
    options.cors_allowed_origins = "https://a.example";
    options.cors_credentials = SIO_OFF;
    options.cors_check = check_origin;
    options.cors_check_arg = &options;
    check_accepted();
    assert_string_equal(config.origins.allowed[0], "https://a.example");
    assert_null(config.origins.allowed[1]);
    assert_false(config.origins.allow_credentials);
    assert_ptr_equal(config.origin_check, check_origin);
    assert_ptr_equal(config.origin_check_arg, &options);
    options.cors_allowed_origins = "";
    check_accepted();
    assert_true(config.origins.is_off);
}

static void test_config_strings_are_copied(void **state)
{
    (void)state;
    char path[] = "/chat/", cookie[] = "io";
    options.path = path;
    options.cookie = cookie;
    check_accepted();
    path[1] = cookie[0] = 'x';
    assert_string_equal(config.path, "/chat/");
    assert_string_equal(config.cookie, "io");
}

static void test_config_without_memory(void **state)
{
    (void)state;
    options.path = "chat";
    options.cookie = "io";
    options.cors_allowed_origins = "https://a.example";
    int n = 1, error;
    do {
        mem_fail_after(n++);
        error = eio_config_init(&config, &options, "/engine.io/");
        mem_fail_never();
        if (error < 0) {
            assert_int_equal(error, CARAFE_ERR_NOMEM);
            assert_int_equal(mem_blocks_in_use(), 0);
        }
    } while (error < 0);
    assert_true(n > 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_config_defaults),
        TEST(test_config_times_have_a_range),
        TEST(test_config_sizes_have_a_range),
        TEST(test_config_transports),
        TEST(test_config_path_gets_its_slashes),
        TEST(test_config_upgrades_can_be_off),
        TEST(test_config_cookie_attributes),
        TEST(test_config_cookie_injection_is_refused),
        TEST(test_config_cookie_options_without_a_name_are_ignored),
        TEST(test_config_origins),
        TEST(test_config_strings_are_copied),
        TEST(test_config_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
