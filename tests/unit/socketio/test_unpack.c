#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "socketio/event.h"

static sio_ctx ctx;

static int teardown(void **state)
{
    (void)state;
    json_decref(ctx.args);
    mem_free(ctx.error);
    ctx = (sio_ctx){ 0 };
    return 0;
}

/* Arguments as they come in; single quotes stand for double ones. */
static void receive(const char *args)
{
    char text[1000];
    teardown(NULL);
    assert_true(strlen(args) < sizeof(text));
    strcpy(text, args);
    for (char *at = text; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    assert_int_equal(sio_json_decode(text, strlen(text), NULL, &ctx.args), 0);
}

#define EXPECT_ERROR(text, ...)                                                                    \
    do {                                                                                           \
        assert_int_equal(sio_unpack(&ctx, __VA_ARGS__), CARAFE_ERR_UNPACK);                        \
        assert_non_null(ctx.error);                                                                \
        assert_string_equal(ctx.error, text);                                                      \
    } while (0)

static const char *s = "unset", *s2 = "unset";
static int i = -1;
static json_int_t big = -1;
static double f = -1;
static json_t *o;
static size_t len;

static void test_sio_unpack_gives_arguments_in_order(void **state)
{
    (void)state;
    int b = -1;
    receive("['text', 7, 2.5, true, null, [1], 'more']");
    assert_int_equal(sio_unpack(&ctx, "s i f b n o", &s, &i, &f, &b, &o), 0);
    assert_string_equal(s, "text");
    assert_int_equal(i, 7);
    assert_true(f == 2.5);
    assert_int_equal(b, 1);
    assert_true(json_is_array(o));
    assert_null(ctx.error);
    /* Blanks mean nothing, further arguments are ignored. */
    assert_int_equal(sio_unpack(&ctx, "siF", &s2, &i, &f), 0);
    assert_string_equal(s2, "text");
    assert_int_equal(sio_unpack(&ctx, ""), 0);
}

static void test_sio_unpack_missing_argument_is_named(void **state)
{
    (void)state;
    receive("[1]");
    EXPECT_ERROR("args[1]: missing", "i i", &i, &i);
    EXPECT_ERROR("args[1]: missing", "i s s", &i, &s, &s);
    receive("[]");
    EXPECT_ERROR("args[0]: missing", "{s:s}", "room", &s);
    EXPECT_ERROR("args[0]: missing", "n");
}

static void test_sio_unpack_wrong_types_are_named(void **state)
{
    (void)state;
    int b;
    receive("[7, 'x', true, null, {}, [], 0.5]");
    EXPECT_ERROR("args[0]: expected string, got number", "s", &s);
    EXPECT_ERROR("args[1]: expected integer, got string", "i i", &i, &i);
    EXPECT_ERROR("args[1]: expected number, got string", "i F", &i, &f);
    EXPECT_ERROR("args[2]: expected object, got boolean", "i s {s:s}", &i, &s, "a", &s);
    EXPECT_ERROR("args[3]: expected array, got null", "i s b [i]", &i, &s, &b, &i);
    EXPECT_ERROR("args[4]: expected boolean, got object", "i s b n b", &i, &s, &b, &b);
    EXPECT_ERROR("args[5]: expected null, got array", "i s b n o n", &i, &s, &b, &o);
    EXPECT_ERROR("args[6]: expected integer, got number", "o o o o o o i", &o, &o, &o, &o, &o, &o,
                 &i);
}

static void test_sio_unpack_paths_lead_into_objects_and_arrays(void **state)
{
    (void)state;
    receive("[{'username': 'u', 'room': 5}]");
    EXPECT_ERROR("args[0].room: expected string, got number", "{s:s, s:s}", "username", &s, "room",
                 &s2);
    EXPECT_ERROR("args[0].age: missing", "{s:s, s:i}", "username", &s, "age", &i);
    receive("[{'a': [1, {'b': [true]}]}, 3]");
    EXPECT_ERROR("args[0].a[1].b[0]: expected string, got boolean", "{s:[i,{s:[s]}]}", "a", &i, "b",
                 &s);
    EXPECT_ERROR("args[0].a[2]: missing", "{s:[i,o,i]}", "a", &i, &o, &i);
    EXPECT_ERROR("args[1]: expected string, got number", "{s:[i,{s:[b]}]} s", "a", &i, "b", &i, &s);
    assert_int_equal(sio_unpack(&ctx, "{s:[i,{s:[b]}]} i", "a", &i, "b", &len, &i), 0);
    assert_int_equal(i, 3);
}

static void test_sio_unpack_optional_members_may_be_missing_but_not_wrong(void **state)
{
    (void)state;
    receive("[{'a': 'x'}]");
    s2 = "unset";
    assert_int_equal(sio_unpack(&ctx, "{s:s, s?s, s?{s:i}}", "a", &s, "b", &s2, "c", "d", &i), 0);
    assert_string_equal(s, "x");
    assert_string_equal(s2, "unset");
    EXPECT_ERROR("args[0].a: expected integer, got string", "{s?i}", "a", &i);
    receive("[{'c': {'e': 1}}]");
    EXPECT_ERROR("args[0].c.d: missing", "{s?s, s?{s:i}}", "b", &s2, "c", "d", &i);
}

static void test_sio_unpack_failure_leaves_the_targets_alone(void **state)
{
    (void)state;
    receive("['text', 'x']");
    s = "unset";
    EXPECT_ERROR("args[1]: expected integer, got string", "s i", &s, &i);
    assert_string_equal(s, "unset");
}

static void test_sio_unpack_numbers_must_fit(void **state)
{
    (void)state;
    receive("[2147483647, 2147483648, -2147483648, -2147483649]");
    assert_int_equal(sio_unpack(&ctx, "i I i I", &i, &big, &i, &big), 0);
    EXPECT_ERROR("args[1]: integer out of range", "i i", &i, &i);
    EXPECT_ERROR("args[3]: integer out of range", "i I i i", &i, &big, &i, &i);
    /* What JavaScript writes for 2.0 is 2: F takes it, f does not. */
    receive("[2]");
    EXPECT_ERROR("args[0]: expected real number, got integer", "f", &f);
    assert_int_equal(sio_unpack(&ctx, "F", &f), 0);
    assert_true(f == 2.0);
}

static void test_sio_unpack_strings_with_their_length(void **state)
{
    (void)state;
    receive("['a\\u0000b']");
    assert_int_equal(sio_unpack(&ctx, "s%", &s, &len), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(s, "a\0b", 4);
    receive("[['x', 1]]");
    EXPECT_ERROR("args[0][1]: expected string, got number", "[s%, s%]", &s, &len, &s, &len);
}

static void test_sio_unpack_binary_is_a_type_of_its_own(void **state)
{
    (void)state;
    receive("[]");
    json_array_append_new(ctx.args, sio_binary("xy", 2));
    EXPECT_ERROR("args[0]: expected string, got binary", "s", &s);
    EXPECT_ERROR("args[0]: expected object, got binary", "{}");
    EXPECT_ERROR("args[0]: expected object, got binary", "{s?s}", "a", &s);
    assert_int_equal(sio_unpack(&ctx, "o", &o), 0);
    assert_non_null(sio_bytes(o, &len));
    assert_int_equal(len, 2);
}

static void test_sio_unpack_bad_formats_are_errors(void **state)
{
    (void)state;
    receive("[1, {'a': 1}]");
    static const char *const formats[] = { "x", "i %", "[i", "i {s:i", "i }", "*x" };
    for (size_t k = 0; k < sizeof(formats) / sizeof(*formats); k++) {
        assert_int_equal(sio_unpack(&ctx, formats[k], &i, "a", &i), CARAFE_ERR_UNPACK);
        assert_non_null(ctx.error);
    }
    assert_int_equal(sio_unpack(&ctx, NULL), CARAFE_ERR_UNPACK);
}

static void test_sio_unpack_strict_formats_refuse_more(void **state)
{
    (void)state;
    receive("[1, 2]");
    assert_int_equal(sio_unpack(&ctx, "i!", &i), CARAFE_ERR_UNPACK);
    assert_int_equal(sio_unpack(&ctx, "i i!", &i, &i), 0);
}

static void test_sio_unpack_long_paths_are_cut(void **state)
{
    (void)state;
    char key[400];
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    receive("[{'a': 1}]");
    assert_int_equal(sio_unpack(&ctx, "{s:{s:i}}", key, key, &i), CARAFE_ERR_UNPACK);
    assert_memory_equal(ctx.error, "args[0].kkk", 11);
    assert_true(strlen(ctx.error) < 300);
}

static void test_sio_unpack_without_memory_fails(void **state)
{
    (void)state;
    receive("['x']");
    for (int n = 1; n < 3; n++) {
        mem_fail_after(n);
        int result = sio_unpack(&ctx, "i", &i);
        mem_fail_never();
        assert_int_equal(result, CARAFE_ERR_UNPACK);
        assert_non_null(sio_error_message(&ctx));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sio_unpack_gives_arguments_in_order),
        TEST(test_sio_unpack_missing_argument_is_named),
        TEST(test_sio_unpack_wrong_types_are_named),
        TEST(test_sio_unpack_paths_lead_into_objects_and_arrays),
        TEST(test_sio_unpack_optional_members_may_be_missing_but_not_wrong),
        TEST(test_sio_unpack_failure_leaves_the_targets_alone),
        TEST(test_sio_unpack_numbers_must_fit),
        TEST(test_sio_unpack_strings_with_their_length),
        TEST(test_sio_unpack_binary_is_a_type_of_its_own),
        TEST(test_sio_unpack_bad_formats_are_errors),
        TEST(test_sio_unpack_strict_formats_refuse_more),
        TEST(test_sio_unpack_long_paths_are_cut),
        TEST(test_sio_unpack_without_memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
