#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engineio/message.h"

static int teardown(void **state)
{
    (void)state;
    mem_fail_never();
    assert_int_equal(mem_blocks_in_use(), 0);
    return 0;
}

static eio_message *text_message(const char *text, size_t len)
{
    buf b = {0};
    assert_int_equal(eio_message_begin_text(&b), 0);
    assert_int_equal(buf_append(&b, text, len), 0);
    eio_message *m = eio_message_seal_text(&b);
    assert_null(b.data);
    return m;
}

/* The frame is one that a WebSocket peer reads as one message with these bytes. */
static void check_frame(const eio_message *m, ws_opcode opcode, const void *data, size_t data_len)
{
    size_t len;
    const uint8_t *frame = eio_message_frame(m, &len);
    uint8_t head[WS_HEAD_SIZE_MAX];
    size_t head_len = ws_frame_head_encode(head, opcode, WS_FIN, data_len);
    assert_int_equal(len, head_len + data_len);
    assert_memory_equal(frame, head, head_len);
    if (data_len)
        assert_memory_equal(frame + head_len, data, data_len);
}

static void test_message_text_is_both_a_packet_and_a_frame(void **state)
{
    (void)state;
    eio_message *m = text_message("hello", 5);
    assert_false(m->is_binary);
    assert_int_equal(m->body_len, 6);
    assert_memory_equal(m->body, "4hello", 6);
    check_frame(m, WS_TEXT, "4hello", 6);
    eio_message_unref(m);
}

static void test_message_binary_is_the_bytes(void **state)
{
    (void)state;
    eio_message *m = eio_message_new_binary("\0\1\2", 3);
    assert_true(m->is_binary);
    check_frame(m, WS_BINARY, "\0\1\2", 3);
    eio_message_unref(m);
}

static void test_message_empty(void **state)
{
    (void)state;
    eio_message *m = text_message("", 0);
    check_frame(m, WS_TEXT, "4", 1);
    eio_message_unref(m);
    m = eio_message_new_binary(NULL, 0);
    check_frame(m, WS_BINARY, "", 0);
    eio_message_unref(m);
    eio_message_unref(NULL);
}

static void test_message_head_fits_every_length(void **state)
{
    (void)state;
    static const size_t lens[] = {124, 125, 126, 127, 65534, 65535, 65536, 65537, 1 << 20};
    char *data = malloc(1 << 20);
    assert_non_null(data);
    memset(data, 'x', 1 << 20);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        eio_message *m = eio_message_new_binary(data, lens[i]);
        check_frame(m, WS_BINARY, data, lens[i]);
        eio_message_unref(m);
        m = text_message(data, lens[i] - 1);
        data[0] = '4';
        check_frame(m, WS_TEXT, data, lens[i]);
        data[0] = 'x';
        eio_message_unref(m);
    }
    free(data);
}

static void test_message_lives_while_it_is_referenced(void **state)
{
    (void)state;
    eio_message *m = text_message("hello", 5);
    shared_ref(&m->shared);
    eio_message_unref(m);
    check_frame(m, WS_TEXT, "4hello", 6);
    eio_message_unref(m);
}

static void test_message_without_memory(void **state)
{
    (void)state;
    buf b = {0};
    mem_fail_after(1);
    assert_int_equal(eio_message_begin_text(&b), CARAFE_ERR_NOMEM);
    assert_null(b.data);
    assert_null(eio_message_new_binary("x", 1));
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_message_text_is_both_a_packet_and_a_frame),
        TEST(test_message_binary_is_the_bytes),
        TEST(test_message_empty),
        TEST(test_message_head_fits_every_length),
        TEST(test_message_lives_while_it_is_referenced),
        TEST(test_message_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
