#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"

enum { ITEM_COUNT = 2000 };

typedef struct item {
    char key[16];
    bool is_in; /* the naive model */
} item;

static item items[ITEM_COUNT];

static slice item_key(const void *value)
{
    return slice_str(((const item *)value)->key);
}

static int name_items(void **state)
{
    (void)state;
    for (int i = 0; i < ITEM_COUNT; i++) {
        snprintf(items[i].key, sizeof(items[i].key), "key-%d", i);
        items[i].is_in = false;
    }
    return 0;
}

static int assert_no_memory(void **state)
{
    (void)state;
    return mem_blocks_in_use() == 0 ? 0 : -1;
}

/* Slots between where the hash asks for and where the entry is hold no gap; hashes are right. */
static void assert_sound(const map *m)
{
    size_t count = 0;
    for (size_t at = 0; at < m->cap; at++) {
        if (!m->values[at])
            continue;
        count++;
        uint32_t hash = (uint32_t)map_hash(m->key_of(m->values[at]));
        assert_int_equal(hash, m->hashes[at]);
        for (size_t i = hash & (m->cap - 1); i != at; i = (i + 1) & (m->cap - 1))
            assert_non_null(m->values[i]);
    }
    assert_int_equal(count, m->count);
}

static void assert_is_model(const map *m)
{
    size_t count = 0, at = 0;
    for (int i = 0; i < ITEM_COUNT; i++) {
        assert_ptr_equal(map_get(m, item_key(&items[i])), items[i].is_in ? &items[i] : NULL);
        count += items[i].is_in;
    }
    assert_int_equal(m->count, count);
    for (item *found; (found = map_next(m, &at)) != NULL; count--)
        assert_true(found->is_in);
    assert_int_equal(count, 0);
}

static void test_map_empty_has_nothing_and_no_memory(void **state)
{
    (void)state;
    map m;
    size_t at = 0;
    map_init(&m, item_key);
    assert_null(map_get(&m, slice_str("x")));
    assert_null(map_remove(&m, slice_str("x")));
    assert_null(map_next(&m, &at));
    map_deinit(&m);
}

static void test_map_put_get_remove_one(void **state)
{
    (void)state;
    map m;
    map_init(&m, item_key);
    assert_int_equal(map_put(&m, &items[0]), 0);
    assert_ptr_equal(map_get(&m, slice_str("key-0")), &items[0]);
    assert_null(map_get(&m, slice_str("key-")));
    assert_null(map_remove(&m, slice_str("key-1")));
    /* The key may be the object's own bytes. */
    assert_ptr_equal(map_remove(&m, item_key(&items[0])), &items[0]);
    assert_null(map_get(&m, slice_str("key-0")));
    map_deinit(&m);
}

static void test_map_key_may_be_empty_or_hold_any_byte(void **state)
{
    (void)state;
    map m;
    map_init(&m, item_key);
    items[0].key[0] = '\0';
    assert_int_equal(map_put(&m, &items[0]), 0);
    assert_ptr_equal(map_get(&m, slice_of(NULL, 0)), &items[0]);
    assert_null(map_get(&m, slice_of("\0", 1)));
    map_deinit(&m);
}

static void test_map_grows_and_shrinks_with_its_content(void **state)
{
    (void)state;
    map m;
    map_init(&m, item_key);
    for (int i = 0; i < ITEM_COUNT; i++) {
        assert_int_equal(map_put(&m, &items[i]), 0);
        items[i].is_in = true;
        assert_true(m.count * 4 <= m.cap * 3);
    }
    assert_sound(&m);
    assert_is_model(&m);
    size_t cap_max = m.cap, cap = m.cap;
    for (int i = 0; i < ITEM_COUNT; i++) {
        assert_ptr_equal(map_remove(&m, item_key(&items[i])), &items[i]);
        items[i].is_in = false;
        /* After a resize there is room, so that adding does not at once resize again. */
        if (m.cap < cap)
            assert_true(m.count * 4 <= m.cap);
        cap = m.cap;
        if (i % 97 == 0)
            assert_is_model(&m);
    }
    assert_true(m.cap < cap_max / 64);
    map_deinit(&m);
}

/* Picks items whose entries all want the same slot of a table of 64. */
static int pick_colliding(item *picked[], int count, size_t home)
{
    int found = 0;
    for (int i = 0; i < ITEM_COUNT && found < count; i++) {
        if ((map_hash(item_key(&items[i])) & 63) == home)
            picked[found++] = &items[i];
    }
    return found;
}

static void test_map_remove_from_a_run_keeps_the_rest_reachable(void **state)
{
    (void)state;
    enum { HOMES = 4, EACH = 8, ALL = HOMES * EACH };
    /* The runs touch, and wrap around the end of the table. */
    for (size_t first = 60; first < 64 + 8; first++) {
        for (int victim = 0; victim < ALL; victim++) {
            item *picked[ALL];
            map m;
            map_init(&m, item_key);
            for (int h = 0; h < HOMES; h++)
                assert_int_equal(pick_colliding(picked + h * EACH, EACH, (first + (size_t)h) & 63),
                                 EACH);
            for (int i = 0; i < ALL; i++)
                assert_int_equal(map_put(&m, picked[(i * 5) % ALL]), 0);
            assert_int_equal(m.cap, 64);
            assert_ptr_equal(map_remove(&m, item_key(picked[victim])), picked[victim]);
            assert_sound(&m);
            for (int i = 0; i < ALL; i++)
                assert_ptr_equal(map_get(&m, item_key(picked[i])), i == victim ? NULL : picked[i]);
            map_deinit(&m);
        }
    }
}

static void test_map_random_operations_agree_with_a_naive_model(void **state)
{
    (void)state;
    map m;
    map_init(&m, item_key);
    uint32_t seed = 12345;
    for (int step = 0; step < 200000; step++) {
        seed = seed * 1664525 + 1013904223;
        /* The range of keys swells and shrinks, and with it the table. */
        int range = 10 + (step / 100) % ITEM_COUNT / 2;
        item *it = &items[(seed >> 8) % (uint32_t)range];
        if (!it->is_in && (seed >> 31)) {
            assert_int_equal(map_put(&m, it), 0);
            it->is_in = true;
        } else {
            assert_ptr_equal(map_remove(&m, item_key(it)), it->is_in ? it : NULL);
            it->is_in = false;
        }
        if (step % 2003 == 0) {
            assert_sound(&m);
            assert_is_model(&m);
        }
    }
    map_deinit(&m);
}

static void test_map_put_without_memory_changes_nothing(void **state)
{
    (void)state;
    for (int n = 1; n <= 2; n++) {
        map m;
        map_init(&m, item_key);
        for (int i = 0; i < 6; i++)
            assert_int_equal(map_put(&m, &items[i]), 0);
        mem_fail_after(n);
        int result = map_put(&m, &items[6]);
        mem_fail_never();
        assert_int_equal(result, CARAFE_ERR_NOMEM);
        assert_int_equal(m.count, 6);
        assert_sound(&m);
        map_deinit(&m);
    }
}

static void test_map_remove_without_memory_to_shrink_works(void **state)
{
    (void)state;
    map m;
    map_init(&m, item_key);
    for (int i = 0; i < 500; i++)
        assert_int_equal(map_put(&m, &items[i]), 0);
    mem_fail_after(1);
    for (int i = 0; i < 500; i++)
        assert_ptr_equal(map_remove(&m, item_key(&items[i])), &items[i]);
    mem_fail_never();
    assert_int_equal(m.count, 0);
    assert_sound(&m);
    map_deinit(&m);
}

static void test_map_hash_depends_on_every_byte_and_the_length(void **state)
{
    (void)state;
    char key[40] = { 0 };
    uint64_t seen[41 + 40];
    size_t count = 0;
    for (size_t len = 0; len <= sizeof(key); len++)
        seen[count++] = map_hash(slice_of(key, len));
    for (size_t i = 0; i < sizeof(key); i++) {
        key[i] = 1;
        seen[count++] = map_hash(slice_of(key, sizeof(key)));
        key[i] = 0;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    }
}

#define NAMED(test) cmocka_unit_test_setup_teardown(test, name_items, assert_no_memory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NAMED(test_map_empty_has_nothing_and_no_memory),
        NAMED(test_map_put_get_remove_one),
        NAMED(test_map_key_may_be_empty_or_hold_any_byte),
        NAMED(test_map_grows_and_shrinks_with_its_content),
        NAMED(test_map_remove_from_a_run_keeps_the_rest_reachable),
        NAMED(test_map_random_operations_agree_with_a_naive_model),
        NAMED(test_map_put_without_memory_changes_nothing),
        NAMED(test_map_remove_without_memory_to_shrink_works),
        NAMED(test_map_hash_depends_on_every_byte_and_the_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
