#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "app/core.h"
#include "app/options.h"
#include "base/log.h"
#include "base/mem.h"

extern char **environ;

void app_check(const carafe_app *app)
{
    assert(app && app->magic == APP_MAGIC);
}

int app_check_idle(carafe_app *app, const char *what)
{
    if (atomic_load(&app->state) == APP_IDLE)
        return 0;
    log_line(LOG_APP, LOG_ERROR, "%s cannot be added or changed while the app runs", what);
    return CARAFE_ERR_STATE;
}

/* ---- life cycle ---- */

carafe_app *carafe_app_new(const char *name)
{
    carafe_app *app = mem_zalloc(sizeof(*app));
    if (!app)
        return NULL;
    app->name = mem_strdup(name ? name : "app");
    app->config = json_object();
    if (!app->name || !app->config) {
        mem_free(app->name);
        json_decref(app->config);
        mem_free(app);
        return NULL;
    }
    app->magic = APP_MAGIC;
    app->body_size_max = HTTP_BODY_SIZE_MAX;
    router_init(&app->routes);
    dispatch_init(app);
    pthread_mutex_init(&app->lock, NULL);
    pthread_cond_init(&app->changed, NULL);
    return app;
}

static void free_extensions(carafe_app *app)
{
    while (app->extensions) {
        app_extension *ext = app->extensions;
        app_detach(ext);
        if (ext->on_app_free)
            ext->on_app_free(ext);
    }
}

void carafe_app_free(carafe_app *app)
{
    if (!app)
        return;
    app_check(app);
    carafe_stop(app);
    if (carafe_wait(app) < 0) {
        log_line(LOG_APP, LOG_ERROR, "carafe_app_free: not from a view or handler");
        return;
    }
    free_extensions(app);
    router_deinit(&app->routes);
    static_folders_free(app);
    mem_free(app->before.items);
    mem_free(app->after.items);
    mem_free(app->teardown.items);
    mem_free(app->errors.items);
    json_decref(app->config);
    mem_free(app->name);
    pthread_cond_destroy(&app->changed);
    pthread_mutex_destroy(&app->lock);
    app->magic = 0;
    mem_free(app);
}

/* ---- configuration ---- */

int carafe_config_set(carafe_app *app, const char *key, json_t *value)
{
    app_check(app);
    int error = app_check_idle(app, "the configuration");
    if (error == 0 && (!key || !*key || !value))
        error = CARAFE_ERR_ARGUMENT;
    if (error < 0) {
        json_decref(value);
        return error;
    }
    /* Fails for a key that is not UTF-8, and without memory. */
    return json_object_set_new(app->config, key, value) < 0 ? CARAFE_ERR_ARGUMENT : 0;
}

json_t *carafe_config_get(carafe_app *app, const char *key)
{
    app_check(app);
    return key ? json_object_get(app->config, key) : NULL;
}

int carafe_config_from_file(carafe_app *app, const char *path)
{
    app_check(app);
    TRY(app_check_idle(app, "the configuration"));
    json_error_t problem;
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file) {
        log_line(LOG_APP, LOG_ERROR, "configuration %s: %m", path ? path : "without a name");
        return CARAFE_ERR_FILE;
    }
    json_t *values = json_loadf(file, 0, &problem);
    fclose(file);
    if (!json_is_object(values)) {
        log_line(LOG_APP, LOG_ERROR, "configuration %s:%d: %s", path, values ? 1 : problem.line,
                 values ? "not a JSON object" : problem.text);
        json_decref(values);
        return CARAFE_ERR_BAD_JSON;
    }
    int result = json_object_update(app->config, values);
    json_decref(values);
    return result < 0 ? CARAFE_ERR_NOMEM : 0;
}

static int set_from_env(carafe_app *app, const char *name, size_t name_len, const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!value)
        value = json_string(text);
    if (!value) {
        log_line(LOG_APP, LOG_WARNING, "environment variable ...%.*s is not UTF-8: ignored",
                 (int)name_len, name);
        return 0;
    }
    return json_object_setn_new(app->config, name, name_len, value) < 0 ? 0 : 1;
}

int carafe_config_from_env(carafe_app *app, const char *prefix)
{
    app_check(app);
    TRY(app_check_idle(app, "the configuration"));
    if (!prefix || !*prefix)
        return CARAFE_ERR_ARGUMENT;
    int count = 0;
    size_t prefix_len = strlen(prefix);
    for (char **entry = environ; entry && *entry; entry++) {
        if (strncmp(*entry, prefix, prefix_len) != 0)
            continue;
        const char *name = *entry + prefix_len;
        const char *equals = strchr(name, '=');
        if (equals && equals > name)
            count += set_from_env(app, name, (size_t)(equals - name), equals + 1);
    }
    return count;
}

int app_read_config(carafe_app *app)
{
    json_t *limit = carafe_config_get(app, "MAX_CONTENT_LENGTH");
    app->body_size_max = HTTP_BODY_SIZE_MAX;
    if (!limit || json_is_null(limit))
        return 0;
    if (!json_is_integer(limit) || json_integer_value(limit) < 0) {
        log_line(LOG_APP, LOG_ERROR,
                 "MAX_CONTENT_LENGTH must be a number of bytes, as in 16777216");
        return CARAFE_ERR_ARGUMENT;
    }
    app->body_size_max = (uint64_t)json_integer_value(limit);
    return 0;
}

/* ---- routes and hooks ---- */

int carafe_route_with(carafe_app *app, const char *rule, carafe_view *view,
                      const carafe_route_options *given)
{
    carafe_route_options options;
    const char *problem = NULL;
    unsigned methods;
    app_check(app);
    TRY(app_check_idle(app, "a route"));
    int error = options_read(&options, sizeof(options), given);
    if (error < 0)
        problem = "the size of the options is not set";
    else if (!rule || !view)
        problem = "a route needs a rule and a view";
    else if (route_methods_parse(options.methods ? options.methods : "GET", &methods) < 0)
        problem = "methods are a list as in \"GET,POST\"";
    error = CARAFE_ERR_ARGUMENT;
    if (!problem) {
        route_options added = { .rule = rule,
                                .methods = methods,
                                .view = view,
                                .arg = options.arg,
                                .endpoint = options.endpoint };
        error = router_add(&app->routes, &added, &problem);
    }
    if (problem)
        log_line(LOG_APP, LOG_ERROR, "route \"%s\": %s", rule ? rule : "", problem);
    return error;
}

static int add_hook(carafe_app *app, app_hooks *hooks, const app_hook *hook)
{
    app_check(app);
    TRY(app_check_idle(app, "a hook"));
    if (!hook->fn)
        return CARAFE_ERR_ARGUMENT;
    app_hook *items = mem_realloc(hooks->items, (hooks->count + 1) * sizeof(*items));
    if (!items)
        return CARAFE_ERR_NOMEM;
    hooks->items = items;
    items[hooks->count++] = *hook;
    return 0;
}

int carafe_before_request(carafe_app *app, carafe_view *fn, void *arg)
{
    return add_hook(app, &app->before, &(app_hook){ .fn = fn, .arg = arg });
}

int carafe_after_request(carafe_app *app, carafe_view *fn, void *arg)
{
    return add_hook(app, &app->after, &(app_hook){ .fn = fn, .arg = arg });
}

int carafe_teardown_request(carafe_app *app, carafe_view *fn, void *arg)
{
    return add_hook(app, &app->teardown, &(app_hook){ .fn = fn, .arg = arg });
}

int carafe_errorhandler(carafe_app *app, int status, carafe_view *fn, void *arg)
{
    app_check(app);
    if (status < 300 || status > 599)
        return CARAFE_ERR_ARGUMENT;
    for (size_t i = 0; i < app->errors.count; i++) {
        if (app->errors.items[i].status != status)
            continue;
        TRY(app_check_idle(app, "an error handler"));
        if (!fn)
            return CARAFE_ERR_ARGUMENT;
        app->errors.items[i] = (app_hook){ .status = status, .fn = fn, .arg = arg };
        return 0;
    }
    return add_hook(app, &app->errors, &(app_hook){ .status = status, .fn = fn, .arg = arg });
}

/* ---- extensions ---- */

int app_attach(carafe_app *app, app_extension *ext)
{
    app_check(app);
    TRY(app_check_idle(app, "a server"));
    if (ext->app)
        return CARAFE_ERR_STATE;
    for (app_extension *other = app->extensions; other; other = other->next)
        if (strcmp(other->prefix, ext->prefix) == 0)
            return CARAFE_ERR_ARGUMENT;
    ext->app = app;
    ext->next = app->extensions;
    app->extensions = ext;
    return 0;
}

void app_detach(app_extension *ext)
{
    if (!ext->app)
        return;
    assert(atomic_load(&ext->app->state) == APP_IDLE);
    app_extension **at = &ext->app->extensions;
    while (*at != ext)
        at = &(*at)->next;
    *at = ext->next;
    ext->next = NULL;
    ext->app = NULL;
}

app_extension *app_find_extension(const carafe_app *app, slice path)
{
    app_extension *found = NULL;
    size_t found_len = 0;
    for (app_extension *ext = app->extensions; ext; ext = ext->next) {
        slice prefix = slice_str(ext->prefix);
        if (slice_starts_with(path, prefix) && prefix.len >= found_len) {
            found = ext;
            found_len = prefix.len;
        }
    }
    return found;
}

/* ---- state ---- */

const http_service *app_http_service(carafe_app *app)
{
    app_check(app);
    /* A bad value is logged, and the default holds. */
    if (atomic_load(&app->state) == APP_IDLE && app_read_config(app) < 0)
        app->body_size_max = HTTP_BODY_SIZE_MAX;
    return &app->service;
}

bool app_is_stopping(const carafe_app *app)
{
    return atomic_load(&app->is_stopping);
}

bool app_is_running(const carafe_app *app)
{
    int state = atomic_load(&app->state);
    return state == APP_RUNNING || state == APP_STOPPING;
}

bool app_is_debug(const carafe_app *app)
{
    return atomic_load(&app->is_debug);
}
