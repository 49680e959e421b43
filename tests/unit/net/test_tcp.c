/* net/tcp on real sockets of the loopback interface, both ends in one thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/tcp.h"

enum { MEGABYTE = 1024 * 1024, OUT_HIGH = 256 * 1024 };

static worker w;
static int64_t blocks_before;

/* The server's end of the one connection of a test. */
static struct {
    net_conn *conn; /* NULL after its end */
    buf in;
    bool is_echo;   /* sends back what comes, and does not read while too much waits */
    bool finishes;  /* says "bye" to the first bytes */
    size_t out_max; /* the most that ever waited */
    int eofs;
    int closes;
    net_close reason;
} end;

static void on_data(net_conn *c, uint8_t *data, size_t len)
{
    if (end.finishes) {
        assert_int_equal(net_conn_write(c, "bye", 3), 0);
        net_conn_finish(c);
        return;
    }
    if (!end.is_echo) {
        assert_int_equal(buf_append(&end.in, data, len), 0);
        return;
    }
    assert_int_equal(net_conn_write(c, data, len), 0);
    if (net_conn_out_bytes(c) > end.out_max)
        end.out_max = net_conn_out_bytes(c);
    if (net_conn_out_bytes(c) > OUT_HIGH)
        net_conn_pause(c);
}

static void on_eof(net_conn *c)
{
    (void)c;
    end.eofs++;
}

static void on_drain(net_conn *c)
{
    net_conn_resume(c);
}

static void on_close(net_conn *c, net_close reason)
{
    assert_ptr_equal(c, end.conn);
    end.conn = NULL;
    end.closes++;
    end.reason = reason;
}

static const net_protocol protocol = {
    .on_data = on_data, .on_eof = on_eof, .on_drain = on_drain, .on_close = on_close};

static int set_up(void **state)
{
    (void)state;
    alarm(120);
    memset(&end, 0, sizeof(end));
    blocks_before = mem_blocks_in_use();
    assert_int_equal(worker_init(&w, 0, 0), 0);
    worker_set_now(&w, worker_now(&w));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    worker_deinit(&w);
    buf_deinit(&end.in);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

/* A connected pair: the server's end becomes `end`, the client's non-blocking one is returned. */
static int connect_pair(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&addr, &len), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&addr, len), 0);
    int server = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(server >= 0);
    close(listening);
    fcntl(client, F_SETFL, O_NONBLOCK);
    net_addr peer = {.family = AF_INET, .ip = {127, 0, 0, 1}};
    end.conn = net_tcp_new(&w, server, &peer, &protocol, NULL);
    assert_non_null(end.conn);
    return client;
}

static void client_send(int client, const char *text)
{
    assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Turns until the server's end is gone. */
static void run_to_close(void)
{
    while (!end.closes)
        worker_turn(&w, list_is_empty(&w.closing)); /* an end that is due is no event to wait for */
    assert_int_equal(end.closes, 1);
}

/* What the client reads until the end of the stream, in steps of `step` bytes and a turn each.
 * Fails when there is an error instead of an end. */
static void read_to_end(int client, size_t step, buf *got)
{
    static char bytes[MEGABYTE];
    for (;;) {
        ssize_t len = recv(client, bytes, step, 0);
        if (len == 0)
            return;
        if (len < 0)
            assert_int_equal(errno, EAGAIN);
        else
            assert_int_equal(buf_append(got, bytes, (size_t)len), 0);
        worker_turn(&w, false);
    }
}

/* No event is reported: a loop with nothing else to do would wait, not spin. */
static void assert_quiet(void)
{
    struct pollfd poller = {.fd = w.poller.epoll_fd, .events = POLLIN};
    assert_int_equal(poll(&poller, 1, 0), 0);
}

static uint8_t *pattern(size_t len)
{
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    return bytes;
}

/* ---- both ways ---- */

static void test_net_tcp_echoes(void **state)
{
    (void)state;
    int client = connect_pair();
    end.is_echo = true;
    char got[8];
    for (int i = 0; i < 100; i++) {
        client_send(client, "hello");
        worker_turn(&w, true);
        assert_int_equal(recv(client, got, sizeof(got), 0), 5);
        assert_memory_equal(got, "hello", 5);
    }
    close(client);
    while (!end.eofs)
        worker_turn(&w, true);
    net_conn_close(end.conn, NET_CLOSE_LOCAL);
    run_to_close();
}

static void test_net_tcp_megabytes_both_ways_with_a_slow_reader(void **state)
{
    (void)state;
    enum { SIZE = 5 * MEGABYTE };
    uint8_t *bytes = pattern(SIZE);
    buf got = {0};
    int client = connect_pair();
    end.is_echo = true;
    size_t sent = 0;
    static char part[16 * 1024];
    while (got.len < SIZE) {
        if (sent < SIZE) {
            ssize_t len = send(client, bytes + sent, SIZE - sent, MSG_NOSIGNAL);
            assert_true(len > 0 || errno == EAGAIN);
            sent += len > 0 ? (size_t)len : 0;
        }
        worker_turn(&w, false);
        ssize_t len = recv(client, part, sizeof(part), 0);
        assert_true(len > 0 || (len < 0 && errno == EAGAIN));
        if (len > 0)
            assert_int_equal(buf_append(&got, part, (size_t)len), 0);
    }
    assert_int_equal(got.len, SIZE);
    assert_memory_equal(got.data, bytes, SIZE);
    assert_true(end.out_max > 0 && end.out_max <= OUT_HIGH + 4 * WORKER_READ_SIZE);
    buf_deinit(&got);
    free(bytes);
    close(client);
}

static void never_free(shared *s)
{
    (void)s;
}

static void test_net_tcp_many_shared_pieces_arrive_in_order(void **state)
{
    (void)state;
    enum { PIECE = 10007, COUNT = 700 };
    uint8_t *bytes = pattern(2 * PIECE);
    shared owner;
    shared_init(&owner, never_free);
    int client = connect_pair();
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(net_conn_write_shared(end.conn, &owner, bytes + i, PIECE), 0);
        if (i % 5 == 0)
            assert_int_equal(net_conn_write(end.conn, "|", 1), 0);
    }
    net_conn_finish(end.conn);
    buf got = {0};
    read_to_end(client, 100000, &got);
    assert_int_equal(got.len, COUNT * PIECE + COUNT / 5);
    const uint8_t *at = got.data;
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(memcmp(at, bytes + i, PIECE), 0);
        at += PIECE;
        if (i % 5 == 0)
            assert_int_equal(*at++, '|');
    }
    assert_int_equal(atomic_load(&owner.refs), 1);
    buf_deinit(&got);
    free(bytes);
    close(client);
    run_to_close();
    assert_int_equal(end.reason, NET_CLOSE_LOCAL);
}

/* ---- ends ---- */

static void test_net_tcp_half_closed_peer_still_gets_the_answer(void **state)
{
    (void)state;
    int client = connect_pair();
    client_send(client, "last words");
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    while (!end.eofs)
        worker_turn(&w, true);
    assert_int_equal(end.in.len, 10);
    /* The end must be reported once, not in every turn. */
    for (int i = 0; i < 5; i++)
        worker_turn(&w, false);
    assert_int_equal(end.eofs, 1);
    assert_quiet();
    assert_int_equal(net_conn_write(end.conn, "answer", 6), 0);
    worker_turn(&w, false);
    net_conn_finish(end.conn);
    buf got = {0};
    read_to_end(client, 100, &got);
    assert_int_equal(got.len, 6);
    run_to_close();
    assert_int_equal(end.reason, NET_CLOSE_LOCAL);
    buf_deinit(&got);
    close(client);
}

static void reset_by(int client)
{
    struct linger now = {.l_onoff = 1};
    assert_int_equal(setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    close(client);
}

static void test_net_tcp_reset_ends_an_idle_connection(void **state)
{
    (void)state;
    reset_by(connect_pair());
    run_to_close();
    assert_int_equal(end.reason, NET_CLOSE_RESET);
}

static void test_net_tcp_reset_ends_a_paused_connection(void **state)
{
    (void)state;
    int client = connect_pair();
    net_conn_pause(end.conn);
    client_send(client, "unread");
    worker_turn(&w, false);
    assert_int_equal(end.in.len, 0);
    assert_quiet();
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    worker_turn(&w, false);
    assert_int_equal(end.eofs, 0);
    assert_quiet();
    reset_by(client);
    run_to_close();
    assert_int_equal(end.reason, NET_CLOSE_RESET);
}

static void test_net_tcp_reset_ends_a_connection_with_waiting_output(void **state)
{
    (void)state;
    int client = connect_pair();
    uint8_t *bytes = pattern(16 * MEGABYTE);
    net_conn_pause(end.conn);
    assert_int_equal(net_conn_write(end.conn, bytes, 16 * MEGABYTE), 0);
    worker_turn(&w, false);
    assert_true(net_conn_out_bytes(end.conn) > 0);
    reset_by(client);
    run_to_close();
    assert_int_equal(end.reason, NET_CLOSE_RESET);
    free(bytes);
}

static void test_net_tcp_reset_behind_the_half_close_is_seen(void **state)
{
    (void)state;
    int client = connect_pair();
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    while (!end.eofs)
        worker_turn(&w, true);
    reset_by(client);
    run_to_close();
    assert_int_equal(end.reason, NET_CLOSE_RESET);
}

static void test_net_tcp_finish_delivers_to_a_peer_that_still_sends(void **state)
{
    (void)state;
    int client = connect_pair();
    end.finishes = true;
    uint8_t *bytes = pattern(MEGABYTE);
    size_t sent = 0;
    /* More than the sockets hold: what nobody read would turn the end into a reset. */
    while (sent < 8 * MEGABYTE) {
        ssize_t len = send(client, bytes, MEGABYTE, MSG_NOSIGNAL);
        assert_true(len > 0 || errno == EAGAIN);
        sent += len > 0 ? (size_t)len : 0;
        worker_turn(&w, false);
    }
    buf got = {0};
    read_to_end(client, 100, &got);
    assert_int_equal(got.len, 3);
    assert_memory_equal(got.data, "bye", 3);
    assert_int_equal(end.closes, 0);
    close(client);
    run_to_close();
    assert_int_equal(end.reason, NET_CLOSE_LOCAL);
    buf_deinit(&got);
    free(bytes);
}

static void test_net_tcp_finish_does_not_wait_for_a_silent_peer_for_ever(void **state)
{
    (void)state;
    int client = connect_pair();
    net_conn_finish(end.conn);
    worker_turn(&w, false);
    assert_int_equal(end.closes, 0);
    worker_set_now(&w, worker_now(&w) + NET_LINGER_MS);
    worker_turn(&w, false);
    assert_int_equal(end.closes, 1);
    close(client);
}

/* ---- files ---- */

static int file_of(const uint8_t *bytes, size_t len)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, bytes + done, len - done);
        assert_true(n > 0);
        done += (size_t)n;
    }
    return fd;
}

static void test_net_tcp_sends_a_big_file_to_a_slow_reader(void **state)
{
    (void)state;
    enum { SIZE = 20 * MEGABYTE };
    uint8_t *bytes = pattern(SIZE);
    int client = connect_pair();
    assert_int_equal(net_conn_write(end.conn, "head", 4), 0);
    assert_int_equal(net_conn_send_file(end.conn, file_of(bytes, SIZE), 5, SIZE - 5), 0);
    net_conn_finish(end.conn);
    buf got = {0};
    read_to_end(client, 50000, &got);
    assert_int_equal(got.len, SIZE - 1);
    assert_int_equal(memcmp(got.data + 4, bytes + 5, SIZE - 5), 0);
    buf_deinit(&got);
    free(bytes);
    close(client);
    run_to_close();
    assert_int_equal(end.reason, NET_CLOSE_LOCAL);
}

static void test_net_tcp_file_to_a_peer_that_went_away_ends_the_connection(void **state)
{
    (void)state;
    uint8_t *bytes = pattern(8 * MEGABYTE);
    int client = connect_pair();
    shutdown(client, SHUT_WR); /* so that the reset arrives as EPIPE, with its signal */
    assert_int_equal(net_conn_send_file(end.conn, file_of(bytes, 8 * MEGABYTE), 0, 8 * MEGABYTE),
                     0);
    worker_turn(&w, false);
    assert_int_equal(end.closes, 0);
    close(client);
    run_to_close();
    assert_int_equal(end.reason, NET_CLOSE_RESET);
    free(bytes);
}

/* ---- making ---- */

static void test_net_tcp_serves_unix_sockets_too(void **state)
{
    (void)state;
    int fds[2];
    net_addr peer = {.family = AF_UNIX};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    end.conn = net_tcp_new(&w, fds[0], &peer, &protocol, NULL);
    assert_non_null(end.conn);
    end.is_echo = true;
    client_send(fds[1], "hello");
    worker_turn(&w, true);
    char got[8];
    assert_int_equal(recv(fds[1], got, sizeof(got), 0), 5);
    close(fds[1]);
}

static void test_net_tcp_new_that_fails_closes_the_socket(void **state)
{
    (void)state;
    int fds[2];
    net_addr peer = {.family = AF_UNIX};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    mem_fail_after(1);
    assert_null(net_tcp_new(&w, fds[0], &peer, &protocol, NULL));
    mem_fail_never();
    assert_int_equal(fcntl(fds[0], F_GETFD), -1);
    close(fds[1]);
    /* epoll refuses regular files. */
    int file = file_of((const uint8_t *)"x", 1);
    assert_null(net_tcp_new(&w, file, &peer, &protocol, NULL));
    assert_int_equal(fcntl(file, F_GETFD), -1);
    assert_int_equal(w.conn_count, 0);
}

int main(void)
{
    /* As worker_start() does for the threads of workers. */
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_net_tcp_echoes),
        TEST(test_net_tcp_megabytes_both_ways_with_a_slow_reader),
        TEST(test_net_tcp_many_shared_pieces_arrive_in_order),
        TEST(test_net_tcp_half_closed_peer_still_gets_the_answer),
        TEST(test_net_tcp_reset_ends_an_idle_connection),
        TEST(test_net_tcp_reset_ends_a_paused_connection),
        TEST(test_net_tcp_reset_ends_a_connection_with_waiting_output),
        TEST(test_net_tcp_reset_behind_the_half_close_is_seen),
        TEST(test_net_tcp_finish_delivers_to_a_peer_that_still_sends),
        TEST(test_net_tcp_finish_does_not_wait_for_a_silent_peer_for_ever),
        TEST(test_net_tcp_sends_a_big_file_to_a_slow_reader),
        TEST(test_net_tcp_file_to_a_peer_that_went_away_ends_the_connection),
        TEST(test_net_tcp_serves_unix_sockets_too),
        TEST(test_net_tcp_new_that_fails_closes_the_socket),
    };
    return cmocka_run_group_tests_name("net/tcp", tests, NULL, NULL);
}
