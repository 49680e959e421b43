#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

enum { LINE_SIZE_MAX = 2048 };

static const char *const level_names[] = { "DEBUG", "INFO", "WARN", "ERROR" };
static const char *const part_names[LOG_PART_COUNT] = { "server", "http", "engineio", "socketio",
                                                        "app" };

static atomic_int levels[LOG_PART_COUNT] = {
    [LOG_SERVER] = LOG_INFO,      [LOG_HTTP] = LOG_WARNING, [LOG_ENGINEIO] = LOG_WARNING,
    [LOG_SOCKETIO] = LOG_WARNING, [LOG_APP] = LOG_INFO,
};

/* The sink is set rarely and read for each line that is written: a lock is cheap enough there. */
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static log_sink_fn *sink_fn;
static void *sink_arg;

void log_set_level(log_part part, log_level level)
{
    atomic_store_explicit(&levels[part], (int)level, memory_order_relaxed);
}

log_level log_get_level(log_part part)
{
    return (log_level)atomic_load_explicit(&levels[part], memory_order_relaxed);
}

void log_set_sink(log_sink_fn *sink, void *arg)
{
    pthread_mutex_lock(&sink_lock);
    sink_fn = sink;
    sink_arg = arg;
    pthread_mutex_unlock(&sink_lock);
}

/* Bytes of the character at `p` that may be written as they are; 0 when its first byte must be
 * escaped: control bytes, and what is not UTF-8. U+0080 to U+009F are control characters too, which
 * some terminals obey (U+009B is what ESC [ is). */
static size_t plain_len(const char *p)
{
    unsigned char c = (unsigned char)*p;
    if (c < 0x80)
        return c >= 0x20 && c != 0x7f;
    size_t len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (strnlen(p, len) < len || !utf8_is_valid(p, len))
        return 0;
    return c == 0xc2 && (unsigned char)p[1] < 0xa0 ? 0 : len;
}

/* Copies `text` with control bytes escaped; stops when `dst` is full. Returns the bytes written. */
static size_t escape(char *dst, size_t cap, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    size_t len = 0;
    for (const char *p = text; *p && len + 5 < cap;) {
        size_t plain = plain_len(p);
        if (plain) {
            memcpy(dst + len, p, plain);
            p += plain;
            len += plain;
            continue;
        }
        unsigned char c = (unsigned char)*p++;
        dst[len++] = '\\';
        dst[len++] = 'x';
        dst[len++] = hex[c >> 4];
        dst[len++] = hex[c & 15];
    }
    dst[len] = '\0';
    return len;
}

static size_t write_head(char *dst, size_t cap, log_part part, log_level level)
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    size_t len = strftime(dst, cap, "%Y-%m-%d %H:%M:%S", &parts);
    int more = snprintf(dst + len, cap - len, ".%03ld %-5s [%s] ", now.tv_nsec / 1000000,
                        level_names[level], part_names[part]);
    return len + (size_t)more;
}

void log_vline(log_part part, log_level level, const char *fmt, va_list args)
{
    if (!log_is_on(part, level) || level >= LOG_OFF)
        return;
    char text[LINE_SIZE_MAX];
    vsnprintf(text, sizeof(text), fmt, args);

    char line[LINE_SIZE_MAX + 128];
    size_t len = write_head(line, sizeof(line), part, level);
    len += escape(line + len, sizeof(line) - len - 1, text);

    pthread_mutex_lock(&sink_lock);
    if (sink_fn) {
        sink_fn(level, line, sink_arg);
    } else {
        line[len++] = '\n';
        /* A log that cannot be written has nobody to tell. */
        ssize_t written = write(STDERR_FILENO, line, len);
        (void)written;
    }
    pthread_mutex_unlock(&sink_lock);
}

void log_line(log_part part, log_level level, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_vline(part, level, fmt, args);
    va_end(args);
}
