/* WebSocket frames (RFC 6455 5), the server's side: from bytes to messages, and frame heads back.
 *
 * Pure: no sockets, clock or globals; any thread, on its own data. Memory comes from base/mem, and
 * only for messages and control frames that do not lie whole in the bytes that were fed.
 *
 *   byte 0    FIN 0x80 | RSV1 0x40 | RSV2 0x20 | RSV3 0x10 | opcode
 *   byte 1    MASK 0x80 | length: 0-125, or 126: u16 follows, or 127: u64 follows (big endian)
 *   4 bytes   the mask, in frames of clients only
 *   payload   byte i is XORed with mask[i % 4] */
#ifndef CARAFE_WS_FRAME_H
#define CARAFE_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "base/utf8.h"

typedef enum ws_opcode {
    WS_CONTINUATION = 0x0,
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8, /* this and those below are control frames */
    WS_PING = 0x9,
    WS_PONG = 0xa,
} ws_opcode;

/* Flags of a frame; the values are wire values of byte 0. */
enum {
    WS_FIN = 0x80,
    WS_RSV1 = 0x40, /* permessage-deflate: the message is compressed; first frame only */
};

enum {
    WS_HEAD_SIZE_MAX = 10,        /* of a server's frame, which has no mask */
    WS_CLIENT_HEAD_SIZE_MAX = 14, /* with the mask */
    WS_CONTROL_PAYLOAD_MAX = 125, /* bytes; RFC 6455 5.5 */
    WS_CLOSE_REASON_MAX = 123,    /* bytes; two go to the code */

    /* Frames of one message. Fragments cost no memory here beyond their payload, so this only ends
     * the peer that sends empty ones for ever. Large enough for 8 MB in pieces of 64 bytes. */
    WS_FRAGMENT_COUNT_MAX = 131072,
};

/* Close codes (RFC 6455 7.4.1) this layer knows by name. */
enum {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL_ERROR = 1002,
    WS_CLOSE_NO_STATUS = 1005, /* never on the wire: a close frame without payload */
    WS_CLOSE_ABNORMAL = 1006,  /* never on the wire: the connection ended without a close frame */
    WS_CLOSE_BAD_DATA = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_LARGE = 1009,
    WS_CLOSE_INTERNAL_ERROR = 1011,
};

/* Writes the head of an unmasked frame in its shortest form; the payload follows as it is. `flags`
 * are of WS_FIN and WS_RSV1. Returns the bytes written: 2, 4 or 10. */
size_t ws_frame_head_encode(uint8_t dst[WS_HEAD_SIZE_MAX], ws_opcode opcode, unsigned flags,
                            uint64_t payload_len);

/* Writes the payload of a close frame. Code 0 gives the empty payload, and then there must be no
 * reason. Returns the bytes written, or CARAFE_ERR_ARGUMENT: a code that must not be sent, or a
 * reason without one; CARAFE_ERR_TOO_LARGE: reason above WS_CLOSE_REASON_MAX bytes;
 * CARAFE_ERR_BAD_UTF8: the reason is not text. `dst` is unchanged on failure. */
ptrdiff_t ws_close_payload_encode(uint8_t dst[WS_CONTROL_PAYLOAD_MAX], unsigned code,
                                  slice reason) MUST_USE;

/* True for the codes that may be in a close frame: 1000-1003, 1007-1014, 3000-4999. */
bool ws_close_code_is_legal(unsigned code);

/* XORs `len` bytes in place with the mask, `data[0]` with mask[0]. Masks and unmasks. Returns the
 * OR of the results, in words: no bit of 0x8080808080808080 is set when all bytes are ASCII. */
uint64_t ws_mask(uint8_t *data, size_t len, const uint8_t mask[4]);

typedef struct ws_limits {
    size_t message_size_max; /* bytes of a message after reassembly */
    bool allow_rsv1;         /* permessage-deflate was negotiated */
} ws_limits;

typedef enum ws_event_type {
    WS_EVENT_MESSAGE, /* opcode, is_compressed, data, len */
    WS_EVENT_PING,    /* data, len: answer with a pong that carries the same */
    WS_EVENT_PONG,    /* data, len */
    WS_EVENT_CLOSE,   /* close_code; data, len = the peer's reason, valid UTF-8 */
    WS_EVENT_ERROR,   /* close_code, error */
} ws_event_type;

typedef struct ws_event {
    ws_event_type type;
    ws_opcode opcode;    /* WS_TEXT (checked UTF-8, unless compressed) or WS_BINARY */
    bool is_compressed;  /* the first frame had RSV1: inflate it, then check UTF-8 of text */
    uint16_t close_code; /* CLOSE: the peer's, or WS_CLOSE_NO_STATUS; ERROR: the one to send */
    const char *error;   /* what was wrong, for the log; static */
    uint8_t *data;       /* not NUL-terminated; may be written to */
    size_t len;
} ws_event;

/* What is known of a connection's incoming frames. All zero is the start. Small, as every idle
 * connection holds one. Fields are private.
 *
 * message[0 .. message_len) are the bytes of the open message; those of a control frame that comes
 * in pieces between its fragments stand behind them for as long as that takes. */
typedef struct ws_decoder {
    uint8_t *message; /* owned; NULL when nothing is collected */
    size_t message_len;
    size_t message_cap;
    uint64_t payload_left;                 /* of the current frame, bytes still to come */
    uint32_t fragment_count;               /* frames of the open message */
    uint8_t mask[4];                       /* turned so that mask[0] is for the next byte */
    uint8_t head[WS_CLIENT_HEAD_SIZE_MAX]; /* head_len bytes of a head that is not yet complete */
    uint8_t head_len;
    uint8_t state;        /* enum in frame.c */
    uint8_t frame;        /* byte 0 of the current frame */
    uint8_t message_head; /* byte 0 of the open message's first frame; 0 = no message is open */
    uint8_t control_len;  /* bytes of the current control frame behind the message's */
    utf8_state utf8;      /* of the open text message */
    bool is_delivered;    /* the last event's data is in `message` */
} ws_decoder;

/* Frees what was collected; the decoder is at the start again. */
void ws_decoder_deinit(ws_decoder *d);

/* Reads frames from *data, which are unmasked where they lie, up to the next event; moves *data and
 * *len past what was consumed. Call it until it returns 0: that also frees the memory of the
 * message delivered last.
 *
 * event->data points into the fed bytes, or to the decoder's memory; it is valid until the next
 * call on the decoder, or until the fed bytes go.
 *
 * After a CLOSE event and after an error all further bytes are consumed and dropped.
 *
 * Returns 1 with *event filled in, 0 when all bytes are consumed and more are needed, or an error,
 * with close_code and error set in *event:
 *   CARAFE_ERR_BAD_FRAME  1002  the peer broke the framing or the rules of close frames
 *   CARAFE_ERR_BAD_UTF8   1007  a text, or the reason in a close frame, is not UTF-8
 *   CARAFE_ERR_TOO_LARGE  1009  message above limits->message_size_max, told by a frame's head
 *   CARAFE_ERR_TOO_MANY   1008  message in more than WS_FRAGMENT_COUNT_MAX frames
 *   CARAFE_ERR_NOMEM      1011  no memory to collect the message */
int ws_decoder_next(ws_decoder *d, const ws_limits *limits, uint8_t **data, size_t *len,
                    ws_event *event) MUST_USE;

/* True between messages and frames, when the peer can end the stream without cutting any off. */
bool ws_decoder_is_idle(const ws_decoder *d);

#endif /* CARAFE_WS_FRAME_H */
