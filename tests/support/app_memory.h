/* An app on a worker of the test's own thread, with clients over the memory transport and a clock
 * the test moves. Nothing waits. */
#ifndef CARAFE_TESTS_APP_MEMORY_H
#define CARAFE_TESTS_APP_MEMORY_H

#include "app/app.h"
#include "http_answer.h"
#include "net/memory.h"

/* One a test. */
typedef struct app_memory {
    worker worker;
    carafe_app *app;
    uint64_t now_ms;
} app_memory;

void app_memory_open(app_memory *m);

/* Frees all; fails the test when a handler has not ended. */
void app_memory_close(app_memory *m);

/* Runs turns until nothing moves. */
void app_memory_run(app_memory *m);

/* The same after `ms` have passed. */
void app_memory_pass(app_memory *m, uint64_t ms);

net_memory *app_memory_connect(app_memory *m);

/* Sends bytes and runs. */
void app_memory_send(app_memory *m, net_memory *client, const char *text);

/* Takes the next answer that has come; it is valid until something is sent or read again. False:
 * none is complete. */
bool app_memory_read(net_memory *client, http_answer *out);

/* On a connection of its own: the request line and headers ("GET / HTTP/1.1\r\n...\r\n\r\n", the
 * body with it), and its answer, whose body stays valid until the next call. */
void app_memory_ask(app_memory *m, const char *request, http_answer *out);

/* "<method> <target>" with a Host. */
void app_memory_get(app_memory *m, const char *method, const char *target, http_answer *out);

#endif /* CARAFE_TESTS_APP_MEMORY_H */
