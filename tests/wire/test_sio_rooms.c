/* Who gets an event: every way of addressing, rooms, and their limits. */
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

enum { PEERS = 4 };

static sio_peer *peers[PEERS]; /* A, B, C, D */

/* ---- what a handler is told to do ---- */

static void (*script)(sio_ctx *ctx);

static int run_script(sio_ctx *ctx, void *arg)
{
    (void)arg;
    script(ctx);
    return SIO_OK;
}

static int on_join(sio_ctx *ctx, void *arg)
{
    const char *room;
    (void)arg;
    if (sio_unpack(ctx, "s", &room) < 0)
        return SIO_ERROR;
    return sio_join_room(ctx, room);
}

static int on_disconnect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    json_t *rooms = sio_rooms(ctx);
    sio_memory_note("left %zu %s %d", json_array_size(rooms),
                    json_string_value(json_array_get(rooms, 1)),
                    sio_server_is_connected(sio_server_of(ctx), sio_sid(ctx), NULL));
    json_decref(rooms);
    return SIO_OK;
}

static int setup_with(void **state, const sio_server_options *options)
{
    sio_memory_setup(state);
    sio_memory_new(options);
    sio_server_on(sio_test.server, "do", run_script);
    sio_server_on(sio_test.server, "join", on_join);
    sio_memory_start();
    for (int i = 0; i < PEERS; i++)
        peers[i] = sio_peer_new("/");
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, NULL);
}

static int teardown(void **state)
{
    for (int i = 0; i < PEERS; i++) {
        if (peers[i])
            sio_peer_leave(peers[i]);
        peers[i] = NULL;
    }
    return sio_memory_teardown(state);
}

static void join(int i, const char *room)
{
    char packet[1000];
    snprintf(packet, sizeof(packet), "42[\"join\",\"%s\"]", room);
    sio_peer_send(peers[i], packet);
}

/* A runs it. Who of them is in `who` ("ABD") has got exactly one "42["e"]" then, nobody else any. */
static void expect_delivery(void (*fn)(sio_ctx *ctx), const char *who)
{
    script = fn;
    sio_peer_send(peers[0], "42[\"do\"]");
    for (int i = 0; i < PEERS; i++) {
        if (strchr(who, 'A' + i))
            sio_peer_expect(peers[i], "42[\"e\"]");
        sio_peer_expect_silence(peers[i]);
    }
    sio_memory_expect_log(0, NULL);
}

/* ---- addressing ---- */

static void to_sender(sio_ctx *ctx)
{
    assert_int_equal(sio_emit(ctx, "e", NULL), 0);
}

static void to_nobody(sio_ctx *ctx)
{
    assert_int_equal(sio_emit(ctx, "e", NULL, .skip_self = true), 0);
    assert_int_equal(sio_emit(ctx, "e", NULL, .to = "no such room"), 0);
    assert_int_equal(sio_emit(ctx, "e", NULL, .rooms = (const char *[]){ NULL }), 0);
}

static void to_all(sio_ctx *ctx)
{
    assert_int_equal(sio_emit(ctx, "e", NULL, .broadcast = true), 0);
}

static void to_others(sio_ctx *ctx)
{
    assert_int_equal(sio_emit(ctx, "e", NULL, .broadcast = true, .skip_self = true), 0);
}

static void to_room(sio_ctx *ctx)
{
    assert_int_equal(sio_emit(ctx, "e", NULL, .to = "r1"), 0);
}

static void to_room_but_self(sio_ctx *ctx)
{
    assert_int_equal(sio_emit(ctx, "e", NULL, .to = "r1", .skip_self = true), 0);
}

static void to_union(sio_ctx *ctx)
{
    const char *rooms[] = { "r1", "r2", "r1", peers[1]->sid, NULL };
    assert_int_equal(sio_emit(ctx, "e", NULL, .rooms = rooms), 0);
}

static void to_union_with_to(sio_ctx *ctx)
{
    assert_int_equal(
        sio_emit(ctx, "e", NULL, .to = peers[3]->sid, .rooms = (const char *[]){ "r1", NULL }), 0);
}

static void to_sid(sio_ctx *ctx)
{
    assert_int_equal(sio_emit(ctx, "e", NULL, .to = peers[2]->sid), 0);
}

static void to_all_except_room(sio_ctx *ctx)
{
    assert_int_equal(
        sio_emit(ctx, "e", NULL, .broadcast = true, .except = "r1"), 0);
}

static void to_room_except_room(sio_ctx *ctx)
{
    const char *except[] = { "r2", peers[0]->sid, "nobody", NULL };
    assert_int_equal(sio_emit(ctx, "e", NULL, .to = "r1", .except_rooms = except), 0);
}

static void to_all_skipping(sio_ctx *ctx)
{
    const char *skip[] = { peers[2]->sid, "unknown", NULL };
    assert_int_equal(sio_emit(ctx, "e", NULL, .broadcast = true, .skip_sid = peers[3]->sid,
                              .skip_sids = skip, .skip_self = true),
                     0);
}

static void test_sio_rooms_every_way_of_addressing(void **state)
{
    (void)state;
    join(0, "r1");
    join(1, "r1");
    join(1, "r2");
    join(2, "r2");
    expect_delivery(to_sender, "A");
    expect_delivery(to_nobody, "");
    expect_delivery(to_all, "ABCD");
    expect_delivery(to_others, "BCD");
    expect_delivery(to_room, "AB");
    expect_delivery(to_room_but_self, "B");
    expect_delivery(to_union, "ABC");
    expect_delivery(to_union_with_to, "ABD");
    expect_delivery(to_sid, "C");
    expect_delivery(to_all_except_room, "CD");
    expect_delivery(to_room_except_room, "");
    expect_delivery(to_all_skipping, "B");
}

static void test_sio_rooms_server_emit_reaches_everybody_or_whom_it_says(void **state)
{
    (void)state;
    sio_server *sio = sio_test.server;
    join(1, "r1");
    assert_int_equal(sio_server_emit(sio, "e", json_integer(1)), 0);
    assert_int_equal(sio_server_emit(sio, "e", json_integer(2), .to = "r1"), 0);
    assert_int_equal(sio_server_send(sio, json_string("x"), .to = peers[0]->sid), 0);
    assert_int_equal(sio_server_send(sio, NULL, .json = true, .to = peers[0]->sid), 0);
    assert_int_equal(sio_server_emit(sio, "e", NULL, .ns = "/nobody"), 0);
    sio_memory_run();
    for (int i = 0; i < PEERS; i++)
        sio_peer_expect(peers[i], "42[\"e\",1]");
    sio_peer_expect(peers[1], "42[\"e\",2]");
    sio_peer_expect(peers[0], "42[\"message\",\"x\"]");
    sio_peer_expect(peers[0], "42[\"json\"]");
    for (int i = 0; i < PEERS; i++)
        sio_peer_expect_silence(peers[i]);
}

static void join_name_of_another(sio_ctx *ctx)
{
    assert_int_equal(sio_join_room(ctx, peers[1]->sid), 0);
    assert_int_equal(sio_emit(ctx, "e", NULL, .to = peers[1]->sid), 0);
}

static void test_sio_rooms_room_named_like_a_client_holds_both(void **state)
{
    (void)state;
    expect_delivery(join_name_of_another, "AB");
}

static void binary_to_all(sio_ctx *ctx)
{
    assert_int_equal(sio_emit(ctx, "e", sio_binary("xyz", 3), .broadcast = true), 0);
}

static void test_sio_rooms_attachments_go_to_all(void **state)
{
    (void)state;
    script = binary_to_all;
    sio_peer_send(peers[0], "42[\"do\"]");
    for (int i = 0; i < PEERS; i++) {
        sio_peer_expect(peers[i], "451-[\"e\",{\"_placeholder\":true,\"num\":0}]");
        sio_peer_expect_binary(peers[i], "xyz", 3);
    }
}

/* ---- membership ---- */

static void note_rooms(sio_ctx *ctx)
{
    json_t *rooms = sio_rooms(ctx);
    assert_string_equal(json_string_value(json_array_get(rooms, 0)), sio_sid(ctx));
    for (size_t i = 1; i < json_array_size(rooms); i++)
        sio_memory_note("%s", json_string_value(json_array_get(rooms, i)));
    json_decref(rooms);
}

static void test_sio_rooms_own_room_is_listed_once_and_stays(void **state)
{
    (void)state;
    script = note_rooms;
    join(0, peers[0]->sid);
    join(0, "b");
    join(0, "b");
    sio_peer_send(peers[0], "42[\"do\"]");
    sio_memory_expect("b;");
    expect_delivery(to_sender, "A");
}

static void move_others(sio_ctx *ctx)
{
    assert_int_equal(sio_join_room(ctx, "r1", .sid = peers[2]->sid), 0);
    assert_int_equal(sio_join_room(ctx, "r1", .sid = "unknown"), CARAFE_ERR_NOT_FOUND);
    assert_int_equal(sio_join_room(ctx, "r1", .ns = "/chat"), CARAFE_ERR_NOT_FOUND);
    assert_int_equal(sio_join_room(ctx, "r1", .sid = peers[2]->sid, .ns = "/chat"),
                     CARAFE_ERR_NOT_FOUND);
    assert_int_equal(sio_leave_room(ctx, "r1", .sid = peers[1]->sid), 0);
    assert_int_equal(sio_leave_room(ctx, "never joined"), 0);
    json_t *rooms = sio_rooms(ctx, .sid = peers[2]->sid);
    assert_int_equal(json_array_size(rooms), 2);
    json_decref(rooms);
    assert_null(sio_rooms(ctx, .sid = "unknown"));
    sio_emit(ctx, "e", NULL, .to = "r1");
}

static void test_sio_rooms_handlers_move_other_clients(void **state)
{
    (void)state;
    join(1, "r1");
    expect_delivery(move_others, "C");
}

static void close_r1(sio_ctx *ctx)
{
    assert_int_equal(sio_close_room(ctx, "r1"), 0);
    assert_int_equal(sio_close_room(ctx, "no such room"), 0);
    sio_emit(ctx, "e", NULL, .to = "r1");
    sio_emit(ctx, "e", NULL, .to = "r2");
}

static void test_sio_rooms_close_room_takes_all_out(void **state)
{
    (void)state;
    for (int i = 0; i < PEERS; i++)
        join(i, "r1");
    join(3, "r2");
    expect_delivery(close_r1, "D");
}

static void on_worker(void *arg)
{
    sio_server *sio = sio_test.server;
    (void)arg;
    assert_int_equal(sio_server_enter_room(sio, peers[0]->sid, "x", NULL), 0);
    assert_int_equal(sio_server_enter_room(sio, peers[1]->sid, "x", "/"), 0);
    assert_int_equal(sio_server_enter_room(sio, peers[1]->sid, "x", "/chat"),
                     CARAFE_ERR_NOT_FOUND);
    json_t *all = sio_server_participants(sio, NULL, NULL);
    json_t *some = sio_server_participants(sio, "x", NULL);
    json_t *one = sio_server_participants(sio, peers[3]->sid, NULL);
    json_t *none = sio_server_participants(sio, "x", "/chat");
    assert_int_equal(json_array_size(all), PEERS);
    assert_int_equal(json_array_size(some), 2);
    assert_int_equal(json_array_size(one), 1);
    assert_int_equal(json_array_size(none), 0);
    json_decref(all);
    json_decref(some);
    json_decref(one);
    json_decref(none);
    assert_int_equal(sio_server_leave_room(sio, peers[0]->sid, "x", NULL), 0);
    json_t *rooms = sio_server_rooms(sio, peers[0]->sid, NULL);
    assert_int_equal(json_array_size(rooms), 1);
    json_decref(rooms);
    assert_int_equal(sio_server_close_room(sio, "x", NULL), 0);
    rooms = sio_server_rooms(sio, peers[1]->sid, NULL);
    assert_int_equal(json_array_size(rooms), 1);
    json_decref(rooms);
    assert_null(sio_server_rooms(sio, "unknown", NULL));
    assert_true(sio_server_is_connected(sio, peers[0]->sid, NULL));
    assert_false(sio_server_is_connected(sio, peers[0]->sid, "/chat"));
    assert_false(sio_server_is_connected(sio, "unknown", NULL));
    sio_memory_note("done");
}

static void test_sio_rooms_server_functions_from_a_task(void **state)
{
    (void)state;
    sio_memory_do(on_worker, NULL);
    sio_memory_expect("done;");
}

static void test_sio_rooms_can_be_read_in_the_disconnect_handler(void **state)
{
    teardown(state);
    sio_memory_setup(state);
    sio_memory_new(NULL);
    sio_server_on(sio_test.server, "join", on_join);
    sio_server_on(sio_test.server, "disconnect", on_disconnect);
    sio_memory_start();
    peers[0] = sio_peer_new("/");
    join(0, "lobby");
    sio_peer_leave(peers[0]);
    peers[0] = NULL;
    sio_memory_expect("left 2 lobby 0;");
}

/* ---- arguments ---- */

static const char *const empty_list[] = { "a", "", NULL };

static void bad_arguments(sio_ctx *ctx)
{
    sio_server *sio = sio_server_of(ctx);
    struct {
        int result;
        const char *line;
    } rows[] = {
        { sio_emit(ctx, "e", NULL, .to = ""), "sio_emit: .to is empty" },
        { sio_emit(ctx, "e", NULL, .rooms = empty_list), "sio_emit: .rooms" },
        { sio_emit(ctx, "e", NULL, .except = ""), "sio_emit: .except" },
        { sio_emit(ctx, "e", NULL, .except_rooms = empty_list), "sio_emit: .except_rooms" },
        { sio_emit(ctx, "e", NULL, .skip_sid = ""), "sio_emit: .skip_sid" },
        { sio_emit(ctx, "e", NULL, .skip_sids = empty_list), "sio_emit: .skip_sids" },
        { sio_emit(ctx, "e", NULL, .ns = "chat"), "sio_emit: .ns" },
        { sio_emit(ctx, "e", NULL, .ns = ""), "sio_emit: .ns" },
        { sio_emit(ctx, NULL, NULL), "sio_emit: no event name" },
        { sio_emit(ctx, "disconnect", NULL), "sio_emit: \"disconnect\" is a reserved" },
        { sio_emit(ctx, "connect_error", NULL, .broadcast = true), "\"connect_error\"" },
        { sio_send(ctx, NULL, .to = ""), "sio_send: .to is empty" },
        { sio_emit_raw(ctx, "e", "[]", 2, .to = ""), "sio_emit_raw: .to is empty" },
        { sio_server_emit(sio, "e", NULL, .to = ""), "sio_server_emit: .to is empty" },
        { sio_server_send(sio, NULL, .to = ""), "sio_server_send: .to is empty" },
        { sio_server_emit(NULL, "e", NULL), "sio_server_emit: no server" },
        { sio_join_room(ctx, ""), "sio_join_room: the room" },
        { sio_leave_room(ctx, NULL), "sio_leave_room: the room" },
        { sio_close_room(ctx, ""), "sio_close_room: the room" },
        { sio_server_enter_room(sio, "", "r", NULL), "sio_server_enter_room: no client" },
        { sio_server_enter_room(NULL, "x", "r", NULL), "sio_server_enter_room: no server" },
        { sio_server_leave_room(sio, NULL, "r", NULL), "sio_server_leave_room: no client" },
        { sio_server_disconnect(sio, NULL, NULL), "sio_server_disconnect: no client" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (rows[i].result != CARAFE_ERR_ARGUMENT || !strstr(sio_test.log, rows[i].line))
            print_error("%s: %d\n%s", rows[i].line, rows[i].result, sio_test.log);
        assert_int_equal(rows[i].result, CARAFE_ERR_ARGUMENT);
        assert_non_null(strstr(sio_test.log, rows[i].line));
    }
    sio_memory_expect_log(sizeof(rows) / sizeof(*rows), NULL);
    assert_int_equal(sio_emit(ctx, "e", json_string_nocheck("\xff")), CARAFE_ERR_BAD_DATA);
    assert_int_equal(sio_emit(ctx, "e", sio_pack("{s:s}", "a", NULL), .broadcast = true),
                     CARAFE_ERR_BAD_DATA);
    sio_memory_expect_log(2, "the data of \"e\"");
}

static void test_sio_rooms_empty_names_and_reserved_events_are_refused(void **state)
{
    (void)state;
    expect_delivery(bad_arguments, "");
}

/* ---- limits ---- */

static void join_three(sio_ctx *ctx)
{
    assert_int_equal(sio_join_room(ctx, "1"), 0);
    assert_int_equal(sio_join_room(ctx, "2"), 0);
    assert_int_equal(sio_join_room(ctx, "3"), CARAFE_ERR_TOO_MANY);
    assert_int_equal(sio_join_room(ctx, "2"), 0);
    assert_int_equal(sio_leave_room(ctx, "1"), 0);
    assert_int_equal(sio_join_room(ctx, "3"), 0);
    sio_emit(ctx, "e", NULL, .to = "3");
}

static int setup_two_rooms(void **state)
{
    return setup_with(state,
                      &(sio_server_options){ .size = sizeof(sio_server_options), .max_rooms = 2 });
}

static void test_sio_rooms_max_rooms_is_n(void **state)
{
    (void)state;
    expect_delivery(join_three, "A");
}

/* 10,000 clients come, join rooms and leave. */
static void test_sio_rooms_many_clients_leave_nothing(void **state)
{
    (void)state;
    enum { CLIENTS = 10000, WAVE = 500 };
    static sio_peer *many[CLIENTS];
    join(0, "r");
    int64_t blocks = 0, bytes = 0;
    for (int round = 0; round < 2; round++) {
        int count = round ? CLIENTS : WAVE;
        for (int i = 0; i < count; i++) {
            char packet[64];
            many[i] = sio_peer_new("/");
            snprintf(packet, sizeof(packet), "42[\"join\",\"room %d\"]", i % 100);
            sio_peer_send_all(many[i], (const char *[]){ packet, "42[\"join\",\"all\"]" }, 2);
        }
        sio_server_emit(sio_test.server, "e", NULL, .to = "all");
        sio_memory_run();
        for (int i = 0; i < count; i++)
            sio_peer_expect(many[i], "42[\"e\"]");
        for (int i = 0; i < count; i++)
            sio_peer_leave(many[(i * 7) % count]);
        if (round == 0) {
            blocks = mem_blocks_in_use();
            bytes = mem_bytes_in_use();
        }
    }
    assert_true(mem_blocks_in_use() - blocks < 100);
    assert_true(mem_bytes_in_use() - bytes < 512 * 1024);
    expect_delivery(to_all, "ABCD");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sio_rooms_every_way_of_addressing),
        TEST(test_sio_rooms_server_emit_reaches_everybody_or_whom_it_says),
        TEST(test_sio_rooms_room_named_like_a_client_holds_both),
        TEST(test_sio_rooms_attachments_go_to_all),
        TEST(test_sio_rooms_own_room_is_listed_once_and_stays),
        TEST(test_sio_rooms_handlers_move_other_clients),
        TEST(test_sio_rooms_close_room_takes_all_out),
        TEST(test_sio_rooms_server_functions_from_a_task),
        TEST(test_sio_rooms_can_be_read_in_the_disconnect_handler),
        TEST(test_sio_rooms_empty_names_and_reserved_events_are_refused),
        cmocka_unit_test_setup_teardown(test_sio_rooms_max_rooms_is_n, setup_two_rooms, teardown),
        TEST(test_sio_rooms_many_clients_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
