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
#include "socketio/packet.h"
#include "socketio/payload.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The text of the last packet, without a NUL and on the heap, so that the address sanitizer sees
 * a read beyond the end. */
static char *last_text;

static int decode_with(const char *text, size_t len, const sio_packet_limits *limits,
                       sio_packet *out)
{
    free(last_text);
    last_text = malloc(len ? len : 1);
    assert_non_null(last_text);
    memcpy(last_text, text, len);
    return sio_packet_decode(last_text, len, limits, out);
}

static int decode(const char *text, sio_packet *out)
{
    return decode_with(text, strlen(text), NULL, out);
}

static void assert_refused(const char *text)
{
    sio_packet packet;
    if (decode(text, &packet) != CARAFE_ERR_BAD_PACKET)
        fail_msg("not refused: %.100s", text);
    assert_non_null(packet.error);
    assert_null(packet.ns.data);
}

static void assert_ignored(const char *text)
{
    sio_packet packet;
    if (decode(text, &packet) != SIO_PACKET_IGNORED)
        fail_msg("not ignored: %s", text);
    assert_null(packet.error);
}

static void assert_slice(slice actual, const char *expected)
{
    if (!slice_is(actual, expected))
        fail_msg("\"%.*s\" is not \"%s\"", (int)actual.len, actual.data, expected);
}

typedef struct expectation {
    const char *text;
    sio_packet_type type;
    const char *ns;
    const char *id; /* "" for none */
    const char *event;
    const char *args;
    const char *data;
} expectation;

static const expectation vectors[] = {
    {"0", SIO_CONNECT, "/", "", "", "", ""},
    {"0{\"token\":\"abc\"}", SIO_CONNECT, "/", "", "", "", "{\"token\":\"abc\"}"},
    {"0/chat,", SIO_CONNECT, "/chat", "", "", "", ""},
    {"0/chat", SIO_CONNECT, "/chat", "", "", "", ""},
    {"0/chat,{\"sid\":\"x\"} ", SIO_CONNECT, "/chat", "", "", "", "{\"sid\":\"x\"}"},
    {"0/chat?x=1,", SIO_CONNECT, "/chat?x=1", "", "", "", ""},
    {"0/,", SIO_CONNECT, "/", "", "", "", ""},
    {"1", SIO_DISCONNECT, "/", "", "", "", ""},
    {"1/chat,", SIO_DISCONNECT, "/chat", "", "", "", ""},
    {"1/chat", SIO_DISCONNECT, "/chat", "", "", "", ""},
    {"2[\"echo\",\"\xc3\xa9\xf0\x9f\x98\x80\",1]", SIO_EVENT, "/", "", "echo",
     "[\"\xc3\xa9\xf0\x9f\x98\x80\",1]", ""},
    {"2/chat,[\"echo\",\"x\"]", SIO_EVENT, "/chat", "", "echo", "[\"x\"]", ""},
    {"20[\"echo\",{\"a\":1}]", SIO_EVENT, "/", "0", "echo", "[{\"a\":1}]", ""},
    {"2/chat,7[\"echo\",{\"a\":1},2]", SIO_EVENT, "/chat", "7", "echo", "[{\"a\":1},2]", ""},
    {"2[\"x\"]", SIO_EVENT, "/", "", "x", "[]", ""},
    {"2[\"\"]", SIO_EVENT, "/", "", "", "[]", ""},
    {"2[ \"x\" , 1 , 2 ] \n", SIO_EVENT, "/", "", "x", "[ 1 , 2 ]", ""},
    {"2[\"x\" ]", SIO_EVENT, "/", "", "x", "[]", ""},
    {"2[\"a,\\\"]\",1]", SIO_EVENT, "/", "", "a,\"]", "[1]", ""},
    {"2[\"\\u00e9\\ud83d\\ude00\\n\",[]]", SIO_EVENT, "/", "", "\xc3\xa9\xf0\x9f\x98\x80\n", "[[]]",
     ""},
    {"30[{\"a\":1}]", SIO_ACK, "/", "0", "", "[{\"a\":1}]", ""},
    {"3/chat,7[\"x\"]", SIO_ACK, "/chat", "7", "", "[\"x\"]", ""},
    {"32[]", SIO_ACK, "/", "2", "", "[]", ""},
    {"4/nope,{\"message\":\"Invalid namespace\"}", SIO_CONNECT_ERROR, "/nope", "", "", "",
     "{\"message\":\"Invalid namespace\"}"},
    {"4\"nope\"", SIO_CONNECT_ERROR, "/", "", "", "", "\"nope\""},
};

static void test_sio_packet_decode_spec_vectors_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        const expectation *e = &vectors[i];
        sio_packet packet;
        if (decode(e->text, &packet) != SIO_PACKET_READY)
            fail_msg("refused: %s", e->text);
        assert_int_equal(packet.type, e->type);
        assert_int_equal(packet.attachment_count, 0);
        assert_slice(packet.ns, e->ns);
        assert_slice(packet.id_digits, e->id);
        assert_int_equal(packet.has_id, *e->id != '\0');
        assert_slice(packet.event, e->event);
        assert_slice(packet.args_text, e->args);
        assert_slice(packet.data_text, e->data);
        assert_null(packet.error);
        if (packet.event.data)
            assert_int_equal(packet.event.data[packet.event.len], '\0');
    }
}

static void test_sio_packet_decode_binary_vectors_match(void **state)
{
    (void)state;
    sio_packet packet;
    assert_int_equal(decode("52-1[\"bin\",{\"_placeholder\":true,\"num\":0},"
                            "{\"_placeholder\":true,\"num\":1}]",
                            &packet),
                     0);
    assert_int_equal(packet.type, SIO_BINARY_EVENT);
    assert_int_equal(packet.attachment_count, 2);
    assert_slice(packet.id_digits, "1");
    assert_slice(packet.event, "bin");
    assert_slice(packet.args_text, "[{\"_placeholder\":true,\"num\":0},"
                                   "{\"_placeholder\":true,\"num\":1}]");
    assert_int_equal(decode("51-/chat,0[\"echo\",{\"_placeholder\":true,\"num\":0}]", &packet), 0);
    assert_slice(packet.ns, "/chat");
    assert_slice(packet.id_digits, "0");
    assert_int_equal(decode("61-5[{\"_placeholder\":true,\"num\":0}]", &packet), 0);
    assert_int_equal(packet.type, SIO_BINARY_ACK);
    assert_int_equal(packet.attachment_count, 1);
    assert_int_equal(packet.id, 5);
}

/* X2 */
static void test_sio_packet_decode_X2_binary_event_without_attachments_is_accepted(void **state)
{
    (void)state;
    sio_packet packet;
    assert_int_equal(decode("50-[\"x\"]", &packet), SIO_PACKET_READY);
    assert_int_equal(packet.type, SIO_BINARY_EVENT);
    assert_int_equal(packet.attachment_count, 0);
    assert_slice(packet.event, "x");
    assert_int_equal(decode("60-1[]", &packet), SIO_PACKET_READY);
}

/* X1 */
static void test_sio_packet_decode_X1_reserved_names_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"connect",       "connect_error",   "disconnect",
                                        "disconnecting", "newListener",     "removeListener",
                                        "\\u0063onnect", "disconnec\\u0074"};
    char text[100];
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(text, sizeof(text), "2[\"%s\"]", names[i]);
        assert_refused(text);
        snprintf(text, sizeof(text), "2/chat,1[ \"%s\" ,{\"reason\":1}]", names[i]);
        assert_refused(text);
        snprintf(text, sizeof(text), "51-[\"%s\",{\"_placeholder\":true,\"num\":0}]", names[i]);
        assert_refused(text);
    }
}

static void test_sio_packet_decode_names_like_reserved_ones_are_accepted(void **state)
{
    (void)state;
    static const char *const names[] = {"error",   "connection",   "Connect",     "connect ",
                                        "message", "connect_erro", "newlistener", "*"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char text[100];
        sio_packet packet;
        snprintf(text, sizeof(text), "2[\"%s\"]", names[i]);
        assert_int_equal(decode(text, &packet), SIO_PACKET_READY);
        assert_slice(packet.event, names[i]);
    }
}

static void test_sio_packet_decode_NUL_in_a_name_is_refused(void **state)
{
    (void)state;
    assert_refused("2[\"connect\\u0000x\"]");
    assert_refused("2[\"\\u0000\"]");
}

/* The reference server's table of what closes the connection. */
static void test_sio_packet_decode_closing_rows_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "2{}",         "2[]",         "2[null]",     "7[\"x\"]",     "",           "abc",
        "0chat",       "2-1[\"e\"]",  "2abc[\"e\"]", "1{}",          "0/chat,[1]", "0/chat,\"x\"",
        "0/chat,null", "511-[\"e\"]", "5-1-[\"e\"]", "51.5-[\"e\"]", "5[\"e\"]",   "2 12[\"e\"]",
        "2 [\"e\"]",   "6[1]",        "61[1]",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_refused(rows[i]);
}

/* X7; the reference server ignores events without data, we do not. */
static void test_sio_packet_decode_X7_malformed_packets_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "2[]",
        "2{\"a\":1}",
        "2\"x\"",
        "2",
        "2/ns",
        "2/ns,",
        "212",
        "4x",
        "9",
        "",
        "2[\"x\"",
        "2[\"x\"]]",
        "2[[]]",
        "2[true]",
        "2[{\"toString\":\"x\"}]",
        "2[\"x\",]",
        "2null",
        "3{}",
        "30{}",
        "30\"x\"",
        "31[",
        "0[]",
        "01{}",
        "0{",
        "0/chat,{}{}",
        "11",
        "1/chat,1",
        "1[]",
        "4",
        "4[]",
        "4null",
        "41\"x\"",
        "51-",
        "51-/chat,",
        "61-1",
        "50-",
        "5",
        "51",
        "-",
        " 2[\"x\"]",
        "\xef\xbb\xbf[\"x\"]",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_refused(rows[i]);
}

static void test_sio_packet_decode_ignored_rows_are_ignored(void **state)
{
    (void)state;
    static const char *const rows[] = {"2[1,2]", "2[-1]", "2[ 0.5 ]", "3[1]",  "31",
                                       "3",      "3/ns,", "51-[1,2]", "61-[1]"};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_ignored(rows[i]);
    sio_packet packet;
    assert_int_equal(decode("3/ns", &packet), SIO_PACKET_IGNORED);
    assert_slice(packet.ns, "/ns");
    assert_int_equal(decode("51-[1,2]", &packet), SIO_PACKET_IGNORED);
    assert_int_equal(packet.attachment_count, 1);
}

/* X6 */
static void test_sio_packet_decode_X6_JSON_is_strict(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "2[\"e\",NaN]",
        "2[\"e\",Infinity]",
        "2[\"e\",\"\\ud800\"]",
        "2[\"e\",{\"\\u0000\":1}]",
        "2[\"\\udc00\"]",
        "30[01]",
        "0{\"a\":}",
        "2[\"e\",1e999]",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_refused(rows[i]);
    sio_packet packet;
    assert_int_equal(decode("2[\"e\",{\"a\":1,\"a\":2},\"\\u0000\"]", &packet), SIO_PACKET_READY);
    assert_int_equal(decode_with("2[\"e\0\"]", 7, NULL, &packet), CARAFE_ERR_BAD_PACKET);
}

static void test_sio_packet_decode_X6_depth_64_is_accepted_and_65_refused(void **state)
{
    (void)state;
    for (size_t depth = 64; depth <= 65; depth++) { /* the event's own array counts */
        char text[200] = "2[\"e\",";
        memset(text + strlen(text), '[', depth - 1);
        memset(text + strlen(text), ']', depth);
        sio_packet packet;
        int rc = decode(text, &packet);
        assert_int_equal(rc, depth == 64 ? SIO_PACKET_READY : CARAFE_ERR_BAD_PACKET);
        if (depth == 65)
            assert_string_equal(packet.error, "JSON nested too deep");
    }
}

/* X5 */
static void test_sio_packet_decode_X5_attachment_counts_are_limited(void **state)
{
    (void)state;
    sio_packet packet;
    assert_int_equal(decode("510-[\"e\"]", &packet), SIO_PACKET_READY);
    assert_int_equal(packet.attachment_count, 10);
    assert_int_equal(decode("500000010-[\"e\"]", &packet), SIO_PACKET_READY);
    assert_refused("511-[\"e\"]");
    assert_refused("599999999999-[\"e\"]");
    assert_refused("518446744073709551617-[\"e\"]"); /* 1 modulo 2^64 */
    sio_packet_limits limits = SIO_PACKET_LIMITS_DEFAULT;
    limits.attachment_count_max = 1000;
    assert_int_equal(decode_with("51000-[\"e\"]", 11, &limits, &packet), SIO_PACKET_READY);
    assert_int_equal(decode_with("51001-[\"e\"]", 11, &limits, &packet), CARAFE_ERR_BAD_PACKET);
}

/* CVE-2020-36049: a million digits, a namespace of a megabyte. */
static void test_sio_packet_decode_huge_parts_are_refused(void **state)
{
    (void)state;
    enum { LEN = 1000000 };
    static const char *const heads[] = {"5", "50", "2", "2/", "51-"};
    char *text = malloc(LEN);
    assert_non_null(text);
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        for (char fill = '0'; fill <= '1'; fill++) {
            sio_packet packet;
            memset(text, fill, LEN);
            memcpy(text, heads[i], strlen(heads[i]));
            assert_int_equal(decode_with(text, LEN, NULL, &packet), CARAFE_ERR_BAD_PACKET);
        }
    }
    free(text);
}

static void test_sio_packet_decode_namespace_of_256_bytes_is_accepted_and_257_refused(void **state)
{
    (void)state;
    for (size_t len = 256; len <= 257; len++) {
        char text[300] = "1/";
        memset(text + 2, 'n', len - 1);
        text[1 + len] = ',';
        sio_packet packet;
        int rc = len == 256 ? SIO_PACKET_READY : CARAFE_ERR_BAD_PACKET;
        assert_int_equal(decode_with(text, len + 2, NULL, &packet), rc);
        assert_int_equal(decode_with(text, len + 1, NULL, &packet), rc); /* no comma */
        text[0] = '2';
        memcpy(text + 2 + len, "[\"e\"]", 5);
        assert_int_equal(decode_with(text, len + 7, NULL, &packet), rc);
    }
}

static void test_sio_packet_decode_control_character_in_namespace_is_refused(void **state)
{
    (void)state;
    sio_packet packet;
    assert_int_equal(decode_with("0/a\0b,", 6, NULL, &packet), CARAFE_ERR_BAD_PACKET);
    assert_refused("0/a\nb,");
    assert_int_equal(decode("0/a\x7f b,", &packet), SIO_PACKET_READY);
}

static void test_sio_packet_decode_id_is_kept_and_read_up_to_20_digits(void **state)
{
    (void)state;
    static const struct {
        const char *digits;
        uint64_t id;
    } ids[] = {
        {"0", 0},
        {"007", 7},
        {"18446744073709551615", UINT64_MAX},
        {"18446744073709551616", UINT64_MAX},
        {"99999999999999999999", UINT64_MAX},
        {"10000000000000000000", 10000000000000000000u},
        {"00000000000000000012", 12},
    };
    char text[60];
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        sio_packet packet;
        snprintf(text, sizeof(text), "3%s[1]", ids[i].digits);
        assert_int_equal(decode(text, &packet), SIO_PACKET_READY);
        assert_slice(packet.id_digits, ids[i].digits);
        assert_true(packet.id == ids[i].id);
    }
    assert_refused("2123456789012345678901[\"e\"]");
    assert_refused("3000000000000000000000[1]");
}

static void test_sio_packet_decode_every_truncation_is_refused_or_ignored(void **state)
{
    (void)state;
    static const char text[] = "52-/chat,17[\"b\\u00e9\",{\"_placeholder\":true,\"num\":0}, 5 ]";
    sio_packet packet;
    for (size_t len = 0; len < sizeof(text) - 1; len++)
        assert_int_equal(decode_with(text, len, NULL, &packet), CARAFE_ERR_BAD_PACKET);
    assert_int_equal(decode(text, &packet), SIO_PACKET_READY);
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        for (size_t len = 0; len < strlen(vectors[i].text); len++) {
            int rc = decode_with(vectors[i].text, len, NULL, &packet);
            assert_true(rc == CARAFE_ERR_BAD_PACKET || rc == SIO_PACKET_READY ||
                        rc == SIO_PACKET_IGNORED);
        }
    }
}

static void test_sio_packet_decode_empty_view_is_refused(void **state)
{
    (void)state;
    sio_packet packet;
    assert_int_equal(sio_packet_decode(NULL, 0, NULL, &packet), CARAFE_ERR_BAD_PACKET);
}

/* What is encoded, and the buffer it goes to, which already holds an Engine.IO type. */
static buf dst;

static const char *written(void)
{
    return buf_cstr(&dst);
}

static int start_packet(void)
{
    buf_clear(&dst);
    return buf_append_char(&dst, '4');
}

#define ASSERT_WRITES(call, expected)                                                              \
    do {                                                                                           \
        assert_int_equal(start_packet(), 0);                                                       \
        assert_int_equal(call, 0);                                                                 \
        assert_string_equal(written(), expected);                                                  \
    } while (0)

#define ASSERT_WRITES_NOTHING(call, error)                                                         \
    do {                                                                                           \
        assert_int_equal(start_packet(), 0);                                                       \
        assert_int_equal(call, error);                                                             \
        assert_string_equal(written(), "4");                                                       \
    } while (0)

static const slice root = SLICE_LITERAL("/");
static const slice chat = SLICE_LITERAL("/chat");

static void test_sio_packet_encode_connect_vectors_match(void **state)
{
    (void)state;
    ASSERT_WRITES(sio_packet_encode_connect(&dst, root, "1ih8RI3CPOSE3-p8AAAF"),
                  "40{\"sid\":\"1ih8RI3CPOSE3-p8AAAF\"}");
    ASSERT_WRITES(sio_packet_encode_connect(&dst, chat, "a"), "40/chat,{\"sid\":\"a\"}");
    ASSERT_WRITES(sio_packet_encode_connect(&dst, (slice){NULL, 0}, NULL), "40");
    json_t *auth = json_pack("{s:s}", "token", "abc");
    ASSERT_WRITES(sio_packet_encode_connect_auth(&dst, chat, auth), "40/chat,{\"token\":\"abc\"}");
    ASSERT_WRITES(sio_packet_encode_connect_auth(&dst, root, NULL), "40");
    json_decref(auth);
}

static void test_sio_packet_encode_connect_error_vectors_match(void **state)
{
    (void)state;
    const slice nope = SLICE_LITERAL("/nope");
    ASSERT_WRITES(sio_packet_encode_connect_error(&dst, nope, "Invalid namespace", NULL),
                  "44/nope,{\"message\":\"Invalid namespace\"}");
    json_t *data = json_pack("{s:s}", "content", "Please retry later");
    ASSERT_WRITES(
        sio_packet_encode_connect_error(&dst, root, "not authorized", data),
        "44{\"message\":\"not authorized\",\"data\":{\"content\":\"Please retry later\"}}");
    json_decref(data);
    data = sio_tuple("i i", 1, 2);
    ASSERT_WRITES(sio_packet_encode_connect_error(&dst, root, "m", data),
                  "44{\"message\":\"m\",\"data\":[1,2]}");
    json_decref(data);
    data = sio_binary("x", 1);
    ASSERT_WRITES_NOTHING(sio_packet_encode_connect_error(&dst, root, "m", data),
                          CARAFE_ERR_BAD_DATA);
    json_decref(data);
    ASSERT_WRITES_NOTHING(sio_packet_encode_connect_error(&dst, root, "m", payload_invalid()),
                          CARAFE_ERR_BAD_DATA);
}

static void test_sio_packet_encode_disconnect_vectors_match(void **state)
{
    (void)state;
    ASSERT_WRITES(sio_packet_encode_disconnect(&dst, root), "41");
    ASSERT_WRITES(sio_packet_encode_disconnect(&dst, chat), "41/chat,");
}

static void test_sio_packet_encode_event_vectors_match(void **state)
{
    (void)state;
    const uint64_t zero = 0;
    const uint64_t large = UINT64_MAX;
    json_t *tuple = sio_tuple("s i", "\xc3\xa9\xf0\x9f\x98\x80", 1);
    json_t *object = json_pack("{s:i}", "a", 1);
    ASSERT_WRITES(sio_packet_encode_event(&dst, root, NULL, "echo", tuple, NULL),
                  "42[\"echo\",\"\xc3\xa9\xf0\x9f\x98\x80\",1]");
    ASSERT_WRITES(sio_packet_encode_event(&dst, root, &zero, "echo", object, NULL),
                  "420[\"echo\",{\"a\":1}]");
    ASSERT_WRITES(sio_packet_encode_event(&dst, chat, &large, "x", NULL, NULL),
                  "42/chat,18446744073709551615[\"x\"]");
    json_decref(object);
    json_decref(tuple);
}

static void test_sio_packet_encode_binary_vectors_match(void **state)
{
    (void)state;
    const uint64_t one = 1;
    sio_attachment_list list = {0};
    json_t *tuple = sio_tuple("o o", sio_binary("\x01\x02\x03", 3), sio_binary("\xff", 1));
    ASSERT_WRITES(sio_packet_encode_event(&dst, root, &one, "bin", tuple, &list),
                  "452-1[\"bin\",{\"_placeholder\":true,\"num\":0},"
                  "{\"_placeholder\":true,\"num\":1}]");
    assert_int_equal(list.count, 2);
    assert_true(slice_eq(list.items[1], slice_of("\xff", 1)));
    json_decref(tuple);

    json_t *bytes = sio_binary("x", 1);
    list.count = 0;
    ASSERT_WRITES(sio_packet_encode_ack(&dst, chat, SLICE_LITERAL("5"), bytes, &list),
                  "461-/chat,5[{\"_placeholder\":true,\"num\":0}]");
    list.count = 0;
    ASSERT_WRITES_NOTHING(sio_packet_encode_event(&dst, root, NULL, "e", bytes, NULL),
                          CARAFE_ERR_BAD_DATA);
    json_decref(bytes);
    sio_attachment_list_deinit(&list);
}

static void test_sio_packet_encode_twelve_attachments_are_counted(void **state)
{
    (void)state;
    sio_attachment_list list = {0};
    json_t *array = json_array();
    for (int i = 0; i < 12; i++)
        json_array_append_new(array, sio_binary("x", 1));
    assert_int_equal(start_packet(), 0);
    assert_int_equal(sio_packet_encode_event(&dst, chat, NULL, "e", array, &list), 0);
    assert_memory_equal(written(), "4512-/chat,[\"e\",[{", 18);
    assert_int_equal(list.count, 12);
    sio_attachment_list_deinit(&list);
    json_decref(array);
}

static void test_sio_packet_encode_ack_vectors_match(void **state)
{
    (void)state;
    json_t *object = json_pack("{s:i}", "a", 1);
    ASSERT_WRITES(sio_packet_encode_ack(&dst, root, SLICE_LITERAL("0"), object, NULL),
                  "430[{\"a\":1}]");
    ASSERT_WRITES(sio_packet_encode_ack(&dst, root, SLICE_LITERAL("2"), NULL, NULL), "432[]");
    ASSERT_WRITES(sio_packet_encode_ack(&dst, chat, SLICE_LITERAL("007"), object, NULL),
                  "43/chat,007[{\"a\":1}]");
    ASSERT_WRITES(
        sio_packet_encode_ack_raw(&dst, chat, SLICE_LITERAL("7"), SLICE_LITERAL("[\"x\"]")),
        "43/chat,7[\"x\"]");
    json_decref(object);
}

static void test_sio_packet_encode_event_raw_puts_the_name_first(void **state)
{
    (void)state;
    const uint64_t seven = 7;
    ASSERT_WRITES(sio_packet_encode_event_raw(&dst, chat, &seven, "e\"", SLICE_LITERAL("[1,[2]]")),
                  "42/chat,7[\"e\\\"\",1,[2]]");
    ASSERT_WRITES(sio_packet_encode_event_raw(&dst, root, NULL, "e", SLICE_LITERAL("[]")),
                  "42[\"e\"]");
    ASSERT_WRITES(sio_packet_encode_event_raw(&dst, root, NULL, "e", SLICE_LITERAL("[ ]")),
                  "42[\"e\"]");
    ASSERT_WRITES(sio_packet_encode_event_raw(&dst, root, NULL, "e", SLICE_LITERAL("[ 1 ]")),
                  "42[\"e\",1 ]");
    static const char *const no_arrays[] = {"", "[", "]", "{}", "1", "[1", "1]", " []"};
    for (size_t i = 0; i < COUNT_OF(no_arrays); i++) {
        const slice text = slice_str(no_arrays[i]);
        ASSERT_WRITES_NOTHING(sio_packet_encode_event_raw(&dst, root, NULL, "e", text),
                              CARAFE_ERR_BAD_DATA);
    }
}

static void test_sio_packet_encode_bad_data_writes_nothing(void **state)
{
    (void)state;
    sio_attachment_list list = {0};
    json_t *tuple = sio_tuple("o o", sio_binary("x", 1), payload_invalid());
    ASSERT_WRITES_NOTHING(sio_packet_encode_event(&dst, chat, NULL, "e", tuple, &list),
                          CARAFE_ERR_BAD_DATA);
    assert_int_equal(list.count, 0);
    json_decref(tuple);
    ASSERT_WRITES_NOTHING(sio_packet_encode_event(&dst, chat, NULL, "e", payload_invalid(), &list),
                          CARAFE_ERR_BAD_DATA);
    ASSERT_WRITES_NOTHING(sio_packet_encode_event(&dst, chat, NULL, "\xff", NULL, &list),
                          CARAFE_ERR_BAD_DATA);
    sio_attachment_list_deinit(&list);
}

static void test_sio_packet_encode_each_failing_allocation_changes_nothing(void **state)
{
    (void)state;
    char name[200] = "";
    memset(name, 'n', sizeof(name) - 1);
    json_t *bytes = sio_binary("x", 1);
    int rc = CARAFE_ERR_NOMEM;
    int n = 0;
    while (rc != 0) {
        buf small = {0};
        sio_attachment_list list = {0};
        mem_fail_after(++n);
        rc = sio_packet_encode_event(&small, chat, NULL, name, bytes, &list);
        mem_fail_never();
        if (rc != 0) {
            assert_int_equal(rc, CARAFE_ERR_NOMEM);
            assert_int_equal(small.len, 0);
            assert_int_equal(list.count, 0);
        }
        sio_attachment_list_deinit(&list);
        buf_deinit(&small);
    }
    assert_true(n > 2);
    json_decref(bytes);
}

static void test_sio_packet_round_trip_gives_the_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        const expectation *e = &vectors[i];
        if (e->type != SIO_EVENT && e->type != SIO_ACK)
            continue;
        json_t *args = NULL;
        assert_int_equal(sio_json_decode(e->args, strlen(e->args), NULL, &args), 0);
        json_t *tuple = sio_tuple_of(args);
        uint64_t id = strtoull(e->id, NULL, 10);
        buf_clear(&dst);
        if (e->type == SIO_ACK)
            assert_int_equal(
                sio_packet_encode_ack(&dst, slice_str(e->ns), slice_str(e->id), tuple, NULL), 0);
        else
            assert_int_equal(sio_packet_encode_event(&dst, slice_str(e->ns), *e->id ? &id : NULL,
                                                     e->event, tuple, NULL),
                             0);
        sio_packet packet;
        assert_int_equal(decode(written(), &packet), SIO_PACKET_READY);
        assert_int_equal(packet.type, e->type);
        assert_slice(packet.ns, e->ns);
        assert_slice(packet.id_digits, e->id);
        assert_slice(packet.event, e->event);
        json_t *again = NULL;
        assert_int_equal(sio_json_decode(packet.args_text.data, packet.args_text.len, NULL, &again),
                         0);
        assert_true(json_equal(payload_tuple_items(tuple), again));
        json_decref(again);
        json_decref(tuple);
    }
}

static int no_memory_is_left(void **state)
{
    (void)state;
    free(last_text);
    buf_deinit(&dst);
    return mem_blocks_in_use() == 0 ? 0 : -1;
}

int main(void)
{
    json_set_alloc_funcs(mem_alloc, mem_free); /* so that they are counted too */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sio_packet_decode_spec_vectors_match),
        cmocka_unit_test(test_sio_packet_decode_binary_vectors_match),
        cmocka_unit_test(test_sio_packet_decode_X2_binary_event_without_attachments_is_accepted),
        cmocka_unit_test(test_sio_packet_decode_X1_reserved_names_are_refused),
        cmocka_unit_test(test_sio_packet_decode_names_like_reserved_ones_are_accepted),
        cmocka_unit_test(test_sio_packet_decode_NUL_in_a_name_is_refused),
        cmocka_unit_test(test_sio_packet_decode_closing_rows_are_refused),
        cmocka_unit_test(test_sio_packet_decode_X7_malformed_packets_are_refused),
        cmocka_unit_test(test_sio_packet_decode_ignored_rows_are_ignored),
        cmocka_unit_test(test_sio_packet_decode_X6_JSON_is_strict),
        cmocka_unit_test(test_sio_packet_decode_X6_depth_64_is_accepted_and_65_refused),
        cmocka_unit_test(test_sio_packet_decode_X5_attachment_counts_are_limited),
        cmocka_unit_test(test_sio_packet_decode_huge_parts_are_refused),
        cmocka_unit_test(test_sio_packet_decode_namespace_of_256_bytes_is_accepted_and_257_refused),
        cmocka_unit_test(test_sio_packet_decode_control_character_in_namespace_is_refused),
        cmocka_unit_test(test_sio_packet_decode_id_is_kept_and_read_up_to_20_digits),
        cmocka_unit_test(test_sio_packet_decode_every_truncation_is_refused_or_ignored),
        cmocka_unit_test(test_sio_packet_decode_empty_view_is_refused),
        cmocka_unit_test(test_sio_packet_encode_connect_vectors_match),
        cmocka_unit_test(test_sio_packet_encode_connect_error_vectors_match),
        cmocka_unit_test(test_sio_packet_encode_disconnect_vectors_match),
        cmocka_unit_test(test_sio_packet_encode_event_vectors_match),
        cmocka_unit_test(test_sio_packet_encode_binary_vectors_match),
        cmocka_unit_test(test_sio_packet_encode_twelve_attachments_are_counted),
        cmocka_unit_test(test_sio_packet_encode_ack_vectors_match),
        cmocka_unit_test(test_sio_packet_encode_event_raw_puts_the_name_first),
        cmocka_unit_test(test_sio_packet_encode_bad_data_writes_nothing),
        cmocka_unit_test(test_sio_packet_encode_each_failing_allocation_changes_nothing),
        cmocka_unit_test(test_sio_packet_round_trip_gives_the_parts),
    };
    return cmocka_run_group_tests(tests, NULL, no_memory_is_left);
}
