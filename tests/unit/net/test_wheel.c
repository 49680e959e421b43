#include "net/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A timer that records when it fired, and may do something to the wheel. */
typedef struct probe {
    wheel_timer timer;
    wheel *w;
    int fired;
    uint64_t fired_at_ms; /* w->now_ms inside the callback */
    int order;            /* position among all that fired */
    void (*then)(struct probe *p);
    struct probe *other;
} probe;

static int order_next;

static void on_probe(wheel_timer *timer)
{
    probe *p = LIST_ENTRY(&timer->link, probe, timer.link);
    assert_false(wheel_timer_is_armed(timer));
    p->fired++;
    p->fired_at_ms = p->w->now_ms;
    p->order = order_next++;
    if (p->then)
        p->then(p);
}

static void probe_init(probe *p, wheel *w)
{
    memset(p, 0, sizeof *p);
    p->w = w;
    wheel_timer_init(&p->timer, on_probe);
}

static uint64_t random_state = 88172645463325252u;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static const uint64_t starts_ms[] = { 0, 1, 63, 64, 4095, 262143, 262144, 16777215, 16777216,
                                      1234567890123u };
enum { START_COUNT = sizeof starts_ms / sizeof starts_ms[0] };

/* Sleeps exactly as long as the wheel says until `p` fired; returns the wake-ups it took. */
static int sleep_until_fired(wheel *w, probe *p)
{
    int wakes = 0;
    while (!p->fired) {
        int64_t wait_ms = wheel_wait_ms(w);
        assert_true(wait_ms >= 0);
        assert_true(p->timer.expires_ms < w->now_ms ||
                    w->now_ms + (uint64_t)wait_ms <= p->timer.expires_ms);
        wheel_advance(w, w->now_ms + (uint64_t)wait_ms);
        wakes++;
    }
    return wakes;
}

static void test_wheel_empty_has_no_wait(void **state)
{
    (void)state;
    wheel w;
    wheel_init(&w, 1000);
    assert_int_equal(wheel_wait_ms(&w), -1);
    wheel_advance(&w, 100000000);
    assert_int_equal(wheel_wait_ms(&w), -1);
    assert_int_equal(w.now_ms, 100000000);
}

static void test_wheel_advance_at_boundaries_fires_at_the_exact_ms(void **state)
{
    (void)state;
    static const uint64_t delays_ms[] = {
        1,      2,      62,     63,     64,       65,       127,      128,      4031,     4032,
        4095,   4096,   4097,   8191,   8192,     262143,   262144,   262145,   524288,   16515071,
        16515072, 16777215, 16777216, 16777217, 16777280, 33554432, 100000000, 10000000000u,
    };
    for (size_t s = 0; s < START_COUNT; s++) {
        for (size_t d = 0; d < sizeof delays_ms / sizeof delays_ms[0]; d++) {
            wheel w;
            probe p;
            uint64_t at_ms = starts_ms[s] + delays_ms[d];
            wheel_init(&w, starts_ms[s]);
            probe_init(&p, &w);
            wheel_add(&w, &p.timer, at_ms);
            wheel_advance(&w, at_ms - 1);
            assert_int_equal(p.fired, 0);
            assert_int_equal(wheel_wait_ms(&w), 1);
            wheel_advance(&w, at_ms);
            assert_int_equal(p.fired, 1);
            assert_int_equal(wheel_wait_ms(&w), -1);
        }
    }
}

static void test_wheel_advance_by_single_ms_fires_at_the_exact_ms(void **state)
{
    (void)state;
    static const uint64_t delays_ms[] = { 1, 63, 64, 65, 4095, 4096, 4097, 262143, 262144, 262145 };
    enum { COUNT = sizeof delays_ms / sizeof delays_ms[0] };
    for (size_t s = 0; s < START_COUNT; s++) {
        wheel w;
        probe p[COUNT];
        wheel_init(&w, starts_ms[s]);
        for (size_t d = 0; d < COUNT; d++) {
            probe_init(&p[d], &w);
            wheel_add(&w, &p[d].timer, starts_ms[s] + delays_ms[d]);
        }
        for (uint64_t ms = 1; ms <= 262145; ms++)
            wheel_advance(&w, starts_ms[s] + ms);
        for (size_t d = 0; d < COUNT; d++) {
            assert_int_equal(p[d].fired, 1);
            assert_int_equal(p[d].fired_at_ms, starts_ms[s] + delays_ms[d]);
        }
    }
}

static void test_wheel_advance_over_all_fires_in_order(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    wheel w;
    wheel_init(&w, 777);
    probe *p = calloc(COUNT, sizeof *p);
    for (int i = 0; i < COUNT; i++) {
        probe_init(&p[i], &w);
        wheel_add(&w, &p[i].timer, 778 + random_next() % (UINT64_C(1) << (1 + i % 30)));
    }
    order_next = 0;
    wheel_advance(&w, UINT64_C(1) << 32);
    assert_int_equal(order_next, COUNT);
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < i; j++)
            if (p[j].timer.expires_ms < p[i].timer.expires_ms)
                assert_true(p[j].order < p[i].order);
            else if (p[j].timer.expires_ms > p[i].timer.expires_ms)
                assert_true(p[j].order > p[i].order);
    free(p);
}

static void test_wheel_add_same_ms_fires_in_order_of_adding(void **state)
{
    (void)state;
    wheel w;
    probe p[4];
    wheel_init(&w, 10);
    order_next = 0;
    for (int i = 0; i < 4; i++) {
        probe_init(&p[i], &w);
        wheel_advance(&w, 10 + (uint64_t)i * 1665);
        wheel_add(&w, &p[i].timer, 5010);
    }
    wheel_advance(&w, 5010);
    for (int i = 0; i < 4; i++)
        assert_int_equal(p[i].order, i);
}

static void test_wheel_add_past_time_fires_at_the_next_advance(void **state)
{
    (void)state;
    wheel w;
    probe p;
    for (uint64_t expires_ms = 0; expires_ms <= 1000; expires_ms += 500) {
        wheel_init(&w, 1000);
        probe_init(&p, &w);
        wheel_add(&w, &p.timer, expires_ms);
        assert_true(wheel_timer_is_armed(&p.timer));
        assert_int_equal(wheel_wait_ms(&w), 0);
        wheel_advance(&w, 1000);
        assert_int_equal(p.fired, 1);
        assert_int_equal(wheel_wait_ms(&w), -1);
    }
}

static void test_wheel_advance_backwards_keeps_the_time(void **state)
{
    (void)state;
    wheel w;
    probe p;
    wheel_init(&w, 1000);
    probe_init(&p, &w);
    wheel_add(&w, &p.timer, 1001);
    wheel_advance(&w, 5);
    assert_int_equal(w.now_ms, 1000);
    assert_int_equal(p.fired, 0);
    assert_int_equal(wheel_wait_ms(&w), 1);
    wheel_advance(&w, 1001);
    assert_int_equal(p.fired, 1);
}

static void test_wheel_add_armed_timer_moves_it(void **state)
{
    (void)state;
    wheel w;
    probe p;
    wheel_init(&w, 0);
    probe_init(&p, &w);
    wheel_add(&w, &p.timer, 10);
    wheel_add(&w, &p.timer, 100000);
    wheel_advance(&w, 99999);
    assert_int_equal(p.fired, 0);
    wheel_add(&w, &p.timer, 100002);
    wheel_advance(&w, 100001);
    assert_int_equal(p.fired, 0);
    wheel_advance(&w, 100002);
    assert_int_equal(p.fired, 1);
}

static void test_wheel_cancel_disarms_and_may_be_repeated(void **state)
{
    (void)state;
    wheel w;
    probe p;
    wheel_init(&w, 0);
    probe_init(&p, &w);
    wheel_cancel(&p.timer);
    for (uint64_t ms = 1; ms < 100000000; ms *= 3) {
        wheel_add(&w, &p.timer, ms);
        wheel_cancel(&p.timer);
        wheel_cancel(&p.timer);
        assert_false(wheel_timer_is_armed(&p.timer));
    }
    /* The bits of all those slots are still set. */
    assert_int_equal(wheel_wait_ms(&w), -1);
    wheel_advance(&w, 200000000);
    assert_int_equal(p.fired, 0);
}

static void test_wheel_wait_after_cancel_of_the_first_finds_the_second(void **state)
{
    (void)state;
    wheel w;
    probe first, second;
    wheel_init(&w, 60);
    probe_init(&first, &w);
    probe_init(&second, &w);
    wheel_add(&w, &first.timer, 62);
    wheel_add(&w, &second.timer, 200);
    assert_int_equal(wheel_wait_ms(&w), 2);
    wheel_cancel(&first.timer);
    assert_int_equal(wheel_wait_ms(&w), 192 - 60);
    sleep_until_fired(&w, &second);
    assert_int_equal(w.now_ms, 200);
}

static void test_wheel_wait_followed_exactly_fires_on_time(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        wheel w;
        probe p;
        uint64_t start_ms = random_next() >> (random_next() % 40 + 10);
        uint64_t delay_ms = random_next() % (UINT64_C(1) << (random_next() % 34 + 1));
        wheel_init(&w, start_ms);
        probe_init(&p, &w);
        wheel_add(&w, &p.timer, start_ms + delay_ms);
        int wakes = sleep_until_fired(&w, &p);
        assert_int_equal(p.fired_at_ms, start_ms + delay_ms);
        /* One a level, and one for each whole turn of the last. */
        assert_true(wakes <= WHEEL_LEVELS + 1 + (int)(delay_ms >> 24));
    }
}

static void test_wheel_add_furthest_time_never_fires(void **state)
{
    (void)state;
    wheel w;
    probe p;
    wheel_init(&w, 5);
    probe_init(&p, &w);
    wheel_add(&w, &p.timer, UINT64_MAX);
    wheel_advance(&w, UINT64_C(1) << 34);
    assert_int_equal(p.fired, 0);
    assert_true(wheel_timer_is_armed(&p.timer));
    assert_true(wheel_wait_ms(&w) > 0);
}

static void then_add_now(probe *p)
{
    if (p->fired < 3)
        wheel_add(p->w, &p->timer, p->timer.expires_ms);
}

static void test_wheel_callback_adds_itself_for_the_past_fires_once_an_advance(void **state)
{
    (void)state;
    wheel w;
    probe p;
    wheel_init(&w, 0);
    probe_init(&p, &w);
    p.then = then_add_now;
    wheel_add(&w, &p.timer, 70);
    wheel_advance(&w, 1000);
    assert_int_equal(p.fired, 1);
    assert_int_equal(wheel_wait_ms(&w), 0);
    wheel_advance(&w, 1000);
    assert_int_equal(p.fired, 2);
    wheel_advance(&w, 1001);
    assert_int_equal(p.fired, 3);
    wheel_advance(&w, 100000);
    assert_int_equal(p.fired, 3);
}

static void then_repeat(probe *p)
{
    wheel_add(p->w, &p->timer, p->w->now_ms + 25000);
}

static void test_wheel_callback_adds_itself_repeats_for_ever(void **state)
{
    (void)state;
    wheel w;
    probe p;
    wheel_init(&w, 123456);
    probe_init(&p, &w);
    p.then = then_repeat;
    wheel_add(&w, &p.timer, 123456 + 25000);
    for (int i = 1; i <= 2000; i++) {
        p.fired = 0;
        sleep_until_fired(&w, &p);
        assert_int_equal(w.now_ms, 123456 + 25000 * i);
    }
}

static void then_cancel_other(probe *p)
{
    wheel_cancel(&p->other->timer);
}

static void test_wheel_callback_cancels_a_later_one_which_does_not_fire(void **state)
{
    (void)state;
    static const uint64_t others_ms[] = { 100, 101, 200, 5000 };
    for (size_t i = 0; i < 4; i++) {
        wheel w;
        probe p, other, last;
        wheel_init(&w, 0);
        probe_init(&p, &w);
        probe_init(&other, &w);
        probe_init(&last, &w);
        p.then = then_cancel_other;
        p.other = &other;
        wheel_add(&w, &p.timer, 100);
        wheel_add(&w, &other.timer, others_ms[i]);
        wheel_add(&w, &last.timer, others_ms[i]);
        wheel_advance(&w, 6000);
        assert_int_equal(p.fired, 1);
        assert_int_equal(other.fired, 0);
        assert_int_equal(last.fired, 1);
    }
}

static void then_move_other(probe *p)
{
    wheel_add(p->w, &p->other->timer, p->w->now_ms + 50);
}

static void test_wheel_callback_moves_a_due_one_which_fires_later(void **state)
{
    (void)state;
    wheel w;
    probe p, other;
    wheel_init(&w, 0);
    probe_init(&p, &w);
    probe_init(&other, &w);
    p.then = then_move_other;
    p.other = &other;
    wheel_add(&w, &p.timer, 100);
    wheel_add(&w, &other.timer, 100);
    wheel_advance(&w, 100);
    assert_int_equal(other.fired, 0);
    sleep_until_fired(&w, &other);
    assert_int_equal(w.now_ms, 150);
}

static void test_wheel_a_million_timers_fire_once_each(void **state)
{
    (void)state;
    enum { COUNT = 1000000 };
    wheel w;
    wheel_init(&w, 99);
    probe *p = calloc(COUNT, sizeof *p);
    assert_non_null(p);
    for (int i = 0; i < COUNT; i++) {
        probe_init(&p[i], &w);
        wheel_add(&w, &p[i].timer, 100 + random_next() % 60000);
    }
    for (int i = 0; i < COUNT; i += 3)
        wheel_cancel(&p[i].timer);
    while (wheel_wait_ms(&w) >= 0)
        wheel_advance(&w, w.now_ms + (uint64_t)wheel_wait_ms(&w));
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(p[i].fired, i % 3 != 0);
        if (p[i].fired)
            assert_int_equal(p[i].fired_at_ms, p[i].timer.expires_ms);
    }
    free(p);
}

/* A delay whose size is spread evenly over the levels. */
static uint64_t random_delay_ms(void)
{
    return random_next() % (UINT64_C(1) << (random_next() % 27));
}

/* The naive model: an array of expiries. Late ones are due at the time they were added. */
enum { MODEL_COUNT = 64 };

typedef struct model {
    wheel w;
    probe probes[MODEL_COUNT];
    uint64_t due_ms[MODEL_COUNT]; /* UINT64_MAX: not armed */
} model;

static uint64_t model_first_ms(const model *m)
{
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < MODEL_COUNT; i++)
        if (m->due_ms[i] < first)
            first = m->due_ms[i];
    return first;
}

static void model_advance(model *m, uint64_t now_ms)
{
    probe *previous[MODEL_COUNT] = { 0 };
    order_next = 0;
    for (int i = 0; i < MODEL_COUNT; i++)
        m->probes[i].fired = 0;
    wheel_advance(&m->w, now_ms);
    for (int i = 0; i < MODEL_COUNT; i++) {
        assert_int_equal(m->probes[i].fired, m->due_ms[i] <= now_ms);
        if (m->probes[i].fired)
            previous[m->probes[i].order] = &m->probes[i];
    }
    for (int i = 1; i < order_next; i++)
        assert_true(m->due_ms[previous[i - 1] - m->probes] <= m->due_ms[previous[i] - m->probes]);
    for (int i = 0; i < MODEL_COUNT; i++)
        if (m->probes[i].fired)
            m->due_ms[i] = UINT64_MAX;
}

static void model_step(model *m)
{
    int i = (int)(random_next() % MODEL_COUNT);
    uint64_t now_ms = m->w.now_ms;
    int64_t wait_ms = wheel_wait_ms(&m->w);
    uint64_t first_ms = model_first_ms(m);

    assert_true((wait_ms < 0) == (first_ms == UINT64_MAX));
    if (wait_ms >= 0)
        assert_true(now_ms + (uint64_t)wait_ms <= first_ms);

    switch (random_next() % 8) {
    case 0:
        wheel_cancel(&m->probes[i].timer);
        m->due_ms[i] = UINT64_MAX;
        break;
    case 1:
        model_advance(m, now_ms + random_delay_ms());
        break;
    case 2:
    case 3:
        if (wait_ms >= 0)
            model_advance(m, now_ms + (uint64_t)wait_ms);
        break;
    case 4: {
        uint64_t late_ms = now_ms > 100 ? now_ms - random_next() % 100 : 0;
        wheel_add(&m->w, &m->probes[i].timer, late_ms);
        m->due_ms[i] = now_ms;
        break;
    }
    default:
        m->due_ms[i] = now_ms + random_delay_ms();
        wheel_add(&m->w, &m->probes[i].timer, m->due_ms[i]);
    }
    for (i = 0; i < MODEL_COUNT; i++)
        assert_int_equal(wheel_timer_is_armed(&m->probes[i].timer), m->due_ms[i] != UINT64_MAX);
}

static void test_wheel_random_operations_agree_with_a_naive_model(void **state)
{
    (void)state;
    for (size_t s = 0; s < START_COUNT; s++) {
        model m;
        wheel_init(&m.w, starts_ms[s]);
        for (int i = 0; i < MODEL_COUNT; i++) {
            probe_init(&m.probes[i], &m.w);
            m.due_ms[i] = UINT64_MAX;
        }
        for (int step = 0; step < 20000; step++)
            model_step(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wheel_empty_has_no_wait),
        cmocka_unit_test(test_wheel_advance_at_boundaries_fires_at_the_exact_ms),
        cmocka_unit_test(test_wheel_advance_by_single_ms_fires_at_the_exact_ms),
        cmocka_unit_test(test_wheel_advance_over_all_fires_in_order),
        cmocka_unit_test(test_wheel_add_same_ms_fires_in_order_of_adding),
        cmocka_unit_test(test_wheel_add_past_time_fires_at_the_next_advance),
        cmocka_unit_test(test_wheel_advance_backwards_keeps_the_time),
        cmocka_unit_test(test_wheel_add_armed_timer_moves_it),
        cmocka_unit_test(test_wheel_cancel_disarms_and_may_be_repeated),
        cmocka_unit_test(test_wheel_wait_after_cancel_of_the_first_finds_the_second),
        cmocka_unit_test(test_wheel_wait_followed_exactly_fires_on_time),
        cmocka_unit_test(test_wheel_add_furthest_time_never_fires),
        cmocka_unit_test(test_wheel_callback_adds_itself_for_the_past_fires_once_an_advance),
        cmocka_unit_test(test_wheel_callback_adds_itself_repeats_for_ever),
        cmocka_unit_test(test_wheel_callback_cancels_a_later_one_which_does_not_fire),
        cmocka_unit_test(test_wheel_callback_moves_a_due_one_which_fires_later),
        cmocka_unit_test(test_wheel_a_million_timers_fire_once_each),
        cmocka_unit_test(test_wheel_random_operations_agree_with_a_naive_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
