/* net/worker on one thread: time, coroutines, the end of the turn. Between threads:
 * test_worker_threads.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/memory.h"

static worker w;
static int64_t blocks_before;
static char story[256]; /* what happened, a letter each */

static void tell(char what)
{
    size_t len = strlen(story);
    assert_true(len + 1 < sizeof(story));
    story[len] = what;
    story[len + 1] = '\0';
}

static int set_up(void **state)
{
    (void)state;
    story[0] = '\0';
    blocks_before = mem_blocks_in_use();
    assert_int_equal(worker_init(&w, 3, 0), 0);
    worker_set_now(&w, worker_now(&w));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    worker_deinit(&w);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

static void turn(void)
{
    worker_turn(&w, false);
}

static void pass_time(uint64_t ms)
{
    worker_set_now(&w, worker_now(&w) + ms);
    turn();
}

/* ---- time ---- */

typedef struct letter_timer {
    wheel_timer timer;
    char letter;
} letter_timer;

static void on_letter(wheel_timer *timer)
{
    tell(LIST_ENTRY(timer, letter_timer, timer)->letter);
}

static void test_worker_timers_fire_in_order_when_due(void **state)
{
    (void)state;
    static const uint64_t delays[] = {500, 0, 1, 70000, 64, 1};
    letter_timer timers[6];
    for (int i = 0; i < 6; i++) {
        timers[i].letter = (char)('a' + i);
        wheel_timer_init(&timers[i].timer, on_letter);
        worker_timer_start(&w, &timers[i].timer, delays[i]);
    }
    worker_set_now(&w, worker_now(&w));
    assert_string_equal(story, "b");
    pass_time(1);
    assert_string_equal(story, "bcf");
    pass_time(498);
    assert_string_equal(story, "bcfe");
    pass_time(1);
    assert_string_equal(story, "bcfea");
    wheel_cancel(&timers[3].timer);
    pass_time(100000);
    assert_string_equal(story, "bcfea");
}

static void test_worker_timers_fire_through_the_loops_own_clock(void **state)
{
    (void)state;
    w.manual_clock = false;
    letter_timer timers[3];
    for (int i = 0; i < 3; i++) {
        timers[i].letter = (char)('a' + i);
        wheel_timer_init(&timers[i].timer, on_letter);
    }
    worker_update_now(&w);
    worker_timer_start(&w, &timers[2].timer, 3 * 3600 * 1000);
    worker_turn(&w, false); /* the loop waits for that one now, and must be told of earlier ones */
    worker_timer_start(&w, &timers[0].timer, 2);
    worker_timer_start(&w, &timers[1].timer, 5);
    uint64_t began_ms = uv_hrtime() / 1000000;
    while (strlen(story) < 2)
        worker_turn(&w, true);
    assert_string_equal(story, "ab");
    assert_in_range(uv_hrtime() / 1000000 - began_ms, 3, 30000);
    wheel_cancel(&timers[2].timer);
}

/* ---- coroutines ---- */

static coro *waiting[3];
static int slept[3];

static void wait_twice(void *arg)
{
    int i = (int)(intptr_t)arg;
    waiting[i] = coro_current();
    tell((char)('a' + i));
    coro_suspend();
    tell((char)('A' + i));
    coro_suspend();
    tell('.');
}

static void test_worker_spawn_runs_at_once_and_wake_at_the_end_of_the_turn(void **state)
{
    (void)state;
    assert_int_equal(worker_spawn(&w, wait_twice, (void *)(intptr_t)0), 0);
    assert_int_equal(worker_spawn(&w, wait_twice, (void *)(intptr_t)1), 0);
    assert_string_equal(story, "ab");
    turn();
    assert_string_equal(story, "ab");
    worker_wake(&w, waiting[1]);
    worker_wake(&w, waiting[0]);
    worker_wake(&w, waiting[1]);
    assert_string_equal(story, "ab");
    turn();
    assert_string_equal(story, "abBA");
    worker_wake(&w, waiting[0]);
    turn();
    worker_wake(&w, waiting[1]);
    turn();
    assert_string_equal(story, "abBA..");
}

static int rounds_left;

static void wake_the_other(void *arg)
{
    int i = (int)(intptr_t)arg;
    waiting[i] = coro_current();
    do {
        coro_suspend();
        tell((char)('a' + i));
        worker_wake(&w, waiting[!i]);
    } while (--rounds_left > 1);
}

static void test_worker_coroutines_that_wake_each_other_do_not_starve_the_loop(void **state)
{
    (void)state;
    rounds_left = 6;
    assert_int_equal(worker_spawn(&w, wake_the_other, (void *)(intptr_t)0), 0);
    assert_int_equal(worker_spawn(&w, wake_the_other, (void *)(intptr_t)1), 0);
    worker_wake(&w, waiting[0]);
    /* A turn of a waiting loop has two ends, around its wait: each resumes one. A loop that waited
     * would never come back, as there is no event but the wake-ups themselves. */
    worker_turn(&w, true);
    assert_string_equal(story, "ab");
    worker_turn(&w, true);
    assert_string_equal(story, "abab");
    rounds_left = 2;
    worker_turn(&w, true);
    worker_turn(&w, false);
    assert_int_equal(coro_pool_in_use(&w.coros), 0);
}

static void sleeping(void *arg)
{
    int i = (int)(intptr_t)arg;
    slept[i] = worker_sleep(&w, 10 * (uint64_t)(i + 1));
    tell((char)('a' + i));
}

static void test_worker_sleep_ends_on_time(void **state)
{
    (void)state;
    for (intptr_t i = 2; i >= 0; i--)
        assert_int_equal(worker_spawn(&w, sleeping, (void *)i), 0);
    pass_time(9);
    assert_string_equal(story, "");
    pass_time(1);
    assert_string_equal(story, "a");
    pass_time(20);
    assert_string_equal(story, "abc");
    assert_int_equal(slept[0] | slept[1] | slept[2], 0);
    assert_int_equal(coro_pool_in_use(&w.coros), 0);
}

static void test_worker_set_stopping_wakes_sleepers_and_refuses_new_ones(void **state)
{
    (void)state;
    memset(slept, 0, sizeof(slept));
    for (intptr_t i = 0; i < 2; i++)
        assert_int_equal(worker_spawn(&w, sleeping, (void *)i), 0);
    worker_set_now(&w, worker_now(&w) + 10); /* the first is due, but has not gone on yet */
    worker_set_stopping(&w);
    worker_set_stopping(&w);
    assert_string_equal(story, "");
    turn();
    assert_string_equal(story, "ab");
    assert_int_equal(slept[0], CARAFE_ERR_STOPPING);
    assert_int_equal(slept[1], CARAFE_ERR_STOPPING);
    assert_int_equal(worker_spawn(&w, sleeping, (void *)(intptr_t)2), 0);
    assert_string_equal(story, "abc");
    assert_int_equal(slept[2], CARAFE_ERR_STOPPING);
    pass_time(1000);
    assert_string_equal(story, "abc");
}

/* ---- the end of the turn ---- */

typedef struct letter_task {
    worker_task task;
    worker_release release;
    char letter;
    struct letter_task *next; /* queued by this one */
} letter_task;

static void on_task(worker *on, worker_task *task)
{
    letter_task *t = LIST_ENTRY(task, letter_task, task);
    assert_ptr_equal(on, &w);
    assert_ptr_equal(worker_current(), &w);
    tell(t->letter);
    if (t->next)
        worker_at_turn_end(&w, &t->next->task);
}

static void on_release(worker_release *release)
{
    letter_task *t = LIST_ENTRY(release, letter_task, release);
    tell(t->letter);
    if (t->next)
        worker_release_later(&w, &t->next->release);
}

static void test_worker_at_turn_end_runs_once_in_order(void **state)
{
    (void)state;
    letter_task again = {.task.fn = on_task, .letter = 'z'};
    letter_task tasks[] = {
        {.task.fn = on_task, .letter = 'a', .next = &again},
        {.task.fn = on_task, .letter = 'b'},
        {.task.fn = on_task, .letter = 'c'},
    };
    for (int i = 0; i < 3; i++)
        worker_at_turn_end(&w, &tasks[i].task);
    assert_string_equal(story, "");
    worker_turn(&w, true); /* the task queued by a task must not wait for an event */
    assert_string_equal(story, "abcz");
    worker_at_turn_end(&w, &tasks[1].task);
    turn();
    turn();
    assert_string_equal(story, "abczb");
}

static void test_worker_release_later_comes_last_and_may_release_more(void **state)
{
    (void)state;
    letter_task last = {.release.fn = on_release, .letter = '!'};
    letter_task freed = {.release.fn = on_release, .letter = 'x', .next = &last};
    letter_task task = {.task.fn = on_task, .letter = 'a'};
    worker_release_later(&w, &freed.release);
    worker_at_turn_end(&w, &task.task);
    assert_string_equal(story, "");
    worker_turn(&w, true);
    assert_string_equal(story, "ax!");
}

static void test_worker_releases_at_its_end(void **state)
{
    (void)state;
    letter_task last = {.release.fn = on_release, .letter = '!'};
    letter_task more = {.release.fn = on_release, .letter = 'y', .next = &last};
    letter_task freed = {.release.fn = on_release, .letter = 'x', .next = &more};
    letter_task task = {.task.fn = on_task, .letter = 'a'};
    worker_release_later(&w, &freed.release);
    worker_at_turn_end(&w, &task.task);
    worker_deinit(&w);
    assert_string_equal(story, "axy!");
    assert_int_equal(worker_init(&w, 0, 0), 0); /* for tear_down */
}

static void ignore_data(net_conn *c, uint8_t *data, size_t len)
{
    (void)c, (void)data, (void)len;
}

static void ignore_close(net_conn *c, net_close reason)
{
    (void)c, (void)reason;
}

static const net_protocol ignoring = {.on_data = ignore_data, .on_close = ignore_close};
static net_memory *late;

static void write_late(worker *on, worker_task *task)
{
    (void)on, (void)task;
    assert_int_equal(net_conn_write(late->conn, "late", 4), 0);
}

static void write_at_release(worker_release *release)
{
    (void)release;
    assert_int_equal(net_conn_write(late->conn, "st", 2), 0);
}

static void test_worker_output_made_at_the_end_of_the_turn_leaves_in_it(void **state)
{
    (void)state;
    worker_task task = {.fn = write_late};
    late = net_memory_new(&w, &ignoring, NULL);
    worker_at_turn_end(&w, &task);
    turn();
    assert_int_equal(buf_readable(&late->out), 4);
    worker_release release = {.fn = write_at_release};
    worker_release_later(&w, &release);
    worker_turn(&w, true); /* too late for this turn, but the next one must not wait */
    assert_int_equal(buf_readable(&late->out), 6);
    net_memory_free(late);
}

/* ---- life cycle ---- */

static void test_worker_posted_tasks_run_in_the_next_turn(void **state)
{
    (void)state;
    letter_task tasks[] = {{.task.fn = on_task, .letter = 'a'},
                           {.task.fn = on_task, .letter = 'b'}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(worker_post(&w, &tasks[i].task), 0);
    assert_string_equal(story, "");
    turn();
    assert_string_equal(story, "ab");
    for (int i = 0; i < 2; i++)
        assert_int_equal(worker_post(&w, &tasks[i].task), 0);
    worker_deinit(&w);
    assert_string_equal(story, "abab");
    assert_int_equal(worker_init(&w, 0, 0), 0);
}

static void test_worker_current_is_none_outside_of_a_turn(void **state)
{
    (void)state;
    assert_null(worker_current());
    turn();
    assert_null(worker_current());
}

static void test_worker_init_without_memory_fails(void **state)
{
    (void)state;
    worker other;
    mem_fail_after(1);
    int result = worker_init(&other, 0, 0);
    mem_fail_never();
    assert_int_equal(result, CARAFE_ERR_NOMEM);
}

/* In a child: with `free_fds` descriptors. The exit status is 0 when it worked, 1 when it failed as
 * it should. */
static int init_with_few_descriptors(int free_fds)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20);
        worker other;
        int next_fd = dup(0);
        close(next_fd);
        struct rlimit before_limit, limit;
        getrlimit(RLIMIT_NOFILE, &before_limit);
        limit = before_limit;
        limit.rlim_cur = (rlim_t)(next_fd + free_fds);
        int64_t before = mem_blocks_in_use();
        setrlimit(RLIMIT_NOFILE, &limit);
        int result = worker_init(&other, 0, 0);
        if (result == 0)
            worker_deinit(&other);
        setrlimit(RLIMIT_NOFILE, &before_limit);
        /* libuv 1.44 leaves its epoll descriptor open when uv_loop_init() fails behind it. */
        bool is_clean = mem_blocks_in_use() == before && dup(0) <= next_fd + 1;
        _exit(!is_clean ? 3 : result == 0 ? 0 : result == CARAFE_ERR_SYSTEM ? 1 : 2);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_worker_init_without_descriptors_fails_cleanly(void **state)
{
    (void)state;
    int failures = 0, result;
    while ((result = init_with_few_descriptors(failures)) != 0) {
        assert_int_equal(result, 1);
        failures++;
        assert_true(failures < 50);
    }
    assert_true(failures > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_worker_timers_fire_in_order_when_due),
        TEST(test_worker_timers_fire_through_the_loops_own_clock),
        TEST(test_worker_spawn_runs_at_once_and_wake_at_the_end_of_the_turn),
        TEST(test_worker_coroutines_that_wake_each_other_do_not_starve_the_loop),
        TEST(test_worker_sleep_ends_on_time),
        TEST(test_worker_set_stopping_wakes_sleepers_and_refuses_new_ones),
        TEST(test_worker_at_turn_end_runs_once_in_order),
        TEST(test_worker_release_later_comes_last_and_may_release_more),
        TEST(test_worker_releases_at_its_end),
        TEST(test_worker_output_made_at_the_end_of_the_turn_leaves_in_it),
        TEST(test_worker_posted_tasks_run_in_the_next_turn),
        TEST(test_worker_current_is_none_outside_of_a_turn),
        TEST(test_worker_init_without_memory_fails),
        TEST(test_worker_init_without_descriptors_fails_cleanly),
    };
    return cmocka_run_group_tests_name("net/worker", tests, NULL, NULL);
}
