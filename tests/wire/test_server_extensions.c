/* What the servers in an app are told while it starts and stops. */
#include "app/app.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"

static carafe_app *app;
static int64_t blocks_before;

static int setup(void **state)
{
    (void)state;
    log_set_level(LOG_SERVER, LOG_OFF);
    blocks_before = mem_blocks_in_use();
    app = carafe_app_new("test");
    return app ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    carafe_app_free(app);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

static void start_with(unsigned workers)
{
    assert_int_equal(carafe_start(app, .port = SIO_PORT_ANY, .workers = workers), 0);
}

static void stop(void)
{
    assert_int_equal(carafe_stop(app), 0);
    assert_int_equal(carafe_wait(app), 0);
}

typedef struct probe {
    app_extension ext;
    int starts;
    int fail_at; /* the number of the start that fails */
    atomic_int stoppings;
    int stops;
    atomic_int idle_calls;
    int idle_after; /* calls of is_idle that say no */
} probe;

static int probe_start(app_extension *ext, worker *w)
{
    probe *p = (probe *)ext;
    if (p->starts == p->fail_at)
        return CARAFE_ERR_NOMEM;
    return (int)w->index == p->starts++ ? 0 : CARAFE_ERR_STATE;
}

static void probe_stopping(app_extension *ext, worker *w)
{
    ((probe *)ext)->stoppings += worker_current() == w;
}

static bool probe_is_idle(app_extension *ext, worker *w)
{
    probe *p = (probe *)ext;
    return w->index != 0 || p->idle_calls++ >= p->idle_after;
}

static void probe_stopped(app_extension *ext, worker *w)
{
    (void)w;
    ((probe *)ext)->stops++;
}

#define PROBE(path)                                                                                \
    {                                                                                              \
        .ext = { .prefix = (path),                                                                 \
                 .on_start = probe_start,                                                          \
                 .on_stopping = probe_stopping,                                                    \
                 .is_idle = probe_is_idle,                                                         \
                 .on_stopped = probe_stopped },                                                    \
        .fail_at = -1, .idle_after = 3                                                             \
    }

static void test_server_extension_life_cycle(void **state)
{
    (void)state;
    probe p = PROBE("/io/");
    assert_int_equal(app_attach(app, &p.ext), 0);
    start_with(3);
    assert_int_equal(p.starts, 3);
    stop();
    assert_int_equal(p.stoppings, 3);
    assert_int_equal(p.stops, 3);
    assert_int_equal(p.idle_calls, 4);
    app_detach(&p.ext);
}

static void test_server_extension_that_fails_ends_the_start(void **state)
{
    (void)state;
    probe a = PROBE("/a/"), b = PROBE("/b/");
    a.fail_at = 1;
    assert_int_equal(app_attach(app, &a.ext), 0);
    assert_int_equal(app_attach(app, &b.ext), 0); /* asked first */
    assert_int_equal(carafe_start(app, .port = SIO_PORT_ANY, .workers = 3), CARAFE_ERR_NOMEM);
    assert_int_equal(a.starts, 1);
    assert_int_equal(a.stops, 1);
    assert_int_equal(b.starts, 2);
    assert_int_equal(b.stops, 2);
    assert_false(app_is_running(app));
    a.fail_at = -1;
    a.starts = b.starts = 0;
    start_with(3);
    stop();
    app_detach(&a.ext);
    app_detach(&b.ext);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_server_extension_life_cycle),
        TEST(test_server_extension_that_fails_ends_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
