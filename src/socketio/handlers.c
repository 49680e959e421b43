#include "socketio/handlers.h"

#include <string.h>

#include "base/mem.h"

static slice key_of_table(const void *value)
{
    const sio_handler_table *table = value;
    return slice_str(table->ns);
}

static slice key_of_entry(const void *value)
{
    const sio_handler_entry *entry = value;
    return slice_str(entry->event);
}

void sio_handlers_init(sio_handlers *h)
{
    *h = (sio_handlers){ 0 };
    map_init(&h->tables, key_of_table);
}

static void table_free(sio_handler_table *table)
{
    size_t at = 0;
    sio_handler_entry *entry;
    while ((entry = map_next(&table->events, &at)) != NULL) {
        mem_free(entry->event);
        mem_free(entry);
    }
    map_deinit(&table->events);
    mem_free(table->ns);
    mem_free(table);
}

void sio_handlers_deinit(sio_handlers *h)
{
    size_t at = 0;
    sio_handler_table *table;
    while ((table = map_next(&h->tables, &at)) != NULL)
        table_free(table);
    map_deinit(&h->tables);
}

sio_handler_table *sio_handlers_get(const sio_handlers *h, slice ns)
{
    return map_get(&h->tables, ns);
}

sio_handler_table *sio_handlers_table(sio_handlers *h, const char *ns)
{
    sio_handler_table *table = sio_handlers_get(h, slice_str(ns));
    if (table)
        return table;
    table = mem_zalloc(sizeof(*table));
    if (!table)
        return NULL;
    map_init(&table->events, key_of_entry);
    table->ns = mem_strdup(ns);
    if (!table->ns || map_put(&h->tables, table) < 0) {
        table_free(table);
        return NULL;
    }
    return table;
}

int sio_handlers_set(sio_handlers *h, const char *ns, const char *event, sio_handler *fn,
                     sio_handler *guard, void *arg)
{
    sio_handler_table *table = sio_handlers_table(h, ns);
    if (!table)
        return CARAFE_ERR_NOMEM;
    sio_handler_entry *entry = map_get(&table->events, slice_str(event));
    if (!entry) {
        entry = mem_zalloc(sizeof(*entry));
        if (entry)
            entry->event = mem_strdup(event);
        if (!entry || !entry->event || map_put(&table->events, entry) < 0) {
            if (entry)
                mem_free(entry->event);
            mem_free(entry);
            return CARAFE_ERR_NOMEM;
        }
    }
    entry->fn = fn;
    entry->guard = guard;
    entry->arg = arg;
    return 0;
}

static bool is_connection_event(slice event)
{
    return slice_is(event, "connect") || slice_is(event, "disconnect");
}

static const sio_handler_entry *find_function(const sio_handler_table *table, slice event)
{
    if (!table)
        return NULL;
    const sio_handler_entry *entry = map_get(&table->events, event);
    if (!entry && !is_connection_event(event))
        entry = map_get(&table->events, SLICE_LITERAL("*"));
    return entry;
}

static sio_handler *find_method(const sio_namespace_class *klass, slice event)
{
    if (slice_is(event, "connect"))
        return klass->on_connect;
    if (slice_is(event, "disconnect"))
        return klass->on_disconnect;
    sio_handler *rest = NULL;
    for (const sio_method *method = klass->methods; method && method->event; method++) {
        if (slice_is(event, method->event))
            return method->handler;
        if (strcmp(method->event, "*") == 0)
            rest = method->handler;
    }
    return rest;
}

static bool find_in_class(const sio_handler_table *table, slice event, sio_handler_entry *out)
{
    if (!table || !table->klass)
        return false;
    *out = (sio_handler_entry){ .fn = find_method(table->klass, event), .arg = table->self };
    return out->fn != NULL;
}

bool sio_handlers_find(const sio_handlers *h, const sio_handler_table *table, slice event,
                       sio_handler_entry *out)
{
    const sio_handler_entry *entry = find_function(table, event);
    const sio_handler_table *any = NULL;
    if (!entry) {
        any = sio_handlers_get(h, SLICE_LITERAL("*"));
        entry = find_function(any, event);
    }
    if (entry) {
        *out = *entry;
        return true;
    }
    return find_in_class(table, event, out) || find_in_class(any, event, out);
}

const sio_handler_table *sio_handlers_trigger(const sio_handlers *h,
                                              const sio_handler_table *table, slice event)
{
    const sio_namespace_class *klass = table ? table->klass : NULL;
    if (klass && klass->trigger_event)
        return table;
    if (klass && find_method(klass, event))
        return NULL;
    const sio_handler_table *any = sio_handlers_get(h, SLICE_LITERAL("*"));
    return any && any->klass && any->klass->trigger_event ? any : NULL;
}
