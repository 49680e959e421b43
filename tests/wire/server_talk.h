/* What the tests of an app on its own threads share: set-up, starting, stopping, a view. Its
 * names are the including program's own. */
#ifndef CARAFE_TESTS_SERVER_TALK_H
#define CARAFE_TESTS_SERVER_TALK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/app.h"
#include "base/log.h"
#include "base/mem.h"
#include "http_client.h"

static carafe_app *app;
static http_client client;
static http_answer answer;
static int64_t blocks_before;
static char log_text[16384]; /* written under the log's own lock, read when the app has stopped */

static void remember(log_level level, const char *line, void *arg)
{
    (void)level;
    (void)arg;
    size_t len = strlen(log_text);
    snprintf(log_text + len, sizeof(log_text) - len, "%s\n", line);
}

static int setup(void **state)
{
    (void)state;
    blocks_before = mem_blocks_in_use();
    log_text[0] = '\0';
    log_set_sink(remember, NULL);
    app = carafe_app_new("test");
    assert_non_null(app);
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

static void start_with(unsigned workers)
{
    assert_int_equal(carafe_start(app, .port = SIO_PORT_ANY, .workers = workers), 0);
}

static void stop(void)
{
    assert_int_equal(carafe_stop(app), 0);
    assert_int_equal(carafe_wait(app), 0);
}

/* ---- views ---- */

static int hello_view(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_text(req, "hello");
}

#endif /* CARAFE_TESTS_SERVER_TALK_H */
