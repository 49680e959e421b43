/* Options of an Engine.IO server with their defaults filled in. */
#ifndef CARAFE_ENGINEIO_CONFIG_H
#define CARAFE_ENGINEIO_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carafe/engineio.h"
#include "engineio/origin.h"

typedef struct eio_config {
    char *path; /* "/engine.io/", with both slashes */
    uint32_t ping_interval_ms;
    uint32_t ping_timeout_ms;
    uint32_t connect_timeout_ms;
    uint32_t upgrade_timeout_ms;
    size_t message_size_max; /* bytes of a message or polling body */
    size_t output_size_max;  /* bytes that may wait for one client */
    bool allow_upgrades;
    bool has_polling;
    bool has_websocket;
    char *cookie;            /* its name, NULL for none */
    char *cookie_attributes; /* "; Path=/; ..." */
    eio_origin_policy origins;
    eio_origin_fn *origin_check; /* decides instead of `origins` */
    void *origin_check_arg;
} eio_config;

/* Checks the options and copies what they point to. CARAFE_ERR_ARGUMENT, with a log line that
 * names the option; CARAFE_ERR_NOMEM. */
int eio_config_init(eio_config *config, const eio_server_options *options,
                    const char *default_path) MUST_USE;
void eio_config_deinit(eio_config *config);

#endif /* CARAFE_ENGINEIO_CONFIG_H */
