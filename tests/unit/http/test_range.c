#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "http/range.h"

static const int64_t MTIME_S = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */
static const int64_t NOW_S = 1767225600;

#define AT "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

static void assert_range(const char *value, uint64_t size, int status, uint64_t first, uint64_t len)
{
    http_range range;
    assert_int_equal(http_range_parse(slice_str(value), size, &range), status);
    assert_true(range.first == first);
    assert_true(range.len == len);
}

static int decide_for(const char *method, const char *fields, const http_entity *entity,
                      http_range *out)
{
    char text[512];
    http_header headers[HTTP_HEADER_COUNT_MAX];
    http_head head;
    int len = snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n", method, fields);
    assert_int_equal(http_head_parse(&head, headers, (uint8_t *)text, (size_t)len, NULL), 0);
    return http_range_decide(&head, entity, NOW_S, out);
}

/* The decision about a file of ten bytes with a strong tag "a". */
static int decide(const char *method, const char *fields)
{
    http_range range;
    const http_entity entity = {slice_str("\"a\""), MTIME_S, 10};
    int status = decide_for(method, fields, &entity, &range);
    assert_true(status == 206 || (range.first == 0 && range.len == 10));
    return status;
}

static int decide_weak(const char *fields)
{
    http_range range;
    const http_entity entity = {slice_str("W/\"a\""), MTIME_S, 10};
    return decide_for("GET", fields, &entity, &range);
}

static void test_http_range_parse_forms_are_known(void **state)
{
    (void)state;
    assert_range("bytes=0-3", 10, 206, 0, 4);
    assert_range("bytes=9-9", 10, 206, 9, 1);
    assert_range("bytes=3-", 10, 206, 3, 7);
    assert_range("bytes=-3", 10, 206, 7, 3);
    assert_range("BYTES=0-0 ", 10, 206, 0, 1);
}

static void test_http_range_parse_end_is_clamped_to_size(void **state)
{
    (void)state;
    assert_range("bytes=5-10", 10, 206, 5, 5);
    assert_range("bytes=0-99999999999999999999999", 10, 206, 0, 10);
    assert_range("bytes=-11", 10, 206, 0, 10);
    assert_range("bytes=-99999999999999999999999", 10, 206, 0, 10);
}

static void test_http_range_parse_outside_of_the_file_is_416(void **state)
{
    (void)state;
    assert_range("bytes=10-", 10, 416, 0, 10);
    assert_range("bytes=10-12", 10, 416, 0, 10);
    assert_range("bytes=99999999999999999999999-", 10, 416, 0, 10);
    assert_range("bytes=-0", 10, 416, 0, 10);
    assert_range("bytes=0-", 0, 416, 0, 0);
    assert_range("bytes=-5", 0, 200, 0, 0);
}

static void test_http_range_parse_malformed_or_several_is_whole(void **state)
{
    (void)state;
    static const char *const ignored[] = {
        "",          "bytes",      "bytes=",        "bytes=-",      "bytes=a-b", "bytes=1-b",
        "bytes=3-2", "bytes=1",    "bytes=0-1,3-4", "bytes=0-0,-1", "items=0-3", "bytes =0-3",
        "bytes=+1-", "bytes=1--2", "bytes=0x1-2",   "bytes=1 -2",   "bytes=--1", "bytes=1-2x",
    };
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        assert_range(ignored[i], 10, 200, 0, 10);
}

static void test_http_range_decide_without_conditions_is_200(void **state)
{
    (void)state;
    assert_int_equal(decide("GET", ""), 200);
    assert_int_equal(decide("HEAD", ""), 200);
}

static void test_http_range_decide_range_is_for_one_get(void **state)
{
    (void)state;
    assert_int_equal(decide("GET", "Range: bytes=1-2\r\n"), 206);
    assert_int_equal(decide("GET", "Range: bytes=10-\r\n"), 416);
    assert_int_equal(decide("HEAD", "Range: bytes=1-2\r\n"), 200);
    assert_int_equal(decide("GET", "Range: bytes=1-2\r\nRange: bytes=3-4\r\n"), 200);
}

static void test_http_range_decide_if_none_match_compares_weakly(void **state)
{
    (void)state;
    assert_int_equal(decide("GET", "If-None-Match: \"a\"\r\n"), 304);
    assert_int_equal(decide("HEAD", "If-None-Match: W/\"a\"\r\n"), 304);
    assert_int_equal(decide("GET", "If-None-Match: *\r\n"), 304);
    assert_int_equal(decide("GET", "If-None-Match: \"b\"\r\n"), 200);
    assert_int_equal(decide("GET", "If-None-Match: a\r\n"), 200);
    assert_int_equal(decide("PUT", "If-None-Match: *\r\n"), 412);
    assert_int_equal(decide_weak("If-None-Match: \"a\"\r\n"), 304);
    assert_int_equal(decide_weak("If-None-Match: W/\"a\"\r\n"), 304);
}

static void test_http_range_decide_if_none_match_reads_lists(void **state)
{
    (void)state;
    assert_int_equal(decide("GET", "If-None-Match: \"b\", W/\"a,b\" ,\"a\"\r\n"), 304);
    assert_int_equal(decide("GET", "If-None-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n"), 304);
    assert_int_equal(decide("GET", "If-None-Match: \"x,\"a\"\r\n"), 200);
    assert_int_equal(decide("GET", "If-None-Match: \"a\r\n"), 200);
    assert_int_equal(decide("GET", "If-None-Match: ,,, ,\r\n"), 200);
}

static void test_http_range_decide_if_modified_since_counts_without_tag(void **state)
{
    (void)state;
    assert_int_equal(decide("GET", "If-Modified-Since: " AT "\r\n"), 304);
    assert_int_equal(decide("GET", "If-Modified-Since: " AFTER "\r\n"), 304);
    assert_int_equal(decide("GET", "If-Modified-Since: " BEFORE "\r\n"), 200);
    assert_int_equal(decide("GET", "If-Modified-Since: yesterday\r\n"), 200);
    assert_int_equal(decide("POST", "If-Modified-Since: " AT "\r\n"), 200);
    assert_int_equal(decide("GET", "If-Modified-Since: " AT "\r\nIf-None-Match: \"b\"\r\n"), 200);
}

static void test_http_range_decide_if_match_compares_strongly(void **state)
{
    (void)state;
    assert_int_equal(decide("GET", "If-Match: \"a\"\r\n"), 200);
    assert_int_equal(decide("GET", "If-Match: *\r\n"), 200);
    assert_int_equal(decide("GET", "If-Match: \"b\"\r\n"), 412);
    assert_int_equal(decide("GET", "If-Match: W/\"a\"\r\n"), 412);
    assert_int_equal(decide_weak("If-Match: W/\"a\"\r\n"), 412);
}

static void test_http_range_decide_if_unmodified_since_counts_without_if_match(void **state)
{
    (void)state;
    assert_int_equal(decide("GET", "If-Unmodified-Since: " AT "\r\n"), 200);
    assert_int_equal(decide("GET", "If-Unmodified-Since: " BEFORE "\r\n"), 412);
    assert_int_equal(decide("GET", "If-Unmodified-Since: " BEFORE "\r\nIf-Match: *\r\n"), 200);
    assert_int_equal(decide("GET", "If-Unmodified-Since: x\r\n"), 200);
}

static void test_http_range_decide_if_range_must_be_the_same_file(void **state)
{
    (void)state;
#define RANGE "Range: bytes=1-2\r\n"
    assert_int_equal(decide("GET", RANGE "If-Range: \"a\"\r\n"), 206);
    assert_int_equal(decide("GET", RANGE "If-Range: \"b\"\r\n"), 200);
    assert_int_equal(decide("GET", RANGE "If-Range: \"a\", \"b\"\r\n"), 200);
    assert_int_equal(decide("GET", RANGE "If-Range: W/\"a\"\r\n"), 200);
    assert_int_equal(decide_weak(RANGE "If-Range: W/\"a\"\r\n"), 200);
    assert_int_equal(decide("GET", RANGE "If-Range: " AT "\r\n"), 206);
    assert_int_equal(decide("GET", RANGE "If-Range: " AFTER "\r\n"), 200);
    assert_int_equal(decide("GET", RANGE "If-Range: " BEFORE "\r\n"), 200);
    assert_int_equal(decide("GET", "If-Range: \"a\"\r\n"), 200);
    assert_int_equal(decide("GET", "Range: bytes=10-\r\nIf-Range: \"b\"\r\n"), 200);
}

static void test_http_range_decide_unknown_facts_match_nothing(void **state)
{
    (void)state;
    http_range range;
    const http_entity entity = {slice_str(""), -1, 10};
    assert_int_equal(decide_for("GET", "If-None-Match: \"\"\r\n", &entity, &range), 200);
    assert_int_equal(decide_for("GET", "If-Modified-Since: " AT "\r\n", &entity, &range), 200);
    assert_int_equal(decide_for("GET", "If-Unmodified-Since: " AT "\r\n", &entity, &range), 200);
    assert_int_equal(decide_for("GET", RANGE "If-Range: " AT "\r\n", &entity, &range), 200);
    assert_int_equal(decide_for("GET", "If-Match: \"a\"\r\n", &entity, &range), 412);
}

static void test_http_range_decide_order_is_that_of_the_rfc(void **state)
{
    (void)state;
    assert_int_equal(decide("GET", "If-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n"), 412);
    assert_int_equal(decide("GET", "If-Match: \"a\"\r\nIf-None-Match: \"a\"\r\n"), 304);
    assert_int_equal(decide("GET", "If-None-Match: \"a\"\r\n" RANGE), 304);
    assert_int_equal(decide("GET", "If-None-Match: \"b\"\r\n" RANGE), 206);
}

static void test_http_range_decide_file_of_this_second_has_no_strong_date(void **state)
{
    (void)state;
    http_range range;
    char fields[128];
    const http_entity entity = {slice_str(""), NOW_S, 10};
    snprintf(fields, sizeof(fields), RANGE "If-Range: Thu, 01 Jan 2026 00:00:00 GMT\r\n");
    assert_int_equal(decide_for("GET", fields, &entity, &range), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_range_parse_forms_are_known),
        cmocka_unit_test(test_http_range_parse_end_is_clamped_to_size),
        cmocka_unit_test(test_http_range_parse_outside_of_the_file_is_416),
        cmocka_unit_test(test_http_range_parse_malformed_or_several_is_whole),
        cmocka_unit_test(test_http_range_decide_without_conditions_is_200),
        cmocka_unit_test(test_http_range_decide_range_is_for_one_get),
        cmocka_unit_test(test_http_range_decide_if_none_match_compares_weakly),
        cmocka_unit_test(test_http_range_decide_if_none_match_reads_lists),
        cmocka_unit_test(test_http_range_decide_if_modified_since_counts_without_tag),
        cmocka_unit_test(test_http_range_decide_if_match_compares_strongly),
        cmocka_unit_test(test_http_range_decide_if_unmodified_since_counts_without_if_match),
        cmocka_unit_test(test_http_range_decide_if_range_must_be_the_same_file),
        cmocka_unit_test(test_http_range_decide_unknown_facts_match_nothing),
        cmocka_unit_test(test_http_range_decide_order_is_that_of_the_rfc),
        cmocka_unit_test(test_http_range_decide_file_of_this_second_has_no_strong_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
