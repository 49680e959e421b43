/* Reassembles one connection's Socket.IO packets from its Engine.IO messages.
 *
 *           text, complete
 *          +-------------+           text with n > 0 attachments
 *          v             |        ------------------------------->
 *         IDLE ----------+                                         WAITING --+ binary, some
 *          ^                          binary, the last one           ^       | still missing
 *          +---------------------------------------------------------+-------+
 *
 * Binary while IDLE and text while WAITING break the protocol. After an error the connection is to
 * be closed; the decoder then is IDLE again. Pure: any thread, on its own data. */
#ifndef CARAFE_SOCKETIO_DECODER_H
#define CARAFE_SOCKETIO_DECODER_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/error.h"
#include "socketio/packet.h"

/* One per Engine.IO session, whatever its transport. All zero is a valid idle decoder, which owns
 * no memory. */
typedef struct sio_decoder {
    struct sio_partial *partial; /* the packet in progress or last finished; usually NULL */
} sio_decoder;

/* Frees what is held; the decoder is idle and usable afterwards. */
void sio_decoder_deinit(sio_decoder *decoder);

/* True while attachments are missing. */
bool sio_decoder_is_waiting(const sio_decoder *decoder);

/* Takes a text message; `text` is written to (see sio_packet_decode). `limits` may be NULL.
 *
 * Returns SIO_PACKET_READY or SIO_PACKET_IGNORED with `*out` borrowing from `text`;
 * SIO_PACKET_PENDING: what is needed of `text` was copied, `*out` is only good for looking at its
 * ns and type; or CARAFE_ERR_BAD_PACKET, with the reason in out->error: as sio_packet_decode, or
 * attachments are missing; or CARAFE_ERR_NOMEM. */
int sio_decoder_feed_text(sio_decoder *decoder, char *text, size_t len,
                          const sio_packet_limits *limits, sio_packet *out) MUST_USE;

/* Takes a binary message, which is copied. `limits` may be NULL.
 *
 * Returns SIO_PACKET_PENDING (`*out` and `*args` unchanged); or SIO_PACKET_READY with `*out`
 * borrowing from the decoder until its next call, and in `*args` a new reference to the array of
 * arguments, attachments in place (out->args_text still has the placeholders); or
 * SIO_PACKET_IGNORED, without `*args`; or CARAFE_ERR_BAD_PACKET, with the reason in out->error: no
 * attachment is missing, a placeholder names none; CARAFE_ERR_TOO_LARGE: the attachments exceed
 * limits->attachment_bytes_max; CARAFE_ERR_NOMEM. */
int sio_decoder_feed_binary(sio_decoder *decoder, const void *data, size_t len,
                            const sio_packet_limits *limits, sio_packet *out,
                            json_t **args) MUST_USE;

/* Drops what the last packet borrowed, so that an idle connection holds nothing. Call it when the
 * packet has been dealt with; a packet in progress is kept. */
void sio_decoder_release(sio_decoder *decoder);

#endif /* CARAFE_SOCKETIO_DECODER_H */
