#include "frame_recording.h"

/* Encoding */

static void test_ws_frame_head_encode_every_length_form_is_the_shortest(void **state)
{
    (void)state;
    static const struct {
        uint64_t len;
        const char *head;
        size_t head_len;
    } cases[] = {
        { 0, "\x82\x00", 2 },
        { 1, "\x82\x01", 2 },
        { 125, "\x82\x7d", 2 },
        { 126, "\x82\x7e\x00\x7e", 4 },
        { 127, "\x82\x7e\x00\x7f", 4 },
        { 65535, "\x82\x7e\xff\xff", 4 },
        { 65536, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10 },
        { INT64_MAX, "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 10 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t head[WS_HEAD_SIZE_MAX];
        assert_int_equal(ws_frame_head_encode(head, WS_BINARY, WS_FIN, cases[i].len),
                         cases[i].head_len);
        assert_memory_equal(head, cases[i].head, cases[i].head_len);
    }
}

static void test_ws_frame_head_encode_flags_and_opcode_make_byte_0(void **state)
{
    (void)state;
    uint8_t head[WS_HEAD_SIZE_MAX];
    ws_frame_head_encode(head, WS_TEXT, 0, 3);
    assert_int_equal(head[0], 0x01);
    ws_frame_head_encode(head, WS_CONTINUATION, WS_FIN, 2);
    assert_int_equal(head[0], 0x80);
    ws_frame_head_encode(head, WS_TEXT, WS_FIN | WS_RSV1, 7);
    assert_int_equal(head[0], 0xc1);
    ws_frame_head_encode(head, WS_PONG, WS_FIN, 0);
    assert_int_equal(head[0], 0x8a);
}

static void test_ws_close_payload_encode_holds_code_and_reason(void **state)
{
    (void)state;
    uint8_t payload[WS_CONTROL_PAYLOAD_MAX];
    assert_int_equal(ws_close_payload_encode(payload, 0, slice_str(NULL)), 0);
    assert_int_equal(ws_close_payload_encode(payload, 1000, slice_str(NULL)), 2);
    assert_memory_equal(payload, "\x03\xe8", 2);
    assert_int_equal(ws_close_payload_encode(payload, 4999, slice_str("bye")), 5);
    assert_memory_equal(payload,
                        "\x13\x87"
                        "bye",
                        5);
}

static void test_ws_close_payload_encode_reason_at_and_above_its_limit(void **state)
{
    (void)state;
    uint8_t payload[WS_CONTROL_PAYLOAD_MAX];
    char reason[WS_CLOSE_REASON_MAX + 1];
    memset(reason, 'r', sizeof(reason));
    for (size_t len = 1; len <= WS_CLOSE_REASON_MAX; len += 61)
        assert_int_equal(ws_close_payload_encode(payload, 1000, slice_of(reason, len)), 2 + len);
    memset(payload, 0xee, sizeof(payload));
    assert_int_equal(
        ws_close_payload_encode(payload, 1000, slice_of(reason, WS_CLOSE_REASON_MAX + 1)),
        CARAFE_ERR_TOO_LARGE);
    assert_int_equal(payload[0], 0xee);
}

static void test_ws_close_payload_encode_what_the_peer_would_refuse_is_refused(void **state)
{
    (void)state;
    uint8_t payload[WS_CONTROL_PAYLOAD_MAX];
    assert_int_equal(ws_close_payload_encode(payload, 1005, slice_str("")), CARAFE_ERR_ARGUMENT);
    assert_int_equal(ws_close_payload_encode(payload, 0, slice_str("x")), CARAFE_ERR_ARGUMENT);
    assert_int_equal(ws_close_payload_encode(payload, 66536, slice_str("")), CARAFE_ERR_ARGUMENT);
    assert_int_equal(ws_close_payload_encode(payload, 1000, slice_str("\xff")),
                     CARAFE_ERR_BAD_UTF8);
    assert_int_equal(ws_close_payload_encode(payload, 1000, slice_str("\xc3")),
                     CARAFE_ERR_BAD_UTF8);
}

static void test_ws_close_code_is_legal_for_assigned_and_private_codes_only(void **state)
{
    (void)state;
    static const unsigned ranges[][2] = { { 1000, 1003 }, { 1007, 1014 }, { 3000, 4999 } };
    for (unsigned code = 0; code <= 70000; code++) {
        bool is_legal = false;
        for (size_t i = 0; i < 3; i++)
            is_legal = is_legal || (code >= ranges[i][0] && code <= ranges[i][1]);
        assert_int_equal(ws_close_code_is_legal(code), is_legal);
    }
}

static void test_ws_mask_every_length_and_alignment_is_xored_and_ored(void **state)
{
    (void)state;
    static const uint8_t mask[4] = { 0x80, 0x01, 0xfe, 0x55 };
    uint8_t bytes[128];
    for (size_t at = 0; at < 8; at++) {
        for (size_t len = 0; at + len < sizeof(bytes); len++) {
            for (size_t high = 0; high <= len; high++) {
                for (size_t i = 0; i < sizeof(bytes); i++)
                    bytes[i] = 'a' + i % 26;
                for (size_t i = 0; i < len; i++)
                    bytes[at + i] ^= mask[i % 4];
                /* One byte, or none, is not ASCII. */
                if (high < len)
                    bytes[at + high] ^= 0x80;
                uint64_t seen = ws_mask(bytes + at, len, mask);
                assert_int_equal((seen & 0x8080808080808080ULL) != 0, high < len);
                if (high < len)
                    bytes[at + high] ^= 0x80;
                for (size_t i = 0; i < sizeof(bytes); i++)
                    assert_int_equal(bytes[i], 'a' + i % 26);
            }
        }
    }
}

/* Messages */

static void test_ws_decoder_rfc_vectors_are_decoded(void **state)
{
    (void)state;
    /* RFC 6455 5.7: a masked text, a masked pong. */
    put_bytes("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    put_bytes("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    decode_whole();
    assert_int_equal(got.count, 2);
    assert_message(0, WS_TEXT, "Hello", 5);
    assert_control(1, WS_EVENT_PONG, "Hello");
    assert_true(got.is_idle);
}

static void test_ws_decoder_every_length_is_decoded_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const size_t lens[] = { 0, 1, 2, 7, 8, 9, 124, 125, 126, 127, 128, 65535, 65536, 70000 };
    static const size_t pieces[] = { 1, 2, 3, 5, 64, 1000, 65536, FOREVER };
    static uint8_t payload[70000];
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i * 31 + i / 256);
    for (size_t l = 0; l < sizeof(lens) / sizeof(lens[0]); l++) {
        wire_len = 0;
        put_frame(WS_FIN | WS_BINARY, payload, lens[l]);
        put_text(WS_FIN | WS_PING, "after");
        for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
            decode(&plain_limits, 0, pieces[p]);
            assert_int_equal(got.count, 2);
            assert_message(0, WS_BINARY, payload, lens[l]);
            assert_control(1, WS_EVENT_PING, "after");
            assert_true(got.is_idle);
        }
    }
}

static void test_ws_decoder_whole_frame_is_delivered_in_place(void **state)
{
    (void)state;
    put_text(WS_FIN | WS_TEXT, "42[\"message\",{\"text\":\"hello, this is some text\"}]");
    put_frame(WS_FIN | WS_BINARY, "\xff\0\x80", 3);
    put_text(WS_FIN | WS_PING, "p");
    ws_decoder d = { 0 };
    ws_event event;
    uint8_t *at = wire;
    size_t len = wire_len;
    mem_fail_after(1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ws_decoder_next(&d, &plain_limits, &at, &len, &event), 1);
        assert_ptr_equal(event.data + event.len, at);
    }
    assert_int_equal(ws_decoder_next(&d, &plain_limits, &at, &len, &event), 0);
    assert_null(d.message);
}

static void test_ws_decoder_fragments_make_one_message(void **state)
{
    (void)state;
    put_text(WS_TEXT, "Hel");
    put_text(WS_CONTINUATION, "");
    put_text(WS_CONTINUATION, "lo");
    put_text(WS_FIN | WS_CONTINUATION, ", world");
    put_frame(WS_BINARY, NULL, 0);
    put_frame(WS_FIN | WS_CONTINUATION, "\xff", 1);
    put_frame(WS_BINARY, NULL, 0);
    put_frame(WS_FIN | WS_CONTINUATION, NULL, 0);
    for (size_t first = 0; first <= wire_len; first++) {
        decode(&plain_limits, first, first % 2 ? 1 : FOREVER);
        assert_int_equal(got.count, 3);
        assert_message(0, WS_TEXT, "Hello, world", 12);
        assert_message(1, WS_BINARY, "\xff", 1);
        assert_message(2, WS_BINARY, "", 0);
        assert_true(got.is_idle);
    }
}

static void test_ws_decoder_control_frames_may_come_between_fragments(void **state)
{
    (void)state;
    put_text(WS_FIN | WS_PING, "");
    put_text(WS_TEXT, "one \xe2\x82");
    put_text(WS_FIN | WS_PING, "ping \xff");
    put_text(WS_FIN | WS_PONG, "pong");
    put_text(WS_CONTINUATION, "\xac two");
    put_text(WS_FIN | WS_PING, "again");
    put_text(WS_FIN | WS_CONTINUATION, " three");
    put_text(WS_FIN | WS_CLOSE, "\x03\xe8"
                                "bye");
    for (size_t first = 0; first <= wire_len; first++) {
        decode(&plain_limits, first, first % 2 ? 1 : FOREVER);
        assert_int_equal(got.count, 6);
        assert_control(0, WS_EVENT_PING, "");
        assert_control(1, WS_EVENT_PING, "ping \xff");
        assert_control(2, WS_EVENT_PONG, "pong");
        assert_control(3, WS_EVENT_PING, "again");
        assert_message(4, WS_TEXT, "one \xe2\x82\xac two three", 17);
        assert_control(5, WS_EVENT_CLOSE, "bye");
        assert_int_equal(got.events[5].close_code, 1000);
    }
}

static void test_ws_decoder_every_truncation_gives_no_event_and_no_error(void **state)
{
    (void)state;
    char payload[300];
    memset(payload, 'p', sizeof(payload));
    put_frame(WS_FIN | WS_TEXT, payload, sizeof(payload));
    size_t whole = wire_len;
    for (size_t len = 0; len < whole; len++) {
        wire_len = len;
        for (size_t piece = 1; piece < 200; piece *= 3) {
            decode(&plain_limits, 0, piece);
            assert_int_equal(got.count, 0);
            assert_int_equal(got.result, 0);
            assert_int_equal(got.is_idle, len == 0);
        }
    }
}

static void test_ws_decoder_rsv1_marks_the_message_when_negotiated(void **state)
{
    (void)state;
    /* RFC 7692 7.2.3.1: "Hello", compressed. It is no UTF-8, and need not be. */
    put_text(WS_FIN | WS_RSV1 | WS_TEXT, "\xf2\x48\xcd\xc9\xc9\x07");
    put_text(WS_RSV1 | WS_TEXT, "\xf2\x48");
    put_text(WS_FIN | WS_CONTINUATION, "\xcd");
    put_text(WS_FIN | WS_TEXT, "plain");
    for (size_t piece = 1; piece < 40; piece++) {
        decode(&deflate_limits, 0, piece);
        assert_int_equal(got.count, 3);
        assert_true(got.events[0].is_compressed);
        assert_message(0, WS_TEXT, "\xf2\x48\xcd\xc9\xc9\x07", 6);
        assert_true(got.events[1].is_compressed);
        assert_message(1, WS_TEXT, "\xf2\x48\xcd", 3);
        assert_false(got.events[2].is_compressed);
    }
}

/* Close frames */

static void test_ws_decoder_close_with_and_without_payload(void **state)
{
    (void)state;
    put_text(WS_FIN | WS_CLOSE, "");
    decode_whole();
    assert_control(0, WS_EVENT_CLOSE, "");
    assert_int_equal(got.events[0].close_code, WS_CLOSE_NO_STATUS);

    wire_len = 0;
    char longest[WS_CONTROL_PAYLOAD_MAX + 1] = "\x0b\xb8";
    memset(longest + 2, 'r', WS_CLOSE_REASON_MAX);
    put_text(WS_FIN | WS_CLOSE, longest);
    for (size_t piece = 1; piece < 140; piece++) {
        decode(&plain_limits, 0, piece);
        assert_int_equal(got.count, 1);
        assert_control(0, WS_EVENT_CLOSE, longest + 2);
        assert_int_equal(got.events[0].close_code, 3000);
    }
}

static void test_ws_decoder_close_every_code_is_accepted_or_1002(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 65536; code++) {
        uint8_t payload[] = { (uint8_t)(code >> 8), (uint8_t)code };
        wire_len = 0;
        put_frame(WS_FIN | WS_CLOSE, payload, 2);
        decode_whole();
        bool is_legal = ws_close_code_is_legal(code);
        assert_int_equal(got.count, 1);
        assert_int_equal(got.events[0].type, is_legal ? WS_EVENT_CLOSE : WS_EVENT_ERROR);
        assert_int_equal(got.events[0].close_code, is_legal ? code : 1002);
    }
}

static void test_ws_decoder_close_with_half_a_code_is_1002(void **state)
{
    (void)state;
    put_text(WS_FIN | WS_CLOSE, "\x03");
    assert_fails(&plain_limits, 0, 1002, "close frame with half a code");
}

static void test_ws_decoder_close_with_illegal_code_is_1002(void **state)
{
    (void)state;
    put_text(WS_FIN | WS_CLOSE, "\x03\xed"
                                "reason \xff");
    assert_fails(&plain_limits, 0, 1002, "illegal close code");
}

static void test_ws_decoder_close_with_bad_reason_is_1007(void **state)
{
    (void)state;
    put_text(WS_FIN | WS_CLOSE, "\x03\xe8 \xc3");
    assert_fails(&plain_limits, 0, 1007, "close reason is not UTF-8");
}

static void test_ws_decoder_bytes_behind_close_are_dropped(void **state)
{
    (void)state;
    put_text(WS_TEXT, "an open message");
    put_text(WS_FIN | WS_CLOSE, "\x03\xe8");
    put_text(WS_FIN | WS_TEXT, "too late");
    put_bytes("\xff\xff\xff", 3);
    for (size_t piece = 1; piece < 60; piece++) {
        decode(&plain_limits, 0, piece);
        assert_int_equal(got.count, 1);
        assert_control(0, WS_EVENT_CLOSE, "");
        assert_int_equal(got.result, 0);
        assert_false(got.is_idle);
    }
}

/* Refusals */

static void test_ws_decoder_unmasked_frame_is_1002(void **state)
{
    (void)state;
    put_bytes("\x81\x05Hello", 7);
    assert_fails(&plain_limits, 0, 1002, "frame is not masked");
    /* Two bytes are enough to know. */
    wire_len = 2;
    assert_fails(&plain_limits, 0, 1002, "frame is not masked");
}

static void test_ws_decoder_reserved_opcodes_are_1002(void **state)
{
    (void)state;
    for (unsigned opcode = 0; opcode < 16; opcode++) {
        bool is_known = opcode <= 2 || (opcode >= 8 && opcode <= 10);
        if (is_known)
            continue;
        wire_len = 0;
        put_text(WS_FIN | opcode, "x");
        assert_fails(&plain_limits, 0, 1002,
                     opcode < 8 ? "reserved opcode" : "reserved control opcode");
    }
}

static void test_ws_decoder_rsv_bits_are_1002(void **state)
{
    (void)state;
    for (unsigned rsv = 0x10; rsv <= 0x70; rsv += 0x10) {
        wire_len = 0;
        put_text(WS_FIN | rsv | WS_TEXT, "x");
        assert_fails(&plain_limits, 0, 1002,
                     rsv == WS_RSV1 ? "RSV1 is set" : "RSV2 or RSV3 is set");
        if (rsv != WS_RSV1)
            assert_fails(&deflate_limits, 0, 1002, "RSV2 or RSV3 is set");
    }
}

static void test_ws_decoder_rsv1_on_continuation_or_control_is_1002(void **state)
{
    (void)state;
    put_text(WS_FIN | WS_RSV1 | WS_PING, "x");
    assert_fails(&deflate_limits, 0, 1002, "RSV1 is set");
    wire_len = 0;
    put_text(WS_RSV1 | WS_TEXT, "x");
    put_text(WS_FIN | WS_RSV1 | WS_CONTINUATION, "x");
    assert_fails(&deflate_limits, 0, 1002, "RSV1 is set");
}

static void test_ws_decoder_continuation_without_start_is_1002(void **state)
{
    (void)state;
    put_text(WS_FIN | WS_TEXT, "whole");
    put_text(WS_FIN | WS_CONTINUATION, "x");
    assert_fails(&plain_limits, 1, 1002, "continuation without a message");
}

static void test_ws_decoder_new_message_inside_another_is_1002(void **state)
{
    (void)state;
    put_text(WS_TEXT, "");
    put_text(WS_FIN | WS_BINARY, "x");
    assert_fails(&plain_limits, 0, 1002, "new message inside a fragmented one");
}

static void test_ws_decoder_fragmented_control_frame_is_1002(void **state)
{
    (void)state;
    put_text(WS_PING, "x");
    assert_fails(&plain_limits, 0, 1002, "control frame is fragmented");
}

static void test_ws_decoder_control_frame_at_and_above_125_bytes(void **state)
{
    (void)state;
    char payload[127] = { 0 };
    memset(payload, 'p', 125);
    put_frame(WS_FIN | WS_PING, payload, 125);
    decode_whole();
    assert_control(0, WS_EVENT_PING, payload);
    wire_len = 0;
    put_frame(WS_FIN | WS_PING, payload, 126);
    assert_fails(&plain_limits, 0, 1002, "control frame is too long");
    wire_len = 0;
    put_head(WS_FIN | WS_CLOSE, 70000);
    assert_fails(&plain_limits, 0, 1002, "control frame is too long");
}

static void test_ws_decoder_length_not_in_its_shortest_form_is_1002(void **state)
{
    (void)state;
    static const struct {
        size_t width;
        uint64_t len;
    } cases[] = { { 2, 0 }, { 2, 125 }, { 8, 0 }, { 8, 125 }, { 8, 126 }, { 8, 65535 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wire_len = 0;
        put_head_as(WS_FIN | WS_BINARY, cases[i].width, cases[i].len);
        assert_fails(&plain_limits, 0, 1002, "malformed payload length");
    }
}

static void test_ws_decoder_length_with_the_top_bit_is_1002(void **state)
{
    (void)state;
    static const ws_limits no_limit = { .message_size_max = SIZE_MAX };
    put_head_as(WS_FIN | WS_BINARY, 8, (uint64_t)1 << 63);
    assert_fails(&no_limit, 0, 1002, "malformed payload length");
    wire_len = 0;
    put_head_as(WS_FIN | WS_BINARY, 8, UINT64_MAX);
    assert_fails(&no_limit, 0, 1002, "malformed payload length");
    /* One less is a length like any other. */
    wire_len = 0;
    put_head_as(WS_FIN | WS_BINARY, 8, INT64_MAX);
    assert_fails(&plain_limits, 0, 1009, "message is too large");
}

static void test_ws_decoder_bytes_behind_an_error_are_dropped(void **state)
{
    (void)state;
    put_text(WS_FIN | 0x3, "x");
    put_text(WS_FIN | WS_TEXT, "good");
    decode(&plain_limits, 0, 1);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.result, 0);
}

static void test_ws_decoder_error_codes_go_with_close_codes(void **state)
{
    (void)state;
    static const ws_limits tiny = { .message_size_max = 3 };
    static const struct {
        unsigned byte0;
        const char *payload;
        int error;
        unsigned close_code;
    } cases[] = {
        { WS_FIN | 0xb, "", CARAFE_ERR_BAD_FRAME, 1002 },
        { WS_FIN | WS_TEXT, "\xff", CARAFE_ERR_BAD_UTF8, 1007 },
        { WS_FIN | WS_TEXT, "1234", CARAFE_ERR_TOO_LARGE, 1009 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ws_decoder d = { 0 };
        ws_event event;
        wire_len = 0;
        put_text(cases[i].byte0, cases[i].payload);
        uint8_t *at = wire;
        size_t len = wire_len;
        assert_int_equal(ws_decoder_next(&d, &tiny, &at, &len, &event), cases[i].error);
        assert_int_equal(event.close_code, cases[i].close_code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_ws_frame_head_encode_every_length_form_is_the_shortest),
        CASE(test_ws_frame_head_encode_flags_and_opcode_make_byte_0),
        CASE(test_ws_close_payload_encode_holds_code_and_reason),
        CASE(test_ws_close_payload_encode_reason_at_and_above_its_limit),
        CASE(test_ws_close_payload_encode_what_the_peer_would_refuse_is_refused),
        CASE(test_ws_close_code_is_legal_for_assigned_and_private_codes_only),
        CASE(test_ws_mask_every_length_and_alignment_is_xored_and_ored),
        CASE(test_ws_decoder_rfc_vectors_are_decoded),
        CASE(test_ws_decoder_every_length_is_decoded_in_pieces_of_any_size),
        CASE(test_ws_decoder_whole_frame_is_delivered_in_place),
        CASE(test_ws_decoder_fragments_make_one_message),
        CASE(test_ws_decoder_control_frames_may_come_between_fragments),
        CASE(test_ws_decoder_every_truncation_gives_no_event_and_no_error),
        CASE(test_ws_decoder_rsv1_marks_the_message_when_negotiated),
        CASE(test_ws_decoder_close_with_and_without_payload),
        CASE(test_ws_decoder_close_every_code_is_accepted_or_1002),
        CASE(test_ws_decoder_close_with_half_a_code_is_1002),
        CASE(test_ws_decoder_close_with_illegal_code_is_1002),
        CASE(test_ws_decoder_close_with_bad_reason_is_1007),
        CASE(test_ws_decoder_bytes_behind_close_are_dropped),
        CASE(test_ws_decoder_unmasked_frame_is_1002),
        CASE(test_ws_decoder_reserved_opcodes_are_1002),
        CASE(test_ws_decoder_rsv_bits_are_1002),
        CASE(test_ws_decoder_rsv1_on_continuation_or_control_is_1002),
        CASE(test_ws_decoder_continuation_without_start_is_1002),
        CASE(test_ws_decoder_new_message_inside_another_is_1002),
        CASE(test_ws_decoder_fragmented_control_frame_is_1002),
        CASE(test_ws_decoder_control_frame_at_and_above_125_bytes),
        CASE(test_ws_decoder_length_not_in_its_shortest_form_is_1002),
        CASE(test_ws_decoder_length_with_the_top_bit_is_1002),
        CASE(test_ws_decoder_bytes_behind_an_error_are_dropped),
        CASE(test_ws_decoder_error_codes_go_with_close_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
