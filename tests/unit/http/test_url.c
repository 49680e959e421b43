#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "http/url.h"

static void assert_path(const char *path, const char *expected)
{
    char out[64];
    assert_int_equal(http_path_decode(slice_str(path), out, sizeof(out)), strlen(expected));
    assert_string_equal(out, expected);
}

static void assert_path_refused(const char *path)
{
    char out[64];
    assert_int_equal(http_path_decode(slice_str(path), out, sizeof(out)), CARAFE_ERR_BAD_REQUEST);
}

static void assert_form(const char *text, const char *expected)
{
    char out[64];
    assert_int_equal(http_form_decode(slice_str(text), out, sizeof(out)), strlen(expected));
    assert_string_equal(out, expected);
}

static void assert_safe(const char *path, const char *expected)
{
    char out[64];
    assert_int_equal(http_path_safe(slice_str(path), out, sizeof(out)), 0);
    assert_string_equal(out, expected);
}

static void assert_unsafe(slice path)
{
    char out[64] = "untouched";
    assert_int_equal(http_path_safe(path, out, sizeof(out)), CARAFE_ERR_NOT_FOUND);
    assert_string_equal(out, "untouched");
}

static void test_http_path_decode_escapes_are_decoded(void **state)
{
    (void)state;
    assert_path("", "");
    assert_path("/a/b", "/a/b");
    assert_path("/%41%2f%C3%a9", "/A/\xc3\xa9");
    assert_path("/a+b", "/a+b");
    assert_path("/%2541", "/%41");
}

static void test_http_path_decode_bad_escape_is_refused(void **state)
{
    (void)state;
    assert_path_refused("/%");
    assert_path_refused("/%4");
    assert_path_refused("/%4g");
    assert_path_refused("/%g4");
    assert_path_refused("/%%41");
    assert_path_refused("/% 4");
}

static void test_http_path_decode_nul_is_refused(void **state)
{
    (void)state;
    char out[64];
    assert_path_refused("/a%00b");
    assert_int_equal(http_path_decode(slice_of("/a\0b", 4), out, sizeof(out)),
                     CARAFE_ERR_BAD_REQUEST);
}

static void test_http_path_decode_at_capacity_passes_and_longer_is_nospace(void **state)
{
    (void)state;
    char out[4];
    assert_int_equal(http_path_decode(slice_str("/%61b"), out, 4), 3);
    assert_int_equal(http_path_decode(slice_str("/%61bc"), out, 4), CARAFE_ERR_NOSPACE);
    assert_int_equal(http_path_decode(slice_str(""), out, 1), 0);
    assert_int_equal(http_path_decode(slice_str(""), out, 0), CARAFE_ERR_NOSPACE);
}

static void test_http_path_decode_in_place_works(void **state)
{
    (void)state;
    char text[] = "/%41%42c";
    assert_int_equal(http_path_decode(slice_str(text), text, sizeof(text)), 4);
    assert_string_equal(text, "/ABc");
}

static void test_http_form_decode_plus_and_escapes_are_decoded(void **state)
{
    (void)state;
    assert_form("", "");
    assert_form("a+b%2B%20c", "a b+ c");
    assert_form("%C3%A9", "\xc3\xa9");
}

static void test_http_form_decode_bad_escape_stays(void **state)
{
    (void)state;
    assert_form("100%", "100%");
    assert_form("%4", "%4");
    assert_form("%zz%41", "%zzA");
    assert_form("%%41", "%A");
}

static void test_http_form_decode_at_capacity_passes_and_longer_is_nospace(void **state)
{
    (void)state;
    char out[4];
    assert_int_equal(http_form_decode(slice_str("%61bc"), out, 4), 3);
    assert_int_equal(http_form_decode(slice_str("abcd"), out, 4), CARAFE_ERR_NOSPACE);
    assert_int_equal(http_form_decode(slice_str(""), out, 0), CARAFE_ERR_NOSPACE);
    assert_int_equal(http_form_decode(slice_str("%00a"), out, 4), 2);
    assert_memory_equal(out, "\0a", 3);
}

static void test_http_query_next_walks_all_pairs(void **state)
{
    (void)state;
    static const char *const expected[][2] = {
        {"a", "1"}, {"b", ""}, {"c", ""}, {"", "x"}, {"d", "=2="}};
    slice rest = slice_str("&a=1&b=&&c&=x&d==2=&");
    http_pair pair;
    for (size_t i = 0; i < 5; i++) {
        assert_true(http_query_next(&rest, &pair));
        assert_true(slice_is(pair.key, expected[i][0]));
        assert_true(slice_is(pair.value, expected[i][1]));
        assert_non_null(pair.value.data);
    }
    assert_false(http_query_next(&rest, &pair));
    assert_false(http_query_next(&rest, &pair));
    rest = slice_str("");
    assert_false(http_query_next(&rest, &pair));
    rest = (slice){NULL, 0};
    assert_false(http_query_next(&rest, &pair));
}

static void test_http_query_first_and_last_see_repeated_keys(void **state)
{
    (void)state;
    char out[16];
    const slice query = slice_str("EIO=4&sid=a+b&%73id=c&transport=polling&b64");
    assert_int_equal(http_query_count(query, "sid"), 2);
    assert_int_equal(http_query_count(query, "EIO"), 1);
    assert_int_equal(http_query_count(query, "eio"), 0);
    assert_int_equal(http_query_first(query, "sid", out, sizeof(out)), 3);
    assert_string_equal(out, "a b");
    assert_int_equal(http_query_last(query, "sid", out, sizeof(out)), 1);
    assert_string_equal(out, "c");
    assert_int_equal(http_query_first(query, "b64", out, sizeof(out)), 0);
    assert_int_equal(http_query_last(query, "b64", out, sizeof(out)), 0);
    assert_string_equal(out, "");
}

static void test_http_query_first_and_last_refuse(void **state)
{
    (void)state;
    char out[4];
    const slice query = slice_str("a=1234&b=%00&c=123");
    assert_int_equal(http_query_first(query, "x", out, sizeof(out)), CARAFE_ERR_NOT_FOUND);
    assert_int_equal(http_query_last(query, "x", out, sizeof(out)), CARAFE_ERR_NOT_FOUND);
    assert_int_equal(http_query_first(query, "", out, sizeof(out)), CARAFE_ERR_NOT_FOUND);
    assert_int_equal(http_query_first(query, "a", out, sizeof(out)), CARAFE_ERR_NOSPACE);
    assert_int_equal(http_query_last(query, "a", out, sizeof(out)), CARAFE_ERR_NOSPACE);
    assert_int_equal(http_query_first(query, "b", out, sizeof(out)), CARAFE_ERR_BAD_REQUEST);
    assert_int_equal(http_query_first(query, "c", out, sizeof(out)), 3);
    assert_int_equal(http_query_first((slice){NULL, 0}, "a", out, 4), CARAFE_ERR_NOT_FOUND);
}

static void test_http_pair_is_compares_whole_keys(void **state)
{
    (void)state;
    http_pair pair = {slice_str("s%69d"), slice_str("")};
    assert_true(http_pair_is(&pair, "sid"));
    assert_false(http_pair_is(&pair, "si"));
    assert_false(http_pair_is(&pair, "sidx"));
    assert_false(http_pair_is(&pair, ""));
    pair.key = slice_str("sid%00");
    assert_false(http_pair_is(&pair, "sid"));
}

static void test_http_path_safe_normal_paths_pass(void **state)
{
    (void)state;
    assert_safe("", "");
    assert_safe("/", "");
    assert_safe("/index.html", "index.html");
    assert_safe("css/a.b.css", "css/a.b.css");
    assert_safe("/css/", "css/");
    assert_safe("/a..b/c.", "a..b/c.");
    assert_safe("/.well-known/acme", ".well-known/acme");
    assert_safe("/a/b:c", "a/b:c");
    assert_safe("/\xc3\xa9 x", "\xc3\xa9 x");
}

static void test_http_path_safe_climbing_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "..",   "/..", "/../etc/passwd", "/a/../b",   "/a/..", "/a/../", "/.", "/a/./b",
        "/...", "/./", "..\\a",          "/a\\..\\b", "\\",    "/a/.. "};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_unsafe(slice_str(bad[i]));
}

static void test_http_path_safe_empty_segment_is_refused(void **state)
{
    (void)state;
    assert_unsafe(slice_str("//"));
    assert_unsafe(slice_str("//etc/passwd"));
    assert_unsafe(slice_str("/a//b"));
    assert_unsafe(slice_str("/a//"));
}

static void test_http_path_safe_hidden_file_is_refused(void **state)
{
    (void)state;
    assert_unsafe(slice_str("/.git/config"));
    assert_unsafe(slice_str("/a/.env"));
    assert_unsafe(slice_str("/a/.well-known/x"));
    assert_unsafe(slice_str("/.well-known2"));
}

static void test_http_path_safe_drive_and_control_bytes_are_refused(void **state)
{
    (void)state;
    assert_unsafe(slice_str("C:"));
    assert_unsafe(slice_str("/c:/windows"));
    assert_unsafe(slice_of("/a\0b", 4));
    assert_unsafe(slice_str("/a\nb"));
    assert_unsafe(slice_str("/a\x7f"));
}

static void test_http_path_safe_at_capacity_passes_and_longer_is_nospace(void **state)
{
    (void)state;
    char out[4];
    assert_int_equal(http_path_safe(slice_str("/abc"), out, sizeof(out)), 0);
    assert_string_equal(out, "abc");
    assert_int_equal(http_path_safe(slice_str("/abcd"), out, sizeof(out)), CARAFE_ERR_NOSPACE);
    assert_int_equal(http_path_safe(slice_str("/"), out, 0), CARAFE_ERR_NOSPACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_path_decode_escapes_are_decoded),
        cmocka_unit_test(test_http_path_decode_bad_escape_is_refused),
        cmocka_unit_test(test_http_path_decode_nul_is_refused),
        cmocka_unit_test(test_http_path_decode_at_capacity_passes_and_longer_is_nospace),
        cmocka_unit_test(test_http_path_decode_in_place_works),
        cmocka_unit_test(test_http_form_decode_plus_and_escapes_are_decoded),
        cmocka_unit_test(test_http_form_decode_bad_escape_stays),
        cmocka_unit_test(test_http_form_decode_at_capacity_passes_and_longer_is_nospace),
        cmocka_unit_test(test_http_query_next_walks_all_pairs),
        cmocka_unit_test(test_http_query_first_and_last_see_repeated_keys),
        cmocka_unit_test(test_http_query_first_and_last_refuse),
        cmocka_unit_test(test_http_pair_is_compares_whole_keys),
        cmocka_unit_test(test_http_path_safe_normal_paths_pass),
        cmocka_unit_test(test_http_path_safe_climbing_is_refused),
        cmocka_unit_test(test_http_path_safe_empty_segment_is_refused),
        cmocka_unit_test(test_http_path_safe_hidden_file_is_refused),
        cmocka_unit_test(test_http_path_safe_drive_and_control_bytes_are_refused),
        cmocka_unit_test(test_http_path_safe_at_capacity_passes_and_longer_is_nospace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
