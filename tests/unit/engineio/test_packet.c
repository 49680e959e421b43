#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "engineio/packet.h"

#define SEP "\x1e"

/* An exact copy on the heap, so that the address sanitizer sees a read beyond its end. */
static uint8_t *copy_of(const char *text, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    return copy;
}

static int decode(const char *text, size_t len)
{
    uint8_t *copy = copy_of(text, len);
    eio_packet packet;
    int rc = eio_packet_decode(copy, len, &packet);
    free(copy);
    return rc;
}

/* Decodes a whole body; returns the number of packets or the first error. */
static ptrdiff_t count_packets(const char *text, size_t len)
{
    uint8_t *body = copy_of(text, len);
    size_t at = 0;
    ptrdiff_t result = 0;
    do {
        eio_packet packet;
        ptrdiff_t n = eio_payload_next(body + at, len - at, &packet);
        if (n < 0) {
            result = n;
            break;
        }
        at += (size_t)n;
        result++;
    } while (at < len);
    free(body);
    return result;
}

static void assert_packet(const eio_packet *packet, eio_packet_type type, const char *data,
                          size_t data_len)
{
    assert_int_equal(packet->type, type);
    assert_int_equal(packet->data_len, data_len);
    if (data_len)
        assert_memory_equal(packet->data, data, data_len);
}

static void test_eio_packet_decode_each_type_is_known(void **state)
{
    (void)state;
    for (int type = EIO_OPEN; type <= EIO_NOOP; type++) {
        uint8_t frame[] = {(uint8_t)('0' + type), 'h', 'i'};
        eio_packet packet;
        assert_int_equal(eio_packet_decode(frame, sizeof(frame), &packet), 0);
        assert_packet(&packet, (eio_packet_type)type, "hi", 2);
        assert_false(packet.is_binary);
        assert_int_equal(eio_packet_decode(frame, 1, &packet), 0);
        assert_packet(&packet, (eio_packet_type)type, "", 0);
    }
}

static void test_eio_packet_decode_every_other_first_byte_is_refused(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char text[2] = {(char)byte, 'x'};
        bool is_type = byte >= '0' && byte <= '6';
        assert_int_equal(decode(text, 2), is_type ? 0 : CARAFE_ERR_BAD_PACKET);
    }
}

static void test_eio_packet_decode_empty_frame_is_refused(void **state)
{
    (void)state;
    assert_int_equal(decode("", 0), CARAFE_ERR_BAD_PACKET);
}

static void test_eio_packet_decode_failure_leaves_out_alone(void **state)
{
    (void)state;
    eio_packet packet = {EIO_PONG, true, NULL, 77};
    uint8_t frame[] = "bAQ";
    assert_int_equal(eio_packet_decode(frame, 3, &packet), CARAFE_ERR_BAD_PACKET);
    assert_int_equal(packet.type, EIO_PONG);
    assert_int_equal(packet.data_len, 77);
}

static void test_eio_packet_decode_binary_in_text_frame_is_a_message(void **state)
{
    (void)state;
    uint8_t frame[] = "bAQID";
    eio_packet packet;
    assert_int_equal(eio_packet_decode(frame, 5, &packet), 0);
    assert_true(packet.is_binary);
    assert_packet(&packet, EIO_MESSAGE, "\x01\x02\x03", 3);
    assert_int_equal(eio_packet_decode(frame, 1, &packet), 0);
    assert_true(packet.is_binary);
    assert_packet(&packet, EIO_MESSAGE, "", 0);
}

static void test_eio_packet_decode_bad_base64_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "bA",   "bAQ",   "bAQID=", "bAQ=D",  "b====",   "bAQ==AQ==", "bAQI\n", "bAQI-",
        "bAQ=", "bAR==", "bAQJ=",  "b AQID", "bAQIDAQ", "bAQID\x1e", "bAQI_",  "bAQI\xc3",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(decode(bad[i], strlen(bad[i])), CARAFE_ERR_BAD_PACKET);
}

static void test_eio_payload_next_spec_vector_gives_its_packets(void **state)
{
    (void)state;
    static const char text[] = "4hello" SEP "bAQID" SEP "4world";
    size_t len = sizeof(text) - 1;
    uint8_t *body = copy_of(text, len);
    eio_packet packet;
    assert_int_equal(eio_payload_next(body, len, &packet), 7);
    assert_packet(&packet, EIO_MESSAGE, "hello", 5);
    assert_int_equal(eio_payload_next(body + 7, len - 7, &packet), 6);
    assert_true(packet.is_binary);
    assert_packet(&packet, EIO_MESSAGE, "\x01\x02\x03", 3);
    assert_int_equal(eio_payload_next(body + 13, len - 13, &packet), 6);
    assert_false(packet.is_binary);
    assert_packet(&packet, EIO_MESSAGE, "world", 5);
    free(body);
}

static void test_eio_payload_next_binary_event_gives_text_and_attachments(void **state)
{
    (void)state;
    static const char text[] = "452-1[\"bin\",{\"_placeholder\":true,\"num\":0},"
                               "{\"_placeholder\":true,\"num\":1}]" SEP "bAQID" SEP "b/w==";
    assert_int_equal(count_packets(text, sizeof(text) - 1), 3);
}

static void test_eio_payload_next_empty_packet_is_refused(void **state)
{
    (void)state;
    assert_int_equal(count_packets("", 0), CARAFE_ERR_BAD_PACKET);
    assert_int_equal(count_packets(SEP, 1), CARAFE_ERR_BAD_PACKET);
    assert_int_equal(count_packets(SEP "4a", 3), CARAFE_ERR_BAD_PACKET);
    assert_int_equal(count_packets("4a" SEP SEP "4b", 6), CARAFE_ERR_BAD_PACKET);
    assert_int_equal(count_packets("4a" SEP, 3), CARAFE_ERR_BAD_PACKET);
}

static void test_eio_payload_next_unknown_type_is_refused(void **state)
{
    (void)state;
    assert_int_equal(count_packets("7", 1), CARAFE_ERR_BAD_PACKET);
    assert_int_equal(count_packets("abc", 3), CARAFE_ERR_BAD_PACKET);
    assert_int_equal(count_packets("4a" SEP "x", 4), CARAFE_ERR_BAD_PACKET);
}

static void test_eio_payload_next_every_truncation_is_a_count_or_an_error(void **state)
{
    (void)state;
    static const char text[] = "4hello" SEP "bAQID" SEP "2probe" SEP "b/w==";
    for (size_t len = 0; len < sizeof(text); len++) {
        ptrdiff_t n = count_packets(text, len);
        assert_true(n == CARAFE_ERR_BAD_PACKET || (n >= 1 && n <= 4));
    }
}

/* CVE of a quadratic decoder: a million packets in one body. */
static void test_eio_payload_next_a_million_packets_take_linear_time(void **state)
{
    (void)state;
    enum { COUNT = 1000000 };
    char *text = malloc(2 * COUNT);
    assert_non_null(text);
    for (size_t i = 0; i < COUNT; i++)
        memcpy(text + 2 * i, "3" SEP, 2);
    assert_int_equal(count_packets(text, 2 * COUNT - 1), COUNT);
    free(text);
}

static void test_eio_packet_encode_fits_exactly_or_is_refused(void **state)
{
    (void)state;
    const eio_packet packet = {EIO_MESSAGE, false, (const uint8_t *)"hello", 5};
    uint8_t dst[6] = {0};
    assert_int_equal(eio_packet_encode(&packet, dst, 5), CARAFE_ERR_NOSPACE);
    assert_int_equal(eio_packet_encode(&packet, dst, 0), CARAFE_ERR_NOSPACE);
    assert_int_equal(dst[0], 0);
    assert_int_equal(eio_packet_encode(&packet, dst, 6), 6);
    assert_memory_equal(dst, "4hello", 6);
}

static void test_eio_packet_encode_packet_without_data_is_its_type(void **state)
{
    (void)state;
    const eio_packet packet = {EIO_NOOP, false, NULL, 0};
    uint8_t dst[1];
    assert_int_equal(eio_packet_encode(&packet, dst, 1), 1);
    assert_int_equal(dst[0], '6');
}

static void test_eio_payload_append_joins_with_separators(void **state)
{
    (void)state;
    static const char expected[] = "4hello" SEP "bAQID" SEP "6" SEP "b" SEP "4world";
    const eio_packet packets[] = {
        {EIO_MESSAGE, false, (const uint8_t *)"hello", 5},
        {EIO_MESSAGE, true, (const uint8_t *)"\x01\x02\x03", 3},
        {EIO_NOOP, false, NULL, 0},
        {EIO_MESSAGE, true, NULL, 0},
        {EIO_MESSAGE, false, (const uint8_t *)"world", 5},
    };
    buf dst = {0};
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++)
        assert_int_equal(eio_payload_append(&dst, &packets[i]), 0);
    assert_int_equal(buf_readable(&dst), sizeof(expected) - 1);
    assert_memory_equal(buf_head(&dst), expected, sizeof(expected) - 1);
    buf_deinit(&dst);
}

static void test_eio_payload_append_consumed_bytes_need_no_separator(void **state)
{
    (void)state;
    const eio_packet noop = {EIO_NOOP, false, NULL, 0};
    buf dst = {0};
    assert_int_equal(buf_append_str(&dst, "sent"), 0);
    buf_consume(&dst, 4);
    assert_int_equal(eio_payload_append(&dst, &noop), 0);
    assert_int_equal(buf_readable(&dst), 1);
    buf_deinit(&dst);
}

static void test_eio_payload_append_without_memory_changes_nothing(void **state)
{
    (void)state;
    const eio_packet noop = {EIO_NOOP, false, NULL, 0};
    static const uint8_t data[500];
    const eio_packet binary = {EIO_MESSAGE, true, data, sizeof(data)};
    buf dst = {0};
    assert_int_equal(eio_payload_append(&dst, &noop), 0);
    mem_fail_after(1);
    assert_int_equal(eio_payload_append(&dst, &binary), CARAFE_ERR_NOMEM);
    mem_fail_never();
    assert_int_equal(buf_readable(&dst), 1);
    buf_deinit(&dst);
}

static void test_eio_payload_round_trip_gives_the_bytes(void **state)
{
    (void)state;
    uint8_t data[256];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7);
    buf body = {0};
    for (size_t len = 0; len < sizeof(data); len++) {
        const eio_packet binary = {EIO_MESSAGE, true, data, len};
        assert_int_equal(eio_payload_append(&body, &binary), 0);
    }
    size_t at = 0;
    for (size_t len = 0; len < sizeof(data); len++) {
        eio_packet packet;
        ptrdiff_t n = eio_payload_next(body.data + at, body.len - at, &packet);
        assert_true(n > 0);
        at += (size_t)n;
        assert_true(packet.is_binary);
        assert_packet(&packet, EIO_MESSAGE, (const char *)data, len);
    }
    assert_int_equal(at, body.len);
    buf_deinit(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eio_packet_decode_each_type_is_known),
        cmocka_unit_test(test_eio_packet_decode_every_other_first_byte_is_refused),
        cmocka_unit_test(test_eio_packet_decode_empty_frame_is_refused),
        cmocka_unit_test(test_eio_packet_decode_failure_leaves_out_alone),
        cmocka_unit_test(test_eio_packet_decode_binary_in_text_frame_is_a_message),
        cmocka_unit_test(test_eio_packet_decode_bad_base64_is_refused),
        cmocka_unit_test(test_eio_payload_next_spec_vector_gives_its_packets),
        cmocka_unit_test(test_eio_payload_next_binary_event_gives_text_and_attachments),
        cmocka_unit_test(test_eio_payload_next_empty_packet_is_refused),
        cmocka_unit_test(test_eio_payload_next_unknown_type_is_refused),
        cmocka_unit_test(test_eio_payload_next_every_truncation_is_a_count_or_an_error),
        cmocka_unit_test(test_eio_payload_next_a_million_packets_take_linear_time),
        cmocka_unit_test(test_eio_packet_encode_fits_exactly_or_is_refused),
        cmocka_unit_test(test_eio_packet_encode_packet_without_data_is_its_type),
        cmocka_unit_test(test_eio_payload_append_joins_with_separators),
        cmocka_unit_test(test_eio_payload_append_consumed_bytes_need_no_separator),
        cmocka_unit_test(test_eio_payload_append_without_memory_changes_nothing),
        cmocka_unit_test(test_eio_payload_round_trip_gives_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
