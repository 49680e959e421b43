/* Answers that clients owe: one table a socket, sorted by the ids given out.
 *
 * Ids grow per server, so an answer is found by bisection, and an entry that was answered is only
 * marked; the front of the array is dropped when nothing before it is open, and its gaps are closed
 * before it grows. All on the socket's worker. */
#ifndef CARAFE_SOCKETIO_ACK_H
#define CARAFE_SOCKETIO_ACK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "carafe/socketio.h"
#include "net/worker.h"

/* Somebody waits for the answer: a coroutine of `worker`, or a blocked thread (worker NULL). Held
 * by who waits and by the table entry. */
typedef struct sio_call_state {
    atomic_uint refs;
    worker *worker;
    coro *coro;
    worker_task wake_task;
    pthread_mutex_t lock; /* guards is_done and answer */
    pthread_cond_t done;
    bool is_done;
    json_t *answer; /* NULL: the client is gone */
} sio_call_state;

/* What is to happen with an answer. */
typedef struct sio_ack_entry {
    uint64_t id;
    sio_handler *callback; /* NULL when `call` waits, or when it was answered */
    void *callback_arg;
    sio_call_state *call; /* one reference */
} sio_ack_entry;

typedef struct sio_ack_table {
    sio_ack_entry *items; /* items[first .. count), ids ascending */
    uint32_t first;
    uint32_t count;
    uint32_t cap;
    uint32_t open_count; /* not yet answered */
} sio_ack_table;

/* Adds an entry; it costs least when its id is larger than all before. CARAFE_ERR_TOO_MANY: `max`
 * are open; CARAFE_ERR_NOMEM. The entry's reference is the table's on success. */
int sio_ack_add(sio_ack_table *table, const sio_ack_entry *entry, size_t max) MUST_USE;

/* Takes the entry of an id out; false when there is none. Its reference is the caller's. */
bool sio_ack_take(sio_ack_table *table, uint64_t id, sio_ack_entry *out);

/* Drops all entries; who waits is told that the client is gone. */
void sio_ack_drop_all(sio_ack_table *table);

/* A call that the current coroutine, or else the current thread, is going to wait for. NULL: no
 * memory. */
sio_call_state *sio_call_new(void);
void sio_call_unref(sio_call_state *call);

/* Ends the wait with an answer (stolen; NULL: gone). Thread: any; the first time counts. */
void sio_call_complete(sio_call_state *call, json_t *answer);

/* Waits up to `timeout_ms`. The answer, which is the caller's now, or NULL. Yields. */
json_t *sio_call_wait(sio_call_state *call, uint64_t timeout_ms);

#endif /* CARAFE_SOCKETIO_ACK_H */
