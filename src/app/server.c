/* carafe_run, carafe_start, carafe_stop, carafe_wait: an app and its workers. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "app/core.h"
#include "app/node.h"
#include "app/options.h"
#include "app/signals.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/tcp.h"

enum { PORT_DEFAULT = 5000, PORT_MAX = 65535, WORKER_COUNT_MAX = 256 };

static const char HOST_DEFAULT[] = "127.0.0.1";
static const double STOP_TIMEOUT_DEFAULT_S = 5, STOP_TIMEOUT_MAX_S = 24 * 3600;

/* ---- options ---- */

static int refuse_option(const char *text)
{
    log_line(LOG_SERVER, LOG_ERROR, "not started: %s", text);
    return CARAFE_ERR_ARGUMENT;
}

/* Fills in the defaults and checks the rest. */
static int read_options(carafe_run_options *out, const carafe_run_options *given)
{
    if (options_read(out, sizeof(*out), given) < 0)
        return refuse_option("the size of the options is not set");
    if (!out->host)
        out->host = HOST_DEFAULT;
    if (!*out->host)
        return refuse_option(".host is empty; \"0.0.0.0\" and \"::\" are all interfaces");
    if (out->port == 0)
        out->port = PORT_DEFAULT;
    else if (out->port == SIO_PORT_ANY)
        out->port = 0;
    else if (out->port < 0 || out->port > PORT_MAX)
        return refuse_option(".port must be 1 to 65535, or SIO_PORT_ANY for a free one");
    if (out->workers == 0)
        out->workers = 1;
    if (out->workers > WORKER_COUNT_MAX)
        return refuse_option(".workers must be 1 to 256");
    if (out->stop_timeout == 0)
        out->stop_timeout = STOP_TIMEOUT_DEFAULT_S;
    if (!(out->stop_timeout > 0 && out->stop_timeout <= STOP_TIMEOUT_MAX_S))
        return refuse_option(".stop_timeout must be seconds, at most 86400");
    if (out->log_output != SIO_DEFAULT && out->log_output != SIO_ON && out->log_output != SIO_OFF)
        return refuse_option(".log_output must be SIO_ON or SIO_OFF");
    return 0;
}

static void set_log_levels(const carafe_run_options *options)
{
    for (int part = 0; options->debug && part < LOG_PART_COUNT; part++)
        log_set_level((log_part)part, LOG_DEBUG);
    if (options->log_output == SIO_OFF || (options->log_output == SIO_DEFAULT && !options->debug))
        log_set_level(LOG_HTTP, LOG_WARNING);
    else if (!options->debug)
        log_set_level(LOG_HTTP, LOG_INFO);
}

/* Each client is a descriptor, and the soft limit is 1024 nearly everywhere. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_line(LOG_SERVER, LOG_DEBUG, "the limit of open files stays: %s", strerror(errno));
}

/* ---- start ---- */

static int open_listener(carafe_app *app, const carafe_run_options *options)
{
    const char *problem = NULL;
    net_listen_options listen = { .host = options->host, .port = options->port };
    int error = net_listener_open(&listen, &app->listener, &problem);
    if (error == 0)
        return 0;
    const char *advice = "choose another .host or .port";
    if (problem && strcmp(problem, strerror(EADDRINUSE)) == 0)
        advice = "another program listens there (perhaps this one, still running): stop it, or "
                 "choose another .port";
    else if (problem && strcmp(problem, strerror(EACCES)) == 0)
        advice = "ports below 1024 are for root: choose another .port, or put a proxy in front";
    else if (problem && strcmp(problem, strerror(EADDRNOTAVAIL)) == 0)
        advice = "this machine has no such address: choose another .host";
    log_line(LOG_SERVER, LOG_ERROR, "cannot listen on %s, port %d: %s; %s", options->host,
             options->port, problem ? problem : carafe_strerror(error), advice);
    return error;
}

static int start_all(carafe_app *app, const carafe_run_options *options, int signal_fd)
{
    TRY(app_read_config(app));
    set_log_levels(options);
    raise_file_limit();
    TRY(open_listener(app, options));
    app->worker_count = options->workers;
    app->stop_timeout_ms = (uint64_t)(options->stop_timeout * 1000);
    atomic_store(&app->is_debug, options->debug);
    atomic_store(&app->port, net_listener_port(app->listener));
    int error = app_nodes_start(app, signal_fd);
    if (error == 0)
        return 0;
    log_line(LOG_SERVER, LOG_ERROR, "not started: %s", carafe_strerror(error));
    net_listener_close(app->listener);
    app->listener = NULL;
    atomic_store(&app->port, 0);
    return error;
}

static int enter_start(carafe_app *app)
{
    pthread_mutex_lock(&app->lock);
    bool is_idle = atomic_load(&app->state) == APP_IDLE;
    if (is_idle) {
        atomic_store(&app->is_stopping, false);
        atomic_store(&app->state, APP_STARTING);
    }
    pthread_mutex_unlock(&app->lock);
    if (is_idle)
        return 0;
    log_line(LOG_SERVER, LOG_ERROR,
             "not started: the app runs already, or has not been waited for (carafe_wait)");
    return CARAFE_ERR_STATE;
}

/* Under the lock. */
static void begin_stop(carafe_app *app)
{
    atomic_store(&app->state, APP_STOPPING);
    app_nodes_stop(app);
}

static void leave_start(carafe_app *app, int error)
{
    pthread_mutex_lock(&app->lock);
    atomic_store(&app->state, error < 0 ? APP_IDLE : APP_RUNNING);
    /* Somebody stopped it while it started. */
    if (error == 0 && atomic_load(&app->is_stopping))
        begin_stop(app);
    pthread_cond_broadcast(&app->changed);
    pthread_mutex_unlock(&app->lock);
}

static int start(carafe_app *app, const carafe_run_options *given, int signal_fd)
{
    carafe_run_options options;
    TRY(read_options(&options, given));
    TRY(enter_start(app));
    int error = start_all(app, &options, signal_fd);
    if (error == 0) {
        bool is_ip6 = strchr(options.host, ':') != NULL;
        log_line(LOG_SERVER, LOG_INFO, "listening on http://%s%s%s:%d (%u worker%s)",
                 is_ip6 ? "[" : "", options.host, is_ip6 ? "]" : "", atomic_load(&app->port),
                 options.workers, options.workers == 1 ? "" : "s");
    }
    leave_start(app, error);
    return error;
}

int carafe_start_with(carafe_app *app, const carafe_run_options *options)
{
    app_check(app);
    return start(app, options, -1);
}

int carafe_run_with(carafe_app *app, const carafe_run_options *options)
{
    app_check(app);
    if (worker_current()) {
        log_line(LOG_SERVER, LOG_ERROR, "carafe_run cannot be called from a view or handler");
        return CARAFE_ERR_STATE;
    }
    int signal_fd = app_signals_catch();
    if (signal_fd < 0)
        return signal_fd;
    int error = start(app, options, signal_fd);
    if (error == 0)
        error = carafe_wait(app);
    app_signals_release();
    return error;
}

/* ---- stop ---- */

int carafe_stop(carafe_app *app)
{
    app_check(app);
    pthread_mutex_lock(&app->lock);
    int state = atomic_load(&app->state);
    if (state != APP_IDLE)
        atomic_store(&app->is_stopping, true);
    if (state == APP_RUNNING)
        begin_stop(app);
    pthread_mutex_unlock(&app->lock);
    return 0;
}

/* True when this thread is the one to wait for the workers; false when the app is idle, perhaps
 * after another thread has waited for them. */
static bool enter_wait(carafe_app *app)
{
    pthread_mutex_lock(&app->lock);
    while (atomic_load(&app->state) == APP_STARTING || app->has_joiner)
        pthread_cond_wait(&app->changed, &app->lock);
    bool is_joiner = atomic_load(&app->state) != APP_IDLE;
    if (is_joiner)
        app->has_joiner = true;
    pthread_mutex_unlock(&app->lock);
    return is_joiner;
}

int carafe_wait(carafe_app *app)
{
    app_check(app);
    if (worker_current())
        return CARAFE_ERR_STATE;
    if (!enter_wait(app))
        return 0;
    app_nodes_join(app);
    pthread_mutex_lock(&app->lock);
    app->has_mailbox = false;
    pthread_mutex_unlock(&app->lock);
    app_nodes_free(app);
    app->listener = NULL;
    atomic_store(&app->port, 0);
    log_line(LOG_SERVER, LOG_INFO, "stopped");
    pthread_mutex_lock(&app->lock);
    app->has_joiner = false;
    atomic_store(&app->state, APP_IDLE);
    pthread_cond_broadcast(&app->changed);
    pthread_mutex_unlock(&app->lock);
    return 0;
}

int carafe_port(carafe_app *app)
{
    app_check(app);
    return atomic_load(&app->port);
}

/* ---- for the servers in the app ---- */

unsigned app_worker_count(const carafe_app *app)
{
    return app->worker_count;
}

worker *app_worker(const carafe_app *app, unsigned index)
{
    assert(index < app->worker_count);
    return &app->nodes[index].worker;
}

int app_post(carafe_app *app, unsigned index, worker_task *task)
{
    pthread_mutex_lock(&app->lock);
    int error = app->has_mailbox && index < app->worker_count
                    ? worker_post(&app->nodes[index].worker, task)
                    : CARAFE_ERR_STOPPING;
    pthread_mutex_unlock(&app->lock);
    return error;
}
