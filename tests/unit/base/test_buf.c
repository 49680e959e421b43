#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

static void assert_holds(const buf *b, const char *text)
{
    assert_true(slice_is(buf_slice(b), text));
}

static void test_buf_zeroed_is_empty_and_usable(void **state)
{
    (void)state;
    buf b = { 0 };
    assert_int_equal(buf_readable(&b), 0);
    assert_null(buf_head(&b));
    assert_int_equal(buf_slice(&b).len, 0);
    buf_consume(&b, 0);
    assert_int_equal(buf_append(&b, NULL, 0), 0);
    assert_int_equal(buf_append_str(&b, "x"), 0);
    assert_holds(&b, "x");
    buf_deinit(&b);
    buf_deinit(&b);
    assert_int_equal(buf_readable(&b), 0);
}

static void test_buf_append_kinds_follow_each_other(void **state)
{
    (void)state;
    buf b = { 0 };
    assert_int_equal(buf_append(&b, "ab", 2), 0);
    assert_int_equal(buf_append_char(&b, ':'), 0);
    assert_int_equal(buf_append_uint(&b, 0), 0);
    assert_int_equal(buf_append_uint(&b, UINT64_MAX), 0);
    assert_int_equal(buf_printf(&b, " %d%%", -5), 0);
    assert_holds(&b, "ab:018446744073709551615 -5%");
    buf_deinit(&b);
}

static void test_buf_printf_longer_than_the_room_is_whole(void **state)
{
    (void)state;
    buf b = { 0 };
    char text[500];
    memset(text, 'q', sizeof(text));
    for (size_t len = 0; len < sizeof(text); len += 7)
        assert_int_equal(buf_printf(&b, "%.*s|", (int)len, text), 0);
    size_t expected = 0;
    for (size_t len = 0; len < sizeof(text); len += 7)
        expected += len + 1;
    assert_int_equal(buf_readable(&b), expected);
    buf_deinit(&b);
}

static void test_buf_cstr_adds_an_uncounted_nul(void **state)
{
    (void)state;
    buf b = { 0 };
    assert_string_equal(buf_cstr(&b), "");
    assert_int_equal(buf_append_str(&b, "hello"), 0);
    buf_consume(&b, 2);
    assert_string_equal(buf_cstr(&b), "llo");
    assert_int_equal(buf_readable(&b), 3);
    /* The NUL goes behind a block that is exactly full, too. */
    while (b.len < b.cap)
        assert_int_equal(buf_append_char(&b, 'x'), 0);
    assert_int_equal(strlen(buf_cstr(&b)), buf_readable(&b));
    buf_deinit(&b);
}

static void test_buf_consume_emptied_buffer_starts_again(void **state)
{
    (void)state;
    buf b = { 0 };
    assert_int_equal(buf_append_str(&b, "abc"), 0);
    buf_consume(&b, 3);
    assert_int_equal(b.pos, 0);
    assert_int_equal(b.len, 0);
    buf_deinit(&b);
}

static void test_buf_reserve_as_a_queue_stays_small(void **state)
{
    (void)state;
    buf b = { 0 };
    /* 40 bytes are always waiting while a megabyte passes through. */
    char chunk[40];
    memset(chunk, 'c', sizeof(chunk));
    assert_int_equal(buf_append(&b, chunk, sizeof(chunk)), 0);
    for (int i = 0; i < 25000; i++) {
        memset(chunk, 'a' + i % 26, sizeof(chunk));
        assert_int_equal(buf_append(&b, chunk, sizeof(chunk)), 0);
        buf_consume(&b, sizeof(chunk));
        assert_memory_equal(buf_head(&b), chunk, sizeof(chunk));
    }
    assert_true(b.cap <= 256);
    buf_deinit(&b);
}

static void test_buf_reserve_absurd_size_is_refused(void **state)
{
    (void)state;
    buf b = { 0 };
    assert_int_equal(buf_append_str(&b, "keep"), 0);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), CARAFE_ERR_NOMEM);
    assert_int_equal(buf_reserve(&b, SIZE_MAX / 2), CARAFE_ERR_NOMEM);
    assert_holds(&b, "keep");
    buf_deinit(&b);
}

static void test_buf_append_without_memory_changes_nothing(void **state)
{
    (void)state;
    char big[1000] = { 0 };
    buf b = { 0 };
    mem_fail_after(1);
    assert_int_equal(buf_append_str(&b, "x"), CARAFE_ERR_NOMEM);
    assert_null(buf_cstr(&b));
    mem_fail_never();
    assert_int_equal(buf_append_str(&b, "keep"), 0);
    mem_fail_after(1);
    assert_int_equal(buf_append(&b, big, sizeof(big)), CARAFE_ERR_NOMEM);
    assert_int_equal(buf_printf(&b, "%100d", 1), CARAFE_ERR_NOMEM);
    mem_fail_never();
    assert_holds(&b, "keep");
    buf_deinit(&b);
    assert_int_equal(mem_blocks_in_use(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_zeroed_is_empty_and_usable),
        cmocka_unit_test(test_buf_append_kinds_follow_each_other),
        cmocka_unit_test(test_buf_printf_longer_than_the_room_is_whole),
        cmocka_unit_test(test_buf_cstr_adds_an_uncounted_nul),
        cmocka_unit_test(test_buf_consume_emptied_buffer_starts_again),
        cmocka_unit_test(test_buf_reserve_as_a_queue_stays_small),
        cmocka_unit_test(test_buf_reserve_absurd_size_is_refused),
        cmocka_unit_test(test_buf_append_without_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
