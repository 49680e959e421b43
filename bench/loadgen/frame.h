/* WebSocket frames (RFC 6455 5.2), seen from the client: masked ones out, unmasked ones in. */
#ifndef LOADGEN_FRAME_H
#define LOADGEN_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

typedef enum frame_opcode {
    FRAME_TEXT = 1,
    FRAME_BINARY = 2,
    FRAME_CLOSE = 8,
    FRAME_PING = 9,
    FRAME_PONG = 10,
} frame_opcode;

/* A view into the bytes it was decoded from. */
typedef struct frame {
    frame_opcode opcode;
    const uint8_t *data;
    size_t data_len;
} frame;

/* Longest message accepted from a server. */
#define FRAME_SIZE_MAX (1u << 20)

/* Appends one whole message as a masked frame. */
void frame_encode(buf *out, frame_opcode opcode, const void *data, size_t len);

/* Decodes the frame at the start of `data`. Returns the bytes it takes, 0 when it is not complete,
 * or -1 with `*why` set: masked, fragmented, compressed, too long. Fragments are legal, but no
 * server sends messages of this size in fragments, so they are refused rather than measured. */
ptrdiff_t frame_decode(const uint8_t *data, size_t len, frame *out, const char **why);

#endif /* LOADGEN_FRAME_H */
