/* Who is called what: the names of all connected people, by their sids.
 *
 * Handlers of different workers share this list, so it has a lock of its own. What only concerns
 * one client is in sio_data() instead, which needs none. */
#ifndef CHAT_PEOPLE_H
#define CHAT_PEOPLE_H

#include <stddef.h>

#include <carafe.h>

/* Gives a client a name, or a new one. 0, or CARAFE_ERR_NOMEM. */
int people_set_name(const char *sid, const char *name);

/* Forgets a client; harmless when it has no name. */
void people_remove(const char *sid);

/* How many have a name. */
size_t people_count(void);

/* Those in a room who have a name: a new array of {"sid", "name"}; NULL without memory. */
json_t *people_in_room(sio_server *sio, const char *room);

/* Frees the list, when the server has stopped. */
void people_free(void);

#endif /* CHAT_PEOPLE_H */
