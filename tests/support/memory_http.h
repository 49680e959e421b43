/* An HTTP server without sockets: a worker whose clock the test moves, a small service, clients
 * over the memory transport, and what was logged.
 *
 * The service answers by path:
 *   /echo          200 "<method> <path> <body>"
 *   /later         nothing; the request is put into `later`
 *   /size?<n>      200 with n bytes 'x'
 *   /file?<n>      200 with n bytes 'f' of a file
 *   /early         403 from on_head
 *   /limit?<n>     as /echo, with a body of at most n bytes
 *   /drop          http_request_drop
 *   /invalid       an answer with a header that is not valid
 *   /error?<n>     http_respond_error with that status
 *   anything else  404 */
#ifndef CARAFE_TESTS_SUPPORT_MEMORY_HTTP_H
#define CARAFE_TESTS_SUPPORT_MEMORY_HTTP_H

#include "http/conn.h"
#include "net/memory.h"

enum { MEMORY_HTTP_LATER_MAX = 16, MEMORY_HTTP_LOG_SIZE = 16 * 1024 };

/* One a process; `service` may be changed between start and the first connection. */
typedef struct memory_http {
    worker worker;
    http_service service;
    int heads;    /* calls of on_head */
    int requests; /* calls of on_request */
    int gone;     /* calls of on_gone, for requests with it set */
    http_request *later[MEMORY_HTTP_LATER_MAX];
    int later_count;
    bool sets_on_gone; /* on the requests of /later, /echo and /limit, in on_head */
    int log_count;     /* lines of level WARNING and above */
    char log[MEMORY_HTTP_LOG_SIZE];
    int64_t blocks_before;
} memory_http;

extern memory_http memory_server;

/* For cmocka's setup and teardown; the latter asserts that no memory is left. */
int memory_http_start(void **state);
int memory_http_stop(void **state);

net_memory *memory_http_connect(void);

/* One turn of the loop; the same after moving the clock. */
void memory_http_turn(void);
void memory_http_pass(uint64_t ms);

/* Feeds the text in one piece. */
void memory_http_feed(net_memory *m, const char *text);

/* The same, and turns twice (the second for what came up at the end of the
 * first). */
void memory_http_send(net_memory *m, const char *text);

/* One answer in what a client got. Slices live until the next drain. */
typedef struct memory_answer {
    int status;
    slice head; /* with the empty line */
    slice body;
    bool is_last; /* Connection: close */
} memory_answer;

/* Takes the next whole answer off the front of what the client got; false when there is none.
 * `has_no_body`: it answers HEAD. Interim 100 answers are answers, too. */
bool memory_http_take(net_memory *m, bool has_no_body, memory_answer *out);

/* Takes an answer and asserts its status and body (NULL: any). */
void memory_http_expect(net_memory *m, int status, const char *body);

/* Asserts that there is nothing more, and that the connection has been finished. */
void memory_http_expect_end(net_memory *m);

/* Takes an answer that must be an error as JSON, the last one, with exactly one line in the log
 * since the last call. */
void memory_http_expect_refusal(net_memory *m, int status);

/* The client leaves; frees the handle. */
void memory_http_leave(net_memory *m);

/* The value of a header in an answer's head, "" when there is none; valid until the next call. */
const char *memory_answer_header(const memory_answer *answer, const char *name);

#endif /* CARAFE_TESTS_SUPPORT_MEMORY_HTTP_H */
