#include "run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "clock.h"

/* How many errors are told on stderr; all are counted. */
#define ERRORS_TOLD_MAX 10

/* Above so many connections they leave from several addresses, 127.0.1.1, 127.0.1.2, ... An
 * address has 28,232 ports by default, and Linux tries all of one parity before the other: from the
 * 14,117th connection on, every connect searches 14,116 ports in vain. With 19,000 connections from
 * one address that cut the handshakes from 27,000 a second to 4,000 (Linux 6.18). */
#define CONNS_PER_SOURCE 10000u
#define FIRST_SOURCE 0x7f000101u

/* Descriptors besides the connections: standard streams, epoll, timer, /proc. */
#define SPARE_DESCRIPTORS 16u

/* For the server to finish what the handshakes started, before its memory is read; and for answers
 * too many to show up at the end. */
#define SETTLE_S 0.1

void run_error(run *r, error_kind kind, uint64_t count, const char *format, ...)
{
    static const char *const words[ERROR_KINDS] = {"wrong", "missing", "superfluous", "lost",
                                                   "connect"};
    r->errors[kind] += count;
    if (r->told_count == ERRORS_TOLD_MAX)
        fputs("loadgen: more errors are only counted\n", stderr);
    if (r->told_count++ >= ERRORS_TOLD_MAX)
        return;
    va_list args;
    va_start(args, format);
    fprintf(stderr, "loadgen: %s: ", words[kind]);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

uint64_t run_error_count(const run *r)
{
    uint64_t sum = 0;
    for (int kind = 0; kind < ERROR_KINDS; kind++)
        sum += r->errors[kind];
    return sum;
}

void run_event(run *r, uint64_t sent_ns, uint64_t now)
{
    r->progress++;
    if (!r->is_measuring)
        return;
    r->event_count++;
    histogram_add(&r->latency, now > sent_ns ? now - sent_ns : 0);
}

static uint32_t conns_per_client(const run *r)
{
    return r->scenario->is_polling ? 2 : 1;
}

static bool raise_file_limit(const run *r)
{
    struct rlimit limit;
    uint64_t needed = (uint64_t)r->client_count * conns_per_client(r) + SPARE_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return true;
    if (limit.rlim_cur < needed) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= needed)
        return true;
    fprintf(stderr,
            "loadgen: %u clients need %llu open files, the limit is %llu: lower -c, or raise it "
            "with ulimit -n\n",
            r->client_count, (unsigned long long)needed, (unsigned long long)limit.rlim_cur);
    return false;
}

bool run_init(run *r, const options *o, const scenario *s)
{
    *r = (run){.options = o, .scenario = s};
    r->client_count = o->client_count + (s->has_sender ? 1 : 0);
    if (!raise_file_limit(r))
        return false;
    if (loop_init(&r->loop) != 0) {
        fprintf(stderr, "loadgen: no event loop: %s\n", strerror(errno));
        return false;
    }
    payload_init(&r->payload, o->data_len);
    r->clients = alloc_zeroed(r->client_count, sizeof *r->clients);
    if (s->prepare != NULL)
        s->prepare(r);
    return true;
}

void run_deinit(run *r)
{
    for (uint32_t i = 0; i < r->client_count; i++)
        client_deinit(&r->clients[i]);
    if (r->scenario->release != NULL)
        r->scenario->release(r);
    free(r->clients);
    payload_deinit(&r->payload);
    loop_deinit(&r->loop);
}

static void read_usage(run *r, usage *u)
{
    u->at_ns = clock_ns();
    u->own_cpu_ns = process_own_cpu();
    if (r->options->pid > 0 && !process_read_cpu(r->options->pid, &u->server_cpu_ns) &&
        !r->is_aborted) {
        run_error(r, ERROR_LOST, 1, "the server's process %ld has ended", (long)r->options->pid);
        r->is_aborted = true;
    }
}

static void read_memory(const run *r, process_memory *memory)
{
    if (r->options->pid > 0)
        process_read_memory(r->options->pid, memory);
}

/* One turn of the loop, until `wake_ns` at most. */
static void turn(run *r, uint64_t now, uint64_t wake_ns)
{
    if (r->scenario->tick != NULL && !r->is_stopping) {
        uint64_t due_ns = r->scenario->tick(r, now);
        if (due_ns < wake_ns)
            wake_ns = due_ns;
    }
    loop_turn(&r->loop, wake_ns);
}

static void run_for(run *r, double seconds)
{
    uint64_t now = clock_ns(), end = now + clock_from_seconds(seconds);
    for (; now < end && !r->is_aborted; now = clock_ns())
        turn(r, now, end);
}

bool run_wait(run *r, bool (*done)(run *r))
{
    const uint64_t timeout_ns = clock_from_seconds(r->options->timeout_s);
    uint64_t seen = r->progress, deadline = clock_ns() + timeout_ns;
    while (!done(r)) {
        uint64_t now = clock_ns();
        if (r->progress != seen) {
            seen = r->progress;
            deadline = now + timeout_ns;
        }
        if (r->is_aborted || now >= deadline)
            return false;
        turn(r, now, deadline);
    }
    return true;
}

static in_addr_t source_of(const run *r, uint32_t index)
{
    uint64_t conns = (uint64_t)r->client_count * conns_per_client(r);
    if (conns <= CONNS_PER_SOURCE)
        return htonl(INADDR_ANY);
    return htonl(FIRST_SOURCE + index / (CONNS_PER_SOURCE / conns_per_client(r)));
}

static uint32_t count_settled(const run *r)
{
    return r->ready_count + r->failed_count;
}

/* Keeps `ramp` handshakes going, until all clients have come through or failed. */
static bool open_more(run *r)
{
    while (r->opened_count < r->client_count &&
           r->opened_count - count_settled(r) < r->options->ramp) {
        uint32_t index = r->opened_count++;
        client *c = &r->clients[index];
        if (client_open(c, r, index, source_of(r, index)) != 0)
            client_fail(c, "%s", strerror(errno));
        if (r->ready_count == 0 && r->failed_count >= r->options->ramp)
            r->is_aborted = true; /* no use in trying thousands more */
        if (r->is_aborted)
            return false;
    }
    return count_settled(r) == r->client_count;
}

bool run_open_clients(run *r)
{
    run_wait(r, open_more);
    uint32_t opened_count = r->opened_count;
    for (uint32_t i = 0; i < opened_count; i++) {
        client_state state = r->clients[i].state;
        if (state != CLIENT_READY && state != CLIENT_FAILED)
            client_fail(&r->clients[i], "no answer during the handshake");
    }
    if (opened_count < r->client_count)
        run_error(r, ERROR_CONNECT, r->client_count - opened_count,
                  "%u clients were not even tried", r->client_count - opened_count);
    return r->ready_count > r->lost_count;
}

static bool is_drained(run *r)
{
    return r->scenario->count_outstanding(r) == 0;
}

void run_measure(run *r)
{
    read_memory(r, &r->memory_before);
    if (!run_open_clients(r))
        return;
    run_for(r, SETTLE_S);
    read_memory(r, &r->memory_idle);

    r->scenario->start(r);
    run_for(r, r->options->warmup_s);
    read_usage(r, &r->begin);
    r->is_measuring = true;
    run_for(r, r->options->duration_s);
    r->is_measuring = false;
    read_usage(r, &r->end);

    r->is_stopping = true;
    r->is_aborted = false; /* whoever is left still gets what is under way */
    run_wait(r, is_drained);
    uint64_t missing = r->scenario->count_outstanding(r);
    if (missing > 0)
        run_error(r, ERROR_MISSING, missing, "%llu answers did not come",
                  (unsigned long long)missing);
    run_for(r, SETTLE_S);
}

void run_connect(run *r)
{
    read_memory(r, &r->memory_before);
    r->is_measuring = true;
    read_usage(r, &r->begin);
    bool has_clients = run_open_clients(r);
    read_usage(r, &r->end);
    r->is_measuring = false;
    if (!has_clients)
        return;

    run_for(r, SETTLE_S);
    usage hold_begin = {0}, hold_end = {0};
    read_usage(r, &hold_begin);
    run_for(r, r->options->duration_s);
    read_usage(r, &hold_end);
    read_memory(r, &r->memory_idle);
    r->hold_cpu_pct = 100.0 * (double)(hold_end.server_cpu_ns - hold_begin.server_cpu_ns) /
                      (double)(hold_end.at_ns - hold_begin.at_ns);
}
