#include "socketio/emit.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "socketio/event.h"

/* ---- one socket ---- */

static int encode(buf *text, slice ns, const sio_content *content, const uint64_t *ack_id,
                  sio_attachment_list *attachments)
{
    if (content->raw.data)
        return sio_packet_encode_event_raw(text, ns, ack_id, content->event, content->raw);
    return sio_packet_encode_event(text, ns, ack_id, content->event, content->payload,
                                   attachments);
}

int sio_emit_to_socket(sio_socket *socket, const sio_content *content, const sio_ack_entry *ack,
                       bool is_volatile)
{
    sio_shard *shard = socket->ns->shard;
    sio_attachment_list attachments = { 0 };
    if (socket->state == SIO_SOCKET_DISCONNECTING || socket->state == SIO_SOCKET_GONE)
        return CARAFE_ERR_CLOSED;
    if (is_volatile && !eio_socket_is_writable(socket->client->eio))
        return 0;
    buf_clear(&shard->scratch);
    int error = encode(&shard->scratch, slice_str(socket->ns->name), content,
                       ack ? &ack->id : NULL, &attachments);
    if (error == 0 && ack)
        error = sio_ack_add(&socket->acks, ack, shard->server->config.max_pending_acks);
    if (error == 0) {
        error = sio_socket_send_text(socket, buf_slice(&shard->scratch), &attachments);
        sio_ack_entry unused;
        if (error < 0 && ack)
            sio_ack_take(&socket->acks, ack->id, &unused);
    }
    sio_attachment_list_deinit(&attachments);
    if (error == 0 && ack)
        sio_event_expect_answer(socket->client);
    return error;
}

/* ---- an encoded event ---- */

typedef struct outgoing {
    eio_message *text;
    eio_message **attachments;
    size_t attachment_count;
} outgoing;

static void outgoing_deinit(outgoing *out)
{
    eio_message_unref(out->text);
    for (size_t i = 0; i < out->attachment_count; i++)
        eio_message_unref(out->attachments[i]);
    mem_free(out->attachments);
    *out = (outgoing){ 0 };
}

static int take_attachments(outgoing *out, const sio_attachment_list *found)
{
    if (found->count == 0)
        return 0;
    out->attachments = mem_zalloc(found->count * sizeof(eio_message *));
    if (!out->attachments)
        return CARAFE_ERR_NOMEM;
    for (size_t i = 0; i < found->count; i++) {
        out->attachments[i] =
            eio_message_new_binary(found->items[i].data, found->items[i].len);
        if (!out->attachments[i])
            return CARAFE_ERR_NOMEM;
        out->attachment_count++;
    }
    return 0;
}

static int outgoing_init(outgoing *out, const sio_content *content, const sio_address *address)
{
    sio_attachment_list attachments = { 0 };
    buf text = { 0 };
    *out = (outgoing){ 0 };
    int error = eio_message_begin_text(&text);
    if (error == 0)
        error = encode(&text, slice_str(address->ns), content,
                       address->has_ack ? &address->ack.id : NULL, &attachments);
    if (error == 0)
        out->text = eio_message_seal_text(&text);
    if (error == 0)
        error = take_attachments(out, &attachments);
    buf_deinit(&text);
    sio_attachment_list_deinit(&attachments);
    if (error < 0)
        outgoing_deinit(out);
    return error;
}

/* ---- delivery on one worker ---- */

/* The event is for all, so one who owes too many answers gets it too; only its answer is not waited
 * for. */
static void register_ack(sio_socket *socket, const sio_ack_entry *ack)
{
    size_t max = socket->ns->shard->server->config.max_pending_acks;
    if (sio_ack_add(&socket->acks, ack, max) < 0)
        log_line(LOG_SOCKETIO, LOG_DEBUG, "client %s owes too many answers (max_pending_acks)",
                 socket->sid);
}

static void send_to(sio_socket *socket, const outgoing *out, const sio_address *address)
{
    /* Who is leaving gets nothing; its rooms still list it until its handler has ended. */
    if (socket->state > SIO_SOCKET_CONNECTED)
        return;
    if (address->is_volatile && !eio_socket_is_writable(socket->client->eio))
        return;
    if (address->has_ack)
        register_ack(socket, &address->ack);
    /* A failure ends that recipient's session and is nobody else's. */
    int error = sio_socket_send(socket, out->text);
    for (size_t i = 0; error == 0 && i < out->attachment_count; i++)
        error = sio_socket_send(socket, out->attachments[i]);
}

static void send_once(sio_socket *socket, const outgoing *out, const sio_address *address,
                      uint64_t generation)
{
    if (socket->mark == generation)
        return;
    socket->mark = generation;
    send_to(socket, out, address);
}

static void skip_sid(sio_shard *shard, const char *sid, const char *ns, uint64_t generation)
{
    sio_socket *socket = sid ? sio_shard_socket(shard, sid, ns) : NULL;
    if (socket)
        socket->mark = generation;
}

static void skip_room(sio_ns *ns, const char *name, uint64_t generation)
{
    skip_sid(ns->shard, name, ns->name, generation);
    const sio_room *room = sio_room_find(ns, slice_str(name));
    for (uint32_t i = 0; room && i < room->member_count; i++)
        room->members[i].socket->mark = generation;
}

/* Marks all who must not get it. */
static void mark_skipped(sio_ns *ns, const sio_address *address, uint64_t generation)
{
    skip_sid(ns->shard, address->skip_self, ns->name, generation);
    skip_sid(ns->shard, address->skip_sid, ns->name, generation);
    for (const char *const *sid = address->skip_sids; sid && *sid; sid++)
        skip_sid(ns->shard, *sid, ns->name, generation);
    if (address->except)
        skip_room(ns, address->except, generation);
    for (const char *const *name = address->except_rooms; name && *name; name++)
        skip_room(ns, *name, generation);
}

static void send_to_room(sio_ns *ns, const char *name, const outgoing *out,
                         const sio_address *address, uint64_t generation)
{
    /* A client's own room is not a room: its sid leads to it. */
    sio_socket *own = sio_shard_socket(ns->shard, name, ns->name);
    if (own)
        send_once(own, out, address, generation);
    const sio_room *room = sio_room_find(ns, slice_str(name));
    for (uint32_t i = 0; room && i < room->member_count; i++)
        send_once(room->members[i].socket, out, address, generation);
}

static bool skips_nobody(const sio_address *address)
{
    return !address->except && !address->except_rooms && !address->skip_self &&
           !address->skip_sid && !address->skip_sids;
}

/* Nothing here calls back: sessions that fail are told at the end of the turn, so the arrays stay
 * as they are. */
static void deliver(sio_shard *shard, const outgoing *out, const sio_address *address)
{
    sio_ns *ns = sio_shard_ns(shard, slice_str(address->ns));
    if (!ns)
        return;
    bool to_all = !address->to && !address->rooms;
    if (to_all && skips_nobody(address)) {
        for (size_t i = 0; i < ns->socket_count; i++)
            send_to(ns->sockets[i], out, address);
        return;
    }
    uint64_t generation = ++shard->generation;
    mark_skipped(ns, address, generation);
    for (size_t i = 0; to_all && i < ns->socket_count; i++)
        send_once(ns->sockets[i], out, address, generation);
    if (address->to)
        send_to_room(ns, address->to, out, address, generation);
    for (const char *const *name = address->rooms; name && *name; name++)
        send_to_room(ns, *name, out, address, generation);
}

/* ---- other workers ---- */

/* An address and message on their way to another worker; one allocation for all strings. */
typedef struct parcel {
    worker_task task;
    struct parcel *next; /* until it is posted */
    unsigned worker_index;
    sio_server *server;
    outgoing out;
    sio_address address;
    char bytes[];
} parcel;

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static size_t list_size(const char *const *items)
{
    size_t size = 0;
    if (!items)
        return 0;
    for (; *items; items++)
        size += sizeof(*items) + text_size(*items);
    return size + sizeof(*items);
}

/* Copies a list's pointers to *at, which is aligned, and its texts to *text. */
static const char *const *copy_list(const char *const *items, char **at, char **text)
{
    if (!items)
        return NULL;
    const char **copy = (const char **)(void *)*at;
    size_t count = 0;
    for (; items[count]; count++) {
        copy[count] = strcpy(*text, items[count]);
        *text += strlen(*text) + 1;
    }
    copy[count] = NULL;
    *at += (count + 1) * sizeof(*copy);
    return copy;
}

static const char *copy_text(const char *from, char **text)
{
    if (!from)
        return NULL;
    const char *copy = strcpy(*text, from);
    *text += strlen(copy) + 1;
    return copy;
}

static size_t pointers_size(const char *const *items)
{
    size_t count = 0;
    while (items && items[count])
        count++;
    return items ? (count + 1) * sizeof(*items) : 0;
}

static void parcel_free(parcel *p)
{
    outgoing_deinit(&p->out);
    mem_free(p);
}

static parcel *parcel_new(sio_server *server, const outgoing *out, const sio_address *from)
{
    size_t pointers = pointers_size(from->rooms) + pointers_size(from->except_rooms) +
                      pointers_size(from->skip_sids);
    size_t size = text_size(from->ns) + text_size(from->to) + text_size(from->skip_self) +
                  text_size(from->skip_sid) + text_size(from->except) +
                  list_size(from->rooms) + list_size(from->except_rooms) +
                  list_size(from->skip_sids);
    parcel *p = mem_zalloc(sizeof(*p) + size);
    if (!p)
        return NULL;
    p->server = server;
    char *at = p->bytes, *text = p->bytes + pointers;
    p->address = *from;
    p->address.rooms = copy_list(from->rooms, &at, &text);
    p->address.except_rooms = copy_list(from->except_rooms, &at, &text);
    p->address.skip_sids = copy_list(from->skip_sids, &at, &text);
    p->address.ns = copy_text(from->ns, &text);
    p->address.except = copy_text(from->except, &text);
    p->address.to = copy_text(from->to, &text);
    p->address.skip_self = copy_text(from->skip_self, &text);
    p->address.skip_sid = copy_text(from->skip_sid, &text);
    if (out->attachment_count) {
        p->out.attachments = mem_alloc(out->attachment_count * sizeof(eio_message *));
        if (!p->out.attachments) {
            mem_free(p);
            return NULL;
        }
    }
    for (size_t i = 0; i < out->attachment_count; i++) {
        p->out.attachments[i] = out->attachments[i];
        shared_ref(&out->attachments[i]->shared);
    }
    p->out.attachment_count = out->attachment_count;
    p->out.text = out->text;
    shared_ref(&out->text->shared);
    return p;
}

static void on_parcel(worker *w, worker_task *task)
{
    parcel *p = LIST_ENTRY(task, parcel, task);
    deliver(sio_shard_of(p->server, w), &p->out, &p->address);
    parcel_free(p);
}

static void free_parcels(parcel *first)
{
    while (first) {
        parcel *next = first->next;
        parcel_free(first);
        first = next;
    }
}

/* Parcels for all workers but this one; all or none, so that nobody gets what others miss. */
static int pack_parcels(sio_server *server, const outgoing *out, const sio_address *address,
                        unsigned worker_count, parcel **first)
{
    const worker *here = worker_current();
    *first = NULL;
    for (unsigned i = 0; i < worker_count; i++) {
        if (here && here == app_worker(server->core.ext.app, i))
            continue;
        parcel *p = parcel_new(server, out, address);
        if (!p) {
            free_parcels(*first);
            return CARAFE_ERR_NOMEM;
        }
        p->task.fn = on_parcel;
        p->worker_index = i;
        p->next = *first;
        *first = p;
    }
    return 0;
}

static void post_parcels(sio_server *server, parcel *first)
{
    while (first) {
        parcel *next = first->next; /* a posted one is its worker's */
        /* A worker that has ended has no clients left: nothing is lost with it. */
        if (app_post(server->core.ext.app, first->worker_index, &first->task) < 0)
            parcel_free(first);
        first = next;
    }
}

int sio_emit_to(sio_server *server, const sio_content *content, sio_address *address)
{
    outgoing out;
    parcel *parcels;
    if (address->has_ack)
        address->ack.id = atomic_fetch_add_explicit(&server->next_ack_id, 1, memory_order_relaxed);
    TRY(outgoing_init(&out, content, address));
    /* Before the start and after the end there is nobody to send to. */
    unsigned count = sio_server_worker_count(server);
    worker *here = worker_current();
    int error = pack_parcels(server, &out, address, count, &parcels);
    if (error == 0) {
        post_parcels(server, parcels);
        if (here && here->index < count && here == app_worker(server->core.ext.app, here->index))
            deliver(sio_shard_of(server, here), &out, address);
    }
    outgoing_deinit(&out);
    return error;
}
