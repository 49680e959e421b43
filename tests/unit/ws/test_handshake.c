#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ws/handshake.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

/* The request of RFC 6455 1.3. */
static ws_handshake rfc_request(void)
{
    return (ws_handshake){
        .method = SLICE_LITERAL("GET"),
        .http_major = 1,
        .http_minor = 1,
        .upgrade = SLICE_LITERAL("websocket"),
        .connection = SLICE_LITERAL("Upgrade"),
        .version = SLICE_LITERAL("13"),
        .key = SLICE_LITERAL(KEY),
    };
}

static void assert_status(ws_handshake request, int expected)
{
    const char *error = NULL;
    assert_int_equal(ws_handshake_check(&request, &error), expected);
    assert_int_equal(error != NULL, expected != 101);
}

static void test_handshake_check_rfc_request_is_accepted(void **state)
{
    (void)state;
    assert_status(rfc_request(), 101);
}

static void test_handshake_check_other_method_is_refused(void **state)
{
    (void)state;
    static const char *const methods[] = { "", "get", "POST", "GETT", "CONNECT" };
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        ws_handshake request = rfc_request();
        request.method = slice_str(methods[i]);
        assert_status(request, 400);
    }
}

static void test_handshake_check_http_below_1_1_is_refused(void **state)
{
    (void)state;
    ws_handshake request = rfc_request();
    request.http_minor = 0;
    assert_status(request, 400);
    request.http_major = 0;
    request.http_minor = 9;
    assert_status(request, 400);
}

static void test_handshake_check_upgrade_is_a_token_in_any_case(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int status;
    } cases[] = {
        { "WebSocket", 101 },   { "WEBSOCKET", 101 },     { "h2c, websocket", 101 },
        { " websocket ", 101 }, { "websocket,h2c", 101 }, { "websockets", 400 },
        { "web socket", 400 },  { "h2c", 400 },           { "", 400 },
        { ",,,", 400 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ws_handshake request = rfc_request();
        request.upgrade = slice_str(cases[i].value);
        assert_status(request, cases[i].status);
        assert_int_equal(ws_handshake_is_wanted(request.upgrade), cases[i].status == 101);
    }
    assert_false(ws_handshake_is_wanted(slice_str(NULL)));
}

static void test_handshake_check_connection_must_list_upgrade(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int status;
    } cases[] = {
        { "keep-alive, Upgrade", 101 }, { "upgrade", 101 },  { "a,\tUPGRADE\t,b", 101 },
        { "keep-alive", 400 },          { "upgraded", 400 }, { "", 400 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ws_handshake request = rfc_request();
        request.connection = slice_str(cases[i].value);
        assert_status(request, cases[i].status);
    }
    ws_handshake request = rfc_request();
    request.connection = slice_str(NULL);
    assert_status(request, 400);
}

static void test_handshake_check_other_version_gets_426(void **state)
{
    (void)state;
    static const char *const versions[] = { "8", "12", "14", "013", "13, 8", "x" };
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        ws_handshake request = rfc_request();
        request.version = slice_str(versions[i]);
        assert_status(request, 426);
        request.key = slice_str("another version may have another key");
        assert_status(request, 426);
    }
}

static void test_handshake_check_missing_version_is_refused(void **state)
{
    (void)state;
    ws_handshake request = rfc_request();
    request.version = slice_str(NULL);
    assert_status(request, 400);
}

static void test_handshake_check_key_must_be_base64_of_16_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int status;
    } cases[] = {
        { KEY, 101 },
        { " " KEY "\t", 101 },
        { "++++++++++//////////09==", 101 },
        { NULL, 400 },
        { "", 400 },
        { "dGhlIHNhbXBsZSBub25jZQ=", 400 },
        { "dGhlIHNhbXBsZSBub25jZQ===", 400 },
        { "dGhlIHNhbXBsZSBub25jZQAA", 400 },
        { "dGhlIHNhbXBsZSBub25jZQ=A", 400 },
        { "dGhlIHNhbXBsZSBub25j=Q==", 400 },
        { "dGhlIHNhbXBsZSBub25j-Q==", 400 },
        { "dGhlIHNhbXBsZSBub25j\xc3\xa9==", 400 },
        { KEY "," KEY, 400 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ws_handshake request = rfc_request();
        request.key = slice_str(cases[i].value);
        assert_status(request, cases[i].status);
    }
}

static void test_accept_key_rfc_vector_matches(void **state)
{
    (void)state;
    char accept[WS_ACCEPT_LEN + 1];
    assert_int_equal(ws_accept_key(SLICE_LITERAL(KEY), accept), 0);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_int_equal(ws_accept_key(SLICE_LITERAL(" " KEY " "), accept), 0);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void test_accept_key_wrong_length_is_refused(void **state)
{
    (void)state;
    char accept[WS_ACCEPT_LEN + 1];
    assert_int_equal(ws_accept_key(slice_str(NULL), accept), CARAFE_ERR_BAD_HANDSHAKE);
    assert_int_equal(ws_accept_key(SLICE_LITERAL(KEY "x"), accept), CARAFE_ERR_BAD_HANDSHAKE);
}

static const char *const supported[] = { "graphql", "mqtt", "chat" };

static void assert_chosen(const char *offered, const char *expected)
{
    const char *chosen = ws_subprotocol_choose(slice_str(offered), supported, 3);
    if (expected)
        assert_string_equal(chosen, expected);
    else
        assert_null(chosen);
}

static void test_subprotocol_choose_servers_order_decides(void **state)
{
    (void)state;
    assert_chosen("chat", "chat");
    assert_chosen("chat, mqtt", "mqtt");
    assert_chosen(" , chat,graphql ,mqtt", "graphql");
    assert_chosen("superchat, chat", "chat");
}

static void test_subprotocol_choose_no_match_gives_none(void **state)
{
    (void)state;
    assert_chosen(NULL, NULL);
    assert_chosen("", NULL);
    assert_chosen(",,", NULL);
    assert_chosen("Chat, cha, chatt, ch at", NULL);
    assert_null(ws_subprotocol_choose(slice_str("chat"), NULL, 0));
}

static void test_subprotocol_choose_hostile_header_is_read_once(void **state)
{
    (void)state;
    static char header[65536];
    static const char fillers[] = { ',', ' ', '\t', 'x', '"' };
    for (size_t i = 0; i < sizeof(fillers); i++) {
        memset(header, fillers[i], sizeof(header));
        memcpy(header + sizeof(header) - 5, ",mqtt", 5);
        /* 500 times 64 KB would take minutes, were it quadratic. */
        for (int round = 0; round < 500; round++)
            assert_string_equal(
                ws_subprotocol_choose(slice_of(header, sizeof(header)), supported, 3), "mqtt");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake_check_rfc_request_is_accepted),
        cmocka_unit_test(test_handshake_check_other_method_is_refused),
        cmocka_unit_test(test_handshake_check_http_below_1_1_is_refused),
        cmocka_unit_test(test_handshake_check_upgrade_is_a_token_in_any_case),
        cmocka_unit_test(test_handshake_check_connection_must_list_upgrade),
        cmocka_unit_test(test_handshake_check_other_version_gets_426),
        cmocka_unit_test(test_handshake_check_missing_version_is_refused),
        cmocka_unit_test(test_handshake_check_key_must_be_base64_of_16_bytes),
        cmocka_unit_test(test_accept_key_rfc_vector_matches),
        cmocka_unit_test(test_accept_key_wrong_length_is_refused),
        cmocka_unit_test(test_subprotocol_choose_servers_order_decides),
        cmocka_unit_test(test_subprotocol_choose_no_match_gives_none),
        cmocka_unit_test(test_subprotocol_choose_hostile_header_is_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
