#include "people.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json_t *names; /* {sid: name}; made when the first name is set */

int people_set_name(const char *sid, const char *name)
{
    pthread_mutex_lock(&lock);
    if (!names)
        names = json_object();
    int failed = json_object_set_new(names, sid, json_string(name));
    pthread_mutex_unlock(&lock);
    return failed ? CARAFE_ERR_NOMEM : 0;
}

void people_remove(const char *sid)
{
    pthread_mutex_lock(&lock);
    json_object_del(names, sid);
    pthread_mutex_unlock(&lock);
}

size_t people_count(void)
{
    pthread_mutex_lock(&lock);
    size_t count = json_object_size(names);
    pthread_mutex_unlock(&lock);
    return count;
}

/* Adds {"sid", "name"} to `people` when `sid` has a name. */
static int append_person(json_t *people, const char *sid)
{
    const char *name = json_string_value(json_object_get(names, sid));
    if (!name)
        return 0;
    return json_array_append_new(people, json_pack("{s:s, s:s}", "sid", sid, "name", name));
}

json_t *people_in_room(sio_server *sio, const char *room)
{
    json_t *sids = sio_server_participants(sio, room, NULL);
    json_t *people = json_array();
    int failed = !sids || !people;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; !failed && i < json_array_size(sids); i++)
        failed = append_person(people, json_string_value(json_array_get(sids, i)));
    pthread_mutex_unlock(&lock);

    json_decref(sids);
    if (!failed)
        return people;
    json_decref(people);
    return NULL;
}

void people_free(void)
{
    json_decref(names);
    names = NULL;
}
