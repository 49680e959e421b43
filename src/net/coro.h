/* Coroutines: the stacks on which handlers run, so that they may wait without holding up the
 * loop.
 *
 * Asymmetric: coro_run and coro_resume return when the coroutine ends or suspends. Stacks are
 * mapped with a guard page below, pooled last-in-first-out, and belong to one thread: a
 * coroutine never moves. The switch is assembly on x86-64 and aarch64, ucontext elsewhere, and
 * tells ASan and TSan about each switch. */
#ifndef CARAFE_NET_CORO_H
#define CARAFE_NET_CORO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/list.h"

typedef struct coro coro;
typedef void coro_fn(void *arg);

/* One a worker. */
typedef struct coro_pool {
    list idle;            /* coroutines whose stack is free, hottest first */
    size_t stack_size;    /* usable bytes of a stack, whole pages */
    size_t count;         /* stacks mapped, in use or idle */
    size_t count_max;     /* more than this many are refused */
    size_t idle_count;
    size_t idle_count_max; /* more idle stacks than this are unmapped */
} coro_pool;

/* 0 for stack_size or count_max means the default (256 KiB; 10,000). Maps nothing yet. */
void coro_pool_init(coro_pool *pool, size_t stack_size, size_t count_max);

/* Unmaps all stacks; none may be in use (asserted). */
void coro_pool_deinit(coro_pool *pool);

/* Runs fn(arg) on a stack of its own and returns when it ended or first waits.
 *
 * May be called from a coroutine too (nested). CARAFE_ERR_TOO_MANY: the pool's limit;
 * CARAFE_ERR_NOMEM: no stack can be mapped. Then fn was not called. */
int coro_run(coro_pool *pool, coro_fn *fn, void *arg) MUST_USE;

/* The coroutine that is running on this thread, or NULL. */
coro *coro_current(void);

/* Waits: control returns to who ran or resumed the current coroutine (asserted that there is one). */
void coro_suspend(void);

/* Lets a suspended coroutine of this thread go on; returns when it ended or waits again. */
void coro_resume(coro *c);

/* A list node for whoever queues a suspended coroutine (the worker's ready list). */
list *coro_link(coro *c);
coro *coro_of_link(list *link);

/* Coroutines of the pool that have begun and not ended. */
size_t coro_pool_in_use(const coro_pool *pool);

#endif /* CARAFE_NET_CORO_H */
