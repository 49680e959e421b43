/* The decoder of ws/frame: UTF-8 of texts, limits and memory. */
#include "frame_recording.h"

/* Text */

static void test_ws_decoder_text_that_is_not_utf8_is_1007(void **state)
{
    (void)state;
    static const char *const bad[] = { "\xff", "long enough for words \xc0\x80 and more of them",
                                       "\xed\xa0\x80", "\xf4\x90\x80\x80" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        wire_len = 0;
        put_text(WS_FIN | WS_TEXT, bad[i]);
        assert_fails(&plain_limits, 0, 1007, "text is not UTF-8");
    }
}

static void test_ws_decoder_text_cut_inside_a_character_is_1007(void **state)
{
    (void)state;
    put_text(WS_FIN | WS_TEXT, "euro \xe2\x82");
    assert_fails(&plain_limits, 0, 1007, "text ends inside a character");
    wire_len = 0;
    put_text(WS_TEXT, "euro \xe2");
    put_text(WS_CONTINUATION, "\x82");
    put_text(WS_FIN | WS_CONTINUATION, "");
    assert_fails(&plain_limits, 0, 1007, "text ends inside a character");
}

static void test_ws_decoder_character_cut_by_ascii_in_the_next_fragment_is_1007(void **state)
{
    (void)state;
    put_text(WS_TEXT, "\xe2\x82");
    put_text(WS_FIN | WS_CONTINUATION, "ascii");
    assert_fails(&plain_limits, 0, 1007, "text is not UTF-8");
}

static void test_ws_decoder_bad_text_is_refused_before_its_frame_ends(void **state)
{
    (void)state;
    put_head(WS_FIN | WS_TEXT, 100000);
    put_bytes("\x37\xfa\x21\xc2", 4); /* NUL NUL NUL 0xff */
    assert_fails(&plain_limits, 0, 1007, "text is not UTF-8");
}

static void test_ws_decoder_state_of_one_text_does_not_reach_the_next(void **state)
{
    (void)state;
    put_text(WS_TEXT, "\xe2\x82\xac");
    put_text(WS_FIN | WS_CONTINUATION, "");
    put_text(WS_FIN | WS_BINARY, "\xe2");
    put_text(WS_FIN | WS_TEXT, "x");
    decode_whole();
    assert_int_equal(got.count, 3);
    assert_message(2, WS_TEXT, "x", 1);
}

/* Limits and memory */

static void test_ws_decoder_message_at_and_above_its_limit(void **state)
{
    (void)state;
    static char payload[SMALL + 1];
    static const size_t limits[] = { 0, 1, 125, 126, SMALL };
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        ws_limits l = { .message_size_max = limits[i] };
        wire_len = 0;
        put_frame(WS_FIN | WS_BINARY, payload, limits[i]);
        decode(&l, 0, 50);
        assert_message(0, WS_BINARY, payload, limits[i]);
        wire_len = 0;
        /* The head is enough. */
        put_head(WS_FIN | WS_BINARY, limits[i] + 1);
        assert_fails(&l, 0, 1009, "message is too large");
    }
}

static void test_ws_decoder_fragments_at_and_above_the_limit(void **state)
{
    (void)state;
    ws_limits limits = { .message_size_max = 10 };
    put_text(WS_BINARY, "12345");
    put_text(WS_CONTINUATION, "12345");
    put_text(WS_FIN | WS_PING, "control frames do not count");
    put_text(WS_FIN | WS_CONTINUATION, "");
    decode(&limits, 0, 1);
    assert_int_equal(got.count, 2);
    assert_message(1, WS_BINARY, "1234512345", 10);
    wire_len = 0;
    put_text(WS_BINARY, "12345");
    put_text(WS_CONTINUATION, "12345");
    put_head(WS_CONTINUATION, 1);
    assert_fails(&limits, 0, 1009, "message is too large");
    wire_len = 0;
    put_text(WS_BINARY, "12345");
    put_head(WS_CONTINUATION, INT64_MAX);
    assert_fails(&limits, 0, 1009, "message is too large");
}

static void test_ws_decoder_limit_lowered_inside_a_message_holds(void **state)
{
    (void)state;
    ws_decoder d = { 0 };
    ws_limits limits = { .message_size_max = 10 };
    forget();
    put_text(WS_BINARY, "12345");
    feed(&d, &limits, wire, wire_len);
    limits.message_size_max = 3;
    wire_len = 0;
    put_text(WS_FIN | WS_CONTINUATION, "");
    feed(&d, &limits, wire, wire_len);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.events[0].close_code, 1009);
}

static void test_ws_decoder_fragment_count_at_and_above_its_limit(void **state)
{
    (void)state;
    static const uint8_t empty[] = { WS_CONTINUATION, 0x80, 1, 2, 3, 4 };
    put_text(WS_BINARY, "");
    for (int i = 0; i < WS_FRAGMENT_COUNT_MAX - 2; i++)
        put_bytes(empty, sizeof(empty));
    size_t all_but_one = wire_len;
    put_text(WS_FIN | WS_CONTINUATION, "last");
    decode_whole();
    assert_int_equal(got.count, 1);
    assert_message(0, WS_BINARY, "last", 4);

    wire_len = all_but_one;
    put_bytes(empty, sizeof(empty));
    put_text(WS_FIN | WS_CONTINUATION, "last");
    assert_fails(&plain_limits, 0, 1008, "message has too many fragments");
}

static void test_ws_decoder_fragments_are_counted_for_each_message(void **state)
{
    (void)state;
    ws_decoder d = { 0 };
    put_text(WS_BINARY, "");
    put_text(WS_FIN | WS_CONTINUATION, "");
    for (int i = 0; i <= WS_FRAGMENT_COUNT_MAX / 2; i++) {
        ws_event event;
        uint8_t *at = wire;
        size_t len = wire_len;
        assert_int_equal(ws_decoder_next(&d, &plain_limits, &at, &len, &event), 1);
        assert_int_equal(len, 0);
    }
}

static void test_ws_decoder_announced_length_costs_no_memory(void **state)
{
    (void)state;
    static const ws_limits no_limit = { .message_size_max = SIZE_MAX };
    char payload[100] = { 0 };
    put_head(WS_FIN | WS_BINARY, (uint64_t)1 << 40);
    put_bytes(payload, sizeof(payload));
    decode(&no_limit, 0, FOREVER);
    assert_int_equal(got.count, 0);
    assert_true(got.bytes_max <= 256);
    wire_len = 0;
    put_head(WS_BINARY, (uint64_t)1 << 40);
    put_bytes(payload, sizeof(payload));
    decode(&no_limit, 0, 1);
    assert_true(got.bytes_max <= 256);
}

static void test_ws_decoder_tiny_fragments_cost_at_most_twice_their_payload(void **state)
{
    (void)state;
    ws_decoder d = { 0 };
    put_text(WS_BINARY, "x");
    forget();
    feed(&d, &plain_limits, wire, wire_len);
    wire[0] = WS_CONTINUATION;
    for (int64_t received = 2; received < WS_FRAGMENT_COUNT_MAX; received++) {
        feed(&d, &plain_limits, wire, wire_len);
        assert_true(mem_bytes_in_use() <= (received < 256 ? 512 : 2 * received + 64));
        assert_true(mem_blocks_in_use() <= 1);
    }
    assert_int_equal(got.count, 0);
    ws_decoder_deinit(&d);
}

static void test_ws_decoder_room_never_grows_beyond_what_can_come(void **state)
{
    (void)state;
    static char payload[3000];
    ws_limits limits = { .message_size_max = 2100 };
    put_frame(WS_BINARY, payload, 1100);
    put_frame(WS_CONTINUATION, payload, 1000);
    decode(&limits, 0, 10);
    assert_int_equal(got.bytes_max, 2100);
    wire_len = 0;
    put_frame(WS_FIN | WS_BINARY, payload, 1500);
    decode(&limits, 0, 10);
    assert_int_equal(got.bytes_max, 1500);
}

static void test_ws_decoder_memory_is_free_when_the_message_was_delivered(void **state)
{
    (void)state;
    static char payload[SMALL];
    static const unsigned heads[] = { WS_FIN | WS_BINARY, WS_FIN | WS_TEXT, WS_BINARY };
    for (size_t i = 0; i < 3; i++) {
        ws_decoder d = { 0 };
        wire_len = 0;
        put_frame(heads[i], payload, sizeof(payload));
        if (!(heads[i] & WS_FIN))
            put_text(WS_FIN | WS_CONTINUATION, "x");
        forget();
        feed(&d, &plain_limits, wire, 20);
        assert_int_equal(mem_blocks_in_use(), 1);
        feed(&d, &plain_limits, wire + 20, wire_len - 20);
        assert_int_equal(got.count, 1);
        assert_int_equal(mem_blocks_in_use(), 0);
        assert_true(ws_decoder_is_idle(&d));
        /* A ping in two pieces holds memory for no longer, either. */
        wire_len = 0;
        put_text(WS_FIN | WS_PING, "ping");
        feed(&d, &plain_limits, wire, 8);
        assert_int_equal(mem_blocks_in_use(), 1);
        feed(&d, &plain_limits, wire + 8, wire_len - 8);
        assert_int_equal(mem_blocks_in_use(), 0);
    }
}

static void test_ws_decoder_memory_is_free_after_close_inside_a_message(void **state)
{
    (void)state;
    put_text(WS_TEXT, "open");
    put_text(WS_FIN | WS_CLOSE, "\x03\xe8 bye");
    for (size_t first = 1; first < wire_len; first++) {
        ws_decoder d = { 0 };
        forget();
        feed(&d, &plain_limits, wire, first);
        feed(&d, &plain_limits, wire + first, wire_len - first);
        assert_int_equal(got.count, 1);
        assert_control(0, WS_EVENT_CLOSE, " bye");
        assert_int_equal(mem_blocks_in_use(), 0);
    }
}

static void test_ws_decoder_memory_is_free_after_an_error(void **state)
{
    (void)state;
    ws_decoder d = { 0 };
    put_text(WS_TEXT, "open");
    put_text(WS_FIN | WS_TEXT, "bad");
    forget();
    feed(&d, &plain_limits, wire, wire_len);
    assert_int_equal(got.count, 1);
    assert_int_equal(mem_blocks_in_use(), 0);
}

static void test_ws_decoder_every_failing_allocation_is_1011(void **state)
{
    (void)state;
    static char payload[2 * SMALL];
    memset(payload, 'p', sizeof(payload));
    put_frame(WS_BINARY, payload, SMALL);
    put_text(WS_FIN | WS_PING, "in pieces");
    put_frame(WS_FIN | WS_CONTINUATION, payload, SMALL);
    put_text(WS_FIN | WS_PING, "in pieces");
    int failed = 0;
    for (int n = 1;; n++) {
        mem_fail_after(n);
        decode(&plain_limits, 0, 10);
        mem_fail_never();
        assert_int_equal(mem_blocks_in_use(), 0);
        if (got.events[got.count - 1].type != WS_EVENT_ERROR)
            break;
        assert_int_equal(got.events[got.count - 1].close_code, 1011);
        failed++;
    }
    assert_int_equal(got.count, 3);
    assert_message(1, WS_BINARY, payload, 2 * SMALL);
    assert_in_range(failed, 4, 10);
}

static void test_ws_decoder_feeding_nothing_is_harmless(void **state)
{
    (void)state;
    ws_decoder d = { 0 };
    ws_event event;
    uint8_t *at = NULL;
    size_t len = 0;
    assert_int_equal(ws_decoder_next(&d, &plain_limits, &at, &len, &event), 0);
    assert_true(ws_decoder_is_idle(&d));
    forget();
    put_text(WS_FIN | WS_TEXT, "x");
    feed(&d, &plain_limits, wire, 3);
    assert_int_equal(ws_decoder_next(&d, &plain_limits, &at, &len, &event), 0);
    feed(&d, &plain_limits, wire + 3, 3);
    assert_int_equal(ws_decoder_next(&d, &plain_limits, &at, &len, &event), 0);
    feed(&d, &plain_limits, wire + 6, wire_len - 6);
    assert_int_equal(got.count, 1);
    ws_decoder_deinit(&d);
}

static void test_ws_decoder_is_small(void **state)
{
    (void)state;
    assert_true(sizeof(ws_decoder) <= 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_ws_decoder_text_that_is_not_utf8_is_1007),
        CASE(test_ws_decoder_text_cut_inside_a_character_is_1007),
        CASE(test_ws_decoder_character_cut_by_ascii_in_the_next_fragment_is_1007),
        CASE(test_ws_decoder_bad_text_is_refused_before_its_frame_ends),
        CASE(test_ws_decoder_state_of_one_text_does_not_reach_the_next),
        CASE(test_ws_decoder_message_at_and_above_its_limit),
        CASE(test_ws_decoder_fragments_at_and_above_the_limit),
        CASE(test_ws_decoder_limit_lowered_inside_a_message_holds),
        CASE(test_ws_decoder_fragment_count_at_and_above_its_limit),
        CASE(test_ws_decoder_fragments_are_counted_for_each_message),
        CASE(test_ws_decoder_announced_length_costs_no_memory),
        CASE(test_ws_decoder_tiny_fragments_cost_at_most_twice_their_payload),
        CASE(test_ws_decoder_room_never_grows_beyond_what_can_come),
        CASE(test_ws_decoder_memory_is_free_when_the_message_was_delivered),
        CASE(test_ws_decoder_memory_is_free_after_close_inside_a_message),
        CASE(test_ws_decoder_memory_is_free_after_an_error),
        CASE(test_ws_decoder_every_failing_allocation_is_1011),
        CASE(test_ws_decoder_feeding_nothing_is_harmless),
        CASE(test_ws_decoder_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
