/* The opening handshake of a WebSocket (RFC 6455 4.2), the server's side: values of a request in,
 * a verdict out. Pure; any thread. */
#ifndef CARAFE_WS_HANDSHAKE_H
#define CARAFE_WS_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

enum {
    WS_KEY_LEN = 24,   /* characters of Sec-WebSocket-Key */
    WS_ACCEPT_LEN = 28 /* characters of Sec-WebSocket-Accept, without the NUL */
};

/* For the header Sec-WebSocket-Version of an answer with status 426. */
#define WS_VERSIONS_SUPPORTED "13"

/* What decides about an upgrade. A header that is not in the request is the empty slice; values of
 * a header that is there more than once are joined by commas (RFC 9110 5.3). All are borrowed. */
typedef struct ws_handshake {
    slice method;
    unsigned http_major; /* HTTP/1.1: 1 and 1 */
    unsigned http_minor;
    slice upgrade;    /* Upgrade */
    slice connection; /* Connection */
    slice version;    /* Sec-WebSocket-Version */
    slice key;        /* Sec-WebSocket-Key */
} ws_handshake;

/* True when the request asks for a WebSocket at all, however badly: its Upgrade header names it. */
bool ws_handshake_is_wanted(slice upgrade);

/* Judges a request. Returns the status to answer with, and sets *error to the reason when it is not
 * 101 (static text, for the log and the body):
 *   101  accepted; the answer carries Upgrade, Connection and Sec-WebSocket-Accept
 *   400  not a handshake, or a malformed one
 *   426  another version; the answer carries Sec-WebSocket-Version: WS_VERSIONS_SUPPORTED
 * The Origin header and the path are not looked at. */
int ws_handshake_check(const ws_handshake *request, const char **error);

/* Writes the Sec-WebSocket-Accept for a key that was accepted, and a NUL. CARAFE_ERR_BAD_HANDSHAKE
 * when the key is not WS_KEY_LEN characters; CARAFE_ERR_SYSTEM when there is no SHA-1 or no memory
 * for it. */
int ws_accept_key(slice key, char dst[WS_ACCEPT_LEN + 1]) MUST_USE;

/* The first of the server's `count` subprotocols that the client offers in Sec-WebSocket-Protocol,
 * or NULL: then the answer has no such header. Linear in the header's length. */
const char *ws_subprotocol_choose(slice offered, const char *const *supported, size_t count);

#endif /* CARAFE_WS_HANDSHAKE_H */
