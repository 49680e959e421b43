/* What the tests of a Socket.IO server on its own threads share: set-up, starting, stopping. Its names
 * are the including program's own. */
#ifndef CARAFE_TESTS_SIO_SERVER_TALK_H
#define CARAFE_TESTS_SIO_SERVER_TALK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "carafe/socketio.h"

static carafe_app *app;
static sio_server *sio;
static int64_t blocks_before;

static void drop_line(log_level level, const char *line, void *arg)
{
    (void)level;
    (void)line;
    (void)arg;
}

static int setup(void **state)
{
    (void)state;
    log_set_sink(drop_line, NULL);
    blocks_before = mem_blocks_in_use();
    app = carafe_app_new("test");
    sio = sio_server_new(app);
    assert_non_null(sio);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    carafe_app_free(app);
    log_set_sink(NULL, NULL);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

static void start(unsigned workers)
{
    assert_int_equal(sio_server_start(sio, .port = SIO_PORT_ANY, .workers = workers), 0);
}

static void stop(void)
{
    assert_int_equal(sio_server_stop(sio), 0);
    assert_int_equal(sio_server_wait(sio), 0);
}

#endif /* CARAFE_TESTS_SIO_SERVER_TALK_H */
