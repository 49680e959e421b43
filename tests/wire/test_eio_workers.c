/* Engine.IO on several workers, asked over real sockets: each request finds its session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "app/app.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "carafe/engineio.h"
#include "http_client.h"

enum { SESSIONS = 40, CONNECTIONS = 8, ROUNDS = 5 };

static carafe_app *app;
static http_answer answer;
static int64_t blocks_before;
static char sids[SESSIONS][SID_LEN + 1];
static http_client clients[CONNECTIONS];

static void drop_line(log_level level, const char *line, void *arg)
{
    (void)level;
    (void)line;
    (void)arg;
}

static void on_message(eio_socket *sock, const void *data, size_t len, bool is_binary, void *arg)
{
    (void)arg;
    int ignored = is_binary ? eio_send_binary(sock, data, len) : eio_send_text(sock, data, len);
    (void)ignored;
}

static int setup(void **state)
{
    (void)state;
    log_set_sink(drop_line, NULL);
    blocks_before = mem_blocks_in_use();
    app = carafe_app_new("test");
    assert_non_null(eio_server_new(app, .on_message = on_message));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    carafe_app_free(app);
    log_set_sink(NULL, NULL);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

static void start(unsigned workers)
{
    assert_int_equal(carafe_start(app, .port = SIO_PORT_ANY, .workers = workers), 0);
}

static void stop(void)
{
    assert_int_equal(carafe_stop(app), 0);
    assert_int_equal(carafe_wait(app), 0);
}

static void ask(http_client *client, const char *method, const char *sid, const char *body)
{
    char request[2048];
    snprintf(request, sizeof(request),
             "%s /engine.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\nHost: h\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             method, sid ? "&sid=" : "", sid ? sid : "", strlen(body), body);
    http_client_send(client, request);
    http_client_read(client, &answer);
}

static void open_session(http_client *client, char sid[SID_LEN + 1])
{
    ask(client, "GET", NULL, "");
    assert_int_equal(answer.status, 200);
    const char *at = memmem(answer.body, answer.body_len, "{\"sid\":\"", 8);
    assert_non_null(at);
    memcpy(sid, at + 8, SID_LEN);
    sid[SID_LEN] = '\0';
}

/* Opens the sessions over the connections in turn; returns a bit for each worker that has one. */
static unsigned open_all(void)
{
    unsigned owners = 0;
    for (int i = 0; i < CONNECTIONS; i++)
        http_client_open(&clients[i], carafe_port(app));
    for (int i = 0; i < SESSIONS; i++) {
        open_session(&clients[i % CONNECTIONS], sids[i]);
        owners |= 1u << sid_worker(sids[i], SID_LEN);
    }
    return owners;
}

static void close_all(void)
{
    for (int i = 0; i < CONNECTIONS; i++)
        http_client_close(&clients[i]);
}

static void check_echo(http_client *to, http_client *from, const char *sid, int number)
{
    char text[32];
    snprintf(text, sizeof(text), "4%d", number);
    ask(to, "POST", sid, text);
    assert_int_equal(answer.status, 200);
    ask(from, "GET", sid, "");
    assert_int_equal(answer.status, 200);
    assert_true(http_answer_body_is(&answer, text));
}

static void test_workers_each_request_finds_its_session(void **state)
{
    (void)state;
    start(2);
    assert_int_equal(open_all(), 3);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < SESSIONS; i++)
            check_echo(&clients[(i + round) % CONNECTIONS], &clients[(i * 3 + 1) % CONNECTIONS],
                       sids[i], round * SESSIONS + i);
    close_all();
    stop();
}

static void test_workers_sid_of_a_worker_that_is_not_there_is_unknown(void **state)
{
    (void)state;
    char sid[SID_LEN + 1];
    start(2);
    open_all();
    for (unsigned owner = 0; owner < 4; owner++) {
        assert_int_equal(sid_make(sid, owner), 0);
        ask(&clients[owner], "GET", sid, "");
        assert_int_equal(answer.status, 400);
        assert_true(
            http_answer_body_is(&answer, "{\"code\":1,\"message\":\"Session ID unknown\"}"));
    }
    close_all();
    stop();
}

static void send_frame(http_client *client, const char *text)
{
    char frame[64] = {(char)0x81, (char)(0x80 | strlen(text)), 'm', 'a', 's', 'k'};
    for (size_t i = 0; text[i]; i++)
        frame[6 + i] = (char)(text[i] ^ "mask"[i % 4]);
    size_t len = 6 + strlen(text);
    assert_int_equal(send(client->fd, frame, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void expect_frame(http_client *client, const char *text)
{
    char frame[64];
    size_t len = 2 + strlen(text);
    assert_int_equal(recv(client->fd, frame, len, MSG_WAITALL), (ssize_t)len);
    assert_int_equal((unsigned char)frame[0], 0x81);
    assert_int_equal(frame[1], strlen(text));
    assert_memory_equal(frame + 2, text, strlen(text));
}

static void test_workers_upgrade_finds_its_session(void **state)
{
    (void)state;
    start(2);
    assert_int_equal(open_all(), 3);
    for (int i = 0; i < SESSIONS; i++) {
        http_client ws;
        char request[2048];
        http_client_open(&ws, carafe_port(app));
        snprintf(request, sizeof(request),
                 "GET /engine.io/?EIO=4&transport=websocket&sid=%s HTTP/1.1\r\nHost: h\r\n"
                 "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                 sids[i]);
        http_client_send(&ws, request);
        http_client_read(&ws, &answer);
        assert_int_equal(answer.status, 101);
        send_frame(&ws, "2probe");
        expect_frame(&ws, "3probe");
        send_frame(&ws, "5");
        send_frame(&ws, "4hello");
        expect_frame(&ws, "4hello");
        http_client_close(&ws);
    }
    close_all();
    stop();
}

/* ---- starts that fail ---- */

static bool is_failing;

static int on_start(app_extension *ext, worker *w)
{
    (void)ext;
    return is_failing && w->index == 1 ? CARAFE_ERR_NOMEM : 0;
}

static void test_workers_start_with_more_after_one_that_failed(void **state)
{
    (void)state;
    app_extension other = {.prefix = "/other/", .on_start = on_start};
    assert_int_equal(app_attach(app, &other), 0);
    is_failing = true;
    assert_int_equal(carafe_start(app, .port = SIO_PORT_ANY, .workers = 2), CARAFE_ERR_NOMEM);
    is_failing = false;
    start(4);
    assert_int_equal(open_all(), 15);
    for (int i = 0; i < SESSIONS; i++)
        check_echo(&clients[(i + 1) % CONNECTIONS], &clients[(i + 2) % CONNECTIONS], sids[i], i);
    close_all();
    stop();
    is_failing = true;
    assert_int_equal(carafe_start(app, .port = SIO_PORT_ANY, .workers = 2), CARAFE_ERR_NOMEM);
    app_detach(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_workers_each_request_finds_its_session),
        TEST(test_workers_sid_of_a_worker_that_is_not_there_is_unknown),
        TEST(test_workers_upgrade_finds_its_session),
        TEST(test_workers_start_with_more_after_one_that_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
