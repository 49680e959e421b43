#include "base/map.h"

#include <assert.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

enum { MAP_CAP_MIN = 8 };

static uint64_t hash_key[2];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void make_hash_key(void)
{
    if (RAND_bytes((unsigned char *)hash_key, sizeof(hash_key)) != 1) {
        /* Without entropy collisions can be built, nothing else breaks. */
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        hash_key[0] = (uint64_t)now.tv_nsec;
        hash_key[1] = (uint64_t)now.tv_sec;
    }
}

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static void sip_round(uint64_t v[4])
{
    v[0] += v[1], v[1] = ROTL(v[1], 13), v[1] ^= v[0], v[0] = ROTL(v[0], 32);
    v[2] += v[3], v[3] = ROTL(v[3], 16), v[3] ^= v[2];
    v[0] += v[3], v[3] = ROTL(v[3], 21), v[3] ^= v[0];
    v[2] += v[1], v[1] = ROTL(v[1], 17), v[1] ^= v[2], v[2] = ROTL(v[2], 32);
}

static uint64_t load_le64(const char *data, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)(uint8_t)data[i] << (8 * i);
    return word;
}

uint64_t map_hash(slice key)
{
    pthread_once(&hash_key_once, make_hash_key);
    uint64_t v[4] = {
        0x736f6d6570736575ULL ^ hash_key[0],
        0x646f72616e646f6dULL ^ hash_key[1],
        0x6c7967656e657261ULL ^ hash_key[0],
        0x7465646279746573ULL ^ hash_key[1],
    };
    size_t whole = key.len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = load_le64(key.data + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)key.len << 56;
    if (key.len > whole)
        last |= load_le64(key.data + whole, key.len - whole);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(map *m, map_key_fn *key_of)
{
    *m = (map){ .key_of = key_of };
}

void map_deinit(map *m)
{
    mem_free(m->values);
    mem_free(m->hashes);
    map_init(m, m->key_of);
}

/* The slot of the key, or the free slot where it would go. The table is never full. */
static size_t map_find(const map *m, slice key, uint32_t hash)
{
    size_t at = hash & (m->cap - 1);
    while (m->values[at]) {
        if (m->hashes[at] == hash && slice_eq(m->key_of(m->values[at]), key))
            return at;
        at = (at + 1) & (m->cap - 1);
    }
    return at;
}

void *map_get(const map *m, slice key)
{
    if (m->count == 0)
        return NULL;
    return m->values[map_find(m, key, (uint32_t)map_hash(key))];
}

static int map_resize(map *m, size_t cap)
{
    void **values = mem_zalloc(cap * sizeof(*values));
    uint32_t *hashes = mem_zalloc(cap * sizeof(*hashes));
    if (!values || !hashes) {
        mem_free(values);
        mem_free(hashes);
        return CARAFE_ERR_NOMEM;
    }
    for (size_t i = 0; i < m->cap; i++) {
        if (!m->values[i])
            continue;
        size_t at = m->hashes[i] & (cap - 1);
        while (values[at])
            at = (at + 1) & (cap - 1);
        values[at] = m->values[i];
        hashes[at] = m->hashes[i];
    }
    mem_free(m->values);
    mem_free(m->hashes);
    m->values = values;
    m->hashes = hashes;
    m->cap = cap;
    return 0;
}

int map_put(map *m, void *value)
{
    /* At most three quarters full keeps probes short. */
    if (m->cap == 0 || (m->count + 1) * 4 > m->cap * 3)
        TRY(map_resize(m, m->cap ? m->cap * 2 : MAP_CAP_MIN));
    slice key = m->key_of(value);
    uint32_t hash = (uint32_t)map_hash(key);
    size_t at = map_find(m, key, hash);
    assert(!m->values[at] && "the key is in the table already");
    m->values[at] = value;
    m->hashes[at] = hash;
    m->count++;
    return 0;
}

/* Closes the gap at `hole`: each later entry of the run moves up unless that would put it before
 * the place its hash asks for. */
static void map_shift_back(map *m, size_t hole)
{
    size_t mask = m->cap - 1;
    for (size_t at = (hole + 1) & mask; m->values[at]; at = (at + 1) & mask) {
        size_t home = m->hashes[at] & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        m->values[hole] = m->values[at];
        m->hashes[hole] = m->hashes[at];
        hole = at;
    }
    m->values[hole] = NULL;
}

void *map_remove(map *m, slice key)
{
    if (m->count == 0)
        return NULL;
    size_t at = map_find(m, key, (uint32_t)map_hash(key));
    void *value = m->values[at];
    if (!value)
        return NULL;
    map_shift_back(m, at);
    m->count--;
    /* Shrinking is best effort: a table that stays too large is still right. */
    if (m->cap > MAP_CAP_MIN && m->count * 8 < m->cap && map_resize(m, m->cap / 2) < 0)
        return value;
    return value;
}

void *map_next(const map *m, size_t *at)
{
    while (*at < m->cap) {
        void *value = m->values[(*at)++];
        if (value)
            return value;
    }
    return NULL;
}
