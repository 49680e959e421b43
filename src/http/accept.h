/* Accept-Encoding: which content coding to send. Pure; any thread. Spec: RFC 9110 12.5.3. */
#ifndef CARAFE_HTTP_ACCEPT_H
#define CARAFE_HTTP_ACCEPT_H

#include <stddef.h>

#include "base/slice.h"

enum { HTTP_ENCODING_IDENTITY = -1 };

/* Picks the coding with the highest q-value among the `count` names of `offers`, which stand in
 * the order of the server's preference for equal ones; "*" and q=0 are honoured, members with bad
 * syntax are ignored. `value` is the header's, or the empty slice without one.
 *
 * Returns an index, or HTTP_ENCODING_IDENTITY: none is accepted, or the plain body is liked
 * better. */
int http_accept_encoding(slice value, const char *const *offers, size_t count);

#endif /* CARAFE_HTTP_ACCEPT_H */
