/* WebSocket connections, the server's side: messages in and out, pings answered, closing.
 *
 * All on the connection's worker. Apart from on_open, callbacks come from the loop, never from
 * inside ws_send or ws_close. */
#ifndef CARAFE_WS_CONN_H
#define CARAFE_WS_CONN_H

#include <stdbool.h>
#include <sys/uio.h>

#include "base/shared.h"
#include "http/conn.h"
#include "ws/frame.h"

typedef struct ws_conn ws_conn;

enum {
    WS_CLOSE_TIMEOUT_MS = 5000,     /* for the peer's close frame */
    WS_CONTROL_QUEUE_MAX = 64 * 1024 /* pongs are dropped while more output than this waits */
};

typedef struct ws_handler {
    /* Accepted: the 101 is on its way. Comes once, before anything else, from inside ws_accept. */
    void (*on_open)(ws_conn *ws);
    /* A whole message; text is valid UTF-8. The bytes may be written to, and are gone when this
     * returns. */
    void (*on_message)(ws_conn *ws, uint8_t *data, size_t len, bool is_binary);
    /* The end, once: the peer closed (its code, or 1005), broke the protocol (the code it is sent),
     * or is gone (1006, and `reason`). `ws` must not be used afterwards. Not called after ws_close
     * or ws_abort. */
    void (*on_close)(ws_conn *ws, unsigned code, net_close reason);
} ws_handler;

/* True when the request asks for a WebSocket. */
bool ws_is_requested(const http_request *req);

/* Accepts the request, or answers it with 400 or 426; either way it is freed. `headers` are added to
 * the 101. Messages above `message_size_max` bytes close with 1009. `handler` and `user` must outlive
 * the connection, or ws_close is called first. Returns 0 after on_open (and perhaps first messages),
 * or CARAFE_ERR_BAD_HANDSHAKE, CARAFE_ERR_CLOSED or CARAFE_ERR_NOMEM without any callback. */
int ws_accept(http_request *req, const http_header *headers, size_t header_count,
              size_t message_size_max, const ws_handler *handler, void *user);

void *ws_user(const ws_conn *ws);

/* From now on `handler` and `user` get the callbacks (a probe that became the transport). */
void ws_set_handler(ws_conn *ws, const ws_handler *handler, void *user);

/* Sends one message made of several pieces, copied. Errors as net_conn_write. */
int ws_send(ws_conn *ws, ws_opcode opcode, const struct iovec *iov, int iov_count);

/* Sends bytes inside `owner` that are a whole frame already. */
int ws_send_frame(ws_conn *ws, shared *owner, const uint8_t *frame, size_t len);

/* Bytes that wait to be written. */
size_t ws_out_bytes(const ws_conn *ws);

/* Reading stops and goes on. */
void ws_pause(ws_conn *ws);
void ws_resume(ws_conn *ws);

/* Sends what is queued and a close frame (code 0: without a code), waits for the peer's and
 * closes. No callback comes any more; `ws` must not be used afterwards. */
void ws_close(ws_conn *ws, unsigned code, const char *reason);

/* Closes at once. As ws_close otherwise. */
void ws_abort(ws_conn *ws);

#endif /* CARAFE_WS_CONN_H */
