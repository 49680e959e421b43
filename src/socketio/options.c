#include "socketio/options.h"

#include <string.h>

#include "app/options.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    NAMESPACES_MAX = 64,
    ROOMS_MAX = 1000,
    PENDING_ACKS_MAX = 10000,
    PENDING_EVENTS_MAX = 1000,
    LIMIT_CAP = 10 * 1000 * 1000,
};


/* ---- copies ---- */

static int merge_text(const char **to, const char *from)
{
    if (!from)
        return 0;
    char *copy = mem_strdup(from);
    if (!copy)
        return CARAFE_ERR_NOMEM;
    mem_free((char *)(uintptr_t)*to);
    *to = copy;
    return 0;
}

static void cookie_free(const eio_cookie_options *cookie)
{
    if (!cookie)
        return;
    mem_free((char *)(uintptr_t)cookie->path);
    mem_free((char *)(uintptr_t)cookie->domain);
    mem_free((char *)(uintptr_t)cookie->same_site);
    mem_free((void *)(uintptr_t)cookie);
}

static int merge_cookie(const eio_cookie_options **to, const eio_cookie_options *from)
{
    if (!from)
        return 0;
    eio_cookie_options *copy = mem_alloc(sizeof(*copy));
    if (!copy)
        return CARAFE_ERR_NOMEM;
    *copy = *from;
    copy->path = copy->domain = copy->same_site = NULL;
    if (merge_text(&copy->path, from->path) < 0 || merge_text(&copy->domain, from->domain) < 0 ||
        merge_text(&copy->same_site, from->same_site) < 0) {
        cookie_free(copy);
        return CARAFE_ERR_NOMEM;
    }
    cookie_free(*to);
    *to = copy;
    return 0;
}

#define MERGE(field)                                                                             \
    do {                                                                                         \
        if (o.field != 0)                                                                        \
            to->field = o.field;                                                                 \
    } while (0)

int sio_options_merge(sio_server_options *to, const sio_server_options *from)
{
    sio_server_options o;
    TRY(options_read(&o, sizeof(o), from));
    TRY(merge_text(&to->path, o.resource ? o.resource : o.path));
    TRY(merge_text(&to->cookie, o.cookie));
    TRY(merge_text(&to->client_dir, o.client_dir));
    TRY(merge_text(&to->transports, o.transports));
    TRY(merge_text(&to->cors_allowed_origins, o.cors_allowed_origins));
    TRY(merge_text(&to->namespaces, o.namespaces));
    TRY(merge_cookie(&to->cookie_options, o.cookie_options));
    to->size = sizeof(*to);
    MERGE(ping_interval);
    MERGE(ping_timeout);
    MERGE(max_http_buffer_size);
    MERGE(allow_upgrades);
    MERGE(cors_check);
    MERGE(cors_check_arg);
    MERGE(cors_credentials);
    MERGE(connect_timeout);
    MERGE(upgrade_timeout);
    MERGE(max_output_size);
    MERGE(engineio_logger);
    MERGE(async_handlers);
    MERGE(always_connect);
    MERGE(serve_client);
    MERGE(max_attachments);
    MERGE(max_namespaces);
    MERGE(max_rooms);
    MERGE(max_pending_acks);
    MERGE(max_pending_events);
    MERGE(logger);
    return 0;
}

void sio_options_deinit(sio_server_options *o)
{
    mem_free((char *)(uintptr_t)o->path);
    mem_free((char *)(uintptr_t)o->cookie);
    mem_free((char *)(uintptr_t)o->client_dir);
    mem_free((char *)(uintptr_t)o->transports);
    mem_free((char *)(uintptr_t)o->cors_allowed_origins);
    mem_free((char *)(uintptr_t)o->namespaces);
    cookie_free(o->cookie_options);
    *o = (sio_server_options){ 0 };
}

/* ---- checks ---- */

static int set_limit(size_t *out, const char *option, size_t value, size_t default_value)
{
    if (value > LIMIT_CAP) {
        log_line(LOG_SOCKETIO, LOG_ERROR, "option .%s must be at most %d", option, LIMIT_CAP);
        return CARAFE_ERR_ARGUMENT;
    }
    *out = value ? value : default_value;
    return 0;
}

static int set_namespaces(sio_config *config, const char *names)
{
    config->namespaces = names ? names : "/";
    slice rest = slice_str(config->namespaces), name;
    while (slice_split(&rest, ',', &name)) {
        name = slice_trim(name);
        if (slice_is(name, "*")) {
            config->accepts_any_ns = true;
        } else if (name.len && name.data[0] != '/') {
            log_line(LOG_SOCKETIO, LOG_ERROR, "option .namespaces: \"%.*s\" does not begin with \"/\"",
                     (int)name.len, name.data);
            return CARAFE_ERR_ARGUMENT;
        }
    }
    return 0;
}

int sio_config_init(sio_config *config, const sio_server_options *o)
{
    *config = (sio_config){
        .async_handlers = o->async_handlers != SIO_OFF,
        .always_connect = o->always_connect,
        .serve_client = o->serve_client != SIO_OFF,
        .client_dir = o->client_dir,
        .packet_limits = SIO_PACKET_LIMITS_DEFAULT,
    };
    TRY(set_namespaces(config, o->namespaces));
    TRY(set_limit(&config->packet_limits.attachment_count_max, "max_attachments",
                  o->max_attachments, SIO_ATTACHMENT_COUNT_MAX));
    TRY(set_limit(&config->max_namespaces, "max_namespaces", o->max_namespaces, NAMESPACES_MAX));
    TRY(set_limit(&config->max_rooms, "max_rooms", o->max_rooms, ROOMS_MAX));
    TRY(set_limit(&config->max_pending_acks, "max_pending_acks", o->max_pending_acks,
                  PENDING_ACKS_MAX));
    TRY(set_limit(&config->max_pending_events, "max_pending_events", o->max_pending_events,
                  PENDING_EVENTS_MAX));
    if (o->logger)
        log_set_level(LOG_SOCKETIO, o->logger == SIO_ON ? LOG_DEBUG : LOG_WARNING);
    return 0;
}
