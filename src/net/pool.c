#include "net/pool.h"

#include "base/mem.h"

typedef struct free_block {
    struct free_block *next;
} free_block;

void net_pool_init(net_pool *pool)
{
    *pool = (net_pool){ 0 };
}

void net_pool_deinit(net_pool *pool)
{
    for (int i = 0; i < NET_POOL_CLASSES; i++) {
        free_block *block = pool->free_list[i];
        while (block) {
            free_block *next = block->next;
            mem_free(block);
            block = next;
        }
    }
    net_pool_init(pool);
}

static int class_of(size_t size)
{
    int class = 0;
    while (((size_t)NET_POOL_SIZE_MIN << class) < size)
        class ++;
    return class;
}

void *net_pool_take(net_pool *pool, size_t size, size_t *real_size)
{
    if (size > NET_POOL_SIZE_MAX) {
        *real_size = size;
        return mem_alloc(size);
    }
    int class = class_of(size);
    *real_size = (size_t)NET_POOL_SIZE_MIN << class;
    free_block *block = pool->free_list[class];
    if (!block)
        return mem_alloc(*real_size);
    pool->free_list[class] = block->next;
    pool->idle[class]--;
    return block;
}

void net_pool_give(net_pool *pool, void *block, size_t real_size)
{
    if (!block)
        return;
    if (real_size > NET_POOL_SIZE_MAX) {
        mem_free(block);
        return;
    }
    int class = class_of(real_size);
    if (pool->idle[class] >= NET_POOL_IDLE_MAX) {
        mem_free(block);
        return;
    }
    free_block *head = block;
    head->next = pool->free_list[class];
    pool->free_list[class] = head;
    pool->idle[class]++;
}
