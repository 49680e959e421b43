#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "socketio/server.h"

enum { SOCKETS = 20, ROOMS = 12, ROOMS_MAX = 8 };

static sio_ns ns;
static sio_socket sockets[SOCKETS];
static bool model[SOCKETS][ROOMS]; /* who is where */
static int64_t blocks_before;

static int setup(void **state)
{
    (void)state;
    blocks_before = mem_blocks_in_use();
    ns = (sio_ns){ 0 };
    map_init(&ns.rooms, sio_room_key);
    memset(sockets, 0, sizeof(sockets));
    memset(model, 0, sizeof(model));
    for (int i = 0; i < SOCKETS; i++)
        sockets[i].ns = &ns;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_never();
    for (int i = 0; i < SOCKETS; i++)
        sio_room_leave_all(&sockets[i]);
    assert_int_equal(ns.rooms.count, 0);
    map_deinit(&ns.rooms);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

static slice name_of(int room)
{
    static char name[16];
    snprintf(name, sizeof(name), "room %d", room);
    return slice_str(name);
}

static int rooms_of(int socket)
{
    int count = 0;
    for (int room = 0; room < ROOMS; room++)
        count += model[socket][room];
    return count;
}

/* Both sides know each other by the right slots, and they are those of the model. */
static void check_slots(void)
{
    for (int i = 0; i < SOCKETS; i++) {
        const sio_room_list *joined = &sockets[i].rooms;
        assert_int_equal(joined->count, rooms_of(i));
        for (uint32_t k = 0; k < joined->count; k++) {
            const sio_room *room = joined->items[k].room;
            assert_true(joined->items[k].slot < room->member_count);
            const sio_member *member = &room->members[joined->items[k].slot];
            assert_ptr_equal(member->socket, &sockets[i]);
            assert_int_equal(member->back, k);
        }
    }
    for (int room = 0; room < ROOMS; room++) {
        uint32_t count = 0;
        for (int i = 0; i < SOCKETS; i++)
            count += model[i][room];
        const sio_room *found = sio_room_find(&ns, name_of(room));
        assert_int_equal(found != NULL, count > 0);
        if (!found)
            continue;
        assert_int_equal(found->member_count, count);
        for (uint32_t k = 0; k < count; k++)
            assert_true(model[found->members[k].socket - sockets][room]);
    }
}

static void join(int socket, int room)
{
    int expected = !model[socket][room] && rooms_of(socket) >= ROOMS_MAX ? CARAFE_ERR_TOO_MANY : 0;
    assert_int_equal(sio_room_join(&sockets[socket], name_of(room), ROOMS_MAX), expected);
    if (expected == 0)
        model[socket][room] = true;
}

static void leave_all(int socket)
{
    sio_room_leave_all(&sockets[socket]);
    memset(model[socket], 0, sizeof(model[socket]));
    assert_null(sockets[socket].rooms.items);
}

static void close_room(int room)
{
    sio_room_close(&ns, name_of(room));
    for (int i = 0; i < SOCKETS; i++)
        model[i][room] = false;
}

static void test_sio_room_against_a_naive_model(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 30000; round++) {
        int socket = rand() % SOCKETS, room = rand() % ROOMS, dice = rand() % 100;
        if (dice < 60) {
            join(socket, room);
        } else if (dice < 95) {
            sio_room_leave(&sockets[socket], name_of(room));
            model[socket][room] = false;
        } else if (dice < 98) {
            leave_all(socket);
        } else {
            close_room(room);
        }
        check_slots();
    }
}

static void test_sio_room_max_is_n(void **state)
{
    (void)state;
    for (int room = 0; room < ROOMS_MAX; room++)
        assert_int_equal(sio_room_join(&sockets[0], name_of(room), ROOMS_MAX), 0);
    assert_int_equal(sio_room_join(&sockets[0], name_of(ROOMS_MAX), ROOMS_MAX),
                     CARAFE_ERR_TOO_MANY);
    assert_null(sio_room_find(&ns, name_of(ROOMS_MAX)));
    /* To join again is no further room. */
    assert_int_equal(sio_room_join(&sockets[0], name_of(0), ROOMS_MAX), 0);
    sio_room_leave(&sockets[0], name_of(3));
    assert_int_equal(sio_room_join(&sockets[0], name_of(ROOMS_MAX), ROOMS_MAX), 0);
}

static void test_sio_room_names_are_bytes(void **state)
{
    (void)state;
    char long_name[5000];
    memset(long_name, 'x', sizeof(long_name));
    const slice names[] = { SLICE_LITERAL("a"), SLICE_LITERAL("A"), SLICE_LITERAL("\xc3\xa9"),
                            slice_of(long_name, sizeof(long_name)),
                            slice_of(long_name, sizeof(long_name) - 1) };
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(sio_room_join(&sockets[0], names[i], 100), 0);
    assert_int_equal(sockets[0].rooms.count, 5);
    for (size_t i = 0; i < 5; i++) {
        const sio_room *room = sio_room_find(&ns, names[i]);
        assert_non_null(room);
        assert_int_equal(room->name[names[i].len], '\0');
    }
}

static void test_sio_room_leaving_what_was_not_joined_is_harmless(void **state)
{
    (void)state;
    sio_room_leave(&sockets[0], name_of(1));
    join(1, 1);
    sio_room_leave(&sockets[0], name_of(1));
    sio_room_close(&ns, name_of(2));
    sio_room_leave_all(&sockets[0]);
    check_slots();
}

static void test_sio_room_without_memory_nothing_is_joined(void **state)
{
    (void)state;
    for (int n = 1; n < 10; n++) {
        mem_fail_after(n);
        int error = sio_room_join(&sockets[0], name_of(0), ROOMS_MAX);
        mem_fail_never();
        if (error == 0) {
            assert_true(n > 3);
            return;
        }
        assert_int_equal(error, CARAFE_ERR_NOMEM);
        check_slots();
    }
    fail();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sio_room_against_a_naive_model),
        TEST(test_sio_room_max_is_n),
        TEST(test_sio_room_names_are_bytes),
        TEST(test_sio_room_leaving_what_was_not_joined_is_harmless),
        TEST(test_sio_room_without_memory_nothing_is_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
