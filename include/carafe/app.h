/* The app layer: routes, requests and responses.
 *
 * An app is built on one thread, before it runs; while it runs its routes and hooks are fixed.
 * Views and hooks run on coroutines of the app's workers: they may wait (sio_sleep, sio_call)
 * without holding up other clients. A request and all it returns belong to the view's coroutine
 * and live until the view returns.
 *
 * Options are C99 designated initialisers: carafe_route(app, "/", view, .methods = "GET,POST").
 * An option that is zero has its default. */
#ifndef CARAFE_APP_H
#define CARAFE_APP_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "carafe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct carafe_app carafe_app;
typedef struct carafe_request carafe_request;

/* A switch whose default may be on. */
typedef enum sio_switch { SIO_DEFAULT = 0, SIO_ON = 1, SIO_OFF = 2 } sio_switch;

/* For .port: one the system picks; ask carafe_port or sio_server_port which. */
#define SIO_PORT_ANY (-1)

/* Answers a request: returns 0, or the HTTP status to answer with (the body is then what was set,
 * or a standard one). Negative is an error: it is logged and answered 500. */
typedef int carafe_view(carafe_request *req, void *arg);

/* ---- the app ---- */

/* A new app, freed by carafe_app_free. NULL when there is no memory. */
CARAFE_API carafe_app *carafe_app_new(const char *name);

/* Stops the app when it runs, and frees it with the servers that are still attached to it. NULL is
 * fine. Not from a view or handler. */
CARAFE_API void carafe_app_free(carafe_app *app);

/* Sets a configuration value; `value` is stolen, also on failure.
 * CARAFE_ERR_ARGUMENT: no key or no value. CARAFE_ERR_STATE: the app runs. */
CARAFE_API int carafe_config_set(carafe_app *app, const char *key, json_t *value);

/* A configuration value, borrowed until it is set again; NULL when there is none. */
CARAFE_API json_t *carafe_config_get(carafe_app *app, const char *key);

/* Sets all members of a JSON file's object. CARAFE_ERR_FILE: not readable; CARAFE_ERR_BAD_JSON: no
 * JSON object (the log names the line). */
CARAFE_API int carafe_config_from_file(carafe_app *app, const char *path);

/* Sets a value for each environment variable NAME that begins with `prefix` ("CARAFE_"), under the
 * rest of its name. What is JSON becomes that value, anything else a string. Returns their number.
 * CARAFE_ERR_ARGUMENT: no prefix. */
CARAFE_API int carafe_config_from_env(carafe_app *app, const char *prefix);

typedef struct carafe_route_options {
    size_t size;
    const char *methods; /* "GET" (HEAD goes with it) when NULL; a list: "GET,POST" */
    void *arg;           /* passed to the view */
    const char *endpoint; /* a name for logs; the rule when NULL */
} carafe_route_options;

/* Lets `view` answer the paths that match `rule`: "/user/<name>" matches one segment,
 * "/item/<int:id>" digits, "/files/<path:rest>" anything that is left. A rule without variable
 * parts is preferred to one with. OPTIONS and 405 are answered by the app. A rule that ends in a
 * slash also redirects the path without it.
 * CARAFE_ERR_ARGUMENT: a malformed rule or method, or the same rule and method again (the log says
 * which); CARAFE_ERR_STATE: the app runs; CARAFE_ERR_NOMEM. */
CARAFE_API int carafe_route_with(carafe_app *app, const char *rule, carafe_view *view,
                                 const carafe_route_options *options);
#define carafe_route(...) CARAFE_ROUTE_(__VA_ARGS__, )
#define CARAFE_ROUTE_(app, rule, view, ...)                                                      \
    carafe_route_with(app, rule, view,                                                           \
                      &(carafe_route_options){ .size = sizeof(carafe_route_options), __VA_ARGS__ })

/* Serves the files under the folder `dir` at the URLs below `url` ("/static"), with ETag, ranges
 * and conditional requests; a folder's index.html for the folder. Never a file outside of the folder or a hidden one.
 * CARAFE_ERR_ARGUMENT: `url` does not begin with a slash; CARAFE_ERR_FILE: `dir` is no folder;
 * CARAFE_ERR_STATE: the app runs; CARAFE_ERR_NOMEM. */
CARAFE_API int carafe_static(carafe_app *app, const char *url, const char *dir);

/* Calls `fn` before each view: one that answers or returns non-zero ends the request there; after
 * each view, the last one registered first; and when the answer is on its way, whatever happened,
 * in that order too. Requests below the path of a Socket.IO server have no hooks.
 * CARAFE_ERR_ARGUMENT: no function; CARAFE_ERR_STATE: the app runs; CARAFE_ERR_NOMEM. */
CARAFE_API int carafe_before_request(carafe_app *app, carafe_view *fn, void *arg);
CARAFE_API int carafe_after_request(carafe_app *app, carafe_view *fn, void *arg);
CARAFE_API int carafe_teardown_request(carafe_app *app, carafe_view *fn, void *arg);

/* Lets `fn` make the answer when a request ends with `status` (300 to 599) and no body of its
 * own. What it returns replaces the status unless it is 0. Errors as the hooks above. */
CARAFE_API int carafe_errorhandler(carafe_app *app, int status, carafe_view *fn, void *arg);

/* ---- running ---- */

typedef struct carafe_run_options {
    size_t size;
    const char *host;  /* "127.0.0.1" when NULL; "0.0.0.0" and "::" are all interfaces */
    int port;          /* 5000 when 0; SIO_PORT_ANY */
    bool debug;        /* debug lines in the log of this process, and the cause in error answers */
    sio_switch log_output; /* a log line for each request; follows `debug` by default */
    unsigned workers;  /* threads that serve; 1 when 0, at most 256 */
    double stop_timeout; /* seconds that handlers have to end when the server stops; 5 when 0 */
} carafe_run_options;

/* Serves until carafe_stop, SIGINT or SIGTERM; returns 0 then. Errors, each with a log line that
 * says what to do: CARAFE_ERR_ADDRESS: host or port cannot be used; CARAFE_ERR_ARGUMENT: an option
 * out of range; CARAFE_ERR_STATE: it runs already; CARAFE_ERR_SYSTEM, CARAFE_ERR_NOMEM. */
CARAFE_API int carafe_run_with(carafe_app *app, const carafe_run_options *options);
#define carafe_run(...) CARAFE_RUN_(__VA_ARGS__, )
#define CARAFE_RUN_(app, ...)                                                                    \
    carafe_run_with(app,                                                                         \
                    &(carafe_run_options){ .size = sizeof(carafe_run_options), __VA_ARGS__ })

/* The same on threads of its own: returns once it listens. Signals are the program's business. */
CARAFE_API int carafe_start_with(carafe_app *app, const carafe_run_options *options);
#define carafe_start(...) CARAFE_START_(__VA_ARGS__, )
#define CARAFE_START_(app, ...)                                                                  \
    carafe_start_with(app,                                                                       \
                      &(carafe_run_options){ .size = sizeof(carafe_run_options), __VA_ARGS__ })

/* Waits until the app has stopped. Not from a view or handler (CARAFE_ERR_STATE). */
CARAFE_API int carafe_wait(carafe_app *app);

/* Stops the app: accepts no more, closes what is open, gives handlers time to end. Returns at
 * once; carafe_wait waits for the end. Thread: any, handlers too. 0, also when it does not run. */
CARAFE_API int carafe_stop(carafe_app *app);

/* The port it listens on, 0 when it does not run. Thread: any. */
CARAFE_API int carafe_port(carafe_app *app);

/* ---- the log ---- */

typedef enum carafe_log_level {
    CARAFE_LOG_DEBUG = 0,
    CARAFE_LOG_INFO = 1,
    CARAFE_LOG_WARNING = 2,
    CARAFE_LOG_ERROR = 3
} carafe_log_level;

/* Takes a line, without a newline; control bytes in it are escaped. */
typedef void carafe_log_fn(carafe_log_level level, const char *line, void *arg);

/* Sends the log lines of this process to `fn` instead of stderr; NULL restores that. `fn` is called
 * from any thread, by one at a time, and must not log itself. Thread: any. */
CARAFE_API void carafe_set_log(carafe_log_fn *fn, void *arg);

/* Writes a line of the program's own to the log, made like printf. Thread: any. */
CARAFE_API void carafe_log(carafe_log_level level, const char *fmt, ...) CARAFE_PRINTF(2, 3);

/* ---- the request ---- */

/* "GET"; "/user/ann" (decoded); "/user/ann?x=1" (as sent). */
CARAFE_API const char *carafe_method(carafe_request *req);
CARAFE_API const char *carafe_path(carafe_request *req);
CARAFE_API const char *carafe_url(carafe_request *req);

/* The first value of a key in the query string, and of a field of an urlencoded form; NULL when
 * there is none. */
CARAFE_API const char *carafe_query(carafe_request *req, const char *key);
CARAFE_API const char *carafe_form(carafe_request *req, const char *key);

/* The whole query: an object with a string for each key, an array of strings for a repeated one.
 * Borrowed. NULL when there is no memory. */
CARAFE_API json_t *carafe_query_all(carafe_request *req);

/* A header's value (several are joined by ", "), a cookie's; NULL when there is none. */
CARAFE_API const char *carafe_header(carafe_request *req, const char *name);
CARAFE_API const char *carafe_cookie(carafe_request *req, const char *name);

/* A variable part of the rule: "name" of "/user/<name>"; NULL when there is none. */
CARAFE_API const char *carafe_view_arg(carafe_request *req, const char *name);

/* The body as JSON, borrowed; NULL when it is none (the content type is not looked at) or nested
 * deeper than 64. Bodies above the configuration's MAX_CONTENT_LENGTH (16 MiB by default) are
 * answered 413 before any view runs. */
CARAFE_API json_t *carafe_json(carafe_request *req);

/* The body's bytes, with a NUL behind them, and their number in `*len` (may be NULL). */
CARAFE_API const char *carafe_body(carafe_request *req, size_t *len);

/* The peer's address: "127.0.0.1". */
CARAFE_API const char *carafe_remote_addr(carafe_request *req);

/* A free object for this request, empty at its start. Borrowed. NULL: no memory. */
CARAFE_API json_t *carafe_g(carafe_request *req);

/* The app that serves the request. */
CARAFE_API carafe_app *carafe_current_app(carafe_request *req);

/* ---- the answer ----
 *
 * A view sets it; it leaves when the view returns. The last body set counts. These return 0, so
 * that a view may end with "return carafe_text(...)", or a negative error and then set nothing:
 * CARAFE_ERR_NOMEM, CARAFE_ERR_BAD_DATA, CARAFE_ERR_ARGUMENT; CARAFE_ERR_STATE on the handshake's
 * request in an event handler, which was answered long ago. */

/* text/plain and text/html, UTF-8, made like printf. */
CARAFE_API int carafe_text(carafe_request *req, const char *fmt, ...) CARAFE_PRINTF(2, 3);
CARAFE_API int carafe_html(carafe_request *req, const char *fmt, ...) CARAFE_PRINTF(2, 3);

/* application/json; `value` is stolen, also on failure. */
CARAFE_API int carafe_respond_json(carafe_request *req, json_t *value);

/* Any bytes, copied. */
CARAFE_API int carafe_respond_bytes(carafe_request *req, const char *content_type,
                                    const void *data, size_t len);

/* A file, with its content type by name, ETag, ranges and conditional requests.
 * CARAFE_ERR_FILE: cannot be read (answered 404 when the view returns this). */
CARAFE_API int carafe_send_file(carafe_request *req, const char *path);

/* A redirect: carafe_redirect(req, location) is a 302; a third argument is 301, 302, 303, 307 or
 * 308. */
CARAFE_API int carafe_redirect_with(carafe_request *req, const char *location, int status);
#define carafe_redirect(...) CARAFE_REDIRECT_(__VA_ARGS__, 0, )
#define CARAFE_REDIRECT_(req, location, status, ...) carafe_redirect_with(req, location, status)

/* Drops what was set and answers `status` with the app's error handler or a standard page; returns
 * the status: "return carafe_abort(req, 404);". */
CARAFE_API int carafe_abort(carafe_request *req, int status);

/* The status of the answer, 200 by default. CARAFE_ERR_ARGUMENT: not 200 to 599. */
CARAFE_API int carafe_set_status(carafe_request *req, int status);

/* Adds a header; a header of that name that was set before is replaced, Set-Cookie excepted. */
CARAFE_API int carafe_set_header(carafe_request *req, const char *name, const char *value);

typedef struct carafe_cookie_options {
    size_t size;
    long max_age;          /* seconds; 0: until the browser ends; negative: delete it */
    const char *path;      /* "/" when NULL */
    const char *domain;
    const char *same_site; /* "Lax", "Strict", "None"; not sent when NULL */
    bool secure;
    bool http_only;
} carafe_cookie_options;

/* Sets a cookie. CARAFE_ERR_ARGUMENT: a name or value with characters a cookie cannot hold. */
CARAFE_API int carafe_set_cookie_with(carafe_request *req, const char *name, const char *value,
                                      const carafe_cookie_options *options);
#define carafe_set_cookie(...) CARAFE_SET_COOKIE_(__VA_ARGS__, )
#define CARAFE_SET_COOKIE_(req, name, value, ...)                                                \
    carafe_set_cookie_with(                                                                      \
        req, name, value,                                                                        \
        &(carafe_cookie_options){ .size = sizeof(carafe_cookie_options), __VA_ARGS__ })

#ifdef __cplusplus
}
#endif

#endif /* CARAFE_APP_H */
