#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "socketio/payload.h"

static void test_sio_binary_holds_the_bytes(void **state)
{
    (void)state;
    json_t *value = sio_binary("a\0\xff", 3);
    size_t len = 0;
    const void *bytes = sio_bytes(value, &len);
    assert_non_null(bytes);
    assert_int_equal(len, 3);
    assert_memory_equal(bytes, "a\0\xff", 3);
    assert_ptr_equal(sio_bytes(value, NULL), bytes);
    json_decref(value);
}

static void test_sio_binary_without_bytes_is_a_binary_value(void **state)
{
    (void)state;
    json_t *value = sio_binary(NULL, 0);
    size_t len = 7;
    assert_non_null(sio_bytes(value, &len));
    assert_int_equal(len, 0);
    json_decref(value);
}

static void test_sio_binary_survives_packing_and_deep_copy(void **state)
{
    (void)state;
    json_t *value = sio_pack("{s:[o]}", "a", sio_binary("\0xyz", 4));
    assert_false(payload_is_invalid(value));
    json_t *copy = json_deep_copy(value);
    json_decref(value);
    size_t len = 0;
    const void *bytes = sio_bytes(json_array_get(json_object_get(copy, "a"), 0), &len);
    assert_non_null(bytes);
    assert_int_equal(len, 4);
    assert_memory_equal(bytes, "\0xyz", 4);
    json_decref(copy);
}

static void test_sio_bytes_of_anything_else_is_null(void **state)
{
    (void)state;
    json_t *values[] = {
        NULL,
        json_null(),
        json_string("x"),
        json_object(),
        json_array(),
        payload_invalid(),
        sio_pack("{s:s}", "y", "x"),
        sio_pack("{s:s}", "", "x"),
        sio_tuple("s", "x"),
        sio_pack("{s:s, s:s}", "a", "x", "b", "x"),
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        size_t len = 7;
        assert_null(sio_bytes(values[i], &len));
        assert_int_equal(len, 7);
        json_decref(values[i]);
    }
    /* The marking key, but not our shape. */
    json_t *forged = json_object();
    json_object_set_new_nocheck(forged, "\xff", json_integer(1));
    assert_null(sio_bytes(forged, NULL));
    json_object_set_new_nocheck(forged, "\xff", json_string("x"));
    json_object_set_new_nocheck(forged, "a", json_integer(1));
    assert_null(sio_bytes(forged, NULL));
    json_decref(forged);
}

static void test_sio_text_prints_short_and_long_texts(void **state)
{
    (void)state;
    char text[1000];
    for (size_t len = 0; len < sizeof(text); len += len < 250 || len > 260 ? 50 : 1) {
        memset(text, 'x', len);
        text[len] = '\0';
        json_t *value = sio_text("%s%d", text, 7);
        assert_int_equal(json_string_length(value), len + 1);
        assert_memory_equal(json_string_value(value), text, len);
        assert_int_equal(json_string_value(value)[len], '7');
        json_decref(value);
    }
}

static void test_sio_text_that_is_not_utf8_is_invalid(void **state)
{
    (void)state;
    assert_true(payload_is_invalid(sio_text("%s", "a\xff")));
    assert_true(payload_is_invalid(sio_text("%300s", "\xed\xa0\x80")));
}

static void test_sio_pack_packs(void **state)
{
    (void)state;
    json_t *value = sio_pack("{s:s, s:i}", "user", "name", "age", 7);
    assert_int_equal(json_integer_value(json_object_get(value, "age")), 7);
    json_decref(value);
    value = sio_pack("n");
    assert_true(json_is_null(value));
    assert_false(payload_is_invalid(value));
}

static void test_sio_pack_failure_is_invalid_and_keeps_no_reference(void **state)
{
    (void)state;
    json_t *object = json_object();
    assert_true(payload_is_invalid(sio_pack("{s:o, s:s}", "a", json_incref(object), "b", NULL)));
    assert_true(payload_is_invalid(sio_pack("{s:s, s:o}", "a", NULL, "b", json_incref(object))));
    assert_true(payload_is_invalid(sio_pack("[o, s]", json_incref(object), "\xff")));
    assert_true(payload_is_invalid(sio_pack("[o, x]", json_incref(object))));
    assert_true(payload_is_invalid(sio_pack("[o", json_incref(object))));
    assert_true(payload_is_invalid(sio_pack("o", NULL)));
    assert_true(payload_is_invalid(sio_pack("")));
    assert_int_equal(object->refcount, 1);
    json_decref(object);
}

static void test_sio_tuple_makes_several_arguments(void **state)
{
    (void)state;
    json_t *tuple = sio_tuple("s i o", "x", 1, json_true());
    json_t *items = payload_tuple_items(tuple);
    json_t *expected = json_pack("[s i b]", "x", 1, 1);
    assert_true(json_equal(items, expected));
    json_decref(expected);
    json_decref(tuple);

    tuple = sio_tuple("{s:i} [i, i] s?", "a", 1, 2, 3, NULL);
    items = payload_tuple_items(tuple);
    assert_int_equal(json_array_size(items), 3);
    assert_true(json_is_null(json_array_get(items, 2)));
    json_decref(tuple);
}

static void test_sio_tuple_of_no_formats_is_no_argument(void **state)
{
    (void)state;
    json_t *tuple = sio_tuple("");
    assert_int_equal(json_array_size(payload_tuple_items(tuple)), 0);
    assert_non_null(payload_tuple_items(tuple));
    json_decref(tuple);
}

static void test_sio_tuple_long_format_is_packed(void **state)
{
    (void)state;
    char fmt[1001];
    for (size_t len = 250; len <= 260; len++) {
        memset(fmt, 'n', len);
        fmt[len] = '\0';
        json_t *tuple = sio_tuple(fmt);
        assert_int_equal(json_array_size(payload_tuple_items(tuple)), len);
        json_decref(tuple);
    }
}

static void test_sio_tuple_failure_is_invalid_and_keeps_no_reference(void **state)
{
    (void)state;
    json_t *object = json_object();
    assert_true(payload_is_invalid(sio_tuple("s o", NULL, json_incref(object))));
    assert_true(payload_is_invalid(sio_tuple("o s", json_incref(object), "\xff")));
    assert_true(payload_is_invalid(sio_tuple("o x", json_incref(object))));
    assert_true(payload_is_invalid(sio_tuple("o] i", json_incref(object), 1)));
    assert_true(payload_is_invalid(sio_tuple(NULL)));
    assert_int_equal(object->refcount, 1);
    json_decref(object);
}

static void test_sio_tuple_of_takes_an_array_only(void **state)
{
    (void)state;
    json_t *tuple = sio_tuple_of(json_pack("[i i]", 1, 2));
    assert_int_equal(json_array_size(payload_tuple_items(tuple)), 2);
    json_decref(tuple);
    assert_true(payload_is_invalid(sio_tuple_of(NULL)));
    assert_true(payload_is_invalid(sio_tuple_of(json_object())));
    assert_true(payload_is_invalid(sio_tuple_of(payload_invalid())));
}

static void test_payload_invalid_may_be_counted_freely(void **state)
{
    (void)state;
    json_t *value = payload_invalid();
    for (int i = 0; i < 10; i++)
        json_decref(value);
    json_incref(value);
    assert_true(payload_is_invalid(value));
    assert_false(payload_is_invalid(NULL));
    json_t *array = json_pack("[o]", value);
    json_t *copy = json_deep_copy(array);
    assert_true(payload_is_invalid(json_array_get(copy, 0)));
    json_decref(copy);
    json_decref(array);
}

static void test_payload_tuple_items_of_anything_else_is_null(void **state)
{
    (void)state;
    json_t *values[] = {NULL,
                        json_null(),
                        json_pack("[i]", 1),
                        json_pack("{s:[]}", "a"),
                        sio_binary("x", 1),
                        payload_invalid()};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_null(payload_tuple_items(values[i]));
        json_decref(values[i]);
    }
}

static void test_payload_to_array_each_kind(void **state)
{
    (void)state;
    json_t *array = payload_to_array(NULL);
    assert_int_equal(json_array_size(array), 0);
    json_decref(array);
    array = payload_to_array(json_pack("[i i]", 1, 2));
    assert_int_equal(json_array_size(array), 1);
    json_decref(array);
    array = payload_to_array(sio_tuple("i i", 1, 2));
    assert_int_equal(json_array_size(array), 2);
    json_decref(array);
    assert_null(payload_to_array(payload_invalid()));
}

static void test_payload_each_failing_allocation_gives_the_invalid_value(void **state)
{
    (void)state;
    char long_text[400];
    memset(long_text, 'n', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    for (int which = 0; which < 5; which++) {
        int n = 0;
        bool was_invalid = true;
        while (was_invalid) {
            mem_fail_after(++n);
            json_t *value = which == 0   ? sio_binary("x", 1)
                            : which == 1 ? sio_text("%s", long_text)
                            : which == 2 ? sio_pack("{s:i}", "a", 1)
                            : which == 3 ? sio_tuple("i i", 1, 2)
                                         : sio_tuple(long_text);
            mem_fail_never();
            assert_non_null(value);
            was_invalid = payload_is_invalid(value);
            json_decref(value);
        }
        assert_true(n > 2);
    }
}

static int no_memory_is_left(void **state)
{
    (void)state;
    return mem_blocks_in_use() == 0 ? 0 : -1;
}

int main(void)
{
    json_set_alloc_funcs(mem_alloc, mem_free); /* so that Jansson's allocations can fail too */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sio_binary_holds_the_bytes),
        cmocka_unit_test(test_sio_binary_without_bytes_is_a_binary_value),
        cmocka_unit_test(test_sio_binary_survives_packing_and_deep_copy),
        cmocka_unit_test(test_sio_bytes_of_anything_else_is_null),
        cmocka_unit_test(test_sio_text_prints_short_and_long_texts),
        cmocka_unit_test(test_sio_text_that_is_not_utf8_is_invalid),
        cmocka_unit_test(test_sio_pack_packs),
        cmocka_unit_test(test_sio_pack_failure_is_invalid_and_keeps_no_reference),
        cmocka_unit_test(test_sio_tuple_makes_several_arguments),
        cmocka_unit_test(test_sio_tuple_of_no_formats_is_no_argument),
        cmocka_unit_test(test_sio_tuple_long_format_is_packed),
        cmocka_unit_test(test_sio_tuple_failure_is_invalid_and_keeps_no_reference),
        cmocka_unit_test(test_sio_tuple_of_takes_an_array_only),
        cmocka_unit_test(test_payload_invalid_may_be_counted_freely),
        cmocka_unit_test(test_payload_tuple_items_of_anything_else_is_null),
        cmocka_unit_test(test_payload_to_array_each_kind),
        cmocka_unit_test(test_payload_each_failing_allocation_gives_the_invalid_value),
    };
    return cmocka_run_group_tests(tests, NULL, no_memory_is_left);
}
