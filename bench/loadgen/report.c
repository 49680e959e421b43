#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"

/* Below so many clients the memory of one of them is noise: the kernel gives memory by pages, the
 * allocator by larger pieces still. */
#define CLIENTS_FOR_MEMORY_MIN 1000

#define CELL_SIZE 32

static double window_s(const run *r)
{
    return (double)(r->end.at_ns - r->begin.at_ns) / (double)NS_PER_S;
}

static double server_cpu_ns(const run *r)
{
    return (double)(r->end.server_cpu_ns - r->begin.server_cpu_ns);
}

static double share_pct(const run *r, double cpu_ns)
{
    return 100.0 * cpu_ns / (double)(r->end.at_ns - r->begin.at_ns);
}

static double per_client(const run *r, uint64_t before, uint64_t idle)
{
    uint32_t count = r->ready_count - r->lost_count;
    return ((double)idle - (double)before) / (count > 0 ? count : 1);
}

static bool has_window(const run *r)
{
    return r->end.at_ns > r->begin.at_ns && r->event_count > 0;
}

static bool has_server_cpu(const run *r)
{
    return has_window(r) && r->end.server_cpu_ns > r->begin.server_cpu_ns;
}

void report_head(void)
{
    puts("| scenario             | clients | in flight |    events/s |     p50 µs |     p99 µs |   "
         "p99.9 µs | server µs/event | server CPU % | generator CPU % | bytes/idle client | errors "
         "|");
    puts("|:---------------------|--------:|----------:|------------:|-----------:|-----------:|---"
         "--------:|----------------:|-------------:|----------------:|------------------:|-------:"
         "|");
}

/* Formats into a cell, or "-". */
static const char *number(char cell[CELL_SIZE], bool is_known, int decimals, double value)
{
    if (is_known)
        snprintf(cell, CELL_SIZE, "%.*f", decimals, value);
    else
        strcpy(cell, "-");
    return cell;
}

static double quantile_us(const run *r, double q)
{
    return (double)histogram_quantile(&r->latency, q) / 1000.0;
}

void report_row(const run *r, const char *label)
{
    char cells[8][CELL_SIZE];
    bool known = has_window(r), cpu = has_server_cpu(r);
    bool memory = r->memory_idle.rss > 0 && r->options->client_count >= CLIENTS_FOR_MEMORY_MIN;
    printf(
        "| %-20s | %7u | %9u | %11s | %10s | %10s | %10s | %15s | %12s | %15s | %17s | %6" PRIu64
        " |\n",
        label, r->options->client_count, r->options->in_flight,
        number(cells[0], known, 0, (double)r->event_count / window_s(r)),
        number(cells[1], known, 1, quantile_us(r, 0.5)),
        number(cells[2], known, 1, quantile_us(r, 0.99)),
        number(cells[3], known, 1, quantile_us(r, 0.999)),
        number(cells[4], cpu, 2, server_cpu_ns(r) / 1000.0 / (double)r->event_count),
        number(cells[5], cpu, 0, share_pct(r, server_cpu_ns(r))),
        number(cells[6], known, 0, share_pct(r, (double)(r->end.own_cpu_ns - r->begin.own_cpu_ns))),
        number(cells[7], memory, 0, per_client(r, r->memory_before.rss, r->memory_idle.rss)),
        run_error_count(r));
}

static void json_number(const char *key, bool is_known, int decimals, double value)
{
    if (is_known)
        printf(",\"%s\":%.*f", key, decimals, value);
    else
        printf(",\"%s\":null", key);
}

static void json_memory(const run *r)
{
    bool known = r->memory_idle.rss > 0;
    json_number("server_rss_before", known, 0, (double)r->memory_before.rss);
    json_number("server_rss_idle", known, 0, (double)r->memory_idle.rss);
    json_number("rss_bytes_per_client", known, 0,
                per_client(r, r->memory_before.rss, r->memory_idle.rss));
    json_number("pss_bytes_per_client", known, 0,
                per_client(r, r->memory_before.pss, r->memory_idle.pss));
    json_number("hold_cpu_pct", known && r->scenario->start == NULL, 2, r->hold_cpu_pct);
}

void report_json(const run *r)
{
    bool known = has_window(r), cpu = has_server_cpu(r);
    printf("{\"scenario\":\"%s\",\"counted\":\"%s\",\"clients\":%u,\"in_flight\":%u",
           r->scenario->name, r->scenario->counted, r->options->client_count,
           r->options->in_flight);
    printf(",\"data_len\":%zu,\"events\":%" PRIu64, r->options->data_len, r->event_count);
    json_number("rate", r->options->rate > 0, 3, r->options->rate);
    json_number("seconds", known, 3, window_s(r));
    json_number("events_per_s", known, 1, (double)r->event_count / window_s(r));
    json_number("p50_us", known, 1, quantile_us(r, 0.5));
    json_number("p99_us", known, 1, quantile_us(r, 0.99));
    json_number("p999_us", known, 1, quantile_us(r, 0.999));
    json_number("max_us", known, 1, (double)r->latency.max_ns / 1000.0);
    json_number("server_cpu_us_per_event", cpu, 3,
                server_cpu_ns(r) / 1000.0 / (double)r->event_count);
    json_number("server_cpu_pct", cpu, 1, share_pct(r, server_cpu_ns(r)));
    json_number("generator_cpu_pct", known, 1,
                share_pct(r, (double)(r->end.own_cpu_ns - r->begin.own_cpu_ns)));
    json_memory(r);
    printf(",\"foreign\":%" PRIu64, r->foreign_count);
    printf(",\"errors\":%" PRIu64 ",\"wrong\":%" PRIu64 ",\"missing\":%" PRIu64
           ",\"superfluous\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"connect_failed\":%" PRIu64 "}\n",
           run_error_count(r), r->errors[ERROR_WRONG], r->errors[ERROR_MISSING],
           r->errors[ERROR_SUPERFLUOUS], r->errors[ERROR_LOST], r->errors[ERROR_CONNECT]);
}
