/* net/conn: how output is gathered, ordered, limited and let go. Its states: test_conn_states.c. */
#include "conn_recording.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void test_net_conn_writes_of_a_turn_leave_in_one_write(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    watch(m->conn);
    assert_int_equal(net_conn_write(m->conn, "one ", 4), 0);
    struct iovec iov[] = {{"two", 3}, {NULL, 0}, {" ", 1}};
    assert_int_equal(net_conn_writev(m->conn, iov, 3), 0);
    assert_int_equal(net_conn_write(m->conn, "three", 5), 0);
    assert_int_equal(asked.writes, 0);
    assert_int_equal(net_conn_out_bytes(m->conn), 13);
    turn();
    assert_int_equal(asked.writes, 1);
    assert_int_equal(asked.pieces, 1);
    assert_out(m, "one two three");
    assert_int_equal(net_conn_out_bytes(m->conn), 0);
    turn();
    assert_int_equal(asked.writes, 1);
    forget(m, &r);
}

static void test_net_conn_empty_write_asks_nothing_of_the_transport(void **state)
{
    (void)state;
    recording r = {0};
    counted c;
    counted_init(&c, "");
    net_memory *m = connect_to(&r);
    watch(m->conn);
    assert_int_equal(net_conn_write(m->conn, NULL, 0), 0);
    assert_int_equal(net_conn_writev(m->conn, NULL, 0), 0);
    assert_int_equal(net_conn_write_shared(m->conn, &c.shared, c.bytes, 0), 0);
    turn();
    assert_int_equal(asked.writes, 0);
    shared_unref(&c.shared);
    assert_int_equal(c.frees, 1);
    forget(m, &r);
}

static void test_net_conn_shared_bytes_leave_by_reference(void **state)
{
    (void)state;
    recording r = {0};
    counted c;
    counted_init(&c, "hello");
    net_memory *m = connect_to(&r);
    watch(m->conn);
    assert_int_equal(net_conn_write_shared(m->conn, &c.shared, c.bytes + 1, 3), 0);
    shared_unref(&c.shared);
    assert_int_equal(c.frees, 0);
    turn();
    assert_ptr_equal(asked.iov[0].iov_base, c.bytes + 1);
    assert_int_equal(c.frees, 1);
    assert_out(m, "ell");
    forget(m, &r);
}

static void test_net_conn_shared_bytes_are_let_go_when_the_connection_closes(void **state)
{
    (void)state;
    recording r = {0};
    counted c;
    counted_init(&c, "hello");
    net_memory *m = connect_to(&r);
    assert_int_equal(net_conn_write_shared(m->conn, &c.shared, c.bytes, 5), 0);
    assert_int_equal(net_conn_write_shared(m->conn, &c.shared, c.bytes, 5), 0);
    net_conn_close(m->conn, NET_CLOSE_LOCAL);
    assert_int_equal(atomic_load(&c.shared.refs), 1);
    assert_int_equal(net_conn_write_shared(m->conn, &c.shared, c.bytes, 5), CARAFE_ERR_CLOSED);
    assert_int_equal(atomic_load(&c.shared.refs), 1);
    turn();
    assert_out(m, "");
    forget(m, &r);
}

/* Copies of 0 to 700 bytes and shared bytes in turn, read by a peer of each appetite. */
static void mix_output(size_t out_max)
{
    recording r = {0};
    counted c;
    counted_init(&c, "<shared>");
    buf expected = {0};
    net_memory *m = connect_to(&r);
    m->out_max = out_max;
    char copy[700];
    for (size_t i = 0; i < 150; i++) {
        memset(copy, 'a' + (int)(i % 26), sizeof(copy));
        size_t len = i * 37 % sizeof(copy);
        assert_int_equal(net_conn_write(m->conn, copy, len), 0);
        assert_int_equal(buf_append(&expected, copy, len), 0);
        if (i % 3 == 1) {
            assert_int_equal(net_conn_write_shared(m->conn, &c.shared, c.bytes, 8), 0);
            assert_int_equal(buf_append(&expected, "<shared>", 8), 0);
        }
        if (i % 50 == 20)
            turn();
    }
    buf got = {0};
    while (net_conn_out_bytes(m->conn) || buf_readable(&m->out)) {
        turn();
        assert_true(!out_max || buf_readable(&m->out) <= out_max);
        assert_int_equal(buf_append(&got, buf_head(&m->out), buf_readable(&m->out)), 0);
        assert_int_equal(buf_readable(&got) + net_conn_out_bytes(m->conn), expected.len);
        net_memory_drain(m);
    }
    assert_int_equal(got.len, expected.len);
    assert_memory_equal(got.data, expected.data, expected.len);
    assert_int_equal(atomic_load(&c.shared.refs), 1);
    buf_deinit(&expected);
    buf_deinit(&got);
    forget(m, &r);
}

static void test_net_conn_copied_and_shared_bytes_keep_their_order(void **state)
{
    (void)state;
    mix_output(0);
}

static void test_net_conn_output_is_whole_whatever_the_transport_takes(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 7, 8, 9, 511, 512, 513, 4096, 40000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        mix_output(sizes[i]);
}

static void test_net_conn_blocked_transport_is_asked_again_only_when_writable(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    watch(m->conn);
    m->out_max = 3;
    assert_int_equal(net_conn_write(m->conn, "abcdef", 6), 0);
    turn();
    assert_true(asked.wants_write);
    assert_int_equal(net_conn_out_bytes(m->conn), 3);
    assert_int_equal(net_conn_write(m->conn, "ghi", 3), 0);
    turn();
    assert_int_equal(asked.writes, 1);
    assert_int_equal(net_conn_out_bytes(m->conn), 6);
    m->out_max = 0;
    net_memory_drain(m);
    assert_int_equal(asked.writes, 2);
    assert_out(m, "defghi");
    assert_false(asked.wants_write);
    assert_int_equal(r.drains, 1);
    forget(m, &r);
}

static void test_net_conn_on_drain_comes_when_output_had_to_wait_or_when_asked(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    assert_int_equal(net_conn_write(m->conn, "abc", 3), 0);
    turn();
    assert_int_equal(r.drains, 0);
    net_conn_want_drain(m->conn);
    turn();
    assert_int_equal(r.drains, 1);
    assert_int_equal(net_conn_write(m->conn, "abc", 3), 0);
    net_conn_want_drain(m->conn);
    net_conn_want_drain(m->conn);
    turn();
    turn();
    assert_int_equal(r.drains, 2);
    net_memory_drain(m);
    m->out_max = 2;
    assert_int_equal(net_conn_write(m->conn, "abc", 3), 0);
    turn();
    net_conn_want_drain(m->conn);
    turn();
    assert_int_equal(r.drains, 2);
    net_memory_drain(m);
    assert_int_equal(r.drains, 3);
    forget(m, &r);
}

static void write_once_more(net_conn *c)
{
    recording *r = c->user;
    if (r->drains < 4) {
        assert_int_equal(net_conn_write(c, "more", 4), 0);
        net_conn_want_drain(c);
    }
}

static void test_net_conn_output_made_in_on_drain_leaves_without_an_event(void **state)
{
    (void)state;
    recording r = {.on_drain = write_once_more};
    net_memory *m = connect_to(&r);
    net_conn_want_drain(m->conn);
    for (int i = 0; i < 5; i++)
        turn();
    assert_int_equal(r.drains, 4);
    assert_out(m, "moremoremore");
    forget(m, &r);
}

static void test_net_conn_queue_of_a_peer_that_never_reads_is_bounded(void **state)
{
    (void)state;
    recording r = {0};
    counted c;
    counted_init(&c, "x");
    net_memory *m = connect_to(&r);
    m->out_max = 1;
    assert_int_equal(net_conn_write(m->conn, "ab", 2), 0);
    turn();
    assert_int_equal(net_conn_out_bytes(m->conn), 1);
    /* The transport is full, so nobody looks at bytes that are not there. */
    assert_int_equal(net_conn_write_shared(m->conn, &c.shared, c.bytes, NET_OUT_BYTES_MAX - 1), 0);
    assert_int_equal(net_conn_out_bytes(m->conn), NET_OUT_BYTES_MAX);
    assert_int_equal(net_conn_write_shared(m->conn, &c.shared, c.bytes, 1), CARAFE_ERR_TOO_LARGE);
    assert_int_equal(atomic_load(&c.shared.refs), 1);
    assert_int_equal(net_conn_write(m->conn, "x", 1), CARAFE_ERR_CLOSED);
    turn();
    assert_ended(m, &r, NET_CLOSE_SLOW_READER);
    forget(m, &r);
}

static void test_net_conn_chunk_list_of_a_peer_that_lags_does_not_grow(void **state)
{
    (void)state;
    recording r = {0};
    counted c;
    counted_init(&c, "1234567890");
    net_memory *m = connect_to(&r);
    m->out_max = 10;
    for (int i = 0; i < 3; i++)
        assert_int_equal(net_conn_write_shared(m->conn, &c.shared, c.bytes, 10), 0);
    turn();
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(net_conn_write_shared(m->conn, &c.shared, c.bytes, 10), 0);
        net_memory_drain(m);
        assert_int_equal(net_conn_out_bytes(m->conn), 20);
    }
    assert_true(m->conn->chunks_size <= 512);
    forget(m, &r);
    assert_int_equal(atomic_load(&c.shared.refs), 1);
}

static void test_net_conn_copies_for_a_lagging_peer_share_blocks(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    m->out_max = 1;
    int64_t before = mem_bytes_in_use();
    for (int i = 0; i < 10000; i++)
        assert_int_equal(net_conn_write(m->conn, "0123456789", 10), 0);
    assert_int_equal(net_conn_out_bytes(m->conn), 100000);
    /* 100 KB in blocks of half a KB or more: heads and slack stay below a quarter. */
    assert_true(mem_bytes_in_use() - before < 130000);
    forget(m, &r);
}

/* ---- files ---- */

static int file_of(const void *bytes, size_t len)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    return fd;
}

static void test_net_conn_file_follows_the_output_and_is_closed(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    int fd = file_of("0123456789", 10);
    assert_int_equal(net_conn_write(m->conn, "head ", 5), 0);
    assert_int_equal(net_conn_send_file(m->conn, fd, 2, 6), 0);
    turn();
    assert_out(m, "head 234567");
    assert_int_equal(r.drains, 1);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(net_conn_write(m->conn, " tail", 5), 0);
    turn();
    assert_out(m, "head 234567 tail");
    forget(m, &r);
}

static void test_net_conn_file_of_megabytes_leaves_in_parts(void **state)
{
    (void)state;
    enum { SIZE = 3 * 1024 * 1024 + 17 };
    recording r = {0};
    uint8_t *bytes = malloc(SIZE);
    assert_non_null(bytes);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 31 >> 4);
    net_memory *m = connect_to(&r);
    m->out_max = 700000;
    assert_int_equal(net_conn_send_file(m->conn, file_of(bytes, SIZE), 0, SIZE), 0);
    net_conn_finish(m->conn);
    turn();
    size_t got = 0;
    while (!m->is_shut_down) {
        assert_int_equal(memcmp(buf_head(&m->out), bytes + got, buf_readable(&m->out)), 0);
        got += buf_readable(&m->out);
        assert_true(got <= SIZE);
        net_memory_drain(m);
        turn();
    }
    got += buf_readable(&m->out);
    assert_int_equal(got, SIZE);
    free(bytes);
    forget(m, &r);
}

static void test_net_conn_file_that_shrank_ends_the_connection(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    int fd = file_of("0123456789", 10);
    assert_int_equal(net_conn_send_file(m->conn, fd, 8, 6), 0);
    turn();
    turn();
    assert_ended(m, &r, NET_CLOSE_ERROR);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    forget(m, &r);
}

static void test_net_conn_file_is_closed_with_and_by_a_closed_connection(void **state)
{
    (void)state;
    recording r = {0};
    net_memory *m = connect_to(&r);
    int fd = file_of("0123456789", 10);
    assert_int_equal(net_conn_send_file(m->conn, fd, 0, 10), 0);
    net_conn_close(m->conn, NET_CLOSE_LOCAL);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    fd = file_of("0123456789", 10);
    assert_int_equal(net_conn_send_file(m->conn, fd, 0, 10), CARAFE_ERR_CLOSED);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    forget(m, &r);
}

/* ---- memory ---- */

/* One connection's life with all kinds of output. True when nothing failed. */
static bool live(int n, counted *c)
{
    recording r = {0};
    char big[5000] = "";
    net_memory *m = net_memory_new(&w, &recorder, &r);
    if (!m)
        return false;
    net_conn *conn = m->conn;
    int result = net_conn_write(conn, "some", 4);
    for (int i = 0; i < 20 && result == 0; i++)
        result = net_conn_write_shared(conn, &c->shared, c->bytes, 10);
    if (result == 0)
        result = net_conn_write(conn, big, sizeof(big));
    if (result < 0)
        assert_int_equal(net_conn_write(conn, "x", 1), CARAFE_ERR_CLOSED);
    assert_true(result == 0 || result == CARAFE_ERR_NOMEM);
    turn();
    turn();
    bool is_closed = m->is_closed;
    if (result < 0)
        assert_ended(m, &r, NET_CLOSE_NOMEM);
    else if (is_closed) /* the transport itself had no memory */
        assert_ended(m, &r, NET_CLOSE_ERROR);
    else
        assert_int_equal(buf_readable(&m->out), 5204);
    assert_true(n == 0 || mem_blocks_in_use() > 0);
    forget(m, &r);
    assert_int_equal(atomic_load(&c->shared.refs), 1);
    return result == 0 && !is_closed;
}

static void test_net_conn_each_failing_allocation_closes_it_and_leaks_nothing(void **state)
{
    (void)state;
    counted c;
    counted_init(&c, "1234567890");
    int failures = 0;
    for (int n = 1;; n++) {
        /* A fresh worker: its pool must not hide allocations. */
        worker_deinit(&w);
        assert_int_equal(worker_init(&w, 0, 0), 0);
        worker_set_now(&w, worker_now(&w));
        mem_fail_after(n);
        bool is_done = live(n, &c);
        mem_fail_never();
        if (is_done)
            break;
        failures++;
    }
    assert_in_range(failures, 5, 20);
}

static void test_net_conn_broadcast_to_many_is_one_object(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static recording r[COUNT];
    static net_memory *m[COUNT];
    counted c;
    counted_init(&c, "to all");
    memset(r, 0, sizeof(r));
    for (int i = 0; i < COUNT; i++)
        m[i] = connect_to(&r[i]);
    assert_int_equal(w.conn_count, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(net_conn_write_shared(m[i]->conn, &c.shared, c.bytes, 6), 0);
    assert_int_equal(atomic_load(&c.shared.refs), COUNT + 1);
    for (int i = 0; i < COUNT; i += 3)
        net_conn_close(m[i]->conn, NET_CLOSE_LOCAL);
    turn();
    assert_int_equal(w.conn_count, COUNT - (COUNT + 2) / 3);
    assert_int_equal(atomic_load(&c.shared.refs), 1);
    for (int i = 0; i < COUNT; i++) {
        assert_out(m[i], i % 3 ? "to all" : "");
        forget(m[i], &r[i]);
    }
    assert_int_equal(w.conn_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_net_conn_writes_of_a_turn_leave_in_one_write),
        TEST(test_net_conn_empty_write_asks_nothing_of_the_transport),
        TEST(test_net_conn_shared_bytes_leave_by_reference),
        TEST(test_net_conn_shared_bytes_are_let_go_when_the_connection_closes),
        TEST(test_net_conn_copied_and_shared_bytes_keep_their_order),
        TEST(test_net_conn_output_is_whole_whatever_the_transport_takes),
        TEST(test_net_conn_blocked_transport_is_asked_again_only_when_writable),
        TEST(test_net_conn_on_drain_comes_when_output_had_to_wait_or_when_asked),
        TEST(test_net_conn_output_made_in_on_drain_leaves_without_an_event),
        TEST(test_net_conn_queue_of_a_peer_that_never_reads_is_bounded),
        TEST(test_net_conn_chunk_list_of_a_peer_that_lags_does_not_grow),
        TEST(test_net_conn_copies_for_a_lagging_peer_share_blocks),
        TEST(test_net_conn_file_follows_the_output_and_is_closed),
        TEST(test_net_conn_file_of_megabytes_leaves_in_parts),
        TEST(test_net_conn_file_that_shrank_ends_the_connection),
        TEST(test_net_conn_file_is_closed_with_and_by_a_closed_connection),
        TEST(test_net_conn_each_failing_allocation_closes_it_and_leaks_nothing),
        TEST(test_net_conn_broadcast_to_many_is_one_object),
    };
    return cmocka_run_group_tests_name("net/conn", tests, NULL, NULL);
}
