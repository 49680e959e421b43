#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "socketio/options.h"

static sio_server_options merged;
static char last_line[1000];
static int64_t blocks_before;

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
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_never();
    log_set_sink(NULL, NULL);
    sio_options_deinit(&merged);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

#define MERGE(...)                                                                                 \
    sio_options_merge(&merged,                                                                     \
                      &(sio_server_options){ .size = sizeof(sio_server_options), __VA_ARGS__ })

static void test_sio_options_nothing_given_is_all_defaults(void **state)
{
    (void)state;
    sio_config config;
    assert_int_equal(MERGE(.max_rooms = 0), 0);
    assert_int_equal(sio_config_init(&config, &merged), 0);
    assert_true(config.async_handlers);
    assert_true(config.serve_client);
    assert_false(config.always_connect);
    assert_false(config.accepts_any_ns);
    assert_string_equal(config.namespaces, "/");
    assert_int_equal(config.max_namespaces, 64);
    assert_int_equal(config.max_rooms, 1000);
    assert_int_equal(config.max_pending_acks, 10000);
    assert_int_equal(config.max_pending_events, 1000);
    assert_int_equal(config.packet_limits.attachment_count_max, 10);
    assert_int_equal(config.packet_limits.json.depth_max, 64);
}

static void test_sio_options_later_ones_replace_only_what_they_say(void **state)
{
    (void)state;
    char path[] = "/one/";
    assert_int_equal(MERGE(.path = path, .ping_interval = 5, .max_rooms = 7,
                           .async_handlers = SIO_OFF, .always_connect = true),
                     0);
    path[1] = 'X'; /* it was copied */
    assert_string_equal(merged.path, "/one/");
    assert_int_equal(MERGE(.max_rooms = 8, .async_handlers = SIO_ON), 0);
    assert_string_equal(merged.path, "/one/");
    assert_true(merged.ping_interval == 5);
    assert_int_equal(merged.max_rooms, 8);
    assert_int_equal(merged.async_handlers, SIO_ON);
    assert_true(merged.always_connect);
    assert_int_equal(MERGE(.resource = "/two/", .path = "/three/"), 0);
    assert_string_equal(merged.path, "/two/");
}

static void test_sio_options_lists_and_cookies_are_copied(void **state)
{
    (void)state;
    char origins[] = "http://a,http://b";
    eio_cookie_options cookie = { .path = "/p", .max_age = 9, .secure = true };
    assert_int_equal(MERGE(.cors_allowed_origins = origins, .cookie = "io",
                           .cookie_options = &cookie,
                           .namespaces = "/,/chat"),
                     0);
    origins[0] = 'X';
    cookie.max_age = 0;
    assert_string_equal(merged.cors_allowed_origins, "http://a,http://b");
    assert_int_equal(merged.cookie_options->max_age, 9);
    assert_string_equal(merged.cookie_options->path, "/p");
    assert_true(merged.cookie_options->secure);
    /* Again: what was there is freed. */
    assert_int_equal(MERGE(.cors_allowed_origins = "", .cookie = "sid",
                           .cookie_options = &cookie,
                           .namespaces = "*"),
                     0);
    assert_string_equal(merged.cors_allowed_origins, "");
    sio_config config;
    assert_int_equal(sio_config_init(&config, &merged), 0);
    assert_true(config.accepts_any_ns);
}

static void test_sio_options_size_must_be_set(void **state)
{
    (void)state;
    assert_int_equal(sio_options_merge(&merged, &(sio_server_options){ .path = "/x/" }),
                     CARAFE_ERR_ARGUMENT);
    assert_int_equal(sio_options_merge(&merged, NULL), 0);
}

static void test_sio_options_limits_out_of_range_are_named(void **state)
{
    (void)state;
    enum { CAP = 10 * 1000 * 1000 };
    sio_config config;
    assert_int_equal(MERGE(.max_rooms = CAP, .max_attachments = 1, .max_namespaces = 2,
                           .max_pending_acks = 3, .max_pending_events = 4),
                     0);
    assert_int_equal(sio_config_init(&config, &merged), 0);
    assert_int_equal(config.max_rooms, CAP);
    assert_int_equal(config.packet_limits.attachment_count_max, 1);
    assert_int_equal(config.max_namespaces, 2);
    assert_int_equal(config.max_pending_acks, 3);
    assert_int_equal(config.max_pending_events, 4);
    struct {
        const char *name;
        size_t *value;
    } rows[] = { { "max_rooms", &merged.max_rooms },
                 { "max_attachments", &merged.max_attachments },
                 { "max_namespaces", &merged.max_namespaces },
                 { "max_pending_acks", &merged.max_pending_acks },
                 { "max_pending_events", &merged.max_pending_events } };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        size_t before = *rows[i].value;
        *rows[i].value = CAP + 1;
        assert_int_equal(sio_config_init(&config, &merged), CARAFE_ERR_ARGUMENT);
        assert_non_null(strstr(last_line, rows[i].name));
        *rows[i].value = before;
    }
}

static void test_sio_options_namespaces_must_be_names(void **state)
{
    (void)state;
    static const char *const bad[] = { "chat", "/,chat", "/a, b" };
    for (size_t i = 0; i < 3; i++) {
        sio_config config;
        assert_int_equal(MERGE(.namespaces = bad[i]), 0);
        assert_int_equal(sio_config_init(&config, &merged), CARAFE_ERR_ARGUMENT);
        assert_non_null(strstr(last_line, ".namespaces"));
    }
}

static void test_sio_options_without_memory_leak_nothing(void **state)
{
    (void)state;
    eio_cookie_options cookie = { .path = "/p", .domain = "d", .same_site = "Strict" };
    for (int n = 1; n < 50; n++) {
        mem_fail_after(n);
        int error = MERGE(.path = "/x/", .cookie = "io", .cookie_options = &cookie,
                          .namespaces = "/,/chat",
                          .transports = "polling",
                          .client_dir = "dir");
        mem_fail_never();
        sio_options_deinit(&merged);
        assert_int_equal(mem_blocks_in_use(), blocks_before);
        if (error == 0) {
            assert_true(n > 8);
            return;
        }
        assert_int_equal(error, CARAFE_ERR_NOMEM);
    }
    fail();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sio_options_nothing_given_is_all_defaults),
        TEST(test_sio_options_later_ones_replace_only_what_they_say),
        TEST(test_sio_options_lists_and_cookies_are_copied),
        TEST(test_sio_options_size_must_be_set),
        TEST(test_sio_options_limits_out_of_range_are_named),
        TEST(test_sio_options_namespaces_must_be_names),
        TEST(test_sio_options_without_memory_leak_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
