#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "socketio/ack.h"

static sio_ack_table table;
static int64_t blocks_before;

static int setup(void **state)
{
    (void)state;
    blocks_before = mem_blocks_in_use();
    table = (sio_ack_table){ 0 };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_never();
    sio_ack_drop_all(&table);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

static int callback(sio_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 0;
}

static int add(uint64_t id)
{
    sio_ack_entry entry = { .id = id, .callback = callback, .callback_arg = (void *)(id + 1) };
    return sio_ack_add(&table, &entry, 1000);
}

static void expect_taken(uint64_t id, bool is_there)
{
    sio_ack_entry entry;
    assert_int_equal(sio_ack_take(&table, id, &entry), is_there);
    if (!is_there)
        return;
    assert_int_equal(entry.id, id);
    assert_ptr_equal(entry.callback, callback);
    assert_ptr_equal(entry.callback_arg, (void *)(id + 1));
}

static void test_sio_ack_each_id_is_taken_once(void **state)
{
    (void)state;
    for (uint64_t id = 10; id < 20; id++)
        assert_int_equal(add(id), 0);
    expect_taken(9, false);
    expect_taken(20, false);
    expect_taken(UINT64_MAX, false);
    for (uint64_t id = 10; id < 20; id++) {
        expect_taken(id, true);
        expect_taken(id, false);
    }
    assert_null(table.items); /* an idle client holds nothing */
}

static void test_sio_ack_max_is_n(void **state)
{
    (void)state;
    sio_ack_entry entry = { .callback = callback };
    for (entry.id = 0; entry.id < 3; entry.id++)
        assert_int_equal(sio_ack_add(&table, &entry, 3), 0);
    assert_int_equal(sio_ack_add(&table, &entry, 3), CARAFE_ERR_TOO_MANY);
    sio_ack_entry taken;
    assert_true(sio_ack_take(&table, 1, &taken));
    assert_int_equal(sio_ack_add(&table, &entry, 3), 0);
    assert_int_equal(table.open_count, 3);
}

/* Events of several threads reach a worker in another order than they got their ids. */
static void test_sio_ack_ids_out_of_order_are_found(void **state)
{
    (void)state;
    static const uint64_t ids[] = { 5, 3, 9, 4, 8, 1, 7, 2, 6 };
    enum { COUNT = sizeof(ids) / sizeof(*ids) };
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(add(ids[i]), 0);
    for (uint64_t id = 1; id <= COUNT; id++)
        expect_taken(id, true);
}

/* One answer that never comes must not make the table grow with all that come behind it. */
static void test_sio_ack_answer_that_never_comes_does_not_pile_up_others(void **state)
{
    (void)state;
    assert_int_equal(add(0), 0);
    for (uint64_t id = 1; id < 100000; id++) {
        assert_int_equal(add(id), 0);
        expect_taken(id, true);
    }
    assert_true(table.cap <= 8);
    expect_taken(0, true);
}

static void test_sio_ack_against_a_naive_model(void **state)
{
    (void)state;
    enum { IDS = 64, ROUNDS = 200000 };
    bool is_open[IDS + ROUNDS] = { 0 };
    uint64_t next = 0;
    size_t open = 0;
    srand(1);
    for (int round = 0; round < ROUNDS; round++) {
        if (rand() % 2 && open < IDS) {
            /* Two at a time in the wrong order, now and then. */
            uint64_t count = rand() % 4 == 0 ? 2 : 1;
            for (uint64_t k = count; k-- > 0;) {
                assert_int_equal(add(next + k), 0);
                is_open[next + k] = true;
            }
            next += count;
            open += count;
        } else if (next) {
            uint64_t id = next - 1 - (uint64_t)rand() % (next < 100 ? next : 100);
            expect_taken(id, is_open[id]);
            open -= is_open[id];
            is_open[id] = false;
        }
        assert_int_equal(table.open_count, open);
        assert_true(table.cap <= 1024);
        if (next + 2 >= IDS + ROUNDS)
            break;
        if (open == IDS) { /* those out of reach of the window go */
            for (uint64_t id = 0; id < next; id++) {
                if (is_open[id])
                    expect_taken(id, true);
                is_open[id] = false;
            }
            open = 0;
        }
    }
}

static void test_sio_ack_without_memory_leaves_the_table_as_it_was(void **state)
{
    (void)state;
    mem_fail_after(1);
    assert_int_equal(add(1), CARAFE_ERR_NOMEM);
    mem_fail_never();
    assert_int_equal(table.open_count, 0);
    for (uint64_t id = 0; id < 4; id++)
        assert_int_equal(add(id), 0);
    mem_fail_after(1);
    assert_int_equal(add(4), CARAFE_ERR_NOMEM);
    mem_fail_never();
    for (uint64_t id = 0; id < 4; id++)
        expect_taken(id, true);
}

/* ---- calls ---- */

static void test_sio_call_answer_that_is_there_is_not_waited_for(void **state)
{
    (void)state;
    sio_call_state *call = sio_call_new();
    sio_call_complete(call, json_integer(1));
    sio_call_complete(call, json_integer(2)); /* the first counts */
    json_t *answer = sio_call_wait(call, 60000);
    assert_int_equal(json_integer_value(answer), 1);
    json_decref(answer);
    sio_call_unref(call);
}

static void test_sio_call_time_out_gives_null_and_drops_a_late_answer(void **state)
{
    (void)state;
    sio_call_state *call = sio_call_new();
    assert_null(sio_call_wait(call, 0));
    sio_call_complete(call, json_integer(1));
    sio_call_unref(call);
    sio_call_unref(NULL);
}

static void *complete_main(void *arg)
{
    sio_call_complete(arg, json_integer(3));
    sio_call_unref(arg);
    return NULL;
}

static void test_sio_call_thread_waits_for_another(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        sio_call_state *call = sio_call_new();
        atomic_fetch_add(&call->refs, 1);
        assert_int_equal(pthread_create(&thread, NULL, complete_main, call), 0);
        json_t *answer = sio_call_wait(call, 60000);
        assert_int_equal(json_integer_value(answer), 3);
        json_decref(answer);
        pthread_join(thread, NULL);
        sio_call_unref(call);
    }
}

static void test_sio_ack_drop_all_tells_who_waits(void **state)
{
    (void)state;
    sio_call_state *call = sio_call_new();
    atomic_fetch_add(&call->refs, 1);
    sio_ack_entry entry = { .id = 7, .call = call };
    assert_int_equal(sio_ack_add(&table, &entry, 10), 0);
    sio_ack_drop_all(&table);
    assert_true(call->is_done);
    assert_null(sio_call_wait(call, 60000));
    sio_call_unref(call);
    expect_taken(7, false);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sio_ack_each_id_is_taken_once),
        TEST(test_sio_ack_max_is_n),
        TEST(test_sio_ack_ids_out_of_order_are_found),
        TEST(test_sio_ack_answer_that_never_comes_does_not_pile_up_others),
        TEST(test_sio_ack_against_a_naive_model),
        TEST(test_sio_ack_without_memory_leaves_the_table_as_it_was),
        TEST(test_sio_call_answer_that_is_there_is_not_waited_for),
        TEST(test_sio_call_time_out_gives_null_and_drops_a_late_answer),
        TEST(test_sio_call_thread_waits_for_another),
        TEST(test_sio_ack_drop_all_tells_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
