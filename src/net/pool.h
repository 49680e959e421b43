/* Small memory blocks a worker uses again and again: output blocks and chunk lists.
 *
 * One free list a size class; blocks beyond a bound go back to the allocator. One thread. */
#ifndef CARAFE_NET_POOL_H
#define CARAFE_NET_POOL_H

#include <stddef.h>
#include <stdint.h>

enum {
    NET_POOL_CLASSES = 6,       /* 128, 256, 512, 1024, 2048, 4096 bytes */
    NET_POOL_SIZE_MIN = 128,
    NET_POOL_SIZE_MAX = 4096,
    NET_POOL_IDLE_MAX = 256,    /* free blocks kept per class */
};

typedef struct net_pool {
    void *free_list[NET_POOL_CLASSES];
    uint32_t idle[NET_POOL_CLASSES];
} net_pool;

void net_pool_init(net_pool *pool);
void net_pool_deinit(net_pool *pool);

/* A block of at least `size` bytes; *real_size is what it really holds. Sizes above
 * NET_POOL_SIZE_MAX come from mem_alloc. NULL when there is no memory. */
void *net_pool_take(net_pool *pool, size_t size, size_t *real_size);

/* Gives a block back; `real_size` is what net_pool_take said. */
void net_pool_give(net_pool *pool, void *block, size_t real_size);

#endif /* CARAFE_NET_POOL_H */
