#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { BUF_CAP_MIN = 64 };

void buf_deinit(buf *b)
{
    mem_free(b->data);
    *b = (buf){ 0 };
}

/* Moves the readable bytes to the front when that alone makes room; cheap, as at least half of
 * the buffer has been consumed then. */
static int buf_compact(buf *b, size_t more)
{
    size_t readable = b->len - b->pos;
    if (b->pos < readable || b->cap - readable < more)
        return 0;
    memmove(b->data, b->data + b->pos, readable);
    b->pos = 0;
    b->len = readable;
    return 1;
}

int buf_reserve(buf *b, size_t more)
{
    if (b->cap - b->len >= more)
        return 0;
    if (b->pos && buf_compact(b, more))
        return 0;
    if (more > SIZE_MAX / 2 - b->len)
        return CARAFE_ERR_NOMEM;
    size_t cap = b->cap ? b->cap : BUF_CAP_MIN;
    while (cap < b->len + more)
        cap *= 2;
    uint8_t *data = mem_realloc(b->data, cap);
    if (!data)
        return CARAFE_ERR_NOMEM;
    b->data = data;
    b->cap = cap;
    return 0;
}

int buf_append(buf *b, const void *data, size_t len)
{
    TRY(buf_reserve(b, len));
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}

int buf_append_str(buf *b, const char *text)
{
    return buf_append(b, text, strlen(text));
}

int buf_append_char(buf *b, char c)
{
    return buf_append(b, &c, 1);
}

int buf_append_uint(buf *b, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return buf_append(b, digits + at, sizeof(digits) - at);
}

int buf_printf(buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0)
        return CARAFE_ERR_BAD_DATA;
    TRY(buf_reserve(b, (size_t)len + 1));
    va_start(args, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)len + 1, fmt, args);
    va_end(args);
    b->len += (size_t)len;
    return 0;
}

char *buf_cstr(buf *b)
{
    if (buf_reserve(b, 1) < 0)
        return NULL;
    b->data[b->len] = '\0';
    return (char *)b->data + b->pos;
}
