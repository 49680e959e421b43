#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/utf8.h"

static bool is_valid(const char *text)
{
    return utf8_is_valid(text, strlen(text));
}

/* Encodes any value below 2^21 in the given number of bytes, legal or not. */
static void encode(uint32_t code, size_t len, uint8_t dst[4])
{
    static const uint8_t heads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    if (len == 1) {
        dst[0] = (uint8_t)code;
        return;
    }
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        dst[i] = (uint8_t)(0x80 | (code & 0x3f));
    dst[0] = (uint8_t)(heads[len] | code);
}

static size_t shortest_len(uint32_t code)
{
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

static void test_utf8_is_valid_every_code_point_is_accepted_in_its_shortest_form_only(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x200000; code++) {
        bool is_scalar = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        for (size_t len = shortest_len(code); len <= 4; len++) {
            uint8_t bytes[4];
            encode(code, len, bytes);
            assert_int_equal(utf8_is_valid(bytes, len), is_scalar && len == shortest_len(code));
        }
    }
}

static void test_utf8_is_valid_bytes_that_never_occur_are_refused(void **state)
{
    (void)state;
    static const uint8_t never[] = { 0xc0, 0xc1, 0xf5, 0xf6, 0xf7, 0xf8, 0xfc, 0xfe, 0xff };
    for (size_t i = 0; i < sizeof(never); i++) {
        uint8_t text[4] = { never[i], 0x80, 0x80, 0x80 };
        for (size_t len = 1; len <= 4; len++)
            assert_false(utf8_is_valid(text, len));
    }
}

static void test_utf8_is_valid_stray_continuation_is_refused(void **state)
{
    (void)state;
    assert_false(is_valid("\x80"));
    assert_false(is_valid("a\xbf"));
    assert_false(is_valid("\xc3\xa9\xa9"));
}

static void test_utf8_is_valid_nul_and_empty_are_text(void **state)
{
    (void)state;
    assert_true(utf8_is_valid("a\0b", 3));
    assert_true(utf8_is_valid(NULL, 0));
}

static void test_utf8_is_valid_one_bad_byte_anywhere_in_long_text_is_found(void **state)
{
    (void)state;
    uint8_t text[100];
    for (size_t len = 1; len <= sizeof(text); len++) {
        memset(text, 'a', sizeof(text));
        for (size_t at = 0; at < len; at++) {
            text[at] = 0xff;
            assert_false(utf8_is_valid(text, len));
            text[at] = 'a';
        }
        assert_true(utf8_is_valid(text, len));
    }
}

static void test_utf8_is_valid_every_truncation_of_a_character_is_refused(void **state)
{
    (void)state;
    static const char *const characters[] = { "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
    for (size_t i = 0; i < 3; i++) {
        for (size_t len = 1; len < strlen(characters[i]); len++)
            assert_false(utf8_is_valid(characters[i], len));
        assert_true(is_valid(characters[i]));
    }
}

static void test_utf8_feed_bad_second_byte_is_refused_before_the_third(void **state)
{
    (void)state;
    static const char *const bad[] = { "\xe0\x9f", "\xed\xa0", "\xf0\x8f", "\xf4\x90", "\xc3\x28" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        utf8_state s = { 0 };
        assert_true(utf8_feed(&s, bad[i], 1));
        assert_false(utf8_is_complete(&s));
        assert_false(utf8_feed(&s, bad[i] + 1, 1));
    }
}

static void test_utf8_feed_every_split_gives_the_same_verdict(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "plain ASCII that is longer than one word of eight bytes, and than four of them too",
        "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
        "\xf0\x9f\x98\x80 and \xe2\x82\xac and \xc3\xa9",
        "\xce\xba\xed\xa0\x80 edited",
        "cut \xf0\x9f\x98",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        size_t len = strlen(texts[i]);
        bool expected = utf8_is_valid(texts[i], len);
        assert_int_equal(expected, i < 3);
        for (size_t first = 0; first <= len; first++) {
            utf8_state s = { 0 };
            bool is_ok = utf8_feed(&s, texts[i], first) &&
                         utf8_feed(&s, texts[i] + first, len - first) && utf8_is_complete(&s);
            assert_int_equal(is_ok, expected);
        }
    }
}

static void test_utf8_feed_nothing_changes_nothing(void **state)
{
    (void)state;
    utf8_state s = { 0 };
    assert_true(utf8_feed(&s, "\xe2\x82", 2));
    assert_true(utf8_feed(&s, NULL, 0));
    assert_false(utf8_is_complete(&s));
    assert_true(utf8_feed(&s, "\xac", 1));
    assert_true(utf8_is_complete(&s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_is_valid_every_code_point_is_accepted_in_its_shortest_form_only),
        cmocka_unit_test(test_utf8_is_valid_bytes_that_never_occur_are_refused),
        cmocka_unit_test(test_utf8_is_valid_stray_continuation_is_refused),
        cmocka_unit_test(test_utf8_is_valid_nul_and_empty_are_text),
        cmocka_unit_test(test_utf8_is_valid_one_bad_byte_anywhere_in_long_text_is_found),
        cmocka_unit_test(test_utf8_is_valid_every_truncation_of_a_character_is_refused),
        cmocka_unit_test(test_utf8_feed_bad_second_byte_is_refused_before_the_third),
        cmocka_unit_test(test_utf8_feed_every_split_gives_the_same_verdict),
        cmocka_unit_test(test_utf8_feed_nothing_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
