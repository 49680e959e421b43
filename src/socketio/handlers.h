/* Which function handles which event. Built before the server runs, read by all workers then. */
#ifndef CARAFE_SOCKETIO_HANDLERS_H
#define CARAFE_SOCKETIO_HANDLERS_H

#include "base/map.h"
#include "carafe/socketio.h"

/* What runs for an event. */
typedef struct sio_handler_entry {
    char *event;
    sio_handler *fn;
    sio_handler *guard; /* may be NULL */
    void *arg;
} sio_handler_entry;

/* A namespace's handlers, or those of "*". */
typedef struct sio_handler_table {
    char *ns;
    map events;                        /* sio_handler_entry by name */
    const sio_namespace_class *klass;  /* NULL when it has none */
    void *self;                        /* the class's */
    sio_handler *on_error;
    void *on_error_arg;
} sio_handler_table;

typedef struct sio_handlers {
    map tables; /* by namespace */
    sio_handler *on_error_default;
    void *on_error_default_arg;
} sio_handlers;

void sio_handlers_init(sio_handlers *h);
void sio_handlers_deinit(sio_handlers *h);

/* The table of a namespace; made when there is none yet. NULL: no memory. */
sio_handler_table *sio_handlers_table(sio_handlers *h, const char *ns);

/* As that, but NULL when there is none. */
sio_handler_table *sio_handlers_get(const sio_handlers *h, slice ns);

/* Adds or replaces a function. CARAFE_ERR_NOMEM. */
int sio_handlers_set(sio_handlers *h, const char *ns, const char *event, sio_handler *fn,
                     sio_handler *guard, void *arg) MUST_USE;

/* Finds what handles `event` in the namespace of `table` (NULL: one without handlers of its own):
 * functions by (ns, event), (ns, "*"), ("*", event), ("*", "*"), then the class of ns, then that of
 * "*". connect and disconnect never match an event "*". False when there is nothing. */
bool sio_handlers_find(const sio_handlers *h, const sio_handler_table *table, slice event,
                       sio_handler_entry *out);

/* The class whose trigger_event gets an event no function handles, or NULL: that of ns, or that of
 * "*" unless the one of ns has a method for it. */
const sio_handler_table *sio_handlers_trigger(const sio_handlers *h,
                                              const sio_handler_table *table, slice event);

#endif /* CARAFE_SOCKETIO_HANDLERS_H */
