/* A Socket.IO server on a worker of the test's own thread, with clients over the memory transport
 * and a clock the test moves. What handlers note and what is logged is written down. */
#ifndef CARAFE_TESTS_SIO_MEMORY_H
#define CARAFE_TESTS_SIO_MEMORY_H

#include "app_memory.h"
#include "base/random.h"
#include "carafe/socketio.h"

enum { SIO_MEMORY_TEXT_SIZE = 64 * 1024 };

/* One a process. */
typedef struct sio_memory {
    app_memory base;
    sio_server *server;
    char trace[SIO_MEMORY_TEXT_SIZE]; /* what was noted, each with ';' */
    size_t trace_len;
    int log_count; /* lines of level WARNING and above */
    char log[SIO_MEMORY_TEXT_SIZE];
    int64_t blocks_before;
    bool is_started;
} sio_memory;

extern sio_memory sio_test;

/* For cmocka's setup and teardown; the latter stops the server and asserts that no memory is left. */
int sio_memory_setup(void **state);
int sio_memory_teardown(void **state);

/* Makes the server; NULL: default options. Handlers come next, then the start. */
void sio_memory_new(const sio_server_options *options);
void sio_memory_start(void);

/* What a worker of a real app does when the app stops: sessions end, sleepers wake. */
void sio_memory_stop(void);

/* Runs turns until nothing moves; the same after moving the clock. */
void sio_memory_run(void);
void sio_memory_pass(uint64_t ms);

/* Runs fn(arg) as a coroutine of the worker, as a background task does, and then turns. */
void sio_memory_do(void (*fn)(void *arg), void *arg);

/* Writes something down, for sio_memory_expect. */
void sio_memory_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Asserts what was noted since the last call. */
void sio_memory_expect(const char *trace);

/* Asserts the number of log lines since the last call, and that `word` (or NULL) is in them. */
void sio_memory_expect_log(int count, const char *word);

/* ---- clients over WebSocket ---- */

typedef struct sio_peer {
    net_memory *net;
    char sid[SID_LEN + 1]; /* in the namespace joined last */
} sio_peer;

/* A session, its OPEN packet read; nothing is joined. */
sio_peer *sio_peer_open(void);

/* The same, and joins a namespace. */
sio_peer *sio_peer_new(const char *ns);

/* Joins a namespace and reads the reply. */
void sio_peer_join(sio_peer *peer, const char *ns);

/* Sends a text message as it is (Engine.IO type included), or a binary one, and runs. */
void sio_peer_send(sio_peer *peer, const char *text);
void sio_peer_send_len(sio_peer *peer, const char *text, size_t len);
void sio_peer_send_binary(sio_peer *peer, const void *data, size_t len);

/* Texts in one go: the server has all of them before it turns. */
void sio_peer_send_all(sio_peer *peer, const char *const *texts, size_t count);

/* Asserts the next message. `text` is a printf format. */
void sio_peer_expect(sio_peer *peer, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sio_peer_expect_binary(sio_peer *peer, const void *data, size_t len);
void sio_peer_expect_silence(sio_peer *peer);

/* Takes the next message, a text; valid until the next call. */
const char *sio_peer_read(sio_peer *peer);

/* Asserts that nothing but a close frame is left, or that there is none. */
void sio_peer_expect_closed(sio_peer *peer);
void sio_peer_expect_open(sio_peer *peer);

/* The connection breaks off; frees the client. */
void sio_peer_leave(sio_peer *peer);

#define SIO_TEST(name)                                                                             \
    cmocka_unit_test_setup_teardown(name, sio_memory_setup, sio_memory_teardown)

#endif /* CARAFE_TESTS_SIO_MEMORY_H */
