/* carafe_run in a process of its own, and the signals that end it. */
#include "app/app.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "http_client.h"

static int log_pipe = -1; /* in the child: lines go to the parent */

static void tell_parent(log_level level, const char *line, void *arg)
{
    (void)level;
    (void)arg;
    dprintf(log_pipe, "%s\n", line);
}

static int hello_view(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_text(req, "hello");
}

static int stuck_view(carafe_request *req, void *arg)
{
    (void)arg;
    (void)req;
    log_line(LOG_APP, LOG_INFO, "stuck");
    for (;;)
        coro_suspend();
    return 0;
}

/* Reads the child's log until a line has `text`; returns what follows it. */
static const char *await_line(FILE *log, const char *text)
{
    static char line[4096];
    while (fgets(line, sizeof(line), log)) {
        char *found = strstr(line, text);
        if (found)
            return found + strlen(text);
    }
    fail_msg("the child ended without \"%s\"", text);
    return NULL;
}

/* carafe_run in a process of its own, which exits with its result. */
static pid_t run_in_child(FILE **log)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(HTTP_CLIENT_TIMEOUT_S);
        close(fds[0]);
        log_pipe = fds[1];
        log_set_sink(tell_parent, NULL);
        carafe_app *app = carafe_app_new("test");
        carafe_route(app, "/", hello_view);
        carafe_route(app, "/stuck", stuck_view);
        int result = carafe_run(app, .port = SIO_PORT_ANY, .stop_timeout = 3600);
        struct sigaction after;
        sigaction(SIGINT, NULL, &after);
        _exit(result == 0 && after.sa_handler == SIG_DFL ? 42 : 1);
    }
    close(fds[1]);
    *log = fdopen(fds[0], "r");
    return child;
}

static int exit_status(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_server_signal_stops_it(void **state)
{
    (void)state;
    static const int signals[] = { SIGINT, SIGTERM };
    for (int i = 0; i < 2; i++) {
        FILE *log;
        pid_t child = run_in_child(&log);
        int port = atoi(await_line(log, "http://127.0.0.1:"));
        assert_int_equal(http_get(port, "/", NULL, 0), 200);
        kill(child, signals[i]);
        await_line(log, "stopped");
        assert_int_equal(exit_status(child), 42);
        fclose(log);
    }
}

static void test_server_second_signal_ends_it_at_once(void **state)
{
    (void)state;
    FILE *log;
    pid_t child = run_in_child(&log);
    int port = atoi(await_line(log, "http://127.0.0.1:"));
    http_client client;
    http_client_open(&client, port);
    http_client_send(&client, "GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n");
    await_line(log, "stuck");
    kill(child, SIGTERM);
    await_line(log, "a second signal");
    kill(child, SIGINT);
    assert_int_equal(exit_status(child), 130);
    http_client_close(&client);
    fclose(log);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_server_signal_stops_it),
        TEST(test_server_second_signal_ends_it_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
