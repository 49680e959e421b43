/* net/pool: size classes, reuse, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/pool.h"

static void test_net_pool_take_rounds_up_to_a_class(void **state)
{
    (void)state;
    static const size_t table[][2] = {
        {0, 128},     {1, 128},     {128, 128},   {129, 256},   {256, 256},   {257, 512},
        {1024, 1024}, {2049, 4096}, {4096, 4096}, {4097, 4097}, {9999, 9999},
    };
    net_pool pool;
    net_pool_init(&pool);
    int64_t before = mem_blocks_in_use();
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        size_t real_size = 0;
        void *block = net_pool_take(&pool, table[i][0], &real_size);
        assert_non_null(block);
        assert_int_equal(real_size, table[i][1]);
        memset(block, 0xaa, real_size);
        net_pool_give(&pool, block, real_size);
    }
    net_pool_deinit(&pool);
    assert_int_equal(mem_blocks_in_use(), before);
}

static void test_net_pool_gives_the_last_block_of_its_class_again(void **state)
{
    (void)state;
    net_pool pool;
    size_t size;
    net_pool_init(&pool);
    void *small = net_pool_take(&pool, 100, &size);
    void *other = net_pool_take(&pool, 100, &size);
    void *large = net_pool_take(&pool, 1000, &size);
    assert_ptr_not_equal(small, other);
    net_pool_give(&pool, small, 128);
    net_pool_give(&pool, other, 128);
    net_pool_give(&pool, large, 1024);
    int64_t before = mem_blocks_in_use();
    assert_ptr_equal(net_pool_take(&pool, 600, &size), large);
    assert_ptr_equal(net_pool_take(&pool, 1, &size), other);
    assert_ptr_equal(net_pool_take(&pool, 128, &size), small);
    assert_int_equal(mem_blocks_in_use(), before);
    net_pool_give(&pool, small, 128);
    net_pool_give(&pool, other, 128);
    net_pool_give(&pool, large, 1024);
    net_pool_deinit(&pool);
}

static void test_net_pool_keeps_a_bounded_number_of_blocks(void **state)
{
    (void)state;
    static void *blocks[NET_POOL_IDLE_MAX + 10];
    enum { COUNT = sizeof(blocks) / sizeof(blocks[0]) };
    net_pool pool;
    size_t size;
    net_pool_init(&pool);
    int64_t before = mem_blocks_in_use();
    for (int i = 0; i < COUNT; i++)
        blocks[i] = net_pool_take(&pool, 512, &size);
    assert_int_equal(mem_blocks_in_use() - before, COUNT);
    for (int i = 0; i < COUNT; i++)
        net_pool_give(&pool, blocks[i], size);
    assert_int_equal(mem_blocks_in_use() - before, NET_POOL_IDLE_MAX);
    net_pool_deinit(&pool);
    assert_int_equal(mem_blocks_in_use(), before);
}

static void test_net_pool_without_memory_gives_none(void **state)
{
    (void)state;
    net_pool pool;
    size_t size;
    net_pool_init(&pool);
    void *kept = net_pool_take(&pool, 300, &size);
    net_pool_give(&pool, kept, size);
    mem_fail_after(1);
    assert_null(net_pool_take(&pool, 100, &size));
    assert_null(net_pool_take(&pool, 10000, &size));
    assert_ptr_equal(net_pool_take(&pool, 300, &size), kept);
    mem_fail_never();
    net_pool_give(&pool, kept, size);
    net_pool_give(&pool, NULL, 0);
    net_pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_net_pool_take_rounds_up_to_a_class),
        cmocka_unit_test(test_net_pool_gives_the_last_block_of_its_class_again),
        cmocka_unit_test(test_net_pool_keeps_a_bounded_number_of_blocks),
        cmocka_unit_test(test_net_pool_without_memory_gives_none),
    };
    return cmocka_run_group_tests_name("net/pool", tests, NULL, NULL);
}
