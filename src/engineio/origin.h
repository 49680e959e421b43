/* Which pages may talk to the server: the Origin header against the policy. Pure.
 *
 * Browsers let any page open a WebSocket to any host and only tell the server where the page is
 * from, so this check, not CORS, is what keeps foreign pages out. */
#ifndef CARAFE_ENGINEIO_ORIGIN_H
#define CARAFE_ENGINEIO_ORIGIN_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

typedef struct eio_origin_policy {
    char **allowed; /* NULL-terminated; NULL: the same origin only */
    bool is_off;    /* everything is let in and no CORS headers are sent */
    bool is_any;    /* "*" is in the list */
    bool allow_credentials;
} eio_origin_policy;

/* Copies a NULL-terminated list, or NULL. CARAFE_ERR_NOMEM. */
int eio_origin_policy_init(eio_origin_policy *policy, const char *const *allowed,
                           bool allow_credentials) MUST_USE;
void eio_origin_policy_deinit(eio_origin_policy *policy);

/* Judges the Origin header of a request to `host` (its Host header) over `scheme` ("http"). The
 * same origin is always let in. Scheme and host are compared without case, the scheme's default
 * port may be left away. */
bool eio_origin_is_allowed(const eio_origin_policy *policy, slice origin, slice scheme, slice host);

#endif /* CARAFE_ENGINEIO_ORIGIN_H */
