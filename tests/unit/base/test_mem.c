#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

static void test_mem_alloc_and_free_are_counted(void **state)
{
    (void)state;
    int64_t bytes = mem_bytes_in_use(), blocks = mem_blocks_in_use();
    void *a = mem_alloc(100);
    void *b = mem_zalloc(0);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(mem_blocks_in_use(), blocks + 2);
    assert_true(mem_bytes_in_use() >= bytes + 100);
    mem_free(a);
    mem_free(b);
    mem_free(NULL);
    assert_int_equal(mem_blocks_in_use(), blocks);
    assert_int_equal(mem_bytes_in_use(), bytes);
}

static void test_mem_zalloc_is_zeroed(void **state)
{
    (void)state;
    static const char zeros[64];
    char *p = mem_zalloc(sizeof(zeros));
    assert_memory_equal(p, zeros, sizeof(zeros));
    mem_free(p);
}

static void test_mem_realloc_counts_the_difference(void **state)
{
    (void)state;
    int64_t bytes = mem_bytes_in_use(), blocks = mem_blocks_in_use();
    char *p = mem_realloc(NULL, 10);
    assert_int_equal(mem_blocks_in_use(), blocks + 1);
    memcpy(p, "123456789", 10);
    p = mem_realloc(p, 100000);
    assert_string_equal(p, "123456789");
    assert_int_equal(mem_blocks_in_use(), blocks + 1);
    assert_true(mem_bytes_in_use() >= bytes + 100000);
    p = mem_realloc(p, 0);
    assert_non_null(p);
    mem_free(p);
    assert_int_equal(mem_bytes_in_use(), bytes);
}

static void test_mem_dup_adds_a_nul(void **state)
{
    (void)state;
    char *a = mem_dup("a\0b", 3);
    char *b = mem_dup(NULL, 0);
    char *c = mem_strdup("text");
    assert_memory_equal(a, "a\0b", 4);
    assert_string_equal(b, "");
    assert_string_equal(c, "text");
    mem_free(a);
    mem_free(b);
    mem_free(c);
}

static void test_mem_fail_after_fails_the_nth_and_all_behind_it(void **state)
{
    (void)state;
    void *kept[2];
    mem_fail_after(3);
    kept[0] = mem_alloc(1);
    kept[1] = mem_zalloc(1);
    void *third = mem_alloc(1);
    void *fourth = mem_realloc(kept[0], 100);
    char *fifth = mem_strdup("x");
    mem_fail_never();
    assert_non_null(kept[0]);
    assert_non_null(kept[1]);
    assert_null(third);
    assert_null(fourth);
    assert_null(fifth);
    mem_free(kept[0]);
    mem_free(kept[1]);
    void *after = mem_alloc(1);
    assert_non_null(after);
    mem_free(after);
}

static void *allocate_here(void *arg)
{
    *(void **)arg = mem_alloc(50);
    return NULL;
}

static void test_mem_free_by_another_thread_balances(void **state)
{
    (void)state;
    int64_t bytes = mem_bytes_in_use();
    /* More threads than there are counter blocks: the last one is then shared. */
    mem_fail_after(1); /* concerns this thread only */
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        void *p = NULL;
        assert_int_equal(pthread_create(&thread, NULL, allocate_here, &p), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_non_null(p);
        assert_true(mem_bytes_in_use() >= bytes + 50);
        mem_free(p);
        assert_int_equal(mem_bytes_in_use(), bytes);
    }
    mem_fail_never();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mem_alloc_and_free_are_counted),
        cmocka_unit_test(test_mem_zalloc_is_zeroed),
        cmocka_unit_test(test_mem_realloc_counts_the_difference),
        cmocka_unit_test(test_mem_dup_adds_a_nul),
        cmocka_unit_test(test_mem_fail_after_fails_the_nth_and_all_behind_it),
        cmocka_unit_test(test_mem_free_by_another_thread_balances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
