/* Socket.IO packets (protocol 5): from text to values and back.
 *
 *   <type>[<attachments>-][<namespace>,][<ack id>][<JSON>]
 *
 *   2["echo",1]                      EVENT
 *   2/chat,7["echo",1]               EVENT in "/chat" that asks for ack 7
 *   3/chat,7[1]                      ACK
 *   51-["bin",{"_placeholder":true,"num":0}]   BINARY_EVENT; its attachment comes next
 *
 * Pure: any thread, on its own data. Strict: what is refused here closes the connection with the
 * reason "parse error". This file knows the text only; decoder.h adds the attachments.
 * Spec: socket.io-protocol v5, "Packet encoding"; see also the reference server's checks. */
#ifndef CARAFE_SOCKETIO_PACKET_H
#define CARAFE_SOCKETIO_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "socketio/json.h"

/* Values are wire values: a packet starts with '0' + type. */
typedef enum sio_packet_type {
    SIO_CONNECT = 0,    /* client: auth object or nothing; server: {"sid": ...} */
    SIO_DISCONNECT = 1, /* either side leaves the namespace */
    SIO_EVENT = 2,
    SIO_ACK = 3,           /* answers the EVENT with the same id */
    SIO_CONNECT_ERROR = 4, /* server: refusal of a CONNECT */
    SIO_BINARY_EVENT = 5,
    SIO_BINARY_ACK = 6,
} sio_packet_type;

enum {
    SIO_NAMESPACE_LEN_MAX = 256,   /* default: bytes of a namespace, query included */
    SIO_ATTACHMENT_COUNT_MAX = 10, /* default, that of the reference implementation too */
    SIO_ATTACHMENT_BYTES_MAX = 10 * 1000 * 1000, /* default: all attachments of one packet */
    SIO_ID_DIGITS_MAX = 20,                      /* characters of an ack id: any 64-bit number */
};

typedef struct sio_packet_limits {
    size_t namespace_len_max;    /* bytes */
    size_t attachment_count_max; /* per packet */
    size_t attachment_bytes_max; /* sum over one packet */
    json_limits json;
} sio_packet_limits;

#define SIO_PACKET_LIMITS_DEFAULT                                                                  \
    ((sio_packet_limits){SIO_NAMESPACE_LEN_MAX,                                                    \
                         SIO_ATTACHMENT_COUNT_MAX,                                                 \
                         SIO_ATTACHMENT_BYTES_MAX,                                                 \
                         {SIO_JSON_DEPTH_MAX}})

/* What decoding says when it does not fail. */
typedef enum sio_decoded {
    SIO_PACKET_READY = 0,   /* a packet to act on */
    SIO_PACKET_IGNORED = 1, /* well-formed, but nothing to act on; the connection stays open */
    SIO_PACKET_PENDING = 2, /* decoder.h only: attachments are missing */
} sio_decoded;

/* A view of one packet. Owns nothing: the slices point into the text it was decoded from (or are
 * static) and live as long as that; a slice says where NUL follows. */
typedef struct sio_packet {
    sio_packet_type type;
    bool has_id;             /* EVENT: the sender wants an ack; ACK: always */
    size_t attachment_count; /* BINARY_*: what follows; may be 0 */
    slice ns;                /* "/" when not written; with its "?query" when there is one */
    slice id_digits;         /* the ack id as it came, to be echoed; empty without one */
    uint64_t id;             /* the same as a number; UINT64_MAX when it is larger */
    slice event;             /* EVENT: the name, unescaped; a NUL follows and none is inside */
    slice args_text;         /* EVENT: the arguments behind the name, ACK: all, as a JSON array:
                              * '[' first and ']' last */
    slice data_text;         /* CONNECT: the object, CONNECT_ERROR: object or string; or empty */
    const char *error;       /* after CARAFE_ERR_BAD_PACKET: the reason, static; else NULL */
} sio_packet;

/* Decodes the text of one packet, which must be valid UTF-8. `limits` may be NULL (defaults).
 *
 * `text` is written to, also on failure: an event's name is unescaped in place and gets a NUL
 * where its closing quote was, and the comma behind it becomes the '[' of args_text. So decode a
 * text once. It stays the caller's and `*out` borrows from it.
 *
 * Returns SIO_PACKET_READY; or SIO_PACKET_IGNORED with `*out` filled in as far as it goes: an event
 * whose name is a number, an ack without id or without data; or CARAFE_ERR_BAD_PACKET with
 * out->error alone valid: everything else that breaks the grammar or a limit (the reference
 * implementation ignores an event without data), bad JSON, and the reserved event names
 * (sio_event_is_reserved). */
int sio_packet_decode(char *text, size_t len, const sio_packet_limits *limits,
                      sio_packet *out) MUST_USE;

/* True for the names that no peer may send: "connect", "connect_error", "disconnect",
 * "disconnecting", "newListener", "removeListener". */
bool sio_event_is_reserved(slice event);

/* The encoders append one packet to `dst`, so an Engine.IO type may stand there already. `ns` is
 * "/" or empty for the default namespace, and holds no comma. On failure `dst` and `attachments`
 * are as they were: CARAFE_ERR_NOMEM, and CARAFE_ERR_BAD_DATA as said at sio_json_encode. */

/* EVENT, or BINARY_EVENT when there are binary values in `payload` (borrowed; see
 * sio_json_encode_args). They are added to `attachments`, which must be empty, to be sent next;
 * NULL refuses them. `ack_id` is NULL when no ack is wanted. */
int sio_packet_encode_event(buf *dst, slice ns, const uint64_t *ack_id, const char *event,
                            const json_t *payload, sio_attachment_list *attachments) MUST_USE;

/* EVENT with arguments that are a JSON array already, in the form of sio_packet.args_text; text
 * from the user must have passed json_text_check. CARAFE_ERR_BAD_DATA when it does not begin with
 * '[' and end with ']'. */
int sio_packet_encode_event_raw(buf *dst, slice ns, const uint64_t *ack_id, const char *event,
                                slice args_text) MUST_USE;

/* ACK or BINARY_ACK with the id as the event brought it. */
int sio_packet_encode_ack(buf *dst, slice ns, slice id_digits, const json_t *payload,
                          sio_attachment_list *attachments) MUST_USE;
int sio_packet_encode_ack_raw(buf *dst, slice ns, slice id_digits, slice args_text) MUST_USE;

/* CONNECT: the server's answer {"sid":"<sid>"}; a NULL `sid` leaves it out. */
int sio_packet_encode_connect(buf *dst, slice ns, const char *sid) MUST_USE;

/* CONNECT: the client's request, with `auth` (borrowed, no binary values) unless that is NULL. */
int sio_packet_encode_connect_auth(buf *dst, slice ns, const json_t *auth) MUST_USE;

/* CONNECT_ERROR {"message":"<message>"[,"data":<data>]}. `data` is borrowed; NULL is none, a tuple
 * becomes a list; binary values are refused. */
int sio_packet_encode_connect_error(buf *dst, slice ns, const char *message,
                                    const json_t *data) MUST_USE;

int sio_packet_encode_disconnect(buf *dst, slice ns) MUST_USE;

#endif /* CARAFE_SOCKETIO_PACKET_H */
