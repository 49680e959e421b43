#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "http/chunked.h"

static const char FULL[] = "5\r\nhello\r\n"
                           "0006;name=\"value\";x\r\n world\r\n"
                           "A\r\n0123456789\r\n"
                           "0;last\r\n"
                           "Trailer: value\r\nother:\r\n"
                           "\r\n";
static const char FULL_BODY[] = "hello world0123456789";

/* Feeds all of `data`, `step` bytes at a time, and appends the body. The bytes consumed (then the
 * body is done, or more are needed), or the error. */
static ptrdiff_t feed_all(http_chunked *c, const void *data, size_t len, size_t step, buf *body)
{
    size_t at = 0;
    while (at < len && !http_chunked_is_done(c)) {
        size_t piece_len = step < len - at ? step : len - at;
        uint8_t *piece = malloc(piece_len);
        slice run;
        memcpy(piece, (const uint8_t *)data + at, piece_len);
        ptrdiff_t n = http_chunked_feed(c, piece, piece_len, &run);
        if (n >= 0 && run.len) {
            assert_true((const uint8_t *)run.data >= piece);
            assert_true((const uint8_t *)run.data + run.len <= piece + n);
            assert_int_equal(buf_append(body, run.data, run.len), 0);
        }
        free(piece);
        if (n < 0)
            return n;
        assert_true(n > 0);
        at += (size_t)n;
    }
    return (ptrdiff_t)at;
}

static ptrdiff_t decode(const char *text, size_t step, uint64_t limit)
{
    http_chunked c;
    buf body = {0};
    http_chunked_init(&c, limit);
    ptrdiff_t result = feed_all(&c, text, strlen(text), step, &body);
    if (result >= 0 && !http_chunked_is_done(&c))
        result = CARAFE_ERR_NEED_MORE;
    buf_deinit(&body);
    return result;
}

static void assert_bad(const char *text)
{
    assert_int_equal(decode(text, SIZE_MAX, 1 << 20), CARAFE_ERR_BAD_REQUEST);
    assert_int_equal(decode(text, 1, 1 << 20), CARAFE_ERR_BAD_REQUEST);
}

static void test_http_chunked_struct_is_small(void **state)
{
    (void)state;
    assert_true(sizeof(http_chunked) <= 32);
}

static void test_http_chunked_feed_any_step_gives_the_body(void **state)
{
    (void)state;
    const size_t len = sizeof(FULL) - 1;
    for (size_t step = 1; step <= len; step++) {
        http_chunked c;
        buf body = {0};
        http_chunked_init(&c, sizeof(FULL_BODY) - 1);
        assert_int_equal(feed_all(&c, FULL, len, step, &body), len);
        assert_true(http_chunked_is_done(&c));
        assert_true(slice_is(buf_slice(&body), FULL_BODY));
        buf_deinit(&body);
    }
}

static void test_http_chunked_feed_truncated_needs_more(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(FULL) - 1; n++) {
        char text[sizeof(FULL)];
        memcpy(text, FULL, n);
        text[n] = '\0';
        assert_int_equal(decode(text, SIZE_MAX, 100), CARAFE_ERR_NEED_MORE);
    }
}

static void test_http_chunked_feed_bytes_behind_the_body_stay(void **state)
{
    (void)state;
    http_chunked c;
    slice body;
    const uint8_t text[] = "0\r\n\r\nGET /";
    http_chunked_init(&c, 0);
    assert_int_equal(http_chunked_feed(&c, text, sizeof(text) - 1, &body), 5);
    assert_true(http_chunked_is_done(&c));
    assert_int_equal(http_chunked_feed(&c, text + 5, 5, &body), 0);
    assert_int_equal(body.len, 0);
}

static void test_http_chunked_feed_size_that_is_no_hex_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"\r\n",        " 5\r\nhello",  "5 \r\nhello", "+5\r\nhello",
                                      "-5\r\nhello", "0x5\r\nhello", "g\r\n",       "5_0\r\n",
                                      ";a\r\n",      "5\t;a\r\n",    "\xff\r\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_bad(bad[i]);
}

static void test_http_chunked_feed_bare_cr_and_lf_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "5\nhello\r\n",     "5\rhello\r\n",    "5\r\r\nhello", "5\r\nhello\n",
        "5\r\nhello\rx",    "5\r\nhellox",     "5;a\nhello",   "5;a\rb\r\nhello",
        "0\r\na: b\n\r\n",  "0\r\na: b\rc",    "0\r\n\n",      "0\r\n\rx",
        "0\r\na: \x01\r\n", "5;\x01\r\nhello", "0\n\n",        "5;a\x7f\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_bad(bad[i]);
}

static void test_http_chunked_feed_malformed_trailer_is_refused(void **state)
{
    (void)state;
    assert_bad("0\r\n: b\r\n\r\n");
    assert_bad("0\r\na b: c\r\n\r\n");
    assert_bad("0\r\na : c\r\n\r\n");
    assert_bad("0\r\n a: c\r\n\r\n");
    assert_bad("0\r\na: c\r\n d\r\n\r\n");
    assert_bad("0\r\nGET / HTTP/1.1\r\n\r\n");
}

static void test_http_chunked_feed_size_digits_at_limit_pass_and_more_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode("0000000000000001\r\nx\r\n0000000000000000\r\n\r\n", SIZE_MAX, 1), 41);
    assert_bad("00000000000000001\r\nx\r\n0\r\n\r\n");
    assert_bad("00000000000000000\r\n\r\n");
}

static void test_http_chunked_feed_huge_size_does_not_overflow(void **state)
{
    (void)state;
    assert_int_equal(decode("ffffffffffffffff\r\n", 1, 100), CARAFE_ERR_TOO_LARGE);
    assert_int_equal(decode("8000000000000000\r\n", 1, INT64_MAX), CARAFE_ERR_TOO_LARGE);
    assert_int_equal(decode("1\r\nx\r\nffffffffffffffff\r\n", 1, UINT64_MAX), CARAFE_ERR_TOO_LARGE);
    assert_int_equal(decode("ffffffffffffffff\r\nx", SIZE_MAX, UINT64_MAX), CARAFE_ERR_NEED_MORE);
}

static void test_http_chunked_feed_body_at_limit_passes_and_larger_is_refused(void **state)
{
    (void)state;
    const size_t body_len = sizeof(FULL_BODY) - 1;
    assert_int_equal(decode(FULL, 1, body_len), sizeof(FULL) - 1);
    assert_int_equal(decode(FULL, 1, body_len - 1), CARAFE_ERR_TOO_LARGE);
    assert_int_equal(decode(FULL, SIZE_MAX, body_len - 1), CARAFE_ERR_TOO_LARGE);
    assert_int_equal(decode("1", 1, 0), CARAFE_ERR_TOO_LARGE);
    assert_int_equal(decode("0\r\n\r\n", 1, 0), 5);
}

/* `count` bytes of an extension, its ';' included, then of a trailer "a:...". */
static ptrdiff_t decode_extra(size_t extension_len, size_t trailer_len)
{
    buf b = {0};
    assert_int_equal(buf_append_str(&b, "0;"), 0);
    for (size_t i = 1; i < extension_len; i++)
        assert_int_equal(buf_append_char(&b, 'x'), 0);
    assert_int_equal(buf_append_str(&b, "\r\na:"), 0);
    for (size_t i = 2; i < trailer_len; i++)
        assert_int_equal(buf_append_char(&b, 'x'), 0);
    assert_int_equal(buf_append_str(&b, "\r\n\r\n"), 0);
    ptrdiff_t whole = decode(buf_cstr(&b), SIZE_MAX, 0);
    assert_int_equal(decode(buf_cstr(&b), 1, 0), whole);
    buf_deinit(&b);
    return whole;
}

static void test_http_chunked_feed_extra_bytes_at_limit_pass_and_more_are_refused(void **state)
{
    (void)state;
    assert_true(decode_extra(1000, HTTP_CHUNK_EXTRA_MAX - 1000) > 0);
    assert_int_equal(decode_extra(1000, HTTP_CHUNK_EXTRA_MAX - 999), CARAFE_ERR_BAD_REQUEST);
    assert_true(decode_extra(HTTP_CHUNK_EXTRA_MAX - 2, 2) > 0);
    assert_int_equal(decode_extra(HTTP_CHUNK_EXTRA_MAX - 1, 2), CARAFE_ERR_BAD_REQUEST);
    assert_int_equal(decode_extra(100000, 2), CARAFE_ERR_BAD_REQUEST);
    assert_int_equal(decode_extra(1, 100000), CARAFE_ERR_BAD_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_chunked_struct_is_small),
        cmocka_unit_test(test_http_chunked_feed_any_step_gives_the_body),
        cmocka_unit_test(test_http_chunked_feed_truncated_needs_more),
        cmocka_unit_test(test_http_chunked_feed_bytes_behind_the_body_stay),
        cmocka_unit_test(test_http_chunked_feed_size_that_is_no_hex_is_refused),
        cmocka_unit_test(test_http_chunked_feed_bare_cr_and_lf_are_refused),
        cmocka_unit_test(test_http_chunked_feed_malformed_trailer_is_refused),
        cmocka_unit_test(test_http_chunked_feed_size_digits_at_limit_pass_and_more_are_refused),
        cmocka_unit_test(test_http_chunked_feed_huge_size_does_not_overflow),
        cmocka_unit_test(test_http_chunked_feed_body_at_limit_passes_and_larger_is_refused),
        cmocka_unit_test(test_http_chunked_feed_extra_bytes_at_limit_pass_and_more_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
