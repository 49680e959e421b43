#include "socketio/room.h"

#include <string.h>

#include "base/mem.h"
#include "socketio/server.h"

slice sio_room_key(const void *room)
{
    const sio_room *r = room;
    return slice_of(r->name, r->name_len);
}

sio_room *sio_room_find(const sio_ns *ns, slice name)
{
    return map_get(&ns->rooms, name);
}

static sio_room *room_new(sio_ns *ns, slice name)
{
    sio_room *room = mem_zalloc(sizeof(*room) + name.len + 1);
    if (!room)
        return NULL;
    room->ns = ns;
    room->name_len = (uint32_t)name.len;
    memcpy(room->name, name.data, name.len);
    if (map_put(&ns->rooms, room) < 0) {
        mem_free(room);
        return NULL;
    }
    return room;
}

static void room_free_if_empty(sio_room *room)
{
    if (room->member_count)
        return;
    map_remove(&room->ns->rooms, sio_room_key(room));
    mem_free(room->members);
    mem_free(room);
}

/* Doubles an array that is full. */
static int make_room(void **items, uint32_t *cap, uint32_t count, size_t item_size)
{
    if (count < *cap)
        return 0;
    uint32_t bigger = *cap ? *cap * 2 : 4;
    void *moved = mem_realloc(*items, bigger * item_size);
    if (!moved)
        return CARAFE_ERR_NOMEM;
    *items = moved;
    *cap = bigger;
    return 0;
}

/* The index of the room in the socket's list, or -1. Looks through the shorter of the two lists. */
static int64_t find_membership(const sio_socket *socket, const sio_room *room)
{
    const sio_room_list *rooms = &socket->rooms;
    if (room->member_count < rooms->count) {
        for (uint32_t i = 0; i < room->member_count; i++) {
            if (room->members[i].socket == socket)
                return room->members[i].back;
        }
        return -1;
    }
    for (uint32_t i = 0; i < rooms->count; i++) {
        if (rooms->items[i].room == room)
            return i;
    }
    return -1;
}

static int add_member(sio_room *room, sio_socket *socket)
{
    sio_room_list *rooms = &socket->rooms;
    TRY(make_room((void **)&room->members, &room->member_cap, room->member_count,
                  sizeof(*room->members)));
    TRY(make_room((void **)&rooms->items, &rooms->cap, rooms->count, sizeof(*rooms->items)));
    room->members[room->member_count] = (sio_member){ socket, rooms->count };
    rooms->items[rooms->count++] = (sio_membership){ room, room->member_count++ };
    return 0;
}

int sio_room_join(sio_socket *socket, slice name, size_t rooms_max)
{
    sio_room *room = sio_room_find(socket->ns, name);
    if (room && find_membership(socket, room) >= 0)
        return 0;
    if (socket->rooms.count >= rooms_max)
        return CARAFE_ERR_TOO_MANY;
    if (!room)
        room = room_new(socket->ns, name);
    if (!room)
        return CARAFE_ERR_NOMEM;
    int error = add_member(room, socket);
    room_free_if_empty(room);
    return error;
}

/* Takes a membership out of both lists; the last entry of each fills the gap. */
static void remove_member(sio_socket *socket, uint32_t index)
{
    sio_room_list *rooms = &socket->rooms;
    sio_membership gone = rooms->items[index];
    sio_room *room = gone.room;

    sio_member last_member = room->members[--room->member_count];
    if (gone.slot < room->member_count) {
        room->members[gone.slot] = last_member;
        last_member.socket->rooms.items[last_member.back].slot = gone.slot;
    }
    sio_membership last_room = rooms->items[--rooms->count];
    if (index < rooms->count) {
        rooms->items[index] = last_room;
        last_room.room->members[last_room.slot].back = index;
    }
    room_free_if_empty(room);
}

void sio_room_leave(sio_socket *socket, slice name)
{
    sio_room *room = sio_room_find(socket->ns, name);
    int64_t index = room ? find_membership(socket, room) : -1;
    if (index >= 0)
        remove_member(socket, (uint32_t)index);
}

void sio_room_leave_all(sio_socket *socket)
{
    while (socket->rooms.count)
        remove_member(socket, socket->rooms.count - 1);
    mem_free(socket->rooms.items);
    socket->rooms = (sio_room_list){ 0 };
}

void sio_room_close(sio_ns *ns, slice name)
{
    sio_room *room = sio_room_find(ns, name);
    uint32_t left = room ? room->member_count : 0;
    /* The room is freed with its last member. */
    while (left--)
        remove_member(room->members[left].socket, room->members[left].back);
}
