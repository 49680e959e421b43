/* A hash table from byte strings to objects that hold their own key.
 *
 * Open addressing with linear probing and backward-shift deletion; keyed SipHash-1-3, so that a
 * peer who picks the keys (rooms, session ids) cannot build collisions. A slot is one pointer and
 * 32 bits of hash. Not thread-safe. */
#ifndef CARAFE_BASE_MAP_H
#define CARAFE_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

typedef slice map_key_fn(const void *value);

typedef struct map {
    void **values;    /* cap entries, NULL = free */
    uint32_t *hashes; /* cap entries */
    size_t cap;       /* power of two, or 0 */
    size_t count;
    map_key_fn *key_of;
} map;

/* Fills in an empty table whose objects give their key by `key_of`. Allocates nothing. */
void map_init(map *m, map_key_fn *key_of);

/* Frees the table, not the objects. */
void map_deinit(map *m);

/* The object with that key, or NULL. */
void *map_get(const map *m, slice key);

/* Adds an object whose key is not in the table (asserted). CARAFE_ERR_NOMEM. */
int map_put(map *m, void *value) MUST_USE;

/* Takes the object with that key out and returns it; NULL when there is none. */
void *map_remove(map *m, slice key);

/* Walks all objects in no order: start with *at = 0; NULL at the end. The table must not change
 * meanwhile. */
void *map_next(const map *m, size_t *at);

/* SipHash-1-3 with a key made once a process. */
uint64_t map_hash(slice key);

#endif /* CARAFE_BASE_MAP_H */
