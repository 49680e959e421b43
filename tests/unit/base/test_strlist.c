/* Lists in one text. */
#include "base/strlist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

static void expect(const char *text, const char *const *items)
{
    char **list;
    assert_int_equal(str_list_split(text, &list), 0);
    size_t i = 0;
    for (; items[i]; i++)
        assert_string_equal(list[i], items[i]);
    assert_null(list[i]);
    str_list_free(list);
}

static void test_strlist_entries_are_trimmed_and_empty_ones_dropped(void **state)
{
    (void)state;
    expect("a", (const char *[]){ "a", NULL });
    expect("a,b", (const char *[]){ "a", "b", NULL });
    expect(" a ,\tb c,, ,d,", (const char *[]){ "a", "b c", "d", NULL });
    expect("", (const char *[]){ NULL });
    expect(" , ", (const char *[]){ NULL });
}

static void test_strlist_no_text_is_no_list(void **state)
{
    char **list = (char **)1;
    (void)state;
    assert_int_equal(str_list_split(NULL, &list), 0);
    assert_null(list);
    str_list_free(list);
}

static void test_strlist_without_memory_leaves_nothing(void **state)
{
    (void)state;
    int64_t before = mem_blocks_in_use();
    for (int n = 1; n <= 3; n++) {
        char **list;
        mem_fail_after(n);
        int error = str_list_split("a,b", &list);
        mem_fail_never();
        assert_int_equal(error, CARAFE_ERR_NOMEM);
        assert_null(list);
        assert_int_equal(mem_blocks_in_use(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strlist_entries_are_trimmed_and_empty_ones_dropped),
        cmocka_unit_test(test_strlist_no_text_is_no_list),
        cmocka_unit_test(test_strlist_without_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
