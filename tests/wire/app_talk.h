/* What the tests of an app behind the memory transport share: set-up, requests and views. Its
 * names are the including program's own. */
#ifndef CARAFE_TESTS_APP_TALK_H
#define CARAFE_TESTS_APP_TALK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app_memory.h"
#include "base/log.h"
#include "base/mem.h"

static app_memory app;
static int64_t blocks_before;
static http_answer answer;
static char trace[256]; /* what ran, in order */

static char last_line[4096];

static void remember(log_level level, const char *line, void *arg)
{
    (void)level;
    (void)arg;
    snprintf(last_line, sizeof(last_line), "%s", line);
}

static int setup(void **state)
{
    (void)state;
    trace[0] = '\0';
    last_line[0] = '\0';
    log_set_sink(remember, NULL);
    blocks_before = mem_blocks_in_use();
    app_memory_open(&app);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    app_memory_close(&app);
    log_set_sink(NULL, NULL);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

static void note(const char *text)
{
    strcat(trace, text);
    strcat(trace, " ");
}

static void get(const char *target)
{
    app_memory_get(&app, "GET", target, &answer);
}

static void ask(const char *request)
{
    app_memory_ask(&app, request, &answer);
}

static void check_header(const char *name, const char *value)
{
    const char *found = http_answer_header(&answer, name);
    if (!value) {
        assert_null(found);
        return;
    }
    assert_non_null(found);
    assert_string_equal(found, value);
}

/* ---- views ---- */

static int hello_view(carafe_request *req, void *arg)
{
    (void)arg;
    note("view");
    return carafe_text(req, "hello");
}

/* "/wait/<int:ms>": what the request says must still be there after the wait. */
static int waiting_view(carafe_request *req, void *arg)
{
    (void)arg;
    const char *ms = carafe_view_arg(req, "ms");
    int error = worker_sleep(&app.worker, (uint64_t)atoi(ms));
    if (error < 0)
        return error;
    return carafe_text(req, "%s %s %s %s", ms, carafe_path(req), carafe_header(req, "Host"),
                       carafe_body(req, NULL));
}

static int failing_view(carafe_request *req, void *arg)
{
    (void)req;
    (void)arg;
    note("view");
    return CARAFE_ERR_TIMEOUT;
}

#endif /* CARAFE_TESTS_APP_TALK_H */
