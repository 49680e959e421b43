/* Calling into a worker from any thread. */
#include "app/app.h"

typedef struct target {
    carafe_app *app;
    unsigned index;
} target;

static int post(void *post_arg, worker_task *task)
{
    const target *t = post_arg;
    return app_post(t->app, t->index, task);
}

int app_call(carafe_app *app, unsigned index, void (*fn)(worker *w, void *arg), void *arg)
{
    target t = { app, index };
    worker *here = worker_current();
    /* Only a worker of this app may be asked who it is: the others may have ended. */
    bool is_here = here && here->index == index && app_worker(app, index) == here;
    return worker_call_by(is_here ? here : NULL, post, &t, fn, arg);
}
