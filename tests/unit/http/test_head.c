#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/buf.h"
#include "http/head.h"

static http_header headers[HTTP_HEADER_COUNT_MAX];

#define HOST "Host: example.org\r\n"
#define GET_WITH(fields) "GET / HTTP/1.1\r\n" HOST fields "\r\n"

static const char FULL[] = "\r\n"
                           "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n"
                           "Host: example.org:8080\r\n"
                           "Accept: text/html,\ttext/plain \r\n"
                           "Cookie: a=\xc3\xa9\r\n"
                           "X-Empty:\r\n"
                           "accept: second\r\n"
                           "Content-Length: 12\r\n"
                           "\r\n";

/* Parses a copy on the heap, of exactly that size, so that ASan sees reads behind the end. The
 * copy lives until the next call. */
static int parse_bytes(http_head *out, const void *data, size_t len, const http_limits *limits)
{
    static uint8_t *copy;
    free(copy);
    copy = malloc(len ? len : 1);
    memcpy(copy, data, len);
    return http_head_parse(out, headers, copy, len, limits);
}

static void assert_parses(const char *text, http_head *out)
{
    assert_int_equal(parse_bytes(out, text, strlen(text), NULL), 0);
    http_head_scanner scanner = {0};
    assert_int_equal(http_head_scan(&scanner, (const uint8_t *)text, strlen(text), NULL),
                     strlen(text));
}

/* Refused by the parser; and the scanner accepts it, or finds the same status. */
static void assert_refused(const char *text, int status)
{
    http_head head;
    int error = parse_bytes(&head, text, strlen(text), NULL);
    assert_true(error < 0);
    assert_int_equal(head.problem.status, status);
    assert_non_null(head.problem.reason);
    http_head_scanner scanner = {0};
    ptrdiff_t scanned = http_head_scan(&scanner, (const uint8_t *)text, strlen(text), NULL);
    if (scanned < 0 && scanned != CARAFE_ERR_NEED_MORE)
        assert_int_equal(scanner.problem.status, status);
}

/* Refused by the scanner when it sees byte `at`, and not before. */
static void assert_scan_refused(const char *text, size_t at)
{
    http_head_scanner scanner = {0};
    const uint8_t *data = (const uint8_t *)text;
    assert_int_equal(http_head_scan(&scanner, data, at, NULL), CARAFE_ERR_NEED_MORE);
    assert_int_equal(http_head_scan(&scanner, data, at + 1, NULL), CARAFE_ERR_BAD_REQUEST);
    assert_int_equal(scanner.problem.status, 400);
    assert_int_equal(http_head_scan(&scanner, data, at + 1, NULL), CARAFE_ERR_BAD_REQUEST);
}

static void assert_slice(slice actual, const char *expected)
{
    assert_non_null(actual.data);
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.data, expected, actual.len);
}

static void test_http_head_parse_full_request_gives_all_parts(void **state)
{
    (void)state;
    http_head head;
    assert_parses(FULL, &head);
    assert_int_equal(head.method, HTTP_METHOD_POST);
    assert_slice(head.method_name, "POST");
    assert_slice(head.target, "/socket.io/?EIO=4&transport=polling");
    assert_slice(head.path, "/socket.io/");
    assert_slice(head.query, "EIO=4&transport=polling");
    assert_slice(head.host, "example.org:8080");
    assert_int_equal(head.version_minor, 1);
    assert_int_equal(head.header_count, 6);
    assert_slice(head.headers[1].name, "Accept");
    assert_slice(head.headers[1].value, "text/html,\ttext/plain");
    assert_slice(head.headers[3].value, "");
    assert_true(head.has_content_length);
    assert_int_equal(head.content_length, 12);
    assert_true(head.keep_alive);
    assert_true(http_head_has_body(&head));
    assert_false(head.is_chunked || head.is_upgrade || head.expects_continue);
}

static void test_http_head_parse_methods_are_known(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        http_method method;
    } cases[] = {
        {"GET", HTTP_METHOD_GET},
        {"HEAD", HTTP_METHOD_HEAD},
        {"POST", HTTP_METHOD_POST},
        {"PUT", HTTP_METHOD_PUT},
        {"DELETE", HTTP_METHOD_DELETE},
        {"OPTIONS", HTTP_METHOD_OPTIONS},
        {"PATCH", HTTP_METHOD_PATCH},
        {"TRACE", HTTP_METHOD_TRACE},
        {"PROPFIND", HTTP_METHOD_OTHER},
        {"get", HTTP_METHOD_OTHER},
        {"!#$%&'*+-.^_`|~", HTTP_METHOD_OTHER},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[128];
        http_head head;
        snprintf(text, sizeof(text), "%s / HTTP/1.1\r\n" HOST "\r\n", cases[i].name);
        assert_parses(text, &head);
        assert_int_equal(head.method, cases[i].method);
    }
}

static void test_http_head_parse_malformed_method_is_refused(void **state)
{
    (void)state;
    assert_refused("G:T / HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("G\"T / HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET\xc3 / HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused(" / HTTP/1.1\r\n" HOST "\r\n", 400);
}

static void test_http_head_parse_method_at_limit_passes_and_longer_is_501(void **state)
{
    (void)state;
    http_head head;
    assert_parses("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\n" HOST "\r\n", &head);
    assert_refused("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" HOST "\r\n", 501);
}

static void test_http_head_parse_connect_is_501(void **state)
{
    (void)state;
    assert_refused("CONNECT example.org:443 HTTP/1.1\r\n" HOST "\r\n", 501);
}

static void test_http_head_parse_malformed_request_line_is_refused(void **state)
{
    (void)state;
    assert_refused("GET /\r\n" HOST "\r\n", 400);
    assert_refused("GET / \r\n" HOST "\r\n", 400);
    assert_refused("GET  / HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET /  HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET / HTTP/1.1 \r\n" HOST "\r\n", 400);
    assert_refused("GET\t/\tHTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET / http/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET / HTTP/1.10\r\n" HOST "\r\n", 400);
    assert_refused("GET / HTTP/1,1\r\n" HOST "\r\n", 400);
    assert_refused("GET / HTTP/a.1\r\n" HOST "\r\n", 400);
}

static void test_http_head_parse_other_version_is_505(void **state)
{
    (void)state;
    assert_refused("GET / HTTP/1.2\r\n" HOST "\r\n", 505);
    assert_refused("GET / HTTP/0.9\r\n" HOST "\r\n", 505);
    assert_refused("GET / HTTP/3.0\r\n" HOST "\r\n", 505);
    assert_refused("PRI * HTTP/2.0\r\n\r\n", 505);
}

static void test_http_head_parse_white_space_in_target_is_refused(void **state)
{
    (void)state;
    assert_refused("GET /a b HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET /a\tb HTTP/1.1\r\n" HOST "\r\n", 400);
}

static void test_http_head_parse_bad_target_is_refused(void **state)
{
    (void)state;
    assert_refused("GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET index.html HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET ?a HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET * HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET http:/a HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET http HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n", 400);
}

static void test_http_head_parse_asterisk_is_for_options(void **state)
{
    (void)state;
    http_head head;
    assert_parses("OPTIONS * HTTP/1.1\r\n" HOST "\r\n", &head);
    assert_slice(head.path, "*");
    assert_null(head.query.data);
    assert_refused("OPTIONS ** HTTP/1.1\r\n" HOST "\r\n", 400);
}

static void test_http_head_parse_query_mark_splits_once(void **state)
{
    (void)state;
    http_head head;
    assert_parses("GET /a?b?c HTTP/1.1\r\n" HOST "\r\n", &head);
    assert_slice(head.path, "/a");
    assert_slice(head.query, "b?c");
    assert_parses("GET /? HTTP/1.1\r\n" HOST "\r\n", &head);
    assert_slice(head.query, "");
    assert_parses("GET / HTTP/1.1\r\n" HOST "\r\n", &head);
    assert_null(head.query.data);
}

static void test_http_head_parse_absolute_target_gives_path_and_host(void **state)
{
    (void)state;
    http_head head;
    assert_parses("GET http://other:81/x/y?z=1 HTTP/1.1\r\n" HOST "\r\n", &head);
    assert_slice(head.path, "/x/y");
    assert_slice(head.query, "z=1");
    assert_slice(head.host, "other:81");
    assert_parses("GET HTTPS://other?z HTTP/1.1\r\n" HOST "\r\n", &head);
    assert_slice(head.path, "/");
    assert_slice(head.query, "z");
    assert_parses("GET http://[::1] HTTP/1.1\r\n" HOST "\r\n", &head);
    assert_slice(head.path, "/");
    assert_slice(head.host, "[::1]");
    assert_refused("GET http:/// HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET http://u@other/ HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET http://other/ HTTP/1.1\r\n\r\n", 400);
}

static void test_http_head_parse_target_at_limit_passes_and_longer_is_414(void **state)
{
    (void)state;
    const http_limits limits = {.target_size_max = 5};
    http_head head;
    const char *at_limit = "GET /2345 HTTP/1.1\r\n" HOST "\r\n";
    const char *longer = "GET /23456 HTTP/1.1\r\n" HOST "\r\n";
    assert_int_equal(parse_bytes(&head, at_limit, strlen(at_limit), &limits), 0);
    assert_int_equal(parse_bytes(&head, longer, strlen(longer), &limits), CARAFE_ERR_TOO_LARGE);
    assert_int_equal(head.problem.status, 414);
}

static void test_http_head_scan_endless_request_line_is_414_early(void **state)
{
    (void)state;
    static uint8_t data[HTTP_TARGET_SIZE_MAX + 100];
    memset(data, 'a', sizeof(data));
    memcpy(data, "GET /", 5);
    http_head_scanner scanner = {0};
    assert_int_equal(http_head_scan(&scanner, data, HTTP_TARGET_SIZE_MAX + 40, NULL),
                     CARAFE_ERR_NEED_MORE);
    assert_int_equal(http_head_scan(&scanner, data, sizeof(data), NULL), CARAFE_ERR_TOO_LARGE);
    assert_int_equal(scanner.problem.status, 414);
}

static void test_http_head_parse_host_must_be_there_once(void **state)
{
    (void)state;
    http_head head;
    assert_refused("GET / HTTP/1.1\r\n\r\n", 400);
    assert_refused(GET_WITH(HOST), 400);
    assert_refused("GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400);
    assert_parses("GET / HTTP/1.0\r\n\r\n", &head);
    assert_null(head.host.data);
    assert_parses("GET / HTTP/1.1\r\nhOST:\r\n\r\n", &head);
    assert_slice(head.host, "");
}

static void test_http_is_host_vectors_match(void **state)
{
    (void)state;
    static const char *const good[] = {
        "example.org",      "localhost:80", "127.0.0.1:65535", "a_b",  "[::1]", "[::1]:80",
        "[::ffff:1.2.3.4]", "a:",           "a%20b",           "12345"};
    static const char *const bad[] = {"",      ":80",  "a b", "a@b",      "a/b",      "a:b",
                                      "a:1:2", "::1",  "[]",  "[::1",     "[::1]x",   "[g::]",
                                      "a%2",   "a%zz", "a?",  "\xc3\xa9", "a:123456", "a\\b"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(http_is_host(slice_str(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(http_is_host(slice_str(bad[i])));
    assert_refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
    assert_refused("GET / HTTP/1.1\r\nHost: a, b@c\r\n\r\n", 400);
}

static void test_http_head_parse_content_length_must_be_digits(void **state)
{
    (void)state;
    http_head head;
    assert_refused(GET_WITH("Content-Length:\r\n"), 400);
    assert_refused(GET_WITH("Content-Length: +1\r\n"), 400);
    assert_refused(GET_WITH("Content-Length: -1\r\n"), 400);
    assert_refused(GET_WITH("Content-Length: 0x1\r\n"), 400);
    assert_refused(GET_WITH("Content-Length: 1 1\r\n"), 400);
    assert_refused(GET_WITH("Content-Length: 1.0\r\n"), 400);
    assert_parses(GET_WITH("Content-Length: 9223372036854775799\r\n"), &head);
    assert_true(head.content_length == 9223372036854775799u);
    assert_parses(GET_WITH("Content-Length: 00\r\n"), &head);
    assert_true(head.has_content_length);
    assert_false(http_head_has_body(&head));
}

static void test_http_head_parse_content_length_overflow_is_413(void **state)
{
    (void)state;
    assert_refused(GET_WITH("Content-Length: 9223372036854775810\r\n"), 413);
    assert_refused(GET_WITH("Content-Length: 18446744073709551617\r\n"), 413);
    assert_refused(GET_WITH("Content-Length: 99999999999999999999999999999\r\n"), 413);
}

static void test_http_head_parse_several_content_lengths_are_refused(void **state)
{
    (void)state;
    assert_refused(GET_WITH("Content-Length: 5\r\nContent-Length: 6\r\n"), 400);
    assert_refused(GET_WITH("Content-Length: 5\r\ncontent-length: 5\r\n"), 400);
    assert_refused(GET_WITH("Content-Length: 5, 5\r\n"), 400);
}

static void test_http_head_parse_chunked_is_known(void **state)
{
    (void)state;
    http_head head;
    assert_parses(GET_WITH("Transfer-Encoding: ChunkeD \r\n"), &head);
    assert_true(head.is_chunked);
    assert_true(http_head_has_body(&head));
    assert_false(head.has_content_length);
}

static void test_http_head_parse_content_length_with_chunked_is_refused(void **state)
{
    (void)state;
    assert_refused(GET_WITH("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400);
    assert_refused(GET_WITH("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), 400);
    assert_refused(GET_WITH("Transfer-Encoding: foo\r\nContent-Length: 0\r\n"), 400);
}

static void test_http_head_parse_transfer_encoding_twice_is_refused(void **state)
{
    (void)state;
    assert_refused(GET_WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400);
    assert_refused(GET_WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), 400);
}

static void test_http_head_parse_transfer_encoding_other_than_chunked_is_refused(void **state)
{
    (void)state;
    assert_refused(GET_WITH("Transfer-Encoding: chunked, identity\r\n"), 400);
    assert_refused(GET_WITH("Transfer-Encoding: chunked, chunked\r\n"), 400);
    assert_refused(GET_WITH("Transfer-Encoding: chunked,\r\n"), 400);
    assert_refused(GET_WITH("Transfer-Encoding:\r\n"), 400);
    assert_refused(GET_WITH("Transfer-Encoding: chunked;a=b\r\n"), 400);
    assert_refused(GET_WITH("Transfer-Encoding: \"chunked\"\r\n"), 400);
    assert_refused(GET_WITH("Transfer-Encoding: chunked\x80\r\n"), 400);
    assert_refused(GET_WITH("Transfer-Encoding: xchunked\r\n"), 501);
    assert_refused(GET_WITH("Transfer-Encoding: identity\r\n"), 501);
    assert_refused(GET_WITH("Transfer-Encoding: gzip, chunked\r\n"), 501);
}

static void test_http_head_parse_transfer_encoding_in_1_0_is_refused(void **state)
{
    (void)state;
    assert_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
}

static void test_http_head_parse_malformed_header_name_is_refused(void **state)
{
    (void)state;
    assert_refused(GET_WITH("A : b\r\n"), 400);
    assert_refused(GET_WITH("A\t: b\r\n"), 400);
    assert_refused(GET_WITH(": b\r\n"), 400);
    assert_refused(GET_WITH("A\r\n"), 400);
    assert_refused(GET_WITH("A b: c\r\n"), 400);
    assert_refused(GET_WITH("A(b): c\r\n"), 400);
    assert_refused(GET_WITH("\xc3: c\r\n"), 400);
}

static void test_http_head_parse_folded_line_is_refused(void **state)
{
    (void)state;
    assert_refused(GET_WITH("A: b\r\n c\r\n"), 400);
    assert_refused(GET_WITH("A: b\r\n\tc\r\n"), 400);
    assert_refused("GET / HTTP/1.1\r\n " HOST "\r\n", 400);
}

static void test_http_head_scan_refuses_as_soon_as_seen(void **state)
{
    (void)state;
    assert_scan_refused("GET / HTTP/1.1\nHost: a\n\n", 14);
    assert_scan_refused("GET / HTTP/1.1\r\nA: b\n", 20);
    assert_scan_refused("GET / HTTP/1.1\rA: b", 15);
    assert_scan_refused("GET / HTTP/1.1\r\r\n", 15);
    assert_scan_refused("GET / HTTP/1.1\r\n\rx", 17);
    assert_scan_refused("GET /\x01", 5);
    assert_scan_refused("GET / HTTP/1.1\r\nA: \x7f", 19);
    assert_scan_refused("GET / HTTP/1.1\r\nA: 12345678901234567890\x0b", 39);
    assert_scan_refused("GET / HTTP/1.1\r\nA: b\r\n c", 22);
    assert_scan_refused("GET / HTTP/1.1\r\n\tA: b", 16);
    assert_scan_refused(" GET", 0);
    assert_scan_refused("\nGET", 0);
    assert_scan_refused("\rGET", 1);
    assert_scan_refused("\r\n\r\nGET", 2);
    assert_scan_refused("\x16\x03\x01", 0);
}

static void test_http_head_scan_every_control_byte_is_refused(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < 24; at++) {
            uint8_t text[] = "GET / HTTP/1.1\r\nA: abcdefghijklmnopqrstuvwxy\r\n\r\n";
            http_head_scanner scanner = {0};
            http_head head;
            text[19 + at] = (uint8_t)c;
            bool is_text = c == '\t' || (c >= 0x20 && c != 0x7f);
            ptrdiff_t len = http_head_scan(&scanner, text, sizeof(text) - 1, NULL);
            assert_int_equal(len, is_text ? (ptrdiff_t)sizeof(text) - 1 : CARAFE_ERR_BAD_REQUEST);
            if (!is_text) /* the parser alone refuses it too */
                assert_int_equal(parse_bytes(&head, text, sizeof(text) - 1, NULL),
                                 CARAFE_ERR_BAD_REQUEST);
        }
    }
}

static void test_http_head_parse_obs_text_and_tab_in_values_pass(void **state)
{
    (void)state;
    http_head head;
    assert_parses(GET_WITH("A: \t\x80\xff\tx\t \r\n"), &head);
    assert_slice(http_head_find(&head, "a"), "\x80\xff\tx");
}

static void test_http_head_scan_one_empty_line_may_lead(void **state)
{
    (void)state;
    http_head head;
    assert_parses("\r\n" GET_WITH(""), &head);
    assert_refused("\r\n\r\n" GET_WITH(""), 400);
}

static void test_http_head_scan_one_byte_at_a_time_finds_the_same_end(void **state)
{
    (void)state;
    const size_t len = sizeof(FULL) - 1;
    http_head_scanner scanner = {0};
    for (size_t n = 0; n < len; n++) {
        uint8_t *copy = malloc(n + 1); /* the bytes may move between calls */
        memcpy(copy, FULL, n);
        assert_int_equal(http_head_scan(&scanner, copy, n, NULL), CARAFE_ERR_NEED_MORE);
        assert_int_equal(scanner.problem.status, 0);
        assert_int_equal(scanner.pos, n);
        free(copy);
    }
    assert_int_equal(http_head_scan(&scanner, (const uint8_t *)FULL, len, NULL), len);
    assert_int_equal(http_head_scan(&scanner, (const uint8_t *)FULL, len, NULL), len);
}

static void test_http_head_scan_every_truncation_needs_more(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(FULL) - 1; n++) {
        http_head_scanner scanner = {0};
        http_head head;
        assert_int_equal(http_head_scan(&scanner, (const uint8_t *)FULL, n, NULL),
                         CARAFE_ERR_NEED_MORE);
        assert_int_equal(parse_bytes(&head, FULL, n, NULL), CARAFE_ERR_BAD_REQUEST);
    }
}

static void test_http_head_scan_body_behind_the_head_is_not_touched(void **state)
{
    (void)state;
    const char *text = GET_WITH("") "\n\x00\r\r";
    http_head_scanner scanner = {0};
    assert_int_equal(http_head_scan(&scanner, (const uint8_t *)text, strlen(text) + 4, NULL),
                     strlen(GET_WITH("")));
}

static void test_http_head_parse_bytes_behind_the_head_are_refused(void **state)
{
    (void)state;
    http_head head;
    const char *text = GET_WITH("") "x";
    assert_int_equal(parse_bytes(&head, text, strlen(text), NULL), CARAFE_ERR_BAD_REQUEST);
}

static void test_http_head_scan_head_at_limit_passes_and_longer_is_431(void **state)
{
    (void)state;
    const char *text = GET_WITH("A: b\r\n");
    const uint8_t *data = (const uint8_t *)text;
    const uint32_t len = (uint32_t)strlen(text);
    http_limits limits = {.head_size_max = len};
    http_head_scanner scanner = {0};
    http_head head;
    assert_int_equal(http_head_scan(&scanner, data, len - 1, &limits), CARAFE_ERR_NEED_MORE);
    assert_int_equal(http_head_scan(&scanner, data, len, &limits), len);
    assert_int_equal(parse_bytes(&head, text, len, &limits), 0);
    limits.head_size_max = len - 1;
    scanner = (http_head_scanner){0};
    assert_int_equal(http_head_scan(&scanner, data, len, &limits), CARAFE_ERR_TOO_LARGE);
    assert_int_equal(scanner.problem.status, 431);
    scanner = (http_head_scanner){0};
    assert_int_equal(http_head_scan(&scanner, data, len - 1, &limits), CARAFE_ERR_TOO_LARGE);
    assert_int_equal(parse_bytes(&head, text, len, &limits), CARAFE_ERR_TOO_LARGE);
    assert_int_equal(head.problem.status, 431);
}

static void test_http_head_parse_header_at_limit_passes_and_longer_is_431(void **state)
{
    (void)state;
    const http_limits limits = {.header_size_max = 16};
    http_head head;
    const char *at_limit = "GET / HTTP/1.1\r\nHost: a\r\nName:   123456789012  \r\n\r\n";
    const char *longer = "GET / HTTP/1.1\r\nHost: a\r\nName: 1234567890123\r\n\r\n";
    assert_int_equal(parse_bytes(&head, at_limit, strlen(at_limit), &limits), 0);
    assert_int_equal(parse_bytes(&head, longer, strlen(longer), &limits), CARAFE_ERR_TOO_LARGE);
    assert_int_equal(head.problem.status, 431);
}

/* A head with `count` header lines, Host included. */
static void make_head(buf *out, size_t count)
{
    assert_int_equal(buf_append_str(out, "GET / HTTP/1.1\r\n" HOST), 0);
    for (size_t i = 1; i < count; i++)
        assert_int_equal(buf_append_str(out, "a: b\r\n"), 0);
    assert_int_equal(buf_append_str(out, "\r\n"), 0);
}

static void test_http_head_parse_headers_at_limit_pass_and_more_are_431(void **state)
{
    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        buf b = {0};
        http_head_scanner scanner = {0};
        http_head head;
        make_head(&b, HTTP_HEADER_COUNT_MAX + extra);
        ptrdiff_t scanned = http_head_scan(&scanner, b.data, b.len, NULL);
        int parsed = http_head_parse(&head, headers, b.data, b.len, NULL);
        assert_int_equal(scanned, extra ? CARAFE_ERR_TOO_MANY : (ptrdiff_t)b.len);
        assert_int_equal(parsed, extra ? CARAFE_ERR_TOO_MANY : 0);
        assert_int_equal(scanner.problem.status, extra ? 431 : 0);
        assert_int_equal(head.problem.status, extra ? 431 : 0);
        buf_deinit(&b);
    }
}

static void test_http_head_scan_2001_headers_are_431(void **state)
{
    (void)state;
    buf b = {0};
    http_head_scanner scanner = {0};
    make_head(&b, 2001);
    assert_int_equal(http_head_scan(&scanner, b.data, b.len, NULL), CARAFE_ERR_TOO_MANY);
    assert_int_equal(scanner.problem.status, 431);
    buf_deinit(&b);
}

static double elapsed_s(clock_t since)
{
    return (double)(clock() - since) / CLOCKS_PER_SEC;
}

static void test_http_head_64_kib_of_commas_take_linear_time(void **state)
{
    (void)state;
    enum { COMMAS = 64 * 1024 };
    const http_limits limits = {.head_size_max = 2 * COMMAS, .header_size_max = 2 * COMMAS};
    buf b = {0};
    http_head_scanner scanner = {0};
    http_head head;
    assert_int_equal(buf_append_str(&b, "GET / HTTP/1.1\r\n" HOST "Connection: close"), 0);
    for (int i = 0; i < COMMAS; i++)
        assert_int_equal(buf_append_char(&b, ','), 0);
    assert_int_equal(buf_append_str(&b, "\r\n\r\n"), 0);
    clock_t start = clock();
    for (size_t n = 1; n < b.len; n++)
        assert_true(http_head_scan(&scanner, b.data, n, &limits) == CARAFE_ERR_NEED_MORE);
    assert_int_equal(http_head_scan(&scanner, b.data, b.len, &limits), b.len);
    assert_int_equal(http_head_parse(&head, headers, b.data, b.len, &limits), 0);
    assert_false(head.keep_alive);
    assert_false(http_head_list_has(&head, "connection", "upgrade"));
    /* Quadratic would be 4 * 10^9 steps; linear ones are milliseconds, also under sanitizers. */
    assert_true(elapsed_s(start) < 1.0);
    buf_deinit(&b);
}

static void test_http_head_parse_connection_decides_keep_alive(void **state)
{
    (void)state;
    http_head head;
    assert_parses(GET_WITH(""), &head);
    assert_true(head.keep_alive);
    assert_parses(GET_WITH("Connection: Close\r\n"), &head);
    assert_false(head.keep_alive);
    assert_parses(GET_WITH("Connection: keep-alive\r\nConnection: x, close\r\n"), &head);
    assert_false(head.keep_alive);
    assert_parses(GET_WITH("Connection: closed\r\n"), &head);
    assert_true(head.keep_alive);
    assert_parses("GET / HTTP/1.0\r\n\r\n", &head);
    assert_false(head.keep_alive);
    assert_parses("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", &head);
    assert_true(head.keep_alive);
    assert_parses("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", &head);
    assert_false(head.keep_alive);
}

static void test_http_head_parse_upgrade_needs_both_headers(void **state)
{
    (void)state;
    http_head head;
    assert_parses(GET_WITH("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"), &head);
    assert_true(head.is_upgrade);
    assert_parses(GET_WITH("Upgrade: websocket\r\nConnection: a\r\nConnection: upgrade\r\n"),
                  &head);
    assert_true(head.is_upgrade);
    assert_parses(GET_WITH("Connection: Upgrade\r\n"), &head);
    assert_false(head.is_upgrade);
    assert_parses(GET_WITH("Connection: Upgrade\r\nUpgrade:\r\n"), &head);
    assert_false(head.is_upgrade);
    assert_parses(GET_WITH("Upgrade: websocket\r\n"), &head);
    assert_false(head.is_upgrade);
    assert_parses("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", &head);
    assert_false(head.is_upgrade);
}

static void test_http_head_parse_expect_continue_needs_a_body(void **state)
{
    (void)state;
    http_head head;
    assert_parses(GET_WITH("Expect: 100-Continue\r\nContent-Length: 1\r\n"), &head);
    assert_true(head.expects_continue);
    assert_parses(GET_WITH("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"), &head);
    assert_true(head.expects_continue);
    assert_parses(GET_WITH("Expect: 100-continue\r\n"), &head);
    assert_false(head.expects_continue);
    assert_parses("GET / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", &head);
    assert_false(head.expects_continue);
}

static void test_http_head_parse_unknown_expect_is_417(void **state)
{
    (void)state;
    assert_refused(GET_WITH("Expect: 200-ok\r\n"), 417);
    assert_refused(GET_WITH("Expect:\r\n"), 417);
    assert_refused(GET_WITH("Expect: 100-continue, x\r\n"), 417);
}

static void test_http_head_find_and_next_ignore_case(void **state)
{
    (void)state;
    http_head head;
    size_t at = 0;
    slice value;
    assert_parses(FULL, &head);
    assert_slice(http_head_find(&head, "ACCEPT"), "text/html,\ttext/plain");
    assert_slice(http_head_find(&head, "x-empty"), "");
    assert_null(http_head_find(&head, "x-emptyy").data);
    assert_null(http_head_find(&head, "").data);
    assert_true(http_head_next(&head, "accept", &at, &value));
    assert_true(http_head_next(&head, "accept", &at, &value));
    assert_slice(value, "second");
    assert_false(http_head_next(&head, "accept", &at, &value));
    assert_true(http_head_list_has(&head, "accept", "TEXT/plain"));
    assert_true(http_head_list_has(&head, "accept", "second"));
    assert_false(http_head_list_has(&head, "accept", "text"));
}

static void test_http_token_list_has_compares_whole_members(void **state)
{
    (void)state;
    assert_true(http_token_list_has(slice_str("a, Upgrade ,b"), "upgrade"));
    assert_true(http_token_list_has(slice_str(",,\tupgrade"), "upgrade"));
    assert_false(http_token_list_has(slice_str("upgrades, xupgrade, up grade"), "upgrade"));
    assert_false(http_token_list_has(slice_str(""), "upgrade"));
    assert_false(http_token_list_has((slice){NULL, 0}, "upgrade"));
}

static void test_http_head_rebase_points_into_the_copy(void **state)
{
    (void)state;
    http_head head;
    const size_t len = sizeof(FULL) - 1;
    uint8_t *from = malloc(len), *to = malloc(len);
    memcpy(from, FULL, len);
    memcpy(to, FULL, len);
    assert_int_equal(http_head_parse(&head, headers, from, len, NULL), 0);
    http_head_rebase(&head, from, to);
    free(from);
    assert_slice(head.method_name, "POST");
    assert_slice(head.path, "/socket.io/");
    assert_slice(head.query, "EIO=4&transport=polling");
    assert_slice(head.host, "example.org:8080");
    assert_slice(http_head_find(&head, "content-length"), "12");
    free(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_head_parse_full_request_gives_all_parts),
        cmocka_unit_test(test_http_head_parse_methods_are_known),
        cmocka_unit_test(test_http_head_parse_malformed_method_is_refused),
        cmocka_unit_test(test_http_head_parse_method_at_limit_passes_and_longer_is_501),
        cmocka_unit_test(test_http_head_parse_connect_is_501),
        cmocka_unit_test(test_http_head_parse_malformed_request_line_is_refused),
        cmocka_unit_test(test_http_head_parse_other_version_is_505),
        cmocka_unit_test(test_http_head_parse_white_space_in_target_is_refused),
        cmocka_unit_test(test_http_head_parse_bad_target_is_refused),
        cmocka_unit_test(test_http_head_parse_asterisk_is_for_options),
        cmocka_unit_test(test_http_head_parse_query_mark_splits_once),
        cmocka_unit_test(test_http_head_parse_absolute_target_gives_path_and_host),
        cmocka_unit_test(test_http_head_parse_target_at_limit_passes_and_longer_is_414),
        cmocka_unit_test(test_http_head_scan_endless_request_line_is_414_early),
        cmocka_unit_test(test_http_head_parse_host_must_be_there_once),
        cmocka_unit_test(test_http_is_host_vectors_match),
        cmocka_unit_test(test_http_head_parse_content_length_must_be_digits),
        cmocka_unit_test(test_http_head_parse_content_length_overflow_is_413),
        cmocka_unit_test(test_http_head_parse_several_content_lengths_are_refused),
        cmocka_unit_test(test_http_head_parse_chunked_is_known),
        cmocka_unit_test(test_http_head_parse_content_length_with_chunked_is_refused),
        cmocka_unit_test(test_http_head_parse_transfer_encoding_twice_is_refused),
        cmocka_unit_test(test_http_head_parse_transfer_encoding_other_than_chunked_is_refused),
        cmocka_unit_test(test_http_head_parse_transfer_encoding_in_1_0_is_refused),
        cmocka_unit_test(test_http_head_parse_malformed_header_name_is_refused),
        cmocka_unit_test(test_http_head_parse_folded_line_is_refused),
        cmocka_unit_test(test_http_head_scan_refuses_as_soon_as_seen),
        cmocka_unit_test(test_http_head_scan_every_control_byte_is_refused),
        cmocka_unit_test(test_http_head_parse_obs_text_and_tab_in_values_pass),
        cmocka_unit_test(test_http_head_scan_one_empty_line_may_lead),
        cmocka_unit_test(test_http_head_scan_one_byte_at_a_time_finds_the_same_end),
        cmocka_unit_test(test_http_head_scan_every_truncation_needs_more),
        cmocka_unit_test(test_http_head_scan_body_behind_the_head_is_not_touched),
        cmocka_unit_test(test_http_head_parse_bytes_behind_the_head_are_refused),
        cmocka_unit_test(test_http_head_scan_head_at_limit_passes_and_longer_is_431),
        cmocka_unit_test(test_http_head_parse_header_at_limit_passes_and_longer_is_431),
        cmocka_unit_test(test_http_head_parse_headers_at_limit_pass_and_more_are_431),
        cmocka_unit_test(test_http_head_scan_2001_headers_are_431),
        cmocka_unit_test(test_http_head_64_kib_of_commas_take_linear_time),
        cmocka_unit_test(test_http_head_parse_connection_decides_keep_alive),
        cmocka_unit_test(test_http_head_parse_upgrade_needs_both_headers),
        cmocka_unit_test(test_http_head_parse_expect_continue_needs_a_body),
        cmocka_unit_test(test_http_head_parse_unknown_expect_is_417),
        cmocka_unit_test(test_http_head_find_and_next_ignore_case),
        cmocka_unit_test(test_http_token_list_has_compares_whole_members),
        cmocka_unit_test(test_http_head_rebase_points_into_the_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
