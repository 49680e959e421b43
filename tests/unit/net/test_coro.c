#include "net/coro.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <execinfo.h>
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <cmocka.h>

#include "base/mem.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#endif

#if defined(WITH_TSAN)
enum { MANY = 500 }; /* TSan reserves megabytes a fiber */
#else
enum { MANY = 5000 };
#endif
#if defined(WITH_ASAN) || defined(WITH_TSAN)
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

/* A failed cmocka assertion jumps off the coroutine's stack; so coroutines write down what they
 * saw, mostly a letter a step, and the tests check that outside. */
static char trace[256];

static void step(char letter)
{
    size_t len = strlen(trace);
    assert(len + 1 < sizeof trace);
    trace[len] = letter;
    trace[len + 1] = '\0';
}

static int setup(void **state)
{
    static coro_pool pool;
    coro_pool_init(&pool, 0, 0);
    trace[0] = '\0';
    *state = &pool;
    return 0;
}

static int teardown(void **state)
{
    coro_pool_deinit(*state);
    return 0;
}

static void run(coro_pool *pool, coro_fn *fn, void *arg)
{
    int result = coro_run(pool, fn, arg);
    assert_int_equal(result, 0);
}

/* Runs to its first wait, and tells by `*arg` which coroutine it is. */
static void wait_once(void *arg)
{
    coro **self = arg;
    *self = coro_current();
    coro_suspend();
    *self = NULL;
}

static void step_a(void *arg)
{
    step('a');
    *(coro **)arg = coro_current();
}

static void test_coro_run_of_a_function_that_ends_returns_then(void **state)
{
    coro_pool *pool = *state;
    coro *self = NULL;
    assert_null(coro_current());
    run(pool, step_a, &self);
    assert_string_equal(trace, "a");
    assert_non_null(self);
    assert_null(coro_current());
    assert_int_equal(coro_pool_in_use(pool), 0);
    assert_int_equal(pool->count, 1);
    assert_int_equal(pool->idle_count, 1);
}

static void step_three_times(void *arg)
{
    coro **self = arg;
    *self = coro_current();
    for (char letter = 'a'; letter < 'd'; letter++) {
        step(letter);
        coro_suspend();
        if (coro_current() != *self)
            step('!');
    }
    step('.');
}

static void test_coro_suspend_returns_to_the_caller_until_resumed(void **state)
{
    coro_pool *pool = *state;
    coro *self;
    run(pool, step_three_times, &self);
    for (int i = 0; i < 3; i++) {
        step('-');
        assert_null(coro_current());
        assert_int_equal(coro_pool_in_use(pool), 1);
        coro_resume(self);
    }
    assert_string_equal(trace, "a-b-c-.");
    assert_int_equal(coro_pool_in_use(pool), 0);
}

typedef struct nest {
    coro_pool *pool;
    coro *outer;
    coro *inner;
} nest;

static void nest_inner(void *arg)
{
    nest *n = arg;
    n->inner = coro_current();
    step('i');
    coro_suspend();
    step('I');
}

static void nest_outer(void *arg)
{
    nest *n = arg;
    n->outer = coro_current();
    step('o');
    if (coro_run(n->pool, nest_inner, n) != 0 || coro_current() != n->outer)
        step('!');
    step('p');
    coro_suspend();
    step('q');
    coro_resume(n->inner);
    if (coro_current() != n->outer)
        step('!');
    step('O');
}

static void test_coro_run_in_a_coroutine_returns_to_it(void **state)
{
    nest n = { .pool = *state };
    run(n.pool, nest_outer, &n);
    assert_string_equal(trace, "oip");
    assert_int_equal(coro_pool_in_use(n.pool), 2);
    coro_resume(n.outer);
    assert_string_equal(trace, "oipqIO");
    assert_int_equal(coro_pool_in_use(n.pool), 0);
}

static void test_coro_resume_by_another_than_its_starter_returns_to_the_resumer(void **state)
{
    nest n = { .pool = *state };
    coro *other;
    run(n.pool, nest_outer, &n);
    coro_resume(n.inner);
    assert_string_equal(trace, "oipI");
    /* The inner one's object is free for a new one, which the outer one resumes in its place. */
    run(n.pool, wait_once, &other);
    assert_ptr_equal(other, n.inner);
    coro_resume(n.outer);
    assert_null(other);
    assert_string_equal(trace, "oipIqO");
}

enum { DEEP = 50 };

typedef struct tower {
    coro_pool *pool;
    coro *floors[DEEP];
    int height;
    int errors;
} tower;

static void build_floor(void *arg)
{
    tower *t = arg;
    int floor = t->height++;
    t->floors[floor] = coro_current();
    if (t->height < DEEP && coro_run(t->pool, build_floor, t) != 0)
        t->errors++;
    coro_suspend();
    if (coro_current() != t->floors[floor])
        t->errors++;
    if (floor > 0)
        coro_resume(t->floors[floor - 1]);
    t->height--;
}

static void test_coro_resume_nested_deeply_unwinds(void **state)
{
    tower t = { .pool = *state };
    run(t.pool, build_floor, &t);
    assert_int_equal(t.height, DEEP);
    assert_int_equal(coro_pool_in_use(t.pool), DEEP);
    assert_null(coro_current());
    coro_resume(t.floors[DEEP - 1]);
    assert_int_equal(t.height, 0);
    assert_int_equal(t.errors, 0);
    assert_int_equal(coro_pool_in_use(t.pool), 0);
}

static void test_coro_many_suspended_at_once_all_end(void **state)
{
    coro_pool *pool = *state;
    coro **all = calloc(MANY, sizeof *all);
    list queue;
    list_init(&queue);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++)
            run(pool, wait_once, &all[i]);
        assert_int_equal(coro_pool_in_use(pool), MANY);
        for (int i = 0; i < MANY; i++)
            list_push_back(&queue, coro_link(all[i]));
        for (list *node; (node = list_pop_front(&queue));)
            coro_resume(coro_of_link(node));
        for (int i = 0; i < MANY; i++)
            assert_null(all[i]);
        assert_int_equal(coro_pool_in_use(pool), 0);
        assert_true(pool->count <= pool->idle_count_max);
        assert_int_equal(pool->count, pool->idle_count);
    }
    free(all);
}

static void test_coro_run_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    coro_pool pool;
    coro *all[4] = { 0 };
    coro_pool_init(&pool, 0, 3);
    for (int i = 0; i < 3; i++)
        run(&pool, wait_once, &all[i]);
    assert_int_equal(coro_run(&pool, wait_once, &all[3]), CARAFE_ERR_TOO_MANY);
    assert_null(all[3]);
    coro_resume(all[1]);
    run(&pool, wait_once, &all[1]);
    assert_int_equal(coro_run(&pool, wait_once, &all[3]), CARAFE_ERR_TOO_MANY);
    for (int i = 0; i < 3; i++)
        coro_resume(all[i]);
    coro_pool_deinit(&pool);
}

static void test_coro_run_without_memory_is_refused(void **state)
{
    coro_pool *pool = *state;
    coro *self = NULL;
    mem_fail_after(1);
    int result = coro_run(pool, wait_once, &self);
    mem_fail_never();
    assert_int_equal(result, CARAFE_ERR_NOMEM);
    assert_null(self);
    assert_int_equal(pool->count, 0);
    run(pool, wait_once, &self);
    coro_resume(self);
}

static void test_coro_run_with_an_unmappable_stack_is_refused(void **state)
{
    (void)state;
    if (IS_SANITIZED)
        skip(); /* they abort the process when mmap fails */
    coro_pool pool;
    coro *self = NULL;
    int64_t blocks = mem_blocks_in_use();
    coro_pool_init(&pool, SIZE_MAX, 0);
    assert_int_equal(coro_run(&pool, wait_once, &self), CARAFE_ERR_NOMEM);
    assert_null(self);
    assert_int_equal(mem_blocks_in_use(), blocks);
    coro_pool_deinit(&pool);
}

static void test_coro_pool_reuses_the_stack_that_ended_last(void **state)
{
    coro_pool *pool = *state;
    coro *all[8], *names[8];
    for (int i = 0; i < 8; i++) {
        run(pool, wait_once, &all[i]);
        names[i] = all[i];
    }
    static const int ends[] = { 3, 0, 7, 1, 6, 2, 5, 4 };
    for (int i = 0; i < 8; i++)
        coro_resume(all[ends[i]]);
    for (int i = 7; i >= 0; i--) {
        run(pool, wait_once, &all[i]);
        assert_ptr_equal(all[i], names[ends[i]]);
    }
    assert_int_equal(pool->count, 8);
    for (int i = 0; i < 8; i++)
        coro_resume(all[i]);
}

static void test_coro_pool_idle_beyond_the_limit_is_unmapped(void **state)
{
    coro_pool *pool = *state;
    coro *all[10];
    pool->idle_count_max = 4;
    for (int i = 0; i < 10; i++)
        run(pool, wait_once, &all[i]);
    for (int i = 0; i < 10; i++) {
        coro_resume(all[i]);
        assert_int_equal(pool->idle_count, i < 4 ? i + 1 : 4);
        assert_int_equal(coro_pool_in_use(pool), 9 - i);
    }
    assert_int_equal(pool->count, 4);
}

typedef struct frame_note {
    coro *self;
    char *frame;
} frame_note;

static void note_frame(void *arg)
{
    frame_note *note = arg;
    note->self = coro_current();
    note->frame = __builtin_frame_address(0);
    coro_suspend();
}

static char *page_of(char *address)
{
    return address - (uintptr_t)address % (uintptr_t)sysconf(_SC_PAGESIZE);
}

static void test_coro_pool_idle_stacks_but_the_hottest_hold_no_pages(void **state)
{
    enum { COUNT = 200 };
    coro_pool *pool = *state;
    frame_note notes[COUNT];
    for (int round = 0; round < 2; round++) {
        int resident = 0;
        for (int i = 0; i < COUNT; i++)
            run(pool, note_frame, &notes[i]);
        for (int i = 0; i < COUNT; i++)
            coro_resume(notes[i].self);
        assert_int_equal(pool->idle_count, COUNT);
        for (int i = 0; i < COUNT; i++) {
            unsigned char in_core = 0;
            assert_int_equal(mincore(page_of(notes[i].frame), 1, &in_core), 0);
            resident += in_core & 1;
        }
        assert_in_range(resident, 1, COUNT - 1);
    }
}

static void test_coro_pool_deinit_unmaps_all_and_leaks_nothing(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    coro_pool pool;
    frame_note notes[COUNT];
    int64_t blocks = mem_blocks_in_use();
    coro_pool_init(&pool, 0, 0);
    for (int i = 0; i < COUNT; i++)
        run(&pool, note_frame, &notes[i]);
    assert_int_equal(mem_blocks_in_use(), blocks + COUNT);
    for (int i = 0; i < COUNT; i++)
        coro_resume(notes[i].self);
    coro_pool_deinit(&pool);
    assert_int_equal(mem_blocks_in_use(), blocks);
    /* Sanitizers may map something of their own there at once. */
    for (int i = 0; i < COUNT && !IS_SANITIZED; i++) {
        unsigned char in_core;
        assert_int_equal(mincore(page_of(notes[i].frame), 1, &in_core), -1);
    }
}

static void test_coro_pool_init_rounds_the_stack_size_to_pages(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    coro_pool pool;
    coro_pool_init(&pool, 0, 0);
    assert_int_equal(pool.stack_size, 256 * 1024);
    assert_int_equal(pool.count_max, 10000);
    coro_pool_init(&pool, 16 * page + 1, 7);
    assert_int_equal(pool.stack_size, 17 * page);
    assert_int_equal(pool.count_max, 7);
    coro_pool_init(&pool, 1, 0);
    assert_true(pool.stack_size >= 16 * 1024);
    coro_pool_deinit(&pool);
}

/* More live values than there are registers, so that all callee-saved ones are in use across the
 * switch; volatile keeps the compiler from computing them again. */
static void mix(long seed_value, void (*between)(void), long *long_sum, double *double_sum)
{
    volatile long seed = seed_value;
    long a = seed + 1, b = seed + 2, c = seed + 3, d = seed + 4, e = seed + 5, f = seed + 6;
    long g = seed + 7, h = seed + 8, i = seed + 9, j = seed + 10, k = seed + 11, l = seed + 12;
    double p = (double)seed * 1.5, q = (double)seed * 2.5, r = (double)seed * 3.5;
    double s = (double)seed * 4.5, t = (double)seed * 5.5, u = (double)seed * 6.5;
    double v = (double)seed * 7.5, w = (double)seed * 8.5, x = (double)seed * 9.5;
    between();
    *long_sum = a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j +
                11 * k + 12 * l;
    *double_sum = p + 2 * q + 3 * r + 4 * s + 5 * t + 6 * u + 7 * v + 8 * w + 9 * x;
}

static void do_nothing(void)
{
}

typedef struct mixer {
    coro *self;
    long seed;
    int errors;
} mixer;

static void mix_repeatedly(void *arg)
{
    mixer *m = arg;
    m->self = coro_current();
    for (long i = 0; i < 20; i++) {
        long want_long, got_long;
        double want_double, got_double;
        mix(m->seed + i, do_nothing, &want_long, &want_double);
        mix(m->seed + i, coro_suspend, &got_long, &got_double);
        if (want_long != got_long || memcmp(&want_double, &got_double, sizeof want_double) != 0)
            m->errors++;
    }
    m->self = NULL;
}

static mixer *mixer_next;

static void resume_mixer(void)
{
    coro_resume(mixer_next->self);
}

static void test_coro_switch_keeps_the_registers(void **state)
{
    coro_pool *pool = *state;
    mixer mixers[3] = { { .seed = 100 }, { .seed = 20000 }, { .seed = -7 } };
    for (int i = 0; i < 3; i++)
        run(pool, mix_repeatedly, &mixers[i]);
    for (int turn = 0; turn < 60; turn++) {
        long want_long, got_long;
        double want_double, got_double;
        mixer_next = &mixers[turn % 3];
        mix(turn, do_nothing, &want_long, &want_double);
        mix(turn, resume_mixer, &got_long, &got_double);
        assert_int_equal(got_long, want_long);
        assert_memory_equal(&got_double, &want_double, sizeof got_double);
    }
    for (int i = 0; i < 3; i++) {
        assert_null(mixers[i].self);
        assert_int_equal(mixers[i].errors, 0);
    }
}

/* x86-64 has two control words, and fegetround reads only that of the x87. The registers are
 * looked at, not a quotient, because valgrind keeps the state but rounds to nearest anyway. */
static unsigned second_control_word(void)
{
#if defined(__x86_64__)
    return _mm_getcsr() & _MM_ROUND_MASK;
#else
    return (unsigned)fegetround();
#endif
}

typedef struct rounding {
    coro *self;
    int at_start;
    int after_wait;
    unsigned second_before_wait;
    unsigned second_after_wait;
} rounding;

static void round_upward(void *arg)
{
    rounding *r = arg;
    r->self = coro_current();
    r->at_start = fegetround();
    fesetround(FE_UPWARD);
    r->second_before_wait = second_control_word();
    coro_suspend();
    r->after_wait = fegetround();
    r->second_after_wait = second_control_word();
}

static void test_coro_switch_keeps_the_floating_point_state(void **state)
{
    rounding r;
    assert_int_equal(fegetround(), FE_TONEAREST);
    unsigned second_nearest = second_control_word();
    fesetround(FE_DOWNWARD);
    run(*state, round_upward, &r);
    assert_int_equal(r.at_start, FE_DOWNWARD);
    assert_int_equal(fegetround(), FE_DOWNWARD);
    fesetround(FE_TONEAREST);
    coro_resume(r.self);
    assert_int_equal(fegetround(), FE_TONEAREST);
    assert_int_equal(second_control_word(), second_nearest);
    assert_int_equal(r.after_wait, FE_UPWARD);
    assert_int_equal(r.second_after_wait, r.second_before_wait);
    assert_int_not_equal(r.second_after_wait, second_nearest);
}

typedef struct deep {
    coro *self;
    uintptr_t misaligned;
    int errors;
} deep;

static void use_200_kilobytes(void *arg)
{
    deep *d = arg;
    volatile char room[200 * 1024];
    d->self = coro_current();
    d->misaligned = (uintptr_t)__builtin_frame_address(0) % 16;
    for (size_t i = sizeof room; i-- > 0;)
        room[i] = (char)i;
    coro_suspend();
    for (size_t i = 0; i < sizeof room; i++)
        d->errors += room[i] != (char)i;
}

static void test_coro_stack_of_default_size_holds_200_kilobytes(void **state)
{
    deep d = { .errors = 0 };
    for (int round = 0; round < 2; round++) {
        run(*state, use_200_kilobytes, &d);
        coro_resume(d.self);
        assert_int_equal(d.misaligned, 0);
        assert_int_equal(d.errors, 0);
    }
}

static volatile int endless = 1;

static int overflow(int depth)
{
    volatile char room[512];
    room[0] = (char)depth;
    return endless ? overflow(depth + 1) + room[0] : 0;
}

static void overflow_stack(void *arg)
{
    *(int *)arg = overflow(0);
}

static void test_coro_stack_overflow_hits_the_guard(void **state)
{
    if (IS_SANITIZED)
        skip(); /* they catch the signal */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int out;
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        signal(SIGSEGV, SIG_DFL);
        (void)!coro_run(*state, overflow_stack, &out);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

typedef struct trail {
    coro *self;
    int first;
    int second;
} trail;

static void take_backtrace(void *arg)
{
    trail *t = arg;
    void *frames[100];
    t->self = coro_current();
    t->first = backtrace(frames, 100);
    coro_suspend();
    t->second = backtrace(frames, 100);
}

static void test_coro_backtrace_ends_at_the_bottom_of_the_stack(void **state)
{
    trail t;
    run(*state, take_backtrace, &t);
    coro_resume(t.self);
    assert_in_range(t.first, 1, 6);
    assert_int_equal(t.second, t.first);
}

enum { THREAD_ROUNDS = 200, THREAD_COUNT_MAX = 50 };

/* A thread with a pool of its own; NULL when all went well. */
static void *work(void *arg)
{
    coro_pool pool;
    coro *all[THREAD_COUNT_MAX];
    void *result = NULL;
    coro_pool_init(&pool, 64 * 1024, 0);
    for (int round = 0; round < THREAD_ROUNDS; round++) {
        int count = round % THREAD_COUNT_MAX;
        for (int i = 0; i < count; i++)
            if (coro_run(&pool, wait_once, &all[i]) != 0 || coro_current())
                result = arg;
        for (int i = 0; i < count; i++) {
            coro_resume(all[i]);
            if (all[i])
                result = arg;
        }
    }
    coro_pool_deinit(&pool);
    return result;
}

static void test_coro_pools_of_two_threads_do_not_disturb_each_other(void **state)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, state), 0);
    for (int i = 0; i < 2; i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
}

static void leave_marks(void *arg)
{
    volatile char room[3000];
    for (size_t i = 0; i < sizeof room; i++)
        room[i] = 1;
    *(coro **)arg = coro_current();
    coro_suspend();
}

static void clear_a_large_room(void *arg)
{
    volatile char room[8000];
    for (size_t i = 0; i < sizeof room; i++)
        room[i] = 0;
    *(coro **)arg = coro_current();
}

/* Of worth under ASan, which must not take a frame of an earlier run for one of this run. */
static void test_coro_run_on_a_used_stack_finds_it_clean(void **state)
{
    coro *first, *second;
    run(*state, leave_marks, &first);
    coro *name = first;
    coro_resume(first);
    run(*state, clear_a_large_room, &second);
    assert_ptr_equal(second, name);
}

#define CORO_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CORO_TEST(test_coro_run_of_a_function_that_ends_returns_then),
        CORO_TEST(test_coro_suspend_returns_to_the_caller_until_resumed),
        CORO_TEST(test_coro_run_in_a_coroutine_returns_to_it),
        CORO_TEST(test_coro_resume_by_another_than_its_starter_returns_to_the_resumer),
        CORO_TEST(test_coro_resume_nested_deeply_unwinds),
        CORO_TEST(test_coro_many_suspended_at_once_all_end),
        CORO_TEST(test_coro_run_beyond_the_limit_is_refused),
        CORO_TEST(test_coro_run_without_memory_is_refused),
        CORO_TEST(test_coro_run_with_an_unmappable_stack_is_refused),
        CORO_TEST(test_coro_pool_reuses_the_stack_that_ended_last),
        CORO_TEST(test_coro_pool_idle_beyond_the_limit_is_unmapped),
        CORO_TEST(test_coro_pool_idle_stacks_but_the_hottest_hold_no_pages),
        CORO_TEST(test_coro_pool_deinit_unmaps_all_and_leaks_nothing),
        CORO_TEST(test_coro_pool_init_rounds_the_stack_size_to_pages),
        CORO_TEST(test_coro_switch_keeps_the_registers),
        CORO_TEST(test_coro_switch_keeps_the_floating_point_state),
        CORO_TEST(test_coro_stack_of_default_size_holds_200_kilobytes),
        CORO_TEST(test_coro_stack_overflow_hits_the_guard),
        CORO_TEST(test_coro_backtrace_ends_at_the_bottom_of_the_stack),
        CORO_TEST(test_coro_pools_of_two_threads_do_not_disturb_each_other),
        CORO_TEST(test_coro_run_on_a_used_stack_finds_it_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
