/* Chunked bodies: from bytes to slices of body.
 *
 * Pure: no sockets, clock, globals or allocation; any thread, on its own data; resumable at any
 * byte. Spec: RFC 9112 7.1. Strict: CRLF only, no white space in the size line, bounded
 * extensions and trailers (both are checked and dropped).
 *
 *   <hex size>[;extension] CRLF <bytes> CRLF ... 0[;extension] CRLF [trailers] CRLF
 */
#ifndef CARAFE_HTTP_CHUNKED_H
#define CARAFE_HTTP_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum {
    HTTP_CHUNK_DIGITS_MAX = 16, /* hex digits of a size, leading zeros included */
    /* Bytes of extensions and trailers of one body together: nobody needs them, so they only have
     * to be bounded. */
    HTTP_CHUNK_EXTRA_MAX = 4096
};

typedef struct http_chunked {
    uint64_t left;      /* of this chunk: bytes still to come; while the size is read, its value */
    uint64_t body_left; /* bytes the body may still have behind the announced chunks */
    uint16_t extra;     /* bytes of extensions and trailers so far */
    uint8_t digits;     /* of the size so far */
    uint8_t state;      /* see chunked.c */
} http_chunked;

/* At the start of a body that may have `body_size_max` bytes. */
void http_chunked_init(http_chunked *c, uint64_t body_size_max);

/* Reads on up to the end of the next run of body bytes, of `data`, or of the body.
 *
 * `*body` is that run: it borrows from `data`, and is empty when there is none. Returns the bytes
 * consumed; call again behind them until they are `len` or the body is done. What follows the
 * body is not touched: 0 is returned when it is done. Errors, after which it must not be fed:
 * CARAFE_ERR_BAD_REQUEST  syntax, or too much of extensions and trailers (400)
 * CARAFE_ERR_TOO_LARGE    the body is over its limit; known when a chunk is announced (413) */
ptrdiff_t http_chunked_feed(http_chunked *c, const uint8_t *data, size_t len, slice *body) MUST_USE;

/* True when the last chunk and the trailers are read. */
bool http_chunked_is_done(const http_chunked *c);

#endif /* CARAFE_HTTP_CHUNKED_H */
