/* Engine.IO on its own: sessions that carry messages over long-polling or WebSocket.
 *
 * Socket.IO is built on this; a program that wants plain messages uses it directly, served by
 * carafe_run(). Callbacks run as coroutines on the session's worker (they may wait), one
 * session's in order; the functions below are called on that worker: from a callback. */
#ifndef CARAFE_ENGINEIO_H
#define CARAFE_ENGINEIO_H

#include <stdbool.h>
#include <stddef.h>

#include "carafe/app.h"
#include "carafe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct eio_server eio_server;
typedef struct eio_socket eio_socket;

/* Attributes of the session cookie, which goes with handshakes over polling; only used with a cookie
 * name. Without them it has Path=/, SameSite=Lax and HttpOnly. */
typedef struct eio_cookie_options {
    const char *path;      /* "/" when NULL */
    const char *domain;
    const char *same_site; /* "Lax" when NULL */
    long max_age;          /* seconds; not sent when 0 */
    bool secure;
    bool http_only;
} eio_cookie_options;

/* An origin check of the program's own: true lets the origin in. Called for each request with an
 * Origin header, maybe twice; it must not wait. */
typedef bool eio_origin_fn(const char *origin, carafe_request *req, void *arg);

/* What engine and Socket.IO servers have in common. Times are seconds. Lists are one text, with
 * commas: "https://a.example,https://b.example". Strings are copied. */
#define EIO_SERVER_OPTIONS                                                                       \
    const char *path;             /* "/engine.io/" or "/socket.io/" when NULL */                 \
    double ping_interval;         /* 25 when 0 */                                                \
    double ping_timeout;          /* 20 when 0 */                                                \
    size_t max_http_buffer_size;  /* bytes of a message or polling body; 1,000,000 when 0 */     \
    sio_switch allow_upgrades;    /* offer WebSocket to polling clients; on */                   \
    const char *transports;       /* of "polling,websocket"; both when NULL */                   \
    const char *cookie;           /* name of a cookie with the session id; none when NULL */     \
    const eio_cookie_options *cookie_options;                                                    \
    /* NULL: the same origin as the request's. A list: those too; "*" is any. "" (the empty list): \
     * the check is off and no CORS headers are sent. */                                         \
    const char *cors_allowed_origins;                                                            \
    eio_origin_fn *cors_check; /* decides instead of the list */                                 \
    void *cors_check_arg;                                                                        \
    sio_switch cors_credentials; /* allow cookies across origins; on */                          \
    double connect_timeout;      /* for the client's first namespace, or first message; 45 when 0 */             \
    double upgrade_timeout;      /* for a WebSocket that takes over from polling; 10 when 0 */   \
    size_t max_output_size;      /* bytes waiting for a slow client before it is cut off; 16 MB \
                                    when 0 */                                                    \
    sio_switch engineio_logger   /* this layer's log lines; off */

typedef struct eio_server_options {
    size_t size;
    EIO_SERVER_OPTIONS;
    void (*on_open)(eio_socket *sock, void *arg);
    /* `data` lives until the callback returns; text is valid UTF-8, and no NUL follows. */
    void (*on_message)(eio_socket *sock, const void *data, size_t len, bool is_binary, void *arg);
    /* `reason`: "transport close", "ping timeout", ... The socket is freed when it returns. */
    void (*on_close)(eio_socket *sock, const char *reason, void *arg);
    void *arg;
} eio_server_options;

/* Makes a server that is served by `app` and freed with it. NULL, with a log line that names the
 * option: one is out of range, the path is taken, the app runs, or there is no memory. */
CARAFE_API eio_server *eio_server_new_with(carafe_app *app, const eio_server_options *options);
#define eio_server_new(...) EIO_SERVER_NEW_(__VA_ARGS__, )
#define EIO_SERVER_NEW_(app, ...)                                                                \
    eio_server_new_with(app,                                                                     \
                        &(eio_server_options){ .size = sizeof(eio_server_options), __VA_ARGS__ })

/* Detaches the server from its app, which must not run, and frees it. NULL is fine. */
CARAFE_API void eio_server_free(eio_server *server);

/* Sends a message; the bytes are copied. Text must be valid UTF-8.
 * CARAFE_ERR_CLOSED: the session has ended; CARAFE_ERR_BAD_UTF8; CARAFE_ERR_BAD_DATA: text with the
 * byte 0x1e, which long-polling cannot carry (binary can); CARAFE_ERR_SLOW_READER: too much is
 * waiting, the session is closed; CARAFE_ERR_NOMEM. */
CARAFE_API int eio_send_text(eio_socket *sock, const char *data, size_t len);
CARAFE_API int eio_send_binary(eio_socket *sock, const void *data, size_t len);

/* Ends the session when what was sent has left; on_close follows. Harmless on a closed one. */
CARAFE_API void eio_close(eio_socket *sock);

/* The session's id, and the handshake's request; both live as long as the socket. The id is
 * secret: whoever has it can take part. The request is NULL without memory. */
CARAFE_API const char *eio_sid(const eio_socket *sock);
CARAFE_API carafe_request *eio_request(eio_socket *sock);

/* "polling" or "websocket". */
CARAFE_API const char *eio_transport(const eio_socket *sock);

/* A pointer of the program's own, NULL at first. */
CARAFE_API void eio_set_user(eio_socket *sock, void *user);
CARAFE_API void *eio_user(const eio_socket *sock);

#ifdef __cplusplus
}
#endif

#endif /* CARAFE_ENGINEIO_H */
