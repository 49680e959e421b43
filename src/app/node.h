/* The workers of a running app: made and started together, stopped each at its own pace. */
#ifndef CARAFE_APP_NODE_H
#define CARAFE_APP_NODE_H

#include "app/core.h"

/* A worker of an app. */
struct app_node {
    worker worker;
    carafe_app *app;
    worker_task stop_task;
    wheel_timer stop_timer;
    uint64_t deadline_ms; /* valid once it stops, as the next */
    uint64_t quiet_ms;    /* since when only peers have yet to close; 0: not yet */
    net_source signals;   /* of node 0 under carafe_run */
};

/* Makes app->worker_count workers, tells the extensions, begins to accept on app->listener and
 * starts the threads. A readable `signal_fd` (-1: none) stops the app. Nothing is left of a failed
 * call but the listener. CARAFE_ERR_SYSTEM, CARAFE_ERR_NOMEM, or an extension's error. */
int app_nodes_start(carafe_app *app, int signal_fd) MUST_USE;

/* Begins the end of all workers. Thread: any, under app->lock. */
void app_nodes_stop(carafe_app *app);

/* Waits for the threads. */
void app_nodes_join(carafe_app *app);

/* Frees the workers, whose threads have ended. */
void app_nodes_free(carafe_app *app);

#endif /* CARAFE_APP_NODE_H */
