/* Background tasks and sleeping.
 *
 * A sio_task is a number in a pointer's clothes: the task's record frees itself when the task has
 * ended, and a join that comes later finds no such number, which means the same. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "socketio/server.h"
#include "socketio/task.h"

enum { SLEEP_S_MAX = 1000000000 };

typedef struct task_waiter {
    struct task_waiter *next;
    sio_call_state *call;
} task_waiter;

struct sio_task_record {
    uintptr_t id;
    sio_task_record *next; /* among those started before the server */
    worker_task task;
    void (*fn)(void *arg);
    void *arg;
    task_waiter *waiters; /* under records_lock */
};

static slice key_of_record(const void *value)
{
    const sio_task_record *record = value;
    return slice_of(&record->id, sizeof(record->id));
}

/* All tasks of the process that have not ended; any thread may join any. */
static pthread_mutex_t records_lock = PTHREAD_MUTEX_INITIALIZER;
static map records = { .key_of = key_of_record };
static uintptr_t last_id;

static sio_task_record *record_new(void (*fn)(void *arg), void *arg)
{
    sio_task_record *record = mem_zalloc(sizeof(*record));
    if (!record)
        return NULL;
    record->fn = fn;
    record->arg = arg;
    pthread_mutex_lock(&records_lock);
    record->id = ++last_id;
    int error = map_put(&records, record);
    pthread_mutex_unlock(&records_lock);
    if (error == 0)
        return record;
    mem_free(record);
    return NULL;
}

/* The task has ended, or will never run. */
static void record_end(sio_task_record *record)
{
    pthread_mutex_lock(&records_lock);
    map_remove(&records, key_of_record(record));
    if (records.count == 0)
        map_deinit(&records);
    task_waiter *waiter = record->waiters;
    pthread_mutex_unlock(&records_lock);
    while (waiter) {
        task_waiter *next = waiter->next;
        sio_call_complete(waiter->call, json_true());
        sio_call_unref(waiter->call);
        mem_free(waiter);
        waiter = next;
    }
    mem_free(record);
}

static void run_task(void *arg)
{
    sio_task_record *record = arg;
    record->fn(record->arg);
    record_end(record);
}

static void on_task(worker *w, worker_task *task)
{
    sio_task_record *record = LIST_ENTRY(task, sio_task_record, task);
    if (worker_spawn(w, run_task, record) == 0)
        return;
    log_line(LOG_SOCKETIO, LOG_ERROR, "a background task was dropped: too many handlers wait");
    record_end(record);
}

static int post_record(worker *w, sio_task_record *record)
{
    record->task.fn = on_task;
    return worker_post(w, &record->task);
}

void sio_tasks_start(sio_server *server, worker *first)
{
    pthread_mutex_lock(&server->early_lock);
    sio_task_record *record = server->early_tasks;
    server->early_tasks = NULL;
    server->task_worker = first;
    while (record) {
        sio_task_record *next = record->next;
        if (post_record(first, record) < 0)
            record_end(record);
        record = next;
    }
    pthread_mutex_unlock(&server->early_lock);
}

void sio_tasks_stop(sio_server *server)
{
    pthread_mutex_lock(&server->early_lock);
    server->task_worker = NULL;
    pthread_mutex_unlock(&server->early_lock);
}

void sio_tasks_drop(sio_server *server)
{
    sio_task_record *record = server->early_tasks;
    server->early_tasks = NULL;
    while (record) {
        sio_task_record *next = record->next;
        record_end(record);
        record = next;
    }
}

sio_task *sio_server_start_background_task(sio_server *sio, void (*fn)(void *arg), void *arg)
{
    if (!sio || !fn) {
        log_line(LOG_APP, LOG_ERROR, "sio_server_start_background_task: no %s",
                 sio ? "function" : "server");
        return NULL;
    }
    sio_task_record *record = record_new(fn, arg);
    if (!record)
        return NULL;
    sio_task *handle = (sio_task *)record->id;
    int error = 0;
    carafe_app *app = sio->has_core ? sio->core.ext.app : NULL;
    pthread_mutex_lock(&sio->early_lock);
    /* While it is set the first worker cannot end: it would have to reset it under this lock. */
    if (sio->task_worker) {
        error = post_record(worker_current() ? worker_current() : sio->task_worker, record);
    } else if (app && app_is_running(app) && app_is_stopping(app)) {
        error = CARAFE_ERR_STOPPING;
    } else {
        sio_task_record **at = &sio->early_tasks;
        while (*at)
            at = &(*at)->next;
        *at = record;
    }
    pthread_mutex_unlock(&sio->early_lock);
    if (error == 0)
        return handle;
    record_end(record);
    return NULL;
}

/* Adds a waiter to a task that has not ended. 0: it has. */
static int add_waiter(uintptr_t id, sio_call_state *call)
{
    task_waiter *waiter = mem_alloc(sizeof(*waiter));
    if (!waiter)
        return CARAFE_ERR_NOMEM;
    pthread_mutex_lock(&records_lock);
    sio_task_record *record = map_get(&records, slice_of(&id, sizeof(id)));
    if (record) {
        atomic_fetch_add(&call->refs, 1);
        *waiter = (task_waiter){ record->waiters, call };
        record->waiters = waiter;
    }
    pthread_mutex_unlock(&records_lock);
    if (!record)
        mem_free(waiter);
    return record != NULL;
}

int sio_task_join(sio_task *task)
{
    if (!task)
        return CARAFE_ERR_ARGUMENT;
    if (worker_current() && !coro_current())
        return CARAFE_ERR_STATE;
    sio_call_state *call = sio_call_new();
    if (!call)
        return CARAFE_ERR_NOMEM;
    int result = add_waiter((uintptr_t)task, call);
    if (result > 0) {
        json_t *ended = sio_call_wait(call, (uint64_t)SLEEP_S_MAX * 1000);
        result = ended ? 0 : CARAFE_ERR_STOPPING;
        json_decref(ended);
    }
    sio_call_unref(call);
    return result;
}

/* ---- sleeping ---- */

static int sleep_thread(double seconds)
{
    struct timespec left = { .tv_sec = (time_t)seconds };
    left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
    return 0;
}

int sio_sleep(double seconds)
{
    if (!(seconds >= 0 && seconds <= SLEEP_S_MAX)) {
        log_line(LOG_APP, LOG_ERROR, "sio_sleep: %g seconds", seconds);
        return CARAFE_ERR_ARGUMENT;
    }
    worker *w = worker_current();
    if (!w)
        return sleep_thread(seconds);
    if (!coro_current())
        return CARAFE_ERR_STATE;
    return worker_sleep(w, (uint64_t)(seconds * 1000 + 0.999));
}
