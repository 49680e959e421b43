#include "socketio/ack.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

/* ---- the table ---- */

static bool is_open(const sio_ack_entry *entry)
{
    return entry->callback || entry->call;
}

/* Drops answered entries at the front; moves the rest down when half of the array is free. */
static void tidy(sio_ack_table *table)
{
    while (table->first < table->count && !is_open(&table->items[table->first]))
        table->first++;
    if (table->first == table->count) {
        /* An idle client owes nothing and holds nothing. */
        mem_free(table->items);
        *table = (sio_ack_table){ 0 };
    } else if (table->first > table->cap / 2) {
        table->count -= table->first;
        memmove(table->items, table->items + table->first, table->count * sizeof(*table->items));
        table->first = 0;
    }
}

/* Moves the open entries together. */
static void close_gaps(sio_ack_table *table)
{
    uint32_t kept = 0;
    for (uint32_t i = table->first; i < table->count; i++) {
        if (is_open(&table->items[i]))
            table->items[kept++] = table->items[i];
    }
    table->first = 0;
    table->count = kept;
}

/* A place at the end. One event that is never answered must not keep the places of all that come
 * behind it: an array that is half answered is closed up instead of grown. */
static int make_place(sio_ack_table *table)
{
    if (table->count < table->cap)
        return 0;
    if (table->cap && table->open_count <= table->cap / 2) {
        close_gaps(table);
        return 0;
    }
    uint32_t cap = table->cap ? table->cap * 2 : 4;
    sio_ack_entry *items = mem_realloc(table->items, cap * sizeof(*items));
    if (!items)
        return CARAFE_ERR_NOMEM;
    table->items = items;
    table->cap = cap;
    return 0;
}

int sio_ack_add(sio_ack_table *table, const sio_ack_entry *entry, size_t max)
{
    if (table->open_count >= max)
        return CARAFE_ERR_TOO_MANY;
    TRY(make_place(table));
    /* Nearly always the end; events of other threads may overtake each other on their way here. */
    uint32_t at = table->count++;
    for (; at > table->first && table->items[at - 1].id > entry->id; at--)
        table->items[at] = table->items[at - 1];
    table->items[at] = *entry;
    table->open_count++;
    return 0;
}

bool sio_ack_take(sio_ack_table *table, uint64_t id, sio_ack_entry *out)
{
    uint32_t low = table->first, high = table->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (table->items[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == table->count || table->items[low].id != id || !is_open(&table->items[low]))
        return false;
    *out = table->items[low];
    table->items[low].callback = NULL;
    table->items[low].call = NULL;
    table->open_count--;
    tidy(table);
    return true;
}

void sio_ack_drop_all(sio_ack_table *table)
{
    for (uint32_t i = table->first; i < table->count; i++) {
        sio_call_state *call = table->items[i].call;
        if (!call)
            continue;
        sio_call_complete(call, NULL);
        sio_call_unref(call);
    }
    mem_free(table->items);
    *table = (sio_ack_table){ 0 };
}

/* ---- calls ---- */

sio_call_state *sio_call_new(void)
{
    sio_call_state *call = mem_zalloc(sizeof(*call));
    if (!call)
        return NULL;
    atomic_init(&call->refs, 1);
    pthread_mutex_init(&call->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&call->done, &attr);
    pthread_condattr_destroy(&attr);
    call->worker = worker_current();
    call->coro = coro_current();
    return call;
}

void sio_call_unref(sio_call_state *call)
{
    if (!call || atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel) != 1)
        return;
    json_decref(call->answer);
    pthread_cond_destroy(&call->done);
    pthread_mutex_destroy(&call->lock);
    mem_free(call);
}

static void on_wake(worker *w, worker_task *task)
{
    sio_call_state *call = LIST_ENTRY(task, sio_call_state, wake_task);
    /* NULL when the wait ended by its time-out meanwhile. */
    if (call->coro)
        worker_wake(w, call->coro);
    sio_call_unref(call);
}

void sio_call_complete(sio_call_state *call, json_t *answer)
{
    pthread_mutex_lock(&call->lock);
    bool is_first = !call->is_done;
    if (is_first) {
        call->is_done = true;
        call->answer = answer;
        pthread_cond_signal(&call->done);
    }
    pthread_mutex_unlock(&call->lock);
    if (!is_first) {
        json_decref(answer);
        return;
    }
    if (!call->worker)
        return;
    call->wake_task.fn = on_wake;
    atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed);
    /* Also from its own worker: the wake-up then comes in a later turn, from the loop. */
    if (worker_post(call->worker, &call->wake_task) < 0)
        sio_call_unref(call);
}

static bool is_done(sio_call_state *call)
{
    pthread_mutex_lock(&call->lock);
    bool done = call->is_done;
    pthread_mutex_unlock(&call->lock);
    return done;
}

static void wait_as_thread(sio_call_state *call, uint64_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000);
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&call->lock);
    while (!call->is_done &&
           pthread_cond_timedwait(&call->done, &call->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&call->lock);
}

json_t *sio_call_wait(sio_call_state *call, uint64_t timeout_ms)
{
    if (!call->worker) {
        wait_as_thread(call, timeout_ms);
    } else {
        uint64_t until_ms = worker_now(call->worker) + timeout_ms;
        while (!is_done(call) && worker_now(call->worker) < until_ms) {
            if (worker_sleep(call->worker, until_ms - worker_now(call->worker)) < 0)
                break;
        }
        call->coro = NULL;
    }
    pthread_mutex_lock(&call->lock);
    json_t *answer = call->answer;
    call->answer = NULL;
    call->is_done = true; /* an answer that comes now is dropped */
    pthread_mutex_unlock(&call->lock);
    return answer;
}
