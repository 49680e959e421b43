/* Options of a server: defaults, ranges, and copies of what they point to. */
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strlist.h"
#include "engineio/config.h"

enum {
    PING_INTERVAL_MS = 25000,
    PING_TIMEOUT_MS = 20000,
    CONNECT_TIMEOUT_MS = 45000,
    UPGRADE_TIMEOUT_MS = 10000,
    MESSAGE_SIZE_MAX = 1000000,
    MESSAGE_SIZE_CAP = 1 << 30,
    OUTPUT_SIZE_MAX = 16 * 1024 * 1024,
    TIME_MS_CAP = 24 * 3600 * 1000,
};

static int refuse(const char *option, const char *why)
{
    log_line(LOG_ENGINEIO, LOG_ERROR, "option .%s %s", option, why);
    return CARAFE_ERR_ARGUMENT;
}

static int set_time(uint32_t *out_ms, const char *option, double seconds, uint32_t default_ms)
{
    if (seconds == 0) {
        *out_ms = default_ms;
        return 0;
    }
    if (!(seconds >= 0.001 && seconds * 1000 <= TIME_MS_CAP))
        return refuse(option, "must be between 0.001 and 86400 seconds");
    *out_ms = (uint32_t)(seconds * 1000 + 0.5);
    return 0;
}

static int set_size(size_t *out, const char *option, size_t value, size_t default_value)
{
    if (value > MESSAGE_SIZE_CAP)
        return refuse(option, "must be at most 1073741824 bytes");
    *out = value ? value : default_value;
    return 0;
}

static int set_transports(eio_config *config, const char *transports)
{
    slice rest = slice_str(transports), entry;
    config->has_polling = config->has_websocket = transports == NULL;
    while (slice_split(&rest, ',', &entry)) {
        entry = slice_trim(entry);
        if (slice_is(entry, "polling"))
            config->has_polling = true;
        else if (slice_is(entry, "websocket"))
            config->has_websocket = true;
        else if (entry.len)
            return refuse("transports", "may hold \"polling\" and \"websocket\" only");
    }
    if (!config->has_polling && !config->has_websocket)
        return refuse("transports", "must hold at least one transport");
    return 0;
}

static int set_origins(eio_config *config, const char *allowed, bool allow_credentials)
{
    char **origins;
    TRY(str_list_split(allowed, &origins));
    int error = eio_origin_policy_init(&config->origins, (const char *const *)origins,
                                       allow_credentials);
    str_list_free(origins);
    return error;
}

/* Adds the slashes in front and behind that may be left away. */
static int set_path(eio_config *config, const char *path, const char *default_path)
{
    buf text = { 0 };
    if (!path)
        path = default_path;
    size_t len = strlen(path);
    if (len == 0 || strpbrk(path, "?# %"))
        return refuse("path", "must be a plain path such as \"/socket.io/\"");
    if ((path[0] != '/' && buf_append_char(&text, '/') < 0) || buf_append_str(&text, path) < 0 ||
        (path[len - 1] != '/' && buf_append_char(&text, '/') < 0) || !buf_cstr(&text)) {
        buf_deinit(&text);
        return CARAFE_ERR_NOMEM;
    }
    config->path = (char *)text.data;
    return 0;
}

static bool is_cookie_text(const char *text)
{
    for (; text && *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= ' ' || c >= 0x7f || c == ';' || c == ',' || c == '"')
            return false;
    }
    return true;
}

static int build_attributes(buf *text, const eio_cookie_options *options)
{
    TRY(buf_printf(text, "; Path=%s", options->path ? options->path : "/"));
    if (options->domain)
        TRY(buf_printf(text, "; Domain=%s", options->domain));
    if (options->max_age)
        TRY(buf_printf(text, "; Max-Age=%ld", options->max_age));
    if (options->secure)
        TRY(buf_append_str(text, "; Secure"));
    if (options->http_only)
        TRY(buf_append_str(text, "; HttpOnly"));
    TRY(buf_printf(text, "; SameSite=%s", options->same_site ? options->same_site : "Lax"));
    return buf_cstr(text) ? 0 : CARAFE_ERR_NOMEM;
}

static int set_cookie(eio_config *config, const char *name, const eio_cookie_options *options)
{
    static const eio_cookie_options defaults = { .http_only = true };
    buf attributes = { 0 };
    if (!name)
        return 0;
    if (!options)
        options = &defaults;
    if (!*name || strchr(name, '=') || !is_cookie_text(name))
        return refuse("cookie", "is empty or has characters that a cookie's name cannot hold");
    if (!is_cookie_text(options->path) || !is_cookie_text(options->domain) ||
        !is_cookie_text(options->same_site))
        return refuse("cookie_options", "has characters that a cookie cannot hold");
    config->cookie = mem_strdup(name);
    if (!config->cookie || build_attributes(&attributes, options) < 0) {
        buf_deinit(&attributes);
        return CARAFE_ERR_NOMEM;
    }
    config->cookie_attributes = (char *)attributes.data;
    return 0;
}

static int fill(eio_config *config, const eio_server_options *o, const char *default_path)
{
    TRY(set_time(&config->ping_interval_ms, "ping_interval", o->ping_interval, PING_INTERVAL_MS));
    TRY(set_time(&config->ping_timeout_ms, "ping_timeout", o->ping_timeout, PING_TIMEOUT_MS));
    TRY(set_time(&config->connect_timeout_ms, "connect_timeout", o->connect_timeout,
                 CONNECT_TIMEOUT_MS));
    TRY(set_time(&config->upgrade_timeout_ms, "upgrade_timeout", o->upgrade_timeout,
                 UPGRADE_TIMEOUT_MS));
    TRY(set_size(&config->message_size_max, "max_http_buffer_size", o->max_http_buffer_size,
                 MESSAGE_SIZE_MAX));
    TRY(set_size(&config->output_size_max, "max_output_size", o->max_output_size,
                 OUTPUT_SIZE_MAX));
    config->allow_upgrades = o->allow_upgrades != SIO_OFF;
    TRY(set_transports(config, o->transports));
    TRY(set_path(config, o->path, default_path));
    TRY(set_cookie(config, o->cookie, o->cookie_options));
    config->origin_check = o->cors_check;
    config->origin_check_arg = o->cors_check_arg;
    return set_origins(config, o->cors_allowed_origins, o->cors_credentials != SIO_OFF);
}

int eio_config_init(eio_config *config, const eio_server_options *options,
                    const char *default_path)
{
    *config = (eio_config){ 0 };
    int error = fill(config, options, default_path);
    if (error < 0)
        eio_config_deinit(config);
    return error;
}

void eio_config_deinit(eio_config *config)
{
    mem_free(config->path);
    mem_free(config->cookie);
    mem_free(config->cookie_attributes);
    eio_origin_policy_deinit(&config->origins);
    *config = (eio_config){ 0 };
}
