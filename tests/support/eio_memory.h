/* An Engine.IO server on a worker of the test's own thread, with clients over the memory transport
 * and a clock the test moves. What its callbacks are given and what is logged is written down. */
#ifndef CARAFE_TESTS_EIO_MEMORY_H
#define CARAFE_TESTS_EIO_MEMORY_H

#include "app_memory.h"
#include "carafe/engineio.h"
#include "engineio/session.h"

enum { EIO_MEMORY_TEXT_SIZE = 64 * 1024 };

/* One a process. */
typedef struct eio_memory {
    app_memory base;
    eio_server_options options; /* may be changed before eio_memory_start() */
    eio_server *server;
    eio_socket *sock; /* of the last callback */
    /* "open", "text <data>", "binary <len>", "close <reason>", each with ';' */
    char trace[EIO_MEMORY_TEXT_SIZE];
    size_t trace_len;
    size_t messages;
    int opens;
    int closes;
    bool is_silent; /* messages are only counted */
    /* Called by the callbacks behind the writing down. May be NULL. */
    void (*on_open)(eio_socket *sock);
    void (*on_message)(eio_socket *sock, const void *data, size_t len, bool is_binary);
    void (*on_close)(eio_socket *sock);
    int log_count; /* lines of level WARNING and above */
    char log[EIO_MEMORY_TEXT_SIZE];
    int64_t blocks_before;
} eio_memory;

extern eio_memory eio_test;

/* For cmocka's setup and teardown; the latter asserts that no memory is left. */
int eio_memory_setup(void **state);
int eio_memory_teardown(void **state);

/* Makes the server of eio_test.options. */
void eio_memory_start(void);

/* What a worker of a real app does when the app stops. */
void eio_memory_stop(void);

/* Runs turns until nothing moves; the same after moving the clock. */
void eio_memory_run(void);
void eio_memory_pass(uint64_t ms);

/* Asserts what the callbacks were given since the last call. */
void eio_memory_expect(const char *trace);

/* Asserts the number of log lines since the last call, and that `word` (or NULL) is in them. */
void eio_memory_expect_log(int count, const char *word);

/* ---- HTTP ---- */

/* Feeds a request; `query` begins behind "EIO=4&", `headers` are lines with CRLF, `body` may be
 * NULL. Nothing is run. */
void eio_memory_request(net_memory *client, const char *method, const char *query,
                        const char *headers, const char *body);

/* The same on a connection of its own, and asserts the answer. NULL: any body. */
void eio_memory_ask(const char *method, const char *query, const char *headers, const char *body,
                    int status, const char *answer_body);

/* The answer of the last eio_memory_ask or eio_memory_answer; its body is valid until the next. */
extern http_answer eio_answered;

/* Asserts the next answer on a connection. NULL: any body. */
void eio_memory_answer(net_memory *client, int status, const char *body);

/* A polling session; `more` is added to the query. */
void eio_memory_open(char sid[SID_LEN + 1], const char *more);

/* A poll on a connection of its own, perhaps answered. */
net_memory *eio_memory_poll(const char *sid);

/* A poll that is answered at once, or a POST that is answered "ok". */
void eio_memory_poll_now(const char *sid, const char *body);
void eio_memory_post(const char *sid, const char *body);

/* The client leaves in an orderly way; frees the handle. */
void eio_memory_leave(net_memory *client);

/* ---- WebSocket ---- */

/* Sends the upgrade request and asserts its 101. `sid` NULL: a handshake. */
net_memory *eio_memory_websocket(const char *sid, const char *more);

/* A session over WebSocket, its OPEN packet read. */
net_memory *eio_memory_open_websocket(char sid[SID_LEN + 1], const char *more);

/* Feeds a masked frame; nothing is run. */
void eio_memory_frame(net_memory *client, unsigned opcode, const void *data, size_t len);

/* The same with a text, and runs. */
void eio_memory_text(net_memory *client, const char *text);

/* Takes the next frame: its opcode, or -1 when there is none. Valid until the next one. */
int eio_memory_take_frame(net_memory *client, slice *payload);

void eio_memory_expect_text(net_memory *client, const char *text);
void eio_memory_expect_binary(net_memory *client, const void *data, size_t len);
/* A close frame with that code (0: without), as the last one. */
void eio_memory_expect_close(net_memory *client, unsigned code);
void eio_memory_expect_silence(net_memory *client);

#define EIO_TEST(name) cmocka_unit_test_setup_teardown(name, eio_memory_setup, eio_memory_teardown)

#endif /* CARAFE_TESTS_EIO_MEMORY_H */
