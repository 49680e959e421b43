/* net/listener: binding, accepting, handing over, and running out of descriptors. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/tcp.h"

static worker w;
static worker *only[] = {&w};
static int64_t blocks_before;
static net_listener *listener;

/* What on_accept was told; the sockets are kept here. */
static struct {
    int fds[64];
    int count;
    net_addr peer;
    bool closes_listener;
} accepted;

static int set_up(void **state)
{
    (void)state;
    alarm(60);
    memset(&accepted, 0, sizeof(accepted));
    blocks_before = mem_blocks_in_use();
    assert_int_equal(worker_init(&w, 0, 0), 0);
    worker_set_now(&w, worker_now(&w));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    worker_deinit(&w);
    for (int i = 0; i < accepted.count; i++)
        close(accepted.fds[i]);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

static void on_accept(worker *on, int fd, const net_addr *peer, void *arg)
{
    assert_ptr_equal(on, &w);
    assert_ptr_equal(arg, &accepted);
    assert_true(accepted.count < 64);
    accepted.fds[accepted.count++] = fd;
    accepted.peer = *peer;
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    if (accepted.closes_listener)
        net_listener_close(listener);
}

static void open_listener(const char *host)
{
    const char *error_text = NULL;
    net_listen_options options = {.host = host};
    assert_int_equal(net_listener_open(&options, &listener, &error_text), 0);
    assert_in_range(net_listener_port(listener), 1, 65535);
}

static void start_listener(const char *host)
{
    open_listener(host);
    assert_int_equal(net_listener_start(listener, only, 1, on_accept, &accepted), 0);
}

static int client_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = 30};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

/* 0, or the error. The kernel answers without an accept. */
static int connect_to(int fd, int port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 ? 0 : errno;
}

static int connected_client(void)
{
    int fd = client_socket();
    assert_int_equal(connect_to(fd, net_listener_port(listener)), 0);
    return fd;
}

static void turn(void)
{
    worker_turn(&w, false);
}

/* ---- opening ---- */

static void test_net_listener_port_in_use_is_told(void **state)
{
    (void)state;
    open_listener("127.0.0.1");
    net_listener *second = NULL;
    const char *error_text = NULL;
    net_listen_options options = {.host = "127.0.0.1", .port = net_listener_port(listener)};
    assert_int_equal(net_listener_open(&options, &second, &error_text), CARAFE_ERR_ADDRESS);
    assert_string_equal(error_text, strerror(EADDRINUSE));
    assert_null(second);
    options.host = NULL;
    assert_int_equal(net_listener_open(&options, &second, &error_text), CARAFE_ERR_ADDRESS);
    assert_string_equal(error_text, strerror(EADDRINUSE));
    net_listener_close(listener);
    assert_int_equal(net_listener_open(&options, &second, &error_text), 0);
    assert_int_equal(net_listener_port(second), options.port);
    net_listener_close(second);
}

static void test_net_listener_address_of_another_machine_is_told(void **state)
{
    (void)state;
    const char *error_text = NULL;
    net_listen_options options = {.host = "192.0.2.1"};
    assert_int_equal(net_listener_open(&options, &listener, &error_text), CARAFE_ERR_ADDRESS);
    assert_string_equal(error_text, strerror(EADDRNOTAVAIL));
    options.host = "a..b";
    error_text = NULL;
    assert_int_equal(net_listener_open(&options, &listener, &error_text), CARAFE_ERR_ADDRESS);
    assert_non_null(error_text);
    mem_fail_after(1);
    options.host = "127.0.0.1";
    int result = net_listener_open(&options, &listener, &error_text);
    mem_fail_never();
    assert_int_equal(result, CARAFE_ERR_NOMEM);
}

/* ---- accepting ---- */

static void test_net_listener_accepts_with_the_peers_address(void **state)
{
    (void)state;
    start_listener("127.0.0.1");
    int client = connected_client();
    struct sockaddr_in addr;
    socklen_t len = sizeof(addr);
    assert_int_equal(getsockname(client, (struct sockaddr *)&addr, &len), 0);
    worker_turn(&w, true);
    assert_int_equal(accepted.count, 1);
    char text[NET_ADDR_TEXT_SIZE];
    net_addr_format(&accepted.peer, text);
    assert_string_equal(text, "127.0.0.1");
    assert_int_equal(accepted.peer.port, ntohs(addr.sin_port));
    net_listener_close(listener);
    turn();
    close(client);
}

static void test_net_listener_on_every_interface_takes_both_families(void **state)
{
    (void)state;
    start_listener(NULL);
    int client = connected_client();
    worker_turn(&w, true);
    assert_int_equal(accepted.count, 1);
    char text[NET_ADDR_TEXT_SIZE];
    net_addr_format(&accepted.peer, text);
    assert_string_equal(text, "127.0.0.1"); /* not ::ffff:127.0.0.1 */
    close(client);

    struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    client = socket(AF_INET6, SOCK_STREAM, 0);
    int has_ipv6 = client >= 0 && bind(client, (struct sockaddr *)&addr, sizeof(addr)) == 0;
    if (has_ipv6) {
        addr.sin6_port = htons((uint16_t)net_listener_port(listener));
        assert_int_equal(connect(client, (struct sockaddr *)&addr, sizeof(addr)), 0);
        worker_turn(&w, true);
        assert_int_equal(accepted.count, 2);
        net_addr_format(&accepted.peer, text);
        assert_string_equal(text, "::1");
    }
    if (client >= 0)
        close(client);
    net_listener_close(listener);
}

static void test_net_listener_that_was_not_started_lets_clients_wait(void **state)
{
    (void)state;
    open_listener("127.0.0.1");
    int client = connected_client();
    turn();
    assert_int_equal(accepted.count, 0);
    assert_int_equal(net_listener_start(listener, only, 1, on_accept, &accepted), 0);
    worker_turn(&w, true);
    assert_int_equal(accepted.count, 1);
    net_listener_close(listener);
    close(client);
}

static void test_net_listener_close_refuses_from_then_on(void **state)
{
    (void)state;
    start_listener("127.0.0.1");
    int port = net_listener_port(listener);
    net_listener_close(listener);
    int client = client_socket();
    assert_int_equal(connect_to(client, port), ECONNREFUSED);
    turn();
    close(client);
}

static void test_net_listener_close_inside_on_accept_stops_the_batch(void **state)
{
    (void)state;
    start_listener("127.0.0.1");
    int clients[3];
    for (int i = 0; i < 3; i++)
        clients[i] = connected_client();
    accepted.closes_listener = true;
    worker_turn(&w, true);
    turn();
    assert_int_equal(accepted.count, 1);
    for (int i = 0; i < 3; i++)
        close(clients[i]);
}

/* ---- handing over ---- */

typedef struct served {
    worker *worker;
    int count;
} served;

static void on_accept_note(worker *on, int fd, const net_addr *peer, void *arg)
{
    served *s = arg;
    assert_int_equal(peer->family, AF_INET);
    s[on->index].count++;
    assert_ptr_equal(worker_current(), on);
    /* One byte tells the client which worker it got. */
    char name = (char)('0' + on->index);
    assert_int_equal(send(fd, &name, 1, MSG_NOSIGNAL), 1);
    close(fd);
}

static void stop_here(worker *on, worker_task *task)
{
    (void)task;
    worker_stop(on);
}

static void test_net_listener_hands_sockets_to_all_workers_in_turn(void **state)
{
    (void)state;
    static worker other;
    worker *workers[] = {&w, &other};
    served s[2] = {0};
    assert_int_equal(worker_init(&other, 1, 0), 0);
    assert_int_equal(worker_start(&other), 0);
    open_listener("127.0.0.1");
    assert_int_equal(net_listener_start(listener, workers, 2, on_accept_note, s), 0);
    char names[6];
    for (int i = 0; i < 6; i++) {
        int client = connected_client();
        worker_turn(&w, true);
        assert_int_equal(recv(client, &names[i], 1, 0), 1);
        close(client);
    }
    assert_memory_equal(names, "010101", 6);

    /* A worker that has ended takes none: its clients are closed. */
    worker_task stop = {.fn = stop_here};
    assert_int_equal(worker_post(&other, &stop), 0);
    worker_join(&other);
    int first = connected_client();
    int second = connected_client();
    while (s[0].count < 4)
        worker_turn(&w, true);
    assert_int_equal(recv(first, names, 2, 0), 1);
    assert_int_equal(recv(second, names, 1, 0), 0);
    close(first);
    close(second);
    assert_int_equal(s[1].count, 3);
    net_listener_close(listener);
    worker_deinit(&other);
}

/* ---- out of descriptors ---- */

static int lines;

static void count_lines(log_level level, const char *line, void *arg)
{
    (void)arg;
    lines += level == LOG_ERROR && strstr(line, "cannot accept") != NULL;
}

/* In a child: 0 when all went as it should, else the number of the step that did not. */
static int run_out_of_descriptors(void)
{
    struct rlimit limit, few;
    log_set_sink(count_lines, NULL);
    start_listener("127.0.0.1");
    for (int i = 0; i < 2; i++)
        (void)connected_client();
    getrlimit(RLIMIT_NOFILE, &limit);
    int next_fd = dup(0);
    close(next_fd);
    few = limit;
    few.rlim_cur = (rlim_t)next_fd;
    setrlimit(RLIMIT_NOFILE, &few);
    worker_turn(&w, true);
    for (int i = 0; i < 5; i++)
        turn();
    if (accepted.count != 0 || lines != 1)
        return 1;
    setrlimit(RLIMIT_NOFILE, &limit);
    turn();
    if (accepted.count != 0) /* paused: no event, and no spinning */
        return 2;
    setrlimit(RLIMIT_NOFILE, &few);
    worker_set_now(&w, worker_now(&w) + 100);
    turn();
    turn();
    if (accepted.count != 0 || lines != 1) /* tried again in silence */
        return 3;
    setrlimit(RLIMIT_NOFILE, &limit);
    worker_set_now(&w, worker_now(&w) + 100);
    turn();
    turn();
    if (accepted.count != 2 || lines != 1)
        return 4;
    setrlimit(RLIMIT_NOFILE, &few);
    return 0;
}

static void test_net_listener_pauses_when_out_of_descriptors(void **state)
{
    (void)state;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20);
        _exit(run_out_of_descriptors());
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_net_listener_port_in_use_is_told),
        TEST(test_net_listener_address_of_another_machine_is_told),
        TEST(test_net_listener_accepts_with_the_peers_address),
        TEST(test_net_listener_on_every_interface_takes_both_families),
        TEST(test_net_listener_that_was_not_started_lets_clients_wait),
        TEST(test_net_listener_close_refuses_from_then_on),
        TEST(test_net_listener_close_inside_on_accept_stops_the_batch),
        TEST(test_net_listener_hands_sockets_to_all_workers_in_turn),
        TEST(test_net_listener_pauses_when_out_of_descriptors),
    };
    return cmocka_run_group_tests_name("net/listener", tests, NULL, NULL);
}
