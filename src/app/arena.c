#include "app/arena.h"

#include <stdalign.h>

#include "base/error.h"
#include "base/mem.h"

enum { BLOCK_SIZE_MIN = 2048 };

struct arena_block {
    arena_block *next;
    alignas(max_align_t) uint8_t bytes[];
};

void arena_init(arena *a, void *room, size_t size)
{
    *a = (arena){ .at = room, .left = size };
}

void arena_deinit(arena *a)
{
    arena_block *block = a->blocks;
    while (block) {
        arena_block *next = block->next;
        mem_free(block);
        block = next;
    }
    arena_init(a, NULL, 0);
}

static int add_block(arena *a, size_t size)
{
    if (size < BLOCK_SIZE_MIN)
        size = BLOCK_SIZE_MIN;
    arena_block *block = mem_alloc(sizeof(*block) + size);
    if (!block)
        return CARAFE_ERR_NOMEM;
    block->next = a->blocks;
    a->blocks = block;
    a->at = block->bytes;
    a->left = size;
    return 0;
}

void *arena_alloc(arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    size = (size + align - 1) / align * align;
    if (size > a->left && add_block(a, size) < 0)
        return NULL;
    void *memory = a->at;
    a->at += size;
    a->left -= size;
    return memory;
}

char *arena_dup(arena *a, slice text)
{
    char *copy = arena_alloc(a, text.len + 1);
    if (!copy)
        return NULL;
    if (text.len)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}
