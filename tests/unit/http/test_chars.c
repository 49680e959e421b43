#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "http/chars.h"

static bool is_one_of(int c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static void test_http_char_class_table_is_as_the_rfcs_say(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool is_digit = c >= '0' && c <= '9';
        bool is_alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool is_hex = is_digit || is_one_of(c, "abcdefABCDEF");
        uint8_t byte = (uint8_t)c;
        assert_int_equal(http_char_is(byte, HTTP_CHAR_TOKEN),
                         is_digit || is_alpha || is_one_of(c, "!#$%&'*+-.^_`|~"));
        assert_int_equal(http_char_is(byte, HTTP_CHAR_TARGET), c > 0x20 && c < 0x7f && c != '#');
        assert_int_equal(http_char_is(byte, HTTP_CHAR_HOST),
                         is_digit || is_alpha || is_one_of(c, "-._~%!$&'()*+,;="));
        assert_int_equal(http_char_is(byte, HTTP_CHAR_TEXT), c == '\t' || (c >= 0x20 && c != 0x7f));
        assert_int_equal(http_char_is(byte, HTTP_CHAR_HEX), is_hex);
        assert_int_equal(http_char_is(byte, HTTP_CHAR_DIGIT), is_digit);
        assert_int_equal(http_hex_value(byte) >= 0, is_hex);
    }
    assert_int_equal(http_hex_value('0'), 0);
    assert_int_equal(http_hex_value('9'), 9);
    assert_int_equal(http_hex_value('a'), 10);
    assert_int_equal(http_hex_value('F'), 15);
}

static void test_http_text_span_is_char_span_for_every_byte_place_and_length(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 26; len++) {
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                uint8_t *data = malloc(len);
                memset(data, at % 3 ? 'x' : '\t', len);
                if (at % 2)
                    memset(data, 0xff, len);
                data[at] = (uint8_t)c;
                assert_int_equal(http_text_span(data, len),
                                 http_char_span(data, len, HTTP_CHAR_TEXT));
                free(data);
            }
        }
    }
    assert_int_equal(http_text_span(NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_char_class_table_is_as_the_rfcs_say),
        cmocka_unit_test(test_http_text_span_is_char_span_for_every_byte_place_and_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
