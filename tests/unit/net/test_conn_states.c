/* net/conn: its states, timers and ends. Its output: test_conn.c. */
#include "conn_recording.h"

#include <netinet/in.h>

static void test_net_conn_close_tells_the_protocol_once_at_the_end_of_the_turn(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    assert_int_equal(net_conn_write(m->conn, "lost", 4), 0);
    net_conn_close(m->conn, NET_CLOSE_TIMEOUT);
    net_conn_close(m->conn, NET_CLOSE_PROTOCOL);
    net_conn_finish(m->conn);
    assert_true(m->is_closed);
    assert_int_equal(r.closes, 0);
    assert_int_equal(net_conn_out_bytes(m->conn), 0);
    assert_int_equal(net_conn_write(m->conn, "x", 1), CARAFE_ERR_CLOSED);
    turn();
    assert_ended(m, &r, NET_CLOSE_TIMEOUT);
    assert_out(m, "");
    turn();
    assert_int_equal(r.closes, 1);
    forget(m, &r);
}

static void test_net_conn_finish_writes_shuts_down_and_waits_for_the_peers_end(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    assert_int_equal(net_conn_write(m->conn, "bye", 3), 0);
    net_conn_finish(m->conn);
    assert_int_equal(m->conn->state, NET_FINISHING);
    assert_int_equal(net_conn_write(m->conn, "x", 1), CARAFE_ERR_CLOSED);
    assert_false(m->is_shut_down);
    turn();
    assert_out(m, "bye");
    assert_true(m->is_shut_down);
    assert_false(m->is_closed);
    assert_int_equal(m->conn->state, NET_LINGERING);
    net_memory_feed(m, "ignored", 7);
    assert_int_equal(r.in.len, 0);
    net_memory_feed_end(m);
    assert_int_equal(r.eofs, 0);
    turn();
    assert_ended(m, &r, NET_CLOSE_LOCAL);
    forget(m, &r);
}

static void test_net_conn_finish_without_output_shuts_down_too(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    net_conn_pause(m->conn);
    watch(m->conn);
    net_conn_finish(m->conn);
    turn();
    assert_true(m->is_shut_down);
    /* A paused connection must read now, or it never sees the peer's end. */
    assert_true(asked.wants_read);
    net_memory_feed_end(m);
    turn();
    assert_ended(m, &r, NET_CLOSE_LOCAL);
    forget(m, &r);
}

static void test_net_conn_finish_behind_the_peers_end_closes_when_written(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    m->out_max = 2;
    net_memory_feed_end(m);
    assert_int_equal(r.eofs, 1);
    assert_int_equal(net_conn_write(m->conn, "bye", 3), 0);
    net_conn_finish(m->conn);
    turn();
    assert_false(m->is_closed);
    net_memory_drain(m);
    assert_out(m, "e");
    turn();
    assert_ended(m, &r, NET_CLOSE_LOCAL);
    forget(m, &r);
}

static void test_net_conn_peers_end_while_finishing_is_not_told(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    m->out_max = 1;
    assert_int_equal(net_conn_write(m->conn, "bye", 3), 0);
    turn();
    net_conn_finish(m->conn);
    net_memory_feed_end(m);
    turn();
    assert_false(m->is_closed);
    m->out_max = 0;
    net_memory_drain(m);
    turn();
    assert_int_equal(r.eofs, 0);
    assert_int_equal(r.drains, 0);
    assert_ended(m, &r, NET_CLOSE_LOCAL);
    forget(m, &r);
}

static void test_net_conn_linger_ends_by_time(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    net_conn_finish(m->conn);
    turn();
    pass_time(NET_LINGER_MS - 1);
    assert_false(m->is_closed);
    pass_time(1);
    assert_ended(m, &r, NET_CLOSE_LOCAL);
    assert_int_equal(r.timers, 0);
    forget(m, &r);
}

static void test_net_conn_finish_of_a_peer_that_does_not_read_ends_by_time(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    m->out_max = 1;
    net_conn_set_timer(m->conn, 5);
    assert_int_equal(net_conn_write(m->conn, "bye", 3), 0);
    net_conn_finish(m->conn);
    net_conn_set_timer(m->conn, 1);
    pass_time(NET_FINISH_MS - 1);
    assert_false(m->is_closed);
    pass_time(1);
    assert_ended(m, &r, NET_CLOSE_SLOW_READER);
    assert_int_equal(r.timers, 0);
    forget(m, &r);
}

static void test_net_conn_reset_tells_its_reason_but_not_while_lingering(void **state)
{
    (void)state;
    recording r = {0}, lingering = {0};
    net_memory *m = connect_to(&r), *n = connect_to(&lingering);
    net_conn_finish(n->conn);
    turn();
    net_memory_reset(m);
    net_memory_reset(n);
    turn();
    assert_ended(m, &r, NET_CLOSE_RESET);
    assert_ended(n, &lingering, NET_CLOSE_LOCAL);
    forget(m, &r);
    forget(n, &lingering);
}

static void test_net_conn_peers_end_closes_without_on_eof(void **state)
{
    (void)state;
    net_protocol deaf = recorder;
    deaf.on_eof = NULL;
    recording r = {0};
    net_memory *m = net_memory_new(&w, &deaf, &r);
    net_memory_feed_end(m);
    turn();
    assert_ended(m, &r, NET_CLOSE_PEER);
    forget(m, &r);
}

static void test_net_conn_output_goes_on_behind_the_peers_end(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    watch(m->conn);
    net_memory_feed_end(m);
    assert_false(asked.wants_read);
    assert_int_equal(net_conn_write(m->conn, "late", 4), 0);
    turn();
    assert_out(m, "late");
    forget(m, &r);
    assert_string_equal(net_close_text(r.reason), net_close_text(NET_CLOSE_PEER));
}

/* ---- closing inside callbacks ---- */

static void close_here(net_conn *c)
{
    net_conn_close(c, NET_CLOSE_PROTOCOL);
    assert_int_equal(net_conn_write(c, "x", 1), CARAFE_ERR_CLOSED);
    net_conn_set_timer(c, 1);
    net_conn_pause(c);
    net_conn_resume(c);
    net_conn_want_drain(c);
    net_conn_finish(c);
}

static void finish_here(net_conn *c)
{
    net_conn_finish(c);
}

static void run_all_callbacks(net_memory *m)
{
    m->out_max = 1;
    int ignored = net_conn_write(m->conn, "abc", 3);
    (void)ignored;
    net_conn_set_timer(m->conn, 10);
    turn();
    net_memory_feed(m, "x", 1);
    m->out_max = 0;
    net_memory_drain(m);
    pass_time(10);
    net_memory_feed_end(m);
    turn();
    turn();
}

static void test_net_conn_close_inside_each_callback(void **state)
{
    (void)state;
    recording all[] = {
        {.on_data = close_here},
        {.on_drain = close_here},
        {.on_timer = close_here},
        {.on_eof = close_here},
        {.on_eof = close_here, .on_close = close_here},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        net_memory *m = connect_to(&all[i]);
        run_all_callbacks(m);
        assert_ended(m, &all[i], NET_CLOSE_PROTOCOL);
        assert_int_equal(all[i].eofs, i >= 3);
        assert_int_equal(all[i].timers, i >= 2);
        assert_int_equal(all[i].drains, i >= 1);
        forget(m, &all[i]);
    }
}

static void test_net_conn_finish_inside_each_callback(void **state)
{
    (void)state;
    recording all[] = {
        {.on_data = finish_here},
        {.on_drain = finish_here},
        {.on_timer = finish_here},
        {.on_eof = finish_here},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        net_memory *m = connect_to(&all[i]);
        run_all_callbacks(m);
        assert_ended(m, &all[i], NET_CLOSE_LOCAL);
        forget(m, &all[i]);
    }
}

static net_memory *victim;

static void close_victim(net_conn *c)
{
    (void)c;
    if (victim->conn)
        net_conn_close(victim->conn, NET_CLOSE_PROTOCOL);
}

static void test_net_conn_close_of_another_inside_callbacks(void **state)
{
    (void)state;
    /* Both are dirty in the same turn, in both orders; then from one's on_close. */
    for (int i = 0; i < 3; i++) {
        recording killer = {0}, dead = {0};
        net_memory *first = connect_to(i == 0 ? &dead : &killer);
        net_memory *second = connect_to(i == 0 ? &killer : &dead);
        victim = i == 0 ? first : second;
        if (i < 2) {
            killer.on_drain = close_victim;
            net_conn_want_drain(first->conn);
            net_conn_want_drain(second->conn);
        } else {
            killer.on_close = close_victim;
            net_conn_close(first->conn, NET_CLOSE_LOCAL);
        }
        turn();
        turn();
        assert_ended(victim, &dead, NET_CLOSE_PROTOCOL);
        assert_int_equal(dead.drains, i == 0);
        forget(first, i == 0 ? &dead : &killer);
        forget(second, i == 0 ? &killer : &dead);
    }
}

static void write_to_victim(net_conn *c)
{
    (void)c;
    assert_int_equal(net_conn_write(victim->conn, "he left", 7), 0);
}

static void test_net_conn_output_made_in_on_close_of_another_leaves_in_that_turn(void **state)
{
    (void)state;
    recording leaver = {.on_close = write_to_victim}, other = {0};
    net_memory *m = connect_to(&leaver);
    victim = connect_to(&other);
    net_conn_close(m->conn, NET_CLOSE_LOCAL);
    turn();
    assert_out(victim, "he left");
    forget(m, &leaver);
    forget(victim, &other);
}

static void test_net_conn_all_are_cut_when_the_worker_ends(void **state)
{
    (void)state;
    recording r[4] = {0};
    net_memory *m[4];
    for (int i = 0; i < 4; i++)
        m[i] = connect_to(&r[i]);
    m[1]->out_max = 1;
    assert_int_equal(net_conn_write(m[1]->conn, "abc", 3), 0);
    turn();
    net_conn_finish(m[2]->conn);
    turn();
    net_conn_close(m[3]->conn, NET_CLOSE_TIMEOUT);
    worker_deinit(&w);
    for (int i = 0; i < 4; i++) {
        assert_ended(m[i], &r[i], i == 3 ? NET_CLOSE_TIMEOUT : NET_CLOSE_STOPPING);
        net_memory_free(m[i]);
    }
    assert_int_equal(worker_init(&w, 0, 0), 0); /* for tear_down */
}

/* ---- timers and the rest ---- */

static void test_net_conn_timer_fires_once_and_can_be_moved_and_disarmed(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    net_conn_set_timer(m->conn, 10);
    pass_time(9);
    assert_int_equal(r.timers, 0);
    net_conn_set_timer(m->conn, 10);
    pass_time(9);
    assert_int_equal(r.timers, 0);
    pass_time(1);
    assert_int_equal(r.timers, 1);
    pass_time(1000);
    assert_int_equal(r.timers, 1);
    net_conn_set_timer(m->conn, 5);
    net_conn_set_timer(m->conn, 0);
    pass_time(1000);
    assert_int_equal(r.timers, 1);
    net_conn_set_timer(m->conn, 5);
    net_conn_close(m->conn, NET_CLOSE_LOCAL);
    pass_time(1000);
    assert_int_equal(r.timers, 1);
    forget(m, &r);
}

static void test_net_conn_protocol_change_disarms_the_timer_and_moves_the_callbacks(void **state)
{
    (void)state;
    recording r = {0}, after = {0};
    net_memory *m = connect_to(&r);
    net_conn_set_timer(m->conn, 5);
    net_conn_set_protocol(m->conn, &recorder, &after);
    pass_time(10);
    net_memory_feed(m, "new", 3);
    net_conn_close(m->conn, NET_CLOSE_LOCAL);
    turn();
    assert_int_equal(r.timers + after.timers, 0);
    assert_int_equal(r.in.len, 0);
    assert_int_equal(after.in.len, 3);
    assert_int_equal(r.closes, 0);
    forget(m, &after);
}

static void test_net_conn_pause_and_resume_tell_the_transport(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    watch(m->conn);
    net_conn_pause(m->conn);
    assert_false(asked.wants_read);
    net_conn_resume(m->conn);
    assert_true(asked.wants_read);
    m->out_max = 1;
    net_conn_pause(m->conn);
    assert_int_equal(net_conn_write(m->conn, "ab", 2), 0);
    turn();
    assert_false(asked.wants_read);
    assert_true(asked.wants_write);
    forget(m, &r);
}

static void test_net_conn_input_comes_in_reads_of_bounded_size(void **state)
{
    (void)state;
    static char bytes[3 * WORKER_READ_SIZE / 2];
    recording r = {0};
    net_memory *m = connect_to(&r);
    memset(bytes, 'x', sizeof(bytes));
    net_memory_feed(m, bytes, sizeof(bytes));
    assert_int_equal(r.in.len, sizeof(bytes));
    assert_memory_equal(r.in.data, bytes, sizeof(bytes));
    forget(m, &r);
}

static void test_net_addr_format(void **state)
{
    (void)state;
    char text[NET_ADDR_TEXT_SIZE];
    net_addr addr = {.family = AF_INET, .ip = {192, 0, 2, 255}};
    net_addr_format(&addr, text);
    assert_string_equal(text, "192.0.2.255");
    addr = (net_addr){.family = AF_INET6, .ip = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
    net_addr_format(&addr, text);
    assert_string_equal(text, "2001:db8::1");
    addr.family = AF_UNIX;
    net_addr_format(&addr, text);
    assert_string_equal(text, "unix");
    addr.family = 0;
    net_addr_format(&addr, text);
    assert_string_equal(text, "unknown");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_net_conn_close_tells_the_protocol_once_at_the_end_of_the_turn),
        TEST(test_net_conn_finish_writes_shuts_down_and_waits_for_the_peers_end),
        TEST(test_net_conn_finish_without_output_shuts_down_too),
        TEST(test_net_conn_finish_behind_the_peers_end_closes_when_written),
        TEST(test_net_conn_peers_end_while_finishing_is_not_told),
        TEST(test_net_conn_linger_ends_by_time),
        TEST(test_net_conn_finish_of_a_peer_that_does_not_read_ends_by_time),
        TEST(test_net_conn_reset_tells_its_reason_but_not_while_lingering),
        TEST(test_net_conn_peers_end_closes_without_on_eof),
        TEST(test_net_conn_output_goes_on_behind_the_peers_end),
        TEST(test_net_conn_close_inside_each_callback),
        TEST(test_net_conn_finish_inside_each_callback),
        TEST(test_net_conn_close_of_another_inside_callbacks),
        TEST(test_net_conn_output_made_in_on_close_of_another_leaves_in_that_turn),
        TEST(test_net_conn_all_are_cut_when_the_worker_ends),
        TEST(test_net_conn_timer_fires_once_and_can_be_moved_and_disarmed),
        TEST(test_net_conn_protocol_change_disarms_the_timer_and_moves_the_callbacks),
        TEST(test_net_conn_pause_and_resume_tell_the_transport),
        TEST(test_net_conn_input_comes_in_reads_of_bounded_size),
        TEST(test_net_addr_format),
    };
    return cmocka_run_group_tests_name("net/conn states", tests, NULL, NULL);
}
