#include "app/node.h"

#include "base/log.h"
#include "base/mem.h"

enum {
    STOP_CHECK_MS = 20, /* how often a stopping worker looks whether all has ended */
    /* How long peers that have got all they get may take to close, so that the last bytes are not
     * destroyed by a reset. */
    STOP_LINGER_MS = 500,
};

/* ---- the end of a worker ---- */

/* Connections that still have something to do; `*lingering` are those that only wait for the
 * peer's end. */
static size_t count_busy(const worker *w, size_t *lingering)
{
    size_t busy = 0;
    *lingering = 0;
    for (const list *link = w->conns.next; link != &w->conns; link = link->next) {
        const net_conn *c = LIST_ENTRY(link, net_conn, all_link);
        if (c->state == NET_LINGERING)
            ++*lingering;
        else if (c->state != NET_CLOSED)
            busy++;
    }
    return busy;
}

static bool are_extensions_idle(app_node *node)
{
    for (app_extension *ext = node->app->extensions; ext; ext = ext->next)
        if (ext->is_idle && !ext->is_idle(ext, &node->worker))
            return false;
    return true;
}

static bool may_end(app_node *node)
{
    worker *w = &node->worker;
    size_t lingering;
    size_t busy = count_busy(w, &lingering);
    size_t handlers = coro_pool_in_use(&w->coros);
    bool is_quiet = busy == 0 && handlers == 0 && are_extensions_idle(node);
    if (is_quiet && lingering == 0)
        return true;
    if (!is_quiet)
        node->quiet_ms = 0;
    else if (node->quiet_ms == 0)
        node->quiet_ms = worker_now(w);
    if (is_quiet && worker_now(w) - node->quiet_ms >= STOP_LINGER_MS)
        return true;
    if (worker_now(w) < node->deadline_ms)
        return false;
    if (!is_quiet)
        log_line(LOG_SERVER, LOG_WARNING,
                 "worker %u: stop_timeout is over: going on without %zu handlers and %zu "
                 "connections that have not ended",
                 w->index, handlers, busy);
    return true;
}

static void check_end(wheel_timer *timer)
{
    app_node *node = LIST_ENTRY(timer, app_node, stop_timer);
    http_worker_finish_idle(&node->worker);
    if (may_end(node))
        worker_stop(&node->worker);
    else
        worker_timer_start(&node->worker, timer, STOP_CHECK_MS);
}

static void on_stop(worker *w, worker_task *task)
{
    app_node *node = LIST_ENTRY(task, app_node, stop_task);
    carafe_app *app = node->app;
    if (w->index == 0)
        net_listener_close(app->listener);
    worker_set_stopping(w);
    for (app_extension *ext = app->extensions; ext; ext = ext->next)
        if (ext->on_stopping)
            ext->on_stopping(ext, w);
    node->deadline_ms = worker_now(w) + app->stop_timeout_ms;
    wheel_timer_init(&node->stop_timer, check_end);
    check_end(&node->stop_timer);
}

void app_nodes_stop(carafe_app *app)
{
    for (unsigned i = 0; i < app->worker_count; i++) {
        app->nodes[i].stop_task.fn = on_stop;
        /* A worker cannot have ended before it was told to. */
        int error = worker_post(&app->nodes[i].worker, &app->nodes[i].stop_task);
        assert(error == 0);
        (void)error;
    }
}

void app_nodes_join(carafe_app *app)
{
    for (unsigned i = 0; i < app->worker_count; i++)
        worker_join(&app->nodes[i].worker);
}

/* ---- the start ---- */

/* How far a start has come, so that it can be taken back. */
typedef struct progress {
    unsigned inited;   /* workers */
    unsigned prepared; /* calls of on_start, for each worker all extensions */
    unsigned started;  /* threads, from the last worker to the first */
} progress;

static int init_workers(carafe_app *app, progress *done)
{
    app->nodes = mem_zalloc(app->worker_count * sizeof(*app->nodes));
    app->workers = mem_zalloc(app->worker_count * sizeof(worker *));
    if (!app->nodes || !app->workers)
        return CARAFE_ERR_NOMEM;
    for (; done->inited < app->worker_count; done->inited++) {
        app_node *node = &app->nodes[done->inited];
        node->app = app;
        app->workers[done->inited] = &node->worker;
        TRY(worker_init(&node->worker, done->inited, 0));
    }
    return 0;
}

static int prepare_extensions(carafe_app *app, progress *done)
{
    for (unsigned i = 0; i < app->worker_count; i++) {
        for (app_extension *ext = app->extensions; ext; ext = ext->next) {
            if (ext->on_start)
                TRY(ext->on_start(ext, &app->nodes[i].worker));
            done->prepared++;
        }
    }
    return 0;
}

/* Calls on_stopped for the first `count` pairs of a worker and an extension. */
static void end_extensions(carafe_app *app, unsigned count)
{
    for (unsigned i = 0; i < app->worker_count; i++)
        for (app_extension *ext = app->extensions; ext && count; ext = ext->next, count--)
            if (ext->on_stopped)
                ext->on_stopped(ext, &app->nodes[i].worker);
}

static void deinit_workers(carafe_app *app, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        http_worker_deinit(&app->nodes[i].worker);
        worker_deinit(&app->nodes[i].worker);
    }
    mem_free(app->nodes);
    mem_free(app->workers);
    app->nodes = NULL;
    app->workers = NULL;
}

static void on_accept(worker *w, int fd, const net_addr *peer, void *arg)
{
    const carafe_app *app = arg;
    http_accept(w, fd, peer, &app->service);
}

static void on_signal(net_source *source, bool can_read, bool can_write)
{
    app_node *node = LIST_ENTRY(source, app_node, signals);
    (void)can_read;
    (void)can_write;
    net_poller_remove(&node->worker.poller, source);
    log_line(LOG_SERVER, LOG_INFO, "stopping; a second signal ends the program at once");
    carafe_stop(node->app);
}

/* Worker 0 comes last: it accepts, and hands sockets to all the others. */
static int start_threads(carafe_app *app, int signal_fd, progress *done)
{
    for (unsigned i = app->worker_count; i-- > 0; done->started++) {
        app_node *node = &app->nodes[i];
        if (i == 0) {
            TRY(net_listener_start(app->listener, app->workers, app->worker_count, on_accept, app));
            node->signals = (net_source){ .on_ready = on_signal, .fd = signal_fd };
            if (signal_fd >= 0)
                TRY(net_poller_add(&node->worker.poller, &node->signals, true, false));
        }
        TRY(worker_start(&node->worker));
    }
    return 0;
}

static void on_abandon(worker *w, worker_task *task)
{
    (void)task;
    worker_stop(w);
}

static void take_back(carafe_app *app, const progress *done)
{
    for (unsigned i = 0; i < done->started; i++) {
        app_node *node = &app->nodes[app->worker_count - 1 - i];
        node->stop_task.fn = on_abandon;
        if (worker_post(&node->worker, &node->stop_task) == 0)
            worker_join(&node->worker);
    }
    end_extensions(app, done->prepared);
    deinit_workers(app, done->inited);
}

static void set_has_mailbox(carafe_app *app, bool has_mailbox)
{
    pthread_mutex_lock(&app->lock);
    app->has_mailbox = has_mailbox;
    pthread_mutex_unlock(&app->lock);
}

int app_nodes_start(carafe_app *app, int signal_fd)
{
    progress done = { 0 };
    int error = init_workers(app, &done);
    if (error == 0)
        error = prepare_extensions(app, &done);
    if (error == 0) {
        /* From their first turn on the workers post to each other. */
        set_has_mailbox(app, true);
        error = start_threads(app, signal_fd, &done);
    }
    if (error < 0) {
        set_has_mailbox(app, false);
        take_back(app, &done);
    }
    return error;
}

void app_nodes_free(carafe_app *app)
{
    end_extensions(app, UINT32_MAX);
    deinit_workers(app, app->worker_count);
}
