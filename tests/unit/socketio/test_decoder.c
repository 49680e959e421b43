#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "socketio/decoder.h"
#include "socketio/payload.h"

#define PLACEHOLDER(num) "{\"_placeholder\":true,\"num\":" num "}"

static sio_decoder decoder;
static sio_packet packet;
static json_t *args;

/* Feeds a copy, which is gone afterwards: only a complete text packet may borrow from it, and the
 * tests here do not look at those. */
static int feed_text(const char *text, const sio_packet_limits *limits)
{
    size_t len = strlen(text);
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy, text, len + 1);
    int rc = sio_decoder_feed_text(&decoder, copy, len, limits, &packet);
    free(copy);
    return rc;
}

static int feed_binary(const char *data, size_t len, const sio_packet_limits *limits)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, data, len);
    int rc = sio_decoder_feed_binary(&decoder, copy, len, limits, &packet, &args);
    free(copy);
    return rc;
}

static void assert_binary(const json_t *value, const char *data, size_t data_len)
{
    size_t len = 0;
    const void *bytes = sio_bytes(value, &len);
    assert_non_null(bytes);
    assert_int_equal(len, data_len);
    assert_memory_equal(bytes, data, len);
}

static int start(void **state)
{
    (void)state;
    decoder = (sio_decoder){0};
    packet = (sio_packet){0};
    args = NULL;
    return 0;
}

/* No test leaves memory behind, ours or Jansson's. */
static int finish(void **state)
{
    (void)state;
    json_decref(args);
    sio_decoder_deinit(&decoder);
    return mem_blocks_in_use() == 0 ? 0 : -1;
}

static void test_sio_decoder_text_packet_is_ready_at_once(void **state)
{
    (void)state;
    char text[] = "2/chat,[\"e\",1]";
    assert_int_equal(sio_decoder_feed_text(&decoder, text, strlen(text), NULL, &packet),
                     SIO_PACKET_READY);
    assert_true(slice_is(packet.event, "e"));
    assert_true(slice_is(packet.args_text, "[1]"));
    assert_null(decoder.partial);
    assert_int_equal(mem_blocks_in_use(), 0);
}

static void test_sio_decoder_binary_event_waits_for_its_attachments(void **state)
{
    (void)state;
    assert_int_equal(
        feed_text("52-/chat,17[\"b\\u00e9\"," PLACEHOLDER("1") ",{\"a\":" PLACEHOLDER("0") "},5]",
                  NULL),
        SIO_PACKET_PENDING);
    assert_true(sio_decoder_is_waiting(&decoder));
    assert_int_equal(feed_binary("one", 3, NULL), SIO_PACKET_PENDING);
    assert_true(sio_decoder_is_waiting(&decoder));
    assert_null(args);
    assert_int_equal(feed_binary("\0\xff", 2, NULL), SIO_PACKET_READY);
    assert_false(sio_decoder_is_waiting(&decoder));
    assert_int_equal(packet.type, SIO_BINARY_EVENT);
    assert_true(slice_is(packet.ns, "/chat"));
    assert_true(slice_is(packet.id_digits, "17"));
    assert_string_equal(packet.event.data, "b\xc3\xa9");
    assert_int_equal(json_array_size(args), 3);
    assert_binary(json_array_get(args, 0), "\0\xff", 2);
    assert_binary(json_object_get(json_array_get(args, 1), "a"), "one", 3);
    sio_decoder_release(&decoder);
    assert_null(decoder.partial);
}

static void test_sio_decoder_binary_ack_is_reassembled(void **state)
{
    (void)state;
    assert_int_equal(feed_text("61-5[" PLACEHOLDER("0") "]", NULL), SIO_PACKET_PENDING);
    assert_int_equal(feed_binary("", 0, NULL), SIO_PACKET_READY);
    assert_int_equal(packet.type, SIO_BINARY_ACK);
    assert_int_equal(packet.id, 5);
    assert_binary(json_array_get(args, 0), "", 0);
}

static void test_sio_decoder_packets_follow_each_other(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(feed_text("51-[\"e\"," PLACEHOLDER("0") "]", NULL), SIO_PACKET_PENDING);
        assert_int_equal(feed_binary("x", 1, NULL), SIO_PACKET_READY);
        json_decref(args);
        args = NULL;
        assert_int_equal(feed_text("2[\"e\"]", NULL), SIO_PACKET_READY);
        assert_null(decoder.partial);
    }
}

/* X2 */
static void test_sio_decoder_X2_no_attachments_is_ready_at_once(void **state)
{
    (void)state;
    assert_int_equal(feed_text("50-[\"x\"]", NULL), SIO_PACKET_READY);
    assert_false(sio_decoder_is_waiting(&decoder));
    assert_int_equal(feed_text("2[\"y\"]", NULL), SIO_PACKET_READY);
}

/* X3 */
static void test_sio_decoder_X3_text_instead_of_an_attachment_is_refused(void **state)
{
    (void)state;
    assert_int_equal(feed_text("51-[\"x\"]", NULL), SIO_PACKET_PENDING);
    assert_int_equal(feed_text("2[\"y\"]", NULL), CARAFE_ERR_BAD_PACKET);
    assert_non_null(packet.error);
    assert_null(decoder.partial);
}

static void test_sio_decoder_X3_also_after_some_attachments(void **state)
{
    (void)state;
    assert_int_equal(feed_text("52-[\"x\"]", NULL), SIO_PACKET_PENDING);
    assert_int_equal(feed_binary("x", 1, NULL), SIO_PACKET_PENDING);
    assert_int_equal(feed_text("51-[\"x\"]", NULL), CARAFE_ERR_BAD_PACKET);
    assert_null(decoder.partial);
}

static void test_sio_decoder_binary_with_none_pending_is_refused(void **state)
{
    (void)state;
    assert_int_equal(feed_binary("x", 1, NULL), CARAFE_ERR_BAD_PACKET);
    assert_non_null(packet.error);
    assert_int_equal(feed_text("51-[\"x\"]", NULL), SIO_PACKET_PENDING);
    assert_int_equal(feed_binary("x", 1, NULL), SIO_PACKET_READY);
    assert_int_equal(feed_binary("x", 1, NULL), CARAFE_ERR_BAD_PACKET);
    assert_null(decoder.partial);
}

/* X4 */
static void test_sio_decoder_X4_placeholder_for_no_attachment_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "51-[\"x\"," PLACEHOLDER("1") "]",   "51-[\"x\"," PLACEHOLDER("-1") "]",
        "51-[\"x\"," PLACEHOLDER("0.5") "]", "51-[\"x\"," PLACEHOLDER("\"splice\"") "]",
        "51-[\"x\"," PLACEHOLDER("1e9") "]", "51-[\"x\",{\"_placeholder\":true}]",
        "61-1[[" PLACEHOLDER("2") "]]",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(feed_text(texts[i], NULL), SIO_PACKET_PENDING);
        assert_int_equal(feed_binary("x", 1, NULL), CARAFE_ERR_BAD_PACKET);
        assert_non_null(packet.error);
        assert_null(decoder.partial);
        assert_null(args);
    }
}

static void test_sio_decoder_X4_attachment_used_twice_or_never_is_accepted(void **state)
{
    (void)state;
    assert_int_equal(feed_text("52-[\"x\"," PLACEHOLDER("1") "," PLACEHOLDER("1") "]", NULL),
                     SIO_PACKET_PENDING);
    assert_int_equal(feed_binary("a", 1, NULL), SIO_PACKET_PENDING);
    assert_int_equal(feed_binary("b", 1, NULL), SIO_PACKET_READY);
    assert_binary(json_array_get(args, 0), "b", 1);
    assert_binary(json_array_get(args, 1), "b", 1);
}

/* X5 */
static void test_sio_decoder_X5_attachment_bytes_are_limited_together(void **state)
{
    (void)state;
    sio_packet_limits limits = SIO_PACKET_LIMITS_DEFAULT;
    limits.attachment_bytes_max = 10;
    for (size_t last = 4; last <= 5; last++) {
        assert_int_equal(feed_text("53-[\"x\"]", &limits), SIO_PACKET_PENDING);
        assert_int_equal(feed_binary("123456", 6, &limits), SIO_PACKET_PENDING);
        assert_int_equal(feed_binary("12345", last, &limits),
                         last == 4 ? SIO_PACKET_PENDING : CARAFE_ERR_TOO_LARGE);
        if (last == 4)
            assert_int_equal(feed_binary("", 0, &limits), SIO_PACKET_READY);
    }
    assert_null(decoder.partial);
    assert_int_equal(feed_text("51-[\"x\"]", &limits), SIO_PACKET_PENDING);
    assert_int_equal(feed_binary("12345678901", 11, &limits), CARAFE_ERR_TOO_LARGE);
}

/* X5 */
static void test_sio_decoder_X5_one_packet_is_open_at_most(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(feed_text("510-[\"x\"]", NULL),
                         i % 2 ? CARAFE_ERR_BAD_PACKET : SIO_PACKET_PENDING);
    assert_int_equal(mem_blocks_in_use(), 0);
}

/* X1 */
static void test_sio_decoder_X1_reserved_name_never_waits(void **state)
{
    (void)state;
    assert_int_equal(feed_text("51-[\"disconnect\"," PLACEHOLDER("0") "]", NULL),
                     CARAFE_ERR_BAD_PACKET);
    assert_null(decoder.partial);
}

static void test_sio_decoder_ignored_packet_still_takes_its_attachments(void **state)
{
    (void)state;
    static const char *const texts[] = {"51-[1," PLACEHOLDER("0") "]", "61-[" PLACEHOLDER("0") "]"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(feed_text(texts[i], NULL), SIO_PACKET_PENDING);
        assert_int_equal(feed_binary("x", 1, NULL), SIO_PACKET_IGNORED);
        assert_null(args);
        assert_int_equal(feed_text("2[\"y\"]", NULL), SIO_PACKET_READY);
    }
}

static void test_sio_decoder_release_keeps_a_packet_in_progress(void **state)
{
    (void)state;
    sio_decoder_release(&decoder);
    assert_int_equal(feed_text("51-[\"x\"]", NULL), SIO_PACKET_PENDING);
    sio_decoder_release(&decoder);
    assert_true(sio_decoder_is_waiting(&decoder));
}

static void test_sio_decoder_deinit_half_way_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(feed_text("53-[\"x\"]", NULL), SIO_PACKET_PENDING);
    assert_int_equal(feed_binary("abc", 3, NULL), SIO_PACKET_PENDING);
    sio_decoder_deinit(&decoder);
    assert_int_equal(mem_blocks_in_use(), 0);
    sio_decoder_deinit(&decoder);
}

static void test_sio_decoder_each_failing_allocation_is_reported(void **state)
{
    (void)state;
    int rc = CARAFE_ERR_NOMEM;
    int n = 0;
    while (rc == CARAFE_ERR_NOMEM) {
        mem_fail_after(++n);
        rc = feed_text("51-[\"x\",[" PLACEHOLDER("0") "]]", NULL);
        if (rc == SIO_PACKET_PENDING)
            rc = feed_binary("x", 1, NULL);
        mem_fail_never();
        assert_true(rc == SIO_PACKET_READY || rc == CARAFE_ERR_NOMEM);
        if (rc == CARAFE_ERR_NOMEM)
            assert_null(decoder.partial);
    }
    assert_true(n > 5);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, finish)

int main(void)
{
    json_set_alloc_funcs(mem_alloc, mem_free); /* so that Jansson's allocations can fail too */
    const struct CMUnitTest tests[] = {
        TEST(test_sio_decoder_text_packet_is_ready_at_once),
        TEST(test_sio_decoder_binary_event_waits_for_its_attachments),
        TEST(test_sio_decoder_binary_ack_is_reassembled),
        TEST(test_sio_decoder_packets_follow_each_other),
        TEST(test_sio_decoder_X2_no_attachments_is_ready_at_once),
        TEST(test_sio_decoder_X3_text_instead_of_an_attachment_is_refused),
        TEST(test_sio_decoder_X3_also_after_some_attachments),
        TEST(test_sio_decoder_binary_with_none_pending_is_refused),
        TEST(test_sio_decoder_X4_placeholder_for_no_attachment_is_refused),
        TEST(test_sio_decoder_X4_attachment_used_twice_or_never_is_accepted),
        TEST(test_sio_decoder_X5_attachment_bytes_are_limited_together),
        TEST(test_sio_decoder_X5_one_packet_is_open_at_most),
        TEST(test_sio_decoder_X1_reserved_name_never_waits),
        TEST(test_sio_decoder_ignored_packet_still_takes_its_attachments),
        TEST(test_sio_decoder_release_keeps_a_packet_in_progress),
        TEST(test_sio_decoder_deinit_half_way_leaves_nothing),
        TEST(test_sio_decoder_each_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
