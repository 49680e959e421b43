/* Log lines a person can read: "2026-01-02 03:04:05.678 INFO  [server] listening on ...".
 *
 * Thread: any; a line is written whole, with one write(2), to stderr or to the sink. Bytes of
 * peers in a line are escaped ("\x1b"), so nobody can forge a line or drive a terminal. */
#ifndef CARAFE_BASE_LOG_H
#define CARAFE_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>

#include "base/error.h"

typedef enum log_level {
    LOG_DEBUG = 0,
    LOG_INFO = 1,
    LOG_WARNING = 2,
    LOG_ERROR = 3,
    LOG_OFF = 4,
} log_level;

/* Each part of the library has a level of its own ("logger", "engineio_logger" options). */
typedef enum log_part {
    LOG_SERVER = 0,   /* start, stop, listeners, workers */
    LOG_HTTP = 1,     /* requests and their refusals ("log_output") */
    LOG_ENGINEIO = 2,
    LOG_SOCKETIO = 3,
    LOG_APP = 4,      /* the user's own lines, and errors of views and handlers */
    LOG_PART_COUNT = 5,
} log_part;

typedef void log_sink_fn(log_level level, const char *line, void *arg);

/* Lines below the level are dropped. Defaults: INFO for server and app, WARNING for the rest. */
void log_set_level(log_part part, log_level level);
log_level log_get_level(log_part part);

/* Sends the lines to `sink` (without a newline) instead of stderr; NULL restores stderr. */
void log_set_sink(log_sink_fn *sink, void *arg);

static inline bool log_is_on(log_part part, log_level level)
{
    return level >= log_get_level(part);
}

/* Writes a line when the level is on. */
void log_vline(log_part part, log_level level, const char *fmt, va_list args);
void log_line(log_part part, log_level level, const char *fmt, ...) CARAFE_PRINTF(3, 4);

#endif /* CARAFE_BASE_LOG_H */
