#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engineio/origin.h"

static eio_origin_policy policy;

static int setup(void **state)
{
    (void)state;
    policy = (eio_origin_policy){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    eio_origin_policy_deinit(&policy);
    assert_int_equal(mem_blocks_in_use(), 0);
    return 0;
}

static void use(const char *const *allowed)
{
    assert_int_equal(eio_origin_policy_init(&policy, allowed, true), 0);
}

static bool is_allowed(const char *origin, const char *host)
{
    return eio_origin_is_allowed(&policy, slice_str(origin), SLICE_LITERAL("http"),
                                 slice_str(host));
}

static void test_origin_same_is_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *origin, *host;
    } cases[] = {
        {"http://example.org", "example.org"},
        {"http://example.org:80", "example.org"},
        {"http://example.org", "example.org:80"},
        {"HTTP://EXAMPLE.org", "example.ORG"},
        {"http://example.org:5000", "example.org:5000"},
        {"http://[::1]:5000", "[::1]:5000"},
        {"http://[::1]", "[::1]:80"},
        {"http://localhost", "localhost"},
    };
    use(NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_true(is_allowed(cases[i].origin, cases[i].host));
}

static void test_origin_foreign_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *origin, *host;
    } cases[] = {
        {"http://evil.example", "example.org"},
        {"https://example.org", "example.org"}, /* another scheme is another origin */
        {"http://example.org:81", "example.org"},
        {"http://example.org", "example.org:5000"},
        {"http://example.org:8080", "example.org:80"},
        {"http://example.org:443", "example.org"},
        {"http://example.org.evil.example", "example.org"},
        {"http://notexample.org", "example.org"},
        {"http://example.org@evil.example", "example.org"},
        {"http://evil.example/http://example.org", "example.org"},
        {"null", "example.org"},
        {"null", "null"},
        {"NULL", ""},
        {"", ""},
        {"", "example.org"},
        {"http://", ""},
        {"http://:80", ""},
        {"://example.org", "example.org"},
        {"example.org", "example.org"},
        {"//example.org", "example.org"},
        {"http:/example.org", "example.org"},
        {"http:example.org", "example.org"},
        {"http:", "example.org"},
        {"http:/", "example.org"},
        {"http://example.org/", "example.org"}, /* no browser sends the slash */
        {"file://", "example.org"},
        {"http://example.org http://example.org", "example.org"},
    };
    use(NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_false(is_allowed(cases[i].origin, cases[i].host));
}

static void test_origin_bytes_of_any_kind_are_refused(void **state)
{
    (void)state;
    use(NULL);
    for (int c = 0; c < 256; c++) {
        char origin[] = {'h', (char)c, 't', 'p', ':', '/', '/', 'h'};
        bool is_real = c == 't' || c == 'T';
        assert_int_equal(eio_origin_is_allowed(&policy, slice_of(origin, sizeof(origin)),
                                               SLICE_LITERAL("http"), SLICE_LITERAL("h")),
                         is_real);
    }
}

static void test_origin_list_adds_to_the_same(void **state)
{
    (void)state;
    use((const char *[]){"https://a.example", "http://b.example:8080", NULL});
    assert_true(is_allowed("http://example.org", "example.org"));
    assert_true(is_allowed("https://a.example", "example.org"));
    assert_true(is_allowed("https://a.example:443", "example.org"));
    assert_true(is_allowed("HTTPS://A.EXAMPLE", "example.org"));
    assert_true(is_allowed("http://b.example:8080", "example.org"));
    assert_false(is_allowed("http://a.example", "example.org"));
    assert_false(is_allowed("https://a.example:80", "example.org"));
    assert_false(is_allowed("http://b.example", "example.org"));
    assert_false(is_allowed("https://sub.a.example", "example.org"));
    assert_false(is_allowed("null", "example.org"));
    assert_false(policy.is_off || policy.is_any);
}

static void test_origin_null_is_allowed_when_listed(void **state)
{
    (void)state;
    use((const char *[]){"null", NULL});
    assert_true(is_allowed("null", "example.org"));
    assert_false(is_allowed("http://evil.example", "example.org"));
}

static void test_origin_star_allows_any(void **state)
{
    (void)state;
    use((const char *[]){"https://a.example", "*", NULL});
    assert_true(policy.is_any);
    assert_true(is_allowed("http://evil.example", "example.org"));
    assert_true(is_allowed("null", "example.org"));
    assert_true(is_allowed("*", "example.org"));
}

static void test_origin_star_inside_an_entry_is_no_pattern(void **state)
{
    (void)state;
    use((const char *[]){"https://*.example", NULL});
    assert_false(policy.is_any);
    assert_false(is_allowed("https://a.example", "example.org"));
}

static void test_origin_empty_list_is_off(void **state)
{
    (void)state;
    use((const char *[]){NULL});
    assert_true(policy.is_off);
    assert_true(is_allowed("http://evil.example", "example.org"));
}

static void test_origin_list_is_copied(void **state)
{
    (void)state;
    char entry[] = "https://a.example";
    use((const char *[]){entry, NULL});
    memset(entry, 'x', sizeof(entry) - 1);
    assert_true(is_allowed("https://a.example", "example.org"));
    assert_true(policy.allow_credentials);
}

static void test_origin_policy_without_memory(void **state)
{
    (void)state;
    const char *const list[] = {"https://a.example", "https://b.example", NULL};
    for (int n = 1; n <= 3; n++) {
        mem_fail_after(n);
        assert_int_equal(eio_origin_policy_init(&policy, list, true), CARAFE_ERR_NOMEM);
        mem_fail_never();
        assert_int_equal(mem_blocks_in_use(), 0);
    }
    mem_fail_after(4);
    assert_int_equal(eio_origin_policy_init(&policy, list, true), 0);
    mem_fail_never();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_origin_same_is_allowed),
        TEST(test_origin_foreign_is_refused),
        TEST(test_origin_bytes_of_any_kind_are_refused),
        TEST(test_origin_list_adds_to_the_same),
        TEST(test_origin_null_is_allowed_when_listed),
        TEST(test_origin_star_allows_any),
        TEST(test_origin_star_inside_an_entry_is_no_pattern),
        TEST(test_origin_empty_list_is_off),
        TEST(test_origin_list_is_copied),
        TEST(test_origin_policy_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
