/* Status codes and their phrases. Pure; any thread. Spec: RFC 9110 15. */
#ifndef CARAFE_HTTP_STATUS_H
#define CARAFE_HTTP_STATUS_H

#include <stdbool.h>

#include "base/slice.h"

/* The reason phrase ("Not Found"), or "Unknown". Static, never NULL. */
const char *http_status_reason(int status);

/* The whole status line with its CRLF; data is NULL for codes that are not in the table. */
slice http_status_line(int status);

/* RFC 9110 6.4.1: 1xx, 204 and 304 never have a body. */
static inline bool http_status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

#endif /* CARAFE_HTTP_STATUS_H */
