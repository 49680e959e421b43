#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <float.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "socketio/json.h"
#include "socketio/payload.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Without a NUL and on the heap, so that the address sanitizer sees a read beyond the end. */
static int check(const char *text, size_t len, const json_limits *limits)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    int rc = json_text_check(copy, len, limits);
    free(copy);
    return rc;
}

static int decode(const char *text, size_t len, const sio_attachments *attachments, json_t **out)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    int rc = sio_json_decode(copy, len, attachments, out);
    free(copy);
    return rc;
}

static json_t *decoded(const char *text)
{
    json_t *value = NULL;
    assert_int_equal(decode(text, strlen(text), NULL, &value), 0);
    assert_non_null(value);
    return value;
}

/* `depth` arrays, or objects, one inside the other. */
static char *nested(size_t depth, bool is_object)
{
    const char *open = is_object ? "{\"a\":" : "[";
    size_t open_len = strlen(open);
    char *text = malloc(depth * (open_len + 1) + 2);
    assert_non_null(text);
    for (size_t i = 0; i < depth; i++)
        memcpy(text + i * open_len, open, open_len);
    text[depth * open_len] = '1';
    memset(text + depth * open_len + 1, is_object ? '}' : ']', depth);
    text[depth * (open_len + 1) + 1] = '\0';
    return text;
}

static const char *const good[] = {
    "0",
    "-0",
    "1",
    "-1",
    "10",
    "0.5",
    "-0.5e10",
    "1E5",
    "1e+5",
    "1e-5",
    "1.25E-3",
    "123456789",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "1e308",
    "1.7976931348623157e308",
    "179769313486231580e291",
    "1.79769313486231580793728971404e308",
    "0e999",
    "0.0e99999999999999999999",
    "1e-999",
    "1e-99999999999999999999",
    "true",
    "false",
    "null",
    "\"\"",
    "\"a\"",
    "[]",
    "{}",
    " [ ] ",
    "\t{\n}\r",
    "[1]",
    "[1,2]",
    "[[]]",
    "[{}]",
    "{\"a\":1}",
    "{\"a\":{},\"b\":[]}",
    "{ \"a\" : 1 , \"b\" : [ 1 , 2 ] }",
    "[true,false,null]",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\u0000\"",
    "\"\\u20ac\"",
    "\"\\uD83D\\uDE00\"",
    "\"\\ud800\\udc00\"",
    "\"\\udbff\\udfff\"",
    "\"\xc3\xa9\xf0\x9f\x98\x80\"",
    "\"\xe2\x80\xa8\xe2\x80\xa9\"",
    "\"\x7f\"",
    "{\"\":1}",
    "{\"a\":1,\"a\":2}",
    "{\"__proto__\":1}",
    "\"12345678\"",
    "\"1234567\\n12345678\\n\"",
    "[\"echo\",{\"a\":[1,2,{\"b\":null}]},\"x\"]",
    "{\"\\u0001\":1}",
    "[[],[],{}]",
};

static const char *const bad[] = {
    "",
    " ",
    "NaN",
    "Infinity",
    "-Infinity",
    "nan",
    "inf",
    "undefined",
    "tru",
    "truee",
    "nul",
    "TRUE",
    "01",
    "-01",
    "00",
    "-",
    "+1",
    ".5",
    "1.",
    "1.e5",
    "1e",
    "1e+",
    "1e-",
    "0x10",
    "1_0",
    "1 2",
    "--1",
    "1e309",
    "-1e309",
    "1.7976931348623159e308",
    "1.79769313486231580793728971406e308",
    "1e99999999999999999999",
    "0.0001e400",
    "\"",
    "\"a",
    "'a'",
    "\"\\\"",
    "\"\\x41\"",
    "\"\\a\"",
    "\"\\",
    "\"\\u\"",
    "\"\\u12\"",
    "\"\\u123g\"",
    "\"\\u 123\"",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\\ud800\\ud800\"",
    "\"\\ud800x\"",
    "\"\\ud800\\n\"",
    "\"\\udbff\\ue000\"",
    "\"\\uDE00\\uD83D\"",
    "\"\n\"",
    "\"\x01\"",
    "\"\x1f\"",
    "\"1234567\x1f\"",
    "[",
    "]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1}",
    "{",
    "}",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{,}",
    "{1:2}",
    "{a:1}",
    "{\"a\" 1}",
    "{\"a\",1}",
    "{\"a\":1]",
    "{\"a\":}",
    "{\"\\u0000\":1}",
    "[{\"a\\u0000b\":1}]",
    "[]]",
    "{}}",
    "[],",
    "[]x",
    "\"a\"b",
    "/**/1",
    "[1]//",
    "\xef\xbb\xbf[]",
    "[\"a\":1]",
    "{\"a\":1 \"b\":2}",
    "[1,,2]",
    "{\"a\"::1}",
};

static void test_json_text_check_good_texts_are_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        if (check(good[i], strlen(good[i]), NULL) != 0)
            fail_msg("refused: %s", good[i]);
    }
}

static void test_json_text_check_bad_texts_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (check(bad[i], strlen(bad[i]), NULL) != CARAFE_ERR_BAD_JSON)
            fail_msg("accepted: %s", bad[i]);
    }
}

static void test_json_text_check_NUL_byte_is_refused_anywhere(void **state)
{
    (void)state;
    assert_int_equal(check("\0", 1, NULL), CARAFE_ERR_BAD_JSON);
    assert_int_equal(check("[1]\0", 4, NULL), CARAFE_ERR_BAD_JSON);
    assert_int_equal(check("[\0]", 3, NULL), CARAFE_ERR_BAD_JSON);
    assert_int_equal(check("\"a\0b\"", 5, NULL), CARAFE_ERR_BAD_JSON);
    assert_int_equal(check("\"a\\\0b\"", 6, NULL), CARAFE_ERR_BAD_JSON);
}

/* Plain bytes are skipped eight at a time: every special byte at every place in such a word. */
static void test_json_text_check_special_bytes_are_seen_at_every_offset(void **state)
{
    (void)state;
    for (size_t at = 0; at < 24; at++) {
        for (int byte = 0; byte < 256; byte++) {
            char text[26];
            memset(text, 'x', sizeof(text));
            text[0] = text[sizeof(text) - 1] = '"';
            text[1 + at] = (char)byte;
            bool is_plain = byte >= 0x20 && byte != '"' && byte != '\\';
            assert_int_equal(check(text, sizeof(text), NULL), is_plain ? 0 : CARAFE_ERR_BAD_JSON);
        }
    }
}

static void test_json_text_check_every_truncation_is_refused(void **state)
{
    (void)state;
    static const char text[] =
        "[\"e\\u00e9\\ud83d\\ude00\",{\"a\":[1.5e-3,true],\"b\":null},false]";
    for (size_t len = 0; len < sizeof(text) - 1; len++)
        assert_int_equal(check(text, len, NULL), CARAFE_ERR_BAD_JSON);
    assert_int_equal(check(text, sizeof(text) - 1, NULL), 0);
}

/* X6 */
static void test_json_text_check_depth_64_is_accepted_and_65_refused(void **state)
{
    (void)state;
    for (int is_object = 0; is_object < 2; is_object++) {
        char *text = nested(64, is_object);
        assert_int_equal(check(text, strlen(text), NULL), 0);
        free(text);
        text = nested(65, is_object);
        assert_int_equal(check(text, strlen(text), NULL), CARAFE_ERR_TOO_DEEP);
        free(text);
    }
}

static void test_json_text_check_depth_limit_is_the_callers_up_to_the_cap(void **state)
{
    (void)state;
    const json_limits none = {0};
    const json_limits one = {1};
    const json_limits huge = {SIZE_MAX};
    assert_int_equal(check("1", 1, &none), 0);
    assert_int_equal(check("[]", 2, &none), CARAFE_ERR_TOO_DEEP);
    assert_int_equal(check("[]", 2, &one), 0);
    assert_int_equal(check("[{}]", 4, &one), CARAFE_ERR_TOO_DEEP);
    assert_int_equal(check("[[],[],[]]", 10, &(json_limits){2}), 0);
    char *text = nested(SIO_JSON_DEPTH_CAP, false);
    assert_int_equal(check(text, strlen(text), &huge), 0);
    free(text);
    text = nested(SIO_JSON_DEPTH_CAP + 1, true);
    assert_int_equal(check(text, strlen(text), &huge), CARAFE_ERR_TOO_DEEP);
    free(text);
}

static void test_json_text_check_depth_100000_is_refused(void **state)
{
    (void)state;
    char *text = nested(100000, false);
    assert_int_equal(check(text, strlen(text), NULL), CARAFE_ERR_TOO_DEEP);
    free(text);
}

static void test_json_text_check_mixed_containers_close_in_order(void **state)
{
    (void)state;
    char text[2 * 200 + 4 * 100 + 2] = "";
    for (int i = 0; i < 100; i++)
        strcat(text, "[{\"a\":");
    strcat(text, "1");
    for (int i = 0; i < 100; i++)
        strcat(text, "}]");
    const json_limits limits = {200};
    assert_int_equal(check(text, strlen(text), &limits), 0);
    text[strlen(text) - 77] ^= '}' ^ ']';
    assert_int_equal(check(text, strlen(text), &limits), CARAFE_ERR_BAD_JSON);
}

static void test_json_value_end_is_behind_the_first_value(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ptrdiff_t end;
    } cases[] = {
        {"1,2", 1},        {" \"a,]\" , 2", 6}, {"[1,[2]],3", 7}, {"{\"a\":\"}\"}]", 9},
        {"true]", 4},      {"-1.5e3x", 6},      {"12", 2},        {"\"a\\\"b\"c", 6},
        {"[] garbage", 2},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(json_value_end(cases[i].text, strlen(cases[i].text), NULL), cases[i].end);
    assert_int_equal(json_value_end("", 0, NULL), CARAFE_ERR_BAD_JSON);
    assert_int_equal(json_value_end(",1", 2, NULL), CARAFE_ERR_BAD_JSON);
    assert_int_equal(json_value_end("[[]]", 4, &(json_limits){1}), CARAFE_ERR_TOO_DEEP);
}

static void test_json_unescape_every_escape_in_place(void **state)
{
    (void)state;
    char text[] =
        "a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u007f\\u0080\\u07ff\\u0800\\uFFFF\\ud83d\\uDE00z";
    static const char expected[] = "a\"\\/\b\f\n\r\t\0\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"
                                   "\xf0\x9f\x98\x80z";
    assert_int_equal(json_unescape(text, sizeof(text) - 1, text), sizeof(expected) - 1);
    assert_memory_equal(text, expected, sizeof(expected) - 1);
}

static void test_sio_json_decode_agrees_with_jansson(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        json_error_t error;
        json_t *theirs = json_loads(good[i], JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
        json_t *ours = decoded(good[i]);
        if (theirs)
            assert_true(json_equal(ours, theirs));
        else /* what only we can hold: integers beyond 64 bits */
            assert_int_equal(json_error_code(&error), json_error_numeric_overflow);
        json_decref(theirs);
        json_decref(ours);
    }
}

static void test_sio_json_decode_bad_texts_are_refused(void **state)
{
    (void)state;
    json_t *value = NULL;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(decode(bad[i], strlen(bad[i]), NULL, &value), CARAFE_ERR_BAD_JSON);
    char *text = nested(SIO_JSON_DEPTH_CAP + 1, false);
    assert_int_equal(decode(text, strlen(text), NULL, &value), CARAFE_ERR_TOO_DEEP);
    free(text);
    assert_null(value);
}

static void test_sio_json_decode_deepest_text_is_decoded(void **state)
{
    (void)state;
    for (int is_object = 0; is_object < 2; is_object++) {
        char *text = nested(SIO_JSON_DEPTH_CAP, is_object);
        json_decref(decoded(text));
        free(text);
    }
}

static void test_sio_json_decode_integers_beyond_64_bits_become_reals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"9223372036854775808", 9223372036854775808.0},
        {"-9223372036854775809", -9223372036854775808.0},
        {"123456789012345678901234567890", 123456789012345678901234567890.0},
        {"18446744073709551616", 18446744073709551616.0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *value = decoded(cases[i].text);
        assert_true(json_is_real(value));
        assert_true(json_real_value(value) == cases[i].value);
        json_decref(value);
    }
    json_t *smallest = decoded("-9223372036854775808");
    assert_true(json_is_integer(smallest));
    assert_true(json_integer_value(smallest) == INT64_MIN);
    json_decref(smallest);
}

/* The checker's own idea of "too large for a double" must be no weaker than strtod's. */
static void test_sio_json_decode_long_numbers_are_decoded_or_refused(void **state)
{
    (void)state;
    char text[800];
    json_t *value = NULL;
    for (size_t digits = 300; digits < 320; digits++) {
        memset(text, '9', digits);
        int rc = digits <= 308 ? 0 : CARAFE_ERR_BAD_JSON;
        assert_int_equal(decode(text, digits, NULL, &value), rc);
        if (rc == 0)
            json_decref(value);
        snprintf(text + digits, sizeof(text) - digits, "e-%zu", digits);
        json_decref(decoded(text));
    }
    memset(text, '0', sizeof(text));
    memcpy(text, "0.", 2);
    memcpy(text + 500, "1e500", 6);
    json_decref(decoded(text));
}

static void test_sio_json_decode_last_of_repeated_keys_counts(void **state)
{
    (void)state;
    json_t *value = decoded("{\"a\":1,\"b\":2,\"a\":3,\"\\u0061\":4}");
    assert_int_equal(json_object_size(value), 2);
    assert_int_equal(json_integer_value(json_object_get(value, "a")), 4);
    json_decref(value);
}

static void test_sio_json_decode_strings_keep_NUL(void **state)
{
    (void)state;
    json_t *value = decoded("\"a\\u0000b\"");
    assert_int_equal(json_string_length(value), 3);
    assert_memory_equal(json_string_value(value), "a\0b", 3);
    json_decref(value);
}

/* A peer must not be able to make a binary value, even if it got by the UTF-8 check. */
static void test_sio_json_decode_marking_keys_are_refused(void **state)
{
    (void)state;
    json_t *value = NULL;
    static const char *const texts[] = {"{\"\xff\":\"x\"}", "[{\"\xfd\":[]}]"};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        assert_int_equal(decode(texts[i], strlen(texts[i]), NULL, &value), CARAFE_ERR_BAD_JSON);
    json_decref(decoded("{\"\xc3\xbf\":1,\"x\":2}"));
}

static void test_sio_json_decode_foreign_locale_changes_nothing(void **state)
{
    (void)state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8"))
        skip(); /* a machine without that locale */
    json_t *value = decoded("1.5");
    assert_true(json_real_value(value) == 1.5);
    buf text = {0};
    assert_int_equal(sio_json_encode(&text, value, NULL), 0);
    assert_string_equal(buf_cstr(&text), "1.5");
    buf_deinit(&text);
    json_decref(value);
    setlocale(LC_NUMERIC, "C");
}

/* Decodes with `count` attachments, each of one byte, its number. */
static int decode_with(const char *text, size_t count, json_t **out)
{
    json_t *items[10];
    assert_true(count <= COUNT_OF(items));
    for (size_t i = 0; i < count; i++)
        items[i] = sio_binary(&(char){(char)i}, 1);
    const sio_attachments attachments = {items, count};
    int rc = decode(text, strlen(text), &attachments, out);
    for (size_t i = 0; i < count; i++)
        json_decref(items[i]);
    return rc;
}

static void assert_binary(const json_t *value, char byte)
{
    size_t len = 0;
    const char *bytes = sio_bytes(value, &len);
    assert_non_null(bytes);
    assert_int_equal(len, 1);
    assert_int_equal(bytes[0], byte);
}

#define PLACEHOLDER(num) "{\"_placeholder\":true,\"num\":" num "}"

static void test_sio_json_decode_placeholders_anywhere_are_replaced(void **state)
{
    (void)state;
    json_t *value = NULL;
    assert_int_equal(decode_with("[" PLACEHOLDER("1") ",{\"a\":[{\"b\":" PLACEHOLDER(
                                     "0") "}]},"
                                          "{\"num\":0,\"x\":[[]],\"_placeholder\":true}]",
                                 2, &value),
                     0);
    assert_int_equal(json_array_size(value), 3);
    assert_binary(json_array_get(value, 0), 1);
    json_t *a = json_object_get(json_array_get(value, 1), "a");
    assert_binary(json_object_get(json_array_get(a, 0), "b"), 0);
    assert_binary(json_array_get(value, 2), 0);
    json_decref(value);
    assert_int_equal(decode_with(PLACEHOLDER("0"), 1, &value), 0);
    assert_binary(value, 0);
    json_decref(value);
}

/* X4 */
static void test_sio_json_decode_placeholder_used_twice_or_never_is_fine(void **state)
{
    (void)state;
    json_t *value = NULL;
    assert_int_equal(decode_with("[" PLACEHOLDER("2") "," PLACEHOLDER("2") "]", 3, &value), 0);
    assert_binary(json_array_get(value, 0), 2);
    assert_binary(json_array_get(value, 1), 2);
    json_decref(value);
}

/* X4, CVE-2022-2421 */
static void test_sio_json_decode_placeholder_for_no_attachment_is_refused(void **state)
{
    (void)state;
    static const char *const nums[] = {"-1",    "2",          "1e9",  "0.5", "1000000000000",
                                       "\"0\"", "\"splice\"", "null", "[]",  "99999999999999999999",
                                       "true",  "0.0",        "{}"};
    json_t *value = NULL;
    for (size_t i = 0; i < COUNT_OF(nums); i++) {
        char text[100];
        snprintf(text, sizeof(text), "[{\"_placeholder\":true,\"num\":%s}]", nums[i]);
        assert_int_equal(decode_with(text, 2, &value), CARAFE_ERR_BAD_PACKET);
        snprintf(text, sizeof(text), "{\"a\":{\"_placeholder\":true,\"num\":%s}}", nums[i]);
        assert_int_equal(decode_with(text, 2, &value), CARAFE_ERR_BAD_PACKET);
    }
    assert_int_equal(decode_with("[{\"_placeholder\":true}]", 2, &value), CARAFE_ERR_BAD_PACKET);
    assert_int_equal(decode_with(PLACEHOLDER("0"), 0, &value), CARAFE_ERR_BAD_PACKET);
}

static void test_sio_json_decode_what_is_no_placeholder_is_data(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"_placeholder\":1,\"num\":7}", "{\"_placeholder\":\"true\",\"num\":7}",
        "{\"_placeholder\":false,\"num\":7}", "{\"num\":7}", "[true,7]"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        json_t *value = NULL;
        json_t *plain = decoded(texts[i]);
        assert_int_equal(decode_with(texts[i], 1, &value), 0);
        assert_true(json_equal(value, plain));
        json_decref(value);
        json_decref(plain);
    }
    json_t *value = decoded(PLACEHOLDER("7")); /* no binary packet */
    assert_int_equal(json_integer_value(json_object_get(value, "num")), 7);
    json_decref(value);
}

static void test_sio_json_decode_each_failing_allocation_is_reported(void **state)
{
    (void)state;
    static const char text[] =
        "[\"\\u00e9\",{\"k\\n\":[1,1.5,12345678901234567890]},{\"a\":" PLACEHOLDER(
            "0") "},{\"_placeholder\":true,\"num\":0,\"x\":{}}]";
    json_t *item = sio_binary("x", 1);
    const sio_attachments attachments = {&item, 1};
    json_t *value = NULL;
    int rc = CARAFE_ERR_NOMEM;
    int n = 0;
    while (rc != 0) {
        mem_fail_after(++n);
        rc = sio_json_decode(text, sizeof(text) - 1, &attachments, &value);
        mem_fail_never();
        assert_true(rc == 0 || rc == CARAFE_ERR_NOMEM);
    }
    assert_true(n > 10);
    json_decref(value);
    json_decref(item);
}

static void assert_encodes(json_t *value, const char *expected)
{
    buf dst = {0};
    assert_int_equal(sio_json_encode(&dst, value, NULL), 0);
    assert_string_equal(buf_cstr(&dst), expected);
    buf_deinit(&dst);
    json_decref(value);
}

static void test_sio_json_encode_each_kind_of_value(void **state)
{
    (void)state;
    assert_encodes(json_null(), "null");
    assert_encodes(json_true(), "true");
    assert_encodes(json_false(), "false");
    assert_encodes(json_integer(0), "0");
    assert_encodes(json_integer(INT64_MAX), "9223372036854775807");
    assert_encodes(json_integer(INT64_MIN), "-9223372036854775808");
    assert_encodes(json_array(), "[]");
    assert_encodes(json_object(), "{}");
    assert_encodes(json_string(""), "\"\"");
    assert_encodes(json_pack("[i,[],{},[[s]]]", 1, "a"), "[1,[],{},[[\"a\"]]]");
}

static void test_sio_json_encode_members_keep_their_order(void **state)
{
    (void)state;
    assert_encodes(json_pack("{s:i,s:{s:[n]},s:b}", "z", 1, "a", "b", "m", 1),
                   "{\"z\":1,\"a\":{\"b\":[null]},\"m\":true}");
}

static void test_sio_json_encode_strings_are_escaped(void **state)
{
    (void)state;
    assert_encodes(json_string("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
    assert_encodes(json_string("\b\f\n\r\t\x01\x1e\x1f\x7f"),
                   "\"\\b\\f\\n\\r\\t\\u0001\\u001e\\u001f\x7f\"");
    assert_encodes(json_stringn("a\0b", 3), "\"a\\u0000b\"");
    assert_encodes(json_string("\xc3\xa9\xf0\x9f\x98\x80\xe2\x80\xa8\xe2\x80\xa9"),
                   "\"\xc3\xa9\xf0\x9f\x98\x80\xe2\x80\xa8\xe2\x80\xa9\"");
    assert_encodes(json_pack("{s:i}", "k\"\n", 1), "{\"k\\\"\\n\":1}");
    assert_encodes(json_string("0123456\"89abcdef\n"), "\"0123456\\\"89abcdef\\n\"");
}

static void test_sio_json_encode_reals_are_shortest(void **state)
{
    (void)state;
    assert_encodes(json_real(0.1), "0.1");
    assert_encodes(json_real(1.0), "1.0");
    assert_encodes(json_real(-0.0), "-0.0");
    assert_encodes(json_real(1e21), "1e+21");
    assert_encodes(json_real(0.1 + 0.2), "0.30000000000000004");
    assert_encodes(json_real(1.0 / 3), "0.3333333333333333");
    assert_encodes(json_real(5e-324), "4.94065645841247e-324");
    assert_encodes(json_real(DBL_MAX), "1.7976931348623157e+308");
    assert_encodes(json_real(123456789012345680.0), "1.2345678901234568e+17");
}

static void test_sio_json_encode_round_trip_gives_the_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        json_t *value = decoded(good[i]);
        buf text = {0};
        assert_int_equal(sio_json_encode(&text, value, NULL), 0);
        json_t *again = decoded(buf_cstr(&text));
        assert_true(json_equal(value, again));
        json_decref(again);
        json_decref(value);
        buf_deinit(&text);
    }
}

static void test_sio_json_encode_binary_values_become_placeholders(void **state)
{
    (void)state;
    json_t *value = json_pack("[o,{s:i,s:[o]},o]", sio_binary("one", 3), "n", 5, "x",
                              sio_binary(NULL, 0), sio_binary("\0z", 2));
    sio_attachment_list list = {0};
    buf dst = {0};
    assert_int_equal(sio_json_encode(&dst, value, &list), 0);
    assert_string_equal(buf_cstr(&dst), "[" PLACEHOLDER("0") ",{\"n\":5,\"x\":[" PLACEHOLDER(
                                            "1") "]}," PLACEHOLDER("2") "]");
    assert_int_equal(list.count, 3);
    assert_true(slice_eq(list.items[0], slice_of("one", 3)));
    assert_int_equal(list.items[1].len, 0);
    assert_true(slice_eq(list.items[2], slice_of("\0z", 2)));

    /* And back. */
    json_t *items[3];
    for (size_t i = 0; i < 3; i++)
        items[i] = sio_binary(list.items[i].data, list.items[i].len);
    const sio_attachments attachments = {items, 3};
    json_t *again = NULL;
    assert_int_equal(decode(buf_cstr(&dst), buf_readable(&dst), &attachments, &again), 0);
    assert_true(json_equal(value, again));
    for (size_t i = 0; i < 3; i++)
        json_decref(items[i]);
    json_decref(again);
    sio_attachment_list_deinit(&list);
    buf_deinit(&dst);
    json_decref(value);
}

/* Steals `value`. */
static void assert_not_encoded(json_t *value, bool with_attachments)
{
    sio_attachment_list list = {0};
    buf dst = {0};
    assert_int_equal(buf_append_str(&dst, "before"), 0);
    assert_int_equal(sio_json_encode(&dst, value, with_attachments ? &list : NULL),
                     CARAFE_ERR_BAD_DATA);
    assert_string_equal(buf_cstr(&dst), "before");
    assert_int_equal(list.count, 0);
    sio_attachment_list_deinit(&list);
    buf_deinit(&dst);
    json_decref(value);
}

static void test_sio_json_encode_what_is_no_payload_is_refused(void **state)
{
    (void)state;
    assert_not_encoded(payload_invalid(), true);
    assert_not_encoded(json_pack("[i,o]", 1, payload_invalid()), true);
    assert_not_encoded(json_pack("[o,o]", sio_binary("a", 1), sio_tuple("i", 1)), true);
    assert_not_encoded(sio_tuple("i", 1), true);
    assert_not_encoded(json_pack("[o]", sio_binary("a", 1)), false);
    assert_not_encoded(json_stringn_nocheck("a\xff", 2), true);
    assert_not_encoded(json_stringn_nocheck("12345678\xc3", 9), true);
    json_t *object = json_object();
    json_object_set_new_nocheck(object, "\xff", json_integer(1));
    assert_not_encoded(object, true);
}

static void test_sio_json_encode_depth_512_is_accepted_and_513_refused(void **state)
{
    (void)state;
    json_t *value = json_integer(1);
    for (int i = 0; i < SIO_JSON_DEPTH_CAP; i++)
        value = i % 2 ? json_pack("[o]", value) : json_pack("{s:o}", "a", value);
    buf dst = {0};
    assert_int_equal(sio_json_encode(&dst, value, NULL), 0);
    buf_deinit(&dst);
    assert_not_encoded(json_pack("[o]", value), true);
}

static void test_sio_json_encode_cycle_is_refused(void **state)
{
    (void)state;
    json_t *a = json_array();
    json_t *b = json_array();
    json_array_append(a, b);
    json_array_append(b, a);
    json_incref(a);
    assert_not_encoded(a, true);
    json_array_clear(b);
    json_decref(b);
    json_decref(a);
}

static void test_sio_json_encode_args_each_kind_of_payload(void **state)
{
    (void)state;
    static const struct {
        const char *event;
        const char *format;
        const char *expected;
    } cases[] = {
        {"e", "", "[\"e\"]"},           {NULL, "", "[]"},
        {"e", "i", "[\"e\",1]"},        {NULL, "i", "[1]"},
        {"e", "[ii]", "[\"e\",[1,2]]"}, {NULL, "[]", "[[]]"},
        {"\"", "n", "[\"\\\"\",null]"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *payload = *cases[i].format ? sio_pack(cases[i].format, 1, 2) : NULL;
        buf dst = {0};
        assert_int_equal(sio_json_encode_args(&dst, cases[i].event, payload, NULL), 0);
        assert_string_equal(buf_cstr(&dst), cases[i].expected);
        buf_deinit(&dst);
        json_decref(payload);
    }
    json_t *tuple = sio_tuple("s o [i]", "x", sio_binary("b", 1), 3);
    sio_attachment_list list = {0};
    buf dst = {0};
    assert_int_equal(sio_json_encode_args(&dst, "e", tuple, &list), 0);
    assert_int_equal(sio_json_encode_args(&dst, NULL, tuple, &list), 0);
    assert_string_equal(buf_cstr(&dst),
                        "[\"e\",\"x\"," PLACEHOLDER("0") ",[3]]"
                                                         "[\"x\"," PLACEHOLDER("1") ",[3]]");
    assert_int_equal(list.count, 2);
    sio_attachment_list_deinit(&list);
    buf_deinit(&dst);
    json_decref(tuple);
}

static void test_sio_json_encode_args_empty_tuple_is_no_argument(void **state)
{
    (void)state;
    json_t *tuple = sio_tuple("");
    buf dst = {0};
    assert_int_equal(sio_json_encode_args(&dst, "e", tuple, NULL), 0);
    assert_string_equal(buf_cstr(&dst), "[\"e\"]");
    buf_deinit(&dst);
    json_decref(tuple);
}

static void test_sio_json_encode_args_invalid_payload_is_refused(void **state)
{
    (void)state;
    buf dst = {0};
    sio_attachment_list list = {0};
    json_t *tuple = sio_tuple("o o", sio_binary("a", 1), payload_invalid());
    assert_int_equal(sio_json_encode_args(&dst, "e", tuple, &list), CARAFE_ERR_BAD_DATA);
    assert_int_equal(sio_json_encode_args(&dst, "e", payload_invalid(), &list),
                     CARAFE_ERR_BAD_DATA);
    assert_int_equal(sio_json_encode_args(&dst, "\xff", NULL, &list), CARAFE_ERR_BAD_DATA);
    assert_int_equal(dst.len, 0);
    assert_int_equal(list.count, 0);
    sio_attachment_list_deinit(&list);
    buf_deinit(&dst);
    json_decref(tuple);
}

static void test_sio_json_encode_each_failing_allocation_changes_nothing(void **state)
{
    (void)state;
    json_t *value = json_array();
    for (int i = 0; i < 6; i++)
        json_array_append_new(value, sio_binary("x", 1));
    int rc = CARAFE_ERR_NOMEM;
    int n = 0;
    while (rc != 0) {
        buf dst = {0};
        sio_attachment_list list = {0};
        mem_fail_after(++n);
        rc = sio_json_encode_args(&dst, "e", value, &list);
        mem_fail_never();
        if (rc != 0) {
            assert_int_equal(rc, CARAFE_ERR_NOMEM);
            assert_int_equal(dst.len, 0);
            assert_int_equal(list.count, 0);
        }
        sio_attachment_list_deinit(&list);
        buf_deinit(&dst);
    }
    assert_true(n > 3);
    json_decref(value);
}

static void test_sio_json_encode_text_quotes(void **state)
{
    (void)state;
    buf dst = {0};
    assert_int_equal(sio_json_encode_text(&dst, slice_str("a\"b")), 0);
    assert_int_equal(sio_json_encode_text(&dst, (slice){NULL, 0}), 0);
    assert_int_equal(sio_json_encode_text(&dst, slice_str("\xed\xa0\x80")), CARAFE_ERR_BAD_DATA);
    assert_string_equal(buf_cstr(&dst), "\"a\\\"b\"\"\"");
    buf_deinit(&dst);
}

/* No test leaves memory behind, ours or Jansson's. */
static int no_memory_is_left(void **state)
{
    (void)state;
    return mem_blocks_in_use() == 0 ? 0 : -1;
}

int main(void)
{
    json_set_alloc_funcs(mem_alloc, mem_free); /* so that Jansson's allocations can fail too */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_text_check_good_texts_are_accepted),
        cmocka_unit_test(test_json_text_check_bad_texts_are_refused),
        cmocka_unit_test(test_json_text_check_NUL_byte_is_refused_anywhere),
        cmocka_unit_test(test_json_text_check_special_bytes_are_seen_at_every_offset),
        cmocka_unit_test(test_json_text_check_every_truncation_is_refused),
        cmocka_unit_test(test_json_text_check_depth_64_is_accepted_and_65_refused),
        cmocka_unit_test(test_json_text_check_depth_limit_is_the_callers_up_to_the_cap),
        cmocka_unit_test(test_json_text_check_depth_100000_is_refused),
        cmocka_unit_test(test_json_text_check_mixed_containers_close_in_order),
        cmocka_unit_test(test_json_value_end_is_behind_the_first_value),
        cmocka_unit_test(test_json_unescape_every_escape_in_place),
        cmocka_unit_test(test_sio_json_decode_agrees_with_jansson),
        cmocka_unit_test(test_sio_json_decode_bad_texts_are_refused),
        cmocka_unit_test(test_sio_json_decode_deepest_text_is_decoded),
        cmocka_unit_test(test_sio_json_decode_integers_beyond_64_bits_become_reals),
        cmocka_unit_test(test_sio_json_decode_long_numbers_are_decoded_or_refused),
        cmocka_unit_test(test_sio_json_decode_last_of_repeated_keys_counts),
        cmocka_unit_test(test_sio_json_decode_strings_keep_NUL),
        cmocka_unit_test(test_sio_json_decode_marking_keys_are_refused),
        cmocka_unit_test(test_sio_json_decode_foreign_locale_changes_nothing),
        cmocka_unit_test(test_sio_json_decode_placeholders_anywhere_are_replaced),
        cmocka_unit_test(test_sio_json_decode_placeholder_used_twice_or_never_is_fine),
        cmocka_unit_test(test_sio_json_decode_placeholder_for_no_attachment_is_refused),
        cmocka_unit_test(test_sio_json_decode_what_is_no_placeholder_is_data),
        cmocka_unit_test(test_sio_json_decode_each_failing_allocation_is_reported),
        cmocka_unit_test(test_sio_json_encode_each_kind_of_value),
        cmocka_unit_test(test_sio_json_encode_members_keep_their_order),
        cmocka_unit_test(test_sio_json_encode_strings_are_escaped),
        cmocka_unit_test(test_sio_json_encode_reals_are_shortest),
        cmocka_unit_test(test_sio_json_encode_round_trip_gives_the_value),
        cmocka_unit_test(test_sio_json_encode_binary_values_become_placeholders),
        cmocka_unit_test(test_sio_json_encode_what_is_no_payload_is_refused),
        cmocka_unit_test(test_sio_json_encode_depth_512_is_accepted_and_513_refused),
        cmocka_unit_test(test_sio_json_encode_cycle_is_refused),
        cmocka_unit_test(test_sio_json_encode_args_each_kind_of_payload),
        cmocka_unit_test(test_sio_json_encode_args_empty_tuple_is_no_argument),
        cmocka_unit_test(test_sio_json_encode_args_invalid_payload_is_refused),
        cmocka_unit_test(test_sio_json_encode_each_failing_allocation_changes_nothing),
        cmocka_unit_test(test_sio_json_encode_text_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, no_memory_is_left);
}
