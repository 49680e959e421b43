/* Namespaces of one worker: who is in them, and which a client may join. */
#include <string.h>

#include "base/mem.h"
#include "socketio/server.h"

sio_ns *sio_shard_ns(sio_shard *shard, slice name)
{
    return map_get(&shard->namespaces, name);
}

static bool is_accepted(const sio_server *server, slice name)
{
    if (sio_handlers_get(&server->handlers, name) || server->config.accepts_any_ns)
        return true;
    slice rest = slice_str(server->config.namespaces), entry;
    while (slice_split(&rest, ',', &entry)) {
        if (slice_eq(slice_trim(entry), name))
            return true;
    }
    return false;
}

static sio_ns *ns_new(sio_shard *shard, slice name)
{
    sio_ns *ns = mem_zalloc(sizeof(*ns));
    if (!ns)
        return NULL;
    ns->shard = shard;
    ns->name = mem_dup(name.data, name.len);
    ns->table = sio_handlers_get(&shard->server->handlers, name);
    map_init(&ns->rooms, sio_room_key);
    if (!ns->name || map_put(&shard->namespaces, ns) < 0) {
        mem_free(ns->name);
        mem_free(ns);
        return NULL;
    }
    return ns;
}

sio_ns *sio_shard_open_ns(sio_shard *shard, slice name)
{
    sio_ns *ns = sio_shard_ns(shard, name);
    if (ns)
        return ns;
    return is_accepted(shard->server, name) ? ns_new(shard, name) : NULL;
}

void sio_ns_free(sio_ns *ns)
{
    map_deinit(&ns->rooms);
    mem_free(ns->sockets);
    mem_free(ns->name);
    mem_free(ns);
}

sio_socket *sio_shard_socket(sio_shard *shard, const char *sid, const char *ns)
{
    sio_socket *socket = map_get(&shard->sockets, slice_str(sid));
    return socket && strcmp(socket->ns->name, ns) == 0 ? socket : NULL;
}

int sio_ns_add(sio_ns *ns, sio_socket *socket)
{
    if (ns->socket_count == ns->socket_cap) {
        size_t cap = ns->socket_cap ? ns->socket_cap * 2 : 8;
        sio_socket **sockets = mem_realloc(ns->sockets, cap * sizeof(*sockets));
        if (!sockets)
            return CARAFE_ERR_NOMEM;
        ns->sockets = sockets;
        ns->socket_cap = cap;
    }
    TRY(map_put(&ns->shard->sockets, socket));
    socket->ns_slot = (uint32_t)ns->socket_count;
    ns->sockets[ns->socket_count++] = socket;
    return 0;
}

void sio_ns_remove(sio_socket *socket)
{
    sio_ns *ns = socket->ns;
    map_remove(&ns->shard->sockets, slice_str(socket->sid));
    sio_socket *last = ns->sockets[--ns->socket_count];
    ns->sockets[socket->ns_slot] = last;
    last->ns_slot = socket->ns_slot;
}

void sio_ns_unref(sio_ns *ns)
{
    /* One that a peer made by naming it goes with its last socket; the others stay. */
    if (--ns->refs || ns->table || !ns->shard->server->config.accepts_any_ns)
        return;
    map_remove(&ns->shard->namespaces, slice_str(ns->name));
    sio_ns_free(ns);
}
