/* Options of a Socket.IO server: merged, checked, and with their defaults filled in. */
#ifndef CARAFE_SOCKETIO_OPTIONS_H
#define CARAFE_SOCKETIO_OPTIONS_H

#include "carafe/socketio.h"
#include "socketio/packet.h"

typedef struct sio_config {
    bool accepts_any_ns;     /* "*" in .namespaces, or a handler for "*" */
    const char *namespaces;  /* a list: accepted besides those with handlers; of the options */
    bool async_handlers;
    bool always_connect;
    bool serve_client;
    const char *client_dir; /* of the options */
    size_t max_namespaces;
    size_t max_rooms;
    size_t max_pending_acks;
    size_t max_pending_events;
    sio_packet_limits packet_limits;
} sio_config;

/* Copies each option of `from` that is not zero over that of `to`, with copies of strings and lists
 * that `to` owns. CARAFE_ERR_NOMEM; CARAFE_ERR_ARGUMENT: no size. */
int sio_options_merge(sio_server_options *to, const sio_server_options *from) MUST_USE;
void sio_options_deinit(sio_server_options *options);

/* Checks the options that are this layer's own. CARAFE_ERR_ARGUMENT, with a log line that names the
 * option. */
int sio_config_init(sio_config *config, const sio_server_options *options) MUST_USE;

#endif /* CARAFE_SOCKETIO_OPTIONS_H */
