#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/random.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void test_sid_make_has_its_length_and_alphabet(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        char sid[SID_LEN + 1];
        assert_int_equal(sid_make(sid, (unsigned)i), 0);
        assert_int_equal(strlen(sid), SID_LEN);
        assert_int_equal(strspn(sid, alphabet), SID_LEN);
    }
}

static void test_sid_worker_every_worker_comes_back(void **state)
{
    (void)state;
    for (unsigned worker = 0; worker < SID_WORKER_MAX; worker++) {
        char sid[SID_LEN + 1];
        assert_int_equal(sid_make(sid, worker), 0);
        assert_int_equal(sid_worker(sid, SID_LEN), worker);
    }
}

static void test_sid_worker_what_is_no_session_id_is_refused(void **state)
{
    (void)state;
    char sid[SID_LEN + 1];
    assert_int_equal(sid_make(sid, 5), 0);
    assert_int_equal(sid_worker(sid, SID_LEN - 1), -1);
    assert_int_equal(sid_worker(sid, SID_LEN + 1), -1);
    assert_int_equal(sid_worker("", 0), -1);
    for (size_t at = 0; at < SID_LEN; at++) {
        for (int c = 0; c < 256; c++) {
            char other[SID_LEN];
            memcpy(other, sid, SID_LEN);
            other[at] = (char)c;
            bool is_good = c && strchr(alphabet, c);
            assert_int_equal(sid_worker(other, SID_LEN) >= 0, is_good);
        }
    }
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, SID_LEN + 1);
}

static void test_sid_make_many_ids_never_repeat(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    char(*sids)[SID_LEN + 1] = malloc(COUNT * sizeof(*sids));
    assert_non_null(sids);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(sid_make(sids[i], 0), 0);
    qsort(sids, COUNT, sizeof(*sids), compare);
    for (int i = 1; i < COUNT; i++)
        assert_int_not_equal(compare(sids[i - 1], sids[i]), 0);
    free(sids);
}

/* Reads one id made by a child; both have used the generator before the fork. */
static void make_in_child(char sid[SID_LEN + 1])
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char mine[SID_LEN + 1];
        int result = sid_make(mine, 0);
        _exit(result == 0 && write(fds[1], mine, sizeof(mine)) == sizeof(mine) ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(fds[0], sid, SID_LEN + 1), SID_LEN + 1);
    close(fds[0]);
    close(fds[1]);
}

static void test_sid_make_forked_processes_share_no_stream(void **state)
{
    (void)state;
    char sids[4][SID_LEN + 1];
    assert_int_equal(sid_make(sids[0], 0), 0);
    make_in_child(sids[0]);
    make_in_child(sids[1]);
    assert_int_equal(sid_make(sids[2], 0), 0);
    assert_int_equal(sid_make(sids[3], 0), 0);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < i; j++)
            assert_string_not_equal(sids[i], sids[j]);
    }
}

static void test_random_bytes_fill_all_and_only_the_destination(void **state)
{
    (void)state;
    uint8_t seen[32] = { 0 }, bytes[34];
    for (int i = 0; i < 64; i++) {
        memset(bytes, 0, sizeof(bytes));
        assert_int_equal(random_bytes(bytes + 1, 32), 0);
        assert_int_equal(bytes[0], 0);
        assert_int_equal(bytes[33], 0);
        for (int j = 0; j < 32; j++)
            seen[j] |= bytes[1 + j];
    }
    /* That a bit is never set in 64 draws has a chance of 2^-64. */
    for (int j = 0; j < 32; j++)
        assert_int_equal(seen[j], 0xff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sid_make_has_its_length_and_alphabet),
        cmocka_unit_test(test_sid_worker_every_worker_comes_back),
        cmocka_unit_test(test_sid_worker_what_is_no_session_id_is_refused),
        cmocka_unit_test(test_sid_make_many_ids_never_repeat),
        cmocka_unit_test(test_sid_make_forked_processes_share_no_stream),
        cmocka_unit_test(test_random_bytes_fill_all_and_only_the_destination),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
