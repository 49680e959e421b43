#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/slice.h"

static void test_slice_eq_compares_length_and_bytes(void **state)
{
    (void)state;
    assert_true(slice_eq(slice_str("ab"), slice_of("abc", 2)));
    assert_false(slice_eq(slice_str("ab"), slice_str("abc")));
    assert_false(slice_eq(slice_str("ab"), slice_str("aB")));
    assert_true(slice_eq(slice_of(NULL, 0), slice_str("")));
    assert_true(slice_eq(slice_str(NULL), SLICE_LITERAL("")));
    assert_true(slice_eq(slice_of("a\0b", 3), SLICE_LITERAL("a\0b")));
    assert_false(slice_eq(slice_of("a\0b", 3), SLICE_LITERAL("a\0c")));
    assert_true(slice_is(SLICE_LITERAL("x"), "x"));
}

static void test_slice_eq_nocase_ignores_ascii_case(void **state)
{
    (void)state;
    assert_true(slice_is_nocase(slice_str("WebSocket"), "websocket"));
    assert_false(slice_is_nocase(slice_str("WebSocket"), "websockets"));
    assert_true(slice_is_nocase(slice_of(NULL, 0), ""));
    assert_false(slice_is_nocase(slice_str("@"), "`"));
}

static void test_slice_starts_with_prefix_up_to_the_whole(void **state)
{
    (void)state;
    slice a = slice_str("abc");
    assert_true(slice_starts_with(a, slice_str("")));
    assert_true(slice_starts_with(a, slice_str("abc")));
    assert_false(slice_starts_with(a, slice_str("abcd")));
    assert_false(slice_starts_with(a, slice_str("b")));
    assert_true(slice_starts_with(slice_of(NULL, 0), slice_of(NULL, 0)));
}

static void test_slice_trim_takes_spaces_and_tabs_off(void **state)
{
    (void)state;
    assert_true(slice_is(slice_trim(slice_str(" \t a b\t ")), "a b"));
    assert_int_equal(slice_trim(slice_str(" \t ")).len, 0);
    assert_int_equal(slice_trim(slice_of(NULL, 0)).len, 0);
    assert_true(slice_is(slice_trim(slice_str("\na")), "\na"));
}

static void test_slice_split_gives_every_part_once(void **state)
{
    (void)state;
    slice rest = slice_str(",a,,bc,"), part = { 0 };
    static const char *const expected[] = { "", "a", "", "bc", "" };
    for (size_t i = 0; i < 5; i++) {
        assert_true(slice_split(&rest, ',', &part));
        assert_true(slice_is(part, expected[i]));
    }
    assert_false(slice_split(&rest, ',', &part));
}

static void test_slice_split_without_separator_gives_the_whole(void **state)
{
    (void)state;
    slice rest = slice_str(""), part = { 0 };
    assert_true(slice_split(&rest, ',', &part));
    assert_int_equal(part.len, 0);
    assert_false(slice_split(&rest, ',', &part));
    rest = slice_of(NULL, 0);
    assert_false(slice_split(&rest, ',', &part));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slice_eq_compares_length_and_bytes),
        cmocka_unit_test(test_slice_eq_nocase_ignores_ascii_case),
        cmocka_unit_test(test_slice_starts_with_prefix_up_to_the_whole),
        cmocka_unit_test(test_slice_trim_takes_spaces_and_tabs_off),
        cmocka_unit_test(test_slice_split_gives_every_part_once),
        cmocka_unit_test(test_slice_split_without_separator_gives_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
