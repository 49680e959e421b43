#include "engineio/origin.h"

#include "base/mem.h"

int eio_origin_policy_init(eio_origin_policy *policy, const char *const *allowed,
                           bool allow_credentials)
{
    *policy = (eio_origin_policy){ .allow_credentials = allow_credentials };
    if (!allowed)
        return 0;
    size_t count = 0;
    while (allowed[count])
        count++;
    policy->is_off = count == 0;
    policy->allowed = mem_zalloc((count + 1) * sizeof(*policy->allowed));
    if (!policy->allowed)
        return CARAFE_ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        policy->allowed[i] = mem_strdup(allowed[i]);
        if (!policy->allowed[i]) {
            eio_origin_policy_deinit(policy);
            return CARAFE_ERR_NOMEM;
        }
        policy->is_any = policy->is_any || slice_is(slice_str(allowed[i]), "*");
    }
    return 0;
}

void eio_origin_policy_deinit(eio_origin_policy *policy)
{
    for (char **entry = policy->allowed; entry && *entry; entry++)
        mem_free(*entry);
    mem_free(policy->allowed);
    policy->allowed = NULL;
}

/* Takes "scheme://" off; the rest is host and port. False when it is no origin ("null"). */
static bool split_origin(slice origin, slice *scheme, slice *host)
{
    for (size_t i = 0; i + 2 < origin.len; i++) {
        if (origin.data[i] != ':')
            continue;
        if (origin.data[i + 1] != '/' || origin.data[i + 2] != '/')
            return false;
        *scheme = slice_of(origin.data, i);
        *host = slice_of(origin.data + i + 3, origin.len - i - 3);
        return host->len > 0;
    }
    return false;
}

static slice without_default_port(slice scheme, slice host)
{
    const char *port = slice_is_nocase(scheme, "https") ? ":443" : ":80";
    size_t len = strlen(port);
    if (host.len > len && memcmp(host.data + host.len - len, port, len) == 0)
        host.len -= len;
    return host;
}

static bool is_same(slice origin, slice scheme, slice host)
{
    slice origin_scheme, origin_host;
    if (!split_origin(origin, &origin_scheme, &origin_host) ||
        !slice_eq_nocase(origin_scheme, scheme))
        return false;
    return slice_eq_nocase(without_default_port(scheme, origin_host),
                           without_default_port(scheme, host));
}

bool eio_origin_is_allowed(const eio_origin_policy *policy, slice origin, slice scheme, slice host)
{
    if (policy->is_off || policy->is_any || is_same(origin, scheme, host))
        return true;
    for (char **entry = policy->allowed; entry && *entry; entry++) {
        slice allowed_scheme, allowed_host, allowed = slice_str(*entry);
        if (slice_eq_nocase(allowed, origin))
            return true;
        if (split_origin(allowed, &allowed_scheme, &allowed_host) &&
            is_same(origin, allowed_scheme, allowed_host))
            return true;
    }
    return false;
}
