#include "app/handshake.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static const char HEAD[] = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
                           "Host: example.org\r\n"
                           "Connection: keep-alive, Upgrade\r\n"
                           "Upgrade: websocket\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                           "Sec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Extensions: permessage-deflate\r\n"
                           "Content-Length: 0\r\n"
                           "Accept-Encoding: gzip\r\n"
                           "Pragma: no-cache\r\n"
                           "Cache-Control: no-cache\r\n"
                           "Cookie: a=1\r\n"
                           "User-Agent: test/1.0\r\n"
                           "X-Empty:\r\n"
                           "cookie: b=2; a=3\r\n"
                           "\r\n";

static http_header headers[HTTP_HEADER_COUNT_MAX];

static http_request parse(const char *text)
{
    http_request req = { .peer = { .family = AF_INET, .port = 7, .ip = { 10, 1, 2, 3 } } };
    assert_int_equal(http_head_parse(&req.head, headers, (const uint8_t *)text, strlen(text), NULL),
                     0);
    return req;
}

static void check_header(const app_handshake *h, const char *name, const char *value)
{
    slice found = app_handshake_header(h, name);
    if (!value) {
        assert_null(found.data);
        return;
    }
    assert_non_null(found.data);
    assert_true(slice_is(found, value));
}

static void test_app_handshake_keeps_target_peer_and_headers(void **state)
{
    (void)state;
    http_request req = parse(HEAD);
    app_handshake *h = app_handshake_new(&req);
    assert_non_null(h);
    assert_true(slice_is(app_handshake_path(h), "/socket.io/"));
    assert_true(slice_is(app_handshake_query(h), "EIO=4&transport=websocket"));
    check_header(h, "Host", "example.org");
    check_header(h, "hOST", "example.org");
    check_header(h, "User-Agent", "test/1.0");
    check_header(h, "X-Empty", "");
    check_header(h, "X-None", NULL);
    check_header(h, "X-Emp", NULL);
    const net_addr *peer = app_handshake_peer(h);
    assert_int_equal(peer->port, 7);
    assert_memory_equal(peer->ip, req.peer.ip, 4);
    app_handshake_free(h);
    app_handshake_free(NULL);
}

static void test_app_handshake_next_gives_repeated_headers_in_order(void **state)
{
    (void)state;
    http_request req = parse(HEAD);
    app_handshake *h = app_handshake_new(&req);
    size_t at = 0;
    slice value;
    assert_true(app_handshake_next(h, "Cookie", &at, &value));
    assert_true(slice_is(value, "a=1"));
    assert_true(app_handshake_next(h, "Cookie", &at, &value));
    assert_true(slice_is(value, "b=2; a=3"));
    assert_false(app_handshake_next(h, "Cookie", &at, &value));
    assert_false(app_handshake_next(h, "Cookie", &at, &value));
    app_handshake_free(h);
}

static void test_app_handshake_drops_what_concerns_the_one_request(void **state)
{
    (void)state;
    static const char *const dropped[] = {
        "Connection",      "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
        "Content-Length",  "Pragma",  "Cache-Control",     "Sec-WebSocket-Extensions",
        "Accept-Encoding",
    };
    http_request req = parse(HEAD);
    app_handshake *h = app_handshake_new(&req), *whole = app_handshake_new_whole(&req);
    for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++) {
        check_header(h, dropped[i], NULL);
        assert_non_null(app_handshake_header(whole, dropped[i]).data);
    }
    assert_true(app_handshake_size(h) < app_handshake_size(whole));
    app_handshake_free(h);
    app_handshake_free(whole);
}

static void test_app_handshake_is_one_small_allocation(void **state)
{
    (void)state;
    http_request req = parse(HEAD);
    int64_t blocks = mem_blocks_in_use();
    app_handshake *h = app_handshake_new(&req);
    assert_int_equal(mem_blocks_in_use(), blocks + 1);
    assert_in_range(app_handshake_size(h), 100, 200);
    app_handshake_free(h);
    assert_int_equal(mem_blocks_in_use(), blocks);
    mem_fail_after(1);
    assert_null(app_handshake_new(&req));
    mem_fail_never();
}

static void test_app_handshake_query_absent_and_empty(void **state)
{
    (void)state;
    http_request req = parse("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    app_handshake *h = app_handshake_new(&req);
    assert_null(app_handshake_query(h).data);
    app_handshake_free(h);
    req = parse("GET /? HTTP/1.1\r\nHost: x\r\n\r\n");
    h = app_handshake_new(&req);
    assert_non_null(app_handshake_query(h).data);
    assert_int_equal(app_handshake_query(h).len, 0);
    app_handshake_free(h);
}

static void test_app_request_of_handshake_accessors_work_and_answers_do_not(void **state)
{
    (void)state;
    http_request req = parse(HEAD);
    app_handshake *h = app_handshake_new(&req);
    carafe_app *app = carafe_app_new("test");
    carafe_request *r = app_request_of_handshake(app, h);
    assert_ptr_equal(carafe_current_app(r), app);
    assert_string_equal(carafe_method(r), "GET");
    assert_string_equal(carafe_path(r), "/socket.io/");
    assert_string_equal(carafe_url(r), "/socket.io/?EIO=4&transport=websocket");
    assert_string_equal(carafe_query(r, "EIO"), "4");
    assert_int_equal(json_object_size(carafe_query_all(r)), 2);
    assert_string_equal(carafe_header(r, "Cookie"), "a=1; b=2; a=3");
    assert_string_equal(carafe_cookie(r, "b"), "2");
    assert_string_equal(carafe_remote_addr(r), "10.1.2.3");
    assert_int_equal(json_object_size(carafe_g(r)), 0);
    size_t len = 9;
    assert_string_equal(carafe_body(r, &len), "");
    assert_int_equal(len, 0);
    assert_null(carafe_json(r));
    assert_null(carafe_form(r, "a"));
    assert_null(carafe_view_arg(r, "a"));
    assert_int_equal(carafe_text(r, "x"), CARAFE_ERR_STATE);
    assert_int_equal(carafe_respond_json(r, json_object()), CARAFE_ERR_STATE);
    assert_int_equal(carafe_set_header(r, "A", "b"), CARAFE_ERR_STATE);
    assert_int_equal(carafe_set_cookie(r, "a", "b"), CARAFE_ERR_STATE);
    assert_int_equal(carafe_set_status(r, 200), CARAFE_ERR_STATE);
    assert_int_equal(carafe_redirect(r, "/", 0), CARAFE_ERR_STATE);
    assert_int_equal(carafe_abort(r, 404), CARAFE_ERR_STATE);
    assert_int_equal(carafe_send_file(r, "/etc/hostname"), CARAFE_ERR_STATE);
    app_request_free(r);
    app_request_free(NULL);
    app_handshake_free(h);
    carafe_app_free(app);
}

static int64_t blocks_before;

static int count_memory(void **state)
{
    (void)state;
    blocks_before = mem_blocks_in_use();
    return 0;
}

static int check_memory(void **state)
{
    (void)state;
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, count_memory, check_memory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_app_handshake_keeps_target_peer_and_headers),
        TEST(test_app_handshake_next_gives_repeated_headers_in_order),
        TEST(test_app_handshake_drops_what_concerns_the_one_request),
        TEST(test_app_handshake_is_one_small_allocation),
        TEST(test_app_handshake_query_absent_and_empty),
        TEST(test_app_request_of_handshake_accessors_work_and_answers_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
