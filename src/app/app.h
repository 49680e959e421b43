/* The app as the library sees it: what runs on each worker, and how servers attach to it. */
#ifndef CARAFE_APP_APP_H
#define CARAFE_APP_APP_H

#include "carafe/app.h"
#include "http/conn.h"

/* A server that lives in an app: it answers the paths below its prefix and has state per worker.
 * Embedded in the server (engineio's). Callbacks marked (worker) run on that worker's thread. */
typedef struct app_extension app_extension;
struct app_extension {
    app_extension *next;
    carafe_app *app;    /* NULL when it is attached to none */
    const char *prefix; /* "/socket.io/": paths that begin so are its own */
    /* Before the first connection, for each worker in turn (on the starting thread; the workers do
     * not run yet). An error ends the start. May be NULL, as all of these. */
    int (*on_start)(app_extension *ext, worker *w);
    /* (worker) As http_service.on_head and on_request, for paths below the prefix. */
    void (*on_head)(app_extension *ext, http_request *req);
    void (*on_request)(app_extension *ext, http_request *req);
    /* (worker) The app stops: end sessions, wake who waits. Called once. */
    void (*on_stopping)(app_extension *ext, worker *w);
    /* (worker) Nothing of it is left to wait for. */
    bool (*is_idle)(app_extension *ext, worker *w);
    /* The worker's loop has ended (on the thread that waits for the end): free its state there. */
    void (*on_stopped)(app_extension *ext, worker *w);
    /* The app is being freed: free the server. */
    void (*on_app_free)(app_extension *ext);
};

/* CARAFE_ERR_STATE: the app runs, or the extension has an app; CARAFE_ERR_ARGUMENT: the prefix is
 * taken. */
int app_attach(carafe_app *app, app_extension *ext) MUST_USE;

/* Takes it out of its app, which must not run. Harmless when it is in none. */
void app_detach(app_extension *ext);

/* The workers of a running app. Thread: any, while the app runs. */
unsigned app_worker_count(const carafe_app *app);
worker *app_worker(const carafe_app *app, unsigned index);

/* worker_post() to a worker that may end meanwhile. Thread: any, at any time (a worker of the app
 * itself can do without). CARAFE_ERR_STOPPING: the app does not run, `task` was not taken. */
int app_post(carafe_app *app, unsigned index, worker_task *task) MUST_USE;

/* worker_call() in the same safe way. Yields. CARAFE_ERR_STOPPING: fn was not called. */
int app_call(carafe_app *app, unsigned index, void (*fn)(worker *w, void *arg), void *arg) MUST_USE;

/* True from the first carafe_stop on, until the app is started again. Thread: any. */
bool app_is_stopping(const carafe_app *app);
bool app_is_running(const carafe_app *app);
bool app_is_debug(const carafe_app *app);

/* Runs the app's own dispatch on a complete request: what http_service.on_request does. For the
 * in-memory transports of tests. */
const http_service *app_http_service(carafe_app *app);

/* Answers a request with the file `name` below the folder `dir`, as carafe_static does. Frees the
 * request, unless it fails: CARAFE_ERR_FILE: no such file; CARAFE_ERR_NOMEM. */
int app_send_file(carafe_app *app, http_request *http, const char *dir, const char *name) MUST_USE;

/* A compact copy of a handshake's head, kept for the life of a session: one allocation with the
 * target, the headers and the peer. */
typedef struct app_handshake app_handshake;
app_handshake *app_handshake_new(const http_request *req);
void app_handshake_free(app_handshake *handshake);
slice app_handshake_query(const app_handshake *handshake);
slice app_handshake_header(const app_handshake *handshake, const char *name);
const net_addr *app_handshake_peer(const app_handshake *handshake);

/* A request over such a copy, for event handlers: accessors work, answers are CARAFE_ERR_STATE.
 * Freed by app_request_free(); the handshake must live as long. NULL: no memory. */
carafe_request *app_request_of_handshake(carafe_app *app, const app_handshake *handshake);
void app_request_free(carafe_request *req);

#endif /* CARAFE_APP_APP_H */
