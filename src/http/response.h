/* Response heads: from values to bytes that no value can break.
 *
 * Pure: the time is passed in as text; memory only through the buffer; any thread, on its own
 * data. Spec: RFC 9112 4, 5, 6.
 *
 *   http_response_begin    status line, Date
 *   http_response_header   any number
 *   http_response_end      Content-Length or Transfer-Encoding, Connection, empty line
 */
#ifndef CARAFE_HTTP_RESPONSE_H
#define CARAFE_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

/* How the end of the body is told. Statuses without a body send none of these. */
typedef enum http_framing {
    HTTP_FRAMING_LENGTH = 0, /* Content-Length; also of a body that HEAD leaves away */
    HTTP_FRAMING_CHUNKED,    /* to an HTTP/1.0 peer it becomes CLOSE */
    HTTP_FRAMING_CLOSE,      /* the end of the connection; keep_alive becomes false */
} http_framing;

/* A head while it is written to the end of a buffer, which nobody else touches meanwhile. */
typedef struct http_response {
    buf *out;
    size_t start; /* readable bytes of `out` before the head */
    int status;
    /* Set by the caller between begin and end; end gives what holds after it. */
    uint8_t version_minor;   /* of the request; begin sets 1 */
    bool keep_alive;         /* begin sets true; false after end: close behind the body */
    http_framing framing;    /* begin sets LENGTH; CHUNKED after end: send chunks */
    uint64_t content_length; /* begin sets 0 */
} http_response;

/* Writes the status line and, when `date` is not empty, Date. `status` is 100 to 599.
 * CARAFE_ERR_NOMEM, CARAFE_ERR_ARGUMENT. */
int http_response_begin(http_response *r, buf *out, int status, slice date) MUST_USE;

/* Writes one header.
 *
 * CARAFE_ERR_ARGUMENT: the name is no token, the value has a control character (so no line can be
 * forged), or the header is one of those which end() writes: Content-Length, Transfer-Encoding,
 * Connection, and Date. Nothing is written then. CARAFE_ERR_NOMEM. */
int http_response_header(http_response *r, slice name, slice value) MUST_USE;
int http_response_header_str(http_response *r, const char *name, const char *value) MUST_USE;

/* True when http_response_header would take it; the value check is for headers kept for later. */
bool http_header_is_valid(slice name, slice value);

/* Ends the head; see the fields of http_response. CARAFE_ERR_NOMEM: cancel it. */
int http_response_end(http_response *r) MUST_USE;

/* Ends a 101 head instead: Upgrade with that protocol, and Connection. CARAFE_ERR_NOMEM:
 * cancel it. */
int http_response_end_upgrade(http_response *r, const char *protocol) MUST_USE;

/* Takes back what was written since begin, so that another response can be sent. */
void http_response_cancel(http_response *r);

/* Writes what goes in front of a chunk of `len` > 0 bytes. The chunk is followed by "\r\n", the
 * body by "0\r\n\r\n". */
enum { HTTP_CHUNK_HEAD_MAX = 18 };
size_t http_chunk_head(uint64_t len, char dst[HTTP_CHUNK_HEAD_MAX]);

/* Appends {"error":{"code":400,"message":"..."}}; an empty message becomes the reason phrase;
 * in a message that is not UTF-8 all bytes above 0x7f become '?'. CARAFE_ERR_NOMEM, and then a
 * part of it may be in `out`. */
int http_error_body(buf *out, int status, slice message) MUST_USE;

#endif /* CARAFE_HTTP_RESPONSE_H */
