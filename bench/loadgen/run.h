/* One run: its clients, its clock and its counts.
 *
 *   run_open_clients   handshakes, `ramp` at a time
 *   run_measure        start -> warm-up -> window -> drain -> count what is missing
 *
 * Everything happens on one thread. A scenario is a table of functions; run.c calls them.
 */
#ifndef LOADGEN_RUN_H
#define LOADGEN_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client.h"
#include "histogram.h"
#include "loop.h"
#include "options.h"
#include "payload.h"
#include "process.h"

typedef struct run run;

typedef enum error_kind {
    ERROR_WRONG,       /* an answer with other bytes than expected, or out of order */
    ERROR_MISSING,     /* an answer that did not come */
    ERROR_SUPERFLUOUS, /* an answer too many */
    ERROR_LOST,        /* a connection that ended */
    ERROR_CONNECT,     /* a client that did not get through its handshake */
    ERROR_KINDS,
} error_kind;

typedef struct scenario {
    const char *name;
    const char *event;   /* the name of the events it is about; others are ignored */
    const char *counted; /* what its figures count, in the plural */
    bool is_polling;
    bool has_sender; /* one client more, the last one, sends to the others */

    /* Allocates `r->state`, before the first handshake. */
    void (*prepare)(run *r);

    /* Every client is ready: sends the first messages. */
    void (*start)(run *r);

    /* A Socket.IO packet, without the Engine.IO digit, for a client that is ready. */
    void (*on_message)(run *r, client *c, const char *text, size_t len);

    /* A client that was ready is gone: what it still should have got counts as missing, and is
     * not outstanding any more. */
    void (*on_lost)(run *r, client *c);

    /* NULL, or sends what is due; returns when to be called again. */
    uint64_t (*tick)(run *r, uint64_t now);

    /* How many answers are still to come. */
    uint64_t (*count_outstanding)(const run *r);

    void (*release)(run *r);
} scenario;

/* What the server's process used between two moments. */
typedef struct usage {
    uint64_t at_ns;
    uint64_t server_cpu_ns; /* 0 without --pid */
    uint64_t own_cpu_ns;
} usage;

struct run {
    const options *options;
    const scenario *scenario;
    void *state; /* the scenario's */
    loop loop;
    payload payload;

    client *clients;
    uint32_t client_count;
    uint32_t opened_count;
    uint32_t ready_count;
    uint32_t failed_count; /* not ready and never will be */
    uint32_t lost_count;   /* were ready */

    bool is_measuring; /* events count */
    bool is_stopping;  /* nothing new is sent */
    bool is_aborted;   /* nothing more can come of it */
    uint64_t event_count;
    uint64_t foreign_count; /* events the server sent on its own */
    uint64_t progress;      /* grows with everything expected that arrives; for timeouts */
    uint32_t told_count;    /* errors told on stderr */
    histogram latency;
    uint64_t errors[ERROR_KINDS];

    usage begin, end; /* the measured window */
    double hold_cpu_pct;
    process_memory memory_before, memory_idle;
};

/* Counts `count` errors; the first few calls are also told on stderr. */
void run_error(run *r, error_kind kind, uint64_t count, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
uint64_t run_error_count(const run *r);

/* Counts an answer that was asked for at `sent_ns`. */
void run_event(run *r, uint64_t sent_ns, uint64_t now);

/* Raises the limit of open files, makes the payload and the loop. False with a message on stderr
 * when the clients cannot all have a descriptor. */
bool run_init(run *r, const options *o, const scenario *s);
void run_deinit(run *r);

/* Opens all clients. False when not one became ready; the errors are counted either way. */
bool run_open_clients(run *r);

/* Turns the loop until `done`, asked before every turn, says so. False when nothing arrived for the
 * timeout, or when the run is aborted. */
bool run_wait(run *r, bool (*done)(run *r));

/* The whole measurement, for scenarios with `start`. */
void run_measure(run *r);

/* The measurement of `connect`: opens the clients, then holds them idle. */
void run_connect(run *r);

#endif /* LOADGEN_RUN_H */
