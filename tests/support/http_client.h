/* A blocking HTTP client over a plain socket, with a time limit on every call. A call that fails
 * fails the test. */
#ifndef CARAFE_TESTS_HTTP_CLIENT_H
#define CARAFE_TESTS_HTTP_CLIENT_H

#include "http_answer.h"

enum { HTTP_CLIENT_TIMEOUT_S = 20 };

typedef struct http_client {
    int fd;
    char *data; /* bytes received and not yet taken */
    size_t len;
    size_t cap;
    size_t taken; /* bytes of the answer returned last, dropped by the next call */
} http_client;

void http_client_open(http_client *client, int port);

/* The same with a small receive buffer: a slow reader. */
void http_client_open_slow(http_client *client, int port);
void http_client_close(http_client *client);

void http_client_send(http_client *client, const char *text);

/* Sends our end of the stream. */
void http_client_finish(http_client *client);

/* Waits for the next answer, valid until the next call. */
void http_client_read(http_client *client, http_answer *out);
void http_client_read_head(http_client *client, http_answer *out);

/* "GET <target>" with a Host, and its answer. */
void http_client_get(http_client *client, const char *target, http_answer *out);

/* True when the server has closed and nothing is left; waits for it. */
bool http_client_is_at_end(http_client *client);

/* The same on a connection of its own; the body is copied to `body` with a NUL (cut to fit). */
int http_get(int port, const char *target, char *body, size_t cap);

#endif /* CARAFE_TESTS_HTTP_CLIENT_H */
