#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "http/accept.h"

static const char *const OFFERS[] = {"br", "gzip", "deflate"};

static const char *pick(const char *value)
{
    int picked = http_accept_encoding(slice_str(value), OFFERS, 3);
    assert_true(picked >= HTTP_ENCODING_IDENTITY && picked < 3);
    return picked == HTTP_ENCODING_IDENTITY ? "identity" : OFFERS[picked];
}

static void test_http_accept_encoding_absent_is_identity(void **state)
{
    (void)state;
    assert_int_equal(http_accept_encoding((slice){NULL, 0}, OFFERS, 3), HTTP_ENCODING_IDENTITY);
    assert_string_equal(pick(""), "identity");
    assert_int_equal(http_accept_encoding(slice_str("gzip"), NULL, 0), HTTP_ENCODING_IDENTITY);
}

static void test_http_accept_encoding_equal_weights_take_first_offer(void **state)
{
    (void)state;
    assert_string_equal(pick("gzip, deflate, br"), "br");
    assert_string_equal(pick("gzip, deflate"), "gzip");
    assert_string_equal(pick("deflate;q=0.5,gzip;q=0.500"), "gzip");
}

static void test_http_accept_encoding_higher_weight_wins(void **state)
{
    (void)state;
    assert_string_equal(pick("br;q=0.8, gzip;q=0.9, deflate;q=0.1"), "gzip");
    assert_string_equal(pick("br;q=0.001, deflate;q=0.002"), "deflate");
    assert_string_equal(pick("br ; q=0.1 , gzip\t;\tQ=1.000"), "gzip");
}

static void test_http_accept_encoding_zero_weight_forbids(void **state)
{
    (void)state;
    assert_string_equal(pick("gzip;q=0"), "identity");
    assert_string_equal(pick("br;q=0, gzip;q=0.000, *"), "deflate");
    assert_string_equal(pick("*;q=0"), "identity");
    assert_string_equal(pick("*;q=0, gzip"), "gzip");
}

static void test_http_accept_encoding_star_is_for_the_others(void **state)
{
    (void)state;
    assert_string_equal(pick("*"), "br");
    assert_string_equal(pick("br;q=0.1, *;q=0.5"), "gzip");
}

static void test_http_accept_encoding_identity_with_more_weight_wins(void **state)
{
    (void)state;
    assert_string_equal(pick("identity, gzip;q=0.5"), "identity");
    assert_string_equal(pick("identity;q=0.5, gzip;q=0.5"), "gzip");
    assert_string_equal(pick("identity;q=0, gzip;q=0.1"), "gzip");
    assert_string_equal(pick("gzip;q=0.1"), "gzip");
}

static void test_http_accept_encoding_names_ignore_case_and_know_x_gzip(void **state)
{
    (void)state;
    assert_string_equal(pick("GZip"), "gzip");
    assert_string_equal(pick("x-gzip"), "gzip");
    assert_string_equal(pick("gzipped, xgzip"), "identity");
}

static void test_http_accept_encoding_malformed_members_are_ignored(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "gzip;q=2",    "gzip;q=1.001", "gzip;q=-1", "gzip;q=", "gzip;q=0.1234",
        "gzip;q=a",    "gzip;x=1",     "gzip;",     "gz ip",   "gzip;q=1;a",
        "gzip;q=0,5x", ";q=1",         "gzip;q=.5"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_string_equal(pick(bad[i]), "identity");
    assert_string_equal(pick("br;q=9, , gzip;q=1., deflate;q=0."), "gzip");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_accept_encoding_absent_is_identity),
        cmocka_unit_test(test_http_accept_encoding_equal_weights_take_first_offer),
        cmocka_unit_test(test_http_accept_encoding_higher_weight_wins),
        cmocka_unit_test(test_http_accept_encoding_zero_weight_forbids),
        cmocka_unit_test(test_http_accept_encoding_star_is_for_the_others),
        cmocka_unit_test(test_http_accept_encoding_identity_with_more_weight_wins),
        cmocka_unit_test(test_http_accept_encoding_names_ignore_case_and_know_x_gzip),
        cmocka_unit_test(test_http_accept_encoding_malformed_members_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
