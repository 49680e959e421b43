#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/base64.h"
#include "base/error.h"

/* RFC 4648 10. */
static const struct {
    const char *plain;
    const char *encoded;
} vectors[] = {
    { "", "" },
    { "f", "Zg==" },
    { "fo", "Zm8=" },
    { "foo", "Zm9v" },
    { "foob", "Zm9vYg==" },
    { "fooba", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy" },
};

static void assert_decodes(const char *text, const char *expected)
{
    uint8_t out[64];
    ptrdiff_t len = base64_decode(text, strlen(text), out);
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(out, expected, strlen(expected));
}

static void assert_refused(const char *text)
{
    uint8_t out[64];
    assert_int_equal(base64_decode(text, strlen(text), out), CARAFE_ERR_BAD_DATA);
}

static void test_base64_encode_rfc_vectors_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char out[16];
        size_t len = base64_encode(vectors[i].plain, strlen(vectors[i].plain), out);
        assert_int_equal(len, strlen(vectors[i].encoded));
        assert_int_equal(len, base64_encoded_len(strlen(vectors[i].plain)));
        assert_memory_equal(out, vectors[i].encoded, len);
    }
}

static void test_base64_decode_rfc_vectors_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_decodes(vectors[i].encoded, vectors[i].plain);
}

static void test_base64_decode_padding_may_be_absent(void **state)
{
    (void)state;
    assert_decodes("Zg", "f");
    assert_decodes("Zm8", "fo");
    assert_decodes("Zm9vYg", "foob");
    assert_decodes("Zm9vYmE", "fooba");
}

static void test_base64_decode_wrong_padding_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "=",     "==",    "===",   "====",     "Zg=",
                                       "Zg===", "Zm8==", "Zm9v=", "Zm9v====", "Zg==Zm9v",
                                       "Z===",  "=Zg=",  "Zg=v",  "Z=g=",     "Zm9v==" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_refused(bad[i]);
}

static void test_base64_decode_impossible_length_is_refused(void **state)
{
    (void)state;
    assert_refused("Z");
    assert_refused("Zm9vY");
    /* What stands behind the end is no part of it. */
    uint8_t out[8];
    assert_int_equal(base64_decode("Zg", 1, out), CARAFE_ERR_BAD_DATA);
}

static void test_base64_decode_spare_bits_are_refused(void **state)
{
    (void)state;
    /* Each of the four bits behind one byte, each of the two behind two. */
    static const char *const bad[] = {
        "Zh==", "Zi==", "Zk==", "Zo==", "Zh", "Zm9=", "Zm+=", "Zm9"
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_refused(bad[i]);
}

static void test_base64_decode_every_byte_outside_the_alphabet_is_refused(void **state)
{
    (void)state;
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t out[8];
    for (int c = 0; c < 256; c++) {
        bool is_good = c && strchr(alphabet, c);
        for (size_t at = 0; at < 4; at++) {
            char group[] = { 'A', 'A', 'A', 'A', 'A', 'A' };
            group[at] = (char)c;
            /* One '=' may stand at the end of a group; what is before it has no spare bits here. */
            bool is_padding = c == '=' && at == 3;
            assert_int_equal(base64_decode(group, 4, out) >= 0, is_good || is_padding);
        }
    }
}

static void test_base64_decode_round_trip_gives_the_bytes_in_place_too(void **state)
{
    (void)state;
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 167 + 13);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        char text[344];
        size_t text_len = base64_encode(bytes, len, text);
        assert_int_equal(base64_decode(text, text_len, (uint8_t *)text), len);
        assert_memory_equal(text, bytes, len);
    }
}

static void test_base64_decode_destination_is_not_written_beyond_its_size(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 40; len++) {
        char text[40];
        uint8_t out[64];
        memset(text, 'A', sizeof(text));
        memset(out, 0xee, sizeof(out));
        base64_decode(text, len, out);
        for (size_t i = len / 4 * 3 + 3; i < sizeof(out); i++)
            assert_int_equal(out[i], 0xee);
    }
}

static void test_base64url_encode_uses_its_alphabet_without_padding(void **state)
{
    (void)state;
    char out[8];
    assert_int_equal(base64url_encode("\xfb\xff\xfe", 3, out), 4);
    assert_memory_equal(out, "-__-", 4);
    assert_int_equal(base64url_encode("\xff", 1, out), 2);
    assert_memory_equal(out, "_w", 2);
    assert_int_equal(base64url_encode("\xff\xef", 2, out), 3);
    assert_memory_equal(out, "_-8", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_encode_rfc_vectors_match),
        cmocka_unit_test(test_base64_decode_rfc_vectors_match),
        cmocka_unit_test(test_base64_decode_padding_may_be_absent),
        cmocka_unit_test(test_base64_decode_wrong_padding_is_refused),
        cmocka_unit_test(test_base64_decode_impossible_length_is_refused),
        cmocka_unit_test(test_base64_decode_spare_bits_are_refused),
        cmocka_unit_test(test_base64_decode_every_byte_outside_the_alphabet_is_refused),
        cmocka_unit_test(test_base64_decode_round_trip_gives_the_bytes_in_place_too),
        cmocka_unit_test(test_base64_decode_destination_is_not_written_beyond_its_size),
        cmocka_unit_test(test_base64url_encode_uses_its_alphabet_without_padding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
