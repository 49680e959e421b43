/* The program's share of the log. */
#include <stdarg.h>

#include "base/log.h"
#include "carafe/app.h"

/* The levels and functions are the library's own under other names, so that base/ need not be
 * public. */
_Static_assert((int)CARAFE_LOG_DEBUG == (int)LOG_DEBUG && (int)CARAFE_LOG_ERROR == (int)LOG_ERROR,
               "the levels must agree");

static carafe_log_fn *user_fn;

static void on_line(log_level level, const char *line, void *arg)
{
    user_fn((carafe_log_level)level, line, arg);
}

void carafe_set_log(carafe_log_fn *fn, void *arg)
{
    /* Nobody is inside on_line between the two calls: lines are written under the log's lock. */
    log_set_sink(NULL, NULL);
    user_fn = fn;
    if (fn)
        log_set_sink(on_line, arg);
}

void carafe_log(carafe_log_level level, const char *fmt, ...)
{
    va_list args;
    if (level < CARAFE_LOG_DEBUG || level > CARAFE_LOG_ERROR)
        level = CARAFE_LOG_ERROR;
    va_start(args, fmt);
    log_vline(LOG_APP, (log_level)level, fmt, args);
    va_end(args);
}
