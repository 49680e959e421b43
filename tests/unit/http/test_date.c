#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "http/date.h"

static const int64_t NOW_S = 1767225600; /* 2026-01-01 */

static void assert_formats(int64_t unix_s, const char *expected)
{
    char out[HTTP_DATE_LEN + 1];
    http_date_format(unix_s, out);
    assert_string_equal(out, expected);
}

static void assert_parses(const char *text, int64_t expected)
{
    int64_t unix_s = -1;
    assert_int_equal(http_date_parse(slice_str(text), NOW_S, &unix_s), 0);
    assert_true(unix_s == expected);
}

static void test_http_date_format_vectors_match(void **state)
{
    (void)state;
    assert_formats(784111777, "Sun, 06 Nov 1994 08:49:37 GMT"); /* RFC 9110 5.6.7 */
    assert_formats(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_formats(-1, "Wed, 31 Dec 1969 23:59:59 GMT");
    assert_formats(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_formats(4107542399, "Sun, 28 Feb 2100 23:59:59 GMT");
    assert_formats(4107542400, "Mon, 01 Mar 2100 00:00:00 GMT");
}

static void test_http_date_format_outside_of_four_digit_years_is_clamped(void **state)
{
    (void)state;
    assert_formats(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_formats(253402300800, "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_formats(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_formats(-62135596800, "Mon, 01 Jan 0001 00:00:00 GMT");
    assert_formats(INT64_MIN, "Mon, 01 Jan 0001 00:00:00 GMT");
}

static void test_http_date_format_is_gmtime_and_parses_back(void **state)
{
    (void)state;
    /* Steps of 12 days and some hours over 10000 years hit all months and centuries. */
    for (int64_t t = -62135596800; t < 253402300799; t += 1040399) {
        char out[HTTP_DATE_LEN + 1], expected[64];
        struct tm tm;
        time_t time = (time_t)t;
        int64_t back;
        gmtime_r(&time, &tm);
        size_t len = strftime(expected, sizeof(expected), "%a, %d %b ", &tm);
        snprintf(expected + len, sizeof(expected) - len, "%04d %02d:%02d:%02d GMT",
                 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
        http_date_format(t, out);
        if (strcmp(out, expected) != 0)
            assert_string_equal(out, expected);
        if (http_date_parse(slice_str(out), NOW_S, &back) != 0 || back != t)
            fail_msg("%s does not parse back", out);
    }
}

static void test_http_date_parse_all_three_forms(void **state)
{
    (void)state;
    assert_parses("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
    assert_parses("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
    assert_parses("Sun Nov  6 08:49:37 1994", 784111777);
    assert_parses("Wed Nov 16 08:49:37 1994", 784975777);
}

static void test_http_date_parse_two_digit_year_is_at_most_50_years_ahead(void **state)
{
    (void)state;
    assert_parses("Wednesday, 01-Jan-76 00:00:00 GMT", 3345062400); /* 2076 */
    assert_parses("Saturday, 01-Jan-77 00:00:00 GMT", 220924800);   /* 1977 */
    assert_parses("Thursday, 01-Jan-26 00:00:00 GMT", 1767225600);
}

static void test_http_date_parse_leap_second_and_leap_day_pass(void **state)
{
    (void)state;
    assert_parses("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800);
    assert_parses("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800);
}

static void test_http_date_parse_malformed_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "Sun",
        "Sun, ",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 2023 08:49:37 GMT",
        "Sun, 29 Feb 2100 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov -994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "784111777",
    };
    int64_t unix_s = 42;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(http_date_parse(slice_str(bad[i]), NOW_S, &unix_s),
                         CARAFE_ERR_BAD_REQUEST);
    assert_int_equal(unix_s, 42);
}

static void test_http_date_parse_every_truncation_is_refused(void **state)
{
    (void)state;
    static const char *const good[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
                                       "Sunday, 06-Nov-94 08:49:37 GMT",
                                       "Sun Nov  6 08:49:37 1994"};
    int64_t unix_s;
    for (size_t i = 0; i < 3; i++) {
        for (size_t n = 0; n < strlen(good[i]); n++) {
            char *copy = malloc(n + 1);
            memcpy(copy, good[i], n);
            assert_int_equal(http_date_parse(slice_of(copy, n), NOW_S, &unix_s),
                             CARAFE_ERR_BAD_REQUEST);
            free(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_date_format_vectors_match),
        cmocka_unit_test(test_http_date_format_outside_of_four_digit_years_is_clamped),
        cmocka_unit_test(test_http_date_format_is_gmtime_and_parses_back),
        cmocka_unit_test(test_http_date_parse_all_three_forms),
        cmocka_unit_test(test_http_date_parse_two_digit_year_is_at_most_50_years_ahead),
        cmocka_unit_test(test_http_date_parse_leap_second_and_leap_day_pass),
        cmocka_unit_test(test_http_date_parse_malformed_is_refused),
        cmocka_unit_test(test_http_date_parse_every_truncation_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
