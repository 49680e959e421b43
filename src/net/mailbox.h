/* The door between threads: messages for a worker, in the order in which each sender sent them.
 *
 * The one place of the library where a worker takes a lock, and only for as long as it takes to
 * link a node. */
#ifndef CARAFE_NET_MAILBOX_H
#define CARAFE_NET_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "base/error.h"

typedef struct worker worker;

/* A message; embedded in what it carries. */
typedef struct worker_task worker_task;
struct worker_task {
    worker_task *next;
    void (*fn)(worker *w, worker_task *task); /* runs on the worker; may free the task */
};

typedef struct mailbox {
    pthread_mutex_t lock;
    worker_task *first;
    worker_task *last;
    bool is_closed;      /* posts are refused from now on */
    uv_async_t *wakeup;  /* wakes the worker's loop */
} mailbox;

void mailbox_init(mailbox *m, uv_async_t *wakeup);
void mailbox_deinit(mailbox *m);

/* Thread: any. CARAFE_ERR_STOPPING: closed, the task was not taken. */
int mailbox_post(mailbox *m, worker_task *task) MUST_USE;

/* Takes all messages out, oldest first; NULL when there are none. On the worker. */
worker_task *mailbox_take(mailbox *m);

/* Refuses posts from now on. After it, one more mailbox_take gives the last messages. */
void mailbox_close(mailbox *m);

#endif /* CARAFE_NET_MAILBOX_H */
