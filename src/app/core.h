/* The insides of an app and of a request, for the files of this layer. */
#ifndef CARAFE_APP_CORE_H
#define CARAFE_APP_CORE_H

#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "app/app.h"
#include "app/arena.h"
#include "app/router.h"
#include "net/tcp.h"

/* ---- the app ---- */

typedef struct app_hook {
    int status; /* of an error handler */
    carafe_view *fn;
    void *arg;
} app_hook;

/* Grows while the app is built, fixed while it runs. */
typedef struct app_hooks {
    app_hook *items;
    size_t count;
} app_hooks;

/*   IDLE --start--> STARTING --all workers run--> RUNNING --stop--> STOPPING --wait--> IDLE
 *     ^                 |                                              |
 *     '----- failed ----'                       (workers end by themselves here) */
typedef enum app_state { APP_IDLE = 0, APP_STARTING, APP_RUNNING, APP_STOPPING } app_state;

typedef struct app_node app_node;           /* node.h */
typedef struct static_folder static_folder; /* static.c */

struct carafe_app {
    uint32_t magic;
    char *name;
    json_t *config;
    router routes;
    app_hooks before;
    app_hooks after;
    app_hooks teardown;
    app_hooks errors;
    app_extension *extensions;
    static_folder *folders;
    http_service service;
    uint64_t body_size_max;

    /* The state changes under the lock; it is read without one where that is enough. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* the state has changed */
    atomic_int state;       /* app_state */
    atomic_bool is_stopping;
    atomic_bool is_debug;
    atomic_int port;
    bool has_joiner;  /* GUARDED_BY(lock): a thread waits for the workers' ends */
    bool has_mailbox; /* GUARDED_BY(lock): the workers' mailboxes are there */

    /* Fixed from the start to the end of a run. */
    unsigned worker_count;
    app_node *nodes;
    worker **workers;
    net_listener *listener;
    uint64_t stop_timeout_ms;
};

enum { APP_MAGIC = 0x43415041, REQUEST_MAGIC = 0x43415245 };

/* Aborts on a dead or foreign handle. */
void app_check(const carafe_app *app);

/* CARAFE_ERR_STATE: the app runs, so it cannot be changed; the log says what was asked for. */
int app_check_idle(carafe_app *app, const char *what) MUST_USE;

/* Reads the configuration that requests need. CARAFE_ERR_ARGUMENT: a value that makes no sense. */
int app_read_config(carafe_app *app) MUST_USE;

/* The extension whose prefix a path (as sent) begins with, or NULL. */
app_extension *app_find_extension(const carafe_app *app, slice path);

/* ---- the answer ---- */

typedef enum body_kind { BODY_NONE = 0, BODY_BYTES, BODY_FILE } body_kind;

typedef struct app_response {
    int status; /* 0: 200 */
    body_kind kind;
    bool is_answered;     /* a body was set, a redirect or an abort */
    http_header *headers; /* in the request's arena */
    size_t header_count;
    size_t header_cap;
    buf body;
    int fd; /* BODY_FILE: owned, -1 otherwise */
    uint64_t file_size;
    int64_t file_mtime_s;
    slice etag; /* in the arena */
} app_response;

/* ---- the request ---- */

enum { REQUEST_ROOM = 512 }; /* bytes of the arena that cost no allocation */

struct carafe_request {
    uint32_t magic;
    bool is_json_parsed;
    bool is_bad_path; /* cannot be decoded: no rule matches it */
    net_addr peer;
    carafe_app *app;
    http_request *http;             /* NULL: answered, or a handshake's */
    const app_handshake *handshake; /* where the headers are when http is NULL */
    app_handshake *own_handshake;   /* the same when it is to be freed */
    slice sent_path;                /* as sent, without the query */
    slice sent_query;               /* data is NULL without '?' */
    buf body;
    route_match match;
    const char *problem; /* what an error answer says in debug; NULL: the reason phrase */

    /* Made when first asked for. */
    const char *method;
    const char *path;
    const char *url;
    const char *remote_addr;
    json_t *query_all;
    json_t *json;
    json_t *g;

    app_response response;
    arena arena;
    alignas(max_align_t) uint8_t room[REQUEST_ROOM];
};

/* Over a live request, whose body moves over. NULL: no memory. */
carafe_request *app_request_new(carafe_app *app, http_request *http);

/* Lets go of the live request: the headers are kept for hooks that still want them. False: no
 * memory, the headers are gone. */
bool app_request_keep_head(carafe_request *req);

/* The next header of that name: start with *at = 0; false at the end. */
bool app_request_header(carafe_request *req, const char *name, size_t *at, slice *value);

/* Aborts on a dead or foreign handle. */
static inline void request_check(const carafe_request *req)
{
    assert(req && req->magic == REQUEST_MAGIC);
}

/* ---- making and sending answers ---- */

void response_init(app_response *response);
void response_deinit(app_response *response);

/* Drops all that was set. */
void response_reset(carafe_request *req);

/* Sets a header; one of that name is replaced, Set-Cookie excepted. Both are copied.
 * CARAFE_ERR_ARGUMENT: not valid, or one the server sets itself; CARAFE_ERR_NOMEM. */
int response_set_header(carafe_request *req, slice name, slice value) MUST_USE;
slice response_get_header(const carafe_request *req, const char *name);

/* Makes the file the body. `fd` is a regular file, taken over also on failure. */
int response_set_file(carafe_request *req, int fd, const char *name) MUST_USE;

/* Makes the standard body of an error status. CARAFE_ERR_NOMEM. */
int response_set_error_body(carafe_request *req, int status) MUST_USE;

/* Sends the answer; the live request is freed by that. */
void response_send(carafe_request *req);

/* ---- the parts of an app ---- */

/* Fills in app->service. */
void dispatch_init(carafe_app *app);

/* Frees the served folders. */
void static_folders_free(carafe_app *app);

#endif /* CARAFE_APP_CORE_H */
