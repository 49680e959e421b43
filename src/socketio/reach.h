/* Reaching a client by its sid, wherever it lives. */
#ifndef CARAFE_SOCKETIO_REACH_H
#define CARAFE_SOCKETIO_REACH_H

#include "socketio/server.h"

typedef void sio_reach_fn(sio_shard *shard, sio_socket *socket, void *arg);

/* Runs fn on the worker of the client's socket in namespace `ns`, and returns when it is done.
 * Thread: any. Yields. CARAFE_ERR_NOT_FOUND: no such client, or it is gone; CARAFE_ERR_STOPPING. */
int sio_reach_socket(sio_server *server, const char *sid, const char *ns, sio_reach_fn *fn,
                     void *arg) MUST_USE;

/* Runs fn on each worker in turn, with a NULL socket. Errors as above. */
int sio_reach_all(sio_server *server, sio_reach_fn *fn, void *arg) MUST_USE;

#endif /* CARAFE_SOCKETIO_REACH_H */
