/* Memory that is freed all at once: what a request hands out lives as long as the request. */
#ifndef CARAFE_APP_ARENA_H
#define CARAFE_APP_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

typedef struct arena_block arena_block;

typedef struct arena {
    arena_block *blocks; /* newest first; NULL while the first room suffices */
    uint8_t *at;         /* next free byte */
    size_t left;         /* bytes behind it */
} arena;

/* Begins in `size` bytes at `room`, which stay the caller's. Allocates nothing. */
void arena_init(arena *a, void *room, size_t size);
void arena_deinit(arena *a);

/* Aligned for any type. NULL when there is no memory. */
void *arena_alloc(arena *a, size_t size) __attribute__((warn_unused_result));

/* A copy with a NUL behind it. NULL when there is no memory. */
char *arena_dup(arena *a, slice text) __attribute__((warn_unused_result));

#endif /* CARAFE_APP_ARENA_H */
