/* A worker: one thread, its event loop, its mailbox, and everything that lives on it.
 *
 * Nothing in a worker takes a lock: all objects belong to one worker and are touched on its
 * thread only. The mailbox (worker_post) is the only door between threads.
 *
 * One turn of the loop:
 *   1. timers that are due     2. readable and writable connections     3. mailbox
 *   4. the end of the turn: woken coroutines go on, layers finish what they gathered, connections
 *      that were closed tell their protocol, all output of the turn leaves (one write a
 *      connection), closed objects are freed
 */
#ifndef CARAFE_NET_WORKER_H
#define CARAFE_NET_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "base/list.h"
#include "net/coro.h"
#include "net/mailbox.h"
#include "net/poller.h"
#include "net/pool.h"
#include "net/wheel.h"

enum {
    WORKER_READ_SIZE = 64 * 1024, /* bytes one read takes at most */
    WORKER_SLOT_COUNT = 8,        /* layers that keep something per worker */
};

/* Work for the end of the turn; embedded in what is to be released. */
typedef struct worker_release worker_release;
struct worker_release {
    worker_release *next;
    void (*fn)(worker_release *release);
};

struct worker {
    unsigned index;
    bool is_started;
    bool manual_clock; /* tests: worker_set_now() moves the time */
    pthread_t thread;
    uv_loop_t loop;
    uv_timer_t wheel_timer;
    uv_async_t wakeup;
    uv_prepare_t turn_end;
    uint64_t wheel_due_ms; /* when wheel_timer fires, UINT64_MAX when it is not armed */
    uint64_t now_ms;
    wheel wheel;
    coro_pool coros;
    net_poller poller;
    mailbox mailbox;
    bool is_stopping;
    list sleepers; /* coroutines in worker_sleep */
    list ready;   /* coroutines to resume */
    list dirty;   /* connections with output to write */
    list closing; /* connections whose protocol must hear of their end */
    list conns;   /* all connections */
    size_t conn_count;
    worker_task *turn_first;  /* worker_at_turn_end, oldest first */
    worker_task *turn_last;
    worker_release *released; /* newest first */
    net_pool pool;
    void *slots[WORKER_SLOT_COUNT]; /* per-worker state of the layers above, by WORKER_SLOT_* */
    uint8_t *read_buf;              /* WORKER_READ_SIZE bytes, valid while a read is handled */
};

enum { WORKER_SLOT_HTTP = 0, WORKER_SLOT_APP = 1, WORKER_SLOT_EIO = 2, WORKER_SLOT_SIO = 3 };

/* Makes a worker whose loop is not running yet. CARAFE_ERR_SYSTEM, CARAFE_ERR_NOMEM. */
int worker_init(worker *w, unsigned index, size_t stack_size) MUST_USE;

/* Frees a worker whose loop has ended. */
void worker_deinit(worker *w);

/* Runs the loop on a new thread until worker_stop(). CARAFE_ERR_SYSTEM. */
int worker_start(worker *w) MUST_USE;
void worker_join(worker *w);

/* Ends the loop: remaining connections are cut and coroutines must have ended. On the worker. */
void worker_stop(worker *w);

/* Tests and embedding without a thread: one turn of the loop (waits for an event when `wait`). The
 * thread should block SIGPIPE as worker_start() does: sendfile(2) cannot be told not to raise it. */
void worker_turn(worker *w, bool wait);

/* The worker whose thread this is, or NULL. */
worker *worker_current(void);

/* Time of the current turn in ms of a monotonic clock. */
static inline uint64_t worker_now(const worker *w)
{
    return w->now_ms;
}

/* Reads the loop's clock into now_ms; each entry from libuv does this once. */
void worker_update_now(worker *w);

/* Tests: takes the clock over and fires what is due at `now_ms`. */
void worker_set_now(worker *w, uint64_t now_ms);

/* Arms and disarms a timer of this worker. */
void worker_timer_start(worker *w, wheel_timer *timer, uint64_t delay_ms);

/* Sends a message. Thread: any; messages of one sender arrive in order.
 * CARAFE_ERR_STOPPING: the worker has ended, `task` was not taken. */
int worker_post(worker *w, worker_task *task);

/* Runs fn(arg) on the worker and returns when it is done. Thread: any; on the worker itself it is
 * a plain call, in a coroutine of another worker it waits as a coroutine, elsewhere it blocks.
 * Yields. CARAFE_ERR_STOPPING: the worker has ended, fn was not called. */
int worker_call(worker *w, void (*fn)(worker *w, void *arg), void *arg) MUST_USE;

/* As worker_call, with a way of posting that the caller knows to be safe: a worker that may end at
 * any time must not be touched by other threads. `w` is only compared. */
int worker_call_by(const worker *w, int (*post)(void *post_arg, worker_task *task), void *post_arg,
                   void (*fn)(worker *w, void *arg), void *arg) MUST_USE;

/* Starts fn(arg) as a coroutine at once. CARAFE_ERR_TOO_MANY, CARAFE_ERR_NOMEM: not started. */
int worker_spawn(worker *w, coro_fn *fn, void *arg) MUST_USE;

/* Lets a suspended coroutine go on at the end of this turn. On the worker. */
void worker_wake(worker *w, coro *c);

/* Suspends the current coroutine for `delay_ms`. Yields. Returns 0, or CARAFE_ERR_STOPPING when
 * the worker is stopping: at once, or as soon as that begins. */
int worker_sleep(worker *w, uint64_t delay_ms);

/* The worker is about to stop: sleepers wake with CARAFE_ERR_STOPPING, and so do later ones. */
void worker_set_stopping(worker *w);

/* Runs task->fn once at the end of this turn, before its output leaves. On the worker; the task must
 * not be queued already. */
void worker_at_turn_end(worker *w, worker_task *task);

/* Calls release->fn at the end of the turn, when no caller can hold the object any more. */
void worker_release_later(worker *w, worker_release *release);

#endif /* CARAFE_NET_WORKER_H */
