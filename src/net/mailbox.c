#include "net/mailbox.h"

void mailbox_init(mailbox *m, uv_async_t *wakeup)
{
    *m = (mailbox){ .wakeup = wakeup };
    pthread_mutex_init(&m->lock, NULL);
}

void mailbox_deinit(mailbox *m)
{
    pthread_mutex_destroy(&m->lock);
}

int mailbox_post(mailbox *m, worker_task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&m->lock);
    if (m->is_closed) {
        pthread_mutex_unlock(&m->lock);
        return CARAFE_ERR_STOPPING;
    }
    if (m->last)
        m->last->next = task;
    else
        m->first = task;
    m->last = task;
    /* Under the lock, so that the loop cannot be closed between the two. */
    uv_async_send(m->wakeup);
    pthread_mutex_unlock(&m->lock);
    return 0;
}

worker_task *mailbox_take(mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    worker_task *first = m->first;
    m->first = m->last = NULL;
    pthread_mutex_unlock(&m->lock);
    return first;
}

void mailbox_close(mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    m->is_closed = true;
    pthread_mutex_unlock(&m->lock);
}
