/* Background tasks: those started before the server does wait for it. */
#ifndef CARAFE_SOCKETIO_TASK_H
#define CARAFE_SOCKETIO_TASK_H

#include "net/worker.h"

typedef struct sio_task_record sio_task_record;
struct sio_server;

/* `first`, the first worker, can take mail: early tasks go there, and from now on later ones go to
 * their worker at once. */
void sio_tasks_start(struct sio_server *server, worker *first);

/* The server stops: tasks started from now on wait for its next start. */
void sio_tasks_stop(struct sio_server *server);

/* Frees early tasks that never ran. */
void sio_tasks_drop(struct sio_server *server);

#endif /* CARAFE_SOCKETIO_TASK_H */
