/* Covers the Socket.IO server from Engine.IO messages to handlers: sio_eio_events, sio_event_*,
 * sio_unpack, rooms, acks and namespaces, and what leaving does to all of them.
 *
 * The input is a script of lines: 'T' and 'B' send the rest as a text or binary message of the first
 * client, 't' and 'b' of the second one, 's' lets time pass, 'x' and 'y' break a connection off.
 * Whatever they do, a third client gets what is for everybody, and in the end nothing is left. */
#include <stdlib.h>
#include <string.h>

#include "app/node.h"
#include "base/log.h"
#include "base/mem.h"
#include "carafe/socketio.h"
#include "net/memory.h"
#include "ws/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* ---- handlers ---- */

static int on_answer(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_args(ctx) ? SIO_OK : SIO_ERROR;
}

static int on_connect(sio_ctx *ctx, void *arg)
{
    json_t *auth = sio_auth(ctx);
    (void)arg;
    sio_emit(ctx, "hello", json_incref(auth));
    if (json_object_get(auth, "wait"))
        sio_sleep(0.5);
    if (json_object_get(auth, "kick"))
        return sio_disconnect(ctx, .close = json_object_get(auth, "close") != NULL);
    if (json_object_get(auth, "refuse"))
        return sio_refuse(ctx, json_string_value(json_object_get(auth, "refuse")),
                          json_incref(auth));
    return json_object_get(auth, "fail") ? SIO_ERROR : SIO_OK;
}

static int on_disconnect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    json_t *rooms = sio_rooms(ctx);
    require(json_array_size(rooms) > 0);
    json_decref(rooms);
    if (json_object_get(sio_data(ctx), "wait"))
        sio_sleep(0.2);
    return sio_emit(ctx, "left", NULL, .broadcast = true);
}

static int on_echo(sio_ctx *ctx, void *arg)
{
    size_t len;
    (void)arg;
    const char *raw = sio_args_raw(ctx, &len);
    if (!raw)
        return sio_emit(ctx, "echo", sio_tuple_of(json_incref(sio_args(ctx))), .broadcast = true,
                        .callback = on_answer);
    require(raw[len] == '\0' && raw[0] == '[' && raw[len - 1] == ']');
    sio_emit_raw(ctx, sio_event(ctx), raw, len, .broadcast = true, .skip_self = true);
    return sio_reply_raw(ctx, raw, len);
}

static int on_unpack(sio_ctx *ctx, void *arg)
{
    const char *text = "", *key = "";
    int number = 0, flag = 0;
    double real = 0;
    json_t *any = NULL;
    (void)arg;
    if (sio_unpack(ctx, "s i F b", &text, &number, &real, &flag) < 0 &&
        sio_unpack(ctx, "{s:s, s?{s:[i,s]}} o", "a", &text, "b", "c", &number, &key, &any) < 0 &&
        sio_unpack(ctx, "[s] n", &text) < 0)
        return SIO_ERROR;
    return sio_reply(ctx, "s i", text, number);
}

static int on_room(sio_ctx *ctx, void *arg)
{
    const char *what, *room;
    (void)arg;
    if (sio_unpack(ctx, "s s", &what, &room) < 0)
        return SIO_ERROR;
    if (*what == 'j')
        return sio_join_room(ctx, room);
    if (*what == 'l')
        return sio_leave_room(ctx, room);
    if (*what == 'c')
        return sio_close_room(ctx, room);
    return sio_emit(ctx, "room", sio_binary(room, strlen(room)), .to = room,
                    .except = "not", .callback = on_answer);
}

static int on_wait(sio_ctx *ctx, void *arg)
{
    (void)arg;
    json_object_set_new(sio_data(ctx), "wait", json_true());
    sio_ack *ack = json_array_size(sio_args(ctx)) ? sio_defer_ack(ctx) : NULL;
    sio_sleep(0.3);
    json_t *answer = sio_call(ctx, "ask", json_incref(sio_args(ctx)), .timeout = 0.3);
    json_decref(answer);
    sio_emit(ctx, "waited", NULL);
    return sio_ack_reply_json(ack, json_incref(sio_args(ctx)));
}

static int on_leave(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_disconnect(ctx, .close = json_array_size(sio_args(ctx)) > 0);
}

static int trigger(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_dispatch(ctx);
}

static int on_error(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_reply(ctx, "s", sio_error_message(ctx));
}

static const sio_method methods[] = { { "echo", on_echo }, { "*", on_unpack }, { 0 } };
static const sio_namespace_class klass = { .name = "/class", .on_connect = on_connect,
                                           .methods = methods, .trigger_event = trigger };

/* ---- the server and its clients ---- */

static struct app_node *node;
static carafe_app *app;
static sio_server *server;
static uint64_t now_ms;

static void drop_line(log_level level, const char *line, void *arg)
{
    (void)level;
    (void)line;
    (void)arg;
}

static void run(void)
{
    for (int i = 0; i < 8; i++)
        worker_turn(&node->worker, false);
}

static void pass(uint64_t ms)
{
    now_ms += ms;
    worker_set_now(&node->worker, now_ms);
    run();
}

static void start(bool is_async)
{
    node = mem_zalloc(sizeof(*node));
    require(node && worker_init(&node->worker, 0, 0) == 0);
    now_ms = worker_now(&node->worker);
    worker_set_now(&node->worker, now_ms);
    app = carafe_app_new("fuzz");
    server = sio_server_new(app, .namespaces = "*", .max_rooms = 3,
                            .max_namespaces = 3, .max_pending_acks = 3, .max_pending_events = 4,
                            .async_handlers = is_async ? SIO_ON : SIO_OFF);
    require(server != NULL);
    for (int i = 0; i < 2; i++) {
        const char *ns = i ? "*" : "/";
        sio_server_on(server, "connect", on_connect, .ns = ns);
        sio_server_on(server, "disconnect", on_disconnect, .ns = ns);
        sio_server_on(server, "echo", on_echo, .ns = ns);
        sio_server_on(server, "unpack", on_unpack, .ns = ns);
        sio_server_on(server, "room", on_room, .ns = ns);
        sio_server_on(server, "wait", on_wait, .ns = ns);
        sio_server_on(server, "leave", on_leave, .ns = ns);
    }
    sio_server_on_namespace(server, &klass, NULL);
    sio_server_on_error_default(server, on_error, NULL);
    app->worker_count = 1;
    app->nodes = node;
    app->has_mailbox = true;
    atomic_store(&app->state, APP_RUNNING);
    for (app_extension *ext = app->extensions; ext; ext = ext->next)
        require(ext->on_start(ext, &node->worker) == 0);
}

static void stop(void)
{
    atomic_store(&app->is_stopping, true);
    worker_set_stopping(&node->worker);
    for (app_extension *ext = app->extensions; ext; ext = ext->next)
        ext->on_stopping(ext, &node->worker);
    run();
    for (app_extension *ext = app->extensions; ext; ext = ext->next) {
        require(ext->is_idle(ext, &node->worker));
        ext->on_stopped(ext, &node->worker);
    }
    app->has_mailbox = false;
    app->nodes = NULL;
    app->worker_count = 0;
    atomic_store(&app->state, APP_IDLE);
    require(coro_pool_in_use(&node->worker.coros) == 0);
    http_worker_deinit(&node->worker);
    worker_deinit(&node->worker);
    carafe_app_free(app);
    mem_free(node);
}

/* Bytes are fed within a turn, as they would come from a socket. */
typedef struct delivery {
    worker_task task;
    net_memory *client;
    const void *data; /* NULL: the end of the stream */
    size_t len;
} delivery;

static void on_delivery(worker *w, worker_task *task)
{
    delivery *d = LIST_ENTRY(task, delivery, task);
    (void)w;
    if (d->data)
        net_memory_feed(d->client, d->data, d->len);
    else
        net_memory_feed_end(d->client);
}

static void deliver(net_memory *client, const void *data, size_t len)
{
    delivery d = { .task = { .fn = on_delivery }, .client = client, .data = data, .len = len };
    require(worker_post(&node->worker, &d.task) == 0);
    run();
}

static void send_message(net_memory *client, ws_opcode opcode, const void *data, size_t len)
{
    uint8_t *frame = malloc(WS_CLIENT_HEAD_SIZE_MAX + len);
    size_t head_len = ws_frame_head_encode(frame, opcode, WS_FIN, len);
    frame[1] |= 0x80;
    memset(frame + head_len, 0, 4); /* a mask that changes nothing */
    if (len)
        memcpy(frame + head_len + 4, data, len);
    deliver(client, frame, head_len + 4 + len);
    free(frame);
}

static net_memory *client_new(void)
{
    static const char request[] = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\n"
                                  "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                  "Sec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    http_conn *conn = http_conn_new(app_http_service(app));
    net_memory *client = net_memory_new(&node->worker, &http_protocol, conn);
    require(conn && client);
    http_conn_bind(conn, client->conn);
    deliver(client, request, sizeof(request) - 1);
    send_message(client, WS_TEXT, "40", 2);
    return client;
}

/* ---- the script ---- */

enum { PAUSE_MS = 250, PAUSES_MAX = 60 }; /* ends before the first ping */

static void run_line(net_memory *clients[2], const uint8_t *line, size_t len, int *pauses)
{
    if (len == 0)
        return;
    switch (line[0]) {
    case 'T':
    case 't':
        send_message(clients[line[0] == 't'], WS_TEXT, line + 1, len - 1);
        return;
    case 'B':
    case 'b':
        send_message(clients[line[0] == 'b'], WS_BINARY, line + 1, len - 1);
        return;
    case 'x':
    case 'y':
        deliver(clients[line[0] == 'y'], NULL, 0);
        return;
    case 's':
        if ((*pauses)++ < PAUSES_MAX)
            pass(PAUSE_MS);
        return;
    default:
        return;
    }
}

static void expect_tick(net_memory *observer)
{
    static const char frame[] = "\x81\x0a" "42[\"tick\"]";
    require(sio_server_emit(server, "tick", NULL) == 0);
    run();
    size_t len = buf_readable(&observer->out);
    require(len >= sizeof(frame) - 1);
    require(memcmp(buf_head(&observer->out) + len - (sizeof(frame) - 1), frame,
                   sizeof(frame) - 1) == 0);
    net_memory_drain(observer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_set_sink(drop_line, NULL);
    int64_t blocks = mem_blocks_in_use();
    start(size % 2);
    net_memory *observer = client_new();
    net_memory *clients[2] = { client_new(), client_new() };
    int pauses = 0;
    while (size) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t)(end - data) : size;
        run_line(clients, data, len, &pauses);
        size_t used = len + (end ? 1 : 0);
        data += used;
        size -= used;
    }
    expect_tick(observer);
    for (int i = 0; i < 2; i++) {
        deliver(clients[i], NULL, 0);
        net_memory_free(clients[i]);
    }
    expect_tick(observer);
    net_memory_free(observer);
    stop();
    require(mem_blocks_in_use() == blocks);
    return 0;
}
