/* What an Engine.IO server refuses: each error code, malformed payloads, sizes, origins. Each
 * refusal is one log line, and other sessions do not notice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "eio_memory.h"

#define SEP "\x1e"
#define CODE_0 "{\"code\":0,\"message\":\"Transport unknown\"}"
#define CODE_1 "{\"code\":1,\"message\":\"Session ID unknown\"}"
#define CODE_2 "{\"code\":2,\"message\":\"Bad handshake method\"}"
#define CODE_3 "{\"code\":3,\"message\":\"Bad request\"}"
#define CODE_5 "{\"code\":5,\"message\":\"Unsupported protocol version\"}"
#define UPGRADE                                                                                    \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static char sid[SID_LEN + 1];

static const char *query_of(const char *id)
{
    static char query[128];
    snprintf(query, sizeof(query), "transport=polling&sid=%s", id);
    return query;
}

static void open_session(void)
{
    eio_memory_open(sid, NULL);
    eio_memory_expect("open;");
}

static void expect_alive(void)
{
    eio_memory_post(sid, "4alive");
    eio_memory_expect("text alive;");
    eio_memory_expect_log(0, NULL);
}

static void expect_gone(const char *trace)
{
    eio_memory_expect(trace);
    eio_memory_ask("GET", query_of(sid), "", NULL, 400, CODE_1);
    eio_memory_expect_log(1, "Session ID unknown");
}

/* ---- codes ---- */

static void check_refused(const char *method, const char *query, const char *headers,
                          const char *code)
{
    eio_memory_ask(method, query, headers, NULL, 400, code);
    assert_string_equal(http_answer_header(&eio_answered, "Content-Type"), "application/json");
    eio_memory_expect_log(1, "request refused");
}

static void test_refusals_transport_unknown(void **state)
{
    (void)state;
    static const char *const queries[] = {
        "",
        "a=b",
        "transport=",
        "transport=foo",
        "transport=POLLING",
        "transport=polling%00",
        "transport=%70olling",
        "transport=webtransport",
        "transport=__proto__",
        "transport",
        "Transport=polling",
        "transport=foo&sid=0123456789012345678901",
        "transport=polling&transport=foo",
    };
    eio_memory_start();
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        check_refused("GET", queries[i], "", CODE_0);
        check_refused("GET", queries[i], UPGRADE, CODE_0);
        check_refused("POST", queries[i], "", CODE_0);
    }
    eio_memory_expect("");
}

static void test_refusals_transport_not_enabled(void **state)
{
    (void)state;
    eio_test.options.transports = "websocket";
    eio_memory_start();
    check_refused("GET", "transport=polling", "", CODE_0);
    net_memory *client = eio_memory_open_websocket(sid, NULL);
    eio_memory_expect("open;");
    eio_memory_leave(client);
    eio_memory_expect("close transport close;");
}

static void test_refusals_sid_unknown(void **state)
{
    (void)state;
    static const char *const sids[] = {
        "",    "x", "__proto__", "constructor", "0123456789012345678901", "01234567890123456789AA",
        "%00",
    };
    char query[128];
    eio_memory_start();
    open_session();
    for (size_t i = 0; i < sizeof(sids) / sizeof(sids[0]); i++) {
        snprintf(query, sizeof(query), "transport=polling&sid=%s", sids[i]);
        check_refused("GET", query, "", CODE_1);
        check_refused("POST", query, "", CODE_1);
        check_refused("DELETE", query, "", CODE_1);
        snprintf(query, sizeof(query), "transport=websocket&sid=%s", sids[i]);
        check_refused("GET", query, UPGRADE, CODE_1);
    }
    snprintf(query, sizeof(query), "transport=polling&sid=%sx", sid);
    check_refused("GET", query, "", CODE_1);
    expect_alive();
}

static void test_refusals_method(void **state)
{
    (void)state;
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"};
    eio_memory_start();
    open_session();
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        check_refused(methods[i], "transport=polling", "", CODE_2);
        if (i > 0)
            check_refused(methods[i], query_of(sid), "", CODE_2);
    }
    expect_alive();
}

static void test_refusals_version(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "/engine.io/?transport=polling",        "/engine.io/?EIO=3&transport=polling",
        "/engine.io/?EIO=5&transport=polling",  "/engine.io/?EIO=&transport=polling",
        "/engine.io/?EIO=44&transport=polling", "/engine.io/?EIO=%34&transport=polling",
        "/engine.io/?eio=4&transport=polling",
    };
    eio_memory_start();
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        app_memory_get(&eio_test.base, "GET", targets[i], &eio_answered);
        assert_int_equal(eio_answered.status, 400);
        assert_true(http_answer_body_is(&eio_answered, CODE_5));
        eio_memory_expect_log(1, "Unsupported protocol version");
    }
}

static void test_refusals_bad_request(void **state)
{
    (void)state;
    eio_memory_start();
    open_session();
    check_refused("GET", "transport=websocket", "", CODE_3);
    check_refused("GET", "transport=polling", UPGRADE, CODE_3);
    check_refused("GET", "EIO=4&transport=polling", "", CODE_3);
    check_refused("GET", "transport=polling&transport=polling", "", CODE_3);
    check_refused("GET", "transport=polling&sid=a&sid=b", "", CODE_3);
    char query[128];
    snprintf(query, sizeof(query), "transport=websocket&sid=%s", sid);
    check_refused("GET", query, "", CODE_3);
    check_refused("GET", query_of(sid), UPGRADE, CODE_3);
    expect_alive();
}

static void test_refusals_path_below_is_not_found(void **state)
{
    (void)state;
    eio_memory_start();
    app_memory_get(&eio_test.base, "GET", "/engine.io/x?EIO=4&transport=polling", &eio_answered);
    assert_int_equal(eio_answered.status, 404);
    eio_memory_expect_log(1, "404");
}

/* ---- payloads ---- */

static void test_refusals_malformed_payload_ends_the_session(void **state)
{
    (void)state;
    static const struct {
        const char *body, *trace;
    } cases[] = {
        {"", ""},
        {SEP, ""},
        {"9", ""},
        {"x", ""},
        {"4\xff", ""}, /* the whole body is text, or nothing of it is */
        {"4a" SEP "4\xc3", ""},
        {"b!!!!", ""},
        {"bAQI", ""},
        {"4a" SEP, ""}, /* the separator's other side is an empty packet */
        {"4a" SEP SEP "4b", "text a;"},
        {"4a" SEP "4b" SEP "7", "text a;text b;"},
        {"4a" SEP "2", "text a;"}, /* in this version the server pings */
        {"2probe", ""},
        {"4a" SEP "0{}" SEP "4b", "text a;"},
    };
    eio_memory_start();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char trace[128];
        open_session();
        net_memory *poll = eio_memory_poll(sid);
        eio_memory_ask("POST", query_of(sid), "", cases[i].body, 400, CODE_3);
        eio_memory_answer(poll, 200, "1");
        eio_memory_leave(poll);
        eio_memory_expect_log(1, NULL);
        snprintf(trace, sizeof(trace), "%sclose parse error;", cases[i].trace);
        expect_gone(trace);
    }
}

static void test_refusals_octet_stream_is_answered(void **state)
{
    (void)state;
    eio_memory_start();
    open_session();
    for (int i = 0; i < 100; i++) {
        eio_memory_ask("POST", query_of(sid), "Content-Type: application/octet-stream\r\n", "4a",
                       400, i == 0 ? CODE_3 : CODE_1);
        eio_memory_expect_log(1, NULL);
    }
    expect_gone("close transport error;");
}

/* ---- sizes ---- */

/* A POST of `len` bytes by length, or in chunks. */
static int post_of_size(size_t len, bool is_chunked)
{
    char *request = malloc(len + 1024);
    assert_non_null(request);
    int at = sprintf(request, "POST /engine.io/?EIO=4&%s HTTP/1.1\r\nHost: h\r\n", query_of(sid));
    if (is_chunked)
        at += sprintf(request + at, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", len);
    else
        at += sprintf(request + at, "Content-Length: %zu\r\n\r\n", len);
    memset(request + at, '4', len);
    at += (int)len;
    if (is_chunked)
        at += sprintf(request + at, "\r\n0\r\n\r\n");
    net_memory *client = app_memory_connect(&eio_test.base);
    net_memory_feed(client, request, (size_t)at);
    eio_memory_run();
    assert_true(app_memory_read(client, &eio_answered));
    assert_false(app_memory_read(client, &(http_answer){0}));
    eio_memory_leave(client);
    free(request);
    return eio_answered.status;
}

static void test_refusals_post_over_the_limit_is_413(void **state)
{
    (void)state;
    eio_test.options.max_http_buffer_size = 1000;
    eio_test.is_silent = true;
    eio_memory_start();
    eio_memory_open(sid, NULL);
    for (int is_chunked = 0; is_chunked < 2; is_chunked++) {
        assert_int_equal(post_of_size(1000, is_chunked), 200);
        eio_memory_expect_log(0, NULL);
        assert_int_equal(post_of_size(1001, is_chunked), 413);
        assert_string_equal(http_answer_header(&eio_answered, "Connection"), "close");
        eio_memory_expect_log(1, "413");
        assert_int_equal(post_of_size(1000, is_chunked), 200); /* the session lives */
    }
    assert_int_equal(eio_test.messages, 4);
}

static void test_refusals_huge_post_without_a_session_is_413(void **state)
{
    (void)state;
    eio_memory_start();
    app_memory_ask(&eio_test.base,
                   "POST /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n"
                   "Content-Length: 1000000000\r\n\r\n",
                   &eio_answered);
    assert_int_equal(eio_answered.status, 413);
    eio_memory_expect_log(1, "413");
}

/* A scan of the body per packet would take hours, and this test be stopped long before. */
static void test_refusals_a_million_packets_take_one_pass(void **state)
{
    enum { PACKETS = 1000000, MESSAGE_EVERY = 1000 };
    (void)state;
    eio_test.options.max_http_buffer_size = 2 * PACKETS;
    eio_test.is_silent = true;
    eio_memory_start();
    eio_memory_open(sid, NULL);
    char *body = malloc(2 * PACKETS);
    assert_non_null(body);
    for (size_t i = 0; i < PACKETS; i++) {
        body[2 * i] = i % MESSAGE_EVERY ? '6' : '4';
        body[2 * i + 1] = i + 1 < PACKETS ? SEP[0] : '\0';
    }
    eio_memory_post(sid, body);
    free(body);
    assert_int_equal(eio_test.messages, PACKETS / MESSAGE_EVERY);
}

/* ---- origins ---- */

static void check_origin(const char *origin, int status)
{
    char headers[512];
    snprintf(headers, sizeof(headers), "Origin: %s\r\n", origin);
    eio_memory_ask("GET", "transport=polling", headers, NULL, status,
                   status == 200 ? NULL : CODE_3);
    if (status == 200) {
        assert_string_equal(http_answer_header(&eio_answered, "Access-Control-Allow-Origin"),
                            origin);
        assert_string_equal(http_answer_header(&eio_answered, "Vary"), "Origin");
        assert_string_equal(http_answer_header(&eio_answered, "Access-Control-Allow-Credentials"),
                            "true");
        eio_memory_expect_log(0, NULL);
    } else {
        assert_null(http_answer_header(&eio_answered, "Access-Control-Allow-Origin"));
        eio_memory_expect_log(1, "cors_allowed_origins");
    }
    strcat(headers, UPGRADE);
    eio_memory_ask("GET", "transport=websocket", headers, NULL, status == 200 ? 101 : 400, NULL);
    eio_test.log_count = 0;
}

static void test_refusals_foreign_origin(void **state)
{
    (void)state;
    eio_test.is_silent = true;
    eio_memory_start();
    check_origin("http://h", 200);
    check_origin("HTTP://H:80", 200);
    check_origin("https://h", 400);
    check_origin("http://h:81", 400);
    check_origin("http://evil.example", 400);
    check_origin("null", 400);
    check_origin("", 400);
    check_origin("http://h\xff", 400);
    assert_int_equal(eio_test.opens, 4);
}

static void test_refusals_forwarded_headers_are_ignored(void **state)
{
    (void)state;
    eio_memory_start();
    eio_memory_ask(
        "GET", "transport=polling",
        "Origin: https://front.example\r\nX-Forwarded-Proto: https\r\n"
        "X-Forwarded-Host: front.example\r\nForwarded: host=front.example;proto=https\r\n",
        NULL, 400, CODE_3);
    eio_memory_expect_log(1, "front.example");
}

static void test_refusals_foreign_page_cannot_post_into_a_session(void **state)
{
    (void)state;
    eio_memory_start();
    open_session();
    eio_memory_ask("POST", query_of(sid), "Origin: http://evil.example\r\n", "4evil", 400, CODE_3);
    eio_memory_expect_log(1, "evil.example");
    eio_memory_ask("GET", query_of(sid), "Origin: http://evil.example\r\n", NULL, 400, CODE_3);
    eio_memory_expect_log(1, "evil.example");
    eio_memory_expect("");
    expect_alive();
}

static void test_refusals_errors_have_cors_headers(void **state)
{
    (void)state;
    eio_test.options.cors_allowed_origins = "https://a.example";
    eio_test.options.cors_credentials = SIO_OFF;
    eio_memory_start();
    static const char *const queries[] = {"transport=x", "transport=polling&sid=x"};
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        check_refused("GET", queries[i], "Origin: https://a.example\r\n", i ? CODE_1 : CODE_0);
        assert_string_equal(http_answer_header(&eio_answered, "Access-Control-Allow-Origin"),
                            "https://a.example");
        assert_null(http_answer_header(&eio_answered, "Access-Control-Allow-Credentials"));
    }
}

static void test_refusals_preflight(void **state)
{
    (void)state;
    eio_test.options.cors_allowed_origins = "*";
    eio_memory_start();
    open_session();
    eio_memory_ask("OPTIONS", query_of(sid),
                   "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n"
                   "Access-Control-Request-Headers: x-a, x-b\r\n",
                   NULL, 204, "");
    assert_string_equal(http_answer_header(&eio_answered, "Access-Control-Allow-Origin"),
                        "https://a.example");
    assert_string_equal(http_answer_header(&eio_answered, "Access-Control-Allow-Methods"),
                        "OPTIONS, GET, POST");
    assert_string_equal(http_answer_header(&eio_answered, "Access-Control-Allow-Headers"),
                        "x-a, x-b");
    expect_alive();
}

static void test_refusals_origin_check_can_be_off(void **state)
{
    (void)state;
    eio_test.options.cors_allowed_origins = "";
    eio_memory_start();
    eio_memory_ask("GET", "transport=polling", "Origin: http://evil.example\r\n", NULL, 200, NULL);
    assert_null(http_answer_header(&eio_answered, "Access-Control-Allow-Origin"));
}

static bool is_let_in(const char *origin, carafe_request *req, void *arg)
{
    assert_ptr_equal(arg, &eio_test);
    const char *token = carafe_query(req, "token");
    return strcmp(origin, "https://a.example") == 0 && token && strcmp(token, "good") == 0;
}

static void test_refusals_origin_check_of_the_program_decides(void **state)
{
    (void)state;
    eio_test.options.cors_check = is_let_in;
    eio_test.options.cors_check_arg = &eio_test;
    eio_memory_start();
    static const char good[] = "transport=polling&token=good";
    eio_memory_ask("GET", good, "Origin: https://a.example\r\n", NULL, 200, NULL);
    eio_memory_ask("GET", good, "", NULL, 200, NULL);
    eio_memory_expect_log(0, NULL);
    eio_memory_ask("GET", good, "Origin: http://h\r\n", NULL, 400, CODE_3);
    eio_memory_expect_log(1, NULL);
    eio_memory_ask("GET", "transport=polling", "Origin: https://a.example\r\n", NULL, 400, CODE_3);
    eio_memory_expect_log(1, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EIO_TEST(test_refusals_transport_unknown),
        EIO_TEST(test_refusals_transport_not_enabled),
        EIO_TEST(test_refusals_sid_unknown),
        EIO_TEST(test_refusals_method),
        EIO_TEST(test_refusals_version),
        EIO_TEST(test_refusals_bad_request),
        EIO_TEST(test_refusals_path_below_is_not_found),
        EIO_TEST(test_refusals_malformed_payload_ends_the_session),
        EIO_TEST(test_refusals_octet_stream_is_answered),
        EIO_TEST(test_refusals_post_over_the_limit_is_413),
        EIO_TEST(test_refusals_huge_post_without_a_session_is_413),
        EIO_TEST(test_refusals_a_million_packets_take_one_pass),
        EIO_TEST(test_refusals_foreign_origin),
        EIO_TEST(test_refusals_forwarded_headers_are_ignored),
        EIO_TEST(test_refusals_foreign_page_cannot_post_into_a_session),
        EIO_TEST(test_refusals_errors_have_cors_headers),
        EIO_TEST(test_refusals_preflight),
        EIO_TEST(test_refusals_origin_check_can_be_off),
        EIO_TEST(test_refusals_origin_check_of_the_program_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
