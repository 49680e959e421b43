#include "socketio/server.h"

#include <stddef.h>
#include <string.h>

#include "app/options.h"
#include "base/log.h"
#include "base/mem.h"
#include "socketio/event.h"
#include "socketio/files.h"

/* Options that both kinds of servers have lie at the same place in both structs. */
_Static_assert(offsetof(sio_server_options, resource) == offsetof(eio_server_options, on_open),
               "EIO_SERVER_OPTIONS must come first");

unsigned sio_server_worker_count(const sio_server *server)
{
    return atomic_load(&server->worker_count);
}

/* ---- what runs in the app ---- */

static slice key_of_ns(const void *value)
{
    const sio_ns *ns = value;
    return slice_str(ns->name);
}

static slice key_of_socket(const void *value)
{
    const sio_socket *socket = value;
    return slice_of(socket->sid, SID_LEN);
}

static slice key_of_name(const void *value)
{
    return slice_str(value);
}

static int on_start(eio_core *core, worker *w)
{
    sio_server *server = core->owner;
    if (w->index == 0) {
        /* A start that failed half way may have left one, for another number of workers. */
        mem_free(server->shards);
        server->shards = mem_zalloc(core->shard_count * sizeof(*server->shards));
        if (!server->shards)
            return CARAFE_ERR_NOMEM;
    }
    sio_shard *shard = sio_shard_of(server, w);
    *shard = (sio_shard){ .server = server, .worker = w };
    map_init(&shard->namespaces, key_of_ns);
    map_init(&shard->sockets, key_of_socket);
    map_init(&shard->unhandled_names, key_of_name);
    list_init(&shard->deferred_acks);
    if (w->index == 0)
        sio_tasks_start(server, w);
    if (w->index + 1 == core->shard_count)
        atomic_store(&server->worker_count, core->shard_count);
    return 0;
}

static void on_stopping(eio_core *core, worker *w)
{
    if (w->index == 0)
        sio_tasks_stop(core->owner);
}

static bool is_idle(eio_core *core, worker *w)
{
    sio_server *server = core->owner;
    return sio_shard_of(server, w)->job_count == 0;
}

static void on_stopped(eio_core *core, worker *w)
{
    sio_server *server = core->owner;
    atomic_store(&server->worker_count, 0);
    sio_tasks_stop(server);
    if (!server->shards)
        return;
    sio_shard *shard = sio_shard_of(server, w);
    sio_deferred_drop(shard);
    size_t at = 0;
    sio_ns *ns;
    while ((ns = map_next(&shard->namespaces, &at)) != NULL)
        sio_ns_free(ns);
    map_deinit(&shard->namespaces);
    map_deinit(&shard->sockets);
    char *name;
    at = 0;
    while ((name = map_next(&shard->unhandled_names, &at)) != NULL)
        mem_free(name);
    map_deinit(&shard->unhandled_names);
    buf_deinit(&shard->scratch);
    if (w->index + 1 < core->shard_count)
        return;
    mem_free(server->shards);
    server->shards = NULL;
}

static void on_other(eio_core *core, http_request *req, slice rest)
{
    sio_server *server = core->owner;
    sio_files_serve(core->ext.app, &server->config, req, rest);
}

static void on_app_free(app_extension *ext)
{
    sio_server *server = LIST_ENTRY(ext, eio_core, ext)->owner;
    sio_server_free(server);
}

/* ---- life cycle ---- */

static int tie_to_app(sio_server *server, carafe_app *app)
{
    eio_server_options options = { 0 };
    memcpy(&options, &server->options, offsetof(eio_server_options, on_open));
    options.size = sizeof(options);
    TRY(sio_config_init(&server->config, &server->options));
    const sio_handler_table *any = sio_handlers_get(&server->handlers, SLICE_LITERAL("*"));
    if (any && (any->events.count || any->klass))
        server->config.accepts_any_ns = true;
    TRY(eio_core_init(&server->core, &options, "/socket.io/", &sio_eio_events));
    server->has_core = true;
    server->core.owner = server;
    server->core.on_other = on_other;
    server->core.on_start = on_start;
    server->core.on_stopping = on_stopping;
    server->core.is_idle = is_idle;
    server->core.on_stopped = on_stopped;
    server->core.ext.on_app_free = on_app_free;
    int error = app_attach(app, &server->core.ext);
    if (error < 0) {
        log_line(LOG_SOCKETIO, LOG_ERROR, "path \"%s\": %s", server->core.config.path,
                 error == CARAFE_ERR_ARGUMENT ? "taken by another server" : carafe_strerror(error));
        eio_core_deinit(&server->core);
        server->has_core = false;
    }
    return error;
}

sio_server *sio_server_new_with(carafe_app *app, const sio_server_options *options)
{
    sio_server *server = mem_zalloc(sizeof(*server));
    if (!server)
        return NULL;
    sio_handlers_init(&server->handlers);
    pthread_mutex_init(&server->early_lock, NULL);
    int error = sio_options_merge(&server->options, options);
    if (error == 0 && app)
        error = tie_to_app(server, app);
    if (error == 0)
        return server;
    sio_server_free(server);
    return NULL;
}

int sio_server_init_app_with(sio_server *sio, carafe_app *app, const sio_server_options *options)
{
    if (!sio || !app || sio->has_core) {
        log_line(LOG_SOCKETIO, LOG_ERROR, "sio_server_init_app: %s",
                 sio && app ? "the server has an app already" : "no server or no app");
        return sio && app ? CARAFE_ERR_STATE : CARAFE_ERR_ARGUMENT;
    }
    TRY(sio_options_merge(&sio->options, options));
    return tie_to_app(sio, app);
}

void sio_server_free(sio_server *sio)
{
    if (!sio)
        return;
    if (worker_current()) {
        log_line(LOG_APP, LOG_ERROR, "sio_server_free: not from a handler, view or task");
        return;
    }
    carafe_app *app = sio->has_core ? sio->core.ext.app : NULL;
    if (app && app_is_running(app)) {
        carafe_stop(app);
        carafe_wait(app);
    }
    if (sio->has_core)
        eio_core_deinit(&sio->core);
    mem_free(sio->shards);
    sio_tasks_drop(sio);
    pthread_mutex_destroy(&sio->early_lock);
    sio_handlers_deinit(&sio->handlers);
    sio_options_deinit(&sio->options);
    mem_free(sio);
}

/* ---- handlers ---- */

static int check_handler(const sio_server *sio, const char *call, const char *ns, bool has_all)
{
    const char *problem = NULL;
    if (!sio || !has_all)
        problem = "no server, event or handler";
    else if (*ns != '/' && strcmp(ns, "*") != 0)
        problem = "the namespace does not begin with \"/\"";
    else if (strchr(ns, ','))
        problem = "the namespace has a comma";
    if (problem) {
        log_line(LOG_APP, LOG_ERROR, "%s: %s", call, problem);
        return CARAFE_ERR_ARGUMENT;
    }
    if (!sio->has_core || !app_is_running(sio->core.ext.app))
        return 0;
    log_line(LOG_APP, LOG_ERROR, "%s: the server runs", call);
    return CARAFE_ERR_STATE;
}

/* A handler for any namespace lets clients join any. */
static void note_namespace(sio_server *sio, const char *ns)
{
    if (strcmp(ns, "*") == 0)
        sio->config.accepts_any_ns = true;
}

int sio_server_on_with(sio_server *sio, const char *event, sio_handler *handler,
                       const sio_on_options *options)
{
    sio_on_options o;
    TRY(options_read(&o, sizeof(o), options));
    const char *ns = o.ns ? o.ns : "/";
    TRY(check_handler(sio, "sio_server_on", ns, event && *event && handler));
    TRY(sio_handlers_set(&sio->handlers, ns, event, handler, o.guard, o.arg));
    note_namespace(sio, ns);
    return 0;
}

int sio_server_on_error(sio_server *sio, const char *ns, sio_handler *handler, void *arg)
{
    ns = ns ? ns : "/";
    TRY(check_handler(sio, "sio_server_on_error", ns, handler != NULL));
    sio_handler_table *table = sio_handlers_table(&sio->handlers, ns);
    if (!table)
        return CARAFE_ERR_NOMEM;
    table->on_error = handler;
    table->on_error_arg = arg;
    return 0;
}

int sio_server_on_error_default(sio_server *sio, sio_handler *handler, void *arg)
{
    TRY(check_handler(sio, "sio_server_on_error_default", "/", handler != NULL));
    sio->handlers.on_error_default = handler;
    sio->handlers.on_error_default_arg = arg;
    return 0;
}

int sio_server_on_namespace(sio_server *sio, const sio_namespace_class *klass, void *self)
{
    const char *ns = klass && klass->name ? klass->name : "/";
    TRY(check_handler(sio, "sio_server_on_namespace", ns, klass != NULL));
    sio_handler_table *table = sio_handlers_table(&sio->handlers, ns);
    if (!table)
        return CARAFE_ERR_NOMEM;
    table->klass = klass;
    table->self = self;
    note_namespace(sio, ns);
    return 0;
}

/* ---- running ---- */

static carafe_app *app_of(sio_server *sio, const char *call)
{
    if (sio && sio->has_core)
        return sio->core.ext.app;
    log_line(LOG_SOCKETIO, LOG_ERROR, "%s: %s", call,
             sio ? "the server has no app (see sio_server_init_app)" : "no server");
    return NULL;
}

int sio_server_run_with(sio_server *sio, const carafe_run_options *options)
{
    carafe_app *app = app_of(sio, "sio_server_run");
    return app ? carafe_run_with(app, options) : CARAFE_ERR_ARGUMENT;
}

int sio_server_start_with(sio_server *sio, const carafe_run_options *options)
{
    carafe_app *app = app_of(sio, "sio_server_start");
    return app ? carafe_start_with(app, options) : CARAFE_ERR_ARGUMENT;
}

int sio_server_wait(sio_server *sio)
{
    carafe_app *app = app_of(sio, "sio_server_wait");
    return app ? carafe_wait(app) : CARAFE_ERR_ARGUMENT;
}

int sio_server_stop(sio_server *sio)
{
    carafe_app *app = app_of(sio, "sio_server_stop");
    return app ? carafe_stop(app) : CARAFE_ERR_ARGUMENT;
}

int sio_server_port(sio_server *sio)
{
    carafe_app *app = app_of(sio, "sio_server_port");
    return app ? carafe_port(app) : 0;
}
