/* Answers of an HTTP server, as tests look at them. */
#ifndef CARAFE_TESTS_HTTP_ANSWER_H
#define CARAFE_TESTS_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

enum { HTTP_ANSWER_HEAD_SIZE = 8192 };

typedef struct http_answer {
    int status;
    char head[HTTP_ANSWER_HEAD_SIZE]; /* with its empty line and a NUL */
    const char *body;                 /* points into the bytes that were parsed */
    size_t body_len;
} http_answer;

/* Takes the first answer off the front of `len` bytes; `is_head`: of a HEAD request. Returns the
 * bytes it takes, 0 when it is not complete; fails the test when it is malformed. */
size_t http_answer_parse(const void *data, size_t len, bool is_head, http_answer *out);

/* A header's value, in a buffer of this thread; NULL when there is none. */
const char *http_answer_header(const http_answer *answer, const char *name);

bool http_answer_body_is(const http_answer *answer, const char *text);

#endif /* CARAFE_TESTS_HTTP_ANSWER_H */
