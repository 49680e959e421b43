/* Engine.IO v4 packets: from bytes to values and back.
 *
 * Pure: no sockets, clock or globals; any thread, on its own data. What is decoded is text that
 * the transport has already checked to be valid UTF-8.
 * Spec: engine.io-protocol v4, "Packet encoding".
 *
 *   text frame    <digit>[<text>]                "4hello"
 *                 b<base64>                      a binary message, also on a text frame
 *   binary frame  the payload as is              always an EIO_MESSAGE
 *   polling body  packets joined by 0x1e         "4hello" 0x1e "bAQID" 0x1e "4world"
 */
#ifndef CARAFE_ENGINEIO_PACKET_H
#define CARAFE_ENGINEIO_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* Values are wire values: a text packet starts with '0' + type. */
typedef enum eio_packet_type {
    EIO_OPEN = 0,    /* server: handshake JSON; its intervals are in ms */
    EIO_CLOSE = 1,   /* either side: the session ends */
    EIO_PING = 2,    /* server, or client with "probe" during an upgrade */
    EIO_PONG = 3,    /* answers a ping with the same payload */
    EIO_MESSAGE = 4, /* the only type that may be binary */
    EIO_UPGRADE = 5, /* client: this transport is now the session's */
    EIO_NOOP = 6,    /* server: ends a waiting poll during an upgrade */
} eio_packet_type;

enum { EIO_SEPARATOR = 0x1e }; /* between the packets of a polling body */

/* A view of one packet. Owns nothing: `data` points into the buffer it was decoded from, is not
 * NUL-terminated, and lives as long as that buffer. */
typedef struct eio_packet {
    eio_packet_type type;
    bool is_binary;      /* only with EIO_MESSAGE */
    const uint8_t *data; /* may be NULL when data_len is 0 */
    size_t data_len;     /* bytes */
} eio_packet;

/* Decodes one text frame of `len` bytes into `*out`.
 *
 * A binary message in its text form is decoded in place, so `frame` is written to; it stays the
 * caller's and `*out` borrows from it. `*out` is written on success only.
 * Returns 0, or CARAFE_ERR_BAD_PACKET: empty frame, unknown type, bad base64. */
int eio_packet_decode(uint8_t *frame, size_t len, eio_packet *out) MUST_USE;

/* Decodes the first packet of a polling body of `len` bytes; an empty body is an empty packet.
 *
 * Base64 is decoded in place: `body` is written to, stays the caller's, and `*out` borrows from
 * it. Call again at `body + n` until all is consumed; the whole body is looked at once only,
 * however many packets it holds.
 *
 * Returns n, the bytes consumed with the separator (> 0), or CARAFE_ERR_BAD_PACKET: empty packet
 * (also the one behind a separator that ends the body), unknown type, bad base64. */
ptrdiff_t eio_payload_next(uint8_t *body, size_t len, eio_packet *out) MUST_USE;

/* Writes `packet` as a text frame to `dst`, which holds `dst_cap` bytes.
 *
 * Returns the bytes written (1 + data_len), or CARAFE_ERR_NOSPACE, and then `dst` is unchanged.
 * Binary packets are the caller's bug (asserted): their frame is the payload itself. */
ptrdiff_t eio_packet_encode(const eio_packet *packet, uint8_t *dst, size_t dst_cap) MUST_USE;

/* Appends `packet` to the polling body in `dst`, behind a separator unless nothing in `dst` is
 * readable. Binary becomes 'b' and base64; so does a text frame for a client that asked for
 * base64, which is a body of one packet.
 * CARAFE_ERR_NOMEM, and then `dst` is unchanged. */
int eio_payload_append(buf *dst, const eio_packet *packet) MUST_USE;

#endif /* CARAFE_ENGINEIO_PACKET_H */
