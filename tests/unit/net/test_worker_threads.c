/* net/worker between threads: posts, calls, stopping. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/memory.h"

static worker w[2];
static int64_t blocks_before;

static int set_up(void **state)
{
    (void)state;
    blocks_before = mem_blocks_in_use();
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(worker_init(&w[i], i, 0), 0);
        assert_int_equal(worker_start(&w[i]), 0);
    }
    return 0;
}

static void stop_here(worker *on, worker_task *task)
{
    (void)task;
    worker_stop(on);
}

static void stop_and_join(worker *on)
{
    worker_task stop = {.fn = stop_here};
    assert_int_equal(worker_post(on, &stop), 0);
    worker_join(on);
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        if (w[i].is_started)
            stop_and_join(&w[i]);
        worker_deinit(&w[i]);
    }
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

/* ---- posts ---- */

enum { SENDER_COUNT = 4, POST_COUNT = 5000 };

typedef struct numbered {
    worker_task task;
    int sender;
    int number;
} numbered;

static int last_number[SENDER_COUNT]; /* the worker's */
static int out_of_order;

static void on_numbered(worker *on, worker_task *task)
{
    numbered *n = LIST_ENTRY(task, numbered, task);
    if (on != &w[0] || worker_current() != &w[0] || n->number != last_number[n->sender] + 1)
        out_of_order++;
    last_number[n->sender] = n->number;
    free(n);
}

static void *send_numbered(void *arg)
{
    int sender = (int)(intptr_t)arg;
    for (int i = 1; i <= POST_COUNT; i++) {
        numbered *n = malloc(sizeof(*n));
        *n = (numbered){.task.fn = on_numbered, .sender = sender, .number = i};
        if (worker_post(&w[0], &n->task) < 0) {
            free(n);
            return (void *)(intptr_t)i;
        }
    }
    return (void *)(intptr_t)(POST_COUNT + 1);
}

static void nothing(worker *on, void *arg)
{
    (void)on, (void)arg;
}

static void test_worker_post_keeps_the_order_of_each_sender(void **state)
{
    (void)state;
    pthread_t threads[SENDER_COUNT];
    for (intptr_t i = 0; i < SENDER_COUNT; i++) {
        last_number[i] = 0;
        assert_int_equal(pthread_create(&threads[i], NULL, send_numbered, (void *)i), 0);
    }
    for (int i = 0; i < SENDER_COUNT; i++)
        pthread_join(threads[i], NULL);
    /* A call stands behind all that was posted before. */
    assert_int_equal(worker_call(&w[0], nothing, NULL), 0);
    for (int i = 0; i < SENDER_COUNT; i++)
        assert_int_equal(last_number[i], POST_COUNT);
    assert_int_equal(out_of_order, 0);
}

static void test_worker_posts_that_were_taken_run_even_when_it_stops(void **state)
{
    (void)state;
    pthread_t threads[SENDER_COUNT];
    void *first_refused[SENDER_COUNT];
    for (intptr_t i = 0; i < SENDER_COUNT; i++) {
        last_number[i] = 0;
        assert_int_equal(pthread_create(&threads[i], NULL, send_numbered, (void *)i), 0);
    }
    stop_and_join(&w[0]);
    for (int i = 0; i < SENDER_COUNT; i++)
        pthread_join(threads[i], &first_refused[i]);
    for (int i = 0; i < SENDER_COUNT; i++)
        assert_int_equal(last_number[i], (int)(intptr_t)first_refused[i] - 1);
    assert_int_equal(out_of_order, 0);
}

static bool has_run;

static void note_run(worker *on, worker_task *task)
{
    (void)on, (void)task;
    has_run = true;
}

static worker_task last_task = {.fn = note_run};

static void post_and_stop(worker *on, worker_task *task)
{
    (void)task;
    if (worker_post(on, &last_task) == 0)
        worker_stop(on);
}

static void test_worker_post_that_the_loop_did_not_see_runs_at_the_end(void **state)
{
    (void)state;
    worker_task task = {.fn = post_and_stop};
    has_run = false;
    assert_int_equal(worker_post(&w[0], &task), 0);
    worker_join(&w[0]);
    assert_true(has_run);
}

static void test_worker_post_after_the_end_is_refused(void **state)
{
    (void)state;
    stop_and_join(&w[0]);
    worker_task task = {.fn = stop_here};
    assert_int_equal(worker_post(&w[0], &task), CARAFE_ERR_STOPPING);
    assert_int_equal(worker_call(&w[0], nothing, NULL), CARAFE_ERR_STOPPING);
}

/* ---- calls ---- */

typedef struct call_note {
    worker *ran_on;
    worker *called_on;
    int count;
    int result;
    int inner_result;
} call_note;

static void note_call(worker *on, void *arg)
{
    call_note *note = arg;
    note->called_on = on;
    note->ran_on = worker_current();
    note->count++;
}

static void test_worker_call_from_a_thread_waits_for_the_end(void **state)
{
    (void)state;
    call_note note = {0};
    for (int i = 0; i < 200; i++)
        assert_int_equal(worker_call(&w[i % 2], note_call, &note), 0);
    assert_int_equal(note.count, 200);
    assert_ptr_equal(note.ran_on, &w[1]);
    assert_ptr_equal(note.called_on, &w[1]);
}

static void call_itself(worker *on, void *arg)
{
    call_note *note = arg;
    note->inner_result = worker_call(on, note_call, note);
    note->count++;
}

static void test_worker_call_on_itself_is_a_plain_call(void **state)
{
    (void)state;
    call_note note = {0};
    assert_int_equal(worker_call(&w[0], call_itself, &note), 0);
    assert_int_equal(note.inner_result, 0);
    assert_int_equal(note.count, 2);
}

enum { CALLER_COUNT = 50, CALLS_EACH = 20 };

/* Coroutines of both workers, which call the other one crosswise. */
static atomic_int callers_left;
static atomic_int calls_wrong;
static pthread_mutex_t done_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;

static void call_the_other(void *arg)
{
    worker *here = arg;
    worker *other = here == &w[0] ? &w[1] : &w[0];
    for (int i = 0; i < CALLS_EACH; i++) {
        call_note note = {0};
        int result = worker_call(other, note_call, &note);
        if (result < 0 || note.count != 1 || note.ran_on != other || worker_current() != here)
            atomic_fetch_add(&calls_wrong, 1);
    }
    pthread_mutex_lock(&done_lock);
    atomic_fetch_sub(&callers_left, 1);
    pthread_cond_signal(&done);
    pthread_mutex_unlock(&done_lock);
}

static void spawn_callers(worker *on, void *arg)
{
    (void)arg;
    for (int i = 0; i < CALLER_COUNT; i++)
        if (worker_spawn(on, call_the_other, on) < 0)
            atomic_fetch_add(&calls_wrong, 1);
}

static void test_worker_call_from_coroutines_of_another_worker_does_not_block_it(void **state)
{
    (void)state;
    callers_left = 2 * CALLER_COUNT;
    calls_wrong = 0;
    for (int i = 0; i < 2; i++)
        assert_int_equal(worker_call(&w[i], spawn_callers, NULL), 0);
    pthread_mutex_lock(&done_lock);
    while (callers_left)
        pthread_cond_wait(&done, &done_lock);
    pthread_mutex_unlock(&done_lock);
    assert_int_equal(calls_wrong, 0);
}

static int refused_result;

static void call_ended_worker(void *arg)
{
    refused_result = worker_call(&w[0], nothing, arg);
}

static void spawn_refused(worker *on, void *arg)
{
    if (worker_spawn(on, call_ended_worker, arg) < 0)
        refused_result = 1;
}

static void test_worker_call_of_an_ended_worker_from_a_coroutine_is_refused(void **state)
{
    (void)state;
    stop_and_join(&w[0]);
    refused_result = 0;
    assert_int_equal(worker_call(&w[1], spawn_refused, NULL), 0);
    assert_int_equal(refused_result, CARAFE_ERR_STOPPING);
}

/* ---- the thread ---- */

static void read_mask(worker *on, void *arg)
{
    (void)on;
    pthread_sigmask(SIG_SETMASK, NULL, arg);
}

static void test_worker_thread_takes_faults_only(void **state)
{
    (void)state;
    sigset_t mask, before;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_false(sigismember(&before, SIGTERM));
    assert_int_equal(worker_call(&w[0], read_mask, &mask), 0);
    assert_true(sigismember(&mask, SIGTERM) && sigismember(&mask, SIGINT));
    assert_true(sigismember(&mask, SIGPIPE));
    assert_false(sigismember(&mask, SIGSEGV) || sigismember(&mask, SIGABRT));
}

static void ignore_data(net_conn *c, uint8_t *data, size_t len)
{
    (void)c, (void)data, (void)len;
}

static net_close ended_for;

static void on_end(net_conn *c, net_close reason)
{
    (void)c;
    ended_for = reason;
}

static const net_protocol ending = {.on_data = ignore_data, .on_close = on_end};

static void connect_here(worker *on, void *arg)
{
    *(net_memory **)arg = net_memory_new(on, &ending, NULL);
}

static void test_worker_stop_cuts_its_connections(void **state)
{
    (void)state;
    net_memory *m = NULL;
    ended_for = NET_CLOSE_LOCAL;
    assert_int_equal(worker_call(&w[0], connect_here, &m), 0);
    assert_non_null(m);
    stop_and_join(&w[0]);
    assert_int_equal(ended_for, NET_CLOSE_STOPPING);
    assert_null(m->conn);
    net_memory_free(m);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_worker_post_keeps_the_order_of_each_sender),
        TEST(test_worker_posts_that_were_taken_run_even_when_it_stops),
        TEST(test_worker_post_that_the_loop_did_not_see_runs_at_the_end),
        TEST(test_worker_post_after_the_end_is_refused),
        TEST(test_worker_call_from_a_thread_waits_for_the_end),
        TEST(test_worker_call_on_itself_is_a_plain_call),
        TEST(test_worker_call_from_coroutines_of_another_worker_does_not_block_it),
        TEST(test_worker_call_of_an_ended_worker_from_a_coroutine_is_refused),
        TEST(test_worker_thread_takes_faults_only),
        TEST(test_worker_stop_cuts_its_connections),
    };
    return cmocka_run_group_tests_name("net/worker threads", tests, NULL, NULL);
}
