/* A server on threads of its own, used from many others while clients come and go. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "carafe/socketio.h"
#include "sio_client.h"
#include "sio_server_talk.h"

/* ---- the clients that are there, for threads to pick from ---- */

enum { SIDS_MAX = 64, SID_SIZE = 32 };

static pthread_mutex_t sids_lock = PTHREAD_MUTEX_INITIALIZER;
static char sids[SIDS_MAX][SID_SIZE];
static size_t sid_count;

static void sids_add(const char *sid)
{
    pthread_mutex_lock(&sids_lock);
    if (sid_count < SIDS_MAX)
        snprintf(sids[sid_count++], SID_SIZE, "%s", sid);
    pthread_mutex_unlock(&sids_lock);
}

static void sids_remove(const char *sid)
{
    pthread_mutex_lock(&sids_lock);
    for (size_t i = 0; i < sid_count; i++) {
        if (strcmp(sids[i], sid) != 0)
            continue;
        memcpy(sids[i], sids[--sid_count], SID_SIZE);
        break;
    }
    pthread_mutex_unlock(&sids_lock);
}

static void sids_pick(char sid[SID_SIZE], unsigned *seed)
{
    pthread_mutex_lock(&sids_lock);
    snprintf(sid, SID_SIZE, "%s",
             sid_count ? sids[(unsigned)rand_r(seed) % sid_count] : "nobody is there at all");
    pthread_mutex_unlock(&sids_lock);
}

/* ---- handlers ---- */

static int on_connect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_join_room(ctx, "all");
    sids_add(sio_sid(ctx));
    return SIO_OK;
}

static int on_disconnect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sids_remove(sio_sid(ctx));
    return SIO_OK;
}

static atomic_int answers;

static int on_answer(sio_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    atomic_fetch_add(&answers, 1);
    return SIO_OK;
}

/* Calls a client that may be on another worker, and waits in all other ways. */
static int on_work(sio_ctx *ctx, void *arg)
{
    char sid[SID_SIZE];
    unsigned seed = (unsigned)(uintptr_t)ctx;
    (void)arg;
    sids_pick(sid, &seed);
    json_t *answer = sio_call(ctx, "q", json_integer(1), .to = sid, .timeout = 2);
    atomic_fetch_add(&answers, answer != NULL);
    json_decref(answer);
    sio_emit(ctx, "news", sio_binary("abc", 3), .broadcast = true, .callback = on_answer);
    sio_join_room(ctx, "some", .sid = sid);
    sio_emit(ctx, "news", NULL, .to = "some", .skip_self = true);
    sio_sleep(0.001);
    json_decref(sio_rooms(ctx, .sid = sid));
    sio_leave_room(ctx, "some", .sid = sid);
    return sio_reply(ctx, "s", "done");
}

static void add_handlers(void)
{
    sio_server_on(sio, "connect", on_connect);
    sio_server_on(sio, "disconnect", on_disconnect);
    sio_server_on(sio, "work", on_work);
    sid_count = 0;
    atomic_store(&answers, 0);
}

/* ---- clients and threads ---- */

static atomic_bool is_over; /* the threads shall end */

/* Acks all events that ask for it: 42<id>[...]. */
static void answer(sio_client *client)
{
    const char *at = client->text;
    if (at[0] != '4' || (at[1] != '2' && at[1] != '5'))
        return;
    at += at[1] == '5' ? strcspn(at, "-") + 1 : 2;
    int len = (int)strspn(at, "0123456789");
    char packet[64];
    snprintf(packet, sizeof(packet), "43%.*s[1]", len, at);
    if (len)
        sio_client_send(client, packet);
}

static void *client_main(void *arg)
{
    sio_client client;
    (void)arg;
    while (!atomic_load(&is_over)) {
        if (!sio_client_open(&client, sio_server_port(sio)))
            continue;
        bool is_there = sio_client_join(&client, "/") && sio_client_send(&client, "421[\"work\"]");
        for (int i = 0; is_there && i < 50 && !atomic_load(&is_over); i++) {
            is_there = sio_client_read(&client);
            if (is_there)
                answer(&client);
        }
        sio_client_close(&client);
    }
    return NULL;
}

static void *user_main(void *arg)
{
    enum { ROUNDS_MIN = 150, ROUNDS_MAX = 20000, ANSWERS = 500 };
    unsigned seed = (unsigned)(uintptr_t)arg;
    char sid[SID_SIZE];
    for (int round = 0; round < ROUNDS_MAX; round++) {
        bool is_enough = atomic_load(&is_over) || atomic_load(&answers) >= ANSWERS;
        if (round >= ROUNDS_MIN && is_enough)
            break;
        sids_pick(sid, &seed);
        switch (rand_r(&seed) % 10) {
        case 0:
            sio_server_emit(sio, "news", sio_text("hello"), .callback = on_answer);
            break;
        case 1:
            sio_server_emit(sio, "news", sio_binary("x", 1), .to = sid);
            break;
        case 2:
            json_decref(sio_server_rooms(sio, sid, NULL));
            break;
        case 3:
            sio_server_enter_room(sio, sid, "some", NULL);
            break;
        case 4:
            sio_server_leave_room(sio, sid, "some", NULL);
            break;
        case 5:
            json_decref(sio_server_participants(sio, "all", NULL));
            break;
        case 6:
            sio_server_close_room(sio, "some", NULL);
            break;
        case 7:
            /* Seldom, or nobody would stay for long enough to answer. */
            if (rand_r(&seed) % 64 == 0)
                sio_server_disconnect(sio, sid, NULL);
            break;
        case 8:
            sio_server_is_connected(sio, sid, NULL);
            break;
        default: {
            json_t *got = sio_server_call(sio, "q", NULL, .to = sid, .timeout = 0.05);
            atomic_fetch_add(&answers, got != NULL);
            json_decref(got);
        }
        }
    }
    return NULL;
}

static void use_from_everywhere(unsigned workers)
{
    enum { USERS = 8, CLIENTS = 4 };
    pthread_t users[USERS], clients[CLIENTS];
    add_handlers();
    start(workers);
    atomic_store(&is_over, false);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&clients[i], NULL, client_main, NULL), 0);
    for (int i = 0; i < USERS; i++)
        assert_int_equal(pthread_create(&users[i], NULL, user_main, (void *)(uintptr_t)(i + 1)), 0);
    for (int i = 0; i < USERS; i++)
        pthread_join(users[i], NULL);
    atomic_store(&is_over, true);
    stop();
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    assert_true(atomic_load(&answers) > 0);
    /* The server is gone; nobody can be reached, and nothing breaks. */
    assert_int_equal(sio_server_emit(sio, "e", NULL), 0);
    assert_int_equal(sio_server_disconnect(sio, "nobody", NULL), CARAFE_ERR_NOT_FOUND);
    assert_null(sio_server_call(sio, "q", NULL, .to = "nobody"));
}

static void test_sio_threads_use_a_server_with_one_worker(void **state)
{
    (void)state;
    use_from_everywhere(1);
}

static void test_sio_threads_use_a_server_with_three_workers(void **state)
{
    (void)state;
    use_from_everywhere(3);
}

/* Users go on while the server ends under them. */
static void test_sio_threads_use_a_server_that_stops(void **state)
{
    (void)state;
    enum { USERS = 8 };
    pthread_t users[USERS], client;
    add_handlers();
    for (int round = 0; round < 5; round++) {
        start(2);
        atomic_store(&is_over, false);
        pthread_create(&client, NULL, client_main, NULL);
        for (int i = 0; i < USERS; i++)
            pthread_create(&users[i], NULL, user_main, (void *)(uintptr_t)(i + 1));
        pthread_join(users[0], NULL);
        atomic_store(&is_over, true);
        stop();
        for (int i = 1; i < USERS; i++)
            pthread_join(users[i], NULL);
        pthread_join(client, NULL);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sio_threads_use_a_server_with_one_worker),
        TEST(test_sio_threads_use_a_server_with_three_workers),
        TEST(test_sio_threads_use_a_server_that_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
