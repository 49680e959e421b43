/* An outgoing message: encoded once, shared by all sessions it is sent to.
 *
 * Immutable once sealed, and counted atomically, so that it can go to other workers. The bytes lie
 * so that both transports send them as they are:
 *
 *   text     <ws frame head><'4'><text>      WebSocket: all of it; polling: from the '4' on
 *   binary   <ws frame head><bytes>          WebSocket: all of it; polling: 'b' + base64
 *
 * Thread: any, each on its own message; reading and counting a sealed one from many. */
#ifndef CARAFE_ENGINEIO_MESSAGE_H
#define CARAFE_ENGINEIO_MESSAGE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/shared.h"
#include "engineio/packet.h"
#include "ws/frame.h"

typedef struct eio_message {
    shared shared;
    bool is_binary;
    uint8_t head_len;                /* bytes of the frame head, right before `body` */
    size_t body_len;                 /* the packet: a text's '4' included */
    uint8_t head[WS_HEAD_SIZE_MAX];  /* right-aligned */
    uint8_t body[];
} eio_message;

/* Starts a text message in an empty buffer: append the text, then seal. CARAFE_ERR_NOMEM. */
int eio_message_begin_text(buf *b) MUST_USE;

/* Makes the message out of the buffer's memory, which is empty afterwards. Never fails. */
eio_message *eio_message_seal_text(buf *b);

/* A binary message with a copy of the bytes. NULL: no memory. */
eio_message *eio_message_new_binary(const void *data, size_t len);

static inline void eio_message_unref(eio_message *m)
{
    if (m)
        shared_unref(&m->shared);
}

/* The whole WebSocket frame. */
static inline const uint8_t *eio_message_frame(const eio_message *m, size_t *len)
{
    *len = m->head_len + m->body_len;
    return m->body - m->head_len;
}

#endif /* CARAFE_ENGINEIO_MESSAGE_H */
