#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"

static char last_line[4096];
static log_level last_level;
static int line_count;

static void remember(log_level level, const char *line, void *arg)
{
    assert_ptr_equal(arg, &line_count);
    assert_true(strlen(line) < sizeof(last_line));
    strcpy(last_line, line);
    last_level = level;
    line_count++;
}

static int start_recording(void **state)
{
    (void)state;
    line_count = 0;
    last_line[0] = '\0';
    log_set_level(LOG_APP, LOG_INFO);
    log_set_sink(remember, &line_count);
    return 0;
}

static int stop_recording(void **state)
{
    (void)state;
    log_set_sink(NULL, NULL);
    return 0;
}

/* What stands behind the time, level and part. */
static const char *text_of(const char *line)
{
    const char *at = strstr(line, "] ");
    assert_non_null(at);
    return at + 2;
}

static void test_log_line_has_time_level_part_and_text(void **state)
{
    (void)state;
    log_line(LOG_APP, LOG_WARNING, "%s is %d", "x", 5);
    int year, month, day, hour, minute, second, ms, len = 0;
    assert_int_equal(sscanf(last_line, "%4d-%2d-%2d %2d:%2d:%2d.%3d%n", &year, &month, &day, &hour,
                            &minute, &second, &ms, &len),
                     7);
    assert_int_equal(len, 23);
    assert_string_equal(last_line + len, " WARN  [app] x is 5");
    assert_int_equal(last_level, LOG_WARNING);
}

static void test_log_line_below_the_level_is_dropped(void **state)
{
    (void)state;
    log_line(LOG_APP, LOG_DEBUG, "no");
    assert_int_equal(line_count, 0);
    log_set_level(LOG_APP, LOG_DEBUG);
    log_line(LOG_APP, LOG_DEBUG, "yes");
    assert_int_equal(line_count, 1);
    log_set_level(LOG_APP, LOG_OFF);
    log_line(LOG_APP, LOG_ERROR, "no");
    log_line(LOG_APP, LOG_OFF, "no");
    assert_int_equal(line_count, 1);
}

static void test_log_set_level_parts_are_independent(void **state)
{
    (void)state;
    log_set_level(LOG_APP, LOG_ERROR);
    assert_int_equal(log_get_level(LOG_SERVER), LOG_INFO);
    assert_int_equal(log_get_level(LOG_ENGINEIO), LOG_WARNING);
    assert_true(log_is_on(LOG_SERVER, LOG_INFO));
    assert_false(log_is_on(LOG_APP, LOG_WARNING));
}

static void test_log_line_control_bytes_are_escaped(void **state)
{
    (void)state;
    log_line(LOG_APP, LOG_INFO, "%s", "a\r\nb\x1b[31m\t\x01\x7f");
    assert_string_equal(text_of(last_line), "a\\x0d\\x0ab\\x1b[31m\\x09\\x01\\x7f");
}

static void test_log_line_eight_bit_control_characters_are_escaped(void **state)
{
    (void)state;
    log_line(LOG_APP, LOG_INFO, "%s",
             "\xc2\x9b"
             "31m \xc2\x80 \xc2\xa0 \x9b");
    assert_string_equal(text_of(last_line), "\\xc2\\x9b31m \\xc2\\x80 \xc2\xa0 \\x9b");
}

static void test_log_line_utf8_is_kept_and_other_bytes_are_escaped(void **state)
{
    (void)state;
    log_line(LOG_APP, LOG_INFO, "%s",
             "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xff \xed\xa0\x80 \xe2\x82");
    assert_string_equal(text_of(last_line),
                        "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \\xff \\xed\\xa0\\x80 \\xe2\\x82");
}

static void test_log_line_long_text_is_cut(void **state)
{
    (void)state;
    static char text[5000];
    memset(text, 'x', sizeof(text) - 1);
    log_line(LOG_APP, LOG_INFO, "%s", text);
    size_t len = strlen(text_of(last_line));
    assert_in_range(len, 1000, 2047);
    /* Escapes make it four times as long; the cut must not be inside of one. */
    for (int lead = 0; lead < 8; lead++) {
        memset(text, '\n', sizeof(text) - 1);
        memset(text, 'a', (size_t)lead);
        log_line(LOG_APP, LOG_INFO, "%s", text);
        const char *cut = text_of(last_line);
        len = strlen(cut);
        assert_in_range(len, 1000, 2200);
        assert_int_equal((len - (size_t)lead) % 4, 0);
        assert_string_equal(cut + len - 4, "\\x0a");
    }
}

static void test_log_line_without_sink_goes_to_stderr_with_a_newline(void **state)
{
    (void)state;
    char out[4096];
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    int saved = dup(STDERR_FILENO);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    log_set_sink(NULL, NULL);
    log_line(LOG_APP, LOG_ERROR, "to stderr");
    static char text[5000];
    memset(text, '\n', sizeof(text) - 1);
    log_line(LOG_APP, LOG_ERROR, "%s", text);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(saved);
    close(fds[1]);
    size_t len = 0;
    for (ssize_t n; (n = read(fds[0], out + len, sizeof(out) - 1 - len)) > 0;)
        len += (size_t)n;
    close(fds[0]);
    out[len] = '\0';
    char *newline = strchr(out, '\n');
    assert_non_null(newline);
    *newline = '\0';
    assert_string_equal(text_of(out), "to stderr");
    /* The second line is one line, too. */
    assert_ptr_equal(strchr(newline + 1, '\n'), out + len - 1);
    assert_int_equal(line_count, 0);
}

#define RECORDED(test) cmocka_unit_test_setup_teardown(test, start_recording, stop_recording)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECORDED(test_log_line_has_time_level_part_and_text),
        RECORDED(test_log_line_below_the_level_is_dropped),
        RECORDED(test_log_set_level_parts_are_independent),
        RECORDED(test_log_line_control_bytes_are_escaped),
        RECORDED(test_log_line_eight_bit_control_characters_are_escaped),
        RECORDED(test_log_line_utf8_is_kept_and_other_bytes_are_escaped),
        RECORDED(test_log_line_long_text_is_cut),
        RECORDED(test_log_line_without_sink_goes_to_stderr_with_a_newline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
