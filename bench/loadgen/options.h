/* The command line. */
#ifndef LOADGEN_OPTIONS_H
#define LOADGEN_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct options {
    const char *scenario;
    struct sockaddr_in server; /* in 127.0.0.0/8 */
    pid_t pid;                 /* 0 = the server's CPU and memory are not measured */
    uint32_t client_count;     /* -c; without the sender that some scenarios add */
    uint32_t in_flight;        /* -p; per client, or broadcasts at a time */
    size_t data_len;           /* -s; characters of "data" */
    double duration_s;         /* -d; the measured window, or the idle hold of `connect` */
    double warmup_s;           /* -w */
    double rate;               /* --rate; messages a second of the sender, 0 = closed loop */
    uint32_t room_count;       /* --rooms */
    uint32_t ramp;             /* --ramp; handshakes at a time */
    double timeout_s;          /* --timeout; longest wait without any progress */
    bool is_json;              /* --json */
    const char *row;           /* --row; the label of a lone table row, or NULL */
} options;

/* Fills `*o` from the command line. Prints a message and ends the program with status 2 when it is
 * wrong, with 0 after --help. */
void options_parse(options *o, int argc, char **argv);

#endif /* LOADGEN_OPTIONS_H */
