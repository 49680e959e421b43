#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "http/response.h"
#include "http/status.h"

#define DATE_TEXT "Sun, 06 Nov 1994 08:49:37 GMT"
#define DATE_LINE "Date: " DATE_TEXT "\r\n"

static void begin(http_response *r, buf *out, int status)
{
    assert_int_equal(http_response_begin(r, out, status, slice_str(DATE_TEXT)), 0);
}

static void assert_ends_as(http_response *r, const char *expected)
{
    assert_int_equal(http_response_end(r), 0);
    assert_string_equal(buf_cstr(r->out), expected);
    buf_deinit(r->out);
}

static void test_http_response_with_length_is_as_the_rfc_shows(void **state)
{
    (void)state;
    buf out = {0};
    http_response r;
    begin(&r, &out, 200);
    assert_int_equal(http_response_header_str(&r, "Content-Type", "text/plain"), 0);
    assert_int_equal(http_response_header_str(&r, "X-Empty", ""), 0);
    r.content_length = UINT64_MAX;
    assert_ends_as(&r, "HTTP/1.1 200 OK\r\n" DATE_LINE "Content-Type: text/plain\r\nX-Empty: \r\n"
                       "Content-Length: 18446744073709551615\r\n\r\n");
    assert_true(r.keep_alive);
}

static void test_http_response_without_date_has_none(void **state)
{
    (void)state;
    buf out = {0};
    http_response r;
    assert_int_equal(http_response_begin(&r, &out, 404, (slice){NULL, 0}), 0);
    assert_ends_as(&r, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

static void test_http_response_chunked_and_close_are_framed(void **state)
{
    (void)state;
    buf out = {0};
    http_response r;
    begin(&r, &out, 200);
    r.framing = HTTP_FRAMING_CHUNKED;
    assert_ends_as(&r, "HTTP/1.1 200 OK\r\n" DATE_LINE "Transfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(r.framing, HTTP_FRAMING_CHUNKED);
    begin(&r, &out, 200);
    r.framing = HTTP_FRAMING_CLOSE;
    assert_ends_as(&r, "HTTP/1.1 200 OK\r\n" DATE_LINE "Connection: close\r\n\r\n");
    assert_false(r.keep_alive);
}

static void test_http_response_chunked_to_1_0_becomes_close(void **state)
{
    (void)state;
    buf out = {0};
    http_response r;
    begin(&r, &out, 200);
    r.framing = HTTP_FRAMING_CHUNKED;
    r.version_minor = 0;
    assert_ends_as(&r, "HTTP/1.1 200 OK\r\n" DATE_LINE "Connection: close\r\n\r\n");
    assert_int_equal(r.framing, HTTP_FRAMING_CLOSE);
    assert_false(r.keep_alive);
}

static void test_http_response_connection_says_what_is_not_the_default(void **state)
{
    (void)state;
    buf out = {0};
    http_response r;
    begin(&r, &out, 200);
    r.keep_alive = false;
    assert_ends_as(&r, "HTTP/1.1 200 OK\r\n" DATE_LINE
                       "Content-Length: 0\r\nConnection: close\r\n\r\n");
    begin(&r, &out, 200);
    r.version_minor = 0;
    assert_ends_as(&r, "HTTP/1.1 200 OK\r\n" DATE_LINE
                       "Content-Length: 0\r\nConnection: keep-alive\r\n\r\n");
}

static void test_http_response_statuses_without_body_have_no_framing(void **state)
{
    (void)state;
    buf out = {0};
    http_response r;
    begin(&r, &out, 204);
    r.content_length = 5;
    assert_ends_as(&r, "HTTP/1.1 204 No Content\r\n" DATE_LINE "\r\n");
    begin(&r, &out, 304);
    r.framing = HTTP_FRAMING_CHUNKED;
    r.keep_alive = false;
    assert_ends_as(&r, "HTTP/1.1 304 Not Modified\r\n" DATE_LINE "Connection: close\r\n\r\n");
    assert_int_equal(http_response_begin(&r, &out, 100, (slice){NULL, 0}), 0);
    r.keep_alive = false;
    assert_ends_as(&r, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_false(http_status_has_body(199));
    assert_true(http_status_has_body(200));
}

static void test_http_response_upgrade_names_the_protocol(void **state)
{
    (void)state;
    buf out = {0};
    http_response r;
    begin(&r, &out, 101);
    assert_int_equal(http_response_header_str(&r, "Sec-WebSocket-Accept", "x"), 0);
    assert_int_equal(http_response_end_upgrade(&r, "websocket"), 0);
    assert_string_equal(buf_cstr(&out),
                        "HTTP/1.1 101 Switching Protocols\r\n" DATE_LINE
                        "Sec-WebSocket-Accept: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "\r\n");
    buf_deinit(&out);
}

static void test_http_response_unknown_status_is_sent_and_bad_one_refused(void **state)
{
    (void)state;
    buf out = {0};
    http_response r;
    begin(&r, &out, 599);
    assert_ends_as(&r, "HTTP/1.1 599 Unknown\r\n" DATE_LINE "Content-Length: 0\r\n\r\n");
    assert_int_equal(http_response_begin(&r, &out, 99, slice_str("")), CARAFE_ERR_ARGUMENT);
    assert_int_equal(http_response_begin(&r, &out, 600, slice_str("")), CARAFE_ERR_ARGUMENT);
    assert_int_equal(http_response_begin(&r, &out, 200, slice_str("a\r\nb")), CARAFE_ERR_ARGUMENT);
    assert_int_equal(buf_readable(&out), 0);
    buf_deinit(&out);
}

static void test_http_response_header_that_forges_a_line_is_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"A", "b\r\nC: d"}, {"A", "b\n"},    {"A", "\r"},  {"A", "\x01"},
        {"A", "\x7f"},      {"A\r\nB", "c"}, {"A:", "b"},  {"A ", "b"},
        {"", "b"},          {"A\xc3", "b"},  {"A\n", "b"},
    };
    buf out = {0};
    http_response r;
    begin(&r, &out, 200);
    const size_t before = buf_readable(&out);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(http_response_header_str(&r, bad[i][0], bad[i][1]), CARAFE_ERR_ARGUMENT);
    assert_int_equal(http_response_header(&r, slice_str("A"), slice_of("b\0c", 3)),
                     CARAFE_ERR_ARGUMENT);
    assert_int_equal(buf_readable(&out), before);
    assert_int_equal(http_response_header_str(&r, "A", "tab\there, \xc3\xa9"), 0);
    buf_deinit(&out);
}

static void test_http_response_header_of_framing_is_refused(void **state)
{
    (void)state;
    static const char *const reserved[] = {"Content-Length", "transfer-encoding", "CONNECTION",
                                           "Date"};
    buf out = {0};
    http_response r;
    begin(&r, &out, 200);
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        assert_int_equal(http_response_header_str(&r, reserved[i], "1"), CARAFE_ERR_ARGUMENT);
        assert_false(http_header_is_valid(slice_str(reserved[i]), slice_str("1")));
    }
    assert_true(http_header_is_valid(slice_str("Content-Lengthy"), slice_str("1")));
    buf_deinit(&out);
}

static void test_http_response_cancel_leaves_what_was_before(void **state)
{
    (void)state;
    buf out = {0};
    http_response r;
    assert_int_equal(buf_append_str(&out, "gone earlier"), 0);
    buf_consume(&out, 5);
    begin(&r, &out, 200);
    assert_int_equal(http_response_header_str(&r, "A", "b"), 0);
    http_response_cancel(&r);
    assert_string_equal(buf_cstr(&out), "earlier");
    buf_deinit(&out);
}

static int write_response(buf *out)
{
    http_response r;
    TRY(http_response_begin(&r, out, 599, slice_str(DATE_TEXT)));
    r.keep_alive = false;
    TRY(http_response_header_str(&r, "A", "a value that makes the buffer grow once more, and on"));
    TRY(http_response_header_str(&r, "B",
                                 "a value that makes the buffer grow once more, and on, "
                                 "as every one of the values in this response does"));
    TRY(http_response_end(&r));
    return http_error_body(out, 500, slice_str("a message"));
}

static void test_http_response_every_failing_allocation_is_reported(void **state)
{
    (void)state;
    int n = 1, result;
    do {
        buf out = {0};
        mem_fail_after(n++);
        result = write_response(&out);
        mem_fail_never();
        assert_true(result == 0 || result == CARAFE_ERR_NOMEM);
        buf_deinit(&out);
        assert_int_equal(mem_blocks_in_use(), 0);
    } while (result != 0);
    assert_true(n > 3);
}

static void test_http_chunk_head_is_hex(void **state)
{
    (void)state;
    char out[HTTP_CHUNK_HEAD_MAX];
    assert_int_equal(http_chunk_head(1, out), 3);
    assert_memory_equal(out, "1\r\n", 3);
    assert_int_equal(http_chunk_head(16, out), 4);
    assert_memory_equal(out, "10\r\n", 4);
    assert_int_equal(http_chunk_head(0xabcdef, out), 8);
    assert_memory_equal(out, "abcdef\r\n", 8);
    assert_int_equal(http_chunk_head(UINT64_MAX, out), HTTP_CHUNK_HEAD_MAX);
    assert_memory_equal(out, "ffffffffffffffff\r\n", HTTP_CHUNK_HEAD_MAX);
}

static void assert_error_body(int status, const char *message, const char *expected)
{
    buf out = {0};
    assert_int_equal(http_error_body(&out, status, slice_str(message)), 0);
    assert_string_equal(buf_cstr(&out), expected);
    buf_deinit(&out);
}

static void test_http_error_body_is_escaped_json(void **state)
{
    (void)state;
    assert_error_body(400, "bad", "{\"error\":{\"code\":400,\"message\":\"bad\"}}");
    assert_error_body(404, "", "{\"error\":{\"code\":404,\"message\":\"Not Found\"}}");
    assert_error_body(400, "a\"b\\c\n\x01\x7f\xc3\xa9",
                      "{\"error\":{\"code\":400,\"message\":\"a\\\"b\\\\c\\u000a\\u0001\\u007f"
                      "\xc3\xa9\"}}");
    assert_error_body(400, "x\xff\xc3", "{\"error\":{\"code\":400,\"message\":\"x??\"}}");
}

static void test_http_status_line_and_reason_agree(void **state)
{
    (void)state;
    for (int status = 0; status < 700; status++) {
        char expected[128];
        slice line = http_status_line(status);
        snprintf(expected, sizeof(expected), "HTTP/1.1 %d %s\r\n", status,
                 http_status_reason(status));
        if (line.data)
            assert_true(slice_is(line, expected));
        else
            assert_string_equal(http_status_reason(status), "Unknown");
    }
    assert_string_equal(http_status_reason(431), "Request Header Fields Too Large");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_response_with_length_is_as_the_rfc_shows),
        cmocka_unit_test(test_http_response_without_date_has_none),
        cmocka_unit_test(test_http_response_chunked_and_close_are_framed),
        cmocka_unit_test(test_http_response_chunked_to_1_0_becomes_close),
        cmocka_unit_test(test_http_response_connection_says_what_is_not_the_default),
        cmocka_unit_test(test_http_response_statuses_without_body_have_no_framing),
        cmocka_unit_test(test_http_response_upgrade_names_the_protocol),
        cmocka_unit_test(test_http_response_unknown_status_is_sent_and_bad_one_refused),
        cmocka_unit_test(test_http_response_header_that_forges_a_line_is_refused),
        cmocka_unit_test(test_http_response_header_of_framing_is_refused),
        cmocka_unit_test(test_http_response_cancel_leaves_what_was_before),
        cmocka_unit_test(test_http_response_every_failing_allocation_is_reported),
        cmocka_unit_test(test_http_chunk_head_is_hex),
        cmocka_unit_test(test_http_error_body_is_escaped_json),
        cmocka_unit_test(test_http_status_line_and_reason_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
