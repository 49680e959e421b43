#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* One counter block a thread, aligned so that two threads never share a cache line. A block is
 * leased from a fixed table and stays counted after its thread ended. Threads beyond the table
 * share its last entry, which is why the fields are atomic. */
enum { COUNTER_COUNT = 128 };

typedef struct counter {
    _Alignas(64) atomic_int_least64_t bytes;
    atomic_int_least64_t blocks;
} counter;

static counter counters[COUNTER_COUNT];
static atomic_int counters_leased;

static _Thread_local counter *my_counter;
static _Thread_local int fail_after; /* 0: never; n: the n-th allocation from now; -1: all */

static counter *counter_of_thread(void)
{
    if (!my_counter) {
        int slot = atomic_fetch_add_explicit(&counters_leased, 1, memory_order_relaxed);
        my_counter = &counters[slot < COUNTER_COUNT ? slot : COUNTER_COUNT - 1];
    }
    return my_counter;
}

static void count(int64_t bytes, int64_t blocks)
{
    counter *c = counter_of_thread();
    atomic_fetch_add_explicit(&c->bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->blocks, blocks, memory_order_relaxed);
}

static int must_fail(void)
{
    if (fail_after == 0)
        return 0;
    if (fail_after > 1) {
        fail_after--;
        return 0;
    }
    fail_after = -1;
    return 1;
}

void *mem_alloc(size_t size)
{
    if (must_fail())
        return NULL;
    void *ptr = malloc(size ? size : 1);
    if (ptr)
        count((int64_t)malloc_usable_size(ptr), 1);
    return ptr;
}

void *mem_zalloc(size_t size)
{
    if (must_fail())
        return NULL;
    void *ptr = calloc(1, size ? size : 1);
    if (ptr)
        count((int64_t)malloc_usable_size(ptr), 1);
    return ptr;
}

void *mem_realloc(void *ptr, size_t size)
{
    if (must_fail())
        return NULL;
    size_t before = ptr ? malloc_usable_size(ptr) : 0;
    void *moved = realloc(ptr, size ? size : 1);
    if (moved)
        count((int64_t)malloc_usable_size(moved) - (int64_t)before, ptr ? 0 : 1);
    return moved;
}

void mem_free(void *ptr)
{
    if (!ptr)
        return;
    count(-(int64_t)malloc_usable_size(ptr), -1);
    free(ptr);
}

char *mem_dup(const void *data, size_t len)
{
    char *copy = mem_alloc(len + 1);
    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_dup(text, strlen(text));
}

int64_t mem_bytes_in_use(void)
{
    int64_t sum = 0;
    for (int i = 0; i < COUNTER_COUNT; i++)
        sum += atomic_load_explicit(&counters[i].bytes, memory_order_relaxed);
    return sum;
}

int64_t mem_blocks_in_use(void)
{
    int64_t sum = 0;
    for (int i = 0; i < COUNTER_COUNT; i++)
        sum += atomic_load_explicit(&counters[i].blocks, memory_order_relaxed);
    return sum;
}

void mem_fail_after(int n)
{
    fail_after = n;
}

void mem_fail_never(void)
{
    fail_after = 0;
}
