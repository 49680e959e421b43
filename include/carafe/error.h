/* Error codes of Carafe.
 *
 * Functions return 0 or a count on success and one of these, always negative, on failure. The
 * hundreds tell the class: 1xx not yet, 2xx the peer broke a protocol, 3xx a limit, 4xx the
 * system, 5xx misuse by the caller, 9xx no memory. Thread: any. */
#ifndef CARAFE_ERROR_H
#define CARAFE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CARAFE_API __attribute__((visibility("default")))
#define CARAFE_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define CARAFE_API
#define CARAFE_PRINTF(fmt, first)
#endif

/* name, value, text. One table makes the enum, the names and the texts. */
#define CARAFE_ERROR_TABLE(X)                                                                    \
    X(AGAIN, -101, "not yet: call again later")                                                  \
    X(NEED_MORE, -102, "not yet: more bytes are needed")                                         \
    X(BAD_REQUEST, -201, "malformed HTTP request")                                               \
    X(BAD_PACKET, -202, "malformed packet")                                                      \
    X(BAD_FRAME, -203, "malformed WebSocket frame")                                              \
    X(BAD_UTF8, -204, "text is not valid UTF-8")                                                 \
    X(BAD_JSON, -205, "malformed JSON")                                                          \
    X(BAD_HANDSHAKE, -206, "malformed WebSocket handshake")                                      \
    X(TOO_LARGE, -301, "larger than the limit")                                                  \
    X(TOO_MANY, -302, "more than the limit")                                                     \
    X(TOO_DEEP, -303, "nested deeper than the limit")                                            \
    X(TIMEOUT, -304, "time limit passed")                                                        \
    X(NOSPACE, -305, "the destination is too small")                                             \
    X(SLOW_READER, -306, "the peer reads too slowly")                                            \
    X(SYSTEM, -401, "the operating system refused")                                              \
    X(CLOSED, -402, "the connection is closed")                                                  \
    X(ADDRESS, -403, "the address cannot be used")                                               \
    X(FILE, -404, "the file cannot be read")                                                     \
    X(STOPPING, -405, "the server is stopping")                                                  \
    X(ARGUMENT, -501, "an argument has a wrong value")                                           \
    X(STATE, -502, "not possible in this state")                                                 \
    X(NOT_FOUND, -503, "no such thing")                                                          \
    X(BAD_DATA, -504, "the data cannot be encoded")                                              \
    X(UNPACK, -505, "the arguments do not fit the format")                                       \
    X(NOMEM, -901, "out of memory")

#define CARAFE_ERROR_ENUM(name, value, text) CARAFE_ERR_##name = value,
typedef enum carafe_error {
    CARAFE_OK = 0,
    CARAFE_ERROR_TABLE(CARAFE_ERROR_ENUM)
} carafe_error;
#undef CARAFE_ERROR_ENUM

/* The text of an error code ("malformed packet"), or "unknown error". Static, never NULL. */
CARAFE_API const char *carafe_strerror(int code);

/* The name of an error code ("BAD_PACKET"), or "UNKNOWN". Static, never NULL. */
CARAFE_API const char *carafe_error_name(int code);

#ifdef __cplusplus
}
#endif

#endif /* CARAFE_ERROR_H */
