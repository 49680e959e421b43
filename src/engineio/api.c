/* Engine.IO as a product of its own: eio_server_* of carafe/engineio.h.
 *
 * The core calls back from the loop; the program's callbacks run as coroutines, one after the
 * other for each session, so what comes while one waits is queued. */
#include <string.h>

#include "app/options.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "engineio/session.h"

struct eio_server {
    eio_core core;
    void (*on_open)(eio_socket *sock, void *arg);
    void (*on_message)(eio_socket *sock, const void *data, size_t len, bool is_binary, void *arg);
    void (*on_close)(eio_socket *sock, const char *reason, void *arg);
    void *arg;
};

enum {
    JOB_COUNT_MAX = 1000, /* callbacks that wait in memory; then the client is not read on */
    RETRY_MS = 10,        /* until another try to get a coroutine, when there was none */
};

typedef enum job_type { JOB_OPEN, JOB_MESSAGE, JOB_CLOSE } job_type;

typedef struct job {
    list link;
    job_type type;
    bool is_binary;
    const char *reason;
    size_t len;
    uint8_t data[];
} job;

/* What a session has beside it; eio_socket.user points here. */
typedef struct api_socket {
    eio_socket *sock; /* one reference */
    eio_server *server;
    list jobs;
    size_t job_count;
    bool is_running; /* a coroutine works the jobs off */
    void *user;
    wheel_timer timer; /* connect_timeout: until the first message */
    wheel_timer retry; /* another try to run */
    job *close_job;    /* made at the start, so that the end cannot fail */
} api_socket;

static void run_job(api_socket *api, const job *j)
{
    eio_server *server = api->server;
    if (j->type == JOB_OPEN && server->on_open)
        server->on_open(api->sock, server->arg);
    else if (j->type == JOB_MESSAGE && server->on_message)
        server->on_message(api->sock, j->data, j->len, j->is_binary, server->arg);
    else if (j->type == JOB_CLOSE && server->on_close)
        server->on_close(api->sock, j->reason, server->arg);
}

static void work(void *arg)
{
    api_socket *api = arg;
    list *node;
    bool is_over = false;
    while ((node = list_pop_front(&api->jobs)) != NULL) {
        job *j = LIST_ENTRY(node, job, link);
        run_job(api, j);
        is_over = j->type == JOB_CLOSE;
        mem_free(j);
        if (--api->job_count == JOB_COUNT_MAX / 2)
            eio_socket_resume(api->sock);
    }
    api->is_running = false;
    if (!is_over)
        return;
    eio_socket_unref(api->sock);
    mem_free(api);
}

static job *job_new(job_type type, const void *data, size_t len, bool is_binary)
{
    job *j = mem_alloc(sizeof(*j) + len);
    if (!j)
        return NULL;
    *j = (job){ .type = type, .is_binary = is_binary, .len = len };
    if (len)
        memcpy(j->data, data, len);
    return j;
}

static int start(api_socket *api)
{
    api->is_running = true;
    return worker_spawn(api->sock->shard->worker, work, api);
}

static void wait_for_coroutine(api_socket *api)
{
    worker_timer_start(api->sock->shard->worker, &api->retry, RETRY_MS);
}

static void on_retry(wheel_timer *timer)
{
    api_socket *api = LIST_ENTRY(timer, api_socket, retry);
    eio_shard *shard = api->sock->shard;
    /* When it returns, all may have run to the end, and `api` be gone. */
    if (start(api) == 0)
        shard->retry_count--;
    else
        wait_for_coroutine(api);
}

static void add_job(api_socket *api, job *j)
{
    list_push_back(&api->jobs, &j->link);
    if (++api->job_count == JOB_COUNT_MAX)
        eio_socket_pause(api->sock);
    if (api->is_running || start(api) == 0)
        return;
    /* Callbacks may wait, so they need a stack of their own: they are late, but none is lost. */
    log_line(LOG_ENGINEIO, LOG_ERROR, "a callback is late: too many are waiting");
    api->sock->shard->retry_count++;
    wait_for_coroutine(api);
}

static void on_silent(wheel_timer *timer)
{
    api_socket *api = LIST_ENTRY(timer, api_socket, timer);
    log_line(LOG_ENGINEIO, LOG_WARNING, "session closed: it sent no message in time");
    eio_socket_end(api->sock, EIO_REASON_FORCED);
}

static void on_open(eio_socket *sock)
{
    api_socket *api = mem_zalloc(sizeof(*api));
    job *open_job = job_new(JOB_OPEN, NULL, 0, false);
    job *close_job = job_new(JOB_CLOSE, NULL, 0, false);
    if (!api || !open_job || !close_job) {
        mem_free(api);
        mem_free(open_job);
        mem_free(close_job);
        log_line(LOG_ENGINEIO, LOG_WARNING, "session closed: out of memory");
        eio_socket_end(sock, EIO_REASON_ERROR);
        return;
    }
    api->sock = eio_socket_ref(sock);
    api->server = sock->shard->core->owner;
    api->close_job = close_job;
    list_init(&api->jobs);
    wheel_timer_init(&api->timer, on_silent);
    wheel_timer_init(&api->retry, on_retry);
    worker_timer_start(sock->shard->worker, &api->timer,
                       sock->shard->core->config.connect_timeout_ms);
    sock->user = api;
    add_job(api, open_job);
}

static void on_message(eio_socket *sock, uint8_t *data, size_t len, bool is_binary)
{
    api_socket *api = sock->user;
    if (!api)
        return;
    wheel_cancel(&api->timer);
    job *j = job_new(JOB_MESSAGE, data, len, is_binary);
    if (j) {
        add_job(api, j);
        return;
    }
    log_line(LOG_ENGINEIO, LOG_WARNING, "session closed: out of memory for a message");
    eio_socket_end(sock, EIO_REASON_ERROR);
}

static void on_close(eio_socket *sock, const char *reason)
{
    api_socket *api = sock->user;
    if (!api)
        return;
    wheel_cancel(&api->timer);
    api->close_job->reason = reason;
    add_job(api, api->close_job);
}

/* Sessions that are closed for the core may have callbacks to come. */
static bool is_idle(eio_core *core, worker *w)
{
    return eio_shard_of(core, w)->retry_count == 0;
}

static const eio_events api_events = {
    .on_open = on_open,
    .on_message = on_message,
    .on_close = on_close,
};

static void on_app_free(app_extension *ext)
{
    eio_core *core = LIST_ENTRY(ext, eio_core, ext);
    eio_server_free(core->owner);
}

eio_server *eio_server_new_with(carafe_app *app, const eio_server_options *options)
{
    eio_server_options o;
    if (!app || options_read(&o, sizeof(o), options) < 0) {
        log_line(LOG_ENGINEIO, LOG_ERROR, "eio_server_new: no app, or options of another version");
        return NULL;
    }
    eio_server *server = mem_zalloc(sizeof(*server));
    if (!server)
        return NULL;
    if (eio_core_init(&server->core, &o, "/engine.io/", &api_events) < 0) {
        mem_free(server);
        return NULL;
    }
    server->core.owner = server;
    server->core.ext.on_app_free = on_app_free;
    server->core.is_idle = is_idle;
    server->on_open = o.on_open;
    server->on_message = o.on_message;
    server->on_close = o.on_close;
    server->arg = o.arg;
    int error = app_attach(app, &server->core.ext);
    if (error < 0) {
        log_line(LOG_ENGINEIO, LOG_ERROR, "eio_server_new: path \"%s\": %s",
                 server->core.config.path,
                 error == CARAFE_ERR_ARGUMENT ? "taken by another server" : carafe_strerror(error));
        eio_server_free(server);
        return NULL;
    }
    return server;
}

void eio_server_free(eio_server *server)
{
    if (!server)
        return;
    eio_core_deinit(&server->core);
    mem_free(server);
}

int eio_send_text(eio_socket *sock, const char *data, size_t len)
{
    if (!utf8_is_valid(data, len))
        return CARAFE_ERR_BAD_UTF8;
    /* In a polling body it would end this packet, and what follows would be one of its own. */
    if (!sock->is_websocket && len && memchr(data, EIO_SEPARATOR, len))
        return CARAFE_ERR_BAD_DATA;
    struct iovec piece = { (void *)(uintptr_t)data, len };
    return eio_socket_send(sock, '0' + EIO_MESSAGE, &piece, 1);
}

int eio_send_binary(eio_socket *sock, const void *data, size_t len)
{
    struct iovec piece = { (void *)(uintptr_t)data, len };
    return eio_socket_send(sock, 0, &piece, 1);
}

void eio_close(eio_socket *sock)
{
    eio_socket_close(sock, EIO_REASON_FORCED);
}

const char *eio_sid(const eio_socket *sock)
{
    return sock->sid;
}

carafe_request *eio_request(eio_socket *sock)
{
    if (!sock->request)
        sock->request = app_request_of_handshake(sock->shard->core->ext.app, sock->handshake);
    return sock->request;
}

const char *eio_transport(const eio_socket *sock)
{
    return sock->is_websocket ? "websocket" : "polling";
}

void eio_set_user(eio_socket *sock, void *user)
{
    api_socket *api = sock->user;
    api->user = user;
}

void *eio_user(const eio_socket *sock)
{
    const api_socket *api = sock->user;
    return api->user;
}
