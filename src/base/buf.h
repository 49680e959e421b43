/* A growable byte buffer that is filled at the end and consumed from the front.
 *
 * Invariant: pos <= len <= cap; readable bytes are data[pos .. len). All zero is a valid empty
 * buffer. A failed append leaves the buffer as it was. */
#ifndef CARAFE_BASE_BUF_H
#define CARAFE_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

typedef struct buf {
    uint8_t *data;
    size_t pos; /* first byte not yet consumed */
    size_t len; /* one past the last byte written */
    size_t cap; /* bytes allocated */
} buf;

/* Frees the bytes; the buffer is empty and usable afterwards. */
void buf_deinit(buf *b);

/* Makes room for `more` bytes behind len. CARAFE_ERR_NOMEM. */
int buf_reserve(buf *b, size_t more) MUST_USE;

/* CARAFE_ERR_NOMEM. */
int buf_append(buf *b, const void *data, size_t len) MUST_USE;
int buf_append_str(buf *b, const char *text) MUST_USE;
int buf_append_char(buf *b, char c) MUST_USE;
int buf_append_uint(buf *b, uint64_t value) MUST_USE;
int buf_printf(buf *b, const char *fmt, ...) MUST_USE CARAFE_PRINTF(2, 3);

/* Appends a NUL that is not counted in len, and returns the text; NULL when there is no memory. */
char *buf_cstr(buf *b);

static inline size_t buf_readable(const buf *b)
{
    return b->len - b->pos;
}

static inline uint8_t *buf_head(const buf *b)
{
    /* In C even NULL + 0 is undefined, and an empty buffer has no data. */
    return b->pos ? b->data + b->pos : b->data;
}

/* Drops n readable bytes; an emptied buffer starts again at 0. */
static inline void buf_consume(buf *b, size_t n)
{
    b->pos += n;
    if (b->pos == b->len)
        b->pos = b->len = 0;
}

static inline void buf_clear(buf *b)
{
    b->pos = b->len = 0;
}

static inline slice buf_slice(const buf *b)
{
    return slice_of(buf_head(b), buf_readable(b));
}

#endif /* CARAFE_BASE_BUF_H */
