#include "net/worker.h"

#include <assert.h>
#include <signal.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/conn.h"

static _Thread_local worker *current;

worker *worker_current(void)
{
    return current;
}

void worker_update_now(worker *w)
{
    if (!w->manual_clock)
        w->now_ms = uv_now(&w->loop);
}

/* ---- time ---- */

static void on_wheel_due(uv_timer_t *timer)
{
    worker *w = timer->data;
    w->wheel_due_ms = UINT64_MAX;
    worker_update_now(w);
    wheel_advance(&w->wheel, w->now_ms);
}

/* Arms the one libuv timer for the wheel's next need. A timer that is armed for an earlier time is
 * left alone: it fires for nothing once, which is cheaper than to move it every turn. */
static void arm_wheel(worker *w)
{
    if (w->manual_clock)
        return;
    int64_t wait_ms = wheel_wait_ms(&w->wheel);
    if (wait_ms < 0)
        return;
    uint64_t due_ms = w->wheel.now_ms + (uint64_t)wait_ms;
    if (due_ms >= w->wheel_due_ms)
        return;
    w->wheel_due_ms = due_ms;
    uint64_t now_ms = uv_now(&w->loop);
    uv_timer_start(&w->wheel_timer, on_wheel_due, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

void worker_timer_start(worker *w, wheel_timer *timer, uint64_t delay_ms)
{
    wheel_add(&w->wheel, timer, w->now_ms + delay_ms);
}

void worker_set_now(worker *w, uint64_t now_ms)
{
    w->manual_clock = true;
    w->now_ms = now_ms;
    wheel_advance(&w->wheel, now_ms);
}

/* ---- the turn ---- */

static void run_mail(worker *w)
{
    worker_task *task = mailbox_take(&w->mailbox);
    while (task) {
        worker_task *next = task->next; /* fn may free the task */
        task->fn(w, task);
        task = next;
    }
}

static void on_wakeup(uv_async_t *async)
{
    worker *w = async->data;
    worker_update_now(w);
    run_mail(w);
}

static void resume_ready(worker *w)
{
    list batch;
    list_init(&batch);
    /* Only those that are ready now: coroutines that wake each other must not starve the rest. */
    list_splice(&batch, &w->ready);
    list *node;
    while ((node = list_pop_front(&batch)) != NULL)
        coro_resume(coro_of_link(node));
}

static void run_released(worker *w)
{
    worker_release *release = w->released;
    w->released = NULL;
    while (release) {
        worker_release *next = release->next;
        release->fn(release);
        release = next;
    }
}

static void run_turn_tasks(worker *w)
{
    worker_task *task = w->turn_first;
    w->turn_first = w->turn_last = NULL;
    while (task) {
        worker_task *next = task->next;
        task->fn(w, task);
        task = next;
    }
}

static void end_turn(worker *w)
{
    resume_ready(w);
    run_turn_tasks(w);
    net_conns_end_turn(w);
    run_released(w);
    /* What came up meanwhile, in any of these, is for another turn, which must not wait. */
    if (w->turn_first || w->released || !list_is_empty(&w->ready) || !list_is_empty(&w->dirty) ||
        !list_is_empty(&w->closing))
        uv_async_send(&w->wakeup);
    arm_wheel(w);
}

static void on_turn_end(uv_prepare_t *prepare)
{
    end_turn(prepare->data);
}

void worker_turn(worker *w, bool wait)
{
    worker *before = current;
    current = w;
    if (w->manual_clock)
        run_mail(w);
    uv_run(&w->loop, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    end_turn(w);
    current = before;
}

/* ---- life cycle ---- */

static int open_handles(worker *w)
{
    if (uv_timer_init(&w->loop, &w->wheel_timer) < 0 ||
        uv_prepare_init(&w->loop, &w->turn_end) < 0 ||
        uv_async_init(&w->loop, &w->wakeup, on_wakeup) < 0)
        return CARAFE_ERR_SYSTEM;
    w->wheel_timer.data = w->turn_end.data = w->wakeup.data = w;
    uv_prepare_start(&w->turn_end, on_turn_end);
    return net_poller_init(&w->poller, &w->loop);
}

int worker_init(worker *w, unsigned index, size_t stack_size)
{
    *w = (worker){ .index = index, .wheel_due_ms = UINT64_MAX };
    list_init(&w->sleepers);
    list_init(&w->ready);
    list_init(&w->dirty);
    list_init(&w->closing);
    list_init(&w->conns);
    net_pool_init(&w->pool);
    coro_pool_init(&w->coros, stack_size, 0);
    w->read_buf = mem_alloc(WORKER_READ_SIZE);
    if (!w->read_buf)
        return CARAFE_ERR_NOMEM;
    if (uv_loop_init(&w->loop) < 0) {
        mem_free(w->read_buf);
        return CARAFE_ERR_SYSTEM;
    }
    /* The loop is private memory here: should opening a handle fail, the process is out of file
     * descriptors and what was opened so far is closed with the loop in worker_deinit. */
    mailbox_init(&w->mailbox, &w->wakeup);
    w->now_ms = uv_now(&w->loop);
    wheel_init(&w->wheel, w->now_ms);
    int result = open_handles(w);
    if (result < 0)
        worker_deinit(w);
    return result;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    worker *w = arg;
    if (handle == (uv_handle_t *)&w->poller.handle)
        net_poller_close(&w->poller);
    else if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void cut_connections(worker *w)
{
    for (list *node = w->conns.next; node != &w->conns; node = node->next)
        net_conn_close(LIST_ENTRY(node, net_conn, all_link), NET_CLOSE_STOPPING);
    do
        run_turn_tasks(w);
    while (net_conns_end_turn(w) || w->turn_first);
    while (w->released)
        run_released(w);
}

void worker_deinit(worker *w)
{
    worker *before = current;
    current = w;
    mailbox_close(&w->mailbox);
    run_mail(w);
    cut_connections(w);
    uv_walk(&w->loop, close_handle, w);
    while (uv_run(&w->loop, UV_RUN_DEFAULT) != 0)
        ;
    run_released(w);
    uv_loop_close(&w->loop);
    mailbox_deinit(&w->mailbox);
    net_pool_deinit(&w->pool);
    if (coro_pool_in_use(&w->coros) == 0)
        coro_pool_deinit(&w->coros);
    else
        log_line(LOG_SERVER, LOG_WARNING, "worker %u: %zu handlers never ended; their stacks stay",
                 w->index, coro_pool_in_use(&w->coros));
    mem_free(w->read_buf);
    current = before == w ? NULL : before;
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    current = w;
    /* Signals are for the thread that runs the program, not for the workers. */
    uv_run(&w->loop, UV_RUN_DEFAULT);
    mailbox_close(&w->mailbox);
    run_mail(w);
    cut_connections(w);
    current = NULL;
    return NULL;
}

int worker_start(worker *w)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };
    sigset_t all, before;
    sigfillset(&all);
    /* A fault kills a thread that blocks it without asking the program's own handler. */
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    w->is_started = error == 0;
    return error == 0 ? 0 : CARAFE_ERR_SYSTEM;
}

void worker_join(worker *w)
{
    if (w->is_started)
        pthread_join(w->thread, NULL);
    w->is_started = false;
}

void worker_stop(worker *w)
{
    uv_stop(&w->loop);
}

/* ---- coroutines ---- */

int worker_spawn(worker *w, coro_fn *fn, void *arg)
{
    return coro_run(&w->coros, fn, arg);
}

void worker_wake(worker *w, coro *c)
{
    if (!list_is_linked(coro_link(c)))
        list_push_back(&w->ready, coro_link(c));
}

typedef struct sleeper {
    wheel_timer timer;
    list link; /* in worker->sleepers */
    worker *worker;
    coro *coro;
} sleeper;

static void on_slept(wheel_timer *timer)
{
    sleeper *s = LIST_ENTRY(timer, sleeper, timer);
    worker_wake(s->worker, s->coro);
}

int worker_sleep(worker *w, uint64_t delay_ms)
{
    if (w->is_stopping)
        return CARAFE_ERR_STOPPING;
    sleeper s = { .worker = w, .coro = coro_current() };
    wheel_timer_init(&s.timer, on_slept);
    list_push_back(&w->sleepers, &s.link);
    worker_timer_start(w, &s.timer, delay_ms);
    coro_suspend();
    wheel_cancel(&s.timer);
    list_unlink(&s.link);
    return w->is_stopping ? CARAFE_ERR_STOPPING : 0;
}

void worker_set_stopping(worker *w)
{
    w->is_stopping = true;
    for (list *node = w->sleepers.next; node != &w->sleepers; node = node->next)
        worker_wake(w, LIST_ENTRY(node, sleeper, link)->coro);
}

void worker_at_turn_end(worker *w, worker_task *task)
{
    task->next = NULL;
    if (w->turn_last)
        w->turn_last->next = task;
    else
        w->turn_first = task;
    w->turn_last = task;
}

void worker_release_later(worker *w, worker_release *release)
{
    release->next = w->released;
    w->released = release;
}

/* ---- between threads ---- */

int worker_post(worker *w, worker_task *task)
{
    return mailbox_post(&w->mailbox, task);
}

/* A call that another thread waits for: as a coroutine of `caller`, or blocked on `done`. */
typedef struct remote_call {
    worker_task task;
    void (*fn)(worker *w, void *arg);
    void *arg;
    worker *caller;
    coro *coro;
    bool is_done; /* under lock for a blocked caller */
    pthread_mutex_t lock;
    pthread_cond_t done;
} remote_call;

static void on_call_returned(worker *w, worker_task *task)
{
    remote_call *call = LIST_ENTRY(task, remote_call, task);
    call->is_done = true;
    worker_wake(w, call->coro);
}

static void on_call(worker *w, worker_task *task)
{
    remote_call *call = LIST_ENTRY(task, remote_call, task);
    call->fn(w, call->arg);
    if (call->caller) {
        call->task.fn = on_call_returned;
        /* A caller that ended meanwhile has abandoned its coroutines; nobody waits. */
        int ignored = worker_post(call->caller, &call->task);
        (void)ignored;
        return;
    }
    pthread_mutex_lock(&call->lock);
    call->is_done = true;
    pthread_cond_signal(&call->done);
    pthread_mutex_unlock(&call->lock);
}

int worker_call_by(const worker *w, int (*post)(void *post_arg, worker_task *task), void *post_arg,
                   void (*fn)(worker *w, void *arg), void *arg)
{
    if (current && current == w) {
        fn(current, arg);
        return 0;
    }
    remote_call call = { .task = { .fn = on_call }, .fn = fn, .arg = arg };
    if (current && coro_current()) {
        call.caller = current;
        call.coro = coro_current();
        TRY(post(post_arg, &call.task));
        while (!call.is_done)
            coro_suspend();
        return 0;
    }
    pthread_mutex_init(&call.lock, NULL);
    pthread_cond_init(&call.done, NULL);
    int result = post(post_arg, &call.task);
    pthread_mutex_lock(&call.lock);
    while (result == 0 && !call.is_done)
        pthread_cond_wait(&call.done, &call.lock);
    pthread_mutex_unlock(&call.lock);
    pthread_cond_destroy(&call.done);
    pthread_mutex_destroy(&call.lock);
    return result;
}

static int post_to(void *post_arg, worker_task *task)
{
    return worker_post(post_arg, task);
}

int worker_call(worker *w, void (*fn)(worker *w, void *arg), void *arg)
{
    return worker_call_by(w, post_to, w, fn, arg);
}
