/* net/mailbox: order, closing, and the wake-up. Between threads: test_worker_threads.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/mailbox.h"

static uv_loop_t loop;
static uv_async_t wakeup;
static int wakeups;
static mailbox box;

static void on_wakeup(uv_async_t *async)
{
    (void)async;
    wakeups++;
}

static int set_up(void **state)
{
    (void)state;
    wakeups = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_async_init(&loop, &wakeup, on_wakeup), 0);
    mailbox_init(&box, &wakeup);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mailbox_deinit(&box);
    uv_close((uv_handle_t *)&wakeup, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

static void test_mailbox_take_gives_the_oldest_first_and_empties(void **state)
{
    (void)state;
    worker_task tasks[3];
    assert_null(mailbox_take(&box));
    for (int i = 0; i < 3; i++) {
        tasks[i].next = &tasks[0]; /* what stood there before does not matter */
        assert_int_equal(mailbox_post(&box, &tasks[i]), 0);
    }
    worker_task *first = mailbox_take(&box);
    assert_ptr_equal(first, &tasks[0]);
    assert_ptr_equal(first->next, &tasks[1]);
    assert_ptr_equal(first->next->next, &tasks[2]);
    assert_null(first->next->next->next);
    assert_null(mailbox_take(&box));
    assert_int_equal(mailbox_post(&box, &tasks[1]), 0);
    assert_ptr_equal(mailbox_take(&box), &tasks[1]);
    assert_null(tasks[1].next);
}

static void test_mailbox_post_wakes_the_loop(void **state)
{
    (void)state;
    worker_task tasks[2];
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(wakeups, 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(mailbox_post(&box, &tasks[i]), 0);
    uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(wakeups, 1);
}

static void test_mailbox_closed_refuses_and_keeps_what_it_took(void **state)
{
    (void)state;
    worker_task before, after;
    assert_int_equal(mailbox_post(&box, &before), 0);
    mailbox_close(&box);
    assert_int_equal(mailbox_post(&box, &after), CARAFE_ERR_STOPPING);
    mailbox_close(&box);
    assert_ptr_equal(mailbox_take(&box), &before);
    assert_null(before.next);
    assert_null(mailbox_take(&box));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_mailbox_take_gives_the_oldest_first_and_empties),
        TEST(test_mailbox_post_wakes_the_loop),
        TEST(test_mailbox_closed_refuses_and_keeps_what_it_took),
    };
    return cmocka_run_group_tests_name("net/mailbox", tests, NULL, NULL);
}
