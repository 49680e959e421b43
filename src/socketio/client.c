/* Connections and the namespaces they join: what comes in from Engine.IO, and how clients leave. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "socketio/event.h"
#include "socketio/server.h"

/* ---- references ---- */

sio_client *sio_client_ref(sio_client *client)
{
    client->refs++;
    return client;
}

void sio_client_unref(sio_client *client)
{
    if (--client->refs)
        return;
    sio_decoder_deinit(&client->decoder);
    eio_socket_unref(client->eio);
    mem_free(client);
}

sio_socket *sio_socket_ref(sio_socket *socket)
{
    socket->refs++;
    return socket;
}

static void drop_held(sio_socket *socket)
{
    for (uint32_t i = 0; i < socket->held_count; i++)
        eio_message_unref(socket->held[i]);
    mem_free(socket->held);
    socket->held = NULL;
    socket->held_count = socket->held_cap = 0;
    socket->held_bytes = 0;
}

void sio_socket_unref(sio_socket *socket)
{
    if (--socket->refs)
        return;
    drop_held(socket);
    json_decref(socket->data);
    sio_ns_unref(socket->ns);
    sio_client_unref(socket->client);
    mem_free(socket);
}

sio_socket *sio_client_socket(const sio_client *client, const sio_ns *ns)
{
    sio_socket *socket = ns ? client->sockets : NULL;
    while (socket && socket->ns != ns)
        socket = socket->next;
    return socket;
}

/* ---- the time to join a namespace ---- */

typedef struct sio_connect_timer {
    wheel_timer timer;
    sio_client *client;
} sio_connect_timer;

static void stop_connect_timer(sio_client *client)
{
    if (!client->connect_timer)
        return;
    wheel_cancel(&client->connect_timer->timer);
    mem_free(client->connect_timer);
    client->connect_timer = NULL;
}

static void on_connect_timeout(wheel_timer *timer)
{
    sio_client *client = LIST_ENTRY(timer, sio_connect_timer, timer)->client;
    stop_connect_timer(client);
    log_line(LOG_SOCKETIO, LOG_WARNING, "connection closed: it joined no namespace in time");
    eio_socket_end(client->eio, EIO_REASON_FORCED);
}

/* ---- sending to one socket ---- */

static int push_held(sio_socket *socket, eio_message *message)
{
    if (socket->held_count == socket->held_cap) {
        uint32_t cap = socket->held_cap ? socket->held_cap * 2 : 4;
        eio_message **held = mem_realloc(socket->held, cap * sizeof(eio_message *));
        if (!held)
            return CARAFE_ERR_NOMEM;
        socket->held = held;
        socket->held_cap = cap;
    }
    shared_ref(&message->shared);
    socket->held[socket->held_count++] = message;
    socket->held_bytes += message->body_len;
    return 0;
}

/* As in sending, what waits has a limit, and a failure, which would leave a hole in the stream, ends
 * the session. */
static int hold(sio_socket *socket, eio_message *message)
{
    sio_client *client = socket->client;
    size_t bytes_max = client->shard->server->core.config.output_size_max;
    int error = CARAFE_ERR_SLOW_READER;
    if (client->eio->state != EIO_SOCKET_OPEN)
        return CARAFE_ERR_CLOSED;
    if (socket->held_bytes + message->body_len <= bytes_max)
        error = push_held(socket, message);
    else
        log_line(LOG_SOCKETIO, LOG_WARNING,
                 "connection closed: more than %zu bytes wait for the end of a connect handler",
                 bytes_max);
    if (error < 0)
        eio_socket_end(client->eio, EIO_REASON_ERROR);
    return error;
}

int sio_socket_send(sio_socket *socket, eio_message *message)
{
    if (socket->state == SIO_SOCKET_CONNECTED)
        return eio_socket_send_message(socket->client->eio, message);
    if (socket->state == SIO_SOCKET_CONNECTING)
        return hold(socket, message);
    return CARAFE_ERR_CLOSED;
}

static int hold_text(sio_socket *socket, slice text, const sio_attachment_list *attachments)
{
    buf bytes = { 0 };
    if (eio_message_begin_text(&bytes) < 0 || buf_append(&bytes, text.data, text.len) < 0) {
        buf_deinit(&bytes);
        return CARAFE_ERR_NOMEM;
    }
    eio_message *message = eio_message_seal_text(&bytes);
    int error = hold(socket, message);
    eio_message_unref(message);
    for (size_t i = 0; error == 0 && i < attachments->count; i++) {
        message = eio_message_new_binary(attachments->items[i].data, attachments->items[i].len);
        error = message ? hold(socket, message) : CARAFE_ERR_NOMEM;
        eio_message_unref(message);
    }
    if (error < 0)
        eio_socket_end(socket->client->eio, EIO_REASON_ERROR);
    return error;
}

int sio_socket_send_text(sio_socket *socket, slice text, const sio_attachment_list *attachments)
{
    eio_socket *eio = socket->client->eio;
    if (socket->state == SIO_SOCKET_CONNECTING)
        return hold_text(socket, text, attachments);
    if (socket->state != SIO_SOCKET_CONNECTED)
        return CARAFE_ERR_CLOSED;
    struct iovec piece = { (void *)(uintptr_t)text.data, text.len };
    TRY(eio_socket_send(eio, '0' + EIO_MESSAGE, &piece, 1));
    for (size_t i = 0; i < attachments->count; i++) {
        const slice *item = &attachments->items[i];
        piece = (struct iovec){ (void *)(uintptr_t)item->data, item->len };
        TRY(eio_socket_send(eio, 0, &piece, 1));
    }
    return 0;
}

/* Sends a packet of this layer's own. Failures end the session by themselves. */
static void send_packet(sio_client *client, const buf *text)
{
    struct iovec piece = { buf_head(text), buf_readable(text) };
    int ignored = eio_socket_send(client->eio, '0' + EIO_MESSAGE, &piece, 1);
    (void)ignored;
}

static void refuse_namespace(sio_client *client, slice name, const char *message,
                             const json_t *data)
{
    buf *text = &client->shard->scratch;
    buf_clear(text);
    log_line(LOG_SOCKETIO, LOG_INFO, "namespace %.*s refused: %s", (int)name.len, name.data,
             message);
    /* The client waits for an answer, whatever the handler made of data and message. */
    if (sio_packet_encode_connect_error(text, name, message, data) == 0 ||
        sio_packet_encode_connect_error(text, name, message, NULL) == 0 ||
        sio_packet_encode_connect_error(text, name, "Connection rejected by server", NULL) == 0)
        send_packet(client, text);
}

void sio_socket_accept(sio_socket *socket)
{
    sio_client *client = socket->client;
    buf *text = &client->shard->scratch;
    buf_clear(text);
    socket->state = SIO_SOCKET_CONNECTED;
    stop_connect_timer(client);
    if (sio_packet_encode_connect(text, slice_str(socket->ns->name), socket->sid) < 0) {
        eio_socket_end(client->eio, EIO_REASON_ERROR);
        return;
    }
    send_packet(client, text);
    /* What the connect handler sent comes behind the reply, as clients expect. */
    for (uint32_t i = 0; i < socket->held_count; i++) {
        int ignored = eio_socket_send_message(client->eio, socket->held[i]);
        (void)ignored;
    }
    drop_held(socket);
}

void sio_socket_refuse(sio_socket *socket, const char *message, const json_t *data)
{
    refuse_namespace(socket->client, slice_str(socket->ns->name), message, data);
    sio_socket_bury(socket);
}

/* ---- leaving ---- */

static void unlink_from_client(sio_socket *socket)
{
    sio_socket **at = &socket->client->sockets;
    while (*at && *at != socket)
        at = &(*at)->next;
    if (*at)
        *at = socket->next;
}

void sio_socket_bury(sio_socket *socket)
{
    if (socket->state == SIO_SOCKET_GONE)
        return;
    socket->state = SIO_SOCKET_GONE;
    unlink_from_client(socket);
    sio_room_leave_all(socket);
    sio_ack_drop_all(&socket->acks);
    sio_ns_remove(socket);
    sio_socket_unref(socket);
}

void sio_socket_disconnect(sio_socket *socket, const char *reason)
{
    if (socket->state == SIO_SOCKET_CONNECTING) {
        /* Its handler is still running; nobody has been told that it is connected. */
        sio_socket_bury(socket);
        return;
    }
    if (socket->state != SIO_SOCKET_CONNECTED)
        return;
    socket->state = SIO_SOCKET_DISCONNECTING;
    sio_ack_drop_all(&socket->acks);
    /* It can be joined again at once, while the handler of this stay still runs. */
    unlink_from_client(socket);
    sio_event_disconnect(socket, reason);
}

void sio_socket_kick(sio_socket *socket)
{
    sio_client *client = socket->client;
    buf *text = &client->shard->scratch;
    buf_clear(text);
    if (socket->state == SIO_SOCKET_CONNECTING) {
        sio_socket_refuse(socket, "Connection rejected by server", NULL);
        return;
    }
    if (socket->state == SIO_SOCKET_CONNECTED &&
        sio_packet_encode_disconnect(text, slice_str(socket->ns->name)) == 0)
        send_packet(client, text);
    client->was_disconnected = true;
    sio_socket_disconnect(socket, SIO_REASON_SERVER_DISCONNECT);
}

void sio_client_kick(sio_client *client)
{
    sio_client_ref(client);
    while (client->sockets)
        sio_socket_kick(client->sockets);
    eio_socket_close(client->eio, SIO_REASON_SERVER_DISCONNECT);
    sio_client_unref(client);
}

void sio_client_violation(sio_client *client, const char *what)
{
    char peer[NET_ADDR_TEXT_SIZE];
    net_addr_format(app_handshake_peer(client->eio->handshake), peer);
    log_line(LOG_SOCKETIO, LOG_WARNING, "%s: connection closed: %s", peer, what);
    eio_socket_end(client->eio, SIO_REASON_PARSE_ERROR);
}

/* ---- packets ---- */

static sio_socket *socket_new(sio_client *client, sio_ns *ns)
{
    sio_socket *socket = mem_zalloc(sizeof(*socket));
    if (!socket)
        return NULL;
    socket->ns = ns;
    socket->refs = 1;
    if (sid_make(socket->sid, client->shard->worker->index) < 0 || sio_ns_add(ns, socket) < 0) {
        mem_free(socket);
        return NULL;
    }
    socket->client = sio_client_ref(client);
    socket->next = client->sockets;
    client->sockets = socket;
    return socket;
}

static size_t socket_count(const sio_client *client)
{
    size_t count = 0;
    for (const sio_socket *socket = client->sockets; socket; socket = socket->next)
        count++;
    return count;
}

static void on_connect_packet(sio_client *client, sio_job *job)
{
    const sio_server *server = client->shard->server;
    slice name = job->packet.ns;
    if (socket_count(client) >= server->config.max_namespaces) {
        refuse_namespace(client, name, "Too many namespaces", NULL);
        return;
    }
    sio_ns *ns = sio_shard_open_ns(client->shard, name);
    if (!ns) {
        refuse_namespace(client, name, "Invalid namespace", NULL);
        return;
    }
    if (sio_client_socket(client, ns)) {
        refuse_namespace(client, name, "Unable to connect", NULL);
        return;
    }
    ns->refs++; /* the socket's */
    sio_socket *socket = socket_new(client, ns);
    if (!socket) {
        sio_ns_unref(ns);
        refuse_namespace(client, name, "Out of memory", NULL);
        return;
    }
    if (server->config.always_connect)
        sio_socket_accept(socket);
    sio_event_connect(job, socket);
}

/* The socket a packet is for; NULL when there is none, and then it has been dealt with. */
static sio_socket *addressed_socket(sio_client *client, const sio_packet *packet)
{
    /* A connection joins few namespaces: looking at their names is cheaper than hashing one. */
    sio_socket *socket = client->sockets;
    while (socket && !slice_is(packet->ns, socket->ns->name))
        socket = socket->next;
    if (socket && socket->state == SIO_SOCKET_CONNECTED)
        return socket;
    /* A packet may have been under way when the server ended the namespace: no fault of the peer. */
    if (!client->was_disconnected)
        sio_client_violation(client, "packet for a namespace that is not joined");
    return NULL;
}

/* Consumes the job. */
static void on_packet(sio_client *client, sio_job *job)
{
    sio_socket *socket;
    switch (job->packet.type) {
    case SIO_CONNECT:
        on_connect_packet(client, job);
        return;
    case SIO_DISCONNECT:
        socket = addressed_socket(client, &job->packet);
        if (socket)
            sio_socket_disconnect(socket, SIO_REASON_CLIENT_DISCONNECT);
        return;
    case SIO_EVENT:
    case SIO_BINARY_EVENT:
        socket = addressed_socket(client, &job->packet);
        if (socket)
            sio_event_received(job, socket);
        return;
    case SIO_ACK:
    case SIO_BINARY_ACK:
        socket = addressed_socket(client, &job->packet);
        if (socket)
            sio_event_acked(job, socket);
        return;
    case SIO_CONNECT_ERROR:
        sio_client_violation(client, "CONNECT_ERROR from a client");
        return;
    }
}

/* A binary packet must be for a namespace that is joined before its attachments are kept. */
static void on_pending(sio_client *client, const sio_packet *packet)
{
    if (packet->type == SIO_BINARY_EVENT || packet->type == SIO_BINARY_ACK)
        addressed_socket(client, packet);
}

static void on_message(eio_socket *eio, uint8_t *data, size_t len, bool is_binary)
{
    sio_client *client = eio->user;
    if (!client)
        return;
    const sio_packet_limits *limits = &client->shard->server->config.packet_limits;
    sio_job *job = sio_job_new(client, is_binary ? NULL : data, is_binary ? 0 : len);
    if (!job) {
        sio_client_violation(client, "out of memory");
        return;
    }
    int result = is_binary ? sio_decoder_feed_binary(&client->decoder, data, len, limits,
                                                     &job->packet, &job->ctx.args)
                           : sio_decoder_feed_text(&client->decoder, job->text, len, limits,
                                                   &job->packet);
    if (result == SIO_PACKET_READY && is_binary && sio_job_own_packet(job) < 0)
        result = CARAFE_ERR_NOMEM;
    if (result == SIO_PACKET_READY)
        on_packet(client, job);
    else if (result == SIO_PACKET_PENDING && !is_binary)
        on_pending(client, &job->packet);
    else if (result < 0)
        sio_client_violation(client, result == CARAFE_ERR_BAD_PACKET && job->packet.error
                                         ? job->packet.error
                                         : carafe_strerror(result));
    sio_decoder_release(&client->decoder);
    sio_job_unref(job);
}

/* ---- the connection ---- */

static void on_open(eio_socket *eio)
{
    sio_server *server = eio->shard->core->owner;
    sio_client *client = mem_zalloc(sizeof(*client));
    sio_connect_timer *timer = mem_zalloc(sizeof(*timer));
    if (!client || !timer) {
        mem_free(client);
        mem_free(timer);
        eio_socket_end(eio, EIO_REASON_ERROR);
        return;
    }
    client->refs = 1;
    client->eio = eio_socket_ref(eio);
    client->shard = sio_shard_of(server, eio->shard->worker);
    client->connect_timer = timer;
    list_init(&client->jobs);
    timer->client = client;
    wheel_timer_init(&timer->timer, on_connect_timeout);
    worker_timer_start(client->shard->worker, &timer->timer,
                       server->core.config.connect_timeout_ms);
    eio->user = client;
}

static void on_close(eio_socket *eio, const char *reason)
{
    sio_client *client = eio->user;
    if (!client)
        return;
    eio->user = NULL;
    client->is_closed = true;
    stop_connect_timer(client);
    while (client->sockets)
        sio_socket_disconnect(client->sockets, reason);
    sio_client_unref(client);
}

const eio_events sio_eio_events = {
    .on_open = on_open,
    .on_message = on_message,
    .on_close = on_close,
};
