/* Unguessable identifiers. Thread: any. */
#ifndef CARAFE_BASE_RANDOM_H
#define CARAFE_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Fills `dst` from the system's CSPRNG; two forked processes never share a stream.
 * CARAFE_ERR_SYSTEM when there is no entropy. */
int random_bytes(void *dst, size_t len) MUST_USE;

enum {
    SID_LEN = 22,         /* characters of a session id, without the NUL */
    SID_WORKER_MAX = 4096 /* workers a session id can name */
};

/* Writes a new session id and a NUL: 20 characters of [A-Za-z0-9_-] that carry 120 random bits
 * (it is a bearer token), then two that name the worker which owns the session.
 * CARAFE_ERR_SYSTEM when there is no entropy. */
int sid_make(char dst[SID_LEN + 1], unsigned worker) MUST_USE;

/* The worker a session id names (it may not exist), or -1 when this is no session id. */
int sid_worker(const char *sid, size_t len);

#endif /* CARAFE_BASE_RANDOM_H */
