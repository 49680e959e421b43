/* What the server does with packets, good and bad: protocols of socket.io 5, section "Packet
 * encoding", and what the reference server makes of violations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "sio_memory.h"

#define PLACEHOLDER(num) "{\"_placeholder\":true,\"num\":" num "}"
#define COUNT_OF(rows) (sizeof(rows) / sizeof(*(rows)))

static sio_peer *peer;

/* ---- handlers ---- */

static int on_any(sio_ctx *ctx, void *arg)
{
    (void)arg;
    char *args = json_dumps(sio_args(ctx), JSON_COMPACT | JSON_ENCODE_ANY);
    sio_memory_note("%s %s", sio_event(ctx), args ? args : "(binary)");
    free(args);
    return SIO_OK;
}

static int on_disconnect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_memory_note("disconnect %s %s", sio_namespace(ctx), sio_reason(ctx));
    return SIO_OK;
}

static int on_binary(sio_ctx *ctx, void *arg)
{
    (void)arg;
    json_t *args = sio_args(ctx);
    assert_null(sio_args_raw(ctx, NULL));
    for (size_t i = 0; i < json_array_size(args); i++) {
        size_t len;
        const void *bytes = sio_bytes(json_array_get(args, i), &len);
        sio_memory_note("%zu:%.*s", i, bytes ? (int)len : 4, bytes ? (const char *)bytes : "none");
    }
    return SIO_OK;
}

static int on_strings(sio_ctx *ctx, void *arg)
{
    (void)arg;
    json_t *text = json_array_get(sio_args(ctx), 0);
    sio_memory_note("%zu bytes", json_string_length(text));
    return sio_emit(ctx, "back", json_incref(text));
}

static void start_with(const sio_server_options *options)
{
    sio_memory_new(options);
    for (int i = 0; i < 2; i++) {
        const char *ns = i ? "/chat" : "/";
        assert_int_equal(sio_server_on(sio_test.server, "*", on_any, .ns = ns), 0);
        assert_int_equal(sio_server_on(sio_test.server, "bin", on_binary, .ns = ns), 0);
        assert_int_equal(sio_server_on(sio_test.server, "disconnect", on_disconnect, .ns = ns), 0);
    }
    assert_int_equal(sio_server_on(sio_test.server, "str", on_strings), 0);
    sio_memory_start();
}

static void start(void)
{
    start_with(NULL);
    peer = sio_peer_new("/");
}

/* ---- rows of input ---- */

/* The session ends with a parse error, one log line, and no handler but disconnect hears of it; who
 * is connected besides is not touched. */
static void expect_violation(const char *const *packets, size_t count)
{
    sio_peer *other = sio_peer_new("/");
    peer = sio_peer_new("/");
    for (size_t i = 0; i < count; i++)
        sio_peer_send(peer, packets[i]);
    if (!buf_readable(&peer->net->out) || sio_test.log_count != 1)
        print_error("in: %s\n", packets[count - 1]);
    sio_peer_expect_closed(peer);
    sio_memory_expect("disconnect / parse error;");
    sio_memory_expect_log(1, NULL);
    sio_peer_leave(peer);
    sio_peer_send(other, "42[\"alive\"]");
    sio_memory_expect("alive [];");
    sio_peer_leave(other);
    sio_memory_expect("disconnect / transport close;");
}

static void expect_ignored(const char *packet)
{
    sio_peer_send(peer, packet);
    sio_peer_expect_open(peer);
    sio_memory_expect("");
    sio_memory_expect_log(0, NULL);
    sio_peer_send(peer, "42[\"after\"]");
    sio_memory_expect("after [];");
}

static void test_sio_packets_violations_close_the_connection(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "44\"x\"", "44{\"message\":\"x\"}", "42/chat,[\"e\"]", "41/chat,", "43/chat,1[1]",
        "42{}", "42[]", "42[null]", "42[true]", "42[[]]", "47[\"x\"]", "4", "4abc", "40chat",
        "42-1[\"e\"]", "42abc[\"e\"]", "41{}", "41[]", "40/chat,[1]", "40/chat,\"x\"",
        "40/chat,null", "4511-[\"e\"]", "45-1-[\"e\"]", "451.5-[\"e\"]", "45[\"e\"]", "42 12[\"e\"]",
        "42[\"e\"", "42[\"e\"]x", "42[\"e\",]", "451-/chat,[\"e\"," PLACEHOLDER("0") "]",
        "451-/nope,[\"e\"," PLACEHOLDER("0") "]", "42/nope,[\"e\"]", "43[1", "43{}", "430{}",
        /* X7 */
        "42[]", "42{\"a\":1}", "42\"x\"", "42", "42/ns", "42/ns,", "427", "44x", "49",
    };
    start_with(NULL);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect_violation(&rows[i], 1);
}

/* X1 */
static void test_sio_packets_reserved_names_close_the_connection(void **state)
{
    (void)state;
    static const char *const names[] = { "connect",       "connect_error", "disconnect",
                                         "disconnecting", "newListener",   "removeListener" };
    start_with(NULL);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char packets[4][100];
        snprintf(packets[0], 100, "42[\"%s\",\"made up\"]", names[i]);
        snprintf(packets[1], 100, "423[\"%s\"]", names[i]);
        snprintf(packets[2], 100, "42[\"\\u00%02x%s\",{}]", names[i][0], names[i] + 1);
        snprintf(packets[3], 100, "451-[\"%s\"," PLACEHOLDER("0") "]", names[i]);
        for (size_t k = 0; k < 4; k++)
            expect_violation(&(const char *){ packets[k] }, 1);
    }
}

static void test_sio_packets_names_that_are_only_nearly_reserved_are_events(void **state)
{
    (void)state;
    start();
    sio_peer_send(peer, "42[\"error\",1]");
    sio_peer_send(peer, "42[\"connection\"]");
    sio_peer_send(peer, "42[\"Connect\"]");
    sio_peer_send(peer, "42[\"\"]");
    sio_memory_expect("error [1];connection [];Connect []; [];");
    sio_peer_expect_open(peer);
    sio_peer_leave(peer);
}

static void test_sio_packets_ignored_rows_leave_the_connection_open(void **state)
{
    (void)state;
    static const char *const rows[] = { "42[1,2]", "43[1]", "4399[1]", "431", "43",
                                        "4318446744073709551615[1]",
                                        "4399999999999999999999[1]", "430[]" };
    start();
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect_ignored(rows[i]);
    sio_peer_leave(peer);
}

static void test_sio_packets_engineio_violations_close_the_session(void **state)
{
    (void)state;
    static const char *const rows[] = { "9", "x", "0", "" };
    start_with(NULL);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect_violation(&rows[i], 1);
}

static void test_sio_packets_all_namespaces_hear_of_a_violation(void **state)
{
    (void)state;
    start();
    sio_peer_join(peer, "/chat");
    sio_peer_send(peer, "42");
    sio_peer_expect_closed(peer);
    sio_memory_expect("disconnect /chat parse error;disconnect / parse error;");
    sio_peer_leave(peer);
}

static void test_sio_packets_behind_a_violation_are_not_read(void **state)
{
    (void)state;
    start();
    sio_peer_send_all(peer, (const char *[]){ "42[]", "42[\"e\"]" }, 2);
    sio_memory_expect("disconnect / parse error;");
    sio_memory_expect_log(1, NULL);
    sio_peer_leave(peer);
}

/* ---- accepted ---- */

static void test_sio_packets_forms_of_old_clients_are_accepted(void **state)
{
    (void)state;
    start();
    sio_peer_send(peer, "40/chat");
    assert_memory_equal(sio_peer_read(peer), "40/chat,{\"sid\":", 15);
    sio_peer_send(peer, "42/chat,[\"e\",\"x\"]");
    sio_memory_expect("e [\"x\"];");
    sio_peer_send(peer, "41/chat");
    sio_memory_expect("disconnect /chat client namespace disconnect;");
    sio_peer_expect_open(peer);
    sio_peer_send(peer, "42[\"e\"]");
    sio_memory_expect("e [];");
    /* It has left: what comes for it now is a violation. */
    sio_peer_send(peer, "42/chat,[\"e\"]");
    sio_peer_expect_closed(peer);
    sio_memory_expect("disconnect / parse error;");
    sio_peer_leave(peer);
}

/* X2 */
static void test_sio_packets_binary_event_without_attachments_is_delivered(void **state)
{
    (void)state;
    start();
    sio_peer_send(peer, "450-[\"x\"]");
    sio_peer_send(peer, "42[\"y\"]");
    sio_memory_expect("x [];y [];");
    sio_peer_expect_open(peer);
    sio_peer_leave(peer);
}

static void test_sio_packets_attachments_take_their_places(void **state)
{
    (void)state;
    start();
    sio_peer_send(peer, "452-[\"bin\"," PLACEHOLDER("1") "," PLACEHOLDER("0") ",7]");
    sio_peer_send_binary(peer, "zero", 4);
    sio_memory_expect("");
    sio_peer_send_binary(peer, "one", 3);
    sio_memory_expect("0:one;1:zero;2:none;");
    /* Of the namespace, and with an id: acked. */
    sio_peer_join(peer, "/chat");
    sio_peer_send(peer, "451-/chat,12[\"bin\"," PLACEHOLDER("0") "]");
    sio_peer_send_binary(peer, "", 0);
    sio_memory_expect("0:;");
    sio_peer_expect(peer, "43/chat,12[]");
    sio_peer_leave(peer);
}

static void test_sio_packets_heartbeat_may_come_between_attachments(void **state)
{
    (void)state;
    start();
    sio_peer_send(peer, "451-[\"bin\"," PLACEHOLDER("0") "]");
    sio_memory_pass(25000);
    sio_peer_expect(peer, "2");
    sio_peer_send(peer, "3");
    sio_peer_send_binary(peer, "a", 1);
    sio_memory_expect("0:a;");
    sio_peer_leave(peer);
}

/* X3 */
static void test_sio_packets_text_instead_of_an_attachment_closes_the_connection(void **state)
{
    (void)state;
    static const char *const rows[] = { "451-[\"bin\"," PLACEHOLDER("0") "]", "42[\"e\"]" };
    start_with(NULL);
    expect_violation(rows, 2);
}

static void test_sio_packets_binary_that_nobody_announced_closes_the_connection(void **state)
{
    (void)state;
    start();
    sio_peer_send_binary(peer, "x", 1);
    sio_peer_expect_closed(peer);
    sio_memory_expect("disconnect / parse error;");
    sio_memory_expect_log(1, "no packet announced");
    sio_peer_leave(peer);
}

/* X4 */
static void test_sio_packets_bad_placeholders_close_the_connection(void **state)
{
    (void)state;
    static const char *const nums[] = { "-1", "1", "0.5", "1e9", "18446744073709551616", "\"0\"",
                                        "null", "true" };
    start_with(NULL);
    for (size_t i = 0; i < COUNT_OF(nums); i++) {
        char packet[100];
        snprintf(packet, sizeof(packet), "451-[\"bin\"," PLACEHOLDER("%s") "]", nums[i]);
        peer = sio_peer_new("/");
        sio_peer_send(peer, packet);
        sio_peer_send_binary(peer, "x", 1);
        sio_peer_expect_closed(peer);
        sio_memory_expect("disconnect / parse error;");
        sio_memory_expect_log(1, NULL);
        sio_peer_leave(peer);
    }
}

static void test_sio_packets_attachment_used_twice_or_never_is_fine(void **state)
{
    (void)state;
    start();
    sio_peer_send(peer, "452-[\"bin\"," PLACEHOLDER("0") "," PLACEHOLDER("0") "]");
    sio_peer_send_binary(peer, "a", 1);
    sio_peer_send_binary(peer, "b", 1);
    sio_memory_expect("0:a;1:a;");
    sio_peer_send(peer, "42[\"e\",{\"_placeholder\":true,\"num\":0}]");
    sio_memory_expect("e [{\"_placeholder\":true,\"num\":0}];");
    sio_peer_leave(peer);
}

/* X5 */
static void test_sio_packets_10_attachments_are_accepted_and_11_refused(void **state)
{
    (void)state;
    static const char *const refused[] = { "4511-[\"bin\"]" };
    static const char *const digits[] = { "45100000000000000000000-[\"bin\"]",
                                          "4500000000000000000000001-[\"bin\"]" };
    start();
    sio_peer_send(peer, "4510-[\"bin\"," PLACEHOLDER("9") "]");
    for (int i = 0; i < 10; i++)
        sio_peer_send_binary(peer, (char[]){ (char)('0' + i) }, 1);
    sio_memory_expect("0:9;");
    sio_peer_leave(peer);
    sio_memory_expect("disconnect / transport close;");
    expect_violation(refused, 1);
    for (size_t i = 0; i < 2; i++)
        expect_violation(&digits[i], 1);
}

static void test_sio_packets_max_attachments_counts_to_n(void **state)
{
    (void)state;
    static const char *const refused[] = { "453-[\"bin\"]" };
    start_with(&(sio_server_options){ .size = sizeof(sio_server_options), .max_attachments = 2 });
    peer = sio_peer_new("/");
    sio_peer_send(peer, "452-[\"bin\"," PLACEHOLDER("1") "]");
    sio_peer_send_binary(peer, "a", 1);
    sio_peer_send_binary(peer, "b", 1);
    sio_memory_expect("0:b;");
    sio_peer_leave(peer);
    sio_memory_expect("disconnect / transport close;");
    expect_violation(refused, 1);
}

/* X5: 10 MB of attachments in one packet, in messages of less than the limit of each. */
static void test_sio_packets_bytes_of_attachments_are_limited(void **state)
{
    (void)state;
    enum { PIECE = 1000000 };
    char *data = calloc(1, PIECE + 1);
    start_with(&(sio_server_options){ .size = sizeof(sio_server_options),
                                      .max_http_buffer_size = 2 * PIECE });
    for (int extra = 0; extra < 2; extra++) {
        peer = sio_peer_new("/");
        sio_peer_send(peer, "4510-[\"e\"]");
        for (int i = 0; i < 10; i++)
            sio_peer_send_binary(peer, data, i < 9 ? PIECE : (size_t)(PIECE + extra));
        if (extra == 0) {
            sio_memory_expect("e [];");
            sio_peer_leave(peer);
            sio_memory_expect("disconnect / transport close;");
        } else {
            sio_peer_expect_closed(peer);
            sio_memory_expect("disconnect / parse error;");
            sio_memory_expect_log(1, "larger than the limit");
            sio_peer_leave(peer);
        }
    }
    free(data);
}

static void test_sio_packets_half_sent_by_many_leave_nothing(void **state)
{
    (void)state;
    enum { COUNT = 50 };
    sio_peer *peers[COUNT];
    start();
    sio_peer_leave(peer);
    int64_t blocks = mem_blocks_in_use();
    for (int i = 0; i < COUNT; i++) {
        peers[i] = sio_peer_new("/");
        sio_peer_send(peers[i], "453-[\"bin\"," PLACEHOLDER("0") "]");
        sio_peer_send_binary(peers[i], "abc", 3);
    }
    for (int i = 0; i < COUNT; i++)
        sio_peer_leave(peers[i]);
    /* Blocks that are kept for reuse. */
    assert_true(mem_blocks_in_use() - blocks < COUNT);
}

/* ---- X6: JSON ---- */

static void test_sio_packets_json_is_strict(void **state)
{
    (void)state;
    static const char *const rows[] = { "42[\"e\",NaN]",       "42[\"e\",Infinity]",
                                        "42[\"e\",-Infinity]", "42[\"e\",\"\\ud800\"]",
                                        "42[\"e\",\"\\udc00\\ud800\"]", "42[\"e\",'x']",
                                        "42[\"e\",01]",        "42[\"e\",1e999]",
                                        "42[\"e\",{\"a\\u0000b\":1}]" };
    start_with(NULL);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect_violation(&rows[i], 1);
}

static void test_sio_packets_of_duplicate_keys_the_last_wins(void **state)
{
    (void)state;
    start();
    sio_peer_send(peer, "42[\"e\",{\"a\":1,\"a\":2,\"__proto__\":3}]");
    sio_memory_expect("e [{\"a\":2,\"__proto__\":3}];");
    sio_peer_leave(peer);
}

static void send_nested(size_t depth)
{
    char *text = malloc(2 * depth + 20);
    size_t len = (size_t)sprintf(text, "42[\"deep\",");
    memset(text + len, '[', depth - 1);
    memset(text + len + depth - 1, ']', depth);
    sio_peer_send_len(peer, text, len + 2 * depth - 1);
    free(text);
}

static void test_sio_packets_64_levels_are_accepted_and_65_refused(void **state)
{
    (void)state;
    static const size_t refused[] = { 65, 100000 };
    start();
    send_nested(64);
    assert_memory_equal(sio_test.trace, "deep [[[[", 9);
    sio_peer_expect_open(peer);
    sio_peer_leave(peer);
    for (size_t i = 0; i < 2; i++) {
        peer = sio_peer_new("/");
        send_nested(refused[i]);
        sio_peer_expect_closed(peer);
        sio_memory_expect_log(1, "nested too deep");
        sio_peer_leave(peer);
    }
}

static void test_sio_packets_nul_in_strings_is_kept(void **state)
{
    (void)state;
    start();
    sio_peer_send(peer, "42[\"str\",\"a\\u0000b\"]");
    sio_memory_expect("3 bytes;");
    sio_peer_expect(peer, "42[\"back\",\"a\\u0000b\"]");
    sio_peer_leave(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIO_TEST(test_sio_packets_violations_close_the_connection),
        SIO_TEST(test_sio_packets_reserved_names_close_the_connection),
        SIO_TEST(test_sio_packets_names_that_are_only_nearly_reserved_are_events),
        SIO_TEST(test_sio_packets_ignored_rows_leave_the_connection_open),
        SIO_TEST(test_sio_packets_engineio_violations_close_the_session),
        SIO_TEST(test_sio_packets_all_namespaces_hear_of_a_violation),
        SIO_TEST(test_sio_packets_behind_a_violation_are_not_read),
        SIO_TEST(test_sio_packets_forms_of_old_clients_are_accepted),
        SIO_TEST(test_sio_packets_binary_event_without_attachments_is_delivered),
        SIO_TEST(test_sio_packets_attachments_take_their_places),
        SIO_TEST(test_sio_packets_heartbeat_may_come_between_attachments),
        SIO_TEST(test_sio_packets_text_instead_of_an_attachment_closes_the_connection),
        SIO_TEST(test_sio_packets_binary_that_nobody_announced_closes_the_connection),
        SIO_TEST(test_sio_packets_bad_placeholders_close_the_connection),
        SIO_TEST(test_sio_packets_attachment_used_twice_or_never_is_fine),
        SIO_TEST(test_sio_packets_10_attachments_are_accepted_and_11_refused),
        SIO_TEST(test_sio_packets_max_attachments_counts_to_n),
        SIO_TEST(test_sio_packets_bytes_of_attachments_are_limited),
        SIO_TEST(test_sio_packets_half_sent_by_many_leave_nothing),
        SIO_TEST(test_sio_packets_json_is_strict),
        SIO_TEST(test_sio_packets_of_duplicate_keys_the_last_wins),
        SIO_TEST(test_sio_packets_64_levels_are_accepted_and_65_refused),
        SIO_TEST(test_sio_packets_nul_in_strings_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
