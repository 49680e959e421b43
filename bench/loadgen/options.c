#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Larger messages than servers take by default (1 MB) prove nothing. */
#define DATA_LEN_MAX 900000

#define CLIENTS_MAX 500000
#define IN_FLIGHT_MAX 1024
#define ROOMS_MAX 65536

static const char usage[] =
    "usage: loadgen SCENARIO --port PORT [options]\n"
    "       loadgen port      prints a free TCP port\n"
    "       loadgen header    prints the table head for --row\n"
    "\n"
    "scenarios\n"
    "  echo       event with an acknowledgement, answered to the sender\n"
    "  emit       the same without an acknowledgement\n"
    "  broadcast  one sender, every client receives\n"
    "  rooms      one sender, the clients of one room after the other receive\n"
    "  connect    handshakes, then an idle hold of -d seconds\n"
    "  polling    `emit` over HTTP long-polling\n"
    "\n"
    "options\n"
    "  --host ADDRESS  in 127.0.0.0/8 (127.0.0.1)\n"
    "  --port PORT     the server's TCP port\n"
    "  --pid PID       the server's process: adds its CPU time and memory\n"
    "  -c COUNT        clients (50)\n"
    "  -p COUNT        messages in flight: per client, or at the sender (1)\n"
    "  -s COUNT        characters of data in a message (64)\n"
    "  -d SECONDS      measured window, or the idle hold of `connect` (3)\n"
    "  -w SECONDS      warm-up before the window (0.5)\n"
    "  --rate RATE     broadcast, rooms: so many messages a second, whatever comes back\n"
    "  --rooms COUNT   rooms: how many (10)\n"
    "  --ramp COUNT    handshakes at a time (50)\n"
    "  --timeout SECS  how long to wait while nothing arrives (5)\n"
    "  --json          one line of JSON instead of a table\n"
    "  --row LABEL     one table row with this label, without the head\n"
    "\n"
    "Exit status: 0 without errors, 1 with errors, 2 if it could not run.\n";

__attribute__((noreturn, format(printf, 1, 2))) static void refuse(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("loadgen: ", stderr);
    vfprintf(stderr, format, args);
    fputs(" (--help lists the options)\n", stderr);
    va_end(args);
    exit(2);
}

static double parse_number(const char *name, const char *text, double min, double max)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !(value >= min && value <= max))
        refuse("%s: '%s' is not a number from %.0f to %.0f", name, text, min, max);
    return value;
}

static uint32_t parse_count(const char *name, const char *text, uint32_t min, uint32_t max)
{
    double value = parse_number(name, text, min, max);
    if (value != (uint32_t)value)
        refuse("%s: '%s' is not a whole number", name, text);
    return (uint32_t)value;
}

static struct in_addr parse_host(const char *text)
{
    struct in_addr address;
    if (strcmp(text, "localhost") == 0)
        text = "127.0.0.1";
    if (inet_pton(AF_INET, text, &address) != 1)
        refuse("--host: '%s' is not an IPv4 address", text);
    if (ntohl(address.s_addr) >> 24 != 127)
        refuse("--host: %s is not in 127.0.0.0/8; load goes to the own machine only", text);
    return address;
}

static void set_option(options *o, int key, const char *text)
{
    switch (key) {
    case 'H':
        o->server.sin_addr = parse_host(text);
        break;
    case 'P':
        o->server.sin_port = htons((uint16_t)parse_count("--port", text, 1, UINT16_MAX));
        break;
    case 'i':
        o->pid = (pid_t)parse_count("--pid", text, 1, INT32_MAX);
        break;
    case 'c':
        o->client_count = parse_count("-c", text, 1, CLIENTS_MAX);
        break;
    case 'p':
        o->in_flight = parse_count("-p", text, 1, IN_FLIGHT_MAX);
        break;
    case 's':
        o->data_len = parse_count("-s", text, 0, DATA_LEN_MAX);
        break;
    case 'd':
        o->duration_s = parse_number("-d", text, 0.1, 86400);
        break;
    case 'w':
        o->warmup_s = parse_number("-w", text, 0, 3600);
        break;
    case 'r':
        o->rate = parse_number("--rate", text, 0.1, 1e6);
        break;
    case 'R':
        o->room_count = parse_count("--rooms", text, 1, ROOMS_MAX);
        break;
    case 'a':
        o->ramp = parse_count("--ramp", text, 1, CLIENTS_MAX);
        break;
    case 't':
        o->timeout_s = parse_number("--timeout", text, 0.1, 3600);
        break;
    case 'j':
        o->is_json = true;
        break;
    case 'l':
        o->row = text;
        break;
    case 'h':
        fputs(usage, stdout);
        exit(0);
    default: /* getopt has said why */
        exit(2);
    }
}

static void check_combination(const options *o)
{
    bool has_sender = strcmp(o->scenario, "broadcast") == 0 || strcmp(o->scenario, "rooms") == 0;
    if (o->server.sin_port == 0)
        refuse("--port is missing");
    if (o->rate > 0 && !has_sender)
        refuse("--rate is for broadcast and rooms; %s is a closed loop", o->scenario);
    if (o->pid > 0 && kill(o->pid, 0) != 0 && errno == ESRCH)
        refuse("--pid: there is no process %ld", (long)o->pid);
    if (strcmp(o->scenario, "rooms") == 0 && o->room_count > o->client_count)
        refuse("%u rooms for %u clients: --rooms may be at most -c", o->room_count,
               o->client_count);
}

void options_parse(options *o, int argc, char **argv)
{
    static const struct option names[] = {
        {"host", required_argument, NULL, 'H'},
        {"port", required_argument, NULL, 'P'},
        {"pid", required_argument, NULL, 'i'},
        {"rate", required_argument, NULL, 'r'},
        {"rooms", required_argument, NULL, 'R'},
        {"ramp", required_argument, NULL, 'a'},
        {"timeout", required_argument, NULL, 't'},
        {"json", no_argument, NULL, 'j'},
        {"row", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };

    *o = (options){
        .server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
        .client_count = 50,
        .in_flight = 1,
        .data_len = 64,
        .duration_s = 3,
        .warmup_s = 0.5,
        .room_count = 10,
        .ramp = 50,
        .timeout_s = 5,
    };
    int key;
    while ((key = getopt_long(argc, argv, "c:p:s:d:w:h", names, NULL)) != -1)
        set_option(o, key, optarg);
    if (optind >= argc)
        refuse("which scenario?");
    if (optind + 1 < argc)
        refuse("'%s' is one argument too many", argv[optind + 1]);
    o->scenario = argv[optind];
    if (strcmp(o->scenario, "port") != 0 && strcmp(o->scenario, "header") != 0)
        check_combination(o);
}
