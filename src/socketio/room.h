/* Rooms: dense arrays of sockets that know their slot in each of their rooms, so that joining and
 * leaving cost the same however many there are. All on the shard's worker. */
#ifndef CARAFE_SOCKETIO_ROOM_H
#define CARAFE_SOCKETIO_ROOM_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

typedef struct sio_room sio_room;
struct sio_socket;
struct sio_ns;

/* A socket in a room: rooms.items[back] of the socket is this room. */
typedef struct sio_member {
    struct sio_socket *socket;
    uint32_t back;
} sio_member;

struct sio_room {
    struct sio_ns *ns;
    sio_member *members;
    uint32_t member_count;
    uint32_t member_cap;
    uint32_t name_len;
    char name[]; /* with a NUL */
};

/* A room of a socket: room->members[slot] is the socket. */
typedef struct sio_membership {
    sio_room *room;
    uint32_t slot;
} sio_membership;

typedef struct sio_room_list {
    sio_membership *items;
    uint32_t count;
    uint32_t cap;
} sio_room_list;

slice sio_room_key(const void *room);

/* The room of that name, or NULL. */
sio_room *sio_room_find(const struct sio_ns *ns, slice name);

/* Joins; the room is made when it is new. 0 too when the socket is in it already.
 * CARAFE_ERR_TOO_MANY: the socket is in `rooms_max` rooms; CARAFE_ERR_NOMEM. */
int sio_room_join(struct sio_socket *socket, slice name, size_t rooms_max) MUST_USE;

/* Leaves; the room goes with its last member. Harmless when the socket is not in it. */
void sio_room_leave(struct sio_socket *socket, slice name);

/* Leaves all. */
void sio_room_leave_all(struct sio_socket *socket);

/* All members leave. */
void sio_room_close(struct sio_ns *ns, slice name);

#endif /* CARAFE_SOCKETIO_ROOM_H */
