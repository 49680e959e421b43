/* http/conn: connections that follow their session to another worker: two threads, real sockets. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "memory_http.h"

/* A request for /<n>... is served by worker n, as "<worker> <target> <body>"; for /<n>/big with
 * 60,000 bytes 'x' behind it. */
static worker w[2];
static int64_t blocks_before;
static atomic_int moves;
static atomic_int move_errors;

static void on_head(http_request *req)
{
    unsigned wanted = (unsigned)(req->head.path.data[1] - '0') % 2;
    if (req->worker->index == wanted)
        return;
    atomic_fetch_add(&moves, 1);
    if (http_request_move(req, &w[wanted]) < 0)
        atomic_fetch_add(&move_errors, 1);
}

static void on_request(http_request *req)
{
    buf text = {0};
    bool is_big = memmem(req->head.path.data, req->head.path.len, "big", 3) != NULL;
    int error = buf_printf(&text, "%u %.*s %.*s", req->worker->index, (int)req->head.target.len,
                           req->head.target.data, (int)buf_readable(&req->body),
                           buf_readable(&req->body) ? (char *)buf_head(&req->body) : "");
    for (int i = 0; is_big && error == 0 && i < 6000; i++)
        error = buf_append(&text, "xxxxxxxxxx", 10);
    if ((worker_current() && worker_current() != req->worker) || error < 0)
        atomic_fetch_add(&move_errors, 1);
    http_respond(req, 200, NULL, 0, buf_slice(&text));
    buf_deinit(&text);
}

static const http_service service = {.on_head = on_head, .on_request = on_request};

/* ---- workers ---- */

static int set_up(void **state)
{
    (void)state;
    alarm(100);
    moves = move_errors = 0;
    blocks_before = mem_blocks_in_use();
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(worker_init(&w[i], i, 0), 0);
        assert_int_equal(worker_start(&w[i]), 0);
    }
    return 0;
}

static void stop_here(worker *on, worker_task *task)
{
    (void)task;
    worker_stop(on);
}

static void stop_and_join(worker *on)
{
    worker_task stop = {.fn = stop_here};
    assert_int_equal(worker_post(on, &stop), 0);
    worker_join(on);
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        if (w[i].is_started)
            stop_and_join(&w[i]);
    for (int i = 0; i < 2; i++) {
        http_worker_deinit(&w[i]);
        worker_deinit(&w[i]);
    }
    assert_int_equal(move_errors, 0);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

/* ---- clients ---- */

static void accept_here(worker *on, void *arg)
{
    net_addr peer = {.family = AF_UNIX};
    http_accept(on, *(int *)arg, &peer, &service);
}

static void nothing(worker *on, void *arg)
{
    (void)on, (void)arg;
}

/* The client's end of a connection that worker 0 serves. */
static int connect_client(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    struct timeval limit = {.tv_sec = 60};
    setsockopt(fds[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(worker_call(&w[0], accept_here, &fds[0]), 0);
    return fds[1];
}

static bool send_text(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* Reads `len` bytes; false at the end of the stream. */
static bool read_exactly(int fd, char *dst, size_t len)
{
    while (len) {
        ssize_t n = recv(fd, dst, len, 0);
        if (n <= 0)
            return false;
        dst += n;
        len -= (size_t)n;
    }
    return true;
}

/* The body of the next answer, to be freed; NULL when there is none. */
static char *read_answer(int fd)
{
    char head[1024];
    size_t len = 0;
    while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0) {
        if (len == sizeof(head) - 1 || !read_exactly(fd, head + len, 1))
            return NULL;
        len++;
    }
    head[len] = '\0';
    const char *at = strstr(head, "Content-Length: ");
    if (strncmp(head, "HTTP/1.1 200 ", 13) != 0 || !at)
        return NULL;
    size_t body_len = strtoul(at + 16, NULL, 10);
    char *body = calloc(1, body_len + 1);
    if (body && read_exactly(fd, body, body_len))
        return body;
    free(body);
    return NULL;
}

static void expect(int fd, const char *text)
{
    char *body = read_answer(fd);
    assert_non_null(body);
    body[strcspn(body, "x")] = '\0';
    assert_string_equal(body, text);
    free(body);
}

static void test_http_request_move_and_back(void **state)
{
    (void)state;
    int client = connect_client();
    for (int i = 0; i < 3; i++) {
        assert_true(send_text(client, "GET /1?a=b HTTP/1.1\r\nHost: a\r\n\r\n"));
        expect(client, "1 /1?a=b ");
        assert_true(
            send_text(client, "POST /0 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"));
        expect(client, "0 /0 hi");
        assert_true(send_text(client, "GET /0 HTTP/1.1\r\nHost: a\r\n\r\n"));
        expect(client, "0 /0 ");
    }
    assert_int_equal(moves, 6);
    close(client);
}

static void test_http_request_move_keeps_pipelined_requests_in_order(void **state)
{
    (void)state;
    int client = connect_client();
    assert_true(send_text(client, "GET /0/a HTTP/1.1\r\nHost: a\r\n\r\n"
                                  "GET /1/b HTTP/1.1\r\nHost: a\r\n\r\n"
                                  "POST /1/c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                                  "GET /0/big HTTP/1.1\r\nHost: a\r\n\r\n"
                                  "GET /1/big HTTP/1.1\r\nHost: a\r\n\r\n"
                                  "GET /0/big HTTP/1.1\r\nHost: a\r\n\r\n"
                                  "\r\nGET /1/e HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    expect(client, "0 /0/a ");
    expect(client, "1 /1/b ");
    expect(client, "1 /1/c abc");
    expect(client, "0 /0/big ");
    expect(client, "1 /1/big ");
    expect(client, "0 /0/big ");
    expect(client, "1 /1/e ");
    char byte;
    assert_int_equal(recv(client, &byte, 1, 0), 0);
    close(client);
}

static void test_http_request_move_in_the_middle_of_a_body(void **state)
{
    (void)state;
    static const char bytes[] = "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
    for (size_t cut = 1; cut < sizeof(bytes) - 1; cut++) {
        int client = connect_client();
        assert_int_equal(send(client, bytes, cut, MSG_NOSIGNAL), cut);
        assert_int_equal(worker_call(&w[0], nothing, NULL), 0); /* mostly enough to read it */
        assert_true(send_text(client, bytes + cut));
        expect(client, "1 /1 hello!");
        close(client);
    }
}

static void test_http_request_move_of_a_half_closed_peer(void **state)
{
    (void)state;
    int client = connect_client();
    assert_true(send_text(client, "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    expect(client, "1 /1 ");
    char byte;
    assert_int_equal(recv(client, &byte, 1, 0), 0);
    close(client);
}

static void test_http_request_move_to_a_worker_that_has_ended_closes(void **state)
{
    (void)state;
    stop_and_join(&w[1]);
    int client = connect_client();
    assert_true(send_text(client, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"));
    char byte;
    assert_int_equal(recv(client, &byte, 1, 0), 0);
    close(client);
    client = connect_client();
    assert_true(send_text(client, "GET /0 HTTP/1.1\r\nHost: a\r\n\r\n"));
    expect(client, "0 /0 ");
    close(client);
}

/* ---- many at once ---- */

enum { CLIENT_COUNT = 4, ROUNDS = 60 };

static void *run_client(void *arg)
{
    int fd = *(int *)arg;
    intptr_t wrong = 0;
    for (int i = 0; i < ROUNDS && !wrong; i++) {
        char text[100], expected[32];
        int to = i * 7 / 3 % 2;
        snprintf(text, sizeof(text),
                 "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n%03d", to, i);
        snprintf(expected, sizeof(expected), "%d /%d %03d", to, to, i);
        char *body = send_text(fd, text) ? read_answer(fd) : NULL;
        wrong = !body || strcmp(body, expected) != 0;
        free(body);
    }
    return (void *)wrong;
}

static void test_http_request_move_of_many_at_once(void **state)
{
    (void)state;
    pthread_t threads[CLIENT_COUNT];
    int fds[CLIENT_COUNT];
    for (int i = 0; i < CLIENT_COUNT; i++) {
        fds[i] = connect_client();
        assert_int_equal(pthread_create(&threads[i], NULL, run_client, &fds[i]), 0);
    }
    for (int i = 0; i < CLIENT_COUNT; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
        close(fds[i]);
    }
}

static void test_http_request_move_while_both_workers_stop_leaks_nothing(void **state)
{
    (void)state;
    int fds[30];
    for (int i = 0; i < 30; i++) {
        fds[i] = connect_client();
        assert_true(send_text(fds[i], "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    stop_and_join(&w[1]);
    stop_and_join(&w[0]);
    /* Each one was answered or closed. */
    for (int i = 0; i < 30; i++) {
        char byte = 'H';
        ssize_t len = recv(fds[i], &byte, 1, 0);
        assert_true(len == 0 || (len == 1 && byte == 'H') || errno == ECONNRESET);
        close(fds[i]);
    }
}

/* ---- transports without a socket ---- */

static void test_http_request_move_of_a_memory_connection_is_answered_500(void **state)
{
    (void)state;
    worker here;
    http_service one = service;
    assert_int_equal(worker_init(&here, 0, 0), 0);
    worker_set_now(&here, worker_now(&here));
    http_conn *conn = http_conn_new(&one);
    net_memory *m = net_memory_new(&here, &http_protocol, conn);
    http_conn_bind(conn, m->conn);
    log_set_level(LOG_HTTP, LOG_OFF);
    memory_http_feed(m, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /0 HTTP/1.1\r\nHost: a\r\n\r\n");
    log_set_level(LOG_HTTP, LOG_WARNING);
    worker_turn(&here, false);
    memory_http_expect(m, 500, NULL);
    memory_http_expect(m, 200, "0 /0 ");
    assert_int_equal(move_errors, 1);
    move_errors = 0;
    net_memory_free(m);
    worker_turn(&here, false);
    http_worker_deinit(&here);
    worker_deinit(&here);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_http_request_move_and_back),
        TEST(test_http_request_move_keeps_pipelined_requests_in_order),
        TEST(test_http_request_move_in_the_middle_of_a_body),
        TEST(test_http_request_move_of_a_half_closed_peer),
        TEST(test_http_request_move_to_a_worker_that_has_ended_closes),
        TEST(test_http_request_move_of_many_at_once),
        TEST(test_http_request_move_while_both_workers_stop_leaks_nothing),
        TEST(test_http_request_move_of_a_memory_connection_is_answered_500),
    };
    return cmocka_run_group_tests_name("http/conn move", tests, NULL, NULL);
}
