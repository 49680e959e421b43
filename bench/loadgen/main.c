/* Load generator for Socket.IO servers on the own machine; README.md describes it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "options.h"
#include "report.h"
#include "run.h"
#include "scenarios.h"

static const scenario *const scenarios[] = {
    &echo_scenario,  &emit_scenario,    &broadcast_scenario,
    &rooms_scenario, &connect_scenario, &polling_scenario,
};

static const scenario *find_scenario(const char *name)
{
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (strcmp(scenarios[i]->name, name) == 0)
            return scenarios[i];
    }
    return NULL;
}

/* Prints a port that nobody listens on at this moment, for scripts that start a server. */
static int print_free_port(const options *o)
{
    struct sockaddr_in address = o->server;
    socklen_t len = sizeof address;
    address.sin_port = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        fprintf(stderr, "loadgen: no free port: %s\n", strerror(errno));
        return 2;
    }
    close(fd);
    printf("%u\n", ntohs(address.sin_port));
    return 0;
}

static int measure(const options *o, const scenario *s)
{
    static run r; /* the histogram is too large for a stack frame */
    if (!run_init(&r, o, s))
        return 2;
    if (s->start != NULL)
        run_measure(&r);
    else
        run_connect(&r);
    if (r.ready_count == 0)
        fprintf(stderr, "loadgen: no Socket.IO server answers on port %u\n",
                ntohs(o->server.sin_port));

    if (o->is_json) {
        report_json(&r);
    } else {
        if (o->row == NULL)
            report_head();
        report_row(&r, o->row != NULL ? o->row : s->name);
    }
    int status = run_error_count(&r) == 0 && r.event_count > 0 ? 0 : 1;
    run_deinit(&r);
    return status;
}

int main(int argc, char **argv)
{
    options o;
    options_parse(&o, argc, argv);
    if (strcmp(o.scenario, "port") == 0)
        return print_free_port(&o);
    if (strcmp(o.scenario, "header") == 0) {
        report_head();
        return 0;
    }
    const scenario *s = find_scenario(o.scenario);
    if (s == NULL) {
        fprintf(stderr, "loadgen: there is no scenario '%s' (--help lists them)\n", o.scenario);
        return 2;
    }
    return measure(&o, s);
}
